"""What a verdict says where something that the claim asks is not defined everywhere."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from verifex.errors import UnsupportedError
from verifex.ir.exact import ExactArray
from verifex.ir.formula import FALSE, TRUE, Formula, holds, nodes, simplify
from verifex.ir.graph import Graph
from verifex.ir.problem import Problem
from verifex.ir.region import Region
from verifex.semantics.evaluate import evaluate_exact
from verifex.semantics.interval import bound_box

NO_POINT = (
    "no point of the region was found at once: if its constraints contradict each other, every "
    "claim about it holds")


def region_notes(problem: Problem) -> list[str]:
    """What counts as what, of all that interval bounds do not show to be defined in the region;
    and whether the region may have no point."""
    doubts = [] if _has_known_point(problem.region, problem.point) else [NO_POINT]
    if not problem.defined:
        return doubts
    lo, hi = problem.region.float_box()
    read = sorted(set().union(*(nodes(d.formula) for d in problem.defined)))
    bounds = bound_box(problem.graph, lo, hi, read)
    open_ = (d for d in problem.defined if simplify(d.formula, *bounds) != TRUE)
    return doubts + list(dict.fromkeys(f"where {d.where}, {d.counts}" for d in open_))


def _has_known_point(region: Region, reference: Sequence[Fraction] | None) -> bool:
    """Whether a point of the region is known: the reference, the centre of the box, or the corner
    that is best for a row. A box that nothing cuts has them all."""
    if not (region.rows or region.balls or region.one_hot):
        return True
    if reference is not None and region.contains(reference):
        return True
    centre = [(low + high) / 2 for low, high in zip(region.lo, region.hi, strict=True)]
    for i in region.integers:
        centre[i] = Fraction(round(centre[i]))
    for group in region.one_hot:
        chosen = next((i for i in group if region.hi[i] >= 1), group[0])
        for i in group:
            centre[i] = Fraction(i == chosen)
    tried = [centre]
    for row in region.rows:
        corner = list(centre)
        for i, factor in row.coefs.items():
            corner[i] = region.lo[i] if factor > 0 else region.hi[i]
        tried.append(corner)
    return any(region.contains(point) for point in tried)


def point_notes(problem: Problem, point: Sequence[Fraction]) -> list[str]:
    """What is certainly not defined at a witness."""
    open_ = (d for d in problem.defined if _fails(problem.graph, d.formula, point))
    return list(dict.fromkeys(f"{d.where} at the witness" for d in open_))


def _fails(graph: Graph, formula: Formula, point: Sequence[Fraction]) -> bool:
    """Whether the formula is certainly false at the point."""
    read = nodes(formula)
    try:
        return not holds(formula, evaluate_exact(graph, point, read))
    except UnsupportedError:  # a smooth function: its interval may still tell
        lo, hi = ExactArray.from_numbers(point).float_bounds()
        return simplify(formula, *bound_box(graph, lo, hi, read)) == FALSE
