"""Reference points from files: exact cells, headers, scaling, rounding."""

from __future__ import annotations

import csv
import gzip
import io
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from verifex.errors import InputError
from verifex.metrics.support.files import DataFolder
from verifex.metrics.support.names import blocks_of
from verifex.problem.spec.builders import data, point
from verifex.problem.spec.data import Point, load_point

F = Fraction
BLOCKS = blocks_of(["x"], [(1, 3)])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    text = "a,b,label,c\n0.1,2,0,-1e-3\n0.3,2,1,5\n1.1,2,0,1/3\n"
    (tmp_path / "rows.csv").write_text(text)
    (tmp_path / "rows.csv.gz").write_bytes(gzip.compress(text.encode()))
    (tmp_path / "plain.csv").write_text("0.1,2,3\n\n4,5,6\n")
    (tmp_path / "whole.csv").write_text("0,2,0\n2,2,10\n1,2,5\n")
    np.save(tmp_path / "rows.npy", np.array([[0.1, 0.2, 0.3], [1, 2, 3]], dtype=np.float32))
    np.save(tmp_path / "one.npy", np.array([[[1], [2], [3]]]))
    return tmp_path


def load(folder: Path, file: str, row: int | None = 0, **options: Any) -> Point:
    return load_point(data(file, row, **options), BLOCKS, DataFolder(folder))


@pytest.mark.parametrize("file", ["rows.csv", "rows.csv.gz"])
def test_cells_mean_their_decimals(folder: Path, file: str) -> None:
    found = load(folder, file, 0, target="label")
    assert found.values == (F(1, 10), F(2), F(-1, 1000))
    assert found.names == ("a", "b", "c")
    assert load(folder, file, 2, drop="label").values == (F(11, 10), F(2), F(1, 3))
    assert load(folder, file, 2, drop=2).values == (F(11, 10), F(2), F(1, 3))


def test_headers_are_found_or_said(folder: Path) -> None:
    assert load(folder, "plain.csv", 0).values == (F(1, 10), F(2), F(3))
    assert load(folder, "plain.csv", 1).values == (F(4), F(5), F(6))  # empty lines are no rows
    assert load(folder, "plain.csv", 0, header=True).values == (F(4), F(5), F(6))
    assert load(folder, "plain.csv", 0, names=["u", "v", "w"]).names == ("u", "v", "w")


def test_numpy_floats_mean_their_binary_value(folder: Path) -> None:
    expected = tuple(F(float(np.float32(v))) for v in (0.1, 0.2, 0.3))
    assert load(folder, "rows.npy", 0).values == expected
    assert load(folder, "one.npy", None).values == (F(1), F(2), F(3))


def test_scaling_is_exact(folder: Path) -> None:
    found = load(folder, "plain.csv", 1, minmax_of="whole.csv", header=None)
    assert found.values == (F(2), F(3), F(6, 10))  # the constant column is only shifted
    scaled = load(folder, "plain.csv", 0, scale={"min": [0, 0, 0], "max": [3, 4, "7"]})
    assert scaled.values == (F(1, 30), F(1, 2), F(3, 7))
    rounded = load(
        folder, "plain.csv", 0, scale={"min": [0, 0, 0], "max": [3, 4, 7]}, round="float32"
    )
    assert rounded.values == tuple(F(float(np.float32(v))) for v in (0.1 / 3, 0.5, 3 / 7))
    assert any("float32" in note for note in rounded.notes)


def test_shapes_of_written_points() -> None:
    blocks = blocks_of(["image", "extra"], [(1, 2, 2), (3,)])
    table = point({"extra": [5, 6, 7], "image": [[1, 2], [3, 4]]})
    found = load_point(table, blocks, DataFolder(Path()))
    assert found.values == tuple(map(F, (1, 2, 3, 4, 5, 6, 7)))
    assert load_point(point([1, 2, 3, 4, 5, 6, 7]), blocks, DataFolder(Path())).values is not None
    with pytest.raises(InputError, match="shape"):
        load_point(point([[1, 2], [3, 4]]), blocks_of(["x"], [(4, 1)]), DataFolder(Path()))
    as_array = point(np.array([0.1, 0.2, 0.3]))
    assert load_point(as_array, BLOCKS, DataFolder(Path())).values == tuple(map(F, (0.1, 0.2, 0.3)))
    written = load_point(point([0.1, 0.2, 0.3]), BLOCKS, DataFolder(Path()))
    assert written.values == (F(1, 10), F(1, 5), F(3, 10))


@pytest.mark.data
def test_a_real_split_scaled_by_itself(shared_data: Path) -> None:
    """The OpenXAI Adult rows: every feature lands in [0, 1] and equals the floating formula."""
    file = shared_data / "attribution_models/openxai/data/adult-test.csv.gz"
    rows = list(csv.reader(io.StringIO(gzip.decompress(file.read_bytes()).decode())))
    table = np.array([r[:-1] for r in rows[1:]], dtype=float)
    low, high = table.min(axis=0), table.max(axis=0)
    for row in (0, 7, 4321):
        found = load_point(
            data(file.name, row, target="income", minmax_of=file.name),
            blocks_of(["input"], [(1, 13)]), DataFolder(file.parent),
        )
        assert found.names == tuple(rows[0][:-1])
        assert found.values is not None
        assert all(0 <= v <= 1 for v in found.values)
        expected = (table[row] - low) / (high - low)
        np.testing.assert_allclose([float(v) for v in found.values], expected, atol=1e-15)
