"""Values at the reference point, exact or enclosed, and whether they are defined there.

At a reference on a kink a gate has no value of its own. Before that is called an error, the values
are evaluated with every such gate free in [0, 1]: where the result is one point all the same (a
max-pool over zeros, a gate behind a closed one), the reference does not depend on the gate.

A smooth function has no exact value. What is only compared (classes, ranks, signs) is decided by
outward-rounded intervals then, where these tell the values apart.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, TypeAlias

import numpy as np

from verifex.errors import InputError, UnsupportedError
from verifex.ir.exact import ExactArray
from verifex.ir.fields import show
from verifex.ir.graph import Builder, Graph
from verifex.ir.ops import Input, Step
from verifex.semantics.evaluate import Backend, ExactBackend, evaluate, exact_inputs
from verifex.semantics.interval import bound_nodes
from verifex.semantics.kinks import Hull, HullBackend

Ends: TypeAlias = tuple[Fraction, Fraction]
"""Two bounds of a value, which are equal where it is known exactly."""


@dataclass(frozen=True)
class Ranking:
    """The elements of a node by falling value at the reference, and bounds of each value."""

    order: tuple[int, ...]
    ends: tuple[Ends, ...]

    def told_apart(
        self, first: int, pair: Callable[[int, int], str], expected: str, *, cut: bool = False,
        key: str = "",
    ) -> bool:
        """InputError unless the `first` elements of the order are above all others.

        An exact tie may be `cut` by position; the result says whether one was. `pair` names two
        elements in messages.
        """
        winners, losers = self.order[:first], self.order[first:]
        if not winners or not losers:
            return False
        # Equal bounds: the last of the order before the edge, and the first behind it.
        low = min(reversed(winners), key=lambda i: self.ends[i][0])
        high = max(losers, key=lambda i: self.ends[i][1])
        if self.ends[low][0] > self.ends[high][1]:
            return False
        tied = self.ends[low][0] == self.ends[low][1] == self.ends[high][0] == self.ends[high][1]
        if tied and cut:
            return True
        words = f"tie at the reference (both {show(self.ends[low][0])})" if tied else (
            "are not told apart at the reference: its values are only known between bounds")
        raise InputError(f"{pair(low, high)} {words}", expected=expected, key=key)


class SmoothReferenceError(UnsupportedError):
    """A value at the reference that is no rational number."""


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
        self._ends: dict[int, tuple[Ends, ...]] = {}

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

    def ends(self, node: int) -> tuple[Ends, ...]:
        """Bounds of the elements of a node at the reference, flat: the exact values, or, where
        functions are smooth, outward-rounded intervals."""
        if node not in self._ends:
            try:
                self._ends[node] = tuple((value, value) for value in self.values(node))
            except SmoothReferenceError:
                self._ends[node] = self._enclosed(node)
        return self._ends[node]

    def ranked(self, node: int) -> Ranking:
        """The elements of a node by falling value; equal values by rising position."""
        ends = self.ends(node)
        order = sorted(range(len(ends)), key=lambda i: (-(ends[i][0] + ends[i][1]), i))
        return Ranking(tuple(order), ends)

    def _enclosed(self, node: int) -> tuple[Ends, ...]:
        low, high = ExactArray.from_numbers(self.point).float_bounds()
        box = bound_nodes(self._builder.build({"": node}), low[None], high[None], [node])[node]
        ends = [(a, b) for a, b in zip(box.lo[0].ravel(), box.hi[0].ravel(), strict=True)]
        if not np.isfinite(ends).all():
            raise UnsupportedError("the reference has no bounds",
                                   expected="smaller numbers, or a claim that needs no reference")
        return tuple((Fraction(float(a)), Fraction(float(b))) for a, b in ends)

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
                raise SmoothReferenceError(
                    f"the reference has no exact value: {error.what}"
                    + (f" ({label})" if label else ""),
                    expected="a piecewise linear network, or a claim of class, sign, order or "
                             "top-k, which bounds of the reference decide",
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
