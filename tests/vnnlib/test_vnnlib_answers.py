"""What an answer of `verifex-vnnlib` rests on: the query as it is written, numbers as they are
written, and the end of the process."""

from __future__ import annotations

import random
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from benchmarks.vnncomp_suite import table
from verifex.cli.vnnlib import answer as vnnlib_answer
from verifex.cli.vnnlib.answer import nearest_double
from verifex.cli.vnnlib.main import run
from verifex.engine.falsify.deployed import Deployed
from verifex.engine.falsify.witness import replay
from verifex.problem.vnnlib.raw_query import raw_query
from verifex.problem.vnnlib.read import load_stated
from verifex.semantics.evaluate import evaluate_exact

pytest.importorskip("onnxruntime")
onnx = pytest.importorskip("onnx")
pytest.importorskip("vnnlib")

ROOT = Path(__file__).resolve().parents[2]
Output = pytest.CaptureFixture[str]


@pytest.fixture(params=["Identity", "Flatten", "Mul"])
def copy(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """An output that is the input, of two elements."""
    helper = onnx.helper
    given, out = (helper.make_tensor_value_info(n, 1, [1, 2]) for n in ("x", "y"))
    ones = onnx.numpy_helper.from_array(np.ones(2, dtype=np.float32), "one")
    names = ["x", "one"] if request.param == "Mul" else ["x"]
    nodes = [helper.make_node(request.param, names, ["y"])]
    graph = helper.make_graph(nodes, "g", [given], [out], [ones])
    path = tmp_path / "copy.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)],
                                ir_version=8), path)
    return path


def first(tmp_path: Path, *assertions: str) -> Path:
    path = tmp_path / "q1.vnnlib"
    path.write_text("".join(f"(declare-const {v} Real)\n" for v in ("X_0", "X_1", "Y_0", "Y_1"))
                    + "".join(f"(assert {a})\n" for a in assertions))
    return path


def second(tmp_path: Path, *assertions: str) -> Path:
    path = tmp_path / "q2.vnnlib"
    path.write_text("(vnnlib-version <2.0>)\n(declare-network f (declare-input X real [1,2])\n"
                    "(declare-output Y real [1,2]))\n"
                    + "".join(f"(assert {a})\n" for a in assertions))
    return path


def box(variable: str, lo: str, hi: str) -> str:
    return f"(and (>= {variable} {lo}) (<= {variable} {hi}))"


# --- the query as it is written -----------------------------------------------------------------


@pytest.mark.parametrize(("condition", "word"), [
    ("(<= Y_0 0.3)", "unknown"), ("(= Y_0 0.3)", "unknown"), ("(>= Y_0 0.3)", "sat"),
    ("(<= Y_0 0.31)", "sat"), ("(<= (+ Y_0 Y_1) 0.3)", "unknown"), ("(<= Y_0 X_0)", "unknown"),
])
def test_an_output_that_copies_an_input_is_what_came_out(
    copy: Path, tmp_path: Path, capsys: Output, condition: str, word: str
) -> None:
    """The bounds of X_0 hold no float32; the one beside them is above 0.3, and so is Y_0."""
    query, results = first(tmp_path, box("X_0", "0.3", "0.3"), box("X_1", "0", "1"), condition), (
        tmp_path / "r.txt")
    assert run(["instance", str(copy), str(query), str(results), "20"]) == 0
    assert results.read_text().split()[0] == word
    assert "hold no float32" in capsys.readouterr().err
    assert run(["verify", str(query), "--network", str(copy)]) == 0
    assert capsys.readouterr().out.startswith("sat\n")  # of real numbers, and exact


def test_the_same_in_version_2(copy: Path, tmp_path: Path) -> None:
    results = tmp_path / "r.txt"
    for condition, word in (("(<= Y[0,0] 0.3)", "unknown"), ("(>= Y[0,0] 0.3)", "sat")):
        query = second(tmp_path, box("X[0,0]", "0.3", "0.3"), box("X[0,1]", "0", "1"), condition)
        assert run(["instance", str([("f", str(copy))]), str(query), str(results), "20"]) == 0
        assert results.read_text().split()[0] == word


ONE = ("(or (and (<= (* 2 Y_0) (- 1 X_1)) (> (- Y_1) -0.75)) (= X_0 X_1))",
       "(< (- Y_0 X_0 X_1 0.25) (* X_0 Y_1 -1.5e0))")
TWO = ("(or (and (<= (* 2.0 Y[0,0]) (- 1.0 X[0,1])) (> (- Y[0,1]) -0.75)) (== X[0,0] X[0,1]))",
       "(< (- Y[0,0] X[0,0] X[0,1] 0.25) (* X[0,0] Y[0,1] -1.5))", "(!= Y[0,0] 0.25)")


def test_the_query_as_written_says_what_the_problem_says(net: Path, tmp_path: Path) -> None:
    rng = random.Random(0)
    for query, sides in (
        (first(tmp_path, *(box(f"X_{i}", "-1", "1") for i in (0, 1)), *ONE), "X Y"),
        (second(tmp_path, *(box(f"X[0,{i}]", "-1", "1") for i in (0, 1)), *TWO), "X Y"),
    ):
        stated = load_stated(query, net)
        test, seen = raw_query(query, stated), set()
        assert [v.name for v in stated.variables] == sides.split()
        for _ in range(200):
            point = (Fraction(rng.randint(-9, 9), 8), Fraction(rng.randint(-9, 9), 8))
            nodes = {v.name: v.node for v in stated.variables}
            exact = evaluate_exact(stated.problem.graph, point, nodes.values())
            truth = test({k: exact[n].fractions() for k, n in nodes.items()})
            assert truth == replay(stated.problem, point).refutes, point
            seen.add(truth)
        assert seen == {True, False}


def test_breaks_reads_what_came_out(copy: Path, tmp_path: Path) -> None:
    """Whatever the exact point's value is."""
    query = first(tmp_path, box("X_0", "0.3", "0.3"), box("X_1", "0", "1"), "(<= Y_0 0.3)")
    stated = load_stated(query, copy)
    point = (Fraction("0.3"), Fraction(0))
    assert replay(stated.problem, point).refutes
    assert not Deployed(stated, query).breaks(np.array([0.3, 0], dtype=np.float32), point)


# --- numbers as they are written ----------------------------------------------------------------


def test_nearest_double() -> None:
    tenth = Fraction("0.1")
    assert nearest_double(tenth, Fraction(0), Fraction(1)) == 0.1
    assert nearest_double(tenth, Fraction(0), tenth) == np.nextafter(0.1, 0)
    assert nearest_double(tenth, tenth, tenth) is None
    assert nearest_double(Fraction(10) ** 400, Fraction(0), Fraction(10) ** 401) is None


def serialised(net: Path, query: Path, folder: Path, capsys: Output
               ) -> tuple[dict[str, list[Fraction]], str]:
    words = ["verify", str(query), "--network", str(net), "--serialise-assignments", str(folder)]
    assert run(words) == 0
    said = capsys.readouterr()
    assert said.out == "sat\n"
    found = {}
    for name in ("X", "Y"):
        tensor = onnx.TensorProto()
        tensor.ParseFromString((folder / f"{name}.pb").read_bytes())
        found[name] = [Fraction(float(n)) for n in onnx.numpy_helper.to_array(tensor).ravel()]
    return found, said.err


def test_float64_stays_within_the_bounds(net: Path, tmp_path: Path, capsys: Output) -> None:
    """0.1 as a float64 is above 0.1; only that bound of X_0 will do, but for its last digits."""
    lo, hi = "0.100000000000000051", "0.100000000000000099"
    query = first(tmp_path, box("X_0", "0", "0.1"), box("X_1", lo, hi), "(>= Y_1 0.2)")
    found, said = serialised(net, query, tmp_path / "out", capsys)
    x, y = found["X"], found["Y"]
    assert 0 <= x[0] <= Fraction("0.1") < Fraction(0.1)
    assert Fraction(lo) <= x[1] <= Fraction(hi)
    assert y[1] >= Fraction("0.2")
    assert "float64" not in said


@pytest.mark.parametrize(("boxes", "condition", "what"), [
    ((("0.1", "0.1"), ("0", "1")), "(>= Y_1 0.2)", "the bounds of X_0 hold no float64"),
    ((("0.10000000001", "0.10000000002"), ("0.1", "0.2")), "(= Y_1 0.3)", "rounded, it does not"),
])
def test_numbers_that_no_float64_is_are_told(
    net: Path, tmp_path: Path, capsys: Output, boxes: tuple[tuple[str, str], ...], condition: str,
    what: str,
) -> None:
    query = first(tmp_path, *(box(f"X_{i}", *b) for i, b in enumerate(boxes)), condition)
    _, said = serialised(net, query, tmp_path / "out", capsys)
    lines = [line for line in said.splitlines() if "float64" in line]
    assert len(lines) == 1
    assert what in lines[0]
    assert "X_" in lines[0]


def test_a_folder_that_cannot_be_is_told_before_solving(
    net: Path, tmp_path: Path, capsys: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    def solved(*_: object) -> None:
        pytest.fail("solved")

    monkeypatch.setattr(vnnlib_answer, "answer", solved)
    for folder in (net, net / "deeper" / "still"):
        query = first(tmp_path, box("X_0", "0", "1"), box("X_1", "0", "1"), "(>= Y_1 0)")
        words = ["verify", str(query), "--network", str(net)]
        assert run([*words, "--serialise-assignments", str(folder)]) == 64
        said = capsys.readouterr()
        assert said.out == ""
        assert said.err.startswith(f"--serialise-assignments {folder}: {net} is no folder")


# --- the end ------------------------------------------------------------------------------------


def test_an_instance_says_error_whatever_goes_wrong(
    net: Path, tmp_path: Path, capsys: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise ValueError("of all\nthings")

    query, results = first(tmp_path, "(>= Y_1 0)"), tmp_path / "r.txt"
    words = ["instance", str(net), str(query), str(results)]
    assert run([*words, "-1"]) == 64
    assert results.read_text() == "error\n"
    results.write_text("unsat\n")  # left by another instance
    monkeypatch.setattr(vnnlib_answer, "answer", fails)
    assert run([*words, "20"]) == 70
    assert results.read_text() == "error\n"
    assert "internal error: ValueError: of all things" in capsys.readouterr().err.splitlines()[-1]


def test_a_process_that_dies_leaves_an_error(net: Path, tmp_path: Path) -> None:
    results = tmp_path / "r.txt"
    done = subprocess.run([ROOT / "vnncomp" / "run_instance.sh", "v1", "c", str(net), "q.vnnlib",
                           str(results), "soon"], capture_output=True)
    assert done.returncode == 64
    assert results.read_text() == "error\n"


@pytest.mark.parametrize(("say", "code"), [
    ("print('timed-out', flush=True)", 0), ("1 / 0", 70),
    ("open('/no/such/folder/r.txt', 'w')", 65),
])
def test_the_deadline_leaves_nothing_behind(say: str, code: int, tmp_path: Path) -> None:
    """Neither a temporary folder nor a child, which holds the output open, whatever fails: with
    either of them the test would go on for longer than it may."""
    program = (
        "import subprocess, sys, tempfile, time\n"
        "from verifex.cli.vnnlib.main import _Deadline\n"
        f"with _Deadline(1.0, time.monotonic(), lambda: {say}):\n"
        "    folder = tempfile.mkdtemp(prefix='verifex-')\n"
        "    subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(3600)'],\n"
        "                     start_new_session=True, cwd=folder)\n"
        "    time.sleep(3600)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True,
                          env={"TMPDIR": str(tmp_path)})
    assert done.returncode == code
    assert done.stdout == ("timed-out\n" if "print" in say else "")
    assert list(tmp_path.iterdir()) == []


# --- the benchmark's table ----------------------------------------------------------------------


def test_the_longest_instance_counts_though_its_check_was_stopped() -> None:
    row = {"word": "unsat", "expected": "unsat", "check": "valid", "check_seconds": 1.0}
    result = {"suite": "some", "checked": True, "rows": [
        {**row, "wall": 3.0, "cpu": 3.0},
        {**row, "wall": 100.0, "cpu": 41.0, "check": "not ended", "check_seconds": 60.0},
        {**row, "word": "timed-out", "check": None, "check_seconds": 0.0, "wall": 30.0, "cpu": 2.0},
    ]}
    header, (cells,) = table(result)
    assert [name for name in header if name.startswith("longest of all")]
    assert cells[4:6] == [30.0, 40.0]
