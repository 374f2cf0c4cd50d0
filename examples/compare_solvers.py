"""One question put to several solvers: they must not contradict one another."""

from pathlib import Path

import verifex
from verifex import component, data, explain, linf

FOLDER = Path(__file__).parent

network = verifex.load(FOLDER / "breast_cancer.onnx")
spec = verifex.Spec(
    input=data(str(FOLDER / "breast_cancer_test.csv"), 12, target="target"),
    region=linf("0.05", clip=(0, 1), only=["worst_*"]),
    explain=explain("gradient", output="logit:1"),
    require=[component("worst_texture", below=0)],
)
problem = verifex.build(network, spec)
outcomes = set()
with verifex.SolverPool() as pool:
    for name in ("highs", "z3", "cvc5", "scip"):
        try:
            verdict = verifex.verify(
                None, problem, solver=name, seconds=20, attack=False, pool=pool
            )
        except verifex.MissingSolverError as error:
            print(f"{name:>6}: {error}")
            continue
        outcomes.add(verdict.outcome)
        print(f"{name:>6}: {verdict.outcome.value:8} {verdict.seconds:6.2f} s  {verdict.reason}")
if {verifex.Outcome.CLAIMED, verifex.Outcome.REFUTED} <= outcomes:
    raise SystemExit("the solvers contradict one another")
