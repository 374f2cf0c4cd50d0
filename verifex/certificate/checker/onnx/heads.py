"""Heads: smooth last layers that keep the order, or the sign, of their logits.

    softmax             exp(z_i) / sum_j exp(z_j), over all elements
    log_softmax         its logarithm
    sigmoid             1 / (1 + exp(-z_i)), of each element
    normalized_sigmoid  sigmoid(z_i) / sum_j sigmoid(z_j), over all elements

Nothing smooth is ever computed. A tensor that is such a function of logits is kept apart from all
other tensors, as the name of the function and the logits, and only the operators of this file may
read one: others are refused. What a claim about it says of its logits is argued in
`spec/outputs/claimed.py`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

from ..failures import Bad, need
from ..graph.element_types import FLOAT32, FLOATS
from ..graph.symbolic import SymbolicTensor, combine, constants, stretched
from .operator_call import (
    LOG_SOFTMAX,
    NORMALIZED,
    SIGMOID,
    SOFTMAX,
    HeadTensor,
    Operator,
    OperatorCall,
)
from .operators.indexing import concat
from .operators.ml.rules import OPERATORS as ML_OPERATORS
from .operators.rules import ML_DOMAIN, OPERATORS
from .operators.windows import reduced_axes
from .signatures import (
    FLOAT_INPUT,
    INTEGER,
    ML_INPUT,
    TEXT,
    AttributeSlot,
    Signature,
    ml_attribute,
    ml_signature,
)

# On the way to a head: 1 - sigmoid(z) of each element, and the sum of all sigmoid(z).
COMPLEMENT, SUM = "1 - sigmoid", "sum of sigmoids"


Heads = Sequence[HeadTensor | None]
HeadRule = Callable[[OperatorCall, Heads], HeadTensor]
"""The result of an operator of which some inputs are heads: in the call, the logits of a head
stand in its place."""


class HeadOperator(NamedTuple):
    """An operator that makes, or reads, a head: what it makes, and what it takes."""

    rule: HeadRule
    signature: Signature


def plain(call: OperatorCall, heads: Heads) -> SymbolicTensor:
    """The only input, which is computed and no head itself."""
    need(heads == [None], "unsupported: smooth, of what is smooth already")
    need(not call.tensor().fixed, "unsupported: smooth, of constants")
    return call.tensor()


def softmax(function: str) -> HeadRule:
    """Softmax, or its logarithm, along `axis`; before operator set 13 over all axes from there on.

    Sound: all axes but those are 1, so that it is over all elements.
    """

    def rule(call: OperatorCall, heads: Heads) -> HeadTensor:
        logits, old = plain(call, heads), call.opset < 13
        axis = call.axis(call.attributes.integer("axis", 1 if old else -1))
        along = math.prod(logits.shape[axis:]) if old else logits.shape[axis]
        need(along == logits.size, "unsupported: smooth, a softmax of several rows")
        need(along > 1, "unsupported: smooth, a softmax of one element")
        return HeadTensor(function, logits)

    return rule


def sigmoid(call: OperatorCall, heads: Heads) -> HeadTensor:
    """The sigmoid of each element."""
    return HeadTensor(SIGMOID, plain(call, heads))


def logarithm(call: OperatorCall, heads: Heads) -> HeadTensor:
    """The logarithm of a softmax; any other is refused."""
    return HeadTensor(LOG_SOFTMAX, the_head(heads, SOFTMAX).logits)


def kept(operator: Operator) -> HeadRule:
    """The same function of the moved logits, by an operator that moves elements.

    Sound: the operator's own rule has moved the logits as it moves the elements of the head. It is
    accepted where all stay, in the same order: no function here depends on anything else.
    """
    def rule(call: OperatorCall, heads: Heads) -> HeadTensor:
        need(heads[0] is not None, "unsupported: smooth, as a further input")
        head = the_head(heads, SOFTMAX, LOG_SOFTMAX, SIGMOID, NORMALIZED, COMPLEMENT)
        moved = operator.rule(call)
        if isinstance(moved, list):
            raise Bad("unsupported: smooth, into several outputs")
        need(moved.node() == head.logits.node(), "unsupported: smooth, in another order")
        # Sound: a Cast to integers keeps logits that are whole, and cuts off what is made of them.
        logits = call.finished(moved)
        need(logits.kind in FLOATS, "unsupported: smooth, as integers")
        return HeadTensor(head.function, logits)

    return rule


def one_minus(call: OperatorCall, heads: Heads) -> HeadTensor:
    """1 - sigmoid(z); every other difference is refused."""
    head = the_head(heads, SIGMOID)
    one = call.tensor(0)
    need(heads[0] is None and one.fixed and set(one.constants()) == {1}
         and stretched(one, head.logits) == list(head.logits.shape),
         "unsupported: smooth, a difference but 1 - sigmoid(z)")
    return HeadTensor(COMPLEMENT, head.logits)


def joined(call: OperatorCall, heads: Heads) -> HeadTensor:
    """Sigmoids one after the other are sigmoids, 1 - sigmoid(z) being sigmoid(-z).

    (1 - sigmoid(z), sigmoid(z)) of one element is the softmax of (0, z): exp(z) / (1 + exp(z)) is
    sigmoid(z). In the other order it is that of (z, 0).
    """
    found = [head for head in heads if head is not None and head.function in (SIGMOID, COMPLEMENT)]
    need(len(found) == len(heads) > 1, "unsupported: smooth, beside something else")
    down = [head.function == COMPLEMENT for head in found]
    parts = [combine((tensor, -1)).typed(tensor.kind) if flipped else tensor
             for tensor, flipped in zip(call.tensors(), down, strict=True)]
    first, second = call.tensors()[0], call.tensors()[1]
    if len(found) == 2 and down[0] != down[1] and first.size == second.size == 1 \
            and first.node() == second.node():
        zero = constants(call.graph, first.shape, [0], first.kind)
        call.inputs[:] = [zero, second] if down[0] else [first, zero]
        return HeadTensor(SOFTMAX, call.finished(concat(call)))
    call.inputs[:] = parts
    return HeadTensor(SIGMOID, call.finished(concat(call)))


def summed(call: OperatorCall, heads: Heads) -> HeadTensor:
    """The sum of all sigmoids; other sums are refused."""
    head = the_head(heads, SIGMOID)
    axes, shape = reduced_axes(call), call.tensor().shape
    call.attributes.flag("keepdims", True)
    need(all(side == 1 or axis in axes for axis, side in enumerate(shape)) and axes,
         "unsupported: smooth, a sum of some elements")
    return HeadTensor(SUM, head.logits)


def quotient(call: OperatorCall, heads: Heads) -> HeadTensor:
    """Sigmoids divided by their sum; every other quotient is refused."""
    need(len(heads) == 2 and heads[0] is not None and heads[1] is not None,
         "unsupported: smooth, a quotient but by the sum of sigmoids")
    head, divisor = the_head(heads[:1], SIGMOID), the_head(heads[1:], SUM)
    same = head.logits.node() == divisor.logits.node()
    need(same and head.logits.size > 1, "unsupported: smooth, a quotient of other sigmoids")
    return HeadTensor(NORMALIZED, head.logits)


def normalizer(call: OperatorCall, heads: Heads) -> HeadTensor:
    """Probabilities divided by their sum: a softmax adds up to 1 already."""
    head = the_head(heads, SOFTMAX, SIGMOID)
    need(call.attributes.text("norm", "MAX") == "L1", "unsupported: smooth, by another norm")
    need(math.prod(head.logits.shape[:-1]) == 1, "unsupported: smooth, several rows")
    if head.function == SOFTMAX:
        return HeadTensor(SOFTMAX, call.finished(head.logits))
    need(head.logits.size > 1, "unsupported: smooth, one sigmoid divided by itself")
    return HeadTensor(NORMALIZED, call.finished(head.logits))


def the_head(heads: Heads, *functions: str) -> HeadTensor:
    """The only head among the inputs, of one of these functions."""
    found = [head for head in heads if head is not None]
    need(len(found) == 1 and found[0].function in functions,
         f"unsupported: smooth, and no {' or '.join(functions)}")
    return found[0]


_AXIS = (AttributeSlot("axis", INTEGER),)
_ONE = Signature(inputs=(FLOAT_INPUT,))
MOVES = (
    "Identity", "Dropout", "Cast", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose")

HEAD_OPERATORS = {
    "Softmax": HeadOperator(softmax(SOFTMAX), Signature((FLOAT_INPUT,), _AXIS)),
    "LogSoftmax": HeadOperator(softmax(LOG_SOFTMAX), Signature((FLOAT_INPUT,), _AXIS)),
    "Sigmoid": HeadOperator(sigmoid, _ONE),
    "Log": HeadOperator(logarithm, _ONE),
    "Sub": HeadOperator(one_minus, OPERATORS["Sub"].signature),
    "Concat": HeadOperator(joined, OPERATORS["Concat"].signature),
    "ReduceSum": HeadOperator(summed, OPERATORS["ReduceSum"].signature),
    "Div": HeadOperator(quotient, OPERATORS["Div"].signature),
    **{name: HeadOperator(kept(OPERATORS[name]), OPERATORS[name].signature) for name in MOVES},
}
"""Operators of which an input, or the result, may be a head."""

ML_HEAD_OPERATORS = {
    "ZipMap": HeadOperator(kept(ML_OPERATORS["ZipMap"]), ML_OPERATORS["ZipMap"].signature),
    "Normalizer": HeadOperator(normalizer, ml_signature(
        (ML_INPUT,), (ml_attribute("norm", TEXT),), FLOAT32)),
}
"""The same of ai.onnx.ml."""

HEADS_BY_DOMAIN = {"": HEAD_OPERATORS, ML_DOMAIN: ML_HEAD_OPERATORS}

MAKERS = ("Softmax", "LogSoftmax", "Sigmoid")
"""Those of them that make a head of what is none."""
