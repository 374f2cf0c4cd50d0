"""A piecewise-linear network over its inputs and undecided units, and the bound that multipliers of
their relaxations give.

Every value is written over the columns [x, y]: x are the inputs (n), y the outputs of the K units
that bounds over the region leave undecided; all others are linear there and disappear.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from verifex.engine.bounds.facts import BITS, Packed
from verifex.engine.bounds.layout import Layout, Signs
from verifex.engine.search.inputs.dense import DenseNet
from verifex.engine.search.inputs.dense_bounds import DenseBounds
from verifex.errors import UnsupportedError
from verifex.ir.exact import FloatArray
from verifex.ir.formula import Atom
from verifex.ir.region import LinearRow
from verifex.semantics.parameters import REGION_ROWS, Parameter, ParameterKind

MOST_COLUMNS = 1_500
"""Inputs and undecided units together: beyond, one program takes a second and more."""

_SIGNIFICANT = 30
"""Bits of a multiplier that are kept: short ones make short certificates."""


@dataclass(frozen=True)
class UnitGroup:
    """The undecided units of one ReLU node: where they lie among the K, and which of its elements
    they are."""

    relu: int
    preact: int
    units: slice
    elements: NDArray[np.intp]


@dataclass(frozen=True)
class ColumnForms:
    """`matrix @ columns + const`: (rows, n + K) and (rows,)."""

    matrix: FloatArray
    const: FloatArray


@dataclass(frozen=True)
class UnitMultipliers:
    """Multipliers >= 0 of what holds at every violation: of the atoms (A,), of `y >= z` or, where
    a split says so, `y = z` (K,; of any sign there), and of the region's rows (R,)."""

    atoms: FloatArray
    units: FloatArray
    rows: FloatArray


@dataclass(frozen=True)
class CombinedBound:
    """A lower bound of the sum of the atoms' negated forms with the multipliers, over one domain,
    and those multipliers as a certificate keeps them."""

    value: float
    params: Packed


class OpenUnits:
    """The undecided units of one region's box lo <= x <= hi, both (n,).

    `gate` (K,) are their places among all gates, `low` and `high` (K,) their bounds over the
    region, `preact` their pre-activations over the columns.
    """

    def __init__(
        self, net: DenseNet, layout: Layout, lo: FloatArray, hi: FloatArray,
        rows: tuple[LinearRow, ...],
    ) -> None:
        self.net, self.layout, self.lo, self.hi = net, layout, lo, hi
        boxes = DenseBounds(net).boxes(lo[None], hi[None])
        self.empty = bool(boxes.empty[0])
        self.plain = np.array(
            [(f.node, int(e), int(s)) for f in boxes.facts
             for e, s in zip(f.element, f.sign, strict=True)], dtype=np.int32).reshape(-1, 3)
        self.known = {z: (boxes.lo[z][0], boxes.hi[z][0]) for z in net.units}
        layout.facts.update(self.known)
        self._open = {z: np.flatnonzero((low < 0) & (high > 0))
                      for z, (low, high) in self.known.items()}
        self.inputs, self.count = len(lo), sum(map(len, self._open.values()))
        if self.inputs + self.count > MOST_COLUMNS:
            raise UnsupportedError(
                f"{self.count} undecided units over {self.inputs} inputs",
                expected=f"at most {MOST_COLUMNS} together")
        self.groups: list[UnitGroup] = []
        self._compose()
        # Units that depend on no other one keep the bounds of the region, less what a split takes.
        self._deep = bool(self.preact.matrix[:, self.inputs :].any())
        self.region = ColumnForms(np.zeros((len(rows), self.columns)),
                             np.array([float(row.rhs) for row in rows]))
        for k, row in enumerate(rows):
            for i, c in row.coefs.items():
                self.region.matrix[k, i] = float(c)

    @property
    def columns(self) -> int:
        return self.inputs + self.count

    # --- over the columns -----------------------------------------------------------------------

    def _compose(self) -> None:
        """Every stage over the columns; the pre-activations of undecided units are kept."""
        self.stages: dict[int, ColumnForms] = {}
        preact, gate, low, high = [], [], [], []
        at = 0
        for i, stage in self.net.stages.items():
            if stage.kind == "input":
                first = self.net.graph.input_offsets[i]
                matrix = np.eye(self.columns)[first : first + stage.size]
                self.stages[i] = ColumnForms(matrix, np.zeros(stage.size))
            elif stage.kind == "concat":
                parts = [self.stages[s] for s in stage.sources]
                self.stages[i] = ColumnForms(np.concatenate([p.matrix for p in parts]),
                                        np.concatenate([p.const for p in parts]))
            elif stage.kind == "relu":
                z = stage.sources[0]
                open_, (lows, highs) = self._open[z], self.known[z]
                units = slice(at, at + len(open_))
                at += len(open_)
                self.groups.append(UnitGroup(i, z, units, open_))
                below = self.stages[z]
                preact.append(ColumnForms(below.matrix[open_], below.const[open_]))
                gate.append(self.layout.offsets[z] + open_)
                low.append(lows[open_])
                high.append(highs[open_])
                passes = (lows >= 0).astype(np.float64)
                matrix = below.matrix * passes[:, None]
                matrix[open_, self.inputs + np.arange(units.start, units.stop)] = 1.0
                self.stages[i] = ColumnForms(matrix, below.const * passes)
            else:
                matrix, const = np.zeros((stage.size, self.columns)), stage.bias.copy()
                for s, weight in zip(stage.sources, stage.weights, strict=True):
                    matrix += weight @ self.stages[s].matrix
                    const += weight @ self.stages[s].const
                self.stages[i] = ColumnForms(matrix, const)
        nothing = ColumnForms(np.zeros((0, self.columns)), np.zeros(0))
        preact = preact or [nothing]
        self.preact = ColumnForms(np.concatenate([p.matrix for p in preact]),
                             np.concatenate([p.const for p in preact]))
        none = [np.zeros(0)]
        self.gate = np.concatenate(gate or none).astype(np.intp)
        self.low, self.high = np.concatenate(low or none), np.concatenate(high or none)

    def of_atoms(self, atoms: list[Atom]) -> ColumnForms:
        """The forms of atoms over the columns."""
        matrix, const = np.zeros((len(atoms), self.columns)), np.zeros(len(atoms))
        for k, atom in enumerate(atoms):
            const[k] = float(atom.form.const)
            for (node, element), c in atom.form.terms:
                matrix[k] += float(c) * self.stages[node].matrix[element]
                const[k] += float(c) * self.stages[node].const[element]
        return ColumnForms(matrix, const)

    # --- on one domain --------------------------------------------------------------------------

    def bounds(self, signs: Signs) -> tuple[FloatArray, FloatArray] | None:
        """Bounds (K,) of the units under splits with these signs (gates,); None where they
        contradict each other."""
        if not self._deep:
            sign = signs[self.gate]
            return (np.where(sign > 0, np.maximum(self.low, 0.0), self.low),
                    np.where(sign < 0, np.minimum(self.high, 0.0), self.high))
        found = self.layout.propagate(self.lo[None], self.hi[None], signs[None])
        if found.empty[0]:
            return None
        low, high = np.empty(self.count), np.empty(self.count)
        for g in self.groups:
            low[g.units] = found.lo[g.preact][0, g.elements]
            high[g.units] = found.hi[g.preact][0, g.elements]
        return low, high

    def combine(
        self, atoms: ColumnForms, used: UnitMultipliers, signs: Signs, low: FloatArray,
        high: FloatArray,
    ) -> CombinedBound:
        """The bound that multipliers give on the domain with these splits (gates,) and bounds of
        the units (K,), by backward substitution: fractions and multipliers are rounded first.

        Any multipliers give a valid bound, and the checker evaluates it again.
        """
        v = -(used.atoms @ atoms.matrix) + used.rows @ self.region.matrix
        const = float(-(used.atoms @ atoms.const) - used.rows @ self.region.const)
        params: Packed = {}
        for group in reversed(self.groups):
            at = self.inputs + group.units.start
            c = v[at : at + len(group.elements)].copy()
            v[at : at + len(group.elements)] = 0.0
            least, most, mine = low[group.units], high[group.units], used.units[group.units]
            sign, open_ = signs[self.gate[group.units]], (least < 0) & (most > 0)
            share = np.divide(mine, c, out=np.zeros_like(c), where=open_ & (c > 0))
            share = np.round(np.clip(share, 0.0, 1.0) * 2**BITS) / 2**BITS
            chord = np.divide(most, most - least, out=np.zeros_like(c), where=open_)
            slope = np.where(open_, np.where(c > 0, share, chord), least >= 0)
            beta = _short(np.where(sign > 0, c - mine, np.where(sign < 0, mine, 0.0)))
            const += float(np.where(open_ & (c < 0), -c * chord * least, 0.0).sum())
            down = c * slope - sign * beta
            v += down @ self.preact.matrix[group.units]
            const += float(down @ self.preact.const[group.units])
            if (open_ & (c > 0)).any():  # zeros too: where nothing is said, slopes are chosen
                whole = np.zeros(self.net.stages[group.relu].size, dtype=np.uint8)
                whole[group.elements] = np.round(share * 2**BITS)
                params[Parameter(ParameterKind.ALPHA, group.relu)] = whole
            if beta.any():
                kept = np.flatnonzero(beta)
                params[Parameter(ParameterKind.BETA, group.preact)] = {
                    int(group.elements[k]): float(beta[k]) for k in kept}
        if used.rows.any():
            params[REGION_ROWS] = {int(k): float(used.rows[k]) for k in np.flatnonzero(used.rows)}
        x = v[: self.inputs]
        return CombinedBound(const + float(np.minimum(x * self.lo, x * self.hi).sum()), params)


def _short(values: FloatArray) -> FloatArray:
    """Multipliers >= 0 with few significant bits; what is negative counts as 0."""
    mantissa, exponent = np.frexp(np.maximum(values, 0.0))
    short: FloatArray = np.ldexp(np.round(mantissa * 2**_SIGNIFICANT) / 2**_SIGNIFICANT, exponent)
    return short


def shortened(used: UnitMultipliers) -> UnitMultipliers:
    """Multipliers in units of the greatest one of an atom, or of any where no atom has one, with
    few significant bits."""
    top = used.atoms.max(initial=0.0)
    unit = top if top > 0 else max(np.abs(used.units).max(initial=0.0), 1e-300)
    atoms = np.where(used.atoms > 1e-9 * unit, used.atoms / unit, 0.0)
    return UnitMultipliers(_short(atoms), used.units / unit, _short(used.rows / unit))
