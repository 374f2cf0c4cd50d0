"""Decision trees and forests of ai.onnx.ml: TreeEnsembleRegressor, -Classifier and TreeEnsemble.

What they compute is piecewise constant: `TreeLeaves` says which leaf of each tree is reached, and
the outputs are sums of the weights of these. Thresholds and weights are the exact values of the
stored floats. Missing values are no real numbers: `nodes_missing_value_tracks_true` says nothing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import NamedTuple

import numpy as np

from verifex.errors import InputError, UnsupportedError
from verifex.frontend.onnx.lowering import floats_of, scaled
from verifex.frontend.onnx.operators.call import Call, Result, Rule
from verifex.frontend.onnx.operators.heads import binary_head, sigmoid_head, softmax_head
from verifex.frontend.onnx.operators.ml.tree_nodes import (
    MODES,
    Branch,
    Unrolled,
    unrolled,
)
from verifex.frontend.onnx.values import FLOAT, Tensor, Whole
from verifex.ir.exact import FloatArray, as_float
from verifex.ir.linmap import Dense
from verifex.ir.ops import TreeLeaves
from verifex.ir.trees.forest import forest_of

LEAF = "LEAF"

Weights = Mapping[int, Mapping[int, float]]
"""For the position of a leaf: what it adds to each target that it adds to."""


class Ensemble(NamedTuple):
    """Trees, the weights of their leaves, and how many numbers come out."""

    trees: Sequence[Unrolled]
    weights: Weights
    targets: int


# --- reading -------------------------------------------------------------------------------------


def _numbers(call: Call, name: str) -> list[float]:
    """Floats that are an attribute, or, from version 3 on, a tensor beside it."""
    given = call.floats_(name) or []
    tensor = call.tensor_(f"{name}_as_tensor") if call.given(f"{name}_as_tensor") else None
    if tensor is None:
        return given
    if given:
        raise InputError(f"attributes '{name}' and '{name}_as_tensor'", expected="one of them")
    return [float(v) for v in as_float(floats_of(tensor)).ravel()]


def _whole(call: Call, name: str) -> list[int]:
    return call.ints_(name) or []


def _finite(values: Sequence[float], name: str) -> None:
    if not all(map(math.isfinite, values)):
        raise InputError(f"attribute '{name}' has a number that is not finite", expected="numbers")


def _columns(call: Call, names: Sequence[str], size: int) -> list[list[int]]:
    """Lists of integers that belong together."""
    found = [_whole(call, name) for name in names]
    for name, column in zip(names, found, strict=True):
        if len(column) != size:
            raise InputError(f"attribute '{name}' has {len(column)} entries", expected=f"{size}")
    return found


def _branches(call: Call) -> tuple[dict[tuple[int, int], int], list[Branch | None], list[int]]:
    """The nodes of versions 1 to 3: positions by (tree, node), what each compares, and roots."""
    modes = call.strs_("nodes_modes") or []
    tree, number, feature, yes, no = _columns(
        call, ("nodes_treeids", "nodes_nodeids", "nodes_featureids", "nodes_truenodeids",
               "nodes_falsenodeids"), len(modes))
    values = _numbers(call, "nodes_values")
    _numbers(call, "nodes_hitrates")
    call.ints_("nodes_missing_value_tracks_true")
    if len(values) != len(modes) or not modes:
        raise InputError("attribute 'nodes_values' does not fit the nodes", expected="one each")
    places = {key: k for k, key in enumerate(zip(tree, number, strict=True))}
    if len(places) != len(modes):
        raise InputError("a tree has two nodes of a number", expected="distinct numbers")
    branches: list[Branch | None] = []
    for k, mode in enumerate(modes):
        if mode == LEAF:
            branches.append(None)
            continue
        if mode not in MODES:
            raise UnsupportedError(f"nodes_modes '{mode:.30}'", expected=", ".join((*MODES, LEAF)))
        ends = [places.get((tree[k], child), -1) for child in (yes[k], no[k])]
        branches.append(Branch(mode, feature[k], values[k], ends[0], ends[1]))
    _finite([b.value for b in branches if b is not None], "nodes_values")
    return places, branches, _roots(tree, branches)


def _roots(tree: Sequence[int], branches: Sequence[Branch | None]) -> list[int]:
    """The first node of each tree, which no other leads to."""
    roots = [k for k in range(len(tree)) if k == 0 or tree[k] != tree[k - 1]]
    if len(roots) != len(set(tree)):
        raise UnsupportedError("the nodes of a tree do not stand together", expected="tree by tree")
    led_to = {child for b in branches if b is not None for child in (b.yes, b.no)}
    if any(k in led_to for k in roots) or len(led_to) + len(roots) < len(tree):
        raise UnsupportedError("a tree whose root is not its first node, or nodes without a parent",
                               expected="each tree from its root on")
    return roots


def _leaf_weights(
    call: Call, head: str, places: Mapping[tuple[int, int], int],
    branches: Sequence[Branch | None], targets: int,
) -> dict[int, dict[int, float]]:
    """The weights of versions 1 to 3, whose attributes begin with `head`."""
    values = _numbers(call, f"{head}_weights")
    _finite(values, f"{head}_weights")
    tree, node, target = _columns(
        call, (f"{head}_treeids", f"{head}_nodeids", f"{head}_ids"), len(values))
    found: dict[int, dict[int, float]] = {}
    for key, goal, value in zip(zip(tree, node, strict=True), target, values, strict=True):
        place = places.get(key, -1)
        if place < 0 or branches[place] is not None:
            raise InputError(f"{head}_nodeids names {key}", expected="leaves")
        if not 0 <= goal < targets:
            raise InputError(f"{head}_ids has {goal}", expected=f"0..{targets - 1}")
        if goal in found.setdefault(place, {}):
            raise UnsupportedError("a leaf has two weights for one output", expected="one")
        found[place][goal] = value
    return found


# --- lowering ----------------------------------------------------------------------------------


def _sums(call: Call, found: Ensemble, base: FloatArray, factor: Fraction) -> int:
    """The node (1, targets) of `factor` times the sums of weights, plus `base`."""
    _refuse_doubtful(found, base)
    low, shape = call.low, call.shape(0)
    if shape[:-1] not in ((), (1,)):
        raise UnsupportedError(f"trees on {list(shape)}", expected="one row of features")
    forest, numbers = forest_of(shape[-1], [tree.nodes for tree in found.trees])
    weight = np.zeros((found.targets, forest.leaves))
    for tree, own in zip(found.trees, numbers, strict=True):
        for origin, leaf in zip(tree.leaves, own, strict=True):
            for target, value in found.weights.get(origin, {}).items():
                weight[target, leaf] = value
    low.limits.shape(weight.shape)
    leaves = low.add(TreeLeaves(forest), call.node(0))
    weights = Dense((forest.leaves,), (1, found.targets), weight)
    return low.affine(scaled(weights, factor), leaves, base)


def _refuse_doubtful(found: Ensemble, base: FloatArray) -> None:
    """UnsupportedError where an input may reach no weight for an output with a base value.

    The standard adds the base value; onnxruntime leaves it out there, if there are several outputs.
    """
    sure = {target for tree in found.trees for target in set.intersection(
        *(set(found.weights.get(leaf, ())) for leaf in tree.leaves))}
    for target in np.flatnonzero(base.ravel()).tolist() if found.targets > 1 else []:
        if target not in sure:
            raise UnsupportedError(f"a base value of output {target}, for which some leaves of "
                                   "every tree have no weight", expected="a weight of 0 there")


def _aggregate(name: str, trees: int) -> Fraction:
    if name not in ("SUM", "AVERAGE"):
        raise UnsupportedError(f"aggregate_function {name:.20}", expected="SUM or AVERAGE")
    return Fraction(1, trees) if name == "AVERAGE" else Fraction(1)


def _base(values: Sequence[float], targets: int) -> FloatArray:
    _finite(values, "base_values")
    if values and len(values) != targets:
        raise InputError(f"{len(values)} base_values", expected=f"{targets}")
    return np.array(values or [0.0] * targets).reshape(1, targets)


def _no_transform(name: str) -> None:
    if name != "NONE":
        raise UnsupportedError(f"post_transform {name:.20}", expected="NONE; for classifiers "
                               "SOFTMAX, or LOGISTIC where some weight is negative")


def regressor(call: Call) -> Result:
    """Sums (or means) of the weights of the leaves that are reached, plus base values."""
    places, branches, roots = _branches(call)
    targets = call.int_("n_targets", 1)
    if targets < 1:
        raise InputError(f"n_targets is {targets}", expected="at least 1")
    _no_transform(call.str_("post_transform", "NONE"))
    weights = _leaf_weights(call, "target", places, branches, targets)
    factor = _aggregate(call.str_("aggregate_function", "SUM"), len(roots))
    base = _base(_numbers(call, "base_values"), targets)
    trees = [unrolled(branches, root) for root in roots]
    out = _sums(call, Ensemble(trees, weights, targets), base, factor)
    return Tensor(out, call.low.shape(out), FLOAT)


def classifier(call: Call) -> Result:
    """The scores of the classes; the label, which is the class of the greatest, is not computed."""
    places, branches, roots = _branches(call)
    labels = call.ints_("classlabels_int64s") or call.strs_("classlabels_strings") or []
    if call.given("classlabels_int64s") and call.given("classlabels_strings"):
        raise InputError("both kinds of class labels", expected="one of them")
    if len(labels) < 2:
        raise UnsupportedError(f"{len(labels)} class labels", expected="at least 2")
    weights = _leaf_weights(call, "class", places, branches, len(labels))
    base = _numbers(call, "base_values")
    transform = call.str_("post_transform", "NONE")
    trees = [unrolled(branches, root) for root in roots]
    columns = {target for own in weights.values() for target in own}
    if len(labels) == 2 and columns == {1}:
        raise UnsupportedError("weights of the second of two classes alone",
                               expected="weights for both, or for the first (as a shared score)")
    if len(labels) == 2 and columns == {0}:
        return [None, _two_classes(call, trees, weights, base, transform)]
    if len(labels) == 2 and base:
        # Runtimes disagree: some take the second base value for both classes.
        raise UnsupportedError("base_values of two classes with weights for both", expected="none")
    sums = _sums(call, Ensemble(trees, weights, len(labels)), _base(base, len(labels)), Fraction(1))
    if transform == "SOFTMAX":
        return [None, softmax_head(call.low, sums, FLOAT)]
    if transform == "LOGISTIC":
        return [None, sigmoid_head(call.low, sums, FLOAT)]
    _no_transform(transform)
    return [None, Tensor(sums, call.low.shape(sums), FLOAT)]


def _two_classes(
    call: Call, trees: Sequence[Unrolled], weights: Weights, base: Sequence[float], transform: str
) -> Tensor:
    """Two classes that share one score s: (-s, s), or (1 - s, s) where no weight is negative; with
    LOGISTIC the sigmoids of (-s, s)."""
    one = {origin: dict.fromkeys([0], *own.values()) for origin, own in weights.items()}
    mixed = any(value < 0 for own in one.values() for value in own.values())
    score = _sums(call, Ensemble(trees, one, 1), _base(base, 1), Fraction(1))
    if transform == "LOGISTIC" and mixed:
        return binary_head(call.low, score, FLOAT)
    _no_transform(transform)
    # As onnxruntime does it, by the signs of the weights alone.
    bias = np.array([[0.0 if mixed else 1.0, 0.0]])
    both = Dense((1, 1), (1, 2), np.array([[-1.0], [1.0]]))
    out = call.low.affine(both, score, bias)
    return Tensor(out, (1, 2), FLOAT)


def ensemble(call: Call) -> Result:
    """TreeEnsemble of version 5: nodes and leaves in lists of their own."""
    splits, modes = _tensor(call, "nodes_splits"), _modes(call)
    size = len(modes)
    feature, yes, no, yes_leaf, no_leaf = _columns(
        call, ("nodes_featureids", "nodes_truenodeids", "nodes_falsenodeids", "nodes_trueleafs",
               "nodes_falseleafs"), size)
    if len(splits) != size or not size or max(modes) > 6:
        raise InputError("attribute 'nodes_modes' does not fit the nodes", expected="modes 0 to 6")
    call.tensor_("nodes_hitrates")
    call.ints_("nodes_missing_value_tracks_true")
    goals, weight = _whole(call, "leaf_targetids"), _tensor(call, "leaf_weights")
    _finite(weight, "leaf_weights")
    targets, roots = call.int_("n_targets", 1), _whole(call, "tree_roots")
    if len(goals) != len(weight) or not all(0 <= g < targets for g in goals):
        raise InputError("attribute 'leaf_targetids' does not fit the leaves",
                         expected="a target each")
    if not roots or not all(0 <= r < size for r in roots):
        raise InputError("attribute 'tree_roots' does not fit", expected="nodes")
    transform = call.int_("post_transform", 0)
    _no_transform("NONE" if transform == 0 else f"number {transform}")
    kind = call.int_("aggregate_function", 1)
    name = dict(enumerate(("AVERAGE", "SUM", "MIN", "MAX"))).get(kind, str(kind))
    if 6 in modes or call.given("membership_values"):
        raise UnsupportedError("BRANCH_MEMBER", expected=", ".join(MODES))
    _finite(splits, "nodes_splits")
    branches: list[Branch | None] = []
    for k in range(size):
        # Leaves stand behind the nodes.
        ends = [child + size * bool(leaf) if 0 <= child < (len(goals) if leaf else size) else -1
                for child, leaf in ((yes[k], yes_leaf[k]), (no[k], no_leaf[k]))]
        branches.append(Branch(MODES[modes[k]], feature[k], splits[k], ends[0], ends[1]))
    branches += [None] * len(goals)
    weights = {size + k: {goal: value}
               for k, (goal, value) in enumerate(zip(goals, weight, strict=True))}
    trees = [unrolled(branches, root) for root in roots]
    out = _sums(call, Ensemble(trees, weights, targets), np.zeros((1, targets)),
                _aggregate(name, len(roots)))
    return out


def _tensor(call: Call, name: str) -> list[float]:
    """The floats of a tensor that has to be given."""
    found = call.tensor_(name)
    if found is None:
        raise InputError(f"{call.op} without {name}", expected=f"attribute '{name}'")
    return [float(v) for v in as_float(floats_of(found)).ravel()]


def _modes(call: Call) -> list[int]:
    found = call.tensor_("nodes_modes")
    if not isinstance(found, Whole):
        raise InputError(f"{call.op} without nodes_modes", expected="a tensor of uint8")
    return [int(v) for v in found.array.ravel()]


RULES: Mapping[str, Rule] = {
    "TreeEnsembleRegressor": Rule(regressor), "TreeEnsembleClassifier": Rule(classifier),
    "TreeEnsemble": Rule(ensemble),
}
