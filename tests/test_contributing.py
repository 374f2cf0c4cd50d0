"""CONTRIBUTING.md, word for word: its files are written and its commands run in a copy."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"^```(\w+)(?: file=(\S+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
ADDITIONS = ("An attribution", "A metric", "An ONNX operator", "A solver")
INSTALL = "python -m pip install --no-deps --no-build-isolation -e ."


@dataclass(frozen=True)
class Block:
    """A block of code: its language, the file that it goes to, its text."""

    kind: str
    file: str | None
    text: str


def blocks(title: str) -> list[Block]:
    """The blocks of a section."""
    section = re.search(rf"^## {title}\n(.*?)(?=^## |\Z)", TEXT, re.MULTILINE | re.DOTALL)
    assert section is not None, title
    return [Block(kind, file or None, text) for kind, file, text in BLOCK.findall(section[1])]


def patched(text: str, diff: str) -> str:
    """The text with a change; the lines that the change starts from must be there exactly once."""
    lines = diff.splitlines()
    old = "".join(line[1:] + "\n" for line in lines if line[0] in " -")
    new = "".join(line[1:] + "\n" for line in lines if line[0] in " +")
    assert text.count(old) == 1, f"found {text.count(old)} times:\n{old}"
    return text.replace(old, new)


def commands(text: str) -> Iterator[tuple[str, list[str]]]:
    """Each command of a console block, with the lines that are shown below it."""
    for part in text.split("$ ")[1:]:
        command, *shown = part.splitlines()
        yield command, shown


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the repository, laid out so that its packages are found before installed ones."""
    skip = shutil.ignore_patterns("__pycache__")
    for part in ("verifex", "solvers", "specs", "tests", "examples"):
        shutil.copytree(ROOT / part, tmp_path / part, ignore=skip)
    for part in ("solvers", "specs"):  # they are packages of verifex once installed
        (tmp_path / "verifex" / part).symlink_to(tmp_path / part)
    for name in ("pyproject.toml", "README.md"):
        shutil.copy(ROOT / name, tmp_path)
    return tmp_path


def run(folder: Path, command: str) -> str:
    """What a command prints in the copy; it must end well.

    An installation is the one thing that is not done as written, for it would change this very
    environment: only the list of entry points is made, where the copy's packages are.
    """
    if command == INSTALL:
        command = "python -c 'import setuptools; setuptools.setup()' -q egg_info"
    command, _, target = command.partition(" > ")
    words = shlex.split(command)
    here = {"python": [sys.executable], "verifex": [sys.executable, "-m", "verifex"]}
    done = subprocess.run(
        [*here[words[0]], *words[1:]], cwd=folder, check=False, capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"},
    )
    assert done.returncode in (0, 2), f"{command}\n{done.stdout}{done.stderr}"
    assert done.returncode == 0 or words[0] == "verifex", done.stdout  # 2: claimed or unknown
    if target:
        (folder / target).write_text(done.stdout, encoding="utf-8")
    return done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("title", ADDITIONS)
def test_the_additions_work_as_written(title: str, copy: Path) -> None:
    ran = 0
    for block in blocks(title):
        if block.kind == "console":
            for command, shown in commands(block.text):
                said = run(copy, command)
                for line in shown:
                    assert line in said, f"{command}\n{said}"
                ran += 1
        elif block.kind == "diff":
            assert block.file is not None
            place = copy / block.file
            place.write_text(patched(place.read_text(encoding="utf-8"), block.text))
        else:
            assert block.file is not None
            assert not (copy / block.file).exists()
            (copy / block.file).write_text(block.text, encoding="utf-8")
    assert ran >= 1


@pytest.mark.parametrize("title", ADDITIONS)
def test_code_keeps_the_rules_of_this_repository(title: str, tmp_path: Path) -> None:
    """Lint, on the whole files that are shown."""
    for block in blocks(title):
        if block.kind == "python":
            assert block.file is not None
            file = tmp_path / Path(block.file).name
            file.write_text(block.text, encoding="utf-8")
            config = str(ROOT / "pyproject.toml")
            done = subprocess.run(
                [sys.executable, "-m", "ruff", "check", "--config", config, str(file)],
                capture_output=True, text=True, check=False,
            )
            assert done.returncode == 0, done.stdout


def test_the_commands_of_the_first_hour_exist() -> None:
    """Targets of the Makefile, and modules and folders that are there."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    lines = [line for block in blocks("The first hour") for line in block.text.splitlines()]
    targets = {t for line in lines for t in re.findall(r"^make ([\w -]+?)(?:  |$)", line)}
    assert {"demo", "test", "lint types", "test-all"} <= targets
    for target in {word for words in targets for word in words.split()}:
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
    for name in re.findall(r"python -m (tests\S+)", "\n".join(lines)):
        assert (ROOT / (name.replace(".", "/") + ".py")).is_file(), name
    for place in re.findall(r"`((?:verifex|tests|solvers|benchmarks|docs|specs)[\w/.]*)`", TEXT):
        assert (ROOT / place).exists(), place
