"""The text form of arrays, linear maps and graphs (see `verifex.ir.text.document`)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from verifex.errors import InputError
from verifex.ir.exact import ExactArray, Values
from verifex.ir.graph import HEADS, Builder, Graph, Head
from verifex.ir.linmap import Conv, Dense, Diag, Gather, LinearMap, Scaled, ScatterAdd, Shape
from verifex.ir.ops import (
    Affine,
    Concat,
    Const,
    Gate,
    Input,
    Mul,
    Op,
    Relu,
    Step,
    TreeLeaves,
    Univariate,
)
from verifex.ir.text.checked import (
    fields,
    read_bool,
    read_float,
    read_fraction,
    read_int,
    read_ints,
    read_list,
    read_shape,
    read_text,
    show,
    wrong,
)
from verifex.ir.text.forest_text import forest_from_json, forest_to_json

MAX_DEPTH = 100
"""Linear maps nested deeper than this are refused when reading."""

Json = dict[str, Any]

_PLAIN: dict[str, Op] = {"relu": Relu(), "step": Step(), "gate": Gate(), "mul": Mul()}


# --- numbers --------------------------------------------------------------------------------


def _int_text(number: int) -> str:
    """Decimal where Python reads it back, hexadecimal beyond its digit limit."""
    return str(number) if number.bit_length() < 10_000 else hex(number)


def int_to_json(number: int) -> int | str:
    return int(number) if abs(number) < 1 << 53 else _int_text(number)


def fraction_to_json(value: Fraction) -> str:
    top = _int_text(value.numerator)
    return top if value.denominator == 1 else f"{top}/{_int_text(value.denominator)}"


def _values_to_json(values: Values) -> Json:
    shape = list(values.shape)
    if isinstance(values, ExactArray):
        num = [int_to_json(int(n)) for n in values.num.ravel()]
        return {"shape": shape, "num": num, "den": int_to_json(values.den)}
    array = np.asarray(values, dtype=np.float64)
    if not np.isfinite(array).all():
        raise InputError("a constant is NaN or infinite", expected="finite numbers", key="graph")
    return {"shape": shape, "float": array.ravel().tolist()}


def _values_from_json(data: Any, where: str) -> Values:
    shape_, floats, num_, den_ = fields(data, where, "shape", "float num den")
    shape = read_shape(shape_, where)
    if floats is not None and num_ is None and den_ is None:
        flat = [read_float(v, where) for v in read_list(floats, where)]
        return _filled(flat, shape, where, np.float64)
    if floats is not None or num_ is None or den_ is None:
        raise InputError("no such array", expected="either 'float' or 'num' and 'den'", key=where)
    den = read_int(den_, where)
    if den <= 0:
        raise wrong(den_, "a positive denominator", where)
    return ExactArray(_filled(list(read_ints(num_, where)), shape, where, object), den)


def _filled(flat: list[Any], shape: Shape, where: str, dtype: Any) -> NDArray[Any]:
    if len(flat) != math.prod(shape):
        raise InputError(
            f"{len(flat)} elements for shape {list(shape)}", expected=f"{math.prod(shape)}",
            key=where,
        )
    array = np.empty(len(flat), dtype=dtype)
    array[:] = flat
    return array.reshape(shape)


def _dense_array(data: Any, where: str) -> NDArray[np.float64]:
    values = _values_from_json(data, where)
    if isinstance(values, ExactArray):
        raise InputError("an exact array", expected="floats", key=where)
    return values


def _index_to_json(index: NDArray[np.int64]) -> Json:
    return {"shape": list(index.shape), "int": index.ravel().tolist()}


def _index_from_json(data: Any, bound: int, where: str) -> NDArray[np.int64]:
    shape_, flat_ = fields(data, where, "shape int")
    flat = list(read_ints(flat_, where))
    # -1 picks nothing (a 0), or drops an element.
    if any(not -1 <= i < bound for i in flat):
        raise InputError("an index is out of range", expected=f"-1..{bound - 1}", key=where)
    return _filled(flat, read_shape(shape_, where), where, np.int64)


# --- linear maps ----------------------------------------------------------------------------


def _map_to_json(linear_map: LinearMap) -> Json:
    head = {
        "map": type(linear_map).__name__.lower(),
        "in": list(linear_map.in_shape),
        "out": list(linear_map.out_shape),
    }
    match linear_map:
        case Dense():
            return {**head, "weight": _values_to_json(linear_map.weight)}
        case Conv():
            return {
                **head,
                "weight": _values_to_json(linear_map.weight),
                "strides": list(linear_map.strides),
                "pads": [list(p) for p in linear_map.pads],
                "dilations": list(linear_map.dilations),
                "groups": linear_map.groups,
                "transposed": linear_map.transposed,
            }
        case Gather() | ScatterAdd():
            return {**head, "index": _index_to_json(linear_map.index)}
        case Diag():
            return {**head, "scale": _values_to_json(linear_map.scale)}
        case Scaled():
            return {
                **head,
                "inner": _map_to_json(linear_map.inner),
                "factor": fraction_to_json(linear_map.factor),
            }


def _map_from_json(data: Any, where: str, depth: int = 0) -> LinearMap:
    if not isinstance(data, dict) or depth > MAX_DEPTH:
        raise wrong(data, "a linear map", where)
    head, name = "map in out ", data.get("map")
    inside, outside = read_shape(data.get("in"), where), read_shape(data.get("out"), where)
    m: LinearMap
    match name:
        case "dense":
            *_, weight = fields(data, where, head + "weight")
            m = Dense(inside, outside, _dense_array(weight, where))
            _same(m.weight.shape, (math.prod(outside), math.prod(inside)), where)
        case "conv":
            m = _conv_from_json(data, head, inside, outside, where)
        case "gather":
            *_, index = fields(data, where, head + "index")
            m = Gather(inside, outside, _index_from_json(index, math.prod(inside), where))
            _same(m.index.shape, outside, where)
        case "scatteradd":
            *_, index = fields(data, where, head + "index")
            m = ScatterAdd(inside, outside, _index_from_json(index, math.prod(outside), where))
            _same(m.index.shape, inside, where)
        case "diag":
            *_, scale = fields(data, where, head + "scale")
            m = Diag(inside, outside, _values_from_json(scale, where))
            _same(m.scale.shape, inside, where)
            _same(outside, inside, where)
        case "scaled":
            *_, inner, factor = fields(data, where, head + "inner factor")
            scaled = _map_from_json(inner, where, depth + 1)
            m = Scaled(inside, outside, scaled, read_fraction(factor, where))
            _same(m.inner.in_shape, inside, where)
            _same(m.inner.out_shape, outside, where)
        case _:
            raise InputError(
                f"unknown map {show(name)}", key=where,
                expected="one of dense, conv, gather, scatteradd, diag, scaled",
            )
    return m


def _same(found: Shape, wanted: Shape, where: str) -> None:
    if tuple(found) != tuple(wanted):
        raise InputError(f"shape {list(found)}", expected=str(list(wanted)), key=where)


def _conv_from_json(data: Json, head: str, inside: Shape, outside: Shape, where: str) -> Conv:
    *_, weight_, strides_, pads_, dilations_, groups_, transposed_ = fields(
        data, where, head + "weight strides pads dilations groups transposed"
    )
    weight, strides = _dense_array(weight_, where), read_ints(strides_, where)
    pads = [read_ints(p, where) for p in read_list(pads_, where)]
    dilations, groups = read_ints(dilations_, where), read_int(groups_, where)
    m = Conv(
        inside, outside, weight, strides, tuple((p[0], p[-1]) for p in pads if p), dilations,
        groups, read_bool(transposed_, where),
    )
    # Shapes of too few axes are padded: their dimensions disagree below, with a message.
    (n, chans, *space), (n_out, outs, *out_space) = (
        (*s, 0, 0)[: max(2, len(s))] for s in m.forward_shapes
    )
    dims = len(weight.shape) - 2
    counts = {dims, len(strides), len(dilations), len(m.pads), len(space), len(out_space)}
    if len(counts) != 1 or any(len(p) != 2 for p in pads):
        raise InputError("the convolution's dimensions disagree", expected="one each", key=where)
    if groups < 1 or min((*strides, *dilations), default=1) < 1 or outs % groups:
        raise InputError("groups, strides or dilations do not fit", expected=">= 1", key=where)
    _same((n_out, *weight.shape[:2]), (n, outs, chans // groups), where)
    for k, (size, (a, b)) in enumerate(zip(space, m.pads, strict=True)):
        reach = size + a + b - dilations[k] * (weight.shape[2 + k] - 1) - 1
        if reach < 0 or out_space[k] != reach // strides[k] + 1 or min(a, b) < 0:
            raise InputError("the output size does not fit", expected="the window's", key=where)
    return m


# --- graphs ---------------------------------------------------------------------------------


def _op_to_json(op: Op) -> Json:
    name = type(op).__name__.lower()
    match op:
        case Input():
            return {"op": name, "name": op.name, "shape": list(op.shape)}
        case Const():
            return {"op": name, "value": _values_to_json(op.value)}
        case Affine():
            bias = {} if op.bias is None else {"bias": _values_to_json(op.bias)}
            return {"op": name, "maps": [_map_to_json(m) for m in op.maps], **bias}
        case Concat():
            return {"op": name, "axis": op.axis}
        case Univariate():
            return {"op": name, "name": op.name}
        case TreeLeaves():
            return {"op": name, "forest": forest_to_json(op.forest)}
        case _:
            return {"op": name}


def _op_from_json(data: Json, where: str) -> Op:
    head = "op args "
    match data.get("op"):
        case "input":
            *_, name, shape = fields(data, where, head + "name shape")
            return Input(read_text(name, where), read_shape(shape, where))
        case "const":
            *_, value = fields(data, where, head + "value")
            return Const(_values_from_json(value, where))
        case "affine":
            *_, maps, bias = fields(data, where, head + "maps", "bias")
            made = tuple(_map_from_json(m, where) for m in read_list(maps, where))
            return Affine(made, None if bias is None else _values_from_json(bias, where))
        case "concat":
            *_, axis = fields(data, where, head + "axis")
            return Concat(read_int(axis, where))
        case "univariate":
            *_, name = fields(data, where, head + "name")
            return Univariate(read_text(name, where))
        case "treeleaves":
            *_, forest = fields(data, where, head + "forest")
            return TreeLeaves(forest_from_json(forest, where))
        case str(name) if name in _PLAIN:
            fields(data, where, head)
            return _PLAIN[name]
        case name:
            raise InputError(f"unknown op {show(name)}", expected="a core op", key=where)


def graph_to_json(graph: Graph) -> Json:
    """The graph as JSON data. Shapes are not written: reading derives them again."""
    return {
        "nodes": [{**_op_to_json(n.op), "args": list(n.args)} for n in graph.nodes],
        "inputs": list(graph.inputs),
        "outputs": dict(sorted(graph.outputs.items())),
        "labels": [[i, label] for i, label in sorted(graph.labels.items())],
        "notes": list(graph.notes),
        **({"heads": {name: [head.kind, head.logits] for name, head in sorted(graph.heads.items())}}
           if graph.heads else {}),
        **({"whole_inputs": [[i, *ends] for i, ends in sorted(graph.whole_inputs.items())]}
           if graph.whole_inputs else {}),
    }


def graph_from_json(data: Any) -> Graph:
    """The inverse of `graph_to_json`; raises InputError on anything malformed.

    Nodes keep their positions. A graph that the `Builder` would not have made (equal nodes twice,
    an affine step of constants) is refused, because formulas name nodes by position.
    """
    nodes, inputs_, outputs_, labels, notes, heads, whole = fields(
        data, "graph", "nodes inputs outputs labels notes", "heads whole_inputs"
    )
    builder = Builder()
    for i, node in enumerate(read_list(nodes, "graph.nodes")):
        where = f"graph.nodes[{i}]"
        if not isinstance(node, dict):
            raise wrong(node, "an object", where)
        args = read_ints(node.get("args"), where)
        if any(not 0 <= a < i for a in args):
            raise wrong(node.get("args"), "earlier nodes", where)
        # The builder merges equal nodes and folds constants: later positions would shift unnoticed.
        if builder.add(_op_from_json(node, where), *args) != i:
            raise InputError("the node is not in its simplest form", key=where,
                             expected="a new node, not one that equals or folds into another")
    graph = builder.build({"": 0})
    inputs = read_ints(inputs_, "graph.inputs")
    if sorted(inputs) != list(graph.inputs):
        raise wrong(inputs_, f"the input nodes {list(graph.inputs)}", "graph.inputs")
    if not isinstance(outputs_, dict):
        raise wrong(outputs_, "an object", "graph.outputs")
    outputs = {str(k): node_from_json(v, graph, "graph.outputs") for k, v in outputs_.items()}
    named = [read_list(entry, "graph.labels") for entry in read_list(labels, "graph.labels")]
    if any(len(entry) != 2 for entry in named):
        raise InputError("a label is malformed", expected="[node, text]", key="graph.labels")
    return Graph(
        graph.nodes, inputs, outputs,
        {node_from_json(i, graph, "graph.labels"): read_text(t, "graph.labels") for i, t in named},
        tuple(read_text(t, "graph.notes") for t in read_list(notes, "graph.notes")),
        _heads_from_json({} if heads is None else heads, graph, outputs),
        _whole_from_json([] if whole is None else whole, graph.input_size),
    )


def _whole_from_json(data: Any, size: int) -> dict[int, tuple[int, int]]:
    """Elements of the flat input that are whole numbers, each as `[element, least, greatest]`."""
    where, found = "graph.whole_inputs", dict[int, tuple[int, int]]()
    for entry in read_list(data, where):
        numbers = read_ints(entry, where)
        if len(numbers) != 3 or not 0 <= numbers[0] < size or numbers[0] in found:
            raise wrong(entry, "an element of the input, once, and its ends", where)
        found[numbers[0]] = numbers[1], numbers[2]
    return found


def _heads_from_json(
    data: Any, graph: Graph, outputs: Mapping[str, int]
) -> dict[str, Head]:
    """Which outputs are heads, each as `[kind, node of its logits]`."""
    where = "graph.heads"
    if not isinstance(data, dict):
        raise wrong(data, "an object", where)
    heads = {}
    for name, entry in data.items():
        kind, logits = _pair(entry, where)
        if kind not in HEADS:
            raise wrong(kind, f"one of {', '.join(HEADS)}", where)
        node = node_from_json(logits, graph, where)
        if name not in outputs or graph.nodes[outputs[name]].size != graph.nodes[node].size:
            raise InputError("a head of no output, or of another size", key=where,
                             expected="an output's name, and logits of as many elements")
        heads[name] = Head(kind, node)
    return heads


def _pair(data: Any, where: str) -> tuple[Any, Any]:
    """The two entries of a list of two."""
    entry = read_list(data, where)
    if len(entry) != 2:
        raise wrong(data, "a list of two", where)
    return entry[0], entry[1]


def node_from_json(value: Any, graph: Graph, where: str) -> int:
    i = read_int(value, where)
    if not 0 <= i < len(graph.nodes):
        raise wrong(value, f"a node 0..{len(graph.nodes) - 1}", where)
    return i
