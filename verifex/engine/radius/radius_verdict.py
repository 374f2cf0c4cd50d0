"""The radius of a claim: both ends with their evidence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from verifex.engine.findings.reasons import Evidence, Reason, sentence
from verifex.engine.radius.radius_search import RadiusTrial
from verifex.engine.verdict import Witness
from verifex.errors import EXIT_PROVED, EXIT_UNKNOWN
from verifex.ir.text.graph_text import fraction_to_json
from verifex.version import header


@dataclass(frozen=True)
class RadiusVerdict:
    """For which radii a claim holds.

    It is `proved` up to that radius (the checker accepted a certificate), only `claimed` up to
    another where that is more, and `refuted` from the distance of `witness` on (of l2 rounded up by
    some 1e-15). None: not even at the least radius. `most` is where the search ended: the end of
    the domain, from which the region grows no more, where `domain` says so, or else a limit.

    `closed`: nothing is left between, up to `tolerance` of the refuted radius, or since no point
    comes into the region between the two (whole numbers). `sha256` are the hashes of the files.
    `certificate` and `witness_certificate` say what became of the certificates and of their specs.
    """

    name: str
    key: str
    features: str
    proved: Fraction | None
    claimed: Fraction | None
    refuted: Fraction | None
    witness: Witness | None
    most: Fraction
    domain: bool
    tolerance: Fraction
    closed: bool
    interrupted: bool = False
    reasons: tuple[Reason, ...] = ()
    evidence: tuple[Evidence, ...] = ()
    notes: tuple[str, ...] = ()
    seconds: float = 0.0
    trials: tuple[RadiusTrial, ...] = ()
    sha256: Mapping[str, Any] | None = None
    certificate: Mapping[str, Any] | None = None
    witness_certificate: Mapping[str, Any] | None = None

    def __repr__(self) -> str:
        about = f"{self.name!r}: " if self.name else ""
        ends = [f"{word} {float(end):.6g}" for word, end in (
            ("proved up to", self.proved), ("refuted from", self.refuted)) if end is not None]
        state = "closed" if self.closed else "open"
        return f"RadiusVerdict({about}{self.key} {', '.join([*ends, state])})"

    @property
    def everywhere(self) -> bool:
        """Whether the claim is proved on the whole domain."""
        return self.domain and self.proved is not None and self.proved >= self.most

    @property
    def gap(self) -> float | None:
        """(refuted - proved) / refuted; None where nothing is refuted."""
        if self.refuted is None:
            return None
        if self.refuted == 0:
            return 0.0
        return float((self.refuted - (self.proved or 0)) / self.refuted)

    @property
    def reason(self) -> str:
        """The reasons as one sentence; empty where there are none."""
        return sentence(self.reasons)

    @property
    def exit_code(self) -> int:
        return EXIT_PROVED if self.closed else EXIT_UNKNOWN

    def to_json(self) -> dict[str, Any]:
        """Plain data for `--json`; rationals also as exact text."""
        return {
            **header("radius"),
            "name": self.name,
            "sha256": None if self.sha256 is None else dict(self.sha256),
            "key": self.key,
            "features": self.features or None,
            **_number("proved", self.proved),
            **_number("claimed", self.claimed),
            **_number("refuted", self.refuted),
            "gap": self.gap,
            "tolerance": float(self.tolerance),
            "closed": self.closed,
            "holds_everywhere": self.everywhere,
            **_number("most", self.most),
            "most_is_domain": self.domain,
            "interrupted": self.interrupted,
            "witness": None if self.witness is None else self.witness.to_json(),
            "certificate": None if self.certificate is None else dict(self.certificate),
            "witness_certificate": (
                None if self.witness_certificate is None else dict(self.witness_certificate)),
            "reason": self.reason,
            "reasons": [r.to_json() for r in self.reasons],
            "evidence": list(map(str, self.evidence)),
            "evidence_data": [e.to_json() for e in self.evidence],
            "seconds": round(self.seconds, 3),
            "trials": [
                {"radius": float(t.radius), "outcome": t.outcome.value,
                 "seconds": round(t.seconds, 4)} for t in self.trials],
            "notes": list(self.notes),
        }


def _number(key: str, value: Fraction | None) -> dict[str, Any]:
    if value is None:
        return {key: None, f"{key}_exact": None}
    return {key: float(value), f"{key}_exact": fraction_to_json(value)}
