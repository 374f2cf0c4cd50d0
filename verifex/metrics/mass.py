"""`mass`: which share of the total absolute attribution lies inside a mask."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Annotated, Any

import numpy as np
from pydantic import PlainValidator, WithJsonSchema

from verifex.errors import InputError
from verifex.ir.fields import Fields, listed, selection, show, under
from verifex.ir.formula import Atom, Form, Formula
from verifex.metrics.support.base import (
    BoundedProperty,
    Family,
    Ratio,
    Said,
    bounds_text,
    conjunction,
)
from verifex.metrics.support.files import read_npy
from verifex.metrics.support.setting import Setting


class MaskFile(Fields):
    """A mask from a numpy file."""

    file: str


def _mask(value: object) -> tuple[str | int, ...] | MaskFile:
    if isinstance(value, MaskFile):
        return value
    return MaskFile.model_validate(value) if isinstance(value, Mapping) else selection(value)


_MASK_SCHEMA = {
    "description": "features by name, pattern or position, or { file = \"mask.npy\" }",
    "anyOf": [{"type": "string"}, {"type": "integer"}, {"type": "array"}, {"type": "object"}],
}


class Mass(BoundedProperty, Ratio):
    """`mass = ["age", "pay_*"], at_least = 0.5`: sum |A_i| in the mask >= half of the total.

    The mask may also be `{ file = "mask.npy" }`: an array of as many elements as there are
    components, inside where it is not zero.

    The total is over the chosen components, and so must the mask be. Where the total is zero the
    share is undefined (see `Ratio`).
    """

    mass: Annotated[Any, PlainValidator(_mask), WithJsonSchema(_MASK_SCHEMA)]

    def scale_free(self) -> bool:
        return True

    def at_zero(self) -> bool:
        """Cross-multiplied, bounds that are not strict are true there and strict ones are not."""
        return self.above is None and self.below is None


def build(wanted: Mass, setting: Setting) -> Formula:
    """sum_mask |A| - q sum |A| against 0, for every bound q."""
    inside = set(mask_positions(wanted.mass, setting))
    parts: list[Formula] = []
    for key, share in wanted.bounds():
        if not 0 <= share <= 1:
            raise InputError(f"{show(share)} is no share", expected="0..1", key=key)
        sense = 1 if key in ("at_least", "above") else -1
        # Multiplied by the total, which is not negative: no division, and exact.
        form = _balance(setting, inside, share, sense)
        parts.append(Atom(form, strict=key in ("above", "below")))
    return conjunction(parts)


def _balance(setting: Setting, inside: set[int], share: Fraction, sense: int) -> Form:
    size = len(setting.explanation().chosen)
    weights = {i: (Fraction(i in inside) - share) * sense for i in range(size)}
    return Form.of({(setting.magnitude, i): w for i, w in weights.items()})


def mask_positions(mask: tuple[str | int, ...] | MaskFile, setting: Setting) -> list[int]:
    """The positions (in the node of chosen components) inside the mask."""
    explained = setting.explanation()
    position = {c: k for k, c in enumerate(explained.chosen)}
    with under("mass"):
        picked = _from_file(mask, setting) if isinstance(mask, MaskFile) else (
            explained.names.select(mask))
        if not picked:
            raise InputError("an empty mask", expected="at least one feature")
        for i in picked:
            if i not in position:
                name = explained.names.name(i)
                raise InputError(f"'{name}' is not explained", expected="a feature of [explain]")
    return [position[i] for i in picked]


def _from_file(mask: MaskFile, setting: Setting) -> list[int]:
    """The components where the mask in the file is not zero."""
    size = setting.explanation().names.size
    with under("file"):
        found = read_npy(setting.files.read(mask.file))
        if found.size != size:
            raise InputError(f"{found.size} elements", expected=f"{size}, one a component")
        return [int(i) for i in np.flatnonzero(found)]


def say(wanted: Mass, setting: Setting) -> Said:
    inside = ("the mask" if isinstance(wanted.mass, MaskFile) else
              listed([str(key) for key in wanted.mass]))
    return Said(f"the share of {inside} in the total absolute attribution is {bounds_text(wanted)}")


FAMILY = Family("mass", Mass, build, say)
