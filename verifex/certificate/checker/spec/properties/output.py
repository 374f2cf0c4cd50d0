"""`output`: a functional of the outputs keeps bounds."""

from __future__ import annotations

from ..formulas import Formula
from ..setting import PropertySetting
from ..toml_values import TomlTable
from .base import BOUND_KEYS, PropertyKind, value_bounds, within


def build(table: TomlTable, setting: PropertySetting) -> Formula:
    return within([setting.functional(table.required("output"))], value_bounds(table))


KIND = PropertyKind("output", BOUND_KEYS, build)
