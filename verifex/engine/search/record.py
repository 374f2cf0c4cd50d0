"""The record that a search leaves: its tree, and the multipliers behind everything it concluded.

A certificate is written from this. Node 0 is the root; a node is either split (on a gate's sign, on
an input at a value, or on a whole number) or closed. Bounds may be attached to any node and hold in
its subtree.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from verifex.engine.bounds.facts import Fact, Packed
from verifex.engine.bounds.layout import Layout
from verifex.ir.formula import Atom


@dataclass(frozen=True)
class LocalFacts:
    """Bounds of a node's elements in a subtree: `rows` (k, 2) of element and sign.

    `shared` are the fractions of all rows, `splits` the multipliers of each.
    """

    node: int
    rows: NDArray[np.int32]
    shared: Packed
    splits: list[Packed]


@dataclass(frozen=True)
class AtomBound:
    """The form of `row` (of the search's list of forms) is at least `value` in the subtree.

    Row -1 is the form 0: a bound above zero says that the subtree has no points. With `more`, other
    rows with multipliers, it is the sum that is bounded.
    """

    row: int
    value: float
    params: Packed
    more: Mapping[int, float | Fraction] = field(default_factory=dict)
    exact: bool = False
    """Multipliers are Fractions (in `params` under BETA and GAMMA, and in `more`); every unit that
    matters is decided there by splits on the path or by exact intervals."""


@dataclass
class ProofNode:
    """One node: what was split on, or how it was closed ("bounds", "empty"); None while open.

    A child of a split of a whole number is marked `whole`: its `at` is a whole number n, the first
    child has x >= n + 1 and the second x <= n.
    """

    parent: int
    gate: int | None = None
    sign: int = 0
    dimension: int | None = None
    at: float = 0.0
    bounds: list[AtomBound] = field(default_factory=list)
    closed: str | None = None
    children: tuple[int, int] | None = None
    facts: list[LocalFacts] = field(default_factory=list)
    plain: NDArray[np.int32] | None = None
    """(k, 3): node, element, sign of facts by bounds without multipliers; they hold below."""
    cut: tuple[Fraction, bool] | None = None
    """Of a child of a split at a cut (q, above) of the input `dimension`: the first child has
    x > q, or x >= q unless `above`, the second all other numbers."""
    whole: bool = False
    """Whether a whole number was split: `at` is n, the first child has x >= n + 1, the second
    x <= n."""


@dataclass
class Proof:
    """The tree of one search."""

    nodes: list[ProofNode] = field(default_factory=list)

    def add(self, node: ProofNode) -> int:
        self.nodes.append(node)
        return len(self.nodes) - 1

    @property
    def leaves(self) -> int:
        return sum(n.children is None for n in self.nodes)

    @property
    def open(self) -> int:
        """Leaves that nothing has closed."""
        return sum(n.children is None and not n.closed for n in self.nodes)


def tree_of_row(proof: Proof, start: int, row: int) -> Proof:
    """The tree below one node as a proof of its own, about one row of the search, called 0 there.

    Only bounds of this row, and of the form 0, go with it.
    """
    out, stack = Proof(), [(start, -1, 0)]
    while stack:
        old, parent, side = stack.pop()
        node = proof.nodes[old]
        bounds = [replace(b, row=min(b.row, 0)) for b in node.bounds if b.row in (row, -1)]
        new = out.add(replace(node, parent=parent, children=None, bounds=bounds))
        if parent >= 0:
            first = out.nodes[parent].children
            out.nodes[parent].children = (new, new) if first is None else (
                (first[0], new) if side else (new, first[1]))
        if node.children is not None:
            stack += [(node.children[1], new, 1), (node.children[0], new, 0)]
    return out


def shown(proof: Proof) -> float:
    """What a tree about one row shows of it on the whole region: the least, over its leaves, of the
    best bound on the way there; -inf where a leaf has none. Empty leaves count for nothing."""
    if not proof.nodes:
        return -np.inf
    least, stack = np.inf, [(0, -np.inf)]
    while stack:
        at, above = stack.pop()
        node = proof.nodes[at]
        best = max([above, *(b.value for b in node.bounds)])
        if node.children is not None:
            stack += [(child, best) for child in node.children]
        elif node.closed != "empty":
            least = min(least, best)
    return float(least)


@dataclass(frozen=True)
class Closed:
    """A claim that was closed, but for leaves marked open: what a certificate is written from.

    `atoms` are those whose negated forms the proof's rows bound. No nodes in `proof` means that
    the facts and interval bounds close the claim by themselves.
    """

    layout: Layout
    facts: list[Fact]
    proof: Proof
    atoms: list[Atom]
