"""Every ONNX op against onnxruntime on random small models, at each opset that changes its form."""

from __future__ import annotations

import pytest
from onnx import TensorProto, helper, numpy_helper

from tests.frontend.onnx_cases import CASES, ROWS
from tests.frontend.sklearn_models import LEARNED, TREES
from tests.helpers.onnx_runs import ALL, Case, build, compare, session, weights
from tests.helpers.onnx_texts import MODELS, from_text, sort_nodes
from verifex.frontend import load_bytes
from verifex.frontend.onnx.operators.rules import RULES


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
    assert registered == named | LEARNED | TREES


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
