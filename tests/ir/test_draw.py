"""Drawings and statistics of graphs, checked against networkx and against counts by hand."""

from __future__ import annotations

import io
import re

import networkx as nx
import numpy as np

from verifex.ir.graph import Builder, Graph
from verifex.ir.linmap import dense
from verifex.ir.text.draw import op_text, shape_text, statistics, to_dot, to_graphml, to_networkx
from verifex.semantics.vjp import gradients


def residual() -> Graph:
    """relu(W x + b) + W' x and its gradient, with one node that nothing needs."""
    b = Builder()
    x = b.input("x", (3,))
    h = b.relu(b.affine(dense(np.ones((2, 3))), x, np.ones(2), label='say "h"'))
    y = b.sum([h, b.affine(dense(np.full((2, 3), 2.0)), x)])
    out = b.affine(dense(np.ones((1, 2))), y)
    b.univariate("tanh", out)
    (g,) = gradients(b, out, [x])
    return b.build({"y": out, "attribution": g})


def test_edges_are_arguments() -> None:
    graph = residual()
    drawn = to_networkx(graph)
    assert nx.is_directed_acyclic_graph(drawn)
    assert set(drawn.edges()) == {(a, i) for i, n in enumerate(graph.nodes) for a in n.args}
    assert drawn.nodes[graph.outputs["y"]]["outputs"] == "y"


def test_statistics() -> None:
    found = statistics(residual())
    assert found["inputs"] == 3
    assert (found["relus"], found["gates"], found["products"]) == (2, 2, 0)
    assert found["unused"] >= 1
    b = Builder()
    x = b.input("x", (3,))
    y = b.relu(b.affine(dense(np.ones((2, 3))), x, np.ones(2)))
    small = statistics(b.build({"y": y}))
    assert small["parameters"] == 8
    assert (small["nodes"], small["edges"], small["depth"], small["unused"]) == (3, 2, 2, 0)


def test_parts_counts_what_hangs_together_beyond_the_inputs() -> None:
    b = Builder()
    x = b.input("x", (2,))
    ys = {f"y{k}": b.relu(b.affine(dense(np.full((1, 2), k + 1.0)), x)) for k in range(3)}
    assert statistics(b.build(ys))["parts"] == 3


def test_dot_holds_every_node_and_edge_once() -> None:
    graph = residual()
    text = to_dot(graph, {3: 1})
    nodes = re.findall(r"^  n(\d+) \[", text, re.MULTILINE)
    edges = re.findall(r"^  n(\d+) -> n(\d+);", text, re.MULTILINE)
    assert [int(n) for n in nodes] == list(range(len(graph.nodes)))
    assert {(int(a), int(b)) for a, b in edges} == set(to_networkx(graph).edges())
    assert r"say \"h\"" in text
    assert text.count("{") == text.count("}")
    assert "1 open" in text


def test_graphml_is_read_back_by_networkx() -> None:
    graph = residual()
    again = nx.read_graphml(io.BytesIO(to_graphml(graph).encode()), node_type=int)
    assert set(again.edges()) == set(to_networkx(graph).edges())
    assert again.nodes[graph.outputs["attribution"]]["outputs"] == "attribution"


def test_texts() -> None:
    graph = residual()
    assert shape_text(()) == "scalar"
    assert shape_text((2, 3)) == "2x3"
    assert "Affine dense + bias" in {op_text(n) for n in graph.nodes}
