"""Marks that say which of many alike tests are slow."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
import torch

without_gpu = pytest.mark.skipif(
    torch.accelerator.is_available(), reason="nothing is forked where torch sees a GPU")


def first_quick(values: Iterable[Any], quick: int = 1) -> list[Any]:
    """Parameters of which all but the first are slow: `make test` runs a sample of such tests."""
    return [
        value if number < quick else pytest.param(value, marks=pytest.mark.slow)
        for number, value in enumerate(values)
    ]
