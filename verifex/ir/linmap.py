"""Linear maps: the closed set of shapes an affine step can take, each with its transpose.

A map sends a tensor of `in_shape` to one of `out_shape`. Values carry one leading batch axis, so
`apply(m, x, xp)` takes `(B, *in_shape)` to `(B, *out_shape)` on any backend `xp`.

    Dense       y = W x                         weight (out, in) on flattened tensors
    Conv        convolution over (N, C, *space), or its transpose; never materialised
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


def is_zero(m: LinearMap) -> bool:
    """Whether a map takes everything to zero."""
    match m:
        case Dense() | Conv():
            return not m.weight.any()
        case Gather() | ScatterAdd():
            return not (m.index >= 0).any()
        case Diag():
            return not m.exact.num.any()
        case Scaled():
            return m.factor == 0 or is_zero(m.inner)


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


def is_identity(m: LinearMap) -> bool:
    """Whether the map keeps every element in place (the shape may change)."""
    if isinstance(m, Scaled):
        return m.factor == 1 and is_identity(m.inner)
    if not isinstance(m, Gather) or m.index.size != math.prod(m.in_shape):
        return False
    return bool((m.index.ravel() == np.arange(m.index.size)).all())


# --- algebra --------------------------------------------------------------------------------


def transpose(m: LinearMap) -> LinearMap:
    """The adjoint map."""
    match m:
        case Dense():
            return Dense(m.out_shape, m.in_shape, np.ascontiguousarray(m.weight.T))
        case Conv():
            return Conv(
                m.out_shape,
                m.in_shape,
                m.weight,
                m.strides,
                m.pads,
                m.dilations,
                m.groups,
                not m.transposed,
            )
        case Gather():
            if m.index.size == math.prod(m.in_shape) and (m.index >= 0).all():
                inverse = np.full(m.index.size, -1, dtype=np.int64)
                inverse[m.index.ravel()] = np.arange(m.index.size)
                if (inverse >= 0).all():  # a permutation: its adjoint is a Gather too
                    return Gather(m.out_shape, m.in_shape, inverse.reshape(m.in_shape))
            return ScatterAdd(m.out_shape, m.in_shape, m.index)
        case ScatterAdd():
            return Gather(m.out_shape, m.in_shape, m.index)
        case Diag():
            return m
        case Scaled():
            return Scaled(m.out_shape, m.in_shape, transpose(m.inner), m.factor)


def absolute(m: LinearMap) -> LinearMap:
    """The map with the absolute value of every coefficient."""
    match m:
        case Dense():
            return Dense(m.in_shape, m.out_shape, np.abs(m.weight))
        case Conv():
            return Conv(
                m.in_shape,
                m.out_shape,
                np.abs(m.weight),
                m.strides,
                m.pads,
                m.dilations,
                m.groups,
                m.transposed,
            )
        case Diag():
            if isinstance(m.scale, ExactArray):
                flipped = ExactArray(np.asarray(np.abs(m.scale.num), dtype=object), m.scale.den)
                return Diag(m.in_shape, m.out_shape, flipped)
            return Diag(m.in_shape, m.out_shape, np.abs(m.scale))
        case Scaled():
            return Scaled(m.in_shape, m.out_shape, absolute(m.inner), abs(m.factor))
        case _:
            return m


def fan_in(m: LinearMap) -> int:
    """An upper bound of the number of terms summed into one output element."""
    match m:
        case Dense():
            return int(m.weight.shape[1])
        case Conv():
            kernel = math.prod(m.weight.shape[2:])
            channels = m.weight.shape[0] // m.groups if m.transposed else m.weight.shape[1]
            return int(kernel * channels)
        case ScatterAdd():
            used = m.index[m.index >= 0]
            return int(np.bincount(used.ravel()).max(initial=1)) if used.size else 1
        case Scaled():
            return fan_in(m.inner)
        case _:
            return 1


def entries(m: LinearMap) -> Iterator[tuple[int, list[tuple[int, Number]]]]:
    """The rows of the matrix: (flat output index, [(flat input index, exact coefficient), ...])."""
    match m:
        case Dense():
            for j, row in enumerate(m.weight):
                cols = np.flatnonzero(row)
                yield j, list(zip(cols.tolist(), row[cols].tolist(), strict=True))
        case Conv():
            yield from _conv_entries(m)
        case Gather():
            for j, i in enumerate(m.index.ravel().tolist()):
                yield j, [(i, 1)] if i >= 0 else []
        case ScatterAdd():
            rows: list[list[tuple[int, Number]]] = [[] for _ in range(math.prod(m.out_shape))]
            for i, j in enumerate(m.index.ravel().tolist()):
                if j >= 0:
                    rows[j].append((i, 1))
            yield from enumerate(rows)
        case Diag():
            for j, v in enumerate(numbers(m.scale)):
                yield j, [(j, v)] if v != 0 else []
        case Scaled():
            for j, inner in entries(m.inner):
                yield j, [(i, Fraction(c) * m.factor) for i, c in inner if m.factor != 0]


def _conv_entries(m: Conv) -> Iterator[tuple[int, list[tuple[int, Number]]]]:
    """Rows of a convolution: index the input by itself to learn which element feeds what."""
    fwd_in, fwd_out = m.forward_shapes
    places = np.arange(1, math.prod(fwd_in) + 1, dtype=np.int64).reshape(1, *fwd_in)
    rows: list[list[tuple[int, Number]]] = [[] for _ in range(math.prod(m.out_shape))]
    n, outs, space = fwd_out[0], fwd_out[1], math.prod(fwd_out[2:])
    flat_out = np.arange(math.prod(fwd_out)).reshape(n, m.groups, outs // m.groups, space)
    padded: Any = _pad(places, m.pads, _Np)
    weight: Any = m.weight.reshape(
        m.groups, outs // m.groups, m.weight.shape[1], *m.weight.shape[2:]
    )
    for offset in product(*(range(k) for k in m.weight.shape[2:])):
        window = padded[(slice(None), slice(None), slice(None), *_window(m, offset, fwd_out[2:]))]
        window = window.reshape(n, m.groups, m.weight.shape[1], space)
        w = weight[(slice(None), slice(None), slice(None), *offset)]
        for b, g, o, c, s in product(*map(range, (n, m.groups, w.shape[1], w.shape[2], space))):
            source, coef = int(window[b, g, c, s]) - 1, float(w[g, o, c])
            if source < 0 or coef == 0.0:
                continue
            target = int(flat_out[b, g, o, s])
            row, col = (source, target) if m.transposed else (target, source)
            rows[row].append((col, coef))
    yield from enumerate(rows)


# --- application ----------------------------------------------------------------------------


class _Np:
    """The few array calls that convolution needs, for numpy (float or object)."""

    @staticmethod
    def zeros(shape: Shape, like: Any) -> Any:
        return np.zeros(shape, dtype=like.dtype)


class _Torch:
    """The same calls for torch."""

    @staticmethod
    def zeros(shape: Shape, like: Any) -> Any:
        return like.new_zeros(shape)


def _window(m: Conv, offset: Shape, out_space: Shape) -> tuple[slice, ...]:
    """Where, in the padded input, the elements lie that kernel position `offset` touches."""
    return tuple(
        slice(o * d, o * d + (n - 1) * s + 1, s)
        for o, d, n, s in zip(offset, m.dilations, out_space, m.strides, strict=True)
    )


def _pad(x: Any, pads: tuple[tuple[int, int], ...], lib: Any) -> Any:
    """Zero padding of the spatial axes of (B, N, C, *space)."""
    if not any(map(any, pads)):
        return x
    space = tuple(n + a + b for n, (a, b) in zip(x.shape[3:], pads, strict=True))
    out = lib.zeros((*x.shape[:3], *space), x)
    inner = tuple(slice(a, a + n) for n, (a, _) in zip(x.shape[3:], pads, strict=True))
    out[(slice(None), slice(None), slice(None), *inner)] = x
    return out


def convolve(m: Conv, x: Any, weight: Any, lib: Any) -> Any:
    """Convolution as a loop over kernel positions: one code for floats, integers and torch."""
    (_, chans, *_), (n, outs, *out_space) = m.forward_shapes
    batch, space = x.shape[0], math.prod(out_space)
    w = weight.reshape(m.groups, outs // m.groups, chans // m.groups, *weight.shape[2:])
    full = tuple(slice(None) for _ in range(3))
    if not m.transposed:
        padded = _pad(x, m.pads, lib)
        out: Any = None
        for offset in product(*(range(k) for k in weight.shape[2:])):
            window = padded[(*full, *_window(m, offset, tuple(out_space)))]
            window = window.reshape(batch * n, m.groups, chans // m.groups, space)
            term = w[(*full, *offset)] @ window
            out = term if out is None else out + term
        return out.reshape(batch, *m.out_shape)
    padded_space = tuple(k + a + b for k, (a, b) in zip(m.out_shape[2:], m.pads, strict=True))
    acc = lib.zeros((batch, n, chans, *padded_space), x)
    cotangent = x.reshape(batch * n, m.groups, outs // m.groups, space)
    for offset in product(*(range(k) for k in weight.shape[2:])):
        kernel = w[(*full, *offset)].swapaxes(-1, -2)
        term = (kernel @ cotangent).reshape(batch, n, chans, *out_space)
        where = (*full, *_window(m, offset, tuple(out_space)))
        acc[where] = acc[where] + term
    inner = tuple(slice(a, a + k) for k, (a, _) in zip(m.out_shape[2:], m.pads, strict=True))
    return acc[(*full, *inner)]


def apply_numpy(m: LinearMap, x: FloatArray) -> FloatArray:
    """`m x` in float64 for x of shape (B, *in_shape)."""
    batch = x.shape[0]
    match m:
        case Dense():
            return (x.reshape(batch, -1) @ m.weight.T).reshape(batch, *m.out_shape)
        case Conv():
            return np.asarray(convolve(m, x, m.weight, _Np))
        case Gather():
            return np.asarray(_gather(m, x.reshape(batch, -1)))
        case ScatterAdd():
            out = np.zeros((batch, math.prod(m.out_shape)))
            _scatter(m, x.reshape(batch, -1), out)
            return out.reshape(batch, *m.out_shape)
        case Diag():
            factor = m.scale.to_float() if isinstance(m.scale, ExactArray) else m.scale
            return x * factor
        case Scaled():
            return apply_numpy(m.inner, x) * float(m.factor)


def apply_exact(m: LinearMap, x: ExactArray) -> ExactArray:
    """`m x` in exact arithmetic for x of shape (B, *in_shape)."""
    batch = x.shape[0]
    flat = x.num.reshape(batch, -1)
    match m:
        case Dense():
            num = np.asarray(flat.dot(m.exact.num.T), dtype=object)
            return ExactArray(num.reshape(batch, *m.out_shape), x.den * m.exact.den)
        case Conv():
            out = np.asarray(convolve(m, x.num, m.exact.num, _Np), dtype=object)
            return ExactArray(out, x.den * m.exact.den)
        case Gather():
            return ExactArray(np.asarray(_gather(m, flat), dtype=object), x.den)
        case ScatterAdd():
            acc = np.zeros((batch, math.prod(m.out_shape)), dtype=object)
            _scatter(m, flat, acc)
            return ExactArray(acc.reshape(batch, *m.out_shape), x.den)
        case Diag():
            return ExactArray(np.asarray(x.num * m.exact.num, dtype=object), x.den * m.exact.den)
        case Scaled():
            return apply_exact(m.inner, x).scaled(m.factor)


def apply_torch(m: LinearMap, x: Any, const: Any) -> Any:
    """`m x` on a torch tensor; `const(values)` turns constants into tensors of x's kind."""
    batch = x.shape[0]
    match m:
        case Dense():
            return (x.reshape(batch, -1) @ const(m.weight).T).reshape(batch, *m.out_shape)
        case Conv():
            return convolve(m, x, const(m.weight), _Torch)
        case Gather():
            flat = x.reshape(batch, -1)
            index = const(m.index)
            if m.index.size == 0 or (m.index >= 0).all():
                return flat[:, index.reshape(-1)].reshape(batch, *m.out_shape)
            padded = _append_zero(flat)
            return padded[:, index.reshape(-1)].reshape(batch, *m.out_shape)
        case ScatterAdd():
            out = x.new_zeros((batch, math.prod(m.out_shape) + 1))
            out = out.index_add(1, const(m.index).reshape(-1) % out.shape[1], x.reshape(batch, -1))
            return out[:, :-1].reshape(batch, *m.out_shape)
        case Diag():
            return x * const(m.scale)
        case Scaled():
            return apply_torch(m.inner, x, const) * float(m.factor)


def _append_zero(flat: Any) -> Any:
    """A trailing zero column, so that index -1 picks zero."""
    out = flat.new_zeros((flat.shape[0], flat.shape[1] + 1))
    out[:, :-1] = flat
    return out


def _gather(m: Gather, flat: Any) -> Any:
    if flat.shape[1] == 0:
        return np.zeros((flat.shape[0], *m.out_shape), dtype=flat.dtype)
    picked = flat[:, m.index.ravel()]
    missing = m.index.ravel() < 0
    if missing.any():
        picked[:, missing] = 0
    return picked.reshape(flat.shape[0], *m.out_shape)


def _scatter(m: ScatterAdd, flat: Any, out: Any) -> None:
    used = np.flatnonzero(m.index.ravel() >= 0)
    every: Any = slice(None)
    np.add.at(out, (every, m.index.ravel()[used]), flat[:, used])
