"""Pieces of HTML for notebooks: tables, and pictures as inline SVG; every text is escaped.

Nothing is loaded from anywhere, and no script runs: a notebook shows them as they are.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import NamedTuple

_FONT = "font-family:system-ui,sans-serif;font-size:13px;line-height:1.45"
_CELL = "padding:2px 10px 2px 0;text-align:left;vertical-align:top;border:none"

COLOURS = {
    "good": "#1a7f37", "bad": "#b42318", "open": "#9a6700", "plain": "#57606a", "line": "#d0d7de",
    "range": "#6f9ceb",
}
_NAME = f"white-space:nowrap;color:{COLOURS['plain']}"
"""The style of a row's name."""


def block(*parts: str) -> str:
    """Parts one below the other."""
    return f'<div style="{_FONT}">{"".join(parts)}</div>'


def title(word: str, text: str, colour: str) -> str:
    """A coloured word and what it is about."""
    badge = (f'<span style="background:{COLOURS[colour]};color:#fff;border-radius:4px;'
             f'padding:1px 8px;font-weight:600">{escape(word)}</span>')
    return f'<div style="margin:2px 0 6px">{badge} {escape(text)}</div>'


def table(rows: Iterable[Sequence[str]], head: Sequence[str] = ()) -> str:
    """Rows of texts; the first cell of a row is its name where there is no head."""
    lines = []
    if head:
        names = "".join(f'<th style="{_CELL}">{escape(cell)}</th>' for cell in head)
        lines.append(f"<tr>{names}</tr>")
    for row in rows:
        cells = [f'<td style="{_CELL}">{escape(cell)}</td>' for cell in row]
        if not head and cells:
            cells[0] = cells[0].replace(_CELL, f"{_CELL};{_NAME}", 1)
        lines.append(f'<tr style="background:none">{"".join(cells)}</tr>')
    style = f"{_FONT};border-collapse:collapse;margin:0 0 6px"
    return f'<table style="{style}">{"".join(lines)}</table>'


def svg(width: int, height: int, parts: Iterable[str], label: str) -> str:
    """A picture with what it shows in words."""
    return (f'<svg role="img" aria-label="{escape(label)}" width="{width}" height="{height}" '
            f'viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg" '
            f'style="display:block;margin:4px 0;max-width:100%">{"".join(parts)}</svg>')


def rectangle(x: float, y: float, width: float, height: float, fill: str, rounding: int = 2) -> str:
    return (f'<rect x="{x:.1f}" y="{y:.1f}" width="{max(width, 1):.1f}" height="{height:.1f}" '
            f'rx="{rounding}" fill="{fill}"/>')


def line(x1: float, y1: float, x2: float, y2: float, colour: str, dashed: bool = False) -> str:
    dash = ' stroke-dasharray="4 3"' if dashed else ""
    return (f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}" '
            f'stroke-width="1.5"{dash}/>')


def text(x: float, y: float, said: str, anchor: str = "start", size: int = 12) -> str:
    """A text of a picture; `anchor` is start, middle or end."""
    return (f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}" '
            f'font-family="system-ui,sans-serif" fill="#24292f">{escape(said)}</text>')


def bars(values: Sequence[tuple[str, float]], label: str, width: int = 460) -> str:
    """Named values as horizontal bars from zero, to either side."""
    left, right, step = 150, 80, 20
    most = max((abs(value) for _, value in values), default=0.0) or 1.0
    room = width - left - right
    negative = any(value < 0 for _, value in values)
    zero = left + (room / 2 if negative else 0)
    unit = (room / 2 if negative else room) / most
    parts = [line(zero, 2, zero, step * len(values) + 2, COLOURS["line"])]
    for k, (name, value) in enumerate(values):
        y = k * step + 4
        colour = COLOURS["range"] if value >= 0 else COLOURS["bad"]
        parts += [
            text(left - 8, y + 12, name if len(name) <= 22 else name[:21] + "…", "end"),
            rectangle(min(zero, zero + value * unit), y + 2, abs(value) * unit, 12, colour),
            text(width - right + 8, y + 12, f"{value:.4g}")]
    return svg(width, step * len(values) + 8, parts, label)


class DrawnNode(NamedTuple):
    """A node of a graph as it is drawn; `of` are the positions of its arguments."""

    kind: str
    of: Sequence[int]
    shape: Sequence[int]


NODE_COLOURS = {
    "Input": "#cfe8cf", "Const": "#eeeeee", "Affine": "#d6e4f5", "Relu": "#f8e1b8",
    "Step": "#f3c9c9", "Gate": "#f3c9c9", "Mul": "#e5d3ef",
}
"""The fill of a node by its kind; others are white."""

MOST_DRAWN = 40


def graph_picture(
    nodes: Sequence[DrawnNode], outputs: Mapping[str, int], inputs: int, notes: Iterable[str]
) -> str:
    """A graph with its outputs, by name the positions of nodes, and so many inputs."""
    head = title("Graph", f"{len(nodes)} nodes, {inputs} inputs", "plain")
    rows = [(name, _sides(nodes[i].shape)) for name, i in outputs.items()]
    return block(head, _layers(nodes, {i: name for name, i in outputs.items()}),
                 table(rows, ("output", "shape")), table(("note", note) for note in notes))


def _sides(shape: Sequence[int]) -> str:
    return "×".join(map(str, shape)) or "scalar"


def _layers(nodes: Sequence[DrawnNode], names: Mapping[int, str]) -> str:
    """A graph from left to right, nodes of one depth below each other; the first `MOST_DRAWN`."""
    shown = nodes[:MOST_DRAWN]
    depth: list[int] = []
    for node in shown:
        depth.append(1 + max((depth[a] for a in node.of), default=-1))
    rows: list[int] = []
    used: dict[int, int] = {}
    for level in depth:
        rows.append(used.get(level, 0))
        used[level] = rows[-1] + 1
    wide, high, gap = 104, 34, 26
    places = [(6 + d * (wide + gap), 6 + r * (high + 10)) for d, r in zip(depth, rows, strict=True)]
    parts = [
        line(places[a][0] + wide, places[a][1] + high / 2, x, y + high / 2, "#8c959f")
        for node, (x, y) in zip(shown, places, strict=True) for a in node.of]
    for k, (node, (x, y)) in enumerate(zip(shown, places, strict=True)):
        fill = NODE_COLOURS.get(node.kind, "#ffffff")
        parts += [
            f'<rect x="{x}" y="{y}" width="{wide}" height="{high}" rx="5" fill="{fill}" '
            f'stroke="{"#24292f" if k in names else "#8c959f"}"/>',
            text(x + wide / 2, y + 14, f"{k} {node.kind}", "middle", 11),
            text(x + wide / 2, y + 28,
                 f"→ {names[k][:16]}" if k in names else _sides(node.shape), "middle", 10)]
    width = max((x for x, _ in places), default=0) + wide + 6
    height = max((y for _, y in places), default=0) + high + 6
    more = len(nodes) - len(shown)
    note = f'<div style="color:{COLOURS["plain"]}">and {more} more nodes</div>' if more else ""
    return f'<div style="overflow-x:auto">{svg(width, height, parts, "a graph")}</div>{note}'


def span(
    low: tuple[float | None, float | None], high: tuple[float | None, float | None], label: str
) -> str:
    """A range on a line: of each end what is attained and what bounds it, either may be None."""
    known = [v for v in (*low, *high) if v is not None and abs(v) < float("inf")]
    if not known:
        return ""
    width, left, right = 460, 20, 20
    least, most = min(known), max(known)
    unit = (width - left - right) / ((most - least) or 1.0)

    def at(value: float) -> float:
        return left + (value - least) * unit if most > least else width / 2

    parts = [line(left, 26, width - right, 26, COLOURS["line"])]
    outer, inner = (low[1], high[1]), (low[0], high[0])
    if outer[0] is not None and outer[1] is not None:
        parts.append(rectangle(at(outer[0]), 19, at(outer[1]) - at(outer[0]), 14, "#cfe0fb"))
    if inner[0] is not None and inner[1] is not None:
        parts.append(rectangle(
            at(inner[0]), 19, at(inner[1]) - at(inner[0]), 14, COLOURS["range"]))
    if least <= 0 <= most:
        parts += [line(at(0), 12, at(0), 40, COLOURS["plain"], dashed=True),
                  text(at(0), 52, "0", "middle", 11)]
    parts += [text(left, 12, f"{least:.6g}", "start", 11),
              text(width - right, 12, f"{most:.6g}", "end", 11)]
    return svg(width, 56, parts, label)
