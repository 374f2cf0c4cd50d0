"""Integrated gradients, as a file of `verifex/attribution/` would say it: eight steps from zero."""

from __future__ import annotations

from fractions import Fraction

from pydantic import Field

from verifex.attribution.base import Attribution, NetworkFunction, NoOptions


class Options(NoOptions):
    """`steps`: how many points of the way from the baseline to x are looked at."""

    steps: int = Field(default=8, ge=1, le=1000)


def build(network: NetworkFunction, options: Options) -> list[int]:
    """Nodes (x - b) * mean_j dF(b + (j + 1/2) / steps * (x - b)) / dx, with the baseline b = 0."""
    start, x = network.zeros(), network.inputs
    shares = [Fraction(2 * j + 1, 2 * options.steps) for j in range(options.steps)]
    way = [network.gradient_at(network.between(start, x, share)) for share in shares]
    mean = network.combine(way, [Fraction(1, options.steps)] * options.steps)
    return network.times(network.combine([x, start], [1, -1]), mean)


ATTRIBUTION = Attribution(
    name="integrated_gradients",
    build=build,
    source="Sundararajan, Taly and Yan, Axiomatic Attribution for Deep Networks, arXiv:1703.01365",
    options=Options,
)
