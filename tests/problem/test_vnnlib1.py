"""VNN-LIB 1.0: what is read, the box, agreement with the checker's own reader, verdicts, errors."""

from __future__ import annotations

import gzip
import json
import random
import re
from collections import Counter
from fractions import Fraction
from pathlib import Path

import pytest
from onnx import TensorProto, helper

import verifex
from tests.helpers import checker_parts as checker
from tests.helpers.query_texts import random_graph, random_query, save
from verifex.cli.app import app
from verifex.cli.guard import run
from verifex.engine.solve.pool import SolverPool
from verifex.engine.verdict import Outcome
from verifex.errors import InputError, UnsupportedError
from verifex.frontend.onnx.read import network_source
from verifex.ir.formula import Atom, Or, atoms, holds, negate, nodes
from verifex.ir.graph import Graph
from verifex.ir.model.solving import Status
from verifex.problem.spec.build import load_problem
from verifex.problem.vnnlib.query import parts
from verifex.problem.vnnlib.read import load_query, query_source, read_text
from verifex.problem.vnnlib.version_1 import parse_query
from verifex.semantics.evaluate import evaluate_exact
from verifex.solvers.regions import decide
from verifex.source import QuestionFiles

HEAD = "\n".join(f"(declare-const {v} Real)" for v in ("X_0", "X_1", "Y_0", "Y_1")) + "\n"
BOX = "".join(f"(assert (and (>= X_{i} -1) (<= X_{i} 1)))\n" for i in (0, 1))


@pytest.fixture(scope="module")
def graph() -> Graph:
    return random_graph(random.Random(1))


def points(n: int, seed: int) -> list[tuple[Fraction, ...]]:
    rng = random.Random(seed)
    return [tuple(Fraction(rng.randint(-12, 12), 10) for _ in range(n)) for _ in range(40)]


# --- agreement with the checker ---------------------------------------------------------------


@pytest.mark.parametrize("seed", range(25))
def test_truth_at_points_agrees_with_the_checker(seed: int, tmp_path: Path) -> None:
    """The checker takes a point as a witness exactly where this reader says that it is one."""
    rng = random.Random(seed)
    net, query = save(random_graph(rng), tmp_path / "n.onnx"), tmp_path / "q.vnnlib"
    query.write_text(random_query(rng))
    problem = load_query(query, net)
    broken, proof = negate(problem.require), tmp_path / "p.vxc"
    header = {"vxc": 2, **QuestionFiles(network_source(net), query_source(query)).hashes()}
    for x in points(2, seed):
        values = evaluate_exact(problem.graph, x, problem.targets())
        said = problem.region.contains(x) and holds(broken, values)
        line = {**header, "witness": [str(v) for v in x]}
        proof.write_text(json.dumps(line) + "\n")
        code, text = checker.check([str(net), str(query), str(proof)])
        assert (code == 0) == said, (x, text)
        assert code in (0, 1), text


@pytest.mark.parametrize("seed", range(12))
def test_the_parts_together_are_the_claim(seed: int) -> None:
    rng = random.Random(100 + seed)
    graph, source = random_graph(rng), random_query(rng)
    problem = parse_query(source, graph)
    broken, split = negate(problem.require), parts(problem)
    for x in points(2, seed):
        if problem.region.contains(x):
            values = evaluate_exact(graph, x, sorted(nodes(broken) | set(graph.inputs)
                                                     | set(graph.outputs.values())))
            inside = [all(a <= v <= b for a, v, b in zip(p.lo, x, p.hi)) for p in split]
            some = any(i and holds(p.violated, values) for i, p in zip(inside, split))
            assert some == holds(broken, values)


@pytest.mark.slow
def test_the_checker_takes_what_is_decided(tmp_path: Path) -> None:
    """Random queries to the end: no verdict contradicts region enumeration, and every certificate
    of an answer is accepted."""
    counts: Counter[str] = Counter()
    with SolverPool() as pool:
        for seed in range(24):
            rng = random.Random(1000 + seed)
            net = save(random_graph(rng), tmp_path / f"{seed}.onnx")
            query = tmp_path / f"{seed}.vnnlib"
            query.write_text(random_query(rng))
            verdict = verifex.verify(net, query, seconds=8, pool=pool)
            said = decide(load_query(query, net), 20.0)
            wanted = {Status.INFEASIBLE: Outcome.PROVED}.get(said.status, Outcome.REFUTED)
            assert said.status is not Status.UNKNOWN
            if verdict.outcome is not Outcome.UNKNOWN:
                assert verdict.outcome is wanted, (seed, verdict)
                assert verdict.extra["certificate"]["check"].startswith("valid"), seed
            counts[verdict.outcome.value] += 1
    assert counts["proved"] >= 5
    assert counts["refuted"] >= 5
    assert counts["unknown"] <= 2


# --- what is read -----------------------------------------------------------------------------


def test_the_region_is_the_hull_of_what_is_said_about_single_inputs(graph: Graph) -> None:
    source = HEAD + """
    (assert (or (and (>= X_0 0.1) (<= X_0 0.2) (<= (* -2 X_1) 1e-1) (<= X_1 0.3))
                (and (<= -0.4 X_0) (<= X_0 (+ 0.1 0.2 -1)) (>= X_1 (- 0.5)) (< X_1 0.25))))
    (assert (<= Y_0 3.)) ; a comment (with a bracket
    """
    problem = parse_query(source, graph)
    assert problem.region.lo == (Fraction(-2, 5), Fraction(-1, 2))
    assert problem.region.hi == (Fraction(1, 5), Fraction(3, 10))
    assert problem.region.names == ("X_0", "X_1")
    assert [(p.lo, p.hi) for p in parts(problem)] == [
        ((Fraction(1, 10), Fraction(-1, 20)), (Fraction(1, 5), Fraction(3, 10)))
    ]  # the second is empty: X_0 in [-0.4, -0.7]


def test_atoms_that_the_box_implies_are_left_out(graph: Graph) -> None:
    problem = parse_query(HEAD + BOX + "(assert (<= Y_0 Y_1))", graph)
    assert isinstance(problem.require, Atom)
    left = parse_query(HEAD + BOX + "(assert (<= (+ X_0 X_1) 1)) (assert (<= Y_0 Y_1))", graph)
    assert isinstance(left.require, Or)
    assert len(left.require.parts) == 2
    strict = parse_query(HEAD + BOX + "(assert (< X_0 1)) (assert (<= Y_0 Y_1))", graph)
    assert isinstance(strict.require, Or)  # X_0 = 1 lies in the box


def test_products_of_variables_become_nodes(graph: Graph) -> None:
    problem = parse_query(HEAD + BOX + "(assert (>= (* X_0 X_0 Y_1 2) (* Y_0 X_1)))", graph)
    for x in points(2, 3):
        values = evaluate_exact(problem.graph, x, [*problem.targets(), graph.outputs["y"]])
        y = values[graph.outputs["y"]].fractions()
        assert holds(negate(problem.require), values) == (x[0] ** 2 * y[1] * 2 >= y[0] * x[1])


def test_the_older_declaration(graph: Graph) -> None:
    source = HEAD.replace("declare-const", "declare-fun").replace(" Real", " () Real")
    assert parse_query(source + BOX, graph) == parse_query(HEAD + BOX, graph)


def test_equality_is_two_atoms(graph: Graph) -> None:
    problem = parse_query(HEAD + BOX + "(assert (= Y_0 0.5))", graph)
    assert len(list(atoms(problem.require))) == 2


def test_a_query_without_a_point_holds(graph: Graph, tmp_path: Path) -> None:
    query = tmp_path / "empty.vnnlib"
    query.write_text(HEAD + BOX + "(assert (>= X_0 2)) (assert (<= Y_0 100))")
    verdict = verifex.verify(save(graph, tmp_path / "net.onnx"), query)
    assert verdict.outcome is Outcome.PROVED


def test_zipped_files(graph: Graph, tmp_path: Path) -> None:
    text = HEAD + BOX + "(assert (<= Y_0 -100))"
    net = save(graph, tmp_path / "net.onnx")
    zipped = tmp_path / "net.onnx.gz"
    zipped.write_bytes(gzip.compress(net.read_bytes()))
    query = tmp_path / "q.vnnlib.gz"
    query.write_bytes(gzip.compress(text.encode()))
    verdict = verifex.verify(zipped, query, certificate=tmp_path / "p.vxc")
    assert verdict.outcome is Outcome.PROVED
    assert verdict.name == "q"
    code = run(app, ["check", str(zipped), str(query), str(tmp_path / "p.vxc")])
    assert code == 0
    assert verifex.verify(net, query).outcome is Outcome.PROVED
    assert verifex.verify(graph, query).outcome is Outcome.PROVED  # written out for the checker


# --- errors -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "line", "what"),
    [
        ("(assert (<= X_0 1)", 6, "never closed"),
        ("(assert (<= X_0 1)))", 6, "a bracket too many"),
        ("hello", 6, "a command in brackets"),
        ("(check-sat)", 6, "command 'check-sat'"),
        ("(declare-fun X_0 Real)", 6, "a declaration that is none"),
        ("(declare-fun X_0 (Real) Real)", 6, "a declaration that is none"),
        ("(declare-fun () () Real)", 6, "a declaration that is none"),
        ("(declare-sort X_0 () Real)", 6, "declare-sort"),
        ("(declare-const X_0 Real)", 6, "declared twice"),
        ("(declare-const Z_0 Real)", 6, "expected X_0, X_1"),
        ("(declare-const X_7 Real)", 6, "the network takes 2 inputs, the query declares 8"),
        ("(declare-const Y_2 Real)", 6, "the network gives 2 outputs, the query declares 3"),
        ("(declare-const X_0 Int)", 6, "(declare-const NAME Real)"),
        ("(assert (<= X_0 1) (<= X_1 1))", 6, "an assertion of 2 parts"),
        ("(assert)", 6, "an assertion of 0 parts"),
        ("(assert (not (<= X_0 1)))", 6, "'not' is not supported"),
        ("(assert (<= X_0 1 2))", 6, "'<=' of 3 terms"),
        ("(assert (or))", 6, "(or PART ...)"),
        ("(assert\n (and\n  (<= X_0 1e)))", 8, "'1e'"),
        ("(assert (<= X_0 1e9999))", 6, "a number or a variable"),
        ("(assert (<= X_0 nan))", 6, "a number or a variable"),
        ("(assert (<= X_5 1))", 6, "'X_5' is not declared"),
        ("(assert (<= (/ X_0 2) 1))", 6, "term '/'"),
        ("(assert X_0)", 6, "a comparison"),
        ("(assert " + "(and " * 200 + "(<= X_0 1)" + ")" * 201, 6, "nested too deeply"),
        ("(assert (<= (* " + "X_0 " * 20 + ") 1))", 6, "a degree of at most"),
    ],
)
def test_errors_name_the_line(graph: Graph, text: str, line: int, what: str) -> None:
    with pytest.raises(InputError) as raised:
        parse_query(HEAD + BOX.replace("\n", "") + "\n" + text, graph, "q.vnnlib")
    shown = str(raised.value)
    assert shown.startswith(f"q.vnnlib:{line}: "), shown
    assert what.split(",")[0].strip() in shown
    assert "\n" not in shown


def test_an_input_without_a_bound_is_named(graph: Graph) -> None:
    with pytest.raises(UnsupportedError, match=r"q: X_1 has no upper bound"):
        parse_query(HEAD + "(assert (and (>= X_0 0) (<= X_0 1) (>= X_1 0)))", graph, "q")


def test_files_that_are_no_text(graph: Graph, tmp_path: Path) -> None:
    for name, data in {"a.vnnlib": b"\xff\xfe", "b.vnnlib.gz": b"\x1f\x8bxx",
                       "c.vnnlib": gzip.compress(b"(assert)")[:-3]}.items():
        (tmp_path / name).write_bytes(data)
        with pytest.raises(InputError, match=name):
            read_text(tmp_path / name)
    with pytest.raises(InputError, match="cannot be read"):
        read_text(tmp_path / "missing.vnnlib")


@pytest.mark.parametrize("arguments", [
    ["verify", "q.vnnlib"], ["bound", "n.onnx", "q.vnnlib", "-e", "logit:0"],
    ["verify", "n.onnx.gz"], ["verify", "n.onnx", "bad.vnnlib"], ["check", "q.vnnlib", "p.vxc"],
])
def test_the_command_line_says_what_is_wrong(
    graph: Graph, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str], arguments: list[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    save(graph, tmp_path / "n.onnx")
    (tmp_path / "q.vnnlib").write_text(HEAD + BOX)
    (tmp_path / "bad.vnnlib").write_text(HEAD + "\n(assert (<= X_0 one))")
    assert run(app, arguments) in (64, 65)
    said = capsys.readouterr()
    assert said.out == ""
    assert len(said.err.splitlines()) == 1


# --- real files -------------------------------------------------------------------------------


def test_every_query_of_the_benchmarks_is_read(shared_data: Path) -> None:
    """All VNN-LIB 1.0 files, against stand-ins of the declared sizes."""
    files = sorted((shared_data / "vnncomp").rglob("*.vnnlib*"))
    assert len(files) > 400
    graphs: dict[tuple[int, ...], Graph] = {}
    for file in files:
        text = read_text(file)
        sizes = tuple(len(re.findall(rf"\(declare-\w+ {side}_", text)) for side in "XY")
        if sizes not in graphs:
            graphs[sizes] = random_graph(random.Random(0), sizes[0], 1, sizes[1])
        problem = parse_query(text, graphs[sizes], str(file))
        assert problem.region.size == sizes[0]


def test_ground_truth_of_the_small_benchmark(shared_data: Path) -> None:
    folder = shared_data / "vnncomp" / "test"
    rows = [line.split(",") for line in (folder / "ground_truth.csv").read_text().splitlines()[1:]]
    wanted = {"sat": Outcome.REFUTED, "unsat": Outcome.PROVED}
    assert len(rows) == 5
    for row in rows:
        verdict = verifex.verify(folder / row[0], folder / row[1])
        assert verdict.outcome is wanted[row[3]], row[:2]


# --- outputs that are no floats -----------------------------------------------------------------


@pytest.mark.parametrize("other", ["Shape", "Greater", "Cast"])
def test_outputs_are_counted_so_none_may_be_left_out(other: str, tmp_path: Path) -> None:
    """Y_0 is the first output of the file, whatever its type: engine and checker do not guess."""
    nodes = {
        "Shape": helper.make_node("Shape", ["x"], ["i"]),
        "Greater": helper.make_node("Greater", ["x", "y"], ["i"]),
        "Cast": helper.make_node("Cast", ["x"], ["i"], to=TensorProto.INT64),
    }
    kind = TensorProto.BOOL if other == "Greater" else TensorProto.INT64
    graph = helper.make_graph(
        [helper.make_node("Relu", ["x"], ["y"]), nodes[other]], "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 2])],
        [helper.make_tensor_value_info("i", kind, None),
         helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 2])])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    (tmp_path / "n.onnx").write_bytes(model.SerializeToString())
    query = tmp_path / "q.vnnlib"
    query.write_text("".join(f"(declare-const {v} Real)\n" for v in ("X_0", "X_1", "Y_0", "Y_1"))
                     + "(assert (and (>= X_0 0) (<= X_0 1) (>= X_1 0) (<= X_1 1)))\n"
                     "(assert (>= Y_0 2))\n")
    with pytest.raises(InputError):
        load_problem(query, tmp_path / "n.onnx")
    files = QuestionFiles(network_source(tmp_path / "n.onnx"), query_source(query))
    header = json.dumps({"vxc": 2, "atoms": "AAAAAAAAAAA=", **files.hashes()})
    (tmp_path / "p.vxc").write_text(header + "\n" + '{"bound":0}\n{"leaf":1}\n')
    code, said = checker.check([str(tmp_path / "n.onnx"), str(query), str(tmp_path / "p.vxc")])
    assert code == 65, said
