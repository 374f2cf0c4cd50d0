"""Attributions: one file each, found by being there; a file defines `ATTRIBUTION`."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
from functools import cache

from verifex.attribution.base import Attribution, NetworkFunction
from verifex.errors import UnsupportedError
from verifex.ir.fields import suggestion

__all__ = ["Attribution", "NetworkFunction", "find", "registry"]


@cache
def registry() -> Mapping[str, Attribution]:
    """Every attribution by its name."""
    found: dict[str, Attribution] = {}
    for module in sorted(m.name for m in pkgutil.iter_modules(__path__)):
        entry = getattr(importlib.import_module(f"{__name__}.{module}"), "ATTRIBUTION", None)
        if isinstance(entry, Attribution):
            found[entry.name] = entry
    return found


def find(name: str) -> Attribution:
    """The attribution called `name` (or an alias of it); UnsupportedError lists the known ones."""
    known = registry()
    for entry in known.values():
        if name == entry.name or name in entry.aliases:
            return entry
    plain = _plain(name)
    for entry in known.values():
        if plain in map(_plain, (entry.name, *entry.aliases)):
            raise UnsupportedError(f"unknown attribution '{name}'", expected=f'"{entry.name}"')
    if plain == "saliency":
        # In the literature and in captum its values are absolute; taken for the signed gradient it
        # would answer another question.
        raise UnsupportedError(
            "attribution 'saliency'", expected='attribution = "gradient" with reduce = "abs"')
    for words, nearest in _NEAREST:
        if plain in words.split():
            raise UnsupportedError(f"attribution '{name}' is not offered",
                                   expected=f'"{nearest}", the nearest that is')
    raise UnsupportedError(f"unknown attribution '{name}'", expected=suggestion(name, list(known)))


_NEAREST = (
    ("integratedgradients ig deeplift deepliftshap gradientshap shap kernelshap deepshap treeshap "
     "shapley shapleyvalues lrp layerwiserelevancepropagation occlusion featureablation ablation "
     "inputtimesgradient", "input_x_gradient"),
    ("smoothgrad vargrad noisetunnel lime gradcam guidedgradcam guidedbackprop deconvolution "
     "deconvnet guidedbackpropagation", "gradient"),
)
"""Methods by their names in the literature and in captum, and which offered one is nearest."""


def _plain(name: str) -> str:
    """A name without what people write differently: case, blanks, hyphens, underscores."""
    return "".join(c for c in name.lower().replace("*", "x") if c.isalnum())
