"""Torch modules whose Python code reads numbers: a trace that holds for one input is refused."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import verifex
from verifex.errors import UnsupportedError


class Branch(torch.nn.Module):
    def forward(self, x: Any) -> Any:
        return x * 2 if x.sum() > 0 else x * -3


class Number(torch.nn.Module):
    def forward(self, x: Any) -> Any:
        return x * float(x[0, 0])


class Array(torch.nn.Module):
    def forward(self, x: Any) -> Any:
        return x + float(x.detach().numpy().sum())


class Lists(torch.nn.Module):
    def forward(self, x: Any) -> Any:
        return x * torch.tensor(x.tolist())


class Shapes(torch.nn.Module):
    """The tracer warns of these too; they are the same for all inputs."""

    def forward(self, x: Any) -> Any:
        if x.shape[0] > 1:
            raise ValueError("one row")
        return x.view(x.size(0), -1) * int(x.shape[1])


@pytest.mark.parametrize("module", [Branch(), Number(), Array(), Lists()])
def test_a_trace_of_one_input_is_refused(module: Any) -> None:
    with pytest.raises(UnsupportedError, match="Python code depends on values of the input"):
        verifex.from_torch(module, torch.tensor([[0.1, 0.2]]))


def test_code_that_reads_shapes_is_traced() -> None:
    spec = {"verifex": 1, "input": {"point": [1, 1]}, "region": {"linf": 0},
            "require": [{"output": "logit:0", "at_least": 2}, {"output": "logit:0", "at_most": 2}]}
    assert verifex.verify(Shapes(), spec, seconds=30).outcome.value == "proved"
