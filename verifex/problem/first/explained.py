"""The attribution of a spec at its reference, exactly, with ties and kinks told."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise, product
from pathlib import Path
from typing import Any

from verifex.errors import InputError
from verifex.ir.graph import Graph
from verifex.metrics.support.base import Property
from verifex.metrics.support.files import DataFolder
from verifex.metrics.topk import TopK
from verifex.problem.spec.build import find_network, named, prepare
from verifex.problem.spec.model import All, AnyOf, Not, Spec, spec_source
from verifex.problem.spec.words.attributed import explained_text, stated_features
from verifex.problem.spec.words.statement import prediction_at
from verifex.statement import Prediction, StatedFeature


@dataclass(frozen=True)
class ExplainedPoint:
    """A(x0): `features` are the chosen components in their order, each with its rank, its value at
    x0 and its exact attribution.

    `explained` says of what the attribution is, `prediction` which class x0 has. `top` is the k of
    the spec's first `top_k` (0 without one), `ties` names neighbours in the ranking that are
    equal. `shape` is that of the attribution without leading dimensions of 1, where every component
    was chosen and the network has one input; else empty.
    """

    name: str
    explained: str
    features: tuple[StatedFeature, ...]
    prediction: Prediction | None
    top: int = 0
    ties: tuple[tuple[str, str], ...] = ()
    shape: tuple[int, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(f.name for f in self.features)

    @property
    def values(self) -> tuple[Fraction, ...]:
        """The exact attributions, in the order of `names`."""
        return tuple(f.attribution for f in self.features)

    @property
    def ranked(self) -> tuple[StatedFeature, ...]:
        """The components by falling attribution."""
        return tuple(sorted(self.features, key=lambda f: f.rank))

    def to_json(self) -> dict[str, Any]:
        return {
            "name": self.name, "explained": self.explained,
            "prediction": None if self.prediction is None else self.prediction.to_json(),
            "top": self.top, "shape": list(self.shape),
            "features": [f.to_json() for f in self.features],
            "ties": [list(pair) for pair in self.ties], "notes": list(self.notes),
        }


def load_explained(
    spec_path: str | Path, network_path: str | Path | None = None
) -> ExplainedPoint:
    """A(x0) of a spec file; errors name the file."""
    source = spec_source(spec_path)
    network = find_network(source.parsed, spec_path, network_path)
    try:
        return explained_point(network.parsed, named(source.parsed, spec_path),
                               Path(spec_path).parent)
    except InputError as error:
        raise error.at(file=str(spec_path)) from None


def explained_point(graph: Graph, spec: Spec, folder: str | Path = ".") -> ExplainedPoint:
    """A(x0) of a spec about a network.

    Raises InputError where the spec has no reference, no `[explain]`, or where A(x0) depends on a
    gate on its kink and the spec names no rule for that.
    """
    if spec.explain is None:
        raise InputError("missing", expected="an [explain] table, which says what to explain",
                         key="explain")
    prepared = prepare(graph, spec, DataFolder(Path(folder)))
    setting = prepared.setting
    features = stated_features(setting, range(len(setting.explanation().chosen)))
    _, at = prediction_at(setting, prepared.point.label, spec.require)
    explained = setting.explanation()
    whole = len(explained.chosen) == explained.names.size and len(explained.names.blocks) == 1
    shape = explained.names.blocks[0].shape if whole and not explained.names.given else ()
    while len(shape) > 1 and shape[0] == 1:
        shape = shape[1:]
    if len(shape) > 1:
        places = product(*map(range, shape))
        features = tuple(replace(f, name=f"x[{', '.join(map(str, place))}]")
                         for f, place in zip(features, places, strict=True))
    return ExplainedPoint(
        spec.name, explained_text(setting, spec.explain.attribution, spec.explain.reduce), features,
        at, next(_top_sizes(spec.require), 0), _ties(features), shape,
        tuple(dict.fromkeys(setting.builder.notes)))


def _ties(features: Sequence[StatedFeature]) -> tuple[tuple[str, str], ...]:
    """Neighbours in the ranking with equal attributions, those that are 0 left out."""
    values = [f.attribution for f in features]
    ranked = [features[i] for i in sorted(range(len(values)), key=lambda i: -values[i])]
    return tuple((a.name, b.name) for a, b in pairwise(ranked)
                 if a.attribution == b.attribution != 0)


def _top_sizes(properties: Sequence[Property]) -> Iterator[int]:
    """The k of every `top_k` among the properties, in order."""
    for wanted in properties:
        match wanted:
            case TopK():
                yield wanted.top_k
            case All():
                yield from _top_sizes(wanted.all)
            case AnyOf():
                yield from _top_sizes(wanted.any)
            case Not():
                yield from _top_sizes([wanted.not_])
