"""Two claims that liars are asked about, and pools in which a liar stands for a solver."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.soundness.liars import FICKLE, LIES
from verifex.engine.solve.child import SolverProcess
from verifex.engine.solve.pool import SolverPool
from verifex.ir.model.solving import Capabilities
from verifex.ir.problem import Problem
from verifex.problem.spec.build import build_problem
from verifex.problem.spec.model import Spec

HERE = Path(__file__).parent
HOSTILE = HERE.parent / "engine" / "hostile.py"
KINDS = {
    "float": Capabilities(exact=False, optimise=True, products=False),
    "exact": Capabilities(exact=True, optimise=False, products=True),
    "problem": Capabilities(exact=True, optimise=True, products=False, reads="problem"),
}


def ramp_problem(**bounds: float) -> Problem:
    """f = relu(x + y) - relu(x + y - 1) over [-1, 1]^2, and bounds on df/dx, which is 0 or 1.

    Interval bounds give [-1, 1], so they close neither question.
    """
    import numpy as np

    from verifex.ir.graph import Builder
    from verifex.ir.linmap import dense

    b = Builder()
    x = b.input("x", (2,))
    z = b.affine(dense(np.ones((2, 2))), x, np.array([0.0, -1.0]))
    f = b.affine(dense(np.array([[1.0, -1.0]])), b.relu(z))
    spec = Spec(
        input={"point": [0.25, 0.125]}, region={"box": [-1, 1]},
        explain={"attribution": "gradient", "output": "logit:0"},
        require=[{"component": "x[0]", **bounds}],
    )
    return build_problem(b.build({"f": f}), spec)


TRUE = ramp_problem(at_least=-0.5)
FALSE = ramp_problem(at_most=0.5)


def liar(lie: str, kind: str, pools: list[SolverPool]) -> SolverPool:
    if lie in LIES or lie in FICKLE:
        command = [sys.executable, str(HERE / "liars.py"), lie, KINDS[kind].reads]
    else:
        command = [sys.executable, str(HOSTILE), lie]
    process = SolverProcess("liar", command=command, max_output=1 << 22)
    pools.append(SolverPool(replacements={"liar": (process, KINDS[kind])}))
    return pools[-1]
