"""`component`: bounds of single components of the attribution."""

from __future__ import annotations

from verifex.errors import InputError
from verifex.ir.fields import Selection, listed, under
from verifex.ir.formula import Form, Formula
from verifex.metrics.support.base import (
    BoundedProperty,
    Family,
    Said,
    bounds_text,
    conjunction,
    within,
)
from verifex.metrics.support.setting import Setting


class Component(BoundedProperty):
    """`component = "age", at_most = 0.1`; several components must all keep the bounds."""

    component: Selection

    def scale_free(self) -> bool:
        return all(value == 0 for _, value in self.bounds())


def build(wanted: Component, setting: Setting) -> Formula:
    """Every selected component within the bounds."""
    explained = setting.explanation()
    with under("component"):
        picked = explained.names.select(wanted.component)
        if not picked:
            raise InputError("no component is named", expected="at least one")
        setting.require_derivatives(picked)
    forms = [Form.of({(explained.attribution, i): 1}) for i in picked]
    return conjunction([atom for form in forms for atom in within(form, wanted)])


def say(wanted: Component, setting: Setting) -> Said:
    names = setting.explanation().names
    picked = [names.name(i) for i in names.select(wanted.component)]
    verb = "is" if len(picked) == 1 else "are each"
    return Said(f"the attribution of {listed(picked)} {verb} {bounds_text(wanted)}")


FAMILY = Family("component", Component, build, say)
