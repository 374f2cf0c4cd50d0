"""The seeded bugs still fit the code, and the machinery that plants them notices two of them.

All of them: `python -m tests.seeded.run` (minutes).
"""

from __future__ import annotations

import pytest

from tests.seeded.run import ROOT, bugs, noticed


@pytest.mark.parametrize("bug", bugs(), ids=lambda b: b.name)
def test_bug_can_be_planted(bug) -> None:  # type: ignore[no-untyped-def]
    text = (ROOT / bug.file).read_text(encoding="utf-8")
    planted = bug.planted(text)
    assert planted != text
    compile(planted, bug.file, "exec")
    assert all((ROOT / t.partition('::')[0]).exists() for t in bug.tests)


def test_there_are_twenty() -> None:
    assert len(bugs()) >= 20
    assert len({b.name for b in bugs()}) == len(bugs())


@pytest.mark.parametrize("name", ["negation forgets strictness", "a fact's bound rounded inward"])
def test_bug_is_noticed(name: str) -> None:
    (bug,) = (b for b in bugs() if b.name == name)
    assert noticed(bug)[0] == "tests"
