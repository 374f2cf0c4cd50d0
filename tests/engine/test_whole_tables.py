"""Trained credit networks with categories that may change: decided by the search alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.helpers.credit_tables import QUESTIONS, TARGETS, CreditTable
from verifex.engine.decide import decide
from verifex.engine.verdict import Outcome
from verifex.errors import InputError
from verifex.problem.spec.build import load_problem
from verifex.settings import Settings

pytest.importorskip("torch")  # loaded before any time is counted

ROWS = 5


@pytest.mark.parametrize("what", QUESTIONS)
@pytest.mark.parametrize("name", TARGETS)
def test_rows_are_decided_by_the_search_alone(
    name: str, what: str, shared_data: Path, tmp_path: Path,
    record_property: Callable[[str, object], None],
) -> None:
    """Most rows; how many goes into the test's report."""
    table = CreditTable(name, shared_data / "attribution_models" / "openxai", tmp_path)
    found: Counter[str] = Counter()
    for row in range(ROWS):
        spec = tmp_path / f"{row}.toml"
        spec.write_text(table.spec(row, what))
        try:
            problem = load_problem(spec, table.network)
        except InputError:  # a tie at the reference: not well posed
            found["not well posed"] += 1
            continue
        verdict = decide(problem, Settings(seconds=10.0, solvers=()))
        found[verdict.outcome.value] += 1
        if verdict.witness is not None:
            assert problem.region.contains(verdict.witness.point)
    record_property("verdicts", dict(found))
    print(f"{name}, {what}: {dict(found)}")
    decided = found[Outcome.CLAIMED.value] + found[Outcome.REFUTED.value]
    assert decided + found["not well posed"] > ROWS // 2
