"""The table [explain]: the attribution A(x) as forms over the graph."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from typing import NamedTuple

from ..failures import need
from ..graph.forms import Form
from ..graph.network_graph import NetworkGraph
from ..graph.symbolic import SymbolicTensor
from ..onnx.operators.windows import channels
from .names import ElementNames
from .outputs.claimed import ClaimedOutputs
from .outputs.functionals import PLACES, weights_of
from .reference import ReferencePoint
from .toml_values import TomlTable, shown

EXPLAIN_KEYS = ("attribution", "output", "reduce", "features", "options")
REDUCTIONS = "signed abs channel_sum abs_channel_sum channel_abs_sum"
NONNEGATIVE = ("abs", "abs_channel_sum", "channel_abs_sum")
NO_DERIVATIVE = "unsupported derivative by a feature of whole numbers"
PRODUCTS = ("input_x_gradient", "input*gradient", "gradient*input")


class ClaimNetwork(NamedTuple):
    """What a claim reads of a network: its graph, its inputs by name, the output it is about.

    The output is the function `head` of the logits, or the logits themselves if that is "".
    """

    graph: NetworkGraph
    inputs: Mapping[str, int]  # the node of each input
    shapes: Mapping[str, tuple[int, ...]]
    logits: list[Form]
    head: str = ""
    one_row: bool = True  # the output is one row of classes

    @property
    def outputs(self) -> ClaimedOutputs:
        """The outputs as claims read them."""
        return ClaimedOutputs(self.head, self.logits)

    def weights(self, output: object, reference: ReferencePoint) -> list[Fraction]:
        """The weight of each output in a functional."""
        need(self.one_row or not any(place in str(output) for place in PLACES),
             "a class of an output of several rows")
        return weights_of(output, self.logits, reference)

    def whole_features(self) -> frozenset[int]:
        """The features that the network reads as whole numbers: it has no derivative by them.

        Sound: the graph is the network at whole numbers alone, so that its slopes between them are
        none of the network's.
        """
        nodes = self.graph.nodes
        return frozenset(nodes[node].start + place for node, place in self.graph.whole)

    def need_derivatives(self, features: Iterable[int]) -> None:
        """Refuses derivatives by features that the network reads as whole numbers."""
        need(self.whole_features().isdisjoint(features), NO_DERIVATIVE)

    def derivatives(self, form: Form) -> list[int]:
        """For each input the node of the partial derivatives of a form."""
        return self.graph.gradient(self.graph.rows([form]), list(self.inputs.values()))


class ExplainedComponents(NamedTuple):
    """The components of A(x), those that are compared, and whether none is ever below 0."""

    graph: NetworkGraph
    names: ElementNames
    items: list[Form]  # of every component
    chosen: list[int]
    nonnegative: bool
    output: object  # the functional that is explained, as written
    scaled: bool  # the explanation is a positive multiple of the components, see outputs/claimed.py
    missing: frozenset[int]  # the components that there are none of: see `whole_features`

    def item(self, component: int) -> Form:
        """A component, chosen or not."""
        need(component not in self.missing, NO_DERIVATIVE)
        return self.items[component]

    @property
    def components(self) -> list[Form]:
        """The chosen components, in rising order."""
        return [self.items[component] for component in self.chosen]

    def magnitudes(self) -> list[Form]:
        """The absolute values of the chosen components: nodes only where they are signed."""
        if self.nonnegative:
            return self.components
        return absolute(self.graph, self.components).items


def absolute(graph: NetworkGraph, forms: list[Form]) -> SymbolicTensor:
    """The absolute values of forms, as 2 relu(v) - v of one node that holds them."""
    return SymbolicTensor(graph, [len(forms)], forms).absolute()


def read_explanation(
    table: TomlTable, network: ClaimNetwork, features: ElementNames, reference: ReferencePoint
) -> ExplainedComponents:
    """The table [explain] of a spec."""
    TomlTable(table.get("options", {}), ())
    reduction = table.word("reduce", REDUCTIONS)
    output = table.get("output", "predicted")
    form, scaled = network.outputs.explained(network.weights(output, reference))
    maps = attribution_maps(table.get("attribution", "gradient"), form, network)
    names = features
    if "channel" in reduction:
        maps = channel_sums(maps, reduction == "channel_abs_sum")
        shapes = [(name, found.shape) for name, found in zip(network.shapes, maps, strict=True)]
        names = ElementNames(shapes, [])
    items = [item for found in maps for item in found.items]
    if reduction in ("abs", "abs_channel_sum"):
        items = absolute(network.graph, items).solid().items
    chosen = names.select(table.get("features", list(range(names.size))))
    need(chosen, "features: none is named")
    network.need_derivatives(range(features.size) if "channel" in reduction else chosen)
    return ExplainedComponents(
        network.graph, names, items, chosen, reduction in NONNEGATIVE, output, scaled,
        network.whole_features())


def attribution_maps(
    attribution: object, form: Form, network: ClaimNetwork
) -> list[SymbolicTensor]:
    """The attribution of each input, in its shape: df/dx_i, or x_i df/dx_i, of a form f.

    Sound: both are multiplied by what the gradient of f is multiplied by.
    """
    graph = network.graph
    need(attribution == "gradient" or attribution in PRODUCTS,
         f"unsupported attribution {shown(attribution)}")
    nodes = network.derivatives(form)
    if attribution != "gradient":
        pairs = zip(network.inputs.values(), nodes, strict=True)
        nodes = [graph.op("M", node, slopes) for node, slopes in pairs]
    return [SymbolicTensor(graph, shape, graph.refs(node))
            for shape, node in zip(network.shapes.values(), nodes, strict=True)]


def channel_sums(maps: Sequence[SymbolicTensor], magnitudes: bool) -> list[SymbolicTensor]:
    """Sums over the channels of images ([N,] C, H, W); of absolute values if so asked."""
    need(all(len(image.shape) in (3, 4) for image in maps), "no channels")
    images = [image.absolute() for image in maps] if magnitudes else maps
    return [channels(image, len(image.shape) - 3) for image in images]
