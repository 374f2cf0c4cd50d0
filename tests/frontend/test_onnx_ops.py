"""Every ONNX op against onnxruntime on random small models, over the opsets where its form differs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from verifex.frontend import load_bytes
from verifex.frontend.rules import ML_DOMAIN, RULES
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


X = In((2, 3, 4))
IMAGE = In((2, 3, 7, 6))
SINCE_11, SINCE_13, SINCE_18 = ALL[4:], ALL[6:], ALL[11:]

LINEAR = [
    Case("Gemm", In((1, 3)), weights(3, 4), weights(4), opsets=ALL),
    Case("Gemm", In((3, 2)), weights(4, 3), weights(2, 1), transA=1, transB=1, alpha=0.3, beta=0.7),
    Case("Gemm", weights(3, 4), In((4, 2)), weights(1, 2), opsets=(11,)),
    Case("Gemm", In((2, 3)), In((3, 2)), In((2, 2)), opsets=(13,), alpha=2.0),
    Case("Gemm", In((1, 3)), weights(3, 2), opsets=(11,), alpha=0.5),
    Case("MatMul", In((1, 3)), weights(3, 4), opsets=(7, 9, 13)),
    Case("MatMul", In((3,)), weights(3, 4)),
    Case("MatMul", weights(4, 3), In((3,))),
    Case("MatMul", In((3,)), weights(3)),
    Case("MatMul", In((5, 3)), weights(3, 4)),
    Case("MatMul", In((2, 5, 3)), weights(3, 4)),
    Case("MatMul", In((2, 5, 3)), weights(2, 3, 4)),
    Case("MatMul", weights(2, 4, 3), In((2, 3, 5))),
    Case("MatMul", weights(4, 3), In((2, 3, 5))),
    Case("MatMul", weights(2, 4, 3), In((3, 5))),
    Case("MatMul", In((2, 1, 4, 3)), weights(3, 3, 2)),
    Case("MatMul", In((2, 3)), In((3, 4))),
    Case("MatMul", In((2, 2, 3)), In((3, 4))),
    Case("MatMul", In((3,)), In((3,))),
    Case("Conv", IMAGE, weights(4, 3, 3, 2), weights(4), opsets=(7, 11, 22)),
    Case("Conv", IMAGE, weights(4, 3, 3, 2), strides=[2, 3], pads=[1, 0, 2, 1], dilations=[2, 1]),
    Case("Conv", IMAGE, weights(6, 1, 2, 2), weights(6), group=3, kernel_shape=[2, 2]),
    Case("Conv", In((1, 2, 9)), weights(3, 2, 3), weights(3), strides=[2], pads=[1, 1]),
    Case("Conv", In((1, 2, 4, 4, 3)), weights(2, 2, 2, 2, 2), weights(2)),
    Case("Conv", IMAGE, weights(2, 3, 3, 3), auto_pad="SAME_UPPER", strides=[2, 2]),
    Case("Conv", IMAGE, weights(2, 3, 2, 2), auto_pad="SAME_LOWER"),
    Case("Conv", IMAGE, weights(2, 3, 2, 2), auto_pad="VALID"),
    Case("ConvTranspose", IMAGE, weights(3, 2, 3, 2), weights(2), opsets=(7, 11, 22)),
    Case("ConvTranspose", IMAGE, weights(3, 2, 3, 2), strides=[2, 3], pads=[1, 0, 0, 1],
         output_padding=[1, 2], dilations=[2, 1]),
    Case("ConvTranspose", In((1, 4, 5)), weights(4, 3, 3), weights(6), group=2, strides=[2]),
    Case("BatchNormalization", IMAGE, weights(3), weights(3), weights(3), weights(3) ** 2 + 0.1,
         opsets=(7, 9, 14, 15), epsilon=0.001),
    Case("BatchNormalization", In((4, 3)), weights(3), weights(3), weights(3),
         weights(3) ** 2 + 0.1),
    Case("Scaler", In((2, 3)), domain=ML_DOMAIN, single=True, offset=[0.1, 0.2, 0.3],
         scale=[1.5, 2.0, 0.7]),
    Case("Scaler", In((2, 3)), domain=ML_DOMAIN, single=True, offset=[0.1], scale=[1.5]),
]
SMOOTH = ("Sigmoid", "Tanh", "Exp", "Erf", "Sin", "Cos")
ELEMENTWISE = [
    *(Case(op, X, weights(4), opsets=(7, 13)) for op in ("Add", "Sub", "Mul")),
    *(Case(op, weights(2, 1, 4), In((3, 1))) for op in ("Add", "Sub", "Mul")),
    *(Case(op, X, In((3, 1))) for op in ("Add", "Sub", "Mul", "Max", "Min")),
    Case("Mul", X, scalar(0.3)),
    Case("Div", X, weights(3, 1) + 2),
    Case("Div", weights(3, 1), In((2, 3, 4), 0.5, 2)),
    Case("Div", X, In((3, 1), 0.5, 2), opsets=(7, 13)),
    Case("Neg", X), Case("Relu", X, opsets=(7, 13, 14)), Case("Abs", X), Case("Sign", X, opsets=(9, 13)),
    Case("Sum", X, In((4,)), weights(3, 1), opsets=(8, 13)),
    Case("Mean", X, In((4,)), weights(3, 1), opsets=(8, 13)),
    Case("Max", X, In((4,)), weights(3, 1), opsets=(8, 13)),
    Case("Min", X, weights(4), weights(3, 1), opsets=(8, 13)), Case("Max", X),
    *(Case("Pow", In((2, 3), 0.5, 2), scalar(e), opsets=(7, 12, 15))
      for e in (1.0, 2.0, 3.0, 0.5, -1.0, -2.0)),
    Case("LeakyRelu", X, opsets=(7, 16), alpha=0.2), Case("LeakyRelu", X),
    Case("PRelu", X, weights(3, 1), opsets=(7, 9, 16)), Case("PRelu", IMAGE, weights(3, 1, 1)),
    Case("Clip", X, opsets=(7, 10), min=-0.5, max=1.0), Case("Clip", X, opsets=(7,), min=0.25),
    Case("Clip", X, scalar(-0.5), scalar(1.0), opsets=SINCE_11),
    Case("Clip", X, None, scalar(1.0)), Case("Clip", X, scalar(-1.0)), Case("Clip", X),
    Case("Clip", X, scalar(0.0), scalar(6.0)), Case("Clip", X, scalar(0.5), scalar(0.5)),
    Case("Clip", X, In((), -1, 0), In((), 0, 1)),
    Case("HardSigmoid", X, opsets=(7,), alpha=0.4, beta=0.6), Case("HardSwish", X),
    Case("Reciprocal", In((2, 3), 0.5, 2)),
    Case("Elu", X, alpha=0.7), Case("Selu", X, opsets=(7,)), Case("Celu", X, alpha=0.7),
    *(Case(op, X, opsets=(9, 13)) for op in SMOOTH),
    *(Case(op, In((2, 3), 0.5, 2)) for op in ("Log", "Sqrt")),
]
POOLS = ("MaxPool", "AveragePool")
POOLING = [
    *(Case(op, IMAGE, opsets=(7, 8, 10, 11, 12, 19, 22), kernel_shape=[2, 3], strides=[2, 1])
      for op in POOLS),
    *(Case(op, IMAGE, kernel_shape=[3, 3], strides=[1, 1], pads=[1, 1, 1, 1]) for op in POOLS),
    *(Case(op, IMAGE, kernel_shape=[3, 2], strides=[2, 2], pads=[1, 0, 0, 1], ceil_mode=1,
           opsets=(10, 17, 19, 22)) for op in POOLS),
    *(Case(op, IMAGE, kernel_shape=[3, 3], strides=[2, 2], auto_pad=pad)
      for op in POOLS for pad in ("SAME_UPPER", "SAME_LOWER", "VALID")),
    *(Case(op, In((1, 2, 9)), kernel_shape=[3], strides=[2]) for op in POOLS),
    *(Case(op, In((1, 1, 3, 4, 5)), kernel_shape=[2, 2, 3]) for op in POOLS),
    Case("MaxPool", IMAGE, kernel_shape=[2, 2], dilations=[2, 3], opsets=(10, 12, 22)),
    Case("AveragePool", IMAGE, kernel_shape=[2, 2], dilations=[2, 3], opsets=(19, 22)),
    Case("AveragePool", IMAGE, kernel_shape=[3, 3], pads=[1, 1, 1, 1], count_include_pad=1),
    Case("AveragePool", IMAGE, kernel_shape=[3, 2], strides=[2, 2], pads=[1, 0, 0, 1], ceil_mode=1,
         count_include_pad=1, opsets=(19, 22)),
    Case("GlobalMaxPool", IMAGE), Case("GlobalAveragePool", IMAGE),
    Case("GlobalAveragePool", In((1, 2, 5))),
    Case("ReduceSum", X, opsets=(7, 11), axes=[1]),
    Case("ReduceSum", X, ints(0, -1), opsets=(13, 17, 23), keepdims=0),
    Case("ReduceSum", X, opsets=(7, 13)), Case("ReduceSum", X, opsets=(13,), noop_with_empty_axes=1),
    *(Case(op, X, opsets=(11, 13), axes=[0, 2]) for op in
      ("ReduceMean", "ReduceMax", "ReduceMin", "ReduceL1", "ReduceL2", "ReduceSumSquare")),
    *(Case(op, X, ints(1), opsets=(18, 20), keepdims=0) for op in
      ("ReduceMean", "ReduceMax", "ReduceMin", "ReduceL1", "ReduceL2", "ReduceSumSquare")),
    *(Case(op, X, opsets=(17, 18)) for op in ("ReduceMean", "ReduceMax")),
    *(Case(op, X, opsets=(7, 11, 13, 17)) for op in ("Softmax", "LogSoftmax")),
    *(Case(op, X, opsets=(11, 13), axis=1) for op in ("Softmax", "LogSoftmax")),
    *(Case(op, In((1, 5), -300, 300), opsets=(11, 13)) for op in ("Softmax", "LogSoftmax")),
    Case("Softmax", In((3, 1))),
]
SHAPES = [
    Case("Reshape", X, ints(0, -1), opsets=(7, 13, 14, 19)), Case("Reshape", X, ints(4, 6)),
    Case("Reshape", X, ints(24), opsets=(14,), allowzero=1),
    Case("Flatten", X, opsets=(7, 9, 13)), Case("Flatten", X, axis=0),
    Case("Flatten", X, axis=3), Case("Flatten", X, opsets=(11,), axis=-1),
    Case("Squeeze", In((1, 2, 1)), opsets=(7, 11, 13)),
    Case("Squeeze", In((1, 2, 1)), opsets=(7, 11), axes=[2]),
    Case("Squeeze", In((1, 2, 1)), ints(-1), opsets=(13, 21)),
    Case("Unsqueeze", X, opsets=(7, 11), axes=[0, 3]),
    Case("Unsqueeze", X, ints(0, -1), opsets=(13, 21)),
    Case("Transpose", X), Case("Transpose", X, opsets=(7, 21), perm=[1, 2, 0]),
    Case("Concat", X, weights(2, 3, 1), In((2, 3, 2)), opsets=(7, 11, 13), axis=2),
    Case("Concat", X, X, axis=-3),
    Case("Split", In((2, 6)), opsets=(7, 11), outputs=2, axis=1, split=[2, 4]),
    Case("Split", In((2, 6)), opsets=(7, 13), outputs=3, axis=1),
    Case("Split", In((2, 6)), ints(1, 5), opsets=(13, 18), outputs=2, axis=-1),
    Case("Split", In((2, 7)), opsets=(18,), outputs=3, axis=1, num_outputs=3),
    Case("Slice", X, opsets=(7, 9), starts=[0, 1], ends=[1, -1], axes=[0, 2]),
    Case("Slice", X, opsets=(7,), starts=[1], ends=[100]),
    Case("Slice", X, ints(0, 3), ints(2, -100), ints(0, 2), ints(1, -1), opsets=(10, 13)),
    Case("Slice", X, ints(1, 1), ints(2, 3)), Case("Slice", X, ints(-1), ints(-100), ints(1), ints(-2)),
    Case("Gather", X, ints(0, -1), opsets=(7, 11, 13), axis=1),
    Case("Gather", X, np.array([[0, 1], [3, 2]]), axis=-1), Case("Gather", X, np.array(1)),
    Case("Pad", X, opsets=(7, 10), pads=[0, 1, 0, 1, 0, 2], value=0.5),
    Case("Pad", X, opsets=(7,), mode="reflect", pads=[0, 1, 0, 0, 0, 2]),
    Case("Pad", X, ints(0, 1, 0, 1, 0, 2), opsets=(11, 13, 18)),
    Case("Pad", X, ints(0, 1, -1, 1, 0, 2), scalar(0.5)),
    Case("Pad", X, ints(0, 1, 0, 1, 2, 2), opsets=(11, 18), mode="reflect"),
    Case("Pad", X, ints(0, 1, 0, 1, 5, 2), opsets=(11,), mode="edge"),
    Case("Pad", X, ints(0, 1, 0, 1, 0, 2), opsets=(19,), mode="wrap"),
    Case("Pad", X, ints(1, 2), None, ints(2), opsets=(18, 21)),
    Case("Expand", In((3, 1)), ints(2, 1, 4), opsets=(8, 13)),
    Case("Tile", X, ints(2, 1, 3), opsets=(7, 13)),
    Case("DepthToSpace", In((1, 8, 2, 3)), opsets=(7, 11, 13), blocksize=2),
    Case("DepthToSpace", In((1, 8, 2, 3)), opsets=(11,), blocksize=2, mode="CRD"),
    Case("SpaceToDepth", In((1, 2, 4, 6)), opsets=(7, 13), blocksize=2),
    Case("Identity", X), Case("Dropout", X, opsets=(7, 10), ratio=0.3),
    Case("Dropout", X, scalar(0.3), np.array(False), opsets=(13,)), Case("Dropout", X, opsets=(12,)),
    Case("ScatterElements", X, np.array([[[0], [2], [1]]]), weights(1, 3, 1), opsets=(11, 13), axis=2),
    Case("ScatterElements", np.zeros(4), ints(1, 1, 3), In((3,)), opsets=(18,), reduction="add"),
    Case("ScatterElements", X, np.array([[[0], [-1], [1]]]), In((1, 3, 1)), opsets=(16,), axis=-1,
         reduction="add"),
    Case("Resize", IMAGE, np.array([], dtype=np.float32), np.array([1, 1, 2, 2], dtype=np.float32),
         opsets=(11, 13, 18), mode="nearest", coordinate_transformation_mode="asymmetric",
         nearest_mode="floor"),
    Case("Resize", IMAGE, None, np.array([1, 1, 0.5, 2], dtype=np.float32), opsets=(13, 19)),
    Case("Resize", IMAGE, None, None, ints(2, 3, 5, 9), opsets=(13, 19), mode="linear"),
    Case("Resize", IMAGE, None, None, ints(2, 3, 5, 9), mode="linear",
         coordinate_transformation_mode="align_corners"),
    Case("Resize", IMAGE, None, np.array([1, 1, 2, 4], dtype=np.float32), mode="linear",
         coordinate_transformation_mode="pytorch_half_pixel"),
    Case("Resize", IMAGE, np.array([1, 1, 2, 2], dtype=np.float32), opsets=(10,)),
    Case("Upsample", IMAGE, opsets=(7,), mode="nearest", scales=[1.0, 1.0, 2.0, 2.0]),
    Case("Upsample", IMAGE, np.array([1, 1, 2, 2], dtype=np.float32), opsets=(9,), mode="linear"),
    Case("ArrayFeatureExtractor", In((2, 4)), ints(2, 0), domain=ML_DOMAIN),
]
CASES = [*LINEAR, *ELEMENTWISE, *POOLING, *SHAPES]
ROWS = [pytest.param(c, o, id=c.id(o)) for c in CASES for o in c.opsets]


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
            feeds[i.name] = np.asarray(RNG.uniform(low, high, [d if isinstance(d, int) else 1 for d in i.shape]), kind)
        wanted = runner.run(list(graph.outputs), feeds)
        flat = np.concatenate([feeds[graph.nodes[i].op.name].ravel() for i in graph.inputs])
        found = evaluate_float(graph, flat[None].astype(np.float64), graph.outputs.values())
        for (name, i), value in zip(graph.outputs.items(), wanted, strict=True):
            assert found[i].shape[1:] == value.shape, name
            np.testing.assert_allclose(found[i][0], value, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize(("case", "opset"), ROWS)
def test_op_agrees_with_onnxruntime(case: Case, opset: int) -> None:
    model = build(case, opset, TensorProto.DOUBLE)
    tolerance = 1e-9
    try:
        if case.single:
            raise NotImplementedError
        session(model)
    except Exception:  # onnxruntime has no float64 kernel for every op
        model, tolerance = build(case, opset, TensorProto.FLOAT), 2e-5
    compare(model, tolerance, case)


# Ops about types, shapes and conditions, as whole models in ONNX's own text form (opset, body).
MODELS: dict[str, tuple[int, str]] = {
    "Constant": (17, """(double[2] x) => (double[2] y) {
        a = Constant <value_float = 2.0> ()
        b = Constant <value_floats = [0.5, 0.25]> ()
        c = Constant <value = double[1] {3.5}> ()
        d = Constant <value_ints = [2]> ()
        e = Constant <value_int = 2> ()
        ab = Mul(a, b)
        abd = Cast<to = 11>(ab)
        f = Reshape(abd, d)
        n = Unsqueeze(e, z)
        g = Reshape(f, n)
        z = Constant <value_ints = [0]> ()
        t = Add(x, g)
        y = Mul(t, c) }"""),
    "ConstantOfShape": (17, """(double[2,3] x) => (double[2,3] y) {
        s = Shape(x)
        o = ConstantOfShape <value = double[1] {0.75}> (s)
        z = ConstantOfShape (s)
        w = Cast <to = 11> (z)
        t = Mul(x, o)
        y = Add(t, w) }"""),
    "Shape": (17, """(double[2,3,4] x) => (double[4,6] y) {
        s = Shape <start = -1> (x)
        m = Constant <value_ints = [-1]> ()
        t = Concat <axis = 0> (s, m)
        y = Reshape(x, t) }"""),
    "Size": (17, """(double[2,3] x) => (double[2,3] y) {
        n = Size(x)
        f = Cast <to = 11> (n)
        y = Div(x, f) }"""),
    "Cast": (17, """(float[2,3] x) => (double[2,3] y) {
        d = Cast <to = 11> (x)
        c = Constant <value = double[1] {0.1}> ()
        f = Cast <to = 1> (c)
        g = Cast <to = 11> (f)
        y = Add(d, g) }"""),
    "CastLike": (17, """(float[2,3] x, double[1] l) => (double[2,3] y) {
        d = CastLike(x, l)
        y = Add(d, l) }"""),
    "Range": (17, """(double[4] x) => (double[2] y) {
        a = Constant <value_int = 3> ()
        b = Constant <value_int = -1> ()
        c = Constant <value_int = -2> ()
        r = Range(a, b, c)
        y = Gather(x, r) }"""),
    "Not": (17, """(double[2,3] x, double[3] v) => (double[2,3] y, double[2,3] n) {
        g = Greater(x, v)
        b = Not(g)
        n = Cast <to = 11> (b)
        y = Where(b, x, v) }"""),
    "And": (17, """(double[5] x, double[5] v) => (double[5] y1, double[5] y2, double[5] y3, double[5] y4) {
        a = Greater(x, v)
        b = LessOrEqual(x, z)
        z = Constant <value = double[1] {0.5}> ()
        c = And(a, b)
        d = Less(x, z)
        e = And(a, d)
        f = And(b, nb)
        nb = Not(a)
        k = Constant <value = bool[5] {1, 0, 1, 1, 0}> ()
        h = And(k, b)
        y1 = Cast <to = 11> (c)
        y2 = Cast <to = 11> (e)
        y3 = Cast <to = 11> (f)
        y4 = Cast <to = 11> (h) }"""),
    "Or": (17, """(double[5] x, double[5] v) => (double[5] y1, double[5] y2, double[5] y3, double[5] y4) {
        a = Greater(x, v)
        b = LessOrEqual(x, z)
        z = Constant <value = double[1] {0.5}> ()
        c = Or(a, b)
        d = Less(x, z)
        e = Or(a, d)
        f = Or(b, nb)
        nb = Not(a)
        k = Constant <value = bool[5] {1, 0, 1, 1, 0}> ()
        h = Or(k, a)
        y1 = Cast <to = 11> (c)
        y2 = Cast <to = 11> (e)
        y3 = Cast <to = 11> (f)
        y4 = Cast <to = 11> (h) }"""),
    "Where": (17, """(double[2,3] x, double[3] v) => (double[2,3] y, double[2,3] w) {
        z = Constant <value = double[1] {0.0}> ()
        g = Greater(x, z)
        a = Neg(x)
        y = Where(g, v, a)
        k = Constant <value = bool[3] {1, 0, 1}> ()
        w = Where(k, x, v) }"""),
    **{op: (17, f"""(double[2,3] x, double[3] v) => (double[2,3] y, double[2,3] w) {{
        g = {op}(x, v)
        y = Cast <to = 11> (g)
        w = Mul(x, y) }}""") for op in ("Greater", "Less", "GreaterOrEqual", "LessOrEqual")},
    "Equal": (17, """(double[3] x, double[3] v) => (double[3] y) {
        a = Constant <value_ints = [1, 2, 3]> ()
        b = Constant <value_ints = [1, 0, 3]> ()
        e = Equal(a, b)
        y = Where(e, x, v) }"""),
}


def from_text(opset: int, body: str) -> onnx.ModelProto:
    return onnx.parser.parse_model(
        f'<ir_version: 8, opset_import: ["" : {opset}]> case {body}')


def sort_nodes(model: onnx.ModelProto) -> onnx.ModelProto:
    """onnxruntime wants nodes in order; verifex does not care, and the texts above test that."""
    known = {i.name for i in model.graph.input} | {""}
    ordered: list[onnx.NodeProto] = []
    waiting = list(model.graph.node)
    while waiting:
        ready = next(n for n in waiting if known >= set(n.input))
        waiting.remove(ready)
        ordered.append(ready)
        known |= set(ready.output)
    out = onnx.ModelProto()
    out.CopyFrom(model)
    del out.graph.node[:]
    out.graph.node.extend(ordered)
    return out


@pytest.mark.parametrize("op", MODELS)
def test_model_agrees_with_onnxruntime(op: str) -> None:
    model = from_text(*MODELS[op])
    assert op in {n.op_type for n in model.graph.node}
    compare(sort_nodes(model), 1e-12, points=10)
    load_bytes(model.SerializeToString(), "unsorted.onnx")


def test_every_op_has_a_row() -> None:
    named = {c.op for c in CASES} | set(MODELS)
    registered = {op for table in RULES.values() for op in table}
    assert registered == named


@pytest.mark.parametrize("opset", ALL)
def test_every_opset_loads_a_network(opset: int) -> None:
    nodes = [
        helper.make_node("Gemm", ["x", "w", "b"], ["h"]),
        helper.make_node("Relu", ["h"], ["r"]),
        helper.make_node("MatMul", ["r", "v"], ["y"]),
    ]
    stored = [numpy_helper.from_array(weights(*s), n) for n, s in
              (("w", (3, 4)), ("b", (4,)), ("v", (4, 2)))]
    graph = helper.make_graph(
        nodes, "net", [helper.make_tensor_value_info("x", TensorProto.DOUBLE, ["N", 3])],
        [helper.make_tensor_value_info("y", TensorProto.DOUBLE, ["N", 2])], stored)
    compare(helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8),
            1e-12)
