"""The checker's fast arithmetic against its plain one: bounds of domains, forms and boxes.

Graphs are put together at random from all kinds of nodes; domains by splits at rationals, cuts of
whole numbers, one-hot groups and facts. Fast bounds of nodes are never inside the plain ones; of
forms, both arithmetics give bounds that hold, the same but for rounding, and equal ones where
nothing rounds. (On a coarse grid the fast bound of a form may be the greater one: a bound that is
rounded can lead to another plane.)
"""

from __future__ import annotations

import itertools
import random
from fractions import Fraction
from typing import Any

import pytest

from tests.helpers import checker_parts as checker

FINE = 900
"""Bits at which numbers of a few digits do not round but for quotients."""
TINY = Fraction(1, 1 << FINE // 2)


def dyadic(rng: random.Random) -> Fraction:
    return Fraction(rng.randint(-8, 8), rng.choice((1, 2, 4)))


def random_graph(rng: random.Random, kinds: str = "ARRSSGGMMQ") -> tuple[Any, list[int]]:
    """A graph of a few nodes of these kinds over one input, and the nodes of two elements."""
    graph = checker.NetworkGraph()
    size = rng.randint(2, 4)
    known = [graph.input("x", size)]
    for _ in range(rng.randint(2, 6)):
        forms = []
        for _ in range(2):
            refs = {(n, rng.randrange(graph.nodes[n].size)): dyadic(rng)
                    for n in rng.sample(known, min(len(known), rng.randint(1, 2)))}
            forms.append(({r: c for r, c in refs.items() if c}, dyadic(rng)))
        z = graph.rows(forms)
        kind = rng.choice(kinds)
        if kind == "A":
            known.append(z)
        elif kind in "RS":
            if rng.random() < 0.5:
                known.append(graph.op("R", z))
            known.append(graph.op(kind, z))
        elif kind == "G":
            other = rng.choice([n for n in known if graph.nodes[n].size == 2] or [z])
            known.append(graph.op("G", graph.op("S", z), other))
        else:
            other = z if kind == "Q" else rng.choice(
                [n for n in known if graph.nodes[n].size == 2] or [z])
            known.append(graph.op("M", *sorted((z, other))))
    return graph, [n for n in known if graph.nodes[n].size == 2] or [z]


def grid_of(graph: Any, bits: int, coefficient: int, odd: int = 1) -> Any:
    relus = {node.args[0]: n for n, node in enumerate(graph.nodes) if node.kind == "R"}
    gated = {node.args[0] for node in graph.nodes if node.kind == "S"}
    return checker.Grid(graph, odd, bits, coefficient, False,
                        {z: n for z, n in relus.items() if z in gated})


def random_domain(
    rng: random.Random, graph: Any, grids: list[Any], parts: tuple[int, ...]
) -> list[Any]:
    """The same domain on several grids: a box, splits, cuts, one-hot groups, facts."""
    size = graph.nodes[0].size
    groups = [[0, 1]] if rng.random() < 0.4 else []
    low = [Fraction(rng.randint(-6, 0), rng.choice(parts)) for _ in range(size)]
    high = [Fraction(rng.randint(1, 6), rng.choice(parts)) for _ in range(size)]
    for member in itertools.chain.from_iterable(groups):
        low[member], high[member] = Fraction(0), Fraction(1)
    found = [checker.Domain(grid, (low, high), groups) for grid in grids]
    for _ in range(rng.randint(0, 5)):
        how, value = rng.randrange(4), Fraction(rng.randint(-9, 9), rng.choice(parts))
        sign = rng.choice((1, -1))
        if how == 0:
            i = rng.randrange(size)
            found = [d.cut(i, sign, value if i else Fraction(round(value))) for d in found]
        elif how == 1:
            node = rng.randrange(len(graph.nodes))
            split = checker.Split(node, rng.randrange(graph.nodes[node].size), sign,
                                  rng.choice((Fraction(0), value)))
            found = [d.split(split) for d in found]
        elif how == 2:
            i = rng.randrange(size)
            found = [d.within({(i, sign): value}) for d in found]
        else:
            node = rng.randrange(len(graph.nodes))
            element = rng.randrange(graph.nodes[node].size)
            for d, grid in zip(found, grids, strict=True):
                d.learn(node, element, sign, grid.below(value - 3))
    assert len({d.empty for d in found}) == 1
    return found


def random_multipliers(
    rng: random.Random, graph: Any, share: float = 0.7, precisions: tuple[int, ...] = (1, 7, 20)
) -> Any:
    """Fractions of a share of the nodes; the others have the defaults."""
    bits = rng.choice(precisions)
    fractions = {}
    for n, node in enumerate(graph.nodes):
        for kind in {"R": ["alpha"], "S": ["tie"], "G": ["below", "above"],
                     "M": ["below", "above"]}.get(node.kind, []):
            if rng.random() < share:
                fractions[kind, n] = [
                    rng.choice((0, 1 << bits, rng.randint(0, 1 << bits))) for _ in range(node.size)]
    return checker.Multipliers(bits, fractions)


def lower(domain: Any, form: Any, using: Any) -> Fraction:
    """The fast lower bound of a form."""
    scale = 1 << domain.grid.coefficient
    terms = [(n, i, int(c * scale)) for (n, i), c in form[0].items()]
    return Fraction(checker.lower_bound(domain, terms, using), domain.grid.unit * scale) + form[1]


class Cases:
    """Random domains that are not seen to be empty, on a coarse and on a fine grid."""

    def __init__(
        self, seed: int, parts: tuple[int, ...] = (1, 2, 3, 7), kinds: str = "ARRSSGGMMQ"
    ) -> None:
        self.rng, self.parts, self.kinds = random.Random(seed), parts, kinds

    def draw(self) -> tuple[Any, list[int], Any, Any]:
        """A graph, some of its nodes, and a domain on both grids."""
        while True:
            graph, nodes = random_graph(self.rng, self.kinds)
            bits, coefficient = self.rng.choice(((2, 3), (5, 8), (52, 64)))
            grids = [grid_of(graph, bits, coefficient, self.rng.choice((1, 3, 21))),
                     grid_of(graph, FINE, FINE)]
            coarse, fine = random_domain(self.rng, graph, grids, self.parts)
            try:
                for n in range(len(graph.nodes)):
                    fine.bounds(n)
                    coarse.bounds(n)
            except checker.Empty:
                continue
            if not any(d.empty for d in coarse.path):
                return graph, nodes, coarse, fine

    def draw_fine(self) -> tuple[Any, list[int], Any]:
        """The same with the fine grid alone."""
        graph, nodes, _, fine = self.draw()
        return graph, nodes, fine


@pytest.mark.parametrize("seed", range(150))
def test_fast_intervals_hold_the_plain_ones(seed: int) -> None:
    graph, _, *domains = Cases(seed).draw()
    for domain in domains:
        plain, unit = checker.PlainBounds(domain), domain.grid.unit
        try:
            exact = [plain.bounds(n) for n in range(len(graph.nodes))]
        except checker.Empty:
            return  # rounding hides from the fast one that there is no point
        for n, intervals in enumerate(exact):
            for low, high, (least, most) in zip(*domain.bounds(n), intervals, strict=True):
                assert low <= least * unit <= most * unit <= high
                if domain.grid.bits == FINE:
                    assert Fraction(high - low, unit) - (most - least) <= TINY


@pytest.mark.parametrize("seed", range(300))
def test_bounds_of_forms_hold_and_differ_by_rounding_alone(seed: int) -> None:
    rng = random.Random(f"forms {seed}")
    graph, nodes, coarse, fine = Cases(seed).draw()
    # All fractions are given: which default is taken could depend on how bounds are rounded.
    using = random_multipliers(rng, graph, 1)
    form = {(n, rng.randrange(2)): Fraction(rng.randint(-3, 3)) for n in nodes}, Fraction(0)
    try:
        slow, fast, rough = (
            checker.PlainBounds(fine).lower_bound([(form, Fraction(1))], using),
            lower(fine, form, using), lower(coarse, form, using))
    except checker.Empty:
        return
    assert abs(slow - fast) <= TINY
    for values in points(rng, graph, fine, 12):
        assert max(slow, fast, rough) <= sum(c * values[n][i] for (n, i), c in form[0].items())


def points(rng: random.Random, graph: Any, domain: Any, count: int) -> list[list[list[Fraction]]]:
    """Values of all nodes at points of a domain, off kinks but for the splits at 0."""
    found = []
    for _ in range(count):
        x = [a + (b - a) * Fraction(rng.randint(0, 8), 8)
             for a, b in zip(*domain.box, strict=True)]
        if any(sum(x[i] for i in group) != 1 for group in domain.groups):
            continue
        values = [checker.exactly(graph, n, x, True) for n in range(len(graph.nodes))]
        splits = all(s.sign * (values[s.node][s.element] - s.at) >= 0 and (
            s.sign < 0 or values[s.node][s.element] != s.at) for s in domain.splits)
        facts = all(
            sign * values[n][i] * domain.grid.unit >= bound
            for d in domain.path for n, known in d.facts.items()
            for (i, sign), bound in known.items())
        if splits and facts:
            found.append(values)
    return found


def test_points_of_random_domains_are_found() -> None:
    """The test above is about points: most domains have some."""
    sizes = []
    for seed in range(60):
        graph, _, _, fine = Cases(seed).draw()
        sizes.append(len(points(random.Random(seed), graph, fine, 12)))
    assert sum(map(bool, sizes)) >= 20


@pytest.mark.parametrize("seed", range(200))
def test_both_are_equal_where_nothing_rounds(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Dyadic boxes, splits and facts, and planes that divide by powers of two alone."""
    quotients: list[Fraction] = []
    for name in ("relu_chord", "step_below", "step_above"):
        original = getattr(checker.plain, name)

        def watched(*given: Fraction, original: Any = original) -> Any:
            quotients.append(given[-1])
            return original(*given)

        monkeypatch.setattr(checker.plain, name, watched)
    rng = random.Random(f"exact {seed}")
    graph, nodes, domain = Cases(seed, (1, 2, 4)).draw_fine()
    using = random_multipliers(rng, graph)
    form = {(n, rng.randrange(2)): Fraction(rng.randint(-3, 3)) for n in nodes}, Fraction(0)
    plain, unit = checker.PlainBounds(domain), domain.grid.unit
    for n in range(len(graph.nodes)):
        assert plain.bounds(n) == [
            (Fraction(a, unit), Fraction(b, unit))
            for a, b in zip(*domain.bounds(n), strict=True)]
    slow, fast = plain.lower_bound([(form, Fraction(1))], using), lower(domain, form, using)
    if all(v.denominator & v.denominator - 1 == 0 for v in quotients):
        assert slow == fast
    else:
        assert abs(slow - fast) <= TINY


@pytest.mark.parametrize("seed", range(120))
def test_forms_side_by_side_are_bounded_as_one_by_one(seed: int) -> None:
    """A little below what the plain arithmetic finds, for all of them, whatever the precision."""
    rng = random.Random(f"many {seed}")
    graph, nodes, coarse, fine = Cases(seed, (1, 2, 4), "ARRRR").draw()
    using = random_multipliers(rng, graph, 1, (1, 7, 41, 64, 300))
    node = rng.choice(nodes)
    cells = [(n, i) for n in sorted(graph.nodes[node].cone) for i in range(graph.nodes[n].size)]
    forms = []
    for _ in range(rng.randint(1, 9)):
        form = {(node, rng.randrange(2)): rng.choice((1, -1)) * Fraction(1)}
        for cell in rng.sample(cells, rng.randint(0, min(3, len(cells)))):
            form[cell] = form.get(cell, Fraction(0)) + Fraction(
                rng.randint(-9, 9) * rng.choice((1, 1, 1 << 30)), 8)
        forms.append(form)
    scale = 1 << checker.many.COEFFICIENT
    for domain in (coarse, fine):
        assert checker.many.fits(domain, [node])
        plain, unit = checker.PlainBounds(domain), domain.grid.unit
        try:
            exact = [plain.lower_bound([((form, Fraction(0)), Fraction(1))], using)
                     for form in forms]
        except checker.Empty:
            return
        found = checker.many.lower_bounds(
            domain, [{cell: int(c * scale) for cell, c in form.items()} for form in forms],
            [0] * len(forms), using)
        values = points(rng, graph, domain, 6)
        for form, least, bound in zip(forms, exact, found, strict=True):
            size = sum(map(abs, form.values()))
            if domain is fine:
                assert abs(least - Fraction(bound, unit)) <= size * Fraction(1, 1 << 20)
            for at in values:
                assert bound <= unit * sum(c * at[n][i] for (n, i), c in form.items())


@pytest.mark.parametrize("power", [60, 100, 120, 149, 300, 1074])
def test_lanes_are_wider_than_denominators(power: int) -> None:
    """Where all weights are so small that their products are shorter than their denominator."""
    graph = checker.NetworkGraph()
    x = graph.input("x", 2)
    small, larger = Fraction(1, 1 << power), Fraction(1, 1 << power // 2)
    weights = [small, larger, -larger, larger]
    node = graph.rows([({(x, 0): weight}, Fraction(0)) for weight in weights])
    domain = checker.Domain(grid_of(graph, 52, 64), ([Fraction(1)] * 2, [Fraction(2)] * 2))
    unit = domain.grid.unit
    size = graph.nodes[node].size
    found = checker.many.lower_bounds(
        domain, [{(node, i): sign << checker.many.COEFFICIENT} for i in range(size)
                 for sign in (1, -1)], [0] * 2 * size, checker.Multipliers())
    plain = checker.PlainBounds(domain).bounds(node)
    for (low, high), least, most in zip(plain, found[::2], found[1::2], strict=True):
        assert low - Fraction(1, 1 << 30) <= Fraction(least, unit) <= low
        assert -high - Fraction(1, 1 << 30) <= Fraction(most, unit) <= -high


@pytest.mark.parametrize("seed", range(30))
def test_numbers_in_lanes_are_as_one_by_one(seed: int) -> None:
    rng = random.Random(seed)
    lanes = checker.Lanes(rng.randint(1, 9), 8 * rng.randint(2, 20))
    half = 1 << lanes.width - 1
    for _ in range(20):
        most = rng.choice((half, 5, half >> 1))
        values = [rng.choice((0, most - 1, -most, rng.randrange(-most, most)))
                  for _ in range(lanes.count)]
        numbers = lanes.joined(dict(enumerate(values)))
        assert lanes.parted(numbers) == values
        assert lanes.parted(lanes.positive(numbers)) == [max(v, 0) for v in values]
        bits = rng.randrange(lanes.width - 1)
        shifted, remainder = lanes.shifted(numbers, bits)
        assert lanes.parted(shifted) == [v >> bits for v in values]
        assert remainder == any(v % (1 << bits) for v in values)
    for bits in (lanes.width, lanes.width + 1, 9 * lanes.width):
        with pytest.raises(checker.Bad, match="beyond a lane"):
            lanes.shifted(numbers, bits)


@pytest.mark.parametrize("seed", range(150))
def test_numbers_of_any_size_stay_in_their_lanes(seed: int) -> None:
    """Layers with weights from 2^-120 to 2^120, unlike ones side by side: bounds hold at points."""
    rng = random.Random(f"sizes {seed}")
    graph = checker.NetworkGraph()
    node, width = graph.input("x", rng.randint(1, 4)), 0
    for _ in range(rng.randint(1, 4)):
        count, width = graph.nodes[node].size, rng.randint(1, 4)
        forms = []
        for _ in range(width):
            refs = {
                (node, i): Fraction(rng.randint(-15, 15)) * Fraction(2) ** rng.randint(-120, 120)
                for i in range(count) if rng.random() < 0.8}
            forms.append(({k: v for k, v in refs.items() if v},
                          Fraction(rng.randint(-9, 9)) * Fraction(2) ** rng.randint(-90, 60)))
        affine = graph.rows(forms)
        node = graph.op("R", affine)
    grid = checker.Grid(graph, rng.choice((1, 3, 5)), rng.choice((1, 20, 52, 90)), 64)
    size = graph.nodes[0].size
    low = [Fraction(rng.randint(-8, 4), 3) for _ in range(size)]
    high = [a + Fraction(rng.randint(0, 9), 4) for a in low]
    domain = checker.Domain(grid, (low, high))
    places = [(affine, i, s) for i in range(graph.nodes[affine].size) for s in (1, -1)]
    bits = rng.choice((1, 7, 60))
    alpha = {
        checker.Choice("alpha", n): [rng.randint(-1, 1 << bits) for _ in range(k.size)]
        for n, k in enumerate(graph.nodes) if k.kind == "R"}
    one = 1 << checker.many.COEFFICIENT
    found = checker.many.lower_bounds(
        domain, [{(n, i): s * one} for n, i, s in places], [0] * len(places),
        checker.Multipliers(bits, alpha))
    for share in (Fraction(0), Fraction(1), Fraction(1, 3), Fraction(1, 2)):
        x = [a + (b - a) * rng.choice((share, 1 - share)) for a, b in zip(low, high, strict=True)]
        values = checker.exactly(graph, affine, x, True)
        for (_, i, s), bound in zip(places, found, strict=True):
            assert bound <= s * values[i] * grid.unit


@pytest.mark.parametrize("seed", range(200))
def test_one_hot_groups_are_taken_in_as_enumeration_has_it(seed: int) -> None:
    """A box narrowed by its groups holds all their points, and ends at the hull of these where
    members are 0 and 1 at their ends."""
    rng = random.Random(seed)
    size = rng.randint(2, 6)
    order = rng.sample(range(size), size)
    cut = rng.randint(1, size)
    groups = [group for group in (order[:cut], order[cut:]) if len(group) > 1]
    whole = rng.random() < 0.7
    ends = [Fraction(0), Fraction(1)] if whole else [
        Fraction(k, 4) for k in (-2, 0, 1, 2, 3, 4, 6)]
    pairs = [sorted(rng.choices(ends, k=2)) for _ in range(size)]
    low, high = [a for a, _ in pairs], [b for _, b in pairs]
    members = [i for group in groups for i in group]
    inside = [
        choice for choice in itertools.product((0, 1), repeat=len(members))
        if all(low[i] <= v <= high[i] for i, v in zip(members, choice, strict=True))
        and all(sum(v for i, v in zip(members, choice, strict=True) if i in group) == 1
                for group in groups)]
    narrow_low, narrow_high = list(low), list(high)
    fits = checker.choose(narrow_low, narrow_high, groups)
    assert fits or not inside
    if whole:
        assert fits == bool(inside)
    if not fits:
        return
    for place, i in enumerate(members):
        assert low[i] <= narrow_low[i]
        assert narrow_high[i] <= high[i]
        chosen = [choice[place] for choice in inside]
        assert all(narrow_low[i] <= v <= narrow_high[i] for v in chosen)
        if whole:
            assert (narrow_low[i], narrow_high[i]) == (min(chosen), max(chosen))
    again = list(narrow_low), list(narrow_high)
    assert checker.choose(*again, groups)
    assert again == (narrow_low, narrow_high)
    for i in set(range(size)).difference(members):
        assert (narrow_low[i], narrow_high[i]) == (low[i], high[i])
