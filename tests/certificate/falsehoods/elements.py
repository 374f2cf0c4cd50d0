"""Element types and storage: what a tensor's bytes stand for, and what arithmetic its type has."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import numpy as np
from onnx import TensorProto

from tests.certificate.falsehoods.claims import Kind
from tests.certificate.falsehoods.cores import DOUBLE, Core, chain, ints, of_networks, op, weights
from tests.certificate.falsehoods.wire import (
    NODES,
    block,
    fields,
    named,
    number,
    raw_tensor,
    reals,
    stored_as,
    whole,
    within,
)

Pair = tuple[Core, Core]
R = random.Random
CAST = ("Cast", "m", "f", {"to": 1})
ADD = ("Add", "h,f", "c", {})


def made(kind: str, dtype: Any, *values: Any, attributes: dict[str, Any] | None = None,
         opset: int = 17) -> Core:
    """h plus what an operator makes of constants of a type, cast to float."""
    stored = {f"k{i}": np.array(v, dtype) for i, v in enumerate(values)}
    node = (kind, ",".join(stored), "m", attributes or {})
    return chain((1, 2), node, CAST, ADD, opset=opset, **stored)


def taken(values: Any) -> Core:
    """The same with what a reader without types would make."""
    return chain((1, 2), ADD, f=np.array(values, np.float32))


# --- arithmetic of types --------------------------------------------------------------------


def sum_wraps(g: R) -> Pair:
    v = g.choice((1 << 30, (1 << 30) + (1 << 24), 3 << 29))
    return made("Add", np.int32, [v, v], [v, v]), taken([2.0 * v] * 2)


def product_wraps(g: R) -> Pair:
    v = 1 << g.randint(16, 20)
    return made("Mul", np.int32, [v, v], [v, 1]), taken([float(v) * v, v])


def difference_wraps(g: R) -> Pair:
    v = -(1 << 31)
    w = 1 << g.randint(24, 30)
    return made("Sub", np.int32, [v, 0], [w, 0]), taken([float(v - w), 0])


def negative_wraps(g: R) -> Pair:
    return made("Neg", np.int32, [-(1 << 31), g.choice((1, -8))]), taken([float(1 << 31), 0])


def magnitude_wraps(g: R) -> Pair:
    return made("Abs", np.int32, [-(1 << 31), g.choice((1, -8))]), taken([float(1 << 31), 0])


def long_wraps(g: R) -> Pair:
    v = 1 << 62
    if g.random() < 0.5:
        return made("Add", np.int64, [v, 1], [v, 1]), taken([2.0**63, 2])
    return made("Mul", np.int64, [v, 1], [g.choice((2, 4)), 1]), taken([2.0**64, 1])


def total_wraps(g: R) -> Pair:
    v = 1 << g.choice((30, 31 - 1))
    pair = made("ReduceSum", np.int32, [[v, v, v]], attributes={"axes": [1]}, opset=11)
    return pair, taken([3.0 * v] * 2)


def matrix_wraps(g: R) -> Pair:
    v = 1 << g.randint(16, 20)
    core = made("MatMul", np.int32, [[v, v]], [[v, 0], [v, 1]])
    return core, taken([2.0 * v * v, v])


def narrowed(g: R) -> Pair:
    v = (1 << g.randint(32, 40)) + g.randint(0, 3)
    core = chain((1, 2), ("Cast", "k", "m", {"to": 6}), CAST, ADD, k=ints(v, 1))
    return core, taken([float(v), 1])


def mean_truncates(g: R) -> Pair:
    a, b = g.randint(1, 9), 2 * g.randint(1, 5)
    kind, width = g.choice((np.int32, np.int64)), 2
    values = [[a, a + 1 + 2 * b], [a, a]]
    core = made("ReduceMean", kind, values, attributes={"axes": [1], "keepdims": 0})
    return core, taken([sum(values[0]) / width, a])


def quotient_truncates(g: R) -> Pair:
    a, b = g.choice((-1, 1)) * (2 * g.randint(1, 9) + 1), g.choice((2, 4))
    core = made("Div", g.choice((np.int32, np.int64)), [a, b], [b, b])
    return core, taken([a / b, 1])


def remainder(g: R) -> Pair:
    a = g.randint(1, 9)
    return (made("Mod", np.int64, [-a, a], [7, 7]),
            made("Mod", np.int64, [-a, a], [7, 7], attributes={"fmod": 1}))


def to_integer(g: R) -> Pair:
    """Casting to whole numbers drops the fraction, of computed values too."""
    core = chain((1, 2), ("Cast", "h", "i", {"to": g.choice((6, 7))}),
                 ("Cast", "i", "c", {"to": 1}))
    return core, op((1, 2), "Identity")


def to_bool(g: R) -> Pair:
    core = chain((1, 2), ("Cast", "h", "b", {"to": 9}), ("Cast", "b", "c", {"to": 1}))
    return core, op((1, 2), "Identity")


def constant_to_bool(g: R) -> Pair:
    v = g.choice((2.0, 7.5, -3.0))
    core = chain((1, 2), ("Cast", "k", "m", {"to": 9}), CAST, ADD, k=np.array([v, 0], np.float32))
    return core, taken([v, 0])


def to_half(g: R) -> Pair:
    """1/2**30 is no float16, 70000 is beyond them."""
    v = g.choice((70000.0, 1e30))
    core = chain((1, 2), ("Cast", "k", "m", {"to": 10}), CAST, ADD, k=np.array([v, 1], np.float32))
    return core, taken([v, 1])


def overflow(g: R) -> Pair:
    """A double beyond the floats becomes an infinity."""
    k = np.array([g.choice((-1, 1)) * 2.0 ** g.randint(129, 140), 0])
    core = chain((1, 2), ("Cast", "k", "m", {"to": 1}), ("Cast", "m", "d", {"to": 11}),
                 ("Add", "h,d", "c", {}), k=k)
    plain = chain((1, 2), ("Add", "h,k", "c", {}), k=k)
    return replace(core, kind=DOUBLE), replace(plain, kind=DOUBLE)


def computed_overflow(g: R) -> Pair:
    big = {"k": np.array([2.0 ** g.randint(130, 140)]), "r": np.array([2.0**-140])}
    core = chain((1, 2), ("Mul", "h,k", "m", {}), ("Cast", "m", "f", {"to": 1}),
                 ("Cast", "f", "d", {"to": 11}), ("Mul", "d,r", "c", {}), **big)
    plain = chain((1, 2), ("Mul", "h,k", "m", {}), ("Mul", "m,r", "c", {}), **big)
    return replace(core, kind=DOUBLE), replace(plain, kind=DOUBLE)


# --- what bytes stand for -------------------------------------------------------------------


def held(kind: int, data: bytes, count: int = 2, tail: tuple[Any, ...] = (CAST,)) -> Core:
    """h plus a constant of a type, given by its raw bytes."""
    first = ("Cast", "m", "f", {"to": 1}) if tail else ADD
    stored = {"m" if tail else "f": raw_tensor(kind, (count,), data)}
    return chain((1, 2), *((first, ADD) if tail else (first,)), **stored)


def truth_of_two(g: R) -> Pair:
    v = g.randint(2, 255)
    return held(TensorProto.BOOL, bytes([v, 1])), taken([v, 1])


def truth_in_a_field(g: R) -> Pair:
    v = g.choice((2, 3, 255, 256, -1))
    core = held(TensorProto.BOOL, b"\1\0")
    return (replace(core, edit=stored_as("m", block(5, number(v) + number(0)))), taken([v, 0]))


def beyond_32_bits(g: R) -> Pair:
    """A number of int32_data keeps its low 32 bits, whatever its varint says."""
    v = g.randint(1, 99)
    core = held(TensorProto.INT32, bytes(8))
    parts = [whole(5, v + (g.randint(1, 9) << 32)), whole(5, 0)]
    if g.random() < 0.5:
        parts = [block(5, number(v + (1 << 32)) + number(0))]
    return replace(core, edit=stored_as("m", *parts)), taken([float(v + (1 << 32)), 0])


def high_bit(g: R) -> Pair:
    """2**31 and more in int32_data are negative numbers."""
    v = (1 << 32) - g.randint(1, 99)
    core = held(TensorProto.INT32, bytes(8))
    return (replace(core, edit=stored_as("m", block(5, number(v) + number(0)))),
            taken([float(v), 0]))


def beyond_64_bits(g: R) -> Pair:
    v = g.randint(1, 9)
    core = held(TensorProto.INT64, bytes(16))
    wide = number(v + (g.randint(1, 31) << 64))
    return replace(core, edit=stored_as("m", block(7, wide + number(0)))), taken([2.0**64 + v, 0])


def small_types(g: R) -> Pair:
    kind, other = g.choice(((TensorProto.INT8, np.int8), (TensorProto.UINT8, np.uint8)))
    v = g.randint(129, 255)
    return held(kind, bytes([v, 1])), taken([v if other is np.int8 else v - 256, 1])


def halves(g: R) -> Pair:
    bits = np.array([g.choice((0x3C00, 0x4200, 0x3F80)), 0x3F80], "<u2")
    a, b = g.sample([TensorProto.FLOAT16, TensorProto.BFLOAT16], 2)
    return held(a, bits.tobytes()), held(b, bits.tobytes())


def byte_order(g: R) -> Pair:
    v = weights(g, 2)
    swapped = v.byteswap()
    other = np.where(np.isfinite(swapped), swapped, 0).astype("<f4")
    return (held(TensorProto.FLOAT, v.tobytes(), tail=()),
            held(TensorProto.FLOAT, other.tobytes(), tail=()))


def packed_or_not(g: R) -> Pair:
    a, b = weights(g, 2), weights(g, 2)
    core = held(TensorProto.FLOAT, a.tobytes(), tail=())
    each = b"".join(number(4 << 3 | 5) + reals([v]) for v in a)
    parts = g.choice(([block(4, reals(a))], [each], [block(4, reals(a[:1])), each[5:]]))
    return (replace(core, edit=stored_as("f", *parts)),
            held(TensorProto.FLOAT, b.tobytes(), tail=()))


def two_stores(g: R) -> Pair:
    a, b = weights(g, 2), weights(g, 2)
    core = held(TensorProto.FLOAT, a.tobytes(), tail=())
    parts = [block(9, reals(a)), block(4, reals(b))]
    g.shuffle(parts)
    return (replace(core, edit=stored_as("f", *parts)),
            held(TensorProto.FLOAT, b.tobytes(), tail=()))


def type_twice(g: R) -> Pair:
    """Of a field that comes twice the last one counts."""
    a = np.array([g.randint(1, 9), 1], "<i4")
    first, second = g.sample([whole(2, TensorProto.INT32), whole(2, TensorProto.UINT32)], 2)
    core = held(TensorProto.INT32, (-a).tobytes())
    edit = within((7, 5), lambda data: data + first + second, named(8, "m"))
    return replace(core, edit=edit), taken([float((1 << 32) - int(a[0])), float((1 << 32) - 1)])


def raw_twice(g: R) -> Pair:
    a, b = weights(g, 2), weights(g, 2)
    core = held(TensorProto.FLOAT, a.tobytes(), tail=())
    edit = within((7, 5), lambda data: data + block(9, reals(b)), named(8, "f"))
    return replace(core, edit=edit), core


def attribute_again(g: R) -> Pair:
    """transB = 1 and then 0, in one attribute or in two."""
    w = weights(g, 3, 3)
    if g.random() < 0.5:
        edit = within((*NODES, 5), lambda data: data + whole(3, 0), named(1, "transB"))
    else:
        again = block(5, block(1, b"transB") + whole(3, 0) + whole(20, 2))
        edit = within(NODES, lambda data: data + again, named(4, "Gemm"))
    flipped, plain = op((1, 3), "Gemm", w, transB=1), op((1, 3), "Gemm", w)
    return g.choice(((replace(flipped, edit=edit), flipped), (replace(flipped, edit=edit), plain)))


def attribute_of_another_type(g: R) -> Pair:
    """An attribute that says FLOAT but has its number where integers lie."""
    w = weights(g, 3, 2)
    wrong = block(5, block(1, b"alpha") + whole(3, 3) + whole(20, 1))
    core = replace(op((1, 3), "Gemm", w), edit=within(NODES, lambda data: data + wrong,
                                                      named(4, "Gemm")))
    return core, op((1, 3), "Gemm", w, alpha=3.0)


def operator_again(g: R) -> Pair:
    """An operator that is named twice is what it is called last."""
    edit = within(NODES, lambda data: data + block(4, b"Neg"), named(4, "Abs"))
    return replace(op((1, 3), "Abs"), edit=edit), op((1, 3), "Abs")


def graph_in_parts(g: R) -> Pair:
    """A message that comes in two parts is their union: more initializers, more nodes."""
    w = weights(g, 1, 3)
    core, plain = op((1, 3), "Add", w), op((1, 3), "Identity")
    more = block(1, block(1, b"h") + block(1, b"s0") + block(2, b"c") + block(4, b"Sub"))
    taken_out = within((7,), _without("Add"))
    return replace(core, edit=lambda data: taken_out(data) + block(7, more)), plain


def _without(kind: str) -> Any:
    return lambda data: b"".join(raw for n, _, v, raw in fields(data)
                                 if n != 1 or not named(4, kind)(v))


TYPES = {
    "int32 sum wraps": sum_wraps, "int32 product wraps": product_wraps,
    "int32 difference wraps": difference_wraps, "Neg wraps": negative_wraps,
    "Abs wraps": magnitude_wraps, "int64 wraps": long_wraps, "ReduceSum wraps": total_wraps,
    "MatMul wraps": matrix_wraps, "int64 to int32": narrowed, "mean of integers": mean_truncates,
    "quotient of integers": quotient_truncates, "Mod": remainder, "to integers": to_integer,
    "to bool": to_bool, "constant to bool": constant_to_bool, "to float16": to_half,
    "double beyond float": overflow, "computed double beyond float": computed_overflow,
    "bool of 2": truth_of_two,
}
STORES = {
    "bool in int32_data": truth_in_a_field, "int32_data beyond 32 bits": beyond_32_bits,
    "int32_data with the high bit": high_bit, "int64_data beyond 64 bits": beyond_64_bits,
    "8 bits": small_types, "float16, bfloat16": halves, "byte order": byte_order,
    "packed": packed_or_not, "two stores": two_stores, "type twice": type_twice,
    "raw_data twice": raw_twice, "attribute twice": attribute_again,
    "attribute of another type": attribute_of_another_type, "op_type twice": operator_again,
    "graph in parts": graph_in_parts,
}
_EITHER = ("8 bits", "float16, bfloat16", "byte order", "Mod")
KINDS = tuple(Kind(group, name, of_networks(make, swap=name in _EITHER))
              for group, table in (("type", TYPES), ("storage", STORES))
              for name, make in table.items())
