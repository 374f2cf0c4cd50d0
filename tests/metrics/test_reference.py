"""Selections, combinations, names, and the reference: ties, kinks, what is refused."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
import pytest

from tests.helpers.metric_nets import Net, points, truth
from verifex.errors import InputError, UnsupportedError
from verifex.ir.formula import Atom, Dominance
from verifex.ir.graph import Builder
from verifex.ir.linmap import dense
from verifex.problem.spec import builders as v
from verifex.problem.spec.build import build_problem

# --- selections and combinations ------------------------------------------------------------


def test_chosen_features_are_what_is_compared() -> None:
    """[explain] features restricts what is ranked and measured."""
    rng = np.random.default_rng(23)
    net, (x0, *others) = Net.random(rng), points(rng, 30)
    chosen = [0, 2, 3]
    weights = np.eye(3)[0]
    explain = v.explain(output="logit:0", features=chosen)
    base = net.gradient(x0, weights)[chosen]

    def problem(claim: Any) -> Any:
        return build_problem(
            net.graph(), v.Spec(input=v.point(x0), region=v.linf(1), explain=explain, require=claim)
        )

    far, first, share = (
        problem(c) for c in (v.distance("l1", at_most=2), v.top_k(1), v.mass([2], at_least=0.5))
    )
    for x in others:
        a = net.gradient(x, weights)[chosen]
        assert truth(far, x) == (np.abs(a - base).sum() <= 2)
        best = int(np.argmax(base))
        assert truth(first, x) == bool((np.delete(a, best) < a[best]).all())
        assert truth(share, x) == bool(a.any() and abs(a[1]) >= 0.5 * np.abs(a).sum())


def test_all_any_not() -> None:
    rng = np.random.default_rng(29)
    net, (x0, *others) = Net.random(rng), points(rng, 30)
    low, high = v.output("logit:0", at_least=0), v.output("logit:1", at_most=0)
    for claim, join in (
        (v.all_of(low, high), lambda p, q: p and q),
        (v.any_of(low, high), lambda p, q: p or q),
        (v.not_(v.any_of(low, v.not_(high))), lambda p, q: not (p or not q)),
    ):
        spec = v.Spec(input=v.point(x0), region=v.linf(1), require=claim)
        problem = build_problem(net.graph(), spec)
        for x in others:
            y = net.outputs(x)
            assert truth(problem, x) == join(y[0] >= 0, y[1] <= 0)


def test_several_claims_are_joined_and_assumptions_kept_apart() -> None:
    net = Net.random(np.random.default_rng(1))
    spec = v.Spec(
        input=v.point([0.5] * 5), region=v.linf(1), assume=v.output("logit:0", at_least=0),
        require=[v.output("logit:0", at_most=1), v.output("logit:1", at_most=1)],
    )
    problem = build_problem(net.graph(), spec)
    assert isinstance(problem.assume, Atom)
    assert len(problem.require.parts) == 2  # type: ignore[union-attr]


# --- the reference --------------------------------------------------------------------------


def test_a_tie_at_the_edge_is_an_error_or_cut_by_position() -> None:
    net = Net(np.array([[1.0, 1.0, 0.5]]), np.array([0.25]), np.array([[1.0], [0.0]]), np.zeros(2))
    x0 = [0.5, 0.5, 0.5]

    def problem(claim: Any) -> Any:
        return build_problem(
            net.graph(), v.Spec(input=v.point(x0), region=v.linf(1), explain=v.explain(),
                                require=claim)
        )

    with pytest.raises(InputError, match="tie"):
        problem(v.top_k(1))
    cut = problem(v.top_k(1, tie="index"))
    assert cut.require.winners == (0,)
    assert any("tie" in note for note in cut.notes)
    assert not truth(cut, np.array(x0))  # a tie never counts for the claim
    assert truth(problem(v.top_k(2)), np.array(x0))


def test_a_kink_matters_only_where_the_reference_depends_on_it() -> None:
    """relu(a) at a = 0: an error for logit 0, none for logit 1, which does not use it."""
    net = Net(
        np.array([[1.0, 0.0], [0.0, 1.0]]), np.zeros(2), np.array([[1.0, 1.0], [0.0, 1.0]]),
        np.zeros(2),
    )

    def problem(output: str, kink: str) -> Any:
        return build_problem(net.graph(), v.Spec(
            input=v.point([0, 0.5]), region=v.linf(1), explain=v.explain(output=output),
            require=v.distance("l1", at_most=0), kink=kink,
        ))

    with pytest.raises(InputError, match="kink"):
        problem("logit:0", "error")
    ruled = problem("logit:0", "zero")
    assert any("kink" in note for note in ruled.notes)
    assert truth(ruled, np.array([-0.5, 0.5]))  # the reference took the gate as shut
    assert not truth(ruled, np.array([0.5, 0.5]))
    assert truth(problem("logit:1", "error"), np.array([0.5, 0.5]))


def test_a_max_over_zeros_is_no_kink() -> None:
    """max(relu(a), relu(b)) at a, b < 0 compares 0 with 0, yet its gradient is 0 either way."""
    from verifex.ir.graph import Builder
    from verifex.ir.linmap import dense, gather

    b = Builder()
    x = b.input("x", (2,))
    h = b.relu(x)
    first, second = (b.affine(gather((2,), [k]), h) for k in (0, 1))
    largest = b.sum([second, b.relu(b.sum([first, second], [1, -1]))])
    graph = b.build({"y": b.affine(dense([[1.0], [-1.0]]), largest)})

    def problem(point: list[float]) -> Any:
        return build_problem(graph, v.Spec(
            input=v.point(point), region=v.linf(2), explain=v.explain(output="logit:0"),
            require=v.distance("l1", at_most=0),
        ))

    assert truth(problem([-0.5, -0.25]), np.array([-1.0, -1.0]))
    assert not truth(problem([-0.5, -0.25]), np.array([1.0, -1.0]))
    with pytest.raises(InputError, match="kink"):
        problem([0.5, 0.5])  # here the gradient is (1, 0) or (0, 1)


def test_without_an_explanation_there_is_nothing_to_rank() -> None:
    spec = v.Spec(input=v.point([0.5] * 5), region=v.linf(1), require=v.top_k(1))
    with pytest.raises(InputError, match="explain"):
        build_problem(Net.random(np.random.default_rng(0)).graph(), spec)


def test_names_are_looked_up_in_all_ways() -> None:
    from verifex.metrics.support.names import Names, blocks_of

    one = Names(blocks_of(["image"], [(1, 2, 3)]))
    assert one.indices("x[4]") == one.indices("image[1, 1]") == one.indices("x[0, 1, 1]") == [4]
    assert one.indices("x[[]*") == list(range(6))
    two = Names(blocks_of(["left", "right"], [(2,), (3,)]))
    assert two.indices("right") == [2, 3, 4]
    assert two.indices("right[0]") == [2]
    assert [two.name(i) for i in (0, 4)] == ["left[0]", "right[2]"]
    given = Names(blocks_of(["x"], [(3,)]), ("age", "job_a", "job_b"))
    assert given.select(["job_*", "age"]) == [0, 1, 2]
    assert given.select(["job_?"]) == [1, 2]
    with pytest.raises(InputError, match="'job_a'"):
        given.indices("job_aa")
    for a, b in combinations(given.given, 2):
        assert given.one(a) < given.one(b)


# --- smooth references ----------------------------------------------------------------------


def tanh_network(rng: np.random.Generator) -> tuple[Any, Any, Any]:
    """x (4,) -> tanh -> y (3,), as a graph, and its values and gradients by numpy."""
    first, second = rng.normal(size=(6, 4)), rng.normal(size=(3, 6))
    b = Builder()
    hidden = b.univariate("tanh", b.affine(dense(first), b.input("x", (4,))))
    graph = b.build({"y": b.affine(dense(second), hidden)})

    def outputs(x: Any) -> Any:
        return second @ np.tanh(first @ x)

    def gradient(x: Any, c: int) -> Any:
        return (second[c] * (1 - np.tanh(first @ x) ** 2)) @ first

    return graph, outputs, gradient


def test_a_smooth_reference_decides_what_is_compared() -> None:
    rng = np.random.default_rng(31)
    for _ in range(5):
        graph, outputs, gradient = tanh_network(rng)
        x0 = rng.normal(size=4).round(3)
        spec = {"input": v.point(x0.tolist()), "region": v.linf(1)}
        best = int(np.argmax(outputs(x0)))
        by_number = build_problem(graph, v.Spec(**spec, require=v.class_is(best)))
        assert build_problem(graph, v.Spec(**spec, require=v.class_unchanged())).require \
            == by_number.require
        a = gradient(x0, best)
        explain = v.explain(output="predicted")
        signs = [v.component(i, above=0) if a[i] > 0 else v.component(i, below=0) for i in range(4)]
        ranked = [int(i) for i in np.argsort(-a)]
        for unchanged, known in ((v.sign(), v.all_of(*signs)), (v.order(), v.order(*ranked))):
            found, wanted = (build_problem(graph, v.Spec(**spec, explain=explain, require=one))
                             for one in (unchanged, known))
            assert found.require == wanted.require
        top = build_problem(graph, v.Spec(**spec, explain=explain, require=v.top_k(2)))
        assert isinstance(top.require, Dominance)
        assert set(top.require.winners) == set(ranked[:2])
        with pytest.raises(UnsupportedError, match="no exact value"):
            build_problem(graph, v.Spec(**spec, explain=explain,
                                        require=v.distance("l1", at_most=1)))


def test_what_a_smooth_reference_does_not_tell_apart_is_refused() -> None:
    b = Builder()
    up = b.univariate("tanh", b.input("x", (2,)))
    graph = b.build({"y": up})
    spec = {"input": v.point([0.3, 0.3]), "region": v.linf(1)}
    for claim in (v.class_unchanged(), v.class_unchanged(tie="index")):
        with pytest.raises(InputError, match="outputs 0 and 1 are not told apart"):
            build_problem(graph, v.Spec(**spec, require=claim))
    explained = v.explain(output="margin:0,1")
    flat = v.Spec(**spec, explain=explained, require=v.top_k(1))
    assert build_problem(graph, flat).require  # 1 - t^2 against -(1 - t^2)
    b = Builder()
    same = b.univariate("tanh", b.affine(dense(np.array([[1.0, 1.0]])), b.input("x", (2,))))
    tied = v.Spec(**spec, explain=v.explain(output="logit:0"), require=v.top_k(1))
    with pytest.raises(InputError, match=r"x\[0\] and x\[1\] are not told apart"):
        build_problem(b.build({"y": same}), tied)
