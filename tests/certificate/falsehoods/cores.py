"""Networks around an operator, and claims on which two readings of the operator disagree.

A core takes a tensor `h` of some shape and makes `c`. Around it: a random affine step, its output
flattened and mixed. What a network is worth at a point is asked of onnxruntime, or of the ONNX
reference where onnxruntime does not run the file; where both run, they must agree.
"""

from __future__ import annotations

import math
import random
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import cache
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from tests.certificate.falsehoods.claims import (
    BOUND,
    LEAF,
    Draw,
    Files,
    Limit,
    Vector,
    Version,
    between,
    query,
    radius_of,
    toml,
    witness,
)

Stored = dict[str, Any]  # arrays, or TensorProtos where how they are stored matters
FLOAT, DOUBLE = TensorProto.FLOAT, TensorProto.DOUBLE
STEP = Fraction(1, 64)  # of finite differences; all regions of claims about slopes are wider


@dataclass(frozen=True)
class Core:
    """Nodes from `h` (of this shape) to `c`, with the tensors that they name."""

    shape: tuple[int, ...]
    nodes: tuple[Any, ...]
    stored: Stored = field(default_factory=dict)
    opset: int = 17
    kind: int = FLOAT  # of the input, and of all that is computed
    edit: Callable[[bytes], bytes] | None = None  # of the file's bytes, at the end


def op(shape: Sequence[int], kind: str, *stored: Any, opset: int = 17, **attributes: Any) -> Core:
    """A core of one operator: h first, then tensors; a None is an input left out."""
    names = ["" if a is None else f"s{k}" for k, a in enumerate(stored)]
    node = helper.make_node(kind, ["h", *names], ["c"], **attributes)
    return Core(tuple(shape), (node,), {n: a for n, a in zip(names, stored) if n}, opset)


def chain(shape: Sequence[int], *nodes: tuple[Any, ...], opset: int = 17, **stored: Any) -> Core:
    """A core of several nodes, each (kind, inputs, outputs, attributes)."""
    made = [helper.make_node(k, i.split(","), o.split(","), **a) for k, i, o, a in nodes]
    return Core(tuple(shape), tuple(made), stored, opset)


def weights(rng: random.Random, *shape: int) -> np.ndarray[Any, Any]:
    """Small dyadic numbers other than 0."""
    values = [rng.choice((-1, 1)) * rng.randint(1, 24) / 8 for _ in range(math.prod(shape))]
    return np.array(values, np.float32).reshape(shape)


def ints(*values: int) -> np.ndarray[Any, Any]:
    return np.array(values, np.int64)


def tensor(name: str, value: Any) -> Any:
    if isinstance(value, TensorProto):
        value.name = name
        return value
    return numpy_helper.from_array(np.asarray(value), name)


def framed(rng: random.Random, core: Core) -> bytes:
    """A network from a flat vector x through the core to a flat vector y."""
    size, kind = math.prod(core.shape), helper.tensor_dtype_to_np_dtype(core.kind)
    stored: Stored = {"to": ints(*core.shape), "flat": ints(1, -1), **core.stored}
    nodes, now = [], "x"
    if rng.random() < 0.7:
        mix = np.diag(weights(rng, size)) if rng.random() < 0.5 else weights(rng, size, size)
        stored["mix"] = mix.astype(kind)
        nodes, now = [helper.make_node("MatMul", ["x", "mix"], ["mixed"])], "mixed"
    nodes += [helper.make_node("Reshape", [now, "to"], ["h"]), *core.nodes,
              helper.make_node("Reshape", ["c", "flat"], ["y"])]
    graph = helper.make_graph(
        nodes, "g", [helper.make_tensor_value_info("x", core.kind, [1, size])],
        [helper.make_tensor_value_info("y", core.kind, None)],
        [tensor(n, a) for n, a in stored.items()])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", core.opset)],
                              ir_version=8)
    data = bytes(model.SerializeToString())
    return core.edit(data) if core.edit else data


# --- what a file is worth at a point --------------------------------------------------------


@cache
def _options() -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    return options


class Runner:
    """A file as others run it; `found` is empty where nobody does."""

    def __init__(self, data: bytes) -> None:
        self.data, self.who = data, "onnxruntime"
        self.run: Callable[[dict[str, Any]], Any]
        try:
            session = onnxruntime.InferenceSession(data, _options(),
                                                   providers=["CPUExecutionProvider"])
            self.run = lambda feed: session.run(None, feed)
        except Exception:
            self.who = "the ONNX reference"
            evaluator = ReferenceEvaluator(onnx.load_from_string(data))
            self.run = lambda feed: evaluator.run(None, feed)

    def at(self, x: Sequence[Fraction], kind: int = FLOAT) -> list[float]:
        dtype = helper.tensor_dtype_to_np_dtype(kind)
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            found = self.run({"x": np.array([[float(v) for v in x]], dtype)})
        return [float(v) for v in np.asarray(found[0], dtype=np.float64).ravel()]


def runner(data: bytes) -> Runner | None:
    """None where nobody runs the file: then nothing is known about its claims."""
    try:
        return Runner(data)
    except Exception:
        return None


# --- claims ---------------------------------------------------------------------------------


def disagreement(right: Sequence[float], wrong: Sequence[float]) -> tuple[int, float]:
    """Where two vectors differ most, and by how much of what they are."""
    gaps = [abs(a - b) / (1 + abs(b)) if math.isfinite(a) and math.isfinite(b)
            else math.inf * (a != b) for a, b in zip(right, wrong)]
    return max(enumerate(gaps), key=lambda g: g[1], default=(0, 0.0))


def of_networks(make: Callable[[random.Random], tuple[Core, Core]], swap: bool = True) -> Draw:
    """Claims about the first core's network; its reader takes it for the second's.

    `swap`: either of the two may be the file at hand.
    """

    def draw(rng: random.Random) -> Version | None:
        cores = make(rng)
        if swap and rng.random() < 0.5:
            cores = cores[::-1]
        frame = rng.getrandbits(32)
        files = [framed(random.Random(frame), c) for c in cores]
        return version_of(rng, files[0], files[1], math.prod(cores[0].shape), cores[0].kind)

    return draw


def version_of(rng: random.Random, right: bytes, wrong: bytes, size: int,
               kind: int = FLOAT, points: Sequence[Vector] = ()) -> Version | None:
    """A claim about `right` that a reader of `wrong` would prove, or refute."""
    runs = runner(right), runner(wrong)
    if right == wrong or runs[0] is None or runs[1] is None:
        return None
    x0 = rng.choice(points) if points else tuple(
        Fraction(rng.choice((-1, 1)) * rng.randint(1, 16), 8) for _ in range(size))
    try:
        values = [r.at(x0, kind) for r in runs]
    except Exception:  # the operator refuses the point
        return None
    if rng.random() < 0.25:
        return slopes(rng, right, wrong, x0, runs, kind)
    j, gap = disagreement(*values)
    if gap < 0.01 or not math.isfinite(values[1][j]):
        return None
    first, second = values[0][j], values[1][j]
    if not math.isfinite(first):
        first = second + (1 + abs(second)) * (1 if first > second else -1)
    told = f"{runs[0].who} says {values[0][j]!r:.9}, not {second!r:.9}"
    if rng.random() < 0.3 and math.isfinite(values[0][j]):  # refuted by a wrong reader
        limit = Limit(j, first <= second, between(first, second))
        cases = (witness(x0),)
        return spread(rng, right, wrong, x0, Fraction(0), limit, values, cases, told)
    limit = Limit(j, first > second, between(first, second))
    return spread(rng, right, wrong, x0, radius_of(rng), limit, values, (LEAF, BOUND), told)


def spread(rng: random.Random, right: bytes, wrong: bytes, x0: Vector, radius: Fraction,
           limit: Limit, values: Sequence[Sequence[float]], cases: Any, told: str) -> Version:
    """The claim in either language."""
    outputs = [len(v) for v in values]
    if limit.component is None and rng.random() < 0.3:
        false, twin = (query(x0, radius, limit, n) for n in outputs)
    else:
        false = twin = toml(x0, radius, limit)
    return Version(replace(false, network=right), cases, told, replace(twin, network=wrong))


def slopes(rng: random.Random, right: bytes, wrong: bytes, x0: Vector, runs: Any,
           kind: int) -> Version | None:
    """A claim about a component of the gradient.

    Between two points that differ in one input some slope is as large as the quotient of their
    differences, so the claim is false in a region that holds both.
    """
    i = rng.randrange(len(x0))
    ends = [tuple(v + s * STEP * (k == i) for k, v in enumerate(x0)) for s in (1, -1)]
    found = []
    for run in runs:
        up, down = (np.array(run.at(e, kind)) for e in ends)
        if len(up) != len(down) or not np.isfinite([*up, *down]).all():
            return None
        found.append(list((up - down) / float(2 * STEP)))
    j, gap = disagreement(*found)
    if gap < 0.05:
        return None
    first, second = found[0][j], found[1][j]
    limit = Limit(j, first > second, between(first, second), component=i)
    told = f"{runs[0].who}: a slope of {first:.6g}, not {second:.6g}"
    return Version(Files(right, toml(x0, 2 * STEP, limit).spec), (LEAF, BOUND), told,
                   Files(wrong, toml(x0, 2 * STEP, limit).spec))
