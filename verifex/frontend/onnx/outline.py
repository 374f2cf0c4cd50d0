"""What an ONNX file says about itself beside the network: names of outputs, names of classes.

Nothing here is trusted to mean anything: it fills in a draft of a spec, which a person reads.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from verifex.frontend.foreign import foreign_content, unreadable
from verifex.frontend.limits import Limits
from verifex.frontend.onnx.files import unzipped
from verifex.source import Source

_LABELS = ("classlabels_strings", "classlabels_int64s", "classlabels_ints")


@dataclass(frozen=True)
class Outline:
    """The outputs of a file in order, and what its nodes call the classes (in the order of the
    scores; empty where they do not say)."""

    outputs: tuple[str, ...]
    class_names: tuple[str, ...]


def outline(source: Source[Any], limits: Limits | None = None) -> Outline:
    """The outline of an ONNX file; InputError where it is none."""
    import onnx

    limits = limits or Limits()
    data = unzipped(source.data, limits.max_bytes, source.name, "the model")
    foreign = foreign_content(data, source.name)
    if foreign is not None:
        raise foreign.at(file=source.name)
    model = onnx.ModelProto()
    try:
        model.ParseFromString(data)
    except Exception:  # every build of protobuf has its own DecodeError
        raise unreadable(source.name).at(file=source.name) from None
    names = tuple(str(o.name) for o in model.graph.output)
    return Outline(names, next(_class_names(model.graph), ()))


def _class_names(graph: Any) -> Iterator[tuple[str, ...]]:
    """What classifiers and ZipMap nodes call the classes, and what a label is picked from."""
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.name in _LABELS and (len(attribute.strings) or len(attribute.ints)):
                texts = [s.decode("utf-8", "replace") for s in attribute.strings]
                yield tuple(texts or [str(k) for k in attribute.ints])
    yield from _picked_labels(graph)


def _picked_labels(graph: Any) -> Iterator[tuple[str, ...]]:
    """The constant that a label is picked from by its place, as skl2onnx writes label outputs."""
    import onnx

    stored = {t.name: t for t in graph.initializer}
    for node in graph.node:
        if node.op_type == "ArrayFeatureExtractor" and node.input[0] in stored:
            try:
                values = onnx.numpy_helper.to_array(stored[node.input[0]]).ravel().tolist()
            except (ValueError, TypeError):
                continue
            yield tuple(v.decode("utf-8", "replace") if isinstance(v, bytes) else str(v)
                        for v in values)
