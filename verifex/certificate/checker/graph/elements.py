"""The elements of a tensor: one linear form each, kept in the shortest of four ways.

`FormElements` is the plain way, a form an element. The others stand for forms that `forms` writes
out, and hold what a layer of a network is made of: its constants as whole numbers over one power
of two, its argument as all elements of one node, its result as rows of whole numbers applied to
that node. So a layer is read without a fraction for each of its weights.

Sound: which way is taken is a matter of speed alone. Every rule can be, and is tested to be, what
it is on the forms.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Protocol

from .forms import ONE, ZERO, Form, bits, digits
from .network_graph import NetworkGraph
from .sparse_rows import PackedRow, entries, multiplied


class Elements(Protocol):
    """What a tensor asks of its elements."""

    fixed: bool
    """Whether all of them are constants."""

    def __len__(self) -> int: ...

    def forms(self) -> list[Form]:
        """Each element as a linear form."""

    def picked(self, places: Sequence[int]) -> Elements:
        """The elements at these places, in this order."""

    def node(self, graph: NetworkGraph) -> int:
        """The node of the graph whose elements these are, made if there is none."""

    def digits_at_most(self) -> int:
        """Not less than the bits of the longest number in the forms."""


class FormElements:
    """The forms themselves."""

    def __init__(self, forms: list[Form]) -> None:
        self.written = forms
        self.fixed = not any(coefficients for coefficients, _ in forms)

    def __len__(self) -> int:
        return len(self.written)

    def forms(self) -> list[Form]:
        return self.written

    def picked(self, places: Sequence[int]) -> FormElements:
        return FormElements([self.written[place] for place in places])

    def node(self, graph: NetworkGraph) -> int:
        return graph.rows(self.written)

    def digits_at_most(self) -> int:
        return max(map(digits, self.written), default=0)


class NumberElements:
    """Constants: whole numerators over one denominator, which is a power of two."""

    fixed = True

    def __init__(self, numerators: list[int], denominator: int) -> None:
        self.numerators, self.denominator = numerators, denominator

    def __len__(self) -> int:
        return len(self.numerators)

    def values(self) -> list[Fraction]:
        return [Fraction(numerator, self.denominator) for numerator in self.numerators]

    def forms(self) -> list[Form]:
        return [({}, value) for value in self.values()]

    def picked(self, places: Sequence[int]) -> NumberElements:
        return NumberElements([self.numerators[place] for place in places], self.denominator)

    def node(self, graph: NetworkGraph) -> int:
        return graph.rows(self.forms())

    def digits_at_most(self) -> int:
        longest = max(map(int.bit_length, self.numerators), default=0)
        return longest + self.denominator.bit_length()


class NodeElements:
    """All elements of one node, in order; it has some."""

    fixed = False

    def __init__(self, node: int, size: int) -> None:
        self.source, self.size = node, size

    def __len__(self) -> int:
        return self.size

    def forms(self) -> list[Form]:
        return [({(self.source, place): ONE}, ZERO) for place in range(self.size)]

    def picked(self, places: Sequence[int]) -> FormElements:
        return FormElements([({(self.source, place): ONE}, ZERO) for place in places])

    def node(self, graph: NetworkGraph) -> int:
        return self.source

    def digits_at_most(self) -> int:
        return bits(ONE)


class AffineElements:
    """Rows of whole numbers over one denominator, applied to one node of some width, plus a
    constant each; some row is not empty.
    """

    fixed = False

    def __init__(
        self, node: int, width: int, rows: list[PackedRow], denominator: int,
        constants: list[Fraction],
    ) -> None:
        self.source, self.width, self.denominator = node, width, denominator
        self.rows, self.constants = rows, constants

    def __len__(self) -> int:
        return len(self.rows)

    def forms(self) -> list[Form]:
        found = list[Form]()
        for row, constant in zip(self.rows, self.constants, strict=True):
            coefficients = {(self.source, place): Fraction(weight, self.denominator)
                            for place, weight in entries(row)}
            found.append((coefficients, constant))
        return found

    def picked(self, places: Sequence[int]) -> Elements:
        rows = [self.rows[place] for place in places]
        constants = [self.constants[place] for place in places]
        return affine(self.source, self.width, rows, self.denominator, constants)

    def adjusted(self, factors: Sequence[Fraction], additions: Sequence[Fraction]) -> Elements:
        """Each element times a factor of its own, plus a number of its own."""
        shared = math.lcm(*{factor.denominator for factor in factors})
        whole = [factor.numerator * (shared // factor.denominator) for factor in factors]
        rows = multiplied(self.rows, whole)
        constants = times_plus(self.constants, factors, additions)
        return affine(self.source, self.width, rows, self.denominator * shared, constants)

    def node(self, graph: NetworkGraph) -> int:
        return graph.affine_node(self.source, self.rows, self.denominator, self.constants)

    def digits_at_most(self) -> int:
        longest = max(max(map(int.bit_length, weights), default=0) for _, weights in self.rows)
        weights_at_most = longest + self.denominator.bit_length()
        return max(weights_at_most, *map(bits, self.constants))


def times_plus(
    numbers: Sequence[Fraction], factors: Sequence[Fraction], additions: Sequence[Fraction]
) -> list[Fraction]:
    """Each number times a factor plus an addition.

    A channel repeats its numbers, the same objects, at all its places: they are computed once.
    """
    found, last, result = list[Fraction](), (ZERO, ZERO, ZERO), ZERO
    for number, factor, addition in zip(numbers, factors, additions, strict=True):
        if not (number is last[0] and factor is last[1] and addition is last[2]):
            last, result = (number, factor, addition), number * factor + addition
        found.append(result)
    return found


def affine(
    node: int, width: int, rows: list[PackedRow], denominator: int, constants: list[Fraction]
) -> Elements:
    """Rows applied to a node, plus constants: as constants alone where all rows are empty."""
    if any(weights for _, weights in rows):
        return AffineElements(node, width, rows, denominator, constants)
    return FormElements([({}, constant) for constant in constants])


def all_of(graph: NetworkGraph, node: int) -> Elements:
    """The elements of a node."""
    size = graph.nodes[node].size
    return NodeElements(node, size) if size else FormElements([])


def is_dyadic(number: Fraction) -> bool:
    """Whether a denominator is a power of two, as that of every binary float is."""
    return number.denominator & (number.denominator - 1) == 0
