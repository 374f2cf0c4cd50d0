"""Units that reach the outputs through zeros only: any verdict that is right, never an error."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

import verifex
from verifex.engine.verdict import Outcome

CLAIMS = ("output holds", "output fails", "component holds", "component fails", "class")
DEAD = {
    "zero weights": [("MatMul", ["h", "zeros"], "dead")],
    "times zero": [("MatMul", ["h", "second"], "k"), ("Mul", ["k", "nothing"], "dead")],
    "two layers": [("MatMul", ["h", "square"], "k"), ("Relu", ["k"], "r"),
                   ("MatMul", ["r", "zeros"], "dead")],
    "a maximum": [("Max", ["h", "g"], "k"), ("MatMul", ["k", "zeros"], "dead")],
}


def save(path: Path, dead: str) -> tuple[np.ndarray, np.ndarray]:
    """y = relu(x W1) W2 and a branch of units from relu(x W3) that adds zeros; W1 and W2."""
    rng = np.random.default_rng(7)
    sizes = {"W1": (3, 3), "W2": (3, 2), "W3": (3, 3), "zeros": (3, 2), "second": (3, 2),
             "square": (3, 3), "nothing": (2,)}
    arrays = {k: rng.integers(-8, 9, shape) / 8 for k, shape in sizes.items()}
    arrays["zeros"], arrays["nothing"] = np.zeros((3, 2)), np.zeros(2)
    steps = [("MatMul", ["x", "W1"], "z"), ("Relu", ["z"], "g"), ("MatMul", ["g", "W2"], "live"),
             ("MatMul", ["x", "W3"], "v"), ("Relu", ["v"], "h"), *DEAD[dead],
             ("Add", ["live", "dead"], "y")]
    tensors = [numpy_helper.from_array(v.astype(np.float32), k) for k, v in arrays.items()]
    graph = helper.make_graph(
        [helper.make_node(op, given, [out]) for op, given, out in steps], "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 2])], tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    path.write_bytes(model.SerializeToString())
    return arrays["W1"], arrays["W2"]


def claim_of(kind: str, first: np.ndarray, second: np.ndarray) -> tuple[str, Outcome]:
    """A claim a little beside the greatest value on a grid of the region, and its verdict."""
    line = np.linspace(-0.9, 0.9, 31)
    x = np.array([0.3, -0.2, 0.45]) + np.stack(np.meshgrid(line, line, line), -1).reshape(-1, 3)
    gates = x @ first > 0
    values = {"output": np.maximum(x @ first, 0) @ second[:, 0],
              "component": (gates * second[:, 0]) @ first[0]}
    if kind == "class":
        margins = np.maximum(x @ first, 0) @ (second[:, 0] - second[:, 1])
        assert margins.min() < -0.01
        return "class = 0", Outcome.REFUTED
    what, how = kind.split()
    most = values[what].max() + (0.05 if how == "holds" else -0.05)
    name = 'output = "logit:0"' if what == "output" else "component = 0"
    return f"{name}\nat_most = {most:.6f}", Outcome.PROVED if how == "holds" else Outcome.REFUTED


@pytest.mark.parametrize("claim", CLAIMS)
@pytest.mark.parametrize("dead", DEAD)
def test_units_behind_zeros(dead: str, claim: str, tmp_path: Path) -> None:
    demand, expected = claim_of(claim, *save(tmp_path / "net.onnx", dead))
    (tmp_path / "spec.toml").write_text(
        'verifex = 1\nnetwork = "net.onnx"\n[input]\npoint = [0.3, -0.2, 0.45]\n'
        '[region]\nlinf = 0.9\n[explain]\noutput = "logit:0"\n[[require]]\n' + demand + "\n")
    found = verifex.verify(None, tmp_path / "spec.toml")
    assert found.outcome is expected, (found.reason, found.notes, found.margin_low)
