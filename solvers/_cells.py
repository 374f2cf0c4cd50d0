"""Linear cells of a graph: every activation pattern over a polyhedron, in exact arithmetic.

A graph is compiled to a straight list of scalar instructions for the elements that are asked for.
On a cell (the sign of every pre-activation fixed) each value is an affine function of
u in [0,1]^n, held as integers over one denominator; what is not affine is held as the reason why.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import TypeAlias

from verifex.errors import UnsupportedError
from verifex.ir.exact import as_exact
from verifex.ir.formula import Cell
from verifex.ir.graph import Graph
from verifex.ir.linmap import entries
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
from verifex.solvers._simplex import Tableau

Line: TypeAlias = tuple[int, list[int]]
"""`(den, [a_1 .. a_n, c])` is the affine function `(a . u + c) / den`."""
Value: TypeAlias = Line | str
"""An affine function, or why the value is not one."""
FREE = "it depends on a gate on its kink"
Terms: TypeAlias = tuple[tuple[int, int], ...]


ON_KINK = 2
"""The third side of a gate, beside 1 and 0."""


class OutOfTime(Exception):
    """The deadline has passed."""


def line(coefs: Iterable[Fraction | int]) -> Line:
    """The affine function with these coefficients (the constant last)."""
    row = [Fraction(c) for c in coefs]
    den = math.lcm(*(c.denominator for c in row))
    return den, [c.numerator * (den // c.denominator) for c in row]


def combine(den: int, terms: Terms, bias: int, values: list[Value], width: int) -> Value:
    """`(sum c * values[pos] + bias) / den` over terms (c, pos); `width` is n + 1."""
    used: list[tuple[int, Line]] = []
    for c, pos in terms:
        v = values[pos]
        if isinstance(v, str):
            return v
        used.append((c, v))
    common = math.lcm(*(v[0] for _, v in used))
    out = [0] * width
    for c, (d, ints) in used:
        f = c * (common // d)
        out = [a + f * b for a, b in zip(out, ints, strict=True)]
    out[-1] += bias * common
    return reduced(den * common, out)


def reduced(den: int, ints: list[int]) -> Line:
    """The same function in lowest terms."""
    g = math.gcd(den, *ints)
    return (den, ints) if g == 1 else (den // g, [a // g for a in ints])


def span(ints: list[int]) -> tuple[int, int]:
    """Least and greatest value over u in [0,1]^n, times the denominator."""
    lo = hi = ints[-1]
    for a in ints[:-1]:
        if a < 0:
            lo += a
        else:
            hi += a
    return lo, hi


def is_constant(value: Line) -> bool:
    return not any(value[1][:-1])


# --- compiling ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Code:
    """One scalar instruction; positions refer to earlier instructions.

    `linear`: (sum number * arg + bias) / den. `input`: flat index `number`. `sign`: 1 or 0, the
    side of `cell`, strict off the kink when `stepped`. `relu` (sign, z), `gate` (gate, v), `mul`,
    `univariate` (name, arg).
    """

    kind: str
    args: tuple[int, ...] = ()
    numbers: tuple[int, ...] = ()
    den: int = 1
    bias: int = 0
    name: str = ""
    cell: Cell = (0, 0)
    stepped: bool = False


@dataclass(frozen=True)
class Program:
    """Instructions, and the position of every element that was asked for."""

    codes: tuple[Code, ...]
    at: Mapping[Cell, int]


class _Compiler:
    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.codes: list[Code] = []
        self.at: dict[Cell, int] = {}
        self.signs: dict[Cell, int] = {}
        self._rows: dict[int, list[list[tuple[Cell, Fraction]]]] = {}

    def row(self, node: int, index: int) -> list[tuple[Cell, Fraction]]:
        """The terms of one element of an affine node; the same cell once."""
        if node not in self._rows:
            found = self.graph.nodes[node]
            # A cell may come in by several maps (x + x): once in a row is what the instructions
            # expect.
            merged: list[dict[Cell, Fraction]] = [{} for _ in range(found.size)]
            maps = found.op.maps if isinstance(found.op, Affine) else ()
            for m, a in zip(maps, found.args, strict=True):
                for j, terms in entries(m):
                    for i, c in terms:
                        merged[j][(a, i)] = merged[j].get((a, i), Fraction(0)) + Fraction(c)
            self._rows[node] = [[(k, c) for k, c in row.items() if c] for row in merged]
        return self._rows[node][index]

    def concat_source(self, node: int, index: int, axis: int) -> Cell:
        """The element that lands at `index` of a concatenation."""
        found = self.graph.nodes[node]
        inner = math.prod(found.shape[axis + 1 :])
        outer, rest = divmod(index, inner * found.shape[axis])
        along, tail = divmod(rest, inner)
        for a in found.args:
            length = self.graph.nodes[a].shape[axis]
            if along < length:
                return a, (outer * length + along) * inner + tail
            along -= length
        raise IndexError(f"element {index} of node {node}")

    def sources(self, cell: Cell) -> list[Cell]:
        """The elements that one element reads."""
        node, index = cell
        op = self.graph.nodes[node].op
        match op:
            case Affine():
                return [c for c, _ in self.row(node, index)]
            case Concat():
                return [self.concat_source(node, index, op.axis)]
            case _:
                return [(a, index) for a in self.graph.nodes[node].args]

    def needed(self, wanted: Iterable[Cell]) -> list[Cell]:
        found, stack = set(), list(wanted)
        while stack:
            cell = stack.pop()
            if cell not in found:
                found.add(cell)
                stack += self.sources(cell)
        return sorted(found)

    def emit(self, code: Code) -> int:
        self.codes.append(code)
        return len(self.codes) - 1

    def sign(self, cell: Cell, stepped: bool) -> int:
        if cell not in self.signs:
            code = Code("sign", (self.at[cell],), cell=cell, stepped=stepped)
            self.signs[cell] = self.emit(code)
        return self.signs[cell]

    def add(self, cell: Cell, stepped: set[Cell]) -> int:
        """Emit the instructions of one element; the position of its value."""
        node, index = cell
        op, args = self.graph.nodes[node].op, [self.at[s] for s in self.sources(cell)]
        z = (self.graph.nodes[node].args[0], index) if isinstance(op, Relu | Step) else cell
        match op:
            case Input():
                return self.emit(Code("input", numbers=(self.graph.input_offsets[node] + index,)))
            case Const():
                exact = as_exact(op.value)
                return self.emit(Code("linear", bias=int(exact.num.flat[index]), den=exact.den))
            case Affine():
                return self.emit(self.linear(node, index))
            case Relu():
                return self.emit(Code("relu", (self.sign(z, z in stepped), args[0])))
            case Step():
                return self.sign(z, True)
            case Gate():
                return self.emit(Code("gate", tuple(args), cell=cell))
            case Mul():
                return self.emit(Code("mul", tuple(args), cell=cell))
            case Concat():
                return args[0]
            case TreeLeaves():
                raise UnsupportedError("decision trees: there are no regions to enumerate")
            case Univariate():
                return self.emit(Code("univariate", tuple(args), name=op.name, cell=cell))

    def linear(self, node: int, index: int) -> Code:
        op, terms = self.graph.nodes[node].op, self.row(node, index)
        bias = Fraction(0)
        if isinstance(op, Affine) and op.bias is not None:
            exact = as_exact(op.bias)
            bias = Fraction(int(exact.num.flat[index]), exact.den)
        den = math.lcm(bias.denominator, *(c.denominator for _, c in terms))
        return Code(
            "linear", tuple(self.at[cell] for cell, _ in terms),
            tuple(c.numerator * (den // c.denominator) for _, c in terms), den,
            bias.numerator * (den // bias.denominator),
        )


def compile_cells(graph: Graph, wanted: Iterable[Cell]) -> Program:
    """The program for the `wanted` elements."""
    compiler = _Compiler(graph)
    cells = compiler.needed(wanted)
    # Where a Step reads a pre-activation its kink matters, for the Relu on it as well.
    stepped = {
        (graph.nodes[n].args[0], i) for n, i in cells if isinstance(graph.nodes[n].op, Step)
    }
    for cell in cells:
        compiler.at[cell] = compiler.add(cell, stepped)
    return Program(tuple(compiler.codes), compiler.at)


# --- enumerating ----------------------------------------------------------------------------


class Cells:
    """Walks the cells of a program over a polyhedron in u.

    `inputs` holds each flat input as an affine function of u; `width` is n + 1. Tableaus have one
    column per u, some auxiliary ones, and last the *room*: a variable that every row meant
    strictly leaves free, so that the strict rows can hold together exactly when it can be
    positive. The sides of stepped signs are closed, and on a kink both are walked; with `kinks`
    they are open half-spaces, and the points on a kink are a third side, where the gate is FREE,
    and so is what depends on it.
    """

    def __init__(
        self, program: Program, inputs: list[Line], kinks: bool, deadline: float,
        prefer: Mapping[Cell, int] | None = None,
    ) -> None:
        self.program, self.inputs, self.kinks, self.deadline = program, inputs, kinks, deadline
        self.width = len(inputs[0][1]) if inputs else 1
        self.values: list[Value] = [""] * len(program.codes)
        self.prefer = prefer or {}

    def leaves(self, polyhedron: Tableau) -> Iterator[Tableau]:
        """The cells inside the (non-empty) polyhedron; `values` describes the one just given."""
        waiting: list[tuple[int, int, Tableau]] = [(-1, 0, polyhedron)]
        while waiting:
            start, side, t = waiting.pop()
            if start >= 0:  # values before it are this branch's: what was walked since lies after
                self.values[start] = self._side_value(side)
            # Straight on while one side is left; where there are two, both wait, the first on top.
            sides: list[tuple[int, Tableau]] = [(0, t)]
            for k in range(start + 1, len(self.program.codes)):
                code = self.program.codes[k]
                if code.kind == "sign":
                    sides = self._sides(code, t)
                elif (hidden := self._hides(code)) is not None:
                    sides = self._zero_or_free(hidden, t)
                else:
                    self.values[k] = self._value(code)
                    continue
                if len(sides) != 1:
                    waiting += [(k, s, child) for s, child in reversed(sides)]
                    break
                side, t = sides[0]
                self.values[k] = self._side_value(side)
            if len(sides) == 1:
                yield t

    def _side_value(self, side: int) -> Value:
        return FREE if side == ON_KINK else self._constant(side)

    def _hides(self, code: Code) -> Line | None:
        """The factor that varies on the cell and multiplies something FREE, if there is one."""
        if code.kind not in ("gate", "mul"):
            return None
        a, b = (self.values[k] for k in code.args)
        other = b if a is FREE else a if b is FREE else FREE
        return None if isinstance(other, str) or is_constant(other) else other

    def _zero_or_free(self, factor: Line, tableau: Tableau) -> list[tuple[int, Tableau]]:
        """Where the factor is zero so is the product; all of the cell, where it may not be."""
        zero = self._where_zero(factor, tableau)
        return [*([(0, zero)] if zero is not None else []), (ON_KINK, tableau)]

    def _where_zero(self, value: Line, tableau: Tableau) -> Tableau | None:
        """The part of the polyhedron where the function is zero; None where there is none."""
        child = tableau.copy()
        # value >= 0 and value <= 0: equality in the rows that a tableau has.
        for ints in (value[1], [-a for a in value[1]]):
            child.add(*half(ints, child.columns, False))
        return child if habitable(child) else None

    def signs(self) -> dict[Cell, int]:
        """The side of every sign on the current cell."""
        found = {}
        for code, value in zip(self.program.codes, self.values, strict=True):
            if code.kind == "sign" and not isinstance(value, str):
                found[code.cell] = value[1][-1]
        return found

    def check_time(self) -> None:
        """Raise OutOfTime once the deadline has passed."""
        if time.monotonic() > self.deadline:
            raise OutOfTime

    def _constant(self, number: int) -> Line:
        return 1, [0] * (self.width - 1) + [number]

    def _value(self, code: Code) -> Value:
        values = self.values
        match code.kind:
            case "linear":
                terms = tuple(zip(code.numbers, code.args, strict=True))
                return combine(code.den, terms, code.bias, values, self.width)
            case "input":
                return self.inputs[code.numbers[0]]
            case "relu" | "gate":
                gate, v = values[code.args[0]], values[code.args[1]]
                if gate is FREE and not isinstance(v, str) and (
                        code.kind == "relu" or not any(v[1])):
                    return self._constant(0)  # max(z, 0) on the kink, or a gate of zero
                if isinstance(gate, str):
                    return gate
                if not is_constant(gate):
                    return f"the gate of element {code.cell} is not constant on a cell"
                return self._constant(0) if gate[1][-1] == 0 else v
            case "mul":
                return self._product(code, values[code.args[0]], values[code.args[1]])
            case _:
                return self._univariate(code, values[code.args[0]])

    def _product(self, code: Code, value: Value, other: Value) -> Value:
        for a, b in ((value, other), (other, value)):
            if not isinstance(a, str) and is_constant(a):
                if a[1][-1] == 0:
                    return self._constant(0)
                if isinstance(b, str):
                    return b
                return reduced(a[0] * b[0], [a[1][-1] * c for c in b[1]])
        if value is FREE or other is FREE:
            return FREE
        return f"Mul node {code.cell[0]}: a product of two values that vary within a cell"

    def _univariate(self, code: Code, value: Value) -> Value:
        if isinstance(value, str):
            return value
        if is_constant(value):
            x = Fraction(value[1][-1], value[0])
            if code.name == "square":
                return line([0] * (self.width - 1) + [x * x])
            if code.name == "reciprocal" and x != 0:
                return line([0] * (self.width - 1) + [1 / x])
        return f"{code.name} (node {code.cell[0]}) is not piecewise linear"

    def _sides(self, code: Code, tableau: Tableau) -> list[tuple[int, Tableau]]:
        """The sides on which the polyhedron goes on, each with its polyhedron."""
        z = self.values[code.args[0]]
        if z is FREE:
            return [(ON_KINK, tableau)]
        if isinstance(z, str):
            raise UnsupportedError(z, key="regions")
        # Over the box of u, which is cheap and decides most signs; the others need a linear
        # program.
        lo, hi = span(z[1])
        if lo > 0 or (lo == 0 and not code.stepped):
            return [(1, tableau)]
        if hi < 0 or (hi == 0 and not code.stepped):
            return [(0, tableau)]
        self.check_time()
        room = code.stepped and self.kinks
        # The sides of a point that was found before come first: it is likely to be found again.
        first = self.prefer.get(code.cell, 1)
        alive = []
        for side in (first, 1 - first):
            child = tableau.copy()
            child.add(*half(z[1] if side else [-a for a in z[1]], child.columns, room))
            if habitable(child):
                alive.append((side, child))
        if room:
            zero = self._where_zero(z, tableau)
            alive += [] if zero is None else [(ON_KINK, zero)]
        if len(alive) == 1 and not room:
            return [(alive[0][0], tableau)]  # the other side is empty, so the new row says nothing
        return alive if code.stepped else self._beyond(z, alive)

    def _beyond(self, preact: Line, alive: list[tuple[int, Tableau]]) -> list[tuple[int, Tableau]]:
        """The sides that reach past zero. Sound: where it is zero a Relu is the same on both."""
        kept = []
        for side, child in alive:
            pad = [0] * (child.columns - self.width + 1)
            goal = [a if side else -a for a in preact[1][:-1]] + pad
            # On a copy: the objective moves the vertex, and the cell is still to be walked.
            best = child.copy().maximise(goal)
            if best is None or best + (preact[1][-1] if side else -preact[1][-1]) > 0:
                kept.append((side, child))
        return kept or alive[:1]


def half(ints: list[int], columns: int, room: bool) -> tuple[list[int], int]:
    """The row `a . u + c >= 0`, or `>= room` where it is meant strictly."""
    g = math.gcd(*ints) or 1
    pad = [0] * (columns - len(ints)) + [int(room)]
    return [-a // g for a in ints[:-1]] + pad, ints[-1] // g


def habitable(tableau: Tableau) -> bool:
    """Whether some point satisfies all rows, those with room strictly."""
    if not tableau.feasible():
        return False
    room = tableau.maximise([0] * (tableau.columns - 1) + [1])
    return room is None or room > 0
