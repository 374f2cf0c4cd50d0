"""Asks about a network with an added function, attribution and property; run as a program.

    python ask.py FOLDER

The three files in the folders beside this one are put where the registries look for files, which
is all that an addition to the package needs. Prints what was found as JSON.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np

import verifex.attribution
import verifex.metrics
import verifex.semantics.functions

HERE = Path(__file__).resolve().parent
for package, folder in (
    (verifex.attribution, "attributions"), (verifex.metrics, "metrics"),
    (verifex.semantics.functions, "functions"),
):
    package.__path__.append(str(HERE / folder))

from verifex.frontend import load, to_onnx  # noqa: E402  # after the files are in their places
from verifex.ir.graph import Builder  # noqa: E402
from verifex.ir.linmap import dense  # noqa: E402
from verifex.ir.ops import Univariate  # noqa: E402
from verifex.problem.spec.build import load_problem  # noqa: E402
from verifex.semantics.evaluate import evaluate_float  # noqa: E402

W1, B1, W2 = [[1.0, -0.5], [0.25, 1.0], [-1.0, 0.75]], [0.125, -0.25, 0.5], [[1.0, -2.0, 0.5]]

SPEC = """
verifex = 1
network = "net.onnx"
[input]
point = [0.5, 0.25]
[region]
linf = 0.125
[explain]
attribution = "integrated_gradients"
output = "logit:0"
options = { steps = 4 }
[[require]]
balance = true
at_most = LIMIT
"""


def main(folder: Path) -> None:
    """Write the network and two specs, one with a bound that holds, and ask."""
    builder = Builder()
    x = builder.input("x", (1, 2))
    hidden = builder.univariate("softplus", builder.affine(
        dense(W1, (1, 2), (1, 3)), x, np.array([B1])))
    graph = builder.build({"y": builder.affine(dense(W2, (1, 3), (1, 1)), hidden)})
    (folder / "net.onnx").write_bytes(to_onnx(graph, dtype="float32"))
    again = load(folder / "net.onnx")
    said = {"functions": [n.op.name for n in again.nodes if isinstance(n.op, Univariate)]}
    for name, limit in (("true", "0"), ("false", "-1")):
        (folder / f"{name}.toml").write_text(SPEC.replace("LIMIT", limit))
        verdict = verifex.verify(None, folder / f"{name}.toml", seconds=30.0)
        said[name] = [verdict.outcome.value, verdict.reason]
    problem = load_problem(folder / "true.toml")
    node = problem.graph.outputs["attribution"]
    values = evaluate_float(problem.graph, np.array([[0.5, 0.25]]), [node])[node]
    said["attribution"] = values.ravel().tolist()
    print(json.dumps(said))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
