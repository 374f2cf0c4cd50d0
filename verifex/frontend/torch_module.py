"""torch modules to graphs, by way of ONNX in memory: one reader for everything."""

from __future__ import annotations

import io
import warnings
from typing import Any

from verifex.errors import InputError, UnsupportedError, UsageError
from verifex.frontend.limits import Limits
from verifex.frontend.onnx.read import load_bytes
from verifex.frontend.torch_values import value_reader
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

    names = ["input"] if len(example) == 1 else [f"input_{i}" for i in range(len(example))]
    # Sound: an export keeps what Python made of a value as a constant, and one branch of an `if`.
    reader = value_reader(module, example)
    if reader is not None:
        raise UnsupportedError(
            f"{type(module).__name__}: its Python code depends on values of the input (by "
            f"{reader}), so that its trace holds for the example alone",
            expected="torch.where or the like, not if, float() or .item() of a tensor")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # both exporters warn about themselves
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
    return bytes(buffer.getvalue())
