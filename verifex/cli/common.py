"""What the commands share: files, output on stdout, progress on stderr."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from decimal import ROUND_CEILING, ROUND_FLOOR, Context, Decimal
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from verifex.cli.guard import EXIT_INTERRUPTED, interruptible
from verifex.errors import InputError, UsageError
from verifex.version import header

if TYPE_CHECKING:
    from rich.console import Console

    from verifex.api import Log, Progress
    from verifex.engine.watch import StopRequest

Found = TypeVar("Found")
FoundBy = TypeVar("FoundBy", covariant=True)

PLAIN_WIDTH = 120  # columns, where the output is no terminal


def split_files(
    files: Sequence[Path], after: int = 0, last: str = "witness"
) -> tuple[Path | None, Path, list[Path]]:
    """(network or None, spec, the `after` files that follow) of the arguments of a command."""
    wanted = "a network (unless the spec names it)" + (", a spec" if after else " and a spec")
    extra = f" and a {last}" if after else ""
    if not 1 + after <= len(files) <= 2 + after:
        count = "1 file" if len(files) == 1 else f"{len(files)} files"
        raise UsageError(f"{count}, expected {wanted}{extra}")
    head, tail = list(files[: len(files) - after]), list(files[len(files) - after :])
    spec = head[-1]
    if spec.name.endswith((".onnx", ".onnx.gz")):
        where = f"{spec} after {head[0]}" if len(head) == 2 else str(spec)
        raise UsageError(f"{where} is a network, expected {wanted}{extra}, in this order")
    if spec.name.endswith((".csv", ".csv.gz", ".npy")):
        raise UsageError(f"{spec} is a data file, expected {wanted}{extra}; a spec names its data")
    return (head[0] if len(head) == 2 else None), spec, tail


@contextmanager
def with_changes(
    files: Sequence[Path], changes: Sequence[str] | None, kept: Path | None = None
) -> Iterator[list[Path]]:
    """The files of a command with the spec, which comes last, as `--set` changes it: written beside
    the file that is `kept` of the question, or for as long as the question lasts."""
    if not changes:
        yield list(files)
        return
    from verifex.problem.document.changes import parse_change
    from verifex.problem.document.variants.changed_file import beside, changed_spec

    network, spec, _ = split_files(files)
    asked = [parse_change(text) for text in changes]
    path = None if kept is None else beside(kept)
    with changed_spec(spec, network, asked, path) as changed:
        yield [*files[:-1], changed]


def console() -> Console:
    """A console on stdout; text is printed as it is, without rich's markup."""
    from rich.console import Console

    width = None if sys.stdout.isatty() else PLAIN_WIDTH
    return Console(width=width, markup=False, highlight=False, emoji=False)


LABEL = 15
"""Columns of the labels before lines of text."""


def line(out: Console, label: str, text: str) -> None:
    """One line of an answer: a dim label, and what it says."""
    from rich.text import Text

    out.print(Text(f"  {label:<{LABEL - 1}} ", style="dim") + Text(text), soft_wrap=True)


def emit(kind: str, document: Mapping[str, Any]) -> None:
    """One JSON document of this kind on stdout (see `verifex.version`)."""
    print(json.dumps({**header(kind), **document}, indent=2, allow_nan=False))


def write_file(path: Path, data: str | bytes) -> None:
    """Write a file that the user named; InputError where that cannot be done."""
    try:
        path.write_bytes(data.encode() if isinstance(data, str) else data)
    except OSError as error:
        raise InputError(
            f"cannot be written: {error.strerror}", expected="a writable file", file=str(path)
        ) from None


@contextmanager
def json_lines(path: Path | None) -> Iterator[Log | None]:
    """Writes entries to a file as they come, one JSON document a line; None for no file."""
    if path is None:
        yield None
        return
    try:
        file = path.open("w", encoding="utf-8")
    except OSError as error:
        raise InputError(
            f"cannot be written: {error.strerror}", expected="a writable file", file=str(path)
        ) from None
    with file:

        def write(entry: dict[str, Any]) -> None:
            file.write(json.dumps(entry, allow_nan=False) + "\n")
            file.flush()

        yield write


@contextmanager
def progress(title: str, quiet: bool = False) -> Iterator[Progress | None]:
    """A line on stderr that tells the stage and what the last one found; only on a terminal."""
    if quiet or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import Progress as Bar
    from rich.progress import SpinnerColumn, TextColumn, TimeElapsedColumn

    screen = Console(stderr=True, markup=False, highlight=False, emoji=False)
    columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn())
    with Bar(*columns, console=screen, transient=True) as bar:
        task = bar.add_task(title)
        done: dict[str, str] = {}

        def report(stage: str, result: str) -> None:
            done.pop(stage, None)  # a search tells how it goes more than once
            done[stage] = result
            last = [f"{name}: {text}" for name, text in list(done.items())[-3:]]
            bar.update(task, description=f"{title}  {'; '.join(last)}")

        yield report


class Work(Protocol[FoundBy]):
    """What answers a question, says how far it is, and ends soon after `stop` is set."""

    def __call__(
        self, *, progress: Progress | None, log: Log | None, stop: StopRequest
    ) -> FoundBy: ...


def carried_out(
    work: Work[Found], show: Callable[[Found, int], None], code_of: Callable[[Found], int], *,
    title: str, log: Path | None, quiet: bool, keep: Callable[[Found], None] | None = None,
) -> int:
    """The exit code of work whose answer is shown with it, after what is worth it was kept.

    After Ctrl-C what is known by then is shown in its place, and Interrupted is raised.
    """
    with interruptible(lambda known: show(known, EXIT_INTERRUPTED)) as ended:
        with json_lines(log) as write, progress(title, quiet) as report:
            found = work(progress=report, log=write, stop=ended.stop)
        ended.take_turn()
        if keep is not None:
            keep(found)
        code = ended.exit_code or code_of(found)
        show(found, code)
        ended.require_uninterrupted()
    return code


def number(value: Fraction | float | None, digits: int = 6) -> str:
    """A number for people: rounded to a few digits, zero only for zero; `-` for none."""
    if value is None:
        return "-"
    try:
        near = float(value)
    except OverflowError:
        return "beyond 1e308" if value > 0 else "below -1e308"
    if near == 0 and value:  # too small for a float
        value = Fraction(value)
        return f"{Decimal(value.numerator) / Decimal(value.denominator):.{digits - 1}e}"
    return f"{near + 0.0:.{digits}g}"


def rounded(value: Fraction | float | None, towards: int, digits: int = 9) -> str:
    """A number for people, rounded up (1) or down (-1) to so many digits; `-` for none."""
    if value is None:
        return "-"
    exact = Fraction(value)
    way = ROUND_CEILING if towards > 0 else ROUND_FLOOR
    near = Context(prec=digits, rounding=way).divide(
        Decimal(exact.numerator), Decimal(exact.denominator))
    plain = 1e-5 <= abs(near) < 10**digits or near == 0
    return f"{near.normalize():f}" if plain else f"{near.normalize():e}"


def feature_names(names: Sequence[str], size: int) -> list[str]:
    """The names of the flat inputs, `x[i]` where they have none."""
    return [names[i] if i < len(names) else f"x[{i}]" for i in range(size)]
