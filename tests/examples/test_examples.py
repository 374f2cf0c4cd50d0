"""The example scripts run, say what they should, and stay short."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parent.parent.parent / "examples"
SAYS = {
    "python_api.py": r"^refuted - .*exact replay",
    "ranges.py": r"(?:exact to 1e-6\)\s*.*){3}",
    "compare_solvers.py": r"highs: (claimed|proved)",
    "torch_model.py": r"dose: (claimed|proved)\nage: refuted \[",
}


def run(name: str, folder: Path, seconds: float) -> subprocess.CompletedProcess[str]:
    """Run a script from another folder, so that nothing depends on where it is called."""
    return subprocess.run(
        [sys.executable, str(EXAMPLES / name)], cwd=folder, capture_output=True, text=True,
        timeout=seconds, check=False,
    )


@pytest.mark.parametrize("name", SAYS)
def test_example(name: str, tmp_path: Path) -> None:
    done = run(name, tmp_path, 240)
    assert done.returncode == 0, done.stderr
    assert re.search(SAYS[name], done.stdout, re.DOTALL), done.stdout
    assert done.stderr == ""


@pytest.mark.slow
def test_demo(tmp_path: Path) -> None:
    done = run("demo.py", tmp_path, 290)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"^PROVED  top3_stable", done.stdout, re.MULTILINE)
    assert re.search(r"^valid$", done.stdout, re.MULTILINE)
    assert re.search(r"^REFUTED  top3_moves", done.stdout, re.MULTILINE)
    assert "exact: violated, float64: violated" in done.stdout
    assert re.search(r"^refuted$", done.stdout, re.MULTILINE)
    assert "Within 4 % the claim is proved, within 5 % it is refuted." in done.stdout


@pytest.mark.slow
def test_demo_fails_when_an_answer_is_not_what_it_should_be(tmp_path: Path) -> None:
    """The same script beside a spec whose claim does not hold."""
    for file in (*EXAMPLES.glob("breast_cancer*"), EXAMPLES / "top3_moves.toml"):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    text = (EXAMPLES / "top3_stable.toml").read_text().replace("linf = 0.04", "linf = 0.3")
    (tmp_path / "top3_stable.toml").write_text(text)
    code = (EXAMPLES / "demo.py").read_text().replace('SECONDS = "60"', 'SECONDS = "4"')
    (tmp_path / "demo.py").write_text(code)
    done = subprocess.run(
        [sys.executable, str(tmp_path / "demo.py")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "not what the demo should show" in done.stderr


def test_first_proof(tmp_path: Path) -> None:
    """A newcomer's own scikit-learn model: three commands, and the answer is `proved`."""
    tools = str(Path(sys.executable).parent)
    done = subprocess.run(
        ["bash", str(EXAMPLES / "first_proof.sh"), str(tmp_path)], capture_output=True, text=True,
        check=False, timeout=240, env={**os.environ, "PATH": f"{tools}:{os.environ['PATH']}"})
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"^PROVED  diabetes", done.stdout, re.MULTILINE), done.stdout
    assert "10 of 10 features move" in done.stdout
    assert (tmp_path / "diabetes.toml").is_file()


def test_examples_are_short_and_all_are_run() -> None:
    scripts = {f.name for f in EXAMPLES.glob("*.py")}
    assert scripts == {*SAYS, "demo.py", "train_breast_cancer.py", "train_first.py"}
    for name in SAYS:
        assert len((EXAMPLES / name).read_text().splitlines()) < 40, name
