"""Random models of elementwise, boolean and integer operators, types and constants."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from tests.readings.onnx_maker import BOOL, DOUBLE, FLOAT, HALF, INT32, INT64, Maker

FLT_MAX = float(np.finfo(np.float32).max)


def binary(op: str) -> Callable[[Maker], bytes]:
    def make(m: Maker) -> bytes:
        shape = m.shape()
        pair = [m.floats(shape, known=0.2), m.floats(m.fitting(shape), known=0.6)]
        m.r.shuffle(pair)
        if op == "Div":
            pair[1] = m.const(np.abs(m.dyadics(m.fitting(shape))) + m.pick(0.5, 1, 1, 0), m.kind)
        if m.wrong():
            pair[1] = m.const(m.dyadics(shape), m.pick(FLOAT, DOUBLE, INT64, HALF))
        return m.model([m.node(op, *pair)])
    return make


def many(op: str) -> Callable[[Maker], bytes]:
    def make(m: Maker) -> bytes:
        shape = m.shape()
        given = [m.floats(m.fitting(shape) if k else shape, known=0.4)
                 for k in range(m.r.randint(1, 3))]
        if m.wrong():
            given[-1] = m.floats(shape, m.pick(FLOAT, DOUBLE))
        return m.model([m.node(op, *given)])
    return make


def unary(op: str, **attributes: float) -> Callable[[Maker], bytes]:
    def make(m: Maker) -> bytes:
        x = m.floats(m.shape(), known=0.1)
        if m.odds(0.1):
            x = m.const(m.dyadics((2,)), m.pick(FLOAT, DOUBLE, INT32, INT64))
        chosen = {k: m.pick(v, -v, 2.0, 0.0) for k, v in attributes.items() if m.odds(0.7)}
        y = m.node(op, x, **chosen)
        return m.model([y], [0] if m.odds(0.1) else None)
    return make


def smooth(op: str) -> Callable[[Maker], bytes]:
    def make(m: Maker) -> bytes:
        shape = m.shape()
        x = m.input(shape)
        if op in ("Log", "Sqrt", "Reciprocal"):
            x = m.node("Add", m.node("Abs", x), m.const(np.ones(()), m.kind))
        return m.model([m.node(op, x)])
    return make


def gelu(m: Maker) -> bytes:
    m.opset = max(m.opset, 20)
    how = m.pick(None, "none", "tanh", "other" if m.wrong() else "none")
    return m.model([m.node("Gelu", m.input(m.shape()), approximate=how)])


def layer_normalization(m: Maker) -> bytes:
    m.opset = max(m.opset, 17)
    shape = m.shape(1, 3)
    axis = m.axis(len(shape))
    inner = shape[axis:] if -len(shape) <= axis < len(shape) else shape
    given = [m.const(m.dyadics(inner), m.kind) for _ in range(m.pick(1, 2, 2))]
    return m.model([m.node("LayerNormalization", m.input(shape), *given, axis=axis,
                           epsilon=m.pick(None, 0.25), stash_type=m.pick(None, 1))])


def clip(m: Maker) -> bytes:
    """Bounds at the ends of the floats, out of order, left out, of several elements."""
    x = m.floats(m.shape(), known=0.1)
    ends = [m.pick(-1.0, 0.0, 0.5, -FLT_MAX, FLT_MAX, -1e30, 2.0, None) for _ in range(2)]
    if ends[0] is not None and ends[1] is not None and not m.wrong():
        ends.sort()
    if m.odds(0.15):
        factor = m.const(np.array(m.pick(FLT_MAX / 64, 1e30)), m.kind)
        x = m.node("Mul", x, factor)
    if (m.opset < 11) != m.wrong():
        y = m.node("Clip", x, min=ends[0], max=ends[1])
    else:
        kind = m.pick(FLOAT, DOUBLE) if m.wrong() else m.kind
        names = ["" if v is None else m.const(np.array(v).reshape(m.pick((), (), (1,))), kind)
                 for v in ends]
        while names and not names[-1] and m.odds(0.7):
            names.pop()
        y = m.node("Clip", x, *names)
    if m.odds(0.2):
        y = m.node("Mul", y, m.const(np.array(2.0**-100), m.kind))
    return m.model([y])


def prelu(m: Maker) -> bytes:
    shape = m.shape(1, 4)
    return m.model([m.node("PRelu", m.input(shape), m.const(
        m.dyadics(m.fitting(shape)), m.kind))])


def power(m: Maker) -> bytes:
    shape = m.shape()
    exponent = m.pick(0.0, 1.0, 2.0, 3.0, -1.0, 0.5, 1.5)
    x = m.input(shape)
    if exponent in (-1.0, 0.5, 1.5):
        x = m.node("Add", m.node("Abs", x), m.const(np.ones(()), m.kind))
    whole = exponent == int(exponent) and m.odds(0.2)
    e = m.const(np.full(m.pick((), (1,), shape), exponent), INT64 if whole else m.kind)
    return m.model([m.node("Pow", x, e)])


# --- conditions ---------------------------------------------------------------------------------


def condition(m: Maker, x: str, shape: tuple[int, ...]) -> str:
    """A boolean tensor: compared floats, stored booleans, compared integers."""
    how = m.r.random()
    if how < 0.65:
        op = m.pick("Greater", "Less", *(["GreaterOrEqual", "LessOrEqual"]
                                         if m.opset >= 12 or m.wrong() else []))
        return str(m.node(op, x, m.floats(m.fitting(shape), known=0.7)))
    if how < 0.75:
        return m.const(np.array([m.r.randint(0, 1) for _ in range(int(np.prod(shape)))]
                                ).reshape(shape), BOOL)
    if how < 0.85:
        pair = [m.const(np.array([m.r.randint(0, 2) for _ in range(int(np.prod(shape)))]
                                 ).reshape(shape), m.pick(INT64, FLOAT)) for _ in range(2)]
        return str(m.node("Equal", *pair))
    return str(m.node(m.pick("Greater", "Less"), m.floats(shape, known=0.5), x))


def conditions(m: Maker) -> bytes:
    """And, Or, Not of conditions; then Where, Cast or the boolean itself."""
    shape = m.shape(1, 2)
    x = m.input(shape)
    c = condition(m, x, shape)
    for _ in range(m.r.randint(0, 2)):
        op = m.pick("Not", "And", "Or", "Transpose", "Identity")
        if op in ("And", "Or"):
            c = m.node(op, *m.r.sample([c, condition(m, x, shape)], 2))
        elif op == "Not":
            c = m.node("Not", c)
        elif op == "Identity":
            c = m.node("Identity", c)
    end = m.r.random()
    if end < 0.5:
        wrong = m.odds(0.2)
        c = m.node("Cast", c, to=m.pick(FLOAT, DOUBLE, INT64, BOOL, HALF) if wrong else m.kind)
        y = m.node("Mul", x, c)
    elif end < 0.9:
        if m.opset < 9:
            m.opset = 9
        pair = m.r.sample([x, m.floats(m.fitting(shape), known=0.7)], 2)
        y = m.node("Where", c, *pair)
    else:
        return m.model([x, c], [m.kind, BOOL])
    return m.model([y])


# --- integers and types -------------------------------------------------------------------------

NASTY = (0, 1, 2, 3, -1, -7, 2**31 - 1, -(2**31), 2**24 + 1, 2**30, 2**53 + 1, 2**62, 2**63 - 1)


def integers(m: Maker) -> bytes:
    """Arithmetic on integers that ends in a float, or only in an output that nobody reads."""
    kind = m.pick(INT32, INT64)
    top = 2**31 if kind == INT32 else 2**63
    numbers = [v for v in NASTY if -top <= v < top and (abs(v) < 10 or m.odds(0.4))]
    a = m.const(np.array([m.r.choice(numbers) for _ in range(2)], dtype=object), kind)
    b = m.const(np.array([m.r.choice(numbers) for _ in range(2)], dtype=object), kind)
    for _ in range(m.r.randint(0, 2)):
        op = m.pick("Add", "Sub", "Mul", "Div", "Neg", "Abs", "Max", "Min", "Identity", "Relu",
                    "Sign", "ReduceSum", "Clip")
        a = m.node(op, *([a, b] if op in ("Add", "Sub", "Mul", "Div", "Max", "Min") else [a]))
    x = m.input((2,))
    end = m.r.random()
    if end < 0.6:
        to = m.pick(FLOAT, DOUBLE, BOOL) if m.odds(0.2) else m.kind
        y = m.node("Add", x, m.node("Cast", a, to=to))
        return m.model([y])
    if end < 0.8:
        y = m.node("Where", m.node(m.pick("Equal", "Less", "Greater"), a, b), x,
                   m.const(m.dyadics((2,)), m.kind))
        return m.model([y])
    return m.model([m.node("Relu", x), a], [m.kind, kind])


def cast(m: Maker) -> bytes:
    """Casts of constants that overflow, round or wrap; of computed floats; chains of them."""
    kinds = (FLOAT, DOUBLE, INT32, INT64, BOOL, HALF)
    if m.odds(0.3):
        y = m.input((2,))
    else:
        kind = m.pick(*kinds)
        values = {
            FLOAT: (0.5, -1.5, 0.1, 1e30, FLT_MAX, 70000.0, 0.0),
            DOUBLE: (0.5, -1.5, 0.1, 1e39, -1e300, 2.0**-1060, FLT_MAX, 1 + 2.0**-30),
            INT32: (0, 1, -3, 2**31 - 1, 2**24 + 1), BOOL: (0, 1), HALF: (0.5, 1.5, 65504.0, 0.1),
            INT64: (0, 1, -3, 2**31, 2**24 + 1, 2**53 + 1, 2**40),
        }[kind]
        y = m.const(np.array([m.r.choice(values) for _ in range(2)], dtype=object), kind)
    for _ in range(m.r.randint(1, 3)):
        if m.odds(0.15) and m.opset >= 15:
            y = m.node("CastLike", y, m.const(np.ones(1), m.pick(*kinds)))
        else:
            saturate = m.pick(0, 1, None, None) if m.opset >= 19 or m.wrong() else None
            y = m.node("Cast", y, to=m.pick(*kinds, m.kind, m.kind, m.kind), saturate=saturate)
    y = m.node("Cast", y, to=m.kind)
    return m.model([m.node("Add", y, m.input((2,)))])


def constant(m: Maker) -> bytes:
    """Constants of every type and storage next to an input."""
    shape = m.shape(0, 2)
    c = m.const(m.dyadics(shape), m.pick(m.kind, m.kind, FLOAT, DOUBLE, INT64, HALF))
    if m.odds(0.3):
        c = m.node("Identity", c)
    return m.model([m.node("Add", m.input(shape), c)])


def far(m: Maker) -> bytes:
    """Constants at the end of their type, and products of them beyond it."""
    big = m.const(np.array([m.pick(1e30, FLT_MAX, 1e20, 1.0)]), m.kind)
    other = m.const(np.array([m.pick(1e30, -1e20, 2.0, 1e-30)]), m.kind)
    c = m.node(m.pick("Mul", "Add", "Sub", "Div"), big, other)
    x = m.input((2,))
    return m.model([m.node("Min", x, c) if m.odds(0.5) else m.node("Max", x, c)])


def dropout(m: Maker) -> bytes:
    x = m.input(m.shape(1, 3))
    outputs = m.pick(1, 1, 2)
    if (m.opset < 12) != m.wrong():
        made = m.node("Dropout", x, outputs=outputs, ratio=m.pick(None, 0.3))
    else:
        more = [m.const(np.array(0.5), m.pick(FLOAT, DOUBLE)), m.const(
            np.array(m.pick(0, 0, 0, 1)), BOOL)][:m.r.randint(0, 2)]
        if m.odds(0.2) and len(more) == 2:
            more[0] = ""
        made = m.node("Dropout", x, *more, outputs=outputs, seed=m.pick(None, 3))
    return m.model([made if outputs == 1 else made[0]])


MAKERS: Mapping[str, Callable[[Maker], bytes]] = {
    **{op: binary(op) for op in ("Add", "Sub", "Mul", "Div")},
    **{op: many(op) for op in ("Max", "Min", "Sum", "Mean")},
    **{op: unary(op) for op in ("Relu", "Abs", "Neg", "Sign", "HardSwish", "Identity")},
    **{op: smooth(op) for op in ("Sigmoid", "Tanh", "Exp", "Erf", "Sin", "Cos", "Log", "Sqrt",
                                 "Reciprocal", "Selu", "Softplus")},
    "Gelu": gelu, "LayerNormalization": layer_normalization,
    "LeakyRelu": unary("LeakyRelu", alpha=0.25), "Elu": unary("Elu", alpha=0.5),
    "HardSigmoid": unary("HardSigmoid", alpha=0.25, beta=0.5),
    "Celu": unary("Celu", alpha=0.5),
    "Clip": clip, "PRelu": prelu, "Pow": power, "(conditions)": conditions,
    "(integers)": integers, "Cast": cast, "Constant": constant, "(far constants)": far,
    "Dropout": dropout,
}
