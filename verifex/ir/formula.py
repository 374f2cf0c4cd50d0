"""Formulas over graph values: and, or, at-least-k over linear atoms, true, false or open.

An atom is `sum c * value(node)[index] + const >= 0` (or `> 0`). `Dominance` is a whole block of
pairwise comparisons held as two index lists, so that top-100 of 784 is one object, not 68,400.
Whatever is worked out from a formula's parts upward is a `fold`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import chain
from typing import TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from verifex.ir.exact import ExactArray, FloatArray, Number
from verifex.limits.checkpoint import checkpoint

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

    @property
    def needed(self) -> int:
        """How many of the parts have to hold."""
        return len(self.parts)


@dataclass(frozen=True)
class Or:
    """Some of `parts`; the empty disjunction is false."""

    parts: tuple[Formula, ...]

    @property
    def needed(self) -> int:
        """How many of the parts have to hold."""
        return 1


@dataclass(frozen=True)
class AtLeast:
    """At least `count` of `parts`."""

    count: int
    parts: tuple[Formula, ...]

    @property
    def needed(self) -> int:
        """How many of the parts have to hold."""
        return self.count


@dataclass(frozen=True, eq=False)
class OpenPairs:
    """What bounds leave of a block's comparisons: `open` (winners, losers) marks the pairs that
    they do not decide, and `needed` (winners,) says how many of its open pairs a winner has to win.
    """

    open: NDArray[np.bool_]
    needed: NDArray[np.intp]


@dataclass(frozen=True)
class Dominance:
    """At least `outer` of `winners` w have at least `inner` of `losers` l with `v[w] - v[l] > 0`.

    `v` is the value of `node`. With `sense` -1 the comparison is `v[l] - v[w]`; it is `>= 0` when
    not strict. Every winner differs from every loser. `pairs`: only these comparisons are left
    (`simplify` found the others decided), and `inner` no longer counts.
    """

    node: int
    winners: tuple[int, ...]
    losers: tuple[int, ...]
    outer: int
    inner: int
    strict: bool = True
    sense: int = 1
    pairs: OpenPairs | None = None

    def pair(self, winner: int, loser: int) -> Atom:
        """The comparison of one winner with one loser."""
        first = (self.node, winner), _ONE if self.sense > 0 else _MINUS_ONE
        second = (self.node, loser), _MINUS_ONE if self.sense > 0 else _ONE
        return Atom(Form((first, second) if winner < loser else (second, first)), self.strict)

    def expand(self) -> Formula:
        """The same thing written out; as many atoms as there are comparisons left."""
        if self.pairs is None:
            return AtLeast(self.outer, tuple(
                AtLeast(self.inner, tuple(self.pair(w, x) for x in self.losers))
                for w in self.winners))
        rows = []
        for w, needed, line in zip(
            self.winners, self.pairs.needed.tolist(), self.pairs.open, strict=True
        ):
            rows.append(_at_least(
                needed, [self.pair(w, self.losers[c]) for c in np.flatnonzero(line)]))
        return _at_least(self.outer, rows)

    def left(self) -> OpenPairs:
        """The comparisons that are left: all of them unless bounds have decided some."""
        if self.pairs is not None:
            return self.pairs
        shape = len(self.winners), len(self.losers)
        return OpenPairs(np.ones(shape, dtype=bool), np.full(shape[0], self.inner, dtype=np.intp))


_ONE, _MINUS_ONE = Fraction(1), Fraction(-1)

Junction: TypeAlias = And | Or | AtLeast
Formula: TypeAlias = Atom | And | Or | AtLeast | Dominance

TRUE: Formula = And(())
FALSE: Formula = Or(())

T = TypeVar("T")


def shifted(form: Form, by: Fraction) -> Form:
    """The form plus a constant."""
    return Form(form.terms, form.const + by)


def compare(form: Form, key: str, value: Fraction) -> Atom:
    """The atom `form KEY value`; KEY is at_least, above, at_most or below."""
    if key in ("at_least", "above"):
        return Atom(shifted(form, -value), strict=key == "above")
    return Atom(shifted(-form, value), strict=key == "below")


def fold(
    formula: Formula,
    atom: Callable[[Atom], T],
    join: Callable[[Junction, list[T]], T],
    block: Callable[[Dominance], T] | None = None,
) -> T:
    """One result for a whole formula, from the leaves up: `atom` gives that of an atom, `join` that
    of a junction from those of its parts (`Junction.needed` of which have to hold), and `block`
    that of a block of comparisons, which is written out where there is no such rule."""
    match formula:
        case Atom():
            return atom(formula)
        case Dominance():
            return fold(formula.expand(), atom, join) if block is None else block(formula)
        case And() | Or() | AtLeast():
            checkpoint()
            return join(formula, [fold(p, atom, join, block) for p in formula.parts])


def negate(formula: Formula) -> Formula:
    """The negation, with every negation pushed into the atoms."""
    return fold(formula, _negate_atom, _negate_junction, _negate_block)


def _negate_atom(formula: Atom) -> Formula:
    return Atom(-formula.form, not formula.strict)


def _negate_junction(formula: Junction, parts: list[Formula]) -> Formula:
    match formula:
        case And():
            return Or(tuple(parts))
        case Or():
            return And(tuple(parts))
        case AtLeast():
            return AtLeast(len(parts) - formula.count + 1, tuple(parts))


def _negate_block(formula: Dominance) -> Formula:
    pairs = formula.pairs
    return replace(
        formula,
        outer=len(formula.winners) - formula.outer + 1,
        inner=len(formula.losers) - formula.inner + 1,
        strict=not formula.strict,
        sense=-formula.sense,
        pairs=None if pairs is None else OpenPairs(
            pairs.open, pairs.open.sum(axis=1) - pairs.needed + 1),
    )


def holds(formula: Formula, values: Mapping[int, ExactArray]) -> bool:
    """The truth of the formula at exact node values (unbatched)."""

    def atom(formula: Atom) -> bool:
        value = formula.form.value(values)
        return value > 0 if formula.strict else value >= 0

    def block(formula: Dominance) -> bool:
        flat, left = values[formula.node].num.ravel(), formula.left()
        diff = formula.sense * (
            flat[list(formula.winners)][:, None] - flat[list(formula.losers)][None, :]
        )
        wins = np.asarray(diff > 0 if formula.strict else diff >= 0, dtype=bool) & left.open
        return int((wins.sum(axis=1) >= left.needed).sum()) >= formula.outer

    return fold(formula, atom, lambda junction, parts: sum(parts) >= junction.needed, block)


def atoms(formula: Formula) -> Iterator[Atom]:
    """All atoms, dominance blocks written out."""
    return iter(fold(
        formula, lambda atom: [atom], lambda _, parts: list(chain.from_iterable(parts))))


def cells(formula: Formula) -> set[Cell]:
    """The node elements that the formula reads."""
    return fold(
        formula,
        lambda atom: {cell for cell, _ in atom.form.terms},
        lambda _, parts: set[Cell]().union(*parts),
        lambda block: {(block.node, i) for i in (*block.winners, *block.losers)},
    )


def nodes(formula: Formula) -> set[int]:
    """The nodes that the formula reads."""
    return fold(
        formula,
        lambda atom: {node for (node, _), _ in atom.form.terms},
        lambda _, parts: set[int]().union(*parts),
        lambda block: {block.node},
    )


def simplify(
    formula: Formula, lo: Mapping[int, FloatArray], hi: Mapping[int, FloatArray]
) -> Formula:
    """What is left open under bounds of the node values: TRUE, FALSE or a smaller formula.

    `lo` and `hi` map nodes to float64 arrays of the node's shape that contain the exact values.
    A block stays one object, with the comparisons that are left (`written_out` makes atoms).
    Sound: an atom is decided only by exact arithmetic on the bounds (differences of floats are
    compared as floats without subtracting, which is exact).
    """
    return fold(
        formula,
        lambda atom: _simplify_atom(atom, lo, hi),
        lambda junction, parts: _at_least(junction.needed, parts),
        lambda block: _simplify_dominance(block, lo[block.node].ravel(), hi[block.node].ravel()),
    )


def written_out(formula: Formula) -> Formula:
    """The same formula with an atom for every comparison of its blocks, and no TRUE or FALSE in
    it."""
    return fold(
        formula, lambda atom: atom, lambda junction, parts: _at_least(junction.needed, parts))


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


def _simplify_dominance(dominance: Dominance, low: FloatArray, high: FloatArray) -> Formula:
    """A block under bounds (size,) of its node: winners and losers that matter no more are left
    out, and of the others' comparisons only those that the bounds do not decide are kept."""
    w, x = np.array(dominance.winners, dtype=np.intp), np.array(dominance.losers, dtype=np.intp)
    winners, losers = (low[w][:, None], high[w][:, None]), (low[x][None], high[x][None])
    # The comparison is a - b > 0 (or >= 0), with rows for winners and columns for losers.
    (a_lo, a_hi), (b_lo, b_hi) = (
        (winners, losers) if dominance.sense > 0 else (losers, winners)
    )
    known = dominance.left()
    sure = (a_lo > b_hi if dominance.strict else a_lo >= b_hi) & known.open
    never = a_hi <= b_lo if dominance.strict else a_hi < b_lo
    needed, open_ = known.needed - sure.sum(axis=1), known.open & ~(sure | never)
    row_true, row_false = needed <= 0, open_.sum(axis=1) < needed
    outer = dominance.outer - int(row_true.sum())
    rows = np.flatnonzero(~(row_true | row_false))
    if outer <= 0:
        return TRUE
    if outer > len(rows):
        return FALSE
    columns = np.flatnonzero(open_[rows].any(axis=0))
    pairs = OpenPairs(open_[np.ix_(rows, columns)], needed[rows])
    return replace(
        dominance, winners=tuple(w[rows].tolist()), losers=tuple(x[columns].tolist()),
        outer=outer, pairs=pairs)
