"""Exact logical rows for a graph over a region: one rule an op serves MILP and SMT.

Every element of every node that is needed becomes an expression `coef * variable + const`; sums
get a variable of their own, so that the model's coefficients are the network's own numbers. The
element-wise bounds that come in fix gates (a fixed gate gets no binary) and give every implication
its slack. `Relu(z)` and `Step(z)` on one `z` share one binary.

Products: `f * v` with `v` linear through gates down to constants is exact in this form, because
`f * Gate(d, v) = Gate(d, f * v)`. So input*gradient, and squares of a gradient, need no bilinear
term; other products are left to solvers that take them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from verifex.errors import UnsupportedError
from verifex.ir.exact import FloatArray, Number, Values, numbers
from verifex.ir.formula import Cell
from verifex.ir.graph import Graph
from verifex.ir.linmap import Dense, Gather, LinearMap, entries
from verifex.ir.model.logical import Model, Product, Row
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
from verifex.limits.checkpoint import checkpoint
from verifex.semantics.functions import find
from verifex.semantics.support.table import Table


@dataclass(frozen=True)
class Expr:
    """`coef * var + const`; a plain constant has var None."""

    var: int | None
    coef: Number = 1
    const: Number = 0

    @staticmethod
    def number(value: Number) -> Expr:
        return Expr(None, 0, value)


@dataclass(frozen=True)
class Range:
    """Exact bounds of an expression."""

    lo: Fraction
    hi: Fraction

    def times(self, other: Range) -> Range:
        ends = [a * b for a in (self.lo, self.hi) for b in (other.lo, other.hi)]
        return Range(min(ends), max(ends))


def times(left: Number, right: Number) -> Number:
    """The exact product; keeps floats as they are when a factor is 1."""
    if left == 1:
        return right
    return left if right == 1 else Fraction(left) * Fraction(right)


def plus(left: Number, right: Number) -> Number:
    """The exact sum; keeps floats as they are when a term is 0."""
    if left == 0:
        return right
    return left if right == 0 else Fraction(left) + Fraction(right)


encode: Table[Callable[..., Expr]] = Table("encode")


class Encoder:
    """Builds the model of a graph. `lo` and `hi` are sound float bounds of every node (unbatched).

    `inputs` are the model variables of the flat input vector. `products` says whether the solver
    takes bilinear terms. `open_gates` are pre-activation nodes whose gates must be strictly off
    their kink (for refutations in exact arithmetic); elsewhere both gate values are allowed at 0.
    """

    def __init__(
        self,
        graph: Graph,
        lo: Mapping[int, FloatArray],
        hi: Mapping[int, FloatArray],
        model: Model,
        inputs: list[int],
        *,
        products: bool,
        open_gates: Iterable[int] = (),
    ) -> None:
        self.graph, self.model, self.inputs = graph, model, inputs
        self._lo, self._hi = lo, hi
        self._products, self._open = products, frozenset(open_gates)
        self._exprs: dict[Cell, Expr] = {}
        self._gates: dict[Cell, Expr] = {}
        self._linked: set[Cell] = set()
        self._rows: dict[LinearMap, list[list[tuple[int, Number]]]] = {}
        self._scaled: dict[tuple[Cell, Expr], Expr] = {}
        self._gated: dict[int, bool] = {}
        self._lists: dict[int, list[Number]] = {}

    # --- what rules use -----------------------------------------------------------------------

    def expr(self, node: int, index: int) -> Expr:
        """The expression of one element, encoded on first use (operands first)."""
        cell = (node, index)
        if cell not in self._exprs:
            op = self.graph.nodes[node].op
            try:
                self._exprs[cell] = encode[op](op, self, node, index)
            except UnsupportedError as error:
                raise error.at(key=self.graph.describe(node)) from None
        return self._exprs[cell]

    def bounds(self, node: int, index: int) -> Range:
        """Proven bounds of one element; refuses where nothing is known."""
        lo, hi = float(self._lo[node].flat[index]), float(self._hi[node].flat[index])
        if not (np.isfinite(lo) and np.isfinite(hi)):
            raise UnsupportedError(
                f"element {index} has no finite bounds", key=self.graph.describe(node)
            )
        return Range(Fraction(lo), Fraction(hi))

    def number(self, values: Values, index: int) -> Number:
        """One element of a constant array of the graph, exactly."""
        if id(values) not in self._lists:  # the graph keeps the array alive, so the id is its own
            self._lists[id(values)] = numbers(values)
        return self._lists[id(values)][index]

    def relu_tied(self, preact: int, index: int) -> None:
        """A Relu's rows tie its gate to the sign of `preact`: no further rows are needed."""
        if preact not in self._open:
            self._linked.add((preact, index))

    def map_row(self, linear_map: LinearMap, index: int) -> list[tuple[int, Number]]:
        """Row `index` of a linear map as (flat input index, coefficient) pairs."""
        if isinstance(linear_map, Dense):
            cols = np.flatnonzero(linear_map.weight[index])
            return list(zip(cols.tolist(), linear_map.weight[index, cols].tolist(), strict=True))
        if isinstance(linear_map, Gather):
            i = int(linear_map.index.flat[index])
            return [(i, 1)] if i >= 0 else []
        if linear_map not in self._rows:
            self._rows[linear_map] = [row for _, row in entries(linear_map)]
        return self._rows[linear_map][index]

    def total(self, terms: list[tuple[Number, Expr]], const: Number, box: Range, name: str) -> Expr:
        """`sum c * expr + const`: kept as it is when it has one variable, else a new variable."""
        checkpoint()
        coefs: dict[int, Number] = {}
        for c, e in terms:
            const = plus(const, times(c, e.const) if e.const != 0 else 0)
            if e.var is not None:
                coefs[e.var] = plus(coefs.get(e.var, 0), times(c, e.coef))
        # What cancels exactly must not leave a variable behind that nothing holds.
        coefs = {v: c for v, c in coefs.items() if c != 0}
        if not coefs:
            return Expr.number(const)
        if len(coefs) == 1:
            ((v, c),) = coefs.items()
            return Expr(v, c, const)
        # A variable for the sum keeps rows as sparse as the network, with the numbers it stores.
        z = self.model.new(name, box.lo, box.hi)
        coefs[z] = -1
        self.model.add(coefs, "==", -const)
        return Expr(z)

    def gate_var(self, preact: int, index: int, link: bool) -> Expr:
        """The 0/1 value of the gate of element `index` of node `preact`: a constant or a shared
        binary.

        `link` ties the binary to the sign of that element; a Relu's own rows do that already.
        """
        # Sound: strictly, since at zero both values of the gate are allowed.
        box, is_open = self.bounds(preact, index), preact in self._open
        if box.lo > 0 or box.hi < 0:
            return Expr.number(1 if box.lo > 0 else 0)
        cell = (preact, index)
        if cell not in self._gates:
            s = self.model.new(f"s{preact}_{index}", 0, 1, integer=True)
            self._gates[cell] = Expr(s)
        gate = self._gates[cell]
        if (link or is_open) and cell not in self._linked and gate.var is not None:
            self._linked.add(cell)
            e = self.expr(preact, index)
            self.when(gate.var, 1, e, ">=", max(Fraction(0), -box.lo), is_open)
            self.when(gate.var, 0, e, "<=", max(Fraction(0), box.hi), is_open)
        return gate

    def when(
        self, var: int, value: int, expr: Expr, sense: str, slack: Number, strict: bool = False
    ) -> None:
        """`var == value -> expr (sense) 0`."""
        coefs = () if expr.var is None else ((expr.var, expr.coef),)
        row = Row(coefs, sense, times(-1, expr.const) if expr.const != 0 else 0, strict)
        self.model.imply(var, value, row, slack)

    def gated(self, gate: Expr, value: Expr, box: Range, name: str, integer: bool = False) -> Expr:
        """`gate * value` for a 0/1 expression `gate` and a `value` within `box`."""
        if gate.var is None:
            return value if gate.const == 1 else Expr.number(0)
        if value.var is None:
            return Expr(gate.var, value.const) if value.const != 0 else Expr.number(0)
        # Zero belongs to the range: the gate may be shut.
        lo, hi = min(box.lo, Fraction(0)), max(box.hi, Fraction(0))
        w = self.model.new(name, lo, hi, integer)
        self.tie(gate.var, 1, w, value, "<=", -lo)
        self.tie(gate.var, 1, w, value, ">=", hi)
        self.when(gate.var, 0, Expr(w), "<=", hi)
        self.when(gate.var, 0, Expr(w), ">=", -lo)
        return Expr(w)

    def tie(
        self, var: int, value: int, gated: int, value_expr: Expr, sense: str, slack: Number
    ) -> None:
        """`var == value -> gated - value_expr (sense) 0`."""
        coefs: dict[int, Number] = {gated: 1}
        if value_expr.var is not None:
            coefs[value_expr.var] = plus(coefs.get(value_expr.var, 0), times(-1, value_expr.coef))
        self.model.imply(var, value, Row(tuple(coefs.items()), sense, value_expr.const), slack)

    # --- products that stay linear --------------------------------------------------------------

    def is_gated(self, node: int) -> bool:
        """Whether the node is a sum of gated constants: linear through gates down to constants."""
        if node not in self._gated:
            n = self.graph.nodes[node]
            match n.op:
                case Const() | Step():
                    answer = True
                case Gate():
                    answer = self.is_gated(n.args[1])
                case Affine() | Concat():
                    answer = all(self.is_gated(a) for a in n.args)
                case _:
                    answer = False
            self._gated[node] = answer
        return self._gated[node]

    def times_gated(self, factor: Expr, f_box: Range, node: int, index: int) -> Expr:
        """`factor * value(node)[index]` for a node with `is_gated`; `f_box` bounds the factor."""
        if factor.var is None:
            return _scale(self.expr(node, index), factor.const)
        known = self._scaled.get(((node, index), factor))
        if known is not None:
            return known
        n, box = self.graph.nodes[node], f_box.times(self.bounds(node, index))
        name = f"p{factor.var}_{node}_{index}"
        match n.op:
            case Const():
                out = _scale(factor, self.number(n.op.value, index))
            case Step():
                out = self.gated(self.expr(node, index), factor, f_box, name)
            case Gate():
                d = self.expr(n.args[0], index)
                out = Expr.number(0)
                if d.var is not None or d.const != 0:
                    inner = self.times_gated(factor, f_box, n.args[1], index)
                    inner_box = f_box.times(self.bounds(n.args[1], index))
                    out = self.gated(d, inner, inner_box, name)
            case Affine():
                terms = [
                    (c, self.times_gated(factor, f_box, a, i))
                    for m, a in zip(n.op.maps, n.args, strict=True)
                    for i, c in self.map_row(m, index)
                ]
                if n.op.bias is not None:
                    terms.append((self.number(n.op.bias, index), factor))
                out = self.total(terms, 0, box, name)
            case _:
                out = self.times_gated(factor, f_box, *concat_part(self.graph, node, index))
        self._scaled[((node, index), factor)] = out
        return out

    def product(self, left_node: Expr, right_node: Expr, box: Range, name: str) -> Expr:
        """`left_node * right_node` as a bilinear term, if the solver takes them."""
        if not self._products:
            raise UnsupportedError(
                "a product of two variables", expected="a solver that takes them"
            )
        left, right = self._as_var(left_node, name + "l"), self._as_var(right_node, name + "r")
        out = self.model.new(name, box.lo, box.hi)
        self.model.products.append(Product(out, left, right))
        return Expr(out)

    def _as_var(self, expr: Expr, name: str) -> int:
        if expr.var is not None and expr.coef == 1 and expr.const == 0:
            return expr.var
        v = self.model.new(name)
        coefs: dict[int, Number] = {v: -1}
        if expr.var is not None:
            coefs[expr.var] = expr.coef
        self.model.add(coefs, "==", times(-1, expr.const) if expr.const != 0 else 0)
        return v


def _scale(expr: Expr, coef: Number) -> Expr:
    """`coef * expr`."""
    if coef == 0 or expr.var is None:
        return Expr.number(0 if coef == 0 else times(coef, expr.const))
    return Expr(expr.var, times(coef, expr.coef), times(coef, expr.const) if expr.const != 0 else 0)


def concat_part(graph: Graph, node: int, index: int) -> Cell:
    """Which element of which argument an element of a Concat is."""
    n = graph.nodes[node]
    axis = n.op.axis if isinstance(n.op, Concat) else 0
    where = list(np.unravel_index(index, n.shape))
    for a in n.args:
        length = graph.nodes[a].shape[axis]
        if where[axis] < length:
            return a, int(np.ravel_multi_index(tuple(where), graph.nodes[a].shape))
        where[axis] -= length
    raise IndexError(f"element {index} of {graph.describe(node)}")


# --- the rules ----------------------------------------------------------------------------------


@encode.rule(Input)
def _input(op: Input, encoder: Encoder, node: int, index: int) -> Expr:
    return Expr(encoder.inputs[encoder.graph.input_offsets[node] + index])


@encode.rule(Const)
def _const(op: Const, encoder: Encoder, node: int, index: int) -> Expr:
    return Expr.number(encoder.number(op.value, index))


@encode.rule(Affine)
def _affine(op: Affine, encoder: Encoder, node: int, index: int) -> Expr:
    args = encoder.graph.nodes[node].args
    terms = [
        (c, encoder.expr(a, i))
        for m, a in zip(op.maps, args, strict=True)
        for i, c in encoder.map_row(m, index)
    ]
    bias = 0 if op.bias is None else encoder.number(op.bias, index)
    return encoder.total(terms, bias, encoder.bounds(node, index), f"z{node}_{index}")


@encode.rule(Relu)
def _relu(op: Relu, encoder: Encoder, node: int, index: int) -> Expr:
    """y = max(z, 0): y >= z, y >= 0; gate on -> y <= z; gate off -> y <= 0."""
    z = encoder.graph.nodes[node].args[0]
    box = encoder.bounds(z, index)
    # Sound: a Relu is continuous, so its value on the kink is the same for both signs.
    if box.hi <= 0:
        return Expr.number(0)
    v = encoder.expr(z, index)
    if box.lo >= 0 or v.var is None:
        return v if v.var is not None else Expr.number(max(Fraction(v.const), Fraction(0)))
    s = encoder.gate_var(z, index, link=False)
    encoder.relu_tied(z, index)
    y = encoder.model.new(f"y{node}_{index}", 0, box.hi)
    # y >= z holds whatever the gate, and makes the relaxation the triangle.
    encoder.model.add({y: 1, v.var: times(-1, v.coef)}, ">=", v.const)
    if s.var is not None:
        encoder.tie(s.var, 1, y, v, "<=", -box.lo)
        encoder.when(s.var, 0, Expr(y), "<=", box.hi)
    return Expr(y)


@encode.rule(Step)
def _step(op: Step, encoder: Encoder, node: int, index: int) -> Expr:
    z = encoder.graph.nodes[node].args[0]
    return encoder.gate_var(z, index, link=True)


@encode.rule(Gate)
def _gate(op: Gate, encoder: Encoder, node: int, index: int) -> Expr:
    n = encoder.graph.nodes[node]
    d = encoder.expr(n.args[0], index)
    if d.var is None:
        return encoder.expr(n.args[1], index) if d.const == 1 else Expr.number(0)
    box = encoder.bounds(n.args[1], index)
    return encoder.gated(d, encoder.expr(n.args[1], index), box, f"w{node}_{index}", n.boolean)


@encode.rule(Mul)
def _mul(op: Mul, encoder: Encoder, node: int, index: int) -> Expr:
    left, right = encoder.graph.nodes[node].args
    a, b = encoder.expr(left, index), encoder.expr(right, index)
    if a.var is None or b.var is None:
        return _scale(b, a.const) if a.var is None else _scale(a, b.const)
    # Which factor is linear through gates decides; where both are, the second is taken.
    if encoder.is_gated(right):
        return encoder.times_gated(a, encoder.bounds(left, index), right, index)
    if encoder.is_gated(left):
        return encoder.times_gated(b, encoder.bounds(right, index), left, index)
    return encoder.product(a, b, encoder.bounds(node, index), f"m{node}_{index}")


@encode.rule(Concat)
def _concat(op: Concat, encoder: Encoder, node: int, index: int) -> Expr:
    return encoder.expr(*concat_part(encoder.graph, node, index))


@encode.rule(Univariate)
def _univariate(op: Univariate, encoder: Encoder, node: int, index: int) -> Expr:
    x = encoder.graph.nodes[node].args[0]
    value = encoder.expr(x, index)
    if not find(op.name).is_product:
        raise UnsupportedError(f"no exact solver here decides {op.name}")
    if value.var is None:
        return Expr.number(times(value.const, value.const))
    if encoder.is_gated(x):
        return encoder.times_gated(value, encoder.bounds(x, index), x, index)
    return encoder.product(value, value, encoder.bounds(node, index), f"m{node}_{index}")


encode.refuse(TreeLeaves, "decision trees go to no solver; the search decides them")
