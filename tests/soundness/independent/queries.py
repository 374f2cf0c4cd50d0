"""VNN-LIB queries of both versions: drawn as trees, written as text, evaluated exactly."""

from __future__ import annotations

import operator
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import prod
from typing import Any, TypeAlias

from tests.soundness.independent.architectures import Architect, draw_inputs, second
from tests.soundness.independent.claims import Truth
from tests.soundness.independent.drafts import Thresholds
from tests.soundness.independent.network import Network
from tests.soundness.independent.points import Battery
from tests.soundness.independent.program import Program
from tests.soundness.independent.questions import Question, look
from tests.soundness.independent.regions import Region
from tests.soundness.independent.shares import draw
from tests.soundness.independent.toml import cut, decimal
from tests.soundness.independent.world import Explain, Seen, World

Term: TypeAlias = "Fraction | str | tuple[str, list[Any]]"
"""A number, a variable's name, or an operator with its terms."""

Formula: TypeAlias = "tuple[str, list[Any]]"
"""`and` or `or` with parts, or a comparison with two terms."""

Elements = Mapping[str, int]
COMPARE: dict[str, Callable[[Fraction, Fraction], bool]] = {
    "<=": operator.le, ">=": operator.ge, "<": operator.lt, ">": operator.gt, "==": operator.eq,
    "!=": operator.ne,
}


def term_value(term: Term, value: Callable[[str], Fraction]) -> Fraction:
    if isinstance(term, Fraction):
        return term
    if isinstance(term, str):
        return value(term)
    op, parts = term[0], [term_value(t, value) for t in term[1]]
    if op == "*":
        return prod(parts, start=Fraction(1))
    if op == "-":
        return -parts[0] if len(parts) == 1 else parts[0] - sum(parts[1:], Fraction(0))
    return sum(parts, Fraction(0))


def holds(f: Formula, value: Callable[[str], Fraction]) -> bool:
    if f[0] in ("and", "or"):
        found = [holds(p, value) for p in f[1]]
        return all(found) if f[0] == "and" else any(found)
    left, right = (term_value(t, value) for t in f[1])
    return COMPARE[f[0]](left, right)


def gaps(f: Formula, value: Callable[[str], Fraction]) -> Iterator[Fraction]:
    """Left less right of every comparison."""
    if f[0] in ("and", "or"):
        for p in f[1]:
            yield from gaps(p, value)
    else:
        left, right = (term_value(t, value) for t in f[1])
        yield left - right


def written(part: Any, second_version: bool) -> str:
    if isinstance(part, Fraction):
        return decimal(part) or ""
    if isinstance(part, str):
        return part
    head = "=" if part[0] == "==" and not second_version else part[0]
    return f"({head} {' '.join(written(p, second_version) for p in part[1])})"


@dataclass
class Stage:
    """A program, the elements that variables of a query stand for, and a region."""

    program: Program
    elements: dict[str, int]
    xs: list[str]
    ys: list[str]
    battery: Battery
    boxes: list[tuple[list[Fraction], list[Fraction]]]

    def value(self, seen: Seen) -> Callable[[str], Fraction]:
        return lambda name: seen.state.value(self.elements[name])


class Drawer:
    """Draws the assertions of a query."""

    def __init__(self, rng: random.Random, stage: Stage, second_version: bool) -> None:
        self.rng, self.stage, self.second = rng, stage, second_version
        self.thresholds = Thresholds(rng, stage.battery)

    def formula(self) -> Formula:
        parts = [self._comparison() for _ in range(self.rng.choice((1, 1, 1, 2, 3)))]
        if len(parts) == 1:
            return parts[0]
        if len(parts) == 3 and self.rng.random() < 0.5:
            return ("or", [parts[0], ("and", parts[1:])])
        return (self.rng.choice(("and", "or")), parts)

    def _comparison(self) -> Formula:
        rng, stage = self.rng, self.stage
        kind = draw(rng, "query", ("margin",) if len(stage.ys) < 2 else ())
        left = self._term(kind)
        ops = ["<=", ">=", "<=", ">=", "<", ">"]
        op = rng.choice(["==", *(["!="] if self.second else [])] if kind == "equal" else ops)
        key = "at_most" if op in ("<=", "<") else "at_least"

        def measure(seen: Seen) -> Fraction:
            return term_value(left, stage.value(seen))

        # The query asks for a point: `y <= t` is hardest to satisfy near the least y.
        limit = self.thresholds.one(measure, "at_least" if key == "at_most" else "at_most")
        limit = limit if _fits(limit) else cut(limit, 45)
        return self._arranged(op, left, limit)

    def _arranged(self, op: str, left: Term, limit: Fraction) -> Formula:
        """The comparison as it is, turned round, or with a term on the other side."""
        rng = self.rng
        kind = rng.randrange(3)
        if kind == 0:
            turned = {"<=": ">=", ">=": "<=", "<": ">", ">": "<"}.get(op, op)
            return (turned, [limit, left])
        if kind == 1 and isinstance(left, tuple) and left[0] == "-" and len(left[1]) == 2:
            return (op, [left[1][0], ("+", [left[1][1], limit])])
        return (op, [left, limit])

    def _term(self, kind: str) -> Term:
        rng, stage = self.rng, self.stage
        if kind in ("output", "equal"):
            return rng.choice(stage.ys)
        if kind == "margin":
            return ("-", rng.sample(stage.ys, 2))
        some = rng.sample([*stage.ys, *stage.xs], min(rng.randint(2, 3),
                                                     len(stage.ys) + len(stage.xs)))
        if kind == "product":
            return ("*", [rng.choice(stage.ys), rng.choice([*stage.ys, *stage.xs])])
        terms: list[Term] = [("*", [Fraction(rng.choice((-3, -2, 2, 3)), rng.choice((1, 2, 10))),
                                    v]) for v in some]
        return (rng.choice(("+", "+", "-")), [*terms, rng.choice(stage.ys)])


def _fits(value: Fraction) -> bool:
    text = decimal(value)
    return text is not None and len(text) <= 300


def _boxes(rng: random.Random, size: int, several: bool
           ) -> list[tuple[list[Fraction], list[Fraction]]]:
    out = []
    for _ in range(rng.randint(2, 3) if several else 1):
        moving = rng.randrange(size) if draw(rng, "free") == "one" else -1
        r = Fraction(draw(rng, "radius"))
        lo, hi = [], []
        for i in range(size):
            centre = Fraction(rng.randint(-10, 10), 10)
            away = r if moving in (-1, i) else Fraction(0)
            lo.append(centre - away)
            hi.append(centre + away * Fraction(rng.randint(1, 4), 4))
        out.append((lo, hi))
    return out


def _stage(rng: random.Random, program: Program, elements: dict[str, int], xs: list[str],
           ys: list[str], boxes: list[tuple[list[Fraction], list[Fraction]]]) -> Stage:
    """The stage with a battery filled from every box."""
    outputs = tuple(elements[y] for y in ys)
    lo, hi = boxes[0]
    x0 = tuple((a + b) / 2 for a, b in zip(lo, hi, strict=True))
    explain = Explain("gradient", {0: Fraction(1)}, "signed", (0,))
    world = World(program, outputs, x0, explain)
    battery = Battery(world, Region(lo, hi), rng)
    for low, high in boxes:
        battery.region = Region(low, high)
        battery.fill()
    if len(boxes) > 1:
        battery.region = Region([min(v) for v in zip(*(b[0] for b in boxes), strict=True)],
                                [max(v) for v in zip(*(b[1] for b in boxes), strict=True)])
    return Stage(program, elements, xs, ys, battery, boxes)


def _box_formula(xs: Sequence[str], lo: Sequence[Fraction], hi: Sequence[Fraction]) -> Formula:
    parts = []
    for x, a, b in zip(xs, lo, hi, strict=True):
        parts += [(">=", [x, a]), ("<=", [x, b])]
    return ("and", parts)


def _assembled(rng: random.Random, stage: Stage, free: list[str], version_2: bool
               ) -> tuple[Formula, bool]:
    """The whole query: box and assertions; whether a threshold is near an attained value."""
    drawer = Drawer(rng, stage, version_2)
    asked = drawer.formula()
    boxes = [_box_formula(free, *box) for box in stage.boxes]
    box = boxes[0] if len(boxes) == 1 else ("or", boxes)
    return ("and", [box, asked]), drawer.thresholds.near


def _judged(question: Question, stage: Stage, query: Formula) -> Question:
    question.violated = lambda seen: Truth(holds(query, stage.value(seen)))
    look(stage.battery, lambda seen: list(gaps(query, stage.value(seen))))
    if len(stage.boxes) > 1:
        # The hull's line was looked at; its boxes' ends are signs of the query as well.
        stage.battery.whole = False
    return question


def first_version(rng: random.Random, seed: str) -> Question:
    """A query of VNN-LIB 1.0."""
    inputs = draw_inputs(rng)
    size = sum(prod(shape) for _, shape in inputs)
    boxes = _boxes(rng, size, draw(rng, "boxes") == "several")
    x0 = tuple((a + b) / 2 for a, b in zip(*boxes[0], strict=True))
    net = Architect(seed, inputs, x0).network()
    outputs = [e for t in net.outputs for e in t.elements]
    xs, ys = [f"X_{i}" for i in range(size)], [f"Y_{j}" for j in range(len(outputs))]
    elements = dict(zip([*xs, *ys], [*range(size), *outputs], strict=True))
    stage = _stage(rng, net.program, elements, xs, ys, boxes)
    query, near = _assembled(rng, stage, xs, False)
    lines = ["; a query of independent making", *(f"(declare-const {v} Real)" for v in elements)]
    lines += [f"(assert {written(part, False)})" for part in query[1]]
    question = Question("vnnlib1", "query 1.0", draw(rng, "entry"),
                        {"net.onnx": net.model(), "query.vnnlib": _text(lines)},
                        {"spec": "query.vnnlib", "model": "net.onnx"}, stage.battery, near=near)
    return _judged(question, stage, query)


def _text(lines: list[str]) -> bytes:
    return ("\n".join(lines) + "\n").encode()


def _names(name: str, shape: Sequence[int]) -> list[str]:
    out = [""]
    for n in shape:
        out = [f"{a},{k}" if a else str(k) for a in out for k in range(n)]
    return [f"{name}[{a}]" for a in out]


def _declared(net: Network, names: tuple[list[str], str], network: str, head: str, hidden: bool
              ) -> tuple[list[str], list[list[str]]]:
    """The lines of a declaration, and the variables of inputs, hidden tensor and output."""
    lines, variables = [f"(declare-network {network} {head}"], []
    for name, t in zip(names[0], net.inputs, strict=True):
        lines.append(f"  (declare-input {name} real {list(t.shape)})")
        variables.append(_names(name, t.shape))
    if hidden:
        t = net.hidden[-1]
        lines.append(f'  (declare-hidden H real {list(t.shape)} "{t.name}")')
        variables.append(_names("H", t.shape))
    y = net.outputs[0]
    lines.append(f"  (declare-output {names[1]} real {list(y.shape)}))")
    variables.append(_names(names[1], y.shape))
    return lines, variables


def second_version(rng: random.Random, seed: str) -> Question:
    """A query of VNN-LIB 2.0: one network, with a hidden tensor, twice the same, or two."""
    inputs, kind = draw_inputs(rng), draw(rng, "networks")
    size = sum(prod(shape) for _, shape in inputs)
    boxes = _boxes(rng, size, False)
    x0 = tuple((a + b) / 2 for a, b in zip(*boxes[0], strict=True))
    net = Architect(seed, inputs, x0).network()
    hidden = kind == "hidden" and bool(net.hidden)
    lines, variables = _declared(net, (["X", "U"][: len(inputs)], "Y"), "f", "", hidden)
    elements = dict(zip([v for vs in variables for v in vs], [
        *range(size), *(net.hidden[-1].elements if hidden else ()), *net.outputs[0].elements,
    ], strict=True))
    free, files, program = list(elements)[:size], {"net.onnx": net.model()}, net.program
    model: dict[str, str] = {"f": "net.onnx"}
    ys, ties = list(elements)[size:], list[Formula]()
    places = {v: (v.partition("[")[0], k) for vs in variables for k, v in enumerate(vs)}
    if kind in ("same", "two"):
        other = net if kind == "same" else Architect(seed, inputs, x0, second(rng)).network()
        head = "(equal-to f)" if kind == "same" else ""
        more, theirs = _declared(other, (["Z", "V"][: len(inputs)], "W"), "g", head, False)
        names = [v for vs in theirs for v in vs]
        places |= {v: (v.partition("[")[0], k) for vs in theirs for k, v in enumerate(vs)}
        # The second network's inputs are the first's, but for one that may be its own.
        apart = rng.randrange(size) if rng.random() < 0.4 else -1
        program, mine, moved = program.merged(other.program, [
            None if i == apart else i for i in range(size)])
        elements = {v: mine(e) for v, e in elements.items()}
        elements |= dict(zip(names, map(moved, [*range(size), *other.outputs[0].elements]),
                             strict=True))
        ties = [("==", [free[i], names[i]]) for i in range(size) if i != apart]
        lines, ys = [*lines, *more], [*ys, *names[size:]]
        if apart >= 0:
            free = [*free, names[apart]]
            for side in boxes[0]:
                side.append(side[apart])
        if kind == "two":
            files["other.onnx"], model["g"] = other.model(), "other.onnx"
    stage = _stage(rng, program, elements, free, ys, boxes)
    query, near = _assembled(rng, stage, free, True)
    lines = ["(vnnlib-version <2.0>)", *lines,
             *(f"(assert {written(part, True)})" for part in [*ties, *query[1]])]
    question = Question("vnnlib2", f"query 2.0 {kind}", draw(rng, "entry"),
                        {**files, "query.vnnlib": _text(lines)},
                        {"spec": "query.vnnlib", "model": model}, stage.battery, near=near,
                        names=tuple(free), places=places)
    return _judged(question, stage, query)


__all__ = ["Elements", "first_version", "second_version"]
