"""The interval pass, of the checker and of the engine: bounds of nodes from their arguments'."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import z3

from tests.rules.rule import Path, Rule, Statement, Symbol, Term, is_gate, positive_part, reals
from tests.rules.whole_number_rules import term
from verifex.certificate.checker.bounds.domain import Domain, Split
from verifex.certificate.checker.bounds.grid import Grid
from verifex.certificate.checker.bounds.whole_numbers import choose
from verifex.certificate.checker.graph.network_graph import RELU
from verifex.ir.ops import Gate, Relu, Step
from verifex.semantics.interval import Interval, interval

ARGUMENT, NODE = 0, 1


def bare_domain(**attributes: Any) -> Any:
    """The shipped class with nothing but what the rule at hand reads."""
    domain = object.__new__(Domain)
    domain.__dict__.update(attributes)
    return domain


def rounding_to_the_grid(state: Statement) -> Term:
    value, unit = reals("value unit")
    state.surely(unit > 0)

    def run(path: Path) -> Term:
        grid = SimpleNamespace(unit=path.symbol(unit))
        below: Any = Grid.below(grid, path.symbol(value))  # type: ignore[arg-type]
        above: Any = Grid.above(grid, path.symbol(value))  # type: ignore[arg-type]
        exact = state.sign("the value", value * unit)
        return z3.And(below.term <= exact, exact <= above.term)

    return state.followed(run)


def relu_interval(state: Statement) -> Term:
    z, low, high = reals("z low high")
    state.given("the lower bound", low <= z)
    state.given("the upper bound", z <= high)

    def run(path: Path) -> Term:
        box = [path.symbol(low)], [path.symbol(high)]
        graph = SimpleNamespace(nodes=[None, SimpleNamespace(kind=RELU, args=(ARGUMENT,))])
        home = SimpleNamespace(_cache={ARGUMENT: box})
        domain = bare_domain(graph=graph, home=lambda node: home)
        least, most = Domain.computed(domain, NODE)
        return _between(state, least[0], positive_part(z), most[0])

    return state.followed(run)


def _between(state: Statement, least: Any, value: Term, most: Any) -> Term:
    return z3.And(
        state.end("the lower end", term(least), 1) <= value,
        value <= state.end("the upper end", term(most), -1))


def _step(state: Statement, sign: int) -> Term:
    """On a part of a split at 0, the gate is what the split says."""
    z, s, low, high, unit = reals("z s low high unit")
    (state.given if sign <= 0 else _surely(state))("the lower bound", low <= z)
    (state.given if sign >= 0 else _surely(state))("the upper bound", z <= high)
    state.given("the gate", is_gate(s, z))
    state.surely(unit > 0)
    if sign:
        state.given("the split", s == (1 if sign > 0 else 0))

    def run(path: Path) -> Term:
        splits = (Split(ARGUMENT, 0, sign, 0),) if sign else ()  # type: ignore[arg-type]
        grid = SimpleNamespace(unit=path.symbol(unit), kinks_closed=False)
        domain = bare_domain(grid=grid, splits=splits)
        box: Any = [path.symbol(low)], [path.symbol(high)]
        least, most = Domain._step(domain, ARGUMENT, box)
        return _between(state, least[0], s * unit, most[0])

    return state.followed(run)


def _surely(state: Statement) -> Callable[..., None]:
    return lambda name, condition: state.surely(condition)


def step_interval(state: Statement) -> Term:
    return _step(state, 0)


def step_interval_above(state: Statement) -> Term:
    return _step(state, 1)


def step_interval_below(state: Statement) -> Term:
    return _step(state, -1)


def step_split_covers(state: Statement) -> Term:
    """Every point, with either gate where it is on the kink, lies in a part that says so."""
    z, s = reals("z s")
    state.given("the gate", is_gate(s, z))
    above = state.sign("the side", z) >= 0
    return z3.Or(z3.And(above, s == 1), z3.And(z <= 0, s == 0))


def product_interval(state: Statement) -> Term:
    u, v, unit = reals("u v unit")
    u_low, u_high, v_low, v_high = reals("u_low u_high v_low v_high")
    state.given("the first's lower bound", u_low <= u)
    state.given("the first's upper bound", u <= u_high)
    state.given("the second's lower bound", v_low <= v)
    state.given("the second's upper bound", v <= v_high)
    state.surely(unit > 0)

    def run(path: Path) -> Term:
        at = path.symbol
        domain = bare_domain(grid=SimpleNamespace(unit=at(unit)))
        first: Any = [at(u_low)], [at(u_high)]
        second: Any = [at(v_low)], [at(v_high)]
        least, most = Domain._product(domain, first, second, False)
        return z3.And(
            state.end("the lower end", term(least[0]), 1) * unit <= u * v,
            u * v <= state.end("the upper end", term(most[0]), -1) * unit)

    return state.followed(run)


def square_interval(state: Statement) -> Term:
    v, low, high, unit = reals("v low high unit")
    state.given("the lower bound", low <= v)
    state.given("the upper bound", v <= high)
    state.surely(unit > 0)

    def run(path: Path) -> Term:
        domain = bare_domain(grid=SimpleNamespace(unit=path.symbol(unit)))
        box: Any = [path.symbol(low)], [path.symbol(high)]
        least, most = Domain._product(domain, box, box, True)
        return z3.And(
            state.end("the lower end", term(least[0]), 1) * unit <= v * v,
            v * v <= state.end("the upper end", term(most[0]), -1) * unit)

    return state.followed(run)


def affine_interval(state: Statement) -> Term:
    """(w x + v y) / d + b, by centre and radius, b between its roundings."""
    w, v, x, y, divisor, bias, floor, ceiling = reals("w v x y divisor bias floor ceiling")
    x_low, x_high, y_low, y_high = reals("x_low x_high y_low y_high")
    state.given("the first's lower bound", x_low <= x)
    state.given("the first's upper bound", x <= x_high)
    state.given("the second's lower bound", y_low <= y)
    state.given("the second's upper bound", y <= y_high)
    state.given("the bias rounded down", floor <= bias)
    state.given("the bias rounded up", bias <= ceiling)
    state.surely(divisor > 0)

    def run(path: Path) -> Term:
        at = path.symbol
        weights = [at(w), at(v)]
        part = SimpleNamespace(rows=_Row(weights), magnitudes=_Row([abs(a) for a in weights]))
        step = SimpleNamespace(parts=[part], denominator=at(divisor))
        graph = SimpleNamespace(nodes=[None, SimpleNamespace(size=1, step=step)])
        grid = SimpleNamespace(bias=lambda node: ([at(floor)], [at(ceiling)]))
        domain = bare_domain(graph=graph, grid=grid)
        box: Any = [at(x_low), at(y_low)], [at(x_high), at(y_high)]
        least, most = Domain._affine(domain, NODE, [box])
        value = w * x + v * y + divisor * bias
        return z3.And(
            state.end("the lower end", term(least[0]), 1) * divisor <= value,
            value <= state.end("the upper end", term(most[0]), -1) * divisor)

    return state.followed(run)


class _Row:
    """A matrix of one row."""

    def __init__(self, weights: Sequence[Symbol]) -> None:
        self.weights = weights

    def product(self, values: Sequence[Symbol]) -> list[Any]:
        return [sum(a * b for a, b in zip(self.weights, values, strict=True))]


def one_hot(state: Statement) -> Term:
    """What `choose` makes of a box keeps every point of which one member is 1, the others 0."""
    members = list(reals("x y"))
    lows, highs = list(reals("x_low y_low")), list(reals("x_high y_high"))
    state.given("the lower bounds", *(low <= x for low, x in zip(lows, members, strict=True)))
    state.given("the upper bounds", *(x <= high for high, x in zip(highs, members, strict=True)))
    state.given("0 or 1", *(z3.Or(x == 0, x == 1) for x in members))
    state.given("the sum 1", sum(members) == 1)

    def run(path: Path) -> Term:
        low: Any = list(map(path.symbol, lows))
        high: Any = list(map(path.symbol, highs))
        if not choose(low, high, [[0, 1]]):
            return z3.BoolVal(False)
        return z3.And([
            z3.And(term(a) <= x, x <= term(b))
            for a, x, b in zip(low, members, high, strict=True)])

    return state.followed(run)


def _engine(rule: type, path: Path, *boxes: tuple[Term, Term]) -> tuple[Any, Any]:
    """The engine's rule on arrays of one symbol each."""
    ends = [
        Interval(*(np.array([path.symbol(end)], dtype=object) for end in box)) for box in boxes]
    found = interval[rule()](rule(), *ends)
    return found.lo[0], found.hi[0]


def engine_relu_interval(state: Statement) -> Term:
    z, low, high = reals("z low high")
    state.given("the lower bound", low <= z)
    state.given("the upper bound", z <= high)
    return state.followed(lambda path: _between(
        state, *_around(_engine(Relu, path, (low, high)), positive_part(z))))


def _around(ends: tuple[Any, Any], value: Term) -> tuple[Any, Term, Any]:
    return _number(ends[0]), value, _number(ends[1])


def _number(value: Any) -> Any:
    return value if isinstance(value, Symbol) else int(value)


def engine_step_interval(state: Statement) -> Term:
    z, s, low, high = reals("z s low high")
    state.given("the lower bound", low <= z)
    state.given("the upper bound", z <= high)
    state.given("the gate", is_gate(s, z))
    return state.followed(lambda path: _between(
        state, *_around(_engine(Step, path, (low, high)), s)))


def engine_gate_interval(state: Statement) -> Term:
    """s v for a gate s of 0 or 1 whose bounds are 0 or 1."""
    s, v, low, high, off, on = reals("s v low high off on")
    state.given("the lower bound", low <= v)
    state.given("the upper bound", v <= high)
    state.surely(z3.Or(s == 0, s == 1))
    state.given("the gate's lower bound", off <= s)
    state.given("the gate's upper bound", s <= on)
    state.surely(z3.Or(off == 0, off == 1), z3.Or(on == 0, on == 1))
    return state.followed(lambda path: _between(
        state, *_around(_engine(Gate, path, (off, on), (low, high)), s * v)))


INTERVAL_RULES: Mapping[str, Rule] = {
    "grid: rounding": rounding_to_the_grid,
    "interval: relu": relu_interval,
    "interval: step": step_interval,
    "interval: step on z >= 0": step_interval_above,
    "interval: step on z <= 0": step_interval_below,
    "interval: a split at 0 covers both gates": step_split_covers,
    "interval: product": product_interval,
    "interval: square": square_interval,
    "interval: affine step": affine_interval,
    "one-hot groups": one_hot,
    "engine, interval: relu": engine_relu_interval,
    "engine, interval: step": engine_step_interval,
    "engine, interval: gate": engine_gate_interval,
}
