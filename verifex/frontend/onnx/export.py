"""Graphs back to ONNX: standard ops, one initialiser for each constant, float64 by default."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import product
from typing import Any, Literal

import numpy as np

from verifex.errors import InputError, UnsupportedError
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
from verifex.ir.ops import (
    Affine,
    Concat,
    Const,
    Gate,
    Input,
    Mul,
    Relu,
    Step,
    TreeLeaves,
    Univariate,
)
from verifex.semantics.functions import find

OPSET, IR_VERSION = 17, 8


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
        # Inputs and outputs keep their names; names of our own keep clear of them.
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
            # One node may be several outputs, or an input: a copy gives each its own name.
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

    def value_info(self, name: str, index: int) -> Any:
        from onnx import helper

        return helper.make_tensor_value_info(name, self.elem, list(self.graph.nodes[index].shape))

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
        # By bytes: 0.0 and -0.0 are equal but not the same constant.
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

    def reshape(self, source: str, shape: Shape) -> str:
        # A 0 in the target would mean "keep": allowzero says that it is a length.
        return self.emit("Reshape", [source, self.ints(shape)], allowzero=1)

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
            case TreeLeaves():
                raise UnsupportedError("decision trees are not written as ONNX",
                                       expected="the model's own file")
            case Input():
                raise ValueError("inputs are named, not computed")

    def univariate(self, name: str, source: str) -> str:
        function = find(name)
        if function.is_product:
            return self.emit(function.onnx, [source, source])
        if function.single_only and self.dtype == "float64":
            single = self.emit("Cast", [source], to=1)
            return self.emit("Cast", [self.emit(function.onnx, [single])], to=11)
        return self.emit(function.onnx, [source])

    def affine(self, op: Affine, args: list[str]) -> str:
        first = op.maps[0]
        if len(args) == 1 and isinstance(first, Dense) and op.bias is not None:
            bias = as_float(op.bias).reshape(1, -1)
            return self.dense(first, args[0], [self.floats(bias)])
        out = self.linear(first, args[0])
        for m, x in zip(op.maps[1:], args[1:], strict=True):
            out = self.emit("Add", [out, self.linear(m, x)])
        return out if op.bias is None else self.emit("Add", [out, self.floats(op.bias)])

    def linear(self, linear_map: LinearMap, source: str) -> str:
        match linear_map:
            case Dense():
                return self.dense(linear_map, source, [])
            case Conv():
                return self.conv(linear_map, source)
            case Gather():
                return self.gather(linear_map, source)
            case ScatterAdd():
                return self.scatter(linear_map, source)
            case Diag():
                return self.emit("Mul", [source, self.floats(linear_map.scale)])
            case Scaled():
                factor = self.floats(np.array(float(linear_map.factor)))
                return self.emit("Mul", [self.linear(linear_map.inner, source), factor])

    def dense(self, linear_map: Dense, source: str, bias: list[str]) -> str:
        flat = (1, math.prod(linear_map.in_shape))
        source = source if linear_map.in_shape == flat else self.reshape(source, flat)
        out = self.emit("Gemm", [source, self.floats(linear_map.weight), *bias], transB=1)
        return (
            out
            if linear_map.out_shape == (1, linear_map.weight.shape[0])
            else self.reshape(out, linear_map.out_shape)
        )

    def gather(self, linear_map: Gather, source: str) -> str:
        if is_identity(linear_map):
            return (
                source
                if linear_map.in_shape == linear_map.out_shape
                else self.reshape(source, linear_map.out_shape)
            )
        size = math.prod(linear_map.in_shape)
        flat = source if len(linear_map.in_shape) == 1 else self.reshape(source, (size,))
        index = linear_map.index
        # Gather cannot leave an element out: one zero behind the data stands for all of them.
        if (index < 0).any():
            flat = self.emit("Concat", [flat, self.floats(np.zeros(1))], axis=0)
            index = np.where(index < 0, size, index)
        return self.emit("Gather", [flat, self.ints(index)], axis=0)

    def scatter(self, linear_map: ScatterAdd, source: str) -> str:
        """A sum at every target; dropped elements go to one extra place, which is then left out."""
        size, index = math.prod(linear_map.out_shape), linear_map.index.ravel()
        flat = source if len(linear_map.in_shape) == 1 else self.reshape(source, (index.size,))
        # The usual case, a sum of everything, reads better than a scatter, and runs anywhere.
        if size == 1 and (index == 0).all():
            total = self.emit("ReduceSum", [flat], keepdims=1)
            return (
                total if linear_map.out_shape == (1,) else self.reshape(total, linear_map.out_shape)
            )
        spare = bool((index < 0).any())
        zeros = self.floats(np.zeros(size + spare))
        target = self.ints(np.where(index < 0, size, index))
        out = self.emit("ScatterElements", [zeros, target, flat], axis=0, reduction="add")
        if spare:
            out = self.emit("Gather", [out, self.ints(np.arange(size))], axis=0)
        return out if linear_map.out_shape == (size,) else self.reshape(out, linear_map.out_shape)

    # --- convolutions -----------------------------------------------------------------------

    def conv(self, linear_map: Conv, source: str) -> str:
        """A native convolution in float32; onnxruntime has none in float64."""
        if self.dtype == "float64" or len(linear_map.weight.shape) < 3:
            return self.conv_by_matmul(linear_map, source)
        pads = [a for a, _ in linear_map.pads] + [b for _, b in linear_map.pads]
        rest: dict[str, Any] = {
            "strides": list(linear_map.strides),
            "dilations": list(linear_map.dilations),
            "group": linear_map.groups,
        }
        weight = self.floats(linear_map.weight)
        if not linear_map.transposed:
            # Elements behind the last window are read by nobody; the sizes agree without them.
            out = self.emit("Conv", [source, weight], pads=pads, **rest)
            return out
        extra = [
            n + a + b - (s * (k_in - 1) + (k - 1) * d + 1)
            for n, k_in, k, s, (a, b), d in zip(
                linear_map.out_shape[2:],
                linear_map.in_shape[2:],
                linear_map.weight.shape[2:],
                linear_map.strides,
                linear_map.pads,
                linear_map.dilations,
                strict=True,
            )
        ]
        return self.emit("ConvTranspose", [source, weight], pads=pads, output_padding=extra, **rest)

    def conv_by_matmul(self, linear_map: Conv, source: str) -> str:
        """Gather the windows (or scatter into them) around a stack of matrix products."""
        fwd_in, fwd_out = linear_map.forward_shapes
        n, space, g = fwd_in[0], math.prod(fwd_out[2:]), linear_map.groups
        # (n, groups, channels of a group * kernel, space), -1 in the padding
        index = _windows(linear_map)
        weight = linear_map.weight.reshape(1, g, linear_map.weight.shape[0] // g, -1)
        if not linear_map.transposed:
            window = self.gather(Gather(linear_map.in_shape, index.shape, index), source)
            out = self.emit("MatMul", [self.floats(weight), window])
            return self.reshape(out, linear_map.out_shape)
        grouped = self.reshape(source, (n, g, weight.shape[2], space))
        turned = np.ascontiguousarray(weight.swapaxes(-1, -2))
        spread = self.emit("MatMul", [self.floats(turned), grouped])
        return self.scatter(ScatterAdd(index.shape, linear_map.out_shape, index), spread)


def _windows(linear_map: Conv) -> Any:
    """Flat input positions under each kernel position of the forward convolution."""
    fwd_in, fwd_out = linear_map.forward_shapes
    places = np.arange(math.prod(fwd_in), dtype=np.int64).reshape(fwd_in)
    rank = len(linear_map.pads)
    padded = np.pad(places, [(0, 0), (0, 0), *linear_map.pads], constant_values=-1)
    kernel = linear_map.weight.shape[2:]
    parts = []
    for offset in product(*(range(k) for k in kernel)):
        cut = tuple(
            slice(o * d, o * d + (size - 1) * s + 1, s)
            for o, d, size, s in zip(
                offset, linear_map.dilations, fwd_out[2:], linear_map.strides, strict=True
            )
        )
        parts.append(padded[(slice(None), slice(None), *cut)])
    stacked = np.stack(parts, axis=2)  # (n, channels, kernel positions, *space)
    n, channels = fwd_in[0], fwd_in[1]
    if stacked.ndim != 3 + rank:
        raise ValueError("a convolution's axes do not fit together")
    per = channels // linear_map.groups * len(parts)
    return np.ascontiguousarray(stacked.reshape(n, linear_map.groups, per, math.prod(fwd_out[2:])))

