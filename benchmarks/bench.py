"""What the benchmark scripts share: networks, problems, timing, and where results are kept.

Times are CPU seconds of one thread, in this process for everything that is compared, so that a
ratio does not depend on what else the machine does. Limits are wall seconds.
"""

from __future__ import annotations

import itertools
import json
import os
import platform
import time
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import torch

from verifex.engine.bounds.layout import Layout
from verifex.engine.bounds.optimise import TorchBounder
from verifex.engine.bounds.root import Root, root_facts
from verifex.engine.budget import Budget
from verifex.engine.search.extrema import Minimum, minima
from verifex.engine.search.gates.search import SearchOptions, Stats
from verifex.frontend.onnx.read import load
from verifex.ir.formula import Atom, Form, Or
from verifex.ir.graph import Builder, Graph
from verifex.ir.linmap import dense, gather, total
from verifex.ir.model.solving import Answer, SolveLimits
from verifex.ir.problem import Objective, Problem
from verifex.ir.region import Region
from verifex.semantics.claim import extremum
from verifex.semantics.vjp import gradients

ROOT = Path(__file__).resolve().parent.parent
DATA = ROOT.parent / "shared" / "data"
OUT = ROOT / "out" / "bench"
MEMORY = 4 << 30


def save(name: str, data: dict[str, Any]) -> None:
    """Keep a benchmark's result, with what it ran on, for `run_all.py`."""
    OUT.mkdir(parents=True, exist_ok=True)
    data["machine"] = {
        "cores": os.cpu_count(), "processor": platform.machine(), "torch": torch.__version__,
        "python": platform.python_version(), "load": os.getloadavg()[0],
        "date": time.strftime("%Y-%m-%d"),
    }
    (OUT / f"{name}.json").write_text(json.dumps(data, indent=1) + "\n")


def show(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """A table in Markdown."""
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    lines += ["| " + " | ".join(_cell(c) for c in row) + " |" for row in rows]
    return "\n".join(lines)


def _cell(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


# --- networks and problems --------------------------------------------------------------------


def explained(graph: Graph, output: int, *, norm: bool = False) -> tuple[Graph, int]:
    """The graph with the gradient of one logit, and that node; with `norm` the sum of |g_i|."""
    b = Builder(graph)
    (logits,) = graph.outputs.values()
    pick = b.affine(gather(b.shape(logits), _first(b, logits, output)), logits)
    (gradient,) = gradients(b, pick, list(graph.inputs))
    if norm:
        size = b.absolute(gradient)
        gradient = b.affine(total(b.shape(size)), size)
    return b.build({**graph.outputs, "explained": gradient}), gradient


def _first(b: Builder, node: int, index: int) -> np.ndarray:
    return np.array(index, dtype=np.int64) if b.shape(node) else np.array(0)


def ball(centre: Sequence[float], eps: str, clip: bool = False) -> Region:
    """The l-inf ball around exact float coordinates; eps is a decimal."""
    radius, points = Fraction(eps), [Fraction(float(c)) for c in centre]
    lo, hi = [c - radius for c in points], [c + radius for c in points]
    if clip:
        lo = [max(v, Fraction(0)) for v in lo]
        hi = [min(v, Fraction(1)) for v in hi]
    return Region(tuple(lo), tuple(hi))


def reference(name: str) -> tuple[Graph, dict[str, Any]]:
    """A network of ../shared/data/reference, and the file beside it."""
    folder = DATA / "reference"
    return load(folder / f"{name}.onnx"), json.loads((folder / f"{name}.json").read_text())


def components(graph: Graph, region: Region, output: int) -> tuple[Problem, list[Form]]:
    """The components of a logit's gradient over a region."""
    full, node = explained(graph, output)
    forms = [Form.of({(node, i): 1}) for i in range(full.nodes[node].size)]
    return Problem(full, region, Or(tuple(map(Atom, forms)))), forms


def l1_norm(graph: Graph, region: Region, output: int) -> tuple[Problem, Form]:
    """The L1 norm of a logit's gradient."""
    full, node = explained(graph, output, norm=True)
    form = Form.of({(node, 0): 1})
    return Problem(full, region, Atom(form)), form


def random_network(widths: Sequence[int], seed: int) -> tuple[Graph, list[float]]:
    """torch's default initialisation, and a centre drawn from [0, 1]."""
    torch.manual_seed(seed)
    b = Builder()
    h = b.input("x", (widths[0],))
    for k, (m, n) in enumerate(itertools.pairwise(widths)):
        layer = torch.nn.Linear(m, n)
        weight = layer.weight.detach().numpy().astype(np.float64)
        bias = layer.bias.detach().numpy().astype(np.float64)
        h = b.affine(dense(weight), b.relu(h) if k else h, bias)
    return b.build({"logits": h}), torch.rand(widths[0]).double().tolist()


def layers_of(graph: Graph) -> list[tuple[np.ndarray, np.ndarray]]:
    """Weights and biases of a plain ReLU network, for baselines that know nothing of graphs."""
    from verifex.ir.exact import as_float
    from verifex.ir.linmap import apply_numpy
    from verifex.ir.ops import Affine

    found = []
    for node in graph.nodes:
        if isinstance(node.op, Affine) and node.op.bias is not None:
            m = node.op.maps[0]
            size = int(np.prod(m.in_shape))
            columns = apply_numpy(m, np.eye(size).reshape(size, *m.in_shape))
            found.append((columns.reshape(size, -1).T, as_float(node.op.bias).ravel()))
    return found


# --- ours, and the MILP on our bounds -----------------------------------------------------------


def search_minima(
    problem: Problem, forms: list[Form], seconds: float, options: SearchOptions | None = None
) -> tuple[list[Minimum], Stats, float]:
    """Minima of all forms in one search, with the CPU seconds it took; one thread."""
    started = time.process_time()
    found, stats, _, _ = minima(
        problem, forms, Budget(seconds, MEMORY, 1), options or SearchOptions()
    )
    return found, stats, time.process_time() - started


def root_of(problem: Problem, seconds: float = 60.0) -> tuple[Root, float]:
    """The engine's bounds at the root, as the search begins with, and the CPU seconds."""
    torch.set_num_threads(1)
    started = time.process_time()
    layout = Layout(problem.graph, tuple(problem.targets()))
    lo, hi = problem.region.float_box()
    root = root_facts(
        layout, TorchBounder(problem.graph), lo, hi, Budget(seconds, MEMORY, 1),
        SearchOptions().root_effort,
    )
    return root, time.process_time() - started


def milp(
    problem: Problem, root: Root, objective: Objective, seconds: float
) -> tuple[Answer, float]:
    """One query by HiGHS over our encoding with our best root bounds: CPU seconds, one thread.

    The adapter runs in this process, so that no start of a child counts against the baseline.
    """
    from verifex.solvers.highs import Highs

    started = time.process_time()
    question = extremum(problem, objective, root.ends, products=False)
    answer = Highs().solve(question.model, SolveLimits(seconds, MEMORY, 1))
    return answer, time.process_time() - started
