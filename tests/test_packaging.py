"""The package list, the lock file, the entry points and the example files agree with the tree."""

from __future__ import annotations

import ast
import csv
import os
import re
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
LOCK = (ROOT / "requirements.lock").read_text(encoding="utf-8")
EXAMPLES = ROOT / "examples"


@pytest.fixture(scope="module")
def pyproject() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def locked() -> dict[str, str]:
    """Name -> version for every line of the lock that is not a comment."""
    lines = [line for line in LOCK.splitlines() if line and not line.startswith("#")]
    return {canonicalize_name(n): v for n, v in (line.split("==", 1) for line in lines)}


def folder_of(package: str) -> Path:
    """Where a package lies in the tree: solvers and specs are not inside verifex/."""
    parts = package.split(".")
    return ROOT.joinpath(*parts[1:] if parts[1:2] in (["solvers"], ["specs"]) else parts)


def test_every_package_on_disk_is_listed(pyproject: dict[str, Any]) -> None:
    tops = (ROOT / top for top in ("verifex", "solvers", "specs"))
    inner = {file.parent for top in tops for file in top.rglob("*.py")}
    listed = {folder_of(p) for p in pyproject["tool"]["setuptools"]["packages"]}
    assert sorted(map(str, inner - listed)) == []
    assert sorted(str(p) for p in listed if not (p / "__init__.py").is_file()) == []


def test_every_data_file_is_shipped(pyproject: dict[str, Any]) -> None:
    data = pyproject["tool"]["setuptools"]["package-data"]
    for package, top in (("verifex", "verifex"), ("verifex.specs", "specs")):
        folder = ROOT / top
        matched = {f for pattern in data[package] for f in folder.glob(pattern)}
        present = {
            f
            for f in folder.rglob("*")
            if f.is_file() and f.suffix not in {".py", ".pyc"} and f.name != "ARCHITECTURE.md"
        }
        assert sorted(map(str, present - matched)) == []
        for pattern in data[package]:
            assert list(folder.glob(pattern)), f"{package}: {pattern} matches nothing"


def test_lock_is_plain_pins() -> None:
    assert "torch==2.13.0" in LOCK.splitlines()
    for line in LOCK.splitlines():
        assert re.fullmatch(r"#.*|[A-Za-z0-9_.-]+==[A-Za-z0-9.]+|", line), line
    assert "://" not in LOCK


def test_lock_satisfies_everything_asked_for(pyproject: dict[str, Any]) -> None:
    project = pyproject["project"]
    extras = project["optional-dependencies"].values()
    asked = [*project["dependencies"], *(r for extra in extras for r in extra)]
    asked += pyproject["build-system"]["requires"]
    pins = locked()
    for text in asked:
        wanted = Requirement(text)
        if canonicalize_name(wanted.name) == canonicalize_name(project["name"]):
            continue
        assert wanted.specifier.contains(pins[canonicalize_name(wanted.name)]), text


def test_lock_is_closed(pyproject: dict[str, Any]) -> None:
    """Nothing that a locked package needs here is left for the installer to choose."""
    pins = locked()
    missing = set()
    for name in pins:
        try:
            needs = metadata.requires(name) or []
        except metadata.PackageNotFoundError:
            continue
        for need in map(Requirement, needs):
            plain = need.marker is None or need.marker.evaluate({"extra": ""})
            if plain and canonicalize_name(need.name) not in pins:
                missing.add(f"{name} needs {need.name}")
    assert missing == set()


def test_entry_points_name_what_exists(pyproject: dict[str, Any]) -> None:
    project = pyproject["project"]
    targets = [*project["scripts"].values(), *project["entry-points"]["verifex.solvers"].values()]
    for target in targets:
        module, _, name = target.partition(":")
        file = folder_of(module).with_suffix(".py")
        if not file.is_file():
            file = folder_of(module) / "__init__.py"
        assert file.is_file(), target
        defined = {
            node.name
            for node in ast.parse(file.read_bytes()).body
            if isinstance(node, ast.ClassDef | ast.FunctionDef)
        }
        assert name in defined, target


def test_every_adapter_has_an_entry_point(pyproject: dict[str, Any]) -> None:
    """A public class in solvers/ that can say whether it is available, and solve, is listed."""
    listed = set(pyproject["project"]["entry-points"]["verifex.solvers"].values())
    adapters = {
        f"verifex.solvers.{file.stem}:{node.name}"
        for file in (ROOT / "solvers").glob("*.py")
        for node in ast.parse(file.read_bytes()).body
        if isinstance(node, ast.ClassDef)
        and not node.name.startswith("_")
        and {"availability"}
        < {m.name for m in node.body if isinstance(m, ast.FunctionDef)}
        & {"availability", "solve", "solve_problem"}
    }
    assert sorted(adapters - listed) == []


def test_installed_version_is_this_one(pyproject: dict[str, Any]) -> None:
    assert metadata.version("verifex-nn") == pyproject["project"]["version"]


@pytest.mark.parametrize("target", ["demo", "test", "lint", "types", "fuzz", "bench", "wheel"])
def test_make_targets_set_themselves_up(target: str) -> None:
    """A dry run from nothing begins with making the environment."""
    command = ["make", "--no-print-directory", "-n", target, "VENV=no-such-folder"]
    # Not the settings of the make that may be running these tests.
    plain = {k: v for k, v in os.environ.items() if not k.startswith(("MAKE", "MFLAGS"))}
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, env=plain)
    lines = done.stdout.splitlines()
    assert "-m venv no-such-folder" in lines[0]
    assert "install" in lines[1]
    assert "torch==" in lines[1]


def test_ci_script_can_be_run() -> None:
    mode = subprocess.run(
        ["git", "ls-files", "--stage", ".ci/run"], cwd=ROOT, capture_output=True, text=True
    )
    if mode.returncode or not mode.stdout:
        pytest.skip("not a git checkout")
    assert mode.stdout.startswith("100755")


def held_out() -> tuple[np.ndarray[Any, np.dtype[np.float64]], list[int]]:
    """The rows (100, 30) and labels beside the example network."""
    with (EXAMPLES / "breast_cancer_test.csv").open(newline="", encoding="utf-8") as stream:
        head, *rows = csv.reader(stream)
    assert head[-1] == "target"
    assert len(set(head)) == 31
    return np.array([r[:-1] for r in rows], dtype=float), [int(r[-1]) for r in rows]


def predicted(file: Path) -> list[int]:
    """The class onnxruntime gives each held-out row."""
    import onnxruntime

    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    rows = held_out()[0].astype(np.float32)
    return [int(session.run(None, {"input": row[None]})[0].argmax()) for row in rows]


def test_example_network_is_small_plain_and_good() -> None:
    file = EXAMPLES / "breast_cancer.onnx"
    assert file.stat().st_size < 8_000
    model = onnx.load(file)
    assert [node.op_type for node in model.graph.node] == ["Gemm", "Relu"] * 2 + ["Gemm"]
    x, labels = held_out()
    assert x.shape == (100, 30)
    assert x.min() >= 0
    assert x.max() <= 1
    assert np.mean(np.equal(predicted(file), labels)) >= 0.95


@pytest.mark.slow
def test_training_script_makes_the_example_network(tmp_path: Path) -> None:
    """The same rows, and a network that agrees; bits may differ with the processor."""
    command = [sys.executable, str(EXAMPLES / "train_breast_cancer.py"), "--out", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert re.search(r"held-out accuracy 0\.9\d\d", done.stdout)
    rows = "breast_cancer_test.csv"
    assert (tmp_path / rows).read_bytes() == (EXAMPLES / rows).read_bytes()
    new, old = (predicted(folder / "breast_cancer.onnx") for folder in (tmp_path, EXAMPLES))
    assert np.mean(np.equal(new, old)) >= 0.97
