"""Whole numbers and one-hot groups in boxes, against all assignments."""

from __future__ import annotations

import itertools
import random
from fractions import Fraction

import numpy as np
import pytest

from verifex.engine.falsify.witness import snap
from verifex.ir.region import Region
from verifex.semantics.support.whole import LARGEST, WholeFeatures, propagate

F = Fraction


def points_of(
    groups: list[list[int]], lo: np.ndarray, hi: np.ndarray
) -> list[tuple[int, ...]]:
    """The 0/1 points of a box with exactly one 1 in every group."""
    return [
        x for x in itertools.product((0, 1), repeat=len(lo))
        if all(a <= v <= b for v, a, b in zip(x, lo, hi, strict=True))
        and all(sum(x[i] for i in group) == 1 for group in groups)
    ]


def some_boxes(seed: int, *, shared: bool) -> tuple[list[list[int]], np.ndarray, np.ndarray]:
    """Groups (which may share features) of up to seven features, and 24 boxes of 0 and 1."""
    rng = random.Random(seed)
    n = rng.randint(2, 7)
    if shared:
        groups = [rng.sample(range(n), rng.randint(2, n)) for _ in range(rng.randint(1, 3))]
    else:
        order = rng.sample(range(n), n)
        cut = rng.randint(2, n)
        groups = [part for part in (order[:cut], order[cut:]) if len(part) > 1]
    lo = np.array([[float(rng.random() < 0.15) for _ in range(n)] for _ in range(24)])
    hi = np.array([[max(a, float(rng.random() < 0.6)) for a in row] for row in lo])
    return groups, lo, hi


@pytest.mark.parametrize("shared", [False, True], ids=["disjoint", "shared"])
@pytest.mark.parametrize("seed", range(40))
def test_propagation_keeps_all_points(seed: int, shared: bool) -> None:
    """And of groups that share nothing it leaves the smallest box around them."""
    groups, lo, hi = some_boxes(seed, shared=shared)
    low, high = lo.copy(), hi.copy()
    empty = propagate([np.array(g) for g in groups], low, high)
    for k in range(len(lo)):
        before = points_of(groups, lo[k], hi[k])
        assert (lo[k] <= low[k]).all()
        assert (high[k] <= hi[k]).all()
        if empty[k]:
            assert not before
            continue
        assert points_of(groups, low[k], high[k]) == before
        if not shared:
            assert before
            assert low[k].tolist() == [min(v) for v in zip(*before, strict=True)]
            assert high[k].tolist() == [max(v) for v in zip(*before, strict=True)]


@pytest.mark.parametrize("seed", range(20))
def test_boxes_of_a_batch_are_propagated_one_by_one(seed: int) -> None:
    groups, lo, hi = some_boxes(seed, shared=True)
    named = [np.array(g) for g in groups]
    low, high = lo.copy(), hi.copy()
    empty = propagate(named, low, high)
    for k in range(len(lo)):
        one_low, one_high = lo[k : k + 1].copy(), hi[k : k + 1].copy()
        alone = propagate(named, one_low, one_high)
        assert alone[0] == empty[k]
        if not alone[0]:
            assert (one_low[0] == low[k]).all()
            assert (one_high[0] == high[k]).all()
    again_low, again_high = low[~empty].copy(), high[~empty].copy()
    assert not propagate(named, again_low, again_high).any()
    assert (again_low == low[~empty]).all()
    assert (again_high == high[~empty]).all()


def test_the_box_is_cut_to_whole_numbers() -> None:
    region = Region(
        (F(-3, 2), F(-1), F(-1), F(1, 3)), (F(5, 2), F(2), F(1, 2), F(2, 3)),
        integers=frozenset({0}), one_hot=((1, 2),))
    found = WholeFeatures.of(region)
    assert found is not None
    assert not found.empty
    assert found.lo.tolist()[:3] == [-1, 1, 0]
    assert found.hi.tolist()[:3] == [2, 1, 0]
    assert found.splits.tolist() == [True, True, True, False]
    assert found.open_in(found.lo, found.hi).tolist() == [True, False, False, False]


def test_a_region_without_whole_features_has_none() -> None:
    assert WholeFeatures.of(Region((F(0),), (F(1),))) is None


@pytest.mark.parametrize("region", [
    Region((F(1, 3),), (F(2, 3),), integers=frozenset({0})),
    Region((F(0), F(0)), (F(0), F(0)), one_hot=((0, 1),)),
    Region((F(1), F(1)), (F(1), F(1)), one_hot=((0, 1),)),
    Region((F(2), F(0)), (F(3), F(1)), one_hot=((0, 1),)),
])
def test_a_region_without_whole_points_is_empty(region: Region) -> None:
    found = WholeFeatures.of(region)
    assert found is not None
    assert found.empty


def test_numbers_beyond_what_floats_tell_apart_are_not_split() -> None:
    far = F(2 * LARGEST)
    region = Region((far, F(0)), (far + 1, F(1)), integers=frozenset({0, 1}))
    found = WholeFeatures.of(region)
    assert found is not None
    assert found.splits.tolist() == [False, True]
    assert not found.fixed_in(found.lo, found.hi)


def test_the_middle_leaves_numbers_on_both_sides() -> None:
    found = WholeFeatures.of(Region((F(0),), (F(1),), integers=frozenset({0})))
    assert found is not None
    for low, high in itertools.combinations(range(-5, 6), 2):
        at = float(found.middle(np.array([float(low)]), np.array([float(high)]))[0])
        assert low <= at < at + 1 <= high
        assert at == int(at)


@pytest.mark.parametrize("seed", range(10))
def test_points_are_rounded_as_exact_ones_are(seed: int) -> None:
    rng = np.random.default_rng(seed)
    lo = (F(-2), F(0), F(0), F(0), F(-1))
    hi = (F(3), F(1), F(seed % 2), F(1), F(1))
    region = Region(lo, hi, integers=frozenset({0}), one_hot=((1, 2, 3),))
    found = WholeFeatures.of(region)
    assert found is not None
    points = np.clip(rng.normal(size=(50, 5)) * 2, [-2, 0, 0, 0, -1], [3, 1, 1, 1, 1])
    for point, whole in zip(points, found.snapped(points), strict=True):
        assert whole.tolist() == [float(v) for v in snap(region, point.tolist())]


def test_the_member_with_the_least_coefficient_is_chosen() -> None:
    found = WholeFeatures.of(Region((F(0),) * 3, (F(1),) * 3, one_hot=((0, 1, 2),)))
    assert found is not None
    coefs = np.array([[0.0, -1.0, 2.0], [0.0, -1.0, 2.0]])
    hi = np.array([[1.0, 1.0, 1.0], [1.0, 0.0, 1.0]])
    chosen = found.with_choices(np.zeros((2, 3)), coefs, hi)
    assert chosen.tolist() == [[0, 1, 0], [1, 0, 0]]
