"""Many questions at once: the verdicts of all executors are the same, question by question."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import torch

import verifex
from tests.helpers.marks import without_gpu
from verifex import (
    ClaimQuestion,
    Executor,
    InProcessExecutor,
    Outcome,
    ProcessExecutor,
    Settings,
    Task,
    TaskResult,
)
from verifex.errors import EXIT_INPUT, EXIT_PROVED, EXIT_REFUTED

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = ROOT / "examples"
NET = EXAMPLES / "breast_cancer.onnx"
QUICK = Settings(seconds=60.0, solvers=())


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Forked processes are refused where torch has several threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def spec(radius: str, row: int, top: int = 3) -> dict[str, Any]:
    return {
        "input": {"data": str(EXAMPLES / "breast_cancer_test.csv"), "row": row, "target": "target"},
        "region": {"linf": radius, "clip": [0, 1]},
        "explain": {"attribution": "gradient", "reduce": "abs"}, "require": [{"top_k": top}],
    }


def questions(folder: Path) -> list[ClaimQuestion]:
    """Rows and radii; a network as bytes, a spec as a file, and two that cannot be asked."""
    file = EXAMPLES / "top3_stable.toml"
    asked = [ClaimQuestion(NET, spec(radius, row))
             for row in (0, 1, 4) for radius in ("0.001", "0.05")]
    return [
        *asked, ClaimQuestion(NET.read_bytes(), spec("0.001", 2)),
        ClaimQuestion(str(NET), str(file), folder / "proof.vxc"),
        ClaimQuestion(folder / "nowhere.onnx", spec("0.001", 1)),
        ClaimQuestion(NET, spec("-1", 1)),
    ]


class LastFirst:
    """An executor that holds all tasks back, and does the last one first."""

    def run(self, tasks: Any) -> Generator[TaskResult, None, None]:
        every = list(enumerate(tasks))
        for number, one in reversed(every):
            for result in InProcessExecutor().run([one]):
                yield replace(result, number=number)


def said(answered: verifex.AnsweredQuestion) -> Any:
    """What an answer says, without the seconds that it took."""
    if answered.verdict is None:
        return answered.exit_code, type(answered.error), str(answered.error)
    verdict = answered.verdict
    certificate = {key: value for key, value in verdict.extra.get("certificate", {}).items()
                   if not key.endswith("seconds")}
    return answered.exit_code, certificate, replace(
        verdict, seconds=0.0, extra={},
        steps=tuple(replace(step, seconds=0.0) for step in verdict.steps))


@pytest.mark.parametrize("executor", [
    pytest.param(ProcessExecutor(2, start="fork"), marks=without_gpu), LastFirst(),
    pytest.param(ProcessExecutor(2), marks=pytest.mark.slow)], ids=["forked", "last", "fresh"])
def test_all_executors_give_the_same_verdicts(executor: Executor, tmp_path: Path) -> None:
    asked = questions(tmp_path)
    here = [said(one) for one in verifex.verify_each(asked, QUICK)]
    found = list(verifex.verify_each(asked, QUICK, executor=executor))
    assert all(answered.question is asked[answered.number] for answered in found)
    assert [said(one) for one in sorted(found, key=lambda answered: answered.number)] == here
    codes = [answer[0] for answer in here]
    assert EXIT_REFUTED in codes
    assert codes[-3:] == [EXIT_PROVED, EXIT_INPUT, EXIT_INPUT]
    assert (tmp_path / "proof.vxc").exists()


def test_an_answer_is_that_of_verify() -> None:
    for answered in verifex.verify_each(
        [ClaimQuestion(NET, spec(radius, 4)) for radius in ("0.001", "0.05")], QUICK
    ):
        alone = verifex.verify(NET, answered.question.spec, QUICK)
        assert (answered.get().outcome, answered.get().margin_low) == (
            alone.outcome, alone.margin_low)
        assert answered.exit_code == alone.exit_code


def test_errors_of_questions() -> None:
    (answered,) = verifex.verify_each([ClaimQuestion(NET, spec("-1", 4))])
    assert answered.verdict is None
    with pytest.raises(verifex.InputError, match=r"region\.linf"):
        answered.get()


class DiesOn:
    """Does tasks in process, but for one, whose process died."""

    def run(self, tasks: Any) -> Generator[TaskResult, None, None]:
        yield from ProcessExecutor(1).run(
            Task("tests.helpers.task_functions:die") if number == 0 else one
            for number, one in enumerate(tasks))


def test_a_process_that_died_is_an_answer() -> None:
    asked = [ClaimQuestion(NET, spec("0.001", row)) for row in (1, 4)]
    dead, alive = sorted(
        verifex.verify_each(asked, QUICK, executor=DiesOn()), key=lambda answered: answered.number)
    assert alive.get().outcome is Outcome.PROVED
    with pytest.raises(verifex.VerifexError, match="died of signal 9, twice"):
        dead.get()
    assert dead.exit_code == 70


def test_questions_and_settings_that_cannot_be_asked(tmp_path: Path) -> None:
    asked = [ClaimQuestion(NET, spec("0.001", 4))]
    with pytest.raises(verifex.UsageError, match="one certificate file for several"):
        verifex.verify_each(asked, Settings(certificate=tmp_path / "proof.vxc"))
    with pytest.raises(verifex.UsageError, match="threads = 0"):
        verifex.verify_each(asked, Settings(threads=0))
    exact = {**spec("0.001", 4), "region": {"linf": Fraction(1, 1000)}}
    with pytest.raises(verifex.UsageError, match="Fraction"):
        list(verifex.verify_each([ClaimQuestion(NET, exact)]))
