"""Work that is done in steps: between two of them, whoever drives it may do something else."""

from __future__ import annotations

from collections.abc import Generator
from typing import TypeVar

T = TypeVar("T")

Steps = Generator[None, None, T]
"""Gives up control again and again, while it waits, and comes to a T in the end."""


def finish(steps: Steps[T]) -> T:
    """Do all that is left to be done, at once."""
    while True:
        try:
            next(steps)
        except StopIteration as ended:
            found: T = ended.value
            return found


def at_once(found: T | Steps[T]) -> Steps[T]:
    """What was found without any step, or by those that are left."""
    if isinstance(found, Generator):
        return (yield from found)
    return found
