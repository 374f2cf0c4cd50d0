"""The rows that cut a region's box, for multipliers; those of one-hot groups are known at sight."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from verifex.semantics.support.arrays import Array, least_of_groups, library

_BITS = 30
"""Significant bits of the multipliers of groups' rows."""


@dataclass(frozen=True)
class Linear:
    """Region rows `a . x <= b` that multipliers may use: a (m, n), b (m,).

    The last of them, two for each of `groups` one-hot groups, say that a group's sum is at most 1
    and at least 1; `group_of` (n,) is each feature's group, -1 where it has none.
    """

    a: Array
    b: Array
    groups: int = 0
    group_of: NDArray[np.intp] | None = None
    """Of numpy, whatever the others are of."""

    @property
    def before_groups(self) -> int:
        """The number of rows before those of the groups."""
        return len(self.b) - 2 * self.groups


def levelled(linear: Linear, coefs: Array, hi: Array) -> tuple[Array, Array]:
    """The least coefficient in every group (R, groups) of those that boxes with upper corners `hi`
    allow, and the coefficients (R, n) less those of their groups.

    Where exactly one of a group is 1, a form is at least the first plus what is left: by linear
    duality no multipliers of the two rows of the group's sum give more.
    """
    if linear.group_of is None:
        return coefs[:, :0], coefs
    lib, members = library(coefs), np.flatnonzero(linear.group_of >= 0)
    group = linear.group_of[members]
    allowed = lib.where(hi[:, members] >= 1, coefs[:, members], lib.inf)
    least = least_of_groups(allowed, group, linear.groups)
    # A box that allows no member has no point; a group that shares features may be left out.
    least = lib.where(lib.isfinite(least), least, 0.0)
    spread = lib.zeros_like(coefs)
    spread[:, members] = least[:, group]
    return least, coefs - spread


def group_multipliers(linear: Linear, coefs: Array, hi: Array) -> Array:
    """The best multipliers of the rows of groups for forms with coefficients (R, n) over boxes with
    upper corners (R, n), as certificates hold them; (R, m), zero for the other rows.

    They have more bits than others: what they are rounded by is lost of the bound as often as a
    group has members, on leaves too, where nothing else is lost.
    """
    lib = library(coefs)
    out = lib.zeros_like(coefs[:, :1] + linear.b)
    mantissa, exponent = lib.frexp(levelled(linear, coefs, hi)[0])
    least = lib.ldexp(lib.floor(mantissa * 2**_BITS) / 2**_BITS, exponent)
    out[:, linear.before_groups :: 2] = lib.clip(-least, 0.0, None)
    out[:, linear.before_groups + 1 :: 2] = lib.clip(least, 0.0, None)
    return out
