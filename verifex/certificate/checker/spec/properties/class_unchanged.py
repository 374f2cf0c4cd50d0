"""`class`: f_c - f_j > 0 for every other output j."""

from __future__ import annotations

from ...failures import need, pick
from ...graph.forms import gap
from ..formulas import ClaimAtom, Formula, all_of
from ..setting import PropertySetting
from ..toml_values import TomlTable, whole_number
from .base import PropertyKind


def build(table: TomlTable, setting: PropertySetting) -> Formula:
    """The language's words as they are: one strict atom for every other output, by position.

    "unchanged" means the largest output at x0; a tie is refused unless the spec says "index". Any
    other word is a name of [classes], which stands at the place of its output.
    """
    logits, tie = setting.network.logits, table.word("tie", "error index")
    need(len(logits) > 1, "the network has one output")
    wanted = table.required("class")
    if wanted == "unchanged":
        winner = setting.reference.ranked(logits, 1, tie)[0]
    elif isinstance(wanted, str):
        need(wanted in setting.class_names, "no such name in [classes]")
        winner = setting.class_names.index(wanted)
    else:
        winner = whole_number(wanted)
    form = pick(logits, winner, "class")
    return all_of(ClaimAtom(gap(form, other), True)
                  for output, other in enumerate(logits) if output != winner)


KIND = PropertyKind("class", ("tie",), build)
