"""Reading networks from files nobody vouches for, and writing graphs back as ONNX.

The public names are listed in `__init__.pyi` and imported on first use: onnx and torch take longer
to import than a command line may take to start.
"""

from __future__ import annotations

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
