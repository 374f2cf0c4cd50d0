"""Exact bounds of proofs, checked by plain recursion in fractions, apart from the search's own.

Every element is worked out by itself as a form of the inputs, with units decided by the splits on
the path or by their own interval.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cache
from typing import Any

from verifex.engine.search.record import AtomBound, Closed, Proof
from verifex.ir.exact import as_exact
from verifex.ir.formula import Atom, Cell, Form, Formula, atoms, fold
from verifex.ir.graph import Graph
from verifex.ir.linmap import entries
from verifex.ir.ops import Affine, Concat, Const, Gate, Input, Mul, Relu, Step
from verifex.ir.problem import Problem
from verifex.semantics.parameters import REGION_ROWS, ParameterKind

Ends = tuple[Fraction, Fraction]
Linear = dict[int | Cell, Fraction]
"""Coefficients by flat input, by element that is not decided, and the constant at -1."""


class UndecidedError(Exception):
    """A unit that matters is not decided."""


def rows_of(graph: Graph, node: int) -> list[list[tuple[Cell, Fraction]]]:
    """For each element of an affine node or a concatenation, the elements that it adds up."""
    op, args = graph.nodes[node].op, graph.nodes[node].args
    out: list[list[tuple[Cell, Fraction]]] = [[] for _ in range(graph.nodes[node].size)]
    if isinstance(op, Affine):
        for m, a in zip(op.maps, args, strict=True):
            for j, pairs in entries(m):
                out[j] += [((a, i), Fraction(c)) for i, c in pairs]
        return out
    assert isinstance(op, Concat)
    assert op.axis == 0
    cells = [(a, i) for a in args for i in range(graph.nodes[a].size)]
    return [[(cell, Fraction(1))] for cell in cells]


@dataclass
class Domain:
    """A box, cut by the signs of units."""

    problem: Problem
    lo: list[Fraction]
    hi: list[Fraction]
    signs: dict[Cell, int] = field(default_factory=dict)
    rows: dict[int, Any] = field(default_factory=dict)
    """Of nodes, made once for all domains of a proof."""

    def part(self) -> Domain:
        return Domain(
            self.problem, list(self.lo), list(self.hi), dict(self.signs), self.rows)

    def decided(self) -> Plain:
        return Plain(self)


class Plain:
    """Elements over one domain."""

    def __init__(self, domain: Domain) -> None:
        self.domain, self.graph = domain, domain.problem.graph
        self.ends, self.form = cache(self._ends), cache(self._form)

    def summed(self, cell: Cell) -> list[tuple[Cell, Fraction]]:
        rows = self.domain.rows
        if cell[0] not in rows:
            rows[cell[0]] = rows_of(self.graph, cell[0])
        found: list[tuple[Cell, Fraction]] = rows[cell[0]][cell[1]]
        return found

    def bias(self, node: int, index: int) -> Fraction:
        op = self.graph.nodes[node].op
        value = op.value if isinstance(op, Const) else op.bias if isinstance(op, Affine) else None
        return Fraction(0) if value is None else as_exact(value).fractions()[index]

    def _ends(self, cell: Cell) -> Ends:
        low, high = self._loose(cell)
        sign = self.domain.signs.get(cell, 0)
        return (max(low, Fraction(0)) if sign > 0 else low,
                min(high, Fraction(0)) if sign < 0 else high)

    def _loose(self, cell: Cell) -> Ends:
        node, k = self.graph.nodes[cell[0]], cell[1]
        match node.op:
            case Input():
                at = self.graph.input_offsets[cell[0]] + k
                return self.domain.lo[at], self.domain.hi[at]
            case Const():
                return (self.bias(*cell),) * 2
            case Affine() | Concat():
                total = [self.bias(*cell)] * 2
                for other, c in self.summed(cell):
                    pair = [c * v for v in self.ends(other)]
                    total = [total[0] + min(pair), total[1] + max(pair)]
                return total[0], total[1]
            case Relu():
                low, high = self.ends((node.args[0], k))
                return max(low, Fraction(0)), max(high, Fraction(0))
            case Step():
                side = self.side((node.args[0], k), gate=True)
                return Fraction(side > 0), Fraction(side >= 0)
            case Gate() | Mul():
                first, other = ((a, k) for a in node.args)
                products = [a * b for a in self.ends(first) for b in self.ends(other)]
                if first == other:
                    squares = [a * a for a in self.ends(first)]
                    low, high = self.ends(first)
                    return (Fraction(0) if low < 0 < high else min(squares)), max(squares)
                return min(products), max(products)
        raise AssertionError(node.op)

    def side(self, cell: Cell, *, gate: bool) -> int:
        """The sign of a unit; a gate at zero is not decided."""
        if sign := self.domain.signs.get(cell, 0):
            return sign
        low, high = self.ends(cell)
        if low > 0 or (low == 0 and not gate):
            return 1
        return -1 if high < 0 or (high == 0 and not gate) else 0

    def _form(self, cell: Cell) -> Linear:
        node, k = self.graph.nodes[cell[0]], cell[1]
        match node.op:
            case Input():
                return {self.graph.input_offsets[cell[0]] + k: Fraction(1)}
            case Const():
                return {-1: self.bias(*cell)}
            case Affine() | Concat():
                return added({-1: self.bias(*cell)}, [
                    (c, self.form(other)) for other, c in self.summed(cell)])
            case Relu() | Step():
                z = node.args[0], k
                side = self.side(z, gate=isinstance(node.op, Step))
                if side == 0:
                    return {cell: Fraction(1)}
                return self.form(z) if side > 0 and isinstance(node.op, Relu) else {
                    -1: Fraction(side > 0 and isinstance(node.op, Step))}
            case Gate() | Mul():
                for one, other in (node.args, reversed(node.args)):
                    low, high = self.ends((one, k))
                    if low == high:
                        return added({}, [(low, self.form((other, k)))]) if low else {}
                    if not any(self.form((other, k)).values()) and isinstance(node.op, Gate):
                        return {}
                return {cell: Fraction(1)}
        raise AssertionError(node.op)

    def of(self, form: Form) -> Linear:
        return added({-1: form.const}, [(c, self.form(cell)) for cell, c in form.terms])

    def least(self, form: Linear) -> Fraction:
        """Over the box; what is not decided has to have cancelled."""
        total = form.get(-1, Fraction(0))
        for i, c in form.items():
            if isinstance(i, tuple):
                if c:
                    raise UndecidedError(i)
            elif i >= 0:
                total += min(c * self.domain.lo[i], c * self.domain.hi[i])
        return total


def added(start: Linear, parts: list[tuple[Fraction, Linear]]) -> Linear:
    out = dict(start)
    for factor, form in parts:
        for i, c in form.items():
            out[i] = out.get(i, Fraction(0)) + factor * c
    return out


# --- proofs -----------------------------------------------------------------------------------


def domains(problem: Problem, closed: Closed) -> Iterator[tuple[int, Domain]]:
    """The nodes of a proof with their domains."""
    proof: Proof = closed.proof
    stack = [(0, Domain(problem, list(problem.region.lo), list(problem.region.hi)))]
    while stack:
        k, domain = stack.pop()
        to_whole(domain)
        yield k, domain
        for place, child in enumerate(proof.nodes[k].children or ()):
            node, part = proof.nodes[child], domain.part()
            if node.gate is not None:
                assert node.sign == (1, -1)[place]
                part.signs[closed.layout.name(node.gate)] = node.sign
            else:
                assert node.dimension is not None
                side = part.lo if place == 0 else part.hi
                above = node.whole and place == 0
                side[node.dimension] = Fraction(node.at) + above
            stack.append((child, part))


def to_whole(domain: Domain) -> None:
    """Shrink a box to the whole numbers in it, and to what its one-hot groups leave."""
    region, lo, hi = domain.problem.region, domain.lo, domain.hi
    for i in {*region.integers, *(i for group in region.one_hot for i in group)}:
        lo[i], hi[i] = Fraction(math.ceil(lo[i])), Fraction(math.floor(hi[i]))
    for group in region.one_hot:
        possible = [i for i in group if hi[i] >= 1]
        chosen = [i for i in group if lo[i] >= 1] or (possible if len(possible) == 1 else [])
        for i in group if chosen else ():
            lo[i], hi[i] = (Fraction(i == chosen[0]),) * 2


def value(problem: Problem, closed: Closed, domain: Domain, bound: AtomBound) -> Fraction:
    """What a bound's multipliers give; they must be positive fractions of what the domain has."""
    plain, parts = domain.decided(), []
    weights = dict(bound.more) if bound.row < 0 else {bound.row: Fraction(1), **bound.more}
    for row, weight in weights.items():
        assert isinstance(weight, Fraction)
        assert weight > 0
        parts.append((weight, plain.of(-closed.atoms[row].form)))
    for key, multipliers in bound.params.items():
        assert isinstance(multipliers, dict)
        for k, factor in multipliers.items():
            assert isinstance(factor, Fraction)
            assert factor > 0
            if key == REGION_ROWS:
                row = problem.region.rows[k]
                parts.append((-factor, {-1: row.rhs, **{i: -c for i, c in row.coefs.items()}}))
            else:
                assert key.kind is ParameterKind.BETA
                cell = key.node, k
                parts.append((-factor * domain.signs[cell], plain.form(cell)))
    return plain.least(added({}, parts))


def verify(problem: Problem, closed: Closed) -> int:
    """Check every exact bound of a proof, and that the leaves that have some are closed by them and
    by what floats have shown; the number of bounds."""
    if not closed.proof.nodes:
        return 0  # closed at the root
    count, known = 0, dict[int, set[int]]()
    for k, domain in domains(problem, closed):
        node = closed.proof.nodes[k]
        false = set(known.get(node.parent, ()))
        together, empty, exact = list[set[int]](), False, [b for b in node.bounds if b.exact]
        for bound in exact:
            found = value(problem, closed, domain, bound)
            count += 1
            strict = bound.row >= 0 and closed.atoms[bound.row].strict
            assert found > 0 or (found == 0 and strict)
            assert float(found) == bound.value
            empty |= bound.row < 0
            if bound.row >= 0 and bound.more:
                together.append({bound.row, *bound.more})
            elif bound.row >= 0:
                false.add(bound.row)
        false |= {b.row for b in node.bounds if not b.exact and b.value > 0}
        known[k] = false
        if exact and node.children is None and node.closed:
            assert empty or is_false(problem, closed, false, together)
    return count


def is_false(
    problem: Problem, closed: Closed, false: set[int], together: list[set[int]]
) -> bool:
    """Whether the violated claim cannot be true; as soon as bounds at the root have left atoms out,
    this does not look any closer."""
    violation = problem.violation()
    if set(atoms(violation)) != set(closed.atoms):
        return True
    number = {a: k for k, a in enumerate(closed.atoms)}

    def possible(without: set[int]) -> bool:
        return truth(violation, lambda atom: number[atom] not in without)

    return not possible(false) or any(
        not any(possible(false | {k}) for k in some) for some in together)


def truth(formula: Formula, of: Callable[[Atom], bool]) -> bool:
    return fold(formula, of, lambda junction, parts: sum(parts) >= junction.needed)
