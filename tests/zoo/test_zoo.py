"""Classes and values of the zoo are decided, and runtimes agree: no sampled point breaks a proof,
and every witness changes what onnxruntime says."""

from __future__ import annotations

import json
import os
import tomllib
import warnings
from fractions import Fraction
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.zoo.member import Member, Trained, spread, write_rows
from tests.zoo.run import members, regression_values, spec_of
from verifex import verify

NEEDED = ("sklearn", "skl2onnx", "keras", "onnxscript", "onnxruntime")
MISSING = [name for name in NEEDED if find_spec(name) is None]
pytestmark = pytest.mark.skipif(bool(MISSING), reason=f"the zoo needs {', '.join(MISSING)}")

ROOT = Path(__file__).resolve().parents[2]
QUICK = ("LogisticRegression, iris", "MLPClassifier, wine", "RandomForestClassifier, iris",
         "relu6, softmax")
ROWS = 2
SECONDS = 120.0
GAP = 1e-4
"""Scores closer than this are a tie for a runtime that computes in float32."""
NEAR = 1e-5
"""What float32 may err by on a value, as a share of it."""


def _data() -> Path | None:
    folder = Path(os.environ.get("VERIFEX_DATA", ROOT.parent / "shared" / "data"))
    return folder if (folder / "MANIFEST.tsv").is_file() else None


def _all() -> list[Any]:
    """Every member, those of Adult skipped visibly where its data are absent."""
    data = _data()
    found = []
    # Named without the data as well, so that what is left out is seen.
    for member in members(data or ROOT):
        marks = [] if member.name in QUICK else [pytest.mark.slow]
        if member.needs_data and data is None:
            marks.append(pytest.mark.skip(reason="needs the benchmark data in ../shared/data"))
        found.append(pytest.param(member, id=f"{member.source}: {member.name}", marks=marks))
    return found


class Runtime:
    """The scores of a network by onnxruntime: its only float output, one row a point."""

    def __init__(self, network: Path) -> None:
        import onnxruntime as ort

        # Our export of float64 pipelines and the zoo's own files are all of float32.
        self.session = ort.InferenceSession(str(network), providers=["CPUExecutionProvider"])
        self.input = self.session.get_inputs()[0]

    def scores(self, points: np.ndarray) -> np.ndarray:
        """(n, d) points to (n, classes) scores, or (n, 1) of a regression."""
        shape = [1 if not isinstance(side, int) else side for side in self.input.shape]
        rows = [self._one(point.reshape(shape)) for point in points]
        return np.asarray(rows, dtype=np.float64)

    def _one(self, point: np.ndarray) -> list[float]:
        found = self.session.run(None, {self.input.name: spread(point)})[-1]
        if isinstance(found, list):  # ZipMap
            return [float(value) for value in found[0].values()]
        return [float(value) for value in np.asarray(found).ravel()]


def classes_of(scores: np.ndarray) -> np.ndarray:
    """The class of each row, -1 where it is a tie for float32; one score is a probability or a
    score of its own, which the caller compares."""
    order = np.sort(scores, axis=1)
    tie = order[:, -1] - order[:, -2] < GAP
    return np.where(tie, -1, scores.argmax(axis=1))


def as_two(scores: np.ndarray, sigmoid: bool) -> np.ndarray:
    """One score as those of two classes."""
    if scores.shape[1] > 1:
        return scores
    middle = 0.5 if sigmoid else 0.0
    return np.concatenate([middle - scores, scores - middle], axis=1)


def sampled(trained: Trained, row: int, count: int, whole: bool) -> np.ndarray:
    """Points of the region, corners among them."""
    rng = np.random.default_rng(row)
    radius = np.array([trained.radius[name] for name in trained.names])
    moves = rng.uniform(-1, 1, (count, len(radius)))
    moves[: count // 2] = np.sign(moves[: count // 2])
    points = trained.rows[row] + moves * radius
    if whole:
        points = np.round(points)
        points = np.clip(points, trained.rows.min(axis=0), trained.rows.max(axis=0))
    return np.asarray(points)


@pytest.mark.parametrize("member", _all())
def test_decided_and_runtimes_agree(member: Member, tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trained = member.build(tmp_path)
    write_rows(trained, tmp_path)
    kind = "bounds" if trained.regression else "class"
    values = regression_values(trained) if trained.regression else []
    runtime = Runtime(trained.network)
    sigmoid = "sigmoid" in member.name
    for row in range(ROWS):
        spec = tmp_path / f"{kind}-{row}.toml"
        spec.write_text(spec_of(trained, row, kind, values), encoding="utf-8")
        verdict = verify(trained.network, spec, seconds=SECONDS)
        outcome = verdict.outcome.value
        wanted = {"claimed", "refuted"} if member.smooth else {"proved", "refuted"}
        assert outcome in wanted, json.dumps(verdict.to_json())[:2000]
        here = runtime.scores(trained.rows[row : row + 1])
        bounds = spec if trained.regression else None
        if outcome == "refuted":
            assert verdict.witness is not None
            point = np.array([[float(Fraction(v)) for v in verdict.witness.point]])
            _, changed = _changes(runtime, here, point, sigmoid, bounds)
            assert changed.all()
        else:
            whole = any(line.startswith("integer") for line in trained.region)
            points = sampled(trained, row, 60, whole)
            surely, _ = _changes(runtime, here, points, sigmoid, bounds)
            assert not surely.any()


def _changes(
    runtime: Runtime, here: np.ndarray, points: np.ndarray, sigmoid: bool, spec: Path | None,
) -> tuple[np.ndarray, np.ndarray]:
    """Whether the runtime's answer at each point (n, d) is another than `here`, or beyond the
    bounds of the `spec` of a regression: surely (n), and at all (n), which counts what is as near
    as float32 errs."""
    there = runtime.scores(points)
    if spec is None:
        before = classes_of(as_two(here, sigmoid))[0]
        after = classes_of(as_two(there, sigmoid))
        return (after != before) & (after != -1), (after != before) | (after == -1)
    wanted = tomllib.loads(spec.read_text())["require"][0]
    values = there[:, 0]
    beyond = np.maximum(values - wanted["at_most"], wanted["at_least"] - values)
    slack = NEAR * (1 + abs(values))
    return beyond > slack, beyond > -slack
