"""VNN-LIB 2.0: one or several networks, shared inputs, hidden nodes, polynomials, errors."""

from __future__ import annotations

import gzip
import random
import re
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

import verifex
from tests.helpers.query_texts import random_graph, save
from verifex.engine.verdict import Outcome
from verifex.errors import InputError, UnsupportedError, UsageError, VerifexError
from verifex.frontend.onnx.export import to_onnx
from verifex.ir.formula import And, Atom, Or, holds, negate
from verifex.ir.graph import Builder, Graph
from verifex.ir.linmap import dense
from verifex.problem.vnnlib.read import load_stated, read_text
from verifex.problem.vnnlib.stated import Stated
from verifex.problem.vnnlib.version_2 import state
from verifex.semantics.evaluate import evaluate_exact

pytest.importorskip("vnnlib")

F = """(declare-network f
    (declare-input X real [2]) ; the flat input
    (declare-output Y real [2]))
"""
G = F.replace(" f", " g").replace(" X ", " Z ").replace(" Y ", " W ")
BOX = "(assert (and (>= X[0] -1) (<= X[0] 1) (>= X[1] -1) (<= X[1] 1)))\n"


def query(*parts: str) -> str:
    return "(vnnlib-version <2.0>)\n" + "".join(parts)


def read(text: str, **networks: Graph) -> Stated:
    return state(text, "q.vnnlib", networks, "q")


def broken(stated: Stated, *x: Fraction | int | str) -> bool:
    """Whether the query is satisfied at a flat input."""
    problem = stated.problem
    point = [Fraction(v) for v in x]
    values = evaluate_exact(problem.graph, point, problem.targets())
    return problem.region.contains(point) and holds(negate(problem.require), values)


def output(graph: Graph, *x: Fraction | int | str) -> tuple[Fraction, ...]:
    node = next(iter(graph.outputs.values()))
    return tuple(evaluate_exact(graph, [Fraction(v) for v in x], [node])[node].fractions())


# --- one network ------------------------------------------------------------------------------


def test_comparisons_and_arithmetic_mean_what_they_say(f: Graph) -> None:
    conditions = {
        "(<= Y[0] Y[1])": lambda x, y: y[0] <= y[1],
        "(> (+ Y[0] 1 X[0]) (- Y[1] 2.5 X[1]))": lambda x, y: y[0] + 1 + x[0] > y[1] - 2.5 - x[1],
        "(!= Y[0] (- Y[1]))": lambda x, y: y[0] != -y[1],
        "(< (* 2 X[0] X[0] Y[1]) (* X[1] Y[0]))": lambda x, y: 2 * x[0] ** 2 * y[1] < x[1] * y[0],
        "(== X[0] X[1])": lambda x, y: x[0] == x[1],
        "(or (>= Y[0] 1) (and (>= Y[1] -0.5) (<= Y[1] 0.5)))":
            lambda x, y: y[0] >= 1 or -0.5 <= y[1] <= 0.5,
    }
    rng = random.Random(0)
    for text, truth in conditions.items():
        stated = read(query(F, BOX, f"(assert {text})"), f=f)
        equal = "== X" in text
        for _ in range(30):
            x = [Fraction(rng.randint(-8, 8), 8) for _ in range(2)]
            x = [x[0], x[0]] if equal else x
            said = broken(stated, *(x[:1] if equal else x))
            assert said == truth(x, output(f, *x)), (text, x)


def test_equated_inputs_of_one_tensor_are_one_input(f: Graph) -> None:
    problem = read(query(F, BOX, "(assert (== X[0] X[1])) (assert (<= Y[0] 0))"), f=f).problem
    assert problem.region.size == 1
    assert problem.region.names == ("X[0]",)


def test_numbers_are_exact_and_shapes_may_differ_from_the_file(f: Graph) -> None:
    text = query(F.replace("[2]", "[1,2]", 1), BOX.replace("X[", "X[0,"),
                 "(assert (<= X[0,1] 0.12345678901234567890123))")
    problem = read(text, f=f).problem
    assert problem.region.hi[1] == Fraction("0.12345678901234567890123")
    assert problem.region.names == ("X[0,0]", "X[0,1]")


def test_an_or_is_never_expanded(f: Graph) -> None:
    """Forty disjunctions of two: 2^40 conjunctions if they were."""
    parts = [f"(assert (or (<= Y[0] {k}) (>= Y[1] {k})))\n" for k in range(40)]
    problem = read(query(F, BOX, *parts), f=f).problem
    left = negate(problem.require)
    assert isinstance(left, And)
    assert len(left.parts) == 40
    assert all(isinstance(p, Or) and len(p.parts) == 2 for p in left.parts)


def test_several_inputs_and_outputs_in_the_order_of_the_file() -> None:
    b = Builder()
    one, two = b.input("first", (1,)), b.input("second", (1,))
    graph = b.build({"difference": b.sum([one, two], [1, -1]), "sum": b.sum([one, two])})
    text = query("""(declare-network n (declare-input A real [1]) (declare-input B real [1])
        (declare-output C real [1]) (declare-output D real []))""",
        "(assert (and (>= A[0] 0) (<= A[0] 1) (>= B[0] 10) (<= B[0] 11)))",
        "(assert (and (<= C[0] -10) (>= D 11)))")
    stated = read(text, n=graph)
    assert broken(stated, "0.5", "10.6")
    assert not broken(stated, "0.9", "10.6")


def test_hidden_nodes(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    parser = pytest.importorskip("onnx.parser")
    model = parser.parse_model("""<ir_version: 8, opset_import: ["": 17]>
        n (float[2] x) => (float[2] y) {
            two = Constant <value = float[1] {2.0}> ()
            inner = Mul (x, two)
            y = Relu (inner)
        }""")
    path = tmp_path / "hidden.onnx"
    path.write_bytes(model.SerializeToString())
    text = query("""(declare-network n (declare-input X real [2])
        (declare-hidden H real [2] "inner") (declare-output Y real [2]))""", BOX,
        "(assert (and (<= H[0] -1) (>= Y[1] 1)))")
    stated = state(text, "q", path, "q")
    assert broken(stated, "-0.5", "0.5")
    assert not broken(stated, "-0.4", "0.5")
    with pytest.raises(InputError, match="no output 'outer'"):
        state(text.replace('"inner"', '"outer"'), "q", path, "q")
    assert onnx.__version__


# --- several networks -------------------------------------------------------------------------


def test_two_networks_on_inputs_of_their_own(f: Graph, g: Graph) -> None:
    stated = read(query(F, G, BOX, BOX.replace("X", "Z"), "(assert (>= (+ Y[0] W[1]) 0.5))"),
                  f=f, g=g)
    assert stated.problem.region.names == ("X[0]", "X[1]", "Z[0]", "Z[1]")
    rng = random.Random(0)
    for _ in range(20):
        x = [Fraction(rng.randint(-8, 8), 8) for _ in range(4)]
        truth = output(f, *x[:2])[0] + output(g, *x[2:])[1] >= Fraction(1, 2)
        assert broken(stated, *x) == truth


def test_equated_inputs_are_shared(f: Graph, g: Graph) -> None:
    equal = "(assert (and (== Z[0] X[1]) (== X[0] Z[1])))"
    stated = read(query(F, G, BOX, equal, "(assert (>= Y[0] W[1]))"), f=f, g=g)
    assert stated.problem.region.names == ("X[0]", "X[1]")
    rng = random.Random(0)
    for _ in range(20):
        x = [Fraction(rng.randint(-8, 8), 8) for _ in range(2)]
        assert broken(stated, *x) == (output(f, *x)[0] >= output(g, x[1], x[0])[1])


def test_partly_equated_inputs(f: Graph, g: Graph) -> None:
    equal = "(assert (== Z[1] X[0])) (assert (and (>= Z[0] 0) (<= Z[0] 0.5)))"
    stated = read(query(F, G, BOX, equal, "(assert (>= Y[0] W[1]))"), f=f, g=g)
    assert stated.problem.region.names == ("X[0]", "X[1]", "Z[0]")
    rng = random.Random(0)
    for _ in range(20):
        x = [Fraction(rng.randint(-8, 8), 8) for _ in range(2)] + [Fraction(rng.randint(0, 4), 8)]
        assert broken(stated, *x) == (output(f, *x[:2])[0] >= output(g, x[2], x[0])[1])


def test_an_equality_inside_an_or_equates_nothing(f: Graph, g: Graph) -> None:
    text = query(F, G, BOX, BOX.replace("X", "Z"), "(assert (or (== X[0] Z[0]) (>= Y[0] W[0])))")
    assert read(text, f=f, g=g).problem.region.size == 4


def test_equal_networks_on_equal_inputs_agree(f: Graph) -> None:
    """The same network twice is one after merging: the difference is zero by construction."""
    same = G.replace("(declare-network g", "(declare-network g (equal-to f)")
    equal = "(assert (and (== X[0] Z[0]) (== X[1] Z[1])))"
    text = query(F, same, BOX, equal, "(assert (!= Y[0] W[0]))")
    assert verifex.verify(None, read(text, f=f).problem).outcome is Outcome.CLAIMED
    with pytest.raises(UsageError, match="equal to another and takes no file"):
        read(text, f=f, g=f)


def test_isomorphic_networks_have_files_of_their_own(f: Graph, g: Graph) -> None:
    like = G.replace("(declare-network g", "(declare-network g (isomorphic-to f)")
    equal = "(assert (and (== X[0] Z[0]) (== X[1] Z[1])))"
    text = query(F, like, BOX, equal, "(assert (>= (- Y[0] W[0]) 100))")
    stated = read(text, f=f, g=g)
    assert not stated.problem.notes
    assert verifex.verify(None, stated.problem).outcome is Outcome.CLAIMED
    b = Builder()
    other = b.build({"y": b.affine(dense(np.eye(2)), b.input("x", (2,)))})
    assert "its operations differ" in read(text, f=f, g=other).problem.notes[0]


def test_the_difference_of_two_networks_on_files(f: Graph, g: Graph, tmp_path: Path) -> None:
    files = {"f": save(f, tmp_path / "f.onnx"), "g": save(g, tmp_path / "g.onnx")}
    equal = "(assert (and (== X[0] Z[0]) (== X[1] Z[1])))"
    path = tmp_path / "q.vnnlib"
    path.write_text(query(F, G, BOX, equal, "(assert (>= (- Y[0] W[0]) 3))"))
    verdict = verifex.verify(files, path)
    rng = random.Random(0)
    most = max(output(f, *x)[0] - output(g, *x)[0] for x in (
        [Fraction(rng.randint(-16, 16), 16) for _ in range(2)] for _ in range(300)))
    if verdict.outcome is Outcome.REFUTED:
        assert verdict.witness is not None
        x = verdict.witness.point
        assert output(f, *x)[0] - output(g, *x)[0] >= 3
    else:
        assert verdict.outcome is Outcome.CLAIMED
        assert most < 3
        assert any("no certificate" in n for n in verdict.notes)


# --- errors -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "line", "what"),
    [
        (query(F, BOX, "(assert (<= V[0] 1))"), 6, "Undeclared variable: 'V'"),
        (query(F, BOX, "(assert (<= X[2] 1))"), 6, "out of bounds"),
        (query(F, BOX, "(assert (<= X[0,0] 1))"), 6, "Too many indices"),
        (query(F, BOX, "(assert (<= X[0] 1e-3))"), 6, "syntax error at"),
        (query(F, BOX, "(assert (<= X[0] 1)"), 6, "syntax error at"),
        (query(F, BOX, "(assert " + "(and " * 120 + "(<= X[0] 1)" + ")" * 121), 6, "too deeply"),
        (query(F, BOX, "(assert (<= (* X[0] X[1] " + "Y[0] " * 20 + ") 1))"), 6, "too many var"),
        (query(F.replace("X real", "X float32"), BOX), 3, "no sound analysis over element type"),
        (query(F.replace("X real", "X int64"), BOX), 3, "element type int64 is not supported"),
        (query(F.replace("X real", "X banana"), BOX), 3, "unknown element type 'banana'"),
        (query(F, BOX).replace("2.0", "2.1"), 1, "VNN-LIB 2.1"),
        (query(F, F, BOX), 6, "Duplicate"),
        (query(F.replace("\n", " (equal-to h)\n", 1), BOX), 2, "'h' not found"),
    ],
)
def test_errors_name_the_line(f: Graph, text: str, line: int, what: str) -> None:
    with pytest.raises(InputError) as raised:
        read(text, f=f)
    shown = str(raised.value)
    assert re.match(rf"q\.vnnlib:{line}: ", shown), shown
    assert what in shown


def test_networks_must_be_those_that_are_declared(f: Graph, g: Graph) -> None:
    text = query(F, G, BOX, BOX.replace("X", "Z"))
    with pytest.raises(UsageError, match="no file for network g"):
        read(text, f=f)
    with pytest.raises(UsageError, match="'h' is not declared"):
        read(text, f=f, g=g, h=g)
    with pytest.raises(UsageError, match="verifex-vnnlib verify"):
        state(text, "q.vnnlib", f, "q")
    with pytest.raises(InputError, match=r"declares 2 \('W' of shape \[2\]\)"):
        read(text, f=f, g=random_graph(random.Random(0), 2, 2, 3))
    b = Builder()
    x = b.input("x", (2,))
    three = b.build({k: b.scaled(x, i + 2) for i, k in enumerate("abc")})
    with pytest.raises(InputError, match="3 outputs, 1 are declared"):
        read(query(F, BOX), f=three)


def test_consent_to_real_numbers(f: Graph) -> None:
    text = query(F.replace("real", "float32"), BOX, "(assert (<= Y[0] 1))")
    with pytest.raises(UnsupportedError, match="--as-real"):
        read(text, f=f)
    stated = state(text, "q", f, "q", as_real=True)
    assert [v.element for v in stated.variables] == ["float32", "float32"]


def test_inputs_without_bounds(f: Graph) -> None:
    text = query(F, "(assert (>= X[0] 0)) (assert (<= Y[0] 1))")
    with pytest.raises(UnsupportedError, match=r"X\[0\] has no upper bound"):
        read(text, f=f)
    stated = state(text, "q", f, "q", cut=True)
    assert stated.cut
    assert stated.problem.region.lo == (0, -1024)
    assert not state(query(F, BOX), "q", f, "q", cut=True).cut


def test_atoms_are_compared_as_in_version_1(f: Graph) -> None:
    two = read(query(F, BOX, "(assert (<= Y[0] Y[1]))"), f=f).problem
    assert isinstance(two.require, Atom)
    one = "\n".join(f"(declare-const {v} Real)" for v in ("X_0", "X_1", "Y_0", "Y_1"))
    one += re.sub(r"([XY])\[(\d)\]", r"\1_\2", BOX) + "(assert (<= Y_0 Y_1))"
    from verifex.problem.vnnlib.version_1 import parse_query

    first = parse_query(one, f)
    assert (first.region.lo, first.region.hi) == (two.region.lo, two.region.hi)


# --- real files -------------------------------------------------------------------------------


@pytest.mark.slow
def test_every_query_of_the_benchmarks_is_read(shared_data: Path) -> None:
    """All files of version 2.0, against stand-ins of the declared sizes."""
    files = [p for p in sorted((shared_data / "vnnlib2").rglob("*.vnnlib*"))
             if p.parent.name != "test"]
    assert len(files) > 50
    graphs: dict[tuple[int, ...], Graph] = {}
    for file in files:
        text = read_text(file)
        networks = {}
        for part in text.split("(declare-network ")[1:]:
            sizes = tuple(int(np.prod([int(d) for d in dims.split(",") if d])) for dims in
                          re.findall(r"\(declare-(?:input|output) \w+ \w+ \[([\d,]*)\]", part))
            graph = graphs.setdefault(sizes, random_graph(random.Random(0), sizes[0], 1, sizes[1]))
            networks[part.split()[0]] = graph
        problem = state(text, str(file), networks, "q").problem
        assert problem.region.size >= 1, file


def test_versions_1_and_2_of_a_benchmark_agree(shared_data: Path) -> None:
    """The same properties in both languages: equal boxes, equal answers at points."""
    folder = shared_data / "vnnlib2" / "acasxu_2023"
    net = shared_data / "vnncomp/acasxu_2023/onnx/ACASXU_run2a_1_1_batch_2000.onnx.gz"
    files = sorted(folder.glob("*.vnnlib.gz"))
    assert len(files) == 10
    rng = random.Random(0)
    for file in files:
        old = shared_data / "vnncomp/acasxu_2023/vnnlib" / file.name.replace(".v2", "")
        one, two = load_stated(old, net), load_stated(file, net)
        assert one.problem.region.lo == two.problem.region.lo
        assert one.problem.region.hi == two.problem.region.hi
        box = list(zip(one.problem.region.lo, one.problem.region.hi, strict=True))
        for _ in range(3):
            x = [a + (b - a) * Fraction(rng.randint(0, 8), 8) for a, b in box]
            assert broken(one, *x) == broken(two, *x)


def test_examples_of_the_standard(shared_data: Path, f: Graph) -> None:
    """Every example of the standard states a problem, or is refused with the reason."""
    refused = {"initialized": "VNN-LIB 2.1", "mnist": "has no lower bound",
               "multiple_networks": "has no lower bound", "test_linearise": "has no upper bound",
               "intermediate_nodes": "hidden nodes of"}
    files = sorted((shared_data / "vnnlib2/standard/syntax/test").glob("*.vnnlib"))
    assert len(files) == 11
    for file in files:
        text = file.read_text()
        networks = {}
        for part in text.split("(declare-network ")[1:]:
            sizes = [int(np.prod([int(d) for d in dims.split(",") if d])) for dims in
                     re.findall(r"\(declare-(?:input|output) \w+ \w+ \[([\d,]*)\]", part)]
            if "equal-to" not in part:
                networks[part.split()[0]] = random_graph(random.Random(0), sizes[0], 1, sizes[1])
        try:
            state(text, file.name, networks, "q")
            said = ""
        except VerifexError as error:
            said = str(error)
        assert refused.get(file.stem, "") in said, said
        assert bool(said) == (file.stem in refused), (file.stem, said)


def test_zipped_queries(f: Graph, tmp_path: Path) -> None:
    path = tmp_path / "q.vnnlib.gz"
    path.write_bytes(gzip.compress(query(F, BOX, "(assert (<= Y[0] -100))").encode()))
    net = tmp_path / "f.onnx.gz"
    net.write_bytes(gzip.compress(to_onnx(f)))
    assert verifex.verify(net, path).outcome is Outcome.CLAIMED
