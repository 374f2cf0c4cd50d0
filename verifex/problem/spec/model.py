"""Spec files: TOML into frozen models, every number exact, every error one line with its key."""

from __future__ import annotations

import re
import stat
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

from numpy import ndarray
from pydantic import (
    Field,
    PlainValidator,
    StrictBool,
    ValidationError,
    WithJsonSchema,
    field_validator,
    model_validator,
)

from verifex.errors import InputError, UnsupportedError
from verifex.ir.exact import as_numpy
from verifex.ir.fields import (
    PREDICTED,
    RUNNER_UP,
    Array,
    Bounds,
    Count,
    Fields,
    Functional,
    NumberArray,
    OutputFunctional,
    Radii,
    Radius,
    Selection,
    array,
    exact_floats,
    functional,
    keys_of,
    printable,
    show,
    suggestion,
    toml_float,
    wrong,
)
from verifex.ir.text.spec_toml import spec_toml
from verifex.metrics import registry
from verifex.metrics.support.base import Property
from verifex.problem.document.changes import changed_data
from verifex.problem.spec.messages import spec_error
from verifex.problem.vnnlib.read import is_vnnlib
from verifex.source import Source

MAX_FILE = 8 << 20
MAX_DEPTH = 64
MAX_PROPERTIES = 10_000


# --- input ----------------------------------------------------------------------------------


def _point(value: object) -> Array | dict[str, Array]:
    if isinstance(value, Mapping):
        return {str(name): array(v) for name, v in value.items()}
    return array(value)


_POINT = {"description": "numbers in the input's shape or flat; a table for several inputs",
          "anyOf": [{"type": "array"}, {"type": "object"}]}


class Scale(Fields):
    """Min-max scaling: (x - min) / (max - min); where max = min, x - min."""

    min: NumberArray
    max: NumberArray


class InputSpec(Fields):
    """The reference point: written out, or a row of a data file."""

    point: Annotated[Any, PlainValidator(_point), WithJsonSchema(_POINT)] = None
    data: str | None = None
    row: Count | None = None
    header: StrictBool | None = None
    target: str | None = None
    drop: Selection = ()
    scale: Scale | None = None
    minmax_of: str | None = None
    round: Literal["float32"] | None = None
    names: tuple[str, ...] = ()

    @field_validator("names", mode="before")
    @classmethod
    def _plain_names(cls, value: object) -> object:
        found = as_numpy(value)
        return found.tolist() if isinstance(found, ndarray) else found

    @field_validator("target", mode="before")
    @classmethod
    def _a_name(cls, value: object) -> object:
        if isinstance(value, int) and not isinstance(value, bool):
            raise wrong(show(value), f"the name of a column, or drop = [{value}] for a position")
        return value

    @model_validator(mode="after")
    def _one_source(self) -> InputSpec:
        if self.point is not None and self.data is not None:
            raise wrong("both point and data", "one of them")
        if self.scale is not None and self.minmax_of is not None:
            raise wrong("both scale and minmax_of", "one of them")
        for key in ("row", "header", "target", "minmax_of") if self.data is None else ():
            if getattr(self, key) is not None:
                raise wrong(f"{key} without data", "data = a file", key)
        if self.drop and self.data is None:
            raise wrong("drop without data", "data = a file", "drop")
        return self


# --- region ---------------------------------------------------------------------------------


class Box(Fields):
    """Lower and upper bounds; a feature that a table leaves out has none."""

    lo: Bounds = None
    hi: Bounds = None


def _interval(value: object) -> object:
    """`[lo, hi]` is short for `{ lo = ..., hi = ... }`."""
    if isinstance(value, list | tuple):
        if len(value) != 2:
            raise wrong(show(value), "[lo, hi]")
        return {"lo": value[0], "hi": value[1]}
    return value


class RelativeRadius(Fields):
    """`linf_relative`: a radius in units of each feature's range, or its standard deviation, in a
    CSV file with the columns of the features (`data`; else that of `[input]`)."""

    value: Radii
    of: Literal["range", "std"] = "range"
    data: str | None = None


class RegionSpec(Fields):
    """Which inputs a claim speaks about: everything given here at once (an intersection)."""

    linf: Radii = None
    linf_relative: RelativeRadius | None = None
    l1: Radius | None = None
    l2: Radius | None = None
    box: Box | None = None
    clip: Box | None = None
    freeze: Selection = ()
    only: Selection | None = None
    integer: Selection = ()
    one_hot: tuple[Selection, ...] = ()
    linear: tuple[str, ...] = ()

    @field_validator("linf_relative", mode="before")
    @classmethod
    def _of_the_range(cls, value: object) -> object:
        """A number alone is one of the range."""
        plain = value is None or isinstance(value, Mapping | RelativeRadius)
        return value if plain else {"value": value}

    @field_validator("box", "clip", mode="before")
    @classmethod
    def _pair(cls, value: object) -> object:
        return _interval(value)

    @field_validator("linear", mode="before")
    @classmethod
    def _one_line(cls, value: object) -> object:
        return (value,) if isinstance(value, str) else value


# --- explanation ----------------------------------------------------------------------------


class ExplainSpec(Fields):
    """The attribution: of which output, reduced how, over which features."""

    attribution: str = "gradient"
    output: OutputFunctional = Field(default_factory=lambda: functional("predicted"))
    reduce: Literal["signed", "abs", "channel_sum", "abs_channel_sum", "channel_abs_sum"] = "signed"
    features: Selection | None = None
    options: dict[str, Any] = Field(default_factory=dict)

    @field_validator("options", mode="before")
    @classmethod
    def _exact_floats(cls, value: object) -> object:
        return exact_floats(value)


# --- classes --------------------------------------------------------------------------------


class ClassesSpec(Fields):
    """What the classes are called, in the order of the outputs."""

    names: tuple[Annotated[str, Field(strict=True)], ...] = Field(min_length=2)

    @field_validator("names")
    @classmethod
    def _tell_apart(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for k, name in enumerate(value):
            if not name or name in ("unchanged", PREDICTED, RUNNER_UP):
                raise wrong(f"{show(name)} is no name of a class", "another word", f"[{k}]")
            if name in value[:k]:
                raise wrong(f"two classes are named {show(name)}", "distinct names", f"[{k}]")
        return value


# --- properties -----------------------------------------------------------------------------


class All(Property):
    """`all = [...]`: every property of the list."""

    all: Annotated[tuple[AnyProperty, ...], Field(min_length=1)]


class AnyOf(Property):
    """`any = [...]`: at least one property of the list."""

    any: Annotated[tuple[AnyProperty, ...], Field(min_length=1)]


class Not(Property):
    """`not = { ... }`: the property does not hold."""

    not_: AnyProperty = Field(alias="not")


COMBINATORS: Mapping[str, type[Property]] = {"all": All, "any": AnyOf, "not": Not}


def properties() -> dict[str, type[Property]]:
    """The model of every kind of property, by keyword."""
    return {**{k: f.model for k, f in registry().items()}, **COMBINATORS}


def parse_property(value: object) -> Property:
    """The property that a table writes; its keyword is the one key that no other explains."""
    if isinstance(value, Property):
        return value
    if not isinstance(value, Mapping):
        raise wrong(show(value), 'a table such as { class = "unchanged" }')
    known = properties()
    found = [key for key in value if key in known]
    if not found:
        unknown = next((str(key) for key in value), "")
        near = suggestion(unknown, list(known))
        raise wrong(f"no property in a table of {show(list(value))}", near, unknown)
    fitting = [k for k in found if set(found) <= set(keys_of(known[k]))]
    if len(fitting) != 1:
        raise wrong(f"{' and '.join(found)} in one table", "one property a table")
    return known[fitting[0]].model_validate(value)


AnyProperty: TypeAlias = Annotated[
    Property, PlainValidator(parse_property), WithJsonSchema({"x-verifex": "property"})
]


# --- the whole ------------------------------------------------------------------------------


class Spec(Fields):
    """A whole spec: for all inputs of the region with every `assume`: every `require`.

    Built from keyword arguments it raises InputError, not pydantic's own error.
    """

    ALWAYS = frozenset({"verifex"})

    verifex: Literal[1] = 1
    name: str = ""
    network: str | None = None
    network_output: str | None = None
    arithmetic: str = "real"
    kink: Literal["error", "zero"] = "error"
    input: InputSpec = Field(default_factory=InputSpec)
    region: RegionSpec = Field(default_factory=RegionSpec)
    explain: ExplainSpec | None = None
    classes: ClassesSpec | None = None
    require: tuple[AnyProperty, ...] = ()
    assume: tuple[AnyProperty, ...] = ()

    def __init__(self, /, **data: Any) -> None:
        try:
            super().__init__(**data)
        except ValidationError as error:
            raise spec_error(error) from None

    def with_(self, changes: Mapping[str, Any]) -> Spec:
        """The spec with other values of some keys, `{"region.linf": 0.03, "require[0].top_k": 2}`;
        InputError where a key does not exist or its value does not fit, as for any spec."""
        return Spec(**changed_data(self, changes))

    @field_validator("verifex", mode="before")
    @classmethod
    def _a_whole_number(cls, value: object) -> object:
        if type(value) is not int or value != 1:  # True and 1.0 are equal to 1
            raise wrong(f"version {show(value)} of the spec language", "verifex = 1")
        return value

    @field_validator("require", "assume", mode="before")
    @classmethod
    def _a_list(cls, value: object) -> object:
        if isinstance(value, Mapping):
            raise wrong("a single table", "a list of tables: [[require]] or [[assume]]")
        return (value,) if isinstance(value, Property) else value

    @field_validator("require", "assume")
    @classmethod
    def _not_too_many(cls, value: tuple[Property, ...]) -> tuple[Property, ...]:
        if len(value) > MAX_PROPERTIES:
            raise wrong(f"{len(value)} properties", f"at most {MAX_PROPERTIES}")
        return value


    def __repr__(self) -> str:
        about = f"{self.name!r}, " if self.name else ""
        return f"Spec({about}{len(self.require)} to require, {len(self.assume)} to assume)"

    def to_toml(self) -> str:
        """The text of a spec file that reads back as this spec, number by number.

        Raises InputError for a number of over 1,000 characters.
        """
        return spec_toml(self)

    @staticmethod
    def from_toml(text: str) -> Spec:
        """The spec that the text of a spec file writes (`load_spec` reads a file)."""
        return parse_spec(text)


for _model in (All, AnyOf, Not, Spec):
    _model.model_rebuild()


def load_spec(path: str | Path) -> Spec:
    """Read a spec file; every fault is an InputError that names the file and the key."""
    return spec_source(path).parsed


def spec_source(path: str | Path) -> Source[Spec]:
    """The spec file at a path, read once; its parsed form is the spec (see `load_spec`)."""
    file = Path(path)
    if is_vnnlib(file):
        raise InputError("a VNN-LIB query, which names neither a network nor features",
                         expected="a network before it, or a TOML spec", file=str(path))

    def parse(data: bytes) -> Spec:
        try:
            return parse_spec(_text(data))
        except InputError as error:
            raise error.at(file=str(path), key="file") from None

    try:
        return Source(file, str(path), _read(file), parse)
    except InputError as error:
        raise error.at(file=str(path), key="file") from None


def parse_spec(text: str) -> Spec:
    """Read the text of a spec."""
    try:
        data = tomllib.loads(text, parse_float=toml_float)
    except RecursionError:
        what, most = "nested too deeply", f"at most {MAX_DEPTH} levels"
        raise InputError(what, expected=most, key="syntax") from None
    except ValueError as error:
        raise _syntax_error(text, str(error)) from None
    _check_depth(data)
    if "verifex" not in data:
        raise InputError("missing", expected="verifex = 1 (the version)", key="verifex")
    spec = Spec(**data)
    if spec.arithmetic != "real":
        raise UnsupportedError(
            f"arithmetic {show(spec.arithmetic)}", expected='"real"', key="arithmetic"
        )
    return spec


_PLACE = re.compile(r" \(at line ([0-9]+), column [0-9]+\)")
_TOML_EXPECTED = {
    "Invalid value": 'a value: 0.1, true, "text" in quotes, [a list] or { a = "table" }',
    "Invalid statement": "a [table], or key = value",
    "Cannot overwrite a value": "a key once",
}


def _syntax_error(text: str, reason: str) -> InputError:
    """The error of a text that is no TOML, with the line that is wrong."""
    if "int string conversion" in reason:
        return InputError("not TOML: a whole number of over 4300 digits",
                          expected="a shorter number", key="syntax")
    place = _PLACE.search(reason)
    what = printable(_PLACE.sub("", reason).removesuffix(" (at end of document)"))[:200]
    word, _, wanted = what.partition("Expected ")
    expected = wanted if not word and wanted else _TOML_EXPECTED.get(what, "TOML")
    said = "" if not word and wanted else f" ({what[:1].lower()}{what[1:]})"
    if place is None:
        return InputError(f"no TOML at its end{said}", expected=expected, key="syntax")
    line = text.split("\n")[int(place[1]) - 1].strip()[:60]
    return InputError(f"{show(printable(line))} is no TOML{said}", expected=expected,
                      key=f"line {place[1]}")


def _read(file: Path) -> bytes:
    try:
        info = file.stat()
        if not stat.S_ISREG(info.st_mode):
            raise InputError("not a regular file", expected="a TOML file")
        size = info.st_size
        if size <= MAX_FILE:
            with file.open("rb") as stream:
                data = stream.read(MAX_FILE + 1)
            size = len(data)
        if size > MAX_FILE:
            raise InputError(f"{size} bytes", expected=f"at most {MAX_FILE}")
        return data
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(f"cannot be read: {reason}", expected="a TOML file") from None


def _text(data: bytes) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"byte {error.start} is not UTF-8", expected="UTF-8 text") from None


def _check_depth(data: object) -> None:
    """Refuse nesting that would recurse deeply later (iterative: it cannot overflow itself)."""
    level: list[object] = [data]
    for _ in range(MAX_DEPTH):
        inner: list[object] = []
        for value in level:
            if isinstance(value, dict):
                inner.extend(v for v in value.values() if isinstance(v, dict | list))
            elif isinstance(value, list):
                inner.extend(v for v in value if isinstance(v, dict | list))
        if not inner:
            return
        level = inner
    raise InputError("nested too deeply", expected=f"at most {MAX_DEPTH} levels", key="syntax")


__all__ = [
    "All", "AnyOf", "Box", "ExplainSpec", "Functional", "InputSpec", "Not", "RegionSpec", "Scale",
    "Spec", "load_spec", "parse_property", "parse_spec", "spec_source",
]
