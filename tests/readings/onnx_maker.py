"""Small random ONNX models: names, tensors in every storage, defects of files, whole models.

Everything is drawn from one `random.Random`, so that a seed names a model for good.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

FLOAT, INT32, INT64, BOOL, HALF, DOUBLE = 1, 6, 7, 9, 10, 11
NUMPY = {FLOAT: np.float32, INT32: np.int32, INT64: np.int64, BOOL: np.bool_, HALF: np.float16,
         DOUBLE: np.float64}
FIELDS = {FLOAT: "float_data", DOUBLE: "double_data", INT64: "int64_data"}
Shape = Sequence[int]


class Maker:
    """One model being drawn. `flaw` says how often something that should be right is made wrong."""

    def __init__(self, seed: str, flaw: float = 0.04) -> None:
        self.r = random.Random(seed)
        self.flaw = flaw
        self.opset = self.r.randint(7, 23)
        self.kind = FLOAT if self.r.random() < 0.75 else DOUBLE
        self.nodes: list[onnx.NodeProto] = []
        self.inputs: list[onnx.ValueInfoProto] = []
        self.stored: list[TensorProto] = []
        self.count = 0

    # --- dice ---------------------------------------------------------------------------------

    def odds(self, share: float) -> bool:
        return self.r.random() < share

    def wrong(self) -> bool:
        return self.odds(self.flaw)

    def pick(self, *choices: Any) -> Any:
        return self.r.choice(choices)

    def shape(self, low: int = 0, high: int = 4, most: int = 4) -> tuple[int, ...]:
        """A shape of so many axes, rarely with an empty one."""
        sides = [self.r.randint(1, most) for _ in range(self.r.randint(low, high))]
        if sides and self.odds(0.01):
            sides[self.r.randrange(len(sides))] = 0
        return tuple(sides)

    def fitting(self, shape: Shape) -> tuple[int, ...]:
        """A shape that can be stretched to `shape`, now and then a little beyond."""
        sides = [1 if self.odds(0.3) else d for d in shape[self.r.randint(0, len(shape)):]]
        if self.odds(0.1):
            sides = [self.r.randint(1, 2), *sides]
        if self.wrong() and sides:
            sides[-1] += 1
        return tuple(sides)

    def axis(self, rank: int) -> int:
        """An axis, from either end, rarely outside."""
        if rank == 0 or self.wrong():
            return self.r.randint(-rank - 2, rank + 1)
        return self.r.randrange(-rank, rank)

    def axes(self, rank: int) -> list[int]:
        found = self.r.sample(range(rank), self.r.randint(0 if self.odds(0.1) else 1, rank)
                              ) if rank else []
        found = [a - rank if self.odds(0.3) else a for a in found]
        return [*found, found[0]] if found and self.wrong() else found

    # --- tensors ------------------------------------------------------------------------------

    def dyadics(self, shape: Shape) -> np.ndarray:
        """Small numbers of few digits: sums and products of them are exact floats."""
        size = int(np.prod(shape, dtype=int))
        values = [self.r.randint(-16, 16) / 8 for _ in range(size)]
        return np.array(values, dtype=np.float64).reshape(shape)

    def input(self, shape: Shape, kind: int = 0) -> str:
        """A graph input of floats."""
        name = self.name()
        dims: list[Any] = list(shape)
        if dims and dims[0] == 1 and self.odds(0.2):
            dims[0] = "N"
        self.inputs.append(helper.make_tensor_value_info(name, kind or self.kind, dims))
        return name

    def floats(self, shape: Shape, kind: int = 0, *, known: float = 0.5) -> str:
        """A float tensor: an input of the network, or (`known`) a constant."""
        if self.odds(known):
            return self.const(self.dyadics(shape), kind or self.kind)
        return self.input(shape, kind)

    def ints(self, values: Sequence[int], kind: int = INT64, shape: Shape | None = None) -> str:
        if self.wrong():
            kind = self.pick(INT32, INT64, FLOAT, BOOL)
        array = np.array(values, dtype=object)
        return self.const(array.reshape((len(values),) if shape is None else shape), kind)

    def const(self, values: Any, kind: int) -> str:
        """A constant tensor: stored, made by a node, or stored and declared as an input too."""
        name = self.name()
        tensor = self.tensor(np.asarray(values), kind, name)
        how = self.r.random()
        if how < 0.2:
            self.nodes.append(helper.make_node("Constant", [], [name], value=tensor))
        elif how < 0.26 and (short := _short(np.asarray(values), kind)):
            self.nodes.append(helper.make_node("Constant", [], [name], **short))
        else:
            self.stored.append(tensor)
            if self.odds(0.15):
                dims = list(tensor.dims)
                if self.wrong():
                    dims = [*dims, 1]
                declared = self.pick(FLOAT, INT64) if self.wrong() else kind
                self.inputs.append(helper.make_tensor_value_info(name, declared, dims))
        return name

    def tensor(self, values: np.ndarray, kind: int, name: str) -> TensorProto:
        """A TensorProto in raw bytes or in its typed field."""
        flat = values.ravel().tolist()
        out = TensorProto(name=name, data_type=kind, dims=values.shape)
        if self.odds(0.5):
            try:
                numbers = np.array(flat, dtype=NUMPY[kind])
            except OverflowError:
                numbers = np.zeros(len(flat), NUMPY[kind])
            out.raw_data = numbers.astype(numbers.dtype.newbyteorder("<")).tobytes()
        elif kind == HALF:
            out.int32_data.extend(np.array(flat, np.float16).view(np.uint16).tolist())
        else:
            try:
                getattr(out, FIELDS.get(kind, "int32_data")).extend(
                    flat if kind in (FLOAT, DOUBLE) else [int(v) for v in flat])
            except ValueError:
                out.int64_data.extend([0] * len(flat))
        if self.wrong():
            self.spoil(out)
        if self.odds(0.05):
            out.doc_string = "a tensor"
        return out

    def spoil(self, t: TensorProto) -> None:
        """One defect of a stored tensor."""
        match self.r.randrange(10):
            case 0 if t.raw_data:
                t.raw_data = t.raw_data[:-1]
            case 1 if t.raw_data:
                t.raw_data = t.raw_data + bytes(8)
            case 2 if t.raw_data:
                t.float_data.extend([0.5] * 2)
            case 3 if t.dims:
                t.dims[0] = self.pick(-1, 0, t.dims[0] + 1)
            case 4 if t.data_type == BOOL:
                t.ClearField("int32_data")
                t.raw_data = bytes([2] * max(1, int(np.prod(list(t.dims), dtype=int))))
            case 5 if t.int32_data:
                t.int32_data[0] = self.pick(2, 70000, -1)
            case 6 if t.raw_data and t.data_type in (FLOAT, DOUBLE):
                code = "<f" if t.data_type == FLOAT else "<d"
                number = struct.pack(code, float(self.pick("nan", "inf", "-inf")))
                t.raw_data = number + t.raw_data[len(number):]
            case 7 if t.float_data:
                t.float_data[0] = float(self.pick("nan", "inf", "-inf"))
            case 8:
                t.segment.begin = 0
                t.segment.end = 1
            case _:
                t.data_type = self.pick(0, 2, 5, FLOAT, INT32, INT64, BOOL, HALF, DOUBLE, 16, 8)

    # --- nodes and models ---------------------------------------------------------------------

    def name(self) -> str:
        self.count += 1
        return f"t{self.count}"

    def node(self, op: str, *inputs: str, outputs: int = 1, domain: str = "",
             **attributes: Any) -> Any:
        """Add a node (attributes that are None are left out); its output names, one or a list."""
        names = [self.name() for _ in range(outputs)]
        given = list(inputs)
        if self.odds(self.flaw / 2) and given:
            given = self.pick(given[:-1], [*given, given[0]], [*given, ""], ["", *given[1:]])
        made = helper.make_node(op, given, names, domain=domain or self.pick("", "", "ai.onnx"))
        for key, value in attributes.items():
            if value is not None:
                made.attribute.append(_attribute(key, value))
        if self.odds(self.flaw / 2):
            self.spoil_node(made)
        self.nodes.append(made)
        return names[0] if outputs == 1 else names

    def spoil_node(self, node: onnx.NodeProto) -> None:
        """One defect of a node's attributes."""
        match self.r.randrange(6):
            case 0:
                node.attribute.append(_attribute("axis", self.r.randint(-2, 2)))
            case 1:
                key = self.pick("consumed_inputs", "is_test", "allowzero", "saturate", "broadcast",
                                "training_mode", "noop_with_empty_axes", "num_outputs", "slope")
                node.attribute.append(_attribute(key, self.r.randint(0, 1)))
            case 2 if node.attribute:
                node.attribute.append(node.attribute[0])
            case 3 if node.attribute:
                key = node.attribute[0].name
                del node.attribute[0]
                node.attribute.append(_attribute(key, self.pick(1, 0.5, "text", [1], [0.5])))
            case 4 if node.attribute:
                node.attribute[0].ref_attr_name = "outer"
            case _:
                node.overload = "other"

    def model(self, outputs: Sequence[str], kinds: Sequence[int] | None = None) -> bytes:
        """The file. `kinds` are the declared types of the outputs, 0 for none."""
        kinds = [self.kind] * len(outputs) if kinds is None else kinds
        ends = []
        for name, kind in zip(outputs, kinds, strict=True):
            kind = self.pick(FLOAT, INT64, BOOL, DOUBLE) if self.wrong() else kind
            info = helper.make_tensor_value_info(name, kind, None)
            ends.append(info if kind else onnx.ValueInfoProto(name=name))
        graph = helper.make_graph(self.nodes, "g", self.inputs, ends, self.stored)
        domain = self.pick("", "", "ai.onnx")
        imports = [helper.make_opsetid(domain, self.opset)]
        if any(n.domain == "ai.onnx.ml" for n in self.nodes):
            imports.append(helper.make_opsetid("ai.onnx.ml", self.pick(1, 2, 3)))
        model = helper.make_model(graph, opset_imports=imports, ir_version=self.version())
        if self.odds(self.flaw / 2):
            self.spoil_model(model)
        if self.odds(0.1):
            model.metadata_props.add(key="k", value="v")
            model.doc_string, graph.doc_string = "a model", "a graph"
        return bytes(model.SerializeToString())

    def version(self) -> int:
        if self.odds(self.flaw / 4):
            return int(self.pick(0, 1, 2, 3, 99))
        least = {7: 3, 8: 3, 9: 4, 10: 5, 11: 6, 12: 7, 13: 7, 14: 7, 15: 8, 16: 8, 17: 8, 18: 8}
        return self.r.randint(max(4, least.get(self.opset, 9)), 11)

    def spoil_model(self, model: onnx.ModelProto) -> None:
        """One defect of the file as a whole."""
        graph = model.graph
        match self.r.randrange(10):
            case 0:
                model.opset_import.add(domain=self.pick("", "ai.onnx"), version=self.opset)
            case 1:
                del model.opset_import[:]
            case 2:
                model.opset_import[0].version = self.pick(6, 24, 99)
            case 3:
                model.training_info.add()
            case 4 if graph.node:
                op = graph.node[-1].op_type
                model.functions.append(helper.make_function(
                    "", op, ["a"], ["b"], [helper.make_node("Identity", ["a"], ["b"])],
                    [helper.make_opsetid("", self.opset)]))
            case 5 if graph.initializer:
                graph.initializer.append(graph.initializer[0])
            case 6 if graph.input:
                graph.input.append(graph.input[0])
            case 7 if len(graph.node) > 1:
                graph.node[-1].output[0] = graph.node[0].output[0]
            case 8:
                graph.output.append(graph.output[0])
            case _:
                sparse = graph.sparse_initializer.add()
                sparse.values.name = "sparse"


def _attribute(key: str, value: Any) -> onnx.AttributeProto:
    """make_attribute, but an empty list is a list of integers."""
    if isinstance(value, list) and not value:
        return helper.make_attribute(key, value, attr_type=onnx.AttributeProto.INTS)
    return helper.make_attribute(key, value)


def _short(values: np.ndarray, kind: int) -> dict[str, Any] | None:
    """The attribute of a Constant that has no TensorProto."""
    flat = values.ravel().tolist()
    if values.ndim > 1 or not flat or kind not in (FLOAT, INT64):
        return None
    numbers = [float(v) if kind == FLOAT else int(v) for v in flat]
    if kind == INT64 and any(abs(v) >= 2**63 for v in numbers):
        return None
    name = "value_float" if kind == FLOAT else "value_int"
    return {name + "s": numbers} if values.ndim else {name: numbers[0]}
