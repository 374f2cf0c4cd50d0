"""Operator sets: what operators mean in one, and in another."""

from __future__ import annotations

import random

import numpy as np

from tests.certificate.falsehoods.claims import Kind
from tests.certificate.falsehoods.cores import Core, chain, ints, of_networks, op, weights

Pair = tuple[Core, Core]
R = random.Random
ROW = (1, 1, 7)


def softmax(g: R) -> Pair:
    kind = g.choice(("Softmax", "LogSoftmax"))
    return op((1, 2, 2), kind, opset=11), op((1, 2, 2), kind, opset=13)


def training_dropout(g: R) -> Pair:
    given = [np.float32(0.5), np.array(True)]
    return (op((1, 4), "Dropout", *given, seed=g.randrange(99), opset=g.choice((12, 13))),
            op((1, 4), "Dropout", given[0], seed=1, opset=12))


def training_norm(g: R) -> Pair:
    w = [weights(g, 2), weights(g, 2), weights(g, 2), np.abs(weights(g, 2))]
    return (op((1, 2, 4), "BatchNormalization", *w, training_mode=1, opset=14),
            op((1, 2, 4), "BatchNormalization", *w, opset=14))


def resized(g: R) -> Pair:
    new = chain((1, 1, 2), ("Resize", "h,,k", "c", {"mode": "linear"}), opset=13,
                k=np.array([1, 1, 2], np.float32))
    old = chain((1, 1, 2), ("Resize", "h,k", "c", {"mode": "linear"}), opset=10,
                k=np.array([1, 1, 2], np.float32))
    return new, old


def pad_attributes(g: R) -> Pair:
    pair = [op((1, 3), "Pad", pads=p, opset=10, **v)
            for p, v in (([0, 1, 0, 0], {}), ([0, 0, 0, 1], {"value": g.choice((0.0, 2.0))}))]
    return pair[0], pair[1]


def squeeze_old(g: R) -> Pair:
    w = weights(g, 2, 2)
    times = ("Mul", "m,w", "c", {})
    old = chain((1, 2, 1), ("Squeeze", "h", "m", {"axes": [0]}), times, w=w, opset=11)
    return old, chain((1, 2, 1), ("Squeeze", "h", "m", {}), times, w=w, opset=13)


def split_old(g: R) -> Pair:
    a, b = g.sample([[1, 3], [2, 2], [3, 1]], 2)
    pair = [chain((1, 4), ("Split", "h", "p,q", {"axis": 1, "split": s}),
                  ("Concat", "q,p", "c", {"axis": 1}), opset=11) for s in (a, b)]
    return pair[0], pair[1]


def sum_axes(g: R) -> Pair:
    old = op((3, 3), "ReduceSum", axes=[g.choice((1, -1))], opset=g.choice((7, 11, 12)))
    return old, op((3, 3), "ReduceSum", ints(0), opset=13)


def slice_old(g: R) -> Pair:
    a, b = g.sample([(0, 2), (1, 3), (-2, 9), (-3, -1)], 2)
    pair = [op((1, 3), "Slice", opset=9, axes=[1], starts=[s], ends=[e]) for s, e in (a, b)]
    return pair[0], pair[1]


def clip_old(g: R) -> Pair:
    v = g.choice((-0.5, 0.25, 1.0))
    return op((1, 3), "Clip", min=v, opset=g.choice((7, 10))), op((1, 3), "Clip", max=v, opset=7)


def pool_dilations(g: R) -> Pair:
    return (op(ROW, "AveragePool", kernel_shape=[2], dilations=[2], opset=19),
            op(ROW, "AveragePool", kernel_shape=[2], opset=19))


OPSETS = {
    "Softmax": softmax, "Dropout in training": training_dropout, "norm in training": training_norm,
    "Resize": resized, "Pad attributes": pad_attributes, "Squeeze axes": squeeze_old,
    "Split attribute": split_old, "ReduceSum axes": sum_axes, "Slice attributes": slice_old,
    "Clip attributes": clip_old, "AveragePool dilations": pool_dilations,
}
KINDS = tuple(Kind("opset", name, of_networks(make)) for name, make in OPSETS.items())
