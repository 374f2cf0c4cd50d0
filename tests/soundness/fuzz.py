"""Random questions put to every decider: they must not contradict one another, ever.

    python -m tests.soundness.fuzz --questions 2000 --jobs 2

Each question (see `questions.py`) is decided by region enumeration (called directly: it shares no
rule with the engine), by HiGHS, z3, SCIP and cvc5, each alone without attack and search, by the
search alone, and once by the default pipeline. A disagreement is a pair of answers that cannot
both be right, or a bound on the worst margin that an exact point breaks. Deciders in floating
point may leave a tie open; those in exact arithmetic may leave nothing open but for time. The exit
code is 1 where there is any of these, and the question is saved as text.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from fractions import Fraction
from functools import partial
from itertools import combinations
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from tests.helpers.questions import Question, question
from verifex.engine.decide import decide
from verifex.engine.falsify.witness import replay
from verifex.engine.findings.reasons import ReasonKind
from verifex.engine.solve.pool import SolverPool
from verifex.engine.verdict import Outcome, Verdict
from verifex.ir.model.solving import Status, Stop
from verifex.ir.problem import Problem
from verifex.ir.text.document import problem_dumps
from verifex.settings import Settings
from verifex.solvers.regions import decide as enumerate_regions

EXACT = ("regions", "z3", "cvc5")
DECIDERS = ("regions", "highs", "z3", "scip", "cvc5", "search", "default")
SECONDS = 10.0
"""Wall time that one decider has for one question."""
_SLACK = 1e-6  # what a floating-point solver's bound may be off, relative to the margin's size


@dataclass(frozen=True)
class Answer:
    """What one decider said: "true", "false", "kink" (violated on kinks only) or "open".

    `proven` and `claimed` bound the worst margin from below, `attained` is an exact margin.
    """

    decider: str
    said: str
    reason: str
    seconds: float
    proven: Fraction | None = None
    claimed: float | None = None
    attained: Fraction | None = None
    timed_out: bool = False


@dataclass(frozen=True)
class Case:
    """One question with all its answers and what is wrong with them."""

    seed: int
    kind: str
    description: str
    near: bool
    seconds: float  # to make the question
    answers: tuple[Answer, ...]
    conflicts: tuple[str, ...]
    undecided: tuple[str, ...]

    @property
    def truth(self) -> str:
        """What the exact deciders say, "open" where none of them decided."""
        said = [a.said for a in self.answers if a.decider in EXACT and a.said != "open"]
        return said[0] if said else "open"


def answer_of(name: str, q: Question, pool: SolverPool, seconds: float = SECONDS) -> Answer:
    """The answer of one decider: a solver alone, the search alone, or the default pipeline."""
    if name == "regions":
        return by_regions(q.problem, seconds)
    options = Settings(seconds=seconds)
    if name == "search":
        options = Settings(seconds=seconds, solvers=(), attack=False)
    elif name != "default":
        options = Settings(seconds=seconds, solvers=(name,), attack=False, search=False)
    return read(name, decide(q.problem, options, pool), seconds)


def by_regions(problem: Problem, seconds: float) -> Answer:
    """Region enumeration, with its point replayed."""
    found = enumerate_regions(problem, seconds)
    said, attained = "kink" if "kink" in found.note else "open", None
    if found.status is Status.INFEASIBLE:
        said = "true"
    elif found.point is not None:
        at = replay(problem, tuple(Fraction(found.point[i]) for i in range(problem.region.size)))
        said, attained = ("false", at.margin) if at.refutes else ("open", None)
    note = found.note or found.stop.value
    late = found.stop is Stop.TIME
    return Answer("regions", said, note, found.seconds, attained=attained, timed_out=late)


def read(name: str, verdict: Verdict, seconds: float = SECONDS) -> Answer:
    """A verdict as an answer."""
    on_kink = any(r.kind is ReasonKind.ON_KINK for r in verdict.reasons)
    said = {Outcome.PROVED: "true", Outcome.CLAIMED: "true", Outcome.REFUTED: "false"}.get(
        verdict.outcome, "kink" if on_kink else "open"
    )
    return Answer(
        name, said, verdict.reason, verdict.seconds, verdict.margin_low, verdict.margin_claimed,
        verdict.margin_high, verdict.seconds >= 0.9 * seconds,
    )


def conflicts(answers: Sequence[Answer]) -> Iterator[str]:
    """Every contradiction between answers to one question."""
    for a, b in combinations([a for a in answers if a.said != "open"], 2):
        if a.said != b.said:
            yield f"{a.decider} says {a.said}, {b.decider} says {b.said}"
    attained = [a.attained for a in answers if a.attained is not None]
    if not attained:
        return
    least = min(attained)
    for a in answers:
        if a.proven is not None and a.proven > least:
            yield f"{a.decider} proved margin {float(a.proven)!r}, {float(least)!r} is attained"
        slack = _SLACK * max(1.0, abs(float(least)))
        if a.claimed is not None and a.claimed > float(least) + slack:
            yield f"{a.decider} claims margin {a.claimed!r}, {float(least)!r} is attained"


def ask(
    q: Question, deciders: Iterable[str], pool: SolverPool, made_in: float = 0.0,
    seconds: float = SECONDS,
) -> Case:
    """Put one question to all deciders."""
    answers = tuple(answer_of(name, q, pool, seconds) for name in deciders)
    undecided = tuple(
        f"{a.decider}: {a.reason}" for a in answers
        if a.decider in EXACT and a.said == "open" and not a.timed_out
    )
    wrong = tuple(conflicts(answers))
    return Case(q.seed, q.kind, q.description, q.near, made_in, answers, wrong, undecided)


def run(
    seeds: Sequence[int], deciders: Sequence[str], save: str = "", seconds: float = SECONDS
) -> list[Case]:
    """Ask the questions of these seeds, one after the other, with one set of solver processes."""
    cases = []
    with SolverPool() as pool:
        for seed in seeds:
            started = time.monotonic()
            q = question(seed)
            case = ask(q, deciders, pool, time.monotonic() - started, seconds)
            if save and (case.conflicts or case.undecided):
                folder = Path(save)
                folder.mkdir(parents=True, exist_ok=True)
                (folder / f"question-{seed}.json").write_text(problem_dumps(q.problem) + "\n")
            cases.append(case)
    return cases


def run_all(
    first: int, count: int, deciders: Sequence[str], jobs: int, save: str = "",
    seconds: float = SECONDS,
) -> Iterator[Case]:
    """Ask `count` questions in `jobs` processes; cases come in the order of their seeds."""
    chunks = [range(s, min(s + 20, first + count)) for s in range(first, first + count, 20)]
    work = partial(run, deciders=tuple(deciders), save=save, seconds=seconds)
    if jobs == 1:
        for chunk in chunks:
            yield from work(chunk)
        return
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        for cases in pool.map(work, chunks):
            yield from cases


@dataclass
class Summary:
    """Counts over all questions."""

    questions: int = 0
    truth: Counter[str] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)
    near: int = 0
    said: dict[str, Counter[str]] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    timed_out: Counter[str] = field(default_factory=Counter)
    making: float = 0.0
    conflicts: list[str] = field(default_factory=list)
    undecided: list[str] = field(default_factory=list)

    def add(self, case: Case) -> None:
        self.questions += 1
        self.truth[case.truth] += 1
        self.kinds[case.kind] += 1
        self.near += case.near
        self.making += case.seconds
        for a in case.answers:
            self.said.setdefault(a.decider, Counter())[a.said] += 1
            self.seconds[a.decider] = self.seconds.get(a.decider, 0.0) + a.seconds
            self.timed_out[a.decider] += a.timed_out and a.said == "open"
        at = f"question {case.seed} ({case.description})"
        self.conflicts += [f"{at}: {text}" for text in case.conflicts]
        self.undecided += [f"{at}: {text}" for text in case.undecided]

    @property
    def failed(self) -> bool:
        return bool(self.conflicts or self.undecided)

    def share(self, what: str) -> float:
        return self.truth[what] / max(1, self.questions)

    def text(self) -> str:
        """The table, as Markdown (and readable as plain text)."""
        n = max(1, self.questions)
        lines = [
            f"{self.questions} questions: {self.truth['true']} true ({self.share('true'):.1%}), "
            f"{self.truth['false']} false ({self.share('false'):.1%}), "
            f"{self.truth['kink']} violated on kinks only, {self.truth['open']} undecided.",
            f"Thresholds within 1e-6 of the exact worst case: {self.near} ({self.near / n:.1%}).",
            f"Disagreements: {len(self.conflicts)}. "
            f"Left open by a decider in exact arithmetic: {len(self.undecided)}.",
            "",
            "| decider | true | false | on kinks only | open | out of time | ms a question |",
            "|---|---|---|---|---|---|---|",
        ]
        for name, said in self.said.items():
            ms = 1000 * self.seconds[name] / n
            lines.append(
                f"| {name} | {said['true']} | {said['false']} | {said['kink']} | {said['open']} | "
                f"{self.timed_out[name]} | {ms:.0f} |"
            )
        kinds = ", ".join(f"{k} {c}" for k, c in sorted(self.kinds.items()))
        return "\n".join([*lines, "", f"Kinds of claims: {kinds}."])

    def to_json(self) -> dict[str, Any]:
        return {**vars(self), "failed": self.failed}


def document(summary: Summary, command: str, seconds: float) -> str:
    """The page that keeps the result of a run."""
    return "\n".join([
        "# Fuzz: every decider against every other", "",
        "Written by the command below; the numbers are what it printed.", "",
        f"    {command}", "",
        "Random networks of up to 12 gates with weights k/64, gradient or input\\*gradient, a",
        "region and a claim, most of them with a threshold exactly on the worst case or just",
        "beside it (tests/soundness/questions.py). Each question is decided by region",
        "enumeration, by every solver alone, by the search alone and by the default pipeline.",
        "Deciders in floating point may leave a tie open; exact ones only what they have no time",
        "for. `On kinks only`: the claim is violated only where the attribution is not defined (a",
        "gate may be 0 or 1 there), which is neither a proof nor a refutation.", "",
        summary.text(), "", f"Wall time: {seconds:.0f} s.", "",
        *(f"* {text}" for text in (*summary.conflicts, *summary.undecided)),
    ]).rstrip() + "\n"


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--questions", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0, help="seed of the first question")
    parser.add_argument("--deciders", default=",".join(DECIDERS), help="comma-separated")
    parser.add_argument("--jobs", type=int, default=min(2, os.cpu_count() or 1))
    parser.add_argument("--seconds", type=float, default=SECONDS, help="for one answer")
    parser.add_argument("--json", default="build/fuzz.json", help="where the summary goes")
    parser.add_argument("--document", default="", help="also write a page with the result")
    parser.add_argument("--save", default="build/fuzz", help="folder for questions that failed")
    args = parser.parse_args(argv)
    started, summary = time.monotonic(), Summary()
    deciders = args.deciders.split(",")
    cases = run_all(args.seed, args.questions, deciders, args.jobs, args.save, args.seconds)
    for case in cases:
        summary.add(case)
        for text in (*case.conflicts, *case.undecided):
            print(f"question {case.seed} ({case.description}): {text}", flush=True)
        if summary.questions % 200 == 0:
            print(f"{summary.questions} asked, {time.monotonic() - started:.0f} s", flush=True)
    elapsed = time.monotonic() - started
    print(summary.text(), f"Wall time: {elapsed:.0f} s.", sep="\n")
    Path(args.json).parent.mkdir(parents=True, exist_ok=True)
    data = {**summary.to_json(), "wall": elapsed, "first_seed": args.seed}
    Path(args.json).write_text(json.dumps(data, indent=1) + "\n")
    if args.document:
        command = "python -m tests.soundness.fuzz " + " ".join(argv or sys.argv[1:])
        page = Path(args.document)
        _, at, others = (page.read_text() if page.is_file() else "").partition("\n## ")
        page.write_text(document(summary, command, elapsed) + at + others)
    if summary.failed:
        print(f"FAILED: the questions are in {args.save}; keep them in tests/regressions")
    return 1 if summary.failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
