"""Stored tensors that are no numbers: names of classes stand beside a network and are not read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper

import verifex
from tests.helpers.checker_parts import Bad, Network
from verifex.engine.verdict import Outcome

TEXTS, BYTES = TensorProto.STRING, TensorProto.UINT8
VALUES = {TEXTS: [b"cat", b"dog"], BYTES: [0, 1]}


def model(kind: int = TEXTS) -> ModelProto:
    """y = x W, and its greatest's name, as skl2onnx writes a classifier of named classes."""
    nodes = [helper.make_node("MatMul", ["x", "W"], ["y"]),
             helper.make_node("ArgMax", ["y"], ["best"], axis=1, keepdims=0),
             helper.make_node("Gather", ["names", "best"], ["label"])]
    graph = helper.make_graph(
        nodes, "g", [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 2])],
        [helper.make_tensor_value_info("label", kind, [1]),
         helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 2])],
        [numpy_helper.from_array(np.array([[1, 0.5], [-1, 2]], np.float32), "W"),
         helper.make_tensor("names", kind, [2], VALUES[kind])])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])


@pytest.mark.parametrize("kind", VALUES)
def test_a_claim_that_reads_no_names_is_proved(tmp_path: Path, kind: int) -> None:
    (tmp_path / "n.onnx").write_bytes(model(kind).SerializeToString())
    (tmp_path / "s.toml").write_text(
        'verifex = 1\nnetwork = "n.onnx"\nnetwork_output = "y"\n[input]\npoint = [1, 0]\n'
        "[region]\nlinf = 0.1\n[[require]]\nclass = 0\n")
    assert verifex.verify(None, tmp_path / "s.toml").outcome is Outcome.PROVED


def add(field: str, *values: object) -> Callable[[ModelProto], None]:
    return lambda made: getattr(made.graph, field).extend(values)


@pytest.mark.parametrize(("spoil", "reason"), [
    (add("initializer", helper.make_tensor("names", TEXTS, [1], [b"a"])), "two tensors of a name"),
    (add("initializer", helper.make_tensor("names", TensorProto.FLOAT, [1], [1.0])),
     "two tensors of a name"),
    (add("initializer", helper.make_tensor("W", TEXTS, [1], [b"a"])), "two tensors of a name"),
    (add("node", helper.make_node("Identity", ["x"], ["names"])), "two tensors of a name"),
    (add("input", helper.make_tensor_value_info("names", TEXTS, [2])), "stored input 'names'"),
    (add("input", helper.make_tensor_value_info("names", TensorProto.FLOAT, [2])),
     "stored input 'names'"),
    (add("output", helper.make_tensor_value_info("names", TEXTS, [2])), "is not computed"),
])
def test_their_names_have_one_meaning(spoil: Callable[[ModelProto], None], reason: str) -> None:
    made = model()
    spoil(made)
    with pytest.raises(Bad, match=reason):
        Network(made.SerializeToString())


def test_what_needs_them_is_refused() -> None:
    made = model()
    made.graph.node.append(helper.make_node("Concat", ["y", "names"], ["both"], axis=0))
    with pytest.raises(Bad, match="tensor 'names': unsupported tensor of string"):
        Network(made.SerializeToString()).output("both")
