"""What ordinary arithmetics make of a witness: numpy float64, real float32, onnxruntime.

Nothing here decides anything. A witness refutes by its exact replay; the outcomes recorded here
tell whether a person who runs the network as it is deployed will see the same thing. The point is
rounded to each arithmetic's numbers first, as it would be when it is fed to the network.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from verifex.errors import VerifexError
from verifex.frontend.onnx.runtime import available, runner
from verifex.ir.exact import ExactArray, FloatArray, Values, as_float
from verifex.ir.formula import holds
from verifex.ir.linmap import Conv, Dense, Diag, LinearMap, Scaled, ScatterAdd, apply_numpy
from verifex.ir.problem import Problem
from verifex.ir.trees.forest import Forest
from verifex.semantics.evaluate import evaluate_float, run, split_input
from verifex.semantics.functions import find

Single: TypeAlias = NDArray[np.float32]


class SingleBackend:
    """float32 arithmetic throughout: weights, inputs and every intermediate value."""

    def const(self, value: Values) -> Single:
        return as_float(value).astype(np.float32)[None]

    def linear(self, linear_map: LinearMap, operand: Single) -> Single:
        return _linear(linear_map, operand)

    def add(self, left: Single, right: Single) -> Single:
        return left + right

    def mul(self, left: Single, right: Single) -> Single:
        return left * right

    def relu(self, preact: Single) -> Single:
        return np.maximum(preact, np.float32(0))

    def step(self, preact: Single) -> Single:
        return (preact > 0).astype(np.float32)

    def concat(self, parts: Sequence[Single], axis: int) -> Single:
        batch = max(p.shape[0] for p in parts)
        full = [np.broadcast_to(p, (batch, *p.shape[1:])) for p in parts]
        return np.concatenate(full, axis=axis)

    def univariate(self, name: str, operand: Single) -> Single:
        # Rounded to float32 from float64: libraries differ in the last bits of these anyway.
        return find(name).value(operand.astype(np.float64)).astype(np.float32)

    def leaves(self, forest: Forest, operand: Single) -> Single:
        # As runtimes do it: both sides in float32.
        own = operand.reshape(operand.shape[0], -1)[:, forest.feature]
        threshold = forest.threshold.astype(np.float32)
        beyond = (own > threshold) | ((own == threshold) & ~forest.strict)
        return forest.reached(beyond, beyond).astype(np.float32)


def _linear(linear_map: LinearMap, operand: Single) -> Single:
    """The map with float32 coefficients and float32 sums; `operand` has shape (B, *in_shape)."""
    match linear_map:
        case Dense():
            weight: Any = linear_map.weight.astype(np.float32)
            return np.asarray(
                apply_numpy(
                    Dense(linear_map.in_shape, linear_map.out_shape, weight), _plain(operand)
                )
            )
        case Conv():
            kernel: Any = linear_map.weight.astype(np.float32)
            rest = (
                linear_map.strides,
                linear_map.pads,
                linear_map.dilations,
                linear_map.groups,
                linear_map.transposed,
            )
            return np.asarray(
                apply_numpy(
                    Conv(linear_map.in_shape, linear_map.out_shape, kernel, *rest), _plain(operand)
                )
            )
        case ScatterAdd():
            out = np.zeros((operand.shape[0], int(np.prod(linear_map.out_shape))), dtype=np.float32)
            used = np.flatnonzero(linear_map.index.ravel() >= 0)
            every: Any = slice(None)
            np.add.at(
                out,
                (every, linear_map.index.ravel()[used]),
                operand.reshape(operand.shape[0], -1)[:, used],
            )
            return out.reshape(operand.shape[0], *linear_map.out_shape)
        case Diag():
            return operand * as_float(linear_map.scale).astype(np.float32)
        case Scaled():
            return _linear(linear_map.inner, operand) * np.float32(float(linear_map.factor))
        case _:  # Gather moves numbers and does no arithmetic
            return np.asarray(apply_numpy(linear_map, _plain(operand)))


def _plain(operand: Single) -> Any:
    """The same array: `apply_numpy` keeps the float type that its operands agree on."""
    return operand


def evaluate_single(problem: Problem, points: FloatArray) -> dict[int, Single]:
    """float32 values of the nodes that the claim reads, at flat inputs (B, n)."""
    graph, wanted = problem.graph, problem.targets()
    inputs = split_input(graph, points.astype(np.float32))
    values = run(graph, SingleBackend(), inputs, wanted)
    return {i: np.broadcast_to(values[i], (len(points), *graph.nodes[i].shape)) for i in wanted}


def evaluate_onnxruntime(problem: Problem, points: FloatArray) -> dict[int, Any]:
    """The same nodes by onnxruntime, from the graph written as a float32 ONNX file.

    Raises what onnx and onnxruntime raise; `replays` records it.
    """
    from verifex.frontend.onnx.export import to_onnx

    graph, wanted = problem.graph, problem.targets()
    outputs = {f"node{i}": i for i in wanted}
    found = runner(to_onnx(graph, outputs, dtype="float32"), graph, list(outputs))(points)
    return dict(zip(wanted, (v[None] for v in found), strict=True))


def outcome(problem: Problem, values: Mapping[int, Any]) -> str:
    """"violated", "holds" or "not finite", of a batch of one whose values are floats."""
    if not all(np.isfinite(v).all() for v in values.values()):
        return "not finite"
    exact = {
        i: ExactArray.from_float(np.asarray(v[0], dtype=np.float64)) for i, v in values.items()
    }
    if not holds(problem.assume, exact):
        return "outside the assumption"
    return "holds" if holds(problem.require, exact) else "violated"


def replays(problem: Problem, point: Sequence[Fraction]) -> dict[str, str]:
    """The outcome in each arithmetic at the point rounded to it, or why there is none."""
    x = np.array([[float(v) for v in point]])
    with np.errstate(all="ignore"):
        found = {
            "float64": outcome(problem, evaluate_float(problem.graph, x, problem.targets())),
            "float32": outcome(problem, evaluate_single(problem, x)),
        }
    found["onnxruntime"] = _onnxruntime(problem, x)
    return found


def _onnxruntime(problem: Problem, points: FloatArray) -> str:
    if not available():
        return "not installed"
    try:
        return outcome(problem, evaluate_onnxruntime(problem, points))
    except VerifexError as error:
        return f"not run: {error}"
    except Exception as error:  # another project's code: what it raises is a result, not ours
        return f"failed: {type(error).__name__}: {' '.join(str(error).split())}"[:200]
