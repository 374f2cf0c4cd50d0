"""Networks as torch (both exporters), Keras and tf2onnx write them: read by both, and certified."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import helper, numpy_helper
from torch import nn

from tests.helpers import checker_parts as checker
from tests.helpers.onnx_runs import session
from verifex import verify
from verifex.engine.verdict import Outcome
from verifex.frontend import load
from verifex.semantics.evaluate import evaluate_exact, evaluate_float

CLASS = """
verifex = 1
network = "{network}"
network_output = "{output}"
[input]
point = {point}
[region]
linf = 0.0001
[[require]]
class = "unchanged"
"""


def certified(path: Path, shape: Sequence[int], run: Callable[[np.ndarray], Any]) -> None:
    """The file means what `run` computes, to both readers, and a class claim is certified."""
    graph, net = load(path), checker.Network(path.read_bytes(), str(path.parent))
    ((name, node),) = graph.outputs.items()
    rng = np.random.default_rng(len(path.name))
    for _ in range(3):
        x = rng.integers(-16, 17, shape).astype(np.float32) / 16
        flat = x.astype(np.float64).ravel()
        found = evaluate_float(graph, flat[None], [node])[node][0]
        np.testing.assert_allclose(found, np.asarray(run(x)), rtol=1e-4, atol=1e-4)
        exact = [Fraction(float(v)) for v in flat]
        head = net.smooth_outputs.get(name)
        tensor = head.logits if head else net.outputs[name]
        ours = graph.heads[name].logits if head else node
        mine = checker.exactly(net.graph, net.graph.rows(tensor.items), exact, True)
        assert mine == evaluate_exact(graph, exact, [ours])[ours].fractions()
    spec = path.with_suffix(".toml")
    output = logits_of(path, name) if name in graph.heads else name
    spec.write_text(CLASS.format(
        network=path.name, output=output, point=[float(v) for v in x.ravel()]))
    verdict = verify(path, spec, certificate=path.with_suffix(".vxc"), seconds=60)
    assert verdict.outcome is Outcome.PROVED, verdict


def logits_of(path: Path, output: str) -> str:
    """The tensor before the softmax that makes an output."""
    nodes = onnx.load(str(path), load_external_data=False).graph.node
    makers = {name: node for node in nodes for name in node.output}
    while makers[output].op_type not in ("Softmax", "LogSoftmax"):
        output = makers[output].input[0]
    return str(makers[output].input[0])


# --- torch --------------------------------------------------------------------------------------


class Convolutions(nn.Module):
    """Convolution, batch normalisation, pools, dropout and a head."""

    def __init__(self, head: nn.Module) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(1, 3, 3, padding=1), nn.BatchNorm2d(3), nn.ReLU(), nn.MaxPool2d(2),
            nn.Dropout(0.3), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(12, 3), head)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.body(x)  # type: ignore[no-any-return]


class Mixing(nn.Module):
    """Einsum, expand, chunk, where, clamp, mean over axes, and a transposed convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.rand(4, 3, 2) - 0.5)
        self.up = nn.ConvTranspose1d(2, 2, 3, stride=2, padding=1, output_padding=1)
        self.last = nn.Linear(8, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = torch.einsum("bij,jkc->bick", x, self.weight).clamp(-1, 1)
        a, b = h.flatten(1).view(-1, 2, 9)[:, :, :4].chunk(2, dim=1)
        h = torch.where(a > b, a, b.expand_as(a)) + nn.functional.hardsigmoid(a)
        return self.last(self.up(h.expand(-1, 2, -1)).mean(dim=1))  # type: ignore[no-any-return]


def wide() -> nn.Module:
    """Enough weights that the new exporter stores them in a file of their own."""
    return nn.Sequential(nn.Linear(8, 64), nn.LeakyReLU(), nn.Linear(64, 3))


MODULES: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "logits": (lambda: Convolutions(nn.Identity()), (1, 1, 8, 8)),
    "softmax": (lambda: Convolutions(nn.Softmax(dim=1)), (1, 1, 8, 8)),
    "log-softmax": (lambda: Convolutions(nn.LogSoftmax(dim=-1)), (1, 1, 8, 8)),
    "mixing": (Mixing, (1, 3, 4)),
    "wide": (wide, (1, 8)),
}


@pytest.mark.parametrize("dynamo", [False, True], ids=["old exporter", "new exporter"])
@pytest.mark.parametrize("name", MODULES)
def test_torch(tmp_path: Path, name: str, dynamo: bool) -> None:
    make, shape = MODULES[name]
    torch.manual_seed(7)
    module = make().eval()
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):  # as after some training
            part.running_mean.uniform_(-0.5, 0.5)
            part.running_var.uniform_(0.5, 2)
    path, example = tmp_path / f"{name}.onnx", (torch.rand(shape),)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if dynamo:
            batch = None if name == "mixing" else ({0: torch.export.Dim("batch")},)
            torch.onnx.export(module, example, path, dynamo=True, verbose=False,
                              dynamic_shapes=batch, external_data=True)
        else:
            torch.onnx.export(module, example, str(path), dynamo=False, input_names=["x"],
                              dynamic_axes=None if name == "mixing" else {"x": {0: "batch"}})
    outside = any(t.data_location for t in onnx.load(
        str(path), load_external_data=False).graph.initializer)
    assert outside == (dynamo and name == "wide")
    certified(path, shape, lambda x: module(torch.from_numpy(x)).detach().numpy()[0:])


# --- Keras --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["dense", "images"])
def test_keras(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    keras = pytest.importorskip("keras")
    layers = keras.layers
    keras.utils.set_random_seed(3)
    if name == "dense":
        shape: tuple[int, ...] = (1, 4)
        model = keras.Sequential([
            keras.Input((4,)), layers.Dense(8, activation="relu"), layers.BatchNormalization(),
            layers.Dropout(0.2), layers.Dense(3, activation="softmax")])
    else:
        shape = (1, 8, 8, 1)
        model = keras.Sequential([
            keras.Input((8, 8, 1)),
            layers.Conv2D(3, 3, padding="same", strides=2, activation="relu"),
            layers.MaxPooling2D(2), layers.DepthwiseConv2D(2, padding="same"),
            layers.GlobalAveragePooling2D(), layers.Dense(3)])
    model(np.zeros(shape, "float32"))
    path = tmp_path / f"{name}.onnx"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.export(str(path), format="onnx", verbose=False)
    certified(path, shape, lambda x: np.asarray(model(x, training=False).detach()))


# --- tf2onnx ------------------------------------------------------------------------------------


def stored(**tensors: Any) -> list[onnx.TensorProto]:
    return [numpy_helper.from_array(np.asarray(v), k) for k, v in tensors.items()]


def numbers(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-0.5, 0.5, shape).astype(np.float32)


def batch_and(rest: int, of: str, to: str) -> list[onnx.NodeProto]:
    """Reshape `of` to (batch, rest), the batch taken from its shape, as tf2onnx writes Flatten."""
    return [
        helper.make_node("Shape", [of], ["shape"]),
        helper.make_node("Cast", ["shape"], ["short"], to=6),
        helper.make_node("Slice", ["short", "zero", "one", "zero"], ["first"]),
        helper.make_node("Squeeze", ["first", "zero"], ["batch"]),
        helper.make_node("Unsqueeze", ["batch", "zero"], ["side"]),
        helper.make_node("Concat", ["side", "rest"], ["sides"], axis=0),
        helper.make_node("Cast", ["sides"], ["wanted"], to=7),
        helper.make_node("Reshape", [of, "wanted"], [to]),
    ]


def same_padding() -> tuple[list[onnx.NodeProto], list[onnx.TensorProto], list[Any]]:
    """NHWC: Transposes around SAME windows, BatchNorm folded, relu6, softmax."""
    nodes = [
        helper.make_node("Transpose", ["x"], ["nchw"], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["nchw", "kernel"], ["conv"], auto_pad="SAME_UPPER",
                         strides=[2, 2], dilations=[1, 1], group=1, kernel_shape=[3, 3]),
        helper.make_node("Mul", ["conv", "scale"], ["scaled"]),
        helper.make_node("Add", ["scaled", "shift"], ["normal"]),
        helper.make_node("Clip", ["normal", "low", "six"], ["relu6"]),
        helper.make_node("MaxPool", ["relu6"], ["pool"], auto_pad="SAME_UPPER",
                         kernel_shape=[2, 2], strides=[1, 1]),
        helper.make_node("Transpose", ["pool"], ["nhwc"], perm=[0, 2, 3, 1]),
        *batch_and(27, "nhwc", "flat"),
        helper.make_node("MatMul", ["flat", "dense"], ["product"]),
        helper.make_node("Add", ["product", "bias"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["y"], axis=-1),
    ]
    tensors = stored(
        kernel=numbers(1, 3, 1, 3, 3), scale=numbers(2, 1, 3, 1, 1) + 1,
        shift=numbers(3, 1, 3, 1, 1), low=np.float32(0), six=np.float32(6),
        zero=np.array([0]), one=np.array([1]), rest=np.array([27], np.int32),
        dense=numbers(4, 27, 3), bias=numbers(5, 3))
    return nodes, tensors, ["unk__1", 6, 6, 1]


def explicit_padding() -> tuple[list[onnx.NodeProto], list[onnx.TensorProto], list[Any]]:
    """Pad before a VALID convolution with a bias, means over height and width, Squeeze, Gemm."""
    nodes = [
        helper.make_node("Pad", ["x", "pads"], ["padded"]),
        helper.make_node("Transpose", ["padded"], ["nchw"], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["nchw", "kernel", "offset"], ["conv"], auto_pad="VALID",
                         kernel_shape=[3, 3], strides=[2, 2]),
        helper.make_node("LeakyRelu", ["conv"], ["bent"], alpha=0.25),
        helper.make_node("Transpose", ["bent"], ["nhwc"], perm=[0, 2, 3, 1]),
        helper.make_node("ReduceMean", ["nhwc"], ["mean"], axes=[1, 2], keepdims=1),
        helper.make_node("Squeeze", ["mean", "space"], ["flat"]),
        helper.make_node("Gemm", ["flat", "dense", "bias"], ["y"]),
    ]
    tensors = stored(
        pads=np.array([0, 1, 1, 0, 0, 0, 0, 0]), kernel=numbers(6, 3, 2, 3, 3),
        offset=numbers(7, 3), space=np.array([1, 2]), dense=numbers(8, 3, 3), bias=numbers(9, 3))
    return nodes, tensors, [-1, 6, 6, 2]


def columns() -> tuple[list[onnx.NodeProto], list[onnx.TensorProto], list[Any]]:
    """Feature columns cut out, normalised and joined again, then a dense network."""
    nodes = [
        helper.make_node("Split", ["x", "parts"], ["a", "b"], axis=1),
        helper.make_node("Sub", ["a", "mean"], ["centred"]),
        helper.make_node("Div", ["centred", "deviation"], ["standard"]),
        helper.make_node("Max", ["b", "zeros"], ["positive"]),
        helper.make_node("Concat", ["standard", "positive"], ["all"], axis=-1),
        helper.make_node("Identity", ["all"], ["kept"]),
        *batch_and(4, "kept", "flat"),
        helper.make_node("MatMul", ["flat", "dense"], ["product"]),
        helper.make_node("Add", ["product", "bias"], ["sum"]),
        helper.make_node("Relu", ["sum"], ["hidden"]),
        helper.make_node("MatMul", ["hidden", "last"], ["y"]),
    ]
    tensors = stored(
        parts=np.array([3, 1]), mean=numbers(1, 3), deviation=numbers(2, 3) + 1,
        zeros=np.zeros((1, 1), np.float32), zero=np.array([0]), one=np.array([1]),
        rest=np.array([4], np.int32), dense=numbers(3, 4, 8), bias=numbers(4, 8),
        last=numbers(5, 8, 3))
    return nodes, tensors, [0, 4]


@pytest.mark.parametrize("make", [same_padding, explicit_padding, columns])
def test_tf2onnx(tmp_path: Path, make: Callable[[], Any]) -> None:
    nodes, tensors, sides = make()
    graph = helper.make_graph(
        nodes, "tf2onnx", [helper.make_tensor_value_info("x", 1, sides)],
        [helper.make_tensor_value_info("y", 1, ["unk__2", 3])], tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 15)], ir_version=8)
    path = tmp_path / f"{make.__name__}.onnx"
    path.write_bytes(model.SerializeToString())
    known = onnx.ModelProto.FromString(model.SerializeToString())
    known.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1
    runner = session(known)
    certified(path, [1, *sides[1:]], lambda x: runner.run(None, {"x": x})[0])
