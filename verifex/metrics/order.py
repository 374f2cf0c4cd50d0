"""`order`: components stay in a given order of size."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated

from pydantic import PlainValidator, WithJsonSchema

from verifex.errors import InputError
from verifex.ir.fields import selection, under, wrong
from verifex.ir.formula import Atom, Form, Formula
from verifex.metrics.support.base import Family, Property, Said, conjunction
from verifex.metrics.support.setting import Setting


def _order(value: object) -> tuple[str | int, ...] | str:
    if value == "unchanged":
        return "unchanged"
    read = selection(value)
    if len(read) < 2:
        raise wrong(f"{len(read)} component(s)", 'at least two, or "unchanged"')
    return read


class Order(Property):
    """`order = ["age", "sex", "pay"]`: A[age] > A[sex] > A[pay], strictly.

    "unchanged" asks for the whole ranking that the chosen components have at the reference.
    """

    order: Annotated[
        tuple[str | int, ...] | str, PlainValidator(_order),
        WithJsonSchema({"anyOf": [{"const": "unchanged"}, {"type": "array", "minItems": 2}]}),
    ]

    def scale_free(self) -> bool:
        return True


def build(wanted: Order, setting: Setting) -> Formula:
    """One strict comparison between neighbours in the order."""
    explained = setting.explanation()
    if isinstance(wanted.order, str):
        node, ranked = setting.components, _reference_order(setting)
    else:
        node, ranked = explained.attribution, []
        for k, key in enumerate(wanted.order):
            with under(f"order[{k}]"):
                ranked.append(explained.names.one(key))
                if ranked[-1] in ranked[:-1]:
                    raise InputError(f"'{key}' appears twice", expected="distinct components")
        setting.require_derivatives(ranked)
    # Neighbours suffice: the order is transitive.
    pairs = pairwise(ranked)
    return conjunction([Atom(Form.of({(node, a): 1, (node, b): -1}), True) for a, b in pairs])


def _reference_order(setting: Setting) -> list[int]:
    explained, found = setting.explanation(), setting.reference.ranked(setting.components)
    if len(found.order) < 2:
        raise InputError("one component", expected="at least two", key="order")

    def pair(first: int, second: int) -> str:
        names = [explained.names.name(explained.chosen[i]) for i in (first, second)]
        return " and ".join(names)

    for place in range(1, len(found.order)):
        found.told_apart(place, pair, "a strict ranking", key="order")
    return list(found.order)


def say(wanted: Order, setting: Setting) -> Said:
    explained = setting.explanation()
    if isinstance(wanted.order, str):
        ranked = _reference_order(setting)
        return Said(f"the ranking of all {len(ranked)} components stays as it is at x0",
                    tuple(ranked))
    names = [explained.names.name(explained.names.one(key)) for key in wanted.order]
    return Said("the attributions stay in this order: " + " > ".join(names))


FAMILY = Family("order", Order, build, say)
