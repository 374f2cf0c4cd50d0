"""Texts to be read: plain ones, whose meaning every reader must find, and nasty ones.

A text is made from a seed alone. Nasty texts are plain ones with one or two changes that files have
been seen with: byte order marks, carriage returns, digits of other scripts, quotes, and so on.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping

from tests.readings.text_made_claims import query, spec
from tests.readings.text_made_files import csv_file, npy_file
from tests.readings.text_pieces import Text, one_constraint, one_number

_MAKERS: Mapping[str, Callable[[random.Random], Text]] = {
    "number": one_number,
    "constraint": one_constraint,
    "csv": csv_file,
    "npy": npy_file,
    "toml": spec,
    "vnnlib1": lambda rng: query(rng, False),
    "vnnlib2": lambda rng: query(rng, True),
}
KINDS = tuple(_MAKERS)


def make(seed: int, number: int) -> Text:
    """The text of this number: kinds take turns."""
    rng = random.Random(f"{seed} {number}")
    return _MAKERS[KINDS[number % len(KINDS)]](rng)
