"""Random small networks, by the shares: layers, pooling, residuals, tied and dead units, scales.

`tweak` changes weights as they are drawn: drawn again from the same seed with another `tweak`, a
network is another one of the same shape, close to the first.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from fractions import Fraction
from math import prod

import numpy as np

from tests.soundness.independent.network import Network, Tensor
from tests.soundness.independent.program import Point
from tests.soundness.independent.shares import draw

MOST_GATES = 10
SHAPES: dict[str, tuple[tuple[str, tuple[int, ...]], ...]] = {
    "one": (("x", (1, 1)),), "two": (("x", (1, 2)),), "three": (("x", (1, 3)),),
    "four": (("x", (1, 4)),), "pair": (("left", (1, 2)), ("right", (1, 1))),
    "image": (("x", (1, 1, 2, 2)),), "row": (("x", (1, 1, 4)),), "plain": (("x", (2,)),),
}
IMAGES = (("x", (1, 1, 2, 2)),), (("x", (1, 2, 1, 2)),), (("x", (1, 2, 2, 1)),)
Inputs = Sequence[tuple[str, tuple[int, ...]]]
Tweak = Callable[[float], float]


def draw_inputs(rng: random.Random) -> Inputs:
    kind = draw(rng, "inputs")
    return rng.choice(IMAGES) if kind == "image" else SHAPES[kind]


class Architect:
    """Draws one network around a reference point."""

    def __init__(self, seed: str, inputs: Inputs, x0: Point, tweak: Tweak = lambda w: w) -> None:
        self.rng = random.Random(seed)
        self.x0, self.tweak = x0, tweak
        self.net = Network(int(draw(self.rng, "opset")), draw(self.rng, "element") == "float64")
        self.inputs = [self.net.input(*each) for each in inputs]

    def network(self) -> Network:
        rng, h = self.rng, self._start()
        earlier = h
        for _ in range(int(draw(rng, "hidden"))):
            width = int(draw(rng, "width"))
            if self.net.gates + width > MOST_GATES:
                break
            h, earlier = self._extra(self._activated(self._hidden(h, width)), earlier), h
            self.net.hidden.append(h)
        scale = float(draw(rng, "scale"))
        count = int(draw(rng, "outputs"))
        rows = [[self._weight(scale) for _ in h.elements] for _ in range(count)]
        bias = [self._weight(scale) for _ in range(count)]
        self.net.output(self.net.dense(h, rows, bias, rng.randrange(3)))
        return self.net

    # --- weights ------------------------------------------------------------------------------

    def _weight(self, scale: float = 1.0) -> float:
        rng, kind = self.rng, draw(self.rng, "weights")
        if kind == "dyadic":
            w = rng.choice((-1, 1)) * rng.randint(0, rng.choice((8, 64, 96))) / 64
        elif kind == "decimal":
            w = rng.randint(-20, 20) / 10
        else:
            w = float(rng.randint(-2, 2))
        return self.net.rounded(self.tweak(w) * scale)

    def _values(self, x: Tensor) -> list[Fraction]:
        state = self.net.program.at(self.x0)
        return [state.value(e) for e in x.elements]

    def _layer(self, h: Tensor, width: int) -> tuple[list[list[float]], list[float]]:
        """Weights and biases of a hidden layer, by what its units are to be."""
        rng, scale, at = self.rng, float(draw(self.rng, "scale")), self._values(h)
        rows: list[list[float]] = []
        bias: list[float] = []
        for k in range(width):
            row, b = [self._weight(scale) for _ in h.elements], self._weight(scale)
            kind, other, shift = draw(rng, "unit"), rng.randrange(max(1, k)), rng.randint(-8, 8)
            if kind in ("twin", "mirror") and k:
                sign = 1.0 if kind == "twin" else -1.0
                row, b = [sign * w for w in rows[other]], sign * bias[other]
            z = sum((Fraction(w) * v for w, v in zip(row, at, strict=True)), Fraction(0))
            if kind == "near":
                b = self.net.rounded(float(-z) + shift * scale / 64)
            elif kind == "kink":
                b = self.net.rounded(float(-z))
            elif kind == "dead":
                b = self.net.rounded(float(-z) - 8 * sum(abs(w) for w in row) - abs(b))
            rows.append(row)
            bias.append(b)
        return rows, bias

    # --- layers -------------------------------------------------------------------------------

    def _start(self) -> Tensor:
        """The inputs as one row, after a convolution and a pooling where they are images."""
        if len(self.inputs) > 1:
            return self.net.concat(self.inputs)
        x = self.inputs[0]
        return x if len(x.shape) < 3 else self._convolved(x)

    def _convolved(self, x: Tensor) -> Tensor:
        rng, space = self.rng, x.shape[2:]
        kernel = tuple(rng.randint(1, min(2, n)) for n in space)
        pad = rng.choice((0, 0, 1)) if max(kernel) > 1 and len(space) == 1 else 0
        scale, count = float(draw(rng, "scale")), rng.randint(1, 2)
        shape = (count, x.shape[1], *kernel)
        weight = np.array([self._weight(scale) for _ in range(prod(shape))]).reshape(shape)
        h = self.net.conv(x, weight, [self._weight(scale) for _ in range(count)], 1, pad)
        if prod(h.shape) <= 6:
            h = self._activated(h)
        return self.net.flatten(self._pooled(h))

    def _pooled(self, h: Tensor) -> Tensor:
        kind, space = draw(self.rng, "pool"), h.shape[2:]
        kernel = tuple(self.rng.randint(1, min(2, n)) for n in space)
        if kind == "max":
            return self.net.max_pool(h, kernel)
        if kind == "average":
            whole = self.rng.random() < 0.3
            return self.net.average_pool(h, space if whole else kernel, whole)
        return h

    def _hidden(self, h: Tensor, width: int) -> Tensor:
        rows, bias = self._layer(h, width)
        h = self.net.dense(h, rows, bias, self.rng.randrange(3))
        return self._normalised(h) if draw(self.rng, "extra") == "batchnorm" else h

    def _normalised(self, h: Tensor) -> Tensor:
        if len(h.shape) != 2:
            return h
        rng, width = self.rng, h.shape[1]
        if rng.random() < 0.6:  # the root is exact
            epsilon, var = 0.25, [rng.choice((0.0, 0.75, 2.0, 3.75)) for _ in range(width)]
        else:
            epsilon, var = 1e-5, [self.net.rounded(rng.randint(1, 30) / 10) for _ in range(width)]
        scale, offset, mean = ([self._weight() for _ in range(width)] for _ in range(3))
        return self.net.batchnorm(h, scale, offset, mean, var, epsilon)

    def _activated(self, h: Tensor) -> Tensor:
        rng, net, kind = self.rng, self.net, draw(self.rng, "activation")
        last = h.shape[-1]
        if kind == "relu":
            return net.relu(h)
        if kind == "leaky":
            return net.leaky(h, [float(draw(rng, "slope"))])
        if kind == "prelu":
            return net.leaky(h, [net.rounded(float(draw(rng, "slope"))) for _ in range(last)], True)
        if kind == "abs":
            return net.absolute(h)
        if kind == "clip":
            low, high = rng.randint(-6, 2) / 4, rng.randint(1, 8) / 4
            ends = rng.choice(((low, high), (low, high), (low, None), (None, high), (0.0, 6.0)))
            if ends[0] is not None and ends[1] is not None and ends[0] > ends[1]:
                ends = (ends[1], ends[0])
            return net.clip(h, *ends)
        if kind in ("maximum", "minimum"):
            return self._compared(h, kind == "minimum")
        return h

    def _compared(self, h: Tensor, least: bool) -> Tensor:
        """Max or Min with a multiple of the layer, with numbers, or with both."""
        rng, net = self.rng, self.net
        const = [self._weight() for _ in range(rng.choice((1, h.shape[-1])))]
        if rng.random() < 0.4:
            return net.extreme([h], const, least)
        other = net.times(h, self._weight()) if rng.random() < 0.5 else net.difference(
            h, self._weight())
        return net.extreme([h, other], const if rng.random() < 0.3 else None, least)

    def _extra(self, h: Tensor, earlier: Tensor) -> Tensor:
        rng, net, kind = self.rng, self.net, draw(self.rng, "extra")
        if kind == "residual":
            if earlier.shape != h.shape:
                rows = [[self._weight() for _ in earlier.elements] for _ in h.elements]
                earlier = net.dense(earlier, rows, [0.0] * len(h.elements))
            return net.add(h, earlier, rng.random() < 0.3)
        if kind == "concat":
            return net.concat([h, earlier])
        if kind == "scaling":
            if rng.random() < 0.5:
                return net.times(h, self._weight())
            return net.difference(h, self._weight())
        return h


# --- the other network of a difference --------------------------------------------------------


def second(rng: random.Random) -> Tweak:
    """What makes a network another one: rounded, pruned or shaken weights."""
    kind = draw(rng, "second")
    if kind == "rounded":
        return lambda w: round(4 * w) / 4
    if kind == "pruned":
        return lambda w: 0.0 if abs(w) < 0.3 else w
    own = random.Random(rng.random())
    return lambda w: w + own.randint(-2, 2) / own.choice((16, 64, 1024))
