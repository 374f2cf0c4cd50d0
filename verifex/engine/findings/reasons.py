"""Why nothing decided a question, and what an answer rests on: kinds with data, not sentences.

`str` gives the sentence for people. Nothing reads sentences: programs look at `kind` and the data.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any

SEARCH = "search"
"""The source of what the search over activation patterns says, in proofs and ranges."""
INPUT_SEARCH = "search over inputs"
PROGRAM_SEARCH = "search by programs"
"""The source of what linear programs over all units say."""
TREE_SEARCH = "search between thresholds"
ATTACK = "attack"
BOUNDS = "interval bounds"
BY_CHECKER = "checker"
BY_DEFINITION = "definition"
"""What bounds a cosine or an overlap of anything: no network is involved."""


class ReasonKind(Enum):
    """Why something did not lead to an answer. `source` is the engine or solver that it is about,
    `detail` what cannot be said in numbers."""

    NOT_AVAILABLE = "not available"  # the solver is not installed here
    NOT_USED = "not used"  # the solver cannot do what is asked
    UNSUPPORTED = "unsupported"  # the question is not one for this engine or solver
    NO_ANSWER = "no answer"  # the solver ended without one: `detail` says how
    TIE = "tie"  # the solver's point is within its tolerance of a tie
    ON_KINK = "on a kink"  # violated only where a gate has no value
    CLOSEST_ON_KINK = "closest on a kink"  # so is the point that came closest
    NOT_OFF_KINKS = "not off the kinks"  # the solver finds no violation off the kinks
    CONTRADICTED = "contradicted"  # what it stated is contradicted by `detail`
    NOT_CONFIRMED = "not confirmed"  # two runs were needed, and `detail` came of the second
    CLAIM_CONTRADICTED = "claim contradicted"  # by a replayed point on a kink
    OUT_OF_TIME = "out of time"  # the time limit, `seconds`, is over
    INTERRUPTED = "interrupted"  # somebody ended it, after `seconds`
    SEARCH_OUT_OF_TIME = "search out of time"  # after `count` domains, by which margins are `bound`
    SEARCH_STOPPED = "search stopped"  # the same where somebody ended it
    BOXES_OPEN = "boxes open"  # `count` of them, in the search over inputs
    LEAVES_UNDECIDED = "leaves undecided"  # `count` of them, in the search
    OUT_OF_MEMORY = "out of memory"  # the engine would have held more than it may: `detail`
    PROCESS_LOST = "process lost"  # a process of the search died: `detail` says why
    NOT_SEARCHABLE = "not searchable"  # the search for ranges does not take the region
    NOT_ATTAINED = "not attained"  # no point was found that attains the `bound` of the end `source`
    NO_EXACT_VALUES = "no exact values"  # nor can be: smooth functions have none at any point
    WITNESS_REFUSED = "witness refused"  # by the checker, although it was replayed
    NOTHING = "nothing"  # nothing decided it


_REASONS: Mapping[ReasonKind, str] = {
    ReasonKind.NOT_AVAILABLE: "{source} is not available: {detail}",
    ReasonKind.NOT_USED: "{source} is not used: {detail}",
    ReasonKind.UNSUPPORTED: "{source}: {detail}",
    ReasonKind.NO_ANSWER: "{source}: {detail}",
    ReasonKind.TIE: "{source}: within its tolerance of a tie, or only on a kink",
    ReasonKind.ON_KINK: "violated only on a kink, where a gate has no value",
    ReasonKind.CLOSEST_ON_KINK: (
        "the closest point violates the claim, but it lies on a kink, where a gate has no value: "
        "it is no counterexample, and it stands against a proof"),
    ReasonKind.NOT_OFF_KINKS: "{source}: no violation off the kinks",
    ReasonKind.CONTRADICTED: "{source}: its {stated} contradicts {detail}: discarded",
    ReasonKind.NOT_CONFIRMED: "{source}: its {stated} is not claimed: {detail}",
    ReasonKind.CLAIM_CONTRADICTED: "{detail}: contradicted by a replayed point on a kink",
    ReasonKind.OUT_OF_TIME: "out of time after {seconds:.3g} s",
    ReasonKind.INTERRUPTED: "interrupted after {seconds:.3g} s",
    ReasonKind.SEARCH_OUT_OF_TIME: "{source}: out of time{after}",
    ReasonKind.SEARCH_STOPPED: "{source}: stopped{after}",
    ReasonKind.BOXES_OPEN: "{source}: {count} boxes open",
    ReasonKind.LEAVES_UNDECIDED: "{source}: {count} leaves undecided",
    ReasonKind.OUT_OF_MEMORY: "{source}: out of memory: {detail}",
    ReasonKind.PROCESS_LOST: "{source}: {detail}, with what it held",
    ReasonKind.NOT_SEARCHABLE: (
        "{source}: not used, for it takes no assumption"),
    ReasonKind.NOT_ATTAINED: "{source}: no point was found that attains its {stated}",
    ReasonKind.NO_EXACT_VALUES: (
        "{source}: smooth functions have no exact values, so no point attains its {stated}"),
    ReasonKind.WITNESS_REFUSED: (
        "a witness was replayed, but the {source} refused it ({detail}): the two contradict each "
        "other, a defect, please report it"),
    ReasonKind.NOTHING: "nothing decided it",
}


@dataclass(frozen=True)
class Reason:
    """Why something did not lead to an answer (see `ReasonKind` for what the fields mean).

    `bound` is what the source stated, where it was a bound and not that nothing is feasible.
    """

    kind: ReasonKind
    source: str = ""
    detail: str = ""
    bound: float | None = None
    count: int | None = None
    seconds: float | None = None

    def __str__(self) -> str:
        stated = "answer 'infeasible'" if self.bound is None else f"bound {self.bound:.9g}"
        after = "" if self.count is None else f" after {self.count} domains"
        after += "" if self.bound is None else f", margin at least {self.bound:.4g} so far"
        return _REASONS[self.kind].format(
            source=self.source, detail=self.detail, stated=stated, after=after, count=self.count,
            seconds=self.seconds or 0.0)

    def to_json(self) -> dict[str, Any]:
        """Kind and data, and the sentence; what is empty is left out."""
        return {"text": str(self), **_plain(self)}


class EvidenceKind(Enum):
    """What an answer rests on. `source` is the engine or solver that says so."""

    CANDIDATE = "candidate"  # the source proposed the witness
    REPLAY = "exact replay"  # the witness was evaluated in exact arithmetic
    INTERVALS = "intervals"  # outward-rounded interval bounds close it
    BOXES_CLOSED = "boxes closed"  # `count` boxes, by the search over inputs
    LEAVES_CLOSED = "leaves closed"  # `count` leaves, by the search
    PARTLY_CLOSED = "partly closed"  # `open` of `count` leaves are left to a solver
    MARGIN = "margin"  # a solver bounds the worst margin below by `bound`, in two runs
    REST_HOLDS = "rest holds"  # a solver says so of what the search left open, in two runs
    INFEASIBLE = "infeasible"  # a solver finds no violation, in two runs
    UNSATISFIABLE = "unsatisfiable"  # a solver says so in exact arithmetic
    NO_REGION = "no region"  # no activation region violates it, in exact arithmetic
    DEFINITION = "definition"  # it holds of any attribution
    SEARCH_BOUND = "search bound"  # an end of a range is bounded by the search
    EXACT_BOUND = "exact bound"  # by a solver in exact arithmetic
    AGREED_BOUND = "agreed bound"  # by two runs of a solver in floating point
    WITNESS_ACCEPTED = "witness accepted"  # by the checker
    CERTIFICATE_ACCEPTED = "certificate accepted"  # by the checker


_EVIDENCE: Mapping[EvidenceKind, str] = {
    EvidenceKind.CANDIDATE: "{source}",
    EvidenceKind.REPLAY: "exact replay",
    EvidenceKind.INTERVALS: "{source}, outward rounded",
    EvidenceKind.BOXES_CLOSED: "{source}: {count} boxes closed",
    EvidenceKind.LEAVES_CLOSED: "{source}: {count} leaves closed",
    EvidenceKind.PARTLY_CLOSED: "{source}: all closed but {open} of {count} leaves",
    EvidenceKind.MARGIN: "{source}: worst margin at least {bound:.6g}, in two runs",
    EvidenceKind.REST_HOLDS: "{source}: the rest holds, in two runs",
    EvidenceKind.INFEASIBLE: "{source}: infeasible, in two runs",
    EvidenceKind.UNSATISFIABLE: "{source}: unsatisfiable in exact arithmetic",
    EvidenceKind.NO_REGION: "{source}: no region violates it, exactly",
    EvidenceKind.DEFINITION: "the {source} of the expression",
    EvidenceKind.SEARCH_BOUND: "{source}: bound",
    EvidenceKind.EXACT_BOUND: "{source}: bound",
    EvidenceKind.AGREED_BOUND: "{source}: bound, the same in two runs",
    EvidenceKind.WITNESS_ACCEPTED: "witness accepted by the {source}",
    EvidenceKind.CERTIFICATE_ACCEPTED: "certificate accepted by the {source}",
}


@dataclass(frozen=True)
class Evidence:
    """One thing that an answer rests on (see `EvidenceKind` for what the fields mean)."""

    kind: EvidenceKind
    source: str = ""
    bound: float | None = None
    count: int | None = None
    open: int | None = None

    def __str__(self) -> str:
        return _EVIDENCE[self.kind].format(
            source=self.source, bound=self.bound or 0.0, count=self.count, open=self.open)

    def to_json(self) -> dict[str, Any]:
        """Kind and data, and the sentence; what is empty is left out."""
        return {"text": str(self), **_plain(self)}


def _plain(said: Reason | Evidence) -> dict[str, Any]:
    data = {k: v for k, v in vars(said).items() if v is not None and v != ""}
    if said.bound is not None and not math.isfinite(said.bound):
        del data["bound"]  # JSON has no infinity
    return {**data, "kind": said.kind.value}


def sentence(reasons: Iterable[Reason]) -> str:
    """All reasons in one line, each once; of a time limit that was over several times, the first
    one is told."""
    told = list(reasons)
    late = next((r for r in told if r.kind is ReasonKind.OUT_OF_TIME), None)
    return "; ".join(dict.fromkeys(
        str(r) for r in told if r.kind is not ReasonKind.OUT_OF_TIME or r is late))


_TIME_IS_OVER = {ReasonKind.OUT_OF_TIME, ReasonKind.NOTHING}


def as_interrupted(reasons: Iterable[Reason], seconds: float) -> tuple[Reason, ...]:
    """The reasons of work that somebody ended after so many seconds: no time was over then."""
    told = [Reason(ReasonKind.INTERRUPTED, seconds=round(seconds, 3))]
    for reason in reasons:
        if reason.kind is ReasonKind.SEARCH_OUT_OF_TIME:
            told.append(replace(reason, kind=ReasonKind.SEARCH_STOPPED))
        elif not (reason.kind in _TIME_IS_OVER or reason.detail.startswith("interrupted")):
            told.append(reason)
    return tuple(dict.fromkeys(told))


_MEMORY_WORDS = ("can't allocate memory", "out of memory", "bad_alloc")


def out_of_memory(error: Exception, source: str) -> Reason | None:
    """The reason that an error of an engine is, if it says that there is not enough memory: torch
    has no error of its own for that."""
    text = " ".join(str(error).split())
    if not isinstance(error, MemoryError) and not any(w in text for w in _MEMORY_WORDS):
        return None
    return Reason(ReasonKind.OUT_OF_MEMORY, source, text[:200] or "no more is to be had")


def replayed(source: str) -> tuple[Evidence, Evidence]:
    """What a refutation rests on: who proposed the witness, and its exact replay."""
    return Evidence(EvidenceKind.CANDIDATE, source), Evidence(EvidenceKind.REPLAY)
