"""What tests have executors do: functions from plain data to plain data, named in tasks."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from verifex.engine.execute.executor import Task
from verifex.errors import InputError, UnsupportedError


def task(function: Any, payload: Any = None, seconds: float | None = None) -> Task:
    """The task that calls one of these functions."""
    return Task(f"{__name__}:{function.__name__}", payload, seconds)


def square(payload: int) -> int:
    return payload * payload


def twice(payload: dict[str, Any]) -> list[Any]:
    """The payload as it came, and its type's name where a tuple was given."""
    return [payload, type(payload["pair"]).__name__]


def process_id(_: Any) -> int:
    return os.getpid()


def wrong_input(payload: str) -> None:
    raise InputError("is wrong", expected="right", key=payload, file="a.toml")


def unsupported(_: Any) -> None:
    raise UnsupportedError("a Foo", expected="a Bar", key="node")


def broken(_: Any) -> None:
    raise ValueError("planted")


def too_large(_: Any) -> None:
    raise MemoryError


def a_set(_: Any) -> set[int]:
    return {1}


def die(_: Any) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def die_once(payload: str) -> str:
    """Die the first time that the mark is not there."""
    mark = Path(payload)
    if not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return "done"


def sleep(_: Any) -> None:
    time.sleep(3600)


def sleep_beside_a_child(payload: str) -> None:
    """Write the process's own number and that of a process it starts, then sleep."""
    program = "import time; time.sleep(3600)"
    with subprocess.Popen([sys.executable, "-c", program], start_new_session=True) as other:
        note = Path(payload)
        draft = note.with_suffix(".draft")
        draft.write_text(f"{os.getpid()} {other.pid}")
        draft.rename(note)  # whoever waits for it never reads half of it
        time.sleep(3600)


def grow(_: Any) -> None:
    held = b"x" * (96 << 20)
    time.sleep(3600)
    del held
