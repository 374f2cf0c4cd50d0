"""The violated claim over many boxes at once: which are closed, by which atoms, and how nearly.

The claim is violated where `assume` holds and `require` does not. Every atom `form >= 0` of that
formula gets an upper bound on each box; a box is closed once the formula is false under them.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from verifex.engine.search.inputs.box_formula import Bools, FormulaArrays
from verifex.errors import UnsupportedError
from verifex.ir.exact import FloatArray
from verifex.ir.formula import Atom, Formula, atoms


@dataclass(frozen=True)
class Judgement:
    """For B boxes: an upper bound of the violated claim's margin, and the atoms (B, A) it rests on.

    Where the claim is closed, `rests` are atoms that make it false; elsewhere those that a split
    should bring down: of a conjunction the one nearest to false, of a disjunction all still open.
    """

    margin: FloatArray
    rank: FloatArray
    """What conjunctions choose by: the margin, but infinite for open atoms on inputs alone, which
    no bound brings down."""
    closed: Bools
    rests: Bools


class BoxClaim:
    """A violated claim with its distinct atoms as rows of coefficients per node."""

    def __init__(self, violation: Formula, sizes: dict[int, int], inputs: Collection[int]) -> None:
        self.violation = violation
        self.atoms = list(dict.fromkeys(atoms(violation)))
        self.place = {a: k for k, a in enumerate(self.atoms)}
        self.strict = np.array([a.strict for a in self.atoms], dtype=bool)
        self.on_inputs: Bools = np.array(
            [all(n in inputs for (n, _), _ in a.form.terms) for a in self.atoms], dtype=bool)
        self.formula = FormulaArrays(violation, self.place)
        self.coefs: dict[int, FloatArray] = {}
        for k, atom in enumerate(self.atoms):
            for (node, index), c in atom.form.terms:
                table = self.coefs.setdefault(node, np.zeros((len(self.atoms), sizes[node])))
                table[k, index] += float(c)
        self.const = np.array([float(a.form.const) for a in self.atoms])

    def false(self, upper: FloatArray) -> Bools:
        """The atoms that are false under upper bounds (B, A) of their forms."""
        return (upper < 0) | (self.strict & (upper <= 0))

    def judge(self, upper: FloatArray, empty: Bools) -> Judgement:
        """The formula under upper bounds (B, A) of its atoms' forms; `empty` boxes are closed."""
        false = self.false(upper)
        rank = np.where(self.on_inputs & ~false, np.inf, upper)
        found = self.formula.judge(upper, rank, false)
        margin = np.where(empty, -np.inf, found.margin)
        return Judgement(margin, found.rank, found.closed | empty, found.rests)

    def margin(self, values: Mapping[int, FloatArray]) -> FloatArray:
        """How far points are from violating the claim, by values (P, size) of nodes, in floats."""
        count = len(next(iter(values.values())))
        total = np.tile(self.const, (count, 1))
        for node, table in self.coefs.items():
            total += values[node] @ table.T
        return self.formula.margin(total)


def refuse_underflow(claimed: Sequence[Atom]) -> None:
    """UnsupportedError where a number of the claim is too small for the normal floats.

    Rounding errors are bounded relative to what is rounded, which only holds for those.
    """
    for atom in claimed:
        for value in (atom.form.const, *(c for _, c in atom.form.terms)):
            if value and abs(value) < SMALLEST:
                raise UnsupportedError(
                    "the claim has a number too small for floats", expected="1e-200 or more")


SMALLEST = Fraction(1, 10**200)
