"""A folder with the files that people have: networks of several makers, tables, a spec, queries."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

SPEC = """\
verifex = 1
network = "net.onnx"

[input]
data = "flowers.csv"
row = 1
target = "species"

[region]
linf = 0.1
clip = [0, 10]

[explain]
attribution = "gradient"
output = "predicted"
reduce = "abs"

[[require]]
class = "unchanged"
"""
"""A spec about `net.onnx` without a mistake; it is proved."""

FLOWERS = """\
sepal_length,sepal_width,petal_length,petal_width,species
5.1,3.5,1.4,0.2,setosa
7.0,3.2,4.7,1.4,versicolor
6.3,3.3,6.0,2.5,virginica
"""

QUERY_1 = """\
(declare-const X_0 Real)
(declare-const X_1 Real)
(declare-const Y_0 Real)
(declare-const Y_1 Real)
(declare-const Y_2 Real)
(assert (>= X_0 0.0))
(assert (<= X_0 1.0))
(assert (>= X_1 0.0))
(assert (<= X_1 1.0))
(assert (<= Y_0 Y_1))
"""
"""A query about two inputs; `net.onnx` has four."""

QUERY_2 = """\
(vnnlib-version <2.0>)
(declare-network net
    (declare-input X real [1, 2])
    (declare-output Y real [1, 3]))
(assert (>= X[0, 0] 0.0))
(assert (<= X[0, 0] 1.0))
(assert (>= X[0, 1] 0.0))
(assert (<= X[0, 1] 1.0))
(assert (<= Y[0, 0] Y[0, 1]))
"""

HIDDEN = [[2, -1, 0, 1], [-1, 2, 1, 0], [0, 1, 2, -1], [1, 0, -1, 2], [1, 1, -1, -1]]
LAST = [[1, 2, -2, -1, 1], [-1, 1, 2, 1, -2], [0, -1, 1, 2, 1]]


def make(folder: Path) -> None:
    """Write every file into the folder."""
    (folder / "spec.toml").write_text(SPEC)
    for name, text in _tables().items():
        (folder / name).write_text(text)
    (folder / "two-inputs.vnnlib").write_text(QUERY_1)
    (folder / "two-inputs-2.vnnlib").write_text(QUERY_2)
    np.save(folder / "flowers.npy", np.arange(12.0).reshape(3, 4))
    for name, model in _networks().items():
        (folder / name).write_bytes(model.SerializeToString())
    for name, data in _foreign().items():
        (folder / name).write_bytes(data)
    (folder / "saved").mkdir()
    (folder / "saved" / "saved_model.pb").write_bytes(b"\x08\x01")


def _tables() -> dict[str, str]:
    lines = FLOWERS.splitlines()
    indexed = [f"{k - 1 if k else 'Unnamed: 0'},{line}" for k, line in enumerate(lines)]
    unnamed = [f"{k - 1 if k else ''},{line}" for k, line in enumerate(lines)]
    bare = [",".join(line.split(",")[:-1]) for line in lines[1:]]
    counted = [f"{k},{line}" for k, line in enumerate(bare)]
    words = [line.replace("3.2", "wide") for line in lines]
    gaps = [line.replace("3.2", "") for line in lines]
    return {
        "flowers.csv": FLOWERS,
        "semicolons.csv": FLOWERS.replace(",", ";"),
        "commas-for-points.csv": FLOWERS.replace(",", ";").replace(".", ","),
        "tabs.csv": FLOWERS.replace(",", "\t"),
        "indexed.csv": "\n".join(indexed) + "\n",
        "unnamed.csv": "\n".join(unnamed) + "\n",
        "bare.csv": "\n".join(bare) + "\n",
        "counted.csv": "\n".join(counted) + "\n",
        "words.csv": "\n".join(words) + "\n",
        "gaps.csv": "\n".join(gaps) + "\n",
        "ragged.csv": FLOWERS.replace("4.7,1.4", "4.7"),
        "empty.csv": "",
    }


def _model(
    nodes: Sequence[onnx.NodeProto], inputs: Sequence[onnx.ValueInfoProto],
    outputs: Sequence[onnx.ValueInfoProto], weights: dict[str, np.ndarray] | None = None,
    domains: Sequence[tuple[str, int]] = (("", 17),),
) -> onnx.ModelProto:
    held = [numpy_helper.from_array(value, name) for name, value in (weights or {}).items()]
    graph = helper.make_graph(list(nodes), "net", list(inputs), list(outputs), held)
    sets = [helper.make_opsetid(domain, version) for domain, version in domains]
    return helper.make_model(graph, opset_imports=sets, ir_version=9)


def _value(name: str, *shape: int, kind: int = TensorProto.FLOAT) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, list(shape))


def _networks() -> dict[str, onnx.ModelProto]:
    """`net` and its relatives: four inputs, three outputs, a hidden layer of five."""
    weights = {
        "w1": np.array(HIDDEN, np.float32).T / 4, "b1": np.zeros(5, np.float32),
        "w2": np.array(LAST, np.float32).T / 2, "b2": np.array([0, 1, -1], np.float32),
    }
    layers = [
        helper.make_node("Gemm", ["x", "w1", "b1"], ["hidden"], name="fc1"),
        helper.make_node("Relu", ["hidden"], ["active"], name="relu1"),
        helper.make_node("Gemm", ["active", "w2", "b2"], ["logits"], name="fc2"),
    ]
    x, logits = _value("x", 1, 4), _value("logits", 1, 3)
    pool = [
        helper.make_node("Flatten", ["image"], ["flat"], name="flat"),
        helper.make_node("Gemm", ["flat", "w"], ["logits"], name="fc"),
    ]
    pair = [
        helper.make_node("Sub", ["left", "right"], ["gap"], name="gap"),
        helper.make_node("Relu", ["gap"], ["logits"], name="relu"),
    ]
    return {
        "net.onnx": _model(layers, [x], [logits], weights),
        "two-outputs.onnx": _model(layers, [x], [logits, _value("active", 1, 5)], weights),
        "image.onnx": _model(pool, [_value("image", 1, 1, 4, 4)], [_value("logits", 1, 2)],
                             {"w": np.arange(32, dtype=np.float32).reshape(16, 2)}),
        "pair.onnx": _model(pair, [_value("left", 1, 2), _value("right", 1, 2)],
                            [_value("logits", 1, 2)]),
        "unknown-op.onnx": _model(
            [helper.make_node("NonMaxSuppression", ["x", "x"], ["logits"], name="nms")], [x],
            [_value("logits", 1, 4)]),
        "open.onnx": _model(
            [helper.make_node("Relu", ["x"], ["y"], name="r")],
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", "m"])],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", "m"])]),
        **_odd_inputs(x),
    }


def _odd_inputs(x: onnx.ValueInfoProto) -> dict[str, onnx.ModelProto]:
    """Networks whose inputs, outputs or arithmetic are none of floats."""
    whole = helper.make_node("Cast", ["x"], ["y"], name="cast", to=TensorProto.FLOAT)
    at = {"scale": np.array(0.5, np.float32), "zero": np.array(3, np.uint8)}
    quantised = [
        helper.make_node("QuantizeLinear", ["x", "scale", "zero"], ["q"], name="quantise"),
        helper.make_node("DequantizeLinear", ["q", "scale", "zero"], ["y"], name="back"),
    ]
    words = [helper.make_node("LabelEncoder", ["x"], ["y"], name="labels", domain="ai.onnx.ml",
                              keys_strings=["a", "b"], values_floats=[0.0, 1.0])]
    maps = helper.make_value_info("x", helper.make_sequence_type_proto(
        helper.make_tensor_type_proto(TensorProto.FLOAT, [1, 4])))
    taken = [helper.make_node("SequenceAt", ["x", "i"], ["y"], name="at")]
    return {
        "quantised.onnx": _model(quantised, [x], [_value("y", 1, 4)], at),
        "whole.onnx": _model([whole], [_value("x", 1, 4, kind=TensorProto.INT64)],
                             [_value("y", 1, 4)]),
        "words.onnx": _model(words, [_value("x", 1, 1, kind=TensorProto.STRING)],
                             [_value("y", 1, 1)], domains=(("", 17), ("ai.onnx.ml", 3))),
        "sequence.onnx": _model(taken, [maps], [_value("y", 1, 4)],
                                {"i": np.array(0, np.int64)}),
    }


def _foreign() -> dict[str, bytes]:
    """The first bytes of files that other frameworks write; nothing of theirs is needed for it."""
    pickle = b"\x80\x02}q\x00."
    hdf = b"\x89HDF\r\n\x1a\n" + bytes(40)
    return {
        "net.pt": _zip({"net/data.pkl": pickle, "net/version": b"3\n"}),
        "net.pth": pickle,
        "net.h5": hdf,
        "net.keras": _zip({"metadata.json": b"{}", "config.json": b"{}",
                           "model.weights.h5": hdf}),
        "net.pkl": b"\x80\x04\x95\x03\x00\x00\x00\x00\x00\x00\x00}\x94.",
        "net.joblib": b"\x80\x04\x95\x03\x00\x00\x00\x00\x00\x00\x00}\x94.",
        "net.tflite": b"\x1c\x00\x00\x00TFL3" + bytes(40),
        "net.safetensors": b"\x10\x00\x00\x00\x00\x00\x00\x00{\"a\":{\"dtype\":0}}",
        "renamed.onnx": hdf,
        "renamed-torch.onnx": _zip({"net/data.pkl": pickle}),
        "page.onnx": b"<!DOCTYPE html><html><body>404</body></html>",
        "pointer.onnx": b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12\n",
        "empty.onnx": b"",
    }


def _zip(files: dict[str, bytes]) -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as archive:
        for name, data in files.items():
            archive.writestr(zipfile.ZipInfo(name), data)
    return held.getvalue()
