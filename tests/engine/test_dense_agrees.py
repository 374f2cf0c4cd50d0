"""The network as matrices and the tables of meanings bound alike, where they do the same.

`DenseBounds` repeats three rules of the tables in outward-rounded form: intervals of affine steps,
the two lines of a ReLU, and backward substitution. Given the same bounds of the nodes before, both
must agree up to what rounding may do, and both must contain every exact value.
"""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.helpers.strategies import boxes as drawn_boxes
from tests.helpers.strategies import graphs, points_in
from verifex.engine.search.inputs.dense import DenseNet
from verifex.engine.search.inputs.dense_bounds import Boxes, DenseBounds
from verifex.errors import UnsupportedError
from verifex.ir.exact import FloatArray
from verifex.ir.graph import Builder, Graph
from verifex.ir.linmap import Conv, dense, reshape
from verifex.ir.ops import Affine, Concat, Input, Relu
from verifex.semantics.evaluate import evaluate_exact
from verifex.semantics.interval import Interval, bound_nodes, interval
from verifex.semantics.linear import Rows, concretise, substitute
from verifex.semantics.torch_backend import TorchBackend

FAR = 1e-10
"""Much more than the rounding of these small networks, relative to what is summed."""


def made(seed: int, kind: str) -> Graph:
    """A random network of two hidden layers: plain, with a connection past one, convolutional."""
    rng = np.random.default_rng(seed)
    b = Builder()
    if kind == "conv":
        x = b.input("x", (1, 1, 3, 3))
        conv = Conv((1, 1, 3, 3), (1, 2, 2, 2), rng.normal(size=(2, 1, 2, 2)), (1, 1),
                    ((0, 0), (0, 0)), (1, 1))
        h = b.affine(reshape((1, 2, 2, 2), (8,)), b.relu(b.affine(conv, x)))
        widths = (8, 6, 3)
    else:
        h = b.input("x", (4,))
        widths = (4, 7, 6, 3)
    for k, (m, n) in enumerate(pairwise(widths)):
        before = b.relu(h) if k else h
        h = b.affine(dense(rng.normal(size=(n, m))), before, rng.normal(size=n) / 2)
        if kind == "skip" and k == 1:
            both = b.add(Concat(0), h, before)
            h = b.affine(dense(rng.normal(size=(n, n + m))), both)
    return b.build({"y": h})


def boxed(graph: Graph, seed: int, count: int = 5) -> tuple[FloatArray, FloatArray]:
    rng = np.random.default_rng(seed)
    lo = rng.uniform(-1, 0.5, (count, graph.input_size))
    return lo, lo + rng.uniform(0, 1, lo.shape)


def shaped(graph: Graph, found: Boxes, node: int) -> Interval:
    """What the matrices know of a node, as the interval table has it."""
    shape = (found.count, *graph.nodes[node].shape)
    return Interval(found.lo[node].reshape(shape), found.hi[node].reshape(shape))


@pytest.mark.parametrize("kind", ["plain", "skip", "conv"])
@pytest.mark.parametrize("seed", range(5))
def test_intervals_agree(seed: int, kind: str) -> None:
    """One step from the same bounds: equal, or tighter where a backward pass improved on it."""
    graph = made(seed, kind)
    y = graph.outputs["y"]
    net = DenseNet(graph, [y])
    lo, hi = boxed(graph, seed)
    found = DenseBounds(net).boxes(lo, hi)
    for i in net.order:
        node = graph.nodes[i]
        if isinstance(node.op, Input):
            continue
        table = interval[node.op](node.op, *(shaped(graph, found, a) for a in node.args))
        ours = shaped(graph, found, i)
        size = FAR * (1 + np.abs(table.lo) + np.abs(table.hi))
        assert (ours.lo >= table.lo - size).all()
        assert (ours.hi <= table.hi + size).all()
        if i not in net.units:
            assert (ours.lo <= table.lo + size).all()
            assert (ours.hi >= table.hi - size).all()
        if isinstance(node.op, Relu):
            np.testing.assert_array_equal(ours.lo, table.lo)
            np.testing.assert_array_equal(ours.hi, table.hi)


@pytest.mark.parametrize("kind", ["plain", "skip", "conv"])
@pytest.mark.parametrize("seed", range(5))
def test_backward_substitution_agrees(seed: int, kind: str) -> None:
    """Rows over the same bounds without parameters: the same lines, and the bound that the
    matrices give lies below the table's by no more than the rounding that it takes off."""
    graph = made(seed, kind)
    y = graph.outputs["y"]
    net = DenseNet(graph, [y])
    lo, hi = boxed(graph, seed)
    bounds = DenseBounds(net)
    found = bounds.boxes(lo, hi)
    rng = np.random.default_rng(seed)
    start, const = rng.normal(size=(len(lo), net.stages[y].size)), rng.normal(size=len(lo))
    passed = bounds.lower(found, {y: start}, const, np.arange(len(lo)))
    low, high = ({i: torch.from_numpy(v.copy()) for i, v in part.items()}
                 for part in (found.lo, found.hi))
    rows = Rows(low, high, torch.arange(len(lo)))
    coefs, rest = substitute(graph, rows, {y: torch.from_numpy(start)}, {}, TorchBackend())
    least = concretise(coefs, rest, torch.from_numpy(lo), torch.from_numpy(hi)).numpy() + const
    size = 1 + np.abs(passed.coefs).sum(axis=1) + np.abs(passed.const)
    np.testing.assert_allclose(passed.coefs, coefs.numpy(), rtol=0, atol=FAR * float(size.max()))
    assert (np.abs(passed.const - (rest.numpy() + const)) <= FAR * size).all()
    assert (passed.value <= least + 1e-15 * size).all()
    assert (passed.value >= least - FAR * size).all()


@settings(max_examples=40)
@given(data=st.data())
def test_both_contain_exact_values(data: st.DataObject) -> None:
    drawn = data.draw(graphs("Relu", ("Affine", "Relu", "Concat")))
    graph = drawn.graph
    targets = sorted(graph.outputs.values())
    try:
        net = DenseNet(graph, targets)
    except UnsupportedError:
        assume(False)
    lo, hi = data.draw(drawn_boxes(graph.input_size))
    found = DenseBounds(net).boxes(lo[None], hi[None])
    table = bound_nodes(graph, lo[None], hi[None], net.order)
    for _ in range(2):
        exact = evaluate_exact(graph, data.draw(points_in(lo, hi)), net.order)
        for i in net.order:
            for k, v in enumerate(exact[i].fractions()):
                for ends in (shaped(graph, found, i), table[i]):
                    assert Fraction(float(ends.lo.flat[k])) <= v <= Fraction(float(ends.hi.flat[k]))


def test_matrices_are_the_maps() -> None:
    """Every affine step as a matrix gives what its map gives."""
    for kind in ("plain", "skip", "conv"):
        graph = made(0, kind)
        net = DenseNet(graph, [graph.outputs["y"]])
        points = boxed(graph, 1)[0]
        values = net.values(points)
        for i in net.order:
            exact = [evaluate_exact(graph, list(map(Fraction, p)), [i])[i].to_float().ravel()
                     for p in points.tolist()]
            np.testing.assert_allclose(values[i], np.array(exact), rtol=1e-12, atol=1e-12)
        assert any(isinstance(graph.nodes[i].op, Affine) for i in net.order)
