"""What a VNN-LIB query states: a problem, and where its variables are in the problem's graph."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from verifex.ir.graph import Graph
from verifex.ir.problem import Problem
from verifex.source import Source

AnyNetwork: TypeAlias = str | Path | Graph | Source[Graph]
"""A network in memory, or its file, which may be read already."""


@dataclass(frozen=True)
class StatedVariable:
    """A declared tensor: `kind` is "input", "hidden" or "output", `node` holds its elements."""

    name: str
    element: str
    kind: str
    shape: tuple[int, ...]
    node: int


@dataclass(frozen=True)
class StatedNetwork:
    """A declared network: its file and the names of its variables.

    `hidden` pairs the variable of each hidden tensor with the tensor's name in the file.
    """

    name: str
    source: str | Path | Source[Graph]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    hidden: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Stated:
    """A query's problem, its variables in the order of declaration, its version's first number.

    A query of version 1 has X for every input of the network and Y for every output, flat.
    `networks` are those that come from files: none where a graph was given. `cut` says that inputs
    without bounds were cut off: only a counterexample is an answer then.
    """

    problem: Problem
    variables: tuple[StatedVariable, ...]
    networks: tuple[StatedNetwork, ...]
    version: int
    cut: bool = False
