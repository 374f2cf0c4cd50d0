"""The text form of models and answers: exact there and back, and no trust in what comes in."""

from __future__ import annotations

import json
import math
from fractions import Fraction as F

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verifex.ir.model.logical import (
    Model,
    Product,
    Row,
    dumps,
    model_from_json,
    number_from_json,
    number_to_json,
)
from verifex.ir.model.solving import Answer, Status, Stop, answer_from_json, answer_to_json

numbers = st.one_of(
    st.integers(), st.fractions(), st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from([2**5000, -(2**5000), F(1, 3**4000), F(-(7**9000), 2**20000), -0.0]),
)


@given(numbers)
def test_numbers_survive_json(n: int | float | F) -> None:
    back = number_from_json(json.loads(json.dumps(number_to_json(n))))
    assert back == n
    assert back is not None
    if isinstance(n, float):
        assert isinstance(back, float)
        assert math.copysign(1, back) == math.copysign(1, n)


@pytest.mark.parametrize(
    "bad",
    [
        *("", "1.5", "1e5", "1/0", "0x", "1/-2", "--1", "1_0", " 1", "1 ", "١", "nan", "01"),
        *(True, math.inf, -math.inf, math.nan, [], {}, "1e999999999", "9" * 500_000),
    ],
)
def test_other_things_are_not_numbers(bad: object) -> None:
    with pytest.raises(ValueError, match="not a number"):
        number_from_json(bad)


def test_models_survive_json() -> None:
    m = Model()
    x, s = m.new("x", F(-1, 3), 0.1), m.new("s", 0, 1, True)
    m.new("free")
    m.add({x: F(1, 7), s: 2}, ">=", 0.3, strict=True)
    m.imply(s, 0, Row(((x, 1),), "<=", F(1, 9)), F(2, 3))
    m.products.append(Product(2, x, s))
    m.objective, m.objective_const, m.maximise = {x: 1, s: F(-1, 3)}, F(1, 2), True
    assert model_from_json(json.loads(dumps(m))) == m
    assert model_from_json(json.loads(dumps(Model()))) == Model()


@given(st.dictionaries(st.integers(0, 9), numbers), st.one_of(st.none(), numbers))
def test_answers_survive_json(point: dict[int, F], bound: F | None) -> None:
    answer = Answer(Status.FEASIBLE, Stop.TIME, None, bound, point, 1.5, "a note", {"nodes": 3})
    assert answer_from_json(json.loads(json.dumps(answer_to_json(answer)))) == answer


def test_infinite_bounds_are_no_bounds() -> None:
    answer = Answer(Status.UNKNOWN, bound=math.inf, objective=math.nan)
    assert answer_from_json(answer_to_json(answer)) == Answer(Status.UNKNOWN)
