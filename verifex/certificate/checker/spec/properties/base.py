"""What properties share: their kind, and bounds such as at_least."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from ...failures import need
from ...graph.forms import ONE, Form
from ..formulas import Formula, ValueBound, all_of
from ..setting import PropertySetting
from ..toml_values import TomlTable


class PropertyKind(NamedTuple):
    """A property: its keyword, the other keys of its table, and how its formula is built.

    `scale_free` says of a table whether its truth stays the same when the attribution is multiplied
    by a positive number that depends on x.

    `true_at_zero` is for properties that divide by the attribution: whether the formula, which is
    written without a division, is true where the attribution is zero (see requirements.py).
    """

    keyword: str
    keys: tuple[str, ...]
    build: Callable[[TomlTable, PropertySetting], Formula]
    scale_free: Callable[[TomlTable], bool]
    true_at_zero: Callable[[TomlTable], bool] | None = None


def always(_: TomlTable) -> bool:
    """Of a property that reads no attribution, or only ratios, orders and signs of it."""
    return True


def never(_: TomlTable) -> bool:
    return False


SENSES = {"at_least": (1, False), "at_most": (-1, False), "above": (1, True), "below": (-1, True)}
"""Sign and strictness of each bound: at_most q is -(v - q) >= 0, above q is v - q > 0."""
BOUND_KEYS = tuple(SENSES)


def value_bounds(table: TomlTable) -> list[ValueBound]:
    """The bounds of a table, at least one, in a fixed order."""
    found = [ValueBound(*SENSES[key], table.number(key)) for key in table.present(*BOUND_KEYS)]
    need(found, "no bound is given")
    return found


def only_zero_bounds(table: TomlTable) -> bool:
    """Whether all bounds are 0: a positive factor changes no sign."""
    return all(bound.limit == 0 for bound in value_bounds(table))


def within(forms: Sequence[Form], bounds: list[ValueBound], unit: Form = ({}, ONE)) -> Formula:
    """Every form keeps every bound. Of no forms that would always hold, so it is refused."""
    need(forms, "nothing is named")
    return all_of(bound.atom(form, unit) for form in forms for bound in bounds)
