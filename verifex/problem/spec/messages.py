"""Turning what the spec models complain about into the one line a user sees."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from verifex.errors import InputError
from verifex.ir.fields import printable, show

_KINDS = {
    "model_type": "a table", "dict_type": "a table", "string_type": "a string",
    "tuple_type": "a list", "list_type": "a list", "bool_type": "true or false",
    "model_attributes_type": "a table",
}


def spec_error(error: ValidationError, whole: str = "spec") -> InputError:
    """The first complaint as an InputError with its key; `whole` is what has none."""
    key, what, expected = _first(error)
    return InputError(printable(what), expected=printable(expected), key=printable(key) or whole)


def _first(error: ValidationError) -> tuple[str, str, str]:
    """(key, what is wrong, what was expected) of the first complaint, nested models included."""
    first: Any = error.errors(include_url=False)[0]
    key, context = _key(first["loc"]), first.get("ctx", {})
    kind, value = first["type"], first["input"]
    if kind == "verifex":
        return _join(key, context["key"]), context["what"], context["expected"]
    inner = context.get("error")
    if isinstance(inner, ValidationError):
        below, what, expected = _first(inner)
        return _join(key, below), what, expected
    if kind == "missing":
        return key, "missing", "a value"
    if kind == "too_short":
        return key, "an empty list", f"at least {context['min_length']}"
    if kind == "literal_error":
        return key, show(value), context["expected"]
    return key, show(value), _KINDS.get(kind, first["msg"])


def _key(loc: tuple[int | str, ...]) -> str:
    key = ""
    for part in loc:
        key = _join(key, f"[{part}]" if isinstance(part, int) else part)
    return key


def _join(above: str, below: str) -> str:
    if not above or not below or below.startswith(("[", ".")):
        return above + below
    return f"{above}.{below}"
