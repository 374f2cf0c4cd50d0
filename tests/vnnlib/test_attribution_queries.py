"""Properties of attributions said in VNN-LIB: the network exported with its attribution."""

from __future__ import annotations

import random
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

import verifex
from tests.helpers.marks import first_quick
from verifex.cli.app import app
from verifex.cli.guard import run
from verifex.engine.verdict import Outcome, RangeVerdict
from verifex.frontend.onnx.export import to_onnx
from verifex.ir.graph import Builder, Graph
from verifex.ir.linmap import dense

pytest.importorskip("onnxruntime")

HOLDS = (Outcome.PROVED, Outcome.CLAIMED)

SPEC = """
verifex = 1
network = "net.onnx"
[input]
point = [0.1, 0.2]
[region]
linf = 0.9
[explain]
attribution = "{attribution}"
output = "logit:0"
[[require]]
component = 1
at_most = {limit}
"""

QUERY = "".join(f"(declare-const {v} Real)\n" for v in ("X_0", "X_1", "Y_0", "Y_1", "Y_2", "Y_3"))
QUERY += "(assert (and (>= X_0 -0.8) (<= X_0 1) (>= X_1 -0.7) (<= X_1 1.1)))\n"


def network(seed: int) -> Graph:
    """A ReLU network whose weights are short dyadics, so that float32 holds them."""
    rng = random.Random(seed)

    def weights(rows: int, columns: int) -> np.ndarray:
        return np.array([[rng.randint(-8, 8) / 4 for _ in range(columns)] for _ in range(rows)])

    b = Builder()
    z = b.relu(b.affine(dense(weights(4, 2)), b.input("x", (2,)), weights(1, 4)[0]))
    z = b.relu(b.affine(dense(weights(4, 4)), z, weights(1, 4)[0]))
    return b.build({"y": b.affine(dense(weights(2, 4)), z, weights(1, 2)[0])})


@pytest.mark.parametrize("attribution", ["gradient", "input*gradient"])
@pytest.mark.parametrize("seed", first_quick(range(3)))
def test_version_1_says_the_same_as_the_spec(
    seed: int, attribution: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Just above and just below the greatest component: Y_2 and Y_3 are the attribution. (On
    kinks it may be greater than anywhere else: what is attained is below what is proven.)"""
    (tmp_path / "net.onnx").write_bytes(to_onnx(network(seed), dtype="float32"))
    spec, query, exported = (tmp_path / n for n in ("s.toml", "q.vnnlib", "explained.onnx"))
    spec.write_text(SPEC.format(attribution=attribution, limit=0))
    found = verifex.bound(None, spec, "component:1")
    assert isinstance(found, RangeVerdict)
    assert found.high.best_bound is not None
    assert found.high.attained is not None
    assert run(app, ["export", str(spec), "--onnx", str(exported)]) == 0
    for step, end in ((1, found.high.best_bound), (-1, found.high.attained)):
        limit = Fraction(round(float(end) * 10**6) + step * 1000, 10**6)
        spec.write_text(SPEC.format(attribution=attribution, limit=f'"{limit}"'))
        query.write_text(QUERY + f"(assert (> Y_3 {float(limit):.6f}))\n")
        one, two = verifex.verify(None, spec), verifex.verify(exported, query)
        assert (one.outcome in HOLDS) == (step > 0) == (two.outcome in HOLDS), (one, two)
        assert two.outcome is not Outcome.UNKNOWN
    capsys.readouterr()


def test_version_2_ties_the_explained_network_to_another(tmp_path: Path) -> None:
    """A second network on the same input: its output against the first one's attribution."""
    pytest.importorskip("vnnlib")
    graph = network(0)
    (tmp_path / "net.onnx").write_bytes(to_onnx(graph, dtype="float32"))
    spec = tmp_path / "s.toml"
    spec.write_text(SPEC.format(attribution="gradient", limit=0))
    assert run(app, ["export", str(spec), "--onnx", str(tmp_path / "g.onnx")]) == 0
    query = tmp_path / "q.vnnlib"
    head = """(vnnlib-version <2.0>)
(declare-network f (declare-input X real [2]) (declare-output Y real [2]))
(declare-network g (declare-input Z real [2]) (declare-output W real [2])
    (declare-output A real [2]))
(assert (and (== X[0] Z[0]) (== X[1] Z[1])))
(assert (and (>= X[0] -0.8) (<= X[0] 1) (>= X[1] -0.7) (<= X[1] 1.1)))
"""
    files = {"f": tmp_path / "net.onnx", "g": tmp_path / "g.onnx"}
    query.write_text(head + "(assert (!= Y[0] W[0]))")
    assert verifex.verify(files, query).outcome is Outcome.CLAIMED  # one network, in both files
    top = verifex.bound(None, spec, "component:1").high.attained
    assert top is not None
    for step, holds in ((1, True), (-1, False)):
        query.write_text(head + f"(assert (>= A[1] {float(top) + step / 100:.12f}))")
        assert (verifex.verify(files, query).outcome in HOLDS) == holds
    query.write_text(head + "(assert (and (>= (+ A[0] (* -1 Y[0])) 0) (<= (* A[0] Y[1]) 0)))")
    assert verifex.verify(files, query).outcome is not Outcome.UNKNOWN


@pytest.mark.parametrize("seed", range(3))
def test_a_spec_as_a_query(
    seed: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`export --onnx --vnnlib`: the whole claim of a spec for any reader of VNN-LIB 1.0."""
    (tmp_path / "net.onnx").write_bytes(to_onnx(network(seed), dtype="float32"))
    spec, onnx, query = (tmp_path / n for n in ("s.toml", "q.onnx", "q.vnnlib"))
    for limit in ("-2", "0.5", "4"):
        spec.write_text(SPEC.format(attribution="gradient", limit=limit))
        words = ["export", str(spec), "--onnx", str(onnx), "--vnnlib", str(query)]
        assert run(app, words) == 0
        assert "float32 network" in capsys.readouterr().out
        one, two = verifex.verify(None, spec), verifex.verify(onnx, query)
        if Outcome.UNKNOWN not in (one.outcome, two.outcome):
            assert (one.outcome in HOLDS) == (two.outcome in HOLDS)
        assert two.outcome is not Outcome.UNKNOWN or one.outcome is Outcome.UNKNOWN
        if one.outcome is Outcome.PROVED:  # the checker reads the gates of the file
            assert two.outcome is Outcome.PROVED
    assert run(app, ["export", str(spec), "--vnnlib", str(query)]) == 64
    spec.write_text(SPEC.format(attribution="gradient", limit=1).replace(
        "component = 1\nat_most = 1", "top_k = 1"))
    assert run(app, words) == 0  # at least one of one: no counting
