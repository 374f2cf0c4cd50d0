"""Root facts: optimised bounds of the nodes that relaxations lean on, over the whole region.

Each fact is a lower bound of one signed node element with the multipliers that attain it, so that
a certificate can carry it. Nodes are taken in order, and every node profits from those before it.

On large networks two things come before: a pass without optimising (`plain_root`), after which most
units are decided and many claims closed; and what is then optimised stops at the sign, where only
the sign counts.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from verifex.engine.bounds.bounder import Bounder, Effort, Params
from verifex.engine.bounds.cost import rows_at_once
from verifex.engine.bounds.facts import Fact
from verifex.engine.bounds.layout import IntermediateBounds, Layout, Signs
from verifex.engine.budget import Budget, Pace
from verifex.ir.exact import FloatArray
from verifex.ir.ops import Affine, Concat, Const, Gate, Input, Relu, Step
from verifex.semantics.linear import Rows
from verifex.semantics.parameters import ParameterKind

ROWS = 512

_STEPS = Effort(16, 0.3, 0.88)
"""How long the bounds of units are optimised at most, where all that is relaxed are ReLUs. On
networks of mnist_fc that gives 98 % of what 60 steps win of the width, in a fourth of the time."""

_CLEAR = 1e-4
"""A sign is clear once the bound is beyond zero by this share of the width: steering may be in
float32."""


@dataclass
class Root:
    """The region's boxes with all facts put in."""

    layout: Layout
    boxes: IntermediateBounds
    facts: list[Fact] = field(default_factory=list)

    @property
    def ends(self) -> tuple[dict[int, FloatArray], dict[int, FloatArray]]:
        """Lower and upper bounds of nodes over the region, each in its node's shape."""
        nodes = self.layout.graph.nodes
        low, high = (
            {i: v[0].reshape(nodes[i].shape) for i, v in side.items()}
            for side in (self.boxes.lo, self.boxes.hi)
        )
        return low, high


def to_rows(
    boxes: IntermediateBounds, domain: NDArray[np.intp], layout: Layout, signs: Signs
) -> Rows:
    """Boxes and signs for the linear table."""
    split = {}
    for z in layout.offsets:
        chosen = layout.signs_of(signs, z)
        if chosen.any():
            split[z] = chosen.astype(np.float64)
    return Rows(boxes.lo, boxes.hi, domain, split)


def plain_root(
    layout: Layout, bounder: Bounder, lo: FloatArray, hi: FloatArray, budget: Budget
) -> Root:
    """Bounds of every relaxed node over the box lo <= x <= hi, both (n,), by one backward pass
    each, with the parameters that optimising begins with."""
    return root_facts(layout, bounder, lo, hi, budget, None)


def root_facts(
    layout: Layout,
    bounder: Bounder,
    lo: FloatArray,
    hi: FloatArray,
    budget: Budget,
    effort: Effort | None,
    root: Root | None = None,
) -> Root:
    """Optimise the bounds of every relaxed node over the box lo <= x <= hi, both (n,), beginning
    with what `root` knows, into which they are put. Without `effort`: see `plain_root`.

    Sound: what the budget leaves no time for keeps the bounds that it has.
    """
    signs = np.zeros((1, layout.gates), dtype=np.int8)
    if root is None:
        root = Root(layout, layout.propagate(lo[None], hi[None], signs))
    if effort is not None and effort.iterations > _STEPS.iterations and _only_relus(layout):
        effort = _STEPS
    for node in layout.relaxed(direct=bool(bounder.balls or bounder.groups)):
        if budget.spent:
            break
        elements = _worth(layout, root.boxes, node)
        most = min(ROWS, rows_at_once(layout.graph, [node], budget.memory)) // 2
        pace = Pace(budget, most, most)
        while elements and not budget.spent:
            part, elements = elements[: pace.size], elements[pace.size :]
            with pace.piece(len(part)):
                _improve(root, bounder, node, part, lo, hi, effort, lambda: budget.spent)
        root.boxes = layout.propagate(lo[None], hi[None], signs)
    return root


def _worth(layout: Layout, boxes: IntermediateBounds, node: int) -> list[int]:
    """Elements whose bounds matter: undecided pre-activations, and operands of open gates."""
    nodes = layout.graph.nodes
    lo, hi = boxes.lo[node][0], boxes.hi[node][0]
    matters = np.zeros(lo.shape, dtype=bool)
    for i in layout.order:
        op, args = nodes[i].op, nodes[i].args
        if isinstance(op, Relu | Step) and args[0] == node:
            matters |= (lo <= 0) & (hi >= 0)
        elif isinstance(op, Gate) and args[1] == node:
            matters |= boxes.lo[args[0]][0] < boxes.hi[args[0]][0]
        elif node in args and not isinstance(op, Gate):
            matters |= not isinstance(op, Relu | Step) and _relaxed_operand(layout, i)
    return [int(k) for k in np.flatnonzero(matters & (lo < hi))]


def _only_relus(layout: Layout) -> bool:
    """Whether all that is relaxed are ReLUs: of them, only undecided ones need bounds."""
    kinds = Affine | Concat | Const | Input | Relu
    return all(isinstance(layout.graph.nodes[i].op, kinds) for i in layout.order)


def _relaxed_operand(layout: Layout, node: int) -> bool:
    from verifex.ir.ops import Mul, Univariate

    return isinstance(layout.graph.nodes[node].op, Mul | Univariate)


def _improve(
    root: Root,
    bounder: Bounder,
    node: int,
    elements: list[int],
    lo: FloatArray,
    hi: FloatArray,
    effort: Effort | None,
    stopped: Callable[[], bool],
) -> None:
    """One batch of 2 k rows: the lower and the upper bound of each element, without `effort` by the
    first parameters."""
    layout, k = root.layout, len(elements)
    size = layout.graph.nodes[node].size
    start = np.zeros((2 * k, size))
    start[np.arange(k), elements] = 1.0
    start[np.arange(k, 2 * k), elements] = -1.0
    signs = np.zeros((1, layout.gates), dtype=np.int8)
    rows = to_rows(root.boxes, np.zeros(2 * k, dtype=np.intp), layout, signs)
    box = np.repeat(lo[None], 2 * k, axis=0), np.repeat(hi[None], 2 * k, axis=0)
    old_lo, old_hi = root.boxes.lo[node][0], root.boxes.hi[node][0]
    if effort is None:
        value, params = _plainly(bounder, rows, {node: start}, box)
    else:
        goal: float | FloatArray = float("inf")
        if _only_relus(layout):  # whichever sign a bound shows, a ReLU is linear from there on
            goal = np.tile(np.nan_to_num(_CLEAR * (old_hi - old_lo)[elements]), 2)
        found = bounder.bound(
            rows, {node: start}, *box, effort, goal=goal, stopped=stopped)
        value, params = found.value, found.params
    # What earlier batches found of the node is in its facts, and not in the boxes yet.
    known = layout.facts.get(node, (old_lo, old_hi))
    low, high = known[0].copy(), known[1].copy()
    for r in range(2 * k):
        i, sign = elements[r % k], 1 if r < k else -1
        bound = _outward(float(value[r]))
        if bound <= (old_lo[i] if sign > 0 else -old_hi[i]):
            continue
        if sign > 0:
            low[i] = bound
        else:
            high[i] = -bound
        mine = {key: v[r] for key, v in params.items()}
        root.facts.append(Fact(node, i, sign, bound, mine))
    layout.facts[node] = (low, np.maximum(low, high))


def _plainly(
    bounder: Bounder, rows: Rows, start: dict[int, FloatArray],
    box: tuple[FloatArray, FloatArray],
) -> tuple[FloatArray, Params]:
    """Bounds (R,) by the parameters that optimising begins with, and those that have to be told:
    a certificate's checker chooses the same slopes of ReLUs itself."""
    params = bounder.start(rows, list(start))
    value, _, _ = bounder.evaluate_grouped(rows, start, params, *box)
    told = {k: v for k, v in params.items() if k.kind is not ParameterKind.ALPHA}
    return value, told


def _outward(bound: float) -> float:
    """A short dyadic a little below: room for the exact re-evaluation to come out above it."""
    if not np.isfinite(bound):
        return -np.inf
    step = 2.0 ** (np.floor(np.log2(max(abs(bound), 1e-6))) - 24)
    return float(np.floor(bound / step - 1) * step)
