"""Bounds on what an untrusted model file may ask for; each is checked before memory is taken."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from verifex.errors import InputError


@dataclass(frozen=True)
class Limits:
    """What a model file may need.

    `max_bytes` counts the file (decompressed) and its external data; `max_elements` one tensor;
    `max_total` all tensors of the graph together; `max_fold` the multiplications spent on one
    constant step; `max_bits` the length of an exact constant's numerators and denominator.
    """

    max_bytes: int = 512 * 2**20
    max_elements: int = 2**26
    max_total: int = 2**28
    max_nodes: int = 100_000
    max_rank: int = 16
    max_fold: int = 2**24
    max_bits: int = 2**14

    def shape(self, dims: Sequence[int]) -> tuple[int, ...]:
        """The dimensions as a shape, refused where negative, too many or too large."""
        if len(dims) > self.max_rank:
            raise InputError(f"{len(dims)} dimensions", expected=f"at most {self.max_rank}")
        if any(d < 0 for d in dims):
            raise InputError(f"a negative dimension in {list(dims)}", expected="dimensions >= 0")
        if math.prod(dims) > self.max_elements:
            raise InputError(
                f"shape {list(dims)} has too many elements", expected=f"at most {self.max_elements}"
            )
        return tuple(int(d) for d in dims)
