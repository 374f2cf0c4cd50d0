"""Random small questions about regions with whole numbers and one-hot groups."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction

from tests.helpers.small_nets import relu_net
from verifex.ir.formula import And, AtLeast, Atom, Form, Formula, Or
from verifex.ir.linmap import gather
from verifex.ir.model.solving import Status
from verifex.ir.problem import Objective, Problem
from verifex.ir.region import Region
from verifex.semantics.vjp import gradients
from verifex.solvers import regions

LOGITS = 3
OFFSETS = (Fraction(0), Fraction(1, 2**20), Fraction(1, 8))
"""How far thresholds lie from the worst case."""

KINDS = ("class", "sign", "top-k", "output")


@dataclass(frozen=True)
class WholeQuestion:
    """A problem whose threshold lies beside its worst case, what kind of claim it makes, and
    whether the threshold is the worst case itself."""

    problem: Problem
    kind: str
    tie: bool


def whole_region(rng: random.Random) -> Region:
    """One to three whole numbers or one-hot groups, and one or two other features."""
    integers, groups = rng.randint(0, 2), rng.randint(0, 2)
    integers = integers or int(not groups)
    sizes = [rng.randint(2, 4) for _ in range(groups)]
    lo = [Fraction(rng.randint(-3, 1)) for _ in range(integers)]
    hi = [a + rng.randint(1, 4) for a in lo]
    lo += [Fraction(0)] * sum(sizes)
    hi += [Fraction(1)] * sum(sizes)
    for _ in range(rng.randint(1, 2)):
        lo.append(-Fraction(rng.randint(0, 8), 8))
        hi.append(Fraction(rng.randint(1, 8), 8))
    ends = list(itertools.accumulate(sizes, initial=integers))
    one_hot = tuple(tuple(range(a, b)) for a, b in itertools.pairwise(ends))
    return Region(tuple(lo), tuple(hi), integers=frozenset(range(integers)), one_hot=one_hot)


def assignments(region: Region) -> Iterator[dict[int, Fraction]]:
    """All values that the whole features of a region take together."""
    grouped = {i for group in region.one_hot for i in group}
    alone = sorted(region.integers - grouped)
    values = [range(math.ceil(region.lo[i]), math.floor(region.hi[i]) + 1) for i in alone]
    for numbers in itertools.product(*values):
        for choice in itertools.product(*region.one_hot):
            found = dict(zip(alone, map(Fraction, numbers), strict=True))
            found |= {i: Fraction(int(i in choice)) for i in sorted(grouped)}
            if all(region.lo[i] <= v <= region.hi[i] for i, v in found.items()):
                yield found


def fixed(region: Region, values: dict[int, Fraction]) -> Region:
    """The region with some features held at these values."""
    lo, hi = (
        tuple(values.get(i, v) for i, v in enumerate(side)) for side in (region.lo, region.hi))
    return replace(region, lo=lo, hi=hi)


def whole_question(seed: int) -> WholeQuestion:
    """A question about a network of one or two hidden layers; weights are k/64."""
    rng = random.Random(seed)
    region = whole_region(rng)
    n, width = region.size, rng.randint(3, 6)
    sizes = [n, *[width] * rng.randint(1, 2), LOGITS]
    b, x, f = relu_net([
        ([[rng.randint(-64, 64) / 64 for _ in range(a)] for _ in range(c)],
         [rng.randint(-32, 32) / 64 for _ in range(c)])
        for a, c in itertools.pairwise(sizes)
    ])
    (gradient,) = gradients(b, b.affine(gather((LOGITS,), 0), f), [x])
    kind, problem = KINDS[seed % len(KINDS)], Problem(
        b.build({"f": f, "a": gradient}), region, Atom(Form.of({(f, 0): 1})))
    offset, sign = rng.choice(OFFSETS), rng.choice((1, -1))
    strict = rng.random() < 0.5

    def beside(terms: dict[tuple[int, int], int]) -> Atom:
        form = Form.of(terms)
        worst = regions.optimum(problem, Objective(form, False), 60.0)
        if worst.status is not Status.OPTIMAL or worst.bound is None:
            raise ValueError("no least value")
        return Atom(Form(form.terms, sign * offset - Fraction(worst.bound)), strict)

    require: Formula
    i, *others = rng.sample(range(n), min(n, 3))
    if kind == "class":
        require = And(tuple(beside({(f, 0): 1, (f, j): -1}) for j in (1, 2)))
    elif kind == "output":
        require = Or((beside({(f, 0): 1}), beside({(f, 1): -1})))
    elif kind == "sign" or not others:
        require = beside({(gradient, i): 1})
    else:
        pairs = tuple(beside({(gradient, i): 1, (gradient, j): -1}) for j in others)
        require = AtLeast(len(pairs), pairs)
    return WholeQuestion(replace(problem, require=require), kind, offset == 0)
