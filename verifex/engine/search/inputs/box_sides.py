"""Where to split boxes: along an input, or on a unit if few are left undecided.

A box is halved along the input to which most of its loss belongs: every undecided ReLU's relaxation
error, weighted by how it reaches the open atoms and shared out by what each input adds to that
unit's width.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from verifex.engine.search.inputs.box_rows import BoxRows, Index
from verifex.engine.search.inputs.box_thresholds import Thresholds
from verifex.engine.search.inputs.dense import DenseNet
from verifex.engine.search.inputs.dense_bounds import Boxes
from verifex.ir.exact import FloatArray

FEW_UNITS = 16
UNIT_SHARE = 0.5
"""A box with at most so many undecided units is split on the one that loses most, if that is at
least this share of what its best side scores: a unit's error vanishes at once, a side's only
halves. Measured on the hardest ACAS Xu queries (benchmarks/input_splits.py)."""


@dataclass(frozen=True)
class BoxSides:
    """Of some boxes: the input to split, or -2 - g for unit g, the place on that input, and how
    many units are undecided."""

    side: Index
    at: FloatArray
    undecided: Index


def sides(
    net: DenseNet, boxes: Boxes, rows: BoxRows, rests: NDArray[np.bool_], left: Index
) -> BoxSides:
    """Where to split the boxes `left`, which stay open and rest on the atoms `rests` (B, A)."""
    row, box = _chosen(rows, rests, left)
    width = (boxes.upper - boxes.lower)[left]
    score = _summed(np.abs(rows.found.coefs[row]), box, len(left)) * width * 0.5
    losses = np.zeros((len(left), net.gates))
    undecided = np.zeros(len(left), dtype=np.intp)
    for i, reached in rows.found.reached.items():
        relaxed, z, c = boxes.relaxed[i], net.stages[i].sources[0], reached[row]
        gap = np.where(c >= 0, relaxed.loss[left[box]], relaxed.shift[left[box]])
        loss = _summed(np.abs(c) * gap, box, len(left))
        losses[:, net.places(z)] = loss
        undecided += (relaxed.loss[left] > 0).sum(axis=1)
        score += np.einsum("bu,bun->bn", loss, boxes.share[z][left])
    side = np.where(width > 0, score, -1.0).argmax(axis=1)
    place = np.arange(len(left))
    lo, hi = boxes.lower[left], boxes.upper[left]
    at = 0.5 * (lo[place, side] + hi[place, side])
    if net.gates:
        best = losses.argmax(axis=1)
        enough = losses[place, best] > UNIT_SHARE * score.max(axis=1)
        side = np.where((undecided <= FEW_UNITS) & enough, -2 - best, side)
    return BoxSides(side, at, undecided)


def told_apart(
    found: BoxSides, thresholds: Thresholds, boxes: Boxes, open_: NDArray[np.bool_], left: Index
) -> BoxSides:
    """The same, but where `open_` atoms (B, A) on single inputs turn inside of a box: there first.
    """
    if not len(thresholds):
        return found
    side, at = thresholds.middle(boxes.lower[left], boxes.upper[left], open_[left])
    here = side >= 0
    return BoxSides(
        np.where(here, side, found.side), np.where(here, at, found.at), found.undecided)


def _chosen(
    rows: BoxRows, rests: NDArray[np.bool_], left: Index
) -> tuple[Index, Index]:
    """The rows that the boxes `left` rest on, and the place of each one's box among these."""
    where = np.full(len(rests), -1)
    where[left] = np.arange(len(left))
    row = np.flatnonzero(rests[rows.box, rows.atom] & (where[rows.box] >= 0))
    return row, where[rows.box[row]]


def _summed(values: FloatArray, box: Index, count: int) -> FloatArray:
    """The sums (count, n) of the lines (R, n) of each box; `box` (R,) ascends."""
    out = np.zeros((count, values.shape[1]))
    if len(box):
        starts = np.flatnonzero(np.append(True, np.diff(box) > 0))
        out[box[starts]] = np.add.reduceat(values, starts, axis=0)
    return out
