"""Layers that the checker reads as rows of whole numbers are what its plain rules make of forms."""

from __future__ import annotations

import random
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from onnx import helper, numpy_helper

from tests.helpers import checker_parts as checker
from verifex.certificate.checker.graph.elements import (
    AffineElements,
    Elements,
    FormElements,
    NodeElements,
    NumberElements,
    affine,
    is_dyadic,
)
from verifex.certificate.checker.graph.forms import Form
from verifex.certificate.checker.graph.moves import along, transposed
from verifex.certificate.checker.graph.network_graph import NetworkGraph
from verifex.certificate.checker.graph.sparse_rows import PackedRow, packed_row
from verifex.certificate.checker.graph.symbolic import SymbolicTensor, combine, of_node
from verifex.certificate.checker.onnx.operators.convolution import (
    Layer,
    packed_convolution,
    plain_convolution,
    taps_of,
)
from verifex.certificate.checker.onnx.operators.products import (
    factors_of,
    packed_products,
    plain_products,
)
from verifex.certificate.checker.onnx.protobuf import Message
from verifex.certificate.checker.onnx.stored import stored_tensor


def graph_of(*sizes: int) -> NetworkGraph:
    """A graph of inputs of these sizes."""
    graph, start = NetworkGraph(), 0
    for size in sizes:
        graph.input(f"x{start}", size)
        start += size
    return graph


def shown(graph: NetworkGraph) -> list[Any]:
    """All nodes of a graph with all that they hold."""
    return [(node.kind, node.args, node.size, node.cone, data_of(node)) for node in graph.nodes]


def data_of(node: Any) -> Any:
    parts, denominator, bias = node.step
    tables = [
        (part[0], [(table.rows, table.width, table.dense, table.largest_sum) for table in part[1:]])
        for part in parts]
    return node.start, tables, denominator, bias


def numbers(rng: random.Random, count: int, filled: float) -> list[int]:
    return [rng.randint(-9, 9) if rng.random() < filled else 0 for _ in range(count)]


def written(rows: list[PackedRow], width: int, denominator: int, bias: list[Fraction]
            ) -> list[Form]:
    return AffineElements(0, width, rows, denominator, bias).forms()


def matrices(many: int) -> Iterator[tuple[list[PackedRow], int, int, list[Fraction]]]:
    """Random rows, their width, a denominator, and constants; some are the identity, or nearly."""
    rng = random.Random(4)
    for _ in range(many):
        height, width = rng.randint(1, 5), rng.randint(1, 5)
        filled, factor = rng.choice([.2, .7, 1]), rng.choice([1, 1, 2, 6, 8])
        values = [[factor * v for v in numbers(rng, width, filled)] for _ in range(height)]
        bias = [Fraction(rng.randint(-2, 2), 3) for _ in range(height)]
        denominator = rng.choice([1, 2, 8, 12])
        if rng.random() < .3:
            values = [[denominator * (i == j) for j in range(width)] for i in range(width)]
            bias = [Fraction(0)] * width
            if rng.random() < .3:
                bias[-1] = Fraction(1)
        rows = [packed_row(range(width), row, width) for row in values]
        if any(weights for _, weights in rows):
            yield rows, width, denominator, bias


def test_an_affine_node_is_the_node_of_its_forms() -> None:
    same = 0
    for rows, width, denominator, bias in matrices(400):
        quick, plain = graph_of(width), graph_of(width)
        found = quick.affine_node(0, rows, denominator, bias)
        assert found == plain.rows(written(rows, width, denominator, bias))
        assert shown(quick) == shown(plain)
        # In one graph they are one node, whichever is made first.
        assert quick.rows(written(rows, width, denominator, bias)) == found
        assert plain.affine_node(0, rows, denominator, bias) == found
        same += found == 0
    assert same > 20  # nodes that are the argument itself


def test_elements_stand_for_their_forms() -> None:
    """Picked, scaled and shifted they are what becomes of the forms."""
    rng = random.Random(6)
    for rows, width, denominator, bias in matrices(200):
        graph = graph_of(width)
        quick: list[Elements] = [
            AffineElements(0, width, rows, denominator, bias), NodeElements(0, width),
            NumberElements(numbers(rng, width, .8), 8)]
        for elements in quick:
            plain = FormElements(elements.forms())
            assert (len(elements), elements.fixed) == (len(plain), plain.fixed)
            assert elements.node(graph) == plain.node(graph)
            assert elements.digits_at_most() >= plain.digits_at_most()
            chosen = [rng.randrange(len(plain)) for _ in range(4)]
            assert elements.picked(chosen).forms() == plain.picked(chosen).forms()


def test_rows_without_numbers_are_constants() -> None:
    assert isinstance(affine(0, 3, [((), ()), ((), ())], 4, [Fraction(1), Fraction(2)]),
                      FormElements)


@pytest.mark.parametrize("shape", [(3,), (1, 3), (2, 2), (2, 1, 2)])
def test_sums_and_products_with_constants_are_those_of_the_forms(shape: tuple[int, ...]) -> None:
    rng, quick = random.Random(str(shape)), 0
    size = int(np.prod(shape))
    for _ in range(60):
        rows = [packed_row(range(4), numbers(rng, 4, .6), 4) for _ in range(size)]
        bias = [Fraction(rng.randint(-3, 3), 5) for _ in range(size)]
        graph = graph_of(4)
        fast = SymbolicTensor(graph, shape, affine(0, 4, rows, 8, bias))
        plain = SymbolicTensor(graph, shape, fast.items)
        side = rng.choice([shape, shape[-1:], (), (1,), (2, *shape)])
        values = [Fraction(rng.randint(-3, 3), rng.choice([1, 2, 4, 4, 3]))
                  for _ in range(int(np.prod(side)))]
        other = SymbolicTensor(graph, side, [({}, value) for value in values])
        factor = rng.choice([1, -1, Fraction(3, 4), Fraction(1, 3), 0])
        for left, right in ((combine((fast, factor), (other, 2)),
                             combine((plain, factor), (other, 2))),
                            (fast * other, plain * other), (other * fast, other * plain),
                            (fast - other, plain - other), (other - fast, other - plain)):
            assert (left.shape, left.fixed, left.items) == (right.shape, right.fixed, right.items)
            quick += isinstance(left.elements, AffineElements)
        if all(map(is_dyadic, values)) and not fast.fixed and len(side) <= len(shape):
            assert not isinstance((fast * other).elements, FormElements) or not any(values)
    assert quick > 30


def weights_of(graph: NetworkGraph, values: Any) -> SymbolicTensor:
    """A stored tensor, as the checker reads it."""
    stored = numpy_helper.from_array(np.asarray(values, dtype=np.float32), "w")
    return stored_tensor(graph, Message(stored.SerializeToString()))


SHAPES = [
    ((2, 3), (3, 4)), ((3,), (3, 4)), ((2, 3), (3,)), ((3,), (3,)), ((1, 1), (1, 1)),
    ((2, 2, 3), (3, 2)), ((2, 1, 2, 3), (3, 3, 2)), ((1, 2, 3), (2, 3, 1)), ((1, 5), (5, 1)),
]


@pytest.mark.parametrize(("left", "right"), SHAPES)
@pytest.mark.parametrize("weights_first", [False, True])
@pytest.mark.parametrize("filled", [.5, 1])
def test_packed_products_are_the_plain_ones(
    left: tuple[int, ...], right: tuple[int, ...], weights_first: bool, filled: float
) -> None:
    rng = np.random.default_rng(3)
    side, other = (right, left) if weights_first else (left, right)
    graph, again = (graph_of(int(np.prod(side))) for _ in range(2))
    values = rng.integers(1, 9, other) / 8 * (rng.random(other) < filled)
    computed, weights = of_node(graph, side, 0), weights_of(graph, values)
    pair = (weights, computed) if weights_first else (computed, weights)
    shape, *factors = factors_of(*pair)
    first, second = factors[::-1] if weights_first else factors
    packed, plain = packed_products(first, second), plain_products(first, second)
    assert packed is not None
    assert packed.forms() == plain
    assert packed.node(graph) == again.rows(plain)
    assert shown(graph) == shown(again)
    product = np.matmul(np.zeros(left), np.zeros(right))
    assert tuple(shape) == product.shape


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("batch", [1, 2])
def test_packed_convolutions_are_the_plain_ones(groups: int, batch: int) -> None:
    rng = np.random.default_rng(groups)
    sides, kernel = (3, 4), (2, 3)
    axes = [[[-1, 0], [0, 1], [1, 2]], [[0, 1, 2], [2, 3, -1], [-1, -1, 0]]]
    outputs, depth = 4, 2
    channels = depth * groups
    size = batch * channels * 12
    graph, again = graph_of(size), graph_of(size)
    values = rng.integers(-3, 4, (outputs, depth, *kernel)) / 4
    computed = of_node(graph, (batch, channels, *sides), 0)
    weights = weights_of(graph, values)
    layer = Layer(batch, channels, outputs, depth, 12, 6, outputs // groups,
                  taps_of(axes, sides, kernel))
    plain = plain_convolution(computed, weights, layer)
    node, stored = computed.elements, weights.elements
    assert isinstance(node, NodeElements)
    assert isinstance(stored, NumberElements)
    packed = packed_convolution(node, stored, layer)
    assert packed.forms() == plain
    assert packed.node(graph) == again.rows(plain)
    assert shown(graph) == shown(again)


def test_moves_are_those_of_numpy() -> None:
    graph = graph_of(24)
    for shape in ((2, 3, 4), (4, 1, 6), (24, 1, 1)):
        places = np.arange(24).reshape(shape)
        tensor = of_node(graph, shape, 0)
        for axes in ((0, 1, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0)):
            moved = transposed(tensor, axes)
            assert moved.items == tensor.elements.picked(places.transpose(axes).ravel()).forms()
        for axis in range(3):
            chosen = [0, shape[axis] - 1, 0]
            taken = along(axis, [(tensor, k) for k in chosen])
            assert taken.shape == places.take(chosen, axis).shape
            wanted = tensor.elements.picked(places.take(chosen, axis).ravel()).forms()
            assert taken.items == wanted
            padded = along(axis, [(tensor, 0), (tensor, -1)])
            assert [not form[0] for form in padded.items].count(True) == 24 // shape[axis]


def test_networks_keep_their_layers_packed() -> None:
    """A dense layer and a convolution with their biases, normalised, are never written as forms."""
    rng = np.random.default_rng(0)
    stored = [numpy_helper.from_array(rng.random(side).astype(np.float32), name)
              for name, side in (("K", (2, 1, 2, 2)), ("k", (2,)), ("s", (2,)), ("v", (2,)),
                                 ("W", (18, 3)), ("b", (3,)))]
    nodes = [helper.make_node("Conv", ["x", "K", "k"], ["c"]),
             helper.make_node("BatchNormalization", ["c", "s", "k", "k", "v"], ["n"]),
             helper.make_node("Flatten", ["n"], ["f"]),
             helper.make_node("Relu", ["f"], ["r"]),
             helper.make_node("Gemm", ["r", "W", "b"], ["y"], alpha=.5)]
    ends = [helper.make_tensor_value_info(name, 1, shape)
            for name, shape in (("x", [1, 1, 4, 4]), ("y", None))]
    model = helper.make_model(helper.make_graph(nodes, "g", ends[:1], ends[1:], stored),
                              opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    net = checker.Network(model.SerializeToString())
    assert list(net.outputs) == ["y"]
    for name in ("c", "n", "f", "y"):
        assert isinstance(net.values[name].elements, AffineElements)
    assert isinstance(net.values["r"].elements, NodeElements)
    assert isinstance(net.values["W"].elements, NumberElements)
