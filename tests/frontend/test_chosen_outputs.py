"""Which outputs of a file are read: what no claim needs is neither lowered nor refused, on both
sides, and operator sets that a file imports twice."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

import verifex
from tests.helpers import checker_parts as checker
from tests.readings.onnx_small import stored, text_model
from verifex.errors import InputError, UnsupportedError
from verifex.frontend.onnx.read import load_bytes
from verifex.semantics.evaluate import evaluate_exact

LABELLED = """(float[1,2] x) => (int64[1] label, float[1,2] scores, float[1,2] waves) {
    h = MatMul(x, w) scores = Relu(h) a = ArgMax <axis = 1, keepdims = 0> (scores)
    label = Cast <to = 7> (a) waves = Acosh(h) }"""
WEIGHTS = {"w": np.array([[1, -1], [2, 1]], dtype=np.float32)}
SPEC = """
verifex = 1
network = "net.onnx"
{output}
[region]
box = [[1, 1], [2, 2]]
[[require]]
output = "logit:0"
{bound}
"""


def labelled() -> bytes:
    return stored(text_model(LABELLED), **WEIGHTS)


def asked(tmp_path: Path, data: bytes, output: str, bound: str) -> verifex.Verdict:
    (tmp_path / "net.onnx").write_bytes(data)
    (tmp_path / "spec.toml").write_text(SPEC.format(output=output, bound=bound))
    return verifex.verify(None, tmp_path / "spec.toml")


@pytest.mark.parametrize(("output", "low"), [("scores", 3), ("h", 3)])
def test_network_output_is_honoured_before_anything_is_refused(
    tmp_path: Path, output: str, low: int
) -> None:
    """Both sides refuse Acosh and ArgMax, which no claim reads here. Any tensor can be named."""
    line = f'network_output = "{output}"'
    proved = asked(tmp_path, labelled(), line, f"at_least = {low}")
    assert proved.outcome is verifex.Outcome.PROVED
    refuted = asked(tmp_path, labelled(), line, f"at_least = {low}.5")
    assert refuted.outcome is verifex.Outcome.REFUTED


def test_without_network_output_every_output_of_floats_counts(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError, match=r'network_output = "scores".*outputs=\["scores"\]'):
        asked(tmp_path, labelled(), "", "at_least = 0")


def test_a_label_beside_one_output_of_floats_is_left_out(tmp_path: Path) -> None:
    text = LABELLED.replace(", float[1,2] waves", "").replace("waves = Acosh(h)", "")
    data = stored(text_model(text), **WEIGHTS)
    verdict = asked(tmp_path, data, "", "at_least = 3")
    assert verdict.outcome is verifex.Outcome.PROVED
    assert any("'label' of type int64 is left out" in note for note in verdict.notes)
    assert checker.Network(data).left_out == ["label"]


@pytest.mark.parametrize("output", ["label", "a", "nothing"])
def test_outputs_that_no_claim_can_read(tmp_path: Path, output: str) -> None:
    with pytest.raises(InputError) as caught:
        asked(tmp_path, labelled(), f'network_output = "{output}"', "at_least = 0")
    expected = {"label": "a claim about the predicted class is `class`", "a": "ArgMax",
                "nothing": "spec.toml:network_output: no output 'nothing', expected one of label"}
    assert expected[output] in str(caught.value)


def test_python_names_outputs(tmp_path: Path) -> None:
    (tmp_path / "net.onnx").write_bytes(labelled())
    graph = verifex.load(tmp_path / "net.onnx", outputs=["h"])
    assert list(graph.outputs) == ["h"]
    spec = {"verifex": 1, "network_output": "h", "region": {"box": [[1, 1], [2, 2]]},
            "require": [{"output": "logit:0", "at_least": 3}]}
    for model in (tmp_path / "net.onnx", labelled()):
        verdict = verifex.verify(model, spec)
        assert verdict.outcome is verifex.Outcome.PROVED


def test_queries_of_version_2_read_the_outputs_that_they_assert_of(tmp_path: Path) -> None:
    pytest.importorskip("vnnlib")
    (tmp_path / "net.onnx").write_bytes(labelled())
    query = tmp_path / "q.vnnlib"
    text = """(vnnlib-version <2.0>)
        (declare-network n (declare-input X real [1,2]) (declare-output L real [1])
         (declare-output P real [1,2]) (declare-output W real [1,2]))
        (assert (and (>= X[0,0] 1) (<= X[0,0] 2) (>= X[0,1] 1) (<= X[0,1] 2)))
        (assert (<= {claim}))"""
    query.write_text(text.format(claim="P[0,0] 2.5"))
    assert verifex.verify(tmp_path / "net.onnx", query).outcome is verifex.Outcome.CLAIMED
    query.write_text(text.format(claim="P[0,0] 3.5"))
    assert verifex.verify(tmp_path / "net.onnx", query).outcome is verifex.Outcome.REFUTED
    query.write_text(text.format(claim="L[0] 3"))
    with pytest.raises(UnsupportedError, match=r"int64|no floats"):
        verifex.verify(tmp_path / "net.onnx", query)


def imported(*sets: tuple[str, int]) -> bytes:
    model = text_model("(float[2] x) => (float[2] y) { y = Relu(x) }")
    del model.opset_import[:]
    model.opset_import.extend(helper.make_opsetid(domain, version) for domain, version in sets)
    return bytes(model.SerializeToString())


@pytest.mark.parametrize("sets", [
    [("", 17), ("", 17)], [("", 17), ("ai.onnx", 17)], [("ai.onnx", 17)],
    [("ai.onnx.ml", 1), ("", 17), ("", 17), ("ai.onnx.ml", 1)],
])
def test_operator_sets_that_agree_may_be_imported_twice(sets: list[tuple[str, int]]) -> None:
    ort = pytest.importorskip("onnxruntime")
    data = imported(*sets)
    graph, net = load_bytes(data, "m.onnx"), checker.Network(data)
    found = evaluate_exact(graph, [2, -1], [graph.outputs["y"]])[graph.outputs["y"]].fractions()
    tensor = net.outputs["y"]
    mine = checker.exactly(net.graph, net.graph.rows(tensor.items), [2, -1], True)
    session: Any = ort.InferenceSession(data)
    (deployed,) = session.run(None, {"x": np.array([2, -1], dtype=np.float32)})
    assert found == mine == deployed.tolist() == [2, 0]


def test_operator_sets_of_two_versions_are_refused() -> None:
    data = imported(("", 17), ("ai.onnx", 18))
    with pytest.raises(InputError, match=r"m.onnx:opset_import: operator set 'ai.onnx' is imported "
                                         r"in the versions 17 and 18, expected one version"):
        load_bytes(data, "m.onnx")
    with pytest.raises(checker.Bad, match="an operator set in two versions"):
        checker.Network(data)


def test_zipmap_is_its_tensor_also_where_networks_are_run(tmp_path: Path) -> None:
    """The sequence of dictionaries that ZipMap makes is read as the tensor that it is made of."""
    pytest.importorskip("onnxruntime")
    from verifex.frontend.onnx.runtime import Runtime

    zipped = helper.make_node("ZipMap", ["s"], ["p"], domain="ai.onnx.ml",
                              classlabels_int64s=[7, 3])
    nodes = [helper.make_node("Relu", ["x"], ["s"]), zipped]
    kind = helper.make_sequence_type_proto(helper.make_map_type_proto(
        TensorProto.INT64, helper.make_tensor_type_proto(TensorProto.FLOAT, [])))
    graph = helper.make_graph(
        nodes, "g", [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 2])],
        [helper.make_value_info("p", kind)])
    model = helper.make_model(graph, ir_version=8, opset_imports=[
        helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 1)])
    onnx.save(model, str(tmp_path / "net.onnx"))
    runtime = Runtime(tmp_path / "net.onnx")
    (found,) = runtime.run([np.array([3, -2], dtype=np.float32)])
    assert found.tolist() == [[3, 0]]
