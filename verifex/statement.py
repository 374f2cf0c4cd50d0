"""What a spec claims, in words and exact numbers, so that a verdict can say what was proved.

Plain data: nothing decides anything with it. `verifex/problem/spec/words/` writes it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_HALF_EVEN, Context, Decimal
from fractions import Fraction
from typing import Any

_SHOWN = 10
"""Features that text lists; the data has all of them."""


@dataclass(frozen=True)
class StatedFeature:
    """A component that the claim ranks: its name and rank at x0 (1 is the largest), the value of
    the feature there (None where components are no features), and its attribution there."""

    name: str
    rank: int
    value: Fraction | None
    attribution: Fraction

    def __str__(self) -> str:
        place = "" if self.value is None else f" = {_short(self.value)}"
        return f"{self.name}{place} (attribution {_short(self.attribution)})"

    def to_json(self) -> dict[str, Any]:
        return {
            "name": self.name, "rank": self.rank,
            "value": None if self.value is None else _near(self.value),
            "value_exact": None if self.value is None else str(self.value),
            "attribution": _near(self.attribution), "attribution_exact": str(self.attribution),
        }


@dataclass(frozen=True)
class Prediction:
    """The class at x0: its position and name (empty without names), the label of the data row as
    the file has it (None without one), and whether the two are the same (None: not known)."""

    position: int
    name: str = ""
    label: str | None = None
    right: bool | None = None

    def __str__(self) -> str:
        text = "class " + class_text(self.position, self.name)
        if self.label is None:
            return text
        word = {True: ": the prediction is right", False: ": the prediction is WRONG", None: ""}
        return f"{text}; the label is {self.label}{word[self.right]}"

    def to_json(self) -> dict[str, Any]:
        return {"class": self.position, "name": self.name, "label": self.label,
                "right": self.right}


@dataclass(frozen=True)
class StatedRegion:
    """What is left of the region: `moving` of `size` features are not fixed, none is farther than
    `furthest` from x0 (None without x0), and `cut` of them cannot go as far as their radius says.
    `more` says what else cuts the region."""

    size: int
    moving: int
    furthest: Fraction | None = None
    cut: int = 0
    more: tuple[str, ...] = ()

    def __str__(self) -> str:
        by = ""
        if self.furthest is not None:
            by = f", by at most {_short(self.furthest, ROUND_CEILING)}"
        if not self.moving:
            parts = ["no feature moves"]
        else:
            verb = "moves" if self.moving == 1 else "move"
            parts = [f"{self.moving} of {self.size} features {verb}{by}"]
        if self.cut:
            parts.append(f"{self.cut} {'is' if self.cut == 1 else 'are'} cut short by clip or box")
        return "; ".join([*parts, *self.more])

    def to_json(self) -> dict[str, Any]:
        return {
            "size": self.size, "moving": self.moving,
            "furthest": None if self.furthest is None else _near(self.furthest),
            "furthest_exact": None if self.furthest is None else str(self.furthest),
            "cut": self.cut, "more": list(self.more), "text": str(self),
        }


@dataclass(frozen=True)
class ClaimStatement:
    """What is claimed: one sentence a property (`claims`, under `assumptions`), where (`region`),
    of which explanation (`explained`, empty without one), with what at the reference.

    `trivial` says why the claim cannot fail, or is about one input alone; empty where it can.
    `missing` says why the reference has no class or no attribution to tell.
    """

    claims: tuple[str, ...]
    region: StatedRegion
    assumptions: tuple[str, ...] = ()
    explained: str = ""
    prediction: Prediction | None = None
    features: tuple[StatedFeature, ...] = ()
    trivial: tuple[str, ...] = ()
    missing: str = ""

    def lines(self) -> Iterator[tuple[str, str]]:
        """The statement as pairs of a label and a text, as the command line prints them."""
        for k, claim in enumerate(self.claims):
            yield ("claim" if k == 0 else "and"), claim
        for assumed in self.assumptions:
            yield "where", assumed
        if self.explained:
            yield "explained", self.explained
        if self.prediction is not None:
            yield "at x0", str(self.prediction)
        if self.missing:
            yield "at x0", self.missing
        for feature in self.features[:_SHOWN]:
            yield f"rank {feature.rank}", str(feature)
        if len(self.features) > _SHOWN:
            yield "", f"and {len(self.features) - _SHOWN} more"
        yield "region", str(self.region)
        for why in self.trivial:
            yield "trivial", why

    def __str__(self) -> str:
        return "\n".join(f"{label}: {text}" if label else text for label, text in self.lines())

    def to_json(self) -> dict[str, Any]:
        return {
            "claims": list(self.claims), "assumptions": list(self.assumptions),
            "region": self.region.to_json(), "explained": self.explained,
            "prediction": None if self.prediction is None else self.prediction.to_json(),
            "features": [feature.to_json() for feature in self.features],
            "trivial": list(self.trivial), "missing": self.missing,
        }


def class_text(position: int, name: str = "") -> str:
    """A class as a sentence names it: `1 (benign)`, and `1` where it is called by its number."""
    return f"{position} ({name})" if name and name != str(position) else str(position)


def _short(value: Fraction, rounding: str = ROUND_HALF_EVEN) -> str:
    """A number for a sentence: exact where that is short, else six digits."""
    near = Context(prec=6, rounding=rounding).divide(
        Decimal(value.numerator), Decimal(value.denominator)).normalize()
    if Fraction(near) != value and len(str(value)) <= 9:
        return str(value)  # a short quotient, such as 1/3
    return f"{near:f}" if 1e-5 <= abs(near) < 10**6 or near == 0 else f"{near:e}"


def _near(value: Fraction) -> float:
    """The nearest float that JSON can hold: beyond them the largest one."""
    try:
        return float(value)
    except OverflowError:
        return 1.7976931348623157e308 if value > 0 else -1.7976931348623157e308
