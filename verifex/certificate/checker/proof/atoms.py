"""The atoms of a violated claim, numbered, and when it is false."""

from __future__ import annotations

import math
from fractions import Fraction

from ..failures import Bad
from ..graph.fingerprints import Fingerprints
from ..graph.forms import Form, total
from ..graph.network_graph import NetworkGraph
from ..spec.formulas import ClaimAtom, Formula, NumberedFormula, numbered

LONGEST_FACTOR = 64
"""Bits. Forms are made whole by factors up to that length."""


class Atoms:
    """The atoms of a formula from left to right; `form >= 0`, or `form > 0` where strict.

    They are the elements of one node, `node`, each times the factor that makes its coefficients
    whole. Of equal atoms, `first` gives the first.
    """

    def __init__(self, graph: NetworkGraph, formula: Formula) -> None:
        listed: list[ClaimAtom] = []
        self.formula = numbered(formula, listed)
        self.forms: list[Form] = [atom.form for atom in listed]
        self.strict: list[bool] = [atom.strict for atom in listed]
        seen: dict[object, int] = {}
        self.first = [
            seen.setdefault((frozenset(refs.items()), constant, strict), k)
            for k, ((refs, constant), strict) in enumerate(
                zip(self.forms, self.strict, strict=True))
        ]
        common = [math.lcm(*(c.denominator for c in refs.values())) for refs, _ in self.forms]
        self.factors = [v if v.bit_length() <= LONGEST_FACTOR else 1 for v in common]
        self.node = graph.rows(
            [total([(form, factor)])
             for form, factor in zip(self.forms, self.factors, strict=True)])

    def two_parts(self) -> tuple[NumberedFormula, NumberedFormula]:
        """The two formulas that a violation joins: the assumption, the negated requirement."""
        if isinstance(self.formula, int):
            raise Bad("a violation that joins nothing")
        assumption, goal = self.formula.parts
        return assumption, goal

    def names(self, fingerprints: Fingerprints) -> dict[int, list[int]]:
        """The atoms of each name: twice the fingerprint of the form, and 1 more if strict."""
        found: dict[int, list[int]] = {}
        for k, (form, strict) in enumerate(zip(self.forms, self.strict, strict=True)):
            if self.first[k] == k:
                found.setdefault(2 * fingerprints.of_form(form) + strict, []).append(k)
        return found

    def refuted(self, atom: int | None, least: int | Fraction) -> bool:
        """Whether an atom is false where minus its form is at least `least`; None is 0 >= 0.

        A form of at most 0 is not above 0; a form below 0 is not even 0.
        """
        return least > 0 or (least == 0 and atom is not None and self.strict[atom])
