"""The rows that cut a region's box, for multipliers; those of one-hot groups are known at sight."""

from __future__ import annotations

from dataclasses import dataclass

import torch

Tensor = torch.Tensor


@dataclass(frozen=True)
class Linear:
    """Region rows `a . x <= b` that multipliers may use: a (m, n), b (m,).

    The last of them, two for each of `groups` (features of which exactly one is 1), say that a
    group's sum is at most 1 and at least 1.
    """

    a: Tensor
    b: Tensor
    groups: tuple[Tensor, ...] = ()

    @property
    def before_groups(self) -> int:
        """The number of rows before those of the groups."""
        return len(self.b) - 2 * len(self.groups)


def levelled(coefs: Tensor, group: Tensor, hi: Tensor) -> tuple[Tensor, Tensor]:
    """The least coefficient (R,) in a group of those that boxes with upper corners `hi` allow, and
    the coefficients (R, n) less that.

    Where exactly one of the group is 1, a form is at least the first plus what is left: by linear
    duality no multipliers of the two rows of its sum give more.
    """
    mine = coefs[:, group]
    allowed = hi[:, group] >= 1
    least = torch.where(allowed, mine, torch.inf).amin(dim=1)
    # A box that allows none has no point.
    least = torch.where(allowed.any(dim=1), least, torch.zeros_like(least))
    share = torch.zeros_like(coefs)
    share[:, group] = least[:, None].expand(-1, len(group))
    return least, coefs - share


def group_multipliers(linear: Linear, coefs: Tensor, hi: Tensor) -> Tensor:
    """The best multipliers of the rows of groups for forms with coefficients (R, n) over boxes with
    upper corners (R, n); (R, m), zero for the other rows."""
    out = torch.zeros((len(coefs), len(linear.b)), dtype=coefs.dtype, device=coefs.device)
    for g, group in enumerate(linear.groups):
        least = levelled(coefs, group, hi)[0]
        at = linear.before_groups + 2 * g
        out[:, at], out[:, at + 1] = (-least).clamp(min=0.0), least.clamp(min=0.0)
    return out
