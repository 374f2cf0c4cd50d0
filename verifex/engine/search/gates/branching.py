"""Which gate to split on: how much each undecided gate's relaxations lose at the minimiser.

The linear bound is attained at a corner of the box, or on a ball's rim. There every relaxation is
compared with the op's true value: the difference is what a split of that gate can win at that
point. Three rules are kept (see benchmarks/branching.py for the comparison): "gap" (the default),
"intercept" (the relaxations' constant terms, after Bunel et al., BaBSR, JMLR 2020) and "width".
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from verifex.engine.bounds.bounder import Bounder, Bounds
from verifex.engine.bounds.layout import Layout
from verifex.engine.bounds.root import to_rows
from verifex.ir.exact import FloatArray
from verifex.ir.ops import Gate, Relu, Step
from verifex.semantics.linear import Rows, relus_of
from verifex.semantics.parameters import Parameter, ParameterKind

RULES = ("gap", "intercept", "width")


_TOGETHER = 512
"""Pre-activations in one backward pass."""

STRICT, LENIENT = 100.0, 10.0
"""How many times a gate of the next layer has to lose more: practically never, or now and then."""


def layer_weights(layout: Layout, times: float = STRICT) -> FloatArray:
    """Weights (gates,) that put the gates of earlier layers first."""
    weights = np.ones(layout.gates)
    for rank, (z, at) in enumerate(layout.offsets.items()):
        weights[at : at + layout.graph.nodes[z].size] = times**-rank
    return weights


class InputShares:
    """Whose fault a gate's loss is: how much each input adds to the width of its pre-activation, by
    the linear bounds over the region's box lo <= x <= hi, both (n,)."""

    def __init__(
        self, layout: Layout, bounder: Bounder, lo: FloatArray, hi: FloatArray
    ) -> None:
        signs = np.zeros((1, layout.gates), dtype=np.int8)
        bounds = layout.propagate(lo[None], hi[None], signs)
        self._reach = np.zeros((layout.gates, len(lo)))
        for z, at in layout.offsets.items():
            size = layout.graph.nodes[z].size
            for first in range(0, size, _TOGETHER):
                element = np.arange(first, min(first + _TOGETHER, size))
                rows = to_rows(bounds, np.zeros_like(element), layout, signs)
                start = np.zeros((len(element), size))
                start[np.arange(len(element)), element] = 1.0
                low, high = (np.repeat(end[None], len(element), axis=0) for end in (lo, hi))
                params = bounder.start(rows, [z])
                _, coefs, _ = bounder.evaluate(rows, {z: start}, params, low, high)
                self._reach[at + first : at + first + len(element)] = np.abs(coefs)

    def of(self, loss: FloatArray, width: FloatArray) -> FloatArray:
        """The part (n,) of the gates' losses (gates,) that each input of these widths (n,) has."""
        some = loss > 0
        wide = self._reach[some] * width
        share = wide / np.maximum(wide.sum(axis=1, keepdims=True), 1e-300)
        return np.asarray(loss[some] @ share)


def few_cells(layout: Layout, seen: NDArray[np.bool_]) -> bool:
    """Whether random points (with gate patterns `seen`) share the cells of the first layer.

    Then these can be enumerated, and in each of them the second layer is affine: splitting layer by
    layer wins (benchmarks/branching.py).
    """
    first = [z for z in layout.offsets if layout.exact(z)]
    parts = [
        seen[:, at : at + layout.graph.nodes[z].size]
        for z, at in layout.offsets.items()
        if z in first
    ]
    if not parts:
        return False
    cells = np.unique(np.packbits(np.concatenate(parts, axis=1), axis=1), axis=0)
    return 2 * len(cells) <= len(seen)


def gate_scores(
    layout: Layout, bounder: Bounder, rows: Rows, bounds: Bounds, points: FloatArray,
    rule: str = "gap",
) -> FloatArray:
    """(R, gates) scores, zero for decided gates; a greater score promises more."""
    scores = np.zeros((rows.count, layout.gates))
    values = bounder.values(points, list(bounds.reached)) if rule == "gap" else {}
    for i, c in bounds.reached.items():
        node = layout.graph.nodes[i]
        if isinstance(node.op, Relu | Step):
            z = node.args[0]
        elif isinstance(node.op, Gate) and node.args[0] in layout.steps:
            z = layout.steps[node.args[0]]
        else:
            continue
        at = layout.offsets[z]
        lo, hi = rows.box(z)
        undecided = (lo < 0) & (hi > 0)
        if z in layout.steps.values():
            sign = rows.split[z][rows.domain] if z in rows.split else np.zeros_like(lo)
            undecided = (lo <= 0) & (hi >= 0) & (sign == 0)
        loss = _loss(rule, layout, rows, bounds, i, z, c, values)
        scores[:, at : at + c.shape[1]] += np.where(undecided, loss, 0.0)
    return scores


def _loss(
    rule: str,
    layout: Layout,
    rows: Rows,
    bounds: Bounds,
    node: int,
    preact: int,
    coefs: FloatArray,
    values: dict[int, FloatArray],
) -> FloatArray:
    lo, hi = rows.box(preact)
    if rule == "width":
        return np.asarray(np.abs(coefs) * np.minimum(np.maximum(hi, 0), np.maximum(-lo, 0)))
    op, params = layout.graph.nodes[node].op, bounds.params
    if isinstance(op, Relu):
        slope, k = params[Parameter(ParameterKind.ALPHA, node)], hi / np.maximum(hi - lo, 1e-300)
        if rule == "intercept":
            return np.asarray(np.maximum(-coefs, 0) * k * -lo)
        relaxed = np.where(coefs >= 0, slope * values[preact], k * (values[preact] - lo))
        return np.asarray(np.maximum(coefs * (values[node] - relaxed), 0))
    if isinstance(op, Step):
        return _step_loss(rule, layout, rows, bounds, node, preact, coefs, values)
    v = layout.graph.nodes[node].args[1]
    low, high = rows.box(v)
    if rule == "intercept":
        return np.asarray(np.abs(coefs) * (high - low))
    positive = coefs >= 0
    below, above = (
        params[Parameter(kind, node)]
        for kind in (ParameterKind.MIX_BELOW, ParameterKind.MIX_ABOVE)
    )
    mix = np.where(positive, below, above)
    near, far = np.where(positive, low, high), np.where(positive, high, low)
    s, g = values[layout.graph.nodes[node].args[0]], values[v]
    plane = mix * near * s + (1 - mix) * (g + far * s - far)
    return np.asarray(np.maximum(coefs * (values[node] - plane), 0))


def _step_loss(
    rule: str,
    layout: Layout,
    rows: Rows,
    bounds: Bounds,
    node: int,
    preact: int,
    coefs: FloatArray,
    values: dict[int, FloatArray],
) -> FloatArray:
    if rule == "intercept":
        return np.abs(coefs)
    lo, hi = rows.box(preact)
    tie = bounds.params[Parameter(ParameterKind.TIE, node)]
    at = values[preact]
    relu = np.maximum(at, 0)
    has_relu = relus_of(layout.graph).get(preact, node) < node
    y = relu if has_relu else at
    below = tie * y / np.maximum(hi, 1e-300)
    above = 1 - tie * (relu - at if has_relu else -at) / np.maximum(-lo, 1e-300)
    relaxed = np.where(coefs >= 0, below, above)
    return np.asarray(np.maximum(coefs * (values[node] - relaxed), 0))
