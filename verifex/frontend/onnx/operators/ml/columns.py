"""ai.onnx.ml operators on columns of features, and on what a classifier hands out."""

from __future__ import annotations

from collections.abc import Mapping

from verifex.frontend.onnx.operators.call import Call, Result, Rule


def zip_map(call: Call) -> Result:
    """The tensor itself: a dictionary for each row, from class names to its columns, in order."""
    for name in ("classlabels_int64s", "classlabels_strings"):
        call.ignored(name)
    return call.value(0)


RULES: Mapping[str, Rule] = {"ZipMap": Rule(zip_map)}
