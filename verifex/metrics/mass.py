"""`mass`: which share of the total absolute attribution lies inside a mask."""

from __future__ import annotations

from fractions import Fraction

from verifex.errors import InputError
from verifex.ir.fields import Selection, show, under
from verifex.ir.formula import Atom, Form, Formula
from verifex.metrics.base import Bounded, Family, conjunction
from verifex.metrics.setting import Setting


class Mass(Bounded):
    """`mass = ["age", "pay_*"], at_least = 0.5`: sum |A_i| in the mask >= half of the total.

    The total is over the chosen components, and so must the mask be. Cross-multiplied: where the
    whole attribution is zero, bounds that are not strict hold and strict ones do not.
    """

    mass: Selection


def build(p: Mass, s: Setting) -> Formula:
    """sum_mask |A| - q sum |A| against 0, for every bound q."""
    inside = set(mask_positions(p.mass, s))
    parts: list[Formula] = []
    for key, share in p.bounds():
        if not 0 <= share <= 1:
            raise InputError(f"{show(share)} is no share", expected="0..1", key=key)
        sense = 1 if key in ("at_least", "above") else -1
        form = _balance(s, inside, share, sense)
        parts.append(Atom(form, strict=key in ("above", "below")))
    return conjunction(parts)


def _balance(s: Setting, inside: set[int], share: Fraction, sense: int) -> Form:
    size = len(s.explanation().chosen)
    weights = {i: (Fraction(i in inside) - share) * sense for i in range(size)}
    return Form.of({(s.magnitude, i): w for i, w in weights.items()})


def mask_positions(mask: Selection, s: Setting) -> list[int]:
    """The positions (in the node of chosen components) inside the mask."""
    explained = s.explanation()
    position = {c: k for k, c in enumerate(explained.chosen)}
    with under("mass"):
        picked = explained.names.select(mask)
        if not picked:
            raise InputError("an empty mask", expected="at least one feature")
        for i in picked:
            if i not in position:
                name = explained.names.name(i)
                raise InputError(f"'{name}' is not explained", expected="a feature of [explain]")
    return [position[i] for i in picked]


FAMILY = Family("mass", Mass, build)
