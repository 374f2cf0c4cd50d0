"""What the checker refuses, and the limits that it keeps."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

MAX_FILE, MAX_LINE, MAX_SIZE, MAX_TERMS = 1 << 29, 1 << 26, 1 << 22, 1 << 25
MAX_MADE, MAX_NODES, MAX_DEPTH, MAX_BITS = 1 << 24, 3_000, 2_000, 1 << 14


class Bad(Exception):
    """What is wrong, in one line."""


class BadNetwork(Bad):
    """What is wrong with the network file, found where a claim reads it."""


class Short(Bad):
    """What the certificate does not cover."""


class Empty(Exception):
    """Bounds contradict each other: the domain has no point."""


def need(ok: object, what: str) -> None:
    if not ok:
        raise Bad(what)


@contextmanager
def at(place: str) -> Iterator[None]:
    """Names the file, key or line in whatever is refused inside."""
    try:
        yield
    except Bad as error:
        raise Bad(f"{place}: {error}") from None
    except (ArithmeticError, AttributeError, EOFError, LookupError, RuntimeError, TypeError,
            ValueError, StopIteration, struct.error, zlib.error) as error:
        raise Bad(f"{place}: malformed ({type(error).__name__}: {error})") from None


def pick(items: Sequence[Any], k: int, what: str) -> Any:
    need(0 <= k < len(items), f"no {what} {k}")
    return items[k]
