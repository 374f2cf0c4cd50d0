"""The violated claim as counts over numbered atoms: which still matter where some are false.

A search proves atoms false one by one, on many domains at once; what that means for the formula is
worked out here on arrays, for all domains together.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from verifex.ir.formula import Atom, Formula, Junction, fold

Flags = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Counts:
    """True where at least `needed` of the atoms numbered `rows` and of `parts` are.

    Everywhere, `false` (N, atoms) marks the atoms that are known to be false on N domains.
    """

    needed: int
    rows: NDArray[np.intp]
    parts: tuple[Counts, ...] = ()

    @staticmethod
    def of(formula: Formula, numbers: Mapping[Atom, int]) -> Counts:
        """The counts of a formula whose atoms have these numbers."""

        def join(junction: Junction, parts: list[Counts]) -> Counts:
            rows = [int(p.rows[0]) for p in parts if p.single]
            others = tuple(p for p in parts if not p.single)
            return Counts(junction.needed, np.array(rows, dtype=np.intp), others)

        return fold(formula, lambda atom: Counts(1, np.array([numbers[atom]])), join)

    @property
    def single(self) -> bool:
        """Whether this is one atom."""
        return self.needed == 1 and len(self.rows) == 1 and not self.parts

    def possible(self, false: Flags) -> Flags:
        """On which domains (N,) the formula may still be true."""
        return self._left(false) >= self.needed

    def _left(self, false: Flags) -> NDArray[np.intp]:
        """How many of the atoms and parts may still be true, on each domain."""
        left = (~false[:, self.rows]).sum(axis=1)
        for part in self.parts:
            left = left + part.possible(false)
        return np.asarray(left)

    def open(self, false: Flags) -> Flags:
        """The atoms (N, atoms) on which the truth of the formula still depends; none where it is
        false."""
        out = np.zeros_like(false)
        self._mark(false, np.ones(len(false), dtype=bool), out)
        return out

    def _mark(self, false: Flags, where: Flags, out: Flags) -> None:
        where = where & self.possible(false)
        if not where.any():
            return
        out[:, self.rows] |= where[:, None] & ~false[:, self.rows]
        for part in self.parts:
            part._mark(false, where, out)

    @cached_property
    def atoms(self) -> NDArray[np.intp]:
        """The numbers of all atoms, its own and those of its parts, ascending."""
        return np.unique(np.concatenate([self.rows, *(part.atoms for part in self.parts)]))

    def necessary(self, false: Flags) -> Flags:
        """Atoms (N, atoms) without any one of which the formula is false; none where it is false
        anyway."""
        out = np.zeros_like(false)
        out[:, self.atoms] = self._necessary(false)
        return out

    def _necessary(self, false: Flags) -> Flags:
        """The same of its own atoms (N, len(self.atoms)): with thousands of atoms in hundreds of
        parts, arrays of all atoms for each part would take seconds."""
        out = np.zeros((len(false), len(self.atoms)), dtype=bool)
        if self.needed <= 0:  # true whatever its parts are
            return out
        left, alive = self._left(false), ~false[:, self.rows]
        every, some = left == self.needed, left > self.needed
        own = np.searchsorted(self.atoms, self.rows)
        out[:, own] = every[:, None] & alive
        # Where more is left than needed, only what is in all alternatives is necessary. An atom
        # that is an alternative has nothing but itself.
        alternatives, counted = alive.sum(axis=1), np.zeros(out.shape, dtype=np.int32)
        np.add.at(counted.T, own, alive.T)
        for part in self.parts:
            mine, possible = part._necessary(false), part.possible(false)
            at = np.searchsorted(self.atoms, part.atoms)
            out[:, at] |= mine & (every & possible)[:, None]
            counted[:, at] += mine & possible[:, None]
            alternatives = alternatives + possible
        shared = counted == alternatives[:, None]
        return np.asarray(out | (shared & some[:, None]))
