"""`similarity`: the cosine of A(x) and A(x0) is at least c."""

from __future__ import annotations

from ...failures import need
from ...graph.forms import total
from ..formulas import ClaimAtom, Formula, all_of, any_of
from ..setting import PropertySetting
from ..toml_values import TomlTable, exact, one_of
from .base import PropertyKind, always


def build(table: TomlTable, setting: PropertySetting) -> Formula:
    """A.A0 >= c |A| |A0|, written without roots by squaring, for A0 = A(x0), which must not be 0.

    Let p = A.A0 and room = p^2 - c^2 |A|^2 |A0|^2. Where A is not 0:

    * c = 0: the cosine is at least 0 where p >= 0.
    * c > 0: it is at least c where p > 0 and room >= 0, both sides being positive.
    * c < 0: it is at least c where p >= 0, or where |p| <= |c| |A| |A0|, that is -room >= 0.

    Where A = 0 all forms are 0: the formula is true for c <= 0 and false for c > 0 (its p > 0 is
    strict), whatever the language says of it there is added in requirements.py.
    """
    one_of(table.required("similarity"), "cosine")
    least, reference = exact(table.required("at_least")), setting.reference_components()
    length = sum(value * value for value in reference)
    need(abs(least) <= 1, "at_least: no cosine")
    need(length, "similarity with a reference that is zero")
    components, graph = setting.explained.components, setting.graph
    product = total(zip(components, reference, strict=True))
    if least == 0:
        return ClaimAtom(product, False)
    node, product_node = graph.rows(components), graph.rows([product])
    squares = graph.refs(graph.op("M", node, node))
    square_of_product = graph.refs(graph.op("M", product_node, product_node))[0]
    lengths = [(square, -least * least * length) for square in squares]
    room = total([*lengths, (square_of_product, 1)])
    if least > 0:
        return all_of([ClaimAtom(product, True), ClaimAtom(room, False)])
    return any_of([ClaimAtom(product, False), ClaimAtom(total([(room, -1)]), False)])


def true_at_zero(table: TomlTable) -> bool:
    return exact(table.required("at_least")) <= 0


KIND = PropertyKind("similarity", ("at_least", "undefined"), build, always, true_at_zero)
