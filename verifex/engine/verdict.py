"""Verdicts: what is known in the end, what it rests on, and its witness or range."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from verifex.engine.findings.reasons import (
    BOUNDS,
    BY_CHECKER,
    BY_DEFINITION,
    Evidence,
    Reason,
    sentence,
)
from verifex.errors import EXIT_PROVED, EXIT_REFUTED, EXIT_UNKNOWN, UsageError
from verifex.ir.formula import Cell
from verifex.ir.text.graph_text import fraction_to_json
from verifex.source import KeptFiles
from verifex.statement import ClaimStatement
from verifex.version import header

if TYPE_CHECKING:
    from verifex.engine.findings.document import EndPart


class Outcome(Enum):
    """See section "Verdicts" of the README; never better than the evidence."""

    PROVED = "proved"  # a certificate was accepted by the checker, in exact arithmetic
    CLAIMED = "claimed"  # only floating point or a third-party solver says so
    REFUTED = "refuted"  # a witness was replayed exactly
    UNKNOWN = "unknown"

    @property
    def exit_code(self) -> int:
        codes = {Outcome.PROVED: EXIT_PROVED, Outcome.REFUTED: EXIT_REFUTED}
        return codes.get(self, EXIT_UNKNOWN)


@dataclass(frozen=True)
class Witness:
    """An exact input that breaks the claim, and what other arithmetics make of it.

    `margin` is the exact margin of the requirement there (not positive). `replays` maps
    "exact", "float64", "float32", "onnxruntime" to "violated", "holds" or a reason.
    """

    point: tuple[Fraction, ...]
    margin: Fraction | None
    values: Mapping[str, tuple[Fraction, ...]]
    replays: Mapping[str, str]

    def to_json(self) -> dict[str, Any]:
        return {
            "point": [float(v) for v in self.point],
            "point_exact": [fraction_to_json(v) for v in self.point],
            "margin": _float(self.margin),
            "margin_exact": _text(self.margin),
            "values": {k: [float(v) for v in vs] for k, vs in self.values.items()},
            "replays": dict(self.replays),
        }


@dataclass(frozen=True)
class Closest:
    """The point, replayed exactly, that came closest to a violation, of an unknown verdict.

    `margin` is the requirement's there (None: it has no exact value). With `on_kink` a value that
    the claim reads depends on a gate that is exactly at 0 there: a violation is no counterexample.
    """

    point: tuple[Fraction, ...]
    margin: Fraction | None
    on_kink: bool

    def to_json(self) -> dict[str, Any]:
        return {
            "point": [float(v) for v in self.point],
            "point_exact": [fraction_to_json(v) for v in self.point],
            "margin": _float(self.margin),
            "margin_exact": _text(self.margin),
            "on_kink": self.on_kink,
        }


@dataclass(frozen=True)
class StageRecord:
    """One stage on the way: what ran, for how long, what it found."""

    stage: str
    seconds: float
    result: str


@dataclass(frozen=True)
class Verdict:
    """The answer to a problem.

    `margin_low` is a proven lower bound of the requirement's worst margin (None: no bound),
    `margin_claimed` the bound that the evidence in `evidence` states, `margin_high` the least
    margin attained at a point (exact). `reasons` say why, for unknown. `proof` is the record of the
    search that closed a claim, from which a certificate can be written; no JSON holds it, nor
    the files that `save` keeps.
    `statement` says what was claimed; None where the problem did not come of a spec. `sha256` are
    the hashes of the files that say what is claimed; None where there are none. `closest` is the
    point of an unknown verdict that came closest to a violation.
    """

    outcome: Outcome
    reasons: tuple[Reason, ...] = ()
    evidence: tuple[Evidence, ...] = ()
    witness: Witness | None = None
    margin_low: Fraction | None = None
    margin_claimed: float | None = None
    margin_high: Fraction | None = None
    seconds: float = 0.0
    steps: tuple[StageRecord, ...] = ()
    notes: tuple[str, ...] = ()
    name: str = ""
    extra: Mapping[str, Any] = field(default_factory=dict)
    statement: ClaimStatement | None = None
    sha256: Mapping[str, Any] | None = None
    closest: Closest | None = None
    proof: Any = field(default=None, repr=False, compare=False)
    kept: KeptFiles | None = field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        # Whoever adds a note need not know the others: each is told once.
        object.__setattr__(self, "notes", tuple(dict.fromkeys(self.notes)))

    @property
    def exit_code(self) -> int:
        return self.outcome.exit_code

    @property
    def folder(self) -> Path | None:
        """Where the files lie that the certificate names, if they were written for it; for good
        where a certificate was asked for, and else as long as this verdict. See `save`."""
        return None if self.kept is None else self.kept.files.network.path.parent

    def save(self, folder: str | Path) -> list[Path]:
        """Keep everything in a folder: network, spec, data, certificate and `verdict.json`, which
        `verifex check FOLDER` checks; the paths.

        The folder is made where there is none. Raises UsageError for a verdict without files (read
        from JSON, of a `Problem`, or found with `check=False` of what was given in memory) and
        where a file would replace another, InputError where a file cannot be read or written.
        """
        if self.kept is None:
            raise UsageError("there is nothing to save but the JSON of this verdict (to_json): "
                             "expected one of `verifex.verify` with check=True")
        place = Path(folder)
        paths = self.kept.copy_to(place)
        paths.append(place / "verdict.json")
        paths[-1].write_text(json.dumps(self.to_json(), indent=2, allow_nan=False) + "\n")
        return paths

    @property
    def reason(self) -> str:
        """The reasons as one sentence; empty where there are none."""
        return sentence(self.reasons)

    @property
    def rests_on(self) -> str:
        """The evidence as one sentence."""
        return "; ".join(map(str, self.evidence))

    def __repr__(self) -> str:
        about = f"{self.name!r}: " if self.name else ""
        return f"Verdict({about}{self.outcome.value}, {self.rests_on or self.reason})"

    def _repr_html_(self) -> str:
        """For notebooks: what was claimed and found, with a picture."""
        from verifex.engine.findings.html import verdict_html

        return verdict_html(self)

    def __str__(self) -> str:
        """The outcome and what it is about, as several lines."""
        head = f"{self.outcome.value.upper()}  {self.name}".rstrip()
        told = [f"reason: {self.reason}"] if self.reason else []
        stated = [] if self.statement is None else [str(self.statement)]
        return "\n".join([head, *told, *stated])

    def to_json(self) -> dict[str, Any]:
        """Plain data for `--json`; rationals also appear as exact text where they matter."""
        return {
            **header("verdict"),
            "sha256": None if self.sha256 is None else dict(self.sha256),
            "name": self.name,
            "outcome": self.outcome.value,
            "reason": self.reason,
            "reasons": [r.to_json() for r in self.reasons],
            "evidence": list(map(str, self.evidence)),
            "evidence_data": [e.to_json() for e in self.evidence],
            "worst_margin": {
                "proven_at_least": _float(self.margin_low),
                "proven_exact": _text(self.margin_low),
                "claimed_at_least": self.margin_claimed,
                "attained": _float(self.margin_high),
                "attained_exact": _text(self.margin_high),
            },
            "witness": None if self.witness is None else self.witness.to_json(),
            "seconds": round(self.seconds, 3),
            "steps": [[s.stage, round(s.seconds, 4), s.result] for s in self.steps],
            "notes": list(self.notes),
            "statement": None if self.statement is None else self.statement.to_json(),
            "closest": None if self.closest is None else self.closest.to_json(),
            **dict(self.extra),
        }

    @staticmethod
    def from_json(text: str | bytes | Mapping[str, Any]) -> Verdict:
        """The verdict of a JSON text, or of the data that `to_json` gives.

        What the JSON rounds stays rounded (seconds, values at the witness), and `proof` is not in
        it. Keys of `--json` that are no part of a verdict are in `extra`. Raises InputError, which
        names the key that is wrong.
        """
        from verifex.engine.findings.document import VerdictDocument, read_document

        found = read_document(VerdictDocument, text)
        worst, extra = found.worst_margin, dict(found.model_extra or {})
        extra.pop("exit_code", None)
        at, near = found.witness, found.closest
        witness = None if at is None else Witness(
            at.point_exact, at.margin_exact,
            {k: tuple(map(Fraction, values)) for k, values in at.values.items()}, at.replays)
        return Verdict(
            Outcome(found.outcome), found.reasons, found.evidence_data, witness, worst.proven_exact,
            worst.claimed_at_least, worst.attained_exact, found.seconds,
            tuple(StageRecord(*step) for step in found.steps), found.notes, found.name, extra,
            None if found.statement is None else found.statement.to_statement(), found.sha256,
            None if near is None else Closest(near.point_exact, near.margin_exact, near.on_kink),
        )


def _text(value: Fraction | None) -> str | None:
    return None if value is None else fraction_to_json(value)


def _float(value: Fraction | None) -> float | None:
    """The nearest float, infinite where the value is beyond all of them."""
    if value is None:
        return None
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def replayable(value: Fraction) -> float | str:
    """The float that is exactly this value; the exact text where there is none, since a rounded
    point may lie on the other side of a kink."""
    near = _float(value)
    if near is not None and math.isfinite(near) and Fraction(near) == value:
        return near
    return fraction_to_json(value)


_MEET = Fraction(1, 10**6)

_SURE = (BY_CHECKER, BY_DEFINITION)
"""Whose bounds close an end."""


@dataclass(frozen=True)
class RangeEnd:
    """One end (maximum or minimum) of an expression over the region.

    `attained` is the exact value at `point` (None if no point was found). `proven` bounds the
    extremum from outside: `proven_by` the checker, which accepted a certificate, or the
    definition of the expression (no cosine is above 1), or as outward-rounded intervals, which were
    not checked. `claimed` is the best bound that `by` states: the
    search, which derives it in float64, or a solver. It is never weaker than `proven`, and never on
    the wrong side of `attained`: what a point contradicts is discarded.

    `on_kink`: the value is reached on a kink only, with the gates in `open_gates` (pre-activation
    node and element) taken as open there, and the others that are on a kink as shut.
    `attained_square` is the exact square of a cosine that is irrational: `attained` is then rounded
    by some 1e-19, of a minimum up and of a maximum down.
    `certificate` says what became of the certificate. `proof` is the record of the search from
    which it is written; no JSON holds it.
    """

    proven: Fraction | None
    claimed: float | None
    attained: Fraction | None
    point: tuple[Fraction, ...] | None
    on_kink: bool = False
    by: str = ""
    proven_by: str = BOUNDS
    open_gates: tuple[Cell, ...] = ()
    certificate: Mapping[str, Any] | None = None
    proof: Any = field(default=None, repr=False, compare=False)
    attained_square: Fraction | None = None

    def closed(self, size: Fraction) -> bool:
        """Whether what the checker accepted (or the definition says) and what is attained meet, up
        to 1e-6 of the range's size (`RangeVerdict.size`)."""
        if self.proven is None or self.attained is None or self.proven_by not in _SURE:
            return False
        return abs(self.proven - self.attained) <= _MEET * size

    @property
    def best_bound(self) -> float | None:
        if self.claimed is not None:
            return self.claimed
        return _float(self.proven)

    @property
    def gap(self) -> float | None:
        """Distance between the value attained and what the checker accepted; where it accepted
        nothing, the best bound, claimed or proven."""
        if self.proven is None or self.attained is None or self.proven_by not in _SURE:
            return self.claimed_gap
        return _float(abs(self.proven - self.attained))

    @property
    def claimed_gap(self) -> float | None:
        """Distance between the value attained and the best bound, claimed or proven."""
        if self.best_bound is None or self.attained is None:
            return None
        return abs(self.best_bound - float(self.attained))

    def to_json(self, size: Fraction) -> dict[str, Any]:
        """Plain data; `size` is that of the range (`RangeVerdict.size`)."""
        return {
            "proven": _float(self.proven),
            "proven_exact": _text(self.proven),
            "proven_by": self.proven_by,
            "claimed": self.claimed,
            "claimed_by": self.by,
            "attained": _float(self.attained),
            "attained_exact": _text(self.attained),
            "attained_square": _text(self.attained_square),
            "gap": self.gap,
            "closed": self.closed(size),
            "on_kink": self.on_kink,
            "open_gates": [list(cell) for cell in self.open_gates],
            "point": None if self.point is None else list(map(replayable, self.point)),
            "point_exact": None if self.point is None else list(map(fraction_to_json, self.point)),
            "certificate": None if self.certificate is None else dict(self.certificate),
        }

    @staticmethod
    def from_part(part: EndPart) -> RangeEnd:
        """The end that a part of a document says."""
        return RangeEnd(part.proven_exact, part.claimed, part.attained_exact, part.point_exact,
                        part.on_kink, part.claimed_by, part.proven_by, part.open_gates,
                        part.certificate, attained_square=part.attained_square)


@dataclass(frozen=True)
class RangeVerdict:
    """The worst-case range of an expression: both ends with their evidence."""

    expression: str
    low: RangeEnd
    high: RangeEnd
    reasons: tuple[Reason, ...] = ()
    evidence: tuple[Evidence, ...] = ()
    seconds: float = 0.0
    notes: tuple[str, ...] = ()
    sha256: Mapping[str, Any] | None = None

    @property
    def reason(self) -> str:
        """The reasons as one sentence; empty where there are none."""
        return sentence(self.reasons)

    @property
    def rests_on(self) -> str:
        """The evidence as one sentence."""
        return "; ".join(map(str, self.evidence))

    def __repr__(self) -> str:
        ends = ", ".join(
            "?" if end.best_bound is None else f"{end.best_bound:.6g}"
            for end in (self.low, self.high))
        state = "closed" if self.closed else "settled" if self.settled else "open"
        return f"RangeVerdict({self.expression!r} in [{ends}], {state})"

    def _repr_html_(self) -> str:
        """For notebooks: both ends, with a picture."""
        from verifex.engine.findings.html import range_html

        return range_html(self)

    @property
    def closed(self) -> bool:
        """Whether both ends are closed: what the checker accepted meets what is attained."""
        return self.low.closed(self.size) and self.high.closed(self.size)

    @property
    def size(self) -> Fraction:
        """The greatest magnitude of what is proven and attained at both ends."""
        ends = (self.low, self.high)
        values = [abs(v) for end in ends for v in (end.proven, end.attained) if v is not None]
        return max(values, default=Fraction(0))

    @property
    def settled(self) -> bool:
        """Whether the best bound, be it only claimed, and the value attained meet at both ends: up
        to 1e-6 of the range's size, which is the greatest magnitude in it."""
        ends = (self.low, self.high)
        sizes = [abs(v) for end in ends for v in (end.best_bound, _float(end.attained)) if v]
        allowed = 1e-6 * max(sizes, default=0.0)
        gaps = [end.claimed_gap for end in ends]
        return all(gap is not None and gap <= allowed for gap in gaps)

    @property
    def exit_code(self) -> int:
        return EXIT_PROVED if self.closed else EXIT_UNKNOWN

    def to_json(self) -> dict[str, Any]:
        return {
            **header("range"),
            "sha256": None if self.sha256 is None else dict(self.sha256),
            "expression": self.expression,
            "closed": self.closed,
            "settled": self.settled,
            "reason": self.reason,
            "reasons": [r.to_json() for r in self.reasons],
            "low": self.low.to_json(self.size),
            "high": self.high.to_json(self.size),
            "evidence": list(map(str, self.evidence)),
            "evidence_data": [e.to_json() for e in self.evidence],
            "seconds": round(self.seconds, 3),
            "notes": list(self.notes),
        }

    @staticmethod
    def from_json(text: str | bytes | Mapping[str, Any]) -> RangeVerdict:
        """The range of a JSON text, or of the data that `to_json` gives; raises InputError."""
        from verifex.engine.findings.document import RangeDocument, read_document

        found = read_document(RangeDocument, text)
        low, high = RangeEnd.from_part(found.low), RangeEnd.from_part(found.high)
        return RangeVerdict(found.expression, low, high, found.reasons, found.evidence_data,
                            found.seconds, found.notes, found.sha256)
