"""An attribution, a property and a smooth function are each added by a file and nothing else."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

W1, B1, W2 = [[1.0, -0.5], [0.25, 1.0], [-1.0, 0.75]], [0.125, -0.25, 0.5], [[1.0, -2.0, 0.5]]
"""As in the program."""

PROGRAM = Path(__file__).resolve().parent / "added" / "ask.py"


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What a process of its own says: registries are read once in each."""
    folder = tmp_path_factory.mktemp("added")
    done = subprocess.run(
        [sys.executable, str(PROGRAM), str(folder)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


def integrated(x: Any) -> Any:
    """Integrated gradients of W2 softplus(W1 x + b1) from zero, by four midpoints."""
    w1, b1, w2 = np.array(W1), np.array(B1), np.array(W2)[0]
    way = [(w2 / (1 + np.exp(-(w1 @ (x * (j + 0.5) / 4) + b1)))) @ w1 for j in range(4)]
    return x * np.mean(way, axis=0)


def test_the_function_is_read_from_its_operator(said: dict[str, Any]) -> None:
    assert said["functions"] == ["softplus"]


def test_the_attribution_is_built(said: dict[str, Any]) -> None:
    np.testing.assert_allclose(said["attribution"], integrated(np.array([0.5, 0.25])), rtol=1e-7)


def test_claims_with_the_property_are_decided(said: dict[str, Any]) -> None:
    grid = [integrated(np.array([a, b])) for a in np.linspace(0.375, 0.625, 9)
            for b in np.linspace(0.125, 0.375, 9)]
    assert max(a.sum() for a in grid) < 0
    assert max(a.sum() for a in grid) > -1
    assert said["true"][0] == "claimed"
    assert said["false"][0] != "claimed"
