"""Node bounds of many domains at once: the interval pass with proven facts and split gates put in.

A domain is an input box and a choice of sign for some gates. Bounds are outward rounded
(`semantics.interval`); facts (bounds proven elsewhere, valid on the whole region) and the signs are
intersected in as the pass reaches their nodes, so that everything after them profits.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from verifex.ir.exact import FloatArray
from verifex.ir.graph import Graph
from verifex.ir.ops import Affine, Gate, Input, Mul, Relu, Step, Univariate
from verifex.semantics.interval import Interval, bound_nodes

Signs = NDArray[np.int8]
"""(D, gates): +1 where z >= 0 was chosen, -1 where z <= 0, 0 where nothing was."""


DomainFacts = Mapping[int, tuple[FloatArray, FloatArray]]
"""node -> (lo, hi) of shape (D, size): bounds proven for the domains, infinite where none are."""


@dataclass(frozen=True)
class IntermediateBounds:
    """Bounds over D domains: node -> (D, size); `empty` (D,) marks domains without any point."""

    lo: dict[int, FloatArray]
    hi: dict[int, FloatArray]
    empty: NDArray[np.bool_]

    def of(self, picked: NDArray[np.intp]) -> IntermediateBounds:
        """Those of some domains, by their numbers, which rise."""
        if len(picked) == len(self.empty):
            return self
        lo, hi = ({i: v[picked] for i, v in side.items()} for side in (self.lo, self.hi))
        return IntermediateBounds(lo, hi, self.empty[picked])


@dataclass
class Layout:
    """Which pre-activations are gates, where each lies in the flat gate vector, and the facts.

    `facts` maps a node to (lo, hi) of shape (size,), valid on the whole region.
    """

    graph: Graph
    targets: tuple[int, ...]
    facts: dict[int, tuple[FloatArray, FloatArray]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.order = self.graph.ancestors(self.targets)
        nodes = self.graph.nodes
        self.steps = {i: nodes[i].args[0] for i in self.order if isinstance(nodes[i].op, Step)}
        zs = {nodes[i].args[0] for i in self.order if isinstance(nodes[i].op, Relu | Step)}
        self.offsets: dict[int, int] = {}
        at = 0
        for z in sorted(zs):
            self.offsets[z] = at
            at += nodes[z].size
        self.gates = at

    def relaxed(self, direct: bool = False) -> list[int]:
        """Nodes whose bounds the relaxations use, besides the direct images of the input.

        These too if `direct`: their intervals are exact over a box, not over a ball in it or a
        one-hot group.
        """
        nodes, wanted = self.graph.nodes, set()
        for i in self.order:
            node = nodes[i]
            match node.op:
                case Relu() | Step() | Univariate():
                    wanted.add(node.args[0])
                case Gate():
                    wanted.add(node.args[1])
                case Mul():
                    wanted.update(node.args)
                case _:
                    pass
        return sorted(
            i for i in wanted if not self.exact(i) or (direct and self.graph.nodes[i].args)
        )

    def exact(self, index: int) -> bool:
        """Whether a node's interval is exact over a box: constants, inputs, one affine step."""
        node = self.graph.nodes[index]
        if isinstance(node.op, Affine):
            return len(node.args) == 1 and isinstance(self.graph.nodes[node.args[0]].op, Input)
        return not node.args

    def name(self, gate: int) -> tuple[int, int]:
        """(pre-activation node, element) of a position in the flat gate vector."""
        z = max((z for z in self.offsets if self.offsets[z] <= gate), key=self.offsets.__getitem__)
        return z, gate - self.offsets[z]

    def signs_of(self, signs: Signs, preact: int) -> Signs:
        at = self.offsets[preact]
        return signs[:, at : at + self.graph.nodes[preact].size]

    def propagate(
        self,
        lo: FloatArray,
        hi: FloatArray,
        signs: Signs,
        targets: Iterable[int] | None = None,
        local: DomainFacts | None = None,
    ) -> IntermediateBounds:
        """Bounds over D domains: input boxes (D, n), signs (D, gates), facts of the domains."""
        domains = lo.shape[0]
        empty = np.zeros(domains, dtype=bool)
        local = local or {}

        def refine(node: int, box: Interval) -> Interval:
            fact, mine, z = self.facts.get(node), local.get(node), self.steps.get(node)
            if fact is None and mine is None and z is None and node not in self.offsets:
                return box
            shape = self.graph.nodes[node].shape
            low = np.broadcast_to(box.lo, (domains, *shape)).reshape(domains, -1)
            high = np.broadcast_to(box.hi, (domains, *shape)).reshape(domains, -1)
            if fact is not None:
                low, high = np.maximum(low, fact[0]), np.minimum(high, fact[1])
            if mine is not None:
                low, high = np.maximum(low, mine[0]), np.minimum(high, mine[1])
            if node in self.offsets:
                sign = self.signs_of(signs, node)
                low = np.where(sign > 0, np.maximum(low, 0.0), low)
                high = np.where(sign < 0, np.minimum(high, 0.0), high)
            if z is not None:
                sign = self.signs_of(signs, z)
                low, high = np.where(sign > 0, 1.0, low), np.where(sign < 0, 0.0, high)
            bad = low > high
            if bad.any():
                # Sound: bounds that contradict each other mean that the domain has no point.
                empty[:] |= bad.any(axis=1)
                high = np.maximum(low, high)
            return Interval(low.reshape(domains, *shape), high.reshape(domains, *shape))

        values = bound_nodes(self.graph, lo, hi, targets or self.targets, refine)
        return IntermediateBounds(
            {i: v.lo.reshape(domains, -1) for i, v in values.items()},
            {i: v.hi.reshape(domains, -1) for i, v in values.items()},
            empty,
        )
