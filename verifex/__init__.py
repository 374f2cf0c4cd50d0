"""verifex: formal verification of small neural networks, of their outputs and explanations.

    verdict = verifex.verify("net.onnx", "spec.toml")

Everything named in `__all__` is imported on first use, so that `import verifex` costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from verifex.api import bound, build, difference, load, verify
    from verifex.engine.run import Options
    from verifex.engine.solve.pool import SolverPool
    from verifex.engine.verdict import Outcome, RangeEnd, RangeVerdict, Verdict, Witness
    from verifex.errors import (
        InputError,
        MissingSolverError,
        UnsupportedError,
        UsageError,
        VerifexError,
    )
    from verifex.frontend.onnx.export import to_onnx
    from verifex.frontend.torch_module import from_torch
    from verifex.ir.graph import Graph
    from verifex.ir.problem import Problem
    from verifex.problem.spec.builders import (
        all_of,
        any_of,
        box,
        class_is,
        class_unchanged,
        component,
        cosine,
        data,
        distance,
        explain,
        l1,
        l2,
        linf,
        mass,
        monotone,
        not_,
        order,
        output,
        point,
        region,
        sign,
        top_k,
    )
    from verifex.problem.spec.model import Spec, load_spec

_HOMES: dict[str, tuple[str, ...]] = {
    "api": ("bound", "build", "difference", "load", "verify"),
    "engine.run": ("Options",),
    "engine.solve.pool": ("SolverPool",),
    "engine.verdict": ("Outcome", "RangeEnd", "RangeVerdict", "Verdict", "Witness"),
    "errors": (
        "InputError", "MissingSolverError", "UnsupportedError", "UsageError", "VerifexError",
    ),
    "frontend.onnx.export": ("to_onnx",),
    "frontend.torch_module": ("from_torch",),
    "ir.graph": ("Graph",),
    "ir.problem": ("Problem",),
    "problem.spec.builders": (
        "all_of", "any_of", "box", "class_is", "class_unchanged", "component", "cosine", "data",
        "distance", "explain", "l1", "l2", "linf", "mass", "monotone", "not_", "order", "output",
        "point", "region", "sign", "top_k",
    ),
    "problem.spec.model": ("Spec", "load_spec"),
}

__all__ = [
    "Graph", "InputError", "MissingSolverError", "Options", "Outcome", "Problem", "RangeEnd",
    "RangeVerdict", "SolverPool", "Spec", "UnsupportedError", "UsageError", "Verdict",
    "VerifexError", "Witness", "__version__", "all_of", "any_of", "bound", "box", "build",
    "class_is", "class_unchanged", "component", "cosine", "data", "difference", "distance",
    "explain", "from_torch", "l1", "l2", "linf", "load", "load_spec", "mass", "monotone", "not_",
    "order", "output", "point", "region", "sign", "to_onnx", "top_k", "verify",
]

if TYPE_CHECKING:
    __version__: str


def __getattr__(name: str) -> Any:
    """Import a public name on first use."""
    if name == "__version__":
        from importlib.metadata import version

        return version("verifex-nn")
    for module, names in _HOMES.items():
        if name in names:
            from importlib import import_module

            value = getattr(import_module(f"{__name__}.{module}"), name)
            globals()[name] = value
            return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
