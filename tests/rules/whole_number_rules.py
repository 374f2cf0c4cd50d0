"""The checker's rules in whole numbers: what rounding costs is taken off.

The shipped code is run on symbols (see `paths`). Bounds are in units of the grid, 1 / unit, and
elements are taken in these units too: z is `unit` times the element. Coefficients are in units of
their own, which no formula depends on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import z3

from tests.rules.paths import Bits
from tests.rules.rule import Path, Rule, Statement, Symbol, Term, is_gate, positive_part, reals
from verifex.certificate.checker.bounds.multipliers import NOT_GIVEN
from verifex.certificate.checker.bounds.substitution import Substitution
from verifex.certificate.checker.graph.network_graph import GATE, PRODUCT

ARGUMENT, RELU_OF_IT, NODE = 0, 1, 2
"""Positions of nodes of which the one in question is the last."""


class Recorded(Substitution):
    """The shipped substitution on a graph of three nodes of one element."""

    def __init__(
        self, bounds: Mapping[int, tuple[Symbol, Symbol]], share: Any, whole: Symbol, unit: Symbol,
        relu: int = RELU_OF_IT,
    ) -> None:
        self.domain: Any = SimpleNamespace(
            bounds=lambda node: tuple([end] for end in bounds[node]))
        self.grid: Any = SimpleNamespace(relu_of={ARGUMENT: relu}, unit=unit)
        self.nodes: Any = [SimpleNamespace(args=(ARGUMENT,), size=1) for _ in range(3)]
        self.multipliers: Any = SimpleNamespace(
            of=lambda kind, node: [share], whole=whole, bits=Bits(whole))
        self.coefficients = {}
        self.constant: Any = 0

    def given(self, node: int) -> Term:
        """The coefficient that has come to a node."""
        return term(self.coefficients.get(node, [0])[0])


def term(value: Any) -> Term:
    """A number of the code as a term."""
    return value.term if isinstance(value, Symbol) else z3.RealVal(value)


def rounded_down_coefficients(state: Statement) -> Term:
    """floor(q) v + min(0, low) <= q v for v >= low."""
    value, by, low, v = reals("value by low v")
    state.given("the divisor above 0", by > 0)
    state.given("the lower bound", low <= v)

    def run(path: Path) -> Term:
        code = Recorded({}, None, path.symbol(by), path.symbol(by))
        found = code._divided(path.symbol(value), path.symbol(by), path.symbol(low))
        below = term(found) * v + state.sign("what is taken off", term(code.constant))
        return below * by <= value * v

    return state.followed(run)


def affine_in_whole_numbers(state: Statement) -> Term:
    """c (w x / d + b) is above what `_affine` makes of it, b between its roundings."""
    c, w, x, low, divisor, bias, floor, ceiling = reals("c w x low divisor bias floor ceiling")
    state.given("the lower bound", low <= x)
    state.given("the divisor above 0", divisor >= 1)
    state.given("the bias rounded down", floor <= bias)
    state.given("the bias rounded up", bias <= ceiling)
    state.given("roundings at most one apart", ceiling <= floor + 1)

    def run(path: Path) -> Term:
        at, path.whole = path.symbol, [c * w]
        code = Recorded({ARGUMENT: (at(low), at(x))}, None, at(divisor), at(divisor))
        columns = SimpleNamespace(product=lambda coefficients, box: [coefficients[0] * at(w)])
        part = SimpleNamespace(argument=ARGUMENT, columns=columns)
        step = SimpleNamespace(denominator=at(divisor), parts=[part])
        code.nodes[NODE] = SimpleNamespace(step=step)
        code.grid.bias = lambda node: ([at(floor)], [at(ceiling)])
        code._affine(NODE, [at(c)])  # type: ignore[list-item]
        below = state.sign("slope", code.given(ARGUMENT)) * x
        return c * (w * x + divisor * bias) >= divisor * (
            below + state.sign("constant", term(code.constant)))

    return state.followed(run)


def relu_in_whole_numbers(state: Statement) -> Term:
    """c max(z, 0) is above what `_relu` makes of it, for either sign of c and of z."""
    c, z, low, high, share, whole = reals("c z low high share whole")
    state.given("the lower bound", low <= z)
    state.given("the upper bound", z <= high)
    state.given("the share at least 0, or none", z3.Or(share >= 0, share == NOT_GIVEN))
    state.given("the share at most 1", share <= whole)
    state.surely(whole > 0, low <= high)

    def run(path: Path) -> Term:
        at = path.symbol
        code = Recorded({ARGUMENT: (at(low), at(high))}, at(share), at(whole), at(whole))
        code._relu(NODE, [at(c)])  # type: ignore[list-item]
        slope = state.sign("slope", code.given(ARGUMENT))
        return c * positive_part(z) >= slope * z + state.sign("constant", term(code.constant))

    return state.followed(run)


def _step(state: Statement, relu: int) -> Term:
    c, z, gate, low, high, off, on = reals("c z gate low high off on")
    share, whole, unit = reals("share whole unit")
    state.given("the lower bound", low <= z)
    state.given("the upper bound", z <= high)
    state.given("the share at most 1", share <= whole)
    state.given("the gate", is_gate(gate, z))
    state.given("the gate's lower bound", off * unit <= gate * unit)
    state.given("the gate's upper bound", gate * unit <= on * unit)
    state.surely(whole > 0, unit > 0, low <= high)
    state.surely(z3.Or(off == 0, off == 1), z3.Or(on == 0, on == 1))

    def run(path: Path) -> Term:
        at = path.symbol
        bounds = {ARGUMENT: (at(low), at(high)), NODE: (at(off * unit), at(on * unit))}
        code = Recorded(bounds, at(share), at(whole), at(unit), relu)
        code._step(NODE, [at(c)])  # type: ignore[list-item]
        of_z, of_y = code.given(ARGUMENT), code.given(RELU_OF_IT)
        below = state.sign("slope of z", of_z) * z + of_y * positive_part(z)
        return c * gate * unit >= below + state.sign("constant", term(code.constant))

    return state.followed(run)


def step_in_whole_numbers(state: Statement) -> Term:
    """c s is above what `_step` makes of it, with y = max(z, 0) in the graph before the gate."""
    return _step(state, RELU_OF_IT)


def step_without_relu_in_whole_numbers(state: Statement) -> Term:
    """The same where y comes after the gate, so that the form has passed it."""
    return _step(state, NODE + 1)


class Contracted(Recorded):
    """As `Recorded`, with `rounded_down_coefficients` in the place of `_divided`, which it proves:
    of the elements that the quotients go to, in this order."""

    def __init__(self, path: Path, whole: Symbol, elements: Sequence[Term]) -> None:
        super().__init__({}, None, whole, whole)
        self.path, self.elements = path, list(elements)

    def _divided(self, value: Any, by: Any, low: Any) -> Any:
        factor, taken, element = z3.FreshReal("factor"), z3.FreshReal("taken"), self.elements.pop(0)
        self.path.due += [by.term > 0, term(low) <= element]
        self.path.conditions.append(by.term * (factor * element + taken) <= value.term * element)
        self.constant += self.path.symbol(taken)
        return self.path.symbol(factor)


def _mixed(state: Statement, kind: str, side: int) -> Term:
    """c u v over both bounds, for a grid of powers of two alone (odd = 1)."""
    c, u, v, share, whole, power = reals("c u v share whole power")
    ends = u_low, u_high, v_low, v_high = tuple(reals("u_low u_high v_low v_high"))
    state.surely(c * side >= 0)
    state.typical(z3.Or(c == 1, c == -1), power == 2, whole == 2)
    state.given("the share at least 0", share >= 0)
    state.given("the share at most 1", share <= whole)
    state.given("the first's lower bound", u_low <= u)
    state.given("the first's upper bound", u <= u_high)
    state.given("the second's lower bound", v_low <= v)
    state.given("the second's upper bound", v <= v_high)
    state.surely(whole > 0, power > 0)

    def run(path: Path) -> Term:
        at, path.whole = path.symbol, [c]
        code = Contracted(path, at(whole), (u, v))
        code.grid.odd, code.grid.bits = 1, Bits(at(power))
        # Every share in [0, 1] is also 1 minus one; z3 finds it easier so.
        mine = whole - share if kind == GATE else share
        given: Any = (at(c), at(mine), tuple(map(at, ends)))
        first, second = code._mixed(kind, *given)
        below = state.sign("slope of the first", term(first)) * u + term(second) * v
        return c * u * v >= power * (below + state.sign("constant", term(code.constant)))

    return state.followed(run)


def product_below_in_whole_numbers(state: Statement) -> Term:
    return _mixed(state, PRODUCT, 1)


def gate_above_in_whole_numbers(state: Statement) -> Term:
    return _mixed(state, GATE, -1)


def product_above_in_whole_numbers(state: Statement) -> Term:
    return _mixed(state, PRODUCT, -1)


def square_in_whole_numbers(state: Statement) -> Term:
    """c v^2 is above what `_square` makes of it, for either sign of c."""
    c, v, low, high, share, whole, odd, power = reals("c v low high share whole odd power")
    state.given("the lower bound", low <= v)
    state.given("the upper bound", v <= high)
    state.surely(whole > 0, odd > 0, power > 0, share == 0)

    def run(path: Path) -> Term:
        at = path.symbol
        code = Recorded({ARGUMENT: (at(low), at(high))}, at(share), at(whole), at(odd * power))
        code.grid.odd, code.grid.bits = at(odd), Bits(at(power))
        code._square(NODE, ARGUMENT, [at(c)])  # type: ignore[list-item]
        below = state.sign("slope", code.given(ARGUMENT)) * v
        return c * v * v >= odd * power * (below + state.sign("constant", term(code.constant)))

    return state.followed(run)


WHOLE_NUMBER_RULES: Mapping[str, Rule] = {
    "coefficients rounded down": rounded_down_coefficients,
    "affine step, rounded": affine_in_whole_numbers,
    "relu, rounded": relu_in_whole_numbers,
    "product below, rounded": product_below_in_whole_numbers,
    "gate above, rounded": gate_above_in_whole_numbers,
    "product above, rounded": product_above_in_whole_numbers,
    "square, rounded": square_in_whole_numbers,
    "step, rounded": step_in_whole_numbers,
    "step without the relu, rounded": step_without_relu_in_whole_numbers,
}
