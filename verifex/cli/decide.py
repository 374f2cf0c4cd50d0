"""`verify`, `bound` and `replay`: the commands that answer questions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from verifex import api
from verifex.cli.common import EffortOptions, console, emit, json_lines, progress, split_files

if TYPE_CHECKING:
    from verifex.engine.falsify.witness import Replay
    from verifex.engine.verdict import RangeVerdict, Verdict
    from verifex.ir.problem import Problem


@dataclass(frozen=True)
class CertificateOptions:
    """What the command line says about the certificate."""

    certificate: Path | None
    check: bool
    jobs: int


def verify(
    files: Sequence[Path], limits: EffortOptions, proof: CertificateOptions, *, attack: bool,
    save: Path | None, log: Path | None, json: bool, quiet: bool,
) -> int:
    """Decide the claim and print the verdict; its exit code."""
    network, spec, _ = split_files(files)
    limits.require()
    problem, named = api.build(network, spec), api.named_files(network, spec)
    with json_lines(log) as write, progress(problem.name, quiet) as report:
        verdict = api.answer(
            problem, named, certificate=proof.certificate, check=proof.check, jobs=proof.jobs,
            log=write, attack=attack, progress=report, **limits.keywords(),
        )
    if save is not None and verdict.witness is not None:
        from verifex.cli.witness_file import write_witness

        write_witness(save, verdict.witness.point, problem, network, spec)
    print_verdict(verdict, problem, json, quiet)
    return verdict.exit_code


def print_verdict(verdict: Verdict, problem: Problem, json: bool, quiet: bool) -> None:
    """Print a verdict in the form that was asked for."""
    if json:
        document = verdict.to_json()
        document["features"] = list(problem.region.names)
        if problem.point is not None:
            document["reference"] = [float(v) for v in problem.point]
        emit({**document, "exit_code": verdict.exit_code})
    elif quiet:
        print(verdict.outcome.value)
    else:
        from verifex.cli.render import verdict_text

        verdict_text(console(), verdict, problem)


def bound(
    files: Sequence[Path], expressions: Sequence[str], limits: EffortOptions, *, log: Path | None,
    json: bool, quiet: bool,
) -> int:
    """Find the ranges of all expressions and print them; 2, for no certificate proves a range."""
    from verifex.engine.solve.pool import SolverPool

    network, spec, _ = split_files(files)
    limits.require()
    # All expressions are read before the first is searched for: a typing error costs no time.
    for text in expressions:
        api.measure(network, spec, text)
    found: list[RangeVerdict] = []
    with SolverPool() as pool, json_lines(log) as write:
        for text in expressions:
            with progress(text, quiet) as report:
                keywords = {**limits.keywords(), "progress": report, "log": write, "pool": pool}
                found.append(api.bound(network, spec, text, **keywords))
    print_ranges(found, expressions, json, quiet)
    return max(r.exit_code for r in found)


def print_ranges(
    found: Sequence[RangeVerdict], texts: Sequence[str], json: bool, quiet: bool
) -> None:
    """Print ranges in the form that was asked for."""
    if json:
        parts = [{"asked": t, **r.to_json()} for t, r in zip(texts, found, strict=True)]
        emit({"ranges": parts, "exit_code": max(r.exit_code for r in found)})
        return
    if quiet:
        for text, r in zip(texts, found, strict=True):
            low, high = r.low.best_bound, r.high.best_bound
            state = "closed" if r.closed else "open"
            print(f"{text} {low} {high} {state}")
        return
    from verifex.cli.render import line, ranges_table

    out = console()
    out.print(ranges_table(found))
    for r in found:
        state = "closed" if r.closed else "open"
        line(out, r.expression, f"{state}, rests on {'; '.join(r.evidence)} ({r.seconds:.2f} s)")
        if r.reason:
            line(out, "reason", r.reason)
    for note in dict.fromkeys(n for r in found for n in r.notes):
        line(out, "note", note)


def replay_file(files: Sequence[Path], *, json: bool, quiet: bool) -> int:
    """Evaluate a saved witness exactly: 1 if it refutes the claim, 2 if it does not."""
    from verifex.cli.witness_file import read_witness
    from verifex.engine.falsify.replays import replays
    from verifex.engine.falsify.witness import replay
    from verifex.errors import EXIT_REFUTED, EXIT_UNKNOWN

    network, spec, (file,) = split_files(files, after=1)
    problem = api.build(network, spec)
    point, notes = read_witness(file, problem, network, spec)
    found = replay(problem, point)
    code = EXIT_REFUTED if found.refutes else EXIT_UNKNOWN
    if json:
        emit({
            "refutes": found.refutes, "inside": found.inside, "assumed": found.assumed,
            "violated": found.violated, "on_kink": found.on_kink,
            "margin": None if found.margin is None else float(found.margin),
            "margin_exact": None if found.margin is None else str(found.margin),
            "replays": replays(problem, point), "notes": notes, "exit_code": code,
        })
        return code
    if quiet:
        print("refuted" if found.refutes else "not refuted")
        return code
    from verifex.cli.render import line, point_text

    out = console()
    out.print(f"{'REFUTED' if found.refutes else 'NOT REFUTED'}  {problem.name}")
    line(out, "exact replay", _replay_text(found))
    point_text(out, point, replays(problem, point), problem)
    for note in notes:
        line(out, "note", note)
    return code


def _replay_text(found: Replay) -> str:
    parts = [
        "inside the region" if found.inside else "OUTSIDE the region",
        "assumption holds" if found.assumed else "the assumption does NOT hold",
        "requirement violated" if found.violated else "the requirement HOLDS",
        "ON a kink of a gate" if found.on_kink else "off every kink",
    ]
    if found.margin is not None:
        parts.append(f"margin {float(found.margin):.6g}")
    return ", ".join(parts)
