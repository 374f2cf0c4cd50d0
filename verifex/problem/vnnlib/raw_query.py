"""A VNN-LIB query as it is written: its truth at numbers of the file's own variables.

The readers of problems say what is asked of a network in exact arithmetic: they trace an output
that is a copy of an input to that input, and leave out what the box implies. Whoever runs the
network sees other numbers: an output is what came out. So nothing is traced or left out here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from typing import Any, TypeAlias

from verifex.errors import VerifexError
from verifex.problem.vnnlib.read import QueryFile, is_version_2, query_name, read_text
from verifex.problem.vnnlib.stated import Stated
from verifex.problem.vnnlib.version_1 import tokens

Assignment: TypeAlias = Mapping[str, Sequence[Fraction]]
"""The flat numbers of every declared tensor, by the names of `Stated.variables`."""

Test: TypeAlias = Callable[[Assignment], bool]


def raw_query(query: QueryFile, stated: Stated) -> Test:
    """Whether an assignment satisfies a query file, which `stated` was read from without error."""
    text = read_text(query)
    if is_version_2(text):
        return _second(text, query_name(query))
    return _first(text, stated)


def _compared(head: str, left: Fraction, right: Fraction) -> bool:
    match head:
        case "<=" | "LessEqual":
            return left <= right
        case ">=" | "GreaterEqual":
            return left >= right
        case "<" | "LessThan":
            return left < right
        case ">" | "GreaterThan":
            return left > right
        case "=" | "Equal":
            return left == right
        case "!=" | "NotEqual":
            return left != right
    raise VerifexError(f"'{head}' in a query that was read before")


def _product(factors: Sequence[Fraction]) -> Fraction:
    out = Fraction(1)
    for f in factors:
        out *= f
    return out


# --- version 1.0 -------------------------------------------------------------------------------


def _first(text: str, stated: Stated) -> Test:
    """The test of a query of version 1.0: X_i and Y_i count all inputs and all outputs, flat."""
    asserted = [e[1] for e in _nested(text) if e[0] == "assert"]
    sides = {side: [v.name for v in stated.variables if v.kind == kind]
             for side, kind in (("X", "input"), ("Y", "output"))}

    def test(values: Assignment) -> bool:
        flat = {f"{side}_{i}": n for side, names in sides.items()
                for i, n in enumerate(n for name in names for n in values[name])}
        return all(_formula(e, flat) for e in asserted)

    return test


def _nested(text: str) -> list[Any]:
    """The brackets of a text, as lists of tokens and lists."""
    stack: list[list[Any]] = [[]]
    for token in tokens(text):
        if token == "(":
            stack.append([])
        elif token == ")":
            done = stack.pop()
            stack[-1].append(done)
        else:
            stack[-1].append(token)
    return stack[0]


def _formula(expression: list[Any], flat: Mapping[str, Fraction]) -> bool:
    match expression[0]:
        case "and":
            return all(_formula(p, flat) for p in expression[1:])
        case "or":
            return any(_formula(p, flat) for p in expression[1:])
    return _compared(expression[0], _term(expression[1], flat), _term(expression[2], flat))


def _term(expression: str | list[Any], flat: Mapping[str, Fraction]) -> Fraction:
    if isinstance(expression, str):
        # A token is a variable or a number; the query was read before, so it is one of them.
        value = flat.get(expression)
        return Fraction(expression) if value is None else value
    parts = [_term(p, flat) for p in expression[1:]]
    match expression[0]:
        case "*":
            return _product(parts)
        case "-":
            return -parts[0] if len(parts) == 1 else parts[0] - sum(parts[1:])
    return sum(parts, Fraction(0))


# --- version 2.0 -------------------------------------------------------------------------------


def _second(text: str, file: str) -> Test:
    """The test of a query of version 2.0: variables are elements of declared tensors."""
    from verifex.problem.vnnlib.version_2_text import conjuncts, parse

    # The consent to an answer about real numbers was asked for when the query was first read.
    parsed = parse(text, file, as_real=True)
    asserted = list(conjuncts(parsed.assertions))
    tree = _Tree({t.name: t.shape for n in parsed.networks for t in n.tensors})
    return lambda values: all(tree.formula(e, values) for e in asserted)


class _Tree:
    """The package's trees, evaluated; `shapes` are those of the declared tensors."""

    def __init__(self, shapes: Mapping[str, tuple[int, ...]]) -> None:
        self.shapes = shapes

    def formula(self, expression: Any, values: Assignment) -> bool:
        match type(expression).__name__:
            case "And":
                return all(self.formula(p, values) for p in expression.args)
            case "Or":
                return any(self.formula(p, values) for p in expression.args)
            case kind:
                return _compared(
                    kind, self.term(expression.lhs, values), self.term(expression.rhs, values)
                )

    def term(self, expression: Any, values: Assignment) -> Fraction:
        from verifex.problem.vnnlib.version_2 import position

        match type(expression).__name__:
            case "Var":
                return values[expression.name][position(expression, self.shapes[expression.name])]
            case "Negate":
                return -self.term(expression.expr, values)
            case "Plus":
                return sum((self.term(p, values) for p in expression.args), Fraction(0))
            case "Minus":
                return self.term(expression.head, values) - sum(
                    self.term(p, values) for p in expression.rest
                )
            case "Multiply":
                return _product([self.term(p, values) for p in expression.args])
        return Fraction(expression.lexeme)
