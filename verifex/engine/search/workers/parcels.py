"""Domains and parts of a proof as values that a message can carry, and back (see wire.py)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from verifex.engine.bounds.facts import Packed
from verifex.engine.search.gates.domains import Domains, WarmStart, objects
from verifex.engine.search.record import AtomBound, LocalFacts, ProofNode
from verifex.semantics.parameters import Parameter, ParameterKind

Value = dict[str, Any]


# --- domains ------------------------------------------------------------------------------------


_DENSE = (
    "lo", "hi", "signs", "node", "tree", "value", "gate", "dimension", "tight", "false", "wait")
_LEFT = ("lo", "hi", "signs", "tree", "value", "false")
"""Columns of domains that nobody will go on with: where they lie, and what is known and open."""


def domains_to(domains: Domains) -> Value:
    """What the search of domains goes on with: not the facts of their own, which children lose, and
    not `starts`, which are long and soon found again."""
    return {
        **{name: getattr(domains, name) for name in _DENSE},
        "rows": list(domains.rows), "bounds": list(domains.bounds), "seen": list(domains.seen),
        "warm": [None if w is None else [w.rows, {_name(k): v for k, v in w.params.items()}]
                 for w in domains.warm],
        "kept": [{str(i): list(v) for i, v in kept.items()} for kept in domains.kept],
    }


def domains_from(value: Value, like: Domains) -> Domains:
    """The domains, with the sender's nodes; `like`: a batch with columns of these widths."""
    out = _lines(value, like, _DENSE)
    out.seen = objects(value["seen"])
    out.warm = objects(
        None if w is None else WarmStart(w[0], {_key(name): a for name, a in w[1].items()})
        for w in value["warm"])
    out.kept = objects(
        {int(i): (p[0], p[1]) for i, p in kept.items()} for kept in value["kept"])
    return out


def bundle(domains: Domains) -> Value:
    """Domains that nobody will go on with."""
    if not len(domains):
        return {}
    left = {name: getattr(domains, name) for name in _LEFT}
    return {**left, "rows": list(domains.rows), "bounds": list(domains.bounds)}


def unbundle(value: Value, like: Domains) -> Domains:
    """The domains of a bundle; they belong to no node."""
    if not value:
        return like.blank(0)
    out = _lines(value, like, _LEFT)
    out.node[:] = -1
    return out


def _lines(value: Value, like: Domains, columns: Sequence[str]) -> Domains:
    """Domains with these columns from a message. Columns are copied: arrays of a message cannot be
    written to."""
    out = like.blank(len(value["rows"]))
    for name in columns:
        getattr(out, name)[:] = value[name]
    out.rows, out.bounds = objects(value["rows"]), objects(value["bounds"])
    out.warm, out.seen = objects(None for _ in out.rows), objects(None for _ in out.rows)
    out.kept, out.own, out.starts = (objects({} for _ in out.rows) for _ in range(3))
    out.pending = objects([] for _ in out.rows)
    return out


# --- the proof ----------------------------------------------------------------------------------


def _name(key: Parameter) -> str:
    return f"{key.kind.value}:{key.node}"


def _key(name: str) -> Parameter:
    kind, _, node = name.partition(":")
    return Parameter(ParameterKind(kind), int(node))


def packed_to(packed: Packed) -> list[Any]:
    """[names, lengths, their fractions end to end, names and entries of multipliers]; lists, for
    a certificate holds tens of thousands of these and dictionaries are read slowly."""
    parts: list[NDArray[np.uint8]] = []
    names: list[Any] = []
    sparse: list[Any] = []
    for (kind, node), values in packed.items():
        if isinstance(values, Mapping):
            sparse += [kind.value, node, list(values), [_number_to(v) for v in values.values()]]
        else:
            names += [kind.value, node]
            parts.append(values)
    fractions = np.concatenate(parts) if parts else None
    return [names, [len(v) for v in parts], fractions, sparse]


def packed_from(entries: list[Any]) -> Packed:
    names, sizes, fractions, sparse = entries
    out: Packed = {}
    at = 0
    for k, size in enumerate(sizes):
        # A copy: a view would keep the whole message in memory.
        key = Parameter(ParameterKind(names[2 * k]), names[2 * k + 1])
        out[key] = fractions[at : at + size].copy()
        at += size
    for k in range(0, len(sparse), 4):
        kind, node, places, values = sparse[k : k + 4]
        out[Parameter(ParameterKind(kind), node)] = {
            k: _number_from(v) for k, v in zip(places, values, strict=True)}
    return out


def facts_to(facts: LocalFacts) -> Value:
    splits = [packed_to(p) for p in facts.splits]
    return {
        "node": facts.node,
        "rows": facts.rows,
        "shared": packed_to(facts.shared),
        "splits": splits,
    }


def facts_from(value: Value) -> LocalFacts:
    splits = [packed_from(p) for p in value["splits"]]
    return LocalFacts(value["node"], value["rows"], packed_from(value["shared"]), splits)


def _bound_to(bound: AtomBound) -> list[Any]:
    more = {k: _number_to(m) for k, m in bound.more.items()}
    return [bound.row, bound.value, packed_to(bound.params), more, bound.exact]


def _bound_from(entries: list[Any]) -> AtomBound:
    row, value, packed, more, exact = entries
    return AtomBound(
        row, value, packed_from(packed), {int(k): _number_from(m) for k, m in more.items()}, exact)


def _number_to(value: float | Fraction) -> float | str:
    """Multipliers in exact arithmetic travel as text."""
    return str(value) if isinstance(value, Fraction) else value


def _number_from(value: float | str) -> Any:
    return Fraction(value) if isinstance(value, str) else value


def node_to(node: ProofNode) -> Value:
    """A node with what was added to it; parent and children by the sender's numbers."""
    return {
        "parent": node.parent, "children": node.children, "closed": node.closed,
        "split": [node.gate, node.sign, node.dimension, node.at, node.whole],
        "bounds": [_bound_to(b) for b in node.bounds],
        "facts": [facts_to(f) for f in node.facts],
    }


def node_from(value: Value, parent: int) -> ProofNode:
    """A new node of the receiver's proof, still without content."""
    gate, sign, dimension, at, whole = value["split"]
    return ProofNode(parent, gate, sign, dimension, at, whole=whole)


def add_content(node: ProofNode, value: Value) -> None:
    """Put the bounds, the facts and the end that a sender found into a node."""
    node.bounds += [_bound_from(b) for b in value["bounds"]]
    node.facts += [facts_from(f) for f in value["facts"]]
    if value["closed"] is not None:
        node.closed = value["closed"]
