"""Networks with a planted counterexample, in a cell that is below a millionth of the region.

`planted(seed)` draws a ReLU network and a claim that holds of it by a hair (the threshold is the
exact worst case, rounded up by less than 2^-30), and adds hidden units that bear only in a tiny
corner, slab or box of the region, where they break the claim by a hair.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from verifex.ir.exact import FloatArray
from verifex.ir.formula import Atom, Form
from verifex.ir.graph import Builder
from verifex.ir.linmap import dense
from verifex.ir.model.solving import Status
from verifex.ir.problem import Objective, Problem
from verifex.ir.region import Region
from verifex.semantics.evaluate import evaluate_exact
from verifex.semantics.vjp import gradients
from verifex.solvers.regions import optimum

F = Fraction
LIMIT = F(1, 10**6)
"""What the share of the region must stay below."""

LOW, HIGH = (2, 5), (16, 32)  # inputs
GRID = 2**30  # thresholds are multiples of 1 / GRID: decimals that end
HAIRS = (F(1, 16), F(1, 2**10), F(1, 2**20))
"""By how much a claim is broken."""


@dataclass(frozen=True)
class Needle:
    """First-layer units (`rows` x + `biases`, then ReLU) whose sum, weighed by `gains`, exceeds
    `cut` in a share of the box [-1, 1]^n below `share` only; at `point` it does, off every kink."""

    kind: str
    rows: FloatArray
    biases: list[float]
    gains: list[float]
    cut: Fraction
    share: Fraction
    point: tuple[Fraction, ...]

    def height(self) -> Fraction:
        """The sum less `cut` at the point."""
        total = -self.cut
        for row, bias, gain in zip(self.rows.tolist(), self.biases, self.gains, strict=True):
            z = sum((F(w) * v for w, v in zip(row, self.point, strict=True)), F(bias))
            total += F(gain) * max(z, F(0))
        return total


@dataclass(frozen=True)
class Planted:
    """A problem, the point that breaks it, and how it came about; `without` is the same network
    with what the plant adds times 0, where the claim is true."""

    seed: int
    problem: Problem
    without: Problem
    point: tuple[Fraction, ...]
    about: str  # "output" or "gradient"
    kind: str
    inputs: int
    layers: int
    share: Fraction


# --- needles --------------------------------------------------------------------------------


def _rest(rng: random.Random, n: int) -> list[Fraction]:
    return [F(rng.randint(-9, 9), 10) for _ in range(n)]


def corner(rng: random.Random, n: int) -> Needle:
    """Where `w . x` is within `depth` of its maximum: w of signs, on some of the inputs."""
    used = rng.randint(2, min(n, 6))
    depth = F(1, 2 ** {2: 11, 3: 7, 4: 5, 5: 4, 6: 3}[used])
    places = [0, *rng.sample(range(1, n), used - 1)]
    row, point = np.zeros((1, n)), _rest(rng, n)
    for i in places:
        row[0, i] = rng.choice((-1.0, 1.0))
        point[i] = F(row[0, i]) * (1 - depth / (8 * used))
    share = (depth / 2) ** used / math.factorial(used)  # a simplex of sides `depth`
    return Needle("corner", row, [float(depth - used)], [1.0], depth / 2, share, tuple(point))


def tents(rng: random.Random, n: int, k: int, width: Fraction) -> Needle:
    """Where all of k inputs, 0 among them, lie within `width` of a centre: k tents that rise above
    (k - 1/2) peaks together."""
    places = [0, *rng.sample(range(1, n), k - 1)]
    rows, biases, gains, point = [], [], [], _rest(rng, n)
    for i in places:
        centre = F(rng.randint(-60, 60), 64)
        for shift, gain in ((width, 1.0), (F(0), -2.0), (-width, 1.0)):
            rows.append([float(j == i) for j in range(n)])
            biases.append(float(shift - centre))
            gains.append(gain)
        point[i] = centre - width / (8 * k)  # on the rising side of every tent
    kind = "slab" if k == 1 else f"box of {k} sides"
    cut = (k - F(1, 2)) * width
    return Needle(kind, np.array(rows), biases, gains, cut, width**k, tuple(point))


def needle(rng: random.Random, n: int) -> Needle:
    """A needle of some kind, its share of the box checked."""
    kind = rng.choice(("corner", "slab", "box", "box"))
    if kind == "corner":
        found = corner(rng, n)
    elif kind == "slab":
        found = tents(rng, n, 1, F(1, 2**21))
    else:
        k = rng.randint(2, min(n, 5))
        found = tents(rng, n, k, F(1, 2 ** {2: 10, 3: 7, 4: 5, 5: 4}[k]))
    if not found.share < LIMIT or not found.height() > 0:
        raise ValueError(f"{found.kind}: a share of {float(found.share):g}")
    return found


# --- networks -------------------------------------------------------------------------------


def _matrix(rng: random.Random, rows: int, columns: int) -> FloatArray:
    return np.array([[rng.randint(-64, 64) / 64 for _ in range(columns)] for _ in range(rows)])


def _network(
    weights: list[FloatArray], biases: list[FloatArray], about: str
) -> tuple[Builder, int]:
    """A ReLU network with one output, and the node that the claim reads at element 0."""
    b = Builder()
    x = h = b.input("x", (weights[0].shape[1],))
    for k, (w, bias) in enumerate(zip(weights, biases, strict=True)):
        h = b.affine(dense(w), h if k == 0 else b.relu(h), bias)
    return b, h if about == "output" else gradients(b, h, [x])[0]


def _problem(b: Builder, node: int, threshold: Fraction) -> Problem:
    """The claim that the node's element 0 is at most the threshold over [-1, 1]^n."""
    graph = b.build({"value": node})
    n = graph.input_size
    region = Region((F(-1),) * n, (F(1),) * n)
    return Problem(graph, region, Atom(Form.of({(node, 0): -1}, threshold)))


def planted(seed: int) -> Planted:
    """The problem of a seed: outputs and gradients, few inputs and many, one hidden layer of the
    base network and two take turns."""
    rng = random.Random(seed)
    about, few, layers = ("output", "gradient")[seed % 2], seed // 2 % 2 == 0, 1 + seed // 4 % 2
    n = rng.randint(*(LOW if few else HIGH))
    most = 0 if few else 2  # fewer units where an exact linear program has many columns
    sizes = [rng.randint(3, 6 - most), *([rng.randint(2, 4 - most)] if layers == 2 else []), 1]
    weights = [_matrix(rng, m, k) for k, m in zip([n, *sizes], sizes, strict=False)]
    biases = [_matrix(rng, 1, m)[0] for m in sizes]
    b, node = _network(weights, biases, about)
    worst = optimum(_problem(b, node, F(0)), Objective(Form.of({(node, 0): 1}), True))
    if worst.status is not Status.OPTIMAL or worst.bound is None:
        raise ValueError(f"seed {seed}: no worst case")
    threshold = F(math.ceil(F(worst.bound) * GRID), GRID)
    found = needle(rng, n)
    at = evaluate_exact(b.build(), found.point, [node])[node].fractions()[0]
    rise = found.height() if about == "output" else F(found.gains[0] * found.rows[0, 0])
    gain = (threshold - at + rng.choice(HAIRS)) / rise
    gain = F(float(gain)) if F(float(gain)) * rise > threshold - at else F(
        float(np.nextafter(float(gain), np.inf * np.sign(float(gain)))))
    made = []
    for times in (float(gain), 0.0):
        b, node = _network(*_with_needle(weights, biases, found, times), about)
        made.append(_problem(b, node, threshold))
    return Planted(seed, made[0], made[1], found.point, about, found.kind, n, layers, found.share)


def _with_needle(
    weights: list[FloatArray], biases: list[FloatArray], needle: Needle, gain: float
) -> tuple[list[FloatArray], list[FloatArray]]:
    """The network with the needle's units in its first layer and one more unit in its second, of
    which `gain` times is added to the output. A network of one hidden layer gets a second one that
    hands its units on, off every kink."""
    first, rest = weights[0], weights[1:]
    below = list(biases)
    if len(rest) == 1:  # y = relu(y + 1) - 1 for what comes out of a ReLU
        rest = [np.eye(len(first)), rest[0]]
        below = [biases[0], np.ones(len(first)), biases[1] - rest[1].sum(axis=1)]
    top = np.zeros((1, rest[0].shape[1] + len(needle.gains)))
    top[0, rest[0].shape[1] :] = needle.gains
    middle = np.vstack([np.hstack([rest[0], np.zeros((len(rest[0]), len(needle.gains)))]), top])
    return (
        [np.vstack([first, needle.rows]), middle, np.hstack([rest[1], [[gain]]])],
        [np.append(below[0], needle.biases), np.append(below[1], -float(needle.cut)), below[2]],
    )
