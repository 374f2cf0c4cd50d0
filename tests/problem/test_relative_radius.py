"""`linf_relative`: radii in units of a column's range or standard deviation, on both sides."""

from __future__ import annotations

import random
import tomllib
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import verifex
from tests.helpers import checker_parts
from tests.helpers.checker_nets import save_net
from verifex.certificate.grant import run_checker
from verifex.errors import InputError
from verifex.problem.spec.build import load_problem

parts: Any = checker_parts
F = Fraction
ROWS = ["a,b,c", "0.5,10,7", "1.5,-2.25,7", "2,4e1,7", "-1,0,7"]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A network of three inputs and a table of four rows; the folder."""
    save_net(tmp_path / "net.onnx", [(np.array([[1.0, 2.0, 3.0], [1.0, -1.0, 0.5]]), np.zeros(2))])
    (tmp_path / "rows.csv").write_text("\n".join(ROWS) + "\n")
    return tmp_path


def spec(place: Path, relative: str, more: str = "", given: str = 'data = "rows.csv"\nrow = 0'
         ) -> Path:
    path = place / "spec.toml"
    path.write_text(
        f'verifex = 1\nnetwork = "net.onnx"\n[input]\n{given}\n[region]\n'
        f'linf_relative = {relative}\n{more}\n[[require]]\noutput = "sum"\nat_most = 1000\n')
    return path


def region_of_checker(path: Path) -> tuple[list[Fraction], list[Fraction]]:
    given = tomllib.loads(path.read_text(), parse_float=parts.exact)
    network = parts.Network(parts.read(str(path.parent / given["network"]))[0])
    region = parts.spec_claim(given, str(path.parent), network).region
    return region.low, region.high


def sides(path: Path) -> list[tuple[Fraction, Fraction]]:
    """The box, the same on both sides."""
    region = load_problem(path).region
    assert region_of_checker(path) == (list(region.lo), list(region.hi))
    return list(zip(region.lo, region.hi, strict=True))


def test_ranges_are_exact(place: Path) -> None:
    # Ranges: 2 - (-1) = 3, 40 - (-2.25) = 42.25, and a constant column does not move.
    for text in ("0.1", '{ value = 0.1 }', '{ value = "1/10", of = "range", data = "rows.csv" }'):
        assert sides(spec(place, text)) == [
            (F(1, 2) - F(3, 10), F(1, 2) + F(3, 10)),
            (10 - F(4225, 1000), 10 + F(4225, 1000)), (7, 7)]


def test_tables_and_lists_of_radii(place: Path) -> None:
    assert sides(spec(place, '{ value = { b = 1, "*" = 0 } }')) == [
        (F(1, 2), F(1, 2)), (10 - F(4225, 100), 10 + F(4225, 100)), (7, 7)]
    assert sides(spec(place, "{ value = [1, 0, 5] }"))[0] == (F(-5, 2), F(7, 2))


def test_standard_deviations_are_rounded_down(place: Path) -> None:
    (low, high), *_ = sides(spec(place, '{ value = 1, of = "std" }'))
    unit = (high - low) / 2
    exact = F("1.3125")  # of 0.5, 1.5, 2, -1 about their mean 0.75
    assert unit**2 <= exact < (unit + F(1, 10**30)) ** 2
    assert float(unit) == pytest.approx(float(np.std([0.5, 1.5, 2, -1])), rel=1e-15)


@pytest.mark.parametrize("of", ["range", "std"])
@pytest.mark.parametrize("seed", range(5))
def test_both_sides_agree_on_random_tables(place: Path, seed: int, of: str) -> None:
    rng = random.Random(f"units {seed}")
    rows = [[f"{rng.uniform(-1, 1) * 10 ** rng.randint(-8, 8):.{rng.randint(1, 12)}g}"
             for _ in range(3)] for _ in range(rng.randint(1, 30))]
    order = rng.sample(["a", "b", "c"], 3)
    (place / "train.csv").write_text("\n".join(",".join(row) for row in [order, *rows]) + "\n")
    box = sides(spec(place, f'{{ value = 0.25, of = "{of}", data = "train.csv" }}'))
    for name, (low, high) in zip("abc", box, strict=True):
        column = [float(row[order.index(name)]) for row in rows]
        unit = max(column) - min(column) if of == "range" else float(np.std(column))
        assert float(high - low) / 2 == pytest.approx(unit / 4, rel=1e-6, abs=1e-12)


def test_scaled_points_have_scaled_units(place: Path) -> None:
    scaled = 'data = "rows.csv"\nrow = 0\nminmax_of = "rows.csv"'
    box = sides(spec(place, "0.25", given=scaled))
    assert [high - low for low, high in box] == [F(1, 2), F(1, 2), 0]
    scale = 'data = "rows.csv"\nrow = 0\nscale = { min = [0, 0, 0], max = [6, 1, 0] }'
    box = sides(spec(place, "1", given=scale))
    assert [(high - low) / 2 for low, high in box] == [F(1, 2), F(4225, 100), 0]


def test_columns_without_names_are_taken_by_place(place: Path) -> None:
    point = "point = [1, 2, 3]"
    assert sides(spec(place, '{ value = 1, data = "rows.csv" }', given=point))[0] == (-2, 4)


@pytest.mark.parametrize(
    ("relative", "given", "says"),
    [
        ("0.1", "point = [1, 2, 3]", "linf_relative.data: no CSV file whose columns"),
        ("-0.1", 'data = "rows.csv"\nrow = 0', "linf_relative.value: .* is negative"),
        ('{ value = 1, of = "iqr" }', 'data = "rows.csv"\nrow = 0', "linf_relative.of"),
        ('{ valeu = 1 }', 'data = "rows.csv"\nrow = 0', "unknown key 'valeu', expected 'value'"),
        ('{ value = 1, data = "no.csv" }', 'data = "rows.csv"\nrow = 0', "cannot be read"),
        ('{ value = 1, data = "other.csv" }', 'data = "rows.csv"\nrow = 0', "no columns 'c'"),
        ('{ value = 1, data = "empty.csv" }', 'data = "rows.csv"\nrow = 0', "has no rows"),
        ('{ value = 1, data = "words.csv" }', 'data = "rows.csv"\nrow = 0', "expected a decimal"),
    ],
)
def test_what_has_no_units(place: Path, relative: str, given: str, says: str) -> None:
    (place / "other.csv").write_text("a,b,d\n1,2,3\n")
    (place / "empty.csv").write_text("a,b,c\n")
    (place / "words.csv").write_text("a,b,c\n1,x,3\n")
    path = spec(place, relative, given=given)
    with pytest.raises(InputError, match=says):
        load_problem(path)
    with pytest.raises((parts.Bad, OSError)):
        region_of_checker(path)


def test_it_is_proved_and_the_data_file_is_named(place: Path) -> None:
    (place / "train.csv").write_text("a,b,c\n0,0,0\n1,2,3\n")
    path = spec(place, '{ value = 0.5, data = "train.csv" }')
    kept = place / "kept.vxc"
    assert verifex.verify(None, path, certificate=kept).outcome is verifex.Outcome.PROVED
    assert run_checker(place / "net.onnx", path, kept).valid
    # Another range is another claim.
    (place / "train.csv").write_text("a,b,c\n0,0,0\n1,2,4\n")
    assert not run_checker(place / "net.onnx", path, kept).valid


def test_its_radius_is_found_in_its_units(place: Path) -> None:
    path = spec(place, "0.1")
    text = path.read_text().replace('"sum"\nat_most = 1000', '"logit:0"\nbelow = 50')
    path.write_text(text)
    # f_0 = a + 2 b + 3 c is 41.5 at x0 and grows by 3 + 2 * 42.25 = 87.5 for each unit.
    found = verifex.radius(None, path)
    assert found.closed
    assert found.refuted is not None
    assert abs(found.refuted - F(85, 875)) <= F(1, 10**4)
    alone = verifex.radius(None, path, key="linf_relative", feature="b")
    assert alone.refuted is not None
    assert abs(alone.refuted - F(85, 845)) <= F(2, 10**4)
    assert alone.closed


def test_a_spec_in_memory_is_written_with_it(place: Path) -> None:
    loaded = verifex.load_spec(spec(place, '{ value = 0.5, of = "std", data = "rows.csv" }'))
    assert verifex.Spec.from_toml(loaded.to_toml()) == loaded
