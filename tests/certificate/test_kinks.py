"""Kinks that are none, from file to verdict: refuted where the two sides of a gate agree, and the
checker accepts the witness; undecided where they differ."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from onnx import helper, numpy_helper

from tests.helpers import checker_parts as checker
from tests.helpers.checker_nets import save_graph
from verifex import api
from verifex.certificate.write import witness_lines, write
from verifex.engine.falsify.witness import replay
from verifex.engine.solve.pool import SolverPool
from verifex.engine.verdict import Outcome, Verdict, Witness
from verifex.frontend.onnx.read import network_source
from verifex.problem.spec.build import load_problem
from verifex.problem.spec.model import spec_source
from verifex.source import QuestionFiles


def as_point(values: Sequence[Any]) -> tuple[Fraction, ...]:
    return tuple(Fraction(value) for value in values)


class Net(NamedTuple):
    """An ONNX file of one input vector: operators, constants, the output tensor."""

    size: int
    nodes: list[Any]
    constants: dict[str, Any]
    out: str = "y"


def op(kind: str, inputs: str, outputs: str, **more: Any) -> Any:
    return helper.make_node(kind, inputs.split(), outputs.split(), **more)


def whole(output: str, numbers: list[int]) -> Any:
    """A constant of whole numbers."""
    value = numpy_helper.from_array(np.array(numbers, dtype=np.int64))
    return helper.make_node("Constant", [], [output], value=value)


def files(folder: Path, net: Net, spec: str) -> QuestionFiles:
    stored = [numpy_helper.from_array(np.asarray(v, dtype=np.float32), k)
              for k, v in net.constants.items()]
    path = save_graph(folder / "net.onnx", net.nodes, stored, [1, net.size], net.out, [1, 1])
    (folder / "spec.toml").write_text(
        f'verifex = 1\nnetwork = "net.onnx"\n[explain]\noutput = "logit:0"\n{spec}')
    return QuestionFiles(network_source(path), spec_source(folder / "spec.toml"))


def region(lo: Sequence[Any], hi: Sequence[Any]) -> str:
    return f"[region]\nbox = {{ lo = {list(lo)}, hi = {list(hi)} }}\n"


@pytest.fixture(scope="module")
def pool() -> Iterator[SolverPool]:
    with SolverPool() as opened:
        yield opened


def verify(folder: Path, net: Net, spec: str, pool: SolverPool, **more: Any) -> Verdict:
    return api.verify(None, files(folder, net, spec).spec.path, seconds=20.0, pool=pool, **more)


def check(folder: Path, net: Net, spec: str, point: Sequence[Any]) -> str:
    """What the checker says of a witness that is handed to it."""
    named = files(folder, net, spec)
    problem = load_problem(named.spec.path, named.network.path)
    witness = Witness(as_point(point), None, {}, {})
    write(folder / "w.vxc", witness_lines(named, witness))
    found = replay(problem, witness.point)
    said = checker.check([str(named.network.path), str(named.spec.path), str(folder / "w.vxc")])[1]
    assert (said == "valid (refutation)") >= found.refutes
    return said


# Two hidden units that are dead where x < 1, and what is made of them; x[1] passes through.
DEAD = [op("Gemm", "x W b", "z"), op("Relu", "z", "r"), op("Split", "r s", "p q rest", axis=1)]
W = {"W": [[1, 2, 0], [0, 0, 1]], "b": [-2, -4, 8], "lo": 0, "hi": 1}


def dead(*after: Any) -> Net:
    """`m` is made of p = relu(x0 - 2) and q = relu(2 x0 - 4); y = m + relu(x1 + 8)."""
    return Net(2, [whole("s", [1, 1, 1]), *DEAD, *after, op("Add", "m rest", "y")], W)


RELATIVES = {
    "a tie of two dead units": dead(op("Max", "p q", "m")),
    "the least of two dead units": dead(op("Min", "p q", "m")),
    "a dead unit twice": dead(op("Max", "p p", "m")),
    "an absolute value of something dead": dead(op("Abs", "p", "m")),
    "a leaky unit on something dead": dead(op("LeakyRelu", "p", "m", alpha=0.5)),
    "a unit fed by a tie of dead units": dead(op("Max", "p q", "t"), op("Relu", "t", "m")),
    "a unit fed by a difference of dead units": dead(op("Sub", "p q", "t"), op("Relu", "t", "m")),
    "a pool over dead units": dead(
        op("Concat", "p q", "c", axis=1), op("ReduceMax", "c", "m", axes=[1], keepdims=1)),
    "a clip at what is dead": dead(op("Clip", "p lo hi", "m")),
}
BOX = region([-1, -1], [1, 1])


@pytest.mark.parametrize("name", RELATIVES)
def test_a_gate_behind_one_that_is_shut_is_no_kink(
    name: str, tmp_path: Path, pool: SolverPool
) -> None:
    """The gradient is (0, 1) on the whole box, although a gate is at 0 on all of it."""
    wrong = BOX + "[[require]]\ncomponent = 1\nat_most = 0.5\n"
    for more in ({}, {"engine": "smt", "attack": False}, {"engine": "milp", "attack": False}):
        verdict = verify(tmp_path, RELATIVES[name], wrong, pool, **more)
        assert verdict.outcome is Outcome.REFUTED, (more, verdict.reason)
        assert verdict.extra["certificate"]["check"] == "valid (refutation)"
    flat = BOX + "[[require]]\ncomponent = 0\n"
    false = verify(tmp_path, RELATIVES[name], flat + "above = 0\n", pool)
    assert false.outcome is Outcome.REFUTED, false.reason
    true = verify(tmp_path, RELATIVES[name], flat + "at_most = 0\n", pool)
    assert true.outcome is Outcome.PROVED, (true.reason, true.notes)


def test_a_pool_over_dead_convolutions(tmp_path: Path, pool: SolverPool) -> None:
    """Conv, Relu, MaxPool with two dead units in one window: refuted by far."""
    nodes = [
        whole("in", [1, 1, 1, 5]), op("Reshape", "x in", "i"), op("Conv", "i K k", "c"),
        op("Relu", "c", "r"), op("MaxPool", "r", "m", kernel_shape=[1, 2], strides=[1, 2]),
        op("Flatten", "m", "f"), op("Gemm", "f V v", "y"),
    ]
    net = Net(5, nodes, {"K": [[[[2, 1]]]], "k": [0], "V": [[1], [3]], "v": [0]})
    # Windows (0, 1) and (2, 3): the first two are dead, the last two alive and apart.
    spec = region([-1, -1, -1, 3, 1], [-0.5, -0.5, -0.5, 4, 2])
    verdict = verify(tmp_path, net, spec + "[[require]]\ncomponent = 3\nat_most = 1\n", pool)
    assert verdict.outcome is Outcome.REFUTED, verdict.reason
    assert verdict.extra["certificate"]["check"] == "valid (refutation)"


def units(rows: list[list[float]], out: list[float]) -> Net:
    """`out . relu(rows x)`."""
    return Net(len(rows[0]), [op("MatMul", "x W", "z"), op("Relu", "z", "r"),
                              op("MatMul", "r V", "y")],
               {"W": np.array(rows).T, "V": np.array([out]).T})


KINKS = {
    # name: network, component bounded, whether its gates' two sides differ at x = 0
    "two gates whose effects differ": (units([[1], [2]], [1, 1]), 0, True),
    "two gates whose effects cancel": (units([[1], [1]], [1, -1]), 0, True),
    "one gate": (units([[1]], [1]), 0, True),
    "a gate of another component": (units([[1, 0], [0, 1]], [1, 1]), 1, True),
    "a gate of weight zero": (units([[1, 0], [1, 1]], [0, 0]), 1, False),
    "a gate that multiplies no input": (units([[0], [0]], [1, 1]), 0, False),
}


@pytest.mark.parametrize("name", KINKS)
@pytest.mark.parametrize("engine", ["auto", "smt"])
def test_gates_at_zero_on_the_whole_region(
    name: str, engine: str, tmp_path: Path, pool: SolverPool
) -> None:
    """The region is the one point 0, and no value of the gradient is -1 or less."""
    net, component, differ = KINKS[name]
    zero = [0] * net.size
    spec = region(zero, zero) + f"[[require]]\ncomponent = {component}\n"
    never = verify(tmp_path, net, spec + "at_most = -1\n", pool, engine=engine)
    wanted = Outcome.UNKNOWN if differ else Outcome.REFUTED
    assert never.outcome is wanted, never.reason
    if differ and engine == "smt":
        assert "violated only on a kink" in never.reason
    said = check(tmp_path, net, spec + "at_most = -1\n", zero)
    assert said == ("invalid: line 1: witness: on a kink" if differ else "valid (refutation)")


def test_a_point_moves_off_a_kink_that_matters(tmp_path: Path, pool: SolverPool) -> None:
    net = units([[1], [2]], [1, 1])
    spec = region([0], [1]) + "[[require]]\ncomponent = 0\nat_most = 2\n"
    assert check(tmp_path, net, spec, [0]) == "invalid: line 1: witness: on a kink"
    assert check(tmp_path, net, spec, ["1e-30"]) == "valid (refutation)"
    assert verify(tmp_path, net, spec, pool).outcome is Outcome.REFUTED


def test_atoms_that_are_not_needed_do_not_block_a_witness(tmp_path: Path) -> None:
    """The checker asks for one value only of the atoms that the refutation rests on."""
    net = units([[1, 0], [0, 1]], [1, 1])
    both = region([-1, 0], [1, 1]) + "[[require]]\ncomponent = 1\nat_most = 0.5\n"
    assert check(tmp_path, net, both, [0, 1]) == "valid (refutation)"
    either = both + "[[require]]\ncomponent = 0\nat_most = 0.5\n"
    assert check(tmp_path, net, either, [0, 1]) == "valid (refutation)"
    assert check(tmp_path, net, either, [0, 0]) == "invalid: line 1: witness: on a kink"
    assert check(tmp_path, net, either, [-1, 0]) == "invalid: line 1: witness: on a kink"


def test_a_comparison_that_is_a_value_stays_a_kink(tmp_path: Path) -> None:
    """y = (x0 > x1) * x1 + x0 jumps where x0 = x1, unless both are 0."""
    net = Net(2, [
        op("Gemm", "x A", "a"), op("Gemm", "x B", "c"), op("Greater", "a c", "g"),
        op("Cast", "g", "t", to=1), op("Mul", "t c", "m"), op("Add", "m a", "y"),
    ], {"A": [[1], [0]], "B": [[0], [1]]})
    spec = region([-1, -1], [1, 1]) + '[[require]]\noutput = "logit:0"\nabove = 3\n'
    named = files(tmp_path, net, spec)
    problem = load_problem(named.spec.path, named.network.path)
    assert replay(problem, as_point(["1/2", "1/2"])).on_kink
    assert replay(problem, as_point([0, 0])).refutes
    assert replay(problem, as_point(["1/2", "1/4"])).refutes
