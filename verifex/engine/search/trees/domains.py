"""Boxes between cuts, many side by side: the leaves that they reach, and bounds of the atoms."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from verifex.engine.search.trees.ground import Exact, Flags, Ground, Ranks
from verifex.ir.exact import FloatArray

ROWS = 1_500_000
"""Leaves times rows that are bounded in one piece."""


@dataclass
class CutBoxes:
    """N boxes: `surely` and `possibly` (N, inputs) count the cuts that all and some of their points
    are beyond, `alive` (N, leaves) marks the leaves reached, `false` (N, atoms) the atoms known to
    be false; `node` (N,) is the place in the record, `bound` (N,) that of the atom in question."""

    surely: Ranks
    possibly: Ranks
    alive: Flags
    false: Flags
    node: NDArray[np.intp]
    bound: FloatArray

    def __len__(self) -> int:
        return len(self.node)

    def take(self, which: NDArray[np.intp] | Flags) -> CutBoxes:
        return CutBoxes(*(v[which] for v in vars(self).values()))


def joined(parts: list[CutBoxes]) -> CutBoxes:
    """All domains of several batches."""
    columns = zip(*(vars(part).values() for part in parts), strict=True)
    return CutBoxes(*(np.concatenate(column) for column in columns))


def whole(ground: Ground) -> CutBoxes:
    """The region as one domain."""
    cuts = np.array([[len(one.cuts) for one in ground.inputs]], dtype=np.int32)
    found = CutBoxes(
        np.zeros_like(cuts), cuts, np.ones((1, ground.leaves), dtype=bool),
        np.zeros((1, len(ground.atoms)), dtype=bool), np.zeros(1, dtype=np.intp),
        np.array([-np.inf]))
    grouped(ground, found)
    return found


def parts(
    ground: Ground, domains: CutBoxes, place: NDArray[np.intp], rank: NDArray[np.intp]
) -> tuple[CutBoxes, Flags]:
    """Both parts of every domain, side by side: beyond the cut of this rank of the input, then
    before it; and which of them (2N,) have no point by their one-hot groups."""
    both = np.repeat(np.arange(len(domains)), 2)
    found = domains.take(both)
    even, odd = np.arange(0, len(both), 2), np.arange(1, len(both), 2)
    found.surely[even, place] = rank + 1
    found.possibly[odd, place] = rank
    found.alive[even] &= ground.before[place] > rank[:, None]
    found.alive[odd] &= ground.after[place] <= rank[:, None]
    return found, grouped(ground, found)


def grouped(ground: Ground, domains: CutBoxes) -> Flags:
    """Take in what one-hot groups say, in place; the domains without a point."""
    empty = np.zeros(len(domains), dtype=bool)
    for members, other in ground.groups:
        at = list(members)
        chosen = domains.surely[:, at] > 0
        possible = domains.possibly[:, at] > 0
        empty |= chosen.sum(axis=1) > 1
        if not other:
            empty |= ~possible.any(axis=1)
            chosen |= possible & (possible.sum(axis=1) == 1)[:, None]
        one = chosen.any(axis=1)
        for k, place in enumerate(at):
            off = one & ~chosen[:, k] & (domains.possibly[:, place] > 0)
            domains.possibly[off, place] = 0
            domains.alive[off] &= ground.after[place] <= 0
            on = one & chosen[:, k] & (domains.surely[:, place] == 0) & ~empty
            domains.surely[on, place] = 1
            domains.alive[on] &= ground.before[place] > 0
    return empty


class TreeBounds(NamedTuple):
    """Lower bounds of rows (domain, atom), and the weights (rows, leaves) that are reached, inf
    for all others; `least` (rows, trees)."""

    value: FloatArray
    weights: FloatArray
    least: FloatArray


def bounds(ground: Ground, alive: Flags, atom: NDArray[np.intp], base: FloatArray) -> TreeBounds:
    """Bounds of the negated forms of atoms (R,) over boxes that reach `alive` (R, leaves); `base`
    (R,) is what inputs add. Infinite where a tree has no leaf."""
    weights = np.where(alive, ground.weight[atom], np.inf)
    least = np.minimum.reduceat(weights, ground.starts, axis=1)
    return TreeBounds(ground.const[atom] + base + least.sum(axis=1), weights, least)


def exactly_false(ground: Ground, alive: Flags, atom: int) -> bool:
    """Whether a bound in whole numbers makes an atom false, of a form without inputs."""
    weights = ground.exact_weight[atom]
    total = ground.exact_const[atom]
    places = np.flatnonzero(alive)
    tree = ground.tree[places]
    firsts = np.flatnonzero(np.diff(tree, prepend=-1))
    if len(firsts) < len(ground.starts):
        return True
    total = total + np.minimum.reduceat(weights[places], firsts).sum()
    return bool(total > 0 or (total == 0 and ground.strict[atom]))


def exact_value(ground: Ground, alive: Exact) -> Exact:
    """The negated forms of all atoms, times the scale, where each tree has one leaf."""
    return np.asarray(ground.exact_const + ground.exact_weight[:, alive].sum(axis=1))
