"""Claims about single operators at a point: the checker accepts true ones and refuses false ones.

The value comes from onnxruntime, which shares no code with the checker.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from onnx import ModelProto, TensorProto, helper

from tests.frontend.onnx_cases import CASES
from tests.helpers import checker_parts as checker
from tests.helpers.onnx_runs import Case, In, build, session
from tests.readings.onnx_small import CLAIM, hand_made

OPERATORS = {
    "ConvTranspose", "DepthToSpace", "Einsum", "Expand", "GatherElements", "HardSigmoid",
    "HardSwish", "MatMul", "Mean", "Pad", "ReduceL1", "ReduceMin", "Resize", "ScatterElements",
    "ScatterND", "Sign", "SpaceToDepth", "Sum", "Tile", "Upsample",
}


def first_of_each() -> list[Case]:
    """A case for every operator, with an input of the network."""
    found: dict[str, Case] = {}
    for case in CASES:
        if case.op in OPERATORS and any(isinstance(one, In) for one in case.inputs):
            found.setdefault(case.op, case)
    return list(found.values())


def in_a_row(model: ModelProto) -> ModelProto:
    """The model with its first output as one row: several rows are refused as a batch."""
    (first, *_) = [one.name for one in model.graph.output]
    model.graph.node.append(helper.make_node("Flatten", [first], ["row"], axis=0))
    del model.graph.output[:]
    model.graph.output.append(helper.make_tensor_value_info("row", TensorProto.FLOAT, None))
    return model


def test_every_operator_has_a_case() -> None:
    assert {case.op for case in first_of_each()} == OPERATORS <= checker.OPERATORS.keys()


@pytest.mark.parametrize("case", first_of_each(), ids=lambda case: case.op)
def test_true_claims_are_accepted_and_false_ones_are_not(tmp_path: Path, case: Case) -> None:
    model = in_a_row(build(case, case.opsets[-1], TensorProto.FLOAT))
    runner, feeds, x = session(model), {}, list[float]()
    for k, one in enumerate(runner.get_inputs()):
        size = int(np.prod(one.shape))
        point = [((3 * i + 5 * k) % 23 - 11) / 16 + 1 / 64 for i in range(size)]
        feeds[one.name] = np.array(point, np.float32).reshape(one.shape)
        x += point
    value = float(np.ravel(runner.run(None, feeds)[0])[0])
    data = bytes(model.SerializeToString())
    below, above = f"{value - 1e-3:.6f}", f"{value + 1e-3:.6f}"
    for bound, code in ((f"at_least = {below}", 0), (f"at_least = {above}", 1),
                        (f"at_most = {above}", 0), (f"at_most = {below}", 1)):
        spec = CLAIM.format(lo=x, hi=x, bound=bound)
        assert hand_made(tmp_path, data, spec)[0] == code, bound
