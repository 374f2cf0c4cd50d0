"""Data files: rows, headers and columns as both sides find them, or refuse."""

from __future__ import annotations

import gzip
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.readings.text_case import Case

F = Fraction

# --- data files -----------------------------------------------------------------------------------

ROW = """verifex = 1
[input]
data = "{data}"
row = {row}
{more}
[region]
linf = 0.1
[[require]]
output = "sum"
at_least = -1000
"""


def data(
    c: Case, text: str | bytes, row: int, more: str = "", name: str = "d.csv", **files: Any
) -> Case:
    return c.write(
        ROW.format(data=name, row=row, more=more), **{name.replace(".", "_"): text}, **files
    )


@pytest.mark.parametrize(
    "text",
    [
        "\na,b\n0,0\n5,5\n9,9\n",
        "\n\n\r\na,b\r\n0,0\r\n\r\n5,5\r\n",
        "\ufeffa,b\r0,0\r5,5\r9,9",
        "a,b\n0,0\n\n\n5,5",
        '"a","b\nc"\n0,"0"\n"5",5\n',
        'a,"b"""\r\n0,0\r\n5 ,\t5',
        "\r\ra,b\n0,0\r5,5",
        "\ufeff\n\na,b\n\n0,0\n5.0,5e0\n",
    ],
)
def test_rows_are_counted_after_the_header_and_without_blank_lines(
    tmp_path: Path, text: str
) -> None:
    assert data(Case(tmp_path, 2), text, 1).center() == [5, 5]
    assert data(Case(tmp_path, 2), text, 0).center() == [0, 0]


def test_a_file_without_a_header(tmp_path: Path) -> None:
    assert data(Case(tmp_path, 2), "\n0,0\n5,5\n", 1).center() == [5, 5]
    assert data(Case(tmp_path, 2), "1,2\n0,0\n5,5\n", 1, "header = true").center() == [5, 5]
    assert data(Case(tmp_path, 2), "a,1\n0,0\n5,5\n", 1, "header = true").center() == [5, 5]


@pytest.mark.parametrize(
    ("text", "more", "said"),
    [
        ("a;b\n0;0\n5;5\n", "", "columns"),
        ("a,b\n0,0,\n5,5,\n", "", "3 cells"),
        ("a,b,\n0,0\n", "", "2 cells|columns"),
        (" \na,b\n0,0\n5,5\n", "", "blanks"),
        ("a,b\n0,0\n \n5,5\n", "", "blanks"),
        ('""\na,b\n0,0\n5,5\n', "", "blanks"),
        ("a,b\n0,0\n5\n", "", "1 cells"),
        ('a,b\n0,0\n5"5",5\n', "", "quote"),
        ('a,b\n0,0\n"5"5,5\n', "", "quote"),
        ('a,b\n0,0\n"5,5\n', "", "quote"),
        ('a,b,c\n0,0,x"y\n5,5,z"w\n', 'target = "c"', "quote"),
        ('a"a,b\n0,0\n5,5\n', "", "quote"),
        ("a,b\n0,0\n5,5\0\n", "", "NUL"),
        ("a,b\n0,0\n5,٥\n", "", "number"),
        ("a,b\n0,0\n5,1_0\n", "", "number"),
        ("a,a\n0,0\n5,5\n", "", "named 'a'|of a name"),
        ("0,no\n0,0\n5,5\n", "", "header"),
        ("5.1,a\n5.2,b\n5.3,b\n", "drop = [1]", "header"),
        ("a,b,b\n0,0,1\n5,5,1\n", 'target = "b"', "b"),
        ("a,b\n0,0\n", "", "row 1 of 1"),
        ("a,b\n0,0\n5,nan\n", "", "number"),
        ("", "", "empty"),
        ("\n\n", "", "empty"),
        ("a,b\n0,0\n5,5\n", "drop = [-1]", "column"),
        ("a,b\n0,0\n5,5\n", 'header = "no"', "header"),
        (",\n0,0\n5,5\n", "header = true", "names"),
        ("\ufeff\ufeff0,0\n5,5\n", "", "header"),
        ("a,b\n0,0\n5,5\n".encode("utf-16"), "", "UTF-8|codec"),
        (gzip.compress(b"a,b\n0,0\n5,5\n", mtime=0), "", "UTF-8|gz"),
        ("a,b,c\n0,0,1\n5,5,1\n", 'target = ["c"]', "target"),
        ("a,b,c\n0,0,1\n5,5,1\n", "drop = [true]", "drop"),
    ],
)
def test_what_readers_of_csv_take_differently_is_refused_by_both(
    tmp_path: Path, text: str | bytes, more: str, said: str
) -> None:
    data(Case(tmp_path, 2), text, 1, more).refused(said)


def test_a_data_file_is_zipped_if_its_name_says_so(tmp_path: Path) -> None:
    text = b"a,b\n0,0\n5,5\n"
    assert data(Case(tmp_path, 2), gzip.compress(text), 1, name="d.csv.gz").center() == [5, 5]
    data(Case(tmp_path, 2), text, 1, name="d.csv.gz").refused("gz")


def test_columns_of_minmax_of_go_by_their_names(tmp_path: Path) -> None:
    """A permuted file scales each feature by its own column."""
    c, more = Case(tmp_path, 2), 'minmax_of = "m.csv"'
    for table in ("a,b\n0,10\n10,20\n", "b,a\n10,0\n20,10\n", 'b,"a"\r\n20,10\r\n10,0\r\n'):
        assert data(c, "a,b\n5,15\n", 0, more, m_csv=table).center() == [F(1, 2), F(1, 2)]
    assert data(c, "5,15\n", 0, more, m_csv="0,10\n10,20\n").center() == [F(1, 2), F(1, 2)]


@pytest.mark.parametrize(
    "table",
    [
        "a,c\n0,10\n10,20\n",
        "0,10\n10,20\n",
        "a,b,c\n0,10,1\n10,20,1\n",
        "a,a\n0,10\n10,20\n",
        "a,b\n",
        "a,b\n0,10\n10,nan\n",
        "a,b\n0,10\n10,1/3\n",
        "a,b\n0,10\n10,٣\n",
        "A,b\n0,10\n10,20\n",
        "a,b\n0,10\n10,1e999999\n",
        "a,b\n0,10\n10\n",
    ],
)
def test_other_columns_of_minmax_of_are_refused(tmp_path: Path, table: str) -> None:
    said = data(Case(tmp_path, 2), "a,b\n5,15\n", 0, 'minmax_of = "m.csv"', m_csv=table).refused(
        "minmax_of"
    )
    assert "minmax_of" in said


def npy(head: str, body: bytes) -> bytes:
    coded = head.encode() + b" " * (-(10 + len(head) + 1) % 64) + b"\n"
    return b"\x93NUMPY\1\0" + len(coded).to_bytes(2, "little") + coded + body


@pytest.mark.parametrize(
    "head",
    [
        "{'descr': '<f8', 'fortran_order': False, 'shape': (2, 2), }",
        "{'descr': '<f8', 'fortran_order': False, 'shape': (2, 1, 2), }",
        "{'descr': '<f8', 'fortran_order': False, 'shape': (2, 2,)}",
    ],
)
def test_a_row_of_an_array(tmp_path: Path, head: str) -> None:
    body = np.array([[0, 0], [5, 6]], "<f8").tobytes()
    assert data(Case(tmp_path, 2), npy(head, body), 1, name="d.npy").center() == [5, 6]


@pytest.mark.parametrize(
    ("head", "size"),
    [
        ("{'descr': '|b1', 'fortran_order': False, 'shape': (2, 2), }", 4),
        ("{'descr': '<c8', 'fortran_order': False, 'shape': (2, 2), }", 32),
        ("{'descr': '<f8', 'fortran_order': False, 'shape': (2, 2), }", 24),
        ("{'descr': '<f8', 'fortran_order': False, 'shape': (2,), }", 32),
        ("{'descr': '<f8', 'fortran_order': False, 'shape': (1, 2), }", 32),
        ("{'descr': '<f8', 'fortran_order': False, 'shape': (2, 2), <", 32),
        ("{'descr': '<O8', 'fortran_order': False, 'shape': (2, 2), }", 32),
    ],
)
def test_other_arrays_are_refused(tmp_path: Path, head: str, size: int) -> None:
    data(Case(tmp_path, 2), npy(head, b"\0" * size), 1, name="d.npy").refused()


@pytest.mark.parametrize("more", ["header = false", 'target = "a"', "drop = [0]"])
def test_an_array_has_no_columns_by_name(tmp_path: Path, more: str) -> None:
    head = "{'descr': '<f8', 'fortran_order': False, 'shape': (2, 2), }"
    data(Case(tmp_path, 2), npy(head, b"\0" * 32), 1, more, name="d.npy").refused(
        more.split(" ")[0]
    )
