"""Random models of products, windows, reductions, normalisation and resizing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from tests.readings.onnx_maker import DOUBLE, FLOAT, INT64, Maker
from tests.readings.onnx_shapes import with_axes


def gemm(m: Maker) -> bytes:
    rows, inner, columns = (m.r.randint(1, 3) for _ in range(3))
    turned = [m.pick(None, 0, 1, 2 if m.wrong() else 1) for _ in range(2)]
    a = (inner, rows) if turned[0] else (rows, inner)
    b = (columns, inner) if turned[1] else (inner, columns)
    pair = [m.floats(a, known=0.1), m.floats(b, known=0.9)]
    c = m.pick((rows, columns), (columns,), (1, columns), (rows, 1), (1,), (), (2, columns))
    if not m.wrong():
        pair.append(m.floats(c, m.pick(FLOAT, DOUBLE) if m.wrong() else m.kind, known=0.8))
    if m.opset >= 11 and m.odds(0.2):
        pair = pair[:2]
    return m.model([m.node("Gemm", *pair, transA=turned[0], transB=turned[1],
                           alpha=m.pick(None, 0.5, 2.0), beta=m.pick(None, 0.25, 0.0))])


def matmul(m: Maker) -> bytes:
    a, b = [m.r.randint(1, 3) for _ in range(3)], m.r.randint(1, 3)
    left = a[m.r.randint(0, 2):]
    right = [left[-1], b][: m.pick(1, 2, 2)]
    if len(right) == 2 and m.odds(0.3):
        right = [m.pick(1, *left[:-2][-1:]), *right]
    pair = [m.floats(tuple(left), known=0.3), m.floats(tuple(right), known=0.7)]
    return m.model([m.node("MatMul", *pair)])


def einsum(m: Maker) -> bytes:
    """One to three inputs with letters of their own lengths, repeated, summed, kept."""
    sides = {c: m.r.randint(1, 3) for c in "abcij"}
    terms = ["".join(m.r.choice("abcij") if m.odds(0.1) else c for c in m.r.sample(
        "abcij", m.r.randint(1, 3))) for _ in range(m.r.randint(1, 3))]
    present = sorted(set("".join(terms)))
    result = "".join(m.r.sample(present, m.r.randint(0, min(3, len(present)))))
    if m.wrong():
        result += m.pick("a", "z", "...")
    text = m.pick(",", ", ").join(terms) + (f"->{result}" if m.odds(0.8) else "")
    given = []
    for k, term in enumerate(terms):
        shape = tuple(sides[c] + m.wrong() for c in term)
        given.append(m.floats(shape, known=0.6 if k else 0.0))
    return m.model([m.node("Einsum", *given, equation=text)])


def window(m: Maker, space: list[int], kernel: list[int], **more: Any) -> dict[str, Any]:
    """Attributes of a window: pads or auto_pad, strides, dilations."""
    rank = len(space)
    out: dict[str, Any] = dict(more)
    out["strides"] = m.pick(None, [m.r.randint(1, 3) for _ in space])
    if m.odds(0.5):
        out["pads"] = [m.r.randint(0, 2 if m.odds(0.3) else 1) for _ in range(2 * rank)]
    if m.odds(0.25):
        out["auto_pad"] = m.pick("SAME_UPPER", "SAME_LOWER", "VALID", "NOTSET",
                                 "OTHER" if m.wrong() else "VALID")
        if not m.wrong():
            out.pop("pads", None)
    if m.wrong():
        out["pads"] = [1] * m.pick(rank, 2 * rank + 1, 0)
    return out


def conv(m: Maker, op: str = "Conv") -> bytes:
    rank = m.pick(1, 2, 2, 3)
    space = [m.r.randint(1 + m.odds(0.9), 5) for _ in range(rank)]
    kernel = [m.r.randint(1, 3) for _ in range(rank)]
    group = m.pick(1, 1, 1, 2)
    channels, outs = group * m.r.randint(1, 2), group * m.r.randint(1, 2)
    weight = ((outs, channels // group) if op == "Conv" else (channels, outs // group))
    more = window(m, space, kernel, group=m.pick(None, group) if group == 1 else group)
    more["dilations"] = m.pick(None, None, [m.r.randint(1, 2) for _ in space])
    more["kernel_shape"] = m.pick(None, kernel, [2] * rank if m.wrong() else kernel)
    if op == "ConvTranspose":
        more["output_padding"] = m.pick(None, None, [m.r.randint(0, 1) for _ in space])
        more["output_shape"] = m.pick(None, None, None, [m.r.randint(2, 6) for _ in space])
    given = [m.input((m.pick(1, 1, 2), channels, *space)),
             m.floats((*weight, *kernel), known=0.95)]
    if m.odds(0.5):
        given.append(m.const(m.dyadics(m.pick((outs,), (outs,), (1, outs) if m.wrong() else (
            outs,))), m.kind))
    return m.model([m.node(op, *given, **more)])


def pool(op: str) -> Callable[[Maker], bytes]:
    def make(m: Maker) -> bytes:
        rank = m.pick(1, 2, 2, 3)
        space = [m.r.randint(2, 6) for _ in range(rank)]
        kernel = [m.r.randint(1, 3) for _ in range(rank)]
        more = window(m, space, kernel, kernel_shape=None if m.wrong() else kernel)
        if (m.opset >= 10) != m.wrong():
            more["ceil_mode"] = m.pick(None, 0, 1, 1)
        if op == "AveragePool":
            more["count_include_pad"] = m.pick(None, 0, 1)
        elif m.opset >= 8 and m.odds(0.1):
            more["storage_order"] = m.pick(0, 1)
        since = 19 if op == "AveragePool" else 10
        if (m.opset >= since) != m.wrong() and m.odds(0.3):
            more["dilations"] = [m.r.randint(1, 2) for _ in space]
        x = m.input((m.pick(1, 1, 2), m.r.randint(1, 2), *space))
        return m.model([m.node(op, x, **more)])
    return make


def whole(op: str) -> Callable[[Maker], bytes]:
    def make(m: Maker) -> bytes:
        return m.model([m.node(op, m.input(m.shape(2 if m.wrong() else 3, 4)))])
    return make


def reduced(op: str, since: int) -> Callable[[Maker], bytes]:
    def make(m: Maker) -> bytes:
        shape = m.shape(1 if m.odds(0.9) else 0, 3)
        x = m.input(shape)
        if m.odds(0.05):
            x = m.const(np.round(m.dyadics(shape)), INT64)
        noop = m.pick(None, 0, 1) if (m.opset >= since) != m.wrong() else None
        axes = m.pick(None, m.axes(len(shape)), m.axes(len(shape)))
        y = with_axes(m, op, x, axes, since, keepdims=m.pick(None, 0, 1, 2 if m.wrong() else 0),
                      noop_with_empty_axes=noop)
        return m.model([y], [m.pick(0, m.kind)])
    return make


def softmax(op: str) -> Callable[[Maker], bytes]:
    def make(m: Maker) -> bytes:
        shape = m.shape(1, 3)
        return m.model([m.node(op, m.input(shape), axis=m.pick(None, m.axis(len(shape))))])
    return make


def normalization(m: Maker) -> bytes:
    channels = m.r.randint(1, 3)
    shape = m.pick((2, channels), (1, channels, 2), (1, channels, 2, 2), (channels,))
    given = [m.dyadics((channels,)) for _ in range(3)]
    given.append(np.abs(m.dyadics((channels,))) + m.pick(0.25, 0.25, 0.0))
    kinds = [m.kind] * 4
    if m.odds(0.15):
        kinds[2] = kinds[3] = m.pick(FLOAT, DOUBLE)
    if m.odds(0.1):
        kinds[0] = kinds[1] = m.pick(FLOAT, DOUBLE)
    old = m.opset < 9
    more = {
        "epsilon": m.pick(None, 0.5, 0.001), "momentum": m.pick(None, 0.5),
        "spatial": m.pick(None, 0, 1) if old != m.wrong() else None,
        "training_mode": m.pick(None, 0, 1) if (m.opset >= 14) != m.wrong() else None,
    }
    names = [m.const(v, k) for v, k in zip(given, kinds, strict=True)]
    return m.model([m.node("BatchNormalization", m.input(shape), *names, **more)])


def resize(m: Maker) -> bytes:
    rank = m.pick(1, 2)
    space = [m.r.randint(1, 4) for _ in range(rank)]
    shape = (1, m.r.randint(1, 2), *space)
    more: dict[str, Any] = {"mode": m.pick(None, "nearest", "linear", "cubic" if m.wrong() else
                                           "linear")}
    if m.opset >= 11:
        more["coordinate_transformation_mode"] = m.pick(
            None, "half_pixel", "asymmetric", "align_corners", "pytorch_half_pixel",
            "tf_half_pixel_for_nn", "half_pixel_symmetric", "tf_crop_and_resize")
        more["nearest_mode"] = m.pick(None, "round_prefer_floor", "round_prefer_ceil", "floor",
                                      "ceil")
    if m.opset >= 18:
        more["antialias"] = m.pick(None, None, None, 0, 1)
        more["keep_aspect_ratio_policy"] = m.pick(None, None, None, "stretch", "not_larger")
    scales = [1.0, 1.0, *(m.pick(2.0, 1.0, 0.5, 1.5, 3.0) for _ in space)]
    sizes = [*shape[:2], *(m.r.randint(1, 6) for _ in space)]
    x = m.input(shape)
    if m.opset < 11:
        return m.model([m.node("Resize", x, m.const(np.array(scales), FLOAT), **more)])
    given = [m.pick("", m.const(np.zeros(0), FLOAT))]
    given += [m.const(np.array(scales), FLOAT)] if m.odds(0.5) else ["", m.ints(sizes)]
    if m.opset >= 18 and m.odds(0.2):
        more["axes"] = m.pick([2, 3][:rank], [-1], [3, 2][:rank])
    return m.model([m.node("Resize", x, *given, **more)])


def upsample(m: Maker) -> bytes:
    shape = (1, m.r.randint(1, 2), m.r.randint(1, 3), m.r.randint(1, 3))
    scales = [1.0, 1.0, m.pick(1.0, 2.0, 1.5), m.pick(2.0, 3.0)]
    mode = m.pick(None, "nearest", "linear")
    x = m.input(shape)
    if (m.opset < 9) != m.wrong():
        return m.model([m.node("Upsample", x, mode=mode, scales=scales)])
    return m.model([m.node("Upsample", x, m.const(np.array(scales), FLOAT), mode=mode)])


def scaler(m: Maker) -> bytes:
    n = m.r.randint(1, 3)
    lists = {k: [m.r.randint(-8, 8) / 4 for _ in range(m.pick(n, n, 1, n + m.wrong()))]
             for k in ("offset", "scale")}
    if m.wrong():
        lists.pop("offset")
    return m.model([m.node("Scaler", m.input((2, n), FLOAT), domain="ai.onnx.ml", **lists)],
                   [FLOAT])


def conv_transpose(m: Maker) -> bytes:
    return conv(m, "ConvTranspose")


MAKERS: Mapping[str, Callable[[Maker], bytes]] = {
    "Gemm": gemm, "Einsum": einsum, "MatMul": matmul, "Conv": conv, "ConvTranspose": conv_transpose,
    **{op: pool(op) for op in ("MaxPool", "AveragePool")},
    **{op: whole(op) for op in ("GlobalMaxPool", "GlobalAveragePool")},
    "ReduceSum": reduced("ReduceSum", 13),
    **{op: reduced(op, 18) for op in ("ReduceMean", "ReduceMax", "ReduceMin", "ReduceL1",
                                      "ReduceL2", "ReduceSumSquare")},
    **{op: softmax(op) for op in ("Softmax", "LogSoftmax")},
    "BatchNormalization": normalization, "Resize": resize, "Upsample": upsample, "Scaler": scaler,
}
