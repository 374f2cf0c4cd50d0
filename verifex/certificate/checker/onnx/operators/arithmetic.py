"""Operators that compute elements."""

from __future__ import annotations

import math
from fractions import Fraction

from ...failures import MAX_TERMS, need
from ...graph.element_types import LARGEST, typed_name
from ...graph.forms import ONE, Form, total
from ...graph.symbolic import SymbolicTensor, built, combine, constants, stretched, transposed
from ..operator_call import OperatorCall
from ..rounding import EPSILON, nearest, over_root
from ..stored import tensor


def cast(c: OperatorCall) -> SymbolicTensor:
    """Nothing, where the type holds the values: what it would round or wrap is refused."""
    t, to, _ = c.x[0], c.attr("to", 0), c.attr("saturate")
    name, out = f"{typed_name(t.kind)} to {typed_name(to)}", t.shaped(t.shape)
    out.kind = to
    if to == t.kind:
        return t
    if to in (6, 7):
        need(t.kind in (6, 7), f"unsupported Cast of {name}")
        return out.within()
    bits, low = {1: (24, -149), 11: (53, -1074)}.get(to, (0, 0))
    need(bits and not t.derived, f"unsupported Cast of {name}")
    need(t.fixed or t.kind in (9, 10) or to == 11, f"unsupported Cast of computed {name}")
    need(not t.fixed or all(v == nearest(v, bits, low) for v in t.consts()),
         f"unsupported Cast of {name} that rounds")
    return out.within()


def dropout(c: OperatorCall) -> SymbolicTensor:
    need(not c.x[2] or not any(c.x[2].consts()), "unsupported Dropout in training")
    c.attributes.clear()  # the rest matters in training alone
    return c.x[0]


def normalize(c: OperatorCall) -> SymbolicTensor:
    _, epsilon, shape = c.attr("momentum"), c.attr("epsilon", EPSILON), c.x[0].shape
    need(not c.flag("training_mode") and c.flag("spatial", 1), "unsupported normalization")
    need(len(shape) > 1 and all(v.shape == shape[1:2] for v in c.x[1:5]), "wrong shapes")
    side = [1, shape[1], *[1] * len(shape[2:])]
    scale, offset, mean, var = (v.shaped(side) for v in c.x[1:5])
    need(all(v + epsilon > 0 for v in var.consts()), "no positive variance + epsilon")
    pairs = zip(scale.consts(), var.consts(), strict=True)
    factor = constants(c.graph, side, [over_root(s, v + epsilon) for s, v in pairs])
    return (c.x[0] - mean) * factor + offset


def divide(a: SymbolicTensor, b: SymbolicTensor) -> SymbolicTensor:
    need(all(b.consts()), "a division by zero")
    found = a * constants(b.graph, b.shape, [Fraction(1, v) for v in b.consts()])
    if a.kind in (6, 7):
        found.ints()  # Sound: what rounds is refused, whichever way it would be rounded
    return found


def matmul(a: SymbolicTensor, b: SymbolicTensor) -> SymbolicTensor:
    """numpy's matmul with one side constant, the other's elements those of one node."""
    need(a.fixed or b.fixed, "unsupported product of two computed matrices")
    need(a.shape and b.shape, "a product of single numbers")
    depth, wide, lead = a.shape[-1], len(b.shape) > 1, stretched(a, b, inner=2)
    shape = (*lead, *a.shape[-2:-1], *b.shape[1:][-1:])
    need(depth == b.shape[-2:][0] and math.prod(shape) * depth <= MAX_TERMS, "matrices do not fit")

    def cell(i: tuple[int, ...]) -> Form:
        row, column = i[: len(i) - wide], i[len(i) - wide :]
        pairs = [(a.at((*row, k)), b.at((*i[: len(lead)], k, *column))) for k in range(depth)]
        return total((u, v[1]) if b.fixed else (v, u[1]) for u, v in pairs)

    return built(a.graph, shape, cell)


def gemm(c: OperatorCall) -> SymbolicTensor:
    need(len(c.x[0].shape) == len(c.x[1].shape) == 2, "a Gemm of no matrices")
    a, b = (transposed(t.solid(), (1, 0)) if c.flag(key) else t.solid()
            for t, key in zip(c.x, ("transA", "transB")))
    found, alpha, beta = matmul(a, b), c.attr("alpha", ONE), c.attr("beta", ONE)
    out = combine((found, alpha), *[(c.x[2], beta)] if c.x[2] else [])
    need(out.shape == found.shape, "a wrong shape of C")
    return out


def leaky(x: SymbolicTensor, slope: SymbolicTensor) -> SymbolicTensor:
    t = x.solid()
    need(stretched(x, slope) == list(x.shape), "slopes of another shape")
    return t.relu() + (t - t.relu()) * slope


def clip(c: OperatorCall) -> SymbolicTensor:
    """A bound that is present is a bound; before operator set 11 both are."""
    t = c.x[0].solid()
    given = c.x[1:3]
    need(all(len(x.items) == 1 and len(x.shape) <= len(t.shape) for x in given if x),
         "bounds that are no single numbers")
    ends = [x.consts()[0] if x else None for x in given]
    if c.opset < 11:
        ends = [c.attr("min", -LARGEST), c.attr("max", LARGEST)]
    low, high = (None if v is None else constants(c.graph, (), [v]) for v in ends)
    need(not low or not high or (high - low).consts()[0] > 0, "a Clip of nothing")
    found = t
    if low and low.consts()[0] <= -LARGEST:  # the same function; t + LARGEST would bound nothing
        found = t + (low - t).relu()
    elif low:
        found = (t - low).relu() + low
    return found - (t - high).relu() if high else found


def constant(c: OperatorCall) -> SymbolicTensor:
    need("value" in c.attributes, "no value")
    return tensor(c.graph, c.attr("value"))
