"""Claims over l1 and l2 balls: proofs that a box would not carry, and none of what is not true.

Truth is decided by others: region enumeration in rationals for l1 balls, z3 for l2 balls.
"""

from __future__ import annotations

import re
from contextlib import suppress
from fractions import Fraction
from pathlib import Path

import numpy as np
import onnx
import pytest
import z3
from onnx import TensorProto, helper, numpy_helper

import verifex
from tests.certificate.corruptions import Case
from tests.certificate.spoiled import check
from tests.helpers import checker_parts as checker
from tests.helpers.spec_nets import Pair, pair, truth
from verifex import Outcome
from verifex.certificate.write import proof_lines, write
from verifex.cli.export import export
from verifex.engine.budget import Budget
from verifex.engine.decide import decide
from verifex.engine.search.claims import decide_search
from verifex.engine.search.gates.search import SearchOptions
from verifex.engine.search.inputs.search import decide_inputs
from verifex.engine.search.record import Closed
from verifex.errors import InputError, UnsupportedError
from verifex.ir.problem import Problem
from verifex.problem.spec.build import load_problem, read_problem
from verifex.settings import Settings

KINDS = ("component", "l1", "output", "linf", "order")
RADIUS = re.compile(r'^linf = ("?[-0-9/]+"?)$', re.MULTILINE)


def drawn(seed: int, norm: str, folder: Path) -> Pair | None:
    """A random network and spec with a ball of the radius that the spec had in l-inf."""
    p = pair(seed, folder, KINDS[seed % 5], hard=seed % 2 == 0)
    text, count = RADIUS.subn(rf"{norm} = \1", p.spec.read_text())
    p.spec.write_text(text)
    try:
        p.problem()
    except InputError:
        return None
    return p if count else None


def true_of(problem: Problem) -> str:
    """"true", "false", "kink" or "open"."""
    if all(ball.norm == "l1" for ball in problem.region.balls):
        return truth(problem)
    options = Settings(seconds=3, solvers=("z3",), attack=False, search=False)
    said = decide(problem, options).outcome
    return {Outcome.CLAIMED: "true", Outcome.REFUTED: "false"}.get(said, "open")


@pytest.mark.slow
@pytest.mark.parametrize("norm", ["l1", "l2"])
def test_verdicts_agree_with_other_deciders(norm: str, tmp_path: Path) -> None:
    seen = {Outcome.PROVED: 0, Outcome.REFUTED: 0}
    for seed in range(2000, 2024):
        p = drawn(seed, norm, tmp_path)
        if p is None:
            continue
        said = verifex.verify(None, p.spec, seconds=20, engine="search").outcome
        if said in seen:
            seen[said] += 1
            wanted = "true" if said is Outcome.PROVED else "false"
            assert true_of(p.problem()) in (wanted, "open"), seed
    assert seen[Outcome.PROVED] >= 7
    assert seen[Outcome.REFUTED] >= 3


@pytest.mark.slow
@pytest.mark.parametrize("norm", ["l1", "l2"])
def test_both_searches_close_what_is_true(norm: str, tmp_path: Path) -> None:
    """By boxes and by gates; the checker accepts what either leaves."""
    by: dict[str, int] = {"inputs": 0, "gates": 0}
    for seed in range(2100, 2140):
        p = drawn(seed, norm, tmp_path)
        if p is None:
            continue
        problem, budget = p.problem(), Budget(10.0, 1 << 30, 1)
        found: dict[str, Closed | None] = {}
        with suppress(UnsupportedError):
            found["inputs"] = decide_inputs(problem, budget).closed
        gates = decide_search(problem, budget, SearchOptions())
        found["gates"] = None if gates.stats.ties else gates.closed
        for name, closed in found.items():
            if closed is None:
                continue
            path = tmp_path / "proof.vxc"
            verifex_lines(p, closed, path)
            assert checker.check([str(p.network), str(p.spec), str(path)]) == (0, "valid"), seed
            by[name] += 1
    assert by["inputs"] >= 3
    assert by["gates"] >= 10


def verifex_lines(p: Pair, closed: Closed, path: Path) -> None:
    files = read_problem(p.spec).files
    assert files is not None
    write(path, proof_lines(p.problem(), files, closed))


def widened(text: str) -> str:
    return re.sub(r'^(l[12]) = "?([-0-9/]+)"?$',
                  lambda m: f'{m[1]} = "{Fraction(m[2]) * 3}"', text, flags=re.MULTILINE)


def swapped(text: str) -> str:
    """The next greater ball of the same radius: l1 lies in l2, l2 in l-inf."""
    return re.sub(r"^l([12]) =", lambda m: "l2 =" if m[1] == "1" else "linf =", text,
                  flags=re.MULTILINE)


@pytest.mark.slow
@pytest.mark.parametrize("norm", ["l1", "l2"])
def test_certificates_of_smaller_balls_prove_nothing_of_greater_ones(
    norm: str, tmp_path: Path
) -> None:
    refused = 0
    for seed in range(2200, 2260):
        p = drawn(seed, norm, tmp_path)
        if p is None:
            continue
        result = decide_search(p.problem(), Budget(10.0, 1 << 30, 1), SearchOptions())
        if result.closed is None:
            continue
        files = read_problem(p.spec).files
        assert files is not None
        lines = tuple(proof_lines(p.problem(), files, result.closed))
        text = p.spec.read_text().replace(p.network.name, "net.onnx")
        folder = tmp_path / "spoiled"
        folder.mkdir(exist_ok=True)
        for spoil in (widened, swapped):
            case = Case(p.network.read_bytes(), spoil(text).encode(), lines).rehashed()
            code, said = check(case, folder)
            if code:
                refused += 1
                continue
            real = true_of(load_problem(folder / "spec.toml", None))
            assert real in ("true", "open"), (seed, said)
    assert refused >= 5


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """f = relu(x0 + .5) + relu(x1 + .5) + relu(x2 + .5) - relu(x0 + x1 + x2 - 1), as a file."""
    w = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 1]], dtype=np.float32)
    b = np.array([0.5, 0.5, 0.5, -1], dtype=np.float32)
    v = np.array([[1, 1, 1, -1]], dtype=np.float32)
    net = helper.make_graph(
        [
            helper.make_node("Gemm", ["x", "w", "b"], ["z"], transB=1),
            helper.make_node("Relu", ["z"], ["y"]),
            helper.make_node("Gemm", ["y", "v"], ["f"], transB=1),
        ],
        "balls",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3])],
        [helper.make_tensor_value_info("f", TensorProto.FLOAT, [1, 1])],
        [numpy_helper.from_array(a, n) for a, n in ((w, "w"), (b, "b"), (v, "v"))],
    )
    model = helper.make_model(net, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.save(model, tmp_path / "net.onnx")
    monkeypatch.chdir(tmp_path)
    return tmp_path


COMPONENT = {norm: (f"{norm} = 0.9", "component = 0\nat_least = -0.5") for norm in ("l1", "l2")}


def asked(path: Path, region: str, require: str) -> Path:
    path.write_text(
        'verifex = 1\nnetwork = "net.onnx"\n[input]\npoint = [0, 0, 0]\n'
        f'[region]\n{region}\n[explain]\noutput = "logit:0"\n[[require]]\n{require}\n'
    )
    return path


@pytest.mark.parametrize(("ball", "require"), [
    # f = 1.5 + x0 + x1 + x2 up to a sum of 1, from where on it is 2.5.
    ("l1 = 0.9", "output = 'logit:0'\nat_most = 2.45"),
    ("l2 = 0.57", "output = 'logit:0'\nat_most = 2.49"),
    # df/dx0 is -1 where x0 < -.5 and the sum is above 1: far from the centre.
    COMPONENT["l1"],
    COMPONENT["l2"],
])
def test_what_is_true_on_the_ball_alone_is_proved(ball: str, require: str, place: Path) -> None:
    spec = asked(place / "spec.toml", ball, require)
    found = verifex.verify(None, spec, seconds=30, engine="search", certificate="own.vxc")
    assert found.outcome is Outcome.PROVED
    box = asked(place / "box.toml", f"linf = {ball.split()[-1]}", require)
    assert verifex.verify(None, box, seconds=30, engine="search").outcome is Outcome.REFUTED


@pytest.mark.parametrize("norm", ["l1", "l2"])
def test_a_ball_in_which_nothing_moves_is_its_centre(norm: str, place: Path) -> None:
    still = f"{norm} = 0.9\nfreeze = [0, 1, 2]"
    for require, outcome in (("component = 0\nat_least = 0.5", Outcome.PROVED),
                             ("component = 0\nat_least = 1.5", Outcome.REFUTED)):
        spec = asked(place / "spec.toml", still, require)
        found = verifex.verify(None, spec, seconds=30, engine="search", certificate="own.vxc")
        assert found.outcome is outcome, found


def test_a_box_that_misses_its_ball_is_refused(place: Path) -> None:
    spec = asked(place / "spec.toml", "l1 = 1\nclip = [0.5, 1]", "component = 0\nat_least = 0")
    with pytest.raises(InputError, match="the region is empty"):
        load_problem(spec, None)


@pytest.mark.parametrize(("norm", "logic"), [("l1", "QF_LRA"), ("l2", "QF_NRA")])
def test_exported_leaves_hold_the_ball(norm: str, logic: str, place: Path) -> None:
    """z3 finds no point of a closed leaf."""
    spec = asked(place / "spec.toml", *COMPONENT[norm])
    assert verifex.verify(None, spec, engine="search", certificate="own.vxc").outcome is (
        Outcome.PROVED)
    out = place / "leaf.smt2"
    assert export([spec], {"smtlib": out}, place / "own.vxc", 0, json=True) == 0
    text = out.read_text()
    assert f"(set-logic {logic})" in text
    solver = z3.Solver()
    solver.from_string(text)
    assert solver.check() == z3.unsat
