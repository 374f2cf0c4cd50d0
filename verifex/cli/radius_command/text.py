"""Radii as text for people: both ends of one, or a table of several."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from verifex.cli.common import console, line, number, rounded
from verifex.cli.render import certificate_text, point_text

if TYPE_CHECKING:
    from rich.console import Console

    from verifex.engine.radius.radius_verdict import RadiusVerdict
    from verifex.problem.document.variants.radius import RadiusQuestion


def state(found: RadiusVerdict) -> str:
    if found.interrupted:
        return "interrupted"
    if found.everywhere:
        return "everywhere"
    return "closed" if found.closed else "open"


def exact_text(value: object) -> str:
    return "-" if value is None else str(value)


def print_one(out: Console, question: RadiusQuestion, found: RadiusVerdict) -> None:
    """Both ends of one radius, each with what it rests on."""
    what = f"{found.key} radius" + (f" of {found.features} alone" if found.features else "")
    style = "bold green" if found.closed else "bold magenta"
    head = Text(state(found).upper(), style=style)
    out.print(head + Text(f"  {found.name}: {what}  ({found.seconds:.2f} s)"))
    for label, text in _ends(found):
        line(out, label, text)
    if found.reason:
        line(out, "reason", found.reason)
    for label, told in (("certificate", found.certificate),
                        ("of the witness", found.witness_certificate)):
        if told is not None:
            spec = "" if told.get("spec") is None else f" (its spec: {told['spec']})"
            line(out, label, certificate_text(told) + spec)
    if found.witness is not None and found.refuted is not None:
        point_text(out, found.witness.point, found.witness.replays, question.at(found.refuted))
    for note in found.notes:
        line(out, "note", note)
    trials = ", ".join(f"{float(t.radius):.4g} {t.outcome.value}" for t in found.trials)
    line(out, "asked", trials or "nothing")


def _ends(found: RadiusVerdict) -> list[tuple[str, str]]:
    """What is known of both ends, in words."""
    rows = []
    if found.proved is not None:
        where = ", which is the whole domain" if found.everywhere else ""
        rows.append(("proved", f"up to {rounded(found.proved, -1)}{where}"))
    else:
        rows.append(("proved", "nothing"))
    if found.claimed is not None:
        rows.append(("claimed", f"up to {rounded(found.claimed, -1)}, without a checked "
                     "certificate"))
    if found.refuted is not None:
        gap = "" if found.gap is None else f", a gap of {found.gap:.2g}"
        rows.append(("refuted", f"from {rounded(found.refuted, 1)} on{gap}"))
    else:
        limit = "the end of the domain" if found.domain else "where the search ends (--max)"
        rows.append(("refuted", f"nothing up to {number(found.most)}, {limit}"))
    if found.closed and found.gap is not None and found.gap > found.tolerance:
        rows.append(("", "no other point comes into the region between the two (whole numbers)"))
    return rows


def print_table(found: Sequence[RadiusVerdict]) -> None:
    """One row a feature."""
    table = Table(box=None, padding=(0, 2, 0, 0))
    table.add_column("feature", no_wrap=True)
    for head in ("proved", "claimed", "refuted", "gap", ""):
        table.add_column(head, justify="right" if head else "left", no_wrap=True)
    for one in found:
        gap = "-" if one.gap is None else f"{one.gap:.2g}"
        table.add_row(
            Text(one.features), rounded(one.proved, -1), rounded(one.claimed, -1),
            rounded(one.refuted, 1), gap, state(one))
    out = console()
    out.print(table)
    line(out, "meaning", "how far each feature may change, all others frozen, before the claim "
         "breaks; everywhere: it holds in the feature's whole domain")
    for note in dict.fromkeys(n for one in found for n in one.notes):
        line(out, "note", note)
