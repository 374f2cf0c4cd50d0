"""How every JSON document of verifex begins: the version of its form, its kind, who wrote it.

docs/json.md says what the documents hold; `specs/documents.json` is their JSON schema.
"""

from __future__ import annotations

from typing import Any

from verifex.version import __version__

SCHEMA = 1
"""The version of the form. It grows where a key is renamed, removed or means something else; a new
key does not change it."""


def header(kind: str) -> dict[str, Any]:
    """The first keys of a document of this kind."""
    return {"schema": SCHEMA, "kind": kind, "verifex": __version__}
