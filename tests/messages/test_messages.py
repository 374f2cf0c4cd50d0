"""Every mistake of the catalogue gets the line that is kept for it, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.messages.catalogue import FILE, Mistake, read, said, written
from tests.messages.place import make

MISTAKES = read()


@pytest.mark.parametrize("mistake", MISTAKES, ids=[m.title for m in MISTAKES])
def test_what_is_said(mistake: Mistake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(tmp_path)
    monkeypatch.chdir(tmp_path)
    code, text, printed = said(mistake, tmp_path)
    assert (code, text) == (mistake.exit, mistake.says)
    assert "\n" not in text
    assert printed == ""


def test_a_spec_without_a_mistake_is_proved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(tmp_path)
    monkeypatch.chdir(tmp_path)
    right = Mistake("none", "none", command="verifex verify spec.toml --quiet")
    assert said(right, tmp_path) == (0, "", "proved\n")


def test_the_catalogue_is_whole() -> None:
    """At least as many as were promised, told apart by their titles, and kept as it is written."""
    assert len(MISTAKES) >= 56
    assert len({m.title for m in MISTAKES}) == len(MISTAKES)
    assert all(m.says and m.exit != 0 for m in MISTAKES)
    assert written(MISTAKES) == FILE.read_text(encoding="utf-8")


def test_a_message_says_what_was_expected() -> None:
    """Input errors name the way out: `expected ...`, or an instruction."""
    for mistake in MISTAKES:
        if mistake.exit == 65 or mistake.exit in ("InputError", "UnsupportedError"):
            assert "expected " in mistake.says, mistake.title
