"""From a witness to one nearer to the reference: what it refutes, it refutes for less change.

Points between the two are tried, all at once in floating point, and the nearest that seem to break
the claim are replayed exactly.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from verifex.engine.falsify.attack import margins
from verifex.engine.falsify.witness import refute
from verifex.engine.verdict import Witness
from verifex.ir.exact import FloatArray
from verifex.ir.problem import Problem

_STEPS = 64
"""Distances that are tried at once, evenly from the one known to hold to that of the witness."""

_ROUNDS = 6
_REPLAYS = 3
"""Exact replays for each family of points and round: they cost milliseconds each."""

_DOUBT = 1e-9


@dataclass(frozen=True)
class Distances:
    """A distance to a centre, the problem of all points within one, and whether to come nearer
    each coordinate may be cut off by itself (l-infinity)."""

    centre: tuple[Fraction, ...]
    of: Callable[[Sequence[Fraction]], Fraction]
    within: Callable[[Fraction], Problem]
    cut: bool


def nearer(measure: Distances, witness: Witness, holds: Fraction, enough: float) -> Witness:
    """A witness as near as these tries come, or the one that is given. The claim is known to hold
    up to the distance `holds`; relative gaps of `enough` between the two are left."""
    best, floor = witness, holds
    for _ in range(_ROUNDS):
        distance = measure.of(best.point)
        if distance - floor <= Fraction(enough) * distance:
            break
        step = (distance - floor) / _STEPS
        targets = [floor + k * step for k in range(1, _STEPS)]
        found = _first_broken(measure, best, targets)
        if found is None:
            floor = max(floor, targets[-1])
            continue
        k, best = found
        # Only a guess of where the claim breaks on this way; what is nearer may break it too.
        floor = max(floor, targets[k - 1]) if k else floor
    return best


def _first_broken(
    measure: Distances, witness: Witness, targets: Sequence[Fraction]
) -> tuple[int, Witness] | None:
    """The least of the distances (by its number) at which a point towards the witness breaks the
    claim, with the witness there."""
    problem = measure.within(targets[-1])
    for points in _families(measure, witness, targets):
        score = margins(problem, problem.violation(), points)
        seems = np.flatnonzero(score >= -_DOUBT)
        for k in seems[:_REPLAYS].tolist():
            found = refute(measure.within(targets[k]), points[k].tolist())
            if found is not None:
                return k, found
    return None


def _families(
    measure: Distances, witness: Witness, targets: Sequence[Fraction]
) -> list[FloatArray]:
    """Points (targets, n) on the way from the witness to the centre: straight, and coordinate by
    coordinate."""
    centre = np.array([float(v) for v in measure.centre])
    change = np.array([float(v - c) for v, c in zip(witness.point, measure.centre, strict=True)])
    whole = float(measure.of(witness.point))
    near = np.array([[float(t)] for t in targets])
    families = [centre + change * (near / whole)]
    if measure.cut:
        families.append(centre + np.clip(change, -near, near))
    return families
