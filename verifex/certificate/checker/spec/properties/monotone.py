"""`monotone`: a partial derivative of a functional is never negative, or never positive."""

from __future__ import annotations

from fractions import Fraction

from ..formulas import Formula, ValueBound
from ..setting import PropertySetting
from ..toml_values import TomlTable, one_of
from .base import SENSES, PropertyKind, always, within


def build(table: TomlTable, setting: PropertySetting) -> Formula:
    """df/dx_i >= 0 (increasing) or <= 0 for every feature that is named.

    f is `output`, or what [explain] explains. These are the derivatives themselves, whatever
    attribution and reduction the spec explains with.
    """
    increasing = one_of(table.required("monotone"), "increasing decreasing") == "increasing"
    bound = ValueBound(*SENSES["at_least" if increasing else "at_most"], Fraction(0))
    output = table.get("output", setting.explained_output)
    form = setting.network.outputs.increasing_with(setting.weights(output))
    nodes = setting.network.derivatives(form)
    slopes = [slope for node in nodes for slope in setting.graph.refs(node)]
    named = setting.features.select(table.required("feature"))
    setting.network.need_derivatives(named)
    return within([slopes[feature] for feature in named], [bound])


KIND = PropertyKind("monotone", ("feature", "output"), build, always)
