"""From Python: a question in a dictionary, its verdict, and the witness where there is one."""

from pathlib import Path

import verifex

FOLDER = Path(__file__).parent

spec = {
    "input": {"data": str(FOLDER / "breast_cancer_test.csv"), "row": 0, "target": "target"},
    "region": {"linf": "1/50", "clip": [0, 1], "freeze": ["*_error"]},
    "explain": {"attribution": "gradient", "reduce": "abs"},
    "require": [{"class": "unchanged"}, {"top_k": 3, "overlap_at_least": 3}],
}
verdict = verifex.verify(FOLDER / "breast_cancer.onnx", spec, seconds=30)

print(verdict.outcome.value, "-", verdict.rests_on or verdict.reason)
if verdict.witness is not None:
    print("margin at the witness:", float(verdict.witness.margin))
    print("other arithmetics:", dict(verdict.witness.replays))
