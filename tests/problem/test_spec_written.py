"""Specs written as TOML read back as themselves: by frontend, checker and a third reader."""

from __future__ import annotations

import random
import tomllib
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.readings.text_made_claims import spec as made_spec
from tests.readings.text_readers import READERS
from tests.readings.text_third import Silent
from verifex.errors import InputError, VerifexError
from verifex.ir.fields import Array, Functional
from verifex.problem.spec.model import COMBINATORS, Spec, load_spec, parse_spec, properties

LIBRARY = sorted((Path(__file__).resolve().parents[2] / "specs/library").glob("*.toml"))

numbers = st.fractions() | st.sampled_from(
    [Fraction(1, 3), Fraction(0), Fraction(5, 10**300), Fraction(10**200), Fraction(2.0**-1000),
     Fraction(np.float32(0.1).item()), Fraction(-7, 3**50)])
radii = numbers.map(abs)
words = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)
features = st.lists(words | st.integers(0, 99), min_size=1, max_size=3)
arrays = st.lists(numbers, min_size=1, max_size=4) | st.lists(
    st.lists(st.lists(numbers, min_size=2, max_size=2), min_size=3, max_size=3), min_size=1,
    max_size=2)
tables = st.dictionaries(words, numbers, min_size=1, max_size=3)
outputs = st.sampled_from(
    ["predicted", "sum", "logit:3", "margin:predicted,runner_up", {"margin": [1, "predicted"]}]
) | st.builds(lambda values: {"weights": values}, st.lists(numbers, min_size=1, max_size=3))
bounds = st.dictionaries(
    st.sampled_from(["at_least", "at_most", "above", "below"]), numbers, min_size=1, max_size=3)


def one_key(key: str, values: st.SearchStrategy[Any], **more: st.SearchStrategy[Any]) -> Any:
    """Tables with the key, and with each of the others now and then."""
    return st.fixed_dictionaries({key: values}, optional=more)


def bounded(key: str, values: st.SearchStrategy[Any], **more: st.SearchStrategy[Any]) -> Any:
    tables_ = one_key(key, values, **more)
    return st.builds(lambda table, limits: {**table, **limits}, tables_, bounds)


undefined = st.sampled_from(["fails", "holds"])
BY_KEYWORD = {
    "class": one_key("class", st.just("unchanged") | st.integers(0, 9),
                     tie=st.sampled_from(["error", "index"])),
    "component": bounded("component", features),
    "similarity": st.builds(
        lambda q, u: {"similarity": "cosine", "at_least": q, "undefined": u},
        st.fractions(-1, 1), undefined),
    "distance": bounded("distance", st.sampled_from(["l1", "l2", "linf"]), relative=st.booleans()),
    "expression": bounded("expression", words),
    "mass": bounded("mass", features | st.builds(lambda name: {"file": name}, words)),
    "monotone": st.builds(
        lambda way, names, output: {"monotone": way, "feature": names, "output": output},
        st.sampled_from(["increasing", "decreasing"]), features, outputs),
    "order": one_key("order", st.just("unchanged") | st.lists(words, min_size=2, max_size=3)),
    "output": bounded("output", outputs),
    "sign": one_key("sign", st.just("unchanged"), which=features, threshold=radii,
                    zero=st.sampled_from(["error", "ignore", "keep"]), at_least=st.integers(0, 9)),
    "top_k": one_key("top_k", st.integers(0, 99), overlap_at_least=st.integers(0, 9),
                     tie=st.just("index")),
}
claims = st.recursive(
    st.one_of(*BY_KEYWORD.values()),
    lambda inner: st.builds(lambda part: {"not": part}, inner) | st.builds(
        lambda word, parts: {word: parts}, st.sampled_from(["all", "any"]),
        st.lists(inner, min_size=1, max_size=3)),
    max_leaves=5)
inputs = one_key("point", arrays | st.dictionaries(words, arrays, min_size=1, max_size=2),
                 names=st.lists(words, max_size=3), round=st.just("float32")) | one_key(
    "data", words, row=st.integers(0, 10**6), header=st.booleans(), target=words, drop=features,
    minmax_of=words)
regions = st.fixed_dictionaries({}, optional={
    "linf": radii | st.dictionaries(words, radii, min_size=1), "l1": radii, "l2": radii,
    "box": st.builds(lambda lo, hi: {"lo": lo, "hi": hi}, numbers | arrays, tables),
    "clip": st.lists(numbers, min_size=2, max_size=2), "freeze": features, "only": features,
    "integer": features, "one_hot": st.lists(features, max_size=2), "linear": st.lists(words),
})
options = st.recursive(
    st.integers(-5, 5) | words | st.booleans() | st.floats(-9, 9),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(words, inner, max_size=2),
    max_leaves=4)
explanations = st.fixed_dictionaries({"attribution": words}, optional={
    "output": outputs, "features": features, "reduce": st.sampled_from(["abs", "channel_sum"]),
    "options": st.dictionaries(words, options, max_size=3)})
specs = st.fixed_dictionaries({}, optional={
    "name": words, "network": words, "network_output": words, "kink": st.just("zero"),
    "input": inputs, "region": regions, "explain": explanations,
    "require": st.lists(claims, max_size=3), "assume": st.lists(claims, max_size=2)})


def test_every_kind_of_property_is_drawn() -> None:
    assert {*BY_KEYWORD, *COMBINATORS} >= set(properties())


@settings(max_examples=150, deadline=None)
@given(specs)
def test_random_specs_come_back(fields: dict[str, Any]) -> None:
    spec = Spec(**fields)
    text = spec.to_toml()
    again = Spec.from_toml(text)
    assert again == spec
    assert again.to_toml() == text


@pytest.mark.parametrize("file", LIBRARY, ids=lambda path: path.stem)
def test_the_library_comes_back(file: Path) -> None:
    spec = load_spec(file)
    assert parse_spec(spec.to_toml()) == spec
    given_, written = tomllib.loads(file.read_text()), tomllib.loads(spec.to_toml())
    # As many claims, each with the same keyword first: nothing is lost on the way.
    assert [len(p) for p in written["require"]] == [len(p) for p in given_["require"]]


@pytest.mark.parametrize("seed", range(30))
def test_all_readers_read_what_is_written(seed: int, tmp_path: Path) -> None:
    text = made_spec(random.Random(seed))
    try:
        spec = parse_spec(text.text)
    except VerifexError:
        assert not text.plain  # refused as it should be: see the tests of readings
        return
    written = replace(text, text=spec.to_toml())
    assert parse_spec(written.text) == spec
    found = []
    engine, checker, third = READERS["toml"](written, tmp_path)
    for reader in (engine, checker, third) if text.plain else (engine, checker):
        try:
            found.append(reader())
        except Silent:
            continue
        except Exception as error:
            if not isinstance(error, VerifexError) and type(error).__name__ not in (
                    "Bad", "Refused"):
                raise
            found.append("refused")
    assert found
    assert all(one == found[0] for one in found), (found, written.text)


@pytest.mark.parametrize(
    ("value", "text"),
    [(Fraction(1, 10), "0.1"), (Fraction(3), "3"), (Fraction(1, 3), '"1/3"'), (0.1, "0.1"),
     (np.float32(0.5), "0.5"), (Decimal("1e-500"), "1e-500"), (Fraction(10**30), "1" + 30 * "0")],
)
def test_numbers_as_they_are_written(value: Any, text: str) -> None:
    assert f"linf = {text}\n" in Spec(region={"linf": value}).to_toml()


def test_what_nobody_has_read_stays_what_it_is() -> None:
    """An option of 2.0 is no count, and what is no number in a file is none when written."""
    options = 'a = 2.0\nb = 2\nc = nan\nd = "1/3"\ne = 2026-01-02T03:04:05Z\nf = 07:32:00\n'
    text = f"verifex = 1\n[explain]\n[explain.options]\n{options}"
    again = tomllib.loads(parse_spec(text).to_toml(), parse_float=str)["explain"]["options"]
    assert again == tomllib.loads(options, parse_float=str)


def test_a_number_that_no_file_can_hold_is_named() -> None:
    spec = Spec(region={"linf": Fraction(1, 3**1000 * 7) + Fraction(1, 11**600)})
    with pytest.raises(InputError, match=r"a number of \d+ characters, expected a shorter one"):
        spec.to_toml()


def test_shapes_and_functionals_are_kept() -> None:
    spec = Spec(input={"point": np.zeros((2, 1, 3), np.float32)},
                explain={"output": {"weights": [1, "-1/3"]}})
    again = parse_spec(spec.to_toml())
    assert again.input.point == Array((2, 1, 3), (Fraction(0),) * 6)
    assert again.explain is not None
    assert again.explain.output == Functional("weights", (), (Fraction(1), Fraction(-1, 3)))
