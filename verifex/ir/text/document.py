"""The text form of graphs, regions, formulas and problems: JSON data with exact numbers.

It is what a child process reads and what tests/regressions keeps. Floats are written by `repr`
(which round-trips), exact arrays as integers over one denominator, fractions as "p/q"; integers
beyond 2**53 are strings. Writing is deterministic, so that the text can be hashed. Reading checks
everything: an unknown key, op or a number of the wrong kind is an InputError that names the place.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

from verifex.errors import InputError
from verifex.ir.formula import (
    And,
    AtLeast,
    Atom,
    Dominance,
    Form,
    Formula,
    Junction,
    Or,
    fold,
)
from verifex.ir.graph import Graph, NamedNetwork
from verifex.ir.problem import Objective, Problem
from verifex.ir.region import Ball, LinearRow, Region
from verifex.ir.text.checked import (
    fields,
    read_bool,
    read_fraction,
    read_fractions,
    read_int,
    read_ints,
    read_list,
    read_text,
    show,
    wrong,
)
from verifex.ir.text.graph_text import (
    fraction_to_json,
    graph_from_json,
    graph_to_json,
    node_from_json,
)

__all__ = [
    "form_to_json", "formula_from_json", "formula_to_json", "graph_from_json", "graph_to_json",
    "problem_dumps", "problem_from_json", "problem_to_json", "region_from_json", "region_to_json",
]

VERSION = 1
MAX_DEPTH = 100
"""Formulas nested deeper than this are refused when reading."""

Json = dict[str, Any]


# --- formulas -------------------------------------------------------------------------------


def form_to_json(form: Form) -> Json:
    """`{"terms": [[node, index, "p/q"], ...], "const": "p/q"}`."""
    terms = [[node, index, fraction_to_json(c)] for (node, index), c in form.terms]
    return {"terms": terms, "const": fraction_to_json(form.const)}


def formula_to_json(formula: Formula) -> Json:
    """The formula as nested objects with one key each: atom, and, or, at_least, dominance."""
    return fold(
        formula,
        lambda atom: {"atom": {**form_to_json(atom.form), "strict": atom.strict}},
        _junction_to_json,
        _dominance_to_json,
    )


def _junction_to_json(junction: Junction, parts: list[Json]) -> Json:
    match junction:
        case And():
            return {"and": parts}
        case Or():
            return {"or": parts}
        case AtLeast():
            return {"at_least": {"count": junction.count, "parts": parts}}


def _dominance_to_json(block: Dominance) -> Json:
    if block.pairs is not None:  # the text form has whole blocks only
        return formula_to_json(block.expand())
    return {
        "dominance": {
            "node": block.node,
            "winners": list(map(int, block.winners)),
            "losers": list(map(int, block.losers)),
            "outer": block.outer,
            "inner": block.inner,
            "strict": block.strict,
            "sense": block.sense,
        }
    }


def _form_from_json(terms: Any, const: Any, graph: Graph, where: str) -> Form:
    found: dict[tuple[int, int], Fraction] = {}
    for entry in read_list(terms, where):
        if not isinstance(entry, list) or len(entry) != 3:
            raise wrong(entry, "[node, index, coefficient]", where)
        node = node_from_json(entry[0], graph, where)
        cell = (node, _element(entry[1], graph, node, where))
        if cell in found:
            raise wrong(entry, "each cell once", where)
        found[cell] = read_fraction(entry[2], where)
    return Form.of(found, read_fraction(const, where))


def _element(value: Any, graph: Graph, node: int, where: str) -> int:
    index = read_int(value, where)
    if not 0 <= index < graph.nodes[node].size:
        raise wrong(value, f"an element 0..{graph.nodes[node].size - 1} of node {node}", where)
    return index


def formula_from_json(data: Any, graph: Graph, where: str = "formula", depth: int = 0) -> Formula:
    """The inverse of `formula_to_json`; every node and element it names must exist in `graph`."""
    kinds = "one of atom, and, or, at_least, dominance"
    if not isinstance(data, dict) or len(data) != 1:
        raise wrong(data, f"an object with one key, {kinds}", where)
    # Before Python's own recursion limit, which would be no InputError.
    if depth > MAX_DEPTH:
        expected = f"at most {MAX_DEPTH} levels"
        raise InputError("the formula is nested too deep", expected=expected, key=where)

    def parts(value: Any) -> tuple[Formula, ...]:
        return tuple(formula_from_json(p, graph, where, depth + 1) for p in read_list(value, where))

    (kind, body), = data.items()
    match kind:
        case "atom":
            terms, const, strict = fields(body, where, "terms const strict")
            return Atom(_form_from_json(terms, const, graph, where), read_bool(strict, where))
        case "and":
            return And(parts(body))
        case "or":
            return Or(parts(body))
        case "at_least":
            count, listed = fields(body, where, "count parts")
            return AtLeast(read_int(count, where), parts(listed))
        case "dominance":
            return _dominance_from_json(body, graph, where)
        case _:
            raise InputError(f"unknown formula '{kind}'", expected=kinds, key=where)


def _dominance_from_json(body: Any, graph: Graph, where: str) -> Dominance:
    node_, winners_, losers_, outer, inner, strict, sense_ = fields(
        body, where, "node winners losers outer inner strict sense"
    )
    node = node_from_json(node_, graph, where)
    winners = tuple(_element(i, graph, node, where) for i in read_list(winners_, where))
    losers = tuple(_element(i, graph, node, where) for i in read_list(losers_, where))
    if set(winners) & set(losers):
        raise InputError("a winner is also a loser", expected="disjoint lists", key=where)
    sense = read_int(sense_, where)
    if sense not in (1, -1):
        raise wrong(sense_, "1 or -1", where)
    return Dominance(
        node, winners, losers, read_int(outer, where), read_int(inner, where),
        read_bool(strict, where), sense,
    )


# --- regions and problems -------------------------------------------------------------------


def region_to_json(region: Region) -> Json:
    """The region as JSON data; sets and maps are written sorted."""
    return {
        "lo": [fraction_to_json(v) for v in region.lo],
        "hi": [fraction_to_json(v) for v in region.hi],
        "rows": [
            {"coefs": [[int(i), fraction_to_json(c)] for i, c in sorted(r.coefs.items())],
             "rhs": fraction_to_json(r.rhs)}
            for r in region.rows
        ],
        "balls": [
            {"norm": b.norm, "indices": list(map(int, b.indices)),
             "center": [fraction_to_json(v) for v in b.center],
             "radius": fraction_to_json(b.radius)}
            for b in region.balls
        ],
        "integers": sorted(map(int, region.integers)),
        "one_hot": [list(map(int, group)) for group in region.one_hot],
        "names": list(region.names),
    }


def region_from_json(data: Any) -> Region:
    """The inverse of `region_to_json`."""
    lo_, hi_, rows, balls, integers, one_hot, names = fields(
        data, "region", "lo hi rows balls integers one_hot names"
    )
    lo, hi = read_fractions(lo_, "region.lo"), read_fractions(hi_, "region.hi")

    def features(value: Any, where: str) -> tuple[int, ...]:
        found = read_ints(value, where)
        if any(not 0 <= i < len(lo) for i in found) or len(set(found)) != len(found):
            raise wrong(value, f"different features 0..{len(lo) - 1}", where)
        return found

    def row(entry: Any) -> LinearRow:
        coefs, rhs = fields(entry, "region.rows", "coefs rhs")
        pairs = [read_list(c, "region.rows") for c in read_list(coefs, "region.rows")]
        if any(len(p) != 2 for p in pairs):
            raise wrong(coefs, "[feature, coefficient] pairs", "region.rows")
        indices = features([p[0] for p in pairs], "region.rows")
        values = read_fractions([p[1] for p in pairs], "region.rows")
        return LinearRow(dict(zip(indices, values, strict=True)), read_fraction(rhs, "region.rows"))

    def ball(entry: Any) -> Ball:
        norm, indices_, radius, center_ = fields(
            entry, "region.balls", "norm indices radius center"
        )
        indices = features(indices_, "region.balls")
        center = read_fractions(center_, "region.balls")
        if norm not in ("l1", "l2") or len(center) != len(indices):
            raise wrong(norm, "norm l1 or l2, a center for every index", "region.balls")
        return Ball(norm, indices, center, read_fraction(radius, "region.balls"))

    return Region(
        lo, hi, tuple(map(row, read_list(rows, "region.rows"))),
        tuple(map(ball, read_list(balls, "region.balls"))),
        frozenset(features(integers, "region.integers")),
        tuple(features(g, "region.one_hot") for g in read_list(one_hot, "region.one_hot")),
        tuple(read_text(n, "region.names") for n in read_list(names, "region.names")),
    )


def problem_to_json(problem: Problem, objective: Objective | None = None) -> Json:
    """A problem (and what to optimise, if anything) as JSON data with exact numbers."""
    networks = {"networks": list(map(_network_to_json, problem.networks))}
    return {
        "version": VERSION,
        "name": problem.name,
        "notes": list(problem.notes),
        "graph": graph_to_json(problem.graph),
        "region": region_to_json(problem.region),
        "assume": formula_to_json(problem.assume),
        "require": formula_to_json(problem.require),
        "point": None if problem.point is None else _each(fraction_to_json, problem.point),
        "objective": None if objective is None
        else {**form_to_json(objective.form), "maximise": objective.maximise},
        **(networks if problem.networks else {}),
        **({} if problem.refutation is None
           else {"refutation": formula_to_json(problem.refutation)}),
    }


def _network_to_json(network: NamedNetwork) -> Json:
    return {
        "name": network.name, "inputs": list(network.inputs), "outputs": dict(network.outputs),
    }


def _networks_from_json(value: Any, graph: Graph) -> tuple[NamedNetwork, ...]:
    """Networks by name, each name once, over nodes that exist."""
    where, out = "problem.networks", list[NamedNetwork]()
    for entry in read_list(value, where):
        name_, inputs, outputs = fields(entry, where, "name inputs outputs")
        name = read_text(name_, where)
        if not isinstance(outputs, dict):
            raise wrong(outputs, "an object of names and nodes", where)
        if any(name == n.name for n in out):
            raise InputError(f"a second network '{name}'", expected="distinct names", key=where)
        out.append(NamedNetwork(
            name, tuple(node_from_json(i, graph, where) for i in read_list(inputs, where)),
            {read_text(k, where): node_from_json(i, graph, where) for k, i in outputs.items()},
        ))
    return tuple(out)


def _each(write: Callable[[Fraction], str], values: Sequence[Fraction]) -> list[str]:
    return [write(v) for v in values]


def problem_from_json(data: Any) -> tuple[Problem, Objective | None]:
    """The inverse of `problem_to_json`; raises InputError naming the place that is wrong."""
    (version, name, notes, graph_, region_, assume, require, point_, objective_, networks,
     refutation) = fields(
        data, "problem", "version name notes graph region assume require point objective",
        "networks refutation",
    )
    if version != VERSION:
        raise InputError(f"version {show(version)}", expected=str(VERSION), key="problem.version")
    graph, region = graph_from_json(graph_), region_from_json(region_)
    point = None if point_ is None else read_fractions(point_, "problem.point")
    # Each part was checked alone; only together do they have to be of one size.
    sizes = {graph.input_size, region.size} | (set() if point is None else {len(point)})
    if len(sizes) != 1:
        raise InputError("graph, region and point have different numbers of inputs",
                         expected=str(graph.input_size), key="problem")
    objective = None
    if objective_ is not None:
        terms, const, maximise = fields(objective_, "problem.objective", "terms const maximise")
        form = _form_from_json(terms, const, graph, "problem.objective")
        objective = Objective(form, read_bool(maximise, "problem.objective"))
    problem = Problem(
        graph, region, formula_from_json(require, graph, "problem.require"),
        formula_from_json(assume, graph, "problem.assume"), point, read_text(name, "problem.name"),
        tuple(read_text(n, "problem.notes") for n in read_list(notes, "problem.notes")),
        networks=() if networks is None else _networks_from_json(networks, graph),
        refutation=None if refutation is None else formula_from_json(
            refutation, graph, "problem.refutation"),
    )
    return problem, objective


def problem_dumps(problem: Problem, objective: Objective | None = None) -> str:
    """The problem as one line of JSON (deterministic)."""
    data = problem_to_json(problem, objective)
    return json.dumps(data, separators=(",", ":"), allow_nan=False)
