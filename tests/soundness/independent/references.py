"""Reference points: written out, or rows of CSV files, scaled or not; with their spec lines."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from math import prod

import numpy as np

from tests.soundness.independent.program import Point
from tests.soundness.independent.shares import draw
from tests.soundness.independent.toml import decimal, numbers, text

WORDS = ("age", "pay", "hours per week", "zip-code")


@dataclass
class Reference:
    """x0, names of the features (or none), lines of `[input]`, files beside the spec."""

    x0: Point
    names: tuple[str, ...] = ()
    lines: list[str] = field(default_factory=list)
    files: dict[str, str] = field(default_factory=dict)


def make_reference(
    rng: random.Random, inputs: Sequence[tuple[str, tuple[int, ...]]], group: bool
) -> Reference:
    """`group`: the point is to be 0 but for a single 1, for regions with one-hot features."""
    n = sum(prod(shape) for _, shape in inputs)
    kind = draw(rng, "reference")
    grid = Fraction(draw(rng, "grid", () if kind == "point" else ("1/3",)))
    most = int(1 / grid)
    values = [rng.randint(-most, most) * grid for _ in range(n)]
    if group:
        hot = rng.randrange(n)
        values = [Fraction(int(i == hot)) for i in range(n)]
    if kind == "point" or len(inputs) > 1 or (group and kind in ("scaled", "minmax")):
        return _written(rng, inputs, values)
    if kind == "rounded":
        found = Reference(tuple(Fraction(float(np.float32(float(v)))) for v in values))
        found.lines = [f"point = {numbers(values)}", 'round = "float32"']
        return found
    return _table(rng, values, kind)


def _written(
    rng: random.Random, inputs: Sequence[tuple[str, tuple[int, ...]]], values: list[Fraction]
) -> Reference:
    found = Reference(tuple(values))
    if len(inputs) == 1:
        if rng.random() < 0.2:
            found.names = WORDS[: len(values)]
            found.lines.append(f"names = [{', '.join(map(text, found.names))}]")
        found.lines.append(f"point = {numbers(values)}")
        return found
    if rng.random() < 0.5:
        found.lines.append(f"point = {numbers(values)}")
        return found
    parts, at = [], 0
    for name, shape in inputs:
        parts.append(f"{name} = {numbers(values[at : at + prod(shape)])}")
        at += prod(shape)
    found.lines.append(f"point = {{ {', '.join(parts)} }}")
    return found


def _table(rng: random.Random, values: list[Fraction], kind: str) -> Reference:
    """A CSV file of a few rows, one of them the point, with a label column or without."""
    n, rows, at = len(values), rng.randint(1, 4), 0
    table = [[Fraction(rng.randint(-20, 20), 10) for _ in range(n)] for _ in range(rows)]
    at = rng.randrange(rows)
    table[at] = values
    header = WORDS[:n] if rng.random() < 0.8 else ()
    label = rng.randint(0, n) if rng.random() < 0.6 and header else None
    found = Reference(tuple(values), tuple(header))
    found.files["data.csv"] = _csv(table, header, label)
    found.lines += ['data = "data.csv"', f"row = {at}"]
    if label is not None:
        found.lines.append('target = "label"')
    if not header:
        found.lines += ["header = false"] if rng.random() < 0.5 else []
    if kind == "scaled":
        low = [v - Fraction(rng.randint(0, 8), 4) for v in values]
        high = [v + Fraction(rng.randint(0, 8), 4) for v in values]
        found.lines.append(f"scale = {{ min = {numbers(low)}, max = {numbers(high)} }}")
        found.x0 = _scaled(values, low, high)
    elif kind == "minmax":
        found.lines.append('minmax_of = "data.csv"')
        found.x0 = _scaled(values, [min(c) for c in zip(*table, strict=True)],
                           [max(c) for c in zip(*table, strict=True)])
    return found


def _scaled(values: Sequence[Fraction], low: Sequence[Fraction], high: Sequence[Fraction]) -> Point:
    return tuple((v - a) / (b - a if b > a else 1)
                 for v, a, b in zip(values, low, high, strict=True))


def _csv(table: Sequence[Sequence[Fraction]], header: Sequence[str], label: int | None) -> str:
    lines = []
    for k, row in enumerate(table):
        cells = [decimal(v) or "" for v in row]
        if label is not None:
            cells.insert(label, str(k % 2))
        lines.append(",".join(cells))
    names = list(header)
    if label is not None:
        names.insert(label, "label")
    return "\n".join(([",".join(names)] if names else []) + lines) + "\n"


def speller(
    rng: random.Random, inputs: Sequence[tuple[str, tuple[int, ...]]], names: Sequence[str]
) -> Callable[[int], str]:
    """Writes a feature in one of the ways that a spec allows: its name, its place, a number."""
    places = [f"{name}[{k}]" for name, shape in inputs for k in range(prod(shape))]

    def spell(i: int) -> str:
        options = [text(names[i]) if names else text(places[i]), str(i)]
        return rng.choice([*options, text(places[i])])

    return spell
