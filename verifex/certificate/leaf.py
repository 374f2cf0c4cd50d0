"""A leaf of a certificate as a question of its own: may the claim be violated on the leaf's domain?

The splits on the way to the leaf become a smaller box (input splits) and assumptions (unit splits:
the sign of z, and the value of its gate where it has one). Bounds and multipliers are left out: the
question is for another solver, and has no answer exactly where the leaf is rightly closed.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

from verifex.certificate.lines import numbered_lines
from verifex.certificate.names import passed_always
from verifex.certificate.write import Line
from verifex.errors import InputError
from verifex.ir.fingerprints import WIDTH, GraphFingerprints
from verifex.ir.formula import And, Atom, Form, Formula, Or, negate
from verifex.ir.ops import Relu, Step
from verifex.ir.problem import Problem
from verifex.source import QuestionFiles


@dataclass(frozen=True)
class LeafSplit:
    """One split on the way to a leaf: `subject` is at least `at` (above), or at most.

    The subject is a flat input, or (if `named`) the fingerprint of an element.
    """

    subject: int
    at: Fraction
    above: bool
    named: bool = False


@dataclass(frozen=True)
class Leaf:
    """A leaf's number, the splits that lead to it, whether it is marked closed, and the disjuncts
    that its tree refutes (None: all)."""

    number: int
    splits: tuple[LeafSplit, ...]
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
    numbered = numbered_lines(certificate)
    try:
        _, header = next(numbered)
    except StopIteration:
        raise InputError(
            "not a certificate", expected="one object a line", key="line 1") from None
    except OSError as error:
        reason = error.strerror or str(error)
        raise InputError(f"cannot be read: {reason}", expected="a certificate") from None
    wanted = {} if files is None else files.hashes()
    for key, value in wanted.items():
        if header.get(key) != value:
            raise InputError("made for another file", expected=str(value), key=key)
    if "witness" in header:
        raise InputError("a refutation has no leaves", expected="a proof", key="witness")
    yield from _LeafReader().leaves(numbered)


class _LeafReader:
    """The splits of a certificate's trees, and the names of elements given so far."""

    def __init__(self) -> None:
        self.groups: list[list[int]] = []

    def leaves(self, numbered: Iterator[tuple[int, Line]]) -> Iterator[Leaf]:
        """The leaves of the lines after the header."""
        count, path, todo = 0, list[LeafSplit](), list[list[LeafSplit]]()
        parts: tuple[int, ...] | None = None
        for at, line in numbered:
            try:
                if "group" in line:
                    self.groups.append(_fingerprints(line["group"]))
                elif "parts" in line:
                    parts, path = tuple(int(j) for j in line["parts"]), []
                elif "leaf" in line:
                    yield Leaf(count, tuple(path), line["leaf"] == 1, parts)
                    count, path = count + 1, todo.pop() if todo else []
                elif line.keys() & {"split", "input", "whole"}:
                    above, below = self._children(line)
                    todo.append([*path, below])
                    path = [*path, above]
            except (TypeError, ValueError, LookupError):
                raise InputError(
                    "malformed", expected="a line of a tree", key=f"line {at}") from None

    def _children(self, line: Line) -> tuple[LeafSplit, LeafSplit]:
        if "split" in line:
            group, element, *rest = line["split"]
            name, at = self.groups[group][element], Fraction(rest[0] if rest else 0)
            return LeafSplit(name, at, True, True), LeafSplit(name, at, False, True)
        subject, value = line.get("input") or line["whole"]
        step = 1 if "whole" in line else 0
        at = Fraction(value)
        return LeafSplit(int(subject), at + step, True), LeafSplit(int(subject), at, False)


def _fingerprints(text: str) -> list[int]:
    data = base64.b64decode(text, validate=True)
    return [int.from_bytes(data[k : k + WIDTH], "little") for k in range(0, len(data), WIDTH)]


def restrict(problem: Problem, leaf: Leaf) -> Problem:
    """The problem on the domain of a leaf."""
    lo, hi = list(problem.region.lo), list(problem.region.hi)
    known: list[Formula] = [problem.assume]
    elements = _elements(problem) if any(split.named for split in leaf.splits) else {}
    for split in leaf.splits:
        if split.named and split.subject in elements:
            known += _sign(problem, *elements[split.subject], split)
        elif not split.named and 0 <= split.subject < problem.region.size:
            side, best = (lo, max) if split.above else (hi, min)
            side[split.subject] = best(side[split.subject], split.at)
        else:
            raise InputError(f"no such split: {split.subject}", key=f"leaf {leaf.number}")
    if any(a > b for a, b in zip(lo, hi, strict=True)):
        known.append(Or(()))
        lo, hi = list(problem.region.lo), list(problem.region.hi)
    region = replace(problem.region, lo=tuple(lo), hi=tuple(hi))
    require = problem.require if leaf.parts is None else _part(problem, leaf)
    return replace(problem, region=region, assume=And(tuple(known)), require=require,
                   refutation=None)


def _elements(problem: Problem) -> dict[int, tuple[int, int]]:
    """Node and element of every pre-activation that the claim depends on, by fingerprint."""
    graph, names = problem.graph, GraphFingerprints(problem.graph)
    found: dict[int, tuple[int, int]] = {}
    for i in passed_always(problem):
        if isinstance(graph.nodes[i].op, Relu | Step):
            z = graph.nodes[i].args[0]
            for k, name in enumerate(names.of(z)):
                found.setdefault(name, (z, k))
    return found


def _sign(problem: Problem, z: int, index: int, split: LeafSplit) -> list[Formula]:
    """z >= at or z <= at, and the gate that this decides if it is a split at 0.

    Sound: at z = 0 both gates are allowed, and the other one belongs to the leaf's sibling.
    """
    graph, sign = problem.graph, 1 if split.above else -1
    known: list[Formula] = [Atom(Form.of({(z, index): sign}, -sign * split.at))]
    if split.at != 0:
        return known
    for i in graph.ancestors(problem.targets()):
        if isinstance(graph.nodes[i].op, Step) and graph.nodes[i].args[0] == z:
            gate = Form.of({(i, index): 1}, -1) if split.above else Form.of({(i, index): -1})
            known.append(Atom(gate))
    return known


def _part(problem: Problem, leaf: Leaf) -> Formula:
    """The requirement whose negation is the tree's part of the violated claim."""
    violation = negate(problem.require)
    parts = violation.parts if isinstance(violation, Or) else (violation,)
    return negate(Or(tuple(parts[j] for j in leaf.parts or ())))
