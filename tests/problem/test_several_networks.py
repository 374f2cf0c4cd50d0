"""Several networks in one problem: by name, on the same or on different inputs."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

import verifex
from tests.helpers.query_texts import random_graph, save
from verifex.certificate.grant import certify
from verifex.engine.verdict import Outcome
from verifex.errors import InputError
from verifex.frontend.onnx.read import network_source
from verifex.ir.formula import And, Form, Formula
from verifex.ir.graft import merged
from verifex.ir.graph import Builder, Graph
from verifex.ir.problem import Problem
from verifex.ir.region import Region
from verifex.ir.text.document import problem_dumps, problem_from_json
from verifex.metrics.support.base import compare
from verifex.metrics.support.names import Names, blocks_of
from verifex.metrics.support.reference import Reference
from verifex.metrics.support.setting import Setting
from verifex.problem.spec.difference import load_difference
from verifex.problem.spec.model import spec_source
from verifex.semantics.evaluate import evaluate_exact
from verifex.source import QuestionFiles

F = Fraction
ONE, TWO = (random_graph(random.Random(k)) for k in (1, 2))


def outputs(graph: Graph, x: list[Fraction]) -> list[Fraction]:
    node = graph.outputs["y"]
    return evaluate_exact(graph, x, [node])[node].fractions()


def pair(shared: bool) -> Setting:
    """Both networks in a setting, on one input or on an input each."""
    b = Builder()
    shape = ONE.nodes[ONE.inputs[0]].shape
    x = b.input("x", shape)
    y = x if shared else b.input("y", shape)
    networks = merged(b, {"left": (ONE, [x]), "right": (TWO, [y])})
    b.outputs = {f"{n.name}.{k}": i for n in networks for k, i in n.outputs.items()}
    graph = b.build()
    names = ["x"] if shared else ["x", "y"]
    features = Names(blocks_of(names, [graph.nodes[i].shape for i in graph.inputs]), ())
    functional: Any = None
    return Setting(b, graph.inputs, features, networks[0].outputs["y"], functional,
                   Reference(b, graph, None), networks=networks)


def gap(setting: Setting, limit: Fraction) -> Formula:
    """What a property of two networks may say: output 0 differs by at most `limit`."""
    left, right = (setting.about(name).logits for name in ("left", "right"))
    form = Form.of({(left, 0): 1, (right, 0): -1})
    return And((compare(form, "at_most", limit), compare(form, "at_least", -limit)))


def problem(setting: Setting, require: Formula) -> Problem:
    graph = setting.builder.build()
    size, radius = graph.input_size, F(1, 4)
    region = Region((-radius,) * size, (radius,) * size)
    return Problem(graph, region, require, networks=setting.networks)


@pytest.mark.parametrize("shared", [True, False])
def test_networks_keep_their_values(shared: bool) -> None:
    made = problem(pair(shared), And(()))
    rng = random.Random(5)
    for _ in range(5):
        x = [F(rng.randint(-8, 8), 8) for _ in range(made.graph.input_size)]
        nodes = [made.network(name).outputs["y"] for name in ("left", "right")]
        found = evaluate_exact(made.graph, x, nodes)
        assert found[nodes[0]].fractions() == outputs(ONE, x[:2])
        assert found[nodes[1]].fractions() == outputs(TWO, x[:2] if shared else x[2:])


@pytest.mark.parametrize("shared", [True, False])
def test_claims_are_decided_and_never_proved(shared: bool, tmp_path: Path) -> None:
    """Above the worst difference on a grid the claim may hold; below it is refuted."""
    setting = pair(shared)
    steps = [F(k, 8) for k in (-2, -1, 0, 1, 2)]
    seen = [
        abs(outputs(ONE, [a, b])[0] - outputs(TWO, [a, b] if shared else [c, d])[0])
        for a in steps for b in steps for c in steps[::2] for d in steps[::2]
    ]
    false = verifex.verify(None, problem(setting, gap(setting, max(seen) - F(1, 50))))
    assert false.outcome is Outcome.REFUTED
    true = problem(setting, gap(setting, max(seen) + 5))
    verdict = verifex.verify(None, true)
    assert verdict.outcome is Outcome.CLAIMED
    assert "no certificate: the checker reads one network" in verdict.notes
    # Nor from files, which could only name one of them.
    save(ONE, tmp_path / "one.onnx")
    (tmp_path / "spec.toml").write_text("verifex = 1\n")
    files = QuestionFiles(
        network_source(tmp_path / "one.onnx"), spec_source(tmp_path / "spec.toml"))
    again = certify(true, replace(verdict, notes=()), files, 10.0)
    assert again.outcome is Outcome.CLAIMED
    assert again.notes == ("no certificate: the checker reads one network",)


def test_the_text_form_carries_names() -> None:
    made = problem(pair(False), And(()))
    back, _ = problem_from_json(json.loads(problem_dumps(made)))
    assert back.networks == made.networks
    single = replace(made, networks=())
    assert "networks" not in json.loads(problem_dumps(single))


@pytest.mark.parametrize(("change", "text"), [
    (lambda n: n.append(n[0]), "a second network 'left'"),
    (lambda n: n[0].pop("inputs"), "'inputs'"),
    (lambda n: n[0]["outputs"].update(y=999), "999"),
    (lambda n: n[1].update(outputs=[]), "an object of names and nodes"),
    (lambda n: n[1].update(name=3), "problem.networks"),
])
def test_malformed_names_are_refused(change: Any, text: str) -> None:
    data = json.loads(problem_dumps(problem(pair(True), And(()))))
    change(data["networks"])
    with pytest.raises(InputError, match=text):
        problem_from_json(data)


def test_unknown_names() -> None:
    setting = pair(True)
    made = problem(setting, And(()))
    with pytest.raises(InputError, match="no network 'middle', expected left, right"):
        made.network("middle")
    with pytest.raises(InputError, match="no network 'left', expected none"):
        replace(made, networks=()).network("left")
    with pytest.raises(InputError, match="which output of network 'left'"):
        setting.about("left", "z")
    b = Builder()
    with pytest.raises(InputError, match=r"network left.*shape"):
        merged(b, {"left": (ONE, [b.input("x", (7,))])})


def test_a_difference_names_its_networks(tmp_path: Path) -> None:
    save(ONE, tmp_path / "one.onnx")
    save(TWO, tmp_path / "two.onnx")
    (tmp_path / "spec.toml").write_text(
        "verifex = 1\n[input]\npoint = [0.25, 0.5]\n[region]\nlinf = 0.5\n")
    asked = load_difference(
        tmp_path / "one.onnx", tmp_path / "two.onnx", tmp_path / "spec.toml", ["output"])
    made = asked.problem
    assert [n.name for n in made.networks] == ["first", "second"]
    x = [F(1, 8), F(1, 2)]
    for name, graph in (("first", ONE), ("second", TWO)):
        node = made.network(name).outputs["y"]
        assert evaluate_exact(made.graph, x, [node])[node].fractions() == outputs(graph, x)
