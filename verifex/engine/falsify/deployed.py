"""A VNN-LIB query's networks as they are deployed: run by onnxruntime, and the query's truth at
what comes out, without any tolerance."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from verifex.frontend.onnx.runtime import Runtime
from verifex.problem.vnnlib.raw_query import raw_query
from verifex.problem.vnnlib.read import QueryFile
from verifex.problem.vnnlib.stated import Stated
from verifex.semantics.evaluate import evaluate_exact, evaluate_float


class Deployed:
    """Sessions of all networks of a query, read from a file; raises what `Runtime` raises."""

    def __init__(self, stated: Stated, query: QueryFile) -> None:
        self.stated = stated
        self.runs = [
            (net, Runtime(net.source, [onnx for _, onnx in net.hidden]))
            for net in stated.networks
        ]
        self.satisfied = raw_query(query, stated)

    def values(self, points: NDArray[np.float32]) -> dict[str, NDArray[Any]]:
        """Every declared tensor (flat) at a flat float32 input: what is fed, what comes out."""
        graph = self.stated.problem.graph
        inputs = [v for v in self.stated.variables if v.kind == "input"]
        moved = evaluate_float(graph, np.asarray(points, dtype=np.float64)[None],
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

    def breaks(self, points: NDArray[np.float32], point: Sequence[Fraction]) -> bool:
        """Whether the query, as it is written, is satisfied at a point with what onnxruntime makes
        of the float32 input beside it.

        Inputs are the point's. Outputs and hidden tensors are what came out, also where the
        network only copies its inputs there.
        """
        found = self.values(points)
        if not all(np.isfinite(flat).all() for flat in found.values()):
            return False
        values = {name: [Fraction(n) for n in flat.tolist()] for name, flat in found.items()}
        inputs = {v.name: v.node for v in self.stated.variables if v.kind == "input"}
        exact = evaluate_exact(self.stated.problem.graph, point, inputs.values())
        return self.satisfied(values | {k: exact[n].fractions() for k, n in inputs.items()})
