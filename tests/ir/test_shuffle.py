"""A model in another order is the same model, and its points are put back."""

from __future__ import annotations

import random
from fractions import Fraction as F

from hypothesis import given
from hypothesis import strategies as st

from verifex.ir.model.logical import Model, Product, Row
from verifex.ir.model.shuffle import put_back, shuffled


def some_model(seed: int) -> Model:
    draw = random.Random(seed)
    model = Model()
    for i in range(6):
        model.new(f"v{i}", -i, i + 1, i == 5)
    for _ in range(4):
        model.add({v: draw.randint(-3, 3) for v in range(6)}, draw.choice(["<=", ">=", "=="]), 1)
    model.imply(5, 1, Row(((0, 1), (3, -2)), "<=", F(1, 3), strict=True), 7)
    model.products.append(Product(1, 2, 3))
    model.objective, model.objective_const, model.maximise = {0: 2, 4: F(1, 7)}, 5, True
    return model


def said(model: Model, names: list[str]) -> set[str]:
    """Everything that a model says, in words that do not depend on its order."""
    def row(r: Row) -> str:
        terms = sorted((names[v], str(c)) for v, c in r.coefs)
        return f"{terms} {r.sense} {r.rhs} {r.strict}"

    out = {f"{v.name} in {v.lo}..{v.hi} {v.integer}" for v in model.variables}
    out |= {row(r) for r in model.rows}
    out |= {f"{names[r.var]}=={r.value} -> {row(r.row)} {r.slack}" for r in model.implications}
    out |= {f"{names[p.out]}={names[p.left]}*{names[p.right]}" for p in model.products}
    cost = sorted((names[v], str(c)) for v, c in (model.objective or {}).items())
    return out | {f"{cost} {model.objective_const} {model.maximise}"}


@given(st.integers(0, 50), st.integers(1, 10**12))
def test_the_same_is_said_in_another_order(seed: int, order_seed: int) -> None:
    model = some_model(seed)
    other, order = shuffled(model, order_seed)
    assert said(other, [v.name for v in other.variables]) == said(
        model, [v.name for v in model.variables])
    point = {new: F(new) for new in range(6)}
    back = put_back(point, order)
    assert back is not None
    for new, value in point.items():
        (old,) = (i for i, v in enumerate(model.variables) if v.name == other.variables[new].name)
        assert back[old] == value


def test_orders_differ_between_seeds_and_not_within_one() -> None:
    model = some_model(0)
    orders = [tuple(shuffled(model, seed)[1]) for seed in (1, 1, 2, 3)]
    assert orders[0] == orders[1]
    assert len(set(orders)) == 3


def test_no_point_and_no_objective_stay_none() -> None:
    model = some_model(1)
    model.objective = None
    assert shuffled(model, 4)[0].objective is None
    assert put_back(None, [0]) is None
