"""VNN-LIB 2.0 text: parsed and checked by the package `vnnlib`, with what that leaves out.

The package (1.0.2) does not know the element type `real` and takes no whole numbers beside real
variables. It is given the same text with every element type that is served written as float64 and
every whole number of an assertion with `.0`: lines stay where they are, and what it checks (scope,
shapes, indices, types) stays the same. Exact numbers come from its lexemes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import prod
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
VERSION = re.compile(r"\(\s*vnnlib-version\s*<(\d+)\.(\d+)>\s*\)")
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|;[^\n]*|\[[^\]]*\]|[()]|[^\s()\[\];"]+')
_WHOLE = re.compile(r"-?\d+")
_DECLARE = ("declare-input", "declare-hidden", "declare-output")
_PLACE = re.compile(r"syntax error at line (\d+), column (\d+): '(.*)'", re.DOTALL)


@dataclass(frozen=True)
class Tensor:
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
class Declared:
    """A declared network."""

    name: str
    equal_to: str
    isomorphic_to: str
    tensors: tuple[Tensor, ...]

    def of(self, kind: str) -> list[Tensor]:
        return [t for t in self.tensors if t.kind == kind]


@dataclass(frozen=True)
class Parsed:
    """A query that is well formed: its networks, and the package's trees of its assertions."""

    networks: tuple[Declared, ...]
    assertions: tuple[Any, ...]
    file: str


def parse(text: str, file: str, as_real: bool = False) -> Parsed:
    """Parse and check a query.

    `as_real` reads floating point types (and whole numbers that are computed) as `real`, which is
    the user's consent to an answer about real numbers. Raises InputError (`FILE:LINE: ...`) for
    what is wrong, UnsupportedError for element types that are not served, MissingSolverError
    without the package.
    """
    version = VERSION.search(text)
    if version is None:
        raise InputError("no version", expected="(vnnlib-version <2.0>)", file=file, key="1")
    if (version[1], version[2]) != ("2", "0"):
        line = str(text.count("\n", 0, version.start()) + 1)
        raise UnsupportedError(f"VNN-LIB {version[1]}.{version[2]}", expected="2.0", file=file,
                               key=line)
    prepared, elements = _prepare(text, file, as_real)
    query = _package(prepared, file)
    networks = tuple(_network(n, elements) for n in query.networks)
    return Parsed(networks, tuple(a.expr for a in query.assertions), file)


def _prepare(text: str, file: str, as_real: bool) -> tuple[str, dict[str, str]]:
    """The text for the package, and the element type of every tensor."""
    out, at, depth = [], 0, 0
    elements: dict[str, str] = {}
    words: list[str] = []  # since the last opening bracket
    asserting = 0  # the depth at which an assertion began
    for match in _TOKEN.finditer(text):
        token = match[0]
        if token[0] == ";":
            continue
        fresh = token
        if token == "(":
            depth, words = depth + 1, []
            if depth > MAX_DEPTH:
                raise _error(text, match.start(), file, "nested too deeply", f"at most {MAX_DEPTH}")
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
                _require_served(text, match.start(), file, token, as_real, words[0] != _DECLARE[0])
                elements[words[1]], fresh = token, "float64"
        out += [text[at : match.start()], fresh]
        at = match.end()
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


def _network(n: Any, elements: Mapping[str, str]) -> Declared:
    tensors = []
    for kind, found in (("input", n.inputs), ("hidden", n.hidden), ("output", n.outputs)):
        for t in found:
            name = str(t.onnx_name or "").strip('"')
            shape = tuple(int(d) for d in t.shape)
            tensors.append(Tensor(t.name, kind, elements[t.name], shape, name))
    return Declared(n.name, n.equal_to, n.isometric_to, tuple(tensors))


def conjuncts(assertions: Sequence[Any]) -> Iterator[Any]:
    """The comparisons and disjunctions that a query demands one and all."""
    stack = list(reversed(assertions))
    while stack:
        e = stack.pop()
        if type(e).__name__ == "And":
            stack += reversed(e.args)
        else:
            yield e
