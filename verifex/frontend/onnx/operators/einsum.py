"""Einsum: sums of products over named axes, one pair of inputs after the other."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from verifex.errors import InputError, UnsupportedError
from verifex.frontend.onnx.operators.call import Call, Result, Rule
from verifex.frontend.onnx.operators.linear import matmul_nodes


@dataclass(frozen=True)
class Lettered:
    """A node and a letter for each of its axes, all different."""

    node: int
    letters: str


def einsum(call: Call) -> Result:
    """Inputs are joined from left to right; a letter is summed over once nothing later has it."""
    terms, wanted = _equation(call)
    named = [_diagonal(call, call.node(k), letters) for k, letters in enumerate(terms)]
    found = named[0]
    for number, other in enumerate(named[1:], 2):
        later = "".join(one.letters for one in named[number:])
        found = _contracted(call, found, other, wanted + later)
    return _ordered(call, _summed(call, found, wanted), wanted)


def _equation(call: Call) -> tuple[list[str], str]:
    """The letters of each input, and of the result."""
    text = call.str_("equation", "").replace(" ", "")
    left, arrow, right = text.partition("->")
    terms = left.split(",")
    joined = "".join(terms)
    if "." in text:
        raise UnsupportedError(f"Einsum '{text[:60]}' with an ellipsis",
                               expected="a letter for every axis")
    if not all(c.isascii() and c.isalpha() for c in joined + right):
        raise InputError(f"Einsum '{text[:60]}'", expected="letters, commas and ->")
    if len(terms) != len(call.inputs):
        raise InputError(f"Einsum '{text[:60]}' of {len(call.inputs)} inputs",
                         expected=f"{len(terms)} inputs")
    if not arrow:
        # numpy's rule: what appears once, in the order of the alphabet.
        right = "".join(sorted(c for c in set(joined) if joined.count(c) == 1))
    if len(set(right)) != len(right) or not set(right) <= set(joined):
        raise InputError(f"Einsum '{text[:60]}'", expected="a result of distinct letters of inputs")
    return terms, right


def _diagonal(call: Call, node: int, letters: str) -> Lettered:
    """Of letters that stand twice, the elements whose indices along both axes are equal."""
    shape = call.low.shape(node)
    sides = dict(zip(letters, shape, strict=False))
    if len(letters) != len(shape) or any(sides[c] != n for c, n in zip(letters, shape)):
        raise InputError(f"Einsum of shape {list(shape)} as '{letters}'",
                         expected="a letter for every axis, of one length")
    distinct = "".join(dict.fromkeys(letters))
    if distinct != letters:
        node = call.low.move_node(node, lambda a: np.einsum(f"{letters}->{distinct}", a))
    return Lettered(node, distinct)


def _sides(call: Call, one: Lettered) -> dict[str, int]:
    return dict(zip(one.letters, call.low.shape(one.node), strict=True))


def _ordered(call: Call, one: Lettered, letters: Sequence[str]) -> int:
    """The node with its axes in the order of the letters."""
    order = [one.letters.index(c) for c in letters]
    return call.low.move_node(one.node, lambda a: a.transpose(order))


def _summed(call: Call, one: Lettered, kept: str) -> Lettered:
    """Sums over the axes whose letters are not kept."""
    gone = [k for k, c in enumerate(one.letters) if c not in kept]
    if not gone:
        return one
    total = call.low.sum_axes(one.node, gone)
    node = call.low.move_node(total, lambda a: a.squeeze(tuple(gone)))
    return Lettered(node, "".join(c for c in one.letters if c in kept))


def _contracted(call: Call, first: Lettered, second: Lettered, kept: str) -> Lettered:
    """The sum of products of two nodes over the letters that are not kept.

    As a product of stacks of matrices: letters of both that are kept stack them, letters of one are
    its rows or columns, the other letters of both are summed over.
    """
    first = _summed(call, first, second.letters + kept)
    second = _summed(call, second, first.letters + kept)
    one, other = _sides(call, first), _sides(call, second)
    shared = [c for c in first.letters if c in other]
    if any(one[c] != other[c] for c in shared):
        raise InputError("Einsum with a letter of two lengths", expected="one length a letter")
    stack, inner = [c for c in shared if c in kept], [c for c in shared if c not in kept]
    rows = [c for c in first.letters if c not in shared]
    columns = [c for c in second.letters if c not in shared]
    sides = {**one, **other}

    def shaped(source: Lettered, *groups: Sequence[str]) -> int:
        sizes = [math.prod(sides[c] for c in group) for group in groups]
        node = _ordered(call, source, [c for group in groups for c in group])
        return call.low.move_node(node, lambda a: a.reshape(sizes))

    found = matmul_nodes(
        call, shaped(first, stack, rows, inner), shaped(second, stack, inner, columns))
    letters = [*stack, *rows, *columns]
    shape = [sides[c] for c in letters]
    return Lettered(call.low.move_node(found, lambda a: a.reshape(shape)), "".join(letters))


RULES: Mapping[str, Rule] = {"Einsum": Rule(einsum, 1, None)}
