"""Formulas over graph values: and, or, at-least-k over linear atoms, true, false or open.

An atom is `sum c * value(node)[index] + const >= 0` (or `> 0`). `Dominance` is a whole block of
pairwise comparisons held as two index lists, so that top-100 of 784 is one object, not 68,400.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import TypeAlias

import numpy as np

from verifex.ir.exact import ExactArray, FloatArray, Number

Cell: TypeAlias = tuple[int, int]
"""One element of one node: (node position, flat index)."""


@dataclass(frozen=True)
class Form:
    """The form `sum c * value(cell) + const`; each cell appears once, no zero coefficients."""

    terms: tuple[tuple[Cell, Fraction], ...]
    const: Fraction = Fraction(0)

    @staticmethod
    def of(terms: Mapping[Cell, Number], const: Number = 0) -> Form:
        kept = tuple((cell, Fraction(c)) for cell, c in sorted(terms.items()) if c != 0)
        return Form(kept, Fraction(const))

    def __neg__(self) -> Form:
        return Form(tuple((cell, -c) for cell, c in self.terms), -self.const)

    def value(self, values: Mapping[int, ExactArray]) -> Fraction:
        """The exact value, given exact values of the nodes (unbatched)."""
        total = self.const
        for (node, index), c in self.terms:
            array = values[node]
            total += c * Fraction(int(array.num.flat[index]), array.den)
        return total

    def bounds(
        self, lo: Mapping[int, FloatArray], hi: Mapping[int, FloatArray]
    ) -> tuple[Fraction | None, Fraction | None]:
        """Exact bounds from float bounds of the nodes (unbatched); None where unbounded."""
        low: Fraction | None = self.const
        high: Fraction | None = self.const
        for (node, index), c in self.terms:
            a, b = float(lo[node].flat[index]), float(hi[node].flat[index])
            if c < 0:
                a, b = b, a
            low = None if low is None or not np.isfinite(a) else low + c * Fraction(a)
            high = None if high is None or not np.isfinite(b) else high + c * Fraction(b)
        return low, high


@dataclass(frozen=True)
class Atom:
    """`form >= 0`, or `form > 0` when strict."""

    form: Form
    strict: bool = False


@dataclass(frozen=True)
class And:
    """All of `parts`; the empty conjunction is true."""

    parts: tuple[Formula, ...]


@dataclass(frozen=True)
class Or:
    """Some of `parts`; the empty disjunction is false."""

    parts: tuple[Formula, ...]


@dataclass(frozen=True)
class AtLeast:
    """At least `count` of `parts`."""

    count: int
    parts: tuple[Formula, ...]


@dataclass(frozen=True)
class Dominance:
    """At least `outer` of `winners` w have at least `inner` of `losers` l with `v[w] - v[l] > 0`.

    `v` is the value of `node`. With `sense` -1 the comparison is `v[l] - v[w]`; it is `>= 0` when
    not strict. Every winner differs from every loser.
    """

    node: int
    winners: tuple[int, ...]
    losers: tuple[int, ...]
    outer: int
    inner: int
    strict: bool = True
    sense: int = 1

    def pair(self, winner: int, loser: int) -> Atom:
        terms = {(self.node, winner): self.sense, (self.node, loser): -self.sense}
        return Atom(Form.of(terms), self.strict)

    def expand(self) -> Formula:
        """The same thing written out; quadratic in size."""
        rows = [
            AtLeast(self.inner, tuple(self.pair(w, x) for x in self.losers)) for w in self.winners
        ]
        return AtLeast(self.outer, tuple(rows))


Formula: TypeAlias = Atom | And | Or | AtLeast | Dominance

TRUE: Formula = And(())
FALSE: Formula = Or(())


def negate(formula: Formula) -> Formula:
    """The negation, with every negation pushed into the atoms."""
    match formula:
        case Atom():
            return Atom(-formula.form, not formula.strict)
        case And():
            return Or(tuple(negate(p) for p in formula.parts))
        case Or():
            return And(tuple(negate(p) for p in formula.parts))
        case AtLeast():
            return AtLeast(
                len(formula.parts) - formula.count + 1, tuple(negate(p) for p in formula.parts)
            )
        case Dominance():
            return Dominance(
                formula.node,
                formula.winners,
                formula.losers,
                len(formula.winners) - formula.outer + 1,
                len(formula.losers) - formula.inner + 1,
                not formula.strict,
                -formula.sense,
            )


def holds(formula: Formula, values: Mapping[int, ExactArray]) -> bool:
    """The truth of the formula at exact node values (unbatched)."""
    match formula:
        case Atom():
            value = formula.form.value(values)
            return value > 0 if formula.strict else value >= 0
        case And():
            return all(holds(p, values) for p in formula.parts)
        case Or():
            return any(holds(p, values) for p in formula.parts)
        case AtLeast():
            return sum(holds(p, values) for p in formula.parts) >= formula.count
        case Dominance():
            flat = values[formula.node].num.ravel()
            diff = formula.sense * (
                flat[list(formula.winners)][:, None] - flat[list(formula.losers)][None, :]
            )
            wins = np.asarray(diff > 0 if formula.strict else diff >= 0, dtype=bool)
            return int((wins.sum(axis=1) >= formula.inner).sum()) >= formula.outer


def atoms(formula: Formula) -> Iterator[Atom]:
    """All atoms, dominance blocks written out."""
    match formula:
        case Atom():
            yield formula
        case Dominance():
            yield from atoms(formula.expand())
        case And() | Or() | AtLeast():
            for p in formula.parts:
                yield from atoms(p)


def cells(formula: Formula) -> set[Cell]:
    """The node elements that the formula reads."""
    match formula:
        case Atom():
            return {cell for cell, _ in formula.form.terms}
        case Dominance():
            return {(formula.node, i) for i in (*formula.winners, *formula.losers)}
        case And() | Or() | AtLeast():
            return set().union(*(cells(p) for p in formula.parts))


def nodes(formula: Formula) -> set[int]:
    """The nodes that the formula reads."""
    match formula:
        case Atom():
            return {node for (node, _), _ in formula.form.terms}
        case Dominance():
            return {formula.node}
        case And() | Or() | AtLeast():
            return set().union(*(nodes(p) for p in formula.parts))


def simplify(
    formula: Formula, lo: Mapping[int, FloatArray], hi: Mapping[int, FloatArray]
) -> Formula:
    """What is left open under bounds of the node values: TRUE, FALSE or a smaller formula.

    `lo` and `hi` map nodes to float64 arrays of the node's shape that contain the exact values.
    Sound: an atom is decided only by exact arithmetic on the bounds (differences of floats are
    compared as floats without subtracting, which is exact).
    """
    match formula:
        case Atom():
            return _simplify_atom(formula, lo, hi)
        case And():
            return _at_least(len(formula.parts), [simplify(p, lo, hi) for p in formula.parts])
        case Or():
            return _at_least(1, [simplify(p, lo, hi) for p in formula.parts])
        case AtLeast():
            return _at_least(formula.count, [simplify(p, lo, hi) for p in formula.parts])
        case Dominance():
            return _simplify_dominance(formula, lo, hi)


def _simplify_atom(
    atom: Atom, lo: Mapping[int, FloatArray], hi: Mapping[int, FloatArray]
) -> Formula:
    low, high = atom.form.bounds(lo, hi)
    if low is not None and (low > 0 or (low == 0 and not atom.strict)):
        return TRUE
    if high is not None and (high < 0 or (high == 0 and atom.strict)):
        return FALSE
    return atom


def _at_least(count: int, parts: list[Formula]) -> Formula:
    """At-least-count over simplified parts, in its simplest form."""
    count -= sum(p == TRUE for p in parts)
    left = tuple(dict.fromkeys(p for p in parts if p not in (TRUE, FALSE)))
    duplicates = sum(p not in (TRUE, FALSE) for p in parts) - len(left)
    if duplicates and count > 1:  # equal parts count each: keep them all
        left = tuple(p for p in parts if p not in (TRUE, FALSE))
    if count <= 0:
        return TRUE
    if count > len(left):
        return FALSE
    if count == len(left):
        flat = [q for p in left for q in (p.parts if isinstance(p, And) else (p,))]
        return flat[0] if len(flat) == 1 else And(tuple(flat))
    if count == 1:
        flat = [q for p in left for q in (p.parts if isinstance(p, Or) else (p,))]
        return flat[0] if len(flat) == 1 else Or(tuple(flat))
    return AtLeast(count, left)


def _simplify_dominance(
    dominance: Dominance, lo: Mapping[int, FloatArray], hi: Mapping[int, FloatArray]
) -> Formula:
    low, high = lo[dominance.node].ravel(), hi[dominance.node].ravel()
    w, x = list(dominance.winners), list(dominance.losers)
    w_lo, w_hi, x_lo, x_hi = low[w][:, None], high[w][:, None], low[x][None], high[x][None]
    # The comparison is a - b > 0 (or >= 0), with rows for winners and columns for losers.
    a_lo, a_hi, b_lo, b_hi = (
        (w_lo, w_hi, x_lo, x_hi) if dominance.sense > 0 else (x_lo, x_hi, w_lo, w_hi)
    )
    sure = a_lo > b_hi if dominance.strict else a_lo >= b_hi
    never = a_hi <= b_lo if dominance.strict else a_hi < b_lo
    wins, open_ = sure.sum(axis=1), ~(sure | never)
    row_true, row_false = wins >= dominance.inner, wins + open_.sum(axis=1) < dominance.inner
    outer = dominance.outer - int(row_true.sum())
    rows = np.flatnonzero(~(row_true | row_false))
    if outer <= 0:
        return TRUE
    if outer > len(rows):
        return FALSE
    parts: list[Formula] = []
    for r in rows:
        pairs: list[Formula] = [dominance.pair(w[r], x[c]) for c in np.flatnonzero(open_[r])]
        parts.append(_at_least(dominance.inner - int(wins[r]), pairs))
    return _at_least(outer, parts)
