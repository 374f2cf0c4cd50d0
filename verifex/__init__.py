"""verifex: formal verification of small neural networks, of their outputs and explanations.

    verdict = verifex.verify("net.onnx", "spec.toml")

The public names are listed once, in `__init__.pyi`. Each is imported on first use, so that
`import verifex` costs nothing.
"""

from __future__ import annotations

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
