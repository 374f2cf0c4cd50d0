"""The splits of a proof as the start of a search on another region of the same graph.

A gate can be split anywhere, so its splits carry over as they are: the search begins at the leaves
of the tree that closed the claim there, and not at the root. Splits of inputs depend on the region;
the search begins above them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from verifex.engine.bounds.layout import Layout
from verifex.engine.search.record import Closed, Proof, ProofNode

_MOST = 4000
"""Leaves beyond which a search begins at the root: there may be too many for the new region."""


@dataclass(frozen=True)
class Replanted:
    """A tree without conclusions: its leaves, as places in the proof, and the signs of gates that
    were split off on the way to each (leaves, gates), as `Domains` has them."""

    proof: Proof
    leaves: NDArray[np.intp]
    signs: NDArray[np.int8]


def replanted(like: Closed | None, layout: Layout) -> Replanted | None:
    """The splits of a record, if it is one of the same gates and splits any of them."""
    if like is None or not like.proof.nodes or not _same_gates(like.layout, layout):
        return None
    proof, leaves = Proof(), list[int]()
    paths: list[list[tuple[int, int]]] = []
    start = proof.add(ProofNode(parent=-1))
    stack: list[tuple[int, int, list[tuple[int, int]]]] = [(0, start, [])]
    while stack:
        old, new, path = stack.pop()
        children = like.proof.nodes[old].children
        gates = [like.proof.nodes[c].gate for c in children or ()]
        if children is None or None in gates:
            leaves.append(new)
            paths.append(path)
            continue
        pair = []
        for child in children:
            node = like.proof.nodes[child]
            pair.append(proof.add(ProofNode(new, gate=node.gate, sign=node.sign)))
            stack.append((child, pair[-1], [*path, (int(node.gate or 0), node.sign)]))
        proof.nodes[new].children = (pair[0], pair[1])
    if not 1 < len(leaves) <= _MOST:
        return None
    signs = np.zeros((len(leaves), layout.gates), dtype=np.int8)
    for k, path in enumerate(paths):
        for gate, sign in path:
            signs[k, gate] = sign
    return Replanted(proof, np.array(leaves, dtype=np.intp), signs)


def _same_gates(one: Layout, other: Layout) -> bool:
    """Whether gates have the same numbers, of the same pre-activations."""
    return one.offsets == other.offsets and one.graph.nodes == other.graph.nodes
