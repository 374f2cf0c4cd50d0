"""Random small networks and input regions: weights k/64, ties, kinks near the reference."""

from __future__ import annotations

import random
from collections.abc import Sequence
from fractions import Fraction

import numpy as np

from verifex.ir.graph import Builder
from verifex.ir.linmap import dense, gather
from verifex.ir.region import Ball, LinearRow, Region
from verifex.semantics.evaluate import evaluate_exact

# --- networks -------------------------------------------------------------------------------


def relu_net(layers: Sequence[tuple[object, object]], name: str = "x") -> tuple[Builder, int, int]:
    """A plain ReLU network from (weight, bias) pairs: the builder, its input and its output."""
    b = Builder()
    x = h = b.input(name, (np.asarray(layers[0][0]).shape[1],))
    for k, (w, bias) in enumerate(layers):
        h = b.affine(dense(w), h if k == 0 else b.relu(h), np.asarray(bias, dtype=np.float64))
    return b, x, h


def _weight(rng: random.Random) -> float:
    if rng.random() < 0.15:
        return 0.0
    return rng.choice((-1, 1)) * rng.randint(1, rng.choice((4, 16, 64))) / 64


def layer(rng: random.Random, b: Builder, x: int, width: int, x0: Sequence[Fraction]) -> int:
    """`W x + b` with a chance of repeated and of opposite rows, and of kinks close to x0."""
    n = b.node(x).size
    rows = [[_weight(rng) for _ in range(n)] for _ in range(width)]
    bias = [_weight(rng) for _ in range(width)]
    at = evaluate_exact(b.build(), x0, [x])[x].fractions()
    for k in range(width):
        if rng.random() < 0.6:
            z = sum((Fraction(w) * v for w, v in zip(rows[k], at, strict=True)), Fraction(0))
            bias[k] = (rng.choice((-1, 1)) * rng.randint(1, 8) - round(64 * z)) / 64
    for k in range(1, width):
        if rng.random() < 0.12:
            j, s = rng.randrange(k), rng.choice((1, 1, -1))
            rows[k], bias[k] = [s * v for v in rows[j]], s * bias[j]
    return b.affine(dense(rows), x, np.array(bias))


def hidden(
    rng: random.Random, b: Builder, x: int, width: int, x0: Sequence[Fraction]
) -> tuple[int, int]:
    """A hidden layer of some structure, and the gates it used."""
    z = layer(rng, b, x, width, x0)
    structure = rng.choice(("relu", "relu", "relu", "residual", "abs", "max"))
    if structure == "abs":
        return b.absolute(z), width
    if structure == "max" and width >= 2:
        half = width // 2
        left = b.affine(gather((width,), list(range(half))), z)
        right = b.affine(gather((width,), list(range(half, 2 * half))), z)
        return b.sum([left, b.relu(b.sum([right, left], [1, -1]))]), half
    if structure == "residual":
        return b.sum([b.relu(z), layer(rng, b, x, width, x0)]), width
    return b.relu(z), width


# --- regions --------------------------------------------------------------------------------


def region(rng: random.Random, n: int) -> tuple[tuple[Fraction, ...], Region, str]:
    """A reference point and a region around it."""
    grid = rng.choice((10, 64))
    x0 = [Fraction(rng.randint(-grid, grid), grid) for _ in range(n)]
    radius = rng.choice((Fraction(rng.randint(1, 64), 64), Fraction(rng.randint(1, 60), 100)))
    kind = rng.choice(
        ("linf", "linf", "features", "frozen", "clipped", "rows", "integer", "one-hot", "l1")
    )
    radii = [radius] * n
    if kind == "features":
        radii = [radius * rng.randint(0, 4) / 3 for _ in range(n)]
    if kind == "frozen":
        radii[rng.randrange(n)] = Fraction(0)
    integers: frozenset[int] = frozenset()
    one_hot: tuple[tuple[int, ...], ...] = ()
    if kind == "integer":
        i = rng.randrange(n)
        x0[i], radii[i], integers = Fraction(rng.randint(-1, 1)), Fraction(1), frozenset({i})
    if kind == "one-hot":
        x0[0], x0[1], one_hot = Fraction(1), Fraction(0), ((0, 1),)
        radii[0] = radii[1] = Fraction(1)
    lo, hi = ([v + s * r for v, r in zip(x0, radii, strict=True)] for s in (-1, 1))
    if kind in ("clipped", "one-hot"):
        x0 = [min(max(v, Fraction(0)), Fraction(1)) for v in x0]
        lo = [min(max(v, Fraction(0)), Fraction(1)) for v in lo]
        hi = [min(max(v, Fraction(0)), Fraction(1)) for v in hi]
    rows: tuple[LinearRow, ...] = ()
    if kind == "rows":
        coefs = {i: Fraction(rng.randint(-3, 3)) for i in range(n)}
        reach = sum((c * x0[i] for i, c in coefs.items()), Fraction(0))
        rows = (LinearRow(coefs, reach + radius * rng.choice((0, 1, 2)) / 2),)
    balls: tuple[Ball, ...] = ()
    if kind == "l1":
        balls = (Ball("l1", tuple(range(n)), tuple(x0), radius),)
    region = Region(tuple(lo), tuple(hi), rows, balls, integers, one_hot)
    return tuple(x0), region, f"{kind} {radius}"
