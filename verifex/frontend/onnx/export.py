"""Graphs back to ONNX: standard ops, one initialiser for each constant, float64 by default."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import product
from typing import Any, Literal

import numpy as np

from verifex.errors import InputError
from verifex.ir.exact import Values, as_float
from verifex.ir.graph import Graph, Node
from verifex.ir.linmap import (
    Conv,
    Dense,
    Diag,
    Gather,
    LinearMap,
    Scaled,
    ScatterAdd,
    Shape,
    is_identity,
)
from verifex.ir.ops import Affine, Concat, Const, Gate, Input, Mul, Relu, Step, Univariate

OPSET, IR_VERSION = 17, 8
UNIVARIATE_OPS: Mapping[str, str] = {
    "sigmoid": "Sigmoid", "tanh": "Tanh", "exp": "Exp", "log": "Log", "reciprocal": "Reciprocal",
    "sqrt": "Sqrt", "sin": "Sin", "cos": "Cos", "erf": "Erf",
}
SINGLE_ONLY = frozenset({"cos", "erf"})
"""Functions for which onnxruntime has a float32 kernel only: computed there between two casts.

Our own reader refuses such a cast of computed float64, which could overflow; float32 has none.
"""


def to_onnx(
    graph: Graph, outputs: Mapping[str, int] | None = None, *,
    dtype: Literal["float64", "float32"] = "float64",
) -> bytes:
    """The graph as an ONNX model (opset 17) with the given outputs (default: its own).

    Input and output shapes are those of the graph. With float64 every stored float keeps its exact
    value; constants that are no floats (a third, say) are rounded to nearest. With float32 all
    constants are rounded. Raises InputError where an output has the name of an input.
    """
    chosen = dict(graph.outputs if outputs is None else outputs)
    writer = _Writer(graph, dtype)
    return writer.run(chosen)


@dataclass
class _Writer:
    """The model being written: nodes, initialisers, and the ONNX name of every graph node."""

    graph: Graph
    dtype: str
    nodes: list[Any] = field(default_factory=list)
    initialisers: dict[tuple[str, Shape, bytes], str] = field(default_factory=dict)
    tensors: list[Any] = field(default_factory=list)
    names: dict[int, str] = field(default_factory=dict)
    taken: set[str] = field(default_factory=set)
    count: int = 0

    def run(self, outputs: Mapping[str, int]) -> bytes:
        from onnx import helper

        inputs = [(i, self.graph.nodes[i].op) for i in self.graph.inputs]
        for i, op in inputs:
            self.names[i] = op.name if isinstance(op, Input) else ""
        self.taken = {*self.names.values(), *outputs}
        clash = set(self.names.values()) & set(outputs)
        if clash:
            raise InputError(f"an output is called like the input '{min(clash)}'",
                             expected="another name")
        for i in self.graph.ancestors(outputs.values()):
            node = self.graph.nodes[i]
            if not isinstance(node.op, Input):
                self.names[i] = self.node(node)
        for name, i in outputs.items():
            self.emit("Identity", [self.names[i]], output=name)
        made = helper.make_graph(
            self.nodes, "verifex", [self.value_info(self.names[i], i) for i, _ in inputs],
            [self.value_info(name, i) for name, i in outputs.items()], self.tensors,
        )
        model = helper.make_model(
            made, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION,
            producer_name="verifex",
        )
        return bytes(model.SerializeToString())

    # --- pieces -----------------------------------------------------------------------------

    @property
    def elem(self) -> int:
        return 11 if self.dtype == "float64" else 1

    def value_info(self, name: str, i: int) -> Any:
        from onnx import helper

        return helper.make_tensor_value_info(name, self.elem, list(self.graph.nodes[i].shape))

    def fresh(self) -> str:
        while True:
            name = f"t{self.count}"
            self.count += 1
            if name not in self.taken:
                return name

    def emit(self, op: str, inputs: list[str], output: str = "", **attributes: Any) -> str:
        from onnx import helper

        output = output or self.fresh()
        self.nodes.append(helper.make_node(op, inputs, [output], **attributes))
        return output

    def store(self, array: Any) -> str:
        """An initialiser holding the array; equal arrays are stored once."""
        from onnx import helper

        array = np.ascontiguousarray(array)
        if not np.isfinite(array).all():
            raise InputError(f"a constant overflows {self.dtype}", expected="float64")
        key = (str(array.dtype), array.shape, array.tobytes())
        if key not in self.initialisers:
            name = self.fresh()
            kind = {"int64": 7, "float64": 11, "float32": 1}[str(array.dtype)]
            self.tensors.append(helper.make_tensor(name, kind, array.shape, key[2], raw=True))
            self.initialisers[key] = name
        return self.initialisers[key]

    def floats(self, values: Values) -> str:
        with np.errstate(over="ignore"):
            return self.store(as_float(values).astype(self.dtype))

    def ints(self, values: Any) -> str:
        return self.store(np.asarray(values, dtype=np.int64))

    def reshape(self, x: str, shape: Shape) -> str:
        # A 0 in the target would mean "keep": allowzero says that it is a length.
        return self.emit("Reshape", [x, self.ints(shape)], allowzero=1)

    # --- nodes ------------------------------------------------------------------------------

    def node(self, node: Node) -> str:
        args = [self.names[a] for a in node.args]
        match node.op:
            case Const():
                return self.floats(node.op.value)
            case Affine():
                return self.affine(node.op, args)
            case Relu():
                return self.emit("Relu", args)
            case Step():
                positive = self.emit("Greater", [args[0], self.floats(np.zeros(()))])
                return self.emit("Cast", [positive], to=self.elem)
            case Gate() | Mul():
                return self.emit("Mul", args)
            case Concat():
                return self.emit("Concat", args, axis=node.op.axis)
            case Univariate():
                return self.univariate(node.op.name, args[0])
            case Input():
                raise ValueError("inputs are named, not computed")

    def univariate(self, name: str, x: str) -> str:
        if name == "square":
            return self.emit("Mul", [x, x])
        if name in SINGLE_ONLY and self.dtype == "float64":
            single = self.emit("Cast", [x], to=1)
            return self.emit("Cast", [self.emit(UNIVARIATE_OPS[name], [single])], to=11)
        return self.emit(UNIVARIATE_OPS[name], [x])

    def affine(self, op: Affine, args: list[str]) -> str:
        first = op.maps[0]
        if len(args) == 1 and isinstance(first, Dense) and op.bias is not None:
            bias = as_float(op.bias).reshape(1, -1)
            return self.dense(first, args[0], [self.floats(bias)])
        out = self.linear(first, args[0])
        for m, x in zip(op.maps[1:], args[1:], strict=True):
            out = self.emit("Add", [out, self.linear(m, x)])
        return out if op.bias is None else self.emit("Add", [out, self.floats(op.bias)])

    def linear(self, m: LinearMap, x: str) -> str:
        match m:
            case Dense():
                return self.dense(m, x, [])
            case Conv():
                return self.conv(m, x)
            case Gather():
                return self.gather(m, x)
            case ScatterAdd():
                return self.scatter(m, x)
            case Diag():
                return self.emit("Mul", [x, self.floats(m.scale)])
            case Scaled():
                factor = self.floats(np.array(float(m.factor)))
                return self.emit("Mul", [self.linear(m.inner, x), factor])

    def dense(self, m: Dense, x: str, bias: list[str]) -> str:
        flat = (1, math.prod(m.in_shape))
        x = x if m.in_shape == flat else self.reshape(x, flat)
        out = self.emit("Gemm", [x, self.floats(m.weight), *bias], transB=1)
        return out if m.out_shape == (1, m.weight.shape[0]) else self.reshape(out, m.out_shape)

    def gather(self, m: Gather, x: str) -> str:
        if is_identity(m):
            return x if m.in_shape == m.out_shape else self.reshape(x, m.out_shape)
        size = math.prod(m.in_shape)
        flat = x if len(m.in_shape) == 1 else self.reshape(x, (size,))
        index = m.index
        if (index < 0).any():
            flat = self.emit("Concat", [flat, self.floats(np.zeros(1))], axis=0)
            index = np.where(index < 0, size, index)
        return self.emit("Gather", [flat, self.ints(index)], axis=0)

    def scatter(self, m: ScatterAdd, x: str) -> str:
        """Sums: elements that are dropped go to one extra place, which is then cut off."""
        size, index = math.prod(m.out_shape), m.index.ravel()
        flat = x if len(m.in_shape) == 1 else self.reshape(x, (index.size,))
        if size == 1 and (index == 0).all():
            total = self.emit("ReduceSum", [flat], keepdims=1)
            return total if m.out_shape == (1,) else self.reshape(total, m.out_shape)
        spare = bool((index < 0).any())
        zeros = self.floats(np.zeros(size + spare))
        target = self.ints(np.where(index < 0, size, index))
        out = self.emit("ScatterElements", [zeros, target, flat], axis=0, reduction="add")
        if spare:
            out = self.emit("Gather", [out, self.ints(np.arange(size))], axis=0)
        return out if m.out_shape == (size,) else self.reshape(out, m.out_shape)

    # --- convolutions -----------------------------------------------------------------------

    def conv(self, m: Conv, x: str) -> str:
        """A native convolution in float32; onnxruntime has none in float64."""
        if self.dtype == "float64" or len(m.weight.shape) < 3:
            return self.conv_by_matmul(m, x)
        pads = [a for a, _ in m.pads] + [b for _, b in m.pads]
        rest: dict[str, Any] = {
            "strides": list(m.strides), "dilations": list(m.dilations), "group": m.groups,
        }
        weight = self.floats(m.weight)
        if not m.transposed:
            # Elements behind the last window are read by nobody; the sizes agree without them.
            out = self.emit("Conv", [x, weight], pads=pads, **rest)
            return out
        extra = [
            n + a + b - (s * (k_in - 1) + (k - 1) * d + 1)
            for n, k_in, k, s, (a, b), d in zip(
                m.out_shape[2:], m.in_shape[2:], m.weight.shape[2:], m.strides, m.pads,
                m.dilations, strict=True)
        ]
        return self.emit("ConvTranspose", [x, weight], pads=pads, output_padding=extra, **rest)

    def conv_by_matmul(self, m: Conv, x: str) -> str:
        """Gather the windows (or scatter into them) around a stack of matrix products."""
        fwd_in, fwd_out = m.forward_shapes
        n, space, g = fwd_in[0], math.prod(fwd_out[2:]), m.groups
        index = _windows(m)  # (n, groups, channels of a group * kernel, space), -1 in the padding
        weight = m.weight.reshape(1, g, m.weight.shape[0] // g, -1)
        if not m.transposed:
            window = self.gather(Gather(m.in_shape, index.shape, index), x)
            out = self.emit("MatMul", [self.floats(weight), window])
            return self.reshape(out, m.out_shape)
        grouped = self.reshape(x, (n, g, weight.shape[2], space))
        turned = np.ascontiguousarray(weight.swapaxes(-1, -2))
        spread = self.emit("MatMul", [self.floats(turned), grouped])
        return self.scatter(ScatterAdd(index.shape, m.out_shape, index), spread)


def _windows(m: Conv) -> Any:
    """Flat input positions under each kernel position of the forward convolution."""
    fwd_in, fwd_out = m.forward_shapes
    places = np.arange(math.prod(fwd_in), dtype=np.int64).reshape(fwd_in)
    rank = len(m.pads)
    padded = np.pad(places, [(0, 0), (0, 0), *m.pads], constant_values=-1)
    kernel = m.weight.shape[2:]
    parts = []
    for offset in product(*(range(k) for k in kernel)):
        cut = tuple(
            slice(o * d, o * d + (size - 1) * s + 1, s)
            for o, d, size, s in zip(offset, m.dilations, fwd_out[2:], m.strides, strict=True)
        )
        parts.append(padded[(slice(None), slice(None), *cut)])
    stacked = np.stack(parts, axis=2)  # (n, channels, kernel positions, *space)
    n, channels = fwd_in[0], fwd_in[1]
    if stacked.ndim != 3 + rank:
        raise ValueError("a convolution's axes do not fit together")
    per = channels // m.groups * len(parts)
    return np.ascontiguousarray(stacked.reshape(n, m.groups, per, math.prod(fwd_out[2:])))

