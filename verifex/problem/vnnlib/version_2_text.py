"""VNN-LIB 2.0 text: parsed and checked by the package `vnnlib`, with what that leaves out.

The package (1.0.2) does not know the element type `real` and takes no whole numbers beside real
variables. It is given the same text with every element type that is served written as float64 and
every whole number of an assertion with `.0`: lines stay where they are, and what it checks (scope,
shapes, indices, types) stays the same. Exact numbers come from its lexemes.

It also reads what is no query: a NUL ends its text, `[0.9]` is its [0], numbers beyond float64 make
it fail. So it sees tokens that were checked here and blanks between them, nothing else: no
comments, no control characters, indices of plain digits.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import inf, prod
from typing import Any

from verifex.errors import InputError, MissingSolverError, UnsupportedError

REAL = frozenset({"real", "Real"})
FLOATS = frozenset({"float16", "bfloat16", "float32", "float64"})
WHOLE = frozenset({"int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"})
OTHER = frozenset((
    "float8e4m3fn", "float8e5m2", "float8e4m3fnuz", "float8e5m2fnuz", "float4e2m1", "int2", "int4",
    "uint2", "uint4", "complex64", "complex128", "bool", "string",
))
"""The other element types of ONNX."""

MAX_DEPTH = 99
MAX_RANK = 32
MAX_SIZE = 10**9
MAX_DIGITS = 1000
_LEAST = 2.0**-1022  # the package fails on what float64 holds as a subnormal number, or as zero
_VERSION = re.compile(r"\s*\(\s*vnnlib-version\s*<(\d+)\.(\d+)>\s*\)", re.ASCII)
_FORBIDDEN = re.compile("[^\t\n\r\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\U0010ffff]|\r(?!\n)")
"""Control characters and surrogates: what some programs take for the end of a line or a text."""
_STRING = r'"(?:[^"\\]|\\.)*"'
_COMMENT = re.compile(rf"{_STRING}|;[^\n]*", re.DOTALL)
_TOKEN = re.compile(rf'{_STRING}|\[[^\]]*\]|[()]|[^\s()\[\];"]+', re.DOTALL)
_WHOLE = re.compile(r"-?\d+", re.ASCII)
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?", re.ASCII)
_INDICES = re.compile(r"\[\s*(?:\d{1,9}\s*(?:,\s*\d{1,9}\s*)*)?\]", re.ASCII)
_DECLARE = ("declare-input", "declare-hidden", "declare-output")
_PLACE = re.compile(r"syntax error at line (\d+), column (\d+): '(.*)'", re.DOTALL)


@dataclass(frozen=True)
class DeclaredTensor:
    """A declared tensor; `kind` is "input", "hidden" or "output", `onnx` a hidden one's name."""

    name: str
    kind: str
    element: str
    shape: tuple[int, ...]
    onnx: str = ""

    @property
    def size(self) -> int:
        return prod(self.shape)


@dataclass(frozen=True)
class DeclaredNetwork:
    """A declared network; `equal_to`, `isomorphic_to` name another or are empty."""

    name: str
    equal_to: str
    isomorphic_to: str
    tensors: tuple[DeclaredTensor, ...]

    def of(self, kind: str) -> list[DeclaredTensor]:
        return [t for t in self.tensors if t.kind == kind]


@dataclass(frozen=True)
class Parsed:
    """A query that is well formed: its networks, and the package's trees of its assertions."""

    networks: tuple[DeclaredNetwork, ...]
    assertions: tuple[Any, ...]
    file: str


def parse(text: str, file: str, as_real: bool = False) -> Parsed:
    """Parse and check a query.

    `as_real` reads floating point types (and whole numbers that are computed) as `real`, which is
    the user's consent to an answer about real numbers. Raises InputError (`FILE:LINE: ...`) for
    what is wrong, UnsupportedError for element types that are not served, MissingSolverError
    without the package.
    """
    text = _without_comments(text, file)
    version = _VERSION.match(text)
    if version is None:
        raise InputError("no version", expected="(vnnlib-version <2.0>)", file=file, key="1")
    if (version[1], version[2]) != ("2", "0"):
        line = str(text.count("\n", 0, version.start(1)) + 1)
        raise UnsupportedError(f"VNN-LIB {version[1]}.{version[2]}", expected="2.0", file=file,
                               key=line)
    prepared, elements = _prepare(text, file, as_real)
    query = _package(prepared, file)
    networks = tuple(_network(n, elements) for n in query.networks)
    return Parsed(networks, tuple(a.expr for a in query.assertions), file)


def _without_comments(text: str, file: str) -> str:
    """The text with blanks for comments; InputError for characters that no query has."""
    found = _FORBIDDEN.search(text)
    if found is not None:
        raise _error(text, found.start(), file, f"the control character {found[0]!r}",
                     "a text of lines that end in \\n or \\r\\n")
    return _COMMENT.sub(lambda m: m[0] if m[0][0] == '"' else " " * len(m[0]), text)


def _tokens(text: str, file: str) -> Iterator[tuple[int, str]]:
    """The tokens of a text without comments, and where they begin; InputError for what is none."""
    at = 0
    for match in _TOKEN.finditer(text):
        token, start = match[0], match.start()
        _require_blank(text, at, start, file)
        at = match.end()
        if token[0] == "[":
            if _INDICES.fullmatch(token) is None or token.count(",") >= MAX_RANK:
                raise _error(text, start, file, f"the indices {token[:40]}",
                             f"at most {MAX_RANK} whole numbers of at most 9 digits")
        elif token[0] != '"' and not token.isascii():
            raise _error(text, start, file, f"{token[:40]!r}", "ASCII outside comments and names")
        elif _NUMBER.fullmatch(token) is not None:
            _require_readable(text, start, file, token)
        yield start, token
    _require_blank(text, at, len(text), file)


def _require_blank(text: str, start: int, end: int, file: str) -> None:
    """Raise where something other than blanks lies between two tokens."""
    for k in range(start, end):
        if text[k] not in " \t\r\n":
            raise _error(text, k, file, f"the character {text[k]!r}", "a token of VNN-LIB 2.0")


def _require_readable(text: str, place: int, file: str, token: str) -> None:
    """Raise for a number that the package cannot read: it makes a float64 of it."""
    if len(token) > MAX_DIGITS:
        raise _error(text, place, file, f"a number of {len(token)} characters",
                     f"at most {MAX_DIGITS}")
    # Only to see what the package would do with it; values come from the text.
    near = abs(float(token))
    if near == inf or (near < _LEAST and token.strip("-0.")):
        raise _error(text, place, file, f"the number {token[:40]}... is beyond float64",
                     "0, or a number between 2.3e-308 and 1.7e308")


def _require_size(text: str, place: int, file: str, shape: str) -> None:
    """Raise for the shape of a declaration with more elements than any network has."""
    if prod(int(d) for d in shape[1:-1].split(",") if d.strip()) > MAX_SIZE:
        raise _error(text, place, file, f"the shape {shape[:40]}", f"at most {MAX_SIZE} elements")


def _prepare(text: str, file: str, as_real: bool) -> tuple[str, dict[str, str]]:
    """The text for the package, and the element type of every tensor."""
    out, at, depth = [], 0, 0
    elements: dict[str, str] = {}
    words: list[str] = []  # since the last opening bracket
    asserting = 0  # the depth at which an assertion began
    for start, token in _tokens(text, file):
        fresh = token
        if token == "(":
            depth, words = depth + 1, []
            if depth > MAX_DEPTH:
                raise _error(text, start, file, "nested too deeply", f"at most {MAX_DEPTH}")
        elif token == ")":
            depth -= 1
            asserting = 0 if depth < asserting else asserting
        else:
            words.append(token)
            if token == "assert" and len(words) == 1:
                asserting = depth
            elif asserting and _WHOLE.fullmatch(token):
                fresh = token + ".0"
            elif len(words) == 3 and words[0] in _DECLARE:
                _require_served(text, start, file, token, as_real, words[0] != _DECLARE[0])
                elements[words[1]], fresh = token, "float64"
            elif len(words) == 4 and words[0] in _DECLARE and token[0] == "[":
                _require_size(text, start, file, token)
        out += [text[at:start], fresh]
        at = start + len(token)
    return "".join([*out, text[at:]]), elements


def _require_served(
    text: str, place: int, file: str, element: str, as_real: bool, computed: bool
) -> None:
    """Raise for an element type that is not served: all but real, unless the user consents.

    Whole numbers may be `computed` (a Shape, say), but an input of whole numbers is no real one.
    """
    if element in REAL or (as_real and element in FLOATS | (WHOLE if computed else frozenset())):
        return
    if element in FLOATS:
        what = f"no sound analysis over element type {element}: answers are about real numbers"
        expected = "element type real (or --as-real, to read it so)"
    elif element in OTHER | WHOLE:
        what, expected = f"element type {element} is not supported", "real"
    else:
        what, expected = f"unknown element type '{element[:40]}'", "real, or one of ONNX"
    error = _error(text, place, file, what, expected)
    raise UnsupportedError(error.what, expected=error.expected, key=error.key, file=file)


def _error(text: str, place: int, file: str, what: str, expected: str) -> InputError:
    line = str(text.count("\n", 0, place) + 1)
    return InputError(what, expected=expected, key=line, file=file)


def _package(text: str, file: str) -> Any:
    """The package's tree of a query; its errors as ours."""
    try:
        import vnnlib
    except ImportError:
        raise MissingSolverError(
            "VNN-LIB 2.0 needs the package vnnlib: pip install 'verifex-nn[vnnlib]'"
        ) from None
    try:
        return vnnlib.parse_query_string(text)
    except vnnlib.VNNLibException as error:
        raise _translated(str(error), file) from None
    except (LookupError, ValueError, ArithmeticError, RuntimeError, TypeError) as error:
        # What its C++ throws: std::stod as IndexError, an invalid quotation of the text, and so on.
        raise InputError(f"the package vnnlib cannot read the query: {str(error)[:80]}",
                         expected="VNN-LIB 2.0", file=file) from None


def _translated(said: str, file: str) -> InputError:
    """The first error that the package reports."""
    found = _PLACE.search(said)
    if found is not None:
        token = found[3] or "the end"
        return InputError(f"syntax error at '{token[:40]}'", expected="VNN-LIB 2.0", key=found[1],
                          file=file)
    try:
        first = json.loads(said)["errors"][0]
        what = f"{first['message']}: '{first['offendingSymbol']}'"
        return InputError(what, expected=str(first["hint"]).rstrip("."), key=str(first["line"]),
                          file=file)
    except (ValueError, LookupError, TypeError):
        return InputError(said[:200], expected="VNN-LIB 2.0", file=file)


def _network(network: Any, elements: Mapping[str, str]) -> DeclaredNetwork:
    tensors = []
    for kind, found in (
        ("input", network.inputs),
        ("hidden", network.hidden),
        ("output", network.outputs),
    ):
        for t in found:
            name = str(t.onnx_name or "").strip('"')
            shape = tuple(int(d) for d in t.shape)
            tensors.append(DeclaredTensor(t.name, kind, elements[t.name], shape, name))
    return DeclaredNetwork(network.name, network.equal_to, network.isometric_to, tuple(tensors))


def conjuncts(assertions: Sequence[Any]) -> Iterator[Any]:
    """The comparisons and disjunctions that a query demands one and all."""
    stack = list(reversed(assertions))
    while stack:
        e = stack.pop()
        if type(e).__name__ == "And":
            stack += reversed(e.args)
        else:
            yield e
