"""`order`: A_a > A_b > A_c, for named components or for the whole ranking at x0."""

from __future__ import annotations

from itertools import pairwise

from ...failures import need
from ...graph.forms import Form, gap
from ..formulas import ClaimAtom, Formula, all_of
from ..setting import PropertySetting
from ..toml_values import TomlTable, filled_list
from .base import PropertyKind, always


def build(table: TomlTable, setting: PropertySetting) -> Formula:
    """One strict atom for each pair of neighbours: since > is transitive, that orders all."""
    wanted = table.required("order")
    forms = reference_order(setting) if wanted == "unchanged" else (
        named_order(filled_list(wanted), setting))
    need(len(forms) > 1, "an order of less than two")
    return all_of(ClaimAtom(gap(left, right), True) for left, right in pairwise(forms))


def reference_order(setting: PropertySetting) -> list[Form]:
    """The chosen components by falling value at x0, no two of which may be equal there."""
    components = setting.explained.components
    values = setting.reference_components()
    need(len(set(values)) == len(values), "a tie at the reference")
    return [components[place] for place in setting.reference.ranked(components, 1)]


def named_order(keys: list[object], setting: PropertySetting) -> list[Form]:
    """The components as they are listed, one a key."""
    explained = setting.explained
    found = [explained.names.find(key) for key in keys]
    need(all(len(named) == 1 for named in found), "a key that names several components")
    places = [named[0] for named in found]
    need(len(set(places)) == len(places), "a component twice")
    return [explained.item(place) for place in places]


KIND = PropertyKind("order", (), build, always)
