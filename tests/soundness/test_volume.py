"""Counterexamples in cells of tiny volume: sampling misses them, a decider must not.

A random network is given hidden units that bear only in a corner or in a slab whose share of the
region is below 1e-6, and that break the claim there.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import pytest

from tests.helpers.marks import first_quick
from verifex.engine.decide import decide
from verifex.engine.falsify.witness import replay
from verifex.engine.solve.pool import SolverPool
from verifex.engine.verdict import Outcome
from verifex.ir.formula import Atom, Form
from verifex.ir.graph import Builder
from verifex.ir.linmap import dense
from verifex.ir.problem import Problem
from verifex.ir.region import Region
from verifex.semantics.vjp import gradients
from verifex.settings import Settings
from verifex.solvers.regions import decide as enumerate_regions

NETWORKS = 100
SHARE = Fraction(1, 10**6)


@pytest.fixture(scope="module")
def pool() -> Iterator[SolverPool]:
    with SolverPool() as opened:
        yield opened


@dataclass(frozen=True)
class Plant:
    """Hidden units (rows, biases), what they add to the output, and a point where they bear."""

    rows: list[list[float]]
    biases: list[float]
    gains: list[Fraction]
    point: tuple[Fraction, ...]


def corner(rng: random.Random, n: int, gain: Fraction) -> Plant:
    """One unit, on where `w . x` is within `depth` of its maximum over the box [-1, 1]^n."""
    w = [rng.choice((-1.0, 1.0)) * (k == 0 or rng.random() < 0.7) for k in range(n)]
    used = sum(v != 0 for v in w)
    depth = {1: Fraction(1, 2**22), 2: Fraction(1, 2**11)}.get(used, Fraction(1, 2**8))
    # The share of the box: the simplex of sides `depth` has volume depth^used / used!.
    assert (depth / 2) ** used / math.factorial(used) < SHARE
    inside = 1 - depth / (2 * n)
    point = tuple(Fraction(v) * inside if v else Fraction(1, 3) for v in w)
    return Plant([w], [-(used - float(depth))], [gain / Fraction(w[0])], point)


def slab(rng: random.Random, n: int, gain: Fraction) -> Plant:
    """Three units, a tent of half-width `depth` over `x_0 = c` inside the box: its rise bears."""
    depth, c = Fraction(1, 2**22), Fraction(rng.randint(-60, 60), 64)
    assert depth / 2 < SHARE
    row = [1.0] + [0.0] * (n - 1)
    biases = [float(depth - c), float(-c), float(-depth - c)]
    point = (c - depth / 2, *(Fraction(rng.randint(-9, 9), 10) for _ in range(n - 1)))
    return Plant([row] * 3, biases, [gain, -2 * gain, gain], point)


def planted(seed: int) -> tuple[Problem, tuple[Fraction, ...]]:
    """A problem that only a tiny cell breaks, and a point in that cell.

    The gradient of a random network is below the sum `bound` of its path weights. The plant adds
    twice that to the first component in its cell. The claim is `A_0 <= bound`.
    """
    rng = random.Random(seed)
    n, hidden = rng.randint(2, 4), rng.randint(2, 6)
    first = np.array([[rng.randint(-64, 64) / 64 for _ in range(n)] for _ in range(hidden)])
    bias = [rng.randint(-32, 32) / 64 for _ in range(hidden)]
    last = np.array([rng.randint(-64, 64) / 64 for _ in range(hidden)])
    bound = Fraction(float(np.abs(last) @ np.abs(first[:, 0]))) + Fraction(1, 64)
    plant = (corner if seed % 2 else slab)(rng, n, 2 * bound)
    b = Builder()
    x = b.input("x", (n,))
    z = b.affine(dense(np.vstack([first, plant.rows])), x, np.array([*bias, *plant.biases]))
    f = b.affine(dense([[*last, *map(float, plant.gains)]]), b.relu(z))
    (a,) = gradients(b, f, [x])
    region = Region((Fraction(-1),) * n, (Fraction(1),) * n)
    return Problem(b.build({"A": a}), region, Atom(Form.of({(a, 0): -1}, bound))), plant.point


@pytest.mark.parametrize("chunk", first_quick(range(5)))
def test_planted_counterexamples_are_never_claimed_away(chunk: int, pool: SolverPool) -> None:
    """The default pipeline refutes most, and exact enumeration finds each one."""
    refuted = 0
    for seed in range(chunk, NETWORKS, 5):
        problem, point = planted(seed)
        assert replay(problem, point).refutes, "the plant does not bear"
        verdict = decide(problem, Settings(seconds=20, seed=seed), pool)
        assert verdict.outcome not in (Outcome.PROVED, Outcome.CLAIMED), seed
        refuted += verdict.outcome is Outcome.REFUTED
        found = enumerate_regions(problem, 20.0)
        assert found.point is not None, seed
    assert refuted >= NETWORKS // 5 // 2


@pytest.mark.parametrize("name", ["highs", "scip", "z3", "cvc5", "search"])
def test_nor_by_any_decider_alone(name: str, pool: SolverPool) -> None:
    options = Settings(seconds=20, solvers=(name,), attack=False, search=False)
    if name == "search":
        options = Settings(seconds=20, solvers=(), attack=False)
    for seed in range(200, 230):
        problem, point = planted(seed)
        assert replay(problem, point).refutes
        assert decide(problem, options, pool).outcome not in (Outcome.PROVED, Outcome.CLAIMED)
