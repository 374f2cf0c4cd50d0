"""ONNX files run by onnxruntime: what a user of the deployed network gets for an input.

Nothing here decides anything; it tells whether a counterexample shows in the deployed network too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from verifex.errors import InputError, MissingSolverError
from verifex.frontend.limits import Limits
from verifex.frontend.onnx.files import read_limited, unzipped
from verifex.frontend.onnx.tensors import EXTERNAL, TensorReader
from verifex.ir.exact import FloatArray
from verifex.ir.graph import Graph
from verifex.ir.ops import Input
from verifex.semantics.evaluate import split_input
from verifex.source import SiblingFiles, Source

_KINDS: Mapping[str, type] = {
    "tensor(float)": np.float32, "tensor(double)": np.float64, "tensor(float16)": np.float16,
    "tensor(int64)": np.int64, "tensor(int32)": np.int32,
}


def available() -> bool:
    """Whether onnxruntime is installed."""
    return find_spec("onnxruntime") is not None


def session(data: bytes) -> Any:
    """A silent onnxruntime session over the bytes of an ONNX file, on one thread of the CPU.

    Raises what onnxruntime raises.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    # Its warnings would mix with what the command line writes to stderr.
    options.log_severity_level = 4
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])


def runner(data: bytes, graph: Graph, outputs: Sequence[str]
           ) -> Callable[[FloatArray], list[NDArray[Any]]]:
    """A function from one flat input (1, n) to these outputs of a float32 file made of a graph.

    Raises what onnxruntime raises, as does the function.
    """
    opened = session(data)

    def run(points: FloatArray) -> list[NDArray[Any]]:
        feed = {}
        for i, value in split_input(graph, points.astype(np.float32)).items():
            op = graph.nodes[i].op
            if isinstance(op, Input):
                feed[op.name] = value[0]
        return [np.asarray(v) for v in opened.run(list(outputs), feed)]

    return run


class Runtime:
    """A session over a file (`.onnx`, `.onnx.gz`), with the tensors `hidden` as outputs as well.

    Raises MissingSolverError without onnxruntime, InputError for a file that it does not run.
    """

    def __init__(self, path: str | Path | Source[Any], hidden: Sequence[str] = ()) -> None:
        if not available():
            raise MissingSolverError("onnxruntime is not installed: nothing can be replayed in it")
        most = Limits().max_bytes
        if isinstance(path, Source):
            name, data, siblings = path.name, path.data, path.siblings
        else:
            name, siblings = Path(path).name, SiblingFiles(Path(path).parent, most)
            data = read_limited(path, most, name, "the model")
        data = _in_one(unzipped(data, most, name, "the model"), siblings)
        try:
            self.session: Any = session(_as_tensors(data, hidden))
        except Exception as error:  # onnxruntime's errors have no common base of their own
            raise InputError(f"onnxruntime refuses the file ({type(error).__name__})",
                             expected="a model that it runs", file=name) from None
        self.inputs = list(self.session.get_inputs())
        self.outputs = [o.name for o in self.session.get_outputs()]

    def run(self, values: Sequence[NDArray[Any]]) -> list[NDArray[Any]]:
        """The outputs for flat inputs, one array an input of the file, each cast to its type."""
        feed: dict[str, NDArray[Any]] = {}
        for given, flat in zip(self.inputs, values, strict=True):
            shape = [d if isinstance(d, int) and d > 0 else 1 for d in given.shape]
            kind = _KINDS.get(given.type)
            if kind is None:
                raise InputError(f"an input of type {given.type}", expected="floats")
            feed[given.name] = np.asarray(flat, dtype=kind).reshape(shape)
        return [np.asarray(v) for v in self.session.run(self.outputs, feed)]


def _in_one(data: bytes, siblings: SiblingFiles | None) -> bytes:
    """The same model with all its tensors in itself: of bytes, onnxruntime knows no folder."""
    import onnx

    model = onnx.ModelProto()
    model.ParseFromString(data)
    outside = [t for t in model.graph.initializer if t.data_location == EXTERNAL]
    if not outside:
        return data
    reader = TensorReader(Limits(), siblings)
    for tensor in outside:
        reader.take_in(tensor)
    return bytes(model.SerializeToString())


def _as_tensors(data: bytes, hidden: Sequence[str]) -> bytes:
    """The same model with more of its tensors as outputs, and without ZipMap, which turns a tensor
    of probabilities into a list of dictionaries."""
    import onnx

    model = onnx.ModelProto()
    model.ParseFromString(data)
    known = {o.name for o in model.graph.output}
    zipped = {n.output[0]: n for n in model.graph.node if n.op_type == "ZipMap" and n.output}
    if not zipped and known.issuperset(hidden):
        return data
    for name, node in zipped.items():
        node.CopyFrom(onnx.helper.make_node("Identity", list(node.input), [name]))
    for output in model.graph.output:
        if output.name in zipped:
            output.CopyFrom(onnx.ValueInfoProto(name=output.name))
    model.graph.output.extend(onnx.ValueInfoProto(name=h) for h in hidden if h not in known)
    return bytes(model.SerializeToString())
