"""One search on several processes: open domains are dealt out, results come back and are merged.

Python lets one thread at a time run, and two threads together are no faster than one
(benchmarks/search_threads.py), so the process forks. A forked search has everything that it needs:
only domains, points, parts of the proof and counts travel, as messages
(`engine/execute/channel.py`). The first process
goes on searching; between two batches it merges what has come in, and shares out again where one
process has much and another little.

Sound: a domain that was given away is closed only by the record of whoever closed it, which is
merged. What a process held that died stays open.
"""

from __future__ import annotations

import math
import os
import time
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from verifex.engine.budget import Budget
from verifex.engine.execute.channel import Channel, wait_for_any
from verifex.engine.execute.child_process import ChildProcess, fork_child
from verifex.engine.search.gates.domains import Domains, concatenate
from verifex.engine.search.gates.policy import SearchOptions
from verifex.engine.search.gates.search import Search
from verifex.engine.search.record import ProofNode
from verifex.engine.search.workers import parcels
from verifex.engine.search.workers.forked import PARCEL, search_on
from verifex.errors import VerifexError

_GRACE = 1.0
"""Seconds that processes get to say what they leave open when the time is over."""

_WAIT = 0.05
"""Seconds to wait where there is nothing to do."""


def drive(search: Search) -> None:
    """Work on the open domains, on as many processes as the budget has threads, once that pays."""
    started, team = time.monotonic(), None
    try:
        while not search.over:
            late = time.monotonic() - started >= search.options.share_after
            if team is None and late and may_share(search):
                team = Team(search, search.budget.threads - 1)
            if search.open:
                search.step()
            elif team is None or team.idle:
                break
            if team is not None:
                team.turn(0.0 if search.open else _WAIT)
        if team is not None:
            team.end()
    finally:
        if team is not None:
            team.close()


def tensor_threads(options: SearchOptions, budget: Budget) -> int:
    """Threads inside one process: on networks that are refreshed, which are small, more than one
    only wait for each other (and several times as long where the processor is busy)."""
    return 1 if options.refresh else max(1, budget.threads)


def may_share(search: Search) -> bool:
    """Whether other processes may help: several threads, enough to do, and a bounder that works in
    a forked process."""
    options = search.options
    if search.budget.threads < 2 or search.open < options.share_from or not hasattr(os, "fork"):
        return False
    return search.context.bounder.forks


# --- the first process ---------------------------------------------------------------------------


@dataclass
class _Member:
    """Another process: what it was lent since it last had nothing to do, and what it told.

    `ids` maps its proof's nodes to ours. `sent` and `seen` count parcels of domains.
    """

    child: ChildProcess
    lent: Domains
    ids: dict[int, int] = field(default_factory=dict)
    sent: int = 1
    seen: int = 1
    open: int = 0
    least: float = math.inf
    asked: bool = False
    ended: bool = False
    dry: bool = False
    gone: bool = False

    @property
    def channel(self) -> Channel:
        return self.child.channel

    @property
    def busy(self) -> bool:
        return not (self.ended or (self.dry and self.seen == self.sent))


class Team:
    """The other processes of a search, seen from the first."""

    def __init__(self, search: Search, others: int) -> None:
        self.search, self.members = search, list[_Member]()
        self._look = time.monotonic()
        self._bounder = search.context.bounder
        self._threads, self._bounder.threads = self._bounder.threads, 1  # processes share it now
        parts = search.deal(others + 1)
        search.adopt(parts[0])
        for part in parts[1:]:
            try:
                self._fork(part)
            except OSError as error:  # no more processes or files: fewer search on
                search.adopt(part)
                if search.log is not None:
                    search.log({"event": "processes", "error": str(error)})

    def _fork(self, part: Domains) -> None:
        child = fork_child(
            partial(search_on, self.search, domains=part), [m.channel for m in self.members])
        self.members.append(_Member(child, part, open=len(part)))

    @property
    def idle(self) -> bool:
        """Whether nobody has anything left to do."""
        return not any(m.busy for m in self.members)

    def turn(self, seconds: float) -> None:
        """Merge what has come in (waiting for it at most so long), and share out again."""
        self._move(seconds)
        self._balance()
        self._tell()
        for m in self.members:
            m.channel.pump(0.0)
        self._watch_memory()

    def end(self) -> None:
        """Take over what the others leave open; a finished search has nothing to ask for."""
        if self.search.policy.finished():
            return
        until = time.monotonic() + _GRACE
        for m in self.members:
            if m.busy:
                m.channel.send({"stop": True})
        while any(m.busy for m in self.members) and time.monotonic() < until:
            self._move(_WAIT)
        for m in self.members:
            if m.busy:  # too slow: what it was given counts as it was then
                self._take_back(m)
        self.search.report()

    def close(self) -> None:
        """No process outlives the search."""
        for m in self.members:
            m.child.kill()  # all at once, before any is waited for
        for m in self.members:
            m.child.end()
        self.members = []
        self._bounder.threads = self._threads

    # --- messages -------------------------------------------------------------------------------

    def _move(self, seconds: float) -> None:
        alive = [m for m in self.members if not m.gone]
        wait_for_any([m.channel for m in alive], seconds)
        for m in alive:
            m.channel.pump(0.0)
            while (message := m.channel.receive()) is not None:
                self._take(m, message)
            if m.channel.closed:
                self._lost(m)
        busy = [m for m in self.members if m.busy]
        least = min((m.least for m in busy), default=math.inf)
        self.search.elsewhere = sum(m.open for m in busy), least

    def _take(self, member: _Member, message: dict[str, Any]) -> None:
        """A report, with whatever else came with it."""
        search = self.search
        if "error" in message:
            raise VerifexError(f"a process of the search failed: {message['error']}")
        search.stats.add(message["stats"])
        search.policy.hear(message["told"])
        if message["seen"] == member.sent:
            member.open, member.least = message["open"], message["least"]
        member.seen, member.dry = message["seen"], message["dry"]
        self._merge(member, message.get("nodes", []))
        if "given" in message:
            member.asked = False
            search.adopt(self._arrived(member, message["given"]))
        left = parcels.unbundle(message.get("left", {}), search.nothing)
        if len(left):  # most messages leave nothing, and there are thousands of them
            search.unresolved.append(left)
        member.ended = message["ended"]
        if member.ended and member.seen != member.sent:
            # Sound: a parcel that was still on its way is neither searched nor told of.
            self._take_back(member)
        if not member.busy:
            member.lent = search.nothing

    def _take_back(self, member: _Member) -> None:
        """Go on with what a process was lent, whatever has become of it there."""
        if self.search.options.record:
            for node in member.lent.node.tolist():
                ours = self.search.proof.nodes[node]
                ours.closed = ours.children = None
        self.search.adopt(member.lent)

    def _arrived(self, member: _Member, message: dict[str, Any]) -> Domains:
        """Domains that a process gave back, at our nodes of the proof."""
        domains = parcels.domains_from(message, self.search.nothing)
        for k, theirs in enumerate(domains.node.tolist()):
            ours = member.ids[theirs] if self.search.options.record else -1
            domains.node[k] = ours if ours >= 0 else self.search.proof.add(ProofNode(-1))
        return domains

    def _merge(self, member: _Member, entries: list[dict[str, Any]]) -> None:
        """Put a part of the proof in; a node that is known already gets what is new."""
        proof = self.search.proof
        for e in entries:
            if e["id"] not in member.ids:
                at = e["at"]
                if at is None:
                    at = proof.add(parcels.node_from(e, member.ids[e["parent"]]))
                member.ids[e["id"]] = at
            parcels.add_content(proof.nodes[member.ids[e["id"]]], e)
        for e in entries:
            if e["children"] is not None:
                first, second = e["children"]
                proof.nodes[member.ids[e["id"]]].children = member.ids[first], member.ids[second]

    def _lost(self, member: _Member) -> None:
        """A process that is gone: what it was given stays open, and is not tried again."""
        how, member.gone = member.child.end(), True
        if member.busy:
            self.search.unresolved.append(member.lent)
            self.search.stats.lost.append(f"a process of the search {how}")
        member.ended = True

    def _tell(self) -> None:
        if news := self.search.policy.tell():
            for m in self.members:
                if not m.ended:
                    m.channel.send({"told": news})

    def _watch_memory(self) -> None:
        """Kill what has grown by more than the limit since the fork (it shares what was before)."""
        if time.monotonic() < self._look:
            return
        self._look = time.monotonic() + self.search.options.memory_look
        for m in self.members:
            if not m.gone and m.child.grown > self.search.budget.memory:
                m.child.kill()

    # --- shares ---------------------------------------------------------------------------------

    def _balance(self) -> None:
        """Whoever has less than a fourth of what another has gets some of it."""
        there, mine = [m for m in self.members if not m.ended], self.search.open
        least = self.search.options.share_from
        poor = [m for m in there if 4 * m.open < mine]
        if poor and mine >= least:
            parts = self.search.deal(len(poor) + 1)
            self.search.adopt(parts[0])
            for m, part in zip(poor, parts[1:], strict=True):
                self.search.adopt(part.take(slice(PARCEL, None)))
                part = part.take(slice(PARCEL))
                m.channel.send({"domains": parcels.domains_to(part)})
                m.lent = concatenate([m.lent, part])
                m.sent, m.open, m.dry = m.sent + 1, m.open + len(part), False
        rich = max((m for m in there if not m.asked), key=lambda m: m.open, default=None)
        if rich is not None and rich.open >= max(least, 4 * self.search.open + 1):
            rich.asked = True
            rich.channel.send({"give": True})
