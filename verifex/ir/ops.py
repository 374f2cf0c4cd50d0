"""The closed set of core operations: frozen values without behaviour.

The set is closed under differentiation: d Affine is an Affine of the transposed maps, d Relu(z) is
Gate(Step(z), g), d Gate(d, v) is Gate(d, g), d Mul is two Mul, d Univariate is a Mul with the
derivative. Only TreeLeaves has none: what decision trees compute is constant between jumps.
What an op *means* is in the tables of `verifex.semantics`, one page a meaning.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

from verifex.ir.exact import Values, content_key
from verifex.ir.linmap import LinearMap, Shape
from verifex.ir.trees.forest import Forest


@dataclass(frozen=True)
class Input:
    """A network input of the given shape (no implicit batch axis)."""

    name: str
    shape: Shape


@dataclass(frozen=True, eq=False)
class Const:
    """A constant tensor."""

    value: Values

    @cached_property
    def key(self) -> bytes:
        return hashlib.blake2b(content_key(self.value), digest_size=16).digest()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Const) and self.key == other.key

    def __hash__(self) -> int:
        return hash(self.key)


@dataclass(frozen=True, eq=False)
class Affine:
    """`sum_i maps[i](args[i]) + bias`; `bias` has the output shape or is None."""

    maps: tuple[LinearMap, ...]
    bias: Values | None = None

    @cached_property
    def key(self) -> bytes:
        h = hashlib.blake2b(digest_size=16)
        for m in self.maps:
            h.update(m.key)
        h.update(b"-" if self.bias is None else content_key(self.bias))
        return h.digest()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Affine) and self.key == other.key

    def __hash__(self) -> int:
        return hash(self.key)


@dataclass(frozen=True)
class Relu:
    """`max(z, 0)` elementwise."""


@dataclass(frozen=True)
class Step:
    """The gate of `z`: 1 where z > 0, 0 elsewhere; at z = 0 a proof must allow both."""


@dataclass(frozen=True)
class Gate:
    """`d * v` where d is a gate (values 0 and 1 only)."""


@dataclass(frozen=True)
class Mul:
    """`v * w` elementwise."""


@dataclass(frozen=True)
class Concat:
    """Concatenation along `axis` (not negative)."""

    axis: int


@dataclass(frozen=True)
class Univariate:
    """A smooth scalar function applied elementwise, by its name.

    Which there are, and what they mean, say the files of `verifex.semantics.functions`; a table of
    meanings refuses a name that it does not find there.
    """

    name: str


@dataclass(frozen=True, eq=False)
class TreeLeaves:
    """Decision trees on a vector: 1 for the leaf of each tree that it falls into, 0 for all others.

    On a threshold it is what the comparison says: unlike gates, leaves have no kinks.
    """

    forest: Forest

    def __eq__(self, other: object) -> bool:
        return isinstance(other, TreeLeaves) and self.forest.key == other.forest.key

    def __hash__(self) -> int:
        return hash(self.forest.key)


Op: TypeAlias = Input | Const | Affine | Relu | Step | Gate | Mul | Concat | Univariate | TreeLeaves
OPS: tuple[type, ...] = (
    Input, Const, Affine, Relu, Step, Gate, Mul, Concat, Univariate, TreeLeaves)
