"""Whether a point refutes a claim."""

from __future__ import annotations

from fractions import Fraction

from ..bounds.at_point import ends, exactly
from ..failures import need
from ..spec.claim import Claim
from ..spec.formulas import can_hold
from .atoms import Atoms


def check_witness(claim: Claim, atoms: Atoms, cuts: int, point: list[Fraction]) -> None:
    """Refuse a point outside the region, or one where the claim is not violated.

    A gate is on a kink only where its two sides differ. An atom counts if its value is the same for
    all choices of the gates whose argument is 0. Sound: the gates at all points nearby are among
    these, so the attribution that it reads has one limit from every side, and so is defined.
    """
    need(len(point) == claim.size, "witness: another length")
    need(inside(claim, cuts, point), "witness: outside the region")
    low, high = ends(claim.graph, atoms.node, point, False)
    on_kink = {k for k, value in enumerate(low) if value != high[k]}
    violated = can_hold(
        atoms.formula, lambda k: k in on_kink or atoms.refuted(k, -low[k]))
    need(violated or not on_kink, "witness: on a kink")
    need(violated, "witness: the claim holds there")


def inside(claim: Claim, cuts: int, point: list[Fraction]) -> bool:
    """Whether a point lies in the region, exactly."""
    region = claim.region
    if not all(a <= v <= b for a, v, b in zip(region.low, point, region.high, strict=True)):
        return False
    if any(point[i].denominator != 1 for i in region.whole):
        return False
    for ball in region.balls:
        far = sum(abs(point[i] - claim.x0[i]) ** ball.power for i in ball.free)
        if far > ball.radius**ball.power:
            return False
    return all(value <= 0 for value in exactly(claim.graph, cuts, point, False))
