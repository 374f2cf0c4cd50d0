"""An expression that is no linear form, in the setting of a spec, and the claims about its ends."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import cached_property
from typing import Any

from verifex.ir.exact import ExactArray, FloatArray
from verifex.ir.formula import Atom, Form, Formula, Or
from verifex.ir.problem import Defined, Problem
from verifex.metrics.support.setting import Setting
from verifex.problem.read import Given
from verifex.problem.spec.build import Prepared, formula_of
from verifex.problem.spec.thresholds.measures import CosineMeasure, Measure
from verifex.source import QuestionFiles

_UNDEFINED = "the cosine is undefined: the range is over all other points"


@dataclass(frozen=True, eq=False)
class ThresholdExpression:
    """What was asked for (`text`), as a measure of the attribution.

    `problem` has the region and the assumptions of the spec and a claim that is always true;
    `at(bound, maximum)` claims that the measure keeps a bound. `files` and `given` are those of
    `Expression`.
    """

    problem: Problem
    text: str
    measure: Measure
    prepared: Prepared = field(repr=False)
    files: QuestionFiles | None = None
    given: Given | None = field(default=None, repr=False)

    @property
    def label(self) -> str:
        return self.measure.label

    def at(self, bound: Fraction, maximum: bool) -> Problem:
        """The problem whose claim is that the measure is at least a bound, or (`maximum`) at most;
        of a cosine that it is below, which is more."""
        wanted, keep = self.measure.property(bound, maximum)
        formula = formula_of(wanted, self._setting, "require[0]", keep)
        return self._problem(formula)

    def entry(self, bound: Fraction, maximum: bool) -> dict[str, Any]:
        """The same as an entry of `[[require]]`."""
        measure = self.measure
        if isinstance(measure, CosineMeasure):
            said = measure.entry(bound)
        else:
            said = measure.entry(bound, maximum)
        return {"not": said} if maximum else said

    @cached_property
    def measured(self) -> Problem:
        """A problem that reads the components, and nothing else: nobody decides its claim."""
        node = self._setting.components
        size = self._setting.builder.node(node).size
        atoms = tuple(Atom(Form.of({(node, i): 1})) for i in range(size))
        return self._problem(atoms[0] if size == 1 else Or(atoms))

    def components(self, values: Mapping[int, ExactArray]) -> list[Fraction]:
        """The components among the values of nodes that a replay of `measured` gives."""
        return values[self._setting.components].fractions()

    def float_components(self, values: Mapping[int, FloatArray]) -> FloatArray:
        """The components (B, n) among the float values of nodes at B points."""
        found = values[self._setting.components]
        return found.reshape(len(found), -1)

    @property
    def _setting(self) -> Setting:
        # Each claim says for itself where it is defined.
        return replace(self.prepared.setting, defined=[])

    def _problem(self, require: Formula) -> Problem:
        problem = self.prepared.problem(require, self.problem.assume)
        defined = self.problem.defined
        if isinstance(self.measure, CosineMeasure):
            nonzero = Defined(self._setting.nonzero(), "the attribution is zero", _UNDEFINED)
            defined = (*defined, nonzero)
        return replace(problem, defined=defined)
