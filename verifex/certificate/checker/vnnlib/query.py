"""VNN-LIB 1.0 queries."""

from __future__ import annotations

import re
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

from ..failures import at, need
from ..graph.forms import Form, total
from ..onnx.network import Network
from ..spec.claim import Claim
from ..spec.decimals import exact
from ..spec.formulas import Formula, every

CONTROL = re.compile("[\0-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
TOKEN = re.compile(r"[()]|[!#-'*-:<-{}~]+|(?:[ \t\r\n]|;[^\r\n]*)++")  # the last: blanks, comments
REAL = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]*)?(?:[eE][+-]?0*[0-9]{1,3})?")


class Query(Claim):
    """A VNN-LIB 1.0 file: the conjunction of its assertions is the broken claim."""

    def __init__(self, source: str, net: Network) -> None:
        self.adopt(net)
        need(not net.left_out, f"Y counts all outputs, and {net.left_out!r:.60} are no floats")
        outputs = [v for t in net.outputs.values() for v in t.solid().items]
        named = [*(("X", v) for v in enumerate(self.flat)), *(("Y", v) for v in enumerate(outputs))]
        known, self.values = {f"{k}_{i}": v for k, (i, v) in named}, dict[str, Form]()
        parts = list[Formula]()
        for line, command in self.commands(source):
            with at(f"line {line}"):
                kind, *rest = command
                need(kind in ("assert", "declare-const", "declare-fun"), f"command {kind!r:.40}")
                if kind == "assert":
                    need(len(rest) == 1, "an assertion of several parts")
                    parts.append(self.assertion(*rest))
                else:
                    form = ["Real"] if kind == "declare-const" else [[], "Real"]
                    label, *rest = rest
                    need(rest == form and label in known.keys() - self.values,
                         f"a wrong declaration: {label!r:.40}")
                    self.values[label] = known[label]
        found = every(parts)
        self.broken, box = [2, [[0, []], found]], self.hull(found)
        refs = [ref for form in self.flat for ref in form[0]]
        need({(ref, s) for ref in refs for s in (1, -1)} <= box.keys(), "an input is unbounded")
        self.lo, self.hi = [box[ref, 1] for ref in refs], [-box[ref, -1] for ref in refs]

    def commands(self, source: str) -> Iterator[tuple[int, list[Any]]]:
        """The commands with the lines that they end on; comments end at LF or CR."""
        stack, place, line = list[list[Any]]([[]]), 0, 1
        for m in TOKEN.finditer(source):
            token, control = m[0], CONTROL.search(m[0])
            need(m.start() == place, f"line {line}: {source[place]!r} is no part of VNN-LIB 1.0")
            place = m.end()
            line += len(re.findall(r"\r\n|\r|\n", token[: control.start() if control else None]))
            need(not control, f"line {line}: a control character")
            if token == "(":
                need(len(stack) < 100, f"line {line}: nested too deeply")
                stack.append([])
            elif token == ")":
                need(len(stack) > 1, f"line {line}: a bracket too many")
                stack[-2].append(stack.pop())
                if len(stack) == 1:
                    need(stack[0][0], f"line {line}: an empty command")
                    yield line, stack[0].pop()
            elif token[0] not in "; \t\r\n":
                need(len(stack) > 1, f"line {line}: {token!r:.40} outside of brackets")
                stack[-1].append(token)
        need(place == len(source), f"line {line}: {source[place:][:1]!r} is no part of VNN-LIB 1.0")
        need(len(stack) == 1, f"line {line}: a bracket is never closed")

    def term(self, e: Any) -> Form:
        if isinstance(e, str):
            need(e in self.values or (REAL.fullmatch(e) and len(e) <= 1000),
                 f"{e!r:.40} is no number, and no variable declared before")
            return self.values[e] if e in self.values else ({}, exact(e))
        need(len(e) > 1 and e[0] in ("+", "-", "*"), f"{e[:1]!r:.40} is no term")
        parts = [self.term(p) for p in e[1:]]
        if e[0] == "*":
            need(len(parts) == 2, "a product of not two")
            a, b = sorted(parts, key=lambda p: len(p[0]))
            need(not a[0], "a product of variables")
            return total([(b, a[1])])
        signs = [1] * len(parts) if e[0] == "+" else [1] * (len(parts) > 1) + [-1] * len(parts)
        return total(zip(parts, signs))

    def assertion(self, e: Any) -> Formula:
        need(isinstance(e, list) and e and type(e[0]) is str, f"{e!r:.40} is no formula")
        if e[0] in ("and", "or"):
            need(len(e) > 1, "a formula of nothing")
            return [len(e) - 1 if e[0] == "and" else 1, [self.assertion(p) for p in e[1:]]]
        need(e[0] in ("<=", "<", ">=", ">", "=") and len(e) == 3, f"{e[0]!r:.40} of {len(e) - 1}")
        a, b = map(self.term, e[1:])
        signs = {"<=": [1], "<": [1], ">=": [-1], ">": [-1], "=": [1, -1]}[e[0]]
        return every((total([(b, s), (a, -s)]), e[0] in "<>") for s in signs)

    def hull(self, f: Formula) -> dict[Any, Fraction]:
        """(element, sign) -> b where the formula says that sign * element >= b."""
        if not isinstance(f, list):
            refs, const = f[0]
            return {(r, 1 if c > 0 else -1): Fraction(-const, abs(c)) for r, c in refs.items()
                    if len(refs) == 1}
        parts = [self.hull(p) for p in f[1]]
        if f[0] == len(parts):
            return {k: max(p[k] for p in parts if k in p) for k in set().union(*parts)}
        return {k: min(p[k] for p in parts) for k in set(parts[0]).intersection(*parts[1:])}
