"""The files that a spec names beside itself."""

from __future__ import annotations

import hashlib
import os

from ...failures import need
from ...files import read


class DataFiles:
    """The data files of a spec, and the SHA-256 of each by the name it has there.

    A certificate has to state the same hashes: a spec without its data is half a claim.
    """

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self.hashes: dict[str, str] = {}

    def content(self, name: str) -> bytes:
        """The bytes of a file beside the spec, unzipped if its name ends in .gz."""
        data, digest = read(os.path.join(self.folder, name))
        need(self.hashes.setdefault(name, digest) == digest, f"{name!r:.40} has changed")
        zipped = hashlib.sha256(data).hexdigest() != digest
        need(zipped == name.endswith(".gz"), f"{name!r:.40}: zipped and not named .gz, or named so")
        return data
