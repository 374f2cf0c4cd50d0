"""What an attribution is: a graph-to-graph transform with a name, a source and a promise."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from verifex.ir.fields import Fields
from verifex.ir.graph import Builder

Build: TypeAlias = Callable[[Builder, int, Sequence[int], Any], list[int]]
"""(builder, output, inputs, options) -> one node per input, of that input's shape.

`output` is a node of one element, the functional that is explained; `inputs` are nodes.
"""


class NoOptions(Fields):
    """An attribution without options."""


@dataclass(frozen=True)
class Attribution:
    """`kind` is "exact" (the nodes are the attribution) or "bounded" (they enclose it)."""

    name: str
    build: Build
    source: str
    kind: str = "exact"
    aliases: tuple[str, ...] = ()
    options: type[Fields] = NoOptions
