"""What a certificate derives for a domain, and whether that refutes the violated claim there."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from weakref import WeakKeyDictionary

from ..bounds.domain import Domain
from ..bounds.grid import Grid
from ..bounds.many import COEFFICIENT, fits, lower_bounds
from ..bounds.multipliers import ABOVE, NOT_GIVEN, Choice, Multipliers, Weighted
from ..bounds.plain import PlainBounds
from ..bounds.substitution import Term, least_over_inputs, lower_bound
from ..failures import Empty, need, pick
from ..graph.forms import Form
from ..graph.network_graph import PRODUCT, NetworkGraph
from ..spec.formulas import NumberedFormula, can_hold, can_hold_beside
from .atoms import Atoms
from .lines import Line, numerators, weighted
from .names import ARGUMENT, FRACTION_ROLES, ElementIndex, Groups, Place
from .piecewise import PiecewiseForms

NOTHING = -1
"""The number, in `bound` lines, of the form 0: a bound of it above 0 shows that a domain has no
point."""


FEWEST = 4
"""Facts about one node that are worth being derived side by side."""


class Derived:
    """What is attached to one domain. `pending`: lines that nobody has needed yet.

    `false`: atoms that are false here. `joint`: sets of atoms that do not all hold here.
    """

    def __init__(self) -> None:
        self.pending: list[Line] = []
        self.false: set[int] = set()
        self.joint: list[set[int]] = []


class Deriver:
    """Derives the bounds that lines ask for. Lines are read when a leaf needs them."""

    def __init__(self, graph: NetworkGraph, grid: Grid, atoms: Atoms, cuts: int, bits: int) -> None:
        self.graph, self.grid, self.atoms, self.bits = graph, grid, atoms, bits
        self.cuts = cuts  # the node of the rows of the region, each of which is at most 0
        needed = {*graph.nodes[atoms.node].cone, *grid.relu_of.values()}
        self.index = ElementIndex(graph, needed - {atoms.node})
        self.groups = Groups(self.index)
        self.named_atoms: list[list[int]] = []
        self.piecewise = PiecewiseForms(graph, atoms.node)
        # A domain that the tree has left behind is forgotten with what is attached to it.
        self._derived = WeakKeyDictionary[Domain, Derived]()

    def name_atoms(self, names: Sequence[int]) -> None:
        """Take the names that `bound` lines will count in."""
        known = self.atoms.names(self.index.fingerprints) if names else {}
        self.named_atoms = [known.get(name, []) for name in names]

    def attached(self, domain: Domain) -> Derived:
        """What is attached to a domain."""
        return self._derived.setdefault(domain, Derived())

    def closes(self, domain: Domain, formula: NumberedFormula) -> bool:
        """Whether the formula is false on the whole domain."""
        false, joint = set[int](), list[set[int]]()
        try:
            for around in domain.path:
                self._settle(around)
                false |= self.attached(around).false
                joint += self.attached(around).joint
            least_over_inputs(domain, {})  # raises Empty where a ball is missed
            if can_hold(formula, lambda atom: self.atoms.first[atom] in false):
                self._meet_splits(domain)
                false |= self._false_by_intervals(domain)
        except Empty:
            return True
        if not can_hold(formula, lambda atom: self.atoms.first[atom] in false):
            return True
        return not can_hold_beside(formula, false, joint, self.atoms.first)

    def _meet_splits(self, domain: Domain) -> None:
        """Raise Empty where the bounds of what was split on contradict the splits."""
        for split in domain.splits:
            domain.bounds(split.node)

    def _false_by_intervals(self, domain: Domain) -> set[int]:
        _, high = domain.bounds(self.atoms.node)
        return {k for k, value in enumerate(high) if self.atoms.refuted(k, -value)}

    def _settle(self, domain: Domain) -> None:
        """Derive what is attached to a domain; Empty if it has no point."""
        attached = self.attached(domain)
        pending, attached.pending = attached.pending, []
        if domain.empty:
            raise Empty
        try:
            for alike in _alike(pending):
                if "fact" in alike[0]:
                    self._facts(domain, alike)
                else:
                    self._bound(domain, attached, alike[0])
        except Empty:
            domain.empty = True
            raise

    def _facts(self, domain: Domain, lines: list[Line]) -> None:
        """Facts of one group by the same fractions; what the claim does not know is left out."""
        by_node: dict[int, list[tuple[int, int, Line]]] = {}
        for line in lines:
            group, elements, sign = _fact_entry(line)
            for element in elements:
                place = self.groups.element(group, element, ARGUMENT)
                if place is not None:
                    by_node.setdefault(place[0], []).append((place[1], sign, line))
        for node, facts in by_node.items():
            many = len(facts) >= FEWEST and not facts[0][2].get("exact")
            if not many or not self._many_facts(domain, node, facts):
                for element, sign, line in facts:
                    self._one_fact(domain, (node, element), sign, line)

    def _many_facts(
        self, domain: Domain, node: int, facts: list[tuple[int, int, Line]]
    ) -> bool:
        """Bound elements of a node side by side (`many`); False where that is not possible.

        Sound: rows and splits with multipliers are of nodes of their own, which have to fit too.
        """
        shared = self.multipliers({"fractions": facts[0][2].get("fractions", {})})
        forms, constants = [], []
        for element, sign, line in facts:
            row, constant = {(node, element): sign << COEFFICIENT}, 0
            own: Line = {key: line[key] for key in ("splits", "rows") if key in line}
            if own:
                terms, constant = self._weighted_terms(
                    domain, 1, COEFFICIENT, self.multipliers(own))
                for place, i, coefficient in terms:
                    row[place, i] = row.get((place, i), 0) + coefficient
            forms.append(row)
            constants.append(constant)
        if not fits(domain, {place for row in forms for place, _ in row}):
            return False
        found = lower_bounds(domain, forms, constants, shared)
        domain.learn_all(node, [
            ((element, sign), bound)
            for (element, sign, _), bound in zip(facts, found, strict=True)])
        return True

    def _one_fact(self, domain: Domain, place: Place, sign: int, line: Line) -> None:
        (node, i), using = place, self.multipliers(line)
        if line.get("exact"):
            form: Form = ({place: Fraction(1)}, Fraction(0))
            bound = self.grid.below(self._exactly(domain, [(form, Fraction(sign))], using))
        else:
            coefficient = self.grid.coefficient
            terms = [(node, i, sign << coefficient)]
            bound = self._rounded(domain, terms, 1, using) >> coefficient
        domain.learn(node, i, sign, bound)

    def _bound(self, domain: Domain, attached: Derived, line: Line) -> None:
        """Bound minus an atom's form, alone or with others."""
        number, using = line["bound"], self.multipliers(line)
        need(type(number) is int and number >= NOTHING, f"no atom {number!r:.20}")
        more = list(weighted(line.get("atoms", []), "atoms"))
        if number == NOTHING:
            need(not more, "atoms with the form 0")
            if self.atoms.refuted(None, self._least(domain, None, [], line, using)):
                raise Empty
            return
        others = [(pick(self.named_atoms, j, "atom"), factor) for j, factor in more]
        if any(not atoms for atoms, _ in others):
            return  # names that the claim does not know
        for atom in pick(self.named_atoms, number, "atom"):
            with_it = [(atoms[0], factor) for atoms, factor in others]
            least = self._least(domain, atom, with_it, line, using)
            if self.atoms.refuted(atom, least):
                together = {atom, *(other for other, _ in with_it)}
                if len(together) == 1:
                    attached.false.add(atom)
                else:
                    attached.joint.append(together)

    def _least(
        self, domain: Domain, atom: int | None, more: Sequence[Weighted], line: Line,
        using: Multipliers,
    ) -> int | Fraction:
        """A lower bound of minus an atom's form, less factor times the forms of others.

        Sound: if all of these atoms held, the sum of their forms would be at least 0 (above it, if
        the first is strict), and minus it at most 0. So where `refuted` says that the first is
        false by this bound, they do not hold together.
        """
        form = None if atom is None else self.piecewise.minus(atom)
        if form is not None and not (more or using.splits or using.rows):
            return form.least(domain)
        weights = [] if atom is None else [(atom, Fraction(1)), *more]
        if line.get("exact"):
            forms: list[tuple[Form, Fraction]] = [
                (({(self.atoms.node, k): Fraction(1)}, Fraction(0)),
                 Fraction(-1, self.atoms.factors[k]) * factor)
                for k, factor in weights]
            return self._exactly(domain, forms, using)
        whole = 1 if atom is None else self.atoms.factors[atom]
        terms: list[Term] = []
        for k, factor in weights:
            times = Fraction(whole, self.atoms.factors[k]) * factor
            scaled = math.floor(times * (1 << self.grid.coefficient))
            terms.append((self.atoms.node, k, -scaled))
        return self._rounded(domain, terms, whole, using)

    def _rounded(
        self, domain: Domain, terms: Sequence[Term], factor: int, using: Multipliers
    ) -> int:
        """A lower bound of terms, with multipliers for 1 / factor of them."""
        more, constant = self._weighted_terms(domain, factor, self.grid.coefficient, using)
        return constant + lower_bound(domain, [*terms, *more], using)

    def _weighted_terms(
        self, domain: Domain, factor: int, bits: int, using: Multipliers
    ) -> tuple[list[Term], int]:
        """What multipliers of splits and rows add to a form with coefficients in 2^-bits, and the
        constant of it, in 2^-bits / unit."""
        found, scale, constant = list[Term](), factor << bits, 0
        for number, value in using.splits:
            split = pick(domain.splits, number, "split")
            times = math.floor(value * scale)
            found.append((split.node, split.element, -split.sign * times))
            # The constant of `planes.constraint`, rounded down.
            constant += math.floor(times * split.sign * split.at * self.grid.unit)
        for number, value in using.rows:
            rows = self.graph.nodes[self.cuts].size
            need(0 <= number < rows, f"no row {number}")
            found.append((self.cuts, number, math.floor(value * scale)))
        return found, constant

    def _exactly(
        self, domain: Domain, forms: Sequence[tuple[Form, Fraction]], using: Multipliers
    ) -> Fraction:
        """A lower bound of the sum of factor * form, in fractions."""
        found = list(forms)
        for number, value in using.splits:
            split = pick(domain.splits, number, "split")
            held: Form = ({(split.node, split.element): Fraction(1)}, -split.at)
            found.append((held, -split.sign * value))
        rows = self.graph.refs(self.cuts)
        found += [(pick(rows, number, "row"), value) for number, value in using.rows]
        return PlainBounds(domain).lower_bound(found, using)

    def multipliers(self, line: Line) -> Multipliers:
        """Those of a line."""
        need(line.get("exact", 1) == 1 and type(line.get("exact", 1)) is int, "a wrong key 'exact'")
        fractions: dict[Choice, Sequence[int]] = {}
        entries = line.get("fractions", {})
        need(isinstance(entries, dict), "fractions: no object")
        for key, value in entries.items():
            self._take_fractions(fractions, key, value)
        return Multipliers(
            self.bits, fractions, tuple(weighted(line.get("splits", []), "splits")),
            tuple(weighted(line.get("rows", []), "rows")))

    def _take_fractions(
        self, fractions: dict[Choice, Sequence[int]], key: str, value: object
    ) -> None:
        """The fractions of one kind for a group, put where its elements are."""
        kind, _, number = key.partition(" ")
        need(kind in FRACTION_ROLES and number.isdecimal() and len(number) < 10,
             f"fractions: a wrong key {key!r:.40}")
        for role in FRACTION_ROLES[kind]:
            places = self.groups.places(int(number), role)
            given = numerators(value, f"fractions: {key}", self.bits, len(places))
            if kind == ABOVE and role == PRODUCT:
                given = self._in_order(places, given)
            one_node = self.groups.one_node(int(number), role)
            if one_node is not None:
                fractions[Choice(kind, one_node)] = given
                continue
            for place, numerator in zip(places, given, strict=True):
                if place is not None:
                    node, element = place
                    size = self.graph.nodes[node].size
                    known = list(fractions.get(Choice(kind, node), ())) or [NOT_GIVEN] * size
                    known[element] = numerator
                    fractions[Choice(kind, node)] = known

    def _in_order(self, places: Sequence[Place | None], given: list[int]) -> list[int]:
        """Shares of the two planes above products, which trade places with the two arguments.

        A certificate has the argument with the lesser name first.
        """
        found, names = list(given), self.index.fingerprints
        for k, place in enumerate(places):
            if place is not None:
                node, element = place
                first, second = (names.of(a)[element] for a in self.graph.nodes[node].args)
                found[k] = given[k] if first <= second else (1 << self.bits) - given[k]
        return found


def _fact_entry(line: Line) -> tuple[int, list[int], int]:
    """Group, elements and sign of a fact, or of several that have all else in common."""
    entry = line["fact"]
    need(isinstance(entry, list) and len(entry) == 3 and entry[2] in (1, -1), "a wrong fact")
    group, elements, sign = entry
    return group, elements if isinstance(elements, list) else [elements], sign


def _alike(lines: Iterable[Line]) -> Iterator[list[Line]]:
    """The lines in their order, those facts together that follow each other, are of one group, and
    choose the same planes."""
    run = list[Line]()
    for line in lines:
        if run and not _same_kind(run[0], line):
            yield run
            run = []
        run.append(line)
    if run:
        yield run


def _same_kind(one: Line, other: Line) -> bool:
    if "fact" not in one or "fact" not in other:
        return False
    return bool(
        _fact_entry(one)[0] == _fact_entry(other)[0]
        and one.get("fractions") == other.get("fractions")
        and one.get("exact") == other.get("exact"))
