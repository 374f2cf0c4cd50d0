"""Exact worst-case ranges: how far can the output and each important component move?"""

from pathlib import Path

import verifex
from verifex import data, explain, linf

FOLDER = Path(__file__).parent

spec = verifex.Spec(
    input=data(str(FOLDER / "breast_cancer_test.csv"), 4, target="target"),
    region=linf("0.03", clip=(0, 1)),
    explain=explain("gradient", output="margin:1,0"),
)
network = verifex.load(FOLDER / "breast_cancer.onnx")
expressions = ("output", "component:worst_texture", "component:area_error")
for found in verifex.bounds(network, spec, expressions, seconds=20):
    low, high = found.low.best_bound, found.high.best_bound
    state = "exact to 1e-6" if found.settled else "not closed"
    print(f"{found.expression:>24}: {low:+.6f} to {high:+.6f} ({state})")
