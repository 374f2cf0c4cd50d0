"""`mass`: the share of the total absolute attribution that lies in a mask."""

from __future__ import annotations

from ...failures import need
from ...graph.forms import total
from ..data.npy_file import NUMBERS_AND_TRUTHS, npy_numbers
from ..formulas import Formula
from ..setting import PropertySetting
from ..toml_values import TomlTable, text_of
from .base import BOUND_KEYS, PropertyKind, always, value_bounds, within


def build(table: TomlTable, setting: PropertySetting) -> Formula:
    """The sum of |A_i| in the mask against q times the sum over all chosen components.

    Multiplied by the total, which is not negative, the share's bound is linear in the |A_i|: where
    the total is positive it says the same. Where it is 0 all forms are 0, so bounds that are not
    strict are true and strict ones false; what the language says there is added in requirements.py.
    """
    explained, bounds = setting.explained, value_bounds(table)
    need(all(0 <= bound.limit <= 1 for bound in bounds), "a share is from 0 to 1")
    mask = set(mask_components(table.required("mass"), setting))
    need(mask, "an empty mask")
    need(mask <= set(explained.chosen), "a mask of components that are not explained")
    magnitudes = explained.magnitudes()
    inside = total((form, 1) for component, form in zip(explained.chosen, magnitudes, strict=True)
                   if component in mask)
    return within([inside], bounds, total((form, 1) for form in magnitudes))


def mask_components(mask: object, setting: PropertySetting) -> list[int]:
    """The components that names pick, or that are not 0 in an array as large as the attribution."""
    names = setting.explained.names
    if not isinstance(mask, dict):
        return names.select(mask)
    file = text_of(TomlTable(mask, ("file",)).required("file"), "file")
    values = npy_numbers(setting.files.content(file), None, NUMBERS_AND_TRUTHS)
    need(len(values) == names.size, "a mask of another size")
    return [component for component, value in enumerate(values) if value]


def true_at_zero(table: TomlTable) -> bool:
    return not table.present("above", "below")


KIND = PropertyKind("mass", ("undefined", *BOUND_KEYS), build, always, true_at_zero)
