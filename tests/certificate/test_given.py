"""Questions given in memory: written out they mean the same, are proved, kept, and removed."""

from __future__ import annotations

import gc
import hashlib
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings

import verifex
from tests.helpers.checker_nets import agree
from tests.helpers.strategies import graphs
from verifex import Outcome, UsageError
from verifex.certificate import written
from verifex.certificate.written import folder_beside, same_meaning, write_given
from verifex.cli.app import app
from verifex.cli.guard import run
from verifex.errors import InputError, UnsupportedError
from verifex.frontend.onnx.export import to_onnx
from verifex.frontend.onnx.read import load_bytes
from verifex.ir.fingerprints import GraphFingerprints
from verifex.ir.graph import Builder, Graph
from verifex.ir.linmap import dense

NAMES = ["age", "pay", "years"]
X0 = [0.25, -0.5, 0.75]
FRAME = pd.DataFrame([[*X0, "yes"], [0.5, 0.5, 0.5, "no"]], columns=[*NAMES, "label"])


def module(kind: torch.dtype = torch.float32) -> torch.nn.Module:
    torch.manual_seed(3)
    return torch.nn.Sequential(
        torch.nn.Linear(3, 6), torch.nn.ReLU(), torch.nn.Dropout(0.5), torch.nn.Linear(6, 2)
    ).to(kind)


def spec(radius: Any = "1/100", **changes: Any) -> verifex.Spec:
    fields = {
        "input": verifex.data(FRAME, 0, target="label"),
        "region": verifex.linf(radius),
        "explain": verifex.explain("gradient", reduce="abs"),
        "require": [verifex.class_unchanged(), verifex.not_(verifex.order("pay", "age"))],
    }
    return verifex.Spec(**{**fields, **changes})


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


MODELS: dict[str, Callable[[], Any]] = {
    "torch": module,
    "float64": lambda: module(torch.float64),
    "graph": lambda: verifex.from_torch(module(), torch.zeros(1, 3)),
    "graph alone": lambda: replace(verifex.from_torch(module(), torch.zeros(1, 3)), onnx=None),
    "bytes": lambda: verifex.from_torch(module(), torch.zeros(1, 3)).onnx,
}


@pytest.mark.parametrize("kind", MODELS)
def test_every_model_in_memory_is_proved_and_refuted(kind: str, place: Path) -> None:
    model = MODELS[kind]()
    for radius, outcome, code in (("1/1000", Outcome.PROVED, 0), (9, Outcome.REFUTED, 0)):
        verdict = verifex.verify(model, spec(radius))
        assert verdict.outcome is outcome, verdict
        assert verdict.folder is not None
        target = place / f"{outcome.value}"
        assert {p.name for p in verdict.save(target)} == {
            "network.onnx", "spec.toml", "proof.vxc", "verdict.json"}
        assert run(app, ["check", str(target)]) == code
        assert run(app, ["check", str(target / "spec.toml"), str(target / "proof.vxc")]) == code
        assert verifex.Verdict.from_json(
            (target / "verdict.json").read_text()).outcome is outcome
        # The saved question asks the same anew.
        assert verifex.verify(None, target / "spec.toml").outcome is outcome


@pytest.mark.parametrize("kind", MODELS)
def test_the_written_network_is_the_same_to_the_checker(kind: str, place: Path) -> None:
    """The fingerprints of the graph, and those that the checker finds in what was written."""
    model = MODELS[kind]()
    asked = verifex.api.read(model, spec())
    files = write_given(asked.given, place / "here")
    data = files.network.path.read_bytes()
    assert hashlib.sha256(data).hexdigest() == files.network.sha256
    one, other = asked.problem.graph, verifex.load(files.network.path)
    for name, node in other.outputs.items():
        ours = GraphFingerprints(one).of(one.outputs[name])
        assert ours == GraphFingerprints(other).of(node)
    agree(files.network.path, files.spec.path)
    x = np.random.default_rng(0).normal(size=(20, 3)).astype(np.float32)
    if kind in ("torch", "graph", "bytes"):
        import onnxruntime

        session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
        expected = module().eval()(torch.tensor(x)).detach().numpy()
        np.testing.assert_allclose(
            session.run(None, {session.get_inputs()[0].name: x[:1]})[0], expected[:1], rtol=1e-5)


@settings(max_examples=60, deadline=None)
@given(graphs())
def test_what_is_read_again_is_the_same_or_refused(found: Any) -> None:
    """Of any graph: never another network."""
    graph = found.graph
    try:
        data = written._network_bytes(replace(graph, onnx=None))
    except UnsupportedError:
        return
    assert same_meaning(graph, load_bytes(data, "again"))


def small(weight: Any, bias: float = 0.0) -> Graph:
    b = Builder()
    x = b.input("x", (1, 2))
    z = b.affine(dense(np.diag([1.0, 0.5]), (1, 2), (1, 2)), x, np.array([[bias, weight]]))
    return b.build({"y": b.relu(z)})


def test_another_network_is_told_from_the_same_one() -> None:
    assert same_meaning(small(0.25), small(0.25))
    assert not same_meaning(small(0.25), small(0.5))
    assert not same_meaning(small(0.25), replace(small(0.25), outputs={"z": 2}))
    assert not same_meaning(small(0.25), replace(small(0.25), outputs={"y": 1}))
    whole = replace(small(0.25), whole_inputs={1: (0, 3)})
    assert same_meaning(whole, replace(small(0.25), whole_inputs={1: (0, 3)}))
    assert not same_meaning(whole, small(0.25))
    assert not same_meaning(whole, replace(small(0.25), whole_inputs={1: (0, 4)}))
    assert not same_meaning(whole, replace(small(0.25), whole_inputs={0: (0, 3)}))


def test_a_network_that_no_file_holds_stays_claimed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The file that would be written is another network: it is not put in its place."""
    graph, other = small(0.25), to_onnx(small(0.5))
    monkeypatch.setattr(written, "to_onnx", lambda _: other)
    asked = verifex.Spec(input={"point": [1, 0]}, region={"linf": "1/4"},
                         require=[{"class": "unchanged"}])
    verdict = verifex.verify(graph, asked)
    assert verdict.outcome is Outcome.CLAIMED
    assert verdict.notes[-1].startswith("no certificate: the graph's ONNX form is not the same")
    found = verifex.bound(graph, asked, "margin:0,1")
    assert not found.closed
    assert found.notes[-1].startswith("no certificate: the graph's ONNX form is not the same")


def test_a_spec_that_does_not_come_back_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    text = spec("1/7").to_toml()
    monkeypatch.setattr(verifex.Spec, "to_toml", lambda _: text)
    with pytest.raises(UnsupportedError, match="reads back as itself"):
        written.spec_text(spec("1/8"), "n.onnx", {})


def test_files_beside_a_kept_certificate(place: Path) -> None:
    verdict = verifex.verify(module(), spec("1/1000"), certificate="one.vxc")
    assert verdict.folder == Path("one.files")
    assert verdict.extra["certificate"]["files"] == "one.files"
    assert {p.name for p in place.rglob("*") if p.is_file()} == {
        "one.vxc", "network.onnx", "spec.toml"}
    assert run(app, ["check", str(place)]) == 0
    assert folder_beside(Path("a/b.vxc.gz")) == Path("a/b.files")
    again = verifex.verify(module(), spec("1/2000"), certificate="one.vxc")
    assert again.outcome is Outcome.PROVED
    assert run(app, ["check", str(place)]) == 0


def test_what_is_temporary_goes_with_the_verdict(place: Path) -> None:
    verdict = verifex.verify(module(), spec("1/1000"))
    folder = verdict.folder
    assert folder is not None
    assert (folder / "network.onnx").is_file()
    del verdict
    gc.collect()
    assert not folder.parent.exists()
    answered = verifex.api.answer(verifex.api.read(module(), spec("1/1000")), verifex.Settings())
    assert answered.outcome is Outcome.PROVED
    assert answered.kept is None


def test_what_is_temporary_goes_with_the_process(place: Path) -> None:
    code = (
        "import verifex\n"
        "b = {'input': {'point': [1, 0]}, 'region': {'linf': '1/4'},"
        " 'require': [{'class': 'unchanged'}]}\n"
        "v = verifex.verify(open('n.onnx', 'rb').read(), b)\nprint(v.outcome.value, v.folder)\n")
    (place / "n.onnx").write_bytes(to_onnx(small(0.25)))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    outcome, folder = done.stdout.split()
    assert outcome == "proved"
    assert not Path(folder).parent.exists()


def test_data_files_are_written_beside_the_spec(place: Path) -> None:
    """Two of one name in different folders, and a mask."""
    (place / "a").mkdir()
    (place / "b").mkdir()
    FRAME.to_csv("a/d.csv", index=False)
    FRAME.drop(columns="label").to_csv("b/d.csv", index=False)
    np.save("b/mask.npy", np.array([1.0, 0.0, 1.0]))
    rows = verifex.data("a/d.csv", 0, target="label")
    mask = verifex.mass({"file": "b/mask.npy"}, at_least=0)
    asked = spec("1/1000", input=rows,
                 require=[verifex.class_unchanged(), verifex.any_of(mask, verifex.top_k(1))])
    verdict = verifex.verify(MODELS["graph"](), asked)
    assert verdict.outcome is Outcome.PROVED, verdict
    names = {p.name for p in verdict.save(place / "kept")}
    assert {"d.csv", "mask.npy"} <= names
    assert run(app, ["check", str(place / "kept")]) == 0


def test_two_data_files_of_one_name(place: Path) -> None:
    names = written._new_names(["a/d.csv", "b/d.csv", "spec.toml"])
    assert names == {"a/d.csv": "d.csv", "b/d.csv": "1-d.csv", "spec.toml": "1-spec.toml"}


def test_external_data_is_kept_with_the_network(place: Path) -> None:
    """It lies beside the network in what is written, and in what is saved."""
    import onnx

    model = onnx.load_model_from_string(MODELS["bytes"]())
    (place / "m").mkdir()
    onnx.save(model, "m/n.onnx", save_as_external_data=True, location="weights.bin",
              size_threshold=0)
    verdict = verifex.verify("m/n.onnx", spec("1/1000"))
    assert verdict.outcome is Outcome.PROVED, verdict
    assert verdict.sha256["external"].keys() == {"weights.bin"}
    for name, digest in verdict.sha256["external"].items():
        assert hashlib.sha256((verdict.folder / name).read_bytes()).hexdigest() == digest
    assert verifex.load("m/n.onnx").onnx is None
    verdict.save("kept")
    assert run(app, ["check", "kept"]) == 0


def test_questions_of_files_are_kept_too(place: Path) -> None:
    """With data above the spec, which keeps its place; changed data is not kept silently."""
    (place / "sub").mkdir()
    FRAME.to_csv("d.csv", index=False)
    (place / "sub/net.onnx").write_bytes(MODELS["bytes"]())
    asked = spec("1/1000", input=verifex.data("../d.csv", 0, target="label"), network="net.onnx")
    (place / "sub/q.toml").write_text(asked.to_toml())
    verdict = verifex.verify(None, "sub/q.toml")
    assert verdict.outcome is Outcome.PROVED
    paths = verdict.save("kept")
    assert {str(p) for p in paths} == {
        "kept/spec/q.toml", "kept/spec/net.onnx", "kept/d.csv", "kept/proof.vxc",
        "kept/verdict.json"}
    assert run(app, ["check", "kept"]) == 0
    (place / "d.csv").write_text((place / "d.csv").read_text() + "\n")
    with pytest.raises(InputError, match=r"d\.csv: .*has changed since it was read"):
        verdict.save("other")
    with pytest.raises(UsageError, match="exists and is another file"):
        verifex.verify(module(), spec("1/1001")).save("kept")


def test_nothing_to_save(place: Path) -> None:
    for verdict in (
        verifex.Verdict.from_json(verifex.verify(module(), spec("1/1000")).to_json()),
        verifex.verify(module(), spec("1/1000"), check=False),
        verifex.verify(None, verifex.build(module(), spec("1/1000"))),
    ):
        with pytest.raises(UsageError, match="nothing to save"):
            verdict.save("x")
    assert not Path("x").exists()


def test_an_unknown_is_saved_without_a_certificate(place: Path) -> None:
    verdict = verifex.verify(module(), spec("1/2"), engine="search", attack=False, seconds=1e-6)
    assert verdict.outcome is Outcome.UNKNOWN
    assert {p.name for p in verdict.save("u")} == {"network.onnx", "spec.toml", "verdict.json"}
    assert json.loads(Path("u/verdict.json").read_text())["reason"]


def test_ranges_of_what_is_in_memory_are_closed(place: Path) -> None:
    for folder in (None, "ranges"):
        found = verifex.bound(module(), spec("1/50", require=[]), "margin:0,1", certificate=folder)
        assert found.closed, found
        assert found.low.attained is not None
        assert isinstance(found.low.proven, Fraction)
    assert run(app, ["check", "ranges"]) == 0


def test_a_query_about_a_model_in_memory(place: Path) -> None:
    (place / "q.vnnlib").write_text(
        "".join(f"(declare-const X_{i} Real)\n" for i in range(2))
        + "(declare-const Y_0 Real)\n(declare-const Y_1 Real)\n"
        + "".join(f"(assert (>= X_{i} 0))(assert (<= X_{i} 1))\n" for i in range(2))
        + "(assert (<= Y_0 -1))\n")
    verdict = verifex.verify(small(0.25), "q.vnnlib")
    assert verdict.outcome is Outcome.PROVED
    verdict.save("kept")
    assert run(app, ["check", "kept"]) == 0
