"""Ways to spoil what format 2 added: names, shared facts, exact leaves, whole numbers, the header.

Each takes a `Case` to another, as in `corruptions`, and changes no file but the certificate: what
it is presented for stays true or false as it was.
"""

from __future__ import annotations

import copy
import random
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from typing import Any

from tests.certificate.corruptions import Case, Line
from tests.helpers.certificate_names import named, names

Change = Callable[[random.Random, Case], Case]
SPLITS = ("split", "input", "whole")


def _places(case: Case, *keys: str) -> list[int]:
    """The lines (not the header) that have one of these keys."""
    return [k for k, line in enumerate(case.lines)
            if k and isinstance(line, dict) and any(key in line for key in keys)]


def _line(case: Case, at: int) -> Line:
    line = case.lines[at]
    assert isinstance(line, dict)
    return copy.deepcopy(line)


def _with(case: Case, at: int, line: Line) -> Case:
    return replace(case, lines=(*case.lines[:at], line, *case.lines[at + 1 :]))


def _moved(case: Case, at: int, to: int) -> Case:
    """A line taken out and put in before the place that `to` is then."""
    rest = [*case.lines[:at], *case.lines[at + 1 :]]
    return replace(case, lines=(*rest[:to], case.lines[at], *rest[to:]))


def _of_groups(change: Callable[[random.Random, list[list[int]], int], None]) -> Change:
    """A change of the names of one group, which may look at all."""

    def spoil(rng: random.Random, case: Case) -> Case:
        places = _places(case, "group")
        if not places:
            return case
        groups = [names(_line(case, at)["group"]) for at in places]
        k = rng.randrange(len(places))
        if groups[k]:
            change(rng, groups, k)
        for at, group in zip(places, groups, strict=True):
            case = _with(case, at, {"group": named(group)})
        return case

    spoil.__name__ = change.__name__
    return spoil


@_of_groups
def names_swapped(rng: random.Random, groups: list[list[int]], k: int) -> None:
    i, j = (rng.randrange(len(groups[k])) for _ in range(2))
    groups[k][i], groups[k][j] = groups[k][j], groups[k][i]


@_of_groups
def names_left_out(rng: random.Random, groups: list[list[int]], k: int) -> None:
    groups[k].pop(rng.choice((0, -1, rng.randrange(len(groups[k])))))


@_of_groups
def name_of_another_group(rng: random.Random, groups: list[list[int]], k: int) -> None:
    groups[k][rng.randrange(len(groups[k]))] = rng.choice(rng.choice(groups) or [0])


@_of_groups
def names_that_collide(rng: random.Random, groups: list[list[int]], k: int) -> None:
    """Two elements, or all of a group, are given one name."""
    one = rng.choice(groups[k])
    for i in rng.sample(range(len(groups[k])), rng.randint(1, len(groups[k]))):
        groups[k][i] = one


@_of_groups
def groups_exchanged(rng: random.Random, groups: list[list[int]], k: int) -> None:
    j = rng.randrange(len(groups))
    groups[k], groups[j] = groups[j], groups[k]


@_of_groups
def names_out_of_range(rng: random.Random, groups: list[list[int]], k: int) -> None:
    """The same residue written otherwise, or none at all."""
    i = rng.randrange(len(groups[k]))
    groups[k][i] = rng.choice((groups[k][i] + (1 << 61) - 1, 0, 1, (1 << 64) - 1,
                               rng.getrandbits(64)))


def name_cut(rng: random.Random, case: Case) -> Case:
    places = _places(case, "group")
    if not places:
        return case
    at = rng.choice(places)
    text = _line(case, at)["group"]
    return _with(case, at, {"group": text[: rng.randrange(len(text) + 1)]})


def group_moved(rng: random.Random, case: Case) -> Case:
    places = _places(case, "group")
    return _moved(case, rng.choice(places), rng.randrange(1, len(case.lines))) if places else case


def group_doubled(rng: random.Random, case: Case) -> Case:
    """A group is named twice, so that the numbers of all later ones move."""
    places = _places(case, "group")
    if not places:
        return case
    at = rng.choice(places)
    return replace(case, lines=(*case.lines[:at], case.lines[at], *case.lines[at:]))


def fractions_of_another_role(rng: random.Random, case: Case) -> Case:
    places = _places(case, "fractions")
    if not places:
        return case
    at = rng.choice(places)
    line = _line(case, at)
    given = line["fractions"]
    kind, _, group = rng.choice(list(given)).partition(" ")
    other = rng.choice([k for k in ("alpha", "tie", "below", "above") if k != kind])
    given[f"{other} {group}"] = given.pop(f"{kind} {group}")
    return _with(case, at, line)


def line_moved_up(rng: random.Random, case: Case) -> Case:
    """A fact or bound of a child is put in above the split, or at the root."""
    first = min(_places(case, *SPLITS), default=len(case.lines))
    places = [at for at in _places(case, "fact", "bound") if at > first]
    if not places:
        return case
    at = rng.choice(places)
    splits = [k for k in _places(case, *SPLITS) if k < at]
    return _moved(case, at, rng.choice((splits[0], splits[-1], 1)))


def line_to_sibling(rng: random.Random, case: Case) -> Case:
    """A fact or bound of one child is put in at another."""
    places = _places(case, "fact", "bound")
    leaves = _places(case, "leaf")[:-1]
    return _moved(case, rng.choice(places), rng.choice(leaves)) if places and leaves else case


def line_of_all(rng: random.Random, case: Case) -> Case:
    """A fact or bound is copied to another place, and holds in its own as before."""
    places = _places(case, "fact", "bound")
    if not places:
        return case
    at, to = rng.choice(places), rng.randrange(1, len(case.lines))
    return replace(case, lines=(*case.lines[:to], case.lines[at], *case.lines[to:]))


def fact_of_another(rng: random.Random, case: Case) -> Case:
    """A fact of another element, or of the other sign."""
    places = _places(case, "fact")
    if not places:
        return case
    at = rng.choice(places)
    line = _line(case, at)
    k, step = rng.randrange(3), rng.choice((-1, 1))
    if k == 2:
        line["fact"][2] *= -1
    elif isinstance(line["fact"][k], list):
        elements = line["fact"][k]
        elements[rng.randrange(len(elements))] += step
    else:
        line["fact"][k] = max(0, line["fact"][k] + step)
    return _with(case, at, line)


def exact_set_or_not(rng: random.Random, case: Case) -> Case:
    places = _places(case, "exact") or _places(case, "fact", "bound")
    places += _places(case, "fact", "bound") if rng.random() < 0.5 else []
    if not places:
        return case
    at = rng.choice(places)
    line = _line(case, at)
    if "exact" in line:
        del line["exact"]
    else:
        line["exact"] = 1
    return _with(case, at, line)


def quotient_changed(rng: random.Random, case: Case) -> Case:
    """A multiplier becomes a quotient beside what it was, of a few or of many digits."""
    places = _places(case, "splits", "rows") or _places(case, "bound")
    if not places:
        return case
    at = rng.choice(places)
    line = _line(case, at)
    key = rng.choice([k for k in ("splits", "rows") if k in line] or ["splits", "rows"])
    entry = rng.choice(line.setdefault(key, [[0, 1, 0]]))
    value = Fraction(entry[1]) if len(entry) == 2 else entry[1] * Fraction(2) ** entry[2]
    value *= 1 + Fraction(rng.choice((-1, 1)), rng.choice((2, 7, 10**9, 10**30)))
    entry[1:] = [str(value + rng.choice((0, 0, Fraction(1, 3))))]
    if rng.random() < 0.5:
        line["exact"] = 1
    return _with(case, at, line)


def whole_moved(rng: random.Random, case: Case) -> Case:
    places = _places(case, "whole")
    if not places:
        return case
    at = rng.choice(places)
    line = _line(case, at)
    line["whole"][1] = rng.choice((
        line["whole"][1] + rng.choice((-2, -1, 1, 2)), f"{2 * line['whole'][1] + 1}/2"))
    return _with(case, at, line)


def whole_of_another_input(rng: random.Random, case: Case) -> Case:
    """A split of a whole number becomes one of another input, or the other way round."""
    places = _places(case, "whole", "input", "split")
    if not places:
        return case
    at = rng.choice(places)
    line = _line(case, at)
    if "whole" in line:
        i, n = line["whole"]
        other: Line = {"input": [i, str(n)]}
        return _with(case, at, rng.choice((other, {"whole": [i + rng.choice((-1, 1, 2)), n]})))
    flat, value = (0, Fraction(0)) if "split" in line else (
        line["input"][0], Fraction(line["input"][1]))
    n = value.numerator // value.denominator + rng.choice((-1, 0, 1))
    return _with(case, at, {"whole": [flat, n]})


def child_of_a_split_left_out(rng: random.Random, case: Case) -> Case:
    """A split with its first child; or its second one alone."""
    places = _places(case, *SPLITS)
    if not places:
        return case
    at = rng.choice(places)
    todo, end, middle = 1, at, 0
    while todo and end < len(case.lines):
        line = case.lines[end]
        assert isinstance(line, dict)
        todo += any(key in line for key in SPLITS) - ("leaf" in line)
        end += 1
        middle = end if todo == 1 and not middle and end > at + 1 else middle
    first, second = case.lines[at + 1 : middle], case.lines[middle:end]
    kept = rng.choice((first, second, (*second, *first), (*case.lines[at : at + 1], *second,
                                                          *first)))
    return replace(case, lines=(*case.lines[:at], *kept, *case.lines[end:]))


def split_at_a_rational(rng: random.Random, case: Case) -> Case:
    places = _places(case, "split")
    if not places:
        return case
    at = rng.choice(places)
    line = _line(case, at)
    value = Fraction(rng.randint(-9, 9), rng.choice((1, 2, 3, 64, 10**12)))
    line["split"] = [*line["split"][:2], *rng.choice(([], [str(value)], ["0"]))]
    return _with(case, at, line)


def parts_changed(rng: random.Random, case: Case) -> Case:
    places = _places(case, "parts")
    parts = rng.choice(([], [0], [1], [0, 1], [0, 0], [1, 0], [2], [-1]))
    if places and rng.random() < 0.8:
        at = rng.choice(places)
        if rng.random() < 0.3:
            return replace(case, lines=(*case.lines[:at], *case.lines[at + 1 :]))
        return _with(case, at, {"parts": parts})
    at = rng.randrange(1, len(case.lines))
    return replace(case, lines=(*case.lines[:at], {"parts": parts}, *case.lines[at:]))


def _headed(case: Case, **keys: Any) -> Case:
    return _with(case, 0, {**case.head(), **keys})


def precision_changed(rng: random.Random, case: Case) -> Case:
    """Coarser and finer grids and coefficients, and other bits of fractions."""
    bits = [rng.choice((1, 2, 8, 52, 300)), rng.choice((1, 8, 64, 300)),
            rng.choice((7, 7, 7, 1, 6, 8, 15))]
    return _headed(case, precision=bits if rng.random() < 0.9 else bits[:2])


def reference_changed(rng: random.Random, case: Case) -> Case:
    point = list(case.head().get("x0", ["0", "0"]))
    i = rng.randrange(len(point)) if point else 0
    if point:
        moved = Fraction(rng.choice((-1, 0, 1)), rng.choice((1, 10**9)))
        point[i] = str(Fraction(point[i]) + moved)
    return _headed(case, x0=point[: rng.choice((len(point), len(point), 1))])


def atoms_renamed(rng: random.Random, case: Case) -> Case:
    """Atoms exchanged, left out, made strict or not strict, or another's."""
    known = names(case.head().get("atoms", ""))
    if not known:
        return _headed(case, atoms=named([rng.getrandbits(62)]))
    i, j = (rng.randrange(len(known)) for _ in range(2))
    how = rng.randrange(4)
    if how == 0:
        known[i], known[j] = known[j], known[i]
    elif how == 1:
        known[i] ^= 1
    elif how == 2:
        known[i] = known[j]
    else:
        known.pop(i)
    return _headed(case, atoms=named(known))


def sums_of_atoms_changed(rng: random.Random, case: Case) -> Case:
    """A bound becomes one of a sum with other atoms, or of the form 0."""
    places = _places(case, "bound")
    if not places:
        return case
    at = rng.choice(places)
    line = _line(case, at)
    if rng.random() < 0.3:
        return _with(case, at, {**line, "bound": -1})
    more = [[rng.randrange(3), str(Fraction(rng.randint(0, 9), rng.randint(1, 9)))]
            for _ in range(rng.randint(1, 2))]
    return _with(case, at, {**line, "atoms": more})


def mark_changed(rng: random.Random, case: Case) -> Case:
    """A split or an open leaf is said to be a closed one, or all lines but the leaves go."""
    if rng.random() < 0.3:
        return replace(case, lines=(case.lines[0], *(
            line for line in case.lines[1:]
            if isinstance(line, dict) and not line.keys() & {"fact", "bound"})))
    places = _places(case, *SPLITS)
    if not places:
        return case
    at = rng.choice(places)
    return _with(case, at, {"leaf": 1})


AIMED: tuple[Change, ...] = (
    names_swapped, names_left_out, name_of_another_group, names_that_collide, groups_exchanged,
    names_out_of_range, name_cut, group_moved, group_doubled, fractions_of_another_role,
    line_moved_up, line_to_sibling, line_of_all, fact_of_another, exact_set_or_not,
    quotient_changed, whole_moved, whole_of_another_input, child_of_a_split_left_out,
    split_at_a_rational, parts_changed, precision_changed, reference_changed, atoms_renamed,
    sums_of_atoms_changed, mark_changed,
)
