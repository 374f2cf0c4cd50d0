"""Random networks together with their gradient, and a box to search."""

from __future__ import annotations

import itertools
from fractions import Fraction

import numpy as np

from verifex.ir.formula import Atom, Form
from verifex.ir.graph import Builder, Graph
from verifex.ir.linmap import dense
from verifex.ir.problem import Problem
from verifex.ir.region import Region
from verifex.semantics.vjp import gradients


def network(
    seed: int, widths: tuple[int, ...], scale: int = 1
) -> tuple[Builder, int, list[int], Region]:
    """A random network with weights k/64, its input, the nodes (logit, gradient), a box."""
    rng = np.random.default_rng(seed)
    b = Builder()
    x = h = b.input("x", (widths[0],))
    for k, (m, n) in enumerate(itertools.pairwise(widths)):
        w, bias = rng.integers(-64, 65, (n, m)) / 64, rng.integers(-32, 33, n) / 64
        factor = scale if k == len(widths) - 2 else 1
        h = b.affine(dense(w * factor), b.relu(h) if k else h, bias * factor)
    (gradient,) = gradients(b, h, [x])
    side = tuple(Fraction(int(v), 10) for v in rng.integers(3, 10, widths[0]))
    return b, x, [h, gradient], Region(tuple(-v for v in side), side)


def gradient_problem(
    seed: int, widths: tuple[int, ...] = (3, 8, 6, 1)
) -> tuple[Problem, list[Form]]:
    """Such a network, and forms that bound its first two gradient components on both sides."""
    b, _, (logit, gradient), region = network(seed, widths)
    forms = [Form.of({(gradient, i): s}) for i in range(2) for s in (1, -1)]
    return Problem(b.build({"f": logit, "g": gradient}), region, Atom(forms[0])), forms


def small_network(rng: np.random.Generator) -> tuple[Graph, tuple[Fraction, ...]]:
    """Three inputs, two layers of units; "g" is input times gradient, and a point to start from."""
    b = Builder()
    x = b.input("x", (3,))

    def weights(*shape: int) -> np.ndarray:
        return np.round(rng.normal(size=shape) * 16) / 16

    h = b.relu(b.affine(dense(weights(4, 3)), x, weights(4)))
    h = b.relu(b.affine(dense(weights(4, 4)), h, weights(4)))
    out = b.affine(dense(weights(1, 4)), h, weights(1))
    (gradient,) = gradients(b, out, [x])
    graph = b.build({"f": out, "g": b.mul(x, gradient)})
    return graph, tuple(Fraction(int(v), 8) for v in rng.integers(-8, 9, size=3))
