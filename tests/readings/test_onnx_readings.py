"""Some of the random ONNX files with all readers; the checker's table of operators itself.

Many more: `python -m tests.readings.onnx_readings --count 12000`.
"""

from __future__ import annotations

from collections import Counter

import numpy as np
import onnx
import pytest
from onnx import defs

from tests.helpers import checker_parts as checker
from tests.readings.onnx_readers import READERS, Reading, difference, disagreement
from tests.readings.onnx_readings import MAKERS, build, reading, seeds
from verifex.frontend.onnx.schemas import TYPES

COUNT = 250
LETTERS = {"f": "FLOAT", "i": "INT", "s": "STRING", "t": "TENSOR", "I": "INTS"}
LEFT_OUT = {
    "Constant": {"value_float", "value_floats", "value_int", "value_ints", "value_string",
                 "value_strings", "sparse_value"},
}
"""Attributes of the standard that the checker does not read."""


def test_readers_agree_or_refuse() -> None:
    found = [reading(name) for name in seeds(COUNT, 7)]
    assert not [(r.seed, r.wrong) for r in found if r.wrong]
    kinds = Counter(r.kind for r in found)
    assert kinds["agree"] >= COUNT / 5
    assert kinds["checker refuses"] >= COUNT / 5
    assert kinds["both refuse"] >= COUNT / 20
    assert kinds["ours alone"] <= COUNT / 50


def test_a_seed_names_a_model_for_good() -> None:
    assert [build(s) for s in seeds(20, 3)] == [build(s) for s in seeds(20, 3)]
    assert len({build(s) for s in seeds(200, 3)}) > 190


def test_every_operator_of_ours_is_drawn() -> None:
    from verifex.frontend.onnx.operators.rules import RULES

    drawn = set()
    for name in MAKERS:
        for k in range(40):
            model = onnx.ModelProto.FromString(build(f"1/{name}/{k}"))
            drawn |= {n.op_type for n in model.graph.node}
    assert {op for table in RULES.values() for op in table} <= drawn


def test_what_counts_as_a_disagreement() -> None:
    a, b = {"y": np.array([1.0, 2.0])}, {"y": np.array([1.0, 2.001])}
    assert difference(a, a) == ""
    assert "y is" in difference(a, b)
    assert "shape" in difference(a, {"y": np.array([[1.0, 2.0]])})
    assert "finite" in difference(a, {"y": np.array([1.0, np.inf])})
    r = Reading("s", "op", {k: [a] for k in READERS})
    assert disagreement(r) == ""
    r.found["reference"] = [b]  # the others agree: ours should have refused
    assert disagreement(r).startswith("engine and reference")


# --- the checker's table ------------------------------------------------------------------------


@pytest.mark.parametrize("opset", range(7, 24))
@pytest.mark.parametrize("op", sorted(checker.SIGNATURES))
def test_the_table_of_operators_is_the_standard(op: str, opset: int) -> None:
    schema = defs.get_schema(op, opset, "")
    takes, _, has = checker.SIGNATURES[op]
    given = dict(word.split(":") for word in checker.existing(has, opset))
    wanted = {k: v.type.name for k, v in schema.attributes.items()}
    assert {k: LETTERS[v] for k, v in given.items()} == {
        k: v for k, v in wanted.items() if k not in LEFT_OUT.get(op, ())}
    allowed = {c.type_param_str: set(c.allowed_type_strs) for c in schema.type_constraints}
    places, letters = list(schema.inputs), checker.existing(takes, opset)
    assert len(letters) == len(places)
    variable: dict[str, str] = {}
    for word, place in zip(letters, places, strict=True):
        option = "+" if place.option == defs.OpSchema.FormalParameterOption.Variadic else (
            "?" if place.option == defs.OpSchema.FormalParameterOption.Optional else "")
        assert word[1:] == option
        types = {TYPES[k] for k in checker.LETTERS[word[0]]}
        if place.type_str in allowed:
            assert types <= allowed[place.type_str] or (op, word[0]) == ("Pad", "L")
            # One letter stands for one type of the standard, and the other way round.
            assert variable.setdefault(word[0], place.type_str) == place.type_str or (
                word[0] == "L")
        else:
            assert types == {place.type_str}
    assert len(set(variable.values())) == len(variable)


def test_the_table_and_the_rules_are_of_the_same_operators() -> None:
    assert checker.SIGNATURES.keys() == checker.RULES.keys()
