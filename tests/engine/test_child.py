"""Solver processes against solvers that lie, hang, crash, flood, allocate or print garbage."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests.helpers.waiting import hear_interrupts, until
from verifex.engine.solve.child import SolverProcess
from verifex.engine.solve.processes import resident
from verifex.ir.model.logical import Model, Product
from verifex.ir.model.solving import Answer, SolveLimits, Status, Stop

HOSTILE = Path(__file__).parent / "hostile.py"
SECONDS = 1.5
"""For what ends by no other means than the deadline."""
NEVER = 3600.0
"""A deadline that no test waits for: what ends in another way does, on however slow a machine."""


def command(mode: str) -> list[str]:
    return [sys.executable, str(HOSTILE), mode]


def small() -> Model:
    model = Model()
    x = model.new("x", 0, 1)
    model.objective = {x: 1}
    return model


def ask(mode: str, *, seconds: float = NEVER, memory: int = 1 << 30) -> Answer:
    """The answer of a hostile solver; if it were let, most would take longer than a test may."""
    with SolverProcess("hostile", command=command(mode), max_output=1 << 22) as child:
        return child.solve(small(), SolveLimits(seconds, memory))


def gone(pid: int) -> bool:
    """Whether a process has ended (a zombie that nobody reaps has)."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return True
    return stat.rpartition(")")[2].split()[0] in "ZX"


def until_gone(pid: int) -> bool:
    return until(lambda: gone(pid))


@pytest.mark.parametrize(
    ("mode", "stop"),
    [
        ("hang", Stop.TIME),
        ("spin", Stop.TIME),
        ("silent_half", Stop.TIME),
        ("never_reads", Stop.TIME),
        ("abort", Stop.CRASH),
        ("leave", Stop.CRASH),
        ("leave_politely", Stop.CRASH),
        ("throw", Stop.CRASH),
        ("nothing", Stop.CRASH),
        ("closes", Stop.CRASH),
        ("gone", Stop.CRASH),
        ("point_elsewhere", Stop.CRASH),
        ("flood_stdout", Stop.OUTPUT),
        ("flood_channel", Stop.OUTPUT),
        ("flood_stderr", Stop.OUTPUT),
        ("flood_lines", Stop.CRASH),
        ("allocate", Stop.MEMORY),
        ("allocate_in_child", Stop.MEMORY),
    ],
)
def test_misbehaviour_is_unknown_with_its_reason(mode: str, stop: Stop) -> None:
    answer = ask(
        mode, seconds=SECONDS if stop is Stop.TIME else NEVER,
        memory=300 << 20 if "allocate" in mode else 1 << 30)
    assert (answer.status, answer.stop) == (Status.UNKNOWN, stop), answer
    assert answer.point is None
    assert answer.note
    assert "\n" not in answer.note


@pytest.mark.parametrize(
    "mode",
    [
        *("garbage", "empty_line", "wrong_type", "deep", "long_number", "wrong_id", "no_fields"),
        *("exponent", "infinite", "zero_denominator", "bad_point", "point_of_maps"),
        *("negative_position", "true_position", "bad_status", "bad_note", "bad_seconds"),
    ],
)
def test_malformed_answers_are_crashes(mode: str) -> None:
    answer = ask(mode)
    assert (answer.status, answer.stop) == (Status.UNKNOWN, Stop.CRASH)
    assert "malformed" in answer.note


@pytest.mark.parametrize("mode", ["lie_infeasible", "lie_point"])
def test_lies_come_through_as_said(mode: str) -> None:
    """Believing them or not is decided elsewhere, by replay and by certificates."""
    assert ask(mode).status in (Status.INFEASIBLE, Status.OPTIMAL)


def test_chatter_on_stdout_does_not_reach_the_channel() -> None:
    assert ask("chatter").status is Status.OPTIMAL


def test_a_killed_solver_starts_again() -> None:
    with SolverProcess("highs") as child:
        assert child.solve(small(), SolveLimits(NEVER)).status is Status.OPTIMAL
        child.kill()
        assert child.solve(small(), SolveLimits(NEVER)).status is Status.OPTIMAL


def test_no_time_at_all_is_a_time_out() -> None:
    with SolverProcess("highs") as child:
        assert child.solve(small(), SolveLimits(0)).stop is Stop.TIME


def test_a_large_model_does_not_deadlock() -> None:
    model = Model()
    for _ in range(20_000):
        model.add({model.new("a rather long name " * 5, 0, 1): 0.1}, "<=", 1)
    with SolverProcess("good", command=command("good")) as child:
        assert child.solve(model, SolveLimits(NEVER)).status is Status.OPTIMAL
    with SolverProcess("mute", command=command("never_reads")) as child:
        assert child.solve(model, SolveLimits(1)).stop is Stop.TIME


def test_unknown_solvers_and_wrong_questions_are_unsupported() -> None:
    with SolverProcess("no such") as child:
        answer = child.solve(small(), SolveLimits(NEVER))
        assert (answer.status, answer.stop) == (Status.UNKNOWN, Stop.UNSUPPORTED)
        assert child.info()[0] is None
    with SolverProcess("highs") as child:
        answer = child.solve({"graph": []}, SolveLimits(NEVER))
        assert (answer.status, answer.stop) == (Status.UNKNOWN, Stop.UNSUPPORTED)
        model = small()
        x, y = model.new("y", 0, 1), model.new("z", 0, 1)
        model.products.append(Product(x, y, y))
        assert child.solve(model, SolveLimits(NEVER)).stop is Stop.UNSUPPORTED


def test_killing_takes_grandchildren_along(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "pid"
    monkeypatch.setenv("HOSTILE_FILE", str(file))
    with SolverProcess("hostile", command=command("family")) as child:
        answer = child.solve(small(), SolveLimits(NEVER), lambda: written(file))
        assert answer.stop is Stop.INTERRUPTED
    assert until_gone(int(file.read_text()))


def written(file: Path) -> bool:
    return file.exists() and file.read_text() != ""


def test_interrupt_from_another_thread() -> None:
    answers: list[Answer] = []
    with SolverProcess("hostile", command=command("hang")) as child:
        thread = threading.Thread(
            target=lambda: answers.append(child.solve(small(), SolveLimits(NEVER))))
        thread.start()
        while thread.is_alive():  # an interrupt before there is a question is none
            child.interrupt()
            thread.join(0.3)
        (answer,) = answers
        assert (answer.status, answer.stop) == (Status.UNKNOWN, Stop.INTERRUPTED)


PARENT = """
import sys
from verifex.engine.solve.child import SolverProcess
from verifex.ir.model.logical import Model, Product
from verifex.ir.model.solving import SolveLimits
with SolverProcess("hostile", command=[sys.executable, {file!r}, "family"]) as child:
    try:
        child.solve(Model(), SolveLimits(3600))
    except KeyboardInterrupt:
        print("interrupted", flush=True)
        raise
"""


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_children_die_with_their_parent(how: signal.Signals, tmp_path: Path) -> None:
    """Ctrl-C, and deaths at which the parent can do nothing."""
    file = tmp_path / "pid"
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT.format(file=str(HOSTILE))],
        env=os.environ | {"HOSTILE_FILE": str(file), "TMPDIR": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        preexec_fn=hear_interrupts,
    )
    assert until(lambda: written(file))
    grandchild = int(file.read_text())
    worker = int(Path(f"/proc/{grandchild}/stat").read_text().rpartition(")")[2].split()[1])
    assert not gone(worker)
    parent.send_signal(how)
    assert until_gone(grandchild)
    assert until_gone(worker)
    output, _ = parent.communicate()
    assert ("interrupted" in output) == (how is signal.SIGINT)
    assert [f.name for f in tmp_path.iterdir()] == ["pid"]


def test_nothing_is_left_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with SolverProcess("pulp") as child:
        assert child.solve(small(), SolveLimits(NEVER)).status is Status.OPTIMAL
        process = child._process
    assert process is not None
    assert gone(process.pid)
    assert not list(tmp_path.iterdir())


def test_memory_of_a_process_is_seen() -> None:
    mine = resident(os.getpid())
    assert 5 << 20 < mine < 64 << 30
    assert resident(2**22 + 1) == 0


def test_import_is_light() -> None:
    code = (
        "import sys, verifex.engine.solve.child, verifex.engine.solve.registry;"
        "heavy = {'numpy', 'torch', 'onnx', 'highspy', 'z3'} & set(sys.modules);"
        "sys.exit(', '.join(heavy) or None)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
