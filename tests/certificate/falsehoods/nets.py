"""Small networks in exact arithmetic: values and derivatives at a point, and properties there.

Nothing of verifex is used: numbers are fractions, derivatives are carried forward beside values,
properties are written down from specs/LANGUAGE.md.
"""

from __future__ import annotations

import operator
import random
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from tests.certificate.falsehoods.claims import Vector

Rows = tuple[Vector, ...]


class Unclear(Exception):
    """A point on a kink, a tie, or a ratio to zero: nothing is said about it."""


@dataclass(frozen=True)
class Layer:
    """act(rows x + bias); with `residual`, plus what act was applied to."""

    rows: Rows
    bias: Vector
    act: str = "none"
    residual: bool = False
    quarter: Any = Fraction(1, 4)  # the slope of a leaky unit below 0, in the layer's arithmetic

    def low(self) -> Any:
        """The slope below 0."""
        return self.quarter if self.act == "leaky" else {"relu": 0, "abs": -1}[self.act]


@dataclass(frozen=True)
class Net:
    layers: tuple[Layer, ...]

    @property
    def size(self) -> int:
        return len(self.layers[0].rows[0])

    @property
    def outputs(self) -> int:
        return len(self.layers[-1].bias)

    def values(self, x: Sequence[Fraction]) -> Vector:
        return self.both(x, False)[0]

    def both(self, x: Sequence[Fraction], slopes: bool = True
             ) -> tuple[Vector, list[list[Fraction]]]:
        """Outputs, and for every output the derivatives by the inputs; Unclear on a kink."""
        now, rows = list(x), [[int(i == j) for i in range(len(x))] for j in range(len(x))]
        for layer in self.layers:
            z = [sum(map(_times, row, now), b) for row, b in zip(layer.rows, layer.bias)]
            rows = [[sum(w * rows[k][i] for k, w in enumerate(row) if w)
                     for i in range(len(x))] for row in layer.rows] if slopes else rows
            if layer.act == "none":
                now = z
                continue
            if slopes and not all(z):
                raise Unclear
            low = layer.low()
            turns = [1 if v > 0 else low for v in z]
            turns = [t + layer.residual for t in turns]
            now = [t * v for t, v in zip(turns, z)]
            rows = [[t * d for d in row] for t, row in zip(turns, rows)] if slopes else rows
        return tuple(now), rows

    def rounded(self) -> Net:
        """The same in floating-point numbers."""
        def near(v: Any) -> Any:
            return tuple(map(near, v)) if isinstance(v, tuple) else float(v)

        return Net(tuple(Layer(near(v.rows), near(v.bias), v.act, v.residual, .25)
                         for v in self.layers))

    def onnx(self) -> bytes:
        return written([self])


def _times(a: Fraction, b: Fraction) -> Fraction:
    return a * b


def weight(rng: random.Random, scale: int = 16) -> Fraction:
    return rng.choice((-1, 1)) * Fraction(rng.randint(1, 2 * scale), scale)


def net(rng: random.Random, size: int, outputs: int, widths: Sequence[int]) -> Net:
    """A network with random weights k/16."""
    layers, last = [], size
    for width in (*widths, outputs):
        rows = tuple(tuple(weight(rng) for _ in range(last)) for _ in range(width))
        act = rng.choice(("relu", "relu", "relu", "leaky", "abs"))
        layers.append(Layer(rows, tuple(weight(rng) / 2 for _ in range(width)), act,
                            rng.random() < 0.15))
        last = width
    end = layers.pop()
    return Net((*layers, Layer(end.rows, end.bias)))


def written(nets: Sequence[Net], names: Sequence[str] = ("y",), inputs: Sequence[str] = ("x",),
            sizes: Sequence[int] = ()) -> bytes:
    """Networks of the same inputs in one file, an output each; several inputs are put in a row."""
    sizes, nodes, stored = list(sizes) or [nets[0].size], [], []
    start = inputs[0]
    if len(inputs) > 1:
        start = "all"
        nodes.append(helper.make_node("Concat", list(inputs), [start], axis=1))
    for k, each in enumerate(nets):
        now = start
        for depth, layer in enumerate(each.layers):
            tag = f"{k}_{depth}"
            for label, value in (("w", layer.rows), ("b", layer.bias)):
                array = np.array([[float(v) for v in row] for row in value] if label == "w"
                                 else [float(v) for v in value], np.float32)
                stored.append(numpy_helper.from_array(array, label + tag))
            end = depth == len(each.layers) - 1
            z = names[k] if end else f"z{tag}"
            nodes.append(helper.make_node("Gemm", [now, f"w{tag}", f"b{tag}"], [z], transB=1))
            now = z
            if not end:
                now = _activated(layer, z, f"a{tag}", nodes)
    graph = helper.make_graph(
        nodes, "g", [helper.make_tensor_value_info(n, TensorProto.FLOAT, [1, s])
                     for n, s in zip(inputs, sizes)],
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, [1, e.outputs])
         for n, e in zip(names, nets)], stored)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    return bytes(model.SerializeToString())


def _activated(layer: Layer, z: str, out: str, nodes: list[Any]) -> str:
    kind = {"relu": "Relu", "leaky": "LeakyRelu", "abs": "Abs"}[layer.act]
    nodes.append(helper.make_node(kind, [z], [out], **({"alpha": 0.25} if kind == "LeakyRelu"
                                                       else {})))
    if not layer.residual:
        return out
    nodes.append(helper.make_node("Add", [out, z], [out + "r"]))
    return out + "r"


# --- explanations and properties ------------------------------------------------------------


@dataclass(frozen=True)
class Explain:
    """What is explained: weights of the outputs (found at the reference) and how."""

    weights: tuple[int, ...]
    times_input: bool = False
    absolute: bool = False


@dataclass(frozen=True)
class State:
    """A network at a point: outputs, attribution, derivative of what is explained."""

    outputs: Vector
    parts: Vector
    slope: Vector


def state(of: Net, explain: Explain, x: Sequence[Fraction]) -> State:
    outputs, rows = of.both(x)
    slope = tuple(sum((w * r[i] for w, r in zip(explain.weights, rows) if w), 0)
                  for i in range(of.size))
    parts = tuple(v * s for v, s in zip(x, slope)) if explain.times_input else slope
    return State(outputs, tuple(map(abs, parts)) if explain.absolute else parts, slope)


def weights_of(output: str, outputs: Sequence[Fraction]) -> tuple[int, ...]:
    """`logit:c`, `margin:c,j`, `sum` or `predicted` as weights of the outputs."""
    n = len(outputs)
    if output == "sum":
        return (1,) * n
    if output == "predicted":
        return tuple(int(j == best(outputs)) for j in range(n))
    kind, _, tail = output.partition(":")
    picks = [int(p) for p in tail.split(",")]
    return tuple((j == picks[0]) - (kind == "margin" and j == picks[1]) for j in range(n))


def best(values: Sequence[Fraction]) -> int:
    top = max(values)
    if list(values).count(top) > 1:
        raise Unclear
    return list(values).index(top)


def kept(value: Fraction, p: dict[str, Any], unit: Fraction = Fraction(1), power: int = 1) -> bool:
    """Whether a value keeps all bounds of a property."""
    return all(test(value, Fraction(p[k]) ** power * unit) for k, test in TESTS.items() if k in p)


TESTS = {"at_least": operator.ge, "at_most": operator.le, "above": operator.gt,
         "below": operator.lt}


def holds(p: dict[str, Any], at: State, ref: State) -> bool:
    """Whether a property holds at a point; Unclear where that hangs on a tie or a ratio to 0."""
    for key, test in PROPERTIES.items():
        if key in p:
            return test(p, at, ref)
    raise KeyError(p)


def _class(p: dict[str, Any], at: State, ref: State) -> bool:
    want = best(ref.outputs) if p["class"] == "unchanged" else p["class"]
    return best(at.outputs) == want


def _output(p: dict[str, Any], at: State, ref: State) -> bool:
    weights = weights_of(p["output"], ref.outputs)
    return kept(sum(map(_times, weights, at.outputs), Fraction(0)), p)


def _sign(p: dict[str, Any], at: State, ref: State) -> bool:
    if not all(ref.parts):
        raise Unclear
    same = sum(a * b > 0 for a, b in zip(at.parts, ref.parts))
    return same >= p.get("at_least", len(ref.parts))


def _distance(p: dict[str, Any], at: State, ref: State) -> bool:
    change = [abs(a - b) for a, b in zip(at.parts, ref.parts)]
    size, unit = ({"l1": sum, "linf": max, "l2": lambda v: sum(x * x for x in v)}[p["distance"]](
        list(map(abs, v))) for v in (change, ref.parts))
    if p.get("relative") and not unit:
        raise Unclear
    return kept(Fraction(size), p, Fraction(unit if p.get("relative") else 1),
                1 + (p["distance"] == "l2"))


def _cosine(p: dict[str, Any], at: State, ref: State) -> bool:
    dot = sum(map(_times, at.parts, ref.parts), Fraction(0))
    lengths = [sum(v * v for v in s.parts) for s in (at, ref)]
    if not all(lengths):
        raise Unclear
    least = Fraction(p["at_least"])
    bound = least * abs(least) * lengths[0] * lengths[1]  # of dot * abs(dot)
    return dot * abs(dot) >= bound


def _mass(p: dict[str, Any], at: State, ref: State) -> bool:
    sizes = list(map(abs, at.parts))
    if not sum(sizes):
        raise Unclear
    return kept(sum((sizes[i] for i in p["mass"]), Fraction(0)) / sum(sizes), p)


def _top_k(p: dict[str, Any], at: State, ref: State) -> bool:
    k, tops = p["top_k"], []
    for parts in (at.parts, ref.parts):
        order = sorted(range(len(parts)), key=lambda i, parts=parts: -parts[i])  # type: ignore[misc]
        if k < len(order) and parts[order[k - 1]] == parts[order[k]]:
            raise Unclear
        tops.append(set(order[:k]))
    return len(tops[0] & tops[1]) >= p.get("overlap_at_least", k)


def _order(p: dict[str, Any], at: State, ref: State) -> bool:
    wanted = p["order"]
    if wanted == "unchanged":
        if len(set(ref.parts)) < len(ref.parts):
            raise Unclear
        wanted = sorted(range(len(ref.parts)), key=lambda i: -ref.parts[i])
    return all(at.parts[a] > at.parts[b] for a, b in pairwise(wanted))


def _monotone(p: dict[str, Any], at: State, ref: State) -> bool:
    return at.slope[p["feature"]] * (1 if p["monotone"] == "increasing" else -1) >= 0


PROPERTIES: dict[str, Any] = {
    "not": lambda p, at, ref: not holds(p["not"], at, ref),
    "all": lambda p, at, ref: all([holds(q, at, ref) for q in p["all"]]),
    "any": lambda p, at, ref: any([holds(q, at, ref) for q in p["any"]]),
    "class": _class, "monotone": _monotone, "output": _output, "sign": _sign,
    "component": lambda p, at, ref: kept(at.parts[p["component"]], p), "distance": _distance,
    "similarity": _cosine, "mass": _mass, "top_k": _top_k, "order": _order,
}
