"""Verdicts and ranges as JSON: what `to_json` writes `from_json` reads back, and nothing else."""

from __future__ import annotations

import json
from dataclasses import replace
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from verifex.engine.findings.reasons import (
    Evidence,
    EvidenceKind,
    Reason,
    ReasonKind,
    sentence,
)
from verifex.engine.verdict import Outcome, RangeEnd, RangeVerdict, StageRecord, Verdict, Witness
from verifex.errors import InputError

texts = st.text(max_size=20)
floats = st.floats(allow_nan=False, allow_infinity=False)
exact = st.fractions() | floats.map(Fraction) | st.just(Fraction(7, 3**12_000))
counts = st.none() | st.integers(0, 10**9)
seconds = st.floats(0, 1e6).map(lambda v: round(v, 3))
reasons = st.builds(
    Reason, st.sampled_from(ReasonKind), texts, texts, st.none() | floats, counts,
    st.none() | floats)
evidence = st.builds(
    Evidence, st.sampled_from(EvidenceKind), texts, st.none() | floats, counts, counts)
witnesses = st.builds(
    Witness, st.lists(exact, max_size=4).map(tuple), st.none() | exact,
    st.dictionaries(texts, st.lists(floats.map(Fraction), max_size=3).map(tuple), max_size=3),
    st.dictionaries(texts, texts, max_size=3))
verdicts = st.builds(
    Verdict, st.sampled_from(Outcome), st.lists(reasons, max_size=3).map(tuple),
    st.lists(evidence, max_size=3).map(tuple), st.none() | witnesses, st.none() | exact,
    st.none() | floats, st.none() | exact, seconds,
    st.lists(st.builds(StageRecord, texts, seconds, texts), max_size=3).map(tuple),
    st.lists(texts, max_size=3).map(tuple), texts,
    st.just({}) | st.just({"certificate": {"path": None, "bytes": 17, "check": "valid"}}))
ends = st.builds(
    RangeEnd, st.none() | exact, st.none() | floats, st.none() | exact,
    st.none() | st.lists(exact, max_size=3).map(tuple), st.booleans(), texts)
ranges = st.builds(
    RangeVerdict, texts, ends, ends, st.lists(reasons, max_size=3).map(tuple),
    st.lists(evidence, max_size=3).map(tuple), seconds, st.lists(texts, max_size=3).map(tuple))


@settings(max_examples=150, deadline=None)
@given(verdicts)
def test_verdicts_come_back(verdict: Verdict) -> None:
    text = json.dumps(verdict.to_json(), allow_nan=False)
    again = Verdict.from_json(text)
    assert again == verdict
    assert again.to_json() == verdict.to_json() == Verdict.from_json(verdict.to_json()).to_json()


@settings(max_examples=100, deadline=None)
@given(ranges)
def test_ranges_come_back(found: RangeVerdict) -> None:
    text = json.dumps(found.to_json(), allow_nan=False)
    again = RangeVerdict.from_json(text)
    assert again == found
    assert again.to_json() == found.to_json()


SAID = Verdict(
    Outcome.REFUTED, evidence=(Evidence(EvidenceKind.CANDIDATE, "attack"),
                               Evidence(EvidenceKind.REPLAY)),
    witness=Witness((Fraction(1, 3), Fraction(2)), Fraction(-1, 7), {"y": (Fraction(1, 2),)},
                    {"exact": "violated"}),
    margin_high=Fraction(-1, 7), steps=(StageRecord("attack", 0.25, "witness"),), name="a question",
)


def changed(path: str, value: Any) -> dict[str, Any]:
    """The JSON of a verdict with one value changed, or left out for None given as `...`."""
    document: dict[str, Any] = json.loads(json.dumps(SAID.to_json()))
    *above, last = path.split(".")
    place: Any = document
    for key in above:
        place = place[int(key)] if isinstance(place, list) else place[key]
    if value is ...:
        del place[last]
    else:
        place[last] = value
    return document


@pytest.mark.parametrize(
    ("path", "value", "key"),
    [
        ("outcome", "maybe", "outcome"), ("outcome", ..., "outcome"), ("schema", 2, "schema"),
        ("schema", "1", "schema"), ("kind", "range", "kind"), ("sha256", "x", "sha256"),
        ("name", 3, "name"),
        ("evidence_data.0.kind", "hope", r"evidence_data\[0\]\.kind"),
        ("evidence_data", "attack", "evidence_data"),
        ("witness.point_exact", ["1/0"], r"witness\.point_exact\[0\]"),
        ("witness.point_exact", [0.5], r"witness\.point_exact\[0\]"),
        ("witness.point_exact", ..., r"witness\.point_exact"),
        ("witness.values", {"y": ["a"]}, r"witness\.values\.y\[0\]"),
        ("worst_margin.claimed_at_least", "0", r"worst_margin\.claimed_at_least"),
        ("worst_margin", None, "worst_margin"), ("seconds", "1", "seconds"),
        ("steps", [["attack", 1.0]], r"steps\[0\]\[2\]"), ("notes", [1], r"notes\[0\]"),
    ],
)
def test_what_does_not_fit_is_named(path: str, value: Any, key: str) -> None:
    with pytest.raises(InputError, match=f"^{key}:"):
        Verdict.from_json(changed(path, value))


@pytest.mark.parametrize("text", ["", "[", "[]", "3", '{"verdict": NaN}', "[" * 100_000, "{}"])
def test_what_is_no_verdict_is_refused(text: str) -> None:
    for kind in (Verdict, RangeVerdict):
        with pytest.raises(InputError):
            kind.from_json(text)
    with pytest.raises(InputError, match="no JSON data"):
        Verdict.from_json({"name": {1, 2}})


def test_documents_from_before_there_was_a_schema_are_read() -> None:
    """They called the outcome the verdict."""
    new = SAID.to_json()
    former = {"verdict" if k == "outcome" else k: v for k, v in new.items()
              if k not in ("schema", "kind", "verifex", "sha256", "statement")}
    assert Verdict.from_json(former) == SAID
    with pytest.raises(InputError, match=r"^verdict:"):
        Verdict.from_json({**former, "verdict": "maybe"})


def test_keys_of_the_command_line_are_kept() -> None:
    document = {**SAID.to_json(), "features": ["a", "b"], "exit_code": 1}
    again = Verdict.from_json(document)
    assert again == replace(SAID, extra={"features": ["a", "b"]})
    assert again.exit_code == 1


def test_every_kind_has_a_sentence_of_its_own() -> None:
    """No placeholder is left, and what has no data is still a sentence."""
    said = [str(Reason(k, "z3", "why", 0.5, 3, 2.0)) for k in ReasonKind]
    said += [str(Evidence(k, "z3", 0.5, 3, 1)) for k in EvidenceKind]
    assert not [s for s in said if "{" in s or "None" in s or not s]
    bound = {EvidenceKind.SEARCH_BOUND, EvidenceKind.EXACT_BOUND}
    assert len({str(Evidence(k, "z3", 0.5, 3, 1)) for k in EvidenceKind}) == len(
        EvidenceKind) - len(bound) + 1


@pytest.mark.parametrize(
    ("said", "text"),
    [
        (Reason(ReasonKind.NOT_AVAILABLE, "scip", "not installed"),
         "scip is not available: not installed"),
        (Reason(ReasonKind.CONTRADICTED, "highs", "a replayed margin 0.5"),
         "highs: its answer 'infeasible' contradicts a replayed margin 0.5: discarded"),
        (Reason(ReasonKind.CONTRADICTED, "highs", "z3's 1", -5.0),
         "highs: its bound -5 contradicts z3's 1: discarded"),
        (Reason(ReasonKind.OUT_OF_TIME, seconds=2.5), "out of time after 2.5 s"),
        (Reason(ReasonKind.SEARCH_OUT_OF_TIME, "search"), "search: out of time"),
        (Reason(ReasonKind.SEARCH_OUT_OF_TIME, "search", count=7),
         "search: out of time after 7 domains"),
        (Reason(ReasonKind.LEAVES_UNDECIDED, "search", count=0), "search: 0 leaves undecided"),
        (Evidence(EvidenceKind.MARGIN, "highs", 0.125),
         "highs: worst margin at least 0.125, in two runs"),
        (Evidence(EvidenceKind.PARTLY_CLOSED, "search", count=9, open=2),
         "search: all closed but 2 of 9 leaves"),
        (Evidence(EvidenceKind.INTERVALS, "interval bounds"), "interval bounds, outward rounded"),
    ],
)
def test_sentences(said: Reason | Evidence, text: str) -> None:
    assert str(said) == text


def test_a_sentence_is_said_once() -> None:
    late = Reason(ReasonKind.OUT_OF_TIME, seconds=2.0)
    tie = Reason(ReasonKind.TIE, "highs")
    assert sentence([late, tie, late]) == (
        "out of time after 2 s; highs: within its tolerance of a tie, or only on a kink")
    later = Reason(ReasonKind.OUT_OF_TIME, seconds=1.05532)
    assert sentence([late, later, later]) == "out of time after 2 s"
    assert sentence([later]) == "out of time after 1.06 s"
    assert sentence([]) == ""
