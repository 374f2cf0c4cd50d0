"""Names of features and of components: positions, names, places such as x[0, 3], patterns."""

from __future__ import annotations

import fnmatch
import math
import re
from collections.abc import Sequence
from functools import cached_property
from typing import NamedTuple

from ..failures import need, pick
from .toml_values import as_list, shown

PLACE = re.compile(r"(.*)\[ *([0-9]{1,9}(?: *, *[0-9]{1,9})*) *\]", re.DOTALL)


def is_pattern(key: str) -> bool:
    return "*" in key or "?" in key


class NamedTensor(NamedTuple):
    """A tensor by its name in the network, and the position at which its elements begin."""

    name: str
    start: int
    shape: tuple[int, ...]

    @property
    def size(self) -> int:
        return math.prod(self.shape)


class ElementNames:
    """The elements of tensors laid end to end, each tensor in C order, and how texts name them.

    Names are compared as they are written, character by character.
    """

    def __init__(self, shapes: Sequence[tuple[str, Sequence[int]]], given: Sequence[str]) -> None:
        """`given`: the names that the data or the spec gives to the elements, all or none."""
        self.tensors: list[NamedTensor] = []
        self.size = 0
        for name, shape in shapes:
            self.tensors.append(NamedTensor(name, self.size, tuple(shape)))
            self.size += math.prod(shape)
        self.given = list(given)
        need(len(given) in (0, self.size), f"{len(given)} names of {self.size} features")
        need(len(set(given)) == len(given), "two features of a name")

    @cached_property
    def labels(self) -> list[str]:
        """What patterns are compared with: the given names, or a flat place in its tensor."""
        if self.given:
            return self.given
        several = len(self.tensors) > 1
        return [f"{tensor.name if several else 'x'}[{i}]"
                for tensor in self.tensors for i in range(tensor.size)]

    def find(self, key: object) -> list[int]:
        """The elements that a key names; refused if there is none.

        A given name comes before a place (a feature may be called "x[3]"), and before a pattern.
        """
        if type(key) is int:
            return [int(pick(range(self.size), key, "feature"))]
        need(isinstance(key, str), f"{shown(key)} is no feature")
        text = str(key)
        if text in self.given:
            return [self.given.index(text)]
        for tensor in self.tensors if len(self.tensors) > 1 else ():
            if text == tensor.name:
                return list(range(tensor.start, tensor.start + tensor.size))
        place = PLACE.fullmatch(text)
        if place:
            return [self.at_place(place[1], [int(index) for index in place[2].split(",")])]
        found = [i for i, label in enumerate(self.labels) if fnmatch.fnmatchcase(label, text)]
        need(is_pattern(text) and found, f"no feature {text!r:.40}")
        return found

    def at_place(self, name: str, index: Sequence[int]) -> int:
        """The element at an index: a flat one, or one of all sides but leading ones of 1."""
        alone = name == "x" and len(self.tensors) == 1
        named = [tensor for tensor in self.tensors if tensor.name == name]
        found = named or (self.tensors if alone else [])
        need(found, f"no feature {name!r:.40}")
        tensor = found[0]
        sides = list(tensor.shape) if len(index) > 1 else [tensor.size]
        while len(sides) > len(index) and sides[0] == 1:
            sides.pop(0)
        need(len(sides) == len(index), "no such feature")
        flat = 0
        for position, side in zip(index, sides, strict=True):
            need(position < side, "no such feature")
            flat = flat * side + position
        return tensor.start + flat

    def select(self, keys: object) -> list[int]:
        """The elements that a key or a list of keys names, rising and each once."""
        return sorted({element for key in as_list(keys) for element in self.find(key)})
