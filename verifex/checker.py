"""Checks certificates alone: standard library only, exact integers only, nothing of verifex.

    python -I -S checker.py net.onnx spec.toml proof.vxc [--jobs N]

Prints `valid`, `invalid: WHERE` or `incomplete: WHAT`; exit codes 0, 1, 2 (65: unreadable input).
certificate/format.md is the normative text. Below: ONNX file, graph, operators, claim, bounds, tree.
"""

from __future__ import annotations

import ast
import binascii
import csv
import fnmatch
import gzip
import hashlib
import json
import math
import os
import re
import sys
import tomllib
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from decimal import Decimal
from fractions import Fraction
from functools import partial, reduce
from itertools import chain, islice, pairwise, product
from operator import add, gt, itemgetter, lt, mul
from typing import Any

MAX_FILE, MAX_LINE, MAX_SIZE, MAX_TERMS = 1 << 29, 1 << 26, 1 << 22, 1 << 25
F, E = 64, 52  # coefficients are multiples of 2^-F, bounds of 1 / (Q 2^E) with a short odd Q
ZERO, ONE = Fraction(0), Fraction(1)
Message = dict[int, list[Any]]
Form = tuple[dict[tuple[int, int], Fraction], Fraction]  # (node, element) -> coefficient; constant
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


# --- ONNX: the protobuf wire format ---------------------------------------------------------------


def varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        byte, at = data[at], at + 1
        value |= (byte & 127) << shift
        if byte < 128:
            break
    return value & (1 << 64) - 1, at


def message(data: bytes) -> Message:
    """Field number -> values: integers, or bytes for everything else."""
    out: Message = {}
    at = 0
    while at < len(data):
        key, at = varint(data, at)
        if key & 7:
            size, at = varint(data, at) if key & 7 == 2 else ({1: 8, 5: 4}[key & 7], at)
            out.setdefault(key >> 3, []).append(data[at : at + size])
            at += size
        else:
            value, at = varint(data, at)
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
    top, low = (1 << exponent_bits) - 1, 2 - (1 << exponent_bits - 1) - bits
    out = []
    for at in range(0, len(raw), size):
        word = int.from_bytes(raw[at : at + size], "little")
        e, m = word >> bits & top, word & (1 << bits) - 1
        need(e < top, "the network holds a NaN or an infinity")
        m, e = (m + (1 << bits), e + low - 1) if e else (m, low)
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
    kind, count = one(t, 2, 0), math.prod(integers(t.get(1, ())))
    need(not t.keys() & {3, 13} and not one(t, 14, 0), "a tensor stored outside the file")
    size = {1: 4, 6: 4, 7: 8, 9: 1, 11: 8}.get(kind, 0)
    need(size and 0 <= count <= MAX_SIZE, f"unsupported tensor of type {kind}")
    raw = one(t, 9, b"") or b"".join(t.get({1: 4, 11: 10}.get(kind, 0), ()))
    need(not raw or len(raw) == count * size, "a tensor of another size")
    values: Iterable[Any] = reals(raw, size) if kind in (1, 11) else [
        int.from_bytes(raw[k : k + size], "little", signed=kind != 9) for k in range(0, len(raw), size)
    ] or integers(t.get(7 if kind == 7 else 5, ()))
    return Tensor(integers(t.get(1, ())), [({}, Fraction(v)) for v in values])


# --- tensors of linear forms, and the graph -------------------------------------------------------


def total(terms: Iterable[tuple[Form, Any]], const: Fraction = ZERO) -> Form:
    """sum of factor * form + const."""
    out: dict[tuple[int, int], Fraction] = {}
    for (refs, c), f in terms:
        if f and c:
            const += c * f
        if f:
            for r, v in refs.items():
                out[r] = out[r] + v * f if r in out else v * f
    return {r: v for r, v in out.items() if v}, const


class Tensor:
    """A shape and, in C order, its elements as linear forms of graph values."""

    def __init__(self, shape: Iterable[int], items: list[Form]) -> None:
        self.shape, self.items = tuple(shape), items
        need(min((0, *self.shape)) == 0 and math.prod(self.shape) == len(items), "a wrong shape")

    def consts(self) -> list[Fraction]:
        need(not any(refs for refs, _ in self.items), "a constant is needed")
        return [c for _, c in self.items]

    def ints(self) -> list[int]:
        need(all(c.denominator == 1 for c in self.consts()), "whole numbers are needed")
        return [int(c) for c in self.consts()]

    def pick(self, shape: Sequence[int], strides: Sequence[int], start: int = 0) -> Tensor:
        """The view with these strides."""
        need(math.prod(shape) <= MAX_SIZE, "a tensor is too big")
        at = [start]
        for size, stride in zip(shape, strides, strict=True):
            at = [p + k * stride for p in at for k in range(size)]
        return Tensor(shape, [self.items[p] for p in at])

    def strides(self) -> list[int]:
        return [math.prod(self.shape[k + 1 :]) for k in range(len(self.shape))]

    def along(self, axis: int, positions: Sequence[int], fill: Fraction = ZERO) -> Tensor:
        """The slices at these positions of an axis; `fill` at -1."""
        need(all(-1 <= k < self.shape[axis] for k in positions), "an index is out of range")
        inner, n = math.prod(self.shape[axis + 1 :]), self.shape[axis]
        need(len(self.items) * len(positions) <= MAX_TERMS * max(n, 1), "a tensor is too big")
        items: list[Form] = []
        for o in range(math.prod(self.shape[:axis])):
            for k in positions:
                at = (o * n + k) * inner
                items += self.items[at : at + inner] if k >= 0 else [({}, fill)] * inner
        return Tensor((*self.shape[:axis], len(positions), *self.shape[axis + 1 :]), items)

    def expand(self, shape: Sequence[int]) -> Tensor:
        own = (1,) * (len(shape) - len(self.shape)) + self.shape
        need(all(a in (1, b) for a, b in zip(own, shape, strict=True)), "shapes do not fit")
        strides = Tensor(own, self.items).strides()
        return self.pick(shape, [s * (a == b) for s, a, b in zip(strides, own, shape, strict=True)])


def broadcast(*shapes: tuple[int, ...]) -> tuple[int, ...]:
    padded = [(1,) * (max(map(len, shapes)) - len(s)) + s for s in shapes]
    return tuple(next((d for d in dims if d != 1), 1) for dims in zip(*padded, strict=True))


class Matrix:
    """y[k] = sum(w * x[j] for j, w in row k) / den; a row is (positions or None for all, weights)."""

    def __init__(self, rows: tuple[Any, ...], den: int, width: int) -> None:
        self.rows, self.den, self.width = rows, den, width
        self.sizes = [(at, tuple(map(abs, w))) for at, w in rows]
        self.transposed: Matrix | None = None


def apply(rows: Sequence[Any], x: list[int], skip: Box | None = None) -> list[int]:
    """The products of rows with x; 0 for rows whose `skip` box is [0, 0]."""
    some = [j for j, v in enumerate(x) if v]
    if not some:
        return [0] * len(rows)
    few = 1 < len(some) < len(x) * 3 // 4
    pick, short = (itemgetter(*some), [x[j] for j in some]) if few else (tuple, x)
    out, fetch = [], x.__getitem__
    for k, (at, weights) in enumerate(rows):
        if skip is not None and not (skip[0][k] or skip[1][k]):
            out.append(0)
        elif at is not None:
            out.append(sum(map(mul, weights, map(fetch, at))))
        else:
            out.append(sum(map(mul, pick(weights), short)))
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
        self.cones: dict[int, list[int]] = {}
        self.aboves: dict[int, tuple[int, set[int]]] = {}

    def node(self, kind: str, args: tuple[int, ...], size: int, data: Any = None, key: Any = None) -> int:
        if (kind, args, key) not in self.index:
            need(sum(self.size) + size <= MAX_SIZE, "the network has too many values")
            self.index[kind, args, key] = len(self.kind)
            self.kind.append(kind)
            self.args.append(args)
            self.size.append(size)
            self.data.append(data)
        return self.index[kind, args, key]

    def op(self, kind: str, *args: int) -> int:
        return self.node(kind, args, self.size[args[-1]])

    def refs(self, n: int) -> list[Form]:
        return [({(n, i): ONE}, ZERO) for i in range(self.size[n])]

    def matrix(self, rows: Iterable[Any], den: int, width: int) -> Matrix:
        """Rows as (rising positions, weights); equal matrices are one."""
        key = (tuple((None if len(at) == width > 1 else tuple(at), tuple(w)) for at, w in rows), den, width)
        return self.matrices.setdefault(key, Matrix(*key))

    def identity(self, n: int) -> Matrix:
        return self.matrix((((i,), (1,)) for i in range(self.size[n])), 1, self.size[n])

    def transpose(self, m: Matrix) -> Matrix:
        if m.transposed is None:
            columns: list[tuple[list[int], list[int]]] = [([], []) for _ in range(m.width)]
            for k, (at, weights) in enumerate(m.rows):
                for j, w in zip(range(m.width) if at is None else at, weights, strict=True):
                    columns[j][0].append(k)
                    columns[j][1].append(w)
            m.transposed = self.matrix(columns, m.den, len(m.rows))
            m.transposed.transposed = m
        return m.transposed

    def affine(self, parts: Sequence[tuple[int, Matrix]], bias: Sequence[Fraction]) -> int:
        """sum of matrix * argument + bias; data is (parts, their common denominator, bias)."""
        if len(parts) == 1 and not any(bias) and parts[0][1] is self.identity(parts[0][0]):
            return parts[0][0]
        key = (tuple(id(m) for _, m in parts), tuple(bias))
        data = (parts, math.lcm(*(m.den for _, m in parts)), bias)
        return self.node("A", tuple(a for a, _ in parts), len(bias), data, key)

    def rows(self, forms: Sequence[Form]) -> int:
        """The node whose elements are these linear forms."""
        by: dict[int, list[dict[int, Fraction]]] = {}
        for k, (refs, _) in enumerate(forms):
            for (n, i), c in refs.items():
                by.setdefault(n, [{} for _ in forms])[k][i] = c
        parts = []
        for n, table in sorted(by.items()):
            den = math.lcm(*(c.denominator for row in table for c in row.values()))
            rows = [sorted((i, c.numerator * (den // c.denominator)) for i, c in row.items())
                    for row in table]
            pairs = [([i for i, _ in r], [w for _, w in r]) for r in rows]
            parts.append((n, self.matrix(pairs, den, self.size[n])))
        return self.affine(parts, [c for _, c in forms])

    def solid(self, t: Tensor) -> Tensor:
        """The tensor as elements of one node, unless it is constant."""
        return Tensor(t.shape, self.refs(self.rows(t.items))) if any(r for r, _ in t.items) else t

    def combine(self, *terms: tuple[Tensor, Any]) -> Tensor:
        """sum of factor * tensor, shapes broadcast."""
        shape = broadcast(*(t.shape for t, _ in terms))
        columns = zip(*(t.expand(shape).items for t, _ in terms), strict=True)
        return Tensor(shape, [total(zip(c, (f for _, f in terms), strict=True)) for c in columns])

    def times(self, a: Tensor, b: Tensor) -> Tensor:
        a, b = (b, a) if any(r for r, _ in b.items) else (a, b)
        shape = broadcast(a.shape, b.shape)
        pairs = zip(a.expand(shape).items, b.expand(shape).consts(), strict=True)
        return Tensor(shape, [total([p]) for p in pairs])

    def relu(self, t: Tensor) -> Tensor:
        if not any(r for r, _ in t.items):
            return Tensor(t.shape, [({}, max(c, ZERO)) for _, c in t.items])
        return Tensor(t.shape, self.refs(self.op("R", self.rows(t.items))))

    def absolute(self, t: Tensor) -> Tensor:
        t = self.solid(t)
        return self.combine((self.relu(t), 2), (t, -1))

    def larger(self, a: Tensor, b: Tensor, sign: int = 1) -> Tensor:
        """The maximum; with sign -1 the minimum."""
        base = b if sign > 0 else a
        return self.combine((base, 1), (self.relu(self.combine((a, 1), (b, -1))), sign))

    def cone(self, n: int) -> list[int]:
        """A node and all it depends on, in order."""
        if n not in self.cones:
            self.cones[n] = sorted({n}.union(*(self.cone(a) for a in self.args[n])))
        return self.cones[n]

    def above(self, n: int) -> set[int]:
        """A node and all that depend on it."""
        if n not in self.aboves or self.aboves[n][0] != len(self.kind):
            self.aboves[n] = len(self.kind), {m for m in range(n, len(self.kind)) if n in self.cone(m)}
        return set(self.aboves[n][1])

    def gradient(self, output: int, inputs: Sequence[int]) -> list[int]:
        """Nodes d output / d input by reverse mode, for a node of one element."""
        above = {n for n in self.cone(output) if not set(inputs).isdisjoint(self.cone(n))}
        parts: dict[int, list[tuple[int, Matrix]]] = {}
        found: dict[int, int] = {}
        for n in sorted(above, reverse=True):
            g = found[n] = self.affine(parts.get(n, ()), [Fraction(n == output)] * self.size[n])
            args, out = self.args[n], []
            if self.kind[n] == "A":
                out = [(a, g, self.transpose(m)) for a, m in self.data[n][0]]
            elif self.kind[n] == "M":
                out = [(a, self.op("M", b, g), None) for a, b in (args, args[::-1])]
            elif self.kind[n] in "RG":
                gate = args[0] if self.kind[n] == "G" else self.op("S", args[0])
                out = [(args[-1], self.op("G", gate, g), None)]
            for a, v, m in out:
                if a in above:
                    parts.setdefault(a, []).append((v, m or self.identity(v)))
        return [found.get(x) or self.affine((), [ZERO] * self.size[x]) for x in inputs]


# --- ONNX operators -------------------------------------------------------------------------------


class Call:
    """One operator: its inputs, and attributes that are removed as they are read."""

    def __init__(self, graph: Graph, opset: int, inputs: list[Tensor | None], outputs: int) -> None:
        self.graph, self.opset, self.inputs, self.outputs = graph, opset, inputs, outputs
        self.attributes: dict[str, Any] = {}

    def has(self, k: int) -> bool:
        return k < len(self.inputs) and self.inputs[k] is not None

    def x(self, k: int = 0) -> Tensor:
        found = self.inputs[k] if self.has(k) else None
        if found is None:
            raise Bad("an operator's input is missing")
        return found

    def all(self) -> list[Tensor]:
        return [self.x(k) for k in range(len(self.inputs))]

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


def reshape(c: Call) -> Tensor:
    wanted, shape, keep = c.x(1).ints(), c.x().shape, c.opset >= 14 and c.attr("allowzero", 0)
    wanted = [shape[k] if d == 0 and not keep else d for k, d in enumerate(wanted)]
    known = math.prod(d for d in wanted if d != -1)
    return Tensor([math.prod(shape) // max(known, 1) if d == -1 else d for d in wanted], c.x().items)


def flatten(c: Call) -> Tensor:
    shape, axis = c.x().shape, c.attr("axis", 1)
    axis += len(shape) if axis < 0 else 0
    return Tensor([math.prod(shape[:axis]), math.prod(shape[axis:])], c.x().items)


def squeeze(c: Call) -> Tensor:
    given, shape = c.ints("axes", 1, 13), c.x().shape
    axes = c.axes([k for k, d in enumerate(shape) if d == 1] if given is None else given)
    return Tensor([d for k, d in enumerate(shape) if k not in axes], c.x().items)


def unsqueeze(c: Call) -> Tensor:
    given, rest = c.ints("axes", 1, 13), iter(c.x().shape)
    rank = len(c.x().shape) + len(given)
    axes = c.axes(given, rank)
    return Tensor([1 if k in axes else next(rest) for k in range(rank)], c.x().items)


def transpose(c: Call) -> Tensor:
    t = c.x()
    order = c.axes(c.attr("perm", range(len(t.shape))[::-1]))
    return t.pick([t.shape[k] for k in order], [t.strides()[k] for k in order])


def cut(c: Call) -> Tensor:
    t, starts, ends = c.x(), c.ints("starts", 1, 10), c.ints("ends", 2, 10)
    axes, steps = c.ints("axes", 3, 10), c.x(4).ints() if c.has(4) else [1] * len(starts)
    for k, a, b, s in zip(c.axes(axes or range(len(starts))), starts, ends, steps, strict=True):
        t = t.along(k, range(t.shape[k])[a:b:s])
    return t


def gather(c: Call) -> Tensor:
    t, index = c.x(), c.x(1)
    (axis,) = c.axes([c.attr("axis", 0)])
    n = t.shape[axis]
    need(all(-n <= k < n for k in index.ints()), "an index is out of range")
    shape = (*t.shape[:axis], *index.shape, *t.shape[axis + 1 :])
    return Tensor(shape, t.along(axis, [k % n for k in index.ints()]).items)


def pad(c: Call) -> Tensor:
    t, pads = c.x(), c.ints("pads", 1, 11)
    fill = c.attr("value", ZERO) if c.opset < 11 else c.x(2).consts()[0] if c.has(2) else ZERO
    axes = c.axes(c.x(3).ints() if c.has(3) else range(len(t.shape)))
    need(c.attr("mode", "constant") == "constant" and max(map(abs, pads)) < MAX_SIZE, "unsupported Pad")
    for k, a, b in zip(axes, pads, pads[len(axes) :], strict=False):
        n = t.shape[k]
        t = t.along(k, [p if 0 <= p < n else -1 for p in range(-a, n + b)], fill)
    return t


def concat(c: Call) -> Tensor:
    parts, (axis,) = c.all(), c.axes([c.attr("axis", 0)])
    outer, shape = math.prod(parts[0].shape[:axis]), list(parts[0].shape)
    need(len({(*p.shape[:axis], *p.shape[axis + 1 :]) for p in parts}) == 1, "unequal shapes")
    shape[axis] = sum(p.shape[axis] for p in parts)
    chunks = [(p.items, len(p.items) // max(outer, 1)) for p in parts]
    return Tensor(shape, [v for o in range(outer) for items, n in chunks for v in items[o * n : o * n + n]])


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
    need(key in ("value", "value_float", "value_floats", "value_int", "value_ints"), "a Constant")
    if isinstance(value, Tensor):
        return value
    items = value if isinstance(value, list) else [value]
    return Tensor([len(items)] if items is value else [], [({}, Fraction(v)) for v in items])


def cast(c: Call) -> Tensor:
    t, to = c.x(), c.attr("to", 0)
    c.attr("saturate")
    if to in (6, 7):
        return Tensor(t.shape, [({}, Fraction(math.trunc(v))) for v in t.consts()])
    need(to in (1, 11), "unsupported Cast")
    bits = (24, -149) if to == 1 else (53, -1074)
    return Tensor(t.shape, [(r, k) if r or not k else (r, nearest(k, *bits)) for r, k in t.items])


def divide(c: Call) -> Tensor:
    need(all(c.x(1).consts()), "a division by zero")
    return c.graph.times(c.x(), Tensor(c.x(1).shape, [({}, v**-1) for v in c.x(1).consts()]))


def matmul(graph: Graph, a: Tensor, b: Tensor) -> Tensor:
    """numpy's matmul with one side constant."""
    sa, sb = a.shape, b.shape
    need(sa and sb and sa[-1] == sb[-2 if len(sb) > 1 else 0], "shapes do not fit")
    a, b = graph.solid(a), graph.solid(b)
    (m, k), n = (1, *sa)[-2:], (*sb, 1)[1 if len(sb) == 1 else len(sb) - 1]
    lead = broadcast(sa[:-2], sb[:-2])
    need(math.prod(lead) * m * n * k <= MAX_TERMS, "a matrix product is too big")
    left = Tensor((*sa[:-2], m, k), a.items).expand((*lead, m, k)).items
    right = Tensor((*sb[:-2], k, n), b.items).expand((*lead, k, n)).items
    fixed = not any(r for r, _ in a.items)
    need(fixed or not any(r for r, _ in b.items), "unsupported product of two computed matrices")
    items = []
    for p, i, j in product(range(math.prod(lead)), range(m), range(n)):
        u, v = left[(p * m + i) * k :][:k], right[p * k * n + j : (p + 1) * k * n : n]
        u, v = (v, u) if fixed else (u, v)
        items.append(total((x, w[1]) for x, w in zip(u, v, strict=True)))
    return Tensor((*lead, *sa[-2:-1], *((n,) if len(sb) > 1 else ())), items)


def gemm(c: Call) -> Tensor:
    a, b = (t.pick(t.shape[::-1], t.strides()[::-1]) if c.attr(key, 0) else t
            for t, key in ((c.x(), "transA"), (c.x(1), "transB")))
    terms = [(matmul(c.graph, a, b), c.attr("alpha", ONE))]
    beta = c.attr("beta", ONE)
    return c.graph.combine(*terms, *([(c.x(2), beta)] if c.has(2) else []))


def window(c: Call, kernel: Sequence[int]) -> tuple[list[int], list[list[list[tuple[int, int]]]], list[int]]:
    """Output sizes; per axis and output place the (input, kernel) places that meet; room per axis."""
    space = c.x().shape[2:]
    rank = len(space)
    strides, dilations = c.attr("strides", [1] * rank), c.attr("dilations", [1] * rank)
    auto, pads = c.attr("auto_pad", "NOTSET"), c.attr("pads", [0] * 2 * rank)
    ceil = c.opset >= 10 and c.attr("ceil_mode", 0)
    need(auto in ("NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER") and len(kernel) == rank > 0
         and min(*strides, *dilations, *kernel) > 0 <= min(pads), "a wrong window")
    sizes, axes, room = [], [], []
    for n, k, s, d, a, b in zip(space, kernel, strides, dilations, pads[:rank], pads[rank:], strict=True):
        if auto.startswith("SAME"):
            extra = max(0, (-(-n // s) - 1) * s + (k - 1) * d + 1 - n)
            a = extra // 2 if auto == "SAME_UPPER" else extra - extra // 2
            b = extra - a
        free = n + a + b - (k - 1) * d - 1
        size = (-(-free // s) if ceil else free // s) + 1
        size -= bool(ceil and (size - 1) * s >= n + a)
        need(free >= 0 and size * k <= MAX_SIZE, "a window does not fit")
        sizes.append(size)
        axes.append([[(p, q) for q in range(k) if 0 <= (p := o * s - a + q * d) < n] for o in range(size)])
        room.append([sum(o * s + q * d < n + a + b for q in range(k)) for o in range(size)])
    return sizes, axes, room  # type: ignore[return-value]


def places(axes: Any, space: Sequence[int], kernel: Sequence[int]) -> Iterator[list[tuple[int, int]]]:
    """For every output place, in C order: the flat (input, kernel) places that meet."""
    for near in product(*axes):
        found = [(0, 0)]
        for n, size, line in zip(space, kernel, near, strict=True):
            found = [(p * n + i, q * size + d) for p, q in found for i, d in line]
        yield found


def conv(c: Call) -> Tensor:
    t, weight, group = c.graph.solid(c.x()), c.x(1), c.attr("group", 1)
    (batch, channels, *space), (outs, depth, *kernel) = t.shape, weight.shape
    need(c.attr("kernel_shape", kernel) == kernel, "a Conv's kernel")
    need(group > 0 and channels == depth * group and outs % group == 0, "a Conv's channels")
    sizes, axes, _ = window(c, kernel)
    spots, values = list(places(axes, space, kernel)), weight.consts()
    area, taps = math.prod(space), math.prod(kernel)
    need(batch * outs * len(spots) * depth * taps <= MAX_TERMS, "a Conv is too big")
    bias = c.x(2).consts() if c.has(2) else [ZERO] * outs
    items = []
    for b, o in product(range(batch), range(outs)):
        base = b * channels + o // (outs // group) * depth
        for near in spots:
            pairs = ((t.items[(base + k) * area + p], values[(o * depth + k) * taps + q])
                     for k in range(depth) for p, q in near)
            items.append(total(pairs, bias[o]))
    return Tensor((batch, outs, *sizes), items)


def average_pool(c: Call) -> Tensor:
    t, kernel, padded = c.graph.solid(c.x()), c.attr("kernel_shape"), c.attr("count_include_pad", 0)
    sizes, axes, room = window(c, kernel)
    spots, area = list(places(axes, t.shape[2:], kernel)), math.prod(t.shape[2:])
    counts = [math.prod(r) if padded else len(near) for r, near in zip(product(*room), spots, strict=True)]
    items = [total((t.items[plane * area + p], Fraction(1, count)) for p, _ in near)
             for plane in range(t.shape[0] * t.shape[1])
             for near, count in zip(spots, counts, strict=True)]
    return Tensor((*t.shape[:2], *sizes), items)


def sums(c: Call, mean: bool, since: int = 18, space: bool = False) -> Tensor:
    """Sums or means over axes; over all spatial ones for a global pooling."""
    t = c.graph.solid(c.x())
    given = range(2, len(t.shape)) if space else c.ints("axes", 1, since)
    noop, keep = c.attr("noop_with_empty_axes", 0), c.attr("keepdims", 1)
    if not given and noop:
        return t
    axes = c.axes(given or range(len(t.shape)))
    kept = [1 if k in axes else d for k, d in enumerate(t.shape)]
    rows: list[list[tuple[Form, Any]]] = [[] for _ in range(math.prod(kept))]
    target = Tensor(kept, [({}, Fraction(k)) for k in range(len(rows))]).expand(t.shape).ints()
    factor = Fraction(len(rows), max(len(t.items), 1)) if mean else ONE
    for item, k in zip(t.items, target, strict=True):
        rows[k].append((item, factor))
    shape = [d for k, d in enumerate(kept) if keep or k not in axes]
    return Tensor(shape, [total(r) for r in rows])


def max_along(graph: Graph, t: Tensor, axis: int, windows: list[list[int]]) -> Tensor:
    """Maxima over windows of positions along an axis, in rounds of pairs (one R each)."""
    need(all(windows), "a maximum over nothing")
    while any(len(w) > 1 for w in windows):
        pairs: dict[tuple[int, int], int] = {}
        slots: dict[tuple[int, int], int] = {}
        for k, w in enumerate(windows):
            merged = [(a, b) for a, b in zip(w[::2], w[1::2], strict=False)]
            for p in merged:
                pairs.setdefault(p, len(pairs))
            merged += [(w[-1], -1)] if len(w) % 2 else []
            windows[k] = [slots.setdefault(p, len(slots)) for p in merged]
        first, second = (t.along(axis, [p[k] for p in pairs]) for k in (0, 1))
        gap = graph.relu(graph.combine((first, 1), (second, -1)))
        base = t.along(axis, [a if b < 0 else b for a, b in slots])
        t = graph.combine((base, 1), (gap.along(axis, [pairs.get(s, -1) for s in slots]), 1))
    return t.along(axis, [w[0] for w in windows])


def max_pool(c: Call) -> Tensor:
    t, kernel = c.graph.solid(c.x()), c.attr("kernel_shape")
    c.attr("storage_order")
    _, axes, _ = window(c, kernel)
    for k in reversed(range(len(kernel))):
        t = max_along(c.graph, t, 2 + k, [[p for p, _ in near] for near in axes[k]])
    return t


def batch_norm(c: Call) -> Tensor:
    """As verifex says: scale / sqrt(variance + epsilon) is rounded once to the nearest float64."""
    epsilon, place = c.attr("epsilon", nearest(Fraction("1e-5"), 24, -149)), [-1] + [1] * len(c.x().shape[2:])
    need(not c.attr("training_mode", 0) and c.attr("spatial", 1), "unsupported BatchNormalization")
    c.attr("momentum")
    factors = []
    for s, v in zip(c.x(1).consts(), c.x(4).consts(), strict=True):
        need(v + epsilon > 0, "a variance is not positive")
        square = s * s * (v + epsilon) ** -1
        shift = max(0, 128 - square.numerator.bit_length() + square.denominator.bit_length()) // 2 + 2
        whole = (square.numerator << 2 * shift) // square.denominator
        root = math.isqrt(whole)
        exact = root * root * square.denominator == square.numerator << 2 * shift
        value = nearest(Fraction(2 * root + (not exact), 2 << shift), 53, -1074) if s else ZERO
        factors.append(({}, value if s > 0 else -value))
    place[0] = len(factors)
    centred = c.graph.combine((c.x(), 1), (Tensor(place, c.x(3).items), -1))
    scaled = c.graph.times(centred, Tensor(place, factors))
    return c.graph.combine((scaled, 1), (Tensor(place, c.x(2).items), 1))


def leaky(c: Call, slope: Tensor) -> Tensor:
    t = c.graph.solid(c.x())
    r = c.graph.relu(t)
    return c.graph.combine((r, 1), (c.graph.times(c.graph.combine((t, 1), (r, -1)), slope), 1))


def clip(c: Call) -> Tensor:
    t, g, top = c.graph.solid(c.x()), c.graph, Fraction((1 << 24) - 1) * (1 << 104)
    ends = [c.attr("min"), c.attr("max")] if c.opset < 11 else [
        c.x(k).consts()[0] if c.has(k) else None for k in (1, 2)]
    low, high = (v if v is not None and abs(v) < top else None for v in ends)
    need(low is None or high is None or low < high, "a Clip of nothing")
    parts: list[tuple[Tensor, Any]] = [(t, 1)] if low is None else []
    for bound, sign in ((low, 1), (high, -1)):
        if bound is not None:
            at = Tensor((), [({}, bound)])
            parts += [(g.relu(g.combine((t, 1), (at, -1))), sign)]
            parts += [(at, 1)] if sign > 0 else []
    return g.combine(*parts)


RULES: dict[str, Callable[[Call], Any]] = {
    "Add": lambda c: c.graph.combine(*((t, 1) for t in c.all())), "Identity": lambda c: c.x(),
    "Sum": lambda c: c.graph.combine(*((t, 1) for t in c.all())), "Div": divide, "Pad": pad,
    "Sub": lambda c: c.graph.combine((c.x(), 1), (c.x(1), -1)), "Cast": cast, "Split": split,
    "Mul": lambda c: c.graph.times(c.x(), c.x(1)), "Neg": lambda c: c.graph.combine((c.x(), -1)),
    "MatMul": lambda c: matmul(c.graph, c.x(), c.x(1)), "Gemm": gemm, "Conv": conv, "Clip": clip,
    "Flatten": flatten, "Reshape": reshape, "Squeeze": squeeze, "Unsqueeze": unsqueeze,
    "Slice": cut, "Gather": gather, "Concat": concat, "Transpose": transpose, "Dropout": dropout,
    "Constant": constant, "AveragePool": average_pool, "MaxPool": max_pool,
    "Shape": lambda c: Tensor([len(c.x().shape)], [({}, Fraction(d)) for d in c.x().shape]),
    "ReduceSum": lambda c: sums(c, False, 13), "ReduceMean": lambda c: sums(c, True),
    "GlobalAveragePool": lambda c: sums(c, True, space=True), "BatchNormalization": batch_norm,
    "Relu": lambda c: c.graph.relu(c.x()), "Abs": lambda c: c.graph.absolute(c.x()),
    "LeakyRelu": lambda c: leaky(c, Tensor((), [({}, c.attr("alpha", nearest(Fraction("0.01"), 24, -149)))])),
    "PRelu": lambda c: leaky(c, c.x(1)), "Max": lambda c: reduce(c.graph.larger, c.all()),
    "Min": lambda c: reduce(lambda a, b: c.graph.larger(a, b, -1), c.all()),
}
ATTRIBUTES: dict[int, Callable[[Message], Any]] = {
    1: lambda a: reals(one(a, 2, bytes(4)), 4)[0], 2: lambda a: integers([one(a, 3, 0)])[0],
    3: lambda a: text(a, 4), 4: lambda a: tensor(message(one(a, 5))),
    6: lambda a: reals(b"".join(a.get(7, ())), 4), 7: lambda a: integers(a.get(8, ())),
}


class Network:
    """An ONNX file lowered into a graph, every operator after what it needs."""

    def __init__(self, data: bytes, graph: Graph) -> None:
        model = message(data)
        need(7 in model and 25 not in model, "no ONNX graph, or one with functions")
        body = message(one(model, 7))
        opsets = {text(m, 1): one(m, 2, 0) for m in map(message, model.get(8, ()))}
        self.opset = opsets.get("", opsets.get("ai.onnx", 0))
        need(7 <= self.opset <= 23 and 15 not in body, f"unsupported operator set {self.opset}")
        self.graph, self.inputs, self.shapes = graph, dict[str, int](), dict[str, list[int]]()
        self.values = {text(t, 8): tensor(t) for t in map(message, body.get(5, ()))}
        need(len(self.values) == len(body.get(5, ())), "an initialiser is given twice")
        for v in map(message, body.get(11, ())):
            if text(v, 1) not in self.values:
                self.input(v, text(v, 1))
        made = [(k.decode(), n) for n in map(message, body.get(1, ())) for k in n.get(2, ()) if k]
        self.maker = dict(made)
        need(len(self.maker) == len(made) and not self.maker.keys() & self.values.keys(), "two of a name")
        self.outputs = {text(v, 1): self.value(text(v, 1)) for v in map(message, body.get(12, ()))}

    def input(self, v: Message, label: str) -> None:
        kind = message(one(message(one(v, 2, b"")), 1, b""))
        need(one(kind, 1) in (1, 10, 11) and 2 in kind, "an input that is no float tensor of a shape")
        dims = [one(d, 1, 0) for d in map(message, message(one(kind, 2)).get(1, ()))]
        shape = [1 if k == 0 and not 0 < d < 1 << 63 else d for k, d in enumerate(dims)]
        need(0 < min((1, *shape)) and math.prod(shape) <= MAX_SIZE, "an input without a fixed shape")
        at = sum(map(math.prod, self.shapes.values()))
        self.shapes[label] = shape
        n = self.inputs[label] = self.graph.node("I", (), math.prod(shape), at, label)
        self.values[label] = Tensor(shape, self.graph.refs(n))

    def value(self, wanted: str) -> Tensor:
        stack, begun = [wanted], set()
        while stack:
            if stack[-1] not in self.values:
                need(stack[-1] in self.maker, f"tensor '{stack[-1][:40]}' is not computed")
                node = self.maker[stack[-1]]
                labels = [v.decode() for v in node.get(1, ())]
                missing = [v for v in labels if v and v not in self.values]
                need(not missing or id(node) not in begun, "the network has a cycle")
                begun.add(id(node))
                stack += missing
                if not missing:
                    self.lower(node, [self.values[v] if v else None for v in labels])
            else:
                stack.pop()
        return self.values[wanted]

    def lower(self, node: Message, inputs: list[Tensor | None]) -> None:
        op, labels = text(node, 4), [v.decode() for v in node.get(2, ())]
        need(op in RULES and text(node, 7) in ("", "ai.onnx"), f"unsupported operator {op[:40]}")
        call = Call(self.graph, self.opset, inputs, len(labels))
        for a in map(message, node.get(5, ())):
            need(text(a, 1) not in call.attributes and one(a, 20) in ATTRIBUTES and 21 not in a,
                 f"unsupported attribute of {op}")
            call.attributes[text(a, 1)] = ATTRIBUTES[one(a, 20)](a)
        found = RULES[op](call)
        need(not call.attributes, f"unsupported attributes of {op}: {', '.join(call.attributes)[:80]}")
        results = found if isinstance(found, list) else [found]
        for k, label in enumerate(labels):
            if k < len(results):
                self.values[label] = results[k]
            else:
                self.maker.pop(label, None)


# --- the claim of a spec --------------------------------------------------------------------------

DECIMAL = re.compile(r"\s*[+-]?(?=\.?\d)[\d_]*(\.[\d_]*)?([eE][+-]?0*\d{1,3})?\s*", re.ASCII)
PLACE = re.compile(r"(.*)\[\s*(\d{1,9}(?:\s*,\s*\d{1,9})*)\s*\]", re.DOTALL)
BOUNDS = {"at_least": (1, False), "at_most": (-1, False), "above": (1, True), "below": (-1, True)}
Formula = Any  # (form, strict): form >= 0 or > 0; or [count, parts]: at least so many of the parts


def exact(value: Any) -> Fraction:
    """The number a spec writes: whole, a decimal, or a quotient of two."""
    if isinstance(value, Fraction):
        return value
    need(isinstance(value, int | str) and not isinstance(value, bool), f"{value!r:.40} is no number")
    top, slash, bottom = str(value).partition("/")
    need(len(str(value)) <= 1000 and all(map(DECIMAL.fullmatch, (top, bottom or "1"))),
         f"{value!r:.40} is no number")
    number = Fraction(top.replace("_", ""))
    return number * Fraction(bottom.replace("_", "")) ** -1 if slash else number


def numbers(value: Any) -> list[Fraction]:
    return [x for v in value for x in numbers(v)] if isinstance(value, list) else [exact(value)]


def table(value: Any, keys: str) -> dict[str, Any]:
    need(isinstance(value, dict), "a table is needed")
    need(value.keys() <= set(keys.split()), f"unknown key in {list(value)!r:.80}")
    return value  # type: ignore[no-any-return]


def negate(f: Formula) -> Formula:
    if isinstance(f, list):
        return [len(f[1]) - f[0] + 1, [negate(p) for p in f[1]]]
    return total([(f[0], -1)]), not f[1]


def every(parts: list[Formula]) -> Formula:
    return parts[0] if len(parts) == 1 else [len(parts), parts]


def read(path: str, most: int = MAX_FILE) -> bytes:
    with open(path, "rb") as stream:
        data = stream.read(most + 1)
    need(len(data) <= most, f"{path} is too big")
    return data


def unzipped(data: bytes) -> bytes:
    if data[:2] != b"\x1f\x8b":
        return data
    unzip = zlib.decompressobj(wbits=31)
    out = unzip.decompress(data, MAX_FILE)
    need(unzip.eof and not unzip.unused_data, "damaged gzip data")
    return out


class Claim:
    """A spec about a network: region, reference, attribution, and the broken claim as a formula."""

    def __init__(self, spec: dict[str, Any], folder: str, net: Network) -> None:
        table(spec, "verifex name network network_output arithmetic kink input region explain require assume")
        need(spec.get("verifex") == 1 and spec.get("arithmetic", "real") == "real", "unsupported spec")
        need(spec.get("kink", "error") in ("error", "zero"), "unsupported kink")
        self.graph, self.folder, self.shut = net.graph, folder, spec.get("kink") == "zero"
        self.inputs = list(net.inputs.values())
        self.blocks = [(k, self.graph.data[n], net.shapes[k]) for k, n in net.inputs.items()]
        self.size = sum(self.graph.size[n] for n in self.inputs)
        need("network_output" in spec or len(net.outputs) == 1, "which of the outputs?")
        self.logits = self.graph.solid(net.outputs[spec.get("network_output", *net.outputs)]).items
        self.names: list[str] = []
        self.x0 = self.point(table(spec.get("input", {}), "point data row header target drop scale "
                                   "minmax_of round names"))
        self.region(spec.get("region", {}))
        self.output: Any = "predicted"
        self.items: list[Form] = []
        if "explain" in spec:
            self.explain(table(spec["explain"], "attribution output reduce features options"))
        require = every([self.formula(p) for p in spec["require"]])
        assume = every([self.formula(p) for p in spec.get("assume", [])])
        self.broken = [2, [assume, negate(require)]]

    # features

    def find(self, key: Any) -> list[int]:
        """The features that a name, a pattern, a place or a position picks."""
        if isinstance(key, int) and not isinstance(key, bool):
            need(0 <= key < self.size, f"no feature {key}")
            return [key]
        shown = self.names or [f"x[{i}]" if len(self.blocks) == 1 else f"{k}[{i}]"
                               for k, _, s in self.blocks for i in range(math.prod(s))]
        if key in self.names:
            return [self.names.index(key)]
        for label, start, shape in self.blocks:
            if key == label and len(self.blocks) > 1:
                return list(range(start, start + math.prod(shape)))
            place = PLACE.fullmatch(key)
            if place and (place[1] == label or place[1] == "x" and len(self.blocks) == 1):
                index = [int(p) for p in place[2].split(",")]
                shape = shape if len(index) > 1 else [math.prod(shape)]
                while len(shape) > len(index) and shape[0] == 1:
                    shape = shape[1:]
                need(len(shape) == len(index) and all(map(lt, index, shape)), f"no feature {key:.40}")
                return [start + reduce(lambda at, k: at * k[1] + k[0], zip(index, shape, strict=True), 0)]
        found = [i for i, label in enumerate(shown) if fnmatch.fnmatchcase(label, key)]
        need(("*" in key or "?" in key) and found, f"no feature {key:.40}")
        return found

    def select(self, keys: Any) -> list[int]:
        return sorted({i for k in (keys if isinstance(keys, list) else [keys]) for i in self.find(k)})

    def spread(self, value: Any) -> list[Any]:
        """One number a feature; None where a table leaves it out. A name beats a pattern."""
        if not isinstance(value, dict):
            found = numbers(value)
            need(len(found) == self.size or not isinstance(value, list), "a list of another length")
            return found if isinstance(value, list) else found * self.size
        out: dict[int, tuple[bool, Fraction]] = {}
        for key, v in value.items():
            picked = self.find(key)
            broad = len(picked) > 1 or "*" in key or "?" in key
            for i in picked:
                need(i not in out or out[i][0] != broad, f"two keys pick feature {i}")
                if i not in out or not broad:
                    out[i] = (broad, exact(v))
        return [out[i][1] if i in out else None for i in range(self.size)]

    # the reference point

    def rows(self, file: str, t: dict[str, Any]) -> tuple[list[str], Iterator[list[str]]]:
        """The names and the rows of the feature columns of a CSV file."""
        opened: Any = gzip.open if file.endswith(".gz") else open
        lines = csv.reader(opened(os.path.join(self.folder, file), "rt", encoding="utf-8", newline=""))
        body = (row for row in lines if row)
        first = next(body)
        named = t.get("header", not all(map(DECIMAL.fullmatch, first)))
        header = [k.strip() for k in first] if named else []
        drop = t.get("drop", [])
        left = [t["target"]] if "target" in t else []
        out = {k if isinstance(k, int) else header.index(k)
               for k in left + (drop if isinstance(drop, list) else [drop])}
        kept = [k for k in range(len(first)) if k not in out]
        need(len(kept) == self.size, f"{len(kept)} feature columns in {file}")
        body = body if named else chain([first], body)
        return [header[k] for k in kept if named], ([row[k] for k in kept] for row in body)

    def point(self, t: dict[str, Any]) -> list[Fraction]:
        need(not ("point" in t and "data" in t), "both point and data")
        values, point = [], t.get("point", [])
        if "data" in t:
            need(not t["data"].endswith(".npy"), "unsupported .npy data")
            self.names, body = self.rows(t["data"], t)
            values = [exact(v) for v in next(islice(body, t["row"], None))]
        elif isinstance(point, dict):
            need(point.keys() == {k for k, _, _ in self.blocks}, "one point an input")
            values = [v for k, _, _ in self.blocks for v in numbers(point[k])]
        else:
            values = numbers(point)
        self.names = t.get("names", self.names)
        need(len(values) in (0, self.size) and len(set(self.names)) in (0, self.size), "a wrong length")
        if "scale" in t or "minmax_of" in t:
            if "scale" in t:
                low, high = (numbers(table(t["scale"], "min max")[k]) for k in ("min", "max"))
            else:
                columns = [list(map(Decimal, c)) for c in zip(*self.rows(t["minmax_of"], t)[1], strict=True)]
                low, high = ([exact(str(f(c))) for c in columns] for f in (min, max))
            values = [(v - a) * ((b - a) or 1) ** -1 for v, a, b in zip(values, low, high, strict=True)]
        need(t.get("round", "float32") == "float32", "unsupported rounding")
        return [nearest(v, 24, -149) if v else v for v in values] if "round" in t else values

    def region(self, t: dict[str, Any]) -> None:
        table(t, "linf l1 l2 box clip freeze only integer one_hot linear")
        n, x0 = self.size, self.x0
        cuts = []
        for key in ("box", "clip"):
            box = t.get(key, {})
            box = dict(zip(("lo", "hi"), box, strict=True)) if isinstance(box, list) else table(box, "lo hi")
            cuts.append([self.spread(box[k]) if k in box else [None] * n for k in ("lo", "hi")])
        frozen = set(self.select(t.get("freeze", [])))
        frozen |= set(range(n)) - set(self.select(t["only"])) if "only" in t else set()
        radii = {k: exact(t[k]) for k in ("l1", "l2") if k in t}
        self.balls = [(k, [i for i in range(n) if i not in frozen], r) for k, r in radii.items()]
        reach = [[r or ZERO for r in self.spread(t["linf"])]] if "linf" in t else []
        reach += [[None if i in frozen else r for i in range(n)] for r in radii.values()]
        reach += [[ZERO if i in frozen else None for i in range(n)]]
        for r in reach:
            need(x0 or not any(v is not None for v in r), "a reference point is needed")
            need(min((v for v in r if v is not None), default=0) >= 0, "a negative radius")
            cuts.append([[None if v is None else x0[i] + s * v for i, v in enumerate(r)] for s in (-1, 1)])
        self.groups = [self.select(g) for g in t.get("one_hot", [])]
        members = [i for g in self.groups for i in g]
        cuts.append([[k if i in members else None for i in range(n)] for k in (0, 1)])
        self.integers = {*self.select(t.get("integer", [])), *members}
        need(len(set(members)) == len(members), "a feature in two groups")
        ends = [[c[k][i] for c in cuts if c[k][i] is not None] for k in (0, 1) for i in range(n)]
        need(all(ends), "a feature is unbounded")
        self.lo, self.hi = [max(e) for e in ends[:n]], [min(e) for e in ends[n:]]
        for i in self.integers:
            self.lo[i], self.hi[i] = Fraction(math.ceil(self.lo[i])), Fraction(math.floor(self.hi[i]))
        need(all(a <= b for a, b in zip(self.lo, self.hi, strict=True)), "the region is empty")
        linear = t.get("linear", [])
        self.cuts = [r for s in (linear if isinstance(linear, list) else [linear]) for r in self.linear(s)]
        for g in self.groups:
            self.cuts += [total([(self.input(i), s) for i in g], Fraction(-s)) for s in (1, -1)]

    def input(self, i: int) -> Form:
        n = max(k for k in self.inputs if self.graph.data[k] <= i)
        return {(n, i - self.graph.data[n]): ONE}, ZERO

    def linear(self, source: str) -> list[Form]:
        """Rows `form <= 0` of a constraint, read with Python's own grammar; nothing is evaluated."""
        need(len(source) <= 20_000, "a constraint is too long")
        tree: Any = ast.parse(source.strip(), mode="eval").body
        need(isinstance(tree, ast.Compare), "a constraint compares nothing")

        def term(e: Any) -> Form:
            key = ast.get_source_segment(source.strip(), e) or ""
            if isinstance(e, ast.BinOp):
                a, b = term(e.left), term(e.right)
                if isinstance(e.op, ast.Add | ast.Sub):
                    return total([(a, 1), (b, 1 if isinstance(e.op, ast.Add) else -1)])
                if isinstance(e.op, ast.Div):
                    b = ({}, b[1] ** -1) if not b[0] else a
                need(isinstance(e.op, ast.Mult | ast.Div) and not (a[0] and b[0]), f"{key:.40} is not linear")
                return total([(a, b[1])] if not b[0] else [(b, a[1])])
            if isinstance(e, ast.UnaryOp) and isinstance(e.op, ast.UAdd | ast.USub):
                return total([(term(e.operand), 1 if isinstance(e.op, ast.UAdd) else -1)])
            if isinstance(e, ast.Constant):
                return {}, exact(key)
            if isinstance(e, ast.Subscript) and isinstance(e.slice, ast.Constant):
                key = e.slice.value if isinstance(e.slice.value, str) else key
            (i,) = self.find(key)
            return self.input(i)

        sides, out = [term(e) for e in (tree.left, *tree.comparators)], []
        for op, a, b in zip(tree.ops, sides, sides[1:], strict=False):
            need(isinstance(op, ast.LtE | ast.GtE | ast.Eq), "a constraint is not closed")
            signs = {ast.LtE: [1], ast.GtE: [-1], ast.Eq: [1, -1]}[type(op)]
            out += [total([(a, s), (b, -s)]) for s in signs]
        return out

    # outputs and explanations

    def value(self, items: Sequence[Form]) -> list[Fraction]:
        """Exact values at the reference."""
        need(self.x0, "a reference point is needed")
        return exactly(self.graph, items, self.x0, self.shut)

    def ranked(self, items: Sequence[Form]) -> tuple[list[int], list[Fraction]]:
        values = self.value(items)
        return sorted(range(len(values)), key=lambda i: (-values[i], i)), values

    def classes(self, tie: str) -> list[int]:
        order, values = self.ranked(self.logits)
        need(tie == "index" or values[order[0]] != values[order[1]], "the outputs tie at the reference")
        return order

    def functional(self, value: Any) -> Form:
        """The weighted sum of outputs that `predicted`, `logit:c`, `margin:c,j`, ... mean."""
        if isinstance(value, dict):
            ((head, args),) = value.items()
            if head == "weights":
                return total(zip(self.logits, numbers(args), strict=True))
            value = f"{head}:" + ",".join(map(str, args if isinstance(args, list) else [args]))
        head, _, tail = {"predicted": "logit:predicted"}.get(value.strip(), value).partition(":")
        if (head.strip(), tail) == ("sum", ""):
            return total((v, 1) for v in self.logits)
        names = [p.strip() for p in tail.split(",")]
        need(len(names) == {"logit": 1, "margin": 2}.get(head.strip()), f"no output functional {value:.40}")
        picked = []
        for p in names:
            if p in ("predicted", "runner_up") and len(self.logits) + (p == "runner_up") > 1:
                picked.append(self.classes("")[p == "runner_up"])
            else:
                picked.append(0 if p == "predicted" else int(p))
        need(len(set(picked)) == len(picked) and min(picked) >= 0, "wrong outputs")
        return total((self.logits[c], s) for c, s in zip(picked, (1, -1), strict=False))

    def slopes(self, output: Any) -> list[list[Form]]:
        n = self.graph.rows([self.functional(output)])
        return [self.graph.refs(g) for g in self.graph.gradient(n, self.inputs)]

    def explain(self, t: dict[str, Any]) -> None:
        self.output, how, kind = t.get("output", "predicted"), t.get("reduce", "signed"), t.get("attribution", "gradient")
        need(not t.get("options"), "unsupported options")
        maps = self.slopes(self.output)
        if kind in ("input_x_gradient", "input*gradient", "gradient*input"):
            maps = [self.graph.refs(self.graph.op("M", x, self.graph.rows(m)))
                    for x, m in zip(self.inputs, maps, strict=True)]
        else:
            need(kind in ("gradient", "saliency"), f"unsupported attribution {kind!r:.40}")
        need(how in ("signed", "abs"), f"unsupported reduction {how!r:.40}")
        self.items = [v for m in maps for v in m]
        if how == "abs":
            self.items = self.graph.absolute(Tensor([self.size], self.items)).items
            self.items = self.graph.solid(Tensor([self.size], self.items)).items
        self.chosen = self.select(t["features"]) if "features" in t else list(range(self.size))
        self.components, self.nonnegative = [self.items[i] for i in self.chosen], how == "abs"
        self.magnitudes: list[Form] = []

    def magnitude(self) -> list[Form]:
        if not self.magnitudes:
            t = Tensor([len(self.chosen)], self.components)
            self.magnitudes = t.items if self.nonnegative else self.graph.absolute(t).items
        return self.magnitudes

    # properties

    def formula(self, p: Any) -> Formula:
        for key, parts in (("all", every), ("any", lambda f: [1, f])):
            if key in p:
                return parts([self.formula(q) for q in table(p, key)[key]])  # type: ignore[operator]
        if "not" in p:
            return negate(self.formula(table(p, "not")["not"]))
        for key, (keys, build) in PROPERTIES.items():
            if key in p:
                return build(self, table(p, f"{key} {keys}"))
        raise Bad(f"no property in {list(p)!r:.80}")

    def within(self, form: Form, t: dict[str, Any]) -> list[Formula]:
        """form against every bound of the table."""
        found = [(total([(form, s)], -s * exact(t[k])), strict) for k, (s, strict) in BOUNDS.items() if k in t]
        need(found, "no bound is given")
        return found

    def class_(self, t: dict[str, Any]) -> Formula:
        c = self.classes(t.get("tie", "")) [0] if t["class"] == "unchanged" else t["class"]
        rest = [v for j, v in enumerate(self.logits) if j != c]
        need(0 <= c < len(self.logits) > 1, "no such class")
        return every([(total([(self.logits[c], 1), (v, -1)]), True) for v in rest])

    def output_(self, t: dict[str, Any]) -> Formula:
        return every(self.within(self.functional(t["output"]), t))

    def component(self, t: dict[str, Any]) -> Formula:
        return every([a for i in self.select(t["component"]) for a in self.within(self.items[i], t)])

    def sign(self, t: dict[str, Any]) -> Formula:
        parts, least, zero = [], exact(t.get("threshold", 0)), t.get("zero", "error")
        picked = self.select(t["which"]) if "which" in t else self.chosen
        values = self.value(self.components)
        for i in picked:
            item, value = self.items[i], values[self.chosen.index(i)]
            if abs(value) >= least and value:
                parts.append((total([(item, 1 if value > 0 else -1)]), True))
            elif abs(value) >= least:
                need(zero in ("keep", "ignore"), f"component {i} is 0 at the reference")
                parts += [[2, [(item, False), (total([(item, -1)]), False)]]] if zero == "keep" else []
        need(parts and t["sign"] == "unchanged" and 0 <= t.get("at_least", 0) <= len(parts), "a wrong sign property")
        return [t["at_least"], parts] if "at_least" in t else every(parts)

    def distance(self, t: dict[str, Any]) -> Formula:
        kind, base, parts = t["distance"], self.value(self.components), []
        size = {"l1": sum(map(abs, base)), "l2": sum(v * v for v in base), "linf": max(map(abs, base))}[kind]
        for key, (sense, strict) in BOUNDS.items():
            if key not in t:
                continue
            bound = exact(t[key])
            need(bound >= 0, "a negative distance")
            bound = (bound**2 if kind == "l2" else bound) * (size if t.get("relative", False) is True else 1)
            change = [total([(v, 1)], -a) for v, a in zip(self.components, base, strict=True)]
            tight = strict != (sense > 0)  # a lower bound is the negation of an upper one
            if kind == "linf":
                upper: Formula = every([(total([(v, s)], bound), tight) for s in (-1, 1) for v in change])
            else:
                n = self.graph.rows(change)
                items = self.graph.refs(self.graph.op("M", n, n)) if kind == "l2" else \
                    self.graph.absolute(Tensor([len(base)], self.graph.refs(n))).items
                upper = total(((v, -1) for v in items), Fraction(bound)), tight
            parts.append(negate(upper) if sense > 0 else upper)
        need(parts, "no bound is given")
        return every(parts)

    def cosine(self, t: dict[str, Any]) -> Formula:
        c, base, g = exact(t["at_least"]), self.value(self.components), self.graph
        length = sum(v * v for v in base)
        need(t["similarity"] == "cosine" and abs(c) <= 1 and length, "a wrong similarity")
        dot = total(zip(self.components, base, strict=True))
        if c == 0:
            return dot, False
        n = g.rows(self.components)
        squares = g.refs(g.op("M", n, n))
        d = g.rows([dot])
        gap = total([*((v, -c * c * length) for v in squares), (g.refs(g.op("M", d, d))[0], 1)])
        return [2, [(dot, True), (gap, False)]] if c > 0 else [1, [(dot, False), negate((gap, True))]]

    def top_k(self, t: dict[str, Any]) -> Formula:
        k, n = t["top_k"], len(self.chosen)
        m = t.get("overlap_at_least", k)
        order, values = self.ranked(self.components)
        need(1 <= m <= k <= n, "a wrong top_k")
        need(k == n or t.get("tie") == "index" or values[order[k - 1]] != values[order[k]], "a tie at the top k")
        inner = (n - k) - (k - m)
        if inner <= 0:
            return [0, []]
        item = self.components
        return [m, [[inner, [(total([(item[w], 1), (item[x], -1)]), True) for x in sorted(order[k:])]]
                    for w in sorted(order[:k])]]

    def order(self, t: dict[str, Any]) -> Formula:
        if t["order"] == "unchanged":
            ranks, values = self.ranked(self.components)
            need(len(set(values)) == len(values), "components tie at the reference")
            items = [self.components[i] for i in ranks]
        else:
            items = [self.items[i] for key in t["order"] for i in self.find(key)]
            need(len(items) == len(t["order"]), "a pattern in an order")
        return every([(total([(a, 1), (b, -1)]), True) for a, b in pairwise(items)])

    def mass(self, t: dict[str, Any]) -> Formula:
        inside, parts = set(self.select(t["mass"])), []
        need(inside and inside <= set(self.chosen), "a wrong mask")
        for key, (sense, strict) in BOUNDS.items():
            if key in t:
                share = exact(t[key])
                need(0 <= share <= 1, "a wrong share")
                parts.append((total((v, sense * ((i in inside) - share))
                                    for i, v in zip(self.chosen, self.magnitude(), strict=True)), strict))
        need(parts, "no bound is given")
        return every(parts)

    def monotone(self, t: dict[str, Any]) -> Formula:
        sense = {"increasing": 1, "decreasing": -1}[t["monotone"]]
        items = [v for m in self.slopes(t.get("output", self.output)) for v in m]
        return every([(total([(items[i], sense)]), False) for i in self.select(t["feature"])])


LIMITS = "at_least at_most above below"
PROPERTIES: dict[str, tuple[str, Callable[[Claim, dict[str, Any]], Formula]]] = {
    "monotone": ("feature output", Claim.monotone), "class": ("tie", Claim.class_),
    "output": (LIMITS, Claim.output_), "component": (LIMITS, Claim.component),
    "sign": ("which threshold zero at_least", Claim.sign), "order": ("", Claim.order),
    "distance": (f"relative {LIMITS}", Claim.distance), "similarity": ("at_least", Claim.cosine),
    "top_k": ("overlap_at_least tie", Claim.top_k), "mass": (LIMITS, Claim.mass),
}


class Query(Claim):
    """A VNN-LIB 1.0 file: the conjunction of its assertions is the broken claim."""

    def __init__(self, source: str, net: Network) -> None:
        self.graph, self.inputs, self.shut = net.graph, list(net.inputs.values()), False
        self.size = sum(self.graph.size[n] for n in self.inputs)
        self.balls, self.groups, self.cuts, self.integers = [], [], [], set()
        values = {f"X_{i}": self.input(i) for i in range(self.size)}
        outputs = [v for t in net.outputs.values() for v in self.graph.solid(t).items]
        values |= {f"Y_{i}": v for i, v in enumerate(outputs)}
        stack: list[list[Any]] = [[]]
        for token in re.findall(r"[()]|[^\s()]+", re.sub(r";.*", "", source)):
            if token == "(":
                stack.append([])
                need(len(stack) < 100, "the query is nested too deeply")
            elif token == ")":
                stack[-2].append(stack.pop())
            else:
                stack[-1].append(token)

        def term(e: Any) -> Form:
            if not isinstance(e, list):
                return values[e] if e in values else ({}, exact(e))
            parts = [term(p) for p in e[1:]]
            if e[0] == "*":
                need(len([p for p in parts if p[0]]) <= 1, "a product of variables")
                factor = math.prod((p[1] for p in parts if not p[0]), start=ONE)
                return total([(next((p for p in parts if p[0]), ({}, ONE)), factor)])
            need(e[0] in ("+", "-") and parts, f"unsupported term {e[0]:.20}")
            rest = 1 if e[0] == "+" else -1
            return total((p, rest if k or len(parts) == 1 else 1) for k, p in enumerate(parts))

        def formula(e: Any) -> Formula:
            if e[0] in ("and", "or"):
                return [len(e) - 1 if e[0] == "and" else 1, [formula(p) for p in e[1:]]]
            a, b = map(term, e[1:])
            up, down = total([(b, 1), (a, -1)]), total([(a, 1), (b, -1)])
            both = {"<=": [(up, False)], ">=": [(down, False)], "<": [(up, True)], ">": [(down, True)],
                    "=": [(up, False), (down, False)]}[e[0]]
            return every(both)

        need(len(stack) == 1, "the query's brackets do not match")
        need(all(s[0] in ("declare-const", "assert") for s in stack[0]), "unsupported command")
        found = every([formula(s[1]) for s in stack[0] if s[0] == "assert"])
        self.broken, box = [2, [[0, []], found]], self.hull(found)
        need(all(None not in box.get(i, [None]) for i in range(self.size)), "an input is unbounded")
        self.lo, self.hi = ([box[i][k] for i in range(self.size)] for k in (0, 1))

    def hull(self, f: Formula) -> dict[int, list[Any]]:
        """input -> [lower, upper] bound that follows from a formula, None where there is none."""
        if not isinstance(f, list):
            (refs, const), single = f[0], next(iter(f[0][0].items()), None)
            if single is None or len(refs) > 1 or single[0][0] not in self.inputs:
                return {}
            (n, i), c = single
            return {self.graph.data[n] + i: [-const * c**-1, None] if c > 0 else [None, -const * c**-1]}
        parts = [self.hull(p) for p in f[1]]
        if f[0] < len(parts):
            keys = set(parts[0]).intersection(*parts[1:])
            return {i: [pick(p[i][k] for p in parts) if None not in [p[i][k] for p in parts] else None
                        for k, pick in enumerate((min, max))] for i in keys}
        out: dict[int, list[Any]] = {}
        for i, ends in (item for p in parts for item in p.items()):
            old = out.setdefault(i, [None, None])
            out[i] = [pick(v for v in (a, b) if v is not None) if (a, b) != (None, None) else None
                      for a, b, pick in zip(old, ends, (max, min), strict=True)]
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
        """factor * form: [(node, element, coefficient rounded down, whether it rounded)], constant."""
        scaled = [(n, i, c * factor * (1 << F)) for (n, i), c in form[0].items()]
        terms = [(n, i, math.floor(v), v.denominator > 1) for n, i, v in scaled]
        return terms, math.floor(form[1] * factor * (self.unit << F))


def exactly(graph: Graph, forms: Sequence[Form], x: Sequence[Fraction], shut: bool) -> list[Fraction]:
    """Values at a point, in units so fine that nothing rounds; Bad if a free gate matters."""
    nodes = {n for refs, _ in forms for m in refs for n in graph.cone(m[0])}
    steps = [graph.data[n] for n in nodes if graph.kind[n] == "A"]
    unit = math.lcm(*(v.denominator for v in x), *(b.denominator for s in steps for b in s[2]))
    unit = (unit * math.prod(s[1] for s in steps)) ** (4 if "M" in {graph.kind[n] for n in nodes} else 1)
    scaled = [int(v * unit) for v in x]
    d = Domain(Scale(graph, unit, 0, shut), (scaled, scaled))
    out = []
    for refs, const in forms:
        ends = [sum((c * d.get(n)[k][i] for (n, i), c in refs.items()), ZERO) for k in (0, 1)]
        need(all(d.get(n)[0][i] == d.get(n)[1][i] for n, i in refs), "a value depends on a kink")
        out.append(ends[0] * Fraction(1, unit) + const)
    return out


class Domain:
    """A part of the region: an input box and signs of units; bounds of nodes are found on demand."""

    def __init__(self, scale: Scale, box: Box, parent: Domain | None = None) -> None:
        self.scale, self.graph, self.box, self.parent = scale, scale.graph, box, parent
        self.changed: set[int] = set()
        self.cache: dict[int, Box] = {}
        self.facts: list[tuple[int, int, int, int]] = []
        self.pending: list[dict[str, Any]] = []
        self.dead: set[int] = set()
        self.empty = False
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
        child.units = (*self.units, (z, i, sign))
        child.changed = self.graph.above(z)
        return child

    def cut(self, n: int, i: int, at: int, sign: int) -> Domain:
        """x_i >= at, or <= at: flat input i belongs to input node n."""
        low, high = map(list, self.box)
        low[i], high[i] = (max(low[i], at), high[i]) if sign > 0 else (low[i], min(high[i], at))
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
        if n not in (d := self.home(n)).cache:
            for m in self.graph.cone(n):
                if m not in (h := self.home(m)).cache:
                    h.cache[m] = h.refined(m, *h.compute(m))
        return d.cache[n]

    def refined(self, n: int, lo: list[int], hi: list[int]) -> Box:
        """Bounds cut by the facts and signs of this domain."""
        facts = [f for d in self.chain() for f in d.facts if f[0] == n]
        facts += [(n, i, s, 0) for i, s in self.signs.get(n, {}).items()]
        if facts:
            lo, hi = list(lo), list(hi)
        for _, i, sign, bound in facts:
            if sign > 0:
                lo[i] = max(lo[i], bound)
            else:
                hi[i] = min(hi[i], -bound)
        if any(map(gt, lo, hi)):
            self.empty = True
            raise Empty
        return lo, hi

    def compute(self, n: int) -> Box:
        g, unit, args = self.graph, self.scale.unit, self.graph.args[n]
        boxes = [self.home(a).cache[a] for a in args]
        if g.kind[n] == "I":
            at = g.data[n]
            return self.box[0][at : at + g.size[n]], self.box[1][at : at + g.size[n]]
        if g.kind[n] == "A":
            parts, den, _ = g.data[n]
            mid, rad = [0] * g.size[n], [0] * g.size[n]
            for (_, m), (lo, hi) in zip(parts, boxes, strict=True):
                f = den // m.den
                mid = [a + f * b for a, b in zip(mid, apply(m.rows, list(map(add, lo, hi))), strict=True)]
                width = [b - a for a, b in zip(lo, hi, strict=True)]
                rad = [a + f * b for a, b in zip(rad, apply(m.sizes, width), strict=True)]
            low, high = self.scale.bias(n)
            return ([b + (c - r) // (2 * den) for b, c, r in zip(low, mid, rad, strict=True)],
                    [b - (-c - r) // (2 * den) for b, c, r in zip(high, mid, rad, strict=True)])
        (lo, hi), (low, high) = boxes[0], boxes[-1]
        if g.kind[n] == "R":
            return [max(v, 0) for v in lo], [max(v, 0) for v in hi]
        if g.kind[n] == "S":
            signs = self.signs.get(args[0], {})
            closed = 0 if self.scale.shut else -1
            return ([unit * (v > 0 or signs.get(i, 0) > 0) for i, v in enumerate(lo)],
                    [unit * (v > closed and signs.get(i, 0) >= 0) for i, v in enumerate(hi)])
        if g.kind[n] == "G":
            return ([b if a else min(b, 0) if c else 0 for a, b, c in zip(lo, low, hi, strict=True)],
                    [b if a else max(b, 0) if c else 0 for a, b, c in zip(lo, high, hi, strict=True)])
        ends = [sorted((a * c, a * d, b * c, b * d)) for a, b, c, d in zip(lo, hi, low, high, strict=True)]
        if args[0] == args[1]:
            ends = [[max(0, e[0]), *e] if a * b > 0 else [0, *e] for e, a, b in zip(ends, lo, hi, strict=True)]
        return [e[0] // unit for e in ends], [-(-e[-1] // unit) for e in ends]

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

    def lower(self, coefs: dict[int, list[int]], const: int, param: dict[str, dict[int, bytes]],
              relu_of: dict[int, int]) -> int:
        """A lower bound by backward substitution; units of 2^-F / unit. Any multipliers are sound."""
        g, (unit, odd, bits) = self.graph, (self.scale.unit, self.scale.odd, self.scale.bits)

        def give(n: int, values: list[int]) -> None:
            coefs[n] = list(map(add, coefs[n], values)) if n in coefs else values

        def fraction(kind: str, i: int, default: int, other: str = "") -> int:
            found = param.get(other, {}).get(n, param.get(kind, {}).get(n))
            return default if found is None else found[i] if i < len(found) else 0

        while coefs:
            n = max(coefs)
            c, kind, args = coefs.pop(n), g.kind[n], g.args[n]
            live = [i for i, v in enumerate(c) if v]
            if kind == "I":
                lo, hi = self.get(n)
                const += sum(c[i] * (lo[i] if c[i] > 0 else hi[i]) for i in live)
            elif kind == "A":
                parts, den, _ = g.data[n]
                low, high = self.scale.bias(n)
                const += sum(c[i] * (low[i] if c[i] > 0 else high[i]) for i in live)
                for a, m in parts:
                    lo, hi = self.get(a)
                    back = apply(g.transpose(m).rows, c, (lo, hi))
                    if m.den > 1:
                        # Sound: c x >= floor(c) x + min(0, lo x) for a remainder in [0, 1).
                        const += sum(min(0, v) for v, b in zip(lo, back, strict=True) if b % m.den)
                        back = [b // m.den for b in back]
                    give(a, back)
            elif kind == "R":
                lo, hi = self.get(args[0])
                back = [0] * len(c)
                for i in live:
                    if lo[i] >= 0:
                        back[i] = c[i]
                    elif hi[i] > 0 and c[i] > 0:
                        back[i] = c[i] * fraction("R", i, 128 * (hi[i] > -lo[i])) >> 7
                    elif hi[i] > 0:
                        # Sound: above the chord's ends, the plane k z + b is above the convex R.
                        k = -c[i] * hi[i] // (hi[i] - lo[i])
                        back[i], const = -k, const - max(-k * lo[i], (-c[i] - k) * hi[i])
                give(args[0], back)
            elif kind == "S":
                (lo, hi), (off, on) = self.get(args[0]), self.get(n)
                y = relu_of.get(args[0], n)
                back, tied = [0] * len(c), [0] * len(c)
                for i in live:
                    if off[i] or on[i] and c[i] < 0:
                        const += c[i] * unit
                    if off[i] or not on[i] or not (hi[i] > 0 if c[i] > 0 else lo[i] < 0):
                        continue
                    # Sound: rounding a tie down weakens it, since y >= 0 and y - z >= 0.
                    k = abs(c[i]) * fraction("S", i, 0) * unit // (128 * (hi[i] if c[i] > 0 else -lo[i]))
                    if y < n:
                        tied[i], back[i] = k, 0 if c[i] > 0 else -k
                    else:
                        back[i] = k if c[i] > 0 else -k
                give(args[0], back)
                if any(tied):
                    give(y, tied)
            elif kind == "G":
                (off, on), (lo, hi) = self.get(args[0]), self.get(args[1])
                back, gate = [0] * len(c), [0] * len(c)
                for i in live:
                    if off[i]:
                        back[i] = c[i]
                    elif on[i]:
                        near, far = lo[i] // odd, -(-hi[i] // odd)
                        near, far = (near, far) if c[i] > 0 else (far, near)
                        chord = 128 * far * (c[i] > 0) - 128 * far * (c[i] < 0)
                        chord = min(128, max(0, chord // (abs(far - near) or 1))) if far != near else 128
                        mix = fraction("G", i, chord, "H" if c[i] < 0 else "")
                        rest = c[i] * (128 - mix) // 128
                        back[i], gate[i] = rest, (c[i] - rest) * near + rest * far >> bits
                        const -= rest * far * odd
                give(args[1], back)
                give(args[0], gate)
            else:
                const += self.lower_product(n, c, live, give, fraction)
        return const

    def lower_product(self, n: int, c: list[int], live: list[int], give: Any, fraction: Any) -> int:
        """McCormick's planes of a product, or tangents and the chord of a square."""
        (a, b), odd, bits, const = self.graph.args[n], self.scale.odd, self.scale.bits, 0
        (lo, hi), (low, high) = self.get(a), self.get(b)
        left, right = [0] * len(c), [0] * len(c)

        def put(back: list[int], i: int, value: int, shift: int, least: int) -> int:
            back[i] = value // shift
            return min(0, least) if value % shift else 0

        for i in live:
            if a != b and lo[i] == hi[i]:
                const += put(right, i, c[i] * lo[i], self.scale.unit, low[i])
                continue
            if a != b and low[i] == high[i]:
                const += put(left, i, c[i] * low[i], self.scale.unit, lo[i])
                continue
            v1, v2, w1, w2 = lo[i] // odd, -(-hi[i] // odd), low[i] // odd, -(-high[i] // odd)
            mix = fraction("M", i, 64, "N" if c[i] < 0 else "")
            if a == b:
                p = (v1 * (128 - mix) + v2 * mix) // 128
                v, w = (2 * p, p * p) if c[i] > 0 else (v1 + v2, v1 * v2)
                const += put(left, i, c[i] * v, 1 << bits, lo[i]) + (-c[i] * w * odd >> bits)
                continue
            first = c[i] * mix // 128
            rest = c[i] - first
            v1, v2 = (v1, v2) if c[i] > 0 else (v2, v1)
            const += put(right, i, first * v1 + rest * v2, 1 << bits, low[i])
            const += put(left, i, first * w1 + rest * w2, 1 << bits, lo[i])
            const += -(first * v1 * w1 + rest * v2 * w2) * odd >> bits
        give(b, right)
        give(a, left)
        return const


# --- the certificate ------------------------------------------------------------------------------

LINES = {"f": {"f", "p", "z", "r"}, "b": {"b", "p", "z", "r"}, "s": {"s"}, "x": {"x"}, "l": {"l"}, "t": {"t"}}


def refuse(token: str) -> Any:
    raise Bad(f"the number {token:.20} is not whole")


def stream(path: str) -> Iterator[dict[str, Any]]:
    """The lines of a certificate, one at a time."""
    with open(path, "rb") as raw:
        opened: Any = gzip.open(raw) if raw.read(2) == b"\x1f\x8b" else raw
        raw.seek(0)
        while line := opened.readline(MAX_LINE + 1):
            need(len(line) <= MAX_LINE, "a line is too long")
            found = json.loads(line, parse_float=refuse, parse_constant=refuse)
            need(isinstance(found, dict), "a line is no JSON object")
            yield found


class Checker:
    """Checks the lines of one certificate against one claim."""

    def __init__(self, claim: Claim) -> None:
        self.claim, self.graph = claim, claim.graph
        self.atoms: list[tuple[Form, bool]] = []
        self.broken = self.number(claim.broken)
        known: dict[Any, int] = {}
        keys = [(tuple(sorted(f[0].items())), f[1], strict) for f, strict in self.atoms]
        self.same = [known.setdefault(key, k) for k, key in enumerate(keys)]
        used = {n for form, _ in self.atoms for n, _ in form[0]}
        self.order = sorted({m for n in used for m in self.graph.cone(n)})
        relus = {n: self.graph.index.get(("R", self.graph.args[n], None)) for n in self.order
                 if self.graph.kind[n] == "S"}
        self.relu_of = {self.graph.args[n][0]: y for n, y in relus.items() if y is not None}
        nodes = sorted({*self.order, *self.relu_of.values()})
        self.named = {k: [n for n in nodes if self.graph.kind[n] == k] for k in "RSGM"}
        numbers = [*claim.lo, *claim.hi, *(b for n in nodes if self.graph.kind[n] == "A"
                                           for b in self.graph.data[n][2])]
        odd = math.lcm(*(v.denominator >> ((v.denominator & -v.denominator).bit_length() - 1)
                         for v in numbers))
        self.scale = Scale(self.graph, odd if odd.bit_length() <= 40 else 1, E)
        unit = self.scale.unit
        self.root = Domain(self.scale, ([math.floor(v * unit) for v in claim.lo],
                                        [math.ceil(v * unit) for v in claim.hi]))
        self.ready: dict[int, Any] = {}

    def number(self, f: Formula) -> Any:
        """The formula with its atoms numbered from left to right."""
        if isinstance(f, list):
            return f[0], [self.number(p) for p in f[1]]
        self.atoms.append(f)
        return len(self.atoms) - 1

    def header(self, head: dict[str, Any]) -> None:
        need(head.keys() <= {"vxc", "network", "spec", "nodes", "atoms", "witness", "note"}, "unknown key")
        sizes = {k: [self.graph.size[n] for n in v] for k, v in self.named.items()}
        need(head.get("nodes", sizes) == sizes, f"nodes: the claim has {json.dumps(sizes)}")
        need(head.get("atoms", len(self.atoms)) == len(self.atoms), f"atoms: the claim has {len(self.atoms)}")

    def negated(self, k: int) -> Any:
        """The integral form of minus atom k; of 0 for k = -1."""
        if k not in self.ready:
            form = total([(self.atoms[k][0], -1)]) if k >= 0 else ({}, ZERO)
            odd = math.lcm(*(c.denominator for c in form[0].values()))
            odd = odd if odd.bit_length() <= 64 else 1
            self.ready[k] = self.scale.integral(form, Fraction(odd))
        return self.ready[k]

    def node(self, kind: Any, n: Any) -> int:
        need(kind in ("R", "S", "G", "M") and isinstance(n, int) and 0 <= n < len(self.named[kind]),
             f"no node {kind}{n}")
        return self.named[kind][n]

    def argument(self, kind: Any, n: Any, a: Any, i: Any) -> int:
        """The node that is argument a of a named node and has an element i."""
        args = self.graph.args[self.node(kind, n)]
        need(isinstance(a, int) and isinstance(i, int) and 0 <= a < len(args), f"no argument {a!r:.20}")
        need(0 <= i < self.graph.size[args[a]], f"no element {i}")
        return args[a]

    def bound(self, d: Domain, terms: Any, const: int, line: dict[str, Any]) -> int:
        """A lower bound of an integral form on a domain with the multipliers of a line."""
        param: dict[str, dict[int, bytes]] = {}
        for key, value in line.get("p", {}).items():
            named = re.fullmatch(r"([RSGHMN])(0|[1-9]\d{0,8})", key)
            need(named, f"unknown multipliers {key:.20}")
            kind, n = key[0], self.node({"H": "G", "N": "M"}.get(key[0], key[0]), int(key[1:]))
            found = binascii.a2b_base64(value, strict_mode=True) if value else b""
            need(len(found) <= self.graph.size[n] and max(found, default=0) <= 128, f"{key} is out of range")
            param.setdefault(kind, {})[n] = found
        coefs, const = d.begin(terms, const)
        extra: list[tuple[Any, int]] = []
        for key, known in (("z", d.units), ("r", self.claim.cuts)):
            for j, m, e in line.get(key, ()):
                need(all(isinstance(v, int) for v in (j, m, e)) and 0 <= j < len(known), f"no multiplier {j}")
                need(m >= 0 and m.bit_length() < 4096 > abs(e), "a multiplier is out of range")
                value = Fraction(m) * Fraction(2) ** e
                if key == "z":
                    z, i, sign = d.units[j]
                    extra.append(([(z, i, -sign * math.floor(value * (1 << F)), False)], 0))
                else:
                    extra.append(self.scale.integral(self.claim.cuts[j], value))
        for more, c in extra:
            new, c = d.begin(more, c)
            const += c
            for n, values in new.items():
                coefs[n] = list(map(add, coefs.get(n, [0] * len(values)), values))
        return d.lower(coefs, const, param, self.relu_of)

    def settle(self, d: Domain) -> None:
        """Derive the facts and bounds attached to a domain."""
        for line in d.pending:
            if "b" in line:
                k = line["b"]
                need(isinstance(k, int) and -1 <= k < len(self.atoms), f"no atom {k!r:.20}")
                low = self.bound(d, *self.negated(k), line)
                if k < 0 < low:
                    d.empty = True
                    raise Empty
                if k >= 0 and (low > 0 or low == 0 and self.atoms[k][1]):
                    d.dead.add(self.same[k])
                continue
            kind, n, a, i, sign = line["f"]
            z = self.argument(kind, n, a, i)
            need(sign in (1, -1), "a fact's sign")
            bound = self.bound(d, [(z, i, sign << F, False)], 0, line) >> F
            d.facts.append((z, i, sign, bound))
            above = self.graph.above(z)
            d.changed |= above
            for m in above & d.cache.keys():
                del d.cache[m]
        d.pending = []

    def closed(self, d: Domain, f: Any) -> bool:
        """Whether the formula is false on the whole domain."""
        dead: set[int] = set()
        seen: dict[int, bool] = {}
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
        except Empty:
            return True

        def open_(k: int) -> bool:
            k = self.same[k]
            if k not in seen:
                low = d.least(*self.negated(k))
                seen[k] = k not in dead and not (low > 0 or low == 0 and self.atoms[k][1])
            return seen[k]

        return not alive(f, open_)

    def tree(self, lines: Iterable[dict[str, Any]], f: Any, share: tuple[int, int]) -> int:
        """Read one tree to its end; the number of leaves marked open. Bad where one does not close."""
        todo: list[Callable[[], Domain]] = []
        leaves = left = 0
        d = Domain(self.scale, self.root.box, self.root)
        for line in lines:
            kind = next((k for k in LINES if k in line), "")
            need(kind not in ("", "t") and line.keys() <= LINES[kind] and len(todo) < 10_000, "unknown line")
            if kind in "fb":
                d.pending.append(line)
            elif kind in "sx":
                if kind == "s":
                    k, n, i = line["s"]
                    need(k in ("R", "S"), "no unit")
                    make: Any = partial(d.split, self.argument(k, n, 0, i), i)
                else:
                    i, at = line["x"][0], exact(line["x"][1]) * self.scale.unit
                    need(isinstance(i, int) and 0 <= i < self.claim.size, "no input")
                    n = next(iter(self.claim.input(i)[0]))[0]
                    make = lambda s, d=d, n=n, i=i, at=at: d.cut(n, i, math.floor(at) if s > 0 else math.ceil(at), s)  # noqa: E501,E731
                todo.append(partial(make, -1))
                d = make(1)
            else:
                need(line["l"] in (0, 1), "unknown leaf")
                left += line["l"] == 0
                if line["l"] and (leaves >> 4) % share[1] == share[0]:
                    need(self.closed(d, f), f"leaf {leaves} does not close")
                leaves += 1
                if not todo:
                    return left
                d = todo.pop()()
        raise Short(f"the file ends with {len(todo) + 1} nodes to come")

    def run(self, head: dict[str, Any], lines: Iterator[dict[str, Any]], share: tuple[int, int]) -> str:
        self.header(head)
        if "witness" in head:
            need(next(lines, None) is None, "lines after a witness")
            self.witness([exact(v) for v in head["witness"]])
            return "valid (refutation)"
        assume, goal = self.broken[1]
        parts = goal[1] if isinstance(goal, tuple) and goal[0] == 1 else [goal]
        covered: set[int] = set()
        left = 0
        for line in lines:
            if not covered and line.keys() & {"f", "b"} and line.keys() <= LINES["f"] | LINES["b"]:
                self.root.pending.append(line)
            elif line.keys() == {"t"}:
                picked = set(line["t"])
                need(picked <= set(range(len(parts))), "no such part")
                left += self.tree(lines, (2, [assume, (1, [parts[j] for j in picked])]), share)
                covered |= picked
            else:
                need(not covered, "lines after the end")
                left += self.tree(chain([line], lines), self.broken, share)
                covered = {-1, *range(len(parts))}
        if len(covered - {-1}) < len(parts) or not covered:
            raise Short("parts of the claim have no tree")
        if left:
            raise Short(f"{left} leaves open")
        return "valid"

    def witness(self, x: list[Fraction]) -> None:
        """Whether a point lies in the region and off every kink, and breaks the claim."""
        claim, g = self.claim, self.graph
        need(len(x) == claim.size, "witness: a wrong length")
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
        holds = [v > 0 or v == 0 and not strict for v, (_, strict) in zip(values, self.atoms, strict=True)]
        need(alive(self.broken, holds.__getitem__), "witness: the claim holds there")



def alive(f: Any, atom: Callable[[int], bool]) -> bool:
    """Whether a numbered formula can be true when just these atoms can."""
    return atom(f) if isinstance(f, int) else sum(alive(p, atom) for p in f[1]) >= f[0]


def check(files: Sequence[str], share: tuple[int, int] = (0, 1)) -> tuple[int, str]:
    """(exit code, message) for network, spec and certificate; `share`: which of how many workers."""
    code = 65
    try:
        network, spec = (read(path) for path in files[:2])
        lines = stream(files[2])
        code = 1
        head = next(lines, {})
        need(head.get("vxc") == 1, "header: not a certificate of version 1")
        for key, data in (("network", network), ("spec", spec)):
            need(head.get(key) == hashlib.sha256(data).hexdigest(), f"header: {key}: it is of another file")
        code = 65
        net = Network(unzipped(network), Graph())
        if files[1].endswith((".vnnlib", ".vnnlib.gz")):
            claim: Claim = Query(unzipped(spec).decode(), net)
        else:
            claim = Claim(tomllib.loads(spec.decode(), parse_float=exact), os.path.dirname(files[1]), net)
        code = 1
        return 0, Checker(claim).run(head, lines, share)
    except Bad as error:
        return code, f"invalid: {error}"
    except Short as error:
        return 2, f"incomplete: {error}"
    except OSError as error:
        return 65, f"invalid: {error.filename or 'a file'} cannot be read ({error.strerror or error})"
    except Exception as error:  # whatever untrusted bytes bring about is one line, never a traceback
        return code, f"invalid: malformed ({type(error).__name__}: {error})"


def main(args: list[str]) -> int:
    jobs = 1
    if "--jobs" in args[:-1]:
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
    code, text = max(results, key=lambda r: (0, 2, 1, 65).index(r[0]))
    print(" ".join(text.split())[:500])
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
