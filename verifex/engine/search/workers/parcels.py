"""Domains and parts of a proof as values that a message can carry, and back (see wire.py)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from verifex.engine.bounds.facts import Packed, ParamKey
from verifex.engine.search.gates.domain import Domain
from verifex.engine.search.record import AtomBound, LocalFacts, ProofNode

Value = dict[str, Any]


# --- domains ------------------------------------------------------------------------------------


def domain_to(d: Domain) -> Value:
    """What the search of a domain goes on with: not the facts of its own, which children lose, and
    not `starts`, which are long and soon found again."""
    return {
        "lo": d.lo, "hi": d.hi, "signs": d.signs, "rows": d.rows, "node": d.node, "tree": d.tree,
        "value": float(d.value), "gate": d.gate, "dimension": d.dimension, "loss": d.loss,
        "reach": d.reach, "state": d.state, "seen": d.seen, "wait": d.wait,
        "warm": {_name(key): v for key, v in d.warm.items()},
        "kept": {str(i): list(v) for i, v in d.kept.items()},
        "tight": d.tight,
    }


def domain_from(v: Value, node: int) -> Domain:
    """The domain, at a node of the receiver's proof."""
    kept = {int(i): (p[0], p[1]) for i, p in v["kept"].items()}
    return Domain(
        v["lo"], v["hi"], v["signs"], v["rows"], node, v["tree"], v["value"],
        {_key(name): a for name, a in v["warm"].items()},
        v["gate"], v["dimension"], v["loss"], v["reach"], v["state"], kept,
        seen=v["seen"], wait=v["wait"], tight=v["tight"],
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


def unbundle(v: Value) -> list[Domain]:
    """The domains of a bundle; they belong to no node."""
    out = []
    for k, rows in enumerate(v.get("rows", [])):
        state = None if v["state"] is None else v["state"][k]
        out.append(
            Domain(
                v["lo"][k], v["hi"][k], v["signs"][k], rows, -1, v["tree"][k], v["value"][k],
                state=state,
            )
        )
    return out


# --- the proof ----------------------------------------------------------------------------------


def _name(key: ParamKey) -> str:
    return f"{key[0]}:{key[1]}"


def _key(name: str) -> ParamKey:
    kind, _, node = name.partition(":")
    return kind, int(node)


def packed_to(p: Packed) -> list[Any]:
    """[names, lengths, their fractions end to end, names and entries of multipliers]; lists, for
    a certificate holds tens of thousands of these and dictionaries are read slowly."""
    parts: list[NDArray[np.uint8]] = []
    names: list[Any] = []
    sparse: list[Any] = []
    for (kind, node), values in p.items():
        if isinstance(values, dict):
            sparse += [kind, node, list(values), list(values.values())]
        else:
            names += [kind, node]
            parts.append(values)
    fractions = np.concatenate(parts) if parts else None
    return [names, [len(v) for v in parts], fractions, sparse]


def packed_from(v: list[Any]) -> Packed:
    names, sizes, fractions, sparse = v
    out: Packed = {}
    at = 0
    for k, size in enumerate(sizes):
        # A copy: a view would keep the whole message in memory.
        out[names[2 * k], names[2 * k + 1]] = fractions[at : at + size].copy()
        at += size
    for k in range(0, len(sparse), 4):
        kind, node, places, values = sparse[k : k + 4]
        out[kind, node] = dict(zip(places, values, strict=True))
    return out


def facts_to(f: LocalFacts) -> Value:
    splits = [packed_to(p) for p in f.splits]
    return {"node": f.node, "rows": f.rows, "shared": packed_to(f.shared), "splits": splits}


def facts_from(v: Value) -> LocalFacts:
    splits = [packed_from(p) for p in v["splits"]]
    return LocalFacts(v["node"], v["rows"], packed_from(v["shared"]), splits)


def _bound_to(b: AtomBound) -> list[Any]:
    return [b.row, b.value, packed_to(b.params), b.more]


def _bound_from(v: list[Any]) -> AtomBound:
    return AtomBound(v[0], v[1], packed_from(v[2]), {int(k): m for k, m in v[3].items()})


def node_to(node: ProofNode) -> Value:
    """A node with what was added to it; parent and children by the sender's numbers."""
    return {
        "parent": node.parent, "children": node.children, "closed": node.closed,
        "split": [node.gate, node.sign, node.dimension, node.at],
        "bounds": [_bound_to(b) for b in node.bounds],
        "facts": [facts_to(f) for f in node.facts],
    }


def node_from(v: Value, parent: int) -> ProofNode:
    """A new node of the receiver's proof, still without content."""
    gate, sign, dimension, at = v["split"]
    return ProofNode(parent, gate, sign, dimension, at)


def add_content(node: ProofNode, v: Value) -> None:
    """Put the bounds, the facts and the end that a sender found into a node."""
    node.bounds += [_bound_from(b) for b in v["bounds"]]
    node.facts += [facts_from(f) for f in v["facts"]]
    if v["closed"] is not None:
        node.closed = v["closed"]
