"""Domains and parts of a proof as values that a message can carry, and back (see wire.py)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from verifex.engine.bounds.facts import Packed
from verifex.engine.search.gates.domain import Domain
from verifex.engine.search.record import AtomBound, LocalFacts, ProofNode
from verifex.semantics.parameters import Parameter, ParameterKind

Value = dict[str, Any]


# --- domains ------------------------------------------------------------------------------------


def domain_to(domain: Domain) -> Value:
    """What the search of a domain goes on with: not the facts of its own, which children lose, and
    not `starts`, which are long and soon found again."""
    return {
        "lo": domain.lo,
        "hi": domain.hi,
        "signs": domain.signs,
        "rows": domain.rows,
        "node": domain.node,
        "tree": domain.tree,
        "value": float(domain.value),
        "gate": domain.gate,
        "dimension": domain.dimension,
        "loss": domain.loss,
        "reach": domain.reach,
        "state": domain.state,
        "seen": domain.seen,
        "wait": domain.wait,
        "warm": {_name(key): v for key, v in domain.warm.items()},
        "kept": {str(i): list(v) for i, v in domain.kept.items()},
        "tight": domain.tight,
    }


def domain_from(value: Value, node: int) -> Domain:
    """The domain, at a node of the receiver's proof."""
    kept = {int(i): (p[0], p[1]) for i, p in value["kept"].items()}
    return Domain(
        value["lo"],
        value["hi"],
        value["signs"],
        value["rows"],
        node,
        value["tree"],
        value["value"],
        {_key(name): a for name, a in value["warm"].items()},
        value["gate"],
        value["dimension"],
        value["loss"],
        value["reach"],
        value["state"],
        kept,
        seen=value["seen"],
        wait=value["wait"],
        tight=value["tight"],
    )


def bundle(domains: Sequence[Domain]) -> Value:
    """Domains that nobody will go on with: only where they lie, and what is known and open."""
    if not domains:
        return {}
    state = None if domains[0].state is None else np.stack([d.state for d in domains])
    return {
        "lo": np.stack([d.lo for d in domains]), "hi": np.stack([d.hi for d in domains]),
        "signs": np.stack([d.signs for d in domains]), "state": state,
        "value": [float(d.value) for d in domains], "tree": [d.tree for d in domains],
        "rows": [d.rows for d in domains],
    }


def unbundle(value: Value) -> list[Domain]:
    """The domains of a bundle; they belong to no node."""
    out = []
    for k, rows in enumerate(value.get("rows", [])):
        state = None if value["state"] is None else value["state"][k]
        out.append(
            Domain(
                value["lo"][k],
                value["hi"][k],
                value["signs"][k],
                rows,
                -1,
                value["tree"][k],
                value["value"][k],
                state=state,
            )
        )
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
        if isinstance(values, dict):
            sparse += [kind.value, node, list(values), list(values.values())]
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
        out[Parameter(ParameterKind(kind), node)] = dict(zip(places, values, strict=True))
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
    return [bound.row, bound.value, packed_to(bound.params), bound.more]


def _bound_from(entries: list[Any]) -> AtomBound:
    return AtomBound(
        entries[0], entries[1], packed_from(entries[2]), {int(k): m for k, m in entries[3].items()}
    )


def node_to(node: ProofNode) -> Value:
    """A node with what was added to it; parent and children by the sender's numbers."""
    return {
        "parent": node.parent, "children": node.children, "closed": node.closed,
        "split": [node.gate, node.sign, node.dimension, node.at],
        "bounds": [_bound_to(b) for b in node.bounds],
        "facts": [facts_to(f) for f in node.facts],
    }


def node_from(value: Value, parent: int) -> ProofNode:
    """A new node of the receiver's proof, still without content."""
    gate, sign, dimension, at = value["split"]
    return ProofNode(parent, gate, sign, dimension, at)


def add_content(node: ProofNode, value: Value) -> None:
    """Put the bounds, the facts and the end that a sender found into a node."""
    node.bounds += [_bound_from(b) for b in value["bounds"]]
    node.facts += [facts_from(f) for f in value["facts"]]
    if value["closed"] is not None:
        node.closed = value["closed"]
