"""`sign`: components keep the sign they have at the reference."""

from __future__ import annotations

from fractions import Fraction
from typing import Literal

from verifex.errors import InputError
from verifex.ir.fields import Count, Radius, Selection, under
from verifex.ir.formula import And, AtLeast, Atom, Form, Formula
from verifex.metrics.support.base import Family, Property, Said, conjunction
from verifex.metrics.support.setting import Setting


class Sign(Property):
    """`sign = "unchanged"`: A_i > 0 where A_i(x0) > 0 and A_i < 0 where A_i(x0) < 0.

    `which` restricts it to some components, `threshold` leaves out those with |A_i(x0)| below it,
    `at_least` asks for a number of them only. A component that is 0 at the reference is an error
    unless `zero` says to "ignore" it or to "keep" it at 0.
    """

    sign: Literal["unchanged"]
    which: Selection | None = None
    threshold: Radius = Fraction(0)
    zero: Literal["error", "ignore", "keep"] = "error"
    at_least: Count | None = None

    def scale_free(self) -> bool:
        return self.threshold == 0


def build(wanted: Sign, setting: Setting) -> Formula:
    """One strict atom a component with a sign, joined by and or by at-least."""
    parts = [
        part for i in _positions(wanted, setting) if (part := _kept(wanted, setting, i)) is not None
    ]
    if not parts:
        raise InputError("no component is left to compare", expected="at least one", key="sign")
    if wanted.at_least is None:
        return conjunction(parts)
    if wanted.at_least > len(parts):
        raise InputError(
            f"{wanted.at_least} of {len(parts)} components",
            expected=f"0..{len(parts)}",
            key="at_least",
        )
    return AtLeast(wanted.at_least, tuple(parts))


def _positions(wanted: Sign, setting: Setting) -> list[int]:
    """The positions (in the node of chosen components) that are compared."""
    explained = setting.explanation()
    if wanted.which is None:
        return list(range(len(explained.chosen)))
    with under("which"):
        position = {c: k for k, c in enumerate(explained.chosen)}
        picked = explained.names.select(wanted.which)
        for i in picked:
            if i not in position:
                name = explained.names.name(i)
                raise InputError(f"'{name}' is not explained", expected="a feature of [explain]")
        return [position[i] for i in picked]


def _kept(wanted: Sign, setting: Setting, index: int) -> Formula | None:
    """The atom that component `index` keeps its sign; None where it is left out."""
    (low, high), cell = setting.reference.ends(setting.components)[index], (
        setting.components, index)
    explained = setting.explanation()
    name = explained.names.name(explained.chosen[index])
    if max(abs(low), abs(high)) < wanted.threshold:
        return None
    if low != high and (low <= 0 <= high or min(abs(low), abs(high)) < wanted.threshold):
        raise InputError(
            f"component '{name}' has no certain sign, or size, at the reference: its value there "
            "is only known between bounds", expected="another point or threshold", key="sign")
    value = low
    if value == 0 and wanted.zero == "error":
        raise InputError(f"component '{name}' is 0 at the reference",
                         expected='zero = "ignore" or "keep"', key="sign")
    # Zero has no sign to keep, but it can be kept at zero.
    if value == 0:
        both = (Atom(Form.of({cell: 1})), Atom(Form.of({cell: -1})))
        return And(both) if wanted.zero == "keep" else None
    return Atom(Form.of({cell: 1 if value > 0 else -1}), strict=True)


def say(wanted: Sign, setting: Setting) -> Said:
    kept = [i for i in _positions(wanted, setting) if _kept(wanted, setting, i) is not None]
    count = len(kept) if wanted.at_least is None else wanted.at_least
    many = f"all {len(kept)}" if count == len(kept) else f"at least {count} of {len(kept)}"
    text = f"{many} components that are compared keep the sign that they have at x0"
    return Said(text, trivial="none of them has to" if count == 0 else "")


FAMILY = Family("sign", Sign, build, say)
