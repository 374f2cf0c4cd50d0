"""The network of the command-line tests."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from verifex.frontend.onnx.export import to_onnx
from verifex.ir.graph import Builder
from verifex.ir.linmap import dense


@pytest.fixture
def net(tmp_path: Path) -> Path:
    """y = (relu(x0 - x1), x0 + x1) in float32."""
    b = Builder()
    x = b.input("x", (2,))
    one = b.relu(b.affine(dense(np.array([[1.0, -1.0], [0.0, 0.0]])), x))
    y = b.sum([one, b.affine(dense(np.array([[0.0, 0.0], [1.0, 1.0]])), x)])
    path = tmp_path / "net.onnx"
    path.write_bytes(to_onnx(b.build({"y": y}), dtype="float32"))
    return path
