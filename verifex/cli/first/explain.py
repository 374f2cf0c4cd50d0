"""`explain`: the attribution at x0 as bars or as a map, exact values, ties and kinks told."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from verifex.cli.common import console, emit, line, number, split_files
from verifex.errors import UsageError

if TYPE_CHECKING:
    from rich.table import Table

    from verifex.problem.first.explained import ExplainedPoint
    from verifex.statement import StatedFeature

KINDS = (".svg", ".png", ".pdf")
_ROWS = 20
_BAR = 40  # columns of the longest bar


def explain(files: Sequence[Path], output: Path | None, *, rows: int | None, json: bool) -> int:
    """Print A(x0), and draw it where a file is named."""
    from verifex.problem.first.explained import load_explained

    if output is not None and output.suffix not in KINDS:
        raise UsageError(f"--output {output}, expected a name that ends in {', '.join(KINDS)}")
    network, spec, _ = split_files(files)
    found = load_explained(spec, network)
    if output is not None:
        from verifex.cli.first.drawing import draw

        draw(found, output, rows)
    if json:
        emit("explanation", {**found.to_json(), "exit_code": 0})
        return 0
    out = console()
    out.print(f"{found.name}: {found.explained}")
    if found.prediction is not None:
        line(out, "at x0", str(found.prediction))
    shown = found.ranked[: rows or _ROWS]
    out.print(bars(found, shown))
    if len(shown) < len(found.features):
        out.print(f"  and {len(found.features) - len(shown)} more (--rows N, --json)")
    for first, second in found.ties:
        line(out, "tie", f"{first} and {second} have the same attribution")
    for note in found.notes:
        line(out, "note", note)
    if output is not None:
        line(out, "drawing", str(output))
    return 0


def bars(found: ExplainedPoint, shown: Sequence[StatedFeature]) -> Table:
    """The components by rank with a bar each: to the right for positive, to the left for negative
    attributions; those in the spec's top k are marked."""
    from rich.table import Table
    from rich.text import Text

    largest = max((abs(f.attribution) for f in found.features), default=0)
    signed = any(f.attribution < 0 for f in shown)
    table = Table(box=None, padding=(0, 2, 0, 0))
    for head, side in (("rank", True), ("component", False), ("x0", True), ("attribution", True)):
        table.add_column(head, justify="right" if side else "left", no_wrap=True)
    table.add_column("", no_wrap=True)
    width = _BAR // 2 if signed else _BAR
    for f in shown:
        length = round(width * abs(f.attribution) / largest) if largest else 0
        block = "█" * length or ("▏" if f.attribution else "")
        if signed:
            left = f.attribution < 0
            text = f"{block:>{width}}│" if left else " " * width + "│" + block
        else:
            text = block
        inside = f.rank <= found.top
        style = ("bold " if inside else "") + ("red" if f.attribution < 0 else "blue")
        mark = f"{'● ' if inside else ''}{f.rank}"
        table.add_row(mark, Text(f.name, style="bold" if inside else ""), number(f.value),
                      number(f.attribution), Text(text, style=style))
    return table
