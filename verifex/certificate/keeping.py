"""Where the files of one question and its certificate lie, and how long they last."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from verifex.certificate.grant import UNNAMED
from verifex.certificate.written import folder_beside, write_given
from verifex.engine.verdict import Outcome, Verdict
from verifex.errors import UnsupportedError
from verifex.problem.read import ReadProblem
from verifex.settings import Settings
from verifex.source import KeptFiles, QuestionFiles, TemporaryFolder


class Keeper:
    """Files for a question: those that it was read from, or written ones where it was not.

    They lie beside the certificate that the settings name, or else in a folder that lasts as long
    as the verdict. Without `keep` nothing outlasts the decision but what was asked for.
    """

    def __init__(self, asked: ReadProblem, settings: Settings, *, keep: bool) -> None:
        self.settings, self._keep = settings, keep
        self.files: QuestionFiles | None = asked.files
        self._folder: TemporaryFolder | None = None
        self.refusal: str | None = None
        """Why what was given in memory is in no file."""
        self._features = list(asked.problem.region.names)
        wanted = settings.check or settings.certificate is not None
        if wanted and settings.certificate is None and (keep or asked.given is not None):
            self._folder = TemporaryFolder()
        target = self._target
        self._written = asked.given is not None and target is not None
        if asked.given is not None and target is not None:
            try:
                self.files = write_given(asked.given, folder_beside(target))
            except UnsupportedError as error:
                self.refusal = str(error)

    @property
    def scratch(self) -> Path | None:
        """The folder of a certificate that nobody has named."""
        return None if self._folder is None else self._folder.path

    @property
    def _target(self) -> Path | None:
        if self.settings.certificate is not None:
            return self.settings.certificate
        return None if self.scratch is None else self.scratch / UNNAMED

    def told(self, verdict: Verdict) -> Verdict:
        """The verdict with what stands behind it; where nothing may outlast it, that is removed."""
        certificate = verdict.extra.get("certificate")
        if certificate is not None and self._written and self.settings.certificate is not None:
            certificate = {**certificate, "files": str(folder_beside(self.settings.certificate))}
            verdict = replace(verdict, extra={**verdict.extra, "certificate": certificate})
        if self.files is not None:
            verdict = replace(verdict, sha256=self.files.hashes())
        if not self._keep:
            if self._folder is not None:
                self._folder.remove()
            return verdict
        if self.files is None:
            return verdict
        verdict = replace(verdict, extra={**verdict.extra, "features": self._features})
        usable = certificate is not None and verdict.outcome is not Outcome.UNKNOWN
        return replace(verdict, kept=KeptFiles(
            self.files, self._target if usable else None, self._folder))
