"""Files that a spec names: where they are, and numpy arrays read without trusting them."""

from __future__ import annotations

import stat
import tokenize
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from verifex.errors import InputError

MAX_FILE = 4 << 30


def locate(folder: Path, name: str) -> Path:
    """The regular file `name`, relative to the folder of the spec; InputError if there is none."""
    path = folder / name
    try:
        info = path.stat()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(f"'{name}' cannot be read: {reason}", expected="a data file") from None
    if not stat.S_ISREG(info.st_mode):
        raise InputError(f"'{name}' is not a regular file", expected="a data file")
    if info.st_size > MAX_FILE:
        raise InputError(f"'{name}' has {info.st_size} bytes", expected=f"at most {MAX_FILE}")
    return path


def open_npy(path: Path) -> NDArray[Any]:
    """A numpy file, mapped and not loaded; no pickles. InputError where it holds no numbers."""
    try:
        found = np.lib.format.open_memmap(path, mode="r")
    except (OSError, ValueError, SyntaxError, TypeError, EOFError, MemoryError, KeyError,
            RecursionError, tokenize.TokenError) as error:
        reason = " ".join(str(error).split())[:100]
        raise InputError(
            f"'{path.name}' is not a .npy file: {reason}", expected="an array"
        ) from None
    if found.dtype.kind not in "fiub" or found.dtype.itemsize > 8:
        raise InputError(
            f"'{path.name}' holds {found.dtype}", expected="real numbers of at most 64 bits"
        )
    return found
