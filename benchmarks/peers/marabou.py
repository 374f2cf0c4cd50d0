"""One query by Marabou, run with the Python of an environment that has `maraboupy` and `onnx`.

    python marabou.py NET.onnx QUERY.json SECONDS

The query holds "lo" and "hi" of the inputs, and "rows": [[coefficients of the outputs], constant],
all of which must be >= 0. Prints sat, unsat or timeout.
"""

from __future__ import annotations

import json
import sys
import warnings


def main(network: str, query: str, seconds: float) -> str:
    warnings.simplefilter("ignore")
    from maraboupy import Marabou

    with open(query) as file:
        asked = json.load(file)
    net = Marabou.read_onnx(network)
    inputs, outputs = net.inputVars[0].flatten(), net.outputVars[0].flatten()
    for var, lo, hi in zip(inputs, asked["lo"], asked["hi"], strict=True):
        net.setLowerBound(int(var), lo)
        net.setUpperBound(int(var), hi)
    for coefs, const in asked["rows"]:
        kept = [(int(v), -c) for v, c in zip(outputs, coefs, strict=True) if c]
        net.addInequality([v for v, _ in kept], [c for _, c in kept], const)
    options = Marabou.createOptions(timeoutInSeconds=int(seconds), verbosity=0, numWorkers=1)
    code, _, _ = net.solve(options=options, verbose=False)
    return {"sat": "sat", "unsat": "unsat"}.get(str(code), "timeout")


if __name__ == "__main__":
    print("ANSWER", main(sys.argv[1], sys.argv[2], float(sys.argv[3])))
