"""Slopes in numpy are those of torch: of networks, their gradients, and smooth functions."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.helpers.gradient_nets import small_network
from verifex.ir.graph import Builder, Graph
from verifex.ir.linmap import dense, gather
from verifex.ir.ops import Concat
from verifex.semantics.functions import registry
from verifex.semantics.pullback import slopes
from verifex.semantics.torch_backend import TorchBackend, evaluate_torch


def by_torch(graph: Graph, node: int, points: np.ndarray, softness: float) -> np.ndarray:
    """Slopes of the sum of a node's elements, weighed by 1, 2, 3, ..."""
    x = torch.tensor(points, requires_grad=True)
    values = evaluate_torch(graph, x, [node], TorchBackend(soft_step=softness))[node]
    flat = values.reshape(len(points), -1)
    weights = torch.arange(1, flat.shape[1] + 1, dtype=torch.float64)
    (found,) = torch.autograd.grad((flat * weights).sum(), x)
    return found.numpy()


def by_numpy(graph: Graph, node: int, points: np.ndarray, softness: float) -> np.ndarray:
    size = graph.nodes[node].size
    weights = np.broadcast_to(np.arange(1.0, size + 1), (len(points), size))
    return slopes(
        graph, points, {node: weights.reshape(len(points), *graph.nodes[node].shape)}, softness)


@pytest.mark.parametrize("softness", [0.0, 0.1])
@pytest.mark.parametrize("seed", range(4))
def test_slopes_of_outputs_and_of_gradients(seed: int, softness: float) -> None:
    rng = np.random.default_rng(seed)
    graph, _ = small_network(rng)
    points = rng.normal(size=(16, 3))
    for node in graph.outputs.values():
        expected = by_torch(graph, node, points, softness)
        assert np.allclose(by_numpy(graph, node, points, softness), expected, atol=1e-9)
        assert expected.any()


@pytest.mark.parametrize("name", sorted(registry()))
def test_slopes_of_smooth_functions_in_a_network(name: str) -> None:
    b, rng = Builder(), np.random.default_rng(1)
    x = b.input("x", (3,))
    inner = b.univariate(name, b.affine(dense(rng.uniform(0.2, 1, (4, 3))), x, np.full(4, 1.0)))
    parts = b.add(Concat(0), inner, x)
    out = b.mul(parts, b.affine(gather((7,), np.arange(7)[::-1].copy()), parts))
    graph = b.build({"out": out})
    points = rng.uniform(0.1, 1, (8, 3))
    assert np.allclose(
        by_numpy(graph, out, points, 0.0), by_torch(graph, out, points, 0.0), rtol=1e-7)
