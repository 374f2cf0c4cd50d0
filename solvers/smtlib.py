"""Any SMT-LIB 2 solver that is a program: it gets the model as a file and prints values."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from verifex.ir.model.logical import Model
from verifex.ir.model.lower import value_of
from verifex.ir.model.smtlib import Term, parse_terms, symbol, to_smtlib, value
from verifex.ir.model.solving import Answer, Availability, Capabilities, SolveLimits, Status, Stop

if TYPE_CHECKING:
    from verifex.ir.exact import Number

KNOWN = ("yices-smt2", "opensmt", "mathsat", "cvc5", "smtinterpol", "z3")
"""Programs looked for, in this order, where none is named."""


class SmtLib:
    """`smtlib` takes the first of `KNOWN` on the path, `smtlib:PROGRAM` the one named.

    The program must take a file name as its only argument. An objective is not optimised.
    """

    name = "smtlib"
    capabilities = Capabilities(exact=True, optimise=False, products=True)

    def __init__(self, program: str = "") -> None:
        self.program = program

    def availability(self) -> Availability:
        """Whether a program is found; which one, as the version."""
        path = self._find()
        if path is None:
            return Availability(False, reason=f"no {self.program or ', '.join(KNOWN)} on the path")
        return Availability(True, f"{Path(path).name} ({path})")

    def solve(self, model: Model, limits: SolveLimits) -> Answer:
        """Solve; points are exact fractions."""
        path = self._find()
        if path is None:
            return Answer(Status.UNKNOWN, Stop.UNSUPPORTED, note=self.availability().reason)
        with tempfile.TemporaryDirectory(prefix="verifex-") as folder:
            script = Path(folder, "model.smt2")
            script.write_text(to_smtlib(model), encoding="ascii")
            try:
                done = subprocess.run(
                    [path, str(script)],
                    stdin=subprocess.DEVNULL,
                    capture_output=True,
                    timeout=limits.seconds,
                    check=False,
                )
            except subprocess.TimeoutExpired:
                return Answer(Status.UNKNOWN, Stop.TIME)
        return read_answer(model, done.stdout.decode("utf-8", "replace"), done.returncode)

    def _find(self) -> str | None:
        # A virtual environment need not be active for its programs to be meant.
        places = [os.environ.get("PATH", os.defpath), str(Path(sys.executable).parent)]
        wanted = (self.program,) if self.program else KNOWN
        found = (shutil.which(name, path=os.pathsep.join(places)) for name in wanted)
        return next((path for path in found if path), None)


def read_answer(model: Model, output: str, code: int = 0) -> Answer:
    """The answer that a program printed. After an error message nothing that follows counts."""
    try:
        terms = parse_terms(output)
    except ValueError as e:
        return Answer(Status.UNKNOWN, Stop.CRASH, note=f"unreadable output: {e}")
    # Some programs acknowledge every command.
    said = next((t for t in terms if t != "success"), "nothing")
    if said == "unsat":
        return Answer(Status.INFEASIBLE)
    if said == "sat":
        return _found(model, terms[terms.index("sat") + 1 :])
    text = " ".join(output.split())[:200] or f"no output, exit status {code}"
    stop = Stop.UNSUPPORTED if said == "unknown" or _is_error(said) else Stop.CRASH
    return Answer(Status.UNKNOWN, stop, note=text)


def _is_error(term: Term) -> bool:
    return isinstance(term, list) and term[:1] == ["error"]


def _found(model: Model, terms: list[Term]) -> Answer:
    point: dict[int, Number] = {}
    positions = {symbol(i): i for i in range(len(model.variables))}
    for pair in (p for t in terms if isinstance(t, list) and not _is_error(t) for p in t):
        match pair:
            case [str(name), term] if name in positions and (n := value(term)) is not None:
                point[positions[name]] = n
    if model.variables and not point:
        return Answer(Status.UNKNOWN, Stop.CRASH, note="sat, but no values could be read")
    missing = len(model.variables) - len(point)
    note = f"{missing} values are missing or irrational" if missing else ""
    if model.objective is None:
        return Answer(Status.OPTIMAL, point=point, note=note)
    note = "; ".join(n for n in (note, "SMT-LIB programs find points but do not optimise") if n)
    objective = value_of(model, point)
    return Answer(Status.FEASIBLE, Stop.UNSUPPORTED, objective, None, point, note=note)
