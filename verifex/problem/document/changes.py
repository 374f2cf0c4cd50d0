"""Changes to keys of a spec: `region.linf=0.03`, `require[0].at_most=0.2`, `region.linf.age="1/3"`.

A change says a key by its path and a value in TOML syntax. What the value may be, and which keys
there are, is checked where the changed spec is read, as of any other.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from verifex.errors import InputError, UsageError
from verifex.ir.fields import Fields
from verifex.ir.text.toml_text import Number

Path: TypeAlias = tuple[str | int, ...]
"""Keys of tables, and places in lists."""

_STEP = re.compile(r'\.?(?:([A-Za-z0-9_-]+)|"([^"\\]*)"|\'([^\']*)\')|\[([0-9]{1,9})\]')
_BARE_DECIMAL = re.compile(r"[+-]?(\.[0-9]+|[0-9]+\.)")
_FORM = "KEY=VALUE with a key such as region.linf or require[0].at_most and a value as in TOML"


@dataclass(frozen=True)
class Change:
    """The key at a path takes a value: plain data, decimals as `Number` or exact."""

    path: Path
    value: Any
    text: str
    """The change as it was given, for names and messages."""


def parse_change(text: str) -> Change:
    """The change that `KEY=VALUE` says; raises UsageError."""
    steps = _steps(text)
    if steps is None:
        raise UsageError(f"--set {text[:60]}: no key and value, expected {_FORM}")
    path, said = steps
    # Sound: the value alone is read, so that no text can bring keys of its own along.
    try:
        table = tomllib.loads(f"value = {said.strip()}", parse_float=Number)
    except (ValueError, RecursionError):
        table = {}
    if table.keys() != {"value"}:
        quoted = f'"{said.strip()}" in quotes, if it is text' if said.strip() else "a value"
        if _BARE_DECIMAL.fullmatch(said.strip()):
            quoted = "a digit on both sides of the point, such as 0.5"
        raise UsageError(f"--set {text[:60]}: the value is not TOML, expected {quoted}")
    return Change(path, table["value"], f"{shown(path)} = {said.strip()}")


def _steps(text: str) -> tuple[Path, str] | None:
    """The path before the "=" and what follows it; None where there is no such thing."""
    path: list[str | int] = []
    place = 0
    while found := _STEP.match(text, place):
        bare, double, single, index = found.groups()
        dotted = text[place] == "."
        if index is None and dotted == (not path):  # a dot between two keys, and nowhere else
            return None
        key = next((k for k in (bare, double, single) if k is not None), "")
        path.append(key if index is None else int(index))
        place = found.end()
    rest = text[place:].lstrip(" ")
    if not path or isinstance(path[0], int) or not rest.startswith("="):
        return None
    return tuple(path), rest[1:]


def shown(path: Path) -> str:
    """A path as messages show it."""
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text


def changed(document: Mapping[str, Any], changes: Sequence[Change]) -> dict[str, Any]:
    """The document after the changes, one after the other; raises InputError where a path leads
    through something that is no table or list, or past the end of a list."""
    out = dict(document)
    for change in changes:
        out = _put(out, change.path, change.value, ())
    return out


def changed_data(model: Fields, changes: Mapping[str, Any]) -> dict[str, Any]:
    """What a model was made of, after changes from keys (as `Change` has them) to Python values."""
    data = _table_of(model)
    for key, value in changes.items():
        steps = _steps(f"{key}=")
        if steps is None or steps[1]:
            raise UsageError(f"{key[:60]!r} is no key, expected one such as region.linf or "
                             "require[0].at_most")
        data = _put(data, steps[0], value, ())
    return data


def _table_of(model: Fields) -> dict[str, Any]:
    """The keys that a model was given, with what they were read to, which reads as itself."""
    fields = type(model).model_fields
    return {fields[name].alias or name: getattr(model, name) for name in fields
            if name in model.model_fields_set}


def _put(value: Any, path: Path, new: Any, above: Path) -> Any:
    """`value` with what is at the path below it replaced; tables that are missing are made."""
    if not path:
        return new
    if isinstance(value, Fields):
        value = _table_of(value)
    elif isinstance(value, tuple):
        value = list(value)
    step, here = path[0], shown((*above, path[0]))
    if isinstance(step, int):
        if not isinstance(value, list):
            what = "is not there" if value is None else "is no list"
            raise InputError(f"{shown(above)} {what}", expected="the key of a list", key=here)
        if step >= len(value):
            last = f"0..{len(value) - 1}" if value else "no place, for the list is empty"
            raise InputError(f"entry {step} of {len(value)}", expected=last, key=here)
        return [_put(v, path[1:], new, (*above, step)) if k == step else v
                for k, v in enumerate(value)]
    if value is not None and not isinstance(value, dict):
        kind = "a list" if isinstance(value, list) else "a single value"
        expected = f"{shown(above)}[0].{step}" if isinstance(value, list) else f"{shown(above)}=..."
        raise InputError(f"{shown(above)} is {kind}, no table", expected=expected, key=here)
    table = dict(value or {})
    table[step] = _put(table.get(step), path[1:], new, (*above, step))
    return table
