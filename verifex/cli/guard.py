"""From exceptions to one line on stderr and an exit code; Ctrl-C ends a run within a second."""

from __future__ import annotations

import errno
import json
import os
import signal
import sys
import threading
import time
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NoReturn

from verifex.errors import EXIT_INPUT, EXIT_INTERNAL, EXIT_USAGE, VerifexError
from verifex.version import header

if TYPE_CHECKING:
    import typer

    from verifex.engine.watch import StopRequest

EXIT_INTERRUPTED = 130
EXIT_PIPE = 141
_PATIENCE = 0.5  # seconds an interrupted run may take to clean up
_PRINTING = 5.0  # seconds for which an answer may be printed then


def run(app: typer.Typer, arguments: Sequence[str] | None = None) -> int:
    """Run a command line and return its exit code; every failure is one line on stderr."""
    import typer

    words = list(sys.argv[1:] if arguments is None else arguments)
    # The base of usage errors; its home differs between versions of typer.
    click_error: Any = typer.BadParameter.__mro__[2]
    try:
        command = typer.main.get_command(app)
        code = command.main(args=words, prog_name="verifex", standalone_mode=False)
    except VerifexError as error:
        return fail(words, str(error), error.exit_code)
    except click_error as error:
        text = getattr(error, "format_message", error.__str__)()
        context = getattr(error, "ctx", None)
        path = context.command_path if context is not None else "verifex"
        return fail(words, f"usage: {text.removesuffix('.')} (see {path} --help)", EXIT_USAGE)
    except Interrupted:
        return fail([], "interrupted", EXIT_INTERRUPTED)  # the document is printed
    except (KeyboardInterrupt, typer.Abort):
        return fail(words, "interrupted", EXIT_INTERRUPTED)
    except BrokenPipeError:
        return _closed_pipe()
    except OSError as error:
        return _system_error(words, error)
    except Exception as error:
        return _internal(words, error)
    if code == EXIT_INTERRUPTED:
        return fail(words, "interrupted", EXIT_INTERRUPTED)
    return code if isinstance(code, int) else 0


def fail(words: Sequence[str], message: str, code: int) -> int:
    """Say what went wrong: one line on stderr, and a JSON document where one was asked for."""
    line = " ".join(message.split())
    print(line, file=sys.stderr)
    if "--json" in words:
        print(json.dumps({**header("error"), "error": line, "exit_code": code}))
    if os.environ.get("VERIFEX_DEBUG") == "1" and sys.exc_info()[0] is not None:
        traceback.print_exc()
    return code


def _system_error(words: Sequence[str], error: OSError) -> int:
    """Files that cannot be read or written are bad input; the rest is ours."""
    if error.errno == errno.EPIPE:
        return _closed_pipe()
    if error.filename is None:
        return _internal(words, error)
    return fail(words, f"{error.filename}: {error.strerror}", EXIT_INPUT)


def _internal(words: Sequence[str], error: BaseException) -> int:
    what = f"internal error: {type(error).__name__}: {error}"
    return fail(words, f"{what} (VERIFEX_DEBUG=1 shows where)", EXIT_INTERNAL)


def _closed_pipe() -> int:
    """Whoever read our output has gone; nothing more can be said to them."""
    try:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())
    except (OSError, ValueError):
        pass
    return EXIT_PIPE


def run_process(app: typer.Typer) -> NoReturn:
    """Run the command line as the whole process and leave with its code."""
    # Small batches run slower on several threads. Solvers, in processes of their own, are given
    # the number that --threads says.
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(name, "1")
    watch_interrupts()
    _own_stdout()
    if os.environ.get("VERIFEX_DEBUG") != "1":
        warnings.simplefilter("ignore")
    try:
        code = run(app)
        sys.stdout.flush()
        sys.stderr.flush()
    except BrokenPipeError:
        code = _closed_pipe()
    except KeyboardInterrupt:
        code = EXIT_INTERRUPTED
    if code == EXIT_INTERRUPTED:
        os._exit(code)  # libraries may take seconds to shut down; our children are gone
    sys.exit(code)


def _own_stdout() -> None:
    """Keep stdout to ourselves: what libraries print on file descriptor 1, as HiGHS 1.16 prints a
    banner, goes to stderr, from processes that we start too."""
    try:
        own = os.dup(1)
        os.dup2(2, 1)
    except OSError:  # closed: whoever started us wants none of it
        return
    at_terminal = os.isatty(own)
    sys.stdout = os.fdopen(
        own, "w", buffering=1 if at_terminal else -1, encoding=sys.stdout.encoding,
        errors=sys.stdout.errors)


class Interrupted(Exception):
    """Work was interrupted, and what was known has been printed."""


class Interruption:
    """The handler of Ctrl-C while a question is worked on, and who has the last word about it.

    The first Ctrl-C asks the work to end, so that what is known so far is printed; a second one
    ends it at once. `say` prints what is known, where the work cannot end in time.
    """

    def __init__(self, stop: StopRequest, say: Callable[[], None]) -> None:
        self.stop, self._say = stop, say
        self._turn, self._heard = threading.Lock(), False

    def __call__(self, number: int, frame: object) -> None:
        # Not by `stop`, which the thread of `watch_interrupts` may set before Python comes here.
        if self._heard:
            raise KeyboardInterrupt
        self._heard = True
        self.stop.set()

    def take_turn(self) -> None:
        """Before printing the answer: nobody else will. Waits for ever where somebody already
        does, who then ends the process."""
        self._turn.acquire()

    @property
    def exit_code(self) -> int | None:
        """That of interrupted work; None where it was not interrupted."""
        return EXIT_INTERRUPTED if self.stop.is_set() else None

    def require_uninterrupted(self) -> None:
        """Raise Interrupted, once what is known is printed, where Ctrl-C was pressed."""
        if self.stop.is_set():
            raise Interrupted

    def say_instead(self) -> None:
        """Print what is known so far, unless the answer is being printed."""
        if not self._turn.acquire(blocking=False):
            time.sleep(_PRINTING)
        elif self.stop.so_far is not None:
            self._say()
            sys.stdout.flush()


@contextmanager
def interruptible(say: Callable[[Any], None]) -> Iterator[Interruption]:
    """While this lasts, Ctrl-C asks the work to end by the `stop` that is given; `say` prints what
    it knows so far, for work that does not hear of it in time."""
    from verifex.engine.watch import StopRequest

    stop = StopRequest()
    handler = Interruption(stop, lambda: say(stop.so_far() if stop.so_far else None))
    if threading.current_thread() is not threading.main_thread():
        yield handler
        return
    before = signal.signal(signal.SIGINT, handler)
    try:
        yield handler
    finally:
        signal.signal(signal.SIGINT, before)


def watch_interrupts() -> None:
    """Leave soon after Ctrl-C even while a library's long call keeps Python from noticing it.

    Python handles a signal between two of its own steps. The wake-up pipe is written at once, so
    a thread that reads it can end the process when the orderly way takes too long. Solver
    processes watch their parent and end with it.
    """
    if threading.current_thread() is not threading.main_thread():
        return
    read, write = os.pipe()
    os.set_blocking(write, False)
    signal.set_wakeup_fd(write, warn_on_full_buffer=False)

    def wait() -> None:
        while os.read(read, 1) != bytes([signal.SIGINT]):
            pass
        handler = signal.getsignal(signal.SIGINT)
        if isinstance(handler, Interruption):
            handler.stop.set()  # for work that looks there while Python does not handle signals
        time.sleep(_PATIENCE)
        if isinstance(handler, Interruption):
            handler.say_instead()
        os.write(2, b"interrupted\n")
        os._exit(EXIT_INTERRUPTED)

    threading.Thread(target=wait, daemon=True, name="interrupt watch").start()
