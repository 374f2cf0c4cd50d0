"""Putting a graph into a builder that may hold others: copies of its nodes on given inputs.

Hash consing makes equal parts one: a network grafted twice on the same inputs is there once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from verifex.errors import InputError
from verifex.ir.graph import Builder, Graph


def graft(
    builder: Builder, graph: Graph, inputs: Sequence[int], label: str = ""
) -> Mapping[int, int]:
    """Copy a graph's nodes; `inputs` are nodes of the builder that stand for its inputs, in order.

    Returns the new position of every node. `label` goes before the labels of the copies. Raises
    InputError where the shapes of the inputs do not fit.
    """
    if len(inputs) != len(graph.inputs):
        raise InputError(f"{len(inputs)} inputs", expected=f"{len(graph.inputs)}")
    place: dict[int, int] = {}
    for mine, theirs in zip(inputs, graph.inputs, strict=True):
        if builder.shape(mine) != graph.nodes[theirs].shape:
            raise InputError(f"an input of shape {list(builder.shape(mine))}",
                             expected=f"{list(graph.nodes[theirs].shape)}")
        place[theirs] = mine
    for i, node in enumerate(graph.nodes):
        if i not in place:
            place[i] = builder.add(node.op, *(place[a] for a in node.args))
            if i in graph.labels and place[i] not in builder.labels:
                builder.labels[place[i]] = label + graph.labels[i]
    builder.notes += graph.notes
    return place
