"""Facts that the checker derives from random lines hold at the points of their domain.

Lines are drawn without any thought of what they may prove: random splits, fractions, multipliers
of splits and rows. All of them are sound: no exact value at a point of the domain may contradict
what is derived.
"""

from __future__ import annotations

import base64
import random
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.helpers import checker_parts as checker
from tests.helpers.certificate_names import reading
from tests.helpers.checker_nets import save_net

Line = dict[str, Any]
Point = list[Fraction]

SPEC = """verifex = 1
[input]
point = [0.1, "-1/3", 0]
[region]
{ball}
box = {{ lo = [-1, -0.7, -1], hi = [0.9, 1, 1] }}
linear = ["0.3*x[0] + 0.7*x[1] <= 0.4", "x[0] - x[2] / 3 <= 0.6", "x[1] + x[2] >= -1.1"]
[explain]
attribution = "{attribution}"
output = {{ weights = ["1/3", "-2/7"] }}
[[require]]
component = 0
at_least = -100
[[require]]
output = "logit:0"
at_most = 100
"""


class Drawn:
    """A claim about a small network, some points of its region, and lines about its elements."""

    def __init__(self, seed: int, folder: Path) -> None:
        self.rng, numbers = random.Random(f"facts {seed}"), np.random.default_rng(seed)
        sizes = [3, self.rng.randint(4, 6), self.rng.randint(4, 6), 2]
        network = save_net(folder / "net.onnx", [
            (numbers.integers(-8, 9, (n, m)) / 4, numbers.integers(-8, 9, n) / 8)
            for m, n in pairwise(sizes)])
        spec = folder / "spec.toml"
        kind = self.rng.choice(("gradient", "input_x_gradient"))
        ball = self.rng.choice(("", "", "l1 = 1.1", "l2 = 0.8"))
        spec.write_text(SPEC.format(attribution=kind, ball=ball))
        self.read = reading(network, spec)
        self.deriver, self.graph = self.read.deriver, self.read.graph
        self.nodes = sorted(
            {place[0] for places in self.deriver.index.places(checker.ARGUMENT).values()
             for place in places})
        self.groups = {node: k for k, node in enumerate(self.deriver.index.nodes)}
        for node in self.groups:
            self.deriver.groups.add(self.deriver.index.fingerprints.of(node))

    def points(self, count: int) -> list[Point]:
        low, high = self.read.claim.region.low, self.read.claim.region.high
        found = list[Point]()
        while len(found) < count:
            point = [a + (b - a) * Fraction(self.rng.randint(0, 64), 64)
                     for a, b in zip(low, high, strict=True)]
            if checker.inside(self.read.claim, self.read.cuts, point):
                found.append(point)
        return found

    def value(self, node: int, element: int, point: Point) -> Fraction | None:
        """None where it depends on a gate on its kink."""
        low, high = checker.ends(self.graph, node, point, False)
        value: Fraction = low[element]
        return value if value == high[element] else None

    def fractions(self) -> dict[str, str]:
        roles = {"R": ("alpha",), "S": ("tie",), "G": ("below", "above"), "M": ("below", "above")}
        return {
            f"{kind} {group}": base64.b64encode(bytes(
                self.rng.randint(0, 128) for _ in range(self.graph.nodes[node].size))).decode()
            for node, group in self.groups.items()
            for kind in roles.get(self.graph.nodes[node].kind, ()) if self.rng.random() < 0.6}

    def multipliers(self, count: int, share: float) -> list[list[Any]]:
        return [[k, self.rng.randint(1, 9), self.rng.randint(-4, 2)]
                for k in range(count) if self.rng.random() < share]

    def lines(self, domain: Any) -> list[Line]:
        found = []
        for node in self.rng.sample(self.nodes, min(3, len(self.nodes))):
            size, shared = self.graph.nodes[node].size, self.fractions()
            exact = {"exact": 1} if self.rng.random() < 0.2 else {}
            for sign in (1, -1):
                found.append({
                    "fact": [self.groups[node], list(range(size)), sign], "fractions": shared,
                    "splits": self.multipliers(len(domain.splits), 0.4),
                    "rows": self.multipliers(3, 0.4), **exact})
        return found

    def child(self, domain: Any, point: Point) -> Any:
        """A part of a domain that holds a point; the domain where it is on a kink."""
        node = self.rng.choice(self.nodes)
        element = self.rng.randrange(self.graph.nodes[node].size)
        value = self.value(node, element, point)
        at = Fraction(0) if self.rng.random() < 0.6 else Fraction(self.rng.randint(-9, 9), 7)
        if value is None or value == at:
            return domain
        return domain.split(checker.Split(node, element, 1 if value > at else -1, at))


@pytest.mark.parametrize("seed", range(40))
def test_facts_hold_at_the_points_of_their_domain(seed: int, tmp_path: Path) -> None:
    drawn = Drawn(seed, tmp_path)
    tried = 0
    for point in drawn.points(3):
        domain = drawn.read.region
        for _ in range(drawn.rng.randint(1, 4)):
            domain = drawn.child(domain, point)
            drawn.deriver.attached(domain).pending += drawn.lines(domain)
            drawn.deriver._settle(domain)  # Empty would say that the domain has no point
            for node, facts in domain.facts.items():
                for (element, sign), bound in facts.items():
                    value = drawn.value(node, element, point)
                    if value is not None:
                        tried += 1
                        assert bound <= sign * value * domain.grid.unit
    assert tried > 50
