"""Names, declared types and pruning: the parts of reading an ONNX graph that keep no state."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from verifex.errors import InputError, UnsupportedError
from verifex.frontend.limits import Limits
from verifex.ir.graph import Builder, Graph, Node
from verifex.ir.linmap import Shape, is_zero
from verifex.ir.ops import Affine, Const, Op


class NoSuchOutput(InputError):
    """No tensor of the file has the name of an output that was asked for."""


def operator_sets(model: Any, known: range) -> dict[str, int]:
    """The versions of the operator sets that a file imports, by domain.

    Raises UnsupportedError for a file whose standard operators are of no known version, or that
    has more to it than a graph.
    """
    if not 3 <= model.ir_version <= 14:
        raise UnsupportedError(f"IR version {model.ir_version}", expected="3 to 14",
                               key="ir_version")
    # Both could change what the graph computes, and nothing here reads them.
    if len(model.training_info) or len(model.configuration):
        raise UnsupportedError("training information or device configurations",
                               expected="a plain model", key="model")
    versions: dict[str, int] = {}
    for entry in model.opset_import:
        check_name(entry.domain)
        domain, version = standard(entry.domain), int(entry.version)
        # Of two versions onnxruntime takes the last, others the first.
        if versions.setdefault(domain, version) != version:
            raise InputError(
                f"operator set '{printable(domain) or 'ai.onnx'}' is imported in the versions "
                f"{versions[domain]} and {version}", expected="one version", key="opset_import")
    if versions.get("") not in known:
        raise UnsupportedError(f"operator set {versions.get('', 'missing')}",
                               expected=f"{known[0]} to {known[-1]}", key="opset_import")
    return versions


def standard(domain: str) -> str:
    """A domain of operators by its one name: "" for the standard's own, which has two."""
    return "" if domain == "ai.onnx" else domain


def output_types(graph: Any) -> dict[str, int]:
    """The element type that each output of a file is declared with: `UNDEFINED` where none is, and
    for the sequences of ZipMap, which are read as the tensor that they are made of."""
    return {o.name: int(o.type.tensor_type.elem_type) for o in graph.output}


def listed(names: Sequence[str]) -> str:
    """Outputs to choose from, for a message."""
    return f"one of {', '.join(map(printable, names[:8]))}, or another tensor of the file"


def tensor_type(value: Any) -> tuple[int, list[int | None] | None]:
    """Element type and dimensions (None where open) of a declared value."""
    if not value.type.HasField("tensor_type"):
        kind = (value.type.WhichOneof("value") or "no type").removesuffix("_type")
        raise UnsupportedError(f"a value of the type {kind.replace('_', ' ')}",
                               key=printable(value.name), expected="a tensor of floats")
    kind = value.type.tensor_type
    if not kind.HasField("shape"):
        return int(kind.elem_type), None
    dims: list[int | None] = [
        int(d.dim_value) if d.HasField("dim_value") else None for d in kind.shape.dim
    ]
    return int(kind.elem_type), dims


def input_shape(dims: list[int | None] | None, limits: Limits) -> Shape:
    """The shape of an input; an open leading dimension is a batch of one."""
    if dims is None:
        raise InputError("an input without a shape", expected="a shape")
    if len(dims) > limits.max_rank:
        raise InputError(f"{len(dims)} dimensions", expected=f"at most {limits.max_rank}")
    fixed = []
    for k, d in enumerate(dims):
        if k == 0 and (d is None or d <= 0):
            d = 1
        # An open dimension could be any size; only the first is a batch, and a batch of one will
        # do.
        if d is None or d <= 0:
            raise InputError(f"dimension {k} is {'empty' if d == 0 else 'open'}",
                             expected="fixed dimensions after the first")
        fixed.append(d)
    return limits.shape(fixed)


def prune(builder: Builder, outputs: Mapping[str, int]) -> Graph:
    """The graph without what no output needs; inputs stay.

    What an affine step multiplies by zeros is not needed: nothing that reads the graph is to bound
    it, to split on it or to have a name for it.
    """
    full = builder.build(outputs)
    wanted = [*outputs.values(), *(head.logits for head in full.heads.values())]
    # Inputs stay even where no output reads them: specs and witnesses count them.
    needed = sorted({*full.ancestors(wanted, zeros=False), *full.inputs})
    small, place = Builder(), dict[int, int]()
    for i in needed:
        op, args = _without_zeros(full.nodes[i])
        place[i] = small.add(op, *(place[a] for a in args))
        if i in full.labels:
            small.labels.setdefault(place[i], full.labels[i])
    small.notes, small.whole_inputs = list(full.notes), dict(full.whole_inputs)
    small.heads = {n: replace(head, logits=place[head.logits]) for n, head in full.heads.items()}
    return small.build({name: place[i] for name, i in outputs.items()})


def _without_zeros(node: Node) -> tuple[Op, tuple[int, ...]]:
    """A node's operation and arguments, without those that an affine step multiplies by zeros."""
    if not isinstance(node.op, Affine):
        return node.op, node.args
    pairs = zip(node.op.maps, node.args, strict=True)
    kept = [(m, a) for m, a in pairs if not is_zero(m)]
    if not kept:
        return Const(np.zeros(node.shape) if node.op.bias is None else node.op.bias), ()
    maps, args = zip(*kept, strict=True)
    return Affine(maps, node.op.bias), args


def keyed(error: InputError, key: str) -> InputError:
    return type(error)(error.what, expected=error.expected, key=error.key or key, file=error.file)


def naming(error: InputError, op: str) -> InputError:
    """The same error, with the operator's name in it."""
    what = error.what if op in error.what else f"{op}: {error.what}"
    return type(error)(what, expected=error.expected, key=error.key, file=error.file)


def node_key(node: Any, index: int) -> str:
    """A node as messages name it: its name, else its first output, else its place."""
    return printable(node.name or next((n for n in node.output if n), "") or f"node {index}")


def check_name(*names: Any) -> None:
    """protobuf hands strings that are no UTF-8 over as bytes."""
    for name in names:
        if not isinstance(name, str):
            raise InputError(f"a name that is no UTF-8 ({bytes(name)[:40]!r})",
                             expected="text")


def printable(name: str) -> str:
    """A name from the file, fit to print: one line, not too long."""
    clean = "".join(ch if ch.isprintable() else "?" for ch in name)
    return clean if len(clean) <= 120 else clean[:117] + "..."
