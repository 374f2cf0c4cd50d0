"""Two searches as engines: over input boxes, and over gates."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from verifex.engine.bounds.layout import Layout
from verifex.engine.findings.reasons import (
    INPUT_SEARCH,
    SEARCH,
    Evidence,
    EvidenceKind,
    Reason,
    ReasonKind,
    replayed,
)
from verifex.engine.portfolio.engine import Turn
from verifex.engine.portfolio.progress import Progress
from verifex.engine.run import OpenPart, Run, has_smooth
from verifex.engine.search.inputs.search import InputSearch
from verifex.engine.search.record import Closed
from verifex.engine.search.start import is_plain
from verifex.engine.verdict import Outcome, Verdict
from verifex.errors import UnsupportedError
from verifex.ir.exact import FloatArray
from verifex.ir.formula import TRUE, nodes

if TYPE_CHECKING:
    from verifex.engine.search.claims import ClaimSearch, FormulaResult

BEFORE_GATES, WITH_NUMPY = 1.5, 0.2
"""Seconds that the search over gates reckons with before it begins: where it needs torch, which is
loaded first and which easy questions need not wait for, and where numpy bounds its rows."""

_RESUMED = 5.0
"""Seconds of a slice at least where several processes search: they are begun anew in each."""


class InputsEngine:
    """Branch and bound over input boxes, for claims on outputs of networks with few inputs."""

    name, stage, source = "inputs", "inputs", INPUT_SEARCH
    proves = True

    def __init__(self, run: Run) -> None:
        """Raises UnsupportedError where the claim is not of this kind."""
        self.run, self.turn = run, Turn(run.budget)
        self.search = InputSearch(
            run.problem, self.turn.budget, run.watch.search(), whole_time=run.budget)
        self.ended = False
        self._progress = Progress()
        self._nearest: FloatArray | None = None

    def go_on(self, seconds: float) -> Verdict | None:
        run, search = self.run, self.search
        self.turn.begin(seconds)
        if search.tree.count == 1:
            # Sound: these bounds are rounded outward, as those by intervals are.
            run.bounds = search.rest(run.bounds)
        search.go_on()
        witness = search.witness
        if witness is None and search.nearest is not self._nearest:
            self._nearest = search.nearest
            witness = run.attained(search.nearest)
        if witness is not None:
            return run.verdict(Outcome.REFUTED, evidence=replayed(INPUT_SEARCH), witness=witness)
        if search.finished:
            run.proof = search.record()
            closed = Evidence(
                EvidenceKind.BOXES_CLOSED, INPUT_SEARCH, count=len(search.tree.closed))
            return run.verdict(Outcome.CLAIMED, evidence=[closed])
        if run.problem.assume == TRUE and math.isfinite(search.highest):
            # Sound: bounds are rounded outward, and closed boxes have a margin above zero.
            low = Fraction(-search.highest)
            run.margin_low = low if run.margin_low is None else max(low, run.margin_low)
        self.ended = not search.open
        return None

    @property
    def left(self) -> float:
        return self.search.left

    def remaining(self, used: float) -> float:
        search = self.search
        self._progress.note(
            used, search.left, search.open, search.tree.count, -search.highest)
        # What is too small to be halved stays open: only a witness can come of it yet.
        remaining = math.inf if self.search.stuck else self._progress.remaining()
        # That nothing closes while ranges are told apart is no sign of stagnation.
        return min(remaining, used) if self.search.parting else remaining

    def result(self) -> str:
        tree = self.search.tree
        return f"{tree.count} boxes, {len(tree.closed)} closed"

    def reasons(self) -> list[Reason]:
        left = self.search.open + self.search.stuck
        return [Reason(ReasonKind.BOXES_OPEN, INPUT_SEARCH, count=left)]

    def rest(self) -> OpenPart | None:
        if not self.search.tree.closed or not (self.search.open + self.search.stuck):
            return None
        return OpenPart(
            self.search.rest(self.run.bounds), INPUT_SEARCH, self.search.record, rounded=True)

    def close(self) -> None:
        """Nothing runs between two slices."""


class GatesEngine:
    """Branch and bound over gates, for every claim. Where it needs torch, that is loaded when it
    begins."""

    name, stage, source = "gates", "search", SEARCH
    proves = True

    def __init__(self, run: Run) -> None:
        self.run, self.turn = run, Turn(run.budget)
        self.search: ClaimSearch | None = None
        self.ended = False
        self._progress = Progress()
        self._refused: Reason | None = None
        self._nearest: FloatArray | None = None
        layout = Layout(run.problem.graph, tuple(sorted(nodes(run.problem.violation()))))
        self.plain = run.settings.device == "cpu" and is_plain(layout)

    def go_on(self, seconds: float) -> Verdict | None:
        run = self.run
        seconds = max(seconds, _RESUMED) if run.budget.threads > 1 else seconds
        try:
            search = self._begun()
            self.turn.begin(seconds)
            search.go_on()
        except UnsupportedError as error:
            self.ended = True
            self._refused = Reason(ReasonKind.UNSUPPORTED, SEARCH, str(error))
            return None
        self.ended = search.ended
        found = search.result()
        witness = found.witness
        if witness is None and found.nearest is not self._nearest:
            self._nearest = found.nearest
            witness = run.attained(found.nearest)
        if witness is not None:
            return run.verdict(Outcome.REFUTED, evidence=replayed(SEARCH), witness=witness)
        if found.closed is not None and search.ended:
            run.proof = found.closed
            if not found.stats.ties:
                leaves = max(1, found.stats.leaves)
                closed = Evidence(EvidenceKind.LEAVES_CLOSED, SEARCH, count=leaves)
                return run.verdict(Outcome.CLAIMED, evidence=[closed])
        return None

    def _begun(self) -> ClaimSearch:
        if self.search is None:
            run = self.run
            with run.budget.loading():
                from verifex.engine.search.claims import ClaimSearch
                from verifex.engine.search.gates.search import SearchOptions
            known = None if run.closest is None else np.array(
                [[float(v) for v in run.closest.point]])
            self.search = ClaimSearch(
                run.problem, self.turn.budget,
                SearchOptions(device=run.settings.device, inputs=has_smooth(run.problem)),
                run.watch.search(), run.settings.seed, run.like, known=known, whole=run.budget)
        return self.search

    @property
    def left(self) -> float | None:
        if self.search is None or self.search.search is None:
            return None
        return self.search.search.left

    def remaining(self, used: float) -> float:
        left = self.left
        if left is None or self.search is None or self.search.search is None:
            return WITH_NUMPY if self.plain else BEFORE_GATES
        found = self.search.search
        self._progress.note(used, left, found.left_open, found.stats.domains, found.least)
        return self._progress.remaining()

    def _found(self) -> FormulaResult | None:
        return None if self.search is None else self.search.result()

    def result(self) -> str:
        found = self._found()
        if self._refused is not None or found is None:
            return "unsupported"
        stats = found.stats
        return f"{stats.domains} domains, {stats.lps} leaf programs"

    def reasons(self) -> list[Reason]:
        if self._refused is not None:
            return [self._refused]
        found = self._found()
        if found is None:
            return []
        stats = found.stats
        told = [Reason(ReasonKind.PROCESS_LOST, SEARCH, why) for why in stats.lost]
        if self.ended:
            count = stats.unresolved + stats.ties
            return [*told, Reason(ReasonKind.LEAVES_UNDECIDED, SEARCH, count=count)]
        # With an assumption the rows of the search are not only those of the margin.
        known = self.run.problem.assume == TRUE and math.isfinite(found.lower)
        bound = min(found.lower, 0.0) if known else None
        return [*told, Reason(
            ReasonKind.SEARCH_OUT_OF_TIME, SEARCH, count=stats.domains, bound=bound)]

    def rest(self) -> OpenPart | None:
        found = self._found()
        if found is None or found.rest is None or found.unfinished is None or found.stats.ties:
            return None
        return OpenPart(found.rest.bounds(self.run.bounds), SEARCH, self._record, rounded=False)

    def _record(self) -> Closed:
        found = self._found()
        record = None if found is None else found.closed or found.unfinished
        if record is None:
            raise ValueError("a record of a search that has not begun")
        return record

    def close(self) -> None:
        """Nothing runs between two slices."""
