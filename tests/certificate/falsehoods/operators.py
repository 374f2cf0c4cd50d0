"""Attributes and inputs: pairs of operators that only a right reading tells apart."""

from __future__ import annotations

import random
from typing import Any

import numpy as np

from tests.certificate.falsehoods.claims import Kind
from tests.certificate.falsehoods.cores import Core, chain, ints, of_networks, op, weights

Pair = tuple[Core, Core]
R = random.Random
FLT_MAX = float(np.finfo(np.float32).max)
RELU: tuple[Any, ...] = ("Relu", "h", "r", {})


# --- matrices, shapes -----------------------------------------------------------------------


def trans_b(g: R) -> Pair:
    w = weights(g, 3, 3)
    return op((1, 3), "Gemm", w, transB=1), op((1, 3), "Gemm", w)


def trans_a(g: R) -> Pair:
    w = weights(g, 3, 3)
    return op((3, 3), "Gemm", w, transA=1), op((3, 3), "Gemm", w, transA=0)


def alpha(g: R) -> Pair:
    w, b = weights(g, 3, 2), weights(g, 2)
    return op((1, 3), "Gemm", w, b, alpha=g.choice((0.5, -2.0, 0.0))), op((1, 3), "Gemm", w, b)


def beta(g: R) -> Pair:
    w, b = weights(g, 3, 2), weights(g, 2)
    return op((1, 3), "Gemm", w, b, beta=g.choice((0.5, -2.0, 0.0))), op((1, 3), "Gemm", w, b)


def gemm_bias(g: R) -> Pair:
    w, b = weights(g, 3, 3), weights(g, 3)
    return op((3, 3), "Gemm", w, b.reshape(3, 1)), op((3, 3), "Gemm", w, b)


def matmul_order(g: R) -> Pair:
    w = weights(g, 3, 3)
    return chain((3, 3), ("MatMul", "w,h", "c", {}), w=w), chain((3, 3), ("MatMul", "h,w", "c", {}),
                                                              w=w)


def matmul_vector(g: R) -> Pair:
    w = weights(g, 3)
    return op((3, 3), "MatMul", w), chain((3, 3), ("MatMul", "w,h", "c", {}), w=w)


def permutation(g: R) -> Pair:
    """Of three axes, two permutations are each the other's inverse; the rest are their own."""
    if g.random() < 0.6:
        shape, perms = (2, 2, 2), [[1, 2, 0], [2, 0, 1]]
    else:
        shape, perms = (2, 2, 3), g.sample([[0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 1, 0], None], 2)
    first, second = (op(shape, "Transpose", **({} if p is None else {"perm": p})) for p in perms)
    return first, second


def summed(shape: tuple[int, ...], node: Any, opset: int, **stored: Any) -> Core:
    """A node that only changes a shape, and the sums over the first axis of what it makes."""
    return chain(shape, node, ("ReduceSum", "m,zero", "c", {"keepdims": 0}), zero=ints(0),
                 opset=opset, **stored)


def flatten_axis(g: R) -> Pair:
    a, b = g.sample([0, 1, 2, -1], 2)
    first, second = (summed((2, 2, 3), ("Flatten", "h", "m", {"axis": k} if k != 1 else {}), 17)
                     for k in (a, b))
    return first, second


def reshape_zero(g: R) -> Pair:
    first, second = g.sample([(0, -1), (-1, 0), (3, 4), (2, -1), (-1, 2), (6, 2)], 2)
    pair = [summed((2, 6), ("Reshape", "h,s", "m", {}), 17, s=ints(*s)) for s in (first, second)]
    return pair[0], pair[1]


def unsqueezed(g: R) -> Pair:
    w, (a, b) = weights(g, 2, 2, 2), g.sample([[0], [1], [2], [-1], [-3]], 2)
    pair = [chain((2, 2), ("Unsqueeze", "h,a", "m", {}), ("Add", "m,w", "c", {}), a=ints(*k), w=w)
            for k in (a, b)]
    return pair[0], pair[1]


def squeezed(g: R) -> Pair:
    w, stored = weights(g, 2, 2), {"a": ints(0), "b": ints(2)}
    pair = [chain((1, 2, 1), ("Squeeze", f"h,{k}", "m", {}), ("Mul", "m,w", "c", {}), w=w, **stored)
            for k in "ab"]
    return pair[0], pair[1]


def joined(g: R) -> Pair:
    w, (a, b) = weights(g, 2, 2), g.sample([0, 1], 2)
    pair = [chain((2, 2), ("Concat", "h,w", "c", {"axis": k - g.choice((0, 2))}), w=w)
            for k in (a, b)]
    return pair[0], pair[1]


def join_order(g: R) -> Pair:
    w = weights(g, 1, 3)
    return (chain((1, 3), ("Concat", "h,w", "c", {"axis": 1}), w=w),
            chain((1, 3), ("Concat", "w,h", "c", {"axis": 1}), w=w))


def split_sizes(g: R) -> Pair:
    a, b = g.sample([(1, 3), (2, 2), (3, 1)], 2)
    pair = [chain((1, 4), ("Split", "h,s", "p,q", {"axis": 1}), ("Concat", "q,p", "c", {"axis": 1}),
                  s=ints(*s)) for s in (a, b)]
    return pair[0], pair[1]


def split_rest(g: R) -> Pair:
    """7 in 3: 3, 3 and 1."""
    new = chain((1, 7), ("Split", "h", "p,q,r", {"axis": 1, "num_outputs": 3}),
                ("Concat", "r,q,p", "c", {"axis": 1}), opset=18)
    sizes = g.choice([(2, 2, 3), (1, 3, 3), (3, 2, 2)])
    old = chain((1, 7), ("Split", "h,s", "p,q,r", {"axis": 1}),
                ("Concat", "r,q,p", "c", {"axis": 1}), s=ints(*sizes))
    return new, old


def split_axis(g: R) -> Pair:
    pair = [chain((2, 2), ("Split", "h", "p,q", given), ("Sub", "p,q", "c", {}))
            for given in ({"axis": 1}, {})]
    return pair[0], pair[1]


def slices(g: R) -> Pair:
    forms = [(0, 9, 1), (1, 9, 1), (-3, -1, 1), (0, -1, 2), (4, 0, -1), (-1, -9, -1), (9, 1, -2),
             (1, 4, 2), (2, 2**31, 1), (-2, 2**62, 1)]
    a, b = g.sample(forms, 2)
    pair = [op((1, 6), "Slice", ints(s), ints(e), ints(g.choice((1, -1))), ints(d))
            for s, e, d in (a, b)]
    return pair[0], pair[1]


def slice_axes(g: R) -> Pair:
    return (op((3, 3), "Slice", ints(1), ints(3), ints(1)), op((3, 3), "Slice", ints(1), ints(3)))


def gathered(g: R) -> Pair:
    a, b = g.sample([[0, 2], [-1, 0], [[1, 0], [0, 2]], [-2, -3], [2, 2]], 2)
    pair = [op((2, 3), "Gather", np.array(i), axis=1) for i in (a, b)]
    return pair[0], pair[1]


def gather_axis(g: R) -> Pair:
    at = np.array(g.sample([0, 1, -1], 2))
    return op((3, 3), "Gather", at, axis=g.choice((1, -1))), op((3, 3), "Gather", at)


def pads(g: R) -> Pair:
    a, b = g.sample([(0, 1, 0, 2), (0, 2, 0, 1), (1, 0, 1, 0), (0, 1, 2, 0), (0, -1, 0, 1)], 2)
    pair = [op((2, 3), "Pad", ints(*p)) for p in (a, b)]
    return pair[0], pair[1]


def pad_axes(g: R) -> Pair:
    pair = [op((3, 3), "Pad", ints(1, 0), None, ints(k), opset=18) for k in (0, g.choice((1, -1)))]
    return pair[0], pair[1]


def pad_value(g: R) -> Pair:
    value = np.float32(g.choice((-2, 3, 0.5)))
    return op((1, 3), "Pad", ints(0, 1, 0, 1), value), op((1, 3), "Pad", ints(0, 1, 0, 1))


def pad_mode(g: R) -> Pair:
    mode = g.choice(("edge", "reflect"))
    return (op((1, 4), "Pad", ints(0, 1, 0, 2), mode=mode),
            op((1, 4), "Pad", ints(0, 1, 0, 2), mode="constant"))


def pad_wrap(g: R) -> Pair:
    return (op((1, 4), "Pad", ints(0, 1, 0, 2), mode="wrap", opset=19),
            op((1, 4), "Pad", ints(0, 1, 0, 2), opset=19))


# --- element by element ---------------------------------------------------------------------


def scalar(value: float) -> Any:
    return np.float32(value)


def clip_sides(g: R) -> Pair:
    v = scalar(g.choice((-0.5, 0.25, 1)))
    return op((1, 3), "Clip", v), op((1, 3), "Clip", None, v)


def clip_crossed(g: R) -> Pair:
    """Where min is above max, all is max."""
    low, high = scalar(2), scalar(-1)
    return op((1, 3), "Clip", low, high), op((1, 3), "Clip", low, scalar(3))


def clip_at_the_edge(g: R) -> Pair:
    """A bound at the largest float is a bound: above it, or at its wrong end."""
    if g.random() < 0.5:
        key = g.choice((0, 1))
        value = scalar(FLT_MAX if key == 0 else -FLT_MAX)
        given = [value] if key == 0 else [None, value]
        return op((1, 3), "Clip", *given), op((1, 3), "Identity")
    sign, top = g.choice((1, -1)), np.float32(FLT_MAX)
    bounds = [None, top] if sign > 0 else [-top]
    up = np.array([4 * FLT_MAX], np.float64)
    down = np.array([1 / FLT_MAX], np.float64)
    stored = {"up": up, "down": down}
    names = "".join(f",{'' if b is None else 'b'}" for b in bounds)
    stored["b"] = np.float64(FLT_MAX * sign)
    ends: list[Any] = [("Mul", "h,up", "m", {}), ("Clip", f"m{names}", "k", {}),
                       ("Mul", "k,down", "c", {})]
    clipped = chain((1, 2), *ends, **stored)
    free = chain((1, 2), ends[0], ("Mul", "m,down", "c", {}), **stored)
    double = [Core(c.shape, c.nodes, c.stored, kind=11) for c in (clipped, free)]
    return double[0], double[1]


def leaky(g: R) -> Pair:
    return op((1, 3), "LeakyRelu", alpha=g.choice((0.5, -1.0, 2.0))), op((1, 3), "LeakyRelu")


def slope_shape(g: R) -> Pair:
    s = weights(g, 3)
    return op((3, 3), "PRelu", s.reshape(3, 1)), op((3, 3), "PRelu", s)


def operands(g: R) -> Pair:
    kind, w = g.choice(("Sub", "Greater", "Less")), weights(g, 1, 3)
    tail: list[Any] = [] if kind == "Sub" else [("Cast", "m", "c", {"to": 1})]
    end = "m" if tail else "c"
    pair = [chain((1, 3), (kind, i, end, {}), *tail, w=w) for i in ("h,w", "w,h")]
    return pair[0], pair[1]


def divided(g: R) -> Pair:
    w = weights(g, 1, 3)
    return op((1, 3), "Div", w), op((1, 3), "Mul", w)


def stretched(g: R) -> Pair:
    w, kind = weights(g, 3), g.choice(("Add", "Mul", "Max", "Min"))
    return op((3, 3), kind, w.reshape(3, 1)), op((3, 3), kind, w)


def either_end(g: R) -> Pair:
    w = weights(g, 1, 3)
    return op((1, 3), "Max", w), op((1, 3), "Min", w)


def magnitude(g: R) -> Pair:
    return op((1, 3), "Abs"), op((1, 3), g.choice(("Neg", "Relu")))


def epsilon(g: R) -> Pair:
    w = [weights(g, 2), weights(g, 2), weights(g, 2), np.abs(weights(g, 2)) / 64]
    shape = (1, 2, 3)
    return (op(shape, "BatchNormalization", *w, epsilon=g.choice((0.5, 0.01))),
            op(shape, "BatchNormalization", *w))


def norm_order(g: R) -> Pair:
    w = [np.abs(weights(g, 2)) for _ in range(4)]
    i, j = g.sample(range(4), 2)
    other = list(w)
    other[i], other[j] = w[j], w[i]
    return (op((1, 2, 3), "BatchNormalization", *w), op((1, 2, 3), "BatchNormalization", *other))


def norm_axis(g: R) -> Pair:
    w = [weights(g, 2), weights(g, 2), weights(g, 2), np.abs(weights(g, 2))]
    last = (("Transpose", "h", "t", {"perm": [0, 2, 1]}),
            ("BatchNormalization", "t,a,b,m,v", "n", {}),
            ("Transpose", "n", "c", {"perm": [0, 2, 1]}))
    stored = dict(zip("abmv", w))
    return (chain((1, 2, 2), ("BatchNormalization", "h,a,b,m,v", "c", {}), **stored),
            chain((1, 2, 2), *last, **stored))


# --- operators that the checker may refuse as a whole ---------------------------------------------


def arg_max(g: R) -> Pair:
    tail: tuple[Any, ...] = (("Cast", "i", "c", {"to": 1}),)
    a, b = g.sample([{"axis": 0}, {"axis": 1}, {"axis": 1, "select_last_index": 1}], 2)
    pair = [chain((2, 3), ("ArgMax", "h", "i", k), *tail) for k in (a, b)]
    return pair[0], pair[1]


def blocks(g: R) -> Pair:
    pair = [op((1, 8, 1, 1), "DepthToSpace", blocksize=2, mode=k) for k in ("DCR", "CRD")]
    return pair[0], pair[1]


def summing_up(g: R) -> Pair:
    a, b = g.sample([{}, {"exclusive": 1}, {"reverse": 1}], 2)
    return op((1, 4), "CumSum", np.int64(1), **a), op((1, 4), "CumSum", np.int64(1), **b)


def chosen(g: R) -> Pair:
    w = weights(g, 1, 3)
    pair = [chain((1, 3), ("Greater", "h,w", "b", {}), ("Where", f"b,{i}", "c", {}), w=w)
            for i in ("h,w", "w,h")]
    return pair[0], pair[1]


def negated_gate(g: R) -> Pair:
    w = weights(g, 1, 3)
    return (chain((1, 3), ("Greater", "h,w", "b", {}), ("Not", "b", "n", {}),
                  ("Cast", "n", "c", {"to": 1}), w=w),
            chain((1, 3), ("Greater", "h,w", "b", {}), ("Cast", "b", "c", {"to": 1}), w=w))


def both_gates(g: R) -> Pair:
    w, v = weights(g, 1, 3), weights(g, 1, 3)
    gates: list[Any] = [("Greater", "h,w", "a", {}), ("Less", "h,v", "b", {})]
    pair = [chain((1, 3), *gates, (k, "a,b", "n", {}), ("Cast", "n", "c", {"to": 1}), w=w, v=v)
            for k in ("And", "Or")]
    return pair[0], pair[1]


def constant_node(g: R) -> Pair:
    a, b = float(g.randint(1, 9)), float(g.randint(-9, -1))
    forms: list[dict[str, Any]] = [{"value_float": a}, {"value_floats": [a]}]
    first = chain((1, 2), ("Constant", "", "k", g.choice(forms)), ("Mul", "h,k", "c", {}))
    return _without_inputs(first), op((1, 2), "Mul", np.float32(b))


def _without_inputs(core: Core) -> Core:
    for node in core.nodes:
        if node.op_type == "Constant":
            del node.input[:]
    return core


ATTRIBUTES = {
    "transB": trans_b, "transA": trans_a, "alpha": alpha, "beta": beta, "Gemm bias": gemm_bias,
    "MatMul order": matmul_order, "MatMul vector": matmul_vector, "perm": permutation,
    "Flatten axis": flatten_axis, "Reshape 0 and -1": reshape_zero, "Unsqueeze": unsqueezed,
    "Squeeze": squeezed, "Concat axis": joined, "Concat order": join_order,
    "Split sizes": split_sizes, "num_outputs": split_rest, "Split axis": split_axis,
    "Slice": slices, "Slice axes": slice_axes, "Gather": gathered, "Gather axis": gather_axis,
    "Pad": pads, "Pad axes": pad_axes, "Pad value": pad_value, "Pad mode": pad_mode,
    "Pad wrap": pad_wrap, "Clip sides": clip_sides, "Clip min above max": clip_crossed,
    "Clip at the largest float": clip_at_the_edge, "LeakyRelu alpha": leaky,
    "PRelu slope": slope_shape, "operands": operands, "Div": divided, "broadcast": stretched,
    "Max or Min": either_end, "Abs": magnitude, "epsilon": epsilon, "norm's inputs": norm_order,
    "norm's axis": norm_axis, "ArgMax": arg_max, "DepthToSpace": blocks, "CumSum": summing_up,
    "Where": chosen, "Not": negated_gate, "And, Or": both_gates, "Constant's forms": constant_node,
}
KINDS = tuple(Kind("attribute", name, of_networks(make)) for name, make in ATTRIBUTES.items())
