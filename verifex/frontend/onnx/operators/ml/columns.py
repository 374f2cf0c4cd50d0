"""ai.onnx.ml operators on columns of features, and on what a classifier hands out."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from verifex.errors import InputError, UnsupportedError
from verifex.frontend.onnx.operators.call import Call, Result, Rule
from verifex.frontend.onnx.operators.heads import normalized_head
from verifex.frontend.onnx.values import FLOAT, FLOATS, Tensor, Value, dtype_name
from verifex.ir.ops import Concat


def zip_map(call: Call) -> Result:
    """The tensor itself: a dictionary for each row, from class names to its columns, in order."""
    call.ignored("classlabels_int64s", "classlabels_strings")
    return call.value(0)


def imputer(call: Call) -> Result:
    """The columns themselves: real numbers are never the NaN that is replaced. Among integers
    `replaced_value_int64` is replaced, which is one of them."""
    call.ignored("imputed_value_floats", "imputed_value_int64s", "replaced_value_int64")
    value = call.value(0)
    if value.dtype not in FLOATS:
        raise UnsupportedError(f"Imputer of {dtype_name(value.dtype)}",
                               expected="a Cast to floats before it")
    # The standard's default replaces zeros.
    replaced = call.any_float("replaced_value_float", 0.0)
    if not isinstance(value, Tensor) or not math.isnan(replaced):
        raise UnsupportedError(f"Imputer that replaces {replaced}", expected="one of NaN alone")
    return value


def feature_vectorizer(call: Call) -> Result:
    """Columns side by side, as floats: of one axis the standard makes a row, of more it says
    nothing."""
    sizes = call.ints_("inputdimensions") or []
    parts = [call.number(k) for k in range(len(call.inputs))]
    shapes = [call.low.shape(part) for part in parts]
    if any(len(shape) != 2 for shape in shapes):
        raise UnsupportedError(f"FeatureVectorizer of shapes {[list(s) for s in shapes]}",
                               expected="rows of columns, of two axes")
    rows = {shape[0] for shape in shapes}
    if len(rows) != 1 or [shape[1] for shape in shapes] != sizes:
        raise InputError(f"FeatureVectorizer of shapes {[list(s) for s in shapes]}",
                         expected=f"{sizes} columns of as many rows")
    node = parts[0] if len(parts) == 1 else call.low.add(Concat(1), *parts)
    return call.low.wrap(node, FLOAT)


def binarizer(call: Call) -> Result:
    """1 where a number is above the threshold, else 0: a gate."""
    threshold = np.array(float(call.float_("threshold", 0.0)))
    above = call.low.step(call.low.combine([(call.node(0), 1)], -threshold))
    return call.low.wrap(above, call.dtype)


def normalizer(call: Call) -> Result:
    """Rows divided by their norms: of probabilities, by their sum.

    A softmax adds up to 1 already; sigmoids divided by their sum are a head of their own. Any other
    norm is no piecewise linear function.
    """
    norm, value = call.str_("norm", "MAX"), call.value(0)
    head = value.head if isinstance(value, Tensor) else None
    if math.prod(value.shape[:-1]) != 1:
        # Sound: each row is divided by its own norm, and a head is a function of all elements.
        raise UnsupportedError(f"Normalizer of shape {list(value.shape)}", expected="one row")
    if norm == "L1" and isinstance(value, Tensor) and head is not None:
        if head.kind == "softmax":
            return replace(value, dtype=FLOAT)
        if head.kind == "sigmoid" and math.prod(value.shape) > 1:
            return _shaped(call, normalized_head(call.low, head.logits, FLOAT), value)
    raise UnsupportedError(f"Normalizer by the norm {norm} of what is no probability",
                           expected="the L1 norm of a classifier's probabilities")


def _shaped(call: Call, made: Tensor, like: Value) -> Value:
    return call.low.move(made, lambda places: places.reshape(like.shape))


RULES: Mapping[str, Rule] = {
    "ZipMap": Rule(zip_map),
    "Imputer": Rule(imputer),
    "FeatureVectorizer": Rule(feature_vectorizer, 1, None),
    "Binarizer": Rule(binarizer),
    "Normalizer": Rule(normalizer),
}
