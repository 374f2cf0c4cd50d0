"""Claims about a point that two readings of a text disagree on, in both directions.

Each takes a network and two points: at `right`, where a right reader finds the region, and at
`wrong`, where another does, an output differs by far. The claim around `right` is false though it
holds around `wrong`; or it holds at `right` though `wrong`, as a witness, would refute it.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction

from tests.certificate.falsehoods.claims import (
    BOUND,
    LEAF,
    Draw,
    Files,
    Limit,
    Vector,
    Version,
    decimal,
    radius_of,
    toml,
    witness,
)
from tests.certificate.falsehoods.nets import Net, net


@dataclass(frozen=True)
class Scene:
    """A network, the two points, and how much of a region there is around either."""

    rng: random.Random
    net: Net
    right: Vector
    wrong: Vector
    radius: Fraction
    limit: Limit


def point(rng: random.Random, size: int) -> Vector:
    return tuple(Fraction(rng.randint(-16, 16), 8) for _ in range(size))


def scene(rng: random.Random, size: int, right: Vector | None = None,
          wrong: Vector | None = None, of: Net | None = None) -> tuple[Scene, bool] | None:
    """A scene, and whether it is a wrong reader's refutation; None where outputs do not differ."""
    of = of or net(rng, size, 2, [rng.randint(1, 3)] * rng.randint(0, 1))
    a, b = right or point(rng, size), wrong or point(rng, size)
    values = of.values(a), of.values(b)
    j = max(range(of.outputs), key=lambda j: abs(values[0][j] - values[1][j]))
    first, second = values[0][j], values[1][j]
    if abs(first - second) < Fraction(1, 2):
        return None
    middle, refuted = (first + second) / 2, rng.random() < 0.35
    bound = Fraction(round(middle * 64), 64)
    limit = Limit(j, (first > second) != refuted, bound)
    radius = Fraction(0) if refuted else radius_of(rng) / 16
    return Scene(rng, of, a, b, radius, limit), refuted


Text = Callable[[Scene], "Files | None"]


def about(text: Text, size: int = 2, draw_points: Callable[[random.Random, int],
                                                          tuple[Vector, Vector]] | None = None
          ) -> Draw:
    """Versions of a text that writes `right`; the twin writes `wrong` plainly."""

    def draw(rng: random.Random) -> Version | None:
        points = draw_points(rng, size) if draw_points else (None, None)
        found = scene(rng, size, *points)
        if found is None:
            return None
        s, refuted = found
        files = text(s)
        return None if files is None else version(s, files, refuted)

    return draw


def version(s: Scene, files: Files, refuted: bool) -> Version:
    network = files.network or s.net.onnx()
    twin = replace(toml(s.wrong, s.radius, s.limit), network=s.net.onnx())
    told = [f"{float(s.net.values(x)[s.limit.output]):.6g}" for x in (s.right, s.wrong)]
    cases = (witness(s.wrong),) if refuted else (LEAF, BOUND)
    return Version(replace(files, network=network), cases, f"{told[0]}, not {told[1]}", twin)


def spec(s: Scene, point_table: str, extra: str = "", top: str = "") -> bytes:
    """A spec around whatever an [input] table means."""
    return (f"verifex = 1\n{top}[input]\n{point_table}\n[region]\nlinf = {decimal(s.radius)}\n"
            f"{extra}{s.limit.toml()}").encode()
