"""Numbers of very different sizes: what floats err by decides nothing, and a replay decides all."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given

from tests.helpers.strategies import Drawn, graphs
from verifex.engine.bounds.bounder import Effort
from verifex.engine.bounds.layout import Layout
from verifex.engine.bounds.optimise import TorchBounder
from verifex.engine.bounds.root import root_facts
from verifex.engine.bounds.rounding import Rounding
from verifex.engine.budget import Budget
from verifex.engine.decide import decide
from verifex.engine.findings.reasons import Evidence, EvidenceKind
from verifex.engine.run import Run, node_bounds
from verifex.engine.search.claims import MARGIN, FormulaPolicy, decide_search
from verifex.engine.search.gates.domains import RowBounds, whole
from verifex.engine.search.gates.search import SearchOptions
from verifex.engine.search.inputs.box_claim import refuse_underflow
from verifex.engine.search.inputs.dense import DenseNet
from verifex.engine.solve.pool import SolverPool
from verifex.engine.verdict import Outcome
from verifex.errors import UnsupportedError
from verifex.ir.formula import Atom, Form, atoms
from verifex.ir.graph import Builder, Graph
from verifex.ir.linmap import dense
from verifex.ir.problem import Problem
from verifex.ir.region import Region
from verifex.problem.spec.build import build_problem
from verifex.problem.spec.model import Spec
from verifex.semantics.evaluate import evaluate_exact, evaluate_float
from verifex.semantics.interval import bound_nodes
from verifex.settings import Settings

F = Fraction
SAID = [Evidence(EvidenceKind.LEAVES_CLOSED, "search", count=3)]
SOUND = {Outcome.REFUTED, Outcome.UNKNOWN}


def network(scale: float, seed: int) -> Graph:
    """Two hidden layers of values of size `scale` whose weighted sums nearly cancel."""
    rng = np.random.default_rng(seed)
    b = Builder()
    x = b.input("x", (1,))
    first = b.relu(b.affine(dense(rng.normal(size=(4, 1)) * scale), x, rng.normal(size=4) * scale))
    second = b.relu(b.affine(dense(rng.normal(size=(3, 4))), first, rng.normal(size=3) * scale))
    return b.build({"y": b.affine(dense(rng.normal(size=(1, 3))), second)})


def at_most(graph: Graph, bound: Fraction, lo: Fraction, hi: Fraction) -> Problem:
    node, n = graph.outputs["y"], graph.input_size
    return Problem(graph, Region((lo,) * n, (hi,) * n), Atom(Form.of({(node, 0): -1}, bound)))


@pytest.mark.parametrize("scale", [1e-12, 1e-3, 1.0, 1e4, 1e8, 1e12])
@pytest.mark.parametrize("beside", [F(0), F(3, 10**11), F(1, 10**18)])
@pytest.mark.parametrize("search", [True, False])
def test_an_attained_violation_is_never_a_claim(scale: float, beside: Fraction, search: bool
                                                ) -> None:
    """The bound is the exact maximum over the ends of the box less a hair: it is broken there."""
    with SolverPool() as pool:
        for seed in range(3):
            graph = network(scale, seed)
            lo, hi = F(-69, 80), F(-61, 80)
            best = max(evaluate_exact(graph, (x,), [graph.outputs["y"]])[graph.outputs["y"]]
                       .fractions()[0] for x in (lo, hi))
            problem = at_most(graph, best - beside - F(1, 10**30), lo, hi)
            options = Settings(seconds=20, search=search, solvers=("highs",))
            assert decide(problem, options, pool).outcome is Outcome.REFUTED


@pytest.mark.parametrize(("weights", "reach", "bound"), [
    ((1.0,), "1e-400", "1e-401"), ((0.5, 2.0), "1e-320", "1e-321"),
    ((1e-170, 1e-170), "1", "1e-341"), ((1e-170, 1e170), "1e-200", "1e-201"),
    ((1.0,), "1e-400", "0"), ((2.0**-500,) * 3, "1", "0"),
])
def test_underflow_claims_nothing(weights: tuple[float, ...], reach: str, bound: str) -> None:
    b = Builder()
    node = b.input("x", (1,))
    for w in weights:
        node = b.relu(b.affine(dense([[w]]), node))
    problem = at_most(b.build({"y": node}), F(bound), F(0), F(reach))
    for solvers in ((), ("highs", "z3")):
        assert decide(problem, Settings(seconds=10, solvers=solvers)).outcome in SOUND


def test_products_that_may_underflow_are_refused_by_the_search_over_inputs() -> None:
    b = Builder()
    node = b.affine(dense([[1e-170]]), b.relu(b.affine(dense([[1e-170]]), b.input("x", (1,)))))
    net = DenseNet(b.build({"y": node}), [node])
    with pytest.raises(UnsupportedError, match="underflow"):
        net.refuse_tiny([np.array([1.0])])


@pytest.mark.parametrize("form", [Form.of({(0, 0): F(1)}, F(1, 10**201)),
                                  Form.of({(0, 0): F(-1, 10**400)})])
def test_numbers_of_a_claim_that_underflow_are_refused(form: Form) -> None:
    with pytest.raises(UnsupportedError, match="too small for floats"):
        refuse_underflow([Atom(form)])
    refuse_underflow([Atom(Form.of({(0, 0): F(1)})), Atom(Form.of({(0, 0): F(1, 10**190)}, 0))])


@given(drawn=graphs("Mul", size=8))
def test_sizes_are_no_smaller_than_values(drawn: Drawn) -> None:
    graph = drawn.graph
    lo, hi = np.full(graph.input_size, -1.25), np.full(graph.input_size, 0.75)
    nodes = list(range(len(graph.nodes)))
    boxes = bound_nodes(graph, lo[None], hi[None], nodes)
    ends = ({i: v.lo[0] for i, v in boxes.items()}, {i: v.hi[0] for i, v in boxes.items()})
    sizes = Rounding(graph, nodes, (lo, hi), ends).sizes
    x = np.random.default_rng(0).uniform(lo, hi, (20, graph.input_size))
    with np.errstate(all="ignore"):
        values = evaluate_float(graph, x, nodes)
    for i, value in values.items():
        fine = np.isfinite(value) & np.isfinite(sizes[i])
        assert (np.abs(value) <= sizes[i] * (1 + 1e-9) + 1e-300)[fine].all()


def test_an_error_is_infinite_beyond_the_floats() -> None:
    graph = network(1.0, 0)
    box = (np.array([-1.0]), np.array([1.0]))
    rounding = Rounding(graph, [graph.outputs["y"]], box, ({}, {}))
    form = Form.of({(graph.outputs["y"], 0): F(10) ** 400})
    assert rounding.of(form) == np.inf
    assert 0 < rounding.of(Form.of({(graph.outputs["y"], 0): 1})) < 1e-10


def test_what_a_point_on_a_kink_breaks_is_not_claimed() -> None:
    problem = at_most(network(1.0, 0), F(10), F(0), F(1))
    with SolverPool() as pool:
        run = Run(problem, Settings(), Budget(1.0), pool, node_bounds(problem))
        assert run.verdict(Outcome.CLAIMED, evidence=SAID).outcome is Outcome.CLAIMED
        run.violated = True
        found = run.verdict(Outcome.CLAIMED, evidence=SAID)
    assert found.outcome is Outcome.UNKNOWN
    assert found.reason == "search: 3 leaves closed: contradicted by a replayed point on a kink"


def test_a_point_that_breaks_the_claim_is_a_witness_whoever_found_it() -> None:
    graph = network(1.0, 0)
    node = graph.outputs["y"]
    value = evaluate_exact(graph, (F(1, 2),), [node])[node].fractions()[0]
    with SolverPool() as pool:
        for bound, broken in ((value - F(1, 10**40), True), (value, False)):
            problem = at_most(graph, bound, F(0), F(1))
            run = Run(problem, Settings(), Budget(1.0), pool, node_bounds(problem))
            assert (run.attained(np.array([0.5])) is not None) == broken
            assert run.margin_high == bound - value


def test_an_atom_is_closed_only_beyond_what_floats_may_err() -> None:
    for scale in (1.0, 1e4, 1e8):
        problem = at_most(network(scale, 0), F(10), F(0), F(1))
        box, bounds = problem.region.float_box(), node_bounds(problem)
        rounding = Rounding(problem.graph, problem.targets(), box, bounds)
        (atom,) = atoms(problem.violation())
        policy = FormulaPolicy(problem, problem.violation(), [atom], rounding)
        first = np.zeros(1, dtype=np.intp)
        goal = policy.goals(first)
        assert goal >= max(MARGIN, scale * 1e-15)
        boxes = (side[None] for side in box)
        domain = whole(*boxes, np.zeros((1, 8), dtype=np.int8), [[0]], forms=1)
        assert not policy.close(domain, RowBounds(first, first, goal)).any()
        assert policy.close(domain, RowBounds(first, first, 2 * goal)).all()


@pytest.mark.parametrize("weight", [0.001, 1.0, -3.7])
@pytest.mark.parametrize("at", ["-3/8", "-1/2", "5/1024"])
def test_a_gate_that_is_at_zero_all_over_the_region_is_tied_to_nothing(weight: float, at: str
                                                                       ) -> None:
    """Its pre-activation is 0 up to rounding, so ties to it come with huge factors: half of the
    region's attributions are (w, w), and no claim that says otherwise may close."""
    spec = Spec(
        kink="zero", input={"point": [at, at]}, region={"linf": 0},
        explain={"attribution": "gradient", "output": "logit:0"},
        require=[{"distance": "l1", "at_most": 0.0001}],
    )
    b = Builder()
    x = b.input("x", (1, 2))
    bias = np.array([[2 * float(F(at))]])
    z = b.affine(dense(np.array([[-1.0, -1.0]]), (1, 2), (1, 1)), x, bias)
    y = b.affine(dense(np.array([[weight]]), (1, 1), (1, 1)), b.relu(z))
    problem = build_problem(b.build({"y": y}), spec)
    found = decide_search(problem, Budget(30.0), SearchOptions())
    assert found.closed is None or found.stats.ties
    assert decide(problem, Settings(seconds=30)).outcome is not Outcome.CLAIMED


def test_improving_bounds_ends_with_the_budget() -> None:
    """Any parameters give a bound: those found so far, once nobody waits for better ones."""
    b = Builder()
    x = b.input("x", (3,))
    rng = np.random.default_rng(0)
    h = b.relu(b.affine(dense(rng.normal(size=(6, 3))), x))
    h = b.relu(b.affine(dense(rng.normal(size=(6, 6))), h))  # its bounds can be improved
    y = b.affine(dense(rng.normal(size=(1, 6))), h)
    graph = b.build({"y": y})
    steps = [0]

    def stopped() -> bool:
        steps[0] += 1
        return True

    layout = Layout(graph, (y,))
    lo, hi = -np.ones(3), np.ones(3)
    bounder = TorchBounder(graph, stopped=stopped)
    root = root_facts(layout, bounder, lo, hi, Budget(60.0, 1 << 30, 1), Effort(50))
    assert 0 < steps[0] < 50
    values = evaluate_float(graph, rng.uniform(-1, 1, (500, 3)), [y])[y]
    assert (root.ends[0][y] <= values.min(axis=0) + 1e-9).all()
