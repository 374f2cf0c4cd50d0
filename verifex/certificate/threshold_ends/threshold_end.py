"""One end that thresholds narrowed, with the best claim about it that the checker accepts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from verifex.certificate.claim_spec import ThresholdClaim, claim_files
from verifex.certificate.grant import certify
from verifex.engine.by_threshold.end_search import HeldClaim
from verifex.engine.falsify.attained import outward
from verifex.engine.findings.reasons import BY_CHECKER
from verifex.engine.verdict import Outcome, RangeEnd, Verdict
from verifex.engine.watch import Watch
from verifex.errors import InputError, UnsupportedError
from verifex.problem.spec.thresholds.threshold_expression import ThresholdExpression
from verifex.settings import Settings
from verifex.source import QuestionFiles


@dataclass
class ThresholdEnd:
    """The proof of one end: claims that the search found to hold, the best first. `spec` is the
    file of the claim's spec; the certificate lies beside it."""

    asked: ThresholdExpression
    files: QuestionFiles
    settings: Settings
    watch: Watch
    spec: Path
    maximum: bool
    left: Callable[[], float]
    notes: list[str] = field(default_factory=list)

    def run(self, end: RangeEnd) -> RangeEnd:
        """The end with what the checker accepts, in the seconds that are left."""
        held: tuple[HeldClaim, ...] = end.proof or ()
        told: dict[str, Any] | None = None
        notes: tuple[str, ...] = ()
        for one in reversed(held):
            if self.left() <= 0:
                break
            done = self._check(one)
            told, notes = self._told(done, one), done.notes
            if done.outcome is Outcome.PROVED:
                return replace(end, proven=one.bound, proven_by=BY_CHECKER, certificate=told,
                               claimed=self._no_weaker(end, one), proof=None)
            if told is None or told.get("check_exit") != 1:
                break  # it was not checked, or is beyond the checker: so would weaker ones be
            self._remove()
        side = "maximum" if self.maximum else "minimum"
        self.notes += [f"{side}: {note}" for note in notes]
        return replace(end, certificate=told, proof=None)

    def _check(self, one: HeldClaim) -> Verdict:
        """Write the claim's spec and certificate, and have them checked."""
        claim = ThresholdClaim(self.asked.text, self.maximum, one.bound,
                               self.asked.entry(one.bound, self.maximum))
        settings = replace(self.settings, certificate=self.spec.with_suffix(".vxc"))
        verdict = replace(one.verdict, notes=(), extra={})
        try:
            files = claim_files(self.files, claim, self.spec)
        except UnsupportedError as error:
            return replace(verdict, notes=(f"no certificate: {error}",))
        except OSError as error:
            raise InputError(f"cannot be written: {error.strerror}", expected="a writable folder",
                             file=str(self.spec)) from None
        return certify(self.asked.at(one.bound, self.maximum), verdict, files, self.left(),
                       settings, stop=self.watch.stop)

    def _told(self, done: Verdict, one: HeldClaim) -> dict[str, Any] | None:
        """What became of the certificate; its path only where it is kept."""
        told = done.extra.get("certificate")
        if told is None:
            return None
        kept = self.settings.certificate is not None and told.get("check_exit") != 1
        paths = {"path": str(self.spec.with_suffix(".vxc")), "spec": str(self.spec)}
        side = "maximum" if self.maximum else "minimum"
        self.watch.stage("check", told.get("check_seconds") or 0.0,
                         f"{side}: {told['check'] or 'not checked'}")
        return {**told, **(paths if kept else dict.fromkeys(paths)), "bound": str(one.bound)}

    def _remove(self) -> None:
        """Nobody shall find a proof there that is none."""
        for suffix in (".toml", ".vxc"):
            self.spec.with_suffix(suffix).unlink(missing_ok=True)

    def _no_weaker(self, end: RangeEnd, one: HeldClaim) -> float | None:
        """What was claimed, unless more is proven."""
        proven = outward(one.bound, float("inf") if self.maximum else float("-inf"))
        if end.claimed is None:
            return proven
        return min(end.claimed, proven) if self.maximum else max(end.claimed, proven)
