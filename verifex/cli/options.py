"""The options that are settings: one line of `OPTIONS` each, shared by every command.

Only typer is imported here: `verifex --help` must come at once.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Annotated, Any

import typer

from verifex.errors import UsageError
from verifex.settings import DEVICES, ENGINES, Settings, read_seconds

_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([KMGT]?)(?:I?B)?", re.IGNORECASE)
_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
_LEAST_MEMORY = 64 << 20


def _threads(value: int) -> int:
    if value < 1:
        raise UsageError(f"--threads {value}, expected at least 1")
    return value


def _seed(value: int) -> int:
    if value < 0:
        raise UsageError(f"--seed {value}, expected at least 0")
    return value


def _names(texts: Sequence[str] | None) -> tuple[str, ...] | None:
    names = [part.strip() for text in texts or () for part in text.split(",")]
    if "" in names:
        raise UsageError("--solver with an empty name, expected names such as highs,z3")
    return tuple(names) or None


def _memory(text: str) -> int:
    match = _SIZE.fullmatch(text.strip())
    size = 0 if match is None else int(float(match[1]) * _UNITS[match[2].upper()])
    if size < _LEAST_MEMORY:
        raise UsageError(f"--memory {text}, expected a size such as 4G or 800M (at least 64M)")
    return size


def _one_of(option: str, choices: Sequence[str]) -> Callable[[str], str]:
    def read(value: str) -> str:
        if value not in choices:
            raise UsageError(f"{option} {value}, expected {', '.join(choices)}")
        return value

    return read


def _as_it_is(value: Any) -> Any:
    return value


def _not(value: bool) -> bool:
    return not value


@dataclass(frozen=True)
class Option:
    """An option of the command line: the setting that it says, its type and help for typer, what
    stands there if it is not given, and how its value is read (raises UsageError)."""

    setting: str
    annotation: Any
    default: Any
    read: Callable[[Any], Any] = _as_it_is


Jobs = Annotated[int, typer.Option("--jobs", "-j", help="Processes of the checker.")]

OPTIONS: Mapping[str, Option] = {
    "timeout": Option("seconds", Annotated[str, typer.Option(
        "--timeout", "-t", metavar="TIME", help="Wall time: 90 (seconds), 5m, 1h30m (of `bound`: "
        "for each expression).",
    )], "60s", read_seconds),
    "threads": Option("threads", Annotated[int, typer.Option(
        "--threads", help="Processes of a search, or threads.")], 1, _threads),
    "seed": Option("seed", Annotated[int, typer.Option(
        "--seed", help="Seed of attack, sampling and solvers.")], 0, _seed),
    "solver": Option("solvers", Annotated[list[str] | None, typer.Option(
        "--solver", "-s", help="Solvers to use, in order, instead of the search; repeated or comma "
        "separated (see `verifex solvers`).")], None, _names),
    "engine": Option("engine", Annotated[str, typer.Option(
        "--engine", metavar="auto|search|milp|smt|inputs|gates|programs", help="auto: searches, "
        "HiGHS and z3 share the time; search: no solvers; inputs, gates, programs: one search "
        "alone; milp: HiGHS, or the MILP solvers that --solver names; smt: z3, or the SMT "
        "solvers that --solver names.",
    )], "auto", _one_of("--engine", tuple(ENGINES))),
    "device": Option("device", Annotated[str, typer.Option(
        "--device", metavar="cpu|cuda|auto", help="Where the search computes bounds.",
    )], "cpu", _one_of("--device", DEVICES)),
    "memory": Option("memory", Annotated[str, typer.Option(
        "--memory", metavar="SIZE", help="Memory of a search, and of a solver, such as 4G or 800M.",
    )], "4G", _memory),
    "certificate": Option("certificate", Annotated[Path | None, typer.Option(
        "--certificate", metavar="FILE", help="Keep the certificate (.vxc, .vxc.gz).")], None),
    "certificate_folder": Option("certificate", Annotated[Path | None, typer.Option(
        "--certificate", metavar="FOLDER", help="Keep the spec and the certificate of each end.",
    )], None),
    "no_check": Option("check", Annotated[bool, typer.Option(
        "--no-check", help="Do not run the checker: what holds is only claimed. The checker may "
        "take the time that is left, at least 10 s.")], False, _not),
    "jobs": Option("jobs", Jobs, 1),
    "no_attack": Option("attack", Annotated[bool, typer.Option(
        "--no-attack", help="Do not look for a counterexample first.")], False, _not),
}
SEARCH = ("solver", "engine", "device", "timeout", "memory", "threads", "seed")
"""What every command that searches takes."""

RANGE = (*SEARCH, "certificate_folder", "no_check", "jobs")
"""What the command that finds ranges takes."""

CLAIM = (*SEARCH, "certificate", "no_check", "jobs", "no_attack")
"""What a command that decides a claim takes."""

Command = Callable[..., None]


def read_settings(values: Mapping[str, Any]) -> Settings:
    """The settings that the options of a command say; raises UsageError, naming the option."""
    said = {OPTIONS[name].setting: OPTIONS[name].read(values[name])
            for name in OPTIONS if name in values}
    return Settings(**said)


def with_settings(names: Sequence[str]) -> Callable[[Command], Command]:
    """Give a command these options in the place of its parameter `settings`, which it is passed."""

    def decorate(command: Command) -> Command:
        parameters: list[inspect.Parameter] = []
        for own in inspect.signature(command, eval_str=True).parameters.values():
            parameters += map(_parameter, names) if own.name == "settings" else [
                own.replace(kind=inspect.Parameter.KEYWORD_ONLY)]

        @wraps(command)
        def run(**values: Any) -> None:
            said = {name: values.pop(name) for name in names}
            command(settings=read_settings(said), **values)

        # typer reads a command's options from its signature.
        run.__annotations__ = {p.name: p.annotation for p in parameters}
        run.__dict__["__signature__"] = inspect.Signature(parameters)
        return run

    return decorate


def _parameter(name: str) -> inspect.Parameter:
    option = OPTIONS[name]
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=option.default,
                             annotation=option.annotation)
