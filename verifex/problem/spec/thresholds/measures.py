"""`cosine` and `overlap:k`: their values at a point, and the properties that compare them.

A measure has the meaning of its property: its value is the greatest threshold that the property
keeps there. At a kink or a tie it is what the property makes of it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from verifex.errors import InputError
from verifex.ir.exact import FloatArray
from verifex.ir.text.toml_text import exact_number
from verifex.metrics.cosine import Similarity
from verifex.metrics.support.base import Property
from verifex.metrics.support.setting import Setting
from verifex.metrics.topk import TopK, reference_top

_BITS = 64
"""Binary digits of a cosine, whose square is exact."""


@dataclass(frozen=True)
class CosineMeasure:
    """The cosine of A(x) and A(x0), over the points where A(x) is not zero."""

    reference: tuple[Fraction, ...]
    whole = False
    least, greatest = Fraction(-1), Fraction(1)
    label = "cosine to the reference"

    def value(self, components: Sequence[Fraction]) -> tuple[Fraction, Fraction] | None:
        """Two rationals, equal where the cosine is one, that enclose it; None where A(x) = 0."""
        length = _dot(components, components) * _dot(self.reference, self.reference)
        if length == 0:
            return None
        dot = _dot(components, self.reference)
        low, high = _root(dot * dot / length)
        return (low, high) if dot >= 0 else (-high, -low)

    def square(self, components: Sequence[Fraction]) -> Fraction:
        """The exact square of the cosine, where A(x) is not zero."""
        dot = _dot(components, self.reference)
        return dot * dot / (
            _dot(components, components) * _dot(self.reference, self.reference))

    def about(self, components: FloatArray) -> FloatArray:
        """The cosine (B,) at components (B, n), in floats; not a number where they are zero."""
        reference = np.array([float(v) for v in self.reference])
        lengths = np.linalg.norm(components, axis=1) * np.linalg.norm(reference)
        return np.asarray(components @ reference / lengths)

    def property(self, bound: Fraction, maximum: bool) -> tuple[Property, bool]:
        """The property that a bound of an end states, and whether it is to be kept: of a maximum
        the contrary is, that the cosine is below. What is undefined is no part of the range."""
        return Similarity(similarity="cosine", at_least=bound, undefined="holds"), not maximum

    def entry(self, bound: Fraction) -> dict[str, Any]:
        """That property as it is written in a spec."""
        return {"similarity": "cosine", "at_least": exact_number(bound), "undefined": "holds"}


@dataclass(frozen=True)
class OverlapMeasure:
    """How many of the k largest components at x0 are among the k largest at x; ties against."""

    k: int
    winners: tuple[int, ...]
    losers: tuple[int, ...]
    whole = True

    @property
    def label(self) -> str:
        return f"overlap of the top {self.k}"

    @property
    def least(self) -> Fraction:
        """Any k components share so many with any others."""
        return Fraction(max(0, self.k - len(self.losers)))

    @property
    def greatest(self) -> Fraction:
        return Fraction(self.k)

    def value(self, components: Sequence[Fraction]) -> tuple[Fraction, Fraction]:
        """The overlap, twice. The m-th of the reference stays where fewer than k - m + 1 outside
        reach it, so a component stays that is above all but k - m of them."""
        inside = sorted((components[i] for i in self.winners), reverse=True)
        outside = sorted((components[i] for i in self.losers), reverse=True)
        kept = int(self.least)
        for m in range(kept + 1, self.k + 1):
            if inside[m - 1] > outside[self.k - m]:
                kept = m
        return Fraction(kept), Fraction(kept)

    def about(self, components: FloatArray) -> FloatArray:
        """The overlap (B,) at components (B, n), in floats, and by how much it is missed or had."""
        inside = -np.sort(-components[:, list(self.winners)], axis=1)
        outside = -np.sort(-components[:, list(self.losers)], axis=1)
        ms = np.arange(int(self.least) + 1, self.k + 1)
        apart = inside[:, ms - 1] - outside[:, self.k - ms]
        size = np.abs(components).max(axis=1, keepdims=True) + 1e-300
        return np.asarray((np.sign(apart) + 0.5 * np.tanh(apart / size)).sum(axis=1))

    def property(self, bound: Fraction, maximum: bool) -> tuple[Property, bool]:
        """As for the cosine: of a maximum the contrary of one more."""
        return TopK(top_k=self.k, overlap_at_least=self._count(bound, maximum)), not maximum

    def entry(self, bound: Fraction, maximum: bool = False) -> dict[str, Any]:
        return {"top_k": self.k, "overlap_at_least": self._count(bound, maximum)}

    @staticmethod
    def _count(bound: Fraction, maximum: bool) -> int:
        return int(bound) + 1 if maximum else int(bound)


Measure = CosineMeasure | OverlapMeasure


def measure_named(text: str, setting: Setting) -> Measure | None:
    """The measure that an expression names, if it names one."""
    head, colon, tail = text.strip(" ").partition(":")
    if head == "cosine":
        if colon:
            raise InputError(f"'{tail.strip(' ')[:40]}' after cosine", expected="nothing")
        return _cosine(setting)
    return _overlap(tail.strip(" "), setting) if head == "overlap" else None


def _cosine(setting: Setting) -> CosineMeasure:
    reference = setting.component_reference()
    if not any(reference):
        raise InputError("the reference is zero: it has no direction",
                         expected="an expression without a reference, such as norm:l1")
    return CosineMeasure(reference)


def _overlap(tail: str, setting: Setting) -> OverlapMeasure:
    size = len(setting.explanation().chosen)
    k = int(tail) if tail.isascii() and tail.isdigit() and len(tail) < 10 else 0
    if not 1 <= k <= size:
        raise InputError(f"'{tail[:40]}' is no number of components",
                         expected=f"overlap:k with k from 1 to {size}")
    winners, losers = reference_top(TopK(top_k=k), setting)
    return OverlapMeasure(k, tuple(winners), tuple(losers))


def _dot(one: Sequence[Fraction], other: Sequence[Fraction]) -> Fraction:
    return sum((a * b for a, b in zip(one, other, strict=True)), Fraction(0))


def _root(square: Fraction) -> tuple[Fraction, Fraction]:
    """Two rationals around the root of a number from 0 to 1; equal where it is rational."""
    top, below = math.isqrt(square.numerator), math.isqrt(square.denominator)
    if top * top == square.numerator and below * below == square.denominator:
        return Fraction(top, below), Fraction(top, below)
    # Sound: isqrt rounds down, and what is above the root by a unit is not below it.
    floor = math.isqrt((square.numerator << (2 * _BITS)) // square.denominator)
    return Fraction(floor, 1 << _BITS), Fraction(floor + 1, 1 << _BITS)
