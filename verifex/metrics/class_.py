"""`class`: which output is the largest, strictly."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, PlainValidator, WithJsonSchema

from verifex.errors import InputError
from verifex.ir.fields import show, whole, wrong
from verifex.ir.formula import Atom, Form, Formula
from verifex.metrics.support.base import Family, Property, conjunction
from verifex.metrics.support.setting import Setting


def _wanted(value: object) -> int | str:
    if isinstance(value, str):
        if value != "unchanged":
            raise wrong(show(value), '"unchanged" or a class position')
        return value
    return whole(value)


class Class(Property):
    """`class = "unchanged"` or a position: f_c - f_j > 0 for every other output j.

    "unchanged" takes the class of the reference; if two outputs tie there, `tie = "index"` takes
    the lower position (the claim is then false at the reference itself).
    """

    class_: Annotated[
        int | str, PlainValidator(_wanted),
        WithJsonSchema({"anyOf": [{"const": "unchanged"}, {"type": "integer", "minimum": 0}]}),
    ] = Field(alias="class")
    tie: Literal["error", "index"] = "error"


def build(wanted: Class, setting: Setting) -> Formula:
    """f_c - f_j > 0 for all j != c."""
    if setting.classes < 2:
        raise InputError("the network has one output", expected="at least two", key="class")
    c = setting.ranked_classes(wanted.tie)[0] if isinstance(wanted.class_, str) else wanted.class_
    if c >= setting.classes:
        raise InputError(f"class {c}", expected=f"0..{setting.classes - 1}", key="class")
    # Strictly: a tie means that the network has no class there.
    node = setting.logits
    others = [j for j in range(setting.classes) if j != c]
    return conjunction([Atom(Form.of({(node, c): 1, (node, j): -1}), True) for j in others])


FAMILY = Family("class", Class, build)
