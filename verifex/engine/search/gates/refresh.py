"""Bounds of gates' pre-activations derived again on every domain, where splits made them tighter.

One backward pass a bound, without optimisation; the multipliers of the splits come from small
linear programs. Three things prune the search: a domain that has no point is closed, a gate that
became decided is never split, and tighter bounds of what depends on gates make better relaxations.

Programs are only solved where they may decide something: a gate whose both signs have been seen at
points of the domain stays open, and a domain in which a point is known is not empty.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from verifex.engine.bounds import batched_lp
from verifex.engine.bounds.bounder import Effort, Params
from verifex.engine.bounds.facts import Packed, pack
from verifex.engine.bounds.half_spaces import HalfSpaces
from verifex.engine.bounds.layout import IntermediateBounds, Layout
from verifex.engine.bounds.root import to_rows
from verifex.engine.search.gates.domains import SEEN, Domains, Flags, Sides, local_facts
from verifex.engine.search.gates.lookahead import GATES
from verifex.engine.search.gates.policy import (
    SearchContext,
    SearchOptions,
    Tightened,
    still_open,
)
from verifex.engine.search.gates.tighten import behind
from verifex.engine.search.record import AtomBound, LocalFacts
from verifex.ir.exact import FloatArray
from verifex.ir.ops import Gate, Step
from verifex.semantics.evaluate import evaluate_float
from verifex.semantics.linear import Rows
from verifex.semantics.parameters import Parameter
from verifex.semantics.support.balls import inside

_ROOT, _FEW = 2, 1
"""Iterations for bounds at the root, and on a domain."""

_PATIENT, _EAGER = 32.0, 8.0
"""Splits to wait before a gate's LP is tried again, by how far the last try was from deciding it;
fewer where the cells of the first layer are enumerated, and an empty one that is not seen costs
much."""

_INPUTS, _GATES = 64, 512
"""Larger networks are not refreshed: the programs grow with inputs times splits."""


def suits(layout: Layout) -> bool:
    """Whether a search of this graph should refresh its domains."""
    return layout.graph.input_size <= _INPUTS and 0 < layout.gates <= _GATES


def lightened(options: SearchOptions, layout: Layout) -> SearchOptions:
    """The options with `refresh` decided; with it, less is optimised at the root and below it.

    Bounds at the root are only a start then, and the programs find the multipliers of splits.
    Without, the search looks ahead: there a domain costs far more than the bounds of its halves;
    and it tightens bounds, unless no gate lies behind another (or the options say not to).
    """
    refresh = suits(layout) if options.refresh is None else options.refresh
    if not refresh:
        ahead = GATES if options.ahead is None else options.ahead
        tighten = options.tighten is not False and bool(behind(layout))
        return replace(options, refresh=False, ahead=ahead, tighten=tighten)
    first, later = options.root_effort, options.effort
    if first.iterations > _ROOT:
        first = Effort(_ROOT, first.step, 0.9)
    return replace(
        options,
        refresh=True,
        tighten=False,
        root_effort=first,
        effort=replace(later, iterations=min(_FEW, later.iterations)),
    )


@dataclass
class _Refreshing:
    """Domains that are refreshed together: the bounds of their nodes, the half-spaces of their
    splits, and which of them have been found to be empty (N,)."""

    domains: Domains
    bounds: IntermediateBounds
    half_spaces: HalfSpaces
    empty: Flags


class Refresh:
    """Refreshes domains of one search."""

    def __init__(self, context: SearchContext) -> None:
        self.context, self.layout, self.bounder = context, context.layout, context.bounder
        self.patience = _PATIENT
        nodes = context.layout.graph.nodes
        self._inner = {
            z: any(isinstance(nodes[i].op, Step | Gate)
                   for i in context.layout.graph.ancestors([z]))
            for z in context.layout.offsets
        }

    def enumerate_cells(self) -> None:
        """From now on, cells of the first layer are split apart before anything else is."""
        self.patience = _EAGER

    def patterns(self, points: FloatArray) -> Flags:
        """Activation patterns (k, gates) of points (k, n): True where z > 0."""
        zs = list(self.layout.offsets)
        values = evaluate_float(self.layout.graph, points, zs)
        return np.concatenate([values[z].reshape(len(points), -1) > 0 for z in zs], axis=1)

    def tighten(self, domains: Domains) -> Tightened:
        """Put new facts into the domains and close those that have no point. The half-spaces of
        their splits are given as the domains were before (which is sound)."""
        lo, hi, signs = domains.lo, domains.hi, domains.signs
        bounds = self.layout.propagate(
            lo, hi, signs, local=local_facts(domains, own=False))
        half_spaces = self.context.half_spaces.of_splits(bounds, lo, hi, signs)
        batch = _Refreshing(domains, bounds, half_spaces, bounds.empty.copy())
        self._find_empty(batch)
        for z in self.layout.offsets:
            self._node(batch, z)
        closed, again = still_open(domains)
        closed[batch.empty] = "empty"
        return Tightened(closed, again, half_spaces)

    # --- empty domains ----------------------------------------------------------------------------

    def _find_empty(self, batch: _Refreshing) -> None:
        """Domains without known points: a point, or multipliers that contradict each other."""
        unknown = [seen is None or not len(seen) for seen in batch.domains.seen]
        k = np.flatnonzero(np.array(unknown) & ~batch.empty)
        if not len(k) or not batch.half_spaces.a.shape[1]:
            return
        domains, half_spaces = batch.domains, batch.half_spaces.of(k)
        lo, hi = domains.lo[k], domains.hi[k]
        found = batched_lp.minimise(np.zeros_like(lo), half_spaces.a, half_spaces.b, lo, hi)
        self._visit(batch, k[~found.empty & found.done], found.x[~found.empty & found.done])
        none = np.flatnonzero(found.empty)
        if len(none):
            zs = list(self.layout.offsets)
            start = {
                z: np.zeros((len(none), self.layout.graph.nodes[z].size))
                for z in zs
            }
            rows = to_rows(batch.bounds, k[none], self.layout, domains.signs)
            params = self.bounder.start(rows, zs)
            self.context.half_spaces.place(params, half_spaces.of(none), found.duals[none])
            value, _, _ = self.bounder.evaluate(rows, start, params, lo[none], hi[none])
            for r, at in enumerate(k[none].tolist()):
                if value[r] > 1e-9:
                    batch.empty[at] = True
                    self._say_empty(domains, at, float(value[r]), params, r)

    def _say_empty(
        self, domains: Domains, place: int, value: float, params: Params, row: int
    ) -> None:
        """The line that shows that a domain has no point."""
        if self.context.options.record:
            packed = pack({key: v[row] for key, v in params.items()})
            bound = AtomBound(-1, value, packed)
            self.context.proof.nodes[domains.node[place]].bounds.append(bound)

    def _visit(self, batch: _Refreshing, places: NDArray[np.intp], points: FloatArray) -> None:
        """Points found on the way: their patterns count where they lie in their domain."""
        if not len(places):
            return
        domains = batch.domains
        met = domains.rows[np.unique(places)]
        self.context.policy.candidates(points, np.unique(np.concatenate(met)).tolist())
        pattern = self.patterns(points)
        signs = domains.signs[places]
        mine = ((signs == 0) | (pattern == (signs > 0))).all(axis=1)
        for r in np.flatnonzero(mine & inside(self.bounder.balls, points)):
            seen = domains.seen[places[r]]
            if seen is None:
                domains.seen[places[r]] = pattern[r : r + 1]
            elif len(seen) < SEEN:
                domains.seen[places[r]] = np.concatenate([seen, pattern[r : r + 1]])

    # --- bounds -----------------------------------------------------------------------------------

    def _node(self, batch: _Refreshing, preact: int) -> None:
        """Bounds of one node's undecided elements, kept by the domains."""
        inner = self._inner[preact]
        asked, hopeful = self._asked(batch, preact, inner)
        if not len(asked.domain):
            return
        size = self.layout.graph.nodes[preact].size
        value, params = self._bounds(batch, preact, asked, asked.start(size), hopeful)
        value = value - 1e-9 * (1.0 + np.abs(value))
        decides = value >= 0
        low, high = batch.bounds.lo[preact], batch.bounds.hi[preact]
        own = asked.tighter(value, low, high) & inner & ~decides
        self._put(batch.domains, preact, asked, value, decides, own=False)
        self._put(batch.domains, preact, asked, value, own, own=True)
        if self.context.options.record:
            self._say(batch.domains, preact, asked, params, decides, own)
        if decides.any():
            domains, local = batch.domains, local_facts(batch.domains, own=False)
            batch.bounds = self.layout.propagate(
                domains.lo, domains.hi, domains.signs, local=local)
            batch.empty |= batch.bounds.empty

    def _asked(self, batch: _Refreshing, preact: int, inner: bool) -> tuple[Sides, Flags]:
        """Both sides of every open element, less those that points show to be open; `hopeful`
        marks sides that a program might decide."""
        at, size = self.layout.offsets[preact], self.layout.graph.nodes[preact].size
        low, high = batch.bounds.lo[preact], batch.bounds.hi[preact]
        open_ = (low < 0) & (high > 0) & ~batch.empty[:, None]
        open_ &= batch.domains.signs[:, at : at + size] == 0
        on, off = (np.zeros(open_.shape, dtype=bool) for _ in range(2))
        waits = batch.domains.wait[:, :, at : at + size]
        for k, seen in enumerate(batch.domains.seen):
            if seen is not None and len(seen):
                mine = seen[:, at : at + size]
                on[k], off[k] = mine.any(axis=0), ~mine.all(axis=0)
        parts = []
        for sign, contrary in ((1.0, off), (-1.0, on)):
            idle = contrary | (waits[:, 0 if sign > 0 else 1] > 0)
            rows, i = np.nonzero(open_ if inner else open_ & ~idle)
            parts.append((rows, i, np.full(len(rows), sign), ~idle[rows, i]))
        domain, element, signs, hopeful = (np.concatenate(v) for v in zip(*parts, strict=True))
        return Sides(domain, element, signs), hopeful

    def _bounds(
        self, batch: _Refreshing, preact: int, asked: Sides, start: FloatArray, hopeful: Flags
    ) -> tuple[FloatArray, Params]:
        """Lower bounds of the rows, first without split multipliers, then with the best ones."""
        domain = asked.domain
        rows = to_rows(batch.bounds, domain, self.layout, batch.domains.signs)
        lo = batch.domains.lo[domain]
        hi = batch.domains.hi[domain]
        params = self.bounder.start(rows, [preact])
        bare = Rows(rows.lo, rows.hi, domain, {})
        value, coefs, _ = self.bounder.evaluate_grouped(bare, {preact: start}, params, lo, hi)
        j = np.flatnonzero(hopeful & (value < 0))
        if len(j) and batch.half_spaces.a.shape[1]:
            half_spaces = batch.half_spaces.of(domain[j])
            found = batched_lp.minimise(coefs[j], half_spaces.a, half_spaces.b, lo[j], hi[j])
            some = {key: v[j] for key, v in params.items()}
            self.context.half_spaces.place(some, half_spaces, found.duals)
            part = Rows(rows.lo, rows.hi, domain[j], rows.split)
            better, _, _ = self.bounder.evaluate_grouped(
                part, {preact: start[j]}, some, lo[j], hi[j])
            use = better > value[j]
            value[j[use]] = better[use]
            reach = np.maximum((np.abs(coefs[j]) * (hi - lo)[j]).sum(axis=1), 1e-300)
            self._put_off(batch, preact, asked.of(j), better / reach)
            for key, v in some.items():
                params[key][j[use]] = v[use]
            good = np.flatnonzero(~found.empty & found.done & (better < 0))
            self._visit(batch, domain[j[good]], found.x[good])
        return value, params

    def _put_off(self, batch: _Refreshing, preact: int, asked: Sides, value: FloatArray) -> None:
        """Sides that a program did not decide are not asked about for some splits: the more, the
        farther their bound (in parts of what the form varies by over the box) is from zero; no
        number stands for no bound."""
        near = np.clip(np.nan_to_num(value, nan=-1.0), -1.0, 0.0)
        levels = (-self.patience * near).astype(np.int8)
        some = np.flatnonzero(levels > 0)
        side, at = (asked.sign[some] < 0).astype(np.intp), self.layout.offsets[preact]
        batch.domains.wait[asked.domain[some], side, at + asked.element[some]] = levels[some]

    def _put(
        self,
        domains: Domains,
        preact: int,
        asked: Sides,
        value: FloatArray,
        which: Flags,
        *,
        own: bool,
    ) -> None:
        """Put the bounds `which` into their domains' facts."""
        size = self.layout.graph.nodes[preact].size
        low, high = (np.full((len(domains), size), v) for v in (-np.inf, np.inf))
        for sign, side in ((1.0, low), (-1.0, high)):
            r = which & (asked.sign == sign)
            side[asked.domain[r], asked.element[r]] = sign * value[r]
        for k in np.unique(asked.domain[which]):
            column = domains.own if own else domains.kept
            known = column[k].get(preact)
            pair = low[k], high[k]
            if known is not None:
                pair = np.maximum(known[0], low[k]), np.minimum(known[1], high[k])
            column[k] = {**column[k], preact: pair}

    def _say(
        self,
        domains: Domains,
        preact: int,
        asked: Sides,
        params: Params,
        decides: Flags,
        own: Flags,
    ) -> None:
        """The lines that prove the facts: kept ones at once, own ones if they are ever used."""
        for which, mine in ((decides, False), (own, True)):
            rows = np.flatnonzero(which)
            rows = rows[np.argsort(asked.domain[rows], kind="stable")]
            ends = np.flatnonzero(np.diff(asked.domain[rows])) + 1
            for part in np.split(rows, ends) if len(rows) else []:
                facts = _lines(preact, asked, part, params)
                k = asked.domain[part[0]]
                node = self.context.proof.nodes[domains.node[k]]
                (domains.pending[k] if mine else node.facts).append(facts)


def _lines(
    preact: int, asked: Sides, part: NDArray[np.intp], arrays: dict[Parameter, FloatArray]
) -> LocalFacts:
    """Facts of one domain. Fractions begin the same for all rows of a domain and stay so."""
    shared = pack({k: v[part[0]] for k, v in arrays.items() if not k.is_multiplier})
    splits: list[Packed] = [
        pack({k: v[r] for k, v in arrays.items() if k.is_multiplier and v[r].any()}) for r in part
    ]
    lines = np.stack([asked.element[part], asked.sign[part]], axis=1).astype(np.int32)
    return LocalFacts(preact, lines, shared, splits)
