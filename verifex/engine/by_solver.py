"""One solver's try at a claim: what it says is replayed, compared with what is known, weighed.

A try goes in steps (`solve/steps.py`), so that a solver can be paused while others work.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from verifex.engine.falsify.interior import look_inside
from verifex.engine.falsify.witness import refute, snap
from verifex.engine.findings.reasons import (
    Evidence,
    EvidenceKind,
    Reason,
    ReasonKind,
    replayed,
)
from verifex.engine.float_margin import WorstMargin
from verifex.engine.run import OpenPart, Run
from verifex.engine.solve.steps import Steps, finish
from verifex.engine.testimony import Hearing, Statement, heard
from verifex.engine.verdict import Outcome, Verdict, Witness
from verifex.errors import UnsupportedError
from verifex.ir.model.solving import Answer, SolveLimits, Status
from verifex.ir.text.document import problem_to_json
from verifex.semantics.claim import NodeBounds, Question, ask


def by_solver(run: Run, name: str) -> Verdict | None:
    """One solver's try; anything it cannot take becomes a reason, named."""
    started = time.monotonic()
    last = run.settings.asked[-1] == name
    verdict = finish(steps_of(run, name, 1.0 if last else 0.8))
    run.stage(name, started, verdict.outcome.value if verdict else "open")
    return None if verdict is None else replace(verdict, steps=tuple(run.steps))


def steps_of(
    run: Run, name: str, share: float = 1.0, rest: OpenPart | None = None,
    in_turns: Callable[[], None] | None = None,
) -> Steps[Verdict | None]:
    """The same in steps, in a `share` of the time that is left. With a `rest` the solver is asked
    about that alone, if it may believe whoever closed the other parts. `in_turns`: it is paused
    between steps, so that no half of the time is kept for a second run; called when one is due."""
    capabilities, availability = run.pool.info(name)
    if not availability.ok:
        run.reasons.append(Reason(ReasonKind.NOT_AVAILABLE, name, availability.reason))
        return None
    try:
        if capabilities.reads == "problem":
            return (yield from _problem_solver(run, name))
        if capabilities.exact:
            # Sound: an exact solver's word is not mixed with what a search found in floats.
            sound = rest if rest is not None and rest.rounded else None
            return (yield from _exact_solver(run, name, capabilities.products, sound))
        floats = _FloatTry(run, name, capabilities.products, share, rest, in_turns)
        return (yield from floats.steps())
    except UnsupportedError as error:
        run.reasons.append(Reason(ReasonKind.UNSUPPORTED, name, str(error)))
        return None


def _limits(run: Run, share: float = 1.0) -> SolveLimits:
    budget, seed = run.budget, run.settings.seed
    return SolveLimits(budget.left * share, budget.memory, budget.threads, seed)


def _ask(
    run: Run, products: bool, margin: bool, off_kinks: bool = False,
    bounds: NodeBounds | None = None, steady: bool = False,
) -> Question:
    question = ask(
        run.problem, bounds or run.bounds, products=products, margin=margin, off_kinks=off_kinks,
        steady=steady,
    )
    run.notes.extend(n for n in question.relaxed if n not in run.notes)
    return question


# --- floating-point solvers --------------------------------------------------------------------


@dataclass
class _FloatTry:
    """Maximise the violation's margin: clearly below zero, in two runs, is a claim, clearly above
    a candidate."""

    run: Run
    name: str
    products: bool
    share: float
    rest: OpenPart | None
    in_turns: Callable[[], None] | None
    answers: list[Answer] = field(default_factory=list)
    broken: Witness | None = None

    def __post_init__(self) -> None:
        run, rest = self.run, self.rest
        bounds = None if rest is None else rest.bounds
        self.question = _ask(run, self.products, margin=True, off_kinks=False, bounds=bounds)
        self.margin = WorstMargin(run.problem, run.bounds, self.question, rest is not None)
        self.budget = run.budget.part(self.share)

    def once(self, attempt: int, share: float) -> Steps[Statement | None]:
        """One run, in a share of the time that is left; None where there is a witness."""
        run, limits = self.run, _limits(self.run)
        limits = replace(limits, seconds=self.budget.left * share, seed=limits.seed + attempt)
        self.answers.append((yield from run.pool.asking(self.name, self.question.model, limits)))
        # A point that breaks the claim exactly beats whatever a solver states.
        self.broken = _exact_witness(run, self.question, self.answers[-1])
        if self.broken is not None:
            return None
        said = heard(self.answers[-1])
        if said.infeasible and run.margin_high is None:
            self.broken = attain_some(run)
            if self.broken is not None:
                return None
        said = replace(said, against=self.margin.against(said, run.margin_high))
        if self.in_turns is not None and not said.against and self.margin.decides(said):
            self.in_turns()
        return said

    def steps(self) -> Steps[Verdict | None]:
        """All runs, and what comes of them."""
        run, name, told = self.run, self.name, list[Reason]()
        said = yield from Hearing(
            name, self.once, self.margin.decides, True, lambda: self.budget.spent, told,
            reserve=self.in_turns is None).hear()
        run.doubt(told)
        if self.broken is not None:
            return run.verdict(Outcome.REFUTED, evidence=replayed(name), witness=self.broken)
        if said is not None:
            claim = _float_claim(run, name, self.margin, said, self.rest)
            if claim is not None:
                return claim
        answer = next((a for a in self.answers if a.point is not None), self.answers[-1])
        if answer.point is None:
            run.reasons += [] if said is None else [_no_answer(name, answer)]
            return None
        witness = yield from _inner_witness(run, name, self.products, self.question, answer)
        if witness is not None:
            return run.verdict(Outcome.REFUTED, evidence=replayed(name), witness=witness)
        run.reasons.append(Reason(ReasonKind.TIE, name))
        return None


def attain_some(run: Run) -> Witness | None:
    """Replay the reference or a corner, and another corner: some point of the region is known. A
    witness, if one of them is."""
    region = run.problem.region
    found = (run.attain(snap(region, point))
             for point in (run.problem.point or region.lo, region.hi))
    return next((witness for witness in found if witness is not None), None)


def _float_claim(
    run: Run, name: str, margin: WorstMargin, said: Statement, rest: OpenPart | None
) -> Verdict | None:
    """What a floating-point solver's statement, in two runs, claims."""
    if not margin.decides(said):
        return None
    if said.bound is not None:
        run.margin_claimed = margin.claimed(said.bound)
    if said.infeasible:
        word = Evidence(EvidenceKind.INFEASIBLE, name)
    elif run.margin_claimed is None:
        word = Evidence(EvidenceKind.REST_HOLDS, name)
    else:
        word = Evidence(EvidenceKind.MARGIN, name, run.margin_claimed)
    return _claimed(run, word, rest)


def _claimed(run: Run, word: Evidence, rest: OpenPart | None) -> Verdict:
    """A claim on a solver's word, which may be about what a search has left open alone."""
    evidence = [word]
    if rest is not None:
        # What was open when the solver was asked contains what is open by now.
        run.proof = rest.record()
        proof = run.proof.proof
        evidence.insert(0, Evidence(
            EvidenceKind.PARTLY_CLOSED, rest.source, count=proof.leaves, open=proof.open))
    return run.verdict(Outcome.CLAIMED, evidence=evidence)


def _no_answer(name: str, answer: Answer) -> Reason:
    """Why a solver's answer is of no use: how it ended."""
    return Reason(ReasonKind.NO_ANSWER, name, f"{answer.stop.value} {answer.note}".strip())


def _inner_witness(
    run: Run, name: str, products: bool, question: Question, answer: Answer
) -> Steps[Witness | None]:
    """A witness inside the activation region that the solver's point lies in."""
    for steady in (False, True):  # more than a witness needs, which is simpler, then just that
        if run.budget.spent:
            break
        strict = _ask(run, products, margin=True, off_kinks=not steady, steady=steady)
        inner = yield from look_inside(
            question, answer, strict, run.pool, name, _limits(run, 0.5))
        if inner is not None:
            return refute(run.problem, inner)
    return None


# --- exact solvers -----------------------------------------------------------------------------


def _exact_solver(
    run: Run, name: str, products: bool, rest: OpenPart | None
) -> Steps[Verdict | None]:
    """First the closed question (kinks allowed): none means claimed. Then those whose answers
    refute: with no gate at zero, and with none at zero that a value of the claim depends on."""
    bounds = None if rest is None else rest.bounds
    closed = _ask(run, products, margin=False, off_kinks=False, bounds=bounds)
    answer = yield from run.pool.asking(name, closed.model, _limits(run))
    if answer.status is Status.INFEASIBLE:
        if _violated(run, name):
            return None
        return _claimed(run, Evidence(EvidenceKind.UNSATISFIABLE, name), rest)
    witness = _exact_witness(run, closed, answer)
    for steady in () if answer.point is None else (False, True):
        if witness is not None or run.budget.spent:
            break
        strict = _ask(
            run, products, margin=False, off_kinks=not steady, bounds=bounds, steady=steady)
        answer = yield from run.pool.asking(name, strict.model, _limits(run))
        witness = _exact_witness(run, strict, answer)
        if answer.status is not Status.INFEASIBLE:
            break
        if steady:
            kind = ReasonKind.ON_KINK if strict.whole else ReasonKind.NOT_OFF_KINKS
            run.reasons.append(Reason(kind, name))
            return None
    if witness is not None:
        return run.verdict(Outcome.REFUTED, evidence=replayed(name), witness=witness)
    run.reasons.append(_no_answer(name, answer))
    return None


def _exact_witness(run: Run, question: Question, answer: Answer) -> Witness | None:
    if answer.point is None:
        return None
    region, point = run.problem.region, answer.point
    inputs = [point.get(v, region.lo[i]) for i, v in enumerate(question.inputs)]
    witness = refute(run.problem, inputs)
    if witness is None:
        run.attain(snap(region, inputs))
    return witness


def _violated(run: Run, name: str) -> bool:
    """Whether a replayed point, if only on a kink, contradicts that nothing violates the claim."""
    below = run.margin_high is not None and run.margin_high < 0
    if not (below or run.violated):
        return False
    at = f"a replayed margin {float(run.margin_high or 0):.6g}" if below else "a replayed point"
    run.doubt([Reason(ReasonKind.CONTRADICTED, name, at)])
    return True


def _problem_solver(run: Run, name: str) -> Steps[Verdict | None]:
    """A decider that reads the problem itself (region enumeration)."""
    data: dict[str, Any] = problem_to_json(run.problem)
    answer = yield from run.pool.asking(name, data, _limits(run))
    if answer.status is Status.INFEASIBLE:
        if _violated(run, name):
            return None
        return run.verdict(Outcome.CLAIMED, evidence=[Evidence(EvidenceKind.NO_REGION, name)])
    if answer.point is not None:
        region = run.problem.region
        witness = refute(run.problem, [answer.point.get(i, v) for i, v in enumerate(region.lo)])
        if witness is not None:
            return run.verdict(Outcome.REFUTED, evidence=replayed(name), witness=witness)
    run.reasons.append(
        Reason(ReasonKind.NO_ANSWER, name, answer.note or answer.stop.value))
    return None
