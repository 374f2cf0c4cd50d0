"""An ONNX file as a graph: the file's parts, and its operators one after the other."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from ..failures import MAX_BITS, Bad, need
from ..graph.element_types import FLOATS
from ..graph.network_graph import NetworkGraph
from ..graph.symbolic import SymbolicTensor, of_node
from .declarations import Declaration, declaration
from .heads import HEAD_OPERATORS, MAKERS, HeadTensor
from .operator_call import DOMAIN, INPUT, OPERATOR, OUTPUT, OVERLOAD, OperatorCall
from .operators.rules import OPERATORS
from .operators.smooth import why_not
from .protobuf import Message
from .signatures import FIRST_OPSET, LAST_OPSET
from .stored import NAME as TENSOR_NAME
from .stored import stored_tensor

# Fields of a ModelProto: what it is, its graph, its operator sets, and what is not supported.
IR_VERSION, GRAPH, OPERATOR_SETS = 1, 7, 8
TRAINING, FUNCTIONS, CONFIGURATIONS = 20, 25, 26
SET_DOMAIN, SET_VERSION = 1, 2
FIRST_IR, LAST_IR = 3, 14
# Fields of a GraphProto.
NODES, STORED, INPUTS, OUTPUTS, SPARSE = 1, 5, 11, 12, 15

STANDARD = ("", "ai.onnx")
"""The names of the standard's own operators, which are one."""

LONG_PRODUCTS = ("MatMul", "Gemm", "Conv")
"""Operators that multiply with constants once and so make no number long by themselves."""


class Outputs(dict[str, SymbolicTensor]):
    """The outputs of floats by name: no claim reads any other."""

    def __missing__(self, key: str) -> SymbolicTensor:
        raise Bad(f"no output {key!r:.40} of floats")


class Pending(NamedTuple):
    """An operator that is to compute a tensor, and the inputs not yet looked at."""

    label: str
    node: Message
    inputs: Iterator[str]


class Network:
    """An ONNX file lowered into a graph.

    `values` holds every tensor that is computed so far, by name; `inputs` the nodes of the inputs
    that no stored tensor gives a value; `outputs` the outputs of floats, `left_out` the names of
    the others. What no output needs is not computed, and not looked at. `heads` holds the smooth
    tensors that are known by their logits, which are in no other table, and `smooth_outputs` those
    of them that are outputs.

    Sound: an ONNX graph is a set of equations, one a tensor name. Here every name has one meaning
    (a stored tensor, an input, or one output of one operator; two are refused), and each value is
    what the operator's rule says of the values of its inputs.
    """

    def __init__(self, data: bytes) -> None:
        model = Message(data)
        body, self.graph = model.message(GRAPH), NetworkGraph()
        version = model.integer(IR_VERSION)
        need(FIRST_IR <= version <= LAST_IR, f"unsupported IR version {version}")
        need(not body.has(SPARSE) and not model.has(TRAINING, FUNCTIONS, CONFIGURATIONS),
             "unsupported sparse tensors, training information, functions or configurations")
        self.opset = operator_set(model)
        declared = [declaration(info) for info in body.messages(INPUTS)]
        wanted = [declaration(info) for info in body.messages(OUTPUTS)]
        self.values: dict[str, SymbolicTensor] = {}
        self.heads: dict[str, HeadTensor] = {}
        self.makers: dict[str, Message] = {}
        self.inputs: dict[str, int] = {}
        self.store(body.messages(STORED))
        self.declare(declared)
        self.make(body.messages(NODES))
        found = [one.name for one in wanted]
        need(len(set(found)) == len(found), "two outputs of a name")
        for one in wanted:
            one.check(self.tensor(one.name), with_shape=False)
        self.smooth_outputs = {
            label: self.heads[label] for label in found if label in self.heads}
        self.outputs = Outputs(
            (label, self.values[label]) for label in found
            if label in self.values and self.values[label].kind in FLOATS)
        self.left_out = sorted(set(found) - self.outputs.keys() - self.smooth_outputs.keys())

    def store(self, tensors: list[Message]) -> None:
        """Read the stored tensors."""
        for tensor in tensors:
            label = tensor.text(TENSOR_NAME)
            need(label not in self.values, "two tensors of a name")
            try:
                self.values[label] = stored_tensor(self.graph, tensor)
            except Bad as error:
                raise Bad(f"tensor '{label[:40]}': {error}") from None

    def declare(self, declared: list[Declaration]) -> None:
        """Make a node for each input, in order; a declared tensor that is stored is a constant."""
        need(len({one.name for one in declared}) == len(declared), "two inputs of a name")
        for one in declared:
            if one.name in self.values:
                one.check(self.values[one.name], with_shape=True)
        for one in declared:
            if one.name not in self.values:
                shape = one.input_shape()
                node = self.graph.input(one.name, math.prod(shape))
                made = of_node(self.graph, shape, node)
                self.values[one.name] = made.typed(one.kind)
                self.inputs[one.name] = node

    def make(self, nodes: list[Message]) -> None:
        """Note what computes each tensor; an output without a name is not wanted by anybody."""
        for node in nodes:
            for label in filter(None, node.texts(OUTPUT)):
                need(label not in self.values and label not in self.makers,
                     "two tensors of a name")
                self.makers[label] = node

    def tensor(self, wanted: str) -> SymbolicTensor:
        """A tensor, with all that it needs; of a head the logits, which have its type.

        Depth first: of several inputs that are missing, the last is built first, and an operator
        after all of them. So the order of the nodes in the graph does not depend on the order of
        the operators in the file.
        """
        waiting = [] if self.is_known(wanted) else [self.opened(wanted)]
        while waiting:
            pending = waiting[-1]
            missing = next((label for label in pending.inputs
                            if label and not self.is_known(label)), None)
            if missing is None:
                self.lower(pending)
                waiting.pop()
            else:
                waiting.append(self.opened(missing))
        return self.heads[wanted].logits if wanted in self.heads else self.values[wanted]

    def is_known(self, label: str) -> bool:
        """Whether a tensor is computed already."""
        return label in self.values or label in self.heads

    def opened(self, label: str) -> Pending:
        """The operator that computes a tensor. It is taken away, so that one which needs its own
        result is refused."""
        need(label in self.makers, f"tensor '{label[:40]}' is not computed")
        node = self.makers.pop(label)
        return Pending(label, node, reversed(node.texts(INPUT)))

    def lower(self, pending: Pending) -> None:
        """The values of an operator's outputs; a refusal names the operator."""
        label, node, _ = pending
        name, domain = node.text(OPERATOR), node.text(DOMAIN)
        place = f" for '{label[:40]}'"
        given = node.texts(INPUT)
        smooth = name in MAKERS or any(one in self.heads for one in given)
        known = name in HEAD_OPERATORS if smooth else name in OPERATORS
        need(known and domain in STANDARD and not node.text(OVERLOAD),
             f"unsupported {why_not(name)}{place}{' of what is smooth' * smooth}")
        try:
            if smooth:
                self.compute_head(name, node, given)
            else:
                self.compute(name, node, [self.values[one] if one else None for one in given])
        except Bad as error:
            raise Bad(f"{name}{place}: {error}") from None
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
            # Whatever no rule has named: a length, a shape, a number that does not fit.
            raise Bad(f"{name}{place}: its inputs do not fit ({error!r:.80})") from None
        need(self.is_known(label), f"unsupported further output of {name}{place}")

    def compute(
        self, name: str, node: Message, inputs: Sequence[SymbolicTensor | None]
    ) -> None:
        """Apply the rule of an operator, and keep its results with their element types.

        Numbers that grow without end, as constants do that are squared over and over, are refused
        before they take all time and memory. Products with weights are but as long as those.
        """
        rule, signature = OPERATORS[name]
        call = OperatorCall(self.graph, node, inputs, self.opset, signature)
        found = rule(call)
        results = found if isinstance(found, list) else [found]
        for label, tensor in zip(node.texts(OUTPUT), results):
            long = name in LONG_PRODUCTS and not tensor.fixed
            need(long or not tensor.has_longer_numbers(MAX_BITS), "too many digits")
            self.values[label] = call.finished(tensor)
        call.attributes.finish()

    def compute_head(self, name: str, node: Message, given: Sequence[str]) -> None:
        """Apply the rule of an operator that makes or reads a smooth tensor.

        Sound: such a tensor is in `heads` alone, so no rule but those of `heads.py` can take its
        logits for its elements. Whatever they do not know is refused.
        """
        rule, signature = HEAD_OPERATORS[name]
        heads = [self.heads.get(one) for one in given]
        inputs = [head.logits if head else self.values[one] if one else None
                  for head, one in zip(heads, given, strict=True)]
        call = OperatorCall(self.graph, node, inputs, self.opset, signature)
        made = rule(call, heads)
        call.attributes.finish()
        self.heads[node.texts(OUTPUT)[0]] = made


def operator_set(model: Message) -> int:
    """The version of the standard's operators that the file is written in."""
    versions = dict[str, int]()
    for imported in model.messages(OPERATOR_SETS):
        domain = imported.text(SET_DOMAIN).removesuffix("ai.onnx")
        need(domain not in versions, "an operator set twice")
        versions[domain] = imported.integer(SET_VERSION)
    opset = versions.get("", 0)
    need(FIRST_OPSET <= opset <= LAST_OPSET, f"unsupported opset {opset}")
    return opset
