"""Small ReLU networks with dyadic weights, gradients by hand, points: exact in float64."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from verifex.ir.formula import holds, nodes
from verifex.ir.graph import Builder, Graph
from verifex.ir.linmap import dense
from verifex.ir.problem import Problem
from verifex.problem.spec.build import build_problem
from verifex.problem.spec.model import Spec
from verifex.semantics.evaluate import evaluate_exact

Vector = NDArray[np.float64]


@dataclass(frozen=True)
class Net:
    """f(x) = W2 relu(W1 x + b1) + b2 with weights in sixteenths (no kink at dyadic points)."""

    w1: Vector
    b1: Vector
    w2: Vector
    b2: Vector

    @staticmethod
    def random(rng: np.random.Generator, n: int = 5, hidden: int = 6, classes: int = 3) -> Net:
        def draw(*shape: int) -> Vector:
            return rng.integers(-32, 33, shape) / 16

        # Points are in 256ths and weights in 16ths: with 2^-16 in b1 no pre-activation is zero.
        return Net(draw(hidden, n), draw(hidden) + 1 / 1024, draw(classes, hidden), draw(classes))

    def graph(self) -> Graph:
        b = Builder()
        n, hidden, classes = self.w1.shape[1], self.w1.shape[0], self.w2.shape[0]
        x = b.input("x", (1, n))
        z = b.affine(dense(self.w1, (1, n), (1, hidden)), x, self.b1.reshape(1, hidden))
        y = dense(self.w2, (1, hidden), (1, classes))
        return b.build({"y": b.affine(y, b.relu(z), self.b2.reshape(1, classes))})

    def outputs(self, x: Vector) -> Vector:
        return self.w2 @ np.maximum(self.w1 @ x + self.b1, 0) + self.b2

    def gradient(self, x: Vector, weights: Vector) -> Vector:
        """The gradient of weights . f at x, by the chain rule."""
        active = (self.w1 @ x + self.b1 > 0).astype(np.float64)
        return np.asarray((weights @ self.w2 * active) @ self.w1)


def points(rng: np.random.Generator, count: int, n: int = 5) -> list[Vector]:
    return [rng.integers(-16, 17, n) / 16 for _ in range(count)]


def truth(problem: Problem, x: Vector) -> bool:
    """The truth of the claim at x, exactly."""
    exact = [Fraction(v) for v in x.tolist()]
    return holds(problem.require, evaluate_exact(problem.graph, exact, nodes(problem.require)))


def agree(
    make: Callable[[np.random.Generator], Any],
    oracle: Callable[[Any, Net, Vector, Vector, Vector, Vector], bool],
    *,
    reduce: str = "signed",
    rounds: int = 40,
    allow: Callable[[Exception], bool] = lambda error: False,
) -> tuple[int, int]:
    """Compare a property with its oracle on random networks; returns (true, false) counts.

    `make(rng)` gives a property and `oracle(property, net, x, x0, A(x), A(x0))` its truth. The
    explanation is the gradient of the predicted logit at x0.
    """
    rng = np.random.default_rng(7)
    counts = [0, 0]
    for _ in range(rounds):
        net, (x0, *others) = Net.random(rng), points(rng, 6)
        claim = make(rng)
        spec = Spec(
            input={"point": x0}, region={"box": [-1, 1]}, require=[claim],
            explain={"attribution": "gradient", "reduce": reduce},
        )
        try:
            problem = build_problem(net.graph(), spec)
        except Exception as error:
            if allow(error):
                continue
            raise
        weights = np.eye(3)[int(np.argmax(net.outputs(x0)))]
        base = net.gradient(x0, weights)
        for x in [x0, *others, *(x0 + (o - x0) / 16 for o in others)]:
            grad = net.gradient(x, weights)
            pair = (np.abs(grad), np.abs(base)) if reduce == "abs" else (grad, base)
            expected = oracle(claim, net, x, x0, *pair)
            assert truth(problem, x) == expected, (claim, x0, x)
            counts[not expected] += 1
    return counts[0], counts[1]
