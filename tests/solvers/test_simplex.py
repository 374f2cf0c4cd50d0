"""The exact simplex against z3 (exact) and HiGHS (floating point), degenerate cases included."""

from __future__ import annotations

import random
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from verifex.solvers._simplex import Tableau, maximise, whole

SMALL = st.integers(-3, 3)


@st.composite
def programs(draw: st.DrawFn) -> tuple[list[int], list[list[int]], list[int], list[bool]]:
    n, m = draw(st.integers(1, 4)), draw(st.integers(0, 7))
    row = st.lists(SMALL, min_size=n, max_size=n)
    rows = [draw(row) for _ in range(m)]
    rhs, strict = [draw(SMALL) for _ in range(m)], [draw(st.booleans()) for _ in range(m)]
    if draw(st.booleans()):  # a box, so that not everything is unbounded
        for i in range(n):
            for s in (1, -1):
                rows.append([s if j == i else 0 for j in range(n)])
                rhs.append(2)
                strict.append(False)
    return draw(row), rows, rhs, strict


@settings(max_examples=300, deadline=None)
@given(programs())
def test_against_z3(program: tuple[list[int], list[list[int]], list[int], list[bool]]) -> None:
    z3 = pytest.importorskip("z3")
    c, rows, rhs, strict = program
    status, value, point = maximise(c, rows, rhs, strict)
    x = [z3.Real(f"x{i}") for i in range(len(c))]
    body = [z3.Sum([a * v for a, v in zip(row, x, strict=True)]) for row in rows]
    held = [f < b if s else f <= b for f, b, s in zip(body, rhs, strict, strict=True)]
    solver = z3.Solver()
    solver.add(held)
    assert (solver.check() == z3.sat) == (status != "infeasible")
    if status == "infeasible":
        return
    assert point is not None
    assert all(_dot(row, point) <= b for row, b in zip(rows, rhs, strict=True))
    goal = z3.Sum([a * v for a, v in zip(c, x, strict=True)])
    if status == "unbounded":
        solver.add(goal >= 10**9)
        assert solver.check() == z3.sat
        return
    assert value is not None
    assert value == _dot(c, point)
    real = z3.Q(value.numerator, value.denominator)
    solver.push()
    solver.add(goal > real)
    assert solver.check() == z3.unsat  # nothing better ...
    solver.pop()
    solver.add(goal > real - z3.Q(1, 10**12))
    assert solver.check() == z3.sat  # ... and no better supremum below


def _dot(a: list[int], b: list[Fraction]) -> Fraction:
    return sum((x * y for x, y in zip(a, b, strict=True)), Fraction(0))


def test_against_highs_with_fractions() -> None:
    highspy = pytest.importorskip("highspy")
    import numpy as np

    rng = random.Random(5)
    solved = 0
    for _ in range(60):
        n, m = rng.randint(2, 6), rng.randint(3, 14)
        rows = [[Fraction(rng.randint(-64, 64), 64) for _ in range(n)] for _ in range(m)]
        rhs = [Fraction(rng.randint(-10, 40), 10) for _ in range(m)]
        box = [[Fraction(s * (i == j)) for j in range(n)] for i in range(n) for s in (1, -1)]
        c = [Fraction(rng.randint(-64, 64), 64) for _ in range(n)]
        status, value, _ = maximise(c, rows + box, rhs + [Fraction(1)] * 2 * n)
        h = highspy.Highs()
        h.setOptionValue("output_flag", False)
        h.changeObjectiveSense(highspy.ObjSense.kMaximize)
        for v in c:
            h.addVar(-1.0, 1.0)
            h.changeColCost(h.getNumCol() - 1, float(v))
        for row, b in zip(rows, rhs, strict=True):
            h.addRow(-highspy.kHighsInf, float(b), n, np.arange(n), np.array(row, dtype=float))
        h.run()
        found = h.getModelStatus() == highspy.HighsModelStatus.kOptimal
        assert found == (status == "optimal")
        if found:
            solved += 1
            assert value is not None
            assert h.getObjectiveValue() == pytest.approx(float(value), abs=1e-7)
    assert solved >= 20


def test_known_answers() -> None:
    assert maximise([1], [[1]], [3]) == ("optimal", 3, [3])
    assert maximise([1], [[-1]], [3])[0] == "unbounded"
    assert maximise([0], [[1], [-1]], [1, -2])[0] == "infeasible"
    assert maximise([0], [[1], [-1]], [1, -1], [True, False])[0] == "infeasible"  # x = 1 and x < 1
    assert maximise([1], [[1], [-1]], [1, 0], [True, False])[:2] == ("optimal", 1)  # a supremum
    assert maximise([], [], [])[:2] == ("optimal", 0)
    # Beale's example, on which the textbook rule cycles.
    beale = maximise(
        [Fraction(3, 4), -150, Fraction(1, 50), -6],
        [[Fraction(1, 4), -60, Fraction(-1, 25), 9], [Fraction(1, 2), -90, Fraction(-1, 50), 3],
         [0, 0, 1, 0], [-1, 0, 0, 0], [0, -1, 0, 0], [0, 0, -1, 0], [0, 0, 0, -1]],
        [0, 0, 1, 0, 0, 0, 0],
    )
    assert beale[1] == Fraction(1, 20)


def test_rows_added_after_pivots_equal_rows_added_before() -> None:
    rng = random.Random(1)
    for _ in range(100):
        n = rng.randint(1, 4)
        rows = [([rng.randint(-4, 4) for _ in range(n)], rng.randint(-2, 6)) for _ in range(6)]
        rows += [([int(i == j) for j in range(n)], 3) for i in range(n)]
        goal = [rng.randint(-4, 4) for _ in range(n)]
        once, stepwise = Tableau(n), Tableau(n)
        alive = True
        for coefs, rhs in rows:
            once.add(coefs, rhs)
            if alive:
                stepwise.add(coefs, rhs)
                alive = stepwise.feasible()
                if alive:
                    stepwise.copy().maximise(goal)
        assert once.feasible() == alive
        if alive:
            assert once.maximise(goal) == stepwise.maximise(goal)


def test_whole_keeps_the_direction() -> None:
    assert whole([Fraction(1, 2), Fraction(-2, 3), 0]) == [3, -4, 0]
    assert whole([4, -6]) == [2, -3]
    assert whole([0, 0]) == [0, 0]
