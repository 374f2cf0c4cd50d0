"""A claim about all inputs within a radius of x0, as a function of that radius.

The network, its attribution and the claim are the same for every radius: only the region changes.
So whatever is known of nodes at one radius can be asked of another.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

from verifex.errors import InputError
from verifex.ir.fields import under
from verifex.ir.graph import Graph
from verifex.ir.problem import Problem
from verifex.ir.region import Region
from verifex.ir.text.toml_text import exact_number
from verifex.metrics.support.files import DataFolder
from verifex.metrics.support.names import Names
from verifex.problem.read import Given
from verifex.problem.spec.build import (
    assumption,
    find_network,
    graph_of,
    named,
    prepare,
    refutation,
    region_units,
    require_something,
    required,
)
from verifex.problem.spec.model import RegionSpec, RelativeRadius, Spec, spec_source
from verifex.problem.spec.region import build_region
from verifex.source import QuestionFiles

KEYS = ("linf", "linf_relative", "l1", "l2")
"""The keys of [region] that say one radius."""

RELATIVE = "linf_relative"

ALL = "all"
"""Asks for the radius of each feature, one after the other."""

_FAR = Fraction(10) ** 12
"""A radius at which no domain of use ends."""


@dataclass(frozen=True)
class Moving:
    """What moves: all that the spec lets move (no `features`), or some features alone.

    `label` is what they were asked by, `features` are keys of `only`.
    """

    label: str = ""
    features: tuple[str | int, ...] = ()

    def region(self, spec: RegionSpec, key: str, radius: Fraction) -> RegionSpec:
        """The table [region] with this radius; a feature alone has no other one."""
        value: object = radius
        if key == RELATIVE:
            given = spec.linf_relative or RelativeRadius(value=radius)
            value = given.model_copy(update={"value": radius})
        if not self.features:
            return spec.model_copy(update={key: value})
        none = dict.fromkeys(KEYS)
        return spec.model_copy(update={**none, key: value, "only": self.features})

    def document(self, given: Mapping[str, Any], key: str, radius: Fraction) -> dict[str, Any]:
        """The document of a spec with that table."""
        region = dict(given.get("region", {}))
        if self.features:
            region = {k: v for k, v in region.items() if k not in KEYS}
            region["only"] = list(self.features)
        value: object = exact_number(radius)
        if key == RELATIVE:
            said = given.get("region", {}).get(key)
            value = {**(said if isinstance(said, Mapping) else {}), "value": value}
        return {**given, "region": {**region, key: value}}


@dataclass(frozen=True, eq=False)
class RadiusQuestion:
    """For which radii a claim holds. The regions grow with the radius, so that a claim which holds
    at one holds at all that are less.

    `problem` has the region of a very large radius, `point` is x0. `guess` is the radius that the
    spec says, `least` the least one whose region has a point of the box, `domain` one from which
    the region grows no more (None: there is none). `free` are the features that move. `files` are
    those that it was read from; else `given` is of what files can be written.
    """

    problem: Problem
    key: str
    point: tuple[Fraction, ...]
    free: tuple[int, ...]
    least: Fraction
    domain: Fraction | None
    guess: Fraction | None
    region_at: Callable[[Fraction], Region] = field(repr=False)
    document: Callable[[Mapping[str, Any], Fraction], dict[str, Any]] = field(repr=False)
    moving: Moving = field(default_factory=Moving)
    units: tuple[Fraction, ...] = ()
    """Of `linf_relative`, one a feature; features with 0 are not `free`."""
    files: QuestionFiles | None = None
    given: Given | None = None

    def at(self, radius: Fraction) -> Problem:
        """The problem at a radius; InputError where its region is empty."""
        return replace(self.problem, region=self.region_at(radius))

    def distance(self, point: Sequence[Fraction]) -> Fraction:
        """The radius at which a point comes into the region: exact, of l2 rounded up."""
        if self.key == RELATIVE:
            change = [(point[i] - self.point[i]) / self.units[i] for i in self.free]
            return distance("linf", change)
        return distance(self.key, [point[i] - self.point[i] for i in self.free])


def distance(key: str, change: Sequence[Fraction]) -> Fraction:
    """A norm of a change; the l2 norm rounded up to 15 digits."""
    if key == "linf":
        return max(map(abs, change), default=Fraction(0))
    if key == "l1":
        return sum(map(abs, change), Fraction(0))
    return root_above(sum((d * d for d in change), Fraction(0)))


def root_above(square: Fraction) -> Fraction:
    """A decimal whose square is at least that, and larger than the root by some 1e-15 of it."""
    if square <= 0:
        return Fraction(0)
    # Sound: with q = 10 ** digits, isqrt(s q^2) is at most the root times q, and one more is above.
    size = len(str(square.denominator)) - len(str(square.numerator))
    digits = max(0, 16 + size // 2)
    scaled = -(-square.numerator * 10 ** (2 * digits) // square.denominator)
    floor = math.isqrt(scaled)
    return Fraction(floor if floor * floor == scaled else floor + 1, 10**digits)


# --- from specs -----------------------------------------------------------------------------


def load_radius(
    spec_path: str | Path, network_path: str | Path | None = None, key: str | None = None,
    features: Sequence[str] = (),
) -> list[RadiusQuestion]:
    """As `radius_questions`, from files."""
    source = spec_source(spec_path)
    network = find_network(source.parsed, spec_path, network_path)
    folder = DataFolder(Path(spec_path).parent)
    try:
        asked = radius_questions(
            graph_of(network, spec_path), named(source.parsed, spec_path), folder, key, features)
    except InputError as error:
        raise error.at(file=str(spec_path)) from None
    files = QuestionFiles(network, source, folder.hashes)
    return [replace(one, files=files) for one in asked]


def radius_questions(
    graph: Graph, spec: Spec, folder: DataFolder, key: str | None = None,
    features: Sequence[str] = (),
) -> list[RadiusQuestion]:
    """One question about all features that move, or one for each of `features` with all others
    frozen ("all" stands for each that moves, and for one-hot groups as a whole).

    `key` says which radius; without it, the one that the spec has. Raises InputError.
    """
    require_something(spec)
    with under("region"):
        chosen = radius_key(spec.region, key, alone=bool(features))
    wide = spec.model_copy(update={"region": Moving().region(spec.region, chosen, _FAR)})
    prepared = prepare(graph, wide, folder)
    if prepared.point.values is None:
        raise InputError("a radius needs a reference point", expected="[input] point or data",
                         key="input")
    claim = required(spec, prepared.setting), assumption(spec, prepared.setting)
    problem = prepared.problem(*claim, refutation=refutation(spec, prepared.setting))
    names, point = prepared.setting.features, prepared.point.values
    with under("region"):
        frozen = build_region(spec.region.model_copy(update={**dict.fromkeys(KEYS), "linf": _FAR}),
                              names, point)[0]
    movings = [one for text in features for one in _movings(text, frozen, names)]
    with under("region"):
        space = _Space(spec.region, chosen, names, tuple(point), region_units(wide, names, folder))
        return [_question(problem, space, moving) for moving in movings or [Moving()]]


def radius_key(region: RegionSpec, key: str | None, *, alone: bool = False) -> str:
    """The key whose radius is asked for: `key`, or the one that the spec has; of features that move
    `alone` it is linf, since all norms of one number are one."""
    given = [name for name in KEYS if getattr(region, name) is not None]
    if key is None and alone:
        return "linf"
    if key is None and len(given) != 1:
        what = f"{' and '.join(given)} are given" if given else "no radius is given"
        raise InputError(f"{what}: which one is asked for?", expected=f"one of {', '.join(KEYS)}")
    chosen = key or given[0]
    if chosen not in KEYS:
        raise InputError(f"no radius is called {chosen[:40]}", expected=f"one of {', '.join(KEYS)}")
    if not alone and not isinstance(_said(region, chosen), Fraction | None):
        raise InputError("several radii", expected="one number for all features (--set "
                         f"region.{chosen}=0.1), or one feature at a time (--feature NAME, or all)",
                         key=chosen)
    return chosen


def _said(region: RegionSpec, key: str) -> object:
    """The radius that a spec says, or its radii."""
    if key == RELATIVE:
        return None if region.linf_relative is None else region.linf_relative.value
    return getattr(region, key)


def _movings(text: str, region: Region, names: Names) -> list[Moving]:
    """The features that a text asks for; `region` is that of all of them."""
    with under(f"feature {text[:60]}"):
        return _features_of(text, region, names)


def _features_of(text: str, region: Region, names: Names) -> list[Moving]:
    free = [i for i in range(names.size) if region.lo[i] < region.hi[i]]
    if text != ALL or text in names.given:
        moves = [i for i in names.indices(_feature(text, names)) if i in free]
        if not moves:
            raise InputError(f"'{text}' does not move in the region", expected="a feature that may")
        return [Moving(text, (_feature(text, names),))]
    groups = {i: group for group in region.one_hot for i in group}
    out: dict[tuple[int, ...], Moving] = {}
    for i in free:
        group = tuple(groups.get(i, (i,)))
        label = ", ".join(map(names.name, group))
        out.setdefault(group, Moving(label, tuple(_key(j, names) for j in group)))
    return list(out.values())


def _feature(text: str, names: Names) -> str | int:
    """A feature as a key: digits are a position, unless a feature is called so."""
    digits = text.isascii() and text.isdigit() and len(text) < 10
    return int(text) if digits and text not in names.given else text


def _key(index: int, names: Names) -> str | int:
    """A key that picks just this feature: its name, if that does."""
    name = names.name(index)
    try:
        return name if names.indices(name) == [index] else index
    except InputError:
        return index


@dataclass(frozen=True)
class _Space:
    """What the regions of all radii are made of."""

    spec: RegionSpec
    key: str
    names: Names
    point: tuple[Fraction, ...]
    units: tuple[Fraction, ...]


def _question(problem: Problem, space: _Space, moving: Moving) -> RadiusQuestion:
    spec, key, names, point = space.spec, space.key, space.names, space.point

    def region_at(radius: Fraction) -> Region:
        with under("region"):
            return build_region(moving.region(spec, key, radius), names, point, space.units)[0]

    def document(given: Mapping[str, Any], radius: Fraction) -> dict[str, Any]:
        return moving.document(given, key, radius)

    region = region_at(_FAR)
    moves = moving.region(spec, key, _FAR)
    held = set(names.select(moves.freeze))
    if moves.only is not None:
        held |= set(range(names.size)) - set(names.select(moves.only))
    if key == RELATIVE:
        held |= {i for i, unit in enumerate(space.units) if unit == 0}
    free = tuple(i for i in range(names.size) if i not in held)
    guess = spec.linf if moving.features and key != RELATIVE else _said(spec, key)
    asked = RadiusQuestion(
        replace(problem, region=region), key, point, free, Fraction(0), None,
        guess if isinstance(guess, Fraction) else None, region_at, document, moving,
        space.units)
    nearest = [min(max(v, a), b) for a, v, b in zip(region.lo, point, region.hi, strict=True)]
    return replace(asked, least=asked.distance(nearest), domain=_domain(asked, region))


def _domain(asked: RadiusQuestion, region: Region) -> Fraction | None:
    """The distance of the corner that is farthest from x0; None where a side has no other end than
    the radius."""
    far: list[Fraction] = list(asked.point)
    for i in asked.free:
        below, above = asked.point[i] - region.lo[i], region.hi[i] - asked.point[i]
        reach = _FAR * asked.units[i] if asked.key == RELATIVE else _FAR
        if max(below, above) > reach - 2:
            return None
        far[i] = region.lo[i] if below > above else region.hi[i]
    return asked.distance(far)
