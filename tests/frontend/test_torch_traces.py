"""Torch modules whose Python code reads numbers: a trace that holds for one input is refused."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import verifex
from verifex.errors import UnsupportedError
from verifex.frontend.torch_values import value_reader


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


class Larger(torch.nn.Module):
    """Python's own max compares, which is no operation of torch."""

    def forward(self, x: Any) -> Any:
        return x * max(x[0, 0], x[0, 1])


class Equal(torch.nn.Module):
    def forward(self, x: Any) -> Any:
        return x * 2 if torch.equal(x, torch.zeros_like(x)) else x * 3


class Close(torch.nn.Module):
    def forward(self, x: Any) -> Any:
        return x * 2 if torch.allclose(x, torch.full_like(x, 0.1)) else x * -3


class Copied(torch.nn.Module):
    def forward(self, x: Any) -> Any:
        return x * torch.tensor([x[0, 0], 2.0])


class Filled(torch.nn.Module):
    def forward(self, x: Any) -> Any:
        return x * torch.full((1, 2), x[0, 0])


class Sliced(torch.nn.Module):
    def forward(self, x: Any) -> Any:
        return x[:, x.argmax():]


class Own(torch.nn.Module):
    """Numbers of the module itself, and what a module of torch looks at, are no values of x."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("scale", torch.tensor(2.0))
        self.layer = torch.nn.TransformerEncoderLayer(2, 1, 8, batch_first=True)

    def forward(self, x: Any) -> Any:
        y = self.layer(x[None])[0]
        return y * float(self.scale) if self.scale > 1 else y


class Shapes(torch.nn.Module):
    """The tracer warns of these too; they are the same for all inputs."""

    def forward(self, x: Any) -> Any:
        if x.shape[0] > 1:
            raise ValueError("one row")
        return x.view(x.size(0), -1) * int(x.shape[1])


@pytest.mark.parametrize("module", [Branch(), Number(), Array(), Lists(), Larger(), Equal(),
                                    Close(), Copied(), Filled(), Sliced()])
def test_a_trace_of_one_input_is_refused(module: Any) -> None:
    with pytest.raises(UnsupportedError, match="Python code depends on values of the input"):
        verifex.from_torch(module, torch.tensor([[0.1, 0.2]]))


def test_own_numbers_are_no_values_of_the_input() -> None:
    assert value_reader(Own().eval(), (torch.tensor([[0.1, 0.2]]),)) is None


def test_code_that_reads_shapes_is_traced() -> None:
    spec = {"verifex": 1, "input": {"point": [1, 1]}, "region": {"linf": 0},
            "require": [{"output": "logit:0", "at_least": 2}, {"output": "logit:0", "at_most": 2}]}
    assert verifex.verify(Shapes(), spec, seconds=30).outcome.value == "proved"
