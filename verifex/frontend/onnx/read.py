"""ONNX files to graphs: bytes are limited, parsed and handed to the importer, never trusted.

Nothing here runs the standard's own checker or its shape inference: both crash on hostile files.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from verifex.errors import InputError
from verifex.frontend.foreign import folder_error, foreign_content, unreadable
from verifex.frontend.limits import Limits
from verifex.frontend.onnx.files import read_limited, too_big, unzipped
from verifex.frontend.onnx.importer import Importer
from verifex.frontend.onnx.structure import check_name
from verifex.frontend.onnx.tensors import TensorReader
from verifex.ir.graph import Graph
from verifex.source import SiblingFiles, Source


def network_source(
    path: str | os.PathLike[str], *, limits: Limits | None = None,
    outputs: Sequence[str] | None = None,
) -> Source[Graph]:
    """The ONNX file at a path, read once; its parsed form is the network (see `load`)."""
    limits = limits or Limits()
    place = Path(path)
    if place.is_dir():
        raise folder_error(place.name)
    data = read_limited(place, limits.max_bytes, place.name, "the model")

    def parse(data: bytes) -> Graph:
        plain = unzipped(data, limits.max_bytes, place.name, "the model")
        return _load(plain, place.name, limits, siblings, outputs)

    siblings = SiblingFiles(place.parent, max(0, limits.max_bytes - len(data)))
    return Source(place, place.name, data, parse, siblings)


def load(
    path: str | os.PathLike[str] | Source[Any], *, limits: Limits | None = None,
    outputs: Sequence[str] | None = None,
) -> Graph:
    """The network in an ONNX file (`.onnx`, or `.onnx.gz`), or in one that was read already.

    Inputs are the file's inputs with their shapes, a leading dimension that the file leaves open
    being 1. Outputs are the file's, of which those that are no floats are left out with a note, or
    the tensors named in `outputs`; what they do not depend on is not read. External data is read
    from plain files in the model's own folder, and from nowhere else.

    Raises InputError (one line, naming the node or tensor) for anything malformed, UnsupportedError
    for what verifex cannot represent.
    """
    limits = limits or Limits()
    source = path if isinstance(path, Source) else network_source(path, limits=limits)
    data = unzipped(source.data, limits.max_bytes, source.name, "the model")
    return _load(data, source.name, limits, source.siblings, outputs)


def output_names(source: Source[Any], *, limits: Limits | None = None) -> list[str]:
    """The names of all outputs of an ONNX file that was read, in order, whatever their types."""
    limits = limits or Limits()
    try:
        data = unzipped(source.data, limits.max_bytes, source.name, "the model")
        model = _parse(data, source.name)
        names = [o.name for o in model.graph.output]
        check_name(*names)
    except InputError as error:
        raise error.at(file=source.name) from None
    return names


def load_bytes(
    data: bytes, name: str, limits: Limits | None = None, *,
    outputs: Sequence[str] | None = None,
) -> Graph:
    """The network in the bytes of an ONNX file; `name` stands for the file in messages."""
    limits = limits or Limits()
    if len(data) > limits.max_bytes:
        raise too_big("the model", limits.max_bytes, name)
    return _load(data, name, limits, None, outputs)


def _load(
    data: bytes, name: str, limits: Limits, siblings: SiblingFiles | None,
    outputs: Sequence[str] | None,
) -> Graph:
    try:
        model = _parse(data, name)
        reader = Importer(model, limits, TensorReader(limits, siblings))
        graph = reader.run(outputs)
    except InputError as error:
        raise error.at(file=name) from None
    # Of some of a file's outputs, or with data from other files, the bytes are another network.
    apart = siblings is not None and siblings.contents
    return graph if outputs is not None or apart else replace(graph, onnx=data)


def _parse(data: bytes, name: str) -> Any:
    import onnx

    foreign = foreign_content(data, name)
    if foreign is not None:
        raise foreign
    model = onnx.ModelProto()
    # Every build of protobuf has its own DecodeError; parsing runs no code of ours that could
    # raise anything else.
    try:
        model.ParseFromString(data)
    except Exception:
        raise unreadable(name) from None
    if not model.HasField("graph"):
        raise unreadable(name)
    return model
