"""Ways to write what has been concluded.

The checker derives everything anew, with roundings of its own, so now and then it refuses what has
been closed. A margin below the steps of its grid needs more digits, which the second certificate
asks for. And the search over inputs leaves the choice of planes to the checker: then the proof of
the search over gates is tried, which states its multipliers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from verifex.certificate.write import Line, proof_lines, witness_lines
from verifex.engine.budget import Budget
from verifex.engine.search.record import Closed
from verifex.engine.verdict import Verdict
from verifex.errors import UnsupportedError
from verifex.ir.problem import Problem
from verifex.settings import Settings
from verifex.source import QuestionFiles

MOST_FINE = 2000
"""Nodes of a tree that is worth being checked again with more digits."""


@dataclass(frozen=True)
class Attempt:
    """A verdict with the proof that is to be written, and the lines of its certificate."""

    verdict: Verdict
    lines: Callable[[], Iterator[Line]]


def attempts(
    problem: Problem, verdict: Verdict, files: QuestionFiles, settings: Settings,
    left: Callable[[], float],
) -> Iterator[Attempt]:
    """The ways to certify a verdict; `left` says how many seconds are left."""
    witness = verdict.witness
    if witness is not None:
        yield Attempt(verdict, lambda: witness_lines(problem, files, witness))
        return
    closed = verdict.proof
    if not isinstance(closed, Closed):
        return
    yield Attempt(verdict, lambda: proof_lines(problem, files, closed))
    if len(closed.proof.nodes) <= MOST_FINE:
        yield Attempt(verdict, lambda: proof_lines(problem, files, closed, fine=True))
    if any(node.dimension is not None for node in closed.proof.nodes) and left() > 0:
        again = _by_gates(problem, settings, left() / 2)  # the rest is for its check
        if again is not None:
            yield Attempt(
                replace(verdict, proof=again), lambda: proof_lines(problem, files, again))


def _by_gates(problem: Problem, settings: Settings, seconds: float) -> Closed | None:
    """The proof of the search over gates, if it closes the claim too."""
    from verifex.engine.search.claims import decide_search
    from verifex.engine.search.gates.search import SearchOptions

    budget = Budget(seconds, settings.memory, settings.threads)
    try:
        found = decide_search(
            problem, budget, SearchOptions(device=settings.device), seed=settings.seed)
    except UnsupportedError:
        return None  # what it does not take has been concluded by another engine
    return None if found.stats.ties else found.closed
