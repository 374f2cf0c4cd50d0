"""What a spec claims of a network, and what would violate it.

A spec says: for every input of the region at which every `assume` holds, every `require` holds.
It is violated by an input of the region at which `assume and not require` holds; a proof shows that
there is none, a witness is one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import NamedTuple

from ..failures import at, need
from ..graph.element_types import FLOATS
from ..graph.forms import Form
from ..graph.network_graph import NetworkGraph
from ..onnx.network import Network
from .data.data_files import DataFiles
from .explanation import EXPLAIN_KEYS, ClaimNetwork, ExplainedComponents, read_explanation
from .formulas import AtLeastOf, ClaimAtom, Formula, all_of, negate
from .input_table import INPUT_KEYS, feature_units, read_input
from .names import ElementNames
from .outputs.claimed import ClaimedOutputs, outputs_of
from .reference import ReferencePoint
from .region import REGION_KEYS, ClaimRegion, check_whole, read_region
from .requirements import PropertyReader
from .setting import PropertySetting
from .toml_values import TomlTable, exact, filled_list, text_of

SPEC_KEYS = ("verifex", "name", "network", "network_output", "arithmetic", "kink", "input",
             "region", "explain", "classes", "require", "assume")
VERSION = 1
RESERVED = {"unchanged", "predicted", "runner_up"}


class Claim(NamedTuple):
    """A claim about a network, as the formulas and the region that its check needs."""

    graph: NetworkGraph
    flat_inputs: list[Form]  # the inputs end to end, each as a form
    region: ClaimRegion
    x0: Sequence[Fraction]  # no numbers if the claim has no reference
    assumed: Formula
    not_required: Formula
    data_hashes: Mapping[str, str]  # SHA-256 of each data file, by its name in the spec
    refuting: Formula | None = None  # what a witness has to satisfy, if not `violation`

    @property
    def size(self) -> int:
        return len(self.flat_inputs)

    @property
    def violation(self) -> AtLeastOf[ClaimAtom]:
        """What holds at a counterexample: both of two parts."""
        return AtLeastOf(2, (self.assumed, self.not_required))

    @property
    def refuted(self) -> Formula:
        """What shows that a point is a counterexample."""
        return self.violation if self.refuting is None else self.refuting


def flat_inputs_of(network: Network) -> list[Form]:
    """Every element of every input, in the order of the file."""
    return [form for node in network.inputs.values() for form in network.graph.refs(node)]


def read_spec(source: str, folder: str, network: Network) -> Claim:
    """The claim of a TOML text; `folder`: where its data files lie."""
    import tomllib

    def decimal_of(text: str) -> Fraction:
        return exact(text.replace("_", ""))

    return spec_claim(tomllib.loads(source, parse_float=decimal_of), folder, network)


def spec_claim(spec: Mapping[str, object], folder: str, network: Network) -> Claim:
    """The claim of a spec that has been read as a table.

    The order of the steps is the order in which the graph grows: explanation, require, assume.
    """
    table, files = TomlTable(spec, SPEC_KEYS), DataFiles(folder)
    need(table.whole("verifex", 0) == VERSION, "not version 1 of the language")
    table.word("arithmetic", "real")
    kinks_closed = table.word("kink", "error zero") == "zero"
    about, flat_inputs = claim_network(table, network), flat_inputs_of(network)
    with at("input"):
        input_keys = TomlTable(table.get("input", {}), INPUT_KEYS)
        given = read_input(input_keys, about.shapes, files)
    reference = ReferencePoint(network.graph, given.point, kinks_closed)
    with at("region"):
        wanted = TomlTable(table.get("region", {}), REGION_KEYS)
        region = read_region(
            wanted, given.features, given.point, flat_inputs,
            lambda relative: feature_units(input_keys, relative, given.features, files))
        check_whole(region, network.graph)
    explanation = explanation_of(table, about, given.features, reference)
    names = class_names(table, max(2, len(about.logits)))
    setting = PropertySetting(
        about, given.features, reference, files, explanation, names, True, [])
    not_required, assumed = violation_of(table, setting)
    refuting = None
    if setting.rounded:
        refuting = AtLeastOf(2, violation_of(table, setting._replace(strong=False)))
    return Claim(network.graph, flat_inputs, region, given.point, assumed, not_required,
                 files.hashes, refuting)


def violation_of(table: TomlTable, setting: PropertySetting) -> tuple[Formula, Formula]:
    """The negated requirement, and the assumption: together they violate the claim.

    Sound: with `strong` the requirement is rounded to imply what is written, and the assumption to
    be implied by it, so that every violation satisfies both; without, it is the other way round,
    so that what satisfies both is a violation.
    """
    with at("require"):
        tables = filled_list(table.get("require"))
        required = all_of(PropertyReader(setting, undefined="fails").formulas(tables))
    weak = setting._replace(strong=not setting.strong)
    with at("assume"):
        reader = PropertyReader(weak, undefined="holds")
        assumed = all_of(reader.formulas(table.get("assume", [])))
    return negate(required), assumed


def claim_network(table: TomlTable, network: Network) -> ClaimNetwork:
    """The network and the one output that the claim is about."""
    shapes = {name: network.values[name].shape for name in network.inputs}
    label = claimed_output(table, network)
    head = network.heads.get(label)
    sides = network.output(label).shape
    # Sound: such a claim could be about one row, or about all of them as one: it is refused.
    need(len(sides) < 2 or sides[0] < 2
         or sides[0] not in [shape[0] for shape in shapes.values() if len(shape) > 1],
         f"network: several rows at once, a batch of {sides[:1]}")
    about = ClaimedOutputs("", network.output(label).solid().items) if head is None else (
        outputs_of(head))
    return ClaimNetwork(
        network.graph, network.inputs, shapes, list(about.logits), about.head,
        sum(side > 1 for side in sides) < 2)


def class_names(table: TomlTable, outputs: int) -> tuple[str, ...]:
    """The names of the classes, one for each output; none if the spec gives none."""
    if "classes" not in table:
        return ()
    with at("classes"):
        names = filled_list(TomlTable(table.get("classes"), ("names",)).required("names"))
        words = tuple(name for name in names if isinstance(name, str) and name)
        need(len(words) == len(names) == outputs > 1, f"names: {outputs} words, one an output")
        need(len(set(words)) == outputs, "names: two classes of a name")
        need(not RESERVED & set(words), "names: a word of the language")
    return words


def claimed_output(table: TomlTable, network: Network) -> str:
    """The tensor of floats that `network_output` names, any of the file, or the only output."""
    if "network_output" not in table:
        outputs: list[str] = [*network.outputs, *network.smooth_outputs]
        need(len(outputs) == 1, f"network_output: one of {len(outputs)} outputs is to be named")
        return outputs[0]
    with at("network_output"):
        name = text_of(table.get("network_output"), "name")
        refusal = f"no output {name!r:.40} of floats"
        need(network.has(name) and name not in network.no_floats, refusal)
    need(network.output(name).kind in FLOATS, f"network_output: {refusal}")
    return name


def explanation_of(
    table: TomlTable, network: ClaimNetwork, features: ElementNames, reference: ReferencePoint
) -> ExplainedComponents | None:
    """The explanation, if the spec has one."""
    if "explain" not in table:
        return None
    with at("explain"):
        wanted = TomlTable(table.get("explain"), EXPLAIN_KEYS)
        return read_explanation(wanted, network, features, reference)
