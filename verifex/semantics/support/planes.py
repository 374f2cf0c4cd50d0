"""Planes around smooth scalar functions over intervals, for the linear table.

Convex and concave pieces have a tangent on one side and the chord on the other. S-shaped functions
across their inflection use two parallel lines with the lesser end slope (Singh et al., Fast and
Effective Robustness Certification, NeurIPS 2018); anything else its range. Every plane is moved
outward by a relative 1e-11, which covers the rounding of its own coefficients.

torch is imported where it is used: functions are also evaluated where it is not loaded.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from torch import Tensor

Plane: TypeAlias = "tuple[Tensor, Tensor]"
"""(slope, intercept)."""

PlaneRule: TypeAlias = "Callable[[Tensor, Tensor, Tensor, Tensor, Tensor], tuple[Plane, Plane]]"
"""(lo, hi, least, most, where) -> lines (below, above) the function on [lo, hi].

`least` and `most` bound its value there; `where` in [0, 1] places the tangent, from lo to hi. All
shapes are equal.
"""

Where: TypeAlias = "Callable[[Tensor, Tensor], Tensor]"
"""(lo, hi) -> of which intervals something is true."""

_NARROW = 1e-6


def always(lo: Tensor, hi: Tensor) -> Tensor:
    """True of every interval."""
    import torch

    return torch.ones_like(lo, dtype=torch.bool)


def never(lo: Tensor, hi: Tensor) -> Tensor:
    """True of no interval."""
    import torch

    return torch.zeros_like(lo, dtype=torch.bool)


def not_above_zero(lo: Tensor, hi: Tensor) -> Tensor:
    """Where a function that bends at zero is convex, if it grows from there on ever slower."""
    return hi <= 0


def not_below_zero(lo: Tensor, hi: Tensor) -> Tensor:
    """Where such a function is concave (an interval that is only zero counts as convex)."""
    return (lo >= 0) & (hi > 0)


def above_zero(lo: Tensor, hi: Tensor) -> Tensor:
    """The interval holds positive numbers only."""
    return lo > 0


def below_zero(lo: Tensor, hi: Tensor) -> Tensor:
    """The interval holds negative numbers only."""
    return hi < 0


def by_range(
    lo: Tensor, hi: Tensor, least: Tensor, most: Tensor, where: Tensor
) -> tuple[Plane, Plane]:
    """The rule that knows nothing but the range: two flat lines."""
    import torch

    zero = torch.zeros_like(where)
    return (zero, least + zero), (zero, most + zero)


def by_square(
    lo: Tensor, hi: Tensor, least: Tensor, most: Tensor, where: Tensor
) -> tuple[Plane, Plane]:
    """x^2 >= 2 t x - t^2 for t in [l, u], and x^2 <= (l + u) x - l u."""
    t = lo + where * (hi - lo)
    return (2 * t, -t * t), (lo + hi, -lo * hi)


@dataclass(frozen=True)
class Curved:
    """The rule of a function whose tangents and chords bound it.

    `value` and `slope` are the function and its derivative. `convex` and `concave` say on which
    intervals it is so; on others the lesser of the two end slopes must lie below the slope
    everywhere between. `defined` says on which intervals `value` and `slope` are finite; on the
    rest the range is all that is known.
    """

    value: Callable[[Tensor], Tensor]
    slope: Callable[[Tensor], Tensor]
    convex: Where = never
    concave: Where = never
    defined: Where = always

    def __call__(
        self, lo: Tensor, hi: Tensor, least: Tensor, most: Tensor, where: Tensor
    ) -> tuple[Plane, Plane]:
        """See `PlaneRule`."""
        import torch

        flat = by_range(lo, hi, least, most, where)
        safe = torch.isfinite(least) & torch.isfinite(most)
        safe = safe & torch.isfinite(lo) & torch.isfinite(hi)
        # Sound: over a narrow interval a chord's slope is noise; the range is tight there anyway.
        safe = safe & (hi - lo >= _NARROW) & self.defined(lo, hi)
        # Elsewhere any numbers will do: what is made of them there is not used.
        a, b = (torch.where(safe, end, torch.ones_like(end)) for end in (lo, hi))
        t = a + where * (b - a)
        touch = self.slope(t)
        tangent = (touch, self.value(t) - touch * t)
        chord = self._chord(a, b)
        convex, concave = self.convex(a, b) & safe, self.concave(a, b) & safe
        mixed = safe & ~(convex | concave)
        ends = torch.minimum(self.slope(a), self.slope(b))
        start, stop = (ends, self.value(a) - ends * a), (ends, self.value(b) - ends * b)
        below = _choose([(convex, tangent), (concave, chord), (mixed, start)], flat[0])
        above = _choose([(convex, chord), (concave, tangent), (mixed, stop)], flat[1])
        size = 1 + torch.maximum(a.abs(), b.abs())
        return _outward(below, size, -1), _outward(above, size, +1)

    def _chord(self, lo: Tensor, hi: Tensor) -> Plane:
        """The line through both ends, which lie apart."""
        import torch

        f, g = self.value(lo), self.value(hi)
        width = hi - lo
        steep = (g - f) / torch.where(width > 0, width, torch.ones_like(width))
        return steep, f - steep * lo


def _choose(cases: list[tuple[Tensor, Plane]], rest: Plane) -> Plane:
    """For each element the plane of the first case that holds there."""
    import torch

    slope, start = rest
    for holds, plane in reversed(cases):
        slope, start = torch.where(holds, plane[0], slope), torch.where(holds, plane[1], start)
    return slope, start


def _outward(plane: Plane, size: Tensor, sign: int) -> Plane:
    """The plane moved outward by a relative 1e-11, far above its own rounding."""
    steep, start = plane
    return steep, start + sign * 1e-11 * (size * steep.abs() + start.abs() + 1e-3)
