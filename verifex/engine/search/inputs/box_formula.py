"""A formula of atoms evaluated over many boxes, all parts of one shape side by side.

A query with hundreds of clauses has few shapes of them, so that a handful of array operations
stands for a walk through the whole formula.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from verifex.ir.exact import FloatArray
from verifex.ir.formula import Atom, Formula, Junction, fold

Bools = NDArray[np.bool_]
Numbers = NDArray[np.intp]


@dataclass(frozen=True)
class Shape:
    """What two formulas have in common that differ in their atoms alone: at least `needed` of the
    parts in `groups`, (shape, how many parts of it); an atom has no groups at all."""

    needed: int
    groups: tuple[tuple[Shape, int], ...] | None = None

    @property
    def size(self) -> int:
        """How many atoms there are, counted as often as they stand there."""
        if self.groups is None:
            return 1
        return sum(shape.size * count for shape, count in self.groups)


@dataclass(frozen=True)
class Judged:
    """Of G formulas of one shape over B boxes: `margin` (B, G) is an upper bound of how far each is
    from being false, `rank` what conjunctions choose by (B, G), `closed` whether it is false, and
    `rests` (B, G, atoms of the shape) the atoms that it rests on."""

    margin: FloatArray
    rank: FloatArray
    closed: Bools
    rests: Bools


class FormulaArrays:
    """One formula whose atoms have the numbers `place`."""

    def __init__(self, formula: Formula, place: Mapping[Atom, int]) -> None:
        self.shape, atoms = _shaped(formula, place)
        self.atoms: Numbers = np.array(atoms, dtype=np.intp)
        self._order = np.argsort(self.atoms, kind="stable")
        ordered = self.atoms[self._order]
        self._starts = np.flatnonzero(np.append(True, np.diff(ordered) > 0)[: len(ordered)])
        self._distinct = ordered[self._starts]

    def judge(self, margin: FloatArray, rank: FloatArray, closed: Bools) -> Judged:
        """The whole formula, by what is known of its atoms (B, atoms); `rests` (B, atoms)."""
        found = _judge(self.shape, self.atoms[None], margin, rank, closed)
        rests = self._by_atom(found.rests[:, 0], closed.shape[1])
        return Judged(found.margin[:, 0], found.rank[:, 0], found.closed[:, 0], rests)

    def margin(self, values: FloatArray) -> FloatArray:
        """How far points (P,) are from violating the formula, by the values (P, atoms) of its
        atoms' forms: as `verifex.engine.margin.batch_margin`."""
        false = np.zeros(values.shape, dtype=bool)
        return self.judge(values, values, false).margin

    def open(self, false: Bools) -> Bools:
        """The atoms (B, atoms) on which the formula still depends where some are false."""
        possible, marked = _open(self.shape, self.atoms[None], false)
        return self._by_atom(marked[:, 0] & possible[:, :1], false.shape[1])

    def _by_atom(self, marked: Bools, count: int) -> Bools:
        """Marks (B, places in the formula) by the numbers of atoms."""
        out = np.zeros((len(marked), count), dtype=bool)
        if len(self.atoms):
            out[:, self._distinct] = np.logical_or.reduceat(
                marked[:, self._order], self._starts, axis=1)
        return out


def _shaped(formula: Formula, place: Mapping[Atom, int]) -> tuple[Shape, list[int]]:
    """The shape of a formula, and the numbers of its atoms in the order of the shape."""

    def join(junction: Junction, parts: list[tuple[Shape, list[int]]]) -> tuple[Shape, list[int]]:
        groups: dict[Shape, list[list[int]]] = {}
        for shape, atoms in parts:
            groups.setdefault(shape, []).append(atoms)
        counted = tuple((shape, len(alike)) for shape, alike in groups.items())
        atoms = [k for alike in groups.values() for part in alike for k in part]
        return Shape(junction.needed, counted), atoms

    return fold(formula, lambda atom: (Shape(1), [place[atom]]), join)


def _groups(shape: Shape, atoms: Numbers) -> Iterator[tuple[Shape, int, Numbers]]:
    """The groups of G formulas of a shape, with their atoms (G, size): (shape, parts of each
    formula, atoms (G * parts, size of the group's shape))."""
    groups = shape.groups or ()
    ends = np.cumsum([0, *(part.size * count for part, count in groups)]).tolist()
    for (part, count), (start, stop) in zip(groups, pairwise(ends), strict=True):
        yield part, count, atoms[:, start:stop].reshape(len(atoms) * count, part.size)


def _judge(
    shape: Shape, atoms: Numbers, margin: FloatArray, rank: FloatArray, closed: Bools
) -> Judged:
    """G formulas of a shape with atoms (G, size)."""
    count, formulas = len(margin), len(atoms)
    if shape.groups is None:
        here = atoms[:, 0]
        rests = np.ones((count, formulas, 1), dtype=bool)
        return Judged(margin[:, here], rank[:, here], closed[:, here], rests)
    parts = [
        (number, _judge(part, mine, margin, rank, closed))
        for part, number, mine in _groups(shape, atoms)]
    total = sum(number for number, _ in parts)
    one = (count, formulas)
    if shape.needed <= 0:
        always = np.full(one, np.inf)
        nothing = np.zeros((*one, shape.size), dtype=bool)
        return Judged(always, always, np.zeros(one, dtype=bool), nothing)
    if total < shape.needed:
        never = np.full(one, -np.inf)
        nothing = np.zeros((*one, shape.size), dtype=bool)
        return Judged(never, never, np.ones(one, dtype=bool), nothing)
    margins, ranks, shut = (
        np.concatenate([side.reshape(*one, number) for number, side in sides], axis=2)
        for sides in ([(n, p.margin) for n, p in parts], [(n, p.rank) for n, p in parts],
                      [(n, p.closed) for n, p in parts]))
    if shape.needed == total:
        done, chosen = _all_of(ranks, shut)
        value, order = margins.min(axis=2), np.take_along_axis(ranks, chosen[..., None], 2)[..., 0]
        picked = np.arange(total) == chosen[..., None]
    else:
        done = np.asarray((~shut).sum(axis=2) < shape.needed)
        picked = shut == done[..., None]
        value = np.sort(margins, axis=2)[..., -shape.needed]
        order = np.sort(ranks, axis=2)[..., -shape.needed]
    return Judged(value, order, done, _spread(parts, picked))


def _all_of(ranks: FloatArray, closed: Bools) -> tuple[Bools, Numbers]:
    """Which conjunctions are false, and the part that each rests on: of those that are false, or
    else of all, the one of least rank."""
    shut = np.asarray(closed.any(axis=2))
    return shut, np.where(closed | ~shut[..., None], ranks, np.inf).argmin(axis=2)


def _spread(parts: Sequence[tuple[int, Judged]], picked: Bools) -> Bools:
    """The atoms that the picked parts (B, G, parts) rest on."""
    (count, formulas), at, out = picked.shape[:2], 0, []
    for number, part in parts:
        rests = part.rests.reshape(count, formulas, number, -1)
        mine = rests & picked[:, :, at : at + number, None]
        out.append(mine.reshape(count, formulas, -1))
        at += number
    return np.concatenate(out, axis=2)


def _open(shape: Shape, atoms: Numbers, false: Bools) -> tuple[Bools, Bools]:
    """Which of G formulas may still be true (B, G), and the atoms (B, G, size) that this depends
    on; none of a formula that is false."""
    count, formulas = len(false), len(atoms)
    if shape.groups is None:
        true = ~false[:, atoms[:, 0]]
        return true, true[..., None]
    left, marks = np.zeros((count, formulas), dtype=np.intp), []
    for part, number, mine in _groups(shape, atoms):
        possible, marked = _open(part, mine, false)
        left += possible.reshape(count, formulas, number).sum(axis=2)
        marks.append(marked.reshape(count, formulas, -1))
    here = left >= shape.needed
    nothing = np.zeros((count, formulas, 0), dtype=bool)
    return here, np.concatenate([nothing, *marks], axis=2) & here[..., None]
