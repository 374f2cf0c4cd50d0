"""Witnesses may lie where a gate is zero and does not matter: replay, encoding and region
enumeration, which share no rule for it, agree on where that is."""

from __future__ import annotations

import random
from collections import Counter
from fractions import Fraction

import numpy as np
import pytest

from verifex.engine.falsify.witness import replay
from verifex.engine.run import node_bounds
from verifex.engine.solve.pool import SolverPool
from verifex.ir.exact import as_exact
from verifex.ir.formula import And, Atom, Form, Formula, Or, cells
from verifex.ir.graph import Builder
from verifex.ir.linmap import dense, entries, gather
from verifex.ir.model.solving import SolveLimits, Status
from verifex.ir.ops import Affine, Const, Gate, Input, Mul, Relu, Step
from verifex.ir.problem import Problem
from verifex.ir.region import LinearRow, Region
from verifex.semantics.claim import ask
from verifex.semantics.evaluate import evaluate_exact
from verifex.semantics.interval import bound_nodes
from verifex.semantics.kinks import varying, varying_in
from verifex.semantics.vjp import gradients
from verifex.solvers.regions import decide

F = Fraction
LIMITS = SolveLimits(20.0, 1 << 30, 1)


def layer(rng: random.Random, b: Builder, x: int, width: int) -> int:
    """`W x + b` with few different weights, zero and repeated rows: gates tie and are dead."""
    n = b.node(x).size
    rows = [[rng.choice((-1.0, 0.0, 0.0, 1.0, 2.0)) for _ in range(n)] for _ in range(width)]
    for k in range(1, width):
        if rng.random() < 0.3:
            rows[k] = rows[rng.randrange(k)]
    return b.affine(dense(rows), x, np.array([rng.choice((-2.0, -1.0, 0.0, 0.0, 1.0, 2.0))
                                              for _ in range(width)]))


def drawn(seed: int) -> Problem:
    """A claim about a gradient (times the input, now and then) of a network full of ties."""
    rng = random.Random(seed)
    b = Builder()
    n = rng.randint(1, 3)
    x = h = b.input("x", (n,))
    for _ in range(rng.choice((1, 2, 2))):
        h = b.relu(layer(rng, b, h, rng.randint(2, 3)))
        if rng.random() < 0.6:
            width = b.node(h).size
            one, two = (b.affine(gather((width,), [rng.randrange(width)]), h) for _ in (0, 1))
            h = b.sum([two, b.relu(b.sum([one, two], [1, -1]))])
    f = b.affine(dense([[rng.choice((-1.0, 0.0, 1.0)) for _ in range(b.node(h).size)]]), h)
    (g,) = gradients(b, f, [x])
    node = b.mul(x, g) if rng.random() < 0.3 else g
    node = b.absolute(node) if rng.random() < 0.3 else node
    lo = [F(rng.randint(-2, 1)) for _ in range(n)]
    hi = [v + rng.choice((0, 0, 0, 1)) for v in lo]
    atoms: list[Formula] = []
    for _ in range(rng.randint(1, 2)):
        form = Form.of({(node, i): rng.choice((-1, 0, 1)) for i in range(n)}, rng.randint(-2, 1))
        atoms.append(Atom(form, rng.random() < 0.5))
    join = And if rng.random() < 0.5 else Or
    require = atoms[0] if len(atoms) == 1 else join(tuple(atoms))
    return Problem(b.build({"f": f}), Region(tuple(lo), tuple(hi)), require)


@pytest.mark.timeout(300)
def test_three_deciders_agree_on_where_a_kink_matters() -> None:
    counts: Counter[str] = Counter()
    with SolverPool() as pool:
        for seed in range(220):
            problem = drawn(seed)
            told = decide(problem, 20.0)
            kind = told.note or told.status.value
            bounds = node_bounds(problem)
            still = ask(problem, bounds, products=True, margin=False, steady=True)
            strict = ask(problem, bounds, products=True, margin=False, off_kinks=True)
            assert still.whole
            answer = pool.solve("z3", still.model, LIMITS)
            assert answer.status in (Status.FEASIBLE, Status.OPTIMAL, Status.INFEASIBLE)
            found = [F(answer.point[v]) for v in still.inputs] if answer.point else None
            assert (found is not None) == (told.point is not None), seed
            for point in (found, told.point and [F(told.point[i]) for i in range(len(told.point))]):
                if point is not None:
                    assert replay(problem, tuple(point)).refutes, seed
            more = told.point is not None and (
                pool.solve("z3", strict.model, LIMITS).status is Status.INFEASIBLE)
            counts["refuted on a kink that is none" if more else kind] += 1
    assert counts["refuted on a kink that is none"] >= 8, counts
    assert counts["violated only on a kink"] >= 10, counts
    assert counts["optimal"] >= 20, counts
    assert counts["infeasible"] >= 20, counts


def test_an_open_gate_passes_on_what_a_tie_decides() -> None:
    """max(relu(x0), relu(x1)) where x0 = x1: below 0 both are dead, above 0 the tie matters."""
    b = Builder()
    x = b.input("x", (2,))
    y = b.relu(x)
    one, two = (b.affine(gather((2,), [k]), y) for k in (0, 1))
    f = b.sum([two, b.relu(b.sum([one, two], [1, -1]))])
    (g,) = gradients(b, f, [x])
    tied = tuple(LinearRow({0: F(s), 1: F(-s)}, F(0)) for s in (1, -1))
    graph, region = b.build({"f": f}), Region((F(-1), F(-1)), (F(1), F(1)), rows=tied)
    with SolverPool() as pool:
        for sign, wanted in ((-1, Status.INFEASIBLE), (1, Status.FEASIBLE)):
            claim = Atom(Form.of({(g, 0): sign}, -sign * F(1, 2)))
            problem = Problem(graph, region, claim)
            still = ask(problem, node_bounds(problem), products=True, margin=False, steady=True)
            answer = pool.solve("z3", still.model, LIMITS)
            assert still.whole
            assert (answer.status is Status.INFEASIBLE) == (wanted is Status.INFEASIBLE)
            told = decide(problem, 20.0)
            assert (told.note == "violated only on a kink") == (wanted is Status.INFEASIBLE)


def combinations(problem: Problem, point: tuple[Fraction, ...]) -> set[tuple[Fraction, ...]]:
    """Values of the cells that the claim reads for every choice of the gates on kinks, by hand."""
    graph, read = problem.graph, sorted(cells(problem.require))
    values = evaluate_exact(graph, point, [*problem.targets(), *problem.kinks()])
    free = [(z, i) for z in problem.kinks() for i, v in enumerate(values[z].fractions()) if v == 0]
    found = set()
    for k in range(2 ** len(free)):
        chosen = {cell: k >> j & 1 for j, cell in enumerate(free)}
        found.add(tuple(forced(problem, point, chosen, read)))
    return found


def forced(
    problem: Problem, point: tuple[Fraction, ...], chosen: dict[tuple[int, int], int],
    read: list[tuple[int, int]],
) -> list[Fraction]:
    """The values where gates have been chosen, one operation at a time."""
    graph, known = problem.graph, dict[int, list[Fraction]]()
    for i in graph.ancestors(problem.targets()):
        node = graph.nodes[i]
        args = [known[a] for a in node.args]
        match node.op:
            case Input():
                known[i] = list(point)
            case Const():
                known[i] = as_exact(node.op.value).fractions()
            case Affine():
                bias = node.op.bias
                total = [F(0)] * node.size if bias is None else list(as_exact(bias).fractions())
                for m, arg in zip(node.op.maps, args, strict=True):
                    for j, row in entries(m):
                        total[j] += sum((F(c) * arg[k] for k, c in row), F(0))
                known[i] = total
            case Relu():
                known[i] = [max(v, F(0)) for v in args[0]]
            case Step():
                z = node.args[0]
                known[i] = [F(chosen.get((z, k), int(v > 0))) for k, v in enumerate(args[0])]
            case Gate() | Mul():
                known[i] = [a * b for a, b in zip(*args, strict=True)]
            case _:
                raise AssertionError(node.op)
    return [known[n][i] for n, i in read]


def test_what_does_not_vary_has_one_value_for_every_choice_of_gates() -> None:
    """By brute force over the choices; and where no sums cancel, what may vary does."""
    single = several = loose = 0
    for seed in range(400):
        problem = drawn(seed)
        rng = random.Random(f"point {seed}")
        point = tuple(F(rng.randint(int(a), int(b)))
                      for a, b in zip(problem.region.lo, problem.region.hi, strict=True))
        one = len(combinations(problem, point)) == 1
        exact = varying(problem.graph, point, problem.cells())
        lo, hi = np.array([[float(v) for v in point]]), np.array([[float(v) for v in point]])
        boxes = bound_nodes(problem.graph, lo, hi, problem.targets())
        assert exact <= varying_in(problem.graph, boxes, problem.cells())
        assert one or exact
        assert replay(problem, point).on_kink == bool(exact)
        single, several = single + one, several + (not one)
        loose += one and bool(exact)
    assert min(single, several) >= 30
    assert loose <= 0.1 * single
