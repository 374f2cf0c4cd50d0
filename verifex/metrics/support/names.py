"""Names of features and components: looking them up, with errors that say what was meant."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cached_property
from math import prod

from verifex.errors import InputError
from verifex.ir.fields import suggestion, under

_INDEXED = re.compile(r"(.*)\[ *([0-9]{1,9}(?: *, *[0-9]{1,9})*) *\]", re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A tensor inside the flat vector: its name, where it starts, its shape."""

    name: str
    start: int
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Names:
    """The elements of a flat vector made of `blocks`; `given` names them all, or is empty."""

    blocks: tuple[Block, ...]
    given: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.given and len(self.given) != self.size:
            raise InputError(f"{len(self.given)} names", expected=f"{self.size}, one a feature")
        seen: set[str] = set()
        for name in self.given:
            if name in seen:
                raise InputError(f"two features are named '{name}'", expected="distinct names")
            seen.add(name)

    @cached_property
    def size(self) -> int:
        return sum(prod(b.shape) for b in self.blocks)

    @cached_property
    def _position(self) -> dict[str, int]:
        return {name: i for i, name in enumerate(self.given)}

    def name(self, index: int) -> str:
        """The name of an element, or its place such as `x[3]` or `left[0]`."""
        if self.given:
            return self.given[index]
        if len(self.blocks) == 1:
            return f"x[{index}]"
        block = max((b for b in self.blocks if b.start <= index), key=lambda b: b.start)
        return f"{block.name}[{index - block.start}]"

    def all_names(self) -> tuple[str, ...]:
        return tuple(self.name(i) for i in range(self.size))

    def indices(self, key: str | int) -> list[int]:
        """The elements that a name, a pattern, a place such as `x[0, 3]` or a position picks."""
        if isinstance(key, int):
            if not 0 <= key < self.size:
                raise InputError(f"position {key}", expected=f"0..{self.size - 1}")
            return [key]
        if key in self._position:
            return [self._position[key]]
        for b in self.blocks if len(self.blocks) > 1 else ():
            if key == b.name:
                return list(range(b.start, b.start + prod(b.shape)))
        # After the names: a given name may itself look like a place.
        place = _INDEXED.fullmatch(key)
        if place is not None:
            return [self._at(place[1], [int(p) for p in place[2].split(",")], key)]
        if "*" in key or "?" in key:
            found = [i for i in range(self.size) if fnmatchcase(self.name(i), key)]
            if found:
                return found
            raise InputError(f"no feature matches '{key}'", expected=suggestion(key, self._known))
        raise InputError(f"unknown feature '{key}'", expected=suggestion(key, self._known))

    @cached_property
    def _known(self) -> tuple[str, ...]:
        return self.given or tuple(self.name(i) for i in range(min(self.size, 1000)))

    def _at(self, name: str, index: list[int], key: str) -> int:
        """The element at `index` of a block (leading dimensions of 1 may be left out)."""
        blocks = [b for b in self.blocks if b.name == name]
        if not blocks and name == "x" and len(self.blocks) == 1:
            blocks = list(self.blocks)
        if not blocks:
            known = ["x"] if len(self.blocks) == 1 else [b.name for b in self.blocks]
            raise InputError(f"unknown feature '{key}'", expected=suggestion(name, known))
        block = blocks[0]
        shape = block.shape if len(index) > 1 else (prod(block.shape),)
        # x[2, 3] of a tensor (1, 1, 4, 4): batch and channel go without saying.
        while len(shape) > len(index) and shape[0] == 1:
            shape = shape[1:]
        if len(shape) != len(index) or any(i >= n for i, n in zip(index, shape, strict=True)):
            raise InputError(f"'{key}' is outside", expected=f"an element of {list(block.shape)}")
        flat = 0
        for i, n in zip(index, shape, strict=True):
            flat = flat * n + i
        return block.start + flat

    def one(self, key: str | int) -> int:
        """As `indices`, for a key that must pick exactly one element."""
        found = self.indices(key)
        if len(found) != 1:
            raise InputError(f"'{key}' picks {len(found)} features", expected="one")
        return found[0]

    def select(self, keys: Iterable[str | int]) -> list[int]:
        """The elements that the keys pick, each once, in the order of features, not of keys.

        Where the order of the keys counts, ask for `one` after the other.
        """
        picked: set[int] = set()
        for k, key in enumerate(keys):
            with under(f"[{k}]"):
                picked.update(self.indices(key))
        return sorted(picked)


def blocks_of(names: Sequence[str], shapes: Sequence[tuple[int, ...]]) -> tuple[Block, ...]:
    """Blocks one after the other."""
    at, out = 0, []
    for name, shape in zip(names, shapes, strict=True):
        out.append(Block(name, at, shape))
        at += prod(shape)
    return tuple(out)
