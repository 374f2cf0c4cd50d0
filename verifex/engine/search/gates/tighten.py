"""Bounds of pre-activations optimised again on some domains of networks too large for all of them.

Every few splits of a branch, before a domain is split on, the undecided pre-activations behind its
splits are bounded anew, layer by layer, with multipliers for the splits (the alphas and betas of
Wang et al., 2021, arXiv:2103.06624, for intermediate bounds too). That costs as much as bounding
some dozens of children, but everything below the domain inherits what it finds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from verifex.engine.bounds.facts import BITS, Packed, pack
from verifex.engine.bounds.layout import Boxes, Layout
from verifex.engine.bounds.optimise import Bounder, Effort
from verifex.engine.bounds.root import to_rows
from verifex.engine.search.gates.domain import Domain, Sides, local_facts
from verifex.engine.search.record import LocalFacts, Proof
from verifex.ir.exact import FloatArray
from verifex.ir.ops import Gate, Relu, Step
from verifex.semantics.linear import Rows
from verifex.semantics.parameters import Parameter

Tensor = torch.Tensor

EVERY = 2
"""Splits of a branch from one time to the next (benchmarks/lookahead.py)."""

TOGETHER = 16
"""Domains at a time."""

_EFFORT = Effort(12, 0.2, 0.88)
_ROWS = 1024


@dataclass(frozen=True)
class _Batch:
    """Domains tightened together: what is asked of node z, and what its undecided rows begin with
    the next time (`begin`, by domain and place)."""

    domains: Sequence[Domain]
    lo: FloatArray
    hi: FloatArray
    signs: NDArray[np.int8]
    boxes: Boxes
    z: int
    begin: list[dict[int, Packed]]


def _places(asked: Sides) -> list[int]:
    """Where `Domain.starts` has each of the rows."""
    return [int(v) for v in 2 * asked.element + (asked.sign > 0)]


def behind(layout: Layout) -> list[int]:
    """Pre-activations that depend on other gates."""
    graph = layout.graph
    return [
        z for z in layout.offsets
        if any(isinstance(graph.nodes[i].op, Relu | Step | Gate) for i in graph.ancestors([z]))
    ]


class Tighten:
    """Tightens domains of one search; `proof`: where the lines go that show it, if anywhere."""

    def __init__(
        self,
        layout: Layout,
        bounder: Bounder,
        proof: Proof | None,
        stopped: Callable[[], bool] = lambda: False,
    ) -> None:
        self.layout, self.bounder, self.proof, self.stopped = layout, bounder, proof, stopped
        self._behind = behind(layout)

    def due(self, domain: Domain) -> bool:
        """Whether enough was split on since the bounds that the domain inherits."""
        splits = int(np.count_nonzero(domain.signs))
        return splits >= domain.tight + EVERY

    def run(self, domains: Sequence[Domain]) -> bool:
        """Put tighter bounds into the domains, for their children too; False if it was stopped."""
        lo, hi = np.stack([d.lo for d in domains]), np.stack([d.hi for d in domains])
        signs = np.stack([d.signs for d in domains])
        for z in self._behind:
            boxes = self.layout.propagate(lo, hi, signs, local=local_facts(domains))
            begin: list[dict[int, Packed]] = [{} for _ in domains]
            batch = _Batch(domains, lo, hi, signs, boxes, z, begin)
            for asked in self._asked(boxes, signs, z):
                if self.stopped():
                    return False
                self._bound(batch, asked)
            for d, mine in zip(domains, begin, strict=True):
                d.starts = {**d.starts, z: mine}
        for d in domains:
            d.tight = int(np.count_nonzero(d.signs))
        return True

    def _asked(self, boxes: Boxes, signs: NDArray[np.int8], preact: int) -> Iterator[Sides]:
        """Both sides of every undecided element, in parts."""
        at, size = self.layout.offsets[preact], self.layout.graph.nodes[preact].size
        open_ = (boxes.lo[preact] < 0) & (boxes.hi[preact] > 0) & ~boxes.empty[:, None]
        domain, element = np.nonzero(open_ & (signs[:, at : at + size] == 0))
        for k in range(0, len(domain), _ROWS // 2):
            d, e = domain[k : k + _ROWS // 2], element[k : k + _ROWS // 2]
            sign = np.repeat([1.0, -1.0], len(d))
            yield Sides(np.concatenate([d, d]), np.concatenate([e, e]), sign)

    def _bound(self, batch: _Batch, asked: Sides) -> None:
        """Bound the rows, and let their domains keep what is tighter."""
        z, at, places = batch.z, torch.from_numpy(asked.domain), _places(asked)
        lo, hi = torch.from_numpy(batch.lo)[at], torch.from_numpy(batch.hi)[at]
        rows = to_rows(batch.boxes, at, self.layout, batch.signs)
        warm = self._inherited(batch, asked, places, rows)
        start = {z: asked.start(self.layout.graph.nodes[z].size)}
        # A row that is decided needs no tighter bound: its relaxation is exact then.
        found = self.bounder.bound(rows, start, lo, hi, _EFFORT, warm, goal=1e-9)
        value = found.value.numpy()
        value = value - 1e-9 * (1.0 + np.abs(value))
        use = asked.tighter(value, batch.boxes.lo[z], batch.boxes.hi[z]) | (value >= 0)
        params = {key: v.numpy() for key, v in found.params.items()}
        for k, d in enumerate(batch.domains):
            mine = np.flatnonzero(asked.domain == k)
            packed = {int(r): pack({key: v[r] for key, v in params.items()}) for r in mine}
            batch.begin[k] |= {places[r]: p for r, p in packed.items() if value[r] < 0}
            if use[mine].any():
                self._keep(d, z, asked, mine[use[mine]], value, packed)

    def _keep(
        self,
        domain: Domain,
        preact: int,
        asked: Sides,
        mine: NDArray[np.intp],
        value: FloatArray,
        packed: dict[int, Packed],
    ) -> None:
        """Put the rows `mine` among the domain's facts, and the lines that show it to its node."""
        size, i = self.layout.graph.nodes[preact].size, asked.element
        low, high = domain.kept.get(preact, (np.full(size, -np.inf), np.full(size, np.inf)))
        low, high = low.copy(), high.copy()
        up, down = mine[asked.sign[mine] > 0], mine[asked.sign[mine] < 0]
        low[i[up]] = np.maximum(low[i[up]], value[up])
        high[i[down]] = np.minimum(high[i[down]], -value[down])
        domain.kept = {**domain.kept, preact: (low, high)}
        if self.proof is not None:
            lines = np.stack([i[mine], asked.sign[mine]], axis=1).astype(np.int32)
            shown = [packed[int(r)] for r in mine]
            self.proof.nodes[domain.node].facts.append(LocalFacts(preact, lines, {}, shown))

    def _inherited(
        self, batch: _Batch, asked: Sides, places: list[int], rows: Rows
    ) -> dict[Parameter, Tensor]:
        """What the rows begin with: multipliers from above, or else what any bound begins with."""
        starts = [d.starts.get(batch.z, {}) for d in batch.domains]
        known = [starts[k].get(p, {}) for k, p in zip(asked.domain, places, strict=True)]
        if not any(known):
            return {}
        out = self.bounder.start(rows, [batch.z])
        for r, packed in enumerate(known):
            for key, values in packed.items():
                if isinstance(values, dict):
                    out[key][r] = 0.0
                    out[key][r, list(values)] = torch.tensor(list(values.values())).double()
                else:
                    out[key][r] = torch.from_numpy(values / 2.0**BITS)
        return out
