"""Random graphs, numbers, boxes and formulas for property tests, drawn toward boundary cases.

Three kinds of numbers: `whole` and `grid` ones (multiples of 1/8, on which float arithmetic on
small graphs makes no error, so that ties and kinks are really hit), `wild` floats (subnormal, huge,
minus zero) and plain fractions.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from hypothesis import strategies as st

from verifex.ir.exact import ExactArray, FloatArray
from verifex.ir.formula import And, AtLeast, Atom, Dominance, Form, Formula, Or
from verifex.ir.graph import Builder, Graph
from verifex.ir.linmap import (
    Conv,
    Diag,
    LinearMap,
    Scaled,
    ScatterAdd,
    Shape,
    dense,
    gather,
    identity,
    scale,
)
from verifex.ir.ops import Affine, Concat, TreeLeaves
from verifex.ir.trees.forest import TreeNode, forest_of

grid = st.one_of(st.sampled_from([0.0, -0.0, 1.0, -1.0]), st.integers(-24, 24).map(lambda k: k / 8))
"""Small multiples of 1/8."""

weights = st.one_of(
    st.sampled_from([0.0, 1.0, -1.0]), st.integers(-64, 64).map(lambda k: k / 64)
)
"""Weights k/64."""

wild = st.one_of(
    st.sampled_from([
        0.0, -0.0, 1.0, -1.0, 5e-324, -5e-324, 2.2250738585072014e-308, 1e-300, -1e-300, 1e-30,
        1e30, -1e30, 1e150, -1e150, 0.1, -0.1, 1 / 3, 1 + 2**-52, 1 - 2**-53,
    ]),
    st.floats(-1e6, 1e6, allow_nan=False), st.floats(-1e-6, 1e-6, allow_nan=False),
)
"""Finite floats with subnormal, huge, almost equal and negative zero ones."""

fractions = st.one_of(
    st.integers(-8, 8).map(Fraction),
    st.builds(Fraction, st.integers(-1000, 1000), st.sampled_from([1, 2, 3, 7, 10, 64, 2**40])),
)

SHAPES: tuple[Shape, ...] = ((), (1,), (2,), (3,), (2, 2), (1, 3))


def arrays(shape: Shape, elements: st.SearchStrategy[float]) -> st.SearchStrategy[FloatArray]:
    """Float arrays of one shape."""
    size = math.prod(shape)
    return st.lists(elements, min_size=size, max_size=size).map(
        lambda v: np.array(v, dtype=np.float64).reshape(shape)
    )


# --- linear maps ----------------------------------------------------------------------------


@st.composite
def convolutions(draw: st.DrawFn, elements: st.SearchStrategy[float] = grid) -> Conv:
    """One- and two-dimensional convolutions with strides, pads, dilations and groups."""
    dims, groups = draw(st.integers(1, 2)), draw(st.integers(1, 2))
    small = st.integers(1, 2)
    kernel = draw(st.tuples(*[st.integers(1, 3)] * dims))
    strides, dilations = draw(st.tuples(*[small] * dims)), draw(st.tuples(*[small] * dims))
    pads = draw(st.tuples(*[st.tuples(st.integers(0, 2), st.integers(0, 2))] * dims))
    chans, outs = groups * draw(small), groups * draw(small)
    reach = [(k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True)]
    space = tuple(
        max(draw(st.integers(1, 3)), r - a - b) for r, (a, b) in zip(reach, pads, strict=True)
    )
    out = tuple(
        (n + a + b - r) // s + 1
        for n, (a, b), r, s in zip(space, pads, reach, strides, strict=True)
    )
    weight = draw(arrays((outs, chans // groups, *kernel), elements))
    batch = draw(small)
    return Conv(
        (batch, chans, *space), (batch, outs, *out), weight, strides, pads, dilations, groups
    )


@st.composite
def maps_from(
    draw: st.DrawFn, shape: Shape, elements: st.SearchStrategy[float] = grid
) -> LinearMap:
    """A map of any kind but Conv from tensors of this shape."""
    size = math.prod(shape)
    out = draw(st.sampled_from(SHAPES))
    kind = draw(st.sampled_from(["dense", "gather", "scatter", "diag", "exact", "scaled"]))
    if kind == "dense":
        return dense(draw(arrays((math.prod(out), size), elements)), shape, out)
    if kind == "gather":
        index = draw(st.lists(
            st.integers(-1, size - 1), min_size=math.prod(out), max_size=math.prod(out)))
        return gather(shape, np.array(index, dtype=np.int64).reshape(out))
    if kind == "scatter":
        places = draw(st.lists(
            st.integers(-1, math.prod(out) - 1), min_size=size, max_size=size))
        return ScatterAdd(shape, out, np.array(places, dtype=np.int64).reshape(shape))
    if kind == "diag":
        return Diag(shape, shape, draw(arrays(shape, elements)))
    if kind == "exact":
        values = draw(st.lists(fractions, min_size=size, max_size=size))
        return Diag(shape, shape, ExactArray.from_numbers(values, shape))
    inner = draw(maps_from(shape, elements))
    return Scaled(inner.in_shape, inner.out_shape, inner, draw(fractions))


@st.composite
def maps(draw: st.DrawFn, elements: st.SearchStrategy[float] = grid) -> LinearMap:
    """A linear map of any kind."""
    if draw(st.integers(0, 3)) == 0:
        return draw(convolutions(elements))
    return draw(maps_from(draw(st.sampled_from(SHAPES)), elements))


@st.composite
def grid_maps(draw: st.DrawFn, shape: Shape) -> LinearMap:
    """A map whose coefficients are small multiples of 1/8 (no rational factors)."""
    size, out = math.prod(shape), draw(st.sampled_from(SHAPES))
    kind = draw(st.sampled_from(["dense", "dense", "gather", "scatter", "diag", "scaled"]))
    if kind == "dense":
        return dense(draw(arrays((math.prod(out), size), grid)), shape, out)
    if kind == "diag":
        return Diag(shape, shape, draw(arrays(shape, grid)))
    if kind == "scaled":
        return scale(shape, Fraction(draw(grid)))
    if kind == "gather":
        index = [draw(st.integers(-1, size - 1)) for _ in range(math.prod(out))]
        return gather(shape, np.array(index, dtype=np.int64).reshape(out))
    places = [draw(st.integers(-1, math.prod(out) - 1)) for _ in range(size)]
    return ScatterAdd(shape, out, np.array(places, dtype=np.int64).reshape(shape))


# --- graphs ---------------------------------------------------------------------------------

PIECEWISE = ("Const", "Affine", "Relu", "Step", "Gate", "Mul", "Concat")
SMOOTH = ("sigmoid", "tanh", "exp", "log", "reciprocal", "sqrt", "square", "sin", "cos", "erf")


@dataclass(frozen=True)
class Drawn:
    """A graph and the node that is under test (of the op that was asked for)."""

    graph: Graph
    focus: int


class _Grower:
    """Adds random nodes to a builder."""

    def __init__(
        self, draw: st.DrawFn, names: Sequence[str], numbers: st.SearchStrategy[float], exact: bool
    ) -> None:
        self.draw, self.b, self.names, self.numbers = draw, Builder(), names, numbers
        self.exact = exact  # only coefficients that floats hold
        for k in range(draw(st.integers(1, 2))):
            self.b.input(f"x{k}", draw(st.sampled_from(SHAPES[1:])))

    @property
    def count(self) -> int:
        return len(self.b.build({"x": 0}).nodes)

    def any(self) -> int:
        # Late nodes more often than early ones, so that graphs grow deep.
        last = self.count - 1
        return max(self.draw(st.integers(0, last)), self.draw(st.integers(0, last)))

    def shaped(self, shape: Shape) -> int:
        """A node of this shape: one that is there, or a dense image of one."""
        found = [i for i in range(self.count) if self.b.shape(i) == shape]
        if found and self.draw(st.booleans()):
            return self.draw(st.sampled_from(found))
        source = self.any()
        size = (math.prod(shape), self.b.node(source).size)
        weight = self.draw(arrays(size, self.numbers))
        return self.b.affine(dense(weight, self.b.shape(source), shape), source)

    def add(self, name: str) -> int:
        """One node of this op."""
        b, draw = self.b, self.draw
        match name:
            case "Input":
                return b.input(f"x{self.count}", draw(st.sampled_from(SHAPES[1:])))
            case "Const":
                return b.const(draw(arrays(draw(st.sampled_from(SHAPES)), self.numbers)))
            case "Affine":
                return self.affine()
            case "Relu":
                return b.relu(self.any())
            case "Step":
                return b.step(self.any())
            case "Gate":
                z = self.any()
                return b.gate(b.step(z), self.shaped(b.shape(z)))
            case "Mul":
                v = self.any()
                return b.mul(v, v if draw(st.integers(0, 3)) == 0 else self.shaped(b.shape(v)))
            case "Concat":
                return self.concat()
            case "TreeLeaves":
                return self.leaves()
            case _:
                return self.univariate(draw(st.sampled_from(self.names)))

    def affine(self) -> int:
        draw, b = self.draw, self.b
        x = self.any()
        shape = b.shape(x)
        make = grid_maps if self.exact else maps_from
        first = draw(make(shape))
        parts, args = [first], [x]
        if draw(st.booleans()):
            args.append(self.shaped(first.out_shape))
            sign = draw(st.sampled_from([1, -1]))
            parts.append(identity(first.out_shape) if sign == 1 else scale(first.out_shape, sign))
        bias = draw(st.none() | arrays(first.out_shape, self.numbers))
        return b.add(Affine(tuple(parts), bias), *args)

    def concat(self) -> int:
        draw = self.draw
        candidates = [i for i in range(self.count) if self.b.shape(i)]
        first = draw(st.sampled_from(candidates))
        shape = self.b.shape(first)
        axis = draw(st.integers(0, len(shape) - 1))
        longer = (*shape[:axis], draw(st.integers(1, 2)), *shape[axis + 1:])
        return self.b.add(Concat(axis), first, self.shaped(longer))

    def leaves(self) -> int:
        """Random trees on a node, with thresholds that values are often equal to."""
        x = self.any()
        size = self.b.node(x).size
        if not size:
            x, size = self.b.const(np.zeros(1)), 1
        trees = [self.tree(size) for _ in range(self.draw(st.integers(1, 2)))]
        return self.b.add(TreeLeaves(forest_of(size, trees)[0]), x)

    def tree(self, size: int) -> list[TreeNode]:
        """A tree of up to four comparisons, grown at its leaves."""
        draw = self.draw
        nodes: list[TreeNode] = []
        ends: list[tuple[int, str]] = [(-1, "")]
        for _ in range(draw(st.integers(0, 4))):
            parent, side = ends.pop(draw(st.integers(0, len(ends) - 1)))
            if parent >= 0:
                nodes[parent] = nodes[parent]._replace(**{side: len(nodes)})
            ends += [(len(nodes), "left"), (len(nodes), "right")]
            nodes.append(TreeNode(
                draw(st.integers(0, size - 1)), draw(self.numbers), draw(st.booleans()), 0, 0))
        for leaf, (parent, side) in enumerate(ends):
            if parent >= 0:
                nodes[parent] = nodes[parent]._replace(**{side: ~leaf})
        return nodes

    def univariate(self, name: str) -> int:
        """A smooth function, of an argument that its domain holds."""
        x = self.any()
        if name in ("log", "sqrt", "reciprocal"):
            half = np.full(self.b.shape(x), 0.5)
            x = self.b.affine(identity(self.b.shape(x)), self.b.univariate("square", x), half)
        elif name == "exp":  # keep e^x from overflowing
            x = self.b.univariate("tanh", x) if "tanh" in self.names else self.b.relu(x)
        return self.b.univariate(name, x)


@st.composite
def graphs(
    draw: st.DrawFn, focus: str = "Affine", ops: Sequence[str] = PIECEWISE,
    smooth: Sequence[str] = (), numbers: st.SearchStrategy[float] = grid, exact: bool = True,
    size: int = 6,
) -> Drawn:
    """A small graph with some nodes of `ops`, then one of `focus`, then perhaps some more.

    `smooth` names the functions that a Univariate may have. With `exact` every coefficient is a
    float, and with `numbers=grid` float arithmetic on the graph is mostly exact.
    """
    grower = _Grower(draw, smooth or ("square",), numbers, exact)
    for _ in range(draw(st.integers(0, size))):
        grower.add(draw(st.sampled_from(ops)))
    node = grower.add(focus)
    wanted = {"out": node}
    for k in range(draw(st.integers(0, 2))):
        wanted[f"more{k}"] = grower.add(draw(st.sampled_from(ops)))
    return Drawn(grower.b.build(wanted), node)


# --- boxes and points -----------------------------------------------------------------------


@st.composite
def boxes(
    draw: st.DrawFn, size: int, elements: st.SearchStrategy[float] = grid
) -> tuple[FloatArray, FloatArray]:
    """Bounds lo <= hi of `size` numbers; often a side is zero, or both ends are equal."""
    lo, hi = [], []
    for _ in range(size):
        a = draw(elements)
        b = draw(st.one_of(st.just(a), st.just(0.0), elements))
        lo.append(min(a, b))
        hi.append(max(a, b))
    return np.array(lo), np.array(hi)


@st.composite
def points_in(draw: st.DrawFn, lo: FloatArray, hi: FloatArray) -> tuple[Fraction, ...]:
    """An exact point of a box: ends, zero and the middle more often than not."""
    point = []
    for a, b in zip(lo.tolist(), hi.tolist(), strict=True):
        low, high = Fraction(a), Fraction(b)
        choices = [low, high, (low + high) / 2]
        if low <= 0 <= high:
            choices.append(Fraction(0))
        share = Fraction(draw(st.integers(0, 7)), 7)
        point.append(draw(st.sampled_from([*choices, low + share * (high - low)])))
    return tuple(point)


# --- formulas -------------------------------------------------------------------------------


def forms(node: int, size: int) -> st.SearchStrategy[Form]:
    """Linear forms of the elements of one node."""
    terms = st.dictionaries(st.integers(0, size - 1), fractions, max_size=3)
    return st.builds(
        lambda t, c: Form.of({(node, i): v for i, v in t.items()}, c), terms, fractions
    )


@st.composite
def dominances(draw: st.DrawFn, node: int, size: int) -> Dominance:
    """Blocks of comparisons, with counts that may ask for nothing or for too much."""
    order = draw(st.permutations(range(size)))
    cut = draw(st.integers(1, size - 1))
    winners, losers = tuple(order[:cut]), tuple(order[cut:])
    return Dominance(
        node, winners, losers, draw(st.integers(0, len(winners) + 1)),
        draw(st.integers(0, len(losers) + 1)), draw(st.booleans()), draw(st.sampled_from([1, -1])),
    )


def formulas(node: int, size: int) -> st.SearchStrategy[Formula]:
    """Formulas over the elements of one node."""
    leaves: st.SearchStrategy[Formula] = st.builds(Atom, forms(node, size), st.booleans())
    if size > 1:
        leaves = leaves | dominances(node, size)

    def larger(inner: st.SearchStrategy[Formula]) -> st.SearchStrategy[Formula]:
        parts = st.lists(inner, max_size=3).map(tuple)
        counted = st.builds(AtLeast, st.integers(-1, 4), parts)
        return st.one_of(st.builds(And, parts), st.builds(Or, parts), counted)

    return st.recursive(leaves, larger, max_leaves=6)
