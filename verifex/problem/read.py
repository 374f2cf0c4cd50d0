"""A problem with the files that it was read from; queries of VNN-LIB need nothing of spec files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from verifex.ir.problem import Problem
from verifex.problem.vnnlib.read import load_stated, query_source
from verifex.source import QuestionFiles


@dataclass(frozen=True, eq=False)
class ReadProblem:
    """A problem and the files that it was read from, each once (None: from memory)."""

    problem: Problem
    files: QuestionFiles | None


def read_query(path: str | Path, network_path: str | Path | None) -> ReadProblem:
    """The problem of a VNN-LIB query, with its files. The checker reads those of version 1.0."""
    from verifex.frontend.onnx.read import network_source

    query = query_source(path)
    network = None if network_path is None else network_source(network_path)
    stated = load_stated(query, network)
    if network is None:
        return ReadProblem(stated.problem, None)
    return ReadProblem(stated.problem, QuestionFiles(network, query, checkable=stated.version == 1))
