"""Verdicts and ranges as HTML, for notebooks: a picture and a table."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import Any, TypeAlias

from verifex.pictures import bars, block, span, table, title

# The verdicts are above this room, so that they are no types here.
Verdict: TypeAlias = Any
RangeVerdict: TypeAlias = Any
RangeEnd: TypeAlias = Any

_COLOUR = {"proved": "good", "claimed": "open", "refuted": "bad", "unknown": "open"}
_MOST = 12
"""Features of a picture."""


def verdict_html(verdict: Verdict) -> str:
    """The outcome, what was claimed, what it rests on, and the attribution or the witness."""
    word = verdict.outcome.value
    head = title(word.upper(), f"{verdict.name} ({verdict.seconds:.2f} s)".strip(), _COLOUR[word])
    return block(head, table(_rows(verdict)), _picture(verdict))


def _rows(verdict: Verdict) -> Iterator[tuple[str, str]]:
    if verdict.statement is not None:
        yield from verdict.statement.lines()
    if verdict.evidence:
        yield "rests on", verdict.rests_on
    if verdict.reason:
        yield "reason", verdict.reason
    for label, value in (("worst margin at least", verdict.margin_low),
                         ("margin attained", verdict.margin_high)):
        # What bounds a margin below 0 says nothing of a claim that was proved otherwise.
        if value is not None and (label != "worst margin at least" or value > 0):
            yield label, _short(value)
    certificate = verdict.extra.get("certificate")
    if certificate:
        yield "certificate", f"{certificate.get('bytes')} bytes: {certificate.get('check')}"
    if verdict.folder is not None:
        yield "files", str(verdict.folder)
    if verdict.witness is not None:
        for name, said in verdict.witness.replays.items():
            yield f"replay, {name}", said
    for note in verdict.notes:
        yield "note", note


def _picture(verdict: Verdict) -> str:
    """The witness as bars, or else the features that the statement names."""
    if verdict.witness is not None:
        names = verdict.extra.get("features") or ()
        values = [(names[i] if i < len(names) else f"x[{i}]", _float(v) or 0.0)
                  for i, v in enumerate(verdict.witness.point)]
        largest = sorted(values, key=lambda item: -abs(item[1]))[:_MOST]
        kept = [item for item in values if item in largest][:_MOST]
        more = len(values) - len(kept)
        caption = "the witness" + (f" (its {len(kept)} largest values)" if more else "")
        return table([(caption,)]) + bars(kept, caption)
    features = () if verdict.statement is None else verdict.statement.features
    if not features:
        return ""
    drawn = [(f.name, float(f.attribution)) for f in features[:_MOST]]
    return table([("attribution at the reference point",)]) + bars(drawn, "attribution")


def range_html(found: RangeVerdict) -> str:
    """Both ends: what is proven, claimed and attained."""
    state = "closed" if found.closed else "settled" if found.settled else "open"
    colour = "good" if found.closed else "open"
    head = title(state.upper(), f"{found.expression} ({found.seconds:.2f} s)", colour)
    ends = (("minimum", found.low), ("maximum", found.high))
    rows = [(name, *_end(end)) for name, end in ends]
    sides = [(_float(end.attained), end.best_bound) for _, end in ends]
    more = [("rests on", found.rests_on), ("reason", found.reason),
            *(("note", note) for note in found.notes)]
    return block(
        head, span(sides[0], sides[1], f"the range of {found.expression}"),
        table(rows, ("", "attained", "proven", "proven by", "claimed")),
        table((name, said) for name, said in more if said))


def _end(end: RangeEnd) -> tuple[str, str, str, str]:
    attained = _short(end.attained) + (" (on a kink only)" if end.on_kink else "")
    claimed = "-" if end.claimed is None else f"{end.claimed:.9g} ({end.by})"
    return attained, _short(end.proven), end.proven_by if end.proven is not None else "", claimed


def _float(value: Fraction | None) -> float | None:
    try:
        return None if value is None else float(value)
    except OverflowError:
        return None


def _short(value: Fraction | None) -> str:
    near = _float(value)
    return "-" if near is None else f"{near:.9g}"
