"""Every ONNX op against onnxruntime on random small models, at each opset that changes its form."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx_runs import ALL, Case, In, build, compare, ints, scalar, session, weights
from onnx_texts import MODELS, from_text, sort_nodes

from verifex.frontend import load_bytes
from verifex.frontend.onnx.operators.rules import ML_DOMAIN, RULES

X = In((2, 3, 4))
IMAGE = In((2, 3, 7, 6))
SINCE_11 = ALL[4:]

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
    Case("Neg", X), Case("Relu", X, opsets=(7, 13, 14)), Case("Abs", X),
    Case("Sign", X, opsets=(9, 13)),
    Case("Sum", X, In((4,)), weights(3, 1), opsets=(8, 13)),
    Case("Mean", X, In((4,)), weights(3, 1), opsets=(8, 13)),
    Case("Max", X, In((4,)), weights(3, 1), opsets=(8, 13)),
    Case("Min", X, weights(4), weights(3, 1), opsets=(8, 13)), Case("Max", X),
    *(Case("Pow", In((2, 3), 0.5, 2), scalar(e), opsets=(7, 12, 15))
      for e in (0.0, 1.0, 2.0, 3.0, 0.5, -0.5, -1.0, -2.0)),
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
    Case("GlobalMaxPool", IMAGE), Case("GlobalAveragePool", IMAGE),
    Case("GlobalAveragePool", In((1, 2, 5))),
    Case("ReduceSum", X, opsets=(7, 11), axes=[1]),
    Case("ReduceSum", X, ints(0, -1), opsets=(13, 17, 23), keepdims=0),
    Case("ReduceSum", X, opsets=(7, 13)),
    Case("ReduceSum", X, opsets=(13,), noop_with_empty_axes=1),
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
    Case("Slice", X, ints(1, 1), ints(2, 3)),
    Case("Slice", X, ints(-1), ints(-100), ints(1), ints(-2)),
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
    Case("Dropout", X, scalar(0.3), np.array(False), opsets=(13,)),
    Case("Dropout", X, opsets=(12,)),
    Case("ScatterElements", X, np.array([[[0], [2], [1]]]), weights(1, 3, 1),
         opsets=(11, 13), axis=2),
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
