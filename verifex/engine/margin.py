"""How far a formula is from changing its truth: its robust value, at points and under bounds.

The margin of `form >= 0` is the value of the form; of a conjunction the least, of a disjunction the
greatest, of at-least-k the k-th greatest margin of its parts. It is positive where the formula
holds with room, negative where it fails.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from typing import Any

import numpy as np

from verifex.ir.exact import ExactArray, FloatArray
from verifex.ir.formula import And, AtLeast, Atom, Dominance, Form, Formula, Or


def exact_margin(f: Formula, values: Mapping[int, ExactArray]) -> Fraction | None:
    """The margin at exact node values; None for a constant formula (its margin is infinite)."""
    if isinstance(f, Dominance):
        flat = [Fraction(int(n), values[f.node].den) for n in values[f.node].num.ravel()]
        rows = [
            sorted((f.sense * (flat[w] - flat[x]) for x in f.losers), reverse=True)
            for w in f.winners
        ]
        return _kth([_kth(row, f.inner) for row in rows], f.outer)
    return _fold(f, lambda form: form.value(values), lambda d: exact_margin(d, values))


def lower_margin(
    f: Formula, lo: Mapping[int, FloatArray], hi: Mapping[int, FloatArray]
) -> Fraction | None:
    """A proven lower bound of the margin under bounds of the nodes; None if there is none."""

    def bound(form: Form) -> Fraction | None:
        return form.bounds(lo, hi)[0]

    def block(d: Dominance) -> Fraction | None:
        low, high = lo[d.node].ravel(), hi[d.node].ravel()
        w, x = list(d.winners), list(d.losers)
        diff = low[w][:, None] - high[x][None] if d.sense > 0 else low[x][None] - high[w][:, None]
        rows = (
            -np.sort(-np.nextafter(diff, -np.inf), axis=1)[:, d.inner - 1] if d.inner > 0 else None
        )
        if rows is None or d.outer <= 0:
            return None
        best = -np.sort(-rows)[d.outer - 1]
        return Fraction(float(best)) if np.isfinite(best) else None

    return _fold(f, bound, block)


def dropped_margin(
    f: Formula, lo: Mapping[int, FloatArray], hi: Mapping[int, FloatArray]
) -> Fraction | None:
    """What the atoms that `simplify` drops as false may still reach (at most 0); None: no such.

    Sound: a margin is monotone in its atoms and moves no further than they do, so the margin of
    the whole is at most the greater of this and the margin of what `simplify` leaves.
    """
    match f:
        case Atom():
            high = f.form.bounds(lo, hi)[1]
            false = high is not None and (high < 0 or (high == 0 and f.strict))
            return high if false else None
        case Dominance():
            low, high_ = lo[f.node].ravel(), hi[f.node].ravel()
            w, x = list(f.winners), list(f.losers)
            up, down = (high_[w][:, None], low[x]) if f.sense > 0 else (high_[x], low[w][:, None])
            never = (up <= down) if f.strict else (up < down)
            if not never.any():
                return None
            return min(Fraction(0), Fraction(float(np.nextafter(up - down, np.inf)[never].max())))
        case And() | Or() | AtLeast():
            return _kth([dropped_margin(p, lo, hi) for p in f.parts], 1)


def _kth(values: Sequence[Fraction | None], k: int) -> Fraction | None:
    """The k-th greatest, None standing for minus infinity (and for no value at all)."""
    known = sorted((v for v in values if v is not None), reverse=True)
    return known[k - 1] if 0 < k <= len(known) else None


def _fold(
    f: Formula,
    atom: Callable[[Form], Fraction | None],
    block: Callable[[Dominance], Fraction | None],
) -> Fraction | None:
    match f:
        case Atom():
            return atom(f.form)
        case Dominance():
            return block(f)
        case And():
            return _kth([_fold(p, atom, block) for p in f.parts], len(f.parts))
        case Or():
            return _kth([_fold(p, atom, block) for p in f.parts], 1)
        case AtLeast():
            return _kth([_fold(p, atom, block) for p in f.parts], f.count)


def batch_margin(f: Formula, values: Mapping[int, Any], lib: Any) -> Any:
    """Margins in floating point for a batch of node values (B, *shape): an array of shape (B,).

    `lib` is `numpy` or `torch`: both have `stack` and `sort`, and the result carries torch
    gradients. Steering only: nothing is concluded from it.
    """
    match f:
        case Atom():
            any_value = next(iter(values.values()))
            total = any_value.reshape(any_value.shape[0], -1)[:, 0] * 0 + float(f.form.const)
            for (node, index), c in f.form.terms:
                flat = values[node].reshape(values[node].shape[0], -1)
                total = total + float(c) * flat[:, index]
            return total
        case Dominance():
            flat = values[f.node].reshape(values[f.node].shape[0], -1)
            diff = flat[:, list(f.winners), None] - flat[:, None, list(f.losers)]
            rows = _kth_batch(f.sense * diff, f.inner, lib)
            return _kth_batch(rows, f.outer, lib)
        case And() | Or() | AtLeast():
            count = f.count if isinstance(f, AtLeast) else len(f.parts) if isinstance(f, And) else 1
            if not f.parts:
                any_value = next(iter(values.values()))
                sign = float("inf") if isinstance(f, And) else float("-inf")
                return any_value.reshape(any_value.shape[0], -1)[:, 0] * 0 + sign
            parts = [batch_margin(p, values, lib) for p in f.parts]
            return _kth_batch(lib.stack(parts, 1), count, lib)


def _kth_batch(values: Any, k: int, lib: Any) -> Any:
    """The k-th greatest along the last axis: infinite where none is asked for, or too many are."""
    if not 0 < k <= values.shape[-1]:
        return values.sum(-1) * 0 + (float("inf") if k <= 0 else float("-inf"))
    found = lib.sort(values, -1)
    ordered = found[0] if isinstance(found, tuple) else found
    return ordered[..., ordered.shape[-1] - k]
