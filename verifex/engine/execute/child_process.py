"""A process beside ours, with a channel to it: started, watched and ended in one way.

It is a copy of this process (`fork_child`), which has everything that was computed so far, or a
fresh interpreter (`start_child`), which has nothing but can use a GPU and several torch threads.
"""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from typing import NoReturn, Protocol

from verifex.engine.execute.channel import Channel, PeerGoneError
from verifex.engine.solve.processes import descendants, resident

EXIT_MEMORY = 3
"""How a process ends that cannot get more memory."""

_SIGNALS = signal.SIGINT, signal.SIGTERM

_THREAD_VARIABLES = "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"
"""Several processes share the processor already; what a task asks of torch itself comes later."""


class Closes(Protocol):
    def close(self) -> None: ...


class Waited(Protocol):
    """A process that can be waited for: its exit status, or minus the signal that ended it."""

    pid: int

    def poll(self) -> int | None: ...
    def wait(self) -> int: ...


class ForkedCopy:
    """A copy of this process, waited for as `subprocess.Popen` is."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._code: int | None = None

    def poll(self) -> int | None:
        if self._code is None:
            self._collect(os.WNOHANG)
        return self._code

    def wait(self) -> int:
        while self._code is None:
            self._collect(0)
        return self._code

    def _collect(self, flags: int) -> None:
        ended, status = os.waitpid(self.pid, flags)
        if ended:
            self._code = os.waitstatus_to_exitcode(status)


class ChildProcess:
    """A process that this one started, and our end of the channel to it."""

    def __init__(self, process: Waited, channel: Channel) -> None:
        self._process, self.channel = process, channel
        self._shared = resident(process.pid)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    @property
    def grown(self) -> int:
        """Bytes of memory that it holds, and what it started, beyond what it began with: a copy
        shares that with this process."""
        return resident(self.pid) - self._shared if self.running else 0

    def kill(self) -> None:
        """Kill it with all that it started; it is still to be waited for."""
        if self.running:
            kill_tree(self.pid)

    def end(self) -> str:
        """Leave nothing of it, and say how it ended."""
        self.channel.close()
        self.kill()
        return how_it_ended(self._process.wait())


def how_it_ended(code: int) -> str:
    """An exit code of `Waited` in words that follow the name of a process."""
    return f"died of signal {-code}" if code < 0 else f"ended with exit status {code}"


def kill_tree(pid: int) -> None:
    """Kill a process and everything that it started, whatever group that is in; of this process,
    only what it started."""
    for one in descendants(pid):
        if one == os.getpid():
            continue
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(one, signal.SIGKILL)


def fork_child(live: Callable[[Channel], None], foreign: Sequence[Closes]) -> ChildProcess:
    """Fork a process that calls `live` with its end of a channel, and ends when that returns.

    `foreign` are our ends of the channels to others. Raises OSError where no more processes or
    files are to be had.
    """
    mine, theirs = socket.socketpair()
    # An interrupt in between must not make the new process run what the old one does then.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    try:
        pid = os.fork()
        if pid == 0:
            _live(live, Channel(theirs), [mine, *foreign])
    except OSError:
        mine.close()
        theirs.close()
        raise
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    theirs.close()
    return ChildProcess(ForkedCopy(pid), Channel(mine))


def _live(
    live: Callable[[Channel], None], channel: Channel, foreign: Sequence[Closes]
) -> NoReturn:
    """Life of a forked process; it never returns into the code that it was forked from."""
    code = 1
    try:
        for number in _SIGNALS:
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
        gc.freeze()  # what was there before is neither searched for garbage nor copied for that
        for end in foreign:  # held here, they would hide that the first process is gone
            end.close()
        live(channel)
        code = 0
    except PeerGoneError:
        code = 0
    except MemoryError:
        code = EXIT_MEMORY  # the first process sees that we are gone: what we held stays open
    except Exception as error:
        channel.send({"error": " ".join(f"{type(error).__name__}: {error}".split())[:500]})
        with contextlib.suppress(PeerGoneError):
            channel.flush()
    finally:
        os._exit(code)


def start_child(module: str) -> ChildProcess:
    """Start a fresh interpreter that runs a module as a program; its first argument is the number
    of the file that is its end of the channel. Raises OSError as `fork_child`."""
    mine, theirs = socket.socketpair()
    # -s, -P: neither the user's site packages nor the working directory are searched.
    command = [sys.executable, "-s", "-P", "-m", module, str(theirs.fileno())]
    environment = {name: "1" for name in _THREAD_VARIABLES} | os.environ
    try:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, pass_fds=[theirs.fileno()], env=environment)
    except OSError:
        mine.close()
        raise
    finally:
        theirs.close()
    return ChildProcess(process, Channel(mine))
