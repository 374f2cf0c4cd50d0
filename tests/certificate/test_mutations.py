"""A share of the mutated files (mutations.py): one line each, and nothing worse."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from tests.certificate.falsehoods.claims import present
from tests.certificate.mutants.bases import bases
from tests.certificate.mutations import ORDER, SHARES, Answer, answered, mutant, stopped, tried

QUICK = 200


@pytest.mark.timeout(600)
@pytest.mark.filterwarnings("ignore")  # of libraries given nonsense; the command line hides them
def test_mutated_files_are_answered_with_one_line(tmp_path: Path) -> None:
    faults, answers = list[str](), Counter[str]()
    for k in range(QUICK):
        result = tried(mutant(7, k), tmp_path)
        faults += [f"case {k} ({result.target}, {result.how}): {f}" for f in result.faults]
        answers[f"{result.target} {result.checker}"] += 1
        answers[f"{result.target} command {result.command}"] += result.target != "certificate"
    assert not faults
    assert answers["certificate valid"] >= 0.02 * QUICK  # some harm nothing
    assert answers["certificate invalid"] >= 0.2 * QUICK
    assert answers["network command 65"] >= 0.05 * QUICK


def test_what_is_mutated_is_sound(tmp_path: Path) -> None:
    assert {b.target for b in bases()} == set(SHARES)
    for base in bases():
        code, word = present(base.files, base.certificate, tmp_path)
        if base.target in ("certificate", "network"):
            assert (code, word) == (0, "valid")
    assert len(ORDER) == sum(SHARES.values())


def test_mutants_repeat() -> None:
    for k in range(20):
        first, second = mutant(3, k), mutant(3, k)
        assert (first.files, first.certificate) == (second.files, second.certificate)


def test_faults_are_seen() -> None:
    """Tracebacks, endless loops and wrong codes are noticed by the harness itself."""

    def endless() -> int:
        with stopped(1):
            while True:
                pass

    assert "ValueError" in answered(lambda: int("x")).code
    assert "out of time" in answered(endless).code
    assert Answer(70, [], []).faults((0, 65)) == ["ended with 70"]
    assert Answer(0, [], [], seconds=9).faults((0,)) == ["took 9.0 s"]
    assert Answer(0, [], [], kilobytes=1 << 21).faults((0,)) == ["took 2048 MB"]
