"""The interface of executors: tasks of plain data go in, results of plain data come out.

A task names a function as "module:function" and holds JSON data for it; no code travels, so that a
task can be done in this process, in another one, or on another machine. An executor is anything
with `run`; what it does with each task is `perform`, a function from text to text.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Generator, Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Protocol

from verifex.errors import UsageError, VerifexError, error_from_json, error_to_json


@dataclass(frozen=True)
class Task:
    """A call of `function`, "module:function", with `payload`, which is JSON data.

    The name comes from the program that makes the task, never from a file that is read: whatever it
    names is called. `seconds` of wall time after which an executor that can gives the task up.
    """

    function: str
    payload: Any = None
    seconds: float | None = None

    def text(self) -> str:
        """The task as JSON text; raises UsageError where the payload is no JSON data."""
        try:
            return json.dumps({"function": self.function, "payload": self.payload})
        except (TypeError, ValueError, RecursionError) as error:
            raise UsageError(
                f"payload of {self.function}: {error}, expected data that JSON can hold"
            ) from None


class FailureKind(Enum):
    """Why a task has no value."""

    RAISED = "raised"  # the function raised an error
    DIED = "died"  # its process ended in the middle, twice
    DEADLINE = "deadline"  # its seconds were over
    MEMORY = "memory"  # its process took more than it may


@dataclass(frozen=True)
class TaskFailure:
    """Why a task has no value, with the error that stands for it as plain data."""

    kind: FailureKind
    error: Mapping[str, str]

    @staticmethod
    def of(kind: FailureKind, error: VerifexError) -> TaskFailure:
        return TaskFailure(kind, error_to_json(error))

    def to_error(self) -> VerifexError:
        """The error that the task raised, of the same type; VerifexError for what it was not."""
        return error_from_json(self.error)


@dataclass(frozen=True)
class TaskResult:
    """What became of task `number`, counted from 0 in the order in which tasks were given: the
    value that its function returned, or why there is none."""

    number: int
    value: Any = None
    failure: TaskFailure | None = None

    def get(self) -> Any:
        """The value; raises the error that stands for a failure."""
        if self.failure is not None:
            raise self.failure.to_error()
        return self.value


class Executor(Protocol):
    """Does tasks."""

    def run(self, tasks: Iterable[Task]) -> Generator[TaskResult, None, None]:
        """One result for every task, as they come, in any order.

        What becomes of one task does not depend on the others. Tasks are taken when there is room
        for them, so that there may be very many. Closing the generator ends what is still running.
        Raises UsageError for a task that is none.
        """
        ...


def perform(text: str) -> str:
    """Do the task of a `Task.text`, and give what `read_result` reads. Only KeyboardInterrupt and
    its like are raised."""
    try:
        task = json.loads(text)
        return json.dumps({"value": find_function(task["function"])(task["payload"])})
    except VerifexError as error:
        failure = TaskFailure.of(FailureKind.RAISED, error)
    except MemoryError:
        failure = TaskFailure.of(FailureKind.MEMORY, VerifexError("out of memory"))
    except Exception as error:  # of the task: no reason for others to end
        told = VerifexError(f"internal error: {type(error).__name__}: {error}")
        failure = TaskFailure.of(FailureKind.RAISED, told)
    return json.dumps({"failure": failure.kind.value, "error": dict(failure.error)})


def read_result(number: int, text: str) -> TaskResult:
    """The result that `perform` gave for a task."""
    said = json.loads(text)
    if "failure" in said:
        return TaskResult(number, failure=TaskFailure(FailureKind(said["failure"]), said["error"]))
    return TaskResult(number, said["value"])


def find_function(name: str) -> Callable[[Any], Any]:
    """The function called "module:function"; raises UsageError where there is none."""
    module, _, function = name.partition(":")
    try:
        found = getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError, ValueError) as error:
        raise UsageError(f"task {name!r}: {error}, expected \"module:function\"") from None
    if not callable(found):
        raise UsageError(f"task {name!r}: a {type(found).__name__}, expected a function")
    called: Callable[[Any], Any] = found
    return called
