"""The rows that cut a region's box, for multipliers; those of one-hot groups are known at sight."""

from __future__ import annotations

from dataclasses import dataclass

import torch

Tensor = torch.Tensor

_BITS = 30
"""Significant bits of the multipliers of groups' rows."""


@dataclass(frozen=True)
class Linear:
    """Region rows `a . x <= b` that multipliers may use: a (m, n), b (m,).

    The last of them, two for each of `groups` one-hot groups, say that a group's sum is at most 1
    and at least 1; `group_of` (n,) is each feature's group, -1 where it has none.
    """

    a: Tensor
    b: Tensor
    groups: int = 0
    group_of: Tensor | None = None

    @property
    def before_groups(self) -> int:
        """The number of rows before those of the groups."""
        return len(self.b) - 2 * self.groups


def levelled(linear: Linear, coefs: Tensor, hi: Tensor) -> tuple[Tensor, Tensor]:
    """The least coefficient in every group (R, groups) of those that boxes with upper corners `hi`
    allow, and the coefficients (R, n) less those of their groups.

    Where exactly one of a group is 1, a form is at least the first plus what is left: by linear
    duality no multipliers of the two rows of the group's sum give more.
    """
    if linear.group_of is None:
        return torch.zeros((len(coefs), 0)).to(coefs), coefs
    members = torch.nonzero(linear.group_of >= 0)[:, 0]
    group = linear.group_of[members]
    allowed = torch.where(hi[:, members] >= 1, coefs[:, members], torch.inf)
    least = torch.full((len(coefs), linear.groups), torch.inf).to(coefs)
    least = least.scatter_reduce(1, group.expand(len(coefs), -1), allowed, "amin")
    # A box that allows no member has no point; a group that shares features may be left out.
    least = torch.where(torch.isfinite(least), least, torch.zeros_like(least))
    return least, coefs.index_add(1, members, -least[:, group])


def group_multipliers(linear: Linear, coefs: Tensor, hi: Tensor) -> Tensor:
    """The best multipliers of the rows of groups for forms with coefficients (R, n) over boxes with
    upper corners (R, n), as certificates hold them; (R, m), zero for the other rows.

    They have more bits than others: what they are rounded by is lost of the bound as often as a
    group has members, on leaves too, where nothing else is lost.
    """
    out = torch.zeros((len(coefs), len(linear.b))).to(coefs)
    mantissa, exponent = torch.frexp(levelled(linear, coefs, hi)[0])
    least = torch.ldexp(torch.floor(mantissa * 2**_BITS) / 2**_BITS, exponent)
    out[:, linear.before_groups :: 2] = (-least).clamp(min=0.0)
    out[:, linear.before_groups + 1 :: 2] = least.clamp(min=0.0)
    return out
