"""Questions that were once answered wrongly, each with its right answer as exact text."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from verifex.engine.decide import decide
from verifex.engine.verdict import Outcome
from verifex.ir.text.document import problem_from_json
from verifex.settings import Settings

FILES = sorted(Path(__file__).parent.glob("*.json"))


@pytest.mark.parametrize("file", FILES, ids=lambda f: f.stem)
def test_the_search_is_not_wrong_again(file: Path) -> None:
    data = json.loads(file.read_text())
    problem, _ = problem_from_json(data["problem"])
    outcome = decide(problem, Settings(seconds=20, solvers=())).outcome
    assert outcome is (Outcome.REFUTED if data["truth"] == "false" else Outcome.UNKNOWN)
