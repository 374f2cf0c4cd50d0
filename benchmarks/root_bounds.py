"""Mean width of the gradient bounds at the root: 20-50-50-2, eps .05.

    python -m benchmarks.root_bounds

Interval arithmetic; plain backward substitution (adaptive slopes, chords for gates, no ties between
gates and pre-activations, nothing optimised); ours, optimised. The exact mean width is that of the
published ranges.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import numpy as np

from benchmarks.bench import ball, components, reference, root_of, save, show
from verifex.engine.bounds.bounder import Bounds, Effort
from verifex.engine.bounds.layout import Layout
from verifex.engine.bounds.optimise import TorchBounder
from verifex.engine.bounds.root import to_rows
from verifex.ir.exact import FloatArray
from verifex.ir.problem import Problem
from verifex.semantics.linear import Rows
from verifex.semantics.parameters import Parameter, ParameterKind


def untied(params: Mapping[Parameter, FloatArray]) -> dict[Parameter, FloatArray]:
    """The parameters with no gate tied to its pre-activation."""
    return {
        k: np.zeros_like(v) if k.kind is ParameterKind.TIE else v for k, v in params.items()
    }


def bounds(
    problem: Problem, node: int, rows: Rows, bounder: TorchBounder, effort: Effort | None
) -> float:
    """Mean width of the node's linear bounds; without effort: plain, no ties."""
    lo, hi = problem.region.float_box()
    n = problem.graph.nodes[node].size
    start = {node: np.concatenate([np.eye(n), -np.eye(n)])}
    box = tuple(np.repeat(v[None], 2 * n, axis=0) for v in (lo, hi))
    if effort is None:
        params = bounder.start(rows, [node])
        plain = untied(params)
        value = bounder.evaluate(rows, start, plain, *box)[0]
    else:
        found: Bounds = bounder.bound(rows, start, *box, effort)
        value = found.value
    return float(np.mean(-value[n:] - value[:n]))


def plain_width(problem: Problem, node: int) -> float:
    """Plain bounds everywhere: of the pre-activations and hidden gradients too."""
    layout = Layout(problem.graph, (node,))
    bounder = TorchBounder(problem.graph)
    lo, hi = problem.region.float_box()
    signs = np.zeros((1, layout.gates), dtype=np.int8)
    for target in layout.relaxed():
        boxes = layout.propagate(lo[None], hi[None], signs)
        n = problem.graph.nodes[target].size
        rows = to_rows(boxes, np.zeros(2 * n, dtype=np.intp), layout, signs)
        value = _plain(bounder, rows, target, n, lo, hi)
        layout.facts[target] = (
            np.maximum(value[:n], boxes.lo[target][0]), np.minimum(-value[n:], boxes.hi[target][0])
        )
    boxes = layout.propagate(lo[None], hi[None], signs)
    n = problem.graph.nodes[node].size
    rows = to_rows(boxes, np.zeros(2 * n, dtype=np.intp), layout, signs)
    return bounds(problem, node, rows, bounder, None)


def _plain(
    bounder: TorchBounder, rows: Rows, node: int, n: int, lo: FloatArray, hi: FloatArray
) -> FloatArray:
    start = {node: np.concatenate([np.eye(n), -np.eye(n)])}
    params = bounder.start(rows, [node])
    plain = untied(params)
    box = (np.repeat(v[None], 2 * n, axis=0) for v in (lo, hi))
    return bounder.evaluate(rows, start, plain, *box)[0]


def main() -> None:
    graph, data = reference("mlp20_50_50_2")
    problem, forms = components(graph, ball(data["center"], "0.05"), data["output"])
    ((node, _), _), = forms[0].terms
    lo, hi = problem.region.float_box()
    free = Layout(problem.graph, (node,))
    signs = np.zeros((1, free.gates), dtype=np.int8)
    boxes = free.propagate(lo[None], hi[None], signs)
    interval = float(np.mean(boxes.hi[node] - boxes.lo[node]))
    started = time.monotonic()
    plain = plain_width(problem, node)
    plain_seconds = time.monotonic() - started
    root, facts_seconds = root_of(problem)
    started = time.monotonic()
    n = problem.graph.nodes[node].size
    rows = to_rows(root.boxes, np.zeros(2 * n, dtype=np.intp), root.layout, signs)
    ours = bounds(problem, node, rows, TorchBounder(problem.graph), Effort(60, 0.2, 0.97))
    ours_seconds = time.monotonic() - started + facts_seconds
    long = bounds(problem, node, rows, TorchBounder(problem.graph), Effort(400, 0.2, 0.99))
    ranges = data["ranges"]["0.05"]
    exact = float(np.mean(np.array(ranges["upper"]) - np.array(ranges["lower"])))
    result: dict[str, Any] = {"exact": exact, "widths": [
        {"bounds": "interval", "width": interval, "seconds": 0.0},
        {"bounds": "plain backward, no ties", "width": plain, "seconds": plain_seconds},
        {"bounds": "ours, as the search begins", "width": ours, "seconds": ours_seconds},
        {"bounds": "ours, 400 steps at the end", "width": long, "seconds": None},
    ]}
    save("root_bounds", result)
    print(show(*table(result)))


def table(result: dict[str, Any]) -> tuple[list[str], list[list[Any]]]:
    rows = [[w["bounds"], w["width"], w["width"] / result["exact"],
             "-" if w["seconds"] is None else w["seconds"]] for w in result["widths"]]
    return ["bounds", "mean width", "of the exact width", "seconds"], [
        *rows, ["exact", result["exact"], 1.0, "-"]]


if __name__ == "__main__":
    main()
