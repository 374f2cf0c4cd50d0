"""`verifex-vnnlib`: the command line of the VNN-LIB 2.0 standard (its chapter 5).

    verifex-vnnlib verify QUERY --network NAME=FILE ... [--timeout S] [--serialise-assignments DIR]
    verifex-vnnlib supports --CAPABILITY
    verifex-vnnlib instance NETWORK QUERY RESULTS TIMEOUT      (VNN-COMP; not of the standard)

`unsat` means proved: a certificate was accepted. With `--accept claimed` it may rest on less.

The answer (sat, unsat, unknown, timed-out) is the first line on stdout. argparse, since start-up
time counts.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from verifex.cli.guard import EXIT_INTERRUPTED, Interrupted, interruptible, watch_interrupts
from verifex.engine.solve.processes import descendants
from verifex.errors import EXIT_INPUT, EXIT_INTERNAL, UsageError, VerifexError
from verifex.settings import read_seconds

if TYPE_CHECKING:
    from verifex.engine.verdict import Verdict

_DEFAULT_TIME = "1h"
_LAST = 0.15
"""Seconds of a time limit kept for the end of the process: what the system takes to end one that
holds much memory, on a busy machine."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(f"usage: {message} (see {self.prog} --help)")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="verifex-vnnlib", description="VNN-LIB queries, versions 1.0 and 2.0.")
    parser.add_argument("--name", action="store_true", help="the solver's name")
    parser.add_argument("--version", action="store_true", help="its version")
    commands = parser.add_subparsers(dest="command", parser_class=_Parser)
    _add_queries(commands)
    commands.add_parser("supports", help="what can be verified: supports --CAPABILITY")
    for command, help_ in (("instance", "decide an instance of VNN-COMP"),
                           ("prepare", "read an instance of VNN-COMP, and what runs it")):
        chosen = commands.add_parser(command, help=help_)
        for name in ("network", "query"):
            chosen.add_argument(name)
        if command == "instance":
            chosen.add_argument("results")
            chosen.add_argument("timeout", help="seconds, or 5m, 1h30m")
            _add_accept(chosen)
    return parser


def _add_accept(command: argparse.ArgumentParser) -> None:
    command.add_argument("--accept", choices=("proved", "claimed"), default="proved",
                         help="what unsat may rest on: a certificate that the checker accepted, or "
                         "also the search or a solver alone")


def _add_queries(commands: argparse._SubParsersAction[_Parser]) -> None:
    """The commands of the standard: verify and translate."""
    verify = commands.add_parser("verify", help="decide a query")
    verify.add_argument("query", type=Path)
    verify.add_argument("--network", action="append", default=[], metavar="NAME=FILE",
                        help="the ONNX file of a declared network; FILE alone for VNN-LIB 1.0")
    verify.add_argument("--timeout", default=_DEFAULT_TIME, metavar="TIME",
                        help="wall time: 90 (seconds), 5m, 1h30m (default: 1h)")
    verify.add_argument("--serialise-assignments", type=Path, metavar="DIR",
                        help="write an assignment as TensorProto files instead of printing it")
    verify.add_argument("--as-real", action="store_true",
                        help="read floating point element types as real: consent to answers about "
                        "real numbers")
    verify.add_argument("--no-check", action="store_true",
                        help="do not check certificates; takes --accept claimed")
    verify.add_argument("--seed", type=int, default=0)
    verify.add_argument("--threads", type=int, default=1, metavar="N",
                        help="threads of the search, processes of the checker")
    _add_accept(verify)
    translate = commands.add_parser("translate", help="write a query as one network (ONNX) and a "
                                    "query of VNN-LIB 1.0, exactly")
    translate.add_argument("query", type=Path)
    translate.add_argument("--network", action="append", default=[], metavar="NAME=FILE")
    translate.add_argument("--onnx", type=Path, required=True, metavar="FILE")
    translate.add_argument("--vnnlib", type=Path, required=True, metavar="FILE")
    translate.add_argument("--as-real", action="store_true")


def main() -> NoReturn:
    """Run the command line of this process and exit with its code.

    At once: tearing down the interpreter after a search takes half a second, past the time limit.
    """
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(name, "1")
    watch_interrupts()
    code = run(sys.argv[1:], time.monotonic() - _age())
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except OSError:  # whoever read our output has gone
        code = code or EXIT_INPUT
    os._exit(code)


def _age() -> float:
    """Seconds since this process began, at most one; 0 where the system does not tell.

    A time limit counts from there, not from when the interpreter is ready. At most one, since a
    script may have done other things before it became this process.
    """
    try:
        ticks = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
        age = time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError, AttributeError):
        return 0.0
    return min(max(age, 0.0), 1.0)


def run(words: Sequence[str], started: float | None = None) -> int:
    """Run a command line; every failure is one line on stderr, and nothing on stdout.

    Time limits count from `started` (of `time.monotonic`), or now.
    """
    if started is None:
        started = time.monotonic()
    try:
        return _run(list(words), started)
    except VerifexError as error:
        return _fail(str(error), error.exit_code)
    except (KeyboardInterrupt, Interrupted):
        return _fail("interrupted", EXIT_INTERRUPTED)
    except OSError as error:
        return _fail(f"{error.filename or 'a file'}: {error.strerror or error}", EXIT_INPUT)
    except Exception as error:
        if os.environ.get("VERIFEX_DEBUG") == "1":
            raise
        what = f"internal error: {type(error).__name__}: {error}"
        return _fail(f"{what} (VERIFEX_DEBUG=1 shows where)", EXIT_INTERNAL)


def _fail(message: str, code: int) -> int:
    print(" ".join(message.split()), file=sys.stderr)
    return code


def _run(words: list[str], started: float) -> int:
    if words[:1] == ["supports"]:
        from verifex.cli.vnnlib.supports import supports

        print(supports(words[1:]))
        return 0
    arguments = _parser().parse_args(words)
    if arguments.name:
        print("verifex")
    elif arguments.version:
        print(version("verifex-nn"))
    elif arguments.command == "verify":
        return _verify(arguments, started)
    elif arguments.command == "translate":
        _translate(arguments)
    elif arguments.command == "prepare":
        from verifex.cli.vnnlib.vnncomp import prepare

        prepare(arguments.network, Path(arguments.query))
    elif arguments.command == "instance":
        _instance(arguments, started)
    else:
        raise UsageError("usage: no command is given (see verifex-vnnlib --help)")
    return 0


def _verify(arguments: argparse.Namespace, started: float) -> int:
    from verifex.cli.vnnlib.answer import Rules, answer, assignment_lines, punctual, serialise

    claims = arguments.accept == "claimed"
    if arguments.no_check and not claims:
        raise UsageError("--no-check proves nothing, expected --accept claimed beside it")
    settings = punctual(
        read_seconds(arguments.timeout), not arguments.no_check, _threads(arguments.threads),
        arguments.seed,
    )
    rules = Rules(settings, claims, as_real=arguments.as_real)
    networks = _networks(arguments.network)
    folder: Path | None = arguments.serialise_assignments
    if folder is not None:
        _require_folder(folder)
    with interruptible(_say_unknown) as ended:
        with _Deadline(settings.seconds, started, lambda: print("timed-out", flush=True)):
            found = answer(arguments.query, networks, rules, started, ended.stop)
            said = found.said
            lines = [found.word]
            if found.values is not None and folder is not None:
                said += serialise(found, folder, arguments.query)
            elif found.values is not None:
                lines += assignment_lines(found)
        ended.take_turn()
        print("\n".join(lines), flush=True)
        _say(said)
        ended.require_uninterrupted()
    return 0


def _say_unknown(verdict: Verdict) -> None:
    """What is known of a query whose work was interrupted."""
    from verifex.cli.vnnlib.answer import known

    print("unknown", flush=True)
    _say(known(verdict))


def _say(lines: Sequence[str]) -> None:
    for line in lines:
        print(" ".join(line.split()), file=sys.stderr)


def _require_folder(folder: Path) -> None:
    """Raise UsageError unless files can be written to a folder, which may have to be made.

    Found out only after solving, that would cost the answer.
    """
    there = folder.absolute()
    while not there.exists() and not there.is_symlink() and there != there.parent:
        there = there.parent
    if there.is_dir() and os.access(there, os.W_OK | os.X_OK):
        return
    why = "cannot be written to" if there.is_dir() else "is no folder"
    raise UsageError(f"--serialise-assignments {folder}: {there} {why}, expected a folder that can "
                     "be written to, or made")


def _instance(arguments: argparse.Namespace, started: float) -> None:
    """Decide an instance of VNN-COMP. Whatever goes wrong, its results file says `error`."""
    from verifex.cli.vnnlib.vnncomp import instance

    results = Path(arguments.results)
    try:
        limit = read_seconds(arguments.timeout)
        with _Deadline(limit, started, lambda: results.write_text("timeout\n")):
            text, said = instance(
                arguments.network, Path(arguments.query), limit, started,
                claims=arguments.accept == "claimed")
        results.write_text(text)
    except (Exception, KeyboardInterrupt):
        results.write_text("error\n")
        raise
    _say(said)


def _translate(arguments: argparse.Namespace) -> None:
    from verifex.problem.vnnlib.read import load_stated
    from verifex.problem.vnnlib.translate import write_translation

    networks = _networks(arguments.network)
    stated = load_stated(arguments.query, networks, as_real=arguments.as_real)
    kind = write_translation(stated.problem, arguments.onnx, arguments.vnnlib)
    print(f"{arguments.onnx}: {kind} network whose outputs are what the query reads")
    print(f"{arguments.vnnlib}: VNN-LIB 1.0 about it")


def _threads(value: int) -> int:
    if value < 1:
        raise UsageError(f"--threads {value}, expected at least 1")
    return value


def _networks(options: Sequence[str]) -> dict[str, Path]:
    """Network name -> file; a file without a name is called by its own."""
    found: dict[str, Path] = {}
    for text in options:
        name, equals, file = text.partition("=")
        name, file = (name, file) if equals else (text, text)
        if name in found:
            raise UsageError(f"--network {name} is given twice, expected each network once")
        if not file:
            raise UsageError(f"--network {text}, expected NAME=FILE")
        found[name] = Path(file)
    if not found:
        raise UsageError("no network is given, expected --network NAME=FILE")
    return found


class _Deadline:
    """Answers and ends the process when the time is over, whatever a library is doing.

    Meanwhile temporary folders lie in one of its own, which goes with the process: nobody else
    gets to clean up then. Either the timer has the last word or whoever leaves the block.
    """

    def __init__(self, seconds: float, started: float, say: Callable[[], object]) -> None:
        # Even where the limit is over: whoever waits is to read an answer, not nothing.
        left = max(0.05, seconds - _LAST - (time.monotonic() - started))
        self.timer = threading.Timer(left, self._end)
        self.timer.daemon = True
        self.say = say
        self._turn = threading.Lock()

    def _end(self) -> None:
        if not self._turn.acquire(blocking=False):
            return
        code = EXIT_INTERNAL
        try:
            self.say()
            code = 0
        except OSError as error:
            code = _fail(f"{error.filename or 'output'}: {error.strerror or error}", EXIT_INPUT)
        finally:
            self._leave(code)

    def _leave(self, code: int) -> NoReturn:
        try:
            _kill_children()
            shutil.rmtree(self.folder, ignore_errors=True)
        finally:
            os._exit(code)

    def __enter__(self) -> None:
        self.before, self.folder = tempfile.tempdir, tempfile.mkdtemp(prefix="verifex-")
        tempfile.tempdir = self.folder
        self.timer.start()

    def __exit__(self, *_: object) -> None:
        self._turn.acquire()  # never had where the timer came first: it ends the process
        self.timer.cancel()
        tempfile.tempdir = self.before
        shutil.rmtree(self.folder, ignore_errors=True)


def _kill_children() -> None:
    """Kill every process that this one started, and theirs.

    They might write to folders that are about to go, and hold our output open.
    """
    for pid in descendants(os.getpid()):
        if pid != os.getpid():
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)


if __name__ == "__main__":
    main()
