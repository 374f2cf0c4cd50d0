"""`output`: a functional of the outputs keeps bounds."""

from __future__ import annotations

from ..formulas import Formula
from ..setting import PropertySetting
from ..toml_values import TomlTable
from .base import BOUND_KEYS, PropertyKind, always, value_bounds


def build(table: TomlTable, setting: PropertySetting) -> Formula:
    """On a head's outputs the bounds are said of its logits, see `outputs/claimed.py`."""
    return setting.output_bounds(table.required("output"), value_bounds(table))


KIND = PropertyKind("output", BOUND_KEYS, build, always)
