"""A VNN-LIB query's networks as they are deployed: run by onnxruntime, and the query's truth at
what comes out, without any tolerance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from verifex.frontend.runtime import Runtime
from verifex.ir.exact import ExactArray
from verifex.ir.formula import holds, nodes
from verifex.ir.linmap import Gather
from verifex.ir.ops import Affine, Concat, Const, Mul, Op
from verifex.ir.problem import Problem
from verifex.problem.stated import Stated
from verifex.semantics.evaluate import ExactBackend, evaluate, evaluate_exact, evaluate_float


class Deployed:
    """Sessions of all networks of a query; raises what `Runtime` raises."""

    def __init__(self, stated: Stated) -> None:
        self.stated = stated
        self.runs = [
            (net, Runtime(net.source, [onnx for _, onnx in net.hidden]))
            for net in stated.networks
        ]
        self.nodes = {v.name: v for v in stated.variables}

    def values(self, x: NDArray[np.float32]) -> dict[str, NDArray[Any]]:
        """Every declared tensor (flat) at a flat float32 input: what is fed, what comes out."""
        graph = self.stated.problem.graph
        inputs = [v for v in self.stated.variables if v.kind == "input"]
        moved = evaluate_float(graph, np.asarray(x, dtype=np.float64)[None],
                               [v.node for v in inputs])
        out: dict[str, NDArray[Any]] = {
            v.name: moved[v.node].reshape(-1).astype(np.float32) for v in inputs
        }
        for net, runtime in self.runs:
            found = dict(zip(runtime.outputs, runtime.run([out[n] for n in net.inputs]),
                             strict=True))
            names = runtime.outputs[: len(net.outputs)]
            for name, onnx in [*zip(net.outputs, names, strict=True), *net.hidden]:
                out[name] = found[onnx].reshape(-1)
        return out

    def breaks(self, x: NDArray[np.float32], point: Sequence[Fraction]) -> bool:
        """Whether the query is satisfied at a point with what onnxruntime makes of the float32
        input beside it."""
        graph = self.stated.problem.graph
        known = dict(evaluate_exact(graph, point, [*graph.inputs, *(
            v.node for v in self.stated.variables if v.kind == "input")]))
        for name, flat in self.values(x).items():
            variable = self.nodes[name]
            if not np.isfinite(flat).all():
                return False
            if variable.kind != "input":
                numbers = [Fraction(float(v)) for v in flat]
                shape = graph.nodes[variable.node].shape
                known[variable.node] = ExactArray.from_numbers(numbers, shape)
        return bool(broken_by(self.stated.problem, known))


def broken_by(problem: Problem, known: Mapping[int, ExactArray]) -> bool | None:
    """Whether the claim is broken where nodes have these exact values (unbatched, node shapes).

    Moved elements and products of known ones are computed exactly. None where the claim reads
    anything else.
    """
    broken = problem.broken()
    values: dict[int, ExactArray] = {
        i: v.reshape((1, *problem.graph.nodes[i].shape)) for i, v in known.items()
    }
    backend = ExactBackend()

    def value(i: int) -> bool:
        if i in values:
            return True
        node = problem.graph.nodes[i]
        if not _follows(node.op) or not all(value(a) for a in node.args):
            return False
        values[i] = evaluate[node.op](node.op, backend, *(values[a] for a in node.args))
        return True

    wanted = nodes(broken)
    if not all(value(i) for i in wanted):
        return None
    return holds(broken, {i: values[i].reshape(problem.graph.nodes[i].shape) for i in wanted})


def _follows(op: Op) -> bool:
    """Whether an op is the query's own (a product, a move), not one of a network."""
    if isinstance(op, Affine):
        return op.bias is None and all(isinstance(m, Gather) for m in op.maps)
    return isinstance(op, Mul | Concat | Const)
