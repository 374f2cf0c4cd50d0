"""Conjunctions: what no atom excludes alone is excluded together, with a certificate."""

from __future__ import annotations

import tomllib
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from tests.helpers.marks import first_quick
from tests.helpers.spec_nets import Pair, checked, pair, text, truth
from verifex.certificate.write import Line, proof_lines
from verifex.engine.bounds.bounder import Effort
from verifex.engine.budget import Budget
from verifex.engine.search.claims import FormulaResult, decide_search
from verifex.engine.search.gates.policy import SearchOptions
from verifex.ir.formula import atoms
from verifex.ir.problem import Problem
from verifex.problem.spec.build import load_problem, read_problem
from verifex.semantics.evaluate import evaluate_float

QUICK = SearchOptions(root_effort=Effort(12), effort=Effort(4), max_domains=2000)


def window(seed: int, folder: Path, gap: Fraction) -> Pair:
    """A claim `assume q >= v, require q >= v - gap` with v in the midst of what q can be.

    Broken where v <= q < v - gap: nowhere for a gap >= 0, though q can be on either side of both.
    """
    p = pair(seed, folder, ("output", "component")[seed % 2], hard=True)
    spec = tomllib.loads(p.spec.read_text())
    (property_,) = spec["require"]
    kept = {k: v for k, v in property_.items() if k in ("output", "component")}
    problem = p.problem()
    centre = [(a + b) / 2 for a, b in zip(*problem.region.float_box(), strict=True)]
    values = evaluate_float(problem.graph, np.array([centre]), problem.targets())
    form = next(a.form for a in atoms(problem.require))
    at = sum(float(c) * values[n].reshape(-1)[i] for (n, i), c in form.terms)
    if property_.keys() & {"at_most", "below"}:
        at = -at
    v = Fraction(round(at * 64), 64)
    spec["assume"] = [{**kept, "at_least": str(v)}]
    spec["require"] = [{**kept, "at_least": str(v - gap)}]
    p.spec.write_text(text(spec))
    return p


def search(p: Pair) -> tuple[Problem, FormulaResult]:
    problem = load_problem(p.spec, None)
    return problem, decide_search(problem, Budget(20.0, 1 << 30, 1), QUICK)


def joined(lines: list[Line]) -> int:
    return sum("bound" in line and "atoms" in line for line in lines)


@pytest.mark.slow
def test_windows_are_closed_and_accepted(tmp_path: Path) -> None:
    proved = together = 0
    for seed in range(2100, 2120):
        p = window(seed, tmp_path, Fraction(1, 16))
        problem, found = search(p)
        assert found.witness is None
        if found.closed is None or found.stats.ties:
            continue
        lines = list(proof_lines(problem, read_problem(p.spec, p.network).files, found.closed))
        assert checked(p, lines, tmp_path) == (0, "valid"), seed
        proved, together = proved + 1, together + joined(lines)
    assert proved >= 14
    assert together > 0


def test_open_windows_are_not_closed(tmp_path: Path) -> None:
    """The same with a gap below zero: broken wherever q lies between the two."""
    refuted = 0
    for seed in range(2100, 2120):
        p = window(seed, tmp_path, Fraction(-1, 16))
        problem, found = search(p)
        if found.closed is not None:
            assert truth(problem) in ("true", "open", "kink"), seed
        refuted += found.witness is not None
    assert refuted >= 10


@pytest.mark.parametrize("change", first_quick(["dropped", "smaller", "more", "other", "without"]))
def test_spoiled_combinations_are_refused(change: str, tmp_path: Path) -> None:
    """Multipliers changed so that the bound is lost, atoms that do not exist."""
    tried = 0
    for seed in range(2100, 2120):
        p = window(seed, tmp_path, Fraction(1, 16))
        problem, found = search(p)
        if found.closed is None or found.stats.ties:
            continue
        lines = list(proof_lines(problem, read_problem(p.spec, p.network).files, found.closed))
        at = next((k for k, line in enumerate(lines) if "bound" in line and "atoms" in line), None)
        if at is None:
            continue
        line = dict(lines[at])
        ((k, m, e),) = line["atoms"]
        if change == "dropped":
            lines[at] = {key: v for key, v in line.items() if key != "atoms"}
        elif change == "without":
            lines.pop(at)
        else:
            new = {"smaller": [k, m, e - 9], "more": [k, -m, e], "other": [k + 7, m, e]}[change]
            lines[at] = {**line, "atoms": [new]}
        assert checked(p, lines, tmp_path)[0] == 1, seed
        tried += 1
    assert tried >= 3
