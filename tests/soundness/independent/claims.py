"""Properties of the spec language, by their definitions: what they say, and whether it holds.

Where the attribution is zero, a share or a cosine is not defined: neither a requirement about it
nor its negation holds there, and an assumption about it excludes nothing, unless `undefined` says
otherwise. Each property knows its TOML table, and the numbers whose signs decide it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction

from tests.soundness.independent.toml import number
from tests.soundness.independent.world import Seen, Weights, World

Bounds = dict[str, Fraction]


def keeps(value: Fraction, bounds: Bounds) -> bool:
    """Whether a number keeps all bounds."""
    return all(
        value >= t if key == "at_least" else value <= t if key == "at_most" else
        value > t if key == "above" else value < t
        for key, t in bounds.items()
    )


def told(bounds: Bounds) -> str:
    return "".join(f", {key} = {number(t)}" for key, t in bounds.items())


@dataclass
class Truth:
    """Whether a claim holds, and whether that rests on a value that is not defined."""

    holds: bool
    undefined: bool = False


class Claim:
    """A property; `kind` is what it is counted as."""

    kind = ""

    def inner(self) -> str:
        """What stands in its TOML table."""
        raise NotImplementedError

    def numbers(self, seen: Seen) -> list[Fraction]:
        """Numbers such that the claim cannot change while none of them changes its sign."""
        raise NotImplementedError

    def at(self, seen: Seen) -> bool | None:
        """Whether it holds; None where it is not defined."""
        raise NotImplementedError

    def refused(self, world: World) -> str | None:
        """Why it must be refused, if it must be."""
        return None

    def truth(self, seen: Seen, yes: bool = True, assumed: bool = False) -> Truth:
        """Whether it (or, without `yes`, its negation) holds as a requirement or an assumption."""
        found = self.at(seen)
        if found is None:
            word = getattr(self, "undefined", "") or ("holds" if assumed else "fails")
            return Truth(word == "holds", True)
        return Truth(found is yes)

    def parts(self) -> list[Claim]:
        """Itself and everything that it is made of."""
        return [self]


@dataclass
class Class(Claim):
    position: int
    unchanged: bool = False
    tie: bool = False
    kind = "class"

    def inner(self) -> str:
        which = '"unchanged"' if self.unchanged else str(self.position)
        return f"class = {which}" + (', tie = "index"' if self.tie else "")

    def numbers(self, seen: Seen) -> list[Fraction]:
        return [seen.f[self.position] - v for k, v in enumerate(seen.f) if k != self.position]

    def at(self, seen: Seen) -> bool:
        return all(v > 0 for v in self.numbers(seen))

    def refused(self, world: World) -> str | None:
        tied = world.f0.count(max(world.f0)) > 1
        return "two largest outputs" if self.unchanged and tied and not self.tie else None


@dataclass
class Output(Claim):
    spelled: str
    weights: Weights
    bounds: Bounds
    ill: str | None = None
    kind = "output"

    def inner(self) -> str:
        return f"output = {self.spelled}{told(self.bounds)}"

    def numbers(self, seen: Seen) -> list[Fraction]:
        return [seen.functional(self.weights) - t for t in self.bounds.values()]

    def at(self, seen: Seen) -> bool:
        return keeps(seen.functional(self.weights), self.bounds)

    def refused(self, world: World) -> str | None:
        return self.ill


@dataclass
class Monotone(Claim):
    increasing: bool
    spelled: str
    features: tuple[int, ...]
    output: str | None
    weights: Weights
    ill: str | None = None
    kind = "monotone"

    def inner(self) -> str:
        way = "increasing" if self.increasing else "decreasing"
        of = "" if self.output is None else f", output = {self.output}"
        return f'monotone = "{way}", feature = {self.spelled}{of}'

    def numbers(self, seen: Seen) -> list[Fraction]:
        slopes = seen.gradient(self.weights)
        return [slopes[i] for i in self.features]

    def at(self, seen: Seen) -> bool:
        return all(v >= 0 if self.increasing else v <= 0 for v in self.numbers(seen))

    def refused(self, world: World) -> str | None:
        return self.ill


@dataclass
class Combined(Claim):
    """`all`, `any` or `not`."""

    how: str
    of: list[Claim] = field(default_factory=list)

    @property
    def kind(self) -> str:  # type: ignore[override]
        return self.how

    def inner(self) -> str:
        tables = [f"{{ {c.inner()} }}" for c in self.of]
        return f"{self.how} = {tables[0]}" if self.how == "not" else (
            f"{self.how} = [{', '.join(tables)}]")

    def numbers(self, seen: Seen) -> list[Fraction]:
        return [v for c in self.of for v in c.numbers(seen)]

    def truth(self, seen: Seen, yes: bool = True, assumed: bool = False) -> Truth:
        if self.how == "not":
            return self.of[0].truth(seen, not yes, assumed)
        found = [c.truth(seen, yes, assumed) for c in self.of]
        every = (self.how == "all") is yes
        holds = all(t.holds for t in found) if every else any(t.holds for t in found)
        return Truth(holds, any(t.undefined for t in found))

    def refused(self, world: World) -> str | None:
        return next((r for c in self.of if (r := c.refused(world)) is not None), None)

    def parts(self) -> list[Claim]:
        return [self, *(p for c in self.of for p in c.parts())]
