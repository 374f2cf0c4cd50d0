"""Field types of spec models: exact numbers, arrays, selections of features, output functionals.

Every type here reads plain data (TOML, Python, numpy) and complains with `wrong(what, expected)`;
`problem/spec/messages.py` turns that into the one line a user sees.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Annotated, Any, ClassVar, TypeAlias

import numpy as np
from pydantic import BaseModel, ConfigDict, PlainValidator, WithJsonSchema, model_validator
from pydantic_core import PydanticCustomError

from verifex.errors import InputError
from verifex.ir.decimals import parse_exact, show_exact
from verifex.ir.exact import as_numpy

MAX_ELEMENTS = 10_000_000
MAX_RANK = 8
MAX_BITS = 4_096


# --- complaints -----------------------------------------------------------------------------


def wrong(what: str, expected: str = "", key: str = "") -> PydanticCustomError:
    """The error a validator raises; `key` is a place below the field that is being read."""
    context = {"what": what, "expected": expected, "key": key}
    return PydanticCustomError("verifex", "{what}", context)


def show(value: object) -> str:
    """A value as a message shows it: short and on one line."""
    if isinstance(value, Fraction):
        return show_exact(value)
    if isinstance(value, Mapping):
        return "a table"
    if isinstance(value, list | tuple) and len(value) > 6:
        return f"a list of {len(value)}"
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def suggestion(word: str, known: Sequence[str]) -> str:
    """What was probably meant: `did you mean 'x'?`, or the known words."""
    near = difflib.get_close_matches(word, known, n=1)
    if near:
        return f"'{near[0]}' (did you mean that?)"
    listed = ", ".join(known[:20]) + (", ..." if len(known) > 20 else "")
    return f"one of {listed}" if known else "nothing here"


def listed(words: Sequence[str], joined: str = "and", most: int = 6) -> str:
    """Words as a sentence lists them: `a, b and c`, and how many more there are."""
    shown = list(words[:most])
    if len(words) > most:
        shown.append(f"{len(words) - most} more")
    return f" {joined} ".join(filter(None, (", ".join(shown[:-1]), shown[-1]))) if shown else ""


def printable(text: str) -> str:
    """The text with control characters written as escapes: a file may not drive the terminal."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


@contextmanager
def under(key: str) -> Iterator[None]:
    """Put `key` before the key of an InputError raised inside."""
    try:
        yield
    except InputError as error:
        dot = "." if error.key and not error.key.startswith("[") else ""
        raise type(error)(
            printable(error.what), expected=printable(error.expected),
            key=printable(f"{key}{dot}{error.key}"), file=error.file,
        ) from None


class Fields(BaseModel):
    """Base of spec models: frozen, and an unknown key is an error that suggests the right one."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", arbitrary_types_allowed=True, populate_by_name=True,
        ignored_types=(),
    )

    ALWAYS: ClassVar[frozenset[str]] = frozenset()
    """Keys that are written out even at their default."""

    @model_validator(mode="before")
    @classmethod
    def _known_keys(cls, data: Any) -> Any:
        if isinstance(data, Mapping):
            known = list(keys_of(cls))
            for key in data:
                if key not in known and key not in cls.model_fields:
                    meant = _SYNONYMS.get(str(key).lower().replace("-", "_"))
                    near = f"'{meant}' (did you mean that?)" if meant in known else (
                        suggestion(str(key), known))
                    raise wrong(f"unknown key {show(key)}", near, str(key))
        return data


_SYNONYMS: Mapping[str, str] = {
    "eps": "linf", "epsilon": "linf", "radius": "linf", "delta": "linf", "l_inf": "linf",
    "bounds": "box", "domain": "clip", "range": "clip", "frozen": "freeze", "fixed": "freeze",
    "csv": "data", "file": "data", "dataset": "data", "index": "row", "sample": "row",
    "label": "target", "labels": "target", "y": "target", "x": "point", "x0": "point",
    "model": "network", "onnx": "network", "net": "network", "method": "attribution",
    "explainer": "attribution", "requires": "require", "property": "require", "claim": "require",
    "assumption": "assume", "explanation": "explain", "attribution": "explain",
    "inputs": "input", "topk": "top_k", "k": "top_k", "overlap": "overlap_at_least",
    "integers": "integer", "categorical": "one_hot", "onehot": "one_hot", "min": "at_least",
    "max": "at_most", "less_than": "below", "greater_than": "above",
}
"""What people call keys, and what they are called; it counts where the table has such a key."""


def keys_of(model: type[BaseModel]) -> tuple[str, ...]:
    """The keys a model takes, as a spec writes them."""
    return tuple(field.alias or name for name, field in model.model_fields.items())


# --- numbers --------------------------------------------------------------------------------


@dataclass(frozen=True)
class NotANumber:
    """A float literal of a spec file without an exact value here: `nan`, `inf`, `1e999999`."""

    text: str
    reason: str


def toml_float(text: str) -> Fraction | NotANumber:
    """The exact value of a TOML float literal; a refusal is kept until its key is known.

    TOML allows underscores between digits, and has checked where they stand.
    """
    try:
        return parse_exact(text.replace("_", ""))
    except ValueError as error:
        return NotANumber(text, str(error))


def exact(value: object) -> Fraction:
    """The exact number that `value` writes.

    A Python float means its shortest decimal (0.1 is one tenth, as in a file); a float of numpy,
    torch or pandas, which comes from data, means its exact binary value.
    """
    value = as_numpy(value)
    if isinstance(value, np.ndarray) and value.ndim == 0:
        value = value[()]
    if isinstance(value, Fraction):
        return value
    if isinstance(value, NotANumber):
        raise wrong(value.reason, "a number (a bound that is none is left out)")
    if isinstance(value, bool | np.bool_):
        raise wrong(show(bool(value)).lower(), "a number")
    if isinstance(value, np.timedelta64) or (
            isinstance(value, np.floating) and value.dtype.itemsize > 8):
        raise wrong(f"a number of numpy's {value.dtype}", "a number of at most 64 bits")
    if isinstance(value, int | np.integer):
        if int(value).bit_length() > MAX_BITS:
            raise wrong("a number of too many digits", "a finite number")
        return Fraction(int(value))
    if isinstance(value, float | np.floating | Decimal):
        if not math.isfinite(value):
            raise wrong(f"{value} is not a finite number", "a finite number")
        binary = isinstance(value, np.floating)
        return Fraction(float(value)) if binary else parse_exact(str(value))
    if isinstance(value, str):
        try:
            return parse_exact(value)
        except ValueError as error:
            raise wrong(str(error), _number_like(value)) from None
    raise wrong(show(value), "a number")


def exact_floats(value: object) -> object:
    """Data of a table that nobody has read yet, with every float in it as the number that it
    writes, as in a file."""
    if isinstance(value, Mapping):
        return {key: exact_floats(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [exact_floats(inner) for inner in value]
    if isinstance(value, float | np.floating) and math.isfinite(value):
        return exact(value)
    return value


def _number_like(text: str) -> str:
    """What was expected in place of a text that is no number."""
    if text.strip().endswith("%"):
        return "a share of 1, such as 0.1 for 10%"
    if "," in text and "." not in text:
        return "a decimal point, as in 0.1"
    return 'a number such as 0.1 or "1/3"'


def _at_least_zero(value: object) -> Fraction:
    number = exact(value)
    if number < 0:
        raise wrong(f"{show(number)} is negative", "a number >= 0")
    return number


def whole(value: object) -> int:
    """A whole number >= 0; 3.0 and true are refused."""
    if isinstance(value, Fraction):
        raise wrong(f"{show(value)} as a decimal", "a whole number")
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        quoted = isinstance(value, str) and value.strip().isdigit()
        raise wrong(show(value), "a whole number" + (", without quotes" if quoted else ""))
    if not 0 <= value <= 10**12:
        raise wrong(show(int(value)), "a whole number from 0 to 1e12")
    return int(value)


NUMBER_SCHEMA: dict[str, Any] = {
    "description": 'exact: 0.1 is one tenth; strings such as "1/3" are quotients',
    "anyOf": [{"type": "number"}, {"type": "string"}],
}
ARRAY_SCHEMA: dict[str, Any] = {"type": "array", "description": "numbers, flat or nested"}
TABLE_SCHEMA: dict[str, Any] = {"type": "object", "additionalProperties": NUMBER_SCHEMA}
Exact: TypeAlias = Annotated[Fraction, PlainValidator(exact), WithJsonSchema(NUMBER_SCHEMA)]
Radius: TypeAlias = Annotated[
    Fraction, PlainValidator(_at_least_zero), WithJsonSchema(NUMBER_SCHEMA)
]
Count: TypeAlias = Annotated[
    int, PlainValidator(whole), WithJsonSchema({"type": "integer", "minimum": 0})
]


# --- arrays ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Array:
    """Exact numbers in C order with the shape they were written in."""

    shape: tuple[int, ...]
    values: tuple[Fraction, ...]


def array(value: object) -> Array:
    """An array from nested lists (all rows equally long), from a numpy array, a tensor of torch, or
    a row of pandas."""
    if isinstance(value, Array):
        return value
    value = as_numpy(value)
    if isinstance(value, np.ndarray) and value.dtype == object:
        places = [f"[{','.join(map(str, at))}]" for at in np.ndindex(value.shape)]
        return Array(value.shape, tuple(map(_element, value.ravel(), places)))
    if isinstance(value, np.ndarray):
        if value.dtype.kind not in "fiu" or value.dtype.itemsize > 8:
            raise wrong(f"an array of {value.dtype}", "numbers of at most 64 bits")
        return Array(value.shape, tuple(exact(v) for v in value.ravel()))
    if not isinstance(value, list | tuple):
        raise wrong(show(value), "a list of numbers")
    shape: list[int] = []
    level: list[Any] = [value]
    place: list[str] = [""]
    while level and any(isinstance(v, list | tuple) for v in level):
        if len(shape) == MAX_RANK:
            raise wrong(f"lists nested deeper than {MAX_RANK}", "an array of the input's shape")
        for v, at in zip(level, place, strict=True):
            if not isinstance(v, list | tuple):
                raise wrong(f"{show(v)} beside a list", "rows of one kind", at)
            if len(v) != len(level[0]):
                raise wrong(f"a row of {len(v)}", f"{len(level[0])} as in the first row", at)
        shape.append(len(level[0]))
        if len(level) * shape[-1] > MAX_ELEMENTS:
            raise wrong("too many numbers", f"at most {MAX_ELEMENTS}")
        place = [f"{at}[{i}]" for at in place for i in range(shape[-1])]
        level = [x for v in level for x in v]
    return Array(tuple(shape), tuple(map(_element, level, place)))


def _element(value: object, place: str) -> Fraction:
    try:
        return exact(value)
    except PydanticCustomError as error:
        context = error.context or {}
        raise wrong(context["what"], context["expected"], place) from None


NumberArray: TypeAlias = Annotated[Array, PlainValidator(array), WithJsonSchema(ARRAY_SCHEMA)]

PerFeature: TypeAlias = Fraction | Array | Mapping[str, Fraction]
"""One number for all features, one each, or a table from names (or patterns) to numbers."""


def per_feature(value: object) -> PerFeature:
    """A number, a list of numbers, or a table of numbers by feature name."""
    value = _labelled(value)
    if isinstance(value, Mapping):
        return {str(k): _element(v, f".{k}") for k, v in value.items()}
    value = as_numpy(value)
    if isinstance(value, np.ndarray) and value.ndim == 0:
        value = value[()]
    if isinstance(value, list | tuple | np.ndarray | Array):
        return array(value)
    return exact(value)


def _labelled(value: object) -> object:
    """A Series of pandas whose labels are names, as the table that it is; all else as it is.

    Its order may be another one than that of the features.
    """
    labels: Any = getattr(value, "index", None)
    if not hasattr(value, "to_numpy") or getattr(value, "ndim", 0) != 1 or (
            list(labels) == list(range(len(labels)))):
        return value
    names = [str(label) for label in labels]
    if len(set(names)) < len(names):
        raise wrong("a label twice", "one number for each feature")
    return dict(zip(names, as_numpy(value), strict=True))  # type: ignore[call-overload]


def per_feature_radius(value: object) -> PerFeature:
    """As `per_feature`, and nowhere negative."""
    read = per_feature(value)
    if isinstance(read, Fraction):
        return _at_least_zero(read)
    named = read.items() if isinstance(read, Mapping) else enumerate(read.values)
    for key, number in named:
        if number < 0:
            place = f".{key}" if isinstance(key, str) else f"[{key}]"
            raise wrong(f"{show(number)} is negative", "a number >= 0", place)
    return read


_PER_FEATURE_SCHEMA = {"anyOf": [NUMBER_SCHEMA, ARRAY_SCHEMA, TABLE_SCHEMA]}
Bounds: TypeAlias = Annotated[
    Any, PlainValidator(per_feature), WithJsonSchema(_PER_FEATURE_SCHEMA)
]
Radii: TypeAlias = Annotated[
    Any, PlainValidator(per_feature_radius), WithJsonSchema(_PER_FEATURE_SCHEMA)
]


# --- selections of features -----------------------------------------------------------------


def selection(value: object) -> tuple[str | int, ...]:
    """Features by name, pattern or position: one, or a list of them."""
    value = as_numpy(value)
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    many = value if isinstance(value, list | tuple) else [value]
    many = [int(item) if isinstance(item, np.integer) else item for item in many]
    for i, item in enumerate(many):
        if isinstance(item, bool) or not isinstance(item, str | int):
            place = f"[{i}]" if isinstance(value, list | tuple) else ""
            raise wrong(show(item), "a feature's name or position", place)
    return tuple(many)


_SELECTION_SCHEMA = {
    "description": "features by name, pattern (age_*) or position",
    "anyOf": [
        {"type": "string"},
        {"type": "integer"},
        {"type": "array", "items": {"anyOf": [{"type": "string"}, {"type": "integer"}]}},
    ],
}
Selection: TypeAlias = Annotated[
    tuple[str | int, ...], PlainValidator(selection), WithJsonSchema(_SELECTION_SCHEMA)
]


# --- output functionals ---------------------------------------------------------------------

PREDICTED, RUNNER_UP = "predicted", "runner_up"


@dataclass(frozen=True)
class Functional:
    """A linear functional of the network's outputs: sum of weights[i] * output[classes[i]].

    A class is a position, or "predicted" / "runner_up": the largest and second largest output at
    the reference point. `kind` "sum" takes all outputs with weight 1, "weights" gives them all.
    """

    kind: str
    classes: tuple[int | str, ...] = ()
    weights: tuple[Fraction, ...] = ()


_FUNCTIONALS = '"predicted", "logit:c", "margin:c,j", "sum" or { weights = [...] }'


def functional(value: object) -> Functional:
    """Read `"predicted"`, `"logit:3"`, `"margin:1,0"`, `"sum"`, or a table that says the same."""
    if isinstance(value, Functional):
        return value
    if isinstance(value, str):
        head, colon, tail = value.partition(":")
        parts = [p.strip(" ") for p in tail.split(",")] if colon else []
        return _functional(head, parts, value)
    if isinstance(value, Mapping) and len(value) == 1:
        ((head, data),) = value.items()
        if head == "weights":
            return Functional("weights", (), array(data).values)
        return _functional(head, data if isinstance(data, list | tuple) else [data], value)
    plain = isinstance(value, int) and not isinstance(value, bool)
    raise wrong(show(value), f'"logit:{value}"' if plain else _FUNCTIONALS)


def _functional(head: str, parts: Sequence[object], value: object) -> Functional:
    if head in ("predicted", "sum") and not parts:
        return Functional("logit", (PREDICTED,), (Fraction(1),)) if head != "sum" else (
            Functional("sum"))
    wanted = {"logit": 1, "margin": 2}.get(head)
    if wanted is None or len(parts) != wanted:
        raise wrong(f"{show(value)} is not an output functional", _FUNCTIONALS)
    classes = tuple(_class(p) for p in parts)
    if len(set(classes)) < len(classes):
        raise wrong(f"{show(value)} subtracts an output from itself", "two outputs")
    return Functional(head, classes, (Fraction(1), Fraction(-1))[:wanted])


def _class(value: object) -> int | str:
    if value in (PREDICTED, RUNNER_UP):
        return str(value)
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 10:
        return int(value)
    if isinstance(value, int | np.integer) and not isinstance(value, bool) and 0 <= value < 10**9:
        return int(value)
    raise wrong(f"{show(value)} is not an output", f'a position, "{PREDICTED}" or "{RUNNER_UP}"')


OutputFunctional: TypeAlias = Annotated[
    Functional, PlainValidator(functional),
    WithJsonSchema({
        "description": _FUNCTIONALS,
        "anyOf": [{"type": "string"}, {"type": "object", "minProperties": 1, "maxProperties": 1}],
    }),
]
