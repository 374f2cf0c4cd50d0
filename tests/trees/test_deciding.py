"""Claims about small forests, against every combination of thresholds and gaps between them."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from onnx import helper, numpy_helper

from tests.trees.forests import MODES, Model, random_model, regressor, save
from verifex import api
from verifex.engine.solve.pool import SolverPool
from verifex.engine.verdict import Outcome, Verdict


class Question(NamedTuple):
    """A box, which of its features are whole numbers, and one-hot groups."""

    low: list[Fraction]
    high: list[Fraction]
    whole: list[int]
    groups: list[list[int]]


def representatives(model: Model, asked: Question) -> Iterator[list[Fraction]]:
    """A point of every cell between thresholds, and on them, in the region."""
    sides = []
    for i, known in enumerate(model.thresholds()):
        low, high = asked.low[i], asked.high[i]
        if i in asked.whole:
            first, last = -(-low // 1), high // 1
            sides.append([Fraction(k) for k in range(int(first), int(last) + 1)])
            continue
        ends = sorted({low, high, *(t for t in known if low <= t <= high)})
        middles = [(a + b) / 2 for a, b in itertools.pairwise(ends)]
        sides.append([*ends, *middles])
    for point in itertools.product(*sides):
        ones = ([point[i] for i in group] for group in asked.groups)
        if all(sorted(group) == [0] * (len(group) - 1) + [1] for group in ones):
            yield list(point)


def least(model: Model, asked: Question) -> Fraction:
    """The least value of output 0 minus output 1 on the region."""
    return min(v[0] - v[1] for v in map(model.value, representatives(model, asked)))


def spec_text(asked: Question, bound: Fraction, strict: bool, more: str = "") -> str:
    lists = (", ".join(f'"{v}"' for v in side) for side in (asked.low, asked.high))
    low, high = lists
    whole = f"integer = {asked.whole}\n" if asked.whole else ""
    groups = f"one_hot = {asked.groups}\n" if asked.groups else ""
    return (
        f'verifex = 1\nnetwork = "t.onnx"\n[region]\nbox = {{ lo = [{low}], hi = [{high}] }}\n'
        f'{whole}{groups}{more}[[require]]\noutput = "margin:0,1"\n'
        f'{"above" if strict else "at_least"} = "{bound}"\n')


@pytest.fixture(scope="module")
def pool() -> Iterator[SolverPool]:
    with SolverPool() as opened:
        yield opened


def decide(
    folder: Path, model: Model, asked: Question, bound: Fraction, strict: bool, pool: SolverPool,
    **more: Any,
) -> Verdict:
    save(folder / "t.onnx", regressor(model, 1), model.features, 2, 1)
    (folder / "s.toml").write_text(spec_text(asked, bound, strict))
    return api.verify(None, folder / "s.toml", seconds=30.0, pool=pool,
                      certificate=folder / "c.vxc", **more)


KINDS = {
    "real": ([], []), "whole": ([0, 1], []), "one hot": ([0, 1, 2], [[0, 1, 2]]),
    "mixed": ([2], []),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(8))
def test_verdicts_are_those_of_all_cells(
    kind: str, seed: int, tmp_path: Path, pool: SolverPool
) -> None:
    """Bounds just below, at and just above the least value: proved with a certificate, or refuted
    with a witness that the checker accepts, never unknown. Thresholds lie on ends of the region and
    at whole numbers."""
    rng = random.Random(f"{kind} {seed}")
    whole, groups = KINDS[kind]
    values = (0.5, 0.25, 1, 0) if groups else (-1, -0.5, 0, 0.5, 1, 1.5)
    model = random_model(rng, trees=rng.randint(1, 5), features=3, outputs=2, values=values,
                         modes=tuple(MODES) if seed % 2 else ("BRANCH_LEQ",))
    model = model._replace(base=[0.0, 0.0])
    low = [Fraction(0)] * 3 if groups else [Fraction(rng.randint(-4, 0), 2) for _ in range(3)]
    high = [Fraction(1)] * 3 if groups else [a + Fraction(rng.randint(2, 6), 2) for a in low]
    asked = Question(low, high, whole, groups)
    worst = least(model, asked)
    for bound, strict in ((worst - Fraction(1, 1000), True), (worst, False), (worst, True),
                          (worst + Fraction(1, 1000), False)):
        found = decide(tmp_path, model, asked, bound, strict, pool)
        holds = worst > bound if strict else worst >= bound
        assert found.outcome is (Outcome.PROVED if holds else Outcome.REFUTED), (
            bound, strict, found.reasons)
        if found.witness is not None:
            values_ = model.value(list(found.witness.point))
            margin = values_[0] - values_[1]
            assert not (margin > bound if strict else margin >= bound)


def test_a_witness_may_lie_on_a_threshold(tmp_path: Path, pool: SolverPool) -> None:
    """x = t is the only point where the claim fails: trees have no kinks."""
    tree = ("BRANCH_EQ", 0, 0.5, [0.0, 1.0], [1.0, 0.0])
    asked = Question([Fraction(0)], [Fraction(1)], [], [])
    found = decide(tmp_path, Model([tree], 1, 2, [0.0, 0.0]), asked, Fraction(0), True, pool)
    assert found.outcome is Outcome.REFUTED
    assert found.witness is not None
    assert found.witness.point == (Fraction(1, 2),)


def test_the_end_of_the_region_on_a_threshold_is_not_beyond_it(
    tmp_path: Path, pool: SolverPool
) -> None:
    tree = ("BRANCH_LEQ", 0, 0.5, [1.0, 0.0], [0.0, 1.0])
    model = Model([tree], 1, 2, [0.0, 0.0])
    asked = Question([Fraction(0)], [Fraction(1, 2)], [], [])
    assert decide(tmp_path, model, asked, Fraction(0), True, pool).outcome is Outcome.PROVED
    wider = asked._replace(high=[Fraction(1, 2) + Fraction(1, 10**12)])
    assert decide(tmp_path, model, wider, Fraction(0), True, pool).outcome is Outcome.REFUTED


@pytest.mark.parametrize("leaves", [[1.0, 0.0], [0.0, 1.0]])
def test_trees_that_compare_nothing_behind_a_scaling(
    leaves: list[float], tmp_path: Path, pool: SolverPool
) -> None:
    before = [helper.make_node("Constant", [], ["s"], value=numpy_helper.from_array(
        np.array([1.0], dtype=np.float32), "s")), helper.make_node("Add", ["in", "s"], ["x"])]
    model = Model([leaves], 1, 2, [0.0, 0.0])
    save(tmp_path / "t.onnx", regressor(model, 1), 1, 2, 1, before, start="in")
    (tmp_path / "s.toml").write_text(
        spec_text(Question([Fraction(0)], [Fraction(1)], [], []), Fraction(0), True))
    found = api.verify(None, tmp_path / "s.toml", pool=pool, certificate=tmp_path / "c.vxc")
    assert found.outcome is (Outcome.PROVED if leaves[0] else Outcome.REFUTED)


def test_a_region_between_thresholds_with_a_row(tmp_path: Path, pool: SolverPool) -> None:
    """Nothing is left to split, and the box alone does not close the claim."""
    tree = ("BRANCH_LEQ", 0, 5.0, [0.0, 1.0], [1.0, 0.0])
    model, asked = Model([tree], 1, 2, [0.0, 0.0]), Question([Fraction(0)], [Fraction(1)], [], [])
    save(tmp_path / "t.onnx", regressor(model, 1), 1, 2, 1)
    (tmp_path / "s.toml").write_text(
        spec_text(asked, Fraction(0), True, 'linear = ["x[0] <= 0.5"]\n'))
    found = api.verify(None, tmp_path / "s.toml", pool=pool, certificate=tmp_path / "c.vxc")
    assert found.outcome is Outcome.REFUTED


@pytest.mark.parametrize("seed", range(4))
def test_what_is_scaled_before_trees_is_cut_exactly(
    seed: int, tmp_path: Path, pool: SolverPool
) -> None:
    """Factors of both signs and no float for a quotient: thresholds are no floats of the input."""
    rng = random.Random(seed)
    model = random_model(rng, trees=3, features=2, outputs=2, modes=tuple(MODES))
    model = model._replace(base=[0.0, 0.0])
    factor, shift = [3.0, -7.0], [0.25, 0.5]
    stored = {"f": factor, "s": shift}
    before = [helper.make_node("Constant", [], [k], value=numpy_helper.from_array(
        np.array([v], dtype=np.float32), k)) for k, v in stored.items()]
    before += [helper.make_node("Mul", ["in", "f"], ["m"]),
               helper.make_node("Add", ["m", "s"], ["x"])]
    save(tmp_path / "t.onnx", regressor(model, 1), 2, 2, 1, before, start="in")
    # The same question about what the trees see.
    low, high = [Fraction(-1, 3), Fraction(-1, 7)], [Fraction(1, 3), Fraction(1, 4)]
    ends = [sorted((a * Fraction(f) + Fraction(s), b * Fraction(f) + Fraction(s)))
            for a, b, f, s in zip(low, high, factor, shift, strict=True)]
    seen = Question([e[0] for e in ends], [e[1] for e in ends], [], [])
    worst, asked = least(model, seen), Question(low, high, [], [])
    for strict in (True, False):
        (tmp_path / "s.toml").write_text(spec_text(asked, worst, strict))
        found = api.verify(None, tmp_path / "s.toml", seconds=30.0, pool=pool,
                           certificate=tmp_path / "c.vxc")
        assert found.outcome is (Outcome.REFUTED if strict else Outcome.PROVED), found.reasons


@pytest.mark.parametrize("seed", range(4))
def test_verdicts_are_those_of_z3(seed: int, tmp_path: Path, pool: SolverPool) -> None:
    """More features and trees than can be enumerated, as nested conditions in exact arithmetic."""
    import z3

    rng = random.Random(seed)
    values = [k / 8 for k in range(-8, 9)]
    model = random_model(rng, trees=12, features=6, outputs=2, values=values, depth=4)
    model = model._replace(base=[0.0, 0.0])
    low = [Fraction(rng.randint(-8, 0), 8) for _ in range(6)]
    asked = Question(low, [a + Fraction(3, 4) for a in low], [], [])
    x = [z3.Real(f"x{i}") for i in range(6)]

    def margin(tree: Any) -> Any:
        if not isinstance(tree, tuple):
            return z3.RealVal(str(Fraction(tree[0] or 0) - Fraction(tree[1] or 0)))
        mode, feature, value, yes, no = tree
        return z3.If(MODES[mode](x[feature], z3.RealVal(str(Fraction(value)))), margin(yes),
                     margin(no))

    total = z3.Sum([margin(tree) for tree in model.trees])
    for bound in (Fraction(-3), Fraction(-2), Fraction(-1), Fraction(0)):
        solver = z3.Solver()
        solver.add(*(z3.And(v >= str(a), v <= str(b))
                     for v, a, b in zip(x, asked.low, asked.high, strict=True)))
        solver.add(total < z3.RealVal(str(bound)))
        wanted = Outcome.PROVED if solver.check() == z3.unsat else Outcome.REFUTED
        assert decide(tmp_path, model, asked, bound, False, pool).outcome is wanted
