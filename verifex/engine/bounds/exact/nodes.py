"""What each operation makes of exact affine forms and intervals of its arguments."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from verifex.ir.exact import ExactArray, ObjectArray

Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class NodeForm:
    """All elements of one node, of shape S: `forms` (1 + k, *S) are their constants and their
    coefficients of the k free inputs, 0 where `open` (S); `low`, `high` (1, *S) are their ends."""

    forms: ExactArray
    open: Flags
    low: ExactArray
    high: ExactArray

    @property
    def point(self) -> Flags:
        """Which elements are constant, since their ends meet."""
        den = self.low.den * self.high.den
        same: Flags = np.asarray(self.low.over(den) == self.high.over(den), dtype=bool)
        return np.asarray(same[0])


def masked(values: ExactArray, where: Flags) -> ExactArray:
    """The values, 0 elsewhere."""
    return ExactArray(np.asarray(np.where(where[None], values.num, 0), dtype=object), values.den)


def constant_form(value: ExactArray, free: int) -> NodeForm:
    forms: Any = np.zeros((1 + free, *value.shape[1:]), dtype=object)
    forms[0] = value.num[0]
    none = np.zeros(value.shape[1:], dtype=bool)
    return NodeForm(ExactArray(forms, value.den), none, value, value)


def relu_form(preact: NodeForm, side: NDArray[np.int8]) -> NodeForm:
    low, high = (
        ExactArray(np.asarray(np.maximum(end.num, 0), dtype=object), end.den)
        for end in (preact.low, preact.high))
    open_ = (side == 0) | ((side > 0) & preact.open)
    return NodeForm(masked(preact.forms, (side > 0) & ~open_), open_, low, high)


def _numerators(ends: ExactArray) -> ObjectArray:
    """Of a bound (1, *shape): (*shape), as Python integers also where the shape is that of one
    number, which numpy would take for a machine integer."""
    return np.asarray(ends.num[0], dtype=object)


def step_form(preact: NodeForm, side: NDArray[np.int8]) -> NodeForm:
    forms: Any = np.zeros(preact.forms.shape, dtype=object)
    forms[0] = (side > 0).astype(int)
    low, high = ((side > 0).astype(int), (side >= 0).astype(int))
    return NodeForm(
        ExactArray(forms), side == 0, ExactArray(low[None].astype(object)),
        ExactArray(high[None].astype(object)))


def gate_form(gate: NodeForm, value: NodeForm) -> NodeForm:
    on, off = np.asarray(gate.low.num[0] == gate.low.den), np.asarray(gate.high.num[0] == 0)
    least, most = _numerators(value.low), _numerators(value.high)
    # An undecided gate of what is zero anyway does not matter.
    zero = ~value.open & np.asarray((value.forms.num == 0).all(axis=0), dtype=bool)
    open_ = ~(off | zero | (on & ~value.open))
    low = np.where(off, 0, np.where(on, least, np.minimum(least, 0)))
    high = np.where(off, 0, np.where(on, most, np.maximum(most, 0)))
    return NodeForm(
        masked(value.forms, on & ~open_), open_,
        ExactArray(np.asarray(low[None], dtype=object), value.low.den),
        ExactArray(np.asarray(high[None], dtype=object), value.high.den))


def mul_form(value: NodeForm, other: NodeForm, *, same: bool) -> NodeForm:
    """Affine where one of the factors is constant."""
    first, second = value.point, other.point
    by_first = ExactArray(
        np.asarray(other.forms.num * np.where(first, _numerators(value.low), 0), dtype=object),
        other.forms.den * value.low.den)
    only_second = second & ~first
    by_second = ExactArray(
        np.asarray(
            value.forms.num * np.where(only_second, _numerators(other.low), 0), dtype=object),
        value.forms.den * other.low.den)
    nothing = first & np.asarray(value.low.num[0] == 0)
    nothing = nothing | (second & np.asarray(other.low.num[0] == 0))
    open_ = ~(nothing | (first & ~other.open) | (only_second & ~value.open))
    ends = [a * b for a in (value.low, value.high) for b in (other.low, other.high)]
    if same:  # the ends of a square belong to the same end of its root
        ends = [value.low * value.low, value.high * value.high]
        straddles = np.asarray((value.low.num < 0) & (value.high.num > 0))
        ends.append(ExactArray(np.asarray(np.where(straddles, 0, ends[0].num), dtype=object),
                               ends[0].den))
    den = np.lcm.reduce(np.array([e.den for e in ends], dtype=object))
    stacked = np.stack([e.over(int(den)) for e in ends])
    return NodeForm(
        masked(by_first + by_second, ~open_), open_,
        ExactArray(np.asarray(stacked.min(axis=0), dtype=object), int(den)),
        ExactArray(np.asarray(stacked.max(axis=0), dtype=object), int(den)))


def concat_form(parts: Sequence[NodeForm], axis: int) -> NodeForm:
    def joined(values: Sequence[ExactArray]) -> ExactArray:
        den = int(np.lcm.reduce(np.array([v.den for v in values], dtype=object)))
        return ExactArray(np.concatenate([v.over(den) for v in values], axis=axis + 1), den)

    return NodeForm(
        joined([p.forms for p in parts]), np.concatenate([p.open for p in parts], axis=axis),
        joined([p.low for p in parts]), joined([p.high for p in parts]))
