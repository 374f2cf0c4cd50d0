"""The planes of the checker, as formulas over all real numbers.

The functions are the shipped ones, called with symbols. Where a plane is multiplied by a
coefficient c, it is stated for c itself, not for c = 1.
"""

from __future__ import annotations

from collections.abc import Mapping

import z3

from tests.rules.rule import Rule, Statement, Term, is_gate, positive_part, reals
from verifex.certificate.checker.bounds import planes


def relu_slope(state: Statement) -> Term:
    """c max(z, 0) >= c alpha z for c >= 0, alpha in [0, 1]."""
    c, alpha, z = reals("c alpha z")
    state.given("c at least 0", c >= 0)
    state.given("alpha at least 0", alpha >= 0)
    state.given("alpha at most 1", alpha <= 1)
    return c * positive_part(z) >= state.sign("slope", planes.relu_below(c, alpha)) * z


def relu_chord(state: Statement) -> Term:
    """c max(z, 0) is above its chord for c <= 0."""
    c, z, low, high, inverse = reals("c z low high inverse")
    state.given("c at most 0", c <= 0)
    state.given("the lower bound", low <= z)
    state.given("the upper bound", z <= high)
    state.given("the inverse", inverse * (high - low) == 1)
    state.surely(low < 0)
    state.given("high above 0", high > 0)
    line = planes.relu_chord(c, low, high, inverse)
    return c * positive_part(z) >= (
        state.sign("slope", line.slope) * z + state.sign("constant", line.constant))


def step_tie_below(state: Statement) -> Term:
    """c s >= (c tie / high) y for c >= 0, y = max(z, 0); at z = high they meet if tie is 1."""
    c, tie, z, s, high, inverse = reals("c tie z s high inverse")
    state.given("c at least 0", c >= 0)
    state.surely(tie >= 0)
    state.given("tie at most 1", tie <= 1)
    state.given("the upper bound", z <= high)
    state.surely(high > 0)
    state.given("the inverse", inverse * high == 1)
    state.given("the gate", is_gate(s, z))
    factor = state.sign("slope", planes.step_below(c, tie, inverse))
    return z3.And(
        c * s >= factor * positive_part(z), z3.Implies(tie == 1, factor * high == c))


def step_tie_below_without_relu(state: Statement) -> Term:
    """The same with z in the place of y: here the slope must not be below 0 either."""
    c, tie, z, s, high, inverse = reals("c tie z s high inverse")
    state.given("c at least 0", c >= 0)
    state.given("tie at least 0", tie >= 0)
    state.given("tie at most 1", tie <= 1)
    state.given("the upper bound", z <= high)
    state.given("high above 0", high > 0)
    state.given("the inverse", inverse * high == 1)
    state.given("the gate", is_gate(s, z))
    return c * s >= state.sign("slope", planes.step_below(c, tie, inverse)) * z


def step_tie_above(state: Statement) -> Term:
    """c s >= c - (c tie / -low)(y - z) for c <= 0; they meet above 0, at z = low if tie is 1."""
    c, tie, z, s, low, inverse = reals("c tie z s low inverse")
    state.given("c at most 0", c <= 0)
    state.surely(tie >= 0)
    state.given("tie at most 1", tie <= 1)
    state.given("the lower bound", low <= z)
    state.surely(low < 0)
    state.given("the inverse", inverse * -low == 1)
    state.given("the gate", is_gate(s, z))
    plane = planes.step_above(c, tie, inverse)
    of_z, of_y = state.sign("slope of z", plane.first), state.sign("slope of y", plane.second)
    constant = state.sign("constant", plane.constant)
    return z3.And(
        c * s >= of_z * z + of_y * positive_part(z) + constant,
        of_z + of_y == 0, z3.Implies(tie == 1, of_z * low + constant == 0))


def step_tie_above_without_relu(state: Statement) -> Term:
    """The same without the term of y, which is not below 0."""
    c, tie, z, s, low, inverse = reals("c tie z s low inverse")
    state.given("c at most 0", c <= 0)
    state.given("tie at least 0", tie >= 0)
    state.given("tie at most 1", tie <= 1)
    state.given("the lower bound", low <= z)
    state.given("low below 0", low < 0)
    state.given("the inverse", inverse * -low == 1)
    state.given("the gate", is_gate(s, z))
    plane = planes.step_above(c, tie, inverse)
    return c * s >= (
        state.sign("slope of z", plane.first) * z + state.sign("constant", plane.constant))


def _product_of(
    state: Statement, c: Term, first: Term, second: Term, plane: planes.Plane
) -> Term:
    """c first second is above the plane, each of whose numbers can be turned."""
    return c * first * second >= (
        state.sign("slope of the first", plane.first) * first
        + state.sign("slope of the second", plane.second) * second
        + state.sign("constant", plane.constant))


def gate_from_below(state: Statement) -> Term:
    """c s v for c >= 0, s in [0, 1], v in [low, high]."""
    c, mix, s, v, low, high = reals("c mix s v low high")
    state.given("c at least 0", c >= 0)
    state.given("the mix at least 0", mix >= 0)
    state.given("the mix at most 1", mix <= 1)
    state.given("the gate at least 0", s >= 0)
    state.given("the gate at most 1", s <= 1)
    state.given("the lower bound", low <= v)
    state.given("the upper bound", v <= high)
    return _product_of(state, c, s, v, planes.gate_below(c, mix, low, high))


def gate_from_above(state: Statement) -> Term:
    """c s v for c <= 0."""
    c, mix, s, v, low, high = reals("c mix s v low high")
    state.given("c at most 0", c <= 0)
    state.given("the mix at least 0", mix >= 0)
    state.given("the mix at most 1", mix <= 1)
    state.given("the gate at least 0", s >= 0)
    state.given("the gate at most 1", s <= 1)
    state.given("the lower bound", low <= v)
    state.given("the upper bound", v <= high)
    return _product_of(state, c, s, v, planes.gate_above(c, mix, low, high))


def product_from_below(state: Statement) -> Term:
    """c u v for c >= 0 and both in their bounds."""
    c, mix, u, v, u_low, u_high, v_low, v_high = reals("c mix u v u_low u_high v_low v_high")
    state.given("c at least 0", c >= 0)
    state.given("the mix at least 0", mix >= 0)
    state.given("the mix at most 1", mix <= 1)
    _bounded(state, u, u_low, u_high, v, v_low, v_high)
    return _product_of(
        state, c, u, v, planes.product_below(c, mix, (u_low, u_high), (v_low, v_high)))


def product_from_above(state: Statement) -> Term:
    """c u v for c <= 0."""
    c, mix, u, v, u_low, u_high, v_low, v_high = reals("c mix u v u_low u_high v_low v_high")
    state.given("c at most 0", c <= 0)
    state.given("the mix at least 0", mix >= 0)
    state.given("the mix at most 1", mix <= 1)
    _bounded(state, u, u_low, u_high, v, v_low, v_high)
    return _product_of(
        state, c, u, v, planes.product_above(c, mix, (u_low, u_high), (v_low, v_high)))


def _bounded(
    state: Statement, u: Term, u_low: Term, u_high: Term, v: Term, v_low: Term, v_high: Term
) -> None:
    state.given("the first's lower bound", u_low <= u)
    state.given("the first's upper bound", u <= u_high)
    state.given("the second's lower bound", v_low <= v)
    state.given("the second's upper bound", v <= v_high)


def square_tangent(state: Statement) -> Term:
    """c v^2 for c >= 0 is above its tangent, and meets it where it touches."""
    c, v, touch = reals("c v touch")
    state.given("c at least 0", c >= 0)
    line = planes.square_below(c, touch)
    slope, constant = state.sign("slope", line.slope), state.sign("constant", line.constant)
    return z3.And(c * v * v >= slope * v + constant, c * touch * touch == slope * touch + constant)


def square_chord(state: Statement) -> Term:
    """c v^2 for c <= 0 is above its chord."""
    c, v, low, high = reals("c v low high")
    state.given("c at most 0", c <= 0)
    state.given("the lower bound", low <= v)
    state.given("the upper bound", v <= high)
    line = planes.square_chord(c, low, high)
    return c * v * v >= (
        state.sign("slope", line.slope) * v + state.sign("constant", line.constant))


def _split(state: Statement, at: Term, side: int) -> Term:
    """Adding a split's constraint with a multiplier >= 0 leaves a bound of a form a bound."""
    form, bound, multiplier, z = reals("form bound multiplier z")
    line = planes.constraint(multiplier, side, at)
    state.given("the multiplier at least 0", multiplier >= 0)
    state.given("the side of the split", side * (z - at) >= 0)
    added = state.sign("slope", line.slope) * z + line.constant
    # What is bounded is the form with the constraint taken off, over the part of the split.
    state.given("the bound", form + added >= bound)
    return form >= bound


def split_at_zero_above(state: Statement) -> Term:
    return _split(state, z3.RealVal(0), 1)


def split_at_zero_below(state: Statement) -> Term:
    return _split(state, z3.RealVal(0), -1)


def split_above(state: Statement) -> Term:
    """On z >= q."""
    return _split(state, z3.Real("at"), 1)


def split_below(state: Statement) -> Term:
    """On z <= q."""
    return _split(state, z3.Real("at"), -1)


def planes_add_up(state: Statement) -> Term:
    """Farkas: planes below two elements, rows a x <= b, and ends of the box."""
    v, w, x, y, below_v, below_w = reals("v w x y below_v below_w")
    factor, a, b, weight, low, high = reals("factor a b weight low high")
    state.given("the first plane", v >= below_v)
    state.given("the second plane", w >= below_w)
    state.given("the row", a * x + y <= b)
    state.given("the row's multiplier at least 0", weight >= 0)
    state.given("the lower end", low <= x)
    state.given("the upper end", y <= high)
    state.given("the end's coefficient at least 0", factor >= 0)
    # v + w + factor x - y, bounded with the row: what is left of x has the coefficient `factor`.
    rest = below_v + below_w + state.sign("the row", weight * (a * x + y - b))
    return v + w + factor * x - y >= rest + factor * low - high


PLANE_RULES: Mapping[str, Rule] = {
    "relu: slope": relu_slope,
    "relu: chord": relu_chord,
    "step: tie below": step_tie_below,
    "step: tie below, without the relu": step_tie_below_without_relu,
    "step: tie above": step_tie_above,
    "step: tie above, without the relu": step_tie_above_without_relu,
    "gate: below": gate_from_below,
    "gate: above": gate_from_above,
    "product: below": product_from_below,
    "product: above": product_from_above,
    "square: tangent": square_tangent,
    "square: chord": square_chord,
    "split: z >= 0": split_at_zero_above,
    "split: z <= 0": split_at_zero_below,
    "split: z >= q": split_above,
    "split: z <= q": split_below,
    "sum of planes, rows and ends": planes_add_up,
}
