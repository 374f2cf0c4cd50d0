"""ONNX ops that are linear in the data: products with weights, convolutions, normalisation."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from verifex.errors import InputError, UnsupportedError
from verifex.frontend.onnx.operators.call import Call, Result, Rule
from verifex.frontend.onnx.values import (
    FLOAT,
    exact_scale,
    nearest_scale_over_root,
    rearrange,
)
from verifex.ir.exact import ExactArray, FloatArray, Values, as_exact
from verifex.ir.linmap import Conv, Dense, Shape, reshape


def gemm(call: Call) -> Result:
    """`alpha * A' B' + beta * C`."""
    alpha, beta = call.float_("alpha", 1.0), call.float_("beta", 1.0)
    a, b = call.node(0), call.node(1)
    if len(call.shape(0)) != 2 or len(call.shape(1)) != 2:
        raise InputError(f"Gemm of shapes {list(call.shape(0))} and {list(call.shape(1))}",
                         expected="two matrices")
    if call.flag("transA", False):
        a = call.low.move_node(a, np.transpose)
    if call.flag("transB", False):
        b = call.low.move_node(b, np.transpose)
    product = matmul_nodes(call, a, b)
    if not call.has(2):
        return call.low.combine([(product, alpha)])
    shape = call.low.shape(product)
    out = call.low.combine([(product, alpha), (call.node(2), beta)])
    if call.low.shape(out) != shape:
        raise InputError(
            f"C of shape {list(call.shape(2))}", expected=f"one that fits {list(shape)}"
        )
    return out


def matmul(call: Call) -> Result:
    """numpy's matmul: vectors, matrices and stacks of matrices."""
    return matmul_nodes(call, call.node(0), call.node(1))


def matmul_nodes(call: Call, first: int, second: int) -> int:
    low = call.low
    sa, sb = low.shape(first), low.shape(second)
    if not sa or not sb:
        raise InputError(f"{call.op} of a scalar", expected="vectors or matrices")
    first = low.move_node(first, lambda v: v[None, :]) if len(sa) == 1 else first
    second = low.move_node(second, lambda v: v[:, None]) if len(sb) == 1 else second
    (*lead_a, rows, inner), (*lead_b, inner_b, cols) = low.shape(first), low.shape(second)
    if inner != inner_b:
        raise InputError(f"{call.op} of shapes {list(sa)} and {list(sb)}",
                         expected="equal inner sizes")
    lead = low.broadcast_shape(tuple(lead_a), tuple(lead_b))
    full = low.limits.shape((*lead, rows, cols))
    left, right = low.fixed(first), low.fixed(second)
    if right is not None:
        out = _times_const(call, first, right, lead)
    elif left is not None:
        out = _const_times(call, left, second, lead)
    else:
        out = _product(call, first, second, lead)
    shape = (*lead, *(() if len(sa) == 1 else (rows,)), *(() if len(sb) == 1 else (cols,)))
    return low.affine(reshape(full, shape), out) if shape != full else out


def _times_const(call: Call, node: int, weight: Values, lead: Shape) -> int:
    """`node @ weight`: a dense map for one row, else a convolution with a 1-wide kernel."""
    low = call.low
    rows, inner = low.shape(node)[-2:]
    cols = weight.shape[-1]
    if math.prod(weight.shape[:-2]) == 1:
        w = rearrange(weight, lambda v: v.reshape(inner, cols).T.copy())
        count = math.prod(lead) * rows
        if count == 1:
            node = low.move_node(node, lambda v: v.reshape(*lead, rows, inner))
            shape, out_shape = low.shape(node), (*lead, rows, cols)
            return low.weighted(node, w, lambda part: Dense(shape, out_shape, part))
        flat = low.move_node(node, lambda v: np.broadcast_to(v, (*lead, rows, inner)).reshape(
            count, inner, 1))
        out = _conv(call, flat, rearrange(w, lambda v: v[:, :, None]), Window.ones(1), 1)
        return low.move_node(out, lambda v: v.reshape(*lead, rows, cols))
    turned = low.move_node(node, lambda v: v.swapaxes(-1, -2))
    out = _const_times(call, rearrange(weight, lambda v: v.swapaxes(-1, -2).copy()), turned, lead)
    return low.move_node(out, lambda v: v.swapaxes(-1, -2))


def _const_times(call: Call, weight: Values, node: int, lead: Shape) -> int:
    """`weight @ node`: rows of the node are channels of a convolution with a 1-wide kernel."""
    low = call.low
    *_, inner, cols = low.shape(node)
    rows, stack = weight.shape[-2], math.prod(lead)
    if math.prod(weight.shape[:-2]) == 1:
        node = low.move_node(node, lambda v: np.broadcast_to(v, (*lead, inner, cols)).reshape(
            stack, inner, cols))
        kernel = rearrange(weight, lambda v: v.reshape(rows, inner, 1))
        out = _conv(call, node, kernel, Window.ones(1), 1)
        return low.move_node(out, lambda v: v.reshape(*lead, rows, cols))
    low.limits.shape((*lead, rows, inner))
    node = low.move_node(node, lambda v: np.broadcast_to(v, (*lead, inner, cols)).reshape(
        1, stack * inner, cols))
    kernel = rearrange(weight, lambda v: np.broadcast_to(v, (*lead, rows, inner)).reshape(
        stack * rows, inner, 1))
    out = _conv(call, node, kernel, Window.ones(1), stack)
    return low.move_node(out, lambda v: v.reshape(*lead, rows, cols))


def _product(call: Call, first: int, second: int, lead: Shape) -> int:
    """The product of two computed matrices: elementwise products, then sums."""
    low = call.low
    rows, inner = low.shape(first)[-2:]
    cols = low.shape(second)[-1]
    shape = low.limits.shape((*lead, rows, inner, cols))
    left = low.move_node(first, lambda v: np.broadcast_to(v[..., None], shape))
    right = low.move_node(second, lambda v: np.broadcast_to(v[..., None, :, :], shape))
    total = low.sum_axes(low.mul(left, right), [len(shape) - 2])
    return low.affine(reshape(low.shape(total), (*lead, rows, cols)), total)


# --- convolutions -----------------------------------------------------------------------------


@dataclass(frozen=True)
class Window:
    """How a kernel moves over the spatial axes; `pads` is (before, after) for each axis."""

    strides: Shape
    pads: tuple[tuple[int, int], ...]
    dilations: Shape

    @staticmethod
    def ones(rank: int) -> Window:
        return Window((1,) * rank, ((0, 0),) * rank, (1,) * rank)


def positive_ints(call: Call, name: str, rank: int, default: int = 1) -> Shape:
    """An attribute of one positive integer for each spatial axis."""
    found = call.ints_(name)
    values = [default] * rank if found is None else found
    if len(values) != rank or any(v < 1 or v >= 2**31 for v in values):
        raise InputError(f"attribute '{name}' of {call.op} is {values}",
                         expected=f"{rank} positive integers")
    return tuple(values)


def read_window(call: Call, space: Sequence[int], kernel: Sequence[int]) -> Window:
    """Strides, dilations and padding (explicit or by `auto_pad`) of a convolution or a pooling."""
    rank = len(space)
    strides = positive_ints(call, "strides", rank)
    dilations = positive_ints(call, "dilations", rank)
    auto = call.str_("auto_pad", "NOTSET")
    given = call.ints_("pads")
    pads = [0] * (2 * rank) if given is None else given
    if len(pads) != 2 * rank or any(not 0 <= p < 2**31 for p in pads):
        raise InputError(f"attribute 'pads' of {call.op} is {pads}",
                         expected=f"{2 * rank} integers >= 0")
    if auto != "NOTSET" and any(pads):
        raise InputError(f"{call.op} has both pads and auto_pad", expected="one of them")
    if auto not in ("NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER"):
        raise InputError(f"attribute 'auto_pad' of {call.op} is '{auto}'",
                         expected="NOTSET, VALID, SAME_UPPER or SAME_LOWER")
    pairs = list(zip(pads[:rank], pads[rank:], strict=True))
    if auto.startswith("SAME"):
        pairs = []
        for n, k, s, d in zip(space, kernel, strides, dilations, strict=True):
            # The padding that makes ceil(n / stride) outputs, as the standard defines SAME.
            need = (-(-n // s) - 1) * s + (k - 1) * d + 1 - n
            if need < 0 or (d > 1 and call.op != "Conv"):
                # Some readers cut elements away instead of adding some, or forget dilations.
                raise UnsupportedError(
                    f"{call.op} with auto_pad {auto} over {n} elements, {k} by {s}, dilation {d}",
                    expected="explicit pads")
            small, large = need // 2, need - need // 2
            pairs.append((small, large) if auto == "SAME_UPPER" else (large, small))
    return Window(strides, tuple(pairs), dilations)


def _weight_const(call: Call) -> Values:
    return call.const(1)


def _spatial(call: Call, weight: Values) -> tuple[Shape, Shape]:
    """The spatial sizes of the data and of the kernel, after checking ranks and kernel_shape."""
    x, w = call.shape(0), weight.shape
    if len(x) < 3 or len(w) != len(x):
        raise InputError(f"{call.op} of shapes {list(x)} and {list(w)}",
                         expected="(N, C, ...) and a weight of the same rank")
    kernel = (
        positive_ints(call, "kernel_shape", len(x) - 2) if call.given("kernel_shape") else w[2:]
    )
    if tuple(kernel) != tuple(w[2:]) or 0 in w:
        raise InputError(f"{call.op} has kernel_shape {list(kernel)}", expected=f"{list(w[2:])}")
    return x[2:], tuple(w[2:])


def conv(call: Call) -> Result:
    """Convolution with a constant weight; any number of spatial axes."""
    weight = _weight_const(call)
    space, kernel = _spatial(call, weight)
    group = call.int_("group", 1)
    if group < 1 or call.shape(0)[1] != weight.shape[1] * group or weight.shape[0] % group:
        raise InputError(
            f"Conv of {call.shape(0)[1]} channels with weight {list(weight.shape)} "
            f"in {group} groups",
            expected="channels that fit",
        )
    window = read_window(call, space, kernel)
    out = _conv(call, call.node(0), weight, window, group)
    return _channel_bias(call, out, weight.shape[0])


def conv_shape(space: Sequence[int], kernel: Sequence[int], window: Window) -> Shape:
    """Spatial sizes of a convolution's result."""
    sizes = []
    for n, k, s, (a, b), d in zip(
        space, kernel, window.strides, window.pads, window.dilations, strict=True
    ):
        room = n + a + b - (k - 1) * d - 1
        if room < 0:
            raise InputError(f"a kernel of {k} with dilation {d} over {n + a + b} elements",
                             expected="a kernel that fits")
        sizes.append(room // s + 1)
    return tuple(sizes)


def _conv(call: Call, node: int, weight: Values, window: Window, groups: int) -> int:
    shape = call.low.shape(node)
    out_space = conv_shape(shape[2:], weight.shape[2:], window)
    out = call.low.limits.shape((shape[0], weight.shape[0], *out_space))
    return call.low.weighted(node, weight, lambda part: Conv(
        shape, out, part, window.strides, window.pads, window.dilations, groups))


def _channel_bias(call: Call, node: int, channels: int) -> int:
    """Add the optional third input, one number a channel."""
    if not call.has(2):
        return node
    if call.shape(2) != (channels,):
        raise InputError(
            f"{call.op} has a bias of shape {list(call.shape(2))}", expected=f"[{channels}]"
        )
    rank = len(call.low.shape(node))
    bias = call.low.move_node(call.node(2), lambda v: v.reshape(1, channels, *(1,) * (rank - 2)))
    return call.low.combine([(node, 1), (bias, 1)])


def conv_transpose(call: Call) -> Result:
    """The adjoint of a convolution."""
    weight = _weight_const(call)
    space, kernel = _spatial(call, weight)
    rank, group = len(space), call.int_("group", 1)
    if group < 1 or call.shape(0)[1] != weight.shape[0] or weight.shape[0] % group:
        raise InputError(
            f"ConvTranspose of {call.shape(0)[1]} channels with weight {list(weight.shape)} in "
            f"{group} groups", expected="channels that fit",
        )
    given = call.ints_("output_padding")
    extra = [0] * rank if given is None else given
    strides = positive_ints(call, "strides", rank)
    dilations = positive_ints(call, "dilations", rank)
    pads, out_space = _transposed_pads(call, space, kernel, strides, dilations, extra)
    channels = weight.shape[1] * group
    shape = call.low.shape(call.node(0))
    out = call.low.limits.shape((shape[0], channels, *out_space))
    result = call.low.weighted(call.node(0), weight, lambda part: Conv(
        shape, out, part, strides, pads, dilations, group, transposed=True))
    return _channel_bias(call, result, channels)


def _transposed_pads(
    call: Call, space: Shape, kernel: Shape, strides: Shape, dilations: Shape, extra: Sequence[int]
) -> tuple[tuple[tuple[int, int], ...], Shape]:
    """Padding and spatial sizes of a transposed convolution."""
    rank = len(space)
    auto = call.str_("auto_pad", "NOTSET")
    given, wanted = call.ints_("pads"), call.ints_("output_shape")
    pads = [0] * (2 * rank) if given is None else given
    if len(pads) != 2 * rank or len(extra) != rank or any(p < 0 or p >= 2**31 for p in pads):
        raise InputError(f"{call.op} has pads {pads} and output_padding {list(extra)}",
                         expected="one for each side")
    # Beyond a stride there would be outputs that no input reaches.
    if any(not 0 <= e < s for e, s in zip(extra, strides, strict=True)):
        raise InputError(f"{call.op} has output_padding {list(extra)}",
                         expected="less than the strides")
    full = [
        s * (n - 1) + e + (k - 1) * d + 1
        for n, k, s, d, e in zip(space, kernel, strides, dilations, extra, strict=True)
    ]
    if wanted is None and auto == "NOTSET":
        pairs = tuple(zip(pads[:rank], pads[rank:], strict=True))
    elif wanted is None and auto == "VALID":
        pairs = ((0, 0),) * rank
    else:
        raise UnsupportedError(f"{call.op} with output_shape or auto_pad '{auto}'",
                               expected="explicit pads")
    sizes = tuple(f - a - b for f, (a, b) in zip(full, pairs, strict=True))
    if any(n < 1 for n in sizes):
        raise InputError(f"{call.op} has no output left", expected="smaller pads")
    return pairs, sizes


# --- normalisation ----------------------------------------------------------------------------

FOLDED = (
    "BatchNormalization is folded: scale / sqrt(variance + epsilon) is rounded once to the nearest "
    "float64, and the folded network is the one verified"
)


def batch_normalization(call: Call) -> Result:
    """`s * (x - mean) + B` with `s = scale / sqrt(var + epsilon)` rounded once to float64."""
    epsilon = call.float_("epsilon", 1e-5)
    call.float_("momentum", 0.9)  # only matters in training
    if call.opset >= 14 and call.flag("training_mode", False):
        raise UnsupportedError("BatchNormalization in training mode", expected="inference")
    if call.opset < 9 and not call.flag("spatial", True):
        raise UnsupportedError("BatchNormalization with spatial = 0", expected="spatial = 1")
    shape = call.shape(0)
    channels = shape[1] if len(shape) > 1 else 1
    scale, offset, mean, var = (call.const(i) for i in range(1, 5))
    if any(v.shape != (channels,) for v in (scale, offset, mean, var)):
        raise InputError("BatchNormalization parameters do not fit", expected=f"[{channels}] each")
    factor = _normal_scale(scale, var, epsilon)
    call.low.builder.notes.append(FOLDED)
    place = (1, channels, *(1,) * (len(shape) - 2)) if len(shape) > 1 else (1,)
    # In this order every constant stays a float; the first step merges into a convolution's bias.
    centred = call.low.combine([(call.node(0), 1)], exact_scale(_placed(mean, place), -1))
    return call.low.combine([(call.low.times(centred, _placed(factor, place)), 1)],
                         _placed(offset, place))


def _placed(values: Values, place: Shape) -> Values:
    return rearrange(values, lambda v: v.reshape(place))


def _normal_scale(scale: Values, var: Values, epsilon: Fraction) -> FloatArray:
    spread = [v + epsilon for v in as_exact(var).fractions()]
    if any(v <= 0 for v in spread):
        raise InputError("variance + epsilon is not positive", expected="a positive variance")
    pairs = zip(as_exact(scale).fractions(), spread, strict=True)
    return np.array([nearest_scale_over_root(s, v) for s, v in pairs], dtype=np.float64)


def scaler(call: Call) -> Result:
    """ai.onnx.ml Scaler: `(x - offset) * scale`."""
    offset, factor = call.floats_("offset"), call.floats_("scale")
    if not offset or not factor:
        raise InputError("Scaler without offset or scale", expected="both attributes")
    for name, values in (("offset", offset), ("scale", factor)):
        if not all(map(math.isfinite, values)):
            raise InputError(f"attribute '{name}' of Scaler is not finite", expected="numbers")
    shifted = call.low.combine([(call.number(0), 1)], -np.array(offset, dtype=np.float64))
    out = call.low.times(shifted, ExactArray.from_float(np.array(factor, dtype=np.float64)))
    if call.low.shape(out) != call.shape(0):
        raise InputError("Scaler parameters do not fit the data", expected="one a feature")
    return call.low.wrap(out, FLOAT)


RULES: Mapping[str, Rule] = {
    "Gemm": Rule(gemm, 2, 3),
    "MatMul": Rule(matmul, 2, 2),
    "Conv": Rule(conv, 2, 3),
    "ConvTranspose": Rule(conv_transpose, 2, 3),
    "BatchNormalization": Rule(batch_normalization, 5, 5),
}
ML_RULES: Mapping[str, Rule] = {"Scaler": Rule(scaler, 1, 1)}
