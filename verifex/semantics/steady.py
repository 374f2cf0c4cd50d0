"""Rows that keep values independent of gates on their kinks, for questions that ask for witnesses.

A gate on its kink may take either value, and at a witness no value that the claim reads may depend
on which. An element is *steady* if it does not depend on any such gate. What steadiness asks of the
arguments of an operation is pushed down from the elements that are read, each under the 0/1
variables ("where p is 1") that make it necessary: a gate that is shut hides what it multiplies, a
gate on its kink must multiply a zero, and so must a factor whose other factor is not steady.
"""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from typing import NamedTuple

from verifex.ir.exact import Number
from verifex.ir.formula import Cell
from verifex.ir.ops import Affine, Concat, Gate, Mul, Relu, Step, Univariate
from verifex.semantics.encode import Encoder, concat_part

Premise = int | None
"""The 0/1 variable that makes a demand, None where it always holds."""


class _Side(NamedTuple):
    """0/1 variables of a gate, exactly one of which is 1: z > 0, z < 0, or it counts as free."""

    on: int
    off: int
    free: int


class Steady:
    """Adds the rows for some elements to an encoder's model.

    `whole` says whether the rows leave out no point at which the elements are steady. They may
    where an argument of a gate depends on gates itself (comparisons, gradients of gradients).
    """

    def __init__(self, encoder: Encoder) -> None:
        self.encoder, self.model, self.graph = encoder, encoder.model, encoder.graph
        self.whole = True
        self._asked: dict[int, dict[int, list[Premise]]] = {}
        self._sides: dict[Cell, _Side] = {}
        self._moving: set[int] = set()

    def demand(self, cells: Iterable[Cell]) -> None:
        """All of these elements are steady."""
        read = sorted(cells)
        for i in self.graph.ancestors({node for node, _ in read}):
            node = self.graph.nodes[i]
            # Only what lies behind a gate can depend on one.
            if isinstance(node.op, Step) or not self._moving.isdisjoint(node.args):
                self._moving.add(i)
        for node_, index in read:
            self._ask(node_, index, None)
        while self._asked:
            i = max(self._asked)  # every demand on a node comes from later ones
            for index, premises in sorted(self._asked.pop(i).items()):
                self._settle(i, index, premises)

    def _ask(self, node: int, index: int, premise: Premise) -> None:
        """Note a demand; none on what depends on no gate, or has one value throughout."""
        if node in self._moving:
            box = self.encoder.bounds(node, index)
            # Sound: the bounds hold for both values of every gate on its kink.
            if box.lo != box.hi:
                self._asked.setdefault(node, {}).setdefault(index, []).append(premise)

    def _settle(self, target: int, index: int, premises: list[Premise]) -> None:
        """What it asks of the arguments that element `index` of node `target` is steady."""
        node, p = self.graph.nodes[target], self._any(premises, f"steady{target}_{index}")
        match node.op:
            case Affine():
                for m, a in zip(node.op.maps, node.args, strict=True):
                    for k, c in self.encoder.map_row(m, index):
                        if c != 0:
                            self._ask(a, k, p)
            case Concat():
                self._ask(*concat_part(self.graph, target, index), p)
            case Step():
                self._argument(node.args[0], index, p)
                side = self._side(node.args[0], index)
                if side is not None:
                    self._forbid(side.free, p)
            case Gate():
                self._gate(target, index, p)
            case Mul() if node.args[0] != node.args[1]:
                self._product(target, index, p)
            case Relu():
                if self.encoder.bounds(node.args[0], index).hi > 0:
                    self._relu(node.args[0], index, premises, p)
            case Mul() | Univariate():
                self._ask(node.args[0], index, p)

    def _argument(self, preact: int, index: int, premise: Premise) -> None:
        """The argument of a gate is steady: more than needed, where its sign would do."""
        self.whole &= preact not in self._moving
        self._ask(preact, index, premise)

    def _relu(self, preact: int, index: int, premises: list[Premise], premise: Premise) -> None:
        """The same for a Relu; an absolute value, `2 relu(preact) - preact`, needs it anyway."""
        needed = self._asked.get(preact, {}).get(index, [])
        self.whole &= preact not in self._moving or None in needed or set(premises) <= set(needed)
        self._ask(preact, index, premise)

    def _gate(self, node: int, index: int, premise: Premise) -> None:
        """A shut gate hides v, an open one passes it on, a free one is to multiply a zero."""
        d, v = self.graph.nodes[node].args
        op = self.graph.nodes[d].op
        if not isinstance(op, Step):  # gates that were moved or joined: all of it is to be steady
            self.whole = False
            self._ask(d, index, premise)
            self._ask(v, index, premise)
            return
        z = self.graph.nodes[d].args[0]
        self._argument(z, index, premise)
        side = self._side(z, index)
        if side is None:
            if self.encoder.bounds(z, index).lo > 0:
                self._ask(v, index, premise)
            return
        self._zero(v, index, side.free, premise)
        # A variable of its own: v is only asked to be steady where the gate lets it through.
        passes = self._new(f"passes{node}_{index}")
        self._at_least({passes: 1, side.off: 1}, premise)
        self._ask(v, index, passes)

    def _product(self, node: int, index: int, premise: Premise) -> None:
        """Both factors steady, or one steady and zero."""
        a, b = self.graph.nodes[node].args
        for one, other in ((a, b), (b, a)):
            if other not in self._moving:
                continue
            box = self.encoder.bounds(one, index)
            if box.lo > 0 or box.hi < 0:
                self._ask(other, index, premise)
                continue
            hidden = self._new(f"hidden{node}_{other}_{index}")
            self._zero(one, index, hidden, None)
            self._ask(one, index, hidden)
            needed = self._new(f"needed{node}_{other}_{index}")
            self._at_least({needed: 1, hidden: 1}, premise)
            self._ask(other, index, needed)

    def _zero(self, node: int, index: int, row: int, premise: Premise) -> None:
        """Element `index` of a node is zero where the variables `row` and `premise` are 1."""
        box = self.encoder.bounds(node, index)
        if box.lo > 0 or box.hi < 0:
            self._forbid(row, premise)
        elif box.lo != box.hi:
            if premise is not None:
                both = self._new(f"zero{node}_{index}_{row}_{premise}")
                self.model.add({both: 1, row: -1, premise: -1}, ">=", -1)
                row = both
            value = self.encoder.expr(node, index)
            self.encoder.when(row, 1, value, "<=", max(Fraction(0), box.hi))
            self.encoder.when(row, 1, value, ">=", max(Fraction(0), -box.lo))

    def _side(self, preact: int, index: int) -> _Side | None:
        """The side of a gate: `preact` above 0, below 0, or free; None where bounds decide it."""
        box, cell = self.encoder.bounds(preact, index), (preact, index)
        if box.lo > 0 or box.hi < 0:
            return None
        if cell not in self._sides:
            gate, e = (
                self.encoder.gate_var(preact, index, link=True),
                self.encoder.expr(preact, index),
            )
            side = _Side(*(self._new(f"{word}{preact}_{index}") for word in ("on", "off", "free")))
            self.model.add(dict.fromkeys(side, 1), "==", 1)
            self.encoder.when(side.on, 1, e, ">=", max(Fraction(0), -box.lo), True)
            self.encoder.when(side.off, 1, e, "<=", max(Fraction(0), box.hi), True)
            if gate.var is not None:
                self.model.add({gate.var: 1, side.on: -1}, ">=", 0)
                self.model.add({gate.var: 1, side.off: 1}, "<=", 1)
            self._sides[cell] = side
        return self._sides[cell]

    def _forbid(self, row: int, premise: Premise) -> None:
        """The variables `row` and `premise` are not both 1."""
        self.model.add(
            {row: 1} if premise is None else {row: 1, premise: 1}, "<=", 0 if premise is None else 1
        )

    def _at_least(self, coefs: dict[int, Number], premise: Premise) -> None:
        """The sum of these variables is at least `premise`."""
        self.model.add(
            coefs if premise is None else {**coefs, premise: -1}, ">=", 1 if premise is None else 0
        )

    def _any(self, premises: list[Premise], name: str) -> Premise:
        """One premise for several."""
        distinct = set(premises)
        if None in distinct or len(distinct) == 1:
            return None if None in distinct else premises[0]
        joined = self._new(name)
        for p in sorted(p for p in distinct if p is not None):
            self.model.add({joined: 1, p: -1}, ">=", 0)
        return joined

    def _new(self, name: str) -> int:
        return self.model.new(name, 0, 1, integer=True)
