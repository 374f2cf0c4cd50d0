"""Deciding a claim on outputs by branching on ReLUs, with one linear program a domain.

Where several atoms must hold at once (a satisfiability problem, conditions on several outputs) no
atom is excluded by itself, so that bounds of single rows stay open until nearly all units are
decided. A program over all units and atoms sees what they exclude together. If it has no point, the
multipliers that say so close the domain, and every domain above on which they suffice: what lies
beside it there is never looked at. If it has one, a unit is split that is not what it ought to be
at that point. Depth first: consecutive programs differ by few bounds, and HiGHS goes on from the
last basis.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from verifex.engine.bounds.layout import Layout, Signs
from verifex.engine.bounds.rounding import Rounding
from verifex.engine.budget import Budget
from verifex.engine.falsify.witness import refute
from verifex.engine.margin import batch_margin
from verifex.engine.search.counts import Counts
from verifex.engine.search.exact_claim import ExactClaim
from verifex.engine.search.inputs.dense import DenseNet
from verifex.engine.search.programs.program import ProgramAnswer, UnitProgram
from verifex.engine.search.programs.units import OpenUnits, UnitMultipliers, shortened
from verifex.engine.search.record import AtomBound, Closed, Proof, ProofNode
from verifex.engine.verdict import Witness
from verifex.errors import UnsupportedError
from verifex.ir.exact import FloatArray
from verifex.ir.formula import And, Atom, Formula, Or, atoms, simplify
from verifex.ir.problem import Problem

Flags = NDArray[np.bool_]

_CLEAR = 1e-7
"""A bound closes a domain from here on, in units of the greatest multiplier of an atom: what is
nearer to zero is within the tolerances of the programs, and left to exact arithmetic."""

_GAP = 1e-6
"""A unit whose output is so near to what it ought to be needs no split."""

_REPLAYS = 400


@dataclass(frozen=True)
class _Branch:
    """One domain: its place in the tree, splits (gates,), bounds of the units (K,), and the atoms
    (A,) that are known to be false there."""

    node: int
    depth: int
    signs: Signs
    low: FloatArray
    high: FloatArray
    false: Flags
    above: _Branch | None = None


@dataclass
class ProgramStats:
    """What happened: programs solved, domains closed, and those closed with one below them;
    `unsure`: contradictions that were lost in rounding."""

    programs: int = 0
    closed: int = 0
    jumps: int = 0
    unsure: int = 0


class ProgramSearch:
    """One run, which `go_on` continues until its budget is spent, as often as there is more.

    `witness` violates the claim; `nearest` is the point seen with the least margin. `stuck` domains
    can neither be closed nor split.
    """

    def __init__(
        self, problem: Problem, budget: Budget, log: Callable[[dict[str, Any]], None] | None = None
    ) -> None:
        """Raises UnsupportedError where the claim is not of this kind."""
        self.problem, self.budget, self.log = problem, budget, log
        region, targets = problem.region, problem.targets()
        if region.balls or region.integers or region.one_hot:
            raise UnsupportedError("balls, whole numbers or one-hot groups", expected="a polytope")
        self.layout = Layout(problem.graph, tuple(targets))
        net = DenseNet(problem.graph, targets)
        lo, hi = region.float_box()
        self.units = OpenUnits(net, self.layout, lo, hi, region.rows)
        self.net, self._violation = net, problem.violation()
        self.claimed = self._left_open()
        self.atoms = list(dict.fromkeys(atoms(self.claimed)))
        self.counts = Counts.of(self.claimed, {a: k for k, a in enumerate(self.atoms)})
        forms = self.units.of_atoms(self.atoms)
        rounding = Rounding(problem.graph, targets, (lo, hi), ({}, {}))
        self._clear = np.array([max(_CLEAR, 16 * rounding.of(a.form)) for a in self.atoms])
        self._doubt = max(1e-9, rounding.of_formula(self._violation))
        self._forms, self.program = forms, UnitProgram(self.units, forms)
        self._exact: ExactClaim | None = None
        if ExactClaim.suits(problem, self.layout):
            self._exact = ExactClaim(problem, self.layout, self.atoms, self.counts,
                                     lambda: self.budget.spent)
        self.stats, self.proof = ProgramStats(), Proof()
        self.witness: Witness | None = None
        self.nearest: FloatArray | None = None
        self._least, self._replays = np.inf, 0
        self.stuck = 0
        self._hopeless = False
        self._waiting: list[_Branch] = []
        self._begin()

    def _left_open(self) -> Formula:
        """What bounds of the outputs leave of the violated claim: atoms all of which, or any one
        of which, violate it."""
        lo, hi = self.units.lo[None], self.units.hi[None]
        signs = np.zeros((1, self.layout.gates), dtype=np.int8)
        found = self.layout.propagate(lo, hi, signs)
        shapes = {i: self.problem.graph.nodes[i].shape for i in found.lo}
        left = simplify(self._violation, {i: v[0].reshape(shapes[i]) for i, v in found.lo.items()},
                        {i: v[0].reshape(shapes[i]) for i, v in found.hi.items()})
        flat = left.parts if isinstance(left, And | Or) else (left,)
        if not flat or not all(isinstance(part, Atom) for part in flat):
            raise UnsupportedError(
                "the violated claim is no plain conjunction or disjunction",
                expected="atoms joined by one `and` or one `or`")
        return left

    def _begin(self) -> None:
        root = ProofNode(parent=-1, plain=self.units.plain if len(self.units.plain) else None)
        self.proof.add(root)
        signs = np.zeros(self.layout.gates, dtype=np.int8)
        bounds = None if self.units.empty else self.units.bounds(signs)
        if bounds is None:
            root.closed = "empty"
            return
        false = np.zeros(len(self.atoms), dtype=bool)
        self._waiting.append(_Branch(0, 0, signs, *bounds, false))

    # --- driving ----------------------------------------------------------------------------------

    @property
    def open(self) -> int:
        """Domains that wait for their turn."""
        return len(self._waiting)

    @property
    def left(self) -> float:
        """The share of the tree that is still open, as if all halves were alike: 0 to 1."""
        return float(sum(2.0**-domain.depth for domain in self._waiting))

    @property
    def finished(self) -> bool:
        """Whether all domains are closed."""
        return self.witness is None and not self._waiting and not self.stuck

    @property
    def ended(self) -> bool:
        """Whether going on is of no use."""
        return self.witness is not None or not self._waiting or self._hopeless

    def go_on(self) -> None:
        """Search until everything is closed, a witness is found, or the budget is spent."""
        while not self.ended and not self.budget.spent:
            domain = self._waiting.pop()
            try:
                self._decide(domain)
            except BaseException:
                # Sound: whatever was done for it or its halves, it counts as open.
                self._waiting.append(domain)
                raise
            if self.log is not None and self.stats.programs % 64 == 0:
                self._report()
        self._report()

    def _report(self) -> None:
        if self.log is not None:
            self.log({
                "event": "programs", "t": round(self.budget.elapsed, 4),
                "domains": self.stats.programs, "open": self.open, "leaves": self.stats.closed,
                "left": self.left})

    def record(self) -> Closed:
        """The tree so far; domains that wait are its open leaves."""
        return Closed(self.layout, [], _reachable(self.proof), self.atoms)

    # --- one domain -------------------------------------------------------------------------------

    def _decide(self, domain: _Branch) -> None:
        """Close a domain, split it, or leave it stuck; one that time did not suffice for waits."""
        point: FloatArray | None = None
        for asked in self._questions(domain.false):
            answer = self._solve(domain, asked)
            if answer is None:
                self._waiting.append(domain)
                return
            if answer.contradiction is not None and self._conclude(domain, answer.contradiction):
                return
            if answer.point is not None:
                point = answer.point
                if self._try(point):
                    return
        self._split(domain, point)

    def _questions(self, false: Flags) -> list[Flags]:
        """The sets of atoms (A,) to ask for at once: all, where all must hold; else one by one."""
        together = self.counts.necessary(false[None])[0]
        if together.any():
            return [together]
        one = np.eye(len(self.atoms), dtype=bool)
        return [one[k] for k in np.flatnonzero(self.counts.open(false[None])[0])]

    def _solve(self, domain: _Branch, asked: Flags) -> ProgramAnswer | None:
        """The program's answer; None where time ran out."""
        self.stats.programs += 1
        answer = self.program.solve(
            domain.signs, domain.low, domain.high, asked, self.budget.left)
        none = answer.point is None and answer.contradiction is None
        return None if none and self.budget.spent else answer

    def _conclude(self, domain: _Branch, found: UnitMultipliers) -> bool:
        """Use multipliers that contradict each other on a domain and, if they suffice there, on
        those above; whether the domain is closed by them. A single atom is marked false."""
        used, at = shortened(found), domain
        rows = np.flatnonzero(used.atoms)
        bound = self._bound(at, used)
        if bound is None:
            self.stats.unsure += 1
            return False
        while at.above is not None and (above := self._bound(at.above, used)) is not None:
            at, bound = at.above, above
            self.stats.jumps += 1
        self.proof.nodes[at.node].bounds.append(bound)
        if len(rows) == 1:  # where any one of several would do, the others may still hold
            at.false[rows[0]] = domain.false[rows[0]] = True
            at = at if self._impossible(at) else domain
            if not self._impossible(at):
                return False
        self._close(at, "bounds" if len(rows) else "empty")
        return True

    def _impossible(self, domain: _Branch) -> bool:
        """Whether the atoms that are false on a domain exclude a violation there."""
        return not self.counts.possible(domain.false[None])[0]

    def _bound(self, domain: _Branch, used: UnitMultipliers) -> AtomBound | None:
        """The line that shows that a domain is closed, if these multipliers suffice."""
        found = self.units.combine(self._forms, used, domain.signs, domain.low, domain.high)
        rows = np.flatnonzero(used.atoms)
        need = float(used.atoms @ self._clear) if len(rows) else _CLEAR
        if not found.value > need:
            return None
        if not len(rows):
            return AtomBound(-1, found.value, found.params)
        first = int(used.atoms.argmax())
        more = {int(k): float(used.atoms[k]) for k in rows if k != first}
        return AtomBound(first, found.value, found.params, more)

    def _close(self, domain: _Branch, how: str) -> None:
        """Close a domain, and drop what waits below it."""
        node = self.proof.nodes[domain.node]
        node.closed, node.children = how, None
        self.stats.closed += 1
        self._waiting = [other for other in self._waiting if not _lies_in(other, domain)]

    # --- splits -----------------------------------------------------------------------------------

    def _split(self, domain: _Branch, point: FloatArray | None) -> None:
        gate, first = self._chosen(domain, point)
        if gate < 0:
            gate, first = self._end(domain), 1
        if gate < 0:
            return
        children = []
        for sign in (1, -1):
            signs = domain.signs.copy()
            signs[gate] = sign
            node = self.proof.add(ProofNode(domain.node, gate=gate, sign=sign))
            children.append(node)
            bounds = self.units.bounds(signs)
            if bounds is None:
                self.proof.nodes[node].closed = "empty"
                self.stats.closed += 1
                continue
            self._waiting.append(_Branch(
                node, domain.depth + 1, signs, *bounds, domain.false.copy(), domain))
        self.proof.nodes[domain.node].children = (children[0], children[1])
        if first > 0 and len(self._waiting) > 1 and self._waiting[-2].above is domain:
            self._waiting[-2:] = self._waiting[:-3:-1]

    def _chosen(self, domain: _Branch, point: FloatArray | None) -> tuple[int, int]:
        """The gate that is farthest from what it ought to be at the program's point, -1 if none is
        off, and the side on which to look first."""
        open_ = (domain.low < 0) & (domain.high > 0)
        if point is None:
            if not open_.any():
                return -1, 1
            width = np.where(open_, np.minimum(-domain.low, domain.high), -1.0)
            return int(self.units.gate[int(width.argmax())]), 1
        n = self.units.inputs
        z = self.units.preact.matrix @ point + self.units.preact.const
        gap = np.where(open_, point[n:] - np.maximum(z, 0.0), -1.0)
        if gap.max(initial=-1.0) <= _GAP:
            return -1, 1
        k = int(gap.argmax())
        return int(self.units.gate[k]), 1 if z[k] > 0 else -1

    def _end(self, domain: _Branch) -> int:
        """Decide in exact arithmetic a domain at whose program's point nothing is off: it is
        closed, or a witness is found, or stuck; or a gate is left to be split on (else -1)."""
        if self._exact is not None and not self._hopeless:
            end = self._exact.end(self.units.lo, self.units.hi, domain.signs, domain.false)
            self.proof.nodes[domain.node].bounds += end.bounds
            self.witness = self.witness or end.witness
            self._hopeless = end.violated
            if end.closed:
                self._close(domain, end.closed)
                return -1
            if self.witness is not None:
                return -1
            domain.false[:] = end.false
            if end.gate >= 0:
                return end.gate
        elif self._exact is None:
            open_ = np.flatnonzero((domain.low < 0) & (domain.high > 0))
            if len(open_):
                return int(self.units.gate[open_[0]])
        if self.budget.spent:
            self._waiting.append(domain)
        else:
            self.stuck += 1
        return -1

    # --- points -----------------------------------------------------------------------------------

    def _try(self, point: FloatArray) -> bool:
        """Evaluate the claim at the inputs of a program's point, and at plainer numbers nearby;
        whether one that may violate it does, in exact arithmetic."""
        x = point[: self.units.inputs]
        points = np.stack([x, np.round(x, 6), np.round(x)])
        points = np.clip(points, self.units.lo, self.units.hi)
        values = self.net.values(points)
        score = np.asarray(batch_margin(self._violation, values, np), dtype=np.float64)
        best = int(score.argmax())
        if -score[best] < self._least:
            self._least, self.nearest = float(-score[best]), points[best].copy()
        for k in np.argsort(-score)[:2]:
            if score[k] < -self._doubt or self._replays >= _REPLAYS:
                break
            self._replays += 1
            self.witness = refute(self.problem, points[k].tolist())
            if self.witness is not None:
                return True
        return False


def _lies_in(domain: _Branch, other: _Branch) -> bool:
    """Whether a domain is part of another one."""
    at: _Branch | None = domain
    while at is not None and at.depth > other.depth:
        at = at.above
    return at is other


def _reachable(proof: Proof) -> Proof:
    """The tree without the nodes below those that were closed later."""
    out, stack = Proof(), [(0, -1)]
    while stack:
        old, parent = stack.pop()
        node = proof.nodes[old]
        new = out.add(replace(node, parent=parent, children=None))
        if parent >= 0:
            known = out.nodes[parent].children
            out.nodes[parent].children = (new, new) if known is None else (known[0], new)
        if node.children is not None:
            stack += [(node.children[1], new), (node.children[0], new)]
    return out


__all__ = ["ProgramSearch", "ProgramStats"]
