"""The version of the installed package, and how every JSON document that it writes begins.

docs/json.md says what the documents hold; `specs/documents.json` is their JSON schema.
"""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

__version__ = version("verifex-nn")

SCHEMA = 1
"""The version of the form. It grows where a key is renamed, removed or means something else; a new
key does not change it."""


def header(kind: str) -> dict[str, Any]:
    """The first keys of a document of this kind."""
    return {"schema": SCHEMA, "kind": kind, "verifex": __version__}
