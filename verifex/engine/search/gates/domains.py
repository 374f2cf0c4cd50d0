"""The open domains of a search as one batch of arrays, one line a domain."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from verifex.engine.bounds.facts import pack
from verifex.engine.bounds.layout import DomainFacts
from verifex.engine.search.record import AtomBound, Proof
from verifex.ir.exact import FloatArray
from verifex.semantics.parameters import Parameter
from verifex.semantics.support.whole import WholeFeatures

Flags = NDArray[np.bool_]
Places = NDArray[np.intp]
Column = NDArray[Any]
"""A column of Python objects: what is of a different size for every domain."""

SEEN = 48
"""Activation patterns that a domain keeps."""


@dataclass(frozen=True)
class WarmStart:
    """Relaxation parameters (k, size each) with which the bounds of the forms `rows` (k,), which
    rise, were found last: their bounds on the children begin there."""

    rows: NDArray[np.int32]
    params: dict[Parameter, FloatArray]

    @property
    def size(self) -> int:
        """Bytes."""
        return sum(v.nbytes for v in self.params.values())


@dataclass
class Domains:
    """N parts of the region. All columns have N lines; who may write a column is named with it.

    The search: `lo`, `hi` (N, inputs), the input boxes; `signs` (N, gates), +1 where z >= 0 was
    split off, -1 where z <= 0 was, 0 elsewhere; `node`, `tree` (N,), the places in the proof;
    `value` (N,), the least lower bound of an open row; `gate`, `dimension` (N,), what is split
    next, -1 where it is not that; `rows`, the forms that are still open on a domain, as arrays that
    rise, with their last known lower bounds in `bounds`; `warm`, a `WarmStart` or None.
    The policy: `false` (N, forms), the atoms that are false here (no column where it needs none).
    Refresh: `wait` (N, 2, gates), for how many splits more the lower and the upper end of a
    pre-activation are not worth a linear program; `seen`, activation patterns (k, gates) of points
    that lie in the domain, or None; `own`, bounds of nodes that only this domain uses, with the
    lines in `pending` that prove them.
    Refresh and Tighten: `kept`, bounds of nodes proven here or above, which children inherit.
    Tighten: `tight` (N,), how many gates had been split on when bounds were last tightened;
    `starts`, by node and by 2 * element (+ 1 for the lower bound), parameters to begin with next.

    `kept` and `own` map a node to (lo, hi), both (size,), infinite where nothing is known.
    """

    lo: FloatArray
    hi: FloatArray
    signs: NDArray[np.int8]
    node: Places
    tree: Places
    value: FloatArray
    gate: Places
    dimension: Places
    tight: Places
    false: Flags
    wait: NDArray[np.int8]
    rows: Column
    bounds: Column
    warm: Column
    kept: Column
    own: Column
    pending: Column
    seen: Column
    starts: Column

    def __len__(self) -> int:
        return len(self.lo)

    def take(self, picked: Any) -> Domains:
        """Some of the domains, by numbers or a mask (copies), or by a slice (views)."""
        return Domains(*(getattr(self, name)[picked] for name in COLUMNS))

    def put(self, places: Places, other: Domains) -> None:
        """Overwrite lines with those of another batch."""
        for name in COLUMNS:
            getattr(self, name)[places] = getattr(other, name)

    def blank(self, count: int) -> Domains:
        """So many lines without content, with columns as wide as these."""
        return Domains(*(
            np.zeros((count, *getattr(self, name).shape[1:]), getattr(self, name).dtype)
            for name in COLUMNS))

    def forget(self, places: Places) -> None:
        """Let go of the objects in some lines, which count no longer."""
        for name in COLUMNS:
            if getattr(self, name).dtype == object:
                getattr(self, name)[places] = None

    def narrow(self, place: int, rows: NDArray[np.intp]) -> None:
        """Leave only these rows (which rise) open on one domain."""
        if len(rows) == len(self.rows[place]):
            return
        left = np.isin(self.rows[place], rows, assume_unique=True)
        self.rows[place], self.bounds[place] = self.rows[place][left], self.bounds[place][left]

    def split(self, whole: WholeFeatures | None = None) -> Domains:
        """Both halves of every domain, two by two, that above the split first; `whole` features at
        n and n + 1, all others in the middle.

        Halves inherit bounds of nodes and warm starts, but not what only one domain uses."""
        twice = np.repeat(np.arange(len(self)), 2)
        out, sign = self.take(twice), np.tile(np.array([1, -1], dtype=np.int8), len(self))
        on_gate = np.flatnonzero(out.gate >= 0)
        out.signs[on_gate, out.gate[on_gate]] = sign[on_gate]
        by_side = np.flatnonzero(out.gate < 0)
        side = out.dimension[by_side]
        low, high = out.lo[by_side, side], out.hi[by_side, side]
        above = below = (low + high) / 2
        if whole is not None:
            at = whole.middle(low, high)
            below = np.where(whole.splits[side], at, below)
            above = np.where(whole.splits[side], at + 1, above)
        up = sign[by_side] > 0
        out.lo[by_side[up], side[up]], out.hi[by_side[~up], side[~up]] = above[up], below[~up]
        out.wait -= out.wait > 0
        out.own, out.pending = objects({} for _ in twice), objects([] for _ in twice)
        for k, seen in enumerate(out.seen):
            if seen is not None:
                # Where an input was halved nothing tells the points of the halves apart.
                mine = seen[:, out.gate[k]] == (sign[k] > 0)
                out.seen[k] = seen[mine][:SEEN] if out.gate[k] >= 0 else None
        out.gate[:], out.dimension[:] = -1, -1
        return out


COLUMNS = tuple(field.name for field in fields(Domains))


def objects(values: Iterable[Any]) -> Column:
    """A column of objects; numpy would make one array of arrays that are equally long."""
    listed = list(values)
    out = np.empty(len(listed), dtype=object)
    for k, value in enumerate(listed):
        out[k] = value
    return out


def concatenate(parts: Sequence[Domains]) -> Domains:
    """All domains of some batches, at least one."""
    if len(parts) == 1:
        return parts[0]
    return Domains(*(np.concatenate([getattr(p, name) for p in parts]) for name in COLUMNS))


def whole(
    lo: FloatArray,
    hi: FloatArray,
    signs: NDArray[np.int8],
    rows: Sequence[Sequence[int]],
    *,
    forms: int = 0,
    waits: bool = False,
) -> Domains:
    """Domains (N, ...) that a search begins with: nothing is known of them, each has its `rows`
    open, and each is a tree of its own.

    `forms`: the width of the column `false`; `waits`: whether there is a column `wait`.
    """
    count, gates = signs.shape
    none = np.full(count, -1, dtype=np.intp)
    numbers = objects(np.asarray(r, dtype=np.int32) for r in rows)
    unknown = objects(np.full(len(r), -np.inf) for r in rows)
    return Domains(
        lo=lo, hi=hi, signs=signs, node=none.copy(), tree=np.arange(count),
        value=np.full(count, -np.inf), gate=none.copy(), dimension=none.copy(),
        tight=np.zeros(count, dtype=np.intp), false=np.zeros((count, forms), dtype=bool),
        wait=np.zeros((count, 2, gates if waits else 0), dtype=np.int8),
        rows=numbers, bounds=unknown, warm=objects(None for _ in rows),
        kept=objects({} for _ in rows), own=objects({} for _ in rows),
        pending=objects([] for _ in rows), seen=objects(None for _ in rows),
        starts=objects({} for _ in rows),
    )


@dataclass(frozen=True)
class RowBounds:
    """Lower bounds `value` (R,) of forms `row` (R,) on the domains `place` (R,) of a batch."""

    place: Places
    row: Places
    value: FloatArray


NO_BOUNDS = RowBounds(
    np.zeros(0, dtype=np.intp), np.zeros(0, dtype=np.intp), np.zeros(0, dtype=np.float64))


@dataclass(frozen=True)
class Sides:
    """Ends of one node's elements: `sign[r] * z[element[r]]` on domain `domain[r]`, each (R,)."""

    domain: Places
    element: Places
    sign: FloatArray

    def of(self, picked: Places) -> Sides:
        """Some of the rows."""
        return Sides(self.domain[picked], self.element[picked], self.sign[picked])

    def start(self, size: int) -> FloatArray:
        """Their coefficients (R, size) at the node."""
        start = np.zeros((len(self.domain), size))
        start[np.arange(len(start)), self.element] = self.sign
        return start

    def tighter(self, value: FloatArray, low: FloatArray, high: FloatArray) -> Flags:
        """Which lower bounds (R,) are worth a line beside a node's bounds (domains, size)."""
        at = self.domain, self.element
        old, width = np.where(self.sign > 0, low[at], -high[at]), high[at] - low[at]
        return np.asarray(value > old + _GAIN * width)


_GAIN = 0.02
"""A bound that is not tighter by this part of the width is not worth a line."""


def local_facts(domains: Domains, *, own: bool = True) -> DomainFacts:
    """The bounds of nodes that the domains know, stacked for an interval pass; without `own`, only
    those inherited."""
    nothing: dict[int, tuple[FloatArray, FloatArray]] = {}
    sets: list[tuple[Mapping[int, tuple[FloatArray, FloatArray]], ...]] = [
        (kept, mine if own else nothing)
        for kept, mine in zip(domains.kept, domains.own, strict=True)
    ]
    sizes = {i: v[0].shape for pair in sets for part in pair for i, v in part.items()}
    out = {}
    for i, shape in sizes.items():
        low, high = (np.full((len(domains), *shape), v) for v in (-np.inf, np.inf))
        for k, pair in enumerate(sets):
            for part in pair:
                if i in part:
                    np.maximum(low[k], part[i][0], out=low[k])
                    np.minimum(high[k], part[i][1], out=high[k])
        out[i] = low, high
    return out


def stacked_warm(domains: Domains, place: Places, row: Places) -> dict[Parameter, FloatArray]:
    """The parents' parameters for rows (R,) on domains (R,), which come domain by domain; what a
    parent does not have is zero there."""
    first = next((w for w in domains.warm[np.unique(place)] if w is not None), None)
    if first is None:
        return {}
    stacked = {
        key: np.zeros((len(place), value.shape[1])) for key, value in first.params.items()}
    for k, mine in by_domain(place):
        warm: WarmStart | None = domains.warm[k]
        if warm is None:
            continue
        known: slice | Flags = slice(None)
        at: slice | Places = slice(None)
        if len(warm.rows) != mine.stop - mine.start or (warm.rows != row[mine]).any():
            at = np.searchsorted(warm.rows, row[mine]).clip(max=len(warm.rows) - 1)
            known = warm.rows[at] == row[mine]
            at = at[known]
        for key, value in stacked.items():
            if key in warm.params:
                value[mine][known] = warm.params[key][at]
    return stacked


def by_domain(place: Places) -> Iterator[tuple[int, slice]]:
    """Each domain with the lines of its rows, of rows on the domains (R,), which come domain by
    domain."""
    if len(place):
        ends = [0, *(np.flatnonzero(np.diff(place)) + 1).tolist(), len(place)]
        for start, stop in itertools.pairwise(ends):
            yield int(place[start]), slice(start, stop)


def attach(proof: Proof, domains: Domains, place: int, bound: AtomBound) -> None:
    """Keep a bound for the certificate, after the facts that it rests on.

    Those facts then hold for children too. Facts of later nodes go first: each was derived
    without the domain's other own facts.
    """
    node = proof.nodes[domains.node[place]]
    if domains.pending[place]:
        node.facts += domains.pending[place][::-1]
        known = local_facts(domains.take(slice(place, place + 1)))
        domains.kept[place] = {i: (low[0], high[0]) for i, (low, high) in known.items()}
        domains.pending[place], domains.own[place] = [], {}
    node.bounds.append(bound)


def attach_last(proof: Proof, domains: Domains, place: int) -> bool:
    """Keep for the certificate the last bounds of a domain's open rows; whether it has any."""
    warm: WarmStart | None = domains.warm[place]
    if warm is None or domains.node[place] < 0:
        return False
    known = dict(zip(domains.rows[place].tolist(), domains.bounds[place].tolist(), strict=True))
    for k, row in enumerate(warm.rows.tolist()):
        if row in known:
            packed = pack({key: v[k] for key, v in warm.params.items()})
            attach(proof, domains, place, AtomBound(row, known[row], packed))
    return bool(len(warm.rows))
