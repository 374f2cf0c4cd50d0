"""Specs: values that are what they should be, or are refused by both sides."""

from __future__ import annotations

import gzip
from fractions import Fraction
from pathlib import Path

import pytest

from tests.readings.text_case import Case
from verifex.cli.app import app
from verifex.cli.guard import run
from verifex.errors import VerifexError
from verifex.problem.spec.build import load_problem

F = Fraction

# --- counts and other values of specs -------------------------------------------------------------

WHOLE = """verifex = 1
[input]
point = [0, 0, 0, 0]
names = ["a", "b", "c", "d"]
[region]
linf = 1
[explain]
output = "logit:0"
[[require]]
{claim}
"""


@pytest.mark.parametrize(
    "claim",
    [
        "top_k = 2\noverlap_at_least = 1.5",
        'sign = "unchanged"\nat_least = 1.5\nzero = "ignore"',
        "top_k = 1.0",
        "top_k = true",
        'top_k = "1"',
        "top_k = -1",
        "top_k = 1\noverlap_at_least = true",
        'sign = "unchanged"\nzero = "ignore"\nat_least = true',
        "class = true",
        "class = 1.0",
        "class = -1",
        "class = 4",
        'class = "1"',
        "all = []",
        "any = []",
        "not = []",
        "component = []\nat_most = 9",
        'sign = "unchanged"\nwhich = []',
        "order = []",
        'order = ["a"]',
        'order = "ab"',
        'order = ["a", "a"]',
        'output = "logit:١"\nat_least = -9',
        'output = "logit:+1"\nat_least = -9',
        'output = "logit:1_0"\nat_least = -9',
        'output = "logit: -1"\nat_least = -9',
        'output = "logit:true"\nat_least = -9',
        "output = 1\nat_least = -9",
        'output = "margin:1,1"\nat_least = -9',
        'output = "predicted:"\nat_least = -9',
        'output = "logit:0"\nat_least = true',
        'output = "logit:0"\nat_least = "1_0"',
        'output = "logit:0"\nat_least = "٣"',
        'output = "logit:0"\nat_least = nan',
        'output = "logit:0"\nat_least = 2024-01-01',
        'output = "logit:0"',
        "component = true\nat_most = 9",
        "component = 1.0\nat_most = 9",
        'component = "x[١]"\nat_most = 9',
        'distance = "l3"\nat_most = 9',
        'distance = "l1"\nat_most = 9\nrelative = "true"',
        'distance = "l1"\nat_most = 9\nrelative = 1',
        'sign = "unchanged"\nzero = "drop"',
        'sign = "unchanged"\nzero = "ignore"\nthreshold = -1',
        'top_k = 1\ntie = "first"',
        'monotone = "increasing"\nfeature = []',
        'class = 0\ncomponent = "a"\nat_most = 9',
        "output = { weights = [1, 2, 3] }\nat_least = -9",
        "all = [{ class = 0, klass = 1 }]",
        "all = { class = 0 }",
    ],
)
def test_values_of_properties_are_what_they_should_be(tmp_path: Path, claim: str) -> None:
    said = Case(tmp_path, 4).write(WHOLE.format(claim=claim)).refused("require")
    assert said.startswith("invalid: s.toml: "), said


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("verifex = 1", "verifex = true"),
        ("verifex = 1", "verifex = 1.0"),
        ("verifex = 1\n", ""),
        ("linf = 1", "linf = true"),
        ("linf = 1", "l2 = -1"),
        ("linf = 1", 'l2 = -1\nfreeze = "*"'),
        ("linf = 1", 'linf = "1_0"'),
        ("linf = 1", "linf = [1, 1, 1]"),
        ("linf = 1", "linf = [[1, 1], [1]]"),
        ("linf = 1", 'linf = { "*" = 1, "a*" = 2 }'),
        ("linf = 1", 'linf = { "x[0]" = 1, a = 2 }'),
        ("linf = 1", "linf = 1\none_hot = [[]]"),
        ("linf = 1", 'linf = 1\none_hot = [["a"]]'),
        ("linf = 1", 'linf = 1\none_hot = "ab"'),
        ("linf = 1", 'linf = 1\none_hot = [["a", "b"], ["b", "c"]]'),
        ("linf = 1", "linf = 1\ninteger = [true]"),
        ("linf = 1", "linf = 1\nfreeze = [1.0]"),
        ("linf = 1", "linf = 1\nfreeze = [-1]"),
        ("linf = 1", "l1 = -1"),
        ("linf = 1", 'linf = 1\nbox = "01"'),
        ("linf = 1", "linf = 1\nbox = [0]"),
        ("linf = 1", "linf = 1\nlinear = [1]"),
        ("linf = 1", 'linf = 1\nlinear = "a <= -2"'),
        ("linf = 1", "linf = 1\nclip = [2, 3]"),
        ('output = "logit:0"\n[[', 'output = "logit:0"\nfeatures = []\n[['),
        ("[[require]]", "[require]"),
        ('output = "logit:0"\n[[', 'output = "logit:0"\noptions = []\n[['),
        ('"logit:0"\n[[', '"logit:0"\nreduce = "Abs"\n[['),
        ("point = [0, 0, 0, 0]", "point = [[0, 0, 0], [0]]"),
        ("point = [0, 0, 0, 0]", "point = [[0, 0], [0, 0]]"),
        ("point = [0, 0, 0, 0]", "point = []"),
        ("point = [0, 0, 0, 0]", "point = 0"),
        ("point = [0, 0, 0, 0]", "point = { x = [0, 0, 0, 0], y = [1] }"),
        ("point = [0, 0, 0, 0]", "point = [0, 0, 0, true]"),
        ('names = ["a", "b", "c", "d"]', 'names = "abcd"'),
        ('names = ["a", "b", "c", "d"]', "names = [1, 2, 3, 4]"),
        ('names = ["a", "b", "c", "d"]', 'names = ["a", "b", "c", "a"]'),
        ("names", "row = 0\nnames"),
        ("names", "scale = { min = [1, 0, 0, 0], max = [0, 1, 1, 1] }\nnames"),
        ("names", 'round = "float16"\nnames'),
        ("names", 'minmax_of = "s.toml"\nnames'),
        ("[[require]]\nclass = 0", "require = []"),
    ],
)
def test_values_of_a_spec_are_what_they_should_be(tmp_path: Path, old: str, new: str) -> None:
    text = WHOLE.format(claim="class = 0")
    if new == "require = []":
        text = text.replace("[input]", "require = []\n[input]").replace(old, "")
    else:
        assert old in text
        text = text.replace(old, new, 1)
    c = Case(tmp_path, 4).write(text)
    with pytest.raises(VerifexError):
        load_problem(c.spec, c.network)
    code, said = c.check()
    assert code == 65
    assert said.startswith("invalid: s.toml: "), said


def test_a_count_that_is_whole_is_taken(tmp_path: Path) -> None:
    text = WHOLE.replace('"logit:0"\n[[', "{{ weights = [4, 3, 2, 1] }}\n[[")
    for claim in ("top_k = 2\noverlap_at_least = 1", 'sign = "unchanged"\nat_least = 3'):
        c = Case(tmp_path, 4).write(text.format(claim=claim))
        assert not c.breaks([F(1)] * 4)
        assert c.check()[0] in (0, 2)


def test_a_spec_is_never_zipped(tmp_path: Path) -> None:
    text = WHOLE.format(claim="class = 0").encode()
    assert "zipped" in Case(tmp_path, 4).write(gzip.compress(text)).refused("UTF-8")


def test_deep_constraints_are_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    c = Case(tmp_path, 1).write(
        'verifex = 1\n[region]\nbox = [0, 1]\nlinear = "'
        + "-" * 1500
        + 'x[0] <= 1"\n[[require]]\noutput = "sum"\nat_most = 9\n'
    )
    assert run(app, ["verify", str(c.network), str(c.spec)]) == 65
    said = capsys.readouterr()
    assert (said.out, len(said.err.splitlines())) == ("", 1)
    assert "linear[0]" in said.err


@pytest.mark.parametrize(
    ("more", "moving"),
    [
        ("", "abcd"),
        ('freeze = "a"', "bcd"),
        ('freeze = ["b", "x[3]"]', "ac"),
        ('only = ["a", 1]', "ab"),
        ("freeze = []", "abcd"),
        ("only = []", ""),
        ('only = ["a", "b"]\nfreeze = "a"', "b"),
    ],
)
def test_which_features_move(tmp_path: Path, more: str, moving: str) -> None:
    text = WHOLE.format(claim="class = 0").replace("linf = 1", f"linf = 1\n{more}")
    c = Case(tmp_path, 4).write(text.replace("point = [0, 0, 0, 0]", "point = [0, 1, 2, 3]"))
    for i, name in enumerate("abcd"):
        x = [F(k) + F(i == k, 2) for k in range(4)]
        assert c.breaks(x) == (name in moving)  # class 0 is the largest nowhere
