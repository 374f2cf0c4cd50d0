"""The search by linear programs over all units as an engine."""

from __future__ import annotations

import math

from verifex.engine.findings.reasons import (
    PROGRAM_SEARCH,
    Evidence,
    EvidenceKind,
    Reason,
    ReasonKind,
    replayed,
)
from verifex.engine.portfolio.engine import Turn
from verifex.engine.portfolio.progress import Progress
from verifex.engine.run import OpenPart, Run
from verifex.engine.search.programs.search import ProgramSearch
from verifex.engine.verdict import Outcome, Verdict
from verifex.errors import UnsupportedError
from verifex.ir.exact import FloatArray

_LOADING = 0.5
"""Seconds that it reckons with before it begins: HiGHS is loaded, and a first program solved."""

_FEW = 16
"""Programs with which this search has hardly begun; on a large network each takes a while."""


class ProgramsEngine:
    """Branch and bound over ReLUs by linear programs, for claims on outputs; without torch."""

    name = stage = "programs"
    source = PROGRAM_SEARCH
    proves = True

    def __init__(self, run: Run) -> None:
        self.run, self.turn = run, Turn(run.budget)
        self.search: ProgramSearch | None = None
        self.ended = False
        self._refused: Reason | None = None
        self._progress = Progress(_FEW)
        self._nearest: FloatArray | None = None

    def _begun(self) -> ProgramSearch:
        """The search, which is begun in the first slice: easy questions need not wait for it."""
        if self.search is None:
            run = self.run
            self.search = ProgramSearch(run.problem, self.turn.budget, run.watch.search())
        return self.search

    def go_on(self, seconds: float) -> Verdict | None:
        run = self.run
        self.turn.begin(seconds)
        try:
            search = self._begun()
        except UnsupportedError as error:
            self.ended = True
            self._refused = Reason(ReasonKind.UNSUPPORTED, PROGRAM_SEARCH, str(error))
            return None
        search.go_on()
        witness = search.witness
        if witness is None and search.nearest is not self._nearest:
            self._nearest = search.nearest
            witness = run.attained(search.nearest)
        if witness is not None:
            return run.verdict(Outcome.REFUTED, evidence=replayed(PROGRAM_SEARCH), witness=witness)
        if search.finished:
            run.proof = search.record()
            closed = Evidence(
                EvidenceKind.LEAVES_CLOSED, PROGRAM_SEARCH, count=search.stats.closed)
            return run.verdict(Outcome.CLAIMED, evidence=[closed])
        self.ended = search.ended
        return None

    @property
    def left(self) -> float | None:
        return None if self.search is None else self.search.left

    def remaining(self, used: float) -> float:
        search = self.search
        if search is None or not search.stats.programs:
            return _LOADING
        self._progress.note(used, search.left, search.open, search.stats.programs, -math.inf)
        return math.inf if search.stuck else self._progress.remaining()

    def result(self) -> str:
        if self.search is None:
            return ""
        stats = self.search.stats
        return f"{stats.programs} programs, {stats.closed} closed"

    def reasons(self) -> list[Reason]:
        if self._refused is not None:  # others take every claim: it is told where it is alone
            return [self._refused] if self.run.settings.engine == self.name else []
        if self.search is None:
            return []
        if self.ended:
            return [Reason(ReasonKind.LEAVES_UNDECIDED, PROGRAM_SEARCH, count=self.search.stuck)]
        return [Reason(ReasonKind.SEARCH_OUT_OF_TIME, PROGRAM_SEARCH,
                       count=self.search.stats.programs)]

    def rest(self) -> OpenPart | None:
        return None

    def close(self) -> None:
        """Nothing runs between two slices."""
