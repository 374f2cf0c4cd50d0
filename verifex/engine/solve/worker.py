"""The child process of a solver: JSON requests on stdin, JSON answers on a private stdout.

`python -m verifex.engine.solve.worker NAME[:OPTION]` loads the adapter through the entry point
group "verifex.solvers" (OPTION, where given, goes to its constructor). One request a line:
`{"id", "model" | "problem", "limits", "deadline"}` or `{"id", "ask": "info"}`; one answer a line.
`deadline` is a reading of the monotonic clock, which processes of one machine share.
"""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from typing import IO, Any

from verifex.engine.solve.processes import GUARDIAN
from verifex.errors import UnsupportedError
from verifex.ir.model.logical import Model, model_from_json
from verifex.ir.model.shuffle import put_back, shuffled
from verifex.ir.model.solving import Answer, SolveLimits, Status, Stop, answer_to_json

ENTRY_POINTS = "verifex.solvers"
_ORDERLY_EXIT = 0.3


def load(name: str) -> Any:
    """The adapter called `name`, built; raises LookupError where there is none."""
    from importlib.metadata import entry_points

    base, _, option = name.partition(":")
    for entry in entry_points(group=ENTRY_POINTS, name=base):
        return entry.load()(option) if option else entry.load()()
    raise LookupError(f"no solver is called {base!r}")


def _private_channel() -> tuple[IO[bytes], int]:
    """Our own copies of stdin and stdout; what solver libraries print goes to stderr instead."""
    requests, answers = os.dup(0), os.dup(1)
    empty = os.open(os.devnull, os.O_RDONLY)
    os.dup2(empty, 0)
    os.dup2(2, 1)
    os.close(empty)
    return os.fdopen(requests, "rb"), answers


def _start_guardian(requests: int, answers: int) -> int:
    """Fork a process that kills the whole group as soon as our parent is gone.

    End of file on stdin would do, but a solver inside a long call does not read it, and its own
    children (CBC, an SMT binary) would outlive a signal sent to us alone.
    """
    pid = os.fork()
    if pid:
        if folder := os.environ.get("VERIFEX_SOLVER_FOLDER"):
            _say_guardian(folder, pid)
        return pid
    try:
        for fd in (1, 2, answers):
            os.close(fd)
        poll = select.poll()
        poll.register(requests, 0)  # hang-up is reported without asking; data is left alone
        poll.poll()
        time.sleep(_ORDERLY_EXIT)
        if folder := os.environ.get("VERIFEX_SOLVER_FOLDER"):  # nobody else is left to do it
            shutil.rmtree(folder, ignore_errors=True)
        os.killpg(0, signal.SIGKILL)
    finally:
        os._exit(0)


def _say_guardian(folder: str, pid: int) -> None:
    """Leave the guardian's number where whoever pauses the group finds it, all at once."""
    partly = os.path.join(folder, GUARDIAN + ".part")
    with open(partly, "w", encoding="ascii") as file:
        file.write(str(pid))
    os.rename(partly, os.path.join(folder, GUARDIAN))


def _limit_memory(limit: int) -> None:
    """Bound the address space from here on; the hard limit stays, so the next call may differ."""
    import resource

    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    soft = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
    resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _solve(adapter: Any, request: dict[str, Any]) -> Answer:
    data = request["limits"]
    left = request["deadline"] - time.monotonic()
    if left <= 0:
        return Answer(Status.UNKNOWN, Stop.TIME, note="no time left when the solver was ready")
    # Told a little less, a solver that keeps its limit answers before it is killed.
    seconds = left - min(0.3, 0.1 * left)
    limits = SolveLimits(seconds, data["memory"], data["threads"], data["seed"])
    _limit_memory(limits.memory)
    kind = "problem" if "problem" in request else "model"
    if adapter.capabilities.reads != kind:
        note = f"{adapter.name} reads a {adapter.capabilities.reads}, not a {kind}"
        return Answer(Status.UNKNOWN, Stop.UNSUPPORTED, note=note)
    if kind == "problem":
        answer: Answer = adapter.solve_problem(request["problem"], limits)
        return answer
    model = model_from_json(request["model"])
    if model.products and not adapter.capabilities.products:
        note = f"{adapter.name} takes no products of variables"
        return Answer(Status.UNKNOWN, Stop.UNSUPPORTED, note=note)
    return _any_order(adapter, model, limits)


def _any_order(adapter: Any, model: Model, limits: SolveLimits) -> Answer:
    """The answer to the model as it is written with seed 0, to a floating-point solver in an order
    that the seed draws with any other: a witness that is asked twice does not read the same."""
    if limits.seed == 0 or adapter.capabilities.exact:
        answer: Answer = adapter.solve(model, limits)
        return answer
    other, order = shuffled(model, limits.seed)
    answer = adapter.solve(other, limits)
    return replace(answer, point=put_back(answer.point, order))


def _info(adapter: Any) -> dict[str, Any]:
    from dataclasses import asdict

    return {
        "capabilities": asdict(adapter.capabilities),
        "availability": asdict(adapter.availability()),
    }


def _reply(build: Callable[[], Any], request: dict[str, Any]) -> dict[str, Any]:
    """The answer to a request; whatever the adapter raises becomes an UNKNOWN with a note."""
    try:
        adapter = build()
        if request.get("ask") == "info":
            return _info(adapter)
        return answer_to_json(_solve(adapter, request))
    except MemoryError:
        answer = Answer(Status.UNKNOWN, Stop.MEMORY, note="the solver ran out of memory")
    except UnsupportedError as e:  # it says itself what is not supported
        answer = Answer(Status.UNKNOWN, Stop.UNSUPPORTED, note=" ".join(str(e).split())[:500])
    except (LookupError, ImportError) as e:
        answer = Answer(Status.UNKNOWN, Stop.UNSUPPORTED, note=_one_line(e))
    except Exception as e:  # an adapter may raise anything: that is a crash, and is reported as one
        answer = Answer(Status.UNKNOWN, Stop.CRASH, note=_one_line(e))
    return answer_to_json(answer)


def _one_line(error: BaseException) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:500]


def _write_all(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def serve(build: Callable[[], Any]) -> None:
    """Answer requests until stdin ends. `build` makes the adapter, on the first request."""
    if os.getpgrp() != os.getpid():  # started by hand: the guardian must not kill the shell
        os.setpgid(0, 0)
    requests, answers = _private_channel()
    guardian = _start_guardian(requests.fileno(), answers)
    if hasattr(sys, "set_int_max_str_digits"):
        sys.set_int_max_str_digits(0)  # exact solvers print long numbers
    made: list[Any] = []

    def once() -> Any:
        if not made:
            made.append(build())
        return made[0]

    for line in iter(requests.readline, b""):
        request = json.loads(line)
        reply = _reply(once, request) | {"id": request["id"]}
        _write_all(answers, json.dumps(reply, separators=(",", ":")).encode() + b"\n")
    os.kill(guardian, signal.SIGKILL)
    os.waitpid(guardian, 0)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)  # skips exit hooks of solver libraries, which may hang


def main(argv: list[str]) -> None:
    """Serve the one solver named on the command line."""
    serve(lambda: load(argv[0]))


if __name__ == "__main__":
    main(sys.argv[1:])
