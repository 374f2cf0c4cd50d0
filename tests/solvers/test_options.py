"""What adapters tell their solvers: tolerances, seeds, and models that a solver would refuse."""

from __future__ import annotations

import importlib
from fractions import Fraction as F
from typing import Any

import pytest

from verifex.engine.solve import registry
from verifex.engine.solve.pool import SolverPool
from verifex.errors import MissingSolverError, UnsupportedError
from verifex.ir.model.logical import Model
from verifex.ir.model.solving import SolveLimits, Status
from verifex.solvers.highs import Highs

FLOATS = ("highs", "scip", "gurobi", "pulp")


def available(name: str) -> None:
    """Skip by name where a solver cannot run."""
    _, here = registry.info(name)
    if not here.ok:
        pytest.skip(f"{name}: {here.reason}")


def knapsack() -> Model:
    """Ten 0/1 choices; the best one is unique, x0 is worth nothing and stays in the middle."""
    model = Model()
    x = model.new("x", F(1, 4), F(1, 4))
    s = [model.new(f"s{i}", 0, 1, True) for i in range(10)]
    model.add({v: 3 + (7 * i) % 11 for i, v in enumerate(s)}, "<=", 31)
    model.objective = {v: 5 + (5 * i) % 13 + F(i, 64) for i, v in enumerate(s)}
    model.objective[x] = 1
    model.maximise = True
    return model


@pytest.mark.parametrize("name", FLOATS)
def test_a_seed_changes_the_order_and_not_the_answer(name: str) -> None:
    """Points come back in the model's own order, whatever order the solver read."""
    available(name)
    model, found = knapsack(), []
    with SolverPool() as pool:
        for seed in (0, 1, 2, 2**31, 10**12):
            answer = pool.solve(name, model, SolveLimits(30, seed=seed))
            assert answer.status is Status.OPTIMAL, answer
            assert answer.point is not None
            found.append([round(float(answer.point[v]), 6) for v in range(11)])
    assert found[0][0] == 0.25
    assert all(point == found[0] for point in found)


def recorded(monkeypatch: pytest.MonkeyPatch, module: str, kind: str, method: str) -> list[Any]:
    """The arguments of every call of a method of a solver's class from here on."""
    library = importlib.import_module(module)
    seen: list[Any] = []

    def record(self: Any, *args: Any) -> Any:
        seen.append(args if args else self)
        return getattr(super(recorder, self), method)(*args)

    recorder = type("Recorder", (getattr(library, kind),), {method: record})
    monkeypatch.setattr(library, kind, recorder)
    return seen


@pytest.mark.parametrize(("seed", "told"), [(0, 0), (5, 5), (2**31 - 1, 0), (2**31, 1)])
def test_highs_is_told_its_seed(seed: int, told: int, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = recorded(monkeypatch, "highspy", "Highs", "setOptionValue")
    Highs().solve(knapsack(), SolveLimits(30, seed=seed))
    assert ("random_seed", told) in seen


def test_scip_is_told_its_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    available("scip")
    from verifex.solvers.scip import Scip

    seen = recorded(monkeypatch, "pyscipopt", "Model", "setParams")
    Scip().solve(knapsack(), SolveLimits(30, seed=5))
    assert seen[0][0]["randomization/randomseedshift"] == 5


def test_gurobi_is_told_its_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    available("gurobi")
    import gurobipy

    from verifex.solvers.gurobi import Gurobi

    seeds = []

    class Recorder(gurobipy.Model):
        def optimize(self) -> None:
            seeds.append(self.Params.Seed)
            super().optimize()

    monkeypatch.setattr(gurobipy, "Model", Recorder)
    Gurobi().solve(knapsack(), SolveLimits(30, seed=5))
    assert seeds == [5]


def test_cbc_is_told_its_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    available("pulp")
    import pulp

    from verifex.solvers.pulp import Pulp

    told: list[list[str]] = []
    original = pulp.getSolver

    def record(name: str, **options: Any) -> Any:
        told.append(options.get("options", []))
        return original(name, **options)

    monkeypatch.setattr(pulp, "getSolver", record)
    Pulp().solve(knapsack(), SolveLimits(30, seed=5))
    assert any({"randomSeed 6", "randomCbcSeed 6"} <= set(options) for options in told)


# --- tolerances ---------------------------------------------------------------------------------

TOLERANCES = ("primal_feasibility_tolerance", "dual_feasibility_tolerance",
              "mip_feasibility_tolerance")


def test_highs_keeps_its_own_tolerances(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = recorded(monkeypatch, "highspy", "Highs", "setOptionValue")
    Highs().solve(knapsack(), SolveLimits(30))
    assert not [args for args in seen if args[0] in TOLERANCES]


def test_highs_takes_others_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = recorded(monkeypatch, "highspy", "Highs", "setOptionValue")
    Highs("1e-9").solve(knapsack(), SolveLimits(30))
    assert {args[0]: args[1] for args in seen if args[0] in TOLERANCES} == dict.fromkeys(
        TOLERANCES, 1e-9)


@pytest.mark.parametrize("text", ["small", "0", "1e-12", "1", "nan", "inf", "-1e-6"])
def test_tolerances_that_highs_does_not_take(text: str) -> None:
    with pytest.raises(UnsupportedError, match="expected a tolerance from 1e-10 to 1e-2"):
        Highs(text)


def test_a_solver_of_a_bad_tolerance_is_missing() -> None:
    with pytest.raises(MissingSolverError, match="expected a tolerance"):
        registry.info("highs:tight")


# --- large numbers ------------------------------------------------------------------------------


def giant(scale: int, integer: bool = False) -> Model:
    """max y with y <= scale * x - scale / 2 on x in [0, 1], written with large numbers: scale/2."""
    model = Model()
    x = model.new("x", 0, 1)
    y = model.new("y", -(10**6), scale, integer)
    model.add({y: 1, x: -scale}, "<=", F(-scale, 2))
    model.objective, model.maximise = {y: 1}, True
    return model


@pytest.mark.parametrize("name", FLOATS)
@pytest.mark.parametrize("scale", [10**8, 10**16, 10**22, 10**40])
def test_large_coefficients_are_read(name: str, scale: int) -> None:
    available(name)
    with SolverPool() as pool:
        answer = pool.solve(name, giant(scale), SolveLimits(30))
    assert answer.status is Status.OPTIMAL, answer
    assert float(answer.bound or 0) == pytest.approx(scale / 2, rel=1e-6)
    assert answer.point is not None
    assert float(answer.point[0]) == pytest.approx(1, abs=1e-6)
    assert float(answer.point[1]) == pytest.approx(scale / 2, rel=1e-6)


@pytest.mark.parametrize("name", FLOATS)
def test_what_cannot_be_read_is_named(name: str) -> None:
    """An integer is counted in ones: nothing makes 1e18 of them small."""
    available(name)
    with SolverPool() as pool:
        answer = pool.solve(name, giant(10**18, integer=True), SolveLimits(30))
    assert answer.status is Status.UNKNOWN
    assert answer.note.startswith("a bound of 1e+18"), answer.note


@pytest.mark.parametrize("name", FLOATS)
def test_small_and_large_in_one_model(name: str) -> None:
    """A row with 1e16 beside one with 1e-16: both bind."""
    available(name)
    model = Model()
    x, y, z = (model.new(n, 0, top) for n, top in (("x", 10**16), ("y", 1), ("z", F(1, 10**16))))
    model.add({x: 1, y: -(10**16)}, "<=", 0)
    model.add({z: 1, y: F(-1, 2 * 10**16)}, ">=", 0)
    model.add({z: 1}, "<=", F(1, 8 * 10**16))
    model.objective, model.maximise = {x: 1}, True
    with SolverPool() as pool:
        answer = pool.solve(name, model, SolveLimits(30))
    assert float(answer.bound or 0) == pytest.approx(10**16 / 4, rel=1e-5), answer
