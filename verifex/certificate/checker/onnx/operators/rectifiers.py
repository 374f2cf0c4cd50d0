"""Piecewise linear functions: Relu, LeakyRelu, PRelu, Abs, Clip, Max, Min, HardSigmoid, HardSwish.

All are written with relu(v) = max(v, 0), one relaxed node R each, and are equal to what ONNX says
of them for all real numbers. Which of several such writings is taken decides the names of nodes.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from functools import reduce

from ...failures import Bad, need
from ...graph.element_types import LARGEST
from ...graph.symbolic import SymbolicTensor, combine, constants, stretched
from ..operator_call import Operator, OperatorCall
from ..rounding import ALPHA, as_float32
from ..signatures import FLOAT_INPUT, REAL, AttributeSlot, Signature

FIFTH, HALF = as_float32("0.2"), Fraction(1, 2)


def relu(call: OperatorCall) -> SymbolicTensor:
    """max(x, 0)."""
    return call.tensor().relu()


def absolute(call: OperatorCall) -> SymbolicTensor:
    """|x| = 2 max(x, 0) - x."""
    return call.tensor().absolute()


def with_slope(tensor: SymbolicTensor, slope: SymbolicTensor) -> SymbolicTensor:
    """x where x >= 0, slope * x below: relu(x) + (x - relu(x)) slope.

    x - relu(x) is min(x, 0). The slope may be any number, and is stretched to the tensor only.
    """
    alone = tensor.solid()
    need(stretched(tensor, slope) == list(tensor.shape), "slopes of another shape")
    positive = alone.relu()
    return positive + (alone - positive) * slope


def leaky_relu(call: OperatorCall) -> SymbolicTensor:
    """One slope for all elements: `alpha`, by default the float32 nearest to 0.01."""
    alpha = call.attributes.real("alpha", ALPHA)
    return with_slope(call.tensor(), constants(call.graph, (), [alpha]))


def prelu(call: OperatorCall) -> SymbolicTensor:
    """Slopes from a tensor."""
    return with_slope(call.tensor(0), call.tensor(1))


def clip_ends(call: OperatorCall) -> tuple[Fraction | None, Fraction | None]:
    """The bounds of a Clip, None for none.

    ONNX: attributes before operator set 11, which are the ends of float32 where they are left out;
    constant inputs of one number later, which may be missing.
    """
    if call.opset < 11:
        attributes = call.attributes
        return attributes.real("min", -LARGEST), attributes.real("max", LARGEST)
    low, high = call.optional(1), call.optional(2)
    rank = len(call.tensor().shape)
    need(all(end is None or (end.size == 1 and len(end.shape) <= rank) for end in (low, high)),
         "bounds that are no single numbers")
    low_end, high_end = (None if end is None else end.constants()[0] for end in (low, high))
    return low_end, high_end


def clip(call: OperatorCall) -> SymbolicTensor:
    """min(max(x, low), high), as max(x, low) - relu(x - high).

    max(x, low) = relu(x - low) + low = x + relu(low - x). For low < high, relu(x - high) is also
    what max(x, low) is above high; for low = high all is that number. Sound: a Clip with low > high
    is refused, since the two orders of min and max differ then; a bound that is given is one, also
    at the ends of float32.
    """
    tensor = call.tensor().solid()
    if any(not tensor.fixed for tensor in call.inputs[1:] if tensor is not None):
        return clip_by_tensors(call)
    low_end, high_end = clip_ends(call)
    need(low_end is None or high_end is None or low_end <= high_end, "a Clip of nothing")
    if low_end is not None and low_end == high_end:
        return constants(call.graph, tensor.shape, [low_end] * tensor.size)
    found = tensor
    if low_end is not None:
        low = constants(call.graph, (), [low_end])
        # Below all float32 numbers, relu(x - low) is near -low: no bound of it tells of x.
        found = (tensor + (low - tensor).relu() if low_end <= -LARGEST
                 else (tensor - low).relu() + low)
    if high_end is None:
        return found
    return found - (tensor - constants(call.graph, (), [high_end])).relu()


def greater_of(first: SymbolicTensor, second: SymbolicTensor) -> SymbolicTensor:
    """max(a, b) = b + max(a - b, 0)."""
    return second + (first - second).relu()


def lesser_of(first: SymbolicTensor, second: SymbolicTensor) -> SymbolicTensor:
    """min(a, b) = a - max(a - b, 0)."""
    return first - (first - second).relu()


def clip_by_tensors(call: OperatorCall) -> SymbolicTensor:
    """min(max(x, low), high), as the standard says, for computed bounds; both are given."""
    low, high = call.optional(1), call.optional(2)
    if low is None or high is None:
        raise Bad("unsupported Clip with one computed bound")
    rank = len(call.tensor().shape)
    need(all(end.size == 1 and len(end.shape) <= rank for end in (low, high)),
         "bounds that are no single numbers")
    return lesser_of(greater_of(call.tensor(), low), high)


def hard_sigmoid_of(tensor: SymbolicTensor, alpha: Fraction, beta: Fraction) -> SymbolicTensor:
    """min(max(alpha x + beta, 0), 1) = relu(z) - relu(z - 1) for z = alpha x + beta."""
    one, offset = (constants(tensor.graph, (), [number]) for number in (1, beta))
    moved = combine((tensor, alpha), (offset, 1))
    return moved.relu() - (moved - one).relu()


def hard_sigmoid(call: OperatorCall) -> SymbolicTensor:
    """`alpha` and `beta` are by default the float32 nearest to 0.2, and 1/2."""
    alpha, beta = call.attributes.real("alpha", FIFTH), call.attributes.real("beta", HALF)
    return hard_sigmoid_of(call.tensor().solid(), alpha, beta)


def hard_swish(call: OperatorCall) -> SymbolicTensor:
    """x * min(max(x / 6 + 1/2, 0), 1): a product of two computed tensors."""
    tensor = call.tensor().solid()
    return tensor * hard_sigmoid_of(tensor, Fraction(1, 6), HALF)


def folded(
    join: Callable[[SymbolicTensor, SymbolicTensor], SymbolicTensor]
) -> Callable[[OperatorCall], SymbolicTensor]:
    """The rule that joins the inputs from left to right; one alone is itself."""
    return lambda call: reduce(join, call.tensors())


_ONE = Signature(inputs=(FLOAT_INPUT,))
_MANY = Signature(inputs=(FLOAT_INPUT.many(),))

OPERATORS = {
    "Relu": Operator(relu, _ONE),
    "Abs": Operator(absolute, _ONE),
    "LeakyRelu": Operator(leaky_relu, Signature(
        inputs=(FLOAT_INPUT,), attributes=(AttributeSlot("alpha", REAL),), bfloat16=16)),
    "PRelu": Operator(prelu, Signature(inputs=(FLOAT_INPUT, FLOAT_INPUT), bfloat16=16)),
    "Clip": Operator(clip, Signature(
        inputs=(FLOAT_INPUT, FLOAT_INPUT.optionally().during(since=11),
                FLOAT_INPUT.optionally().during(since=11)),
        attributes=(AttributeSlot("min", REAL, until=10), AttributeSlot("max", REAL, until=10)))),
    "Max": Operator(folded(greater_of), _MANY),
    "Min": Operator(folded(lesser_of), _MANY),
    "HardSigmoid": Operator(hard_sigmoid, Signature(
        inputs=(FLOAT_INPUT,), attributes=(AttributeSlot("alpha", REAL),
                                           AttributeSlot("beta", REAL)), bfloat16=22)),
    "HardSwish": Operator(hard_swish, Signature(inputs=(FLOAT_INPUT,), since=14, bfloat16=22)),
}
