"""Expressions of a spec, such as `norm:l1` or `margin:1,0`, as linear forms of a graph's values.

specs/LANGUAGE.md, section "Expressions", says what each means. Relaxed nodes are made in the order
in which they are needed: the absolute values of the chosen components first (where they are
signed), then those of a maximum, round by round.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from fractions import Fraction
from typing import Any

from ..failures import Bad, need
from ..graph.forms import Form, gap, total
from ..graph.network_graph import NetworkGraph
from ..graph.symbolic import SymbolicTensor

POSITION = re.compile("[0-9]{1,9}")
OUTPUTS = ("logit", "margin", "predicted", "sum")

Claim = Any  # a spec that is being read (claim.py, which imports this file)


def expression_form(claim: Claim, text: Any) -> Form:
    """The form that an expression means in the setting of a claim."""
    need(type(text) is str, f"{text!r:.40} is no expression")
    whole = text.strip(" ")
    kind, _, argument = whole.partition(":")
    if kind in OUTPUTS:
        return claim.functional(whole)  # type: ignore[no-any-return]
    need(kind in FORMS, f"no expression {text!r:.40}")
    return FORMS[kind](claim, argument.strip(" "))


def output(claim: Claim, argument: str) -> Form:
    need(not argument, f"output with an argument {argument!r:.40}")
    return claim.functional(claim.output)  # type: ignore[no-any-return]


def component(claim: Claim, argument: str) -> Form:
    need_explanation(claim)
    found = claim.parts.find(feature(claim, argument))
    need(len(found) == 1, f"{argument!r:.40} picks {len(found)} components")
    return claim.items[found[0]]  # type: ignore[no-any-return]


def distance(claim: Claim, argument: str) -> Form:
    """A norm of the change of the chosen components since the reference."""
    need_explanation(claim)
    base: list[Fraction] = claim.value(claim.components)
    change = [total([(item, 1)], -value) for item, value in zip(claim.components, base)]
    node = claim.graph.rows(change)
    return norm_of(claim.graph, argument, claim.graph.refs(node), nonnegative=False)


def norm(claim: Claim, argument: str) -> Form:
    """The same norm of the chosen components themselves."""
    need_explanation(claim)
    return norm_of(claim.graph, argument, claim.components, claim.nonnegative)


def mass(claim: Claim, argument: str) -> Form:
    """The sum of absolute values over some of the chosen components."""
    need_explanation(claim)
    keys = [feature(claim, part.strip(" ")) for part in argument.split(",") if part.strip(" ")]
    inside = set(claim.parts.select(keys))
    need(inside and inside <= set(claim.chosen), "a wrong mask")
    sizes = zip(claim.chosen, claim.magnitudes(), strict=True)
    return total((size, 1) for place, size in sizes if place in inside)


def norm_of(graph: NetworkGraph, name: str, items: list[Form], nonnegative: bool) -> Form:
    """A norm of some elements; of the L2 norm the square, which is rational."""
    if name == "l2_squared":
        node = graph.rows(items)
        return total((v, 1) for v in graph.refs(graph.op("M", node, node)))
    need(name in ("l1", "linf"), f"no norm {name!r:.40}")
    sizes = items if nonnegative else SymbolicTensor(graph, [len(items)], items).absolute().items
    return total((v, 1) for v in sizes) if name == "l1" else maximum(graph, sizes)


def maximum(graph: NetworkGraph, items: list[Form]) -> Form:
    """The largest element, by max(a, b) = b + R(a - b): in each round the first half against the
    second, and what is left over goes on."""
    while len(items) > 1:
        half = len(items) // 2
        pairs = list(zip(items[:half], items[half : 2 * half], strict=True))
        above = SymbolicTensor(graph, [half], [gap(a, b) for a, b in pairs]).relu().items
        winners = [total([(b, 1), (more, 1)]) for (_, b), more in zip(pairs, above, strict=True)]
        items = winners + items[2 * half :]
    return items[0]


def feature(claim: Claim, text: str) -> Any:
    """A feature as a key: up to nine digits are a position, unless a feature is called so."""
    named = text in claim.parts.given
    return int(text) if POSITION.fullmatch(text) and not named else text


def need_explanation(claim: Claim) -> None:
    if not hasattr(claim, "components"):
        raise Bad("no [explain] for an expression of an explanation")


FORMS: dict[str, Callable[[Claim, str], Form]] = {
    "component": component, "output": output, "distance": distance, "norm": norm, "mass": mass,
}
