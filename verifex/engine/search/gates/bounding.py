"""One step of a search: lower bounds of the open rows of a batch of domains, what they close, and
what to split the others on."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray

from verifex.engine.bounds.facts import pack
from verifex.engine.bounds.half_spaces import HalfSpaces
from verifex.engine.bounds.layout import IntermediateBounds
from verifex.engine.bounds.optimise import Effort
from verifex.engine.search.gates.branching import gate_scores
from verifex.engine.search.gates.domains import (
    Domains,
    Flags,
    WarmStart,
    attach,
    stacked_warm,
)
from verifex.engine.search.gates.joint import Joint
from verifex.engine.search.gates.lookahead import Asked, BoundedRows, look_ahead
from verifex.engine.search.gates.policy import SearchContext
from verifex.engine.search.record import AtomBound
from verifex.ir.exact import FloatArray
from verifex.semantics.linear import minimisers

Numbers = NDArray[np.intp]

_NUMBERS = 1 << 23
"""Rows times node elements in one backward pass: some eight arrays of so many numbers live at once,
half a gigabyte."""

_FEWEST, _MOST = 256, 4096
"""Rows in one backward pass, whatever the network. A domain with more open rows than `_MOST` is
worked off in parts, those first that are farthest from closed; a root, where most are closed,
wholly."""


class Bounding:
    """Bounds batches of domains for one search.

    `weights` (gates,), if set, multiply the scores of gates.
    """

    def __init__(self, context: SearchContext) -> None:
        self.context = context
        self.joint = Joint(context)
        self.weights: FloatArray | None = None
        layout = context.layout
        numbers = sum(layout.graph.nodes[i].size for i in layout.order)
        self._rows = min(_MOST, max(_FEWEST, _NUMBERS // max(1, numbers)))

    def groups(self, domains: Domains) -> Iterator[slice]:
        """Parts of a batch whose rows are bounded together: whole domains, at least one."""
        start = rows = 0
        for k, mine in enumerate(domains.rows):
            if rows and rows + len(mine) > self._rows:
                yield slice(start, k)
                start, rows = k, 0
            rows += len(mine)
        if start < len(domains):
            yield slice(start, len(domains))

    def run(
        self,
        domains: Domains,
        bounds: IntermediateBounds,
        half_spaces: HalfSpaces | None,
        effort: Effort,
        *,
        roots: bool = False,
    ) -> tuple[Flags, BoundedRows]:
        """Bound the open rows, record what reaches its goal, and close what closes (N,).

        The columns of the domains hold what was found; so do the rows that stay open, for
        `choose`.
        """
        closed = np.zeros(len(domains), dtype=bool)
        kept: BoundedRows | None = None
        parts = self._parts(domains, roots)
        for place, row in parts:
            found = self._bound(domains, bounds, half_spaces, place, row, effort)
            self._note(domains, found)
            closed |= self.context.policy.close(domains, found.bounds)
            if len(parts) > 1:
                found = found.part(np.flatnonzero(self._left(domains, found)))
            kept = found if kept is None else kept.joined(found).worst(self._rows)
            if closed.all() or (len(parts) > 1 and len(found.row) and not roots):
                break
        if kept is None:
            raise ValueError("a batch without open rows cannot be bounded")
        still = np.flatnonzero(~closed)
        self._warm(domains, kept, still)
        some = domains.take(still)
        by_joint = self.joint.tighten(some).closed != ""
        domains.put(still, some)
        closed[still[by_joint]] = True
        return closed, kept

    def _parts(self, domains: Domains, roots: bool) -> list[tuple[Numbers, Numbers]]:
        """(place, row), each (R,), of all open rows; in parts where one domain has too many."""
        lengths = [len(mine) for mine in domains.rows]
        place = np.repeat(np.arange(len(domains)), lengths)
        row = np.concatenate(domains.rows).astype(np.intp)
        if len(row) <= self._rows or len(domains) > 1:
            return [(place, row)]
        order = np.arange(len(row)) if roots else np.argsort(domains.bounds[0], kind="stable")
        parts = [np.sort(order[at : at + self._rows]) for at in range(0, len(row), self._rows)]
        return [(place[some], row[some]) for some in parts]

    def _bound(
        self,
        domains: Domains,
        bounds: IntermediateBounds,
        half_spaces: HalfSpaces | None,
        place: Numbers,
        row: Numbers,
        effort: Effort,
    ) -> BoundedRows:
        context = self.context
        rows, start, box = context.table.rows(
            bounds, domains.signs, domains.lo, domains.hi, place, row)
        consts = context.table.consts[row]
        goal = torch.from_numpy(context.policy.goals(row)) - consts
        warm = stacked_warm(domains, place, row)
        found = context.bounder.bound(rows, start, *box, effort, warm, goal)
        if half_spaces is not None:
            open_ = np.flatnonzero((found.value <= goal).numpy())
            if len(open_):
                context.half_spaces.sharpen(found, open_, rows, start, box, half_spaces)
        found.value = found.value + consts
        x = minimisers(found.coefs, *box, context.bounder.balls)
        context.policy.candidates(x.numpy(), row.tolist())
        score = gate_scores(
            context.layout, context.bounder, rows, found, x, context.options.rule).numpy()
        return BoundedRows(rows, start, box, goal, found, place, row, score)

    def _note(self, domains: Domains, found: BoundedRows) -> None:
        """Write the bounds into their column, and into the proof those that reach their goal."""
        value, params = found.found.value.numpy(), found.found.params
        arrays = {key: v.numpy() for key, v in params.items()}
        reached = value > self.context.policy.goals(found.row)
        for k, part in found.by_domain():
            at = np.searchsorted(domains.rows[k], found.row[part])
            known = domains.bounds[k].copy()
            known[at] = value[part]
            domains.bounds[k] = known
            if self.context.options.record:
                for r in part[reached[part]]:
                    packed = pack({key: v[r] for key, v in arrays.items()})
                    bound = AtomBound(int(found.row[r]), float(value[r]), packed)
                    attach(self.context.proof, domains, k, bound)

    @staticmethod
    def _left(domains: Domains, found: BoundedRows) -> Flags:
        """Which of the rows (R,) are still open on their domains."""
        left = np.zeros(len(found.row), dtype=bool)
        for k, part in found.by_domain():
            left[part] = np.isin(found.row[part], domains.rows[k], assume_unique=True)
        return left

    def _warm(self, domains: Domains, kept: BoundedRows, still: Numbers) -> None:
        """Let open domains keep the parameters of their open rows, and their least bound."""
        params = {key: v.numpy() for key, v in kept.found.params.items()}
        left, open_ = self._left(domains, kept), set(still.tolist())
        for k, part in kept.by_domain():
            if k in open_:
                mine = part[left[part]]
                domains.warm[k] = WarmStart(
                    kept.row[mine].astype(np.int32), {key: v[mine] for key, v in params.items()})
                domains.value[k] = domains.bounds[k].min()

    # --- what to split on -----------------------------------------------------------------------

    def choose(self, domains: Domains, kept: BoundedRows, still: Numbers) -> Numbers:
        """For the open domains `still`, the gate that loses most, or the input side that the bound
        depends on most. Returns their numbers in the order in which they shall wait."""
        options, left = self.context.options, self._left(domains, kept)
        parts = {k: part[left[part]] for k, part in kept.by_domain()}
        asked: list[Asked] = []
        coefs = kept.found.coefs.numpy()
        for k in still.tolist():
            mine = parts[k]
            score = kept.score[mine].sum(axis=0)
            weighted = self._best_gate(domains, k, score)
            if options.inputs:
                self._best_side(domains, k, np.abs(coefs[mine]).sum(axis=0))
            if domains.gate[k] >= 0 and options.ahead:
                asked.append(Asked(k, mine.tolist(), weighted))
        context = self.context
        gates = look_ahead(context.layout, context.bounder, kept, asked, options.ahead or 0)
        for a, gate in zip(asked, gates, strict=True):
            domains.gate[a.place] = gate
        compared = [a.place for a in asked]
        return np.array([*(k for k in still.tolist() if k not in set(compared)), *compared],
                        dtype=np.intp)

    def _best_gate(self, domains: Domains, place: int, score: FloatArray) -> FloatArray:
        """Choose by scores (gates,), which come back with the weights of their layers."""
        least = 1e-9 * (1.0 + abs(float(domains.value[place])))
        score = np.where(score > least, score, 0.0)
        weighted = score if self.weights is None else score * self.weights
        domains.gate[place] = int(weighted.argmax()) if score.any() else -1
        domains.dimension[place] = -1
        return weighted

    @staticmethod
    def _best_side(domains: Domains, place: int, coefs: FloatArray) -> None:
        """Choose the side (of those with coefficients (inputs,)) that the bound depends on most."""
        width = domains.hi[place] - domains.lo[place]
        reach = coefs * width
        if domains.gate[place] < 0 or width.max() > 0:
            side = int(reach.argmax()) if reach.max() > 0 else int(width.argmax())
            if width[side] > 0:
                domains.dimension[place], domains.gate[place] = side, -1
