"""Linear lower bounds by backward substitution over the whole graph, gates included (batched).

A *row* asks for a lower bound of one linear form of node values over one domain. Substitution walks
the graph backwards with one coefficient per row and node element; every op that is not linear is
replaced by a plane below (for positive coefficients) or above (for negative ones). The planes have
free parameters (`verifex.semantics.parameters` says which), which
`verifex.engine.bounds.optimise` improves by gradient.

Any parameter values give a valid bound in exact arithmetic. Floating point only steers: what is
recorded is evaluated again, exactly, by the certificate's checker.

The rules name no library: arrays are numpy's or torch's, whichever the caller works with. torch is
there for derivatives of its own, other devices, and smooth functions, whose planes only it has.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Protocol

import numpy as np

from verifex.ir.exact import Values
from verifex.ir.graph import Graph
from verifex.ir.linmap import LinearMap, transpose
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
from verifex.limits.checkpoint import checkpoint
from verifex.semantics.functions import find
from verifex.semantics.parameters import WEIGHT_HIGH, WEIGHT_LOW, Parameter, ParameterKind
from verifex.semantics.support.arrays import (
    Array,
    as_numpy,
    least_of_groups,
    library,
    without_slope,
)
from verifex.semantics.support.balls import FloatBall, cut
from verifex.semantics.support.planes import Plane, by_square
from verifex.semantics.support.table import Table


class LinearBackend(Protocol):
    """Constants and linear maps as arrays of one library."""

    def tensor(self, values: Values) -> Array:
        """A constant."""

    def linear(self, linear_map: LinearMap, operand: Array) -> Array:
        """The map of a batch (R, ...)."""

    def zeros(self, *shape: int) -> Array:
        """Zeros of this shape."""


@dataclass
class Rows:
    """R rows over D domains. `lo`, `hi`: node -> (D, size) bounds; `domain`: (R,) domain of a row.

    `split` maps a pre-activation node to (D, size) signs: +1 where z >= 0 is a split constraint,
    -1 where z <= 0, 0 elsewhere.
    """

    lo: Mapping[int, Array]
    hi: Mapping[int, Array]
    domain: Array
    split: Mapping[int, Array] = field(default_factory=dict)
    _boxes: dict[int, tuple[Array, Array]] = field(default_factory=dict, repr=False)

    @property
    def count(self) -> int:
        return int(self.domain.shape[0])

    def box(self, node: int) -> tuple[Array, Array]:
        """Bounds of a node for every row, (R, size) each; gathered once."""
        if node not in self._boxes:
            self._boxes[node] = self.lo[node][self.domain], self.hi[node][self.domain]
        return self._boxes[node]

    def part(self, which: Array) -> Rows:
        """The rows `which` (R,), a mask, of the same domains."""
        boxes = {i: (lo[which], hi[which]) for i, (lo, hi) in self._boxes.items()}
        return Rows(self.lo, self.hi, self.domain[which], self.split, boxes)


class Pass:
    """One backward pass: coefficients per node, and the constant collected so far."""

    def __init__(
        self, graph: Graph, rows: Rows, params: Mapping[Parameter, Array], xp: LinearBackend
    ) -> None:
        self.graph, self.rows, self.params, self.xp = graph, rows, params, xp
        self.relus = relus_of(graph)
        self.const = xp.zeros(rows.count)
        self.lib = library(self.const)
        self.coefs: dict[int, Array] = {}

    def give(self, node: int, coefs: Array) -> None:
        """Add coefficients (R, size) to a node."""
        known = self.coefs.get(node)
        self.coefs[node] = coefs if known is None else known + coefs

    def offset(self, amount: Array) -> None:
        """Add (R, size) amounts to the constants."""
        self.const = self.const + amount.sum(axis=1)

    def relu_of(self, preact: int, before: int) -> int | None:
        """The Relu of `preact`, if it comes before node `before` (so is substituted after it)."""
        # A Relu behind the gate has been substituted already: nothing may be given to it any more.
        found = self.relus.get(preact)
        return found if found is not None and found < before else None

    def param(self, kind: ParameterKind, node: int, default: Callable[[], Array]) -> Array:
        """A parameter's values (R, size), or the default where it is not optimised."""
        found = self.params.get(Parameter(kind, node))
        return default() if found is None else found


FLAT = 1e-100
"""Bounds closer to zero are those of a zero that was rounded outward: no gate is tied by them."""


def relus_of(graph: Graph) -> dict[int, int]:
    """pre-activation -> its Relu, where the graph has one."""
    return {n.args[0]: i for i, n in enumerate(graph.nodes) if isinstance(n.op, Relu)}


def passed(graph: Graph, targets: Iterable[int]) -> list[int]:
    """The nodes that a backward pass from `targets` visits, in order: their ancestors, and the
    Relus that ties of their gates go through."""
    needed = graph.ancestors(targets)
    relus = relus_of(graph)
    through = [
        relus[z]
        for i in needed
        if isinstance(graph.nodes[i].op, Step)
        for z in graph.nodes[i].args
        if relus.get(z, i) < i
    ]
    return sorted({*needed, *through})


linear: Table[Callable[..., None]] = Table("linear")
"""op -> rule(op, pass, node, coefs): pass the coefficients of a node on to its arguments."""


@cache
def _adjoint(linear_map: LinearMap) -> LinearMap:
    return transpose(linear_map)


@linear.rule(Const)
def _const(op: Const, walk: Pass, node: int, coefs: Array) -> None:
    walk.offset(coefs * walk.xp.tensor(op.value).reshape(1, -1))


@linear.rule(Affine)
def _affine(op: Affine, walk: Pass, node: int, coefs: Array) -> None:
    n = walk.graph.nodes[node]
    shaped = coefs.reshape(coefs.shape[0], *n.shape)
    for m, a in zip(op.maps, n.args, strict=True):
        walk.give(a, walk.xp.linear(_adjoint(m), shaped).reshape(coefs.shape[0], -1))
    if op.bias is not None:
        walk.const = walk.const + coefs @ walk.xp.tensor(op.bias).reshape(-1)


@linear.rule(Relu)
def _relu(op: Relu, walk: Pass, node: int, coefs: Array) -> None:
    """slope * z <= relu(z) <= u (z - l) / (u - l) for l < 0 < u; the identity or 0 elsewhere."""
    z = walk.graph.nodes[node].args[0]
    lo, hi = walk.rows.box(z)
    # Sound: a line with any slope in [0, 1] lies below relu; a known sign leaves one line.
    below, above, open_ = relu_planes(lo, hi)
    slope = walk.param(ParameterKind.ALPHA, node, lambda: below)
    where = walk.lib.where
    slope = where(open_, slope, below)
    walk.give(z, coefs * where(coefs >= 0, slope, above))
    walk.offset(where(open_, walk.lib.clip(coefs, None, 0) * -above * lo, 0.0))


def relu_planes(lo: Array, hi: Array) -> tuple[Array, Array, Array]:
    """(lower slope, upper slope, open); the adaptive lower slope is 0 or 1, what loses less."""
    lib = library(lo)
    on, off = lo >= 0, hi <= 0
    open_ = ~(on | off)
    one = lib.ones_like(lo)
    width = lib.where(open_, hi - lo, one)
    above = lib.where(open_, hi / width, lib.where(on, one, 0.0))
    rising = lib.where(open_, hi * WEIGHT_HIGH > -lo * WEIGHT_LOW, on)
    return lib.where(rising, one, 0.0), above, open_


@linear.rule(Step)
def _step(op: Step, walk: Pass, node: int, coefs: Array) -> None:
    """An open gate is tied to its z: tie * z / u <= s <= 1 - tie * z / l.

    Where y = relu(z) is in the graph the tie goes through y, which is stronger: s >= y / u and
    s <= 1 - (y - z) / (-l), and y's own plane is chosen later, on what all its uses sum up to.
    """
    z = walk.graph.nodes[node].args[0]
    lo, hi = walk.rows.box(z)
    s_lo, s_hi = walk.rows.box(node)
    on, off = s_lo >= 1, s_hi <= 0
    # Sound: where l >= 0 or u <= 0 the tie on that side would divide by zero or tilt the wrong way.
    # A z that is 0 is bounded by the least floats: a tie by these overflows, 0 inf is no number.
    open_ = ~(on | off)
    can_lo, can_hi = open_ & (hi > FLAT), open_ & (lo < -FLAT)
    where, clip = walk.lib.where, walk.lib.clip
    tie = walk.param(ParameterKind.TIE, node, lambda: walk.lib.zeros_like(coefs))
    up = where(can_lo, tie / where(can_lo, hi, 1.0), 0.0)
    dn = where(can_hi, tie / where(can_hi, -lo, 1.0), 0.0)
    y = walk.relu_of(z, node)
    if y is None:
        walk.give(z, coefs * where(coefs >= 0, up, dn))
    else:
        walk.give(z, clip(coefs, None, 0) * dn)
        walk.give(y, where(coefs >= 0, coefs * up, -coefs * dn))
    walk.offset(where(on, coefs, where(open_, clip(coefs, None, 0), 0.0)))


@linear.rule(Gate)
def _gate(op: Gate, walk: Pass, node: int, coefs: Array) -> None:
    """w = s g for an open gate: mixtures of the McCormick planes below and above.

    below: mix * (gl s) + (1 - mix) (g + gu s - gu)
    above: mix * (gu s) + (1 - mix) (g + gl s - gl)
    """
    d, v = walk.graph.nodes[node].args
    s_lo, s_hi = walk.rows.box(d)
    on, off = s_lo >= 1, s_hi <= 0
    open_ = ~(on | off)
    lo, hi = walk.rows.box(v)
    first = walk.param(ParameterKind.MIX_BELOW, node, lambda: gate_mix(lo, hi)[0])
    other = walk.param(ParameterKind.MIX_ABOVE, node, lambda: gate_mix(lo, hi)[1])
    positive, where = coefs >= 0, walk.lib.where
    mix = where(positive, first, other)
    # Below and above mirror each other: the ends of v change places with the sign.
    near, far = where(positive, lo, hi), where(positive, hi, lo)
    rest = where(open_, coefs * (1 - mix), 0.0)
    walk.give(v, where(on, coefs, rest))
    walk.give(d, where(open_, coefs * mix * near, 0.0) + rest * far)
    walk.offset(-rest * far)


def gate_mix(lo: Array, hi: Array) -> tuple[Array, Array]:
    """Mixtures (below, above) that leave no gate term: the chords of min(0, g) and max(0, g)."""
    # Where v is constant any mixture is the same plane; only 0 / 0 has to be kept away.
    clip = library(lo).clip
    width = clip(hi - lo, 1e-300, None)
    return clip(hi / width, 0, 1), clip(-lo / width, 0, 1)


@linear.rule(Mul)
def _mul(op: Mul, walk: Pass, node: int, coefs: Array) -> None:
    """v w over a box: mixtures of the two McCormick planes on each side (McCormick, 1976)."""
    a, b = walk.graph.nodes[node].args
    if a == b:
        lo, hi = walk.rows.box(a)
        where = walk.param(ParameterKind.MIX_BELOW, node, lambda: walk.lib.full_like(coefs, 0.5))
        _between(walk, a, coefs, *by_square(lo, hi, lo, hi, where))
        return
    (vl, vu), (wl, wu) = walk.rows.box(a), walk.rows.box(b)
    positive, where = coefs >= 0, walk.lib.where
    half = walk.lib.full_like(coefs, 0.5)
    mix = where(
        positive,
        walk.param(ParameterKind.MIX_BELOW, node, lambda: half),
        walk.param(ParameterKind.MIX_ABOVE, node, lambda: half),
    )
    # below: (vl, wl) and (vu, wu); above: (vu, wl) and (vl, wu)
    # Sound: each plane touches the product along two edges of the box, on its own side.
    v1, v2 = where(positive, vl, vu), where(positive, vu, vl)
    walk.give(b, _times(coefs, mix * v1 + (1 - mix) * v2))
    walk.give(a, _times(coefs, mix * wl + (1 - mix) * wu))
    walk.offset(-_times(coefs, mix * v1 * wl + (1 - mix) * v2 * wu))


def _between(walk: Pass, operand: int, coefs: Array, below: Plane, above: Plane) -> None:
    """Pass coefficients of f(x) on to x, by the line below or above f that the sign asks for."""
    positive, where = coefs >= 0, walk.lib.where
    walk.give(operand, _times(coefs, where(positive, below[0], above[0])))
    walk.offset(_times(coefs, where(positive, below[1], above[1])))


def _times(coefs: Array, line: Array) -> Array:
    """The product, with 0 where the coefficient is 0, whatever the line: lines of functions without
    a bound may be infinite, and an element that does not count must not spoil the row."""
    return coefs * library(coefs).where(coefs == 0, 0.0, line)


@linear.rule(Concat)
def _concat(op: Concat, walk: Pass, node: int, coefs: Array) -> None:
    n = walk.graph.nodes[node]
    # The first axis of the coefficients is that of the rows.
    shaped, at = coefs.reshape(coefs.shape[0], *n.shape), 0
    for a in n.args:
        end = at + walk.graph.nodes[a].shape[op.axis]
        part = shaped[(slice(None),) * (op.axis + 1) + (slice(at, end),)]
        walk.give(a, part.reshape(coefs.shape[0], -1))
        at = end


@linear.rule(TreeLeaves)
def _leaves(op: TreeLeaves, walk: Pass, node: int, coefs: Array) -> None:
    # Sound: exactly one leaf of each tree is 1, and it is one that can be reached.
    _, reach = walk.rows.box(node)
    lib = walk.lib
    reached = lib.where(reach > 0, coefs, lib.inf)
    least = least_of_groups(reached, op.forest.tree, len(op.forest.roots))
    # No leaf at all: the domain has no point.
    walk.offset(lib.where(lib.isfinite(least), least, 0.0))


linear.refuse(Input, "an input ends the substitution; its coefficients are the result")


@linear.rule(Univariate)
def _univariate(op: Univariate, walk: Pass, node: int, coefs: Array) -> None:
    x = walk.graph.nodes[node].args[0]
    lo, hi = walk.rows.box(x)
    where = walk.param(ParameterKind.TANGENT, node, lambda: walk.lib.full_like(coefs, 0.5))
    value_lo, value_hi = walk.rows.box(node)
    planes = find(op.name).planes(lo, hi, value_lo, value_hi, where)
    _between(walk, x, coefs, *planes)


def substitute(
    graph: Graph,
    rows: Rows,
    start: Mapping[int, Array],
    params: Mapping[Parameter, Array],
    xp: LinearBackend,
    scores: dict[int, Array] | None = None,
) -> tuple[Array, Array]:
    """Coefficients (R, n) of the flat input vector and constants (R,) of a linear lower bound.

    `start` maps nodes to the rows' coefficients (R, size). With `scores`, the coefficient that
    reached each node is kept there (used to choose what to split on).
    """
    p = Pass(graph, rows, params, xp)
    for node, coefs in start.items():
        p.give(node, coefs)
    inputs = set(graph.inputs)
    for node in reversed(passed(graph, start)):
        checkpoint()
        # Multipliers go in before the node is substituted: all its uses have been summed up by now.
        signs = rows.split.get(node)
        beta = params.get(Parameter(ParameterKind.BETA, node))
        if signs is not None and beta is not None:
            # Sound: for z >= 0 and beta >= 0, f >= f - beta z on the domain; likewise z <= 0.
            p.give(node, -signs[rows.domain] * beta)
        coefs_here = p.coefs.pop(node, None) if node not in inputs else p.coefs.get(node)
        # Nothing that was asked depends on this node.
        if coefs_here is None:
            continue
        if scores is not None:
            scores[node] = without_slope(coefs_here)
        if node not in inputs:
            op = graph.nodes[node].op
            linear[op](op, p, node, coefs_here)
    parts = []
    for i in graph.inputs:
        found = p.coefs.get(i)
        parts.append(xp.zeros(rows.count, graph.nodes[i].size) if found is None else found)
    return p.lib.concatenate(parts, 1), p.const


def concretise(
    coefs: Array, const: Array, lo: Array, hi: Array, balls: Sequence[FloatBall] = ()
) -> Array:
    """The least value of `coefs . x + const` over boxes lo <= x <= hi, all (R, n); result (R,).

    With balls: over what the one that cuts off most leaves of the box; inf where that is nothing.
    """
    lib = library(coefs)
    least = const + lib.where(coefs >= 0, coefs * lo, coefs * hi).sum(axis=1)
    if not balls:
        return least
    # The cut is found in numpy, outside the graph of derivatives; its slope is put back below.
    found = cut(balls, *map(as_numpy, (coefs, lo, hi)))
    if lib is np:
        return least + found.gain
    gain, x = (lib.from_numpy(v).to(coefs) for v in (found.gain, found.x))
    corner = lib.where(coefs.detach() >= 0, lo, hi)
    # The gain's slope in the coefficients is where the minimum moved to (Danskin).
    return least + gain + ((coefs - coefs.detach()) * (x - corner)).sum(axis=1)


def minimisers(
    coefs: Array, lo: Array, hi: Array, balls: Sequence[FloatBall] = ()
) -> Array:
    """The points (R, n) where `concretise` attains its value."""
    lib = library(coefs)
    if not balls:
        return lib.where(coefs >= 0, lo, hi)
    x = cut(balls, *map(as_numpy, (coefs, lo, hi))).x
    return x if lib is np else lib.from_numpy(x).to(coefs)


def node_params(graph: Graph, targets: Iterable[int]) -> list[tuple[Parameter, int]]:
    """The fractions that are free in a graph's relaxations, each with its size."""
    out: list[tuple[Parameter, int]] = []

    def free(kind: ParameterKind) -> None:
        out.append((Parameter(kind, i), node.size))

    for i in passed(graph, targets):
        node = graph.nodes[i]
        match node.op:
            case Relu():
                free(ParameterKind.ALPHA)
            case Step():
                free(ParameterKind.TIE)
            case Gate() | Mul():
                free(ParameterKind.MIX_BELOW)
                free(ParameterKind.MIX_ABOVE)
            case Univariate():
                free(ParameterKind.TANGENT)
            case _:
                pass
    return out
