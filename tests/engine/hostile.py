"""Adapters that misbehave, run in place of a worker: `python hostile.py MODE`. Only for tests."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from typing import Any

from verifex.engine.solve.worker import serve
from verifex.ir.model.logical import Model
from verifex.ir.model.solving import Answer, Availability, Capabilities, SolveLimits, Status, Stop


class Hostile:
    """An adapter whose `solve` is the method named on the command line."""

    name = "hostile"
    capabilities = Capabilities(exact=True, optimise=True, products=True)

    def __init__(self, mode: str) -> None:
        self._mode = getattr(self, mode)

    def availability(self) -> Availability:
        return Availability(True, "0")

    def solve(self, model: Model, limits: SolveLimits) -> Any:
        return self._mode(model)

    def lie_infeasible(self, model: Model) -> Answer:
        return Answer(Status.INFEASIBLE)

    def lie_point(self, model: Model) -> Answer:
        return Answer(Status.OPTIMAL, Stop.DONE, 7, 7, {0: 10**6})

    def point_elsewhere(self, model: Model) -> Answer:
        return Answer(Status.OPTIMAL, point={len(model.variables): 1})

    def good(self, model: Model) -> Answer:
        return Answer(Status.OPTIMAL, point={})

    def hang(self, model: Model) -> Answer:
        for number in range(1, signal.NSIG):
            if number not in (signal.SIGKILL, signal.SIGSTOP, 32, 33):
                signal.signal(number, signal.SIG_IGN)
        while True:
            time.sleep(3600)

    def spin(self, model: Model) -> Answer:
        pow(3, 1 << 40, (1 << 4_000_000) + 1)  # one C call that holds the interpreter lock
        return Answer(Status.UNKNOWN)

    def family(self, model: Model) -> Answer:
        """A grandchild that would outlive us; its number goes to the file that a test names."""
        child = subprocess.Popen(["sleep", "3600"])
        with open(os.environ["HOSTILE_FILE"], "w") as f:
            f.write(str(child.pid))
        child.wait()
        return Answer(Status.UNKNOWN)

    def abort(self, model: Model) -> Answer:
        os.abort()

    def leave(self, model: Model) -> Answer:
        os._exit(3)

    def leave_politely(self, model: Model) -> Answer:
        raise SystemExit(0)

    def throw(self, model: Model) -> Answer:
        raise ArithmeticError("two\nlines")

    def nothing(self, model: Model) -> None:
        return None

    def chatter(self, model: Model) -> Answer:
        """Prints to stdout from Python and from below it: no harm, stdout is not the channel."""
        print('{"id": 1, "status": "infeasible"}', flush=True)
        os.write(1, b"not json\n")
        return Answer(Status.OPTIMAL, point={})

    def flood_stdout(self, model: Model) -> Answer:
        while True:
            os.write(1, b"x" * (1 << 16))

    def allocate(self, model: Model) -> Answer:
        kept = []
        while True:
            kept.append(bytearray(b"\1" * (16 << 20)))

    def allocate_in_child(self, model: Model) -> Answer:
        code = "k=[]\nwhile True: k.append(bytearray(b'1' * (16 << 20)))"
        subprocess.run([sys.executable, "-c", code], check=False, preexec_fn=_no_limit)
        return Answer(Status.UNKNOWN)


def _no_limit() -> None:
    import resource

    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    resource.setrlimit(resource.RLIMIT_AS, (hard, hard))


GARBAGE = {
    "garbage": b"\xff\x00{{{\n",
    "empty_line": b"\n",
    "wrong_type": b"[1, 2]\n",
    "deep": b"[" * 200_000 + b"\n",
    "long_number": b'{"id": ' + b"9" * 10_000 + b"}\n",
    "wrong_id": b'{"id": 99}\n',
    "no_fields": b'{"id": 1}\n',
    "exponent": b'{"objective": "1e999999999"}',
    "infinite": b'{"objective": Infinity}',
    "zero_denominator": b'{"objective": "1/0"}',
    "bad_point": b'{"point": [[0, "one"]]}',
    "point_of_maps": b'{"point": {"0": 1}}',
    "negative_position": b'{"point": [[-1, 1]]}',
    "true_position": b'{"point": [[true, 1]]}',
    "bad_status": b'{"status": "proved"}',
    "bad_note": b'{"note": 3}',
    "bad_seconds": b'{"seconds": "1e9999x"}',
}


def garbage(mode: str) -> None:
    """Answer the first request with one fixed line; a partial answer completes a good one."""
    line = GARBAGE[mode]
    if not line.endswith(b"\n"):
        good = {"id": 1, "status": "infeasible", "stop": "done", "objective": None, "bound": None}
        good |= {"point": None, "seconds": 0.0, "note": "", "extra": {}} | json.loads(line)
        line = json.dumps(good).encode() + b"\n"
    sys.stdin.readline()
    sys.stdout.buffer.write(line)
    sys.stdout.flush()
    time.sleep(3600)


def raw(mode: str) -> None:
    """Misbehaviour on the channel itself."""
    if mode == "flood_channel":
        while True:
            os.write(1, b"y" * (1 << 16))
    if mode == "flood_lines":
        while True:
            os.write(1, b'{"id": 0}\n' * 1000)
    if mode == "flood_stderr":
        while True:
            os.write(2, b"z" * (1 << 16))
    if mode == "silent_half":
        sys.stdin.readline()
        os.write(1, b'{"id": 1, "status"')
        time.sleep(3600)
    if mode == "never_reads":
        time.sleep(3600)
    if mode == "closes":
        os.close(1)
        time.sleep(3600)
    if mode == "gone":
        sys.exit(0)


if __name__ == "__main__":
    if sys.argv[1] in GARBAGE:
        garbage(sys.argv[1])
    elif hasattr(Hostile, sys.argv[1]):
        serve(lambda: Hostile(sys.argv[1]))
    else:
        raw(sys.argv[1])
