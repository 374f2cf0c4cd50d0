"""What a formula says about single inputs."""

from __future__ import annotations

from fractions import Fraction

from ..graph.network_graph import INPUT, NetworkGraph
from .atoms import Atoms, Numbered

Bounds = dict[tuple[int, int], Fraction]
"""(flat input, sign) -> b: sign * input >= b."""


def implied(graph: NetworkGraph, atoms: Atoms, formula: Numbered) -> Bounds:
    """Bounds of single inputs wherever the formula is true.

    An atom about one input alone is such a bound. What all of the parts imply that have to hold
    together is implied; of others, the weakest of what each of them implies.
    """
    if isinstance(formula, int):
        return _of_atom(graph, atoms, formula)
    count, parts = formula
    found = [implied(graph, atoms, part) for part in parts]
    if not found or count <= 0:
        return {}
    if count == len(found):
        return {
            key: max(part[key] for part in found if key in part)
            for key in set[tuple[int, int]]().union(*found)
        }
    shared = set(found[0]).intersection(*found[1:])
    return {key: min(part[key] for part in found) for key in shared}


def _of_atom(graph: NetworkGraph, atoms: Atoms, atom: int) -> Bounds:
    """c * x + d >= 0 says x >= -d / c for c > 0, and -x >= -d / |c| for c < 0."""
    refs, constant = atoms.forms[atom]
    if len(refs) != 1:
        return {}
    ((node, element), c), = refs.items()
    if graph.nodes[node].kind != INPUT:
        return {}
    flat = graph.nodes[node].start + element
    return {(flat, 1 if c > 0 else -1): Fraction(-constant, abs(c))}
