"""Writing certificates from what a search leaves (see format.md, which is normative).

The writer states how a claim can be proved: facts, splits, multipliers. It is not trusted, and no
value that it computed goes into the file.
"""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Iterator, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from verifex.certificate.lines import FORMAT
from verifex.certificate.names import CertificateNames
from verifex.engine.bounds.facts import BITS, Packed, pack
from verifex.engine.bounds.layout import Layout
from verifex.engine.search.record import AtomBound, Closed, Proof, ProofNode
from verifex.engine.verdict import Witness
from verifex.ir.problem import Problem
from verifex.limits.checkpoint import checkpoint
from verifex.semantics.parameters import ParameterKind
from verifex.source import QuestionFiles

Line = dict[str, Any]
_FRACTIONS = {
    ParameterKind.ALPHA: "alpha", ParameterKind.TIE: "tie", ParameterKind.MIX_BELOW: "below",
    ParameterKind.MIX_ABOVE: "above",
}


def header(problem: Problem, files: QuestionFiles) -> Line:
    """What every certificate begins with."""
    line: Line = {"vxc": FORMAT, **files.hashes()}
    if problem.point is not None:
        line["x0"] = [str(value) for value in problem.point]
    return line


def witness_lines(problem: Problem, files: QuestionFiles, witness: Witness) -> Iterator[Line]:
    """The one line of a refutation."""
    yield {**header(problem, files), "witness": [str(v) for v in witness.point]}


FINE = (512, 576, BITS)
"""A precision for claims with margins that the checker's usual grid cannot see: bits of the grid of
bounds, of coefficients, and of fractions (format.md, section 1)."""


def proof_lines(
    problem: Problem, files: QuestionFiles, closed: Closed, *, fine: bool = False
) -> Iterator[Line]:
    """The lines of a proof; with `fine`, to be checked with more digits than usual."""
    asked: Line = {"precision": list(FINE)} if fine else {}
    return _ProofWriter(problem, closed).lines({**header(problem, files), **asked})


class _ProofWriter:
    """Writes one proof, depth first. Names of elements are written before they are first used."""

    def __init__(self, problem: Problem, closed: Closed) -> None:
        self.closed, self.names = closed, CertificateNames(problem)
        self.numbers: dict[int, int] = {}
        for atom in closed.atoms:
            self.numbers.setdefault(self.names.of_atom(atom), len(self.numbers))

    def lines(self, head: Line) -> Iterator[Line]:
        """All lines, the header first."""
        closed, names = self.closed, self.names
        yield {**head, "atoms": names.packed(self.numbers)}
        for fact in closed.facts:
            line = self._fact(fact.node, fact.index, fact.sign, pack(fact.params), {})
            yield from self._with_names(line)
        if not closed.proof.nodes:
            yield {"leaf": 1}
            return
        for line in self._tree(closed.proof, closed.layout):
            yield from self._with_names(line)

    def _with_names(self, line: Line | None) -> Iterator[Line]:
        yield from self.names.new_groups()
        if line is not None:
            yield line

    def _tree(self, proof: Proof, layout: Layout) -> Iterator[Line | None]:
        """The path of splits of pre-activations is kept for their multipliers."""
        rows = [self.numbers[self.names.of_atom(atom)] for atom in self.closed.atoms]
        stack: list[tuple[int, tuple[int, ...]]] = [(0, ())]
        while stack:
            i, path = stack.pop()
            node = proof.nodes[i]
            order = {gate: j for j, gate in enumerate(path)}
            yield from self._facts(node, layout, order)
            for bound in node.bounds:
                yield self._bound(bound, rows, layout, order)
            if node.children is None:
                yield {"leaf": 1 if node.closed else 0}
                continue
            first = proof.nodes[node.children[0]]
            yield self._split(first, layout)
            below = path if first.gate is None else (*path, first.gate)
            stack += [(node.children[1], below), (node.children[0], below)]

    def _facts(
        self, node: ProofNode, layout: Layout, order: dict[int, int]
    ) -> Iterator[Line | None]:
        """The facts that are put in at a node of the tree."""
        plain: dict[tuple[int, int], list[int]] = {}
        for z, k, sign in [] if node.plain is None else node.plain.tolist():
            plain.setdefault((z, sign), []).append(k)
        for (z, sign), elements in plain.items():
            yield self._fact(z, elements, sign, {}, {})
        for facts in node.facts:
            for (k, sign), splits in zip(facts.rows.tolist(), facts.splits, strict=True):
                places = _places(splits, layout, order)
                yield self._fact(facts.node, k, sign, {**facts.shared, **splits}, places)

    def _fact(
        self, node: int, index: int | list[int], sign: int, params: Packed,
        places: Mapping[tuple[int, int], int],
    ) -> Line | None:
        """A fact (or several), unless it is of a node that no relaxed node has as an argument."""
        if not self.names.is_argument(node):
            return None
        return {"fact": [self.names.group(node), index, sign], **self._multipliers(params, places)}

    def _bound(
        self, bound: AtomBound, rows: list[int], layout: Layout, order: dict[int, int]
    ) -> Line:
        row = rows[bound.row] if bound.row >= 0 else -1
        places = _places(bound.params, layout, order)
        line = {"bound": row, **self._multipliers(bound.params, places)}
        more = [[rows[k], *_number(m)] for k, m in sorted(bound.more.items())]
        line |= {"atoms": more} if more else {}
        return {**line, "exact": 1} if bound.exact else line

    def _split(self, child: ProofNode, layout: Layout) -> Line:
        if child.gate is None:
            if child.whole:
                return {"whole": [child.dimension, int(child.at)]}
            if child.cut is not None:
                at, above = child.cut
                return {"cut": [child.dimension, str(at), int(above)]}
            return {"input": [child.dimension, str(Fraction(child.at))]}
        z, k = layout.name(child.gate)
        return {"split": [self.names.group(z), k]}

    def _multipliers(self, params: Packed, places: Mapping[tuple[int, int], int]) -> Line:
        """The multiplier keys of a line."""
        fractions: dict[str, str] = {}
        splits: list[list[int | str]] = []
        rows: list[list[int | str]] = []
        for (kind, node), values in params.items():
            if isinstance(values, Mapping):
                target = splits if kind is ParameterKind.BETA else rows
                for k, value in values.items():
                    place = places.get((node, k)) if kind is ParameterKind.BETA else k
                    if place is not None and value > 0:
                        target.append([place, *_number(value)])
            elif kind in _FRACTIONS and self.names.is_relaxed(node):
                if kind is ParameterKind.MIX_ABOVE:
                    values = self.names.in_order(node, values, 1 << BITS)
                fractions[f"{_FRACTIONS[kind]} {self.names.group(node)}"] = _bytes(values)
        line: Line = {"fractions": fractions} if fractions else {}
        for key, weighted in (("splits", splits), ("rows", rows)):
            if weighted:
                line[key] = sorted(weighted, key=lambda entry: int(entry[0]))
        return line


def _places(
    params: Packed, layout: Layout, order: dict[int, int]
) -> dict[tuple[int, int], int]:
    """(pre-activation, element) -> the number of its split on the path, where it has one."""
    return {
        (z, k): order[layout.offsets[z] + k]
        for (kind, z), values in params.items()
        if kind is ParameterKind.BETA
        for k in values
        if layout.offsets[z] + k in order
    }


def _bytes(values: NDArray[np.uint8]) -> str:
    """Base64 of bytes 0..128, trailing zeros left out."""
    scaled = np.asarray(values, dtype=np.uint8)
    if scaled.size and int(scaled.max()) > 1 << BITS:
        raise ValueError("a fraction above 1 in a proof")
    return base64.b64encode(scaled.tobytes().rstrip(b"\0")).decode()


def _number(value: float | Fraction) -> list[int | str]:
    """(m, e) with value = m * 2**e and m odd, or the fraction as text."""
    numerator, denominator = value.as_integer_ratio()
    if denominator & denominator - 1:
        return [f"{numerator}/{denominator}"]
    trailing = (numerator & -numerator).bit_length() - 1
    return [numerator >> trailing, trailing - (denominator.bit_length() - 1)]


def write(path: Path, lines: Iterator[Line]) -> int:
    """Write lines as they come (gzipped for a name that ends in .gz); the number of bytes.

    Nothing is left of a file that could not be finished.
    """
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "wt", encoding="utf-8", newline="\n") as file:
        try:
            for line in lines:
                checkpoint()
                file.write(json.dumps(line, separators=(",", ":")) + "\n")
        except BaseException:
            path.unlink(missing_ok=True)
            raise
    return path.stat().st_size
