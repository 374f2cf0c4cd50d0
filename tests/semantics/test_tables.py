"""Every op in every table: no blank cell, refusals as listed, each rule against exact evaluation.

A table takes part by a line in `CHECKS`. The checks draw small graphs that end in the op under
test (tests/strategies.py), on numbers where ties and kinks are really hit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.helpers.strategies import SMOOTH, Drawn, boxes, graphs, grid, points_in, wild
from verifex.errors import UnsupportedError
from verifex.ir.exact import ExactArray, FloatArray
from verifex.ir.graph import Builder, Graph
from verifex.ir.linmap import dense, gather, total
from verifex.ir.model.logical import Model, relaxed_row
from verifex.ir.ops import OPS, Gate, Input, Mul, Relu, Step, TreeLeaves, Univariate
from verifex.semantics.encode import Encoder, encode
from verifex.semantics.evaluate import (
    ExactBackend,
    evaluate,
    evaluate_exact,
    evaluate_float,
    exact_inputs,
    run,
)
from verifex.semantics.interval import bound_nodes, interval
from verifex.semantics.pullback import pullback, slopes
from verifex.semantics.support.table import Table
from verifex.semantics.torch_backend import TorchBackend, evaluate_torch
from verifex.semantics.vjp import gradients, vjp

Point = tuple[Fraction, ...]

REFUSED = {"evaluate": {"Input"}, "interval": {"Input"}, "vjp": {"TreeLeaves"},
           "encode": {"TreeLeaves"}, "pullback": {"TreeLeaves"}}
"""The cells that refuse, by table."""

TABLES: dict[str, Table[Any]] = {
    "evaluate": evaluate, "vjp": vjp, "interval": interval, "encode": encode,
    "pullback": pullback,
}


@pytest.mark.parametrize("name", TABLES)
def test_no_cell_is_blank(name: str) -> None:
    assert TABLES[name].blanks() == []


@pytest.mark.parametrize("name", TABLES)
def test_refusals_are_these(name: str) -> None:
    refusals = TABLES[name].refusals()
    assert set(refusals) == REFUSED[name]
    assert all(len(reason) > 10 for reason in refusals.values())


def test_a_refused_cell_names_itself_and_its_reason() -> None:
    with pytest.raises(UnsupportedError, match="interval: Input: an input's interval"):
        interval[Input("x", (1,))]


def test_a_cell_is_filled_once() -> None:
    with pytest.raises(ValueError, match="has a rule for Relu already"):
        interval.rule(Relu)(lambda op, z: z)


# --- what the checks share ------------------------------------------------------------------


class KinkBackend(ExactBackend):
    """Exact arithmetic where a gate at zero is what `choose` says, one call an element.

    Smooth functions are evaluated to 400 bits, far below every bound that is compared with them.
    """

    def __init__(self, choose: Callable[[], int]) -> None:
        self.choose = choose

    def step(self, z: ExactArray) -> ExactArray:
        flat = [int(v > 0) if v != 0 else self.choose() for v in z.num.ravel()]
        return ExactArray(np.array(flat, dtype=object).reshape(z.shape))

    def univariate(self, name: str, x: ExactArray) -> ExactArray:
        if name in ("square", "reciprocal"):
            return super().univariate(name, x)
        return ExactArray.from_numbers([precise(name, f) for f in x.fractions()], x.shape)


def precise(name: str, x: Fraction) -> Fraction:
    """A smooth function of a rational, to about 400 bits."""
    import mpmath

    with mpmath.workprec(420):
        z = mpmath.mpf(x.numerator) / x.denominator
        value = 1 / (1 + mpmath.exp(-z)) if name == "sigmoid" else getattr(mpmath, name)(z)
        sign, mantissa, exponent, _ = value._mpf_
        return Fraction((-1) ** sign * int(mantissa)) * Fraction(2) ** int(exponent)


def exact_values(
    graph: Graph, x: Point, choose: Callable[[], int] = lambda: 0
) -> dict[int, ExactArray]:
    """Exact values of all nodes, unbatched."""
    nodes = range(len(graph.nodes))
    values = run(graph, KinkBackend(choose), exact_inputs(graph, x), nodes)
    return {i: v.reshape(graph.nodes[i].shape) for i, v in values.items()}


def kink_values(graph: Graph, x: Point) -> Iterator[dict[int, ExactArray]]:
    """Values of all nodes for every choice of the gates that sit on a kink (at most 64 choices)."""
    first = exact_values(graph, x)
    steps = {i: n.args[0] for i, n in enumerate(graph.nodes) if isinstance(n.op, Step)}
    zeros = sum(int((first[z].num == 0).sum()) for z in steps.values())
    if not zeros:
        yield first
        return
    # Gates feed further gates, so which of them sit on a kink depends on the choice.
    for bits in product((0, 1), repeat=min(zeros, 6)):
        yield exact_values(graph, x, iter(bits + (0,) * 200).__next__)


def drawn(data: st.DataObject, op: type, **options: Any) -> Drawn:
    """A graph that has a node of this op as its focus."""
    return data.draw(graphs(op.__name__, **options))


def point_of(data: st.DataObject, graph: Graph) -> Point:
    """A point on the grid."""
    n = graph.input_size
    return tuple(Fraction(v) for v in data.draw(st.lists(grid, min_size=n, max_size=n)))


# --- evaluate -------------------------------------------------------------------------------


def rounding_free(values: dict[int, ExactArray]) -> bool:
    """Whether float arithmetic cannot have rounded: few bits above and below the point."""
    return all(
        v.den <= 2**18 and all(abs(n) <= v.den << 18 for n in v.num.ravel())
        for v in values.values()
    )


def check_evaluate(op: type, data: st.DataObject) -> None:
    """numpy, torch and exact values are equal, bit for bit where nothing rounds."""
    graph = drawn(data, op).graph
    points = [point_of(data, graph) for _ in range(2)]
    exact = [evaluate_exact(graph, x, range(len(graph.nodes))) for x in points]
    assume(all(map(rounding_free, exact)))
    batch = np.array([[float(v) for v in x] for x in points])
    floats = evaluate_float(graph, batch, range(len(graph.nodes)))
    import torch

    tensors = evaluate_torch(graph, torch.tensor(batch), range(len(graph.nodes)))
    for i, node in enumerate(graph.nodes):
        assert floats[i].shape == (2, *node.shape)
        for k in range(2):
            assert np.array_equal(floats[i][k], exact[k][i].to_float()), graph.describe(i)
        assert np.array_equal(tensors[i].numpy(), floats[i]), graph.describe(i)


@pytest.mark.parametrize("name", SMOOTH)
@given(data=st.data())
def test_smooth_functions_agree(name: str, data: st.DataObject) -> None:
    """numpy, torch and 400-bit values of one smooth function, within a few units of roundoff."""
    import torch

    positive = name in ("log", "sqrt", "reciprocal")
    numbers = st.floats(1e-3, 1e3) if positive else st.floats(-300, 300)
    x = data.draw(st.lists(numbers, min_size=1, max_size=4))
    b = Builder()
    y = b.univariate(name, b.input("x", (len(x),)))
    graph = b.build({"y": y})
    found = evaluate_float(graph, np.array([x]), [y])[y][0]
    tensor = evaluate_torch(graph, torch.tensor([x], dtype=torch.float64), [y])[y][0].numpy()
    for a, t, v in zip(found, tensor, x, strict=True):
        exact = precise_all(name, Fraction(v))
        # sin and cos of large numbers and erf near its ends lose a little more than the others.
        slack = 1e-13 * max(1.0, abs(float(exact))) if name in ("sin", "cos") else 1e-13
        assert a == pytest.approx(float(exact), rel=1e-13, abs=slack)
        assert t == pytest.approx(float(exact), rel=1e-13, abs=slack)


def precise_all(name: str, x: Fraction) -> Fraction:
    if name in ("square", "reciprocal"):
        return x * x if name == "square" else 1 / x
    return precise(name, x)


def test_exact_evaluation_says_what_has_no_exact_value() -> None:
    b = Builder()
    x = b.input("x", (1,))
    graph = b.build({"e": b.univariate("exp", x, "growth"), "r": b.univariate("reciprocal", x)})
    with pytest.raises(UnsupportedError, match=r"exp has no exact rational value"):
        evaluate_exact(graph, [Fraction(1)], [graph.outputs["e"]])
    with pytest.raises(UnsupportedError, match="reciprocal of an exact zero"):
        evaluate_exact(graph, [Fraction(0)], [graph.outputs["r"]])
    half = evaluate_exact(graph, [Fraction(2)], [graph.outputs["r"]])[graph.outputs["r"]]
    assert half.fractions() == [Fraction(1, 2)]


# --- vjp ------------------------------------------------------------------------------------


def degree(graph: Graph, node: int) -> int:
    """An upper bound of the degree of a node as a polynomial on one activation region."""
    found: dict[int, int] = {}
    for i in graph.ancestors([node]):
        n = graph.nodes[i]
        below = [found[a] for a in n.args]
        match n.op:
            case Input():
                found[i] = 1
            case Step():
                found[i] = 0
            case Mul():
                found[i] = sum(below)
            case Univariate():
                found[i] = 2 * below[0]
            case _:
                found[i] = max(below, default=0)
    return found[node]


def slope(graph: Graph, node: int, x: Point, direction: Sequence[Fraction]) -> Fraction:
    """The exact derivative of a one-element node at x along `direction`, x being off all kinks.

    On an activation region the value is a polynomial in the step. So a difference formula of
    enough points with tiny rational steps is exact (Lagrange interpolation).
    """
    count = degree(graph, node) + 1
    h = Fraction(1, 2**300)
    values = [
        evaluate_exact(graph, [a + k * h * d for a, d in zip(x, direction, strict=True)], [node])
        for k in range(count)
    ]
    answer = Fraction(0)
    for k, value in enumerate(values):
        # The derivative at 0 of the k-th Lagrange polynomial on 0, 1, ..., count - 1.
        weight = Fraction(0)
        for j in range(count):
            if j != k:
                term = Fraction(1, k - j)
                for m in range(count):
                    if m not in (j, k):
                        term *= Fraction(-m, k - m)
                weight += term
        answer += weight * value[node].fractions()[0]
    return answer / h


def scalar(b: Builder, node: int, weight: Sequence[float]) -> int:
    """A weighted sum of a node's elements, of shape ()."""
    w = np.array(weight).reshape(1, -1)
    return b.affine(dense(w, b.shape(node), ()), node)


def off_kinks(graph: Graph, x: Point) -> bool:
    values = exact_values(graph, x)
    gates = [n.args[0] for n in graph.nodes if isinstance(n.op, Relu | Step)]
    return all((values[z].num != 0).all() for z in gates)


def check_vjp(op: type, data: st.DataObject) -> None:
    """The gradient along a random direction is the exact directional derivative."""
    graph, focus = (found := drawn(data, op, smooth=("square",), size=4)).graph, found.focus
    b = Builder(graph)
    size = b.node(focus).size
    output = scalar(b, focus, data.draw(st.lists(grid, min_size=size, max_size=size)))
    grads = gradients(b, output, graph.inputs)
    whole = b.build({"y": output})
    x = point_of(data, whole)
    assume(degree(whole, output) <= 8 and off_kinks(whole, x))
    direction = [Fraction(data.draw(grid)) for _ in x]
    values = evaluate_exact(whole, x, grads)
    flat = [v for g in grads for v in values[g].fractions()]
    assert sum(a * d for a, d in zip(flat, direction, strict=True)) == slope(
        whole, output, x, direction
    )


def check_pullback(op: type, data: st.DataObject) -> None:
    """The numbers are the exact directional derivatives, up to rounding."""
    graph, focus = (found := drawn(data, op, smooth=("square",), size=4)).graph, found.focus
    b = Builder(graph)
    size = b.node(focus).size
    weights = data.draw(st.lists(grid, min_size=size, max_size=size))
    output = scalar(b, focus, weights)
    whole = b.build({"y": output})
    x = point_of(data, whole)
    assume(degree(whole, output) <= 8 and off_kinks(whole, x))
    direction = [Fraction(data.draw(grid)) for _ in x]
    points = np.array([[float(v) for v in x]])
    got = slopes(whole, points, {output: np.ones((1, *whole.nodes[output].shape))})
    exact = float(slope(whole, output, x, direction))
    assert float(got[0] @ np.array([float(v) for v in direction])) == pytest.approx(
        exact, rel=1e-9, abs=1e-6 * max(1.0, np.abs(got).max()))


@given(data=st.data())
def test_gradient_of_a_gradient(data: st.DataObject) -> None:
    """Differentiating twice gives the derivative of the gradient, exactly."""
    found = drawn(data, Mul, size=3)
    b = Builder(found.graph)
    output = b.affine(total(b.shape(found.focus)), found.focus)
    (grad, *_) = gradients(b, output, found.graph.inputs)
    part = b.affine(gather(b.shape(grad), np.array(0)), grad)
    second = gradients(b, part, found.graph.inputs)
    whole = b.build({"y": part})
    x = point_of(data, whole)
    assume(degree(whole, part) <= 8 and off_kinks(whole, x))
    direction = [Fraction(data.draw(grid)) for _ in x]
    flat = [v for g in second for v in evaluate_exact(whole, x, [g])[g].fractions()]
    assert sum(a * d for a, d in zip(flat, direction, strict=True)) == slope(
        whole, part, x, direction
    )


@given(data=st.data())
def test_gradient_at_a_kink_is_what_autograd_takes(data: st.DataObject) -> None:
    """On kinks too: a gate at zero is shut, as in torch."""
    import torch

    found = drawn(data, Relu, ops=("Affine", "Relu", "Mul", "Concat", "Const"))
    b = Builder(found.graph)
    output = b.affine(total(b.shape(found.focus)), found.focus)
    grads = gradients(b, output, found.graph.inputs)
    whole = b.build({"y": output})
    x = point_of(data, whole)
    assume(rounding_free(exact_values(whole, x)))
    t = torch.tensor([[float(v) for v in x]], dtype=torch.float64, requires_grad=True)
    value = evaluate_torch(whole, t, [output])[output]
    (slopes,) = torch.autograd.grad(value.sum(), t, allow_unused=True) if value.requires_grad else (
        None,)
    ours = [v for g in grads for v in evaluate_exact(whole, x, [g])[g].to_float().ravel()]
    theirs = [0.0] * len(x) if slopes is None else slopes[0].tolist()
    assert ours == theirs


@pytest.mark.parametrize("name", SMOOTH)
@given(data=st.data())
def test_smooth_gradients_against_differences(name: str, data: st.DataObject) -> None:
    """The derivative of every smooth function, against a difference quotient in 400 bits."""
    low = 0.05 if name in ("log", "sqrt", "reciprocal") else -3.0
    v = data.draw(st.floats(low, 3.0).map(lambda f: round(f, 6)))
    b = Builder()
    x = b.input("x", (1,))
    y = b.univariate(name, x)
    (g,) = gradients(b, y, [x])
    graph = b.build({"g": g})
    found = float(evaluate_float(graph, np.array([[v]]), [g])[g][0, 0])
    h = Fraction(1, 2**120)
    quotient = (precise_all(name, Fraction(v) + h) - precise_all(name, Fraction(v) - h)) / (2 * h)
    assert found == pytest.approx(float(quotient), rel=1e-12, abs=1e-13)


def test_gradient_needs_one_output() -> None:
    b = Builder()
    x = b.input("x", (2,))
    with pytest.raises(ValueError, match="2 elements, not one"):
        gradients(b, x, [x])


# --- interval -------------------------------------------------------------------------------


def contains(lo: FloatArray, hi: FloatArray, value: ExactArray, slack: Fraction) -> bool:
    """Whether all elements lie within their bounds, up to the error of a 400-bit value."""
    for low, high, v in zip(lo.flat, hi.flat, value.fractions(), strict=True):
        room = slack * (1 + abs(v))
        if not (low == -np.inf or Fraction(float(low)) <= v + room):
            return False
        if not (high == np.inf or v - room <= Fraction(float(high))):
            return False
    return True


def check_box(
    graph: Graph, lo: FloatArray, hi: FloatArray, points: Sequence[Point], slack: Fraction
) -> None:
    nodes = range(len(graph.nodes))
    bounds = bound_nodes(graph, lo[None], hi[None], nodes)
    for x in points:
        for values in kink_values(graph, x):
            for i in nodes:
                ends = bounds[i].lo[0], bounds[i].hi[0]
                assert contains(*ends, values[i], slack), (graph.describe(i), x, ends)


def check_interval(op: type, data: st.DataObject) -> None:
    """Bounds contain the exact values at points of the box, for both values of a gate at zero."""
    smooth = op is Univariate
    numbers = data.draw(st.sampled_from([grid, wild]))
    graph = drawn(
        data, op, smooth=SMOOTH if smooth else (), numbers=numbers, exact=False, size=4
    ).graph
    lo, hi = data.draw(boxes(graph.input_size, grid if smooth else numbers))
    points = [data.draw(points_in(lo, hi)) for _ in range(3)]
    try:
        check_box(graph, lo, hi, points, Fraction(1, 2**300) if smooth else Fraction(0))
    except UnsupportedError as error:  # the one refusal inside a rule
        if "too small" not in str(error):
            raise


@pytest.mark.parametrize("op", OPS)
@given(data=st.data())
@settings(max_examples=20)
def test_a_batch_is_as_good_as_its_boxes(op: type, data: st.DataObject) -> None:
    """Each row of a batch is sound for its own box and as tight as the box alone, to rounding."""
    graph = drawn(data, op, smooth=("tanh",), size=4).graph
    pairs = [data.draw(boxes(graph.input_size)) for _ in range(3)]
    nodes = range(len(graph.nodes))
    together = bound_nodes(graph, np.stack([p[0] for p in pairs]), np.stack([p[1] for p in pairs]),
                           nodes)
    for k, (lo, hi) in enumerate(pairs):
        alone = bound_nodes(graph, lo[None], hi[None], nodes)
        values = exact_values(graph, data.draw(points_in(lo, hi)))
        for i in nodes:
            a, b = together[i], alone[i]
            assert contains(a.lo[k], a.hi[k], values[i], Fraction(1, 2**300))
            for one, other in ((a.lo[k], b.lo[0]), (a.hi[k], b.hi[0])):
                assert np.allclose(one, other, rtol=1e-9, atol=1e-12)


@given(value=grid, count=st.integers(1, 3))
def test_a_sum_of_zeros_is_zero(value: float, count: int) -> None:
    """What is exactly zero stays so: a dead branch must not look open."""
    b = Builder()
    x = b.input("x", (count,))
    y = b.affine(dense(np.zeros((2, count))), x)
    graph = b.build({"y": y})
    box = np.full((1, count), value)
    bounds = bound_nodes(graph, box, box, [y])[y]
    assert not bounds.lo.any()
    assert not bounds.hi.any()


# --- encode ---------------------------------------------------------------------------------


class Smt:
    """A logical model in z3, written here once more so that it owes nothing to the adapters."""

    def __init__(self, model: Model) -> None:
        import z3

        self.z3, self.model, self.solver = z3, model, z3.Solver()
        self.vars = [
            z3.Int(f"v{i}") if v.integer else z3.Real(f"v{i}")
            for i, v in enumerate(model.variables)
        ]
        for v, var in zip(model.variables, self.vars, strict=True):
            if v.lo is not None:
                self.solver.add(var >= self.real(v.lo))
            if v.hi is not None:
                self.solver.add(var <= self.real(v.hi))
        for row in model.rows:
            self.solver.add(self.row(row))
        for rule in model.implications:
            self.solver.add(z3.Implies(self.vars[rule.var] == rule.value, self.row(rule.row)))
        for p in model.products:
            self.solver.add(self.vars[p.out] == self.vars[p.left] * self.vars[p.right])

    def real(self, value: Any) -> Any:
        f = Fraction(value)
        return self.z3.Q(f.numerator, f.denominator)

    def row(self, row: Any) -> Any:
        left = sum((self.real(c) * self.vars[v] for v, c in row.coefs), self.real(0))
        right = self.real(row.rhs)
        return {
            ("<=", False): lambda: left <= right, ("<=", True): lambda: left < right,
            (">=", False): lambda: left >= right, (">=", True): lambda: left > right,
            ("==", False): lambda: left == right,
        }[row.sense, row.strict]()

    def equal(self, cells: dict[Any, Fraction]) -> Any:
        """All of these expressions have these values."""
        return self.z3.And([self.value(e) == self.real(v) for e, v in cells.items()] or [True])

    def value(self, e: Any) -> Any:
        if e.var is None:
            return self.real(e.const)
        return self.real(e.coef) * self.vars[e.var] + self.real(e.const)

    def solve(self, *extra: Any) -> list[Fraction] | None:
        """The values of all variables, None if there are none."""
        self.solver.push()
        self.solver.add(*extra)
        found = self.solver.check()
        assert found != self.z3.unknown
        point = None
        if found == self.z3.sat:
            m = self.solver.model()
            values = [m.eval(v, model_completion=True) for v in self.vars]
            point = [Fraction(v.as_fraction() if hasattr(v, "as_fraction") else v.as_long())
                     for v in values]
        self.solver.pop()
        return point


def encoded(
    graph: Graph, lo: FloatArray, hi: FloatArray, targets: Sequence[int]
) -> tuple[Model, dict[tuple[int, int], Any]]:
    """The model of a graph over a box, and the expressions of all elements of `targets`."""
    bounds = bound_nodes(graph, lo[None], hi[None], targets)
    model = Model()
    inputs = [model.new(f"x{k}", a, b) for k, (a, b) in enumerate(zip(lo, hi, strict=True))]
    encoder = Encoder(
        graph, {i: v.lo[0] for i, v in bounds.items()}, {i: v.hi[0] for i, v in bounds.items()},
        model, inputs, products=True,
    )
    return model, {(t, k): encoder.expr(t, k) for t in targets for k in range(graph.nodes[t].size)}


def check_encode(op: type, data: st.DataObject) -> None:
    """At a point the model has the graph's value and no other; every big-M row lets it pass."""
    graph, focus = (found := drawn(data, op, size=4)).graph, found.focus
    lo, hi = data.draw(boxes(graph.input_size))
    x = data.draw(points_in(lo, hi))
    model, exprs = encoded(graph, lo, hi, [focus])
    smt = Smt(model)
    smt.solver.add([smt.vars[k] == smt.real(v) for k, v in enumerate(x)])
    allowed = []
    for values in kink_values(graph, x):
        flat = values[focus].fractions()
        allowed.append(smt.equal({e: flat[k] for (_, k), e in exprs.items()}))
    # Sound: every value that the graph can take (for some gates at a kink) is in the model.
    for claim in allowed:
        point = smt.solve(claim)
        assert point is not None, f"{graph.describe(focus)} loses a value at {x}"
        check_relaxed(model, point)
    # Exact: the model has no other value. (More than six gates on a kink are not all enumerated.)
    if len(allowed) < 64:
        assert smt.solve(smt.z3.Not(smt.z3.Or(allowed))) is None, graph.describe(focus)


def check_relaxed(model: Model, point: Sequence[Fraction]) -> None:
    """The big-M form of every implication holds at a point of the model."""
    for rule in model.implications:
        row = relaxed_row(rule)
        left = sum((Fraction(c) * point[v] for v, c in row.coefs), Fraction(0))
        right = Fraction(row.rhs)
        assert left <= right if row.sense == "<=" else left >= right


@pytest.mark.parametrize("op", [Relu, Step, Gate, Mul])
@given(data=st.data())
def test_big_m_rows_cut_off_no_point(op: type, data: st.DataObject) -> None:
    """With all implications as big-M rows, every input of the box is still there."""
    graph, focus = (found := drawn(data, op, size=3)).graph, found.focus
    lo, hi = data.draw(boxes(graph.input_size))
    x = data.draw(points_in(lo, hi))
    model, exprs = encoded(graph, lo, hi, [focus])
    loose = Model(model.variables, [*model.rows, *map(relaxed_row, model.implications)],
                  [], model.products)
    smt = Smt(loose)
    smt.solver.add([smt.vars[k] == smt.real(v) for k, v in enumerate(x)])
    for values in kink_values(graph, x):
        flat = values[focus].fractions()
        assert smt.solve(smt.equal({e: flat[k] for (_, k), e in exprs.items()})) is not None


def test_encode_refuses_what_no_solver_decides() -> None:
    b = Builder()
    x = b.input("x", (1,))
    graph = b.build({"y": b.univariate("tanh", x, "squash")})
    with pytest.raises(UnsupportedError, match=r"tanh"):
        encoded(graph, np.array([-1.0]), np.array([1.0]), list(graph.outputs.values()))


def test_encode_refuses_unbounded_nodes_by_name() -> None:
    b = Builder()
    x = b.input("x", (1,))
    y = b.relu(b.affine(dense([[1e300]]), b.affine(dense([[1e300]]), x)), "hidden")
    graph = b.build({"y": y})
    with pytest.raises(UnsupportedError, match=r"node \d.*no finite bounds"):
        encoded(graph, np.array([-1e300]), np.array([1e300]), [y])


def test_relu_and_step_share_one_binary() -> None:
    b = Builder()
    x = b.input("x", (2,))
    z = b.affine(dense([[1.0, 1.0], [1.0, -1.0]]), x)
    y, d = b.relu(z), b.step(z)
    graph = b.build({"y": y, "d": d, "w": b.gate(d, x)})
    model, _ = encoded(graph, np.full(2, -1.0), np.ones(2), list(graph.outputs.values()))
    assert model.integers == 2


def test_a_fixed_gate_gets_no_binary() -> None:
    b = Builder()
    x = b.input("x", (1,))
    z = b.affine(dense([[1.0]]), x, np.array([2.0]))
    graph = b.build({"y": b.relu(z), "g": b.gate(b.step(z), x)})
    model, _ = encoded(graph, np.array([-1.0]), np.array([1.0]), list(graph.outputs.values()))
    assert model.integers == 0


# --- the matrix -----------------------------------------------------------------------------

CHECKS: dict[str, Callable[[type, st.DataObject], None]] = {
    "evaluate": check_evaluate, "vjp": check_vjp, "interval": check_interval,
    "encode": check_encode, "pullback": check_pullback,
}


def test_every_table_is_checked() -> None:
    assert set(CHECKS) == set(TABLES) == set(REFUSED)


@pytest.mark.parametrize(
    ("name", "op"), [pytest.param(n, op, id=f"{n}-{op.__name__}") for n in CHECKS for op in OPS]
)
@given(data=st.data())
def test_cell(name: str, op: type, data: st.DataObject) -> None:
    if op is TreeLeaves and op.__name__ in REFUSED[name]:
        found = drawn(data, op)
        with pytest.raises(UnsupportedError, match="trees"):
            TABLES[name][found.graph.nodes[found.focus].op]
        return
    CHECKS[name](op, data)


def test_torch_keeps_constants_apart() -> None:
    """Two constants of equal bytes but other shapes are not one (a kept id is not enough)."""
    import torch

    backend = TorchBackend()
    a, b = np.ones((1, 2)), np.ones((2, 1))
    assert backend.tensor(a).shape == (1, 2)
    assert backend.tensor(b).shape == (2, 1)
    assert backend.tensor(a) is backend.tensor(a)
    assert backend.tensor(a).dtype is torch.float64
