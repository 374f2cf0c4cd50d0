"""What tests of spoiled certificates share: a lazy search, the checker's answer, what is true."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from tests.certificate.corruptions import Case
from tests.helpers import checker_parts as checker
from tests.helpers.spec_nets import by_solver, pair, truth
from verifex.certificate.write import proof_lines
from verifex.engine.bounds.bounder import Effort
from verifex.engine.budget import Budget
from verifex.engine.search.claims import decide_search
from verifex.engine.search.gates.search import SearchOptions
from verifex.engine.solve.pool import SolverPool
from verifex.errors import VerifexError
from verifex.problem.spec.build import load_problem, read_problem

LAZY = SearchOptions(root_effort=Effort(0), effort=Effort(0))
"""A search that does not improve its bounds: its proofs need splits, and multipliers of splits."""


def check(case: Case, folder: Path) -> tuple[int, str]:
    """The checker's answer to a case, by way of files."""
    paths = [folder / name for name in ("net.onnx", "spec.toml", "proof.vxc")]
    for path, data in zip(paths, (case.network, case.spec, case.certificate()), strict=True):
        path.write_bytes(data)
    return checker.check([str(p) for p in paths])


def bases(count: int, folder: Path) -> list[Case]:
    """Valid certificates with splits, of claims about different networks."""
    found: list[Case] = []
    for seed in range(1000, 1400):
        p = pair(seed, folder, ("component", "l1", "output", "linf", "order")[seed % 5], hard=True)
        problem = p.problem()
        result = decide_search(problem, Budget(10.0, 1 << 30, 1), LAZY)
        if result.closed is None or result.stats.ties or not 3 <= result.closed.proof.leaves <= 60:
            continue
        lines = tuple(proof_lines(problem, read_problem(p.spec, p.network).files, result.closed))
        # The spec names the network that the case writes beside it.
        text = p.spec.read_bytes().replace(p.network.name.encode(), b"net.onnx")
        case = Case(p.network.read_bytes(), text, lines).rehashed()
        if check(case, folder)[0] == 0:
            found.append(case)
        if len(found) == count:
            break
    assert len(found) == count
    return found


class Truth:
    """What is true of a network and a spec, remembered; "none" where they state no claim."""

    def __init__(
        self, folder: Path, second: str | None = None, pool: SolverPool | None = None
    ) -> None:
        self.folder, self.second, self.pool = folder, second, pool
        self.of = cache(self._decide)

    def _decide(self, network: bytes, spec: bytes) -> str:
        (self.folder / "net.onnx").write_bytes(network)
        (self.folder / "spec.toml").write_bytes(spec)
        try:
            problem = load_problem(self.folder / "spec.toml", self.folder / "net.onnx")
        except VerifexError:
            return "none"
        said = truth(problem)
        if self.second is None:
            return said
        again = by_solver(problem, self.second, self.pool)
        if "open" in (said, again) or said == again or (said, again) == ("kink", "false"):
            return again if said == "open" else said
        return f"{said}, but {again} by {self.second}"
