"""Specs written out: the TOML text that reads back as the same spec, every number exact.

Written is what is given: keys at their default are left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from math import prod
from typing import Any

from verifex.ir.fields import PREDICTED, Array, Fields, Functional, NotANumber
from verifex.ir.text.toml_text import Number, exact_number, toml_text

_RAW = dict[str, Any]
"""The type of a field whose values nobody has read yet: there 2.0 is another thing than 2."""


def spec_toml(spec: Fields) -> str:
    """The TOML text of a spec; raises InputError for a number of which no spec file can be made."""
    return toml_text(_table(spec))


def _table(model: Fields) -> dict[str, Any]:
    """The keys of a model that are not at their default, as a spec writes them."""
    found: dict[str, Any] = {}
    fields = sorted(type(model).model_fields.items(), key=lambda item: not item[1].is_required())
    for name, field in fields:
        value = getattr(model, name)
        given = field.is_required() or name in model.ALWAYS or value != field.get_default(
            call_default_factory=True)
        if given and value is not None:
            found[field.alias or name] = _value(value, raw=field.annotation == _RAW)
    return found


def _value(value: Any, raw: bool = False) -> Any:
    match value:
        case Fields():
            return _table(value)
        case Fraction():
            return exact_number(value, counts=not raw)
        case Array():
            return _nested(value.shape, [exact_number(v) for v in value.values])
        case Functional():
            return _functional(value)
        case NotANumber():
            return Number(value.text.replace("_", ""))
        case Mapping():
            return {str(key): _value(inner, raw) for key, inner in value.items()}
        case tuple() | list():
            return [_value(inner, raw) for inner in value]
    return value  # text, truth values and whole numbers; of raw values dates and times too


def _nested(shape: tuple[int, ...], values: list[Any]) -> list[Any]:
    """Values in C order as lists in lists."""
    if len(shape) < 2:
        return values
    size = prod(shape[1:])
    return [_nested(shape[1:], values[k * size : (k + 1) * size]) for k in range(shape[0])]


def _functional(value: Functional) -> Any:
    match value.kind:
        case "weights":
            return {"weights": [exact_number(v) for v in value.weights]}
        case "logit" if value.classes == (PREDICTED,):
            return PREDICTED
        case kind:
            classes = ",".join(map(str, value.classes))
            return f"{kind}:{classes}" if classes else kind
