"""The search against exact enumeration: nothing false is closed, ranges are exact, limits kept."""

from __future__ import annotations

import random
import time
from dataclasses import replace
from fractions import Fraction
from functools import cache
from typing import Any

import numpy as np
import pytest

from tests.helpers.gradient_nets import network
from tests.helpers.marks import first_quick
from tests.helpers.questions import Question, question
from verifex.engine.bounds.bounder import Effort
from verifex.engine.budget import Budget
from verifex.engine.decide import decide
from verifex.engine.search.claims import decide_search
from verifex.engine.search.extrema import Minimum, minima
from verifex.engine.search.gates.search import SearchOptions
from verifex.engine.solve.pool import SolverPool
from verifex.engine.verdict import Outcome
from verifex.engine.watch import Watch
from verifex.ir.formula import TRUE, Atom, Form, Or, atoms
from verifex.ir.graph import Builder
from verifex.ir.linmap import dense
from verifex.ir.model.solving import Status
from verifex.ir.problem import Objective, Problem
from verifex.ir.region import Region
from verifex.semantics.vjp import gradients
from verifex.settings import Settings
from verifex.solvers import regions

ask = cache(question)
LIGHT = SearchOptions(root_effort=Effort(12, 0.2, 0.97), effort=Effort(5, 0.2, 0.9))
QUICK = replace(LIGHT, max_domains=200, width=64)
"""A limit in domains, not in seconds: the same on any machine."""

SEEDS = range(3000, 3150)


def seconds(processor: float) -> Budget:
    """Seconds of this process: what other processes do meanwhile is of no account."""
    return Budget(processor, 1 << 30, 1, time.process_time)


# --- claims -----------------------------------------------------------------------------------


@pytest.mark.parametrize("block", first_quick(range(15)))
def test_the_search_never_contradicts_enumeration(block: int) -> None:
    settled = 0
    for seed in SEEDS[block * 10 : block * 10 + 10]:
        asked = ask(seed)
        truth = regions.decide(asked.problem, 20.0).status
        found = decide_search(asked.problem, seconds(20.0), QUICK)
        if found.closed is not None:
            assert truth is Status.INFEASIBLE, asked.description
        if found.witness is not None:
            assert truth is Status.OPTIMAL, asked.description
        settled += found.closed is not None or found.witness is not None
    assert settled >= 3  # some are balls or integers, which the search leaves open


# --- ranges -----------------------------------------------------------------------------------


def _plain(asked: Question) -> list[Form]:
    """Forms of a question whose region and assumption the range search takes exactly."""
    p = asked.problem
    region = p.region
    if p.assume != TRUE or region.balls or region.integers or region.one_hot:
        return []
    forms = [a.form for a in atoms(p.require) if a.form.terms][:2]
    return [g for f in forms for g in (f, -f)]


@pytest.mark.parametrize("block", first_quick(range(15)))
def test_minima_are_exact(block: int) -> None:
    checked = 0
    for seed in SEEDS[block * 10 : block * 10 + 10]:
        asked = ask(seed)
        forms = _plain(asked)
        if not forms:
            continue
        problem = replace(asked.problem, require=Or(tuple(map(Atom, forms))))
        exact = [regions.optimum(problem, Objective(f, False), 20.0) for f in forms]
        found, _, _, _ = minima(problem, forms, seconds(30.0), LIGHT)
        for e, m in zip(exact, found, strict=True):
            if e.status is not Status.OPTIMAL or e.bound is None:
                continue  # a square within a cell: enumeration says so
            size = 1e-6 * max(1.0, abs(float(e.bound)))
            assert m.bound <= float(e.bound) + size, asked.description
            assert m.bound >= float(e.bound) - size, asked.description
            assert m.attained >= float(e.bound) - size, asked.description
            checked += 1
    assert checked


# --- thresholds next to the worst case ----------------------------------------------------------

BESIDE = (Fraction(0), Fraction(1, 2**40), Fraction(1, 10**7))


@pytest.mark.parametrize("scale", [1, 2**12, 2**30], ids=["1", "2^12", "2^30"])
@pytest.mark.parametrize("seed", first_quick(range(4)))
def test_a_threshold_beside_the_worst_case(seed: int, scale: int) -> None:
    b, _, (logit, gradient), region = network(seed, (3, 4, 4, 1), scale)
    node = gradient if seed % 3 else logit
    form = Form.of({(node, seed % 3 if node == gradient else 0): 1 if seed % 2 else -1})
    problem = Problem(b.build({"f": logit, "g": gradient}), region, Atom(form))
    worst = regions.optimum(problem, Objective(form, False), 30.0)
    assert worst.bound is not None
    for offset in BESIDE:
        for sign in (1, -1):
            # holds (with slack or exactly) for sign 1; is violated by `offset` for sign -1
            shift = Fraction(worst.bound) - sign * offset * scale
            for strict in (False, True) if offset == 0 else (bool(seed % 2),):
                claim = Atom(Form(form.terms, -shift), strict)
                holds = (sign > 0 and offset > 0) or (offset == 0 and not strict)
                found = decide_search(replace(problem, require=claim), seconds(20.0), QUICK)
                assert holds or found.closed is None
                assert not holds or found.witness is None


# --- violations that hide in tiny cells ---------------------------------------------------------


def planted(seed: int) -> Problem:
    """A claim that only a cell of less than a millionth of the region breaks.

    A thin slab (a pair of parallel hyperplanes) or the meeting of several wider ones switches a
    neuron with a large weight. Outside of it a bound from the weights proves the claim.
    """
    rng = random.Random(seed)
    n = rng.randint(2, 4)
    several = n >= 3 and seed % 2 == 1
    b = Builder()
    x = b.input("x", (n,))
    count = 3 if several else 1
    spot = [rng.randint(-40, 40) / 64 for _ in range(n)]  # where all hats are at their tops
    rows, bias, hats = [], [], []
    for k in range(count):
        w = [rng.choice((-1, 1)) * rng.randint(16, 64) / 64 for _ in range(n)]
        w[k] = 1.0
        width = 2.0**-8 if several else 2.0 ** -rng.randint(22, 26)
        at = sum(a * c for a, c in zip(w, spot, strict=True)) - width / 2
        for shift in (0.0, width / 2, width):
            rows.append(w)
            bias.append(-(at + shift))
        hats.append(width)
    quiet = rng.randint(2, 4)
    for _ in range(quiet):
        rows.append([rng.randint(-64, 64) / 64 for _ in range(n)])
        bias.append(rng.randint(-32, 32) / 64)
    y = b.relu(b.affine(dense(np.array(rows)), x, np.array(bias)))
    top, total = 64.0, 3 * count + quiet
    tails = [rng.randint(-16, 16) / 64 for _ in range(quiet)]
    if several:  # relu(sum of hats - (count - 1/2)): the hats are 1 at their tops
        mix = np.zeros((1 + quiet, total))
        for k, width in enumerate(hats):
            mix[0, 3 * k : 3 * k + 3] = np.array([1.0, -2.0, 1.0]) * 2 / width
        mix[1:, 3 * count :] = np.eye(quiet)
        second = b.relu(b.affine(dense(mix), y, np.array([0.5 - count] + [0.125] * quiet)))
        out = b.affine(dense(np.array([[top, *tails]])), second)
    else:
        out = b.affine(dense(np.array([[top, -2 * top, top, *tails]])), y)
    (gradient,) = gradients(b, out, [x])
    # the hat's rising side adds at least `top` to the component whose weight is 1
    limit = sum(abs(t) for t in tails) + 1
    form = Form.of({(gradient, 0): -1}, Fraction(limit))
    graph = b.build({"f": out, "g": gradient})
    one = Fraction(1)
    return Problem(graph, Region((-one,) * n, (one,) * n), Atom(form))


@pytest.mark.parametrize("block", first_quick(range(10), 2))
def test_planted_violations_are_never_closed(block: int) -> None:
    for seed in range(10 * block, 10 * block + 10):
        problem = planted(seed)
        found = decide_search(problem, seconds(20.0), QUICK)
        assert found.closed is None, seed


def test_the_planted_violations_are_real() -> None:
    for seed in range(0, 100, 9):
        assert regions.decide(planted(seed), 20.0).status is Status.OPTIMAL, seed


def test_planted_violations_by_the_whole_pipeline() -> None:
    """Mostly refuted; never claimed."""
    refuted = 0
    with SolverPool() as pool:
        for seed in range(0, 100, 10):
            verdict = decide(planted(seed), Settings(seconds=5.0), pool)
            assert verdict.outcome in (Outcome.REFUTED, Outcome.UNKNOWN), seed
            refuted += verdict.outcome is Outcome.REFUTED
    assert refuted >= 5


# --- budgets ------------------------------------------------------------------------------------


def _wide(seed: int = 0) -> tuple[Problem, list[Form]]:
    """A problem whose search takes a while."""
    b, _, (logit, gradient), region = network(seed, (3, 8, 6, 1))
    forms = [Form.of({(gradient, i): s}) for i in range(2) for s in (1, -1)]
    return Problem(b.build({"f": logit, "g": gradient}), region, Atom(forms[0])), forms


@cache
def _final(seed: int) -> list[Minimum]:
    problem, forms = _wide(seed)
    return minima(problem, forms, seconds(60.0), SearchOptions())[0]


@pytest.mark.parametrize("allowed", [0.0, 0.05, 0.3])
def test_an_early_stop_still_contains_the_range(allowed: float) -> None:
    problem, forms = _wide()
    found, _, _, _ = minima(problem, forms, seconds(allowed), SearchOptions())
    for best, m in zip(_final(0), found, strict=True):
        assert best.attained - best.bound <= 1e-5
        assert m.bound <= best.bound + 1e-6
        assert m.attained >= best.attained - 1e-6


@pytest.mark.parametrize("limit", [1, 20, 200])
def test_the_number_of_domains_is_bounded(limit: int) -> None:
    problem, forms = _wide(1)
    options = SearchOptions(max_domains=limit, width=8)
    found, stats, _, _ = minima(problem, forms, seconds(60.0), options)
    assert stats.domains <= limit + 2 * options.width + len(forms)
    for best, m in zip(_final(1), found, strict=True):
        assert m.bound <= best.bound + 1e-6


def test_an_interrupt_ends_the_search_at_once() -> None:
    problem, forms = _wide()
    seen: list[dict[str, Any]] = []

    def interrupt(record: dict[str, Any]) -> None:
        if record["event"] == "search":
            seen.append(record)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        minima(problem, forms, seconds(60.0), SearchOptions(width=2), interrupt)
    assert len(seen) == 1
    claim = replace(problem, require=Atom(Form(forms[0].terms, Fraction(1, 3))))
    seen.clear()
    with pytest.raises(KeyboardInterrupt):
        decide(claim, Settings(solvers=(), attack=False), watch=Watch(interrupt))
    assert len(seen) == 1


def test_the_log_counts_domains_over_time() -> None:
    problem, forms = _wide()
    records: list[dict[str, Any]] = []
    _, stats, _, _ = minima(problem, forms, seconds(60.0), SearchOptions(width=16), records.append)
    searches = [r for r in records if r["event"] == "search"]
    assert records[0]["event"] == "root"
    assert len(searches) >= stats.batches > 1
    assert searches[-1]["domains"] == stats.domains
    assert searches[-1]["open"] == 0
    for key in ("t", "domains", "leaves"):
        assert [r[key] for r in searches] == sorted(r[key] for r in searches)
    assert searches[0]["gap"] > searches[-1]["gap"] >= 0
