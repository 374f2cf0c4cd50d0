"""Random true claims of all kinds about small networks, with their proofs.

Thresholds lie beside the extremes of a sample of the region; the search proves the claim, and the
checker accepts its certificate, or the claim is drawn again.
"""

from __future__ import annotations

import itertools
import json
import math
import random
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any

from tests.certificate.falsehoods.claims import Certificate, Files, Vector, decimal, present
from tests.certificate.falsehoods.nets import (
    Explain,
    Net,
    State,
    Unclear,
    best,
    holds,
    net,
    state,
    weights_of,
)

Property = dict[str, Any]
CONTRARY = {"at_least": "below", "above": "at_most", "at_most": "above", "below": "at_least"}


@dataclass(frozen=True)
class Region:
    """A box around x0, cut by a constraint `coefs.x <= limit` and by a ball; whole features."""

    x0: Vector
    radii: Vector
    cut: tuple[Vector, Fraction] | None = None
    ball: tuple[int, Fraction] | None = None
    whole: tuple[int, ...] = ()

    def holds(self, x: Sequence[Fraction]) -> bool:
        """Whether a point lies in it."""
        inside = all(abs(v - c) <= r for v, c, r in zip(x, self.x0, self.radii))
        if self.cut is not None:
            inside &= sum(c * v for c, v in zip(self.cut[0], x)) <= self.cut[1]
        if self.ball is not None:
            power, radius = self.ball
            inside &= sum(abs(v - c) ** power for v, c in zip(x, self.x0)) <= radius**power
        return inside and all(x[i].denominator == 1 for i in self.whole)

    def points(self, rng: random.Random, count: int) -> Iterator[Vector]:
        """Corners, and points between, as far as they lie in it."""
        n = len(self.x0)
        steps: list[tuple[Fraction, ...]] = [(Fraction(0),) * n]
        corners = list(itertools.product((Fraction(1), Fraction(-1)), repeat=n))
        steps += rng.sample(corners, min(len(corners), count // 2))
        while len(steps) < count:
            size = rng.choice((1, 1, 2, 8))
            steps.append(tuple(Fraction(rng.randint(-64, 64), 64 * size) for _ in range(n)))
        for step in steps:
            x = [c + r * s for c, r, s in zip(self.x0, self.radii, step)]
            for i in self.whole:
                x[i] = Fraction(round(x[i]))
            if self.holds(x):
                yield tuple(x)

    def toml(self) -> str:
        lines = [f"linf = [{', '.join(map(decimal, self.radii))}]"]
        if self.cut is not None:
            sides = [f"{decimal(c)}*x[{i}]" for i, c in enumerate(self.cut[0])]
            lines.append(f'linear = ["{" + ".join(sides)} <= {decimal(self.cut[1])}"]')
        if self.ball is not None:
            lines.append(f"l{self.ball[0]} = {decimal(self.ball[1])}")
        if self.whole:
            lines.append(f"integer = {list(self.whole)}")
        return "\n".join(lines)


@dataclass(frozen=True)
class Random:
    """A claim with all that it is about."""

    net: Net
    region: Region
    output: str
    require: tuple[Property, ...]
    assume: tuple[Property, ...] = ()
    times_input: bool = False
    absolute: bool = False
    hint: Vector | None = None  # a point that is likely to break it

    def explain(self) -> Explain:
        weights = weights_of(self.output, self.net.values(self.region.x0))
        return Explain(weights, self.times_input, self.absolute)

    def reference(self) -> State:
        found = state(self.net, self.explain(), self.region.x0)
        best(found.outputs)
        return found

    def broken(self, x: Vector, ref: State) -> bool:
        """Whether a point of the region breaks it; Unclear on kinks and ties."""
        return self._fails(state(self.net, self.explain(), x), ref)

    def violation(self, rng: random.Random, count: int = 20) -> Vector | None:
        """A point that breaks the claim, off every kink; None where none is found.

        Floating-point numbers propose, exact ones decide.
        """
        try:
            ref, explain = self.reference(), self.explain()
        except Unclear:
            return None
        rough, near = self.net.rounded(), State(*(tuple(map(float, v)) for v in (
            ref.outputs, ref.parts, ref.slope)))
        hints = [self.hint] if self.hint is not None and self.region.holds(self.hint) else []
        for x in itertools.chain(hints, self.region.points(rng, count)):
            try:
                at = state(rough, explain, [float(v) for v in x])
                if self._fails(at, near) and self.broken(x, ref):
                    return x
            except Unclear:
                continue
        return None

    def _fails(self, at: State, ref: State) -> bool:
        return all([holds(p, at, ref) for p in self.assume]) and not all(
            [holds(p, at, ref) for p in self.require])

    def files(self) -> Files:
        explain = [f'output = "{self.output}"']
        explain += ['attribution = "input_x_gradient"'] if self.times_input else []
        explain += ['reduce = "abs"'] if self.absolute else []
        tables = "".join(f"[[{kind}]]\n" + "".join(f"{k} = {_toml(v)}\n" for k, v in p.items())
                         for kind, parts in (("require", self.require), ("assume", self.assume))
                         for p in parts)
        text = (f"verifex = 1\n[input]\npoint = [{', '.join(map(decimal, self.region.x0))}]\n"
                f"[region]\n{self.region.toml()}\n[explain]\n" + "\n".join(explain) + f"\n{tables}")
        return Files(self.net.onnx(), text.encode())


def _toml(value: Any) -> str:
    if isinstance(value, Fraction):
        dyadic = value.denominator & (value.denominator - 1) == 0
        return decimal(value) if dyadic else f'"{value}"'
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{k} = {_toml(v)}" for k, v in value.items()) + " }"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return json.dumps(value)


# --- drawing --------------------------------------------------------------------------------


def value(p: Property, at: State, ref: State) -> Fraction:
    """What a bounded property bounds (rounded up to 1/1024 for a norm l2)."""
    if "component" in p:
        return at.parts[p["component"]]
    if "output" in p:
        weights = weights_of(p["output"], ref.outputs)
        return sum((w * v for w, v in zip(weights, at.outputs)), Fraction(0))
    change = [abs(a - b) for a, b in zip(at.parts, ref.parts)]
    if "distance" in p:
        squares = sum(v * v for v in change)
        root = Fraction(math.isqrt(int(squares * (1 << 20))) + 1, 1 << 10)
        return {"l1": sum(change, Fraction(0)), "linf": max(change), "l2": root}[p["distance"]]
    sizes = list(map(abs, at.parts))
    if not sum(sizes):
        raise Unclear
    return sum((sizes[i] for i in p["mass"]), Fraction(0)) / sum(sizes)


def seen(claim: Random, p: Property, rng: random.Random, count: int
         ) -> list[tuple[Fraction, Vector]]:
    """What a bounded property bounds at points of the region that are assumed, in rising order."""
    ref, found = claim.reference(), []
    for x in claim.region.points(rng, count):
        try:
            at = state(claim.net, claim.explain(), x)
            if all([holds(q, at, ref) for q in claim.assume]):
                found.append((value(p, at, ref), x))
        except Unclear:
            continue
    return sorted(found)


def bounded(kind: str) -> Callable[[random.Random, Random], Property]:
    def draw(rng: random.Random, claim: Random) -> Property:
        n, classes = claim.net.size, claim.net.outputs
        p: Property = {
            "component": {"component": rng.randrange(n)},
            "output": {"output": rng.choice((f"logit:{rng.randrange(classes)}", "sum",
                                             "margin:0,1"))},
            "mass": {"mass": sorted(rng.sample(range(n), rng.randint(1, n - 1)))},
        }.get(kind, {"distance": kind})
        found = seen(claim, p, rng, 24)
        if not found:
            raise Unclear
        slack = Fraction(1, rng.choice((4, 16, 64)))
        high = rng.random() < 0.5 or kind in ("l1", "l2", "linf")
        edge = found[-1][0] + slack if high else found[0][0] - slack
        if kind == "mass":
            edge = Fraction(round(min(max(edge, Fraction(0)), Fraction(1)) * 1024), 1024)
        key = rng.choice(("at_most", "below") if high else ("at_least", "above"))
        return p | {key: edge}

    return draw


def plain(rng: random.Random, claim: Random, kind: str) -> Property:
    n = claim.net.size
    if kind == "sign":
        some = {"at_least": rng.randint(1, n)} if rng.random() < 0.5 else {}
        return {"sign": "unchanged", **some}
    if kind == "top_k":
        k = rng.randint(1, n - 1)
        return {"top_k": k, "overlap_at_least": rng.randint(1, k)}
    return {
        "class": {"class": "unchanged"}, "order": {"order": "unchanged"},
        "cosine": {"similarity": "cosine", "at_least": Fraction(rng.randint(0, 15), 16)},
        "monotone": {"monotone": rng.choice(("increasing", "decreasing")),
                     "feature": rng.randrange(n)},
    }[kind]


BOUNDED = ("component", "output", "l1", "linf", "l2", "mass")
PLAIN = ("class", "sign", "top_k", "order", "cosine", "monotone")
KINDS = (*BOUNDED, *PLAIN, "all", "any", "not", "assume")


def one(rng: random.Random, claim: Random, kind: str) -> Property:
    return bounded(kind)(rng, claim) if kind in BOUNDED else plain(rng, claim, kind)


def combined(rng: random.Random, claim: Random, kind: str) -> Random:
    first, second = (one(rng, claim, rng.choice(BOUNDED + PLAIN)) for _ in range(2))
    if kind == "not":
        p = one(rng, claim, rng.choice(("component", "output")))
        return replace(claim, require=({"not": {CONTRARY.get(k, k): v for k, v in p.items()}},))
    if kind == "assume":
        half = claim.reference().outputs[0] + Fraction(1, 64)
        sure = {"output": "logit:0", rng.choice(("at_least", "at_most")): half}
        given = replace(claim, assume=(sure,))
        return replace(given, require=(one(rng, given, rng.choice(BOUNDED)),))
    if kind == "any":
        second = {CONTRARY.get(k, k): v for k, v in one(rng, claim, "component").items()}
        return replace(claim, require=({"any": rng.sample([first, second], 2)},))
    parts = [first, second]
    return replace(claim, require=({"all": parts},) if rng.random() < 0.7 else tuple(parts))


def region(rng: random.Random, x0: Vector) -> Region:
    n, radius = len(x0), Fraction(rng.randint(4, 48), 64)
    radii = [radius] * n
    kind = rng.choice(("box", "box", "list", "freeze", "cut", "ball", "whole"))
    if kind == "list":
        radii = [radius * rng.randint(0, 4) / 4 for _ in range(n)]
    if kind == "freeze":
        radii[rng.randrange(n)] = Fraction(0)
    out = Region(x0, tuple(radii))
    if kind == "cut":
        coefs = tuple(Fraction(rng.randint(-3, 3)) for _ in range(n))
        reach = sum((c * v for c, v in zip(coefs, x0)), Fraction(0))
        out = replace(out, cut=(coefs, reach + radius * rng.choice((0, 1, 2)) / 2)) if any(
            coefs) else out
    if kind == "ball":
        out = replace(out, ball=(rng.choice((1, 2)), radius))
    if kind == "whole":
        i = rng.randrange(n)
        x1 = tuple(Fraction(round(v)) if k == i else v for k, v in enumerate(x0))
        return Region(x1, tuple(Fraction(1) if k == i else r for k, r in enumerate(radii)),
                      whole=(i,))
    return out


def draw(rng: random.Random, kind: str) -> Random:
    """A claim that no point of a sample breaks."""
    n = rng.randint(2, 4)
    widths = [rng.randint(2, 4) for _ in range(rng.randint(1, 2))]
    of = net(rng, n, rng.randint(2, 3), widths)
    x0 = tuple(Fraction(rng.randint(-64, 64), 64) for _ in range(n))
    claim = Random(of, region(rng, x0), rng.choice(("predicted", "logit:0", "margin:0,1", "sum")),
                   (), (), rng.random() < 0.25, rng.random() < 0.3)
    claim.reference()
    if kind in ("all", "any", "not", "assume"):
        return combined(rng, claim, kind)
    return replace(claim, require=(one(rng, claim, kind),))


@dataclass(frozen=True)
class Proved:
    """A claim and a certificate of it that the checker accepts."""

    claim: Random
    certificate: Certificate


BASES = 32


@cache
def base(k: int) -> Proved:
    """The k-th proved claim; kinds take turns."""
    kind = KINDS[k % len(KINDS)]
    with tempfile.TemporaryDirectory() as name:
        for attempt in range(400):
            rng = random.Random(f"base {k} {attempt}")
            try:
                claim = draw(rng, kind)
            except Unclear:
                continue
            if claim.violation(rng, 40) is not None or (
                    claim.assume and replace(claim, assume=()).violation(rng, 40) is None):
                continue
            lines = proof(claim, Path(name), split=attempt < 200)
            if lines is not None:
                certificate = Certificate(tuple(lines[1:]), _head(lines[0]), claim.files())
                return Proved(claim, certificate)
    raise AssertionError(f"no proved claim of kind {kind} ({k})")


def _head(line: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in line.items() if k in ("x0", "atoms")}


def proof(claim: Random, folder: Path, split: bool) -> list[dict[str, Any]] | None:
    """Lines of a certificate that is accepted; with `split`, of one with more than a leaf."""
    from verifex.certificate.write import proof_lines
    from verifex.engine.bounds.bounder import Effort
    from verifex.engine.budget import Budget
    from verifex.engine.search.claims import decide_search
    from verifex.engine.search.gates.search import SearchOptions
    from verifex.errors import VerifexError
    from verifex.problem.spec.build import read_problem

    lazy = SearchOptions(root_effort=Effort(0), effort=Effort(0))
    files, paths = claim.files(), (folder / "net.onnx", folder / "spec.toml")
    for path, data in zip(paths, (files.network, files.spec)):
        path.write_bytes(data)
    try:
        asked = read_problem(paths[1], paths[0])
    except VerifexError:
        return None
    found = decide_search(asked.problem, Budget(3.0, 1 << 30, 1), lazy)
    if found.closed is None or found.closed.proof.leaves > 40 or (
            split and found.closed.proof.leaves < 2):
        return None
    lines = list(proof_lines(asked.problem, asked.files, found.closed))
    certificate = Certificate(tuple(lines[1:]), _head(lines[0]), files)
    return lines if present(files, certificate, folder)[0] == 0 else None
