"""Functionals: the weighted sum of outputs that "predicted", "logit:2" or "margin:1,0" means."""

from __future__ import annotations

import re
from collections.abc import Sequence
from fractions import Fraction

from ...failures import need, pick
from ...graph.forms import ONE, Form
from ..reference import ReferencePoint
from ..toml_values import TomlTable, number_list, shown

SIGNS = {"logit": (1,), "margin": (1, -1)}
"""logit:c is output c, margin:c,j is output c minus output j."""
PLACES = {"predicted": 0, "runner_up": 1}
"""The outputs by their place in the ranking at x0."""


def weights_of(
    value: object, logits: Sequence[Form], reference: ReferencePoint
) -> list[Fraction]:
    """The weight of each output in a functional as [explain], `output` and `monotone` write it.

    Order is that of the logits, which is that of the outputs (`claimed.py`).
    """
    if isinstance(value, dict):
        weights = TomlTable(value, ("weights",)).required("weights")
        return number_list(weights, len(logits))
    need(isinstance(value, str), f"{shown(value)} is no functional")
    if value == "sum":
        return [ONE] * len(logits)
    kind, _, tail = ("logit:predicted" if value == "predicted" else str(value)).partition(":")
    words = [word.strip(" ") for word in tail.split(",")]
    signs = SIGNS.get(kind, ())
    need(len(words) == len(signs) and all(map(is_output, words)), f"no functional {value!r:.40}")
    outputs = [output_of(word, logits, reference) for word in words]
    need(len(set(outputs)) == len(outputs), "the margin of an output with itself")
    for output in outputs:
        pick(logits, output, "output")
    found = dict(zip(outputs, signs, strict=True))
    return [Fraction(found.get(output, 0)) for output in range(len(logits))]


def is_output(word: str) -> bool:
    """Whether a word names an output: by its position, in digits from 0 to 9, or by its place."""
    return word in PLACES or re.fullmatch("[0-9]{1,9}", word) is not None


def output_of(word: str, logits: Sequence[Form], reference: ReferencePoint) -> int:
    """The output that a word names.

    The predicted output is the only largest one at x0, the runner-up the only largest of the
    others: ties are refused, for either answer would be a guess. A single output is the predicted
    one, even without a reference.
    """
    if word not in PLACES:
        return int(word)
    place = PLACES[word]
    if len(logits) == 1:
        need(place == 0, "a runner-up of one output")
        return 0
    for first in range(1, place + 2):
        order = reference.ranked(logits, first)
    return order[place]
