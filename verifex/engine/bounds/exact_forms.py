"""Nodes as exact affine functions of the input, over a domain on which gates are decided.

A unit is decided by a split of the domain, or by an interval pass in fractions, layer by layer, in
which the signs of splits are put. What depends on a unit that is not has no affine form here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from verifex.engine.bounds.exact_lp import AffineRow
from verifex.engine.bounds.layout import Layout, Signs
from verifex.errors import UnsupportedError
from verifex.ir.exact import ExactArray, Values, as_exact
from verifex.ir.formula import Cell, Form
from verifex.ir.linmap import LinearMap, absolute, apply_exact, apply_numpy, transpose
from verifex.ir.ops import Affine, Concat, Const, Gate, Input, Mul, Relu, Step, Univariate

Flags = NDArray[np.bool_]
_HALF = Fraction(1, 2)


@dataclass(frozen=True)
class NodeForm:
    """All elements of one node, of shape S: `forms` (1 + k, *S) are their constants and their
    coefficients of the k free inputs, 0 where `open` (S); `low`, `high` (1, *S) are their ends."""

    forms: ExactArray
    open: Flags
    low: ExactArray
    high: ExactArray

    @property
    def point(self) -> Flags:
        """Which elements are constant, since their ends meet."""
        den = self.low.den * self.high.den
        same: Flags = np.asarray(self.low.over(den) == self.high.over(den), dtype=bool)
        return np.asarray(same[0])


@dataclass
class ExactDomain:
    """The nodes over one domain.

    `free` are the inputs that the box `lo`, `hi` leaves free. `relu_sign` and `step_sign` say of
    the elements of a pre-activation which side they are on, 0 where that is not decided: a Relu is
    the same on both sides where its argument is zero, a gate may be either.
    """

    layout: Layout
    lo: tuple[Fraction, ...]
    hi: tuple[Fraction, ...]
    signs: Signs
    free: tuple[int, ...]
    nodes: dict[int, NodeForm] = field(default_factory=dict)
    relu_sign: dict[int, NDArray[np.int8]] = field(default_factory=dict)
    step_sign: dict[int, NDArray[np.int8]] = field(default_factory=dict)

    def of(self, form: Form) -> AffineRow | None:
        """A form of node elements as a function of the free inputs; None where it is not affine, as
        far as gates are decided."""
        total = [Fraction(0)] * (1 + len(self.free))
        for (node, index), c in form.terms:
            found = self.nodes[node]
            if found.open.flat[index]:
                return None
            column = found.forms.num.reshape(len(total), -1)[:, index]
            for k, number in enumerate(column.tolist()):
                if number:
                    total[k] += c * Fraction(number, found.forms.den)
        return AffineRow(total[1:], total[0] + form.const)

    @cached_property
    def box(self) -> tuple[tuple[Fraction, ...], tuple[Fraction, ...]]:
        """The ends of the free inputs."""
        return tuple(self.lo[i] for i in self.free), tuple(self.hi[i] for i in self.free)

    def point(self, inner: Sequence[Fraction]) -> tuple[Fraction, ...]:
        """The whole input with these values of the free ones."""
        out = list(self.lo)
        for i, value in zip(self.free, inner, strict=True):
            out[i] = value
        return tuple(out)

    def undecided(self, cells: Iterable[Cell]) -> int:
        """A unit, in the order of gates of the layout, on which the cells depend and that is not
        decided: one of the earliest node that has any. -1 if there is none."""
        graph, wanted = self.layout.graph, dict[int, Flags]()
        best = -1

        def want(node: int, which: Flags) -> None:
            which = which & self.nodes[node].open
            if which.any():
                wanted[node] = wanted.get(node, np.zeros_like(which)) | which

        for target, index in cells:
            cell = np.zeros(graph.nodes[target].size, dtype=bool)
            cell[index] = True
            want(target, cell.reshape(graph.nodes[target].shape))
        for i in reversed(self.layout.order):
            if i in wanted:
                first = self._first_undecided(i, wanted[i])
                # Later nodes come first here: the earliest is the last to be seen.
                best = first if first >= 0 else best
                self._pass_on(i, wanted[i], want)
        return best

    def _first_undecided(self, index: int, which: Flags) -> int:
        """The first of these elements of a node that is a unit and not decided, as a gate; or -1.
        """
        node = self.layout.graph.nodes[index]
        if not isinstance(node.op, Relu | Step):
            return -1
        z = node.args[0]
        side = (self.relu_sign if isinstance(node.op, Relu) else self.step_sign)[z]
        found = np.flatnonzero((which & (side == 0)).ravel())
        return self.layout.offsets[z] + int(found[0]) if len(found) else -1

    def _pass_on(self, index: int, which: Flags, want: Callable[[int, Flags], None]) -> None:
        """Ask for what these elements of a node depend on."""
        node = self.layout.graph.nodes[index]
        match node.op:
            case Affine():
                for m, a in zip(node.op.maps, node.args, strict=True):
                    reached = apply_numpy(transpose(absolute(m)), which[None].astype(np.float64))
                    want(a, np.asarray(reached[0] > 0))
            case Concat():
                sizes = [self.layout.graph.nodes[a].shape[node.op.axis] for a in node.args]
                parts = np.split(which, np.cumsum(sizes)[:-1], axis=node.op.axis)
                for a, part in zip(node.args, parts, strict=True):
                    want(a, part)
            case _:
                for a in node.args:
                    want(a, which)


class ExactForms:
    """Makes exact forms of the nodes of one graph; maps and constants are converted once.

    UnsupportedError where the graph has smooth functions, whose values are no fractions.
    """

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        for i in layout.order:
            op = layout.graph.nodes[i].op
            if isinstance(op, Univariate):
                raise UnsupportedError(f"{op.name} has no exact affine form", key="exact leaf")
        self._absolute: dict[LinearMap, LinearMap] = {}
        self._consts: dict[int, ExactArray] = {}

    def over(
        self, lo: tuple[Fraction, ...], hi: tuple[Fraction, ...], signs: Signs
    ) -> ExactDomain:
        """The nodes over the box lo <= x <= hi with signs (gates,) of split units."""
        free = tuple(i for i, (a, b) in enumerate(zip(lo, hi, strict=True)) if a < b)
        domain = ExactDomain(self.layout, lo, hi, signs, free)
        for i in self.layout.order:
            found = self._node(i, domain)
            if i in self.layout.offsets:
                found = self._signed(i, found, domain)
            domain.nodes[i] = found
        return domain

    def _node(self, index: int, domain: ExactDomain) -> NodeForm:
        node = self.layout.graph.nodes[index]
        args = [domain.nodes[a] for a in node.args]
        match node.op:
            case Input():
                return self._input(index, domain)
            case Const():
                return _constant(self._const(index, node.op.value), len(domain.free))
            case Affine():
                return self._affine(index, node.op, args)
            case Relu():
                return _relu(args[0], domain.relu_sign[node.args[0]])
            case Step():
                return _step(args[0], domain.step_sign[node.args[0]])
            case Gate():
                return _gate(*args)
            case Mul():
                return _mul(*args, same=node.args[0] == node.args[1])
            case Concat():
                return _concat(args, node.op.axis)
        raise UnsupportedError(f"{type(node.op).__name__} has no exact affine form")

    def _input(self, index: int, domain: ExactDomain) -> NodeForm:
        graph = self.layout.graph
        at, size, shape = graph.input_offsets[index], graph.nodes[index].size, (
            1, *graph.nodes[index].shape)
        low, high = (
            ExactArray.from_numbers(side[at : at + size], shape)
            for side in (domain.lo, domain.hi))
        forms: Any = np.zeros((1 + len(domain.free), size), dtype=object)
        fixed = [k for k in range(size) if at + k not in domain.free]
        forms[0, fixed] = low.num.reshape(-1)[fixed]
        for k, i in enumerate(domain.free):
            if at <= i < at + size:
                forms[k + 1, i - at] = low.den
        return NodeForm(
            ExactArray(forms.reshape(-1, *shape[1:]), low.den),
            np.zeros(shape[1:], dtype=bool), low, high)

    def _const(self, index: int, value: Values) -> ExactArray:
        """A constant of a node, with a batch axis of one."""
        if index not in self._consts:
            exact = as_exact(value)
            self._consts[index] = exact.reshape((1, *exact.shape))
        return self._consts[index]

    def _positive(self, linear_map: LinearMap) -> LinearMap:
        if linear_map not in self._absolute:
            self._absolute[linear_map] = absolute(linear_map)
        return self._absolute[linear_map]

    def _affine(self, index: int, op: Affine, args: list[NodeForm]) -> NodeForm:
        parts = []
        for m, x in zip(op.maps, args, strict=True):
            size = self._positive(m)
            # Sound: an image depends on an element just where the coefficient is not zero.
            open_ = apply_exact(size, ExactArray(x.open[None].astype(int).astype(object))).num[0]
            middle, spread = apply_exact(m, x.low + x.high), apply_exact(size, x.high - x.low)
            parts.append(NodeForm(
                apply_exact(m, x.forms), np.asarray(open_ > 0),
                (middle - spread).scaled(_HALF), (middle + spread).scaled(_HALF)))
        out = parts[0]
        for more in parts[1:]:
            out = NodeForm(
                out.forms + more.forms, out.open | more.open, out.low + more.low,
                out.high + more.high)
        if op.bias is not None:
            bias = self._const(index, op.bias)
            padded: Any = np.zeros(out.forms.shape, dtype=object)
            padded[0] = bias.num[0]
            out = NodeForm(
                out.forms + ExactArray(padded, bias.den), out.open, out.low + bias,
                out.high + bias)
        return NodeForm(_masked(out.forms, ~out.open), out.open, out.low, out.high)

    def _signed(self, index: int, found: NodeForm, domain: ExactDomain) -> NodeForm:
        """A pre-activation with the signs of the domain put in; notes which side it is on."""
        shape = found.open.shape
        given = self.layout.signs_of(domain.signs[None], index)[0].reshape(shape)
        low, high = found.low.num, found.high.num
        low = np.where(given[None] > 0, np.maximum(low, 0), low)
        high = np.where(given[None] < 0, np.minimum(high, 0), high)
        on, off = np.asarray(low[0] > 0, dtype=bool), np.asarray(high[0] < 0, dtype=bool)
        side = np.where(given != 0, given, on.astype(np.int8) - off.astype(np.int8))
        domain.step_sign[index] = side.astype(np.int8)
        zero_up, zero_down = np.asarray(low[0] == 0), np.asarray(high[0] == 0)
        touching = zero_up.astype(np.int8) - (zero_down & ~zero_up).astype(np.int8)
        domain.relu_sign[index] = np.where(side != 0, side, touching).astype(np.int8)
        # Sound: ends that contradict the signs belong to a domain without points.
        high = np.where(given[None] > 0, np.maximum(high, 0), high)
        low = np.where(given[None] < 0, np.minimum(low, 0), low)
        return NodeForm(
            found.forms, found.open, ExactArray(np.asarray(low, dtype=object), found.low.den),
            ExactArray(np.asarray(high, dtype=object), found.high.den))


def _masked(values: ExactArray, where: Flags) -> ExactArray:
    """The values, 0 elsewhere."""
    return ExactArray(np.asarray(np.where(where[None], values.num, 0), dtype=object), values.den)


def _constant(value: ExactArray, free: int) -> NodeForm:
    forms: Any = np.zeros((1 + free, *value.shape[1:]), dtype=object)
    forms[0] = value.num[0]
    none = np.zeros(value.shape[1:], dtype=bool)
    return NodeForm(ExactArray(forms, value.den), none, value, value)


def _relu(preact: NodeForm, side: NDArray[np.int8]) -> NodeForm:
    low, high = (
        ExactArray(np.asarray(np.maximum(end.num, 0), dtype=object), end.den)
        for end in (preact.low, preact.high))
    open_ = (side == 0) | ((side > 0) & preact.open)
    return NodeForm(_masked(preact.forms, (side > 0) & ~open_), open_, low, high)


def _step(preact: NodeForm, side: NDArray[np.int8]) -> NodeForm:
    forms: Any = np.zeros(preact.forms.shape, dtype=object)
    forms[0] = (side > 0).astype(int)
    low, high = ((side > 0).astype(int), (side >= 0).astype(int))
    return NodeForm(
        ExactArray(forms), side == 0, ExactArray(low[None].astype(object)),
        ExactArray(high[None].astype(object)))


def _gate(gate: NodeForm, value: NodeForm) -> NodeForm:
    on, off = np.asarray(gate.low.num[0] == gate.low.den), np.asarray(gate.high.num[0] == 0)
    # An undecided gate of what is zero anyway does not matter.
    zero = ~value.open & np.asarray((value.forms.num == 0).all(axis=0), dtype=bool)
    open_ = ~(off | zero | (on & ~value.open))
    low = np.where(off, 0, np.where(on, value.low.num[0], np.minimum(value.low.num[0], 0)))
    high = np.where(off, 0, np.where(on, value.high.num[0], np.maximum(value.high.num[0], 0)))
    return NodeForm(
        _masked(value.forms, on & ~open_), open_,
        ExactArray(np.asarray(low[None], dtype=object), value.low.den),
        ExactArray(np.asarray(high[None], dtype=object), value.high.den))


def _mul(value: NodeForm, other: NodeForm, *, same: bool) -> NodeForm:
    """Affine where one of the factors is constant."""
    first, second = value.point, other.point
    by_first = ExactArray(
        np.asarray(other.forms.num * np.where(first, value.low.num[0], 0), dtype=object),
        other.forms.den * value.low.den)
    only_second = second & ~first
    by_second = ExactArray(
        np.asarray(value.forms.num * np.where(only_second, other.low.num[0], 0), dtype=object),
        value.forms.den * other.low.den)
    nothing = first & np.asarray(value.low.num[0] == 0)
    nothing = nothing | (second & np.asarray(other.low.num[0] == 0))
    open_ = ~(nothing | (first & ~other.open) | (only_second & ~value.open))
    ends = [a * b for a in (value.low, value.high) for b in (other.low, other.high)]
    if same:  # the ends of a square belong to the same end of its root
        ends = [value.low * value.low, value.high * value.high]
        straddles = np.asarray((value.low.num < 0) & (value.high.num > 0))
        ends.append(ExactArray(np.asarray(np.where(straddles, 0, ends[0].num), dtype=object),
                               ends[0].den))
    den = np.lcm.reduce(np.array([e.den for e in ends], dtype=object))
    stacked = np.stack([e.over(int(den)) for e in ends])
    return NodeForm(
        _masked(by_first + by_second, ~open_), open_,
        ExactArray(np.asarray(stacked.min(axis=0), dtype=object), int(den)),
        ExactArray(np.asarray(stacked.max(axis=0), dtype=object), int(den)))


def _concat(parts: Sequence[NodeForm], axis: int) -> NodeForm:
    def joined(values: Sequence[ExactArray]) -> ExactArray:
        den = int(np.lcm.reduce(np.array([v.den for v in values], dtype=object)))
        return ExactArray(np.concatenate([v.over(den) for v in values], axis=axis + 1), den)

    return NodeForm(
        joined([p.forms for p in parts]), np.concatenate([p.open for p in parts], axis=axis),
        joined([p.low for p in parts]), joined([p.high for p in parts]))
