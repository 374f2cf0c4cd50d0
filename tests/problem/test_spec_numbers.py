"""Numbers of a spec are exact, wherever they stand and however they are written."""

from __future__ import annotations

import re
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from verifex.errors import InputError, UnsupportedError
from verifex.ir.decimals import finite_decimal, parse_exact, show_exact
from verifex.ir.fields import Functional, exact, functional
from verifex.problem.spec.data import nearest_float32
from verifex.problem.spec.model import Spec, parse_spec

F = Fraction


@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**40), max_value=10**40))
def test_decimals_mean_themselves(d: Decimal) -> None:
    if abs(int(d.as_tuple().exponent)) < 900:
        assert parse_exact(str(d)) == F(d)


@given(st.fractions())
def test_quotients_and_round_trip(q: Fraction) -> None:
    assert parse_exact(f"{q.numerator}/{q.denominator}") == q
    shown = show_exact(q)
    assert shown.startswith("about") or parse_exact(shown) == q


@pytest.mark.parametrize("text", [
    "", " ", "nan", "inf", "-", ".", "1e", "e5", "0x10", "1/0", "1/2/3", "1,5", "1 2", "--1", "١",
    "1e1001", "1e-1001", "9" * 1001, "_", "/2", "1_000_e", "1_000", "1__0", "1_.5", "1e1_0", "٣.٥",
    "１", "1\n", "1\u00a0", "²", "1/٣",
])
def test_what_is_no_number(text: str) -> None:
    with pytest.raises(ValueError):
        parse_exact(text)


@pytest.mark.parametrize(("value", "expected"), [
    (0.1, F(1, 10)), (np.float64(0.1), F(0.1)), (np.float32(0.1), F(float(np.float32(0.1)))),
    ("1/3", F(1, 3)), (3, F(3)), (np.int64(3), F(3)), (Decimal("0.1"), F(1, 10)),
    (1e-7, F(1, 10**7)),
    (F(2, 7), F(2, 7)), ("-1.5e-3", F(-3, 2000)), (" 1 / 3\t", F(1, 3)),
])
def test_python_numbers(value: object, expected: Fraction) -> None:
    assert exact(value) == expected


def test_toml_numbers() -> None:
    spec = parse_spec(
        'verifex = 1\nrequire = [{ class = 0 }]\n[input]\n'
        'point = [0.1, "1/3", 1e-1, 1_0.5, -0.0, 2]\n'
        "[region]\nlinf = 0.05\nclip = [0, 1.10]\n"
    )
    assert spec.input.point.values == (F(1, 10), F(1, 3), F(1, 10), F(21, 2), F(0), F(2))
    assert spec.region.linf == F(1, 20)
    assert spec.region.clip is not None
    assert spec.region.clip.hi == F(11, 10)


@given(st.floats(width=32, allow_nan=False, allow_infinity=False), st.floats(-0.499, 0.499))
def test_nearest_float32(x: float, part: float) -> None:
    """A point less than half a gap from a float32 rounds to it."""
    here = np.float32(x)
    gaps = [abs(Fraction(float(np.nextafter(here, np.float32(s)))) - Fraction(float(here)))
            for s in (-np.inf, np.inf) if np.isfinite(np.nextafter(here, np.float32(s)))]
    assert nearest_float32(Fraction(x) + min(gaps) * Fraction(part)) == Fraction(x)


def test_nearest_float32_rounds_once() -> None:
    """Just above the middle of two float32: by way of float64 this would go down."""
    one, gap = F(1), F(1, 2**23)
    assert nearest_float32(one + gap / 2 + F(1, 2**80)) == one + gap
    assert nearest_float32(one + gap / 2) == one  # a tie goes to even
    assert nearest_float32(one + gap * 3 / 2) == one + 2 * gap


@pytest.mark.parametrize(("value", "expected"), [
    ("predicted", Functional("logit", ("predicted",), (F(1),))),
    ("logit:3", Functional("logit", (3,), (F(1),))),
    ("margin:1, 0", Functional("margin", (1, 0), (F(1), F(-1)))),
    ({"margin": [1, "runner_up"]}, Functional("margin", (1, "runner_up"), (F(1), F(-1)))),
    ({"logit": 2}, Functional("logit", (2,), (F(1),))),
    ({"weights": ["1/3", 0.1]}, Functional("weights", (), (F(1, 3), F(1, 10)))),
    ("sum", Functional("sum")),
])
def test_functionals(value: object, expected: Functional) -> None:
    assert functional(value) == expected


def test_other_arithmetic_is_unsupported() -> None:
    with pytest.raises(UnsupportedError, match="float32"):
        parse_spec('verifex = 1\narithmetic = "float32"\n')


def test_a_spec_from_python_complains_like_a_file() -> None:
    with pytest.raises(InputError, match=r"region\.linf"):
        Spec(region={"linf": -1})
    with pytest.raises(InputError, match=r"require\[0\].*'class'"):
        Spec(require=[{"clas": 1}])


@given(st.integers(), st.integers(0, 1100), st.integers(0, 400))
def test_finite_decimals_are_exact_and_plain(top: int, twos: int, fives: int) -> None:
    q = F(top, 2**twos * 5**fives)
    text = finite_decimal(q)
    assert F(text) == q
    assert re.fullmatch(r"-?(0|[1-9]\d*)\.(0|\d*[1-9])", text)
    assert finite_decimal(F(10**5000)) == "1" + "0" * 5000 + ".0"


@given(st.fractions(max_denominator=10**6))
def test_decimals_that_do_not_end(q: Fraction) -> None:
    with pytest.raises(ValueError, match="no finite decimal"):
        finite_decimal(q + F(1, 10**6 + 3))  # a prime
