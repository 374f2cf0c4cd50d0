"""Files that a spec names: read once, and numpy arrays read without trusting them."""

from __future__ import annotations

import io
import math
import stat
import tokenize
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from verifex.errors import InputError
from verifex.source import Source

MAX_FILE = 4 << 30


class DataFolder:
    """The folder of a spec: every data file that the spec names is read once, and known by hash."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._read: dict[str, Source[bytes]] = {}

    def read(self, name: str) -> Source[bytes]:
        """The regular file `name`, relative to the folder; InputError if there is none."""
        if name not in self._read:
            self._read[name] = _regular(self.folder / name, name)
        return self._read[name]

    @property
    def sources(self) -> dict[str, Source[bytes]]:
        """Every file that was read, by the name that it was asked for by."""
        return dict(self._read)

    @property
    def hashes(self) -> dict[str, str]:
        """The SHA-256 of every file that was read, by the name that it was asked for by."""
        return {name: source.sha256 for name, source in self._read.items()}


def _regular(path: Path, name: str) -> Source[bytes]:
    try:
        info = path.stat()
        if not stat.S_ISREG(info.st_mode):
            raise InputError(f"'{name}' is not a regular file", expected="a data file")
        size = info.st_size
        if size <= MAX_FILE:
            with path.open("rb") as stream:
                data = stream.read(MAX_FILE + 1)
            size = len(data)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(f"'{name}' cannot be read: {reason}", expected="a data file, named as "
                         "seen from the spec's folder") from None
    if size > MAX_FILE:
        raise InputError(f"'{name}' has {size} bytes", expected=f"at most {MAX_FILE}")
    return Source(path, path.name, data, bytes)


def read_npy(source: Source[bytes]) -> NDArray[Any]:
    """The array in a numpy file, a view of its bytes; no pickles. InputError where it holds no
    numbers."""
    try:
        found = _npy(source.data)
    except (OSError, ValueError, SyntaxError, TypeError, EOFError, MemoryError, KeyError,
            OverflowError, RecursionError, tokenize.TokenError) as error:
        reason = " ".join(str(error).split())[:100]
        raise InputError(
            f"'{source.name}' is not a .npy file: {reason}", expected="an array"
        ) from None
    if found.dtype.kind not in "fiub" or found.dtype.itemsize > 8:
        raise InputError(
            f"'{source.name}' holds {found.dtype}", expected="real numbers of at most 64 bits"
        )
    return found


def _npy(data: bytes) -> NDArray[Any]:
    """The array of a file of version 1.0, 2.0 or 3.0; raises what numpy raises."""
    stream = io.BytesIO(data)
    version = np.lib.format.read_magic(stream)
    if version not in ((1, 0), (2, 0), (3, 0)):
        raise ValueError(f"version {version}")
    # Version 3.0 differs in the names of columns alone, which no plain array has.
    read = (np.lib.format.read_array_header_1_0 if version == (1, 0)
            else np.lib.format.read_array_header_2_0)
    shape, by_columns, kind = read(stream)
    if kind.hasobject:
        raise ValueError("objects")
    count = math.prod(shape)
    if count < 0 or any(side < 0 for side in shape):
        raise ValueError(f"shape {shape}")
    flat = np.frombuffer(data, kind, count, stream.tell()) if count else np.empty(0, kind)
    if by_columns:
        return flat.reshape(shape[::-1]).transpose()
    return flat.reshape(shape)
