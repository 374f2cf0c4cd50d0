"""One network against another over a region: outputs, classes and attributions, on one graph.

    output        f_a(x) - f_b(x), every output        output:2    one of them
    class         where a has a single largest output, it is b's single largest too
    attribution   A_a(x) - A_b(x), every component     attribution:age    one of them
    attribution:l1 | linf | l2_squared    a norm of the difference

The spec gives region, reference, attribution and assumptions; its `require` is not looked at. The
output functional of [explain] is resolved on the first network and used for both.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

from verifex.errors import InputError, UsageError
from verifex.ir.fields import Functional, under
from verifex.ir.formula import TRUE, And, Atom, Form, Formula, Or
from verifex.ir.graft import merged
from verifex.ir.graph import Builder, Graph, NamedNetwork
from verifex.ir.linmap import reshape
from verifex.ir.problem import Problem
from verifex.metrics.support.files import DataFolder
from verifex.metrics.support.setting import Setting, sum_form
from verifex.problem.spec.build import (
    Prepared,
    conjoin,
    exact_assumption,
    explained_setting,
    find_network,
    graph_of,
    named,
    prepare,
)
from verifex.problem.spec.model import Spec, load_spec

NORMS = ("l1", "linf", "l2_squared")
NOTE = "no certificate: the checker reads one network"


@dataclass(frozen=True)
class Measure:
    """What is asked: the forms whose ranges tell it, and their names."""

    text: str
    forms: tuple[Form, ...]
    labels: tuple[str, ...]


@dataclass(frozen=True)
class Difference:
    """The problem (with a claim that is true, or the one asked for) and the measures; `claim` says
    whether the problem's claim is what is asked, or the ranges of the measures."""

    problem: Problem
    measures: tuple[Measure, ...]
    claim: bool


@dataclass(frozen=True)
class _Pair:
    """The settings of both networks in one builder."""

    a: Setting
    b: Setting

    def forms(self, text: str) -> Measure:
        head, _, tail = text.partition(":")
        if head == "output":
            return self._outputs(text, tail)
        if head == "attribution":
            return self._attributions(text, tail)
        raise InputError(f"'{text[:40]}'", expected="output, class or attribution", key="--of")

    def _difference(self, one: int, other: int, what: str) -> int:
        b = self.a.builder
        if b.node(one).size != b.node(other).size:
            sizes = f"{b.node(one).size} and {b.node(other).size}"
            raise InputError(f"the networks have {sizes} {what}", expected="as many", key="--of")
        moved = b.affine(reshape(b.shape(other), b.shape(one)), other)
        return b.sum([one, moved], [1, -1])

    def _outputs(self, text: str, tail: str) -> Measure:
        node = self._difference(self.a.outputs, self.b.outputs, "outputs")
        size = self.a.builder.node(node).size
        if tail and not (tail.isascii() and tail.isdigit() and int(tail) < size):
            raise InputError(f"'{text[:40]}'", expected=f"output:0 to output:{size - 1}",
                             key="--of")
        chosen = [int(tail)] if tail else range(size)
        return Measure(text, tuple(Form.of({(node, c): 1}) for c in chosen),
                       tuple(f"a - b, output {c}" for c in chosen))

    def _attributions(self, text: str, tail: str) -> Measure:
        self.a.need_scale("attribution")
        self.b.need_scale("attribution")
        node = self._difference(self.a.components, self.b.components, "components")
        size, builder = self.a.builder.node(node).size, self.a.builder
        if tail == "l1":
            return Measure(text, (sum_form(builder.absolute(node), size),), ("L1 distance",))
        if tail == "l2_squared":
            return Measure(text, (sum_form(builder.mul(node, node), size),),
                           ("squared L2 distance",))
        explained = self.a.explanation()
        names = [explained.names.name(i) for i in explained.chosen]
        places: Sequence[int] = range(size)
        if tail and tail != "linf":
            with under("--of"):
                wanted = explained.names.select([tail])
            places = [k for k, i in enumerate(explained.chosen) if i in wanted]
            if not places:
                raise InputError(f"'{tail[:40]}' is not explained", expected="a chosen feature",
                                 key="--of")
        return Measure(text, tuple(Form.of({(node, k): 1}) for k in places),
                       tuple(f"a - b, {names[k]}" for k in places))

    def same_class(self) -> Formula:
        """Wherever `a` has a single largest output, it is the single largest of `b`."""
        one, other, size = self.a.logits, self.b.logits, self.a.classes
        if size != self.b.classes or size < 2:
            raise InputError(f"the networks have {size} and {self.b.classes} outputs",
                             expected="as many, at least two", key="--of")
        parts: list[Formula] = []
        for c in range(size):
            rest = [j for j in range(size) if j != c]
            not_first = [Atom(Form.of({(one, j): 1, (one, c): -1})) for j in rest]
            first = [Atom(Form.of({(other, c): 1, (other, j): -1}), True) for j in rest]
            parts.append(Or((*not_first, And(tuple(first)))))
        return And(tuple(parts))


def build_difference(
    first: Graph, second: Graph, spec: Spec, of: Sequence[str], at_most: Fraction | None = None,
    folder: str | Path = ".",
) -> Difference:
    """The measures `of` between two networks in the setting of a spec.

    With `at_most` the problem claims that every difference is at most that in size; `class` is a
    claim by itself. Raises InputError where the networks do not fit together, UsageError where
    claims and ranges are mixed.
    """
    claims = [text for text in of if text == "class"]
    measured = [text for text in of if text != "class"]
    if claims and measured and at_most is None:
        raise UsageError("--of class is a claim, expected --at-most for the others, or it alone")
    if at_most is not None and at_most < 0:
        raise UsageError("--at-most below 0, expected at least 0")
    pair, prepared = _pair(first, second, spec, Path(folder), any(
        text.startswith("attribution") for text in measured))
    measures = tuple(pair.forms(text) for text in measured)
    parts: list[Formula] = [pair.same_class()] if claims else []
    if at_most is not None:
        parts += [_within(form, at_most) for m in measures for form in m.forms]
    assume = exact_assumption(spec, pair.a)
    problem = prepared.problem(conjoin(parts) if parts else TRUE, assume)
    return Difference(
        replace(problem, notes=(*problem.notes, NOTE)), measures, bool(parts)
    )


def _within(form: Form, limit: Fraction) -> Formula:
    low = Form(form.terms, form.const + limit)
    high = Form((-form).terms, limit - form.const)
    return And((Atom(low), Atom(high)))


def _pair(
    first: Graph, second: Graph, spec: Spec, folder: Path, explained: bool
) -> tuple[_Pair, Prepared]:
    """Both networks in one builder, on the inputs of the first."""
    sizes = [[g.nodes[i].size for i in g.inputs] for g in (first, second)]
    if sizes[0] != sizes[1]:
        raise InputError(f"inputs of {sizes[0]} and {sizes[1]} numbers", expected="the same")
    builder = Builder(first)
    inputs = [
        builder.affine(reshape(first.nodes[i].shape, second.nodes[j].shape), i)
        for i, j in zip(first.inputs, second.inputs, strict=True)
    ]
    networks = (
        NamedNetwork("first", first.inputs, first.outputs, first.heads),
        *merged(builder, {"second": (second, inputs)}),
    )
    name = spec.network_output or (next(iter(second.outputs)) if len(second.outputs) == 1 else "")
    if name not in second.outputs:
        raise InputError("which output of the second network?",
                         expected=f"one of {', '.join(second.outputs)}", key="network_output")
    explain, spec = spec.explain, spec.model_copy(update={"explain": None})
    prepared = prepare(builder.build(first.outputs), spec, DataFolder(folder))
    one = replace(prepared.setting, networks=networks,
                  output=explain.output if explain else prepared.setting.output)
    two = one.about("second", name)
    if explain is not None and explained:
        with under("explain"):
            with under("output"):
                weights = one.output_weights(explain.output)
            listed = tuple(weights.get(c, Fraction(0)) for c in range(one.classes))
            if two.classes != one.classes:
                raise InputError(f"{one.classes} and {two.classes} outputs", expected="as many",
                                 key="output")
            fixed = explain.model_copy(update={"output": Functional("weights", (), listed)})
            one, two = explained_setting(one, fixed), explained_setting(two, fixed)
    return _Pair(one, two), replace(prepared, setting=one)


def load_difference(
    first: str | Path, second: str | Path, spec_path: str | Path, of: Sequence[str],
    at_most: Fraction | None = None,
) -> Difference:
    """As `build_difference`, from files."""
    spec = load_spec(spec_path)
    one, two = (graph_of(find_network(spec, spec_path, path), spec_path)
                for path in (first, second))
    try:
        return build_difference(
            one, two, named(spec, spec_path), of, at_most, Path(spec_path).parent
        )
    except InputError as error:
        raise error.at(file=str(spec_path)) from None
