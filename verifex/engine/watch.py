"""What a run tells while it works: every entry to the log, and now and then a line of progress."""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import Event
from typing import Any

from verifex.engine.budget import Budget, PausableClock
from verifex.settings import Settings

Log = Callable[[dict[str, Any]], None]
Progress = Callable[[str, str], None]

INTERVAL = 0.5
"""Seconds between two lines of progress of one stage."""


class StopRequest:
    """Asks the work on a question to end, as if its time were over, from a signal or a thread.

    `so_far` gives what is known until then, for whoever cannot wait for the end: the verdict, or
    the ranges.
    """

    def __init__(self) -> None:
        self._event = Event()
        self.so_far: Callable[[], Any] | None = None

    def set(self) -> None:
        """Ask the work to end."""
        self._event.set()

    def is_set(self) -> bool:
        """Whether it was asked to end."""
        return self._event.is_set()


class Watch:
    """Takes the entries of a search; a `log` gets them all, `progress` a line twice a second.

    It stands beside the settings and not among them: callbacks are no data. `stop` ends the work.
    """

    def __init__(
        self, log: Log | None = None, progress: Progress | None = None,
        clock: Callable[[], float] = time.monotonic, stop: StopRequest | None = None,
    ) -> None:
        self.log, self.progress, self._clock = log, progress, clock
        self.stop = stop or StopRequest()
        self._next = clock() + INTERVAL

    def budget(self, settings: Settings, seconds: float | None = None) -> Budget:
        """The budget that settings give, or one of so many seconds: over once `stop` is set."""
        limit = settings.seconds if seconds is None else seconds
        return Budget(
            limit, settings.memory, settings.threads, PausableClock(), self.stop.is_set)

    def entry(self, entry: dict[str, Any]) -> None:
        """One entry of a search."""
        if self.log is not None:
            self.log(entry)
        if self.progress is not None and self._clock() >= self._next:
            self._next = self._clock() + INTERVAL
            self.progress("search", summary(entry))

    def slice(self, at: float, engine: str, seconds: float, left: float | None) -> None:
        """The end of an engine's slice of time, `at` seconds after the beginning; `left` is the
        share of its work that it reckons with, 0 to 1, None where it cannot tell."""
        if self.log is not None:
            share = None if left is None else round(left, 6)
            self.log({"event": "slice", "t": round(at, 4), "engine": engine,
                      "seconds": round(seconds, 4), "left": share})

    def stage(self, name: str, seconds: float, result: str) -> None:
        """The end of a stage."""
        if self.log is not None:
            self.log(
                {"event": "stage", "stage": name, "seconds": round(seconds, 4), "result": result}
            )
        if self.progress is not None:
            self.progress(name, result)

    def search(self) -> Log | None:
        """What a search should report to: None where nobody listens."""
        return self.entry if self.log is not None or self.progress is not None else None


def summary(entry: dict[str, Any]) -> str:
    """An entry of a search in a few words."""
    if "facts" in entry:
        return f"{entry['facts']} bounds at the root"
    parts = [f"{entry.get('domains', 0)} domains, {entry.get('open', 0)} open"]
    for key in ("bound", "gap"):
        if entry.get(key) is not None:
            parts.append(f"{key} {entry[key]:.3g}")
    return ", ".join(parts)
