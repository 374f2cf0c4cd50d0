"""What a verdict says where something that the claim asks is not defined everywhere."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from verifex.errors import UnsupportedError
from verifex.ir.exact import ExactArray
from verifex.ir.formula import FALSE, TRUE, Formula, holds, nodes, simplify
from verifex.ir.graph import Graph
from verifex.ir.problem import Problem
from verifex.semantics.evaluate import evaluate_exact
from verifex.semantics.interval import bound_box


def region_notes(problem: Problem) -> list[str]:
    """What counts as what, of all that interval bounds do not show to be defined in the region."""
    if not problem.defined:
        return []
    lo, hi = problem.region.float_box()
    read = sorted(set().union(*(nodes(d.formula) for d in problem.defined)))
    bounds = bound_box(problem.graph, lo, hi, read)
    open_ = (d for d in problem.defined if simplify(d.formula, *bounds) != TRUE)
    return list(dict.fromkeys(f"where {d.where}, {d.counts}" for d in open_))


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
