"""The table [region]: which inputs the claim speaks of, the intersection of all that is given.

The region is a box, cut by rows (linear forms that are at most 0) and by balls around x0; of some
features only whole numbers count, and of one-hot groups only points with exactly one 1. A proof may
use less than all of this (then it covers more points); a witness has to satisfy all of it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from fractions import Fraction
from typing import NamedTuple

from ..failures import at, need
from ..graph.forms import ONE, ZERO, Form, total
from ..graph.network_graph import NetworkGraph
from .constraints import ConstraintReader
from .formulas import input_positions
from .names import ElementNames, is_pattern
from .toml_values import TomlTable, as_list, exact, number_list, shown, text_of

REGION_KEYS = ("linf", "linf_relative", "l1", "l2", "box", "clip", "freeze", "only", "integer",
               "one_hot", "linear")

RELATIVE_KEYS = ("value", "of", "data")


class NormBall(NamedTuple):
    """The sum of |x_i - x0_i| ** power over the free inputs is at most radius ** power."""

    power: int
    free: tuple[int, ...]
    radius: Fraction


class ClaimRegion(NamedTuple):
    """A box [low, high] of flat inputs, and what cuts it."""

    low: list[Fraction]
    high: list[Fraction]
    rows: list[Form]  # of the inputs, each at most 0
    balls: list[NormBall]
    whole: frozenset[int]  # inputs that are whole numbers
    one_hot: list[list[int]]  # groups of inputs of 0 and 1, of which exactly one is 1


def check_whole(region: ClaimRegion, graph: NetworkGraph) -> None:
    """Refuses a region in which the network's whole inputs may be other numbers, or beyond the ends
    between which the graph is the network."""
    for (node, place), (least, greatest) in graph.whole.items():
        flat = graph.nodes[node].start + place
        low, high = region.low[flat], region.high[flat]
        held = low == high and low.denominator == 1
        need(flat in region.whole or held, f"input {flat} takes whole numbers alone")
        need(least <= low and high <= greatest,
             f"input {flat} is outside {least} to {greatest} for some points")


class GrowingBox:
    """The bounds of every feature that have been stated so far; the strictest of each counts."""

    def __init__(self, size: int) -> None:
        self.low: dict[int, Fraction] = {}
        self.high: dict[int, Fraction] = {}
        self.size = size

    def at_least(self, feature: int, bound: Fraction) -> None:
        self.low[feature] = max(bound, self.low.get(feature, bound))

    def at_most(self, feature: int, bound: Fraction) -> None:
        self.high[feature] = min(bound, self.high.get(feature, bound))

    def near(self, point: Sequence[Fraction], radii: Mapping[int, Fraction]) -> None:
        """|x_i - point_i| is at most the radius of i."""
        for feature, radius in radii.items():
            need(point, "a radius, or a feature that is held, without a reference point")
            need(radius >= 0, "a negative radius")
            self.at_least(feature, point[feature] - radius)
            self.at_most(feature, point[feature] + radius)

    def ends(self, whole: Iterable[int]) -> tuple[list[Fraction], list[Fraction]]:
        """The ends of all features, those of whole numbers moved inward to whole numbers."""
        need(len(self.low) == len(self.high) == self.size, "a feature is unbounded")
        for feature in whole:
            self.low[feature] = Fraction(math.ceil(self.low[feature]))
            self.high[feature] = Fraction(math.floor(self.high[feature]))
        low = [self.low[feature] for feature in range(self.size)]
        high = [self.high[feature] for feature in range(self.size)]
        need(all(map(Fraction.__le__, low, high)), "the region is empty")
        return low, high


def read_region(
    table: TomlTable, features: ElementNames, point: Sequence[Fraction], flat_inputs: list[Form],
    units: Callable[[TomlTable], list[Fraction]],
) -> ClaimRegion:
    """The table [region] of a spec; `units` gives those of `linf_relative`, one a feature."""
    moving = moving_features(table, features)
    balls = norm_balls(table, moving)
    groups = one_hot_groups(table, features)
    members = [feature for group in groups for feature in group]
    whole = frozenset({*members, *features.select(table.get("integer", []))})
    box = GrowingBox(features.size)
    add_written_boxes(box, table, features)
    add_distances(box, table, features, point, moving)
    add_relative_distances(box, table, features, point, units)
    for ball in balls:
        # Sound: no coordinate is farther from the centre of a ball than its radius.
        box.near(point, dict.fromkeys(ball.free, ball.radius))
    for feature in members:
        box.at_least(feature, ZERO)
        box.at_most(feature, ONE)
    low, high = box.ends(whole)
    check_groups(groups, low, high)
    for ball in balls:
        check_ball(ball, point, low, high)
    rows = constraint_rows(table, ConstraintReader(features, flat_inputs))
    check_rows(rows, flat_inputs, low, high)
    return ClaimRegion(low, high, rows + group_rows(groups, flat_inputs), balls, whole, groups)


# --- the box ------------------------------------------------------------------------------------


def numbers_by_feature(value: object, features: ElementNames) -> dict[int, Fraction]:
    """Numbers by feature: one for all, a list, or a table in which a name beats a pattern."""
    if isinstance(value, list):
        return dict(enumerate(number_list(value, features.size)))
    if not isinstance(value, dict):
        return dict.fromkeys(range(features.size), exact(value))
    by_pattern: dict[int, Fraction] = {}
    by_name: dict[int, Fraction] = {}
    for key, number in value.items():
        chosen = by_pattern if is_pattern(key) else by_name
        for feature in features.find(key):
            need(feature not in chosen, "two keys pick one feature")
            chosen[feature] = exact(number)
    return {**by_pattern, **by_name}


def add_written_boxes(box: GrowingBox, table: TomlTable, features: ElementNames) -> None:
    """`box` and `clip`, which mean the same and of which both hold."""
    for key in table.present("box", "clip"):
        with at(key):
            low, high = written_ends(table.get(key))
            for feature, bound in numbers_by_feature(low, features).items():
                box.at_least(feature, bound)
            for feature, bound in numbers_by_feature(high, features).items():
                box.at_most(feature, bound)


def written_ends(value: object) -> tuple[object, object]:
    """[lo, hi], or a table of lo and hi of which one may be left out: it then bounds nothing."""
    if isinstance(value, list):
        need(len(value) == 2, f"{shown(value)} is no pair of ends")
        return value[0], value[1]
    ends = TomlTable(value, ("lo", "hi"))
    return ends.get("lo", {}), ends.get("hi", {})


def add_distances(
    box: GrowingBox, table: TomlTable, features: ElementNames, point: Sequence[Fraction],
    moving: list[int],
) -> None:
    """Held features stay at x0; with `linf` each feature within its radius, 0 if it has none."""
    everywhere = range(features.size)
    box.near(point, dict.fromkeys(set(everywhere) - set(moving), ZERO))
    if "linf" in table:
        with at("linf"):
            radii = numbers_by_feature(table.get("linf"), features)
            box.near(point, {**dict.fromkeys(everywhere, ZERO), **radii})


def add_relative_distances(
    box: GrowingBox, table: TomlTable, features: ElementNames, point: Sequence[Fraction],
    units: Callable[[TomlTable], list[Fraction]],
) -> None:
    """`linf_relative`: as `linf`, each radius in the unit of its feature; a table of them says the
    number as `value`, what is written alone is that number."""
    if "linf_relative" not in table:
        return
    with at("linf_relative"):
        said = table.get("linf_relative")
        wanted = TomlTable(said if isinstance(said, dict) else {"value": said}, RELATIVE_KEYS)
        radii = numbers_by_feature(wanted.required("value"), features)
        need(all(radius >= 0 for radius in radii.values()), "a negative radius")
        sizes = units(wanted)
        box.near(point, {feature: radii.get(feature, ZERO) * size
                         for feature, size in enumerate(sizes)})


def moving_features(table: TomlTable, features: ElementNames) -> list[int]:
    """The features that are not held at x0: of those that `only` names, those not in `freeze`."""
    moving = set(range(features.size))
    if "only" in table:
        moving &= set(features.select(table.get("only")))
    moving -= set(features.select(table.get("freeze", [])))
    return sorted(moving)


# --- what cuts the box --------------------------------------------------------------------------


def norm_balls(table: TomlTable, moving: list[int]) -> list[NormBall]:
    """The balls `l1` and `l2`, over the features that are not held."""
    balls = [NormBall(power, tuple(moving), table.number(f"l{power}"))
             for power in (1, 2) if f"l{power}" in table]
    need(all(ball.radius >= 0 for ball in balls), "a negative radius")
    return balls


def one_hot_groups(table: TomlTable, features: ElementNames) -> list[list[int]]:
    """Groups of at least two features, no feature in two of them."""
    listed = table.get("one_hot", [])
    need(isinstance(listed, list), "one_hot: no list of groups")
    groups = [features.select(group) for group in as_list(listed)]
    members = [feature for group in groups for feature in group]
    need(all(len(group) > 1 for group in groups) and len(set(members)) == len(members),
         "one_hot: a group of less than two features, or two groups with one")
    return groups


def group_rows(groups: list[list[int]], flat_inputs: list[Form]) -> list[Form]:
    """For each group: its sum is at most 1, and at least 1."""
    rows: list[Form] = []
    for group in groups:
        members = total((flat_inputs[feature], 1) for feature in group)
        rows += [total([(members, 1)], -1), total([(members, -1)], 1)]
    return rows


def constraint_rows(table: TomlTable, reader: ConstraintReader) -> list[Form]:
    """The rows of all constraints, in order."""
    rows: list[Form] = []
    for number, source in enumerate(as_list(table.get("linear", []))):
        with at(f"linear[{number}]"):
            rows += reader.rows(text_of(source, "constraint"))
    return rows


# --- regions that are visibly empty are refused, since every claim holds of nothing --------------


def check_groups(groups: list[list[int]], low: list[Fraction], high: list[Fraction]) -> None:
    """At most one member of a group has to be 1, and some member can be."""
    for group in groups:
        have_to = sum(low[feature] == 1 for feature in group)
        can = sum(high[feature] == 1 for feature in group)
        need(have_to <= 1 <= can, "one_hot: the region is empty")


def check_ball(
    ball: NormBall, point: Sequence[Fraction], low: list[Fraction], high: list[Fraction]
) -> None:
    """The point of the box that is nearest to the centre is in the ball."""
    nearest = [max(low[i] - point[i], point[i] - high[i], ZERO) for i in ball.free]
    need(sum(distance**ball.power for distance in nearest) <= ball.radius**ball.power,
         f"l{ball.power}: the region is empty")


def check_rows(
    rows: list[Form], flat_inputs: list[Form], low: list[Fraction], high: list[Fraction]
) -> None:
    """Each constraint by itself holds somewhere in the box."""
    position = input_positions(flat_inputs)
    for coefficients, constant in rows:
        least = sum(factor * (low if factor > 0 else high)[position[element]]
                    for element, factor in coefficients.items())
        need(least + constant <= 0, "linear: the region is empty")
