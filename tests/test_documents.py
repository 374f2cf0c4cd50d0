"""What `--json` prints: of every command a document that the schema describes, and nothing else."""

from __future__ import annotations

import hashlib
import importlib.resources
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import typer

import verifex
import verifex.specs
from verifex.cli.app import app
from verifex.cli.guard import run

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
SCHEMA = json.loads(
    importlib.resources.files(verifex.specs).joinpath("documents.json").read_text())
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)
SPEC = """verifex = 1
network = "breast_cancer.onnx"
[input]
data = "breast_cancer_test.csv"
row = 4
target = "target"
[region]
linf = {radius}
clip = [0, 1]
[explain]
attribution = "gradient"
reduce = "abs"
[[require]]
top_k = 3
"""

CALLS: dict[str, list[str]] = {
    "verdict": ["verify", "holds.toml", "--certificate", "kept/proof.vxc"],
    "refuted": ["verify", "fails.toml", "--save-witness", "w.json"],
    "unknown": ["verify", "hard.toml", "-t", "0.01", "--no-attack", "--engine", "smt"],
    "ranges": ["bound", "holds.toml", "-e", "margin:0,1", "-e", "norm:l1", "-e", "cosine",
               "-e", "overlap:2", "-t", "5"],
    "difference": ["difference", "breast_cancer.onnx", "breast_cancer.onnx", "holds.toml"],
    "difference claim": ["difference", "breast_cancer.onnx", "breast_cancer.onnx", "holds.toml",
                         "--at-most", "1"],
    "radii": ["radius", "holds.toml", "-t", "20", "--tolerance", "0.5"],
    "features": ["radius", "holds.toml", "-t", "5", "-f", "worst_radius", "-f", "0"],
    "replay": ["replay", "fails.toml", "w.json"],
    "check": ["check", "holds.toml", "kept/proof.vxc"],
    "folder check": ["check", ".", "--files", "."],
    "checker": ["check", "--export", "checker.pyz"],
    "graph": ["show", "breast_cancer.onnx", "--spec", "holds.toml"],
    "export": ["export", "holds.toml", "--smtlib", "q.smt2"],
    "operators": ["support"],
    "solvers": ["solvers"],
    "doctor": ["doctor"],
    "explanation": ["explain", "holds.toml"],
    "draft": ["init", "breast_cancer.onnx", "breast_cancer_test.csv"],
    "ready specs": ["spec"],
    "ready spec": ["spec", "top_features", "-o", "ready.toml"],
    "printed": ["spec", "top_features"],
    "error": ["verify", "none.toml"],
}
KINDS = {"printed": "ready spec", "refuted": "verdict", "unknown": "verdict",
         "difference": "ranges", "features": "radii", "difference claim": "verdict"}
ELSEWHERE: set[str] = set()
"""Commands whose documents are validated by tests of their own."""


@pytest.fixture(scope="module")
def documents(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What every call prints, in order, in one folder; each as (exit code, stdout)."""
    place = tmp_path_factory.mktemp("documents")
    (place / "kept").mkdir()
    for name in ("breast_cancer.onnx", "breast_cancer_test.csv"):
        shutil.copy(EXAMPLES / name, place / name)
    for name, radius in (("holds", "0.001"), ("fails", "0.9"), ("hard", "0.05")):
        (place / f"{name}.toml").write_text(SPEC.format(radius=radius))
    found: dict[str, Any] = {"place": place}
    for name, words in CALLS.items():
        done = subprocess.run(
            [sys.executable, "-m", "verifex", *words, "--json"], cwd=place, capture_output=True,
            text=True, check=False)
        found[name] = (done.returncode, done.stdout, done.stderr)
    return found


@pytest.mark.parametrize("name", CALLS)
def test_every_command_prints_one_document(name: str, documents: dict[str, Any]) -> None:
    code, out, err = documents[name]
    document = json.loads(out)
    VALIDATOR.validate(document)
    assert document["kind"] == KINDS.get(name, name)
    assert document["verifex"] == verifex.__version__
    if "exit_code" in document:
        assert document["exit_code"] == code
    if name == "error":
        assert err.strip() == document["error"]


def test_every_command_with_json_is_called() -> None:
    known = {words[0] for words in CALLS.values()} | ELSEWHERE
    asked = {
        name for name, command in typer.main.get_command(app).commands.items()
        if any("--json" in option.opts for option in command.params)}
    assert asked <= known, f"call {asked - known} here, with a kind in specs/documents.json"


def test_the_hashes_are_those_of_the_files(documents: dict[str, Any]) -> None:
    place = documents["place"]

    def digest(name: str) -> str:
        return hashlib.sha256((place / name).read_bytes()).hexdigest()

    for name, spec in (("verdict", "holds"), ("refuted", "fails"), ("replay", "fails")):
        assert json.loads(documents[name][1])["sha256"] == {
            "network": digest("breast_cancer.onnx"), "spec": digest(f"{spec}.toml"),
            "data": {"breast_cancer_test.csv": digest("breast_cancer_test.csv")}}
    for part in json.loads(documents["ranges"][1])["ranges"]:
        assert part["sha256"]["spec"] == digest("holds.toml")
    assert json.loads(documents["check"][1])["sha256"]["certificate"] == digest("kept/proof.vxc")


def test_the_words_are_those_of_python(documents: dict[str, Any]) -> None:
    for name, outcome in (("verdict", "PROVED"), ("refuted", "REFUTED"), ("unknown", "UNKNOWN")):
        document = json.loads(documents[name][1])
        assert document["outcome"] == verifex.Outcome[outcome].value
        again = verifex.Verdict.from_json(document)
        assert again.outcome.name == outcome
        assert again.sha256 == document["sha256"]
    for document in json.loads(documents["ranges"][1])["ranges"]:
        assert verifex.RangeVerdict.from_json(document).to_json() == {
            k: v for k, v in document.items() if k != "asked"}


@pytest.mark.parametrize(
    "spoil",
    [
        lambda d: d.pop("outcome"), lambda d: d.update(outcome="sure"),
        lambda d: d.update(schema=2),
        lambda d: d.update(kind="range"), lambda d: d.update(sha256={"network": "0"}),
        lambda d: d["worst_margin"].update(attained_exact="0.5"),
        lambda d: d.update(verdict=d.pop("outcome")), lambda d: d.update(notes="none"),
    ],
)
def test_the_schema_refuses_what_is_none(
    spoil: Callable[[dict[str, Any]], Any], documents: dict[str, Any]
) -> None:
    document = json.loads(documents["verdict"][1])
    spoil(document)
    with pytest.raises(jsonschema.ValidationError):
        VALIDATOR.validate(document)


def test_what_python_gives_is_described(tmp_path: Path) -> None:
    data = (EXAMPLES / "breast_cancer.onnx").read_bytes()
    spec = {"input": {"point": [0.5] * 30}, "region": {"linf": "1/1000"},
            "require": [{"class": "unchanged"}]}
    verdict = verifex.verify(data, spec)
    verdict.save(tmp_path)
    for document in (verdict.to_json(), json.loads((tmp_path / "verdict.json").read_text()),
                     verifex.bound(data, spec, "margin:0,1", seconds=2).to_json(),
                     verifex.verify(data, spec, check=False).to_json()):
        VALIDATOR.validate(document)


PRINTS = """
import os, subprocess, sys
from verifex import api
plain = api.read
def printing(*arguments):
    os.write(1, b"Running HiGHS\\n")
    subprocess.run(["echo", "a child's banner"], check=True)
    return plain(*arguments)
api.read = printing
from verifex.cli.app import app
from verifex.cli.guard import run_process
sys.argv = ["verifex", "verify", "holds.toml", "--json"]
run_process(app)
"""


def test_nothing_that_a_library_writes_is_on_stdout(documents: dict[str, Any]) -> None:
    """Neither what this process writes to file descriptor 1, nor what its children do."""
    done = subprocess.run([sys.executable, "-c", PRINTS], cwd=documents["place"],
                          capture_output=True, text=True, check=False)
    assert "Running HiGHS\na child's banner\n" in done.stderr
    VALIDATOR.validate(json.loads(done.stdout))
    assert done.returncode == 0


@pytest.mark.parametrize("words", [["verify", "none.toml", "--json"], ["verify", "--json"]])
def test_errors_are_described(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    run(app, words)
    VALIDATOR.validate(json.loads(capsys.readouterr().out))


def test_shells_complete_commands() -> None:
    """What `--install-completion` lets a shell ask."""
    asked = os.environ | {
        "_VERIFEX_COMPLETE": "complete_bash", "COMP_WORDS": "verifex ver", "COMP_CWORD": "1"}
    done = subprocess.run([sys.executable, "-c", "from verifex.cli import main; main()"],
                          env=asked, capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["verify"]
