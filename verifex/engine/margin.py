"""How far a formula is from changing its truth: its robust value, at points and under bounds.

The margin of `form >= 0` is the value of the form; of a conjunction the least, of a disjunction the
greatest, of at-least-k the k-th greatest margin of its parts. It is positive where the formula
holds with room, negative where it fails.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from verifex.ir.exact import ExactArray, FloatArray
from verifex.ir.formula import Atom, Dominance, Form, Formula, Junction, fold

Extended: TypeAlias = Fraction | float
"""A fraction, or infinite: plus where always true, minus where never true or not known."""


def exact_margin(formula: Formula, values: Mapping[int, ExactArray]) -> Fraction | None:
    """The margin at exact node values; None where it is infinite (the formula is constant)."""

    def block(dominance: Dominance) -> Extended:
        numbers = values[dominance.node].num.ravel()
        constant, rise, fall = _order_statistics(
            dominance, lambda picked, _: sorted(int(numbers[i]) for i in picked))
        return constant if rise is None else Fraction(rise - fall, values[dominance.node].den)

    return _finite(_margin(formula, lambda form: form.value(values), block))


def lower_margin(
    formula: Formula, lo: Mapping[int, FloatArray], hi: Mapping[int, FloatArray]
) -> Fraction | None:
    """A proven lower bound of the margin under bounds of the nodes; None if there is none."""

    def bound(form: Form) -> Extended:
        low = form.bounds(lo, hi)[0]
        return -math.inf if low is None else low

    def block(dominance: Dominance) -> Extended:
        # Sound: each comparison is at least the lower end of what has to be great less the upper
        # end of the other, and their order statistics are at least those of the lower bounds.
        low, high = lo[dominance.node].ravel(), hi[dominance.node].ravel()
        constant, rise, fall = _order_statistics(
            dominance, lambda picked, great: np.sort((low if great else high)[list(picked)]))
        if rise is None:
            return constant
        best = float(np.nextafter(rise - fall, -np.inf))
        return Fraction(best) if math.isfinite(best) else best

    return _finite(_margin(formula, bound, block))


def dropped_margin(
    formula: Formula, lo: Mapping[int, FloatArray], hi: Mapping[int, FloatArray]
) -> Fraction | None:
    """What the atoms that `simplify` drops as false may still reach (at most 0); None: no such.

    Sound: a margin is monotone in its atoms and moves no further than they do, so the margin of
    the whole is at most the greater of this and the margin of what `simplify` leaves.
    """

    def atom(formula: Atom) -> Fraction | None:
        high = formula.form.bounds(lo, hi)[1]
        false = high is not None and (high < 0 or (high == 0 and formula.strict))
        return high if false else None

    def block(formula: Dominance) -> Fraction | None:
        low, high = lo[formula.node].ravel(), hi[formula.node].ravel()
        w, x = list(formula.winners), list(formula.losers)
        up, down = (high[w][:, None], low[x]) if formula.sense > 0 else (high[x], low[w][:, None])
        never = ((up <= down) if formula.strict else (up < down)) & formula.left().open
        if not never.any():
            return None
        return min(Fraction(0), Fraction(float(np.nextafter(up - down, np.inf)[never].max())))

    def join(_: Junction, parts: list[Fraction | None]) -> Fraction | None:
        return max((v for v in parts if v is not None), default=None)

    return fold(formula, atom, join, block)


def _finite(value: Extended) -> Fraction | None:
    return None if isinstance(value, float) else value


def _kth(values: Sequence[Extended], rank: int) -> Extended:
    """The `rank`-th greatest: infinite where that is 0, or more than there are."""
    if rank <= 0:
        return math.inf
    return sorted(values, reverse=True)[rank - 1] if rank <= len(values) else -math.inf


def _order_statistics(
    dominance: Dominance, ordered: Callable[[tuple[int, ...], bool], Any]
) -> tuple[float, Any, Any]:
    """(infinity, None, None) for a block that is always true or never; else (0, rise, fall), whose
    difference is its margin. `ordered` gives the values of some elements along a last axis, rising;
    it is told whether they have to be great (or small) for the block to hold.

    A winner's margin is its value less that of the loser which it has to beat last, the same for
    all winners: no pair has to be looked at. Rounding keeps the order, so this holds of floats too.
    """
    winners, losers, outer, inner = (
        dominance.winners, dominance.losers, dominance.outer, dominance.inner)
    if not 0 < outer <= len(winners):
        return (math.inf if outer <= 0 else -math.inf), None, None
    if not 0 < inner <= len(losers):
        return (math.inf if inner <= 0 else -math.inf), None, None
    wins_by_more = dominance.sense > 0
    first = _last_axis(ordered(winners, wins_by_more))
    second = _last_axis(ordered(losers, not wins_by_more))
    if wins_by_more:
        return 0.0, first(len(winners) - outer), second(inner - 1)
    return 0.0, second(len(losers) - inner), first(outer - 1)


def _last_axis(values: Any) -> Callable[[int], Any]:
    """Picks from the last axis of an array, or from a list."""
    return lambda at: values[at] if isinstance(values, list) else values[..., at]


def _margin(
    formula: Formula, atom: Callable[[Form], Extended], block: Callable[[Dominance], Extended]
) -> Extended:
    def join(junction: Junction, parts: list[Extended]) -> Extended:
        return _kth(parts, junction.needed)

    def whole(dominance: Dominance) -> Extended:
        # What bounds have left of a block has other counts for every winner.
        if dominance.pairs is None:
            return block(dominance)
        return _margin(dominance.expand(), atom, block)

    return fold(formula, lambda a: atom(a.form), join, whole)


def batch_margin(formula: Formula, values: Mapping[int, Any], lib: Any) -> Any:
    """Margins in floating point for a batch of node values (B, *shape): an array of shape (B,).

    `lib` is `numpy` or `torch`: both have `stack` and `sort`, and the result carries torch
    gradients. Steering only: nothing is concluded from it.
    """

    def atom(formula: Atom) -> Any:
        total = _zeros(values, lib) + float(formula.form.const)
        for (node, index), c in formula.form.terms:
            flat = values[node].reshape(values[node].shape[0], -1)
            total = total + float(c) * flat[:, index]
        return total

    def block(formula: Dominance) -> Any:
        if formula.pairs is not None:
            return batch_margin(formula.expand(), values, lib)
        flat = values[formula.node].reshape(values[formula.node].shape[0], -1)
        constant, rise, fall = _order_statistics(
            formula, lambda picked, _: _sorted(flat[:, list(picked)], lib))
        return _zeros(values, lib) + constant if rise is None else rise - fall

    def join(junction: Junction, parts: list[Any]) -> Any:
        if not parts:
            return _zeros(values, lib) + (-math.inf if junction.needed > 0 else math.inf)
        return _kth_batch(lib.stack(parts, 1), junction.needed, lib)

    return fold(formula, atom, join, block)


def deciding_forms(
    formula: Formula, values: Mapping[int, FloatArray]
) -> tuple[list[Form], NDArray[np.intp]]:
    """The forms of which one is the margin at each point of a batch of values (B, *shape), and
    which one (B,); -1 where the margin is infinite. Along it the margin rises fastest."""
    size = len(next(iter(values.values())))
    forms: list[Form] = []

    def atom(formula: Atom) -> _Decided:
        total = np.full(size, float(formula.form.const))
        for (node, index), c in formula.form.terms:
            total += float(c) * values[node].reshape(size, -1)[:, index]
        forms.append(formula.form)
        return total, np.full(size, len(forms) - 1)

    def block(formula: Dominance) -> _Decided:
        if formula.pairs is not None:
            return fold(formula.expand(), atom, join)
        flat, places = values[formula.node].reshape(size, -1), np.arange(size)
        constant, rise, fall = _order_statistics(
            formula, lambda picked, _: np.array(picked)[np.argsort(flat[:, list(picked)], axis=1)])
        if rise is None:
            return np.full(size, constant), np.full(size, -1)
        first = len(forms)
        forms.extend(Form.of({(formula.node, int(i)): 1, (formula.node, int(j)): -1})
                     for i, j in zip(rise, fall, strict=True))
        return flat[places, rise] - flat[places, fall], first + places

    def join(junction: Junction, parts: list[_Decided]) -> _Decided:
        rank = junction.needed
        if not 0 < rank <= len(parts):
            return np.full(size, math.inf if rank <= 0 else -math.inf), np.full(size, -1)
        found, which = np.stack([p[0] for p in parts], 1), np.stack([p[1] for p in parts], 1)
        place = np.argsort(found, axis=1)[:, [len(parts) - rank]]
        return (np.take_along_axis(found, place, 1)[:, 0],
                np.take_along_axis(which, place, 1)[:, 0])

    return forms, fold(formula, atom, join, block)[1]


_Decided: TypeAlias = tuple[FloatArray, NDArray[np.intp]]
"""Margins (B,), and the form that each of them is."""


def _zeros(values: Mapping[int, Any], lib: Any) -> Any:
    """Zeros of shape (B,)."""
    some = next(iter(values.values()))
    return lib.zeros_like(some.reshape(some.shape[0], -1).sum(1))


def _sorted(values: Any, lib: Any) -> Any:
    """The values along the last axis, rising."""
    found = lib.sort(values, -1)
    return found[0] if isinstance(found, tuple) else found


def _kth_batch(values: Any, rank: int, lib: Any) -> Any:
    """The `rank`-th greatest along the last axis: infinite where that is 0 or too many."""
    if not 0 < rank <= values.shape[-1]:
        return lib.zeros_like(values.sum(-1)) + (math.inf if rank <= 0 else -math.inf)
    ordered = _sorted(values, lib)
    return ordered[..., ordered.shape[-1] - rank]
