"""`plot`: a log as a drawing: bound or gap, domains, and which engine had the time."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from verifex.errors import InputError, MissingSolverError, UsageError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_KINDS = (".svg", ".png", ".pdf")
_LEAST_GAP = 1e-12  # what a closed gap is drawn as: a logarithm has no zero
_SEARCHES = {"search": "gates", "inputs": "inputs", "trees": "trees"}
"""The search that an event is from."""
_ENGINES = ("bounds", "attack", "inputs", "gates", "trees")
"""Engines in the order of their rows and colours; solvers follow as they come."""


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
    searched = sum(e["event"] in _SEARCHES for e in entries)
    parts = ", ".join(f"{name} {t:.2f} s" for name, t in engine_seconds(entries).items())
    told = f"; of this {parts}" if parts else ""
    print(f"{output}: {searched} points of a search, {entries[-1]['t']:.2f} s{told}")
    return 0


def engine_seconds(entries: Sequence[dict[str, Any]]) -> dict[str, float]:
    """The seconds of each engine's slices of time, summed; in the order of their rows."""
    slices = [e for e in entries if e["event"] == "slice"]
    names = dict.fromkeys(e["engine"] for e in slices)
    rows = sorted(names, key=lambda n: _ENGINES.index(n) if n in _ENGINES else len(_ENGINES))
    return {name: sum(e["seconds"] for e in slices if e["engine"] == name) for name in rows}


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
    if entry.get("event") in _SEARCHES:
        numbers += [entry.get("domains"), entry.get("open")]
        numbers += [entry[k] for k in ("bound", "gap") if entry.get(k) is not None]
    if entry.get("event") == "slice":
        if not isinstance(entry.get("engine"), str):
            return False
        numbers.append(entry.get("seconds"))
    return isinstance(entry.get("event"), str) and all(
        isinstance(v, int | float) and math.isfinite(v) for v in numbers
    )


def draw(entries: Sequence[dict[str, Any]], title: str) -> Figure:
    """A matplotlib figure; raises MissingSolverError where matplotlib is not installed."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingSolverError(
            "drawing needs matplotlib, which is not installed: pip install 'verifex-nn[plot]'"
        ) from None
    shared = engine_seconds(entries)
    figure = Figure(figsize=(8, 6 + 0.3 * len(shared)), layout="constrained")
    if shared:
        heights = (10, 10, 1 + len(shared))
        above, below, strip = figure.subplots(3, 1, sharex=True, height_ratios=heights)
        _draw_slices(strip, entries, shared)
    else:
        above, below = figure.subplots(2, 1, sharex=True)
    _draw_searches(above, below, entries)
    figure.axes[-1].set_xlabel("seconds")
    above.set_title(title, loc="left")
    _mark_stages(above, entries)
    for axes in (above, below):
        if axes.get_legend_handles_labels()[0]:
            axes.legend(fontsize="small")
    return figure


def _draw_searches(above: Axes, below: Axes, entries: Sequence[dict[str, Any]]) -> None:
    """Bounds or gaps of every search in the axes above, numbers of domains in those below."""
    search = [e for e in entries if e["event"] in _SEARCHES]
    several = len({e["event"] for e in search}) > 1
    for name, event in dict.fromkeys((e.get("expression", ""), e["event"]) for e in search):
        mine = [e for e in search if (e.get("expression", ""), e["event"]) == (name, event)]
        time = [e["t"] for e in mine]
        words = (name, _SEARCHES[event] if several else "")
        prefix = "".join(f"{word}: " for word in words if word)
        # Two searches for one claim have the colours of their engines.
        colour = _colour(_SEARCHES[event]) if several and not name else None
        for key in ("bound", "gap"):
            at = [k for k, e in enumerate(mine) if e.get(key) is not None]
            if at:
                values = [_drawn(key, mine[k][key]) for k in at]
                above.step(
                    [time[k] for k in at], values, color=colour, where="post", label=prefix + key)
        below.step(time, [e["domains"] for e in mine], color=colour, where="post",
                   label=prefix + "domains")
        below.step(time, [e["open"] for e in mine], color=colour, linestyle="--", where="post",
                   label=prefix + "open")
    if any(e.get("gap") is not None for e in search):
        above.set_yscale("log")
    below.set_yscale("symlog")
    above.set_ylabel("bound or gap")
    below.set_ylabel("domains")


def _draw_slices(
    axes: Axes, entries: Sequence[dict[str, Any]], shared: Mapping[str, float]
) -> None:
    """A row for each engine with a bar for each slice of time that it had."""
    total = sum(shared.values())
    others = len(_ENGINES)
    for row, (name, seconds) in enumerate(shared.items()):
        bars = [(max(0.0, e["t"] - e["seconds"]), e["seconds"]) for e in entries
                if e["event"] == "slice" and e["engine"] == name]
        colour = _colour(name, others)
        others += name not in _ENGINES
        share = f" ({seconds / total:.0%})" if total > 0 else ""
        axes.broken_barh(
            bars, (row - 0.4, 0.8), facecolors=colour, label=f"{name} {seconds:.2f} s{share}")
    axes.set_yticks(range(len(shared)), list(shared))
    axes.set_ylim(len(shared) - 0.5, -0.5)
    axes.set_ylabel("engine")
    axes.legend(fontsize="small", loc="center left", bbox_to_anchor=(1.0, 0.5))


def _colour(engine: str, other: int = 0) -> str:
    """That of an engine, or of the `other`th one in matplotlib's cycle of ten."""
    return f"C{(_ENGINES.index(engine) if engine in _ENGINES else other) % 10}"


def _drawn(key: str, value: float) -> float:
    return max(value, _LEAST_GAP) if key == "gap" else value


def _mark_stages(axes: Axes, entries: Sequence[dict[str, Any]]) -> None:
    """A dotted line with its name where a stage ends."""
    for entry in entries:
        if entry["event"] == "stage":
            axes.axvline(entry["t"], linestyle=":", linewidth=0.8, color="grey")
            axes.annotate(
                str(entry.get("stage", "")), (entry["t"], 1.0), xycoords=("data", "axes fraction"),
                rotation=90, fontsize="x-small", ha="right", va="top",
            )
