"""Operators that differ between training and inference: BatchNormalization and Dropout.

A network is read as one for inference; what says that it trains is refused.
"""

from __future__ import annotations

from ...failures import need
from ...graph.symbolic import SymbolicTensor, constants
from ..operator_call import Operator, OperatorCall
from ..rounding import EPSILON, over_root
from ..signatures import (
    BOOL_INPUT,
    FLOAT_INPUT,
    FLOAT_INPUT_1,
    FLOAT_INPUT_2,
    INTEGER,
    REAL,
    AttributeSlot,
    Signature,
)


def batch_normalization(call: OperatorCall) -> SymbolicTensor:
    """(x - mean) * scale / sqrt(variance + epsilon) + offset, one number of each a channel.

    The root is irrational. The network that claims are about has for a factor the float64 nearest
    to the exact one (certificate/format.md says so, and the package rounds so too); with any factor
    it is linear. A variance + epsilon that is not positive has no root and is refused.
    """
    tensor, attributes = call.tensor(), call.attributes
    epsilon = attributes.real("epsilon", EPSILON)
    attributes.ignore("momentum")  # of running means, which only training changes
    need(not attributes.flag("training_mode") and attributes.flag("spatial", True),
         "unsupported normalization")
    given = [call.tensor(place) for place in (1, 2, 3, 4)]
    need(len(tensor.shape) > 1 and all(one.shape == tensor.shape[1:2] for one in given),
         "wrong shapes")
    by_channel = [1, tensor.shape[1], *[1] * len(tensor.shape[2:])]
    scale, offset, mean, variance = (one.shaped(by_channel) for one in given)
    squares = [number + epsilon for number in variance.constants()]
    need(all(square > 0 for square in squares), "no positive variance + epsilon")
    factors = [over_root(number, square)
               for number, square in zip(scale.constants(), squares, strict=True)]
    return (tensor - mean) * constants(call.graph, by_channel, factors) + offset


def dropout(call: OperatorCall) -> SymbolicTensor:
    """The input itself, outside of training."""
    training = call.optional(2)
    need(training is None or not any(training.constants()), "unsupported Dropout in training")
    call.attributes.ignore("ratio", "seed")  # which matter in training alone
    return call.tensor()


# Until set 13 all inputs have one type; in set 14 the mean and the variance have one of their own,
# and from 15 on scale and offset too.
_SCALE = (FLOAT_INPUT.during(until=14), FLOAT_INPUT_1.during(since=15))
_MEAN = (FLOAT_INPUT.during(until=13), FLOAT_INPUT_1.during(14, 14),
         FLOAT_INPUT_2.during(since=15))

OPERATORS = {
    "BatchNormalization": Operator(batch_normalization, Signature(
        inputs=(FLOAT_INPUT, *_SCALE, *_SCALE, *_MEAN, *_MEAN),
        attributes=(AttributeSlot("epsilon", REAL), AttributeSlot("momentum", REAL),
                    AttributeSlot("spatial", INTEGER, until=8),
                    AttributeSlot("training_mode", INTEGER, since=14)), bfloat16=14)),
    "Dropout": Operator(dropout, Signature(
        inputs=(FLOAT_INPUT, FLOAT_INPUT_1.optionally().during(since=12),
                BOOL_INPUT.optionally().during(since=12)),
        attributes=(AttributeSlot("ratio", REAL, until=11),
                    AttributeSlot("seed", INTEGER, since=12)), bfloat16=22)),
}
