"""Deciding a claim by branch and bound: every atom of its negation is driven below zero, or a point
breaks the claim.

The negated claim is kept in three-valued form: an atom is false on a domain once the lower bound of
its negated form is positive. A domain is closed when the negation is false as a whole.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from verifex.engine.bounds.layout import Layout
from verifex.engine.bounds.optimise import Bounder
from verifex.engine.bounds.root import root_facts
from verifex.engine.bounds.rounding import Rounding
from verifex.engine.budget import Budget
from verifex.engine.falsify.witness import refute
from verifex.engine.margin import batch_margin
from verifex.engine.search.gates.domain import Domain
from verifex.engine.search.gates.refresh import lightened
from verifex.engine.search.gates.search import Search, SearchOptions, Stats
from verifex.engine.search.handover import Rest
from verifex.engine.search.record import Closed, Proof
from verifex.engine.search.start import linear_rows, samples
from verifex.engine.search.workers.team import drive, tensor_threads
from verifex.engine.verdict import Witness
from verifex.errors import UnsupportedError
from verifex.ir.exact import FloatArray
from verifex.ir.formula import (
    FALSE,
    And,
    AtLeast,
    Atom,
    Dominance,
    Form,
    Formula,
    Or,
    atoms,
    nodes,
    simplify,
)
from verifex.ir.problem import Problem
from verifex.semantics.evaluate import evaluate_float
from verifex.semantics.support.balls import drawn, float_balls

MARGIN = 1e-9
"""A bound closes an atom in the search when it clears zero by this much, or by what floats may err
on the numbers at hand where that is more: exact re-evaluation loses less."""

_MAX_ATOMS = 4000

_PLAIN = 800
"""Domains after which a search of a large network begins again, with bounds tightened behind its
splits: what closes with fewer is slower, and has longer certificates, with them."""


@dataclass
class FormulaPolicy:
    """Closes domains on which the negated claim is false; replays points that may make it true.

    `nearest` is the point that came nearest to breaking the claim, with the margin `worst` there.
    """

    problem: Problem
    broken: Formula
    atoms: list[Atom]
    rounding: Rounding
    forms: list[Form] = field(init=False)
    witness: Witness | None = None
    worst: float = np.inf
    nearest: FloatArray | None = None
    _replays: int = 0
    _broken_at: FloatArray | None = None

    def __post_init__(self) -> None:
        self.forms = [-a.form for a in self.atoms]
        self._index = {a: k for k, a in enumerate(self.atoms)}
        self._goal = self.problem.broken()
        self._clear = [max(MARGIN, self.rounding.of(form)) for form in self.forms]
        self._doubt = max(1e-12, self.rounding.of_formula(self._goal))
        self._balls = float_balls(self.problem.region)

    def goal(self, row: int) -> float:
        return self._clear[row]

    def settle(self, domain: Domain, values: dict[int, float]) -> bool:
        known: NDArray[np.bool_] = domain.state
        false = [r for r, v in values.items() if v > self._clear[r]]
        if false:
            known = known.copy()
            known[false] = True
            domain.state = known
            left = self._open(self.broken, known)
            if left is None:
                return True
            domain.rows = sorted(left)
        return False

    def _open(self, formula: Formula, false: NDArray[np.bool_]) -> set[int] | None:
        """The atoms that still matter, or None where the formula is false."""
        match formula:
            case Atom():
                k = self._index[formula]
                return None if false[k] else {k}
            case And():
                out: set[int] = set()
                for p in formula.parts:
                    mine = self._open(p, false)
                    if mine is None:
                        return None
                    out |= mine
                return out
            case Or() | AtLeast():
                count = 1 if isinstance(formula, Or) else formula.count
                parts = [self._open(p, false) for p in formula.parts]
                alive = [p for p in parts if p is not None]
                return None if len(alive) < count else set().union(*alive)
            case Dominance():
                return self._open(formula.expand(), false)

    def candidates(self, points: FloatArray, rows: list[int]) -> None:
        """Evaluate the claim at the points; replay the most promising exactly."""
        points = drawn(self._balls, points)
        values = evaluate_float(self.problem.graph, points, self.problem.targets())
        score = np.asarray(batch_margin(self._goal, values, np))
        best = int(np.nanargmax(score))
        if -score[best] < self.worst:
            self.worst, self.nearest = float(-score[best]), points[best].copy()
        for i in np.argsort(-score)[:2]:
            if score[i] < -self._doubt or self.witness is not None or self._replays > 400:
                return
            self._replays += 1
            self.witness = refute(self.problem, points[i].tolist())
            if self.witness is not None:
                self._broken_at = points[i].copy()

    def leaf_value(self, domain: Domain, row: int, value: float, point: FloatArray) -> bool:
        return False  # an atom that can be true on a leaf is not settled by that

    def tie(self, domain: Domain, values: dict[int, float]) -> bool:
        known: NDArray[np.bool_] = domain.state.copy()
        for row, value in values.items():
            if self.atoms[row].strict and value >= -self._clear[row]:
                known[row] = True
        return self._open(self.broken, known) is None

    def joint(self, domain: Domain) -> list[int]:
        # Sound: a claim that is only broken where all of them hold is not broken where they cannot.
        return sorted(self._must(self.broken, domain.state) or ())

    def _must(self, formula: Formula, false: NDArray[np.bool_]) -> set[int] | None:
        """Atoms without any one of which the formula is false; None where it is false anyway."""
        match formula:
            case Atom():
                k = self._index[formula]
                return None if false[k] else {k}
            case And():
                parts = [self._must(p, false) for p in formula.parts]
                return None if None in parts else set[int]().union(*(p for p in parts if p))
            case Or() | AtLeast():
                count = 1 if isinstance(formula, Or) else formula.count
                alive = [p for p in (self._must(q, false) for q in formula.parts) if p is not None]
                if len(alive) < count:
                    return None
                join = set.union if len(alive) == count else set.intersection
                return join(set(alive[0]), *alive[1:]) if alive else set()
            case Dominance():
                return self._must(formula.expand(), false)

    def tell(self) -> dict[str, Any]:
        x, self._broken_at = self._broken_at, None
        return {} if x is None else {"x": x}

    def hear(self, told: dict[str, Any]) -> None:
        if "x" in told and self.witness is None:
            self.witness = refute(self.problem, told["x"].tolist())

    def finished(self) -> bool:
        return self.witness is not None

    def priority(self, domain: Domain) -> float:
        return domain.value

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
) -> FormulaResult:
    """Search the whole region; `lower` bounds the margin of the least bounded open row.

    `seed` draws the points that are tried first.
    """
    lo, hi = problem.region.float_box()
    claim = problem.broken()
    layout = Layout(problem.graph, tuple(sorted(nodes(claim))))
    balls = float_balls(problem.region)
    given, options = options, lightened(options, layout)
    # Products of matrices dominate there; smooth functions may leave the range of float32.
    coarse = not options.refresh and not options.inputs
    bounder = Bounder(
        problem.graph, options.device, linear=linear_rows(problem.region), balls=balls,
        coarse=coarse,
    )
    torch.set_num_threads(tensor_threads(options, budget))
    root = root_facts(layout, bounder, lo, hi, budget.part(0.5), options.root_effort)
    if log is not None:
        log({"event": "root", "t": round(budget.elapsed, 4), "facts": len(root.facts)})
    broken = simplify(claim, *root.ends)
    distinct = list(dict.fromkeys(atoms(broken))) if broken != FALSE else []
    if broken == FALSE:
        return FormulaResult(Closed(layout, root.facts, Proof(), []), None, 0.0, Stats())
    if len(distinct) > _MAX_ATOMS:
        raise UnsupportedError(
            f"{len(distinct)} comparisons are open", expected=f"at most {_MAX_ATOMS}")
    rounding = Rounding(problem.graph, list(layout.targets), (lo, hi), root.ends)
    policy = FormulaPolicy(problem, broken, distinct, rounding)
    if not distinct:  # the negation is true under bounds: any point off the kinks breaks the claim
        policy.candidates(np.stack([lo, hi, (lo + hi) / 2]), [])
        return FormulaResult(None, policy.witness, -np.inf, Stats())
    plans = [options]
    if options.tighten and given.tighten is None:
        few = min(_PLAIN, options.max_domains)
        plans.insert(0, replace(options, tighten=False, max_domains=few))
    for plan in plans:
        search = Search(root, bounder, policy, plan, budget, log)
        state = np.zeros(len(distinct), dtype=bool)
        signs = np.zeros(layout.gates, dtype=np.int8)
        first = Domain(lo, hi, signs, list(range(len(distinct))), -1, state=state)
        search.begin([first], samples(lo, hi, balls, seed))
        drive(search)
        left = search.open_domains()
        if not left or policy.finished() or budget.spent:
            break
    lower = min((d.value for d in left), default=0.0)
    if policy.witness is not None:
        return FormulaResult(None, policy.witness, lower, search.stats)
    record = Closed(layout, root.facts, search.proof, distinct)
    if not left:
        return FormulaResult(record, None, lower, search.stats, nearest=policy.nearest)
    rest = Rest(layout, left)
    return FormulaResult(None, None, lower, search.stats, rest, record, policy.nearest)


__all__ = ["MARGIN", "FormulaPolicy", "FormulaResult", "decide_search"]
