"""Ends of ranges as claims: what the checker accepts of an end becomes its `proven` bound.

An end that a search bounds by q is the claim `expression >= q` (`<=` for a maximum) of a spec that
is written for it. Its proof is the tree that the search for the range left, or that of a search for
the claim; the checker, a process of its own, reads network, spec and proof.
"""

from __future__ import annotations

import math
import re
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

from verifex.certificate.claim_spec import EndClaim, claim_files
from verifex.certificate.grant import IN_MEMORY, INTERRUPTED, SEVERAL, certify
from verifex.certificate.threshold_ends.threshold_end import ThresholdEnd
from verifex.certificate.written import write_given
from verifex.engine.bounds.layout import Layout
from verifex.engine.by_threshold.narrowing import CLOSED, MARGIN, end_claim, outside
from verifex.engine.decide import decide
from verifex.engine.falsify.attained import Best, outward
from verifex.engine.findings.reasons import BY_CHECKER, Evidence, EvidenceKind, Reason
from verifex.engine.range_end import EndProof
from verifex.engine.search.record import Closed, Proof
from verifex.engine.solve.pool import SolverPool
from verifex.engine.verdict import Outcome, RangeEnd, RangeVerdict, Verdict
from verifex.engine.watch import Watch
from verifex.errors import InputError, UnsupportedError
from verifex.ir.formula import atoms
from verifex.ir.problem import Objective, Problem
from verifex.problem.spec.expression import Asked, Expression
from verifex.settings import Settings
from verifex.source import QuestionFiles

INTERVALS = Fraction(1, 10**12)
"""By how much interval bounds may miss a value by their rounding alone, relative."""

REFUSED = 1
"""The exit code of a checker that read all and said no."""

WEAKER = (Fraction(0), Fraction(1, 10**9), CLOSED)
"""What a bound gives way by, relative to its size, until the checker accepts it: first nothing,
then what floats may err by, then nearly all that a closed end may miss (`RangeEnd.closed`)."""


SEARCHED = (MARGIN, WEAKER[-1], Fraction(1, 10**5), Fraction(1, 10**3))
"""The same where a claim is searched anew. The last ones leave the end open: they are better than
nothing where the best point lies on the border of an assumption, which searches find hard."""


def certified(
    asked: Sequence[Asked], found: Sequence[RangeVerdict], settings: Settings,
    pool: SolverPool | None = None, watches: Sequence[Watch] = (),
) -> list[RangeVerdict]:
    """The ranges with what the checker accepts of both ends of each, and with the certificates in
    the folder that the settings name, if they name one."""
    if not settings.check and settings.certificate is None:
        return _hashed(asked, found)
    told = watches or [Watch() for _ in asked]
    with _folder(settings) as folder:
        asked, note = _as_files(asked, folder)
        if note:
            return [replace(one, notes=(*one.notes, note)) for one in found]
        found = _hashed(asked, found)
        return [
            _certified(_Case(one, settings, pool, watch, folder, f"{k + 1}-{_slug(one.text)}"), end)
            for k, (one, end, watch) in enumerate(zip(asked, found, told, strict=True))
        ]


def _hashed(
    asked: Sequence[Asked], found: Sequence[RangeVerdict]
) -> list[RangeVerdict]:
    """The ranges with the SHA-256 of the files that ask for them."""
    files = asked[0].files if asked else None
    return [one if files is None else replace(one, sha256=files.hashes()) for one in found]


def _as_files(asked: Sequence[Asked], folder: Path) -> tuple[Sequence[Asked], str]:
    """The expressions with the files that ask for them, written if they were given in memory; a
    note where that cannot be."""
    given = asked[0].given if asked else None
    if given is None:
        return asked, ""
    try:
        files = write_given(given, folder / "question.files")
    except UnsupportedError as error:
        return asked, f"no certificate: {error}"
    return [replace(one, files=files) for one in asked], ""


def recorded(asked: Asked, settings: Settings) -> bool:
    """Whether a search for its range should keep what certificates are written from."""
    wanted = settings.check or settings.certificate is not None
    readable = asked.files.checkable if asked.files is not None else asked.given is not None
    return wanted and readable


def _certified(case: _Case, found: RangeVerdict) -> RangeVerdict:
    files, kept = case.asked.files, case.settings.certificate is not None
    if len(case.asked.problem.networks) > 1:
        return replace(found, notes=(*found.notes, SEVERAL))
    if files is None or not files.checkable:
        return replace(found, notes=(*found.notes, IN_MEMORY)) if kept else found
    if case.watch.stop.is_set():
        return replace(found, notes=(*found.notes, INTERRUPTED))
    started = time.monotonic()
    case.until = started + max(case.settings.check_seconds, case.settings.seconds - found.seconds)
    low = _certified_end(case, files, found.low, maximum=False)
    high = _certified_end(case, files, found.high, maximum=True)
    accepted = any(end.proven_by == BY_CHECKER for end in (low, high))
    more = (Evidence(EvidenceKind.CERTIFICATE_ACCEPTED, BY_CHECKER),) if accepted else ()
    return replace(
        found, low=low, high=high, evidence=(*found.evidence, *more),
        reasons=tuple(dict.fromkeys((*found.reasons, *case.reasons))),
        notes=tuple(dict.fromkeys((*found.notes, *case.notes))),
        seconds=found.seconds + time.monotonic() - started)


def _certified_end(
    case: _Case, files: QuestionFiles, end: RangeEnd, *, maximum: bool
) -> RangeEnd:
    """The end with what the checker accepts of it: the minimum in half of the time, the maximum in
    all that is left then."""
    share = 1.0 if maximum else 0.5
    if isinstance(case.asked, Expression):
        return _OneEnd(case, case.asked, files, maximum=maximum).run(end, share)
    until = time.monotonic() + case.left * share
    spec = case.spec(maximum)
    one = ThresholdEnd(case.asked, files, case.settings, case.watch, spec, maximum,
                       lambda: min(case.left, until - time.monotonic()), case.notes)
    return one.run(end)


@dataclass
class _Case:
    """One expression whose ends are to be proved, what is known of that so far, and the time until
    which it may take."""

    asked: Asked
    settings: Settings
    pool: SolverPool | None
    watch: Watch
    folder: Path
    name: str
    until: float = 0.0
    reasons: list[Reason] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def left(self) -> float:
        """Seconds that are left."""
        return 0.0 if self.watch.stop.is_set() else max(0.0, self.until - time.monotonic())

    def spec(self, maximum: bool) -> Path:
        """The file of the spec of an end's claim; the certificate lies beside it."""
        return self.folder / f"{self.name}-{'max' if maximum else 'min'}.toml"


class _OneEnd:
    """The proof of one end."""

    def __init__(
        self, case: _Case, asked: Expression, files: QuestionFiles, *, maximum: bool
    ) -> None:
        self.case, self.files, self.maximum = case, files, maximum
        self.asked, self._spec = asked, case.spec(maximum)
        self.sign = -1 if maximum else 1
        self.side = "maximum" if maximum else "minimum"
        self.told: dict[str, Any] | None = None
        self.note = ""
        self.seconds = 0.0

    def run(self, end: RangeEnd, share: float) -> RangeEnd:
        """The end with the best bound that the checker accepts, in a share of the time left."""
        self.seconds = self.case.left * share
        started = time.monotonic()
        for bound, closed in self._attempts(end):
            if end.attained is not None and self.sign * (end.attained - bound) < 0:
                continue  # a replayed point contradicts it, whoever might accept it
            if closed is None:
                verdict, claim = self._searched(bound)
                if verdict is not None and verdict.outcome is Outcome.REFUTED:
                    end = self._refuted(end, verdict)
                    continue
            else:
                claim = self._claim(bound)
                verdict = Verdict(Outcome.CLAIMED, proof=closed)
            if verdict is None or verdict.outcome is not Outcome.CLAIMED:
                continue
            done = self._check(claim, verdict, self.seconds - (time.monotonic() - started))
            if done.outcome is Outcome.PROVED:
                return replace(end, proven=claim.bound, proven_by=BY_CHECKER,
                               claimed=self._no_weaker(end.claimed, claim.bound),
                               certificate=self.told, proof=None)
            if self.told is None or self.told.get("check_exit") != REFUSED:
                break  # it was not checked, or is beyond the checker: so would weaker ones be
        if self.note:
            self.case.notes.append(f"{self.side}: {self.note}")
        if self.told is not None and self.told.get("check_exit") == REFUSED:
            for suffix in (".toml", ".vxc"):  # nobody shall find a proof there that is none
                self._spec.with_suffix(suffix).unlink(missing_ok=True)
            self.told = {**self.told, "path": None, "spec": None}
        return replace(end, certificate=self.told, proof=None)

    def _no_weaker(self, claimed: float | None, proven: Fraction) -> float | None:
        """What was claimed, unless more is proven."""
        better = max if self.sign > 0 else min
        if claimed is None or better(claimed, proven) == claimed:
            return claimed
        return outward(proven, self.sign * -math.inf)

    # --- what to try --------------------------------------------------------------------------

    def _attempts(self, end: RangeEnd) -> Iterator[tuple[Fraction, Closed | None]]:
        """Bounds to be proved, the best first, each with the record that shows it (None: a search
        is to find one). Intervals come last: they need no record."""
        if self._met_by_intervals(end):
            # Exactly what is attained: no rounding is in it, so that both ends of it meet.
            yield Fraction(end.attained or 0), self._nothing()
        proof: EndProof | None = end.proof
        best = None if end.best_bound is None else self._finite(end.best_bound)
        if proof is not None:
            near = best is None or self._misses(best, Fraction(proof.bound)) <= WEAKER[-1]
            if near:
                yield from self._by_record(proof)
        if best is not None and end.claimed is not None:
            yield from ((outside(best, by, self.maximum), None) for by in SEARCHED)
        if proof is not None and not near:
            yield from self._by_record(proof)
        if end.proven is not None:
            nothing = self._nothing()
            yield from ((outside(end.proven, weaker, self.maximum), nothing) for weaker in WEAKER)

    def _nothing(self) -> Closed:
        """The record of what intervals alone show."""
        problem = self._problem(Fraction(0))
        return Closed(Layout(problem.graph, tuple(problem.targets())), [], Proof(), [])

    @staticmethod
    def _met_by_intervals(end: RangeEnd) -> bool:
        """Whether interval bounds, but for their rounding, are attained: a norm's 0, mostly."""
        if end.proven is None or end.attained is None:
            return False
        return abs(end.proven - end.attained) <= INTERVALS * max(Fraction(1), abs(end.attained))

    def _by_record(self, proof: EndProof) -> Iterator[tuple[Fraction, Closed | None]]:
        """What a record shows, and what is a little weaker."""
        if proof.claim is not None:
            yield proof.claim, proof.record
            return
        for weaker in WEAKER:
            bound = outside(Fraction(proof.bound), weaker, self.maximum)
            # The one row of a search for the range is that of the claim.
            atom = list(atoms(self._problem(bound).violation()))[-1]
            yield bound, replace(proof.record, atoms=[atom])

    def _misses(self, best: Fraction, bound: Fraction) -> Fraction:
        """By how much (relative) one bound is worse than the best one."""
        return self.sign * (best - bound) / max(Fraction(1), abs(best))

    @staticmethod
    def _finite(value: float) -> Fraction | None:
        return Fraction(value) if abs(value) < float("inf") else None

    # --- claims -------------------------------------------------------------------------------

    def _claim(self, bound: Fraction) -> EndClaim:
        return EndClaim(self.asked.text, self.maximum, bound)

    def _problem(self, bound: Fraction) -> Problem:
        """The problem whose claim is that the expression keeps a bound."""
        objective = Objective(self.asked.form, self.maximum)
        return end_claim(self.asked.problem, objective, bound)

    def _searched(self, bound: Fraction) -> tuple[Verdict | None, EndClaim]:
        """What a search for the claim finds, in the time that is left."""
        claim, case = self._claim(bound), self.case
        left = min(self.seconds, case.left)
        if left <= 0:
            return None, claim
        alone = replace(case.settings, seconds=left, search=True, solvers=())
        verdict = decide(self._problem(bound), alone, case.pool, case.watch)
        return verdict, claim

    def _refuted(self, end: RangeEnd, verdict: Verdict) -> RangeEnd:
        """The end after a witness against its claim: the witness attains more, and what stated the
        claim is discarded."""
        if verdict.witness is None:
            return end
        problem = self._problem(Fraction(0))
        best = Best(problem, Objective(self.asked.form, self.maximum))
        for point in (verdict.witness.point, end.point):
            if point is not None:
                best.offer(list(point))
        stated = (end.claimed, end.by) if end.claimed is not None else None
        return best.result(end.proven, stated, self.case.reasons)

    def _check(self, claim: EndClaim, verdict: Verdict, seconds: float) -> Verdict:
        """Write the claim's spec and certificate, and have them checked."""
        case, spec = self.case, self._spec
        settings = replace(case.settings, certificate=spec.with_suffix(".vxc"))
        try:
            files = claim_files(self.files, claim, spec)
        except UnsupportedError as error:
            self.told, self.note = None, f"no certificate: {error}"
            return verdict
        except OSError as error:
            raise InputError(f"cannot be written: {error.strerror}", expected="a writable folder",
                             file=str(spec)) from None
        problem = self._problem(claim.bound)
        done = certify(problem, replace(verdict, notes=(), extra={}), files, seconds, settings,
                       stop=case.watch.stop)
        told = done.extra.get("certificate")
        self.told, self.note = None, "; ".join(done.notes)
        if told is not None:
            kept = case.settings.certificate is not None
            paths = {"path": str(settings.certificate), "spec": str(spec)} if kept else {
                "path": None, "spec": None}
            self.told = {**told, **paths, "bound": str(claim.bound)}
            case.watch.stage("check", told.get("check_seconds") or 0.0,
                             f"{self.side}: {told['check'] or 'not checked'}")
        return done


@contextmanager
def _folder(settings: Settings) -> Iterator[Path]:
    """The folder for specs and certificates: one that is kept, or one that is not."""
    if settings.certificate is None:
        with tempfile.TemporaryDirectory(prefix="verifex-") as made:
            yield Path(made)
        return
    try:
        settings.certificate.mkdir(exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot be written: {error.strerror}", expected="a folder",
                         file=str(settings.certificate)) from None
    yield settings.certificate


def _slug(text: str) -> str:
    """An expression as a part of a file's name."""
    return re.sub(r"[^A-Za-z0-9]+", "-", text).strip("-")[:40] or "expression"
