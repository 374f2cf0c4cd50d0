"""Formulas on one linear cell: where inside the cell's polyhedron can a formula hold?"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

from verifex.errors import UnsupportedError
from verifex.ir.formula import And, AtLeast, Atom, Dominance, Formula, Or
from verifex.solvers._cells import Cells, Program, Terms, combine, habitable, half, span
from verifex.solvers._simplex import Tableau


@dataclass(frozen=True)
class Goal:
    """An atom `(sum c * value + bias) / den >= 0` (or `> 0`), or `count` of `parts` when there
    are no terms to compare (`parts` is not None)."""

    den: int = 1
    terms: Terms = ()
    bias: int = 0
    strict: bool = False
    count: int = 0
    parts: tuple[Goal, ...] | None = None


def goal_of(formula: Formula, program: Program) -> Goal:
    """The formula with its cells replaced by positions of the program."""
    match formula:
        case Atom():
            form = formula.form
            den = math.lcm(form.const.denominator, *(c.denominator for _, c in form.terms))
            terms = tuple(
                (c.numerator * (den // c.denominator), program.at[cell]) for cell, c in form.terms
            )
            bias = form.const.numerator * (den // form.const.denominator)
            return Goal(den, terms, bias, formula.strict)
        case And():
            return Goal(
                count=len(formula.parts), parts=tuple(goal_of(p, program) for p in formula.parts)
            )
        case Or():
            return Goal(count=1, parts=tuple(goal_of(p, program) for p in formula.parts))
        case AtLeast():
            return Goal(
                count=formula.count, parts=tuple(goal_of(p, program) for p in formula.parts)
            )
        case Dominance():
            return goal_of(formula.expand(), program)


@dataclass(frozen=True)
class _Count:
    """At least `count` of `parts`, none of them decided yet."""

    count: int
    parts: tuple[_Open, ...]


_Row: TypeAlias = tuple[tuple[int, ...], bool]  # (a_1 .. a_n, c) with a.u + c >= 0, and strict
_Open: TypeAlias = _Row | _Count


def _decided(goal: Goal, walk: Cells) -> bool | _Open:
    """The truth of the goal on the current cell where the box of u tells it, else what is open."""
    if goal.parts is None:
        value = combine(goal.den, goal.terms, goal.bias, walk.values, walk.width)
        if isinstance(value, str):
            raise UnsupportedError(value, key="regions")
        lo, hi = span(value[1])
        if lo > 0 or (lo == 0 and not goal.strict):
            return True
        if hi < 0 or (hi == 0 and goal.strict):
            return False
        return tuple(value[1]), goal.strict
    count, left = goal.count, []
    for part in goal.parts:
        settled = _decided(part, walk)
        if settled is True:
            count -= 1
        elif settled is not False:
            left.append(settled)
    # Enough parts hold everywhere on the cell; below, too few are left to make up the count.
    if count <= 0:
        return True
    return False if count > len(left) else _Count(count, tuple(left))


def satisfy(goal: Goal, walk: Cells, cell: Tableau) -> Iterator[Tableau]:
    """Non-empty parts of the cell, together all of it, on which the goal holds."""
    walk.check_time()
    settled = _decided(goal, walk)
    if settled is True:
        yield cell.copy()
    elif settled is not False:
        yield from _conjunction((settled,), cell, walk)


def _conjunction(goals: tuple[_Open, ...], tableau: Tableau, walk: Cells) -> Iterator[Tableau]:
    if not goals:
        yield tableau
        return
    first, rest = goals[0], goals[1:]
    if isinstance(first, _Count):
        if first.count == len(first.parts):
            yield from _conjunction((*first.parts, *rest), tableau, walk)
        elif first.count <= 0:
            yield from _conjunction(rest, tableau, walk)
        else:  # the first part holds, or the others make up the count without it
            part, others = first.parts[0], first.parts[1:]
            yield from _conjunction((part, _Count(first.count - 1, others), *rest), tableau, walk)
            yield from _conjunction((_Count(first.count, others), *rest), tableau, walk)
        return
    walk.check_time()
    ints, strict = first
    child = tableau.copy()
    # One row more; a part of the cell that it leaves empty is not walked any further.
    child.add(*half(list(ints), child.columns, strict))
    if habitable(child):
        yield from _conjunction(rest, child, walk)
