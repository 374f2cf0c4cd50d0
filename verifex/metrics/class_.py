"""`class`: which output is the largest, strictly."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, PlainValidator, WithJsonSchema

from verifex.errors import InputError
from verifex.ir.fields import show, suggestion, whole
from verifex.ir.formula import Atom, Form, Formula
from verifex.metrics.support.base import Family, Property, Said, conjunction
from verifex.metrics.support.setting import Setting

UNCHANGED = "unchanged"


def _wanted(value: object) -> int | str:
    return value if isinstance(value, str) else whole(value)


class Class(Property):
    """`class = "unchanged"`, a position, or a name of `[classes]`: f_c - f_j > 0 for every other
    output j.

    "unchanged" takes the class of the reference; if two outputs tie there, `tie = "index"` takes
    the lower position (the claim is then false at the reference itself).
    """

    class_: Annotated[
        int | str, PlainValidator(_wanted),
        WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "integer", "minimum": 0}]}),
    ] = Field(alias="class")
    tie: Literal["error", "index"] = "error"


def build(wanted: Class, setting: Setting) -> Formula:
    """f_c - f_j > 0 for all j != c."""
    if setting.classes < 2:
        raise InputError("the network has one output", expected="at least two", key="class")
    c = _position(wanted, setting)
    # Strictly: a tie means that the network has no class there.
    node = setting.logits
    others = [j for j in range(setting.classes) if j != c]
    return conjunction([Atom(Form.of({(node, c): 1, (node, j): -1}), True) for j in others])


def _position(wanted: Class, setting: Setting) -> int:
    """The class that is meant: a name comes of `[classes]`, never of the network's file."""
    c = wanted.class_
    if c == UNCHANGED:
        return setting.ranked_classes(wanted.tie)[0]
    if isinstance(c, str):
        if c not in setting.class_names:
            near = (suggestion(c, setting.class_names) if setting.class_names else
                    '"unchanged" or a class position')
            raise InputError(show(c), expected=near, key="class")
        return setting.class_names.index(c)
    if c >= setting.classes:
        raise InputError(f"class {c}", expected=f"0..{setting.classes - 1}", key="class")
    return c


def say(wanted: Class, setting: Setting) -> Said:
    """The claim with the class that it means, which `build` has found well defined."""
    verb = "stays" if wanted.class_ == UNCHANGED else "is"
    return Said(f"the class {verb} {setting.class_name(_position(wanted, setting))}")


FAMILY = Family("class", Class, build, say)
