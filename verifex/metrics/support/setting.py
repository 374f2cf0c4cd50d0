"""What a property is built in: the growing graph, its outputs, the explanation, the reference."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import cached_property
from pathlib import Path

import numpy as np

from verifex.errors import InputError, UnsupportedError
from verifex.ir.exact import ExactArray
from verifex.ir.fields import PREDICTED, Functional, show
from verifex.ir.formula import FALSE, TRUE, And, Atom, Cell, Form, Formula, Or, compare
from verifex.ir.graph import Builder, Head, NamedNetwork
from verifex.ir.linmap import Diag, dense, gather, total
from verifex.ir.problem import Defined, named_network
from verifex.metrics.support.files import DataFolder
from verifex.metrics.support.heads import LogitBound, explained_form, is_linear, logit_bound
from verifex.metrics.support.names import Names
from verifex.metrics.support.reference import Reference
from verifex.statement import class_text


@dataclass(frozen=True, eq=False)
class Explanation:
    """The attribution as one node: flat element i is component i.

    `chosen` are the components that claims rank and compare. `nonnegative` says that the reduction
    makes every component >= 0. `scaled` says that the explanation is these components times a
    positive number that depends on x (see `heads.py`), which only some properties may be asked of.
    """

    attribution: int
    names: Names
    chosen: tuple[int, ...]
    nonnegative: bool = False
    scaled: bool = False


@dataclass(frozen=True)
class OutputHead:
    """What the network's output is of its logits, and its node (see `verifex.ir.graph.Head`)."""

    kind: str
    node: int


def decided_on(output: int, head: Head | None) -> tuple[int, OutputHead | None]:
    """The node on which claims about an output are decided, and what the output is of it."""
    return (output, None) if head is None else (head.logits, OutputHead(head.kind, output))


@dataclass(frozen=True, eq=False)
class Setting:
    """Everything a property may read. `logits` is the network output that claims speak about, or,
    where that is a `head`, its logits, on which class and order are decided.

    `networks` are all networks by name, where they are several (see `about`). `defined` collects
    where what the properties ask is defined, as they are built. `class_names` names the classes in
    their order, or is empty.

    A bound of a probability may be irrational on the logits; it lies between two rationals then.
    `strong` says which of them is taken: the one that makes the property stronger than it is, or
    the one that makes it weaker. `rounded` collects the bounds for which that made a difference.
    """

    builder: Builder
    inputs: tuple[int, ...]
    features: Names
    logits: int
    output: Functional
    reference: Reference
    explained: Explanation | None = None
    files: DataFolder = field(default_factory=lambda: DataFolder(Path()))
    defined: list[Defined] = field(default_factory=list)
    networks: tuple[NamedNetwork, ...] = ()
    class_names: tuple[str, ...] = ()
    head: OutputHead | None = None
    strong: bool = True
    rounded: list[str] = field(default_factory=list)

    def about(self, name: str, output: str | None = None) -> Setting:
        """This setting for another of its networks, without an explanation.

        `output` names one of that network's outputs; it may be left out where there is one alone.
        """
        network = named_network(self.networks, name)
        known = list(network.outputs)
        chosen = known[0] if output is None and len(known) == 1 else output
        if chosen is None or chosen not in network.outputs:
            raise InputError(f"which output of network '{name}'?",
                             expected=f"one of {', '.join(known)}")
        logits, head = decided_on(network.outputs[chosen], network.heads.get(chosen))
        return replace(self, logits=logits, explained=None, head=head)

    def explanation(self) -> Explanation:
        """The explanation; InputError where the spec has none."""
        if self.explained is None:
            raise InputError("this property is about an explanation", expected="an [explain] table")
        return self.explained

    # --- outputs ----------------------------------------------------------------------------

    @property
    def classes(self) -> int:
        """How many outputs there are."""
        return self.builder.node(self.logits).size

    @property
    def class_count(self) -> int:
        """How many classes there are: one output alone divides two (see `class_.py`)."""
        return max(2, self.classes)

    def need_one_row(self) -> None:
        """InputError where the output has several axes, so that no one class is the largest."""
        shape = self.builder.shape(self.logits)
        if sum(side > 1 for side in shape) > 1:
            raise InputError(
                f"the output has shape {list(shape)}, which is several rows of classes",
                expected='an output of one row, or output = "logit:c" by position')

    @property
    def outputs(self) -> int:
        """The node of the network's output as the file has it."""
        return self.logits if self.head is None else self.head.node

    def ranked_classes(self, tie: str = "error", first: int = 1) -> list[int]:
        """The outputs by falling value at the reference; a tie that leaves one of the `first` open
        is an InputError."""
        self.need_one_row()
        found = self.reference.ranked(self.logits)
        for place, word in enumerate(("largest", "second largest")[:first]):
            found.told_apart(place + 1, lambda a, b: f"outputs {a} and {b}", f"one {word} output",
                             cut=tie == "index")
        return list(found.order)

    def output_weights(self, functional: Functional) -> dict[int, Fraction]:
        """The functional as weights of outputs; names such as "predicted" resolved."""
        if functional.kind == "sum":
            return dict.fromkeys(range(self.classes), Fraction(1))
        if functional.kind == "weights":
            if len(functional.weights) != self.classes:
                raise InputError(f"{len(functional.weights)} weights", expected=f"{self.classes}")
            return {c: w for c, w in enumerate(functional.weights) if w != 0}
        found = [self._resolve(c) for c in functional.classes]
        if len(set(found)) < len(found):
            raise InputError("the margin of an output with itself", expected="two outputs")
        return dict(zip(found, functional.weights, strict=True))

    def _resolve(self, label: int | str) -> int:
        if isinstance(label, str):
            if self.classes == 1 and label == PREDICTED:
                return 0
            if self.classes < 2:
                raise InputError(f"{self.classes} outputs", expected="at least two")
            place = 1 if label == PREDICTED else 2
            return self.ranked_classes(first=place)[place - 1]
        if label >= self.classes:
            raise InputError(f"output {label}", expected=f"0..{self.classes - 1}")
        return label

    def output_form(self, functional: Functional) -> Form:
        """The functional as a linear form of the output node."""
        return self._form(self.outputs, self.output_weights(functional))

    @staticmethod
    def _form(node: int, weights: Mapping[int, Fraction]) -> Form:
        return Form.of({(node, c): w for c, w in weights.items()})

    def output_bounds(
        self, weights: Mapping[int, Fraction], bounds: Iterable[tuple[str, Fraction]]
    ) -> Formula:
        """All of the bounds (`at_least` and so on) of the outputs' weighted sum.

        On a head's outputs they are said of the logits wherever that is the same (see `heads.py`).
        """
        parts = [self._output_bound(weights, key, value) for key, value in bounds]
        return parts[0] if len(parts) == 1 else And(tuple(parts))

    def _output_bound(self, weights: Mapping[int, Fraction], key: str, value: Fraction) -> Formula:
        found = self._logit_bound(weights, key, value)
        if found is None:
            return compare(self._form(self.outputs, weights), key, value)
        if not found.logits:
            return TRUE if found.always else FALSE
        if len(set(found.limit)) > 1:
            self.rounded.append(key)
            self.builder.notes.append(ROUNDED)
        return compare(self._form(self.logits, found.logits), found.key, found.end(self.strong))

    def _logit_bound(
        self, weights: Mapping[int, Fraction], key: str, value: Fraction
    ) -> LogitBound | None:
        if self.head is None:
            return None
        return logit_bound(self.head.kind, weights, self.classes, key, value)

    def limit_of_output(self, key: str, value: Fraction) -> tuple[Fraction, Fraction]:
        """What a bound of the only output is on its logit, or itself: two ends around it."""
        found = self._logit_bound({0: Fraction(1)}, key, value)
        if found is not None and not found.logits:
            raise InputError(f"a probability is never {show(value)}", expected="above 0, below 1",
                             key="threshold")
        return (value, value) if found is None else found.limit

    def gradient_of(self, weights: Mapping[int, Fraction]) -> int:
        """A node of one element whose gradient is that of the outputs' weighted sum, times a
        positive number that may depend on x."""
        head = self.head
        if head is not None:
            same = explained_form(head.kind, weights, self.classes)
            if same.scaled or is_linear(head.kind, weights):
                return functional_node(self.builder, self.logits, same.logits)
        return functional_node(self.builder, self.outputs, weights)

    def explained_node(self, functional: Functional) -> tuple[int, bool]:
        """A node of one element whose attribution is that of the functional, and whether it is so
        up to a positive factor only. Of a head it is a form of the logits (see `heads.py`)."""
        scaled, weights = False, dict(self.output_weights(functional))
        if self.head is not None:
            same = explained_form(self.head.kind, weights, self.classes)
            weights, scaled = dict(same.logits), same.scaled
            name = self.head.kind.replace("_", "-")
            self.builder.notes.append(SCALED.format(name) if scaled else LOGITS.format(name))
        return functional_node(self.builder, self.logits, weights), scaled

    # --- words ------------------------------------------------------------------------------

    def class_name(self, position: int) -> str:
        """The class in words: its position, and its name if it has one."""
        return class_text(position, self.class_names[position] if self.class_names else "")

    def output_text(self, functional: Functional) -> str:
        """The functional in words; "predicted" and the like as the outputs that they are here."""
        if functional.kind == "sum":
            return "the sum of all outputs"
        if functional.kind == "weights":
            return "a weighted sum of the outputs"
        words = [f"the output of class {self.class_name(c)}" if self.classes > 1 else "the output"
                 for c in self.output_weights(functional)]
        return " minus ".join(words)

    def need_scale(self, what: str) -> None:
        """UnsupportedError where `what` depends on the scale of an explanation that is only known
        up to a positive factor."""
        if self.explained is not None and self.explained.scaled:
            raise UnsupportedError(
                f"{what} of a probability's explanation: it depends on its scale",
                expected="sign, order, top_k, similarity, mass or bounds of 0; or "
                         f"{self.way_to_logits()}", key=what)

    def way_to_logits(self) -> str:
        """How a spec asks for the logits in place of a head's output, in words."""
        name = self.builder.labels.get(self.logits, "")
        return f'network_output = "{name}", the logits' if name else (
            "the network's logits as network_output")

    def explained_as(self) -> str:
        """What stands for a head's output in an explanation, in words."""
        if self.head is None or self.explained is None:
            return ""
        return " (by the margin of the logits)" if self.explained.scaled else " (its logit)"

    def require_derivatives(self, features: Iterable[int]) -> None:
        """UnsupportedError where a feature is read as a whole number (an integer, a category): the
        network is a function of whole numbers there, and what it is between them is not said."""
        whole = next((i for i in features if i in self.builder.whole_inputs), None)
        if whole is not None:
            raise UnsupportedError(
                f"a derivative by {self.features.name(whole)}, which the network reads as a whole "
                "number", expected="features that are read as numbers: features = [...] of "
                "[explain] names them")

    # --- attribution ------------------------------------------------------------------------

    @cached_property
    def components(self) -> int:
        """The node of the chosen components, flat position k is component `chosen[k]`."""
        explained = self.explanation()
        shape = self.builder.shape(explained.attribution)
        if len(explained.chosen) == explained.names.size:
            return explained.attribution
        return self.builder.affine(gather(shape, explained.chosen), explained.attribution)

    @cached_property
    def magnitude(self) -> int:
        """The node of the absolute values of the chosen components."""
        if self.explanation().nonnegative:
            return self.components
        return self.builder.absolute(self.components)

    def nonzero(self) -> Formula:
        """Some chosen component is not zero, said of the components alone: it adds no nodes."""
        # Twice as many atoms as a total of magnitudes has terms, but no gates.
        cells = [(self.components, i) for i in range(self.builder.node(self.components).size)]
        return Or(tuple(Atom(Form.of({c: sign}), True) for c in cells for sign in (1, -1)))

    def positive_total(self) -> Formula:
        """The same as one atom, sum |A_i| > 0; signed components get a node of absolute values."""
        return Atom(sum_form(self.magnitude, self.builder.node(self.magnitude).size), strict=True)

    def component_reference(self) -> tuple[Fraction, ...]:
        """A(x0), exact: the chosen components, in the order of `chosen`."""
        return self.reference.values(self.components)

    def change(self) -> int:
        """The node A(x) - A(x0) of the chosen components."""
        node = self.components
        shape = self.builder.shape(node)
        base = ExactArray.from_numbers(self.component_reference(), shape)
        return self.builder.sum([node, self.builder.const(base)], [1, -1])

    def total(self, node: int) -> int:
        """The sum of all elements of a node, a scalar."""
        return self.builder.affine(total(self.builder.shape(node)), node)


SCALED = (
    "the output is a {}: its gradient is a positive multiple of that of the logits' margin, which "
    "is what is compared"
)
LOGITS = "the output is a {}: what is explained is its logits"
ROUNDED = (
    "a bound of a probability is compared on the logits, where it is irrational: a proof takes the "
    "stronger, a refutation the weaker of the two multiples of 2^-64 around it"
)


def sum_form(node: int, size: int) -> Form:
    """The sum of all elements of a node as a form."""
    terms: Mapping[Cell, int] = {(node, i): 1 for i in range(size)}
    return Form.of(terms)


def functional_node(builder: Builder, logits: int, weights: Mapping[int, Fraction]) -> int:
    """A node of one element: the weighted sum of the outputs."""
    shape, size = builder.shape(logits), builder.node(logits).size
    if not weights:
        raise InputError("all weights are zero", expected="a functional that depends on an output")
    # A single output is picked: a map that adds nothing has no rounding.
    if list(weights.values()) == [1]:
        return builder.affine(gather(shape, list(weights)), logits)
    # As a matrix row where every weight is a float, so that exported networks hold plain numbers.
    row = [weights.get(c, Fraction(0)) for c in range(size)]
    floats = ExactArray.from_numbers(row).to_float()
    if all(Fraction(f) == w for f, w in zip(floats.tolist(), row, strict=True)):
        return builder.affine(dense(np.asarray([floats]), shape, (1,)), logits)
    scaled = builder.affine(Diag(shape, shape, ExactArray.from_numbers(row, shape)), logits)
    return builder.affine(total(shape), scaled)
