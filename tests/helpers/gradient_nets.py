"""Random networks together with their gradient, and a box to search."""

from __future__ import annotations

import itertools
from fractions import Fraction

import numpy as np

from verifex.ir.formula import Atom, Form
from verifex.ir.graph import Builder
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
