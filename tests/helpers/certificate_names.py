"""Names of a certificate made for other files: what a forger would write into it.

A certificate names elements and atoms by fingerprints, and these change with every weight. Put
before a false version of its claim as it is, it would be refused for its names alone. So names are
taken for what stands at the same place in the checker's own reading of the files presented: then
nothing but the derivation is between a false claim and `valid`.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Sequence
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tests.helpers import checker_parts as checker

Line = dict[str, Any]
ROLES = (checker.ARGUMENT, "R", "S", "G", "M")


def names(text: str) -> list[int]:
    """Fingerprints from base64."""
    data = base64.b64decode(text)
    return [int.from_bytes(data[k : k + 8], "little") for k in range(0, len(data), 8)]


def named(fingerprints: Iterable[int]) -> str:
    """Fingerprints in base64."""
    return base64.b64encode(b"".join(n.to_bytes(8, "little") for n in fingerprints)).decode()


def digest(data: bytes) -> str:
    """SHA-256 in hex, as headers have it."""
    return hashlib.sha256(data).hexdigest()


def reading(network: Path, spec: Path) -> Any:
    """The checker with a claim loaded from files; None where it refuses them."""
    try:
        net = checker.Network(checker.read(str(network))[0])
        claim = checker.load(str(spec), checker.read(str(spec)), net)
        return checker.Checker(claim, checker.Share(), {"vxc": 2})
    except Exception:
        return None  # whatever is wrong with the files, the checker itself will be asked


@lru_cache(maxsize=64)
def reading_of(network: bytes, spec: bytes, name: str, *data: tuple[str, bytes]) -> Any:
    """As `reading`, of files that are not on disk."""
    with TemporaryDirectory() as folder:
        paths = [Path(folder) / "net.onnx", Path(folder) / name]
        for path, text in (*zip(paths, (network, spec), strict=True),
                           *((Path(folder) / key, text) for key, text in data)):
            path.write_bytes(text)
        return reading(*paths)


def atom_names(read: Any) -> list[int]:
    """The name of each atom, in the checker's order."""
    fingerprints = read.deriver.index.fingerprints
    return [2 * fingerprints.of_form(form) + strict
            for form, strict in zip(read.atoms.forms, read.atoms.strict, strict=True)]


def all_atoms(read: Any) -> Line:
    """The header's key that names every atom."""
    return {} if read is None else {"atoms": named(atom_names(read))}


def renamed(lines: Sequence[Any], old: Any, new: Any) -> list[Any]:
    """Lines, the header among them, with the names of one reading turned into another's."""
    if old is None or new is None:
        return list(lines)
    theirs, atoms = atom_names(new), {}
    for number, name in enumerate(atom_names(old)):
        if number < len(theirs):
            atoms.setdefault(name, theirs[number])
    found = []
    for line in lines:
        if isinstance(line, dict) and isinstance(line.get("atoms"), str):
            line = {**line, "atoms": _mapped(line["atoms"], lambda n: atoms.get(n, n))}
        if isinstance(line, dict) and isinstance(line.get("group"), str):
            line = {"group": _mapped(line["group"], lambda n: _there(n, old, new))}
        found.append(line)
    return found


def _mapped(text: str, change: Any) -> str:
    try:
        return named(map(change, names(text)))
    except (ValueError, OverflowError):
        return text


def _there(name: int, old: Any, new: Any) -> int:
    """The name of what stands where an element of that name stood."""
    for role in ROLES:
        for node, element in old.deriver.index.places(role).get(name, ()):
            nodes = new.graph.nodes
            if node < len(nodes) and element < nodes[node].size:
                found: int = new.deriver.index.fingerprints.of(node)[element]
                return found
    return name
