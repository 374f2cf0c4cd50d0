"""300 malformed ONNX files: each refused with one line, quickly, never with another exception."""

from __future__ import annotations

import sys
import tracemalloc
from collections.abc import Callable, Iterator

import numpy as np
import onnx
import pytest
from onnx import AttributeProto, TensorProto, helper, numpy_helper

from verifex.errors import EXIT_INPUT, InputError
from verifex.frontend import load_bytes
from verifex.semantics.evaluate import evaluate_float

WANTED = 300
Corruption = Callable[[onnx.ModelProto, np.random.Generator], None]


def base_model() -> onnx.ModelProto:
    """A small convolutional network with most kinds of nodes, attributes and constants."""
    rng = np.random.default_rng(5)
    nodes = [
        helper.make_node("Conv", ["x", "k", "kb"], ["c"], pads=[1, 1, 1, 1], name="conv"),
        helper.make_node("BatchNormalization", ["c", "s", "o", "m", "v"], ["n"], name="norm"),
        helper.make_node("Relu", ["n"], ["r"], name="relu"),
        helper.make_node("MaxPool", ["r"], ["p"], kernel_shape=[2, 2], strides=[2, 2], name="pool"),
        helper.make_node("Reshape", ["p", "flat"], ["f"], name="reshape"),
        helper.make_node("Gemm", ["f", "w", "b"], ["g"], transB=1, name="gemm"),
        helper.make_node("Clip", ["g", "lo", "hi"], ["h"], name="clip"),
        helper.make_node("Add", ["h", "t"], ["y"], name="add"),
    ]
    arrays = {
        "k": rng.uniform(-1, 1, (2, 1, 3, 3)), "kb": rng.uniform(-1, 1, 2),
        "s": rng.uniform(0.5, 1, 2), "o": rng.uniform(-1, 1, 2), "m": rng.uniform(-1, 1, 2),
        "v": rng.uniform(0.5, 1, 2), "w": rng.uniform(-1, 1, (3, 8)), "b": rng.uniform(-1, 1, 3),
        "lo": np.array(-1.0), "hi": np.array(2.0), "t": rng.uniform(-1, 1, (1, 3)),
    }
    stored = [numpy_helper.from_array(np.asarray(a, np.float32), n) for n, a in arrays.items()]
    stored.append(numpy_helper.from_array(np.array([1, 8]), "flat"))
    graph = helper.make_graph(
        nodes, "base", [helper.make_tensor_value_info("x", 1, [1, 1, 4, 4])],
        [helper.make_tensor_value_info("y", 1, [1, 3])], stored)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def pick(rng: np.random.Generator, items: object) -> object:
    return items[int(rng.integers(len(items)))]


# --- structured corruptions: each of them always makes the model malformed ----------------------


def drop_initialiser(m: onnx.ModelProto, rng: np.random.Generator) -> None:
    del m.graph.initializer[int(rng.integers(len(m.graph.initializer)))]


def drop_node(m: onnx.ModelProto, rng: np.random.Generator) -> None:
    del m.graph.node[int(rng.integers(len(m.graph.node)))]


def make_cycle(m: onnx.ModelProto, rng: np.random.Generator) -> None:
    first, last = sorted(rng.choice(len(m.graph.node), 2, replace=False).tolist())
    m.graph.node[first].input[0] = m.graph.node[last].output[0]


def self_loop(m: onnx.ModelProto, rng: np.random.Generator) -> None:
    node = pick(rng, m.graph.node)
    node.input[0] = node.output[0]


def unknown_op(m: onnx.ModelProto, rng: np.random.Generator) -> None:
    names = ["Relu6", "", "Conv\n2d", "R" * 500, "é\u2028"]
    pick(rng, m.graph.node).op_type = str(pick(rng, names))


def unknown_domain(m: onnx.ModelProto, rng: np.random.Generator) -> None:
    pick(rng, m.graph.node).domain = str(pick(rng, ["com.microsoft", "a\nb", "ai.onnx.ml"]))


def unknown_attribute(m: onnx.ModelProto, rng: np.random.Generator) -> None:
    value = pick(rng, [1, 0.5, "text", [1, 2], [0.5]])
    pick(rng, m.graph.node).attribute.append(helper.make_attribute("surprise\n", value))


def wrong_attribute_type(m: onnx.ModelProto, rng: np.random.Generator) -> None:
    attributes = [a for n in m.graph.node for a in n.attribute]
    pick(rng, attributes).type = int(pick(rng, [0, 1, 3, 4, 5, 6, 11, 13]))


def repeated_attribute(m: onnx.ModelProto, rng: np.random.Generator) -> None:
    node = pick(rng, [n for n in m.graph.node if n.attribute])
    node.attribute.append(node.attribute[0])


def wrong_dims(m: onnx.ModelProto, rng: np.random.Generator) -> None:
    t = pick(rng, m.graph.initializer)
    t.dims.append(int(rng.integers(2, 5)))


def huge_dims(m: onnx.ModelProto, rng: np.random.Generator) -> None:
    t = pick(rng, m.graph.initializer)
    del t.dims[:]
    t.dims.extend([int(pick(rng, [2**31, 2**40, 2**62])), int(rng.integers(1, 2**30))])


def many_dims(m: onnx.ModelProto, rng: np.random.Generator) -> None:
    t = pick(rng, m.graph.initializer)
    t.dims.extend([1] * int(rng.integers(17, 2000)))


def negative_dims(m: onnx.ModelProto, rng: np.random.Generator) -> None:
    t = pick(rng, [t for t in m.graph.initializer if t.dims])
    t.dims[0] = -int(rng.integers(1, 2**40))


def raw_size(m: onnx.ModelProto, rng: np.random.Generator) -> None:
    t = pick(rng, m.graph.initializer)
    cut = int(rng.integers(1, len(t.raw_data) + 1))
    t.raw_data = t.raw_data[:-cut] if rng.integers(2) else t.raw_data + bytes(cut)


def not_a_number(m: onnx.ModelProto, rng: np.random.Generator) -> None:
    t = pick(rng, [t for t in m.graph.initializer if t.data_type == 1])
    array = np.frombuffer(t.raw_data, np.float32).copy()
    array[int(rng.integers(array.size))] = pick(rng, [np.nan, np.inf, -np.inf])
    t.raw_data = array.tobytes()


def two_storages(m: onnx.ModelProto, rng: np.random.Generator) -> None:
    pick(rng, m.graph.initializer).float_data.append(1.0)


def wrong_dtype(m: onnx.ModelProto, rng: np.random.Generator) -> None:
    pick(rng, m.graph.initializer).data_type = int(pick(rng, [0, 2, 8, 9, 14, 15, 17, 23, 99]))


def weights_as_integers(m: onnx.ModelProto, rng: np.random.Generator) -> None:
    t = pick(rng, [t for t in m.graph.initializer if t.data_type == 1])
    t.data_type = TensorProto.INT32


def duplicate_initialiser(m: onnx.ModelProto, rng: np.random.Generator) -> None:
    m.graph.initializer.append(pick(rng, m.graph.initializer))


def duplicate_output(m: onnx.ModelProto, rng: np.random.Generator) -> None:
    first, second = rng.choice(len(m.graph.node), 2, replace=False).tolist()
    m.graph.node[first].output[0] = m.graph.node[second].output[0]


def output_twice(m: onnx.ModelProto, rng: np.random.Generator) -> None:
    m.graph.output.append(m.graph.output[0])


def input_twice(m: onnx.ModelProto, rng: np.random.Generator) -> None:
    m.graph.input.append(m.graph.input[0])


def input_made_by_node(m: onnx.ModelProto, rng: np.random.Generator) -> None:
    m.graph.node[int(rng.integers(1, 8))].output[0] = "x"


def no_output(m: onnx.ModelProto, rng: np.random.Generator) -> None:
    if rng.integers(2):
        del m.graph.output[:]
    else:
        m.graph.output[0].name = str(pick(rng, ["", "nowhere", "a\nb\r\n"]))


def external_data(m: onnx.ModelProto, rng: np.random.Generator) -> None:
    t = pick(rng, m.graph.initializer)
    if rng.integers(2):
        t.ClearField("raw_data")
    t.data_location = TensorProto.EXTERNAL
    t.external_data.add(key="location", value=str(pick(rng, ["/etc/passwd", "../w", "w.bin"])))


def sparse_initialiser(m: onnx.ModelProto, rng: np.random.Generator) -> None:
    sparse = m.graph.sparse_initializer.add()
    sparse.values.CopyFrom(pick(rng, m.graph.initializer))


def subgraph(m: onnx.ModelProto, rng: np.random.Generator) -> None:
    """A node with a graph in it, nested up to a depth that recursion would not survive."""
    node = pick(rng, m.graph.node)
    inner = helper.make_graph([], "inner", [], [])
    for _ in range(int(rng.integers(1, 20))):
        wrapper = helper.make_node(str(pick(rng, ["If", "Loop", "Scan"])), ["x"], ["z"])
        wrapper.attribute.append(helper.make_attribute("body", inner))
        inner = helper.make_graph([wrapper], "inner", [], [])
    if rng.integers(2):
        node.op_type = "If"
    attribute = AttributeProto(name="then_branch", type=AttributeProto.GRAPH)
    attribute.g.CopyFrom(inner)
    node.attribute.append(attribute)


def bad_opset(m: onnx.ModelProto, rng: np.random.Generator) -> None:
    m.opset_import[0].version = int(pick(rng, [-1, 0, 6, 24, 2**40]))


def opset_twice(m: onnx.ModelProto, rng: np.random.Generator) -> None:
    """Once in one version is as good as twice; two versions contradict each other."""
    m.opset_import.append(m.opset_import[0])
    m.opset_import[-1].version -= 1


def no_opset(m: onnx.ModelProto, rng: np.random.Generator) -> None:
    del m.opset_import[:]


def bad_input_type(m: onnx.ModelProto, rng: np.random.Generator) -> None:
    m.graph.input[0].type.tensor_type.elem_type = int(pick(rng, [0, 2, 6, 7, 8, 9, 14, 77]))


def bad_input_shape(m: onnx.ModelProto, rng: np.random.Generator) -> None:
    shape = m.graph.input[0].type.tensor_type.shape
    k = int(rng.integers(1, 4))
    shape.dim[k].dim_value = int(pick(rng, [-1, 0, 7, 2**33, 2**62]))


def no_input_shape(m: onnx.ModelProto, rng: np.random.Generator) -> None:
    if rng.integers(2):
        m.graph.input[0].type.tensor_type.ClearField("shape")
    else:
        m.graph.input[0].ClearField("type")


def sequence_input(m: onnx.ModelProto, rng: np.random.Generator) -> None:
    kind = m.graph.input[0].type
    kind.ClearField("tensor_type")
    kind.sequence_type.elem_type.tensor_type.elem_type = 1


def missing_input(m: onnx.ModelProto, rng: np.random.Generator) -> None:
    node = pick(rng, m.graph.node)
    node.input[int(rng.integers(len(node.input)))] = str(pick(rng, ["gone", "\u202e\n", "w" * 999]))


def too_many_inputs(m: onnx.ModelProto, rng: np.random.Generator) -> None:
    pick(rng, m.graph.node).input.extend(["x"] * int(rng.integers(6, 40)))


def no_inputs(m: onnx.ModelProto, rng: np.random.Generator) -> None:
    del pick(rng, m.graph.node).input[:]


def huge_attribute(m: onnx.ModelProto, rng: np.random.Generator) -> None:
    """Pads, strides, kernels and groups that would ask for memory or time without end."""
    attribute = pick(rng, [a for n in m.graph.node for a in n.attribute if a.type == 7])
    huge = int(pick(rng, [2**31, 2**40, 2**62, -1, -(2**40)]))
    attribute.ints[int(rng.integers(len(attribute.ints)))] = huge


def huge_pads(m: onnx.ModelProto, rng: np.random.Generator) -> None:
    m.graph.node[0].attribute[0].ints[0] = int(pick(rng, [10**5, 10**7, 10**9]))


def huge_reshape(m: onnx.ModelProto, rng: np.random.Generator) -> None:
    flat = next(t for t in m.graph.initializer if t.name == "flat")
    values = pick(rng, [[2**40, 2**40], [-1, -1], [-5, 8], [0, 7], [1, 9], [2**62, 4], [-(2**63), 1]
                        ])
    flat.raw_data = np.array(values, np.int64).tobytes()


def expansion(m: onnx.ModelProto, rng: np.random.Generator) -> None:
    """A node that asks for a tensor of any size it likes."""
    sizes = pick(rng, [[2**20, 2**20], [2**62], [-7], [2**31] * 4])
    shape = numpy_helper.from_array(np.array(sizes), "size")
    m.graph.initializer.append(shape)
    op = str(pick(rng, ["Expand", "Tile", "ConstantOfShape", "Reshape"]))
    inputs = ["size"] if op == "ConstantOfShape" else ["y0", "size"]
    m.graph.node[-1].output[0] = "y0"
    m.graph.node.append(helper.make_node(op, inputs, ["y"], name="grow"))


def negative_variance(m: onnx.ModelProto, rng: np.random.Generator) -> None:
    v = next(t for t in m.graph.initializer if t.name == "v")
    v.raw_data = np.array([-1.0, 1.0], np.float32).tobytes()


def crossed_clip(m: onnx.ModelProto, rng: np.random.Generator) -> None:
    lo = next(t for t in m.graph.initializer if t.name == "lo")
    lo.raw_data = np.array(5.0, np.float32).tobytes()


def zero_group(m: onnx.ModelProto, rng: np.random.Generator) -> None:
    m.graph.node[0].attribute.append(
        helper.make_attribute("group", int(pick(rng, [0, -1, 2, 2**40]))))


CORRUPTIONS: tuple[Corruption, ...] = (
    drop_initialiser, drop_node, make_cycle, self_loop, unknown_op, unknown_domain,
    unknown_attribute, wrong_attribute_type, repeated_attribute, wrong_dims, huge_dims, many_dims,
    negative_dims, raw_size, not_a_number, two_storages, wrong_dtype, weights_as_integers,
    duplicate_initialiser, duplicate_output, output_twice, input_twice, input_made_by_node,
    no_output, external_data, sparse_initialiser, subgraph, bad_opset, opset_twice, no_opset,
    bad_input_type, bad_input_shape, no_input_shape, sequence_input, missing_input,
    too_many_inputs, no_inputs, huge_attribute, huge_pads, huge_reshape, expansion,
    negative_variance, crossed_clip, zero_group,
)


def structured() -> Iterator[tuple[str, bytes]]:
    """Four variants of every structured corruption."""
    base = base_model()
    for k, corrupt in enumerate(CORRUPTIONS):
        for variant in range(4):
            model = onnx.ModelProto()
            model.CopyFrom(base)
            corrupt(model, np.random.default_rng([k, variant]))
            yield f"{corrupt.__name__}-{variant}", model.SerializeToString()


def flipped() -> Iterator[tuple[str, bytes]]:
    """Random byte flips and truncations, without end; some of them still are models."""
    data = base_model().SerializeToString()
    rng = np.random.default_rng(2024)
    while True:
        if rng.integers(3) == 0:
            cut = int(rng.integers(len(data)))
            yield f"cut-{cut}", data[:cut]
        else:
            broken = bytearray(data)
            count = int(rng.integers(1, 6))
            for place in rng.integers(len(data), size=count):
                broken[place] ^= 1 << int(rng.integers(8))
            yield f"flip-{count}", bytes(broken)


MOST_CALLS = 50_000
"""Calls of functions while a file is read; the base model takes some seven thousand."""


class Calls:
    """Counts calls of functions, Python's and C's: what a time limit would be about, on any
    machine."""

    count = 0

    def __enter__(self) -> None:
        sys.setprofile(self._note)

    def __exit__(self, *_: object) -> None:
        sys.setprofile(None)

    def _note(self, frame: object, event: str, argument: object) -> None:
        self.count += event in ("call", "c_call")


def refused(name: str, data: bytes) -> bool:
    """Load; check that a refusal is one line after few steps, and what loads can be evaluated."""
    refusal = None
    calls = Calls()
    try:
        with calls:
            graph = load_bytes(data, "bad.onnx")
    except InputError as error:
        refusal = error
    assert calls.count < MOST_CALLS, name
    if refusal is not None:
        text = str(refusal)
        assert "\n" not in text, name
        assert text.startswith("bad.onnx:"), name
        assert 10 < len(text) < 1000, name
        assert refusal.exit_code == EXIT_INPUT
        return True
    outputs = list(graph.outputs.values())
    with np.errstate(all="ignore"):
        values = evaluate_float(graph, np.zeros((1, graph.input_size)), outputs)
    assert set(values) == set(outputs), name
    return False


def test_the_base_model_is_fine() -> None:
    assert not refused("base", base_model().SerializeToString())


@pytest.mark.parametrize(("name", "data"), [pytest.param(n, d, id=n) for n, d in structured()])
def test_structured_corruptions_are_refused(name: str, data: bytes) -> None:
    assert refused(name, data)


HUGE = (huge_dims, huge_attribute, huge_pads, huge_reshape, expansion, bad_input_shape)


@pytest.mark.parametrize("corrupt", HUGE)
def test_no_memory_is_taken_before_a_limit_is_checked(corrupt: Corruption) -> None:
    load_bytes(base_model().SerializeToString(), "base.onnx")  # imports are not what is measured
    for variant in range(4, 10):
        model = base_model()
        corrupt(model, np.random.default_rng(variant))
        data = model.SerializeToString()
        tracemalloc.start()
        assert refused(corrupt.__name__, data)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 100 * 2**20


def test_flipped_and_cut_files_are_refused_or_load() -> None:
    left = WANTED - 4 * len(CORRUPTIONS)
    assert left > 100
    loaded = 0
    for name, data in flipped():
        if refused(name, data):
            left -= 1
        else:
            loaded += 1
        if left == 0:
            break
    assert loaded < 3 * WANTED  # flips in weights and names do no harm; most others do
