"""Checks certificates alone: standard library only, exact integers only, nothing of verifex.

    python -I -S checker.py net.onnx spec.toml proof.vxc [--jobs N]

Prints `valid`, `invalid: WHERE` or `incomplete: WHAT`; exit codes 0, 1, 2 (65: unreadable input).
certificate/format.md is the normative text. Below: ONNX file, graph, operators, spec, bounds, tree.
"""

from __future__ import annotations

import base64
import csv
import fnmatch
import gzip
import hashlib
import io
import json
import math
import os
import re
import struct
import sys
import tomllib
import zlib
from collections import namedtuple
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from decimal import Decimal
from fractions import Fraction
from functools import partial, reduce
from itertools import accumulate, chain, compress, islice, pairwise, product, repeat, zip_longest
from operator import add, floordiv, gt, lt, mul, sub
from typing import Any

MAX_FILE, MAX_LINE, MAX_SIZE, MAX_TERMS = 1 << 29, 1 << 26, 1 << 22, 1 << 25
MAX_MADE, MAX_NODES, MAX_DEPTH, MAX_BITS = 1 << 24, 3_000, 2_000, 1 << 14
F, E = 64, 52  # coefficients are multiples of 2^-F, bounds of 1 / (Q 2^E) with a short odd Q
ZERO, ONE = Fraction(0), Fraction(1)
Message = dict[int, list[Any]]
Form = tuple[dict[tuple[int, int], Any], Any]  # (node, element) -> coefficient; constant
Formula = Any  # (form, strict): form >= 0 or > 0; or [count, parts]: at least so many of the parts
Box = tuple[list[int], list[int]]


class Bad(Exception):
    """What is wrong, in one line."""


class Short(Bad):
    """What the certificate does not cover."""


class Empty(Exception):
    """Bounds contradict each other: the domain has no point."""


def need(ok: object, what: str) -> None:
    if not ok:
        raise Bad(what)


@contextmanager
def at(place: str) -> Iterator[None]:
    """Names the file, key or line in whatever is refused inside."""
    try:
        yield
    except Bad as error:
        raise Bad(f"{place}: {error}") from None
    except (ArithmeticError, AttributeError, EOFError, LookupError, RuntimeError, TypeError,
            ValueError, StopIteration, csv.Error, struct.error, zlib.error) as error:
        raise Bad(f"{place}: malformed ({type(error).__name__}: {error})") from None


def read(path: str) -> tuple[bytes, str]:
    """A file, unzipped if it is zipped, and the SHA-256 of its bytes as they lie on disk."""
    with open(path, "rb") as opened:
        data = plain = opened.read(MAX_FILE + 1)
    if data[:2] == b"\x1f\x8b":
        plain = gzip.GzipFile(fileobj=io.BytesIO(data)).read(MAX_FILE + 1)
    need(max(len(data), len(plain)) <= MAX_FILE, f"{path} is too big")
    return plain, hashlib.sha256(data).hexdigest()


def pick(items: Sequence[Any], k: int, what: str) -> Any:
    need(0 <= k < len(items), f"no {what} {k}")
    return items[k]


# --- ONNX: the protobuf wire format ---------------------------------------------------------------


def varint(source: io.BytesIO) -> int:
    value = 0
    for shift in range(0, 70, 7):
        (byte,) = source.read(1)
        value |= (byte & 127) << shift
        if byte < 128:
            return (value & (1 << 64) - 1) - ((value >> 63 & 1) << 64)
    raise Bad("a protobuf number of over ten bytes")


def message(data: bytes) -> Message:
    """Field number -> values: integers, bytes, or (bytes,) for four or eight of fixed width."""
    need(isinstance(data, bytes), "a protobuf field of another type")
    out, source = Message(), io.BytesIO(data)
    while source.tell() < len(data):
        key = varint(source)
        need(8 <= key < 1 << 32, "a wrong protobuf tag")
        value: Any = varint(source) if key & 7 in (0, 2) else {1: 8, 5: 4}[key & 7]
        if key & 7:
            need(0 <= value <= len(data) - source.tell(), "the protobuf data is cut short")
            value = source.read(value) if key & 7 == 2 else (source.read(value),)
        out.setdefault(key >> 3, []).append(value)
    return out


def one(m: Message, field: int, default: Any) -> Any:
    """A field of the default's type; given twice, or as another type, readers disagree on it."""
    found = m.get(field, [default])
    need(len(found) == 1 and type(found[0]) is type(default), f"a wrong protobuf field {field}")
    return found[0]


def text(m: Message, field: int) -> str:
    return str(one(m, field, b"").decode())


def integers(values: Sequence[Any]) -> list[int]:
    """A repeated integer field, packed or not."""
    out = list[int]()
    for v in values:
        source = io.BytesIO(b"" if isinstance(v, int) else v)  # TypeError for a fixed width
        out += [v] if isinstance(v, int) else []
        while source.tell() < len(source.getbuffer()):
            out.append(varint(source))
    return out


def packed_reals(values: Sequence[Any], width: int) -> bytes:
    """A repeated field of floats, packed or not."""
    need(all(isinstance(v, bytes) or len(v[0]) == width for v in values), "wrong numbers")
    return b"".join(v if isinstance(v, bytes) else v[0] for v in values)


def reals(raw: bytes, code: str = "<f") -> list[Fraction]:
    """Packed numbers, each at its exact value; NaN and infinities are refused."""
    try:
        # Decoding is all that a float is used for: the next thing is the fraction it stands for.
        return [Fraction(v) for (v,) in struct.iter_unpack(code, raw)]
    except (OverflowError, ValueError):
        raise Bad("a NaN or an infinity among the numbers") from None


def nearest(v: Fraction, bits: int, low: int) -> Fraction:
    """The nearest binary float of so many bits with least exponent `low`, ties to even."""
    e = abs(v.numerator).bit_length() - v.denominator.bit_length()
    e = max(e + (abs(v) >= Fraction(2) ** e) - bits, low)
    return round(v * Fraction(2) ** -e) * Fraction(2) ** e


def typed_name(kind: int) -> str:
    return KINDS[kind][0] if kind in KINDS else f"element type {kind}"


def tensor(graph: NetworkGraph, t: Message) -> SymbolicTensor:
    """A TensorProto at its exact value, with its element type."""
    kind = one(t, 2, 0)
    need(kind in STORED, f"unsupported tensor of {typed_name(kind)}")
    need(not t.keys() & {3, 13} and not one(t, 14, 0),
         "unsupported tensor in segments or outside the file")
    code, field = STORED[kind]
    given = t.keys() & {4, 5, 6, 7, 9, 10, 11}
    need(len(given) < 2 and given <= {field, 9}, "a tensor with its numbers elsewhere, or twice")
    shape, width = integers(t.get(1, ())), struct.calcsize(code)
    raw, stored = one(t, 9, b""), t.get(field, ())
    need(all(0 <= d <= MAX_SIZE for d in shape), "a tensor with a wrong dimension")
    need(math.prod(shape) <= MAX_SIZE and len(raw) <= width * MAX_SIZE, "a tensor is too big")
    need(len(raw) % width == 0, "a tensor with broken bytes")
    if field in (4, 10):
        return constants(graph, shape, reals(raw or packed_reals(stored, width), code), kind)
    whole = reals(raw, code) or [Fraction(v) for v in integers(stored)]
    return constants(graph, shape, whole, kind).within()


# --- tensors of linear forms, and the graph -------------------------------------------------------

LARGEST = Fraction((1 << 24) - 1) * (1 << 104)  # of the finite float32
# ONNX element types: name, least and greatest number. Arithmetic is on floats; integers are
# constants (shapes, axes, indices), booleans are constants or gates.
KINDS = {
    1: ("float32", -LARGEST, LARGEST), 6: ("int32", -(1 << 31), (1 << 31) - 1),
    7: ("int64", -(1 << 63), (1 << 63) - 1), 9: ("bool", 0, 1), 10: ("float16", -65504, 65504),
    11: ("float64", -((1 << 53) - 1) << 971, ((1 << 53) - 1) << 971),
}
STORED = {1: ("<f", 4), 6: ("<i", 5), 7: ("<q", 7), 9: ("<B", 5), 11: ("<d", 10)}  # code, field


def total(terms: Iterable[tuple[Form, Any]], const: Any = ZERO) -> Form:
    """sum of factor * form + const."""
    out: dict[tuple[int, int], Any] = {}
    for (refs, c), f in terms:
        const += c * f if f and c else 0
        for r, v in refs.items() if f else ():
            term = f if v is ONE else v if f == 1 else v * f
            out[r] = out[r] + term if r in out else term
    return {r: v for r, v in out.items() if v}, Fraction(const)


class SymbolicTensor:
    """A shape and, in C order, its elements as linear forms of the values of a graph.

    `kind` is its ONNX element type (0 on the way through a rule), `derived` says whether integers
    were computed by arithmetic on integers.
    """

    def __init__(self, graph: NetworkGraph, shape: Iterable[int], items: list[Form], kind: int = 0,
                 derived: bool = False) -> None:
        self.graph, self.shape, self.items = graph, tuple(shape), items
        self.kind, self.derived = kind, derived
        graph.made += len(items)
        need(graph.made <= MAX_MADE, "too many values")
        need(min((0, *self.shape)) == 0 and math.prod(self.shape) == len(items), "a wrong shape")
        self.strides = [math.prod(self.shape[k + 1 :]) * (d > 1) for k, d in enumerate(self.shape)]
        self.fixed: bool = not any(refs for refs, _ in items)

    def at(self, index: Sequence[int]) -> Form:
        """An element; axes of 1 stretch, and further axes may lead the index."""
        return self.items[int(sum(map(mul, index[len(index) - len(self.shape) :], self.strides)))]

    def shaped(self, shape: Iterable[int]) -> SymbolicTensor:
        return SymbolicTensor(self.graph, shape, self.items)

    def typed(self, kind: int, derived: bool = False) -> SymbolicTensor:
        """The same elements as another tensor of this element type."""
        if (self.kind, self.derived) == (kind, derived):
            return self
        return SymbolicTensor(self.graph, self.shape, self.items, kind, derived).within()

    def within(self) -> SymbolicTensor:
        """The tensor itself; refused where a constant is none of its element type.

        Sound: arithmetic on integers wraps around, on floats it ends in infinities. Only constants
        can be compared with the range; computed floats are taken as real numbers.
        """
        name, low, high = KINDS[self.kind]
        need(self.fixed or self.kind not in (6, 7), f"unsupported computed {name}")
        need(not self.fixed or all(low <= c <= high for _, c in self.items),
             f"a constant beyond the range of {name}")
        return self

    def consts(self) -> list[Fraction]:
        need(self.fixed, "a constant is needed")
        return [c for _, c in self.items]

    def ints(self) -> list[int]:
        need(all(c.denominator == 1 for c in self.consts()), "whole numbers are needed")
        return [int(c) for c in self.consts()]

    def solid(self) -> SymbolicTensor:
        """The tensor as elements of one node, unless it is constant."""
        g = self.graph
        return self if self.fixed else SymbolicTensor(g, self.shape, g.refs(g.rows(self.items)))

    def __add__(self, other: SymbolicTensor) -> SymbolicTensor:
        return combine((self, 1), (other, 1))

    def __sub__(self, other: SymbolicTensor) -> SymbolicTensor:
        return combine((self, 1), (other, -1))

    def __mul__(self, other: SymbolicTensor) -> SymbolicTensor:
        a, b = (self, other) if other.fixed else (other, self)
        shape, g = stretched(a, b), self.graph
        if b.fixed:
            return built(g, shape, lambda i: total([(a.at(i), b.at(i)[1])]))
        pair = [t if t.shape == tuple(shape) else built(g, shape, t.at) for t in (self, other)]
        gates = [t for t in pair if t.binary()][:1]
        if gates and gates[0] is pair[1]:
            pair.reverse()
        factors = [g.rows(t.items) for t in pair]
        need(gates or factors[0] != factors[1], "unsupported square of a computed tensor")
        return SymbolicTensor(g, shape, g.refs(g.op("G" if gates else "M", *factors)))

    def binary(self) -> bool:
        """Whether each element is the gate of some unit."""
        return all(not c and len(refs) == 1 and all(
            v == 1 and self.graph.nodes[n].kind == "S" for (n, _), v in refs.items())
            for refs, c in self.items)

    def relu(self) -> SymbolicTensor:
        g = self.graph
        return SymbolicTensor(g, self.shape, g.refs(g.op("R", g.rows(self.items))))

    def gate(self) -> SymbolicTensor:
        """1 where an element is above 0, else 0."""
        g = self.graph
        return SymbolicTensor(g, self.shape, g.refs(g.op("S", g.rows(self.items))))

    def absolute(self) -> SymbolicTensor:
        t = self.solid()
        return combine((t.relu(), 2), (t, -1))


def digits(form: Form) -> int:
    """Bits of the longest number in a form."""
    sizes = [v.numerator.bit_length() + v.denominator.bit_length()
             for v in (form[1], *form[0].values())]
    return max(sizes, default=0)


def constants(
    graph: NetworkGraph, shape: Iterable[int], values: Iterable[Any], kind: int = 0
) -> SymbolicTensor:
    return SymbolicTensor(graph, shape, [({}, Fraction(v)) for v in values], kind)


def built(graph: NetworkGraph, shape: Sequence[int], cell: Callable[[Any], Form]) -> SymbolicTensor:
    """The tensor with this element at every index."""
    need(math.prod(shape) <= MAX_SIZE, "a tensor is too big")
    return SymbolicTensor(graph, shape, [cell(i) for i in product(*map(range, shape))])


def stretched(*tensors: SymbolicTensor, inner: int = 0) -> list[int]:
    """The common shape of tensors without their inner axes, where axes of 1 stretch."""
    shapes = [t.shape[::-1][inner:] for t in tensors]
    axes = [{*dims} - {1} for dims in zip_longest(*shapes, fillvalue=1)]
    need(all(len(sizes) < 2 for sizes in axes), "shapes do not fit")
    return [max(sizes, default=1) for sizes in axes[::-1]]


def combine(*terms: tuple[SymbolicTensor, Any]) -> SymbolicTensor:
    """sum of factor * tensor."""
    shape = stretched(*(t for t, _ in terms))
    return built(terms[0][0].graph, shape, lambda i: total((t.at(i), f) for t, f in terms))


def along(axis: int, where: Sequence[tuple[SymbolicTensor, int]]) -> SymbolicTensor:
    """Slices of tensors, each at a position, one after the other along an axis; zeros at -1."""
    ((lead, tail),) = {(t.shape[:axis], t.shape[axis + 1 :]) for t, _ in where}
    need(all(k < t.shape[axis] for t, k in where), "an index is out of range")

    def cell(i: tuple[int, ...]) -> Form:
        t, k = where[i[axis]]
        return t.at((*i[:axis], k, *i[axis + 1 :])) if k >= 0 else ({}, ZERO)

    return built(where[0][0].graph, (*lead, len(where), *tail), cell)


def transposed(t: SymbolicTensor, axes: Sequence[int]) -> SymbolicTensor:
    need(len(axes) == len(t.shape), "a transposition of other axes")
    shape, order = [t.shape[k] for k in axes], sorted(range(len(axes)), key=axes.__getitem__)
    return built(t.graph, shape, lambda i: t.at([i[k] for k in order]))


def packed(row: dict[int, int], width: int) -> tuple[Any, tuple[int, ...]]:
    """(rising positions, or None for all of several; weights)."""
    at = tuple(sorted(row))
    return None if len(at) == width > 1 else at, tuple(row[i] for i in at)


class PackedRows:
    """Packed rows of a matrix; a dense one's columns also as one integer each, a lane per row."""

    def __init__(self, rows: Iterable[Any], width: int) -> None:
        self.rows, self.width = tuple(rows), width
        self.lanes: dict[int, tuple[int, list[int]]] = {}  # by bytes a lane: half a range, columns
        self.most = max((sum(map(abs, weights)) for _, weights in self.rows), default=0)
        filled = 4 * sum(len(weights) for _, weights in self.rows)
        self.dense = len(self.rows) > 1 and filled >= width * len(self.rows)

    def times(self, x: list[int], skip: Box | None = None) -> list[int]:
        """The products of the rows with x; 0 for rows whose `skip` box is [0, 0]."""
        size = 4 + (max(1, *map(abs, x)) * self.most).bit_length() // 32 * 4
        if self.dense and size <= 64:  # lanes of more than that are for nobody's proof
            found = self.wide(x, size)
            return found if skip is None else [v if a or b else 0 for v, a, b in zip(found, *skip)]
        out, fetch = [0] * len(self.rows), x.__getitem__
        for k, (at, weights) in enumerate(self.rows) if any(x) else ():
            if skip is None or skip[0][k] or skip[1][k]:
                out[k] = sum(map(mul, weights, x if at is None else map(fetch, at)))
        return out

    def wide(self, x: list[int], size: int) -> list[int]:
        """All products at once: x_j times column j, summed; no lane reaches half of its range."""
        half, whole = 1 << 8 * size - 1, len(self.rows) * size
        if size not in self.lanes:
            offset = int.from_bytes(half.to_bytes(size, "little") * len(self.rows), "little")
            full = [weights if at is None else map(dict(zip(at, weights)).get, range(self.width))
                    for at, weights in self.rows]
            raw = [b"".join((half + (w or 0)).to_bytes(size, "little") for w in column)
                   for column in zip(*full, strict=True)]
            self.lanes[size] = offset, [int.from_bytes(c, "little") - offset for c in raw]
        offset, columns = self.lanes[size]
        added = sum(map(mul, compress(columns, x), filter(None, x)), offset)
        lanes = added.to_bytes(whole, "little")
        return [int.from_bytes(lanes[k : k + size], "little") - half for k in range(0, whole, size)]


Node = namedtuple("Node", "kind args size data cone")  # cone: the node and its ancestors
Scale = namedtuple("Scale", "graph unit odd bits shut relu_of biases balls")  # see the bounds


class NetworkGraph:
    """Nodes by position, equal ones once; a node's kind is I, A (affine), R, S, G or M."""

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self.index: dict[Any, int] = {}
        self.made = 0  # elements of all tensors so far

    def node(self, kind: str, args: tuple[int, ...], size: int, data: Any = 0, key: Any = 0) -> int:
        n = self.index.setdefault((kind, args, key), len(self.nodes))
        if n == len(self.nodes):
            cone = frozenset({n}.union(*(self.nodes[a].cone for a in args)))
            self.nodes.append(Node(kind, args, size, data, cone))
            need(n < MAX_NODES and sum(m.size for m in self.nodes) <= MAX_SIZE, "too many values")
        return n

    def op(self, kind: str, *args: int) -> int:
        return self.node(kind, args, self.nodes[args[-1]].size)

    def refs(self, n: int) -> list[Form]:
        return [({(n, i): ONE}, ZERO) for i in range(self.nodes[n].size)]

    def rows(self, forms: list[Form]) -> int:
        """The node whose elements are these forms: (rows of each argument) / den + bias.

        A part of its data is (argument, rows, rows without signs, columns).
        """
        args = tuple(sorted({n for refs, _ in forms for n, _ in refs}))
        if len(args) == 1 and forms == self.refs(args[0]):
            return args[0]
        den = math.lcm(*{c.denominator for refs, _ in forms for c in refs.values()})
        tables: Any = {n: ([{} for _ in forms], [{} for _ in self.refs(n)]) for n in args}
        for k, (refs, _) in enumerate(forms):
            for (n, i), c in refs.items():
                tables[n][0][k][i] = tables[n][1][i][k] = c.numerator * (den // c.denominator)
        parts, bias = [], tuple(c for _, c in forms)
        for n, (table, columns) in tables.items():
            rows = [packed(row, len(columns)) for row in table]
            sizes = [(at, tuple(map(abs, weights))) for at, weights in rows]
            back = [packed(c, len(forms)) for c in columns]
            by_row = (PackedRows(these, len(columns)) for these in (rows, sizes))
            parts.append((n, *by_row, PackedRows(back, len(forms))))
        key = (tuple(part[1].rows for part in parts), den, bias)
        return self.node("A", args, len(forms), (parts, den, bias), key)

    def gradient(self, output: int, inputs: Sequence[int]) -> list[int]:
        """Nodes d output / d input by reverse mode, for a node of one element."""
        terms: Any = {n: [[] for _ in self.refs(n)] for n in (*self.nodes[output].cone, *inputs)
                      if n == output or not self.nodes[n].cone.isdisjoint(inputs)}
        terms[output][0].append((({}, ONE), 1))
        out = {}
        for n in sorted(terms, reverse=True):
            out[n], node = self.rows([total(t) for t in terms[n]]), self.nodes[n]
            for a, _, _, columns in node.data[0] if node.kind == "A" else ():
                for j, (at, weights) in enumerate(columns.rows if a in terms else ()):
                    picked = range(node.size) if at is None else at
                    terms[a][j] += [(({(out[n], k): ONE}, ZERO), Fraction(w, node.data[1]))
                                    for k, w in zip(picked, weights)]
            if node.kind == "R":
                (a,) = node.args
                for j, gated in enumerate(self.refs(self.op("G", self.op("S", a), out[n]))):
                    terms[a][j].append((gated, ONE))
            for a, other in zip(node.args, node.args[::-1]) if node.kind in "GM" else ():
                if a in terms and not (node.kind == "G" and a == node.args[0]):
                    for j, part in enumerate(self.refs(self.op(node.kind, other, out[n]))):
                        terms[a][j].append((part, ONE))
        return [out[x] for x in inputs]


# --- ONNX operators -------------------------------------------------------------------------------


# Operator | inputs | result | attributes, as the standard has them in the operator sets 7 to 23.
# "@10-" is said of what exists since set 10, "@-9" of what existed until set 9, "?" of what may be
# left out, "+" of what may follow any number of times. Element types of inputs: R floats, N floats
# or integers, A any: one type for all of the same letter of a call. S, T: floats of a type of their
# own. J int32 or int64, L int64, B bool. Results: "=" has the type of the first input, "*" what the
# rule says. Attributes: f float, i integer, s string, t tensor, I integers.
OPERATORS = """
Abs | R | = |
Add | N N | = |
AveragePool | R | = | auto_pad:s ceil_mode:i@10- count_include_pad:i dilations:I@19- kernel_shape:I
    pads:I strides:I
BatchNormalization | R R@-14 S@15- R@-14 S@15- R@-13 S@14 T@15- R@-13 S@14 T@15- | = | epsilon:f
    momentum:f spatial:i@-8 training_mode:i@14-
Cast | A | * | to:i saturate:i@19-
Clip | R R?@11- R?@11- | = | min:f@-10 max:f@-10
Concat | A+ | = | axis:i
Constant | | * | value:t
Conv | R R R? | = | auto_pad:s dilations:I group:i kernel_shape:I pads:I strides:I
Div | N N | = |
Dropout | R S?@12- B?@12- | = | ratio:f@-11 seed:i@12-
Flatten | R@-8 A@9- | = | axis:i
Gather | A J | = | axis:i
Gemm | R R R@-10 R?@11- | = | alpha:f beta:f transA:i transB:i
GlobalAveragePool | R | = |
GlobalMaxPool | R | = |
Greater | R R | B |
Identity | A | = |
LeakyRelu | R | = | alpha:f
Less | R R | B |
MatMul | R R | = |
Max | R+ | = |
MaxPool | R | = | auto_pad:s ceil_mode:i@10- dilations:I@10- kernel_shape:I pads:I
    storage_order:i@8- strides:I
Min | R+ | = |
Mul | N N | = |
Neg | R | = |
PRelu | R R | = |
Pad | R@-12 A@13- L@11- R?@11-12 A?@13- L?@18- | = | mode:s pads:I@-10 value:f@-10
ReduceMax | R L?@18- | = | axes:I@-17 keepdims:i noop_with_empty_axes:i@18-
ReduceMean | R L?@18- | = | axes:I@-17 keepdims:i noop_with_empty_axes:i@18-
ReduceSum | R L?@13- | = | axes:I@-12 keepdims:i noop_with_empty_axes:i@13-
Relu | R | = |
Reshape | A L | = | allowzero:i@14-
Shape | A | L | start:i@15- end:i@15-
Slice | A J@10- J@10- J?@10- J?@10- | = | axes:I@-9 ends:I@-9 starts:I@-9
Split | A L?@13- | = | axis:i split:I@-12 num_outputs:i@18-
Squeeze | A L?@13- | = | axes:I@-12
Sub | N N | = |
Transpose | A | = | perm:I
Unsqueeze | A L@13- | = | axes:I@-12
"""
SIGNATURES = {row.split("|")[0].strip(): row.split("|")[1:]
              for row in OPERATORS.replace("\n    ", " ").strip().split("\n")}
LETTERS = {"R": (1, 10, 11), "S": (1, 10, 11), "T": (1, 10, 11), "N": (1, 6, 7, 10, 11),
           "A": (1, 6, 7, 9, 10, 11), "J": (6, 7), "L": (7,), "B": (9,)}


def existing(words: str, opset: int) -> list[str]:
    """Those of the words that the operator set has, without their marks of operator sets."""
    out = []
    for word, _, window in (w.partition("@") for w in words.split()):
        low, dash, high = window.partition("-")
        if int(low or 7) <= opset <= int(high or (23 if dash or not low else low)):
            out.append(word)
    return out


class OperatorCall:
    """One operator: its inputs x, None where left out; attributes are removed as they are read."""

    def __init__(
        self, graph: NetworkGraph, node: Message, inputs: list[Any], opset: int = 23
    ) -> None:
        self.graph, self.inputs, self.outputs = graph, inputs, len(node[2])
        self.x: list[SymbolicTensor] = inputs + list[Any]([None] * 5)
        self.op, self.opset = text(node, 4), opset
        takes, self.result, has = SIGNATURES[self.op]
        self.typecheck(existing(takes, opset))
        kinds = dict(word.split(":") for word in existing(has, opset))
        self.attributes = dict[str, Any]()
        for a in map(message, node.get(5, ())):
            key, kind = text(a, 1), one(a, 20, 0)
            need(key in kinds, f"unsupported attribute '{key[:40]}' at opset {opset}")
            need(kind == "?fist??I".find(kinds[key]) and 21 not in a, f"a wrong type of '{key}'")
            need(key not in self.attributes, f"attribute '{key}' twice")
            self.attributes[key] = ATTRIBUTES[kind](a)

    def typecheck(self, takes: list[str]) -> None:
        """Number and element types of the inputs are those that the standard allows."""
        if takes and takes[0][-1] == "+":
            takes = takes * max(1, len(self.inputs))
        need(len(self.inputs) <= len(takes), f"{len(self.inputs)} inputs")
        kinds = dict[str, int]()
        for k, (t, word) in enumerate(zip_longest(self.inputs, takes)):
            need(t or word[-1] == "?", f"input {k + 1} is missing")
            if t:
                name = typed_name(t.kind)
                need(t.kind in LETTERS[word[0]], f"unsupported {name} as input {k + 1}")
                need(kinds.setdefault(word[0], t.kind) == t.kind, "inputs of different types")

    def finished(self, t: SymbolicTensor) -> SymbolicTensor:
        """A result with its element type."""
        kind = {"=": self.x[0].kind if self.inputs else 0, "B": 9, "L": 7}.get(
            self.result.strip(), t.kind)
        derived = "N" in SIGNATURES[self.op][0] or any(x.derived for x in self.inputs if x)
        return t.typed(kind, kind in (6, 7) and derived)

    def attr(self, key: str, default: Any = None) -> Any:
        return self.attributes.pop(key, default)

    def flag(self, key: str, default: int = 0) -> int:
        found = int(self.attr(key, default))
        need(found in (0, 1), f"'{key}' is {found}")
        return found

    def ints(self, key: str, k: int, default: Any = None) -> Any:
        """Integers that are an attribute or, in later operator sets, the constant input k."""
        return self.x[k].ints() if self.x[k] else self.attr(key, default)

    def axes(self, given: Iterable[int], rank: int = -1) -> list[int]:
        rank = len(self.x[0].shape) if rank < 0 else rank
        out = [a + rank if a < 0 else a for a in given]
        need(all(0 <= a < rank for a in out) and len(set(out)) == len(out), "wrong axes")
        return out


def reshape(c: OperatorCall) -> SymbolicTensor:
    old, keep, new = c.x[0].shape, c.flag("allowzero"), c.x[1].ints()
    need(len(c.x[1].shape) == 1, "a Reshape to no list of numbers")
    need(not keep or not (0 in new and -1 in new), "a Reshape to 0 and -1")
    new = [old[k] if d == 0 and not keep else d for k, d in enumerate(new)]
    if -1 in new:
        known, size = math.prod(d for d in new if d != -1), math.prod(old)
        need(new.count(-1) == 1 and known > 0 and size % known == 0, "a Reshape to -1")
        new[new.index(-1)] = size // known
    return c.x[0].shaped(new)


def squeeze(c: OperatorCall) -> SymbolicTensor:
    shape = c.x[0].shape
    given = c.ints("axes", 1, [k for k, d in enumerate(shape) if d == 1])
    # Sound: of a list of no axes some readers take out all axes of 1, some none.
    need(given or 1 not in shape, "unsupported Squeeze of an empty list of axes")
    axes = c.axes(given)
    need(all(shape[k] == 1 for k in axes), "a Squeeze of a longer axis")
    return c.x[0].shaped([d for k, d in enumerate(shape) if k not in axes])


def unsqueeze(c: OperatorCall) -> SymbolicTensor:
    given, shape = c.ints("axes", 1), list(c.x[0].shape)
    need(given, "an Unsqueeze without axes")
    axes = c.axes(given, len(shape) + len(given))
    # Sound: in old operator sets some readers put in one axis after the other, counting anew.
    need(c.opset >= 13 or axes == sorted(axes), "unsupported axes out of order")
    need(c.opset >= 11 or min(given) >= 0, "unsupported negative axes at this opset")
    for k in sorted(axes):
        shape.insert(k, 1)
    return c.x[0].shaped(shape)


def flatten(c: OperatorCall) -> SymbolicTensor:
    t, axis = c.x[0], c.attr("axis", 1)
    rank = len(t.shape)
    axis += rank if -rank <= axis < 0 and c.opset >= 11 else 0
    need(0 <= axis <= rank, "a wrong axis")
    return t.shaped([math.prod(t.shape[:axis]), math.prod(t.shape[axis:])])


def transpose(c: OperatorCall) -> SymbolicTensor:
    order = list(c.attr("perm", range(len(c.x[0].shape))[::-1]))
    need(sorted(order) == list(range(len(c.x[0].shape))), "a wrong order of axes")
    return transposed(c.x[0], order)


def concat(c: OperatorCall) -> SymbolicTensor:
    given = c.attr("axis")
    need(given is not None and len({len(t.shape) for t in c.inputs}) == 1, "a wrong Concat")
    (axis,) = c.axes([given])
    return along(axis, [(t, k) for t in c.inputs for k in range(t.shape[axis])])


def cut(c: OperatorCall) -> SymbolicTensor:
    t, starts, ends = c.x[0], c.ints("starts", 1), c.ints("ends", 2)
    need(starts is not None and ends is not None, "a Slice without starts or ends")
    axes, steps = c.ints("axes", 3, range(len(starts))), c.ints("steps", 4, [1] * len(starts))
    for k, a, b, s in zip(c.axes(axes), starts, ends, steps, strict=True):
        # Sound: where a step backwards starts before its axis or ends behind it, some readers cut
        # the ends down to the axis, and some take the greatest integer for the start of the axis.
        need(s > 0 or (s < 0 and -t.shape[k] <= a and b < t.shape[k]),
             "unsupported Slice backwards from or to beyond its axis")
        places = range(t.shape[k])[a:b:s]
        empty = constants(c.graph, (*t.shape[:k], 0, *t.shape[k + 1 :]), [])
        t = along(k, [(t, i) for i in places]) if places else empty
    return t


def split(c: OperatorCall) -> list[SymbolicTensor]:
    t, (axis,), n = c.x[0], c.axes([c.attr("axis", 0)]), c.outputs
    each, given = -(-t.shape[axis] // n), c.ints("split", 1)
    need(given is None or "num_outputs" not in c.attributes, "a Split with split and num_outputs")
    need(c.attr("num_outputs", n) == n, "a Split of other outputs")
    need(given or t.shape[axis] % n == 0 or (c.opset >= 18 and each * (n - 1) < t.shape[axis]),
         "a Split into unequal parts")
    ends = [0, *accumulate(given or [min(each, t.shape[axis] - k * each) for k in range(n)])]
    need(len(ends) == n + 1 and ends[-1] == t.shape[axis] and ends == sorted(ends), "a Split")
    return [along(axis, [(t, i) for i in range(a, b)]) for a, b in pairwise(ends)]


def gather(c: OperatorCall) -> SymbolicTensor:
    t, index, (axis,) = c.x[0], c.x[1], c.axes([c.attr("axis", 0)])
    size, places = t.shape[axis], index.ints()
    need(all(-size <= k < size for k in places), "an index is out of range")
    shape = (*t.shape[:axis], *index.shape, *t.shape[axis + 1 :])
    if not places:
        return constants(c.graph, shape, [])
    found = along(axis, [(t, k % size) for k in places])
    return found.shaped(shape)


def pad(c: OperatorCall) -> SymbolicTensor:
    t, pads, fill = c.x[0], c.ints("pads", 1), c.x[2].consts() if c.x[2] else [c.attr("value", 0)]
    axes = c.axes(c.x[3].ints() if c.x[3] else range(len(t.shape)))
    need(pads is not None and len(pads) == 2 * len(axes), "a wrong number of pads")
    need(c.attr("mode", "constant") == "constant" and fill == [0], "unsupported mode or value")
    for k, a, b in zip(axes, pads[: len(axes)], pads[len(axes) :], strict=True):
        need(max(a, b) < MAX_SIZE and t.shape[k] + min(a, 0) + min(b, 0) >= 0, "a wrong pad")
        # Sound: what pads cut away is what they add to in no reader: see `within` of the ends.
        places = range(-a, t.shape[k] + b)
        t = along(k, [(t, i if i < t.shape[k] else -1) for i in places])
    return t


def cast(c: OperatorCall) -> SymbolicTensor:
    """Nothing, where the type holds the values: what it would round or wrap is refused."""
    t, to, _ = c.x[0], c.attr("to", 0), c.attr("saturate")
    name, out = f"{typed_name(t.kind)} to {typed_name(to)}", t.shaped(t.shape)
    out.kind = to
    if to == t.kind:
        return t
    if to in (6, 7):
        need(t.kind in (6, 7), f"unsupported Cast of {name}")
        return out.within()
    bits, low = {1: (24, -149), 11: (53, -1074)}.get(to, (0, 0))
    need(bits and not t.derived, f"unsupported Cast of {name}")
    need(t.fixed or t.kind in (9, 10) or to == 11, f"unsupported Cast of computed {name}")
    need(not t.fixed or all(v == nearest(v, bits, low) for v in t.consts()),
         f"unsupported Cast of {name} that rounds")
    return out.within()


def dropout(c: OperatorCall) -> SymbolicTensor:
    need(not c.x[2] or not any(c.x[2].consts()), "unsupported Dropout in training")
    c.attributes.clear()  # the rest matters in training alone
    return c.x[0]


def over_root(s: Fraction, v: Fraction) -> Fraction:
    """s / sqrt(v), rounded once to the nearest float64."""
    square = Fraction(s * s, v)
    shift = max(0, 128 - square.numerator.bit_length() + square.denominator.bit_length())
    whole, rest = divmod(square.numerator << 2 * shift, square.denominator)
    root = math.isqrt(whole)
    # The true root is `root` or lies strictly between it and the next: nothing can be a tie.
    found = nearest(Fraction(2 * root + (rest > 0 or root**2 < whole), 2 << shift), 53, -1074)
    return -found if s < 0 else found


def normalize(c: OperatorCall) -> SymbolicTensor:
    _, epsilon, shape = c.attr("momentum"), c.attr("epsilon", EPSILON), c.x[0].shape
    need(not c.flag("training_mode") and c.flag("spatial", 1), "unsupported normalization")
    need(len(shape) > 1 and all(v.shape == shape[1:2] for v in c.x[1:5]), "wrong shapes")
    side = [1, shape[1], *[1] * len(shape[2:])]
    scale, offset, mean, var = (v.shaped(side) for v in c.x[1:5])
    need(all(v + epsilon > 0 for v in var.consts()), "no positive variance + epsilon")
    pairs = zip(scale.consts(), var.consts(), strict=True)
    factor = constants(c.graph, side, [over_root(s, v + epsilon) for s, v in pairs])
    return (c.x[0] - mean) * factor + offset


def divide(a: SymbolicTensor, b: SymbolicTensor) -> SymbolicTensor:
    need(all(b.consts()), "a division by zero")
    found = a * constants(b.graph, b.shape, [Fraction(1, v) for v in b.consts()])
    if a.kind in (6, 7):
        found.ints()  # Sound: what rounds is refused, whichever way it would be rounded
    return found


def matmul(a: SymbolicTensor, b: SymbolicTensor) -> SymbolicTensor:
    """numpy's matmul with one side constant, the other's elements those of one node."""
    need(a.fixed or b.fixed, "unsupported product of two computed matrices")
    need(a.shape and b.shape, "a product of single numbers")
    depth, wide, lead = a.shape[-1], len(b.shape) > 1, stretched(a, b, inner=2)
    shape = (*lead, *a.shape[-2:-1], *b.shape[1:][-1:])
    need(depth == b.shape[-2:][0] and math.prod(shape) * depth <= MAX_TERMS, "matrices do not fit")

    def cell(i: tuple[int, ...]) -> Form:
        row, column = i[: len(i) - wide], i[len(i) - wide :]
        pairs = [(a.at((*row, k)), b.at((*i[: len(lead)], k, *column))) for k in range(depth)]
        return total((u, v[1]) if b.fixed else (v, u[1]) for u, v in pairs)

    return built(a.graph, shape, cell)


def gemm(c: OperatorCall) -> SymbolicTensor:
    need(len(c.x[0].shape) == len(c.x[1].shape) == 2, "a Gemm of no matrices")
    a, b = (transposed(t.solid(), (1, 0)) if c.flag(key) else t.solid()
            for t, key in zip(c.x, ("transA", "transB")))
    found, alpha, beta = matmul(a, b), c.attr("alpha", ONE), c.attr("beta", ONE)
    out = combine((found, alpha), *[(c.x[2], beta)] if c.x[2] else [])
    need(out.shape == found.shape, "a wrong shape of C")
    return out


def windows(c: OperatorCall, kernel: Sequence[int]) -> list[list[list[int]]]:
    """For every spatial axis and output place the input places that it sees, -1 for padding, -2
    for what lies beyond the padding (where windows may end late)."""
    space, rank, axes = c.x[0].shape[2:], len(c.x[0].shape) - 2, []
    auto, late = c.attr("auto_pad", "NOTSET"), c.flag("ceil_mode")
    steps, gaps = c.attr("strides", [1] * rank), c.attr("dilations", [1] * rank)
    pads, counted = c.attr("pads", [0] * 2 * rank), c.attributes.get("count_include_pad", 0)
    need(auto == "NOTSET" or (auto in ("VALID", "SAME_UPPER", "SAME_LOWER") and not any(pads)
                              and not late), f"unsupported auto_pad {auto!r:.20}")
    for n, k, step, gap, a, b in zip(space, kernel, steps, gaps, pads[:rank], pads[rank:],
                                     strict=True):
        need(min(k, step, gap) > 0 and min(a, b) >= 0 and max(k, gap, a, b) < MAX_SIZE, "a window")
        reach = (k - 1) * gap + 1
        if auto[:4] == "SAME":
            whole = (-(-n // step) - 1) * step + reach - n
            # Sound: some readers cut elements away instead of adding some, or forget dilations.
            need(whole >= 0 and (gap == 1 or c.op == "Conv"), f"unsupported auto_pad {auto}")
            a, b = (whole // 2, -(-whole // 2))[:: 1 if auto == "SAME_UPPER" else -1]
        need(max(a, b) < k or c.op == "Conv", "unsupported pads as long as the window")
        starts = range(-a, n + b - reach + 1, step)
        if late and starts and starts[-1] + step < n and starts[-1] + reach < n + b:
            # Sound: readers differ on what a window that ends behind the padding is divided by.
            need(not counted, "unsupported ceil_mode with count_include_pad")
            starts = range(-a, starts[-1] + step + 1, step)
        need(0 < len(starts) * k < MAX_SIZE and not (late and starts[-1] >= n), "a window")
        axes.append([[p if 0 <= p < n else -1 if p < n + b else -2
                      for p in range(o, o + k * gap, gap)] for o in starts])
    return axes


def conv(c: OperatorCall) -> SymbolicTensor:
    t, weight, group = c.x[0].solid(), c.x[1], c.attr("group", 1)
    (batch, channels, *_), (outs, depth, *kernel) = t.shape, weight.shape
    need(c.attr("kernel_shape", kernel) == kernel and channels == depth * group
         and "ceil_mode" not in c.attributes, "a Conv's shapes")
    axes, each = windows(c, kernel), outs // group
    shape = (batch, outs, *map(len, axes))
    terms = math.prod(shape) * len(weight.items) // max(1, outs)
    need(weight.fixed and each * group == outs and terms <= MAX_TERMS, "an unsupported Conv")
    need(not c.x[2] or c.x[2].shape == (outs,), "a wrong bias")

    def cell(i: tuple[int, ...]) -> Form:
        near = [[(p, q) for q, p in enumerate(seen[k]) if p >= 0] for seen, k in zip(axes, i[2:])]
        taps = [tuple(zip(*pairs)) for pairs in product(*near)]
        return total((t.at((i[0], i[1] // each * depth + k, *p)), weight.at((i[1], k, *q))[1])
                     for p, q in taps for k in range(depth))

    found = built(c.graph, shape, cell)
    return found + c.x[2].shaped((outs, *[1] * len(kernel))) if c.x[2] else found


def mean_along(
    t: SymbolicTensor, axis: int, seen: list[Sequence[int]], padded: int = 0
) -> SymbolicTensor:
    """Means over windows of positions along an axis; only with `padded` is padding counted."""
    windows = [[p for p in w if p >= 0 or (padded and p == -1)] for w in seen]
    slices = [[(along(axis, [(t, p)]), Fraction(1, len(w))) for p in w] for w in windows]
    return along(axis, [(combine(*terms), 0) for terms in slices])


def max_along(t: SymbolicTensor, axis: int, seen: list[Sequence[int]]) -> SymbolicTensor:
    """Maxima over windows of positions along an axis, in rounds of pairs (one R each)."""
    windows: list[Any] = [[p for p in w if p >= 0] for w in seen]
    while any(len(w) > 1 for w in windows):
        rounds = [[*zip(w[::2], w[1::2]), *([(w[-1], -1)] if len(w) % 2 else [])] for w in windows]
        slots = {p: k for k, p in enumerate(dict.fromkeys(p for r in rounds for p in r))}
        pairs = {p: k for k, p in enumerate(p for p in slots if p[1] >= 0)}
        first, second = (along(axis, [(t, p[k]) for p in pairs]) for k in (0, 1))
        base = along(axis, [(t, a if b < 0 else b) for a, b in slots])
        gaps = (first - second).relu()
        t = base + along(axis, [(gaps, pairs.get(s, -1)) for s in slots])
        windows = [[slots[p] for p in r] for r in rounds]
    return along(axis, [(t, w[0]) for w in windows])


def pool(
    c: OperatorCall, join: Callable[..., SymbolicTensor], whole: bool = False, **options: Any
) -> SymbolicTensor:
    t, _ = c.x[0].solid(), c.attr("storage_order")  # of positions, which are not computed
    need(len(t.shape) > 2 and (whole or "kernel_shape" in c.attributes), "no windows")
    seen: Any = [[range(d)] for d in t.shape[2:]] if whole else windows(c, c.attr("kernel_shape"))
    c.flag("count_include_pad")
    for k, near in reversed(list(enumerate(seen))):
        t = join(t, 2 + k, near, **options)
    return t


def reduced(
    c: OperatorCall, join: Callable[..., SymbolicTensor], factor: int = 0
) -> SymbolicTensor:
    """Over axes; an empty list of them means all, or none."""
    t, noop, keep = c.x[0].solid(), c.flag("noop_with_empty_axes"), c.flag("keepdims", 1)
    need(c.attributes.get("axes", [0]), "unsupported empty list of axes")
    axes = c.axes(c.ints("axes", 1) or range(0 if not noop else len(t.shape), len(t.shape)))
    for k in sorted(axes, reverse=True):
        size = constants(c.graph, (), [t.shape[k] if factor else 1])
        t = join(t, k, [range(t.shape[k])]) * size
    return t.shaped([d for k, d in enumerate(t.shape) if keep or k not in axes])


def channels(t: SymbolicTensor, axis: int) -> SymbolicTensor:
    """The sum over an axis, which goes."""
    count = t.shape[axis]
    found = mean_along(t, axis, [range(count)]) * constants(t.graph, (), [count])
    return found.shaped((*t.shape[:axis], *t.shape[axis + 1 :])).solid()


def leaky(x: SymbolicTensor, slope: SymbolicTensor) -> SymbolicTensor:
    t = x.solid()
    need(stretched(x, slope) == list(x.shape), "slopes of another shape")
    return t.relu() + (t - t.relu()) * slope


def clip(c: OperatorCall) -> SymbolicTensor:
    """A bound that is present is a bound; before operator set 11 both are."""
    t = c.x[0].solid()
    given = c.x[1:3]
    need(all(len(x.items) == 1 and len(x.shape) <= len(t.shape) for x in given if x),
         "bounds that are no single numbers")
    ends = [x.consts()[0] if x else None for x in given]
    if c.opset < 11:
        ends = [c.attr("min", -LARGEST), c.attr("max", LARGEST)]
    low, high = (None if v is None else constants(c.graph, (), [v]) for v in ends)
    need(not low or not high or (high - low).consts()[0] > 0, "a Clip of nothing")
    found = t
    if low and low.consts()[0] <= -LARGEST:  # the same function; t + LARGEST would bound nothing
        found = t + (low - t).relu()
    elif low:
        found = (t - low).relu() + low
    return found - (t - high).relu() if high else found


def shape_of(c: OperatorCall) -> SymbolicTensor:
    rank = len(c.x[0].shape)
    start, end = c.attr("start", 0), c.attr("end", rank)
    # Sound: what lies outside is cut down in different ways by readers.
    need(-rank <= start <= rank and -rank <= end <= rank, "unsupported axes that are not there")
    shape = c.x[0].shape[start:end]
    return constants(c.graph, [len(shape)], shape)


def constant(c: OperatorCall) -> SymbolicTensor:
    need("value" in c.attributes, "no value")
    return tensor(c.graph, c.attr("value"))


def folded(
    join: Callable[[SymbolicTensor, SymbolicTensor], SymbolicTensor]
) -> Callable[[OperatorCall], SymbolicTensor]:
    return lambda c: reduce(join, c.inputs)


ALPHA, EPSILON = (nearest(Fraction(v), 24, -149) for v in ("0.01", "0.00001"))
RULES: dict[str, Callable[[OperatorCall], Any]] = {
    "Add": folded(lambda a, b: a + b if a.fixed or b.fixed else a.solid() + b.solid()),
    "Sub": folded(sub), "Mul": folded(mul), "Div": folded(divide),
    "Max": folded(lambda a, b: b + (a - b).relu()), "Min": folded(lambda a, b: a - (a - b).relu()),
    "MatMul": folded(lambda a, b: matmul(a.solid(), b.solid())), "Gemm": gemm, "Conv": conv,
    "Relu": lambda c: c.x[0].relu(), "Abs": lambda c: c.x[0].absolute(), "Clip": clip,
    "LeakyRelu": lambda c: leaky(c.x[0], constants(c.graph, (), [c.attr("alpha", ALPHA)])),
    "PRelu": lambda c: leaky(c.x[0], c.x[1]), "Neg": lambda c: combine((c.x[0], -1)),
    "AveragePool": lambda c: pool(c, mean_along, padded=c.attributes.get("count_include_pad", 0)),
    "MaxPool": partial(pool, join=max_along), "Reshape": reshape, "Squeeze": squeeze,
    "GlobalMaxPool": partial(pool, join=max_along, whole=True), "Unsqueeze": unsqueeze,
    "GlobalAveragePool": partial(pool, join=mean_along, whole=True), "Transpose": transpose,
    "Flatten": flatten, "Concat": concat, "Identity": lambda c: c.x[0], "Constant": constant,
    "Greater": folded(lambda a, b: (a - b).gate()), "Less": folded(lambda a, b: (b - a).gate()),
    "Slice": cut, "Split": split, "Gather": gather, "Pad": pad, "Cast": cast, "Dropout": dropout,
    "ReduceMax": partial(reduced, join=max_along), "ReduceMean": partial(reduced, join=mean_along),
    "ReduceSum": partial(reduced, join=mean_along, factor=1), "BatchNormalization": normalize,
    "Shape": shape_of,
}
ATTRIBUTES: dict[int, Callable[[Message], Any]] = {
    1: lambda a: reals(packed_reals([one(a, 2, (bytes(4),))], 4))[0], 2: lambda a: one(a, 3, 0),
    3: lambda a: text(a, 4), 4: lambda a: message(one(a, 5, b"")),
    6: lambda a: reals(packed_reals(a.get(7, ()), 4)), 7: lambda a: integers(a.get(8, ())),
}


class Outputs(dict[str, SymbolicTensor]):
    """The outputs of floats by name: no claim reads any other."""

    def __missing__(self, key: str) -> SymbolicTensor:
        raise Bad(f"no output {key!r:.40} of floats")


def declared_type(v: Message) -> tuple[int, list[int] | None]:
    """Element type (0: none given) and dimensions of a ValueInfoProto; those below 0 are open."""
    about = message(one(v, 2, b""))
    need(about.keys() <= {1, 6}, f"'{text(v, 1)[:40]}' is no tensor")
    kind = message(one(about, 1, b""))
    shape = [one(d, 1, -1) for d in map(message, message(one(kind, 2, b"")).get(1, ()))]
    return one(kind, 1, 0), shape if 2 in kind else None


class Network:
    """An ONNX file lowered into a graph, every operator after what it needs."""

    def __init__(self, data: bytes) -> None:
        model = message(data)
        body, self.graph = message(one(model, 7, b"")), NetworkGraph()
        need(3 <= one(model, 1, 0) <= 14, f"unsupported IR version {one(model, 1, 0)}")
        need(15 not in body and not model.keys() & {20, 25, 26},
             "unsupported sparse tensors, training information, functions or configurations")
        imports = [(text(m, 1).removesuffix("ai.onnx"), one(m, 2, 0))
                   for m in map(message, model.get(8, ()))]
        need(len(dict(imports)) == len(imports), "an operator set twice")
        self.opset = dict(imports).get("", 0)
        need(7 <= self.opset <= 23, f"unsupported opset {self.opset}")
        stored, declared = ([message(m) for m in body.get(k, ())] for k in (5, 11))
        self.values = {text(t, 8): self.stored(t) for t in stored}
        free = [v for v in declared if text(v, 1) not in self.values]
        for v in declared:
            self.agree(v)
        self.inputs = {text(v, 1): self.input(text(v, 1), v) for v in free}
        made = [(k.decode(), n) for n in map(message, body.get(1, ())) for k in n.get(2, ()) if k]
        self.maker = dict(made)
        need(len({text(v, 1) for v in declared}) == len(declared), "two inputs of a name")
        need(len(self.values | self.maker) == len(stored + free + made), "two tensors of a name")
        found = {text(v, 1): self.value(text(v, 1)) for v in map(message, body.get(12, ()))}
        need(len(found) == len(body.get(12, ())), "two outputs of a name")
        for v in map(message, body.get(12, ())):
            self.agree(v, known=False)
        self.outputs = Outputs((k, t) for k, t in found.items() if t.kind in LETTERS["R"])
        self.left_out = sorted(found.keys() - self.outputs.keys())

    def stored(self, t: Message) -> SymbolicTensor:
        try:
            return tensor(self.graph, t)
        except Bad as error:
            raise Bad(f"tensor '{text(t, 8)[:40]}': {error}") from None

    def agree(self, v: Message, known: bool = True) -> None:
        """What is declared of a tensor is so; the shape of an output is but a hint."""
        (kind, shape), label = declared_type(v), text(v, 1)
        t = self.values.get(label)
        need(t is None or kind == t.kind or not (kind or known),
             f"'{label[:40]}' is declared as {typed_name(kind)}")
        need(t is None or not known or shape is None or (
            len(shape) == len(t.shape) and all(d < 1 or d == n for d, n in zip(shape, t.shape))),
            f"'{label[:40]}' is declared with another shape")

    def input(self, label: str, v: Message) -> int:
        kind, dims = declared_type(v)
        need(kind in LETTERS["R"], f"unsupported {typed_name(kind)} as input '{label[:40]}'")
        shape = list(dims or ())
        shape[:1] = [d if d >= 0 else 1 for d in shape[:1]]  # any batch is a batch of one
        need(dims is not None and min(shape, default=1) > 0 and math.prod(shape) <= MAX_SIZE,
             f"a wrong shape of input '{label[:40]}'")
        start = sum(node.size for node in self.graph.nodes)
        n = self.graph.node("I", (), math.prod(shape), start, label)
        self.values[label] = SymbolicTensor(self.graph, shape, self.graph.refs(n), kind)
        return n

    def value(self, label: str) -> SymbolicTensor:
        """Depth first: of several inputs that are missing, the last is built first."""
        if label not in self.values:
            need(label in self.maker, f"tensor '{label[:40]}' is not computed")
            node = self.maker.pop(label)
            labels = [v.decode() for v in node.get(1, ())]
            inputs = [self.value(v) if v else None for v in reversed(labels)]
            op, domain, what = text(node, 4), text(node, 7), f" for '{label[:40]}'"
            need(op in RULES and domain in ("", "ai.onnx") and not text(node, 8),
                 f"unsupported operator {op[:40]}{what}")
            try:
                self.lower(node, inputs[::-1])
            except Bad as error:
                raise Bad(f"{op}{what}: {error}") from None
            except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
                # Whatever no rule has named: a length, a shape, a number that does not fit.
                raise Bad(f"{op}{what}: its inputs do not fit ({error!r:.80})") from None
            need(label in self.values, f"unsupported further output of {op}{what}")
        return self.values[label]

    def lower(self, node: Message, inputs: list[Any]) -> None:
        """The values of a node's outputs."""
        call = OperatorCall(self.graph, node, inputs, self.opset)
        found = RULES[call.op](call)
        for k, t in zip(node[2], found if call.op == "Split" else [found]):
            short = call.op in ("MatMul", "Gemm", "Conv") and not t.fixed  # products of floats
            need(short or max(map(digits, t.items), default=0) <= MAX_BITS, "too many digits")
            self.values[k.decode()] = call.finished(t)
        need(not call.attributes, f"unsupported {', '.join(call.attributes)[:80]}")


# --- the claim of a spec --------------------------------------------------------------------------

NUMBER = r"(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE]([+-]?[0-9]+))?"
DECIMAL = re.compile(rf"[+-]?{NUMBER}")
PLACE = re.compile(r"(.*)\[ *([0-9]{1,9}(?: *, *[0-9]{1,9})*) *\]", re.DOTALL)
NAME = r"""x\[[ \t]*(?:"[^"]*"|'[^']*')[ \t]*\]|[^\W\d]\w*(?:\[[^\[\]"']*\])?"""
TERM = re.compile(rf"[ \t]*([+-]?)[ \t]*(?:(?P<a>{NUMBER})(?:[ \t]*\*[ \t]*(?P<name>{NAME}))?|"
                  rf"(?P<alone>{NAME})(?:[ \t]*(?P<by>[*/])[ \t]*(?P<b>{NUMBER}))?)[ \t]*")
LINK = re.compile(r"<=|>=|==|[+-]|\Z")
QUOTES = re.compile(r'(?:[^"]++|(?<![^,\r\n])"(?:[^"]++|"")*+"(?![^,\r\n]))*+')
HEADER = re.compile(r"\{'descr': '([<>|])([fiub])([1248])', 'fortran_order': False, 'shape': "
                    r"\((|[0-9]+,|[0-9]+(?:, ?[0-9]+)+,?)\)(?:, ?)?\} *\n?")
LIMITS = {"at_least": (1, False), "at_most": (-1, False), "above": (1, True), "below": (-1, True)}


def shown(value: Any) -> str:
    return (str(value) if isinstance(value, Fraction) else repr(value))[:40]


def exact(value: Any) -> Fraction:
    """The number a spec writes: whole, a decimal, or a quotient of two. ASCII digits only."""
    if isinstance(value, Fraction):
        return value
    need(type(value) in (int, str), f"{shown(value)} is no number")
    parts = [DECIMAL.fullmatch(part.strip(" \t")) for part in str(value).split("/")]
    need(len(str(value)) <= 1000 and len(parts) <= 2 and all(
        m and abs(int(m[1] or 0)) <= 1000 for m in parts), f"{shown(value)} is no number")
    found = [Fraction(m[0]) for m in parts if m]
    need(all(found[1:]), "division by zero")
    return Fraction(*found)


def numeric(cell: str) -> bool:
    try:
        return exact(cell) is not None
    except Bad:
        return False


def decimal(cell: str) -> Decimal:
    """A cell that is a decimal and no quotient: exact, and quick to compare."""
    m = DECIMAL.fullmatch(cell.strip(" \t"))
    need(m and len(m[0]) <= 1000 and abs(int(m[1] or 0)) <= 1000, f"{cell!r:.40} is no decimal")
    return Decimal(m[0] if m else 0)


def whole(value: Any) -> int:
    need(type(value) is int and value >= 0, f"{shown(value)} is no whole number")
    return int(value)


def word(value: Any, known: str) -> str:
    need(type(value) is str and value in known.split(), f"{shown(value)} is none of {known}")
    return str(value)


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def full(value: Any) -> list[Any]:
    need(isinstance(value, list) and value, f"{shown(value)} is no list, or an empty one")
    return list(value)


def shaped(value: Any) -> tuple[tuple[int, ...], list[Fraction]]:
    """The shape of a number, or of evenly nested lists, and the numbers."""
    if not isinstance(value, list):
        return (), [exact(value)]
    parts = [shaped(v) for v in value]
    shapes = {shape for shape, _ in parts}
    need(len(shapes) <= 1, "rows of different lengths")
    shape = (len(value), *(shapes.pop() if shapes else ()))
    need(len(shape) <= 8, "lists nested too deeply")
    return shape, [x for _, found in parts for x in found]


def numbers(value: Any, size: int | None = None) -> list[Fraction]:
    """The numbers of a list, nested or not."""
    need(isinstance(value, list), f"{shown(value)} is no list")
    found = shaped(value)[1]
    need(size in (None, len(found)), f"{len(found)} numbers, not {size}")
    return found


def table(value: Any, keys: str) -> Any:
    need(isinstance(value, dict), f"{shown(value)} is no table")
    more = value.keys() - set(keys.split())
    need(not more, f"unknown key {', '.join(sorted(map(repr, more)))!s:.80}")
    return value


def negate(f: Formula) -> Formula:
    if isinstance(f, list):
        return [len(f[1]) - f[0] + 1, [negate(p) for p in f[1]]]
    return total([(f[0], -1)]), not f[1]


def every(parts: Iterable[Formula]) -> Formula:
    found = list(parts)
    return found[0] if len(found) == 1 else [len(found), found]


def gap(a: Form, b: Form) -> Form:
    return total([(a, 1), (b, -1)])


def array(data: bytes, row: int | None, kinds: str) -> list[Fraction]:
    """The numbers of a .npy file of these kinds, or of one row of it."""
    need(data[:6] == b"\x93NUMPY" and len(data) > 12, "no .npy file")
    start = 12 if data[6] > 1 else 10
    start, skip = start + int.from_bytes(data[8:start], "little"), start
    head = HEADER.fullmatch(data[skip:start].decode("latin-1"))
    need(head, f"no plain .npy file: {data[skip:start]!r:.80}")
    order, kind, size, sides = head.groups() if head else ("",) * 4
    codes, width = {"f": " e f   d", "i": "bh i   q", "u": "BH I   Q", "b": "?       "}, int(size)
    code = codes[kind][width - 1]
    need(kind in kinds and code != " " and (order != "|" or width == 1),
         f"a .npy file of {kind}{size}")
    shape, code = list(map(int, re.findall("[0-9]+", sides))), order.strip("|") + code
    if row is not None:
        pick(range(shape[0]), row, "row")
    count = math.prod(shape if row is None else shape[1:])
    need(len(data) - start >= math.prod(shape) * width, "a .npy file that is cut short")
    start += (row or 0) * count * width
    values = reals(data[start : start + count * width], code)
    need(len(values) == count <= MAX_SIZE, "a wrong .npy file")
    return values


def records(source: str) -> Iterator[list[str]]:
    """The rows of a CSV file by RFC 4180, all of one width; blank lines are none."""
    need("\0" not in source, "a NUL character")
    end = QUOTES.match(source)
    need(end and end.end() == len(source), "a quote inside a cell, or one that is never closed")
    body, width = csv.reader(io.StringIO(source, newline=""), strict=True), 0
    for cells in body:
        if cells:
            blank = len(cells) == 1 and not cells[0].strip(" \t")
            need(not blank, f"line {body.line_num}: nothing but blanks")
            width = width or len(cells)
            need(len(cells) == width, f"line {body.line_num}: {len(cells)} cells, not {width}")
            yield cells


class ElementNames:
    """Elements of tensors end to end: by position, name, place such as x[0, 3], or pattern."""

    def __init__(self, blocks: Sequence[tuple[str, Sequence[int]]], given: Sequence[str]) -> None:
        ends = list(accumulate((math.prod(shape) for _, shape in blocks), initial=0))
        self.blocks = [(k, at, shape) for (k, shape), at in zip(blocks, ends)]
        self.size, self.given = ends[-1], list(given)
        need(len(given) in (0, self.size), f"{len(given)} names of {self.size} features")
        need(len(set(given)) == len(given), "two features of a name")
        self.labels = self.given or [f"{k if len(blocks) > 1 else 'x'}[{i}]" for k, shape in blocks
                                     for i in range(math.prod(shape))]

    def find(self, key: Any) -> list[int]:
        need(type(key) in (int, str), f"{shown(key)} is no feature")
        if type(key) is int:
            return [pick(range(self.size), key, "feature")]
        if key in self.given:
            return [self.given.index(key)]
        for name, at, shape in self.blocks if len(self.blocks) > 1 else ():
            if key == name:
                return list(range(at, at + math.prod(shape)))
        place = PLACE.fullmatch(key)
        if place:
            return [self.at(place[1], list(map(int, place[2].split(","))))]
        found = [i for i, k in enumerate(self.labels)
                 if ("*" in key or "?" in key) and fnmatch.fnmatchcase(k, key)]
        need(found, f"no feature {key!r:.40}")
        return found

    def at(self, name: str, index: list[int]) -> int:
        """The element at an index of a tensor; leading dimensions of 1 may be left out."""
        only = self.blocks if name == "x" and len(self.blocks) == 1 else []
        found = [b for b in self.blocks if b[0] == name] or only
        need(found, f"no feature {name!r:.40}")
        _, start, shape = found[0]
        sides = list(shape) if len(index) > 1 else [math.prod(shape)]
        while len(sides) > len(index) and sides[0] == 1:
            sides.pop(0)
        need(len(sides) == len(index) and all(map(lt, index, sides)), "no such feature")
        return int(start + reduce(lambda flat, p: flat * p[1] + p[0], zip(index, sides), 0))

    def select(self, keys: Any) -> list[int]:
        return sorted({i for k in listed(keys) for i in self.find(k)})


class Claim:
    """A spec about a network: region, reference, attribution, and the broken claim as a formula."""

    def __init__(self, spec: dict[str, Any], folder: str, net: Network) -> None:
        table(spec, "verifex name network network_output arithmetic kink input region explain "
                    "require assume")
        need(whole(spec.get("verifex")) == 1, "not version 1 of the language")
        word(spec.get("arithmetic", "real"), "real")
        self.adopt(net)
        self.folder, self.output = folder, "predicted"
        self.shut = word(spec.get("kink", "error"), "error zero") == "zero"
        wanted = [spec["network_output"]] if "network_output" in spec else list(net.outputs)
        need(len(wanted) == 1, f"network_output: one of {len(wanted)} outputs is to be named")
        need(wanted[0] in net.outputs, f"network_output: no output {wanted[0]!r:.40} of floats")
        self.logits = net.outputs[wanted[0]].solid().items
        with at("input"):
            self.point(table(spec.get("input", {}), "point data row header target drop scale "
                                                    "minmax_of round names"))
        with at("region"):
            self.region(table(spec.get("region", {}), "linf l1 l2 box clip freeze only integer "
                                                      "one_hot linear"))
        if "explain" in spec:
            with at("explain"):
                self.explain(table(spec["explain"], "attribution output reduce features options"))
        with at("require"):
            require = every(self.properties(full(spec["require"]), True, "fails"))
        with at("assume"):
            assume = every(self.properties(spec.get("assume", []), True, "holds"))
        self.broken: Formula = [2, [assume, negate(require)]]

    def adopt(self, net: Network) -> None:
        self.graph, self.inputs = net.graph, net.inputs
        self.shapes = {k: net.values[k].shape for k in net.inputs}
        self.flat = [v for n in net.inputs.values() for v in net.graph.refs(n)]
        self.cuts, self.files = list[Form](), dict[str, str]()  # of data: their SHA-256 by name
        self.balls, self.integers, self.size = list[Any](), set[int](), len(self.flat)

    def spread(self, value: Any) -> dict[int, Fraction]:
        """Numbers by feature. A name beats a pattern."""
        if not isinstance(value, dict):
            several = isinstance(value, list)
            return dict(enumerate(numbers(value, self.size) if several else
                                  [exact(value)] * self.size))
        picks = sorted(("*" not in k and "?" not in k, i, k)
                       for k in value for i in self.features.find(k))
        need(len({pick[:2] for pick in picks}) == len(picks), "two keys pick one feature")
        return {i: exact(value[k]) for _, i, k in picks}

    def file(self, name: Any) -> bytes:
        """A data file, which the certificate has to name too; zipped if its name says so."""
        need(type(name) is str, f"{name!r:.40} is no file")
        data, digest = read(os.path.join(self.folder, name))
        need(self.files.setdefault(name, digest) == digest, f"{name!r:.40} has changed")
        zipped = hashlib.sha256(data).hexdigest() != digest
        need(zipped == name.endswith(".gz"), f"{name!r:.40}: zipped and not named .gz, or named so")
        return data

    def rows(self, file: str, t: dict[str, Any]) -> tuple[list[str], Iterator[list[str]]]:
        """The names, if there are any, and the rows of the feature columns of a CSV file."""
        body = records(self.file(file).decode("utf-8-sig"))
        first = next(body)
        found, said = sum(map(numeric, first)), t.get("header")
        need(said is None or type(said) is bool, "header: neither true nor false")
        need(said is not None or found in (0, len(first)), "header: a first row of numbers and "
                                                           "others may be one or not")
        titled = not found if said is None else said
        header = [k.strip(" \t") for k in first] if titled else []
        need(any(header) or not titled, "a header without names")
        out = {pick(range(len(first)), k, "column") if type(k) is int else self.column(header, k)
               for k in listed(t.get("drop", [])) + ([t["target"]] if "target" in t else [])}
        kept = [k for k in range(len(first)) if k not in out]
        body = body if titled else chain([first], body)
        return [header[k] for k in kept if titled], ([row[k] for k in kept] for row in body)

    def column(self, header: list[str], name: Any) -> int:
        need(type(name) is str and header.count(name) == 1, f"not one column is {name!r:.40}")
        return header.index(name)

    def ends(self, t: dict[str, Any], names: list[str]) -> list[tuple[Fraction, Fraction]]:
        """The least and greatest value of every feature, in the order of the data's columns."""
        if "scale" in t:
            scale = table(t["scale"], "min max")
            ends = [numbers(scale[k], self.size) for k in ("min", "max")]
            return list(zip(*ends, strict=True))
        titles, body = self.rows(t["minmax_of"], t)
        need(sorted(titles) == sorted(names) and len(set(titles)) == len(titles),
             "other columns than the data has")
        order = [titles.index(k) for k in names] or range(self.size)
        columns = list(zip(*([decimal(cell) for cell in row] for row in body), strict=True))
        need(len(columns) == self.size, "no rows, or another number of columns")
        return [(Fraction(min(columns[k])), Fraction(max(columns[k]))) for k in order]

    def point(self, t: dict[str, Any]) -> None:
        for two in (("point", "data"), ("scale", "minmax_of")):
            need(not t.keys() >= set(two), f"both {' and '.join(two)}")
        for key in ("row", "header", "target", "drop", "minmax_of"):
            need("data" in t or not (key in t and t[key] != []), f"{key} without data")
        given, titles = t.get("names", []), list[str]()
        need(isinstance(given, list) and all(type(k) is str for k in given), "names: not all text")
        need(type(t.get("target", "")) is str, "target: no text")
        row, x0 = (whole(t["row"]) if "row" in t else None), list[Fraction]()
        if "data" in t:
            with at(f"data {t['data']!r:.40}"):
                if t["data"].endswith(".npy"):
                    more = {"header", "target", "drop", "minmax_of"} & {k for k in t if t[k] != []}
                    need(not more, f"{', '.join(sorted(more))} of a .npy file")
                    x0 = array(self.file(t["data"]), row, "fiu")
                else:
                    need(row is not None, "row: missing")
                    titles, body = self.rows(t["data"], t)
                    x0 = list(map(exact, next(islice(body, row, None))))
        elif "point" in t:
            with at("point"):
                x0 = self.written(t["point"])
        with at("names"):
            self.features = self.parts = ElementNames(list(self.shapes.items()), given or titles)
        need(len(x0) == self.size or not t.keys() & {"data", "point"},
             f"{len(x0)} numbers, not {self.size}")
        if x0 and ("scale" in t or "minmax_of" in t):
            with at("scale" if "scale" in t else f"minmax_of {t['minmax_of']!r:.40}"):
                ends = self.ends(t, titles)
                need(all(a <= b for a, b in ends), "min above max")
                x0 = [Fraction(v - a, (b - a) or 1) for v, (a, b) in zip(x0, ends, strict=True)]
        word(t.get("round", "float32"), "float32")
        self.x0 = [nearest(v, 24, -149) for v in x0] if "round" in t else x0

    def written(self, point: Any) -> list[Fraction]:
        """The numbers of a point, flat or in the shape of the input; sides of 1 do not matter."""
        if isinstance(point, dict):
            need(point.keys() == self.shapes.keys(), "not the names of the inputs")
            parts = [(point[k], list(shape)) for k, shape in self.shapes.items()]
        else:
            alone = len(self.shapes) == 1
            parts = [(point, list(*self.shapes.values()) if alone else [self.size])]
        found = list[Fraction]()
        for value, wanted in parts:
            found += numbers(value, math.prod(wanted))
            shape, sides = ([d for d in s if d != 1] for s in (shaped(value)[0], wanted))
            need(len(shaped(value)[0]) == 1 or shape == sides, "another shape than the input's")
        return found

    def region(self, t: dict[str, Any]) -> None:
        places, lows, highs = range(self.size), list[Any](), list[Any]()  # bounds by feature
        for key in ("box", "clip"):
            box = t.get(key, {})
            with at(key):
                ends = box if isinstance(box, list) else [
                    table(box, "lo hi").get(k, {}) for k in ("lo", "hi")]
                for side, value in zip((lows, highs), ends, strict=True):
                    side.append(self.spread(value))
        select = self.features.select
        moving = set(select(t["only"])) if "only" in t else set(places)
        moving -= set(select(t.get("freeze", [])))
        self.balls = [(k, moving, exact(t[f"l{k}"])) for k in (1, 2) if f"l{k}" in t]
        reach = [dict.fromkeys(moving, radius) for _, _, radius in self.balls]
        reach.append(dict.fromkeys(set(places) - moving, ZERO))
        if "linf" in t:
            with at("linf"):
                reach.append({**dict.fromkeys(places, ZERO), **self.spread(t["linf"])})
        for r in reach:
            need(all(v >= 0 and self.x0 for v in r.values()), "a negative radius, or no reference")
            lows.append({i: self.x0[i] - v for i, v in r.items()})
            highs.append({i: self.x0[i] + v for i, v in r.items()})
        need(isinstance(t.get("one_hot", []), list), "one_hot: no list of groups")
        groups = [select(g) for g in t.get("one_hot", [])]
        members = set(chain(*groups))
        need(all(len(g) > 1 for g in groups) and len(members) == sum(map(len, groups)),
             "one_hot: a group of less than two features, or two groups with one")
        lows.append(dict.fromkeys(members, ZERO))
        highs.append(dict.fromkeys(members, ONE))
        self.integers = members | set(select(t.get("integer", [])))
        need(set().union(*lows) & set().union(*highs) == set(places), "a feature is unbounded")
        self.lo = [max(d[i] for d in lows if i in d) for i in places]
        self.hi = [min(d[i] for d in highs if i in d) for i in places]
        for i in self.integers:
            self.lo[i] = Fraction(math.ceil(self.lo[i]))
            self.hi[i] = Fraction(math.floor(self.hi[i]))
        need(all(a <= b for a, b in zip(self.lo, self.hi, strict=True)), "the region is empty")
        for group in groups:
            need(sum(self.lo[i] == 1 for i in group) <= 1 <= sum(self.hi[i] == 1 for i in group),
                 "one_hot: the region is empty")
        for power, free, radius in self.balls:
            far = [max(self.lo[i] - self.x0[i], self.x0[i] - self.hi[i], ZERO) for i in free]
            need(sum(v**power for v in far) <= radius**power, f"l{power}: the region is empty")
        where = {ref: i for i, form in enumerate(self.flat) for ref in form[0]}
        self.cuts = list[Form]()
        for k, source in enumerate(listed(t.get("linear", []))):
            with at(f"linear[{k}]"):
                self.cuts += self.linear(source)
        for refs, const in self.cuts:
            least = sum(c * (self.lo if c > 0 else self.hi)[where[r]] for r, c in refs.items())
            need(least + const <= 0, "linear: the region is empty")
        sums = [total((self.flat[i], 1) for i in group) for group in groups]
        self.cuts += [total([(form, s)], -s) for form in sums for s in (1, -1)]

    def linear(self, source: Any) -> Iterator[Form]:
        """Forms that a constraint such as `0 <= age - 2*x[3] <= 0.3` keeps at most 0.

        Terms with a sign, joined by signs and comparisons; names are taken as they are written.
        """
        need(type(source) is str and len(source) <= 20_000, "no text, or a constraint too long")
        sides: list[list[tuple[Form, Any]]] = [[]]
        signs, place, sign, mark = list[str](), 0, 1, "+"
        while mark:
            term = TERM.match(source, place)
            link = LINK.match(source, term.end()) if term else None
            if not term or not link:
                place = term.end() if term else place
                raise Bad(f"character {place + 1}: {source[place : place + 20]!r} is no "
                          f"{'comparison or sum' if term else 'term'}")
            sides[-1].append(self.term_of(term, sign))
            mark, place = link[0], link.end()
            sign = -1 if mark == "-" else 1
            if len(mark) > 1:
                signs.append(mark)
                sides.append([])
        need(signs, "a constraint compares nothing")
        for mark, (a, b) in zip(signs, pairwise(map(total, sides)), strict=True):
            need(gap(a, b)[0], "a constraint about no feature")
            yield from ([gap(a, b)] if mark != ">=" else [])
            yield from ([gap(b, a)] if mark != "<=" else [])

    def term_of(self, term: Any, sign: int) -> tuple[Form, Any]:
        """The form of a matched term, and the number before it."""
        sign = -sign if term[1] == "-" else sign
        name, number = term["name"] or term["alone"], exact(term["a"] or term["b"] or 1)
        if not name:
            return ({}, ONE), sign * number
        quoted = name[:2] == "x[" and name[2:].strip(" \t")[:1] in ('"', "'")
        (i,) = self.features.find(name[2:-1].strip(" \t")[1:-1] if quoted else name)
        need(number or term["by"] != "/", "division by zero")
        return self.flat[i], sign * (Fraction(1, number) if term["by"] == "/" else number)

    # outputs and explanations

    def value(self, items: list[Form]) -> list[Fraction]:
        """Exact values at the reference."""
        need(self.x0, "a reference point is needed")
        return exactly(self.graph, self.graph.rows(items), self.x0, self.shut)

    def ranked(self, items: list[Form], k: int, tie: Any = None) -> list[int]:
        """Positions by falling value at the reference; Bad for a tie at the edge of the first k."""
        values = self.value(items)
        order = sorted(range(len(values)), key=lambda i: (-values[i], i))
        need(tie == "index" or k >= len(order) or values[order[k - 1]] != values[order[k]],
             "a tie at the reference")
        return order

    def functional(self, value: Any) -> Form:
        """The weighted sum of outputs that `predicted`, `logit:c`, `margin:c,j`, ... mean."""
        if isinstance(value, dict):
            weights = numbers(table(value, "weights")["weights"], len(self.logits))
            return total(zip(self.logits, weights, strict=True))
        need(type(value) is str, f"{value!r:.40} is no functional")
        if value == "sum":
            return total((v, 1) for v in self.logits)
        head, _, tail = ("logit:predicted" if value == "predicted" else value).partition(":")
        picks, named = [p.strip(" ") for p in tail.split(",")], ("predicted", "runner_up")
        need(all(p in named or re.fullmatch("[0-9]{1,9}", p) for p in picks), f"no functional "
             f"{value!r:.40}")
        ranks, last = [0], max((k + 1 for k, name in enumerate(named) if name in picks), default=0)
        for k in range(1, last + 1 if len(self.logits) > 1 else 0):
            ranks = self.ranked(self.logits, k)
        found = [ranks[named.index(p)] if p in named else int(p) for p in picks]
        count = {"logit": 1, "margin": 2}.get(head)
        need(len(set(found)) == len(picks) == count, f"no functional {value!r:.40}")
        return total((pick(self.logits, c, "output"), s) for c, s in zip(found, (1, -1)))

    def slopes(self, output: Any) -> list[int]:
        inputs = list(self.inputs.values())
        return self.graph.gradient(self.graph.rows([self.functional(output)]), inputs)

    def explain(self, t: dict[str, Any]) -> None:
        self.output, g = t.get("output", "predicted"), self.graph
        how = word(t.get("reduce", "signed"), "signed abs channel_sum abs_channel_sum "
                                              "channel_abs_sum")
        kind, maps = t.get("attribution", "gradient"), self.slopes(self.output)
        if kind in ("input_x_gradient", "input*gradient", "gradient*input"):
            pairs = zip(self.inputs.values(), maps, strict=True)
            kind, maps = "gradient", [g.op("M", *pair) for pair in pairs]
        need(kind == "gradient", f"unsupported attribution {kind!r:.40}")
        table(t.get("options", {}), "")
        images = [SymbolicTensor(g, shape, g.refs(m))
                  for shape, m in zip(self.shapes.values(), maps, strict=True)]
        if "channel" in how:
            need(all(len(m.shape) in (3, 4) for m in images), "no channels")
            images = [m.absolute() if how == "channel_abs_sum" else m for m in images]
            images = [channels(m, len(m.shape) - 3) for m in images]
            blocks = list(zip(self.shapes, [m.shape for m in images]))
            self.parts = ElementNames(blocks, [])
        self.items = [v for m in images for v in m.items]
        self.nonnegative = how in ("abs", "abs_channel_sum", "channel_abs_sum")
        if how in ("abs", "abs_channel_sum"):
            self.items = SymbolicTensor(g, [self.parts.size], self.items).absolute().solid().items
        size = range(self.parts.size)
        self.chosen = self.parts.select(t["features"]) if "features" in t else list(size)
        need(self.chosen, "features: none is named")
        self.components = [self.items[i] for i in self.chosen]

    # properties

    def properties(self, entries: Any, keep: bool, undefined: str) -> list[Formula]:
        """The formulas of a list of properties."""
        need(isinstance(entries, list), "no list of tables")
        found = list[Formula]()
        for k, p in enumerate(entries):
            with at(f"[{k}]"):
                found.append(self.formula(p, keep, undefined))
        return found

    def formula(self, p: Any, keep: bool, undefined: str) -> Formula:
        """A property, or its negation if not `keep`; `undefined`: what division by 0 counts as.

        The keyword of its table is the one key that no other explains.
        """
        need(isinstance(p, dict), f"{p!r:.40} is no table")
        keywords = [k for k in (*JOINED, *PROPERTIES) if k in p]
        need(keywords, f"no such property: {list(p)!r:.40}")
        fits = [k for k in keywords
                if {k, *PROPERTIES.get(k, ("",))[0].split()} >= set(keywords)]
        need(len(fits) == 1, f"{' and '.join(keywords)} in one table")
        key = fits[0]
        with at(key):
            if key == "not":
                return self.formula(table(p, key)[key], not keep, undefined)
            if key in JOINED:
                parts = self.properties(full(table(p, key)[key]), keep, undefined)
                return every(parts) if keep == (key == "all") else [1, parts]
            keys, build = PROPERTIES[key]
            found = build(self, table(p, f"{key} {keys}"))
            found = found if keep else negate(found)
            return self.defined(p, found, keep, undefined) if "undefined" in keys else found

    def magnitudes(self) -> list[Form]:
        """The absolute values of the chosen components."""
        if self.nonnegative:
            return self.components
        return SymbolicTensor(self.graph, [len(self.components)], self.components).absolute().items

    def defined(self, p: dict[str, Any], f: Formula, keep: bool, undefined: str) -> Formula:
        """A formula f of a property that divides by the attribution, or of its negation: where the
        attribution is zero, it counts as the key `undefined` says."""
        wanted = word(p.get("undefined", undefined), "fails holds")
        zero = exact(p["at_least"]) <= 0 if "similarity" in p else not p.keys() & {"above", "below"}
        # Sound: where the attribution is zero so are all forms of the property: what is written
        # without a division is true there if none of its atoms has to be above 0, and its negation
        # is the contrary. Nothing has to be said where that is what it counts as.
        if (zero == keep) == (wanted == "holds"):
            return f
        some = total((v, 1) for v in self.magnitudes()), True
        return [2, [some, f]] if wanted == "fails" else [1, [negate(some), f]]

    def within(self, forms: Iterable[Form], t: dict[str, Any], unit: Form = ({}, ONE)) -> Formula:
        """Every form against every bound of the table, in these units."""
        found = [(total([(form, s), (unit, -s * exact(t[k]))]), strict)
                 for form in forms for k, (s, strict) in LIMITS.items() if k in t]
        need(found, "no bound is given")
        return every(found)

    def class_(self, t: dict[str, Any]) -> Formula:
        c, tie = t["class"], word(t.get("tie", "error"), "error index")
        need(len(self.logits) > 1, "the network has one output")
        c = self.ranked(self.logits, 1, tie)[0] if c == "unchanged" else whole(c)
        winner = pick(self.logits, c, "class")
        return every((gap(winner, v), True) for j, v in enumerate(self.logits) if j != c)

    def sign(self, t: dict[str, Any]) -> Formula:
        least, parts = exact(t.get("threshold", 0)), list[Formula]()
        zero = word(t.get("zero", "error"), "error ignore keep")
        word(t["sign"], "unchanged")
        need(least >= 0, "threshold: below 0")
        values = dict(zip(self.chosen, self.value(self.components), strict=True))
        for i in self.parts.select(t.get("which", self.chosen)):
            form, value = total([(self.items[i], 1 if values[i] > 0 else -1)]), values[i]
            if value and abs(value) >= least:
                parts.append((form, True))
            elif least <= 0 == value:
                need(zero != "error", f"component {i} is 0 at the reference")
                parts += [[2, [(self.items[i], False), (form, False)]]] * (zero == "keep")
        count = whole(t.get("at_least", len(parts)))
        need(0 < len(parts) >= count, f"at_least: {count} of {len(parts)} components")
        return [count, parts]

    def distance(self, t: dict[str, Any]) -> Formula:
        kind, base, g = t["distance"], self.value(self.components), self.graph
        relative = t.get("relative", False)
        need(type(relative) is bool, "relative: neither true nor false")
        need(any(base) or not relative, "relative to a reference that is zero")
        word(kind, "l1 l2 linf")
        change = [total([(v, 1)], -a) for v, a in zip(self.components, base, strict=True)]
        size = {"l1": sum(map(abs, base)), "l2": sum(v * v for v in base),
                "linf": max(map(abs, base))}[kind] if relative else 1
        limits = {k: exact(t[k]) ** (1 + (kind == "l2")) * size for k in LIMITS if k in t}
        need(limits and all(exact(t[k]) >= 0 for k in limits), "no bound, or a negative one")
        if kind == "linf":
            sides = [total([(v, s)]) for s in (1, -1) for v in change]
            count = {"at_most": len(sides), "below": len(sides)}
            return every([count.get(k, 1), [self.within([v], {k: bound}) for v in sides]]
                         for k, bound in limits.items())
        n = g.rows(change)
        items = g.refs(g.op("M", n, n)) if kind == "l2" else (
            SymbolicTensor(g, [len(base)], g.refs(n)).absolute().items)
        return self.within([total((v, 1) for v in items)], limits)

    def cosine(self, t: dict[str, Any]) -> Formula:
        c, base, g = exact(t["at_least"]), self.value(self.components), self.graph
        length, dot = sum(v * v for v in base), total(zip(self.components, base, strict=True))
        need(t["similarity"] == "cosine" and abs(c) <= 1 and length, "a wrong similarity")
        if c == 0:
            return dot, False
        n, d = g.rows(self.components), g.rows([dot])
        squares, square = g.refs(g.op("M", n, n)), g.refs(g.op("M", d, d))[0]
        room = total([*((v, -c * c * length) for v in squares), (square, 1)])
        if c > 0:
            return [2, [(dot, True), (room, False)]]
        return [1, [(dot, False), negate((room, True))]]

    def top_k(self, t: dict[str, Any]) -> Formula:
        k, n, item = whole(t["top_k"]), len(self.chosen), self.components
        m, tie = whole(t.get("overlap_at_least", k)), word(t.get("tie", "error"), "error index")
        need(1 <= m <= k <= n, f"an overlap of {m}, {k} of {n} components")
        order, inner = self.ranked(item, k, tie), (n - k) - (k - m)
        rows = [[inner, [(gap(item[w], item[x]), True) for x in sorted(order[k:])]]
                for w in sorted(order[:k])]
        return [m, rows] if inner > 0 else [0, []]

    def order(self, t: dict[str, Any]) -> Formula:
        if t["order"] == "unchanged":
            values = self.value(self.components)
            need(len(set(values)) == len(values), "a tie at the reference")
            items = [self.components[i] for i in self.ranked(self.components, 1)]
        else:
            places = [i for (i,) in map(self.parts.find, full(t["order"]))]
            need(len(set(places)) == len(places), "a component twice")
            items = [self.items[i] for i in places]
        need(len(items) > 1, "an order of less than two")
        return every((gap(a, b), True) for a, b in pairwise(items))

    def mass(self, t: dict[str, Any]) -> Formula:
        mask = t["mass"]
        if isinstance(mask, dict):
            values = array(self.file(table(mask, "file")["file"]), None, "fiub")
            need(len(values) == self.parts.size, "a mask of another size")
            mask = [i for i, v in enumerate(values) if v]
        inside, parts = set(self.parts.select(mask)), self.magnitudes()
        need(all(0 <= exact(t[k]) <= 1 for k in LIMITS if k in t), "a share is from 0 to 1")
        need(inside and inside <= set(self.chosen), "a wrong mask")
        mass = total((v, 1) for i, v in zip(self.chosen, parts, strict=True) if i in inside)
        return self.within([mass], t, total((v, 1) for v in parts))

    def monotone(self, t: dict[str, Any]) -> Formula:
        bound = {{"increasing": "at_least", "decreasing": "at_most"}[t["monotone"]]: 0}
        items = [v for n in self.slopes(t.get("output", self.output)) for v in self.graph.refs(n)]
        return self.within([items[i] for i in self.features.select(t["feature"])], bound)


BOUNDS = " ".join(LIMITS)
JOINED = ("not", "all", "any")
PROPERTIES: dict[str, tuple[str, Callable[[Claim, Any], Formula]]] = {
    "monotone": ("feature output", Claim.monotone), "class": ("tie", Claim.class_),
    "output": (BOUNDS, lambda c, t: c.within([c.functional(t["output"])], t)),
    "component": (BOUNDS, lambda c, t: c.within([c.items[i] for i in c.parts.select(
        t["component"])], t)),
    "sign": ("which threshold zero at_least", Claim.sign), "order": ("", Claim.order),
    "distance": ("relative " + BOUNDS, Claim.distance),
    "similarity": ("at_least undefined", Claim.cosine),
    "mass": ("undefined " + BOUNDS, Claim.mass), "top_k": ("overlap_at_least tie", Claim.top_k),
}


CONTROL = re.compile("[\0-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
TOKEN = re.compile(r"[()]|[!#-'*-:<-{}~]+|(?:[ \t\r\n]|;[^\r\n]*)++")  # the last: blanks, comments
REAL = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]*)?(?:[eE][+-]?0*[0-9]{1,3})?")


class Query(Claim):
    """A VNN-LIB 1.0 file: the conjunction of its assertions is the broken claim."""

    def __init__(self, source: str, net: Network) -> None:
        self.adopt(net)
        need(not net.left_out, f"Y counts all outputs, and {net.left_out!r:.60} are no floats")
        outputs = [v for t in net.outputs.values() for v in t.solid().items]
        named = [*(("X", v) for v in enumerate(self.flat)), *(("Y", v) for v in enumerate(outputs))]
        known, self.values = {f"{k}_{i}": v for k, (i, v) in named}, dict[str, Form]()
        parts = list[Formula]()
        for line, command in self.commands(source):
            with at(f"line {line}"):
                kind, *rest = command
                need(kind in ("assert", "declare-const", "declare-fun"), f"command {kind!r:.40}")
                if kind == "assert":
                    need(len(rest) == 1, "an assertion of several parts")
                    parts.append(self.assertion(*rest))
                else:
                    form = ["Real"] if kind == "declare-const" else [[], "Real"]
                    label, *rest = rest
                    need(rest == form and label in known.keys() - self.values,
                         f"a wrong declaration: {label!r:.40}")
                    self.values[label] = known[label]
        found = every(parts)
        self.broken, box = [2, [[0, []], found]], self.hull(found)
        refs = [ref for form in self.flat for ref in form[0]]
        need({(ref, s) for ref in refs for s in (1, -1)} <= box.keys(), "an input is unbounded")
        self.lo, self.hi = [box[ref, 1] for ref in refs], [-box[ref, -1] for ref in refs]

    def commands(self, source: str) -> Iterator[tuple[int, list[Any]]]:
        """The commands with the lines that they end on; comments end at LF or CR."""
        stack, place, line = list[list[Any]]([[]]), 0, 1
        for m in TOKEN.finditer(source):
            token, control = m[0], CONTROL.search(m[0])
            need(m.start() == place, f"line {line}: {source[place]!r} is no part of VNN-LIB 1.0")
            place = m.end()
            line += len(re.findall(r"\r\n|\r|\n", token[: control.start() if control else None]))
            need(not control, f"line {line}: a control character")
            if token == "(":
                need(len(stack) < 100, f"line {line}: nested too deeply")
                stack.append([])
            elif token == ")":
                need(len(stack) > 1, f"line {line}: a bracket too many")
                stack[-2].append(stack.pop())
                if len(stack) == 1:
                    need(stack[0][0], f"line {line}: an empty command")
                    yield line, stack[0].pop()
            elif token[0] not in "; \t\r\n":
                need(len(stack) > 1, f"line {line}: {token!r:.40} outside of brackets")
                stack[-1].append(token)
        need(place == len(source), f"line {line}: {source[place:][:1]!r} is no part of VNN-LIB 1.0")
        need(len(stack) == 1, f"line {line}: a bracket is never closed")

    def term(self, e: Any) -> Form:
        if isinstance(e, str):
            need(e in self.values or (REAL.fullmatch(e) and len(e) <= 1000),
                 f"{e!r:.40} is no number, and no variable declared before")
            return self.values[e] if e in self.values else ({}, exact(e))
        need(len(e) > 1 and e[0] in ("+", "-", "*"), f"{e[:1]!r:.40} is no term")
        parts = [self.term(p) for p in e[1:]]
        if e[0] == "*":
            need(len(parts) == 2, "a product of not two")
            a, b = sorted(parts, key=lambda p: len(p[0]))
            need(not a[0], "a product of variables")
            return total([(b, a[1])])
        signs = [1] * len(parts) if e[0] == "+" else [1] * (len(parts) > 1) + [-1] * len(parts)
        return total(zip(parts, signs))

    def assertion(self, e: Any) -> Formula:
        need(isinstance(e, list) and e and type(e[0]) is str, f"{e!r:.40} is no formula")
        if e[0] in ("and", "or"):
            need(len(e) > 1, "a formula of nothing")
            return [len(e) - 1 if e[0] == "and" else 1, [self.assertion(p) for p in e[1:]]]
        need(e[0] in ("<=", "<", ">=", ">", "=") and len(e) == 3, f"{e[0]!r:.40} of {len(e) - 1}")
        a, b = map(self.term, e[1:])
        signs = {"<=": [1], "<": [1], ">=": [-1], ">": [-1], "=": [1, -1]}[e[0]]
        return every((total([(b, s), (a, -s)]), e[0] in "<>") for s in signs)

    def hull(self, f: Formula) -> dict[Any, Fraction]:
        """(element, sign) -> b where the formula says that sign * element >= b."""
        if not isinstance(f, list):
            refs, const = f[0]
            return {(r, 1 if c > 0 else -1): Fraction(-const, abs(c)) for r, c in refs.items()
                    if len(refs) == 1}
        parts = [self.hull(p) for p in f[1]]
        if f[0] == len(parts):
            return {k: max(p[k] for p in parts if k in p) for k in set().union(*parts)}
        return {k: min(p[k] for p in parts) for k in set(parts[0]).intersection(*parts[1:])}


def load(path: str, query: tuple[bytes, str], net: Network) -> Claim:
    """The claim of a file: a query by its name, or else a spec, which is never zipped."""
    if path.endswith((".vnnlib", ".vnnlib.gz")):
        return Query(query[0].decode(), net)
    need(hashlib.sha256(query[0]).hexdigest() == query[1], "zipped")
    spec = tomllib.loads(query[0].decode(), parse_float=lambda text: exact(text.replace("_", "")))
    return Claim(spec, os.path.dirname(path), net)


# --- bounds: the interval pass and linear bounds, in scaled integers ------------------------------

# A scale's bounds are multiples of 1 / unit, unit = odd << bits. If `shut`, gates on kinks are 0.
# Its `relu_of` has the node R on z for every z that has a node S. Its `balls` are (1 or 2 for the
# norm l1 or l2, radius, {(input node, element): coordinate of the centre}), in units.


def shares(power: int, radius: int, left: int, rows: Any) -> Iterator[list[int]]:
    """What of a form's coefficients to bound over a ball: any shares are sound, some of these good.

    `rows`: coefficient c, and the ends of centre - x over the box. `left`: what the nearest point
    leaves of the radius (of its square in the norm l2).
    """
    if power == 1:
        order = sorted(rows, key=lambda row: -abs(row[0]))
        used = accumulate(abs(b if c > 0 else a) - abs(min(max(a, 0), b)) for c, a, b in order)
        level = next((abs(row[0]) for row, v in zip(order, used) if v > left), 0)
        yield [min(max(c, level if a > 0 else -level), -level if b < 0 else level)
               for c, a, b in rows]
    up, down, seen = max(radius, 1), math.isqrt(sum(c * c for c, _, _ in rows)) or 1, set[Any]()
    while power == 2 and (up, down) not in seen and len(seen) < 16:
        seen.add((up, down))  # centre - x = c * up / down, cut to the box, is to reach the rim
        es = [min(max(c, a * down // up), b * down // up) for c, a, b in rows]
        yield es
        free = sum(e * e for e, (c, _, _) in zip(es, rows) if e == c)
        room = radius**2 - sum((b if e < c else a) ** 2 for e, (c, a, b) in zip(es, rows) if e != c)
        up, down = (math.isqrt(room), math.isqrt(free)) if room > 0 else (up, 2 * down)


def exactly(graph: NetworkGraph, n: int, x: list[Fraction], shut: bool) -> list[Fraction]:
    """A node at a point; Bad where a kink's gate matters."""
    low, high = ends(graph, n, x, shut)
    need(low == high, "a value depends on the gate of a kink")
    return low


def ends(
    graph: NetworkGraph, n: int, x: list[Fraction], shut: bool
) -> tuple[list[Fraction], list[Fraction]]:
    """A node's bounds at a point, gates on kinks free (or shut), in units so fine that nothing
    rounds."""
    nodes = [graph.nodes[m] for m in graph.nodes[n].cone]
    steps = [node.data for node in nodes if node.kind == "A"]
    unit = math.lcm(*(v.denominator for v in x), *(b.denominator for s in steps for b in s[2]))
    unit *= math.prod(s[1] for s in steps)
    unit **= 4 if any(node.kind == "M" for node in nodes) else 1
    point = [int(v * unit) for v in x]
    lo, hi = SubRegion(Scale(graph, unit, unit, 0, shut, {}, {}, ()), (point, point)).get(n)
    return [Fraction(v, unit) for v in lo], [Fraction(v, unit) for v in hi]


class SubRegion:
    """A part of the region: a box cut by facts and by signs of units; bounds are made on demand."""

    def __init__(self, scale: Scale, box: Box, parent: SubRegion | None = None) -> None:
        self.scale, self.graph, self.box = scale, scale.graph, box
        self.path: tuple[SubRegion, ...] = (*parent.path, self) if parent else (self,)
        self.cache: dict[int, Box] = {}
        self.homes: dict[int, SubRegion] = {}  # sound if old: a domain above holds all of this one
        self.facts: dict[int, dict[tuple[int, int], int]] = {}  # node, (element, sign), bound
        self.units: tuple[tuple[int, int, int], ...] = parent.units if parent else ()
        self.pending: list[dict[str, Any]] = []
        self.dead: set[int] = set()  # atoms that are false here, and -1 if there is no point
        self.joint: list[set[int]] = []  # atoms not all of which hold here
        self.spent = 0

    def split(self, n: int, i: int, sign: int, at: Fraction | None = None) -> SubRegion:
        """The part with sign * element >= sign * at; without `at`, where a unit has this sign."""
        child = SubRegion(self.scale, self.box, self)
        child.units += () if at is not None else ((n, i, sign),)
        child.learn(n, i, sign, math.floor(sign * (at or ZERO) * self.scale.unit))
        return child

    def learn(self, n: int, i: int, sign: int, bound: int) -> None:
        """Take the fact that sign * element >= bound."""
        known = self.facts.setdefault(n, {})
        known[i, sign] = max(bound, known.get((i, sign), bound))
        nodes = self.graph.nodes
        self.homes = {}
        self.cache = {m: box for m, box in self.cache.items() if n not in nodes[m].cone}

    def home(self, n: int) -> SubRegion:
        """The topmost domain with the same bounds of n."""
        if n not in self.homes:
            cone = self.scale.graph.nodes[n].cone
            own = (d for d in self.path[:0:-1] if not cone.isdisjoint(d.facts))
            self.homes[n] = next(own, self.path[0])
        return self.homes[n]

    def get(self, n: int) -> Box:
        """Bounds of a node; raises Empty where they contradict each other."""
        d = self.home(n)
        if n not in d.cache:
            for m in sorted(self.graph.nodes[n].cone):
                h = self.home(m)
                if m not in h.cache:
                    h.cache[m] = h.refined(m, *h.compute(m))
        return d.cache[n]

    def refined(self, n: int, lo: list[int], hi: list[int]) -> Box:
        """Bounds cut by the facts of this domain."""
        facts = [f for d in self.path for f in d.facts.get(n, {}).items()]
        lo, hi = (list(lo), list(hi)) if facts else (lo, hi)
        for (i, sign), bound in facts:
            lo[i] = max(lo[i], bound) if sign > 0 else lo[i]
            hi[i] = min(hi[i], -bound) if sign < 0 else hi[i]
        if any(map(gt, lo, hi)):
            self.dead.add(-1)
            raise Empty
        return lo, hi

    def compute(self, n: int) -> Box:
        """Bounds of a node from those of its arguments."""
        (kind, args, size, data, _), unit = self.graph.nodes[n], self.scale.unit
        if kind == "I":
            return self.box[0][data : data + size], self.box[1][data : data + size]
        boxes = [self.home(a).cache[a] for a in args]
        if kind == "A":
            parts, den, _ = data
            mid, rad = [0] * size, [0] * size  # twice centre and radius, times den
            for (_, rows, sizes, _), (lo, hi) in zip(parts, boxes, strict=True):
                mid = list(map(add, mid, rows.times(list(map(add, lo, hi)))))
                rad = list(map(add, rad, sizes.times(list(map(sub, hi, lo)))))
            low, high = self.bias(n)
            return ([b + (c - r) // (2 * den) for b, c, r in zip(low, mid, rad, strict=True)],
                    [b - (-c - r) // (2 * den) for b, c, r in zip(high, mid, rad, strict=True)])
        (lo, hi), (low, high) = boxes[0], boxes[-1]
        if kind == "R":
            return [max(v, 0) for v in lo], [max(v, 0) for v in hi]
        if kind == "S":
            signs, least = {i: s for z, i, s in self.units if z == args[0]}, int(self.scale.shut)
            return ([unit * (v > 0 or signs.get(i, 0) > 0) for i, v in enumerate(lo)],
                    [unit * (v >= least and signs.get(i, 0) >= 0) for i, v in enumerate(hi)])
        ends = [sorted((a * c, a * d, b * c, b * d)) for a, b, c, d in zip(lo, hi, low, high)]
        floors = [max(0, e[0]) if args[0] == args[1] else e[0] for e in ends]
        return [v // unit for v in floors], [-(-e[-1] // unit) for e in ends]

    def bias(self, n: int) -> Box:
        known: dict[int, Box] = self.scale.biases
        if n not in known:
            scaled = [b * self.scale.unit for b in self.graph.nodes[n].data[2]]
            known[n] = list(map(math.floor, scaled)), list(map(math.ceil, scaled))
        return known[n]

    def lower(self, terms: list[tuple[int, int, int]], param: dict[Any, bytes]) -> int:
        """A lower bound of terms (node, element, coefficient in 2^-F) by backward substitution.

        It is in 2^-F / unit; any multipliers are sound.
        """
        coefs, const = dict[int, list[int]](), 0
        for n, i, c in terms:
            coefs.setdefault(n, [0] * self.graph.nodes[n].size)[i] += c
        while computed := [n for n in coefs if self.graph.nodes[n].kind != "I"]:
            n, self.spent = max(computed), 0
            for m, values in self.passed(n, coefs.pop(n), param):
                coefs[m] = list(map(add, coefs[m], values)) if m in coefs else values
            const += self.spent
        return const + self.least(coefs)

    def least(self, coefs: dict[int, list[int]]) -> int:
        """A lower bound of a form of the inputs over the box, or over what a ball leaves of it."""
        balls, best = self.scale.balls, 0
        boxes = {n: self.get(n) for n in {*coefs, *(n for _, _, at in balls for n, _ in at)}}
        for power, radius, centre in balls:
            rows = [(coefs[n][i] if n in coefs else 0, x - boxes[n][1][i], x - boxes[n][0][i])
                    for (n, i), x in centre.items()]
            left = radius**power - sum(abs(min(max(a, 0), b)) ** power for _, a, b in rows)
            if left < 0:
                self.dead.add(-1)
                raise Empty
            for es in shares(power, radius, left, rows):
                # Sound: e (centre - x) is at most radius times the dual norm of e on the ball.
                size = max(map(abs, es)) if power == 1 else 1 + math.isqrt(sum(e * e for e in es))
                best = max(best, sum(max(c * a, c * b) - max((c - e) * a, (c - e) * b)
                                     for e, (c, a, b) in zip(es, rows)) - radius * size)
        return best + sum(v * (lo if v > 0 else hi) for n, c in coefs.items()
                          for v, lo, hi in zip(c, *boxes[n]) if v)

    def passed(self, n: int, c: list[int], param: Any) -> Iterator[tuple[int, list[int]]]:
        """What a plane below c * node passes on to its arguments; `spent` takes its constant."""
        (kind, args, _, data, _), relu_of = self.graph.nodes[n], self.scale.relu_of
        unit, odd, bits = self.scale.unit, self.scale.odd, self.scale.bits

        def fraction(key: str, i: int, default: int) -> int:
            found = param.get((key, n), param.get(({"H": "G", "N": "M"}.get(key, key), n)))
            return default if found is None else found[i] if i < len(found) else 0

        def divided(value: int, by: int, least: int) -> int:
            # Sound: v x >= floor(v) x + min(0, x's lower bound), the remainder being in [0, 1).
            self.spent += min(0, least) if value % by else 0
            return value // by

        if kind == "A":
            lo, hi = self.bias(n)
            # Sound: the upper end of a rounded bias is at most 1 more than the lower one.
            rest = (v for v, a, b in zip(c, lo, hi) if v < 0 and a != b) if lo != hi else ()
            self.spent += sum(map(mul, c, lo)) + sum(rest)
            for a, _, _, columns in data[0]:
                lo, hi = self.get(a)
                found = columns.times(c, (lo, hi))
                if min(lo) < 0:
                    self.spent += sum(b for v, b in zip(found, lo, strict=True)
                                      if b < 0 and v % data[1])
                yield a, list(map(floordiv, found, repeat(data[1])))
            return
        (lo, hi), (low, high) = self.get(args[0]), self.get(args[-1])
        off, on = self.get(n)
        other, back = [0] * len(c), [v if kind == "R" and b > 0 else 0 for v, b in zip(c, hi)]
        for i in [i for i, v in enumerate(c) if v and (kind != "R" or lo[i] < 0 < hi[i])]:
            v, a, b = c[i], lo[i], hi[i]
            if kind == "R" and v < 0:
                # Sound: above the chord's ends, a plane is above the convex R between them.
                k = -v * b // (b - a)
                back[i] = -k
                self.spent -= max(-k * a, (-v - k) * b)
            elif kind == "R":
                back[i] = v * fraction("R", i, 128 * (b > -a)) >> 7
            elif kind == "S":
                self.spent += v * unit if off[i] or (on[i] and v < 0) else 0
                if not off[i] and on[i] and (b > 0 if v > 0 else a < 0):
                    # Sound: rounding a tie down weakens it, since y >= 0 and y >= z.
                    k = abs(v) * fraction("S", i, 0) * unit // (128 * (b if v > 0 else -a))
                    tied = relu_of.get(args[0], n) < n
                    other[i] = k if tied else 0
                    back[i] = -k if v < 0 else 0 if tied else k
            elif kind == "M" and args[0] == args[1]:
                p, q, mix = a // odd, -(-b // odd), fraction("M", i, 64)
                t = (p * (128 - mix) + q * mix) // 128
                slope, cross = (2 * t, t * t) if v > 0 else (p + q, p * q)
                back[i] = divided(v * slope, 1 << bits, a)
                self.spent += -v * cross * odd >> bits
            elif kind in "GM" and (a == b or low[i] == high[i]):
                other[i] = divided(v * a, unit, low[i]) if a == b else 0
                back[i] = 0 if a == b else divided(v * low[i], unit, a)
            elif kind in "GM":
                # Sound: each of the two planes is below v times the product, so any mix is.
                p, q, r, s = a // odd, -(-b // odd), low[i] // odd, -(-high[i] // odd)
                chord = min(128, max(0, 128 * (s if v > 0 else -r) // (s - r)))
                mix = fraction("GMHN"[2 * (v < 0) + (kind == "M")], i, 64 if kind == "M" else chord)
                first = v * (128 - mix if kind == "G" and v < 0 else mix) // 128
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

LINES = {"f": "fpzr", "b": "bpzra", "s": "s", "x": "x", "l": "l", "t": "t"}


class Hashed(io.RawIOBase):
    """A file whose bytes are hashed as they are read."""

    def __init__(self, path: str, digest: Any) -> None:
        self.raw, self.digest = open(path, "rb", buffering=0), digest  # noqa: SIM115

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        size = self.raw.readinto(buffer) or 0
        self.digest.update(memoryview(buffer)[:size])
        return size

    def close(self) -> None:
        self.raw.close()
        super().close()


def stream(path: str, digest: Any, place: list[str]) -> Iterator[Any]:
    """The lines of a certificate, one at a time; `int` refuses floating-point literals.

    `place` is set to the line that was read last, for messages.
    """
    with io.BufferedReader(Hashed(path, digest), 1 << 16) as raw:
        source: Any = gzip.GzipFile(fileobj=raw) if raw.peek(2)[:2] == b"\x1f\x8b" else raw
        for number, line in enumerate(iter(partial(source.readline, MAX_LINE + 1), b""), 1):
            place[:] = [f"line {number}"]
            need(len(line) <= MAX_LINE, "a line is too long")
            yield json.loads(line, parse_float=int, parse_constant=int)


def kind_of(line: dict[str, Any]) -> str:
    found = [k for k, keys in LINES.items() if k in line and line.keys() <= set(keys)]
    need(found, f"a line with keys {list(line)!r:.60}")
    return found[0]


def dyadic(m: int, e: int) -> Fraction:
    need(0 <= m < 1 << 4096 and abs(e) <= 4096, "a multiplier out of range")
    return m * Fraction(2) ** e


def alive(f: Any, dead: Callable[[int], bool]) -> bool:
    """Whether a numbered formula can be true when just these atoms cannot."""
    return not dead(f) if isinstance(f, int) else sum(alive(p, dead) for p in f[1]) >= f[0]


class Checker:
    """Checks the lines of one certificate against one claim; `share`: which of how many workers."""

    def __init__(self, claim: Claim, share: tuple[int, int]) -> None:
        self.graph = g = claim.graph
        self.claim, self.share = claim, share
        self.atoms: list[tuple[Form, bool]] = []
        self.broken = self.number(claim.broken)
        first: dict[Any, int] = {}
        self.same = [first.setdefault((frozenset(f[0].items()), f[1], strict), k)
                     for k, (f, strict) in enumerate(self.atoms)]
        # All atoms are elements of one node, each times a factor that makes its coefficients whole.
        lcms = [math.lcm(*(c.denominator for c in f[0].values())) for f, _ in self.atoms]
        self.factors = [v if v < 1 << 64 else 1 for v in lcms] + [1]  # the last one for the form 0
        self.top = g.rows([total([(f, v)]) for (f, _), v in zip(self.atoms, self.factors)])
        self.cuts, nodes, index = g.rows(claim.cuts), g.nodes, g.index
        steps = {nodes[n].args[0] for n in nodes[self.top].cone if nodes[n].kind == "S"}
        relu_of = {z: index["R", (z,), 0] for z in steps if ("R", (z,), 0) in index}
        known = sorted({*nodes[self.top].cone, *relu_of.values()})
        self.named = {k: [n for n in known if nodes[n].kind == k] for k in "RSGM"}
        shifts = [b for n in known if nodes[n].kind == "A" and n != self.top
                  for b in nodes[n].data[2]]
        whole = math.lcm(*(v.denominator for v in chain(claim.lo, claim.hi, shifts)))
        odd = whole >> (whole & -whole).bit_length() - 1
        odd = odd if odd.bit_length() <= 40 else 1
        self.scale = Scale(g, odd << E, odd, E, False, relu_of, {}, [])
        for power, free, radius in (b for b in claim.balls if b[1]):
            # Sound: what rounding the centre moves is added to the radius.
            at = {r: claim.x0[i] * self.scale.unit for i in free for r in claim.flat[i][0]}
            room = math.ceil(radius * self.scale.unit + sum(v % 1 for v in at.values()))
            self.scale.balls.append((power, room, {r: v // 1 for r, v in at.items()}))
        low = [math.floor(v * self.scale.unit) for v in claim.lo]
        self.root = SubRegion(self.scale, (low, [math.ceil(v * self.scale.unit) for v in claim.hi]))

    def number(self, f: Formula) -> Any:
        """The formula with its atoms numbered from left to right."""
        if isinstance(f, list):
            return f[0], [self.number(p) for p in f[1]]
        self.atoms.append(f)
        return len(self.atoms) - 1

    def run(self, head: dict[str, Any], lines: Iterator[Any]) -> str:
        table(head, "vxc network spec data nodes atoms witness note")
        sizes = {k: [self.graph.nodes[n].size for n in v] for k, v in self.named.items()}
        for key, mine in (("atoms", len(self.atoms)), ("nodes", sizes)):
            need(head.get(key, mine) == mine, f"header: {key}: the claim has {json.dumps(mine)}")
        need(head.get("data", {}) == self.claim.files, "header: data: the hashes of other files")
        if "witness" in head:
            need(not list(islice(lines, 1)), "lines after a witness")
            self.witness([exact(v) for v in head["witness"]])
            return "valid (refutation)"
        assume, goal = self.broken[1]
        parts = goal[1] if isinstance(goal, tuple) and goal[0] == 1 else [goal]
        missing, left = set(range(len(parts))), -1
        for line in lines:
            kind = kind_of(line)
            need(left < 0 or kind == "t", "a line after the end")
            if kind in "fb":
                self.root.pending.append(line)
                continue
            chosen = line["t"] if kind == "t" else range(len(parts))
            part = (2, [assume, (1, [pick(parts, j, "part") for j in chosen])])
            rest = lines if kind == "t" else chain([line], lines)
            left, missing = max(left, 0) + self.tree(rest, part), missing - set(chosen)
        if left or missing:
            raise Short(f"{left} leaves are open" if left > 0 else "a part has no tree")
        return "valid"

    def witness(self, x: list[Fraction]) -> None:
        """Whether a point lies in the region and breaks the claim, whatever gates on kinks are.

        A gate is on a kink only where its two sides differ. An atom counts if its value is the same
        for all choices of the gates whose argument is 0. Sound: the gates at all points nearby are
        among these, so the attribution it reads has one limit from every side, and so is defined.
        """
        claim, g = self.claim, self.graph
        need(len(x) == claim.size, "witness: another length")
        inside = all(a <= v <= b for a, v, b in zip(claim.lo, x, claim.hi, strict=True))
        inside &= all(x[i].denominator == 1 for i in claim.integers)
        for power, free, radius in claim.balls:
            inside &= sum(abs(x[i] - claim.x0[i]) ** power for i in free) <= radius**power
        inside &= all(v <= 0 for v in exactly(g, self.cuts, x, False))
        need(inside, "witness: outside the region")
        low, high = ends(g, self.top, x, False)
        on_kink = {k for k, v in enumerate(low) if v != high[k]}
        fine = alive(self.broken, lambda k: k in on_kink or self.beats(k, -low[k]))
        need(fine or not on_kink, "witness: on a kink")
        need(fine, "witness: the claim holds there")

    def tree(self, lines: Iterable[Any], f: Any) -> int:
        """Read one tree to its end; the number of leaves marked open."""
        todo, leaves, left = list[Callable[[], SubRegion]](), 0, 0
        d = SubRegion(self.scale, self.root.box, self.root)
        for line in lines:
            kind = kind_of(line)
            need(kind != "t" and len(d.path) < MAX_DEPTH, "a tree within a tree, or one too deep")
            if kind in "fb":
                d.pending.append(line)
            elif kind == "l":
                mine = (leaves >> 4) % self.share[1] == self.share[0]
                fine = line["l"] == 0 or (line["l"] == 1 and (not mine or self.closed(d, f)))
                need(fine, f"leaf {leaves} does not close")
                leaves, left = leaves + 1, left + (not line["l"])
                if not todo:
                    return left
                d = todo.pop()()
            else:
                n, i, at = self.unit(*line["s"]) if kind == "s" else self.place(*line["x"])
                todo.append(partial(d.split, n, i, -1, at))
                d = d.split(n, i, 1, at)
        raise Short(f"the file ends with {len(todo) + 1} nodes to come")

    def closed(self, d: SubRegion, f: Any) -> bool:
        """Whether the formula is false on the whole domain."""
        dead, joint = set[int](), [{-1}]
        try:
            for h in d.path:
                self.settle(h)
                dead |= h.dead
                joint += h.joint
            d.least({})
            if alive(f, lambda k: self.same[k] in dead):
                for n, _, _ in d.units:
                    d.get(n)
                dead |= {k for k, v in enumerate(d.get(self.top)[1]) if self.beats(k, -v)}
        except Empty:
            return True
        # Sound: some atom of a set cannot hold, and whichever it is, the formula is false.
        return any(all(not alive(f, lambda k: self.same[k] in {j, *dead}) for j in group)  # noqa: B023
                   for group in joint)

    def beats(self, k: int, low: Any) -> bool:
        """Whether a lower bound of minus its form makes atom k false; -1 is the atom 0 >= 0."""
        return bool(low > 0 or (low == 0 and k >= 0 and self.atoms[k][1]))

    def settle(self, d: SubRegion) -> None:
        """Derive the facts and bounds attached to a domain; Empty if it has no point."""
        pending, d.pending = d.pending, []
        for line in pending:
            if "b" in line:
                k = line["b"]
                need(-1 <= k < len(self.atoms), f"no atom {k!r:.20}")
                terms = [(self.top, k, -1 << F)] if k >= 0 else []
                group = {self.same[k] if k >= 0 else -1}
                for j, m, e in line.get("a", ()):
                    need(k >= 0 and 0 <= j < len(self.atoms), f"no atom {j!r:.20}")
                    times = Fraction(self.factors[k], self.factors[j]) * dyadic(m, e)
                    terms.append((self.top, j, -math.floor(times * (1 << F))))
                    group.add(self.same[j])
                if self.beats(k, self.bound(d, terms, self.factors[k], line)):
                    d.joint += [group] if len(group) > 1 else []
                    d.dead |= group if len(group) == 1 else set()
            else:
                kind, n, a, i, sign = line["f"]
                z = self.argument(kind, n, a, i)
                need(sign in (1, -1), "a fact's sign")
                d.learn(z, i, sign, self.bound(d, [(z, i, sign << F)], 1, line) >> F)
        if -1 in d.dead:
            raise Empty

    def argument(self, kind: str, n: int, a: int, i: int) -> int:
        """The node that is argument a of a named node and has an element i."""
        args = self.graph.nodes[pick(self.named.get(kind, ()), n, f"node {kind}")].args
        z: int = pick(args, a, f"argument of {kind}{n}")
        need(0 <= i < self.graph.nodes[z].size, f"no element {i}")
        return z

    def unit(self, kind: str, n: int, i: int) -> tuple[int, int, Fraction | None]:
        need(kind in ("R", "S"), f"no unit {kind!r:.20}")
        return self.argument(kind, n, 0, i), i, None

    def place(self, i: int, at: Any) -> tuple[int, int, Fraction | None]:
        ((n, k),) = pick(self.claim.flat, i, "input")[0]
        return n, k, exact(at)

    def bound(self, d: SubRegion, terms: list[Any], factor: int, line: Any) -> int:
        """A lower bound of terms with a line's multipliers, which are for 1 / factor of them."""
        param: dict[tuple[str, int], bytes] = {}
        for key, value in line.get("p", {}).items():
            nodes = self.named.get({"H": "G", "N": "M"}.get(key[0], key[0]), ())
            n = pick(nodes, int(key[1:]), f"node {key[0]}")
            found = param[key[0], n] = base64.b64decode(value, validate=True)
            need(len(found) <= self.graph.nodes[n].size, f"multipliers {key} out of range")
            need(max(found, default=0) <= 128, f"multipliers {key} out of range")
        rows = [(self.cuts, j, -1) for j in range(len(self.claim.cuts))]  # a cut is at most 0
        terms = list(terms)
        for key, known in (("z", d.units), ("r", rows)):
            for j, m, e in line.get(key, ()):
                n, i, sign = pick(known, j, f"multiplier {key}")
                value = math.floor(dyadic(m, e) * factor * (1 << F))
                terms.append((n, i, -sign * value))
        return d.lower(terms, param)


def check(files: Sequence[str]) -> tuple[int, str]:
    """(exit code, message) for a network, a spec and a certificate."""
    return work(files, (0, 1))[:2]


def work(files: Sequence[str], share: tuple[int, int]) -> tuple[int, str, str]:
    """(exit code, message, SHA-256 of the certificate's bytes as far as they were read)."""
    digest, code, place = hashlib.sha256(), 65, list[str]()
    try:
        place[:] = [os.path.basename(files[0])]
        network = read(files[0])
        place[:] = [os.path.basename(files[1])]
        query = read(files[1])
        place.clear()
        lines, code = stream(files[2], digest, place), 1
        head: Any = next(lines, {})
        need(head.get("vxc") == 1, "header: not a certificate of version 1")
        for key, (_, found) in (("network", network), ("spec", query)):
            need(head.get(key) == found, f"header: {key}: the hash of another file")
        code, place[:] = 65, [os.path.basename(files[0])]
        limit = sys.getrecursionlimit()
        sys.setrecursionlimit(1 << 16)  # a chain of operators is as deep as it is long
        try:
            net = Network(network[0])
        finally:
            sys.setrecursionlimit(limit)
        place[:] = [os.path.basename(files[1])]
        claim = load(files[1], query, net)
        code, place[:] = 1, ["line 1"]
        return 0, Checker(claim, share).run(head, lines), digest.hexdigest()
    except Bad as error:
        if type(error) is Short:
            return 2, f"incomplete: {error}", ""
        return code, f"invalid: {': '.join(place)}: {error}", ""
    except OSError as error:
        return 65, f"invalid: {error.filename or 'a file'}: {error.strerror or error}", ""
    except MemoryError:
        return 2, "incomplete: out of memory", ""
    except Exception as error:  # whatever untrusted bytes bring about is one line, no traceback
        at = ": ".join([*place, ""])
        return code, f"invalid: {at}malformed ({type(error).__name__}: {error})", ""


def main(args: list[str]) -> int:
    *files, _, number = args if args[-2:-1] == ["--jobs"] else [*args, "--jobs", "1"]
    jobs = int(number) if number.isdecimal() else 0
    if len(files) != 3 or not 1 <= jobs <= 64:
        print("usage: checker.py NETWORK SPEC CERTIFICATE [--jobs N]", file=sys.stderr)
        return 64
    try:
        with ProcessPoolExecutor(jobs) as pool:
            run = pool.map if jobs > 1 else map
            results = list(run(work, [files] * jobs, [(k, jobs) for k in range(jobs)]))
    except Exception as error:
        results = [(1, f"invalid: a worker died ({error})", "")]
    code, word, _ = max(results, key=lambda r: (0, 2, 1, 65).index(r[0]))
    if code == 0 and len({digest for _, _, digest in results}) > 1:
        # Sound: the header's hashes tie each worker's other files to the certificate it read.
        code, word = 1, "invalid: the certificate changed while it was read"
    print("".join(c if " " <= c <= "~" else "?" for c in " ".join(word.split()))[:500])
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
