"""What a property may read."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import NamedTuple

from ..failures import Bad
from ..graph.network_graph import NetworkGraph
from .data.data_files import DataFiles
from .explanation import ClaimNetwork, ExplainedComponents
from .formulas import Formula, ValueBound, all_of
from .names import ElementNames
from .reference import ReferencePoint


class PropertySetting(NamedTuple):
    """The network, the names of its features, the reference, the explanation if there is one.

    `class_names` are those of the spec's [classes], one for each output, or none.
    """

    network: ClaimNetwork
    features: ElementNames
    reference: ReferencePoint
    files: DataFiles
    explanation: ExplainedComponents | None
    class_names: tuple[str, ...]
    strong: bool  # how irrational bounds are rounded, see outputs/claimed.py
    rounded: list[str]  # bounds of which the two roundings differ

    @property
    def graph(self) -> NetworkGraph:
        return self.network.graph

    @property
    def explained(self) -> ExplainedComponents:
        """The explanation; refused where the spec has none."""
        if self.explanation is None:
            raise Bad("a property of an explanation, and no [explain]")
        return self.explanation

    @property
    def explained_output(self) -> object:
        """The functional that is explained, as written; the predicted output without [explain]."""
        return self.explanation.output if self.explanation else "predicted"

    def reference_components(self) -> list[Fraction]:
        """The chosen components at x0, exact."""
        return self.reference.values(self.explained.components)

    def weights(self, output: object) -> list[Fraction]:
        """The weight of each output in a functional."""
        return self.network.weights(output, self.reference)

    def output_bounds(self, output: object, bounds: Sequence[ValueBound]) -> Formula:
        """Every bound of a functional of the outputs."""
        outputs, weights = self.network.outputs, self.weights(output)
        self.rounded.extend(
            "a bound" for bound in bounds if outputs.is_rounded(weights, bound))
        return all_of(outputs.bounded(weights, bound, self.strong) for bound in bounds)
