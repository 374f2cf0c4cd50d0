"""Convolutions applied without their matrix: in numpy floats, in torch, and in exact integers.

All take values (B, N, C, *space), B being a batch and N the network's own, and give what the map's
matrix would give. In floats every output element is one sum of the products of its window, in some
order: what `linmap.fan_in` counts, and so what interval arithmetic takes off for rounding.
"""

from __future__ import annotations

from itertools import product
from math import prod
from typing import Any, Protocol

import numpy as np

from verifex.ir.exact import FloatArray
from verifex.ir.maps.exact_product import in_pieces
from verifex.limits.checkpoint import checkpoint

Shape = tuple[int, ...]

NUMBERS = 1 << 22
"""Entries of the windows that are laid out at once: 32 MB."""


class Convolution(Protocol):
    """A convolution by a weight (O, C / groups, *kernel), or its transpose (`linmap.Conv`)."""

    @property
    def weight(self) -> FloatArray: ...
    @property
    def strides(self) -> Shape: ...
    @property
    def pads(self) -> tuple[tuple[int, int], ...]: ...
    @property
    def dilations(self) -> Shape: ...
    @property
    def groups(self) -> int: ...
    @property
    def transposed(self) -> bool: ...
    @property
    def out_shape(self) -> Shape: ...
    @property
    def forward_shapes(self) -> tuple[Shape, Shape]: ...


def window(conv: Convolution, offset: Shape, out_space: Shape) -> tuple[slice, ...]:
    """Where, in the padded input, the elements lie that kernel position `offset` touches."""
    return tuple(
        slice(o * d, o * d + (n - 1) * s + 1, s)
        for o, d, n, s in zip(offset, conv.dilations, out_space, conv.strides, strict=True)
    )


def pad(values: Any, pads: tuple[tuple[int, int], ...]) -> Any:
    """Zero padding of the spatial axes of an array (B, N, C, *space)."""
    if not any(map(any, pads)):
        return values
    space = tuple(n + a + b for n, (a, b) in zip(values.shape[3:], pads, strict=True))
    out = _zeros((*values.shape[:3], *space), values)
    inner = tuple(slice(a, a + n) for n, (a, _) in zip(values.shape[3:], pads, strict=True))
    out[(slice(None), slice(None), slice(None), *inner)] = values
    return out


def _zeros(shape: Shape, like: Any) -> Any:
    """An array or a tensor, as `like` is."""
    return np.zeros(shape, like.dtype) if isinstance(like, np.ndarray) else like.new_zeros(shape)


def _unpadded(conv: Convolution, padded: Any) -> Any:
    """What is left of a transposed convolution's result once the padding is cut off."""
    fwd_in, _ = conv.forward_shapes
    inner = tuple(slice(a, a + k) for k, (a, _) in zip(fwd_in[2:], conv.pads, strict=True))
    return padded[(slice(None), slice(None), slice(None), *inner)]


def _padded_space(conv: Convolution) -> Shape:
    fwd_in, _ = conv.forward_shapes
    return tuple(k + a + b for k, (a, b) in zip(fwd_in[2:], conv.pads, strict=True))


# --- numpy ------------------------------------------------------------------------------------


def _product(left: Any, right: Any) -> Any:
    return in_pieces(left, right) if right.dtype == object else left @ right


def convolve(conv: Convolution, values: Any, weight: Any) -> Any:
    """Convolution of (B, N, C, *space) as a loop over kernel positions: on integers of any size,
    and on tensors of more axes than torch convolves."""
    (_, chans, *_), (n, outs, *out_space) = conv.forward_shapes
    batch, space, groups = values.shape[0], prod(out_space), conv.groups
    w = weight.reshape(groups, outs // groups, chans // groups, *weight.shape[2:])
    full = tuple(slice(None) for _ in range(3))
    if not conv.transposed:
        padded = pad(values, conv.pads)
        out: Any = None
        for offset in product(*(range(k) for k in weight.shape[2:])):
            checkpoint()
            seen = padded[(*full, *window(conv, offset, tuple(out_space)))]
            seen = seen.reshape(batch * n, groups, chans // groups, space)
            term = _product(w[(*full, *offset)], seen)
            out = term if out is None else out + term
        return out.reshape(batch, *conv.out_shape)
    # Into a padded array, of which the padding is then cut off.
    acc = _zeros((batch, n, chans, *_padded_space(conv)), values)
    given = values.reshape(batch * n, groups, outs // groups, space)
    for offset in product(*(range(k) for k in weight.shape[2:])):
        checkpoint()
        kernel = w[(*full, *offset)].swapaxes(-1, -2)
        term = _product(kernel, given).reshape(batch, n, chans, *out_space)
        acc[(*full, *window(conv, offset, tuple(out_space)))] += term
    return _unpadded(conv, acc)


def convolve_floats(conv: Convolution, values: FloatArray) -> FloatArray:
    """The same in the floats of `values`: one matrix product for all windows of some images at a
    time."""
    per_image = prod(conv.forward_shapes[1][2:]) * prod(conv.weight.shape[1:]) * conv.groups
    step = max(1, NUMBERS // max(1, per_image * conv.forward_shapes[1][0]))
    one = _scattered if conv.transposed else _gathered
    if values.shape[0] <= step:
        return one(conv, values)
    parts = []
    for k in range(0, values.shape[0], step):
        checkpoint()
        parts.append(one(conv, values[k : k + step]))
    return np.concatenate(parts)


def _grouped(conv: Convolution, values: FloatArray) -> FloatArray:
    """The weight, in the floats of `values`, as a matrix for each group: (groups, O / groups,
    C / groups * kernel)."""
    weight = conv.weight.astype(values.dtype, copy=False)
    return weight.reshape(conv.groups, weight.shape[0] // conv.groups, -1)


def _gathered(conv: Convolution, values: FloatArray) -> FloatArray:
    (n, chans, *_), (_, outs, *out_space) = conv.forward_shapes
    kernel, batch = conv.weight.shape[2:], values.shape[0]
    padded = pad(values, conv.pads).reshape(batch * n, chans, *_padded_space(conv))
    seen = np.empty((batch * n, chans, prod(kernel), *out_space), values.dtype)
    for k, offset in enumerate(product(*map(range, kernel))):
        seen[:, :, k] = padded[(slice(None), slice(None), *window(conv, offset, tuple(out_space)))]
    columns = seen.reshape(batch * n, conv.groups, -1, prod(out_space))
    found: FloatArray = _grouped(conv, values) @ columns
    return found.reshape(batch, n, outs, *out_space)


def _scattered(conv: Convolution, values: FloatArray) -> FloatArray:
    (n, chans, *_), (_, outs, *out_space) = conv.forward_shapes
    kernel, batch, space = conv.weight.shape[2:], values.shape[0], prod(out_space)
    given = values.reshape(batch * n, conv.groups, outs // conv.groups, space)
    terms = (_grouped(conv, values).swapaxes(1, 2) @ given).reshape(
        batch, n, chans, prod(kernel), *out_space)
    acc = np.zeros((batch, n, chans, *_padded_space(conv)), values.dtype)
    full = tuple(slice(None) for _ in range(3))
    for k, offset in enumerate(product(*map(range, kernel))):
        acc[(*full, *window(conv, offset, tuple(out_space)))] += terms[:, :, :, k]
    return np.asarray(_unpadded(conv, acc))


# --- torch ------------------------------------------------------------------------------------


def convolve_torch(conv: Convolution, values: Any, weight: Any) -> Any:
    """The same for tensors, by torch's own convolutions; differentiable."""
    from torch.nn import functional

    (n, chans, *_), (_, outs, *out_space) = conv.forward_shapes
    batch, given, kernel = values.shape[0], out_space, tuple(weight.shape[2:])
    if not 1 <= len(given) <= 3:
        return convolve(conv, values, weight)
    settings: dict[str, Any] = {
        "stride": conv.strides, "dilation": conv.dilations, "groups": conv.groups}
    forward, backward = {
        1: (functional.conv1d, functional.conv_transpose1d),
        2: (functional.conv2d, functional.conv_transpose2d),
        3: (functional.conv3d, functional.conv_transpose3d),
    }[len(given)]
    if not conv.transposed:
        flat = values.reshape(batch * n, chans, *values.shape[3:])
        same = all(a == b for a, b in conv.pads)
        around = tuple(a for a, _ in conv.pads) if same else (0,) * len(given)
        flat = flat if same else functional.pad(flat, _last_first(conv.pads))
        found = forward(flat, weight, padding=around, **settings)
        return found.reshape(batch, *conv.out_shape)
    flat = values.reshape(batch * n, outs, *given)
    found = backward(flat, weight, **settings)
    # Elements that the last window does not reach, since strides leave some over.
    missing = tuple(
        (0, whole - ((m - 1) * s + d * (k - 1) + 1))
        for whole, m, s, d, k in zip(
            _padded_space(conv), given, conv.strides, conv.dilations, kernel, strict=True))
    found = functional.pad(found, _last_first(missing)) if any(map(any, missing)) else found
    return _unpadded(conv, found.reshape(batch, n, chans, *found.shape[2:]))


def _last_first(pads: tuple[tuple[int, int], ...]) -> list[int]:
    """Padding as torch takes it: the last axis first."""
    return [v for pair in reversed(pads) for v in pair]
