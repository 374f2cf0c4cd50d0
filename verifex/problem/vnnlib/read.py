"""VNN-LIB files of either version: what a file is, its text, and the problem that it states."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

from verifex.errors import InputError, UnsupportedError, UsageError
from verifex.frontend.onnx.files import read_limited, unzipped
from verifex.frontend.onnx.structure import printable
from verifex.ir.graph import Graph
from verifex.ir.problem import Problem
from verifex.problem.vnnlib.stated import AnyNetwork, Stated, StatedNetwork, StatedVariable
from verifex.source import Source

Networks: TypeAlias = AnyNetwork | Mapping[str, AnyNetwork]
QueryFile: TypeAlias = str | Path | Source[str]

MAX_BYTES = 1 << 28
_NAME = re.compile(r"\.vnnlib(\.gz)?\Z")
_VERSION = re.compile(r"\s*(?:;[^\r\n]*[\r\n]\s*)*\(\s*vnnlib-version\b")


def is_vnnlib(path: str | Path) -> bool:
    """Whether a file is a VNN-LIB query by its name (the checker's rule)."""
    return _NAME.search(str(path)) is not None


def title(path: str | Path) -> str:
    """What a query is called: the file's name without its ending."""
    return _NAME.sub("", Path(path).name)


def query_source(path: str | Path) -> Source[str]:
    """The query file at a path, read once; its parsed form is its text, unzipped if need be."""
    file = str(path)

    def parse(data: bytes) -> str:
        try:
            return unzipped(data, MAX_BYTES, file, "the query").decode()
        except UnicodeDecodeError:
            raise InputError("not a text", expected="UTF-8", file=file) from None

    return Source(Path(path), file, read_limited(path, MAX_BYTES, file, "the query"), parse)


def read_text(query: QueryFile) -> str:
    """The text of a query file; raises InputError."""
    return (query if isinstance(query, Source) else query_source(query)).parsed


def is_version_2(text: str) -> bool:
    """Whether the text begins with a version: 1.0 has none."""
    return _VERSION.match(text) is not None


def load_query(path: QueryFile, network: Networks | None) -> Problem:
    """The problem that a query states about the network in an ONNX file, or a graph.

    Raises InputError (`FILE:LINE: what, expected what`) for a file that is wrong, UnsupportedError
    for what is outside what is supported (docs/vnnlib.md).
    """
    return load_stated(path, network).problem


def load_stated(
    query: QueryFile, network: Networks | None, *, as_real: bool = False, cut: bool = False
) -> Stated:
    """The problem of a query and where its variables are.

    `network` is a file (read already or not), a graph, or a mapping from network names to those
    (VNN-LIB 2.0). With `as_real` floating point element types of VNN-LIB 2.0 are read as `real`.
    With `cut` inputs may lack bounds in VNN-LIB 2.0: they are cut off, and `Stated.cut` says so.
    """
    if network is None:
        raise InputError("a VNN-LIB query names no network",
                         expected="the network, before the query", file=query_name(query))
    text, path = read_text(query), query_name(query)
    if is_version_2(text):
        # Imported late: version 1.0 does without the package that reads 2.0.
        from verifex.problem.vnnlib.version_2 import state

        return state(text, path, network, title(path), as_real, cut)
    return _state_1(text, path, network)


def _require_every_output(graph: Graph, file: str | Path | Source[Any], query: str) -> None:
    """UnsupportedError where the graph lacks an output of its file, for that is no float.

    Sound: Y counts all outputs of the file, from the first, so that nothing is left out before it.
    """
    from verifex.frontend.onnx.read import network_source, output_names

    source = file if isinstance(file, Source) else network_source(file)
    for name in output_names(source):
        if name not in graph.outputs:
            raise UnsupportedError(
                f"Y counts the outputs of the network, and its output '{printable(name)}' is not "
                "of floats", file=query, expected="a query of version 2.0, or a spec with "
                f"network_output = \"{printable(next(iter(graph.outputs)))}\"")


def query_name(query: QueryFile) -> str:
    """What stands for a query in messages."""
    return query.name if isinstance(query, Source) else str(query)


def _state_1(text: str, path: str, network: Networks) -> Stated:
    from verifex import frontend
    from verifex.problem.vnnlib.version_1 import parse_query

    if isinstance(network, Mapping):
        if len(network) != 1:
            raise UsageError(f"{len(network)} networks for a VNN-LIB 1.0 query, expected one")
        network = next(iter(network.values()))
    graph = network if isinstance(network, Graph) else frontend.load(network)
    if not isinstance(network, Graph):
        _require_every_output(graph, network, path)
    problem = parse_query(text, graph, path, title(path))
    variables = [
        StatedVariable(f"{side}{k or ''}", "real", kind, (graph.nodes[n].size,), n)
        for side, kind, found in (("X", "input", graph.inputs),
                                  ("Y", "output", graph.outputs.values()))
        for k, n in enumerate(found)
    ]
    names = {kind: tuple(v.name for v in variables if v.kind == kind)
             for kind in ("input", "output")}
    nets = () if isinstance(network, Graph) else (
        StatedNetwork("network", network, names["input"], names["output"]),
    )
    return Stated(problem, tuple(variables), nets, 1)
