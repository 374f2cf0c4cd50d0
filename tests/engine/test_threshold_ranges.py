"""Ranges of `cosine` and `overlap:k`, against every activation pattern of tiny networks.

The gradient of a ReLU network is constant on an activation region, so the range over the points off
the kinks is that over the patterns that have an inner point. A linear program finds those; cosine
and overlap are computed here from the weights, in rationals. Proofs cover kinks too, so that a
proven end may lie outside of what the patterns attain, and never inside.
"""

from __future__ import annotations

import itertools
import random
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.optimize import linprog

import verifex
from verifex import api
from verifex.certificate.grant import run_checker
from verifex.engine.verdict import RangeVerdict
from verifex.engine.watch import StopRequest
from verifex.errors import InputError
from verifex.ir.formula import holds
from verifex.ir.graph import Builder, Graph
from verifex.ir.linmap import dense
from verifex.problem.spec.thresholds.threshold_expression import ThresholdExpression
from verifex.semantics.evaluate import evaluate_exact
from verifex.settings import Settings

F = Fraction


@dataclass(frozen=True)
class Tiny:
    """f(x) = v relu(W x + b) + u x."""

    weights: np.ndarray
    bias: np.ndarray
    last: np.ndarray
    skip: np.ndarray

    def graph(self) -> Graph:
        b = Builder()
        x = b.input("x", (self.weights.shape[1],))
        z = b.affine(dense(self.weights), x, self.bias)
        bent = b.affine(dense(self.last[None]), b.relu(z))
        f = b.sum([bent, b.affine(dense(self.skip[None]), x)])
        return b.build({"f": f})

    def gradient(self, pattern: Sequence[int]) -> list[Fraction]:
        rows = [[F(w) for w in row] for row in self.weights]
        return [F(self.skip[i]) + sum(
            (F(v) * on * row[i] for v, on, row in zip(self.last, pattern, rows, strict=True)),
            F(0)) for i in range(self.weights.shape[1])]

    def pattern(self, point: Sequence[Fraction]) -> list[int]:
        return [int(sum((F(w) * x for w, x in zip(row, point, strict=True)), F(b)) > 0)
                for row, b in zip(self.weights, self.bias, strict=True)]

    def patterns(self, lo: Sequence[Fraction], hi: Sequence[Fraction]) -> Iterator[tuple[int, ...]]:
        """All patterns with an inner point in the box."""
        units, n = self.weights.shape
        for pattern in itertools.product((0, 1), repeat=units):
            signs = np.where(np.array(pattern) > 0, 1.0, -1.0)
            # signs * (W x + b) >= t, with t as large as can be
            rows = np.hstack([-signs[:, None] * self.weights, np.ones((units, 1))])
            found = linprog([0.0] * n + [-1.0], A_ub=rows, b_ub=signs * self.bias, bounds=[
                *zip(map(float, lo), map(float, hi), strict=True), (None, 1.0)])
            if found.status == 0 and found.x[-1] > 1e-7:
                yield pattern


def cosine(a: Sequence[Fraction], base: Sequence[Fraction]) -> float | None:
    lengths = sum(v * v for v in a) * sum(v * v for v in base)
    dot = sum(x * y for x, y in zip(a, base, strict=True))
    return None if lengths == 0 else float(dot) / float(lengths) ** 0.5


def overlap(k: int, a: Sequence[Fraction], base: Sequence[Fraction]) -> int:
    """Of the top k of `base`, how many are in the top k of `a` where others win all ties."""
    top = set(sorted(range(len(base)), key=lambda i: -base[i])[:k])
    kept = sorted(range(len(a)), key=lambda i: (-a[i], i in top))[:k]
    return len(top & set(kept))


def tiny(seed: int, n: int = 3, units: int = 5) -> Tiny:
    rng = np.random.default_rng(seed)

    def eighths(*shape: int) -> np.ndarray:
        return rng.integers(-16, 17, shape) / 8

    return Tiny(eighths(units, n), eighths(units) / 2, eighths(units), eighths(n))


def spec_of(point: Sequence[Fraction], **region: Any) -> dict[str, Any]:
    return {"verifex": 1, "input": {"point": [str(v) for v in point]},
            "region": region, "explain": {"attribution": "gradient", "output": "logit:0"}}


def rechecked(found: RangeVerdict, folder: Path) -> int:
    """Every certificate that was kept is accepted again; how many there are."""
    count = 0
    for end in (found.low, found.high):
        if end.proven_by != "checker":
            continue
        assert end.certificate is not None
        spec = Path(str(end.certificate["spec"]))
        network = spec.parent / tomllib.loads(spec.read_text())["network"]
        assert run_checker(network, spec, Path(str(end.certificate["path"])), 60.0).valid
        count += 1
    return count


def close_to(found: RangeVerdict, low: float, high: float) -> None:
    """Both ends are those, or are open; nothing that is proven or attained contradicts them."""
    for end, exact, sign in ((found.low, low, -1), (found.high, high, 1)):
        assert end.proven is not None
        assert sign * float(end.proven) >= sign * exact - 1e-12
        if end.attained is not None:
            assert sign * float(end.attained) <= sign * exact + 1e-12
            assert sign * end.attained <= sign * end.proven
        if end.closed(found.size):
            assert float(end.proven) == pytest.approx(exact, abs=2e-6)


REGIONS = {
    "around x0": lambda x: {"linf": "1/2"},
    "x0 outside": lambda x: {"box": {"lo": [str(v + F(3, 8)) for v in x],
                                     "hi": [str(v + 1) for v in x]}},
}


@pytest.mark.parametrize("where", REGIONS)
@pytest.mark.parametrize("seed", range(4))
def test_ends_are_those_of_all_activation_patterns(
    seed: int, where: str, tmp_path: Path
) -> None:
    net, rng = tiny(seed), random.Random(seed)
    x0 = [F(rng.randint(-8, 8), 8) + F(1, 1000) for _ in range(3)]
    region = REGIONS[where](x0)
    lo = [F(v) for v in region["box"]["lo"]] if "box" in region else [v - F(1, 2) for v in x0]
    hi = [F(v) for v in region["box"]["hi"]] if "box" in region else [v + F(1, 2) for v in x0]
    base = net.gradient(net.pattern(x0))
    every = [net.gradient(p) for p in net.patterns(lo, hi)]
    asked = ["cosine", *(f"overlap:{k}" for k in (1, 2, 3))]
    found = verifex.bounds(net.graph(), spec_of(x0, **region), asked, seconds=10,
                           certificate=tmp_path / "ends")
    angles = [c for a in every if (c := cosine(a, base)) is not None]
    close_to(found[0], min(angles), max(angles))
    for k, one in zip((1, 2, 3), found[1:], strict=True):
        counts = [overlap(k, a, base) for a in every]
        close_to(one, min(counts), max(counts))
    # Kinks may leave an end open: a proof covers both gates there.
    assert sum(one.closed for one in found) >= 3
    assert sum(rechecked(one, tmp_path) for one in found) >= 1


@pytest.mark.parametrize("seed", range(3))
def test_claims_mean_what_values_say(seed: int) -> None:
    """At points off the kinks: a claim holds where the value, by the definition, keeps its bound;
    and what is written in the spec is that claim."""
    net, rng = tiny(seed), random.Random(seed)
    x0 = [F(rng.randint(-8, 8), 8) + F(1, 1000) for _ in range(3)]
    base = net.gradient(net.pattern(x0))
    spec = spec_of(x0, linf="3")
    asked = api.measure(net.graph(), spec, ["cosine", "overlap:1", "overlap:2"])
    for one in asked:
        assert isinstance(one, ThresholdExpression)
        k = None if one.text == "cosine" else int(one.text[-1])
        bounds = [F(b, 7) for b in (-5, 0, 3, 6)] if k is None else [F(m) for m in range(k + 1)]
        for bound, maximum in itertools.product(bounds, (False, True)):
            if k is not None and bound == (k if maximum else 0):
                continue  # by definition
            claim = one.at(bound, maximum)
            entry = {"require": [one.entry(bound, maximum)]}
            written = api.build(net.graph(), {**spec, **entry})
            for _ in range(12):
                x = [v + F(rng.randint(-300, 300), 100) for v in x0]
                a = net.gradient(net.pattern(x))
                value = cosine(a, base) if k is None else overlap(k, a, base)
                keeps = value is None or (value <= bound if maximum else value >= bound)
                for problem in (claim, written):
                    values = evaluate_exact(problem.graph, x, problem.targets())
                    assert holds(problem.require, values) == keeps


def hat() -> Tiny:
    """relu(x) - 3 relu(x - 1): its gradient is 0, 1, -2."""
    return Tiny(np.array([[1.0], [1.0]]), np.array([0.0, -1.0]), np.array([1.0, -3.0]),
                np.array([0.0]))


def test_a_zero_attribution_is_no_part_of_the_range() -> None:
    found = verifex.bound(hat().graph(), spec_of([F(1, 2)], linf="1"), "cosine", seconds=10)
    assert found.closed
    assert (found.low.attained, found.high.attained) == (-1, 1)
    assert any("undefined: the range is over all other points" in note for note in found.notes)
    found = verifex.bound(hat().graph(), spec_of([F(1, 2)], box=["-1", "3/4"]), "cosine",
                          seconds=10)
    assert found.low.attained == 1
    assert found.low.point is not None
    assert found.low.point[0] > 0


def test_a_cosine_that_is_nowhere_defined_attains_nothing() -> None:
    found = verifex.bound(hat().graph(), spec_of([F(1, 2)], box=["-2", "-1"]), "cosine", seconds=10)
    assert found.low.attained is found.high.attained is None
    assert not found.closed
    assert any("undefined" in note for note in found.notes)


def test_x0_outside_the_region_has_both_ends_proved(tmp_path: Path) -> None:
    found = verifex.bound(hat().graph(), spec_of([F(1, 2)], box=["3/2", "2"]), "cosine", seconds=10,
                          certificate=tmp_path / "ends")
    assert found.closed
    assert found.low.attained == found.high.attained == -1
    assert (found.low.proven, found.low.proven_by) == (-1, "definition")
    assert found.high.proven_by == "checker"
    assert found.high.proven is not None
    assert -1 < found.high.proven < F(-999999, 1000000)
    assert rechecked(found, tmp_path) == 1
    assert found.high.certificate is not None
    (claim,) = tomllib.loads(Path(str(found.high.certificate["spec"])).read_text())["require"]
    assert claim["not"]["similarity"] == "cosine"


def test_a_tie_counts_against() -> None:
    """2 x + y - relu(x): the gradient is (2, 1), and (1, 1) where x > 0."""
    net = Tiny(np.array([[1.0, 0.0]]), np.array([0.0]), np.array([-1.0]), np.array([2.0, 1.0]))
    one, two = verifex.bounds(net.graph(), spec_of([F(-1, 2), F(0)], linf="1"),
                              ["overlap:1", "overlap:2"], seconds=10)
    assert one.closed
    assert (one.low.attained, one.high.attained) == (0, 1)
    assert two.closed
    assert (two.low.proven, two.low.proven_by, two.high.attained) == (2, "definition", 2)


def test_an_irrational_cosine_is_rounded_inward_and_has_its_square() -> None:
    net = Tiny(np.array([[1.0, 0.0]]), np.array([0.0]), np.array([-1.0]), np.array([2.0, 1.0]))
    found = verifex.bound(net.graph(), spec_of([F(-1, 2), F(0)], linf="1"), "cosine", seconds=10)
    low = found.low
    assert low.attained_square == F(9, 10)
    assert low.attained is not None
    assert 0 < low.attained**2 - F(9, 10) < F(1, 10**18)
    assert low.proven is not None
    assert low.proven**2 < F(9, 10)
    assert found.high.attained_square is None
    again = verifex.RangeVerdict.from_json(found.to_json())
    assert again.low.attained_square == F(9, 10)


def test_assumptions_narrow_the_range() -> None:
    """Only where the first output keeps x below 1: the gradient is 1 or 0 there."""
    spec = spec_of([F(1, 2)], linf="1")
    spec["assume"] = [{"component": 0, "at_least": 0}]
    found = verifex.bound(hat().graph(), spec, "cosine", seconds=10)
    assert found.low.attained == 1
    assert found.low.proven is not None
    assert found.low.proven > F(99, 100)


def test_what_is_interrupted_says_what_is_known() -> None:
    stop = StopRequest()
    stop.set()
    asked = api.measure(hat().graph(), spec_of([F(1, 2)], linf="1"), ["cosine", "logit:0",
                                                                      "overlap:1"])
    found = api.ranges(asked, Settings(seconds=10), stop=stop)
    assert [one.expression for one in found] == [one.label for one in asked]
    assert (found[0].low.proven, found[0].low.attained) == (-1, None)
    assert "interrupted" in found[0].reason
    assert stop.so_far is not None
    assert len(stop.so_far()) == 3


@pytest.mark.parametrize(("expression", "says"), [
    ("overlap", "is no number of components, expected overlap:k with k from 1 to 1"),
    ("overlap:0", "from 1 to 1"), ("overlap:2", "from 1 to 1"), ("overlap:a", "from 1 to 1"),
    ("cosine:1", "'1' after cosine"),
])
def test_what_is_wrong_is_said(expression: str, says: str) -> None:
    with pytest.raises(InputError, match=says):
        verifex.bound(hat().graph(), spec_of([F(1, 2)], linf="1"), expression)


def test_a_zero_reference_has_no_cosine() -> None:
    with pytest.raises(InputError, match="the reference is zero"):
        verifex.bound(hat().graph(), spec_of([F(-1, 2)], linf="1"), "cosine")
