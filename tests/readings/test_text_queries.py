"""VNN-LIB 1.0: what is a query, line by line, and what both sides refuse."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest

from tests.readings.text_case import Case
from verifex.errors import InputError
from verifex.problem.spec.build import load_problem
from verifex.problem.vnnlib.raw_query import raw_query
from verifex.problem.vnnlib.read import load_stated

F = Fraction

# --- comments and other parts of VNN-LIB 1.0 ------------------------------------------------------

HEAD = "".join(f"(declare-const {v}_{i} Real)\n" for v in "XY" for i in (0, 1))
BOX = "".join(f"(assert (>= X_{i} 0))(assert (<= X_{i} 1))\n" for i in (0, 1))


@pytest.mark.parametrize(
    ("end", "counts"),
    [
        ("\r", True),
        ("\n", True),
        ("\r\n", True),
        (" ", False),
        ("\t", False),
    ],
)
def test_a_comment_ends_where_the_standard_says(tmp_path: Path, end: str, counts: bool) -> None:
    """SMT-LIB 2.6, 3.1: at a line feed or a carriage return."""
    c = Case(tmp_path, 2).write(
        HEAD + BOX + f"; a comment{end}(assert (>= Y_0 100))\n(assert (<= Y_1 5))\n", "q.vnnlib"
    )
    assert c.breaks([F(0), F(0)]) != counts
    test = raw_query(c.spec, load_stated(c.spec, c.network))
    assert test({"X": [F(0)] * 2, "Y": [F(0)] * 2}) != counts


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("; note", "; \0note"),
        ("; note", "; \x0bnote"),
        ("; note", "; \x85note"),
        ("; note", "; \u2028note"),
        ("X_0 0.5", "|X_0| 0.5"),
        ("X_0 0.5", "X_0\x0b0.5"),
        ("X_0 0.5", "X_0\u00a00.5"),
        ("0.5", "1/2"),
        ("0.5", "0_5"),
        ("0.5", "٠.5"),
        ("0.5", ".5"),
        ("0.5", "+0.5"),
        ("0.5", "00.5"),
        ("0.5", "1e1000"),
        ("0.5", "0.5 1"),
        ("0.5", "- 0.5"),
        ("(assert (<= Y_1 5))", "(set-logic QF_LRA)(assert (<= Y_1 5))"),
        ("(assert (<= Y_1 5))", "(assert (<= Y_1 5))(check-sat)"),
        ("(<= Y_1 5)", "(! (<= Y_1 5) :named a)"),
        ("(<= Y_1 5)", "(<= Y_1 5 6)"),
        ("(<= Y_1 5)", "(not (<= Y_1 5))"),
        ("(<= Y_1 5)", "(and)"),
        ("(<= Y_1 5)", "<="),
        ("(<= Y_1 5)", "true"),
        ("(<= Y_1 5)", "()"),
        ("(<= Y_1 5)", "(<= (+) 5)"),
        ("(declare-const Y_1 Real)\n", ""),
        ("Y_1 Real", "Y_0 Real"),
        ("Y_1 Real", "Y_1 Int"),
        ("(declare-const Y_1 Real)", "(declare-fun Y_1 Real ())"),
        ("Y_1 5", "Y_01 5"),
        ("(assert (<= Y_1 5))", "(assert (<= Y_1 5)"),
        ("(assert (<= Y_1 5))", "(assert (<= Y_1 5)))"),
        ("(assert (<= Y_1 5))", "(assert (<= Y_1 5)) word"),
        ("(assert (<= Y_1 5))", '"(assert (<= Y_1 5))"'),
        ("; note", "\ufeff; note"),
        ("(<= Y_1 5)", "(and " * 120 + "(<= Y_1 5)" + ")" * 120),
    ],
)
def test_what_is_no_query_of_version_1_is_refused_by_both(
    tmp_path: Path, old: str, new: str
) -> None:
    text = "; note\n" + HEAD + BOX + "(assert (<= X_0 0.5))\n(assert (<= Y_1 5))\n"
    assert text.count(old) >= 1
    c = Case(tmp_path, 2).write(text, "q.vnnlib")
    assert c.breaks([F(1, 2), F(1)])
    said = c.write(text.replace(old, new, 1), "q.vnnlib").refused()
    assert said.startswith("invalid: q.vnnlib: line "), said


def test_a_variable_is_declared_before_it_is_used(tmp_path: Path) -> None:
    late = HEAD.splitlines()[-1]
    text = HEAD.replace(late, "") + BOX + "(assert (<= Y_1 5))\n" + late
    assert "declared before" in Case(tmp_path, 2).write(text, "q.vnnlib").refused("declared before")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("-1", "-1"),
        ("0.50", "1/2"),
        ("1.", "1"),
        ("1e-05", "1/100000"),
        ("-1.5E+2", "-150"),
        ("-0", "0"),
    ],
)
def test_numbers_of_queries_as_files_have_them(tmp_path: Path, text: str, value: str) -> None:
    box = "".join(f"(assert (>= X_{i} -999))(assert (<= X_{i} 999))\n" for i in (0, 1))
    c = Case(tmp_path, 2).write(HEAD + box + f"(assert (<= Y_0 {text}))\n", "q.vnnlib")
    at = F(value)
    assert c.breaks([at, F(0)])
    assert not c.breaks([at + F(1, 10**6), F(0)])


def test_errors_name_the_line_whatever_ends_it(tmp_path: Path) -> None:
    for end in ("\n", "\r\n", "\r"):
        text = (HEAD + BOX + "(assert (<= Y_1 five))\n").replace("\n", end)
        c = Case(tmp_path, 2).write(text, "q.vnnlib")
        with pytest.raises(InputError) as error:
            load_problem(c.spec, c.network)
        assert error.value.key == "7"
        assert c.check()[1].startswith("invalid: q.vnnlib: line 7: ")


@pytest.mark.parametrize(
    ("mark", "below", "at", "above"),
    [
        ("<=", True, True, False),
        ("<", True, False, False),
        (">=", False, True, True),
        (">", False, False, True),
        ("=", False, True, False),
    ],
)
def test_comparisons_on_their_edge(
    tmp_path: Path, mark: str, below: bool, at: bool, above: bool
) -> None:
    c = Case(tmp_path, 2).write(HEAD + BOX + f"(assert ({mark} Y_0 0.5))\n", "q.vnnlib")
    said = [c.breaks([F(1, 2) + F(k, 10**9), F(0)]) for k in (-1, 0, 1)]
    assert said == [below, at, above]
