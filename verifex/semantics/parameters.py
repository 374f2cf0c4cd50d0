"""The free parameters of linear relaxations: which there are, what each means, and in what range.

Any values in range give a valid bound in exact arithmetic (see `verifex.semantics.linear`); the
optimiser, small linear programs and certificates only choose among them.
"""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple


class ParameterKind(Enum):
    """What a parameter does. Each belongs to one node, and has one number for each of its elements
    (times one for each row that is bounded); the shapes below leave the rows out.

    Fractions lie in [0, 1]; multipliers are any numbers >= 0.
    """

    ALPHA = "alpha"
    """Of a Relu, (size,), fractions: the slope of its lower plane, alpha * z <= relu(z), where the
    sign of z is open (alpha-CROWN: Xu et al., Fast and Complete, ICLR 2021)."""

    TIE = "tie"
    """Of a Step on z in [l, u], (size,), fractions: how far an open gate s follows z,
    tie * z / u <= s <= 1 - tie * z / l."""

    MIX_BELOW = "mix_below"
    """Of a Gate or a Mul, (size,), fractions: the share of the first of the two McCormick planes
    below the product. Of a Mul of a node by itself: where, from l to u, its tangent touches."""

    MIX_ABOVE = "mix_above"
    """Of a Gate or a Mul, (size,), fractions: the same above the product."""

    TANGENT = "tangent"
    """Of a smooth function on [l, u], (size,), fractions: where, from l to u, its tangent
    touches."""

    BETA = "beta"
    """Of a pre-activation z, (size,), multipliers: of the split constraints z >= 0 or z <= 0 of
    the domain (beta-CROWN: Wang et al., NeurIPS 2021)."""

    GAMMA = "gamma"
    """Of the region (node 0 stands for it), (rows,), multipliers: of its linear constraints."""

    # The members are their own only equals, and a hash by identity is much faster than Enum's.
    __hash__ = object.__hash__


class Parameter(NamedTuple):
    """One free parameter: what it does, and of which node."""

    kind: ParameterKind
    node: int

    @property
    def is_multiplier(self) -> bool:
        """Whether values are any numbers >= 0, mostly zero; otherwise they lie in [0, 1]."""
        return self.kind is ParameterKind.BETA or self.kind is ParameterKind.GAMMA


WEIGHT_HIGH, WEIGHT_LOW = 256, 255
"""Where nothing is chosen, an open ReLU on z in [l, u] has the slope 1 if WEIGHT_HIGH * u is above
-WEIGHT_LOW * l, else 0. Were these equal, every region that is symmetric about 0 would lie on the
edge, where the rounding of u and l decides, and the checker, which rounds otherwise, might choose
the other slope."""


REGION_ROWS = Parameter(ParameterKind.GAMMA, 0)
"""The multipliers of the region's linear rows: there is one such parameter in every problem."""
