"""Networks as functions: copies of a network, or of a part of it, on other inputs.

A part goes from given nodes to given nodes: in the copy, each of the former is replaced by a node
that is there already, and whatever depends on them is computed anew from it. Hash consing makes
equal parts one: what is copied twice on the same inputs is there once, and so is all that does not
depend on what was replaced.

    graft    a whole graph into a builder
    merged   several networks, by name
    part     a part of a graph into a builder
    copied   a part of what a builder holds already
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

from verifex.errors import InputError, UnsupportedError
from verifex.ir.graph import Builder, Graph, NamedNetwork, Node
from verifex.ir.ops import Input


def graft(
    builder: Builder, graph: Graph, inputs: Sequence[int], label: str = ""
) -> Mapping[int, int]:
    """Copy a graph's nodes; `inputs` are nodes of the builder that stand for its inputs, in order.

    Returns the new position of every node. `label` goes before the labels of the copies. Raises
    InputError where the shapes of the inputs do not fit.
    """
    if len(inputs) != len(graph.inputs):
        raise InputError(f"{len(inputs)} inputs", expected=f"{len(graph.inputs)}")
    if graph.whole_inputs:
        raise UnsupportedError("a network that takes whole numbers beside another, or in a query "
                               "of VNN-LIB 2.0", expected="a spec about it alone")
    at = dict(zip(graph.inputs, inputs, strict=True))
    place = part(builder, graph, at, range(len(graph.nodes)), label)
    builder.notes += graph.notes
    return place


def merged(
    builder: Builder, networks: Mapping[str, tuple[Graph, Sequence[int]]]
) -> tuple[NamedNetwork, ...]:
    """Several networks in one builder: of each its graph, and the nodes that are its inputs.

    The inputs are nodes of the builder, the same for some networks or different ones. Labels of a
    network's nodes begin with its name. Raises InputError that names the network whose inputs do
    not fit.
    """
    out = []
    for name, (graph, inputs) in networks.items():
        try:
            place = graft(builder, graph, inputs, f"{name}.")
        except InputError as error:
            raise error.at(key=f"network {name}") from None
        outputs = {output: place[i] for output, i in graph.outputs.items()}
        heads = {output: replace(head, logits=place[head.logits])
                 for output, head in graph.heads.items()}
        out.append(NamedNetwork(name, tuple(inputs), outputs, heads))
    return tuple(out)


def part(
    builder: Builder, graph: Graph, at: Mapping[int, int], targets: Iterable[int], label: str = ""
) -> Mapping[int, int]:
    """Copy the nodes of a graph that lie between the keys of `at` and `targets`.

    `at` says which nodes of the builder stand for nodes of the graph; what lies behind these is
    not copied. Returns the new position of every node that was copied or stood for. Raises
    InputError where shapes do not fit, or where the targets need an input that `at` lacks.
    """
    place = _started(builder, graph.nodes.__getitem__, at)
    for i in graph.ancestors(targets, stop=at):
        node = graph.nodes[i]
        if i in place:
            continue
        if isinstance(node.op, Input):
            raise InputError(f"nothing stands for input '{node.op.name}'",
                             expected="a node for every input that is needed")
        place[i] = builder.add(node.op, *(place[a] for a in node.args))
        if i in graph.labels and place[i] not in builder.labels:
            builder.labels[place[i]] = label + graph.labels[i]
    return place


def copied(builder: Builder, targets: Sequence[int], at: Mapping[int, int]) -> list[int]:
    """The nodes `targets` of a builder as they would be if the keys of `at` were its values.

    All are nodes of the builder. What the targets need and does not depend on a key of `at` is
    shared with the original. Raises InputError where shapes do not fit.
    """
    place = _started(builder, builder.node, at)
    for i in builder.ancestors(targets, stop=at):
        if i in place:
            continue
        node = builder.node(i)
        # Nothing behind it was replaced: the node itself serves, and its label stays.
        args = [place[a] for a in node.args]
        place[i] = i if args == list(node.args) else builder.add(node.op, *args)
    return [place[t] for t in targets]


def _started(
    builder: Builder, node: Callable[[int], Node], at: Mapping[int, int]
) -> dict[int, int]:
    """`at`, once every node is known to have the shape of the one that it stands for."""
    for theirs, mine in at.items():
        if builder.shape(mine) != node(theirs).shape:
            raise InputError(f"an input of shape {list(builder.shape(mine))}",
                             expected=f"{list(node(theirs).shape)}")
    return dict(at)
