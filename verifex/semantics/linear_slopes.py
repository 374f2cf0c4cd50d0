"""Derivatives of linear bounds by the free parameters, by hand: a rule for each of `linear`.

Substitution passes coefficients backwards; the bound is linear in the coefficient that reaches an
element, so its derivative by that coefficient is a value of the element: the value that the planes
give it at the point where the bound is attained. These values are worked out forwards, from that
point on, and the derivative by a parameter is a coefficient times what a change of the parameter
does to such a value. With numpy alone; smooth functions and trees are not known here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from verifex.ir.exact import FloatArray
from verifex.ir.graph import Graph
from verifex.ir.ops import (
    Affine,
    Concat,
    Const,
    Gate,
    Input,
    Mul,
    Relu,
    Step,
    TreeLeaves,
    Univariate,
)
from verifex.semantics.linear import FLAT, Rows, passed, relu_planes, relus_of
from verifex.semantics.parameters import REGION_ROWS, Parameter, ParameterKind
from verifex.semantics.support.table import Table

Params = Mapping[Parameter, FloatArray]


@dataclass
class Ascent:
    """One pass forwards: values (R, size) of nodes as their planes have them, and the derivatives
    (R, size) by the parameters, collected so far.

    `coefs` are the coefficients that reached the nodes of a substitution with these `params`, which
    holds every parameter that the rules use.
    """

    graph: Graph
    rows: Rows
    params: Params
    coefs: Mapping[int, FloatArray]
    linear: Callable[..., FloatArray]
    values: dict[int, FloatArray] = field(default_factory=dict)
    slopes: dict[Parameter, FloatArray] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.relus = relus_of(self.graph)

    def args(self, node: int) -> list[FloatArray]:
        """The values of a node's arguments, zero for those that nothing was asked of."""
        return [self.value(a) for a in self.graph.nodes[node].args]

    def value(self, node: int) -> FloatArray:
        """The values of one node, zero where nothing was asked of it."""
        found = self.values.get(node)
        return np.zeros((self.rows.count, self.graph.nodes[node].size)) if found is None else found


slopes: Table[Callable[..., FloatArray]] = Table("slopes")
"""op -> rule(op, pass, node, coefs): the values of a node's planes; puts derivatives into the pass.
"""


@slopes.rule(Const)
def _const(op: Const, walk: Ascent, node: int, coefs: FloatArray) -> FloatArray:
    return np.broadcast_to(np.asarray(walk.linear(op.value)).reshape(1, -1), coefs.shape)


@slopes.rule(Affine)
def _affine(op: Affine, walk: Ascent, node: int, coefs: FloatArray) -> FloatArray:
    count, nodes = coefs.shape[0], walk.graph.nodes
    out = np.zeros_like(coefs)
    for m, a, value in zip(op.maps, nodes[node].args, walk.args(node), strict=True):
        out = out + walk.linear(m, value.reshape(count, *nodes[a].shape)).reshape(count, -1)
    return out if op.bias is None else out + walk.linear(op.bias).reshape(-1)


@slopes.rule(Relu)
def _relu(op: Relu, walk: Ascent, node: int, coefs: FloatArray) -> FloatArray:
    (z,) = walk.args(node)
    lo, hi = walk.rows.box(walk.graph.nodes[node].args[0])
    below, above, open_ = relu_planes(lo, hi)
    alpha = Parameter(ParameterKind.ALPHA, node)
    slope = np.where(open_, walk.params[alpha], below)
    rising = coefs >= 0
    walk.slopes[alpha] = np.where(open_ & rising, coefs * z, 0.0)
    return np.where(rising, slope * z, above * z - np.where(open_, above * lo, 0.0))


@slopes.rule(Step)
def _step(op: Step, walk: Ascent, node: int, coefs: FloatArray) -> FloatArray:
    preact = walk.graph.nodes[node].args[0]
    (lo, hi), (s_lo, s_hi) = walk.rows.box(preact), walk.rows.box(node)
    on, open_ = s_lo >= 1, (s_lo < 1) & (s_hi > 0)
    can_lo, can_hi = open_ & (hi > FLAT), open_ & (lo < -FLAT)
    z = walk.value(preact)
    relu, rising = walk.relus.get(preact, node), coefs >= 0
    # Up: s >= tie y / u. Down: s <= 1 - tie (y - z) / -l. Without y the line is that of z alone.
    up, down = (walk.value(relu), z - walk.value(relu)) if relu < node else (z, z)
    by_tie = np.where(
        rising, np.where(can_lo, up / np.where(can_lo, hi, 1.0), 0.0),
        np.where(can_hi, down / np.where(can_hi, -lo, 1.0), 0.0))
    tie = Parameter(ParameterKind.TIE, node)
    walk.slopes[tie] = coefs * by_tie
    return walk.params[tie] * by_tie + np.where(on | (open_ & ~rising), 1.0, 0.0)


@slopes.rule(Gate)
def _gate(op: Gate, walk: Ascent, node: int, coefs: FloatArray) -> FloatArray:
    gate, operand = walk.graph.nodes[node].args
    s, v = walk.args(node)
    (s_lo, s_hi), (lo, hi) = walk.rows.box(gate), walk.rows.box(operand)
    on, open_, rising = s_lo >= 1, (s_lo < 1) & (s_hi > 0), coefs >= 0
    below, above = (
        Parameter(kind, node) for kind in (ParameterKind.MIX_BELOW, ParameterKind.MIX_ABOVE))
    mix = np.where(rising, walk.params[below], walk.params[above])
    near, far = np.where(rising, lo, hi), np.where(rising, hi, lo)
    first, other = near * s, v + far * s - far
    slope = np.where(open_, coefs * (first - other), 0.0)
    walk.slopes[below] = np.where(rising, slope, 0.0)
    walk.slopes[above] = np.where(rising, 0.0, slope)
    return np.where(on, v, np.where(open_, mix * first + (1 - mix) * other, 0.0))


@slopes.rule(Mul)
def _mul(op: Mul, walk: Ascent, node: int, coefs: FloatArray) -> FloatArray:
    a, b = walk.graph.nodes[node].args
    below, above = (
        Parameter(kind, node) for kind in (ParameterKind.MIX_BELOW, ParameterKind.MIX_ABOVE))
    rising, used = coefs >= 0, coefs != 0
    (v, w), (vl, vu), (wl, wu) = walk.args(node), walk.rows.box(a), walk.rows.box(b)
    if a == b:
        t = vl + walk.params[below] * (vu - vl)
        walk.slopes[below] = np.where(rising & used, coefs * 2 * (v - t) * (vu - vl), 0.0)
        walk.slopes[above] = np.zeros_like(coefs)
        return np.asarray(np.where(rising, 2 * t * v - t * t, (vl + vu) * v - vl * vu))
    mix = np.where(rising, walk.params[below], walk.params[above])
    v1, v2 = np.where(rising, vl, vu), np.where(rising, vu, vl)
    first, other = v1 * w + wl * v - v1 * wl, v2 * w + wu * v - v2 * wu
    slope = np.where(used, coefs * (first - other), 0.0)
    walk.slopes[below] = np.where(rising, slope, 0.0)
    walk.slopes[above] = np.where(rising, 0.0, slope)
    return np.asarray(mix * first + (1 - mix) * other)


@slopes.rule(Concat)
def _concat(op: Concat, walk: Ascent, node: int, coefs: FloatArray) -> FloatArray:
    nodes, count = walk.graph.nodes, coefs.shape[0]
    parts = [value.reshape(count, *nodes[a].shape)
             for a, value in zip(nodes[node].args, walk.args(node), strict=True)]
    return np.concatenate(parts, axis=op.axis + 1).reshape(count, -1)


slopes.refuse(Input, "an input's values are where the bound is attained; the caller gives them")
slopes.refuse(TreeLeaves, "a tree has no derivative; the search between thresholds bounds it")
slopes.refuse(Univariate, "smooth functions are bounded with torch")


def parameter_slopes(
    graph: Graph,
    rows: Rows,
    start: Mapping[int, FloatArray],
    params: Params,
    coefs: Mapping[int, FloatArray],
    points: FloatArray,
    linear: Callable[..., FloatArray],
) -> dict[Parameter, FloatArray]:
    """Derivatives (R, size) of the rows' bounds by all parameters of nodes (those of the region's
    rows are left to the caller).

    `coefs` reached the nodes in a substitution with `params`; the bounds are attained at `points`
    (R, n). `linear(map, values)` applies a map, `linear(constant)` gives a constant as floats.
    """
    walk = Ascent(graph, rows, params, coefs, linear)
    for i in passed(graph, start):
        node, here = graph.nodes[i], coefs.get(i)
        if isinstance(node.op, Input):
            at = graph.input_offsets[i]
            walk.values[i] = points[:, at : at + node.size]
        elif here is not None:
            walk.values[i] = slopes[node.op](node.op, walk, i, here)
        beta, sign = Parameter(ParameterKind.BETA, i), rows.split.get(i)
        if sign is not None and beta in params:
            walk.slopes[beta] = -sign[rows.domain] * walk.value(i)
    return {key: walk.slopes[key] for key in params if key in walk.slopes and key != REGION_ROWS}
