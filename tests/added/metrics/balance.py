"""`balance`: the sum of all chosen components, bounded."""

from __future__ import annotations

from typing import Literal

from verifex.ir.formula import Formula
from verifex.metrics.support.base import BoundedProperty, Family, conjunction, within
from verifex.metrics.support.setting import Setting, sum_form


class Balance(BoundedProperty):
    """`balance = true, at_most = 0.5`: the components sum up to at most one half."""

    balance: Literal[True]


def build(wanted: Balance, setting: Setting) -> Formula:
    """The bounds on the sum, as a form of the components."""
    node = setting.components
    return conjunction(within(sum_form(node, setting.builder.node(node).size), wanted))


FAMILY = Family("balance", Balance, build)
