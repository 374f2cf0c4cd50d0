"""The rows of a claim on boxes, and better bounds of them by multipliers of what holds wherever the
claim is violated: signs of split units, rows of the region, other atoms of a conjunction.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from verifex.engine.search.inputs.box_claim import BoxClaim, Judgement
from verifex.engine.search.inputs.box_tree import BoxMultipliers
from verifex.engine.search.inputs.dense_bounds import Boxes, DenseBounds, Passed
from verifex.engine.search.inputs.dense_splits import best_factors
from verifex.ir.exact import FloatArray
from verifex.ir.region import Region

Index = NDArray[np.intp]

TOGETHER = 16
"""Atoms of a conjunction that are combined at most."""

_TRIES, _PAYS, _AGAIN = 512, 0.03, 16
"""After so many boxes, atoms are only combined if this share of the boxes closes by it, or once in
so many batches."""


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


class JointUse:
    """Whether atoms of a conjunction are combined on the next boxes: as long as that closes some,
    and now and then to see whether it would. Rows of a region are `always` used."""

    def __init__(self, always: bool) -> None:
        self.always = always
        self._tried = self._closed = self._waited = 0

    def due(self) -> bool:
        """Whether to combine now."""
        self._waited += 1
        pays = self._tried < _TRIES or self._closed >= _PAYS * self._tried
        return self.always or pays or self._waited % _AGAIN == 0

    def note(self, tried: int, closed: int) -> None:
        """So many boxes were tried, so many closed."""
        if self._tried >= _TRIES:  # what was long ago counts less
            self._tried, self._closed = self._tried // 2, self._closed // 2
        self._tried, self._closed = self._tried + tried, self._closed + closed


@dataclass(frozen=True)
class HalfSpacesAtBoxes:
    """What holds at every violation on each of C boxes: `left . x + height <= 0`, (C, J, n) and
    (C, J). `source` (C, J) numbers each: a unit with its `sign`, then a region's row, then an atom;
    -1 where a box has fewer."""

    source: Index
    sign: FloatArray
    left: FloatArray
    height: FloatArray


class ClaimRows:
    """Rows that bound the negated atoms of a claim from below, on boxes cut by a region's rows."""

    def __init__(self, bounds: DenseBounds, claim: BoxClaim, region: Region) -> None:
        self.bounds, self.claim, self.net = bounds, claim, bounds.net
        count = len(region.rows)
        self.row_coefs = np.zeros((count, region.size))
        self.row_const = np.array([-float(row.rhs) for row in region.rows])
        for k, row in enumerate(region.rows):
            for i, c in row.coefs.items():
                self.row_coefs[k, i] = float(c)
        self._first_row = self.net.gates
        self._first_atom = self._first_row + count

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
        needed: NDArray[np.bool_],
    ) -> dict[tuple[int, int], BoxMultipliers]:
        """Better upper bounds, put into `upper`, of the atoms that the `wanted` boxes rest on.

        What holds at every violation, g(x) <= 0 by a linear bound of a unit or of an atom that is
        `needed` (B, A), enters with multipliers; the bound with them is evaluated anew, in
        outward-rounded arithmetic. Sound: such a bound is one of the atom at violations only, of
        which there are none where it says that the atom is false.
        """
        box, atom = np.nonzero(judged.rests & wanted[:, None])
        if not box.size:
            return {}
        chosen = np.flatnonzero(wanted)
        spaces = self._half_spaces(boxes, rows, chosen, cuts, needed)
        at = np.searchsorted(chosen, box)
        row, found = rows.of(box, atom), rows.found
        # An atom may not be taken from itself.
        own = spaces.source[at] == self._first_atom + atom[:, None]
        left, height = spaces.left[at], spaces.height[at]
        left[own], height[own] = 0.0, 0.0
        factors = best_factors(
            found.coefs[row], found.const[row], left, height, boxes.lower[box], boxes.upper[box])
        factors[own | (spaces.source[at] < 0)] = 0.0
        coefs, const = self._combined(atom, spaces, at, factors)
        better = -self.bounds.lower(boxes, coefs, const, box).value
        used: dict[tuple[int, int], BoxMultipliers] = {}
        for i in np.flatnonzero(better < upper[box, atom]).tolist():
            b, k = int(box[i]), int(atom[i])
            upper[b, k] = better[i]
            used[b, k] = self._named(spaces.source[at[i]], factors[i])
        return used

    def _combined(
        self, atom: Index, spaces: HalfSpacesAtBoxes, at: Index, factors: FloatArray
    ) -> tuple[dict[int, FloatArray], FloatArray]:
        """Start coefficients and constants of the rows of atoms (R,) plus the half-spaces of the
        boxes `at` (R,) with `factors` (R, J)."""
        coefs, const = self.start(atom)
        source, sign = spaces.source[at], spaces.sign[at]

        def add(node: int, more: FloatArray) -> None:
            coefs[node] = coefs[node] + more if node in coefs else more

        def weights(first: int, count: int, signs: FloatArray | float) -> FloatArray:
            """(R, count): the signed factors of those with `count` numbers from `first` on."""
            out = np.zeros((len(atom), count))
            r, j = np.nonzero((source >= first) & (source < first + count) & (factors > 0))
            np.add.at(out, (r, source[r, j] - first), (signs * factors)[r, j])
            return out

        for z in self.net.units:
            of_units = weights(self.net.places(z).start, self.net.stages[z].size, -sign)
            if of_units.any():
                add(z, of_units)
        of_rows = weights(self._first_row, len(self.row_const), 1.0)
        const = const + of_rows @ self.row_const
        for i, offset in self.net.graph.input_offsets.items():
            columns = slice(offset, offset + self.net.graph.nodes[i].size)
            more = of_rows @ self.row_coefs[:, columns]
            if more.any():
                add(i, more)
        of_atoms = weights(self._first_atom, len(self.claim.const), -1.0)
        const = const + of_atoms @ self.claim.const
        for i, table in self.claim.coefs.items():
            add(i, of_atoms @ table)
        return coefs, const

    def _named(self, source: Index, factors: FloatArray) -> BoxMultipliers:
        """The multipliers of one row."""
        units, rows, atoms = dict[int, float](), dict[int, float](), dict[int, float]()
        for k, value in zip(source.tolist(), factors.tolist(), strict=True):
            if value > 0 and k >= self._first_atom:
                atoms[k - self._first_atom] = value
            elif value > 0 and k >= self._first_row:
                rows[k - self._first_row] = value
            elif value > 0:
                units[k] = value
        return BoxMultipliers(units, rows, atoms)

    def _half_spaces(
        self, boxes: Boxes, rows: BoxRows, chosen: Index, cuts: Any, needed: NDArray[np.bool_]
    ) -> HalfSpacesAtBoxes:
        """What is known to hold at the violations on the chosen boxes."""
        listed = [self._sources(rows, int(b), cuts[b], needed[b]) for b in chosen.tolist()]
        most = max(len(one) for one in listed)
        source = np.full((len(chosen), most), -1)
        sign = np.zeros((len(chosen), most))
        for i, one in enumerate(listed):
            source[i, : len(one)] = [k for k, _ in one]
            sign[i, : len(one)] = [s for _, s in one]
        left = np.zeros((len(chosen), most, boxes.lower.shape[1]))
        height = np.zeros((len(chosen), most))
        for z in self.net.units:
            place = self.net.places(z)
            at, j = np.nonzero((source >= place.start) & (source < place.stop))
            if not at.size:
                continue
            start = np.zeros((at.size, self.net.stages[z].size))
            start[np.arange(at.size), source[at, j] - place.start] = -sign[at, j]
            passed = self.bounds.lower(boxes, {z: start}, np.zeros(at.size), chosen[at])
            left[at, j], height[at, j] = passed.coefs, passed.const
        at, j = np.nonzero((source >= self._first_row) & (source < self._first_atom))
        row = source[at, j] - self._first_row
        left[at, j], height[at, j] = self.row_coefs[row], self.row_const[row]
        at, j = np.nonzero(source >= self._first_atom)
        mine = rows.of(chosen[at], source[at, j] - self._first_atom)
        left[at, j], height[at, j] = rows.found.coefs[mine], rows.found.const[mine]
        return HalfSpacesAtBoxes(source, sign, left, height)

    def _sources(
        self, rows: BoxRows, box: int, cuts: Any, needed: NDArray[np.bool_]
    ) -> list[tuple[int, float]]:
        """The numbers, with signs, of what holds at the violations on a box."""
        found = [(gate, float(sign)) for gate, sign in cuts]
        found += [(self._first_row + k, 1.0) for k in range(len(self.row_const))]
        together = np.flatnonzero(needed).tolist()
        if 2 <= len(together) <= TOGETHER:
            found += [(self._first_atom + k, 1.0) for k in together]
        return found
