"""What the code looks like in figures: folders, functions, parameters, comments, names.

    python -m benchmarks.house verifex solvers --beside httpx=PATH --before REVISION

Counts the source folders given, the same folders at an earlier revision of this repository
(`--before`, read with `git archive`), and other projects beside them. A project without a path is
looked for among the installed packages, and named as absent where it is not there. Nothing of the
projects is imported or run: their files are parsed.
"""

from __future__ import annotations

import argparse
import ast
import importlib.util
import io
import math
import subprocess
import tarfile
import tempfile
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TypeVar

ROOT = Path(__file__).resolve().parent.parent
ONE_ENTRY_A_FILE = frozenset(
    {"attribution", "functions", "metrics", "operators", "properties", "solvers"})
"""Folders that hold one entry a file, as many as there are entries; their size is not limited."""
MAPPINGS = frozenset({"Dict", "Mapping", "MutableMapping", "dict"})

FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef
Item = TypeVar("Item")


@dataclass(frozen=True)
class House:
    """The parsed files of some source folders, by path, and what is counted in them.

    Shares lie between 0 and 1. Lengths are lines from `def` to the last line of the body.
    """

    texts: Mapping[str, str]
    trees: Mapping[str, ast.Module] = field(repr=False)

    @cached_property
    def functions(self) -> list[tuple[str, FunctionNode]]:
        return [(file, node) for file, tree in self.trees.items() for node in ast.walk(tree)
                if isinstance(node, FunctionNode)]

    @cached_property
    def files_by_folder(self) -> Counter[str]:
        """Code files in each folder, not counting `__init__.py`."""
        paths = (Path(file) for file in self.texts)
        return Counter(p.parent.as_posix() for p in paths if p.name != "__init__.py")

    @property
    def crowd(self) -> int:
        """The most code files in one folder, registries apart."""
        sizes = self.files_by_folder.items()
        return max((n for folder, n in sizes if Path(folder).name not in ONE_ENTRY_A_FILE),
                   default=0)

    @cached_property
    def lengths(self) -> list[int]:
        return sorted((node.end_lineno or 0) - node.lineno + 1 for _, node in self.functions)

    def length(self, share: float) -> int:
        """The length that this share of the functions does not exceed."""
        return self.lengths[max(0, math.ceil(share * len(self.lengths)) - 1)]

    @cached_property
    def parameters(self) -> list[tuple[str, ast.arg]]:
        """Every named parameter but self and cls, with its file."""
        found = ((file, a) for file, node in self.functions
                 for a in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs))
        return [(file, a) for file, a in found if a.arg not in ("self", "cls")]

    @property
    def one_letter(self) -> float:
        return share_of(self.parameters, lambda found: len(found[1].arg) == 1)

    @property
    def comments(self) -> float:
        """Lines that are only a comment, of the lines that are not blank."""
        lines = [line for text in self.texts.values() for line in text.splitlines() if line.strip()]
        return share_of(lines, lambda line: line.lstrip().startswith("#"))

    @cached_property
    def homonyms(self) -> dict[str, list[str]]:
        """Class names that are defined in several files, with these files."""
        where: defaultdict[str, set[str]] = defaultdict(set)
        for file, tree in self.trees.items():
            for node in ast.walk(tree):
                if isinstance(node, ast.ClassDef):
                    where[node.name].add(file)
        return {name: sorted(files) for name, files in sorted(where.items()) if len(files) > 1}

    @property
    def called_once(self) -> float:
        """Private functions that their file mentions at one place only, of all private ones."""
        used = {file: Counter(mentioned(tree)) for file, tree in self.trees.items()}
        private = [(file, node.name) for file, node in self.functions
                   if node.name.startswith("_") and not node.name.endswith("__")]
        return share_of(private, lambda found: used[found[0]][found[1]] == 1)

    @property
    def with_return_type(self) -> float:
        return share_of(self.functions, lambda found: found[1].returns is not None)

    @cached_property
    def aliases(self) -> dict[str, ast.expr]:
        """Names that stand for types or other expressions at the top of a file."""
        found: dict[str, ast.expr] = {}
        for tree in self.trees.values():
            for node in tree.body:
                if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                    found[node.targets[0].id] = node.value
                elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                    found[node.target.id] = node.value or node.annotation
        return found

    def keyed_by(self, kind: str) -> list[str]:
        """File, line and name of the parameters that are mappings keyed so (see `keys`)."""
        return [f"{file}:{a.lineno} {a.arg}" for file, a in self.parameters
                if kind in self.keys(a.annotation)]

    def keys(self, annotation: ast.expr | None, depth: int = 0) -> set[str]:
        """What the mappings in a type are keyed by: "str", "tuple" (of a text and more)."""
        found: set[str] = set()
        for node in ast.walk(annotation) if annotation is not None and depth < 5 else ():
            if isinstance(node, ast.Name) and node.id in self.aliases:
                found |= self.keys(self.aliases[node.id], depth + 1)
            elif isinstance(node, ast.Subscript) and named(node.value) in MAPPINGS:
                key = node.slice.elts[0] if isinstance(node.slice, ast.Tuple) else node.slice
                found.add(self._kind(key))
        return found

    def _kind(self, key: ast.expr) -> str:
        for _ in range(5):
            if isinstance(key, ast.Name) and key.id in self.aliases:
                key = self.aliases[key.id]
        if isinstance(key, ast.Subscript) and named(key.value) == "tuple":
            inside = key.slice.elts if isinstance(key.slice, ast.Tuple) else [key.slice]
            return "tuple" if inside and named(inside[0]) == "str" else ""
        return named(key)


def named(node: ast.expr) -> str:
    """The last part of a name: `Mapping` of `typing.Mapping`; "" for anything else."""
    return node.id if isinstance(node, ast.Name) else getattr(node, "attr", "")


def mentioned(tree: ast.AST) -> Iterator[str]:
    """Every name and attribute that a file reads, as often as it does."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Name | ast.Attribute) and isinstance(node.ctx, ast.Load):
            yield named(node)


def share_of(items: Sequence[Item], holds: Callable[[Item], bool]) -> float:
    return sum(map(holds, items)) / max(1, len(items))


def read_house(root: Path, folders: Iterable[str]) -> House:
    """The code of some folders below a root; tests that lie among it are left out."""
    texts = {}
    for folder in folders:
        if not (root / folder).is_dir():
            raise SystemExit(f"{root / folder}: no such folder, expected one with Python files")
        for file in sorted((root / folder).rglob("*.py")):
            place = file.relative_to(root)
            tested = file.name.startswith("test_") or file.stem.endswith("_test")
            if not tested and not {"tests", "testing", "__pycache__"} & set(place.parts):
                texts[place.as_posix()] = file.read_text(encoding="utf-8")
    return House(texts, {file: ast.parse(text, file) for file, text in texts.items()})


def read_revision(revision: str, folders: Sequence[str]) -> House:
    """The same folders as they were at a revision of this repository."""
    command = ["git", "-C", str(ROOT), "archive", "--format=tar", revision, *folders]
    done = subprocess.run(command, capture_output=True, check=False)
    if done.returncode:
        raise SystemExit(f"--before {revision}: {done.stderr.decode().strip()}")
    with tempfile.TemporaryDirectory() as target:
        with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
            archive.extractall(target, filter="data")
        return read_house(Path(target), folders)


def read_peer(option: str) -> tuple[str, House | None]:
    """A project from `NAME=FOLDER` or, among the installed ones, from `NAME`; None if absent."""
    name, _, place = option.partition("=")
    if not place:
        spec = importlib.util.find_spec(name)
        places = [] if spec is None else list(spec.submodule_search_locations or ())
        if not places:
            return name, None
        place = places[0]
    folder = Path(place).resolve()
    return name, read_house(folder.parent, [folder.name])


def percent(share: float) -> str:
    return f"{100 * share:.1f} %"


ROWS: tuple[tuple[str, Callable[[House], object], str], ...] = (
    ("code files", lambda house: len(house.texts), ""),
    ("most files in a folder (registries apart)", lambda house: house.crowd, "12"),
    ("functions", lambda house: len(house.lengths), ""),
    ("function length, p50", lambda house: house.length(.5), ""),
    ("p90", lambda house: house.length(.9), ""),
    ("p99", lambda house: house.length(.99), "80"),
    ("longest", lambda house: house.lengths[-1], ""),
    ("parameters of one letter", lambda house: percent(house.one_letter), "3 %"),
    ("class names in several files", lambda house: len(house.homonyms), "0"),
    ("parameters keyed by (text, ...)", lambda house: len(house.keyed_by("tuple")), "0"),
    ("parameters keyed by a text", lambda house: len(house.keyed_by("str")), "reported"),
    ("lines that are only a comment", lambda house: percent(house.comments), "reported"),
    ("private functions called once", lambda house: percent(house.called_once), "reported"),
    ("functions with a return type", lambda house: percent(house.with_return_type), ""),
)


EXPLAINED = (
    "Lengths are lines from `def` to the end. `__init__.py` does not count as a file of a folder.",
    "A private function is called once where its file mentions it once. Rows with a figure as",
    "their aim are tests (`tests/test_house.py`, `tests/test_rooms.py`). Of other projects, tests",
    "that lie among the code are left out.",
)


def table(houses: Mapping[str, House]) -> list[str]:
    """One row a figure, one column a state or project."""
    lines = [f"| | {' | '.join(houses)} | aim |", "|---|" + "---:|" * len(houses) + "---|"]
    for title, figure, aim in ROWS:
        cells = " | ".join(str(figure(house)) for house in houses.values())
        lines.append(f"| {title} | {cells} | {aim} |")
    return lines


def document(command: str, houses: Mapping[str, House], absent: Sequence[str]) -> str:
    now = houses["now"]
    large = [f"{folder} ({n})" for folder, n in sorted(now.files_by_folder.items())
             if Path(folder).name in ONE_ENTRY_A_FILE]
    names = [f"{name} ({', '.join(files)})" for name, files in now.homonyms.items()]
    lines = [
        "# The house in figures", "", "Written by the command below.", "", f"    {command}", "",
        *table(houses), "", *EXPLAINED, "",
        f"Registries, one entry a file: {', '.join(large)}.", "",
    ]
    if names:
        lines += [f"Class names in several files: {'; '.join(names)}.", ""]
    if absent:
        lines += [f"Not counted, since not installed: {', '.join(absent)}.", ""]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", nargs="+", help="source folders of this repository")
    parser.add_argument("--beside", action="append", default=[], metavar="NAME[=FOLDER]")
    parser.add_argument("--before", metavar="REVISION")
    parser.add_argument("--document", type=Path, metavar="FILE")
    arguments = parser.parse_args()
    houses: dict[str, House] = {}
    words = ["python -m benchmarks.house", *arguments.folders]
    if arguments.before:
        houses[f"before ({arguments.before})"] = read_revision(arguments.before, arguments.folders)
    houses["now"] = read_house(ROOT, arguments.folders)
    peers = dict(map(read_peer, arguments.beside))
    houses |= {name: house for name, house in peers.items() if house is not None}
    absent = [name for name, house in peers.items() if house is None]
    words += [f"--beside {name}" for name in peers]
    words += [f"--before {arguments.before}"] if arguments.before else []
    print("\n".join(table(houses)))
    for name in absent:
        print(f"{name}: not counted, since it is not installed")
    if arguments.document:
        command = " ".join([*words, f"--document {arguments.document}"])
        arguments.document.write_text(document(command, houses, absent), encoding="utf-8")


if __name__ == "__main__":
    main()
