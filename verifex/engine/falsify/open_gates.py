"""The best value of a form at a point on kinks, over the gates that may be 0 or 1 there.

A range is over the closed question: a gate on its kink may take either value, each gate its own.
So any choice of such gates gives a value that belongs to the range, attained on a kink only.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import product

from verifex.ir.exact import ExactArray
from verifex.ir.formula import Cell, holds
from verifex.ir.graph import Graph
from verifex.ir.ops import Input, Step
from verifex.ir.problem import Objective, Problem
from verifex.semantics.evaluate import ExactBackend, evaluate, exact_inputs

MOST_GATES = 64
"""Gates on their kinks that are looked at; with more, a point is taken with all of them shut."""

_EVERY = 5
"""Up to so many gates, every choice is tried; with more, one gate after the other is turned."""


@dataclass(frozen=True)
class KinkValue:
    """A value of a form, and the gates that are open there: their pre-activations' elements."""

    value: Fraction
    open_gates: tuple[Cell, ...]


def best_on_kinks(
    problem: Problem, objective: Objective, point: Sequence[Fraction]
) -> KinkValue | None:
    """The best value found at a point that is on kinks; None if the assumption fails for all
    choices of the gates that were tried."""
    shut = evaluate_with(problem.graph, point, [*problem.targets(), *problem.kinks()], ())
    cells = [(z, i) for z in problem.kinks()
             for i, number in enumerate(shut[z].num.flat) if number == 0]
    sign = 1 if objective.maximise else -1

    def tried(open_gates: tuple[Cell, ...]) -> KinkValue | None:
        values = evaluate_with(problem.graph, point, problem.targets(), open_gates)
        if not holds(problem.assume, values):
            return None
        return KinkValue(objective.form.value(values), open_gates)

    def better(one: KinkValue | None, other: KinkValue | None) -> KinkValue | None:
        if one is None or other is None:
            return one or other
        return other if sign * other.value > sign * one.value else one

    best = tried(())
    if len(cells) <= _EVERY:
        for choice in product((False, True), repeat=len(cells)):
            best = better(best, tried(tuple(c for c, on in zip(cells, choice, strict=True) if on)))
        return best
    for cell in cells if len(cells) <= MOST_GATES else ():
        now = () if best is None else best.open_gates
        best = better(best, tried((*now, cell)))
    return best


def evaluate_with(
    graph: Graph, point: Sequence[Fraction], targets: Iterable[int], open_gates: Iterable[Cell]
) -> dict[int, ExactArray]:
    """Exact values of the targets at a point, with these gates on their kinks open and the other
    ones that are on a kink shut."""
    chosen: dict[int, list[int]] = {}
    for node, element in open_gates:
        chosen.setdefault(node, []).append(element)
    wanted, given, arithmetic = list(targets), exact_inputs(graph, point), ExactBackend()
    values: dict[int, ExactArray] = {}
    for i in graph.ancestors(wanted):
        op, args = graph.nodes[i].op, graph.nodes[i].args
        if isinstance(op, Input):
            values[i] = given[i]
            continue
        values[i] = evaluate[op](op, arithmetic, *(values[a] for a in args))
        if isinstance(op, Step) and args[0] in chosen:
            gates, preact = values[i].num.copy(), values[args[0]].num
            for element in chosen[args[0]]:
                if preact.flat[element] == 0:  # elsewhere a gate has one value
                    gates.flat[element] = 1
            values[i] = ExactArray(gates)
    return {i: values[i].reshape(graph.nodes[i].shape) for i in wanted}
