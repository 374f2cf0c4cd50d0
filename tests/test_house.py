"""Holds the code to the figures of docs/house.md; tests/test_rooms.py does so for folder sizes."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import pytest

from benchmarks.house import ONE_ENTRY_A_FILE, House, document, read_house, read_peer
from tests.helpers.layering import MOST_FILES, REGISTRIES, ROOT

LONGEST = 80
ONE_LETTER = .03


@cache
def house() -> House:
    return read_house(ROOT, ["verifex", "solvers"])


def sample(**sources: str) -> House:
    files = {f"{name}.py": source for name, source in sources.items()}
    return House(files, {file: ast.parse(source) for file, source in files.items()})


def test_both_counts_of_crowded_folders_agree() -> None:
    assert {Path(folder).name for folder in REGISTRIES} == ONE_ENTRY_A_FILE
    assert house().crowd <= MOST_FILES


def test_functions_are_short() -> None:
    assert house().length(.99) <= LONGEST


def test_parameters_have_names() -> None:
    assert house().one_letter <= ONE_LETTER


def test_a_class_name_means_one_thing() -> None:
    assert house().homonyms == {}


def test_relaxation_parameters_have_a_type_of_their_own() -> None:
    """No mapping whose keys are a text and more."""
    assert house().keyed_by("tuple") == []


def test_what_is_counted() -> None:
    small = sample(
        one="# a comment\nclass Box:\n    def size(self, x, wide):\n\n        return x\n",
        two="Key = tuple[str, int]\nclass Box: ...\n"
            "def named(table: dict[str, int]) -> int: ...\n"
            "def paired(table: Mapping[Key, int]) -> int: return named(table)\n"
            "def _once(): ...\ndef _twice(): return _once() + _twice() + _twice()\n",
    )
    assert small.homonyms == {"Box": ["one.py", "two.py"]}
    assert small.lengths == [1, 1, 1, 1, 3]
    assert (small.length(.5), small.length(.8), small.length(.81)) == (1, 1, 3)
    assert small.one_letter == 1 / 4
    assert small.keyed_by("str") == ["two.py:3 table"]
    assert small.keyed_by("tuple") == ["two.py:4 table"]
    assert small.called_once == 1 / 2
    assert small.comments == 1 / 10
    assert small.with_return_type == 2 / 5


def test_what_is_absent_is_named() -> None:
    assert read_peer("no_such_project") == ("no_such_project", None)
    page = document("the command", {"now": house()}, ["no_such_project"])
    assert "Not counted, since not installed: no_such_project." in page


def test_folders_that_are_not_there() -> None:
    with pytest.raises(SystemExit, match="no such folder"):
        read_house(ROOT, ["nowhere"])
