"""One end of a range: what solvers add to the best value attained and to the bound beside it.

Sound beats claimed. The search's bound is derived in float64 with what it found; a solver's bound
is its word. A solver is asked for what the search has left open, and only what two of its runs
agree on tightens an end. Whatever a replayed point contradicts is discarded.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np

from verifex.engine.budget import Budget
from verifex.engine.falsify.attained import Best, discarded
from verifex.engine.falsify.interior import interior_point
from verifex.engine.findings.reasons import Evidence, EvidenceKind, Reason, ReasonKind
from verifex.engine.search.handover import Rest
from verifex.engine.search.record import Closed
from verifex.engine.solve.pool import SolverPool
from verifex.engine.testimony import Hearing, Statement, allowance, heard
from verifex.engine.verdict import RangeEnd
from verifex.engine.watch import Watch
from verifex.errors import UnsupportedError
from verifex.ir.formula import Atom, Form
from verifex.ir.model.lower import to_float
from verifex.ir.model.solving import Answer, Capabilities, SolveLimits
from verifex.ir.problem import Objective, Problem
from verifex.ir.text.document import problem_to_json
from verifex.semantics.claim import NodeBounds, Question, ask, extremum
from verifex.semantics.evaluate import evaluate_float
from verifex.settings import Settings

_SLACK = 1e-9
"""A solver is asked for values up to so much (relative) worse than the best one known."""


@dataclass(frozen=True)
class Left:
    """What a search leaves of one end, as a minimum of the form or of its negative: the value
    attained, a bound outside the open domains, and these."""

    attained: float
    closed: float
    domains: Rest | None


@dataclass(frozen=True)
class EndProof:
    """What a search has recorded of one end: by this tree the form is at least (of a maximum: at
    most) `bound`, as far as floats tell. `claim` is that bound, exactly, where the record is of a
    search for just this claim, and not of one for the range."""

    bound: float
    record: Closed
    claim: Fraction | None = None


class End(Best):
    """The search for one end."""

    def __init__(
        self,
        problem: Problem,
        objective: Objective,
        bounds: NodeBounds,
        settings: Settings,
        pool: SolverPool,
        budget: Budget,
        left: Left | None = None,
        watch: Watch | None = None,
    ) -> None:
        super().__init__(problem, objective)
        self.bounds, self.left = bounds, left
        self.settings, self.pool, self.budget = settings, pool, budget
        self.watch = watch or Watch()
        self.evidence: list[Evidence] = []
        self.reasons: list[Reason] = []
        self.doubted: list[tuple[str, float]] = []
        """Optima that solvers stated and that were not claimed, until another solver speaks."""

    def run(self, proven: Fraction | None, known: RangeEnd | None = None) -> RangeEnd:
        """This end, from what the search knows of it (`known`) and what solvers add."""
        self._sample()
        if known is not None and known.point is not None:
            self.offer(list(known.point))
        claimed = (known.claimed, known.by) if known and known.claimed is not None else None
        for name in self.settings.asked:
            if self.budget.spent:
                self.reasons.append(
                    Reason(ReasonKind.OUT_OF_TIME, seconds=self.settings.seconds))
                break
            capabilities, availability = self.pool.info(name)
            if not (availability.ok and capabilities.optimise):
                why = availability.reason or "it does not optimise"
                self.reasons.append(Reason(ReasonKind.NOT_USED, name, why))
                continue
            started = time.monotonic()
            try:
                said = self._solve(name, capabilities, claimed)
            except UnsupportedError as error:
                self.reasons.append(Reason(ReasonKind.UNSUPPORTED, name, str(error)))
                continue
            side = "maximum" if self.objective.maximise else "minimum"
            bound = None if said is None else said.bound
            result = side + (": open" if bound is None else f": bound {bound:.6g}")
            self.watch.stage(name, time.monotonic() - started, result)
            if said is not None and bound is not None:
                claimed = self._weighed(name, capabilities.exact, said, claimed)
                break
        for doubted, stated in self.doubted:
            if self.extreme is not None and self.contradicts(stated):
                at = f"a replayed value {float(self.extreme):.9g}"
                self.reasons.append(discarded(doubted, stated, at))
        return self.result(proven, claimed, self.reasons)

    def _sample(self) -> None:
        """Corners and random points: the value attained before any solver runs."""
        region, rng = self.problem.region, np.random.default_rng(self.settings.seed)
        lo, hi = (np.array([float(v) for v in side]) for side in (region.lo, region.hi))
        corners = np.where(rng.random((128, region.size)) < 0.5, lo, hi)
        x = np.concatenate([corners, lo + (hi - lo) * rng.random((128, region.size))])
        values = evaluate_float(self.problem.graph, x, self.problem.targets())
        total = np.full(len(x), float(self.objective.form.const))
        for (node, index), c in self.objective.form.terms:
            total += float(c) * values[node].reshape(len(x), -1)[:, index]
        order = np.argsort(-total if self.objective.maximise else total)
        for i in order[:2]:
            self.offer(x[i].tolist())

    def _weighed(
        self, name: str, exact: bool, said: Statement, claimed: tuple[float, str] | None
    ) -> tuple[float, str] | None:
        """The bound that stands once a solver has spoken, and whose it is."""
        bound = said.bound
        if bound is None:
            return claimed
        for doubted, other in self.doubted:
            if said.final and self._beyond(bound, other):
                self.reasons.append(discarded(doubted, other, f"{name}'s {bound:.9g}"))
        if exact and said.final and claimed is not None and self._beyond(bound, claimed[0]):
            self.reasons.append(discarded(claimed[1], claimed[0], f"{name}'s {bound:.9g}"))
        elif not self._improves(bound, claimed):
            return claimed
        kind = EvidenceKind.EXACT_BOUND if exact else EvidenceKind.AGREED_BOUND
        self.evidence.append(Evidence(kind, name))
        return bound, name

    def _beyond(self, value: float, bound: float) -> bool:
        """Whether a value exceeds a bound of this end."""
        over = value - bound if self.objective.maximise else bound - value
        return over > allowance(value, bound)

    def _improves(self, bound: float, claimed: tuple[float, str] | None) -> bool:
        """Whether a claim would rest on a solver's bound: it says more than the search does, which
        has not ended here."""
        if claimed is None:
            return True
        ended = self.left is not None and self.left.domains is None
        return not ended and self._beyond(claimed[0], bound)

    def _solve(
        self, name: str, capabilities: Capabilities, claimed: tuple[float, str] | None
    ) -> Statement | None:
        """What a solver stands for: in exact arithmetic at once, else in two runs that agree."""
        if capabilities.reads == "problem":
            data = problem_to_json(self.problem, self.objective)
            answer = self.pool.solve_problem(name, data, self._limits())
            inputs = list(range(self.problem.region.size))
            return self._standing(name, self._take(answer, inputs, None, exact=True))
        question, left = self._question(capabilities)
        answers: list[Answer] = []

        def ask(attempt: int, share: float) -> Statement:
            limits = self._limits(share, attempt)
            answers.append(self.pool.solve(name, question.model, limits))
            return self._take(answers[-1], question.inputs, left, exact=capabilities.exact)

        if capabilities.exact:
            said = self._standing(name, ask(0, 1.0))
        else:
            said = self._heard(name, ask, claimed)
        sign = 1 if self.objective.maximise else -1
        found = sorted(
            (a for a in answers if a.point is not None),
            key=lambda a: -math.inf if a.objective is None else sign * a.objective,
        )
        if found:
            self._inside(name, capabilities.products, question, found[-1])
            self._on_kinks(question, found[-1])
        return said

    def _heard(
        self, name: str, ask: Callable[[int, float], Statement],
        claimed: tuple[float, str] | None,
    ) -> Statement | None:
        """The hearing of a floating-point solver; what it said in vain is remembered."""
        final: list[float] = []

        def noted(attempt: int, share: float) -> Statement:
            said = ask(attempt, share)
            if said.final and said.bound is not None and not said.against:
                final.append(said.bound)
            return said

        ended = self.left is not None and self.left.domains is None and claimed is not None
        said = Hearing(
            name, noted, lambda s: s.bound is not None and self._improves(s.bound, claimed),
            self.objective.maximise, lambda: self.budget.spent, self.reasons, reserve=not ended,
        ).outcome()
        if said is None:
            self.doubted += [(name, bound) for bound in final]
        return self._standing(name, said)

    def _standing(self, name: str, said: Statement | None) -> Statement | None:
        """A statement, unless it says nothing or is to be discarded: then the reason is kept."""
        if said is None:
            return None
        if said.against:
            self.reasons.append(said.contradicted(name))
            return None
        if said.bound is None:
            self.reasons.append(Reason(ReasonKind.NO_ANSWER, name, said.why))
            return None
        return said

    def _inside(self, name: str, products: bool, question: Question, answer: Answer) -> None:
        """Try a point strictly inside the activation region that an answer's point lies in."""
        problem = replace(self.problem, require=_impossible(self.objective, answer))
        for steady in (False, True):
            if self.budget.spent or (steady and self.best is not None and not self.best.on_kink):
                return
            strict = ask(
                problem, self.bounds, products=products, margin=False, off_kinks=not steady,
                steady=steady,
            )
            inner = interior_point(question, answer, strict, self.pool, name, self._limits())
            if inner is not None:
                self.offer(inner)

    def _on_kinks(self, question: Question, answer: Answer) -> None:
        """Try the kinks near an answer's point, if nothing meets its optimum."""
        if answer.point is not None and answer.objective is not None:
            lo, best = self.problem.region.lo, to_float(answer.objective)
            point = [answer.point.get(v, lo[i]) for i, v in enumerate(question.inputs)]
            self.offer_kinks(point, best)

    def _question(self, capabilities: Capabilities) -> tuple[Question, Left | None]:
        """The model; over what the search has left open, and no worse than what it attained, if
        the solver computes in floats as the search does."""
        left, exact, products = self.left, capabilities.exact, capabilities.products
        if left is None or left.domains is None or exact or not np.isfinite(left.attained):
            return extremum(self.problem, self.objective, self.bounds, products=products), None
        bounds = left.domains.bounds(self.bounds)
        question = extremum(self.problem, self.objective, bounds, products=products)
        model, maximise = question.model, self.objective.maximise
        top = Fraction(left.attained + _SLACK * (1.0 + abs(left.attained)))
        side = (">=", -top) if maximise else ("<=", top)
        if model.objective:
            model.add(model.objective, side[0], side[1] - Fraction(model.objective_const))
        return question, left

    def _whole(self, left: Left, least: float) -> float:
        """A bound over the region from one (of a minimum) over what was left open."""
        found = min(least, left.closed, left.attained)
        return 0.0 - found if self.objective.maximise else found

    def _limits(self, share: float = 1.0, attempt: int = 0) -> SolveLimits:
        budget, seed = self.budget, self.settings.seed + attempt
        return SolveLimits(budget.left * share, budget.memory, budget.threads, seed)

    def _take(
        self, answer: Answer, inputs: list[int], left: Left | None, *, exact: bool
    ) -> Statement:
        """An answer as a statement about the whole end, compared with the values attained."""
        if answer.point is not None:
            lo = self.problem.region.lo
            self.offer([answer.point.get(v, lo[i]) for i, v in enumerate(inputs)])
        said = heard(answer)
        if said.infeasible:
            if left is not None:  # nothing is better than what is attained
                whole = self._whole(left, np.inf)
                return Statement(whole, final=True, against=self._against(whole, exact))
            if self.extreme is not None:
                return replace(said, against=f"a replayed point of value {float(self.extreme):.9g}")
            return Statement(final=True, why="the region (with its assumption) is empty")
        bound = said.bound
        if bound is None:
            return said
        if left is not None:
            bound = self._whole(left, -bound if self.objective.maximise else bound)
        return replace(said, bound=bound, against=self._against(bound, exact))

    def _against(self, bound: float, exact: bool) -> str:
        """What contradicts a solver's bound: a replayed value, or one that the search attained."""
        if self.extreme is not None and self.contradicts(bound):
            return f"a replayed value {float(self.extreme):.9g}"
        if self.left is None or exact or not np.isfinite(self.left.attained):
            return ""
        attained = -self.left.attained if self.objective.maximise else self.left.attained
        return f"the search's {attained:.9g}" if self._beyond(attained, bound) else ""


def _impossible(objective: Objective, answer: Answer) -> Atom:
    """A claim that the solver's point breaks: the form stays short of its optimum.

    Its violation, strictly off the kinks, is what the interior search looks for: a value within
    1e-6 (relative) of the optimum.
    """
    best = to_float(answer.objective if answer.objective is not None else 0)
    short = Fraction(best) - Fraction(1 if objective.maximise else -1) * Fraction(
        1, 10**7
    ) * Fraction(max(1.0, abs(best)))
    # claim: sign * form < sign * short ; its negation is sign * (form - short) >= 0
    form = objective.form
    shifted = Form(form.terms, form.const - short)
    return Atom(-shifted if objective.maximise else shifted, strict=True)
