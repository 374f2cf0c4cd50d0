"""`sign`: components have strictly the sign that they have at x0."""

from __future__ import annotations

from ...failures import need
from ...graph.forms import total
from ..formulas import AtLeastOf, ClaimAtom, Formula, all_of
from ..setting import PropertySetting
from ..toml_values import TomlTable, one_of
from .base import PropertyKind


def build(table: TomlTable, setting: PropertySetting) -> Formula:
    """At least so many (all, if left out) of the components that `which` and `threshold` leave.

    A component that is positive at x0 is to be > 0, a negative one < 0. One that is 0 there has no
    sign: the spec has to say whether it is left out ("ignore") or is to stay 0 ("keep", both
    A_i >= 0 and -A_i >= 0). With a threshold above 0 it is left out as a small one.
    """
    one_of(table.required("sign"), "unchanged")
    threshold, zero = table.number("threshold"), table.word("zero", "error ignore keep")
    need(threshold >= 0, "threshold: below 0")
    explained = setting.explained
    at_reference = dict(zip(explained.chosen, setting.reference_components(), strict=True))
    parts: list[Formula] = []
    for component in explained.names.select(table.get("which", explained.chosen)):
        need(component in at_reference, f"component {component} is not explained")
        form, value = explained.items[component], at_reference[component]
        opposite = total([(form, -1)])
        if value and abs(value) >= threshold:
            parts.append(ClaimAtom(total([(form, 1)]) if value > 0 else opposite, True))
        elif value == 0 == threshold:
            need(zero != "error", f"component {component} is 0 at the reference")
            if zero == "keep":
                parts.append(all_of([ClaimAtom(form, False), ClaimAtom(opposite, False)]))
    count = table.whole("at_least", len(parts))
    need(0 < len(parts) >= count, f"at_least: {count} of {len(parts)} components")
    return AtLeastOf(count, tuple(parts))


def compares_signs_alone(table: TomlTable) -> bool:
    """Whether no component is left out for its size."""
    return table.number("threshold") == 0


KIND = PropertyKind("sign", ("which", "threshold", "zero", "at_least"), build, compares_signs_alone)
