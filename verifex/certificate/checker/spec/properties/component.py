"""`component`: every component that is named keeps the bounds, whether it is chosen or not."""

from __future__ import annotations

from ..formulas import Formula
from ..setting import PropertySetting
from ..toml_values import TomlTable
from .base import BOUND_KEYS, PropertyKind, only_zero_bounds, value_bounds, within


def build(table: TomlTable, setting: PropertySetting) -> Formula:
    explained = setting.explained
    named = explained.names.select(table.required("component"))
    return within([explained.item(component) for component in named], value_bounds(table))


KIND = PropertyKind("component", BOUND_KEYS, build, only_zero_bounds)
