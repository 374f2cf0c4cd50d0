"""What a run tells while it works: every entry to the log, and now and then a line of progress."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

Log = Callable[[dict[str, Any]], None]
Progress = Callable[[str, str], None]

INTERVAL = 0.5
"""Seconds between two lines of progress of one stage."""


class Watch:
    """Takes the entries of a search; a `log` gets them all, `progress` a line twice a second.

    It stands beside the settings and not among them: callbacks are no data.
    """

    def __init__(
        self, log: Log | None = None, progress: Progress | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.log, self.progress, self._clock = log, progress, clock
        self._next = clock() + INTERVAL

    def entry(self, entry: dict[str, Any]) -> None:
        """One entry of a search."""
        if self.log is not None:
            self.log(entry)
        if self.progress is not None and self._clock() >= self._next:
            self._next = self._clock() + INTERVAL
            self.progress("search", summary(entry))

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
