"""Parameters of relaxations have a type: nothing names one by a string."""

from __future__ import annotations

import ast
from collections.abc import Iterator

import numpy as np
import pytest

from tests.helpers.layering import shipped
from verifex.engine.bounds.facts import pack
from verifex.semantics.parameters import REGION_ROWS, Parameter, ParameterKind

NAMES = {kind.value for kind in ParameterKind}
HOUSE = ("verifex.engine.", "verifex.semantics.", "verifex.certificate.")


def string_keys(tree: ast.Module) -> Iterator[int]:
    """Lines in which a tuple that begins with a string is a key, or a kind's name is compared."""
    for node in ast.walk(tree):
        keys: list[ast.expr] = []
        if isinstance(node, ast.Subscript):
            # `Literal["a", "b"]` lists words, and is no look-up.
            keys = [] if ast.unparse(node.value) == "Literal" else [node.slice]
        elif isinstance(node, ast.Dict):
            keys = [k for k in node.keys if k is not None]
        elif isinstance(node, ast.DictComp):
            keys = [node.key]
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            keys = node.args[:1] if node.func.attr in {"get", "pop", "setdefault"} else []
        elif isinstance(node, ast.Compare):
            keys = [ast.Tuple([c]) for side in (node.left, *node.comparators)
                    for c in ast.walk(side) if isinstance(c, ast.Constant) and c.value in NAMES]
        for key in keys:
            first = key.elts[0] if isinstance(key, ast.Tuple) and key.elts else None
            if isinstance(first, ast.Constant) and isinstance(first.value, str):
                yield node.lineno


def test_no_parameter_is_named_by_a_string() -> None:
    found = [
        f"{name}:{line}" for name, tree in shipped().items() if name.startswith(HOUSE)
        for line in string_keys(tree)
    ]
    assert found == []


@pytest.mark.parametrize(("source", "faulty"), [
    ("params['alpha', 3]", True),
    ("params[kind, 3]", False),
    ("{('rows', 0): v}", True),
    ("{('rows', k): v for k in x}", True),
    ("params.get(('tie', 2))", True),
    ("line.get('a', [])", False),
    ("key[0] in ('beta', 'gamma')", True),
    ("kind == 'G'", False),
    ("word: Literal['alpha', 'beta']", False),
])
def test_the_rule_itself(source: str, faulty: bool) -> None:
    assert bool(list(string_keys(ast.parse(source)))) is faulty


def test_parameters_are_keys() -> None:
    first = Parameter(ParameterKind.ALPHA, 3)
    assert first == Parameter(ParameterKind("alpha"), 3)
    assert hash(first) == hash(Parameter(ParameterKind.ALPHA, 3))
    others = {Parameter(kind, node) for kind in ParameterKind for node in (0, 3)}
    assert len(others) == 2 * len(ParameterKind)
    assert first in others
    with pytest.raises(AttributeError):
        first.node = 4  # type: ignore[misc]


def test_multipliers_are_kept_sparse_and_fractions_as_bytes() -> None:
    values = np.array([0.0, 0.5, 1.0])
    for kind in ParameterKind:
        key = Parameter(kind, 0)
        packed = pack({key: values})[key]
        assert isinstance(packed, dict) is key.is_multiplier
        if isinstance(packed, dict):
            assert packed == {1: 0.5, 2: 1.0}
        else:
            assert packed.tolist() == [0, 64, 128]
    assert REGION_ROWS.is_multiplier
