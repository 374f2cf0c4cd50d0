"""The text form keeps every number, is deterministic, and refuses what is malformed by name."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from verifex.errors import InputError
from verifex.ir.exact import ExactArray
from verifex.ir.formula import And, AtLeast, Atom, Dominance, Form, Or
from verifex.ir.graph import Builder
from verifex.ir.linmap import Conv, Diag, dense, gather, scale, total, transpose
from verifex.ir.ops import Affine, Concat
from verifex.ir.problem import Objective, Problem
from verifex.ir.region import Ball, LinearRow, Region
from verifex.ir.text.document import (
    graph_from_json,
    graph_to_json,
    problem_dumps,
    problem_from_json,
    problem_to_json,
    region_from_json,
    region_to_json,
)
from verifex.semantics.vjp import gradients


def everything() -> tuple[Problem, Objective]:
    """A problem that uses every op, map, atom and kind of region."""
    b = Builder()
    x = b.input("x", (1, 1, 2, 2))
    y = b.input("y", (2,))
    conv = Conv((1, 1, 2, 2), (1, 2, 2, 2), np.array([[[[0.1]]], [[[-3.0]]]]), (1, 1),
                ((0, 0), (0, 0)), (1, 1))
    z = b.affine(conv, x, bias=np.full((1, 2, 2, 2), 1e-300))
    flat = b.affine(gather((1, 2, 2, 2), [7, -1, 0]), b.relu(z))
    exact = ExactArray.from_numbers([Fraction(1, 3), 2**80, Fraction(-5, 7)])
    both = b.add(Concat(0), b.affine(Diag((3,), (3,), exact), flat), y)
    out = b.affine(dense([[1.0, -0.0, 0.1, 2.0, 5e-324]]), both)
    score = b.add(Affine((scale((1,), 3), scale((1,), -1))), out, b.univariate("tanh", out))
    (g,) = gradients(b, b.affine(total((1,)), score), [x])
    prod = b.mul(g, x)
    back = b.affine(transpose(conv), z)
    graph = b.build({"f": score, "g": g})
    atom = Atom(Form.of({(g, 3): Fraction(1, 3), (prod, 0): -(2**70)}, 0.1), strict=True)
    top = Dominance(g, (0, 2), (1, 3), 1, 2, False, -1)
    claim = Or((And((atom, top)), AtLeast(2, (Atom(Form.of({(back, 0): 1})), atom, top))))
    region = Region(
        tuple(map(Fraction, ("-1/3", "0", "0.1", "0", "0", "0"))), (Fraction(3),) * 6,
        (LinearRow({3: Fraction(1), 0: Fraction(-2, 3)}, Fraction(7)),),
        (Ball("l1", (0, 1), (Fraction(1), Fraction(1, 9)), Fraction(1, 8)),),
        frozenset({4, 2}), ((4, 5),), ("a", "b"),
    )
    point = (Fraction(1, 3),) * 6
    problem = Problem(graph, region, claim, Atom(Form.of({(y, 1): 1})), point, "all", ("note",))
    return problem, Objective(Form.of({(g, 0): Fraction(2, 3)}, 4), True)


def test_round_trip_is_exact_and_deterministic() -> None:
    problem, objective = everything()
    text = problem_dumps(problem, objective)
    again, objective_again = problem_from_json(json.loads(text))
    assert again.graph.nodes == problem.graph.nodes
    assert again.graph.inputs == problem.graph.inputs
    assert again.graph.outputs == problem.graph.outputs
    assert again.graph.labels == problem.graph.labels
    assert again.region == problem.region
    assert (again.require, again.assume) == (problem.require, problem.assume)
    assert (again.point, again.name, again.notes) == (problem.point, "all", ("note",))
    assert objective_again == objective
    assert problem_dumps(again, objective_again) == text
    assert problem_from_json(problem_to_json(problem))[1] is None


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=4),
       st.lists(st.fractions(), min_size=1, max_size=4))
def test_numbers_round_trip(floats: list[float], fractions: list[Fraction]) -> None:
    b = Builder()
    b.const(np.array(floats))
    b.const(ExactArray.from_numbers(fractions))
    graph = b.build()
    again = graph_from_json(json.loads(json.dumps(graph_to_json(graph))))
    assert again.nodes == graph.nodes


def test_numbers_beyond_the_decimal_limit_round_trip() -> None:
    region = Region((Fraction(-(2**20_000)),), (Fraction(1, 3**10_000),))
    assert region_from_json(json.loads(json.dumps(region_to_json(region)))) == region


def _set(path: str, value: Any) -> Callable[[Any], None]:
    *parents, last = path.split(".")

    def change(data: Any) -> None:
        for key in parents:
            data = data[int(key)] if isinstance(data, list) else data[key]
        data[int(last) if isinstance(data, list) else last] = value

    return change


MALFORMED = {
    "unknown key": (_set("colour", 1), "colour"),
    "version": (_set("version", 2), "problem.version"),
    "unknown op": (_set("graph.nodes.0.op", "softmax"), "softmax"),
    "unknown op field": (_set("graph.nodes.0.axis", 1), "graph.nodes[0]"),
    "later argument": (_set("graph.nodes.2.args", [2]), "graph.nodes[2]"),
    "too many arguments": (_set("graph.nodes.3.args", [2, 2]), "node 3"),
    "float in place of a shape": (_set("graph.nodes.0.shape", [1.5]), "graph.nodes[0]"),
    "true in place of a number": (_set("graph.inputs", [True]), "graph.inputs"),
    "wrong inputs": (_set("graph.inputs", [0]), "graph.inputs"),
    "output without node": (_set("graph.outputs.f", 999), "graph.outputs"),
    "label": (_set("graph.labels", [[0]]), "graph.labels"),
    "array too short": (_set("graph.nodes.2.bias.float", [1.0]), "graph.nodes[2]"),
    "not finite": (_set("graph.nodes.2.bias.float.0", float("nan")), "graph.nodes[2]"),
    "conv strides": (_set("graph.nodes.2.maps.0.strides", [0, 1]), "graph.nodes[2]"),
    "conv groups": (_set("graph.nodes.2.maps.0.groups", 2), "graph.nodes[2]"),
    "unknown map": (_set("graph.nodes.2.maps.0.map", "fft"), "fft"),
    "gather index": (_set("graph.nodes.4.maps.0.index.int", [8, 0, 0]), "graph.nodes[4]"),
    "empty box": (_set("region.hi.0", "-1"), "region"),
    "decimal fraction": (_set("region.hi.0", "0.1"), "region.hi"),
    "zero denominator": (_set("region.hi.0", "1/0"), "region.hi"),
    "row feature": (_set("region.rows.0.coefs", [[9, "1"]]), "region.rows"),
    "norm": (_set("region.balls.0.norm", "l3"), "region.balls"),
    "point length": (_set("point", ["1"]), "number"),
    "formula kind": (_set("require", {"xor": []}), "xor"),
    "formula with two keys": (_set("require", {"and": [], "or": []}), "problem.require"),
    "atom element": (_set("assume.atom.terms.0", [0, 4, "1"]), "problem.assume"),
    "sense": (_set("require.or.0.and.1.dominance.sense", 2), "problem.require"),
    "winner and loser": (_set("require.or.0.and.1.dominance.losers", [0]), "problem.require"),
    "objective": (_set("objective.maximise", "yes"), "problem.objective"),
}


@pytest.mark.parametrize("case", MALFORMED)
def test_malformed_text_is_named(case: str) -> None:
    change, named = MALFORMED[case]
    data = json.loads(problem_dumps(*everything()))
    change(data)
    with pytest.raises(InputError) as caught:
        problem_from_json(data)
    assert named in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.slow
def test_any_missing_key_and_any_replaced_value_is_an_input_error() -> None:
    data = json.loads(problem_dumps(*everything()))
    broken = 0
    for path in _paths(data):
        for junk in (None, "junk", -7, [], {"a": 1}):
            changed = copy.deepcopy(data)
            _set(path, junk)(changed)
            try:
                problem_from_json(changed)
            except InputError:
                broken += 1
    assert broken > 500  # some replacements are legitimate (a name, an empty list)


def _paths(data: Any, prefix: str = "") -> list[str]:
    items = data.items() if isinstance(data, dict) else enumerate(data)
    found = []
    for key, value in items:
        path = f"{prefix}{key}"
        found.append(path)
        if isinstance(value, dict | list):
            found += _paths(value, path + ".")
    return found


def test_depth_is_limited() -> None:
    problem, _ = everything()
    data = problem_to_json(problem)
    nested: dict[str, Any] = {"and": []}
    for _ in range(5000):
        nested = {"and": [nested]}
    data["require"] = nested
    with pytest.raises(InputError, match="nested"):
        problem_from_json(data)
