"""What is claimed of outputs that are a head: said of its logits, wherever that is the same.

`onnx/heads.py` lists the heads. Let z be the logits, s the sigmoid 1 / (1 + exp(-m)), which grows
strictly from 0 to 1 with m, and w the weights of a functional of the outputs.

* **Order.** Each head is strictly increasing in the sense that output i is above output j where
  z_i > z_j: exp and s are increasing, log too, and a softmax or a normalised sigmoid divides all of
  them by one positive number. So a multiple of the difference of two outputs has the sign of the
  same multiple of the difference of their logits, and the largest output is that of the largest
  logit.
* **Differences of log-softmax** are differences of logits: log p_i - log p_j = z_i - z_j.
* **One sigmoid.** A functional of a single sigmoid output c is w s(z_c). The softmax of two logits
  is (s(m), 1 - s(m)) with m = z_0 - z_1, so any functional of it is w_1 + (w_0 - w_1) s(m); one
  output c of the log-softmax of two is log s(z_c - z_j). A bound of offset + factor * s(m) is a
  bound of s(m), divided by the factor and turned round if that is negative, and s(m) >= q says
  m >= s^-1(q).
* **Never reached.** All outputs but logarithms are above 0 and below 1, logarithms below 0.

Everything else is refused as smooth.

**Irrational places.** s^-1(q) is irrational but for q = 1/2. It lies between two neighbours on a
grid (`log_odds.py`). A proof is of the stronger claim, with the end that is harder to keep; a
witness has to break the weaker one. In an assumption, or under a `not`, it is the other way round,
so that the claim that is proved always implies the one that is written, and that which a witness
breaks is always implied by it.

**Explanations.** The gradient of offset + factor * s(m) is factor * s'(m) times that of m, and
s' > 0; likewise for log s. So it is a positive multiple, by a number that depends on x, of the
gradient of factor * m, and so are its products with the inputs and its absolute values. Of such an
explanation only properties are read that a positive factor does not change (`scale_free` of each).
Of all other functionals of a head the language explains the same functional of the logits.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import NamedTuple

from ...failures import Bad, need
from ...graph.forms import Form, gap, total
from ...onnx.heads import COMPLEMENT
from ...onnx.operator_call import LOG_SOFTMAX, NORMALIZED, SIGMOID, SOFTMAX, HeadTensor
from ..formulas import AtLeastOf, Formula, ValueBound
from .log_odds import Ends, where_log_sigmoid_is, where_sigmoid_is

HALF = Fraction(1, 2)
ALWAYS: Formula = AtLeastOf(0, ())
NEVER: Formula = AtLeastOf(1, ())


class Curve(NamedTuple):
    """offset + factor * s(form), or of the logarithm of s."""

    form: Form
    factor: Fraction
    offset: Fraction = Fraction(0)
    logarithm: bool = False

    def inner(self, bound: ValueBound) -> ValueBound:
        """The bound of s(form), or of its logarithm, that a bound of the curve is."""
        sign = bound.sign if self.factor > 0 else -bound.sign
        return ValueBound(sign, bound.strict, Fraction(bound.limit - self.offset, self.factor))


class ClaimedOutputs(NamedTuple):
    """The outputs that a claim is about: a head of logits, or the logits themselves ("")."""

    head: str
    logits: Sequence[Form]

    def combined(self, weights: Sequence[Fraction]) -> Form:
        """The weighted sum of the logits."""
        return total(zip(self.logits, weights, strict=True))

    # --- bounds ---------------------------------------------------------------------------

    def bounded(self, weights: Sequence[Fraction], bound: ValueBound, strong: bool) -> Formula:
        """The bound of a functional of the outputs. `strong`: what is irrational on the logits is
        rounded so that the formula implies the bound; else so that the bound implies it."""
        if not self.head or self.is_linear(weights):
            return bound.atom(self.combined(weights))
        curve, used = self.curve(weights), [w for w in weights if w]
        if curve is not None:
            return self.curve_bounded(curve, bound, strong)
        if bound.limit == 0 and len(used) == 2 and sum(used) == 0:
            return bound.atom(self.combined(weights))
        if self.head == NORMALIZED and len(self.logits) == 2:
            # The two add up to 1, so that the first is 1/2 where the logits are equal.
            shares = self.first_of_two(weights)
            if shares.factor == 0 or shares.inner(bound).limit == HALF:
                return self.curve_bounded(shares, bound, strong)
            return settled_or_smooth(shares, bound)
        if len(used) == 1:
            alone = Curve(({}, Fraction(0)), used[0], logarithm=self.head == LOG_SOFTMAX)
            return settled_or_smooth(alone, bound)
        raise Bad("unsupported: a bound of outputs that is smooth")

    def curve_bounded(self, curve: Curve, bound: ValueBound, strong: bool) -> Formula:
        """The bound of offset + factor * s(m) as one of m."""
        if curve.factor == 0:
            return ALWAYS if bound.keeps(curve.offset) else NEVER
        inner = curve.inner(bound)
        found = settled(inner, curve.logarithm)
        if found is not None:
            return found
        low, high = place(inner.limit, curve.logarithm)
        end = high if (inner.sign > 0) == strong else low
        return inner._replace(limit=end).atom(curve.form)

    def is_rounded(self, weights: Sequence[Fraction], bound: ValueBound) -> bool:
        """Whether the two roundings of a bound differ."""
        return self.bounded(weights, bound, True) != self.bounded(weights, bound, False)

    # --- functionals ----------------------------------------------------------------------

    def is_linear(self, weights: Sequence[Fraction]) -> bool:
        """Whether a functional of the outputs is the same one of the logits."""
        return self.head == LOG_SOFTMAX and sum(weights) == 0

    def curve(self, weights: Sequence[Fraction]) -> Curve | None:
        """A functional as a sigmoid, or its logarithm, of one form; None where it is none."""
        used = [position for position, weight in enumerate(weights) if weight]
        alone = used[0] if len(used) == 1 else None
        if self.head == SIGMOID and alone is not None:
            return Curve(self.logits[alone], weights[alone])
        if self.head == SOFTMAX and len(self.logits) == 2:
            return self.first_of_two(weights)
        if self.head == LOG_SOFTMAX and len(self.logits) == 2 and alone is not None:
            margin = gap(self.logits[alone], self.logits[1 - alone])
            return Curve(margin, weights[alone], logarithm=True)
        return None

    def first_of_two(self, weights: Sequence[Fraction]) -> Curve:
        """w_0 p + w_1 (1 - p), p being s(z_0 - z_1) for a softmax."""
        first, second = weights
        return Curve(gap(self.logits[0], self.logits[1]), first - second, second)

    def explained(self, weights: Sequence[Fraction]) -> tuple[Form, bool]:
        """The form of the logits whose gradient explains a functional, and whether the
        functional's own gradient is a positive multiple of it that depends on x."""
        curve = None if not self.head or self.is_linear(weights) else self.curve(weights)
        if curve is None:
            return self.combined(weights), False
        need(curve.factor, "a functional that is the same everywhere")
        return total([(curve.form, curve.factor)]), True

    def increasing_with(self, weights: Sequence[Fraction]) -> Form:
        """A form that grows along every feature just where the functional does."""
        form, scaled = self.explained(weights)
        need(not self.head or scaled or self.is_linear(weights),
             "unsupported: a derivative of outputs that are smooth")
        return form


def settled(bound: ValueBound, logarithm: bool) -> Formula | None:
    """A bound of s(m), or of its logarithm, that holds of every m or of none; else None."""
    if bound.limit >= (0 if logarithm else 1):
        return ALWAYS if bound.sign < 0 else NEVER
    if bound.limit <= 0 and not logarithm:
        return ALWAYS if bound.sign > 0 else NEVER
    return None


def settled_or_smooth(curve: Curve, bound: ValueBound) -> Formula:
    """A bound that all values keep, or none; every other is refused."""
    found = settled(curve.inner(bound), curve.logarithm)
    if found is None:
        raise Bad("unsupported: a bound of outputs that is smooth")
    return found


def place(value: Fraction, logarithm: bool) -> Ends:
    """The ends around the place where s, or its logarithm, has a value."""
    return where_log_sigmoid_is(value) if logarithm else where_sigmoid_is(value)


def outputs_of(head: HeadTensor) -> ClaimedOutputs:
    """The outputs that are a head; 1 - s(z) is s(-z)."""
    forms = head.logits.solid().items
    if head.function == COMPLEMENT:
        return ClaimedOutputs(SIGMOID, [total([(form, -1)]) for form in forms])
    need(head.function in (SOFTMAX, LOG_SOFTMAX, SIGMOID, NORMALIZED), "unsupported: smooth")
    return ClaimedOutputs(head.function, forms)
