"""Enforces the layers: who may import whom, what shipped code never does, what loads when."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.layering import ROOT, imported, shipped

# Lowest first; a row imports only rows before it. Names are the first part below `verifex`.
ROWS: tuple[frozenset[str], ...] = tuple(
    map(
        frozenset,
        (
            {"errors", "limits", "statement", "version"},
            {"pictures"},
            {"expressions", "ir", "settings", "source"},
            {"semantics"},
            {"frontend"},
            {"attribution", "metrics"},
            {"problem"},
            {"engine"},
            {"certificate"},
            {"campaign"},
            {"reading"},
            {"api"},
            {"questions", "radius_questions"},
            {"cli"},
            {"__main__"},
            {"__init__"},
        ),
    )
)
RANK = {unit: rank for rank, row in enumerate(ROWS) for unit in row}
SOLVERS_MAY_IMPORT = frozenset({"errors", "ir", "solvers"})
# Slow to import, or not to be had everywhere: never loaded before they are needed.
HEAVY = (
    "torch", "onnx", "scipy", "z3", "highspy", "gurobipy", "pulp", "pyscipopt", "cvc5",
    "matplotlib",
)
CHECKER = "verifex.certificate.checker"
UNSAFE_LOADERS = frozenset({"pickle", "_pickle", "cloudpickle", "dill", "shelve", "marshal"})


def unit_of(name: str) -> str:
    """`verifex.ir.graph` -> `ir`; the package itself is `__init__`."""
    return [*name.split("."), "__init__"][1]


def in_checker(name: str) -> bool:
    """Whether a module is one of the checker's, which shares no code with anything."""
    return f"{name}.".startswith(f"{CHECKER}.")


def units_imported(name: str, tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Line and unit of each import from verifex; the version string may be had from anywhere."""
    for line, target in imported(name, tree):
        if in_checker(name) and in_checker(target):
            continue  # its own parts
        if target.split(".")[0] == "verifex" and target != "verifex.__version__":
            unit = unit_of(target)
            yield line, unit if unit in RANK or unit in {"solvers", "specs"} else "__init__"


def layering_faults(name: str, tree: ast.Module) -> list[str]:
    """What a module imports against the order of the rows."""
    unit = unit_of(name)
    faults = []
    for line, target in units_imported(name, tree):
        if unit == "solvers":
            allowed = target in SOLVERS_MAY_IMPORT
        elif unit == "specs":
            allowed = False
        elif target in {"solvers", "specs"}:
            allowed = target == "specs" and RANK[unit] >= RANK["problem"]
        else:
            allowed = not in_checker(name) and (target == unit or RANK[target] < RANK[unit])
        if not allowed:
            faults.append(f"{name}:{line}: {unit} must not import {target}")
    return faults


def habit_faults(name: str, tree: ast.Module) -> list[str]:
    """Asserts, unpickling and `global` in a module."""
    faults = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Assert):
            faults.append(f"{name}:{node.lineno}: assert (use if ...: raise)")
        if isinstance(node, ast.Global):
            faults.append(f"{name}:{node.lineno}: global {', '.join(node.names)}")
        if isinstance(node, ast.keyword) and node.arg in {"allow_pickle", "weights_only"}:
            safe = node.arg == "weights_only"
            if not (isinstance(node.value, ast.Constant) and node.value.value is safe):
                faults.append(f"{name}:{node.value.lineno}: {node.arg} must be {safe}")
    for line, target in imported(name, tree):
        if target.split(".")[0] in UNSAFE_LOADERS:
            faults.append(f"{name}:{line}: imports {target}")
    return faults


def test_every_module_has_a_row() -> None:
    known = set(RANK) | {"solvers", "specs"}
    assert [name for name in shipped() if unit_of(name) not in known] == []


def test_a_row_imports_only_rows_below_it() -> None:
    assert [f for name, tree in shipped().items() for f in layering_faults(name, tree)] == []


def test_no_assert_pickle_or_global_in_shipped_code() -> None:
    assert [f for name, tree in shipped().items() for f in habit_faults(name, tree)] == []


def test_solvers_are_found_by_entry_point_only() -> None:
    """No import by a name put together at run time either."""
    faults = [
        f"{name}:{node.lineno}: {node.value!r}"
        for name, tree in shipped().items()
        if unit_of(name) != "solvers"
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and re.fullmatch(r"(verifex\.)?solvers\.\w*", node.value)
    ]
    assert faults == []


def test_checker_needs_only_the_standard_library() -> None:
    found = {
        target for name, tree in shipped().items() if in_checker(name)
        for _, target in imported(name, tree) if not in_checker(target)
    }
    tops = {target.split(".")[0] for target in found}
    assert tops <= set(sys.stdlib_module_names)


@pytest.mark.parametrize(
    ("name", "source", "faulty"),
    [
        ("verifex.ir.graph", "from verifex.errors import InputError", False),
        ("verifex.ir.graph", "from . import ops", False),
        ("verifex.ir.graph", "from verifex.semantics import evaluate", True),
        ("verifex.ir.graph", "from ..semantics.vjp import vjp", True),
        ("verifex.ir.graph", "import verifex", True),
        ("verifex.ir.graph", "from verifex import __version__", False),
        ("verifex.semantics.linear", "from verifex.frontend.onnx.read import read", True),
        ("verifex.attribution.gradient", "import verifex.metrics.topk", True),
        ("verifex.engine.decide", "def f():\n    from verifex.solvers.highs import Highs", True),
        ("verifex.engine.decide", "from verifex import solvers", True),
        ("verifex.engine.decide", "from verifex.cli import main", True),
        ("verifex.cli", "from verifex.engine.decide import decide", False),
        ("verifex.certificate.checker.files", "from verifex.errors import InputError", True),
        ("verifex.solvers.highs", "from verifex.ir.region import Region", False),
        ("verifex.solvers.highs", "from verifex.semantics.encode import rows", True),
        ("verifex.__init__", "from verifex.api import verify", False),
    ],
)
def test_the_layering_rule_itself(name: str, source: str, faulty: bool) -> None:
    assert bool(layering_faults(name, ast.parse(source))) is faulty


@pytest.mark.parametrize(
    ("source", "faulty"),
    [
        ("if x < 0:\n    raise ValueError", False),
        ("def f():\n    assert x", True),
        ("def f():\n    global x\n    x = 1", True),
        ("import pickle", True),
        ("from pickle import loads", True),
        ("numpy.load(f, allow_pickle=True)", True),
        ("numpy.load(f, allow_pickle=False)", False),
        ("torch.load(f, weights_only=False)", True),
    ],
)
def test_the_habit_rule_itself(source: str, faulty: bool) -> None:
    assert bool(habit_faults("verifex.x", ast.parse(source))) is faulty


def test_every_file_says_what_it_is_in_its_first_line() -> None:
    tops = ("verifex", "solvers", "specs", "tests", "examples", "benchmarks")
    files = [f for top in tops for f in (ROOT / top).rglob("*.py")]
    silent = [
        str(f.relative_to(ROOT))
        for f in sorted(files)
        if not re.match(r'r?"""\S', f.read_text(encoding="utf-8"))
    ]
    assert silent == []


@pytest.mark.parametrize("module", ["verifex", "verifex.cli"])
def test_import_loads_nothing_heavy(module: str) -> None:
    code = f"import sys, {module}; print([m for m in {HEAVY!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_help() -> None:
    command = Path(sys.executable).with_name("verifex")
    done = subprocess.run([command, "--help"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "verify" in done.stdout
