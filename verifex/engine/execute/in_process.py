"""The executor that does one task after the other in this process."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from dataclasses import dataclass

from verifex.engine.execute.executor import Task, TaskResult, perform, read_result


@dataclass(frozen=True)
class InProcessExecutor:
    """Does tasks in order, each when its result is asked for.

    Nobody is there to give up a task that takes longer than its `seconds`, or more memory than
    there is: a function that must end keeps its own deadline, as questions do.
    """

    def run(self, tasks: Iterable[Task]) -> Generator[TaskResult, None, None]:
        for number, task in enumerate(tasks):
            yield read_result(number, perform(task.text()))
