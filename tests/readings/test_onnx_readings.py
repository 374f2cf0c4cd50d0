"""Some of the random ONNX files with all readers; the checker's table of operators itself.

Many more: `python -m tests.readings.onnx_readings --count 12000`.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import defs

from tests.frontend.sklearn_models import LEARNED, TREES
from tests.helpers import checker_parts as checker
from tests.readings.onnx_readers import READERS, Reading, difference, disagreement
from tests.readings.onnx_readings import MAKERS, build, reading, seeds
from verifex.frontend.onnx.schemas import TYPES

COUNT = 250
LEFT_OUT = {
    "Constant": {"value_string", "value_strings", "sparse_value"},
}
"""Attributes of the standard that the checker does not read."""


def test_readers_agree_or_refuse() -> None:
    found = [reading(name) for name in seeds(COUNT, 7)]
    assert not [(r.seed, r.wrong) for r in found if r.wrong]
    kinds = Counter(r.kind for r in found)
    assert kinds["agree"] >= COUNT / 3
    assert kinds["checker refuses"] >= COUNT / 20
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
    assert {op for table in RULES.values() for op in table} - LEARNED - TREES <= drawn


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


def schema_of(op: str, opset: int) -> defs.OpSchema | None:
    """The standard's entry, None where the operator set does not have the operator."""
    try:
        found = defs.get_schema(op, opset, "")
    except defs.SchemaError:
        return None
    return None if found.deprecated else found


def assert_agrees(op: str, signature: Any, schema: Any, opset: int) -> None:
    """A signature has the attributes and inputs of the standard's schema, in one operator set."""
    wanted = {k: v.type.value for k, v in schema.attributes.items()}
    assert {k: slot.kind for k, slot in signature.attributes_at(opset).items()} == {
        k: v for k, v in wanted.items() if k not in LEFT_OUT.get(op, ())}
    allowed = {c.type_param_str: set(c.allowed_type_strs) for c in schema.type_constraints}
    places, slots = list(schema.inputs), signature.inputs_at(opset)
    assert len(slots) == len(places)
    variable: dict[str, str] = {}
    for slot, place in zip(slots, places, strict=True):
        assert slot.optional == (place.option == defs.OpSchema.FormalParameterOption.Optional)
        assert slot.repeated == (place.option == defs.OpSchema.FormalParameterOption.Variadic)
        types = {TYPES[k] for k in slot.kinds}
        if place.type_str in allowed:
            assert types <= allowed[place.type_str] or (
                op, slot.variable) == ("Pad", "int64")
            # One variable stands for one of the standard, and the other way round.
            assert variable.setdefault(slot.variable, place.type_str) == place.type_str or (
                slot.variable == "int64")
        else:
            assert types == {place.type_str}
    assert len(set(variable.values())) == len(variable)


@pytest.mark.parametrize("opset", range(1, 6))
@pytest.mark.parametrize("op", sorted(checker.ML_OPERATORS))
def test_the_table_of_ai_onnx_ml_is_the_standard(op: str, opset: int) -> None:
    signature = checker.ML_OPERATORS[op].signature
    if op in TREES:  # tests of trees say what is read of them
        return
    schema = defs.get_schema(op, opset, "ai.onnx.ml")
    if op == "LabelEncoder" and opset >= 4:  # further attributes and types, which are not read
        assert signature.attributes_at(opset).keys() < schema.attributes.keys()
        return
    assert_agrees(op, signature, schema, opset)


@pytest.mark.parametrize("opset", range(7, 24))
@pytest.mark.parametrize("op", sorted(checker.OPERATORS))
def test_the_table_of_operators_is_the_standard(op: str, opset: int) -> None:
    signature = checker.OPERATORS[op].signature
    schema = schema_of(op, opset)
    assert signature.exists_in(opset) == (schema is not None)
    if schema is None:
        return
    assert_agrees(op, signature, schema, opset)
