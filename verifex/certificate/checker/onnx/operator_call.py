"""One operator with its inputs and attributes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import zip_longest
from typing import Any

from ..failures import need
from ..graph.element_types import LETTERS, typed_name
from ..graph.network_graph import NetworkGraph
from ..graph.symbolic import SymbolicTensor
from .protobuf import Message, integers, message, one, packed_reals, reals, text
from .signatures import SIGNATURES, existing


class OperatorCall:
    """One operator: its inputs x, None where left out; attributes are removed as they are read."""

    def __init__(
        self, graph: NetworkGraph, node: Message, inputs: list[Any], opset: int = 23
    ) -> None:
        self.graph, self.inputs, self.outputs = graph, inputs, len(node[2])
        self.x: list[SymbolicTensor] = inputs + list[Any]([None] * 5)
        self.op, self.opset = text(node, 4), opset
        takes, self.result, has = SIGNATURES[self.op]
        self.typecheck(existing(takes, opset))
        kinds = dict(word.split(":") for word in existing(has, opset))
        self.attributes = dict[str, Any]()
        for a in map(message, node.get(5, ())):
            key, kind = text(a, 1), one(a, 20, 0)
            need(key in kinds, f"unsupported attribute '{key[:40]}' at opset {opset}")
            need(kind == "?fist??I".find(kinds[key]) and 21 not in a, f"a wrong type of '{key}'")
            need(key not in self.attributes, f"attribute '{key}' twice")
            self.attributes[key] = ATTRIBUTES[kind](a)

    def typecheck(self, takes: list[str]) -> None:
        """Number and element types of the inputs are those that the standard allows."""
        if takes and takes[0][-1] == "+":
            takes = takes * max(1, len(self.inputs))
        need(len(self.inputs) <= len(takes), f"{len(self.inputs)} inputs")
        kinds = dict[str, int]()
        for k, (t, word) in enumerate(zip_longest(self.inputs, takes)):
            need(t or word[-1] == "?", f"input {k + 1} is missing")
            if t:
                name = typed_name(t.kind)
                need(t.kind in LETTERS[word[0]], f"unsupported {name} as input {k + 1}")
                need(kinds.setdefault(word[0], t.kind) == t.kind, "inputs of different types")

    def finished(self, t: SymbolicTensor) -> SymbolicTensor:
        """A result with its element type."""
        kind = {"=": self.x[0].kind if self.inputs else 0, "B": 9, "L": 7}.get(
            self.result.strip(), t.kind)
        derived = "N" in SIGNATURES[self.op][0] or any(x.derived for x in self.inputs if x)
        return t.typed(kind, kind in (6, 7) and derived)

    def attr(self, key: str, default: Any = None) -> Any:
        return self.attributes.pop(key, default)

    def flag(self, key: str, default: int = 0) -> int:
        found = int(self.attr(key, default))
        need(found in (0, 1), f"'{key}' is {found}")
        return found

    def ints(self, key: str, k: int, default: Any = None) -> Any:
        """Integers that are an attribute or, in later operator sets, the constant input k."""
        return self.x[k].ints() if self.x[k] else self.attr(key, default)

    def axes(self, given: Iterable[int], rank: int = -1) -> list[int]:
        rank = len(self.x[0].shape) if rank < 0 else rank
        out = [a + rank if a < 0 else a for a in given]
        need(all(0 <= a < rank for a in out) and len(set(out)) == len(out), "wrong axes")
        return out


ATTRIBUTES: dict[int, Callable[[Message], Any]] = {
    1: lambda a: reals(packed_reals([one(a, 2, (bytes(4),))], 4))[0], 2: lambda a: one(a, 3, 0),
    3: lambda a: text(a, 4), 4: lambda a: message(one(a, 5, b"")),
    6: lambda a: reals(packed_reals(a.get(7, ()), 4)), 7: lambda a: integers(a.get(8, ())),
}
