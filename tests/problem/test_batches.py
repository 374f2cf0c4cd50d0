"""Networks of several rows at once: no claim about them is read as one about one row."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import verifex
from tests.helpers import checker_parts as checker
from verifex.errors import InputError
from verifex.frontend import load_bytes
from verifex.problem.spec.build import build_problem
from verifex.problem.spec.model import Spec

LAYER = [helper.make_node("MatMul", ["x", "W"], ["y"])]
FLAT = [helper.make_node("Flatten", ["x"], ["f"], axis=0),
        helper.make_node("MatMul", ["f", "V"], ["y"])]
ROWS = [helper.make_node("MatMul", ["x", "W"], ["h"]),
        helper.make_node("Reshape", ["h", "s"], ["y"])]


def network(nodes: list[onnx.NodeProto], shape: list[int]) -> bytes:
    """x of a shape -> nodes -> y, with W (3, 2), V (6, 2) and s = (1, 2, 2)."""
    stored = [
        numpy_helper.from_array(np.array([[1, -1], [2, 0], [0, 1]], dtype=np.float32), "W"),
        numpy_helper.from_array(np.arange(12, dtype=np.float32).reshape(6, 2), "V"),
        numpy_helper.from_array(np.array([1, 2, 2]), "s"),
    ]
    graph = helper.make_graph(
        nodes, "g", [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)], stored)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return bytes(made.SerializeToString())


def spec(claim: dict[str, Any], size: int, **more: Any) -> dict[str, Any]:
    return {"verifex": 1, "input": {"point": [1] * size}, "region": {"linf": 1}, **more,
            "require": [claim]}


def refused(data: bytes, wanted: dict[str, Any], mine: str, theirs: str) -> None:
    with pytest.raises(InputError, match=mine):
        build_problem(load_bytes(data, "n"), Spec.model_validate(wanted))
    with pytest.raises(checker.Bad, match=theirs):
        checker.spec_claim(wanted, ".", checker.Network(data))


def read(data: bytes, wanted: dict[str, Any]) -> None:
    build_problem(load_bytes(data, "n"), Spec.model_validate(wanted))
    checker.spec_claim(wanted, ".", checker.Network(data))


@pytest.mark.parametrize("claim", [
    {"class": "unchanged"}, {"class": 0}, {"output": "logit:0", "at_least": 0},
    {"component": 0, "at_least": 0},
])
def test_a_batch_is_refused(claim: dict[str, Any]) -> None:
    """The claim may hold of each row, and be false of the rows taken as one output."""
    wanted = spec(claim, 6, explain={"output": "logit:0"})
    refused(network(LAYER, [2, 3]), wanted, "2 rows at once", "several rows at once")
    read(network(LAYER, [1, 3]), spec(claim, 3, explain={"output": "logit:0"}))


def test_rows_that_go_into_one_output_are_no_batch() -> None:
    read(network(FLAT, [2, 3]), spec({"class": 0}, 6))


def test_no_class_is_the_largest_of_several_rows() -> None:
    data = network(ROWS, [2, 3])
    for claim in ({"class": "unchanged"}, {"class": 1}, {"output": "predicted", "above": 0}):
        refused(data, spec(claim, 6), "several rows of classes", "several rows")
    read(data, spec({"output": "logit:3", "at_least": 0}, 6))


def test_a_query_may_name_elements_of_a_batch(tmp_path: Path) -> None:
    (tmp_path / "net.onnx").write_bytes(network(LAYER, [2, 3]))
    lines = [f"(declare-const X_{k} Real)" for k in range(6)]
    lines += [f"(declare-const Y_{k} Real)" for k in range(4)]
    lines += [f"(assert (>= X_{k} 0))\n(assert (<= X_{k} 1))" for k in range(6)]
    lines.append("(assert (>= Y_3 10))")
    query = tmp_path / "q.vnnlib"
    query.write_text("\n".join(lines))
    assert verifex.verify(tmp_path / "net.onnx", query).outcome.value == "proved"
