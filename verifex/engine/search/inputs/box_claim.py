"""The violated claim over many boxes at once: which are closed, by which atoms, and how nearly.

The claim is violated where `assume` holds and `require` does not. Every atom `form >= 0` of that
formula gets an upper bound on each box; a box is closed once the formula is false under them.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from verifex.errors import UnsupportedError
from verifex.ir.exact import FloatArray
from verifex.ir.formula import And, Atom, Form, Formula, atoms, fold

Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Judgement:
    """For B boxes: an upper bound of the violated claim's margin, and the atoms (B, A) it rests on.

    Where the claim is closed, `rests` are atoms that make it false; elsewhere those that a split
    should bring down: of a conjunction the one nearest to false, of a disjunction all still open.
    """

    margin: FloatArray
    rank: FloatArray
    """What conjunctions choose by: the margin, but infinite for open atoms on inputs alone, which
    no bound brings down."""
    closed: Bools
    rests: Bools


class BoxClaim:
    """A violated claim with its distinct atoms as rows of coefficients per node."""

    def __init__(self, violation: Formula, sizes: dict[int, int], inputs: Collection[int]) -> None:
        self.violation = violation
        self.atoms = list(dict.fromkeys(atoms(violation)))
        self.place = {a: k for k, a in enumerate(self.atoms)}
        self.strict = np.array([a.strict for a in self.atoms], dtype=bool)
        self.on_inputs = [all(n in inputs for (n, _), _ in a.form.terms) for a in self.atoms]
        self.coefs: dict[int, FloatArray] = {}
        for k, atom in enumerate(self.atoms):
            for (node, index), c in atom.form.terms:
                table = self.coefs.setdefault(node, np.zeros((len(self.atoms), sizes[node])))
                table[k, index] += float(c)
        self.const = np.array([float(a.form.const) for a in self.atoms])

    def judge(self, upper: FloatArray, empty: Bools) -> Judgement:
        """The formula under upper bounds (B, A) of its atoms' forms; `empty` boxes are closed."""
        false = (upper < 0) | (self.strict & (upper <= 0))
        found = fold(
            self.violation,
            lambda atom: self._judge_atom(atom, upper, false),
            lambda junction, parts: (
                _all(parts, upper.shape) if isinstance(junction, And)
                else _some(junction.needed, parts, upper.shape)
            ),
        )
        margin = np.where(empty, -np.inf, found.margin)
        return Judgement(margin, found.rank, found.closed | empty, found.rests)

    def _judge_atom(self, atom: Atom, upper: FloatArray, false: Bools) -> Judgement:
        k = self.place[atom]
        rests = np.zeros(upper.shape, dtype=bool)
        rests[:, k] = True
        rank = upper[:, k]
        if self.on_inputs[k]:
            rank = np.where(false[:, k], rank, np.inf)
        return Judgement(upper[:, k], rank, false[:, k], rests)


def _all(parts: Sequence[Judgement], shape: tuple[int, ...]) -> Judgement:
    """A conjunction is as false as its most false part."""
    if not parts:
        always = np.full(shape[0], np.inf)
        return Judgement(
            always, always, np.zeros(shape[0], dtype=bool), np.zeros(shape, dtype=bool)
        )
    margins, ranks = np.stack([p.margin for p in parts]), np.stack([p.rank for p in parts])
    closed = np.stack([p.closed for p in parts])
    shut: Bools = np.asarray(closed.any(axis=0))
    chosen: NDArray[np.intp] = np.where(closed | ~shut, ranks, np.inf).argmin(axis=0)
    at = np.arange(shape[0])
    rests = np.stack([p.rests for p in parts])[chosen, at]
    return Judgement(margins.min(axis=0), ranks[chosen, at], shut, rests)


def _some(count: int, parts: Sequence[Judgement], shape: tuple[int, ...]) -> Judgement:
    """At least `count` of the parts: false where fewer can be true."""
    if count <= 0:
        return _all([], shape)
    rests, margin = np.zeros(shape, dtype=bool), np.full(shape[0], -np.inf)
    if len(parts) < count:
        return Judgement(margin, margin, np.ones(shape[0], dtype=bool), rests)
    closed = np.stack([p.closed for p in parts])
    shut: Bools = (~closed).sum(axis=0) < count
    for p in parts:
        rests |= p.rests & (shut == p.closed)[:, None]
    margin = np.sort(np.stack([p.margin for p in parts]), axis=0)[-count]
    rank = np.sort(np.stack([p.rank for p in parts]), axis=0)[-count]
    return Judgement(margin, rank, shut, rests)


def refuse_underflow(claimed: Sequence[Atom]) -> None:
    """UnsupportedError where a number of the claim is too small for the normal floats.

    Rounding errors are bounded relative to what is rounded, which only holds for those.
    """
    for atom in claimed:
        for value in (atom.form.const, *(c for _, c in atom.form.terms)):
            if value and abs(value) < SMALLEST:
                raise UnsupportedError(
                    "the claim has a number too small for floats", expected="1e-200 or more")


SMALLEST = Fraction(1, 10**200)


@dataclass(frozen=True)
class Threshold:
    """Atom `atom` is on flat input `side` alone: false where that is at most (sign 1) or at least
    (sign -1) `at`, the float next to where it turns."""

    atom: int
    side: int
    sign: int
    at: float

    def false_on(self, lower: FloatArray, upper: FloatArray) -> Bools:
        """On which of the boxes the atom is false, exactly."""
        if self.sign > 0:
            return np.asarray(upper[:, self.side] <= self.at)
        return np.asarray(lower[:, self.side] >= self.at)


def thresholds(forms: Sequence[Form], offsets: Mapping[int, int]) -> list[Threshold]:
    """Those of the forms that read one input: places to split first. `offsets`: of input nodes."""
    out = []
    for k, form in enumerate(forms):
        if len(form.terms) != 1 or form.terms[0][0][0] not in offsets:
            continue
        (node, index), c = form.terms[0]
        exact = -form.const / c
        sign = 1 if c > 0 else -1
        out.append(Threshold(k, offsets[node] + index, sign, _beside(exact, -sign)))
    return out


_GRID = Fraction(1, 1 << 50)


def _beside(exact: Fraction, sign: int) -> float:
    """A float just above (sign 1) or below (-1) a number, on the checker's grid of 2^-52 with room
    for its rounding: a split there closes the far side in exact arithmetic too."""
    step = sign * exact / _GRID
    near = float(sign * (math.floor(step) + 2) * _GRID)
    while not (near - exact) * sign > 0:  # floats are coarser than the grid there
        near = float(np.nextafter(near, sign * np.inf))
    return near
