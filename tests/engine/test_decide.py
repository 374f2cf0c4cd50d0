"""Verdicts on problems whose answers are known by hand, by every kind of decider."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from verifex.engine.decide import decide
from verifex.engine.findings.reasons import ATTACK
from verifex.engine.solve.pool import SolverPool
from verifex.engine.verdict import Outcome, Verdict
from verifex.errors import MissingSolverError
from verifex.ir.formula import FALSE, TRUE, And, AtLeast, Atom, Dominance, Form, Formula, Or
from verifex.ir.graph import Builder, Graph
from verifex.ir.linmap import dense
from verifex.ir.problem import Problem
from verifex.ir.region import Ball, LinearRow, Region
from verifex.semantics.evaluate import evaluate_float
from verifex.semantics.vjp import gradients
from verifex.settings import Settings

F = Fraction
CLAIMED, REFUTED, UNKNOWN = Outcome.CLAIMED, Outcome.REFUTED, Outcome.UNKNOWN

EXACT = ("z3", "cvc5", "regions")
ALONE = {
    name: Settings(seconds=120, solvers=(name,), attack=False, search=False)
    for name in ("highs", "scip", *EXACT)
}
DECIDERS = {**ALONE, "default": Settings(seconds=20)}
TIES = "within its tolerance of a tie"
KINK = "violated only on a kink, where a gate has no value"


@pytest.fixture(scope="module")
def pool() -> Iterator[SolverPool]:
    with SolverPool() as opened:
        yield opened


# --- graphs with known values ---------------------------------------------------------------


def plane(n: int = 2) -> Graph:
    """The inputs themselves."""
    b = Builder()
    x = b.input("x", (n,))
    return b.build({"x": x})


def modulus() -> Graph:
    """f(x) = |x| = relu(x) + relu(-x), with its gradient A in {-1, 1} off zero (0 on it)."""
    b = Builder()
    x = b.input("x", (1,))
    z = b.affine(dense([[1.0], [-1.0]]), x)
    f = b.affine(dense([[1.0, 1.0]]), b.relu(z))
    (a,) = gradients(b, f, [x])
    return b.build({"f": f, "A": a})


def atom(graph: Graph, name: str, coef: int, const: int | Fraction, strict: bool = False) -> Atom:
    """`coef * name[0] + const >= 0` (or > 0)."""
    return Atom(Form.of({(graph.outputs[name], 0): coef}, const), strict)


def box(lo: int | Fraction, hi: int | Fraction, n: int = 1) -> Region:
    return Region((F(lo),) * n, (F(hi),) * n)


def sum_at_most(graph: Graph, bound: Fraction, strict: bool = False) -> Atom:
    x = graph.outputs["x"]
    return Atom(Form.of({(x, 0): -1, (x, 1): -1}, bound), strict)


def ask(problem: Problem, name: str, pool: SolverPool) -> Verdict:
    return decide(problem, DECIDERS[name], pool)


# --- ties -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [*EXACT, "default"])
def test_a_tie_exactly_at_the_threshold(name: str, pool: SolverPool) -> None:
    """|x| <= 2 holds on [-1, 2] and |x| < 2 does not: the maximum is 2."""
    graph = modulus()
    most = Problem(graph, box(-1, 2), atom(graph, "f", -1, 2))
    assert ask(most, name, pool).outcome is CLAIMED
    verdict = ask(replace(most, require=atom(graph, "f", -1, 2, strict=True)), name, pool)
    assert verdict.outcome is REFUTED
    assert verdict.witness is not None
    assert verdict.witness.point == (F(2),)
    assert verdict.witness.margin == 0
    just = ask(replace(most, require=atom(graph, "f", -1, 2 - F(1, 2**60))), name, pool)
    assert just.outcome is REFUTED


@pytest.mark.parametrize("name", ["highs", "scip"])
def test_floats_do_not_decide_a_tie(name: str, pool: SolverPool) -> None:
    graph = modulus()
    # x1 - x2 = 1/3 is reached, and no float holds a third.
    wide = plane()
    x = wide.outputs["x"]
    third = F(1, 3)
    claim = Atom(Form.of({(x, 0): -1, (x, 1): -1}, third))
    region = Region((F(0), F(0)), (F(1), F(1)), (LinearRow({0: F(1), 1: F(1)}, third),))
    verdict = ask(Problem(wide, region, claim), name, pool)
    assert verdict.outcome is UNKNOWN
    assert TIES in verdict.reason
    far = Problem(graph, box(-1, 2), atom(graph, "f", -1, F(21, 10)))
    assert ask(far, name, pool).outcome is CLAIMED


@pytest.mark.parametrize("name", DECIDERS)
def test_strict_and_not_where_the_least_value_is_inside(name: str, pool: SolverPool) -> None:
    """|x| >= 0 holds; |x| > 0 fails at zero only, which is no kink of an attribution."""
    graph = modulus()
    problem = Problem(graph, box(-1, 2), atom(graph, "f", 1, 0))
    assert ask(problem, name, pool).outcome in (CLAIMED, UNKNOWN)
    strict = ask(replace(problem, require=atom(graph, "f", 1, 0, strict=True)), name, pool)
    assert strict.outcome in ((REFUTED, UNKNOWN) if name in ("highs", "scip") else (REFUTED,))
    if strict.witness is not None:
        assert strict.witness.point == (F(0),)


# --- kinks ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", DECIDERS)
def test_a_violation_on_a_kink_alone_is_neither_claimed_nor_refuted(
    name: str, pool: SolverPool
) -> None:
    """|A| >= 1/2 fails at x = 0 only, where the gates may be anything."""
    graph = modulus()
    claim = Or((atom(graph, "A", 1, F(-1, 2)), atom(graph, "A", -1, F(-1, 2))))
    verdict = ask(Problem(graph, box(-1, 2), claim), name, pool)
    assert verdict.outcome is UNKNOWN
    if name in EXACT:
        assert "violated only on a kink" in verdict.reason
    if name in ("z3", "cvc5"):  # these have a point, and it is told why that is no counterexample
        assert verdict.closest is not None
        assert (verdict.closest.point, verdict.closest.on_kink) == ((F(0),), True)
        assert "the closest point violates the claim, but it lies on a kink" in verdict.reason
    off = Problem(graph, box(F(1, 10**9), 2), claim)
    assert ask(off, name, pool).outcome is CLAIMED


@pytest.mark.parametrize("name", DECIDERS)
def test_both_sides_of_a_kink_refute(name: str, pool: SolverPool) -> None:
    graph = modulus()
    for sign in (1, -1):
        verdict = ask(Problem(graph, box(-1, 1), atom(graph, "A", sign, 0)), name, pool)
        assert verdict.outcome is REFUTED
        assert verdict.witness is not None
        assert verdict.witness.point[0] * sign < 0
        assert verdict.witness.replays["exact"] == "violated"


@pytest.mark.parametrize("name", EXACT)
def test_a_gate_that_the_claim_does_not_need_is_avoided_too(name: str, pool: SolverPool) -> None:
    """A witness must be off the kink of every gate of a node that the claim reads."""
    b = Builder()
    x = b.input("x", (2,))
    z = b.affine(dense(np.eye(2)), x)
    f = b.affine(dense([[1.0, 0.0]]), b.relu(z))
    (a,) = gradients(b, f, [x])
    graph = b.build({"A": a})
    problem = Problem(graph, box(-1, 1, 2), atom(graph, "A", 1, -1))
    verdict = ask(problem, name, pool)
    assert verdict.outcome is REFUTED
    assert verdict.witness is not None
    assert all(v != 0 for v in verdict.witness.point)


# --- assumptions ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", DECIDERS)
def test_assumptions_narrow_the_claim(name: str, pool: SolverPool) -> None:
    """x > 1/2 -> A >= 1 holds, without the assumption it does not."""
    graph = modulus()
    x = graph.inputs[0]
    right = Atom(Form.of({(x, 0): 1}, -F(1, 2)), strict=True)
    problem = Problem(graph, box(-1, 2), atom(graph, "A", 1, F(-1, 2)), right)
    assert ask(problem, name, pool).outcome is CLAIMED
    assert ask(replace(problem, assume=TRUE), name, pool).outcome is REFUTED


def test_a_vacuous_assumption_is_said_to_be_so(pool: SolverPool) -> None:
    graph = modulus()
    never = Atom(Form.of({(graph.inputs[0], 0): 1}, -3))
    verdict = decide(Problem(graph, box(-1, 2), FALSE, never), Settings(), pool)
    assert verdict.outcome is CLAIMED
    assert any("vacuous" in note for note in verdict.notes)


@pytest.mark.parametrize("name", [*EXACT, "default"])
def test_an_assumption_that_only_arithmetic_finds_empty(name: str, pool: SolverPool) -> None:
    """relu(x) + relu(-x) < 0 nowhere; bounds of |x| = 2 relu(x) - x alone do not see it."""
    b = Builder()
    x = b.input("x", (1,))
    graph = b.build({"x": x, "m": b.absolute(x)})
    never = atom(graph, "m", -1, 0, strict=True)
    verdict = ask(Problem(graph, box(-1, 2), atom(graph, "x", 1, -9), never), name, pool)
    assert verdict.outcome is CLAIMED


@pytest.mark.parametrize("name", [*EXACT, "default"])
def test_an_empty_region_makes_every_claim_hold(name: str, pool: SolverPool) -> None:
    graph = plane()
    rows = (LinearRow({0: F(1), 1: F(1)}, F(-1)),)
    region = Region((F(0), F(0)), (F(1), F(1)), rows)
    verdict = ask(Problem(graph, region, sum_at_most(graph, F(-5))), name, pool)
    assert verdict.outcome is CLAIMED


# --- constant claims ------------------------------------------------------------------------


@pytest.mark.parametrize("name", DECIDERS)
@pytest.mark.parametrize("claim", [TRUE, FALSE, AtLeast(1, ()), AtLeast(0, ()), Atom(Form.of({}))])
def test_constant_claims(claim: Formula, name: str, pool: SolverPool) -> None:
    """They read nothing; a false one is refuted by any point of the region."""
    graph = modulus()
    verdict = ask(Problem(graph, box(-1, 2), claim), name, pool)
    true = claim in (TRUE, AtLeast(0, ()), Atom(Form.of({})))
    assert verdict.outcome is (CLAIMED if true else REFUTED)


# --- what cuts a box ------------------------------------------------------------------------


@pytest.mark.parametrize("name", [*EXACT, "default"])
def test_linear_rows_bind_exactly(name: str, pool: SolverPool) -> None:
    graph, third = plane(), F(1, 3)
    region = Region((F(0), F(0)), (F(1), F(1)), (LinearRow({0: F(1), 1: F(1)}, third),))
    assert ask(Problem(graph, region, sum_at_most(graph, third)), name, pool).outcome is CLAIMED
    strict = ask(Problem(graph, region, sum_at_most(graph, third, True)), name, pool)
    assert strict.outcome is REFUTED
    assert strict.witness is not None
    assert sum(strict.witness.point) == third


@pytest.mark.parametrize("name", DECIDERS)
def test_integer_features_take_whole_numbers(name: str, pool: SolverPool) -> None:
    """|2x - 1| >= 1 for whole x; at x = 1/2 it is 0."""
    b = Builder()
    x = b.input("x", (1,))
    m = b.absolute(b.affine(dense([[2.0]]), x, np.array([-1.0])))
    graph = b.build({"m": m})
    claim = atom(graph, "m", 1, F(-9, 10))
    whole = replace(box(-2, 2), integers=frozenset({0}))
    assert ask(Problem(graph, whole, claim), name, pool).outcome is CLAIMED
    assert ask(Problem(graph, box(-2, 2), claim), name, pool).outcome is REFUTED


@pytest.mark.parametrize("name", DECIDERS)
def test_exactly_one_of_a_group_is_one(name: str, pool: SolverPool) -> None:
    graph = plane()
    x = graph.outputs["x"]
    one = Form.of({(x, 0): 1, (x, 1): 1}, F(-99, 100))
    claim = And((Atom(one), Atom(Form((-one).terms, F(101, 100)))))
    group = replace(box(0, 1, 2), one_hot=((0, 1),))
    assert ask(Problem(graph, group, claim), name, pool).outcome is CLAIMED
    assert ask(Problem(graph, box(0, 1, 2), claim), name, pool).outcome is REFUTED


@pytest.mark.parametrize("name", [*EXACT, "default"])
def test_an_l1_ball_has_its_corners(name: str, pool: SolverPool) -> None:
    """x1 + x2 <= 1 in the unit l1 ball, with equality on an edge."""
    graph = plane()
    region = replace(box(-2, 2, 2), balls=(Ball("l1", (0, 1), (F(0), F(0)), F(1)),))
    assert ask(Problem(graph, region, sum_at_most(graph, F(1))), name, pool).outcome is CLAIMED
    below = Problem(graph, region, sum_at_most(graph, 1 - F(1, 10**12)))
    assert ask(below, name, pool).outcome is REFUTED


ROUND = replace(box(-2, 2, 2), balls=(Ball("l2", (0, 1), (F(0), F(0)), F(1)),))


@pytest.mark.parametrize("name", ["highs", "scip", "z3", "cvc5", "default"])
def test_an_l2_ball_is_sound_everywhere(name: str, pool: SolverPool) -> None:
    """x1 + x2 <= sqrt 2 in the unit disc. The polytope around it touches the disc there."""
    graph = plane()
    over = Problem(graph, ROUND, sum_at_most(graph, F(14143, 10000)))
    assert ask(over, name, pool).outcome is CLAIMED
    under = ask(Problem(graph, ROUND, sum_at_most(graph, F(14142, 10000))), name, pool)
    assert under.outcome is not CLAIMED
    if under.witness is not None:
        assert sum(v * v for v in under.witness.point) <= 1


def test_a_polytope_does_not_refute(pool: SolverPool) -> None:
    """x1 <= 1.01 in the unit disc: HiGHS only sees the square around it, and says so."""
    graph = plane()
    claim = Atom(Form.of({(graph.outputs["x"], 0): -1}, F(101, 100)))
    problem = Problem(graph, ROUND, claim)
    verdict = ask(problem, "highs", pool)
    assert verdict.outcome is UNKNOWN
    assert any("polytope" in note for note in verdict.notes)
    assert ask(problem, "scip", pool).outcome is CLAIMED


def test_regions_refuse_an_l2_ball_by_name(pool: SolverPool) -> None:
    graph = plane()
    verdict = ask(Problem(graph, ROUND, sum_at_most(graph, F(3, 2))), "regions", pool)
    assert verdict.outcome is UNKNOWN
    assert "l2" in verdict.reason


# --- reasons --------------------------------------------------------------------------------


def test_what_a_solver_cannot_take_is_named(pool: SolverPool) -> None:
    b = Builder()
    x = b.input("x", (2,))
    graph = b.build({"t": b.univariate("tanh", x, "squash"), "m": b.mul(x, b.relu(x), "product")})
    smooth = Problem(graph, box(-1, 1, 2), atom(graph, "t", -1, F(1, 2)))
    verdict = ask(smooth, "highs", pool)
    assert verdict.outcome is UNKNOWN
    assert "squash" in verdict.reason
    assert "tanh" in verdict.reason
    product = Problem(graph, box(-1, 1, 2), atom(graph, "m", -1, F(1, 2)))
    assert "product of two variables" in ask(product, "highs", pool).reason
    assert ask(product, "z3", pool).outcome is REFUTED
    assert ask(replace(product, require=atom(graph, "m", -1, F(101, 100))), "scip",
               pool).outcome is CLAIMED


def test_no_time_is_a_reason(pool: SolverPool) -> None:
    graph = modulus()
    problem = Problem(graph, box(-1, 2), atom(graph, "f", -1, 2))
    verdict = decide(problem, Settings(seconds=0, attack=False), pool)
    assert verdict.outcome is UNKNOWN
    assert "out of time after 0 s" in verdict.reason


def test_a_solver_that_does_not_exist_is_an_error(pool: SolverPool) -> None:
    graph = modulus()
    problem = Problem(graph, box(-1, 2), atom(graph, "f", -1, 2))
    with pytest.raises(MissingSolverError, match="nonsense"):
        decide(problem, Settings(solvers=("nonsense",), attack=False, search=False), pool)


# --- verdicts -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", DECIDERS)
def test_bounds_enclose_the_worst_margin(name: str, pool: SolverPool) -> None:
    """The worst margin of |x| <= 3 on [-1, 2] is 1."""
    graph = modulus()
    verdict = ask(Problem(graph, box(-1, 2), atom(graph, "f", -1, 3)), name, pool)
    assert verdict.outcome is CLAIMED
    assert verdict.margin_low is not None
    assert verdict.margin_low <= 1
    assert verdict.margin_claimed is None or verdict.margin_claimed <= 1 + 1e-6
    assert verdict.margin_high is None or verdict.margin_high >= 1


def test_claims_that_bounds_settle_in_part_state_no_more_than_holds(pool: SolverPool) -> None:
    """The worst margin of `x + 1.1 >= 0 and |x| <= 3` on [-1, 2] is 0.1, by its first part."""
    graph = modulus()
    near = Atom(Form.of({(graph.inputs[0], 0): 1}, F(11, 10)))
    problem = Problem(graph, box(-1, 2), And((near, atom(graph, "f", -1, F(5, 2)))))
    for name in ("highs", "scip"):
        verdict = ask(problem, name, pool)
        assert verdict.outcome is CLAIMED
        assert verdict.margin_claimed is None or verdict.margin_claimed <= 0.1 + 1e-6


def test_verdicts_as_json(pool: SolverPool) -> None:
    graph = modulus()
    claim = atom(graph, "f", -1, F(4, 3))
    problem = Problem(graph, box(-1, 2), claim, name="modulus", notes=("a note",))
    data = json.loads(json.dumps(ask(problem, "z3", pool).to_json(), allow_nan=False))
    assert data["outcome"] == "refuted"
    assert data["name"] == "modulus"
    assert data["notes"] == ["a note"]
    assert data["evidence"][0] == "z3"
    witness = data["witness"]
    x = F(witness["point_exact"][0])
    assert F(4, 3) < abs(x) <= 2
    assert data["worst_margin"]["attained"] == witness["margin"] == float(F(4, 3) - abs(x))
    assert witness["values"]["f"] == [float(abs(x))]
    assert [stage for stage, _, _ in data["steps"]] == ["bounds", "z3"]
    claimed = ask(replace(problem, require=TRUE), "default", pool)
    assert claimed.exit_code == 2
    assert json.loads(json.dumps(claimed.to_json()))["witness"] is None


@pytest.mark.parametrize(("size", "climbs"), [(40, True), (10, False)])
def test_many_inputs_are_attacked_with_gradients(
    size: int, climbs: bool, pool: SolverPool
) -> None:
    """sum |x_i - 3/8| is small near one point only, far from corners, centre and random points."""
    b = Builder()
    x = b.input("x", (size,))
    eye, at = np.eye(size), np.full(size, 0.375)
    parts = [b.relu(b.affine(dense(eye * s), x, bias=-s * at)) for s in (1.0, -1.0)]
    y = b.affine(dense(np.ones((1, size))), b.sum(parts))
    least = Fraction(size, 32)
    problem = Problem(
        b.build({"y": y}), Region((Fraction(0),) * size, (Fraction(1),) * size),
        Atom(Form.of({(y, 0): 1}, -least)),
    )
    verdict = decide(problem, Settings(seconds=20, solvers=()), pool)
    assert verdict.outcome is Outcome.REFUTED
    first = next(step for step in verdict.steps if step.stage == ATTACK)
    assert (first.result == "witness") == climbs


# --- nothing is left out in silence -------------------------------------------------------------


def test_thousands_of_comparisons_are_searched_in_parts() -> None:
    """Top-20 of 300 components: 5,600 pairs, more than are bounded at once."""
    rng = np.random.default_rng(0)
    b = Builder()
    x = b.input("x", (300,))
    h = b.relu(b.affine(dense(rng.normal(size=(8, 300))), x, rng.normal(size=8)))
    (a,) = gradients(b, b.affine(dense(rng.normal(size=(1, 8))), h), [x])
    graph = b.build({"A": a})
    order = np.argsort(-evaluate_float(graph, np.zeros((1, 300)), [a])[a].reshape(-1)).tolist()
    claim = Dominance(a, tuple(order[:20]), tuple(order[20:]), outer=20, inner=280)
    for reach, outcome in ((F(1, 10**6), Outcome.CLAIMED), (F(1), Outcome.REFUTED)):
        problem = Problem(graph, box(-reach, reach, 300), claim)
        assert decide(problem, Settings(attack=False, solvers=())).outcome is outcome
