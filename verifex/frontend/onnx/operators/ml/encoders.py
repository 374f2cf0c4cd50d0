"""ai.onnx.ml operators that encode whole numbers: OneHotEncoder and LabelEncoder.

Both compare numbers for equality. Of a whole number v and a whole number c, `v = c` is the hat
max(0, 1 - |v - c|); the inputs that they read are whole numbers, which specs have to say.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction

import numpy as np

from verifex.errors import InputError, UnsupportedError
from verifex.frontend.onnx.operators.call import Call, Result, Rule
from verifex.frontend.onnx.values import FLOAT, INT64, INTEGER_RANGES, Tensor, simplify
from verifex.ir.exact import ExactArray

MOST = 1 << 24
"""Whole numbers up to this size are float32, as the encoders take them."""
TEXTS = "numbers (encode texts before the network, or export the model without that step)"


def one_hot_encoder(call: Call) -> Result:
    """One element for each category, 1 where the number is it, along a new last axis."""
    if call.given("cats_strings"):
        raise UnsupportedError("OneHotEncoder of texts", expected=TEXTS)
    categories = call.ints_("cats_int64s") or []
    if not categories or len(set(categories)) != len(categories):
        raise InputError("OneHotEncoder without categories, or with one twice",
                         expected="distinct cats_int64s")
    node = _whole(call, categories)
    if not call.flag("zeros", True):
        # The operator fails on a number that is no category.
        call.low.hold_whole(node, min(categories), max(categories))
        if max(categories) - min(categories) >= len(categories):
            call.low.builder.notes.append(
                "a number between the categories of a OneHotEncoder is read as none of them, where "
                "the network itself fails")
    return call.low.wrap(_hats(call, node, categories), FLOAT)


def label_encoder(call: Call) -> Result:
    """The value of the key that a number equals, else the default."""
    keys = _listed(call, "keys", "floats", "int64s")
    values = _listed(call, "values", "floats", "int64s")
    if keys is None or values is None:
        raise UnsupportedError("LabelEncoder of texts", expected=TEXTS)
    whole = [int(k) for k in keys]
    if max(map(abs, values), default=0) > MOST and not call.given("values_floats"):
        raise UnsupportedError(f"LabelEncoder of values beyond {MOST}", expected="small ones")
    if whole != keys or len(set(keys)) != len(keys) or len(values) != len(keys):
        raise UnsupportedError("LabelEncoder of keys that are no whole numbers, or twice there",
                               expected="distinct whole keys, with a value each")
    default = call.any_float("default_float", 0.0) if call.given("values_floats") else float(
        call.int_("default_int64", -1))
    call.ignored("default_string", "default_float", "default_int64")
    node = _whole(call, whole)
    hats = _hats(call, node, whole)
    # Exact: the difference of two float32 may be no float64.
    differences = [Fraction(value) - Fraction(default) for value in values]
    gains = simplify(ExactArray.from_numbers(differences, (len(differences),)))
    shape = call.low.shape(node)
    total = call.low.sum_axes(call.low.times(hats, gains), [len(shape)])
    made = call.low.move_node(total, lambda places: places.reshape(shape))
    out = call.low.combine([(made, 1)], np.array(default))
    return Tensor(out, shape, FLOAT if call.given("values_floats") else INT64)


def _listed(call: Call, name: str, *kinds: str) -> list[float] | None:
    """Keys or values, whatever numbers they are."""
    for kind in kinds:
        if call.given(f"{name}_{kind}"):
            read = call.floats_ if kind == "floats" else call.ints_
            return [float(v) for v in read(f"{name}_{kind}") or []]
    return None


def _whole(call: Call, numbers: Sequence[int]) -> int:
    """The first input, whose elements are inputs that are held to whole numbers."""
    value = call.value(0)
    if not isinstance(value, Tensor) or max(map(abs, numbers), default=0) >= MOST:
        raise UnsupportedError(f"{call.op} of a constant, or of numbers beyond {MOST}",
                               expected="small whole numbers that are inputs")
    if value.dtype not in INTEGER_RANGES:
        call.low.hold_whole(value.node, -MOST, MOST)
    return value.node


def _hats(call: Call, node: int, centres: Sequence[int]) -> int:
    """max(0, 1 - |v - c|) for each element v and each centre c, along a new last axis."""
    shape = call.low.shape(node)
    wide = call.low.limits.shape((*shape, len(centres)))
    spread = call.low.move_node(node, lambda places: np.broadcast_to(places[..., None], wide))
    middle = np.broadcast_to(np.array(centres, dtype=np.float64), wide)
    up, over, down = (call.low.relu(call.low.combine([(spread, 1)], shift - middle))
                      for shift in (1.0, 0.0, -1.0))
    return call.low.combine([(up, 1), (over, -2), (down, 1)])


RULES: Mapping[str, Rule] = {
    "OneHotEncoder": Rule(one_hot_encoder),
    "LabelEncoder": Rule(label_encoder),
}
