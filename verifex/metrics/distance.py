"""`distance`: how far the attribution moves from its reference, in the L1, L2 or Linf norm."""

from __future__ import annotations

from fractions import Fraction
from typing import Literal

from pydantic import StrictBool

from verifex.errors import InputError
from verifex.ir.fields import show
from verifex.ir.formula import And, Atom, Form, Formula, negate
from verifex.ir.graph import Builder
from verifex.ir.linmap import gather
from verifex.ir.ops import Concat
from verifex.metrics.support.base import Bounded, Family, conjunction, shifted
from verifex.metrics.support.setting import Setting, sum_form


class Distance(Bounded):
    """`distance = "l2", at_most = 0.2`: the norm of A(x) - A(x0) over the chosen components.

    `relative = true` measures in units of the same norm of A(x0), which must not be zero.
    """

    distance: Literal["l1", "l2", "linf"]
    relative: StrictBool = False


def build(p: Distance, s: Setting) -> Formula:
    """Every bound of the norm; a lower bound is the negation of an upper one."""
    if p.relative and not any(s.component_reference()):
        raise InputError("the reference is zero: nothing can be measured in units of its norm",
                         expected="another reference, or relative = false", key="relative")
    parts: list[Formula] = []
    for key, value in p.bounds():
        if value < 0:
            raise InputError(f"{show(value)} is negative", expected="a number >= 0", key=key)
        strict = key in ("below", "at_least")  # at_least t is "not below t"
        upper = _UPPER[p.distance](s, value, strict, p.relative)
        parts.append(upper if key in ("below", "at_most") else negate(upper))
    return conjunction(parts)


def _l1(s: Setting, bound: Fraction, strict: bool, relative: bool) -> Formula:
    """sum |A - A0| <= t, or t * sum |A0|."""
    if relative:
        bound *= sum(map(abs, s.component_reference()), Fraction(0))
    return Atom(shifted(-l1_form(s), bound), strict)


def _l2(s: Setting, bound: Fraction, strict: bool, relative: bool) -> Formula:
    """sum (A - A0)^2 <= t^2, or t^2 * sum A0^2."""
    limit = bound**2
    if relative:
        limit *= sum((a * a for a in s.component_reference()), Fraction(0))
    return Atom(shifted(-l2_squared_form(s), limit), strict)


def _linf(s: Setting, bound: Fraction, strict: bool, relative: bool) -> Formula:
    """-t <= A_i - A0_i <= t for every i, or t * max |A0|: two atoms a component, no extra nodes."""
    base = s.component_reference()
    if relative:
        bound *= max(map(abs, base))
    cells = [(Form.of({(s.components, i): 1}), a) for i, a in enumerate(base)]
    high = [Atom(shifted(-form, a + bound), strict) for form, a in cells]
    low = [Atom(shifted(form, bound - a), strict) for form, a in cells]
    return And((*high, *low))


_UPPER = {"l1": _l1, "l2": _l2, "linf": _linf}


def l1_form(s: Setting) -> Form:
    """||A - A0||_1 as a form."""
    node = s.builder.absolute(s.change())
    return sum_form(node, s.builder.node(node).size)


def l2_squared_form(s: Setting) -> Form:
    """||A - A0||_2 squared as a form, through a product node."""
    change = s.change()
    node = s.builder.mul(change, change)
    return sum_form(node, s.builder.node(node).size)


def linf_form(s: Setting) -> Form:
    """||A - A0||_inf as a form, through a tournament of maxima."""
    return Form.of({(maximum(s.builder, s.builder.absolute(s.change())), 0): 1})


def maximum(b: Builder, node: int) -> int:
    """A node of one element: the largest element of `node`, by max(u, v) = v + relu(u - v)."""
    node = b.affine(gather(b.shape(node), range(b.node(node).size)), node)
    while (n := b.node(node).size) > 1:
        half = n // 2
        first, second = (b.affine(gather((n,), range(k, k + half)), node) for k in (0, half))
        winner = b.sum([second, b.relu(b.sum([first, second], [1, -1]))])
        if n % 2:
            rest = b.affine(gather((n,), [n - 1]), node)
            winner = b.add(Concat(0), winner, rest)
        node = winner
    return node


FAMILY = Family("distance", Distance, build)
