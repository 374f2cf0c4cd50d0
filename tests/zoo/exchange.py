"""Graphs in the style of tf2onnx: channels last, transposes, SAME padding, MatMul and Add."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from tests.zoo.member import Member, Trained

ROWS = 12
SIDE = 8


def _weights(rng: np.random.Generator, *shape: int) -> np.ndarray:
    fan = int(np.prod(shape[1:])) or 1
    return np.asarray(rng.normal(0, 1.4 / np.sqrt(fan), shape), dtype=np.float32)


def _saved(
    nodes: Sequence[onnx.NodeProto], tensors: dict[str, np.ndarray], classes: int, folder: Path,
) -> Path:
    """A model of one input, images (batch, 8, 8, 1), and one output (batch, classes)."""
    graph = helper.make_graph(
        list(nodes), "tf2onnx",
        [helper.make_tensor_value_info("input_1", TensorProto.FLOAT, ["unk__1", SIDE, SIDE, 1])],
        [helper.make_tensor_value_info("dense", TensorProto.FLOAT, ["unk__2", classes])],
        [numpy_helper.from_array(value, name) for name, value in tensors.items()])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 15)], ir_version=8,
                              producer_name="tf2onnx")
    path = folder / "model.onnx"
    onnx.save(model, str(path))
    return path


def _questions(path: Path, seed: int, gradient: bool = True) -> Trained:
    rows = np.random.default_rng(seed).uniform(0, 1, (ROWS, SIDE * SIDE)).round(4)
    names = tuple(f"pixel_{i}" for i in range(SIDE * SIDE))
    return Trained(path, rows.astype(np.float32), names, dict.fromkeys(names, 0.004),
                   gradient=gradient)


def _same_padding(folder: Path) -> Trained:
    """Conv with SAME_UPPER, stride 2, between transposes; Reshape by a shape that is computed."""
    rng = np.random.default_rng(1)
    tensors = {"w": _weights(rng, 6, 1, 3, 3), "b": _weights(rng, 6), "v": _weights(rng, 96, 10),
               "c": _weights(rng, 10), "start": np.array([0], dtype=np.int64),
               "end": np.array([1], dtype=np.int64), "rest": np.array([-1], dtype=np.int64)}
    nodes = [
        helper.make_node("Transpose", ["input_1"], ["nchw"], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["nchw", "w", "b"], ["conv"], auto_pad="SAME_UPPER",
                         strides=[2, 2], kernel_shape=[3, 3]),
        helper.make_node("Relu", ["conv"], ["relu"]),
        helper.make_node("Transpose", ["relu"], ["nhwc"], perm=[0, 2, 3, 1]),
        helper.make_node("Shape", ["nhwc"], ["shape"]),
        helper.make_node("Slice", ["shape", "start", "end"], ["batch"]),
        helper.make_node("Concat", ["batch", "rest"], ["flat"], axis=0),
        helper.make_node("Reshape", ["nhwc", "flat"], ["row"]),
        helper.make_node("MatMul", ["row", "v"], ["product"]),
        helper.make_node("Add", ["product", "c"], ["dense"]),
    ]
    return _questions(_saved(nodes, tensors, 10, folder), 1)


def _relu6(folder: Path) -> Trained:
    """A folded BatchNormalization as Mul and Add, relu6 as Clip, mean over pixels, softmax."""
    rng = np.random.default_rng(2)
    tensors = {"w": _weights(rng, 5, 1, 3, 3), "scale": _weights(rng, 1, 5, 1, 1) + 1,
               "shift": _weights(rng, 1, 5, 1, 1), "low": np.float32(0).reshape(()),
               "high": np.float32(6).reshape(()), "v": _weights(rng, 5, 3) * 4}
    nodes = [
        helper.make_node("Transpose", ["input_1"], ["nchw"], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["nchw", "w"], ["conv"], auto_pad="SAME_LOWER"),
        helper.make_node("Mul", ["conv", "scale"], ["scaled"]),
        helper.make_node("Add", ["scaled", "shift"], ["normal"]),
        helper.make_node("Clip", ["normal", "low", "high"], ["relu6"]),
        helper.make_node("ReduceMean", ["relu6"], ["mean"], axes=[2, 3], keepdims=0),
        helper.make_node("MatMul", ["mean", "v"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["dense"], axis=-1),
    ]
    return _questions(_saved(nodes, tensors, 3, folder), 2)


def _pooled(folder: Path) -> Trained:
    """Explicit Pad, MaxPool with SAME_UPPER, Squeeze, LeakyRelu, and a sigmoid head."""
    rng = np.random.default_rng(3)
    tensors = {"w": _weights(rng, 4, 1, 2, 2), "b": _weights(rng, 4), "v": _weights(rng, 100, 1),
               "c": _weights(rng, 1), "pads": np.array([0, 0, 1, 1, 0, 0, 1, 1], dtype=np.int64),
               "flat": np.array([-1, 100], dtype=np.int64)}
    nodes = [
        helper.make_node("Transpose", ["input_1"], ["nchw"], perm=[0, 3, 1, 2]),
        helper.make_node("Pad", ["nchw", "pads"], ["padded"]),
        helper.make_node("Conv", ["padded", "w", "b"], ["conv"]),
        helper.make_node("LeakyRelu", ["conv"], ["leaky"], alpha=0.3),
        helper.make_node("MaxPool", ["leaky"], ["pool"], kernel_shape=[2, 2], strides=[2, 2],
                         auto_pad="SAME_UPPER"),
        helper.make_node("Reshape", ["pool", "flat"], ["row"]),
        helper.make_node("MatMul", ["row", "v"], ["product"]),
        helper.make_node("Add", ["product", "c"], ["sum"]),
        helper.make_node("Sigmoid", ["sum"], ["dense"]),
    ]
    return _questions(_saved(nodes, tensors, 1, folder), 3)


def members() -> list[Member]:
    """Three graphs as tf2onnx writes them, with random weights."""
    found = [("SAME_UPPER, strides", _same_padding), ("relu6, softmax", _relu6),
             ("Pad, MaxPool, sigmoid", _pooled)]
    return [Member(name, "tf2onnx style", build) for name, build in found]
