"""A solver in a child process that can be killed: it never hangs, floods or brings us down.

Whatever happens on the other side, `SolverProcess.solve` returns an `Answer`, at the latest
`grace` seconds after the deadline (plus a moment for the kill).
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from verifex.engine.solve.processes import GUARDIAN, resident
from verifex.engine.solve.steps import Steps, finish
from verifex.ir.model.logical import Model, model_to_json
from verifex.ir.model.solving import (
    Answer,
    Availability,
    Capabilities,
    SolveLimits,
    Status,
    Stop,
    answer_from_json,
)

_TICK = 0.05  # seconds between looks at the child's memory
_CHUNK = 1 << 16
_STDERR_TAIL = 2000
_THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
)


class _Stopped(Exception):
    """The exchange ended without an answer."""

    def __init__(self, stop: Stop, note: str) -> None:
        super().__init__(note)
        self.stop, self.note = stop, note


class SolverProcess:
    """A solver behind a pipe, started when first used and again after each kill.

    `name` is an entry point, with an option after a colon ("pulp:HiGHS"). `memory` (bytes) caps
    the whole process group, `max_output` (bytes) what it may write in one call, on stdout and on
    stderr each. `command` replaces the command line of the child (for tests). Not for use by two
    threads at once, except `interrupt`, which any thread may call.
    """

    def __init__(
        self,
        name: str,
        *,
        memory: int = 4 << 30,
        threads: int = 1,
        command: Sequence[str] | None = None,
        max_output: int = 64 << 20,
        grace: float = 0.4,
    ) -> None:
        self.name, self.memory, self.threads = name, memory, threads
        self._command = list(command or ()) or [
            # -s, -P: neither the user's site packages nor the working directory are searched.
            *(sys.executable, "-s", "-P", "-m", "verifex.engine.solve.worker", name)
        ]
        self._max_output, self._grace = max_output, grace
        self._process: subprocess.Popen[bytes] | None = None
        self._folder = ""
        self._interrupted = self._paused = False
        self._serial = 0
        self._kill_after = 0.0

    def __enter__(self) -> SolverProcess:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        if error is None:
            self.close()
        else:
            self.kill()

    def solve(
        self, question: Model | Mapping[str, Any], limits: SolveLimits,
        stopped: Callable[[], bool] | None = None,
    ) -> Answer:
        """The solver's answer to a model, or to a problem in its JSON form. Never raises but for
        KeyboardInterrupt, on which the child is killed first. It is interrupted once `stopped` says
        so."""
        return finish(self.asking(question, limits, stopped))

    def asking(
        self, question: Model | Mapping[str, Any], limits: SolveLimits,
        stopped: Callable[[], bool] | None = None,
    ) -> Steps[Answer]:
        """The same in steps of `_TICK` seconds at most, between which the child may be paused.
        Where the steps are not done to their end, the child is killed."""
        start = time.monotonic()
        memory = min(limits.memory, self.memory)
        request: dict[str, Any] = {
            "limits": {"memory": memory, "threads": limits.threads, "seed": limits.seed},
            "deadline": start + limits.seconds,
        }
        if isinstance(question, Model):
            request["model"] = model_to_json(question)
            highest = len(question.variables)
        else:
            request["problem"] = dict(question)
            highest = sys.maxsize
        try:
            reply = yield from self._exchange(request, start + limits.seconds, memory, stopped)
            answer = answer_from_json(reply)
            if answer.point and max(answer.point) >= highest:
                raise ValueError("a point with a variable that does not exist")
        except _Stopped as e:
            answer = Answer(Status.UNKNOWN, e.stop, note=e.note)
        except ValueError as e:
            self.kill()
            answer = Answer(Status.UNKNOWN, Stop.CRASH, note=f"malformed answer: {e}"[:500])
        return replace(answer, seconds=time.monotonic() - start)

    def info(self, seconds: float = 30.0) -> tuple[Capabilities | None, Availability]:
        """What the solver declares; without capabilities where its adapter cannot be loaded."""
        try:
            reply = finish(
                self._exchange({"ask": "info"}, time.monotonic() + seconds, self.memory))
            if "note" in reply:
                return None, Availability(False, reason=str(reply["note"]))
            return Capabilities(**reply["capabilities"]), Availability(**reply["availability"])
        except _Stopped as e:
            return None, Availability(False, reason=e.note)
        except (KeyError, TypeError) as e:
            self.kill()
            return None, Availability(False, reason=f"malformed answer: {e}")

    def pause(self) -> None:
        """Stop the child, and all that it started, in the middle of what it does.

        Its guardian goes on (worker.py), so that nothing is left behind where we come to our end
        meanwhile; before there is one, nothing is stopped.
        """
        guardian = Path(self._folder, GUARDIAN)
        if self._process is None or self._paused or not guardian.exists():
            return
        with contextlib.suppress(ProcessLookupError, PermissionError, ValueError, OSError):
            watcher = int(guardian.read_text(encoding="ascii"))
            os.killpg(self._process.pid, signal.SIGSTOP)
            os.kill(watcher, signal.SIGCONT)
            self._paused = True

    def resume(self) -> None:
        """Let the child go on. One whose time ended meanwhile gets a moment to say what it has."""
        if self._process is not None and self._paused:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGCONT)
            self._kill_after = time.monotonic() + self._grace
        self._paused = False

    def interrupt(self) -> None:
        """Make a `solve` that runs in another thread return at once, with Stop.INTERRUPTED."""
        self._interrupted = True
        self._signal_group()

    def close(self) -> None:
        """End the child: politely while it is idle, by force where that takes too long."""
        process = self._process
        if process is None:
            return
        try:
            if process.stdin is not None:
                process.stdin.close()
            process.wait(0.25)
        except (subprocess.TimeoutExpired, OSError):
            pass
        finally:
            self.kill()

    def kill(self) -> None:
        """Kill the child and everything that it started."""
        process = self._process
        if process is None:
            return
        self._signal_group()
        self._process, self._paused = None, False
        for pipe in (process.stdin, process.stdout, process.stderr):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
        process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _signal_group(self) -> None:
        # The group outlives its leader while a member is left, so this also ends orphans.
        if (process := self._process) is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)

    def _start(self) -> subprocess.Popen[bytes]:
        if self._process is not None and self._process.poll() is None:
            return self._process
        self.kill()
        changes = {name: str(self.threads) for name in _THREAD_VARIABLES}
        # What a killed solver leaves behind lies in a folder of its own, which goes with it.
        self._folder = tempfile.mkdtemp(prefix="verifex-")
        changes |= {"TMPDIR": self._folder, "VERIFEX_SOLVER_FOLDER": self._folder}
        changes |= {"MALLOC_ARENA_MAX": "2"}  # each arena reserves address space, which is bounded
        self._process = subprocess.Popen(
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            start_new_session=True,
            env=os.environ | changes,
        )
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            if pipe is not None:
                os.set_blocking(pipe.fileno(), False)
        return self._process

    def _exchange(
        self, request: dict[str, Any], deadline: float, memory: int,
        stopped: Callable[[], bool] | None = None,
    ) -> Steps[dict[str, Any]]:
        """Send a request and read the answer; `_Stopped` (child dead) where none comes."""
        self._serial += 1
        self._interrupted = False
        request["id"] = self._serial
        line = json.dumps(request, separators=(",", ":")).encode() + b"\n"
        try:
            with _Conversation(self._start(), line, self._max_output) as talk:
                kill_at = deadline + self._grace
                reply = yield from self._talk(talk, kill_at, memory, stopped or _never)
            if not isinstance(reply, dict) or reply.get("id") != self._serial:
                raise _Stopped(Stop.CRASH, "malformed answer: not a reply to this request")
            return reply
        except OSError as e:
            self.kill()
            raise _Stopped(Stop.CRASH, f"the solver could not be run: {e}") from e
        except BaseException:  # Ctrl-C and the end of the steps included: no child is left
            self.kill()
            raise

    def _talk(
        self, talk: _Conversation, kill_at: float, memory: int, stopped: Callable[[], bool]
    ) -> Steps[Any]:
        process = talk.process
        while True:
            left = max(kill_at, self._kill_after) - time.monotonic()
            if left <= 0:
                raise _Stopped(Stop.TIME, "killed at the deadline")
            talk.step(min(left, _TICK))
            if self._interrupted or stopped():
                raise _Stopped(Stop.INTERRUPTED, "interrupted")
            if talk.flooded:
                raise _Stopped(Stop.OUTPUT, f"more than {self._max_output} bytes of output")
            if (line := talk.line()) is not None:
                return _parse(line)
            if talk.ended:
                raise _Stopped(*_cause(process, talk.complaints))
            if (used := resident(process.pid)) > memory:
                raise _Stopped(Stop.MEMORY, f"killed at {used >> 20} MiB of memory")
            yield


def _never() -> bool:
    return False


class _Conversation:
    """One request and its answer over non-blocking pipes; both directions move at once."""

    def __init__(self, process: subprocess.Popen[bytes], line: bytes, max_output: int) -> None:
        self.process = process
        self._out, self._max = memoryview(line), max_output
        self._answer, self._errors, self._error_count = bytearray(), b"", 0
        self._newline = -1
        self.ended = False
        self._selector = selectors.DefaultSelector()
        for pipe, event in (
            (process.stdin, selectors.EVENT_WRITE),
            (process.stdout, selectors.EVENT_READ),
            (process.stderr, selectors.EVENT_READ),
        ):
            if pipe is not None:
                self._selector.register(pipe, event)

    def __enter__(self) -> _Conversation:
        return self

    def __exit__(self, *_: object) -> None:
        self._selector.close()

    @property
    def flooded(self) -> bool:
        return max(len(self._answer), self._error_count) > self._max

    @property
    def complaints(self) -> str:
        """The end of what the child wrote to stderr, on one line."""
        return " ".join(self._errors.decode("utf-8", "replace").split())[-300:]

    def line(self) -> bytes | None:
        """The answer once it is complete."""
        return bytes(self._answer[: self._newline]) if self._newline >= 0 else None

    def step(self, seconds: float) -> None:
        """Move what can be moved, waiting for at most `seconds`."""
        for key, _ in self._selector.select(seconds):
            pipe: IO[bytes] = key.fileobj  # type: ignore[assignment]
            if pipe is self.process.stdin:
                self._send(pipe)
            else:
                self._receive(pipe)

    def _send(self, pipe: IO[bytes]) -> None:
        try:
            self._out = self._out[os.write(pipe.fileno(), self._out[: 1 << 20]) :]
        except BlockingIOError:
            return
        except BrokenPipeError:  # it died or closed its end; stdout will tell
            self._out = self._out[:0]
        if not self._out:
            self._selector.unregister(pipe)

    def _receive(self, pipe: IO[bytes]) -> None:
        try:
            data = os.read(pipe.fileno(), _CHUNK)
        except BlockingIOError:
            return
        if not data:
            self._selector.unregister(pipe)
            self.ended = self.ended or pipe is self.process.stdout
        elif pipe is self.process.stdout:
            if self._newline < 0 and (at := data.find(b"\n")) >= 0:
                self._newline = len(self._answer) + at
            self._answer += data
        else:
            self._error_count += len(data)
            self._errors = (self._errors + data)[-_STDERR_TAIL:]


def _parse(line: bytes) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError) as e:
        raise _Stopped(Stop.CRASH, f"malformed answer: {e}"[:200]) from e


def _cause(process: subprocess.Popen[bytes], complaints: str) -> tuple[Stop, str]:
    """Why a child ended, as well as its exit status and its last words tell."""
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(0.2)
    code = process.returncode
    if code is None:
        what = "the solver closed its output"
    elif code < 0:
        what = f"the solver died of signal {-code}"
    else:
        what = f"the solver ended with exit status {code}"
    no_memory = any(w in complaints for w in ("bad_alloc", "MemoryError", "out of memory"))
    return (Stop.MEMORY if no_memory else Stop.CRASH), f"{what}: {complaints}".rstrip(": ")
