"""True claims whose certificates the checker once refused, or that ended in an internal error."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

import verifex
from verifex import Outcome
from verifex.engine.search.inputs.box_thresholds import Thresholds
from verifex.ir.formula import Form

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"


def network(path: Path, weights: list[Any], inputs: int) -> Path:
    """x -> W x + b -> Relu -> ... as Gemm nodes; weights are pairs (W, b)."""
    nodes, stored, name = [], [], "x"
    for k, (w, b) in enumerate(weights):
        stored += [numpy_helper.from_array(np.asarray(v, dtype=np.float32), f"{n}{k}")
                   for n, v in (("w", w), ("b", b))]
        last = k == len(weights) - 1
        nodes.append(helper.make_node("Gemm", [name, f"w{k}", f"b{k}"],
                                      ["y" if last else f"z{k}"], transB=1))
        if not last:
            nodes.append(helper.make_node("Relu", [f"z{k}"], [f"h{k}"]))
            name = f"h{k}"
    outputs = len(weights[-1][1])
    ends = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [1, d])
            for n, d in (("x", inputs), ("y", outputs))]
    graph = helper.make_graph(nodes, "g", ends[:1], ends[1:], stored)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    path.write_bytes(model.SerializeToString())
    return path


def test_layers_behind_zeros_have_no_names(tmp_path: Path) -> None:
    """The claim reaches the units only through zeros: the checker does not see them."""
    net = network(tmp_path / "n.onnx", [([[1, 2], [3, -1]], [0, 1]), ([[0, 0]], [0.5])], 2)
    query = tmp_path / "q.vnnlib"
    query.write_text(
        "(declare-const X_0 Real)(declare-const X_1 Real)(declare-const Y_0 Real)"
        "(assert (and (>= X_0 -1) (<= X_0 1) (>= X_1 -1) (<= X_1 1)))(assert (>= Y_0 0.75))"
    )
    assert verifex.verify(net, query).outcome is Outcome.PROVED


def test_regions_with_decimal_ends_are_proved(tmp_path: Path) -> None:
    """A disjunction of boxes: splits at their ends have to hold on the checker's grid too."""
    rng = random.Random(7)
    w = np.random.default_rng(7).normal(size=(4, 2)), np.random.default_rng(8).normal(size=(1, 4))
    net = network(tmp_path / "n.onnx", [(w[0], [0.1] * 4), (w[1], [0])], 2)
    declared = "(declare-const X_0 Real)(declare-const X_1 Real)(declare-const Y_0 Real)"
    for _ in range(8):
        cuts = sorted(rng.sample(range(1, 999), 4))
        boxes = " ".join(
            f"(and (>= X_0 0.{a:03d}) (<= X_0 0.{b:03d}) (>= X_1 0.{a:03d}) (<= X_1 0.{b:03d}))"
            for a, b in (cuts[:2], cuts[2:])
        )
        query = tmp_path / "q.vnnlib"
        query.write_text(f"{declared}(assert (or {boxes}))(assert (>= Y_0 50))(assert (<= X_0 1))")
        assert verifex.verify(net, query).outcome is Outcome.PROVED
        # The gap between the boxes decides nothing: the claim must be met by the network.
        query.write_text(f"{declared}(assert (or {boxes}))(assert (>= Y_0 -50))")
        assert verifex.verify(net, query).outcome is Outcome.REFUTED


@pytest.mark.parametrize("limit", ["1/3", "0.3", "-7/10", "1/2", "0", "123456.7", "1/1048576"])
def test_thresholds_lie_beside_their_numbers(limit: str) -> None:
    from fractions import Fraction

    exact, grid = Fraction(limit), Fraction(1, 1 << 52)
    for c in (1, -1, 3):
        found = Thresholds([Form.of({(0, 0): Fraction(c)}, -c * exact)], {0: 0})
        gap = (exact - Fraction(found.at[0])) * int(found.sign[0])
        assert 2 * grid < gap < max(16 * grid, abs(exact) * Fraction(1, 1 << 50))
        assert (Fraction(found.at[0]) / grid).denominator == 1


@pytest.mark.data
def test_bounds_that_no_parameter_moves(tmp_path: Path) -> None:
    """Smooth functions alone leave nothing to optimise: once an internal error."""
    folder = DATA / "vnncomp" / "lsnc"
    if not folder.is_dir():
        pytest.skip("needs ../shared/data/vnncomp/lsnc")
    found = verifex.verify(
        folder / "onnx" / "quadrotor2d_state.onnx.gz",
        folder / "vnnlib" / "quadrotor2d_state_0.vnnlib.gz", seconds=3.0, check=False,
    )
    assert found.outcome is not Outcome.PROVED


def test_bounds_beyond_floats_are_refused(tmp_path: Path) -> None:
    net = network(tmp_path / "n.onnx", [([[1.0]], [0.0])], 1)
    query = tmp_path / "q.vnnlib"
    query.write_text("(declare-const X_0 Real)(declare-const Y_0 Real)"
                     "(assert (>= X_0 -1e999))(assert (<= X_0 1e999))(assert (<= Y_0 0))")
    with pytest.raises(verifex.InputError, match="beyond 1e300"):
        verifex.verify(net, query)


@pytest.mark.parametrize("bound", ["1.00000000000000000001", "1.0000000000000000000000000000001"])
def test_margins_below_the_usual_grid_are_proved_with_more_digits(
    tmp_path: Path, bound: str
) -> None:
    """relu(x) <= 1 + 1e-20 on [0, 1]: the checker's grid has steps of 2^-52, unless a certificate
    asks for finer ones."""
    net = network(tmp_path / "net.onnx", [([[1.0]], [0.0]), ([[1.0]], [0.0])], 1)
    spec = tmp_path / "spec.toml"
    spec.write_text('verifex = 1\n[region]\nbox = { lo = [0], hi = [1] }\n[[require]]\n'
                    f'output = "logit:0"\nat_most = {bound}\n')
    assert verifex.verify(net, spec).outcome is Outcome.PROVED
    spec.write_text(spec.read_text().replace(bound, bound.replace("1.", "0.9")))
    assert verifex.verify(net, spec).outcome is Outcome.REFUTED
