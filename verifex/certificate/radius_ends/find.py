"""A radius whose ends are certified: the largest one that the checker accepts, the least refuted.

Either end is the claim of a spec of its own, with that radius written in. The search says where the
claim holds; what the checker accepts of that is `proved`, and what it refuses gives way to the next
smaller radius at which the claim was shown.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

from verifex.certificate.grant import IN_MEMORY, SEVERAL, certify
from verifex.certificate.written import folder_beside, write_given
from verifex.engine.findings.reasons import (
    BY_CHECKER,
    Evidence,
    EvidenceKind,
    Reason,
    ReasonKind,
    as_interrupted,
)
from verifex.engine.radius.radius_search import MOST, RadiusSearch
from verifex.engine.radius.radius_verdict import RadiusVerdict
from verifex.engine.solve.pool import SolverPool
from verifex.engine.verdict import Outcome, Verdict
from verifex.engine.watch import Watch
from verifex.errors import UnsupportedError, UsageError
from verifex.ir.text.toml_text import read_table, toml_text
from verifex.limits.checkpoint import CutOff
from verifex.problem.document.moved import Moved, moved_document
from verifex.problem.document.variants.changed_file import (
    beside,
    marked,
    refuse_foreign,
    write_spec,
)
from verifex.problem.document.variants.radius import RadiusQuestion
from verifex.settings import Settings
from verifex.source import QuestionFiles, Source

_OFTEN = 5.0
"""A radius is checked at once where this many times the last check has gone by since; else the last
one is, when the search is over."""


def find_radius(
    question: RadiusQuestion, settings: Settings, *, tolerance: Fraction, most: Fraction | None,
    pool: SolverPool | None = None, watch: Watch | None = None, save: Path | None = None,
    earlier: Sequence[RadiusVerdict] = (),
) -> RadiusVerdict:
    """Both ends of a radius, in `settings.seconds` of searching; checks may take the time that is
    left, at least `settings.check_seconds`.

    The certificate of the proved end is kept in `settings.certificate` (of the refuted one beside
    `save`, where the caller keeps its witness), each beside the spec that it is about. What is
    known at Ctrl-C, or once `watch.stop` is set, is returned and says that it was interrupted;
    `watch.stop.so_far` gives it after the `earlier` answers to the same call.
    """
    if not 0 < tolerance < 1:
        raise UsageError(f"tolerance = {float(tolerance):g}, expected between 0 and 1")
    if most is not None and most <= 0:
        raise UsageError(f"the greatest radius is {float(most):g}, expected more than 0")
    watch = watch or Watch()
    own = pool or SolverPool(stopped=watch.stop.is_set)
    try:
        with tempfile.TemporaryDirectory(prefix="verifex-") as made:
            asked, note = _as_files(question, settings, Path(made))
            one = _Certifying(asked, settings, tolerance, most, own, watch, save)
            watch.stop.so_far = lambda: [*earlier, one.verdict(True)]
            found = one.run()
        return replace(found, notes=(*found.notes, note)) if note else found
    finally:
        if pool is None:
            own.close()


def _as_files(
    question: RadiusQuestion, settings: Settings, made: Path
) -> tuple[RadiusQuestion, str]:
    """The question with the files that ask it, written if it was given in memory: beside the
    certificate, if one is kept. A note where that cannot be."""
    wanted = settings.check or settings.certificate is not None
    if question.given is None or not wanted:
        return question, ""
    kept = settings.certificate
    try:
        files = write_given(question.given, made if kept is None else folder_beside(kept))
    except UnsupportedError as error:
        return question, f"no certificate: {error}"
    return replace(question, files=files), ""


@dataclass
class _Certifying:
    """One radius: its search, and what the checker said of it so far."""

    question: RadiusQuestion
    settings: Settings
    tolerance: Fraction
    limit: Fraction | None
    pool: SolverPool
    watch: Watch
    save: Path | None
    proved: Fraction | None = None
    told: Mapping[str, Any] | None = None
    refuted_told: Mapping[str, Any] | None = None
    notes: list[str] = field(default_factory=list)
    evidence: list[Evidence] = field(default_factory=list)
    accepted: bool = True
    """Whether the checker has refused no witness."""
    _checked: float = 0.0
    _took: float = 0.0

    def __post_init__(self) -> None:
        asked = self.question
        ends = [e for e in (self.limit, asked.domain) if e is not None]
        self.most = min(ends, default=MOST)
        self.domain = asked.domain is not None and self.most == asked.domain
        budget = self.watch.budget(self.settings)
        alone = replace(self.settings, certificate=None)
        self.search = RadiusSearch(
            asked, alone, budget, self.pool, self.watch, self.tolerance, self.most)
        self.started = time.monotonic()
        for kept in (self.settings.certificate, self._witness_path):
            if kept is not None:
                refuse_foreign(beside(kept))

    @property
    def _witness_path(self) -> Path | None:
        """Where the certificate of the witness is kept: beside it."""
        return None if self.save is None else beside(self.save).with_suffix(".vxc")

    @property
    def _stopped(self) -> bool:
        return self.watch.stop.is_set()

    @property
    def _checks(self) -> bool:
        """Whether anything is certified: there are files to name, and somebody wants it."""
        files = self.question.files
        wanted = self.settings.check or self.settings.certificate is not None
        return (wanted and files is not None and files.checkable
                and len(self.question.problem.networks) < 2)

    def run(self) -> RadiusVerdict:
        """Search and check; nothing is lost to Ctrl-C."""
        interrupted = False
        try:
            # What is known of the radius is kept where the search for more is cut off.
            with suppress(CutOff), self.search.budget.enforced():
                for _ in self.search.run():
                    if self._checks and self._worthwhile():
                        self._check_last()
            self._finish()
        except KeyboardInterrupt:
            interrupted = True
        return self.verdict(interrupted or self._stopped)

    # --- checking -------------------------------------------------------------------------------

    def _worthwhile(self) -> bool:
        passed = time.monotonic() - self._checked
        return passed >= _OFTEN * self._took

    def _seconds(self) -> float:
        return max(self.settings.check_seconds, self.search.budget.left)

    def _finish(self) -> None:
        """Certify what is left to be: the largest radius shown, and the witness."""
        if not self._checks:
            if self.question.files is None and self.settings.certificate is not None:
                self.notes.append(IN_MEMORY)
            if len(self.question.problem.networks) > 1:
                self.notes.append(SEVERAL)
            return
        while self.search.holds not in (None, self.proved) and not self._stopped:
            if not self._check_last() and not self.settings.check:
                break
            if self.told is not None and self.told.get("check_exit") is None:
                break  # it was not checked in time: another one would not be either
        if not self._stopped:
            self._check_witness()

    def _check_last(self) -> bool:
        """Have the largest radius at which the claim was shown checked; what is refused is no
        longer held."""
        radius, verdict = self.search.held[-1]
        started = time.monotonic()
        done = self._certify(radius, verdict, self.settings.certificate)
        self._checked, self._took = time.monotonic(), time.monotonic() - started
        told = done.extra.get("certificate")
        if done.outcome is Outcome.PROVED:
            self.proved, self.told = radius, told
            self.evidence = [*verdict.evidence,
                             Evidence(EvidenceKind.CERTIFICATE_ACCEPTED, BY_CHECKER)]
            return True
        self.notes += [n for n in done.notes if n not in verdict.notes]
        unchecked = told is not None and told.get("check_exit") is None
        if not unchecked and not self._stopped:
            self.search.drop(radius)
        if self.proved is None:
            self.told = told
        return False

    def _check_witness(self) -> None:
        """Have the witness checked as that of the claim at its distance."""
        witness, radius = self.search.witness, self.search.refuted
        if witness is None or radius is None:
            return
        done = self._certify(
            radius, Verdict(Outcome.REFUTED, witness=witness), self._witness_path)
        self.refuted_told = done.extra.get("certificate")
        self.notes += done.notes
        if any(r.kind is ReasonKind.WITNESS_REFUSED for r in done.reasons):
            self.accepted = False
            self.search.reasons += done.reasons

    def _certify(self, radius: Fraction, verdict: Verdict, kept: Path | None) -> Verdict:
        """Write the spec of a radius and the certificate, and have them checked; both are kept
        where `kept` says, unless the checker refuses them."""
        files = self.question.files
        if files is None:
            return verdict
        with tempfile.TemporaryDirectory(prefix="verifex-") as made:
            # Beside what was kept before, which stays until there is something better.
            path = Path(made) / "radius.vxc"
            if kept is not None:
                path = kept.with_name(f"part-{kept.name}")
            try:
                asked = radius_files(files, self.question, radius, beside(path))
                done = certify(
                    self.question.at(radius), verdict, asked, self._seconds(),
                    replace(self.settings, certificate=path), stop=self.watch.stop)
                told = self._kept(done.extra.get("certificate"), path, kept, radius)
            except UnsupportedError as error:
                note = f"no certificate: {error}"
                return replace(verdict, notes=(*verdict.notes, note))
            finally:
                for part in (path, beside(path)):
                    part.unlink(missing_ok=True)
        return done if told is None else replace(done, extra={**done.extra, "certificate": told})

    @staticmethod
    def _kept(
        told: Mapping[str, Any] | None, path: Path, kept: Path | None, radius: Fraction
    ) -> dict[str, Any] | None:
        """What is told of a certificate, which goes to its place unless it was refused."""
        if told is None:
            return None
        where: dict[str, Any] = {"path": None, "spec": None, "radius": str(radius)}
        if kept is not None and told.get("check_exit") in (None, 0):
            path.replace(kept)
            beside(path).replace(beside(kept))
            where |= {"path": str(kept), "spec": str(beside(kept))}
        return {**told, **where}

    # --- the answer -----------------------------------------------------------------------------

    def verdict(self, interrupted: bool) -> RadiusVerdict:
        """What is known now."""
        search, claimed = self.search, self.search.holds
        if not self.accepted:
            search.witness = search.refuted = None
        # Sound: only what the checker accepted closes the lower end; an upper end is replayed.
        closed = search.closed(self.proved) and self.accepted
        if claimed is not None and self.proved is not None and claimed <= self.proved:
            claimed = None
        notes = (*search.notes, *self.notes)
        return RadiusVerdict(
            self.question.problem.name, self.question.key, self.question.moving.label, self.proved,
            claimed, search.refuted, search.witness, self.most, self.domain, self.tolerance, closed,
            interrupted, () if closed else self._reasons(interrupted),
            tuple(self.evidence), tuple(dict.fromkeys(notes)), time.monotonic() - self.started,
            tuple(search.trials), None if self.question.files is None else
            self.question.files.hashes(), self.told, self.refuted_told)

    def _reasons(self, interrupted: bool) -> tuple[Reason, ...]:
        """Why the gap is not closed; each radius tells of an interruption by itself."""
        told = dict.fromkeys(
            r for r in list(self.search.reasons) if r.kind is not ReasonKind.INTERRUPTED)
        return as_interrupted(told, time.monotonic() - self.started) if interrupted else tuple(told)


def radius_files(
    files: QuestionFiles, question: RadiusQuestion, radius: Fraction, path: Path
) -> QuestionFiles:
    """Write the spec with that radius to a path; the files of the question that it asks.

    Raises UnsupportedError for a spec that has no text form here.
    """
    text = radius_text(files, question, radius, path.parent)
    write_spec(path, text)
    moved = Moved(files.spec.path.parent, path.parent)
    renamed = {moved(name): digest for name, digest in files.data.items()}
    return replace(files, spec=Source(path, str(path), text.encode(), bytes), data=renamed)


def radius_text(
    files: QuestionFiles, question: RadiusQuestion, radius: Fraction, folder: Path
) -> str:
    """The text of the spec with that radius, for a file in that folder."""
    moved = Moved(files.spec.path.parent, folder)
    document = question.document(read_table(files.spec.data.decode()), radius)
    alone = f" of {question.moving.label} alone" if question.moving.label else ""
    told = f"{question.key} {float(radius):.9g}{alone}"
    document["name"] = f"{document.get('name') or files.spec.path.stem}: {told}"
    document["network"] = moved.file(files.network.path)
    return marked(f"{files.spec.path.name} with {told}",
                  toml_text(moved_document(document, moved)))
