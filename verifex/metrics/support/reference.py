"""Exact values at the reference point, and whether they are defined there.

At a reference on a kink a gate has no value of its own. Before that is called an error, the values
are evaluated with every such gate free in [0, 1]: where the result is one point all the same (a
max-pool over zeros, a gate behind a closed one), the reference does not depend on the gate.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

import numpy as np

from verifex.errors import InputError, UnsupportedError
from verifex.ir.exact import ExactArray
from verifex.ir.fields import show
from verifex.ir.graph import Builder, Graph
from verifex.ir.ops import Input, Step
from verifex.semantics.evaluate import Backend, ExactBackend, evaluate, exact_inputs
from verifex.semantics.kinks import Hull, HullBackend


class Reference:
    """Values of the nodes of a growing graph at one exact point.

    `kink` says what a gate on its kink is at the reference: "error" (refuse, unless the value does
    not depend on it) or "zero" (shut, which is what PyTorch's autograd takes).
    """

    def __init__(
        self, builder: Builder, graph: Graph, point: Sequence[Fraction] | None, kink: str = "error"
    ) -> None:
        self._builder, self._kink = builder, kink
        self._point = None if point is None else tuple(point)
        self._inputs = {} if point is None else exact_inputs(graph, point)
        self._exact: dict[int, ExactArray] = {}
        self._hull: dict[int, Hull] = {}
        self._values: dict[int, tuple[Fraction, ...]] = {}

    @property
    def known(self) -> bool:
        """Whether there is a reference point."""
        return self._point is not None

    @property
    def point(self) -> tuple[Fraction, ...]:
        """The reference point; InputError where the spec has none."""
        if self._point is None:
            raise InputError("a reference point is needed", expected="[input] point or data")
        return self._point

    def values(self, node: int) -> tuple[Fraction, ...]:
        """The exact elements of a node at the reference, flat."""
        if node not in self._values:
            self._values[node] = self._checked(node)
        return self._values[node]

    def _checked(self, node: int) -> tuple[Fraction, ...]:
        """Evaluate the node, and refuse it where it depends on a kink without a rule."""
        # A message about the missing point comes before any about values.
        _ = self.point
        self._grow(node, ExactBackend(), self._exact, lambda v: v)
        kinks = self._kinks(node)
        if kinks and self._kink == "error":
            self._refuse_kink(node, kinks)
        elif kinks:
            self._builder.notes.append(
                "the reference lies on a kink; its gates are taken as 0 there (kink = \"zero\")"
            )
        return tuple(self._exact[node].fractions())

    def _grow(
        self, node: int, xp: Backend, cache: dict[int, Any], wrap: Callable[[ExactArray], Any]
    ) -> None:
        """Evaluate the ancestors of `node` that are not in the cache yet."""
        for i in self._builder.ancestors([node]):
            if i in cache:
                continue
            op, args = self._builder.node(i).op, self._builder.node(i).args
            if isinstance(op, Input):
                cache[i] = wrap(self._inputs[i])
                continue
            try:
                cache[i] = evaluate[op](op, xp, *(cache[a] for a in args))
            except UnsupportedError as error:
                label = self._builder.labels.get(i, "")
                raise UnsupportedError(
                    f"the reference has no exact value: {error.what}"
                    + (f" ({label})" if label else ""),
                    expected="a piecewise linear network, or a claim that needs no reference",
                ) from None

    def _kinks(self, node: int) -> list[int]:
        """Steps among the ancestors of which some pre-activation is exactly zero."""
        behind = self._builder.ancestors([node])
        steps = [i for i in behind if isinstance(self._builder.node(i).op, Step)]
        return [i for i in steps if (self._exact[self._builder.node(i).args[0]].num == 0).any()]

    def _refuse_kink(self, node: int, kinks: list[int]) -> None:
        self._grow(node, HullBackend(), self._hull, lambda v: (v, None))
        _, radius = self._hull[node]
        # Sound: the enclosure holds for every choice of the gates at once.
        if radius is None or not radius.num.any():
            return  # every choice of the gates gives the same value
        z = self._builder.node(kinks[0]).args[0]
        element = int(np.flatnonzero(self._exact[z].num.ravel() == 0)[0])
        raise InputError(
            f"the reference lies on a kink: {self._place(z, element)}",
            expected='another point, or kink = "zero" at the top of the spec, before [input]',
        )

    def _place(self, preactivation: int, element: int) -> str:
        """Where in the file an element is exactly 0, by the names that the file has there."""
        labels = self._builder.labels
        after = self._named_after(preactivation)
        into = f", which goes into '{labels[after]}'," if after is not None else ""
        if preactivation in labels:
            return f"element {element} of '{labels[preactivation]}'{into} is exactly 0 there"
        # A MaxPool, a Clip and the like are made of ReLUs, whose arguments the file does not have.
        layer = f"'{labels[after]}'" if after is not None else f"node {preactivation}"
        return f"a choice that {layer} makes is a tie there (its gate {element})"

    def _named_after(self, preactivation: int) -> int | None:
        """The first node that the file has a name for and that reads this one through a ReLU."""
        reached = {preactivation}
        for i in range(preactivation + 1, len(self._builder)):
            node = self._builder.node(i)
            if reached.isdisjoint(node.args) or isinstance(node.op, Step):
                continue
            if i in self._builder.labels:
                return i
            reached.add(i)
        return None


def top(values: Sequence[Fraction], among: Sequence[int]) -> list[int]:
    """`among` sorted by falling value; equal values by rising position."""
    return sorted(among, key=lambda i: (-values[i], i))


def same_value(
    values: Sequence[Fraction], first: int, second: int, names: Callable[[int], str]
) -> str:
    """The message that two elements tie at the reference."""
    return f"{names(first)} and {names(second)} tie at the reference (both {show(values[first])})"
