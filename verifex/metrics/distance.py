"""`distance`: how far the attribution moves from its reference, in the L1, L2 or Linf norm."""

from __future__ import annotations

from fractions import Fraction
from typing import Literal

from pydantic import StrictBool

from verifex.errors import InputError
from verifex.ir.fields import show
from verifex.ir.formula import And, Atom, Form, Formula, negate, shifted
from verifex.ir.graph import Builder
from verifex.ir.linmap import gather
from verifex.ir.ops import Concat
from verifex.metrics.support.base import (
    BoundedProperty,
    Family,
    Said,
    bounds_text,
    conjunction,
)
from verifex.metrics.support.setting import Setting, sum_form


class Distance(BoundedProperty):
    """`distance = "l2", at_most = 0.2`: the norm of A(x) - A(x0) over the chosen components.

    `relative = true` measures in units of the same norm of A(x0), which must not be zero.
    """

    distance: Literal["l1", "l2", "linf"]
    relative: StrictBool = False


def build(wanted: Distance, setting: Setting) -> Formula:
    """Every bound of the norm; a lower bound is the negation of an upper one."""
    if wanted.relative and not any(setting.component_reference()):
        raise InputError("the reference is zero: nothing can be measured in units of its norm",
                         expected="another reference, or relative = false", key="relative")
    parts: list[Formula] = []
    for key, value in wanted.bounds():
        if value < 0:
            raise InputError(f"{show(value)} is negative", expected="a number >= 0", key=key)
        strict = key in ("below", "at_least")  # at_least t is "not below t"
        upper = _UPPER[wanted.distance](setting, value, strict, wanted.relative)
        parts.append(upper if key in ("below", "at_most") else negate(upper))
    return conjunction(parts)


def _l1(setting: Setting, bound: Fraction, strict: bool, relative: bool) -> Formula:
    """sum |A - A0| <= t, or t * sum |A0|."""
    if relative:
        bound *= sum(map(abs, setting.component_reference()), Fraction(0))
    return Atom(shifted(-l1_form(setting), bound), strict)


def _l2(setting: Setting, bound: Fraction, strict: bool, relative: bool) -> Formula:
    """sum (A - A0)^2 <= t^2, or t^2 * sum A0^2."""
    limit = bound**2
    if relative:
        limit *= sum((a * a for a in setting.component_reference()), Fraction(0))
    return Atom(shifted(-l2_squared_form(setting), limit), strict)


def _linf(setting: Setting, bound: Fraction, strict: bool, relative: bool) -> Formula:
    """-t <= A_i - A0_i <= t for every i, or t * max |A0|: two atoms a component, no extra nodes."""
    base = setting.component_reference()
    if relative:
        bound *= max(map(abs, base))
    cells = [(Form.of({(setting.components, i): 1}), a) for i, a in enumerate(base)]
    high = [Atom(shifted(-form, a + bound), strict) for form, a in cells]
    low = [Atom(shifted(form, bound - a), strict) for form, a in cells]
    return And((*high, *low))


_UPPER = {"l1": _l1, "l2": _l2, "linf": _linf}


def l1_form(setting: Setting) -> Form:
    """||A - A0||_1 as a form."""
    node = setting.builder.absolute(setting.change())
    return sum_form(node, setting.builder.node(node).size)


def l2_squared_form(setting: Setting) -> Form:
    """||A - A0||_2 squared as a form, through a product node."""
    change = setting.change()
    node = setting.builder.mul(change, change)
    return sum_form(node, setting.builder.node(node).size)


def linf_form(setting: Setting) -> Form:
    """||A - A0||_inf as a form, through a tournament of maxima."""
    return Form.of({(maximum(setting.builder, setting.builder.absolute(setting.change())), 0): 1})


def maximum(builder: Builder, node: int) -> int:
    """A node of one element: the largest element of `node`, by max(u, v) = v + relu(u - v)."""
    node = builder.affine(gather(builder.shape(node), range(builder.node(node).size)), node)
    while (n := builder.node(node).size) > 1:
        # The first half against the second: as few gates in a row as can be.
        half = n // 2
        first, second = (builder.affine(gather((n,), range(k, k + half)), node) for k in (0, half))
        winner = builder.sum([second, builder.relu(builder.sum([first, second], [1, -1]))])
        if n % 2:
            rest = builder.affine(gather((n,), [n - 1]), node)
            winner = builder.add(Concat(0), winner, rest)
        node = winner
    return node


def say(wanted: Distance, setting: Setting) -> Said:
    unit = f" times the {wanted.distance} norm of A(x0)" if wanted.relative else ""
    text = f"the {wanted.distance} norm of A(x) - A(x0) is {bounds_text(wanted, unit)}"
    sure = all(key == "at_least" and value == 0 for key, value in wanted.bounds())
    return Said(text, trivial="no norm is below 0" if sure else "")


FAMILY = Family("distance", Distance, build, say)
