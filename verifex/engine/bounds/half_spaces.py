"""The half-spaces that splits cut from the box, and multipliers of them by small linear programs.

A split z >= 0 becomes the row `upper(z) >= 0` over the inputs: exact where z is affine there, a
relaxation (still sound) where it is not.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from verifex.engine.bounds import batched_lp
from verifex.engine.bounds.bounder import SHORT, Bounder, Bounds, Params, shorten
from verifex.engine.bounds.layout import IntermediateBounds, Layout, Signs
from verifex.engine.bounds.root import to_rows
from verifex.ir.exact import FloatArray
from verifex.semantics.linear import Rows
from verifex.semantics.parameters import ParameterKind

LARGEST_TABLE = 1 << 20
"""Numbers of a table of coefficients; larger nodes are worked out as they are needed."""


@dataclass(frozen=True)
class HalfSpaces:
    """Rows a x >= b of D domains: a (D, m, n), b (D, m). The first columns belong to splits.

    `gate` (D, s) names them, -1 where a domain has fewer; the region's linear rows follow.
    """

    a: FloatArray
    b: FloatArray
    gate: NDArray[np.intp]

    def of(self, picked: NDArray[np.intp]) -> HalfSpaces:
        """The rows of some domains."""
        return HalfSpaces(self.a[picked], self.b[picked], self.gate[picked])


class HalfSpaceMaker:
    """Makes half-spaces of splits and puts multipliers of them into parameters."""

    def __init__(
        self, layout: Layout, bounder: Bounder, largest_table: int = LARGEST_TABLE
    ) -> None:
        self.layout, self.bounder, self._largest_table = layout, bounder, largest_table
        self._affine: dict[int, tuple[FloatArray, FloatArray]] = {}

    def _table(self, preact: int) -> tuple[FloatArray, FloatArray] | None:
        """Coefficients (size, n) and constants of a node that is affine in the inputs, made once;
        None where it is not, or where that would take much memory."""
        size, n = self.layout.graph.nodes[preact].size, self.layout.graph.input_size
        if not self.layout.exact(preact) or size * max(size, n) > self._largest_table:
            return None
        if preact not in self._affine:
            nothing = Rows({}, {}, np.zeros(size, dtype=np.intp))
            box = np.zeros((size, n))
            one = np.eye(size)
            _, w, c = self.bounder.evaluate(nothing, {preact: one}, {}, box, box)
            self._affine[preact] = w, c
        return self._affine[preact]

    def of_splits(
        self, bounds: IntermediateBounds, lo: FloatArray, hi: FloatArray, signs: Signs
    ) -> HalfSpaces:
        """The half-spaces of D domains: of their splits, and of the region's linear rows."""
        use = signs != 0
        m = int(use.sum(axis=1).max(initial=0))
        gate = np.argsort(~use, axis=1, kind="stable")[:, :m]
        sign = np.take_along_axis(signs, gate, axis=1).astype(np.float64)
        gate = np.where(sign != 0, gate, -1)
        a, b = np.zeros((*gate.shape, lo.shape[1])), np.zeros(gate.shape)
        for z, at in self.layout.offsets.items():
            size = self.layout.graph.nodes[z].size
            k, j = np.nonzero((gate >= at) & (gate < at + size))
            if not len(k):
                continue
            element, side = gate[k, j] - at, sign[k, j]
            table = self._table(z)
            if table is not None:
                a[k, j], b[k, j] = table[0][element] * side[:, None], -table[1][element] * side
                continue
            start = np.zeros((len(k), size))
            start[np.arange(len(k)), element] = -side
            rows = to_rows(bounds, k, self.layout, signs)
            rows.split = {}
            params = self.bounder.start(rows, [z])
            _, coefs, const = self.bounder.evaluate(rows, {z: start}, params, lo[k], hi[k])
            a[k, j], b[k, j] = -coefs, const
        linear = self.bounder.linear
        if linear is not None:
            shape = (len(signs), *linear.a.shape)
            a = np.concatenate([a, np.broadcast_to(-linear.a, shape)], axis=1)
            b = np.concatenate([b, np.broadcast_to(-linear.b, shape[:2])], axis=1)
        return HalfSpaces(a, b, gate)

    def place(
        self, params: Params, half_spaces: HalfSpaces, duals: FloatArray,
        bits: int = SHORT,
    ) -> None:
        """Write multipliers (R, m), one line a row, into the parameters of R rows."""
        s = half_spaces.gate.shape[1]
        for key in list(params):
            if key.kind is ParameterKind.GAMMA:
                params[key] = shorten(key, duals[:, s:], bits)
            if key.kind is ParameterKind.BETA:
                at, size = self.layout.offsets[key.node], self.layout.graph.nodes[key.node].size
                r, j = np.nonzero((half_spaces.gate >= at) & (half_spaces.gate < at + size))
                value = np.zeros((len(duals), size))
                value[r, half_spaces.gate[r, j] - at] = duals[r, j]
                params[key] = shorten(key, value, bits)

    def sharpen(
        self,
        found: Bounds,
        which: NDArray[np.intp],
        rows: Rows,
        start: dict[int, FloatArray],
        box: tuple[FloatArray, FloatArray],
        half_spaces: HalfSpaces,
    ) -> None:
        """Better multipliers for the rows `which`, all their other parameters left as they are."""
        some = Rows(rows.lo, rows.hi, rows.domain[which], {})
        begin = {i: v[which] for i, v in start.items()}
        lo, hi = box[0][which], box[1][which]
        params = {key: v[which] for key, v in found.params.items()}
        mine = half_spaces.of(rows.domain[which])
        reached: dict[int, FloatArray] = {}
        bare = {k: v for k, v in params.items() if not k.is_multiplier}
        _, coefs, _ = self.bounder.evaluate(some, begin, bare, lo, hi)
        answer = batched_lp.minimise(coefs, mine.a, mine.b, lo, hi)
        duals = answer.duals
        if answer.empty.any():  # a contradiction times a large factor outweighs any form
            size = np.maximum(duals.max(axis=1, initial=0.0), 1e-12)
            far = 1e4 * (1.0 + np.abs(found.value[which]))
            duals = np.where(answer.empty[:, None], duals * (far / size)[:, None], duals)
        some.split = rows.split
        self.place(params, mine, duals)
        value, coefs, const = self.bounder.evaluate_grouped(some, begin, params, lo, hi, reached)
        better = value > found.value[which]
        to = which[better]
        found.value[to], found.const[to] = value[better], const[better]
        found.coefs[to] = coefs[better]
        for key, v in params.items():
            found.params[key][to] = v[better]
        for i, v in reached.items():
            if i in found.reached:
                found.reached[i][to] = v[better]
