"""Parts of the checker that read a claim, each against its meaning: formulas, hulls, CSV, top-k."""

from __future__ import annotations

import csv
import io
import itertools
import random
from collections.abc import Sequence
from fractions import Fraction

import pytest

from tests.helpers.checker_nets import CHECKER
from verifex.certificate.checker.failures import Bad
from verifex.certificate.checker.spec.data.csv_rows import quoted_lines, records
from verifex.certificate.checker.spec.formulas import (
    AtLeastOf,
    ClaimAtom,
    Formula,
    NumberedFormula,
    all_of,
    any_of,
    can_hold,
    can_hold_beside,
    hull,
    negate,
    numbered,
)
from verifex.certificate.checker.spec.properties.known import PROPERTIES
from verifex.certificate.checker.spec.properties.top_k import overlapping

INPUTS = {(0, 0): 0, (0, 1): 1}


def value(atom: ClaimAtom, x: Sequence[Fraction]) -> Fraction:
    coefficients, constant = atom.form
    return sum((c * x[i] for (_, i), c in coefficients.items()), constant)


def truth(formula: Formula, x: Sequence[Fraction]) -> bool:
    if isinstance(formula, AtLeastOf):
        return sum(truth(part, x) for part in formula.parts) >= formula.needed
    found = value(formula, x)
    return found > 0 or (found == 0 and not formula.strict)


def some_formula(rng: random.Random, depth: int) -> Formula:
    if depth == 0 or rng.random() < .2:
        picked = rng.sample(range(2), rng.choice([1, 1, 1, 2]))
        form = {(0, i): Fraction(rng.choice([-2, -1, 1, 3])) for i in picked}
        return ClaimAtom((form, Fraction(rng.randint(-4, 4), 2)), rng.random() < .5)
    parts = tuple(some_formula(rng, depth - 1) for _ in range(rng.randint(1, 4)))
    return AtLeastOf(rng.randint(0, len(parts) + 1), parts)


def points(rng: random.Random, count: int) -> list[list[Fraction]]:
    return [[Fraction(rng.randint(-12, 12), 4) for _ in range(2)] for _ in range(count)]


def test_a_hull_holds_wherever_the_formula_does() -> None:
    rng, held = random.Random(1), 0
    for _ in range(400):
        formula = some_formula(rng, 3)
        implied = hull(formula, INPUTS)
        for x in points(rng, 40):
            if truth(formula, x):
                held += len(implied)
                assert all(sign * x[i] >= bound for (i, sign), bound in implied.items())
    assert held > 1000


def at_least(sign: int, bound: int) -> ClaimAtom:
    """sign * x0 >= bound."""
    return ClaimAtom(({(0, 0): Fraction(sign)}, Fraction(-bound)), False)


@pytest.mark.parametrize(("formula", "implied"), [
    (at_least(1, 3), 3),
    (all_of([at_least(1, 3), at_least(1, 5), at_least(-1, 0)]), 5),
    (any_of([at_least(1, 3), at_least(1, 5)]), 3),
    (any_of([at_least(1, 3), at_least(-1, 5)]), None),
    (AtLeastOf(2, (at_least(1, 3), at_least(1, 5), at_least(1, 7))), 5),
    (AtLeastOf(2, (at_least(1, 3), at_least(1, 5), at_least(-1, 0))), 3),
    (AtLeastOf(0, (at_least(1, 3),)), None),
    (AtLeastOf(2, (at_least(1, 3),)), None),
    (AtLeastOf(0, ()), None),
])
def test_a_hull_is_as_tight_as_counting_allows(formula: Formula, implied: int | None) -> None:
    assert hull(formula, INPUTS).get((0, 1)) == implied
    assert (0, 1) not in hull(formula, {})  # an element that is no input


def test_the_negation_is_the_contrary() -> None:
    rng = random.Random(2)
    for _ in range(200):
        formula = some_formula(rng, 3)
        for x in points(rng, 10):
            assert truth(negate(formula), x) != truth(formula, x)


def test_what_cannot_hold_is_false() -> None:
    """With the atoms that are false at a point named, the formula can hold just where it does."""
    rng = random.Random(3)
    for _ in range(200):
        formula = some_formula(rng, 3)
        atoms: list[ClaimAtom] = []
        named: NumberedFormula = numbered(formula, atoms)
        for x in points(rng, 10):
            false = {k for k, atom in enumerate(atoms) if not truth(atom, x)}
            assert can_hold(named, lambda k: k in false) == truth(formula, x)  # noqa: B023
            fewer = {k for k in false if rng.random() < .5}
            assert can_hold(named, lambda k: k in fewer) >= truth(formula, x)  # noqa: B023


def numbers_hold(formula: NumberedFormula, false: set[int]) -> bool:
    """Whether a formula is true where just these atoms are false."""
    if isinstance(formula, int):
        return formula not in false
    return sum(numbers_hold(part, false) for part in formula.parts) >= formula.needed


def some_numbers(rng: random.Random, depth: int) -> NumberedFormula:
    if not depth or rng.random() < .3:
        return rng.randrange(6)
    parts = tuple(some_numbers(rng, depth - 1) for _ in range(rng.randint(1, 3)))
    return AtLeastOf(rng.choice([1, len(parts), rng.randint(0, len(parts))]), parts)


def test_what_cannot_hold_beside_sets_is_false() -> None:
    """Of each set some atom is false: what is refused so is false for all such choices."""
    rng, refused, combined = random.Random(4), 0, 0
    for _ in range(1500):
        either = AtLeastOf(1, (some_numbers(rng, 1), some_numbers(rng, 1)))
        formula = AtLeastOf(2, (0, either)) if rng.random() < .5 else (
            some_numbers(rng, 3))
        false = set(rng.sample(range(6), rng.randint(0, 1)))
        joint = [{rng.choice([0, rng.randrange(6)]), *rng.sample(range(6), rng.randint(1, 2))}
                 for _ in range(rng.randint(1, 5))]
        if can_hold_beside(formula, false, joint, range(6)):
            continue
        refused += 1
        combined += all(can_hold_beside(formula, false, [one], range(6)) for one in joint)
        for count in range(7):
            for chosen in map(set, itertools.combinations(range(6), count)):
                if false <= chosen and all(one & chosen for one in joint):
                    assert not numbers_hold(formula, chosen), (formula, false, joint)
    assert refused > 100
    assert combined > 10


def test_sets_of_an_alternative_are_used_one_after_the_other() -> None:
    """Of 0 and (1 or 2): not 0 with 1 and not 0 with 2 leaves nothing; one of both is not enough,
    and neither are both where there is another alternative."""
    formula, first = AtLeastOf(2, (0, AtLeastOf(1, (1, 2)))), range(4)
    assert not can_hold_beside(formula, set(), [{0, 1}, {0, 2}], first)
    assert can_hold_beside(formula, set(), [{0, 1}], first)
    assert can_hold_beside(formula, set(), [{0, 1}, {1, 2}], first)
    assert can_hold_beside(AtLeastOf(1, (formula, 3)), set(), [{0, 1}, {0, 2}], first)
    # Atom 3 is atom 2 again: what is false of one is so of the other.
    twice = AtLeastOf(2, (0, AtLeastOf(1, (1, 2, 3))))
    assert can_hold_beside(twice, set(), [{0, 1}, {0, 2}], first)
    assert not can_hold_beside(twice, set(), [{0, 1}, {0, 2}], [0, 1, 2, 2])


@pytest.mark.parametrize("size", [2, 3, 4])
def test_the_overlap_of_top_k_by_its_definition(size: int) -> None:
    """m of the k winners are among the k largest, however ties are broken."""
    forms = [({(0, i): Fraction(1)}, Fraction(0)) for i in range(size)]
    for k in range(1, size + 1):
        for m in range(1, k + 1):
            formula = overlapping(forms, list(range(k)), list(range(k, size)), m)
            for x in itertools.product(range(3), repeat=size):
                # Ties count against: a loser comes before a winner of the same value.
                order = sorted(range(size), key=lambda i: (-x[i], i < k))
                assert truth(formula, [Fraction(v) for v in x]) == (
                    sum(i < k for i in order[:k]) >= m)


# --- CSV ----------------------------------------------------------------------------------------


def test_rows_with_and_without_quotes_are_the_same() -> None:
    """A file is split at its commas, and parsed if it has quotes: both find the same cells."""
    rng = random.Random(4)
    for _ in range(200):
        width = rng.randint(1, 4)
        rows = [[rng.choice(["a", "1.5", " b ", "x y"]) for _ in range(width)]
                for _ in range(rng.randint(1, 5))]
        end = rng.choice(["\n", "\r\n", "\r"])
        plain = end.join(",".join(row) for row in rows) + rng.choice(["", end, end + end])
        quoted = end.join(",".join(f'"{cell}"' if rng.random() < .5 else cell for cell in row)
                          for row in rows) + rng.choice(["", end])
        assert list(records(plain)) == list(records(quoted)) == rows
        assert [row for row in quoted_lines(plain) if row] == rows


def test_quoted_cells_as_the_csv_module_reads_them() -> None:
    rng = random.Random(5)
    pieces = ["a", "", ",", '""', "\n", "\r\n", " ", "1e-3"]
    for _ in range(300):
        cells = ["".join(rng.choice(pieces) for _ in range(rng.randint(1, 4))) for _ in range(3)]
        source = "x,y,z\n" + ",".join(f'"{cell}"' for cell in cells) + rng.choice(["", "\n", "\r"])
        wanted = list(csv.reader(io.StringIO(source, newline=""), strict=True))
        assert list(records(source)) == [row for row in wanted if row]


@pytest.mark.parametrize("source", [
    'a"b,c\n', '"a"b,c\n', 'a,"b', 'a,"b""\n', 'a,b\nc\n', "a,b\n  \n", "a\0,b\n", 'a,b\n""\n',
])
def test_texts_that_are_no_csv_are_refused(source: str) -> None:
    with pytest.raises(Bad):
        list(records(source))


def test_a_comma_at_the_end_is_followed_by_an_empty_cell() -> None:
    assert list(records('"a",')) == list(records("a,")) == [["a", ""]]


# --- one place for a property -------------------------------------------------------------------


def test_every_file_of_a_property_is_known() -> None:
    folder = CHECKER / "spec" / "properties"
    files = {path.stem for path in folder.glob("*.py")} - {"__init__", "base", "known"}
    assert {kind.build.__module__.rpartition(".")[2] for kind in PROPERTIES.values()} == files
    assert all(keyword == kind.keyword for keyword, kind in PROPERTIES.items())
