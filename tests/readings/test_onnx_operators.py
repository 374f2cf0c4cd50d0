"""Single readings of operators that random files meet too seldom, with values known by hand."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from tests.readings.onnx_small import both_say, engine_says, node_model, single, values

SLOPE = Fraction(float(np.float32(0.01)))


def model(op: str, shape: tuple[int, ...], opset: int, *given: Any, **attributes: Any) -> bytes:
    names = [f"c{k}" for k in range(len(given))]
    return bytes(node_model(op, shape, opset, names, tensors={
        k: np.asarray(v) for k, v in zip(names, given, strict=True)}, **attributes
        ).SerializeToString())


@pytest.mark.parametrize(("data", "x", "found"), [
    (model("LeakyRelu", (2,), 16), [2, -1], [2, -SLOPE]),
    (model("Squeeze", (1, 1, 2), 13, [0]), [1, 2], [1, 2]),
    (model("Flatten", (2, 1, 2), 13, axis=-1), [1, 2, 3, 4], [1, 2, 3, 4]),
    (model("MaxPool", (1, 1, 4), 12, kernel_shape=[2], strides=[3], ceil_mode=1), [1, 2, 3, 4],
     [2, 4]),
    # a further window would begin in the padding behind the data
    (model("MaxPool", (1, 1, 4), 12, kernel_shape=[2], strides=[3], pads=[1, 1], ceil_mode=1),
     [1, 2, 3, 4], [1, 4]),
    (model("MaxPool", (1, 1, 3), 12, kernel_shape=[2], strides=[3], pads=[0, 1], ceil_mode=1),
     [1, 2, 3], [2]),
    (model("AveragePool", (1, 1, 4), 12, kernel_shape=[3], strides=[3], ceil_mode=1),
     [1, 2, 3, 5], [2, 5]),
    (model("ReduceSum", (2,), 13, noop_with_empty_axes=1), [1, 2], [1, 2]),
    (model("ReduceSum", (2,), 13, noop_with_empty_axes=0, keepdims=0), [1, 2], [3]),
    (model("Gemm", (1, 2), 13, single([[1, 2], [3, 4]]), transB=1), [1, 1], [3, 7]),
    (model("Gemm", (1, 2), 13, single([[1, 2], [3, 4]]), single([8]), beta=0.5), [1, 1], [8, 10]),
    (model("Split", (5,), 18, num_outputs=1), [1, 2, 3, 4, 5], [1, 2, 3, 4, 5]),
    (model("Gather", (2, 2), 13, [-1]), [1, 2, 3, 4], [3, 4]),
    (model("Pad", (2,), 18, [1, 0]), [1, 2], [0, 1, 2]),
])
def test_values(data: bytes, x: list[int], found: list[Any]) -> None:
    assert values(data, x) == found


@pytest.mark.parametrize(("data", "words"), [
    (model("Gemm", (1, 2), 13, single([[1, 2], [3, 4]]), single([[1, 2]] * 3)), "C"),
    (model("Reshape", (2,), 14, [0, -1], allowzero=1), "Reshape"),
    (model("Reshape", (2, 2), 14, [0, 4], allowzero=1), "Reshape"),
    (model("Reshape", (2, 2), 13, [-1, -1]), "Reshape"),
    (model("Reshape", (2, 2), 13, [3, -1]), "Reshape"),
    (model("Reshape", (2, 2), 13, [2, 2, 0]), "Reshape"),
    (model("Gather", (2, 2), 13, [2]), "Gather"),
    (model("Gather", (2, 2), 13, [-3]), "Gather"),
    (model("Squeeze", (1, 2), 13, [1]), "Squeeze"),
    (model("Split", (5,), 18, num_outputs=2), "Split"),
    (model("Clip", (2,), 13, single(1), single(0)), "Clip"),
    (model("Clip", (2,), 13, single([0, 1])), "Clip"),
    (model("PRelu", (2,), 16, single([[1, 2], [3, 4]])), "PRelu"),
    (model("Div", (2,), 13, single([1, 0])), "Div|zero"),
    (model("Dropout", (2,), 13, single(0.5), np.array(True)), "Dropout"),
    (model("BatchNormalization", (1, 2), 15, *[single([1, 1])] * 4, training_mode=1), "Normaliz"),
    (model("BatchNormalization", (1, 2), 8, *[single([1, 1])] * 4, spatial=0), "Normaliz"),
    (model("Gemm", (1, 2), 13, single([[1], [2]]), transA=2), "transA"),
    (model("Conv", (1, 1, 3), 13, single([[[1, 1]]]), single([1, 2])), "Conv|bias"),
    (model("Transpose", (1, 2), 13, perm=[0]), "Transpose"),
    (model("Concat", (1, 2), 13, single([[[1]]]), axis=0), "Concat"),
    (model("Slice", (2,), 13, [0], [2], [0], [0]), "Slice"),
    (model("Slice", (2,), 13, [0, 0], [2, 2], [0, 0]), "Slice|axes"),
])
def test_refusals_name_the_operator(data: bytes, words: str) -> None:
    for said in both_say(data):
        assert any(word in said for word in words.split("|")), said


def test_a_zero_that_is_kept_is_no_copy() -> None:
    assert "Reshape" in engine_says(model("Reshape", (2, 2), 14, [0, 4], allowzero=1))
    assert values(model("Reshape", (2, 2), 14, [0, 2], allowzero=0), [1, 2, 3, 4]) == [1, 2, 3, 4]
