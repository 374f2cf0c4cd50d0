"""Arithmetic on elements, and comparisons: Add, Sub, Mul, Div, Neg, Greater, Less.

ONNX: inputs are stretched to a common shape as numpy does it, then each element is computed alone.
Computed numbers are taken as real numbers; what a float32 rounds is no part of the claim.
"""

from __future__ import annotations

from fractions import Fraction

from ...failures import need
from ...graph.element_types import BOOL, INTEGERS
from ...graph.symbolic import SymbolicTensor, combine, constants
from ..operator_call import Operator, OperatorCall
from ..signatures import FLOAT_INPUT, NUMBER_INPUT, Signature


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

    Sound: ONNX cuts quotients of integers towards 0, some readers round them down; a quotient that
    is not whole is refused. So is a division by 0, or by what is computed.
    """
    dividend, divisor = call.tensor(0), call.tensor(1)
    need(all(divisor.constants()), "a division by zero")
    reciprocals = [Fraction(1, number) for number in divisor.constants()]
    quotient = dividend * constants(call.graph, divisor.shape, reciprocals)
    if dividend.kind in INTEGERS:
        quotient.whole_numbers()
    return quotient


def negate(call: OperatorCall) -> SymbolicTensor:
    """The negative."""
    return combine((call.tensor(), -1))


def greater(call: OperatorCall) -> SymbolicTensor:
    """Whether first > second: the gate of their difference.

    Sound: where they are equal ONNX says false; the node allows both, so bounds hold for the file,
    and a witness whose claim depends on such a gate is refused.
    """
    return (call.tensor(0) - call.tensor(1)).gate()


def less(call: OperatorCall) -> SymbolicTensor:
    """Whether first < second: as `greater`, with the sides exchanged."""
    return (call.tensor(1) - call.tensor(0)).gate()


_NUMBERS = Signature(inputs=(NUMBER_INPUT, NUMBER_INPUT))
_COMPARISON = Signature(inputs=(FLOAT_INPUT, FLOAT_INPUT), result=BOOL)

OPERATORS = {
    "Add": Operator(add, _NUMBERS),
    "Sub": Operator(subtract, _NUMBERS),
    "Mul": Operator(multiply, _NUMBERS),
    "Div": Operator(divide, _NUMBERS),
    "Neg": Operator(negate, Signature(inputs=(FLOAT_INPUT,))),
    "Greater": Operator(greater, _COMPARISON),
    "Less": Operator(less, _COMPARISON),
}
