"""`top_k`: how many of the k largest components at the reference are still among the k largest."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from verifex.errors import InputError
from verifex.ir.fields import Count
from verifex.ir.formula import TRUE, Dominance, Formula
from verifex.metrics.support.base import Family, Property, Said
from verifex.metrics.support.setting import Setting


class TopK(Property):
    """`top_k = 3, overlap_at_least = 2`: of the reference's top 3, at least 2 stay in the top 3.

    Components are ranked by their (reduced) value: with `reduce = "abs"` by magnitude. Without
    `overlap_at_least` all k must stay. Ties while moving count against the claim. A tie at the
    edge of the reference top-k is an error unless `tie = "index"` (the lower position is in).
    """

    top_k: Count
    overlap_at_least: Count | None = None
    tie: Literal["error", "index"] = Field(default="error")

    def scale_free(self) -> bool:
        return True


def build(wanted: TopK, setting: Setting) -> Formula:
    """Overlap >= m as one block of comparisons between the reference top-k R and the rest.

    Let r_1 >= r_2 >= ... be the values in R and o_1 >= o_2 >= ... those outside. The overlap is at
    least m, ties counted against, iff r_m > o_{k-m+1}: if so, at most k-m outside reach r_m, so
    r_1..r_m are all in the top k; if not, k-m+1 outside reach r_m and everything below it in R,
    so the top k can hold m-1 of R only. That is: at least m elements of R are strictly above at
    least (n-k) - (k-m) elements outside.
    """
    n, k = len(setting.explanation().chosen), wanted.top_k
    m = k if wanted.overlap_at_least is None else wanted.overlap_at_least
    if not 1 <= k <= n:
        raise InputError(f"{k} of {n} components", expected=f"1..{n}", key="top_k")
    if not 1 <= m <= k:
        raise InputError(f"{m} of {k}", expected=f"1..{k}", key="overlap_at_least")
    winners, losers = reference_top(wanted, setting)
    # See above: as many outside as may not reach the m-th of the reference.
    inner = (n - k) - (k - m)
    if inner <= 0:
        return TRUE  # any two sets of k among n share m elements
    return Dominance(
        setting.components, tuple(winners), tuple(losers), outer=m, inner=inner, strict=True
    )


def reference_top(wanted: TopK, setting: Setting) -> tuple[list[int], list[int]]:
    """The positions in the reference top-k, and all others."""
    found, explained = setting.reference.ranked(setting.components), setting.explanation()

    def pair(first: int, second: int) -> str:
        names = [explained.names.name(explained.chosen[i]) for i in (first, second)]
        return " and ".join(names)

    # With a tie two sets are the reference top-k; which is meant must be said.
    if found.told_apart(
        wanted.top_k, pair, 'another k, or tie = "index"', cut=wanted.tie == "index", key="top_k"
    ):
        setting.builder.notes.append("a tie at the edge of the reference top-k was cut by position")
    winners, losers = found.order[: wanted.top_k], found.order[wanted.top_k :]
    return sorted(winners), sorted(losers)


def say(wanted: TopK, setting: Setting) -> Said:
    n, k = len(setting.explanation().chosen), wanted.top_k
    m = k if wanted.overlap_at_least is None else wanted.overlap_at_least
    if k == 1:
        text = "the largest component at x0 stays the largest"
    elif m == k:
        text = f"the {k} largest components at x0 stay the {k} largest, in any order"
    else:
        text = f"at least {m} of the {k} largest components at x0 stay among the {k} largest"
    order = setting.reference.ranked(setting.components).order
    # Any two sets of k among n share 2k - n elements.
    sure = f"any {k} of {n} components share {m} with any others" if n - k <= k - m else ""
    if k == n:
        sure = f"k = n: there are only {n} components"
    return Said(text, order[:k], sure)


FAMILY = Family("top_k", TopK, build, say)
