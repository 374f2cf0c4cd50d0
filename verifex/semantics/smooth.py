"""Planes around smooth scalar functions over intervals, for the linear table.

Convex and concave pieces have a tangent on one side and the chord on the other. S-shaped functions
across their inflection use two parallel lines with the lesser end slope (Singh et al., Fast and
Effective Robustness Certification, NeurIPS 2018); anything else its range. Every plane is moved
outward by a relative 1e-11, which covers the rounding of its own coefficients.
"""

from __future__ import annotations

import torch

Tensor = torch.Tensor
Plane = tuple[Tensor, Tensor]
"""(slope, intercept)."""

_S_SHAPED = ("sigmoid", "tanh", "erf")


def value(name: str, points: Tensor) -> Tensor:
    """The function itself."""
    out: Tensor = torch.sigmoid(points) if name == "sigmoid" else getattr(torch, name)(points)
    return out


def slope(name: str, points: Tensor) -> Tensor:
    """Its derivative."""
    match name:
        case "sigmoid":
            y = torch.sigmoid(points)
            return y * (1 - y)
        case "tanh":
            return 1 - torch.tanh(points) ** 2
        case "erf":
            return 1.1283791670955126 * torch.exp(-(points**2))
        case "exp":
            return torch.exp(points)
        case "log":
            return 1 / points
        case "sqrt":
            return 0.5 / torch.sqrt(points)
        case _:
            return -1 / points**2


def planes(
    name: str, lo: Tensor, hi: Tensor, least: Tensor, most: Tensor, where: Tensor
) -> tuple[Plane, Plane]:
    """Lines (below, above) the function on [lo, hi]; `least`, `most` bound its value there.

    `where` in [0, 1] places the tangent. All shapes are equal.
    """
    zero = torch.zeros_like(where)
    flat = (zero, least + zero), (zero, most + zero)
    if name in ("sin", "cos"):
        return flat
    safe = torch.isfinite(least) & torch.isfinite(most) & torch.isfinite(lo) & torch.isfinite(hi)
    # Sound: over a narrow interval a chord's slope is noise; the range is tight there anyway.
    safe = safe & (hi - lo >= 1e-6)
    if name in ("log", "sqrt"):
        safe = safe & (lo > 0)
    if name == "reciprocal":
        safe = safe & ((lo > 0) | (hi < 0))
    a, b = torch.where(safe, lo, torch.ones_like(lo)), torch.where(safe, hi, torch.ones_like(hi))
    t = a + where * (b - a)
    touch = slope(name, t)
    tangent = (touch, value(name, t) - touch * t)
    chord = _chord(name, a, b)
    convex = _is_convex(name, a, b) & safe
    concave = _is_concave(name, a, b) & safe
    mixed = safe & ~(convex | concave)
    # The lesser end slope lies below the slope everywhere between, for these functions.
    ends = torch.minimum(slope(name, a), slope(name, b))
    below = _choose(
        convex, tangent, concave, chord, mixed, (ends, value(name, a) - ends * a), flat[0]
    )
    above = _choose(
        convex, chord, concave, tangent, mixed, (ends, value(name, b) - ends * b), flat[1]
    )
    size = 1 + torch.maximum(a.abs(), b.abs())
    return _move(below, size, -1), _move(above, size, +1)


def _is_convex(name: str, lo: Tensor, hi: Tensor) -> Tensor:
    if name in _S_SHAPED:
        return hi <= 0
    if name == "reciprocal":
        return lo > 0
    return torch.full_like(lo, float(name == "exp")).bool()


def _is_concave(name: str, lo: Tensor, hi: Tensor) -> Tensor:
    if name in _S_SHAPED:
        return (lo >= 0) & (hi > 0)
    if name == "reciprocal":
        return hi < 0
    return torch.full_like(lo, float(name in ("log", "sqrt"))).bool()


def _chord(name: str, lo: Tensor, hi: Tensor) -> Plane:
    """The line through both ends, which lie apart."""
    f, g = value(name, lo), value(name, hi)
    width = hi - lo
    steep = (g - f) / torch.where(width > 0, width, torch.ones_like(width))
    return steep, f - steep * lo


def _choose(
    first: Tensor, one: Plane, second: Tensor, two: Plane, third: Tensor, three: Plane, rest: Plane
) -> Plane:
    def pick(index: int) -> Tensor:
        return torch.where(
            first,
            one[index],
            torch.where(second, two[index], torch.where(third, three[index], rest[index])),
        )

    return pick(0), pick(1)


def _move(plane: Plane, size: Tensor, sign: int) -> Plane:
    """The plane moved outward by a relative 1e-11, far above its own rounding."""
    steep, start = plane
    return steep, start + sign * 1e-11 * (size * steep.abs() + start.abs() + 1e-3)
