"""Random claims: every kind of property, thresholds at and beside exactly attained values."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import isqrt

from tests.soundness.independent.claims import Bounds, Claim, Class, Combined, Monotone, Output
from tests.soundness.independent.explained import (
    Component,
    Distance,
    Mass,
    Order,
    Sign,
    Similarity,
    TopK,
    norm_of,
)
from tests.soundness.independent.points import Battery, Measure
from tests.soundness.independent.shares import draw
from tests.soundness.independent.toml import cut, numbers, short
from tests.soundness.independent.world import Seen, Weights, World, ranked

COMBINED = ("all", "any", "not")


@dataclass
class Functional:
    """An output functional as written, and as weights; `ill` says why it cannot be resolved."""

    spelled: str
    weights: Weights
    ill: str | None = None


def draw_functional(rng: random.Random, f0: Sequence[Fraction]) -> Functional:
    """One of the forms that the language has, for a network with these outputs at x0."""
    count = len(f0)
    kind = draw(rng, "output", ("margin", "runner_up") if count < 2 else ())
    order, one = ranked(f0), Fraction(1)
    ill = "two largest outputs" if count > 1 and f0[order[0]] == f0[order[1]] else None
    if kind == "predicted":
        return Functional('"predicted"', {order[0]: one}, ill)
    if kind == "runner_up":
        second = count > 2 and f0[order[1]] == f0[order[2]]
        return Functional('"margin:predicted,runner_up"', {order[0]: one, order[1]: -one},
                          ill or ("two second outputs" if second else None))
    if kind == "sum":
        return Functional('"sum"', dict.fromkeys(range(count), one))
    if kind == "weights":
        weights = [Fraction(rng.randint(-6, 6), rng.choice((1, 2, 3, 10))) for _ in f0]
        weights[0] = weights[0] or one
        return Functional(f"{{ weights = {numbers(weights)} }}",
                          {c: w for c, w in enumerate(weights) if w})
    if kind == "margin":
        i, j = rng.sample(range(count), 2)
        return Functional(f'"margin:{i},{j}"', {i: one, j: -one})
    c = rng.randrange(count)
    return Functional(f'"logit:{c}"', {c: one})


class Thresholds:
    """Draws thresholds around values that are attained at the battery's points."""

    def __init__(self, rng: random.Random, battery: Battery) -> None:
        self.rng, self.battery = rng, battery
        self.near = False
        self.allowed: Callable[[Seen], bool] = lambda seen: True

    def pool(self, measure: Measure) -> list[Fraction]:
        return [v for s in self.battery.sights if self.allowed(s) and (v := measure(s)) is not None]

    def bounds(self, measure: Measure, root: bool = False) -> Bounds:
        """Bounds of a measure; `root`: of the square root of what it gives."""
        key = draw(self.rng, "bounds")
        if key == "both":
            low, high = (self.one(measure, k, root) for k in ("at_least", "at_most"))
            return {"at_least": min(low, high), "at_most": max(low, high)}
        return {key: self.one(measure, key, root)}

    def one(self, measure: Measure, key: str, root: bool = False) -> Fraction:
        """A threshold for `key`; by the shares at the extreme value, another one, or anywhere."""
        rng, kind = self.rng, draw(self.rng, "threshold")
        upper = key in ("at_most", "below")
        if kind == "extreme":
            self.battery.ascend(measure if upper else lambda s: _negative(measure(s)))
        pool = self.pool(measure) or [Fraction(0)]
        size = max(map(abs, pool)) or Fraction(1)
        if kind == "random":
            value = min(pool) + (max(pool) - min(pool)) * Fraction(rng.randint(-2, 12), 10)
            return short(_root(value) if root else value, 3)
        value = (max(pool) if upper else min(pool)) if kind == "extreme" else rng.choice(pool)
        if root:
            value, size = _root(value), _root(size)
        return self.beside(value, size)

    def beside(self, value: Fraction, size: Fraction) -> Fraction:
        """The value, or one a little off it."""
        offset = draw(self.rng, "offset")
        self.near = True
        if offset == "at":
            return short(value)
        step = self.rng.choice((-1, 1)) * Fraction(offset) * (abs(value) or size)
        return short(value + step, 60)


def _negative(value: Fraction | None) -> Fraction | None:
    return None if value is None else -value


def _root(value: Fraction) -> Fraction:
    """The square root if it is rational, else cut to 40 digits; of a negative value 0."""
    if value <= 0:
        return Fraction(0)
    top, bottom = isqrt(value.numerator), isqrt(value.denominator)
    if top * top == value.numerator and bottom * bottom == value.denominator:
        return Fraction(top, bottom)
    bits = 140 + max(0, value.denominator.bit_length() - value.numerator.bit_length())
    return cut(Fraction(isqrt((value.numerator << 2 * bits) // value.denominator), 1 << bits), 40)


class Drafter:
    """Draws claims about one world."""

    def __init__(self, rng: random.Random, world: World, battery: Battery,
                 spell: Callable[[int], str], size: int) -> None:
        self.rng, self.world, self.battery, self.spell = rng, world, battery, spell
        self.size = size  # components, before some are chosen
        self.thresholds = Thresholds(rng, battery)

    def claim(self, without: Sequence[str] = ()) -> Claim:
        few = ("class",) if len(self.world.f0) < 2 else ()
        many = ("order",) if len(self.world.explain.chosen) < 2 else ()
        kind = draw(self.rng, "property", (*without, *few, *many))
        return self.of(kind)

    def of(self, kind: str) -> Claim:
        if kind in COMBINED:
            count = 1 if kind == "not" else self.rng.randint(2, 3)
            inside = COMBINED if self.rng.random() < 0.8 else ()
            return Combined(kind, [self.claim(inside) for _ in range(count)])
        if kind in ("l1", "l2", "linf"):
            return self._distance(kind)
        found: Claim = getattr(self, f"_{kind}")()
        return found

    def _list(self, places: Sequence[int]) -> str:
        inner = ", ".join(map(self.spell, places))
        return inner if len(places) == 1 and self.rng.random() < 0.6 else f"[{inner}]"

    def _some(self, among: Sequence[int]) -> tuple[int, ...]:
        few = self.rng.randint(1, len(among)) if self.rng.random() < 0.4 else 1
        return tuple(sorted(self.rng.sample(among, few)))

    # --- outputs ------------------------------------------------------------------------------

    def _class(self) -> Claim:
        world, rng = self.world, self.rng
        if rng.random() < 0.7:
            return Class(ranked(world.f0)[0], True, draw(rng, "ties") == "index")
        return Class(rng.choice([ranked(world.f0)[0], rng.randrange(len(world.f0))]))

    def _output(self) -> Claim:
        chosen = draw_functional(self.rng, self.world.f0)
        bounds = self.thresholds.bounds(lambda s: s.functional(chosen.weights))
        return Output(chosen.spelled, chosen.weights, bounds, chosen.ill)

    def _monotone(self) -> Claim:
        world, rng = self.world, self.rng
        features = self._some(range(len(world.x0)))
        spelled, weights, ill = None, world.explain.weights, world.ill
        if rng.random() < 0.3:
            other = draw_functional(rng, world.f0)
            spelled, weights, ill = other.spelled, other.weights, other.ill
        at = world.sides0[0].gradient(weights)[features[0]]
        increasing = at > 0 if rng.random() < 0.7 else rng.random() < 0.5
        return Monotone(increasing, self._list_features(features), features, spelled, weights, ill)

    def _list_features(self, places: Sequence[int]) -> str:
        """Features, where components may have other names (sums of channels)."""
        inner = ", ".join(map(str, places))
        return f"[{inner}]"

    # --- attributions -------------------------------------------------------------------------

    def _component(self) -> Claim:
        picked = self._some(range(self.size))
        bounds = self.thresholds.bounds(lambda s: s.every[picked[0]])
        return Component(self._list(picked), picked, bounds)

    def _distance(self, norm: str) -> Claim:
        base, rng = self.world.a0, self.rng
        unit = norm_of(norm, base)
        relative = draw(rng, "relative") == "yes"
        by = unit if relative and unit else Fraction(1)
        claim = Distance(norm, relative, {}, base)
        claim.bounds = self.thresholds.bounds(
            lambda s: norm_of(norm, claim.change(s)) / by, norm == "l2")
        claim.bounds = {key: max(t, Fraction(0)) for key, t in claim.bounds.items()}
        return claim

    def _similarity(self) -> Claim:
        base = self.world.a0

        def cosine(s: Seen) -> Fraction | None:
            """The square of the cosine, with the sign of the cosine."""
            dot = sum((u * v for u, v in zip(s.a, base, strict=True)), Fraction(0))
            sizes = norm_of("l2", s.a) * norm_of("l2", base)
            return dot * abs(dot) / sizes if sizes else None

        square = self.thresholds.one(cosine, "at_least")
        root = _root(abs(square)) * (1 if square > 0 else -1)
        if self.thresholds.near and draw(self.rng, "offset") != "at":
            root = self.thresholds.beside(root, Fraction(1))
        kept = min(max(root, Fraction(-1)), Fraction(1))
        return Similarity(kept, base, self._undefined())

    def _undefined(self) -> str:
        if draw(self.rng, "undefined") == "unsaid":
            return ""
        return self.rng.choice(("holds", "fails"))

    def _sign(self) -> Claim:
        world, rng = self.world, self.rng
        chosen, base = world.explain.chosen, world.a0
        which, spelled = None, ""
        if rng.random() < 0.4:
            which = self._some(range(len(chosen)))
            spelled = self._list([chosen[i] for i in which])
        threshold = Fraction(0)
        if rng.random() < 0.3:
            threshold = self.thresholds.beside(abs(rng.choice(base)), Fraction(1))
        zero = rng.choice(("ignore", "keep")) if 0 in base and rng.random() < 0.8 else "error"
        claim = Sign(which, spelled, max(threshold, Fraction(0)), zero, None, base)
        if rng.random() < 0.3:
            claim.at_least = rng.randint(1, max(1, len(claim.compared())))
        return claim

    def _top_k(self) -> Claim:
        base = self.world.a0
        k = self.rng.randint(1, len(base) - (self.rng.random() < 0.9 and len(base) > 1))
        overlap = self.rng.randint(1, k) if self.rng.random() < 0.5 else None
        return TopK(k, overlap, draw(self.rng, "ties") == "index", base)

    def _order(self) -> Claim:
        world, rng = self.world, self.rng
        if rng.random() < 0.5:
            return Order('"unchanged"', None, world.a0)
        at = world.sides0[0].every
        among = rng.sample(range(self.size), rng.randint(2, min(3, self.size)))
        if rng.random() < 0.7:
            among.sort(key=lambda i: -at[i])
        return Order(f"[{', '.join(map(self.spell, among))}]", tuple(among), world.a0)

    def _mass(self) -> Claim:
        chosen = self.world.explain.chosen
        mask = self._some(range(len(chosen)))
        claim = Mass(self._list([chosen[i] for i in mask]), mask, {}, self._undefined())
        bounds = self.thresholds.bounds(claim.share)
        claim.bounds = {k: min(max(t, Fraction(0)), Fraction(1)) for k, t in bounds.items()}
        return claim

    # --- assumptions --------------------------------------------------------------------------

    def assumptions(self) -> list[Claim]:
        """None mostly; else one that holds for a part of what was seen."""
        kind = draw(self.rng, "assume", ("class",) if len(self.world.f0) < 2 else ())
        if kind == "none":
            return []
        claim = self.of(kind)
        self.thresholds.near = False
        if isinstance(claim, Output | Component | Mass):
            pool = self.thresholds.pool(self._measured(claim))
            key = next(iter(claim.bounds))
            claim.bounds = {key: short(sorted(pool)[len(pool) // 2]) if pool else Fraction(0)}
        return [claim]

    def _measured(self, claim: Claim) -> Measure:
        if isinstance(claim, Output):
            return lambda s: s.functional(claim.weights)
        if isinstance(claim, Component):
            return lambda s: s.every[claim.picked[0]]
        return claim.share if isinstance(claim, Mass) else lambda s: None


def expression(drafter: Drafter, kind: str) -> tuple[str, Measure, str | None]:
    """An expression for `bound`: as written, its value, and why it must be refused, if so."""
    rng, world = drafter.rng, drafter.world
    chosen, ill = world.explain.chosen, world.ill
    if kind == "component":
        i = rng.randrange(drafter.size)
        return f"component:{drafter.spell(i).strip(chr(34))}", lambda s: s.every[i], ill
    if kind == "logit":
        c = rng.randrange(len(world.f0))
        return f"logit:{c}", lambda s: s.f[c], None
    if kind == "margin" and len(world.f0) > 1:
        i, j = rng.sample(range(len(world.f0)), 2)
        return f"margin:{i},{j}", lambda s: s.f[i] - s.f[j], None
    if kind == "mass":
        mask = drafter._some(range(len(chosen)))
        names = ",".join(str(chosen[i]) for i in mask)
        return f"mass:{names}", lambda s: norm_of("l1", [s.a[i] for i in mask]), ill
    head, _, norm = kind.partition(":")
    if head == "norm":
        return kind, lambda s: norm_of(norm, s.a), ill
    if head == "distance":
        return kind, lambda s: norm_of(
            norm, [u - v for u, v in zip(s.a, world.a0, strict=True)]), ill or world.vague
    return "output", lambda s: s.functional(world.explain.weights), ill


__all__ = ["Drafter", "Functional", "draw_functional", "expression"]
