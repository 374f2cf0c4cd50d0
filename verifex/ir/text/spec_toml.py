"""Specs written out: the TOML text that reads back as the same spec, every number exact.

Written is what is given: keys at their default are left out. Numbers are whole, decimals where
those are exact and short enough for a reader of specs, and else quotients as text.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction
from math import prod
from typing import Any

from verifex.errors import InputError
from verifex.ir.decimals import MAX_CHARACTERS, MAX_EXPONENT, finite_decimal
from verifex.ir.fields import PREDICTED, Array, Fields, Functional, NotANumber

_RAW = dict[str, Any]
"""The type of a field whose values nobody has read yet: there 2.0 is another thing than 2."""


def toml_text(spec: Fields) -> str:
    """The TOML text of a spec; raises InputError for a number of which no spec file can be made."""
    import tomli_w

    return tomli_w.dumps(_table(spec))


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
            return _number(value, raw)
        case Array():
            return _nested(value.shape, [_number(v, False) for v in value.values])
        case Functional():
            return _functional(value)
        case NotANumber():
            return Decimal(value.text.replace("_", ""))
        case Mapping():
            return {str(key): _value(inner, raw) for key, inner in value.items()}
        case tuple() | list():
            return [_value(inner, raw) for inner in value]
    return value  # text, truth values and whole numbers; of raw values dates and times too


def _number(value: Fraction, raw: bool) -> int | Decimal | str:
    """A number of a spec; `raw`: never a whole one, since it was none."""
    if value.denominator == 1 and not raw and len(str(value.numerator)) <= MAX_CHARACTERS:
        return value.numerator
    try:
        # Without an exponent a decimal may be too long, which with one is not.
        found = Decimal(finite_decimal(value))
    except ValueError:
        text = str(value)
    else:
        text = str(found)
        if len(text) <= MAX_CHARACTERS and abs(found.adjusted()) <= MAX_EXPONENT:
            return found
        text = str(value)
    if len(text) > MAX_CHARACTERS:
        raise InputError(f"a number of {len(text)} characters", expected="a shorter one")
    return text


def _nested(shape: tuple[int, ...], values: list[Any]) -> list[Any]:
    """Values in C order as lists in lists."""
    if len(shape) < 2:
        return values
    size = prod(shape[1:])
    return [_nested(shape[1:], values[k * size : (k + 1) * size]) for k in range(shape[0])]


def _functional(value: Functional) -> Any:
    match value.kind:
        case "weights":
            return {"weights": [_number(v, False) for v in value.weights]}
        case "logit" if value.classes == (PREDICTED,):
            return PREDICTED
        case kind:
            classes = ",".join(map(str, value.classes))
            return f"{kind}:{classes}" if classes else kind
