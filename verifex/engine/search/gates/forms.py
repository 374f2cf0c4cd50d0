"""The linear forms that a search bounds, as tensors: rows for any (domain, form) pairs."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from verifex.engine.bounds.layout import Boxes, Layout, Signs
from verifex.engine.bounds.root import to_rows
from verifex.ir.exact import FloatArray
from verifex.ir.formula import Form
from verifex.semantics.linear import Rows

Tensor = torch.Tensor


class FormTable:
    """Coefficients (forms, size) per node, and constants (forms,)."""

    def __init__(self, layout: Layout, forms: Sequence[Form]) -> None:
        self.layout, self.nodes = layout, dict[int, Tensor]()
        for r, form in enumerate(forms):
            for (node, index), c in form.terms:
                if node not in self.nodes:
                    size = layout.graph.nodes[node].size
                    self.nodes[node] = torch.zeros((len(forms), size), dtype=torch.float64)
                self.nodes[node][r, index] += float(c)
        self.consts = torch.tensor([float(f.const) for f in forms], dtype=torch.float64)

    def rows(
        self,
        boxes: Boxes,
        signs: Signs,
        lo: FloatArray,
        hi: FloatArray,
        pairs: Sequence[tuple[int, int]],
    ) -> tuple[Rows, dict[int, Tensor], tuple[Tensor, Tensor]]:
        """(rows, start coefficients, input boxes) for pairs (domain, form)."""
        domain = torch.tensor([k for k, _ in pairs], dtype=torch.long)
        wanted = torch.tensor([r for _, r in pairs], dtype=torch.long)
        start = {node: table[wanted] for node, table in self.nodes.items()}
        box = (torch.from_numpy(lo)[domain], torch.from_numpy(hi)[domain])
        return to_rows(boxes, domain, self.layout, signs), start, box
