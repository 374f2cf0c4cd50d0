"""The question generator: repeatable, balanced, near the edge; the reference decider against
sampling and against an encoding of its own in z3."""

from __future__ import annotations

import random
from fractions import Fraction
from functools import cache
from typing import Any

import pytest

from tests.helpers.questions import Question, question
from verifex.ir.exact import as_exact
from verifex.ir.formula import And, AtLeast, Atom, Dominance, Formula, Or, holds, negate
from verifex.ir.linmap import entries
from verifex.ir.model.solving import Status
from verifex.ir.ops import Affine, Concat, Const, Gate, Input, Mul, Relu, Step
from verifex.ir.problem import Problem
from verifex.ir.text.document import problem_dumps, problem_from_json, problem_to_json
from verifex.semantics.evaluate import evaluate_exact
from verifex.solvers.regions import decide

ask = cache(question)
SEEDS = range(60)


def test_questions_repeat() -> None:
    for seed in range(0, 60, 9):
        assert problem_dumps(question(seed).problem) == problem_dumps(ask(seed).problem)


def test_questions_are_balanced_and_near_the_edge() -> None:
    statuses = [decide(ask(seed).problem).status for seed in SEEDS]
    assert statuses.count(Status.INFEASIBLE) >= 0.35 * len(SEEDS)
    assert statuses.count(Status.OPTIMAL) >= 0.35 * len(SEEDS)
    assert sum(ask(seed).near for seed in SEEDS) >= 0.3 * len(SEEDS)
    assert len({ask(seed).kind for seed in SEEDS}) >= 12
    assert any(ask(seed).products for seed in SEEDS)


def _off_kinks(problem: Problem, x: list[Fraction]) -> bool:
    values = evaluate_exact(problem.graph, x, problem.kinks())
    return all((v.num != 0).all() for v in values.values())


def _true_at(problem: Problem, x: list[Fraction]) -> bool:
    values = evaluate_exact(problem.graph, x, problem.targets())
    return not holds(problem.assume, values) or holds(problem.require, values)


def _samples(problem: Problem, count: int, seed: int) -> list[list[Fraction]]:
    """Exact points of the region: corners, random points and points on a coarse grid."""
    rng, region, found = random.Random(seed), problem.region, []
    for _ in range(count):
        parts = rng.choice((1, 4, 64))
        x = [a + (b - a) * rng.randint(0, parts) / parts
             for a, b in zip(region.lo, region.hi, strict=True)]
        for i in region.integers:
            x[i] = Fraction(round(x[i]))
        for group in region.one_hot:
            chosen = rng.choice(group)
            for i in group:
                x[i] = Fraction(int(i == chosen))
        if region.contains(x):
            found.append(x)
    return found


@pytest.mark.parametrize("seed", SEEDS)
def test_no_sampled_point_contradicts_the_answer(seed: int) -> None:
    problem = ask(seed).problem
    answer = decide(problem)
    if answer.status is Status.OPTIMAL:
        assert answer.point is not None
        x = [Fraction(answer.point[i]) for i in range(problem.region.size)]
        assert problem.region.contains(x)
        assert _off_kinks(problem, x)
        assert not _true_at(problem, x)
        return
    for x in _samples(problem, 60, seed):
        # Proved holds on kinks too; a claim violated on kinks only holds off them.
        if answer.status is Status.INFEASIBLE or _off_kinks(problem, x):
            assert _true_at(problem, x)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_text_form_asks_the_same(seed: int) -> None:
    problem = ask(seed).problem
    again, _ = problem_from_json(problem_to_json(problem))
    assert again == problem


# --- a second opinion -----------------------------------------------------------------------


class _Smt:
    """A problem as z3 terms, written directly from the meaning of the ops; no shared rules."""

    def __init__(self, problem: Problem, off_kinks: bool) -> None:
        import z3

        self.z3, self.problem, self.off_kinks = z3, problem, off_kinks
        self.solver = z3.Solver()
        self.solver.set("timeout", 20_000)
        self.gates: dict[tuple[int, int], Any] = {}
        self.values: list[list[Any]] = []
        self.region()
        for i in range(len(problem.graph.nodes)):
            self.values.append(self.node(i))
        kinks = problem.kinks() if off_kinks else []
        for z in (v for k in kinks for v in self.values[k]):
            self.solver.add(z != 0)

    def real(self, f: Fraction | int | float) -> Any:
        f = Fraction(f)
        return self.z3.Q(f.numerator, f.denominator)

    def sum(self, terms: list[Any]) -> Any:
        return self.z3.Sum([*terms, self.real(0)])

    def region(self) -> None:
        region, z3 = self.problem.region, self.z3
        self.x = x = [z3.Real(f"x{i}") for i in range(region.size)]
        for i, v in enumerate(x):
            self.solver.add(v >= self.real(region.lo[i]), v <= self.real(region.hi[i]))
        for row in region.rows:
            self.solver.add(
                self.sum([self.real(c) * x[i] for i, c in row.coefs.items()]) <= self.real(row.rhs))
        for ball in region.balls:
            assert ball.norm == "l1"
            far = [x[i] - self.real(c) for i, c in zip(ball.indices, ball.center, strict=True)]
            self.solver.add(self.sum([z3.If(d >= 0, d, -d) for d in far]) <= self.real(ball.radius))
        for i in region.integers:
            self.solver.add(z3.IsInt(x[i]))
        for group in region.one_hot:
            self.solver.add(self.sum([x[i] for i in group]) == 1)
            self.solver.add(*(z3.Or(x[i] == 0, x[i] == 1) for i in group))

    def gate(self, node: int, k: int) -> Any:
        """One Boolean per pre-activation: free on the kink."""
        if (node, k) not in self.gates:
            s, z = self.z3.Bool(f"s{node}_{k}"), self.values[node][k]
            self.solver.add(self.z3.If(s, z >= 0, z <= 0))
            self.gates[(node, k)] = s
        return self.gates[(node, k)]

    def node(self, i: int) -> list[Any]:
        graph, z3 = self.problem.graph, self.z3
        node = graph.nodes[i]
        args, span = [self.values[a] for a in node.args], range(node.size)
        match node.op:
            case Input():
                start = graph.input_offsets[i]
                return self.x[start : start + node.size]
            case Const():
                return [self.real(f) for f in as_exact(node.op.value).fractions()]
            case Affine():
                op = node.op
                bias = [0] * node.size if op.bias is None else as_exact(op.bias).fractions()
                terms: list[list[Any]] = [[self.real(b)] for b in bias]
                for m, v in zip(op.maps, args, strict=True):
                    for j, row in entries(m):
                        terms[j] += [self.real(c) * v[k] for k, c in row]
                return [self.sum(t) for t in terms]
            case Relu():
                a = node.args[0]
                return [z3.If(self.gate(a, k), args[0][k], self.real(0)) for k in span]
            case Step():
                a = node.args[0]
                return [z3.If(self.gate(a, k), self.real(1), self.real(0)) for k in span]
            case Gate():
                return [z3.If(args[0][k] == 1, args[1][k], self.real(0)) for k in span]
            case Mul():
                return [args[0][k] * args[1][k] for k in span]
            case Concat() | _:
                raise NotImplementedError(type(node.op).__name__)

    def formula(self, f: Formula) -> Any:
        z3 = self.z3
        match f:
            case Atom():
                terms = [self.real(c) * self.values[n][k] for (n, k), c in f.form.terms]
                value = self.sum([*terms, self.real(f.form.const)])
                return value > 0 if f.strict else value >= 0
            case And():
                return z3.And([self.formula(p) for p in f.parts])
            case Or():
                return z3.Or([self.formula(p) for p in f.parts])
            case AtLeast():
                return z3.Sum([z3.If(self.formula(p), 1, 0) for p in f.parts] + [0]) >= f.count
            case Dominance():
                return self.formula(f.expand())

    def violated(self) -> bool | None:
        z3, problem = self.z3, self.problem
        self.solver.add(self.formula(problem.assume), self.formula(negate(problem.require)))
        found = self.solver.check()
        return None if found == z3.unknown else bool(found == z3.sat)


def _plain(q: Question) -> bool:
    return not q.products


@pytest.mark.slow
def test_z3_agrees_on_closed_and_open_cells() -> None:
    pytest.importorskip("z3")
    compared = 0
    for q in filter(_plain, map(ask, range(100))):
        answer = decide(q.problem)
        closed = _Smt(q.problem, off_kinks=False).violated()
        opened = _Smt(q.problem, off_kinks=True).violated() if closed else False
        if closed is None or opened is None:
            continue
        wanted = Status.INFEASIBLE if not closed else (
            Status.OPTIMAL if opened else Status.UNKNOWN)
        assert answer.status is wanted, q.description
        compared += 1
    assert compared >= 30
