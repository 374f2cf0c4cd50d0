"""One step of a search: lower bounds of the open rows of a batch of domains, what they close, and
what to split the others on."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from verifex.engine.bounds.bounder import Effort
from verifex.engine.bounds.cost import rows_at_once
from verifex.engine.bounds.facts import pack
from verifex.engine.bounds.half_spaces import HalfSpaces
from verifex.engine.bounds.layout import IntermediateBounds
from verifex.engine.search.gates.branching import InputShares, gate_scores
from verifex.engine.search.gates.domains import (
    Domains,
    Flags,
    WarmStart,
    attach,
    by_domain,
    stacked_warm,
)
from verifex.engine.search.gates.joint import Joint
from verifex.engine.search.gates.lookahead import Asked, BoundedRows, look_ahead
from verifex.engine.search.gates.policy import SearchContext, Tightener
from verifex.engine.search.record import AtomBound
from verifex.ir.exact import FloatArray
from verifex.semantics.linear import minimisers
from verifex.semantics.support.whole import WholeFeatures

Numbers = NDArray[np.intp]

WHOLE_FIRST = 4.0
"""A whole feature is split before a gate that loses less than so many times its share of all gates'
losses: a feature that is fixed is so for all gates, and combinations of few values end sooner than
patterns of gates do (of 33 questions, mostly of random networks, 4 were left open in 10 s with 1,
two with 4, and two with features always first)."""


class Bounding:
    """Bounds batches of domains for one search.

    `weights` (gates,), if set, multiply the scores of gates.
    """

    def __init__(self, context: SearchContext) -> None:
        self.context = context
        self.joint: Tightener = Joint(context)
        self.weights: FloatArray | None = None
        self._shares: InputShares | None = None
        layout = context.layout
        fitting = rows_at_once(layout.graph, layout.targets, context.budget.memory)
        self._rows = min(context.options.rows, fitting)

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
    ) -> tuple[Flags, BoundedRows]:
        """Bound the open rows, record what reaches its goal, and close what closes (N,).

        The columns of the domains hold what was found; so do the rows that stay open, for
        `choose`.
        """
        closed = np.zeros(len(domains), dtype=bool)
        if sum(map(len, domains.rows)) <= self._rows:
            place, row = _open_rows(domains)
            kept = self._bound(domains, bounds, half_spaces, place, row, effort)
            closed |= self._note(domains, kept)
        else:
            kept, closed[0] = self._in_parts(domains, bounds, half_spaces, effort)
        still = np.flatnonzero(~closed)
        self._warm(domains, kept, still)
        some = domains.take(still)
        by_joint = self.joint.tighten(some).closed != ""
        domains.put(still, some)
        closed[still[by_joint]] = True
        return closed, kept

    def _in_parts(
        self,
        domain: Domains,
        bounds: IntermediateBounds,
        half_spaces: HalfSpaces | None,
        effort: Effort,
    ) -> tuple[BoundedRows, bool]:
        """Bound the rows of a batch of one that has too many of them, in parts: first all that were
        never bounded, without optimising, since most are closed by that; then those that are
        farthest from closed, until some of a part stay open. Returns that part, and whether the
        domain is closed."""
        context, tried = self.context, np.empty(0, dtype=np.intp)
        while True:
            # A bound may come out as -inf: rows are remembered, so that each has this turn once.
            new = np.isneginf(domain.bounds[0]) & ~np.isin(domain.rows[0], tried)
            order = np.flatnonzero(new)
            if not new.any():
                order = np.argsort(domain.bounds[0], kind="stable")
            some = np.sort(order[: self._rows])
            row = domain.rows[0][some].astype(np.intp)
            how = Effort(0) if new.any() else effort
            tried = np.concatenate([tried, row])
            found = self._bound(domain, bounds, half_spaces, np.zeros_like(row), row, how)
            closed = bool(self._note(domain, found)[0])
            stays = not new.any() and bool(self._left(domain, found).any())
            if closed or stays or context.budget.spent or context.policy.finished():
                return found, closed

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
        goal = context.policy.goals(row) - consts
        warm = stacked_warm(domains, place, row)
        found = context.bounder.bound(rows, start, *box, effort, warm, goal)
        if half_spaces is not None and half_spaces.a.shape[1]:
            open_ = np.flatnonzero(found.value <= goal)
            if len(open_):
                context.half_spaces.sharpen(found, open_, rows, start, box, half_spaces)
        found.value = found.value + consts
        x = minimisers(found.coefs, *box, context.bounder.balls)
        if context.whole is not None:
            x = context.whole.with_choices(x, found.coefs, box[1])
        context.policy.candidates(x, row.tolist())
        score = gate_scores(
            context.layout, context.bounder, rows, found, x, context.options.rule)
        return BoundedRows(rows, start, box, goal, found, place, row, score)

    def _note(self, domains: Domains, found: BoundedRows) -> Flags:
        """Write the bounds into their column, and into the proof those that reach their goal; the
        domains (N,) that are closed by them."""
        value, params = found.found.value, found.found.params
        reached = value > self.context.policy.goals(found.row)
        for k, mine in by_domain(found.place):
            known = value[mine]
            if len(known) < len(domains.rows[k]):
                known = domains.bounds[k].copy()
                known[np.searchsorted(domains.rows[k], found.row[mine])] = value[mine]
            domains.bounds[k] = known
        closed = self.context.policy.close(domains, found.bounds)
        for k, mine in by_domain(found.place) if self.context.options.record else ():
            # A domain may close by the bound of its parent, once a better value is attained.
            kept = reached[mine] | (closed[k] and not reached[mine].any())
            for r in mine.start + np.flatnonzero(kept):
                packed = pack({key: v[r] for key, v in params.items()})
                bound = AtomBound(int(found.row[r]), float(value[r]), packed)
                attach(self.context.proof, domains, k, bound)
        return closed

    @staticmethod
    def _left(domains: Domains, found: BoundedRows) -> Flags:
        """Which of the rows (R,) are still open on their domains."""
        left = np.ones(len(found.row), dtype=bool)
        for k, mine in by_domain(found.place):
            if not np.array_equal(domains.rows[k], found.row[mine]):
                left[mine] = np.isin(found.row[mine], domains.rows[k], assume_unique=True)
        return left

    def _warm(self, domains: Domains, kept: BoundedRows, still: Numbers) -> None:
        """Let open domains keep the parameters of their open rows, and their least bound."""
        params = kept.found.params
        left, open_ = self._left(domains, kept), set(still.tolist())
        for k, lines in by_domain(kept.place):
            if k in open_:
                mine = lines.start + np.flatnonzero(left[lines])
                domains.warm[k] = None if not len(mine) else WarmStart(
                    kept.row[mine].astype(np.int32), {key: v[mine] for key, v in params.items()})
                domains.value[k] = domains.bounds[k].min()

    # --- what to split on -----------------------------------------------------------------------

    def choose(self, domains: Domains, kept: BoundedRows, still: Numbers) -> Numbers:
        """For the open domains `still`, the gate that loses most, or the input side that the bound
        depends on most. Returns their numbers in the order in which they shall wait."""
        options, left = self.context.options, self._left(domains, kept)
        parts = {
            k: mine.start + np.flatnonzero(left[mine]) for k, mine in by_domain(kept.place)}
        asked: list[Asked] = []
        coefs = kept.found.coefs
        for k in still.tolist():
            mine = parts[k]
            score = kept.score[mine].sum(axis=0)
            weighted = self._best_gate(domains, k, score)
            if options.inputs:
                self._best_side(domains, k, np.abs(coefs[mine]).sum(axis=0))
            elif self.context.whole is not None:
                self._best_whole(self.context.whole, domains, k, score)
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

    def _best_whole(
        self, whole: WholeFeatures, domains: Domains, place: int, score: FloatArray
    ) -> None:
        """Choose a whole feature in place of the gate where more of what the gates lose (gates,)
        belongs to it: a gate's loss is shared out by what each input adds to the width of its
        pre-activation."""
        gate = domains.gate[place]
        lo, hi = domains.lo[place], domains.hi[place]
        open_ = whole.open_in(lo, hi)
        if gate < 0 or not open_.any():
            return
        if self._shares is None:
            context = self.context
            self._shares = InputShares(context.layout, context.bounder, whole.lo, whole.hi)
        lost = np.where(open_, self._shares.of(score, hi - lo), 0.0)
        side = int(lost.argmax())
        if WHOLE_FIRST * lost[side] > score[gate]:
            domains.dimension[place], domains.gate[place] = side, -1

    @staticmethod
    def _best_side(domains: Domains, place: int, coefs: FloatArray) -> None:
        """Choose the side (of those with coefficients (inputs,)) that the bound depends on most."""
        width = domains.hi[place] - domains.lo[place]
        reach = coefs * width
        if domains.gate[place] < 0 or width.max() > 0:
            side = int(reach.argmax()) if reach.max() > 0 else int(width.argmax())
            if width[side] > 0:
                domains.dimension[place], domains.gate[place] = side, -1


def _open_rows(domains: Domains) -> tuple[Numbers, Numbers]:
    """(place, row), each (R,), of all open rows of a batch, domain by domain."""
    place = np.repeat(np.arange(len(domains)), [len(mine) for mine in domains.rows])
    return place, np.concatenate(domains.rows).astype(np.intp)
