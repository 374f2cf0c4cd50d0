"""Branch and bound over whole numbers and one-hot groups, against enumeration.

The reference enumerates all values of the whole features and all cells of the network in exact
arithmetic (`verifex.solvers.regions`); it shares nothing with the searches.
"""

from __future__ import annotations

import itertools
import os
from dataclasses import replace
from fractions import Fraction
from functools import cache

import numpy as np
import pytest

from tests.helpers.marks import first_quick
from tests.helpers.whole_nets import (
    KINDS,
    WholeQuestion,
    assignments,
    fixed,
    whole_question,
)
from verifex.engine.bounds.bounder import Effort
from verifex.engine.bounds.optimise import TorchBounder
from verifex.engine.budget import Budget
from verifex.engine.decide import decide
from verifex.engine.ranges import find_range
from verifex.engine.search.claims import decide_search
from verifex.engine.search.extrema import minima
from verifex.engine.search.gates.domains import whole as whole_domains
from verifex.engine.search.gates.search import SearchOptions
from verifex.engine.search.inputs.search import decide_inputs
from verifex.engine.search.record import Closed, ProofNode
from verifex.engine.search.start import linear_rows
from verifex.engine.verdict import Outcome
from verifex.errors import UnsupportedError
from verifex.ir.formula import TRUE, And, Atom, Form, Formula, atoms, fold
from verifex.ir.graph import Builder
from verifex.ir.linmap import dense
from verifex.ir.model.solving import Status
from verifex.ir.problem import Objective, Problem
from verifex.ir.region import LinearRow, Region
from verifex.semantics.evaluate import evaluate_float
from verifex.semantics.linear import Rows
from verifex.semantics.parameters import REGION_ROWS
from verifex.semantics.support.whole import WholeFeatures, propagate
from verifex.settings import Settings
from verifex.solvers import regions

F = Fraction
ask = cache(whole_question)
LIMIT = SearchOptions(max_domains=20_000)
ALONE = Settings(seconds=30.0, solvers=())
BLOCKS = first_quick(range(20), 5)


def budget() -> Budget:
    return Budget(60.0, 1 << 32, 1)


def questions(block: int) -> list[WholeQuestion]:
    """Eight questions, two of each kind."""
    return [ask(seed) for seed in range(8 * block, 8 * block + 8)]


# --- verdicts -------------------------------------------------------------------------------------


@pytest.mark.parametrize("block", BLOCKS)
def test_the_search_alone_decides_what_enumeration_decides(block: int) -> None:
    for asked in questions(block):
        truth = regions.decide(asked.problem, 60.0).status
        outcome = decide(asked.problem, ALONE).outcome
        if outcome is not Outcome.UNKNOWN:
            right = Status.OPTIMAL if outcome is Outcome.REFUTED else Status.INFEASIBLE
            assert truth is right
        # Ties are left to exact arithmetic, and what is violated on kinks only has no answer.
        assert outcome is not Outcome.UNKNOWN or asked.tie or truth is Status.UNKNOWN


@pytest.mark.parametrize("block", BLOCKS)
def test_ties_leave_no_leaf_open(block: int) -> None:
    """What holds with equality is marked, for exact arithmetic, and everything else is closed."""
    for asked in questions(block):
        if not asked.tie or regions.decide(asked.problem, 60.0).status is not Status.INFEASIBLE:
            continue
        found = decide_search(asked.problem, budget(), LIMIT)
        assert found.witness is None
        assert found.closed is not None


@pytest.mark.parametrize("block", BLOCKS)
def test_the_search_over_inputs_agrees(block: int) -> None:
    for asked in questions(block):
        truth = regions.decide(asked.problem, 60.0).status
        try:
            found = decide_inputs(asked.problem, Budget(2.0, 1 << 32, 1))
        except UnsupportedError:
            continue  # it is about a gradient
        assert found.witness is None or truth is Status.OPTIMAL
        if found.closed is not None:
            assert truth is Status.INFEASIBLE
            check_tree(asked.problem, found.closed)


def test_the_kinds_are_all_there() -> None:
    assert {asked.kind for asked in questions(0)} == set(KINDS)


# --- proofs ---------------------------------------------------------------------------------------


def node_regions(problem: Problem, closed: Closed) -> list[tuple[Region, list[Atom]] | None]:
    """What every node of a proof is about: its box, and the signs of gates as strict atoms (their
    closure is what a bound speaks of); None where one-hot groups leave nothing."""
    found: list[tuple[Region, list[Atom]] | None] = []
    for node in closed.proof.nodes:
        if node.parent < 0:
            found.append((problem.region, []))
            continue
        above = found[node.parent]
        found.append(None if above is None else below(closed, node, *above))
    return found


def below(
    closed: Closed, node: ProofNode, region: Region, signs: list[Atom]
) -> tuple[Region, list[Atom]] | None:
    """The same for a child of a node with this region and these signs."""
    lo, hi = list(region.lo), list(region.hi)
    first = is_first(closed, node)
    if node.gate is not None:
        z, k = closed.layout.name(node.gate)
        assert node.sign == (1 if first else -1)
        return region, [*signs, Atom(Form.of({(z, k): node.sign}), strict=True)]
    assert node.dimension is not None
    side, at = node.dimension, F(node.at)
    if not node.whole:
        assert side not in region.integers
        assert all(side not in group for group in region.one_hot)
    if first:
        lo[side] = max(lo[side], at + node.whole)
    else:
        hi[side] = min(hi[side], at)
    assert not node.whole or at.denominator == 1
    if lo[side] > hi[side]:
        return None
    return replace(region, lo=tuple(lo), hi=tuple(hi)), signs


def is_first(closed: Closed, node: ProofNode) -> bool:
    """Whether a node is the first child of its parent."""
    children = closed.proof.nodes[node.parent].children
    assert children is not None
    return closed.proof.nodes[children[0]] is node


def false_without(formula: Formula, false: set[Atom]) -> bool:
    """Whether a formula is false once some atoms are, whatever the others may be."""
    truth: bool = fold(
        formula, lambda atom: atom not in false,
        lambda junction, parts: sum(parts) >= junction.needed)
    return not truth


def check_tree(problem: Problem, closed: Closed) -> int:
    """Every point lies in a leaf, and every leaf is closed by what its path bounds, or has no
    point. Returns the number of whole splits."""
    nodes = closed.proof.nodes
    about = node_regions(problem, closed)
    violation = problem.violation()
    for k, node in enumerate(nodes):
        here = about[k]
        if node.children is not None:
            one, two = (nodes[c] for c in node.children)
            assert one.parent == two.parent == k
            assert (one.gate, one.dimension, one.at, one.whole) == (
                two.gate, two.dimension, two.at, two.whole)
            if one.whole and here is not None:
                parts = [about[c] for c in node.children]
                left = [list(assignments(p[0])) if p is not None else [] for p in parts]
                whole = list(assignments(here[0]))
                assert len(left[0]) + len(left[1]) == len(whole)
            continue
        assert node.closed
        if here is None or not list(assignments(here[0])):
            continue
        false, path, empty = set[Atom](), k, False
        while path >= 0:
            for bound in nodes[path].bounds:
                if bound.row < 0:
                    empty = True
                elif not bound.more:
                    false.add(closed.atoms[bound.row])
            path = nodes[path].parent
        inside = replace(problem, region=here[0], assume=And(tuple(here[1])))
        known = {a for a in atoms(violation) if a not in closed.atoms}
        if empty or not false_without(violation, false | known):
            # No bounds of single atoms close it: it has no point, or atoms exclude each other.
            assert regions.decide(inside, 60.0).status is Status.INFEASIBLE
    return sum(n.whole for n in nodes) // 2


def check_bounds(problem: Problem, closed: Closed) -> int:
    """Every bound in the tree holds on its node, by the exact least value there. Returns how many
    were looked at."""
    count = 0
    about = node_regions(problem, closed)
    for node, here in zip(closed.proof.nodes, about, strict=True):
        if here is None:
            continue
        inside = replace(problem, region=here[0], assume=And(tuple(here[1])))
        for bound in node.bounds:
            form = Form.of({}) if bound.row < 0 else -closed.atoms[bound.row].form
            for row, factor in bound.more.items():
                more = -closed.atoms[row].form
                terms = {cell: F(factor) * c for cell, c in more.terms}
                for cell, c in form.terms:
                    terms[cell] = terms.get(cell, F(0)) + c
                form = Form.of(terms, form.const + F(factor) * more.const)
            if not form.terms:
                least = regions.decide(replace(inside, require=Atom(Form.of({}, -1))), 60.0)
                assert least.status is Status.INFEASIBLE  # no point at all
                continue
            least = regions.optimum(inside, Objective(form, False), 60.0)
            if least.status is Status.OPTIMAL and least.bound is not None:
                assert least.bound >= F(bound.value) - F(1, 10**9)
                count += 1
    return count


@pytest.mark.parametrize("block", BLOCKS)
def test_proofs_are_complete_and_their_bounds_hold(block: int) -> None:
    looked = splits = 0
    for asked in questions(block):
        found = decide_search(asked.problem, budget(), LIMIT)
        if found.closed is None or not found.closed.proof.nodes:
            continue
        assert not found.closed.proof.open
        splits += check_tree(asked.problem, found.closed)
        if len(found.closed.proof.nodes) <= 60:
            looked += check_bounds(asked.problem, found.closed)
    assert (looked and splits) or block > 0  # of few questions all may close at the root


@pytest.mark.parametrize("block", first_quick(range(8), 2))
def test_wide_and_narrow_batches_come_to_the_same(block: int) -> None:
    for asked in questions(block):
        one, many = (
            decide_search(asked.problem, budget(), replace(LIMIT, width=w)) for w in (1, 64))
        assert (one.closed is None, one.witness is None) == (
            many.closed is None, many.witness is None)


def test_several_processes_leave_one_whole_proof(monkeypatch: pytest.MonkeyPatch) -> None:
    """Splits of whole numbers keep their marks on the way from one process to another."""
    forks, fork = list[int](), os.fork
    monkeypatch.setattr(os, "fork", lambda: forks.append(fork()) or forks[-1])
    shared = replace(LIMIT, width=2, share_after=0.0, share_from=2)
    splits = 0
    for seed in range(40):
        found = decide_search(ask(seed).problem, Budget(60.0, 1 << 32, 2), shared)
        if found.closed is not None and found.closed.proof.nodes:
            assert not found.closed.proof.open
            splits += check_tree(ask(seed).problem, found.closed)
        if len(forks) >= 3 and splits >= 10:
            break
    assert len(forks) >= 3
    assert splits >= 10


def test_boxes_of_a_batch_are_split_as_single_ones_are() -> None:
    region = Region((F(-2), F(0), F(0), F(0), F(-1)), (F(3), F(1), F(1), F(1), F(1)),
                    integers=frozenset({0}), one_hot=((1, 2, 3),))
    features = WholeFeatures.of(region)
    assert features is not None
    sides = [0, 1, 2, 3, 4]
    lo, hi = (np.repeat(side[None], len(sides), axis=0) for side in (features.lo, features.hi))
    signs = np.zeros((len(sides), 2), dtype=np.int8)
    batch = whole_domains(lo, hi, signs, [[0]] * len(sides))
    batch.dimension[:] = sides
    both = batch.split(features)
    features.propagate(both.lo, both.hi)
    for k, side in enumerate(sides):
        alone = batch.take(slice(k, k + 1)).split(features)
        features.propagate(alone.lo, alone.hi)
        assert (alone.lo == both.lo[2 * k : 2 * k + 2]).all()
        assert (alone.hi == both.hi[2 * k : 2 * k + 2]).all()
        below = float(alone.hi[1, side])
        assert float(alone.lo[0, side]) == below + (1 if side < 4 else 0)
    assert both.hi[2].tolist() == [3, 1, 0, 0, 1]  # the first of the group is 1
    assert batch.split().lo[2].tolist() != both.lo[2].tolist()


# --- ranges ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("block", BLOCKS)
def test_ranges_are_those_of_whole_points(block: int) -> None:
    for asked in questions(block):
        form = next(atoms(asked.problem.require)).form
        problem = replace(asked.problem, require=TRUE)
        verdict = find_range(problem, form, ALONE)
        for end, maximise in ((verdict.low, False), (verdict.high, True)):
            exact = regions.optimum(
                replace(problem, require=Atom(form)), Objective(form, maximise), 60.0)
            assert exact.bound is not None
            size = 1e-6 * max(1.0, abs(float(exact.bound)))
            assert end.claimed is not None
            assert abs(end.claimed - float(exact.bound)) <= size
            assert end.point is not None
            assert problem.region.contains(end.point)
            assert end.attained is not None
            inside = end.attained <= exact.bound if maximise else end.attained >= exact.bound
            assert inside


def test_a_range_ends_at_whole_numbers_not_between_them() -> None:
    """|2x - 1| over whole numbers from 0 is at least 1; in between it is 0."""
    b = Builder()
    x = b.input("x", (1,))
    m = b.absolute(b.affine(dense([[2.0]]), x, np.array([-1.0])))
    graph = b.build({"m": m})
    whole = Region((F(0),), (F(10**6),), integers=frozenset({0}))
    verdict = find_range(Problem(graph, whole, TRUE), Form.of({(m, 0): 1}), ALONE)
    assert verdict.settled
    assert verdict.low.attained == 1
    assert verdict.low.point in ((F(0),), (F(1),))
    assert verdict.high.attained == 2 * 10**6 - 1


def test_a_row_may_leave_no_whole_point_near_the_least_value() -> None:
    """2x + 2y >= 3 over whole x and y: the sum is at least 2, not 3/2."""
    b = Builder()
    x = b.input("x", (2,))
    s = b.affine(dense([[1.0, 1.0]]), b.relu(x))
    graph = b.build({"s": s})
    row = LinearRow({0: F(-2), 1: F(-2)}, F(-3))
    region = Region((F(-3), F(-3)), (F(3), F(3)), (row,), integers=frozenset({0, 1}))
    form = Form.of({(s, 0): 1})
    problem = Problem(graph, region, Atom(form))
    found, stats, _, _ = minima(problem, [form], budget(), LIMIT)
    assert found[0].bound == pytest.approx(2)
    assert found[0].attained == pytest.approx(2)
    assert stats.unresolved == 0
    claim = Atom(Form.of({(s, 0): 1}, F(-19, 10)))
    assert decide(replace(problem, require=claim), ALONE).outcome is Outcome.CLAIMED


# --- groups ---------------------------------------------------------------------------------------


def test_an_affine_form_over_groups_is_bounded_at_once() -> None:
    """The best multipliers of a group's rows are its least coefficient: no split is needed."""
    rng = np.random.default_rng(3)
    weights = rng.integers(-64, 65, size=(1, 12)) / 64
    b = Builder()
    x = b.input("x", (12,))
    y = b.affine(dense(weights), x)
    groups = ((0, 1, 2, 3), (4, 5, 6), (7, 8, 9, 10, 11))
    region = Region((F(0),) * 12, (F(1),) * 12, one_hot=groups)
    exact = sum(F(min(weights[0, list(group)])) for group in groups)
    claim = Atom(Form.of({(y, 0): 1}, -exact + F(1, 2)))
    found = decide_search(Problem(b.build({"y": y}), region, claim), budget(), SearchOptions())
    assert found.closed is not None
    assert found.stats.domains <= 1


@pytest.mark.parametrize("seed", range(4))
def test_bounds_over_groups_are_least_values_and_those_of_single_rows(seed: int) -> None:
    """Of affine forms on boxes that allow some members only; a batch gives what single rows do."""
    rng = np.random.default_rng(seed)
    n, rows = 9, 12
    groups = ((0, 1, 2, 3), (5, 6, 8))
    region = Region((F(0),) * n, (F(1),) * n, (LinearRow({4: F(1), 7: F(1)}, F(3)),),
                    one_hot=groups)
    b = Builder()
    x = b.input("x", (n,))
    y = b.affine(dense(rng.integers(-64, 65, size=(rows, n)) / 64), x)
    graph = b.build({"y": y})
    bounder = TorchBounder(graph, linear=linear_rows(region))
    lo, hi = np.zeros((rows, n)), np.where(rng.random((rows, n)) < 0.6, 1.0, 0.0)
    hi[:, [0, 5]] = 1.0
    assert not propagate([np.array(g) for g in groups], lo, hi).any()
    boxes = lo, hi
    start = {y: np.eye(rows)}
    nothing = Rows({}, {}, np.zeros(rows, dtype=np.intp), {})
    found = bounder.bound(nothing, start, *boxes, Effort(0))
    weights = np.stack([
        evaluate_float(graph, np.eye(n), [y])[y][:, k] - evaluate_float(
            graph, np.zeros((1, n)), [y])[y][0, k] for k in range(rows)])
    for k in range(rows):
        least = sum(min(weights[k, i] for i in g if hi[k, i] >= 1) for g in groups)
        least += sum(min(0.0, weights[k, i] * hi[k, i]) for i in (4, 7))
        assert least - 1e-8 <= float(found.value[k]) <= least + 1e-12
        one = Rows({}, {}, np.zeros(1, dtype=np.intp), {})
        alone = bounder.bound(
            one, {y: start[y][k : k + 1]}, boxes[0][k : k + 1], boxes[1][k : k + 1], Effort(0))
        assert float(alone.value[0]) == float(found.value[k])
        gamma = found.params[REGION_ROWS][k : k + 1]
        assert (gamma >= 0).all()
        again, _, _ = bounder.evaluate(
            one, {y: start[y][k : k + 1]}, {REGION_ROWS: gamma},
            boxes[0][k : k + 1], boxes[1][k : k + 1])
        assert float(again[0]) == pytest.approx(float(found.value[k]), abs=1e-12)


def test_regions_without_whole_points_hold_everything() -> None:
    b = Builder()
    x = b.input("x", (2,))
    y = b.affine(dense([[1.0, 1.0]]), b.relu(x))
    region = Region((F(1, 3), F(0)), (F(2, 3), F(1)), integers=frozenset({0}))
    never = Atom(Form.of({(y, 0): 1}, -100))
    found = decide_search(Problem(b.build({"y": y}), region, never), budget(), SearchOptions())
    assert found.closed is not None
    assert [node.closed for node in found.closed.proof.nodes] == ["empty"]


def test_enumeration_helpers_agree() -> None:
    """All assignments are those that the region contains."""
    region = Region((F(-1), F(0), F(0)), (F(1), F(1), F(1)), integers=frozenset({0}),
                    one_hot=((1, 2),))
    found = list(assignments(region))
    assert len(found) == 6
    every = itertools.product((-1, 0, 1), (0, 1), (0, 1))
    inside = [x for x in every if region.contains(tuple(map(F, x)))]
    assert [tuple(values.values()) for values in found].sort() == inside.sort()
    assert all(region.contains(fixed(region, values).lo) for values in found)
