"""Files that make a claim, certificates for them, and the claims that two readings disagree on.

A `Version` is a set of files of which the checker must say neither `valid` nor `valid
(refutation)` for any of its certificates. Its `twin` is what a wrong reader takes the files for:
of the twin the first certificate is accepted, which shows that nothing but the reading stands
between the false claim and `valid`.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

from tests.helpers import checker_parts as checker

Line = dict[str, Any]
Vector = tuple[Fraction, ...]


@dataclass(frozen=True)
class Files:
    """What the checker is given beside a certificate."""

    network: bytes
    spec: bytes
    data: Mapping[str, bytes] = field(default_factory=dict)
    name: str = "spec.toml"

    def digests(self) -> Line:
        """The header's hashes of these very files, as a forger would put them in."""
        told: Line = {"network": _digest(self.network), "spec": _digest(self.spec)}
        return told | ({"data": {k: _digest(v) for k, v in self.data.items()}} if self.data else {})


@dataclass(frozen=True)
class Certificate:
    """Lines after the header, and what the header says beside its hashes."""

    lines: tuple[Line, ...] = ()
    head: Line = field(default_factory=dict)


LEAF = Certificate(({"l": 1},))
BOUND = Certificate(({"b": 0}, {"l": 1}))


def witness(x: Sequence[Fraction]) -> Certificate:
    return Certificate(head={"witness": [str(v) for v in x]})


@dataclass(frozen=True)
class Version:
    """A claim that is false (for a witness: a claim that the witness does not refute)."""

    files: Files
    certificates: tuple[Certificate, ...]
    why: str
    twin: Files | None = None


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def present(files: Files, certificate: Certificate, folder: Path) -> tuple[int, str]:
    """What the checker says to a certificate with hashes to match."""
    paths = [folder / "net.onnx", folder / files.name, folder / "proof.vxc"]
    head = {"vxc": 1, **files.digests(), **certificate.head}
    text = "".join(json.dumps(line) + "\n" for line in (head, *certificate.lines))
    for path, data in zip(paths, (files.network, files.spec, text.encode()), strict=True):
        path.write_bytes(data)
    for name, data in files.data.items():
        (folder / name).write_bytes(data)
    return checker.check([str(p) for p in paths])


# --- the texts of simple claims -------------------------------------------------------------


def decimal(value: Fraction) -> str:
    """A number as VNN-LIB and TOML write it, exactly: all numbers here are dyadic."""
    places = value.denominator.bit_length() - 1
    digits = f"{abs(value.numerator) * 5**places:0{places + 1}d}"
    text = f"{digits[:len(digits) - places]}.{digits[len(digits) - places:] or '0'}"
    return f"-{text}" if value < 0 else text


def listed(values: Sequence[Fraction]) -> str:
    return "[" + ", ".join(decimal(v) for v in values) + "]"


@dataclass(frozen=True)
class Limit:
    """`output j` or `component i of output j` is at most, or at least, a bound."""

    output: int
    most: bool
    bound: Fraction
    component: int | None = None

    def holds(self, value: float | Fraction) -> bool:
        return value <= self.bound if self.most else value >= self.bound

    def toml(self) -> str:
        side = "at_most" if self.most else "at_least"
        if self.component is None:
            return f'[[require]]\noutput = "logit:{self.output}"\n{side} = {decimal(self.bound)}\n'
        return (f'[explain]\noutput = "logit:{self.output}"\n[[require]]\n'
                f"component = {self.component}\n{side} = {decimal(self.bound)}\n")

    def broken(self) -> str:
        """The VNN-LIB assertion that it fails (its closure, which the bounds here leave alone)."""
        return f"(assert ({'>=' if self.most else '<='} Y_{self.output} {decimal(self.bound)}))"


def toml(x0: Vector, radius: Fraction, limit: Limit, top: str = "") -> Files:
    """A TOML spec without its network: one limit around a point."""
    text = (f"verifex = 1\n{top}[input]\npoint = {listed(x0)}\n"
            f"[region]\nlinf = {decimal(radius)}\n{limit.toml()}")
    return Files(b"", text.encode())


def query(x0: Vector, radius: Fraction, limit: Limit, outputs: int) -> Files:
    """The same as a VNN-LIB 1.0 file."""
    lines = [f"(declare-const X_{i} Real)" for i in range(len(x0))]
    lines += [f"(declare-const Y_{j} Real)" for j in range(outputs)]
    for i, v in enumerate(x0):
        lines += [f"(assert (>= X_{i} {decimal(v - radius)}))",
                  f"(assert (<= X_{i} {decimal(v + radius)}))"]
    return Files(b"", "\n".join([*lines, limit.broken(), ""]).encode(), name="query.vnnlib")


def radius_of(rng: random.Random) -> Fraction:
    return Fraction(1, 2 ** rng.randint(4, 10))


def between(a: float | Fraction, b: float | Fraction) -> Fraction:
    """A short dyadic number well between two values."""
    return Fraction(round((Fraction(a) + Fraction(b)) / 2 * 4096), 4096)


Draw = Callable[[random.Random], Version | None]
"""Makes a version, or None where the draw did not lead to two readings that differ by far."""


@dataclass(frozen=True)
class Kind:
    """One way of being false: `group` is type, storage, opset, attribute, name, text or value."""

    group: str
    name: str
    draw: Draw

    def version(self, seed: str) -> Version | None:
        """A version by a seed, drawn again until the two readings differ by far; None where 60
        draws did not get there (the few proved claims at hand may not have what is changed)."""
        for attempt in range(60):
            found = self.draw(random.Random(f"{seed} {self.group} {self.name} {attempt}"))
            if found is not None:
                return replace(found, why=f"{self.group}: {self.name}: {found.why}")
        return None
