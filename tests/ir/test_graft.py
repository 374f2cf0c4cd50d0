"""Parts of graphs on other inputs, against evaluation of the original."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from verifex.errors import InputError
from verifex.ir.graft import copied, graft, part
from verifex.ir.graph import Builder, Graph
from verifex.ir.linmap import dense
from verifex.semantics.evaluate import evaluate_exact

F = Fraction
W1, W2 = np.array([[1.0, -2.0], [0.5, 1.0], [3.0, 0.25]]), np.array([[1.0, -1.0, 2.0]])
POINT = [F(1, 2), F(-3, 4), F(5)]


def network() -> tuple[Graph, dict[str, int]]:
    """y = W2 relu(W1 x) + relu(k), with another input k."""
    b = Builder()
    x, k = b.input("x", (2,)), b.input("k", (1,))
    z = b.affine(dense(W1), x, label="first layer")
    h = b.relu(z)
    y = b.sum([b.affine(dense(W2), h), b.relu(k)])
    return b.build({"y": y}), {"x": x, "k": k, "z": z, "h": h, "y": y}


def value(graph: Graph, node: int, point: list[Fraction]) -> list[Fraction]:
    return evaluate_exact(graph, point, [node])[node].fractions()


def test_a_part_from_a_hidden_layer() -> None:
    """What lies behind the layer is not copied: its input is not even there."""
    graph, at = network()
    b = Builder()
    hidden, k = b.input("hidden", (3,)), b.input("k", (1,))
    place = part(b, graph, {at["h"]: hidden, at["k"]: k}, [at["y"]])
    assert at["x"] not in place
    assert at["z"] not in place
    made = b.build({"y": place[at["y"]]})
    assert value(made, place[at["y"]], [F(1), F(2), F(4), F(-3)]) == [F(7)]


def test_a_part_needs_all_inputs() -> None:
    graph, at = network()
    b = Builder()
    x = b.input("x", (2,))
    with pytest.raises(InputError, match="nothing stands for input 'k'"):
        part(b, graph, {at["x"]: x}, [at["y"]])
    assert part(b, graph, {at["x"]: x}, [at["h"]])[at["x"]] == x
    with pytest.raises(InputError, match=r"shape \[2\], expected \[3\]"):
        part(b, graph, {at["h"]: x}, [at["y"]])
    with pytest.raises(InputError, match="1 inputs, expected 2"):
        graft(b, graph, [x])


def test_a_whole_graph_twice_is_there_once() -> None:
    graph, at = network()
    b = Builder(graph)
    place = graft(b, graph, [at["x"], at["k"]], "again.")
    assert [place[i] for i in range(len(graph.nodes))] == list(range(len(graph.nodes)))
    other = Builder()
    inputs = [other.input("u", (2,)), other.input("v", (1,))]
    first = graft(other, graph, inputs, "a.")
    size = len(other.build({"y": 0}).nodes)
    assert graft(other, graph, inputs, "b.") == first
    assert len(other.build({"y": 0}).nodes) == size
    assert "a.first layer" in other.labels.values()


def test_a_copy_on_another_input() -> None:
    graph, at = network()
    b = Builder(graph)
    half = b.scaled(at["x"], F(1, 3))
    (y,) = copied(b, [at["y"]], {at["x"]: half})
    made = b.build({"y": y})
    third = [POINT[0] / 3, POINT[1] / 3, POINT[2]]
    assert value(made, y, POINT) == value(graph, at["y"], third)
    assert copied(b, [at["y"], at["k"]], {}) == [at["y"], at["k"]]
    assert copied(b, [at["k"]], {at["x"]: half}) == [at["k"]]


def test_a_copy_at_a_layer_leaves_what_is_behind_it_alone() -> None:
    """Replaced at x and at h: what only leads from one to the other is not built."""
    graph, at = network()
    b = Builder(graph)
    half, ones = b.scaled(at["x"], F(1, 2)), b.const(np.ones(3))
    size = len(b.build({"y": 0}).nodes)
    (y,) = copied(b, [at["y"]], {at["x"]: half, at["h"]: ones})
    assert len(b.build({"y": 0}).nodes) == size + 2  # W2 1 (folded), and the sum
    assert value(b.build({"y": y}), y, POINT) == [F(2) + F(5)]


def test_exact_sums() -> None:
    b = Builder()
    x, y = b.input("x", (1,)), b.input("y", (1,))
    node = b.sum([x, y, x], [F(1, 3), F(1, 7), F(1, 3)])
    assert value(b.build({"s": node}), node, [F(3), F(7)]) == [F(3)]
    assert b.sum([x, y], [F(1), F(0)]) == x
    zero = b.sum([x, x], [F(1, 3), F(-1, 3)])
    assert value(b.build({"s": zero}), zero, [F(3), F(7)]) == [F(0)]
