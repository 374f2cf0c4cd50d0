"""Every case of every ONNX op as the checker reads it, against the package's exact values."""

from __future__ import annotations

import random
from fractions import Fraction

import pytest
from onnx import TensorProto

from tests.frontend.onnx_cases import CASES, ROWS
from tests.helpers import checker_parts as checker
from tests.helpers.onnx_runs import Case, build
from verifex.frontend import load_bytes
from verifex.semantics.evaluate import evaluate_exact

REFUSED = {
    "ConvTranspose", "Scaler", "Sign", "Sum", "Mean", "Pow", "HardSigmoid", "HardSwish",
    "Reciprocal", "Elu", "Selu", "Celu", "Tanh", "Exp", "Erf", "Sin", "Cos", "Log",
    "Sqrt", "ReduceMin", "ReduceL1", "ReduceL2", "ReduceSumSquare", "Expand",
    "Tile", "DepthToSpace", "SpaceToDepth", "ScatterElements", "Resize",
    "Upsample",
    "ArrayFeatureExtractor",
}
HEADS = {"Softmax", "LogSoftmax", "Sigmoid"}
PARTLY = {  # words of the refusal, for some of an op's cases
    "Gemm": "product of two computed", "MatMul": "product of two computed", "Mul": "two computed",
    "Div": "constant is needed", "Clip": "Clip of nothing|constant is needed",
    "Pad": "unsupported mode or value", "Softmax": "smooth, a softmax of",
    "LogSoftmax": "smooth, a softmax of",
}


def read(data: bytes) -> tuple[checker.Network | None, str]:
    """The network as the checker reads it, or the words of its refusal."""
    try:
        return checker.Network(data), ""
    except checker.Bad as refusal:
        return None, str(refusal)


@pytest.mark.parametrize(("case", "opset"), ROWS)
def test_the_checker_reads_what_the_package_reads(case: Case, opset: int) -> None:
    data = build(case, opset, TensorProto.FLOAT).SerializeToString()
    net, refusal = read(data)
    if net is None:
        expected = "unsupported operator" if case.op in REFUSED else PARTLY.get(case.op, "none")
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


def test_every_op_is_read_or_refused() -> None:
    assert {c.op for c in CASES} - checker.OPERATORS.keys() == REFUSED | HEADS
