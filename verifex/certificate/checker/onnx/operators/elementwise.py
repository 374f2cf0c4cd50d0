"""Arithmetic on elements: Add, Sub, Mul, Div, Mod, Neg, Sum, Mean, Sign, Pow.

ONNX: inputs are stretched to a common shape as numpy does it, then each element is computed alone.
Computed numbers are taken as real numbers; what a float32 rounds is no part of the claim.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction

from ...failures import need
from ...graph.element_types import INTEGERS
from ...graph.symbolic import SymbolicTensor, combine, constants
from ..operator_call import Operator, OperatorCall, Rule
from ..signatures import (
    FLOAT_INPUT,
    INTEGER,
    NUMBER_INPUT,
    AttributeSlot,
    InputSlot,
    Signature,
)


def add(call: OperatorCall) -> SymbolicTensor:
    """The sum. Two computed tensors become elements of one node each before they are added, as in
    the package: it is the same function, and the nodes have the same names.
    """
    first, second = call.tensor(0), call.tensor(1)
    if first.fixed or second.fixed:
        return first + second
    return first.solid() + second.solid()


def subtract(call: OperatorCall) -> SymbolicTensor:
    """The difference, a linear form again."""
    return call.tensor(0) - call.tensor(1)


def multiply(call: OperatorCall) -> SymbolicTensor:
    """The product: linear where one factor is constant, else a relaxed node."""
    return call.tensor(0) * call.tensor(1)


def divide(call: OperatorCall) -> SymbolicTensor:
    """The quotient by constants: the product with their exact reciprocals.

    Sound: ONNX cuts quotients of integers towards 0, some readers round them down; a quotient below
    0 that is not whole is refused. So is a division by 0, or by what is computed.
    """
    dividend, divisor = call.tensor(0), call.tensor(1)
    need(divisor.fixed, "unsupported smooth function: division by a computed tensor")
    need(all(divisor.constants()), "a division by zero")
    reciprocals = [Fraction(1, number) for number in divisor.constants()]
    quotient = dividend * constants(call.graph, divisor.shape, reciprocals)
    if dividend.kind in INTEGERS:
        numbers = quotient.constants()
        need(all(number >= 0 or number.denominator == 1 for number in numbers),
             "unsupported quotient of integers that rounds below 0")
        return constants(call.graph, quotient.shape, map(math.floor, numbers))
    return quotient


def modulo(call: OperatorCall) -> SymbolicTensor:
    """The rest of a division of constant integers, which has the sign of the divisor.

    Sound: it lies between 0 and the divisor, so that it always fits the type of both.
    """
    dividend, divisor = call.tensor(0), call.tensor(1)
    need(not call.attributes.flag("fmod"), "unsupported fmod")
    need(dividend.fixed and divisor.fixed, "unsupported Mod of what is computed")
    need(all(divisor.constants()), "a division by zero")
    # A tensor of zeros gives both the common shape.
    zeros = combine((dividend, 0), (divisor, 0))
    pairs = zip((dividend + zeros).whole_numbers(), (divisor + zeros).whole_numbers(), strict=True)
    return constants(call.graph, zeros.shape, [one % two for one, two in pairs])


def negate(call: OperatorCall) -> SymbolicTensor:
    """The negative."""
    return combine((call.tensor(), -1))


def summed(share: Callable[[int], Fraction]) -> Rule:
    """All inputs times a share of their number, added up."""

    def rule(call: OperatorCall) -> SymbolicTensor:
        tensors = call.tensors()
        factor = share(len(tensors))
        return combine(*((tensor.solid(), factor) for tensor in tensors))

    return rule


def sign(call: OperatorCall) -> SymbolicTensor:
    """1 above 0, -1 below: gate(x) - gate(-x), which at 0 may be -1, 0 or 1."""
    tensor = call.tensor()
    if tensor.fixed:
        signs = [(one > 0) - (one < 0) for one in tensor.constants()]
        return constants(call.graph, tensor.shape, signs)
    return tensor.gate() - combine((tensor, -1)).gate()


def power(call: OperatorCall) -> SymbolicTensor:
    """The powers 0 and 1, for one exponent throughout; all others are smooth, and refused."""
    base, exponent = call.tensor(0), call.tensor(1)
    need(exponent.fixed, "unsupported smooth function: a computed exponent")
    numbers = set(exponent.constants())
    need(len(numbers) == 1 and (exponent.size == 1 or exponent.shape == base.shape)
         and len(exponent.shape) <= len(base.shape), "unsupported exponents of several values")
    (number,) = numbers
    need(number in (0, 1), "unsupported smooth function: a power but 0 and 1")
    if number == 1:
        return base
    return constants(call.graph, base.shape, [1] * base.size)


EXPONENT = InputSlot(NUMBER_INPUT.kinds, "T1")
_NUMBERS = Signature(inputs=(NUMBER_INPUT, NUMBER_INPUT))
_MANY = Signature(inputs=(FLOAT_INPUT.many(),))

OPERATORS = {
    "Add": Operator(add, _NUMBERS),
    "Sub": Operator(subtract, _NUMBERS),
    "Mul": Operator(multiply, _NUMBERS),
    "Div": Operator(divide, _NUMBERS),
    "Mod": Operator(modulo, Signature(
        inputs=(NUMBER_INPUT, NUMBER_INPUT), attributes=(AttributeSlot("fmod", INTEGER),),
        since=10)),
    "Neg": Operator(negate, Signature(inputs=(FLOAT_INPUT,))),
    "Sum": Operator(summed(lambda count: Fraction(1)), _MANY),
    "Mean": Operator(summed(lambda count: Fraction(1, count)), _MANY),
    "Sign": Operator(sign, Signature(inputs=(FLOAT_INPUT,), since=9)),
    "Pow": Operator(power, Signature(
        inputs=(FLOAT_INPUT, FLOAT_INPUT.during(until=11), EXPONENT.during(since=12)),
        bfloat16=15)),
}
