"""An ONNX file as a graph."""

from __future__ import annotations

import math
from typing import Any

from ..failures import MAX_BITS, MAX_SIZE, Bad, need
from ..graph.element_types import LETTERS, typed_name
from ..graph.forms import digits
from ..graph.network_graph import NetworkGraph
from ..graph.symbolic import SymbolicTensor
from .operator_call import OperatorCall
from .operators.rules import RULES
from .protobuf import Message, message, one, text
from .stored import tensor


class Outputs(dict[str, SymbolicTensor]):
    """The outputs of floats by name: no claim reads any other."""

    def __missing__(self, key: str) -> SymbolicTensor:
        raise Bad(f"no output {key!r:.40} of floats")


def declared_type(v: Message) -> tuple[int, list[int] | None]:
    """Element type (0: none given) and dimensions of a ValueInfoProto; those below 0 are open."""
    about = message(one(v, 2, b""))
    need(about.keys() <= {1, 6}, f"'{text(v, 1)[:40]}' is no tensor")
    kind = message(one(about, 1, b""))
    shape = [one(d, 1, -1) for d in map(message, message(one(kind, 2, b"")).get(1, ()))]
    return one(kind, 1, 0), shape if 2 in kind else None


class Network:
    """An ONNX file lowered into a graph, every operator after what it needs."""

    def __init__(self, data: bytes) -> None:
        model = message(data)
        body, self.graph = message(one(model, 7, b"")), NetworkGraph()
        need(3 <= one(model, 1, 0) <= 14, f"unsupported IR version {one(model, 1, 0)}")
        need(15 not in body and not model.keys() & {20, 25, 26},
             "unsupported sparse tensors, training information, functions or configurations")
        imports = [(text(m, 1).removesuffix("ai.onnx"), one(m, 2, 0))
                   for m in map(message, model.get(8, ()))]
        need(len(dict(imports)) == len(imports), "an operator set twice")
        self.opset = dict(imports).get("", 0)
        need(7 <= self.opset <= 23, f"unsupported opset {self.opset}")
        stored, declared = ([message(m) for m in body.get(k, ())] for k in (5, 11))
        self.values = {text(t, 8): self.stored(t) for t in stored}
        free = [v for v in declared if text(v, 1) not in self.values]
        for v in declared:
            self.agree(v)
        self.inputs = {text(v, 1): self.input(text(v, 1), v) for v in free}
        made = [(k.decode(), n) for n in map(message, body.get(1, ())) for k in n.get(2, ()) if k]
        self.maker = dict(made)
        need(len({text(v, 1) for v in declared}) == len(declared), "two inputs of a name")
        need(len(self.values | self.maker) == len(stored + free + made), "two tensors of a name")
        found = {text(v, 1): self.value(text(v, 1)) for v in map(message, body.get(12, ()))}
        need(len(found) == len(body.get(12, ())), "two outputs of a name")
        for v in map(message, body.get(12, ())):
            self.agree(v, known=False)
        self.outputs = Outputs((k, t) for k, t in found.items() if t.kind in LETTERS["R"])
        self.left_out = sorted(found.keys() - self.outputs.keys())

    def stored(self, t: Message) -> SymbolicTensor:
        try:
            return tensor(self.graph, t)
        except Bad as error:
            raise Bad(f"tensor '{text(t, 8)[:40]}': {error}") from None

    def agree(self, v: Message, known: bool = True) -> None:
        """What is declared of a tensor is so; the shape of an output is but a hint."""
        (kind, shape), label = declared_type(v), text(v, 1)
        t = self.values.get(label)
        need(t is None or kind == t.kind or not (kind or known),
             f"'{label[:40]}' is declared as {typed_name(kind)}")
        need(t is None or not known or shape is None or (
            len(shape) == len(t.shape) and all(d < 1 or d == n for d, n in zip(shape, t.shape))),
            f"'{label[:40]}' is declared with another shape")

    def input(self, label: str, v: Message) -> int:
        kind, dims = declared_type(v)
        need(kind in LETTERS["R"], f"unsupported {typed_name(kind)} as input '{label[:40]}'")
        shape = list(dims or ())
        shape[:1] = [d if d >= 0 else 1 for d in shape[:1]]  # any batch is a batch of one
        need(dims is not None and min(shape, default=1) > 0 and math.prod(shape) <= MAX_SIZE,
             f"a wrong shape of input '{label[:40]}'")
        n = self.graph.input(label, math.prod(shape))
        self.values[label] = SymbolicTensor(self.graph, shape, self.graph.refs(n), kind)
        return n

    def value(self, label: str) -> SymbolicTensor:
        """Depth first: of several inputs that are missing, the last is built first."""
        if label not in self.values:
            need(label in self.maker, f"tensor '{label[:40]}' is not computed")
            node = self.maker.pop(label)
            labels = [v.decode() for v in node.get(1, ())]
            inputs = [self.value(v) if v else None for v in reversed(labels)]
            op, domain, what = text(node, 4), text(node, 7), f" for '{label[:40]}'"
            need(op in RULES and domain in ("", "ai.onnx") and not text(node, 8),
                 f"unsupported operator {op[:40]}{what}")
            try:
                self.lower(node, inputs[::-1])
            except Bad as error:
                raise Bad(f"{op}{what}: {error}") from None
            except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
                # Whatever no rule has named: a length, a shape, a number that does not fit.
                raise Bad(f"{op}{what}: its inputs do not fit ({error!r:.80})") from None
            need(label in self.values, f"unsupported further output of {op}{what}")
        return self.values[label]

    def lower(self, node: Message, inputs: list[Any]) -> None:
        """The values of a node's outputs."""
        call = OperatorCall(self.graph, node, inputs, self.opset)
        found = RULES[call.op](call)
        for k, t in zip(node[2], found if call.op == "Split" else [found]):
            short = call.op in ("MatMul", "Gemm", "Conv") and not t.fixed  # products of floats
            need(short or max(map(digits, t.items), default=0) <= MAX_BITS, "too many digits")
            self.values[k.decode()] = call.finished(t)
        need(not call.attributes, f"unsupported {', '.join(call.attributes)[:80]}")
