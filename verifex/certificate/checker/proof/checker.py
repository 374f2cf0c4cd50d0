"""The check of one certificate against one claim."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from functools import partial
from itertools import chain, islice
from typing import Any

from ..bounds.at_point import ends, exactly
from ..bounds.sub_region import E, F, Scale, SubRegion
from ..failures import MAX_DEPTH, Empty, Short, need, pick
from ..graph.forms import Form, total
from ..spec.claim import Claim
from ..spec.decimals import exact, table
from ..spec.formulas import Formula, alive
from .lines import dyadic, kind_of


class Checker:
    """Checks the lines of one certificate against one claim; `share`: which of how many workers."""

    def __init__(self, claim: Claim, share: tuple[int, int]) -> None:
        self.graph = g = claim.graph
        self.claim, self.share = claim, share
        self.atoms: list[tuple[Form, bool]] = []
        self.broken = self.number(claim.broken)
        first: dict[Any, int] = {}
        self.same = [first.setdefault((frozenset(f[0].items()), f[1], strict), k)
                     for k, (f, strict) in enumerate(self.atoms)]
        # All atoms are elements of one node, each times a factor that makes its coefficients whole.
        lcms = [math.lcm(*(c.denominator for c in f[0].values())) for f, _ in self.atoms]
        self.factors = [v if v < 1 << 64 else 1 for v in lcms] + [1]  # the last one for the form 0
        self.top = g.rows([total([(f, v)]) for (f, _), v in zip(self.atoms, self.factors)])
        self.cuts, nodes, index = g.rows(claim.cuts), g.nodes, g.index
        steps = {nodes[n].args[0] for n in nodes[self.top].cone if nodes[n].kind == "S"}
        relu_of = {z: index["R", (z,), 0] for z in steps if ("R", (z,), 0) in index}
        known = sorted({*nodes[self.top].cone, *relu_of.values()})
        self.named = {k: [n for n in known if nodes[n].kind == k] for k in "RSGM"}
        shifts = [b for n in known if nodes[n].kind == "A" and n != self.top
                  for b in nodes[n].data[2]]
        whole = math.lcm(*(v.denominator for v in chain(claim.lo, claim.hi, shifts)))
        odd = whole >> (whole & -whole).bit_length() - 1
        odd = odd if odd.bit_length() <= 40 else 1
        self.scale = Scale(g, odd << E, odd, E, False, relu_of, {}, [])
        for power, free, radius in (b for b in claim.balls if b[1]):
            # Sound: what rounding the centre moves is added to the radius.
            at = {r: claim.x0[i] * self.scale.unit for i in free for r in claim.flat[i][0]}
            room = math.ceil(radius * self.scale.unit + sum(v % 1 for v in at.values()))
            self.scale.balls.append((power, room, {r: v // 1 for r, v in at.items()}))
        low = [math.floor(v * self.scale.unit) for v in claim.lo]
        self.root = SubRegion(self.scale, (low, [math.ceil(v * self.scale.unit) for v in claim.hi]))

    def number(self, f: Formula) -> Any:
        """The formula with its atoms numbered from left to right."""
        if isinstance(f, list):
            return f[0], [self.number(p) for p in f[1]]
        self.atoms.append(f)
        return len(self.atoms) - 1

    def run(self, head: dict[str, Any], lines: Iterator[Any]) -> str:
        table(head, "vxc network spec data nodes atoms witness note")
        sizes = {k: [self.graph.nodes[n].size for n in v] for k, v in self.named.items()}
        for key, mine in (("atoms", len(self.atoms)), ("nodes", sizes)):
            need(head.get(key, mine) == mine, f"header: {key}: the claim has {json.dumps(mine)}")
        need(head.get("data", {}) == self.claim.files, "header: data: the hashes of other files")
        if "witness" in head:
            need(not list(islice(lines, 1)), "lines after a witness")
            self.witness([exact(v) for v in head["witness"]])
            return "valid (refutation)"
        assume, goal = self.broken[1]
        parts = goal[1] if isinstance(goal, tuple) and goal[0] == 1 else [goal]
        missing, left = set(range(len(parts))), -1
        for line in lines:
            kind = kind_of(line)
            need(left < 0 or kind == "t", "a line after the end")
            if kind in "fb":
                self.root.pending.append(line)
                continue
            chosen = line["t"] if kind == "t" else range(len(parts))
            part = (2, [assume, (1, [pick(parts, j, "part") for j in chosen])])
            rest = lines if kind == "t" else chain([line], lines)
            left, missing = max(left, 0) + self.tree(rest, part), missing - set(chosen)
        if left or missing:
            raise Short(f"{left} leaves are open" if left > 0 else "a part has no tree")
        return "valid"

    def witness(self, x: list[Fraction]) -> None:
        """Whether a point lies in the region and breaks the claim, whatever gates on kinks are.

        A gate is on a kink only where its two sides differ. An atom counts if its value is the same
        for all choices of the gates whose argument is 0. Sound: the gates at all points nearby are
        among these, so the attribution it reads has one limit from every side, and so is defined.
        """
        claim, g = self.claim, self.graph
        need(len(x) == claim.size, "witness: another length")
        inside = all(a <= v <= b for a, v, b in zip(claim.lo, x, claim.hi, strict=True))
        inside &= all(x[i].denominator == 1 for i in claim.integers)
        for power, free, radius in claim.balls:
            inside &= sum(abs(x[i] - claim.x0[i]) ** power for i in free) <= radius**power
        inside &= all(v <= 0 for v in exactly(g, self.cuts, x, False))
        need(inside, "witness: outside the region")
        low, high = ends(g, self.top, x, False)
        on_kink = {k for k, v in enumerate(low) if v != high[k]}
        fine = alive(self.broken, lambda k: k in on_kink or self.beats(k, -low[k]))
        need(fine or not on_kink, "witness: on a kink")
        need(fine, "witness: the claim holds there")

    def tree(self, lines: Iterable[Any], f: Any) -> int:
        """Read one tree to its end; the number of leaves marked open."""
        todo, leaves, left = list[Callable[[], SubRegion]](), 0, 0
        d = SubRegion(self.scale, self.root.box, self.root)
        for line in lines:
            kind = kind_of(line)
            need(kind != "t" and len(d.path) < MAX_DEPTH, "a tree within a tree, or one too deep")
            if kind in "fb":
                d.pending.append(line)
            elif kind == "l":
                mine = (leaves >> 4) % self.share[1] == self.share[0]
                fine = line["l"] == 0 or (line["l"] == 1 and (not mine or self.closed(d, f)))
                need(fine, f"leaf {leaves} does not close")
                leaves, left = leaves + 1, left + (not line["l"])
                if not todo:
                    return left
                d = todo.pop()()
            else:
                n, i, at = self.unit(*line["s"]) if kind == "s" else self.place(*line["x"])
                todo.append(partial(d.split, n, i, -1, at))
                d = d.split(n, i, 1, at)
        raise Short(f"the file ends with {len(todo) + 1} nodes to come")

    def closed(self, d: SubRegion, f: Any) -> bool:
        """Whether the formula is false on the whole domain."""
        dead, joint = set[int](), [{-1}]
        try:
            for h in d.path:
                self.settle(h)
                dead |= h.dead
                joint += h.joint
            d.least({})
            if alive(f, lambda k: self.same[k] in dead):
                for n, _, _ in d.units:
                    d.get(n)
                dead |= {k for k, v in enumerate(d.get(self.top)[1]) if self.beats(k, -v)}
        except Empty:
            return True
        # Sound: some atom of a set cannot hold, and whichever it is, the formula is false.
        return any(all(not alive(f, lambda k: self.same[k] in {j, *dead}) for j in group)  # noqa: B023
                   for group in joint)

    def beats(self, k: int, low: Any) -> bool:
        """Whether a lower bound of minus its form makes atom k false; -1 is the atom 0 >= 0."""
        return bool(low > 0 or (low == 0 and k >= 0 and self.atoms[k][1]))

    def settle(self, d: SubRegion) -> None:
        """Derive the facts and bounds attached to a domain; Empty if it has no point."""
        pending, d.pending = d.pending, []
        for line in pending:
            if "b" in line:
                k = line["b"]
                need(-1 <= k < len(self.atoms), f"no atom {k!r:.20}")
                terms = [(self.top, k, -1 << F)] if k >= 0 else []
                group = {self.same[k] if k >= 0 else -1}
                for j, m, e in line.get("a", ()):
                    need(k >= 0 and 0 <= j < len(self.atoms), f"no atom {j!r:.20}")
                    times = Fraction(self.factors[k], self.factors[j]) * dyadic(m, e)
                    terms.append((self.top, j, -math.floor(times * (1 << F))))
                    group.add(self.same[j])
                if self.beats(k, self.bound(d, terms, self.factors[k], line)):
                    d.joint += [group] if len(group) > 1 else []
                    d.dead |= group if len(group) == 1 else set()
            else:
                kind, n, a, i, sign = line["f"]
                z = self.argument(kind, n, a, i)
                need(sign in (1, -1), "a fact's sign")
                d.learn(z, i, sign, self.bound(d, [(z, i, sign << F)], 1, line) >> F)
        if -1 in d.dead:
            raise Empty

    def argument(self, kind: str, n: int, a: int, i: int) -> int:
        """The node that is argument a of a named node and has an element i."""
        args = self.graph.nodes[pick(self.named.get(kind, ()), n, f"node {kind}")].args
        z: int = pick(args, a, f"argument of {kind}{n}")
        need(0 <= i < self.graph.nodes[z].size, f"no element {i}")
        return z

    def unit(self, kind: str, n: int, i: int) -> tuple[int, int, Fraction | None]:
        need(kind in ("R", "S"), f"no unit {kind!r:.20}")
        return self.argument(kind, n, 0, i), i, None

    def place(self, i: int, at: Any) -> tuple[int, int, Fraction | None]:
        ((n, k),) = pick(self.claim.flat, i, "input")[0]
        return n, k, exact(at)

    def bound(self, d: SubRegion, terms: list[Any], factor: int, line: Any) -> int:
        """A lower bound of terms with a line's multipliers, which are for 1 / factor of them."""
        param: dict[tuple[str, int], bytes] = {}
        for key, value in line.get("p", {}).items():
            nodes = self.named.get({"H": "G", "N": "M"}.get(key[0], key[0]), ())
            n = pick(nodes, int(key[1:]), f"node {key[0]}")
            found = param[key[0], n] = base64.b64decode(value, validate=True)
            need(len(found) <= self.graph.nodes[n].size, f"multipliers {key} out of range")
            need(max(found, default=0) <= 128, f"multipliers {key} out of range")
        rows = [(self.cuts, j, -1) for j in range(len(self.claim.cuts))]  # a cut is at most 0
        terms = list(terms)
        for key, known in (("z", d.units), ("r", rows)):
            for j, m, e in line.get(key, ()):
                n, i, sign = pick(known, j, f"multiplier {key}")
                value = math.floor(dyadic(m, e) * factor * (1 << F))
                terms.append((n, i, -sign * value))
        return d.lower(terms, param)
