"""Comparisons, conditions and choices: Greater, Less, Equal, Not, And, Or, Where and their kin.

A computed condition is a tensor of gates (elements of nodes S, 0 or 1), or of 1 - gate where it
is negated. What is constant is decided at once.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

from ...failures import need
from ...graph.element_types import BOOL, INTEGERS
from ...graph.symbolic import SymbolicTensor, combine, constants, stretched
from ..operator_call import Operator, OperatorCall, Rule
from ..signatures import (
    ANY_INPUT,
    BOOL_INPUT,
    FLOAT_INPUT,
    NUMBER_INPUT,
    OF_RULE,
    InputSlot,
    Signature,
)

Test = Callable[[Fraction, Fraction], bool]


def spread_constants(tensor: SymbolicTensor, shape: list[int]) -> list[Fraction]:
    """The elements of a constant tensor, stretched to a shape."""
    numbers = tensor.constants()
    return [numbers[place] for place in tensor.spread(shape)]


def told(call: OperatorCall, test: Test) -> SymbolicTensor:
    """A comparison of constants."""
    first, second = call.tensor(0), call.tensor(1)
    shape = stretched(first, second)
    pairs = zip(spread_constants(first, shape), spread_constants(second, shape), strict=True)
    return constants(call.graph, shape, [int(test(one, other)) for one, other in pairs])


def gap_gate(more: SymbolicTensor, less: SymbolicTensor) -> SymbolicTensor:
    """The gate of more - less.

    Sound: where they are equal ONNX says one thing; the node allows both, so bounds hold for the
    file, and a witness whose claim depends on such a gate is refused.
    """
    return (more - less).gate()


def comparison(test: Test, is_greater: bool, or_equal: bool) -> Rule:
    """a > b is the gate of a - b, a < b that of b - a; a >= b is the contrary of a < b."""

    def rule(call: OperatorCall) -> SymbolicTensor:
        first, second = call.tensor(0), call.tensor(1)
        if first.fixed and second.fixed:
            return told(call, test)
        upper, lower = (first, second) if is_greater != or_equal else (second, first)
        found = gap_gate(upper, lower)
        return found.complement() if or_equal else found

    return rule


def equal(call: OperatorCall) -> SymbolicTensor:
    """Equality of constants. Of computed values it holds on a thin set, and is refused."""
    need(call.tensor(0).fixed and call.tensor(1).fixed, "unsupported Equal of computed values")
    return told(call, lambda one, other: one == other)


def negation(call: OperatorCall) -> SymbolicTensor:
    """1 - condition."""
    return call.tensor().complement()


def both(first: SymbolicTensor, second: SymbolicTensor) -> SymbolicTensor:
    """Whether two conditions hold: their product where they are gates, or a gate of their count.

    Sound: conditions are 0 or 1, so their product is 1 if both are; and their sum is at least
    half above 3/2 or half below.
    """
    if first.is_gates() and second.is_gates():
        return first * second
    limit = constants(first.graph, (), [Fraction(-3, 2)])
    return combine((first, 1), (second, 1), (limit, 1)).gate()


def either(first: SymbolicTensor, second: SymbolicTensor) -> SymbolicTensor:
    """Whether one of two conditions holds: not both of their contraries, or a count above 1/2."""
    others = first.complement(), second.complement()
    if all(one.is_gates() for one in others):
        return both(*others).complement()
    limit = constants(first.graph, (), [Fraction(-1, 2)])
    return combine((first, 1), (second, 1), (limit, 1)).gate()


def with_known(known: SymbolicTensor, computed: SymbolicTensor, is_and: bool) -> SymbolicTensor:
    """And or Or with a constant: decided where that says so, else the computed condition.

    A contrary that would be decided as 1 is a gate anew, of gate +- 1/2, as the package builds it.
    """
    shape, graph = stretched(known, computed), known.graph
    decided = [bool(one) != is_and for one in spread_constants(known, shape)]
    negated = not computed.is_gates()
    raw = computed.complement() if negated else computed
    if is_and != negated:  # a decided gate is 0
        kept = constants(graph, shape, [int(not one) for one in decided])
        found = raw * kept
    else:
        halves = [Fraction(1 if one else -1, 2) for one in decided]
        found = (raw + constants(graph, shape, halves)).gate()
    return found.complement() if negated else found


def junction(is_and: bool) -> Rule:
    """And, or Or."""

    def rule(call: OperatorCall) -> SymbolicTensor:
        first, second = call.tensor(0), call.tensor(1)
        if first.fixed and second.fixed:
            return told(call, lambda one, other: bool(one * other if is_and else one + other))
        need(not first.derived and not second.derived, "unsupported condition on integers")
        if first.fixed:
            return with_known(first, second, is_and)
        if second.fixed:
            return with_known(second, first, is_and)
        return both(first, second) if is_and else either(first, second)

    return rule


def where(call: OperatorCall) -> SymbolicTensor:
    """b + gate * (a - b), with a and b exchanged for a negated gate.

    Sound: for a condition of 0 or 1 that is b or a. A constant condition picks elements; one that
    arithmetic on integers made picks integers alone, for readers compute those with different
    widths.
    """
    condition, first, second = call.tensor(0), call.tensor(1), call.tensor(2)
    shape, kind = stretched(condition, first, second), first.kind
    if condition.fixed:
        need(kind in INTEGERS or not condition.derived, "unsupported condition on integers")
        columns = [tensor.items for tensor in (first, second)]
        places = [tensor.spread(shape) for tensor in (first, second)]
        forms = [columns[0][one] if chosen else columns[1][other] for chosen, one, other
                 in zip(spread_constants(condition, shape), *places, strict=True)]
        return SymbolicTensor(call.graph, shape, forms).typed(kind, first.derived)
    need(kind not in (*INTEGERS, BOOL), "unsupported choice between integers or conditions")
    gates, chosen, other = condition, first, second
    if not condition.is_gates():
        gates, chosen, other = condition.complement(), second, first
    gap = combine((chosen, 1), (other, -1))
    return (combine((gates * gap, 1), (other, 1))).typed(kind)


def _compared(since_numbers: int, since: int = 7, bfloat16: int = 13) -> Signature:
    """Two numbers: floats alone before an operator set."""
    floats = FLOAT_INPUT.during(until=since_numbers - 1)
    numbers = NUMBER_INPUT.during(since=since_numbers)
    return Signature(inputs=(floats, numbers, floats, numbers), result=BOOL, since=since,
                     bfloat16=bfloat16)


_EQUAL = (InputSlot((*INTEGERS, BOOL)).during(until=10), ANY_INPUT.during(since=11))
_CONDITIONS = Signature(inputs=(InputSlot((BOOL,)), InputSlot((BOOL,))), result=BOOL)

OPERATORS = {
    "Greater": Operator(comparison(lambda a, b: a > b, True, False), _compared(9)),
    "Less": Operator(comparison(lambda a, b: a < b, False, False), _compared(9)),
    "GreaterOrEqual": Operator(
        comparison(lambda a, b: a >= b, True, True), _compared(12, 12, 16)),
    "LessOrEqual": Operator(comparison(lambda a, b: a <= b, False, True), _compared(12, 12, 16)),
    "Equal": Operator(equal, Signature(
        inputs=(_EQUAL[0], _EQUAL[1], _EQUAL[0], _EQUAL[1]), result=BOOL)),
    "Not": Operator(negation, Signature(inputs=(BOOL_INPUT,), result=BOOL)),
    "And": Operator(junction(True), _CONDITIONS),
    "Or": Operator(junction(False), _CONDITIONS),
    "Where": Operator(where, Signature(
        inputs=(BOOL_INPUT, ANY_INPUT, ANY_INPUT), result=OF_RULE, since=9, bfloat16=16)),
}
