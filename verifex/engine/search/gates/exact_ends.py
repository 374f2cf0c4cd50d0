"""The ends of a search that floats do not decide: domains closed in exact arithmetic, or a point of
them that violates the claim exactly.

A claim that holds with a margin of zero, or of less than floats resolve, has such leaves. They are
closed by rational multipliers, evaluated in fractions; where a unit that matters is undecided there
in exact arithmetic, it is split like any other.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from verifex.engine.bounds.exact_forms import ExactForms
from verifex.engine.bounds.exact_leaf import ExactLeaf, ExactSum
from verifex.engine.bounds.exact_lp import AffineRow
from verifex.engine.bounds.facts import Packed
from verifex.engine.search.gates.domains import Domains, RowBounds
from verifex.engine.search.gates.policy import SearchContext
from verifex.engine.search.record import AtomBound
from verifex.errors import UnsupportedError
from verifex.semantics.parameters import REGION_ROWS, Parameter, ParameterKind

Point = tuple[Fraction, ...]

_NUMBERS = 400_000
"""Numbers of all forms of a graph: elements of nodes, times free inputs."""

_TOGETHER = 64
"""Rows of a conjunction that are combined at most."""


@dataclass(frozen=True)
class _Tried:
    """A leaf, the forms of its open rows (None: not affine yet), those rows that are closed, and
    the points at which the others are least."""

    leaf: ExactLeaf
    forms: dict[int, AffineRow | None]
    closed: list[int]
    points: list[Point]


class ExactEnds:
    """Ends domains of one search, one at a time.

    `able` is False where there is nothing to gain: for ranges, without a record, with smooth
    functions, on large networks; and once a leaf has a point at which the claim is violated, if
    only on a kink, so that no closed leaf helps any more.
    """

    def __init__(self, context: SearchContext) -> None:
        self.context = context
        self._forms: ExactForms | None = None
        layout, region = context.layout, context.policy.problem.region
        free = sum(a < b for a, b in zip(region.lo, region.hi, strict=True))
        size = sum(layout.graph.nodes[i].size for i in layout.order)
        self.able = (
            context.policy.strict is not None and context.options.record
            and size * (1 + free) <= _NUMBERS)

    def end(self, domain: Domains) -> str:
        """How a domain (a batch of one, a view) is closed; "" if it is not. A unit that it has to
        be split on is put into its column."""
        if not self.able or self._over():
            return ""
        leaf = self._leaf(domain)
        if leaf is None:
            return ""
        tried = self._singly(domain, leaf)
        if isinstance(tried, str):
            return tried
        if tried.closed and self._false(domain, tried.closed):
            return "bounds"
        if self._jointly(domain, tried):
            return "bounds"
        if self._over():
            return ""
        domain.gate[0] = self._undecided(domain, tried)
        if domain.gate[0] < 0:
            self._look_for_violations(domain, tried)
        return ""

    def _over(self) -> bool:
        return self.context.budget.spent or self.context.policy.finished()

    def _leaf(self, domain: Domains) -> ExactLeaf | None:
        """The domain in fractions: the region's own ends where it was not split."""
        context, region = self.context, self.context.policy.problem.region
        try:
            forms = self._forms = self._forms or ExactForms(context.layout)
        except UnsupportedError:
            self.able = False
            return None
        # Sound: floats were rounded outward from the region's ends; splits lie inside.
        lo = tuple(max(a, Fraction(b)) for a, b in zip(region.lo, domain.lo[0], strict=True))
        hi = tuple(min(a, Fraction(b)) for a, b in zip(region.hi, domain.hi[0], strict=True))
        if any(a > b for a, b in zip(lo, hi, strict=True)):
            return None
        return ExactLeaf(forms.over(lo, hi, domain.signs[0]), region.rows, self._over)

    def _singly(self, domain: Domains, leaf: ExactLeaf) -> _Tried | str:
        """Bound every open row by itself; "empty" where the domain has no point, "" where time ran
        out."""
        policy = self.context.policy
        tried = _Tried(
            leaf, {r: leaf.domain.of(policy.forms[r]) for r in domain.rows[0].tolist()}, [], [])
        known = [(row, form) for row, form in tried.forms.items() if form is not None]
        nothing = AffineRow([Fraction(0)] * len(leaf.domain.free), Fraction(0))
        for row, form in known or [(-1, nothing)]:
            found = leaf.minimum(form)
            if found is None:
                return ""
            if found.value is None:
                if found.bound.value <= 0:
                    raise ArithmeticError("a contradiction that does not contradict")
                self._record(domain, -1, found.bound)
                return "empty"
            if row >= 0 and self._excludes(row, found.bound.value):
                self._record(domain, row, found.bound)
                tried.closed.append(row)
            elif row >= 0 and found.point is not None:
                tried.points.append(found.point)
        return tried

    def _excludes(self, row: int, value: Fraction) -> bool:
        """Whether the atom of a row is false where the row is at least `value`."""
        strict = self.context.policy.strict
        return value > 0 or (value == 0 and strict is not None and bool(strict[row]))

    def _false(self, domain: Domains, rows: Sequence[int]) -> bool:
        """Note that the atoms of rows are false on a domain; whether that closes it."""
        place = np.zeros(len(rows), dtype=np.intp)
        found = RowBounds(place, np.array(rows, dtype=np.intp), np.full(len(rows), math.inf))
        return bool(self.context.policy.close(domain, found)[0])

    def _record(self, domain: Domains, row: int, bound: ExactSum) -> None:
        """Keep a bound for the certificate: the row comes with weight 1, others beside it."""
        unit = bound.weights[0] if row >= 0 and len(bound.weights) == 1 else Fraction(1)
        self._note(domain, AtomBound(
            row, float(bound.value / unit), _packed(bound, unit), {}, exact=True))

    def _note(self, domain: Domains, bound: AtomBound) -> None:
        self.context.proof.nodes[domain.node[0]].bounds.append(bound)

    # --- together -------------------------------------------------------------------------------

    def _jointly(self, domain: Domains, tried: _Tried) -> bool:
        """Close a domain by rows that exclude each other, all of which would have to hold."""
        policy = self.context.policy
        rows = policy.joint(domain)[0].tolist()
        if not 2 <= len(rows) <= _TOGETHER or policy.strict is None:
            return False
        forms = [tried.leaf.domain.of(policy.forms[r]) for r in rows]
        affine = [form for form in forms if form is not None]
        if len(affine) < len(rows):
            return False
        strict = policy.strict[rows].tolist()
        found = tried.leaf.together(affine, strict)
        if found is None:
            return False
        if found.point is not None:
            tried.points.append(found.point)
        weights = found.bound.weights
        # A bound of zero excludes the rows only if the first of them is strict.
        first = max(weights, key=lambda k: (strict[k], weights[k]), default=-1)
        if first < 0 or not self._excludes(rows[first], found.bound.value):
            return False
        unit = weights[first]
        more = {rows[k]: w / unit for k, w in sorted(weights.items()) if k != first}
        self._note(domain, AtomBound(
            rows[first], float(found.bound.value / unit), _packed(found.bound, unit), more,
            exact=True))
        return True

    # --- what is left ---------------------------------------------------------------------------

    def _undecided(self, domain: Domains, tried: _Tried) -> int:
        """A unit to split on: one that keeps an open row from being affine, or else a split from
        being used; -1 if there is none."""
        policy, leaf = self.context.policy, tried.leaf
        rows = domain.rows[0].tolist()
        open_ = [cell for r in rows if tried.forms.get(r) is None
                 for cell, _ in policy.forms[r].terms]
        found = leaf.domain.undecided(open_)
        return found if found >= 0 or open_ else leaf.domain.undecided(leaf.left_out)

    def _look_for_violations(self, domain: Domains, tried: _Tried) -> None:
        """Replay the points at which rows are least, where that violates the claim: there, and
        towards the centre of the domain, off the kinks."""
        leaf, region = tried.leaf, self.context.policy.problem.region
        violated = [x for x in tried.points if self._violates(domain, tried, x)]
        if not violated:
            return
        centre = leaf.centre()
        for x in violated:
            line = [] if centre is None else [
                tuple(a + t * (c - a) for a, c in zip(x, centre, strict=True))
                for t in (Fraction(1), self._near(tried, x, centre)) if t > 0]
            self.context.policy.replay([leaf.domain.point(p) for p in (*line, x)])
            if self.context.policy.finished():
                return
        # The leaf is whole and the point lies in it: the claim holds nowhere near it.
        if leaf.whole and not (region.balls or region.integers or region.one_hot):
            self.able = False

    def _violates(self, domain: Domains, tried: _Tried, point: Point) -> bool:
        """Whether the claim is violated at a point of the leaf, its units as they are there."""
        rows = domain.rows[0].tolist()
        if any(tried.forms[r] is None for r in rows):
            return False
        false = [r for r in rows if (form := tried.forms[r]) is not None
                 and self._excludes(r, form.value(point))]
        return not (false and self._false(domain.take(np.zeros(1, dtype=np.intp)), false))

    def _near(self, tried: _Tried, point: Point, centre: Point) -> Fraction:
        """How far to go from a point to the centre with every row that is below zero staying so."""
        step = Fraction(1, 2)
        for form in tried.forms.values():
            if form is None:
                continue
            here, there = form.value(point), form.value(centre)
            if here < 0 < there:
                step = min(step, here / (here - there) / 2)
        return step


def _packed(bound: ExactSum, unit: Fraction) -> Packed:
    """Multipliers, divided by the unit, as they are kept."""
    out: Packed = {}
    splits: dict[int, dict[int, Fraction]] = {}
    for (node, element), value in sorted(bound.splits.items()):
        splits.setdefault(node, {})[element] = value / unit
    for node, values in splits.items():
        out[Parameter(ParameterKind.BETA, node)] = values
    if bound.rows:
        out[REGION_ROWS] = {r: value / unit for r, value in sorted(bound.rows.items())}
    return out
