"""Nodes of decision trees as ONNX states them, turned into comparisons that go left or right."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from verifex.errors import InputError, UnsupportedError
from verifex.ir.trees.forest import TreeNode

MOST = 200_000
"""Comparisons of one tree, as it is unrolled: larger ones are no question for a search, and a tree
that leads back to itself ends here."""

EQUAL, NOT_EQUAL = "BRANCH_EQ", "BRANCH_NEQ"

ORDERED = {
    "BRANCH_LEQ": (True, True), "BRANCH_LT": (False, True),
    "BRANCH_GTE": (False, False), "BRANCH_GT": (True, False),
}
"""For each mode: whether equal values stay left (`strict`), and whether "true" is left."""

MODES = (*ORDERED, EQUAL, NOT_EQUAL)
"""In the order in which version 5 numbers them."""


class Branch(NamedTuple):
    """A comparison of an element with a value, and the positions of the nodes that follow."""

    mode: str
    feature: int
    value: float
    yes: int
    no: int


class _Reached(NamedTuple):
    """A test of equality, where the element is known to be at least the value."""

    branch: Branch


class Unrolled(NamedTuple):
    """A tree, its root first, and for each of its leaves the position that it comes from."""

    nodes: list[TreeNode]
    leaves: list[int]


def unrolled(branches: Sequence[Branch | None], root: int) -> Unrolled:
    """The tree from a root on; None stands for a leaf. Equality becomes two comparisons, of which
    the first sends what is less to the same place as the second what is more."""
    nodes: list[TreeNode] = []
    leaves: list[int] = []
    waiting: list[tuple[int | _Reached, int, str]] = [(root, -1, "")]
    while waiting:
        target, parent, side = waiting.pop()
        branch = target.branch if isinstance(target, _Reached) else _at(branches, target)
        child = ~len(leaves) if branch is None else len(nodes)
        if parent >= 0:
            own = nodes[parent]
            nodes[parent] = (
                own._replace(left=child) if side == "left" else own._replace(right=child))
        if branch is None:
            leaves.append(int(target))  # type: ignore[arg-type]
            continue
        strict, left, right = _ways(branch, isinstance(target, _Reached))
        waiting += [(right, len(nodes), "right"), (left, len(nodes), "left")]
        nodes.append(TreeNode(branch.feature, branch.value, strict, 0, 0))
        if len(nodes) > MOST:
            raise UnsupportedError(f"trees of more than {MOST:,} comparisons, or one that leads "
                                   "back to itself", expected="fewer or smaller trees")
    return Unrolled(nodes, leaves)


def _at(branches: Sequence[Branch | None], position: int) -> Branch | None:
    if not 0 <= position < len(branches):
        raise InputError("a tree leads to a node that is not there", expected="one that is listed")
    return branches[position]


def _ways(branch: Branch, reached: bool) -> tuple[bool, int, int | _Reached]:
    """Whether equal values stay left, and what is on the left and on the right."""
    if branch.mode in ORDERED:
        strict, yes_left = ORDERED[branch.mode]
        return (strict, branch.yes, branch.no) if yes_left else (strict, branch.no, branch.yes)
    equal, other = (
        (branch.no, branch.yes) if branch.mode == NOT_EQUAL else (branch.yes, branch.no))
    return (True, equal, other) if reached else (False, other, _Reached(branch))
