"""`monotone`: an output never falls, or never rises, with a feature."""

from __future__ import annotations

from typing import Literal

from verifex.errors import InputError
from verifex.ir.fields import OutputFunctional, Selection, under
from verifex.ir.formula import Atom, Form, Formula
from verifex.metrics.support.base import Family, Property, conjunction
from verifex.metrics.support.setting import Setting, functional_node
from verifex.semantics.vjp import gradients


class Monotone(Property):
    """`monotone = "increasing", feature = "age"`: the partial derivative is >= 0 everywhere.

    The output is that of [explain], or "predicted", unless `output` names another. Not strict: a
    flat output is both increasing and decreasing.
    """

    monotone: Literal["increasing", "decreasing"]
    feature: Selection
    output: OutputFunctional | None = None


def build(p: Monotone, s: Setting) -> Formula:
    """The sign of d output / d feature, for every feature named."""
    with under("feature"):
        picked = s.features.select(p.feature)
        if not picked:
            raise InputError("no feature is named", expected="at least one")
    with under("output"):
        weights = s.output_weights(p.output or s.output)
        slopes = gradients(s.builder, functional_node(s.builder, s.logits, weights), s.inputs)
    sense = 1 if p.monotone == "increasing" else -1
    cells = [(node, k) for node in slopes for k in range(s.builder.node(node).size)]
    return conjunction([Atom(Form.of({cells[i]: sense})) for i in picked])


FAMILY = Family("monotone", Monotone, build)
