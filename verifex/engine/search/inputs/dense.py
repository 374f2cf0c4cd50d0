"""A piecewise-linear network as dense matrices, for searches over the sides of a small input box.

Only what a claim on outputs needs: affine steps, ReLU, concatenation. Anything else is refused, and
the search over gates takes the claim.

This stands beside the tables of `verifex.semantics` because its bounds conclude where those of the
table `linear` only steer: every backward pass also sums up the sizes of what it rounds
(`dense_bounds`), which needs each map as a matrix of numbers, and its absolute values. What both
do alike is held together by tests/engine/test_dense_agrees.py.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from verifex.errors import UnsupportedError
from verifex.ir.exact import FloatArray, as_float
from verifex.ir.graph import Graph
from verifex.ir.linmap import Dense, LinearMap, apply_numpy
from verifex.ir.ops import Affine, Concat, Const, Input, Relu

MOST_WEIGHTS = 16_000_000
"""Entries of all matrices together, which take 256 MB with their absolute values; what counts for a
search over inputs is that few of these are free, and layers may be large."""


@dataclass(frozen=True)
class Stage:
    """One node: `weights` (size, source size), one for each source of an affine node, else none."""

    node: int
    kind: str
    sources: tuple[int, ...]
    size: int
    bias: FloatArray
    weights: tuple[FloatArray, ...] = ()


class DenseNet:
    """The stages that some nodes depend on, in order; raises UnsupportedError for other ops."""

    def __init__(self, graph: Graph, targets: list[int]) -> None:
        self.graph = graph
        self.stages: dict[int, Stage] = {}
        self.room = MOST_WEIGHTS
        for i in graph.ancestors(targets):
            self.stages[i] = self._stage(i)
        self.order = list(self.stages)
        self.units = {s.sources[0] for s in self.stages.values() if s.kind == "relu"}
        self.offsets, self.gates = dict[int, int](), 0
        for z in sorted(self.units):
            self.offsets[z] = self.gates
            self.gates += self.stages[z].size
        longest = max((w.shape[1] for s in self.stages.values() for w in s.weights), default=1)
        # Sound: a sum of n products is off by at most n 2^-53 times the sum of their sizes; the
        # stages' own sums and the rounding of stored factors are far below the other half.
        self.unit_roundoff = (longest + 8 * len(self.stages) + 64) * 2.0**-52

    def refuse_tiny(self, numbers: Sequence[FloatArray]) -> None:
        """UnsupportedError where products of weights with these numbers might underflow.

        Rounding errors are bounded relative to what is rounded, so no product may fall below the
        normal floats. The exponents left over are room for slopes and for halved boxes.
        """
        least = math.prod(
            min(map(least_nonzero, (*stage.weights, stage.bias)))
            for stage in self.stages.values() if stage.kind == "affine")
        if least * min(map(least_nonzero, numbers)) < 2.0**-600:
            raise UnsupportedError(
                "products of the network's numbers may underflow", expected="larger ones")

    def places(self, preact: int) -> slice:
        """Where the units of a pre-activation lie among all units."""
        return slice(self.offsets[preact], self.offsets[preact] + self.stages[preact].size)

    def _stage(self, index: int) -> Stage:
        node = self.graph.nodes[index]
        none = np.zeros(node.size)
        match node.op:
            case Input():
                return Stage(index, "input", (), node.size, none)
            case Const():
                return Stage(index, "affine", (), node.size, as_float(node.op.value).ravel())
            case Relu():
                return Stage(index, "relu", node.args, node.size, none)
            case Concat() if math.prod(node.shape[: node.op.axis]) == 1:
                return Stage(index, "concat", node.args, node.size, none)
            case Affine():
                weights = tuple(self._matrix(m) for m in node.op.maps)
                bias = none if node.op.bias is None else as_float(node.op.bias).ravel()
                return Stage(index, "affine", node.args, node.size, bias, weights)
            case _:
                raise UnsupportedError(
                    f"{self.graph.describe(index)} is not piecewise linear in dense form",
                    expected="affine steps and ReLU",
                )

    def _matrix(self, linear_map: LinearMap) -> FloatArray:
        """(out, in): the images of the unit vectors."""
        columns, rows = math.prod(linear_map.in_shape), math.prod(linear_map.out_shape)
        self.room -= columns * rows
        if self.room < 0:
            raise UnsupportedError(
                "the network is too large for dense matrices",
                expected=f"at most {MOST_WEIGHTS} entries",
            )
        if isinstance(linear_map, Dense):
            return linear_map.weight
        images = apply_numpy(linear_map, np.eye(columns).reshape(columns, *linear_map.in_shape))
        return np.ascontiguousarray(images.reshape(columns, rows).T)

    def values(self, points: FloatArray) -> dict[int, FloatArray]:
        """Flat values of every stage at points (k, n), in floating point."""
        out: dict[int, FloatArray] = {}
        for i, stage in self.stages.items():
            if stage.kind == "input":
                at = self.graph.input_offsets[i]
                out[i] = points[:, at : at + stage.size]
            elif stage.kind == "relu":
                out[i] = np.maximum(out[stage.sources[0]], 0.0)
            elif stage.kind == "concat":
                out[i] = np.concatenate([out[s] for s in stage.sources], axis=1)
            else:
                total = np.tile(stage.bias, (points.shape[0], 1))
                for s, w in zip(stage.sources, stage.weights, strict=True):
                    total = total + out[s] @ w.T
                out[i] = total
        return out


def least_nonzero(values: FloatArray) -> float:
    """The least nonzero magnitude, 1 where there is none or all are larger."""
    sizes = np.abs(values)
    return float(sizes.min(where=sizes > 0, initial=1.0))
