"""A question as a logical model: does an input of the region break the claim, and by how much?

The model holds the region, the assumption and the negated requirement over the encoded graph.
With `margin` it maximises the least excess of the violated atoms instead of asking for
feasibility: an optimum below zero means that the claim holds.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction

from verifex.errors import UnsupportedError
from verifex.ir.exact import FloatArray, Number
from verifex.ir.formula import (
    And,
    AtLeast,
    Atom,
    Dominance,
    Form,
    Formula,
    Or,
    atoms,
    negate,
    simplify,
    written_out,
)
from verifex.ir.graph import Graph
from verifex.ir.model.logical import Model, Product, Row
from verifex.ir.problem import Objective, Problem
from verifex.ir.region import Ball, Region
from verifex.semantics.encode import Encoder, Expr, plus, times
from verifex.semantics.steady import Steady

NodeBounds = tuple[Mapping[int, FloatArray], Mapping[int, FloatArray]]
"""Sound float bounds (lo, hi) of every node that is encoded, unbatched."""


@dataclass
class Question:
    """A model with the variables of the flat input vector.

    `margin` is the margin variable if there is one. `relaxed` lists what the model only contains
    (a superset of the region): proofs carry over, points must be checked. `whole` says that the
    model leaves out no point that it is to ask for.
    """

    model: Model
    inputs: list[int]
    margin: int | None = None
    relaxed: list[str] = field(default_factory=list)
    whole: bool = True


def ask(
    problem: Problem, bounds: NodeBounds, *, products: bool, margin: bool, off_kinks: bool = False,
    steady: bool = False,
) -> Question:
    """The model of `exists x in region: assume(x) and not require(x)`.

    `off_kinks` asks, in exact arithmetic, for a point at which the argument of every gate that the
    claim depends on is not zero: simple, but more than a witness needs. `steady` asks for a point
    at which no value that the claim reads depends on a gate on its kink: all that a witness needs.
    Without either both gate values are allowed there.
    """
    question = _region_model(problem.region, products)
    open_gates: Iterable[int] = problem.kinks() if off_kinks else ()
    writer = _ClaimWriter(problem.graph, bounds, question, products, open_gates)
    # Atoms that bounds decide already would cost variables and give solvers room to err.
    violation = written_out(simplify(negate(problem.require), *bounds))
    if margin:
        question.margin = writer.add_margin(violation)
    writer.demand(written_out(simplify(problem.assume, *bounds)), None)
    writer.demand(violation, question.margin)
    for z in open_gates:  # also those that the formula does not need: a witness avoids them all
        for index in range(problem.graph.nodes[z].size):
            writer.encoder.gate_var(z, index, link=True)
    if steady:
        rows = Steady(writer.encoder)
        rows.demand(problem.cells())
        question.whole = rows.whole
    return question


def extremum(
    problem: Problem, objective: Objective, bounds: NodeBounds, *, products: bool
) -> Question:
    """The model that optimises a linear form over `region` and `assume` (kinks allowed)."""
    question = _region_model(problem.region, products)
    writer = _ClaimWriter(problem.graph, bounds, question, products, ())
    writer.demand(written_out(simplify(problem.assume, *bounds)), None)
    coefs, const = writer.linear(objective.form)
    question.model.objective = coefs
    question.model.objective_const = const
    question.model.maximise = objective.maximise
    return question


# --- the region -----------------------------------------------------------------------------------


def _region_model(region: Region, products: bool) -> Question:
    """Variables for the inputs and rows for what cuts the box."""
    model = Model()
    whole = region.integers | {i for g in region.one_hot for i in g}
    inputs = [
        model.new(f"x{i}", lo, hi, integer=i in whole)
        for i, (lo, hi) in enumerate(zip(region.lo, region.hi, strict=True))
    ]
    question = Question(model, inputs)
    for row in region.rows:
        model.add({inputs[i]: c for i, c in row.coefs.items()}, "<=", row.rhs)
    for group in region.one_hot:
        model.add({inputs[i]: 1 for i in group}, "==", 1)
    for ball in region.balls:
        _add_ball(question, region, ball, products)
    return question


def _add_ball(question: Question, region: Region, ball: Ball, products: bool) -> None:
    """An l1 ball exactly; an l2 ball exactly with products, else a polytope around it."""
    model, inputs, n = question.model, question.inputs, len(ball.indices)
    parts: dict[int, Number] = {}
    for i, c in zip(ball.indices, ball.center, strict=True):
        x, reach = inputs[i], max(abs(region.lo[i] - c), abs(region.hi[i] - c))
        if ball.norm == "l2" and products:
            d = model.new(f"d{i}", region.lo[i] - c, region.hi[i] - c)
            model.add({x: 1, d: -1}, "==", c)
            q = model.new(f"q{i}", 0, reach * reach)
            model.products.append(Product(q, d, d))
            parts[q] = 1
        else:  # t >= |x - c|
            t = model.new(f"t{i}", 0, reach)
            model.add({t: 1, x: -1}, ">=", -c)
            model.add({t: 1, x: 1}, ">=", c)
            parts[t] = 1
    if ball.norm == "l1":
        model.add(parts, "<=", ball.radius)
    elif products:
        model.add(parts, "<=", ball.radius**2)
    else:
        # Sound: |d|_1 <= sqrt(n) |d|_2 (Cauchy-Schwarz), with sqrt(n) rounded up.
        root = Fraction(math.isqrt(n * 10**12) + 1, 10**6)
        model.add(parts, "<=", root * ball.radius)
        question.relaxed.append("the l2 ball is replaced by a polytope that contains it")


# --- the formula ----------------------------------------------------------------------------------


class _ClaimWriter:
    """Writes formulas over an encoded graph into a model."""

    def __init__(
        self,
        graph: Graph,
        bounds: NodeBounds,
        question: Question,
        products: bool,
        open_gates: Iterable[int],
    ) -> None:
        self.lo, self.hi = bounds
        self.model = question.model
        self.encoder = Encoder(
            graph,
            self.lo,
            self.hi,
            self.model,
            question.inputs,
            products=products,
            open_gates=open_gates,
        )

    def linear(self, form: Form) -> tuple[dict[int, Number], Number]:
        """A form of node values over model variables, with its constant."""
        coefs: dict[int, Number] = {}
        const: Number = form.const
        for (node, index), c in form.terms:
            e: Expr = self.encoder.expr(node, index)
            const = plus(const, times(c, e.const) if e.const != 0 else 0)
            if e.var is not None:
                coefs[e.var] = plus(coefs.get(e.var, 0), times(c, e.coef))
        return coefs, const

    def add_margin(self, violation: Formula) -> int:
        """A variable m, maximised, that every violated atom must exceed."""
        # The margin needs finite bounds of its own, or the relaxation is unbounded.
        reach = Fraction(1)
        for atom in atoms(violation):
            low, high = self._range(atom.form)
            reach = max(reach, abs(low), abs(high))
        m = self.model.new("margin", -reach, reach)
        self.model.objective, self.model.maximise = {m: 1}, True
        return m

    def _range(self, form: Form) -> tuple[Fraction, Fraction]:
        low, high = form.bounds(self.lo, self.hi)
        if low is None or high is None:
            node = next(iter(form.terms))[0][0]
            raise UnsupportedError("no finite bounds", key=self.encoder.graph.describe(node))
        return low, high

    def demand(self, formula: Formula, margin: int | None, premise: int | None = None) -> None:
        """Make `formula` hold (by `margin`), if `premise` is 1 or always."""
        match formula:
            case Atom():
                self._demand_atom(formula, margin, premise)
            case And():
                for part in formula.parts:
                    self.demand(part, margin, premise)
            case Or():
                self._demand_count(1, formula.parts, margin, premise)
            case AtLeast():
                self._demand_count(formula.count, formula.parts, margin, premise)
            case Dominance():
                self.demand(formula.expand(), margin, premise)

    def _demand_atom(self, atom: Atom, margin: int | None, premise: int | None) -> None:
        coefs, const = self.linear(atom.form)
        low, _ = self._range(atom.form)
        # As much slack as the premise, where it is 0, may have to take back.
        slack = max(Fraction(0), -low)
        strict = atom.strict
        if margin is not None:
            coefs[margin] = plus(coefs.get(margin, 0), -1)
            slack += Fraction(self.model.variables[margin].hi or 0)
            # The margin takes strictness over: where it is above zero the atom holds strictly.
            strict = False
        row = Row(tuple((v, c) for v, c in coefs.items() if c != 0), ">=", -Fraction(const), strict)
        if premise is None:
            self.model.rows.append(row)
        else:
            self.model.imply(premise, 1, row, slack)

    def _demand_count(
        self, count: int, parts: tuple[Formula, ...], margin: int | None, premise: int | None
    ) -> None:
        """At least `count` of `parts`: one 0/1 variable each, which if 1 makes its part hold."""
        chosen: dict[int, Number] = {}
        for part in parts:
            t = self.model.new(f"t{len(self.model.variables)}", 0, 1, integer=True)
            self.demand(part, margin, t)
            chosen[t] = 1
        row = Row(tuple(chosen.items()), ">=", count)
        if premise is None:
            self.model.rows.append(row)
        else:
            self.model.imply(premise, 1, row, count)
