"""The rows of a claim on boxes, and their improvement by multipliers of split units."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from verifex.engine.search.inputs.box_claim import BoxClaim, Judgement
from verifex.engine.search.inputs.box_tree import Multipliers
from verifex.engine.search.inputs.dense_bounds import Boxes, DenseBounds, Passed
from verifex.engine.search.inputs.dense_splits import ascend
from verifex.ir.exact import FloatArray

Index = NDArray[np.intp]


@dataclass(frozen=True)
class BoxRows:
    """Bounds of the negated atoms `atom` (R,) on boxes `box` (R,), by box and then by atom; `count`
    is how many atoms there are."""

    box: Index
    atom: Index
    count: int
    found: Passed

    def of(self, box: Index, atom: Index) -> Index:
        """The places of rows that are there."""
        return np.searchsorted(self.box * self.count + self.atom, box * self.count + atom)

    def upper(self, boxes: int) -> FloatArray:
        """Upper bounds (boxes, atoms) of the atoms' forms, infinite where none was taken."""
        out = np.full((boxes, self.count), np.inf)
        out[self.box, self.atom] = -self.found.value
        return out


class ClaimRows:
    """Rows that bound the negated atoms of a claim from below."""

    def __init__(self, bounds: DenseBounds, claim: BoxClaim) -> None:
        self.bounds, self.claim, self.net = bounds, claim, bounds.net

    def start(self, atom: Index) -> tuple[dict[int, FloatArray], FloatArray]:
        """Start coefficients and constants of the rows of atoms (R,)."""
        claim = self.claim
        return {i: -c[atom] for i, c in claim.coefs.items()}, -claim.const[atom]

    def bound(self, boxes: Boxes, open_: NDArray[np.bool_]) -> BoxRows:
        """The rows of the atoms `open_` (B, A)."""
        box, atom = np.nonzero(open_)
        found = self.bounds.lower(boxes, *self.start(atom), box, keep=True)
        return BoxRows(box, atom, open_.shape[1], found)

    def improve(
        self,
        boxes: Boxes,
        rows: BoxRows,
        judged: Judgement,
        upper: FloatArray,
        wanted: NDArray[np.bool_],
        cuts: Any,
    ) -> dict[tuple[int, int], Multipliers]:
        """Better upper bounds, put into `upper`, of the atoms that the `wanted` boxes rest on.

        What the units' signs say, g(x) <= 0 by a linear bound of the unit, enters with multipliers;
        the bound with them is evaluated anew, in outward-rounded arithmetic.
        """
        box, atom = np.nonzero(judged.rests & wanted[:, None])
        if not box.size:
            return {}
        gates, signs, a, h = self._halfspaces(boxes, np.flatnonzero(wanted), cuts)
        at = np.searchsorted(np.flatnonzero(wanted), box)
        row, found = rows.of(box, atom), rows.found
        factors = ascend(
            found.coefs[row], found.const[row], a[at], h[at], boxes.lower[box], boxes.upper[box]
        )
        coefs, const = self.start(atom)
        for z in self.net.units:
            place = self.net.places(z)
            mine = (gates[at] >= place.start) & (gates[at] < place.stop) & (factors > 0)
            if not mine.any():
                continue
            r, j = np.nonzero(mine)
            extra = np.zeros((len(box), self.net.stages[z].size))
            np.add.at(extra, (r, gates[at][r, j] - place.start), -signs[at][r, j] * factors[r, j])
            coefs[z] = coefs[z] + extra if z in coefs else extra
        better = -self.bounds.lower(boxes, coefs, const, box).value
        used: dict[tuple[int, int], Multipliers] = {}
        for i in np.flatnonzero(better < upper[box, atom]).tolist():
            b, k = int(box[i]), int(atom[i])
            upper[b, k] = better[i]
            pairs = zip(gates[at[i]].tolist(), factors[i].tolist(), strict=True)
            used[b, k] = {g: v for g, v in pairs if v > 0}
        return used

    def _halfspaces(self, boxes: Boxes, chosen: Index, cuts: Any) -> tuple[Any, Any, Any, Any]:
        """Gates, signs (C, J), and a (C, J, n), h (C, J) with a x + h <= 0 on the chosen boxes."""
        most = max(len(cuts[b]) for b in chosen.tolist())
        gates = np.full((len(chosen), most), -1)
        signs = np.zeros((len(chosen), most))
        for i, b in enumerate(chosen.tolist()):
            gates[i, : len(cuts[b])] = [gate for gate, _ in cuts[b]]
            signs[i, : len(cuts[b])] = [sign for _, sign in cuts[b]]
        a = np.zeros((len(chosen), most, boxes.lower.shape[1]))
        h = np.zeros((len(chosen), most))
        for z in self.net.units:
            place = self.net.places(z)
            at, j = np.nonzero((gates >= place.start) & (gates < place.stop))
            if not at.size:
                continue
            start = np.zeros((at.size, self.net.stages[z].size))
            start[np.arange(at.size), gates[at, j] - place.start] = -signs[at, j]
            passed = self.bounds.lower(boxes, {z: start}, np.zeros(at.size), chosen[at])
            a[at, j], h[at, j] = passed.coefs, passed.const
        return gates, signs, a, h
