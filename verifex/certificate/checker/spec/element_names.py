"""Names of the elements of tensors."""

from __future__ import annotations

import fnmatch
import math
import re
from collections.abc import Sequence
from functools import reduce
from itertools import accumulate
from operator import lt
from typing import Any

from ..failures import need, pick
from .decimals import listed, shown

PLACE = re.compile(r"(.*)\[ *([0-9]{1,9}(?: *, *[0-9]{1,9})*) *\]", re.DOTALL)


class ElementNames:
    """Elements of tensors end to end: by position, name, place such as x[0, 3], or pattern."""

    def __init__(self, blocks: Sequence[tuple[str, Sequence[int]]], given: Sequence[str]) -> None:
        ends = list(accumulate((math.prod(shape) for _, shape in blocks), initial=0))
        self.blocks = [(k, at, shape) for (k, shape), at in zip(blocks, ends)]
        self.size, self.given = ends[-1], list(given)
        need(len(given) in (0, self.size), f"{len(given)} names of {self.size} features")
        need(len(set(given)) == len(given), "two features of a name")
        self.labels = self.given or [f"{k if len(blocks) > 1 else 'x'}[{i}]" for k, shape in blocks
                                     for i in range(math.prod(shape))]

    def find(self, key: Any) -> list[int]:
        need(type(key) in (int, str), f"{shown(key)} is no feature")
        if type(key) is int:
            return [pick(range(self.size), key, "feature")]
        if key in self.given:
            return [self.given.index(key)]
        for name, at, shape in self.blocks if len(self.blocks) > 1 else ():
            if key == name:
                return list(range(at, at + math.prod(shape)))
        place = PLACE.fullmatch(key)
        if place:
            return [self.at(place[1], list(map(int, place[2].split(","))))]
        found = [i for i, k in enumerate(self.labels)
                 if ("*" in key or "?" in key) and fnmatch.fnmatchcase(k, key)]
        need(found, f"no feature {key!r:.40}")
        return found

    def at(self, name: str, index: list[int]) -> int:
        """The element at an index of a tensor; leading dimensions of 1 may be left out."""
        only = self.blocks if name == "x" and len(self.blocks) == 1 else []
        found = [b for b in self.blocks if b[0] == name] or only
        need(found, f"no feature {name!r:.40}")
        _, start, shape = found[0]
        sides = list(shape) if len(index) > 1 else [math.prod(shape)]
        while len(sides) > len(index) and sides[0] == 1:
            sides.pop(0)
        need(len(sides) == len(index) and all(map(lt, index, sides)), "no such feature")
        return int(start + reduce(lambda flat, p: flat * p[1] + p[0], zip(index, sides), 0))

    def select(self, keys: Any) -> list[int]:
        return sorted({i for k in listed(keys) for i in self.find(k)})
