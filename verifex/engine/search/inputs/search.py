"""Deciding a claim on outputs by splitting the input box: for networks of few inputs.

Best first over boxes, many at once, with the bounds of `dense_bounds`: a closed box is closed in
outward-rounded arithmetic. Where to split a box is in `box_sides`. That rule closes in hundreds of
boxes what the usual one (the bound's own coefficients times the widths) leaves open after a
million, for it does not starve inputs whose effect is hidden in the relaxations.

A query whose clauses speak of ranges of inputs is taken apart first, at the ends of the ranges
(`box_thresholds`); only the atoms that are still possible on a box are bounded there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from verifex.engine.bounds.layout import Layout
from verifex.engine.bounds.rounding import Rounding
from verifex.engine.budget import Budget, Pace
from verifex.engine.falsify.witness import refute
from verifex.engine.search.counts import Counts
from verifex.engine.search.inputs.box_claim import BoxClaim, Judgement, refuse_underflow
from verifex.engine.search.inputs.box_ends import FEW_UNDECIDED, BoxEnds
from verifex.engine.search.inputs.box_rows import BoxRows, ClaimRows, JointUse
from verifex.engine.search.inputs.box_sides import BoxSides, sides, told_apart
from verifex.engine.search.inputs.box_thresholds import Thresholds
from verifex.engine.search.inputs.box_tree import BoxMultipliers, BoxTree
from verifex.engine.search.inputs.dense import DenseNet
from verifex.engine.search.inputs.dense_bounds import Boxes, DenseBounds
from verifex.engine.search.record import Closed
from verifex.engine.verdict import Witness
from verifex.errors import UnsupportedError
from verifex.ir.exact import FloatArray
from verifex.ir.formula import atoms
from verifex.ir.problem import Problem
from verifex.limits.checkpoint import CutOff
from verifex.semantics.claim import NodeBounds
from verifex.semantics.support.balls import drawn, float_balls
from verifex.semantics.support.whole import WholeFeatures

MOST_INPUTS = 24
"""Free inputs beyond which halving boxes is hopeless."""

_ROWS = 24_000
"""Units times boxes in one batch: what fits the cache pays."""

_FIRST = 1 << 31
"""Multiplications of the first batch, about; of later ones what the last one took."""

_KEEP = 50_000
"""Open boxes from which on the search goes deep first, so that memory stays bounded."""

_SHARED = 3
"""Bounds of units are passed on at every third level of the tree: a certificate states the facts
behind them once for all boxes below, and the search does not derive them again."""

_REPLAYS = 400

_TIE = 1e-9
"""A margin this near to zero, relative to the claim's constants, is not split any further."""

_THREADED = 48
"""Boxes from which on a batch is worth several threads."""

_FALSE = 1e-300
"""Stands for a value below zero that is known by comparison, however small."""

_NOT_YET = (np.array([np.inf]), np.array([-1]), np.array([0.0]))


@dataclass
class InputsResult:
    """`closed` is a finished proof; `lower` bounds the claim's margin from below by floats;
    `nearest` is the point seen with the least margin."""

    closed: Closed | None
    witness: Witness | None
    lower: float
    boxes: int
    leaves: int
    nearest: FloatArray | None = None


def free_inputs(problem: Problem) -> int:
    """Inputs that the region does not fix."""
    return sum(a < b for a, b in zip(problem.region.lo, problem.region.hi, strict=True))


def decide_inputs(
    problem: Problem, budget: Budget, log: Callable[[dict[str, Any]], None] | None = None
) -> InputsResult:
    """Search over input boxes. Raises UnsupportedError where the claim is not of this kind."""
    search = InputSearch(problem, budget, log)
    search.go_on()
    closed = search.record() if search.finished else None
    return InputsResult(
        closed, search.witness, -search.highest, search.tree.count, len(search.tree.closed),
        search.nearest,
    )


@dataclass
class _Open:
    """Open boxes side by side: corners, bounds of units that they share with other boxes (2, gates)
    or None, units that they were split on ((gate, sign), ...), tree nodes, atoms that are false by
    their thresholds (T,), upper margins, and where to split (a side of -2 - g: on unit g)."""

    lower: FloatArray
    upper: FloatArray
    known: Any
    cuts: Any
    node: Any
    passed: NDArray[np.bool_]
    margin: FloatArray
    side: Any
    at: FloatArray

    def take(self, chosen: Any) -> _Open:
        return _Open(*(v[chosen] for v in vars(self).values()))

    def join(self, other: _Open) -> _Open:
        mine, theirs = vars(self).values(), vars(other).values()
        return _Open(*(np.concatenate(p) for p in zip(mine, theirs, strict=True)))

    def __len__(self) -> int:
        return int(self.node.shape[0])


def _hull(open_: _Open) -> tuple[FloatArray, FloatArray]:
    """The box around open boxes."""
    return open_.lower.min(axis=0), open_.upper.max(axis=0)


@dataclass(frozen=True)
class _Bounded:
    """Bounds of a batch, and the multipliers of (box, atom) behind some of them. `passed`: the
    atoms that are false by their thresholds (B, T), and `false` those that are so by any bound
    (B, A)."""

    boxes: Boxes
    rows: BoxRows
    judged: Judgement
    passed: NDArray[np.bool_]
    false: NDArray[np.bool_]
    used: dict[tuple[int, int], BoxMultipliers]
    hollow: NDArray[np.bool_]
    """Boxes without a point by their one-hot groups."""


@dataclass
class InputSearch:
    """One run, which may be interrupted: `go_on` takes up where it left. `finished` where every box
    was closed; `stuck` boxes are too small to be halved.

    `highest` is an upper bound of the violated claim's margin as far as the run has come.
    `whole_time` is the budget of the question, where `budget` is that of slices: what is decided in
    exact arithmetic is not cut off by the end of a slice.
    """

    problem: Problem
    budget: Budget
    log: Callable[[dict[str, Any]], None] | None = None
    witness: Witness | None = None
    nearest: FloatArray | None = None
    finished: bool = False
    highest: float = -np.inf
    stuck: int = 0
    tree: BoxTree = field(default_factory=BoxTree)
    whole_time: Budget | None = None
    _replays: int = 0
    _least: float = np.inf
    _settled: float = -np.inf
    """Of boxes that are not split any further: the greatest upper bound of the margin there."""
    _cut_off: bool = False

    def __post_init__(self) -> None:
        if free_inputs(self.problem) > MOST_INPUTS:
            raise UnsupportedError("too many inputs", expected=f"at most {MOST_INPUTS}")
        graph = self.problem.graph
        self.violation = self.problem.violation()
        targets = self.problem.targets()
        if next(atoms(self.violation), None) is None:
            raise UnsupportedError("the claim is constant", expected="atoms to bound")
        # Rows of the region may read inputs that the claim does not.
        self.net = DenseNet(graph, sorted({*targets, *graph.inputs}))
        self.layout = Layout(graph, tuple(targets))
        self.balls = float_balls(self.problem.region)
        self.bounds = DenseBounds(self.net, self.balls)
        sizes = {i: s.size for i, s in self.net.stages.items()}
        self.claim = BoxClaim(self.violation, sizes, graph.inputs)
        self.whole = WholeFeatures.of(self.problem.region)
        box = self.problem.region.float_box()
        if self.whole is not None:
            box = self.whole.lo, self.whole.hi
            self.tree.whole = frozenset(np.flatnonzero(self.whole.splits).tolist())
        rows = self.problem.region.rows
        self.net.refuse_tiny([
            *box, self.claim.const, *self.claim.coefs.values(),
            np.array([float(v) for row in rows for v in (row.rhs, *row.coefs.values())])])
        refuse_underflow(self.claim.atoms)
        rounding = Rounding(graph, targets, box, ({}, {}))  # nothing smooth is in there
        self.box = box
        # What lies between both parts of a split: 1 for a whole feature, nothing for any other.
        self._step = np.zeros(len(box[0])) if self.whole is None else self.whole.splits * 1.0
        self._doubt = max(1e-12, rounding.of_formula(self.violation))
        outputs = self.claim.const[~self.claim.on_inputs]
        self._tie = _TIE * (1.0 + float(np.abs(outputs).max(initial=0.0)))
        self.rows = ClaimRows(self.bounds, self.claim, self.problem.region)
        self.joint = JointUse(bool(self.problem.region.rows))
        self.ends = BoxEnds(
            self.problem, self.layout, self.claim, lambda: self.whole_time or self.budget)
        forms = [a.form for a in self.claim.atoms]
        self.counts = Counts.of(self.violation, self.claim.place)
        self.thresholds = Thresholds(forms, graph.input_offsets)
        self._rows_a_box = float(len(forms))
        first = _FIRST // max(1, self.bounds.operations * (self.net.gates + len(forms)))
        self._pace = Pace(self.budget, first, self._most)
        lo, hi = box
        nothing, no_cuts = np.empty(1, dtype=object), np.empty(1, dtype=object)
        no_cuts[0] = ()
        passed = np.zeros((1, len(self.thresholds)), dtype=bool)
        self._first = _Open(
            lo[None], hi[None], nothing, no_cuts, self.tree.grow([0]), passed, *_NOT_YET)
        self._open: _Open = self._first
        self._stuck_in: list[tuple[FloatArray, FloatArray]] = []

    # --- driving --------------------------------------------------------------------------------

    @property
    def _most(self) -> int:
        """Boxes of one batch, at most."""
        rows = 4 * min(self._rows_a_box, 64)
        return int(np.clip(_ROWS // max(self.net.gates, rows, 32), 8, 2048))

    def go_on(self) -> None:
        """Search on until everything is closed, a witness is found, or the budget is spent."""
        open_ = self._open
        if open_ is self._first:
            open_ = self._one_step(open_, None)
        with ThreadPoolExecutor(max(1, self.budget.threads)) as pool:
            while len(open_) and self.witness is None and not self._over:
                chosen = self._choose(open_)
                batch, open_ = open_.take(chosen), open_.take(~chosen)
                open_ = open_.join(self._one_step(self._parts(batch), pool))
                self._report(open_)
        self._open = open_
        self.highest = max(self._settled, float(open_.margin.max(initial=-np.inf)))
        self.finished = self.witness is None and not len(open_) and not self.stuck

    @property
    def open(self) -> int:
        """Boxes that wait to be split."""
        return len(self._open)

    @property
    def left(self) -> float:
        """The share of the region that is open, 0 to 1, where either part of a split is half."""
        depth = np.array([self.tree.depth[n] for n in self._open.node.tolist()])
        return min(1.0, float(np.exp2(-depth.astype(np.float64)).sum()))

    @property
    def parting(self) -> bool:
        """Whether most open boxes are still to be split where clauses on single inputs turn: until
        that is done little can close."""
        at_ends = np.isin(self._open.at, self.thresholds.at) & (self._open.side >= 0)
        return bool(len(self._open) and at_ends.mean() > 0.5)

    def record(self) -> Closed:
        """The tree so far as the record of a proof, with open leaves where boxes are open."""
        return self.tree.record(self.layout, self.claim.atoms)

    def rest(self, given: NodeBounds) -> NodeBounds:
        """`given`, cut down to the hull of the boxes that nothing has closed: rounded outward."""
        hulls = [*map(_hull, filter(len, (self._open,))), *self._stuck_in]
        lower = np.min([lo for lo, _ in hulls], axis=0)
        upper = np.max([hi for _, hi in hulls], axis=0)
        boxes = self.bounds.boxes(lower[None], upper[None])
        low, high = dict(given[0]), dict(given[1])
        for i in boxes.lo:
            shape = self.problem.graph.nodes[i].shape
            lo, hi = boxes.lo[i][0].reshape(shape), boxes.hi[i][0].reshape(shape)
            if i in low:
                lo, hi = np.maximum(lo, low[i]), np.minimum(hi, high[i])
            low[i], high[i] = lo, np.maximum(lo, hi)
        return low, high

    def _one_step(self, parts: _Open, pool: ThreadPoolExecutor | None) -> _Open:
        """Bound boxes and close what closes; those that stay open."""
        open_, done = parts.take(slice(0, 0)), 0
        try:
            with self._pace.piece(len(parts)):
                for some, found in self._bound_all(parts, pool):
                    open_ = open_.join(self._digest(some, found))
                    done += len(some)
        except CutOff:
            # Sound: boxes that are not bounded to the end are open, with the margins of those that
            # they are parts of.
            open_, self._cut_off = open_.join(parts.take(slice(done, None))), True
        return open_

    @property
    def _over(self) -> bool:
        return self._cut_off or self.budget.spent

    def _choose(self, open_: _Open) -> Any:
        """The boxes to split next: half those nearest to a violation, half the newest."""
        chosen = np.zeros(len(open_), dtype=bool)
        width = min(self._pace.size, self._most)
        if len(open_) <= width:
            chosen[:] = True
            return chosen
        chosen[-(-width // 2) :] = True
        if len(open_) < _KEEP:
            chosen[np.argpartition(-open_.margin, width // 2)[: width // 2]] = True
        return chosen

    def _report(self, open_: _Open) -> None:
        if self.log is not None:
            worst = float(open_.margin.max(initial=-np.inf))
            self.log({
                "event": "inputs", "t": round(self.budget.elapsed, 4), "domains": self.tree.count,
                "open": len(open_), "leaves": len(self.tree.closed),
                "bound": -worst if np.isfinite(worst) else None,
            })

    def _parts(self, batch: _Open) -> _Open:
        """Both parts of every box, side by side: x >= at or unit >= 0, then the other."""
        node = self.tree.split(batch.node, batch.side, batch.at)
        both = np.repeat(np.arange(len(batch)), 2)
        parts = batch.take(both)
        on_input = np.flatnonzero(batch.side >= 0)
        side, at = batch.side[on_input], batch.at[on_input]
        parts.lower[2 * on_input, side] = at + self._step[side]
        parts.upper[2 * on_input + 1, side] = at
        for j in np.flatnonzero(batch.side < 0).tolist():
            gate = -2 - int(batch.side[j])
            for k, sign in ((2 * j, 1), (2 * j + 1, -1)):
                known = batch.known[j].copy()
                if sign > 0:
                    known[0, gate] = max(known[0, gate], 0.0)
                else:
                    known[1, gate] = min(known[1, gate], 0.0)
                parts.known[k], parts.cuts[k] = known, (*batch.cuts[j], (gate, sign))
        parts.node = node
        return parts

    # --- bounding -------------------------------------------------------------------------------

    def _bound_all(
        self, parts: _Open, pool: ThreadPoolExecutor | None
    ) -> Iterable[tuple[_Open, _Bounded]]:
        """Bounds of all boxes, on as many threads as the budget has (numpy lets them run)."""
        threads = self.budget.threads
        if pool is None or threads <= 1 or len(parts) < _THREADED:
            return [(parts, self._bound(parts))]
        pieces = [parts.take(at) for at in np.array_split(np.arange(len(parts)), threads)]
        # Each thread with a context of its own, in which it may be cut off.
        begun = [pool.submit(copy_context().run, self._bound, piece) for piece in pieces]
        return zip(pieces, (one.result() for one in begun), strict=True)

    def _bound(self, batch: _Open) -> _Bounded:
        """What can be said of the boxes; touches nothing but them."""
        given = None if batch.known[0] is None else np.stack(batch.known.tolist())
        hollow = self._hollow(batch)
        boxes = self.bounds.boxes(batch.lower, batch.upper, given)
        boxes.empty |= hollow
        passed = self.thresholds.false_on(boxes.lower, boxes.upper)
        false = self._by_atom(passed)
        rows = self.rows.bound(boxes, self.claim.formula.open(false) & ~boxes.empty[:, None])
        upper = rows.upper(boxes.count)
        upper[false] = -_FALSE
        judged = self.claim.judge(upper, boxes.empty)
        used: dict[tuple[int, int], BoxMultipliers] = {}
        split = np.array([bool(c) for c in batch.cuts]) & ~judged.closed
        needed, known = np.zeros(upper.shape, dtype=bool), self.claim.false(upper)
        if self.joint.due():
            needed = self.counts.necessary(known)
            needed &= ~judged.closed[:, None]
            split |= ~judged.closed & (self.joint.always | (needed.sum(axis=1) > 1))
        if split.any():
            used = self.rows.improve(boxes, rows, judged, upper, split, batch.cuts, needed)
            before = int(judged.closed.sum())
            judged = self.claim.judge(upper, boxes.empty)
            # What makes other atoms necessary belongs to the bounds that use these.
            for b in {b for (b, _), one in used.items() if one.atoms}:
                judged.rests[b] |= known[b] & judged.closed[b]
            self.joint.note(needed.any(axis=1).sum(), int(judged.closed.sum()) - before)
        return _Bounded(boxes, rows, judged, passed, self.claim.false(upper), used, hollow)

    def _by_atom(self, passed: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Marks of thresholds (B, T) as marks of atoms (B, A)."""
        out = np.zeros((len(passed), len(self.claim.atoms)), dtype=bool)
        out[:, self.thresholds.atom] = passed
        return out

    def _hollow(self, batch: _Open) -> NDArray[np.bool_]:
        """Cut the boxes down to what one-hot groups leave of them; those (B,) without a point."""
        if self.whole is None:
            return np.zeros(len(batch), dtype=bool)
        none: NDArray[np.bool_] = self.whole.propagate(batch.lower, batch.upper) | self.whole.empty
        np.maximum(batch.lower, batch.upper, out=batch.upper)
        return none

    def _digest(self, batch: _Open, bounded: _Bounded) -> _Open:
        """Close what closes; what stays open knows where to split."""
        boxes, judged = bounded.boxes, bounded.judged
        shared = np.array([self.tree.depth[n] % _SHARED == 0 for n in batch.node.tolist()])
        passed = self._by_atom(bounded.passed)
        self.tree.pass_thresholds(batch.node, self._by_atom(bounded.passed & ~batch.passed))
        self.tree.note(
            batch.node, judged, boxes, shared & ~bounded.hollow, bounded.used, passed)
        self.tree.drop(batch.node[bounded.hollow])
        self._rows_a_box = max(1.0, len(bounded.rows.box) / len(batch))
        left = np.flatnonzero(~judged.closed)
        for k in np.flatnonzero(shared & ~judged.closed).tolist():
            batch.known[k] = self.bounds.units(boxes, k)
        tied = np.zeros(left.shape, dtype=bool)
        if left.size:
            tied = self._try_points(bounded, left)
        to = self._sides(bounded, left)
        open_ = replace(
            batch.take(left), passed=bounded.passed[left], margin=judged.margin[left],
            side=to.side, at=to.at)
        wide, few = self._can_split(open_), to.undecided <= FEW_UNDECIDED
        # How far inputs are from a threshold says nothing of a tie.
        near = judged.rank[left] <= self._tie
        tried, ended = self._end_exactly(open_, (few & (tied | near)) | ~wide, wide)
        # What is within rounding of a tie is not split for ever.
        fine = wide & ~(near & (tried | self.ends.hopeless))
        stuck = ~(fine | ended)
        if stuck.any():
            self.stuck += int(stuck.sum())
            self._settled = max(self._settled, float(open_.margin[stuck].max()))
            self._stuck_in.append(_hull(open_.take(stuck)))
        return open_.take(fine & ~ended)

    def _can_split(self, open_: _Open) -> NDArray[np.bool_]:
        """Boxes that floats can still halve."""
        row, side = np.arange(len(open_)), np.maximum(open_.side, 0)
        low, at = open_.lower[row, side], open_.at
        inside = ((low < at) | (self._step[side] > 0)) & (at < open_.upper[row, side])
        wide: NDArray[np.bool_] = inside | (open_.side < 0)
        return wide

    def _end_exactly(
        self, open_: _Open, which: NDArray[np.bool_], wide: NDArray[np.bool_]
    ) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Those of the boxes `which` that were tried, and those that are closed in exact
        arithmetic. Of `wide` boxes only as many are tried as the time allows."""
        tried, closed = np.zeros(len(open_), dtype=bool), np.zeros(len(open_), dtype=bool)
        for k in np.flatnonzero(which).tolist():
            if self.ends.hopeless or self.witness is not None:
                break
            if wide[k] and (self.budget.spent or not self.ends.worthwhile):
                continue
            tried[k] = True
            (false,) = self._by_atom(open_.passed[k, None])
            part = self.ends.close(open_.lower[k], open_.upper[k], open_.cuts[k], false)
            self.witness = self.ends.witness
            if part is not None:
                closed[k] = True
                self.tree.settle(int(open_.node[k]), part)
                self._settled = max(self._settled, 0.0)  # it holds there, by no more than that
        return tried, closed

    def _sides(self, bounded: _Bounded, left: NDArray[np.intp]) -> BoxSides:
        """Where to split the boxes that stay open."""
        boxes = bounded.boxes
        found = sides(self.net, boxes, bounded.rows, bounded.judged.rests, left)
        open_ = self.claim.formula.open(bounded.false)
        found = told_apart(found, self.thresholds, boxes, open_, left)
        at = np.where(self._step[np.maximum(found.side, 0)] > 0, np.floor(found.at), found.at)
        return replace(found, at=at)

    # --- witnesses ------------------------------------------------------------------------------

    def _try_points(self, bounded: _Bounded, left: NDArray[np.intp]) -> NDArray[np.bool_]:
        """The middles, and the corners where the bounds are attained; the best is replayed.

        Returns the boxes (of those left) with a point within rounding of violating the claim.
        """
        boxes, rows = bounded.boxes, bounded.rows
        first = bounded.judged.rests[left].argmax(axis=1)
        coefs = rows.found.coefs[rows.of(left, first)]
        lo, hi = boxes.lower[left], boxes.upper[left]
        x = np.concatenate([0.5 * (lo + hi), np.where(coefs >= 0, lo, hi)])
        x = drawn(self.balls, x)
        if self.whole is not None:
            x = self.whole.snapped(x)
        score = self.claim.margin(self.net.values(x))
        order = np.argsort(-score)
        if -score[order[0]] < self._least:
            self._least, self.nearest = float(-score[order[0]]), x[order[0]].copy()
        for k in order[:2]:
            if score[k] < -self._doubt or self._replays > _REPLAYS or self.witness is not None:
                break
            self._replays += 1
            self.witness = refute(self.problem, x[k].tolist())
        tied: NDArray[np.bool_] = score.reshape(2, -1).max(axis=0) >= -self._tie
        return tied
