"""`class`: which output is the largest, strictly, or where a single one lies of a threshold."""

from __future__ import annotations

from fractions import Fraction
from typing import Annotated, Literal

from pydantic import Field, PlainValidator, WithJsonSchema

from verifex.errors import InputError
from verifex.ir.fields import Exact, show, suggestion, under, whole
from verifex.ir.formula import Atom, Form, Formula
from verifex.metrics.support.base import Family, Property, Said, conjunction
from verifex.metrics.support.heads import HALF
from verifex.metrics.support.setting import Setting

UNCHANGED = "unchanged"


def _wanted(value: object) -> int | str:
    return value if isinstance(value, str) else whole(value)


class Class(Property):
    """`class = "unchanged"`, a position, or a name of `[classes]`: f_c - f_j > 0 for every other
    output j.

    "unchanged" takes the class of the reference; if two outputs tie there, `tie = "index"` takes
    the lower position (the claim is then false at the reference itself).

    A network of one output has two classes: 1 where the output is above `threshold`, 0 where it is
    below. Left out, that is 1/2 for a sigmoid and 0 otherwise.
    """

    class_: Annotated[
        int | str, PlainValidator(_wanted),
        WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "integer", "minimum": 0}]}),
    ] = Field(alias="class")
    tie: Literal["error", "index"] = "error"
    threshold: Exact | None = None

    def scale_free(self) -> bool:
        return True


def build(wanted: Class, setting: Setting) -> Formula:
    """f_c - f_j > 0 for all j != c; of a single output f > t for class 1, f < t for class 0."""
    setting.need_one_row()
    if wanted.threshold is not None and setting.classes > 1:
        raise InputError(f"the network has {setting.classes} outputs, of which the largest counts",
                         expected="no threshold", key="threshold")
    c = _position(wanted, setting)
    # Strictly: a tie means that the network has no class there.
    if setting.classes == 1:
        threshold = _threshold(wanted.threshold, setting)
        setting.builder.notes.append(
            f"one output, two classes: class 1 where it is above {show(threshold)}, class 0 below")
        bound = ("above" if c else "below"), threshold
        with under("threshold"):
            return setting.output_bounds({0: Fraction(1)}, [bound])
    node = setting.logits
    others = [j for j in range(setting.classes) if j != c]
    return conjunction([Atom(Form.of({(node, c): 1, (node, j): -1}), True) for j in others])


def _threshold(given: Fraction | None, setting: Setting) -> Fraction:
    """What divides the two classes of a single output, if nothing is said: where the logit of a
    sigmoid is 0, and else 0 itself."""
    if given is not None:
        return given
    return HALF if setting.head is not None and setting.head.kind == "sigmoid" else Fraction(0)


def _position(wanted: Class, setting: Setting) -> int:
    """The class that is meant: a name comes of `[classes]`, never of the network's file."""
    c = wanted.class_
    if c == UNCHANGED:
        return predicted(setting, wanted.tie, wanted.threshold)
    if isinstance(c, str):
        if c not in setting.class_names:
            near = (suggestion(c, setting.class_names) if setting.class_names else
                    '"unchanged" or a class position')
            raise InputError(show(c), expected=near, key="class")
        return setting.class_names.index(c)
    if c >= setting.class_count:
        raise InputError(f"class {c}", expected=f"0..{setting.class_count - 1}", key="class")
    return c


def predicted(setting: Setting, tie: str = "error", threshold: Fraction | None = None) -> int:
    """The class of the reference; InputError where it has none, unless `tie` is "index"."""
    if setting.classes > 1:
        return setting.ranked_classes(tie)[0]
    line = _threshold(threshold, setting)
    (low, high), = setting.reference.ends(setting.logits)
    least, most = setting.limit_of_output("at_least", line)
    if low > most or high < least:
        return int(low > most)
    if low == high == least == most:
        if tie == "index":
            return 0
        raise InputError(f"the output is exactly {show(line)} at the reference",
                         expected='another point, or tie = "index"', key="class")
    raise InputError(f"the output is too near to {show(line)} at the reference to be told from it",
                     expected="another point or threshold", key="class")


def say(wanted: Class, setting: Setting) -> Said:
    """The claim with the class that it means, which `build` has found well defined."""
    verb = "stays" if wanted.class_ == UNCHANGED else "is"
    text = f"the class {verb} {setting.class_name(_position(wanted, setting))}"
    if setting.classes > 1:
        return Said(text)
    line = show(_threshold(wanted.threshold, setting))
    return Said(f"{text} (1 where the output is above {line})")


FAMILY = Family("class", Class, build, say)
