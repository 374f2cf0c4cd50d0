"""Networks whose tensors lie in files beside them: certificates name these files by hash."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from tests.helpers import checker_parts as checker
from verifex import verify
from verifex.certificate.bundle import check_entries, entries
from verifex.engine.verdict import Outcome
from verifex.errors import InputError
from verifex.frontend import load
from verifex.frontend.onnx.runtime import Runtime
from verifex.semantics.evaluate import evaluate_float

SPEC = """
verifex = 1
network = "net.onnx"
[region]
box = { lo = [-1, -1], hi = [1, 1] }
[[require]]
output = "logit:0"
at_most = 1.5
"""
WEIGHTS = np.array([[1.0, -0.5], [0.25, 1.0]], np.float32)


def model(**entries_of: str) -> bytes:
    """y = Gemm(relu(x W), v), W being stored outside, by these entries."""
    nodes = [helper.make_node("MatMul", ["x", "w"], ["h"]), helper.make_node("Relu", ["h"], ["r"]),
             helper.make_node("Gemm", ["r", "v"], ["y"])]
    outside = TensorProto(name="w", data_type=1, dims=[2, 2],
                          data_location=TensorProto.EXTERNAL)
    for key, value in {"location": "w.bin", "offset": "4", "length": "16", **entries_of}.items():
        outside.external_data.add(key=key, value=value)
    inside = numpy_helper.from_array(np.array([[1.0], [-1.0]], np.float32), "v")
    graph = helper.make_graph(
        nodes, "g", [helper.make_tensor_value_info("x", 1, ["N", 2])],
        [helper.make_tensor_value_info("y", 1, ["N", 1])], [outside, inside])
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return bytes(made.SerializeToString())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "net.onnx").write_bytes(model())
    (tmp_path / "w.bin").write_bytes(bytes(4) + WEIGHTS.tobytes())
    (tmp_path / "spec.toml").write_text(SPEC)
    return tmp_path


def says(folder: Path) -> tuple[int, str]:
    return checker.check([str(folder / k) for k in ("net.onnx", "spec.toml", "p.vxc")])


def test_a_proof_names_the_files_beside_the_network(folder: Path) -> None:
    verdict = verify(folder / "net.onnx", folder / "spec.toml", certificate=folder / "p.vxc")
    assert verdict.outcome is Outcome.PROVED
    header = json.loads((folder / "p.vxc").read_text().splitlines()[0])
    assert list(header["external"]) == ["w.bin"]
    assert says(folder) == (0, "valid")
    (answer,) = check_entries(entries(folder), 1, 60)
    assert answer.code == 0


def test_a_saved_verdict_has_them_too(folder: Path, tmp_path_factory: pytest.TempPathFactory
                                      ) -> None:
    kept = tmp_path_factory.mktemp("kept")
    verify(folder / "net.onnx", folder / "spec.toml").save(kept)
    (answer,) = check_entries(entries(kept), 1, 60)
    assert answer.code == 0
    (kept / "w.bin").unlink()
    (lost,) = check_entries(entries(kept), 1, 60)
    assert (lost.code, lost.text) == (65, "missing: w.bin, which net.onnx names")


def test_a_witness_is_replayed_with_them(folder: Path) -> None:
    (folder / "spec.toml").write_text(SPEC.replace("1.5", "1.0"))
    verdict = verify(folder / "net.onnx", folder / "spec.toml", certificate=folder / "p.vxc")
    assert verdict.outcome is Outcome.REFUTED
    assert verdict.witness is not None
    assert says(folder) == (0, "valid (refutation)")
    assert verdict.witness.replays["onnxruntime"] == "violated"


def test_onnxruntime_gets_the_same_numbers(folder: Path) -> None:
    runner, x = Runtime(folder / "net.onnx"), np.array([0.5, -0.25], np.float32)
    graph = load(folder / "net.onnx")
    node = graph.outputs["y"]
    wanted = evaluate_float(graph, x[None].astype(np.float64), [node])[node][0]
    np.testing.assert_array_equal(runner.run([x])[0], wanted)


CHANGES: dict[str, Callable[[Path], object]] = {
    "another number": lambda f: (f / "w.bin").write_bytes(bytes(4) + (2 * WEIGHTS).tobytes()),
    "a byte that no tensor reads": lambda f: (f / "w.bin").write_bytes(
        b"1234" + WEIGHTS.tobytes()),
    "more bytes": lambda f: (f / "w.bin").write_bytes(bytes(4) + WEIGHTS.tobytes() + b"0"),
    "fewer bytes": lambda f: (f / "w.bin").write_bytes(bytes(4) + WEIGHTS.tobytes()[:-1]),
    "no file": lambda f: (f / "w.bin").unlink(),
    "a link": lambda f: ((f / "w.bin").rename(f / "v.bin"), os.symlink("v.bin", f / "w.bin")),
    "a folder": lambda f: ((f / "w.bin").unlink(), (f / "w.bin").mkdir()),
    "a pipe": lambda f: ((f / "w.bin").unlink(), os.mkfifo(f / "w.bin")),
}


@pytest.mark.parametrize("change", CHANGES)
def test_the_checker_refuses_other_files(folder: Path, change: str) -> None:
    verify(folder / "net.onnx", folder / "spec.toml", certificate=folder / "p.vxc")
    CHANGES[change](folder)
    code, word = says(folder)
    assert code in (1, 65)
    assert word.startswith("invalid: ")
    assert "\n" not in word


def test_the_header_cannot_leave_them_out_or_name_others(folder: Path) -> None:
    verify(folder / "net.onnx", folder / "spec.toml", certificate=folder / "p.vxc")
    first, *rest = (folder / "p.vxc").read_text().splitlines()
    header = json.loads(first)
    known = header.pop("external")
    for external in ({}, {"w.bin": "0" * 64}, {**known, "v.bin": "0" * 64}, [], "w.bin"):
        lines = [json.dumps({**header, "external": external}), *rest]
        (folder / "p.vxc").write_text("\n".join(lines) + "\n")
        assert says(folder) == (1, "invalid: line 1: header: external: the hashes of other files")
    (folder / "p.vxc").write_text("\n".join([json.dumps(header), *rest]) + "\n")
    assert says(folder)[0] == 1


@pytest.mark.parametrize("entry", [
    {"location": "../w.bin"}, {"location": "/etc/passwd"}, {"location": "sub/w.bin"},
    {"location": ""}, {"location": "."}, {"location": ".."}, {"location": "sub\\w.bin"},
    {"location": "w.bin\0"}, {"location": "c:w.bin"}, {"offset": "5"}, {"offset": "-4"},
    {"offset": "4.0"}, {"length": "15"}, {"length": "٤"}, {"other": "1"}, {"offset": "9" * 30},
])
def test_tricks_are_refused_by_both(folder: Path, entry: dict[str, str]) -> None:
    (folder / "sub").mkdir()
    (folder / "sub" / "w.bin").write_bytes(bytes(4) + WEIGHTS.tobytes())
    data = model(**entry)
    (folder / "net.onnx").write_bytes(data)
    with pytest.raises(InputError) as caught:
        load(folder / "net.onnx")
    assert "\n" not in str(caught.value)
    with pytest.raises(checker.Bad):
        checker.Network(data, str(folder))


def test_data_inside_and_outside_is_refused_by_both(folder: Path) -> None:
    for change in (lambda t: setattr(t, "raw_data", WEIGHTS.tobytes()),
                   lambda t: t.float_data.extend([1.0] * 4),
                   lambda t: t.ClearField("data_location")):
        broken = onnx.ModelProto.FromString(model())
        change(broken.graph.initializer[0])
        (folder / "net.onnx").write_bytes(broken.SerializeToString())
        with pytest.raises(InputError):
            load(folder / "net.onnx")
        with pytest.raises(checker.Bad):
            checker.Network(broken.SerializeToString(), str(folder))


def test_without_a_folder_nothing_is_read() -> None:
    with pytest.raises(checker.Bad, match="outside the file"):
        checker.Network(model())
