"""What closes a leaf: constraints and rows added, balls, atoms, formulas, regions, splits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import z3

from tests.rules.paths import Bits
from tests.rules.rule import Path, Rule, Statement, Symbol, Term, reals
from tests.rules.whole_number_rules import term
from verifex.certificate.checker.bounds import substitution
from verifex.certificate.checker.bounds.domain import Split
from verifex.certificate.checker.bounds.grid import ScaledBall
from verifex.certificate.checker.bounds.multipliers import Multipliers
from verifex.certificate.checker.failures import Empty
from verifex.certificate.checker.proof import closing
from verifex.certificate.checker.proof.atoms import Atoms
from verifex.certificate.checker.proof.closing import Deriver
from verifex.certificate.checker.spec import formulas
from verifex.certificate.checker.spec.formulas import (
    AtLeastOf,
    ClaimAtom,
    NumberedFormula,
    can_hold,
    can_hold_beside,
)

# multipliers of splits and rows


def multipliers_in_whole_numbers(state: Statement, side: int) -> Term:
    """A bound with a split's and a row's constraint taken off, both rounded, is a bound."""
    form, z, row, at, weight, row_weight = reals("form z row at weight row_weight")
    factor, power, unit, bound = reals("factor power unit bound")
    state.given("the split's multiplier at least 0", weight >= 0)
    state.given("the row's multiplier at least 0", row_weight >= 0)
    state.given("the side of the split", side * (z - at) >= 0)
    state.given("the row", row <= 0)
    state.surely(factor > 0, power > 0, unit > 0)

    def run(path: Path) -> Term:
        symbol = path.symbol
        found: list[Any] = []

        def bounded(domain: Any, terms: list[Any], using: Any) -> Any:
            found[:] = terms
            return symbol(bound)

        grid = SimpleNamespace(coefficient=Bits(symbol(power)), unit=symbol(unit))
        deriver: Any = SimpleNamespace(
            grid=grid, cuts=5, graph=SimpleNamespace(nodes={5: SimpleNamespace(size=1)}))
        deriver._weighted_terms = partial(Deriver._weighted_terms, deriver)
        domain: Any = SimpleNamespace(splits=(Split(3, 0, side, symbol(at)),))  # type: ignore[arg-type]
        using = Multipliers(splits=((0, symbol(weight)),), rows=((0, symbol(row_weight)),))  # type: ignore[arg-type]
        with patch.object(closing, "lower_bound", bounded):
            least = Deriver._rounded(deriver, domain, [], symbol(factor), using)  # type: ignore[arg-type]
        (_, _, of_z), (_, _, of_row) = found
        # In units of the grid, the form bounded is the form and these two.
        added = state.sign("the split", term(of_z)) * z + state.sign("the row", term(of_row)) * row
        constant = state.sign("the constant", term(least) - bound)
        return z3.Implies(
            (form + added) * unit >= bound, form * unit >= bound + constant)

    return state.followed(run)


# balls


def dual_norm_of_l1(state: Statement) -> Term:
    """e (centre - x) is at most radius times the greatest |e_i|."""
    e, f, t, u, radius, norm = reals("e f t u radius norm")
    state.given("the ball", _size(t) + _size(u) <= radius)
    state.given("the norm of the first", norm >= _size(e))
    state.given("the norm of the second", norm >= _size(f))
    return e * t + f * u <= state.sign("the radius", radius) * norm


def dual_norm_of_l2(state: Statement) -> Term:
    """e (centre - x) is at most radius times |e|, rounded up (Cauchy and Schwarz)."""
    e, f, t, u, radius, norm = reals("e f t u radius norm")
    state.surely(radius >= 0)
    state.given("the ball", t * t + u * u <= radius * radius)
    state.given("the norm", norm * norm >= e * e + f * f)
    state.given("the norm at least 0", norm >= 0)
    return e * t + f * u <= state.sign("the radius", radius) * norm


def _size(value: Term) -> Term:
    return z3.If(value >= 0, value, -value)


def _gain(state: Statement, power: int) -> Term:
    """A form of one input is at least its least value over the box and the gain, whatever the
    share; and a box that is said to miss the ball does."""
    c, share, x, low, high, centre, radius = reals("c share x low high centre radius")
    state.given("the lower bound", low <= x)
    state.given("the upper bound", x <= high)
    state.given("the ball", _size(x - centre) <= radius)

    def run(path: Path) -> Term:
        at = path.symbol
        ball: Any = ScaledBall(power, at(radius), {(0, 0): at(centre)})  # type: ignore[arg-type,dict-item]
        boxes: Any = {0: ([at(low)], [at(high)])}
        root = SimpleNamespace(isqrt=partial(_root, path))
        with patch.multiple(substitution, shares=lambda *_: [[at(share)]], math=root):
            try:
                found: Any = substitution._gain(ball, {0: [at(c)]}, boxes)
            except Empty:
                return z3.BoolVal(False)
        least = z3.If(c > 0, c * low, c * high)
        return c * x >= least + state.end("the gain", term(found), 1)

    return state.followed(run)


def _root(path: Path, value: Symbol) -> Symbol:
    """A square root rounded down."""
    root = z3.FreshReal("root")
    path.conditions += [root >= 0, root * root <= value.term, value.term < (root + 1) * (root + 1)]
    return path.symbol(root)


# atoms and formulas


def _atoms_together(state: Statement, strict: bool) -> Term:
    """Where the bound of minus one form and less another refutes the first, not both hold."""
    form, other, weight, least = reals("form other weight least")
    state.given("the multiplier at least 0", weight >= 0)
    state.given("the bound", -form - weight * other >= least)

    def run(path: Path) -> Term:
        atoms: Any = SimpleNamespace(strict=[strict])
        found = Atoms.refuted(atoms, 0, path.symbol(state.sign("the bound", least)))  # type: ignore[arg-type]
        holds = form > 0 if strict else form >= 0
        return z3.Not(z3.And(holds, other >= 0)) if found else z3.BoolVal(True)

    return state.followed(run)


def atom_by_itself(state: Statement) -> Term:
    """An atom `form >= 0` is false only where minus the form is above 0."""
    form, least = reals("form least")
    state.given("the bound", -form >= least)

    def run(path: Path) -> Term:
        atoms: Any = SimpleNamespace(strict=[False])
        found = Atoms.refuted(atoms, 0, path.symbol(least))  # type: ignore[arg-type]
        return z3.Not(state.sign("the form", form) >= 0) if found else z3.BoolVal(True)

    return state.followed(run)


FORMULAS: Sequence[NumberedFormula] = (
    0, AtLeastOf(2, (0, 1)), AtLeastOf(1, (0, 1)), AtLeastOf(2, (0, 1, 2)),
    AtLeastOf(2, (0, AtLeastOf(1, (1, 2)))), AtLeastOf(1, (0, AtLeastOf(2, (1, 2)))),
    AtLeastOf(0, (0,)), AtLeastOf(1, ()),
)


def _holds(formula: NumberedFormula, atoms: Sequence[Term]) -> Term:
    """Whether a formula is true where its atoms are."""
    if isinstance(formula, int):
        return atoms[formula]
    count, parts = formula
    return z3.Sum([z3.If(_holds(part, atoms), 1, 0) for part in parts] + [z3.IntVal(0)]) >= count


def formulas_are_false(state: Statement) -> Term:
    """A formula that is not possible with some atoms known to be false is false."""
    holds, known = z3.Bools("a0 a1 a2"), z3.Bools("k0 k1 k2")
    state.given("the known", *(z3.Implies(k, z3.Not(a)) for k, a in zip(known, holds, strict=True)))

    def run(formula: NumberedFormula, path: Path) -> Term:
        could = can_hold(formula, lambda atom: path.decide(known[atom]))
        return z3.BoolVal(True) if could else z3.Not(_holds(formula, holds))

    return z3.And([state.followed(partial(run, formula)) for formula in FORMULAS])


def sets_of_atoms(state: Statement) -> Term:
    """A formula that cannot hold beside sets, of each of which some atom is false, is false."""
    holds, known = z3.Bools("a0 a1 a2"), z3.Bools("k0 k1 k2")
    state.given("the known", *(z3.Implies(k, z3.Not(a)) for k, a in zip(known, holds, strict=True)))
    state.given("the sets", z3.Not(z3.And(holds[0], holds[1])), z3.Not(z3.And(holds[0], holds[2])))

    def run(formula: NumberedFormula, path: Path) -> Term:
        false = {atom for atom in range(3) if path.decide(known[atom])}
        could = can_hold_beside(formula, false, [{0, 1}, {0, 2}], range(3))
        return z3.BoolVal(True) if could else z3.Not(_holds(formula, holds))

    return z3.And([state.followed(partial(run, formula)) for formula in FORMULAS])


# regions and splits


def implied_bounds(state: Statement) -> Term:
    """What a formula says of single inputs holds wherever it is true."""
    x, y = reals("x y")
    slopes, constants = list(reals("c0 c1 c2")), list(reals("d0 d1 d2"))
    inputs = [(x, 0), (x, 0), (y, 1)]
    state.surely(*(c != 0 for c in slopes))
    holds = [
        c * value + d >= 0 for c, (value, _), d in zip(slopes, inputs, constants, strict=True)]

    def run(formula: NumberedFormula, path: Path) -> Term:
        at = path.symbol
        forms = [
            ({(0, element): at(c)}, at(d))
            for c, (_, element), d in zip(slopes, inputs, constants, strict=True)]
        atoms: list[Any] = [ClaimAtom(form, False) for form in forms]  # type: ignore[arg-type]
        with patch.object(formulas, "Fraction", partial(_quotient, path)):
            found: Any = formulas.hull(_written(formula, atoms), {(0, 0): 0, (0, 1): 1})
        values = [x, y]
        bounds = [
            sign * values[flat] >= state.end("the bound", term(bound), 1)
            for (flat, sign), bound in found.items()]
        return z3.Implies(_holds(formula, holds), z3.And(bounds))

    return z3.And([state.followed(partial(run, formula)) for formula in FORMULAS])


def _written(formula: NumberedFormula, atoms: list[Any]) -> Any:
    """The formula with atoms for their numbers."""
    if isinstance(formula, int):
        return atoms[formula]
    return AtLeastOf(formula.needed, tuple(_written(part, atoms) for part in formula.parts))


def _quotient(path: Path, value: Symbol, by: Symbol) -> Symbol:
    """A fraction."""
    found = z3.FreshReal("fraction")
    path.due.append(by.term != 0)
    path.conditions.append(found * by.term == value.term)
    return path.symbol(found)


def split_covers(state: Statement) -> Term:
    """Every point lies in x >= q or x <= q."""
    x, at = reals("x at")
    return z3.Or(x >= at, state.sign("the other side", x - at) <= 0)


def whole_split_covers(state: Statement) -> Term:
    """Every whole number lies in x >= n + 1 or x <= n."""
    x, n = z3.Ints("x n")
    return z3.Or(x >= state.end("the upper part", n + 1, 1), x <= n)


CLOSING_RULES: Mapping[str, Rule] = {
    "multipliers, rounded: z >= q": partial(multipliers_in_whole_numbers, side=1),
    "multipliers, rounded: z <= q": partial(multipliers_in_whole_numbers, side=-1),
    "ball: dual norm of l1": dual_norm_of_l1,
    "ball: dual norm of l2": dual_norm_of_l2,
    "ball: gain, l1": partial(_gain, power=1),
    "ball: gain, l2": partial(_gain, power=2),
    "atoms: one alone": atom_by_itself,
    "atoms: two together": partial(_atoms_together, strict=False),
    "atoms: two together, the first strict": partial(_atoms_together, strict=True),
    "formula: false by known atoms": formulas_are_false,
    "formula: false by a set": sets_of_atoms,
    "regions: implied bounds": implied_bounds,
    "split of an input covers": split_covers,
    "split of a whole number covers": whole_split_covers,
}
