"""`plot`: a log as a drawing: bound or gap, and domains, over time."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from verifex.errors import InputError, MissingSolverError, UsageError

_KINDS = (".svg", ".png", ".pdf")
_LEAST_GAP = 1e-12  # what a closed gap is drawn as: a logarithm has no zero


def plot(log: Path, output: Path) -> int:
    """Read the log, draw it, say what was drawn."""
    if output.suffix not in _KINDS:
        raise UsageError(f"--output {output}, expected a name that ends in {', '.join(_KINDS)}")
    entries = read_log(log)
    figure = draw(entries, log.name)
    try:
        figure.savefig(output)
    except OSError as error:
        raise InputError(
            f"cannot be written: {error.strerror}", expected="a writable file", file=str(output)
        ) from None
    searched = sum(e["event"] == "search" for e in entries)
    print(f"{output}: {searched} points of a search, {entries[-1]['t']:.2f} s")
    return 0


def read_log(path: Path) -> list[dict[str, Any]]:
    """The entries of a log; an unfinished last line (a run that was killed) is left out."""
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except OSError as error:
        raise InputError(
            f"cannot be read: {error.strerror}", expected="a log", file=str(path)
        ) from None
    except UnicodeDecodeError:
        raise InputError("not text", expected="a log of --log", file=str(path)) from None
    entries = []
    for number, line in enumerate(lines[:-1], 1):
        try:
            entry = json.loads(line)
        except (ValueError, RecursionError):
            entry = None
        if not (isinstance(entry, dict) and _is_entry(entry)):
            raise InputError(
                "not an entry of a log", expected='an object with "event" and "t"',
                key=f"line {number}", file=str(path),
            )
        entries.append(entry)
    if not entries:
        raise InputError("empty", expected="a log of --log", file=str(path))
    return entries


def _is_entry(entry: dict[str, Any]) -> bool:
    numbers = [entry.get("t")]
    if entry.get("event") == "search":
        numbers += [entry.get("domains"), entry.get("open")]
        numbers += [entry[k] for k in ("bound", "gap") if entry.get(k) is not None]
    return isinstance(entry.get("event"), str) and all(
        isinstance(v, int | float) and math.isfinite(v) for v in numbers
    )


def draw(entries: Sequence[dict[str, Any]], title: str) -> Any:
    """A matplotlib figure; raises MissingSolverError where matplotlib is not installed."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingSolverError(
            "drawing needs matplotlib, which is not installed: pip install 'verifex-nn[plot]'"
        ) from None
    figure = Figure(figsize=(8, 6), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True)
    search = [e for e in entries if e["event"] == "search"]
    for name in dict.fromkeys(e.get("expression", "") for e in search):
        mine = [e for e in search if e.get("expression", "") == name]
        time = [e["t"] for e in mine]
        prefix = f"{name}: " if name else ""
        for key in ("bound", "gap"):
            at = [k for k, e in enumerate(mine) if e.get(key) is not None]
            if at:
                values = [_drawn(key, mine[k][key]) for k in at]
                above.step([time[k] for k in at], values, where="post", label=prefix + key)
        below.step(time, [e["domains"] for e in mine], where="post", label=prefix + "domains")
        below.step(time, [e["open"] for e in mine], where="post", label=prefix + "open")
    if any(e.get("gap") is not None for e in search):
        above.set_yscale("log")
    below.set_yscale("symlog")
    above.set_ylabel("bound or gap")
    below.set_ylabel("domains")
    below.set_xlabel("seconds")
    above.set_title(title, loc="left")
    _mark_stages(above, entries)
    for axes in (above, below):
        if axes.get_legend_handles_labels()[0]:
            axes.legend(fontsize="small")
    return figure


def _drawn(key: str, value: float) -> float:
    return max(value, _LEAST_GAP) if key == "gap" else value


def _mark_stages(axes: Any, entries: Sequence[dict[str, Any]]) -> None:
    """A dotted line with its name where a stage ends."""
    for entry in entries:
        if entry["event"] == "stage":
            axes.axvline(entry["t"], linestyle=":", linewidth=0.8, color="grey")
            axes.annotate(
                str(entry.get("stage", "")), (entry["t"], 1.0), xycoords=("data", "axes fraction"),
                rotation=90, fontsize="x-small", ha="right", va="top",
            )
