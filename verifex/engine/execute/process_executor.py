"""The executor that does tasks in several other processes of this machine."""

from __future__ import annotations

import math
import shutil
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass, field

from verifex.engine.execute.channel import wait_for_any
from verifex.engine.execute.child_process import ChildProcess, fork_child, start_child
from verifex.engine.execute.executor import (
    FailureKind,
    Task,
    TaskFailure,
    TaskResult,
    read_result,
)
from verifex.engine.execute.task_worker import serve_tasks
from verifex.errors import UsageError, VerifexError

_LOOK = 0.1
"""Seconds between looks at clocks, memory, and processes that may have died."""

STARTS = "fresh", "fork"


@dataclass(frozen=True)
class ProcessExecutor:
    """Does up to `processes` tasks at once, each in another process, which then does the next.

    A process that takes more than `memory` bytes, together with the solvers that it starts, costs
    its task; one that dies costs its task a second try, in a new process, and no other task
    anything. `start`: "fresh" processes import what they need (a second or two for torch), "fork"
    copies this one at once. A copy can use neither a GPU nor, where this process has used several
    threads of torch, more than one of them.
    """

    processes: int = 2
    memory: int = 4 << 30
    start: str = "fresh"
    clock: Callable[[], float] = field(default=time.monotonic, repr=False)

    def __post_init__(self) -> None:
        if self.processes < 1:
            raise UsageError(f"processes = {self.processes}, expected at least 1")
        if self.start not in STARTS:
            raise UsageError(f"start = {self.start!r}, expected {', '.join(STARTS)}")

    def run(self, tasks: Iterable[Task]) -> Generator[TaskResult, None, None]:
        if self.start == "fork":
            _require_fork()
        crew = _Crew(self, tasks)
        try:
            yield from crew.results()
        finally:
            crew.end()


def _require_fork() -> None:
    """Raise UsageError where a copy of this process could hang or use what it must not."""
    import torch

    if torch.accelerator.is_available():
        raise UsageError("start = 'fork' where torch sees a GPU, expected 'fresh'")
    if torch.get_num_threads() > 1:  # their pool does not survive: a copy waits for it for ever
        raise UsageError(
            f"start = 'fork' where torch has {torch.get_num_threads()} threads, expected 'fresh', "
            "or torch.set_num_threads(1) before anything is computed")


@dataclass
class _Assignment:
    """A task under way: how often it was tried, and when it is given up by the executor's clock."""

    number: int
    task: Task
    text: str
    tries: int = 0
    until: float = math.inf


@dataclass(eq=False)
class _TaskWorker:
    """A process and what it is doing."""

    child: ChildProcess
    doing: _Assignment | None = None


class _Crew:
    """The processes of one run."""

    def __init__(self, plan: ProcessExecutor, tasks: Iterable[Task]) -> None:
        self._plan, self._tasks = plan, enumerate(tasks)
        self._again = deque[_Assignment]()
        self._workers: list[_TaskWorker] = []
        self._folder = tempfile.mkdtemp(prefix="verifex-")
        """Temporary files of all processes: what a killed one leaves goes with it."""

    def results(self) -> Iterator[TaskResult]:
        """The results of all tasks as they come."""
        while True:
            self._hand_out()
            busy = [worker for worker in self._workers if worker.doing is not None]
            if not busy:
                return
            wait_for_any([worker.child.channel for worker in busy], _LOOK)
            for worker in busy:
                result = self._outcome(worker)
                if result is not None:
                    yield result

    def end(self) -> None:
        """No process outlives the run."""
        for worker in self._workers:
            worker.child.kill()  # all at once, before any is waited for
        for worker in self._workers:
            worker.child.end()
        self._workers = []
        shutil.rmtree(self._folder, ignore_errors=True)

    def _hand_out(self) -> None:
        """Give every process that has nothing to do a task, as long as there are any."""
        while True:
            idle = self._idle()
            if idle is None and len(self._workers) >= self._plan.processes:
                return
            assignment = self._next()
            if assignment is None:
                return
            worker = idle or self._start(assignment)
            if worker is None:
                return
            assignment.tries += 1
            seconds = assignment.task.seconds
            assignment.until = math.inf if seconds is None else self._plan.clock() + seconds
            worker.doing = assignment
            worker.child.channel.send({"task": assignment.text})
            worker.child.channel.pump(0.0)

    def _idle(self) -> _TaskWorker | None:
        """A process that has nothing to do; one that died of it is forgotten."""
        for worker in [w for w in self._workers if w.doing is None]:
            if worker.child.running:
                return worker
            self._workers.remove(worker)
            worker.child.end()
        return None

    def _next(self) -> _Assignment | None:
        if self._again:
            return self._again.popleft()
        number, task = next(self._tasks, (0, None))
        return None if task is None else _Assignment(number, task, task.text())

    def _start(self, assignment: _Assignment) -> _TaskWorker | None:
        """A new process for a task; where none can be had, the task waits for another one."""
        try:
            child = self._child()
        except OSError as error:
            if not self._workers:
                raise VerifexError(f"no process can be started: {error}") from None
            self._again.appendleft(assignment)
            return None
        child.channel.send({"path": sys.path, "folder": self._folder})
        self._workers.append(_TaskWorker(child))
        return self._workers[-1]

    def _child(self) -> ChildProcess:
        if self._plan.start == "fork":
            return fork_child(serve_tasks, [worker.child.channel for worker in self._workers])
        return start_child(serve_tasks.__module__)

    def _outcome(self, worker: _TaskWorker) -> TaskResult | None:
        """What became of a task, as far as that is known yet."""
        channel, doing = worker.child.channel, worker.doing
        if doing is None:
            return None
        ended = not worker.child.running  # asked first: what it said last has arrived then
        channel.pump(0.0)
        message = channel.receive()
        if message is not None and "result" in message:
            worker.doing = None
            return read_result(doing.number, message["result"])
        if message is not None:
            raise VerifexError(f"a process that does tasks failed: {message['error']}")
        if ended or channel.closed:
            return self._died(worker, doing)
        if self._plan.clock() >= doing.until:
            seconds = f"{doing.task.seconds:g}"
            return self._give_up(worker, doing, FailureKind.DEADLINE, f"no answer in {seconds} s")
        if worker.child.grown > self._plan.memory:
            most = f"{self._plan.memory >> 20} MiB"
            return self._give_up(worker, doing, FailureKind.MEMORY, f"took more than {most}")
        return None

    def _died(self, worker: _TaskWorker, doing: _Assignment) -> TaskResult | None:
        """A process that is gone: its task is tried once more."""
        self._workers.remove(worker)
        how = worker.child.end()
        if doing.tries < 2:
            self._again.append(doing)
            return None
        error = VerifexError(f"{doing.task.function}: the process that did it {how}, twice")
        return TaskResult(doing.number, failure=TaskFailure.of(FailureKind.DIED, error))

    def _give_up(
        self, worker: _TaskWorker, doing: _Assignment, kind: FailureKind, why: str
    ) -> TaskResult:
        self._workers.remove(worker)
        worker.child.end()
        error = VerifexError(f"{doing.task.function}: {why}")
        return TaskResult(doing.number, failure=TaskFailure.of(kind, error))


