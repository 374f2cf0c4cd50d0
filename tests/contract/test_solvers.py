"""Every registered solver that reads models, over one corpus of small models with known answers.

A solver that cannot run here is shown as skipped, by name and with its reason.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction as F
from importlib.metadata import entry_points

import pytest

from verifex.engine.solve import registry
from verifex.engine.solve.child import SolverProcess
from verifex.errors import MissingSolverError
from verifex.ir.model.logical import Model, Product, Row
from verifex.ir.model.solving import Answer, Capabilities, SolveLimits, Status, Stop

INF = "infeasible"
TOLERANCE = F(1, 10**6)


@dataclass(frozen=True)
class Case:
    """A model and what is true of it: the optimum, None (feasible, no objective) or INF."""

    name: str
    build: Callable[[], Model]
    truth: F | int | str | None
    exact_only: bool = False

    @property
    def products(self) -> bool:
        return bool(self.build().products)


CASES: list[Case] = []


def case(truth: F | int | str | None, *, exact_only: bool = False) -> Callable[..., None]:
    def register(build: Callable[[Model], object]) -> None:
        def made() -> Model:
            model = Model()
            build(model)
            return model

        CASES.append(Case(build.__name__, made, truth, exact_only))

    return register


def maximise(m: Model, objective: dict[int, F | int | float], const: F | int = 0) -> None:
    m.objective, m.objective_const, m.maximise = dict(objective), const, True


def minimise(m: Model, objective: dict[int, F | int | float], const: F | int = 0) -> None:
    maximise(m, objective, const)
    m.maximise = False


# --- linear programs -------------------------------------------------------------------------


@case(None)
def no_variables(m: Model) -> None:
    pass


@case(None)
def no_variables_true_row(m: Model) -> None:
    m.add({}, "<=", 0)


@case(INF)
def no_variables_false_row(m: Model) -> None:
    m.add({}, ">=", F(1, 10**12))


@case(INF)
def false_constant_row(m: Model) -> None:
    m.new("x", 0, 1)
    m.add({}, "==", -1)


@case(3)
def no_rows(m: Model) -> None:
    x, y = m.new("x", -1, 2), m.new("y", 0, 5)
    maximise(m, {x: 1, y: -1}, 1)


@case(F(5, 2))
def plain_lp(m: Model) -> None:
    x, y = m.new("x", 0, None), m.new("y", 0, None)
    m.add({x: 1, y: 2}, "<=", 4)
    m.add({x: 3, y: 1}, "<=", 6)
    maximise(m, {x: F(1, 2), y: F(5, 4)})


@case(-7)
def free_variables(m: Model) -> None:
    x, y = m.new("x"), m.new("y")
    m.add({x: 1, y: 1}, ">=", -10)
    m.add({x: 1, y: -1}, "==", 4)
    minimise(m, {x: 1})
    m.objective_const = -4


@case(F(1, 3))
def a_third(m: Model) -> None:
    x = m.new("x", 0, 1)
    m.add({x: 3}, "<=", 1)
    maximise(m, {x: 1})


@case(F(-5, 21))
def fractions_everywhere(m: Model) -> None:
    x, y = m.new("x", F(-1, 3), F(1, 3)), m.new("y", 0, F(5, 7))
    m.add({x: F(1, 3), y: F(-1, 5)}, "==", F(-1, 7))
    minimise(m, {x: 1}, F(2, 21))


@case(F(1, 10**10))
def tiny_coefficients(m: Model) -> None:
    x = m.new("x", 0, 100)
    m.add({x: F(1, 10**10)}, "<=", F(1, 10**10))
    maximise(m, {x: F(1, 10**10)})


@case(1)
def tiny_beside_large(m: Model) -> None:
    """The small coefficient decides: dropping it would give 10."""
    x, y = m.new("x", 0, 10), m.new("y", 0, 10**10)
    m.add({x: 1, y: F(-1, 10**10)}, "<=", 0)
    m.add({y: 1}, "<=", 10**10)
    m.add({x: F(1, 10**10)}, "<=", F(1, 10**10))
    maximise(m, {x: 1})


@case(4 + F(1, 10**25))
def lost_beside_large(m: Model) -> None:
    x, y = m.new("x", 0, 10), m.new("y", -1, 1)
    m.add({x: 1, y: F(1, 10**25)}, "<=", 4)
    maximise(m, {x: 1})


@case(2)
def repeated_and_zero_coefficients(m: Model) -> None:
    x, y = m.new("x", 0, 10), m.new("y", 0, 10)
    m.rows.append(Row(((x, 1), (y, 0), (x, 1)), "<=", 4))
    maximise(m, {x: 1, y: 0})


@case(0)
def objective_of_nothing(m: Model) -> None:
    m.new("x", 0, 1)
    maximise(m, {})


@case(INF)
def contradicting_rows(m: Model) -> None:
    x, y = m.new("x", 0, 1), m.new("y", 0, 1)
    m.add({x: 1, y: 1}, ">=", F(21, 10))
    maximise(m, {x: 1})


@case(INF)
def contradicting_equations(m: Model) -> None:
    x, y = m.new("x"), m.new("y")
    m.add({x: 1, y: 1}, "==", 1)
    m.add({x: 2, y: 2}, "==", 3)


@case(INF)
def crossed_bounds(m: Model) -> None:
    m.new("x", 1, 0)


@case(F(1, 2))
def fixed_variable(m: Model) -> None:
    x, y = m.new("x", F(1, 2), F(1, 2)), m.new("y", 0, 9)
    m.add({y: 1, x: -1}, "==", 0)
    minimise(m, {y: 1})


@case(0)
def a_tie(m: Model) -> None:
    """Many optimal points; the value is the same for all."""
    x, y = m.new("x", -1, 1), m.new("y", -1, 1)
    m.add({x: 1, y: 1}, "<=", 0)
    maximise(m, {x: 1, y: 1})


@case(None)
def touching(m: Model) -> None:
    """Feasible at one point only."""
    x, y = m.new("x", 0, 1), m.new("y", 0, 1)
    m.add({x: 1, y: 1}, ">=", 2)
    m.add({x: 1, y: -1}, "==", 0)


# --- integers and implications ---------------------------------------------------------------


@case(20)
def knapsack(m: Model) -> None:
    weights, values = (3, 4, 5, 9, 4), (3, 4, 4, 10, 6)
    s = [m.new(f"s{i}", 0, 1, True) for i in range(5)]
    m.add(dict(zip(s, weights)), "<=", 17)
    maximise(m, dict(zip(s, values)))


@case(-3)
def general_integers(m: Model) -> None:
    x, y = m.new("x", -5, 5, True), m.new("y", -5, 5)
    m.add({x: 2, y: 1}, ">=", F(-13, 2))
    m.add({y: 1}, "<=", 0)
    minimise(m, {x: 1})


@case(INF)
def no_integer_between(m: Model) -> None:
    x = m.new("x", 0, 3, True)
    m.add({x: 3}, ">=", 4)
    m.add({x: 3}, "<=", 5)


@case(F(23, 10))
def both_premises(m: Model) -> None:
    x, y, s = m.new("x", 0, 1), m.new("y", 0, F(1, 3)), m.new("s", 0, 1, True)
    m.add({x: 1, y: 1}, "<=", F(5, 4))
    m.imply(s, 1, Row(((x, 1),), "<=", F(1, 2)), F(1, 2))
    m.imply(s, 0, Row(((y, 1),), "<=", F(1, 10)), F(7, 30))
    maximise(m, {x: 2, y: 3})


@case(F(-1, 2))
def implied_lower_row(m: Model) -> None:
    x, s = m.new("x", -1, 1), m.new("s", 0, 1, True)
    m.imply(s, 1, Row(((x, 2),), ">=", 1), 3)
    m.imply(s, 0, Row(((x, 1),), ">=", F(-1, 2)), F(1, 2))
    minimise(m, {x: 1})


@case(INF)
def neither_premise(m: Model) -> None:
    x, s = m.new("x", 0, 1), m.new("s", 0, 1, True)
    m.imply(s, 1, Row(((x, 1),), "<=", F(-1, 10)), F(11, 10))
    m.imply(s, 0, Row(((x, 1),), ">=", F(11, 10)), F(11, 10))


@case(0)
def loose_implication(m: Model) -> None:
    """More slack than a big-M row is good for: solvers with indicators use them."""
    x, s = m.new("x", 0, 10**6), m.new("s", 0, 1, True)
    m.imply(s, 1, Row(((x, 1),), "<=", 0), 10**6)
    m.add({s: 1}, "==", 1)
    maximise(m, {x: 1})


@case(3)
def implication_without_variables(m: Model) -> None:
    """`s -> false` shuts s; the slack says by how much "false" is missed."""
    s, x = m.new("s", 0, 1, True), m.new("x", 0, 3)
    m.imply(s, 1, Row((), "<=", -1), 1)
    m.imply(s, 0, Row(((x, 1),), ">=", 3), 3)
    minimise(m, {x: 1, s: -5})


def relu_net(m: Model, seed: int) -> None:
    """Maximise a two-layer ReLU network over a box, as verifex encodes gates."""
    weights = [((seed * (i + 3) * (j + 5)) % 17 - 8, 8) for i in range(4) for j in range(2)]
    w = [[F(*weights[2 * i + j]) for j in range(2)] for i in range(4)]
    x = [m.new(f"x{j}", -1, 1) for j in range(2)]
    total: dict[int, F | int | float] = {}
    for i in range(4):
        reach = sum(map(abs, w[i]))
        h, s = m.new(f"h{i}", 0, reach), m.new(f"s{i}", 0, 1, True)
        form = {x[j]: -w[i][j] for j in range(2)}
        m.add({h: 1} | form, ">=", 0)
        m.imply(s, 1, Row(tuple(({h: 1} | form).items()), "<=", 0), 2 * reach)
        m.imply(s, 0, Row(((h, 1),), "<=", 0), reach)
        m.imply(s, 1, Row(tuple(form.items()), "<=", 0), reach)
        m.imply(s, 0, Row(tuple(form.items()), ">=", 0), reach)
        total[h] = (-1) ** i
    maximise(m, total)


def net_truth(seed: int) -> F:
    """The maximum by trying every crossing of two lines where the network can bend."""
    weights = [((seed * (i + 3) * (j + 5)) % 17 - 8, 8) for i in range(4) for j in range(2)]
    w = [[F(*weights[2 * i + j]) for j in range(2)] for i in range(4)]
    lines = [(a, b, F(0)) for a, b in w]
    lines += [(F(p), F(q), F(r)) for p, q in ((1, 0), (0, 1)) for r in (-1, 1)]
    best = []
    for (a, b, c), (d, e, f) in itertools.combinations(lines, 2):
        if det := a * e - b * d:
            p = ((c * e - b * f) / det, (a * f - c * d) / det)
            if max(map(abs, p)) <= 1:
                best.append(
                    sum((-1) ** i * max(F(0), u * p[0] + v * p[1]) for i, (u, v) in enumerate(w))
                )
    return F(max(best))


for _seed in (1, 2, 5, 7):
    CASES.append(
        Case(
            f"relu_net_{_seed}",
            lambda seed=_seed: (m := Model(), relu_net(m, seed))[0],  # type: ignore[misc]
            net_truth(_seed),
        )
    )


# --- what only exact solvers can tell ----------------------------------------------------------


@case(INF, exact_only=True)
def strictly_touching(m: Model) -> None:
    x = m.new("x", 0, 1)
    m.add({x: 1}, ">=", 1, strict=True)


@case(None, exact_only=True)
def strictly_between(m: Model) -> None:
    x = m.new("x")
    m.add({x: 1}, ">=", F(1, 3), strict=True)
    m.add({x: 1}, "<=", F(1, 3) + F(1, 2**80), strict=True)


@case(INF, exact_only=True)
def strict_implication(m: Model) -> None:
    x, s = m.new("x", 0, 1), m.new("s", 0, 1, True)
    m.imply(s, 1, Row(((x, 1),), "<=", 0, True), 1)
    m.imply(s, 0, Row(((x, 1),), ">=", 1, True), 1)


@case(INF, exact_only=True)
def a_hair_apart(m: Model) -> None:
    x = m.new("x", 0, 1)
    m.add({x: 3}, "<=", 1)
    m.add({x: 3}, ">=", 1 + F(1, 2**60))


@case(INF, exact_only=True)
def a_float_is_not_a_decimal(m: Model) -> None:
    x = m.new("x")
    m.add({x: 1}, "==", 0.1)
    m.add({x: 10}, "==", 1)


# --- products ----------------------------------------------------------------------------------


@case(F(1, 4))
def aProduct(m: Model) -> None:
    x, y, z = m.new("x", 0, 1), m.new("y", 0, 1), m.new("z", -1, 1)
    m.products.append(Product(z, x, y))
    m.add({x: 1, y: 1}, "<=", 1)
    maximise(m, {z: 1})


@case(F(-1, 4))
def a_square(m: Model) -> None:
    x, z = m.new("x", -1, 1), m.new("z", -1, 1)
    m.products.append(Product(z, x, x))
    minimise(m, {z: 1, x: 1})


@case(INF)
def a_negative_square(m: Model) -> None:
    x, z = m.new("x", -1, 1), m.new("z", -1, F(-1, 10))
    m.products.append(Product(z, x, x))


@case(2)
def a_product_with_a_choice(m: Model) -> None:
    s, x, z = m.new("s", 0, 1, True), m.new("x", -3, 2), m.new("z", -9, 9)
    m.products.append(Product(z, s, x))
    maximise(m, {z: 1})


# --- the suite -----------------------------------------------------------------------------------

# Adapters import their libraries when used, so loading one here is harmless.
READERS = [
    entry.name
    for entry in entry_points(group="verifex.solvers")
    if entry.load().capabilities.reads == "model"
]
NAMES = [*sorted(READERS), "pulp:HiGHS"]


@pytest.fixture(scope="module", params=NAMES)
def solver(request: pytest.FixtureRequest) -> Iterator[tuple[SolverProcess, Capabilities]]:
    name = request.param
    try:
        capabilities, availability = registry.info(name)
        if not availability.ok:
            pytest.skip(f"{name} is not available: {availability.reason}")
    except MissingSolverError as e:
        pytest.skip(str(e))
    with registry.open(name) as child:
        yield child, capabilities


def value(model: Model, answer: Answer) -> F:
    """The objective at the point, exactly."""
    assert model.objective is not None
    assert answer.point is not None
    terms = (F(c) * F(answer.point[v]) for v, c in model.objective.items() if c)
    return F(model.objective_const) + sum(terms, F(0))


def holds(model: Model, answer: Answer, tolerance: F) -> None:
    """The point satisfies the model up to `tolerance` (absolutely, relative to a row's size)."""
    point = answer.point
    assert point is not None

    def at(v: int) -> F:
        assert point is not None
        return F(point[v])

    def row_holds(row: Row) -> bool:
        left = sum((F(c) * at(v) for v, c in row.coefs), F(0))
        size = max((abs(F(c)) for _, c in row.coefs), default=F(1))
        slack = tolerance * max(size, 1) if tolerance else F(0)
        gap = left - F(row.rhs)
        if row.strict and not tolerance:
            return gap < 0 if row.sense == "<=" else gap > 0
        return {"<=": gap <= slack, ">=": gap >= -slack, "==": abs(gap) <= slack}[row.sense]

    for i, v in enumerate(model.variables):
        assert v.lo is None or at(i) >= v.lo - tolerance, v
        assert v.hi is None or at(i) <= v.hi + tolerance, v
        assert not v.integer or at(i).denominator == 1, v
    assert all(map(row_holds, model.rows))
    for rule in model.implications:
        assert at(rule.var) != rule.value or row_holds(rule.row), rule
    for p in model.products:
        assert abs(at(p.out) - at(p.left) * at(p.right)) <= tolerance


def nonlinear(model: Model) -> bool:
    """Whether some product has no 0/1 factor."""
    choices = {i for i, v in enumerate(model.variables) if v.integer and (v.lo, v.hi) == (0, 1)}
    return any(not {p.left, p.right} & choices for p in model.products)


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
def test_known_answers(case: Case, solver: tuple[SolverProcess, Capabilities]) -> None:
    child, able = solver
    model = case.build()
    answer = child.solve(model, SolveLimits(30))
    if case.products and not able.products:
        assert (answer.status, answer.stop) == (Status.UNKNOWN, Stop.UNSUPPORTED)
        return
    tolerance = F(0) if able.exact else TOLERANCE
    if case.exact_only and not able.exact:
        # Not its business; whatever it says, a point that it gives is a point of the loose model.
        if answer.point is not None:
            holds(model, answer, tolerance)
        return
    if case.truth == INF:
        assert answer.status is Status.INFEASIBLE, answer
        assert answer.point is None
        return
    assert answer.point is not None, answer
    holds(model, answer, tolerance)
    if model.objective is None:
        assert answer.status is Status.OPTIMAL
        return
    optimises = able.optimise and not (able.exact and nonlinear(model))
    if not optimises:
        assert (answer.status, answer.stop) == (Status.FEASIBLE, Stop.UNSUPPORTED)
        assert answer.bound is None
        assert answer.objective == value(model, answer)
        return
    assert answer.status is Status.OPTIMAL, answer
    assert answer.stop is Stop.DONE
    assert answer.objective is not None
    assert answer.bound is not None
    truth = F(case.truth)  # type: ignore[arg-type]
    for said in (value(model, answer), F(answer.objective), F(answer.bound)):
        assert abs(said - truth) <= tolerance, answer


def test_unbounded_is_never_infeasible(solver: tuple[SolverProcess, Capabilities]) -> None:
    child, _ = solver
    model = Model()
    x, y = model.new("x", 0, None), model.new("y", 0, 1)
    model.add({x: 1, y: -1}, ">=", 0)
    maximise(model, {x: 1})
    answer = child.solve(model, SolveLimits(30))
    assert answer.status in (Status.FEASIBLE, Status.UNKNOWN), answer
    assert answer.bound is None


def test_a_limit_that_is_not_attained(solver: tuple[SolverProcess, Capabilities]) -> None:
    child, able = solver
    model = Model()
    x = model.new("x", 0, 1)
    model.add({x: 1}, "<=", F(1, 3), strict=True)
    maximise(model, {x: 1})
    answer = child.solve(model, SolveLimits(30))
    if not able.exact:
        assert "strict rows taken as non-strict" in answer.note
        return
    assert answer.status is Status.FEASIBLE
    assert value(model, answer) < F(1, 3)
    if able.optimise:
        assert answer.bound == F(1, 3)
        assert "not attained" in answer.note


def hard() -> Model:
    """A market split problem: ten rows, thirty choices; far out of reach for every solver."""
    model = Model()
    s = [model.new(f"s{i}", 0, 1, True) for i in range(40)]
    state = 12345
    for _ in range(5):
        row = {}
        for v in s:
            state = state * 1103515245 + 12345 & 0x7FFFFFFF
            row[v] = (state >> 8) % 100
        model.add(row, "==", sum(row.values()) // 2)
    return model


@pytest.mark.parametrize("seconds", [0.5, 2.0])
def test_time_outs_are_kept(solver: tuple[SolverProcess, Capabilities], seconds: float) -> None:
    child, _ = solver
    child.solve(Model(), SolveLimits(30))  # started and loaded
    answer = child.solve(hard(), SolveLimits(seconds))
    assert (answer.status, answer.stop) == (Status.UNKNOWN, Stop.TIME), answer
    assert child.solve(Model(), SolveLimits(30)).status is Status.OPTIMAL


def test_a_model_beyond_the_bundled_licence(
    solver: tuple[SolverProcess, Capabilities],
) -> None:
    """Two thousand and one variables: only Gurobi may refuse, and then says why."""
    child, able = solver
    model = Model()
    columns = [model.new("", 0, 1) for _ in range(2001)]
    for a, b in itertools.pairwise(columns):
        model.add({a: 1, b: 1}, "<=", 1)
    maximise(model, {columns[0]: 1})
    answer = child.solve(model, SolveLimits(60))
    if answer.stop is Stop.LICENCE:
        assert child.name == "gurobi"
        assert answer.status is Status.UNKNOWN
        assert "2001 variables" in answer.note
        return
    assert answer.status is (Status.OPTIMAL if able.optimise else Status.FEASIBLE), answer


def test_products_beyond_the_bundled_licence(
    solver: tuple[SolverProcess, Capabilities],
) -> None:
    child, able = solver
    if not able.products:
        return
    model = Model()
    factors = [model.new("", 1, 2) for _ in range(150)]
    for x in factors:
        model.products.append(Product(model.new("", 0, 9), x, x))
    answer = child.solve(model, SolveLimits(60))
    if answer.stop is Stop.LICENCE:
        assert child.name == "gurobi"
        assert "200 variables with products" in answer.note
        return
    assert answer.status is Status.OPTIMAL, answer
    holds(model, answer, F(0) if able.exact else TOLERANCE)


def test_every_solver_is_registered() -> None:
    assert {"highs", "gurobi", "scip", "pulp", "z3", "cvc5", "smtlib"} <= set(READERS)
    assert set(READERS) <= set(registry.names())


def test_unknown_names_are_missing_solvers() -> None:
    with pytest.raises(MissingSolverError, match="no solver is called 'hihgs', there are"):
        registry.open("hihgs")
    with pytest.raises(MissingSolverError, match=r"PuLP .* finds no Nix"):
        registry.open("pulp:Nix")
    with pytest.raises(MissingSolverError, match="no /no/such"):
        registry.open("smtlib:/no/such")
    with pytest.raises(MissingSolverError):
        registry.info("highs:option")
