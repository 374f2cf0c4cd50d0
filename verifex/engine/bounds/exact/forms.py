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

from verifex.engine.bounds.exact.lp import AffineRow
from verifex.engine.bounds.exact.nodes import (
    Flags,
    NodeForm,
    concat_form,
    constant_form,
    gate_form,
    masked,
    mul_form,
    relu_form,
    step_form,
)
from verifex.engine.bounds.layout import Layout, Signs
from verifex.errors import UnsupportedError
from verifex.ir.exact import ExactArray, Values, as_exact
from verifex.ir.formula import Cell, Form
from verifex.ir.linmap import LinearMap, absolute, apply_exact, apply_numpy, entries, transpose
from verifex.ir.ops import (
    Affine,
    Concat,
    Const,
    Gate,
    Input,
    Mul,
    Relu,
    Step,
    TreeLeaves,
    Univariate,
)

Summands = list[tuple[Cell, Fraction]]
_HALF = Fraction(1, 2)


@dataclass
class ExactDomain:
    """The nodes over one domain.

    `free` are the inputs that the box `lo`, `hi` leaves free. `relu_sign` and `step_sign` say of
    the elements of a pre-activation which side they are on, 0 where that is not decided: a Relu is
    the same on both sides where its argument is zero, a gate may be either.
    """

    maker: ExactForms
    lo: tuple[Fraction, ...]
    hi: tuple[Fraction, ...]
    signs: Signs
    free: tuple[int, ...]
    nodes: dict[int, NodeForm] = field(default_factory=dict)
    relu_sign: dict[int, NDArray[np.int8]] = field(default_factory=dict)
    step_sign: dict[int, NDArray[np.int8]] = field(default_factory=dict)

    @property
    def layout(self) -> Layout:
        return self.maker.layout

    def of(self, form: Form) -> AffineRow | None:
        """A form of node elements as a function of the free inputs; None where it is not affine, as
        far as gates are decided."""
        if any(self.nodes[node].open.flat[index] for (node, index), _ in form.terms):
            form = self.reduced(form)
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

    def reduced(self, form: Form) -> Form:
        """The same form, of elements that are affine or units: what is not affine is traced back to
        its arguments, and may cancel there."""
        coefs, const = dict(form.terms), form.const
        for i in reversed(self.layout.order):
            mine = [(cell, c) for cell, c in coefs.items() if cell[0] == i]
            for (node, index), c in mine:
                parts = self._parts(node, index) if self.nodes[node].open.flat[index] else None
                if parts is None:
                    continue
                del coefs[node, index]
                const += c * parts[1]
                for cell, factor in parts[0]:
                    coefs[cell] = coefs.get(cell, Fraction(0)) + c * factor
                    if not coefs[cell]:
                        del coefs[cell]
        return Form.of(coefs, const)

    def _parts(self, index: int, element: int) -> tuple[Summands, Fraction] | None:
        """What an element is a sum of on this domain, and a constant; None for what is no sum."""
        node = self.layout.graph.nodes[index]
        match node.op:
            case Affine() | Concat():
                return self.maker.summands(index, element)
            case Relu() if self.relu_sign[node.args[0]].flat[element] > 0:
                return [((node.args[0], element), Fraction(1))], Fraction(0)
            case Gate() if self.nodes[node.args[0]].low.num.flat[element] == (
                self.nodes[node.args[0]].low.den
            ):
                return [((node.args[1], element), Fraction(1))], Fraction(0)
        return None

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
            if isinstance(op, TreeLeaves):
                raise UnsupportedError("trees have no exact affine form", key="exact leaf")
        self._absolute: dict[LinearMap, LinearMap] = {}
        self._consts: dict[int, ExactArray] = {}
        self._sums: dict[int, list[Summands]] = {}

    def over(
        self, lo: tuple[Fraction, ...], hi: tuple[Fraction, ...], signs: Signs
    ) -> ExactDomain:
        """The nodes over the box lo <= x <= hi with signs (gates,) of split units."""
        free = tuple(i for i, (a, b) in enumerate(zip(lo, hi, strict=True)) if a < b)
        domain = ExactDomain(self, lo, hi, signs, free)
        for i in self.layout.order:
            found = self._node(i, domain)
            if i in self.layout.offsets:
                found = self._signed(i, found, domain)
            domain.nodes[i] = found
        return domain

    def summands(self, index: int, element: int) -> tuple[Summands, Fraction]:
        """What an element of an affine node or a concatenation is the sum of, and its constant."""
        graph = self.layout.graph
        node, op = graph.nodes[index], graph.nodes[index].op
        if index not in self._sums:
            sums: list[Summands] = [[] for _ in range(node.size)]
            if isinstance(op, Affine):
                for m, a in zip(op.maps, node.args, strict=True):
                    for j, pairs in entries(m):
                        sums[j] += [((a, k), Fraction(c)) for k, c in pairs]
            elif isinstance(op, Concat):
                places = [np.arange(graph.nodes[a].size).reshape(graph.nodes[a].shape)
                          for a in node.args]
                which = [np.full_like(p, a) for p, a in zip(places, node.args, strict=True)]
                cells = zip(*(np.concatenate(side, axis=op.axis).ravel().tolist()
                              for side in (which, places)), strict=True)
                sums = [[(cell, Fraction(1))] for cell in cells]
            self._sums[index] = sums
        if not isinstance(op, Affine) or op.bias is None:
            return self._sums[index][element], Fraction(0)
        bias = self._const(index, op.bias)
        return self._sums[index][element], Fraction(int(bias.num.flat[element]), bias.den)

    def _node(self, index: int, domain: ExactDomain) -> NodeForm:
        node = self.layout.graph.nodes[index]
        args = [domain.nodes[a] for a in node.args]
        match node.op:
            case Input():
                return self._input(index, domain)
            case Const():
                return constant_form(self._const(index, node.op.value), len(domain.free))
            case Affine():
                return self._affine(index, node.op, args)
            case Relu():
                return relu_form(args[0], domain.relu_sign[node.args[0]])
            case Step():
                return step_form(args[0], domain.step_sign[node.args[0]])
            case Gate():
                return gate_form(*args)
            case Mul():
                return mul_form(*args, same=node.args[0] == node.args[1])
            case Concat():
                return concat_form(args, node.op.axis)
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
        return NodeForm(masked(out.forms, ~out.open), out.open, out.low, out.high)

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
