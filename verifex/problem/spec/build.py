"""From a network and a spec to a `Problem`: attribution, region, reference and formulas."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from math import prod
from pathlib import Path

import numpy as np
from pydantic import ValidationError

from verifex.attribution import Attribution, NetworkFunction, find
from verifex.errors import InputError, UnsupportedError
from verifex.frontend.onnx.structure import NoSuchOutput
from verifex.ir.fields import functional, under
from verifex.ir.formula import TRUE, And, Formula, Or, negate
from verifex.ir.graph import Builder, Graph
from verifex.ir.linmap import ScatterAdd, reshape
from verifex.ir.ops import Concat, Input
from verifex.ir.problem import Defined, Problem
from verifex.ir.region import Region
from verifex.metrics import registry
from verifex.metrics.support.base import Property, Ratio
from verifex.metrics.support.files import DataFolder
from verifex.metrics.support.names import Names, blocks_of
from verifex.metrics.support.reference import Reference
from verifex.metrics.support.setting import Explanation, OutputHead, Setting, decided_on
from verifex.problem.read import ReadProblem, read_query
from verifex.problem.spec.column_units import column_units
from verifex.problem.spec.data import Point, load_point
from verifex.problem.spec.messages import spec_error
from verifex.problem.spec.model import All, AnyOf, ExplainSpec, Not, Spec, spec_source
from verifex.problem.spec.region import build_region, spread
from verifex.problem.spec.words.statement import state
from verifex.problem.vnnlib.read import is_vnnlib
from verifex.source import QuestionFiles, Source
from verifex.statement import ClaimStatement


@dataclass(frozen=True, eq=False)
class Prepared:
    """Everything of a problem but its claim."""

    spec: Spec
    graph: Graph
    setting: Setting
    region: Region
    point: Point

    def problem(
        self, require: Formula, assume: Formula = TRUE, statement: ClaimStatement | None = None,
        refutation: Formula | None = None,
    ) -> Problem:
        """The problem with this claim, over the graph as it has grown."""
        b, explained = self.setting.builder, self.setting.explained
        outputs = dict(self.graph.outputs)
        if explained is not None:
            outputs[_free_name("attribution", outputs)] = explained.attribution
        graph = b.build(outputs)
        return Problem(graph, self.region, require, assume, self.point.values, self.spec.name,
                       graph.notes, defined=tuple(dict.fromkeys(self.setting.defined)),
                       networks=self.setting.networks, statement=statement,
                       refutation=refutation)

    def statement(self) -> ClaimStatement:
        """What the spec claims, in words; asked after its formulas were built."""
        names, radii = self.setting.features, self.spec.region.linf
        spread_out = [None] * names.size if radii is None else spread(radii, names)
        return state(self.spec, self.setting, self.region, spread_out, self.point.label)


def build_problem(graph: Graph, spec: Spec, base_dir: str | Path = ".") -> Problem:
    """The problem that a spec states about a network; raises InputError or UnsupportedError.

    Files that the spec names are looked up in `base_dir`. The attribution is added to the graph's
    outputs under the name "attribution".
    """
    return build_with(graph, spec, DataFolder(Path(base_dir)))


def build_with(graph: Graph, spec: Spec, files: DataFolder) -> Problem:
    """As `build_problem`, with a folder that knows afterwards what was read of it."""
    require_something(spec)
    prepared = prepare(graph, spec, files)
    require = required(spec, prepared.setting)
    assume = assumption(spec, prepared.setting)
    return prepared.problem(
        require, assume, prepared.statement(), refutation(spec, prepared.setting))


def load_problem(spec_path: str | Path, network_path: str | Path | None = None) -> Problem:
    """Read a spec file and its network (or the one given here) into a problem.

    The spec may be a VNN-LIB query (`.vnnlib`, `.vnnlib.gz`).
    """
    return read_problem(spec_path, network_path).problem


def read_problem(spec_path: str | Path, network_path: str | Path | None = None) -> ReadProblem:
    """As `load_problem`, with the files."""
    if is_vnnlib(spec_path):
        return read_query(spec_path, network_path)
    source = spec_source(spec_path)
    spec = source.parsed
    network = find_network(spec, spec_path, network_path)
    graph, files = graph_of(network, spec_path), DataFolder(Path(spec_path).parent)
    try:
        problem = build_with(graph, named(spec, spec_path), files)
    except InputError as error:
        raise error.at(file=str(spec_path)) from None
    return ReadProblem(problem, QuestionFiles(network, source, files.hashes))


def find_network(
    spec: Spec, spec_path: str | Path, network_path: str | Path | None
) -> Source[Graph]:
    """The network given, or the one that the spec names (relative to its own folder)."""
    from verifex.frontend.onnx.read import network_source

    if network_path is None:
        if spec.network is None:
            raise InputError(
                "missing", expected="network = a file, here or on the command line", key="network",
                file=str(spec_path),
            )
        network_path = Path(spec_path).parent / spec.network
        if not network_path.exists():
            raise InputError(
                f"there is no file '{spec.network}'", expected="an ONNX file, named as seen from "
                "the spec's folder", key="network", file=str(spec_path),
            )
    wanted = None if spec.network_output is None else [spec.network_output]
    return network_source(network_path, outputs=wanted)


def graph_of(network: Source[Graph], spec_path: str | Path) -> Graph:
    """The network in a file; that it has no output of the name that a spec gives is a mistake of
    the spec."""
    try:
        return network.parsed
    except NoSuchOutput as error:
        raise InputError(error.what, expected=error.expected, key="network_output",
                         file=str(spec_path)) from None


def named(spec: Spec, spec_path: str | Path) -> Spec:
    """The spec, named after its file if it has no name."""
    return spec if spec.name else spec.model_copy(update={"name": Path(spec_path).stem})


# --- what a claim is built in ---------------------------------------------------------------


def prepare(graph: Graph, spec: Spec, files: DataFolder) -> Prepared:
    """Load the point, build the region, and put the attribution into the graph."""
    builder = Builder(graph)
    ops = [graph.nodes[i].op for i in graph.inputs]
    names = [op.name for op in ops if isinstance(op, Input)]
    blocks = blocks_of(names, [graph.nodes[i].shape for i in graph.inputs])
    with under("input"):
        point = load_point(spec.input, blocks, files)
        with under("names"):
            features = Names(blocks, point.names)
    with under("region"):
        units = region_units(spec, features, files)
        region, notes = build_region(spec.region, features, point.values, units)
        region.require_whole(graph.whole_inputs)
    builder.notes += [*point.notes, *notes]
    logits, head = _output_node(graph, spec.network_output)
    setting = Setting(
        builder=builder,
        inputs=graph.inputs,
        features=features,
        logits=logits,
        head=head,
        output=spec.explain.output if spec.explain else functional("predicted"),
        reference=Reference(builder, graph, point.values, spec.kink),
        files=files,
    )
    if spec.classes is not None:
        with under("classes.names"):
            setting = replace(setting, class_names=_fitting_names(spec.classes.names, setting))
    if spec.explain is not None:
        with under("explain"):
            setting = explained_setting(setting, spec.explain)
    return Prepared(spec, graph, setting, region, point)


def region_units(spec: Spec, features: Names, files: DataFolder) -> tuple[Fraction, ...]:
    """The units of `linf_relative`; none where the region has no such radius."""
    if spec.region.linf_relative is None:
        return ()
    with under("linf_relative"):
        return column_units(spec.region.linf_relative, spec.input, features, files)


def _fitting_names(names: tuple[str, ...], setting: Setting) -> tuple[str, ...]:
    if len(names) != setting.class_count:
        raise InputError(f"{len(names)} names", expected=f"{setting.class_count}, one a class")
    return names


def _output_node(graph: Graph, name: str | None) -> tuple[int, OutputHead | None]:
    """The node that claims are decided on, and what the output is of it where that is a head."""
    known = list(graph.outputs)
    if name is None and len(known) != 1:
        raise InputError(
            f"the network has {len(known)} outputs",
            expected=f"one of {', '.join(known)}", key="network_output",
        )
    chosen = known[0] if name is None else name
    if chosen not in graph.outputs:
        raise InputError(
            f"no output '{chosen}'", expected=f"one of {', '.join(known)}", key="network_output"
        )
    _refuse_batch(graph, chosen)
    return decided_on(graph.outputs[chosen], graph.heads.get(chosen))


def _refuse_batch(graph: Graph, output: str) -> None:
    """InputError where an output has a row for each row of an input: what a spec says of "the"
    output would be read as one of a network with as many times more outputs."""
    shape = graph.nodes[graph.outputs[output]].shape
    rows = {graph.nodes[i].shape[0] for i in graph.inputs if len(graph.nodes[i].shape) > 1}
    if len(shape) > 1 and shape[0] > 1 and shape[0] in rows:
        raise InputError(
            f"the network takes {shape[0]} rows at once, and '{output}' has one for each: a spec "
            "is about one row", expected="a network exported with a batch of one (a VNN-LIB query "
            "can name single elements)", key="network")


def explained_setting(setting: Setting, spec: ExplainSpec) -> Setting:
    """The setting with the attribution built, reduced and restricted to the chosen features."""
    with under("attribution"):
        attribution = find(spec.attribution)
    return explained_by(attribution, setting, spec)


def explained_by(attribution: Attribution, setting: Setting, spec: ExplainSpec) -> Setting:
    """As `explained_setting`, with an attribution that need not be registered."""
    b = setting.builder
    with under("options"):
        try:
            options = attribution.options.model_validate(spec.options)
        except ValidationError as error:
            raise spec_error(error) from None
    with under("output"):
        output, scaled = setting.explained_node(spec.output)
    if scaled and not attribution.local:
        raise UnsupportedError(f"attribution '{attribution.name}' of a probability",
                               expected=setting.way_to_logits(), key="attribution")
    point = setting.reference.point if setting.reference.known else None
    network = NetworkFunction(b, output, tuple(setting.inputs), point)
    maps = attribution.build(network, options)
    names = setting.features
    if spec.reduce.endswith("channel_sum") or spec.reduce == "channel_abs_sum":
        with under("reduce"):
            maps, names = _sum_channels(b, maps, names, spec.reduce == "channel_abs_sum")
    node = _join(b, maps)
    if spec.reduce in ("abs", "abs_channel_sum"):
        node = b.absolute(node)
    chosen: Sequence[int] = range(names.size)
    if spec.features is not None:
        with under("features"):
            chosen = names.select(spec.features)
            if not chosen:
                raise InputError("no feature is named", expected="at least one")
    sums = names is not setting.features
    with under("features"):
        setting.require_derivatives(range(setting.features.size) if sums else chosen)
    return replace(
        setting,
        explained=Explanation(node, names, tuple(chosen), spec.reduce not in _SIGNED, scaled),
    )


_SIGNED = ("signed", "channel_sum")


def _join(builder: Builder, maps: Sequence[int]) -> int:
    """One node for all inputs: flat and end to end if there are several."""
    if len(maps) == 1:
        return maps[0]
    flat = [builder.affine(reshape(builder.shape(m), (builder.node(m).size,)), m) for m in maps]
    return builder.add(Concat(0), *flat)


def _sum_channels(
    builder: Builder, maps: Sequence[int], names: Names, magnitudes: bool
) -> tuple[list[int], Names]:
    """Sum every map (N, C, H, W) or (C, H, W) over C, of absolute values or signed."""
    out, shapes = [], []
    for node in maps:
        shape = builder.shape(node)
        if len(shape) not in (3, 4):
            raise InputError(f"channels of an input of shape {list(shape)}",
                             expected="an image, (N, C, H, W)")
        kept = (*shape[:-3], *shape[-2:])
        place = np.arange(prod(kept)).reshape(*shape[:-3], 1, *shape[-2:])
        index = np.ascontiguousarray(np.broadcast_to(place, shape))
        whole = builder.absolute(node) if magnitudes else node
        out.append(builder.affine(ScatterAdd(shape, kept, index), whole))
        shapes.append(kept)
    return out, Names(blocks_of([block.name for block in names.blocks], shapes))


def _free_name(wanted: str, taken: dict[str, int]) -> str:
    while wanted in taken:
        wanted += "_"
    return wanted


# --- formulas -------------------------------------------------------------------------------


def required(spec: Spec, setting: Setting, strong: bool = True) -> Formula:
    """Every `[[require]]`; where bounds of probabilities are rounded, as a proof needs them, or as
    a refutation does."""
    entries = enumerate(spec.require)
    return conjoin([formula_of(p, replace(setting, strong=strong), f"require[{i}]")
                    for i, p in entries])


def require_something(spec: Spec) -> None:
    """Raise InputError where a spec claims nothing."""
    if not spec.require:
        raise InputError("nothing to prove", expected="at least one [[require]]", key="require")


def assumption(spec: Spec, setting: Setting, strong: bool = False) -> Formula:
    """Every `[[assume]]`; what is undefined excludes nothing, and nor does what is rounded."""
    entries = enumerate(spec.assume)
    return conjoin([formula_of(p, replace(setting, strong=strong), f"assume[{i}]",
                               undefined="holds") for i, p in entries])


def exact_assumption(spec: Spec, setting: Setting) -> Formula:
    """Every `[[assume]]`, for ranges: UnsupportedError where a bound is only known between two
    rationals, since what is attained has to satisfy it, and what is proven to cover it."""
    found = assumption(spec, setting)
    if setting.rounded:
        raise UnsupportedError("an assumption about a probability that is irrational on the logits",
                               expected=f"a bound of 1/2, or {setting.way_to_logits()}",
                               key="assume")
    return found


def refutation(spec: Spec, setting: Setting) -> Formula | None:
    """What a witness has to make true, where that is more than to violate what a proof shows."""
    if not setting.rounded:
        return None
    return And((assumption(spec, setting, strong=True),
                negate(required(spec, setting, strong=False))))


def formula_of(
    wanted: Property, setting: Setting, key: str, keep: bool = True, undefined: str = "fails"
) -> Formula:
    """The formula of a property, or of its negation where it is not to `keep`.

    `not` is pushed down to the properties, so that what is undefined can count as `undefined` says
    ("fails" or "holds") in either polarity, and so that a bound that is rounded makes what is
    asked stronger, or weaker, in either (`Setting.strong`). Errors carry the property's place in
    the spec.
    """
    match wanted:
        case Not():
            turned = replace(setting, strong=not setting.strong)
            return formula_of(wanted.not_, turned, f"{key}.not", not keep, undefined)
        case All() | AnyOf():
            word, inner = ("all", wanted.all) if isinstance(wanted, All) else ("any", wanted.any)
            parts = [formula_of(q, setting, f"{key}.{word}[{i}]", keep, undefined)
                     for i, q in enumerate(inner)]
            if isinstance(wanted, All) == keep:
                return conjoin(parts)
            return Or(tuple(parts))
    family = next(f for f in registry().values() if isinstance(wanted, f.model))
    with under(key):
        if not wanted.scale_free():
            setting.need_scale(family.keyword)
        built = family.build(wanted, setting)
        literal = built if keep else negate(built)
        if not isinstance(wanted, Ratio):
            return literal
        counts = wanted.undefined or undefined
        other = "holds" if counts == "fails" else "fails"
        told = f"{family.keyword} is undefined and {counts}, negated or not"
        setting.defined.append(
            Defined(
                setting.nonzero(),
                "the attribution is zero",
                f'{told} (undefined = "{other}" turns it round)',
            )
        )
        return _where_defined(wanted, setting, literal, keep, counts)


def _where_defined(
    wanted: Ratio, setting: Setting, literal: Formula, keep: bool, counts: str
) -> Formula:
    """The literal where the attribution is not zero; elsewhere true or false, as `counts` says."""
    # Sound: the literal differs from what is wanted only where the attribution is zero, and there
    # its truth is known. Where that is what is wanted already, nothing has to be said.
    if (wanted.at_zero() == keep) == (counts == "holds"):
        return literal
    defined = setting.positive_total()
    return And((defined, literal)) if counts == "fails" else Or((negate(defined), literal))


def conjoin(parts: list[Formula]) -> Formula:
    """All of the parts; one part stays itself, none is true."""
    return parts[0] if len(parts) == 1 else And(tuple(parts))
