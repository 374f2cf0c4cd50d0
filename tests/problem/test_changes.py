"""Changed keys of a spec: what `--set` and `Spec.with_` read, and what comes of it."""

from __future__ import annotations

import json
import re
import tomllib
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from tests.helpers.checker_nets import save_net
from verifex.cli.app import app
from verifex.cli.guard import run
from verifex.errors import InputError, UsageError
from verifex.ir.text.toml_text import read_table, toml_text
from verifex.problem.document.changes import changed, parse_change
from verifex.problem.spec.build import load_problem
from verifex.problem.spec.model import load_spec, parse_spec

F = Fraction
SPEC = """
verifex = 1
network = "net.onnx"
[input]
data = "rows.csv"
row = 0
[region]
linf = { "*" = 0.5, b = 0.25 }
clip = [-1, 1]
[[require]]
output = "logit:0"
at_most = 100
[[require]]
mass = { file = "mask.npy" }
at_least = 0.0
[explain]
output = "logit:0"
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with a network of two inputs, a row, a mask and a spec that holds."""
    save_net(tmp_path / "net.onnx", [(np.array([[1.0, 2.0], [1.0, -1.0]]), np.zeros(2))])
    (tmp_path / "rows.csv").write_text("a,b\n0.5,0.25\n0,0\n")
    np.save(tmp_path / "mask.npy", np.array([1, 0]))
    (tmp_path / "spec.toml").write_text(SPEC)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("text", "path", "value"),
    [
        ("region.linf=0.03", ("region", "linf"), "0.03"),
        ("region.linf = 3", ("region", "linf"), 3),
        ("require[0].at_most=1e-2", ("require", 0, "at_most"), "1e-2"),
        ('region.linf."hours-per.week"="1/3"', ("region", "linf", "hours-per.week"), "1/3"),
        ("region.linf.'a b'=1", ("region", "linf", "a b"), 1),
        ('explain.output="margin:1,0"', ("explain", "output"), "margin:1,0"),
        ("region.clip=[0, 1]", ("region", "clip"), [0, 1]),
        ("region.box={ lo = 0 }", ("region", "box"), {"lo": 0}),
        ("a[1][2]=true", ("a", 1, 2), True),
    ],
)
def test_a_change_is_a_path_and_a_value(text: str, path: tuple[str | int, ...], value: object
                                        ) -> None:
    change = parse_change(text)
    assert (change.path, change.value) == (path, value)


@pytest.mark.parametrize(
    "text",
    ["", "region", "=1", ".a=1", "a..b=1", "a.=1", "[0]=1", "a[x]=1", "a[-1]=1", "a b=1",
     "region.linf=", "region.linf=margin:1", "a=1\nb=2", "a=[1", "a=1 2", "a.[0]=1", "a[0]b=1"],
)
def test_what_is_no_change(text: str) -> None:
    with pytest.raises(UsageError, match="--set "):
        parse_change(text)


def test_a_document_keeps_all_that_is_not_changed() -> None:
    document = read_table(SPEC)
    new = changed(document, [parse_change("region.linf.b=1e-3"), parse_change("input.row=1")])
    again = tomllib.loads(toml_text(new), parse_float=str)
    wanted = tomllib.loads(SPEC, parse_float=str)
    wanted["region"]["linf"]["b"] = "1e-3"
    wanted["input"]["row"] = 1
    assert again == wanted
    assert document == read_table(SPEC)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("require[2].at_most=1", r"^spec.toml:require\[2\]: entry 2 of 2, expected 0..1"),
        ("require.at_most=1", r"^spec.toml:require.at_most: require is a list"),
        ("input.row.x=1", "input.row is a single value"),
        ("assume[0].top_k=1", r"assume\[0\]: assume is not there"),
        ("region.lnif=1", "^spec.toml:region.lnif: unknown key 'lnif', expected 'linf'"),
        ("regoin.linf=1", "^spec.toml:regoin: unknown key 'regoin', expected 'region'"),
        ("region.linf=-1", "^spec.toml:region.linf: -1 is negative"),
        ("require[0].at_most=inf", r"^spec.toml:require\[0\].at_most"),
        ("region.linf.c=1", "unknown feature 'c'"),
    ],
)
def test_a_change_that_does_not_fit(
    place: Path, capsys: pytest.CaptureFixture[str], text: str, says: str
) -> None:
    assert run(app, ["verify", "spec.toml", "--set", text]) == 65
    out, err = capsys.readouterr()
    assert out == ""
    assert re.search(says, err), err


def test_the_changed_spec_is_kept_and_checked(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = place / "kept"
    kept.mkdir()
    words = ["verify", "spec.toml", "--set", "input.row=1", "--set", "region.linf=0.125"]
    # x = (1/8, 1/8) gives the first output a + 2 b = 3/8 of (a, b) within 1/8 of (0, 0).
    assert run(app, [*words, "--set", "require[0].at_most=0.375", "--certificate",
                     "kept/c.vxc.gz", "--quiet"]) == 0
    problem = load_problem(kept / "c.toml")
    assert problem.point == (0, 0)
    assert problem.region.hi == (F(1, 8), F(1, 8))
    assert problem.name == "spec: input.row = 1, region.linf = 0.125, require[0].at_most = 0.375"
    assert run(app, ["check", "kept/c.toml", "kept/c.vxc.gz"]) == 0
    assert run(app, [*words, "--set", "require[0].at_most=0.374", "--save-witness",
                     "kept/w.json", "--quiet"]) == 1
    assert run(app, ["replay", "kept/w.toml", "kept/w.json", "--json"]) == 1
    capsys.readouterr()
    run(app, ["replay", "kept/w.toml", "kept/w.json", "--json"])
    document = json.loads(capsys.readouterr().out)
    assert (document["refutes"], document["notes"]) == (True, [])


def test_no_spec_of_anybody_is_replaced(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["verify", "spec.toml", "--set", "input.row=1", "--certificate"]
    assert run(app, [*words, "spec.vxc"]) == 64
    assert "would replace spec.toml" in capsys.readouterr().err
    assert (place / "spec.toml").read_text() == SPEC
    for _ in range(2):  # what was written here is written again
        assert run(app, [*words, "other.vxc"]) == 0


def test_a_range_of_a_changed_spec(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(app, ["bound", "spec.toml", "-e", "logit:0", "--set", "region.linf=0", "--json"]
               ) == 0
    (found,) = json.loads(capsys.readouterr().out)["ranges"]
    assert (found["low"]["attained_exact"], found["high"]["attained_exact"]) == ("1", "1")


def test_an_explanation_and_a_graph_of_a_changed_spec(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The gradient of the second output is (1, -1); a narrow region opens no gate."""
    assert run(app, ["explain", "spec.toml", "--set", 'explain.output="logit:1"', "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert [f["attribution_exact"] for f in document["features"]] == ["1", "-1"]
    assert document["name"] == "spec: explain.output = \"logit:1\""
    layers = [(np.array([[1.0, 2.0]]), np.zeros(1)), (np.array([[1.0]]), np.zeros(1))]
    save_net(place / "gate.onnx", layers)
    (place / "gate.toml").write_text("verifex = 1\n[input]\npoint = [0.5, 0.25]\n[region]\n"
                                     "linf = 1\n[[require]]\noutput = \"logit:0\"\nabove = -9\n")
    for change, count in ((), 1), (("--set", "region.linf=0.1"), 0):
        words = ["show", "gate.onnx", "--spec", "gate.toml", *change, "--json"]
        assert run(app, words) == 0
        document = json.loads(capsys.readouterr().out)
        assert document["statistics"]["open_gates"] == count
    assert run(app, ["show", "gate.onnx", "--set", "region.linf=0.1"]) == 64
    assert "expected --spec" in capsys.readouterr().err


def test_a_difference_over_a_changed_region(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """f = a + 2 b against g = a + b: they differ by b, which is 1/4 at x0."""
    save_net(place / "g.onnx", [(np.array([[1.0, 1.0], [1.0, -1.0]]), np.zeros(2))])
    words = ["difference", "net.onnx", "g.onnx", "spec.toml", "--of", "output:0", "--json"]
    for change, low, high in ((), "0", "1/2"), (("--set", "region.linf=0.125"), "1/8", "3/8"):
        assert run(app, [*words, *change]) == 2  # nothing is certified of two networks
        (found,) = json.loads(capsys.readouterr().out)["ranges"]
        assert (found["low"]["attained_exact"], found["high"]["attained_exact"]) == (low, high)


def test_with_changes_a_spec_in_memory(place: Path) -> None:
    spec = load_spec("spec.toml")
    new = spec.with_({"region.linf.b": 0.1, "require[0].at_most": "1/3", "input.row": 1})
    text = SPEC.replace("b = 0.25", "b = 0.1").replace("100", '"1/3"').replace("row = 0", "row = 1")
    assert new == parse_spec(text)
    assert spec == parse_spec(SPEC)
    assert spec.with_({}) == spec
    with pytest.raises(InputError, match=r"require\[0\].at_mots: unknown key 'at_mots'"):
        spec.with_({"require[0].at_mots": 1})
    with pytest.raises(UsageError, match="no key"):
        spec.with_({"region linf": 1})
