"""Life of a forked search: it works on what it is given, tells what it finds, and ends with the
process that it was forked from (see team.py)."""

from __future__ import annotations

from typing import Any

from verifex.engine.execute.channel import Channel, PeerGoneError
from verifex.engine.search.gates.domains import Domains, concatenate, objects
from verifex.engine.search.gates.policy import Stats
from verifex.engine.search.gates.search import Search
from verifex.engine.search.record import ProofNode
from verifex.engine.search.workers import parcels

PARCEL = 512
"""Domains that travel together at most: each costs milliseconds, and its descendants many."""


def search_on(search: Search, channel: Channel, domains: Domains) -> None:
    """What a forked process does with its share of the domains."""
    Worker(search, channel).run(domains)


class Worker:
    """A forked search: its proof begins anew at the domains that it is given."""

    def __init__(self, search: Search, channel: Channel) -> None:
        self.search, self.channel = search, channel
        search.log, search.unresolved, search.proof.nodes = None, [], []
        search.deal(1)  # the first process's share is not ours
        self.at: dict[int, int] = {}
        """Our nodes that stand for a node of the first process."""
        self._told = Stats(**vars(search.stats))
        self._sent, self._again = 0, list[int]()
        self._seen, self._dry, self._stopped, self._ended = 0, False, False, False

    def run(self, domains: Domains) -> None:
        """Search, tell, listen, until the other end is closed."""
        self._adopt(domains)
        while True:
            search = self.search
            while search.open and not (search.over or self._stopped):
                search.step()
                self._say({})
                self._listen(0.0)
            over = bool(search.over or self._stopped)
            if over and not search.policy.finished():
                self._give_back()
            self._ended = over
            left, self._dry = search.open_domains(), not search.open
            search.unresolved = []
            # The proof of what is left open is of no use; of all else it is.
            nodes = [] if self._ended and left else self._flush()
            self._say({"nodes": nodes, "left": parcels.bundle(left)})
            before = self._seen
            while self._ended or (self._seen == before and not (self._stopped or search.over)):
                self._listen(None)

    def _adopt(self, domains: Domains) -> None:
        for k, there in enumerate(domains.node.tolist()):
            domains.node[k] = here = self.search.proof.add(ProofNode(-1))
            self.at[here] = there
        self.search.adopt(domains)
        self._seen, self._dry = self._seen + 1, False

    def _say(self, more: dict[str, Any]) -> None:
        search = self.search
        now = Stats(**vars(search.stats))
        report = {
            "stats": now.since(self._told),
            "told": search.policy.tell(),
            "seen": self._seen,
            "open": search.open,
            "least": search.least,
            "dry": self._dry,
            "ended": self._ended,
        }
        self._told = now
        self.channel.send({**report, **more})
        while self.channel.waiting:
            self._pump(None)

    def _pump(self, seconds: float | None) -> None:
        self.channel.pump(seconds)
        if self.channel.closed:
            raise PeerGoneError

    def _listen(self, seconds: float | None) -> None:
        message = self.channel.receive()
        if message is None:  # else one came while we were sending: nothing more may follow it
            self._pump(seconds)
            message = self.channel.receive()
        while message is not None:
            self.search.policy.hear(message.get("told", {}))
            self._stopped = self._stopped or "stop" in message
            if "domains" in message:
                self._adopt(parcels.domains_from(message["domains"], self.search.nothing))
            if "give" in message and not self._ended:
                self._give()
            message = self.channel.receive()

    def _give(self) -> None:
        """Half of what is open at most, with the part of the proof that leads there."""
        kept, given = self.search.deal(2)
        rest, given = given.take(slice(PARCEL, None)), given.take(slice(PARCEL))
        self.search.adopt(kept)
        self.search.adopt(rest)
        nodes = self._flush(concatenate([kept, rest, given]).node.tolist())
        self._say({"nodes": nodes, "given": parcels.domains_to(given)})

    def _give_back(self) -> None:
        """All that waits, with the part of the proof that leads there: the first process goes on
        with it if there is another slice of time. Warm starts stay behind: they are long, and there
        is little time left."""
        (waiting,) = self.search.deal(1)
        waiting.warm = objects(None for _ in waiting.rows)
        for first in range(0, len(waiting), PARCEL):
            given, kept = waiting.take(slice(first, first + PARCEL)), waiting.node[first:]
            nodes = self._flush(kept.tolist())
            self._say({"nodes": nodes, "given": parcels.domains_to(given)})

    def _flush(self, still: list[int] | None = None) -> list[dict[str, Any]]:
        """The proof since the last time. Nodes that are `still` open are told of again later."""
        nodes = self.search.proof.nodes
        if not self.search.options.record:
            return []
        which = [*self._again, *range(self._sent, len(nodes))]
        out = [{"id": k, "at": self.at.get(k), **parcels.node_to(nodes[k])} for k in which]
        for k in which:
            nodes[k] = ProofNode(-1)
        self._again, self._sent = sorted(set(still or [])), len(nodes)
        return out
