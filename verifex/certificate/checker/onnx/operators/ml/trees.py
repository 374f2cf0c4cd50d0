"""Decision trees of ai.onnx.ml: TreeEnsembleRegressor, TreeEnsembleClassifier and TreeEnsemble.

The leaves of all trees are one node of the graph (T), which says for each leaf whether it is
reached; outputs are sums of the weights of the leaves, with fractions.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise
from typing import NamedTuple

from ....failures import MAX_SIZE, need
from ....graph.element_types import FLOAT32, FLOAT64, FLOATS
from ....graph.elements import affine
from ....graph.forests import Comparison, LeafPaths, Path
from ....graph.sparse_rows import packed_row
from ....graph.symbolic import SymbolicTensor
from ...operator_call import HeadTensor, Operator, OperatorCall, Result
from ...signatures import (
    FIRST_ML,
    INTEGER,
    INTEGER_LIST,
    REAL_LIST,
    TENSOR,
    TEXT,
    TEXT_LIST,
    AttributeSlot,
    InputSlot,
    Signature,
    ml_attribute,
)
from ...stored import DATA_TYPE, DIMS, INT32_DATA, RAW_DATA, stored_tensor

MODES = ("BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT", "BRANCH_EQ", "BRANCH_NEQ")
LEAF, UINT8, DEEPEST, MOST_LEAVES = "LEAF", 2, 2_000, 1 << 18

FUNCTIONS = {"SOFTMAX": "softmax", "LOGISTIC": "sigmoid"}
"""Heads (see `heads`): over all scores, and of each."""

VECTOR = InputSlot((FLOAT32, FLOAT64), since=FIRST_ML)

Ways = tuple[tuple[Path, ...], tuple[Path, ...]]
"""The ways to "true" and to "false"."""


class TreeBranch(NamedTuple):
    """A node that compares: its mode, the element, the value, and where "true" and "false" are."""

    mode: int
    element: int
    value: Fraction
    yes: int
    no: int

    def ways(self) -> Ways:
        """What has to hold to come to either end.

        Sound: of all ways together, exactly one is open to every number. v <= t is "not above t",
        v < t is "not from t on", v = t is "from t on and not above", which leaves two ways to the
        other end.
        """
        above, not_above, at_least, below = (
            Comparison(self.element, self.value, strict, beyond)
            for strict, beyond in ((True, True), (True, False), (False, True), (False, False)))
        equal, unequal = ((at_least, not_above),), ((below,), (at_least, above))
        return (
            (((not_above,),), ((above,),)), (((below,),), ((at_least,),)),
            (((at_least,),), ((below,),)), (((above,),), ((not_above,),)),
            (equal, unequal), (unequal, equal),
        )[self.mode]


class LeafWay(NamedTuple):
    """A leaf of a tree: the way to it, and the node of the file that it is."""

    path: Path
    position: int


def leaves_of(branches: Sequence[TreeBranch | None], root: int) -> list[LeafWay]:
    """All leaves of a tree; None stands for a leaf in the list of nodes.

    Sound: of the ways out of every branch exactly one is open to a vector, so it reaches exactly
    one leaf. A tree that leads back to itself has no end and is refused.
    """
    waiting, found = [LeafWay((), root)], list[LeafWay]()
    while waiting:
        path, position = waiting.pop()
        need(0 <= position < len(branches), "a tree leads to a node that is not there")
        need(len(path) < DEEPEST and len(waiting) + len(found) < MOST_LEAVES,
             "unsupported trees of so many leaves, or that lead back to themselves")
        branch = branches[position]
        if branch is None:
            found.append(LeafWay(path, position))
            continue
        for ways, end in zip(branch.ways(), (branch.yes, branch.no), strict=True):
            waiting += [LeafWay((*path, *way), end) for way in ways]
    return found


class ListedTrees(NamedTuple):
    """The nodes of all trees, their roots, and for each leaf that has any its weights by output."""

    branches: list[TreeBranch | None]
    roots: list[int]
    weights: dict[int, dict[int, Fraction]]
    outputs: int


def sums(
    call: OperatorCall, found: ListedTrees, base: Sequence[Fraction], factor: Fraction
) -> SymbolicTensor:
    """factor * (sum of the weights of the leaves that are reached) + base: one row."""
    vector = call.tensor()
    need(vector.shape and math.prod(vector.shape) == vector.shape[-1],
         "unsupported rows of features")
    trees = [leaves_of(found.branches, root) for root in found.roots]
    need(found.outputs > 0 and found.outputs * sum(map(len, trees)) <= MAX_SIZE, "too many weights")
    elements = [c.element for tree in trees for leaf in tree for c in leaf.path]
    need(all(0 <= element < vector.size for element in elements), "no such feature")
    # Sound: the standard adds a base value always, some readers only where a weight is reached.
    sure = {output for tree in trees for output in set.intersection(
        *(set(found.weights.get(leaf.position, ())) for leaf in tree))}
    need(found.outputs == 1 or all(output in sure for output, one in enumerate(base) if one),
         "unsupported base value of an output for which some leaves have no weight")
    starts, paths = list[int](), list[Path]()
    by_output: list[dict[int, Fraction]] = [{} for _ in range(found.outputs)]
    for tree in trees:
        starts.append(len(paths))
        for leaf in tree:
            for output, weight in found.weights.get(leaf.position, {}).items():
                by_output[output][len(paths)] = weight * factor
            paths.append(leaf.path)
    node = call.graph.leaves(vector.node(), LeafPaths(tuple(paths), tuple(starts)))
    shared = math.lcm(*{w.denominator for row in by_output for w in row.values()})
    rows = [packed_row(list(row), [w.numerator * (shared // w.denominator) for w in row.values()],
                       len(paths)) for row in by_output]
    made = affine(node, len(paths), rows, shared, list(base))
    return SymbolicTensor(call.graph, (1, found.outputs), made)


# --- versions 1 to 4 ---------------------------------------------------------------------------


def numbers(call: OperatorCall, name: str) -> list[Fraction]:
    """Numbers that are an attribute, or a tensor of floats beside it; not both."""
    given = list(call.attributes.reals(name))
    if not call.attributes.has(f"{name}_as_tensor"):
        return given
    need(not given, f"'{name}' twice")
    return real_tensor(call, f"{name}_as_tensor")


def real_tensor(call: OperatorCall, name: str) -> list[Fraction]:
    """The floats of a tensor."""
    found = stored_tensor(call.graph, call.attributes.tensor(name))
    need(found.kind in FLOATS, f"'{name}' is no tensor of floats")
    return found.constants()


def columns(call: OperatorCall, names: Sequence[str], size: int) -> list[list[int]]:
    """Lists of integers of one length."""
    found = [call.attributes.integers(name) or [] for name in names]
    need(all(len(column) == size for column in found), f"{', '.join(names)}: of other lengths")
    return found


def listed(
    call: OperatorCall, head: str, outputs: int
) -> ListedTrees:
    """The trees, and the weights of their leaves in attributes that begin with `head`.

    Sound: the root of a tree is its first node. Refused: trees whose nodes do not stand together,
    where another node leads to the root, and nodes that none leads to: readers may begin elsewhere.
    """
    modes = call.attributes.texts("nodes_modes")
    tree, number, element, yes, no = columns(
        call, [f"nodes_{name}" for name in
               ("treeids", "nodeids", "featureids", "truenodeids", "falsenodeids")], len(modes))
    values = numbers(call, "nodes_values")
    need(modes and len(values) == len(modes), "nodes without modes or values")
    # How often a node was reached in training, and what missing values do: no number is missing.
    call.attributes.ignore(
        "nodes_hitrates", "nodes_hitrates_as_tensor", "nodes_missing_value_tracks_true")
    place = {key: k for k, key in enumerate(zip(tree, number, strict=True))}
    need(len(place) == len(modes), "two nodes of a number")
    branches = list[TreeBranch | None]()
    for k, mode in enumerate(modes):
        need(mode in (*MODES, LEAF), f"unsupported mode {mode[:20]!r}")
        ends = (place.get((tree[k], end), -1) for end in (yes[k], no[k]))
        branches.append(
            None if mode == LEAF else TreeBranch(MODES.index(mode), element[k], values[k], *ends))
    roots = [0, *(k for k, (one, other) in enumerate(pairwise(tree), 1) if one != other)]
    led_to = {end for one in branches if one is not None for end in (one.yes, one.no)}
    need(len(roots) == len(set(tree)) and led_to.isdisjoint(roots)
         and len(led_to) + len(roots) == len(modes), "unsupported order of nodes")
    weights = numbers(call, f"{head}_weights")
    owner, leaf, output = columns(
        call, [f"{head}_treeids", f"{head}_nodeids", f"{head}_ids"], len(weights))
    by_leaf: dict[int, dict[int, Fraction]] = {}
    for key, goal, weight in zip(zip(owner, leaf, strict=True), output, weights, strict=True):
        need(key in place and branches[place[key]] is None and 0 <= goal < outputs,
             "a weight of no leaf, or for no output")
        own = by_leaf.setdefault(place[key], {})
        need(goal not in own, "unsupported second weight of a leaf for an output")
        own[goal] = weight
    return ListedTrees(branches, roots, by_leaf, outputs)


def base_values(call: OperatorCall, outputs: int) -> list[Fraction]:
    """One number for each output, 0 where they are left out."""
    found = numbers(call, "base_values")
    need(len(found) in (0, outputs), "base values of another number")
    return found or [Fraction(0)] * outputs


def share(name: str, trees: int) -> Fraction:
    """What the sum of all trees is multiplied by."""
    need(name in ("SUM", "AVERAGE"), f"unsupported aggregate function {name[:20]!r}")
    return Fraction(1, trees) if name == "AVERAGE" else Fraction(1)


def regressor(call: OperatorCall) -> SymbolicTensor:
    """The sums, or means, of the weights, plus base values."""
    outputs = call.attributes.integer("n_targets", 1)
    found = listed(call, "target", outputs)
    need(call.attributes.text("post_transform", "NONE") == "NONE", "unsupported post_transform")
    factor = share(call.attributes.text("aggregate_function", "SUM"), len(found.roots))
    return sums(call, found, base_values(call, outputs), factor)


def classifier(call: OperatorCall) -> list[Result]:
    """The scores of the classes. The label is not computed: no claim reads it."""
    labels = [call.attributes.integers("classlabels_int64s"),
              call.attributes.texts("classlabels_strings")]
    need(not all(labels), "two kinds of labels")
    classes = max(len(one or ()) for one in labels)
    need(classes > 1, "unsupported number of classes")
    found = listed(call, "class", classes)
    columns_used = {output for own in found.weights.values() for output in own}
    transform = call.attributes.text("post_transform", "NONE")
    need(transform in ("NONE", *FUNCTIONS), f"unsupported post_transform {transform[:20]!r}")
    need(classes > 2 or columns_used != {1}, "unsupported weights of the second class alone")
    if classes == 2 and columns_used == {0}:
        return [None, shared_score(call, found, transform)]
    # Runtimes disagree about base values of two classes.
    need(classes > 2 or not numbers(call, "base_values"), "unsupported base values of two classes")
    scores = sums(call, found, base_values(call, classes), Fraction(1))
    return [None, scores if transform == "NONE" else HeadTensor(FUNCTIONS[transform], scores)]


def shared_score(call: OperatorCall, found: ListedTrees, transform: str) -> Result:
    """Two classes with one score s: (-s, s), or (1 - s, s) where no weight is negative; with
    LOGISTIC the sigmoids of (-s, s), which are the softmax of (0, s).

    The standard leaves it open; it is what onnxruntime computes. It takes no sigmoid where no
    weight is negative: refused.
    """
    weights = {leaf: dict.fromkeys([0], *own.values()) for leaf, own in found.weights.items()}
    mixed = any(w < 0 for own in weights.values() for w in own.values())
    ((refs, constant),) = sums(
        call, ListedTrees(found.branches, found.roots, weights, 1), base_values(call, 1),
        Fraction(1)).items
    if transform != "NONE":
        need(transform == "LOGISTIC" and mixed, "unsupported post_transform of one score")
        return HeadTensor(
            FUNCTIONS["SOFTMAX"], SymbolicTensor(
                call.graph, (1, 2), [({}, Fraction(0)), (refs, constant)]))
    other = {reference: -weight for reference, weight in refs.items()}
    return SymbolicTensor(
        call.graph, (1, 2), [(other, (0 if mixed else 1) - constant), (refs, constant)])


# --- version 5 -----------------------------------------------------------------------------------


def ensemble(call: OperatorCall) -> SymbolicTensor:
    """TreeEnsemble: nodes and leaves in lists of their own."""
    attributes, modes = call.attributes, mode_numbers(call)
    splits, size = real_tensor(call, "nodes_splits"), len(modes)
    element, yes, no, yes_leaf, no_leaf = columns(
        call, ["nodes_featureids", "nodes_truenodeids", "nodes_falsenodeids", "nodes_trueleafs",
               "nodes_falseleafs"], size)
    attributes.ignore("nodes_hitrates", "nodes_missing_value_tracks_true")
    weights = real_tensor(call, "leaf_weights")
    (goals,) = columns(call, ["leaf_targetids"], len(weights))
    outputs, roots = attributes.integer("n_targets", 1), attributes.integers("tree_roots") or []
    need(len(splits) == size > 0 and all(0 <= mode < len(MODES) for mode in modes),
         "unsupported modes of nodes")
    need(roots and all(0 <= root < size for root in roots), "roots that are no nodes")
    need(all(0 <= goal < outputs for goal in goals), "a weight for no output")
    need(not attributes.integer("post_transform", 0), "unsupported post_transform")
    kind = attributes.integer("aggregate_function", 1)
    need(kind in (0, 1), "unsupported aggregate function")

    def end(child: int, leaf: int) -> int:
        """Leaves stand behind the nodes."""
        need(leaf in (0, 1) and 0 <= child < (len(weights) if leaf else size), "no such child")
        return child + size * leaf

    branches: list[TreeBranch | None] = [
        TreeBranch(modes[k], element[k], splits[k], end(yes[k], yes_leaf[k]),
                   end(no[k], no_leaf[k]))
        for k in range(size)]
    by_leaf = {size + k: {goal: weight}
               for k, (goal, weight) in enumerate(zip(goals, weights, strict=True))}
    found = ListedTrees([*branches, *[None] * len(weights)], roots, by_leaf, outputs)
    factor = share("SUM" if kind else "AVERAGE", len(roots))
    return sums(call, found, [Fraction(0)] * outputs, factor)


def mode_numbers(call: OperatorCall) -> list[int]:
    """The tensor of uint8 that gives each node's mode."""
    tensor = call.attributes.tensor("nodes_modes")
    need(tensor.integer(DATA_TYPE) == UINT8 and len(tensor.integers(DIMS)) == 1, "modes of a type")
    raw, given = tensor.raw_bytes(RAW_DATA), tensor.integers(INT32_DATA)
    need(not (raw and given), "modes twice")
    found = list(raw) or given
    need([len(found)] == tensor.integers(DIMS), "modes of another number")
    return found


_LISTS = ("nodes_treeids", "nodes_nodeids", "nodes_featureids", "nodes_truenodeids",
          "nodes_falsenodeids", "nodes_missing_value_tracks_true")


def _trees(head: str, *more: AttributeSlot) -> Signature:
    """The inputs and attributes of versions 1 to 4."""
    whole = (*_LISTS, f"{head}_treeids", f"{head}_nodeids", f"{head}_ids")
    real = ("nodes_values", "nodes_hitrates", f"{head}_weights", "base_values")
    slots = [*(ml_attribute(name, INTEGER_LIST) for name in whole),
             *(ml_attribute(name, REAL_LIST) for name in real),
             *(ml_attribute(f"{name}_as_tensor", TENSOR, since=3) for name in real)]
    return Signature(
        inputs=(VECTOR,), result=FLOAT32, since=FIRST_ML, until=4,
        attributes=(*slots, ml_attribute("nodes_modes", TEXT_LIST),
                    ml_attribute("post_transform", TEXT), *more))


_TENSORS = ("nodes_splits", "nodes_modes", "nodes_hitrates", "leaf_weights")
_LISTS_5 = ("nodes_featureids", "nodes_truenodeids", "nodes_falsenodeids", "nodes_trueleafs",
            "nodes_falseleafs", "nodes_missing_value_tracks_true", "leaf_targetids", "tree_roots")
_NUMBERS_5 = ("n_targets", "post_transform", "aggregate_function")

OPERATORS = {
    "TreeEnsembleRegressor": Operator(regressor, _trees(
        "target", ml_attribute("n_targets", INTEGER), ml_attribute("aggregate_function", TEXT))),
    "TreeEnsembleClassifier": Operator(classifier, _trees(
        "class", ml_attribute("classlabels_int64s", INTEGER_LIST),
        ml_attribute("classlabels_strings", TEXT_LIST))),
    "TreeEnsemble": Operator(ensemble, Signature(
        inputs=(VECTOR,), since=5,
        attributes=(*(ml_attribute(name, TENSOR) for name in _TENSORS),
                    *(ml_attribute(name, INTEGER_LIST) for name in _LISTS_5),
                    *(ml_attribute(name, INTEGER) for name in _NUMBERS_5)))),
}
