"""Names and constraints: each kind of misreading, with its right value and relatives."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import pytest

from tests.readings.text_case import Case

F = Fraction

# --- names are compared as they are written -------------------------------------------------------

NAMED = """verifex = 1
[input]
point = [0, 0]
names = ["{first}", "{second}"]
[region]
box = [0, 1]
linear = '''{name} <= 0.5'''
[[require]]
output = "logit:1"
at_most = 0.6
"""


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("ﬁ", "fi"),
        ("K", "\u212a"),
        ("ſ", "s"),
        ("ª", "a"),
        ("𝐱", "x1"),
        ("Age", "age"),
        ("é", "e\u0301"),
        ("a ", "a"),
        ("x²", "x2"),
    ],
)
def test_a_constraint_is_about_the_name_as_written(tmp_path: Path, first: str, second: str) -> None:
    """x = (0, 1) breaks the claim where the constraint is on the first feature."""
    c = Case(tmp_path, 2)
    for name, broken in ((first, True), (second, False)):
        c.write(NAMED.format(first=first, second=second, name=f'x["{name}"]'))
        assert c.breaks([F(0), F(1)]) == broken, name
        if all(k.isalnum() for k in name):
            c.write(NAMED.format(first=first, second=second, name=name))
            assert c.breaks([F(0), F(1)]) == broken, name


@pytest.mark.parametrize(
    "text",
    [
        '"x[0]" = 1\n',
        '"x[1]" = 1\n',
        '"0" = 1\n',
    ],
)
def test_names_that_look_like_places(tmp_path: Path, text: str) -> None:
    """A feature may be called x[1]: then that is its name, not its place."""
    spec = (
        'verifex = 1\n[input]\npoint = [0, 0]\nnames = ["x[1]", "0"]\n[region.linf]\n'
        + text
        + '[[require]]\noutput = "sum"\nat_most = 0.5\n'
    )
    c = Case(tmp_path, 2).write(spec)
    moved = {'"x[0]"': 0, '"x[1]"': 0, '"0"': 1}[text.split(" ")[0]]
    assert c.breaks([F(i == moved) for i in range(2)])
    assert not c.breaks([F(i != moved) for i in range(2)])


# --- constraints are read without a parser of another language ------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "-" * 1500 + "x[0] <= 1",
        "(" * 500 + "x[0]" + ")" * 500 + " <= 1",
        "- -x[0] <= 1",
        "x[0] + +-x[1] <= 1",
        "2*3*x[0] <= 1",
        "x[0] <= 1 # note",
        "x[0] <= 1_000",
        "x[٠] <= 1",
        "x[0] <= ١",
        "x[0]\u00a0<= 1",
        "x[0] <= 1 and x[1] <= 1",
        "x[0] < 1",
        "x[0] <= 0x1",
        "",
        "x[0] <= 1\n",
        "x[0] - x[0] <= 1",
        "1 <= 2",
        "x[0] <= 1/3",
        'x["0"] <= 1',
        "+" * 19_999 + "1",
        "x[0] <= " + "1" * 1001,
        "x[0] + " * 4000 + "x[1] <= 1",
        "x[0] / 0 <= 1",
        "x[0] = 1",
    ],
)
def test_what_is_no_sum_is_refused_by_both(tmp_path: Path, text: str) -> None:
    spec = {"box": [-2, 2]}
    c = Case(tmp_path, 2).write(
        f"verifex = 1\n[region]\nbox = {spec['box']}\nlinear = {json.dumps(text)}\n"
        '[[require]]\noutput = "sum"\nat_most = 9\n'
    )
    assert "linear[0]" in c.refused("linear")


def test_long_sums_are_read(tmp_path: Path) -> None:
    text = " + ".join(["x[0]", "0.5*x[1]"] * 700) + " <= 700"
    c = Case(tmp_path, 2).write(
        f"verifex = 1\n[region]\nbox = [0, 2]\nlinear = '{text}'\n"
        '[[require]]\noutput = "sum"\nat_most = 1.5\n'
    )
    assert not c.breaks([F(1), F(1)])  # 1050 > 700
    assert c.breaks([F(0), F(2)])
    assert not c.breaks([F(0), F(3)])
