"""Points that may violate a claim about trees: from boxes between cuts to exact numbers."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np

from verifex.engine.search.trees.domains import CutBoxes
from verifex.engine.search.trees.ground import Ground
from verifex.ir.exact import FloatArray
from verifex.ir.problem import Problem


def dive(ground: Ground, domains: CutBoxes, k: int, atom: int) -> CutBoxes:
    """A box inside domain k that reaches one leaf of each tree: tree by tree, those of the widest
    weights first, the leaf of least weight that can still be reached."""
    here = domains.take(np.array([k]))
    weight = ground.weight[atom]
    ends = np.append(ground.starts, ground.leaves)
    spread = np.maximum.reduceat(np.where(here.alive[0], weight, -np.inf), ground.starts)
    spread = spread - np.minimum.reduceat(np.where(here.alive[0], weight, np.inf), ground.starts)
    for tree in np.argsort(-spread).tolist():
        own = np.arange(ends[tree], ends[tree + 1])
        own = own[here.alive[0, own]]
        if own.size < 2:
            continue
        leaf = int(own[np.argmin(weight[own])])
        surely = np.maximum(here.surely[0], ground.after[:, leaf])
        possibly = np.minimum(here.possibly[0], ground.before[:, leaf])
        for place in np.flatnonzero(surely != here.surely[0]).tolist():
            here.alive[0] &= ground.before[place] >= surely[place]
        for place in np.flatnonzero(possibly != here.possibly[0]).tolist():
            here.alive[0] &= ground.after[place] <= possibly[place]
        here.surely[0], here.possibly[0] = surely, possibly
    return here


def point_in(problem: Problem, ground: Ground, here: CutBoxes, near: bool) -> list[Fraction]:
    """A point of a box (the first of `here`): in the middle between the cuts, or as near to the
    reference as they allow; inputs that trees do not compare stay at the reference."""
    region = problem.region
    centre = problem.point or tuple(
        (a + b) / 2 for a, b in zip(region.lo, region.hi, strict=True))
    found = [min(max(c, a), b) for c, a, b in zip(centre, region.lo, region.hi, strict=True)]
    whole = region.integers.union(*region.one_hot)
    for k, one in enumerate(ground.inputs):
        ends = one.interval(int(here.surely[0, k]), int(here.possibly[0, k]))
        if one.flat in whole:
            # Cuts are at whole numbers there, and beyond one lie those from it on.
            low, high = ends[0], ends[2] - int(ends[3])
            found[one.flat] = min(max(Fraction(round(found[one.flat])), low), high)
        else:
            found[one.flat] = _inside(found[one.flat], *ends, near)
    for i in region.integers - set().union(*region.one_hot):
        found[i] = min(max(Fraction(round(found[i])), Fraction(math.ceil(region.lo[i]))),
                       Fraction(math.floor(region.hi[i])))
    return _with_groups(problem, ground, here, found)


def _inside(
    wanted: Fraction, low: Fraction, low_open: bool, high: Fraction, high_open: bool, near: bool
) -> Fraction:
    """A number between the ends: the one wanted if it lies there."""
    fits = (low < wanted or (low == wanted and not low_open)) and (
        wanted < high or (wanted == high and not high_open))
    if fits or low == high:
        return wanted if fits else low
    width = high - low
    if near:
        # Float32 can tell apart numbers that differ by a millionth of their size.
        step = min(width / 2, (abs(low) + abs(high)) / 2**20 or width / 2)
        return low + step if wanted <= low else high - step
    middle = low + width / 2
    single = float(np.float32(float(middle)))
    return Fraction(single) if low < Fraction(single) < high else middle


def _with_groups(
    problem: Problem, ground: Ground, here: CutBoxes, found: list[Fraction]
) -> list[Fraction]:
    """Exactly one member of each one-hot group is 1: the reference's if the box allows it."""
    places = {one.flat: k for k, one in enumerate(ground.inputs)}
    for group in problem.region.one_hot:
        def ends(i: int) -> tuple[bool, bool]:
            """Whether it has to be 1, and whether it can."""
            k = places.get(i)
            if k is None:
                return problem.region.lo[i] > 0, problem.region.hi[i] >= 1
            return bool(here.surely[0, k] > 0), bool(here.possibly[0, k] > 0)

        kept = max(group, key=lambda i: (ends(i)[0], ends(i)[1], found[i]))
        for i in group:
            found[i] = Fraction(int(i == kept))
    return found


def as_floats(point: list[Fraction]) -> FloatArray:
    return np.array([float(v) for v in point])
