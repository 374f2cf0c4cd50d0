"""Graphs written as ONNX: onnxruntime and our own reader both give back what `evaluate` says."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest
from hypothesis import given
from hypothesis import strategies as st

from verifex.errors import InputError, UnsupportedError
from verifex.frontend import load_bytes, to_onnx
from verifex.ir.exact import ExactArray
from verifex.ir.graph import Builder, Graph
from verifex.ir.linmap import (
    Conv,
    Diag,
    ScatterAdd,
    dense,
    gather,
    reshape,
    scale,
    total,
    transpose,
)
from verifex.ir.ops import Affine, Concat
from verifex.semantics.evaluate import evaluate_float
from verifex.semantics.functions import registry
from verifex.semantics.vjp import gradients


def run_onnx(data: bytes, graph: Graph, x: np.ndarray, dtype: type) -> dict[str, np.ndarray]:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    runner = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    feeds = {}
    for i, at in graph.input_offsets.items():
        node = graph.nodes[i]
        feeds[node.op.name] = x[0, at:at + node.size].reshape(node.shape).astype(dtype)
    names = [o.name for o in runner.get_outputs()]
    return dict(zip(names, runner.run(names, feeds), strict=True))


def check(graph: Graph, x: np.ndarray, *, tolerance: float = 1e-9, dtype: str = "float64") -> None:
    """onnxruntime on the export, and the export read back, against the graph."""
    data = to_onnx(graph, dtype=dtype)
    wanted = evaluate_float(graph, x, graph.outputs.values())
    found = run_onnx(data, graph, x, np.dtype(dtype).type)
    again = load_bytes(data, "export.onnx")
    back = evaluate_float(again, x, again.outputs.values())
    assert set(found) == set(again.outputs) == set(graph.outputs)
    for name, i in graph.outputs.items():
        assert found[name].shape == graph.nodes[i].shape
        np.testing.assert_allclose(found[name], wanted[i][0], rtol=tolerance, atol=tolerance)
        if dtype == "float64":
            np.testing.assert_allclose(back[again.outputs[name]], wanted[i], rtol=1e-12, atol=1e-12)


def linear_maps(shape: tuple[int, ...], rng: np.random.Generator) -> list:
    """One map of each kind on tensors of `shape` (its size is at least 4)."""
    size = int(np.prod(shape))
    index = rng.integers(-1, size, (2, 3))
    targets = rng.integers(-1, 4, shape)
    third = ExactArray(np.full(shape, 1, dtype=object), 3)
    weight = rng.integers(-8, 9, (3, size)) / 8
    return [
        dense(weight, shape, (3,)), gather(shape, index), ScatterAdd(shape, (4,), targets),
        Diag(shape, shape, rng.integers(-8, 9, shape) / 8), scale(shape, -0.375), total(shape),
        Diag(shape, shape, third),
        reshape(shape, (size,)),
    ]


@st.composite
def graphs(draw: st.DrawFn) -> tuple[Graph, np.ndarray]:
    """Random graphs over all core ops but the partial univariates, with a point."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    b = Builder()
    pool = [b.input("x", (2, 3)), b.input("t3", (4,))]
    for _ in range(draw(st.integers(1, 8))):
        x = draw(st.sampled_from(pool))
        kind = draw(st.sampled_from(
            ["affine", "affine2", "relu", "gate", "mul", "concat", "smooth", "const", "sign"]))
        shape = b.shape(x)
        if kind == "affine" and np.prod(shape) >= 4:
            m = draw(st.sampled_from(linear_maps(shape, rng)))
            bias = rng.integers(-8, 9, m.out_shape) / 8 if draw(st.booleans()) else None
            pool.append(b.affine(m, x, bias))
        elif kind == "affine2":
            pool.append(b.add(Affine((scale(shape, 0.5), scale(shape, -1))), x, b.relu(x)))
        elif kind == "relu":
            pool.append(b.relu(x))
        elif kind == "gate":
            pool.append(b.gate(b.step(x), x))
        elif kind == "sign":
            pool.append(b.step(x))
        elif kind == "mul":
            pool.append(b.mul(x, b.univariate("tanh", x)))
        elif kind == "concat" and shape:
            pool.append(b.add(Concat(len(shape) - 1), x, b.relu(x)))
        elif kind == "smooth":
            bounded = b.univariate("tanh", x)
            pool.append(b.univariate(draw(st.sampled_from(["sigmoid", "exp", "square", "sin"])),
                                     bounded))
        elif kind == "const":
            pool.append(b.sum([x, b.const(rng.integers(-8, 9, shape) / 8)]))
    outputs = {f"y{k}": i for k, i in enumerate(dict.fromkeys([pool[-1], *pool[2:4], pool[0]]))}
    return b.build(outputs), rng.integers(-16, 17, (1, 10)) / 8


@given(graphs())
def test_random_graphs_come_back(case: tuple[Graph, np.ndarray]) -> None:
    graph, x = case
    check(graph, x)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize(("space", "kernel"), [
    ((9,), (3,)), ((7, 6), (3, 2)), ((4, 5, 4), (2, 2, 2))])
def test_convolutions(dtype: str, transposed: bool, groups: int, space, kernel) -> None:
    rng = np.random.default_rng(1)
    rank = len(space)
    weight = rng.uniform(-1, 1, (4, 4 // groups, *kernel))
    strides, pads, dilations = (2,) * rank, ((1, 0),) * rank, (1,) * (rank - 1) + (2,)
    out = tuple(
        (n + a + b - (k - 1) * d - 1) // s + 1
        for n, k, s, (a, b), d in zip(space, kernel, strides, pads, dilations, strict=True))
    m = Conv((2, 4, *space), (2, 4, *out), weight, strides, pads, dilations, groups)
    m = transpose(m) if transposed else m
    b = Builder()
    x = b.input("x", m.in_shape)
    graph = b.build({"y": b.affine(m, x)})
    point = rng.uniform(-1, 1, (1, graph.input_size))
    check(graph, point, dtype=dtype, tolerance=1e-9 if dtype == "float64" else 1e-4)


@pytest.mark.parametrize("name", registry())
def test_univariates(name: str) -> None:
    b = Builder()
    x = b.input("x", (2, 3))
    graph = b.build({"y": b.univariate(name, x)})
    point = np.random.default_rng(2).uniform(0.5, 2, (1, 6))
    if name not in ("cos", "erf", "softplus"):
        check(graph, point)
        return
    check(graph, point, tolerance=1e-6, dtype="float32")  # all that onnxruntime has
    data, node = to_onnx(graph), graph.outputs["y"]
    found = run_onnx(data, graph, point, np.float64)["y"]
    wanted = evaluate_float(graph, point, [node])[node][0]
    np.testing.assert_allclose(found, wanted, rtol=1e-6, atol=1e-6)
    with pytest.raises(UnsupportedError, match="Cast of a computed float64 to float32"):
        load_bytes(data, "export.onnx")


def test_gates_stay_gates() -> None:
    """A gate that goes out as a product comes back as a gate, not as a bilinear product."""
    b = Builder()
    x = b.input("x", (3,))
    graph = b.build({"y": b.gate(b.step(x), b.scaled(x, 2))})
    again = load_bytes(to_onnx(graph), "gate.onnx")
    kinds = [type(n.op) for n in again.nodes]
    assert sorted(k.__name__ for k in kinds) == ['Affine', 'Gate', 'Input', 'Step']


def test_a_network_with_its_gradient() -> None:
    rng = np.random.default_rng(3)
    b = Builder()
    x = b.input("x", (1, 4))
    h = b.relu(b.affine(dense(rng.uniform(-1, 1, (6, 4)), (1, 4), (1, 6)), x))
    y = b.affine(dense(rng.uniform(-1, 1, (2, 6)), (1, 6), (1, 2)), h)
    margin = b.affine(dense([[1.0, -1.0]], (1, 2), ()), y)
    (gradient,) = gradients(b, margin, [x])
    graph = b.build({"logits": y, "gradient": gradient})
    for _ in range(5):
        check(graph, rng.uniform(-1, 1, (1, 4)))


def test_names_that_collide() -> None:
    b = Builder()
    x = b.input("t0", (2,))
    graph = b.build({"t1": b.relu(x), "t2": x})
    check(graph, np.array([[1.0, -1.0]]))
    with pytest.raises(InputError, match="t0"):
        to_onnx(graph, {"t0": x})
    huge = Builder()
    z = huge.input("x", (1,))
    graph = huge.build({"y": huge.affine(Diag((1,), (1,), np.array([1e300])), z)})
    with pytest.raises(InputError, match="overflows float32"):
        to_onnx(graph, dtype="float32")
