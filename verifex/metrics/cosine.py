"""`similarity`: the cosine of the angle between the attribution and its reference."""

from __future__ import annotations

from fractions import Fraction
from typing import Literal

from pydantic import field_validator

from verifex.errors import InputError
from verifex.ir.exact import ExactArray
from verifex.ir.fields import Exact, show, wrong
from verifex.ir.formula import And, Atom, Form, Formula, Or
from verifex.ir.linmap import Diag, total
from verifex.metrics.support.base import Family, Ratio, Said
from verifex.metrics.support.setting import Setting, sum_form


class Similarity(Ratio):
    """`similarity = "cosine", at_least = 0.9`: <A, A0> / (|A| |A0|) over the chosen components.

    An attribution that is zero has no direction: the cosine is undefined there (see `Ratio`). A
    reference that is zero is an error.
    """

    similarity: Literal["cosine"]
    at_least: Exact

    @field_validator("at_least")
    @classmethod
    def _in_range(cls, coef: Fraction) -> Fraction:
        if not -1 <= coef <= 1:
            raise wrong(f"{show(coef)} is no cosine", "a number from -1 to 1")
        return coef

    def scale_free(self) -> bool:
        return True

    def at_zero(self) -> bool:
        """Cross-multiplied, everything is zero there: dot > 0 fails, dot >= 0 holds."""
        return self.at_least <= 0


def build(wanted: Similarity, setting: Setting) -> Formula:
    """Cross-multiplied, with dot = <A, A0>: no division, and right wherever A is not zero.

    c > 0: dot > 0 and dot^2 >= c^2 |A0|^2 |A|^2.   c = 0: dot >= 0.
    c < 0: dot >= 0 or dot^2 <= c^2 |A0|^2 |A|^2.
    """
    c, base = wanted.at_least, setting.component_reference()
    length = sum((a * a for a in base), Fraction(0))
    if length == 0:
        raise InputError("the reference is zero: it has no direction", key="similarity")
    dot = Form.of({(setting.components, i): a for i, a in enumerate(base)})
    # No square is needed for a right angle, and so no product.
    if c == 0:
        return Atom(dot)
    gap = _gap(setting, base, c * c * length)
    if c > 0:
        return And((Atom(dot, strict=True), Atom(gap)))
    return Or((Atom(dot), Atom(-gap)))


def _gap(setting: Setting, base: tuple[Fraction, ...], factor: Fraction) -> Form:
    """dot^2 - factor * |A|^2 as a form, through product nodes."""
    b, node = setting.builder, setting.components
    shape = b.shape(node)
    weights = Diag(shape, shape, ExactArray.from_numbers(base, shape))
    # One component that is 1 at the reference is the dot product itself: equal values, one node.
    dot = node if list(base) == [1] else b.affine(total(shape), b.affine(weights, node))
    squares = sum_form(b.mul(node, node), b.node(node).size)
    terms, square = {cell: -factor * k for cell, k in squares.terms}, (b.mul(dot, dot), 0)
    return Form.of({**terms, square: terms.get(square, 0) + 1})


def say(wanted: Similarity, setting: Setting) -> Said:
    text = f"the cosine of A(x) and A(x0) is at least {show(wanted.at_least)}"
    return Said(text, trivial="no cosine is below -1" if wanted.at_least == -1 else "")


FAMILY = Family("similarity", Similarity, build, say)
