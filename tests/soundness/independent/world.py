"""What a claim can see: outputs and attributions at a point, and at the reference."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property

from tests.soundness.independent.network import Network
from tests.soundness.independent.program import Point, Program, State

Weights = Mapping[int, Fraction]
Numbers = tuple[Fraction, ...]


@dataclass(frozen=True)
class Explain:
    """`[explain]`: the attribution of a functional (weights of outputs; names are resolved).

    `shape` is (C, H * W) where channels are summed. `chosen` are the components that are ranked.
    """

    attribution: str
    weights: Weights
    reduce: str
    chosen: tuple[int, ...]
    shape: tuple[int, int] | None = None

    def components(self, seen: Seen) -> Numbers:
        """All components of the attribution, reduced."""
        a: Sequence[Fraction] = seen.gradient(self.weights)
        if self.attribution == "input_x_gradient":
            a = [x * g for x, g in zip(seen.state.point, a, strict=True)]
        if self.shape is not None and self.reduce.endswith("sum"):
            if self.reduce == "channel_abs_sum":
                a = [abs(v) for v in a]
            channels, rest = self.shape
            a = [sum((a[c * rest + k] for c in range(channels)), Fraction(0)) for k in range(rest)]
        if self.reduce in ("abs", "abs_channel_sum"):
            a = [abs(v) for v in a]
        return tuple(a)


@dataclass(frozen=True, eq=False)
class Seen:
    """The network at a point, on one side of every kink that the point lies on."""

    world: World
    state: State

    @cached_property
    def f(self) -> Numbers:
        return tuple(self.state.value(e) for e in self.world.outputs)

    @cached_property
    def _slopes(self) -> tuple[Numbers, ...]:
        return tuple(self.state.slope(e) for e in self.world.outputs)

    def functional(self, weights: Weights) -> Fraction:
        return sum((w * self.f[c] for c, w in weights.items()), Fraction(0))

    def gradient(self, weights: Weights) -> Numbers:
        return tuple(
            sum((w * self._slopes[c][i] for c, w in weights.items()), Fraction(0))
            for i in range(len(self.state.point))
        )

    @cached_property
    def every(self) -> Numbers:
        """All components."""
        return self.world.explain.components(self)

    @cached_property
    def a(self) -> Numbers:
        """The chosen components."""
        return tuple(self.every[i] for i in self.world.explain.chosen)


@dataclass(eq=False)
class World:
    """A network with what is explained, and the reference.

    `ill` says why the explanation itself is not defined, `vague` why its value at the reference is
    not; both are reasons for which a spec must be refused, and None where all is well.
    """

    program: Program
    outputs: tuple[int, ...]
    x0: Point
    explain: Explain
    zero: bool = False
    ill: str | None = None
    vague: str | None = None
    sides0: list[Seen] = field(default_factory=list)

    @staticmethod
    def of(net: Network, x0: Point, explain: Explain, zero: bool) -> World:
        outputs = tuple(e for t in net.outputs for e in t.elements)
        return World(net.program, outputs, x0, explain, zero)

    def settle(self, rng: random.Random) -> None:
        """Look at the reference: on which kinks it lies, and what its attribution is there."""
        self.sides0 = self.sides(self.x0, rng)
        if self.zero:
            shut = self.program.at(self.x0, shut=True)
            if any(getattr(self.program.steps[e - self.program.inputs], "shut", None) is None
                   for e in shut.kinks):
                self.zero = False  # the language says nothing about ties of Max and MaxPool
            else:
                self.sides0 = [Seen(self, shut)]
        if len({s.a for s in self.sides0}) > 1:
            self.vague = "the reference lies on a kink"

    def sides(self, x: Point, rng: random.Random) -> list[Seen]:
        """What can be seen at a point: one sight off all kinks."""
        return [Seen(self, state) for state in self.program.sides(x, rng)]

    @property
    def f0(self) -> Numbers:
        return self.sides0[0].f

    @property
    def a0(self) -> Numbers:
        return self.sides0[0].a


def ranked(values: Sequence[Fraction]) -> list[int]:
    """Positions by falling value, equal ones by rising position."""
    return sorted(range(len(values)), key=lambda i: (-values[i], i))
