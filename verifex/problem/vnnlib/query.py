"""From a violated claim, which is what a VNN-LIB query asks for, to a `Problem` and its parts.

The region is the smallest box that contains what the claim says about single inputs; the checker
derives the same one (certificate/format.md, section 2).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import ceil, floor
from typing import TypeAlias

from verifex.errors import InputError, UnsupportedError
from verifex.ir.formula import TRUE, And, Atom, Cell, Form, Formula, Or, negate
from verifex.ir.graph import Graph
from verifex.ir.linmap import Gather
from verifex.ir.ops import Affine
from verifex.ir.problem import Problem
from verifex.ir.region import Region

Ends: TypeAlias = tuple[Fraction | None, Fraction | None]
"""A lower and an upper bound; None where there is none."""

_Row: TypeAlias = "tuple[list[tuple[int, Fraction]], Fraction]"
"""Flat inputs with coefficients, and a constant: their sum is at least 0."""

Hull: TypeAlias = dict[int, Ends]
"""Flat input -> what is known of it."""

MAX_PARTS = 4096
MAX_ROUNDS = 10
MAX_WORK = 200_000
"""Terms of linear atoms that are looked at for bounds that follow: half a second or so."""
_GRID = 10**40
"""Bounds that follow are decimals of 40 places, so that they stay short and can be written."""


def trace(graph: Graph, cell: Cell) -> Cell:
    """The input element that an element is a copy of; the element itself where it is no copy.

    Copies are followed through steps that only move elements, such as Reshape and Transpose.
    """
    node, index = cell
    while node not in graph.inputs:
        op = graph.nodes[node].op
        move = op.maps[0] if isinstance(op, Affine) and len(op.maps) == 1 else None
        if not isinstance(op, Affine) or op.bias is not None or not isinstance(move, Gather):
            return cell
        node, index = graph.nodes[node].args[0], int(move.index.flat[index])
        if index < 0:
            return cell
    return node, index


def flat_inputs(graph: Graph) -> dict[Cell, int]:
    """The place of every input element in the flat input vector."""
    offsets = graph.input_offsets
    return {
        (node, k): offsets[node] + k for node in graph.inputs for k in range(graph.nodes[node].size)
    }


def hull(formula: Formula, flat: Mapping[Cell, int]) -> Hull:
    """What follows from a formula about single inputs: the box of the points that may satisfy it.

    Exact; the same rule as the checker's. Parts of an `or` are joined by their hull.
    """
    match formula:
        case Atom():
            return _atom_hull(formula, flat)
        case And():
            return _intersect([hull(p, flat) for p in formula.parts])
        case Or():
            return _join([hull(p, flat) for p in formula.parts])
        case _:
            return {}


def with_implied(formula: And, graph: Graph) -> And:
    """The same claim with the bounds of single inputs that its linear atoms imply as atoms.

    Equivalent to it. A box is found where `|X - Z| <= 0.01` bounds Z by means of X; the checker,
    which knows no more than `hull`, finds it in what the translation says of the box.
    """
    flat = flat_inputs(graph)
    # What the checker finds by itself needs no atom.
    known = hull(formula, flat)
    found = dict(known)
    _propagate(_rows(formula, flat), found)
    more = list[Atom]()
    for cell, i in flat.items():
        (lo, hi), (a, b) = found.get(i, (None, None)), known.get(i, (None, None))
        if lo is not None and lo != a:
            more.append(Atom(Form.of({cell: 1}, -lo)))
        if hi is not None and hi != b:
            more.append(Atom(Form.of({cell: -1}, hi)))
    return And((*formula.parts, *more))


def _rows(formula: Formula, flat: Mapping[Cell, int]) -> list[_Row]:
    """The conjuncts about several inputs and nothing else."""
    if isinstance(formula, And):
        return [row for p in formula.parts for row in _rows(p, flat)]
    if not isinstance(formula, Atom) or len(formula.form.terms) < 2:
        return []
    if not all(cell in flat for cell, _ in formula.form.terms):
        return []
    return [([(flat[cell], c) for cell, c in formula.form.terms], formula.form.const)]


def _propagate(rows: Sequence[_Row], found: Hull) -> None:
    """Sharpen the bounds in `found` by rows until nothing moves, or the work is too much."""
    # Bounded in rounds and in work: such bounds may creep towards their limit for ever.
    work, moved = 0, {i for terms, _ in rows for i, _ in terms}
    for _ in range(MAX_ROUNDS):
        last, moved = moved, set[int]()
        for terms, const in rows:
            if not any(i in last or i in moved for i, _ in terms):
                continue
            work += len(terms)
            if work > MAX_WORK:
                return
            moved |= _sharpen(terms, const, found)
        if not moved:
            return


def _sharpen(terms: Sequence[tuple[int, Fraction]], const: Fraction, found: Hull) -> set[int]:
    """Sharpen each input's bound by `sum c x + const >= 0` and the bounds of the others.

    Returns the inputs whose bounds moved.
    """
    most = [(e, c) for i, c in terms for e in [found.get(i, (None, None))[1 if c > 0 else 0]]]
    # With two unbounded inputs in a row neither is bounded by it; with one, only that one is.
    open_ends = [k for k, (e, _) in enumerate(most) if e is None]
    if len(open_ends) > 1:
        return set()
    whole = const + sum((c * e for e, c in most if e is not None), Fraction(0))
    moved = set[int]()
    for k in open_ends or range(len(terms)):
        i, c = terms[k]
        end = most[k][0]
        edge = -(whole if end is None else whole - c * end) / c
        at = _outward(edge, c < 0)
        lo, hi = found.get(i, (None, None))
        if c > 0 and (lo is None or at > lo):
            found[i] = (at, hi)
        elif c < 0 and (hi is None or at < hi):
            found[i] = (lo, at)
        else:
            continue
        moved.add(i)
    return moved


def _outward(edge: Fraction, upper: bool) -> Fraction:
    """A lower or an upper bound, on the grid."""
    if _GRID % edge.denominator == 0:
        return edge
    return Fraction(ceil(edge * _GRID) if upper else floor(edge * _GRID), _GRID)


def _atom_hull(atom: Atom, flat: Mapping[Cell, int]) -> Hull:
    if len(atom.form.terms) != 1:
        return {}
    ((cell, c),) = atom.form.terms
    i = flat.get(cell)
    if i is None:
        return {}
    at = _edge(atom)
    return {i: (at, None) if c > 0 else (None, at)}


def _edge(atom: Atom) -> Fraction:
    """Where an atom of one term `c x + const` is zero."""
    c, const = atom.form.terms[0][1], atom.form.const
    return -const if c == 1 else const if c == -1 else -const / c


def _intersect(parts: Sequence[Hull]) -> Hull:
    out: Hull = {}
    for part in parts:
        for i, (lo, hi) in part.items():
            a, b = out.get(i, (None, None))
            out[i] = (
                a if lo is None else lo if a is None else max(a, lo),
                b if hi is None else hi if b is None else min(b, hi),
            )
    return out


def _join(parts: Sequence[Hull]) -> Hull:
    if not parts:
        return {}
    out: Hull = {}
    for i in set(parts[0]).intersection(*parts[1:]):
        lows, highs = [p[i][0] for p in parts], [p[i][1] for p in parts]
        known_lo, known_hi = ([v for v in side if v is not None] for side in (lows, highs))
        out[i] = (
            min(known_lo) if len(known_lo) == len(parts) else None,
            max(known_hi) if len(known_hi) == len(parts) else None,
        )
    return out


def box_of(
    found: Hull, size: int, names: Sequence[str], reach: Fraction | None = None
) -> tuple[tuple[Fraction, ...], tuple[Fraction, ...], bool]:
    """(lower ends, upper ends, whether there is a point at all) of a box bounded on all sides.

    Where the ends contradict each other both are the lower one. An input that has no bound is an
    UnsupportedError, or ends `reach` from its other bound (from 0).
    """
    lo, hi, inhabited = [], [], True
    for i in range(size):
        a, b = found.get(i, (None, None))
        if reach is not None:
            low, high = (b or Fraction(0)) - reach, (a or Fraction(0)) + reach
            a, b = low if a is None else a, high if b is None else b
        if a is None or b is None:
            side = "lower" if a is None else "upper"
            raise UnsupportedError(f"{names[i]} has no {side} bound", expected="a bounded input")
        # An empty side does not stop: the claim holds trivially, and the region must still be a
        # box.
        inhabited &= a <= b
        lo.append(a)
        hi.append(max(a, b))
    return tuple(lo), tuple(hi), inhabited


def reduce(
    formula: Formula, flat: Mapping[Cell, int], lo: Sequence[Fraction], hi: Sequence[Fraction]
) -> Formula:
    """The formula without what every point of the box satisfies (conjuncts over inputs alone).

    Exact. What is left reads the same nodes besides the inputs.
    """
    if _certain(formula, flat, lo, hi):
        return TRUE
    match formula:
        case And():
            # True conjuncts go; a conjunction of none is true and was seen above.
            kept = [p for p in (reduce(p, flat, lo, hi) for p in formula.parts) if p != TRUE]
            return kept[0] if len(kept) == 1 else And(tuple(kept))
        case Or():
            kept = [reduce(p, flat, lo, hi) for p in formula.parts]
            return kept[0] if len(kept) == 1 else Or(tuple(kept))
        case _:
            return formula


def _certain(
    formula: Formula, flat: Mapping[Cell, int], lo: Sequence[Fraction], hi: Sequence[Fraction]
) -> bool:
    """Whether an atom over inputs holds on the whole box."""
    if isinstance(formula, And):
        return all(_certain(p, flat, lo, hi) for p in formula.parts)
    if not isinstance(formula, Atom):
        return False
    if len(formula.form.terms) == 1 and not formula.strict:  # nearly all of them: no arithmetic
        ((cell, c),) = formula.form.terms
        i = flat.get(cell)
        return i is not None and (lo[i] >= _edge(formula) if c > 0 else hi[i] <= _edge(formula))
    least = formula.form.const
    for cell, c in formula.form.terms:
        i = flat.get(cell)
        if i is None:
            return False
        least += c * (lo[i] if c > 0 else hi[i])
    return least > 0 if formula.strict else least >= 0


def build(
    graph: Graph, violated: Formula, names: Sequence[str], title: str, notes: tuple[str, ...] = (),
    reach: Fraction | None = None,
) -> Problem:
    """The problem whose counterexamples are the points that satisfy `violated`.

    `names` are those of the flat inputs. With `reach`, inputs without a bound are cut off there
    (see `box_of`): what holds on that box is then no answer, only a counterexample is. Atoms that
    hold on the whole box are left out of the problem's claim.
    """
    if len(names) != graph.input_size:
        raise miscounted(graph.input_size, "inputs", len(names))
    flat = flat_inputs(graph)
    lo, hi, inhabited = box_of(hull(violated, flat), graph.input_size, names, reach)
    # On an empty box the ends are not those of the claim, so nothing may be left out.
    left = reduce(violated, flat, lo, hi) if inhabited else violated
    region = Region(lo, hi, names=tuple(names))
    region.require_whole(graph.whole_inputs)
    return Problem(graph, region, negate(left), name=title, notes=notes)


def miscounted(size: int, what: str, declared: int) -> InputError:
    """The error of a query that declares another number of inputs, or outputs, than there are."""
    verb = {"inputs": "takes", "outputs": "gives"}.get(what, "has")
    return InputError(f"the network {verb} {size} {what}, the query declares {declared}",
                      expected=f"{size}")


def is_bounded(violated: Formula, graph: Graph) -> bool:
    """Whether a claim bounds every input on both sides."""
    found = hull(violated, flat_inputs(graph))
    return len(found) == graph.input_size and all(None not in ends for ends in found.values())


# --- for engines: the parts of a query -------------------------------------------------------


@dataclass(frozen=True)
class Part:
    """A box, and what is to be satisfied in it: the query is satisfied where some part is."""

    lo: tuple[Fraction, ...]
    hi: tuple[Fraction, ...]
    violated: Formula


def parts(problem: Problem) -> tuple[Part, ...]:
    """A problem's violated claim, split at those `or`s whose parts say different things of inputs.

    Never splits into more than `MAX_PARTS`; ors over outputs stay as they are. The parts together
    are equivalent to the claim over the region's box; rows and balls of the region hold in each.
    """
    graph, region = problem.graph, problem.region
    flat = flat_inputs(graph)
    out = []
    for f in _split(problem.violation(), flat):
        found = _intersect([hull(f, flat), {i: (a, b) for i, (a, b) in enumerate(
            zip(region.lo, region.hi, strict=True))}])
        lo, hi, inhabited = box_of(found, region.size, region.names or ["an input"] * region.size)
        if inhabited:
            out.append(Part(lo, hi, reduce(f, flat, lo, hi)))
    return tuple(out)


def _split(formula: Formula, flat: Mapping[Cell, int]) -> list[Formula]:
    match formula:
        case Or() if len({tuple(sorted(hull(p, flat).items())) for p in formula.parts}) > 1:
            return [q for p in formula.parts for q in _split(p, flat)]
        case And():
            out: list[list[Formula]] = [[]]
            for p in formula.parts:
                mine = _split(p, flat)
                if len(out) * len(mine) > MAX_PARTS:
                    # Too many parts: this disjunction stays whole, which is as right and less
                    # sharp.
                    mine = [p]
                out = [[*done, q] for done in out for q in mine]
            return [And(tuple(done)) for done in out]
        case _:
            return [formula]
