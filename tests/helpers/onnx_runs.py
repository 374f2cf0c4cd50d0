"""Small ONNX models and their comparison with onnxruntime, shared by the frontend's tests."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from verifex.frontend import load_bytes
from verifex.semantics.evaluate import evaluate_float

RNG = np.random.default_rng(7)
ALL = (7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23)


@dataclass(frozen=True)
class In:
    """A graph input of this shape, drawn from [low, high]."""

    shape: tuple[int, ...]
    low: float = -2.0
    high: float = 2.0


class Case:
    """One row: an op, its inputs (graph inputs, constant arrays or None), attributes and opsets."""

    def __init__(self, op: str, *inputs: Any, opsets: tuple[int, ...] = (17,), outputs: int = 1,
                 domain: str = "", single: bool = False, **attributes: Any) -> None:
        self.op, self.inputs, self.opsets, self.outputs = op, inputs, opsets, outputs
        self.domain, self.single, self.attributes = domain, single, attributes

    def id(self, opset: int) -> str:
        shapes = "_".join("x".join(map(str, i.shape)) for i in self.inputs if isinstance(i, In))
        extra = "_".join(f"{k}={v}" for k, v in self.attributes.items()
                         if not isinstance(v, onnx.TensorProto))
        return f"{self.op}-{opset}-{shapes}-{extra}"[:90]


def weights(*shape: int) -> np.ndarray:
    return RNG.uniform(-1, 1, shape)


def ints(*values: int) -> np.ndarray:
    return np.array(values, dtype=np.int64)


def scalar(value: float) -> np.ndarray:
    return np.array(value)


def build(case: Case, opset: int, kind: int) -> onnx.ModelProto:
    """A model of the one node; `kind` is the float type of its inputs and weights."""
    float_type = {TensorProto.DOUBLE: np.float64, TensorProto.FLOAT: np.float32}[kind]
    names, infos, stored = [], [], []
    for k, given in enumerate(case.inputs):
        name = "" if given is None else f"i{k}"
        names.append(name)
        if isinstance(given, In):
            infos.append(helper.make_tensor_value_info(name, kind, given.shape))
        elif given is not None:
            array = given.astype(float_type) if given.dtype == np.float64 else given
            stored.append(numpy_helper.from_array(np.asarray(array), name))
    outputs = [f"o{k}" for k in range(case.outputs)]
    node = helper.make_node(case.op, names, outputs, domain=case.domain, **case.attributes)
    imports = [helper.make_opsetid("", opset)]
    if case.domain:
        imports.append(helper.make_opsetid(case.domain, 3))
    graph = helper.make_graph([node], "case", infos, [
        helper.make_tensor_value_info(o, kind, None) for o in outputs], stored)
    return helper.make_model(graph, opset_imports=imports, ir_version=8)


def session(model: onnx.ModelProto) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def compare(model: onnx.ModelProto, tolerance: float, case: Case | None = None,
            points: int = 3) -> None:
    """The graph's value against onnxruntime's at random points."""
    runner = session(model)
    graph = load_bytes(model.SerializeToString(), "case.onnx")
    for _ in range(points):
        feeds = {}
        for k, i in enumerate(runner.get_inputs()):
            spans = [g for g in case.inputs if isinstance(g, In)] if case else []
            low, high = (spans[k].low, spans[k].high) if spans else (-2.0, 2.0)
            kind = np.float64 if i.type == "tensor(double)" else np.float32
            shape = [d if isinstance(d, int) else 1 for d in i.shape]
            feeds[i.name] = np.asarray(RNG.uniform(low, high, shape), kind)
        wanted = runner.run(list(graph.outputs), feeds)
        flat = np.concatenate([feeds[graph.nodes[i].op.name].ravel() for i in graph.inputs])
        found = evaluate_float(graph, flat[None].astype(np.float64), graph.outputs.values())
        for (name, i), value in zip(graph.outputs.items(), wanted, strict=True):
            assert found[i].shape[1:] == value.shape, name
            np.testing.assert_allclose(found[i][0], value, rtol=tolerance, atol=tolerance)
