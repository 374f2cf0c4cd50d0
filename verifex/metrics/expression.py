"""`expression`: bounds of anything whose range `bound` finds, such as `norm:l1` or `margin:1,0`.

What there is, is listed in `verifex/expressions.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from pydantic import StrictStr
from pydantic_core import PydanticCustomError

from verifex.errors import InputError
from verifex.ir.fields import Functional, functional, suggestion, under
from verifex.ir.formula import Form, Formula
from verifex.ir.linmap import gather
from verifex.metrics.distance import l1_form, l2_squared_form, linf_form, maximum
from verifex.metrics.mass import mask_positions
from verifex.metrics.support.base import (
    BoundedProperty,
    Family,
    Said,
    bounds_text,
    conjunction,
    within,
)
from verifex.metrics.support.setting import Setting, sum_form


class BoundedExpression(BoundedProperty):
    """`expression = "norm:l1", at_most = 2`: the ends of a range are such claims."""

    expression: StrictStr

    def scale_free(self) -> bool:
        return True  # or refused by `expression_form`


def build(wanted: BoundedExpression, setting: Setting) -> Formula:
    """The expression against its bounds."""
    with under("expression"):
        output = _output_named(wanted.expression.strip(" "), setting)
        if output is not None:
            weights = setting.output_weights(output)
            return setting.output_bounds(weights, wanted.bounds())
        zero = all(value == 0 for _, value in wanted.bounds())
        form, _ = expression_form(wanted.expression, setting, bounded_by_zero=zero)
    return conjunction(within(form, wanted))


def expression_form(
    text: str, setting: Setting, *, bounded_by_zero: bool = False
) -> tuple[Form, str]:
    """What an expression means, as a form over the growing graph, and in words.

    Refused is what depends on the scale of a probability's attribution; a single component does
    not where all that is asked is its sign.
    """
    whole = text.strip(" ")
    head, _, tail = whole.partition(":")
    output = _output_named(whole, setting)
    if output is not None:
        return setting.output_form(output), "the explained output" if head == "output" else whole
    if head == "class-margin":
        return _class_margin(tail.strip(" "), setting, bounded_by_zero)
    if head in _ATTRIBUTED:
        if head != "component" or not bounded_by_zero:
            setting.need_scale(head)
        return _ATTRIBUTED[head](tail.strip(" "), setting)
    if head in COMPARED:
        raise InputError(f"{head} is no linear expression",
                         expected=f"the property {COMPARED[head]}, for `verify`")
    if setting.explained is not None and whole in setting.explanation().names.given:
        raise InputError("unknown expression", expected=f"component:{whole} for its attribution")
    known = [*KINDS, *OUTPUTS, *COMPARED]
    raise InputError("unknown expression", expected=suggestion(head, known))


def _component(tail: str, setting: Setting) -> tuple[Form, str]:
    explained = setting.explanation()
    i = explained.names.one(_feature(tail, setting))
    setting.require_derivatives([i])
    return Form.of({(explained.attribution, i): 1}), f"component {explained.names.name(i)}"


def _output_named(text: str, setting: Setting) -> Functional | None:
    """The functional of the outputs that an expression is, if it is one."""
    head, _, tail = text.partition(":")
    if head == "output":
        if tail.strip(" "):
            raise InputError(f"'{tail.strip(' ')}' after output", expected="nothing, or logit:c")
        return setting.output
    if head not in OUTPUTS:
        return None
    try:
        return functional(text)
    except PydanticCustomError as error:
        context = error.context or {}
        raise InputError(context["what"], expected=context["expected"]) from None


def _class_margin(tail: str, setting: Setting, zero: bool) -> tuple[Form, str]:
    """f_c - max over the others: one form, so that its range is a search like any other.

    Of a head it is that of the logits where only its sign is asked (`zero`), and where it is a
    difference of logarithms, which is the same number.
    """
    if setting.classes < 2:
        raise InputError("the network has one output", expected="logit:0")
    text = f"logit:{tail or 'predicted'}"
    try:
        ((c, _),) = setting.output_weights(functional(text)).items()
    except PydanticCustomError:
        raise InputError(f"'{tail}' is no class", expected="class-margin or class-margin:c"
                         ) from None
    same = zero or (setting.head is not None and setting.head.kind == "log_softmax")
    builder, node = setting.builder, setting.logits if same else setting.outputs
    others = [j for j in range(setting.classes) if j != c]
    rest = builder.affine(gather(builder.shape(node), others), node)
    form = Form.of({(node, c): 1, (maximum(builder, rest), 0): -1})
    return form, f"output {c} less the largest other"


def _distance(tail: str, setting: Setting) -> tuple[Form, str]:
    forms = {"l1": l1_form, "linf": linf_form, "l2_squared": l2_squared_form}
    return _norm_of(tail)(forms, setting), f"distance to the reference, {tail}"


def _norm(tail: str, setting: Setting) -> tuple[Form, str]:
    forms = {"l1": _l1_norm, "linf": _linf_norm, "l2_squared": _l2_squared_norm}
    return _norm_of(tail)(forms, setting), f"norm of the attribution, {tail}"


def _norm_of(tail: str) -> Callable[[Mapping[str, Callable[[Setting], Form]], Setting], Form]:
    """Picks the form of the norm called `tail`."""

    def pick(forms: Mapping[str, Callable[[Setting], Form]], setting: Setting) -> Form:
        if tail not in forms:
            what = "the L2 norm is not rational" if tail == "l2" else f"unknown norm '{tail}'"
            raise InputError(what, expected=f"one of {', '.join(forms)}")
        return forms[tail](setting)

    return pick


def _l1_norm(setting: Setting) -> Form:
    return sum_form(setting.magnitude, setting.builder.node(setting.magnitude).size)


def _linf_norm(setting: Setting) -> Form:
    return Form.of({(maximum(setting.builder, setting.magnitude), 0): 1})


def _l2_squared_norm(setting: Setting) -> Form:
    node = setting.builder.mul(setting.components, setting.components)
    return sum_form(node, setting.builder.node(node).size)


def _mass(tail: str, setting: Setting) -> tuple[Form, str]:
    parts = [part.strip(" ") for part in tail.split(",")]
    inside = mask_positions(tuple(_feature(p, setting) for p in parts if p), setting)
    return Form.of({(setting.magnitude, i): 1 for i in inside}), f"absolute attribution in {tail}"


def _feature(text: str, setting: Setting) -> str | int:
    """A feature as a key: digits are a position, unless a feature is called so."""
    digits = text.isascii() and text.isdigit() and len(text) < 10
    return int(text) if digits and text not in setting.explanation().names.given else text


_ATTRIBUTED: Mapping[str, Callable[[str, Setting], tuple[Form, str]]] = {
    "component": _component, "distance": _distance, "norm": _norm, "mass": _mass,
}
"""The expressions that read the attribution."""

KINDS = ("component", "class-margin", "output", "distance", "norm", "mass")
COMPARED = {"cosine": 'similarity = "cosine"', "overlap": "top_k with overlap_at_least"}
"""Expressions of `bound` that are no linear forms: properties compare them with one bound."""
OUTPUTS = ("logit", "margin", "predicted", "sum")


def say(wanted: BoundedExpression, setting: Setting) -> Said:
    return Said(f"{wanted.expression.strip(' ')} is {bounds_text(wanted)}")


FAMILY = Family("expression", BoundedExpression, build, say)
