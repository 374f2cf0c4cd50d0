"""Encoders of whole numbers of ai.onnx.ml: OneHotEncoder and LabelEncoder.

Sound: for whole numbers v and c, max(0, 1 - |v - c|) is 1 where v = c and 0 elsewhere, and it is
max(v - c + 1, 0) - 2 max(v - c, 0) + max(v - c - 1, 0) for all real v. The numbers are elements of
inputs, and the graph keeps that they are whole, which the region of every claim has to say.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from ....failures import need
from ....graph.element_types import FLOAT32, INT64, INTEGERS
from ....graph.forms import total
from ....graph.symbolic import SymbolicTensor, combine, constants
from ...operator_call import Operator, OperatorCall
from ...signatures import (
    INTEGER,
    INTEGER_LIST,
    LABEL_INPUTS,
    ML_INPUT,
    OF_RULE,
    REAL,
    REAL_LIST,
    TEXT,
    TEXT_LIST,
    ml_attribute,
    ml_signature,
)

MOST = 1 << 24
"""Whole numbers up to this size are float32, as the encoders take them."""


def one_hot_encoder(call: OperatorCall) -> SymbolicTensor:
    """One element for each category, 1 where the number is it, along a new last axis.

    ONNX: of a number that is no category zeros, or with `zeros` = 0 a failure; then the number has
    to lie between the least and the greatest category.
    """
    need(not call.attributes.has("cats_strings"), "unsupported: texts")
    categories = call.attributes.integers("cats_int64s") or []
    need(categories and len(set(categories)) == len(categories), "no categories, or one twice")
    tensor = whole(call, categories)
    if not call.attributes.flag("zeros", True):
        tensor.hold_whole(min(categories), max(categories))
    return hats(tensor, categories)


def label_encoder(call: OperatorCall) -> SymbolicTensor:
    """The value of the key that a number equals, else the default."""
    attributes = call.attributes
    keys = numbers(call, "keys")
    values = numbers(call, "values")
    floats = attributes.has("values_floats")
    default = (attributes.real("default_float", Fraction(0)) if floats
               else Fraction(attributes.integer("default_int64", -1)))
    attributes.ignore("default_string", "default_float", "default_int64")
    need(all(key.denominator == 1 for key in keys) and len(set(keys)) == len(keys) == len(values),
         "unsupported: keys that are not whole, or twice there, or without a value")
    need(floats or max(map(abs, [*values, default])) <= MOST, "unsupported: large values")
    centres = [key.numerator for key in keys]
    tensor = whole(call, centres)
    gains = constants(call.graph, [len(values)], [value - default for value in values])
    weighted = (hats(tensor, centres) * gains).items
    width = len(centres)
    sums = [total([(form, 1) for form in weighted[start : start + width]])
            for start in range(0, len(weighted), width)]
    found = SymbolicTensor(call.graph, tensor.shape, sums) + constants(call.graph, (), [default])
    # Sound: whole values of at most this size are exact in every type; only moves and a Cast to
    # floats read them.
    return found.typed(FLOAT32) if floats else found.typed_as_codes(INT64)


def numbers(call: OperatorCall, name: str) -> Sequence[Fraction]:
    """Keys or values; texts are refused."""
    whole_ones = call.attributes.integers(f"{name}_int64s")
    if whole_ones is not None:
        return [Fraction(number) for number in whole_ones]
    found = call.attributes.reals(f"{name}_floats")
    need(found, f"unsupported: {name} that are no numbers")
    return found


def whole(call: OperatorCall, centres: Sequence[int]) -> SymbolicTensor:
    """The only input, whose elements are elements of inputs that are held to whole numbers."""
    tensor = call.tensor()
    need(max(map(abs, centres), default=0) < MOST, "unsupported: large numbers")
    if tensor.kind not in INTEGERS:
        tensor.hold_whole(-MOST, MOST)
    need(tensor.is_of_inputs(), "unsupported: of numbers that are computed")
    return tensor


def hats(tensor: SymbolicTensor, centres: Sequence[int]) -> SymbolicTensor:
    """max(0, 1 - |v - c|) for each element v and each centre c, along a new last axis."""
    wide = [place for place in range(tensor.size) for _ in centres]
    spread = SymbolicTensor(
        tensor.graph, (*tensor.shape, len(centres)), tensor.elements.picked(wide))
    parts = []
    for shift in (1, 0, -1):
        offsets = [shift - centre for centre in centres]
        parts.append((spread + constants(tensor.graph, [len(centres)], offsets)).relu())
    return combine((parts[0], 1), (parts[1], -2), (parts[2], 1))


OPERATORS = {
    "OneHotEncoder": Operator(one_hot_encoder, ml_signature(
        (ML_INPUT,), (ml_attribute("cats_int64s", INTEGER_LIST),
                      ml_attribute("cats_strings", TEXT_LIST), ml_attribute("zeros", INTEGER)),
        FLOAT32)),
    "LabelEncoder": Operator(label_encoder, ml_signature(
        LABEL_INPUTS, (
            *(ml_attribute(f"{name}_{kind}", of, since=2) for name in ("keys", "values")
              for kind, of in (("floats", REAL_LIST), ("int64s", INTEGER_LIST),
                               ("strings", TEXT_LIST))),
            ml_attribute("default_float", REAL, since=2), ml_attribute("default_int64", INTEGER),
            ml_attribute("default_string", TEXT),
            ml_attribute("classes_strings", TEXT_LIST, until=1)), OF_RULE)),
}
