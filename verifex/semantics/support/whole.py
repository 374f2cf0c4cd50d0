"""Whole numbers and one-hot groups in boxes: what a region's whole features leave of a box.

A box is split on a whole feature at n: x >= n + 1 in one part, x <= n in the other. In every box a
one-hot group says more: a member that is 1 makes the others 0, the last that may be 1 is 1, and a
group with no such member, or with two members that are 1, leaves no point. All of this is exact:
the bounds of whole features are whole numbers, which floats hold up to 2^53.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from verifex.ir.exact import FloatArray
from verifex.ir.region import Region

Index = NDArray[np.intp]
Flags = NDArray[np.bool_]

LARGEST = 2**52
"""Whole numbers beyond this are not split: next to them floats no longer tell n from n + 1."""


@dataclass(frozen=True)
class WholeFeatures:
    """The whole features of a region, and its box cut down to what they leave of it.

    `places` are the features, rising; `groups` the one-hot groups among them. `lo` and `hi` (n,)
    are the box, `splits` (n,) says which features may be split, `empty` that there is no point.
    """

    places: Index
    groups: tuple[Index, ...]
    lo: FloatArray
    hi: FloatArray
    splits: Flags
    empty: bool

    @staticmethod
    def of(region: Region) -> WholeFeatures | None:
        """Those of a region, None where it has none."""
        groups = tuple(np.array(group, dtype=np.intp) for group in region.one_hot)
        members = {i for group in region.one_hot for i in group}
        places = sorted(region.integers | members)
        if not places:
            return None
        lo, hi = region.float_box()
        splits = np.zeros(region.size, dtype=bool)
        for i in places:
            low, high = math.ceil(region.lo[i]), math.floor(region.hi[i])
            if i in members:
                low, high = max(low, 0), min(high, 1)
            if max(abs(low), abs(high)) <= LARGEST:
                lo[i], hi[i], splits[i] = float(low), float(high), True
        none = bool((lo > hi).any())
        found = WholeFeatures(
            np.array(places, dtype=np.intp), groups, lo, np.maximum(lo, hi), splits, none)
        return found if none else found._propagated()

    def _propagated(self) -> WholeFeatures:
        lo, hi = self.lo[None].copy(), self.hi[None].copy()
        none = bool(propagate(self.groups, lo, hi)[0])
        return WholeFeatures(self.places, self.groups, lo[0], hi[0], self.splits, none)

    def propagate(self, lo: FloatArray, hi: FloatArray) -> Flags:
        """`propagate` by these groups."""
        return propagate(self.groups, lo, hi)

    def open_in(self, lo: FloatArray, hi: FloatArray) -> Flags:
        """Which features (n,) of a box (n,) can still be split."""
        return np.asarray(self.splits & (lo < hi))

    def fixed_in(self, lo: FloatArray, hi: FloatArray) -> bool:
        """Whether every whole feature has one value in a box (n,)."""
        return bool((lo[self.places] == hi[self.places]).all())

    def middle(self, lo: FloatArray, hi: FloatArray) -> FloatArray:
        """Where to split whole features between lo < hi: the n of x <= n and x >= n + 1."""
        return np.floor(lo + (hi - lo) / 2)

    def snapped(self, points: FloatArray) -> FloatArray:
        """The points (k, n) with whole features rounded to whole numbers of the region's box, and
        of every group that member 1 which the box demands, else the largest that it allows."""
        out = points.copy()
        near = np.round(out[:, self.places])
        out[:, self.places] = np.clip(near, self.lo[self.places], self.hi[self.places])
        for group in self.groups:
            self._choose(out, group, points[:, group])
        return out

    def with_choices(self, points: FloatArray, coefs: FloatArray, hi: FloatArray) -> FloatArray:
        """The points (k, n) of boxes with upper corners `hi` (k, n), with that member of every
        group 1 which has the least coefficient (k, n) of those that its box allows."""
        out = points.copy()
        for group in self.groups:
            self._choose(out, group, np.where(hi[:, group] >= 1, -coefs[:, group], -np.inf))
        return out

    def _choose(self, points: FloatArray, group: Index, score: FloatArray) -> None:
        """Make the member with the greatest score 1, of those that the region's box allows."""
        allowed = np.where(self.hi[group] >= 1, score, -np.inf)
        demanded = self.lo[group] >= 1
        best = np.where(demanded.any(), demanded.argmax(), allowed.argmax(axis=1))
        points[:, group] = 0.0
        points[np.arange(len(points)), group[best]] = 1.0


def propagate(groups: Sequence[Index], lo: FloatArray, hi: FloatArray) -> Flags:
    """Cut boxes lo <= x <= hi, both (k, n), down in place to what one-hot groups leave of them.

    Returns which boxes (k,) have no point. Sound: exactly one member of a group is 1 and the others
    are 0, so every step keeps all points; it ends, since each step fixes a feature.
    """
    empty = np.zeros(len(lo), dtype=bool)
    changed = True
    while changed:
        changed = False
        for group in groups:
            low, high = lo[:, group], hi[:, group]
            set_ = low >= 1
            count = set_.sum(axis=1)[:, None]
            cut = (count >= 1) & ~set_ & (high > 0)
            high = np.where(cut, 0.0, high)
            can = high >= 1
            left = can.sum(axis=1)[:, None]
            raised = (left == 1) & can & ~set_
            low = np.where(raised, 1.0, low)
            empty |= ((count > 1) | (left == 0))[:, 0]
            if cut.any() or raised.any():
                changed = True
                lo[:, group], hi[:, group] = low, high
    return empty
