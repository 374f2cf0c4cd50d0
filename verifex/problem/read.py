"""A problem with the files that it was read from; queries of VNN-LIB need nothing of spec files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from verifex.ir.graph import Graph
from verifex.ir.problem import Problem
from verifex.problem.vnnlib.read import load_stated, query_source
from verifex.source import QuestionFiles, Source

if TYPE_CHECKING:
    from verifex.problem.spec.model import Spec


@dataclass(frozen=True, eq=False)
class Given:
    """A network and a spec of which at least one was given in memory, so that no file says what is
    asked; `certificate/written.py` writes files that do.

    `data` holds the data files that the spec names, by the names that it has for them.
    """

    network: Graph | Source[Graph]
    spec: Spec | Source[Any]
    data: Mapping[str, Source[bytes]] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class ReadProblem:
    """A problem and the files that it was read from, each once; None where it was `given` in
    memory, at least in part."""

    problem: Problem
    files: QuestionFiles | None
    given: Given | None = None


def read_query(path: str | Path, network_path: str | Path | None) -> ReadProblem:
    """The problem of a VNN-LIB query, with its files. The checker reads those of version 1.0."""
    from verifex.frontend.onnx.read import network_source

    query = query_source(path)
    network = None if network_path is None else network_source(network_path)
    stated = load_stated(query, network)
    if network is None:
        return ReadProblem(stated.problem, None)
    return ReadProblem(stated.problem, QuestionFiles(network, query, checkable=stated.version == 1))
