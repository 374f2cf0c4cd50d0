"""How to answer a question: one frozen record for the Python face, the command line and the engine.

A new option is a field here, its keyword in `Changes` or `ClaimChanges` beneath (a test compares
them), and for the command line a line in `verifex.cli.options`. Callbacks (progress, log) and pools
of processes are no settings, since they are no data: they are passed beside them.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, TypedDict

from verifex.errors import InputError, UsageError

ENGINES: Mapping[str, tuple[str, ...]] = {
    "auto": ("highs", "z3"), "search": (), "milp": ("highs",), "smt": ("z3",), "inputs": (),
    "gates": (), "programs": ()}
"""The solvers of each engine. "auto" shares the time among them and our own searches, "search" is
our own searches, "inputs", "gates" and "programs" only one of them (for ranges, "search")."""

SEARCHING = ("auto", "search", "inputs", "gates", "programs")
"""The engines with a search of our own."""

DEVICES = ("cpu", "cuda", "auto")

MOST_JOBS = 64


@dataclass(frozen=True)
class Settings:
    """How hard to try, by what means, and what becomes of the certificate."""

    seconds: float = 60.0
    """Wall time, for each expression of a range and each measure of a difference."""
    memory: int = 4 << 30
    """Bytes that each process of a solver, and of the checker, may take, and a search beyond what
    its process holds before."""
    threads: int = 1
    """Processes of a search, threads of a solver."""
    engine: str = "auto"
    """A key of `ENGINES`."""
    solvers: tuple[str, ...] | None = None
    """Solvers to be asked in this order; None: those of the engine."""
    search: bool | None = None
    """Whether our own search comes first; None: with the engines "auto" and "search", unless
    solvers are named."""
    attack: bool = True
    """Whether a counterexample is looked for before anything else."""
    device: str = "cpu"
    """Where the search computes its bounds: one of `DEVICES`."""
    seed: int = 0
    """Of the attack, of what searches and ranges sample, and of the solvers."""
    certificate: Path | None = None
    """The file in which the certificate is kept, of ranges the folder; None: it is not kept."""
    check: bool = True
    """Whether the certificate is checked, which makes a claim `proved`."""
    jobs: int = 1
    """Processes of the checker, 1 to 64."""
    check_seconds: float = 10.0
    """What a check may take where less than that is left of `seconds`."""

    @property
    def asked(self) -> tuple[str, ...]:
        """The solvers that are asked for what is still open, in order."""
        return ENGINES[self.engine] if self.solvers is None else self.solvers

    @property
    def searches(self) -> bool:
        """Whether our own search runs before them."""
        if self.search is not None:
            return self.search
        return self.engine in SEARCHING and not self.solvers

    def changed(self, changes: Mapping[str, Any]) -> Settings:
        """With other values, by the keywords of `ClaimChanges`; TypeError for any other."""
        new = dict(changes)
        if "solver" in new:
            named: str | Sequence[str] | None = new.pop("solver")
            names = (named,) if isinstance(named, str) else tuple(named or ())
            new["solvers"] = names or None
        if new.get("certificate") is not None:
            new["certificate"] = Path(new["certificate"])
        return replace(self, **new)

    def to_json(self) -> dict[str, Any]:
        """Plain data, one entry for each field."""
        said = {one.name: getattr(self, one.name) for one in fields(self)}
        kept = None if self.certificate is None else str(self.certificate)
        solvers = None if self.solvers is None else list(self.solvers)
        return said | {"certificate": kept, "solvers": solvers}

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> Settings:
        """The settings of such data; what is missing has its default. Raises InputError, which
        names the key that is wrong."""
        from pydantic import TypeAdapter, ValidationError

        known = [one.name for one in fields(Settings)]
        for name in data.keys() - known:
            raise InputError("no setting", expected=", ".join(known), key=f"settings.{name}")
        try:
            # As JSON text: there a list may stand for a tuple, and text for a path.
            found = TypeAdapter(Settings).validate_json(json.dumps(dict(data)), strict=True)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            key = ".".join(map(str, ("settings", *first["loc"])))
            raise InputError(repr(first["input"]), expected=first["msg"], key=key) from None
        found.require_numbers()
        return found

    def require_numbers(self) -> None:
        """Raise UsageError for a number that makes no sense, or a name that does not exist."""
        for key in ("seconds", "memory", "threads", "seed", "jobs", "check_seconds"):
            given = getattr(self, key)
            if isinstance(given, bool) or not isinstance(given, int | float):
                raise UsageError(f"{key} = {given!r:.40}, expected a number")
        if not self.seconds > 0 or math.isnan(self.seconds):
            raise UsageError(f"seconds = {self.seconds:g}, expected more than 0")
        if self.threads < 1:
            raise UsageError(f"threads = {self.threads}, expected at least 1")
        if not 1 <= self.jobs <= MOST_JOBS:
            raise UsageError(f"jobs = {self.jobs}, expected 1 to {MOST_JOBS}")
        for name, value, choices in (
            ("engine", self.engine, tuple(ENGINES)), ("device", self.device, DEVICES)
        ):
            if value not in choices:
                raise UsageError(f"{name} = {value!r}, expected {', '.join(choices)}")


class Changes(TypedDict, total=False):
    """Keyword arguments for single settings of a difference: see `Settings`."""

    seconds: float
    memory: int
    threads: int
    engine: str
    solver: str | Sequence[str] | None
    search: bool | None
    device: str
    seed: int


class RangeChanges(Changes, total=False):
    """The same for a range, whose ends have certificates."""

    certificate: str | Path | None
    check: bool
    jobs: int
    check_seconds: float


class ClaimChanges(RangeChanges, total=False):
    """The same for a claim, which can be attacked too."""

    attack: bool


# --- times ---------------------------------------------------------------------------------

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_NUMBER = r"[0-9]+(?:\.[0-9]*)?|\.[0-9]+"
_SECONDS = re.compile(rf"(?:{_NUMBER})(?:[eE][+-]?[0-9]{{1,3}})?")
_PART = re.compile(rf"({_NUMBER})(ms|s|m|h|d)")
_LONGEST = 1e9


def read_seconds(text: str, option: str = "--timeout") -> float:
    """The seconds that a time says, above 0; UsageError, naming the option, for any other text."""
    plain = "".join(text.lower().split())
    seconds = 0.0
    if _SECONDS.fullmatch(plain):
        seconds = float(plain)
    elif re.fullmatch(rf"(?:{_PART.pattern})+", plain):
        parts = _PART.findall(plain)
        units = [_UNITS[unit] for _, unit in parts]
        if units == sorted(set(units), reverse=True):  # 1h30m, and neither 30m1h nor 1m1m
            seconds = sum(float(number) * _UNITS[unit] for number, unit in parts)
    if not 0 < seconds < _LONGEST:
        raise UsageError(f"{option} {text[:40]}, expected a time above 0: 90 (seconds), 5m, 1h30m")
    return seconds
