"""What a search is given and what it counts: its policy, its options, its statistics."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol

from verifex.engine.bounds.optimise import Effort
from verifex.engine.search.gates.domain import Domain
from verifex.ir.exact import FloatArray
from verifex.ir.formula import Form


class Policy(Protocol):
    """What the search is for."""

    forms: list[Form]

    def goal(self, row: int) -> float:
        """The bound at which a row needs no more work."""

    def settle(self, domain: Domain, values: dict[int, float]) -> bool:
        """Take note of lower bounds per row; drop what is decided; True closes the domain."""

    def candidates(self, points: FloatArray, rows: list[int]) -> None:
        """Points of the region (k, n) worth trying, each with the row that it came from."""

    def leaf_value(self, domain: Domain, row: int, value: float, point: FloatArray) -> bool:
        """The exact minimum of a row on a leaf; True if that settles the row there."""

    def tie(self, domain: Domain, values: dict[int, float]) -> bool:
        """Whether a leaf would be closed if bounds within rounding of zero were exactly zero."""

    def joint(self, domain: Domain) -> list[int]:
        """Open rows that decide a domain together: it is closed if some positive combination of
        them is bounded above zero."""

    def tell(self) -> dict[str, Any]:
        """What another search of the same question should know, since the last call: plain values
        and arrays; nothing where there is nothing new."""

    def hear(self, told: dict[str, Any]) -> None:
        """Take over what another search told; points are judged again."""

    def finished(self) -> bool:
        """Whether the search may stop at once."""

    def priority(self, domain: Domain) -> float:
        """Domains with the least priority come first."""

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
    soon (and not for ranges).
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
