"""Input times gradient: every input times the derivative of the output functional by it."""

from __future__ import annotations

from verifex.attribution.base import Attribution, NetworkFunction, NoOptions


def build(network: NetworkFunction, options: NoOptions) -> list[int]:
    """Nodes x * dF / dx."""
    return network.times(network.inputs, network.gradient)


ATTRIBUTION = Attribution(
    name="input_x_gradient",
    aliases=("input*gradient", "gradient*input"),
    build=build,
    source="Shrikumar, Greenside, Shcherbina and Kundaje, Not Just a Black Box, arXiv:1605.01713",
    local=True,
)
