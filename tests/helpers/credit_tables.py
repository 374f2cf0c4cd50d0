"""Trained credit networks with categories that may change and an age in whole years.

Adult has seven features that are 0 or 1, German credit twelve one-hot groups. The networks read
features scaled to [0, 1]; age is put back into years here, so that it is a whole number.
"""

from __future__ import annotations

import csv
import gzip
import json
import re
from fractions import Fraction
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper

TARGETS = {"adult": "income", "german": "credit-risk"}
FREE = {"adult": r"(sex|workclass|marital-status|occupation|relationship|race|native-country)_",
        "german": r"(housing|job|savings)_"}
QUESTIONS = {"class": 'class = "unchanged"', "top-3": "top_k = 3", "sign": 'sign = "unchanged"'}
YEARS = 5


class CreditTable:
    """The rows of a data set, and its network with age in years."""

    def __init__(self, name: str, folder: Path, out: Path) -> None:
        with gzip.open(folder / "data" / f"{name}-test.csv.gz", "rt", newline="") as file:
            header, *rows = csv.reader(file)
        keep = [i for i, column in enumerate(header) if column != TARGETS[name]]
        self.name, self.names = name, [header[i] for i in keep]
        self.rows = [[Fraction(row[i]) for i in keep] for row in rows]
        self.lo, self.hi = ([f(c) for c in zip(*self.rows, strict=True)] for f in (min, max))
        self.network = out / f"{name}.onnx"
        onnx.save(self._in_years(folder / "onnx" / f"{name}_ann.onnx"), str(self.network))

    def _in_years(self, path: Path) -> onnx.ModelProto:
        model, age = onnx.load(str(path)), self.names.index("age")
        tensors = {t.name: t for t in model.graph.initializer}
        weights, bias = (numpy_helper.to_array(tensors[n]).astype(float) for n in ("W0", "b0"))
        years = float(self.hi[age] - self.lo[age])
        moved = bias - weights[age] * float(self.lo[age]) / years
        scaled = weights.copy()
        scaled[age] /= years
        for name, value in (("W0", scaled), ("b0", moved)):
            tensors[name].CopyFrom(numpy_helper.from_array(value.astype(np.float32), name))
        return model

    def groups(self) -> list[list[str]]:
        """One-hot groups among the features that may change."""
        found: dict[str, list[str]] = {}
        for feature in self.names if self.name == "german" else ():
            if re.match(FREE["german"], feature):
                found.setdefault(feature.rsplit("_", 1)[0], []).append(feature)
        return list(found.values())

    def spec(self, row: int, what: str) -> str:
        """A spec about a row: its free features and its age, some years up or down, may change."""
        point = [
            str(v if n == "age" else (v - a) / (b - a) if b > a else v - a)
            for n, v, a, b in zip(self.names, self.rows[row], self.lo, self.hi, strict=True)
        ]
        free = [n for n in self.names if re.match(FREE[self.name], n)]
        radii = {"age": YEARS, **dict.fromkeys(free, 1)}
        box = {n: (17, 90) if n == "age" else (0, 1) for n in self.names}
        lo, hi = (
            ", ".join(f"{json.dumps(n)} = {box[n][side]}" for n in self.names) for side in (0, 1))
        groups = self.groups()
        whole = ["age", *(() if groups else free)]
        return f"""verifex = 1
name = "{self.name} row {row}, {what}"
[input]
point = {json.dumps(point)}
names = {json.dumps(self.names)}
[region]
linf = {{ {", ".join(f"{json.dumps(n)} = {r}" for n, r in radii.items())} }}
clip = {{ lo = {{ {lo} }}, hi = {{ {hi} }} }}
integer = {json.dumps(whole)}
one_hot = {json.dumps(groups)}
[explain]
attribution = "gradient"
output = "predicted"
reduce = "{"abs" if what == "top-3" else "signed"}"
[[require]]
{QUESTIONS[what]}
"""
