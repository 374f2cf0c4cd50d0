"""Float replays of witnesses: real float32 and onnxruntime beside the exact value."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from verifex.engine.decide import decide
from verifex.engine.falsify import replays as module
from verifex.engine.falsify.replays import evaluate_onnxruntime, evaluate_single, replays
from verifex.ir.formula import Atom, Form
from verifex.ir.graph import Builder
from verifex.ir.linmap import Conv, Diag, ScatterAdd, dense
from verifex.ir.problem import Problem
from verifex.ir.region import Region
from verifex.semantics.evaluate import evaluate_float
from verifex.semantics.vjp import gradients

F = Fraction


def atom(terms: Mapping[tuple[int, int], int | Fraction], const: int | Fraction = 0) -> Atom:
    return Atom(Form.of(dict(terms), const))


def sum_problem(weights: list[float], threshold: Fraction) -> Problem:
    """`w . x + threshold >= 0` over [0, 1]^n."""
    b = Builder()
    x = b.input("x", (len(weights),))
    y = b.affine(dense(np.array([weights])), x)
    n = len(weights)
    region = Region((F(0),) * n, (F(1),) * n)
    return Problem(b.build({"y": y}), region, atom({(y, 0): 1}, threshold))


def test_float32_is_computed_in_float32() -> None:
    """1 + 2^-30 is 1 in float32 and more than 1 in float64: the sum is rounded on the way."""
    problem = sum_problem([-1.0, -1.0], F(1))
    point = (F(1), F(1, 2**30))
    found = replays(problem, point)
    assert found["float64"] == "violated"
    assert found["float32"] == "holds"
    assert found["onnxruntime"] == "holds"


def test_weights_are_rounded_too() -> None:
    problem = sum_problem([-1.0 - 2.0**-40], F(1))
    found = replays(problem, (F(1),))
    assert (found["float64"], found["float32"]) == ("violated", "holds")


def test_overflow_is_not_finite() -> None:
    problem = sum_problem([-1e300, 1e300], F(-1))
    found = replays(problem, (F(1), F(1)))
    assert found["float64"] == "violated"
    assert found["float32"] == "not finite"


def test_an_assumption_that_rounding_breaks_is_named() -> None:
    b = Builder()
    x = b.input("x", (1,))
    y = b.affine(dense(np.array([[2.0]])), x)
    region = Region((F(0),), (F(2),))
    problem = Problem(
        b.build({"y": y}), region, atom({(y, 0): -1}), assume=atom({(x, 0): 1}, -1 - F(1, 2**30))
    )
    found = replays(problem, (1 + F(1, 2**30),))
    assert found["float64"] == "violated"
    assert found["float32"] == "outside the assumption"


def net(seed: int) -> Problem:
    """A convolution, a dense layer, a gradient, scaled and summed: every kind of map."""
    rng = np.random.default_rng(seed)
    b = Builder()
    x = b.input("x", (1, 2, 4, 4))
    kernel = rng.normal(size=(3, 2, 2, 2))
    conv = Conv((1, 2, 4, 4), (1, 3, 3, 3), kernel, (1, 1), ((0, 0), (0, 0)), (1, 1))
    h = b.relu(b.affine(conv, x, rng.normal(size=(1, 3, 3, 3))))
    index = np.repeat(np.arange(3), 9).reshape(1, 3, 3, 3)
    pooled = b.affine(ScatterAdd((1, 3, 3, 3), (3,), index), h)
    third = Diag((3,), (3,), rng.normal(size=3))
    y = b.affine(dense(rng.normal(size=(1, 3))), b.affine(third, b.univariate("tanh", pooled)))
    (g,) = gradients(b, y, [x])
    g = b.scaled(g, 3)
    n = 32
    region = Region((F(-1),) * n, (F(1),) * n)
    terms = {(g, 5): 1, (y, 0): 1}
    return Problem(b.build({"y": y, "g": g}), region, atom(terms))


@pytest.mark.parametrize("seed", range(6))
def test_single_agrees_with_float64_and_onnxruntime(seed: int) -> None:
    pytest.importorskip("onnxruntime")
    problem = net(seed)
    x = np.random.default_rng(100 + seed).uniform(-1, 1, size=(1, 32)).astype(np.float32)
    wide = evaluate_float(problem.graph, x.astype(float), problem.targets())
    for name, found in (("numpy", evaluate_single(problem, x.astype(float))),
                        ("onnxruntime", evaluate_onnxruntime(problem, x.astype(float)))):
        for i, values in wide.items():
            assert found[i].dtype == np.float32, name
            size = max(1.0, float(np.abs(values).max()))
            np.testing.assert_allclose(found[i], values, atol=1e-4 * size, err_msg=name)
            # float32 is not float64 that was rounded at the end
    single = evaluate_single(problem, x.astype(float))
    assert any((single[i] != values.astype(np.float32)).any() for i, values in wide.items())


def test_a_missing_onnxruntime_is_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "available", lambda: False)
    assert replays(sum_problem([1.0], F(1)), (F(1),))["onnxruntime"] == "not installed"


def test_a_failing_onnxruntime_is_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(problem: Problem, x: Any) -> Any:
        raise RuntimeError("no such\nkernel")

    monkeypatch.setattr(module, "evaluate_onnxruntime", fail)
    found = replays(sum_problem([1.0], F(1)), (F(1),))["onnxruntime"]
    assert found == "failed: RuntimeError: no such kernel"


def test_a_witness_carries_all_replays() -> None:
    problem = sum_problem([-1.0] * 50, F(1))
    verdict = decide(problem)
    assert verdict.witness is not None
    assert list(verdict.witness.replays) == ["exact", "float64", "float32", "onnxruntime"]
    assert replays(problem, verdict.witness.point).keys() < verdict.witness.replays.keys()
