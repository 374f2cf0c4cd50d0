"""What properties share: their kind, and bounds such as at_least."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import NamedTuple

from ...failures import need
from ...graph.forms import ONE, Form, total
from ..formulas import ClaimAtom, Formula, all_of
from ..setting import PropertySetting
from ..toml_values import TomlTable


class PropertyKind(NamedTuple):
    """A property: its keyword, the other keys of its table, and how its formula is built.

    `true_at_zero` is for properties that divide by the attribution: whether the formula, which is
    written without a division, is true where the attribution is zero (see requirements.py).
    """

    keyword: str
    keys: tuple[str, ...]
    build: Callable[[TomlTable, PropertySetting], Formula]
    true_at_zero: Callable[[TomlTable], bool] | None = None


SENSES = {"at_least": (1, False), "at_most": (-1, False), "above": (1, True), "below": (-1, True)}
"""Sign and strictness of each bound: at_most q is -(v - q) >= 0, above q is v - q > 0."""
BOUND_KEYS = tuple(SENSES)


class ValueBound(NamedTuple):
    """sign * (value - limit) >= 0, or > 0 if it is strict."""

    sign: int
    strict: bool
    limit: Fraction

    def atom(self, form: Form, unit: Form = ({}, ONE)) -> ClaimAtom:
        """The bound on a form, the limit being in units of another form (which is not negative)."""
        sign = Fraction(self.sign)
        terms = [(form, sign), (unit, -sign * self.limit)]
        return ClaimAtom(total(terms), self.strict)


def value_bounds(table: TomlTable) -> list[ValueBound]:
    """The bounds of a table, at least one, in a fixed order."""
    found = [ValueBound(*SENSES[key], table.number(key)) for key in table.present(*BOUND_KEYS)]
    need(found, "no bound is given")
    return found


def within(forms: Sequence[Form], bounds: list[ValueBound], unit: Form = ({}, ONE)) -> Formula:
    """Every form keeps every bound. Of no forms that would always hold, so it is refused."""
    need(forms, "nothing is named")
    return all_of(bound.atom(form, unit) for form in forms for bound in bounds)
