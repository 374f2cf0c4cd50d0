"""`monotone`: an output never falls, or never rises, with a feature."""

from __future__ import annotations

from typing import Literal

from verifex.errors import InputError
from verifex.ir.fields import OutputFunctional, Selection, listed, under
from verifex.ir.formula import Atom, Form, Formula
from verifex.metrics.support.base import Family, Property, Said, conjunction
from verifex.metrics.support.setting import Setting
from verifex.semantics.vjp import gradients


class Monotone(Property):
    """`monotone = "increasing", feature = "age"`: the partial derivative is >= 0 everywhere.

    The output is that of [explain], or "predicted", unless `output` names another; of a head, the
    output of the file, not its logit. Not strict: a flat output is both increasing and decreasing.
    """

    monotone: Literal["increasing", "decreasing"]
    feature: Selection
    output: OutputFunctional | None = None

    def scale_free(self) -> bool:
        return True


def build(wanted: Monotone, setting: Setting) -> Formula:
    """The sign of d output / d feature, for every feature named."""
    with under("feature"):
        picked = setting.features.select(wanted.feature)
        if not picked:
            raise InputError("no feature is named", expected="at least one")
        setting.require_derivatives(picked)
    with under("output"):
        weights = setting.output_weights(wanted.output or setting.output)
        slopes = gradients(setting.builder, setting.gradient_of(weights), setting.inputs)
    sense = 1 if wanted.monotone == "increasing" else -1
    cells = [(node, k) for node in slopes for k in range(setting.builder.node(node).size)]
    return conjunction([Atom(Form.of({cells[i]: sense})) for i in picked])


def say(wanted: Monotone, setting: Setting) -> Said:
    names = [setting.features.name(i) for i in setting.features.select(wanted.feature)]
    what = setting.output_text(wanted.output or setting.output)
    never = "falls" if wanted.monotone == "increasing" else "rises"
    return Said(f"{what} never {never} when {listed(names, 'or')} grows")


FAMILY = Family("monotone", Monotone, build, say)
