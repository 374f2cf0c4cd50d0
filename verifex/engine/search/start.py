"""What a search over gates starts from: what bounds its rows, the rows of its region, and points
drawn from it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module

import numpy as np

from verifex.engine.bounds.bounder import Bounder
from verifex.engine.bounds.layout import Layout
from verifex.engine.bounds.plain_bounder import PlainBounder
from verifex.engine.bounds.region_rows import Linear
from verifex.ir.exact import FloatArray
from verifex.ir.ops import TreeLeaves, Univariate
from verifex.ir.region import Region
from verifex.semantics.support.balls import FloatBall, drawn

PLAIN = 4000
"""Elements of all nodes of a graph that are bounded with numpy: there it is faster, even once torch
is loaded (benchmarks/startup.py)."""


def is_plain(layout: Layout) -> bool:
    """Whether numpy knows all planes of a graph, and is no slower."""
    nodes = [layout.graph.nodes[i] for i in layout.order]
    known = not any(isinstance(node.op, Univariate | TreeLeaves) for node in nodes)
    return known and sum(node.size for node in nodes) <= PLAIN


def load_bounder(layout: Layout, device: str) -> None:
    """Import what `bounder_for` needs, torch perhaps, which takes seconds: whoever decides does
    not let them count."""
    if not (device == "cpu" and is_plain(layout)):
        import_module("verifex.engine.bounds.optimise")


def bounder_for(
    layout: Layout,
    device: str,
    linear: Linear | None,
    balls: Sequence[FloatBall],
    *,
    coarse: bool = False,
    stopped: Callable[[], bool] = lambda: False,
) -> Bounder:
    """A bounder of the layout's graph; `coarse` and `stopped` as `TorchBounder` has them."""
    if device == "cpu" and is_plain(layout):
        return PlainBounder(layout.graph, linear, balls, stopped=stopped)
    from verifex.engine.bounds.optimise import TorchBounder

    return TorchBounder(
        layout.graph, device, linear=linear, balls=balls, coarse=coarse, stopped=stopped)


def linear_rows(region: Region) -> Linear | None:
    """The region's linear rows as multiplier rows, then for each one-hot group that its sum is at
    most 1 and at least 1; l1 balls of few features written out are not."""
    if not region.rows and not region.one_hot:
        return None
    first = len(region.rows)
    a = np.zeros((first + 2 * len(region.one_hot), region.size))
    b = np.zeros(len(a))
    for k, row in enumerate(region.rows):
        b[k] = float(row.rhs)
        for i, c in row.coefs.items():
            a[k, i] = float(c)
    for g, group in enumerate(region.one_hot):
        for k, sign in ((first + 2 * g, 1.0), (first + 2 * g + 1, -1.0)):
            a[k, list(group)], b[k] = sign, sign
    if not region.one_hot:
        return Linear(a, b)
    group_of = np.full(region.size, -1, dtype=np.intp)
    for g, group in enumerate(region.one_hot):
        if (group_of[list(group)] < 0).all():
            group_of[list(group)] = g
    return Linear(a, b, len(region.one_hot), group_of)


def samples(
    lo: FloatArray, hi: FloatArray, balls: Sequence[FloatBall], seed: int
) -> FloatArray:
    """Points (k, n) of a box: random corners, inner points, the centre; drawn into balls, without
    those that this takes out of the box."""
    rng = np.random.default_rng(seed)
    corners = np.where(rng.random((1024, lo.shape[0])) < 0.5, lo, hi)
    inner = lo + (hi - lo) * rng.random((1024, lo.shape[0]))
    points = drawn(balls, np.concatenate([[(lo + hi) / 2], corners, inner]))
    within: FloatArray = points[((lo <= points) & (points <= hi)).all(axis=1)]
    return within
