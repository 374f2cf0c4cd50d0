"""`top_k`: m of the k largest components at x0 are among the k largest at x; ties count against."""

from __future__ import annotations

from ...failures import need
from ...graph.forms import Form, gap
from ..formulas import AtLeastOf, ClaimAtom, Formula
from ..setting import PropertySetting
from ..toml_values import TomlTable, whole_number
from .base import PropertyKind, always


def build(table: TomlTable, setting: PropertySetting) -> Formula:
    """The first k components by value at x0 are the winners, the others the losers."""
    components = setting.explained.components
    first, tie = whole_number(table.required("top_k")), table.word("tie", "error index")
    overlap = table.whole("overlap_at_least", first)
    need(1 <= overlap <= first <= len(components),
         f"an overlap of {overlap}, {first} of {len(components)} components")
    order = setting.reference.ranked(components, first, tie)
    return overlapping(components, sorted(order[:first]), sorted(order[first:]), overlap)


def overlapping(
    components: list[Form], winners: list[int], losers: list[int], overlap: int
) -> Formula:
    """At least m = `overlap` of the k winners beat (n-k) - (k-m) of the n-k losers each.

    Sound: let w be the m-th largest of the winners at x. With ties between a winner and a loser
    counted for the loser, m winners are among the k largest where at most k - m losers reach w:
    these and m winners fill the first k places; with more of them ahead, fewer winners do. That is
    where w beats, strictly, at least (n-k) - (k-m) losers. If w does, so do the m - 1 winners
    that are as large or larger; and if any m winners do, the smallest of them is not above w, so w
    does. Ties among winners or among losers change no count.

    Where that number is not positive there are so few losers that the overlap is never less.
    """
    beaten = len(losers) - (len(winners) - overlap)
    if beaten <= 0:
        return AtLeastOf(0, ())
    return AtLeastOf(overlap, tuple(
        AtLeastOf(beaten, tuple(ClaimAtom(gap(components[winner], components[loser]), True)
                                for loser in losers))
        for winner in winners))


KIND = PropertyKind("top_k", ("overlap_at_least", "tie"), build, always)
