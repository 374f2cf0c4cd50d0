"""What the package `vnnlib` is given of a VNN-LIB 2.0 text: tokens that were checked."""

from __future__ import annotations

import random
import re
from fractions import Fraction

import pytest

from tests.helpers.query_texts import random_graph
from verifex.errors import InputError, UnsupportedError
from verifex.ir.formula import atoms
from verifex.problem.vnnlib.stated import Stated
from verifex.problem.vnnlib.version_2 import state

pytest.importorskip("vnnlib")

HEAD = "(vnnlib-version <2.0>)\n"
F = "(declare-network f (declare-input X real [2]) (declare-output Y real [2]))\n"
BOX = "(assert (and (>= X[0] -1) (<= X[0] 1) (>= X[1] -1) (<= X[1] 1)))\n"
END = "(assert (<= Y[0] 1))\n"


def read(text: str) -> Stated:
    return state(text, "q.vnnlib", random_graph(random.Random(1)), "q")


@pytest.mark.parametrize("mark", ["\x00", "\x0b", "\x0c", "\x1a", "\x85", "\u2028", "\ud800",
                                  "\x1b", "\r", "\x7f"])
@pytest.mark.parametrize("place", ["{}", "; said {} so\n", "; {} \n; more\n"])
def test_control_characters_are_refused(mark: str, place: str) -> None:
    """A NUL ended the text for the package: what came after it was not demanded."""
    with pytest.raises(InputError, match=r"^q\.vnnlib:4: the control character '"):
        read(HEAD + F + BOX + place.format(mark) + END)


def test_what_a_comment_may_hold() -> None:
    text = HEAD + F + BOX + '; "é \u00b1 \U0001f600 (( [0.5] 1e400\r\n' + END.replace(
        "Y[0]", "Y[ ; the first\r\n 0 ]")
    assert len(list(atoms(read(text).problem.require))) == 1


@pytest.mark.parametrize("index", ["0.9", "1.7", "-1", "-0", "9" * 30, "4294967296", "1e0", "+1",
                                   "0x1", "\u0661", "0;", "0.0", ",".join("0" * 33)])
def test_indices_are_plain_whole_numbers(index: str) -> None:
    with pytest.raises(InputError, match=r"^q\.vnnlib:4: [^\n]*expected"):
        read(HEAD + F + BOX + END.replace("[0]", f"[{index}]"))


@pytest.mark.parametrize("shape", ["2.9", "2.0", "-2", "0", "9" * 30, "2.", "+2", "2e0", "9" * 400,
                                   "999999999,999999999", "4611686018427387904,4"])
def test_shapes_are_plain_whole_numbers(shape: str) -> None:
    with pytest.raises(InputError, match=r"^q\.vnnlib:2: [^\n]*expected|Dimensions must be"):
        read(HEAD + F.replace("[2]", f"[{shape}]", 1) + BOX + END)


def test_a_declared_size_is_compared_before_anything_is_made_of_it() -> None:
    with pytest.raises(InputError, match="the network takes 2 inputs, the query declares"):
        read(HEAD + F.replace("[2]", "[999999999]", 1) + BOX + END)


@pytest.mark.parametrize("number", ["1e400", "9" * 400, "-" + "9" * 400 + ".5", "9" * 5000,
                                    "0." + "0" * 400 + "1", "0." + "0" * 310 + "1", "1.0e5",
                                    "0." + "3" * 5000, "\uff11.\uff11", "1_0", "inf", "nan"])
def test_numbers_that_the_package_cannot_read(number: str) -> None:
    with pytest.raises(InputError) as raised:
        read(HEAD + F + BOX + f"(assert (<= Y[0] {number}))")
    assert re.match(r"q\.vnnlib(:4)?: .*expected", str(raised.value)), str(raised.value)
    assert len(str(raised.value)) < 200


@pytest.mark.parametrize("number", ["9" * 308, "0." + "0" * 300 + "1", "-0.0", "0." + "3" * 900,
                                    "0." + "0" * 500])
def test_numbers_are_exact(number: str) -> None:
    problem = read(HEAD + F + BOX + f"(assert (>= Y[0] {number}))").problem
    assert [atom.form.const for atom in atoms(problem.violation())] == [-Fraction(number)]


@pytest.mark.parametrize("junk", ["\u00e9", "\ufeff", "\xa0", "]", '"', "[", "#"])
def test_other_junk_is_refused_in_one_line(junk: str) -> None:
    with pytest.raises(InputError, match=r"^q\.vnnlib:4: "):
        read(HEAD + F + BOX + junk + END)


def test_the_version_is_not_read_from_a_comment() -> None:
    said = "; (vnnlib-version <{}>)\n"
    read(said.format("9.9") + HEAD + F + BOX + END)
    with pytest.raises(UnsupportedError, match=r"^q\.vnnlib:2: VNN-LIB 9\.9"):
        read(said.format("2.0") + HEAD.replace("2.0", "9.9") + F + BOX + END)
    with pytest.raises(InputError, match="no version"):
        read(said.format("2.0") + F + BOX + END)
    with pytest.raises(InputError, match="no version"):
        read(F + HEAD + BOX + END)
