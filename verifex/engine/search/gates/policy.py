"""What a search is given and what it counts: its policy, its options, its statistics, and the
interface of what tightens its domains."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from verifex.engine.bounds.bounder import Bounder, Effort
from verifex.engine.bounds.half_spaces import HalfSpaceMaker, HalfSpaces
from verifex.engine.bounds.layout import Layout
from verifex.engine.budget import Budget
from verifex.engine.search.exact_claim import ExactClaim
from verifex.engine.search.gates.domains import Domains, Flags, RowBounds
from verifex.engine.search.gates.forms import FormTable
from verifex.engine.search.record import Proof
from verifex.engine.verdict import Witness
from verifex.ir.exact import FloatArray
from verifex.ir.formula import Form
from verifex.semantics.support.whole import WholeFeatures


class Policy(Protocol):
    """What the search is for. Rows are numbers of `forms`.

    `exact` decides single domains in exact arithmetic; None where nothing is decided by that.
    """

    forms: list[Form]
    exact: ExactClaim | None

    def goals(self, rows: NDArray[np.intp]) -> FloatArray:
        """The lower bounds (R,) at which rows (R,) need no more work."""

    def close(self, domains: Domains, found: RowBounds) -> Flags:
        """Take note of lower bounds, leave rows out that are decided, and say which domains (N,)
        need no more work."""

    def candidates(self, points: FloatArray, rows: Sequence[int]) -> None:
        """Points of the region (k, n) worth trying, and the rows that they came from."""

    def found(self, witness: Witness) -> None:
        """Take note of a point that was replayed and violates the claim."""

    def leaf_value(self, row: int, value: float, point: FloatArray) -> bool:
        """The exact minimum of a row on a leaf; True if the row is decided there by that."""

    def tie(self, domains: Domains, found: RowBounds) -> Flags:
        """Which domains (N,) would be closed if bounds within rounding of zero were zero."""

    def joint(self, domains: Domains) -> list[NDArray[np.intp]]:
        """For each domain, open rows that decide it together: it is closed if some positive
        combination of them is bounded above zero."""

    def tell(self) -> dict[str, Any]:
        """What another search of the same question should know, since the last call: plain values
        and arrays; nothing where there is nothing new."""

    def hear(self, told: dict[str, Any]) -> None:
        """Take over what another search told; points are judged again."""

    def finished(self) -> bool:
        """Whether the search may stop at once."""

    def priority(self, domains: Domains) -> FloatArray:
        """Priorities (N,): domains with the least come first."""

    def describe(self, least: float | None) -> dict[str, Any]:
        """For the log: what the least priority of all open domains says (0.0: nothing is open)."""


@dataclass(frozen=True)
class SearchOptions:
    """Widths and efforts. `inputs`: split input sides too (low dimension or smooth functions).

    With several threads, open domains are shared among processes (team.py) once the search has gone
    on for `share_after` seconds and `share_from` of them are open; their memory is looked at every
    `memory_look` seconds.

    `refresh` (see refresh.py) and `order` ("gap": the gate that loses most; "layers": the same, but
    gates of earlier layers first) are chosen by the network and the region unless they are given.
    `ahead`: so many gates of a domain are compared by the bounds of their halves (lookahead.py);
    None leaves it to the network, 0 takes the best score. `tighten`: bounds of pre-activations are
    optimised again on some domains (tighten.py), gates of earlier layers are split first, and
    `width` does not count; None: on large networks, once a search without has not come to an end
    soon (and not for ranges). `rows`: so many are bounded together at most, fewer on large
    networks; a domain with more open rows is worked off in parts.
    """

    width: int = 192
    root_effort: Effort = field(default_factory=lambda: Effort(60, 0.2, 0.97))
    effort: Effort = field(default_factory=lambda: Effort(12, 0.2, 0.9))
    rule: str = "gap"
    refresh: bool | None = None
    order: str | None = None
    ahead: int | None = None
    tighten: bool | None = None
    inputs: bool = False
    max_domains: int = 2_000_000
    rows: int = 4096
    share_after: float = 0.5
    share_from: int = 16
    memory_look: float = 1.0
    record: bool = True
    device: str = "cpu"


@dataclass
class Stats:
    """What happened: for the log and the benchmarks. `lost`: why processes came to their end."""

    domains: int = 0
    leaves: int = 0
    lps: int = 0
    unresolved: int = 0
    ties: int = 0
    batches: int = 0
    lost: list[str] = field(default_factory=list)

    def since(self, before: Stats) -> dict[str, int]:
        """What was counted after `before`."""
        now, then = vars(self), vars(before)
        return {key: now[key] - then[key] for key in now if key != "lost"}

    def add(self, more: dict[str, int]) -> None:
        """Count in what another process did."""
        for key, value in more.items():
            setattr(self, key, getattr(self, key) + value)


@dataclass(frozen=True)
class SearchContext:
    """What all parts of one search work with and write to."""

    layout: Layout
    bounder: Bounder
    table: FormTable
    half_spaces: HalfSpaceMaker
    policy: Policy
    options: SearchOptions
    budget: Budget
    proof: Proof
    stats: Stats
    whole: WholeFeatures | None = None

    @property
    def over(self) -> bool:
        """Whether the policy is finished, the budget spent, or the limit of domains reached."""
        full = self.stats.domains > self.options.max_domains
        return full or self.policy.finished() or self.budget.spent


@dataclass(frozen=True)
class Tightened:
    """What came of making the bounds of a batch (N) tighter: `closed` (N,) says how a domain was
    closed by that ("bounds", "empty", "tie"; "" where it is open), `again` which domains have to be
    bounded again before they are split."""

    closed: NDArray[np.str_]
    again: Flags
    half_spaces: HalfSpaces | None = None


class Tightener(Protocol):
    """Anything that makes the bounds of open domains tighter between two splits."""

    def tighten(self, domains: Domains) -> Tightened:
        """Put what is found into the columns of the batch, and say which domains are closed."""


def still_open(domains: Domains) -> tuple[NDArray[np.str_], Flags]:
    """The columns `closed` and `again` of a batch in which nothing has been found yet."""
    return np.full(len(domains), "", dtype="<U6"), np.zeros(len(domains), dtype=bool)
