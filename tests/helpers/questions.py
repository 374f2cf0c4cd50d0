"""Random small questions about networks and their attributions, the same for the same seed.

`question(seed)` builds a network of up to 12 gates with weights k/64, an attribution, a region and
a claim. Thresholds are set from the exact worst case (region enumeration): exactly on it, 2**-40
or 1e-7 beside it on either side, or well away; so most questions are close to the edge of truth,
and true and false are about as common.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction

from tests.helpers.small_nets import hidden, layer
from tests.helpers.small_nets import region as draw_region
from verifex.ir.exact import ExactArray
from verifex.ir.formula import TRUE, And, AtLeast, Atom, Dominance, Form, Formula, Or, negate
from verifex.ir.graph import Builder, Graph
from verifex.ir.linmap import gather, total
from verifex.ir.model.solving import Answer, Status
from verifex.ir.problem import Objective, Problem
from verifex.ir.region import Region
from verifex.semantics.evaluate import evaluate_exact
from verifex.semantics.vjp import gradients
from verifex.solvers.regions import decide, optimum

OFFSETS = (Fraction(0), Fraction(1, 2**40), Fraction(1, 10**7))
"""How far a threshold lies from the worst case when it is near."""


@dataclass(frozen=True)
class Question:
    """A problem, what kind of claim it makes, and a line that says how it came about.

    `near`: a threshold lies within 1e-6 of the exact worst case. `products`: the graph multiplies
    values that vary (a decider without products may refuse it).
    """

    seed: int
    problem: Problem
    kind: str
    description: str
    near: bool
    products: bool


class Retry(Exception):
    """The draw did not lead to a well-posed question; draw again."""


# --- what a claim is made about -------------------------------------------------------------


@dataclass
class Case:
    """What a claim is made about: the nodes of one network, its attribution and the point."""

    rng: random.Random
    b: Builder
    x: int
    logits: int
    output: int
    attribution: int
    varies: bool  # the attribution is not constant on a cell (input*gradient)
    x0: tuple[Fraction, ...]
    region: Region
    words: list[str]
    truth: bool = True  # what the question aims at
    kinky: bool = False  # ... and at a claim that is violated, but on kinks only
    near: bool = False
    assume: Formula = TRUE

    @property
    def n(self) -> int:
        return self.b.node(self.x).size

    def graph(self) -> Graph:
        return self.b.build({"f": self.logits, "a": self.attribution})

    def values(self, node: int) -> list[Fraction]:
        """The exact values of a node at the reference point."""
        return evaluate_exact(self.graph(), self.x0, [node])[node].fractions()

    def problem(self, require: Formula) -> Problem:
        return Problem(self.graph(), self.region, require, self.assume, self.x0)


def _case(rng: random.Random) -> Case:
    b = Builder()
    n = rng.randint(2, 5)
    x = h = b.input("x", (n,))
    x0, region, where = draw_region(rng, n)
    left = rng.choice((4, 6, 8, 8, 12))
    words = [f"{n} inputs"]
    for _ in range(rng.randint(1, 2)):
        if left >= 2:
            h, used = hidden(rng, b, h, rng.randint(2, left), x0)
            left -= used
            words.append(f"{used} gates")
    classes = rng.randint(2, 3)
    logits = layer(rng, b, h, classes, x0)
    pick = [b.affine(gather((classes,), k), logits) for k in range(classes)]
    functional = rng.choice(("logit", "margin", "sum"))
    output = {"logit": pick[0], "margin": b.sum([pick[0], pick[1]], [1, -1]),
              "sum": b.affine(total((classes,)), logits)}[functional]
    (gradient,) = gradients(b, output, [x])
    varies = rng.random() < 0.45
    attribution = b.mul(x, gradient) if varies else gradient
    reduce = rng.choice(("signed", "abs"))
    if reduce == "abs":
        attribution = b.absolute(attribution)
    words += [functional, "input*gradient" if varies else "gradient", reduce, where]
    case = Case(rng, b, x, logits, output, attribution, varies, x0, region, words)
    _check_point(case)
    return case


def _check_point(case: Case) -> None:
    """The reference must lie in the region and off every kink."""
    graph = case.graph()
    kinks = case.problem(Atom(Form.of({(case.attribution, 0): 1}))).kinks()
    values = evaluate_exact(graph, case.x0, kinks)
    if any((v.num == 0).any() for v in values.values()) or not case.region.contains(case.x0):
        raise Retry


# --- claims ---------------------------------------------------------------------------------


def _bound(case: Case, form: Form) -> Atom:
    """The claim `form >= t` (or `> t`), t placed around the exact least value of the form."""
    rng = case.rng
    answer = optimum(case.problem(Atom(form)), Objective(form, False), 20.0)
    if answer.status is not Status.OPTIMAL or answer.bound is None:
        raise Retry
    if not case.truth and answer.extra["kink"] != case.kinky:
        raise Retry  # a threshold just above a value on a kink would be violated there only
    worst, strict = Fraction(answer.bound), rng.random() < 0.5
    offset = Fraction(rng.randint(1, 64), 64)
    if rng.random() < 0.75:
        offset, case.near = rng.choice(OFFSETS), True
    if offset == 0:
        strict = not case.truth  # the least value itself is reached: >= holds and > does not
        if not answer.extra["attained"]:
            raise Retry
    sign = -1 if case.truth else 1
    return Atom(Form(form.terms, form.const - (worst + sign * offset)), strict)


def _claim_component(case: Case) -> Formula:
    i, sign = case.rng.randrange(case.n), case.rng.choice((1, -1))
    return _bound(case, Form.of({(case.attribution, i): sign}))


def _claim_output(case: Case) -> Formula:
    i, j = case.rng.sample(range(case.b.node(case.logits).size), 2)
    if case.rng.random() < 0.5:
        return _bound(case, Form.of({(case.logits, i): case.rng.choice((1, -1))}))
    return _bound(case, Form.of({(case.logits, i): 1, (case.logits, j): -1}))


def _claim_order(case: Case) -> Formula:
    i, j = case.rng.sample(range(case.n), 2)
    return _bound(case, Form.of({(case.attribution, i): 1, (case.attribution, j): -1}))


def _claim_mass(case: Case) -> Formula:
    """Mass inside a mask: `sum over the mask of |A| >= share * sum |A|`, up to a threshold."""
    mass = case.b.absolute(case.attribution)
    mask = set(case.rng.sample(range(case.n), case.rng.randint(1, case.n - 1)))
    share = Fraction(case.rng.randint(1, 9), 10)
    terms = {(mass, i): (1 if i in mask else 0) - share for i in range(case.n)}
    return _bound(case, Form.of(terms))


def _distance(case: Case) -> int:
    """The node `A(x) - A(x0)`."""
    reference = ExactArray.from_numbers(case.values(case.attribution))
    return case.b.sum([case.attribution, case.b.const(reference)], [1, -1])


def _claim_l1(case: Case) -> Formula:
    size = case.b.affine(total((case.n,)), case.b.absolute(_distance(case)))
    return _bound(case, Form.of({(size, 0): -1}))


def _claim_linf(case: Case) -> Formula:
    """Every component within t of its reference."""
    d = _distance(case)
    sides = [{(d, i): s} for i in range(case.n) for s in (1, -1)]
    atoms = [_bound(case, Form.of(terms)) for terms in sides]
    least = min(a.form.const for a in atoms) if not case.truth else max(
        a.form.const for a in atoms)
    loosest = [a for a in atoms if a.form.const == least]
    return And(tuple(Atom(Form(a.form.terms, least), loosest[0].strict) for a in atoms))


def _claim_l2(case: Case) -> Formula:
    if case.varies:
        raise Retry  # a square that varies within a cell: no exact linear decider
    d = _distance(case)
    size = case.b.affine(total((case.n,)), case.b.mul(d, d))
    return _bound(case, Form.of({(size, 0): -1}))


def _claim_cosine(case: Case) -> Formula:
    """`<A, A0> >= 0` and `<A, A0>^2 >= share |A|^2 |A0|^2`, the second up to a threshold."""
    if case.varies:
        raise Retry
    b, reference = case.b, case.values(case.attribution)
    if not any(reference):
        raise Retry
    product = b.mul(case.attribution, b.const(ExactArray.from_numbers(reference)))
    dot = b.affine(total((case.n,)), product)
    norm = b.affine(total((case.n,)), b.mul(case.attribution, case.attribution))
    share = Fraction(case.rng.randint(1, 9), 10) * sum((v * v for v in reference), Fraction(0))
    wide = _bound(case, Form.of({(b.mul(dot, dot), 0): 1, (norm, 0): -share}))
    return And((Atom(Form.of({(dot, 0): 1})), wide))


def _claim_class(case: Case) -> Formula:
    values = case.values(case.logits)
    c = max(range(len(values)), key=values.__getitem__)
    if values.count(values[c]) > 1:
        raise Retry
    return And(tuple(
        Atom(Form.of({(case.logits, c): 1, (case.logits, j): -1}), case.rng.random() < 0.5)
        for j in range(len(values)) if j != c
    ))


def _claim_sign(case: Case) -> Formula:
    values = case.values(case.attribution)
    parts = tuple(
        Atom(Form.of({(case.attribution, i): 1 if v > 0 else -1}), case.rng.random() < 0.5)
        for i, v in enumerate(values) if v != 0
    )
    return AtLeast(max(1, len(parts) - case.rng.randint(0, 1)), parts)


def _claim_top(case: Case) -> Formula:
    """Top-k overlap with the reference: at least m of its k winners beat all the others."""
    values = case.values(case.attribution)
    k = case.rng.randint(1, case.n - 1)
    order = sorted(range(case.n), key=lambda i: -values[i])
    if values[order[k - 1]] == values[order[k]]:
        raise Retry
    outer, losers = case.rng.randint(1, k), tuple(sorted(order[k:]))
    inner = case.rng.choice((len(losers), len(losers), max(1, len(losers) - 1)))
    winners = tuple(sorted(order[:k]))
    return Dominance(case.attribution, winners, losers, outer, inner, case.rng.random() < 0.5)


def _claim_monotone(case: Case) -> Formula:
    i, sign = case.rng.randrange(case.n), case.rng.choice((1, -1))
    return Atom(Form.of({(case.attribution, i): sign}))


BOUNDS: dict[str, Callable[[Case], Formula]] = {
    "component": _claim_component, "output": _claim_output, "order": _claim_order,
    "mass": _claim_mass, "l1": _claim_l1, "linf": _claim_linf, "l2": _claim_l2,
    "cosine": _claim_cosine,
}
"""Claims that set a threshold from the exact worst case."""

FIXED: dict[str, Callable[[Case], Formula]] = {
    "class": _claim_class, "sign": _claim_sign, "top": _claim_top, "monotone": _claim_monotone,
}
"""Claims without a threshold."""


def _claim(case: Case, kind: str) -> Formula:
    return (BOUNDS.get(kind) or FIXED[kind])(case)


def _combined(case: Case, how: str) -> Formula:
    """Two claims joined by all or any, the negation of one, or one under an assumption."""
    rng = case.rng
    first, second = (rng.choice((*BOUNDS, *FIXED)) for _ in range(2))
    case.words.append(f"{first} {second}" if how in ("all", "any") else first)
    if how == "assume":
        case.assume = _claim_class(case) if rng.random() < 0.5 else Atom(
            Form.of({(case.x, 0): 1, (case.x, 1): -1}, case.x0[1] - case.x0[0]), True)
        return _claim(case, first)
    if how == "not":
        case.truth = not case.truth
        return negate(_claim(case, first))
    parts = (_claim(case, first), _claim(case, second))
    return And(parts) if how == "all" else Or(parts)


# --- questions ------------------------------------------------------------------------------

KINDS = (*BOUNDS, *BOUNDS, *BOUNDS, *FIXED, *FIXED, "all", "any", "not", "assume", "assume")


def _draw(rng: random.Random, kind: str, truth: bool, kinky: bool) -> tuple[Case, Formula]:
    case = _case(rng)
    case.truth, case.kinky = truth, kinky
    simple = kind in BOUNDS or kind in FIXED
    return case, _claim(case, kind) if simple else _combined(case, kind)


def question(seed: int) -> Question:
    """The question of this seed. Draws again until the truth is as the seed wants it: true, false
    or, for one in twenty (where such a draw is found), violated on kinks only."""
    rng = random.Random(seed)
    truth, kinky, kind = rng.random() < 0.5, rng.random() < 0.05, rng.choice(KINDS)
    for attempt in range(1000):
        on_kinks = kinky and attempt < 60
        try:
            case, require = _draw(rng, kind, truth and not on_kinks, on_kinks)
        except Retry:
            continue
        problem = replace(case.problem(require), name=f"question {seed}")
        answer = decide(problem, 20.0)
        if _truth(answer) == ("kink" if on_kinks else truth):
            words = ", ".join([kind, *case.words])
            products = case.varies or "l2" in words or "cosine" in words
            return Question(seed, problem, kind, words, case.near, products)
    raise RuntimeError(f"no question found for seed {seed}")


def _truth(answer: Answer) -> bool | str:
    """True, False, "kink" (violated on kinks only) or why there is no answer."""
    known = {Status.INFEASIBLE: True, Status.OPTIMAL: False}
    if answer.status in known:
        return known[answer.status]
    return "kink" if "kink" in answer.note else answer.note or answer.stop.value
