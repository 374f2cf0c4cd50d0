"""An ONNX file as a graph: the file's parts, and its operators one after the other."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import NamedTuple

from ..failures import MAX_BITS, Bad, BadNetwork, need
from ..graph.element_types import ELEMENT_TYPES, FLOATS, INTEGERS, typed_name
from ..graph.network_graph import NetworkGraph
from ..graph.symbolic import SymbolicTensor, of_node
from .declarations import NO_FLOATS, Declaration, declaration, output_declaration
from .external import ExternalFiles
from .heads import HEADS_BY_DOMAIN, MAKERS, HeadOperator
from .operator_call import (
    DOMAIN,
    INPUT,
    OPERATOR,
    OUTPUT,
    OVERLOAD,
    HeadTensor,
    Operator,
    OperatorCall,
    Result,
)
from .operators.rules import BY_DOMAIN, ML_DOMAIN
from .operators.smooth import why_not
from .protobuf import Message
from .signatures import FIRST_ML, FIRST_OPSET, LAST_ML, LAST_OPSET
from .stored import DATA_TYPE, stored_tensor
from .stored import NAME as TENSOR_NAME
from .stored import STORED as STORED_KINDS

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
    that no stored tensor gives a value; `listed` what the file says of its outputs, of which
    `no_floats` cannot be read by a claim. A tensor is computed when it is asked for; what it does
    not need is not looked at. `heads` holds the smooth tensors that are known by their logits,
    which are in no other table; `unread` the kinds of stored tensors that are no numbers, as the
    names of classes are: a tensor that needs one is refused.

    `files` are those in the network's `folder` that its tensors name; without it they are refused.

    Sound: an ONNX graph is a set of equations, one a tensor name. Here every name has one meaning
    (a stored tensor, an input, or one output of one operator; two are refused), and each value is
    what the operator's rule says of the values of its inputs.
    """

    def __init__(self, data: bytes, folder: str | None = None) -> None:
        model = Message(data)
        body, self.graph = model.message(GRAPH), NetworkGraph()
        version = model.integer(IR_VERSION)
        need(FIRST_IR <= version <= LAST_IR, f"unsupported IR version {version}")
        need(not body.has(SPARSE) and not model.has(TRAINING, FUNCTIONS, CONFIGURATIONS),
             "unsupported sparse tensors, training information, functions or configurations")
        self.opsets = operator_sets(model)
        declared = [declaration(info) for info in body.messages(INPUTS)]
        wanted = [output_declaration(info) for info in body.messages(OUTPUTS)]
        self.values: dict[str, SymbolicTensor] = {}
        self.unread: dict[str, int] = {}
        self.heads: dict[str, HeadTensor] = {}
        self.makers: dict[str, Message] = {}
        self.inputs: dict[str, int] = {}
        self.files = ExternalFiles(folder)
        self.store(body.messages(STORED))
        self.declare(declared)
        self.make(body.messages(NODES))
        self.listed = {one.name: one for one in wanted}
        self.no_floats = {one.name for one in wanted if one.kind in NO_FLOATS}
        need(len(self.listed) == len(wanted), "two outputs of a name")
        for label in self.listed:
            need(self.has(label), f"output '{label[:40]}' is not computed")

    @cached_property
    def outputs(self) -> Outputs:
        """All outputs of floats that the file lists, but for the smooth ones."""
        read = [label for label in self.listed if label not in self.no_floats]
        found = {label: self.output(label) for label in read}
        return Outputs((label, one) for label, one in found.items()
                       if label not in self.heads and one.kind in FLOATS)

    @cached_property
    def smooth_outputs(self) -> dict[str, HeadTensor]:
        """All smooth outputs that the file lists."""
        known = self.outputs.keys()
        return {label: self.heads[label] for label in self.listed
                if label not in known and label in self.heads}

    @property
    def left_out(self) -> list[str]:
        """The names of the other outputs that the file lists."""
        return sorted(self.listed.keys() - self.outputs.keys() - self.smooth_outputs.keys())

    def has(self, label: str) -> bool:
        """Whether the file has a tensor of this name."""
        return self.is_known(label) or label in self.makers

    def output(self, label: str) -> SymbolicTensor:
        """A tensor of the file, of a head the logits, with the element type that it is listed with
        if it is an output."""
        try:
            found = self.tensor(label)
            if label in self.listed:
                self.listed[label].check(found, with_shape=False)
        except Bad as error:
            raise BadNetwork(str(error)) from None
        return found

    def store(self, tensors: list[Message]) -> None:
        """Read the stored tensors."""
        for tensor in tensors:
            label, kind = tensor.text(TENSOR_NAME), tensor.integer(DATA_TYPE)
            need(label not in self.values and label not in self.unread, "two tensors of a name")
            try:
                self.files.open(tensor)
                if kind not in STORED_KINDS:
                    self.unread[label] = kind
                    continue
                self.values[label] = stored_tensor(self.graph, tensor, self.files)
            except Bad as error:
                raise Bad(f"tensor '{label[:40]}': {error}") from None

    def declare(self, declared: list[Declaration]) -> None:
        """Make a node for each input, in order; a declared tensor that is stored is a constant."""
        need(len({one.name for one in declared}) == len(declared), "two inputs of a name")
        for one in declared:
            need(one.name not in self.unread, f"unsupported stored input '{one.name[:40]}'")
            if one.name in self.values:
                one.check(self.values[one.name], with_shape=True)
        for one in declared:
            if one.name not in self.values:
                shape = one.input_shape()
                node = self.graph.input(one.name, math.prod(shape))
                made = of_node(self.graph, shape, node)
                if one.kind in INTEGERS:
                    _, least, greatest = ELEMENT_TYPES[one.kind]
                    made.hold_whole(int(least), int(greatest))
                self.values[one.name] = made.typed(one.kind)
                self.inputs[one.name] = node

    def make(self, nodes: list[Message]) -> None:
        """Note what computes each tensor; an output without a name is not wanted by anybody."""
        for node in nodes:
            for label in filter(None, node.texts(OUTPUT)):
                need(not any(label in known for known in (self.values, self.unread, self.makers)),
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
        need(label not in self.unread, f"tensor '{label[:40]}': unsupported tensor of "
             f"{typed_name(self.unread.get(label, 0))}")
        need(label in self.makers, f"tensor '{label[:40]}' is not computed")
        node = self.makers.pop(label)
        return Pending(label, node, reversed(node.texts(INPUT)))

    def lower(self, pending: Pending) -> None:
        """The values of an operator's outputs; a refusal names the operator."""
        label, node, _ = pending
        name, domain = node.text(OPERATOR), standard(node.text(DOMAIN))
        place = f" for '{label[:40]}'"
        given = node.texts(INPUT)
        smooth = name in MAKERS or any(one in self.heads for one in given)
        rules, head_rules = BY_DOMAIN.get(domain, {}), HEADS_BY_DOMAIN.get(domain, {})
        need(name in (head_rules if smooth else rules) and not node.text(OVERLOAD),
             f"unsupported {why_not(name)}{place}{' of what is smooth' * smooth}")
        need(domain in self.opsets, f"no operator set of {name[:40]}{place}")
        opset = self.opsets[domain]
        try:
            if smooth:
                self.compute_head(head_rules[name], node, given, opset)
            else:
                inputs = [self.values[one] if one else None for one in given]
                self.compute(rules[name], node, inputs, opset)
        except Bad as error:
            raise Bad(f"{name}{place}: {error}") from None
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
            # Whatever no rule has named: a length, a shape, a number that does not fit.
            raise Bad(f"{name}{place}: its inputs do not fit ({error!r:.80})") from None
        need(self.is_known(label), f"unsupported further output of {name}{place}")

    def compute(
        self, operator: Operator, node: Message, inputs: Sequence[SymbolicTensor | None],
        opset: int,
    ) -> None:
        """Apply the rule of an operator, and keep its results with their element types.

        Numbers that grow without end, as constants do that are squared over and over, are refused
        before they take all time and memory. Products with weights are but as long as those.
        """
        rule, signature = operator
        call = OperatorCall(self.graph, node, inputs, opset, signature)
        found = rule(call)
        results: Sequence[Result] = found if isinstance(found, list) else [found]
        for label, made in zip(node.texts(OUTPUT), results):
            if isinstance(made, HeadTensor):
                self.heads[label] = made._replace(logits=call.finished(made.logits))
            elif made is not None:  # else a label, which no claim reads
                long = node.text(OPERATOR) in LONG_PRODUCTS and not made.fixed
                need(long or not made.has_longer_numbers(MAX_BITS), "too many digits")
                self.values[label] = call.finished(made)
        call.attributes.finish()

    def compute_head(
        self, operator: HeadOperator, node: Message, given: Sequence[str], opset: int
    ) -> None:
        """Apply the rule of an operator that makes or reads a smooth tensor.

        Sound: such a tensor is in `heads` alone, so no rule but those of `heads.py` can take its
        logits for its elements. Whatever they do not know is refused.
        """
        rule, signature = operator
        heads = [self.heads.get(one) for one in given]
        inputs = [head.logits if head else self.values[one] if one else None
                  for head, one in zip(heads, given, strict=True)]
        call = OperatorCall(self.graph, node, inputs, opset, signature)
        made = rule(call, heads)
        call.attributes.finish()
        self.heads[node.texts(OUTPUT)[0]] = made


def operator_sets(model: Message) -> dict[str, int]:
    """The versions of the operators that the file is written in, by domain.

    Sound: of two versions of one domain some readers take the first and some the last: refused. The
    same version twice is no question.
    """
    versions = dict[str, int]()
    for imported in model.messages(OPERATOR_SETS):
        domain, version = standard(imported.text(SET_DOMAIN)), imported.integer(SET_VERSION)
        need(versions.setdefault(domain, version) == version, "an operator set in two versions")
    opset = versions.get("", 0)
    need(FIRST_OPSET <= opset <= LAST_OPSET, f"unsupported opset {opset}")
    need(FIRST_ML <= versions.get(ML_DOMAIN, 1) <= LAST_ML, "unsupported opset of ai.onnx.ml")
    return versions


def standard(domain: str) -> str:
    """A domain by its one name: that of the standard's own operators, which has two, is empty."""
    return "" if domain in STANDARD else domain
