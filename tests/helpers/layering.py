"""What the tests of the layers and of the rooms share: shipped modules, and what they import."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MOST_FILES = 12
REGISTRIES = {
    "verifex/attribution", "verifex/metrics", "verifex/semantics/functions",
    "verifex/frontend/onnx/operators", "verifex/certificate/checker/onnx/operators",
    "verifex/certificate/checker/spec/properties", "solvers",
}
"""Folders of one-file entries: as many as there are methods, properties, functions, solvers."""


def module_name(file: Path, root: Path = ROOT) -> str:
    """The dotted name a shipped file is imported by, `__init__` kept as the last part."""
    parts = file.relative_to(root).with_suffix("").parts
    return ".".join(parts if parts[0] == "verifex" else ("verifex", *parts))


@cache
def shipped() -> dict[str, ast.Module]:
    """Every shipped module, by dotted name, parsed."""
    files = [f for top in ("verifex", "solvers", "specs") for f in (ROOT / top).rglob("*.py")]
    return {module_name(f): ast.parse(f.read_bytes(), str(f)) for f in sorted(files)}


def imported(name: str, tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Line and dotted name of everything a module imports, at the top or inside functions."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = name.split(".")[: -node.level]
                base = ".".join([*above, base] if base else above)
            for alias in node.names:
                yield node.lineno, f"{base}.{alias.name}"
