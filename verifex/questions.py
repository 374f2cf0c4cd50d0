"""Many questions, decided by an executor: one after the other here, or several at a time elsewhere.

    for answered in verifex.verify_each(questions, executor=verifex.ProcessExecutor(4)):
        print(answered.number, answered.get().outcome)

A question travels as plain data and comes back as the JSON of its verdict, whichever executor does
it, so that all executors give the same answers.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from verifex import api
from verifex.errors import UsageError, VerifexError
from verifex.reading import ModelLike, SpecLike
from verifex.settings import ClaimChanges, Settings

if TYPE_CHECKING:
    from verifex.engine.execute.executor import Executor, Task
    from verifex.engine.verdict import Verdict


@dataclass(frozen=True)
class ClaimQuestion:
    """Whether a claim holds, as plain data.

    `network` is a path to an ONNX file, its bytes, or None where the spec names it; `spec` a path
    to a TOML file or a VNN-LIB query, or the data of such a TOML file (numbers, text, lists and
    tables). `certificate` is the file in which this question's certificate is kept.
    """

    network: str | Path | bytes | None
    spec: str | Path | Mapping[str, Any]
    certificate: str | Path | None = None


@dataclass(frozen=True)
class AnsweredQuestion:
    """A question, its place in the order in which questions were given, and its verdict, or the
    error that it led to: a bad file, or a process that died in the middle."""

    number: int
    question: ClaimQuestion
    verdict: Verdict | None = None
    error: VerifexError | None = None

    @property
    def exit_code(self) -> int:
        """What the command line would have returned."""
        if self.verdict is not None:
            return self.verdict.exit_code
        return VerifexError.exit_code if self.error is None else self.error.exit_code

    def get(self) -> Verdict:
        """The verdict; raises the error where there is none."""
        if self.verdict is None:
            raise self.error or VerifexError("a question without an answer")
        return self.verdict


def verify_each(
    questions: Iterable[ClaimQuestion], settings: Settings | None = None, *,
    executor: Executor | None = None, give_up: float | None = None,
) -> Generator[AnsweredQuestion, None, None]:
    """Decide several claims; yields verdicts as they come, in any order.

    `settings` hold for each question, `seconds` too. Without an `executor` the questions are
    decided here, in order; `ProcessExecutor(n)` decides n at a time. `give_up`: seconds of wall
    time after which an executor that can ends a question, whatever it is doing. An error of one
    question is its answer and concerns no other. Closing the generator ends what is still running.

    Verdicts hold what their JSON holds: no record of the proof (see `ClaimQuestion.certificate`).
    Raises UsageError for settings that make no sense and questions that are no plain data.
    """
    from verifex.engine.execute.in_process import InProcessExecutor

    settings = settings or Settings()
    settings.require_numbers()
    if settings.certificate is not None:
        raise UsageError(
            "one certificate file for several questions, expected one in each ClaimQuestion")
    chosen: Executor = executor or InProcessExecutor()
    return _answers(questions, settings, chosen, give_up)


def _answers(
    questions: Iterable[ClaimQuestion], settings: Settings, executor: Executor,
    give_up: float | None,
) -> Generator[AnsweredQuestion, None, None]:
    from verifex.engine.verdict import Verdict

    asked: dict[int, ClaimQuestion] = {}

    def tasks() -> Iterator[Task]:
        for number, question in enumerate(questions):
            asked[number] = question
            yield _task(question, settings, give_up)

    with closing(executor.run(tasks())) as results:
        for result in results:
            question = asked.pop(result.number)
            if result.failure is not None:
                error = result.failure.to_error()
                yield AnsweredQuestion(result.number, question, error=error)
            else:
                yield AnsweredQuestion(result.number, question, Verdict.from_json(result.value))


def _task(question: ClaimQuestion, settings: Settings, give_up: float | None) -> Task:
    from verifex.engine.execute.executor import Task as ToDo

    network, spec = question.network, question.spec
    kept = None if question.certificate is None else Path(question.certificate)
    payload = {
        "network": None if network is None or isinstance(network, bytes) else os.fspath(network),
        "network_bytes": base64.b64encode(network).decode() if isinstance(network, bytes) else None,
        "spec": dict(spec) if isinstance(spec, Mapping) else os.fspath(spec),
        "settings": replace(settings, certificate=kept).to_json(),
    }
    return ToDo(f"{answer_question.__module__}:{answer_question.__name__}", payload, give_up)


def answer_question(payload: Mapping[str, Any]) -> dict[str, Any]:
    """What an executor does with a question: from its plain data to the JSON of its verdict."""
    said = payload["network_bytes"]
    network = payload["network"] if said is None else base64.b64decode(said)
    settings = Settings.from_json(payload["settings"])
    return api.answer(api.read(network, payload["spec"]), settings).to_json()


# --- claims in test suites ---------------------------------------------------------------------

_TOLD = 5
"""Features of a witness in a message."""


def assert_proved(
    model: ModelLike, spec: SpecLike, settings: Settings | None = None,
    **changes: Unpack[ClaimChanges],
) -> Verdict:
    """The verdict of `verify`, which must be `proved`; else AssertionError with the verdict in
    short. Arguments and other errors are those of `verifex.verify`."""
    from verifex.engine.verdict import Outcome

    verdict = api.verify(model, spec, settings, **changes)
    if verdict.outcome is not Outcome.PROVED:
        raise AssertionError(in_short(verdict))
    return verdict


def in_short(verdict: Verdict) -> str:
    """A verdict that is not `proved`, as the few lines that a test report shows."""
    lines = [f"not proved but {verdict.outcome.value}" + (
        f": {verdict.name}" if verdict.name else "")]
    if verdict.statement is not None:
        lines += [f"  {label}: {text}" for label, text in verdict.statement.lines()]
    if verdict.evidence:
        lines.append(f"  rests on: {verdict.rests_on}")
    if verdict.reason:
        lines.append(f"  reason: {verdict.reason}")
    if verdict.witness is not None:
        lines.append(f"  witness: {_witness(verdict)}")
        if verdict.witness.margin is not None:
            lines.append(f"  margin there: {float(verdict.witness.margin):.6g}")
    lines += [f"  note: {note}" for note in verdict.notes]
    return "\n".join(lines)


def _witness(verdict: Verdict) -> str:
    """The first features of the witness, by name."""
    point = () if verdict.witness is None else verdict.witness.point
    names = verdict.extra.get("features") or ()
    told = [f"{names[i] if i < len(names) else f'x[{i}]'} = {float(v):.6g}"
            for i, v in enumerate(point[:_TOLD])]
    more = len(point) - len(told)
    return ", ".join(told) + (f", and {more} more" if more else "")
