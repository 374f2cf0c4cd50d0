"""Graphs: equal nodes are one node, misfits are named, constants fold exactly."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.helpers.strategies import PIECEWISE, Drawn, arrays, graphs, grid
from verifex.errors import InputError
from verifex.ir.exact import ExactArray, as_exact
from verifex.ir.graph import Builder, Graph, GraphError
from verifex.ir.linmap import dense, gather, identity, scale
from verifex.ir.ops import Affine, Concat, Const, Gate, Input, Mul, Relu, Step, Univariate
from verifex.semantics.evaluate import evaluate_exact


def rebuilt(graph: Graph, twice: bool = False) -> tuple[Graph, list[int]]:
    """The graph added to a new builder node by node, and where each node went."""
    b, places = Builder(), []
    for _ in range(2 if twice else 1):
        places = []
        for node in graph.nodes:
            if isinstance(node.op, Input) and node.op in {b.node(i).op for i in places}:
                places.append(next(i for i in places if b.node(i).op == node.op))
            else:
                places.append(b.add(node.op, *(places[a] for a in node.args)))
    return b.build({k: places[v] for k, v in graph.outputs.items()}), places


@given(drawn=graphs("Affine"))
def test_a_graph_added_twice_is_there_once(drawn: Drawn) -> None:
    once, places = rebuilt(drawn.graph)
    twice, again = rebuilt(drawn.graph, twice=True)
    assert places == again == list(range(len(drawn.graph.nodes)))
    assert once.nodes == twice.nodes == drawn.graph.nodes


@given(drawn=graphs("Mul", size=8))
def test_no_two_nodes_are_equal(drawn: Drawn) -> None:
    nodes = drawn.graph.nodes
    assert len({(n.op, n.args) for n in nodes}) == len(nodes)
    assert all(a < i for i, n in enumerate(nodes) for a in n.args)


@given(drawn=graphs("Gate", size=8))
def test_gates_take_the_values_zero_and_one_only(drawn: Drawn) -> None:
    graph = drawn.graph
    x = [Fraction(1, 3)] * graph.input_size
    values = evaluate_exact(graph, x, range(len(graph.nodes)))
    for i, node in enumerate(graph.nodes):
        if node.boolean:
            assert set(values[i].fractions()) <= {0, 1}
        if isinstance(node.op, Gate):
            assert graph.nodes[node.args[0]].boolean


@given(drawn=graphs("Concat", ops=PIECEWISE))
def test_ancestors_are_all_that_a_value_needs(drawn: Drawn) -> None:
    graph = drawn.graph
    needed = graph.ancestors([drawn.focus])
    assert needed == sorted(needed)
    assert drawn.focus in needed
    assert all(a in needed for i in needed for a in graph.nodes[i].args)


@given(data=st.data())
def test_constants_fold_exactly(data: st.DataObject) -> None:
    """A third of a constant stays a third."""
    value = data.draw(arrays((2, 2), grid))
    b = Builder()
    c = b.const(value)
    folded = b.node(b.scaled(c, 1 / 3)).op
    assert isinstance(folded, Const)
    third = Fraction(1 / 3)
    assert as_exact(folded.value).fractions() == [third * Fraction(v) for v in value.ravel()]
    both = b.node(b.sum([c, c, c], [1, 1, -1])).op
    assert isinstance(both, Const)
    assert as_exact(both.value).fractions() == [Fraction(v) for v in value.ravel()]


def test_inputs_lie_one_after_the_other() -> None:
    b = Builder()
    first, second = b.input("a", (2, 3)), b.input("b", (2,))
    graph = b.build({"b": second})
    assert graph.input_size == 8
    assert graph.input_offsets == {first: 0, second: 6}
    value = evaluate_exact(graph, [Fraction(k) for k in range(8)], [second])[second]
    assert value.fractions() == [6, 7]


def test_a_builder_goes_on_where_a_graph_ends() -> None:
    b = Builder()
    x = b.input("x", (2,))
    y = b.relu(x, "hidden")
    graph = b.build({"y": y})
    more = Builder(graph)
    assert more.relu(x) == y
    z = more.step(x)
    longer = more.build()
    assert longer.nodes[: len(graph.nodes)] == graph.nodes
    assert longer.outputs == graph.outputs
    assert longer.describe(y) == "Relu node 1 (hidden)"
    assert longer.describe(z) == f"Step node {z}"


def test_maps_that_change_nothing_add_no_node() -> None:
    b = Builder()
    x = b.input("x", (3,))
    assert b.affine(identity((3,)), x) == x
    assert b.sum([x]) == x
    assert b.affine(identity((3,)), x, np.zeros(3)) != x  # a bias is a statement
    assert b.affine(dense(np.eye(3)), x) != x


def test_absolute_is_two_relus_less_one() -> None:
    b = Builder()
    x = b.input("x", (3,))
    graph = b.build({"a": b.absolute(x)})
    point = [Fraction(-2, 3), Fraction(0), Fraction(5)]
    value = evaluate_exact(graph, point, graph.outputs.values())[graph.outputs["a"]]
    assert value.fractions() == [Fraction(2, 3), 0, 5]


def test_gathered_gates_are_gates() -> None:
    b = Builder()
    x = b.input("x", (2,))
    d = b.affine(gather((2,), [1, -1, 0]), b.step(x))
    assert b.node(d).boolean
    assert b.node(b.gate(d, b.const(np.ones(3)))).shape == (3,)
    assert not b.node(b.scaled(b.step(x), 2)).boolean
    assert b.node(b.add(Concat(0), b.step(x), b.step(x))).boolean
    assert not b.node(b.add(Concat(0), b.step(x), x)).boolean


Wrong = tuple[str, Callable[[Builder, int, int], object], str]
WRONG: list[Wrong] = [
    ("shapes", lambda b, x, m: b.mul(x, m), r"node 2 Mul\(0\[3\], 1\[2, 2\]\).*shapes.*differ"),
    ("gate", lambda b, x, m: b.gate(x, x), r"Gate.*values besides 0 and 1.*expected a Step"),
    ("gate shape", lambda b, x, m: b.gate(b.step(m), x), r"Gate.*shapes of the arguments differ"),
    ("map", lambda b, x, m: b.affine(dense(np.ones((2, 2))), x), r"the map takes \[2\].*\[3\]"),
    ("bias", lambda b, x, m: b.affine(dense(np.ones((2, 3))), x, np.ones(3)),
     r"bias of shape \[3\], expected \[2\]"),
    ("maps", lambda b, x, m: b.add(Affine((identity((3,)),)), x, x), "1 maps for 2 arguments"),
    ("no maps", lambda b, x, m: b.add(Affine(())), "0 maps for 0 arguments"),
    ("other shapes", lambda b, x, m: b.add(
        Affine((identity((3,)), dense(np.ones((2, 3))))), x, x), "different shapes"),
    ("relu", lambda b, x, m: b.add(Relu(), x, x), r"2 arguments, expected 1"),
    ("step", lambda b, x, m: b.add(Step()), r"0 arguments, expected 1"),
    ("mul", lambda b, x, m: b.add(Mul(), x), r"1 arguments, expected 2"),
    ("input", lambda b, x, m: b.input("x", (1,)), r"a second input 'x'"),
    ("negative", lambda b, x, m: b.input("y", (-1,)), r"shape \[-1\]"),
    ("axis", lambda b, x, m: b.add(Concat(1), x, x), r"axis 1, expected 0\.\.0"),
    ("concat", lambda b, x, m: b.add(Concat(0), x, m), r"shapes differ off the axis"),
    ("concat none", lambda b, x, m: b.add(Concat(0)), r"nothing to concatenate"),
    ("function", lambda b, x, m: b.univariate("a b", x), r"function 'a b', expected the name of"),
    ("argument", lambda b, x, m: b.add(Relu(), 99), r"argument 99 does not exist"),
    ("sum", lambda b, x, m: b.sum([x, m]), r"\[2, 2\]"),
    ("constants", lambda b, x, m: b.affine(scale((3,), 2), b.const(np.ones(2))), r"\[3\].*\[2\]"),
]


@pytest.mark.parametrize(("make", "text"), [w[1:] for w in WRONG], ids=[w[0] for w in WRONG])
def test_what_does_not_fit_is_named(
    make: Callable[[Builder, int, int], object], text: str
) -> None:
    b = Builder()
    x, m = b.input("x", (3,)), b.input("m", (2, 2))
    with pytest.raises(GraphError, match=text) as caught:
        make(b, x, m)
    assert isinstance(caught.value, InputError)
    assert caught.value.exit_code == 65
    assert "\n" not in str(caught.value)


def test_a_failed_node_leaves_the_builder_as_it_was() -> None:
    b = Builder()
    x = b.input("x", (3,))
    with pytest.raises(GraphError):
        b.add(Univariate("no name"), x)
    assert b.relu(x) == 1


def test_exact_constants_are_told_apart_from_floats_near_them() -> None:
    b = Builder()
    third = ExactArray.from_numbers([Fraction(1, 3)])
    assert b.const(third) != b.const(np.array([1 / 3]))
    assert b.const(third) == b.const(ExactArray.from_numbers([Fraction(1, 3)]))


def test_equal_terms_of_a_sum_become_one() -> None:
    b = Builder()
    x, y = b.input("x", (2,)), b.input("y", (2,))
    assert b.sum([x, y, x], [1, 1, -1]) == y
    assert b.sum([x, x, y], [1, 1, -1]) == b.sum([x, y], [2, -1])
    zero = b.node(b.sum([x, x], [1, -1]))
    assert isinstance(zero.op, Const)
    assert not zero.op.value.any()
    graph = b.build({"double": b.sum([x, x])})
    found = evaluate_exact(graph, [Fraction(k) for k in (1, 2, 3, 4)], [graph.outputs["double"]])
    assert found[graph.outputs["double"]].fractions() == [2, 4]
