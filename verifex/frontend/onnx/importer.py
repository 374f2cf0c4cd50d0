"""From an ONNX graph to a graph: all of its structure is checked, what outputs need is lowered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from verifex.errors import InputError, UnsupportedError
from verifex.frontend.limits import Limits
from verifex.frontend.onnx.lowering import Lowering
from verifex.frontend.onnx.operators.call import Call, Result, Rule
from verifex.frontend.onnx.operators.heads import final_head
from verifex.frontend.onnx.operators.rules import OPSETS, RULES
from verifex.frontend.onnx.operators.smooth import refusal
from verifex.frontend.onnx.schemas import Schemas
from verifex.frontend.onnx.structure import (
    NoSuchOutput,
    check_name,
    input_shape,
    keyed,
    listed,
    naming,
    node_key,
    operator_sets,
    output_types,
    printable,
    prune,
    standard,
    tensor_type,
)
from verifex.frontend.onnx.tensors import TensorReader
from verifex.frontend.onnx.values import (
    FLOATS,
    INT32,
    INT64,
    INTEGER_RANGES,
    UNDEFINED,
    Constant,
    Tensor,
    Truth,
    Value,
    Whole,
    dtype_name,
    within,
)
from verifex.ir.graph import Graph, GraphError
from verifex.ir.ops import Input


@dataclass
class Importer:
    """One file on its way into a graph; `values` holds what each tensor name became so far.

    `producer` maps names to the nodes that make them, `initial` and `declared` to initialisers and
    inputs, `uses` to how many nodes and outputs read them.
    """

    model: Any
    limits: Limits
    tensors: TensorReader
    values: dict[str, Value] = field(default_factory=dict)
    producer: dict[str, Any] = field(default_factory=dict)
    initial: dict[str, Any] = field(default_factory=dict)
    declared: dict[str, Any] = field(default_factory=dict)
    uses: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.low = Lowering(self.limits)
        self.opsets = operator_sets(self.model, OPSETS)
        self.schemas = Schemas(self.opsets)

    def run(self, outputs: Sequence[str] | None) -> Graph:
        graph = self.model.graph
        self._index(graph)
        self._order(graph)
        self._inputs(graph)
        names = [o.name for o in graph.output] if outputs is None else list(outputs)
        if not names or len(set(names)) != len(names):
            raise InputError("no outputs, or one twice", expected="distinct outputs")
        for n in names:
            if n not in self.producer and n not in self.initial and n not in self.declared:
                raise NoSuchOutput(f"no output '{printable(n)}'", key=printable(n),
                                   expected=listed([o.name for o in graph.output]))
        kinds = {n: kind for n, kind in output_types(graph).items() if n in names}
        # Sound: no claim reads what is left out, so that nothing depends on how it is computed.
        other = {n: kind for n, kind in kinds.items() if kind not in (*FLOATS, UNDEFINED)}
        self._leave_out(other, names, outputs is None)
        names = [n for n in names if n not in other]
        for n in names:
            self.uses[n] = self.uses.get(n, 0) + 1
        found = {n: self._output(n, names) for n in names}
        for o in graph.output:
            if o.name in self.values:
                self._check_declared(o)
        # What a file does not declare, or leaves open, is known by now.
        other = {n: kind for n in names if (kind := self.values[n].dtype) not in FLOATS}
        self._leave_out(other, names, outputs is None)
        return prune(self.low.builder, {n: i for n, i in found.items() if n not in other})

    def _leave_out(self, other: Mapping[str, int], names: Sequence[str], may: bool) -> None:
        """Note outputs that are no floats, which no claim can read; UnsupportedError where one was
        asked for by name, or where there is no other."""
        if other and (not may or len(other) == len(names)):
            name, kind = next(iter(other.items()))
            raise UnsupportedError(
                f"an output of type {dtype_name(kind)}", key=printable(name),
                expected="one of floats (a claim about the predicted class is `class` on the "
                         "output with the scores)")
        for name, kind in other.items():
            self.low.builder.notes.append(
                f"output '{printable(name)}' of type {dtype_name(kind)} is left out: no claim "
                "can read it")

    # --- structure --------------------------------------------------------------------------

    def _index(self, graph: Any) -> None:
        """Note which node makes each name; InputError where two do, or where limits are passed."""
        if len(graph.node) > self.limits.max_nodes:
            raise InputError(f"{len(graph.node)} nodes",
                             expected=f"at most {self.limits.max_nodes}")
        if len(graph.sparse_initializer):
            raise UnsupportedError("sparse initialisers", expected="dense ones", key="graph")
        self.tensors.open_all(graph.initializer)
        for t in graph.initializer:
            check_name(t.name)
            if t.name in self.initial or not t.name:
                raise InputError("an initialiser's name is empty or taken", key=printable(t.name),
                                 expected="distinct names")
            self.initial[t.name] = t
        for v in graph.input:
            check_name(v.name)
            if v.name in self.declared or not v.name:
                raise InputError("an input's name is empty or taken", key=printable(v.name),
                                 expected="distinct names")
            self.declared[v.name] = v
        for k, node in enumerate(graph.node):
            attributes = [a.name for a in node.attribute]
            check_name(node.name, node.op_type, node.domain, *node.input, *node.output,
                        *attributes)
            for n in node.output:
                if n and (n in self.producer or n in self.initial or n in self.declared):
                    raise InputError(f"'{printable(n)}' is made twice", key=node_key(node, k),
                                     expected="distinct names")
                if n:
                    self.producer[n] = k
        check_name(*(o.name for o in graph.output))
        if len({o.name for o in graph.output}) != len(graph.output):
            raise InputError("an output is listed twice", key="graph", expected="distinct outputs")

    def _order(self, graph: Any) -> None:
        """InputError unless every input of a node exists and no node depends on itself."""
        # Kahn's algorithm, over nodes that no output needs as well: a cycle anywhere is a broken
        # file.
        waiting: list[int] = []
        readers: dict[int, list[int]] = {}
        for k, node in enumerate(graph.node):
            makers = set()
            for n in node.input:
                if not n:
                    continue
                if n in self.producer:
                    makers.add(self.producer[n])
                elif n not in self.initial and n not in self.declared:
                    raise InputError(f"input '{printable(n)}' does not exist",
                                     key=node_key(node, k),
                                     expected="an input, an initialiser or a node's output")
                self.uses[n] = self.uses.get(n, 0) + 1
            waiting.append(len(makers))
            for m in makers:
                readers.setdefault(m, []).append(k)
        ready = [k for k, count in enumerate(waiting) if count == 0]
        done = 0
        while ready:
            k = ready.pop()
            done += 1
            for r in readers.get(k, ()):
                waiting[r] -= 1
                if waiting[r] == 0:
                    ready.append(r)
        if done < len(graph.node):
            stuck = next(k for k, count in enumerate(waiting) if count)
            raise InputError("the graph has a cycle", key=node_key(graph.node[stuck], stuck),
                             expected="no cycles")

    def _inputs(self, graph: Any) -> None:
        for v in graph.input:
            if v.name in self.initial:
                self._check_initial(v)
                continue
            try:
                kind, dims = tensor_type(v)
                if kind not in (*FLOATS, INT32, INT64):
                    raise UnsupportedError(
                        f"an input of type {dtype_name(kind)}", expected="numbers (a model that "
                        "encodes texts is to be exported without that step)")
                fixed = input_shape(dims, self.limits)
                node = self.low.add(Input(v.name, fixed))
                if kind in INTEGER_RANGES:
                    self.low.hold_whole(node, *INTEGER_RANGES[kind])
            except InputError as error:
                raise keyed(error, printable(v.name)) from None
            self.low.builder.labels[node] = printable(v.name)
            self.values[v.name] = Tensor(node, fixed, kind)
        for name in self.initial:
            self._initial(name)

    def _check_initial(self, value: Any) -> None:
        """An input that has an initialiser is that constant; the two must agree."""
        kind, dims = tensor_type(value)
        stored = self.initial[value.name]
        wrong = dims is not None and (
            len(dims) != len(stored.dims)
            or any(d is not None and d > 0 and d != s for d, s in zip(dims, stored.dims))
        )
        if kind != stored.data_type or wrong:
            raise InputError("the initialiser does not fit the declared input",
                             key=printable(value.name), expected="the same type and shape")

    def _initial(self, name: str) -> None:
        proto = self.initial[name]
        if self.uses.get(name, 0) == 0 and proto.data_type == 8:
            return  # class names and the like, for nodes that are gone
        try:
            self.values[name] = self.tensors.decode(proto)
        except UnsupportedError:
            return  # only an error for a node that needs it: see `_value`
        except InputError as error:
            raise keyed(error, printable(name)) from None

    # --- lowering ---------------------------------------------------------------------------

    def _output(self, name: str, names: Sequence[str]) -> int:
        try:
            self._require(name)
            head = final_head(self.low, self._value(name))
            if head is not None:
                self.low.builder.heads[name] = head
            return self._as_output(self._value(name))
        except UnsupportedError as error:
            raise self._suggest(error, name, names) from None
        except InputError as error:
            raise keyed(error, printable(name)) from None

    def _suggest(self, error: UnsupportedError, name: str, names: Sequence[str]) -> InputError:
        """Where other outputs may be fine, say how to choose them."""
        error = UnsupportedError(error.what, expected=error.expected,
                                 key=error.key or printable(name), file=error.file)
        what = f"{error.what} (needed for output '{printable(name)}'"
        others = [n for n in names if n != name]
        if others:
            other = printable(others[0])
            what += (f"; a spec chooses another with network_output = \"{other}\", Python with "
                     f"outputs=[\"{other}\"]")
        else:
            what += ("; network_output of a spec, or outputs=[...] in Python, can name any tensor "
                     "before it")
        return UnsupportedError(what + ")", expected=error.expected, key=error.key)

    def _as_output(self, value: Value) -> int:
        low = self.low
        if isinstance(value, Tensor):
            return value.node
        if isinstance(value, Constant):
            return low.const(value.value)
        if isinstance(value, Truth):
            return low.combine([(value.node, -1)], np.ones(())) if value.negated else value.node
        return self._whole_output(value)

    def _whole_output(self, value: Whole) -> int:
        if any(abs(int(n)) > 2**53 for n in value.array.ravel()):
            raise UnsupportedError("an integer output beyond 2^53", expected="smaller numbers")
        return self.low.const(value.array.astype(float))

    def _value(self, name: str) -> Value:
        if name not in self.values:
            if name in self.initial:
                try:
                    return self.tensors.decode(self.initial[name])
                except InputError as error:
                    raise keyed(error, printable(name)) from None
            node = self.model.graph.node[self.producer[name]]
            raise UnsupportedError(
                f"output '{printable(name)}' of {printable(node.op_type)} is not computed",
                key=node_key(node, self.producer[name]), expected="its first outputs only",
            )
        return self.values[name]

    def _require(self, name: str) -> None:
        """Lower every node that `name` depends on, each after the nodes that it reads."""
        # A stack of our own: a chain of a hundred thousand nodes would exceed Python's recursion.
        stack, done = [name], set()
        while stack:
            top = stack[-1]
            k = self.producer.get(top)
            if k is None or k in done or top in self.values:
                stack.pop()
                continue
            node = self.model.graph.node[k]
            missing = [
                n for n in node.input
                if n and n not in self.values and n in self.producer
                and self.producer[n] not in done
            ]
            if missing:
                stack.extend(missing)
                continue
            done.add(k)
            self._lower(node, k)
            stack.pop()

    def _lower(self, node: Any, index: int) -> None:
        key = node_key(node, index)
        try:
            rule = self._rule(node)
            inputs = [self._value(n) if n else None for n in node.input]
            self._store(node, self._apply(node, rule, inputs))
        except GraphError as error:
            raise InputError(f"{printable(node.op_type)}: {error.what} at {error.key}",
                             expected=error.expected, key=key) from None
        except InputError as error:
            raise keyed(naming(error, printable(node.op_type)), key) from None
        except (ValueError, IndexError, OverflowError, ZeroDivisionError) as error:
            # numpy's own refusals of sizes and shapes that no check above has named.
            raise InputError(f"{printable(node.op_type)} does not fit its inputs ({error})",
                             key=key, expected="consistent shapes") from None

    def _rule(self, node: Any) -> Rule:
        domain = standard(node.domain)
        if node.overload:
            raise UnsupportedError(f"an overload of op '{printable(node.op_type)}'",
                                   expected="none")
        if any(f.name == node.op_type and f.domain in (domain, node.domain)
               for f in self.model.functions):
            raise UnsupportedError(f"op '{printable(node.op_type)}' is a function of the model",
                                   expected="a model with functions inlined")
        rule = RULES.get(domain, {}).get(node.op_type)
        if rule is None:
            if domain:
                raise UnsupportedError(
                    f"op '{printable(node.op_type)}' of domain '{printable(domain)}' is not "
                    "supported", expected="a supported op (see `verifex support`)")
            raise refusal(node.op_type, printable(node.op_type))
        if domain not in self.opsets:
            raise InputError(f"domain '{printable(domain)}' is used but not imported",
                             expected="an opset_import of it")
        given = [n for n in node.input if n]
        most = len(node.input) if rule.most is None else rule.most
        if len(given) < rule.least or len(node.input) > most:
            raise InputError(f"{node.op_type} with {len(node.input)} inputs",
                             expected=f"{rule.least} to {rule.most or 'any number'}")
        if rule.least and rule.most is None and len(given) != len(node.input):
            raise InputError(f"{node.op_type} with an input left out", expected="all inputs")
        return rule

    def _apply(
        self, node: Any, rule: Rule, inputs: Sequence[Value | None]
    ) -> list[Value | None]:
        attributes = {a.name: a for a in node.attribute}
        if len(attributes) != len(node.attribute):
            raise InputError(f"{node.op_type} repeats an attribute", expected="each once")
        if any(a.ref_attr_name for a in node.attribute):
            raise InputError(f"{node.op_type} refers to a function's attribute",
                             expected="attribute values")
        domain = standard(node.domain)
        self.schemas.check(node, domain, inputs)
        call = Call(self.low, node.op_type, self.opsets[domain], inputs, attributes,
                    len(node.output), self.tensors.decode_inner)
        results = _results(self.low, call, rule.run(call))
        # An attribute that no rule has read may change the result, so it is refused, not ignored.
        unread = call.unread()
        if unread:
            raise UnsupportedError(f"attribute '{printable(unread[0])}' of {node.op_type}",
                                   expected="attributes known at this opset")
        return results

    def _store(self, node: Any, results: list[Value | None]) -> None:
        for name, value in zip(node.output, results, strict=False):
            if not name or value is None:
                continue
            self.values[name] = value
            if isinstance(value, Tensor | Truth):
                self.low.builder.labels.setdefault(value.node, printable(name))
                # What several nodes read must stay a node, or its work would be done once for each.
                if self.uses.get(name, 0) > 1:
                    self.low.shared.add(value.node)

    def _check_declared(self, output: Any) -> None:
        """The declared type of an output must be right; a wrong shape is noted (it is a hint)."""
        if not output.type.HasField("tensor_type"):
            return
        kind, dims = tensor_type(output)
        value = self.values[output.name]
        if kind not in (value.dtype, 0):
            raise InputError(f"declared as {dtype_name(kind)}", key=printable(output.name),
                             expected=dtype_name(value.dtype))
        if dims is None:
            return
        wrong = len(dims) != len(value.shape) or any(
            d is not None and d > 0 and d != n for d, n in zip(dims, value.shape)
        )
        if wrong:
            text = [d if d and d > 0 else "?" for d in dims]
            self.low.builder.notes.append(
                f"output '{printable(output.name)}' is declared with shape {text} but has shape "
                f"{list(value.shape)}"
            )


def _results(low: Lowering, call: Call, result: Result) -> list[Value | None]:
    if isinstance(result, int):
        result = low.wrap(result, call.dtype)
    if isinstance(result, Constant | Whole | Tensor | Truth):
        result = [result]
    return [within(v) if isinstance(v, Constant) else v for v in result]
