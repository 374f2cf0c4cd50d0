"""Atoms of a conjunction that cannot hold together on a domain, though each of them can alone.

Where all atoms of a set must hold for the claim to be violated, a combination of their negated
forms with multipliers >= 0 that is positive on the whole domain closes it (format.md, section 6).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from verifex.engine.bounds import batched_lp
from verifex.engine.bounds.bounder import FINE, Params, shorten
from verifex.engine.bounds.facts import pack
from verifex.engine.bounds.half_spaces import HalfSpaces
from verifex.engine.bounds.layout import IntermediateBounds
from verifex.engine.search.gates.domains import Domains, attach, local_facts
from verifex.engine.search.gates.policy import SearchContext, Tightened, still_open
from verifex.engine.search.record import AtomBound
from verifex.ir.exact import FloatArray
from verifex.semantics.parameters import REGION_ROWS

Numbers = NDArray[np.intp]

_TOGETHER = 64
"""Rows of a conjunction that are combined at most."""


class Joint:
    """Looks for combinations of rows, on one domain at a time."""

    def __init__(self, context: SearchContext) -> None:
        self.context = context

    def tighten(self, domains: Domains) -> Tightened:
        """Close domains by combinations of rows that were just bounded: their warm starts are the
        multipliers of the rows' own bounds."""
        closed, again = still_open(domains)
        for k, rows in enumerate(self.context.policy.joint(domains)):
            warm = domains.warm[k]
            if not 2 <= len(rows) <= _TOGETHER or warm is None:
                continue
            if not np.isin(rows, warm.rows).all():
                continue
            at = np.searchsorted(warm.rows, rows)
            params = {key: v[at] for key, v in warm.params.items()}
            bound = self._bound(domains.take(slice(k, k + 1)), rows, params)
            if bound is not None and bound.value > self.context.policy.goals(
                np.array([bound.row])
            )[0]:
                attach(self.context.proof, domains, k, bound)
                closed[k] = "bounds"
        return Tightened(closed, again)

    def _bound(
        self, domain: Domains, rows: Numbers, params: Params
    ) -> AtomBound | None:
        """A positive combination of `rows` on a batch of one, with its multipliers, if one is
        found. `params` (k, size): multipliers of the rows' own bounds; those of splits are made
        anew."""
        context = self.context
        lo, hi, signs = domain.lo, domain.hi, domain.signs
        bounds = context.layout.propagate(lo, hi, signs, local=local_facts(domain))
        half_spaces = context.half_spaces.of_splits(bounds, lo, hi, signs)
        place = np.zeros(len(rows), dtype=np.intp)
        form, start, box = context.table.rows(bounds, signs, lo, hi, place, rows)
        form.split = {}
        bare = {k: v for k, v in params.items() if not k.is_multiplier}
        _, coefs, const = context.bounder.evaluate(form, start, bare, *box)
        const = const + context.table.consts[rows]
        # A point at which no row is positive: if there is none, a combination excludes them all.
        left = np.concatenate([half_spaces.a[0], -coefs])[None]
        right = np.concatenate([half_spaces.b[0], const])[None]
        found = batched_lp.minimise(np.zeros_like(lo), left, right, lo, hi)
        weights = found.duals[0, -len(rows) :]
        if not found.empty[0] or np.count_nonzero(weights > 1e-9 * weights.max(initial=0.0)) < 2:
            return None
        scaled = found.duals[0] / weights.max()
        weights = shorten(REGION_ROWS, scaled[-len(rows) :], FINE)
        duals = scaled[: -len(rows)]
        return self._evaluate(domain, bounds, rows, weights, bare, half_spaces, duals)

    def _evaluate(
        self,
        domain: Domains,
        bounds: IntermediateBounds,
        rows: Numbers,
        weights: FloatArray,
        bare: Params,
        half_spaces: HalfSpaces,
        duals: FloatArray,
    ) -> AtomBound:
        """The combination with weights >= 0, the greatest of them 1."""
        context = self.context
        lo, hi, signs = domain.lo, domain.hi, domain.signs
        first = int(weights.argmax())
        weights = np.where(weights > 1e-9, weights, 0.0)
        place = np.zeros(1, dtype=np.intp)
        form, _, box = context.table.rows(bounds, signs, lo, hi, place, rows[first : first + 1])
        start = {i: weights[None] @ table for i, table in context.table.start(rows).items()}
        mine = context.bounder.start(form, list(start))
        for key, value in bare.items():
            if key in mine:
                mine[key] = value[first : first + 1]
        context.half_spaces.place(mine, half_spaces, duals[None], FINE)
        found, _, _ = context.bounder.evaluate(form, start, mine, *box)
        least = float(found[0] + weights @ context.table.consts[rows])
        more = {
            r: float(w)
            for k, (r, w) in enumerate(zip(rows.tolist(), weights, strict=True))
            if w and k != first
        }
        packed = pack({key: v[0] for key, v in mine.items()})
        return AtomBound(int(rows[first]), least, packed, more)
