"""Gradient: the derivative of the output functional with respect to every input."""

from __future__ import annotations

from verifex.attribution.base import Attribution, NetworkFunction, NoOptions


def build(network: NetworkFunction, options: NoOptions) -> list[int]:
    """Nodes dF / dx."""
    return network.gradient


ATTRIBUTION = Attribution(
    name="gradient",
    build=build,
    source="Simonyan, Vedaldi and Zisserman, Deep Inside Convolutional Networks, arXiv:1312.6034",
    local=True,
)
