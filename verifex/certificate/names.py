"""How a certificate names elements and atoms (format.md, section 3)."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from verifex.ir.fingerprints import GraphFingerprints, names_of
from verifex.ir.formula import Atom
from verifex.ir.ops import Gate, Mul, Relu, Step
from verifex.ir.problem import Problem

RELAXED = (Relu, Step, Gate, Mul)


class CertificateNames:
    """The groups of elements that have been named so far: one for each node that was asked for."""

    def __init__(self, problem: Problem) -> None:
        self.graph, self.fingerprints = problem.graph, GraphFingerprints(problem.graph)
        self._groups: dict[int, int] = {}
        self._written = 0
        needed = passed_always(problem)
        self._arguments = {
            a for i in needed if isinstance(self.graph.nodes[i].op, RELAXED)
            for a in self.graph.nodes[i].args
        }

    def of_atom(self, atom: Atom) -> int:
        """The name of an atom."""
        return self.fingerprints.of_atom(atom)

    def is_argument(self, node: int) -> bool:
        """Whether facts about a node can be of use: a relaxed node has it as an argument."""
        return node in self._arguments

    def is_relaxed(self, node: int) -> bool:
        """Whether planes replace a node's elements, so that fractions choose among them."""
        return isinstance(self.graph.nodes[node].op, RELAXED)

    def group(self, node: int) -> int:
        """The number of the group that holds a node's elements."""
        return self._groups.setdefault(node, len(self._groups))

    def new_groups(self) -> Iterator[dict[str, Any]]:
        """The lines that declare the groups that were asked for since the last call."""
        nodes = list(self._groups)[self._written :]
        self._written = len(self._groups)
        for node in nodes:
            yield {"group": self.packed(self.fingerprints.of(node))}

    def packed(self, names: Iterable[int]) -> str:
        """Names in the form in which a certificate has them."""
        return base64.b64encode(names_of(names)).decode()

    def in_order(self, node: int, shares: NDArray[np.uint8], whole: int) -> NDArray[np.uint8]:
        """Shares of the planes above a product, whose arguments a certificate has in the order of
        their names; those of other nodes as they are."""
        if not isinstance(self.graph.nodes[node].op, Mul):
            return shares
        first, second = (self.fingerprints.of(a) for a in self.graph.nodes[node].args)
        turned = np.array([a > b for a, b in zip(first, second, strict=True)])
        return np.where(turned[: len(shares)], whole - shares, shares).astype(np.uint8)


def passed_always(problem: Problem) -> list[int]:
    """The nodes that the claim depends on, and the Relu on z for every Step on z, older or not.

    What is only multiplied by zeros does not count: readers of the file never see it.
    """
    graph = problem.graph
    needed = set(graph.ancestors(problem.targets(), zeros=False))
    gated = {graph.nodes[i].args[0] for i in needed if isinstance(graph.nodes[i].op, Step)}
    return sorted(
        needed
        | {i for i, n in enumerate(graph.nodes) if isinstance(n.op, Relu) and n.args[0] in gated}
    )
