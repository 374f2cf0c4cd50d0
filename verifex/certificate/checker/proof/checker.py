"""The check of one certificate against one claim."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from functools import partial
from itertools import chain, islice
from typing import NamedTuple

from ..bounds.domain import Domain, Split
from ..bounds.grid import Grid, ScaledBall, common_odd
from ..bounds.whole_numbers import choose
from ..failures import MAX_DEPTH, Bad, Short, need, pick
from ..graph.network_graph import AFFINE, RELU, STEP
from ..spec.claim import Claim
from ..spec.formulas import AtLeastOf, Formula, NumberedFormula, hull, input_positions
from ..spec.region import NormBall
from ..spec.toml_values import exact
from .atoms import Atoms
from .closing import Deriver
from .header import agree, atom_names, precision, witness
from .lines import Line, fingerprints, kind_of
from .names import ARGUMENT
from .witnesses import check_witness

SLICE = 16
"""Leaves that follow each other are one worker's, this many at a time: they share bounds."""


Part = tuple[Formula, NumberedFormula]
"""A part of the negated requirement, and the same over numbers of atoms."""


class Share(NamedTuple):
    """Which leaves a worker checks: its number, of how many workers."""

    worker: int = 0
    of: int = 1

    def has(self, leaf: int) -> bool:
        """Whether a leaf is one of them."""
        return leaf // SLICE % self.of == self.worker


class Checker:
    """Checks the lines of one certificate against one claim."""

    def __init__(self, claim: Claim, share: Share, header: Line) -> None:
        self.claim, self.share, self.header, self.graph = claim, Share(*share), header, claim.graph
        self.atoms = Atoms(self.graph, claim.violation)
        self.numbered_assumption, self.numbered_goal = self.atoms.two_parts()
        self.cuts = self.graph.rows(claim.region.rows)
        bits = precision(header)
        self.grid = self._grid(bits.grid, bits.coefficient)
        self.region = self._region()
        self.deriver = Deriver(self.graph, self.grid, self.atoms, self.cuts, bits.fraction)
        self.deriver.name_atoms(atom_names(header))

    def _region(self) -> Domain:
        """The box of the region, with what its one-hot groups say."""
        cut = self.claim.region
        low, high = list(cut.low), list(cut.high)
        fits = choose(low, high, cut.one_hot)
        region = Domain(self.grid, (low, high), cut.one_hot)
        region.empty = not fits
        return region

    def _grid(self, bits: int, coefficient: int) -> Grid:
        """The grid that holds the numbers of the region and of all biases, if it can."""
        nodes, claim = self.graph.nodes, self.claim
        gated = {nodes[n].args[0] for n in nodes[self.atoms.node].cone if nodes[n].kind == STEP}
        relus = {z: self.graph.index.get((RELU, (z,), 0)) for z in gated}
        relu_of = {z: relu for z, relu in relus.items() if relu is not None}
        known = nodes[self.atoms.node].cone.union(*(nodes[n].cone for n in relu_of.values()))
        biases = (b for n in known if nodes[n].kind == AFFINE and n != self.atoms.node
                  for b in nodes[n].step.bias)
        odd = common_odd(chain(claim.region.low, claim.region.high, biases))
        grid = Grid(self.graph, odd, bits, coefficient, False, relu_of)
        grid.balls += [self._ball(grid, ball) for ball in claim.region.balls if ball.free]
        return grid

    def _ball(self, grid: Grid, ball: NormBall) -> ScaledBall:
        """A ball on the grid. Sound: what rounding the centre moves is added to the radius."""
        claim, centre, moved = self.claim, dict[tuple[int, int], int](), Fraction(0)
        for i in ball.free:
            ((place, _),) = claim.flat_inputs[i][0].items()
            at = claim.x0[i] * grid.unit
            centre[place] = math.floor(at)
            moved += at - centre[place]
        return ScaledBall(ball.power, math.ceil(ball.radius * grid.unit + moved), centre)

    def run(self, lines: Iterator[Line]) -> str:
        """What is to be said of a certificate that proves or refutes the claim; else Bad."""
        agree(self.header, self.claim)
        if "witness" in self.header:
            need(not list(islice(lines, 1)), "lines after a witness")
            atoms = self.atoms if self.claim.refuting is None else (
                Atoms(self.graph, self.claim.refuted))
            check_witness(self.claim, atoms, self.cuts, witness(self.header))
            return "valid (refutation)"
        return self._proof(lines)

    def _proof(self, lines: Iterator[Line]) -> str:
        """Read tree after tree: each refutes some parts of the violated claim.

        The violated claim is an assumption, and of the negated requirement some part. A proof shows
        for each part that no point of the region has it together with the assumption.
        """
        parts = self._parts()
        missing, left, trees = set(range(len(parts))), 0, 0
        for line in lines:
            kind = kind_of(line)
            if kind == "group":
                self.deriver.groups.add(fingerprints(line["group"], "group"))
                continue
            need(trees == 0 or kind == "parts", "a line after the end")
            if kind in ("fact", "bound"):
                self.deriver.attached(self.region).pending.append(line)
                continue
            chosen = self._chosen(line, len(parts)) if kind == "parts" else range(len(parts))
            rest = lines if kind == "parts" else chain([line], lines)
            left += self._tree(rest, [parts[j] for j in chosen])
            missing, trees = missing - set(chosen), trees + 1
        if left or missing:
            raise Short(f"{left} leaves are open" if left else "a part has no tree")
        return "valid"

    def _chosen(self, line: Line, count: int) -> list[int]:
        chosen = line["parts"]
        need(isinstance(chosen, list) and all(type(j) is int for j in chosen), "parts: no list")
        return [pick(range(count), j, "part") for j in chosen]

    def _parts(self) -> list[Part]:
        """The parts of the negated requirement, one of which a violation has to satisfy."""
        plain, known = self.claim.not_required, self.numbered_goal
        if isinstance(plain, AtLeastOf) and isinstance(known, AtLeastOf) and plain.needed == 1:
            return list(zip(plain.parts, known.parts, strict=True))
        return [(plain, known)]

    def _tree(self, lines: Iterable[Line], parts: list[Part]) -> int:
        """Read one tree to its end; the number of leaves that are marked open.

        Sound: the two children of a split cover it. The tree begins with the region, cut by what
        the formula says about single inputs: elsewhere the formula is false.
        """
        some: Formula = AtLeastOf(1, tuple(plain for plain, _ in parts))
        violation: Formula = AtLeastOf(2, (self.claim.assumed, some))
        formula: NumberedFormula = AtLeastOf(
            2, (self.numbered_assumption, AtLeastOf(1, tuple(known for _, known in parts))))
        domain = self.region.within(hull(violation, input_positions(self.claim.flat_inputs)))
        to_come, leaves, left = list[Callable[[], Domain]](), 0, 0
        for line in lines:
            kind = kind_of(line)
            need(kind != "parts" and len(domain.path) < MAX_DEPTH,
                 "a tree within a tree, or one too deep")
            if kind == "group":
                self.deriver.groups.add(fingerprints(line["group"], "group"))
            elif kind in ("fact", "bound"):
                self.deriver.attached(domain).pending.append(line)
            elif kind == "leaf":
                left += self._leaf(line, leaves, domain, formula)
                leaves += 1
                if not to_come:
                    return left
                domain = to_come.pop()()
            else:
                above, below = self._children(kind, line[kind], domain)
                to_come.append(below)
                domain = above()
        raise Short(f"the file ends with {len(to_come) + 1} nodes to come")

    def _leaf(self, line: Line, number: int, domain: Domain, formula: NumberedFormula) -> int:
        """1 for a leaf that is marked open; refused if it is marked closed and is not."""
        mark = line["leaf"]
        need(type(mark) is int and mark in (0, 1), "a leaf is 0 or 1")
        fine = not mark or not self.share.has(number) or self.deriver.closes(domain, formula)
        need(fine, f"leaf {number} does not close")
        return 1 - int(mark)

    def _children(
        self, kind: str, entry: object, domain: Domain
    ) -> tuple[Callable[[], Domain], Callable[[], Domain]]:
        """The two parts of a split domain, made when they are come to."""
        if not isinstance(entry, list) or len(entry) not in (2, 3):
            raise Bad(f"{kind}: a wrong split")
        values = entry
        if kind == "split":
            at = exact(values[2]) if len(values) == 3 else Fraction(0)
            place = self.deriver.groups.element(values[0], values[1], ARGUMENT)
            if place is None:
                raise Bad("split: an element that the claim does not depend on")
            node, element = place
            return (partial(domain.split, Split(node, element, 1, at)),
                    partial(domain.split, Split(node, element, -1, at)))
        flat, at = values[0], exact(values[1])
        need(len(values) == 2 + (kind == "cut") and type(flat) is int
             and 0 <= flat < self.claim.size, f"{kind}: no input {flat!r:.20}")
        if kind == "cut":
            # Sound: every number is above q or at most q, and at least q or below q.
            above = values[2]
            need(type(above) is int and above in (0, 1), "cut: neither 0 nor 1")
            return (partial(domain.cut, flat, 1, at, above == 1),
                    partial(domain.cut, flat, -1, at, above == 0))
        if kind == "input":
            return partial(domain.cut, flat, 1, at), partial(domain.cut, flat, -1, at)
        # Sound: a whole number is at most n or at least n + 1.
        need(flat in self.claim.region.whole and at.denominator == 1,
             f"whole: input {flat} is no whole number, or not split at one")
        return partial(domain.cut, flat, 1, at + 1), partial(domain.cut, flat, -1, at)
