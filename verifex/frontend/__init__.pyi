"""The public names and the modules they come from; `__init__.py` imports each on first use."""

from .limits import Limits as Limits
from .onnx.export import to_onnx as to_onnx
from .onnx.read import load as load, load_bytes as load_bytes
from .torch_module import from_torch as from_torch
