"""Which elements of the claim's graph a certificate means by its names (see `fingerprints`)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from ..failures import MAX_SIZE, need, pick
from ..graph.fingerprints import Fingerprints
from ..graph.network_graph import GATE, PRODUCT, RELAXED, RELU, STEP, NetworkGraph

Place = tuple[int, int]
"""A node and one of its elements."""

ARGUMENT = "argument"
"""The role of what relaxed nodes are of: splits and facts are about these. The other roles are the
kinds of relaxed nodes: fractions are for these."""


class ElementIndex:
    """Places by name, for each role that an element can have."""

    def __init__(self, graph: NetworkGraph, nodes: Iterable[int]) -> None:
        self.graph, self.fingerprints = graph, Fingerprints(graph)
        self.nodes = sorted(nodes)
        self._by_role: dict[str, dict[int, list[Place]]] = {}

    def places(self, role: str) -> dict[int, list[Place]]:
        """Every name that an element of this role has, with all places of that name."""
        if role not in self._by_role:
            found: dict[int, list[Place]] = {}
            for node in self._of_role(role):
                for element, name in enumerate(self.fingerprints.of(node)):
                    found.setdefault(name, []).append((node, element))
            self._by_role[role] = found
        return self._by_role[role]

    def _of_role(self, role: str) -> list[int]:
        nodes = self.graph.nodes
        if role != ARGUMENT:
            return [n for n in self.nodes if nodes[n].kind == role]
        relaxed = (nodes[n] for n in self.nodes if nodes[n].kind in RELAXED)
        return sorted({argument for node in relaxed for argument in node.args})


class Groups:
    """The groups of elements that a certificate has named so far."""

    def __init__(self, index: ElementIndex) -> None:
        self.index = index
        self._names: list[list[int]] = []
        self._places: dict[tuple[int, str], list[Place | None]] = {}
        self._total = 0

    def add(self, names: list[int]) -> None:
        """The next group."""
        self._total += len(names)
        need(self._total <= MAX_SIZE, "too many names")
        self._names.append(names)

    def places(self, group: int, role: str) -> list[Place | None]:
        """Where a group's elements are; None for a name that no element of the role has.

        Several elements can have one name: the k-th time that a group names it, the k-th of them is
        meant (the last, if there are fewer).
        """
        if (group, role) not in self._places:
            names = pick(self._names, group, "group")
            known, times = self.index.places(role), Counter[int]()
            found: list[Place | None] = []
            for name in names:
                places = known.get(name)
                found.append(places[min(times[name], len(places) - 1)] if places else None)
                times[name] += 1
            self._places[group, role] = found
        return self._places[group, role]

    def one_node(self, group: int, role: str) -> int | None:
        """The node whose elements, all and in order, a group is; None if it is no such thing."""
        places = self.places(group, role)
        first = places[0] if places else None
        if first is None or len(places) != self.index.graph.nodes[first[0]].size:
            return None
        whole = all(place == (first[0], k) for k, place in enumerate(places))
        return first[0] if whole else None

    def element(self, group: int, element: int, role: str) -> Place | None:
        """Where one element is."""
        place: Place | None = pick(self.places(group, role), element, "element of the group")
        return place


FRACTION_ROLES = {"alpha": (RELU,), "tie": (STEP,), "below": (GATE, PRODUCT),
                  "above": (GATE, PRODUCT)}
"""The kinds of nodes that each kind of fractions is for."""
