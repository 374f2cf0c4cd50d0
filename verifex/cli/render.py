"""Verdicts, witnesses and ranges as text for people (rich on a terminal, plain elsewhere)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Any, TypeAlias

from rich.table import Table
from rich.text import Text

from verifex.cli.common import feature_names, line, number, rounded
from verifex.engine.verdict import Closest, Outcome, RangeEnd, RangeVerdict, Verdict, replayable
from verifex.errors import UnsupportedError
from verifex.ir.text.graph_text import fraction_to_json

if TYPE_CHECKING:
    from rich.console import Console

    from verifex.ir.problem import Problem

STYLES = {
    Outcome.PROVED: "bold green", Outcome.CLAIMED: "bold yellow", Outcome.REFUTED: "bold red",
    Outcome.UNKNOWN: "bold magenta",
}
MEANING = {
    Outcome.PROVED: "a certificate was accepted by the checker, in exact arithmetic",
    Outcome.CLAIMED: "no counterexample exists if the evidence is right; no checked certificate "
    "says so",
    Outcome.REFUTED: "the witness below breaks the claim, in exact arithmetic",
    Outcome.UNKNOWN: "not decided within the limits",
}
_ROWS = 20
_INPUTS = 100
_KINKS = 3

ComparedRow: TypeAlias = tuple[str, Fraction | None, Fraction]
"""What it is, its value at the reference (None without one), its value at the witness."""


def verdict_text(out: Console, verdict: Verdict, problem: Problem) -> None:
    """The whole verdict: outcome, what it rests on, worst margin, witness, notes."""
    head = Text(verdict.outcome.value.upper(), style=STYLES[verdict.outcome])
    out.print(head + Text(f"  {verdict.name}  ({verdict.seconds:.2f} s)"))
    for label, text in () if verdict.statement is None else verdict.statement.lines():
        line(out, label, text)
    line(out, "meaning", MEANING[verdict.outcome])
    if verdict.evidence:
        line(out, "rests on", verdict.rests_on)
    if verdict.reason:
        line(out, "reason", verdict.reason)
    if "certificate" in verdict.extra:
        line(out, "certificate", certificate_text(verdict.extra["certificate"]))
    line(out, "worst margin", margin_text(verdict))
    if verdict.witness is not None:
        point_text(out, verdict.witness.point, verdict.witness.replays, problem)
    if verdict.closest is not None:
        closest_text(out, verdict.closest, problem)
    known = () if verdict.statement is None else verdict.statement.trivial
    for note in verdict.notes:
        if note not in known:
            line(out, "note", note)
    steps = ", ".join(f"{s.stage} {s.seconds:.2f} s ({s.result})" for s in verdict.steps)
    line(out, "steps", steps)


def certificate_text(told: Mapping[str, Any]) -> str:
    """Where it is, its size, and what the checker made of it."""
    parts = [f"{told['bytes']} bytes"]
    if told["leaves"] is not None:
        parts.append(f"{told['leaves']} leaves" if told["leaves"] > 1 else "1 leaf")
    if told["check"] is not None:
        parts.append(f"checker: {told['check']} ({told['check_seconds']:.2f} s)")
    kept = "" if told["path"] is None else f"{told['path']}: "
    return kept + ", ".join(parts)


def margin_text(verdict: Verdict) -> str:
    """What is known of the requirement's least margin: negative means violated."""
    parts = []
    if verdict.margin_low is not None:
        shown = verdict.outcome in (Outcome.PROVED, Outcome.CLAIMED) and verdict.margin_low <= 0
        # What the verdict says is more than what the first bounds do.
        parts.append(
            f"at least 0 ({verdict.outcome.value})" if shown
            else f"at least {number(verdict.margin_low)} (proven by bounds)")
    if verdict.margin_claimed is not None:
        parts.append(f"at least {number(verdict.margin_claimed)} (claimed)")
    if verdict.margin_high is not None:
        parts.append(f"{number(verdict.margin_high)} attained (exact)")
    return ", ".join(parts) or "no bound"


def closest_text(out: Console, closest: Closest, problem: Problem) -> None:
    """The point that came closest to a violation, and where it lies on a kink."""
    if closest.on_kink:
        line(out, "on a kink", f"exactly 0 at the closest point: {_kinks(closest.point, problem)}")
    point_text(out, closest.point, {}, problem, "Closest point")


def _kinks(point: Sequence[Fraction], problem: Problem) -> str:
    """The first pre-activations that are exactly 0 at a point."""
    from verifex.semantics.kinks import zeros

    try:
        found = zeros(problem.graph, point, problem.kinks())
    except UnsupportedError:  # a smooth network: its values are not rational
        return "a pre-activation, as far as intervals tell"
    more = f" and {len(found) - _KINKS} more" if len(found) > _KINKS else ""
    return ", ".join(found[:_KINKS]) + more


def point_text(
    out: Console, point: Sequence[Fraction], replays: Mapping[str, str], problem: Problem,
    name: str = "Witness",
) -> None:
    """The changed inputs, what they do to outputs and attribution, and the replays, if any."""
    changed = changes(problem, point)
    size = problem.region.size
    if problem.point is None:
        title = f"{name} ({size} inputs)"
    else:
        title = f"{name}: {len(changed)} of {size} inputs differ from the reference"
    names = feature_names(problem.region.names, size)
    reference = problem.point
    rows: list[ComparedRow] = [
        (names[i], None if reference is None else reference[i], point[i]) for i in changed
    ]
    out.print(_compare(title, "input", rows, name.lower()))
    rows = effects(problem, point)
    if rows:
        effect = "What becomes of outputs and attribution"
        out.print(_compare(effect, "value", rows, name.lower()))
    if replays:
        line(out, "replays", replays_text(replays))


def replays_text(replays: Mapping[str, str]) -> str:
    return ", ".join(f"{name}: {result}" for name, result in replays.items())


def changes(problem: Problem, point: Sequence[Fraction]) -> list[int]:
    """The inputs that differ from the reference, the largest change first (all without one)."""
    reference = problem.point
    if reference is None:
        return list(range(len(point)))
    moved = [i for i, (a, b) in enumerate(zip(reference, point, strict=True)) if a != b]
    return sorted(moved, key=lambda i: (-abs(point[i] - reference[i]), i))


def effects(problem: Problem, point: Sequence[Fraction]) -> list[ComparedRow]:
    """Elements of the graph's outputs at the reference and at the point, most changed first."""
    from verifex.semantics.evaluate import evaluate_exact

    graph = problem.graph
    wanted = list(graph.outputs.values())
    try:
        there = evaluate_exact(graph, point, wanted)
        here = None if problem.point is None else evaluate_exact(graph, problem.point, wanted)
    except UnsupportedError:  # a smooth network: its values are not rational
        return []
    rows: list[ComparedRow] = []
    for name, node in graph.outputs.items():
        after = there[node].fractions()
        before: Sequence[Fraction | None]
        before = [None] * len(after) if here is None else here[node].fractions()
        labels = _element_names(problem, name, len(after))
        mixed = list(zip(labels, before, after, strict=True))
        if name.startswith("attribution") and before == after:
            continue  # the claim is about outputs, or about no more than its ends
        mixed.sort(key=lambda r: -abs(r[2] - (r[1] or 0)))
        rows += mixed[: _ROWS // max(1, len(graph.outputs))]
    return rows


def _element_names(problem: Problem, output: str, size: int) -> list[str]:
    """Attribution components are called after the inputs they belong to."""
    names = problem.region.names
    if output.startswith("attribution") and len(names) == size:
        return [f"{output} {name}" for name in names]
    return [f"{output}[{i}]" for i in range(size)]


def _compare(title: str, first: str, rows: Sequence[ComparedRow], there: str) -> Table:
    """A table of values at the reference and at a point, which the column `there` is called by."""
    table = Table(title=Text(title), title_justify="left", box=None, padding=(0, 2, 0, 2))
    table.add_column(first, no_wrap=True)
    for head in ("reference", there, "change"):
        table.add_column(head, justify="right", no_wrap=True)
    for name, before, after in rows[:_ROWS]:
        change = "-" if before is None else f"{float(after - before):+.6g}"
        table.add_row(Text(name), number(before), number(after), change)
    if len(rows) > _ROWS:
        table.add_row(Text(f"... and {len(rows) - _ROWS} more"), "", "", "")
    return table


# --- ranges ---------------------------------------------------------------------------------


def ranges_table(ranges: Sequence[RangeVerdict]) -> Table:
    """One row for each end of each range."""
    table = Table(box=None, padding=(0, 2, 0, 0))
    table.add_column("expression", no_wrap=True)
    for head in ("end", "proven", "by", "claimed", "attained", "gap"):
        table.add_column(head, justify="right", no_wrap=True)
    for found in ranges:
        for name, end in (("min", found.low), ("max", found.high)):
            cells = _end(end, 1 if name == "max" else -1)
            table.add_row(Text(found.expression if name == "min" else ""), name, *cells)
    return table


def _end(end: RangeEnd, outward: int) -> list[str]:
    """The cells of an end: bounds rounded outward, attained values inward, so that both hold as
    they are printed."""
    kink = " (on a kink only)" if end.on_kink else ""
    attained = rounded(end.attained, -outward) + (kink if end.attained is not None else "")
    gap = "-" if end.gap is None else f"{end.gap:.2g}"
    by = "-" if end.proven is None else end.proven_by
    return [rounded(end.proven, outward), by, rounded(end.claimed, outward), attained, gap]


def end_text(out: Console, name: str, end: RangeEnd, names: Sequence[str]) -> None:
    """The exact value of an end, the exact point that attains it, and the certificate.

    Inputs are float64 numbers or, where they are none, quotients: nothing is rounded, since a
    rounded point may lie on the other side of a kink.
    """
    if end.attained is not None and end.point is not None:
        labels = feature_names(names, len(end.point))
        shown = zip(labels[:_INPUTS], end.point[:_INPUTS], strict=True)
        inputs = ", ".join(f"{label} = {exact_text(value)}" for label, value in shown)
        if len(end.point) > _INPUTS:
            inputs += f", and {len(end.point) - _INPUTS} more (--json has all)"
        line(out, f"{name} at", inputs)
        gates = ", ".join(f"{i} of node {node}" for node, i in end.open_gates)
        there = f" with these gates on their kinks open: {gates}" if gates else ""
        exact = fraction_to_json(end.attained)
        value = exact if "/" not in exact else f"{float(end.attained)!r}, exactly {exact}"
        if end.attained_square is not None:
            inward = rounded(end.attained, -1 if name == "maximum" else 1)
            value = f"{'at least' if name == 'maximum' else 'at most'} {inward}, irrational"
        line(out, "", f"the value there is {value}{there}")
    if end.certificate is not None:
        line(out, "certificate", certificate_text(end.certificate))


def exact_text(value: Fraction) -> str:
    """A value without rounding: the float64 that it is, or else a quotient."""
    exact = replayable(value)
    return exact if isinstance(exact, str) else repr(exact)
