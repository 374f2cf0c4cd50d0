"""Gradient (saliency): the derivative of the output functional with respect to every input."""

from __future__ import annotations

from collections.abc import Sequence

from verifex.attribution.base import Attribution, NoOptions
from verifex.ir.graph import Builder
from verifex.semantics.vjp import gradients


def build(builder: Builder, output: int, inputs: Sequence[int], options: NoOptions) -> list[int]:
    """Nodes d output / d input, one per input and of its shape."""
    return gradients(builder, output, inputs)


ATTRIBUTION = Attribution(
    name="gradient",
    aliases=("saliency",),
    build=build,
    source="Simonyan, Vedaldi and Zisserman, Deep Inside Convolutional Networks, arXiv:1312.6034",
)
