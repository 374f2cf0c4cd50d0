"""All 784 components of the predicted logit's gradient, 784-100-100-10, at 2/255.

    python -m benchmarks.train_mnist out/mnist_784_100_100_10.onnx
    python -m benchmarks.mnist_components out/mnist_784_100_100_10.onnx --limit 600

One search for all 1,568 extrema around the first test image, clipped to [0, 1], one thread. The
baseline is the gap that the root bounds leave.
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np

from benchmarks.bench import ball, components, save, search_minima, show
from benchmarks.train_mnist import test_set
from verifex.engine.search.gates.search import SearchOptions
from verifex.frontend.onnx.read import load
from verifex.semantics.evaluate import evaluate_float


def gaps(problem: Any, forms: Any, seconds: float, options: SearchOptions) -> dict[str, Any]:
    """What share of the ranges is exact or within one per cent of its width."""
    found, stats, took = search_minima(problem, [*forms, *(-f for f in forms)], seconds, options)
    n = len(forms)
    low, high = found[:n], found[n:]
    outer = np.array([-h.bound - m.bound for m, h in zip(low, high, strict=True)])
    inner = np.array([-h.attained - m.attained for m, h in zip(low, high, strict=True)])
    size = np.array([max(abs(m.bound), abs(h.bound), 1e-9) for m, h in zip(low, high, strict=True)])
    gap = outer - inner
    return {
        "seconds": took, "domains": stats.domains, "lps": stats.lps,
        "exact": float((gap <= 1e-6 * np.maximum(size, 1e-3)).mean()),
        "within": float((gap <= 0.01 * outer + 1e-9).mean()), "worst": float(gap.max()),
        "mean_width": float(outer.mean()),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("network")
    parser.add_argument("--limit", type=float, default=600.0)
    args = parser.parse_args()
    graph = load(args.network)
    images, labels = test_set()
    ((_output, node),) = graph.outputs.items()
    values = evaluate_float(graph, images[:1].astype(float).reshape(1, -1), [node])[node].ravel()
    predicted = int(values.argmax())
    # 2/255 to 20 digits: the radius is a decimal
    region = ball(images[0].astype(float).tolist(), "0.00784313725490196078", clip=True)
    problem, forms = components(graph, region, predicted)
    root = gaps(problem, forms, args.limit, SearchOptions(max_domains=0))
    print("root", root, flush=True)
    ours = gaps(problem, forms, args.limit, SearchOptions())
    result = {"components": len(forms), "predicted": predicted, "label": int(labels[0]),
              "root": root, "ours": ours, "limit": args.limit}
    save("mnist_components", result)
    print(show(*table(result)))


def table(result: dict[str, Any]) -> tuple[list[str], list[list[Any]]]:
    return ["bounds", "exact", "gap under 1 %", "widest gap", "mean width", "seconds", "domains"], [
        [name, f"{r['exact']:.1%}", f"{r['within']:.1%}", r["worst"], r["mean_width"],
         r["seconds"], r["domains"]]
        for name, r in (("at the root", result["root"]), ("search", result["ours"]))
    ]


if __name__ == "__main__":
    main()
