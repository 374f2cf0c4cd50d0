"""`output`: bounds of an output, a margin between two outputs, or any weighted sum of them."""

from __future__ import annotations

from verifex.ir.fields import OutputFunctional, under
from verifex.ir.formula import Formula
from verifex.metrics.support.base import (
    BoundedProperty,
    Family,
    Said,
    bounds_text,
)
from verifex.metrics.support.setting import Setting


class Output(BoundedProperty):
    """`output = "margin:1,0", at_least = 0.5`; above and below are strict."""

    output: OutputFunctional

    def scale_free(self) -> bool:
        return True


def build(wanted: Output, setting: Setting) -> Formula:
    """The functional of the outputs against its bounds."""
    with under("output"):
        weights = setting.output_weights(wanted.output)
        return setting.output_bounds(weights, wanted.bounds())


def say(wanted: Output, setting: Setting) -> Said:
    return Said(f"{setting.output_text(wanted.output)} is {bounds_text(wanted)}")


FAMILY = Family("output", Output, build, say)
