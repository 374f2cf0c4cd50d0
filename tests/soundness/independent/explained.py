"""Properties of the attribution, by their definitions in the spec language."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

from tests.soundness.independent.claims import Bounds, Claim, keeps, told
from tests.soundness.independent.toml import number
from tests.soundness.independent.world import Numbers, Seen, World, ranked


def _ill(world: World) -> str | None:
    return world.ill or world.vague


@dataclass
class Component(Claim):
    spelled: str
    picked: tuple[int, ...]
    bounds: Bounds
    kind = "component"

    def inner(self) -> str:
        return f"component = {self.spelled}{told(self.bounds)}"

    def numbers(self, seen: Seen) -> list[Fraction]:
        return [seen.every[i] - t for i in self.picked for t in self.bounds.values()]

    def at(self, seen: Seen) -> bool:
        return all(keeps(seen.every[i], self.bounds) for i in self.picked)

    def refused(self, world: World) -> str | None:
        return world.ill


@dataclass
class Sign(Claim):
    which: tuple[int, ...] | None  # positions among the chosen
    spelled: str
    threshold: Fraction
    zero: str
    at_least: int | None
    base: Numbers
    kind = "sign"

    def inner(self) -> str:
        out = 'sign = "unchanged"'
        if self.which is not None:
            out += f", which = {self.spelled}"
        if self.threshold:
            out += f", threshold = {number(self.threshold)}"
        if self.zero != "error":
            out += f', zero = "{self.zero}"'
        return out if self.at_least is None else f"{out}, at_least = {self.at_least}"

    def compared(self) -> list[int]:
        among = range(len(self.base)) if self.which is None else self.which
        left = [i for i in among if abs(self.base[i]) >= self.threshold]
        return [i for i in left if self.base[i] != 0 or self.zero != "ignore"]

    def numbers(self, seen: Seen) -> list[Fraction]:
        return [seen.a[i] for i in self.compared()]

    def at(self, seen: Seen) -> bool:
        kept = [_sign(seen.a[i]) == _sign(self.base[i]) for i in self.compared()]
        return all(kept) if self.at_least is None else sum(kept) >= self.at_least

    def refused(self, world: World) -> str | None:
        left = self.compared()
        if any(self.base[i] == 0 for i in left) and self.zero == "error":
            return "a component is 0 at the reference"
        if not left or (self.at_least or 0) > len(left):
            return "no component is left to compare"
        return _ill(world)


def _sign(value: Fraction) -> int:
    return (value > 0) - (value < 0)


def norm_of(name: str, values: Sequence[Fraction]) -> Fraction:
    """The norm, or for l2 its square."""
    if name == "linf":
        return max(map(abs, values))
    if name == "l1":
        return sum(map(abs, values), Fraction(0))
    return sum((v * v for v in values), Fraction(0))


@dataclass
class Distance(Claim):
    norm: str
    relative: bool
    bounds: Bounds
    base: Numbers

    @property
    def kind(self) -> str:  # type: ignore[override]
        return self.norm

    def inner(self) -> str:
        units = ", relative = true" if self.relative else ""
        return f'distance = "{self.norm}"{units}{told(self.bounds)}'

    def _limits(self) -> Bounds:
        """The bounds of `norm_of`."""
        power = 2 if self.norm == "l2" else 1
        unit = norm_of(self.norm, self.base) if self.relative else Fraction(1)
        return {key: unit * t**power for key, t in self.bounds.items()}

    def change(self, seen: Seen) -> list[Fraction]:
        return [v - b for v, b in zip(seen.a, self.base, strict=True)]

    def numbers(self, seen: Seen) -> list[Fraction]:
        change = self.change(seen)
        size = norm_of(self.norm, change)
        pairs = [abs(u) - abs(v) for u, v in pairwise(change)] if self.norm == "linf" else []
        return [*change, *pairs, *(size - t for t in self._limits().values())]

    def at(self, seen: Seen) -> bool:
        return keeps(norm_of(self.norm, self.change(seen)), self._limits())

    def refused(self, world: World) -> str | None:
        zero = self.relative and not any(self.base)
        return _ill(world) or ("relative to zero" if zero else None)


@dataclass
class Similarity(Claim):
    at_least: Fraction
    base: Numbers
    undefined: str = ""
    kind = "similarity"

    def inner(self) -> str:
        more = f', undefined = "{self.undefined}"' if self.undefined else ""
        return f'similarity = "cosine", at_least = {number(self.at_least)}{more}'

    def _forms(self, seen: Seen) -> tuple[Fraction, Fraction]:
        """<A, A0>, and its square less at_least^2 |A|^2 |A0|^2."""
        dot = sum((u * v for u, v in zip(seen.a, self.base, strict=True)), Fraction(0))
        sizes = norm_of("l2", seen.a) * norm_of("l2", self.base)
        return dot, dot * dot - self.at_least**2 * sizes

    def numbers(self, seen: Seen) -> list[Fraction]:
        return [*seen.a, *self._forms(seen)]

    def at(self, seen: Seen) -> bool | None:
        if not any(seen.a):
            return None
        dot, gap = self._forms(seen)
        if self.at_least > 0:
            return dot > 0 and gap >= 0
        return dot >= 0 or (self.at_least < 0 and gap <= 0)

    def refused(self, world: World) -> str | None:
        return _ill(world) or (None if any(self.base) else "the reference is zero")


@dataclass
class TopK(Claim):
    k: int
    overlap: int | None
    tie: bool
    base: Numbers
    kind = "top_k"

    def inner(self) -> str:
        out = f"top_k = {self.k}"
        if self.overlap is not None:
            out += f", overlap_at_least = {self.overlap}"
        return out + (', tie = "index"' if self.tie else "")

    def numbers(self, seen: Seen) -> list[Fraction]:
        return [u - v for i, u in enumerate(seen.a) for v in seen.a[:i]]

    def at(self, seen: Seen) -> bool:
        """Whoever is not among the reference's first k goes first where there is a tie."""
        first = set(ranked(self.base)[: self.k])
        order = sorted(range(len(seen.a)), key=lambda i: (-seen.a[i], i in first))
        wanted = self.k if self.overlap is None else self.overlap
        return len(first.intersection(order[: self.k])) >= wanted

    def refused(self, world: World) -> str | None:
        order = [self.base[i] for i in ranked(self.base)]
        edge = self.k < len(order) and order[self.k - 1] == order[self.k] and not self.tie
        return _ill(world) or ("a tie at the edge of the top k" if edge else None)


@dataclass
class Order(Claim):
    spelled: str
    places: tuple[int, ...] | None  # components, or None: the reference's order of the chosen
    base: Numbers
    kind = "order"

    def inner(self) -> str:
        return f"order = {self.spelled}"

    def numbers(self, seen: Seen) -> list[Fraction]:
        values = seen.a if self.places is None else seen.every
        order = ranked(self.base) if self.places is None else self.places
        return [values[i] - values[j] for i, j in pairwise(order)]

    def at(self, seen: Seen) -> bool:
        return all(v > 0 for v in self.numbers(seen))

    def refused(self, world: World) -> str | None:
        if self.places is not None:
            return world.ill
        tied = len(set(self.base)) < len(self.base)
        return _ill(world) or ("ties at the reference" if tied or len(self.base) < 2 else None)


@dataclass
class Mass(Claim):
    spelled: str
    mask: tuple[int, ...]  # positions among the chosen
    bounds: Bounds
    undefined: str = ""
    kind = "mass"

    def inner(self) -> str:
        more = f', undefined = "{self.undefined}"' if self.undefined else ""
        return f"mass = {self.spelled}{told(self.bounds)}{more}"

    def share(self, seen: Seen) -> Fraction | None:
        total = norm_of("l1", seen.a)
        return norm_of("l1", [Fraction(0), *(seen.a[i] for i in self.mask)]) / total if total else (
            None)

    def numbers(self, seen: Seen) -> list[Fraction]:
        total = norm_of("l1", seen.a)
        inside = sum((abs(seen.a[i]) for i in self.mask), Fraction(0))
        return [*seen.a, *(inside - t * total for t in self.bounds.values())]

    def at(self, seen: Seen) -> bool | None:
        share = self.share(seen)
        return None if share is None else keeps(share, self.bounds)

    def refused(self, world: World) -> str | None:
        return world.ill
