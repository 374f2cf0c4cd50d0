"""Models written by hand for the tests, and what both of our readers make of them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import helper

from tests.helpers import checker_parts as checker
from verifex.errors import InputError
from verifex.frontend import load_bytes
from verifex.semantics.evaluate import evaluate_exact

FLT_MAX = float(np.finfo(np.float32).max)


def text_model(body: str, opset: int = 17) -> onnx.ModelProto:
    """A model in ONNX's own text form: inputs, outputs, nodes."""
    return onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["" : {opset}]> m {body}')


def stored(data: onnx.ModelProto, **tensors: np.ndarray) -> bytes:
    """The model's bytes with these tensors stored in it."""
    for name, values in tensors.items():
        data.graph.initializer.append(onnx.numpy_helper.from_array(values, name))
    return bytes(data.SerializeToString())


def single(values: Any) -> np.ndarray:
    return np.asarray(values, dtype=np.float32)


def node_model(op: str, shape: Sequence[int], opset: int = 17, more: Sequence[str] = (), *,
               domain: str = "", tensors: Mapping[str, np.ndarray] | None = None,
               **attributes: Any) -> onnx.ModelProto:
    """A network of one operator on the input x, and on the stored tensors `more`."""
    node = helper.make_node(op, ["x", *more], ["y"], domain=domain)
    for key, value in attributes.items():
        kind = onnx.AttributeProto.INTS if value == [] else None
        node.attribute.append(helper.make_attribute(key, value, attr_type=kind))
    ends = [helper.make_tensor_value_info(name, 1, dims)
            for name, dims in (("x", shape), ("y", None))]
    graph = helper.make_graph([node], "g", ends[:1], ends[1:], [
        onnx.numpy_helper.from_array(v, k) for k, v in (tensors or {}).items()])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def engine_says(data: bytes) -> str:
    """The words of the engine's refusal, "" where it reads the file."""
    try:
        load_bytes(data, "m.onnx")
    except InputError as error:
        return str(error)
    return ""


def checker_says(data: bytes) -> str:
    """The words of the checker's refusal, "" where it reads the file."""
    try:
        net = checker.Network(data)
        found = net.outputs or net.smooth_outputs
    except checker.Bad as error:
        return str(error)
    return "" if found else "no output of floats"


def both_say(data: bytes) -> tuple[str, str]:
    return engine_says(data), checker_says(data)


def values(data: bytes, x: Sequence[Any]) -> list[Fraction]:
    """The only output at a point, which both readers have to agree on."""
    graph, net = load_bytes(data, "m.onnx"), checker.Network(data)
    point = [Fraction(v) for v in x]
    ((name, node),) = graph.outputs.items()
    mine = evaluate_exact(graph, point, [node])[node].fractions()
    tensor = net.outputs[name]
    theirs = checker.exactly(net.graph, net.graph.rows(tensor.items), point, True)
    assert tensor.shape == graph.nodes[node].shape
    assert mine == theirs
    return mine


CLAIM = """
verifex = 1
[region]
box = {{ lo = {lo}, hi = {hi} }}
[[require]]
output = "logit:0"
{bound}
"""


def hand_made(folder: Path, network: bytes, spec: str) -> tuple[int, str]:
    """What the checker says to a proof of a single leaf."""
    files = [folder / k for k in ("net.onnx", "spec.toml", "p.vxc")]
    files[0].write_bytes(network)
    files[1].write_text(spec)
    head = {"vxc": 2, **{k: hashlib.sha256(f.read_bytes()).hexdigest()
                         for k, f in zip(("network", "spec"), files[:2], strict=True)}}
    files[2].write_text(json.dumps(head) + '\n{"leaf":1}\n')
    return checker.check([str(f) for f in files])
