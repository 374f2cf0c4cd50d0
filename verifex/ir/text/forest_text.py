"""The text form of decision trees (see `verifex.ir.text.document`)."""

from __future__ import annotations

from typing import Any

import numpy as np

from verifex.errors import InputError
from verifex.ir.text.checked import fields, read_bool, read_float, read_int, read_ints, read_list
from verifex.ir.trees.forest import Forest


def forest_to_json(forest: Forest) -> dict[str, Any]:
    """The trees as JSON data."""
    columns = ("feature", "threshold", "strict", "left", "right", "roots")
    return {"inputs": forest.inputs, **{c: getattr(forest, c).tolist() for c in columns}}


def forest_from_json(data: Any, where: str) -> Forest:
    """The inverse of `forest_to_json`; raises InputError on anything malformed."""
    inputs, feature, threshold, strict, left, right, roots = fields(
        data, where, "inputs feature threshold strict left right roots")
    thresholds = [read_float(v, where) for v in read_list(threshold, where)]
    stricts = [read_bool(v, where) for v in read_list(strict, where)]
    try:
        wholes = [np.array(read_ints(v, where), dtype=np.int64)
                  for v in (feature, left, right, roots)]
        return Forest(
            read_int(inputs, where), wholes[0], np.array(thresholds, dtype=np.float64),
            np.array(stricts, dtype=bool), *wholes[1:])
    except OverflowError:
        raise InputError("a number beyond 64 bits", expected="nodes of trees", key=where) from None
    except InputError as error:
        raise error.at(key=where) from None
