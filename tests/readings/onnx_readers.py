"""Four readers of one ONNX file, and what it means that they agree.

    engine      verifex.frontend, evaluated exactly
    checker     verifex.certificate.checker, evaluated exactly
    runtime     onnxruntime
    reference   the ONNX reference evaluator

Values are compared with a tolerance of a few roundings of the file's float type.
"""

from __future__ import annotations

import random
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx.reference import ReferenceEvaluator

from tests.helpers import checker_parts as checker
from verifex.errors import InputError
from verifex.frontend import load_bytes
from verifex.ir.ops import Univariate
from verifex.semantics.evaluate import evaluate_exact, evaluate_float

Outputs = dict[str, np.ndarray]
Feeds = dict[str, np.ndarray]
SHARES = 3  # points a model is evaluated at


@dataclass(frozen=True)
class Refused:
    """Why a reader does not read a file."""

    why: str


@dataclass
class Reading:
    """One file: what each reader makes of it at the points, or why it refuses."""

    seed: str
    op: str
    found: dict[str, list[Outputs] | Refused] = field(default_factory=dict)
    wrong: str = ""

    def refuses(self, reader: str) -> bool:
        return isinstance(self.found[reader], Refused)

    @property
    def kind(self) -> str:
        """The class of the reading, as the table counts it."""
        if self.wrong:
            return "DISAGREE"
        ours = [k for k in ("engine", "checker") if not self.refuses(k)]
        if not ours:
            theirs = [k for k in ("runtime", "reference") if not self.refuses(k)]
            return "both refuse" if theirs else "nobody reads it"
        if self.refuses("runtime") and self.refuses("reference"):
            return "ours alone"
        return "agree" if len(ours) == 2 else "checker refuses" if ours == ["engine"] else (
            "engine refuses")


CLASSES = ("agree", "checker refuses", "engine refuses", "both refuse", "nobody reads it",
           "ours alone", "DISAGREE")


def points(data: bytes, seed: str) -> list[Feeds]:
    """Points of few digits for the inputs that no initialiser gives a value."""
    model = onnx.ModelProto.FromString(data)
    fixed = {t.name for t in model.graph.initializer}
    rng, found = random.Random(seed), []
    for _ in range(SHARES):
        feeds = {}
        for v in model.graph.input:
            if v.name not in fixed:
                kind = v.type.tensor_type
                dims = [d.dim_value or 1 for d in kind.shape.dim]
                size = int(np.prod(dims, dtype=int))
                values = [rng.randint(-32, 32) / 8 for _ in range(size)]
                float_type = {11: np.float64, 10: np.float16}.get(kind.elem_type, np.float32)
                feeds[v.name] = np.array(values, float_type).reshape(dims)
        found.append(feeds)
    return found


def by_engine(data: bytes, feeds: Sequence[Feeds]) -> list[Outputs] | Refused:
    try:
        graph = load_bytes(data, "m.onnx")
    except InputError as error:
        return _one_line(str(error))
    nodes = list(graph.outputs.values())
    smooth = any(isinstance(n.op, Univariate) and n.op.name not in ("square",) for n in graph.nodes)
    out = []
    for feed in feeds:
        names = [graph.nodes[i].op.name for i in graph.inputs]  # type: ignore[union-attr]
        flat = [Fraction(float(v)) for k in names for v in feed[k].ravel()]
        if smooth:
            x = np.array([flat], dtype=np.float64)
            values = evaluate_float(graph, x, nodes)
            out.append({k: np.asarray(values[n][0]) for k, n in graph.outputs.items()})
            continue
        exact = evaluate_exact(graph, flat, nodes)
        out.append({k: _array(exact[n].fractions(), graph.nodes[n].shape)
                    for k, n in graph.outputs.items()})
    return out


def by_checker(data: bytes, feeds: Sequence[Feeds]) -> list[Outputs] | Refused:
    try:
        net = checker.Network(data)
        found = net.outputs
    except checker.Bad as error:
        return _one_line(str(error))
    if not found and not net.smooth_outputs:
        return Refused("no output of floats")
    out = []
    for feed in feeds:
        flat = [Fraction(float(v)) for k in net.inputs for v in feed[k].ravel()]
        out.append({k: _array(
            checker.exactly(net.graph, net.graph.rows(t.items), flat, True) if t.items else [],
            t.shape) for k, t in found.items()}
            | {k: _head(net, t, flat) for k, t in net.smooth_outputs.items()})
    return out


def _head(net: checker.Network, head: Any, flat: list[Fraction]) -> Any:
    """A smooth output in floats, from the exact logits that the checker reads."""
    exact = checker.exactly(net.graph, net.graph.rows(head.logits.items), flat, True)
    z = np.array([float(v) for v in exact])
    soft = np.exp(z - z.max()) / np.exp(z - z.max()).sum()
    up = 1 / (1 + np.exp(-z))
    values = {"softmax": soft, "log_softmax": np.log(soft), "sigmoid": up, "1 - sigmoid": 1 - up,
              "normalized_sigmoid": up / up.sum()}[head.function]
    return values.reshape(head.logits.shape)


def by_runtime(data: bytes, feeds: Sequence[Feeds]) -> list[Outputs] | Refused:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    # Kernels alone: its optimiser folds a Range whose delta has a default value to nothing.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    try:
        session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
        names = [o.name for o in session.get_outputs()]
        return [dict(zip(names, map(np.asarray, session.run(names, feed)), strict=True))
                for feed in feeds]
    except Exception as error:  # its errors have no common base of their own
        return Refused(str(error)[:200])


def by_reference(data: bytes, feeds: Sequence[Feeds]) -> list[Outputs] | Refused:
    doubt = doubted(onnx.ModelProto.FromString(data)) if feeds else ""
    if doubt:
        return Refused(doubt)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            session = ReferenceEvaluator(_plain(onnx.ModelProto.FromString(data)))
            names = session.output_names
            return [dict(zip(names, map(np.asarray, session.run(None, dict(feed))), strict=True))
                    for feed in feeds]
    except Exception as error:
        return Refused(f"{type(error).__name__}: {error}"[:200])


READERS: dict[str, Callable[[bytes, Sequence[Feeds]], list[Outputs] | Refused]] = {
    "engine": by_engine, "checker": by_checker, "runtime": by_runtime, "reference": by_reference,
}


def read(data: bytes, seed: str, op: str, dead: Sequence[str] = ()) -> Reading:
    """All readers on one file but those that died of it; `wrong` says what disagrees."""
    out = Reading(seed, op)
    try:
        feeds = points(data, seed)
    except Exception:  # a file that not even protobuf reads
        feeds = []
    for name, reader in READERS.items():
        out.found[name] = Refused("died of it") if name in dead else reader(data, feeds)
    if out.kind == "ours alone":
        live = needed(data)
        for name in ("runtime", "reference"):
            out.found[name] = Refused("died of it") if name in dead else READERS[name](live, feeds)
    out.wrong = disagreement(out)
    return out


def needed(data: bytes) -> bytes:
    """The file without the nodes and tensors that no output needs, which ours do not look at."""
    model = onnx.ModelProto.FromString(data)
    graph, known = model.graph, {o.name for o in model.graph.output}
    live: list[onnx.NodeProto] = []
    for node in reversed(graph.node):
        if known & set(node.output):
            live.insert(0, node)
            known |= set(node.input)
    stored = [t for t in graph.initializer if t.name in known]
    names = {t.name for t in graph.initializer} - {t.name for t in stored}
    inputs = [v for v in graph.input if v.name not in names]
    for part, kept in ((graph.node, live), (graph.initializer, stored), (graph.input, inputs)):
        copies = [type(k).FromString(k.SerializeToString()) for k in kept]  # type: ignore
        del part[:]
        part.extend(copies)
    return bytes(model.SerializeToString())


def disagreement(reading: Reading) -> str:
    """What ours say otherwise than somebody else, or one than the other; "" for nothing.

    Where both of the others read the file and differ, ours have to refuse.
    """
    mine = {k: v for k, v in reading.found.items()
            if k in ("engine", "checker") and not isinstance(v, Refused)}
    theirs = {k: v for k, v in reading.found.items()
              if k in ("runtime", "reference") and not isinstance(v, Refused)}
    for k, v in mine.items():
        for other, w in [*mine.items(), *theirs.items()]:
            for a, b in zip(v, w, strict=True):
                what = difference(a, b)
                if what:
                    return f"{k} and {other}: {what}"
    runtime = reading.found["runtime"]
    if mine and not theirs and isinstance(runtime, Refused) and "NOT_IMPL" not in runtime.why:
        return f"ours alone: onnxruntime says {runtime.why}"
    return ""


def difference(a: Outputs, b: Outputs) -> str:
    """Where float outputs that `a` has differ in shape or value from those of `b`."""
    for name, x in a.items():
        y = b.get(name)
        if y is None or x.shape != y.shape:
            return f"{name} has shape {x.shape} and {None if y is None else y.shape}"
        y = y.astype(np.float64)
        if not np.isfinite(y).all():
            return f"{name} is not finite: {y.ravel()[:4]}"
        size = max(1.0, float(np.abs(x).max(initial=0)), float(np.abs(y).max(initial=0)))
        if not (np.abs(x - y) <= 4e-6 * size).all():
            return f"{name} is {x.ravel()[:6].tolist()} and {y.ravel()[:6].tolist()}"
    return ""


def doubted(model: onnx.ModelProto) -> str:
    """Why the reference is not asked: where the standard's text decides, and against it."""
    versions = {o.domain: o.version for o in model.opset_import}
    opset = versions.get("", versions.get("ai.onnx", 0))
    for op in {n.op_type for n in model.graph.node}:
        if op == "GlobalMaxPool":
            return "GlobalMaxPool keeps the spatial axes as 1; the reference drops some"
        if op in ("Softmax", "LogSoftmax") and opset < 13:
            return "before set 13 all axes from `axis` on are one; the reference takes one axis"
        if op == "BatchNormalization" and 9 <= opset < 14:
            return "with one output it is inference; the reference trains if momentum is given"
        if op == "ConvTranspose" and any(len(n.input) > 2 for n in model.graph.node):
            return "a bias is one number a channel; the reference starts again in every group"
        if op in ("MaxPool", "AveragePool") and any(
                a.name == "ceil_mode" and a.i for n in model.graph.node for a in n.attribute):
            return "with ceil_mode the reference adds no window, or moves all of them"
        if op == "MaxPool" and any(_uneven(n) for n in model.graph.node):
            return "of pads that differ at both ends the reference takes one end"
    return ""


def _uneven(node: onnx.NodeProto) -> bool:
    """Whether pads (given, or by auto_pad) may differ before and after an axis."""
    for a in node.attribute:
        if a.name == "auto_pad" and a.s.startswith(b"SAME"):
            return True
        if a.name == "pads" and len(set(a.ints)) > 1:
            return True
    return False


def _plain(model: onnx.ModelProto) -> onnx.ModelProto:
    """The standard's domain by its short name, the only one that the reference knows."""
    for part in (*model.opset_import, *model.graph.node):
        if part.domain == "ai.onnx":
            part.domain = ""
    return model


def _array(values: Iterable[Fraction], shape: Sequence[int]) -> np.ndarray:
    return np.array([float(v) for v in values], dtype=np.float64).reshape(shape)


def _one_line(text: str) -> Refused:
    if not text or "\n" in text or len(text) > 500:
        raise AssertionError(f"a refusal that is not one line: {text!r}")
    return Refused(text)


def table(readings: Iterable[Reading]) -> str:
    """How many readings of each class, an operator a row, as Markdown."""
    rows: dict[str, Counter[str]] = {}
    for r in readings:
        rows.setdefault(r.op, Counter())[r.kind] += 1
    rows = dict(sorted(rows.items()))
    rows["**all**"] = sum(rows.values(), Counter())
    lines = ["| operator | " + " | ".join(CLASSES) + " |", "|---" * (len(CLASSES) + 1) + "|"]
    lines += ["| " + " | ".join([op, *(str(c[k] or "") for k in CLASSES)]) + " |"
              for op, c in rows.items()]
    return "\n".join(lines)
