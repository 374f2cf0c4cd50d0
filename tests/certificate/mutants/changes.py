"""Random mutations; each maps bytes (or certificate lines) to others by the numbers of `rng`."""

from __future__ import annotations

import copy
import gzip
import json
import random
import re
from collections.abc import Callable
from typing import Any

from tests.certificate.falsehoods.wire import block, fields, number, whole

R = random.Random
Change = Callable[[R, bytes], bytes]
HUGE = (2**31 - 1, 2**31, 2**32, 2**40, 2**62, 2**63 - 1, 2**63, 2**64 - 1, 10**18)

# --- bytes ----------------------------------------------------------------------------------


def flipped(g: R, data: bytes) -> bytes:
    out = bytearray(data)
    for _ in range(g.choice((1, 1, 1, 2, 5))):
        if out:
            out[g.randrange(len(out))] ^= 1 << g.randrange(8)
    return bytes(out)


def cut(g: R, data: bytes) -> bytes:
    return data[: g.randrange(len(data) + 1)]


def dropped(g: R, data: bytes) -> bytes:
    a = g.randrange(len(data) + 1)
    return data[:a] + data[a + g.choice((1, 2, 8, 40)) :]


def doubled(g: R, data: bytes) -> bytes:
    a = g.randrange(len(data) + 1)
    b = min(len(data), a + g.choice((1, 4, 30, 200)))
    return data[:b] + data[a:b] * g.choice((1, 1, 2, 50)) + data[b:]


def put_in(g: R, data: bytes) -> bytes:
    a = g.randrange(len(data) + 1)
    some = g.choice((bytes(g.randrange(256) for _ in range(g.randint(1, 8))), b"\xff" * 10,
                     b"\0" * 9, b"\x80" * 12))
    return data[:a] + some + data[a:]


def moved(g: R, data: bytes) -> bytes:
    a, b, c = sorted(g.randrange(len(data) + 1) for _ in range(3))
    return data[:a] + data[b:c] + data[a:b] + data[c:]


def zipped(g: R, data: bytes) -> bytes:
    """Zipped, whole or damaged."""
    packed = gzip.compress(data, mtime=0)
    return g.choice((packed, cut(g, packed), flipped(g, packed), packed + packed[:20],
                     gzip.compress(packed, mtime=0), b"\x1f\x8b" + data))


BYTES: tuple[Change, ...] = (flipped, flipped, cut, dropped, doubled, put_in, moved, zipped)

# --- protobuf -------------------------------------------------------------------------------

NESTED = {7, 1, 5, 11, 12, 8, 2}  # fields that may hold messages, somewhere in a model


def _parts(data: bytes) -> list[tuple[int, int, Any, bytes]] | None:
    try:
        found = list(fields(data))
    except (IndexError, KeyError):
        return None
    return found if b"".join(raw for *_, raw in found) == data else None


def deep(g: R, data: bytes, change: Callable[[R, list[Any]], bytes]) -> bytes:
    """A change of the fields of the model or of a random message in it."""
    parts = _parts(data)
    if not parts:
        return flipped(g, data)
    inner = [k for k, (n, kind, value, _) in enumerate(parts)
             if kind == 2 and n in NESTED and len(value) > 1 and _parts(value)]
    if inner and g.random() < 0.85:
        k = g.choice(inner)
        n, _, value, _ = parts[k]
        new = block(n, deep(g, value, change))
        return b"".join(new if i == k else raw for i, (*_, raw) in enumerate(parts))
    return change(g, parts)


def _joined(parts: list[Any]) -> bytes:
    return b"".join(raw for *_, raw in parts)


def repeated(g: R, parts: list[Any]) -> bytes:
    extra = [g.choice(parts)] * g.choice((1, 1, 2, 300))
    return _joined(parts + extra if g.random() < 0.5 else extra + parts)


def reordered(g: R, parts: list[Any]) -> bytes:
    return _joined(g.sample(parts, len(parts)))


def removed(g: R, parts: list[Any]) -> bytes:
    k = g.randrange(len(parts))
    return _joined(parts[:k] + parts[k + 1 :])


def retyped(g: R, parts: list[Any]) -> bytes:
    """A field of another wire type."""
    k = g.randrange(len(parts))
    n = parts[k][0]
    new = g.choice((whole(n, g.choice((0, 1, 2, 7, *HUGE))), number(n << 3 | 5) + bytes(4),
                    number(n << 3 | 1) + bytes(8), block(n, b"\1"), number(n << 3 | 3),
                    number(n << 3 | 4), number(n << 3 | 6), number(n << 3 | 7)))
    return _joined([*parts[:k], (0, 0, 0, new), *parts[k + 1 :]])


def renumbered(g: R, parts: list[Any]) -> bytes:
    """A value under another field's number."""
    k = g.randrange(len(parts))
    _, kind, value, raw = parts[k]
    n = g.choice((1, 2, 3, 4, 5, 7, 8, 9, 10, 14, 15, 20, 25, 99, 2**28, 2**29 - 1))
    new = whole(n, value) if kind == 0 else block(n, value) if kind == 2 else raw
    return _joined([*parts[:k], (0, 0, 0, new), *parts[k + 1 :]])


def revalued(g: R, parts: list[Any]) -> bytes:
    """Another number, text or message in a field."""
    k = g.randrange(len(parts))
    n, kind, value, raw = parts[k]
    if kind == 0:
        new = whole(n, g.choice((0, 1, -1, 2, 3, 6, 7, 9, 10, 11, 16, value + 1, *HUGE, -(2**63))))
    elif kind == 2:
        texts = (b"", b"x", b"y", b"h", b"\xff\xfe", "\ufb01".encode(), b"a" * 5000, value + value,
                 b"".join(map(number, g.sample(HUGE, 3))), bytes(4), b"\0\0\xc0\x7f",
                 b"\0\0\x80\x7f",
                 b"\xff\xff\x7f\x7f", b"Loop", b"Sum", b"Relu", b"ConstantOfShape", b"Expand",
                 b"transB", b"axes", value[::-1])
        new = block(n, g.choice(texts))
    else:
        new = raw[:1] + bytes(g.randrange(256) for _ in raw[1:])
    return _joined([*parts[:k], (0, 0, 0, new), *parts[k + 1 :]])


def nested(g: R, parts: list[Any]) -> bytes:
    """A message in a message in a message, deeper than one would recurse."""
    n, data = g.choice((1, 5, 6, 7, 10)), b""
    for _ in range(g.choice((3, 40, 400))):
        data = block(n, data)
    k = g.randrange(len(parts) + 1)
    return _joined([*parts[:k], (0, 0, 0, data), *parts[k:]])


def long_varint(g: R, parts: list[Any]) -> bytes:
    k = g.randrange(len(parts))
    n = parts[k][0]
    new = number(n << 3) + b"\xff" * g.choice((9, 10, 11, 200)) + b"\1"
    return _joined([*parts[:k], (0, 0, 0, new), *parts[k:]])


def _message(change: Callable[[R, list[Any]], bytes]) -> Change:
    def apply(g: R, data: bytes) -> bytes:
        return deep(g, data, change)

    apply.__name__ = change.__name__
    return apply


MESSAGES: tuple[Change, ...] = tuple(map(_message, (
    repeated, reordered, removed, retyped, renumbered, revalued, revalued, revalued, nested,
    long_varint)))

# --- texts ----------------------------------------------------------------------------------

ODD = (
    "\0", "\r", "\r\n", "\ufeff", "\u2028", "\x85", "\x0c", "\u00a0", "\ud7ff", "\u0661", "\ufb01",
    "\U0001d7d9", '"', "'", '"""', "'''", "|", "\\", "\\u0000", "\\ud800", "#", ";", "(", ")", "[",
    "]", "{", "}", "=", ",", ".", "-", "/", "*", "?", "\t", "\n\n", "e", "_", "1",
)
VALUES = (
    "0", "-0", "1e999999999", "1e-999999999", "-1e400", "1e-400", "nan", "inf", "-inf", "true",
    "false", "[]", "{}", '""', '"1/0"', '"1/3"', '"0/0"', "1.5", '"x[0]"', '"x[9]"', '"*"', "-1",
    "99999999999999999999", "0x7fffffffffffffffffff", "1979-05-27", "1_0", '"1_0"', '"\u0661"',
    '"\\u0000"', "[[0]]", "{ a = 1 }", "9" * 5000, '"' + "9" * 5000 + '"', "[" * 300 + "]" * 300,
    "[" * 5000 + "]" * 5000, '"' + "a" * 30000 + '"', "{ not = " * 200 + "{}" + " }" * 200,
    '"logit:"', '"margin:0,1,2"', '"predicted"', '"runner_up"', '"unchanged"',
    '"' + "-" * 2000 + 'x[0] <= 1"', '"' + "(" * 500 + "x[0]" + ")" * 500 + ' <= 1"',
    '"x[0] <= 1e99999"', '"' + "x[0] + " * 3000 + '0 <= 1"', '"x[0]*x[0] <= 1"',
)
TOKEN = re.compile(r'"[^"\n]*"|[-+]?[0-9.]+(?:e-?\d+)?|\w+')


def _texts(change: Callable[[R, str], str]) -> Change:
    def apply(g: R, data: bytes) -> bytes:
        return change(g, data.decode("utf-8", "surrogateescape")).encode("utf-8", "surrogateescape")

    apply.__name__ = change.__name__
    return apply


def odd_character(g: R, text: str) -> str:
    k = g.randrange(len(text) + 1)
    return text[:k] + g.choice(ODD) * g.choice((1, 1, 1, 2, 3000)) + text[k + g.randint(0, 1) :]


def value_replaced(g: R, text: str) -> str:
    lines = [k for k, v in enumerate(text.split("\n")) if "=" in v]
    if not lines:
        return odd_character(g, text)
    out, k = text.split("\n"), g.choice(lines)
    out[k] = f"{out[k].partition('=')[0]}= {g.choice(VALUES)}"
    return "\n".join(out)


def token_replaced(g: R, text: str) -> str:
    found = list(TOKEN.finditer(text))
    if not found:
        return odd_character(g, text)
    m = g.choice(found)
    new = g.choice((g.choice(VALUES), g.choice(found)[0], ""))
    return text[: m.start()] + new + text[m.end() :]


def line_moved(g: R, text: str) -> str:
    lines = text.split("\n")
    a, b = g.randrange(len(lines)), g.randrange(len(lines))
    line = lines[a] if g.random() < 0.4 else lines.pop(a)
    lines[b:b] = [line] * g.choice((1, 1, 2, 500))
    return "\n".join(lines)


def line_dropped(g: R, text: str) -> str:
    lines = text.split("\n")
    a = g.randrange(len(lines))
    return "\n".join(lines[:a] + lines[a + g.choice((1, 1, 3)) :])


def nested_text(g: R, text: str) -> str:
    """A part wrapped in brackets, a few or very many."""
    m = g.choice(list(TOKEN.finditer(text)) or [re.match("", text)])
    left, right = g.choice((("[", "]"), ("(", ")"), ("{ a = ", " }"), ("(and ", ")"), ("(- ", ")"),
                            ("(or (<= Y_0 1) ", ")"), ("(+ 1 ", ")"), ("(* 1 ", ")")))
    many = g.choice((1, 2, 60, 3000))
    assert m is not None
    return text[: m.start()] + left * many + m[0] + right * many + text[m.end() :]


def recoded(g: R, text: str) -> str:
    how = g.choice(("utf-16", "utf-32", "latin-1", "utf-8-sig"))
    return text.encode(how, "replace").decode("utf-8", "surrogateescape")


def ended(g: R, text: str) -> str:
    return text.replace("\n", g.choice(("\r", "\r\n", "\n\n", " ", "\u2028", "\x0b")))


TEXTS: tuple[Change, ...] = (*map(_texts, (
    odd_character, odd_character, value_replaced, value_replaced, token_replaced, token_replaced,
    line_moved, line_dropped, nested_text, recoded, ended)), *BYTES)

# --- certificates ---------------------------------------------------------------------------

ODD_JSON: tuple[Any, ...] = (
    0, 1, -1, 2, 2**31, 2**64, 10**30, -(10**30), 5000, -5000, 4096, None, True, False, "", "1/2",
    "1/0", "a", "gAA=", "sbz8CVLNTQY=", [], {}, [[]], [0, 1, 0], [0, "1/2"], [[0, 1, 0]] * 3,
    [[0, "1/3"]], [0, 0, "1/3"], {"alpha 0": "gA=="}, {"alpha 0": "!"}, {"": "gA=="},
    {"tie": "gA=="}, {"below -1": "gA=="}, {"above 99999999999999999999": "gA=="},
    {"alpha \u0661": "gA=="}, "1e999999", "9" * 2000, ["1/3"] * 3, -0.5, 1e308, "\ud800", "\0",
)


def _places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else (
        enumerate(value) if isinstance(value, list) else ())
    return [path, *(p for k, v in inner for p in _places(v, (*path, k)))]


def _set(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    if not path:
        return new
    out = copy.copy(value)
    out[path[0]] = _set(value[path[0]], path[1:], new)
    return out


def json_value(g: R, lines: list[Any]) -> list[Any]:
    k = g.randrange(len(lines))
    path = g.choice(_places(lines[k]))
    return [*lines[:k], _set(lines[k], path, g.choice(ODD_JSON)), *lines[k + 1 :]]


def json_key(g: R, lines: list[Any]) -> list[Any]:
    k = g.randrange(len(lines))
    line = dict(lines[k])
    old = g.choice(list(line))
    new = g.choice(("fact", "bound", "split", "input", "whole", "leaf", "parts", "group",
                    "fractions", "splits", "rows", "exact", "note", "witness", "atoms", "data",
                    "vxc", "network", "spec", "x0", "precision", "networks", "\u0455", ""))
    value = line.pop(old) if g.random() < 0.5 else g.choice(ODD_JSON)
    return [*lines[:k], line | {new: value}, *lines[k + 1 :]]


def lines_shuffled(g: R, lines: list[Any]) -> list[Any]:
    a, b = sorted(g.randrange(len(lines) + 1) for _ in range(2))
    return g.choice((lines[:a] + lines[b:], lines[:b] + lines[a:],
                     lines[:a] + lines[a:b][::-1] + lines[b:], [*lines, *lines],
                     lines[:a] + lines[a : a + 1] * 300 + lines[a:]))


def line_added(g: R, lines: list[Any]) -> list[Any]:
    new: Any = g.choice((
        {"leaf": g.choice((0, 1, 2))}, {"bound": g.randint(-2, 4)},
        {"parts": g.choice(([], [0], [1], [0, 0]))}, {"group": g.choice(("", "AAAAAAAAAAA=", "A"))},
        {"split": [g.randrange(3), g.randrange(5), *g.choice(((), ("1/3",)))]},
        {"input": [g.randrange(5), "1/2"]}, {"whole": [g.randrange(5), g.randint(-2, 2)]},
        {"fact": [g.randrange(3), g.randrange(2), g.choice((1, -1, 0))]},
        {"bound": 0, "splits": [[g.randrange(3), 1, g.choice((0, 4096, -4096))]]},
        {"bound": 0, "rows": [[g.randrange(3), 2**4096, 0]], "exact": g.choice((0, 1, 2))},
        {"bound": 0, "atoms": [[0, 1, 0], [1, "1/7"]]},
        {"bound": -1, "fractions": {"alpha 0": "gICAgICA"}}, {}))
    k = g.randint(1, len(lines))
    return [*lines[:k], new, *lines[k:]]


def _written(lines: list[Any]) -> bytes:
    return "".join(json.dumps(line) + "\n" for line in lines).encode("utf-8", "surrogatepass")


def many_splits(g: R, lines: list[Any]) -> list[Any]:
    """A tree deeper than it may be."""
    split = g.choice(({"split": [0, 0]}, {"input": [0, "1/2"]}, {"whole": [0, 0]}))
    return [lines[0], *[split] * g.choice((1, 30, 2500)), *lines[1:]]


LINES: tuple[Callable[[R, list[Any]], list[Any]], ...] = (
    json_value, json_value, json_value, json_key, lines_shuffled, line_added, many_splits)


def raw_line(g: R, data: bytes) -> bytes:
    """A line that is no JSON, or JSON of another kind."""
    lines = data.split(b"\n")
    k = g.randrange(len(lines))
    lines[k:k] = [g.choice((
        b"", b"null", b"[]", b"1", b'"a"', b"{", b'{"leaf":1}}', b"[" * 100_000,
        b'{"leaf":' * 50_000, b'{"leaf":1,"leaf":0}', b'{"bound":1e5}', b'{"bound":NaN}',
        b'{"bound":' + b"9" * 5000 + b"}", b"\xff", b"\0", b'{"leaf":1}\r{"leaf":1}',
        b'{"note":"' + b"a" * 100_000 + b'"}', "\ufeff{}".encode()))]
    return b"\n".join(lines)


CERTIFICATES: tuple[Change, ...] = (raw_line, *BYTES)


def lines_changed(g: R, lines: list[Any]) -> tuple[str, bytes]:
    """A certificate with changed lines, or bytes; and what was done."""
    if g.random() < 0.75:
        how = g.choice(LINES)
        return how.__name__, _written(how(g, lines))
    change = g.choice(CERTIFICATES)
    return change.__name__, change(g, _written(lines))
