"""Kinds of files that were once read wrongly, by the engine, the checker or both.

Each kind has its first case and relatives; the right value is known by hand, or both sides refuse.
"""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from tests.helpers import checker_parts as checker
from tests.readings.onnx_small import (
    CLAIM,
    FLT_MAX,
    both_say,
    engine_says,
    hand_made,
    node_model,
    single,
    stored,
    text_model,
    values,
)
from verifex.api import verify
from verifex.frontend import load_bytes

INT_MAX = 2**31 - 1

# --- a bound that is present is a bound ---------------------------------------------------------


def scaled_clip(low: float | None, high: float | None, opset: int = 17) -> bytes:
    """x times the largest float, clipped, divided by it again."""
    model = text_model("(float[1] x) => (float[1] y) { h = Mul(x, k) y = Mul(c, s) }", opset)
    names = ["h", "lo" if low is not None else "", "hi" if high is not None else ""]
    if opset < 11:
        given = {k: v for k, v in (("min", low), ("max", high)) if v is not None}
        clip = helper.make_node("Clip", ["h"], ["c"], **given)
    else:
        clip = helper.make_node("Clip", names, ["c"])
    model.graph.node.insert(1, clip)
    ends = {"lo": low, "hi": high} if opset >= 11 else {}
    return stored(model, k=single(FLT_MAX), s=single(2.0**-127),
                  **{k: single(v) for k, v in ends.items() if v is not None})


TOP = Fraction(FLT_MAX) * Fraction(2) ** -127  # a little below 2


@pytest.mark.parametrize(("low", "high", "opset", "x", "found"), [
    (None, FLT_MAX, 17, 3, TOP),  # onnxruntime too says that nothing is above the bound
    (None, FLT_MAX, 17, "1/2", TOP / 2),
    (-FLT_MAX, None, 17, -4, -TOP),
    (-FLT_MAX, FLT_MAX, 13, -4, -TOP),
    (-FLT_MAX, FLT_MAX, 11, 4, TOP),
    (-FLT_MAX, FLT_MAX, 9, 4, TOP),
    (0.0, None, 7, 4, TOP),  # before set 11 a bound left out is the end of float32
    (None, 0.0, 10, -4, -TOP),
    (None, None, 10, -4, -TOP),
    (None, None, 11, -4, -4 * TOP),
])
def test_clip_at_the_largest_float(low: Any, high: Any, opset: int, x: Any, found: Any) -> None:
    assert values(scaled_clip(low, high, opset), [x]) == [found]


def test_clip_of_float64_between_bounds_beyond_float32() -> None:
    model = text_model("(double[1] x) => (double[1] y) { y = Clip(x, lo, hi) }")
    data = stored(model, lo=np.float64(-1e300), hi=np.float64(1e300))
    assert values(data, ["1e301"]) == [Fraction(1e300)]
    assert values(data, ["-1e301"]) == [Fraction(-1e300)]
    assert values(data, ["0.25"]) == [Fraction(1, 4)]


def test_a_claim_beyond_the_bound_is_refuted(tmp_path: Path) -> None:
    spec = CLAIM.format(lo=3, hi=4, bound="at_least = 2")
    code, word = hand_made(tmp_path, scaled_clip(None, FLT_MAX), spec)
    assert (code, word[:8]) == (1, "invalid:")
    verdict = verify(tmp_path / "net.onnx", tmp_path / "spec.toml", seconds=20)
    assert verdict.outcome.value == "refuted"


def test_a_clip_at_the_ends_does_not_hinder_proofs(tmp_path: Path) -> None:
    """x + relu(lo - x) - relu(x - hi) stays exact for x far from the ends."""
    (tmp_path / "net.onnx").write_bytes(stored(
        text_model("(float[1,2] x) => (float[1,2] y) { h = MatMul(x, w) c = Clip(h) r = Relu(c) "
                   "z = MatMul(r, v) y = Clip <min = 0.0> (z) }", 9),
        w=single([[1, -1], [0.5, 2]]), v=single([[1, -1], [1, 1]])))
    (tmp_path / "spec.toml").write_text(
        CLAIM.format(lo=[-1, -1], hi=[2, 2], bound="at_most = 6.1"))
    verdict = verify(tmp_path / "net.onnx", tmp_path / "spec.toml", seconds=60, engine="search")
    assert verdict.outcome.value == "proved", verdict


# --- Pad, Slice and other forms where public implementations differ -----------------------------


def pad_model(mode: str, pads: list[int], opset: int = 19, **more: np.ndarray) -> bytes:
    return bytes(node_model("Pad", (1, 4), opset, ("p", *more), mode=mode, tensors={
        "p": np.array(pads), **more}).SerializeToString())


@pytest.mark.parametrize("mode", ["wrap", "reflect", "edge"])
def test_negative_pads_are_for_constants_alone(mode: str) -> None:
    engine, mine = both_say(pad_model(mode, [0, -1, 0, 2]))
    assert f"Pad with mode '{mode}' and negative pads" in engine
    assert "Pad for 'y'" in mine
    assert engine_says(pad_model(mode, [0, 1, 0, 2])) == ""


def test_pads_that_cut_more_than_there_is() -> None:
    for pads in ([0, -5, 0, 9], [0, -3, 0, -2], [0, 9, 0, -5]):
        assert all("Pad" in said for said in both_say(pad_model("constant", pads))), pads
    assert values(pad_model("constant", [0, -1, 0, 2]), [1, 2, 3, 4]) == [2, 3, 4, 0, 0]
    assert values(pad_model("constant", [0, 1, 0, -4]), [1, 2, 3, 4]) == [0]


def slice_model(start: int, end: int, step: int) -> bytes:
    return bytes(node_model("Slice", (4,), 13, tuple("abcd"), tensors={
        "a": np.array([start]), "b": np.array([end]), "c": np.array([0]), "d": np.array([step]),
    }).SerializeToString())


@pytest.mark.parametrize(("start", "end", "step"), [
    (-1, INT_MAX, -1), (-1, 2**63 - 1, -1), (3, 4, -1), (-5, -100, -1), (-INT_MAX, -100, -2),
])
def test_slices_backwards_beyond_their_axis(start: int, end: int, step: int) -> None:
    engine, mine = both_say(slice_model(start, end, step))
    assert "Slice backwards" in engine
    assert "Slice backwards" in mine


@pytest.mark.parametrize(("start", "end", "step", "found"), [
    (-1, -100, -1, [4, 3, 2, 1]), (9, 0, -2, [4, 2]), (1, INT_MAX, 1, [2, 3, 4]),
    (-100, 2, 1, [1, 2]), (2, -(2**63), -1, [3, 2, 1]), (0, 4, INT_MAX, [1]), (5, 7, 1, []),
])
def test_slices_that_all_take_alike(start: int, end: int, step: int, found: list[int]) -> None:
    assert values(slice_model(start, end, step), [1, 2, 3, 4]) == found


@pytest.mark.parametrize(("model", "words"), [
    (node_model("Unsqueeze", (3,), 9, axes=[1, 0]), "Unsqueeze"),
    (node_model("Unsqueeze", (3,), 9, axes=[-1]), "Unsqueeze"),
    (node_model("Flatten", (2, 3), 9, axis=-1), "Flatten"),
    (node_model("Squeeze", (1, 3), 11, axes=[]), "Squeeze"),
    (node_model("ReduceSum", (1, 3), 11, axes=[]), "ReduceSum"),
    (node_model("Transpose", (2, 3), 13, perm=[-1, 0]), "Transpose"),
    (node_model("Concat", (2, 3), 13), "Concat"),
    (node_model("MaxPool", (1, 1, 5), 17, kernel_shape=[1], strides=[3], auto_pad="SAME_UPPER"),
     "MaxPool"),
    (node_model("MaxPool", (1, 1, 5), 17, kernel_shape=[2], dilations=[2], auto_pad="SAME_LOWER"),
     "MaxPool"),
    (node_model("AveragePool", (1, 1, 5), 17, kernel_shape=[2], pads=[2, 0]), "AveragePool"),
    (node_model("AveragePool", (1, 1, 6), 19, kernel_shape=[3], strides=[2], ceil_mode=1,
                count_include_pad=1), "AveragePool"),
    (node_model("MaxPool", (1, 1, 5), 17, kernel_shape=[2], ceil_mode=1, auto_pad="VALID"),
     "MaxPool"),
    (node_model("Split", (5,), 13), "Split|x"),
    (node_model("Relu", (3, 0), 13), "x"),
], ids=lambda v: v.graph.node[0].op_type if isinstance(v, onnx.ModelProto) else "")
def test_forms_that_readers_take_differently(model: onnx.ModelProto, words: str) -> None:
    model.graph.node[0].output.extend(["z"] * (model.graph.node[0].op_type == "Split"))
    for said in both_say(bytes(model.SerializeToString())):
        assert any(word in said for word in words.split("|")), said


@pytest.mark.parametrize(("start", "end"), [(-2, -5), (0, 9), (-9, 2)])
def test_the_shape_of_axes_that_are_not_there(start: int, end: int) -> None:
    data = bytes(text_model(
        f"(float[2,3] x) => (float y) {{ s = Shape <start = {start}, end = {end}> (x) "
        "y = Reshape(x, s) }").SerializeToString())
    assert all("Shape" in said for said in both_say(data))


# --- integers, booleans and casts ---------------------------------------------------------------


def ending(nodes: str, opset: int = 17, **tensors: np.ndarray) -> bytes:
    """x + (whatever the nodes make of the stored tensors)."""
    return stored(text_model(f"(float[2] x) => (float[2] y) {{ {nodes} y = Add(x, f) }}", opset),
                  **tensors)


TO_FLOAT = "f = Cast <to = 1> (m)"
INTEGERS = {
    "int32_add_wraps": ending(f"m = Add(c, c) {TO_FLOAT}", c=np.array([2**30] * 2, np.int32)),
    "int64_mul_wraps": ending(f"m = Mul(c, c) {TO_FLOAT}", c=np.array([2**62] * 2)),
    "int32_sub_wraps": ending(f"m = Sub(c, d) {TO_FLOAT}", c=np.array([-2] * 2, np.int32),
                              d=np.array([INT_MAX] * 2, np.int32)),
    "sum of integers": ending(f"m = Add(c, c) {TO_FLOAT}", c=np.array([1, 2])),
    "moved sum of integers": ending(f"n = Add(c, c) m = Gather(n, k) {TO_FLOAT}",
                                    c=np.array([1, 2]), k=np.array([1, 0])),
    "division that rounds": ending(f"m = Div(c, d) {TO_FLOAT}", c=np.array([-7, 7]),
                                   d=np.array([2, 2])),
    "integer that float32 rounds": ending(f"m = Identity(c) {TO_FLOAT}",
                                          c=np.array([2**24 + 1] * 2)),
    "integer to shorter integer": ending(f"m = Cast <to = 6> (c) {TO_FLOAT}",
                                         c=np.array([2**31] * 2)),
    "float to integer": ending(f"m = Cast <to = 7> (c) {TO_FLOAT}", c=single([1.5, -1.5])),
    "float to boolean": ending(f"m = Cast <to = 9> (c) {TO_FLOAT}", c=single([1.5, 0])),
    "float64 to infinity": ending("f = Cast <to = 1> (c)", c=np.array([-4 * FLT_MAX] * 2)),
    "float64 that float32 rounds": ending("f = Cast <to = 1> (c)", c=np.array([0.1, 0.1])),
    "float32 that float16 rounds": ending("h = Cast <to = 10> (c) f = Cast <to = 1> (h)",
                                          c=single([0.1, 70000])),
    "computed float64 to float32": ending(
        "d = Cast <to = 11> (x) e = Mul(d, c) f = Cast <to = 1> (e)", c=np.array([1e300] * 2)),
    "computed float32 to float16": ending("h = Cast <to = 10> (x) f = Cast <to = 1> (h)"),
    "computed boolean to integer": ending(f"b = Greater(x, c) m = Cast <to = 7> (b) {TO_FLOAT}",
                                          c=single([0, 0])),
    "computed float to integer": ending(f"r = Relu(x) m = Cast <to = 6> (r) {TO_FLOAT}"),
    "constant beyond its type": ending("d = Mul(c, c) f = Min(d, x)", c=single([1e30, 1])),
    "integer and float": ending("f = Mul(x, c)", c=np.array([1, 2])),
    "float32 and float64": ending("f = Mul(x, c)", c=np.array([1.0, 2.0])),
    "Relu of integers": ending(f"m = Relu(c) {TO_FLOAT}", c=np.array([-1, 2], np.int32)),
    "Neg of integers": ending(f"m = Neg(c) {TO_FLOAT}", c=np.array([-(2**31), 2], np.int32)),
    "Abs of integers": ending(f"m = Abs(c) {TO_FLOAT}", c=np.array([-(2**63), 2])),
    "not a number": ending("f = Identity(c)", c=single([np.nan, 0])),
    "infinity": ending("f = Identity(c)", c=single([np.inf, 0])),
    "ReduceSum of integers": ending(f"m = ReduceSum(c, a) {TO_FLOAT}", c=np.array([[1, 2]]),
                                    a=np.array([0])),
    "indices of floats": ending("f = Gather(x, k)", k=single([0, 1])),
    "shape of int32": ending("f = Reshape(x, k)", k=np.array([2], np.int32)),
}


@pytest.mark.parametrize("name", INTEGERS)
def test_integers_that_reach_a_float_are_refused(name: str) -> None:
    engine, mine = both_say(INTEGERS[name])
    assert engine.startswith("m.onnx:"), engine
    assert mine
    assert "'" in mine, f"names no tensor: {mine}"


def twos(field: bool) -> bytes:
    """A boolean tensor that holds 2s, in raw bytes or in its typed field."""
    model = text_model("(float[2] x) => (float[2] y) { f = Cast <to = 1> (c) y = Add(x, f) }")
    tensor = TensorProto(name="c", data_type=TensorProto.BOOL, dims=[2])
    if field:
        tensor.int32_data.extend([2, 2])
    else:
        tensor.raw_data = b"\2\2"
    model.graph.initializer.append(tensor)
    return bytes(model.SerializeToString())


@pytest.mark.parametrize("data", [twos(True), twos(False)], ids=["int32_data", "raw_data"])
def test_booleans_are_0_or_1(data: bytes) -> None:
    engine, mine = both_say(data)
    assert "a boolean that is neither 0 nor 1" in engine
    assert mine == "tensor 'c': a constant beyond the range of bool"


@pytest.mark.parametrize("data", [
    INTEGERS["int32_add_wraps"], INTEGERS["float64 to infinity"], twos(False),
    INTEGERS["constant beyond its type"], INTEGERS["computed float64 to float32"],
])
def test_no_certificate_about_such_a_file_is_accepted(tmp_path: Path, data: bytes) -> None:
    for bound in ("at_least = -1e400", "at_most = 1e400"):
        code, word = hand_made(tmp_path, data, CLAIM.format(lo=[-1, -1], hi=[1, 1], bound=bound))
        assert (code, word[:8]) == (65, "invalid:")


def test_integers_as_shapes_axes_and_indices() -> None:
    data = stored(text_model("""(float[2,3] x) => (float[3,2] y) {
        s = Shape(x) a = Gather(s, k) b = Mul(a, k) c = Add(b, t) d = Cast <to = 6> (c)
        e = Cast <to = 7> (d) n = Concat <axis = 0> (e, m) y = Reshape(x, n) }"""),
        k=np.array([1]), t=np.array([0]), m=np.array([-1]))
    assert values(data, [1, 2, 3, 4, 5, 6]) == [1, 2, 3, 4, 5, 6]
    exact = ending(TO_FLOAT.replace("m)", "c)"), c=np.array([2**24, -3]))
    assert values(exact, [0, 0]) == [2**24, -3]


def test_booleans_of_comparisons_are_gates() -> None:
    data = stored(text_model("""(float[2] x) => (float[2] y) {
        g = Greater(x, z) n = Identity(g) f = Cast <to = 1> (n) y = Mul(x, f) }"""),
        z=single([1, -1]))
    assert values(data, [2, -2]) == [2, 0]


@pytest.mark.parametrize("nodes", ["i = Shape(x)", "i = Greater(x, z)", "i = Add(k, k)"])
def test_outputs_that_are_no_floats_are_left_out(tmp_path: Path, nodes: str) -> None:
    kind = "bool" if "Greater" in nodes else "int64"
    data = stored(text_model(f"(float[1] x) => (float[1] y, {kind}[1] i) "
                             f"{{ {nodes} y = Relu(x) }}"), z=single([1]), k=np.array([1]))
    assert list(load_bytes(data, "m.onnx").outputs) == ["y"]
    assert list(checker.Network(data).outputs) == ["y"]
    spec = CLAIM.format(lo=0, hi=1, bound="at_least = 0")
    assert hand_made(tmp_path, data, spec) == (0, "valid")
    asked = spec.replace("verifex = 1", 'verifex = 1\nnetwork_output = "i"')
    unlisted = stored(text_model(f"(float[1] x) => (float[1] y) {{ {nodes} y = Relu(x) }}"),
                      z=single([1]), k=np.array([1]))
    for file in (data, unlisted):
        assert hand_made(tmp_path, file, asked) == (
            65, "invalid: spec.toml: network_output: no output 'i' of floats")


def test_half_precision_stored_as_integers() -> None:
    """16-bit floats in int32_data are bits, not numbers."""
    assert values(half(TensorProto.FLOAT16, int32_data=[0x3C00, 0xC000]), [0, 0]) == [1, -2]
    assert values(half(TensorProto.BFLOAT16, int32_data=[0x3F81, 0xC000]), [0, 0]) == [
        1 + Fraction(1, 128), -2]
    for kind in (TensorProto.FLOAT16, TensorProto.BFLOAT16):
        assert all("16-bit float out of range" in said
                   for said in both_say(half(kind, int32_data=[0x3C00, 1 << 16])))


def half(kind: int, **stored_as: Any) -> bytes:
    """x + two numbers that are stored as 16-bit floats."""
    model = text_model("(float[2] x) => (float[2] y) { f = Cast <to = 1> (c) y = Add(x, f) }")
    model.graph.initializer.append(
        TensorProto(name="c", data_type=kind, dims=[2], **stored_as))
    return bytes(model.SerializeToString())


@pytest.mark.parametrize("kind", [TensorProto.FLOAT16, TensorProto.BFLOAT16])
def test_half_precision_has_its_exact_value(kind: int) -> None:
    """Every finite bit pattern of the type in raw bytes, against the definition of its value."""
    digits, bias = (10, 15) if kind == TensorProto.FLOAT16 else (7, 127)
    for bits in (0, 1, 2, 3, 0x83, 0x7F, 0x80, 0x3FF, 0x400, 0x3555, 0x3C01, 0x7BFF, 0x8001,
                 0xC123, 0x3F80, 0xBF01):
        field, fraction = bits >> digits & (1 << 15 - digits) - 1, bits & (1 << digits) - 1
        whole, power = (fraction, 1) if field == 0 else (fraction + (1 << digits), field)
        value = whole * Fraction(2) ** (power - bias - digits) * (-1 if bits >> 15 else 1)
        raw = bits.to_bytes(2, "little") * 2
        assert values(half(kind, raw_data=raw), [1, 0]) == [1 + value, value]
    infinite = (0x7C00 if kind == TensorProto.FLOAT16 else 0x7F80).to_bytes(2, "little")
    assert all("infinity" in said for said in both_say(half(kind, raw_data=infinite * 2)))


# --- files as a whole ---------------------------------------------------------------------------


def changed(change: Any) -> bytes:
    model = text_model("(float[2] x) => (float[2] y) { y = LeakyRelu <alpha = 0.5> (x) }")
    change(model)
    return bytes(model.SerializeToString())


def attribute(key: str, value: Any, **more: Any) -> Any:
    def change(m: onnx.ModelProto) -> None:
        m.graph.node[0].attribute.append(helper.make_attribute(key, value, **more))
    return change


FILES: dict[str, Any] = {
    "an unknown attribute": attribute("slope", 0.5),
    "an attribute of an older set": attribute("consumed_inputs", [0]),
    "an attribute twice": attribute("alpha", 0.25),
    "an attribute of a function": lambda m: setattr(
        m.graph.node[0].attribute[0], "ref_attr_name", "a"),
    "an attribute of another type": lambda m: m.graph.node[0].attribute[0].CopyFrom(
        helper.make_attribute("alpha", 1)),
    "an overload": lambda m: setattr(m.graph.node[0], "overload", "o"),
    "the operator set in two versions": lambda m: m.opset_import.add(domain="ai.onnx", version=16),
    "operators of one domain in two versions": lambda m: (
        m.opset_import.add(domain="ai.onnx.ml", version=1),
        m.opset_import.add(domain="ai.onnx.ml", version=2)),
    "no operator set": lambda m: m.ClearField("opset_import"),
    "another operator set": lambda m: setattr(m.opset_import[0], "domain", "other"),
    "an old version": lambda m: setattr(m, "ir_version", 2),
    "a version to come": lambda m: setattr(m, "ir_version", 99),
    "training": lambda m: m.training_info.add(),
    "a function of the operator's name": lambda m: m.functions.append(helper.make_function(
        "", "LeakyRelu", ["a"], ["b"], [helper.make_node("Neg", ["a"], ["b"])],
        [helper.make_opsetid("", 17)])),
    "sparse tensors": lambda m: m.graph.sparse_initializer.add(),
    "an output of another type": lambda m: setattr(
        m.graph.output[0].type.tensor_type, "elem_type", 11),
    "an output twice": lambda m: m.graph.output.append(m.graph.output[0]),
    "an input twice": lambda m: m.graph.input.append(m.graph.input[0]),
    "a further input": lambda m: m.graph.node[0].input.append("x"),
    "no input": lambda m: m.graph.node[0].ClearField("input"),
    "an output made twice": lambda m: m.graph.node.append(m.graph.node[0]),
    "an initialiser that is no such input": lambda m: (
        m.graph.initializer.append(onnx.numpy_helper.from_array(single([1, 2]), "w")),
        m.graph.input.append(helper.make_tensor_value_info("w", 1, (3,)))),
}


@pytest.mark.parametrize("name", FILES)
def test_files_that_readers_take_differently(name: str) -> None:
    engine, mine = both_say(changed(FILES[name]))
    assert engine.startswith("m.onnx:")
    assert mine


def test_what_says_nothing_about_values_is_left_alone() -> None:
    def change(m: onnx.ModelProto) -> None:
        m.doc_string = m.graph.doc_string = m.graph.node[0].doc_string = "text"
        m.metadata_props.add(key="k", value="v")
        m.opset_import[0].domain = m.graph.node[0].domain = "ai.onnx"
    assert values(changed(change), [2, -2]) == [2, -1]


@pytest.mark.parametrize(("op", "opset", "attributes", "shape"), [
    ("Shape", 14, {"start": 0}, (2,)), ("AveragePool", 17, {"kernel_shape": [1], "dilations": [1]},
                                        (1, 1, 2)),
    ("MaxPool", 9, {"kernel_shape": [1], "ceil_mode": 0}, (1, 1, 2)),
    ("Reshape", 13, {"allowzero": 0}, (2,)), ("Cast", 18, {"to": 1, "saturate": 1}, (2,)),
    ("BatchNormalization", 13, {"training_mode": 0}, (1, 2)), ("Dropout", 12, {"ratio": 0.5}, (2,)),
    ("BatchNormalization", 9, {"spatial": 1}, (1, 2)), ("Clip", 11, {"min": 0.0}, (2,)),
    ("Squeeze", 13, {"axes": [0]}, (1, 2)), ("Split", 17, {"num_outputs": 1}, (2,)),
    ("ReduceSum", 13, {"axes": [0]}, (2,)), ("ReduceMax", 17, {"noop_with_empty_axes": 0}, (2,)),
    ("Pad", 11, {"pads": [0, 0]}, (2,)), ("Slice", 10, {"starts": [0], "ends": [1]}, (2,)),
])
def test_attributes_of_other_operator_sets(
    op: str, opset: int, attributes: dict[str, Any], shape: tuple[int, ...]
) -> None:
    more, tensors = [], {}
    if op == "BatchNormalization":
        more, tensors = list("abcd"), {k: single([1, 1]) for k in "abcd"}
    elif op in ("Reshape", "Pad", "Slice"):
        more = ["k", "k"] if op == "Slice" else ["k"]
        tensors = {"k": np.array([0, 0] if op == "Pad" else [2] if op == "Reshape" else [1])}
    data = bytes(node_model(op, shape, opset, more, tensors=tensors, **attributes
                            ).SerializeToString())
    engine, mine = both_say(data)
    (key,) = set(attributes) - {"kernel_shape", "to"} if len(attributes) != 2 or (
        "starts" not in attributes) else {"starts"}
    assert f"attribute '{key}' of {op}" in engine
    assert f"{op} for 'y': unsupported attribute '{key}' at opset {opset}" == mine


@pytest.mark.parametrize("batch", ["N", -1, 0, None])
def test_an_open_batch_is_a_batch_of_one(batch: Any) -> None:
    data = bytes(node_model("Relu", (batch, 2), 13).SerializeToString())
    assert values(data, [1, -1]) == [1, 0]


@pytest.mark.parametrize("op", ["QuantizeLinear", "QLinearConv", "DynamicQuantizeLinear",
                                "ConvInteger", "MatMulInteger", "QLinearSigmoid"])
def test_quantised_models_are_refused_with_the_way_out(op: str) -> None:
    for said in both_say(bytes(node_model(op, (1, 2), 13).SerializeToString())):
        assert op in said
        assert "quantised" in said
        assert "float model" in said


@pytest.mark.parametrize("op", ["Gelu", "Softplus", "LayerNormalization", "Mish", "Tan"])
def test_smooth_functions_are_named_as_such(op: str) -> None:
    data = bytes(node_model(op, (1, 2), 20, ["w"] if op == "LayerNormalization" else (),
                            tensors={"w": single([1, 2])}).SerializeToString())
    engine, mine = both_say(data)
    assert "smooth function" in mine
    assert engine == "" or "smooth function" in engine


@pytest.mark.parametrize(("before", "after"), [(10, 16), (1, 10), (16, 10), (11, 1), (1, 16)])
def test_casts_of_computed_floats_that_would_round_are_refused_by_name(
    before: int, after: int
) -> None:
    model = text_model(f"(float[1,2] x) => (float[1,2] y) {{ y = Cast <to = {after}> (x) }}")
    model.graph.input[0].type.tensor_type.elem_type = before
    model.graph.output[0].type.tensor_type.elem_type = after
    for said in both_say(bytes(model.SerializeToString())):
        assert "Cast" in said
        assert "computed" in said
