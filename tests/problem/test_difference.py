"""`difference`: one network against another, by sampling in exact arithmetic."""

from __future__ import annotations

import json
import random
from fractions import Fraction
from pathlib import Path

import pytest

import verifex
from tests.helpers.query_texts import random_graph, save
from verifex.cli.app import app
from verifex.cli.guard import run
from verifex.engine.verdict import Outcome, RangeVerdict, Verdict
from verifex.errors import InputError, UsageError
from verifex.ir.graph import Graph
from verifex.problem.spec.difference import load_difference
from verifex.semantics.evaluate import evaluate_exact

SPEC = """
verifex = 1
[input]
point = [0.25, 0.5]
names = ["age", "sex"]
[region]
linf = 0.5
[explain]
attribution = "gradient"
output = "predicted"
"""


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path, Path]:
    for k in (1, 2):
        save(random_graph(random.Random(k)), tmp_path / f"n{k}.onnx")
    (tmp_path / "spec.toml").write_text(SPEC)
    return tmp_path / "n1.onnx", tmp_path / "n2.onnx", tmp_path / "spec.toml"


def points(seed: int, count: int = 60) -> list[list[Fraction]]:
    rng = random.Random(seed)
    return [[Fraction(1, 4) + Fraction(rng.randint(-50, 50), 100),
             Fraction(1, 2) + Fraction(rng.randint(-50, 50), 100)] for _ in range(count)]


def values(graph: Graph, x: list[Fraction]) -> tuple[Fraction, ...]:
    node = graph.outputs["y"]
    return tuple(evaluate_exact(graph, x, [node])[node].fractions())


def ranges(found: Verdict | list[RangeVerdict]) -> list[RangeVerdict]:
    assert isinstance(found, list)
    return found


def test_ranges_of_outputs_hold_what_is_sampled(files: tuple[Path, Path, Path]) -> None:
    one, two = (verifex.load(f) for f in files[:2])
    found = ranges(verifex.difference(*files))
    assert [r.expression for r in found] == ["a - b, output 0", "a - b, output 1"]
    for c, r in enumerate(found):
        seen = [values(one, x)[c] - values(two, x)[c] for x in points(0)]
        assert r.settled
        assert float(r.low.best_bound or 0) <= float(min(seen))
        assert float(r.high.best_bound or 0) >= float(max(seen))
        assert r.high.attained is not None
        assert float(r.high.attained) >= float(max(seen)) - 1e-9


def test_claims_about_outputs(files: tuple[Path, Path, Path]) -> None:
    """Just above the worst difference the claim holds, just below it is refuted."""
    ends = [e for r in ranges(verifex.difference(*files)) for e in (r.low, r.high)]
    worst = max(abs(e.attained) for e in ends if e.attained is not None)
    above = verifex.difference(*files, at_most=worst + Fraction(1, 100))
    below = verifex.difference(*files, at_most=worst - Fraction(1, 100))
    assert isinstance(above, Verdict)
    assert isinstance(below, Verdict)
    assert above.outcome is Outcome.CLAIMED
    assert below.outcome is Outcome.REFUTED
    assert any("the checker reads one network" in n for n in above.notes)
    assert below.witness is not None
    one, two = (verifex.load(f) for f in files[:2])
    x = list(below.witness.point)
    differences = [abs(a - b) for a, b in zip(values(one, x), values(two, x), strict=True)]
    assert max(differences) > worst - Fraction(1, 100)


def test_attributions_use_one_functional(files: tuple[Path, Path, Path]) -> None:
    """The second network's gradient is that of the first one's predicted output."""
    asked = load_difference(*files, ["attribution", "attribution:sex", "attribution:l1"])
    graph = asked.problem.graph
    one, two = (verifex.load(f) for f in files[:2])
    c = max(range(2), key=lambda k: values(one, [Fraction(1, 4), Fraction(1, 2)])[k])
    step = Fraction(1, 10**9)
    for x in points(1, 10):
        forms = [form for m in asked.measures for form in m.forms]
        nodes = {cell[0] for form in forms for cell, _ in form.terms}
        got = [form.value(evaluate_exact(graph, x, nodes)) for form in forms]
        slopes = []
        for i in range(2):
            y = [v + step * (k == i) for k, v in enumerate(x)]
            slopes.append([(values(g, y)[c] - values(g, x)[c]) / step for g in (one, two)])
        wanted = [a - b for a, b in slopes]
        assert got == [*wanted, wanted[1], sum(map(abs, wanted))]


def test_the_same_network_does_not_differ(files: tuple[Path, Path, Path]) -> None:
    same = (files[0], files[0], files[2])
    for of in (["output", "attribution"], ["attribution:linf"]):
        verdict = verifex.difference(*same, of, at_most=0)
        assert isinstance(verdict, Verdict)
        assert verdict.outcome is Outcome.CLAIMED


def test_classes(files: tuple[Path, Path, Path]) -> None:
    one, two = (verifex.load(f) for f in files[:2])
    verdict = verifex.difference(*files, ["class"])
    assert isinstance(verdict, Verdict)

    def changed(x: list[Fraction]) -> bool:
        a, b = values(one, x), values(two, x)
        c = a.index(max(a))
        return a.count(max(a)) == 1 and not all(b[c] > v for k, v in enumerate(b) if k != c)

    assert any(changed(x) for x in points(2)) <= (verdict.outcome is Outcome.REFUTED)
    if verdict.witness is not None:
        assert changed(list(verdict.witness.point))


def test_what_does_not_fit(files: tuple[Path, Path, Path], tmp_path: Path) -> None:
    save(random_graph(random.Random(3), inputs=3), tmp_path / "three.onnx")
    save(random_graph(random.Random(3), outputs=3), tmp_path / "wide.onnx")
    one, two, spec = files
    for other, of, what in (
        ("three.onnx", "output", "inputs of"), ("wide.onnx", "output", "2 and 3 outputs"),
        ("wide.onnx", "class", "2 and 3 outputs"), ("wide.onnx", "attribution", "2 and 3 outputs"),
        ("n2.onnx", "logit", "expected output, class or attribution"),
        ("n2.onnx", "output:2", "output:0 to output:1"), ("n2.onnx", "attribution:shoe", "shoe"),
    ):
        with pytest.raises(InputError, match=what):
            load_difference(one, tmp_path / other, spec, [of])
    with pytest.raises(UsageError, match="is a claim"):
        load_difference(one, two, spec, ["class", "output"])
    with pytest.raises(UsageError, match="at least 0"):
        load_difference(one, two, spec, ["output"], Fraction(-1))


def test_the_command(files: tuple[Path, Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    words = ["difference", *map(str, files)]
    assert run(app, [*words, "--json"]) == 2
    found = json.loads(capsys.readouterr().out)["ranges"]
    assert [r["asked"] for r in found] == ["a - b, output 0", "a - b, output 1"]
    assert run(app, [*words, "--of", "attribution", "--at-most", "1000", "-q"]) == 2
    assert capsys.readouterr().out == "claimed\n"
    assert run(app, [*words, "--at-most", "0", "-q"]) == 1
    assert capsys.readouterr().out == "refuted\n"
    assert run(app, [*words, "--at-most", "x"]) == 64
    assert run(app, words[:-1]) == 64


def test_a_claim_as_files_is_proved(files: tuple[Path, Path, Path], tmp_path: Path) -> None:
    """Written as one network and a query, the claim gets a certificate that the checker takes."""
    words = ["difference", *map(str, files), "--at-most", "6", "-q", "--save-as"]
    assert run(app, [*words, str(tmp_path / "both")]) == 2
    pair = [str(tmp_path / "both.onnx"), str(tmp_path / "both.vnnlib")]
    assert run(app, ["verify", *pair, "-q"]) == 0
    assert run(app, ["difference", *map(str, files), "--save-as", str(tmp_path / "x")]) == 64
