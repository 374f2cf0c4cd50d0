"""Leaves closed in exact arithmetic: claims that hold with a margin of zero, or of hardly any."""

from __future__ import annotations

import itertools
import random
from dataclasses import replace
from fractions import Fraction
from functools import cache

import numpy as np
import pytest

from tests.helpers.exact_proofs import Domain, UndecidedError, verify
from tests.helpers.gradient_nets import network
from tests.helpers.marks import first_quick
from tests.helpers.questions import question
from tests.helpers.small_nets import relu_net
from verifex.engine.bounds.exact.forms import ExactForms
from verifex.engine.bounds.exact.lp import AffineRow, minimise_exactly
from verifex.engine.bounds.exact.nodes import NodeForm, gate_form, mul_form, step_form
from verifex.engine.bounds.layout import Layout
from verifex.engine.budget import Budget
from verifex.engine.decide import decide
from verifex.engine.findings.reasons import EvidenceKind
from verifex.engine.search.claims import decide_search
from verifex.engine.search.gates.policy import SearchOptions
from verifex.engine.search.inputs.search import decide_inputs
from verifex.engine.verdict import Outcome
from verifex.errors import UnsupportedError
from verifex.ir.exact import ExactArray
from verifex.ir.formula import And, Atom, Dominance, Form, Or
from verifex.ir.graph import Builder
from verifex.ir.linmap import dense
from verifex.ir.model.solving import Status
from verifex.ir.problem import Objective, Problem
from verifex.ir.region import LinearRow, Region
from verifex.semantics.evaluate import evaluate_exact
from verifex.semantics.vjp import gradients
from verifex.settings import Settings
from verifex.solvers import regions

ask = cache(question)
TINY = Fraction(1, 2**60)
FEW = SearchOptions(max_domains=2000)


def budget() -> Budget:
    return Budget(30.0, 1 << 30, 1)


def never() -> bool:
    return False


# --- programs ---------------------------------------------------------------------------------


def _row(rng: random.Random, size: int, most: int) -> AffineRow:
    return AffineRow(
        [Fraction(rng.randint(-4, 4), rng.randint(1, 3)) for _ in range(size)],
        Fraction(rng.randint(-most, 3 * most), 4))


def test_programs_have_their_point_and_their_multipliers() -> None:
    """Each proves the other best: a point that attains what the multipliers show to be least."""
    rng, empty = random.Random(0), 0
    for _ in range(200):
        size, count = rng.randint(1, 6), rng.randint(0, 8)
        lo = tuple(Fraction(rng.randint(-5, 0)) for _ in range(size))
        hi = tuple(a + Fraction(rng.randint(0, 9), 3) for a in lo)
        rows, cost = [_row(rng, size, 3) for _ in range(count)], _row(rng, size, 2)
        found = minimise_exactly(cost, rows, lo, hi, never)
        assert found is not None
        assert min(found.duals, default=0) >= 0
        start = AffineRow([Fraction(0)] * size, Fraction(0)) if found.value is None else cost
        pairs = list(zip(found.duals, rows, strict=True))
        coefs = [c - sum(d * row.coefs[i] for d, row in pairs) for i, c in enumerate(start.coefs)]
        const = start.const - sum(d * row.const for d, row in pairs)
        least = const + sum(min(c * a, c * b) for c, a, b in zip(coefs, lo, hi, strict=True))
        if found.value is None:
            assert least > 0  # no point has all rows >= 0
            empty += 1
            continue
        assert found.point is not None
        assert least == found.value == cost.value(found.point)
        assert all(row.value(found.point) >= 0 for row in rows)
        assert all(a <= v <= b for a, v, b in zip(lo, found.point, hi, strict=True))
    assert 20 <= empty <= 180


def test_a_program_ends_with_its_time() -> None:
    one = AffineRow([Fraction(1)], Fraction(0))
    wanted = AffineRow([Fraction(1)], Fraction(-1, 2))
    ends = (Fraction(0),), (Fraction(1),)
    assert minimise_exactly(one, [wanted], *ends, lambda: True) is None


# --- forms ------------------------------------------------------------------------------------


@pytest.mark.parametrize("block", first_quick(range(4)))
def test_forms_are_the_values_at_points_of_the_domain(block: int) -> None:
    """At a point off all kinks, with the signs that its units have there."""
    met = 0
    for seed in range(3000 + 10 * block, 3010 + 10 * block):
        problem = ask(seed).problem
        layout = Layout(problem.graph, tuple(problem.targets()))
        rng = random.Random(seed)
        lo, hi = problem.region.lo, problem.region.hi
        x = [a + (b - a) * Fraction(rng.randint(1, 99), 100) for a, b in zip(lo, hi, strict=True)]
        values = evaluate_exact(problem.graph, x, layout.order)
        signs = np.zeros(layout.gates, dtype=np.int8)
        for z, at in layout.offsets.items():
            signs[at : at + values[z].num.size] = np.sign(values[z].num.ravel().astype(float))
        domain = ExactForms(layout).over(lo, hi, signs)
        inner = [x[i] for i in domain.free]
        plain = Domain(problem, list(lo), list(hi), {
            layout.name(g): int(s) for g, s in enumerate(signs) if s}).decided()
        for i in layout.order:
            for k, exact in enumerate(values[i].fractions()):
                assert plain.ends((i, k))[0] <= exact <= plain.ends((i, k))[1]
                form = domain.of(Form.of({(i, k): 1}))
                if form is not None:
                    met += 1
                    assert form.value(inner) == exact
                    wanted = plain.form((i, k))
                    assert [wanted.get(j, 0) for j in domain.free] == list(form.coefs)
                else:
                    with pytest.raises(UndecidedError):
                        plain.least(plain.form((i, k)))
    assert met > 200


def test_a_gate_at_zero_is_not_decided() -> None:
    b = Builder()
    x = b.input("x", (1,))
    y = b.relu(x)
    (g,) = gradients(b, y, [x])
    layout = Layout(b.build(), (y, g))
    ends = (Fraction(0),), (Fraction(1),)
    domain = ExactForms(layout).over(*ends, np.zeros(1, dtype=np.int8))
    assert domain.of(Form.of({(y, 0): 1})) == AffineRow([Fraction(1)], Fraction(0))
    assert domain.of(Form.of({(g, 0): 1})) is None
    assert domain.undecided([(g, 0)]) == 0
    domain = ExactForms(layout).over(*ends, np.ones(1, dtype=np.int8))
    assert domain.of(Form.of({(g, 0): 1})) == AffineRow([Fraction(0)], Fraction(1))


# --- claims -----------------------------------------------------------------------------------


def _relu(scale: Fraction) -> tuple[Builder, int]:
    b, _, h = relu_net([([[1.0]], [0.0])])
    return b, b.scaled(b.relu(h), scale)


def _unit(size: int = 1, low: Fraction = Fraction(0)) -> Region:
    return Region((low,) * size, (Fraction(1),) * size)


@pytest.mark.parametrize("scale", [Fraction(1), Fraction(1, 3)], ids=["1", "1/3"])
def test_a_unit_is_at_most_its_maximum(scale: Fraction) -> None:
    b, y = _relu(scale)
    problem = Problem(b.build(), _unit(), Or(()))
    for shift, strict, holds in (
        (Fraction(0), False, True), (Fraction(0), True, False), (TINY, True, True),
        (-TINY, False, False),
    ):
        claim = Atom(Form.of({(y, 0): -1}, scale + shift), strict)
        asked = replace(problem, require=claim)
        by_gates, by_inputs = decide_search(asked, budget(), FEW), decide_inputs(asked, budget())
        for found in (by_gates, by_inputs):
            assert (found.closed is not None) == holds
            assert (found.witness is not None) == (not holds)
            if found.closed is not None:
                assert verify(asked, found.closed) >= 1


def test_a_tie_is_claimed_without_a_solver() -> None:
    b, y = _relu(Fraction(1))
    problem = Problem(b.build(), _unit(), Atom(Form.of({(y, 0): -1}, 1)))
    verdict = decide(problem, Settings(solvers=(), search=True))
    assert verdict.outcome is Outcome.CLAIMED
    assert {e.kind for e in verdict.evidence} <= {
        EvidenceKind.BOXES_CLOSED, EvidenceKind.LEAVES_CLOSED}


@pytest.mark.parametrize("seed", first_quick(range(12), 3))
def test_thresholds_at_the_exact_worst_case(seed: int) -> None:
    """Held at the worst case, and beyond it by 2^-60; violated before it by as much."""
    widths = ((2, 6, 1), (3, 6, 5, 1), (2, 5, 5, 4, 1), (4, 8, 2))[seed % 4]
    rng = np.random.default_rng(seed)
    b, _, h = relu_net([
        (rng.integers(-64, 65, (n, m)) / 64, rng.integers(-32, 33, n) / 64)
        for m, n in itertools.pairwise(widths)])
    region = _unit(widths[0], Fraction(-1, 3))
    if seed % 3 == 2:
        cut = LinearRow({0: Fraction(2), 1: Fraction(1)}, Fraction(1, 7))
        region = replace(region, rows=(cut,))
    form = Form.of({(h, 0): 1} if widths[-1] == 1 else {(h, 0): 1, (h, 1): -1})
    problem = Problem(b.build(), region, Or((Atom(form),)))
    worst = regions.optimum(problem, Objective(form, False), 60.0).bound
    assert worst is not None
    met = 0
    for shift in (Fraction(0), TINY, -TINY):
        asked = replace(
            problem, require=Atom(Form(form.terms, shift - Fraction(worst)), shift > 0))
        for found in (decide_search(asked, budget(), FEW), decide_inputs(asked, budget())):
            assert (found.closed is not None) == (shift >= 0), shift
            assert (found.witness is not None) == (shift < 0), shift
            if found.closed is not None:
                met += verify(asked, found.closed)
    assert met >= 4


@pytest.mark.parametrize("seed", first_quick(range(8), 2))
def test_components_of_gradients_at_their_worst(seed: int) -> None:
    b, _, (logit, gradient), region = network(seed, (3, 4, 4, 1))
    form = Form.of({(gradient, seed % 3): 1 if seed % 2 else -1})
    problem = Problem(b.build({"f": logit, "g": gradient}), region, Or((Atom(form),)))
    worst = regions.optimum(problem, Objective(form, False), 60.0).bound
    assert worst is not None
    for shift in (Fraction(0), TINY):
        asked = replace(problem, require=Atom(Form(form.terms, shift - Fraction(worst))))
        found = decide_search(asked, budget(), FEW)
        assert found.closed is not None
        assert not found.stats.ties
        verify(asked, found.closed)
    asked = replace(problem, require=Atom(Form(form.terms, -TINY - Fraction(worst))))
    assert decide_search(asked, budget(), FEW).closed is None


@pytest.mark.parametrize("block", first_quick(range(12)))
def test_questions_near_the_edge_agree_with_enumeration(block: int) -> None:
    bounds = 0
    for seed in range(3400 + 10 * block, 3410 + 10 * block):
        asked = ask(seed)
        problem, truth = asked.problem, regions.decide(asked.problem, 20.0)
        region = problem.region
        kinky = "kink" in truth.note
        by_gates = decide_search(problem, budget(), FEW)
        closed = by_gates.closed if not by_gates.stats.ties else None
        plain = not (region.balls or region.integers or region.one_hot)
        try:
            by_inputs = decide_inputs(problem, budget())
        except UnsupportedError:
            by_inputs = None
        if truth.status is Status.INFEASIBLE:
            assert closed is not None or not plain, asked.description
            assert by_gates.witness is None
            assert by_inputs is None or by_inputs.witness is None
        else:
            assert closed is None, asked.description
            assert by_inputs is None or by_inputs.closed is None, asked.description
            assert by_gates.witness is not None or kinky or not plain, asked.description
        for found in (closed, None if by_inputs is None else by_inputs.closed):
            if found is not None:
                bounds += verify(problem, found)
    assert bounds or block > 0


def test_what_cancels_does_not_matter() -> None:
    """Two outputs that are the same sum of units: no unit has to be decided."""
    b, _, h = relu_net([([[1.0, 2.0], [-1.0, 1.0], [3.0, -1.0]], [0.25, 0.5, -0.25])])
    twice = b.affine(dense([[1.0, 3.0, 0.5], [1.0, 3.0, 0.5]]), b.relu(h), np.array([0.5, 0.5]))
    claim = Atom(Form.of({(twice, 0): 1, (twice, 1): -1}))
    asked = Problem(b.build(), _unit(2, Fraction(-1)), claim)
    layout = Layout(asked.graph, (twice,))
    domain = ExactForms(layout).over(asked.region.lo, asked.region.hi, np.zeros(3, dtype=np.int8))
    assert domain.of(claim.form) == AffineRow([Fraction(0)] * 2, Fraction(0))
    assert domain.of(Form.of({(twice, 0): 1, (twice, 1): -2})) is None
    found = decide_search(asked, budget(), FEW)
    assert found.closed is not None
    assert not found.stats.ties


def _square() -> tuple[Problem, int]:
    """Outputs x, max(x, y) and their mean over the unit square: equal on half of it."""
    b = Builder()
    x = b.input("x", (2,))
    h = b.relu(b.affine(dense([[1.0, 0.0], [-1.0, 1.0]]), x))
    out = b.affine(dense([[1.0, 0.0], [1.0, 1.0], [1.0, 0.5]]), h)
    return Problem(b.build(), _unit(2), Or(())), out


@pytest.mark.parametrize(("claim", "holds"), [
    (lambda out: Atom(Form.of({(out, 1): 1, (out, 0): -1})), True),
    (lambda out: Atom(Form.of({(out, 1): 1, (out, 0): -1}), True), False),
    (lambda out: And(tuple(Atom(Form.of({(out, 1): 1, (out, k): -1})) for k in (0, 2))), True),
    (lambda out: Dominance(out, (1, 2), (0,), 2, 1, False), True),
    (lambda out: Dominance(out, (1, 2), (0,), 1, 1, True), False),
    (lambda out: Dominance(out, (1,), (0, 2), 1, 2, False), True),
], ids=["class", "strict class", "both", "top two", "strict top two", "top"])
def test_ties_of_classes_and_of_the_top(claim: object, holds: bool) -> None:
    problem, out = _square()
    assert callable(claim)
    asked = replace(problem, require=claim(out))
    for found in (decide_search(asked, budget(), FEW), decide_inputs(asked, budget())):
        assert (found.closed is not None) == holds
        assert (found.witness is not None) == (not holds)
        if found.closed is not None:
            assert verify(asked, found.closed) >= 1


@pytest.mark.parametrize(("gap", "holds"), [(TINY, True), (Fraction(0), True), (-TINY, False)],
                         ids=["apart", "touching", "overlapping"])
def test_atoms_that_exclude_each_other_by_nothing(gap: Fraction, holds: bool) -> None:
    """`assume q >= v, require q >= v - gap`, with q on both sides of v."""
    problem, out = _square()
    v = Fraction(7, 11)
    terms = {(out, 0): 1, (out, 1): Fraction(1, 3)}
    asked = replace(
        problem, assume=Atom(Form.of(terms, -v)), require=Atom(Form.of(terms, gap - v)))
    found = decide_search(asked, budget(), FEW)
    assert (found.closed is not None) == holds
    assert (found.witness is not None) == (not holds)
    if found.closed is not None:
        assert verify(asked, found.closed) >= 1
        assert any(b.exact and b.more for n in found.closed.proof.nodes for b in n.bounds)


def test_what_is_violated_on_a_kink_only_is_not_closed() -> None:
    b = Builder()
    x = b.input("x", (1,))
    y = b.relu(x)
    (g,) = gradients(b, y, [x])
    asked = Problem(b.build(), _unit(), Atom(Form.of({(g, 0): 1}, -1)))  # but 0 at x = 0
    found = decide_search(asked, budget(), FEW)
    assert found.closed is None or found.stats.ties
    assert found.witness is None


@pytest.mark.parametrize("shape", [(), (1,), (2,)])
def test_numbers_longer_than_the_machine_s_are_multiplied(shape: tuple[int, ...]) -> None:
    """Of single numbers (shape ()) numpy makes machine integers, if it is let."""
    long = 10**40

    def node(value: int, is_open: bool = False) -> NodeForm:
        ends = ExactArray(np.full((1, *shape), value, dtype=object))
        forms = np.zeros((2, *shape), dtype=object)
        forms[0] = value
        return NodeForm(ExactArray(forms), np.full(shape, is_open), ends, ends)

    product = mul_form(node(long), node(3), same=False)
    assert product.low.num.ravel().tolist() == [3 * long] * int(np.prod(shape))
    assert not product.open.any()
    gate = gate_form(step_form(node(1), np.ones(shape, dtype=np.int8)), node(long))
    assert gate.high.num.ravel().tolist() == [long] * int(np.prod(shape))
