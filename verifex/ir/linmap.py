"""Linear maps: the closed set of shapes an affine step can take, each with its transpose.

A map sends a tensor of `in_shape` to one of `out_shape`. Values carry one leading batch axis, so
`apply(m, x, xp)` takes `(B, *in_shape)` to `(B, *out_shape)` on any backend `xp`.

    Dense       y = W x                         weight (out, in) on flattened tensors
    Conv        convolution over (N, C, *space), or its transpose; never as a matrix
    Gather      y[j] = x[index[j]], 0 where the index is -1 (reshape, slice, pad, broadcast, ...)
    ScatterAdd  y[index[i]] += x[i], the transpose of Gather (sums)
    Diag        y = scale * x elementwise
    Scaled      a rational multiple of another map
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from itertools import product
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from verifex.ir.exact import ExactArray, FloatArray, Number, Values, as_exact, content_key, numbers
from verifex.ir.maps.convolution import convolve, convolve_floats, convolve_torch, pad, window
from verifex.ir.maps.exact_product import in_pieces

Shape: TypeAlias = tuple[int, ...]


def _digest(*parts: object) -> bytes:
    h = hashlib.blake2b(digest_size=16)
    for part in parts:
        data = part if isinstance(part, bytes) else repr(part).encode()
        h.update(len(data).to_bytes(8, "little") + data)
    return h.digest()


@dataclass(frozen=True, eq=False)
class _Map:
    """Shapes and content identity, common to all maps."""

    in_shape: Shape
    out_shape: Shape

    @cached_property
    def key(self) -> bytes:
        return _digest(type(self).__name__, self.in_shape, self.out_shape, *self._parts())

    def _parts(self) -> tuple[object, ...]:
        raise NotImplementedError

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Map) and self.key == other.key

    def __hash__(self) -> int:
        return hash(self.key)


@dataclass(frozen=True, eq=False)
class Dense(_Map):
    """`y = W x` with `weight` of shape (size of out_shape, size of in_shape)."""

    weight: FloatArray

    def _parts(self) -> tuple[object, ...]:
        return (content_key(self.weight),)

    @cached_property
    def exact(self) -> ExactArray:
        return ExactArray.from_float(self.weight)


@dataclass(frozen=True, eq=False)
class Conv(_Map):
    """Convolution of (N, C, *space) by `weight` (O, C/groups, *kernel), or its transpose.

    `pads` holds (before, after) for each spatial axis. With `transposed` the map goes from the
    convolution's output shape back to its input shape; the other fields still describe the
    forward convolution.
    """

    weight: FloatArray
    strides: Shape
    pads: tuple[tuple[int, int], ...]
    dilations: Shape
    groups: int = 1
    transposed: bool = False

    def _parts(self) -> tuple[object, ...]:
        rest = (self.strides, self.pads, self.dilations, self.groups, self.transposed)
        return (content_key(self.weight), rest)

    @cached_property
    def exact(self) -> ExactArray:
        return ExactArray.from_float(self.weight)

    @property
    def forward_shapes(self) -> tuple[Shape, Shape]:
        """(in, out) of the convolution that is not transposed."""
        pair = (self.in_shape, self.out_shape)
        return (pair[1], pair[0]) if self.transposed else pair


@dataclass(frozen=True, eq=False)
class Gather(_Map):
    """`y.flat[j] = x.flat[index.flat[j]]`, zero where the index is -1; `index` has out_shape."""

    index: NDArray[np.int64]

    def _parts(self) -> tuple[object, ...]:
        return (np.ascontiguousarray(self.index, dtype=np.int64).tobytes(),)


@dataclass(frozen=True, eq=False)
class ScatterAdd(_Map):
    """`y.flat[index.flat[i]] += x.flat[i]`, dropped where the index is -1; `index` has in_shape."""

    index: NDArray[np.int64]

    def _parts(self) -> tuple[object, ...]:
        return (np.ascontiguousarray(self.index, dtype=np.int64).tobytes(),)


@dataclass(frozen=True, eq=False)
class Diag(_Map):
    """`y = scale * x`, elementwise; in_shape, out_shape and the shape of `scale` are equal."""

    scale: Values

    def _parts(self) -> tuple[object, ...]:
        return (content_key(self.scale),)

    @cached_property
    def exact(self) -> ExactArray:
        return as_exact(self.scale)


@dataclass(frozen=True, eq=False)
class Scaled(_Map):
    """`factor` times the map `inner`."""

    inner: LinearMap
    factor: Fraction

    def _parts(self) -> tuple[object, ...]:
        return (self.inner.key, self.factor)


LinearMap: TypeAlias = Dense | Conv | Gather | ScatterAdd | Diag | Scaled


def is_zero(linear_map: LinearMap) -> bool:
    """Whether a map takes everything to zero."""
    match linear_map:
        case Dense() | Conv():
            return not linear_map.weight.any()
        case Gather() | ScatterAdd():
            return not (linear_map.index >= 0).any()
        case Diag():
            return not linear_map.exact.num.any()
        case Scaled():
            return linear_map.factor == 0 or is_zero(linear_map.inner)


# --- makers ---------------------------------------------------------------------------------


def dense(weight: Any, in_shape: Shape | None = None, out_shape: Shape | None = None) -> Dense:
    """`y = W x`; shapes default to the flat ones of the (out, in) matrix."""
    w = np.asarray(weight, dtype=np.float64)
    takes = (w.shape[1],) if in_shape is None else in_shape
    return Dense(takes, (w.shape[0],) if out_shape is None else out_shape, w)


def identity(shape: Shape) -> Gather:
    """The map that changes nothing."""
    return reshape(shape, shape)


def reshape(in_shape: Shape, out_shape: Shape) -> Gather:
    """The same elements in C order under another shape."""
    return Gather(in_shape, out_shape, np.arange(math.prod(out_shape)).reshape(out_shape))


def gather(in_shape: Shape, index: Any) -> Gather:
    """Pick flat positions `index` (-1 picks zero); the result has the shape of `index`."""
    array = np.asarray(index, dtype=np.int64)
    return Gather(in_shape, array.shape, array)


def total(in_shape: Shape) -> ScatterAdd:
    """The sum of all elements, a scalar of shape ()."""
    return ScatterAdd(in_shape, (), np.zeros(in_shape, dtype=np.int64))


def scale(shape: Shape, factor: Number) -> Scaled:
    """`factor * x` on a tensor of this shape."""
    return Scaled(shape, shape, identity(shape), Fraction(factor))


def is_identity(linear_map: LinearMap) -> bool:
    """Whether the map keeps every element in place (the shape may change)."""
    if isinstance(linear_map, Scaled):
        return linear_map.factor == 1 and is_identity(linear_map.inner)
    if not isinstance(linear_map, Gather) or linear_map.index.size != math.prod(
        linear_map.in_shape
    ):
        return False
    return bool((linear_map.index.ravel() == np.arange(linear_map.index.size)).all())


# --- algebra --------------------------------------------------------------------------------


def transpose(linear_map: LinearMap) -> LinearMap:
    """The adjoint map."""
    match linear_map:
        case Dense():
            return Dense(
                linear_map.out_shape, linear_map.in_shape, np.ascontiguousarray(linear_map.weight.T)
            )
        case Conv():
            return Conv(
                linear_map.out_shape,
                linear_map.in_shape,
                linear_map.weight,
                linear_map.strides,
                linear_map.pads,
                linear_map.dilations,
                linear_map.groups,
                not linear_map.transposed,
            )
        case Gather():
            if (
                linear_map.index.size == math.prod(linear_map.in_shape)
                and (linear_map.index >= 0).all()
            ):
                # Worth the look: a gather has no sums, and so nothing in it rounds.
                inverse = np.full(linear_map.index.size, -1, dtype=np.int64)
                inverse[linear_map.index.ravel()] = np.arange(linear_map.index.size)
                if (inverse >= 0).all():  # a permutation: its adjoint is a Gather too
                    return Gather(
                        linear_map.out_shape,
                        linear_map.in_shape,
                        inverse.reshape(linear_map.in_shape),
                    )
            return ScatterAdd(linear_map.out_shape, linear_map.in_shape, linear_map.index)
        case ScatterAdd():
            return Gather(linear_map.out_shape, linear_map.in_shape, linear_map.index)
        case Diag():
            return linear_map
        case Scaled():
            return Scaled(
                linear_map.out_shape,
                linear_map.in_shape,
                transpose(linear_map.inner),
                linear_map.factor,
            )


def absolute(linear_map: LinearMap) -> LinearMap:
    """The map with the absolute value of every coefficient."""
    match linear_map:
        case Dense():
            return Dense(linear_map.in_shape, linear_map.out_shape, np.abs(linear_map.weight))
        case Conv():
            return Conv(
                linear_map.in_shape,
                linear_map.out_shape,
                np.abs(linear_map.weight),
                linear_map.strides,
                linear_map.pads,
                linear_map.dilations,
                linear_map.groups,
                linear_map.transposed,
            )
        case Diag():
            if isinstance(linear_map.scale, ExactArray):
                flipped = ExactArray(
                    np.asarray(np.abs(linear_map.scale.num), dtype=object), linear_map.scale.den
                )
                return Diag(linear_map.in_shape, linear_map.out_shape, flipped)
            return Diag(linear_map.in_shape, linear_map.out_shape, np.abs(linear_map.scale))
        case Scaled():
            return Scaled(
                linear_map.in_shape,
                linear_map.out_shape,
                absolute(linear_map.inner),
                abs(linear_map.factor),
            )
        case _:
            return linear_map


def fan_in(linear_map: LinearMap) -> int:
    """An upper bound of the number of terms summed into one output element."""
    match linear_map:
        case Dense():
            return int(linear_map.weight.shape[1])
        case Conv():
            kernel = math.prod(linear_map.weight.shape[2:])
            channels = (
                linear_map.weight.shape[0] // linear_map.groups
                if linear_map.transposed
                else linear_map.weight.shape[1]
            )
            return int(kernel * channels)
        case ScatterAdd():
            # The element that most others are added into.
            used = linear_map.index[linear_map.index >= 0]
            return int(np.bincount(used.ravel()).max(initial=1)) if used.size else 1
        case Scaled():
            return fan_in(linear_map.inner)
        case _:
            return 1


def entries(linear_map: LinearMap) -> Iterator[tuple[int, list[tuple[int, Number]]]]:
    """The rows of the matrix: (flat output index, [(flat input index, exact coefficient), ...])."""
    match linear_map:
        case Dense():
            for j, row in enumerate(linear_map.weight):
                cols = np.flatnonzero(row)
                yield j, list(zip(cols.tolist(), row[cols].tolist(), strict=True))
        case Conv():
            yield from _conv_entries(linear_map)
        case Gather():
            for j, i in enumerate(linear_map.index.ravel().tolist()):
                yield j, [(i, 1)] if i >= 0 else []
        case ScatterAdd():
            rows: list[list[tuple[int, Number]]] = [
                [] for _ in range(math.prod(linear_map.out_shape))
            ]
            for i, j in enumerate(linear_map.index.ravel().tolist()):
                if j >= 0:
                    rows[j].append((i, 1))
            yield from enumerate(rows)
        case Diag():
            for j, v in enumerate(numbers(linear_map.scale)):
                yield j, [(j, v)] if v != 0 else []
        case Scaled():
            for j, inner in entries(linear_map.inner):
                yield (
                    j,
                    [
                        (i, Fraction(c) * linear_map.factor)
                        for i, c in inner
                        if linear_map.factor != 0
                    ],
                )


def _conv_entries(linear_map: Conv) -> Iterator[tuple[int, list[tuple[int, Number]]]]:
    """Rows of a convolution: index the input by itself to learn which element feeds what."""
    fwd_in, fwd_out = linear_map.forward_shapes
    places = np.arange(1, math.prod(fwd_in) + 1, dtype=np.int64).reshape(1, *fwd_in)
    rows: list[list[tuple[int, Number]]] = [[] for _ in range(math.prod(linear_map.out_shape))]
    n, outs, space = fwd_out[0], fwd_out[1], math.prod(fwd_out[2:])
    flat_out = np.arange(math.prod(fwd_out)).reshape(
        n, linear_map.groups, outs // linear_map.groups, space
    )
    # Padding is 0, so positions count from 1.
    padded: Any = pad(places, linear_map.pads)
    weight: Any = linear_map.weight.reshape(
        linear_map.groups,
        outs // linear_map.groups,
        linear_map.weight.shape[1],
        *linear_map.weight.shape[2:],
    )
    for offset in product(*(range(k) for k in linear_map.weight.shape[2:])):
        seen = padded[
            (slice(None), slice(None), slice(None), *window(linear_map, offset, fwd_out[2:]))
        ]
        seen = seen.reshape(n, linear_map.groups, linear_map.weight.shape[1], space)
        w = weight[(slice(None), slice(None), slice(None), *offset)]
        for b, g, o, c, s in product(
            *map(range, (n, linear_map.groups, w.shape[1], w.shape[2], space))
        ):
            source, coef = int(seen[b, g, c, s]) - 1, float(w[g, o, c])
            if source < 0 or coef == 0.0:
                continue
            target = int(flat_out[b, g, o, s])
            row, col = (source, target) if linear_map.transposed else (target, source)
            rows[row].append((col, coef))
    yield from enumerate(rows)


# --- application ----------------------------------------------------------------------------


def apply_numpy(linear_map: LinearMap, values: FloatArray) -> FloatArray:
    """The map applied to `values` of shape (B, *in_shape), in float64: (B, *out_shape)."""
    batch = values.shape[0]
    match linear_map:
        case Dense():
            return (values.reshape(batch, -1) @ linear_map.weight.T).reshape(
                batch, *linear_map.out_shape
            )
        case Conv():
            return convolve_floats(linear_map, values)
        case Gather():
            return np.asarray(_gather(linear_map, values.reshape(batch, -1)))
        case ScatterAdd():
            out = np.zeros((batch, math.prod(linear_map.out_shape)))
            _scatter(linear_map, values.reshape(batch, -1), out)
            return out.reshape(batch, *linear_map.out_shape)
        case Diag():
            factor = (
                linear_map.scale.to_float()
                if isinstance(linear_map.scale, ExactArray)
                else linear_map.scale
            )
            return values * factor
        case Scaled():
            return apply_numpy(linear_map.inner, values) * float(linear_map.factor)


def apply_exact(linear_map: LinearMap, values: ExactArray) -> ExactArray:
    """The map applied to `values` of shape (B, *in_shape), exactly: (B, *out_shape)."""
    batch = values.shape[0]
    flat = values.num.reshape(batch, -1)
    match linear_map:
        case Dense():
            num = in_pieces(flat, linear_map.exact.num.T)
            return ExactArray(
                num.reshape(batch, *linear_map.out_shape), values.den * linear_map.exact.den
            )
        case Conv():
            out = np.asarray(convolve(linear_map, values.num, linear_map.exact.num), dtype=object)
            return ExactArray(out, values.den * linear_map.exact.den)
        case Gather():
            return ExactArray(np.asarray(_gather(linear_map, flat), dtype=object), values.den)
        case ScatterAdd():
            acc = np.zeros((batch, math.prod(linear_map.out_shape)), dtype=object)
            _scatter(linear_map, flat, acc)
            return ExactArray(acc.reshape(batch, *linear_map.out_shape), values.den)
        case Diag():
            return ExactArray(
                np.asarray(values.num * linear_map.exact.num, dtype=object),
                values.den * linear_map.exact.den,
            )
        case Scaled():
            return apply_exact(linear_map.inner, values).scaled(linear_map.factor)


def apply_torch(linear_map: LinearMap, values: Any, const: Any) -> Any:
    """The map of a torch tensor; `const(array)` turns constants into tensors of the same kind."""
    batch = values.shape[0]
    match linear_map:
        case Dense():
            return (values.reshape(batch, -1) @ const(linear_map.weight).T).reshape(
                batch, *linear_map.out_shape
            )
        case Conv():
            return convolve_torch(linear_map, values, const(linear_map.weight))
        case Gather():
            flat = values.reshape(batch, -1)
            index = const(linear_map.index)
            if linear_map.index.size == 0 or (linear_map.index >= 0).all():
                return flat[:, index.reshape(-1)].reshape(batch, *linear_map.out_shape)
            padded = _append_zero(flat)
            return padded[:, index.reshape(-1)].reshape(batch, *linear_map.out_shape)
        case ScatterAdd():
            out = values.new_zeros((batch, math.prod(linear_map.out_shape) + 1))
            out = out.index_add(
                1, const(linear_map.index).reshape(-1) % out.shape[1], values.reshape(batch, -1)
            )
            return out[:, :-1].reshape(batch, *linear_map.out_shape)
        case Diag():
            return values * const(linear_map.scale)
        case Scaled():
            return apply_torch(linear_map.inner, values, const) * float(linear_map.factor)


def _append_zero(flat: Any) -> Any:
    """A trailing zero column, so that index -1 picks zero."""
    out = flat.new_zeros((flat.shape[0], flat.shape[1] + 1))
    out[:, :-1] = flat
    return out


def _gather(linear_map: Gather, flat: Any) -> Any:
    if flat.shape[1] == 0:
        return np.zeros((flat.shape[0], *linear_map.out_shape), dtype=flat.dtype)
    picked = flat[:, linear_map.index.ravel()]
    missing = linear_map.index.ravel() < 0
    if missing.any():
        picked[:, missing] = 0
    return picked.reshape(flat.shape[0], *linear_map.out_shape)


def _scatter(linear_map: ScatterAdd, flat: Any, out: Any) -> None:
    used = np.flatnonzero(linear_map.index.ravel() >= 0)
    every: Any = slice(None)
    np.add.at(out, (every, linear_map.index.ravel()[used]), flat[:, used])
