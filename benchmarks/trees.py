"""Class claims about forests of scikit-learn: how many are decided and certified, and how fast.

    python benchmarks/trees.py [--rows N] [--seconds S]      writes docs/trees.md

Models are trained on the spot (75 % of the data, features scaled to [0, 1] beforehand); the first
rows of the rest are asked about. A check is the whole process that reads both files again.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from skl2onnx import to_onnx
from sklearn import datasets
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import train_test_split

import verifex
from verifex.engine.verdict import Outcome, Verdict

PAGE = Path(__file__).resolve().parent.parent / "docs" / "trees.md"
DATA = {
    "iris": datasets.load_iris, "wine": datasets.load_wine,
    "breast cancer": datasets.load_breast_cancer, "digits": datasets.load_digits,
}
FORESTS: dict[str, dict[str, Any]] = {
    "20 trees, full depth": {"n_estimators": 20},
    "100 trees of depth 6": {"n_estimators": 100, "max_depth": 6},
}
RADII = (0.01, 0.03, 0.05)

HEAD = """# Decision trees

verifex reads `TreeEnsembleRegressor`, `TreeEnsembleClassifier` (ai.onnx.ml 1 to 4) and
`TreeEnsemble` (5), as skl2onnx writes them for decision trees, random forests, extra trees and
gradient boosting. What they compute is constant between thresholds: outputs are exact, claims about
outputs are decided by splitting inputs at thresholds, and the certificate holds these splits.
Explanations by gradients are refused: the gradient is zero wherever there is one.

The claim is about real numbers and the thresholds as they are stored. Runtimes round inputs to
float32 first, so at a number that lies within such a rounding of a threshold they may go the other
way. On a threshold itself the file says where to go, so that a witness may lie there.

The search (`engine/search/trees`) bounds a claim on a box by the least weight, in each tree, of the
leaves that the box reaches, and splits at the threshold whose halves are bounded best.

Class claims, `class = "unchanged"`, printed by `python benchmarks/trees.py{options}`; seconds are
medians and the longest, of the whole process for a check:

| data | forest | leaves | linf | decided | proved | refuted | search | longest | check | longest |
|---|---|---|---|---|---|---|---|---|---|---|
"""


class Measured(NamedTuple):
    """One question: its verdict, seconds of searching and of checking."""

    verdict: Verdict
    search: float
    check: float


def trained(data: str, forest: str, folder: Path) -> tuple[np.ndarray, int]:
    """Writes the model's file; the rows to ask about, and how many leaves all trees have."""
    x, y = DATA[data](return_X_y=True)
    width = np.ptp(x, axis=0)
    x = ((x - x.min(axis=0)) / np.where(width > 0, width, 1)).astype(np.float32)
    train, test, label, _ = train_test_split(x, y, random_state=0, stratify=y)
    model = RandomForestClassifier(random_state=0, **FORESTS[forest]).fit(train, label)
    file = to_onnx(model, x[:1], options={"zipmap": False})
    (folder / "model.onnx").write_bytes(file.SerializeToString())
    return test, sum(tree.tree_.n_leaves for tree in model.estimators_)


def ask(folder: Path, row: np.ndarray, radius: float, seconds: float) -> Measured:
    """Decide and certify one claim."""
    (folder / "spec.toml").write_text(
        'verifex = 1\nnetwork = "model.onnx"\nnetwork_output = "probabilities"\n'
        f"[input]\npoint = {[float(v) for v in row]}\n[region]\nlinf = {radius}\n"
        '[[require]]\nclass = "unchanged"\n')
    found = verifex.verify(None, folder / "spec.toml", seconds=seconds,
                           certificate=folder / "proof.vxc")
    check = sum(step.seconds for step in found.steps if step.stage == "check")
    search = sum(step.seconds for step in found.steps if step.stage not in ("check", "certificate"))
    return Measured(found, search, check)


def rows_of(count: int, seconds: float) -> Iterator[str]:
    """The lines of the table."""
    for data in DATA:
        for forest in FORESTS:
            with tempfile.TemporaryDirectory() as name:
                folder = Path(name)
                rows, leaves = trained(data, forest, folder)
                for radius in RADII:
                    yield line(data, forest, leaves, radius, [
                        ask(folder, row, radius, seconds) for row in rows[:count]])


def line(data: str, forest: str, leaves: int, radius: float, asked: list[Measured]) -> str:
    outcomes = [one.verdict.outcome for one in asked]
    proved, refuted = outcomes.count(Outcome.PROVED), outcomes.count(Outcome.REFUTED)
    times = [f"{pick(times):.2f} s" for times in ([a.search for a in asked],
                                                  [a.check for a in asked])
             for pick in (statistics.median, max)]
    cells = (data, forest, leaves, radius, f"{proved + refuted} of {len(asked)}", proved, refuted,
             *times)
    return "| " + " | ".join(map(str, cells)) + " |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=10.0)
    options = parser.parse_args()
    said = "" if options.rows == 20 else f" --rows {options.rows}"
    text = HEAD.replace("{options}", said)
    for row in rows_of(options.rows, options.seconds):
        print(row, flush=True)
        text += row + "\n"
    PAGE.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
