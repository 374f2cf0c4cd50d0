"""Every error verifex raises on purpose, with the exit code it leads to.

    VerifexError                 70  something is wrong inside verifex
    +-- UsageError               64  the command line or a call was wrong
    +-- InputError               65  a file, a spec or a number was wrong
    |   +-- UnsupportedError     65  well formed, but outside what verifex handles
    +-- MissingSolverError       69  a solver was asked for that is not there
"""

from __future__ import annotations

from collections.abc import Mapping

EXIT_PROVED = 0
EXIT_REFUTED = 1
EXIT_UNKNOWN = 2
EXIT_USAGE = 64
EXIT_INPUT = 65
EXIT_NO_SOLVER = 69
EXIT_INTERNAL = 70


class VerifexError(Exception):
    """Base of all errors raised on purpose. `exit_code` is what the command line returns."""

    exit_code: int = EXIT_INTERNAL


class UsageError(VerifexError):
    """The command line or a Python call does not fit together."""

    exit_code = EXIT_USAGE


class InputError(VerifexError):
    """Bad input: prints as one line `FILE:KEY: what is wrong, expected what`.

    `file` and `key` may be empty while the place is not yet known; `at` fills them in.
    """

    exit_code = EXIT_INPUT

    def __init__(self, what: str, *, expected: str = "", key: str = "", file: str = "") -> None:
        super().__init__(what)
        self.what, self.expected, self.key, self.file = what, expected, key, file

    def at(self, *, file: str = "", key: str = "") -> InputError:
        """The same error with the file, and the key where it had none yet, filled in."""
        return type(self)(
            self.what, expected=self.expected, key=self.key or key, file=self.file or file
        )

    def __str__(self) -> str:
        place = ":".join(part for part in (self.file, self.key) if part)
        text = f"{place}: {self.what}" if place else self.what
        if self.expected:
            text += f", expected {self.expected}"
        return " ".join(text.split())


class UnsupportedError(InputError):
    """Well-formed input that asks for something verifex does not support; names it."""


class MissingSolverError(VerifexError):
    """A solver was named that is not installed, not licensed or not able to do this."""

    exit_code = EXIT_NO_SOLVER


_BY_NAME: Mapping[str, type[VerifexError]] = {
    kind.__name__: kind
    for kind in (VerifexError, UsageError, InputError, UnsupportedError, MissingSolverError)
}


def error_to_json(error: VerifexError) -> dict[str, str]:
    """An error as plain data, for another process: its type, or the type above that is listed at
    the top, and what it says."""
    name = next(kind.__name__ for kind in type(error).__mro__ if kind.__name__ in _BY_NAME)
    if not isinstance(error, InputError):
        return {"error": name, "what": str(error)}
    return {"error": name, "what": error.what, "expected": error.expected, "key": error.key,
            "file": error.file}


def error_from_json(data: Mapping[str, str]) -> VerifexError:
    """The error that `error_to_json` gave."""
    kind, what = _BY_NAME[data["error"]], data["what"]
    if issubclass(kind, InputError):
        return kind(what, expected=data["expected"], key=data["key"], file=data["file"])
    return kind(what)
