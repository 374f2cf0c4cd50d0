"""What an attribution is, and what it is built from: the network as a function.

An attribution is a transform from graph to graph with a name, a source and a promise: copies of
the network, gradients, and sums of them. `NetworkFunction` offers these, so that a method is one
file that says its formula.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np

from verifex.errors import InputError
from verifex.ir.exact import ExactArray
from verifex.ir.fields import Fields
from verifex.ir.graft import copied
from verifex.ir.graph import Builder
from verifex.semantics.vjp import gradients

Tensors: TypeAlias = Sequence[int]
"""One node for each input of the network, of that input's shape: a point, or a gradient at one."""


@dataclass(frozen=True, eq=False)
class NetworkFunction:
    """The output functional F that is explained, as a function of the network's inputs.

    `output` is its node, of one element, and `inputs` are the nodes of x; both lie in `builder`,
    where everything that is asked of F grows. Equal nodes are there once: F at two points shares
    all that does not depend on the point, and asking twice for one thing costs nothing.

    `point` is the reference x0, flat and exact, None where the spec has none.
    """

    builder: Builder
    output: int
    inputs: tuple[int, ...]
    point: tuple[Fraction, ...] | None = None

    # --- the function ---------------------------------------------------------------------------

    def at(self, point: Tensors) -> int:
        """The node of F(point), of one element."""
        return self.copy([self.output], point)[0]

    @cached_property
    def gradient(self) -> list[int]:
        """Nodes of dF / dx at x, one for each input and of its shape."""
        return gradients(self.builder, self.output, self.inputs)

    def gradient_at(self, point: Tensors) -> list[int]:
        """The same at another point, which may depend on x; not differentiated through."""
        # Sound: differentiated at x first. A copy at a constant point is folded, and one at equal
        # nodes for two inputs merges them; neither could be differentiated by its inputs any more.
        return self.copy(self.gradient, point)

    def copy(self, nodes: Sequence[int], point: Tensors) -> list[int]:
        """Any nodes of the builder (hidden layers, say) as they are where x is `point`.

        Raises InputError where the point does not have a node of the right shape for each input.
        """
        if len(point) != len(self.inputs):
            raise InputError(f"{len(point)} inputs", expected=f"{len(self.inputs)}")
        return copied(self.builder, nodes, dict(zip(self.inputs, point, strict=True)))

    # --- points ---------------------------------------------------------------------------------

    def zeros(self) -> list[int]:
        """The point of which every element is zero."""
        shapes = [self.builder.shape(i) for i in self.inputs]
        return [self.builder.const(np.zeros(shape)) for shape in shapes]

    def constant(self, values: Sequence[Fraction]) -> list[int]:
        """A point from exact numbers: all inputs flat, one after the other."""
        sizes = [self.builder.node(i).size for i in self.inputs]
        if len(values) != sum(sizes):
            raise InputError(f"{len(values)} numbers", expected=f"{sum(sizes)}")
        out, start = [], 0
        for i, size in zip(self.inputs, sizes, strict=True):
            part = values[start : start + size]
            out.append(self.builder.const(ExactArray.from_numbers(part, self.builder.shape(i))))
            start += size
        return out

    def reference(self) -> list[int]:
        """The reference point as constants; InputError where the spec has none."""
        if self.point is None:
            raise InputError("a reference point is needed", expected="[input] point or data")
        return self.constant(self.point)

    # --- sums -----------------------------------------------------------------------------------

    def combine(
        self, points: Sequence[Tensors], factors: Sequence[int | Fraction] | None = None
    ) -> list[int]:
        """`sum_j factors[j] * points[j]`, input by input and exactly; without factors the sum."""
        return [self.builder.sum(terms, factors) for terms in zip(*points, strict=True)]

    def between(self, start: Tensors, end: Tensors, share: Fraction) -> list[int]:
        """The point `start + share * (end - start)`."""
        return self.combine([start, end], [1 - share, share])

    def times(self, left: Tensors, right: Tensors) -> list[int]:
        """The elementwise product, input by input."""
        return [self.builder.mul(a, b) for a, b in zip(left, right, strict=True)]


Build: TypeAlias = Callable[[NetworkFunction, Any], list[int]]
"""(network, options) -> one node for each input, of that input's shape."""


class NoOptions(Fields):
    """An attribution without options."""


@dataclass(frozen=True)
class Attribution:
    """`kind` is "exact" (the nodes are the attribution) or "bounded" (they enclose it).

    `local`: it is linear in the gradient at x alone, so that where the gradient is multiplied by a
    positive number that depends on x, it is too. So it can explain a probability by its logit.
    """

    name: str
    build: Build
    source: str
    kind: str = "exact"
    aliases: tuple[str, ...] = ()
    options: type[Fields] = NoOptions
    local: bool = False
