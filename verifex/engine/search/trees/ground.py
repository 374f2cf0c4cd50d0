"""A claim about decision trees as weights of leaves: what a search over boxes between cuts needs.

Only what the region can reach is kept: leaves, trees with more than one of them, and cuts that the
region lies around. Forms are those of the claim's atoms, negated, so that a bound above 0 makes an
atom false.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from verifex.engine.search.counts import Counts
from verifex.engine.search.trees.cuts import (
    AffineRows,
    Cut,
    InputCuts,
    pulled_back,
    scaled_inputs,
    whole_box,
)
from verifex.errors import UnsupportedError
from verifex.ir.exact import ExactArray, FloatArray
from verifex.ir.formula import Atom, Formula, atoms
from verifex.ir.graph import Graph
from verifex.ir.ops import TreeLeaves
from verifex.ir.problem import Problem

Flags = NDArray[np.bool_]
Ranks = NDArray[np.int32]
Exact = NDArray[np.object_]

MOST = 200_000_000
"""Entries of the tables of leaves by inputs, and of atoms by leaves."""


Table = tuple[Ranks, Ranks, NDArray[np.intp]]
"""`after`, `before` and the numbers of the leaves that the region reaches, of one node of trees."""


class Group(NamedTuple):
    """A one-hot group: the places of the members with cuts (each has one, between 0 and 1), and
    whether the 1 may also be at another member."""

    members: tuple[int, ...]
    other: bool


@dataclass
class Ground:
    """Trees over the region, side by side. Leaves of a tree stand together, from `starts` on.

    `after` and `before` (inputs, leaves): a leaf needs its input beyond so many cuts, and before
    those from there on. `weight` (atoms, leaves), `const` (atoms,) and `factor` (atoms, inputs of
    `others`) are the negated forms of the atoms; `exact_*` the same, times `scale`, as whole
    numbers. `slack` is what floats may err by.
    """

    inputs: list[InputCuts]
    starts: NDArray[np.intp]
    tree: NDArray[np.intp]
    after: Ranks
    before: Ranks
    atoms: list[Atom]
    strict: Flags
    weight: FloatArray
    const: FloatArray
    exact_weight: Exact
    exact_const: Exact
    scale: int
    slack: FloatArray
    others: dict[int, list[Fraction]]
    groups: list[Group]
    violation: Formula
    counts: Counts

    @property
    def leaves(self) -> int:
        return len(self.tree)

    def cuts_of(self, place: int) -> int:
        return len(self.inputs[place].cuts)


def depends_on_trees(problem: Problem) -> bool:
    """Whether the claim reads what trees compute."""
    nodes = problem.graph.nodes
    needed = problem.graph.ancestors(problem.targets())
    return any(isinstance(nodes[i].op, TreeLeaves) for i in needed)


def ground(problem: Problem) -> Ground | None:
    """The claim on the region; None where its whole numbers and groups leave no point.

    UnsupportedError where the claim is more than sums of leaves' weights and inputs.
    """
    graph, violation = problem.graph, problem.violation()
    listed = list(dict.fromkeys(atoms(violation)))
    if not listed:
        raise UnsupportedError("the claim is constant", expected="atoms to bound")
    box = whole_box(problem.region)
    if box is None:
        return None
    needed = graph.ancestors(problem.targets())
    forests = [i for i in needed if isinstance(graph.nodes[i].op, TreeLeaves)]
    rows = pulled_back(
        graph, *_negated(graph, listed), frozenset(forests))
    comparisons = [_Comparisons.of(graph, i) for i in forests]
    inputs = _inputs(problem, comparisons, box)
    places = {one.flat: k for k, one in enumerate(inputs)}
    tables = [_table(one, places, inputs, box) for one in comparisons]
    count = sum(after.shape[1] for after, _, _ in tables)
    if count * max(len(inputs), len(listed)) > MOST:
        raise UnsupportedError("trees with too many leaves for the search",
                               expected="fewer or smaller trees")
    return _assembled(problem, listed, inputs, tables, comparisons, rows)


def _negated(
    graph: Graph, listed: list[Atom]
) -> tuple[dict[int, ExactArray], list[Fraction]]:
    """Minus the forms of the atoms, by node."""
    found: dict[int, dict[tuple[int, int], Fraction]] = {}
    for row, atom in enumerate(listed):
        for (node, index), c in atom.form.terms:
            found.setdefault(node, {})[row, index] = -c
    start = {}
    for node, entries in found.items():
        flat = [Fraction(0)] * (len(listed) * graph.nodes[node].size)
        for (row, index), c in entries.items():
            flat[row * graph.nodes[node].size + index] = c
        start[node] = ExactArray.from_numbers(flat, (len(listed), graph.nodes[node].size))
    return start, [-atom.form.const for atom in listed]


@dataclass(frozen=True)
class _Comparisons:
    """The comparisons of one node of trees as cuts: of which input, and whether right is beyond."""

    node: int
    op: TreeLeaves
    flat: list[int]
    cut: list[Cut]
    upward: list[bool]

    @staticmethod
    def of(graph: Graph, node: int) -> _Comparisons:
        op = graph.nodes[node].op
        if not isinstance(op, TreeLeaves):
            raise TypeError("a node of leaves is needed")
        forest = op.forest
        used = sorted(set(forest.feature.tolist()))
        scaled = scaled_inputs(graph, graph.nodes[node].args[0], used)
        flat, cut, upward = [], [], []
        for f, t, strict in zip(forest.feature.tolist(), forest.threshold.tolist(),
                                forest.strict.tolist(), strict=True):
            one = scaled[f]
            up = one.factor > 0
            flat.append(one.flat)
            # With a factor below 0, v > t where x < q, which is not from q on.
            cut.append(Cut((Fraction(t) - one.constant) / one.factor, strict == up))
            upward.append(up)
        return _Comparisons(node, op, flat, cut, upward)


def _inputs(
    problem: Problem, comparisons: list[_Comparisons],
    box: tuple[list[Fraction], list[Fraction]],
) -> list[InputCuts]:
    """The inputs that the region lies around a cut of."""
    whole = problem.region.integers.union(*problem.region.one_hot)
    cuts: dict[int, list[Cut]] = {}
    for one in comparisons:
        for k, (flat, cut) in enumerate(zip(one.flat, one.cut, strict=True)):
            if flat in whole:
                one.cut[k] = cut = cut.of_whole()
            cuts.setdefault(flat, []).append(cut)
    found = (InputCuts.between(flat, box[0][flat], box[1][flat], own)
             for flat, own in sorted(cuts.items()))
    return [one for one in found if one.cuts]


def _table(
    one: _Comparisons, places: dict[int, int], inputs: list[InputCuts],
    box: tuple[list[Fraction], list[Fraction]],
) -> Table:
    """`after` and `before` of the leaves that the region reaches, and which leaves these are."""
    forest = one.op.forest
    place = np.array([places.get(flat, -1) for flat in one.flat], dtype=np.int64)
    rank = np.zeros(forest.nodes, dtype=np.int32)
    known = np.zeros(forest.nodes, dtype=np.int8)  # 1: all points are beyond, -1: none is
    for k, (flat, cut) in enumerate(zip(one.flat, one.cut, strict=True)):
        low, high = Cut(box[0][flat], False), Cut(box[1][flat], False)
        if cut <= low:
            known[k] = 1
        elif cut > high:
            known[k] = -1
        else:
            rank[k] = inputs[place[k]].rank(cut)
    upward = np.array(one.upward, dtype=bool)
    right = np.where(upward, known > 0, known < 0)
    left = np.where(upward, known < 0, known > 0)
    reached = np.flatnonzero(forest.reached(right[None], ~left[None])[0])
    after = np.zeros((len(inputs), forest.leaves), dtype=np.int32)
    before = np.repeat(np.array([[len(i.cuts)] for i in inputs], dtype=np.int32).reshape(-1, 1),
                       forest.leaves, axis=1)
    paths = forest.paths
    open_ = known[paths.node] == 0
    leaf, node = paths.leaf[open_], paths.node[open_]
    beyond = paths.right[open_] == upward[node]
    np.maximum.at(after, (place[node][beyond], leaf[beyond]), rank[node][beyond] + 1)
    np.minimum.at(before, (place[node][~beyond], leaf[~beyond]), rank[node][~beyond])
    return after[:, reached], before[:, reached], reached


def _assembled(
    problem: Problem, listed: list[Atom], inputs: list[InputCuts], tables: list[Table],
    comparisons: list[_Comparisons], rows: AffineRows,
) -> Ground:
    """Everything side by side; trees of one leaf go into the constants."""
    violation = problem.violation()
    parts = [rows.coefs.get(one.node) for one in comparisons]
    scale = math.lcm(*(p.den for p in parts if p is not None), *(c.denominator for c in rows.const))
    const = np.array([int(c * scale) for c in rows.const], dtype=object)
    kept: list[tuple[Ranks, Ranks, Exact, NDArray[np.int64]]] = []
    trees = 0
    for one, part, (after, before, reached) in zip(comparisons, parts, tables, strict=True):
        forest = one.op.forest
        weight = np.zeros((len(listed), len(reached)), dtype=object)
        if part is not None:
            weight = part.num[:, reached] * (scale // part.den)
        tree = forest.tree[reached]
        alone = np.bincount(tree, minlength=len(forest.roots))[tree] == 1
        const = const + weight[:, alone].sum(axis=1)
        many = ~alone
        _, number = np.unique(tree[many], return_inverse=True)
        kept.append((after[:, many], before[:, many], weight[:, many], number + trees))
        trees += int(number.max(initial=-1)) + 1
    tree = np.concatenate([k[3] for k in kept]).astype(np.intp)
    exact = np.concatenate([k[2] for k in kept], axis=1)
    weight = np.asarray(exact / scale, dtype=np.float64)
    starts = np.flatnonzero(np.diff(tree, prepend=-1)).astype(np.intp)
    size = np.abs(weight)
    largest = np.maximum.reduceat(size, starts, axis=1).sum(axis=1) if trees else 0.0
    return Ground(
        inputs, starts, tree, np.concatenate([k[0] for k in kept], axis=1),
        np.concatenate([k[1] for k in kept], axis=1), listed,
        np.array([a.strict for a in listed]), weight, np.asarray(const / scale, dtype=np.float64),
        exact, const, scale, 1e-12 * (largest + np.abs(np.asarray(const / scale, dtype=float))),
        _others(problem.graph, rows), _groups(problem, inputs), violation,
        Counts.of(violation, {atom: k for k, atom in enumerate(listed)}))


def _others(graph: Graph, rows: AffineRows) -> dict[int, list[Fraction]]:
    """By flat input, its coefficients in every row beside the trees; inputs of none are left out.
    """
    found: dict[int, list[Fraction]] = {}
    for i in graph.inputs:
        coefs = rows.coefs.get(i)
        if coefs is None:
            continue
        for flat in np.flatnonzero(coefs.num.any(axis=0)).tolist():
            found[graph.input_offsets[i] + flat] = [
                Fraction(int(v), coefs.den) for v in coefs.num[:, flat]]
    return found


def _groups(problem: Problem, inputs: list[InputCuts]) -> list[Group]:
    """The one-hot groups that trees compare members of."""
    places = {one.flat: k for k, one in enumerate(inputs)}
    found = []
    for group in problem.region.one_hot:
        members = tuple(places[i] for i in group if i in places)
        # A member that no tree compares may be the one, unless the region says it is not.
        other = any(i not in places and problem.region.hi[i] >= 1 for i in group)
        if members:
            found.append(Group(members, other))
    return found
