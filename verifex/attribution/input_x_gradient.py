"""Input times gradient: every input times the derivative of the output functional by it."""

from __future__ import annotations

from collections.abc import Sequence

from verifex.attribution.base import Attribution, NoOptions
from verifex.ir.graph import Builder
from verifex.semantics.vjp import gradients


def build(builder: Builder, output: int, inputs: Sequence[int], options: NoOptions) -> list[int]:
    """Nodes input * d output / d input, one per input and of its shape."""
    found = gradients(builder, output, inputs)
    return [builder.mul(x, g) for x, g in zip(inputs, found, strict=True)]


ATTRIBUTION = Attribution(
    name="input_x_gradient",
    aliases=("input*gradient", "gradient*input"),
    build=build,
    source="Shrikumar, Greenside, Shcherbina and Kundaje, Not Just a Black Box, arXiv:1605.01713",
)
