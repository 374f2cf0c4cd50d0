"""The study of who errs: two of its MILPs, and what it counts as an error."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from benchmarks import solver_honesty as honesty


def test_two_of_the_study(tmp_path: Path) -> None:
    """Both ends of one component, HiGHS twice: the document comes out, and again from a journal."""
    asked = list(honesty.cases(1))[2:]
    sets = [honesty.SETS[0], honesty.SETS[2]]
    journal = honesty.Journal(tmp_path / "journal.jsonl")
    honesty.study(asked, sets, journal, 120.0)
    again = honesty.Journal(tmp_path / "journal.jsonl")
    assert again.known == journal.known
    assert len(again.known) == 2 * 3
    text = honesty.document(asked, again, 120.0)
    assert "\n2 MILPs:" in text
    for case in asked:
        truth = honesty.truth_in(again, case)
        assert truth.closed
        for options in sets:
            told = again.get(case, options.label)
            assert told is not None
            if told["status"] == "optimal" and not honesty.erred(told, truth, case):
                assert told["bound"] == pytest.approx(truth.bound, rel=1e-5)


def test_what_is_asked() -> None:
    asked = list(honesty.cases())
    assert len(asked) == len({c.name for c in asked}) == 200
    assert {c.widths for c in asked} == {(20, w, w, 2) for w in (50, 70, 100)}
    assert [o.every for o in honesty.SETS[:2]] == [1, 1]


@pytest.mark.parametrize(("told", "maximise", "by"), [
    ({"status": "optimal", "bound": 0.5}, True, 0.5),
    ({"status": "optimal", "bound": 1.0 - 1e-7}, True, 1e-7),
    ({"status": "optimal", "bound": 2.0}, True, 0.0),  # loose, not wrong
    ({"status": "optimal", "bound": 1.5}, False, 0.5),
    ({"status": "optimal", "bound": 0.5}, False, 0.0),
    ({"status": "infeasible", "bound": None}, True, 1.0),
    ({"status": "unknown", "bound": None}, True, 0.0),
    ({"status": "feasible", "bound": 0.25}, True, 0.75),  # stopped, with a bound that is none
])
def test_an_answer_is_wrong_where_it_denies_what_is_attained(
    told: dict[str, Any], maximise: bool, by: float
) -> None:
    truth = honesty.Truth(1.0, 1.0, 0.0)
    assert honesty.error(told, truth, maximise) == pytest.approx(by)


def test_two_runs_are_weighed_as_the_engine_does(tmp_path: Path) -> None:
    """Wrong once: not claimed. Wrong twice alike: counted as that."""
    journal = honesty.Journal(tmp_path / "journal.jsonl")
    first, second = honesty.SETS[0], honesty.SETS[2]
    asked = list(honesty.cases(2))[:5]
    for case, (one, two) in zip(
        asked, [(1.0, 1.0), (0.5, 1.0), (0.5, 0.5), (None, 1.0), (None, None)], strict=True
    ):
        journal.put(case, "truth", {"attained": 1.0, "bound": 1.0, "seconds": 0.0})
        for options, bound in ((first, one), (second, two)):
            status = "infeasible" if bound is None else "optimal"
            told = {"status": status, "stop": "done", "bound": bound,
                    "value": bound, "seconds": 0.0, "note": ""}
            journal.put(case, options.label, told)
    asked = [c for c in asked if c.maximise]
    assert honesty.twice(asked, first, second, journal)[1:] == [4, 2, 1, 2]
