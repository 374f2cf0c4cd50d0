"""What tests and benchmarks never do: change where Python looks for modules, import a test."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache

import pytest

from tests.helpers.layering import ROOT, imported

PLACES = ("tests", "benchmarks")
SEARCHED = {"sys.path", "monkeypatch.syspath_prepend", "site.addsitedir"}
"""What tells Python where to look for modules. A helper is imported by its full name instead."""


@cache
def written() -> dict[str, ast.Module]:
    """Every module of the tests and of the benchmarks, by dotted name, parsed."""
    files = [file for place in PLACES for file in sorted((ROOT / place).rglob("*.py"))]
    return {
        ".".join(file.relative_to(ROOT).with_suffix("").parts): ast.parse(file.read_bytes())
        for file in files
    }


def path_faults(name: str, tree: ast.Module) -> Iterator[str]:
    """Where a module, or a script in a string of it, touches the search path of modules."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and ast.unparse(node) in SEARCHED:
            yield f"{name}:{node.lineno}: {ast.unparse(node)}"
        # Scripts for other processes are written as strings.
        text = node.value if isinstance(node, ast.Constant) else ""
        if isinstance(text, str) and "import sys" in text and "sys.path" in text:
            yield f"{name}:{node.lineno}: sys.path in a script"


def import_faults(name: str, tree: ast.Module) -> Iterator[str]:
    """Where a module imports a test module; what tests share belongs in `tests/helpers`."""
    for line, target in imported(name, tree):
        parts = target.split(".")
        if parts[0] == "tests" and any(part.startswith("test_") for part in parts):
            yield f"{name}:{line}: imports {target}"


def test_no_module_changes_the_search_path() -> None:
    found = [f for name, tree in written().items() for f in path_faults(name, tree)]
    assert [f for f in found if not f.startswith(__name__)] == []  # the sources below


def test_no_module_imports_a_test() -> None:
    assert [f for name, tree in written().items() for f in import_faults(name, tree)] == []


@pytest.mark.parametrize(
    ("source", "faulty"),
    [
        ("import sys\nsys.path.insert(0, 'x')", True),
        ("import sys\nsys.path[:0] = ['x']", True),
        ("monkeypatch.syspath_prepend('x')", True),
        ("SCRIPT = 'import sys; sys.path.append(1)'", True),
        ("import os\nos.path.join('a', 'b')", False),
    ],
)
def test_the_path_rule_itself(source: str, faulty: bool) -> None:
    assert bool(list(path_faults("tests.x", ast.parse(source)))) is faulty


@pytest.mark.parametrize(
    ("source", "faulty"),
    [
        ("from tests.engine.test_search import network", True),
        ("from tests.engine import test_search", True),
        ("import tests.test_layering", True),
        ("from .test_search import network", True),
        ("from tests.helpers.small_nets import relu_net", False),
        ("from benchmarks.vnncomp_suite import table", False),
    ],
)
def test_the_import_rule_itself(source: str, faulty: bool) -> None:
    assert bool(list(import_faults("tests.engine.x", ast.parse(source)))) is faulty
