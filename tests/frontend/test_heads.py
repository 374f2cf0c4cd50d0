"""Heads of classifiers: which outputs are recognised, and that onnxruntime computes the same."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from tests.helpers import checker_parts as checker
from verifex.errors import UnsupportedError
from verifex.frontend import load
from verifex.frontend.onnx.read import load_bytes
from verifex.ir.graph import Graph
from verifex.ir.text.graph_text import graph_from_json, graph_to_json
from verifex.semantics.evaluate import evaluate_exact, evaluate_float

Nodes = list[onnx.NodeProto]


def model(nodes: Nodes, width: int, opset: int = 17, rows: int = 1) -> bytes:
    """x (rows, 3) -> Gemm -> z (rows, width) -> the nodes -> y."""
    rng = np.random.default_rng(width)
    weights = [
        numpy_helper.from_array(rng.normal(size=(width, 3)).astype(np.float32), "W"),
        numpy_helper.from_array(rng.normal(size=width).astype(np.float32), "b"),
        numpy_helper.from_array(np.array([[1]], dtype=np.float32), "one"),
        numpy_helper.from_array(np.array([1], dtype=np.int64), "axis1"),
        numpy_helper.from_array(np.array([width], dtype=np.int64), "flat"),
        numpy_helper.from_array(np.array([0], dtype=np.int64), "first"),
        numpy_helper.from_array(np.array([width, 1], dtype=np.int64), "column"),
    ]
    gemm = helper.make_node("Gemm", ["x", "W", "b"], ["z"], transB=1)
    graph = helper.make_graph(
        [gemm, *nodes], "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [rows, 3])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)], weights)
    made = helper.make_model(graph, ir_version=8, opset_imports=[
        helper.make_opsetid("", opset), helper.make_opsetid("ai.onnx.ml", 2)])
    return bytes(made.SerializeToString())


def node(op: str, *names: str, **attributes: Any) -> onnx.NodeProto:
    *inputs, output = names
    return helper.make_node(op, inputs, [output], **attributes)


def softmax(z: np.ndarray) -> np.ndarray:
    grown = np.exp(z - z.max())
    return np.asarray(grown / grown.sum())


def sigmoid(z: np.ndarray) -> np.ndarray:
    return np.asarray(1 / (1 + np.exp(-z)))


MEANING: Mapping[str, Callable[[np.ndarray], np.ndarray]] = {
    "softmax": softmax, "log_softmax": lambda z: np.log(softmax(z)), "sigmoid": sigmoid,
    "normalized_sigmoid": lambda z: sigmoid(z) / sigmoid(z).sum(),
}

BINARY = [node("Sigmoid", "z", "p"), node("Sub", "one", "p", "q")]
RECOGNISED: Mapping[str, tuple[str, Nodes, int]] = {
    "softmax": ("softmax", [node("Softmax", "z", "y")], 3),
    "log-softmax": ("log_softmax", [node("LogSoftmax", "z", "y", axis=1)], 4),
    "log of softmax": ("log_softmax", [node("Softmax", "z", "p"), node("Log", "p", "y")], 3),
    "sigmoid": ("sigmoid", [node("Sigmoid", "z", "y")], 1),
    "labels": ("sigmoid", [node("Sigmoid", "z", "y")], 3),
    "binary": ("softmax", [*BINARY, node("Concat", "q", "p", "y", axis=1)], 1),
    "binary, reversed": ("softmax", [*BINARY, node("Concat", "p", "q", "y", axis=-1)], 1),
    "complement": ("sigmoid", [*BINARY, node("Identity", "q", "y")], 1),
    "two towers": ("sigmoid", [node("Sigmoid", "z", "p"), node("Neg", "z", "w"),
                               node("Sigmoid", "w", "q"),
                               node("Concat", "p", "q", "y", axis=1)], 2),
    "one-vs-rest": ("normalized_sigmoid", [
        node("Sigmoid", "z", "p"), node("ReduceSum", "p", "axis1", "s", keepdims=1),
        node("Div", "p", "s", "y")], 3),
    "reshaped": ("softmax", [
        node("Softmax", "z", "p"), node("Reshape", "p", "flat", "q"), node("Identity", "q", "r"),
        node("Unsqueeze", "r", "first", "s"), node("Cast", "s", "t", to=11),
        node("Transpose", "t", "u"), node("Flatten", "u", "y")], 3),
}


def run(graph: Graph, nodes: list[int], x: np.ndarray) -> list[np.ndarray]:
    values = evaluate_float(graph, x.reshape(1, -1).astype(float), nodes)
    return [np.asarray(values[i]).ravel() for i in nodes]


def recognised(name: str) -> bytes:
    made = onnx.load_from_string(model(*RECOGNISED[name][1:]))
    if name == "reshaped":  # y is declared as float32, and cast to float64 on the way
        made.graph.output[0].type.tensor_type.elem_type = TensorProto.DOUBLE
    return bytes(made.SerializeToString())


@pytest.mark.parametrize("name", RECOGNISED)
def test_an_output_is_the_function_of_its_logits_that_its_head_says(name: str) -> None:
    kind, data = RECOGNISED[name][0], recognised(name)
    graph = load_bytes(data, "net.onnx")
    head = graph.heads["y"]
    assert head.kind == kind
    import onnxruntime

    session = onnxruntime.InferenceSession(data)
    for seed in range(5):
        x = np.random.default_rng(seed).normal(size=(1, 3)).astype(np.float32)
        output, logits = run(graph, [graph.outputs["y"], head.logits], x)
        assert np.allclose(MEANING[kind](logits), output, atol=1e-12)
        assert np.allclose(session.run(None, {"x": x})[0].ravel(), output, atol=1e-5)


@pytest.mark.parametrize("name", RECOGNISED)
def test_the_checker_finds_the_same_logits(name: str) -> None:
    data = recognised(name)
    graph, net = load_bytes(data, "net.onnx"), checker.Network(data)
    head, own = graph.heads["y"], net.smooth_outputs["y"]
    assert not net.outputs
    x = [Fraction(k, 7) for k in (3, -5, 2)]
    wanted = evaluate_exact(graph, x, [head.logits])[head.logits].fractions()
    found = checker.exactly(net.graph, net.graph.rows(own.logits.items), x, True)
    if name == "complement":  # 1 - sigmoid(z) by itself, which is sigmoid(-z)
        assert own.function == "1 - sigmoid"
        found = [-value for value in found]
    else:
        assert own.function == head.kind
    assert found == wanted


DROPPED: Mapping[str, tuple[Nodes, int, int]] = {
    "a sum": ([node("Softmax", "z", "p"), node("Add", "p", "p", "y")], 3, 1),
    "one class of several": ([node("Softmax", "z", "p"),
                              node("Gather", "p", "first", "y", axis=1)], 3, 1),
    "another order": ([node("Softmax", "z", "p"), node("Neg", "p", "y")], 3, 1),
    "along a batch": ([node("Softmax", "z", "y", axis=1)], 3, 2),
    "over one element": ([node("Softmax", "z", "y", axis=1)], 1, 1),
    "two of another sigmoid": ([node("Sigmoid", "z", "p"), node("Neg", "z", "w"),
                                node("Sigmoid", "w", "v"), node("Sub", "one", "v", "q"),
                                node("Div", "p", "q", "y")], 1, 1),
    "two minus": ([node("Sigmoid", "z", "p"), node("Add", "one", "one", "two"),
                   node("Sub", "two", "p", "y")], 1, 1),
    "divided by another sum": ([node("Sigmoid", "z", "p"), node("Neg", "z", "w"),
                                node("Sigmoid", "w", "q"),
                                node("ReduceSum", "q", "axis1", "s", keepdims=1),
                                node("Div", "p", "s", "y")], 3, 1),
    "divided by a mean": ([node("Sigmoid", "z", "p"),
                           node("ReduceMean", "p", "s", axes=[1], keepdims=1),
                           node("Div", "p", "s", "y")], 3, 1),
}


@pytest.mark.parametrize("name", DROPPED)
def test_what_is_no_head_is_not_taken_for_one(name: str) -> None:
    nodes, width, rows = DROPPED[name]
    data = model(nodes, width, rows=rows)
    assert not load_bytes(data, "net.onnx").heads
    with pytest.raises(checker.Bad, match=r"smooth|unsupported|constant is needed"):
        assert checker.Network(data).outputs


def test_two_sigmoids_of_other_logits_are_no_softmax() -> None:
    nodes = [node("Sigmoid", "z", "p"), node("Mul", "z", "z", "w"), node("Sigmoid", "w", "v"),
             node("Sub", "one", "v", "q"), node("Concat", "q", "p", "y", axis=1)]
    head = load_bytes(model(nodes, 1), "net.onnx").heads["y"]
    assert head.kind == "sigmoid"  # each by itself, of -w and z


@pytest.mark.parametrize("maker", ["Softmax", "Sigmoid", "LogSoftmax"])
def test_probabilities_as_integers_are_no_head(maker: str) -> None:
    """Also where the logits are whole, so that a Cast would keep them: it makes probabilities 0."""
    nodes = [node(maker, "x", "p"), node("Cast", "p", "i", to=TensorProto.INT64),
             node("Cast", "i", "y", to=TensorProto.FLOAT)]
    with pytest.raises(checker.Bad, match="smooth, as integers"):
        assert checker.Network(model(nodes, 3)).outputs
    with pytest.raises(UnsupportedError, match="whole numbers that are computed"):
        load_bytes(model(nodes, 3), "net.onnx")


@pytest.mark.parametrize("maker", ["Softmax", "Sigmoid"])
def test_a_normalizer_of_several_rows_divides_each_by_its_own_sum(maker: str) -> None:
    nodes = [node("Reshape", "z", "column", "c"), node(maker, "c", "p", **(
        {"axis": 0} if maker == "Softmax" else {})),
        node("Normalizer", "p", "y", norm="L1", domain="ai.onnx.ml")]
    data = model(nodes, 3)
    import onnxruntime

    x = np.ones((1, 3), dtype=np.float32)
    assert (onnxruntime.InferenceSession(data).run(None, {"x": x})[0] == 1).all()
    with pytest.raises(UnsupportedError, match="Normalizer of shape"):
        load_bytes(data, "net.onnx")
    with pytest.raises(checker.Bad, match="several rows"):
        assert checker.Network(data).outputs


def test_an_old_softmax_takes_all_axes_from_its_own_on() -> None:
    graph = load_bytes(model([node("Softmax", "z", "y", axis=0)], 3, opset=11), "net.onnx")
    assert graph.heads["y"].kind == "softmax"


def test_heads_survive_the_text_form_and_the_file(tmp_path: Any) -> None:
    file = tmp_path / "net.onnx"
    file.write_bytes(model(RECOGNISED["binary"][1], 1))
    graph = load(file)
    assert graph.heads
    assert graph_from_json(graph_to_json(graph)).heads == graph.heads
