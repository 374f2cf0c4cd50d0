"""`show`: the graph of a network as a table, and as a drawing; `support`: what is read of ONNX."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from verifex import api
from verifex.cli.common import console, emit, write_file
from verifex.ir.text.draw import op_text, parameters, shape_text, statistics, to_dot, to_graphml

if TYPE_CHECKING:
    from verifex.ir.graph import Graph
    from verifex.ir.problem import Problem


def show(
    network: Path, spec: Path | None, dot: Path | None, graphml: Path | None, *, json: bool
) -> int:
    """Print the nodes with shapes, parameters and gates, and write the drawings asked for."""
    if spec is None:
        graph, opened = api.load(network), None
    else:
        problem = api.build(network, spec)
        graph, opened = problem.graph, open_gates(problem)
    for path, draw in ((dot, to_dot), (graphml, to_graphml)):
        if path is not None:
            write_file(path, draw(graph, opened))
    if json:
        emit("graph", _document(graph, opened))
    else:
        _table(graph, opened)
    return 0


def support(markdown: Path | None, *, json: bool) -> int:
    """Print the table of operators, or write it as a page."""
    from verifex.frontend.onnx.support import page, rows

    if markdown is not None:
        write_file(markdown, page())
        return 0
    heads = ("operator", "operator sets", "restricted to", "checker")
    if json:
        keys = [head.replace(" ", "_") for head in heads]
        emit("operators", {"operators": [dict(zip(keys, row, strict=True)) for row in rows()]})
        return 0
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, padding=(0, 2, 0, 0))
    for head in heads:
        table.add_column(head, overflow="fold")
    for row in rows():
        table.add_row(*map(Text, row))
    console().print(table)
    return 0


def open_gates(problem: Problem) -> dict[int, int]:
    """For each Relu and Step that the claim needs: elements whose sign the region leaves open."""
    from verifex.ir.ops import Relu, Step
    from verifex.semantics.interval import bound_nodes

    graph = problem.graph
    bent = {
        i: graph.nodes[i].args[0]
        for i in graph.ancestors(problem.targets()) if isinstance(graph.nodes[i].op, Relu | Step)
    }
    lo, hi = problem.region.float_box()
    boxes = bound_nodes(graph, lo[None], hi[None], sorted(set(bent.values())))
    return {
        i: int(((boxes[z].lo[0] < 0) & (boxes[z].hi[0] > 0)).sum()) for i, z in bent.items()
    }


def distinct_open(graph: Graph, opened: Mapping[int, int]) -> int:
    """Open elements counted once per pre-activation: a Relu and a Step of it share one binary."""
    return sum({graph.nodes[i].args[0]: count for i, count in opened.items()}.values())


def _document(graph: Graph, opened: Mapping[int, int] | None) -> dict[str, Any]:
    nodes = []
    for i, node in enumerate(graph.nodes):
        entry: dict[str, Any] = {
            "node": i, "op": op_text(node), "args": list(node.args), "shape": list(node.shape),
            "parameters": parameters(node), "label": graph.labels.get(i, ""),
        }
        if opened is not None:
            entry["open"] = opened.get(i)
        nodes.append(entry)
    document: dict[str, Any] = {
        "nodes": nodes, "inputs": list(graph.inputs), "outputs": dict(graph.outputs),
        "statistics": statistics(graph), "notes": list(graph.notes),
    }
    if opened is not None:
        document["statistics"]["open_gates"] = distinct_open(graph, opened)
    return document


def _table(graph: Graph, opened: Mapping[int, int] | None) -> None:
    from rich.table import Table
    from rich.text import Text

    names: dict[int, list[str]] = {}
    for name, i in graph.outputs.items():
        names.setdefault(i, []).append(f"-> {name}")
    table = Table(box=None, padding=(0, 2, 0, 0))
    for head, side in (("node", "right"), ("op", "left"), ("of", "left"), ("shape", "left"),
                       ("parameters", "right")):
        table.add_column(head, justify="right" if side == "right" else "left", no_wrap=True)
    if opened is not None:
        table.add_column("open", justify="right")
    table.add_column("name")
    for i, node in enumerate(graph.nodes):
        held = parameters(node)
        row: list[str | Text] = [
            str(i), Text(op_text(node)), ", ".join(map(str, node.args)), shape_text(node.shape),
            f"{held:,}" if held else "",
        ]
        if opened is not None:
            row.append(f"{opened[i]} of {node.size}" if i in opened else "")
        label = [graph.labels.get(i, ""), *names.get(i, ())]
        table.add_row(*row, Text(" ".join(part for part in label if part)))
    out = console()
    out.print(table)
    found = statistics(graph)
    if opened is not None:
        found["open gates over the region"] = distinct_open(graph, opened)
    out.print(Text(", ".join(f"{name} {count:,}" for name, count in found.items())))
    for note in graph.notes:
        out.print(Text(f"note: {note}"))
