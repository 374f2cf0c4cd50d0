"""What an engine that has not begun will take, as a rule: by how many units are undecided."""

from __future__ import annotations

from verifex.engine.run import Run
from verifex.ir.ops import Relu, Step
from verifex.semantics.claim import NodeBounds

_FLOATS = 30
"""Undecided units with which linear programs and branching need a second or so."""

_EXACT = 10
"""The same for a solver in exact arithmetic."""

_BEGIN = 0.5
"""Seconds to begin with: a process, a model."""


def undecided(run: Run, bounds: NodeBounds) -> int:
    """How many ReLUs and gates may be either within bounds of the nodes."""
    graph, (low, high) = run.problem.graph, bounds
    units = {graph.nodes[i].args[0] for i in graph.ancestors(run.problem.targets())
             if isinstance(graph.nodes[i].op, Relu | Step)}
    return sum(int(((low[z] < 0) & (high[z] > 0)).sum()) for z in units if z in low)


def by_size(units: int, exact: bool = False) -> float:
    """Seconds for so many undecided units."""
    return float(_BEGIN + (units / (_EXACT if exact else _FLOATS)) ** 2)
