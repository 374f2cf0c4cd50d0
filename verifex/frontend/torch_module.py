"""torch modules to graphs, by way of ONNX in memory: one reader for everything."""

from __future__ import annotations

import io
import logging
import warnings
from typing import Any

from verifex.errors import InputError, UnsupportedError, UsageError
from verifex.frontend.limits import Limits
from verifex.frontend.onnx.read import load_bytes
from verifex.ir.graph import Graph


def from_torch(
    module: Any, example_input: Any, *, dynamo: bool = False, opset: int = 17,
    limits: Limits | None = None,
) -> Graph:
    """The graph of a `torch.nn.Module` in inference mode, for inputs shaped like the example.

    `example_input` is a tensor (or numpy array), or a tuple of them for several inputs; its batch
    axis, if any, becomes a fixed axis of the graph. `dynamo` chooses torch's newer exporter, which
    needs the package onnxscript. The weights are those of the export, at their exact values.
    Raises UsageError where torch cannot export the module, UnsupportedError for one whose Python
    code reads values of the input (`if x.sum() > 0`): its trace holds for the example alone.
    """
    import torch

    parts = example_input if isinstance(example_input, tuple) else (example_input,)
    example = tuple(torch.as_tensor(p) for p in parts)
    modes = [(m, m.training) for m in module.modules()]
    module.eval()
    try:
        data = _export(module, example, dynamo, opset)
    except InputError:
        raise
    except Exception as error:  # the exporters raise whatever their passes happen to raise
        first = str(error).strip().splitlines() or [type(error).__name__]
        raise UsageError(f"torch cannot export {type(module).__name__}: {first[0]}") from error
    finally:
        for m, training in modes:
            m.training = training
    return load_bytes(data, type(module).__name__, limits)


def _export(module: Any, example: tuple[Any, ...], dynamo: bool, opset: int) -> bytes:
    import torch
    from torch.jit._trace import TracerWarning

    names = ["input"] if len(example) == 1 else [f"input_{i}" for i in range(len(example))]
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("ignore")  # both exporters warn about themselves
        warnings.simplefilter("always", TracerWarning)
        if dynamo:
            program = torch.onnx.export(
                module, example, dynamo=True, verbose=False, input_names=names,
                opset_version=max(opset, 18),
            )
            if program is None:
                raise UsageError("torch's exporter returned nothing")
            return bytes(program.model_proto.SerializeToString())
        buffer: Any = io.BytesIO()
        torch.onnx.export(
            module, example, buffer, dynamo=False, input_names=names, opset_version=opset,
        )
    # Sound: a trace keeps what Python made of a value as a constant, and the tracer says so.
    warned = any(issubclass(one.category, TracerWarning) for one in told)
    if warned and _reads_values(module, example):
        raise UnsupportedError(
            f"{type(module).__name__}: its Python code depends on values of the input, so that "
            "its trace holds for the example alone", expected="torch.where or the like, not if, "
            "float() or .item() of a tensor")
    return bytes(buffer.getvalue())


def _reads_values(module: Any, example: tuple[Any, ...]) -> bool:
    """Whether Python reads values of the inputs while the module runs, and not just shapes.

    torch.export runs it on tensors without values: it fails at a branch, and notes every number
    that is read as an `item`.
    """
    import torch

    before = logging.root.manager.disable
    logging.disable(logging.WARNING)  # it prints what it cannot do
    try:
        program = torch.export.export(module, example)
    except Exception:  # whatever it is that has no value
        return True
    finally:
        logging.disable(before)
    inputs = set(program.graph_signature.user_inputs)
    reached: set[str] = set()
    for node in program.graph.nodes:
        if node.name in inputs or any(one.name in reached for one in node.all_input_nodes):
            reached.add(node.name)
            if str(node.target).startswith(("aten.item", "aten._local_scalar_dense")):
                return True
    return False
