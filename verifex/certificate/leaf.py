"""A leaf of a certificate as a question of its own: may the claim be violated on the leaf's domain?

The splits on the way to the leaf become a smaller box (input splits) and assumptions (unit splits:
the sign of z, and the value of its gate where it has one). Bounds and multipliers are left out: the
question is for another solver, and has no answer exactly where the leaf is rightly closed.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import IO, Any

from verifex.certificate.write import NodeNumbers
from verifex.errors import InputError
from verifex.ir.formula import And, Atom, Form, Formula, Or, negate
from verifex.ir.ops import Relu, Step
from verifex.ir.problem import Problem
from verifex.source import QuestionFiles

MAX_LINE = 1 << 26

Split = tuple[str, Any, bool]
"""("unit", [kind, n, index], z >= 0) or ("input", [index, value], x >= value)."""


@dataclass(frozen=True)
class Leaf:
    """A leaf's number, the splits that lead to it, whether it is marked closed, and the disjuncts
    that its tree refutes (None: all)."""

    number: int
    splits: tuple[Split, ...]
    closed: bool
    parts: tuple[int, ...] | None


def leaf_problem(problem: Problem, files: QuestionFiles, certificate: Path, number: int) -> Problem:
    """The problem restricted to leaf `number` (from 0, in the order of the file).

    Raises InputError for a file that is no certificate of these files or has no such leaf.
    """
    try:
        last = None
        for leaf in leaves(certificate, files):
            if leaf.number == number:
                return restrict(problem, leaf)
            last = leaf.number
        expected = "a proof with leaves" if last is None else f"a number from 0 to {last}"
        raise InputError(f"there is no leaf {number}", expected=expected)
    except InputError as error:
        raise error.at(file=str(certificate)) from None


def leaves(certificate: Path, files: QuestionFiles | None = None) -> Iterator[Leaf]:
    """All leaves of a certificate, streamed; `files` are those that its header must name."""
    numbered = _lines(certificate)
    _, header = next(numbered, (0, {}))
    if header.get("vxc") != 1:
        raise InputError("not a certificate", expected='"vxc": 1', key="line 1")
    wanted = {} if files is None else files.hashes()
    for key, value in wanted.items():
        if header.get(key) != value:
            raise InputError("made for another file", expected=str(value), key=key)
    if "witness" in header:
        raise InputError("a refutation has no leaves", expected="a proof", key="witness")
    count, path, todo = 0, list[Split](), list[list[Split]]()
    parts: tuple[int, ...] | None = None
    for at, line in numbered:
        try:
            if "t" in line:
                parts, path = tuple(int(j) for j in line["t"]), []
            elif "s" in line or "x" in line:
                kind, what = ("unit", line["s"]) if "s" in line else ("input", line["x"])
                todo.append([*path, (kind, what, False)])
                path = [*path, (kind, what, True)]
            elif "l" in line:
                yield Leaf(count, tuple(path), line["l"] == 1, parts)
                count, path = count + 1, todo.pop() if todo else []
        except (TypeError, ValueError):
            raise InputError("malformed", expected="a line of a tree", key=f"line {at}") from None


def restrict(problem: Problem, leaf: Leaf) -> Problem:
    """The problem on the domain of a leaf."""
    graph = problem.graph
    names = NodeNumbers(graph, problem.targets())
    nodes = {name: i for i, name in names.of.items()}
    lo, hi = list(problem.region.lo), list(problem.region.hi)
    known: list[Formula] = [problem.assume]
    for kind, what, above in leaf.splits:
        try:
            if kind == "input":
                i, value = int(what[0]), Fraction(what[1])
                side, best = (lo, max) if above else (hi, min)
                side[i] = best(side[i], value)
            else:
                letter, n, k = what
                node = nodes[letter, n]
                known += _sign(problem, node, int(k), above)
        except (TypeError, ValueError, LookupError):
            raise InputError(f"no such split: {what}", key=f"leaf {leaf.number}") from None
    if any(a > b for a, b in zip(lo, hi, strict=True)):
        known.append(Or(()))
        lo, hi = list(problem.region.lo), list(problem.region.hi)
    region = replace(problem.region, lo=tuple(lo), hi=tuple(hi))
    require = problem.require if leaf.parts is None else _part(problem, leaf)
    return replace(problem, region=region, assume=And(tuple(known)), require=require)


def _sign(problem: Problem, node: int, index: int, above: bool) -> list[Formula]:
    """z >= 0 or z <= 0 for the unit of a Relu or Step, and the gate that this decides.

    Sound: at z = 0 both gates are allowed, and the other one belongs to the leaf's sibling.
    """
    graph = problem.graph
    if not isinstance(graph.nodes[node].op, Relu | Step) or index < 0:
        raise LookupError
    z = graph.nodes[node].args[0]
    if index >= graph.nodes[z].size:
        raise LookupError
    form = Form.of({(z, index): 1 if above else -1})
    known: list[Formula] = [Atom(form)]
    for i in graph.ancestors(problem.targets()):
        if isinstance(graph.nodes[i].op, Step) and graph.nodes[i].args[0] == z:
            known.append(Atom(Form.of({(i, index): 1}, -1) if above else Form.of({(i, index): -1})))
    return known


def _part(problem: Problem, leaf: Leaf) -> Formula:
    """The requirement whose negation is the tree's part of the violated claim."""
    violation = negate(problem.require)
    parts = violation.parts if isinstance(violation, Or) else (violation,)
    return negate(Or(tuple(parts[j] for j in leaf.parts or ())))


def _lines(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Numbered lines as objects; gzipped files are recognised by their first bytes."""
    try:
        with path.open("rb") as raw:
            zipped = raw.read(2) == b"\x1f\x8b"
        with gzip.open(path) if zipped else path.open("rb") as file:
            yield from _objects(file)
    except (OSError, EOFError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(f"cannot be read: {reason}", expected="a certificate") from None


def _objects(file: IO[bytes] | gzip.GzipFile) -> Iterator[tuple[int, dict[str, Any]]]:
    number = 0
    while data := file.readline(MAX_LINE + 1):
        number += 1
        try:
            line = None if len(data) > MAX_LINE else json.loads(data)
        except (ValueError, RecursionError):
            line = None
        if not isinstance(line, dict):
            key = f"line {number}"
            raise InputError("not a certificate", expected="one object a line", key=key)
        yield number, line
