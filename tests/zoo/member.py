"""A member of the zoo: a trained network, rows to ask about, and the specs of its questions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from tests.zoo.tables import Values


@dataclass(frozen=True, eq=False)
class Trained:
    """A network file and what is asked about it.

    `rows` (n, d) are points of the flat input, `names` its features, `radius` how far each feature
    moves (0: it does not). `regression` says that there are no classes, `gradient` whether the
    network has an explanation, `explained` the features whose explanation is asked about (all, if
    there are none). `region` are further lines of the table [region].
    """

    network: Path
    rows: Values
    names: tuple[str, ...]
    radius: Mapping[str, float]
    regression: bool = False
    gradient: bool = True
    output: str | None = None
    region: tuple[str, ...] = ()
    explained: tuple[str, ...] = ()


@dataclass(frozen=True)
class Member:
    """Name, where such networks come from, and what trains and exports one into a folder.

    `smooth` says that hidden layers are smooth: no checker reads it, so that nothing is proved.
    `needs_data` marks those that are made of the benchmark data.
    """

    name: str
    source: str
    build: Callable[[Path], Trained] = field(compare=False)
    needs_data: bool = False
    smooth: bool = False


def relative_radius(values: Values, names: tuple[str, ...], share: float) -> dict[str, float]:
    """For every feature this share of its range, in four digits."""
    span = values.max(axis=0) - values.min(axis=0)
    return {name: float(f"{share * width:.4g}") for name, width in zip(names, span.tolist())}


def write_rows(trained: Trained, folder: Path) -> Path:
    """The rows as a CSV file with a header."""
    path = folder / "rows.csv"
    lines = [",".join(f'"{name}"' for name in trained.names)]
    lines += [",".join(repr(float(str(value))) for value in row) for row in trained.rows]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def spec_text(trained: Trained, row: int, question: str) -> str:
    """The spec of a question about a row: "class", "bounds" of a regression, "sign", "top-3"."""
    radii = ", ".join(f'"{name}" = {size!r}' for name, size in trained.radius.items() if size)
    lines = ["verifex = 1", f'network = "{trained.network.name}"']
    if question in ("sign", "top-3"):
        # Many rows of images lie on ties of a max-pool.
        lines.append('kink = "zero"')
    if trained.output is not None:
        lines.append(f'network_output = "{trained.output}"')
    lines += ["[input]", 'data = "rows.csv"', f"row = {row}",
              "[region]", f"linf = {{ {radii} }}", *trained.region]
    if question in ("sign", "top-3"):
        reduce = "signed" if question == "sign" else "abs"
        lines += ["[explain]", f'reduce = "{reduce}"']
        if trained.explained:
            lines.append(f"features = {list(trained.explained)}")
    lines.append("[[require]]")
    lines += {"class": ['class = "unchanged"'], "sign": ['sign = "unchanged"', 'zero = "ignore"'],
              "top-3": ["top_k = 3"], "bounds": []}[question]
    return "\n".join(lines) + "\n"


def bounds_text(trained: Trained, row: int, value: float, margin: float) -> str:
    """The spec that a regression stays within a margin of its value at a row."""
    low, high = (float(f"{value + side * margin:.6g}") for side in (-1, 1))
    text = spec_text(trained, row, "bounds")
    return text + f'output = "logit:0"\nat_least = {low!r}\nat_most = {high!r}\n'


def spread(rows: Values) -> Values:
    """Rows as float32, one a line, which is what runtimes are given."""
    return np.ascontiguousarray(rows, dtype=np.float32)
