"""Random networks and VNN-LIB 1.0 queries about them, for tests of the reader and of verdicts."""

from __future__ import annotations

import random
from fractions import Fraction
from pathlib import Path

import numpy as np

from verifex.frontend.onnx.export import to_onnx
from verifex.ir.graph import Builder, Graph
from verifex.ir.linmap import dense


def random_graph(rng: random.Random, inputs: int = 2, hidden: int = 4, outputs: int = 2) -> Graph:
    """A small ReLU network with short dyadic weights."""

    def weights(rows: int, columns: int) -> np.ndarray:
        return np.array([[rng.randint(-8, 8) / 4 for _ in range(columns)] for _ in range(rows)])

    b = Builder()
    z = b.affine(dense(weights(hidden, inputs)), b.input("x", (inputs,)), weights(1, hidden)[0])
    z = b.affine(dense(weights(hidden, hidden)), b.relu(z), weights(1, hidden)[0])
    y = b.affine(dense(weights(outputs, hidden)), b.relu(z), weights(1, outputs)[0])
    return b.build({"y": y})


def save(graph: Graph, path: Path) -> Path:
    path.write_bytes(to_onnx(graph))
    return path


def number(rng: random.Random, size: int = 4) -> Fraction:
    return Fraction(rng.randint(-size * 10, size * 10), 10)


def shown(v: Fraction) -> str:
    return f"{float(v):.1f}"


def comparison(rng: random.Random, inputs: int, outputs: int) -> str:
    """A comparison of outputs, or of inputs."""
    kind = rng.random()
    sign = rng.choice(["<=", ">=", "<=", ">=", "<", ">"])
    if kind < 0.3:
        return f"({sign} X_{rng.randrange(inputs)} {shown(number(rng, 1))})"
    if kind < 0.4:
        terms = [f"(* {shown(number(rng))} X_{i})" for i in range(inputs)]
        return f"({sign} (+ {' '.join(terms)}) {shown(number(rng))})"
    if kind < 0.7:
        return f"({sign} Y_{rng.randrange(outputs)} {shown(number(rng, 6))})"
    a, b = rng.sample(range(outputs), 2)
    return f"({sign} (- (* {shown(number(rng))} Y_{a}) Y_{b}) {shown(number(rng, 6))})"


def formula(rng: random.Random, inputs: int, outputs: int, depth: int = 2) -> str:
    if depth == 0 or rng.random() < 0.3:
        return comparison(rng, inputs, outputs)
    parts = [formula(rng, inputs, outputs, depth - 1) for _ in range(rng.randint(1, 3))]
    return f"({rng.choice(['and', 'or'])} {' '.join(parts)})"


def random_query(rng: random.Random, inputs: int = 2, outputs: int = 2) -> str:
    """A query over the box of [-1, 1], or over several boxes."""
    lines = [f"(declare-const X_{i} Real)" for i in range(inputs)]
    lines += [f"(declare-const Y_{i} Real)" for i in range(outputs)]
    if rng.random() < 0.6:
        for i in range(inputs):
            lines.append(f"(assert (and (>= X_{i} -1) (<= X_{i} 1.0)))")
    else:
        regions = []
        for _ in range(rng.randint(2, 3)):
            ends = [sorted((number(rng, 1), number(rng, 1))) for _ in range(inputs)]
            regions.append("(and " + " ".join(
                f"(>= X_{i} {shown(a)}) (<= X_{i} {shown(b)})" for i, (a, b) in enumerate(ends)
            ) + ")")
        lines.append(f"(assert (or {' '.join(regions)}))")
    lines += [f"(assert {formula(rng, inputs, outputs)})" for _ in range(rng.randint(1, 3))]
    return "\n".join(lines) + "\n"
