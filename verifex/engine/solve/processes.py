"""What a process has started, and the memory that it all holds, read from /proc (Linux)."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from itertools import islice

GUARDIAN = "guardian"
"""A file in a solver's folder: the number of the process that ends the solver with us."""

_PAGE = os.sysconf("SC_PAGE_SIZE")
_MOST = 1000  # a process that forks without end must not keep its watcher busy


def descendants(pid: int) -> Iterator[int]:
    """The process itself, then its children, theirs, and so on.

    Children are looked up before their parent is handed out, so that whoever kills what it gets
    misses none: the children of a dead process belong to another.
    """
    queue = [pid]
    for parent in queue:
        with contextlib.suppress(OSError, ValueError):
            for thread in os.listdir(f"/proc/{parent}/task"):
                with open(f"/proc/{parent}/task/{thread}/children", encoding="ascii") as file:
                    queue += map(int, file.read().split())
        yield parent


def resident(pid: int) -> int:
    """Bytes of memory that a process and its descendants hold (0 where /proc cannot tell)."""
    return sum(map(resident_alone, islice(descendants(pid), _MOST)))


def resident_alone(pid: int) -> int:
    """Bytes of memory that a process itself holds (0 where /proc cannot tell)."""
    try:
        with open(f"/proc/{pid}/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * _PAGE
    except (OSError, ValueError, IndexError):
        return 0
