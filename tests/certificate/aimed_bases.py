"""Valid certificates that use what format 2 added, each with a false claim beside its true one.

A small prover asks the checker itself which domains close: it splits whole numbers, units and
inputs, and puts shared facts in. The false claim asks for a little more than a point of the region
attains, which exact evaluation in fractions shows.
"""

from __future__ import annotations

import base64
import itertools
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tests.certificate.corruptions import Case, Line
from tests.certificate.spoiled import check
from tests.helpers import checker_parts as checker
from tests.helpers.certificate_names import all_atoms, named, reading_of
from tests.helpers.checker_nets import save_net

DEPTH, LONGEST = 7, 200
STEP = Fraction(1, 64)


@dataclass(frozen=True)
class Pair:
    """A certificate of a true claim, and the same before a false one, names and hashes to match."""

    true: Case
    false: Case


Layer = tuple[list[list[int]], list[Fraction]]


@dataclass(frozen=True)
class Net:
    """relu(A x + a), then B y + b."""

    layers: tuple[Layer, Layer]

    def values(self, x: Sequence[Fraction]) -> list[Fraction]:
        (first, a), (second, b) = self.layers
        hidden = [max(sum((w * v for w, v in zip(row, x, strict=True)), c), Fraction(0))
                  for row, c in zip(first, a, strict=True)]
        return [sum((w * v for w, v in zip(row, hidden, strict=True)), c)
                for row, c in zip(second, b, strict=True)]

    def onnx(self) -> bytes:
        with TemporaryDirectory() as folder:
            return save_net(Path(folder) / "net.onnx", [
                (rows, [float(v) for v in bias]) for rows, bias in self.layers]).read_bytes()


def random_net(rng: random.Random, inputs: int, outputs: int, hidden: int = 3) -> Net:
    def layer(rows: int, width: int) -> Layer:
        return ([[rng.randint(-3, 3) for _ in range(width)] for _ in range(rows)],
                [Fraction(rng.randint(-4, 4), 2) for _ in range(rows)])

    return Net((layer(hidden, inputs), layer(outputs, hidden)))


@dataclass(frozen=True)
class Region:
    """A box with whole numbers and one-hot groups."""

    low: tuple[int, ...]
    high: tuple[int, ...]
    whole: tuple[int, ...] = ()
    group: tuple[int, ...] = ()

    def toml(self) -> str:
        lines = [f"box = {{ lo = {list(self.low)}, hi = {list(self.high)} }}"]
        lines += [f"integer = {list(self.whole)}"] if self.whole else []
        lines += [f"one_hot = [{list(self.group)}]"] if self.group else []
        return "[region]\n" + "\n".join(lines) + "\n"

    def points(self) -> list[tuple[Fraction, ...]]:
        sides = [
            [Fraction(v) for v in range(a, b + 1)] if i in (*self.whole, *self.group)
            else [a + Fraction(b - a, 8) * k for k in range(9)]
            for i, (a, b) in enumerate(zip(self.low, self.high, strict=True))]
        return [x for x in itertools.product(*sides)
                if not self.group or sum(x[i] for i in self.group) == 1]


def regions(rng: random.Random) -> Region:
    kind = rng.randrange(4)
    if kind == 0:
        return Region((-1, 0, -1), (1, 2, 1), whole=(0, 1, 2))
    if kind == 1:
        return Region((0, 0, 0, -1), (1, 1, 1, 2), whole=(3,), group=(0, 1, 2))
    if kind == 2:
        return Region((-1, 0), (1, 3), whole=(1,))
    return Region((-1, -1), (1, 1))


# --- a prover that asks the checker ---------------------------------------------------------------


class Prover:
    """Looks for a tree; `made` is the checker with the claim loaded."""

    def __init__(self, rng: random.Random, case: Case) -> None:
        self.rng, self.made = rng, reading_of(case.network, case.spec, "spec.toml")
        made, index = self.made, self.made.deriver.index
        self.atoms = made.deriver.named_atoms = [
            [k] for k, first in enumerate(made.atoms.first) if k == first]
        self.nodes = sorted({place[0] for places in index.places(checker.ARGUMENT).values()
                             for place in places})
        self.relus = [n for n in index.nodes if made.graph.nodes[n].kind == "R"]
        self.groups = [index.fingerprints.of(node) for node in (*self.nodes, *self.relus)]
        for group in self.groups:
            made.deriver.groups.add(group)

    def tree(self, parts: list[int] | None) -> list[Line] | None:
        """The lines of a tree for some parts of the violation (None: all)."""
        every = [known for _, known in self.made._parts()]
        chosen = every if parts is None else [every[j] for j in parts]
        formula = checker.AtLeastOf(2, (
            self.made.numbered_assumption, checker.AtLeastOf(1, tuple(chosen))))
        found = self._below(self.made.region.within({}), formula, 0)
        return found if found is None or len(found) < LONGEST else None

    def lines(self, trees: list[Line]) -> tuple[Line, ...]:
        made = self.made
        atoms = [2 * made.deriver.index.fingerprints.of_form(made.atoms.forms[k])
                 + made.atoms.strict[k] for (k,) in self.atoms]
        groups = [{"group": named(group)} for group in self.groups]
        return {"vxc": 2, "atoms": named(atoms)}, *groups, *trees

    def _below(self, domain: Any, formula: Any, depth: int) -> list[Line] | None:
        exact: Line = {"exact": 1} if self.rng.random() < 0.4 else {}
        facts: list[Line] = [
            {"fact": [g, i, sign]} for g in range(len(self.nodes))
            for i in range(len(self.groups[g])) for sign in (1, -1) if self.rng.random() < 0.15]
        bounds: list[Line] = [
            {"bound": k, **self._slopes(), **exact} for k in range(len(self.atoms))]
        attached = self.made.deriver.attached(domain)
        attached.pending += facts
        if self.made.deriver.closes(domain, formula):
            return [*facts, {"leaf": 1}]
        attached.pending += bounds
        if self.made.deriver.closes(domain, formula):
            return [*facts, *bounds, {"leaf": 1}]
        if depth == DEPTH:
            return None
        line, above, below = self._split(domain)
        children = [self._below(child, formula, depth + 1) for child in (above, below)]
        if None in children:
            return None
        return [*facts, line, *(v for child in children for v in child or ())]

    def _slopes(self) -> Line:
        """Slopes of all units, of the default's kind and others."""
        first = len(self.nodes)
        return {} if self.rng.random() < 0.4 else {"fractions": {
            f"alpha {first + g}": base64.b64encode(bytes(
                self.rng.choice((0, 32, 128)) for _ in group)).decode()
            for g, group in enumerate(self.groups[first:])}}

    def _split(self, domain: Any) -> tuple[Line, Any, Any]:
        claim, rng = self.made.claim, self.rng
        low, high = domain.box
        whole = [i for i in sorted(claim.region.whole) if high[i] - low[i] >= 1]
        units = [(g, i) for g, node in enumerate(self.nodes)
                 for i, (a, b) in enumerate(zip(*domain.bounds(node), strict=True)) if a < 0 < b]
        if whole and (rng.random() < 0.7 or not units):
            i = rng.choice(whole)
            n = (low[i] + high[i]) // 2 if high[i] - low[i] > 1 else low[i].__floor__()
            return ({"whole": [i, int(n)]}, domain.cut(i, 1, Fraction(n) + 1),
                    domain.cut(i, -1, Fraction(n)))
        if units and rng.random() < 0.8:
            g, i = rng.choice(units)
            at = Fraction(rng.choice((0, 0, 1)), 3)
            more = [str(at)] if at else []
            above, below = (domain.split(checker.Split(self.nodes[g], i, sign, at))
                            for sign in (1, -1))
            return {"split": [g, i, *more]}, above, below
        i = max(range(len(low)), key=lambda k: high[k] - low[k])
        at = (low[i] + high[i]) * Fraction(1, 2)
        return {"input": [i, str(at)]}, domain.cut(i, 1, at), domain.cut(i, -1, at)


# --- bases ----------------------------------------------------------------------------------------


def _spec(region: Region, bounds: Sequence[Fraction]) -> bytes:
    demands = "".join(f'[[require]]\noutput = "logit:{j}"\nat_most = "{bound}"\n'
                      for j, bound in enumerate(bounds))
    return f"verifex = 1\n{region.toml()}{demands}".encode()


def _valid(case: Case) -> bool:
    with TemporaryDirectory() as folder:
        return check(case, Path(folder)) == (0, "valid")


def _pair(case: Case, false: bytes) -> Pair | None:
    case = replace(case, made_for=(case.network, case.spec)).rehashed()
    return Pair(case, replace(case, spec=false).rehashed()) if _valid(case) else None


def by_prover(rng: random.Random, outputs: int) -> Pair | None:
    """An upper bound of each output; trees by parts where there are two."""
    region = regions(rng)
    net = random_net(rng, len(region.low), outputs)
    most = [max(column) for column in zip(*map(net.values, region.points()), strict=True)]
    for slack in (Fraction(0), STEP, Fraction(1, 4), Fraction(1), Fraction(3)):
        case = Case(net.onnx(), _spec(region, [v + slack for v in most]), ({},))
        prover = Prover(rng, case)
        parts = [None] if outputs == 1 else [[j] for j in range(outputs)]
        trees = [prover.tree(part) for part in parts]
        if None in trees:
            continue
        lines = [v for part, tree in zip(parts, trees, strict=True)
                 for v in ([] if part is None else [{"parts": part}]) + (tree or [])]
        if len(lines) < 4:
            return None
        false = list(most)
        false[rng.randrange(outputs)] -= STEP
        return _pair(replace(case, lines=prover.lines(lines)), _spec(region, false))
    return None


def by_rows(rng: random.Random) -> Pair | None:
    """An output at a corner of two rows: an exact leaf with quotients as multipliers."""
    (a, b), (c, d) = rows = [[rng.randint(-5, 5) for _ in range(2)] for _ in range(2)]
    goal, limits = [rng.randint(1, 5), rng.randint(-5, 5)], [rng.randint(1, 9) for _ in range(2)]
    det = a * d - b * c
    if det == 0:
        return None
    first = Fraction(goal[0] * d - goal[1] * c, det)
    second = Fraction(goal[1] * a - goal[0] * b, det)
    corner = [Fraction(limits[0] * d - limits[1] * b, det),
              Fraction(limits[1] * a - limits[0] * c, det)]
    best = first * limits[0] + second * limits[1]
    if min(first, second) <= 0 or max(map(abs, corner)) > 40 or best <= 1 or (
            max(first.denominator, second.denominator) == 1):
        return None
    net = Net((([goal], [Fraction(0)]), ([[1]], [Fraction(0)])))
    assert net.values(corner) == [best]
    linear = ", ".join(f'"{p}*x[0] + {q}*x[1] <= {r}"'.replace("+ -", "- ")
                       for (p, q), r in zip(rows, limits, strict=True))

    def spec(bound: Fraction) -> bytes:
        return (f"verifex = 1\n[region]\nbox = {{ lo = [-40, -40], hi = [40, 40] }}\n"
                f'linear = [{linear}]\n[[require]]\noutput = "logit:0"\nat_most = "{bound}"\n'
                ).encode()

    case = Case(net.onnx(), spec(best), ({},))
    made = reading_of(case.network, case.spec, "spec.toml")
    (place,) = (p for places in made.deriver.index.places(checker.ARGUMENT).values()
                for p in places)
    bound = {"bound": 0, "rows": [[0, str(first)], [1, str(second)]], "exact": 1}
    lines = ({"vxc": 2, **all_atoms(made)},
             {"group": named(made.deriver.index.fingerprints.of(place[0]))},
             {"split": [0, 0]}, bound, {"leaf": 1}, {"leaf": 1})
    return _pair(replace(case, lines=lines), spec(best - Fraction(1, 10**6)))


KINDS: tuple[Callable[[random.Random], Pair | None], ...] = (
    lambda rng: by_prover(rng, 1), lambda rng: by_prover(rng, 2), by_rows)


@cache
def made_by_hand(count: int) -> tuple[Pair, ...]:
    """So many pairs, the kinds in turn."""
    found: list[Pair] = []
    for seed in itertools.count():
        pair = KINDS[len(found) % len(KINDS)](random.Random(f"aimed {seed}"))
        if pair is not None:
            found.append(pair)
        if len(found) == count:
            return tuple(found)
    raise AssertionError
