"""Executors: the same results from all, and nothing that one task does concerns another."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.helpers import task_functions as functions
from tests.helpers.marks import without_gpu
from tests.helpers.task_functions import task
from tests.helpers.waiting import Ticks, hear_interrupts, until
from verifex.engine.execute.executor import (
    Executor,
    FailureKind,
    Task,
    TaskResult,
    perform,
    read_result,
)
from verifex.engine.execute.in_process import InProcessExecutor
from verifex.engine.execute.process_executor import ProcessExecutor
from verifex.errors import EXIT_INPUT, EXIT_INTERNAL, InputError, UnsupportedError, UsageError

ROOT = Path(__file__).resolve().parents[2]


class ReversedOverPipes:
    """A third executor, which shares nothing with the others but text in and text out: the last
    task first, each in a process that gets it on stdin and answers on stdout."""

    PROGRAM = ("import sys; from verifex.engine.execute.executor import perform; "
               "sys.stdout.write(perform(sys.stdin.read()))")

    def run(self, tasks: Iterable[Task]) -> Generator[TaskResult, None, None]:
        for number, one in reversed(list(enumerate(tasks))):
            done = subprocess.run(
                [sys.executable, "-c", self.PROGRAM], input=one.text(), text=True, cwd=ROOT,
                stdout=subprocess.PIPE, check=True)
            yield read_result(number, done.stdout)


EXECUTORS: dict[str, Executor] = {
    "in process": InProcessExecutor(),
    "fresh": ProcessExecutor(2),
    "forked": ProcessExecutor(2, start="fork"),
    "reversed over pipes": ReversedOverPipes(),
}

every = pytest.mark.parametrize("executor", [
    pytest.param(one, id=name, marks=[without_gpu] if name == "forked" else [])
    for name, one in EXECUTORS.items()])
with_processes = pytest.mark.parametrize("executor", [
    pytest.param(EXECUTORS["fresh"], id="fresh"),
    pytest.param(EXECUTORS["forked"], id="forked", marks=without_gpu)])
both_starts = pytest.mark.parametrize(
    "start", ["fresh", pytest.param("fork", marks=without_gpu)])


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Forked processes are refused where torch has several threads."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def run(executor: Executor, *tasks: Task) -> list[TaskResult]:
    """The results in the order of the tasks: one for each."""
    found = sorted(executor.run(iter(tasks)), key=lambda result: result.number)
    assert [result.number for result in found] == list(range(len(tasks)))
    return found


def gone(pids: Iterable[int]) -> bool:
    return not any(Path(f"/proc/{pid}").exists() for pid in pids)


# --- the same results from all -------------------------------------------------------------------


@every
def test_values_are_plain_data(executor: Executor) -> None:
    data = {"pair": (1, 2), "@": [3], "text": "é\n", "none": None, "number": 0.1}
    found = run(executor, *(task(functions.square, n) for n in range(5)),
                task(functions.twice, data))
    assert [result.get() for result in found[:5]] == [0, 1, 4, 9, 16]
    assert found[5].get() == [{**data, "pair": [1, 2]}, "list"]


@every
def test_errors_come_back_as_they_were_raised(executor: Executor) -> None:
    wrong, foreign, broken, no_data, square = run(
        executor, task(functions.wrong_input, "region.linf"), task(functions.unsupported),
        task(functions.broken), task(functions.a_set), task(functions.square, 3))
    assert square.get() == 9
    with pytest.raises(InputError) as caught:
        wrong.get()
    assert str(caught.value) == "a.toml:region.linf: is wrong, expected right"
    assert caught.value.exit_code == EXIT_INPUT
    with pytest.raises(UnsupportedError, match="node: a Foo, expected a Bar"):
        foreign.get()
    for result, said in ((broken, "ValueError: planted"), (no_data, "set is not JSON")):
        assert result.failure is not None
        assert result.failure.kind is FailureKind.RAISED
        assert result.failure.to_error().exit_code == EXIT_INTERNAL
        assert said in str(result.failure.to_error())


@every
def test_no_memory_is_a_failure_of_its_own(executor: Executor) -> None:
    (result,) = run(executor, task(functions.too_large))
    assert result.failure is not None
    assert result.failure.kind is FailureKind.MEMORY


@pytest.mark.parametrize(
    "name", ["", "verifex", "verifex:", "no.such:thing", "verifex.errors:nothing",
             "verifex.errors:EXIT_INPUT", ":x"])
def test_functions_that_are_not_there(name: str) -> None:
    (result,) = run(InProcessExecutor(), Task(name))
    with pytest.raises(UsageError, match="task"):
        result.get()


@every
def test_a_payload_that_is_no_data_is_refused(executor: Executor) -> None:
    with pytest.raises(UsageError, match="payload of x:y: Object of type set"):
        list(executor.run([Task("x:y", {1})]))


@every
def test_no_tasks(executor: Executor) -> None:
    assert list(executor.run([])) == []


def test_a_third_executor_gives_results_in_its_own_order() -> None:
    found = ReversedOverPipes().run(task(functions.square, n) for n in range(3))
    assert [(result.number, result.value) for result in found] == [(2, 4), (1, 1), (0, 0)]


# --- processes -----------------------------------------------------------------------------------


@with_processes
def test_processes_do_many_tasks_each_and_end(executor: Executor) -> None:
    pids = {result.get() for result in run(executor, *[task(functions.process_id)] * 12)}
    assert 1 <= len(pids) <= 2
    assert os.getpid() not in pids
    assert gone(pids)


@with_processes
def test_a_process_that_dies_costs_its_task_one_more_try(
    executor: Executor, tmp_path: Path
) -> None:
    again, lost, *rest = run(
        executor, task(functions.die_once, str(tmp_path / "mark")), task(functions.die),
        *(task(functions.square, n) for n in range(4)))
    assert again.get() == "done"
    assert [result.get() for result in rest] == [0, 1, 4, 9]
    assert lost.failure is not None
    assert lost.failure.kind is FailureKind.DIED
    assert "die: the process that did it died of signal 9, twice" in str(lost.failure.to_error())


@both_starts
def test_a_task_beyond_its_deadline_is_given_up(start: str, tmp_path: Path) -> None:
    executor = ProcessExecutor(1, start=start, clock=Ticks(60.0))
    note = tmp_path / "pids"
    late, square = run(
        executor, task(functions.sleep_beside_a_child, str(note), 600.0), task(functions.square, 3))
    assert late.failure is not None
    assert late.failure.kind is FailureKind.DEADLINE
    assert "no answer in 600 s" in str(late.failure.to_error())
    assert square.get() == 9
    if note.exists():
        assert until(lambda: gone(map(int, note.read_text().split())))


@both_starts
def test_a_process_beyond_the_memory_limit_is_killed(start: str) -> None:
    executor = ProcessExecutor(1, memory=64 << 20, start=start)
    large, square = run(executor, task(functions.grow), task(functions.square, 3))
    assert large.failure is not None
    assert large.failure.kind is FailureKind.MEMORY
    assert "took more than 64 MiB" in str(large.failure.to_error())
    assert square.get() == 9


@with_processes
def test_closing_the_generator_ends_what_is_running(
    executor: Executor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    note = tmp_path / "pids"
    tasks = task(functions.sleep_beside_a_child, str(note)), *[task(functions.process_id)] * 30

    def waited() -> Iterator[Task]:
        yield tasks[0]
        yield tasks[1]
        assert until(note.exists)
        yield from tasks[2:]

    with closing(executor.run(waited())) as running:
        pids = {next(running).get() for _ in range(2)}
    pids |= set(map(int, note.read_text().split()))
    assert until(lambda: gone(pids))
    assert list(folder.iterdir()) == []


@with_processes
def test_tasks_are_taken_when_there_is_room(executor: Executor) -> None:
    taken: list[int] = []

    def endless() -> Iterator[Task]:
        number = 0
        while True:
            taken.append(number)
            yield task(functions.square, number)
            number += 1

    with closing(executor.run(endless())) as running:
        assert next(running).get() in (0, 1)
    assert len(taken) <= 2


INTERRUPTED = """
import sys
from verifex.engine.execute.process_executor import ProcessExecutor
from tests.helpers import task_functions as functions
import torch
torch.set_num_threads(1)
tasks = [functions.task(functions.sleep_beside_a_child, name) for name in sys.argv[2:]]
try:
    print(list(ProcessExecutor(2, start=sys.argv[1]).run(tasks)))
except KeyboardInterrupt:
    print("interrupted")
"""


@both_starts
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL], ids=["interrupt", "kill"])
def test_no_process_outlives_the_first(
    start: str, number: signal.Signals, tmp_path: Path
) -> None:
    notes = [tmp_path / "first", tmp_path / "second"]
    folder = tmp_path / "temporary"
    folder.mkdir()
    with subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED, start, *map(str, notes)], stdout=subprocess.PIPE,
        text=True, cwd=ROOT, preexec_fn=hear_interrupts, env=os.environ | {"TMPDIR": str(folder)},
        start_new_session=True,
    ) as process:
        assert until(lambda: all(note.exists() for note in notes))
        pids = [int(word) for note in notes for word in note.read_text().split()]
        assert not gone(pids)
        if number == signal.SIGINT:  # a terminal tells the whole group
            os.killpg(process.pid, number)
        else:
            os.kill(process.pid, number)
        out, _ = process.communicate()
    assert until(lambda: gone(pids))
    assert until(lambda: list(folder.iterdir()) == [])
    assert number == signal.SIGKILL or out == "interrupted\n"


@both_starts
def test_without_a_process_it_says_so(start: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def none_left(*_: Any, **__: Any) -> int:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(os, "fork", none_left)
    monkeypatch.setattr(subprocess, "Popen", none_left)
    with pytest.raises(Exception, match=r"no process can be started: .*unavailable"):
        run(ProcessExecutor(2, start=start), task(functions.square, 3))


@without_gpu
def test_with_fewer_processes_than_wished_it_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    fork, calls = os.fork, list[int]()

    def one_only() -> int:
        calls.append(1)
        if len(calls) > 1:
            raise BlockingIOError(11, "Resource temporarily unavailable")
        return fork()

    monkeypatch.setattr(os, "fork", one_only)
    found = run(ProcessExecutor(3, start="fork"), *(task(functions.square, n) for n in range(5)))
    assert [result.get() for result in found] == [0, 1, 4, 9, 16]
    assert len(calls) > 1


@without_gpu
def test_executors_that_make_no_sense(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    with pytest.raises(UsageError, match="processes = 0"):
        ProcessExecutor(0)
    with pytest.raises(UsageError, match="start = 'spoon', expected fresh, fork"):
        ProcessExecutor(start="spoon")
    copies = ProcessExecutor(start="fork")
    torch.set_num_threads(2)
    with pytest.raises(UsageError, match="2 threads"):
        run(copies, task(functions.square, 3))
    torch.set_num_threads(1)
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: True)
    with pytest.raises(UsageError, match="GPU"):
        run(copies, task(functions.square, 3))


def test_a_task_as_text_and_its_result() -> None:
    said = json.loads(perform(task(functions.square, 5).text()))
    assert said == {"value": 25}
    failed = json.loads(perform(task(functions.wrong_input, "k").text()))
    assert failed["failure"] == "raised"
    assert failed["error"]["error"] == "InputError"
