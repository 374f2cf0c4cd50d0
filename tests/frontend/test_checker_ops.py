"""Every case of every ONNX op as the checker reads it, against the package's exact values."""

from __future__ import annotations

import random
from collections.abc import Iterable
from fractions import Fraction

import pytest
from onnx import TensorProto

from tests.frontend.onnx_cases import CASES, ROWS
from tests.helpers import checker_parts as checker
from tests.helpers.onnx_runs import Case, build
from tests.helpers.onnx_texts import MODELS, from_text, sort_nodes
from verifex.certificate.checker.graph.symbolic import SymbolicTensor
from verifex.frontend import load_bytes
from verifex.ir.fingerprints import GraphFingerprints
from verifex.ir.graph import Graph
from verifex.ir.ops import Gate, Mul, Relu, Step
from verifex.semantics.evaluate import evaluate_exact

REFUSED = {
    "Reciprocal", "Elu", "Selu", "Celu", "Tanh", "Exp", "Erf", "Sin", "Cos", "Log",
    "Sqrt", "ReduceL2", "ReduceSumSquare", "Gelu", "Softplus", "LayerNormalization",
}
HEADS = {"Softmax", "LogSoftmax", "Sigmoid"}
PARTLY = {  # words of the refusal, for some of an op's cases
    "Div": "smooth function", "Pow": "smooth function", "Softmax": "smooth, a softmax of",
    "LogSoftmax": "smooth, a softmax of",
}


def read(data: bytes) -> tuple[checker.Network | None, str]:
    """The network as the checker reads it, or the words of its refusal."""
    try:
        net = checker.Network(data)
        read = net.outputs or net.smooth_outputs
        return (net, "") if read else (None, "no output of floats")
    except checker.Bad as refusal:
        return None, str(refusal)


@pytest.mark.parametrize(("case", "opset"), ROWS)
def test_the_checker_reads_what_the_package_reads(case: Case, opset: int) -> None:
    data = build(case, opset, TensorProto.FLOAT).SerializeToString()
    net, refusal = read(data)
    if net is None:
        known = "unsupported operator|smooth function"
        expected = known if case.op in REFUSED else PARTLY.get(case.op, "none")
        assert any(word in refusal for word in expected.split("|")), refusal
        return
    assert case.op not in REFUSED
    graph = load_bytes(data, "case.onnx")
    rng = random.Random(opset)
    size = sum(graph.nodes[i].size for i in graph.inputs)
    for _ in range(2):
        x = [Fraction(rng.randint(-32, 32), 16) for _ in range(size)]
        heads = {name: head.logits for name, head in graph.heads.items()}
        known = {**graph.outputs, **heads}
        wanted = evaluate_exact(graph, x, list(known.values()))
        assert heads.keys() == net.smooth_outputs.keys()
        for name, node in known.items():
            head = net.smooth_outputs.get(name)
            tensor = head.logits if head else net.outputs[name]
            assert tensor.shape == graph.nodes[node].shape
            assert not head or head.function == graph.heads[name].kind
            mine = checker.exactly(net.graph, net.graph.rows(tensor.items), x, True)
            assert mine == wanted[node].fractions(), name
    tensors = [net.smooth_outputs[n].logits if n in heads else net.outputs[n] for n in known]
    assert package_names(graph, known.values()) == checker_names(net, tensors)


def package_names(graph: Graph, ends: Iterable[int]) -> set[int]:
    """The names of all relaxed elements that some nodes depend on."""
    names = GraphFingerprints(graph)
    relaxed = (i for i in graph.ancestors(ends, zeros=False)
               if isinstance(graph.nodes[i].op, Relu | Step | Gate | Mul))
    return {int(name) for i in relaxed for name in names.of(i)}


def checker_names(net: checker.Network, ends: Iterable[SymbolicTensor]) -> set[int]:
    """The same of tensors, as the checker names them."""
    names, found = checker.Fingerprints(net.graph), set[int]()
    for tensor in ends:
        top = net.graph.rows(tensor.items)
        for node in net.graph.nodes[top].cone:
            if net.graph.nodes[node].kind in "RSGM":
                found |= set(names.of(node))
    return found


@pytest.mark.parametrize("op", MODELS)
def test_models_have_one_meaning_and_one_set_of_names(op: str) -> None:
    data = sort_nodes(from_text(*MODELS[op])).SerializeToString()
    graph, net = load_bytes(data, "model.onnx"), checker.Network(data)
    size = sum(graph.nodes[i].size for i in graph.inputs)
    x = [Fraction(3 * k % 7 - 3, 8) for k in range(size)]
    wanted = evaluate_exact(graph, x, list(graph.outputs.values()))
    for name, node in graph.outputs.items():
        mine = checker.exactly(net.graph, net.graph.rows(net.outputs[name].items), x, True)
        assert mine == wanted[node].fractions(), name
    assert package_names(graph, graph.outputs.values()) == checker_names(
        net, net.outputs.values())


def test_every_op_is_read_or_refused() -> None:
    read = checker.OPERATORS.keys() | checker.ML_OPERATORS.keys()
    assert {c.op for c in CASES} - read == REFUSED | HEADS
