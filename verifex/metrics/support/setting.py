"""What a property is built in: the growing graph, its outputs, the explanation, the reference."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import cached_property
from itertools import pairwise
from pathlib import Path

import numpy as np

from verifex.errors import InputError
from verifex.ir.exact import ExactArray
from verifex.ir.fields import PREDICTED, Functional
from verifex.ir.formula import Atom, Cell, Form, Formula, Or
from verifex.ir.graph import Builder, NamedNetwork
from verifex.ir.linmap import Diag, dense, gather, total
from verifex.ir.problem import Defined, named_network
from verifex.metrics.support.files import DataFolder
from verifex.metrics.support.names import Names
from verifex.metrics.support.reference import Reference, same_value, top
from verifex.statement import class_text


@dataclass(frozen=True, eq=False)
class Explanation:
    """The attribution as one node: flat element i is component i.

    `chosen` are the components that claims rank and compare. `nonnegative` says that the reduction
    makes every component >= 0.
    """

    attribution: int
    names: Names
    chosen: tuple[int, ...]
    nonnegative: bool = False


@dataclass(frozen=True, eq=False)
class Setting:
    """Everything a property may read. `logits` is the network output that claims speak about.

    `networks` are all networks by name, where they are several (see `about`). `defined` collects
    where what the properties ask is defined, as they are built. `class_names` names the classes in
    their order, or is empty.
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
        return replace(self, logits=network.outputs[chosen], explained=None)

    def explanation(self) -> Explanation:
        """The explanation; InputError where the spec has none."""
        if self.explained is None:
            raise InputError("this property is about an explanation", expected="an [explain] table")
        return self.explained

    # --- outputs ----------------------------------------------------------------------------

    @property
    def classes(self) -> int:
        return self.builder.node(self.logits).size

    def ranked_classes(self, tie: str = "error", first: int = 1) -> list[int]:
        """The outputs by falling value at the reference; a tie that leaves one of the `first` open
        is an InputError."""
        values = self.reference.values(self.logits)
        order = top(values, range(len(values)))
        for a, b in list(pairwise(order))[:first] if tie != "index" else ():
            if values[a] == values[b]:
                what = same_value(values, a, b, lambda i: f"outputs {i}")
                place = "largest" if a == order[0] else "second largest"
                raise InputError(what.replace("and outputs", "and"), expected=f"one {place} output")
        return order

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
        weights = self.output_weights(functional)
        return Form.of({(self.logits, c): w for c, w in weights.items()})

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
