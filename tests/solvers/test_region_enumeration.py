"""Region enumeration on cases whose answers are known by hand."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from verifex.ir.exact import ExactArray
from verifex.ir.formula import TRUE, And, AtLeast, Atom, Dominance, Form, Formula, Or, negate
from verifex.ir.graph import Builder
from verifex.ir.linmap import dense, gather, total
from verifex.ir.model.solving import Answer, SolveLimits, Status, Stop
from verifex.ir.ops import Concat
from verifex.ir.problem import Objective, Problem
from verifex.ir.region import Ball, LinearRow, Region
from verifex.ir.text.document import problem_to_json
from verifex.semantics.evaluate import evaluate_exact
from verifex.semantics.vjp import gradients
from verifex.solvers.regions import Regions, decide, optimum

F = Fraction
PROVED, REFUTED, UNKNOWN = Status.INFEASIBLE, Status.OPTIMAL, Status.UNKNOWN


def box(lo: Sequence[Any], hi: Sequence[Any], **more: Any) -> Region:
    return Region(tuple(map(Fraction, lo)), tuple(map(Fraction, hi)), **more)


class Net:
    """`out . relu(W x + b)` with its gradient, ready to make claims about."""

    def __init__(self, w: Any, bias: Any, out: Any) -> None:
        b = self.b = Builder()
        self.x = b.input("x", (len(w[0]),))
        self.z = b.affine(dense(w), self.x, np.array(bias, dtype=float))
        self.f = b.affine(dense([out]), b.relu(self.z))
        (self.g,) = gradients(b, self.f, [self.x])
        self.xg = b.mul(self.x, self.g)

    def problem(self, region: Region, require: Formula, assume: Formula = TRUE) -> Problem:
        return Problem(self.b.build({"f": self.f}), region, require, assume)

    def decide(self, region: Region, require: Formula, assume: Formula = TRUE) -> Answer:
        return decide(self.problem(region, require, assume))

    def best(self, region: Region, terms: Any, maximise: bool, assume: Formula = TRUE) -> Answer:
        form = Form.of(terms)
        problem = self.problem(region, TRUE, assume)
        return optimum(problem, Objective(form, maximise))


def at_least(node: int, index: int, bound: Any, strict: bool = False) -> Atom:
    return Atom(Form.of({(node, index): 1}, -Fraction(bound)), strict)


def at_most(node: int, index: int, bound: Any, strict: bool = False) -> Atom:
    return Atom(Form.of({(node, index): -1}, Fraction(bound)), strict)


# --- kinks ----------------------------------------------------------------------------------


def test_a_gate_inside_the_region_takes_both_values() -> None:
    net = Net([[1.0]], [0.0], [3.0])  # f = 3 relu(x), gradient 3 or 0
    region = box([-1], [1])
    assert net.decide(region, at_most(net.g, 0, 3)).status is PROVED
    assert net.decide(region, at_most(net.g, 0, 3, strict=True)).status is REFUTED
    assert net.decide(region, at_most(net.g, 0, F(3) - F(1, 2**60))).status is REFUTED
    low = net.decide(region, at_least(net.g, 0, 0, strict=True))
    assert low.status is REFUTED
    assert low.point is not None
    assert low.point[0] < 0  # strictly off the kink


@pytest.mark.parametrize(("lo", "hi", "bound"), [(-1, 0, 0), (0, 1, 3)])
def test_a_kink_at_the_edge_of_the_region_is_unknown(lo: int, hi: int, bound: int) -> None:
    net = Net([[1.0]], [0.0], [3.0])
    claim = at_most(net.g, 0, 0) if hi == 0 else at_least(net.g, 0, 3)
    answer = net.decide(box([lo], [hi]), claim)
    assert (answer.status, answer.stop, answer.note) == (
        UNKNOWN, Stop.DONE, "violated only on a kink")
    assert net.decide(box([lo], [hi]), at_least(net.g, 0, 0)).status is PROVED
    assert evaluate_exact(net.b.build({}), [F(hi)], [net.g])[net.g].fractions() == [bound]


def test_equal_units_may_differ_on_their_kink_only() -> None:
    # f = relu(x) - relu(x): the gradient is 0 off the kink; at x = 0 the gates may differ.
    net = Net([[1.0], [1.0]], [0.0, 0.0], [1.0, -1.0])
    region = box([-1], [1])
    assert net.decide(region, at_most(net.g, 0, 0)).note == "violated only on a kink"
    assert net.decide(region, at_most(net.g, 0, 1)).status is PROVED
    assert net.decide(region, at_most(net.f, 0, 0)).status is PROVED  # the output has no such doubt
    top = net.best(region, {(net.g, 0): 1}, True)
    assert (top.objective, top.bound, top.extra["kink"]) == (1, 1, True)
    assert top.point == {0: 0}


def test_relu_alone_has_no_kinks() -> None:
    net = Net([[1.0]], [0.0], [1.0])
    region = box([0], [0])
    assert net.decide(region, at_least(net.f, 0, 0, strict=True)).status is REFUTED


def test_a_gate_that_is_always_on_its_kink_matters_only_with_a_weight() -> None:
    # The first unit is constantly 0 on the region, for its input is frozen at 0.
    net = Net([[1.0, 0.0], [0.0, 1.0]], [0.0, 5.0], [1.0, 1.0])
    region = box([0, -1], [0, 1])
    assert net.decide(region, at_most(net.g, 0, 0)).note == "violated only on a kink"
    assert net.decide(region, at_most(net.g, 1, 0)).status is REFUTED
    assert net.decide(region, at_most(net.g, 0, 1)).status is PROVED


def test_a_gate_on_its_kink_is_hidden_by_one_that_is_shut() -> None:
    # max(relu(x0), relu(x1)) where both are dead: a tie at 0 over the whole region.
    b = Builder()
    x = b.input("x", (2,))
    y = b.relu(x)
    first, second = (b.affine(gather((2,), [k]), y) for k in (0, 1))
    f = b.sum([second, b.relu(b.sum([first, second], [1, -1]))])
    (g,) = gradients(b, f, [x])
    xg = b.mul(x, g)
    graph = b.build({"f": f})

    def asked(lo: Sequence[Any], hi: Sequence[Any], claim: Atom) -> Answer:
        return decide(Problem(graph, box(lo, hi), claim))

    assert asked([-2, -2], [-1, -1], at_least(g, 0, 1)).status is REFUTED
    assert asked([-2, -2], [-1, -1], at_most(g, 0, 0)).status is PROVED
    # Alive, the two are equal on this line, and the gradient is (1, 0) or (0, 1).
    assert asked([1, 1], [1, 1], at_least(g, 0, 1)).note == "violated only on a kink"
    # A factor that is zero hides what it multiplies, also where it varies in the region.
    assert asked([0, 0], [0, 0], at_least(xg, 0, 1)).status is REFUTED
    tied = LinearRow({0: F(1), 1: F(-1)}, F(0)), LinearRow({0: F(-1), 1: F(1)}, F(0))
    line = Problem(graph, box([0, 0], [1, 1], rows=tied), at_least(xg, 0, F(1, 2)))
    assert decide(line).status is REFUTED
    high = Problem(graph, box([F(1, 4), 0], [1, 1], rows=tied), at_least(xg, 0, F(1, 2)))
    assert decide(high).note == "violated only on a kink"


def test_cells_of_lower_dimension_count_when_proving() -> None:
    # Units x, y, and x + y - 1: on the box [0,1]^2 the third changes sign on a line; the first two
    # are zero on edges, where their gates may be shut.
    net = Net([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]], [0.0, 0.0, -1.0], [1.0, 1.0, 1.0])
    region = box([0, 0], [1, 1])
    assert net.decide(region, at_least(net.g, 0, 1)).note == "violated only on a kink"
    assert net.decide(region, at_least(net.g, 0, 0)).status is PROVED
    assert net.best(region, {(net.g, 0): 1}, False).objective == 0
    # g0 + g1 = 4 needs x >= 0, y >= 0, x + y >= 1; all gates shut needs x = y = 0.
    both = {(net.g, 0): 1, (net.g, 1): 1}
    assert net.best(region, both, True).extra == {"kink": False, "attained": True}
    low = net.best(region, both, False)
    assert (low.objective, low.point, low.extra["kink"]) == (0, {0: 0, 1: 0}, True)


def test_a_witness_may_lie_on_a_kink_that_does_not_matter() -> None:
    # Unit 1 has output weight 0: it does not change the gradient, and x1 = 1/2, where it is 0, is
    # the only place where the claim fails.
    net = Net([[1.0, 0.0], [0.0, 1.0]], [1.0, -0.5], [1.0, 0.0])
    claim = Or((at_most(net.g, 0, 0), at_least(net.x, 1, F(1, 2), True), at_most(net.x, 1, F(1, 2),
                                                                                True)))
    region = box([0, 0], [1, 1])
    found = net.decide(region, claim)
    assert found.status is REFUTED
    assert found.point is not None
    assert found.point[1] == F(1, 2)


# --- regions --------------------------------------------------------------------------------


def test_frozen_features_and_linear_rows() -> None:
    net = Net([[1.0, 1.0]], [-1.0], [2.0])  # gate opens at x0 + x1 > 1
    shut = at_most(net.g, 0, 0)
    assert net.decide(box([0, "1/4"], [F(1, 2), "1/4"]), shut).status is PROVED
    assert net.decide(box([0, "1/4"], [F(7, 8), "1/4"]), shut).status is REFUTED
    cut = box([0, 0], [1, 1], rows=(LinearRow({0: F(1), 1: F(1)}, F(9, 10)),))
    assert net.decide(cut, shut).status is PROVED
    touching = box([0, 0], [1, 1], rows=(LinearRow({0: F(1), 1: F(1)}, F(1)),))
    assert net.decide(touching, shut).note == "violated only on a kink"


def test_an_empty_region_proves_everything_and_has_no_optimum() -> None:
    net = Net([[1.0]], [0.0], [1.0])
    region = box([0], [1], rows=(LinearRow({0: F(1)}, F(-1)),))
    assert net.decide(region, at_least(net.f, 0, 100)).status is PROVED
    assert net.best(region, {(net.f, 0): 1}, True).status is Status.INFEASIBLE


def test_whole_numbers_are_enumerated() -> None:
    net = Net([[2.0]], [-1.0], [1.0])  # f = relu(2 x - 1)
    region = box(["-3/2"], ["5/2"], integers=frozenset({0}))
    best = net.best(region, {(net.f, 0): 1}, True)
    assert (best.objective, best.point) == (3, {0: 2})
    assert net.decide(region, Or((at_most(net.f, 0, 0), at_least(net.f, 0, 1)))).status is PROVED
    assert net.decide(box([0], [2]), Or((at_most(net.f, 0, 0), at_least(net.f, 0, 1)))
                      ).status is REFUTED


def test_one_hot_groups() -> None:
    net = Net([[1.0, 2.0, 4.0]], [-1.5], [1.0])
    region = box([0, 0, 0], [1, 1, 1], one_hot=((0, 1, 2),))
    values = net.best(region, {(net.f, 0): 1}, True)
    assert (values.objective, values.point) == (F(5, 2), {0: 0, 1: 0, 2: 1})
    without = box([0, 0, 0], [1, 1, 0], one_hot=((0, 1, 2),))
    assert net.best(without, {(net.f, 0): 1}, True).objective == F(1, 2)


def test_l1_balls() -> None:
    net = Net([[1.0, 3.0], [-1.0, 1.0]], [0.0, 0.0], [1.0, 1.0])
    center, radius = (F(0), F(1, 3)), F(1, 2)
    region = box([-2, -2], [2, 2], balls=(Ball("l1", (0, 1), center, radius),))
    # Best at the vertex (0, 1/3 + 1/2): 3 (5/6) + 5/6.
    best = net.best(region, {(net.f, 0): 1}, True)
    assert best.objective == F(10, 3)
    one_sided = box([0, F(1, 3)], [2, 2], balls=(Ball("l1", (0, 1), center, radius),))
    assert net.best(one_sided, {(net.f, 0): 1}, True).objective == F(10, 3)
    nothing = box([1, 1], [2, 2], balls=(Ball("l1", (0, 1), center, radius),))
    assert net.best(nothing, {(net.f, 0): 1}, True).status is Status.INFEASIBLE


def test_l2_balls_where_they_are_polyhedra_and_refused_elsewhere() -> None:
    net = Net([[1.0, 1.0]], [10.0], [1.0])
    goal = {(net.f, 0): F(1)}

    def ball(radius: Any) -> tuple[Ball, ...]:
        return (Ball("l2", (0, 1), (F(0), F(0)), F(radius)),)

    line = box([-9, "3/5"], [9, "3/5"], balls=ball(1))  # x1 = 3/5 leaves |x0| <= 4/5
    assert net.best(line, goal, True).objective == 10 + F(3, 5) + F(4, 5)
    inside = box([-1, -1], [1, 1], balls=ball(2))
    assert net.best(inside, goal, True).objective == 12
    outside = box([2, 2], [3, 3], balls=ball(1))
    assert net.best(outside, goal, True).status is Status.INFEASIBLE
    refused = net.best(box([-1, -1], [1, 1], balls=ball(1)), goal, True)
    assert (refused.status, refused.stop) == (UNKNOWN, Stop.UNSUPPORTED)
    assert "l2" in refused.note
    irrational = net.best(box([-9, "1/2"], [9, "1/2"], balls=ball(1)), goal, True)
    assert irrational.stop is Stop.UNSUPPORTED


# --- formulas -------------------------------------------------------------------------------


def test_thresholds_are_exact() -> None:
    net = Net([[0.1, -0.3]], [0.7], [1.0])  # floats at their exact binary values
    region = box(["-1/10", "-1/10"], ["1/10", "1/10"])
    worst = F(0.7) - F(0.1) / 10 + F(-0.3) / 10
    assert net.best(region, {(net.f, 0): 1}, False).objective == worst
    assert net.decide(region, at_least(net.f, 0, worst)).status is PROVED
    assert net.decide(region, at_least(net.f, 0, worst, strict=True)).status is REFUTED
    assert net.decide(region, at_least(net.f, 0, worst + F(1, 10**40))).status is REFUTED
    assert net.decide(region, at_least(net.f, 0, worst - F(1, 10**40), True)).status is PROVED


def test_input_times_gradient_varies_within_a_cell() -> None:
    net = Net([[1.0]], [1.0], [2.0])  # x * gradient = 2 x where x > -1
    region = box([-2], [3])
    assert net.best(region, {(net.xg, 0): 1}, True).objective == 6
    low = net.best(region, {(net.xg, 0): 1}, False)
    assert (low.objective, low.point, low.extra["kink"]) == (-2, {0: -1}, True)
    assert net.decide(region, at_least(net.xg, 0, -2)).status is PROVED
    assert net.decide(region, at_least(net.xg, 0, -2, True)).note == "violated only on a kink"
    assert net.decide(region, at_least(net.xg, 0, F(-2) + F(1, 2**50))).status is REFUTED


def test_counts_and_dominance() -> None:
    net = Net([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]], [5.0] * 3, [3.0, 2.0, 1.0])
    region = box([-1] * 3, [1] * 3)
    order = Dominance(net.g, (0, 1), (2,), 2, 1)
    assert net.decide(region, order).status is PROVED
    assert net.decide(region, negate(order)).status is REFUTED
    rows = tuple(at_least(net.x, i, 0) for i in range(3))
    assert net.decide(region, AtLeast(1, rows)).status is REFUTED
    # The assumption x0 >= 1/2 and x1 >= 1/2 leaves two of three.
    assume = And((at_least(net.x, 0, F(1, 2)), at_least(net.x, 1, F(1, 2))))
    assert net.decide(region, AtLeast(2, rows), assume).status is PROVED
    assert net.decide(region, AtLeast(3, rows), assume).status is REFUTED
    sums = Dominance(net.xg, (0,), (1, 2), 1, 1, strict=False)
    assert net.decide(region, sums).status is REFUTED


def test_a_strict_assumption_leaves_a_supremum_that_is_not_attained() -> None:
    net = Net([[1.0]], [2.0], [1.0])
    best = net.best(box([0], [1]), {(net.f, 0): 1}, True, at_most(net.x, 0, F(1, 2), True))
    assert best.objective == F(5, 2)
    assert best.extra == {"kink": True, "attained": False}
    claim, assume = at_most(net.f, 0, F(5, 2), True), at_most(net.x, 0, F(1, 2), True)
    assert net.decide(box([0], [1]), claim, assume).status is PROVED


def test_squares_of_constants_are_decided_and_varying_products_refused() -> None:
    net = Net([[1.0, 2.0]], [0.0], [1.0])
    b = net.b
    size = b.affine(total((2,)), b.mul(net.g, net.g))
    assert net.best(box([-1, -1], [1, 1]), {(size, 0): 1}, True).objective == 5
    square = b.mul(net.x, net.x)
    refused = net.decide(box([-1, -1], [1, 1]), at_least(square, 0, 0))
    assert (refused.status, refused.stop) == (UNKNOWN, Stop.UNSUPPORTED)
    assert "Mul" in refused.note
    assert net.decide(box([-1, -1], [-1, 1]), at_least(square, 0, 1)).status is PROVED
    smooth = net.decide(box([-1, 0], [1, 0]), at_least(b.univariate("tanh", net.x), 0, 0))
    assert smooth.stop is Stop.UNSUPPORTED
    assert "tanh" in smooth.note
    inverse = b.univariate("reciprocal", net.x)
    assert net.decide(box([-3, 0], [-3, 1]), at_most(inverse, 0, F(-1, 3))).status is PROVED


def test_concat_gather_and_exact_constants() -> None:
    b = Builder()
    x, y = b.input("x", (2, 1)), b.input("y", (2, 2))
    both = b.add(Concat(1), x, b.relu(y))  # rows (x0, y0, y1), (x1, y2, y3)
    third = b.const(ExactArray.from_numbers([F(1, 3)] * 6, (2, 3)))
    picked = b.affine(gather((2, 3), [2, 3, -1]), b.sum([both, third]))
    region = box([0, 10, -1, 0, 0, 0], [1, 11, 2, 0, 0, 0])
    problem = Problem(b.build({}), region, TRUE)
    # picked = (relu(y1) + 1/3, x1 + 1/3, 0); y1 is frozen at 0 and x1 in [10, 11].
    for i, (low, high) in enumerate([(F(1, 3), F(1, 3)), (F(31, 3), F(34, 3)), (F(0), F(0))]):
        form = Form.of({(picked, i): 1})
        assert optimum(problem, Objective(form, False)).objective == low
        assert optimum(problem, Objective(form, True)).objective == high


# --- the adapter ----------------------------------------------------------------------------


def test_the_adapter_reads_text_and_respects_its_limit() -> None:
    net = Net([[1.0]], [0.0], [3.0])
    problem = net.problem(box([-1], [1]), at_most(net.g, 0, 3))
    solver = Regions()
    assert solver.availability().ok
    assert solver.capabilities.reads == "problem"
    assert solver.solve_problem(problem_to_json(problem), SolveLimits(10)).status is PROVED
    objective = Objective(Form.of({(net.f, 0): 1}), True)
    best = solver.solve_problem(problem_to_json(problem, objective), SolveLimits(10))
    assert (best.status, best.objective) == (Status.OPTIMAL, 3)
    rng = np.random.default_rng(0)
    wide = Net(rng.normal(size=(60, 6)), rng.normal(size=60), rng.normal(size=60))
    hard = wide.problem(box([-1] * 6, [1] * 6), at_most(wide.g, 0, 10**6))
    answer = solver.solve_problem(problem_to_json(hard), SolveLimits(0.5))
    assert (answer.status, answer.stop) == (UNKNOWN, Stop.TIME)
