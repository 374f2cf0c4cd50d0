"""Every family of properties against its numpy formula, and the laws that tie them together."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from tests.helpers.metric_nets import Net, Vector, agree, points, truth
from verifex.errors import InputError
from verifex.ir.formula import TRUE, Dominance
from verifex.metrics import registry
from verifex.problem.spec import builders as v
from verifex.problem.spec.build import build_problem

Oracle = Any
BOTH = 10  # each answer must come up at least so often


def tie(error: Exception) -> bool:
    """A random reference may tie; that is tested by itself."""
    return isinstance(error, InputError) and "tie" in str(error)


def check(make: Any, oracle: Oracle, **options: Any) -> None:
    yes, no = agree(make, oracle, allow=tie, **options)
    assert min(yes, no) >= BOTH, (yes, no)


def test_every_family_is_tested_here() -> None:
    assert set(registry()) == {
        "class", "output", "component", "sign", "distance", "similarity", "top_k", "order", "mass",
        "monotone", "expression",
    }


# --- outputs --------------------------------------------------------------------------------


def test_class_unchanged() -> None:
    def oracle(p: Any, net: Net, x: Vector, x0: Vector, a: Vector, b: Vector) -> bool:
        y = net.outputs(x)
        c = int(np.argmax(net.outputs(x0)))
        return bool((np.delete(y, c) < y[c]).all())

    check(lambda rng: v.class_unchanged(), oracle)


def test_class_is() -> None:
    def oracle(p: Any, net: Net, x: Vector, *rest: Vector) -> bool:
        y = net.outputs(x)
        return bool((np.delete(y, 1) < y[1]).all())

    check(lambda rng: v.class_is(1), oracle)


@pytest.mark.parametrize(
    ("functional", "weights"),
    [
        ("logit:2", [0, 0, 1]), ("margin:2,0", [-1, 0, 1]), ("sum", [1, 1, 1]),
        ({"weights": [0.5, "1/4", -1]}, [0.5, 0.25, -1]),
    ],
)
@pytest.mark.parametrize("key", ["at_least", "at_most", "above", "below"])
def test_output(functional: Any, weights: list[float], key: str) -> None:
    def oracle(p: Any, net: Net, x: Vector, *rest: Vector) -> bool:
        return compare(float(np.dot(weights, net.outputs(x))), key, 0.25)

    check(lambda rng: v.output(functional, **{key: 0.25}), oracle, rounds=12)


def compare(value: float, key: str, bound: float) -> bool:
    return {
        "at_least": value >= bound, "at_most": value <= bound, "above": value > bound,
        "below": value < bound,
    }[key]


def test_named_outputs_are_resolved_at_the_reference() -> None:
    def oracle(p: Any, net: Net, x: Vector, x0: Vector, *rest: Vector) -> bool:
        order = np.argsort(-net.outputs(x0))
        y = net.outputs(x)
        return bool(y[order[0]] - y[order[1]] >= 0.5)

    check(lambda rng: v.output("margin:predicted,runner_up", at_least=0.5), oracle)


@pytest.mark.parametrize("key", ["at_least", "at_most", "above", "below"])
def test_bounds_at_equality(key: str) -> None:
    rng = np.random.default_rng(3)
    net, (x0,) = Net.random(rng), points(rng, 1)
    value = Fraction(net.outputs(x0)[0])
    claim = v.output("logit:0", **{key: value})
    problem = build_problem(net.graph(), v.Spec(input=v.point(x0), region=v.linf(1), require=claim))
    assert truth(problem, x0) == (key in ("at_least", "at_most"))


@pytest.mark.parametrize("direction", ["increasing", "decreasing"])
def test_monotone(direction: str) -> None:
    sense = 1 if direction == "increasing" else -1

    def oracle(p: Any, net: Net, x: Vector, *rest: Vector) -> bool:
        return bool((sense * net.gradient(x, np.array([1.0, -1, 0]))[[0, 3]] >= 0).all())

    check(lambda rng: v.monotone(direction, [0, 3], output="margin:0,1"), oracle)


# --- attributions ---------------------------------------------------------------------------


@pytest.mark.parametrize("reduce", ["signed", "abs"])
@pytest.mark.parametrize("key", ["at_least", "at_most", "above", "below"])
def test_component(key: str, reduce: str) -> None:
    def oracle(p: Any, net: Net, x: Vector, x0: Vector, a: Vector, b: Vector) -> bool:
        return all(compare(value, key, 0.5) for value in a[[1, 4]])

    check(lambda rng: v.component([1, "x[4]"], **{key: 0.5}), oracle, reduce=reduce, rounds=30)


@pytest.mark.parametrize("relative", [False, True])
@pytest.mark.parametrize("norm", ["l1", "l2", "linf"])
@pytest.mark.parametrize("key", ["at_most", "below", "at_least", "above"])
def test_distance(norm: str, key: str, relative: bool) -> None:
    order = {"l1": 1, "l2": 2, "linf": np.inf}[norm]

    def size(d: Vector) -> float:
        # Exact: the square of the L2 norm of dyadic numbers is one.
        return float(d @ d) if norm == "l2" else float(np.linalg.norm(d, order))

    def oracle(p: Any, net: Net, x: Vector, x0: Vector, a: Vector, b: Vector) -> bool:
        bound = 0.5**2 if norm == "l2" else 0.5
        return compare(size(a - b), key, bound * size(b) if relative else 4 * bound)

    bound = 0.5 if relative else (1 if norm == "l2" else 2)
    check(lambda rng: v.distance(norm, relative=relative, **{key: bound}), oracle, rounds=20)


@pytest.mark.parametrize("norm", ["l1", "l2", "linf"])
def test_distance_zero_is_the_reference(norm: str) -> None:
    """A(x0) has distance 0 from itself, in every norm, exactly."""
    rng = np.random.default_rng(5)
    net, (x0,) = Net.random(rng), points(rng, 1)
    for key, expected in (("at_most", True), ("below", False), ("above", False)):
        spec = v.Spec(
            input=v.point(x0), region=v.linf(1), explain=v.explain(),
            require=v.distance(norm, **{key: 0}),
        )
        assert truth(build_problem(net.graph(), spec), x0) == expected


@pytest.mark.parametrize("c", [0.9, 0.5, 0, -0.5, -0.9])
def test_cosine(c: float) -> None:
    def oracle(p: Any, net: Net, x: Vector, x0: Vector, a: Vector, b: Vector) -> bool:
        if not a.any():
            return False  # it has no direction
        cosine = float(a @ b) / float(np.linalg.norm(a) * np.linalg.norm(b))
        assert cosine == 0 or abs(cosine - c) > 1e-9
        return cosine >= c

    def zero(error: Exception) -> bool:
        return tie(error) or "zero" in str(error)

    yes, no = agree(lambda rng: v.cosine(c), oracle, allow=zero, rounds=60)
    assert min(yes, no) >= (BOTH if c >= 0 else 1), (yes, no)


@pytest.mark.parametrize("reduce", ["signed", "abs"])
@pytest.mark.parametrize(("k", "m"), [(1, 1), (2, 1), (2, 2), (3, 2), (3, 3), (4, 4)])
def test_top_k(k: int, m: int, reduce: str) -> None:
    def oracle(p: Any, net: Net, x: Vector, x0: Vector, a: Vector, b: Vector) -> bool:
        # Ties count against: outside elements come first among equals.
        inside = set(np.argsort(-b, kind="stable")[:k].tolist())
        order = sorted(range(len(a)), key=lambda i: (-a[i], i in inside))
        return len(inside & set(order[:k])) >= m

    yes, no = agree(
        lambda rng: v.top_k(k, m), oracle, reduce=reduce, allow=tie, rounds=25
    )
    assert yes >= BOTH
    assert no >= 1 or 2 * k - m >= 5


def test_top_k_dominance_is_the_count() -> None:
    """The proof in the docstring, by brute force over all small orders with ties."""
    from verifex.ir.formula import holds
    from verifex.ir.graph import Builder
    from verifex.metrics.support.names import Names, blocks_of
    from verifex.metrics.support.reference import Reference
    from verifex.metrics.support.setting import Explanation, Setting
    from verifex.metrics.topk import TopK, build
    from verifex.semantics.evaluate import evaluate_exact

    b = Builder()
    x = b.input("x", (5,))
    graph = b.build({"y": x})
    names = Names(blocks_of(["x"], [(5,)]))
    base = [Fraction(v) for v in (5, 4, 3, 2, 1)]
    setting = Setting(
        b, graph.inputs, names, x, v.explain().output, Reference(b, graph, base),
        Explanation(x, names, tuple(range(5))),
    )
    values = [np.array(t) for t in np.ndindex(3, 3, 3, 3, 3)]
    for k, m in [(1, 1), (2, 1), (2, 2), (3, 1), (3, 2), (3, 3), (4, 3), (4, 4), (5, 5)]:
        formula = build(TopK(top_k=k, overlap_at_least=m), setting)
        for a in values:
            order = sorted(range(5), key=lambda i: (-a[i], i < k))
            overlap = len(set(order[:k]) & set(range(k)))
            point = [Fraction(int(t)) for t in a]
            assert holds(formula, evaluate_exact(graph, point, [x])) == (overlap >= m), (k, m, a)


def test_full_overlap_is_every_pair() -> None:
    """Overlap k of k: every winner beats every loser; one block, not a list of pairs."""
    rng = np.random.default_rng(11)
    net, (x0, *others) = Net.random(rng), points(rng, 12)
    spec = v.Spec(input=v.point(x0), region=v.linf(1), explain=v.explain(), require=v.top_k(2))
    problem = build_problem(net.graph(), spec)
    assert isinstance(problem.require, Dominance)
    weights = np.eye(3)[int(np.argmax(net.outputs(x0)))]
    for x in others:
        a = net.gradient(x, weights)
        w, rest = problem.require.winners, problem.require.losers
        assert truth(problem, x) == all(a[i] > a[j] for i in w for j in rest)


def test_all_components_are_always_the_top() -> None:
    spec = v.Spec(
        input=v.point([0.5] * 5), region=v.linf(1), explain=v.explain(), require=v.top_k(5)
    )
    assert build_problem(Net.random(np.random.default_rng(0)).graph(), spec).require == TRUE


def test_order() -> None:
    def oracle(p: Any, net: Net, x: Vector, x0: Vector, a: Vector, b: Vector) -> bool:
        return bool(a[3] > a[0] > a[1])

    check(lambda rng: v.order(3, 0, 1), oracle, rounds=80)


def test_order_unchanged() -> None:
    def oracle(p: Any, net: Net, x: Vector, x0: Vector, a: Vector, b: Vector) -> bool:
        ranked = np.argsort(-b)
        return bool((np.diff(a[ranked]) < 0).all())

    check(lambda rng: v.order(), oracle)


@pytest.mark.parametrize("threshold", [0, 1])
@pytest.mark.parametrize("at_least", [None, 3])
@pytest.mark.parametrize("zero", ["ignore", "keep"])
def test_sign(threshold: float, at_least: int | None, zero: str) -> None:
    def oracle(p: Any, net: Net, x: Vector, x0: Vector, a: Vector, b: Vector) -> bool:
        used = (np.abs(b) >= threshold) & ((b != 0) | (zero == "keep"))
        same = np.sign(a[used]) == np.sign(b[used])
        return bool(same.all() if at_least is None else same.sum() >= at_least)

    def short(error: Exception) -> bool:
        return tie(error) or "components" in str(error) or "no component" in str(error)

    make = lambda rng: v.sign(threshold=threshold, zero=zero, at_least=at_least)  # noqa: E731
    yes, no = agree(make, oracle, allow=short)
    assert min(yes, no) >= BOTH, (yes, no)


@pytest.mark.parametrize("key", ["at_least", "at_most", "above", "below"])
@pytest.mark.parametrize("reduce", ["signed", "abs"])
def test_mass(key: str, reduce: str) -> None:
    def oracle(p: Any, net: Net, x: Vector, x0: Vector, a: Vector, b: Vector) -> bool:
        inside, whole = np.abs(a[[0, 2]]).sum(), np.abs(a).sum()
        return bool(whole > 0 and compare(inside - 0.375 * whole, key, 0))

    check(lambda rng: v.mass([0, 2], **{key: 0.375}), oracle, reduce=reduce, rounds=30)
