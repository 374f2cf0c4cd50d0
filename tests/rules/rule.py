"""What a rule is: assumptions and a claim over all real numbers, each of which can be spoiled.

A rule is a function that states itself to a `Statement`. It says `given` for what it assumes and
`sign` for what may be turned; so the same function states the rule and every spoiling of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import z3

from tests.rules.paths import Path, Symbol, paths

Term = Any
"""A number or a condition of z3, which has no types of its own."""

WITHOUT, TURNED, MOVED = "without: ", "turned: ", "moved inward: "


class Statement:
    """Collects a rule, or the spoiling of it that `spoiled` names."""

    def __init__(self, spoiled: str = "") -> None:
        self.spoiled = spoiled
        self.assumptions: list[Term] = []
        self.spoilings: list[str] = []

    def given(self, name: str, *conditions: Term) -> None:
        """Assume conditions; the rule is false without them."""
        self.spoilings.append(WITHOUT + name)
        if self.spoiled != WITHOUT + name:
            self.assumptions += conditions

    def surely(self, *conditions: Term) -> None:
        """Assume what is so by definition, or what the rule may do without."""
        self.assumptions += conditions

    def typical(self, *conditions: Term) -> None:
        """Where to look for what is false without an assumption; nothing that the rule assumes."""
        if self.spoiled:
            self.assumptions += conditions

    def sign(self, name: str, value: Term) -> Term:
        """A number whose sign the rule depends on."""
        self.spoilings.append(TURNED + name)
        return -value if self.spoiled == TURNED + name else value

    def end(self, name: str, value: Term, inward: int) -> Term:
        """An end of an interval, which may not lie further inward, by 1 in that direction."""
        self.spoilings.append(MOVED + name)
        return value + inward if self.spoiled == MOVED + name else value

    def followed(self, run: Callable[[Path], Term]) -> Term:
        """What code shows on every path that it can take (see `paths`)."""
        return z3.And([
            z3.Implies(z3.And(path.conditions), z3.And(claim, *path.due))
            for path, claim in paths(run, self.assumptions)])


Rule = Callable[[Statement], Term]
"""States the assumptions and returns the claim."""


def question(rule: Rule, spoiled: str = "") -> str:
    """SMT-LIB that has a solution just if the rule, spoiled so, is false somewhere."""
    statement = Statement(spoiled)
    claim = rule(statement)
    solver = z3.Solver()
    solver.add(*statement.assumptions, z3.Not(claim))
    return str(solver.to_smt2())


def assumed(rule: Rule) -> str:
    """SMT-LIB that has a solution just if the rule's assumptions do not contradict each other."""
    statement = Statement()
    rule(statement)
    solver = z3.Solver()
    solver.add(*statement.assumptions)
    return str(solver.to_smt2())


def spoilings(rule: Rule) -> list[str]:
    """The names of all spoilings of a rule."""
    statement = Statement()
    rule(statement)
    return list(dict.fromkeys(statement.spoilings))


# terms


def reals(names: str) -> Iterator[Term]:
    """Numbers that can be anything."""
    return iter(z3.Reals(names))


def positive_part(value: Term) -> Term:
    """max(value, 0)."""
    return z3.If(value >= 0, value, z3.RealVal(0))


def is_gate(gate: Term, preact: Term) -> Term:
    """The gate of a pre-activation: 0 or 1, and either at 0."""
    return z3.And(
        z3.Or(gate == 0, gate == 1), z3.Implies(preact > 0, gate == 1),
        z3.Implies(preact < 0, gate == 0))


def within(value: Term, low: Term, high: Term) -> Term:
    return z3.And(low <= value, value <= high)


__all__ = [
    "Path", "Rule", "Statement", "Symbol", "Term", "assumed", "is_gate", "positive_part",
    "question", "reals", "spoilings", "within",
]
