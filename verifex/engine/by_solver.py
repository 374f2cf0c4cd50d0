"""One solver's try at a claim: what it says is replayed, compared with what is known, weighed."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

from verifex.engine.falsify.interior import interior_point
from verifex.engine.falsify.witness import refute, snap
from verifex.engine.findings.reasons import (
    SEARCH,
    Evidence,
    EvidenceKind,
    Reason,
    ReasonKind,
    replayed,
)
from verifex.engine.float_margin import WorstMargin
from verifex.engine.run import Run
from verifex.engine.testimony import Hearing, Statement, heard
from verifex.engine.verdict import Outcome, Verdict, Witness
from verifex.errors import UnsupportedError
from verifex.ir.model.solving import Answer, SolveLimits, Status
from verifex.ir.text.document import problem_to_json
from verifex.semantics.claim import NodeBounds, Question, ask


def by_solver(run: Run, name: str) -> Verdict | None:
    """One solver's try; anything it cannot take becomes a reason, named."""
    capabilities, availability = run.pool.info(name)
    if not availability.ok:
        run.reasons.append(Reason(ReasonKind.NOT_AVAILABLE, name, availability.reason))
        return None
    started = time.monotonic()
    try:
        if capabilities.reads == "problem":
            verdict = _problem_solver(run, name)
        elif capabilities.exact:
            verdict = _exact_solver(run, name, capabilities.products)
        else:
            verdict = _float_solver(run, name, capabilities.products)
    except UnsupportedError as error:
        run.reasons.append(Reason(ReasonKind.UNSUPPORTED, name, str(error)))
        verdict = None
    run.stage(name, started, verdict.outcome.value if verdict else "open")
    return None if verdict is None else replace(verdict, steps=tuple(run.steps))


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


def _float_solver(run: Run, name: str, products: bool) -> Verdict | None:
    """Maximise the violation's margin: clearly below zero, in two runs, is a claim, clearly above
    a candidate."""
    question = _ask(run, products, margin=True, off_kinks=False, bounds=run.rest)
    margin = WorstMargin(run.problem, run.bounds, question, run.rest is not None)
    last = run.settings.asked[-1] == name
    budget = run.budget.part(1.0 if last else 0.8)
    answers: list[Answer] = []
    broken: list[Witness] = []

    def once(attempt: int, share: float) -> Statement | None:
        limits = _limits(run)
        limits = replace(limits, seconds=budget.left * share, seed=limits.seed + attempt)
        answers.append(run.pool.solve(name, question.model, limits))
        # A point that breaks the claim exactly beats whatever a solver states.
        if (witness := _exact_witness(run, question, answers[-1])) is not None:
            broken.append(witness)
            return None
        said = heard(answers[-1])
        if said.infeasible and run.margin_high is None:
            witness = attain_some(run)
            if witness is not None:
                broken.append(witness)
                return None
        return replace(said, against=margin.against(said, run.margin_high))

    told: list[Reason] = []
    said = Hearing(name, once, margin.decides, True, lambda: budget.spent, told).outcome()
    run.doubt(told)
    if broken:
        return run.verdict(Outcome.REFUTED, evidence=replayed(name), witness=broken[0])
    if said is not None and (verdict := _float_claim(run, name, margin, said)) is not None:
        return verdict
    answer = next((a for a in answers if a.point is not None), answers[-1])
    if answer.point is None:
        run.reasons += [] if said is None else [_no_answer(name, answer)]
        return None
    witness = _inner_witness(run, name, products, question, answer)
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


def _float_claim(run: Run, name: str, margin: WorstMargin, said: Statement) -> Verdict | None:
    """What a floating-point solver's statement, in two runs, claims."""
    if not margin.decides(said):
        return None
    if said.bound is not None:
        run.margin_claimed = margin.claimed(said.bound)
    evidence: list[Evidence] = []
    if run.rest is not None and run.proof is not None:
        proof = run.proof.proof
        evidence.append(Evidence(
            EvidenceKind.PARTLY_CLOSED, SEARCH, count=proof.leaves, open=proof.open))
    if said.infeasible:
        evidence.append(Evidence(EvidenceKind.INFEASIBLE, name))
    elif run.margin_claimed is None:
        evidence.append(Evidence(EvidenceKind.REST_HOLDS, name))
    else:
        evidence.append(Evidence(EvidenceKind.MARGIN, name, run.margin_claimed))
    return run.verdict(Outcome.CLAIMED, evidence=evidence)


def _no_answer(name: str, answer: Answer) -> Reason:
    """Why a solver's answer is of no use: how it ended."""
    return Reason(ReasonKind.NO_ANSWER, name, f"{answer.stop.value} {answer.note}".strip())


def _inner_witness(
    run: Run, name: str, products: bool, question: Question, answer: Answer
) -> Witness | None:
    """A witness inside the activation region that the solver's point lies in."""
    for steady in (False, True):  # more than a witness needs, which is simpler, then just that
        if run.budget.spent:
            break
        strict = _ask(run, products, margin=True, off_kinks=not steady, steady=steady)
        inner = interior_point(question, answer, strict, run.pool, name, _limits(run, 0.5))
        if inner is not None:
            return refute(run.problem, inner)
    return None


# --- exact solvers -----------------------------------------------------------------------------


def _exact_solver(run: Run, name: str, products: bool) -> Verdict | None:
    """First the closed question (kinks allowed): none means claimed. Then those whose answers
    refute: with no gate at zero, and with none at zero that a value of the claim depends on."""
    closed = _ask(run, products, margin=False, off_kinks=False)
    answer = run.pool.solve(name, closed.model, _limits(run))
    if answer.status is Status.INFEASIBLE:
        if _violated(run, name):
            return None
        return run.verdict(Outcome.CLAIMED, evidence=[Evidence(EvidenceKind.UNSATISFIABLE, name)])
    witness = _exact_witness(run, closed, answer)
    for steady in () if answer.point is None else (False, True):
        if witness is not None or run.budget.spent:
            break
        strict = _ask(run, products, margin=False, off_kinks=not steady, steady=steady)
        answer = run.pool.solve(name, strict.model, _limits(run))
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


def _problem_solver(run: Run, name: str) -> Verdict | None:
    """A decider that reads the problem itself (region enumeration)."""
    data: dict[str, Any] = problem_to_json(run.problem)
    answer = run.pool.solve_problem(name, data, _limits(run))
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
