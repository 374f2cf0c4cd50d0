"""`output`: bounds of an output, a margin between two outputs, or any weighted sum of them."""

from __future__ import annotations

from verifex.ir.fields import OutputFunctional, under
from verifex.ir.formula import Formula
from verifex.metrics.support.base import Bounded, Family, conjunction, within
from verifex.metrics.support.setting import Setting


class Output(Bounded):
    """`output = "margin:1,0", at_least = 0.5`; above and below are strict."""

    output: OutputFunctional


def build(p: Output, s: Setting) -> Formula:
    """The functional of the outputs against its bounds."""
    with under("output"):
        form = s.output_form(p.output)
    return conjunction(within(form, p))


FAMILY = Family("output", Output, build)
