"""What tests of spoiled certificates share: a lazy search, the checker's answer, what is true."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from tests.certificate.corruptions import Case
from tests.helpers import checker_parts as checker
from tests.helpers.spec_nets import by_solver, truth
from verifex.engine.bounds.optimise import Effort
from verifex.engine.search.gates.search import SearchOptions
from verifex.engine.solve.pool import SolverPool
from verifex.errors import VerifexError
from verifex.problem.spec.build import load_problem

LAZY = SearchOptions(root_effort=Effort(0), effort=Effort(0))
"""A search that does not improve its bounds: its proofs need splits, and multipliers of splits."""


def check(case: Case, folder: Path) -> tuple[int, str]:
    """The checker's answer to a case, by way of files."""
    paths = [folder / name for name in ("net.onnx", "spec.toml", "proof.vxc")]
    for path, data in zip(paths, (case.network, case.spec, case.certificate()), strict=True):
        path.write_bytes(data)
    return checker.check([str(p) for p in paths])


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
