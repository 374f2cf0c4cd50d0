"""A model with its variables and rows in another order: the same question, put differently.

A floating-point solver that is asked again with another seed only may walk the same way into the
same fault: HiGHS 1.15 calls a feasible model infeasible under each of eight seeds, and solves it
once its columns are in another order (tests/regressions/test_wrong_optima.py).
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from verifex.ir.model.logical import Implies, Model, Product, Row

if TYPE_CHECKING:
    from verifex.ir.exact import Number


def shuffled(model: Model, seed: int) -> tuple[Model, list[int]]:
    """The model in an order drawn by `seed`, and where each variable was before."""
    draw = random.Random(seed)
    order = list(range(len(model.variables)))
    draw.shuffle(order)
    place = {old: new for new, old in enumerate(order)}

    def moved(row: Row) -> Row:
        coefs = sorted((place[v], c) for v, c in row.coefs)
        return replace(row, coefs=tuple(coefs))

    rows = [moved(row) for row in model.rows]
    draw.shuffle(rows)
    rules = [Implies(place[r.var], r.value, moved(r.row), r.slack) for r in model.implications]
    draw.shuffle(rules)
    objective = model.objective
    return Model(
        [model.variables[old] for old in order],
        rows,
        rules,
        [Product(place[p.out], place[p.left], place[p.right]) for p in model.products],
        None if objective is None else {place[v]: c for v, c in objective.items()},
        model.objective_const,
        model.maximise,
    ), order


def put_back(point: Mapping[int, Number] | None, order: list[int]) -> dict[int, Number] | None:
    """A point of the shuffled model as one of the model it came from."""
    return None if point is None else {order[new]: value for new, value in point.items()}
