"""The rule of every operator."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial, reduce
from operator import mul, sub
from typing import Any

from ...graph.symbolic import SymbolicTensor, combine, constants
from ..operator_call import OperatorCall
from ..rounding import ALPHA
from .arithmetic import cast, clip, constant, divide, dropout, gemm, leaky, matmul, normalize
from .indexing import concat, cut, gather, pad, split
from .shapes import flatten, reshape, shape_of, squeeze, transpose, unsqueeze
from .windows import conv, max_along, mean_along, pool, reduced


def folded(
    join: Callable[[SymbolicTensor, SymbolicTensor], SymbolicTensor]
) -> Callable[[OperatorCall], SymbolicTensor]:
    return lambda c: reduce(join, c.inputs)


RULES: dict[str, Callable[[OperatorCall], Any]] = {
    "Add": folded(lambda a, b: a + b if a.fixed or b.fixed else a.solid() + b.solid()),
    "Sub": folded(sub), "Mul": folded(mul), "Div": folded(divide),
    "Max": folded(lambda a, b: b + (a - b).relu()), "Min": folded(lambda a, b: a - (a - b).relu()),
    "MatMul": folded(lambda a, b: matmul(a.solid(), b.solid())), "Gemm": gemm, "Conv": conv,
    "Relu": lambda c: c.x[0].relu(), "Abs": lambda c: c.x[0].absolute(), "Clip": clip,
    "LeakyRelu": lambda c: leaky(c.x[0], constants(c.graph, (), [c.attr("alpha", ALPHA)])),
    "PRelu": lambda c: leaky(c.x[0], c.x[1]), "Neg": lambda c: combine((c.x[0], -1)),
    "AveragePool": lambda c: pool(c, mean_along, padded=c.attributes.get("count_include_pad", 0)),
    "MaxPool": partial(pool, join=max_along), "Reshape": reshape, "Squeeze": squeeze,
    "GlobalMaxPool": partial(pool, join=max_along, whole=True), "Unsqueeze": unsqueeze,
    "GlobalAveragePool": partial(pool, join=mean_along, whole=True), "Transpose": transpose,
    "Flatten": flatten, "Concat": concat, "Identity": lambda c: c.x[0], "Constant": constant,
    "Greater": folded(lambda a, b: (a - b).gate()), "Less": folded(lambda a, b: (b - a).gate()),
    "Slice": cut, "Split": split, "Gather": gather, "Pad": pad, "Cast": cast, "Dropout": dropout,
    "ReduceMax": partial(reduced, join=max_along), "ReduceMean": partial(reduced, join=mean_along),
    "ReduceSum": partial(reduced, join=mean_along, factor=1), "BatchNormalization": normalize,
    "Shape": shape_of,
}
