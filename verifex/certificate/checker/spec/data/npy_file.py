"""NPY files: the exact numbers of an array of numpy."""

from __future__ import annotations

import math
import re
from fractions import Fraction
from typing import NamedTuple

from ...failures import MAX_SIZE, Bad, need, pick
from ...onnx.protobuf import reals

# The header as numpy writes it, of an array in C order: one text for one meaning.
HEADER = re.compile(r"\{'descr': '([<>|])([fiub])([1248])', 'fortran_order': False, 'shape': "
                    r"\((|[0-9]+,|[0-9]+(?:, ?[0-9]+)+,?)\)(?:, ?)?\} *\n?")
LETTERS = {"f2": "e", "f4": "f", "f8": "d", "i1": "b", "i2": "h", "i4": "i", "i8": "q",
           "u1": "B", "u2": "H", "u4": "I", "u8": "Q", "b1": "?"}
"""How `struct` writes an element type of numpy: floats, whole numbers, those from 0, truth."""
MAGIC, NUMBERS, NUMBERS_AND_TRUTHS = b"\x93NUMPY", "fiu", "fiub"


class StoredArray(NamedTuple):
    """The shape of an array and its packed elements, `letter` as `struct` writes their type."""

    shape: list[int]
    letter: str
    width: int
    packed: bytes


def stored_array(data: bytes, kinds: str) -> StoredArray:
    """The array in a .npy file whose element type is of these kinds."""
    need(data[:6] == MAGIC and len(data) > 12, "no .npy file")
    text_at = 12 if data[6] > 1 else 10  # its length stands before it, in 4 bytes or in 2
    start = text_at + int.from_bytes(data[8:text_at], "little")
    text = data[text_at:start].decode("latin-1")
    found = HEADER.fullmatch(text)
    if found is None:
        raise Bad(f"no plain .npy file: {text!r:.80}")
    order, kind, size, sides = found.groups()
    width = int(size)
    need(kind in kinds and kind + size in LETTERS and (order != "|" or width == 1),
         f"a .npy file of {kind}{size}")
    shape = [int(side) for side in re.findall("[0-9]+", sides)]
    need(len(data) - start >= math.prod(shape) * width, "a .npy file that is cut short")
    letter = order.strip("|") + LETTERS[kind + size]
    return StoredArray(shape, letter, width, data[start:])


def npy_numbers(data: bytes, row: int | None, kinds: str) -> list[Fraction]:
    """All numbers of a .npy file in C order, or those of one row (the first axis)."""
    array = stored_array(data, kinds)
    count, start = math.prod(array.shape), 0
    if row is not None:
        need(array.shape, "a number has no rows")
        pick(range(array.shape[0]), row, "row")
        count = math.prod(array.shape[1:])
        start = row * count * array.width
    need(count <= MAX_SIZE, "a .npy file that is too big")
    values = reals(array.packed[start : start + count * array.width], array.letter)
    need(len(values) == count, "a wrong .npy file")
    return values
