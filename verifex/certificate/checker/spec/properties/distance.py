"""`distance`: a norm of A(x) - A(x0) keeps bounds."""

from __future__ import annotations

from fractions import Fraction

from ...failures import need
from ...graph.forms import Form, total
from ..explanation import absolute
from ..formulas import AtLeastOf, Formula, ValueBound, all_of
from ..setting import PropertySetting
from ..toml_values import TomlTable, one_of
from .base import BOUND_KEYS, PropertyKind, never, value_bounds, within


def build(table: TomlTable, setting: PropertySetting) -> Formula:
    """The norm of the change D = A(x) - A(x0) against each bound q, without a root or a maximum.

    l1 is the sum of |D_i|. l2 is compared by squares, sum D_i^2 against q^2, which says the same
    since both sides are at least 0 (a negative q is refused). For linf see `largest_change`. With
    `relative` the bounds count in units of the same norm of A(x0), which must not be 0.
    """
    norm = one_of(table.required("distance"), "l1 l2 linf")
    reference = setting.reference_components()
    limits = value_bounds(table)
    need(all(bound.limit >= 0 for bound in limits), "a negative bound")
    power = 2 if norm == "l2" else 1
    unit = reference_unit(table, norm, reference)
    limits = [bound._replace(limit=bound.limit**power * unit) for bound in limits]
    components = setting.explained.components
    change = [total([(form, 1)], -value)
              for form, value in zip(components, reference, strict=True)]
    if norm == "linf":
        return largest_change(change, limits)
    node = setting.graph.rows(change)
    changes = setting.graph.refs(node)
    items = squares(setting, node) if norm == "l2" else absolute(setting.graph, changes).items
    return within([total((item, 1) for item in items)], limits)


def reference_unit(table: TomlTable, norm: str, reference: list[Fraction]) -> Fraction:
    """The norm of A(x0) (its square for l2) if the bounds are relative to it, or else 1."""
    if not table.flag("relative"):
        return Fraction(1)
    need(any(reference), "relative to a reference that is zero")
    magnitudes = [abs(value) for value in reference]
    if norm == "linf":
        return max(magnitudes)
    return Fraction(sum(value ** (2 if norm == "l2" else 1) for value in magnitudes))


def squares(setting: PropertySetting, node: int) -> list[Form]:
    """The squares of the elements of a node."""
    return setting.graph.refs(setting.graph.op("M", node, node))


def largest_change(change: list[Form], limits: list[ValueBound]) -> Formula:
    """max |D_i| against every bound: the largest of all D_i and -D_i.

    It is at most (or below) q where all of them are, at least (or above) q where some one is.
    """
    sides = [total([(form, sign)]) for sign in (1, -1) for form in change]
    return all_of(
        AtLeastOf(1 if bound.sign > 0 else len(sides), tuple(bound.atom(side) for side in sides))
        for bound in limits)


KIND = PropertyKind("distance", ("relative", *BOUND_KEYS), build, never)
