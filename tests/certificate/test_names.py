"""Fingerprints: both sides give an element the same name, however the graph was put together."""

from __future__ import annotations

import random
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import helper, numpy_helper

from tests.helpers import checker_parts as checker
from tests.helpers.checker_nets import agree, claim_of, save_graph, save_net
from verifex.ir import fingerprints as engine

Row = dict[int, Fraction]


class Layers:
    """Random affine layers with relaxed elements between them, put together in different ways.

    `merged`: an affine step after a relaxed one is one step, or two; `shuffled`: parts that do not
    depend on each other come in another order; `unused`: nodes that nothing uses lie between.
    """

    def __init__(self, seed: int) -> None:
        rng = random.Random(seed)
        self.size, self.kinds = rng.randint(2, 4), [rng.choice("RSGM") for _ in range(3)]
        width, self.steps = self.size, []
        for _ in self.kinds:
            first, second = (self._matrix(rng, 3, width), self._matrix(rng, 2, 3))
            self.steps.append((first, second))
            width = 2

    def _matrix(
        self, rng: random.Random, rows: int, width: int
    ) -> tuple[list[Row], list[Fraction]]:
        return (
            [{j: Fraction(rng.randint(-9, 9), rng.randint(1, 5)) for j in range(width)}
             for _ in range(rows)],
            [Fraction(rng.randint(-9, 9), rng.randint(1, 5)) for _ in range(rows)])

    def build(self, merged: bool, shuffled: bool, unused: bool) -> tuple[Any, list[list[int]]]:
        """The graph, and the names of each layer's relaxed elements and arguments."""
        graph, found = checker.NetworkGraph(), []
        x = graph.input("x", self.size)
        for kind, steps in zip(self.kinds, self.steps, strict=True):
            if unused:
                graph.op("R", graph.rows([({(x, 0): Fraction(7)}, Fraction(len(found)))] * 2))
            z = self._affine(graph, x, steps, merged)
            first, second = z, graph.rows(
                [({(z, 1): Fraction(2)}, Fraction(1)), ({(z, 0): Fraction(1)}, Fraction(0))])
            if kind == "M" and shuffled:
                first, second = second, first
            if kind == "G":
                x = graph.op("G", graph.op("S", first), second)
            else:
                x = graph.op(kind, *((first, second) if kind == "M" else (first,)))
            found += [checker.Fingerprints(graph).of(n) for n in (z, x)]
        return graph, found

    def _affine(self, graph: Any, x: int, steps: Any, merged: bool) -> int:
        (first, offset), (second, bias) = steps
        refs = [({(x, j): c for j, c in row.items() if c}, d)
                for row, d in zip(first, offset, strict=True)]
        if not merged:
            between = graph.rows(refs)
            return int(graph.rows([
                ({(between, j): c for j, c in row.items() if c}, d)
                for row, d in zip(second, bias, strict=True)]))
        forms = []
        for row, d in zip(second, bias, strict=True):
            total: dict[tuple[int, int], Fraction] = {}
            for k, c in row.items():
                for place, value in refs[k][0].items():
                    total[place] = total.get(place, Fraction(0)) + c * value
            constant = d + sum(c * refs[k][1] for k, c in row.items())
            forms.append(({place: c for place, c in total.items() if c}, constant))
        return int(graph.rows(forms))


@pytest.mark.parametrize("seed", range(30))
def test_names_do_not_depend_on_how_a_graph_is_put_together(seed: int) -> None:
    layers = Layers(seed)
    _, plain = layers.build(False, False, False)
    for how in ((True, False, False), (False, True, False), (False, False, True),
                (True, True, True)):
        assert layers.build(*how)[1] == plain, how
    other = Layers(seed + 1000).build(False, False, False)[1]
    shared = {name for row in other for name in row} & {name for row in plain for name in row}
    assert not shared - {0}


def test_names_are_values_modulo_the_prime() -> None:
    """An affine element is what it is at the inputs' names, a relaxed one a hash of its kind."""
    graph = checker.NetworkGraph()
    x = graph.input("x", 2)
    y = graph.input("y", 1)
    third = Fraction(1, 3)
    z = graph.rows([({(x, 0): third, (y, 0): Fraction(-2)}, Fraction(5, 7))])
    names, prime = checker.Fingerprints(graph), (1 << 61) - 1
    a, b, c = (checker.hashed("I", k) for k in range(3))
    assert (names.of(x), names.of(y)) == ([a, b], [c])
    (value,) = names.of(z)
    assert (21 * value - (7 * a - 42 * c + 15)) % prime == 0
    relu, step = graph.op("R", z), graph.op("S", z)
    gate, product = graph.op("G", step, z), graph.op("M", relu, z)
    assert names.of(relu) == [checker.hashed("R", value)]
    assert names.of(step) == [checker.hashed("S", value)]
    assert names.of(gate) == [checker.hashed("G", *names.of(step), value)]
    assert names.of(product) == [checker.hashed("M", *sorted((*names.of(relu), value)))]
    assert names.of(graph.op("M", z, relu)) == names.of(product)
    assert len({*names.of(relu), *names.of(step), *names.of(gate), *names.of(product)}) == 4


@pytest.mark.parametrize("kind", ["I", "R", "S", "G", "M"])
def test_both_sides_hash_alike(kind: str) -> None:
    rng = random.Random(kind)
    for count in (1, 2):
        arguments = [rng.randrange(engine.PRIME) for _ in range(count)]
        assert checker.hashed(kind, *arguments) == engine.hashed(kind, *arguments)
    for value in (Fraction(0), Fraction(-1, 3), Fraction(10**40, 7), Fraction(1, engine.PRIME)):
        assert checker.residue(value) == engine.residue(value)


SPEC = """
verifex = 1
kink = "zero"
input = {{ point = {point} }}
region = {{ linf = 0.125 }}
explain = {{ attribution = "{kind}", output = "margin:0,1", reduce = "{reduce}" }}
[[require]]
distance = "l2"
at_most = 3
[[require]]
similarity = "cosine"
at_least = -1
[[require]]
top_k = 1
"""


def point_of(rng: np.random.Generator, size: int) -> list[float]:
    return [float(v) for v in rng.integers(1, 64, size) / 64]


@pytest.mark.parametrize("kind", ["gradient", "input_x_gradient"])
@pytest.mark.parametrize("seed", range(1, 5))
def test_networks_have_the_same_names_on_both_sides(
    tmp_path: Path, seed: int, kind: str
) -> None:
    rng = np.random.default_rng(seed)
    widths = [3, *rng.integers(2, 6, 2).tolist(), 2]
    layers = [(rng.integers(-16, 17, (b, a)) / 8, rng.integers(-8, 9, b) / 8)
              for a, b in pairwise(widths)]
    network, spec = save_net(tmp_path / "net.onnx", layers), tmp_path / "spec.toml"
    spec.write_text(SPEC.format(
        point=point_of(rng, 3), kind=kind, reduce=("signed", "abs")[seed % 2]))
    agree(network, spec, points=1)


@pytest.mark.parametrize("kind", ["gradient", "input_x_gradient"])
def test_convolutions_pools_and_joins_have_the_same_names(tmp_path: Path, kind: str) -> None:
    """Conv, MaxPool, Concat of branches, Max, Clip and a product of computed tensors."""
    rng = np.random.default_rng(9)
    stored = [numpy_helper.from_array((rng.integers(-8, 9, s) / 8).astype(np.float32), n)
              for n, s in (("K", (2, 1, 2, 2)), ("k", (2,)), ("W", (10, 2)), ("V", (16, 8)))]
    stored += [numpy_helper.from_array(np.float32(v), n) for n, v in (("lo", -1), ("hi", 1.5))]
    make = helper.make_node
    nodes = [
        make("Conv", ["x", "K", "k"], ["c"], pads=[0, 0, 1, 1]), make("Relu", ["c"], ["r"]),
        make("MaxPool", ["r"], ["m"], kernel_shape=[2, 2], strides=[2, 2]),
        make("Flatten", ["m"], ["f"]), make("Flatten", ["x"], ["g"]),
        make("MatMul", ["g", "V"], ["h"]), make("Clip", ["h", "lo", "hi"], ["i"]),
        make("Max", ["f", "i"], ["j"]), make("Mul", ["j", "i"], ["p"]),
        make("ReduceMax", ["p"], ["q"], axes=[1], keepdims=1),
        make("ReduceSum", ["p"], ["s"], keepdims=1),
        make("Reshape", ["s", "shape"], ["t"]),
        make("Concat", ["p", "q", "t"], ["e"], axis=1), make("MatMul", ["e", "W"], ["y"]),
    ]
    stored.append(numpy_helper.from_array(np.array([1, 1], np.int64), "shape"))
    network = save_graph(tmp_path / "net.onnx", nodes, stored, [1, 1, 4, 4], "y", [1, 2])
    spec = tmp_path / "spec.toml"
    spec.write_text(SPEC.format(point=point_of(rng, 16), kind=kind, reduce="signed"))
    agree(network, spec, points=1)


def test_elements_of_one_name_are_taken_in_turn(tmp_path: Path) -> None:
    """Two equal units have one name: the k-th time that a group has it, the k-th is meant, and the
    last from then on."""
    network = save_net(tmp_path / "net.onnx", [
        ([[1, 2], [3, 4], [1, 2]], [0, 1, 0]), ([[1, 1, -1]], [0])])
    spec = tmp_path / "spec.toml"
    spec.write_text('verifex = 1\nregion = { box = [-1, 1] }\n'
                    '[[require]]\noutput = "logit:0"\nat_most = 9\n')
    made = claim_of(network, spec)
    index, groups = made.deriver.index, made.deriver.groups
    (z,) = {place[0] for places in index.places(checker.ARGUMENT).values() for place in places}
    twice, once, again = index.fingerprints.of(z)
    assert twice == again != once
    groups.add([twice, once, again, twice])
    groups.add([12345, once, twice])
    groups.add([twice, once, again])
    assert groups.places(0, checker.ARGUMENT) == [(z, 0), (z, 1), (z, 2), (z, 2)]
    assert groups.places(1, checker.ARGUMENT) == [None, (z, 1), (z, 0)]
    assert groups.places(0, "R") == [None] * 4
    assert groups.one_node(2, checker.ARGUMENT) == z
    assert groups.one_node(0, checker.ARGUMENT) is groups.one_node(1, checker.ARGUMENT) is None


def test_a_split_is_of_one_element_alone(tmp_path: Path) -> None:
    """Of two units of one name a split by that name leaves the other one open."""
    network = save_net(tmp_path / "net.onnx", [([[1, 2], [1, 2]], [0, 0]), ([[1, 1]], [0])])
    spec = tmp_path / "spec.toml"
    spec.write_text('verifex = 1\nregion = { box = [-1, 1] }\n'
                    '[[require]]\noutput = "logit:0"\nat_most = 9\n')
    made = claim_of(network, spec)
    (z,) = {place[0] for places in made.deriver.index.places(checker.ARGUMENT).values()
            for place in places}
    domain = made.region.split(checker.Split(z, 1, 1, Fraction(0)))
    low, high = domain.bounds(z)
    unit = made.grid.unit
    assert (low, high) == ([-3 * unit, 0], [3 * unit, 3 * unit])
