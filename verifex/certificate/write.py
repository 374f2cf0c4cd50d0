"""Writing certificates from what a search leaves (see format.md, which is normative).

The writer states how a claim can be proved: facts, splits, multipliers. It is not trusted, and no
value that it computed goes into the file.
"""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from verifex.engine.bounds.facts import BITS, Packed, pack
from verifex.engine.bounds.layout import Layout
from verifex.engine.search.record import Closed, Proof, ProofNode
from verifex.engine.verdict import Witness
from verifex.ir.formula import Atom, atoms
from verifex.ir.graph import Graph
from verifex.ir.ops import Gate, Mul, Relu, Step
from verifex.ir.problem import Problem
from verifex.semantics.parameters import ParameterKind
from verifex.source import QuestionFiles

Line = dict[str, Any]
_KINDS: dict[type, str] = {Relu: "R", Step: "S", Gate: "G", Mul: "M"}


class NodeNumbers:
    """Numbers of the relaxed nodes, in order of creation (format.md, section 3)."""

    def __init__(self, graph: Graph, targets: list[int]) -> None:
        self.graph = graph
        self.of: dict[int, tuple[str, int]] = {}
        self.sizes: dict[str, list[int]] = {k: [] for k in "RSGM"}
        for i in passed_always(graph, targets):
            kind = _KINDS.get(type(graph.nodes[i].op))
            if kind is not None:
                self.of[i] = (kind, len(self.sizes[kind]))
                self.sizes[kind].append(graph.nodes[i].size)
        self._stated = {
            a for i, (kind, _) in self.of.items() for a in graph.nodes[i].args[kind == "G" :]
        }
        self.unit: dict[int, tuple[str, int]] = {}
        for i, name in self.of.items():
            if name[0] in "RS":
                self.unit.setdefault(graph.nodes[i].args[0], name)

    def knows(self, node: int) -> bool:
        """Whether facts can be stated of a node."""
        return node in self._stated

    def argument(self, node: int) -> tuple[str, int, int]:
        """(kind, number, argument) of a relaxed node that has `node` as an argument."""
        for i, (kind, n) in self.of.items():
            args = self.graph.nodes[i].args
            if node in args and not (kind == "G" and args[0] == node):
                return kind, n, args.index(node)
        raise ValueError(f"node {node} is no argument of a relaxed node")


def passed_always(graph: Graph, targets: list[int]) -> list[int]:
    """What the targets depend on, and the Relu on z for every Step on z, older or not.

    What is only multiplied by zeros does not count: readers of the file never see it.
    """
    needed = set(graph.ancestors(targets, zeros=False))
    zs = {graph.nodes[i].args[0] for i in needed if isinstance(graph.nodes[i].op, Step)}
    return sorted(
        needed
        | {i for i, n in enumerate(graph.nodes) if isinstance(n.op, Relu) and n.args[0] in zs}
    )


def proof_lines(problem: Problem, files: QuestionFiles, closed: Closed) -> Iterator[Line]:
    """The lines of a proof."""
    names = NodeNumbers(problem.graph, problem.targets())
    numbers: dict[Atom, int] = {}
    count = 0
    for atom in problem.listed or atoms(problem.violation()):
        numbers.setdefault(atom, count)
        count += 1
    yield {"vxc": 1, **files.hashes(), "nodes": names.sizes, "atoms": count}
    for fact in closed.facts:
        if not names.knows(fact.node):
            continue
        kind, n, argument = names.argument(fact.node)
        yield {
            "f": [kind, n, argument, fact.index, fact.sign],
            **_multipliers(names, pack(fact.params), {}),
        }
    if not closed.proof.nodes:
        yield {"l": 1}
        return
    rows = [numbers[a] for a in closed.atoms]
    yield from _tree(closed.proof, closed.layout, names, rows)


def _tree(proof: Proof, layout: Layout, names: NodeNumbers, rows: list[int]) -> Iterator[Line]:
    """Depth first, with the path of unit splits kept for the multipliers."""
    stack: list[tuple[int, tuple[int, ...]]] = [(0, ())]
    while stack:
        i, path = stack.pop()
        node = proof.nodes[i]
        order = {gate: j for j, gate in enumerate(path)}
        yield from _facts(node, layout, names, order)
        for bound in node.bounds:
            places = _places(bound.params, layout, order)
            if bound.exact:
                raise ValueError("exact leaves need format 2")
            row = rows[bound.row] if bound.row >= 0 else -1
            line = {"b": row, **_multipliers(names, bound.params, places)}
            more = [[rows[k], *_dyadic(m)] for k, m in sorted(bound.more.items())]
            yield {**line, "a": more} if more else line
        if node.children is None:
            yield {"l": 1 if node.closed else 0}
            continue
        first = proof.nodes[node.children[0]]
        yield _split(first, layout, names)
        below = path if first.gate is None else (*path, first.gate)
        stack += [(node.children[1], below), (node.children[0], below)]


def _facts(
    node: ProofNode, layout: Layout, names: NodeNumbers, order: dict[int, int]
) -> Iterator[Line]:
    """The facts that are put in at a node of the tree."""
    for z, k, sign in [] if node.plain is None else node.plain.tolist():
        if names.knows(z):
            yield {"f": [*names.argument(z), k, sign]}
    for facts in filter(lambda f: names.knows(f.node), node.facts):
        for (k, sign), splits in zip(facts.rows.tolist(), facts.splits, strict=True):
            places = _places(splits, layout, order)
            multipliers = _multipliers(names, {**facts.shared, **splits}, places)
            yield {"f": [*names.argument(facts.node), k, sign], **multipliers}


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


def _split(child: ProofNode, layout: Layout, names: NodeNumbers) -> Line:
    if child.gate is None:
        return {"x": [child.dimension, str(Fraction(child.at))]}
    z, k = layout.name(child.gate)
    if z not in names.unit:
        raise ValueError(f"the proof splits on node {z}, on which the claim does not depend")
    kind, n = names.unit[z]
    return {"s": [kind, n, k]}


def _multipliers(names: NodeNumbers, params: Packed, places: dict[tuple[int, int], int]) -> Line:
    """The multiplier keys of a line."""
    fractions: dict[str, str] = {}
    splits: list[list[int]] = []
    rows: list[list[int]] = []
    for (kind, node), values in params.items():
        if isinstance(values, dict):
            target = splits if kind is ParameterKind.BETA else rows
            for k, value in values.items():
                place = places.get((node, k)) if kind is ParameterKind.BETA else k
                if place is not None and value > 0:
                    target.append([place, *_dyadic(value)])
        elif node in names.of:
            letter, n = names.of[node]
            if kind is ParameterKind.MIX_ABOVE:
                letter = {"G": "H", "M": "N"}[letter]
            fractions[f"{letter}{n}"] = _bytes(values)
    line: Line = {}
    if fractions:
        line["p"] = fractions
    if splits:
        line["z"] = sorted(splits)
    if rows:
        line["r"] = sorted(rows)
    return line


def _bytes(values: Any) -> str:
    """Base64 of bytes 0..128, trailing zeros left out."""
    scaled = np.asarray(values, dtype=np.uint8)
    if scaled.size and int(scaled.max()) > 1 << BITS:
        raise ValueError("a fraction above 1 in a proof")
    return base64.b64encode(scaled.tobytes().rstrip(b"\0")).decode()


def _dyadic(value: float | Fraction) -> tuple[int, int]:
    """(m, e) with value = m * 2**e and m odd."""
    numerator, denominator = value.as_integer_ratio()
    trailing = (numerator & -numerator).bit_length() - 1
    return numerator >> trailing, trailing - (denominator.bit_length() - 1)


def witness_lines(files: QuestionFiles, witness: Witness) -> Iterator[Line]:
    """The one line of a refutation."""
    yield {"vxc": 1, **files.hashes(), "witness": [str(v) for v in witness.point]}


def write(path: Path, lines: Iterator[Line]) -> int:
    """Write lines as they come (gzipped for a name that ends in .gz); the number of bytes.

    Nothing is left of a file that could not be finished.
    """
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "wt", encoding="utf-8", newline="\n") as file:
        try:
            for line in lines:
                file.write(json.dumps(line, separators=(",", ":")) + "\n")
        except BaseException:
            path.unlink(missing_ok=True)
            raise
    return path.stat().st_size
