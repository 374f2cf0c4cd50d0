"""What is said of a head's outputs, said of its logits: exactly where that can be.

A head is a softmax or sigmoid at the end of a classifier (`verifex.ir.graph.Head`). A functional of
its outputs, a weighted sum, is of one of four kinds:

* *squashed*: offset + factor * s(m) for a linear form m of the logits, where s is the sigmoid or
  its logarithm. It is at least t where m is at least s^-1((t - offset) / factor).
* *linear*: a linear form of the logits itself.
* *ordered*: compared with 0, a multiple of the difference of two outputs: the logits have its sign.
* none of these: smooth in earnest.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

from verifex.errors import InputError
from verifex.ir.fields import show
from verifex.semantics.support.logarithms import LEAST, Ends, log_odds, log_odds_of_log

Weights = Mapping[int, Fraction]
"""A linear form of outputs, or of logits, by position; no weight is zero."""

HALF = Fraction(1, 2)
OPPOSITE = {"at_least": "at_most", "at_most": "at_least", "above": "below", "below": "above"}


@dataclass(frozen=True)
class Squashed:
    """offset + factor * s(m) with m = the weighted sum of logits, s the sigmoid or its log."""

    logits: Weights
    factor: Fraction
    offset: Fraction = Fraction(0)
    logarithm: bool = False


def squashed(kind: str, weights: Weights, classes: int) -> Squashed | None:
    """The functional of a head of so many outputs as a sigmoid, or its logarithm, of one form.

    Sound: the softmax of two logits is (s(m), 1 - s(m)) with m = z0 - z1.
    """
    one, zero = Fraction(1), Fraction(0)
    alone = next(iter(weights)) if len(weights) == 1 else None
    if kind == "sigmoid" and alone is not None:
        return Squashed({alone: one}, weights[alone])
    if kind == "softmax" and classes == 2:
        first, second = (weights.get(c, zero) for c in (0, 1))
        return Squashed({0: one, 1: -one}, first - second, second)
    if kind == "log_softmax" and classes == 2 and alone is not None:
        return Squashed({alone: one, 1 - alone: -one}, weights[alone], logarithm=True)
    return None


def is_linear(kind: str, weights: Weights) -> bool:
    """Whether the functional is the same one of the logits: log p_i - log p_j = z_i - z_j."""
    return kind == "log_softmax" and sum(weights.values()) == 0


def is_difference(weights: Weights) -> bool:
    """Whether the functional is a multiple of the difference of two outputs."""
    return len(weights) == 2 and sum(weights.values()) == 0


@dataclass(frozen=True)
class LogitBound:
    """`form KEY limit` for a weighted sum of logits, or, without one, what is always so or never.

    `limit` has two ends with the true number between them, which are equal where it is rational.
    """

    logits: Weights
    key: str
    limit: Ends
    always: bool = False

    def end(self, strong: bool) -> Fraction:
        """The end that makes the bound stronger, or weaker, than it is."""
        low, high = self.limit
        return high if (self.key in ("at_least", "above")) == strong else low


def logit_bound(
    kind: str, weights: Weights, classes: int, key: str, value: Fraction
) -> LogitBound | None:
    """`functional KEY value` of a head's outputs as a bound of logits; None where it is smooth."""
    if is_linear(kind, weights):
        return LogitBound(weights, key, (value, value))
    one = squashed(kind, weights, classes)
    if one is not None:
        return _of_squashed(one, key, value)
    if value == 0 and is_difference(weights):
        return LogitBound(weights, key, (value, value))
    if kind == "normalized_sigmoid" and classes == 2:
        first, second = (weights.get(c, Fraction(0)) for c in (0, 1))
        # p0 + p1 = 1, and p0 is 1/2 where the logits are equal: elsewhere it is smooth.
        return _of_share(Squashed({0: Fraction(1), 1: Fraction(-1)}, first - second, second),
                         key, value)
    if len(weights) == 1:
        ((_, factor),) = weights.items()
        alone = Squashed({}, factor, logarithm=kind == "log_softmax")
        return _constant(*_unscaled(alone, key, value), alone.logarithm)
    return None


def _unscaled(one: Squashed, key: str, value: Fraction) -> tuple[str, Fraction]:
    """The bound of s(m) that says the same."""
    return (key if one.factor > 0 else OPPOSITE[key]), (value - one.offset) / one.factor


def _constant(key: str, value: Fraction, logarithm: bool) -> LogitBound | None:
    """A bound that every value in (0, 1), or below 0 for logarithms, keeps or breaks."""
    upper = 0 if logarithm else 1
    above = key in ("at_least", "above")
    if value >= upper:
        return LogitBound({}, key, (value, value), always=not above)
    if value <= 0 and not logarithm:
        return LogitBound({}, key, (value, value), always=above)
    return None


def _of_squashed(one: Squashed, key: str, value: Fraction) -> LogitBound:
    if one.factor == 0:
        holds = {"at_least": one.offset >= value, "above": one.offset > value,
                 "at_most": one.offset <= value, "below": one.offset < value}[key]
        return LogitBound({}, key, (value, value), always=holds)
    key, value = _unscaled(one, key, value)
    settled = _constant(key, value, one.logarithm)
    if settled is not None:
        return settled
    if one.logarithm and value < LEAST:
        raise InputError(f"{show(value)} is the logarithm of a very small probability",
                         expected=f"at least {LEAST}, or the logits as network_output", key=key)
    ends = log_odds_of_log(value) if one.logarithm else log_odds(value)
    return LogitBound(one.logits, key, ends)


def _of_share(one: Squashed, key: str, value: Fraction) -> LogitBound | None:
    if one.factor == 0:
        return _of_squashed(one, key, value)
    key, value = _unscaled(one, key, value)
    if value == HALF:
        return LogitBound(one.logits, key, (Fraction(0), Fraction(0)))
    return _constant(key, value, logarithm=False)


# --- what is explained --------------------------------------------------------------------------


@dataclass(frozen=True)
class ExplainedForm:
    """The weighted sum of logits whose attribution stands for that of a head's functional.

    `scaled`: the functional's own gradient is this form's times a positive number that depends on
    x. Otherwise the form is what is explained, by the language.
    """

    logits: Weights
    scaled: bool


def explained_form(kind: str, weights: Weights, classes: int) -> ExplainedForm:
    """What is explained of a functional of a head; InputError where that is constant.

    Sound: d (offset + factor * s(m)) = factor * s'(m) dm, and s' > 0 for the sigmoid and for its
    logarithm.
    """
    one = None if is_linear(kind, weights) else squashed(kind, weights, classes)
    if one is None:
        return ExplainedForm(weights, scaled=False)
    if one.factor == 0:
        raise InputError("the two probabilities add up to 1 everywhere",
                         expected="a functional that depends on x")
    return ExplainedForm({c: w * one.factor for c, w in one.logits.items()}, scaled=True)
