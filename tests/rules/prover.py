"""z3 in a process of its own, which is killed when a question takes too long.

z3's own limit is not always kept within one step of its arithmetic. The process reads questions as
JSON lines (an SMT-LIB text each) and answers sat, unsat or unknown; it is started when it is first
needed, and again after it was killed.
"""

from __future__ import annotations

import json
import os
import selectors
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


class Prover:
    """Answers questions, one at a time; `close` ends the process."""

    def __init__(self, seconds: float = 60.0) -> None:
        self.seconds = seconds
        self._process: subprocess.Popen[str] | None = None

    def ask(self, text: str) -> str:
        """sat, unsat, unknown, or `out of time`."""
        process = self._running()
        stdin, stdout = process.stdin, process.stdout
        assert stdin is not None
        assert stdout is not None
        stdin.write(json.dumps(text) + "\n")
        stdin.flush()
        with selectors.DefaultSelector() as waiting:
            waiting.register(stdout, selectors.EVENT_READ)
            if not waiting.select(self.seconds):
                self.close()
                return "out of time"
        answer = stdout.readline().strip()
        assert answer, "the prover has ended"
        return answer

    def close(self) -> None:
        """End the process, whatever it does."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None

    def _running(self) -> subprocess.Popen[str]:
        if self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.rules.prover"], stdin=subprocess.PIPE,
                stdout=subprocess.PIPE, text=True, cwd=ROOT,
                env={**os.environ, "PYTHONPATH": str(ROOT)})
        return self._process


def answer_questions() -> None:
    """The process: until nobody asks any more."""
    import z3

    for line in sys.stdin:
        text = json.loads(line)
        solver = z3.Solver() if "Int)" in text else z3.SolverFor("QF_NRA")
        solver.from_string(text)
        print(solver.check(), flush=True)


if __name__ == "__main__":
    answer_questions()
