"""Formulas: what can be asked about a point is a count of inequalities that hold there."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from fractions import Fraction
from typing import Generic, NamedTuple, TypeVar

from ..graph.forms import ONE, Form, total

Leaf = TypeVar("Leaf")


class ClaimAtom(NamedTuple):
    """The inequality form >= 0, or form > 0 if it is strict."""

    form: Form
    strict: bool


class AtLeastOf(NamedTuple, Generic[Leaf]):
    """At least so many of the parts hold as are needed: all of them for "and", one for "or"."""

    needed: int
    parts: tuple[Leaf | AtLeastOf[Leaf], ...]


class ValueBound(NamedTuple):
    """sign * (value - limit) >= 0, or > 0 if it is strict."""

    sign: int
    strict: bool
    limit: Fraction

    def atom(self, form: Form, unit: Form = ({}, ONE)) -> ClaimAtom:
        """The bound on a form, the limit being in units of another form (which is not negative)."""
        sign = Fraction(self.sign)
        terms = [(form, sign), (unit, -sign * self.limit)]
        return ClaimAtom(total(terms), self.strict)

    def keeps(self, value: Fraction) -> bool:
        """Whether a number keeps the bound."""
        distance = self.sign * (value - self.limit)
        return distance > 0 or (distance == 0 and not self.strict)


Formula = ClaimAtom | AtLeastOf[ClaimAtom]
NumberedFormula = int | AtLeastOf[int]
"""A formula whose atoms are numbers, see `numbered`."""


def all_of(parts: Iterable[Formula]) -> Formula:
    """All parts hold. A single part stands for itself; of no parts, all hold."""
    found = tuple(parts)
    return found[0] if len(found) == 1 else AtLeastOf(len(found), found)


def any_of(parts: Iterable[Formula]) -> Formula:
    """Some part holds."""
    return AtLeastOf(1, tuple(parts))


def negate(formula: Formula) -> Formula:
    """The contrary, with the negation pushed into the atoms.

    Not form >= 0 is -form > 0, and the other way round. Fewer than k of n hold where at least
    n - k + 1 do not.
    """
    if isinstance(formula, AtLeastOf):
        count = len(formula.parts) - formula.needed + 1
        return AtLeastOf(count, tuple(negate(part) for part in formula.parts))
    return ClaimAtom(total([(formula.form, -1)]), not formula.strict)


def numbered(formula: Formula, atoms: list[ClaimAtom]) -> NumberedFormula:
    """The formula with its atoms, from left to right, appended to a list and named by position."""
    if isinstance(formula, AtLeastOf):
        return AtLeastOf(formula.needed, tuple(numbered(part, atoms) for part in formula.parts))
    atoms.append(formula)
    return len(atoms) - 1


def can_hold(formula: NumberedFormula, is_false: Callable[[int], bool]) -> bool:
    """Whether a formula can be true where just these atoms are known to be false.

    Sound: no atom stands under a negation, so a formula that is false with all others true is
    false whatever they are.
    """
    if isinstance(formula, int):
        return not is_false(formula)
    missing, spare = formula.needed, len(formula.parts) - formula.needed
    for part in formula.parts:
        if missing <= 0 or spare < 0:
            break
        if can_hold(part, is_false):
            missing -= 1
        else:
            spare -= 1
    return missing <= 0


def can_hold_beside(
    formula: NumberedFormula, false: AbstractSet[int], joint: Sequence[AbstractSet[int]],
    first: Sequence[int],
) -> bool:
    """Whether a formula can be true where some atoms are false, and of each set in `joint` at least
    one. Atom k is the same as atom first[k], and known to be false if that one is.

    Sound: suppose that the formula is true. An atom with which false it could not be is true, then.
    If that is so of all atoms of a set but one, that one is false, which may decide other sets. If
    it is so of all of them, one of them is false all the same: the formula is not true.
    """
    known, needed, waiting, more = set(false), set[int](), list(joint), True

    def possible(without: AbstractSet[int]) -> bool:
        return can_hold(formula, lambda atom: first[atom] in without)

    while more:
        more, kept, spare = False, list[AbstractSet[int]](), set[int]()
        for together in waiting:
            for atom in sorted(together - needed - spare):
                (spare if possible({atom, *known}) else needed).add(atom)
            left = together - needed
            if len(left) > 1:
                kept.append(together)
            else:
                known |= left or together
                more, spare = True, set()
        if more and not possible(known):
            return False
        waiting = kept
    return True


InputBounds = dict[tuple[int, int], Fraction]
"""(flat input, sign) -> bound: sign * input >= bound."""


def input_positions(flat_inputs: Sequence[Form]) -> dict[tuple[int, int], int]:
    """The position of each flat input, by the element of the graph that it is."""
    return {element: position for position, (coefficients, _) in enumerate(flat_inputs)
            for element in coefficients}


def hull(formula: Formula, positions: Mapping[tuple[int, int], int]) -> InputBounds:
    """What a formula implies about single inputs, see `input_positions`.

    Sound: in "at least k of n", some k parts hold. A bound that fewer than k parts leave open is
    stated by one of them at least; in the worst case the k weakest statements are the true ones,
    counting a part that states nothing as the weakest, and the strongest of these holds: the k-th
    from below. ("And" takes the strongest of all, "or" the weakest, which all must state.) A
    count of 0 says nothing.
    """
    if isinstance(formula, ClaimAtom):
        return _stated(formula, positions)
    found: dict[tuple[int, int], list[Fraction]] = {}
    for part in formula.parts:
        for side, bound in hull(part, positions).items():
            found.setdefault(side, []).append(bound)
    implied: InputBounds = {}
    for side, bounds in found.items():
        silent = len(formula.parts) - len(bounds)
        if silent < formula.needed <= len(formula.parts):
            implied[side] = sorted(bounds)[formula.needed - silent - 1]
    return implied


def _stated(atom: ClaimAtom, positions: Mapping[tuple[int, int], int]) -> InputBounds:
    """An atom about a single input: c x + d >= 0 says sign(c) x >= -d / |c|."""
    coefficients, constant = atom.form
    if len(coefficients) != 1:
        return {}
    ((element, factor),) = coefficients.items()
    if element not in positions:
        return {}
    return {(positions[element], 1 if factor > 0 else -1): Fraction(-constant, abs(factor))}
