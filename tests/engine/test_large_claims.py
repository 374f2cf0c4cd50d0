"""Claims of many comparisons: counted on arrays, and worked off in parts with the same answers."""

from __future__ import annotations

import itertools
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.helpers.spec_nets import checked, pair
from tests.helpers.strategies import dominances, formulas
from verifex.certificate.write import proof_lines
from verifex.engine.bounds.bounder import Effort
from verifex.engine.budget import Budget
from verifex.engine.search.claims import FormulaResult, decide_search
from verifex.engine.search.counts import Counts
from verifex.engine.search.gates.domains import concatenate, whole
from verifex.engine.search.gates.frontier import Frontier
from verifex.engine.search.gates.policy import SearchOptions
from verifex.ir.formula import Atom, Dominance, Formula, atoms, fold, negate
from verifex.ir.graph import Builder
from verifex.ir.linmap import dense
from verifex.ir.model.solving import Status
from verifex.ir.problem import Problem
from verifex.ir.region import Region
from verifex.problem.spec.build import read_problem
from verifex.semantics.evaluate import evaluate_float
from verifex.semantics.vjp import gradients
from verifex.solvers import regions

NODE, SIZE = 0, 4


# --- counts ------------------------------------------------------------------------------------


def possible(formula: Formula, false: set[Atom]) -> bool:
    """Whether the formula can be true when just these atoms cannot."""
    return fold(formula, lambda a: a not in false, lambda j, parts: sum(parts) >= j.needed)


@given(f=formulas(NODE, SIZE), data=st.data())
def test_counts_say_what_the_formula_says(f: Formula, data: st.DataObject) -> None:
    distinct = list(dict.fromkeys(atoms(f)))
    counts = Counts.of(f, {a: k for k, a in enumerate(distinct)})
    lines = data.draw(st.lists(
        st.lists(st.booleans(), min_size=len(distinct), max_size=len(distinct)),
        min_size=1, max_size=4))
    false = np.array(lines, dtype=bool).reshape(len(lines), len(distinct))
    can, open_, must = counts.possible(false), counts.open(false), counts.necessary(false)
    for k, line in enumerate(lines):
        known = {a for a, no in zip(distinct, line, strict=True) if no}
        assert can[k] == possible(f, known)
        for r, atom in enumerate(distinct):
            if must[k, r]:
                assert not possible(f, {*known, atom})
            if not can[k] or atom in known:
                assert not open_[k, r]
        # Whatever else is false beside the open atoms changes nothing.
        rest = {a for r, a in enumerate(distinct) if not open_[k, r]}
        assert possible(f, {*known, *rest}) == can[k]


@given(f=dominances(NODE, SIZE))
def test_a_block_counts_as_what_it_expands_to(f: Dominance) -> None:
    distinct = list(dict.fromkeys(atoms(f)))
    numbers = {a: k for k, a in enumerate(distinct)}
    false = np.random.default_rng(0).random((16, len(distinct))) < 0.5
    for formula in (f, negate(negate(f))):
        both = [Counts.of(g, numbers).open(false) for g in (formula, formula.expand())]
        assert np.array_equal(*both)


# --- the queue ---------------------------------------------------------------------------------


def test_the_frontier_is_a_priority_queue() -> None:
    """Against a sorted list, with pushes and takes of random sizes."""
    rng = np.random.default_rng(0)
    nothing = whole(np.zeros((0, 1)), np.zeros((0, 1)), np.zeros((0, 2), np.int8), [])
    frontier, kept, count = Frontier(nothing), list[tuple[float, int]](), itertools.count()
    for _ in range(200):
        size = int(rng.integers(0, 6))
        lo = np.array([next(count) for _ in range(size)], dtype=float).reshape(size, 1)
        more = whole(lo, lo, np.zeros((size, 2), np.int8), [[0]] * size)
        priority = rng.integers(0, 4, size).astype(float)
        frontier.push(more, priority)
        kept += list(zip(priority.tolist(), lo[:, 0].tolist(), strict=True))
        kept.sort()
        assert len(frontier) == len(kept)
        assert frontier.least == (kept[0][0] if kept else np.inf)
        assert frontier.all().lo[:, 0].tolist() == [v for _, v in kept]
        most = int(rng.integers(0, 6))
        taken = frontier.take(most, 4)  # every domain has one open row
        assert taken.lo[:, 0].tolist() == [v for _, v in kept[: min(most, 4)]]
        kept = kept[min(most, 4) :]
    assert len(frontier.drain()) == len(kept)


def test_halves_share_what_is_proven_and_differ_in_one_column() -> None:
    lo, hi = -np.ones((2, 3)), np.ones((2, 3))
    domains = whole(lo, hi, np.zeros((2, 4), np.int8), [[0], [1]], waits=True)
    domains.gate[0], domains.dimension[1] = 2, 1
    domains.wait[0, 0, 1] = 3
    domains.own[0], domains.kept[0] = {5: (lo[0], hi[0])}, {5: (lo[0], hi[0])}
    domains.seen[0] = np.array([[True] * 4, [False] * 4])
    halves = domains.split()
    assert halves.signs.tolist() == [[0, 0, 1, 0], [0, 0, -1, 0], [0] * 4, [0] * 4]
    assert halves.lo[2:, 1].tolist() == [0.0, -1.0]
    assert halves.hi[2:, 1].tolist() == [1.0, 0.0]
    assert halves.wait[:2, 0, 1].tolist() == [2, 2]
    assert [len(s) for s in halves.seen[:2]] == [1, 1]
    assert [bool(k) for k in halves.kept] == [True, True, False, False]
    assert not any(halves.own)
    assert (domains.signs == 0).all()
    again = concatenate([domains, halves])
    assert again.take(np.arange(2, 6)).signs.tolist() == halves.signs.tolist()


# --- in parts ----------------------------------------------------------------------------------


def top(seed: int, k: int, overlap: int, radius: Fraction) -> Problem:
    """Top-k of the six gradient components of a random network, around a random point."""
    rng = np.random.default_rng(seed)
    b, n = Builder(), 6
    x = h = b.input("x", (n,))
    for at, (m, out) in enumerate(((n, 6), (6, 5), (5, 1))):
        w, bias = rng.integers(-64, 65, (out, m)) / 64, rng.integers(-32, 33, out) / 64
        h = b.affine(dense(w), b.relu(h) if at else h, bias)
    (gradient,) = gradients(b, h, [x])
    graph = b.build({"g": gradient})
    centre = [Fraction(int(v), 64) for v in rng.integers(-64, 65, n)]
    values = evaluate_float(graph, np.array([[float(v) for v in centre]]), [gradient])[gradient]
    order = np.argsort(-values.reshape(-1)).tolist()
    inside, outside = tuple(sorted(order[:k])), tuple(sorted(order[k:]))
    claim = Dominance(gradient, inside, outside, overlap, (n - k) - (k - overlap))
    box = Region(tuple(c - radius for c in centre), tuple(c + radius for c in centre))
    return Problem(graph, box, claim)


def answer(found: FormulaResult) -> str:
    return "true" if found.closed is not None else "false" if found.witness else "open"


@pytest.mark.parametrize("refresh", [True, False])
@pytest.mark.parametrize("overlap", [3, 2])
def test_parts_give_the_answers_of_enumeration(overlap: int, refresh: bool) -> None:
    options = SearchOptions(
        refresh=refresh, root_effort=Effort(4), effort=Effort(2), max_domains=600)
    told = set()
    for seed, radius in itertools.product(range(4), (Fraction(1, 16), Fraction(1, 4))):
        problem = top(seed, 3, overlap, radius)
        truth = regions.decide(problem, 30.0).status
        for rows in (2, 5):
            budget = Budget(60.0, 1 << 30, 1)
            said = answer(decide_search(problem, budget, replace(options, rows=rows)))
            assert said != "true" or truth is Status.INFEASIBLE, (seed, radius)
            assert said != "false" or truth is Status.OPTIMAL, (seed, radius)
            told.add(said)
    assert {"true", "false"} <= told


def test_certificates_of_claims_in_parts_are_accepted(tmp_path: Path) -> None:
    """Bounds of a row come from whichever part it was in; the tree is one."""
    options = SearchOptions(rows=1, root_effort=Effort(4), effort=Effort(2), max_domains=400)
    accepted = several = 0
    for seed in range(2000, 2030):
        p = pair(seed, tmp_path, ("order", "linf")[seed % 2], hard=True)
        problem = p.problem()
        found = decide_search(problem, Budget(20.0, 1 << 30, 1), options)
        if found.closed is None or found.stats.ties:
            continue
        lines = proof_lines(problem, read_problem(p.spec, p.network).files, found.closed)
        assert checked(p, lines, tmp_path) == (0, "valid"), seed
        accepted, several = accepted + 1, several + (len(found.closed.atoms) > 1)
    assert accepted >= 8
    assert several >= 3
