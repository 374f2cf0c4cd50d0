"""Random models of operators that move elements, and of integers that end as shapes or indices."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from tests.readings.onnx_maker import BOOL, FLOAT, INT32, INT64, Maker

INT_MAX, LONG_MAX = 2**31 - 1, 2**63 - 1


def data(m: Maker, shape: tuple[int, ...]) -> str:
    """What is moved: floats of the network, now and then constants of another type."""
    if m.odds(0.08):
        return m.const(np.round(m.dyadics(shape)), m.pick(INT64, INT32, BOOL, FLOAT))
    return m.input(shape)


def done(m: Maker, y: str) -> bytes:
    return m.model([y], [m.pick(0, m.kind, m.kind, m.kind)])


def reshape(m: Maker) -> bytes:
    shape = m.shape(1, 3)
    wanted = m.pick(
        [-1], [*shape[::-1]], [0, -1], [0] * len(shape), [int(np.prod(shape))], [-1, 1],
        [1, *shape], [0, 0, -1], [-1, -1], [2, -1], [0], [])
    keep = m.pick(None, None, 0, 1) if m.opset >= 14 or m.wrong() else None
    s = m.ints(wanted)
    if m.odds(0.03):
        s = m.ints([int(np.prod(shape))], shape=())
    return done(m, m.node("Reshape", data(m, shape), s, allowzero=keep))


def flatten(m: Maker) -> bytes:
    shape = m.shape(0, 4)
    axis = m.r.randint(-len(shape) - m.wrong(), len(shape) + m.wrong())
    return done(m, m.node("Flatten", data(m, shape), axis=m.pick(None, axis, axis)))


def with_axes(m: Maker, op: str, x: str, axes: list[int] | None, since: int,
              **more: object) -> str:
    """`axes` as an attribute before an operator set, then as an input (rarely the wrong way)."""
    if axes is None:
        return str(m.node(op, x, **more))
    if (m.opset < since) != m.wrong():
        return str(m.node(op, x, axes=axes, **more))
    return str(m.node(op, x, m.ints(axes), **more))


def squeeze(m: Maker) -> bytes:
    shape = tuple(m.pick(1, 1, 2, 3) for _ in range(m.r.randint(1, 4)))
    ones = [k - m.pick(0, len(shape)) for k, d in enumerate(shape) if d == 1 and m.odds(0.6)]
    axes = m.pick(None, ones, m.axes(len(shape)) if m.wrong() else ones)
    return done(m, with_axes(m, "Squeeze", data(m, shape), axes, 13))


def unsqueeze(m: Maker) -> bytes:
    shape = m.shape(0, 3)
    axes = m.axes(len(shape) + m.r.randint(1, 2))
    return done(m, with_axes(m, "Unsqueeze", data(m, shape), axes, 13))


def transpose(m: Maker) -> bytes:
    shape = m.shape(1, 4)
    perm = list(range(len(shape)))
    m.r.shuffle(perm)
    if m.wrong():
        perm[0] -= len(perm)
    return done(m, m.node("Transpose", data(m, shape), perm=m.pick(None, perm, perm)))


def concat(m: Maker) -> bytes:
    shape = list(m.shape(1, 3))
    axis, parts = m.axis(len(shape)), []
    for _ in range(m.r.randint(1, 3)):
        if -len(shape) <= axis < len(shape):
            shape[axis] = m.r.randint(1, 3)
        parts.append(m.floats(tuple(shape), known=0.4))
    if m.wrong():
        parts.append(m.floats((1, *shape)))
    return done(m, m.node("Concat", *parts, axis=None if m.wrong() else axis))


def split(m: Maker) -> bytes:
    shape = list(m.shape(1, 3))
    axis, n = m.axis(len(shape)), m.r.randint(1, 4)
    sizes = [m.r.randint(0 if m.odds(0.1) else 1, 3) for _ in range(n)]
    if -len(shape) <= axis < len(shape):
        shape[axis] = m.pick(sum(sizes), n * m.r.randint(1, 2), m.r.randint(1, 9))
    x, given = data(m, tuple(shape)), m.odds(0.5)
    parts = None if given else (n if (m.opset >= 18) != m.wrong() else None)
    if m.wrong() and parts:
        parts += 1
    if not given:
        made = m.node("Split", x, outputs=n, axis=axis, num_outputs=parts)
    elif (m.opset < 13) != m.wrong():
        made = m.node("Split", x, outputs=n, axis=axis, split=sizes)
    else:
        made = m.node("Split", x, m.ints(sizes), outputs=n, axis=m.pick(axis, axis, None))
    return done(m, m.r.choice(made) if n > 1 else made)


def slice_(m: Maker) -> bytes:
    """Ends beyond the axis, INT_MAX, negative steps, axes from either end."""
    shape = m.shape(1, 3, 5)
    axes = m.axes(len(shape)) or [0]
    steps = [m.pick(1, 1, 1, 2, -1, -1, -2, 3, 0 if m.wrong() else 1, INT_MAX) for _ in axes]
    starts = [m.pick(0, 1, -1, 2, -2, -7, 9, INT_MAX, -INT_MAX) if m.odds(0.2)
              else m.pick(0, 0, 1) if s > 0 else m.pick(-1, -1, 2, 1) for s in steps]
    ends = [m.pick(0, 1, -1, 2, 5, -7, INT_MAX, LONG_MAX, -INT_MAX, -LONG_MAX - 1)
            if m.odds(0.3) else m.pick(2, 3, 5, INT_MAX, LONG_MAX) if s > 0
            else m.pick(-7, 0, -INT_MAX, -LONG_MAX - 1) for s in steps]
    x = data(m, shape)
    if (m.opset < 10) != m.wrong():
        return done(m, m.node("Slice", x, starts=starts, ends=ends,
                              axes=m.pick(None, axes, axes)))
    kind = INT64 if any(abs(v) > INT_MAX for v in ends) else m.pick(INT32, INT64)
    more = [m.ints(v, kind) for v in (starts, ends, axes, steps)][:m.pick(2, 3, 4, 4, 4)]
    if len(more) == 4 and m.odds(0.1):
        more[2] = ""
    return done(m, m.node("Slice", x, *more))


def gather(m: Maker) -> bytes:
    shape = m.shape(1, 3)
    axis = m.axis(len(shape))
    size = shape[axis] if -len(shape) <= axis < len(shape) else 1
    index = [m.r.randint(-size - m.wrong(), max(size - 1, 0) + m.wrong())
             for _ in range(m.r.randint(1, 4))]
    like = m.pick((len(index),), (1, len(index)), (len(index), 1))
    if m.odds(0.2):
        index, like = index[:1], ()
    return done(m, m.node("Gather", data(m, shape), m.ints(index, m.pick(INT32, INT64), like),
                          axis=m.pick(axis, axis, None if -1 <= axis <= 0 else axis)))


def pad(m: Maker) -> bytes:
    """Every mode, negative pads, values of other types, axes."""
    shape = m.shape(1, 3)
    mode = m.pick("constant", "constant", "constant", "reflect", "edge", "wrap", None)
    if m.opset < 19 and mode == "wrap" and not m.wrong():
        mode = "edge"
    axes = m.axes(len(shape)) if m.opset >= 18 and m.odds(0.4) else None
    count = len(shape) if axes is None else len(axes)
    low = -2 if m.odds(0.4) else 0
    pads = [m.r.randint(low, 2) for _ in range(2 * count)]
    x, value = data(m, shape), m.pick(None, None, 0.0, 0.5, -2.0)
    if (m.opset < 11) != m.wrong():
        return done(m, m.node("Pad", x, mode=mode, pads=pads, value=value))
    more = [m.ints(pads)]
    if value is not None or axes is not None:
        kind = m.pick(FLOAT, INT64) if m.wrong() else m.kind
        more.append("" if value is None else m.const(
            np.array(value).reshape(m.pick((), (), (1,))), kind))
    if axes is not None:
        more.append(m.ints(axes, m.pick(INT32, INT64)))
    return done(m, m.node("Pad", x, *more, mode=mode))


def expand(m: Maker) -> bytes:
    shape = m.shape(1, 3)
    like = m.fitting(shape)
    wanted = m.pick(list(shape), [2, *shape], [1], list(like), [-1 if m.wrong() else 1, *shape])
    return done(m, m.node("Expand", data(m, like), m.ints(wanted)))


def tile(m: Maker) -> bytes:
    shape = m.shape(1, 3)
    repeats = [m.pick(1, 2, 3, 0 if m.wrong() else 1) for _ in shape]
    return done(m, m.node("Tile", data(m, shape), m.ints(repeats + [1] * m.wrong())))


def blocks(op: str) -> Callable[[Maker], bytes]:
    def make(m: Maker) -> bytes:
        b = m.pick(1, 2, 2, 3)
        n, c, h, w = (m.r.randint(1, 2) for _ in range(4))
        shape = (n, c * b * b, h, w) if op == "DepthToSpace" else (n, c, h * b, w * b)
        mode = m.pick(None, "DCR", "CRD") if op == "DepthToSpace" and (
            (m.opset >= 11) != m.wrong()) else None
        return done(m, m.node(op, m.input(shape), blocksize=b, mode=mode))
    return make


def scatter(m: Maker) -> bytes:
    shape = m.shape(1, 2)
    axis = m.axis(len(shape))
    like = tuple(m.r.randint(1, d) if d else 0 for d in shape)
    size = shape[axis] if -len(shape) <= axis < len(shape) else 1
    count = int(np.prod(like))
    index = [m.r.randint(-size, size - 1) if size else 0 for _ in range(count)]
    how = m.pick(None, "none", "add", "mul", "max") if m.opset >= 16 or m.wrong() else None
    return done(m, m.node("ScatterElements", m.input(shape), m.ints(index, INT64, like),
                          m.floats(like), axis=axis, reduction=how))


def gather_elements(m: Maker) -> bytes:
    shape = m.shape(1, 3)
    axis = m.axis(len(shape))
    like = tuple(m.r.randint(1, d + m.wrong()) if d else 0 for d in shape)
    size = shape[axis] if -len(shape) <= axis < len(shape) else 1
    index = [m.r.randint(-size - m.wrong(), size - 1) if size else 0
             for _ in range(int(np.prod(like)))]
    return done(m, m.node("GatherElements", data(m, shape), m.ints(index, INT64, like),
                          axis=m.pick(axis, axis, None)))


def scatter_nd(m: Maker) -> bytes:
    shape = m.shape(1, 3)
    depth = m.r.randint(1, len(shape) + m.wrong())
    lead = m.shape(0, 2, 2)
    count = int(np.prod(lead))
    index = [m.r.randint(-d - m.wrong(), d - 1) if d else 0
             for _ in range(count) for d in [*shape, 1][:depth]]
    how = m.pick(None, "none", "add", "add", "mul") if m.opset >= 16 or m.wrong() else None
    updates = (*lead, *shape[depth:], *([1] if m.wrong() else []))
    return done(m, m.node("ScatterND", m.input(shape), m.ints(index, INT64, (*lead, depth)),
                          m.floats(updates), reduction=how))


def shape_of(m: Maker) -> bytes:
    """Shape with its ends, then whatever turns it into the shape of something."""
    shape = m.shape(1, 4)
    x = m.input(shape)
    ends = {}
    if (m.opset >= 15) != m.wrong():
        ends = {"start": m.pick(None, m.r.randint(-5, 5)), "end": m.pick(None, m.r.randint(-5, 5))}
    s = m.node("Shape", x, **ends)
    if m.odds(0.3):
        return m.model([m.node("Relu", x), s], [m.kind, INT64])
    return done(m, m.node("ConstantOfShape", s, **filled(m)))


def filled(m: Maker) -> dict[str, object]:
    shape = m.pick((1,), (1,), (1,), (), (2,))
    value = m.tensor(m.dyadics(shape), m.pick(m.kind, FLOAT, INT64), "v")
    return {"value": m.pick(None, value, value)}


def constant_of_shape(m: Maker) -> bytes:
    shape = m.shape(0, 3)
    c = m.node("ConstantOfShape", m.ints(list(shape)), **filled(m))
    return done(m, m.node("Add", m.input(shape), c))


def pipeline(m: Maker) -> bytes:
    """Integers that end as a shape: Shape, Gather, arithmetic, Concat, Reshape."""
    x = m.input((2, 3, 4))
    s = m.node("Shape", x)
    k = m.const(np.array(m.r.randint(-3, 2)), m.pick(INT64, INT32))
    a = m.node("Gather", s, k, axis=0)
    b = m.node("Gather", s, m.const(np.array(m.r.randint(0, 2)), INT64))
    for _ in range(m.r.randint(0, 2)):
        two = m.const(np.array(2), INT64)
        a = m.node(m.pick("Mul", "Add", "Div", "Sub", "Mod"), a, m.pick(b, two))
    if m.odds(0.2):
        a = m.node("Cast", m.node("Cast", a, to=m.pick(FLOAT, INT32, INT64)), to=INT64)
    end = m.r.random()
    if end < 0.2:
        return done(m, m.node("Div", x, m.node("Cast", m.pick(a, m.node("Size", x)), to=m.kind)))
    listed = [m.node("Unsqueeze", a, axes=[0]) if m.opset < 13 else m.node(
        "Unsqueeze", a, m.ints([0]))]
    listed.append(m.ints([-1]))
    shape = m.node("Concat", *listed, axis=0)
    if end < 0.4:
        one = m.node("ConstantOfShape", m.node("Shape", shape), value=m.tensor(
            np.ones(1), INT64, "v"))
        shape = m.node("Where", m.node("Equal", shape, m.ints([-1])), one, shape)
        return done(m, m.node("Expand", m.input((1, 1)), shape))
    return done(m, m.node("Reshape", x, shape))


def range_(m: Maker) -> bytes:
    """A range as indices, as floats, or compared."""
    kind = m.pick(INT64, INT64, INT32, FLOAT)
    ends = [m.const(np.array(v), kind) for v in (
        m.r.randint(-2, 2), m.r.randint(0, 4), m.pick(1, 2, -1, 0 if m.wrong() else 1))]
    r = m.node("Range", *ends)
    x = m.input((5,))
    if m.odds(0.6):
        return done(m, m.node("Gather", x, r))
    return done(m, m.node("Add", m.input((1,)), m.node("Cast", r, to=m.kind)))


def extractor(m: Maker) -> bytes:
    shape = m.shape(1, 2)
    top = max(shape[-1] - 1, 0)
    index = [m.r.randint(-m.wrong(), top + m.wrong()) for _ in range(m.r.randint(1, 3))]
    return done(m, m.node("ArrayFeatureExtractor", m.input(shape), m.ints(index),
                          domain="ai.onnx.ml"))


MAKERS: Mapping[str, Callable[[Maker], bytes]] = {
    "Reshape": reshape, "Flatten": flatten, "Squeeze": squeeze, "Unsqueeze": unsqueeze,
    "Transpose": transpose, "Concat": concat, "Split": split, "Slice": slice_, "Gather": gather,
    "Pad": pad, "Expand": expand, "Tile": tile, "DepthToSpace": blocks("DepthToSpace"),
    "SpaceToDepth": blocks("SpaceToDepth"), "ScatterElements": scatter,
    "ScatterND": scatter_nd, "GatherElements": gather_elements, "Shape": shape_of,
    "ConstantOfShape": constant_of_shape, "(shape arithmetic)": pipeline, "Range": range_,
    "ArrayFeatureExtractor": extractor,
}
