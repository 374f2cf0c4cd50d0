"""Deciding claims about decision trees: best first over boxes, split at the trees' thresholds.

On a box every tree reaches some of its leaves. The least of their weights, summed over the trees,
bounds an atom of the claim; with the box cut at a threshold, fewer leaves are reached. Once every
tree has one leaf left, the bound is the value. Cuts are compared exactly beforehand, so that boxes
are whole numbers here, and only weights are floats; what they leave open near 0 is decided in whole
numbers too.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from verifex.engine.bounds.layout import Layout
from verifex.engine.budget import Budget
from verifex.engine.falsify.witness import refute
from verifex.engine.margin import batch_margin
from verifex.engine.search.record import AtomBound, Closed, Proof, ProofNode
from verifex.engine.search.trees.branching import Branching
from verifex.engine.search.trees.domains import (
    ROWS,
    CutBoxes,
    bounds,
    exactly_false,
    joined,
    parts,
    whole,
)
from verifex.engine.search.trees.ground import Flags, Ground, ground
from verifex.engine.search.trees.points import as_floats, dive, point_in
from verifex.engine.verdict import Witness
from verifex.ir.exact import FloatArray
from verifex.ir.problem import Problem
from verifex.semantics.evaluate import evaluate_float

WIDTH = 64
"""Boxes that are split together."""

REPLAYS = 200


@dataclass(frozen=True)
class TreesResult:
    """`closed` is a finished proof; `lower` bounds the margin of the claim from below by floats;
    `stuck` boxes can be split no further and are neither closed nor a witness."""

    closed: Closed | None
    witness: Witness | None
    lower: float
    boxes: int
    leaves: int
    stuck: int
    nearest: FloatArray | None


def decide_trees(
    problem: Problem, budget: Budget, log: Callable[[dict[str, Any]], None] | None = None
) -> TreesResult:
    """Search between the cuts. Raises UnsupportedError where the claim is not of this kind."""
    layout = Layout(problem.graph, tuple(problem.targets()))
    found = ground(problem)
    if found is None:
        empty = Proof([ProofNode(-1, closed="empty")])
        return TreesResult(Closed(layout, [], empty, []), None, 0.0, 1, 1, 0, None)
    search = TreeSearch(problem, found, budget, log)
    search.run()
    closed = None
    if search.finished:
        closed = Closed(layout, [], search.proof, found.atoms)
    return TreesResult(
        closed, search.witness, search.least, len(search.proof.nodes), search.proof.leaves,
        search.stuck, search.nearest)


@dataclass
class TreeSearch:
    """One run; `finished` where every box was closed. `least` is the lowest bound of a box that
    was left open."""

    problem: Problem
    ground: Ground
    budget: Budget
    log: Callable[[dict[str, Any]], None] | None = None
    witness: Witness | None = None
    nearest: FloatArray | None = None
    stuck: int = 0
    least: float = np.inf
    proof: Proof = field(default_factory=lambda: Proof([ProofNode(-1)]))
    _heap: list[tuple[float, int, CutBoxes, int]] = field(default_factory=list)
    _tried: int = 0
    _worst: float = np.inf

    def __post_init__(self) -> None:
        self.branching = Branching(self.ground)
        self._violation = self.problem.violation()
        self._base = _Base(self.problem, self.ground)

    @property
    def finished(self) -> bool:
        return self.witness is None and not self._heap and not self.stuck

    def run(self) -> None:
        """Search until everything is closed, a witness is found, or the budget is spent."""
        self._digest(whole(self.ground), np.zeros(1, dtype=bool))
        while self._heap and self.witness is None and not self.budget.spent:
            count = min(WIDTH, len(self._heap))
            taken = [heapq.heappop(self._heap) for _ in range(count)]
            self._split(joined([entry[2] for entry in taken]), np.array([e[3] for e in taken]))
            self._report()
        if self._heap:
            self.least = min(self.least, self._heap[0][0])

    def _report(self) -> None:
        if self.log is not None:
            worst = self._heap[0][0] if self._heap else None
            self.log({"event": "trees", "t": round(self.budget.elapsed, 4),
                      "domains": len(self.proof.nodes), "open": len(self._heap), "bound": worst})

    def _split(self, domains: CutBoxes, atom: NDArray[np.intp]) -> None:
        """Split every domain at the best cut for the bound of its atom."""
        self._try_point(domains, 0, int(atom[0]))
        if self.witness is not None:
            return
        base = self._base.of(domains, atom)
        chosen = self.branching.choose(domains, atom, base)
        for k in np.flatnonzero(chosen < 0).tolist():
            self._end(domains, k, int(atom[k]))
        kept = np.flatnonzero(chosen >= 0)
        if not kept.size or self.witness is not None:
            return
        domains, chosen = domains.take(kept), chosen[kept]
        place, rank = self.branching.place[chosen], self.branching.rank[chosen]
        halves, empty = parts(self.ground, domains, place, rank)
        halves.node = self._record(domains.node, place, rank)
        self._digest(halves, empty)

    def _record(
        self, node: NDArray[np.intp], place: NDArray[np.intp], rank: NDArray[np.intp]
    ) -> NDArray[np.intp]:
        """The nodes of both parts of every split."""
        whole_inputs = self.problem.region.integers.union(*self.problem.region.one_hot)
        made: list[int] = []
        for parent, k, r in zip(node.tolist(), place.tolist(), rank.tolist(), strict=True):
            one = self.ground.inputs[k]
            at, above = one.cuts[r]
            if one.flat in whole_inputs:
                child = ProofNode(parent, dimension=one.flat, at=float(at - 1), whole=True)
            else:
                child = ProofNode(parent, dimension=one.flat, cut=(at, above))
            pair = self.proof.add(child), self.proof.add(_copy(child))
            self.proof.nodes[parent].children = pair
            made += pair
        return np.array(made, dtype=np.intp)

    # --- bounding -------------------------------------------------------------------------------

    def _digest(self, domains: CutBoxes, empty: Flags) -> None:
        """Bound the open atoms of all domains; close what closes, keep the rest."""
        counts = self.ground.counts
        value = np.full(domains.false.shape, np.nan)
        open_ = counts.open(domains.false) & ~empty[:, None]
        rows, atoms_ = np.nonzero(open_)
        for piece in _pieces(len(rows), self.ground.leaves):
            row, atom = rows[piece], atoms_[piece]
            base = self._base.of(domains.take(row), atom)
            found = bounds(self.ground, domains.alive[row], atom, base).value
            value[row, atom] = found
            for r, a in zip(*self._false(domains, row, atom, found), strict=True):
                domains.false[r, a] = True
                bound = float(min(value[r, a], 1e300))
                self.proof.nodes[int(domains.node[r])].bounds.append(AtomBound(int(a), bound, {}))
        closed = ~counts.possible(domains.false) | empty
        for k in np.flatnonzero(closed).tolist():
            self.proof.nodes[int(domains.node[k])].closed = "empty" if empty[k] else "bounds"
        left = np.flatnonzero(~closed)
        if left.size:
            self._keep(domains.take(left), value[left])

    def _false(
        self, domains: CutBoxes, row: NDArray[np.intp], atom: NDArray[np.intp], found: FloatArray
    ) -> tuple[list[int], list[int]]:
        """The rows that are false, by floats where they are clear, else in whole numbers."""
        slack = self.ground.slack[atom] + self._base.slack[atom]
        false = found > slack
        near = np.flatnonzero(~false & (found >= -slack) & ~self._base.depends[atom])
        for k in near.tolist():
            false[k] = exactly_false(self.ground, domains.alive[row[k]], int(atom[k]))
        return row[false].tolist(), atom[false].tolist()

    def _keep(self, domains: CutBoxes, value: FloatArray) -> None:
        """Put domains into the queue, each with the atom that its next split is chosen for."""
        necessary = self.ground.counts.necessary(domains.false) & ~domains.false
        open_ = self.ground.counts.open(domains.false)
        some = necessary.any(axis=1)
        # Any necessary atom closes the domain: the one that is nearest. Else all have to go.
        nearest = np.where(necessary & np.isfinite(value), value, -np.inf).argmax(axis=1)
        hardest = np.where(open_ & np.isfinite(value), value, np.inf).argmin(axis=1)
        atom = np.where(some, nearest, hardest)
        for k in range(len(domains)):
            bound = float(value[k, atom[k]])
            one = domains.take(np.array([k]))
            heapq.heappush(self._heap, (bound, int(one.node[0]), one, int(atom[k])))

    # --- points ---------------------------------------------------------------------------------

    def _end(self, domains: CutBoxes, k: int, atom: int) -> None:
        """A box on which every tree is constant, and which is not closed."""
        if not self._try_point(domains, k, atom, last=True):
            self.stuck += 1
            self.least = min(self.least, float(domains.bound[k]))

    def _try_point(self, domains: CutBoxes, k: int, atom: int, last: bool = False) -> bool:
        """Look for a violation inside a domain; True where there is one."""
        if self._tried > REPLAYS and not last:
            return False
        here = dive(self.ground, domains, k, atom)
        near = bool(self.problem.region.balls or self.problem.region.rows)
        points = [point_in(self.problem, self.ground, here, side) for side in {near, False}]
        floats = np.stack([as_floats(point) for point in points])
        values = evaluate_float(self.problem.graph, floats, self.problem.targets())
        score = np.asarray(batch_margin(self._violation, values, np))
        for point, at, found in zip(points, floats, score.tolist(), strict=True):
            if -found < self._worst:
                self._worst, self.nearest = -found, at
            # Floats move points across thresholds: at the end of a search they do not decide.
            if found >= -1e-9 or last:
                self._tried += 1
                self.witness = self.witness or refute(self.problem, point)
        return self.witness is not None


class _Base:
    """What inputs themselves add to the bounds of atoms, where a claim reads them."""

    def __init__(self, problem: Problem, ground_: Ground) -> None:
        region, atoms_ = problem.region, len(ground_.atoms)
        places = {one.flat: k for k, one in enumerate(ground_.inputs)}
        self.depends = np.zeros(atoms_, dtype=bool)
        self.slack = np.zeros(atoms_)
        self._terms: list[tuple[int, FloatArray, FloatArray, FloatArray]] = []
        for flat, factors in ground_.others.items():
            factor = np.array([float(f) for f in factors])
            low, high = [float(region.lo[flat])], [float(region.hi[flat])]
            place = places.get(flat, -1)
            if place >= 0:
                at = [float(cut.at) for cut in ground_.inputs[place].cuts]
                low, high = low + at, at + high
            self._terms.append((place, factor, np.array(low), np.array(high)))
            self.depends |= factor != 0
            self.slack += 1e-12 * np.abs(factor) * max(map(abs, (*low, *high)))

    def of(self, domains: CutBoxes, atom: NDArray[np.intp]) -> FloatArray:
        """For rows (domain, atom) side by side."""
        total = np.zeros(len(domains))
        for place, factor, low, high in self._terms:
            own = factor[atom]
            least = low[domains.surely[:, place]] if place >= 0 else low[0]
            most = high[domains.possibly[:, place]] if place >= 0 else high[0]
            total += np.where(own > 0, own * least, own * most)
        return total


def _pieces(rows: int, leaves: int) -> Iterator[slice]:
    step = max(1, ROWS // max(leaves, 1))
    return (slice(at, at + step) for at in range(0, rows, step))


def _copy(node: ProofNode) -> ProofNode:
    return ProofNode(
        node.parent, dimension=node.dimension, at=node.at, whole=node.whole, cut=node.cut)

