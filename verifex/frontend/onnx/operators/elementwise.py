"""ONNX ops that act on each element: arithmetic, piecewise-linear and smooth functions."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from functools import partial, reduce
from typing import Any

import numpy as np

from verifex.errors import InputError, UnsupportedError
from verifex.frontend.onnx.operators.call import Call, Result, Rule
from verifex.frontend.onnx.values import Constant, Tensor, exact_reciprocal, scalar
from verifex.ir.exact import Number, Values, as_exact
from verifex.semantics.functions import registry

FLOAT_MAX = float(np.finfo(np.float32).max)


# --- arithmetic -------------------------------------------------------------------------------


def add(call: Call) -> Result:
    if call.all_whole:
        return call.integers(call.whole(0) + call.whole(1))
    return call.low.combine([(call.node(0), 1), (call.node(1), 1)])


def sub(call: Call) -> Result:
    if call.all_whole:
        return call.integers(call.whole(0) - call.whole(1))
    return call.low.combine([(call.node(0), 1), (call.node(1), -1)])


def mul(call: Call) -> Result:
    if call.all_whole:
        return call.integers(call.whole(0) * call.whole(1))
    return call.low.mul(call.node(0), call.node(1))


def div(call: Call) -> Result:
    """Division. Between integers it rounds towards 0; refused where some readers round down."""
    if call.all_whole:
        a, b = call.whole(0), call.whole(1)
        if np.any(b == 0):
            raise InputError("an integer division by zero", expected="non-zero divisors")
        if np.any((a % b != 0) & ((a < 0) != (b < 0))):
            raise UnsupportedError("an integer division that rounds below 0",
                                   expected="whole quotients, or none below 0")
        return call.integers(a // b)
    divisor = call.value(1)
    # Multiplying by an exact reciprocal is affine; only a computed divisor is a smooth function.
    if isinstance(divisor, Constant):
        return call.low.times(call.node(0), exact_reciprocal(divisor.value))
    return call.low.mul(call.node(0), call.low.univariate("reciprocal", call.node(1)))


def modulo(call: Call) -> Result:
    """The rest of an integer division, with the sign of the divisor; it serves shapes."""
    if call.flag("fmod", False):
        raise UnsupportedError("Mod with fmod = 1", expected="fmod = 0")
    if not call.all_whole:
        raise UnsupportedError("Mod of computed numbers", expected="integers known while reading")
    divisor = call.whole(1)
    if np.any(divisor == 0):
        raise InputError("an integer division by zero", expected="non-zero divisors")
    return call.integers(call.whole(0) % divisor)


def neg(call: Call) -> Result:
    if call.all_whole:
        return call.integers(-call.whole(0))
    return call.low.combine([(call.node(0), -1)])


def total(call: Call) -> Result:
    return call.low.combine([(call.node(i), 1) for i in range(len(call.inputs))])


def mean(call: Call) -> Result:
    share = Fraction(1, len(call.inputs))
    return call.low.combine([(call.node(i), share) for i in range(len(call.inputs))])


def power(call: Call) -> Result:
    """Powers with a constant exponent of 0, 1, 2, 3, 1/2, -1/2, -1 or -2."""
    base = call.node(0)
    exponent = _exponent(call)
    if exponent == 0:  # 0 to the power of 0 is 1 as well
        return call.low.const(np.ones(call.low.shape(base)))
    if exponent == 1:
        return base
    if abs(exponent) == Fraction(1, 2):
        root = call.low.univariate("sqrt", base)
        return root if exponent > 0 else call.low.univariate("reciprocal", root)
    if exponent in (-1, -2):
        inverse = call.low.univariate("reciprocal", base)
        return inverse if exponent == -1 else call.low.univariate("square", inverse)
    if exponent in (2, 3):
        square = call.low.mul(base, base)
        return square if exponent == 2 else call.low.mul(square, base)
    raise UnsupportedError(f"Pow with exponent {float(exponent)!r}",
                           expected="0, 1, 2, 3, 0.5, -0.5, -1 or -2")


def _exponent(call: Call) -> Fraction:
    v = call.value(1)
    if isinstance(v, Tensor):
        raise UnsupportedError("Pow with a computed exponent", expected="a constant exponent")
    numbers: list[Fraction] = (
        as_exact(v.value).fractions() if isinstance(v, Constant)
        else [Fraction(n) for n in call.ints(1)]
    )
    rank = len(v.shape)
    if len(set(numbers)) != 1 or (np.prod(v.shape) != 1 and v.shape != call.shape(0)) \
            or rank > len(call.shape(0)):
        raise UnsupportedError("Pow with several exponents", expected="a single exponent")
    return numbers[0]


# --- piecewise-linear -------------------------------------------------------------------------


def relu(call: Call) -> Result:
    return call.low.relu(call.node(0))


def leaky_relu(call: Call) -> Result:
    """`r + alpha (x - r)` with `r = relu(x)`."""
    return _leaky(call, call.node(0), call.float_("alpha", 0.01))


def _leaky(call: Call, node: int, alpha: Fraction) -> int:
    return call.low.combine([(call.low.relu(node), 1 - alpha), (node, alpha)])


def prelu(call: Call) -> Result:
    """LeakyRelu with constant slopes broadcast to the data."""
    x, slope = call.node(0), call.const(1)
    r = call.low.relu(x)
    shape = call.low.shape(x)
    if call.low.broadcast_shape(shape, slope.shape) != shape:
        raise InputError(f"PRelu slopes of shape {list(slope.shape)}",
                         expected=f"one that fits {list(shape)}")
    # x - relu(x) is min(x, 0), on which the slopes act.
    below = call.low.combine([(x, 1), (r, -1)])
    return call.low.combine([(r, 1), (call.low.times(below, slope), 1)])


def absolute(call: Call) -> Result:
    if call.all_whole:
        return call.integers(np.abs(call.whole(0)))
    x = call.node(0)
    return call.low.combine([(call.low.relu(x), 2), (x, -1)])


def sign(call: Call) -> Result:
    """`step(x) - step(-x)`."""
    x = call.node(0)
    return call.low.combine(
        [(call.low.step(x), 1), (call.low.step(call.low.combine([(x, -1)])), -1)]
    )


def maximum(call: Call) -> Result:
    if call.all_whole:
        return call.integers(reduce(np.maximum, [call.whole(i) for i in range(len(call.inputs))]))
    return reduce(call.low.maximum, [call.node(i) for i in range(len(call.inputs))])


def minimum(call: Call) -> Result:
    if call.all_whole:
        return call.integers(reduce(np.minimum, [call.whole(i) for i in range(len(call.inputs))]))
    return reduce(call.low.minimum, [call.node(i) for i in range(len(call.inputs))])


def clip(call: Call) -> Result:
    """`lo + relu(x - lo) - relu(x - hi)`, without the parts of bounds that are not given."""
    lo, hi = _clip_bounds(call)
    x = call.node(0)
    if isinstance(lo, int) and isinstance(hi, int):
        return _clip_by_nodes(call, x, lo, hi)
    low = None if lo is None else _clip_number(lo, call)
    high = None if hi is None else _clip_number(hi, call)
    if low is not None and high is not None and low > high:
        raise InputError(f"Clip from {float(low)!r} to {float(high)!r}", expected="min <= max")
    # A constant, with no gate that would have to be decided.
    if low is not None and low == high:
        return call.low.expand(
            call.low.combine([], _point(low), shape=call.low.shape(x)), call.low.shape(x)
        )
    return _clip(call, x, low, high)


def _clip(call: Call, node: int, low: Fraction | None, high: Fraction | None) -> int:
    """Clip between numbers, None for no bound."""
    terms: list[tuple[int, Number]] = [(node, 1)]
    offset = None
    if low is not None and low <= -FLOAT_MAX:
        # x + relu(low - x) is the same; x - low would drown x in the rounding of bounds.
        terms.append((call.low.relu(call.low.combine([(node, -1)], _point(low))), 1))
    elif low is not None:
        terms = [(call.low.relu(call.low.combine([(node, 1)], _point(-low))), 1)]
        # None where it is zero, so that the step can still merge.
        offset = _point(low) if low else None
    if high is not None:
        terms.append((call.low.relu(call.low.combine([(node, 1)], _point(-high))), -1))
    return call.low.combine(terms, offset)


def _point(value: Number) -> Values:
    from verifex.frontend.onnx.values import simplify
    from verifex.ir.exact import ExactArray

    return simplify(ExactArray.from_numbers([value], ()))


def _clip_bounds(call: Call) -> tuple[Any, Any]:
    """The bounds: a number, None where absent, or (both) nodes.

    Before operator set 11 a bound that is left out is the end of float32, as the standard says.
    """
    if call.opset < 11:
        return call.float_("min", -FLOAT_MAX), call.float_("max", FLOAT_MAX)
    ends = [call.value(i) if call.has(i) else None for i in (1, 2)]
    if any(v is not None and len(v.shape) > len(call.shape(0)) for v in ends):
        raise InputError("Clip bounds of more axes than the data", expected="single numbers")
    if any(isinstance(v, Tensor) for v in ends):
        if any(v is None for v in ends):
            raise UnsupportedError("Clip with one computed bound", expected="constant bounds")
        return call.node(1), call.node(2)
    return ends[0], ends[1]


def _clip_number(value: Any, call: Call) -> Fraction:
    if isinstance(value, Fraction):
        return value
    return Fraction(scalar(call.const(1 if value is call.inputs[1] else 2)))


def _clip_by_nodes(call: Call, node: int, lo: int, hi: int) -> int:
    if any(np.prod(call.low.shape(b)) != 1 for b in (lo, hi)):
        raise InputError("Clip bounds are no scalars", expected="single numbers")
    return call.low.minimum(call.low.maximum(node, lo), hi)


def hard_sigmoid(call: Call) -> Result:
    return _hard_sigmoid(call, call.node(0), call.float_("alpha", 0.2), call.float_("beta", 0.5))


def _hard_sigmoid(call: Call, node: int, alpha: Fraction, beta: Fraction) -> int:
    """`min(max(alpha node + beta, 0), 1)`."""
    z = call.low.combine([(node, alpha)], _point(beta))
    above = call.low.relu(call.low.combine([(z, 1)], _point(-1)))
    return call.low.combine([(call.low.relu(z), 1), (above, -1)])


def hard_swish(call: Call) -> Result:
    """`x * hard_sigmoid(x)` with slope 1/6."""
    x = call.node(0)
    return call.low.mul(x, _hard_sigmoid(call, x, Fraction(1, 6), Fraction(1, 2)))


# --- smooth -----------------------------------------------------------------------------------


def univariate(name: str, call: Call) -> Result:
    return call.low.univariate(name, call.node(0))


def reciprocal(call: Call) -> Result:
    v = call.value(0)
    if isinstance(v, Constant):
        return Constant(exact_reciprocal(v.value), v.dtype)
    return call.low.univariate("reciprocal", call.node(0))


def _elu(call: Call, alpha: Fraction, gamma: Fraction, width: Fraction) -> int:
    """`gamma * (relu(x) + alpha * (exp(min(x, 0) / width) - 1))`."""
    x = call.node(0)
    r = call.low.relu(x)
    # x - relu(x) is min(x, 0): the exponential never sees a large number.
    grown = call.low.univariate("exp", call.low.combine([(x, 1 / width), (r, -1 / width)]))
    return call.low.combine([(r, gamma), (grown, gamma * alpha)], _point(-gamma * alpha))


def elu(call: Call) -> Result:
    return _elu(call, call.float_("alpha", 1.0), Fraction(1), Fraction(1))


def selu(call: Call) -> Result:
    alpha, gamma = (
        call.float_("alpha", 1.6732631921768188),
        call.float_("gamma", 1.0507010221481323),
    )
    return _elu(call, alpha, gamma, Fraction(1))


def celu(call: Call) -> Result:
    alpha = call.float_("alpha", 1.0)
    if alpha == 0:
        raise InputError("Celu with alpha 0", expected="another alpha")
    return _elu(call, alpha, Fraction(1), alpha)


SMOOTH: Mapping[str, Rule] = {
    f.onnx: Rule(partial(univariate, f.name)) for f in registry().values() if not f.is_product
}
"""The operators of the smooth functions; one that also has a line below is read by that."""

RULES: Mapping[str, Rule] = {
    **SMOOTH,
    "Add": Rule(add, 2, 2), "Sub": Rule(sub, 2, 2), "Mul": Rule(mul, 2, 2),
    "Div": Rule(div, 2, 2), "Mod": Rule(modulo, 2, 2), "Neg": Rule(neg),
    "Sum": Rule(total, 1, None), "Mean": Rule(mean, 1, None), "Pow": Rule(power, 2, 2),
    "Relu": Rule(relu), "LeakyRelu": Rule(leaky_relu), "PRelu": Rule(prelu, 2, 2),
    "Abs": Rule(absolute), "Sign": Rule(sign), "Max": Rule(maximum, 1, None),
    "Min": Rule(minimum, 1, None), "Clip": Rule(clip, 1, 3),
    "HardSigmoid": Rule(hard_sigmoid), "HardSwish": Rule(hard_swish),
    "Reciprocal": Rule(reciprocal), "Elu": Rule(elu), "Selu": Rule(selu), "Celu": Rule(celu),
}
