"""`assert_proved`: silent where a claim is proved, and else a message that says what is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

import verifex

NET = Path(__file__).resolve().parent.parent / "examples/breast_cancer.onnx"


def spec(radius: str) -> verifex.Spec:
    return verifex.Spec(
        name="my model", region=verifex.linf(radius),
        input=verifex.point([0.25] * 30, names=[f"feature_{i}" for i in range(30)]),
        require=[verifex.class_unchanged()])


def test_a_proved_claim_passes() -> None:
    verdict = verifex.assert_proved(NET.read_bytes(), spec("1/10000"))
    assert verdict.outcome is verifex.Outcome.PROVED


def test_a_refuted_claim_tells_its_witness() -> None:
    with pytest.raises(AssertionError) as caught:
        verifex.assert_proved(NET, spec("1"))
    text = str(caught.value)
    assert text.startswith("not proved but refuted: my model\n  claim: the class stays")
    assert "\n  witness: feature_0 = " in text
    assert ", and 25 more\n  margin there: -" in text
    assert len(text) < 1000


def test_what_is_only_claimed_says_so() -> None:
    with pytest.raises(AssertionError, match=r"but claimed: my model\n") as caught:
        verifex.assert_proved(NET, spec("1/10000"), check=False)
    assert "\n  rests on: interval bounds" in str(caught.value)


def test_mistakes_are_no_failed_assertions() -> None:
    with pytest.raises(verifex.InputError):
        verifex.assert_proved(NET, {"require": [{"class": 7}], "region": {"linf": 1}})
    with pytest.raises(TypeError, match="unexpected keyword"):
        verifex.assert_proved(NET, spec("1"), second=3)
