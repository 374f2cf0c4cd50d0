"""Checks certificates alone: standard library only, exact integers only, nothing of verifex.

    python -I -S checker.py net.onnx spec.toml proof.vxc [--jobs N]

Prints `valid`, `invalid: WHERE` or `incomplete: WHAT`; exit codes 0, 1, 2 (65: unreadable input).
certificate/format.md is the normative text. Below: ONNX file, graph, operators, spec, bounds, tree.
"""

from __future__ import annotations

import binascii
import csv
import fnmatch
import gzip
import hashlib
import io
import json
import math
import os
import re
import sys
import tomllib
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from decimal import Decimal
from fractions import Fraction
from functools import partial, reduce
from itertools import chain, islice, pairwise, product
from operator import add, gt, itemgetter, mul, sub
from typing import Any

MAX_FILE, MAX_LINE, MAX_SIZE, MAX_TERMS = 1 << 29, 1 << 26, 1 << 22, 1 << 25
F, E = 64, 52  # coefficients are multiples of 2^-F, bounds of 1 / (Q 2^E) with a short odd Q
ZERO, ONE = Fraction(0), Fraction(1)
Message = dict[int, list[Any]]
Form = tuple[dict[tuple[int, int], Fraction], Fraction]  # (node, element) -> coefficient; constant
Formula = Any  # (form, strict): form >= 0 or > 0; or [count, parts]: at least so many of the parts
Box = tuple[list[int], list[int]]


class Bad(Exception):
    """What is wrong, in one line."""


class Short(Exception):
    """What the certificate does not cover."""


class Empty(Exception):
    """Bounds contradict each other: the domain has no point."""


def need(ok: object, what: str) -> None:
    if not ok:
        raise Bad(what)


def read(path: str) -> bytes:
    with open(path, "rb") as opened:
        data = opened.read(MAX_FILE + 1)
    need(len(data) <= MAX_FILE, f"{path} is too big")
    return data


def unzipped(data: bytes) -> bytes:
    if data[:2] == b"\x1f\x8b":
        data = gzip.GzipFile(fileobj=io.BytesIO(data)).read(MAX_FILE + 1)
    need(len(data) <= MAX_FILE, "a file is too big once unzipped")
    return data


# --- ONNX: the protobuf wire format ---------------------------------------------------------------


def varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        value |= (data[at] & 127) << shift
        at += 1
        if data[at - 1] < 128:
            break
    return value & (1 << 64) - 1, at


def message(data: bytes) -> Message:
    """Field number -> values: integers, or bytes for everything else."""
    out: Message = {}
    at = 0
    while at < len(data):
        key, at = varint(data, at)
        size, at = varint(data, at) if key & 7 in (0, 2) else ({1: 8, 5: 4}[key & 7], at)
        value: Any = size if key & 7 == 0 else data[at : at + size]
        at += 0 if key & 7 == 0 else size
        out.setdefault(key >> 3, []).append(value)
    need(at == len(data), "the protobuf data is cut short")
    return out


def one(m: Message, field: int, default: Any = None) -> Any:
    need(len(m.get(field, ())) < 2, "a protobuf field is given twice")
    return m[field][0] if field in m else default


def text(m: Message, field: int) -> str:
    return str(one(m, field, b"").decode())


def integers(values: Iterable[Any]) -> list[int]:
    """A repeated integer field, packed or not."""
    out: list[int] = []
    for v in values:
        at = 0
        while not isinstance(v, int) and at < len(v):
            value, at = varint(v, at)
            out.append(value)
        out += [v] if isinstance(v, int) else []
    return [v - (v >> 63 << 64) for v in out]


def reals(raw: bytes, size: int) -> list[Fraction]:
    """IEEE numbers of 4 or 8 bytes, little endian, at their exact values."""
    exponent_bits, bits = {4: (8, 23), 8: (11, 52)}[size]
    top, out = (1 << exponent_bits) - 1, []
    for at in range(0, len(raw), size):
        word = int.from_bytes(raw[at : at + size], "little")
        e, m = word >> bits & top, word & (1 << bits) - 1
        need(e < top, "the network holds a NaN or an infinity")
        m, e = m + (bool(e) << bits), max(e, 1) - top // 2 - bits
        m = -m if word >> size * 8 - 1 else m
        out.append(Fraction(m << e) if e >= 0 else Fraction(m, 1 << -e))
    return out


def nearest(v: Fraction, bits: int, low: int) -> Fraction:
    """The nearest binary float of so many bits with least exponent `low`, ties to even."""
    e = abs(v.numerator).bit_length() - v.denominator.bit_length()
    e = max(e + (abs(v) >= Fraction(2) ** e) - bits, low)
    return round(v * Fraction(2) ** -e) * Fraction(2) ** e


def tensor(t: Message) -> Tensor:
    """A TensorProto at its exact value."""
    kind, shape = one(t, 2, 0), integers(t.get(1, ()))
    size, count = {1: 4, 6: 4, 7: 8, 9: 1, 11: 8}.get(kind, 0), math.prod(shape)
    need(not t.keys() & {3, 13} and not one(t, 14, 0), "a tensor is stored outside the file")
    need(size and 0 <= count <= MAX_SIZE, f"unsupported tensor of type {kind}")
    raw = one(t, 9, b"") or b"".join(t.get({1: 4, 11: 10}.get(kind, 0), ()))
    need(len(raw) in (0, count * size), "a tensor of another size")
    cells = (raw[k : k + size] for k in range(0, len(raw), size))
    values: Iterable[Any] = reals(raw, size) if kind in (1, 11) else [
        int.from_bytes(v, "little", signed=kind != 9) for v in cells
    ] or integers(t.get(7 if kind == 7 else 5, ()))
    return Tensor(shape, [({}, Fraction(v)) for v in values])


# --- tensors of linear forms, and the graph -------------------------------------------------------


def total(terms: Iterable[tuple[Form, Any]], const: Any = ZERO) -> Form:
    """sum of factor * form + const."""
    out: dict[tuple[int, int], Fraction] = {}
    for (refs, c), f in terms:
        const += c * f if f and c else 0
        for r, v in refs.items() if f else ():
            term = f if v is ONE and isinstance(f, Fraction) else v * f
            out[r] = out[r] + term if r in out else term
    return {r: v for r, v in out.items() if v}, Fraction(const)


def positions(shape: Sequence[int], strides: Sequence[int]) -> list[int]:
    """The flat places of a strided view."""
    need(math.prod(shape) <= MAX_SIZE, "a tensor is too big")
    at = [0]
    for size, stride in zip(shape, strides, strict=True):
        at = [p + k * stride for p in at for k in range(size)]
    return at


def broadcast(*shapes: tuple[int, ...]) -> tuple[int, ...]:
    padded = [(1,) * (max(map(len, shapes)) - len(s)) + s for s in shapes]
    return tuple(next((d for d in dims if d != 1), 1) for dims in zip(*padded, strict=True))


class Tensor:
    """A shape and, in C order, its elements as linear forms of graph values."""

    def __init__(self, shape: Iterable[int], items: list[Form]) -> None:
        self.shape, self.items = tuple(shape), items
        need(min((0, *self.shape)) == 0 and math.prod(self.shape) == len(items), "a wrong shape")
        self.strides = [math.prod(self.shape[k + 1 :]) for k in range(len(self.shape))]
        self.fixed = not any(refs for refs, _ in items)

    def consts(self) -> list[Fraction]:
        need(self.fixed, "a constant is needed")
        return [c for _, c in self.items]

    def ints(self) -> list[int]:
        need(all(c.denominator == 1 for c in self.consts()), "whole numbers are needed")
        return [int(c) for c in self.consts()]

    def pick(self, shape: Sequence[int], strides: Sequence[int]) -> Tensor:
        return Tensor(shape, [self.items[p] for p in positions(shape, strides)])

    def along(self, axis: int, at: Sequence[int], fill: Fraction = ZERO) -> Tensor:
        """The slices at these positions of an axis; `fill` at -1."""
        n, inner = self.shape[axis], self.strides[axis]
        need(all(-1 <= k < n for k in at), "an index is out of range")
        need(len(self.items) * len(at) <= MAX_TERMS * max(n, 1), "a tensor is too big")
        blocks = range(math.prod(self.shape[:axis]))
        starts = [(o * n + k) * inner if k >= 0 else -1 for o in blocks for k in at]
        items = [v for s in starts
                 for v in (self.items[s : s + inner] if s >= 0 else [({}, fill)] * inner)]
        return Tensor((*self.shape[:axis], len(at), *self.shape[axis + 1 :]), items)

    def expand(self, shape: Sequence[int]) -> Tensor:
        rest = len(shape) - len(self.shape)
        own, strides = (1,) * rest + self.shape, [0] * rest + self.strides
        need(all(a in (1, b) for a, b in zip(own, shape, strict=True)), "shapes do not fit")
        return self.pick(shape, [s * (a == b) for s, a, b in zip(strides, own, shape, strict=True)])


class Matrix:
    """y[k] = sum of w x[j] over row k, by den; a row is (positions or None for all, weights)."""

    def __init__(self, rows: tuple[Any, ...], den: int, width: int) -> None:
        self.rows, self.den, self.width = rows, den, width
        self.sizes = [(at, tuple(map(abs, w))) for at, w in rows]
        self.transposed: Any = None


def apply(rows: Sequence[Any], x: list[int], skip: Box | None = None) -> list[int]:
    """The products of rows with x; 0 for rows whose `skip` box is [0, 0]."""
    some = [j for j, v in enumerate(x) if v]
    few = 1 < len(some) < len(x) * 3 // 4
    pick, short = (itemgetter(*some), [x[j] for j in some]) if few else (tuple, x)
    out, fetch = [0] * len(rows), x.__getitem__
    for k, (at, weights) in enumerate(rows) if some else ():
        if skip is None or skip[0][k] or skip[1][k]:
            out[k] = sum(map(mul, pick(weights), short) if at is None
                         else map(mul, weights, map(fetch, at)))
    return out


class Graph:
    """Nodes by position, equal ones once: kind I, A (affine), R, S, G or M; args; size; data."""

    def __init__(self) -> None:
        self.kind: list[str] = []
        self.args: list[tuple[int, ...]] = []
        self.size: list[int] = []
        self.data: list[Any] = []
        self.index: dict[Any, int] = {}
        self.matrices: dict[Any, Matrix] = {}
        self.cones: dict[int, frozenset[int]] = {}

    def node(
        self, kind: str, args: Sequence[int], size: int, data: Any = None, key: Any = None
    ) -> int:
        where = (kind, tuple(args), key)
        if where not in self.index:
            n = self.index[where] = len(self.kind)
            self.kind.append(kind)
            self.args.append(tuple(args))
            self.size.append(size)
            self.data.append(data)
            self.cones[n] = frozenset({n}.union(*(self.cones[a] for a in args)))
            need(sum(self.size) <= MAX_SIZE and n < 10_000, "the network has too many values")
        return self.index[where]

    def op(self, kind: str, *args: int) -> int:
        return self.node(kind, args, self.size[args[-1]])

    def refs(self, n: int) -> list[Form]:
        return [({(n, i): ONE}, ZERO) for i in range(self.size[n])]

    def above(self, n: int) -> set[int]:
        """A node and all that depend on it."""
        return {m for m, cone in self.cones.items() if n in cone}

    def matrix(self, rows: Iterable[Any], den: int, width: int) -> Matrix:
        """Rows as (rising positions, weights); equal matrices are one."""
        kept = tuple((None if len(at) == width > 1 else tuple(at), tuple(w)) for at, w in rows)
        return self.matrices.setdefault((kept, den, width), Matrix(kept, den, width))

    def identity(self, n: int) -> Matrix:
        return self.matrix((((i,), (1,)) for i in range(self.size[n])), 1, self.size[n])

    def transpose(self, m: Matrix) -> Matrix:
        if m.transposed is None:
            columns: list[Any] = [([], []) for _ in range(m.width)]
            for k, (at, weights) in enumerate(m.rows):
                for j, w in zip(range(m.width) if at is None else at, weights, strict=True):
                    columns[j][0].append(k)
                    columns[j][1].append(w)
            m.transposed = self.matrix(columns, m.den, len(m.rows))
            m.transposed.transposed = m
        return m.transposed  # type: ignore[no-any-return]

    def affine(self, parts: Sequence[tuple[int, Matrix]], bias: Sequence[Fraction]) -> int:
        """sum of matrix * argument + bias; data is (parts, their common denominator, bias)."""
        if len(parts) == 1 and not any(bias) and parts[0][1] is self.identity(parts[0][0]):
            return parts[0][0]
        key = (tuple(id(m) for _, m in parts), tuple(bias))
        data = (parts, math.lcm(*(m.den for _, m in parts)), bias)
        return self.node("A", [a for a, _ in parts], len(bias), data, key)

    def rows(self, forms: Sequence[Form]) -> int:
        """The node whose elements are these linear forms."""
        by: dict[int, list[dict[int, Fraction]]] = {}
        for k, (refs, _) in enumerate(forms):
            for (n, i), c in refs.items():
                if n not in by:
                    by[n] = [{} for _ in forms]
                by[n][k][i] = c
        parts = []
        for n, table in sorted(by.items()):
            den = math.lcm(*(c.denominator for row in table for c in row.values()))
            rows = [(sorted(row), [int(row[i] * den) for i in sorted(row)]) for row in table]
            parts.append((n, self.matrix(rows, den, self.size[n])))
        return self.affine(parts, [c for _, c in forms])

    def solid(self, t: Tensor) -> Tensor:
        """The tensor as elements of one node, unless it is constant."""
        return t if t.fixed else Tensor(t.shape, self.refs(self.rows(t.items)))

    def combine(self, *terms: tuple[Tensor, Any]) -> Tensor:
        """sum of factor * tensor, shapes broadcast."""
        shape = broadcast(*(t.shape for t, _ in terms))
        columns = zip(*(t.expand(shape).items for t, _ in terms), strict=True)
        return Tensor(shape, [total(zip(c, (f for _, f in terms), strict=True)) for c in columns])

    def times(self, a: Tensor, b: Tensor) -> Tensor:
        a, b = (a, b) if b.fixed else (b, a)
        shape = broadcast(a.shape, b.shape)
        pairs = zip(a.expand(shape).items, b.expand(shape).consts(), strict=True)
        return Tensor(shape, [total([p]) for p in pairs])

    def relu(self, t: Tensor) -> Tensor:
        if t.fixed:
            return Tensor(t.shape, [({}, max(c, ZERO)) for c in t.consts()])
        return Tensor(t.shape, self.refs(self.op("R", self.rows(t.items))))

    def absolute(self, t: Tensor) -> Tensor:
        t = self.solid(t)
        return self.combine((self.relu(t), 2), (t, -1))

    def larger(self, a: Tensor, b: Tensor, sign: int = 1) -> Tensor:
        """The maximum; with sign -1 the minimum."""
        gap = self.relu(self.combine((a, 1), (b, -1)))
        return self.combine((b if sign > 0 else a, 1), (gap, sign))

    def gradient(self, output: int, inputs: Sequence[int]) -> list[int]:
        """Nodes d output / d input by reverse mode, for a node of one element."""
        above = {n for n in self.cones[output] if not self.cones[n].isdisjoint(inputs)}
        parts: dict[int, list[tuple[int, Matrix]]] = {}
        found: dict[int, int] = {}
        for n in sorted(above, reverse=True):
            g = found[n] = self.affine(parts.get(n, ()), [Fraction(n == output)] * self.size[n])
            args, out = self.args[n], []
            if self.kind[n] == "A":
                out = [(a, g, self.transpose(m)) for a, m in self.data[n][0]]
            elif self.kind[n] == "R":
                out = [(args[0], self.op("G", self.op("S", args[0]), g), self.identity(n))]
            for a, v, m in out:
                if a in above:
                    parts.setdefault(a, []).append((v, m))
        return [found.get(x) or self.affine((), [ZERO] * self.size[x]) for x in inputs]


# --- ONNX operators -------------------------------------------------------------------------------


class Call:
    """One operator: its inputs, and attributes that are removed as they are read."""

    def __init__(self, graph: Graph, opset: int, inputs: list[Any], outputs: int) -> None:
        self.graph, self.opset, self.inputs, self.outputs = graph, opset, inputs, outputs
        self.attributes: dict[str, Any] = {}

    def has(self, k: int) -> bool:
        return k < len(self.inputs) and self.inputs[k] is not None

    def x(self, k: int = 0) -> Tensor:
        need(self.has(k), "an operator's input is missing")
        return self.inputs[k]  # type: ignore[no-any-return]

    def attr(self, key: str, default: Any = None) -> Any:
        return self.attributes.pop(key, default)

    def ints(self, key: str, k: int, since: int) -> Any:
        """Integers that are input k from opset `since` on and were an attribute before; or None."""
        if self.opset < since:
            return self.attr(key)
        return self.x(k).ints() if self.has(k) else None

    def axes(self, given: Iterable[int], rank: int = -1) -> list[int]:
        rank = len(self.x().shape) if rank < 0 else rank
        out = [a + rank if a < 0 else a for a in given]
        need(all(0 <= a < rank for a in out) and len(set(out)) == len(out), "wrong axes")
        return out


def reshape(c: Call, kind: str) -> Tensor:
    """Reshape, Flatten, Squeeze, Unsqueeze."""
    old, rank = c.x().shape, len(c.x().shape)
    if kind == "Flatten":
        axis = c.attr("axis", 1)
        axis += rank if axis < 0 else 0
        new = [math.prod(old[:axis]), math.prod(old[axis:])]
    elif kind == "Reshape":
        keep = c.opset >= 14 and c.attr("allowzero", 0)
        new = [old[k] if d == 0 and not keep else d for k, d in enumerate(c.x(1).ints())]
        rest = math.prod(old) // max(1, math.prod(d for d in new if d != -1))
        new = [rest if d == -1 else d for d in new]
    elif kind == "Squeeze":
        given = c.ints("axes", 1, 13)
        axes = c.axes([k for k, d in enumerate(old) if d == 1] if given is None else given)
        new = [d for k, d in enumerate(old) if k not in axes]
    else:
        given, dims = c.ints("axes", 1, 13), iter(old)
        axes = c.axes(given, rank + len(given))
        new = [1 if k in axes else next(dims) for k in range(rank + len(given))]
    return Tensor(new, c.x().items)


def transpose(c: Call) -> Tensor:
    t = c.x()
    order = c.axes(c.attr("perm", range(len(t.shape))[::-1]))
    return t.pick([t.shape[k] for k in order], [t.strides[k] for k in order])


def cut(c: Call) -> Tensor:
    t, starts, ends = c.x(), c.ints("starts", 1, 10), c.ints("ends", 2, 10)
    axes, steps = c.ints("axes", 3, 10), c.x(4).ints() if c.has(4) else [1] * len(starts)
    for k, a, b, s in zip(c.axes(axes or range(len(starts))), starts, ends, steps, strict=True):
        t = t.along(k, range(t.shape[k])[a:b:s])
    return t


def gather(c: Call) -> Tensor:
    t, index, (axis,) = c.x(), c.x(1), c.axes([c.attr("axis", 0)])
    n = t.shape[axis]
    need(all(-n <= k < n for k in index.ints()), "an index is out of range")
    shape = (*t.shape[:axis], *index.shape, *t.shape[axis + 1 :])
    return Tensor(shape, t.along(axis, [k % n for k in index.ints()]).items)


def pad(c: Call) -> Tensor:
    t, pads = c.x(), c.ints("pads", 1, 11)
    fill = c.attr("value", ZERO) if c.opset < 11 else c.x(2).consts()[0] if c.has(2) else ZERO
    axes = c.axes(c.x(3).ints() if c.has(3) else range(len(t.shape)))
    need(c.attr("mode", "constant") == "constant" and max(pads) < MAX_SIZE, "unsupported Pad")
    for k, a, b in zip(axes, pads, pads[len(axes) :], strict=False):
        n = t.shape[k]
        t = t.along(k, [p if 0 <= p < n else -1 for p in range(-a, n + b)], fill)
    return t


def concat(c: Call) -> Tensor:
    parts, (axis,) = c.inputs, c.axes([c.attr("axis", 0)])
    lead, tail = parts[0].shape[:axis], parts[0].shape[axis + 1 :]
    rests = {(p.shape[:axis], p.shape[axis + 1 :]) for p in parts}
    need(rests == {(lead, tail)}, "unequal shapes")
    sizes = [p.shape[axis] * math.prod(tail) for p in parts]
    items = [v for o in range(math.prod(lead)) for p, n in zip(parts, sizes, strict=True)
             for v in p.items[o * n : o * n + n]]
    return Tensor((*lead, sum(p.shape[axis] for p in parts), *tail), items)


def split(c: Call) -> list[Tensor]:
    (axis,), sizes, n = c.axes([c.attr("axis", 0)]), c.ints("split", 1, 13), c.outputs
    length = c.x().shape[axis]
    need(c.opset < 18 or c.attr("num_outputs", n) == n, "a Split's outputs")
    sizes = sizes or [max(0, min(-(-length // n), length - k * -(-length // n))) for k in range(n)]
    need(sum(sizes) == length and min(sizes) >= 0, "a Split's sizes")
    return [c.x().along(axis, range(sum(sizes[:k]), sum(sizes[: k + 1]))) for k in range(n)]


def dropout(c: Call) -> Tensor:
    c.attributes.clear()
    need(not c.has(2) or not any(c.x(2).consts()), "unsupported Dropout in training")
    return c.x()


def constant(c: Call) -> Tensor:
    ((key, value),) = c.attributes.items()
    c.attributes.clear()
    need(key.startswith("value") and not isinstance(value, str), "unsupported Constant")
    many = value if isinstance(value, list) else [value]
    shape = [len(many)] if many is value else []
    return value if isinstance(value, Tensor) else Tensor(shape, [({}, Fraction(v)) for v in many])


def cast(c: Call) -> Tensor:
    t, to, _ = c.x(), c.attr("to", 0), c.attr("saturate")
    need(to in (1, 6, 7, 11), "unsupported Cast")
    if to in (6, 7):
        return Tensor(t.shape, [({}, Fraction(math.trunc(v))) for v in t.consts()])
    bits = (24, -149) if to == 1 else (53, -1074)
    return Tensor(t.shape, [(r, k if r or not k else nearest(k, *bits)) for r, k in t.items])


def divide(c: Call) -> Tensor:
    need(all(c.x(1).consts()), "a division by zero")
    return c.graph.times(c.x(), Tensor(c.x(1).shape, [({}, v**-1) for v in c.x(1).consts()]))


def matmul(graph: Graph, a: Tensor, b: Tensor) -> Tensor:
    """numpy's matmul with one side constant."""
    (sa, sb), a, b = (a.shape, b.shape), graph.solid(a), graph.solid(b)
    need(a.fixed or b.fixed, "unsupported product of two computed matrices")
    (m, k), (k2, n) = (1, *sa)[-2:], (*sb, 1)[-2:] if len(sb) == 1 else sb[-2:]
    lead = broadcast(sa[:-2], sb[:-2])
    need(k == k2 and math.prod(lead) * m * n * k <= MAX_TERMS, "matrices do not fit or are too big")
    left = Tensor((*sa[:-2], m, k), a.items).expand((*lead, m, k)).items
    right, items = Tensor((*sb[:-2], k, n), b.items).expand((*lead, k, n)).items, []
    for p, i, j in product(range(math.prod(lead)), range(m), range(n)):
        u, v = left[(p * m + i) * k :][:k], right[p * k * n + j : (p + 1) * k * n : n]
        u, v = (u, v) if b.fixed else (v, u)
        items.append(total((x, w[1]) for x, w in zip(u, v, strict=True)))
    return Tensor((*lead, *sa[-2:-1], *((n,) if len(sb) > 1 else ())), items)


def gemm(c: Call) -> Tensor:
    a, b = (t.pick(t.shape[::-1], t.strides[::-1]) if c.attr(key, 0) else t
            for t, key in ((c.x(), "transA"), (c.x(1), "transB")))
    alpha, beta = c.attr("alpha", ONE), c.attr("beta", ONE)
    return c.graph.combine((matmul(c.graph, a, b), alpha), *([(c.x(2), beta)] if c.has(2) else []))


def window(c: Call, kernel: Sequence[int]) -> list[list[list[tuple[int, int]]]]:
    """For every spatial axis and output place: the (input, kernel) places that meet."""
    space, axes = c.x().shape[2:], []
    rank = len(space)
    strides, dilations = c.attr("strides", [1] * rank), c.attr("dilations", [1] * rank)
    auto, pads = c.attr("auto_pad", "NOTSET"), c.attr("pads", [0] * 2 * rank)
    ceil = c.opset >= 10 and c.attr("ceil_mode", 0)
    need(auto in ("NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER") and rank > 0
         and min(*strides, *dilations, *kernel) > 0 <= min(pads), "a wrong window")
    sides = zip(space, kernel, strides, dilations, pads[:rank], pads[rank:], strict=True)
    for n, k, s, d, a, b in sides:
        if auto.startswith("SAME"):
            extra = max(0, (-(-n // s) - 1) * s + (k - 1) * d + 1 - n)
            a = extra // 2 if auto == "SAME_UPPER" else extra - extra // 2
            b = extra - a
        free = n + a + b - (k - 1) * d - 1
        size = (-(-free // s) if ceil else free // s) + 1
        size -= bool(ceil and (size - 1) * s >= n + a)
        need(free >= 0 and size * k <= MAX_SIZE, "a window does not fit")
        axes.append([[(p, q) for q in range(k) if 0 <= (p := o * s - a + q * d) < n]
                     for o in range(size)])
    return axes


def places(axes: Any, space: Sequence[int], kernel: Sequence[int]) -> list[list[tuple[int, int]]]:
    """For every output place, in C order: the flat (input, kernel) places that meet."""
    out = []
    for near in product(*axes):
        found = [(0, 0)]
        for n, size, line in zip(space, kernel, near, strict=True):
            found = [(p * n + i, q * size + d) for p, q in found for i, d in line]
        out.append(found)
    return out


def conv(c: Call) -> Tensor:
    t, weight, group = c.graph.solid(c.x()), c.x(1), c.attr("group", 1)
    (batch, channels, *space), (outs, depth, *kernel) = t.shape, weight.shape
    need(c.attr("kernel_shape", kernel) == kernel, "a Conv's kernel")
    need(group > 0 and channels == depth * group and outs % group == 0, "a Conv's channels")
    axes, area, taps = window(c, kernel), math.prod(space), math.prod(kernel)
    spots, values = places(axes, space, kernel), weight.consts()
    need(batch * outs * len(spots) * depth * taps <= MAX_TERMS, "a Conv is too big")
    bias, items = c.x(2).consts() if c.has(2) else [ZERO] * outs, []
    for b, o in product(range(batch), range(outs)):
        base = b * channels + o // (outs // group) * depth
        items += [total(((t.items[(base + k) * area + p], values[(o * depth + k) * taps + q])
                         for k in range(depth) for p, q in near), bias[o]) for near in spots]
    return Tensor((batch, outs, *map(len, axes)), items)


def average_pool(c: Call) -> Tensor:
    t, kernel = c.graph.solid(c.x()), c.attr("kernel_shape")
    padded = c.attr("count_include_pad", 0)
    need(not padded or not c.attributes.get("ceil_mode"), "unsupported AveragePool")
    axes, area = window(c, kernel), math.prod(t.shape[2:])
    counted = [(near, Fraction(1, math.prod(kernel) if padded else len(near)))
               for near in places(axes, t.shape[2:], kernel)]
    items = [total((t.items[plane + p], share) for p, _ in near)
             for plane in range(0, len(t.items), area) for near, share in counted]
    return Tensor((*t.shape[:2], *map(len, axes)), items)


def sums(c: Call, mean: bool, since: int = 18, space: bool = False) -> Tensor:
    """Sums or means over axes; over all spatial ones for a global pooling."""
    t, noop, keep = c.graph.solid(c.x()), c.attr("noop_with_empty_axes", 0), c.attr("keepdims", 1)
    given = range(2, len(t.shape)) if space else c.ints("axes", 1, since)
    axes = c.axes(given or range(0 if noop else len(t.shape)))
    inner = positions([t.shape[k] for k in axes], [t.strides[k] for k in axes])
    kept = [1 if k in axes else d for k, d in enumerate(t.shape)]
    share = Fraction(1, max(1, len(inner))) if mean else ONE
    items = [total((t.items[p + q], share) for q in inner) for p in positions(kept, t.strides)]
    return Tensor([d for k, d in enumerate(kept) if keep or k not in axes], items)


def max_along(graph: Graph, t: Tensor, axis: int, windows: list[list[int]]) -> Tensor:
    """Maxima over windows of positions along an axis, in rounds of pairs (one R each)."""
    need(all(windows), "a maximum over nothing")
    while any(len(w) > 1 for w in windows):
        rounds = [[*zip(w[::2], w[1::2], strict=False), *([(w[-1], -1)] if len(w) % 2 else [])]
                  for w in windows]
        slots = {p: k for k, p in enumerate(dict.fromkeys(p for r in rounds for p in r))}
        pairs = {p: k for k, p in enumerate(p for p in slots if p[1] >= 0)}
        first, second = (t.along(axis, [p[k] for p in pairs]) for k in (0, 1))
        gap = graph.relu(graph.combine((first, 1), (second, -1)))
        base = t.along(axis, [a if b < 0 else b for a, b in slots])
        t = graph.combine((base, 1), (gap.along(axis, [pairs.get(s, -1) for s in slots]), 1))
        windows = [[slots[p] for p in r] for r in rounds]
    return t.along(axis, [w[0] for w in windows])


def max_pool(c: Call) -> Tensor:
    t, kernel, _ = c.graph.solid(c.x()), c.attr("kernel_shape"), c.attr("storage_order")
    for k, line in reversed(list(enumerate(window(c, kernel)))):
        t = max_along(c.graph, t, 2 + k, [[p for p, _ in near] for near in line])
    return t


def leaky(c: Call, slope: Tensor) -> Tensor:
    t = c.graph.solid(c.x())
    r = c.graph.relu(t)
    return c.graph.combine((r, 1), (c.graph.times(c.graph.combine((t, 1), (r, -1)), slope), 1))


def clip(c: Call) -> Tensor:
    t, g, top = c.graph.solid(c.x()), c.graph, Fraction((1 << 24) - 1) * (1 << 104)
    ends = [c.attr("min"), c.attr("max")] if c.opset < 11 else [
        c.x(k).consts()[0] if c.has(k) else None for k in (1, 2)]
    low, high = (Tensor((), [({}, v)]) if v is not None and abs(v) < top else None for v in ends)
    out = g.combine((g.relu(g.combine((t, 1), (low, -1))), 1), (low, 1)) if low else t
    need(not low or not high or low.items[0][1] < high.items[0][1], "a Clip of nothing")
    return g.combine((out, 1), (g.relu(g.combine((t, 1), (high, -1))), -1)) if high else out


def pairs_of(join: Callable[[Graph, Tensor, Tensor], Tensor]) -> Callable[[Call], Tensor]:
    return lambda c: reduce(partial(join, c.graph), [c.x(k) for k in range(len(c.inputs))])


ALPHA = nearest(Fraction("0.01"), 24, -149)
RULES: dict[str, Callable[[Call], Any]] = {
    "Add": pairs_of(lambda g, a, b: g.combine((a, 1), (b, 1))), "Div": divide, "Pad": pad,
    "Sub": pairs_of(lambda g, a, b: g.combine((a, 1), (b, -1))), "Cast": cast, "Split": split,
    "Mul": pairs_of(Graph.times), "Neg": lambda c: c.graph.combine((c.x(), -1)), "Gemm": gemm,
    "MatMul": pairs_of(matmul), "Conv": conv, "Clip": clip, "Slice": cut, "Gather": gather,
    **{k: partial(reshape, kind=k) for k in ("Reshape", "Flatten", "Squeeze", "Unsqueeze")},
    "Concat": concat, "Transpose": transpose, "Dropout": dropout, "Identity": lambda c: c.x(),
    "Constant": constant, "AveragePool": average_pool, "MaxPool": max_pool,
    "Shape": lambda c: Tensor([len(c.x().shape)], [({}, Fraction(d)) for d in c.x().shape]),
    "ReduceSum": partial(sums, mean=False, since=13), "ReduceMean": partial(sums, mean=True),
    "GlobalAveragePool": partial(sums, mean=True, space=True),
    "Relu": lambda c: c.graph.relu(c.x()), "Abs": lambda c: c.graph.absolute(c.x()),
    "LeakyRelu": lambda c: leaky(c, Tensor((), [({}, c.attr("alpha", ALPHA))])),
    "PRelu": lambda c: leaky(c, c.x(1)), "Max": pairs_of(Graph.larger),
    "Min": pairs_of(lambda g, a, b: g.larger(a, b, -1)),
}
ATTRIBUTES: dict[int, Callable[[Message], Any]] = {
    1: lambda a: reals(one(a, 2, bytes(4)), 4)[0], 2: lambda a: integers([one(a, 3, 0)])[0],
    3: lambda a: text(a, 4), 4: lambda a: tensor(message(one(a, 5))),
    6: lambda a: reals(b"".join(a.get(7, ())), 4), 7: lambda a: integers(a.get(8, ())),
}


class Network:
    """An ONNX file lowered into a graph, every operator after what it needs."""

    def __init__(self, data: bytes) -> None:
        model = message(data)
        need(7 in model and 25 not in model, "no ONNX graph, or one with functions")
        body, self.graph = message(one(model, 7)), Graph()
        opsets = {text(m, 1): one(m, 2, 0) for m in map(message, model.get(8, ()))}
        self.opset = opsets.get("", opsets.get("ai.onnx", 0))
        need(7 <= self.opset <= 23 and 15 not in body, f"unsupported operator set {self.opset}")
        self.values = {text(t, 8): tensor(t) for t in map(message, body.get(5, ()))}
        need(len(self.values) == len(body.get(5, ())), "an initialiser is given twice")
        self.inputs: dict[str, int] = {}
        for v in map(message, body.get(11, ())):
            if text(v, 1) not in self.values:
                self.input(v, text(v, 1))
        made = [(k.decode(), n) for n in map(message, body.get(1, ())) for k in n.get(2, ()) if k]
        self.maker = dict(made)
        need(len(self.maker) == len(made) and not self.maker.keys() & self.values, "two of a name")
        self.outputs = {text(v, 1): self.value(text(v, 1)) for v in map(message, body.get(12, ()))}

    def input(self, v: Message, label: str) -> None:
        kind = message(one(message(one(v, 2, b"")), 1, b""))
        need(one(kind, 1) in (1, 10, 11) and 2 in kind, "an input is no float tensor of a shape")
        dims = [one(d, 1, 0) for d in map(message, message(one(kind, 2)).get(1, ()))]
        shape = [1 if k == 0 and not 0 < d < 1 << 63 else d for k, d in enumerate(dims)]
        need(min((1, *shape)) > 0 and math.prod(shape) <= MAX_SIZE, "an input has no fixed shape")
        n = self.graph.node("I", (), math.prod(shape), sum(self.graph.size), label)
        self.inputs[label], self.values[label] = n, Tensor(shape, self.graph.refs(n))

    def value(self, wanted: str) -> Tensor:
        stack, begun = [wanted], set()
        while stack:
            if stack[-1] in self.values:
                stack.pop()
                continue
            need(stack[-1] in self.maker, f"tensor '{stack[-1][:40]}' is not computed")
            node = self.maker[stack[-1]]
            labels = [v.decode() for v in node.get(1, ())]
            missing = [v for v in labels if v and v not in self.values]
            need(not missing or id(node) not in begun, "the network has a cycle")
            begun.add(id(node))
            stack += missing
            if not missing:
                self.lower(node, [self.values[v] if v else None for v in labels])
        return self.values[wanted]

    def lower(self, node: Message, inputs: list[Any]) -> None:
        op, labels = text(node, 4), [v.decode() for v in node.get(2, ())]
        need(op in RULES and text(node, 7) in ("", "ai.onnx"), f"unsupported operator {op[:40]}")
        call, given = Call(self.graph, self.opset, inputs, len(labels)), node.get(5, ())
        call.attributes = {text(a, 1): ATTRIBUTES[one(a, 20)](a) for a in map(message, given)}
        need(len(call.attributes) == len(given), f"an attribute of {op} is given twice")
        found = RULES[op](call)
        need(not call.attributes, f"unsupported {', '.join(call.attributes)[:80]} of {op}")
        results = found if isinstance(found, list) else [found]
        self.values.update({k: v for k, v in zip(labels, results, strict=False) if k})
        for label in labels[len(results) :]:
            self.maker.pop(label, None)


# --- the claim of a spec --------------------------------------------------------------------------

DECIMAL = re.compile(r"\s*[+-]?(?=\.?\d)[\d_]*(\.[\d_]*)?([eE][+-]?0*\d{1,3})?\s*", re.ASCII)
TERM = re.compile(
    r"""\s*(?P<sign>[+-]?)\s*(?:(?P<number>[\d.][\w.]*(?:[eE][+-]\d+)?)\s*(?P<times>\*?)\s*)?"""
    r"""(?:x\[\s*["'](?P<quoted>[^"']*)["']\s*\]|(?P<key>\w+\[\d+\]|[^\W\d]\w*))?\s*""")
LIMITS = {"at_least": (1, False), "at_most": (-1, False), "above": (1, True), "below": (-1, True)}


def exact(value: Any) -> Fraction:
    """The number a spec writes: whole, a decimal, or a quotient of two."""
    if isinstance(value, Fraction):
        return value
    top, slash, bottom = str(value).partition("/")
    need(isinstance(value, int | str) and not isinstance(value, bool) and len(str(value)) <= 1000
         and all(map(DECIMAL.fullmatch, (top, bottom or "1"))), f"{value!r:.40} is no number")
    number = Fraction(top.replace("_", ""))
    return number * Fraction(bottom.replace("_", "")) ** -1 if slash else number


def numbers(value: Any) -> list[Fraction]:
    return [x for v in value for x in numbers(v)] if isinstance(value, list) else [exact(value)]


def table(value: Any, keys: str) -> dict[str, Any]:
    need(isinstance(value, dict), f"{value!r:.60} is no table")
    need(value.keys() <= set(keys.split()), f"an unknown key in {list(value)!r:.80}")
    return value  # type: ignore[no-any-return]


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def negate(f: Formula) -> Formula:
    if isinstance(f, list):
        return [len(f[1]) - f[0] + 1, [negate(p) for p in f[1]]]
    return total([(f[0], -1)]), not f[1]


def every(parts: list[Formula]) -> Formula:
    return parts[0] if len(parts) == 1 else [len(parts), parts]


class Claim:
    """A spec about a network: region, reference, attribution, and the broken claim as a formula."""

    def __init__(self, spec: dict[str, Any], folder: str, net: Network) -> None:
        table(spec, "verifex name network network_output arithmetic kink input region explain "
                    "require assume")
        need(spec.get("verifex") == 1 and spec.get("arithmetic", "real") == "real"
             and spec.get("kink", "error") in ("error", "zero"), "unsupported spec")
        self.folder, self.shut = folder, spec.get("kink") == "zero"
        self.adopt(net)
        need("network_output" in spec or len(net.outputs) == 1, "which of the outputs?")
        self.logits = net.graph.solid(net.outputs[spec.get("network_output", *net.outputs)]).items
        self.names: list[str] = []
        self.x0 = self.point(table(spec.get("input", {}), "point data row header target drop scale "
                                   "minmax_of round names"))
        self.region(table(spec.get("region", {}), "linf l1 l2 box clip freeze only integer one_hot "
                          "linear"))
        self.output: Any = "predicted"
        if "explain" in spec:
            self.explain(table(spec["explain"], "attribution output reduce features options"))
        require = every([self.formula(p) for p in spec["require"]])
        assume = every([self.formula(p) for p in spec.get("assume", [])])
        self.broken: Formula = [2, [assume, negate(require)]]

    def adopt(self, net: Network) -> None:
        self.graph: Graph = net.graph
        self.labels, self.inputs = list(net.inputs), list(net.inputs.values())
        self.flat = [v for n in self.inputs for v in net.graph.refs(n)]
        self.size, self.balls, self.cuts = len(self.flat), list[Any](), list[Form]()
        self.groups, self.integers = list[list[int]](), set[int]()

    def find(self, key: Any) -> list[int]:
        """The features that a name, a pattern, a place such as x[3] or a position picks."""
        label = self.labels if len(self.labels) > 1 else ["x"]
        spots = [f"{k}[{i}]" for k, n in zip(label, self.inputs, strict=True)
                 for i in range(self.graph.size[n])]
        known = self.names if key in self.names else spots
        if isinstance(key, int) and not isinstance(key, bool) and 0 <= key < self.size:
            return [key]
        if key in known:
            return [known.index(key)]
        wild = isinstance(key, str) and ("*" in key or "?" in key)
        shown = enumerate(self.names or spots)
        found = [i for i, k in shown if wild and fnmatch.fnmatchcase(k, key)]
        need(found, f"no feature {key!r:.40}")
        return found

    def select(self, keys: Any) -> list[int]:
        return sorted({i for k in listed(keys) for i in self.find(k)})

    def spread(self, value: Any) -> list[Any]:
        """One number a feature; None where a table leaves it out. A name beats a pattern."""
        if not isinstance(value, dict):
            found = numbers(value) * (1 if isinstance(value, list) else self.size)
            need(len(found) == self.size, "a list of another length")
            return found
        out: list[Any] = [None] * self.size
        for broad in (True, False):
            keys = [k for k in value if ("*" in k or "?" in k) == broad]
            picked = [i for k in keys for i in self.find(k)]
            need(len(set(picked)) == len(picked), "two keys pick one feature")
            for k in keys:
                for i in self.find(k):
                    out[i] = exact(value[k])
        return out

    def rows(self, file: str, t: dict[str, Any]) -> tuple[list[str], Iterator[list[str]]]:
        """The names and the rows of the feature columns of a CSV file."""
        lines = unzipped(read(os.path.join(self.folder, file))).decode().splitlines()
        body: Iterator[list[str]] = filter(None, csv.reader(lines))
        first = next(body)
        named = t.get("header", not all(map(DECIMAL.fullmatch, first)))
        header = [k.strip() for k in first] if named else []
        drop = [t[k] for k in ("target",) if k in t] + listed(t.get("drop", []))
        out = {k if isinstance(k, int) else header.index(k) for k in drop}
        kept = [k for k in range(len(first)) if k not in out]
        need(len(kept) == self.size, f"{len(kept)} feature columns in {file}")
        body = body if named else chain([first], body)
        return [header[k] for k in kept if named], ([row[k] for k in kept] for row in body)

    def point(self, t: dict[str, Any]) -> list[Fraction]:
        values, point = [], t.get("point", [])
        need(not point or "data" not in t, "both point and data")
        if "data" in t:
            need(not t["data"].endswith(".npy"), "unsupported .npy data")
            self.names, body = self.rows(t["data"], t)
            values = [exact(v) for v in next(islice(body, t["row"], None))]
        elif isinstance(point, dict):
            need(point.keys() == set(self.labels), "one point for every input")
            values = [v for k in self.labels for v in numbers(point[k])]
        else:
            values = numbers(point)
        self.names = t.get("names", self.names)
        need({len(values), len(set(self.names))} <= {0, self.size}, "wrong lengths in [input]")
        if "scale" in t or "minmax_of" in t:
            if "scale" in t:
                low, high = (numbers(table(t["scale"], "min max")[k]) for k in ("min", "max"))
            else:
                columns = zip(*self.rows(t["minmax_of"], t)[1], strict=True)
                cells = [list(map(Decimal, c)) for c in columns]
                low, high = ([exact(str(end(c))) for c in cells] for end in (min, max))
            values = [(v - a) * ((b - a) or ONE) ** -1
                      for v, a, b in zip(values, low, high, strict=True)]
        need(t.get("round", "float32") == "float32", "unsupported rounding")
        return [nearest(v, 24, -149) if v and "round" in t else v for v in values]

    def region(self, t: dict[str, Any]) -> None:
        n, cuts = self.size, []  # cuts: (lower ends, upper ends), None where there is none
        for key in ("box", "clip"):
            box = t.get(key, {})
            box = dict(zip(("lo", "hi"), box, strict=True)) if isinstance(box, list) else box
            table(box, "lo hi")
            cuts.append([self.spread(box[k]) if k in box else [None] * n for k in ("lo", "hi")])
        still = set(self.select(t.get("freeze", [])))
        still |= set(range(n)) - set(self.select(t["only"])) if "only" in t else set()
        reach = [[r or ZERO for r in self.spread(t["linf"])]] if "linf" in t else []
        reach += [[ZERO if i in still else None for i in range(n)]] if still else []
        for key in ("l1", "l2"):
            if key in t:
                self.balls.append((key, [i for i in range(n) if i not in still], exact(t[key])))
                reach.append([None if i in still else exact(t[key]) for i in range(n)])
        need(not reach or self.x0, "a reference point is needed")
        for r in reach:
            need(all(v is None or v >= 0 for v in r), "a negative radius")
            cuts.append([[None if v is None else x + s * v for x, v in zip(self.x0, r, strict=True)]
                         for s in (-1, 1)])
        self.groups = [self.select(g) for g in t.get("one_hot", [])]
        members = [i for g in self.groups for i in g]
        need(len(set(members)) == len(members), "a feature in two groups")
        cuts.append([[k if i in members else None for i in range(n)] for k in (0, 1)])
        self.integers = {*self.select(t.get("integer", [])), *members}
        ends: Any = [[c[k][i] for c in cuts if c[k][i] is not None]
                     for k in (0, 1) for i in range(n)]
        need(all(ends), "a feature is unbounded")
        self.lo = [Fraction(max(e)) for e in ends[:n]]
        self.hi = [Fraction(min(e)) for e in ends[n:]]
        for i in self.integers:
            self.lo[i] = Fraction(math.ceil(self.lo[i]))
            self.hi[i] = Fraction(math.floor(self.hi[i]))
        need(all(a <= b for a, b in zip(self.lo, self.hi, strict=True)), "the region is empty")
        self.cuts = [r for source in listed(t.get("linear", [])) for r in self.linear(source)]
        for g in self.groups:
            self.cuts += [total([(self.flat[i], s) for i in g], -s) for s in (1, -1)]

    def linear(self, source: str) -> list[Form]:
        """Rows `form <= 0` of a constraint such as `age - 2*x[3] <= 0.3`."""
        sides, ops, out = [], re.findall("[<>=]+", source), []
        for side in re.split("[<>=]+", source):
            at, terms = 0, list[tuple[Form, Any]]()
            while at < len(side):
                m: Any = TERM.match(side, at)
                number, key, at = m["number"], m["key"] or m["quoted"], m.end()
                need((number or key) and (not terms or m["sign"])
                     and bool(number and key) == bool(m["times"]), f"a constraint: {source!r:.60}")
                (i,) = self.find(key) if key else (-1,)
                factor = exact(number or 1) * (-1 if m["sign"] == "-" else 1)
                terms.append((self.flat[i] if key else ({}, ONE), factor))
            sides.append(total(terms))
        for op, (a, b) in zip(ops, pairwise(sides), strict=True):
            signs = {"<=": [1], ">=": [-1], "==": [1, -1]}.get(op, [])
            need(signs, "a constraint is not closed")
            out += [total([(a, s), (b, -s)]) for s in signs]
        return out

    # outputs and explanations

    def value(self, items: Sequence[Form]) -> list[Fraction]:
        """Exact values at the reference."""
        need(self.x0, "a reference point is needed")
        return exactly(self.graph, items, self.x0, self.shut)

    def ranked(self, items: Sequence[Form], k: int, tie: Any = None) -> list[int]:
        """Positions by falling value at the reference; Bad for a tie at the edge of the first k."""
        values = self.value(items)
        order = sorted(range(len(values)), key=lambda i: (-values[i], i))
        need(tie == "index" or k >= len(order) or values[order[k - 1]] != values[order[k]],
             "a tie at the reference")
        return order

    def functional(self, value: Any) -> Form:
        """The weighted sum of outputs that `predicted`, `logit:c`, `margin:c,j`, ... mean."""
        if isinstance(value, dict):
            ((head, args),) = value.items()
            if head == "weights":
                return total(zip(self.logits, numbers(args), strict=True))
            value = f"{head}:" + ",".join(map(str, listed(args)))
        value = "logit:predicted" if value.strip() == "predicted" else value
        head, _, tail = value.partition(":")
        if head.strip() == "sum" and not tail:
            return total((v, 1) for v in self.logits)
        picks = [p.strip() for p in tail.split(",")]
        known = {"logit": 1, "margin": 2}.get(head.strip())
        need(len(picks) == known, f"no functional {value:.40}")
        ask = len(self.logits) > 1 and not {"predicted", "runner_up"}.isdisjoint(picks)
        named = self.ranked(self.logits, 1) if ask else [0]
        found = [named[p == "runner_up"] if p in ("predicted", "runner_up") else int(p)
                 for p in picks]
        need(len(set(found)) == len(found) and min(found) >= 0, "wrong outputs")
        return total((self.logits[c], s) for c, s in zip(found, (1, -1), strict=False))

    def slopes(self, output: Any) -> list[int]:
        return self.graph.gradient(self.graph.rows([self.functional(output)]), self.inputs)

    def explain(self, t: dict[str, Any]) -> None:
        self.output, how = t.get("output", "predicted"), t.get("reduce", "signed")
        kind, g, maps = t.get("attribution", "gradient"), self.graph, self.slopes(self.output)
        if kind in ("input_x_gradient", "input*gradient", "gradient*input"):
            maps = [g.op("M", x, m) for x, m in zip(self.inputs, maps, strict=True)]
        else:
            need(kind in ("gradient", "saliency"), f"unsupported attribution {kind!r:.40}")
        need(how in ("signed", "abs") and not t.get("options"), "unsupported options or reduction")
        self.items = [v for m in maps for v in g.refs(m)]
        whole = Tensor([self.size], self.items)
        self.items = g.solid(g.absolute(whole)).items if how == "abs" else self.items
        self.chosen = self.select(t["features"]) if "features" in t else list(range(self.size))
        self.components, self.nonnegative = [self.items[i] for i in self.chosen], how == "abs"

    # properties

    def formula(self, p: dict[str, Any]) -> Formula:
        if "not" in p:
            return negate(self.formula(table(p, "not")["not"]))
        if "all" in p or "any" in p:
            ((key, parts),) = table(p, "all any").items()
            return every(list(map(self.formula, parts))) if key == "all" else [
                1, list(map(self.formula, parts))]
        key = next((k for k in PROPERTIES if k in p), "no such property")
        keys, build = PROPERTIES.get(key, ("", Claim.order))
        return build(self, table(p, f"{key} {keys}"))

    def within(self, form: Form, t: dict[str, Any]) -> list[Formula]:
        """form against every bound of the table."""
        found = [(total([(form, s)], -s * exact(t[k])), strict)
                 for k, (s, strict) in LIMITS.items() if k in t]
        need(found, "no bound is given")
        return found

    def class_(self, t: dict[str, Any]) -> Formula:
        c = t["class"]
        c = self.ranked(self.logits, 1, t.get("tie"))[0] if c == "unchanged" else c
        need(0 <= c < len(self.logits) > 1, "no such class")
        return every([(total([(self.logits[c], 1), (v, -1)]), True)
                      for j, v in enumerate(self.logits) if j != c])

    def output_(self, t: dict[str, Any]) -> Formula:
        return every(self.within(self.functional(t["output"]), t))

    def component(self, t: dict[str, Any]) -> Formula:
        picked = [self.items[i] for i in self.select(t["component"])]
        return every([a for item in picked for a in self.within(item, t)])

    def sign(self, t: dict[str, Any]) -> Formula:
        parts: list[Formula] = []
        values = dict(zip(self.chosen, self.value(self.components), strict=True))
        for i in self.select(t["which"]) if "which" in t else self.chosen:
            item, value = self.items[i], values[i]
            if value and abs(value) >= exact(t.get("threshold", 0)):
                parts.append((total([(item, 1 if value > 0 else -1)]), True))
            elif abs(value) >= exact(t.get("threshold", 0)):
                need(t.get("zero") in ("keep", "ignore"), f"component {i} is 0 at the reference")
                both = [2, [(item, False), (total([(item, -1)]), False)]]
                parts += [both] if t["zero"] == "keep" else []
        need(parts and t["sign"] == "unchanged" and 0 <= t.get("at_least", 0) <= len(parts),
             "a wrong sign property")
        return [t["at_least"], parts] if "at_least" in t else every(parts)

    def distance(self, t: dict[str, Any]) -> Formula:
        kind, base, parts, g = t["distance"], self.value(self.components), [], self.graph
        size = {"l1": sum(map(abs, base)), "l2": sum(v * v for v in base),
                "linf": max(map(abs, base))}[kind]
        change = [total([(v, 1)], -a) for v, a in zip(self.components, base, strict=True)]
        for key in (k for k in LIMITS if k in t):
            bound, strict = exact(t[key]), key in ("below", "at_least")  # at_least is not below
            need(bound >= 0, "a negative distance")
            bound = bound ** (1 + (kind == "l2")) * (size if t.get("relative") is True else 1)
            if kind == "linf":
                upper: Formula = every([(total([(v, s)], bound), strict)
                                        for s in (-1, 1) for v in change])
            else:
                n = g.rows(change)
                items = g.refs(g.op("M", n, n)) if kind == "l2" else \
                    g.absolute(Tensor([len(base)], g.refs(n))).items
                upper = total(((v, -1) for v in items), bound), strict
            parts.append(upper if key in ("below", "at_most") else negate(upper))
        need(parts, "no bound is given")
        return every(parts)

    def cosine(self, t: dict[str, Any]) -> Formula:
        c, base, g = exact(t["at_least"]), self.value(self.components), self.graph
        length, dot = sum(v * v for v in base), total(zip(self.components, base, strict=True))
        need(t["similarity"] == "cosine" and abs(c) <= 1 and length, "a wrong similarity")
        if c == 0:
            return dot, False
        n, d = g.rows(self.components), g.rows([dot])
        squares, product_ = g.refs(g.op("M", n, n)), g.refs(g.op("M", d, d))[0]
        gap = total([*((v, -c * c * length) for v in squares), (product_, 1)])
        found: Formula = [1, [(dot, False), negate((gap, True))]]
        return [2, [(dot, True), (gap, False)]] if c > 0 else found

    def top_k(self, t: dict[str, Any]) -> Formula:
        k, n, item = t["top_k"], len(self.chosen), self.components
        m = t.get("overlap_at_least", k)
        need(1 <= m <= k <= n, "a wrong top_k")
        order, inner = self.ranked(item, k, t.get("tie")), (n - k) - (k - m)
        rows = [[inner, [(total([(item[w], 1), (item[x], -1)]), True) for x in sorted(order[k:])]]
                for w in sorted(order[:k])]
        return [m, rows] if inner > 0 else [0, []]

    def order(self, t: dict[str, Any]) -> Formula:
        keys = t["order"] if t["order"] != "unchanged" else []
        items = [self.items[i] for k in keys for i in self.find(k)]
        if t["order"] == "unchanged":
            ranks = self.ranked(self.components, 1)
            need(len(set(self.value(self.components))) == len(ranks), "a tie at the reference")
            items = [self.components[i] for i in ranks]
        need(len(items) > 1 and len(items) in (len(t["order"]), len(self.chosen)), "a wrong order")
        return every([(total([(a, 1), (b, -1)]), True) for a, b in pairwise(items)])

    def mass(self, t: dict[str, Any]) -> Formula:
        inside, whole = set(self.select(t["mass"])), Tensor([len(self.chosen)], self.components)
        parts = self.components if self.nonnegative else self.graph.absolute(whole).items
        need(inside and inside <= set(self.chosen), "a wrong mask")
        mass = total((v, 1) for i, v in zip(self.chosen, parts, strict=True) if i in inside)
        full, found = total((v, 1) for v in parts), []
        for k, (s, strict) in LIMITS.items():
            need(k not in t or 0 <= exact(t[k]) <= 1, "a wrong share")
            found += [(total([(mass, s), (full, -s * exact(t[k]))]), strict)] if k in t else []
        need(found, "no bound is given")
        return every(found)

    def monotone(self, t: dict[str, Any]) -> Formula:
        sense = {"increasing": 1, "decreasing": -1}[t["monotone"]]
        items = [v for n in self.slopes(t.get("output", self.output)) for v in self.graph.refs(n)]
        return every([(total([(items[i], sense)]), False) for i in self.select(t["feature"])])


PROPERTIES: dict[str, tuple[str, Callable[[Claim, dict[str, Any]], Formula]]] = {
    "monotone": ("feature output", Claim.monotone), "class": ("tie", Claim.class_),
    "output": (" ".join(LIMITS), Claim.output_), "component": (" ".join(LIMITS), Claim.component),
    "sign": ("which threshold zero at_least", Claim.sign), "order": ("", Claim.order),
    "distance": ("relative " + " ".join(LIMITS), Claim.distance),
    "similarity": ("at_least", Claim.cosine), "mass": (" ".join(LIMITS), Claim.mass),
    "top_k": ("overlap_at_least tie", Claim.top_k),
}


class Query(Claim):
    """A VNN-LIB 1.0 file: the conjunction of its assertions is the broken claim."""

    def __init__(self, source: str, net: Network) -> None:
        self.adopt(net)
        outputs = [v for t in net.outputs.values() for v in self.graph.solid(t).items]
        self.values = {f"X_{i}": v for i, v in enumerate(self.flat)}
        self.values |= {f"Y_{i}": v for i, v in enumerate(outputs)}
        stack: list[list[Any]] = [[]]
        for token in re.findall(r"[()]|[^\s()]+", re.sub(r";.*", "", source)):
            if token == "(":
                stack.append([])
                need(len(stack) < 100, "the query is nested too deeply")
            else:
                done = stack.pop() if token == ")" else token
                stack[-1].append(done)
        need(len(stack) == 1 and all(s[0] in ("declare-const", "assert") for s in stack[0]),
             "unsupported query")
        found = every([self.assertion(s[1]) for s in stack[0] if s[0] == "assert"])
        self.broken, box = [2, [[0, []], found]], self.hull(found)
        need(all(None not in box.get(i, [None]) for i in range(self.size)), "an input is unbounded")
        self.lo, self.hi = ([box[i][k] for i in range(self.size)] for k in (0, 1))

    def term(self, e: Any) -> Form:
        if isinstance(e, str):
            return self.values[e] if e in self.values else ({}, exact(e))
        parts = [self.term(p) for p in e[1:]]
        if e[0] == "*":
            computed = [p for p in parts if p[0]]
            need(len(computed) <= 1, "a product of variables")
            return total([((*computed, ({}, ONE))[0], math.prod(p[1] for p in parts if not p[0]))])
        need(e[0] in ("+", "-") and parts, f"unsupported term {e[0]!r:.20}")
        rest = 1 if e[0] == "+" else -1
        return total((p, rest if k or len(parts) == 1 else 1) for k, p in enumerate(parts))

    def assertion(self, e: Any) -> Formula:
        if e[0] in ("and", "or"):
            return [len(e) - 1 if e[0] == "and" else 1, [self.assertion(p) for p in e[1:]]]
        a, b = map(self.term, e[1:])
        signs = {"<=": [1], "<": [1], ">=": [-1], ">": [-1], "=": [1, -1]}[e[0]]
        return every([(total([(b, s), (a, -s)]), e[0] in "<>") for s in signs])

    def hull(self, f: Formula) -> dict[int, list[Any]]:
        """input -> [lower, upper] bound that follows from a formula, None where there is none."""
        if not isinstance(f, list):
            (refs, const), out = f[0], {}
            for ref, c in refs.items() if len(refs) == 1 else ():
                at = -const * c**-1
                out = {i: [at, None] if c > 0 else [None, at]
                       for i, v in enumerate(self.flat) if ref in v[0]}
            return out
        parts, ends = [self.hull(p) for p in f[1]], [None, None]
        join = f[0] == len(parts)  # all parts: intersect; else the hull of those that may hold
        keys = set().union(*parts) if join else set(parts[0]).intersection(*parts[1:])
        out = {}
        for i in keys:
            columns = list(zip(*(p.get(i, ends) for p in parts), strict=True))
            known = [[v for v in c if v is not None] for c in columns]
            picks = (max, min) if join else (min, max)
            out[i] = [pick(k) if k and (join or len(k) == len(c)) else None
                      for pick, k, c in zip(picks, known, columns, strict=True)]
        return out


# --- bounds: the interval pass and linear bounds, in scaled integers ------------------------------


class Scale:
    """Bounds are multiples of 1 / unit, unit = odd << bits. `shut`: gates on kinks are 0."""

    def __init__(self, graph: Graph, odd: int, bits: int, shut: bool = False) -> None:
        self.graph, self.odd, self.bits, self.unit, self.shut = graph, odd, bits, odd << bits, shut
        self.biases: dict[int, Box] = {}

    def bias(self, n: int) -> Box:
        if n not in self.biases:
            scaled = [b * self.unit for b in self.graph.data[n][2]]
            self.biases[n] = list(map(math.floor, scaled)), list(map(math.ceil, scaled))
        return self.biases[n]

    def integral(self, form: Form, factor: Fraction) -> tuple[list[Any], int]:
        """factor * form: [(node, element, coefficient rounded down, did it round)], constant."""
        scaled = [(n, i, c * factor * (1 << F)) for (n, i), c in form[0].items()]
        terms = [(n, i, math.floor(v), v.denominator > 1) for n, i, v in scaled]
        return terms, math.floor(form[1] * factor * (self.unit << F))


def exactly(
    graph: Graph, forms: Sequence[Form], x: Sequence[Fraction], shut: bool
) -> list[Fraction]:
    """Values at a point, in units so fine that nothing rounds; Bad where a kink's gate matters."""
    nodes = {n for refs, _ in forms for m in refs for n in graph.cones[m[0]]}
    steps = [graph.data[n] for n in nodes if graph.kind[n] == "A"]
    unit = math.lcm(*(v.denominator for v in x), *(b.denominator for s in steps for b in s[2]))
    products = any(graph.kind[n] == "M" for n in nodes)
    unit = (unit * math.prod(s[1] for s in steps)) ** (4 if products else 1)
    point = [int(v * unit) for v in x]
    d = Domain(Scale(graph, unit, 0, shut), (point, point))
    need(all(d.get(n)[0][i] == d.get(n)[1][i] for refs, _ in forms for n, i in refs),
         "a value depends on the gate of a kink")
    sums = [sum((c * d.get(n)[0][i] for (n, i), c in refs.items()), ZERO) for refs, _ in forms]
    return [v * Fraction(1, unit) + const for v, (_, const) in zip(sums, forms, strict=True)]


class Domain:
    """A part of the region: an input box and signs of units; nodes are bounded on demand."""

    def __init__(self, scale: Scale, box: Box, parent: Domain | None = None) -> None:
        self.scale, self.graph, self.box, self.parent = scale, scale.graph, box, parent
        self.changed: set[int] = set()
        self.cache: dict[int, Box] = {}
        self.facts: list[tuple[int, int, int, int]] = []  # (node, element, sign, bound)
        self.pending: list[dict[str, Any]] = []
        self.dead: set[int] = set()
        self.empty, self.spent = False, 0
        self.signs: dict[int, dict[int, int]] = parent.signs if parent else {}
        self.units: tuple[tuple[int, int, int], ...] = parent.units if parent else ()

    def chain(self) -> Iterator[Domain]:
        d: Domain | None = self
        while d is not None:
            yield d
            d = d.parent

    def split(self, z: int, i: int, sign: int) -> Domain:
        child = Domain(self.scale, self.box, self)
        child.signs = {**self.signs, z: {**self.signs.get(z, {}), i: sign}}
        child.units, child.changed = (*self.units, (z, i, sign)), self.graph.above(z)
        return child

    def cut(self, n: int, i: int, at: Fraction, sign: int) -> Domain:
        """x_i >= at, or <= at: flat input i belongs to input node n."""
        low, high = map(list, self.box)
        low[i] = max(low[i], math.floor(at * self.scale.unit)) if sign > 0 else low[i]
        high[i] = min(high[i], math.ceil(at * self.scale.unit)) if sign < 0 else high[i]
        child = Domain(self.scale, (low, high), self)
        child.changed = self.graph.above(n)
        return child

    def home(self, n: int) -> Domain:
        """The topmost domain with the same bounds of n."""
        d = self
        while d.parent is not None and n not in d.changed:
            d = d.parent
        return d

    def get(self, n: int) -> Box:
        """Bounds of a node; raises Empty where they contradict each other."""
        d = self.home(n)
        if n not in d.cache:
            for m in sorted(self.graph.cones[n]):
                h = self.home(m)
                if m not in h.cache:
                    h.cache[m] = h.refined(m, *h.compute(m))
        return d.cache[n]

    def refined(self, n: int, lo: list[int], hi: list[int]) -> Box:
        """Bounds cut by the facts and signs of this domain."""
        facts = [f for d in self.chain() for f in d.facts if f[0] == n]
        facts += [(n, i, s, 0) for i, s in self.signs.get(n, {}).items()]
        lo, hi = (list(lo), list(hi)) if facts else (lo, hi)
        for _, i, sign, bound in facts:
            lo[i] = max(lo[i], bound) if sign > 0 else lo[i]
            hi[i] = min(hi[i], -bound) if sign < 0 else hi[i]
        if any(map(gt, lo, hi)):
            self.empty = True
            raise Empty
        return lo, hi

    def compute(self, n: int) -> Box:
        """Bounds of a node from those of its arguments."""
        g, unit, args = self.graph, self.scale.unit, self.graph.args[n]
        boxes = [self.home(a).cache[a] for a in args]
        if g.kind[n] == "I":
            part = slice(g.data[n], g.data[n] + g.size[n])
            return self.box[0][part], self.box[1][part]
        if g.kind[n] == "A":
            parts, den, _ = g.data[n]
            mid, rad = [0] * g.size[n], [0] * g.size[n]  # twice centre and radius, times den
            for (_, m), (lo, hi) in zip(parts, boxes, strict=True):
                f, both, gap = den // m.den, list(map(add, lo, hi)), list(map(sub, hi, lo))
                mid = [a + f * b for a, b in zip(mid, apply(m.rows, both), strict=True)]
                rad = [a + f * b for a, b in zip(rad, apply(m.sizes, gap), strict=True)]
            low, high = self.scale.bias(n)
            return ([b + (c - r) // (2 * den) for b, c, r in zip(low, mid, rad, strict=True)],
                    [b - (-c - r) // (2 * den) for b, c, r in zip(high, mid, rad, strict=True)])
        (lo, hi), (low, high) = boxes[0], boxes[-1]
        if g.kind[n] == "R":
            return [max(v, 0) for v in lo], [max(v, 0) for v in hi]
        if g.kind[n] == "S":
            signs, least = self.signs.get(args[0], {}), 1 if self.scale.shut else 0
            return ([unit * (v > 0 or signs.get(i, 0) > 0) for i, v in enumerate(lo)],
                    [unit * (v >= least and signs.get(i, 0) >= 0) for i, v in enumerate(hi)])
        if g.kind[n] == "G":
            return ([v if on else min(v, 0) if open_ else 0 for on, v, open_ in zip(lo, low, hi)],
                    [v if on else max(v, 0) if open_ else 0 for on, v, open_ in zip(lo, high, hi)])
        ends = [sorted((a * c, a * d, b * c, b * d)) for a, b, c, d in zip(lo, hi, low, high)]
        floors = [max(0, e[0]) if args[0] == args[1] else e[0] for e in ends]
        return [v // unit for v in floors], [-(-e[-1] // unit) for e in ends]

    def begin(self, terms: Sequence[Any], const: int) -> tuple[dict[int, list[int]], int]:
        """Coefficients by node of an integral form, and its constant less what rounding costs."""
        coefs: dict[int, list[int]] = {}
        for n, i, c, rounded in terms:
            coefs.setdefault(n, [0] * self.graph.size[n])[i] += c
            const += min(0, self.get(n)[0][i]) if rounded else 0
        return coefs, const

    def least(self, terms: Sequence[Any], const: int) -> int:
        """A lower bound of an integral form by the interval pass."""
        for n, i, c, rounded in terms:
            lo, hi = self.get(n)
            const += c * (lo[i] if c > 0 else hi[i]) + (min(0, lo[i]) if rounded else 0)
        return const

    def lower(self, terms: Sequence[Any], const: int, param: dict[tuple[str, int], bytes],
              relu_of: dict[int, int]) -> int:
        """A lower bound by backward substitution, in 2^-F / unit; any multipliers are sound."""
        coefs, const = self.begin(terms, const)
        while coefs:
            n = max(coefs)
            c, self.spent = coefs.pop(n), 0
            live = [i for i, v in enumerate(c) if v]
            for m, values in self.passed(n, c, live, param, relu_of):
                coefs[m] = list(map(add, coefs[m], values)) if m in coefs else values
            const += self.spent
        return const

    def passed(self, n: int, c: list[int], live: list[int], param: dict[tuple[str, int], bytes],
               relu_of: dict[int, int]) -> Iterator[tuple[int, list[int]]]:
        """What a plane below c * node passes on to its arguments; `spent` takes its constant."""
        g, (unit, odd, bits) = self.graph, (self.scale.unit, self.scale.odd, self.scale.bits)
        kind, args, back, other = g.kind[n], g.args[n], [0] * len(c), [0] * len(c)

        def fraction(key: str, i: int, default: int) -> int:
            found = param.get((key, n), param.get(({"H": "G", "N": "M"}.get(key, key), n)))
            return default if found is None else found[i] if i < len(found) else 0

        def divided(value: int, by: int, least: int) -> int:
            # Sound: v x >= floor(v) x + min(0, x's lower bound), the remainder being in [0, 1).
            self.spent += min(0, least) if value % by else 0
            return value // by

        if kind in "IA":
            lo, hi = self.get(n) if kind == "I" else self.scale.bias(n)
            self.spent += sum(c[i] * (lo[i] if c[i] > 0 else hi[i]) for i in live)
            for a, m in g.data[n][0] if kind == "A" else ():
                lo, hi = self.get(a)
                found = apply(g.transpose(m).rows, c, (lo, hi))
                yield a, [divided(v, m.den, b) for v, b in zip(found, lo, strict=True)]
            return
        (lo, hi), (low, high) = self.get(args[0]), self.get(args[-1])
        off, on = self.get(n)
        for i in live:
            v, a, b = c[i], lo[i], hi[i]
            if kind == "R" and a < 0 < b and v < 0:
                # Sound: above the chord's ends, a plane is above the convex R between them.
                k = -v * b // (b - a)
                back[i] = -k
                self.spent -= max(-k * a, (-v - k) * b)
            elif kind == "R" and b > 0:
                back[i] = v if a >= 0 else v * fraction("R", i, 128 * (b > -a)) >> 7
            elif kind == "S":
                self.spent += v * unit if off[i] or (on[i] and v < 0) else 0
                if not off[i] and on[i] and (b > 0 if v > 0 else a < 0):
                    # Sound: rounding a tie down weakens it, since y >= 0 and y >= z.
                    k = abs(v) * fraction("S", i, 0) * unit // (128 * (b if v > 0 else -a))
                    tied = relu_of.get(args[0], n) < n
                    other[i] = k if tied else 0
                    back[i] = -k if v < 0 else 0 if tied else k
            elif kind == "G" and a:
                other[i] = v
            elif kind == "G" and b:
                near, far = low[i] // odd, -(-high[i] // odd)
                near, far = (near, far) if v > 0 else (far, near)
                chord = 128 * abs(far) // abs(far - near) if far != near else 128
                chord = min(128, chord) if far == near or (far > 0) == (v > 0) else 0
                rest = v * (128 - fraction("G" if v > 0 else "H", i, chord)) // 128
                other[i], back[i] = rest, (v - rest) * near + rest * far >> bits
                self.spent -= rest * far * odd
            elif kind == "M" and args[0] == args[1]:
                p, q, mix = a // odd, -(-b // odd), fraction("M", i, 64)
                t = (p * (128 - mix) + q * mix) // 128
                slope, cross = (2 * t, t * t) if v > 0 else (p + q, p * q)
                back[i] = divided(v * slope, 1 << bits, a)
                self.spent += -v * cross * odd >> bits
            elif kind == "M" and (a == b or low[i] == high[i]):
                other[i] = divided(v * a, unit, low[i]) if a == b else 0
                back[i] = 0 if a == b else divided(v * low[i], unit, a)
            elif kind == "M":
                p, q, r, s = a // odd, -(-b // odd), low[i] // odd, -(-high[i] // odd)
                first = v * fraction("M" if v > 0 else "N", i, 64) // 128
                p, q = (p, q) if v > 0 else (q, p)
                other[i] = divided(first * p + (v - first) * q, 1 << bits, low[i])
                back[i] = divided(first * r + (v - first) * s, 1 << bits, a)
                self.spent += -(first * p * r + (v - first) * q * s) * odd >> bits
        yield args[0], back
        if kind == "S":
            yield relu_of.get(args[0], args[0]), other
        elif len(args) > 1 and args[0] != args[1]:
            yield args[1], other


# --- the certificate ------------------------------------------------------------------------------

LINES = {"f": "fpzr", "b": "bpzr", "s": "s", "x": "x", "l": "l", "t": "t"}


def refuse(token: str) -> Any:
    raise Bad(f"the number {token:.20} is not whole")


def stream(path: str) -> Iterator[dict[str, Any]]:
    """The lines of a certificate, one at a time."""
    with open(path, "rb") as raw:
        zipped = raw.read(2) == b"\x1f\x8b"
        raw.seek(0)
        source: Any = gzip.GzipFile(fileobj=raw) if zipped else raw
        while line := source.readline(MAX_LINE + 1):
            need(len(line) <= MAX_LINE, "a line is too long")
            found = json.loads(line, parse_float=refuse, parse_constant=refuse)
            need(isinstance(found, dict), "a line is no JSON object")
            yield found


def alive(f: Any, atom: Callable[[int], bool]) -> bool:
    """Whether a numbered formula can be true when just these atoms can."""
    return atom(f) if isinstance(f, int) else sum(alive(p, atom) for p in f[1]) >= f[0]


class Checker:
    """Checks the lines of one certificate against one claim; `share`: which of how many workers."""

    def __init__(self, claim: Claim, share: tuple[int, int]) -> None:
        self.graph: Graph = claim.graph
        g = self.graph
        self.claim, self.share, self.ready = claim, share, dict[int, Any]()
        self.factors: dict[int, int] = {}  # what the form of an atom was multiplied by
        self.atoms: list[tuple[Form, bool]] = []
        self.broken = self.number(claim.broken)
        first: dict[Any, int] = {}
        self.same = [first.setdefault((tuple(sorted(f[0].items())), f[1], strict), k)
                     for k, (f, strict) in enumerate(self.atoms)]
        self.order = sorted({m for f, _ in self.atoms for n, _ in f[0] for m in g.cones[n]})
        steps = {g.args[n][0] for n in self.order if g.kind[n] == "S"}
        self.relu_of = {z: y for z in steps if (y := g.index.get(("R", (z,), None), -1)) >= 0}
        nodes = sorted({*self.order, *self.relu_of.values()})
        self.named: dict[str, list[int]] = {k: [n for n in nodes if g.kind[n] == k] for k in "RSGM"}
        shifts = [b for n in nodes if g.kind[n] == "A" for b in g.data[n][2]]
        whole = math.lcm(*(v.denominator for v in chain(claim.lo, claim.hi, shifts)))
        odd = whole >> (whole & -whole).bit_length() - 1
        self.scale = Scale(g, odd if odd.bit_length() <= 40 else 1, E)
        ends = ([v * self.scale.unit for v in side] for side in (claim.lo, claim.hi))
        low, high = (list(map(f, v)) for f, v in zip((math.floor, math.ceil), ends, strict=True))
        self.root = Domain(self.scale, (low, high))

    def number(self, f: Formula) -> Any:
        """The formula with its atoms numbered from left to right."""
        if isinstance(f, list):
            return f[0], [self.number(p) for p in f[1]]
        self.atoms.append(f)
        return len(self.atoms) - 1

    def run(self, head: dict[str, Any], lines: Iterator[dict[str, Any]]) -> str:
        table(head, "vxc network spec nodes atoms witness note")
        sizes = {k: [self.graph.size[n] for n in v] for k, v in self.named.items()}
        need(head.get("nodes", sizes) == sizes, f"header: nodes: the claim has {json.dumps(sizes)}")
        count = len(self.atoms)
        need(head.get("atoms", count) == count, f"header: the claim has {count} atoms")
        if "witness" in head:
            need(next(lines, None) is None, "lines after a witness")
            self.witness([exact(v) for v in head["witness"]])
            return "valid (refutation)"
        assume, goal = self.broken[1]
        parts = goal[1] if isinstance(goal, tuple) and goal[0] == 1 else [goal]
        open_, left = set(range(len(parts))), -1
        for line in lines:
            if left < 0 and (self.fits(line, "f") or self.fits(line, "b")):
                self.root.pending.append(line)
            elif self.fits(line, "t"):
                need(set(line["t"]) <= set(range(len(parts))), "no such part of the claim")
                part = (2, [assume, (1, [parts[j] for j in line["t"]])])
                left, open_ = max(left, 0) + self.tree(lines, part), open_ - set(line["t"])
            else:
                need(left < 0, "a line after the end")
                left, open_ = self.tree(chain([line], lines), self.broken), set()
        if left or open_:
            raise Short(f"{left} leaves are open" if left > 0 else "a part has no tree")
        return "valid"

    def fits(self, line: dict[str, Any], kind: str) -> bool:
        return kind in line and line.keys() <= set(LINES[kind])

    def witness(self, x: list[Fraction]) -> None:
        """Whether a point lies in the region and off every kink, and breaks the claim."""
        claim, g = self.claim, self.graph
        need(len(x) == claim.size, "witness: another length")
        inside = all(a <= v <= b for a, v, b in zip(claim.lo, x, claim.hi, strict=True))
        inside &= all(x[i].denominator == 1 for i in claim.integers)
        inside &= all(sum(x[i] for i in group) == 1 for group in claim.groups)
        for kind, free, radius in claim.balls:
            gaps = [abs(x[i] - claim.x0[i]) for i in free]
            inside &= sum(gaps) <= radius if kind == "l1" else sum(v * v for v in gaps) <= radius**2
        inside &= all(v <= 0 for v in exactly(g, claim.cuts, x, False))
        need(inside, "witness: outside the region")
        units = [v for n in self.named["S"] for v in g.refs(g.args[n][0])]
        need(all(exactly(g, units, x, True)), "witness: on a kink")
        values = exactly(g, [form for form, _ in self.atoms], x, False)
        holds = [v > 0 or (v == 0 and not s) for v, (_, s) in zip(values, self.atoms, strict=True)]
        need(alive(self.broken, holds.__getitem__), "witness: the claim holds there")

    def tree(self, lines: Iterable[dict[str, Any]], f: Any) -> int:
        """Read one tree to its end; the number of leaves marked open."""
        todo: list[Callable[[], Domain]] = []
        leaves = left = 0
        d = Domain(self.scale, self.root.box, self.root)
        for line in lines:
            kind = next((k for k in "fbsxl" if self.fits(line, k)), "")
            need(kind and len(todo) < 10_000, f"a line with keys {list(line)!r:.60}")
            if kind in "fb":
                d.pending.append(line)
                continue
            if kind == "l":
                need(line["l"] in (0, 1), "an unknown leaf")
                mine = (leaves >> 4) % self.share[1] == self.share[0]
                fine = not line["l"] or not mine or self.closed(d, f)
                need(fine, f"leaf {leaves} does not close")
                leaves, left = leaves + 1, left + int(line["l"] == 0)
                if not todo:
                    return left
                d = todo.pop()()
                continue
            if kind == "s":
                k, n, i = line["s"]
                need(k in ("R", "S"), f"no unit {k!r:.20}")
                make: Any = partial(d.split, self.argument(k, n, 0, i), i)
            else:
                i, at = line["x"][0], exact(line["x"][1])
                need(isinstance(i, int) and 0 <= i < self.claim.size, f"no input {i!r:.20}")
                make = partial(d.cut, next(iter(self.claim.flat[i][0]))[0], i, at)
            todo.append(partial(make, -1))
            d = make(1)
        raise Short(f"the file ends with {len(todo) + 1} nodes to come")

    def closed(self, d: Domain, f: Any) -> bool:
        """Whether the formula is false on the whole domain."""
        dead: set[int] = set()
        try:
            for h in reversed(list(d.chain())):
                if h.empty:
                    return True
                self.settle(h)
                dead |= h.dead
            if not alive(f, lambda k: self.same[k] not in dead):
                return True
            for n in {*self.order, *(z for z, _, _ in d.units)}:
                d.get(n)
            dead |= {k for k in set(self.same) - dead if self.beats(k, d.least(*self.negated(k)))}
        except Empty:
            return True
        return not alive(f, lambda k: self.same[k] not in dead)

    def beats(self, k: int, low: int) -> bool:
        """Whether a lower bound of minus its form makes atom k false."""
        return low > 0 or (low == 0 and self.atoms[k][1])

    def negated(self, k: int) -> tuple[list[Any], int]:
        """The integral form of minus atom k; of 0 for k = -1."""
        if k not in self.ready:
            form: Form = total([(self.atoms[k][0], -1)]) if k >= 0 else ({}, ZERO)
            factor = math.lcm(*(c.denominator for c in form[0].values()))
            self.factors[k] = factor if factor < 1 << 64 else 1
            self.ready[k] = self.scale.integral(form, Fraction(self.factors[k]))
        return self.ready[k]  # type: ignore[no-any-return]

    def settle(self, d: Domain) -> None:
        """Derive the facts and bounds attached to a domain."""
        pending, d.pending = d.pending, []
        for line in pending:
            if "b" in line:
                k = line["b"]
                need(isinstance(k, int) and -1 <= k < len(self.atoms), f"no atom {k!r:.20}")
                low = self.bound(d, *self.negated(k), line, self.factors[k])
                if k < 0 < low:
                    d.empty = True
                    raise Empty
                d.dead |= {self.same[k]} if k >= 0 and self.beats(k, low) else set()
            else:
                kind, n, a, i, sign = line["f"]
                need(sign in (1, -1), "a fact's sign")
                z = self.argument(kind, n, a, i)
                low = self.bound(d, [(z, i, sign << F, False)], 0, line)
                d.facts.append((z, i, sign, low >> F))
                above = self.graph.above(z)
                d.changed |= above
                d.cache = {m: box for m, box in d.cache.items() if m not in above}

    def node(self, kind: Any, n: Any) -> int:
        need(kind in ("R", "S", "G", "M") and isinstance(n, int) and 0 <= n < len(self.named[kind]),
             f"no node {kind!r:.20} {n!r:.20}")
        found: int = self.named[kind][n]
        return found

    def argument(self, kind: Any, n: Any, a: Any, i: Any) -> int:
        """The node that is argument a of a named node and has an element i."""
        args = self.graph.args[self.node(kind, n)]
        need(isinstance(a, int) and isinstance(i, int) and 0 <= a < len(args)
             and 0 <= i < self.graph.size[args[a]], f"no element {i!r:.20} of {kind}{n}")
        found: int = args[a]
        return found

    def bound(
        self, d: Domain, terms: list[Any], const: int, line: dict[str, Any], factor: int = 1
    ) -> int:
        """A lower bound of `factor` times a form on a domain, with the multipliers of a line."""
        param: dict[tuple[str, int], bytes] = {}
        for key, value in line.get("p", {}).items():
            need(re.fullmatch(r"[RSGHMN]\d{1,9}", key), f"unknown multipliers {key:.20}")
            n = self.node({"H": "G", "N": "M"}.get(key[0], key[0]), int(key[1:]))
            found = binascii.a2b_base64(value, strict_mode=True) if value else b""
            need(len(found) <= self.graph.size[n] and max(found, default=0) <= 128,
                 f"multipliers {key} out of range")
            param[key[0], n] = found
        terms = list(terms)
        for key, known in (("z", d.units), ("r", self.claim.cuts)):
            for j, m, e in line.get(key, ()):
                need(all(isinstance(v, int) for v in (j, m, e)) and 0 <= j < len(known)
                     and 0 <= m < 1 << 4096 and abs(e) <= 4096, "a multiplier out of range")
                value = m * factor * Fraction(2) ** e
                if key == "z":
                    z, i, sign = d.units[j]
                    terms.append((z, i, -sign * math.floor(value * (1 << F)), False))
                else:
                    more, extra = self.scale.integral(self.claim.cuts[j], value)
                    terms, const = terms + more, const + extra
        return d.lower(terms, const, param, self.relu_of)


def check(files: Sequence[str], share: tuple[int, int] = (0, 1)) -> tuple[int, str]:
    """(exit code, message) for a network, a spec and a certificate."""
    code = 65
    try:
        network, query = read(files[0]), read(files[1])
        lines, code = stream(files[2]), 1
        head = next(lines, {})
        need(head.get("vxc") == 1, "header: not a certificate of version 1")
        for key, data in (("network", network), ("spec", query)):
            digest = hashlib.sha256(data).hexdigest()
            need(head.get(key) == digest, f"header: {key}: the hash of another file")
        code = 65
        net, spec = Network(unzipped(network)), unzipped(query).decode()
        claim = Query(spec, net) if re.search(r"\.vnnlib(\.gz)?$", files[1]) else Claim(
            tomllib.loads(spec, parse_float=exact), os.path.dirname(files[1]), net)
        code = 1
        return 0, Checker(claim, share).run(head, lines)
    except Short as error:
        return 2, f"incomplete: {error}"
    except Bad as error:
        return code, f"invalid: {error}"
    except OSError as error:
        return 65, f"invalid: {error.filename or 'a file'}: {error.strerror or error}"
    except Exception as error:  # whatever untrusted bytes bring about is one line, no traceback
        return code, f"invalid: malformed ({type(error).__name__}: {error})"


def main(args: list[str]) -> int:
    jobs = 1
    if "--jobs" in args[:-1] and args[args.index("--jobs") + 1].isdecimal():
        at = args.index("--jobs")
        jobs, args = int(args[at + 1]), args[:at] + args[at + 2 :]
    if len(args) != 3 or not 1 <= jobs <= 64:
        print("usage: checker.py NETWORK SPEC CERTIFICATE [--jobs N]", file=sys.stderr)
        return 64
    if jobs == 1:
        results = [check(args)]
    else:
        try:
            with ProcessPoolExecutor(jobs) as pool:
                results = list(pool.map(check, [args] * jobs, [(k, jobs) for k in range(jobs)]))
        except Exception as error:
            results = [(1, f"invalid: a worker died ({error})")]
    code, word = max(results, key=lambda r: (0, 2, 1, 65).index(r[0]))
    print(" ".join(word.encode("ascii", "replace").decode().split())[:500])
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
