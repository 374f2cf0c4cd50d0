"""Which gate to split on: how much each undecided gate's relaxations lose at the minimiser.

The linear bound is attained at a corner of the box, or on a ball's rim. There every relaxation is
compared with the op's true value: the difference is what a split of that gate can win at that
point. Three rules are kept (see benchmarks/branching.py for the comparison): "gap" (the default),
"intercept" (the relaxations' constant terms, after Bunel et al., BaBSR, JMLR 2020) and "width".
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from verifex.engine.bounds.layout import Layout
from verifex.engine.bounds.optimise import Bounder, Bounds
from verifex.engine.bounds.root import to_rows
from verifex.ir.exact import FloatArray
from verifex.ir.ops import Gate, Relu, Step
from verifex.semantics.evaluate import run, split_input
from verifex.semantics.linear import Rows, relus_of
from verifex.semantics.parameters import Parameter, ParameterKind

Tensor = torch.Tensor
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
        low, high = torch.from_numpy(lo)[None], torch.from_numpy(hi)[None]
        for z, at in layout.offsets.items():
            size = layout.graph.nodes[z].size
            for first in range(0, size, _TOGETHER):
                element = torch.arange(first, min(first + _TOGETHER, size))
                rows = to_rows(bounds, torch.zeros_like(element), layout, signs)
                start = torch.zeros((len(element), size), dtype=torch.float64)
                start[torch.arange(len(element)), element] = 1.0
                box = low.expand(len(element), -1), high.expand(len(element), -1)
                with torch.no_grad():
                    params = bounder.start(rows, [z])
                    _, coefs, _ = bounder.evaluate(rows, {z: start}, params, *box)
                self._reach[at + first : at + first + len(element)] = coefs.abs().numpy()

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
    layout: Layout, bounder: Bounder, rows: Rows, bounds: Bounds, points: Tensor, rule: str = "gap"
) -> Tensor:
    """(R, gates) scores, zero for decided gates; a greater score promises more."""
    scores = torch.zeros((rows.count, layout.gates), dtype=bounder.host.dtype)
    values: dict[int, Tensor] = {}
    if rule == "gap":
        inputs = split_input(layout.graph, points)
        raw = run(layout.graph, bounder.host, inputs, list(bounds.reached))
        values = {i: v.reshape(v.shape[0], -1).expand(rows.count, -1) for i, v in raw.items()}
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
            sign = rows.split[z][rows.domain] if z in rows.split else torch.zeros_like(lo)
            undecided = (lo <= 0) & (hi >= 0) & (sign == 0)
        loss = _loss(rule, layout, rows, bounds, i, z, c, values)
        scores[:, at : at + c.shape[1]] += torch.where(undecided, loss, torch.zeros_like(loss))
    return scores


def _loss(
    rule: str,
    layout: Layout,
    rows: Rows,
    bounds: Bounds,
    node: int,
    preact: int,
    coefs: Tensor,
    values: dict[int, Tensor],
) -> Tensor:
    lo, hi = rows.box(preact)
    if rule == "width":
        return coefs.abs() * torch.minimum(hi.clamp(min=0), (-lo).clamp(min=0))
    op, params = layout.graph.nodes[node].op, bounds.params
    if isinstance(op, Relu):
        slope, k = params[Parameter(ParameterKind.ALPHA, node)], hi / (hi - lo).clamp(min=1e-300)
        if rule == "intercept":
            return (-coefs).clamp(min=0) * k * -lo
        relaxed = torch.where(coefs >= 0, slope * values[preact], k * (values[preact] - lo))
        return (coefs * (values[node] - relaxed)).clamp(min=0)
    if isinstance(op, Step):
        return _step_loss(rule, layout, rows, bounds, node, preact, coefs, values)
    v = layout.graph.nodes[node].args[1]
    low, high = rows.box(v)
    if rule == "intercept":
        return coefs.abs() * (high - low)
    positive = coefs >= 0
    below, above = (
        params[Parameter(kind, node)]
        for kind in (ParameterKind.MIX_BELOW, ParameterKind.MIX_ABOVE)
    )
    mix = torch.where(positive, below, above)
    near, far = torch.where(positive, low, high), torch.where(positive, high, low)
    s, g = values[layout.graph.nodes[node].args[0]], values[v]
    plane = mix * near * s + (1 - mix) * (g + far * s - far)
    return (coefs * (values[node] - plane)).clamp(min=0)


def _step_loss(
    rule: str,
    layout: Layout,
    rows: Rows,
    bounds: Bounds,
    node: int,
    preact: int,
    coefs: Tensor,
    values: dict[int, Tensor],
) -> Tensor:
    if rule == "intercept":
        return coefs.abs()
    lo, hi = rows.box(preact)
    tie = bounds.params[Parameter(ParameterKind.TIE, node)]
    at = values[preact]
    relu = at.clamp(min=0)
    has_relu = relus_of(layout.graph).get(preact, node) < node
    y = relu if has_relu else at
    below = tie * y / hi.clamp(min=1e-300)
    above = 1 - tie * (relu - at if has_relu else -at) / (-lo).clamp(min=1e-300)
    relaxed = torch.where(coefs >= 0, below, above)
    return (coefs * (values[node] - relaxed)).clamp(min=0)
