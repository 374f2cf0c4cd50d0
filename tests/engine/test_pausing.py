"""A solver's process that is paused and goes on; and that nothing of it outlives us."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tests.helpers.waiting import until
from verifex.engine.solve.child import SolverProcess
from verifex.engine.solve.processes import GUARDIAN, descendants
from verifex.engine.solve.steps import finish
from verifex.ir.model.logical import Model
from verifex.ir.model.solving import SolveLimits, Status, Stop

HOSTILE = Path(__file__).parent / "hostile.py"
LIMITS = SolveLimits(600.0, 1 << 32)


def command(mode: str) -> list[str]:
    return [sys.executable, str(HOSTILE), mode]


def small() -> Model:
    model = Model()
    x = model.new("x", 0, 1)
    model.objective = {x: 1}
    return model


def state(pid: int) -> str:
    """The letter of a process in /proc: T where it is stopped, Z or X where it has ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return "X"


def gone(pid: int) -> bool:
    return state(pid) in "ZX"


def begun(child: SolverProcess, mode_ready: int = 2) -> list[int]:
    """The processes of a solver that works on something: with its guardian, one at least."""
    assert child._process is not None
    pid = child._process.pid
    assert until(lambda: Path(child._folder, GUARDIAN).exists())
    assert until(lambda: len(list(descendants(pid))) >= mode_ready)
    return list(descendants(pid))


def test_a_paused_solver_stands_still_but_for_its_guardian_and_goes_on() -> None:
    with SolverProcess("hostile", command=command("spin")) as child:
        steps = child.asking(small(), LIMITS)
        next(steps)
        pids = begun(child)
        child.pause()
        assert until(lambda: state(pids[0]) == "T")
        guardian = int(Path(child._folder, GUARDIAN).read_text())
        assert guardian in pids
        assert until(lambda: state(guardian) not in "TZX")
        child.pause()  # twice is once
        child.resume()
        assert until(lambda: state(pids[0]) in "RSD")
        steps.close()
        assert until(lambda: all(map(gone, pids)))


def test_the_answer_comes_after_pauses() -> None:
    with SolverProcess("highs") as child:
        steps, pauses = child.asking(small(), LIMITS), 0
        while True:
            try:
                next(steps)
            except StopIteration as end:
                answer = end.value
                break
            child.pause()
            pauses += child._paused
            child.resume()
        assert answer.status is Status.OPTIMAL
        assert answer.point is not None


@pytest.mark.parametrize("end", ["close", "kill", "steps"])
def test_nothing_is_left_of_a_paused_solver(end: str) -> None:
    child = SolverProcess("hostile", command=command("spin"))
    steps = child.asking(small(), LIMITS)
    next(steps)
    pids = begun(child)
    child.pause()
    assert until(lambda: state(pids[0]) == "T")
    {"close": child.close, "kill": child.kill, "steps": steps.close}[end]()
    assert until(lambda: all(map(gone, pids)))


def test_one_whose_time_ended_while_it_was_paused_may_still_answer() -> None:
    with SolverProcess("hostile", command=command("spin"), grace=0.2) as child:
        steps = child.asking(small(), SolveLimits(1.0, 1 << 32))
        next(steps)
        begun(child)
        child.pause()
        assert until(lambda: False, 1.5) is False
        child.resume()
        next(steps)  # not killed at once, although the deadline is over
        assert finish(steps).stop is Stop.TIME


def test_a_paused_solver_does_not_outlive_whoever_paused_it(tmp_path: Path) -> None:
    """Killed by a signal that nobody hears, we leave a stopped process: its guardian ends it."""
    told = tmp_path / "pids"
    script = textwrap.dedent(f"""
        import time
        from pathlib import Path
        from tests.engine.test_pausing import *
        child = SolverProcess("hostile", command=command("spin"))
        steps = child.asking(small(), LIMITS)
        next(steps)
        pids = begun(child)
        child.pause()
        Path({str(told)!r}).with_suffix(".part").write_text(" ".join(map(str, pids)))
        Path({str(told)!r}).with_suffix(".part").rename({str(told)!r})
        time.sleep(600)
    """)
    parent = subprocess.Popen([sys.executable, "-c", script], cwd=Path(__file__).parents[2])
    try:
        assert until(told.exists)
        pids = [int(p) for p in told.read_text().split()]
        assert until(lambda: state(pids[0]) == "T")
    finally:
        os.kill(parent.pid, signal.SIGKILL)
        parent.wait()
    assert until(lambda: all(map(gone, pids)))
