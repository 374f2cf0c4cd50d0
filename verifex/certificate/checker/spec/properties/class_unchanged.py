"""`class`: f_c - f_j > 0 for every other output j; the side of a threshold for a single one."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

from ...failures import need, pick
from ...graph.forms import gap
from ...onnx.operator_call import SIGMOID
from ..formulas import ClaimAtom, Formula, ValueBound, all_of
from ..outputs.claimed import HALF
from ..outputs.log_odds import Ends, where_sigmoid_is
from ..setting import PropertySetting
from ..toml_values import TomlTable, whole_number
from .base import SENSES, PropertyKind, always


def build(table: TomlTable, setting: PropertySetting) -> Formula:
    """The language's words as they are: one strict atom for every other output, by position.

    "unchanged" means the largest output at x0; a tie is refused unless the spec says "index". Any
    other word is a name of [classes], which stands at the place of its output.
    """
    logits = setting.network.logits
    need(setting.network.one_row, "a class of an output of several rows")
    if len(logits) == 1:
        return build_of_one(table, setting)
    need(not table.present("threshold"), "threshold: of several outputs")
    winner = class_of(
        table, setting, lambda tie: setting.reference.ranked(logits, 1, tie)[0])
    form = pick(logits, winner, "class")
    return all_of(ClaimAtom(gap(form, other), True)
                  for output, other in enumerate(logits) if output != winner)


def build_of_one(table: TomlTable, setting: PropertySetting) -> Formula:
    """Of a single output f: class 1 is f > t, class 0 is f < t.

    t is `threshold`; left out it is 1/2 for a sigmoid, whose logit is 0 there, and else 0.
    """
    outputs = setting.network.outputs
    given = table.number("threshold") if table.present("threshold") else None
    line = (HALF if outputs.head == SIGMOID else Fraction(0)) if given is None else given

    def bound(winner: int) -> Formula:
        need(winner < 2, f"no class {winner}")
        sense = SENSES["above" if winner else "below"]
        return setting.output_bounds({"weights": [1]}, [ValueBound(*sense, line)])

    def at_reference(tie: str) -> int:
        (value,) = setting.reference.values(setting.network.logits)
        low, high = (line, line) if not outputs.head else places(line)
        if low == value == high:
            need(tie == "index", "a tie at the reference")
            return 0
        need(value < low or value > high, "the threshold is too near at the reference")
        return int(value > high)

    return bound(class_of(table, setting, at_reference))


def places(share: Fraction) -> Ends:
    """The ends around the logit at which a sigmoid has this value."""
    need(0 < share < 1, "threshold: no value of a sigmoid")
    return where_sigmoid_is(share)


def class_of(
    table: TomlTable, setting: PropertySetting, at_reference: Callable[[str], int]
) -> int:
    """The class that is meant: that of the reference, one of [classes], or a position."""
    wanted, tie = table.required("class"), table.word("tie", "error index")
    if wanted == "unchanged":
        return at_reference(tie)
    if isinstance(wanted, str):
        need(wanted in setting.class_names, "no such name in [classes]")
        return setting.class_names.index(wanted)
    return whole_number(wanted)


KIND = PropertyKind("class", ("tie", "threshold"), build, always)
