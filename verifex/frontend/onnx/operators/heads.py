"""Heads of classifiers: softmax, log-softmax, sigmoid, and what is written in their place.

A head is a smooth function of logits that keeps their order, or their sign. Its nodes are built
like those of any other function; beside them the tensor keeps what kind of head it is and of which
logits, so that claims about the order of outputs can be decided on these (specs/LANGUAGE.md).
Operators that keep all elements in their order pass that on; every other one drops it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import TypeAlias

import numpy as np

from verifex.frontend.onnx.lowering import Lowering, scaled
from verifex.frontend.onnx.operators import elementwise, pooling, shape
from verifex.frontend.onnx.operators.call import Call, Result, Rule, normal_axis
from verifex.frontend.onnx.values import Constant, Tensor, Value, uniform
from verifex.ir.graph import HEADS, Head
from verifex.ir.linmap import Gather, reshape
from verifex.ir.ops import Affine, Concat

COMPLEMENT, SUM = "complement", "sum_of_sigmoids"
"""Marks on the way to a head, in the place of its kind: 1 - sigmoid(z) of each element, and the sum
of all sigmoid(z)."""


# --- making heads ------------------------------------------------------------------------------


def softmax_head(low: Lowering, logits: int, dtype: int, *, logarithm: bool = False) -> Tensor:
    """Softmax over all elements of a node, or its logarithm, as a tensor of the same shape."""
    own = low.shape(logits)
    node = softmax_node(low, logits, (1, math.prod(own), 1), logarithm)
    made = Tensor(low.affine(reshape(low.shape(node), own), node), own, dtype)
    kind = "log_softmax" if logarithm else "softmax"
    return replace(made, head=Head(kind, logits)) if math.prod(own) > 1 else made


def sigmoid_head(low: Lowering, logits: int, dtype: int) -> Tensor:
    """Sigmoid of each element."""
    node = low.univariate("sigmoid", logits)
    return Tensor(node, low.shape(node), dtype, Head("sigmoid", logits))


def binary_head(low: Lowering, logit: int, dtype: int) -> Tensor:
    """(1 - sigmoid(z), sigmoid(z)) of one element z, of shape (1, 2): the softmax of (0, z)."""
    flat = low.affine(reshape(low.shape(logit), (1, 1)), logit)
    up = low.univariate("sigmoid", flat)
    down = low.combine([(up, -1)], np.ones((1, 1)))
    logits = low.add(Concat(1), low.const(np.zeros((1, 1))), flat)
    return Tensor(low.add(Concat(1), down, up), (1, 2), dtype, Head("softmax", logits))


def normalized_head(low: Lowering, logits: int, dtype: int) -> Tensor:
    """Sigmoids divided by their sum over all elements, as one-vs-rest classifiers do it."""
    up = low.univariate("sigmoid", logits)
    total = low.sum_axes(up, range(len(low.shape(up))))
    node = low.mul(up, low.univariate("reciprocal", total))
    return Tensor(node, low.shape(node), dtype, Head("normalized_sigmoid", logits))


def softmax_node(low: Lowering, node: int, view: tuple[int, int, int], logarithm: bool) -> int:
    """Softmax over the middle axis of `view`: `1 / sum_j exp(x_j - x_i)`, in which no exponential
    of a large positive number cancels another."""
    lead, size, tail = view
    wide = low.limits.shape((lead, size, max(size - 1, 0), tail))
    own = low.shape(node)
    places = np.arange(math.prod(own)).reshape(view)
    # The differences x_j - x_i of every i, without j = i, where it is 0 anyway.
    others = np.array([[j for j in range(size) if j != i] for i in range(size)], dtype=np.int64)
    others = others.reshape(size, max(size - 1, 0))
    first = Gather(own, wide, places[:, others, :])
    second = Gather(own, wide, np.ascontiguousarray(np.broadcast_to(places[:, :, None, :], wide)))
    gaps = low.add(Affine((first, scaled(second, -1))), node, node)
    spread = low.sum_axes(low.univariate("exp", gaps), [2])
    spread = low.combine([(spread, 1)], np.ones(()))  # the term with j = i
    if logarithm:
        return low.combine([(low.univariate("log", spread), -1)])
    return low.univariate("reciprocal", spread)


def final_head(low: Lowering, value: Value) -> Head | None:
    """What head an output of the network is, if it is one."""
    head = value.head if isinstance(value, Tensor) else None
    if head is not None and head.kind == COMPLEMENT:
        return Head("sigmoid", low.combine([(head.logits, -1)]))  # 1 - sigmoid(z) = sigmoid(-z)
    return head if head is not None and head.kind in HEADS else None


# --- operators ---------------------------------------------------------------------------------


def softmax(call: Call, *, logarithm: bool) -> Result:
    """Softmax along `axis`; before operator set 13 over all axes from there on."""
    x = call.node(0)
    own = call.shape(0)
    if call.opset < 13:
        axis = normal_axis(call.int_("axis", 1), len(own))
        lead, size, tail = math.prod(own[:axis]), math.prod(own[axis:]), 1
    else:
        axis = normal_axis(call.int_("axis", -1), len(own))
        lead, size, tail = math.prod(own[:axis]), own[axis], math.prod(own[axis + 1:])
    if lead * tail == 1 and isinstance(call.value(0), Tensor):
        return softmax_head(call.low, x, call.dtype, logarithm=logarithm)
    out = softmax_node(call.low, x, (lead, size, tail), logarithm)
    return call.low.move_node(out, lambda a: a.reshape(own))


def sigmoid(call: Call) -> Result:
    value = call.value(0)
    if not isinstance(value, Tensor):
        return call.low.univariate("sigmoid", call.node(0))
    return sigmoid_head(call.low, value.node, value.dtype)


def _head(value: Value, *kinds: str) -> Head | None:
    """The head, or mark, of a tensor if it is of one of these kinds."""
    head = value.head if isinstance(value, Tensor) else None
    return head if head is not None and head.kind in kinds else None


Find: TypeAlias = Callable[[Call], Head | None]


def _marked(run: Callable[[Call], Result], find: Find, call: Call) -> Result:
    """What an operator's own rule makes of its inputs, with the head that the result is."""
    made = run(call)
    found = find(call)
    if isinstance(made, int):
        made = call.low.wrap(made, call.dtype)
    return made if found is None or not isinstance(made, Tensor) else replace(made, head=found)


def _log(call: Call) -> Head | None:
    """The logarithm of a softmax."""
    head = _head(call.value(0), "softmax")
    return None if head is None else Head("log_softmax", head.logits)


def _one_minus(call: Call) -> Head | None:
    """1 - sigmoid(z)."""
    one, head = call.value(0), _head(call.value(1), "sigmoid")
    if head is None or not isinstance(one, Constant) or uniform(one.value) != 1:
        return None
    fits = call.low.broadcast_shape(one.shape, call.shape(1)) == call.shape(1)
    return Head(COMPLEMENT, head.logits) if fits else None


def _joined(call: Call) -> Head | None:
    """Sigmoids one after the other are sigmoids; (1 - sigmoid(z), sigmoid(z)) of one element, in
    either order, is the softmax of (0, z), or of (z, 0)."""
    parts = [_head(value, "sigmoid", COMPLEMENT) for value in call.inputs if value is not None]
    heads = [part for part in parts if part is not None]
    if len(heads) < max(2, len(call.inputs)):
        return None
    low, axis = call.low, normal_axis(call.int_("axis", 0), len(call.shape(0)))
    logits = [low.affine(reshape(low.shape(head.logits), call.shape(k)), head.logits)
              for k, head in enumerate(heads)]
    down = [head.kind == COMPLEMENT for head in heads]
    if len(heads) == 2 and down[0] != down[1] and logits[0] == logits[1] \
            and math.prod(call.shape(0)) == 1:
        zero = low.const(np.zeros(call.shape(0)))
        pair = [zero, logits[0]] if down[0] else [logits[0], zero]
        return Head("softmax", low.add(Concat(axis), *pair))
    signed = [low.combine([(z, -1 if flipped else 1)])
              for z, flipped in zip(logits, down, strict=True)]
    return Head("sigmoid", low.add(Concat(axis), *signed))


def _summed(call: Call) -> Head | None:
    """The sum of all sigmoids."""
    head = _head(call.value(0), "sigmoid")
    if head is None or call.op != "ReduceSum":
        return None
    axes = pooling.reduce_axes(call, 13)
    rest = [side for k, side in enumerate(call.shape(0)) if axes is None or k not in axes]
    return Head(SUM, head.logits) if axes is not None and math.prod(rest) == 1 else None


def _quotient(call: Call) -> Head | None:
    """Sigmoids divided by their sum."""
    head, total = _head(call.value(0), "sigmoid"), _head(call.value(1), SUM)
    same = head is not None and total is not None and head.logits == total.logits
    if head is None or not same or math.prod(call.shape(0)) < 2:
        return None
    fits = call.low.broadcast_shape(call.shape(0), call.shape(1)) == call.shape(0)
    return Head("normalized_sigmoid", head.logits) if fits else None


def _rule(name: str, known: Mapping[str, Rule], find: Find) -> Mapping[str, Rule]:
    """The rule of an operator that other operators' table has, with the heads that it makes."""
    rule = known[name]
    return {name: replace(rule, run=partial(_marked, rule.run, find))}


RULES: Mapping[str, Rule] = {
    "Softmax": Rule(partial(softmax, logarithm=False)),
    "LogSoftmax": Rule(partial(softmax, logarithm=True)),
    "Sigmoid": Rule(sigmoid),
    **_rule("Log", elementwise.RULES, _log),
    **_rule("Sub", elementwise.RULES, _one_minus),
    **_rule("Div", elementwise.RULES, _quotient),
    **_rule("Concat", shape.RULES, _joined),
    **_rule("ReduceSum", pooling.RULES, _summed),
}
"""These stand after the tables that they take rules from, in whose place they are."""
