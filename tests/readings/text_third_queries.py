"""Third readers of VNN-LIB: z3 for version 1.0, brackets evaluated as they stand for 2.0."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

import z3

from tests.readings.text_third import Refused, Silent

Truth = Callable[[Sequence[Fraction], Sequence[Fraction]], bool]


def first(text: str) -> Truth:
    """What z3's SMT-LIB parser says of a text; line ends as the standard has them.

    z3 (4 and 5) ends comments at LF only, where SMT-LIB 2.6 says LF or CR.
    """
    if "\0" in text:
        raise Refused("NUL")
    try:
        asserted = list(z3.parse_smt2_string(text.replace("\r", "\n")))
    except z3.Z3Exception:
        raise Silent from None

    def truth(x: Sequence[Fraction], y: Sequence[Fraction]) -> bool:
        values = [
            (z3.Real(f"{side}_{i}"), z3.RealVal(str(v)))
            for side, found in (("X", x), ("Y", y))
            for i, v in enumerate(found)
        ]
        said = [z3.simplify(z3.substitute(a, *values)) for a in asserted]
        if not all(z3.is_true(s) or z3.is_false(s) for s in said):
            raise Silent
        return all(z3.is_true(s) for s in said)

    return truth


def second(text: str) -> Truth:
    """A query of 2.0 about one network with input X and output Y, as brackets."""
    text = re.sub(r";[^\n]*", "", text)
    stack: list[list[Any]] = [[]]
    for token in re.findall(r"[()]|[^\s()]+(?: *\[[^\]]*\])?", re.sub(r"\s*\[\s*", "[", text)):
        if token == "(":
            stack.append([])
        elif token == ")" and len(stack) > 1:
            done = stack.pop()
            stack[-1].append(done)
        else:
            stack[-1].append(token)
    if len(stack) != 1:
        raise Silent
    asserted = [e[1] for e in stack[0] if e and e[0] == "assert"]
    return lambda x, y: all(_holds(e, x, y) for e in asserted)


def _holds(e: Any, x: Sequence[Fraction], y: Sequence[Fraction]) -> bool:
    head = e[0]
    if head in ("and", "or"):
        said = [_holds(p, x, y) for p in e[1:]]
        return all(said) if head == "and" else any(said)
    values = [_value(p, x, y) for p in e[1:]]
    if head not in ("<=", ">=", "<", ">", "==", "!=") or len(values) != 2:
        raise Silent
    a, b = values
    return {"<=": a <= b, ">=": a >= b, "<": a < b, ">": a > b, "==": a == b, "!=": a != b}[head]


def _value(e: Any, x: Sequence[Fraction], y: Sequence[Fraction]) -> Fraction:
    if isinstance(e, str):
        place = re.fullmatch(r"([XY])\[\s*(\d+)\s*\]", e, re.ASCII)
        if place:
            return (x if place[1] == "X" else y)[int(place[2])]
        if re.fullmatch(r"-?\d+(\.\d+)?", e, re.ASCII):
            return Fraction(e)
        raise Silent
    parts = [_value(p, x, y) for p in e[1:]]
    if e[0] == "+":
        return sum(parts, Fraction(0))
    if e[0] == "*":
        out = Fraction(1)
        for p in parts:
            out *= p
        return out
    if e[0] == "-":
        return -parts[0] if len(parts) == 1 else parts[0] - sum(parts[1:])
    raise Silent
