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

from verifex.ir.exact import ExactArray, FloatArray
from verifex.ir.formula import And, AtLeast, Atom, Dominance, Form, Formula, Or

Extended: TypeAlias = Fraction | float
"""A fraction, or infinite: plus where always true, minus where never true or not known."""


def exact_margin(formula: Formula, values: Mapping[int, ExactArray]) -> Fraction | None:
    """The margin at exact node values; None where it is infinite (the formula is constant)."""

    def block(dominance: Dominance) -> Extended:
        flat = [
            Fraction(int(n), values[dominance.node].den) for n in values[dominance.node].num.ravel()
        ]
        rows = [
            [dominance.sense * (flat[w] - flat[x]) for x in dominance.losers]
            for w in dominance.winners
        ]
        return _kth([_kth(row, dominance.inner) for row in rows], dominance.outer)

    return _finite(_fold(formula, lambda form: form.value(values), block))


def lower_margin(
    formula: Formula, lo: Mapping[int, FloatArray], hi: Mapping[int, FloatArray]
) -> Fraction | None:
    """A proven lower bound of the margin under bounds of the nodes; None if there is none."""

    def bound(form: Form) -> Extended:
        low = form.bounds(lo, hi)[0]
        return -math.inf if low is None else low

    def block(dominance: Dominance) -> Extended:
        low, high = lo[dominance.node].ravel(), hi[dominance.node].ravel()
        w, x = list(dominance.winners), list(dominance.losers)
        diff = (
            low[w][:, None] - high[x][None]
            if dominance.sense > 0
            else low[x][None] - high[w][:, None]
        )
        best = float(
            _kth_batch(
                _kth_batch(np.nextafter(diff, -np.inf), dominance.inner, np), dominance.outer, np
            )
        )
        return Fraction(best) if math.isfinite(best) else best

    return _finite(_fold(formula, bound, block))


def dropped_margin(
    formula: Formula, lo: Mapping[int, FloatArray], hi: Mapping[int, FloatArray]
) -> Fraction | None:
    """What the atoms that `simplify` drops as false may still reach (at most 0); None: no such.

    Sound: a margin is monotone in its atoms and moves no further than they do, so the margin of
    the whole is at most the greater of this and the margin of what `simplify` leaves.
    """
    match formula:
        case Atom():
            high = formula.form.bounds(lo, hi)[1]
            false = high is not None and (high < 0 or (high == 0 and formula.strict))
            return high if false else None
        case Dominance():
            low, high_ = lo[formula.node].ravel(), hi[formula.node].ravel()
            w, x = list(formula.winners), list(formula.losers)
            up, down = (
                (high_[w][:, None], low[x]) if formula.sense > 0 else (high_[x], low[w][:, None])
            )
            never = (up <= down) if formula.strict else (up < down)
            if not never.any():
                return None
            return min(Fraction(0), Fraction(float(np.nextafter(up - down, np.inf)[never].max())))
        case And() | Or() | AtLeast():
            reached = [dropped_margin(p, lo, hi) for p in formula.parts]
            return max((v for v in reached if v is not None), default=None)


def _finite(value: Extended) -> Fraction | None:
    return None if isinstance(value, float) else value


def _kth(values: Sequence[Extended], rank: int) -> Extended:
    """The `rank`-th greatest: infinite where that is 0, or more than there are."""
    if rank <= 0:
        return math.inf
    return sorted(values, reverse=True)[rank - 1] if rank <= len(values) else -math.inf


def _fold(
    formula: Formula, atom: Callable[[Form], Extended], block: Callable[[Dominance], Extended]
) -> Extended:
    match formula:
        case Atom():
            return atom(formula.form)
        case Dominance():
            return block(formula)
        case And():
            return _kth([_fold(p, atom, block) for p in formula.parts], len(formula.parts))
        case Or():
            return _kth([_fold(p, atom, block) for p in formula.parts], 1)
        case AtLeast():
            return _kth([_fold(p, atom, block) for p in formula.parts], formula.count)


def batch_margin(formula: Formula, values: Mapping[int, Any], lib: Any) -> Any:
    """Margins in floating point for a batch of node values (B, *shape): an array of shape (B,).

    `lib` is `numpy` or `torch`: both have `stack` and `sort`, and the result carries torch
    gradients. Steering only: nothing is concluded from it.
    """
    match formula:
        case Atom():
            total = _zeros(values, lib) + float(formula.form.const)
            for (node, index), c in formula.form.terms:
                flat = values[node].reshape(values[node].shape[0], -1)
                total = total + float(c) * flat[:, index]
            return total
        case Dominance():
            flat = values[formula.node].reshape(values[formula.node].shape[0], -1)
            diff = flat[:, list(formula.winners), None] - flat[:, None, list(formula.losers)]
            rows = _kth_batch(formula.sense * diff, formula.inner, lib)
            return _kth_batch(rows, formula.outer, lib)
        case And() | Or() | AtLeast():
            count = (
                formula.count
                if isinstance(formula, AtLeast)
                else len(formula.parts)
                if isinstance(formula, And)
                else 1
            )
            if not formula.parts:
                return _zeros(values, lib) + (-math.inf if count > 0 else math.inf)
            parts = [batch_margin(p, values, lib) for p in formula.parts]
            return _kth_batch(lib.stack(parts, 1), count, lib)


def _zeros(values: Mapping[int, Any], lib: Any) -> Any:
    """Zeros of shape (B,)."""
    some = next(iter(values.values()))
    return lib.zeros_like(some.reshape(some.shape[0], -1).sum(1))


def _kth_batch(values: Any, rank: int, lib: Any) -> Any:
    """The `rank`-th greatest along the last axis: infinite where that is 0 or too many."""
    if not 0 < rank <= values.shape[-1]:
        return lib.zeros_like(values.sum(-1)) + (math.inf if rank <= 0 else -math.inf)
    found = lib.sort(values, -1)
    ordered = found[0] if isinstance(found, tuple) else found
    return ordered[..., ordered.shape[-1] - rank]
