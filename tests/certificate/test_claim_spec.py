"""The spec of an end: everything but `require` means what it meant, from another folder."""

from __future__ import annotations

import tomllib
from datetime import date
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from tests.helpers.checker_nets import save_net
from verifex.certificate.claim_spec import EndClaim, claim_files, claim_text
from verifex.ir.formula import atoms
from verifex.problem.spec.build import load_problem
from verifex.problem.spec.expression import Expression, load_expressions

F = Fraction
SPEC = r'''# A comment, with "quotes" and a [[require]] in it
verifex = 1
network = "net.onnx"
name = """two
lines \u001b and "quotes\""""
kink = "zero"

[input]
data = "rows.csv"
row = 1
scale.min = [0, 0, -1.5]
scale.max = [1, "7/3", 2e-1]

[region]
linf = { "*" = 0.125, "the \"b\"" = 1e-3 }
linear = ["a + 2*x[2] <= 40.75"]
clip = [-10, 10]

[explain]
reduce = "abs"
features = ["a", 2]
options = {}

[[assume]]
any = [
    { mass = { file = "deep/mask.npy" }, at_least = 0.1 },
    { not = { output = "sum", above = 1_0.5 } },
]

[[require]]
class = "unchanged"

[[require]]
top_k = 2
'''


@pytest.fixture
def asked(tmp_path: Path) -> Expression:
    """An expression of a spec that uses whatever TOML has, in a folder of its own."""
    home = tmp_path / "home"
    (home / "deep").mkdir(parents=True)
    rng = np.random.default_rng(3)
    draw = [rng.integers(-16, 17, size) / 16 for size in ((4, 3), 4, (2, 4), 2)]
    save_net(home / "net.onnx", [(draw[0], draw[1] + 1 / 1024), (draw[2], draw[3])])
    (home / "rows.csv").write_text('a,"the ""b""",c\n1,2,3\n0.5,1,0\n')
    np.save(home / "deep" / "mask.npy", np.array([1, 0, 1]))
    (home / "spec.toml").write_text(SPEC)
    (found,) = load_expressions(home / "spec.toml", ["norm:l1"])
    return found


def test_all_but_the_requirement_stays(asked: Expression, tmp_path: Path) -> None:
    assert asked.files is not None
    folder = tmp_path / "kept"
    folder.mkdir()
    claim = EndClaim("norm:l1", True, F(1, 3))
    files = claim_files(asked.files, claim, folder / "end.toml")
    problem = load_problem(folder / "end.toml")
    assert problem.region == asked.problem.region
    assert problem.assume == asked.problem.assume
    assert problem.point == asked.problem.point
    assert problem.graph.nodes == asked.problem.graph.nodes
    (atom,) = atoms(problem.require)
    assert dict(atom.form.terms) == {cell: -c for cell, c in asked.form.terms}
    assert atom.form.const == F(1, 3) - asked.form.const
    assert set(files.data) == {"../home/rows.csv", "../home/deep/mask.npy"}
    assert files.spec.data == (folder / "end.toml").read_bytes()
    assert "norm:l1 at_most" in problem.name


def test_numbers_stay_as_they_are_written(asked: Expression, tmp_path: Path) -> None:
    assert asked.files is not None
    text = claim_text(asked.files, EndClaim("norm:l1", False, F(1, 8)), tmp_path)
    given = tomllib.loads(SPEC, parse_float=str)
    again = tomllib.loads(text, parse_float=str)
    assert again["region"] == given["region"]
    assert again["input"]["scale"] == given["input"]["scale"]
    assert again["explain"] == given["explain"]
    assert again["require"] == [{"expression": "norm:l1", "at_least": "0.125"}]
    assert again["name"].startswith(given["name"])


@pytest.mark.parametrize(
    "bound", [F(0), F(-3), F(1, 3), F(1, 2**60), F(10**40), F(-7, 10**12), F(1, 2**1074)])
def test_bounds_are_exact(asked: Expression, bound: Fraction, tmp_path: Path) -> None:
    assert asked.files is not None
    claim = EndClaim("norm:l1", False, bound)
    claim_files(asked.files, claim, tmp_path / "home" / "end.toml")
    (atom,) = atoms(load_problem(tmp_path / "home" / "end.toml").require)
    assert asked.form.const - atom.form.const == bound


def test_a_link_keeps_the_name_by_which_it_is_read(asked: Expression, tmp_path: Path) -> None:
    home, kept, ends = tmp_path / "home", tmp_path / "kept", tmp_path / "ends"
    for folder in (kept, ends):
        folder.mkdir()
    (home / "rows.csv").rename(kept / "4f1c")
    (home / "rows.csv").symlink_to(kept / "4f1c")
    assert asked.files is not None
    claim_files(asked.files, EndClaim(asked.text, False, F(0)), ends / "end.toml")
    written = tomllib.loads((ends / "end.toml").read_text())
    assert written["input"]["data"] == "../home/rows.csv"
    assert load_problem(ends / "end.toml").point == asked.problem.point


def test_what_no_spec_holds_stays_what_it_is(asked: Expression, tmp_path: Path) -> None:
    """So that readers of the written spec refuse it as they refuse the one that was asked."""
    assert asked.files is not None
    text = SPEC.replace("row = 1", "row = 1979-05-27")
    (tmp_path / "home" / "odd.toml").write_text(text)
    source = type(asked.files.spec)(Path("odd.toml"), "odd.toml", text.encode(), bytes)
    odd = type(asked.files)(asked.files.network, source, asked.files.data)
    written = tomllib.loads(claim_text(odd, EndClaim("norm:l1", False, F(0)), tmp_path))
    assert written["input"]["row"] == date(1979, 5, 27)
