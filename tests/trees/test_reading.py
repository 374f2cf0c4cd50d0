"""Files of decision trees: what both readers compute is what onnxruntime and a plain walk say."""

from __future__ import annotations

import random
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest

from tests.helpers import checker_parts as checker
from tests.trees.forests import (
    MODES,
    Model,
    classifier,
    ensemble,
    points,
    random_model,
    random_tree,
    regressor,
    save,
)
from verifex.errors import VerifexError
from verifex.frontend import load
from verifex.semantics.evaluate import evaluate_exact, evaluate_float


def both(path: Path, rows: list[list[Fraction]], output: str = "y") -> list[list[Fraction]]:
    """Exact outputs at points, which both readers agree on."""
    graph, net = load(path, outputs=[output]), checker.Network(checker.read(str(path))[0])
    node, tensor, found = graph.outputs[output], net.output(output), []
    for row in rows:
        mine = evaluate_exact(graph, row, [node])[node].fractions()
        theirs = checker.exactly(net.graph, tensor.node(), row, False)
        assert mine == theirs
        found.append(mine)
    return found


def runtime(path: Path, rows: list[list[Fraction]], output: str = "y") -> Any:
    session = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    x = np.array([[float(v) for v in row] for row in rows], dtype=np.float32)
    return session.run([output], {session.get_inputs()[0].name: x})[0]


FILES: dict[str, tuple[Callable[[Model], Any], int]] = {
    "regressor 1": (lambda model: regressor(model, 1), 1),
    "regressor 3": (lambda model: regressor(model, 3), 3),
    "classifier 1": (lambda model: classifier(model), 1),
    "ensemble 5": (ensemble, 5),
}


@pytest.mark.parametrize("kind", FILES)
@pytest.mark.parametrize("seed", range(6))
def test_values_are_those_of_the_trees(kind: str, seed: int, tmp_path: Path) -> None:
    """All modes, several weights a leaf or none, means, base values; on thresholds too."""
    rng = random.Random(f"{kind} {seed}")
    make, version = FILES[kind]
    model = random_model(rng, trees=rng.randint(1, 4), features=3, outputs=3, depth=4,
                         modes=tuple(MODES), mean=seed % 2 == 1 and version != 1)
    if kind == "ensemble 5":  # one weight a leaf
        model = model._replace(trees=[_single(t) for t in model.trees], base=[0.0] * 3)
    if kind == "classifier 1":
        model = model._replace(mean=False)
    if any(model.base):  # a tree that has a weight for every output
        model = model._replace(trees=[*model.trees, [0.5, -0.25, 0.0]])
    path = save(tmp_path / "t.onnx", make(model), 3, 3, version)
    rows = points(rng, model, 30)
    found = both(path, rows)
    assert found == [model.value(row) for row in rows]
    if version != 3:  # onnxruntime takes tensors of float64 with inputs of float64 only
        told = runtime(path, rows)
        assert np.allclose(told, [[float(v) for v in row] for row in found], atol=1e-5)


def _single(tree: Any) -> Any:
    """The tree with one weight a leaf."""
    if isinstance(tree, tuple):
        return (*tree[:3], _single(tree[3]), _single(tree[4]))
    k = next((k for k, w in enumerate(tree) if w), 0)
    return [tree[k] or 0.0 if j == k else None for j in range(len(tree))]


def test_a_base_value_that_runtimes_leave_out_is_refused(tmp_path: Path) -> None:
    """Where no weight is reached, onnxruntime does not add it; the standard does."""
    model = Model([("BRANCH_LEQ", 0, 0.0, [None, 1.0], [1.0, 1.0])], 1, 2, [0.5, 0.0])
    path = save(tmp_path / "t.onnx", regressor(model, 1), 1, 2, 1)
    assert runtime(path, [[Fraction(-1)]]).tolist() == [[0.0, 1.0]]
    with pytest.raises(VerifexError, match="base value of output 0"):
        load(path)
    with pytest.raises(checker.Bad, match="unsupported base value"):
        checker.Network(checker.read(str(path))[0]).output("y")


@pytest.mark.parametrize("mixed", [True, False])
@pytest.mark.parametrize("base", [[], [0.25]])
def test_two_classes_with_one_column_of_weights(
    mixed: bool, base: list[float], tmp_path: Path
) -> None:
    """As onnxruntime does it: (-s, s), or (1 - s, s) where no weight is negative."""
    rng = random.Random(3)
    trees = [random_tree(rng, 2, 1, 3, ["BRANCH_LEQ"], [0.0, 0.5]) for _ in range(3)]
    trees = [_shared(t, mixed) for t in trees]
    model = Model(trees, 2, 2, [0.0, 0.0])
    node = classifier(model, base_values=base) if base else classifier(model)
    path = save(tmp_path / "t.onnx", node, 2, 2, 1)
    rows = points(rng, model, 20)
    assert np.allclose(
        runtime(path, rows), [[float(v) for v in row] for row in both(path, rows)], atol=1e-6)


def _shared(tree: Any, mixed: bool, column: int = 0) -> Any:
    """The tree with a weight at every leaf, for one of two classes."""
    if isinstance(tree, tuple):
        ends = (_shared(end, mixed, column) for end in tree[3:])
        return (*tree[:3], *ends)
    weight = (tree[0] or 0.5) if mixed else abs(tree[0] or 0.5)
    return [weight if k == column else None for k in range(2)]


def test_weights_of_the_second_class_alone_are_refused(tmp_path: Path) -> None:
    """onnxruntime computes (0, s) from them, which nothing in the standard says."""
    tree = _shared(("BRANCH_LEQ", 0, 0.0, [1.0], [-1.0]), True, column=1)
    path = save(tmp_path / "t.onnx", classifier(Model([tree], 1, 2, [0.0, 0.0])), 1, 2, 1)
    with pytest.raises(VerifexError, match="second of two classes"):
        load(path, outputs=["y"])
    with pytest.raises(checker.Bad, match="second class alone"):
        checker.Network(checker.read(str(path))[0]).output("y")


def test_float_evaluation_sees_thresholds_exactly(tmp_path: Path) -> None:
    """On a threshold, and one float to either side of it."""
    threshold = float(np.float32(0.1))
    model = Model([("BRANCH_LEQ", 0, threshold, [1.0], [2.0])], 1, 1, [0.0])
    graph = load(save(tmp_path / "t.onnx", regressor(model, 1), 1, 1, 1))
    x = np.array([[threshold], [np.nextafter(threshold, 1)], [np.nextafter(threshold, 0)], [0.1]])
    assert evaluate_float(graph, x, [graph.outputs["y"]])[graph.outputs["y"]].ravel().tolist() == [
        1.0, 2.0, 1.0, 1.0]  # the float32 nearest to 0.1 is greater than the float64


BROKEN: dict[str, tuple[dict[str, Any], str]] = {
    "aggregate": ({"aggregate_function": "MAX"}, "aggregate.function"),
    "transform": ({"post_transform": "PROBIT"}, "post_transform"),
    "mode": ({"nodes_modes": ["BRANCH_SOMEHOW", "LEAF", "LEAF"]}, "SOMEHOW|Invalid mode"),
    "child": ({"nodes_falsenodeids": [7, 0, 0]}, "not there|parent|order of nodes"),
    "loop": ({"nodes_falsenodeids": [0, 0, 0]}, "root|order of nodes"),
    "weights": ({"target_nodeids": [0, 2]}, "leaves|no leaf"),
    "target": ({"target_ids": [0, 5]}, "target_ids|no output"),
    "twice": ({"target_nodeids": [1, 1]}, "two weights|second weight"),
    "values": ({"nodes_values": [0.0, 0.0]}, "nodes_values|modes or values"),
    "feature": ({"nodes_featureids": [9, 0, 0]}, "not there|no such feature"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_no_tree_is_refused_by_both(name: str, tmp_path: Path) -> None:
    changes, said = BROKEN[name]
    node = regressor(Model([("BRANCH_LEQ", 0, 0.5, [1.0], [2.0])], 1, 1, [0.0]), 1)
    kept = [a for a in node.attribute if a.name not in changes]
    del node.attribute[:]
    from onnx import helper

    node.attribute.extend([*kept, *(helper.make_attribute(k, v) for k, v in changes.items())])
    path = save(tmp_path / "t.onnx", node, 1, 1, 1)
    with pytest.raises(VerifexError, match=said):
        load(path)
    net = checker.Network(checker.read(str(path))[0])
    with pytest.raises(checker.Bad, match=said):
        net.output("y")


@pytest.mark.parametrize("mode", [-1, 6, 256, 2**31])
def test_a_mode_that_is_none_is_refused_by_both(mode: int, tmp_path: Path) -> None:
    """As numbers of int32 in a tensor of uint8."""
    node = ensemble(Model([("BRANCH_LEQ", 0, 0.5, [1.0], [2.0])], 1, 1, [0.0]))
    (modes,) = (a.t for a in node.attribute if a.name == "nodes_modes")
    modes.ClearField("raw_data")
    modes.int32_data.append(mode if mode < 2**31 else -(2**31))
    path = save(tmp_path / "t.onnx", node, 1, 1, 5)
    with pytest.raises(VerifexError, match=r"nodes_modes|range of uint8|MEMBER"):
        load(path)
    with pytest.raises(checker.Bad, match="modes"):
        checker.Network(checker.read(str(path))[0]).output("y")
