"""Graphs as networkx graphs: what they are made of, and drawings as DOT or GraphML text."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from verifex.ir.exact import ExactArray
from verifex.ir.graph import Graph, Node
from verifex.ir.linmap import Conv, Dense, Diag, Gather, LinearMap, Scaled, ScatterAdd
from verifex.ir.ops import Affine, Concat, Const, Input, TreeLeaves, Univariate

if TYPE_CHECKING:
    import networkx

_COLOURS = {
    "Input": "#cfe8cf", "Const": "#eeeeee", "Affine": "#d6e4f5", "Relu": "#f8e1b8",
    "Step": "#f3c9c9", "Gate": "#f3c9c9", "Mul": "#e5d3ef",
}


def to_networkx(graph: Graph, open_gates: Mapping[int, int] | None = None) -> networkx.DiGraph[int]:
    """Nodes by position with what a drawing shows, edges from argument to node.

    Node attributes: `op`, `shape`, `label`, `parameters`, `outputs` (names, joined by commas), and
    `open` (elements that may lie on either side of a kink) where `open_gates` has them.
    """
    import networkx as nx

    names: dict[int, list[str]] = {}
    for name, i in graph.outputs.items():
        names.setdefault(i, []).append(name)
    drawn: networkx.DiGraph[int] = nx.DiGraph()
    for i, node in enumerate(graph.nodes):
        data: dict[str, Any] = {
            "op": op_text(node), "shape": shape_text(node.shape), "parameters": parameters(node),
            "label": graph.labels.get(i, ""), "outputs": ", ".join(names.get(i, ())),
            "kind": type(node.op).__name__,
        }
        if open_gates is not None and i in open_gates:
            data["open"] = open_gates[i]
        drawn.add_node(i, **data)
        drawn.add_edges_from((a, i) for a in node.args)
    return drawn


def statistics(graph: Graph) -> dict[str, int]:
    """Counts that describe a graph: nodes, parameters, gates, depth, unused nodes, parts."""
    import networkx as nx

    drawn = to_networkx(graph)
    used: set[int] = set()
    for i in graph.outputs.values():
        used |= {i, *nx.ancestors(drawn, i)}
    # A part is a set of nodes tied to one another once the shared inputs are taken away.
    inner = drawn.subgraph([i for i in used if not isinstance(graph.nodes[i].op, Input)])
    kinds = [(i, d["kind"]) for i, d in drawn.nodes(data=True)]
    return {
        "nodes": drawn.number_of_nodes(),
        "edges": drawn.number_of_edges(),
        "depth": nx.dag_longest_path_length(drawn) if kinds else 0,
        "parameters": sum(d["parameters"] for _, d in drawn.nodes(data=True)),
        "inputs": graph.input_size,
        "relus": sum(graph.nodes[i].size for i, k in kinds if k == "Relu"),
        "gates": sum(graph.nodes[i].size for i, k in kinds if k == "Step"),
        "products": sum(graph.nodes[i].size for i, k in kinds if k == "Mul"),
        "unused": drawn.number_of_nodes() - len(used),
        "parts": nx.number_weakly_connected_components(inner) if len(inner) else 0,
    }


def to_dot(graph: Graph, open_gates: Mapping[int, int] | None = None) -> str:
    """The graph in Graphviz' DOT language; nodes of one depth stand side by side."""
    import networkx as nx

    drawn = to_networkx(graph, open_gates)
    lines = ["digraph verifex {", "  rankdir=TB;", '  node [shape=box, style="filled,rounded"];']
    for i, data in drawn.nodes(data=True):
        parts = [f"{i}: {data['op']}", data["shape"], data["label"]]
        if "open" in data:
            parts.append(f"{data['open']} open")
        if data["outputs"]:
            parts.append(f"-> {data['outputs']}")
        fill = _COLOURS.get(data["kind"], "#ffffff")
        bold = ", penwidth=2" if data["outputs"] else ""
        lines.append(f'  n{i} [label={_quoted(parts)}, fillcolor="{fill}"{bold}];')
    # Ranks by depth: Graphviz would pull a node down to its reader.
    for layer in nx.topological_generations(drawn):
        if len(layer) > 1:
            lines.append("  { rank=same; " + " ".join(f"n{i};" for i in sorted(layer)) + " }")
    lines += [f"  n{a} -> n{b};" for a, b in drawn.edges()]
    return "\n".join([*lines, "}"]) + "\n"


def to_graphml(graph: Graph, open_gates: Mapping[int, int] | None = None) -> str:
    """The graph in GraphML, for yEd, Gephi and networkx itself."""
    import networkx as nx

    drawn = to_networkx(graph, open_gates)
    for _, data in drawn.nodes(data=True):
        for key in ("label", "outputs"):
            data[key] = "".join(c if c.isprintable() else "?" for c in data[key])
    return "\n".join(nx.generate_graphml(drawn)) + "\n"


def _quoted(parts: Iterable[str]) -> str:
    """A DOT string of several lines."""
    clean = ("".join(c if c.isprintable() else "?" for c in p) for p in parts if p)
    return '"' + r"\n".join(p.replace("\\", "\\\\").replace('"', r"\"") for p in clean) + '"'


def shape_text(shape: tuple[int, ...]) -> str:
    """`16x5x5`, and `scalar` for the empty shape."""
    return "x".join(map(str, shape)) or "scalar"


def op_text(node: Node) -> str:
    """The op with what tells it from its like: the kinds of an affine step's maps, an axis."""
    match node.op:
        case Affine():
            kinds = dict.fromkeys(_map_text(m) for m in node.op.maps)
            bias = "" if node.op.bias is None else " + bias"
            return f"Affine {' + '.join(kinds)}{bias}"
        case Concat():
            return f"Concat axis {node.op.axis}"
        case Univariate():
            return node.op.name
        case TreeLeaves():
            return f"Leaves of {len(node.op.forest.roots)} trees"
        case _:
            return type(node.op).__name__


def _map_text(linear_map: LinearMap) -> str:
    match linear_map:
        case Scaled():
            return f"{_map_text(linear_map.inner)} * {float(linear_map.factor):g}"
        case Conv():
            kernel = shape_text(linear_map.weight.shape[2:])
            return f"{'transposed ' if linear_map.transposed else ''}conv {kernel}"
        case Gather():
            return "pick"
        case ScatterAdd():
            return "sum"
        case Dense():
            return "dense"
        case Diag():
            return "scale"


def parameters(node: Node) -> int:
    """How many stored numbers a node holds."""
    match node.op:
        case Const():
            return math.prod(node.op.value.shape)
        case Affine():
            bias = node.op.bias
            return sum(map(_map_parameters, node.op.maps)) + (0 if bias is None else _size(bias))
        case _:
            return 0


def _map_parameters(linear_map: LinearMap) -> int:
    match linear_map:
        case Dense() | Conv():
            return int(linear_map.weight.size)
        case Diag():
            return _size(linear_map.scale)
        case Scaled():
            return _map_parameters(linear_map.inner)
        case _:
            return 0


def _size(values: Any) -> int:
    return math.prod(values.shape) if isinstance(values, ExactArray) else int(values.size)
