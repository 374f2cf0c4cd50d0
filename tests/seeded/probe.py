"""Claims whose truth is known, searched and certified: 0 if all is well, 1 if something is not.

    python -m tests.seeded.probe [CLAIM TO LEAVE OUT ...]

Run by `run.py` against copies of verifex with a bug in them. What counts as noticed: a search that
closes a claim which is false, a certificate of a closed claim that the checker refuses, or a
witness that it refuses.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from tests.helpers import checker_parts as checker
from tests.seeded.claims import CLAIMS, claim
from verifex.certificate.write import proof_lines, witness_lines, write
from verifex.engine.bounds.bounder import Effort
from verifex.engine.budget import Budget
from verifex.engine.search.claims import decide_search
from verifex.engine.search.gates.search import SearchOptions
from verifex.problem.spec.build import read_problem

LAZY = SearchOptions(root_effort=Effort(0), effort=Effort(0))


def probe(name: str, folder: Path) -> str | None:
    """What is wrong with one claim's search or certificate; None if nothing is."""
    network, spec, true = claim(name)
    asked = read_problem(spec)
    problem, files = asked.problem, asked.files
    for how, options in (("", SearchOptions()), (" (lazy)", LAZY)):
        found = decide_search(problem, Budget(20.0, 1 << 30, 1), options)
        path = folder / "proof.vxc"
        if found.witness is not None:
            write(path, witness_lines(problem, files, found.witness))
        elif found.closed is not None and not found.stats.ties:
            write(path, proof_lines(problem, files, found.closed))
            if not true:
                code, said = checker.check([str(network), str(spec), str(path)])
                return f"{name}: a false claim is closed, the checker says {said}"
        else:
            continue
        code, said = checker.check([str(network), str(spec), str(path)])
        if code != 0:
            return f"{name}: {said}{how}"
    return None


def main(leave_out: list[str]) -> int:
    with tempfile.TemporaryDirectory() as folder:
        for name in CLAIMS:
            wrong = None if name in leave_out else probe(name, Path(folder))
            if wrong:
                print(wrong)
                return 1
    print("as it should be")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
