"""What a smooth scalar function is: everything that the tables of meanings ask about it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from verifex.ir.exact import ExactArray, FloatArray
from verifex.ir.graph import Builder
from verifex.semantics.support.outward import Interval
from verifex.semantics.support.planes import PlaneRule

if TYPE_CHECKING:
    from torch import Tensor

Derivative: TypeAlias = Callable[[Builder, int, int], int]
"""(builder, operand, result) -> the node of f'(x), given the nodes of x and of f(x)."""


@dataclass(frozen=True)
class SmoothFunction:
    """A function of one number that networks apply elementwise.

    `name` is what `Univariate` calls it. `onnx` is its ONNX operator, read and written.
    `is_product` says that the function is its operand times itself: it is written as that product,
    and logical models state it as one; of all other functions exact solvers know nothing.

    `value` works on float64 arrays of any shape and follows numpy (NaN or infinite where it is not
    defined); `tensor` is the same on torch tensors, differentiable. `exact` is its value on
    rationals where it has one; it refuses (UnsupportedError) points where it is not defined.

    `derivative` builds f' as nodes, so it may be any expression of the other functions.

    `interval` is the image of intervals (B, *shape), outward rounded: it contains the exact value
    at every point, and is infinite where nothing is known. `planes` are lines below and above.

    `single_only`: onnxruntime has a float32 kernel only. An exported float64 graph computes it
    there between two casts; our own reader refuses such a cast of computed float64, which could
    overflow; float32 has none.
    """

    name: str
    value: Callable[[FloatArray], FloatArray]
    tensor: Callable[[Tensor], Tensor]
    derivative: Derivative
    interval: Callable[[Interval], Interval]
    planes: PlaneRule
    onnx: str
    exact: Callable[[ExactArray], ExactArray] | None = None
    is_product: bool = False
    single_only: bool = False


def one_minus(builder: Builder, node: int) -> int:
    """The node of 1 - y, for derivatives."""
    import numpy as np

    ones = builder.const(np.ones(builder.shape(node)))
    return builder.sum([ones, node], [1, -1])
