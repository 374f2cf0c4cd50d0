"""Expressions whose exact worst-case range can be asked for: `component:age`, `distance:l1`, ...

    component:NAME        one component of the attribution (reduced as [explain] says)
    logit:c  margin:c,j   outputs, and "predicted", "sum" as in [explain] output
    output                the output functional of [explain]
    distance:l1 | linf    the norm of A(x) - A(x0) over the chosen components
    distance:l2_squared   the square of the L2 norm (the norm itself is not rational)
    norm:l1 | linf | l2_squared   the same of A(x) itself
    mass:NAME,NAME,...    the sum of |A_i| in the mask (not a share)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic_core import PydanticCustomError

from verifex.errors import InputError
from verifex.ir.fields import functional, suggestion, under
from verifex.ir.formula import TRUE, Form
from verifex.ir.graph import Graph
from verifex.ir.problem import Problem
from verifex.metrics.distance import l1_form, l2_squared_form, linf_form, maximum
from verifex.metrics.mass import mask_positions
from verifex.metrics.support.files import DataFolder
from verifex.metrics.support.setting import Setting, sum_form
from verifex.problem.spec.build import assumption, find_network, named, prepare
from verifex.problem.spec.model import Spec, load_spec


@dataclass(frozen=True)
class Expression:
    """What was asked for (`text`), as a form over the graph of `problem`, and in words.

    The problem has the region and the assumptions of the spec and a claim that is always true.
    """

    problem: Problem
    text: str
    form: Form
    label: str


def build_expressions(
    graph: Graph, spec: Spec, texts: Sequence[str], base_dir: str | Path = "."
) -> list[Expression]:
    """Expressions in the setting of a spec, all over the graph of one problem. The spec's `require`
    is not looked at."""
    prepared = prepare(graph, spec, DataFolder(Path(base_dir)))
    forms = []
    for text in texts:
        with under(f"expression '{text[:60]}'"):
            forms.append((text, *_form(text, prepared.setting)))
    problem = prepared.problem(TRUE, assumption(spec, prepared.setting))
    return [Expression(problem, text, form, label) for text, form, label in forms]


def load_expressions(
    spec_path: str | Path, texts: Sequence[str], network_path: str | Path | None = None
) -> list[Expression]:
    """As `build_expressions`, from files."""
    spec = load_spec(spec_path)
    graph = find_network(spec, spec_path, network_path).parsed
    try:
        return build_expressions(graph, named(spec, spec_path), texts, Path(spec_path).parent)
    except InputError as error:
        raise error.at(file=str(spec_path)) from None


def _form(text: str, setting: Setting) -> tuple[Form, str]:
    head, _, tail = text.strip().partition(":")
    if head in _KINDS:
        return _KINDS[head](tail.strip(), setting)
    if head in ("logit", "margin", "predicted", "sum"):
        try:
            return setting.output_form(functional(text.strip())), text.strip()
        except PydanticCustomError as error:
            context = error.context or {}
            raise InputError(context["what"], expected=context["expected"]) from None
    known = [*_KINDS, "logit", "margin", "predicted", "sum"]
    raise InputError("unknown expression", expected=suggestion(head, known))


def _component(tail: str, setting: Setting) -> tuple[Form, str]:
    explained = setting.explanation()
    key: str | int = int(tail) if tail.isascii() and tail.isdigit() and len(tail) < 10 else tail
    if isinstance(key, int) and tail in explained.names.given:
        key = tail  # a feature that is called "3"
    i = explained.names.one(key)
    return Form.of({(explained.attribution, i): 1}), f"component {explained.names.name(i)}"


def _output(tail: str, setting: Setting) -> tuple[Form, str]:
    if tail:
        raise InputError(f"'{tail}' after output", expected="nothing, or logit:c")
    return setting.output_form(setting.output), "the explained output"


def _distance(tail: str, setting: Setting) -> tuple[Form, str]:
    forms = {"l1": l1_form, "linf": linf_form, "l2_squared": l2_squared_form}
    return _norm_of(tail)(forms, setting), f"distance to the reference, {tail}"


def _norm(tail: str, setting: Setting) -> tuple[Form, str]:
    forms = {"l1": _l1_norm, "linf": _linf_norm, "l2_squared": _l2_squared_norm}
    return _norm_of(tail)(forms, setting), f"norm of the attribution, {tail}"


def _norm_of(tail: str) -> Callable[[Mapping[str, Callable[[Setting], Form]], Setting], Form]:
    """Picks the form of the norm called `tail`."""

    def pick(forms: Mapping[str, Callable[[Setting], Form]], setting: Setting) -> Form:
        if tail not in forms:
            what = "the L2 norm is not rational" if tail == "l2" else f"unknown norm '{tail}'"
            raise InputError(what, expected=f"one of {', '.join(forms)}")
        return forms[tail](setting)

    return pick


def _l1_norm(setting: Setting) -> Form:
    return sum_form(setting.magnitude, setting.builder.node(setting.magnitude).size)


def _linf_norm(setting: Setting) -> Form:
    return Form.of({(maximum(setting.builder, setting.magnitude), 0): 1})


def _l2_squared_norm(setting: Setting) -> Form:
    node = setting.builder.mul(setting.components, setting.components)
    return sum_form(node, setting.builder.node(node).size)


def _mass(tail: str, setting: Setting) -> tuple[Form, str]:
    parts = [p.strip() for p in tail.split(",") if p.strip()]
    keys = tuple(int(p) if p.isascii() and p.isdigit() and len(p) < 10 else p for p in parts)
    inside = mask_positions(keys, setting)
    return Form.of({(setting.magnitude, i): 1 for i in inside}), f"absolute attribution in {tail}"


_KINDS: Mapping[str, Callable[[str, Setting], tuple[Form, str]]] = {
    "component": _component, "output": _output, "distance": _distance, "norm": _norm,
    "mass": _mass,
}
