"""What the commands load: torch only where a search needs it, nothing that is not used."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from verifex.problem.spec.build import read_problem

EXAMPLES = Path(__file__).parents[1] / "examples"
SPEC = str(EXAMPLES / "top3_stable.toml")

_RUN = """
import json, sys
from verifex.cli import main
try:
    main()
except SystemExit as end:
    code = end.code
print("LOADED", json.dumps([code, sorted(sys.modules)]))
"""


def loaded(*arguments: str) -> tuple[int, set[str]]:
    """The exit code of a command, and the modules that its process has loaded at the end."""
    done = subprocess.run(
        [sys.executable, "-c", _RUN, *arguments], capture_output=True, text=True, check=True)
    code, names = json.loads(done.stdout.rsplit("LOADED", 1)[1])
    return code or 0, set(names)


@pytest.mark.parametrize(("arguments", "code"), [
    (("verify", SPEC), 0),
    (("verify", str(EXAMPLES / "top3_moves.toml")), 1),
    (("bound", SPEC, "-e", "component:worst_texture"), 0),
    (("explain", SPEC), 0),
    (("radius", SPEC, "--tolerance", "0.5"), 0),
], ids=["proved", "refuted", "bound", "explain", "radius"])
def test_small_questions_load_no_torch(arguments: tuple[str, ...], code: int) -> None:
    found, names = loaded(*arguments)
    assert found in (code, 2 if arguments[0] in ("bound", "radius") else code)
    assert {"numpy", "onnx"} <= names
    assert not names & {"torch", "scipy", "pandas", "matplotlib", "http.client"}


def test_checking_loads_no_torch(tmp_path: Path) -> None:
    """The checker is a process of its own: who starts it only reads what it prints."""
    proof = str(tmp_path / "proof.vxc")
    code, _ = loaded("verify", SPEC, "--certificate", proof)
    assert code == 0
    code, names = loaded("check", SPEC, proof)
    assert code == 0
    assert not names & {"torch", "scipy", "pandas"}


def test_help_loads_nothing_of_the_engine() -> None:
    code, names = loaded("--help")
    assert code == 0
    assert not names & {"torch", "numpy", "onnx", "pydantic", "verifex.engine"}


def test_the_example_is_small() -> None:
    """Else what is asked above would load torch for a reason."""
    problem = read_problem(SPEC).problem
    assert sum(node.size for node in problem.graph.nodes) < 4000
