"""Bounds per second against batch size, and against the measured matrix-multiply rate.

    python -m benchmarks.gpu_bounds --device cpu
    python -m benchmarks.gpu_bounds --device cuda --dtype float32 --sizes 1,8,64,512,4096,32768

A bound is one backward pass over the gradient graph of 20-50-50-2 (or of the 784-100-100-10
network, with --network) for one domain and one form, without gradients of its parameters. The rate
in operations counts two per coefficient product of the affine maps only; the matrix-multiply rate
is that of the same device and type at 2048 x 2048, measured in the same run.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from benchmarks.bench import ball, components, reference, save, show
from verifex.engine.bounds.bounder import RowTask
from verifex.engine.bounds.layout import Layout
from verifex.engine.bounds.optimise import TorchBounder
from verifex.engine.bounds.root import to_rows
from verifex.frontend.onnx.read import load
from verifex.ir.ops import Affine
from verifex.semantics.linear import Rows, passed


def rate(work: Callable[[], Any], device: str, seconds: float) -> float:
    """Calls a second, after a warm-up."""
    work()
    _wait(device)
    count, started = 0, time.monotonic()
    while time.monotonic() - started < seconds or count < 2:
        work()
        _wait(device)
        count += 1
    return count / (time.monotonic() - started)


def _wait(device: str) -> None:
    if device != "cpu":
        torch.cuda.synchronize()


def matmul_rate(device: str, dtype: torch.dtype, seconds: float) -> float:
    """Operations a second of a square matrix product."""
    n = 2048
    a, b = (torch.randn(n, n, device=device, dtype=dtype) for _ in range(2))
    return 2.0 * n**3 * rate(lambda: a @ b, device, seconds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", default="float64", choices=["float32", "float64"])
    parser.add_argument("--sizes", default="1,8,64,256,1024,4096")
    parser.add_argument("--seconds", type=float, default=1.0, help="for each size")
    parser.add_argument("--network", default="")
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    dtype = getattr(torch, args.dtype)
    graph, data = reference("mlp20_50_50_2")
    centre = data["center"]
    if args.network:
        graph = load(args.network)
        centre = np.random.default_rng(0).random(graph.input_size).tolist()
    problem, forms = components(graph, ball(centre, "0.02"), 0)
    ((node, _), _), = forms[0].terms
    layout = Layout(problem.graph, (node,))
    bounder = TorchBounder(problem.graph, args.device, dtype)
    nodes = problem.graph.nodes
    per_bound = sum(
        2 * int(np.prod(m.in_shape)) * int(np.prod(m.out_shape))
        for i in passed(problem.graph, [node]) if isinstance(nodes[i].op, Affine)
        for m in nodes[i].op.maps
    )
    peak = matmul_rate(args.device, dtype, args.seconds)
    result: dict[str, Any] = {"device": args.device, "dtype": args.dtype, "threads": args.threads,
                              "matmul": peak, "per_bound": per_bound, "rows": []}
    for size in map(int, args.sizes.split(",")):
        each = one_size(problem, layout, bounder, node, size, args.device, dtype, args.seconds)
        result["rows"].append({
            "size": size, "bounds_per_second": each, "operations": each * per_bound,
            "share": each * per_bound / peak,
        })
        print(result["rows"][-1], flush=True)
    save(f"gpu_bounds_{args.device}", result)
    print(show(*table(result)))


def one_size(
    problem: Any, layout: Layout, bounder: TorchBounder, node: int, size: int, device: str,
    dtype: torch.dtype, seconds: float,
) -> float:
    """Bounds a second for a batch of different boxes."""
    rng = np.random.default_rng(0)
    lo, hi = (np.broadcast_to(v, (size, v.shape[0])) for v in problem.region.float_box())
    shrink = rng.random(lo.shape) * 0.5
    lo, hi = lo + shrink * (hi - lo) / 2, hi - shrink * (hi - lo) / 2
    signs = np.zeros((size, layout.gates), dtype=np.int8)
    raw = to_rows(layout.propagate(lo, hi, signs), np.arange(size), layout, signs)
    lows, highs = ({i: torch.tensor(np.array(v), device=device, dtype=dtype)
                    for i, v in side.items()} for side in (raw.lo, raw.hi))
    rows = Rows(lows, highs, torch.from_numpy(raw.domain).to(device))
    n = layout.graph.nodes[node].size
    start = {node: torch.from_numpy(rng.normal(size=(size, n))).to(device, dtype)}
    task = RowTask(rows, start, *(torch.tensor(v, device=device, dtype=dtype) for v in (lo, hi)))
    params = bounder.arithmetic.begin(rows, [node])

    def work() -> None:
        with torch.no_grad():
            bounder.arithmetic.evaluated(task, params)

    return size * rate(work, device, seconds)


def table(result: dict[str, Any]) -> tuple[list[str], list[list[Any]]]:
    return ["batch", "bounds a second", "Gflop/s", "of the matrix-multiply rate"], [
        [r["size"], f"{r['bounds_per_second']:.0f}", f"{r['operations'] / 1e9:.3g}",
         f"{r['share']:.1%}"] for r in result["rows"]
    ]


if __name__ == "__main__":
    main()
