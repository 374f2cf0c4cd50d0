"""ONNX ops that act on each element: arithmetic, piecewise-linear and smooth functions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction
from functools import partial, reduce
from typing import Any

import numpy as np

from verifex.errors import InputError, UnsupportedError
from verifex.frontend.onnx.operators.call import Call, Result, Rule
from verifex.frontend.onnx.values import Constant, Tensor, exact_reciprocal, scalar
from verifex.ir.exact import Number, Values, as_exact

FLOAT_MAX = float(np.finfo(np.float32).max)


# --- arithmetic -------------------------------------------------------------------------------


def add(c: Call) -> Result:
    if c.all_whole:
        return c.integers(c.whole(0) + c.whole(1))
    return c.low.combine([(c.node(0), 1), (c.node(1), 1)])


def sub(c: Call) -> Result:
    if c.all_whole:
        return c.integers(c.whole(0) - c.whole(1))
    return c.low.combine([(c.node(0), 1), (c.node(1), -1)])


def mul(c: Call) -> Result:
    if c.all_whole:
        return c.integers(c.whole(0) * c.whole(1))
    return c.low.mul(c.node(0), c.node(1))


def div(c: Call) -> Result:
    """Division; that of integers is refused where it would round, whichever way."""
    if c.all_whole:
        a, b = c.whole(0), c.whole(1)
        if np.any(b == 0):
            raise InputError("an integer division by zero", expected="non-zero divisors")
        if np.any(a % b != 0):
            raise UnsupportedError("an integer division that rounds", expected="whole quotients")
        return c.integers(a // b)
    divisor = c.value(1)
    if isinstance(divisor, Constant):
        return c.low.times(c.node(0), exact_reciprocal(divisor.value))
    return c.low.mul(c.node(0), c.low.univariate("reciprocal", c.node(1)))


def neg(c: Call) -> Result:
    if c.all_whole:
        return c.integers(-c.whole(0))
    return c.low.combine([(c.node(0), -1)])


def total(c: Call) -> Result:
    return c.low.combine([(c.node(i), 1) for i in range(len(c.inputs))])


def mean(c: Call) -> Result:
    share = Fraction(1, len(c.inputs))
    return c.low.combine([(c.node(i), share) for i in range(len(c.inputs))])


def power(c: Call) -> Result:
    """Powers with a constant exponent of 0, 1, 2, 3, 1/2, -1/2, -1 or -2."""
    base = c.node(0)
    exponent = _exponent(c)
    if exponent == 0:  # 0 to the power of 0 is 1 as well
        return c.low.const(np.ones(c.low.shape(base)))
    if exponent == 1:
        return base
    if abs(exponent) == Fraction(1, 2):
        root = c.low.univariate("sqrt", base)
        return root if exponent > 0 else c.low.univariate("reciprocal", root)
    if exponent in (-1, -2):
        inverse = c.low.univariate("reciprocal", base)
        return inverse if exponent == -1 else c.low.univariate("square", inverse)
    if exponent in (2, 3):
        square = c.low.mul(base, base)
        return square if exponent == 2 else c.low.mul(square, base)
    raise UnsupportedError(f"Pow with exponent {float(exponent)!r}",
                           expected="0, 1, 2, 3, 0.5, -0.5, -1 or -2")


def _exponent(c: Call) -> Fraction:
    v = c.value(1)
    if isinstance(v, Tensor):
        raise UnsupportedError("Pow with a computed exponent", expected="a constant exponent")
    numbers: list[Fraction] = (
        as_exact(v.value).fractions() if isinstance(v, Constant)
        else [Fraction(n) for n in c.ints(1)]
    )
    rank = len(v.shape)
    if len(set(numbers)) != 1 or (np.prod(v.shape) != 1 and v.shape != c.shape(0)) \
            or rank > len(c.shape(0)):
        raise UnsupportedError("Pow with several exponents", expected="a single exponent")
    return numbers[0]


# --- piecewise-linear -------------------------------------------------------------------------


def relu(c: Call) -> Result:
    return c.low.relu(c.node(0))


def leaky_relu(c: Call) -> Result:
    """`r + alpha (x - r)` with `r = relu(x)`."""
    return _leaky(c, c.node(0), c.float_("alpha", 0.01))


def _leaky(c: Call, x: int, alpha: Fraction) -> int:
    return c.low.combine([(c.low.relu(x), 1 - alpha), (x, alpha)])


def prelu(c: Call) -> Result:
    """LeakyRelu with constant slopes broadcast to the data."""
    x, slope = c.node(0), c.const(1)
    r = c.low.relu(x)
    shape = c.low.shape(x)
    if c.low.broadcast_shape(shape, slope.shape) != shape:
        raise InputError(f"PRelu slopes of shape {list(slope.shape)}",
                         expected=f"one that fits {list(shape)}")
    below = c.low.combine([(x, 1), (r, -1)])
    return c.low.combine([(r, 1), (c.low.times(below, slope), 1)])


def absolute(c: Call) -> Result:
    if c.all_whole:
        return c.integers(np.abs(c.whole(0)))
    x = c.node(0)
    return c.low.combine([(c.low.relu(x), 2), (x, -1)])


def sign(c: Call) -> Result:
    """`step(x) - step(-x)`."""
    x = c.node(0)
    return c.low.combine([(c.low.step(x), 1), (c.low.step(c.low.combine([(x, -1)])), -1)])


def maximum(c: Call) -> Result:
    if c.all_whole:
        return c.integers(reduce(np.maximum, [c.whole(i) for i in range(len(c.inputs))]))
    return reduce(c.low.maximum, [c.node(i) for i in range(len(c.inputs))])


def minimum(c: Call) -> Result:
    if c.all_whole:
        return c.integers(reduce(np.minimum, [c.whole(i) for i in range(len(c.inputs))]))
    return reduce(c.low.minimum, [c.node(i) for i in range(len(c.inputs))])


def clip(c: Call) -> Result:
    """`lo + relu(x - lo) - relu(x - hi)`; a bound that is present is a bound."""
    lo, hi = _clip_bounds(c)
    x = c.node(0)
    if isinstance(lo, int) and isinstance(hi, int):
        return _clip_by_nodes(c, x, lo, hi)
    low = None if lo is None else _clip_number(lo, c)
    high = None if hi is None else _clip_number(hi, c)
    if low is not None and high is not None and low > high:
        raise InputError(f"Clip from {float(low)!r} to {float(high)!r}", expected="min <= max")
    if low is not None and low == high:
        return c.low.expand(c.low.combine([], _point(low), shape=c.low.shape(x)), c.low.shape(x))
    return _clip(c, x, low, high)


def _clip(c: Call, x: int, low: Fraction | None, high: Fraction | None) -> int:
    """Clip between numbers, None for no bound."""
    terms: list[tuple[int, Number]] = [(x, 1)]
    offset = None
    if low is not None and low <= -FLOAT_MAX:
        # x + relu(low - x) is the same; x - low would drown x in the rounding of bounds.
        terms.append((c.low.relu(c.low.combine([(x, -1)], _point(low))), 1))
    elif low is not None:
        terms = [(c.low.relu(c.low.combine([(x, 1)], _point(-low))), 1)]
        offset = _point(low) if low else None
    if high is not None:
        terms.append((c.low.relu(c.low.combine([(x, 1)], _point(-high))), -1))
    return c.low.combine(terms, offset)


def _point(value: Number) -> Values:
    from verifex.frontend.onnx.values import simplify
    from verifex.ir.exact import ExactArray

    return simplify(ExactArray.from_numbers([value], ()))


def _clip_bounds(c: Call) -> tuple[Any, Any]:
    """The bounds: a number, None where absent, or (both) nodes.

    Before operator set 11 a bound that is left out is the end of float32, as the standard says.
    """
    if c.opset < 11:
        return c.float_("min", -FLOAT_MAX), c.float_("max", FLOAT_MAX)
    ends = [c.value(i) if c.has(i) else None for i in (1, 2)]
    if any(v is not None and len(v.shape) > len(c.shape(0)) for v in ends):
        raise InputError("Clip bounds of more axes than the data", expected="single numbers")
    if any(isinstance(v, Tensor) for v in ends):
        if any(v is None for v in ends):
            raise UnsupportedError("Clip with one computed bound", expected="constant bounds")
        return c.node(1), c.node(2)
    return ends[0], ends[1]


def _clip_number(v: Any, c: Call) -> Fraction:
    if isinstance(v, Fraction):
        return v
    return Fraction(scalar(c.const(1 if v is c.inputs[1] else 2)))


def _clip_by_nodes(c: Call, x: int, lo: int, hi: int) -> int:
    if any(np.prod(c.low.shape(b)) != 1 for b in (lo, hi)):
        raise InputError("Clip bounds are no scalars", expected="single numbers")
    return c.low.minimum(c.low.maximum(x, lo), hi)


def hard_sigmoid(c: Call) -> Result:
    return _hard_sigmoid(c, c.node(0), c.float_("alpha", 0.2), c.float_("beta", 0.5))


def _hard_sigmoid(c: Call, x: int, alpha: Fraction, beta: Fraction) -> int:
    """`min(max(alpha x + beta, 0), 1)`."""
    z = c.low.combine([(x, alpha)], _point(beta))
    above = c.low.relu(c.low.combine([(z, 1)], _point(-1)))
    return c.low.combine([(c.low.relu(z), 1), (above, -1)])


def hard_swish(c: Call) -> Result:
    """`x * hard_sigmoid(x)` with slope 1/6."""
    x = c.node(0)
    return c.low.mul(x, _hard_sigmoid(c, x, Fraction(1, 6), Fraction(1, 2)))


# --- smooth -----------------------------------------------------------------------------------


def univariate(name: str, c: Call) -> Result:
    return c.low.univariate(name, c.node(0))


def reciprocal(c: Call) -> Result:
    v = c.value(0)
    if isinstance(v, Constant):
        return Constant(exact_reciprocal(v.value), v.dtype)
    return c.low.univariate("reciprocal", c.node(0))


def _elu(c: Call, alpha: Fraction, gamma: Fraction, width: Fraction) -> int:
    """`gamma * (relu(x) + alpha * (exp(min(x, 0) / width) - 1))`."""
    x = c.node(0)
    r = c.low.relu(x)
    grown = c.low.univariate("exp", c.low.combine([(x, 1 / width), (r, -1 / width)]))
    return c.low.combine([(r, gamma), (grown, gamma * alpha)], _point(-gamma * alpha))


def elu(c: Call) -> Result:
    return _elu(c, c.float_("alpha", 1.0), Fraction(1), Fraction(1))


def selu(c: Call) -> Result:
    alpha, gamma = c.float_("alpha", 1.6732631921768188), c.float_("gamma", 1.0507010221481323)
    return _elu(c, alpha, gamma, Fraction(1))


def celu(c: Call) -> Result:
    alpha = c.float_("alpha", 1.0)
    if alpha == 0:
        raise InputError("Celu with alpha 0", expected="another alpha")
    return _elu(c, alpha, Fraction(1), alpha)


Function = Callable[[Call], Result]


def _smooth(name: str) -> Rule:
    return Rule(partial(univariate, name))


RULES: Mapping[str, Rule] = {
    "Add": Rule(add, 2, 2), "Sub": Rule(sub, 2, 2), "Mul": Rule(mul, 2, 2),
    "Div": Rule(div, 2, 2), "Neg": Rule(neg), "Sum": Rule(total, 1, None),
    "Mean": Rule(mean, 1, None), "Pow": Rule(power, 2, 2),
    "Relu": Rule(relu), "LeakyRelu": Rule(leaky_relu), "PRelu": Rule(prelu, 2, 2),
    "Abs": Rule(absolute), "Sign": Rule(sign), "Max": Rule(maximum, 1, None),
    "Min": Rule(minimum, 1, None), "Clip": Rule(clip, 1, 3),
    "HardSigmoid": Rule(hard_sigmoid), "HardSwish": Rule(hard_swish),
    "Reciprocal": Rule(reciprocal), "Elu": Rule(elu), "Selu": Rule(selu), "Celu": Rule(celu),
    "Sigmoid": _smooth("sigmoid"), "Tanh": _smooth("tanh"), "Exp": _smooth("exp"),
    "Log": _smooth("log"), "Sqrt": _smooth("sqrt"), "Erf": _smooth("erf"),
    "Sin": _smooth("sin"), "Cos": _smooth("cos"),
}
