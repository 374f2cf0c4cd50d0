"""A claim on one domain, decided in exact arithmetic: for what floats leave open.

A claim that holds with a margin of zero, or of less than floats resolve, has leaves that no bound
in floats closes. Here they are closed by rational multipliers, evaluated in fractions, or a point
is found that violates the claim; or a unit is named that has to be split on first.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np

from verifex.engine.bounds.exact.forms import ExactForms
from verifex.engine.bounds.exact.leaf import ExactLeaf, ExactSum
from verifex.engine.bounds.exact.lp import AffineRow
from verifex.engine.bounds.facts import Packed
from verifex.engine.bounds.layout import Layout, Signs
from verifex.engine.falsify.witness import refute
from verifex.engine.search.counts import Counts, Flags
from verifex.engine.search.record import AtomBound
from verifex.engine.verdict import Witness
from verifex.ir.exact import FloatArray
from verifex.ir.formula import Atom
from verifex.ir.ops import TreeLeaves, Univariate
from verifex.ir.problem import Problem
from verifex.semantics.parameters import REGION_ROWS, Parameter, ParameterKind

Point = tuple[Fraction, ...]

_NUMBERS = 400_000
"""Numbers of all forms of a graph, elements of nodes times free inputs, that are worth the time."""

_TOGETHER = 64
"""Atoms of a conjunction that are combined at most."""


@dataclass
class ExactEnd:
    """What is known of a domain: whether it is `closed` ("bounds", "empty", or "" where it is not),
    with the `bounds` that show it.

    Some of them may be there though it stays open: `false` (atoms,) marks the atoms known to be
    false. `gate` is a unit to split on next, -1 if there is none. `witness` is a point that
    violates the claim. `violated` says that there is one, if only on a kink, or outside of a ball
    of the region: then the domain can never be closed.
    """

    false: Flags
    closed: str = ""
    bounds: list[AtomBound] = field(default_factory=list)
    gate: int = -1
    violated: bool = False
    witness: Witness | None = None


@dataclass(frozen=True)
class _Attempt:
    """A domain, the negated forms of its open atoms (None: not affine there, as long as units are
    undecided), and points at which some of those are least that do not exclude their atoms."""

    leaf: ExactLeaf
    forms: dict[int, AffineRow | None]
    points: list[Point] = field(default_factory=list)


class ExactClaim:
    """Decides a claim on single domains. Row k is the negated form of atom k.

    `violation` counts which atoms violate the claim together. After `stopped` says so nothing more
    is found.
    """

    def __init__(
        self, problem: Problem, layout: Layout, atoms: Sequence[Atom], violation: Counts,
        stopped: Callable[[], bool],
    ) -> None:
        self.problem, self.atoms, self._counts = problem, atoms, violation
        self._forms, self._stopped = ExactForms(layout), stopped
        self._rows = [-a.form for a in atoms]
        self._whole = problem.region.integers.union(*problem.region.one_hot)

    @staticmethod
    def suits(problem: Problem, layout: Layout) -> bool:
        """Whether domains of this problem are decided here: no smooth functions, and not large."""
        nodes, region = layout.graph.nodes, problem.region
        free = sum(a < b for a, b in zip(region.lo, region.hi, strict=True))
        size = sum(nodes[i].size for i in layout.order)
        smooth = any(isinstance(nodes[i].op, Univariate | TreeLeaves) for i in layout.order)
        return not smooth and size * (1 + free) <= _NUMBERS

    def end(self, lo: FloatArray, hi: FloatArray, signs: Signs, false: Flags) -> ExactEnd:
        """Decide the claim on the box lo <= x <= hi (n,), cut by splits with signs (gates,), where
        atoms `false` (atoms,) are known to be false."""
        end, region = ExactEnd(false.copy()), self.problem.region
        # Sound: floats were rounded outward from the region's ends; splits lie inside.
        low = tuple(max(a, Fraction(b)) for a, b in zip(region.lo, lo.tolist(), strict=True))
        high = tuple(min(a, Fraction(b)) for a, b in zip(region.hi, hi.tolist(), strict=True))
        if self._stopped() or any(a > b for a, b in zip(low, high, strict=True)):
            return end
        # Sound: balls and whole numbers do not count here, so that the domain is only larger.
        domain = self._forms.over(low, high, signs)
        here = _Attempt(ExactLeaf(domain, region.rows, self._stopped),
                     {k: domain.of(self._rows[k]) for k in self._open(false)})
        if self._singly(here, end) and not end.closed and not self._jointly(here, end):
            end.gate = self._undecided(here, end)
            if end.gate < 0 and not self._stopped():
                self._look_for_violations(here, end)
        return end

    def _open(self, false: Flags) -> list[int]:
        """The atoms on which it still depends whether the claim is violated."""
        return [int(k) for k in np.flatnonzero(self._counts.open(false[None])[0])]

    def _excludes(self, atom: int, value: Fraction) -> bool:
        """Whether an atom is false where its row is at least `value`."""
        return value > 0 or (value == 0 and self.atoms[atom].strict)

    def _singly(self, here: _Attempt, end: ExactEnd) -> bool:
        """Bound the row of every open atom by itself; False where time ran out."""
        rows = [(k, form) for k, form in here.forms.items() if form is not None]
        nothing = AffineRow([Fraction(0)] * len(here.leaf.domain.free), Fraction(0))
        for k, form in rows or [(-1, nothing)]:
            found = here.leaf.minimum(form)
            if found is None:
                return False
            if found.value is None:
                if found.bound.value > 0:
                    end.bounds.append(_recorded(-1, found.bound))
                    end.closed = "empty"
                return True
            if k >= 0 and self._excludes(k, found.bound.value):
                end.bounds.append(_recorded(k, found.bound))
                end.false[k] = True
            elif k >= 0 and found.point is not None:
                here.points.append(found.point)
        if not self._counts.possible(end.false[None])[0]:
            end.closed = "bounds"
        return True

    def _jointly(self, here: _Attempt, end: ExactEnd) -> bool:
        """Close a domain by atoms that exclude each other, all of which would have to hold."""
        # Sound: a claim that is only violated where all of them hold is not where they cannot.
        wanted = np.flatnonzero(self._counts.necessary(end.false[None])[0]).tolist()
        forms = [(k, form) for k in wanted
                 if (form := here.leaf.domain.of(self._rows[k])) is not None]
        if not 2 <= len(forms) <= _TOGETHER:
            return False
        strict = [self.atoms[k].strict for k, _ in forms]
        found = here.leaf.together([form for _, form in forms], strict)
        if found is None:
            return False
        if found.point is not None:
            here.points.append(found.point)
        weights = found.bound.weights
        # A bound of zero excludes them only if the one that it is recorded for is strict.
        first = max(weights, key=lambda j: (strict[j], weights[j]), default=-1)
        if first < 0 or not self._excludes(forms[first][0], found.bound.value):
            return False
        more = {forms[j][0]: w for j, w in sorted(weights.items()) if j != first}
        end.bounds.append(_recorded(forms[first][0], found.bound, weights[first], more))
        end.closed = "bounds"
        return True

    # --- what is left ---------------------------------------------------------------------------

    def _undecided(self, here: _Attempt, end: ExactEnd) -> int:
        """A unit to split on: one that keeps an open row from being affine, or else a split from
        being used; -1 if there is none."""
        leaf = here.leaf
        open_ = [cell for k in self._open(end.false) if here.forms[k] is None
                 for cell, _ in leaf.domain.reduced(self._rows[k]).terms]
        found = leaf.domain.undecided(open_)
        return found if found >= 0 or open_ else leaf.domain.undecided(leaf.left_out)

    def _look_for_violations(self, here: _Attempt, end: ExactEnd) -> None:
        """Replay the points at which rows are least, where that violates the claim: there, and
        towards the centre of the domain, off the kinks."""
        leaf = here.leaf
        violated = [x for x in here.points if self._violates(here, end, x)]
        if not violated:
            return
        centre = leaf.centre()
        for x in violated:
            line = [x] if centre is None else [
                *(tuple(a + t * (c - a) for a, c in zip(x, centre, strict=True))
                  for t in (Fraction(1), _step(here, x, centre))), x]
            for point in line:
                end.witness = refute(self.problem, leaf.domain.point(point))
                if end.witness is not None:
                    return
        # Balls are left out for good, but features that are whole numbers may be fixed yet.
        end.violated = leaf.whole and self._whole.isdisjoint(leaf.domain.free)

    def _violates(self, here: _Attempt, end: ExactEnd, point: Point) -> bool:
        """Whether the claim is violated at a point of the leaf, with its units as they are there;
        False where some row is not affine."""
        false = end.false.copy()
        for k in self._open(end.false):
            form = here.forms[k]
            if form is None:
                return False
            false[k] = self._excludes(k, form.value(point))
        return bool(self._counts.possible(false[None])[0])


def _step(here: _Attempt, point: Point, centre: Point) -> Fraction:
    """How far to go from a point to the centre with every row that is below zero staying so."""
    step = Fraction(1, 2)
    for form in here.forms.values():
        if form is not None and (below := form.value(point)) < 0 < (above := form.value(centre)):
            step = min(step, below / (below - above) / 2)
    return step


def _recorded(
    row: int, bound: ExactSum, unit: Fraction = Fraction(1),
    more: dict[int, Fraction] | None = None,
) -> AtomBound:
    """A bound as it is kept, divided by the weight of its row: that comes with weight 1."""
    params: Packed = {}
    splits: dict[int, dict[int, Fraction]] = {}
    for (node, element), value in sorted(bound.splits.items()):
        splits.setdefault(node, {})[element] = value / unit
    for node, values in splits.items():
        params[Parameter(ParameterKind.BETA, node)] = values
    if bound.rows:
        params[REGION_ROWS] = {r: value / unit for r, value in sorted(bound.rows.items())}
    weights = {k: w / unit for k, w in (more or {}).items()}
    return AtomBound(row, _near(bound.value / unit), params, weights, exact=True)


def _near(value: Fraction) -> float:
    """The nearest float, infinite where the value is beyond all of them."""
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf
