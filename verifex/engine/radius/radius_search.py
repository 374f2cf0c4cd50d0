"""The largest radius for which a claim is shown, and the least for which it is refuted.

A witness refutes every radius from its own distance on, so that distance is the new upper end, and
it is drawn nearer first. A claim that holds at a radius holds at all that are less. What is known
of one radius helps with the next: the splits of the last proof, and points near the last witness.
Nothing here is `proved`: what holds is claimed, with the record that a certificate is written from.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import ROUND_CEILING, ROUND_FLOOR, Context, Decimal
from fractions import Fraction

from verifex.engine.budget import Budget
from verifex.engine.decide import decide
from verifex.engine.falsify.attack import attack
from verifex.engine.falsify.nearer import Distances, nearer
from verifex.engine.falsify.witness import refute
from verifex.engine.findings.reasons import Reason
from verifex.engine.run import node_bounds
from verifex.engine.search.record import Closed
from verifex.engine.solve.pool import SolverPool
from verifex.engine.verdict import Outcome, Verdict, Witness
from verifex.engine.watch import Watch
from verifex.errors import InputError
from verifex.problem.document.variants.radius import RadiusQuestion
from verifex.settings import Settings

MOST = Fraction(10) ** 6
"""Where a region without an end is given up, unless another radius is said."""

_START = Fraction(1, 64)
"""The first radius of a spec that says none, as a part of the domain (or of 1)."""

_SHARE = 0.25
"""Of the time that is left, what one radius may take; more, once all others are decided."""

_TINY = Fraction(1, 10**12)
"""A witness at less than this part of the first radius is as near as it will be."""

_DIGITS = 400
"""Characters of a radius; numbers of a spec may have 1,000."""


@dataclass(frozen=True)
class RadiusTrial:
    """One radius that was asked about, what came of it, and the seconds that took."""

    radius: Fraction
    outcome: Outcome
    seconds: float


@dataclass
class RadiusSearch:
    """The search for both ends, in a budget. `most` is where it ends: at the domain's end, or where
    it was told to.

    `held` are the radii at which the claim was shown, rising, each with the verdict that has the
    record; `witness` is the nearest one found, at the distance `refuted`.
    """

    question: RadiusQuestion
    settings: Settings
    budget: Budget
    pool: SolverPool
    watch: Watch
    tolerance: Fraction
    most: Fraction
    held: list[tuple[Fraction, Verdict]] = field(default_factory=list)
    witness: Witness | None = None
    refuted: Fraction | None = None
    trials: list[RadiusTrial] = field(default_factory=list)
    reasons: list[Reason] = field(default_factory=list)
    _unsure: list[Fraction] = field(default_factory=list)
    _share: float = _SHARE
    _hasty: bool = True

    @property
    def holds(self) -> Fraction | None:
        """The largest radius at which the claim was shown; None: not even at the least one."""
        return self.held[-1][0] if self.held else None

    @property
    def notes(self) -> tuple[str, ...]:
        """What the verdict of the largest radius notes, or else the problem."""
        problem = self.question.problem
        return self.held[-1][1].notes if self.held else (*problem.graph.notes, *problem.notes)

    def drop(self, radius: Fraction) -> None:
        """Forget that the claim was shown at a radius: nobody confirms it."""
        self.held = [one for one in self.held if one[0] != radius]
        self._unsure.append(radius)

    def closed(self, holds: Fraction | None) -> bool:
        """Whether a radius at which the claim holds leaves no gap that counts: to the end of the
        domain, or to the nearest witness."""
        if self.refuted is not None and self.refuted <= self.question.least:
            return True
        if holds is None:
            return False
        if self.refuted is None:
            return holds >= self.most
        if self.refuted - holds <= self.tolerance * self.refuted:
            return True
        return self._same(holds, self._below())

    def run(self) -> Iterator[Fraction]:
        """Ask about one radius after the other, until the gap is closed or the time is over; yields
        each radius at which the claim was shown, so that it can be checked at once."""
        self._try_least()
        while not self.closed(self.holds) and not self.budget.spent:
            radius = self._next()
            if radius is None:
                return
            shown = self._ask(radius)
            if shown is not None:
                yield shown

    # --- which radius next ----------------------------------------------------------------------

    def _next(self) -> Fraction | None:
        """The next radius; None where none is left to be asked."""
        low, first = self.holds, self._first()
        if self.refuted is None and not self._unsure:
            return first if low is None else min(2 * max(low, first), self.most)
        if self.refuted is not None and self.refuted < _TINY * first:
            return None
        edge = min([*self._unsure, *([] if self.refuted is None else [self.refuted])])
        floor = self.question.least if low is None else low
        if self._hasty and not self._unsure and low is not None:
            self._hasty = False
            return self._rounded(self._below(), low)
        if edge - floor > self.tolerance * edge:
            return self._rounded((floor + edge) / 2, floor)
        last = max(self._unsure, default=edge)
        if self.refuted is not None and self.refuted - last > self.tolerance * self.refuted:
            return self._rounded((last + self.refuted) / 2, last)
        if self._share >= 1.0:
            return None
        self._share, self._unsure = 1.0, []
        return self._rounded(self._below(), floor) if self.refuted is not None else min(
            2 * max(floor, first), self.most)

    def _first(self) -> Fraction:
        """The radius to begin with."""
        asked, domain = self.question, self.question.domain
        given = asked.guess or (Fraction(1) if domain is None else domain) * _START
        return min(max(given, 2 * asked.least), self.most)

    def _below(self) -> Fraction:
        """A radius near enough below the nearest witness."""
        return (self.refuted or self.most) * (1 - self.tolerance * Fraction(9, 10))

    def _rounded(self, radius: Fraction, above: Fraction) -> Fraction:
        """A short decimal at or a little below a radius, above another one."""
        for digits in (3, 5, 8, 12, 17):
            how = Context(prec=digits, rounding=ROUND_FLOOR, Emax=10**6, Emin=-(10**6))
            short = Fraction(how.divide(Decimal(radius.numerator), Decimal(radius.denominator)))
            if above < short and radius - short <= (radius - above) / 16:
                return short
        return radius

    def _same(self, one: Fraction, other: Fraction) -> bool:
        """Whether no point comes into the region between two radii (whole numbers, clipping)."""
        asked = self.question
        try:
            return not asked.problem.region.balls and asked.region_at(one) == asked.region_at(other)
        except InputError:
            return False

    # --- one radius -----------------------------------------------------------------------------

    def _try_least(self) -> None:
        """See whether x0 (or what is nearest to it) breaks the claim by itself."""
        asked = self.question
        found = refute(asked.at(asked.least), list(asked.point))
        if found is not None:
            self.witness, self.refuted = found, asked.least

    def _ask(self, radius: Fraction) -> Fraction | None:
        """Decide the claim at a radius; the radius if it holds there."""
        started, settings = self.budget.elapsed, self.settings
        seconds = min(self.budget.left, max(1.0, self.budget.left * self._share))
        last = self.held[-1][1].proof if self.held else None
        verdict = decide(
            self.question.at(radius), settings.changed({"seconds": max(0.01, seconds)}), self.pool,
            self.watch, like=last if isinstance(last, Closed) else None)
        self.trials.append(RadiusTrial(radius, verdict.outcome, self.budget.elapsed - started))
        self.watch.stage("radius", self.budget.elapsed - started,
                         f"{float(radius):.6g} {verdict.outcome.value}")
        if verdict.outcome is Outcome.CLAIMED:
            self.held.append((radius, verdict))
            self._unsure = [u for u in self._unsure if u > radius]
            return radius
        if verdict.witness is not None:
            self._refute(verdict.witness)
        else:
            self.reasons += verdict.reasons
            self._unsure.append(radius)
        return None

    def _refute(self, witness: Witness) -> None:
        """Take a witness for the upper end, drawn as near as tries come."""
        asked = self.question
        low = max(self.holds or Fraction(0), asked.least)
        measure = Distances(asked.point, asked.distance, asked.at, asked.key == "linf")
        enough = float(self.tolerance) / 4
        found = nearer(measure, witness, low, enough)
        for _ in range(8):
            distance = asked.distance(found.point)
            below = distance * (1 - self.tolerance / 2)
            if below <= low or self.budget.spent:
                break
            better = self._attacked(below, found)
            if better is None:
                break
            found = nearer(measure, better, low, enough)
        distance = _short_above(asked.distance(found.point))
        if self.refuted is None or distance < self.refuted:
            self.witness, self.refuted, self._hasty = found, distance, True
        self._unsure = [u for u in self._unsure if u < distance]
        # A claim that holds and is refuted at once: one of the two is wrong, and not the replay.
        self.held = [one for one in self.held if one[0] < distance]

    def _attacked(self, radius: Fraction, witness: Witness) -> Witness | None:
        """A witness within a radius, from points near one that is known."""
        from verifex.engine.search.inputs.search import MOST_INPUTS, free_inputs

        problem = self.question.at(radius)
        share = self.budget.part(0.1)
        near = [float(v) for v in witness.point]
        return attack(problem, share, node_bounds(problem), seed=self.settings.seed, rounds=1,
                      gradient=free_inputs(problem) > MOST_INPUTS, near=near).witness


def _short_above(distance: Fraction) -> Fraction:
    """A distance, or a little more where it has more digits than a spec may hold."""
    if len(str(distance)) <= _DIGITS:
        return distance
    how = Context(prec=_DIGITS // 4, rounding=ROUND_CEILING, Emax=10**6, Emin=-(10**6))
    return Fraction(how.divide(Decimal(distance.numerator), Decimal(distance.denominator)))
