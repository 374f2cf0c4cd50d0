"""`verify`, `bound`, `difference` and `replay`: the commands that answer questions."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from verifex import api
from verifex.cli.common import carried_out, console, emit, split_files
from verifex.errors import UsageError
from verifex.ir.decimals import parse_exact

if TYPE_CHECKING:
    from verifex.engine.falsify.witness import Replay
    from verifex.engine.verdict import RangeVerdict, Verdict
    from verifex.ir.problem import Problem
    from verifex.settings import Settings


def verify(
    files: Sequence[Path], settings: Settings, *, save: Path | None, log: Path | None, json: bool,
    quiet: bool,
) -> int:
    """Decide the claim and print the verdict; its exit code."""
    network, spec, _ = split_files(files)
    settings = api.fitting(settings)
    asked = api.read(network, spec)
    problem = asked.problem

    def keep(verdict: Verdict) -> None:
        if save is not None and verdict.witness is not None:
            from verifex.cli.witness_file import write_witness

            write_witness(save, verdict.witness.point, asked)

    return carried_out(
        partial(api.answer, asked, settings),
        lambda verdict, code: print_verdict(verdict, problem, json, quiet, code),
        lambda verdict: verdict.exit_code,
        title=problem.name, log=log, quiet=quiet, keep=keep)


def print_verdict(
    verdict: Verdict, problem: Problem, json: bool, quiet: bool, code: int
) -> None:
    """Print a verdict in the form that was asked for; `code` is the exit code."""
    if json:
        document = verdict.to_json()
        document["features"] = list(problem.region.names)
        if problem.point is not None:
            document["reference"] = [float(v) for v in problem.point]
        emit("verdict", {**document, "exit_code": code})
    elif quiet:
        print(verdict.outcome.value)
    else:
        from verifex.cli.render import verdict_text

        verdict_text(console(), verdict, problem)


def bound(
    files: Sequence[Path], expressions: Sequence[str], settings: Settings, *, log: Path | None,
    json: bool, quiet: bool,
) -> int:
    """Find the ranges of all expressions and print them; 0 if all of them are closed, else 2."""
    network, spec, _ = split_files(files)
    settings = api.fitting(settings)
    # All expressions are built before the log is opened: a typing error costs nothing.
    asked = api.measure(network, spec, expressions)
    title = expressions[0] if len(expressions) == 1 else f"{len(expressions)} expressions"
    names = asked[0].problem.region.names
    return carried_out(
        partial(api.ranges, asked, settings),
        lambda found, code: print_ranges(found, expressions, names, json, quiet, code),
        lambda found: max(r.exit_code for r in found),
        title=title, log=log, quiet=quiet)


def print_ranges(
    found: Sequence[RangeVerdict], texts: Sequence[str], names: Sequence[str], json: bool,
    quiet: bool, code: int,
) -> None:
    """Print ranges in the form that was asked for; `names` are those of the inputs, `code` is the
    exit code."""
    if json:
        parts = [{"asked": t, **r.to_json()} for t, r in zip(texts, found, strict=True)]
        emit("ranges", {"ranges": parts, "exit_code": code})
        return
    if quiet:
        for text, r in zip(texts, found, strict=True):
            print(f"{text} {r.low.best_bound} {r.high.best_bound} {_state(r)}")
        return
    from verifex.cli.common import line
    from verifex.cli.render import end_text, ranges_table

    out = console()
    out.print(ranges_table(found))
    for r in found:
        line(out, r.expression, f"{_state(r)}, rests on {r.rests_on} ({r.seconds:.2f} s)")
        if r.reason:
            line(out, "reason", r.reason)
        for name, end in (("minimum", r.low), ("maximum", r.high)):
            end_text(out, name, end, names)
    for note in dict.fromkeys(n for r in found for n in r.notes):
        line(out, "note", note)


def _state(found: RangeVerdict) -> str:
    """`closed`: what is proven meets what is attained; `claimed`: a claimed bound does."""
    if found.closed:
        return "closed"
    return "claimed" if found.settled else "open"


def difference(
    files: Sequence[Path], of: Sequence[str], at_most: str | None, settings: Settings, *,
    save_as: Path | None, log: Path | None, json: bool, quiet: bool,
) -> int:
    """Print the ranges of the differences, or the verdict of a claim about them; its exit code."""
    from verifex.problem.spec.difference import load_difference

    if len(files) != 3:
        raise UsageError(f"{len(files)} files, expected two networks and a spec")
    limit = None if at_most is None else _number(at_most)
    settings = api.fitting(settings)
    first, second, spec = files
    asked = load_difference(first, second, spec, of, limit)
    if save_as is not None:
        from verifex.problem.vnnlib.translate import write_translation

        if not asked.claim:
            raise UsageError("--save-as writes a claim, expected --at-most or --of class")
        write_translation(asked.problem, *(
            save_as.with_name(save_as.name + end) for end in (".onnx", ".vnnlib")))

    def show(found: Verdict | list[RangeVerdict], code: int) -> None:
        if isinstance(found, list):
            names = asked.problem.region.names
            print_ranges(found, [r.expression for r in found], names, json, quiet, code)
        else:
            print_verdict(found, asked.problem, json, quiet, code)

    def code_of(found: Verdict | list[RangeVerdict]) -> int:
        return max(r.exit_code for r in (found if isinstance(found, list) else [found]))

    return carried_out(
        partial(api.compare, asked, settings), show, code_of,
        title=f"{first.stem} and {second.stem}", log=log, quiet=quiet)


def _number(text: str) -> Fraction:
    try:
        return parse_exact(text)
    except ValueError as error:
        raise UsageError(f"--at-most {text[:40]}: {error}, expected a number such as 0.1 or 1/3"
                         ) from None


def replay_file(files: Sequence[Path], *, json: bool, quiet: bool) -> int:
    """Evaluate a saved witness exactly: 1 if it refutes the claim, 2 if it does not."""
    from verifex.cli.witness_file import read_witness
    from verifex.engine.falsify.replays import replays
    from verifex.engine.falsify.witness import replay
    from verifex.errors import EXIT_REFUTED, EXIT_UNKNOWN

    network, spec, (file,) = split_files(files, after=1)
    asked = api.read(network, spec)
    problem = asked.problem
    point, notes = read_witness(file, asked)
    found = replay(problem, point)
    code = EXIT_REFUTED if found.refutes else EXIT_UNKNOWN
    if json:
        emit("replay", {
            "sha256": None if asked.files is None else asked.files.hashes(),
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
    from verifex.cli.common import line
    from verifex.cli.render import point_text

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
