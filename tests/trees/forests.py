"""Random forests as ONNX files of every version, and their values by another reading of the trees.

A tree is nested: a leaf is a list of weights (None: no weight for that output), anything else
(mode, feature, value, true branch, false branch).
"""

from __future__ import annotations

import operator
import random
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from onnx import TensorProto, helper, numpy_helper

MODES: dict[str, Callable[[Any, Any], bool]] = {
    "BRANCH_LEQ": operator.le, "BRANCH_LT": operator.lt, "BRANCH_GTE": operator.ge,
    "BRANCH_GT": operator.gt, "BRANCH_EQ": operator.eq, "BRANCH_NEQ": operator.ne,
}


class Model(NamedTuple):
    """A forest: its trees, how many features and outputs, what is added, whether it is a mean."""

    trees: list[Any]
    features: int
    outputs: int
    base: list[float]
    mean: bool = False

    def value(self, x: Sequence[Fraction]) -> list[Fraction]:
        """The exact outputs at a point."""
        total = [Fraction(0)] * self.outputs
        for tree in self.trees:
            while isinstance(tree, tuple):
                mode, feature, value, yes, no = tree
                tree = yes if MODES[mode](x[feature], Fraction(value)) else no
            total = [t + Fraction(w or 0) for t, w in zip(total, tree, strict=True)]
        share = Fraction(1, len(self.trees)) if self.mean else Fraction(1)
        return [t * share + Fraction(b) for t, b in zip(total, self.base, strict=True)]

    def thresholds(self) -> list[set[Fraction]]:
        """The values that each feature is compared with."""
        found: list[set[Fraction]] = [set() for _ in range(self.features)]
        stack = list(self.trees)
        while stack:
            tree = stack.pop()
            if isinstance(tree, tuple):
                found[tree[1]].add(Fraction(tree[2]))
                stack += tree[3:]
        return found


def random_tree(
    rng: random.Random, features: int, outputs: int, depth: int, modes: Sequence[str],
    values: Sequence[float],
) -> Any:
    """A tree of at most this depth."""
    if depth == 0 or rng.random() < 0.15:
        return [None if rng.random() < 0.2 else rng.randint(-8, 8) / 8 for _ in range(outputs)]
    yes, no = (random_tree(rng, features, outputs, depth - 1, modes, values) for _ in "yn")
    return rng.choice(modes), rng.randrange(features), rng.choice(values), yes, no


def random_model(
    rng: random.Random, *, trees: int, features: int, outputs: int, depth: int = 3,
    modes: Sequence[str] = ("BRANCH_LEQ",), values: Sequence[float] = (-1, -0.5, 0, 0.5, 1),
    mean: bool = False,
) -> Model:
    made = [random_tree(rng, features, outputs, depth, modes, values) for _ in range(trees)]
    base = [rng.randint(-4, 4) / 4 for _ in range(outputs)]
    return Model(made, features, outputs, base, mean)


# --- files ---------------------------------------------------------------------------------------


def listed(model: Model) -> tuple[dict[str, list[Any]], list[tuple[int, int, int, float]]]:
    """The nodes of versions 1 to 4, and the weights: tree, node, output, weight."""
    columns: dict[str, list[Any]] = {k: [] for k in (
        "treeids", "nodeids", "featureids", "modes", "values", "truenodeids", "falsenodeids")}
    weights = []
    for t, root in enumerate(model.trees):
        queue, at = [root], 0
        while at < len(queue):
            tree = queue[at]
            leaf = not isinstance(tree, tuple)
            mode, feature, value = ("LEAF", 0, 0.0) if leaf else tree[:3]
            ends = (0, 0) if leaf else (len(queue), len(queue) + 1)
            if leaf:
                weights += [(t, at, k, w) for k, w in enumerate(tree) if w is not None]
            else:
                queue += tree[3:]
            for name, entry in zip(columns, (t, at, feature, mode, value, *ends), strict=True):
                columns[name].append(entry)
            at += 1
    return {f"nodes_{k}": v for k, v in columns.items()}, weights


def regressor(model: Model, version: int) -> Any:
    """A TreeEnsembleRegressor; in version 3 its numbers are tensors of float64."""
    nodes, weights = listed(model)
    numbers = {"nodes_values": nodes.pop("nodes_values"),
               "target_weights": [float(w[3]) for w in weights], "base_values": model.base}
    if version == 3:
        numbers = {f"{k}_as_tensor": numpy_helper.from_array(np.array(v, dtype=np.float64), k)
                   for k, v in numbers.items()}
    else:
        numbers = {k: [float(n) for n in v] for k, v in numbers.items()}
    return helper.make_node(
        "TreeEnsembleRegressor", ["x"], ["y"], domain="ai.onnx.ml", n_targets=model.outputs,
        aggregate_function="AVERAGE" if model.mean else "SUM", **nodes, **numbers,
        target_treeids=[w[0] for w in weights], target_nodeids=[w[1] for w in weights],
        target_ids=[w[2] for w in weights])


def classifier(model: Model, transform: str = "NONE", classes: int = 0, **more: Any) -> Any:
    """A TreeEnsembleClassifier of version 1 with labels 0, 1, ..."""
    nodes, weights = listed(model)
    base = {"base_values": model.base} if any(model.base) else {}
    return helper.make_node(
        "TreeEnsembleClassifier", ["x"], ["label", "y"], domain="ai.onnx.ml",
        post_transform=transform, classlabels_int64s=list(range(classes or model.outputs)),
        **{k: [float(n) for n in v] if k == "nodes_values" else v for k, v in nodes.items()},
        class_treeids=[w[0] for w in weights], class_nodeids=[w[1] for w in weights],
        class_ids=[w[2] for w in weights], class_weights=[float(w[3]) for w in weights],
        **base, **more)


def ensemble(model: Model) -> Any:
    """A TreeEnsemble of version 5, which has one output a leaf and no base values."""
    numbers: dict[str, list[Any]] = {k: [] for k in (
        "featureids", "splits", "modes", "truenodeids", "trueleafs", "falsenodeids", "falseleafs")}
    goals: list[int] = []
    weights: list[float] = []
    roots = []

    def leaf(tree: Any) -> int:
        goals.append(next((k for k, w in enumerate(tree) if w), 0))
        weights.append(tree[goals[-1]] or 0.0)
        return len(goals) - 1

    def node(tree: Any) -> int:
        place = len(numbers["modes"])
        for column in numbers.values():
            column.append(0)
        mode, feature, value, yes, no = tree
        numbers["featureids"][place], numbers["splits"][place] = feature, value
        numbers["modes"][place] = list(MODES).index(mode)
        for side, end in (("true", yes), ("false", no)):
            inner = isinstance(end, tuple)
            numbers[f"{side}leafs"][place] = int(not inner)
            numbers[f"{side}nodeids"][place] = node(end) if inner else leaf(end)
        return place

    for tree in model.trees:
        roots.append(node(tree if isinstance(tree, tuple) else ("BRANCH_LEQ", 0, 0.0, tree, tree)))
    modes = numbers.pop("modes")
    splits = np.array(numbers.pop("splits"), dtype=np.float32)
    return helper.make_node(
        "TreeEnsemble", ["x"], ["y"], domain="ai.onnx.ml", n_targets=model.outputs,
        aggregate_function=0 if model.mean else 1, tree_roots=roots,
        nodes_splits=numpy_helper.from_array(splits, "splits"),
        nodes_modes=numpy_helper.from_array(np.array(modes, dtype=np.uint8), "modes"),
        leaf_targetids=goals,
        leaf_weights=numpy_helper.from_array(np.array(weights, dtype=np.float32), "weights"),
        **{f"nodes_{k}": v for k, v in numbers.items()})


def save(
    path: Path, node: Any, features: int, outputs: int, version: int,
    before: Sequence[Any] = (), start: str = "x",
) -> Path:
    """A file of one operator, after others of ai.onnx.ml that begin at the input `start`."""
    shown = [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, outputs])]
    if "label" in node.output:
        shown.insert(0, helper.make_tensor_value_info("label", TensorProto.INT64, [None]))
    graph = helper.make_graph(
        [*before, node], "g",
        [helper.make_tensor_value_info(start, TensorProto.FLOAT, [None, features])], shown)
    model = helper.make_model(graph, opset_imports=[
        helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", version)])
    model.ir_version = 9
    path.write_bytes(model.SerializeToString())
    return path


def points(rng: random.Random, model: Model, count: int) -> list[list[Fraction]]:
    """Points whose numbers are on thresholds more often than not."""
    found = []
    for _ in range(count):
        row = []
        for known in model.thresholds():
            at = rng.choice(sorted(known)) if known else Fraction(0)
            row.append(at + rng.choice([0, 0, Fraction(1, 4), -Fraction(1, 4), 3, -3]))
        found.append(row)
    return found
