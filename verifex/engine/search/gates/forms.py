"""The linear forms that a search bounds, as arrays: coefficients of any of them on any domain."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from verifex.engine.bounds.layout import IntermediateBounds, Layout
from verifex.engine.bounds.root import to_rows
from verifex.ir.exact import FloatArray
from verifex.ir.formula import Form
from verifex.semantics.linear import Rows

Numbers = NDArray[np.intp]


class FormTable:
    """Linear forms of node elements: their constants (forms,), and their coefficients on demand.

    Only the terms are kept, as (forms, most terms) of element and coefficient for each node: of
    thousands of comparisons of two elements the full coefficients would fill the memory.
    """

    def __init__(self, layout: Layout, forms: Sequence[Form]) -> None:
        self.layout = layout
        terms: dict[int, list[list[tuple[int, float]]]] = {}
        for r, form in enumerate(forms):
            for (node, index), c in form.terms:
                if node not in terms:
                    terms[node] = [[] for _ in forms]
                terms[node][r].append((index, float(c)))
        self._terms = {node: _padded(lines) for node, lines in terms.items()}
        self.consts = np.array([float(f.const) for f in forms])

    def start(self, rows: Numbers) -> dict[int, FloatArray]:
        """Coefficients (R, size) of the forms `rows` (R,), by node."""
        out = {}
        for node, (element, value) in self._terms.items():
            size = self.layout.graph.nodes[node].size
            start = np.zeros((len(rows), size))
            np.add.at(start, (np.arange(len(rows))[:, None], element[rows]), value[rows])
            out[node] = start
        return out

    def rows(
        self,
        bounds: IntermediateBounds,
        signs: NDArray[np.int8],
        lo: FloatArray,
        hi: FloatArray,
        place: Numbers,
        rows: Numbers,
    ) -> tuple[Rows, dict[int, FloatArray], tuple[FloatArray, FloatArray]]:
        """(rows, start coefficients, input boxes) of the forms `rows` (R,) on the domains `place`
        (R,) with these bounds, signs (D, gates) and input boxes (D, n)."""
        box = lo[place], hi[place]
        return to_rows(bounds, place, self.layout, signs), self.start(rows), box


def _padded(lines: list[list[tuple[int, float]]]) -> tuple[Numbers, FloatArray]:
    """Elements and coefficients (forms, most terms) of one node; terms that are not there are zero
    times element 0."""
    most = max(map(len, lines))
    element = np.zeros((len(lines), most), dtype=np.intp)
    value = np.zeros((len(lines), most))
    for r, line in enumerate(lines):
        if line:
            index, factors = zip(*line, strict=True)
            element[r, : len(line)] = index
            value[r, : len(line)] = factors
    return element, value
