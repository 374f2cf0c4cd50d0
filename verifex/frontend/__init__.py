"""Reading networks from files nobody vouches for, and writing graphs back as ONNX."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from verifex.frontend.limits import Limits
    from verifex.frontend.onnx.export import to_onnx
    from verifex.frontend.onnx.read import load, load_bytes
    from verifex.frontend.torch_module import from_torch

__all__ = ["Limits", "from_torch", "load", "load_bytes", "to_onnx"]

_HOMES = {
    "Limits": "limits", "from_torch": "torch_module", "load": "onnx.read",
    "load_bytes": "onnx.read", "to_onnx": "onnx.export",
}


def __getattr__(name: str) -> Any:
    """Import on first use: onnx and torch cost more than a command line may take to start."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
