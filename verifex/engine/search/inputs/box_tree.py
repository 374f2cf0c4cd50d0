"""The record of a search over input boxes: what was split where, and what closed each leaf.

Kept in flat lists while the search runs; only a finished tree becomes a `Proof`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from verifex.engine.bounds.facts import Packed
from verifex.engine.bounds.layout import Layout
from verifex.engine.search.inputs.box_claim import Judgement
from verifex.engine.search.inputs.dense_bounds import Boxes
from verifex.engine.search.record import AtomBound, Closed, Proof, ProofNode
from verifex.ir.exact import FloatArray
from verifex.ir.formula import Atom
from verifex.semantics.parameters import REGION_ROWS, Parameter, ParameterKind

Index = NDArray[np.intp]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class BoxMultipliers:
    """Multipliers > 0 of what a bound of an atom rests on: of the signs of split units, of the
    region's rows, and of other atoms that a violation needs as well."""

    units: Mapping[int, float] = field(default_factory=dict)
    rows: Mapping[int, float] = field(default_factory=dict)
    atoms: Mapping[int, float] = field(default_factory=dict)


Rows = NDArray[np.int32]
"""(k, 3): node, element, sign of bounds that a backward pass without multipliers gives."""


@dataclass(frozen=True)
class ClosedPart:
    """A box, or a part of it, that is closed by exact `bounds`, or else by those of its `parts`:
    where unit `gate` is >= 0, and where it is <= 0."""

    bounds: list[AtomBound]
    gate: int = -1
    parts: tuple[ClosedPart, ClosedPart] | None = None


@dataclass
class BoxTree:
    """Node k is split at `at[k]` along input `side[k]`, or a leaf where `side[k]` is -1.

    The part x >= at is node `first[k]`, the part x <= at the one after it; of `whole` inputs the
    first is the part x >= at + 1. Where `side[k]` is -2 - g it is split on unit g instead: first
    the part where that is >= 0. `closed` says of a leaf which atoms close it, each with multipliers
    of units on the path; `hollow` are leaves that have no point by their one-hot groups. `exact`
    are bounds in exact arithmetic, which hold in a node's subtree, and `beyond` the atoms on single
    inputs that a split made false there.
    """

    side: list[int] = field(default_factory=list)
    at: list[float] = field(default_factory=list)
    first: list[int] = field(default_factory=list)
    depth: list[int] = field(default_factory=list)
    facts: dict[int, Rows] = field(default_factory=dict)
    closed: dict[int, dict[int, BoxMultipliers]] = field(default_factory=dict)
    whole: frozenset[int] = frozenset()
    hollow: set[int] = field(default_factory=set)
    exact: dict[int, list[AtomBound]] = field(default_factory=dict)
    beyond: dict[int, list[int]] = field(default_factory=dict)

    @property
    def count(self) -> int:
        return len(self.side)

    def grow(self, depths: list[int]) -> Index:
        """New leaves."""
        start, count = self.count, len(depths)
        self.depth += depths
        self.side += [-1] * count
        self.at += [0.0] * count
        self.first += [-1] * count
        return np.arange(start, start + count)

    def split(self, nodes: Index, side: Index, at: FloatArray) -> Index:
        """Split leaves; their children, two by two, the part x >= at first."""
        start = self.count
        triples = zip(nodes.tolist(), side.tolist(), at.tolist(), strict=True)
        for j, (node, i, value) in enumerate(triples):
            self.side[node], self.at[node], self.first[node] = i, value, start + 2 * j
        return self.grow([self.depth[n] + 1 for n in nodes.tolist() for _ in range(2)])

    def settle(self, node: int, part: ClosedPart) -> None:
        """Put a leaf in that was closed in exact arithmetic."""
        self.exact[node] = part.bounds
        if part.parts is None:
            self.closed[node] = {}
            return
        places = self.split(np.array([node]), np.array([-2 - part.gate]), np.zeros(1))
        for child, below in zip(places.tolist(), part.parts, strict=True):
            self.settle(child, below)

    def note(
        self,
        nodes: Index,
        judged: Judgement,
        boxes: Boxes,
        shared: Bools,
        used: Mapping[tuple[int, int], BoxMultipliers],
        passed: Bools,
    ) -> None:
        """Keep all facts of boxes that are `shared` or closed, of these also what they rest on,
        apart from atoms that are false by their thresholds (B, A), which `beyond` has.

        `used` are the multipliers of (box, atom).
        """
        keep = judged.closed | shared
        for j, rows in _by_box(boxes, keep).items():
            self.facts[int(nodes[j])] = rows
        for j in np.flatnonzero(judged.closed).tolist():
            bounded = judged.rests[j] & ~passed[j]
            rests = [] if boxes.empty[j] else np.flatnonzero(bounded).tolist()
            self.closed[int(nodes[j])] = {k: used.get((j, k), BoxMultipliers()) for k in rests}

    def pass_thresholds(self, nodes: Index, atoms: Bools) -> None:
        """Keep the atoms (B, A) that are false from these nodes on by what single inputs are."""
        for j in np.flatnonzero(atoms.any(axis=1)).tolist():
            self.beyond[int(nodes[j])] = np.flatnonzero(atoms[j]).tolist()

    def drop(self, nodes: Index) -> None:
        """Leaves that have no point: nothing else need be said of them."""
        for node in nodes.tolist():
            self.hollow.add(node)
            self.facts.pop(node, None)

    def proof(self, layout: Layout) -> Proof:
        """The tree as the record that certificates are written from."""
        proof = Proof([ProofNode(parent=-1) for _ in range(self.count)])
        for k, (i, first) in enumerate(zip(self.side, self.first, strict=True)):
            node = proof.nodes[k]
            node.plain = self.facts.get(k)
            node.bounds += [AtomBound(row, 0.0, {}) for row in self.beyond.get(k, ())]
            node.bounds += self.exact.get(k, [])
            if first < 0:
                if k not in self.closed:
                    continue
                node.closed = "empty" if k in self.hollow else "bounds"
                for row, used in self.closed[k].items():
                    node.bounds.append(AtomBound(row, 0.0, _packed(layout, used), used.atoms))
                continue
            node.children = (first, first + 1)
            for child, sign in zip(node.children, (1, -1), strict=True):
                below = proof.nodes[child]
                below.parent = k
                if i >= 0:
                    below.dimension, below.at, below.whole = i, self.at[k], i in self.whole
                else:
                    below.gate, below.sign = -2 - i, sign
        return proof

    def record(self, layout: Layout, atoms: list[Atom]) -> Closed:
        """The whole as the record of a proof; a leaf that is not closed is open there."""
        return Closed(layout, [], self.proof(layout), atoms)


def _packed(layout: Layout, used: BoxMultipliers) -> Packed:
    out: dict[int, dict[int, float]] = {}
    for gate, value in used.units.items():
        z, k = layout.name(gate)
        out.setdefault(z, {})[k] = value
    packed: Packed = {Parameter(ParameterKind.BETA, z): values for z, values in out.items()}
    return {**packed, REGION_ROWS: dict(used.rows)} if used.rows else packed


def _by_box(boxes: Boxes, wanted: Bools) -> dict[int, Rows]:
    """The facts of the wanted boxes, each in order of derivation."""
    if not boxes.facts:
        return {}
    box = np.concatenate([f.box for f in boxes.facts])
    keep = wanted[box]
    rows = np.concatenate(
        [np.stack([np.full(f.box.shape, f.node), f.element, f.sign], axis=1) for f in boxes.facts]
    ).astype(np.int32)
    box, rows = box[keep], rows[keep]
    order = np.argsort(box, kind="stable")
    box, rows = box[order], rows[order]
    ends = np.flatnonzero(np.diff(box)) + 1
    first = box[np.concatenate([[0], ends])] if box.size else box
    return dict(zip(first.tolist(), np.split(rows, ends), strict=True)) if box.size else {}
