"""Enforces the rooms: how many files a folder may hold, and the import order inside each folder."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping

import pytest

from tests.helpers.layering import MOST_FILES, REGISTRIES, ROOT, imported, shipped

# By folder, lowest floor first: a module or folder imports only from floors before its own. A floor
# "*" holds whatever has no other one: the entries of a registry.
FLOORS: Mapping[str, tuple[str, ...]] = {
    "verifex.ir": (
        "decimals exact", "fields formula maps model region trees", "linmap", "ops", "graph",
        "fingerprints graft lift problem", "text",
    ),
    "verifex.ir.text": (
        "checked draw toml_text", "forest_text spec_toml", "graph_text", "document",
    ),
    "verifex.semantics": (
        "parameters support", "functions", "encode evaluate vjp",
        "interval pullback steady torch_backend", "claim kinks linear", "linear_slopes",
    ),
    "verifex.semantics.support": (
        "arrays balls cost logarithms outward planes table whole",
    ),
    "verifex.frontend.onnx": (
        "export files structure values", "lowering schemas tensors", "runtime", "operators",
        "importer outline support", "read",
    ),
    "verifex.frontend.onnx.operators": (
        "call", "constants elementwise linear logic resize shape smooth", "einsum indexing pooling",
        "heads", "ml", "rules",
    ),
    "verifex.frontend.onnx.operators.ml": (
        "columns encoders linear_models tree_nodes", "trees",
    ),
    "verifex.metrics": ("support", "*", "expression"),
    "verifex.problem.spec": (
        "csv_file linear messages", "model", "words", "builders data region schema",
        "column_units", "build", "thresholds",
        "difference expression",
    ),
    "verifex.problem.vnnlib": (
        "polynomial query stated version_2_text", "translate version_1 version_2", "read",
        "raw_query",
    ),
    "verifex.engine": (
        "findings margin solve", "budget", "watch", "execute testimony verdict",
        "bounds float_margin", "falsify", "search", "run", "by_solver range_end", "portfolio",
        "decide range_search", "radius", "by_threshold", "ranges",
    ),
    "verifex.engine.execute": (
        "channel executor", "child_process in_process", "task_worker", "process_executor",
    ),
    "verifex.engine.bounds": (
        "batched_lp cost facts layout region_rows rounding single_lp", "exact bounder",
        "optimise plain_bounder root", "half_spaces",
    ),
    "verifex.engine.portfolio": (
        "engine progress shares sizes", "others programs searches", "portfolio",
    ),
    "verifex.engine.falsify": (
        "deployed interior open_gates replays", "witness", "kink_points points", "pieces", "attack",
        "attained nearer single", "seeker",
    ),
    "verifex.engine.search": (
        "counts record start", "exact_claim replant", "gates inputs trees",
        "handover programs workers",
        "claims extrema",
    ),
    "verifex.engine.search.gates": (
        "branching domains forms", "frontier lookahead policy",
        "joint leaves tighten",
        "bounding refresh", "search",
    ),
    "verifex.engine.search.inputs": (
        "box_formula dense dense_splits", "box_claim box_thresholds dense_bounds", "box_tree",
        "box_ends box_rows", "box_sides", "search",
    ),
    "verifex.certificate": (
        "checker claim_spec lines names written", "write", "attempts leaf", "grant",
        "application keeping radius_ends threshold_ends", "ranges",
        "bundle",
    ),
    "verifex.certificate.checker": (
        "failures", "files graph", "bounds", "onnx", "spec", "vnnlib", "proof", "command",
        "__main__",
    ),
    "verifex.certificate.checker.onnx": (
        "protobuf rounding signatures", "attributes declarations external", "stored",
        "operator_call", "operators", "heads", "network",
    ),
    "verifex.certificate.checker.onnx.operators": (
        "elementwise identities indexing logic normalization products rectifiers resize scatters",
        "shapes smooth window_places", "convolution einsum windows", "ml", "rules",
    ),
    "verifex.certificate.checker.onnx.operators.ml": (
        "columns encoders linear_models trees", "rules",
    ),
    "verifex.certificate.checker.graph": (
        "element_types forests forms packed_rows sparse_rows", "network_graph",
        "elements fingerprints", "symbolic", "moves",
    ),
    "verifex.certificate.checker.bounds": (
        "balls grid lanes multipliers planes terrain whole_numbers", "domain",
        "at_point many plain", "substitution",
    ),
    "verifex.certificate.checker.proof": (
        "lines names piecewise", "atoms header", "closing witnesses", "checker",
    ),
    "verifex.certificate.checker.spec": (
        "formulas toml_values", "data names", "constraints reference",
        "input_table outputs region", "explanation", "setting", "properties", "requirements",
        "claim",
    ),
    "verifex.certificate.checker.spec.outputs": ("functionals log_odds", "claimed"),
    "verifex.certificate.checker.spec.properties": ("base", "*", "known"),
    "verifex.cli": (
        "guard", "common options plot vnnlib",
        "check environment export first network render witness_file", "decide radius_command",
        "app",
    ),
}
LARGE = 6
"""Folders with more modules and folders than this have an order."""


def folders() -> dict[str, list[str]]:
    """The modules and folders that lie directly in each folder, by dotted name."""
    found: dict[str, set[str]] = {}
    for name in shipped():
        parts = name.split(".")
        for depth in range(1, len(parts)):
            if parts[depth] != "__init__":
                found.setdefault(".".join(parts[:depth]), set()).add(parts[depth])
    return {folder: sorted(inside) for folder, inside in found.items()}


def floors(folder: str) -> list[list[str]]:
    """What is on each floor of a folder, lowest first."""
    named = [names.split() for names in FLOORS[folder]]
    known = {name for names in named for name in names}
    rest = [name for name in folders()[folder] if name not in known]
    return [rest if names == ["*"] else names for names in named]


def floor_faults(folder: str, modules: Mapping[str, ast.Module]) -> Iterator[str]:
    """What the modules of a folder import against the order of its floors."""
    floor_of = {name: k for k, names in enumerate(floors(folder)) for name in names}
    for module, tree in modules.items():
        if not module.startswith(f"{folder}."):
            continue
        own = module[len(folder) + 1 :].split(".")[0]
        for line, target in imported(module, tree):
            if not target.startswith(f"{folder}."):
                continue
            other = target[len(folder) + 1 :].split(".")[0]
            if own == "__init__" or other == own or other not in floor_of:
                continue
            if floor_of[other] >= floor_of[own]:
                yield f"{module}:{line}: {own} must not import {other}"


def test_no_folder_is_crowded() -> None:
    crowded = []
    for top in ("verifex", "solvers"):
        for folder in (ROOT / top, *(ROOT / top).rglob("*/")):
            files = [f for f in folder.glob("*.py") if f.name != "__init__.py"]
            place = folder.relative_to(ROOT).as_posix()
            if len(files) > MOST_FILES and place not in REGISTRIES:
                crowded.append(f"{place}: {len(files)} files")
    assert crowded == []


def test_every_large_folder_has_an_order() -> None:
    by_rows = {"verifex", "verifex.solvers", "verifex.attribution", "verifex.semantics.functions"}
    large = {f for f, inside in folders().items() if len(inside) > LARGE}
    assert sorted(large - by_rows - set(FLOORS)) == []


@pytest.mark.parametrize("folder", sorted(FLOORS))
def test_floors_name_what_is_there(folder: str) -> None:
    named = [name for names in floors(folder) for name in names]
    assert sorted(named) == folders()[folder]


@pytest.mark.parametrize("folder", sorted(FLOORS))
def test_a_floor_imports_only_floors_below_it(folder: str) -> None:
    assert list(floor_faults(folder, shipped())) == []


@pytest.mark.parametrize(
    ("source", "faulty"),
    [
        ("from verifex.engine.search.record import Proof", True),
        ("from verifex.engine.bounds.layout import Layout", True),
        ("from verifex.engine.bounds import layout", True),
        ("from verifex.ir.graph import Graph", False),
        ("def late():\n    from verifex.engine.decide import decide", True),
    ],
)
def test_the_floor_rule_itself(source: str, faulty: bool) -> None:
    modules = {"verifex.engine.solve.pool": ast.parse(source)}
    assert bool(list(floor_faults("verifex.engine", modules))) is faulty


