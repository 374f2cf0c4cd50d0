"""Linear bounds to compare with exact values: random graphs, boxes, signs, rows and parameters."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise, product

import mpmath
import numpy as np
from hypothesis import strategies as st

from tests.helpers.strategies import boxes, graphs, grid, points_in
from verifex.engine.bounds.layout import Layout
from verifex.engine.bounds.optimise import TorchBounder
from verifex.engine.bounds.root import to_rows
from verifex.ir.exact import ExactArray, FloatArray
from verifex.ir.graph import Builder, Graph
from verifex.ir.linmap import Conv, dense
from verifex.ir.ops import OPS, Step
from verifex.semantics.evaluate import ExactBackend, exact_inputs, run
from verifex.semantics.linear import Rows, node_params, passed
from verifex.semantics.parameters import Parameter, ParameterKind
from verifex.semantics.vjp import gradients

Point = tuple[Fraction, ...]
Params = dict[Parameter, FloatArray]
PIECEWISE_FOCUS = sorted(op.__name__ for op in OPS if op.__name__ not in ("Input", "Univariate"))


# --- exact values, with either gate value on a kink -------------------------------------------


def precise(name: str, x: Fraction) -> Fraction:
    """A smooth function of a rational, to about 200 bits."""
    with mpmath.workprec(220):
        z = mpmath.mpf(x.numerator) / x.denominator
        if name in ("sigmoid", "reciprocal"):
            value = 1 / (1 + mpmath.exp(-z)) if name == "sigmoid" else 1 / z
        else:
            value = getattr(mpmath, name)(z)
        sign, mantissa, exponent, _ = value._mpf_
        return Fraction((-1) ** sign * int(mantissa)) * Fraction(2) ** int(exponent)


class GateBackend(ExactBackend):
    """Exact arithmetic; a gate at zero is what `choose` says, asked once an element."""

    def __init__(self, choose: Callable[[], int]) -> None:
        self.choose = choose

    def step(self, z: ExactArray) -> ExactArray:
        flat = [int(v > 0) if v != 0 else self.choose() for v in z.num.ravel()]
        return ExactArray(np.array(flat, dtype=object).reshape(z.shape))

    def univariate(self, name: str, x: ExactArray) -> ExactArray:
        if name in ("square", "reciprocal"):
            return super().univariate(name, x)
        return ExactArray.from_numbers([precise(name, f) for f in x.fractions()], x.shape)


def values_at(graph: Graph, x: Point, bits: tuple[int, ...]) -> dict[int, list[Fraction]]:
    """Exact values of all nodes; `bits` are the gates that lie on a kink, in order of meeting."""
    feed = iter(bits + (0,) * 500)
    values = run(graph, GateBackend(feed.__next__), exact_inputs(graph, x), range(len(graph.nodes)))
    return {i: v.fractions() for i, v in values.items()}


def every_value(graph: Graph, x: Point) -> Iterator[dict[int, list[Fraction]]]:
    """Values for the choices of the gates on kinks (the first four of them)."""
    first = values_at(graph, x, ())
    steps = [n.args[0] for n in graph.nodes if isinstance(n.op, Step)]
    zeros = sum(v == 0 for z in steps for v in first[z])
    if not zeros:
        yield first
        return
    for bits in product((0, 1), repeat=min(zeros, 4)):
        yield values_at(graph, x, bits)


# --- random domains and parameters ------------------------------------------------------------


@dataclass
class Case:
    """A graph with the box and the signs of one domain, rows over it, and their parameters."""

    graph: Graph
    layout: Layout
    lo: FloatArray
    hi: FloatArray
    signs: FloatArray
    rows: Rows
    start: dict[int, FloatArray]
    params: Params


def consistent(case: Case, values: dict[int, list[Fraction]]) -> bool:
    """Whether a point with these values lies in the domain (a chosen sign fixes its gate too)."""
    for z in case.layout.offsets:
        sign = case.layout.signs_of(case.signs, z)[0]
        if any(s * v < 0 for s, v in zip(sign.tolist(), values[z], strict=True)):
            return False
    for step, z in case.layout.steps.items():
        sign = case.layout.signs_of(case.signs, z)[0]
        for s, gate in zip(sign.tolist(), values[step], strict=True):
            if s and gate != (s > 0):
                return False
    return True


def draw_params(data: st.DataObject, graph: Graph, rows: Rows, targets: list[int]) -> Params:
    """Any parameters in range; some are left to their defaults."""
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    out: Params = {}
    for (kind, i), size in node_params(graph, targets):
        if rng.random() < 0.15 and kind is not ParameterKind.ALPHA:
            continue
        raw = rng.random((rows.count, size))
        ends = rng.random((rows.count, size))
        raw = np.where(ends < 0.3, 0.0, np.where(ends > 0.7, 1.0, raw))
        out[Parameter(kind, i)] = raw
    for z in rows.split:
        if z in passed(graph, targets):
            size = graph.nodes[z].size
            raw = rng.random((rows.count, size)) * 4 * (rng.random((rows.count, size)) < 0.6)
            out[Parameter(ParameterKind.BETA, z)] = raw
    return out


def draw_case(data: st.DataObject, focus: str, smooth: tuple[str, ...] = ()) -> tuple[Case, Point]:
    """A case, and a point that lies in its domain."""
    ops = ("Affine", "Relu", "Step", "Gate", "Mul", "Concat", *(("Univariate",) if smooth else ()))
    found = data.draw(graphs(focus, ops=ops, smooth=smooth, size=5))
    graph, n = found.graph, found.graph.input_size
    lo, hi = data.draw(boxes(n))
    if data.draw(st.integers(0, 4)) == 0:  # a tiny box
        hi = lo + np.array([data.draw(st.sampled_from([0.0, 1e-12, 2.0**-30])) for _ in range(n)])
    x = data.draw(points_in(lo, hi))
    targets = sorted(set(graph.outputs.values()))
    layout = Layout(graph, tuple(targets))
    values = data.draw(st.sampled_from(list(every_value(graph, x))))
    signs = signs_at(data, layout, values)
    bounds = layout.propagate(lo[None], hi[None], signs)
    assert not bounds.empty[0], "the domain has a point"
    count = data.draw(st.integers(1, 3))
    rows = to_rows(bounds, np.zeros(count, dtype=np.intp), layout, signs)
    start = {
        i: np.array(data.draw(st.lists(
            st.lists(grid, min_size=graph.nodes[i].size, max_size=graph.nodes[i].size),
            min_size=count, max_size=count)), dtype=np.float64).reshape(count, -1)
        for i in targets
    }
    params = draw_params(data, graph, rows, targets)
    return Case(graph, layout, lo, hi, signs, rows, start, params), x


def signs_at(data: st.DataObject, layout: Layout, values: dict[int, list[Fraction]]) -> FloatArray:
    """Signs of some gates as they are at a point; on a kink, as the gate there says."""
    signs = np.zeros((1, layout.gates), dtype=np.int8)
    gates = {z: step for step, z in layout.steps.items()}
    for z, at in layout.offsets.items():
        for k, v in enumerate(values[z]):
            if not data.draw(st.booleans()):
                continue
            if v == 0:
                on = values[gates[z]][k] == 1 if z in gates else data.draw(st.booleans())
            else:
                on = v > 0
            signs[0, at + k] = 1 if on else -1
    return signs


def gradient_net(
    rng: np.random.Generator, widths: tuple[int, ...], integer: bool = False
) -> tuple[Graph, int]:
    """A random ReLU network and the node of its gradient; integer weights k/8 meet their kinks."""
    b = Builder()
    x = h = b.input("x", (widths[0],))
    for k, (m, n) in enumerate(pairwise(widths)):
        w = rng.integers(-8, 9, (n, m)) / 8 if integer else rng.normal(size=(n, m)) / np.sqrt(m)
        bias = rng.integers(-4, 5, n) / 4 if integer else rng.normal(size=n) * 0.3
        h = b.affine(dense(w), b.relu(h) if k else h, bias)
    (gradient,) = gradients(b, h, [x])
    return b.build({"f": h, "g": gradient}), gradient


def conv_net(rng: np.random.Generator) -> tuple[Graph, int]:
    """Convolution, ReLU, convolution, ReLU, dense; the gradient's node."""
    b = Builder()
    x = b.input("x", (1, 2, 4, 4))
    pads, one = ((1, 0), (0, 1)), (1, 1)
    first = Conv((1, 2, 4, 4), (1, 4, 2, 2), rng.normal(size=(4, 1, 3, 3)), (2, 2), pads, one, 2)
    y = b.relu(b.affine(first, x, rng.normal(size=(1, 4, 2, 2))))
    none, weight = ((0, 0), (0, 0)), rng.normal(size=(3, 4, 2, 2))
    second = Conv((1, 4, 2, 2), (1, 3, 1, 1), weight, one, none, one, 1)
    h = b.relu(b.affine(second, y))
    out = b.affine(dense(rng.normal(size=(1, 3)), (1, 3, 1, 1), (1,)), h)
    (gradient,) = gradients(b, out, [x])
    return b.build({"g": gradient, "f": out}), gradient


def batch_case(
    seed: int, count: int, convolutional: bool
) -> tuple[TorchBounder, Layout, FloatArray, FloatArray, FloatArray, FloatArray, int]:
    """Different boxes, signs and forms over one network."""
    rng = np.random.default_rng(seed)
    graph, node = conv_net(rng) if convolutional else gradient_net(rng, (4, 9, 7, 1))
    n = graph.input_size
    layout = Layout(graph, (node,))
    centre, radius = rng.normal(size=(count, n)), rng.choice([0.0, 0.02, 0.3, 1.0], (count, n))
    lo, hi = centre - radius, centre + radius
    signs = np.zeros((count, layout.gates), dtype=np.int8)
    free = layout.propagate(lo, hi, signs)
    for z, at in layout.offsets.items():
        undecided = (free.lo[z] < 0) & (free.hi[z] > 0) & (rng.random(free.lo[z].shape) < 0.3)
        chosen = np.where(rng.random(undecided.shape) < 0.5, 1, -1) * undecided
        signs[:, at : at + chosen.shape[1]] = chosen
    forms = rng.normal(size=(count, n))
    return TorchBounder(graph), layout, lo, hi, signs, forms, node
