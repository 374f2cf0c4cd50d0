"""Sound linear bounds of a dense network on many boxes at once, in outward-rounded float64.

Nodes are bounded in order: intervals first, then, where a ReLU stays undecided, the linear lower
bound of the pre-activation and of its negative by backward substitution (CROWN, Zhang et al. 2018,
with its adaptive slopes). Nothing is optimised: a certificate needs no multipliers to repeat it.

Rounding: every backward pass sums up the sizes of all products that it rounds, over magnitudes that
hold on all boxes of the batch, and takes that sum times `unit_roundoff` off its bound.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from verifex.engine.search.inputs.dense import DenseNet, Stage
from verifex.ir.exact import FloatArray
from verifex.limits.checkpoint import checkpoint
from verifex.semantics.parameters import WEIGHT_HIGH, WEIGHT_LOW
from verifex.semantics.support.balls import FloatBall, cut, misses

Index = NDArray[np.intp]

_OPERATIONS = 1 << 29
"""Multiplications in one backward pass: a tenth of a second."""


@dataclass(frozen=True)
class Facts:
    """Lower bounds of `sign * node[element]` that were improved, all (k,) but the node."""

    box: Index
    node: int
    element: Index
    sign: Index


@dataclass(frozen=True)
class Relaxation:
    """`slope z <= relu(z) <= chord z + shift` on each box, all (B, size)."""

    slope: FloatArray
    chord: FloatArray
    shift: FloatArray
    loss: FloatArray
    """The greatest gap of the lower line."""


@dataclass(frozen=True)
class Passed:
    """Lower bounds (R,) of rows; the linear bounds `coefs . x + const` behind them, (R, n) and
    (R,); the coefficients that reached each ReLU."""

    value: FloatArray
    coefs: FloatArray
    const: FloatArray
    reached: dict[int, FloatArray]


@dataclass
class Boxes:
    """Bounds on B boxes.

    `facts` are the bounds that backward passes improved. `share[z]` (B, size, n) says how much of
    an undecided unit's width each input makes. `empty` boxes have contradictory bounds: no point of
    them satisfies what is known.
    """

    lower: FloatArray
    upper: FloatArray
    empty: NDArray[np.bool_]
    lo: dict[int, FloatArray] = field(default_factory=dict)
    hi: dict[int, FloatArray] = field(default_factory=dict)
    size: dict[int, FloatArray] = field(default_factory=dict)
    relaxed: dict[int, Relaxation] = field(default_factory=dict)
    share: dict[int, FloatArray] = field(default_factory=dict)
    facts: list[Facts] = field(default_factory=list)

    @property
    def count(self) -> int:
        return len(self.lower)


class DenseBounds:
    """Bounds of one network, over boxes cut by `balls`; holds no state between calls."""

    def __init__(self, net: DenseNet, balls: Sequence[FloatBall] = ()) -> None:
        self.net, self.balls = net, balls
        self.roundoff = net.unit_roundoff
        self._abs = {i: [np.abs(w) for w in s.weights] for i, s in net.stages.items()}
        self.operations = sum(w.size for s in net.stages.values() for w in s.weights)
        """Multiplications of one backward pass from the end to the inputs."""

    # --- nodes ----------------------------------------------------------------------------------

    def boxes(self, lower: FloatArray, upper: FloatArray, known: FloatArray | None = None) -> Boxes:
        """Bounds of every stage over input boxes (B, n); `known` (B, 2, gates) are bounds of the
        units that hold there already."""
        b = Boxes(lower, upper, misses(self.balls, lower, upper))
        for i, stage in self.net.stages.items():
            if stage.kind == "input":
                at = self.net.graph.input_offsets[i]
                b.lo[i], b.hi[i] = lower[:, at : at + stage.size], upper[:, at : at + stage.size]
            elif stage.kind == "concat":
                b.lo[i] = np.concatenate([b.lo[s] for s in stage.sources], axis=1)
                b.hi[i] = np.concatenate([b.hi[s] for s in stage.sources], axis=1)
            elif stage.kind == "relu":
                z = stage.sources[0]
                b.lo[i], b.hi[i] = np.maximum(b.lo[z], 0.0), np.maximum(b.hi[z], 0.0)
                b.relaxed[i] = relax(b.lo[z], b.hi[z])
            else:
                b.lo[i], b.hi[i] = self._affine(b, stage)
            b.size[i] = _sizes(b, i)
            if i in self.net.units:
                given = None if known is None else known[:, :, self.net.places(i)]
                self._refine(b, stage, given)
                b.size[i] = _sizes(b, i)
        return b

    def _affine(self, boxes: Boxes, stage: Stage) -> tuple[FloatArray, FloatArray]:
        """Intervals of an affine node, rounded outward."""
        mid = np.broadcast_to(stage.bias, (boxes.count, stage.size))
        rad = np.zeros((boxes.count, stage.size))
        size = np.abs(stage.bias)
        for s, w, a in zip(stage.sources, stage.weights, self._abs[stage.node], strict=True):
            mid = mid + (0.5 * (boxes.lo[s] + boxes.hi[s])) @ w.T
            rad = rad + (0.5 * (boxes.hi[s] - boxes.lo[s])) @ a.T
            size = size + a @ boxes.size[s]
        # Sound: centre and radius are two sums of products of these sizes.
        rad = rad + 4.0 * self.roundoff * size
        return mid - rad, mid + rad

    def _refine(self, boxes: Boxes, stage: Stage, known: FloatArray | None) -> None:
        """Backward passes for undecided units: the nearer side first, the other if need be."""
        node = stage.node
        lo, hi = boxes.lo[node].copy(), boxes.hi[node].copy()
        if known is not None:
            lo, hi = np.maximum(lo, known[:, 0]), np.minimum(hi, known[:, 1])
        boxes.lo[node], boxes.hi[node] = lo, hi
        share = np.zeros((boxes.count, stage.size, boxes.lower.shape[1]))
        boxes.share[node] = share
        direct = all(self.net.stages[s].kind == "input" for s in stage.sources)
        width = boxes.upper - boxes.lower
        box, unit = np.nonzero((lo < 0) & (hi > 0))
        sign = np.where(-lo[box, unit] <= hi[box, unit], 1, -1)
        for _ in range(2):
            if not box.size:
                break
            found = self._units(boxes, stage, box, unit, sign)
            share[box, unit] += np.abs(found.coefs) * width[box]
            if direct and not self.balls:  # intervals are exact there
                break
            old = np.where(sign > 0, lo[box, unit], -hi[box, unit])
            better = found.value > old
            at = (box[better], unit[better])
            up, value = sign[better] > 0, found.value[better]
            lo[at] = np.where(up, value, lo[at])
            hi[at] = np.where(up, hi[at], -value)
            boxes.facts.append(Facts(at[0], node, at[1], sign[better]))
            left = (lo[box, unit] < 0) & (hi[box, unit] > 0)
            box, unit, sign = box[left], unit[left], -sign[left]
        boxes.empty |= (lo > hi).any(axis=1)
        np.maximum(hi, lo, out=hi)
        share /= np.maximum(share.sum(axis=2, keepdims=True), 1e-300)

    def _units(self, boxes: Boxes, stage: Stage, box: Index, unit: Index, sign: Index) -> Passed:
        if stage.kind != "affine":  # a ReLU of an input, a ReLU or a concatenation itself
            start = np.zeros((box.size, stage.size))
            start[np.arange(box.size), unit] = sign
            return self.lower(boxes, {stage.node: start}, np.zeros(box.size), box)
        coefs: dict[int, FloatArray] = {}
        for s, w in zip(stage.sources, stage.weights, strict=True):
            mine = w[unit] * sign[:, None]
            coefs[s] = coefs[s] + mine if s in coefs else mine
        return self.lower(boxes, coefs, stage.bias[unit] * sign, box)

    def units(self, boxes: Boxes, layer: int) -> FloatArray:
        """(2, gates): the bounds of all units of a layer."""
        out = np.empty((2, self.net.gates))
        for z in self.net.units:
            out[0, self.net.places(z)], out[1, self.net.places(z)] = (
                boxes.lo[z][layer],
                boxes.hi[z][layer],
            )
        return out

    # --- rows -----------------------------------------------------------------------------------

    def lower(
        self,
        boxes: Boxes,
        coefs: Mapping[int, FloatArray],
        const: FloatArray,
        box: Index,
        keep: bool = False,
    ) -> Passed:
        """Lower bounds, rounded down, of rows `sum coefs[i] . node i + const` on boxes `box`; some
        rows at a time, so that each pass is short."""
        most = max(1, _OPERATIONS // max(1, self.operations))
        parts = []
        for at in range(0, max(1, len(box)), most):
            checkpoint()
            some = slice(at, at + most)
            mine = {i: c[some] for i, c in coefs.items()}
            parts.append(self._lower(boxes, mine, const[some], box[some], keep))
        return parts[0] if len(parts) == 1 else Passed(
            np.concatenate([p.value for p in parts]), np.concatenate([p.coefs for p in parts]),
            np.concatenate([p.const for p in parts]),
            {i: np.concatenate([p.reached[i] for p in parts]) for i in parts[0].reached})

    def _lower(
        self, boxes: Boxes, coefs: Mapping[int, FloatArray], const: FloatArray, box: Index,
        keep: bool,
    ) -> Passed:
        """The same in one pass."""
        rest, reached = dict(coefs), {}
        slack = np.abs(const)
        for i, c in coefs.items():
            slack = slack + np.abs(c) @ boxes.size[i]
        total, inputs = const, np.zeros((box.shape[0], boxes.lower.shape[1]))
        while rest:
            i = max(rest)
            c, stage = rest.pop(i), self.net.stages[i]
            if stage.kind == "input":
                at = self.net.graph.input_offsets[i]
                inputs[:, at : at + stage.size] += c
                continue
            if stage.kind == "relu":
                z, r = stage.sources[0], boxes.relaxed[i]
                if keep:
                    reached[i] = c
                negative = np.minimum(c, 0.0)
                total = total + (negative * r.shift[box]).sum(axis=1)
                # Sound: a unit that is shut passes on nothing, so nothing rounds, however far below
                # 0 its argument is (by the largest float32, for a Clip that ends there).
                live = (r.slope[box] != 0) | (r.chord[box] != 0) | (r.shift[box] != 0)
                slack = slack + np.where(live, np.abs(c), 0.0) @ (2.0 * boxes.size[z])
                _give(rest, z, (c - negative) * r.slope[box] + negative * r.chord[box])
            elif stage.kind == "concat":
                ends = np.cumsum([self.net.stages[s].size for s in stage.sources])[:-1]
                for s, part in zip(stage.sources, np.split(c, ends, axis=1), strict=True):
                    _give(rest, s, part)
            else:
                total = total + c @ stage.bias
                sizes = np.abs(stage.bias)
                for s, w, a in zip(stage.sources, stage.weights, self._abs[i], strict=True):
                    _give(rest, s, c @ w)
                    sizes = sizes + a @ boxes.size[s]
                slack = slack + np.abs(c) @ sizes
        ends_ = np.where(inputs >= 0, inputs * boxes.lower[box], inputs * boxes.upper[box])
        value = total + ends_.sum(axis=1)
        slack = slack + np.abs(total) + np.abs(ends_).sum(axis=1)
        bound = value - self.roundoff * slack
        if self.balls:
            found = cut(self.balls, inputs, boxes.lower[box], boxes.upper[box])
            gain = np.where(np.isfinite(found.gain), found.gain, 0.0)  # elsewhere a box is empty
            bound = np.maximum(bound, value + gain - self.roundoff * (slack + found.slack))
        return Passed(bound, inputs, total, reached)


def _sizes(boxes: Boxes, node: int) -> FloatArray:
    """The greatest magnitude of each element over all boxes."""
    found: FloatArray = np.maximum(np.abs(boxes.lo[node]), np.abs(boxes.hi[node])).max(
        axis=0, initial=0.0
    )
    return found


def relax(lo: FloatArray, hi: FloatArray) -> Relaxation:
    """The triangle's lines: lower slope 1 or 0 (whichever leaves less), upper the chord."""
    on, off = lo >= 0, hi <= 0
    open_ = ~(on | off)
    chord = np.where(on, 1.0, np.where(off, 0.0, hi / np.where(open_, hi - lo, 1.0)))
    slope = np.where(on | (open_ & (hi * WEIGHT_HIGH > -lo * WEIGHT_LOW)), 1.0, 0.0)
    # Sound: the line lies above the ReLU at both ends for this rounded slope, whatever it is.
    shift = np.where(open_, np.maximum(-chord * lo, (1.0 - chord) * hi), 0.0) * (1 + 2.0**-48)
    loss = np.where(open_, np.minimum(hi, -lo), 0.0)
    return Relaxation(slope, chord, shift, loss)


def _give(rest: dict[int, FloatArray], node: int, coefs: FloatArray) -> None:
    rest[node] = rest[node] + coefs if node in rest else coefs
