"""What tests and benchmarks never do: change where Python looks for modules, import a test, replace
a private name, tell the time."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache

import pytest

from tests.helpers.layering import ROOT, imported

PLACES = ("tests", "benchmarks")
SEARCHED = {"sys.path", "monkeypatch.syspath_prepend", "site.addsitedir"}
"""What tells Python where to look for modules. A helper is imported by its full name instead."""

CLOCKS = {"monotonic", "perf_counter", "process_time", "thread_time", "time", "monotonic_ns",
          "perf_counter_ns", "process_time_ns", "time_ns"}
TIMES = {"elapsed", "seconds", "wall", "duration", "took"}
"""Attributes and keys that hold seconds which have passed."""


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


def reads_clock(node: ast.AST, known: set[str]) -> bool:
    """Whether an expression tells how late it is: a clock, a time that passed, a name for one."""
    for inner in ast.walk(node):
        match inner:
            case ast.Call(func=ast.Attribute(value=ast.Name("time"), attr=name)) if name in CLOCKS:
                return True
            case ast.Call(func=ast.Name(name)) if name in CLOCKS - {"time"}:
                return True
            case ast.Attribute(attr=name) | ast.Subscript(slice=ast.Constant(name)):
                if name in TIMES:
                    return True
            case ast.Name(name) if name in known:
                return True
    return False


def clock_faults(name: str, tree: ast.Module) -> Iterator[str]:
    """Assertions that compare a time that passed: on a busy machine they fail."""
    for function in ast.walk(tree):
        if not isinstance(function, ast.FunctionDef):
            continue
        known: set[str] = set()
        for node in ast.walk(function):
            if isinstance(node, ast.Assign) and reads_clock(node.value, known):
                named = [n.id for t in node.targets for n in ast.walk(t) if isinstance(n, ast.Name)]
                # `answer, start = ask(), time.monotonic()` names one clock and one answer.
                known |= set(named[-1:] if len(named) > 1 else named)
            if isinstance(node, ast.Assert):
                for compared in ast.walk(node.test):
                    if (
                        isinstance(compared, ast.Compare)
                        and isinstance(compared.ops[0], ast.Lt | ast.LtE | ast.Gt | ast.GtE)
                        and reads_clock(compared, known)
                    ):
                        yield f"{name}:{node.lineno}: {ast.unparse(node)}"


def private_faults(name: str, tree: ast.Module) -> Iterator[str]:
    """Where a test replaces a private name: what it wants to set is an argument or an option."""
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Attribute(attr="setattr"), args=[*arguments]):
                # `setattr(object, name, value)` or `setattr("dotted.name", value)`
                named = [a.value for a in arguments[:2] if isinstance(a, ast.Constant)]
                if any(str(one).rpartition(".")[2].startswith("_") for one in named[:1]):
                    yield f"{name}:{node.lineno}: {named[0]}"


def test_no_test_replaces_a_private_name() -> None:
    assert [f for name, tree in written().items() for f in private_faults(name, tree)] == []


@pytest.mark.parametrize(
    ("source", "faulty"),
    [
        ("monkeypatch.setattr(team, '_LEAST', 2)", True),
        ("monkeypatch.setattr('verifex.engine.run._bounds', None)", True),
        ("monkeypatch.setattr(os, 'fork', none_left)", False),
        ("monkeypatch.setattr('tempfile.tempdir', folder)", False),
    ],
)
def test_the_private_rule_itself(source: str, faulty: bool) -> None:
    assert bool(list(private_faults("tests.x", ast.parse(source)))) is faulty


def test_no_test_tells_the_time() -> None:
    """Deadlines are tested with `Ticks` of tests/helpers/waiting.py, or by what is left undone."""
    assert [f for name, tree in written().items() for f in clock_faults(name, tree)] == []


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


@pytest.mark.parametrize(
    ("source", "faulty"),
    [
        ("start = time.monotonic()\n    ASSERT time.monotonic() - start < 30", True),
        ("took = time.monotonic() - start\n    ASSERT took < 3", True),
        ("ASSERT perf_counter() - start <= 1", True),
        ("ASSERT answer.seconds < 4", True),
        ("ASSERT budget.elapsed < 10.0", True),
        ("ASSERT document['seconds'] < 5", True),
        ("end = time.monotonic() + 60\n    while time.monotonic() < end: work()", False),
        ("ASSERT clock.readings < 100", False),
        ("ASSERT settings.seconds == 30", False),
    ],
)
def test_the_clock_rule_itself(source: str, faulty: bool) -> None:
    source = source.replace("ASSERT", "assert")  # whoever searches for such lines finds none here
    tree = ast.parse(f"def test_it():\n    {source}")
    assert bool(list(clock_faults("tests.x", tree))) is faulty
