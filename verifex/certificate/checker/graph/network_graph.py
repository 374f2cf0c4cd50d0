"""The graph of affine steps and relaxed nodes, and its derivatives."""

from __future__ import annotations

import math
from collections import namedtuple
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

from ..failures import MAX_NODES, MAX_SIZE, need
from .forms import ONE, ZERO, Form, total
from .packed_rows import PackedRows, packed

Node = namedtuple("Node", "kind args size data cone")  # cone: the node and its ancestors


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
