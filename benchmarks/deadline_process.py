"""The process of one case of `deadlines.py`: the command line, with what is no deciding timed.

    python -m benchmarks.deadline_process LIMIT [where] COMMAND FILE ... OPTION ...

Prints one JSON line: what the command line answered, the seconds of imports, of reading the files,
and of the checker, and of everything (`inside`: all but starting and ending Python).
"""

from __future__ import annotations

import builtins
import contextlib
import importlib
import io
import json
import sys
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

LATE = 0.6
"""Seconds after the limit at which `where` looks."""


class Meters:
    """Wall seconds by what a process did, each second counted once: what is called inside counts
    as what calls it."""

    def __init__(self) -> None:
        self.seconds = {"imports": 0.0, "reading": 0.0, "checking": 0.0}
        self._inside = False

    def of(
        self, name: str, call: Callable[..., Any], after: Callable[[], None] | None = None
    ) -> Callable[..., Any]:
        """The same function, with its seconds counted; `after` is called once it has ended."""

        def metered(*args: Any, **named: Any) -> Any:
            if self._inside or threading.current_thread() is not threading.main_thread():
                return call(*args, **named)
            self._inside, started = True, time.monotonic()
            try:
                return call(*args, **named)
            finally:
                self._inside = False
                self.seconds[name] += time.monotonic() - started
                if after is not None:
                    after()

        return metered


def watch(limit: float) -> None:
    """Print where the main thread is, once a second from soon after the limit on."""
    main_thread, left = threading.main_thread().ident, 12

    def look() -> None:
        time.sleep(limit + LATE)
        for _ in range(left):
            frame = sys._current_frames().get(main_thread or 0)
            lines = traceback.extract_stack(frame)[-14:]
            print("late at", " < ".join(
                f"{Path(at.filename).stem}.{at.name}:{at.lineno}" for at in reversed(lines)),
                file=sys.stderr)
            time.sleep(1.0)

    threading.Thread(target=look, daemon=True).start()


def count(meters: Meters, after: Callable[[], None] | None) -> None:
    """Have the seconds counted that commands take to read files, and that checkers take."""
    from verifex import api
    from verifex.certificate import grant
    from verifex.cli.radius_command import command
    from verifex.problem.spec import difference

    for owner, name in ((api, "read"), (api, "measure"), (command, "read_radius"),
                        (difference, "load_difference")):
        setattr(owner, name, meters.of("reading", getattr(owner, name), after))
    setattr(grant, "run_checker", meters.of("checking", grant.run_checker))  # noqa: B010


def said(document: dict[str, Any], code: int) -> dict[str, Any]:
    """The answer, its reason and its seconds in the document of a command."""
    parts = document.get("ranges") or document.get("radii") or [document]
    words = sorted({_word(part) for part in parts})
    reasons = dict.fromkeys(part.get("reason") or part.get("error") or "" for part in parts)
    seconds = sum(part.get("seconds") or 0.0 for part in parts)
    return {"word": ", ".join(words) if document else f"exit {code}",
            "reason": "; ".join(r for r in reasons if r), "seconds": seconds}


def _word(part: dict[str, Any]) -> str:
    if "outcome" in part:
        return str(part["outcome"])
    if "error" in part:
        return "error"
    return "closed" if part.get("closed") else "open"


def main() -> None:
    started = time.monotonic()
    limit, where, *words = sys.argv[1:]
    meters = Meters()
    builtins.__import__ = meters.of("imports", builtins.__import__)
    importlib.import_module = meters.of("imports", importlib.import_module)
    # All that deciding may import, so that no second of that lies within the limit.
    import highspy  # noqa: F401
    import torch  # noqa: F401

    from verifex.cli.app import app
    from verifex.cli.guard import run
    from verifex.engine import decide, ranges  # noqa: F401
    from verifex.engine.search import claims, extrema  # noqa: F401

    count(meters, (lambda: watch(float(limit))) if where else None)
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        code = run(app, [*words, "--json"])
    text = out.getvalue().strip()
    told = said(json.loads(text) if text else {}, code) | meters.seconds
    print(json.dumps({**told, "inside": time.monotonic() - started}))
    sys.stdout.flush()


if __name__ == "__main__":
    main()
