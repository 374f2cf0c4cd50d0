"""A share of the certificates against false versions of their claims (false_versions.py)."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

import pytest

from tests.certificate.false_versions import CODES, READINGS, Report, survey
from tests.certificate.falsehoods.claims import Kind, present
from tests.certificate.falsehoods.random_claims import BASES, base
from tests.certificate.falsehoods.values import kinds

FEW = range(3)  # of the proved claims: each takes a second to find
UNREAD = ("ArgMax", "DepthToSpace", "CumSum", "Where", "And, Or", "Softmax", "Resize", "Mod",
          "float16, bfloat16")
"""Kinds that the checker may refuse as a whole: operators and types that it does not read."""


@pytest.mark.parametrize("kind", READINGS, ids=lambda k: f"{k.group}: {k.name}")
def test_no_false_reading_is_accepted(kind: Kind, tmp_path: Path) -> None:
    report, sharp = Report(), 0
    for seed in range(3):
        version = kind.version(f"quick {seed}")
        assert version is not None
        report.put(kind, version, tmp_path)
        sharp += version.twin is not None
    assert not report.wrong
    assert not report.crashed
    assert report.presented.total() >= 3
    # The same certificates are accepted where the wrong reading is the right one.
    assert report.twins.total() >= 1 or kind.name in UNREAD
    assert sharp == 3


@pytest.mark.slow
def test_no_certificate_of_a_false_version_is_accepted(tmp_path: Path) -> None:
    report = survey(100, 0, FEW, tmp_path)
    assert not report.wrong
    assert not report.crashed
    assert report.presented.total() >= 100
    assert report.presented["value"] >= 50
    assert report.twins.total() >= 0.5 * report.versions.total()


def test_proved_claims_are_of_all_kinds() -> None:
    assert BASES >= 2 * 16
    first = base(0)
    assert first.claim.violation(random.Random(1)) is None
    assert any("split" in line or "input" in line for line in first.certificate.lines)


def test_answers_are_of_few_kinds(tmp_path: Path) -> None:
    """Whatever is asked of the checker ends with one of four codes."""
    codes: Counter[int] = Counter()
    for kind in kinds(FEW)[:4]:
        version = kind.version("codes")
        if version is not None:
            codes.update(present(version.files, c, tmp_path)[0] for c in version.certificates)
    assert set(codes) <= set(CODES)
    assert codes
