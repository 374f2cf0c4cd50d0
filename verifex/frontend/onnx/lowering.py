"""The graph being grown from an ONNX file: broadcasting, exact constants, limits, small fusions."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from verifex.errors import InputError, UnsupportedError
from verifex.frontend.limits import Limits
from verifex.frontend.onnx.values import (
    Constant,
    Tensor,
    Truth,
    Value,
    Whole,
    check_bits,
    exact_add,
    exact_scale,
    float_add,
    float_parts,
    rearrange,
    simplify,
    uniform,
)
from verifex.ir.exact import ExactArray, FloatArray, Number, Values, as_exact
from verifex.ir.graph import Builder
from verifex.ir.linmap import (
    Dense,
    Diag,
    Gather,
    LinearMap,
    Scaled,
    ScatterAdd,
    Shape,
    fan_in,
    gather,
    identity,
    is_identity,
)
from verifex.ir.ops import Affine, Concat, Const, Gate, Input, Mul, Op, Relu, Step, Univariate

Rearrangement = Callable[[Any], Any]


class Lowering:
    """The graph under construction: a `Builder` that keeps to the limits, with ONNX's conveniences.

    Nodes are positions in the builder. Methods raise InputError where a limit is passed.

    `shared` holds nodes that more than one consumer reads: affine steps are merged into their
    consumer only where nobody else needs them, so that no work is done twice.
    """

    def __init__(self, limits: Limits) -> None:
        self.builder = Builder()
        self.limits = limits
        self.shared: set[int] = set()
        self._spent = 0
        self._counted = 0

    # --- values and nodes -------------------------------------------------------------------

    def shape(self, node: int) -> Shape:
        return self.builder.shape(node)

    def add(self, op: Op, *args: int) -> int:
        """Add a node, within the limits; shapes that could be huge are checked by the caller."""
        i = self.builder.add(op, *args)
        # Only a new node costs anything: the builder hands out equal ones again.
        if i >= self._counted:
            self._counted = i + 1
            self._spent += math.prod(self.limits.shape(self.shape(i)))
            if self._spent > self.limits.max_total:
                raise InputError(
                    "the network has too many values", expected=f"at most {self.limits.max_total}"
                )
        return i

    def const(self, value: Values) -> int:
        check_bits(value, self.limits)
        return self.add(Const(value))

    def fixed(self, node: int) -> Values | None:
        """The value of a constant node, None for any other."""
        op = self.builder.node(node).op
        return op.value if isinstance(op, Const) else None

    def wrap(self, node: int, dtype: int) -> Value:
        """A node as a value: constant nodes become constants again."""
        value = self.fixed(node)
        if value is None:
            return Tensor(node, self.shape(node), dtype)
        if isinstance(value, ExactArray):
            value = simplify(value)
        check_bits(value, self.limits)
        return Constant(value, dtype)

    # --- whole numbers ----------------------------------------------------------------------

    def sources(self, node: int) -> NDArray[np.int64]:
        """The place in the flat input that each element of a node is, flat; -1 for an element that
        is computed, or constant."""
        op, args = self.builder.node(node).op, self.builder.node(node).args
        if isinstance(op, Input):
            inputs = self.builder.inputs
            start = sum(self.builder.node(i).size for i in inputs[: inputs.index(node)])
            return np.arange(start, start + self.builder.node(node).size)
        if isinstance(op, Affine) and len(args) == 1 and op.bias is None:
            if is_identity(op.maps[0]):
                return self.sources(args[0])
            if isinstance(op.maps[0], Gather):
                index = op.maps[0].index.ravel()
                return np.where(index < 0, -1, self.sources(args[0])[index])
        if isinstance(op, Concat):
            parts = [self.sources(a).reshape(self.shape(a)) for a in args]
            return np.concatenate(parts, op.axis).ravel()
        return np.full(self.builder.node(node).size, -1)

    def hold_whole(self, node: int, least: int, greatest: int, *, computed: bool = False) -> None:
        """The elements of a node that are elements of inputs are whole numbers within these ends.

        Raises UnsupportedError where others are not known to be such (`computed`: they are).
        """
        found = self.sources(node)
        if (found < 0).any() and not computed:
            raise UnsupportedError("whole numbers that are computed from inputs",
                                   expected="inputs as they are")
        for place in found[found >= 0].tolist():
            self.builder.hold_whole(place, least, greatest)

    # --- moving elements --------------------------------------------------------------------

    def pick(self, value: Value, index: Any, fill: Number = 0) -> Value:
        """Elements of `value` at flat positions `index`, `fill` where the index is -1."""
        index = np.asarray(index)
        self.limits.shape(index.shape)
        missing = bool((index < 0).any())
        # A fill that is no float (a third, say) makes the whole constant exact.
        exact_fill = missing and Fraction(float(fill)) != fill
        if isinstance(value, Whole):
            return Whole(
                _pick_array(value.array, index, missing, fill), value.dtype, value.computed
            )
        if isinstance(value, Constant):
            if isinstance(value.value, ExactArray) or exact_fill:
                exact = as_exact(value.value)
                den = exact.den * Fraction(fill).denominator if missing else exact.den
                num = _pick_array(exact.over(den), index, missing, int(Fraction(fill) * den))
                return Constant(ExactArray(np.asarray(num, dtype=object), den), value.dtype)
            return Constant(_pick_array(value.value, index, missing, float(fill)), value.dtype)
        if isinstance(value, Truth):
            # The gate is filled with 0, which means False, or True where the value is its negation.
            if missing and value.negated != bool(fill):
                raise UnsupportedError("padding of a condition", expected="a Cast before it")
            node = self.affine(gather(value.shape, index), value.node)
            return Truth(node, self.shape(node), value.negated)
        bias: Values | None = None
        # The linear map can only put 0 where nothing is picked: the fill is added to it.
        if missing and fill != 0:
            bias = np.where(index < 0, 1.0, 0.0)
            bias = exact_scale(bias, fill)
        moved = self.wrap(self.affine(gather(value.shape, index), value.node, bias), value.dtype)
        kept = np.array_equal(index.ravel(), np.arange(math.prod(value.shape)))
        return replace(moved, head=value.head) if kept and isinstance(moved, Tensor) else moved

    def move(self, value: Value, fn: Rearrangement) -> Value:
        """Apply a numpy function that only rearranges elements (transpose, take, repeat, ...)."""
        # Positions are moved in place of elements, so that any numpy function serves.
        places = np.arange(math.prod(value.shape)).reshape(value.shape)
        return self.pick(value, fn(places))

    def move_node(self, node: int, fn: Rearrangement) -> int:
        """`move` on a float node."""
        shape = self.shape(node)
        index = np.asarray(fn(np.arange(math.prod(shape)).reshape(shape)))
        self.limits.shape(index.shape)
        return self.affine(gather(shape, index), node)

    def broadcast_shape(self, *shapes: Shape) -> Shape:
        """The numpy broadcast of the shapes, within the limits."""
        try:
            shape = np.broadcast_shapes(*shapes)
        except ValueError:
            text = " and ".join(str(list(s)) for s in shapes)
            raise InputError(f"shapes {text} do not fit together") from None
        return self.limits.shape(shape)

    def expand(self, node: int, shape: Shape) -> int:
        """`node` broadcast to `shape`."""
        if self.shape(node) == shape:
            return node
        return self.move_node(node, lambda a: np.broadcast_to(a, shape))

    def expand_const(self, value: Values, shape: Shape) -> Values:
        return value if value.shape == shape else rearrange(
            value, lambda a: np.broadcast_to(a, shape).copy()
        )

    # --- affine steps -----------------------------------------------------------------------

    def affine(self, linear_map: LinearMap, source: int, bias: Values | None = None) -> int:
        """The map of `source` plus a bias, merged with a `source` that only rearranges elements."""
        if bias is None and is_identity(linear_map) and linear_map.out_shape == self.shape(source):
            return source
        node = self.builder.node(source)
        if isinstance(node.op, Affine) and node.op.bias is None and len(node.args) == 1:
            merged = _merge(linear_map, node.op.maps[0], source in self.shared)
            if merged is not None:
                return self.affine(merged, node.args[0], bias)
        # A reshape behind an affine step: the maps of that step can give the new shape themselves.
        if isinstance(node.op, Affine) and source not in self.shared and is_identity(linear_map):
            maps = tuple(_shaped(inner, linear_map.out_shape) for inner in node.op.maps)
            own = node.op.bias
            known = tuple(k for k in maps if k is not None)
            if len(known) == len(maps):
                if own is not None:
                    own = rearrange(own, lambda a: a.reshape(linear_map.out_shape))
                    bias = own if bias is None else exact_add(own, bias)
                return self.add(Affine(known, bias), *node.args)
        if isinstance(node.op, Const):
            self._check_fold([linear_map])
        if bias is not None:
            check_bits(bias, self.limits)
        return self.add(Affine((linear_map,), bias), source)

    def weighted(self, node: int, weight: Values, make: Callable[[FloatArray], LinearMap]) -> int:
        """The map that `make` builds from a weight of any digits, applied to `node`."""
        check_bits(weight, self.limits)
        parts, factor = float_parts(weight)
        if len(parts) == 1:
            return self.affine(scaled(make(parts[0]), factor), node)
        maps = tuple(scaled(make(part), factor) for part in parts)
        if isinstance(self.builder.node(node).op, Const):
            self._check_fold(maps)
        return self.add(Affine(maps), *([node] * len(maps)))

    def combine(
        self, terms: Sequence[tuple[int, Number]], bias: Values | None = None,
        shape: Shape | None = None,
    ) -> int:
        """`sum factor * node + bias`, shapes broadcast (to `shape` if given), constants folded."""
        shapes = [self.shape(x) for x, _ in terms] + ([bias.shape] if bias is not None else [])
        shape = self.broadcast_shape(*shapes, *([shape] if shape is not None else []))
        live: list[tuple[int, Number]] = []
        for x, factor in _merged_terms(terms):
            value = self.fixed(x)
            if value is None:
                live.append((x, factor))
            else:
                part = exact_scale(value, factor)
                bias = part if bias is None else exact_add(bias, part)
                check_bits(bias, self.limits)
        if bias is not None:
            bias = self.expand_const(bias, shape)
            # A bias of zeros would keep the step from merging with the next (see `affine`).
            if live and uniform(bias) == 0:
                bias = None
        if not live:
            return self.const(np.zeros(shape) if bias is None else bias)
        if len(live) == 1:
            return self._combine_one(*live[0], bias, shape)
        maps = tuple(self._broadcast_map(x, factor, shape) for x, factor in live)
        return self.add(Affine(maps, bias), *(x for x, _ in live))

    def _combine_one(self, source: int, factor: Number, bias: Values | None, shape: Shape) -> int:
        if factor == 1 and bias is None and self.shape(source) == shape:
            return source
        node = self.builder.node(source)
        mergeable = isinstance(node.op, Affine) and source not in self.shared
        if not isinstance(node.op, Affine) or not mergeable or self.shape(source) != shape:
            return self.affine(self._broadcast_map(source, factor, shape), source, bias)
        own = node.op.bias if node.op.bias is None else exact_scale(node.op.bias, factor)
        both = own if bias is None or own is None else float_add(own, bias)
        if bias is not None and own is not None and both is None:
            # The sum of the biases is no float: two steps of floats beat one of rationals.
            return self.affine(self._broadcast_map(source, factor, shape), source, bias)
        maps = tuple(scaled(m, factor) for m in node.op.maps)
        return self.add(Affine(maps, bias if own is None else both), *node.args)

    def _broadcast_map(self, node: int, factor: Number, shape: Shape) -> LinearMap:
        own = self.shape(node)
        places = np.arange(math.prod(own)).reshape(own)
        m = identity(shape) if own == shape else gather(own, np.broadcast_to(places, shape))
        return scaled(m, factor)

    def _check_fold(self, maps: Sequence[LinearMap]) -> None:
        # Steps of constants are computed while reading, where a hostile file could make them last.
        work = sum(fan_in(m) * math.prod(m.out_shape) for m in maps)
        if work > self.limits.max_fold:
            raise InputError(
                "too much arithmetic on constants", expected="constants computed before export"
            )

    def times(self, node: int, factor: Values) -> int:
        """`factor * node` elementwise for a constant factor, shapes broadcast."""
        shape = self.broadcast_shape(self.shape(node), factor.shape)
        check_bits(factor, self.limits)
        # One number for all elements scales whatever map there is; only different ones need a map.
        same = uniform(factor)
        if same is not None:
            return self.combine([(node, same)], shape=shape)
        return self.affine(Diag(shape, shape, self.expand_const(factor, shape)),
                           self.expand(node, shape))

    def sum_axes(self, node: int, axes: Sequence[int], factor: Number = 1) -> int:
        """`factor` times the sum over `axes`, which stay as axes of length one."""
        shape = self.shape(node)
        kept = tuple(1 if k in axes else d for k, d in enumerate(shape))
        if kept == shape:
            return self.combine([(node, factor)])
        target = np.broadcast_to(np.arange(math.prod(kept)).reshape(kept), shape)
        m = ScatterAdd(shape, kept, np.ascontiguousarray(target, dtype=np.int64))
        return self.affine(scaled(m, factor), node)

    # --- gates and products -----------------------------------------------------------------

    def relu(self, node: int) -> int:
        value = self.fixed(node)
        if value is None:
            return self.add(Relu(), node)
        clipped = rearrange(value, lambda a: np.maximum(a, 0))
        return self.const(clipped)

    def step(self, node: int) -> int:
        value = self.fixed(node)
        if value is None:
            return self.add(Step(), node)
        return self.add(Step(), self.const(value))

    def gate(self, gate_node: int, value: int) -> int:
        return self.add(Gate(), gate_node, value)

    def mul(self, node: int, other: int) -> int:
        """`node * other`, shapes broadcast; exact scaling where one side is constant."""
        for a, b in ((node, other), (other, node)):
            value = self.fixed(b)
            if value is not None:
                return self.times(a, simplify(value) if isinstance(value, ExactArray) else value)
        shape = self.broadcast_shape(self.shape(node), self.shape(other))
        for d, v in ((node, other), (other, node)):
            if self.builder.node(d).boolean:  # a product with a gate is a gate, not bilinear
                return self.gate(self.expand(d, shape), self.expand(v, shape))
        # A product is bounded as if its factors were independent; a square is never negative.
        if node == other:
            return self.univariate("square", node)
        return self.add(Mul(), self.expand(node, shape), self.expand(other, shape))

    def univariate(self, name: str, node: int) -> int:
        return self.add(Univariate(name), node)

    def maximum(self, node: int, other: int) -> int:
        """`max(node, other) = other + relu(node - other)`, shapes broadcast."""
        return self.combine([(other, 1), (self.relu(self.combine([(node, 1), (other, -1)])), 1)])

    def minimum(self, node: int, other: int) -> int:
        """`min(node, other) = node - relu(node - other)`, shapes broadcast."""
        return self.combine([(node, 1), (self.relu(self.combine([(node, 1), (other, -1)])), -1)])


def scaled(linear_map: LinearMap, factor: Number) -> LinearMap:
    """`factor` times a map, without nesting factors."""
    if isinstance(linear_map, Scaled):
        return scaled(linear_map.inner, linear_map.factor * Fraction(factor))
    return (
        linear_map
        if factor == 1
        else Scaled(linear_map.in_shape, linear_map.out_shape, linear_map, Fraction(factor))
    )


def _merge(outer: LinearMap, inner: LinearMap, shared: bool) -> LinearMap | None:
    """`outer . inner` as one map of the same kind where no arithmetic is needed, else None."""
    if isinstance(outer, Scaled):
        merged = _merge(outer.inner, inner, shared)
        return None if merged is None else scaled(merged, outer.factor)
    # Two maps with weights could only merge by arithmetic, which would round or grow digits.
    if not isinstance(inner, Gather):
        return None
    if isinstance(outer, Gather):
        flat = outer.index.ravel()
        # Nothing to pick from: all that is asked for is missing.
        if inner.index.size == 0:
            picked = np.full(flat.shape, -1, dtype=np.int64)
        else:
            picked = np.where(flat < 0, -1, inner.index.ravel()[flat])
        return gather(inner.in_shape, picked.reshape(outer.out_shape))
    if isinstance(outer, Dense) and not shared:
        return _merge_dense(outer, inner)
    return None


def _merged_terms(terms: Sequence[tuple[int, Number]]) -> list[tuple[int, Number]]:
    """The terms, one a node, without those that cancel: so Max(x, x) has no gate."""
    merged: dict[int, Number] = {}
    for x, factor in terms:
        merged[x] = Fraction(merged[x]) + Fraction(factor) if x in merged else factor
    return [(x, factor) for x, factor in merged.items() if factor != 0]


def _shaped(linear_map: LinearMap, shape: Shape) -> LinearMap | None:
    """The map with its output under another shape, where the map does not care about it."""
    match linear_map:
        case Dense():
            return Dense(linear_map.in_shape, shape, linear_map.weight)
        case Gather():
            return gather(linear_map.in_shape, linear_map.index.reshape(shape))
        case ScatterAdd():
            return ScatterAdd(linear_map.in_shape, shape, linear_map.index)
        case Scaled():
            inner = _shaped(linear_map.inner, shape)
            return None if inner is None else scaled(inner, linear_map.factor)
        case _:
            return None


def _merge_dense(outer: Dense, inner: Gather) -> Dense | None:
    """A dense map after a permutation: the same weights with their columns in another order."""
    size = math.prod(inner.in_shape)
    flat = inner.index.ravel()
    # An element that is dropped or taken twice would change the sums, not only their order.
    if flat.size != size or (flat < 0).any() or np.unique(flat).size != size:
        return None
    weight = outer.weight
    if not is_identity(inner):
        weight = np.empty_like(outer.weight)
        weight[:, flat] = outer.weight
    return Dense(inner.in_shape, outer.out_shape, weight)


def _pick_array(array: Any, index: Any, missing: bool, fill: Any) -> Any:
    empty = array.size == 0
    out = np.zeros(index.shape, dtype=array.dtype) if empty else array.ravel()[index]
    if missing:
        out[index < 0] = fill
    return out


def floats_of(value: Value) -> Values:
    """The floats of a constant; InputError for anything that is no constant."""
    if isinstance(value, Constant):
        return value.value
    raise InputError("the value depends on the network's input", expected="a constant")


def whole_numbers(value: Value) -> list[int]:
    """The integers of a constant vector or scalar, flat."""
    if isinstance(value, Whole):
        return [int(n) for n in value.array.ravel()]
    raise InputError("the value is no constant integer tensor", expected="constant integers")

