"""Deciding a claim by branch and bound: its violation is shown to be impossible everywhere, or a
point is found that violates it.

The violated claim (the assumption and the negated requirement) is a formula of linear atoms. An
atom is false on a domain once the lower bound of its negated form is positive there; a domain is
closed when the formula is false as a whole. Only atoms that bounds over the whole region leave open
become rows of the search.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from verifex.engine.bounds.bounder import Bounder
from verifex.engine.bounds.layout import Layout
from verifex.engine.bounds.root import Root, plain_root, root_facts
from verifex.engine.bounds.rounding import Rounding
from verifex.engine.budget import Budget
from verifex.engine.falsify.witness import refute
from verifex.engine.margin import batch_margin
from verifex.engine.search.counts import Counts
from verifex.engine.search.exact_claim import ExactClaim
from verifex.engine.search.gates.domains import Domains, Flags, RowBounds, whole
from verifex.engine.search.gates.refresh import lightened
from verifex.engine.search.gates.search import Search, SearchOptions, Stats
from verifex.engine.search.handover import Rest
from verifex.engine.search.record import Closed, Proof, ProofNode
from verifex.engine.search.replant import replanted
from verifex.engine.search.start import bounder_for, linear_rows, load_bounder, samples
from verifex.engine.search.workers.team import drive, tensor_threads
from verifex.engine.verdict import Witness
from verifex.ir.exact import FloatArray
from verifex.ir.formula import FALSE, Atom, Form, Formula, atoms, nodes, simplify
from verifex.ir.problem import Problem
from verifex.semantics.evaluate import evaluate_float
from verifex.semantics.support.balls import drawn, float_balls
from verifex.semantics.support.whole import WholeFeatures

MARGIN = 1e-9
"""A bound closes an atom in the search when it clears zero by this much, or by what floats may err
on the numbers at hand where that is more: exact re-evaluation loses less."""

_PLAIN = 800
"""Domains after which a search of a large network begins again, with bounds tightened behind its
splits: what closes with fewer is slower, and has longer certificates, with them."""


_FEW_ROWS = 256
"""Atoms whose rows are optimised before the bounds of the units are."""


@dataclass
class FormulaPolicy:
    """Closes domains on which the claim cannot be violated; replays points that may violate it.

    `violation` is what bounds over the region leave of the violated claim, over these `atoms`; row
    k of the search is the negated form of atom k. `nearest` is the point that came nearest to
    violating the claim, with the claim's margin `worst` there.
    """

    problem: Problem
    violation: Formula
    atoms: list[Atom]
    rounding: Rounding
    whole: WholeFeatures | None = None
    forms: list[Form] = field(init=False)
    exact: ExactClaim | None = None
    witness: Witness | None = None
    worst: float = np.inf
    nearest: FloatArray | None = None
    _replays: int = 0
    _told: bool = False

    def __post_init__(self) -> None:
        self.forms = [-a.form for a in self.atoms]
        self.counts = Counts.of(self.violation, {a: k for k, a in enumerate(self.atoms)})
        self._strict = np.array([a.strict for a in self.atoms], dtype=bool)
        self._violation = self.problem.violation()
        self._clear = np.array([max(MARGIN, self.rounding.of(form)) for form in self.forms])
        self._doubt = max(1e-12, self.rounding.of_formula(self._violation))
        self._balls = float_balls(self.problem.region)

    def goals(self, rows: NDArray[np.intp]) -> FloatArray:
        goals: FloatArray = self._clear[rows]
        return goals

    def close(self, domains: Domains, found: RowBounds) -> Flags:
        closed = np.zeros(len(domains), dtype=bool)
        false = found.value > self._clear[found.row]
        if not false.any():
            return closed
        domains.false[found.place[false], found.row[false]] = True
        touched = np.unique(found.place[false])
        known = domains.false[touched]
        closed[touched] = ~self.counts.possible(known)
        for k, open_ in zip(touched.tolist(), self.counts.open(known), strict=True):
            if not closed[k]:
                domains.narrow(k, np.flatnonzero(open_))
        return closed

    def candidates(self, points: FloatArray, rows: Sequence[int]) -> None:
        """Evaluate the claim at the points; replay the most promising exactly."""
        points = drawn(self._balls, points)
        if self.whole is not None:
            points = self.whole.snapped(points)
        values = evaluate_float(self.problem.graph, points, self.problem.targets())
        score = np.asarray(batch_margin(self._violation, values, np))
        best = int(np.nanargmax(score))
        if -score[best] < self.worst:
            self.worst, self.nearest = float(-score[best]), points[best].copy()
        for i in np.argsort(-score)[:2]:
            if score[i] < -self._doubt or self.witness is not None or self._replays > 400:
                return
            self._replays += 1
            self.witness = refute(self.problem, points[i].tolist())

    def found(self, witness: Witness) -> None:
        self.witness = self.witness or witness

    def leaf_value(self, row: int, value: float, point: FloatArray) -> bool:
        return False  # an atom that can be true on a leaf is not decided by that

    def tie(self, domains: Domains, found: RowBounds) -> Flags:
        known = domains.false.copy()
        near = self._strict[found.row] & (found.value >= -self._clear[found.row])
        known[found.place[near], found.row[near]] = True
        return ~self.counts.possible(known)

    def joint(self, domains: Domains) -> list[NDArray[np.intp]]:
        # Sound: a claim that is only violated where all of them hold is not violated where they
        # cannot.
        return [np.flatnonzero(line) for line in self.counts.necessary(domains.false)]

    def tell(self) -> dict[str, Any]:
        if self.witness is None or self._told:
            return {}
        self._told = True
        return {"x": [str(v) for v in self.witness.point]}

    def hear(self, told: dict[str, Any]) -> None:
        if "x" in told and self.witness is None:
            self.witness, self._told = refute(self.problem, [Fraction(v) for v in told["x"]]), True

    def finished(self) -> bool:
        return self.witness is not None

    def priority(self, domains: Domains) -> FloatArray:
        return domains.value

    def describe(self, least: float | None) -> dict[str, Any]:
        """The least bound of an open atom: the search ends when it is positive."""
        return {"bound": least}


@dataclass(frozen=True)
class FormulaResult:
    """What a search found: closed (nothing left open), a witness, or neither with a bound.

    `closed` is the record from which a certificate is written. With `stats.ties` some leaves rest
    on bounds that are zero up to rounding: nothing is claimed then, but the checker may accept.
    `rest`: the domains that are open, outside which the claim holds as far as floats tell;
    `unfinished`: the record so far, with these as open leaves. `nearest` is the point seen with the
    least margin.
    """

    closed: Closed | None
    witness: Witness | None
    lower: float
    stats: Stats
    rest: Rest | None = None
    unfinished: Closed | None = None
    nearest: FloatArray | None = None


def decide_search(
    problem: Problem,
    budget: Budget,
    options: SearchOptions,
    log: Callable[[dict[str, Any]], None] | None = None,
    seed: int = 0,
    like: Closed | None = None,
) -> FormulaResult:
    """Search the whole region; `lower` bounds the margin of the least bounded open row.

    `seed` draws the points that are tried first. `like` is the record of a claim that was closed on
    another region of the same graph: the search begins with its splits.
    """
    search = ClaimSearch(problem, budget, options, log, seed, like)
    search.go_on()
    return search.result()


class ClaimSearch:
    """A search for a claim over its whole region, which may be interrupted: `go_on` takes up where
    it left, and `result` says how far it has come. `ended` once going on is of no use.

    `known` are points of the region that are tried first. The bounds at the root get half of the
    time of `whole`, in one go: that of the question, where the budget is but a slice of it.
    """

    def __init__(
        self, problem: Problem, budget: Budget, options: SearchOptions,
        log: Callable[[dict[str, Any]], None] | None = None, seed: int = 0,
        like: Closed | None = None, *, known: FloatArray | None = None,
        whole: Budget | None = None,
    ) -> None:
        self.problem, self.budget, self.log, self.seed = problem, budget, log, seed
        self.like, self._known, self._whole = like, known, whole or budget
        self.layout = Layout(problem.graph, tuple(sorted(nodes(problem.violation()))))
        self.given, self.options = options, lightened(options, self.layout)
        self.whole_features = WholeFeatures.of(problem.region)
        self.ended = False
        self.search: Search | None = None
        self.policy: FormulaPolicy | None = None
        self._found: FormulaResult | None = None
        self._plans: list[SearchOptions] = []

    def go_on(self) -> None:
        """Search until everything is closed, a witness is found, or the budget is spent."""
        if self.ended:
            return
        if self.policy is None:
            self._begin()
        if not self.ended:  # another engine may have changed it since
            self.bounder.threads = tensor_threads(self.options, self.budget)
        while not self.ended:
            if self.search is None:
                self.search = self._searched_by(self._plans.pop(0))
            self.search.begin_rest()
            drive(self.search)
            done = not self.search.left_open or self.policy_finished
            if not done and self.budget.spent:
                return
            if done or not self._plans:
                self.ended = True
            else:
                self.search = None

    @property
    def policy_finished(self) -> bool:
        """Whether a witness was found."""
        return self.policy is not None and self.policy.finished()

    def result(self) -> FormulaResult:
        """What the search has come to."""
        if self._found is not None:
            return self._found
        if self.policy is None or self.search is None:
            return FormulaResult(None, None, -np.inf, Stats())
        return _result(self.search, self.root, self.policy)

    def _end(self, found: FormulaResult) -> None:
        self._found, self.ended = found, True

    def _begin(self) -> None:
        """Bounds at the root, and what they leave of the claim."""
        problem, layout, options = self.problem, self.layout, self.options
        if self.whole_features is not None and self.whole_features.empty:
            self._end(FormulaResult(_nothing(layout), None, 0.0, Stats()))
            return
        lo, hi = self._box
        # Products of matrices dominate there; smooth functions may leave the range of float32.
        coarse = not options.refresh and not options.inputs
        self.balls = float_balls(problem.region)
        with self.budget.loading():
            load_bounder(layout, options.device)
        self.bounder = bounder_for(
            layout, options.device, linear_rows(problem.region), self.balls, coarse=coarse,
            stopped=self._stopped)
        self.bounder.threads = tensor_threads(options, self.budget)
        self._at_root, known_root = True, None
        if not options.refresh and self.like is None:
            known_root = plain_root(layout, self.bounder, lo, hi, self._whole.part(0.5))
            closed = _closed_plainly(
                problem, known_root, self.bounder, options, self._whole, self.whole_features)
            if closed is not None:
                self._end(FormulaResult(closed, None, 0.0, Stats(domains=1, leaves=1)))
                return
        self.root = root_facts(
            layout, self.bounder, lo, hi, self._whole.part(0.5), options.root_effort, known_root)
        self._at_root = False
        if self.log is not None:
            self.log({"event": "root", "t": round(self._whole.elapsed, 4),
                      "facts": len(self.root.facts)})
        violation = simplify(problem.violation(), *self.root.ends)
        if violation == FALSE:
            record = Closed(layout, self.root.facts, Proof(), [])
            self._end(FormulaResult(record, None, 0.0, Stats()))
            return
        self._judge_by(violation)

    _at_root = False

    def _stopped(self) -> bool:
        return self._whole.spent if self._at_root else self.budget.spent

    @property
    def _box(self) -> tuple[FloatArray, FloatArray]:
        whole = self.whole_features
        return self.problem.region.float_box() if whole is None else (whole.lo, whole.hi)

    def _judge_by(self, violation: Formula) -> None:
        """The policy of all plans for what is left of the violated claim."""
        problem, layout, options, (lo, hi) = self.problem, self.layout, self.options, self._box
        distinct = list(dict.fromkeys(atoms(violation)))
        rounding = Rounding(problem.graph, list(layout.targets), (lo, hi), self.root.ends)
        policy = FormulaPolicy(problem, violation, distinct, rounding, self.whole_features)
        self.policy = policy
        if options.record and ExactClaim.suits(problem, layout):
            policy.exact = ExactClaim(
                problem, layout, distinct, policy.counts,
                lambda: self.budget.spent or policy.finished())
        if not distinct:  # it is certain under bounds: any point off the kinks violates the claim
            policy.candidates(np.stack([lo, hi, (lo + hi) / 2]), [])
            self._end(FormulaResult(None, policy.witness, -np.inf, Stats()))
        self._plans = _plans(self.given, options)

    def _searched_by(self, plan: SearchOptions) -> Search:
        """The search of one plan, with its roots bounded."""
        policy, layout, (lo, hi) = self.policy, self.layout, self._box
        if policy is None:
            raise ValueError("a plan before there is a policy")
        known = replanted(self.like, layout)
        signs = np.zeros((1, layout.gates), dtype=np.int8) if known is None else known.signs
        count, distinct = len(signs), len(policy.atoms)
        roots = whole(
            np.repeat(lo[None], count, axis=0), np.repeat(hi[None], count, axis=0), signs,
            [range(distinct)] * count, forms=distinct, waits=bool(plan.refresh))
        if known is not None:
            roots.node[:] = known.leaves
        search = Search(
            self.root, self.bounder, policy, plan, self.budget, roots, self.log,
            self.whole_features, None if known is None else known.proof)
        points = samples(lo, hi, self.balls, self.seed)
        if self._known is not None:
            points = np.concatenate([self._known, points])
        search.begin(points)
        return search


def _closed_plainly(
    problem: Problem, root: Root, bounder: Bounder, options: SearchOptions, budget: Budget,
    whole_features: WholeFeatures | None,
) -> Closed | None:
    """The record of a proof where plain bounds of the units suffice, and nothing but the claim's
    own rows is optimised; None where they do not."""
    layout = root.layout
    violation = simplify(problem.violation(), *root.ends)
    if violation == FALSE:
        return Closed(layout, root.facts, Proof(), [])
    distinct = list(dict.fromkeys(atoms(violation)))
    if not 0 < len(distinct) <= _FEW_ROWS:
        return None
    lo, hi = problem.region.float_box() if whole_features is None else (
        whole_features.lo, whole_features.hi)
    rounding = Rounding(problem.graph, list(layout.targets), (lo, hi), root.ends)
    policy = FormulaPolicy(problem, violation, distinct, rounding, whole_features)
    roots = whole(
        lo[None], hi[None], np.zeros((1, layout.gates), dtype=np.int8), [range(len(distinct))],
        forms=len(distinct), waits=False)
    plan = replace(options, tighten=False, ahead=0)
    search = Search(root, bounder, policy, plan, budget, roots, None, whole_features)
    search.begin()
    left = search.open_domains()
    return None if len(left) else Closed(layout, root.facts, search.proof, policy.atoms)


def _nothing(layout: Layout) -> Closed:
    """The record for a region without a point, by its whole numbers and one-hot groups."""
    return Closed(layout, [], Proof([ProofNode(-1, closed="empty")]), [])


def _plans(given: SearchOptions, options: SearchOptions) -> list[SearchOptions]:
    """The searches to try one after the other: on large networks, unless it was asked otherwise,
    first a short one without tightening."""
    if not options.tighten or given.tighten is not None:
        return [options]
    few = min(_PLAIN, options.max_domains)
    return [replace(options, tighten=False, max_domains=few), options]


def _result(search: Search, root: Root, policy: FormulaPolicy) -> FormulaResult:
    """What a search has come to."""
    left = search.open_domains()
    lower = float(left.value.min(initial=np.inf)) if len(left) else 0.0
    if policy.witness is not None:
        return FormulaResult(None, policy.witness, lower, search.stats)
    record = Closed(search.layout, root.facts, search.proof, policy.atoms)
    if not len(left):
        return FormulaResult(record, None, lower, search.stats, nearest=policy.nearest)
    rest = Rest(search.layout, left)
    return FormulaResult(None, None, lower, search.stats, rest, record, policy.nearest)


__all__ = ["MARGIN", "FormulaPolicy", "FormulaResult", "decide_search"]
