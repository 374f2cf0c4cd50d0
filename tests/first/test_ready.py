"""`spec`: the library is listed, printed and copied whole, and what is copied runs."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from verifex.cli.first.ready import library

ROOT = Path(__file__).resolve().parents[2]
Cli = Callable[..., tuple[int, str, str]]


def test_all_are_listed_with_what_they_claim(cli: Cli) -> None:
    code, out, _ = cli("spec", "--json")
    assert code == 0
    listed = {entry["name"]: entry["summary"] for entry in json.loads(out)["specs"]}
    files = {f.stem: f for f in (ROOT / "specs" / "library").glob("*.toml")}
    assert listed.keys() == files.keys()
    for name, claim in listed.items():
        assert files[name].read_text().startswith(f"# {claim}\n")
    _, out, _ = cli("spec")
    assert all(name in out for name in files)


@pytest.mark.parametrize("name", sorted(library()))
def test_one_is_copied_with_its_files_and_runs(name: str, tmp_path: Path, cli: Cli) -> None:
    target = tmp_path / "deep" / "my.toml"
    target.parent.mkdir()
    code, _, _ = cli("spec", name, "-o", target)
    assert code == 0
    table = tomllib.loads(target.read_text())
    for file in (table["network"], table["input"]["data"]):
        assert (target.parent / file).is_file()
        # What the specs are about is what the examples are about.
        assert (target.parent / file).read_bytes() == (ROOT / "examples" / file).read_bytes()
    code, out, err = cli("verify", target, "-q", "--engine", "milp", "-t", "0.01")
    assert (code, out.strip()) in {(0, "proved"), (1, "refuted"), (2, "unknown")}, err


def test_the_promised_pair_of_commands_proves(tmp_path: Path, cli: Cli) -> None:
    target = tmp_path / "my.toml"
    assert cli("spec", "top_features", "-o", target)[0] == 0
    code, out, _ = cli("verify", target)
    assert code == 0
    assert "the 3 largest components at x0 stay the 3 largest" in out


def test_nothing_is_replaced_unasked(tmp_path: Path, cli: Cli) -> None:
    target = tmp_path / "my.toml"
    assert cli("spec", "top_features", "-o", target)[0] == 0
    code, _, err = cli("spec", "class_robustness", "-o", target)
    assert code == 64
    assert "--force" in err
    assert "top_k" in target.read_text()
    assert cli("spec", "class_robustness", "-o", target, "--force")[0] == 0
    assert "top_k" not in target.read_text()
    (tmp_path / "breast_cancer.onnx").write_bytes(b"mine")
    code, _, err = cli("spec", "top_features", "-o", tmp_path / "other.toml")
    assert code == 64
    assert (tmp_path / "breast_cancer.onnx").read_bytes() == b"mine"
    assert not (tmp_path / "other.toml").exists()


def test_an_unknown_name_is_told_the_nearest(cli: Cli) -> None:
    code, _, err = cli("spec", "top_feature")
    assert code == 64
    assert "'top_features' (did you mean that?)" in err


def test_one_is_printed_as_it_is(cli: Cli) -> None:
    code, out, _ = cli("spec", "top_features")
    assert code == 0
    assert out == (ROOT / "specs" / "library" / "top_features.toml").read_text()
