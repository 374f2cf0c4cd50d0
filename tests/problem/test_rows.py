"""Rows of pandas, arrays, tensors and dictionaries as points and as numbers of a spec."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

import verifex
from verifex.errors import InputError
from verifex.ir.fields import Array
from verifex.problem.spec.model import InputSpec, Spec

FRAME = pd.DataFrame({
    "age": [31, 40], "pay": [0.1, 2.5], "job_a": [True, False], "label": ["yes", "no"],
    "small": np.array([0.1, 0.5], np.float32),
})
EXACT = (Fraction(31), Fraction(0.1), Fraction(1), Fraction(np.float32(0.1).item()))
NAMES = ("age", "pay", "job_a", "small")


def values(found: InputSpec) -> tuple[Fraction, ...]:
    assert isinstance(found.point, Array)
    return found.point.values


def test_a_row_of_a_table_is_its_stored_numbers() -> None:
    for found in (
        verifex.data(FRAME, 0, target="label"), verifex.data(FRAME, np.int64(0), drop=["label"]),
        verifex.data(FRAME.iloc[[0]], target="label"), verifex.data(FRAME, 0, drop="label"),
    ):
        assert (values(found), found.names) == (EXACT, NAMES)
    # By itself the row is a Series of objects: the same numbers, but for what was no float64.
    alone = verifex.data(FRAME.iloc[0], target="label")
    assert (values(alone)[:3], alone.names) == (EXACT[:3], NAMES)


def test_dictionaries_and_arrays() -> None:
    found = verifex.data({"age": np.int32(3), "pay": np.float32(0.1), "label": "x"}, target="label")
    assert values(found) == (Fraction(3), Fraction(np.float32(0.1).item()))
    assert found.names == ("age", "pay")
    rows = np.array([[0.1, 2], [3, 4]])
    assert values(verifex.data(rows, 1)) == (3, 4)
    assert values(verifex.data(torch.tensor(rows), 0)) == (Fraction(0.1), 2)
    assert verifex.data(rows).point.shape == (2, 2)
    assert verifex.data("x.csv", 3, target="y").model_dump() == InputSpec(
        data="x.csv", row=3, target="y").model_dump()


def test_numbers_in_lists_are_those_of_an_array() -> None:
    """With a row or without; and whole numbers are kept that no float holds."""
    rows = [[0.1, 2**60 + 1, True], [3, 4, False]]
    wanted = (Fraction(0.1), Fraction(2**60 + 1), Fraction(1))
    assert values(verifex.data(rows, 0)) == values(verifex.data(rows[0])) == wanted
    assert values(verifex.data(tuple(rows[0]))) == wanted


def test_a_series_with_labels_is_read_by_name() -> None:
    """Whatever their order: here that of the features is b, a."""
    radii = pd.Series([0.5, 0.25], index=["a", "b"])
    graph = verifex.from_torch(torch.nn.Linear(2, 1), torch.zeros(1, 2))
    for region in (verifex.linf(radii), verifex.box(-radii, radii)):
        spec = Spec(input={"point": [0, 0], "names": ["b", "a"]}, region=region,
                    require=[verifex.output("logit:0", at_least=0)])
        assert verifex.build(graph, spec).region.hi == (Fraction(1, 4), Fraction(1, 2))
    unnamed = verifex.linf(pd.Series([0.5, 0.25])).linf
    assert unnamed == Array((2,), (Fraction(1, 2), Fraction(1, 4)))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: verifex.data(FRAME, 0), "column 'label': 'yes', expected a number; text is to be"),
        (lambda: verifex.data(FRAME, target="label"), "row: a table of 2 rows, expected row = one"),
        (lambda: verifex.data(FRAME, 2, target="label"), "row: row 2 of 2, expected an earlier"),
        (lambda: verifex.data(FRAME, 0, target="lable"),
         r"target: no column 'lable', expected 'label' \(did you mean that\?\)"),
        (lambda: verifex.data(FRAME, 0, drop=["label", "x"]), r"drop\[1\]: no column 'x'"),
        (lambda: verifex.data(pd.DataFrame({"a": [float("nan")]})), "column 'a': nan is not a fin"),
        (lambda: verifex.data(np.zeros((2, 2)), 1, target="a"), "target: an array has no names"),
        (lambda: verifex.data(np.zeros((2, 2)), 2), "row: row 2 of 2"),
        (lambda: verifex.data(object(), 2), "a object, expected a file, or rows of numbers"),
        (lambda: verifex.data(pd.Series([1.0]), 0), "row: a row by itself, expected no row"),
        (lambda: verifex.data(FRAME, 0.5, target="label"), "row: "),
        (lambda: verifex.data(pd.DataFrame({"a": np.array([0.1], np.longdouble)})),
         "column 'a': a number of numpy's float128, expected a number of at most 64 bits"),
        (lambda: verifex.data({"a": np.timedelta64(1, "s")}), "column 'a': a number of"),
        (lambda: verifex.point([np.longdouble(0.1)]), r"point\[0\]: a number of numpy's float"),
        (lambda: verifex.linf(pd.Series([1, 2], index=["a", "a"])), "linf: a label twice"),
    ],
)
def test_what_is_no_row_of_numbers_is_named(call: Any, message: str) -> None:
    with pytest.raises(InputError, match=f"^{message}"):
        call()


def test_numbers_of_every_library_are_numbers_of_a_spec() -> None:
    """And stay what they are when written: a float of data is its binary value."""
    series = pd.Series([0.1, 0.2], index=["a", "b"])
    spec = Spec(
        input={"point": torch.tensor([[0.1, 1]], dtype=torch.bfloat16), "names": series.index},
        region={"linf": np.float64(0.1), "clip": [series - 9, torch.tensor([9.0, 9.0])],
                "freeze": series.index[:1], "integer": np.array([1])},
        require=[{"class": np.int64(0)},
                 {"output": {"logit": np.int64(1)}, "at_least": series["a"]}],
    )
    assert spec == Spec.from_toml(spec.to_toml())
    assert spec.region.linf == Fraction(0.1)
    assert spec.region.freeze == ("a",)
    assert spec.input.names == ("a", "b")
    assert spec.input.point.values == (Fraction(torch.tensor(0.1).bfloat16().item()), 1)
    assert spec.region.clip is not None
    assert spec.region.clip.lo == {"a": Fraction(0.1 - 9), "b": Fraction(0.2 - 9)}
    mixed = pd.Series([0.1, 2, "1/3"], dtype=object)
    assert Spec(input={"point": mixed}).input.point.values == (Fraction(0.1), 2, Fraction(1, 3))


def test_what_is_no_number_in_an_array_is_named() -> None:
    with pytest.raises(InputError, match=r"input.point\[1\]: .*'x'.*"):
        Spec(input={"point": pd.Series([1, "x"])})
    with pytest.raises(InputError, match="an array of bool"):
        Spec(input={"point": torch.tensor([True])})
