"""The narrow waist: a `Problem` is a graph, a region and a claim. Everything before builds one,
everything after only reads one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction

from verifex.errors import InputError
from verifex.ir.formula import TRUE, And, Cell, Form, Formula, cells, negate, nodes
from verifex.ir.graph import Graph, NamedNetwork
from verifex.ir.ops import Step
from verifex.ir.region import Region
from verifex.statement import ClaimStatement


@dataclass(frozen=True)
class Defined:
    """Something that a claim asks is defined where `formula` holds.

    `where` says in words where it does not, `counts` what it counts as there.
    """

    formula: Formula
    where: str
    counts: str


@dataclass(frozen=True)
class Problem:
    """For all x in `region` with `assume(x)`: `require(x)`.

    `point` is the reference input (the centre), if there is one; `notes` are sentences that a
    verdict repeats. Formulas read nodes of `graph`. `defined` lists where ratios in the claim are
    defined: the formulas deal with it already, a verdict tells it.

    `networks` names the networks that the graph holds if they are several; a problem of one network
    names none. Certificates know one network so far: no claim about several is ever `proved`.
    `refutation` is what a witness has to make true, where numbers of the claim are only known
    between two rationals: it implies `violation`, which a proof excludes. None: it is the same.
    `statement` is what a verdict says of the claim in words; nothing reads it, no text form has it.
    """

    graph: Graph
    region: Region
    require: Formula
    assume: Formula = TRUE
    point: tuple[Fraction, ...] | None = None
    name: str = ""
    notes: tuple[str, ...] = ()
    defined: tuple[Defined, ...] = ()
    networks: tuple[NamedNetwork, ...] = ()
    statement: ClaimStatement | None = field(default=None, compare=False)
    refutation: Formula | None = None

    def __repr__(self) -> str:
        about = f"{self.name!r}, " if self.name else ""
        return f"Problem({about}{len(self.graph.nodes)} nodes, {self.region.size} inputs)"

    def network(self, name: str) -> NamedNetwork:
        """The network of this name; InputError lists the names that there are."""
        return named_network(self.networks, name)

    def violation(self) -> Formula:
        """What a counterexample makes true: the assumption and the negated requirement."""
        return And((self.assume, negate(self.require)))

    def refuted(self) -> Formula:
        """What a witness makes true."""
        return self.violation() if self.refutation is None else self.refutation

    def targets(self) -> list[int]:
        """The nodes that the claim reads; the inputs for a constant claim, which reads none."""
        return sorted(nodes(self.require) | nodes(self.assume)) or list(self.graph.inputs)

    def cells(self) -> set[Cell]:
        """The elements of nodes that the claim reads."""
        return cells(self.require) | cells(self.assume)

    def kinks(self) -> list[int]:
        """The pre-activation nodes of the gates that the claim depends on.

        Where one of their elements is exactly zero its gate may be 0 or 1: a proof covers both
        values, and at a refuting input no value that the claim reads may depend on which it is.
        Relu without a gate is continuous and has no such points.
        """
        graph = self.graph
        steps = (i for i in graph.ancestors(self.targets()) if isinstance(graph.nodes[i].op, Step))
        return sorted({graph.nodes[i].args[0] for i in steps})


def named_network(networks: Sequence[NamedNetwork], name: str) -> NamedNetwork:
    """The network of this name; InputError lists the names that there are."""
    for network in networks:
        if network.name == name:
            return network
    known = ", ".join(n.name for n in networks) or "none, for the problem has one network"
    raise InputError(f"no network '{name}'", expected=known)


@dataclass(frozen=True)
class Objective:
    """A linear form of graph values whose worst case over the region is asked for."""

    form: Form
    maximise: bool
