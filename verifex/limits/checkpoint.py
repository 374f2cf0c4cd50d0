"""How work is cut off that lies too deep to be handed a budget.

A loop that can leave with what it has asks its `Budget`. Exact evaluation, interval bounds and
products of matrices have nothing to leave with: between two pieces of work they call `checkpoint`,
which raises `CutOff` once the time of the question is over, and MemoryError once it holds too much.
Whoever decides a question says until when (`looking`) and takes `CutOff`; no conclusion is drawn
from work that was cut off.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar


class CutOff(BaseException):
    """The time for the work at hand is over. No error: as of KeyboardInterrupt, what handles errors
    on the way must not take it for one."""


Look = Callable[[], None]
"""Raises what ends the work, or does nothing."""

_LOOK: ContextVar[Look | None] = ContextVar("verifex_look", default=None)


@contextmanager
def looking(look: Look) -> Iterator[None]:
    """Have `checkpoint` call `look` while this lasts (in this thread)."""
    token = _LOOK.set(look)
    try:
        yield
    finally:
        _LOOK.reset(token)


def checkpoint() -> None:
    """Raise CutOff where the time of the question at hand is over, MemoryError where it holds too
    much memory. Nothing outside a question."""
    look = _LOOK.get()
    if look is not None:
        look()
