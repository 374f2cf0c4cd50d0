"""Forests of scikit-learn as skl2onnx writes them: class claims, heads, pipelines, gradients."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest

from tests.helpers import checker_parts as checker
from verifex import api
from verifex.engine.solve.pool import SolverPool
from verifex.engine.verdict import Outcome, Verdict
from verifex.errors import UnsupportedError
from verifex.frontend import load
from verifex.semantics.evaluate import evaluate_exact

pytest.importorskip("skl2onnx")


@pytest.fixture(scope="module")
def pool() -> Iterator[SolverPool]:
    with SolverPool() as opened:
        yield opened


def models() -> dict[str, Any]:
    from sklearn import ensemble, tree

    few = {"n_estimators": 8, "random_state": 0}
    return {
        "decision tree": tree.DecisionTreeClassifier(random_state=0),
        "random forest": ensemble.RandomForestClassifier(**few),
        "extra trees": ensemble.ExtraTreesClassifier(**few),
        "gradient boosting": ensemble.GradientBoostingClassifier(**few),
    }


def trained(kind: str, classes: int) -> tuple[Any, Any, Any]:
    """A model, its training data and its file."""
    from skl2onnx import to_onnx
    from sklearn.datasets import load_iris

    x, y = load_iris(return_X_y=True)
    x, y = x[y < classes].astype(np.float32), y[y < classes]
    if classes == 2:
        y = (x[:, 1] + x[:, 3] > np.median(x[:, 1] + x[:, 3])).astype(int)
    model = models()[kind].fit(x, y)
    return model, x, to_onnx(model, x[:1], options={"zipmap": False})


def ask(folder: Path, point: Any, radius: float, pool: SolverPool) -> Verdict:
    (folder / "s.toml").write_text(
        'verifex = 1\nnetwork = "m.onnx"\nnetwork_output = "probabilities"\n'
        f"[input]\npoint = {[float(v) for v in point]}\n[region]\nlinf = {radius}\n"
        '[[require]]\nclass = "unchanged"\n')
    return api.verify(None, folder / "s.toml", seconds=30.0, pool=pool,
                      certificate=folder / "c.vxc")


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("kind", ["decision tree", "random forest", "extra trees"])
def test_class_claims_are_decided_and_certified(
    kind: str, classes: int, tmp_path: Path, pool: SolverPool
) -> None:
    """Proved: no sampled point of the box has another class. Refuted: the model itself, and
    onnxruntime, give the witness another class (or a tie)."""
    model, x, file = trained(kind, classes)
    (tmp_path / "m.onnx").write_bytes(file.SerializeToString())
    session = ort.InferenceSession(file.SerializeToString())
    rng, outcomes = np.random.default_rng(0), set()
    for row, radius in ((0, 0.02), (40, 0.3), (75, 0.6), (90, 0.15)):
        found = ask(tmp_path, x[row], radius, pool)
        outcomes.add(found.outcome)
        assert found.outcome in (Outcome.PROVED, Outcome.REFUTED), found.reasons
        before = model.predict(x[row : row + 1])[0]
        if found.outcome is Outcome.PROVED:
            near = x[row] + rng.uniform(-radius, radius, (400, 4)).astype(np.float32) * 0.999
            assert (model.predict(near) == before).all()
        else:
            assert found.witness is not None
            point = np.array([[float(v) for v in found.witness.point]], dtype=np.float32)
            scores = session.run(["probabilities"], {session.get_inputs()[0].name: point})[0][0]
            assert np.delete(scores, before).max() >= scores[before] - 1e-6
    assert len(outcomes) == 2


@pytest.mark.parametrize("classes", [2, 3])
def test_gradient_boosting_ends_in_a_head(classes: int, tmp_path: Path) -> None:
    """Both readers have the same logits, of which onnxruntime's probabilities are the softmax."""
    _, x, file = trained("gradient boosting", classes)
    path = tmp_path / "m.onnx"
    path.write_bytes(file.SerializeToString())
    graph = load(path, outputs=["probabilities"])
    net = checker.Network(checker.read(str(path))[0])
    net.output("probabilities")
    mine, theirs = graph.heads["probabilities"], net.heads["probabilities"]
    assert mine.kind == theirs.function == "softmax"
    session = ort.InferenceSession(str(path))
    for row in x[::20]:
        point = [Fraction(float(v)) for v in row]
        exact = evaluate_exact(graph, point, [mine.logits])[mine.logits].fractions()
        assert exact == checker.exactly(net.graph, theirs.logits.node(), point, False)
        spread = np.exp([float(v) for v in exact])
        told = session.run(["probabilities"], {session.get_inputs()[0].name: row[None]})[0][0]
        assert np.allclose(told, spread / spread.sum(), atol=1e-5)


def test_an_explanation_of_trees_is_refused_by_name(tmp_path: Path) -> None:
    _, x, file = trained("random forest", 3)
    (tmp_path / "m.onnx").write_bytes(file.SerializeToString())
    (tmp_path / "s.toml").write_text(
        'verifex = 1\nnetwork = "m.onnx"\nnetwork_output = "probabilities"\n'
        f"[input]\npoint = {[float(v) for v in x[0]]}\n[region]\nlinf = 0.1\n"
        "[explain]\nattribution = 'gradient'\n[[require]]\ntop_k = 1\n")
    with pytest.raises(UnsupportedError, match=r"explain.*decision trees.*claims about outputs"):
        api.verify(None, tmp_path / "s.toml")
