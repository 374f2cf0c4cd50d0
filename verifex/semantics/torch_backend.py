"""The torch backend of `evaluate`: differentiable, batched, on any device and float type."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch

from verifex.ir.exact import ExactArray, as_float
from verifex.ir.graph import Graph
from verifex.ir.linmap import LinearMap, apply_torch
from verifex.ir.trees.forest import Forest
from verifex.semantics.evaluate import run, split_input
from verifex.semantics.functions import find


class TorchBackend:
    """Arithmetic of one dtype on one device. Constants are converted once and kept.

    `soft_step` > 0 replaces the derivative of a gate by that of a sigmoid of this temperature
    (the value stays 0/1), so that an attack can follow gradients through gates.
    """

    def __init__(
        self, dtype: torch.dtype = torch.float64, device: str = "cpu", soft_step: float = 0.0
    ) -> None:
        self.dtype, self.device, self.soft_step = dtype, device, soft_step
        self._constants: dict[int, tuple[object, torch.Tensor]] = {}

    def tensor(self, values: Any) -> torch.Tensor:
        """A constant (float or exact values, or an index array) as a tensor of this backend."""
        kept = self._constants.get(id(values))
        if kept is not None:
            return kept[1]
        # Indices of gathers stay whole numbers.
        if isinstance(values, np.ndarray) and values.dtype.kind == "i":
            made = torch.tensor(values, device=self.device)
        else:
            floats = as_float(values) if isinstance(values, ExactArray) else np.asarray(values)
            made = torch.tensor(floats, dtype=self.dtype, device=self.device)
        self._constants[id(values)] = (
            values,
            made,
        )  # the value is kept alive: its id stays its own
        return made

    def zeros(self, *shape: int) -> torch.Tensor:
        """Zeros of this shape."""
        return torch.zeros(shape, dtype=self.dtype, device=self.device)

    def const(self, value: Any) -> torch.Tensor:
        return self.tensor(value)[None]

    def linear(self, linear_map: LinearMap, operand: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = apply_torch(linear_map, operand, self.tensor)
        return out

    def add(self, left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
        return left + right

    def mul(self, left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
        return left * right

    def relu(self, preact: torch.Tensor) -> torch.Tensor:
        return torch.relu(preact)

    def step(self, preact: torch.Tensor) -> torch.Tensor:
        hard = (preact > 0).to(preact.dtype)
        if not self.soft_step:
            return hard
        soft = torch.sigmoid(preact / self.soft_step)
        return hard.detach() + soft - soft.detach()

    def concat(self, parts: Sequence[torch.Tensor], axis: int) -> torch.Tensor:
        batch = max(p.shape[0] for p in parts)
        return torch.cat([p.expand(batch, *p.shape[1:]) for p in parts], dim=axis)

    def univariate(self, name: str, operand: torch.Tensor) -> torch.Tensor:
        return find(name).tensor(operand)

    def leaves(self, forest: Forest, operand: torch.Tensor) -> torch.Tensor:
        flat = operand.reshape(operand.shape[0], -1)
        beyond = forest.beyond(flat.detach().cpu().double().numpy())
        found = torch.from_numpy(forest.reached(beyond, beyond)).to(flat)
        # Constant between jumps: the derivative is zero, but there is one to ask for.
        return found + 0 * flat.sum(dim=1, keepdim=True)


def evaluate_torch(
    graph: Graph, points: torch.Tensor, targets: Iterable[int], backend: TorchBackend | None = None
) -> dict[int, torch.Tensor]:
    """Values of `targets` at flat inputs `points`, (B, n), with gradients; each (B, *shape)."""
    wanted = list(targets)
    xp = backend or TorchBackend(points.dtype, str(points.device))
    values = run(graph, xp, split_input(graph, points), wanted)
    return {i: values[i].expand(points.shape[0], *graph.nodes[i].shape) for i in wanted}
