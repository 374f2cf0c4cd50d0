"""Atoms of a conjunction that cannot hold together on a domain, though each of them can alone.

Where all atoms of a set must hold for the claim to be broken, a combination of their negated forms
with multipliers >= 0 that is positive on the whole domain closes it (format.md, section 6).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from verifex.engine.bounds import batched_lp
from verifex.engine.bounds.facts import pack
from verifex.engine.bounds.half_spaces import Cut, Cutter
from verifex.engine.bounds.layout import Boxes, Layout
from verifex.engine.bounds.optimise import Bounder, shorten
from verifex.engine.search.gates.domain import Domain, local_facts
from verifex.engine.search.gates.forms import FormTable
from verifex.engine.search.record import AtomBound
from verifex.ir.exact import FloatArray
from verifex.semantics.parameters import REGION_ROWS, Parameter

Tensor = torch.Tensor


class Joint:
    """Looks for combinations of rows on one domain at a time."""

    def __init__(self, layout: Layout, bounder: Bounder, table: FormTable, cutter: Cutter) -> None:
        self.layout, self.bounder, self.table, self.cutter = layout, bounder, table, cutter

    def bound(
        self, domain: Domain, rows: Sequence[int], params: dict[Parameter, Tensor]
    ) -> AtomBound | None:
        """A positive combination of `rows`, with its multipliers, if one is found.

        `params` (k, size): multipliers of the rows' own bounds; those of splits are made anew.
        """
        lo, hi, signs = domain.box
        boxes = self.layout.propagate(lo, hi, signs, local=local_facts([domain]))
        cut = self.cutter.cut(boxes, lo, hi, signs)
        form, start, box = self.table.rows(boxes, signs, lo, hi, [(0, r) for r in rows])
        form.split = {}
        bare = {k: v for k, v in params.items() if not k.is_multiplier}
        with torch.no_grad():
            _, coefs, const = self.bounder.evaluate(form, start, bare, *box)
        const = const + self.table.consts[list(rows)]
        a = np.concatenate([cut.a[0], -coefs.numpy()])[None]
        b = np.concatenate([cut.b[0], const.numpy()])[None]
        found = batched_lp.minimise(np.zeros_like(lo), a, b, lo, hi)
        weights = found.duals[0, -len(rows) :]
        if not found.empty[0] or np.count_nonzero(weights > 1e-9 * weights.max(initial=0.0)) < 2:
            return None
        scaled = found.duals[0] / weights.max()
        weights = shorten(REGION_ROWS, torch.from_numpy(scaled[-len(rows) :])).numpy()
        return self._evaluate(domain, boxes, rows, weights, bare, cut, scaled[: -len(rows)])

    def _evaluate(
        self,
        domain: Domain,
        boxes: Boxes,
        rows: Sequence[int],
        weights: FloatArray,
        bare: dict[Parameter, Tensor],
        cut: Cut,
        duals: FloatArray,
    ) -> AtomBound:
        """The combination with weights >= 0, the greatest of them 1."""
        lo, hi, signs = domain.box
        first = int(weights.argmax())
        weights = np.where(weights > 1e-9, weights, 0.0)
        form, _, box = self.table.rows(boxes, signs, lo, hi, [(0, rows[first])])
        weight = torch.from_numpy(weights)
        start = {i: weight[None] @ table[list(rows)] for i, table in self.table.nodes.items()}
        mine = self.bounder.start(form, list(start))
        for key, value in bare.items():
            if key in mine:
                mine[key] = value[first : first + 1]
        self.cutter.place(mine, cut, duals[None])
        with torch.no_grad():
            found, _, _ = self.bounder.evaluate(form, start, mine, *box)
        least = float(found[0] + weight @ self.table.consts[list(rows)])
        more = {
            r: float(w)
            for k, (r, w) in enumerate(zip(rows, weights, strict=True))
            if w and k != first
        }
        packed = pack({key: v[0].numpy() for key, v in mine.items()})
        return AtomBound(rows[first], least, packed, more)
