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

from verifex.engine.boxes import Boxes, Layout
from verifex.engine.domain import Domain, local_facts
from verifex.engine.optimise import Bounder, Effort
from verifex.engine.proof import BITS, LocalFacts, Packed, ParamKey, Proof, pack
from verifex.engine.root import to_rows
from verifex.ir.exact import FloatArray
from verifex.ir.ops import Gate, Relu, Step
from verifex.semantics.linear import Rows

Tensor = torch.Tensor

EVERY = 2
"""Splits of a branch from one time to the next (benchmarks/lookahead.py)."""

TOGETHER = 16
"""Domains at a time."""

_EFFORT = Effort(12, 0.2, 0.88)
_ROWS = 1024
_GAIN = 0.02
"""A bound that is not tighter by this part of the width is not worth a line."""


@dataclass(frozen=True)
class _Asked:
    """Rows of node z: `sign[r] * z[element[r]]` on domain `domain[r]`."""

    z: int
    domain: NDArray[np.intp]
    element: NDArray[np.intp]
    sign: FloatArray

    @property
    def place(self) -> NDArray[np.intp]:
        """Of every row, where a domain's `Starts` have it."""
        return 2 * self.element + (self.sign > 0)


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
            for asked in self._asked(boxes, signs, z):
                if self.stopped():
                    return False
                self._bound(domains, boxes, signs, asked, begin)
            for d, mine in zip(domains, begin, strict=True):
                d.starts = {**d.starts, z: mine}
        for d in domains:
            d.tight = int(np.count_nonzero(d.signs))
        return True

    def _asked(self, boxes: Boxes, signs: NDArray[np.int8], z: int) -> Iterator[_Asked]:
        """Both sides of every undecided element, in parts."""
        at, size = self.layout.offsets[z], self.layout.graph.nodes[z].size
        open_ = (boxes.lo[z] < 0) & (boxes.hi[z] > 0) & ~boxes.empty[:, None]
        domain, element = np.nonzero(open_ & (signs[:, at : at + size] == 0))
        for k in range(0, len(domain), _ROWS // 2):
            d, e = domain[k : k + _ROWS // 2], element[k : k + _ROWS // 2]
            sign = np.repeat([1.0, -1.0], len(d))
            yield _Asked(z, np.concatenate([d, d]), np.concatenate([e, e]), sign)

    def _bound(
        self,
        domains: Sequence[Domain],
        boxes: Boxes,
        signs: NDArray[np.int8],
        asked: _Asked,
        begin: list[dict[int, Packed]],
    ) -> None:
        """Bound the rows, and let their domains keep what is tighter; `begin` takes what undecided
        rows begin with the next time."""
        z, at = asked.z, torch.from_numpy(asked.domain)
        start = torch.zeros((len(at), self.layout.graph.nodes[z].size), dtype=torch.float64)
        start[torch.arange(len(at)), asked.element] = torch.from_numpy(asked.sign)
        lo, hi = (torch.from_numpy(np.stack(v))[at] for v in (
            [d.lo for d in domains], [d.hi for d in domains]))
        rows = to_rows(boxes, at, self.layout, signs)
        # A row that is decided needs no tighter bound: its relaxation is exact then.
        found = self.bounder.bound(
            rows, {z: start}, lo, hi, _EFFORT, self._inherited(domains, asked, rows), goal=1e-9
        )
        value = found.value.numpy()
        value = value - 1e-9 * (1.0 + np.abs(value))
        place = asked.domain, asked.element
        low, high = boxes.lo[z][place], boxes.hi[z][place]
        use = (value > np.where(asked.sign > 0, low, -high) + _GAIN * (high - low)) | (value >= 0)
        params = {key: v.numpy() for key, v in found.params.items()}
        places = asked.place
        for k, d in enumerate(domains):
            mine = np.flatnonzero(asked.domain == k)
            packed = {int(r): pack({key: v[r] for key, v in params.items()}) for r in mine}
            begin[k] |= {int(places[r]): p for r, p in packed.items() if value[r] < 0}
            if use[mine].any():
                self._keep(d, asked, mine[use[mine]], value, packed)

    def _keep(
        self,
        d: Domain,
        asked: _Asked,
        mine: NDArray[np.intp],
        value: FloatArray,
        packed: dict[int, Packed],
    ) -> None:
        """Put the rows `mine` among the domain's facts, and the lines that show it to its node."""
        size, i = self.layout.graph.nodes[asked.z].size, asked.element
        low, high = d.kept.get(asked.z, (np.full(size, -np.inf), np.full(size, np.inf)))
        low, high = low.copy(), high.copy()
        up, down = mine[asked.sign[mine] > 0], mine[asked.sign[mine] < 0]
        low[i[up]] = np.maximum(low[i[up]], value[up])
        high[i[down]] = np.minimum(high[i[down]], -value[down])
        d.kept = {**d.kept, asked.z: (low, high)}
        if self.proof is not None:
            lines = np.stack([i[mine], asked.sign[mine]], axis=1).astype(np.int32)
            shown = [packed[int(r)] for r in mine]
            self.proof.nodes[d.node].facts.append(LocalFacts(asked.z, lines, {}, shown))

    def _inherited(
        self, domains: Sequence[Domain], asked: _Asked, rows: Rows
    ) -> dict[ParamKey, Tensor]:
        """What the rows begin with: multipliers from above, or else what any bound begins with."""
        places = zip(asked.domain, asked.place, strict=True)
        known = [domains[k].starts.get(asked.z, {}).get(int(p), {}) for k, p in places]
        if not any(known):
            return {}
        out = self.bounder.start(rows, [asked.z])
        for r, packed in enumerate(known):
            for key, values in packed.items():
                if isinstance(values, dict):
                    out[key][r] = 0.0
                    out[key][r, list(values)] = torch.tensor(list(values.values())).double()
                else:
                    out[key][r] = torch.from_numpy(values / 2.0**BITS)
        return out
