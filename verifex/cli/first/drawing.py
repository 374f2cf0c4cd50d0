"""Drawings of an attribution: bars, or a map for images."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from verifex.errors import InputError, MissingSolverError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from verifex.problem.first.explained import ExplainedPoint

_BARS = 30
_TOP, _REST, _AGAINST = "#0b5394", "#9fc5e8", "#e6b8a2"


def draw(found: ExplainedPoint, output: Path, rows: int | None = None) -> None:
    """Write the drawing, of bars at most `rows`.

    Raises MissingSolverError where matplotlib is not installed.
    """
    figure = figure_of(found, rows)
    try:
        figure.savefig(output)
    except OSError as error:
        raise InputError(
            f"cannot be written: {error.strerror}", expected="a writable file", file=str(output)
        ) from None


def figure_of(found: ExplainedPoint, rows: int | None = None) -> Figure:
    """A map where the attribution has two or three dimensions, else bars by rank."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingSolverError(
            "drawing needs matplotlib, which is not installed: pip install 'verifex-nn[plot]'"
        ) from None
    if len(found.shape) in (2, 3):
        return _map(found, Figure)
    return _bars(found, Figure, rows or _BARS)


def _title(found: ExplainedPoint) -> str:
    at = "" if found.prediction is None else f"\nx0: {found.prediction}"
    return f"{found.name}: {found.explained}{at}"


def _bars(found: ExplainedPoint, figure_type: type[Figure], rows: int) -> Figure:
    from matplotlib.patches import Patch

    shown = found.ranked[:rows]
    values = [float(f.attribution) for f in shown]
    figure = figure_type(figsize=(8, 1.3 + 0.22 * len(shown)), layout="constrained")
    axes = figure.subplots()
    colours = [_AGAINST if v < 0 else _TOP if f.rank <= found.top else _REST
               for f, v in zip(shown, values, strict=True)]
    places = range(len(shown))
    axes.barh(places, values, color=colours)
    axes.set_yticks(places, [f.name if f.value is None else f"{f.name} = {float(f.value):.4g}"
                             for f in shown], fontsize="small")
    axes.invert_yaxis()
    axes.axvline(0, color="black", linewidth=0.8)
    axes.spines[["top", "right"]].set_visible(False)
    left_out = len(found.features) - len(shown)
    axes.set_xlabel("attribution" + (f" ({left_out} smaller ones left out)" if left_out else ""))
    axes.set_title(_title(found), loc="left", fontsize="small")
    if found.top:
        mark = Patch(color=_TOP, label=f"top {found.top} of the spec")
        axes.legend(handles=[mark], loc="lower right", fontsize="small")
    return figure


def _map(found: ExplainedPoint, figure_type: type[Figure]) -> Figure:
    """One picture a channel: red for positive and blue for negative attributions, the spec's top k
    outlined."""
    from matplotlib.patches import Rectangle

    values = np.array([float(v) for v in found.values]).reshape(found.shape)
    inside = np.array([f.rank <= found.top for f in found.features]).reshape(found.shape)
    channels = values.reshape(-1, *found.shape[-2:])
    marks = inside.reshape(channels.shape)
    figure = figure_type(figsize=(1 + 3.6 * len(channels), 4.2), layout="constrained")
    limit = float(np.abs(values).max()) or 1.0
    signed = bool((values < 0).any())
    colours, least = ("RdBu_r", -limit) if signed else ("Reds", 0.0)
    drawn: Any = None
    for k, axes in enumerate(np.atleast_1d(figure.subplots(1, len(channels))).ravel()):
        drawn = axes.imshow(channels[k], cmap=colours, vmin=least, vmax=limit)
        for row, column in zip(*np.nonzero(marks[k]), strict=True):
            axes.add_patch(Rectangle((column - 0.5, row - 0.5), 1, 1, fill=False, linewidth=1.5))
        axes.set_xticks([])
        axes.set_yticks([])
        if len(channels) > 1:
            axes.set_title(f"channel {k}", fontsize="small")
    figure.colorbar(drawn, ax=figure.axes, label="attribution", shrink=0.8)
    figure.suptitle(_title(found), fontsize="small", x=0.02, ha="left")
    return figure
