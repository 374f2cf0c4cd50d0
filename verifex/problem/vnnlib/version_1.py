"""VNN-LIB 1.0: queries about one network, read in exact numbers (`.vnnlib`, `.vnnlib.gz`).

A query declares X_0, X_1, ... (the flat inputs) and Y_0, Y_1, ... (the flat outputs) and asserts
what a counterexample satisfies. It reads what the checker reads, and products of
inputs and outputs.

The text is that of SMT-LIB 2.6, section 3.1: blanks are space, tab, LF and CR, and a comment ends
at LF or CR. Beyond it numbers may have a minus sign and an exponent, as files have them. Quoted
symbols, strings, control characters and anything but ASCII outside of comments are refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, TypeAlias

from verifex.errors import InputError, UnsupportedError
from verifex.ir.formula import And, Atom, Cell, Formula, Or
from verifex.ir.graph import Builder, Graph
from verifex.ir.problem import Problem
from verifex.problem.vnnlib.polynomial import Forms, Poly, constant, product, total, variable
from verifex.problem.vnnlib.query import build, miscounted, trace

Expression: TypeAlias = "str | list[Any]"
"""A token, or a list: the position of its bracket in the text, then its parts."""

MAX_DEPTH = 99
_TOKEN = re.compile(r";[^\r\n]*|[()]|[^ \t\r\n();]+")
# Printable ASCII but for quotes and bars, blanks, and comments.
_LEGAL = re.compile(r"(?:[ \t\r\n!#-:<-{}~]+|;[^\r\n]*)*+")
_CONTROL = re.compile("[^\t\n\r\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\U0010ffff]")
_NUMBER = re.compile(r"-?(?:0|[1-9]\d*)(?:\.\d*)?(?:[eE][+-]?0*\d{1,3})?", re.ASCII)
_VARIABLE = re.compile(r"([XY])_(0|[1-9]\d{0,8})", re.ASCII)
_MAX_DIGITS = 1000
_DECLARE = {"declare-const": 4, "declare-fun": 5}  # with the parts of (declare-fun X_0 () Real)
_LINE = re.compile(r"\r\n|\r|\n")
COMPARISONS = ("<=", ">=", "<", ">", "=")


@dataclass(frozen=True)
class QueryText:
    """The text of a query and where it came from, for messages."""

    text: str
    file: str

    def error(self, place: int, what: str, expected: str = "", unsupported: bool = False
              ) -> InputError:
        """An error at a position of the text."""
        line = str(len(_LINE.findall(self.text, 0, place)) + 1)
        kind = UnsupportedError if unsupported else InputError
        return kind(what, expected=expected, key=line, file=self.file)


def parse_query(text: str, graph: Graph, file: str = "query", title: str = "") -> Problem:
    """The problem that the text of a query states about a network.

    `file` is for messages, and the problem's name where there is no title. Raises InputError
    (`FILE:LINE: ...`) for what is wrong, UnsupportedError for what is not supported.
    """
    source = QueryText(text, file)
    commands = _commands(source)
    reader = _QueryReader(source, graph, _declared(source, commands))
    parts = [reader.assertion(e) for e in commands if e[1] == "assert"]
    names = [f"X_{i}" for i in range(graph.input_size)]
    try:
        return build(
            reader.builder.build(graph.outputs), _every(parts), names, title or file, graph.notes
        )
    except InputError as error:
        raise error.at(file=file) from None


def _every(parts: list[Formula]) -> Formula:
    return parts[0] if len(parts) == 1 else And(tuple(parts))


def tokens(text: str) -> Iterator[str]:
    """The brackets and words of a text; comments are left out."""
    return (token for token in _TOKEN.findall(text) if token[0] != ";")


def _require_legal(source: QueryText) -> None:
    """Raise for characters that no query has: others may take them for quotes or line ends."""
    control = _CONTROL.search(source.text)
    if control is not None:
        raise source.error(control.start(), f"the control character {control[0]!r}", "text")
    legal = _LEGAL.match(source.text)
    end = legal.end() if legal is not None else 0
    if end < len(source.text):
        raise source.error(end, f"the character {source.text[end]!r}",
                           "ASCII without quotes and bars outside of comments")


def _commands(source: QueryText) -> list[list[Any]]:
    """The brackets of the text, nested; each begins with its position."""
    _require_legal(source)
    stack: list[list[Any]] = [[0]]
    for match in _TOKEN.finditer(source.text):
        start, token = match.start(), match[0]
        if token == "(":
            if len(stack) > MAX_DEPTH:
                raise source.error(start, "nested too deeply", f"at most {MAX_DEPTH}")
            stack.append([start])
        elif token == ")":
            done = stack.pop()
            if not stack:
                raise source.error(start, "a bracket too many", "'(' for every ')'")
            stack[-1].append(done)
        elif token[0] != ";":
            if len(stack) == 1:
                raise source.error(start, f"{token[:40]!r}", "a command in brackets")
            stack[-1].append(token)
    if len(stack) > 1:
        raise source.error(stack[-1][0], "the bracket is never closed", "')'")
    for command in stack[0][1:]:
        word = command[1] if len(command) > 1 else ""
        if word not in ("assert", *_DECLARE):
            shown = word if isinstance(word, str) else "("
            raise source.error(command[0], f"command {shown[:40]!r}",
                               f"{', '.join(_DECLARE)} or assert", unsupported=True)
    return stack[0][1:]


def _declared(source: QueryText, commands: list[list[Any]]) -> dict[str, int]:
    """The declared variables, with the positions of their declarations."""
    found: dict[str, int] = {}
    for e in commands:
        if e[1] not in _DECLARE:
            continue
        arguments = [p for p in e[3:-1] if isinstance(p, list) and len(p) == 1]
        shaped = len(e) == _DECLARE[e[1]] and len(arguments) == len(e) - 4
        if not shaped or isinstance(e[2], list) or e[-1] != "Real":
            raise source.error(e[0], "a declaration that is none", "(declare-const NAME Real)")
        if _VARIABLE.fullmatch(e[2]) is None:
            raise source.error(e[0], f"variable {e[2]!r:.40}", "X_0, X_1, ... or Y_0, Y_1, ...",
                               unsupported=True)
        if e[2] in found:
            raise source.error(e[0], f"'{e[2]}' is declared twice", "distinct variables")
        found[e[2]] = e[0]
    return found


class _QueryReader:
    """Expressions of one query, as formulas over a graph."""

    def __init__(self, source: QueryText, graph: Graph, declared: dict[str, int]) -> None:
        self.source = source
        self.builder = Builder(graph)
        self.forms = Forms(self.builder)
        self.places = declared
        self.cells = self._cells(graph, declared)

    def _cells(self, graph: Graph, declared: dict[str, int]) -> dict[str, Cell]:
        """The element of the graph that each declared variable stands for."""
        known: dict[str, list[Cell]] = {
            "X": [(n, k) for n in graph.inputs for k in range(graph.nodes[n].size)],
            "Y": [(n, k) for n in graph.outputs.values() for k in range(graph.nodes[n].size)],
        }
        names = {"X": "inputs", "Y": "outputs"}
        counts = {side: sum(name[0] == side for name in declared) for side in known}
        out = {}
        for name, place in declared.items():
            side, at = name[0], int(name[2:])
            size = len(known[side])
            if at >= size:
                said = miscounted(size, names[side], max(counts[side], at + 1))
                raise self.source.error(place, said.what, f"at most {side}_{size - 1}")
            # An output that is a copy of an input is that input: what is said of it bounds the box.
            out[name] = trace(graph, known[side][at])
        if counts["X"] < len(known["X"]):  # an input that is not declared has no bounds
            raise miscounted(len(known["X"]), names["X"], counts["X"]).at(file=self.source.file)
        return out

    def assertion(self, expression: list[Any]) -> Formula:
        """The formula of a whole assertion."""
        if len(expression) != 3:
            raise self.source.error(
                expression[0], f"an assertion of {len(expression) - 2} parts", "one"
            )
        return self.formula(expression[2], expression)

    def formula(self, expression: Expression, around: list[Any]) -> Formula:
        """The formula of a part of an assertion; `around` is the bracket it stands in."""
        if isinstance(expression, str) or len(expression) < 2 or not isinstance(expression[1], str):
            shown = (
                repr(expression[:40])
                if isinstance(expression, str)
                else "an expression without a head"
            )
            raise self.source.error(around[0], shown, "a comparison, (and ...) or (or ...)")
        head = expression[1]
        if head in ("and", "or"):
            if len(expression) == 2:
                raise self.source.error(expression[0], f"'{head}' of nothing", f"({head} PART ...)")
            parts = tuple(self.formula(p, expression) for p in expression[2:])
            return And(parts) if head == "and" else Or(parts)
        if head not in COMPARISONS:
            raise self.source.error(expression[0], f"'{head[:40]}' is not supported",
                                    f"and, or, {', '.join(COMPARISONS)}", unsupported=True)
        if len(expression) != 4:
            raise self.source.error(
                expression[0], f"'{head}' of {len(expression) - 2} terms", "two"
            )
        return self._comparison(
            head, self.term(expression[2], expression), self.term(expression[3], expression)
        )

    def _comparison(self, head: str, left: Poly, right: Poly) -> Formula:
        up = total(((right, 1), (left, -1)))
        if head in ("<=", "<"):
            return self.forms.atom(up, head == "<")
        # Atoms only know `form >= 0`; an equation is two of them.
        down = {m: -c for m, c in up.items()}
        if head in (">=", ">"):
            return self.forms.atom(down, head == ">")
        return And((Atom(self.forms.form(up)), Atom(self.forms.form(down))))

    def term(self, expression: Expression, around: list[Any]) -> Poly:
        """The polynomial of a term."""
        if isinstance(expression, str):
            return self._leaf(expression, around)
        if len(expression) < 3 or expression[1] not in ("+", "-", "*"):
            what = f"term {expression[1]!r:.40}" if len(expression) > 1 else "an empty term"
            raise self.source.error(
                expression[0], what, "(+ ...), (- ...) or (* ...)", unsupported=True
            )
        parts = [self.term(p, expression) for p in expression[2:]]
        try:
            return _combine(str(expression[1]), parts)
        except InputError as error:
            raise self.source.error(
                expression[0], error.what, error.expected, unsupported=True
            ) from None

    def _leaf(self, token: str, around: list[Any]) -> Poly:
        cell = self.cells.get(token)
        if cell is not None and self.places[token] < around[0]:
            return variable(cell)
        if _NUMBER.fullmatch(token) is not None and len(token) <= _MAX_DIGITS:
            return constant(Fraction(token))
        if _VARIABLE.fullmatch(token) is not None:
            raise self.source.error(around[0], f"'{token}' is not declared before it is used",
                                    "a declared variable")
        raise self.source.error(around[0], f"{token[:40]!r}",
                                "a number or a variable, as 1, -0.5, 1e-3 or X_0")


def _combine(head: str, parts: list[Poly]) -> Poly:
    """The value of `(head part ...)`; `(- a)` is a negation, `(- a b c)` is a - b - c."""
    if head == "*":
        out = parts[0]
        for p in parts[1:]:
            out = product(out, p)
        return out
    if head == "-" and len(parts) == 1:
        return total([(parts[0], -1)])
    return total((p, -1 if head == "-" and k else 1) for k, p in enumerate(parts))
