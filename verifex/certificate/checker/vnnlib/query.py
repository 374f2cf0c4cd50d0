"""A VNN-LIB 1.0 query as a claim: that no input satisfies all of its assertions.

The query itself is what would violate the claim. Its region is the smallest box that contains what
the assertions say about single inputs; the assertions stay part of the violation, so nothing
depends on how much of them the box says already.
"""

from __future__ import annotations

import re

from ..failures import Bad, at, need
from ..graph.forms import Form, total
from ..onnx.network import Network
from ..spec.claim import Claim, flat_inputs_of
from ..spec.formulas import AtLeastOf, ClaimAtom, Formula, all_of, hull, input_positions
from ..spec.region import ClaimRegion, check_whole
from ..spec.toml_values import MAX_CHARACTERS, exact
from .text import Expression, QueryCommand, commands

# Beyond SMT-LIB's decimals: a minus sign, an exponent, a point at the end, as files have them.
REAL = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]*)?(?:[eE][+-]?0*[0-9]{1,3})?")
DECLARATIONS: dict[str, list[Expression]] = {
    "declare-const": ["Real"], "declare-fun": [[], "Real"],
}
COMPARISONS = {"<=": (1,), "<": (1,), ">=": (-1,), ">": (-1,), "=": (1, -1)}
"""The signs of (right - left) that are to be at least 0; above 0 for `<` and `>`."""


def read_query(source: str, network: Network) -> Claim:
    """The claim of a VNN-LIB 1.0 text."""
    need(not network.left_out,
         f"Y counts all outputs, and {network.left_out!r:.60} are no floats")
    need(not network.smooth_outputs,
         f"unsupported: smooth outputs {list(network.smooth_outputs)!r:.60}")
    flat_inputs = flat_inputs_of(network)
    reader = QueryReader(variables(flat_inputs, network))
    for command in commands(source):
        with at(f"line {command.line}"):
            reader.take(command)
    asserted = all_of(reader.assertions)
    assumed: Formula = AtLeastOf(0, ())  # nothing: a query has no `assume`
    region = box_of(asserted, flat_inputs)
    check_whole(region, network.graph)
    return Claim(network.graph, flat_inputs, region, (), assumed, asserted, {})


def variables(flat_inputs: list[Form], network: Network) -> dict[str, Form]:
    """X_0, X_1, ... over all inputs end to end, Y_0, Y_1, ... over all outputs."""
    outputs = [form for tensor in network.outputs.values() for form in tensor.solid().items]
    return {f"{letter}_{number}": form for letter, forms in (("X", flat_inputs), ("Y", outputs))
            for number, form in enumerate(forms)}


def box_of(asserted: Formula, flat_inputs: list[Form]) -> ClaimRegion:
    """The box that the assertions imply; every input needs both of its ends."""
    implied = hull(asserted, input_positions(flat_inputs))
    need(len(implied) == 2 * len(flat_inputs), "an input is unbounded")
    low = [implied[position, 1] for position in range(len(flat_inputs))]
    high = [-implied[position, -1] for position in range(len(flat_inputs))]
    return ClaimRegion(low, high, [], [], frozenset(), [])


class QueryReader:
    """Takes commands one after the other; a variable may be used once it is declared."""

    def __init__(self, known: dict[str, Form]) -> None:
        self.known = known
        self.declared: dict[str, Form] = {}
        self.assertions: list[Formula] = []

    def take(self, command: QueryCommand) -> None:
        kind, *rest = command.parts
        if kind == "assert":
            need(len(rest) == 1, "an assertion of several parts")
            self.assertions.append(self.assertion(rest[0]))
        elif isinstance(kind, str) and kind in DECLARATIONS:
            self.declare(rest, DECLARATIONS[kind])
        else:
            raise Bad(f"command {kind!r:.40}")

    def declare(self, parts: list[Expression], sort: list[Expression]) -> None:
        """A variable of sort Real, which exists and is not declared yet."""
        label = parts[0] if parts else ""
        if not isinstance(label, str) or parts[1:] != sort:
            raise Bad(f"a wrong declaration: {label!r:.40}")
        need(label in self.known and label not in self.declared,
             f"a wrong declaration: {label!r:.40}")
        self.declared[label] = self.known[label]

    def assertion(self, expression: Expression) -> Formula:
        """`and` and `or` of comparisons; nothing is expanded."""
        if isinstance(expression, str) or not expression:
            raise Bad(f"{expression!r:.40} is no formula")
        head, *parts = expression
        if head in ("and", "or"):
            need(parts, "a formula of nothing")
            found = tuple(self.assertion(part) for part in parts)
            return AtLeastOf(len(found) if head == "and" else 1, found)
        if not isinstance(head, str) or head not in COMPARISONS:
            raise Bad(f"{head!r:.40} is no comparison")
        need(len(parts) == 2, f"{head!r} of {len(parts)}")
        left, right = map(self.term, parts)
        return all_of(ClaimAtom(total([(right, sign), (left, -sign)]), head in ("<", ">"))
                      for sign in COMPARISONS[head])

    def term(self, expression: Expression) -> Form:
        """A number, a declared variable, or a sum, difference or product of terms."""
        if isinstance(expression, str):
            if expression in self.declared:
                return self.declared[expression]
            need(REAL.fullmatch(expression) and len(expression) <= MAX_CHARACTERS,
                 f"{expression!r:.40} is no number, and no variable declared before")
            return {}, exact(expression)
        need(len(expression) > 1 and expression[0] in ("+", "-", "*"),
             f"{expression[:1]!r:.40} is no term")
        parts = [self.term(part) for part in expression[1:]]
        if expression[0] == "*":
            return product(parts)
        if expression[0] == "+":
            return total((part, 1) for part in parts)
        # (- a b c) is a - b - c, and (- a) is -a.
        signs = [1, *[-1] * (len(parts) - 1)] if len(parts) > 1 else [-1]
        return total(zip(parts, signs, strict=True))


def product(factors: list[Form]) -> Form:
    """Of two factors, one of which is a number."""
    need(len(factors) == 2, "a product of not two")
    for number, other in (factors, factors[::-1]):
        if not number[0]:
            return total([(other, number[1])])
    raise Bad("a product of variables")
