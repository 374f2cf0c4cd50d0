"""Exact values at the reference point, and whether they are defined there.

At a reference on a kink a gate has no value of its own. Before that is called an error, the values
are evaluated with every such gate free in [0, 1]: where the result is one point all the same (a
max-pool over zeros, a gate behind a closed one), the reference does not depend on the gate.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any, TypeAlias

import numpy as np

from verifex.errors import InputError, UnsupportedError
from verifex.ir.exact import ExactArray, Values
from verifex.ir.fields import show
from verifex.ir.graph import Builder, Graph
from verifex.ir.linmap import LinearMap, absolute, apply_exact
from verifex.ir.ops import Input, Step
from verifex.semantics.evaluate import Backend, ExactBackend, evaluate, exact_inputs

KINK_RULES = ("error", "zero")


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
        for i in self._ancestors(node):
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

    def _ancestors(self, node: int) -> list[int]:
        seen, stack = set(), [node]
        while stack:
            i = stack.pop()
            if i not in seen:
                seen.add(i)
                stack.extend(self._builder.node(i).args)
        return sorted(seen)

    def _kinks(self, node: int) -> list[int]:
        """Steps among the ancestors of which some pre-activation is exactly zero."""
        steps = [i for i in self._ancestors(node) if isinstance(self._builder.node(i).op, Step)]
        return [i for i in steps if (self._exact[self._builder.node(i).args[0]].num == 0).any()]

    def _refuse_kink(self, node: int, kinks: list[int]) -> None:
        self._grow(node, HullBackend(), self._hull, lambda v: (v, None))
        _, radius = self._hull[node]
        if radius is None or not radius.num.any():
            return  # every choice of the gates gives the same value
        z = self._builder.node(kinks[0]).args[0]
        where = self._builder.labels.get(z, f"node {z}")
        element = int(np.flatnonzero(self._exact[z].num.ravel() == 0)[0])
        raise InputError(
            f"the reference lies on a kink: element {element} of {where} is exactly 0 there",
            expected='another point, or kink = "zero"',
        )


Hull: TypeAlias = tuple[ExactArray, ExactArray | None]
"""Centre and radius of an exact enclosure; no radius means a point."""


class HullBackend:
    """Exact centre-radius arithmetic in which a gate on its kink is anywhere in [0, 1].

    Sound: centre-radius sums and linear images are exact enclosures, and products use
    |xy - cx cy| <= |cx| ry + |cy| rx + rx ry.
    """

    def const(self, value: Values) -> Hull:
        return ExactBackend().const(value), None

    def linear(self, m: LinearMap, x: Hull) -> Hull:
        centre, radius = x
        moved = None if radius is None else apply_exact(absolute(m), radius)
        return apply_exact(m, centre), moved

    def add(self, a: Hull, b: Hull) -> Hull:
        return a[0] + b[0], _plus(a[1], b[1])

    def mul(self, a: Hull, b: Hull) -> Hull:
        cross = None if a[1] is None or b[1] is None else a[1] * b[1]
        left = None if b[1] is None else _abs(a[0]) * b[1]
        right = None if a[1] is None else _abs(b[0]) * a[1]
        return a[0] * b[0], _plus(_plus(left, right), cross)

    def relu(self, z: Hull) -> Hull:
        if z[1] is None:
            return ExactBackend().relu(z[0]), None
        low, high = ExactBackend().relu(z[0] - z[1]), ExactBackend().relu(z[0] + z[1])
        half = Fraction(1, 2)
        return (low + high).scaled(half), (high - low).scaled(half)

    def step(self, z: Hull) -> Hull:
        low, high = (z[0], z[0]) if z[1] is None else (z[0] - z[1], z[0] + z[1])
        on, off = low.num > 0, high.num < 0
        centre = ExactArray(np.where(on, 2, np.where(off, 0, 1)).astype(object), 2)
        return centre, ExactArray(np.where(on | off, 0, 1).astype(object), 2)

    def concat(self, parts: Sequence[Hull], axis: int) -> Hull:
        zero = [p[0] - p[0] if p[1] is None else p[1] for p in parts]
        xp = ExactBackend()
        return xp.concat([p[0] for p in parts], axis), xp.concat(zero, axis)

    def univariate(self, name: str, x: Hull) -> Hull:
        if x[1] is not None and x[1].num.any():
            raise UnsupportedError(f"{name} of a value that depends on a gate on its kink")
        return ExactBackend().univariate(name, x[0]), None


def _abs(a: ExactArray) -> ExactArray:
    return ExactArray(np.asarray(np.abs(a.num), dtype=object), a.den)


def _plus(a: ExactArray | None, b: ExactArray | None) -> ExactArray | None:
    if a is None or b is None:
        return a if b is None else b
    return a + b


def top(values: Sequence[Fraction], among: Sequence[int]) -> list[int]:
    """`among` sorted by falling value; equal values by rising position."""
    return sorted(among, key=lambda i: (-values[i], i))


def same_value(values: Sequence[Fraction], a: int, b: int, names: Callable[[int], str]) -> str:
    """The message that two elements tie at the reference."""
    return f"{names(a)} and {names(b)} tie at the reference (both {show(values[a])})"
