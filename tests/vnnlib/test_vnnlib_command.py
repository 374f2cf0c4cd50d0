"""`verifex-vnnlib` and the scripts of VNN-COMP: answers, assignments, errors, start-up."""

from __future__ import annotations

import gzip
import os
import random
import re
import signal
import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from verifex.certificate import grant
from verifex.cli.vnnlib.answer import shown
from verifex.cli.vnnlib.main import run
from verifex.cli.vnnlib.supports import CAPABILITIES
from verifex.cli.vnnlib.vnncomp import networks
from verifex.engine.budget import Budget
from verifex.engine.falsify.attack import attack
from verifex.engine.falsify.deployed import Deployed
from verifex.engine.falsify.single import nearest_single, single_box, survivor
from verifex.engine.falsify.witness import replay
from verifex.errors import UsageError
from verifex.problem.vnnlib.read import load_stated

ort = pytest.importorskip("onnxruntime")
onnx = pytest.importorskip("onnx")
pytest.importorskip("vnnlib")

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = ROOT / "vnncomp"

Output = pytest.CaptureFixture[str]


def second(tmp_path: Path, *assertions: str, element: str = "real") -> Path:
    """A query of version 2.0 about the network, over the box of [-1, 1]."""
    path = tmp_path / "q2.vnnlib"
    path.write_text(
        f"(vnnlib-version <2.0>)\n(declare-network f (declare-input X {element} [1,2])\n"
        f"(declare-output Y {element} [2]))\n"
        + "".join(f"(assert (and (>= X[0,{i}] -1) (<= X[0,{i}] 1)))\n" for i in (0, 1))
        + "".join(f"(assert {a})\n" for a in assertions)
    )
    return path


def first(tmp_path: Path, *assertions: str, box: str = "") -> Path:
    """The same in version 1.0."""
    path = tmp_path / "q1.vnnlib"
    box = box or "".join(f"(assert (and (>= X_{i} -1) (<= X_{i} 1)))\n" for i in (0, 1))
    path.write_text(
        "".join(f"(declare-const {v} Real)\n" for v in ("X_0", "X_1", "Y_0", "Y_1")) + box
        + "".join(f"(assert {a})\n" for a in assertions)
    )
    return path


# --- the command of the standard ----------------------------------------------------------------


def test_name_and_version(capsys: Output) -> None:
    assert run(["--name"]) == 0
    assert capsys.readouterr().out == "verifex\n"
    assert run(["--version"]) == 0
    assert re.fullmatch(r"\d+\.\d+\.\d+\n", capsys.readouterr().out)


def test_supports(capsys: Output) -> None:
    permitted = {
        "--hidden-node-theories": {"NH", "H"}, "--multiple-input-output-theories": {"SIO", "MIO"},
        "--multiple-network-theories": {"SNET", "MENET", "MINET", "MNET"},
        "--multiple-node-comparison-theories": {"SNC", "MNC"},
        "--arithmetic-complexity-theories": {"BND", "OUTC", "LIN", "POLY"},
        "--optimised-disjunctive-reasoning": {"true"}, "--serialise-assignments": {"true"},
        "--onnx-element-types": {"real"}, "--vnnlib-versions": {"1.0", "2.0"},
        "--unsat-proofs": {"false"},
    }
    for capability in CAPABILITIES:
        assert run(["supports", capability]) == 0
        lines = capsys.readouterr().out.splitlines()
        if capability in permitted:
            assert set(lines) == permitted[capability]
    assert run(["supports", "--onnx-opset-versions"]) == 0
    assert capsys.readouterr().out == "7\n23\n"
    assert run(["supports", "--onnx-operators"]) == 0
    operators = capsys.readouterr().out.splitlines()
    assert {"Relu", "Gemm", "Conv", "MatMul"} <= set(operators)
    assert {"Cast", "CastLike", "Equal"}.isdisjoint(operators)  # of computed values, in part only
    assert run(["supports", "--everything"]) == 64
    assert run(["supports"]) == 64


def test_sat_prints_the_assignment(net: Path, tmp_path: Path, capsys: Output) -> None:
    query = second(tmp_path, "(>= Y[0] 1.5)")
    assert run(["verify", str(query), "--network", f"f={net}"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [lines[0], lines[1], lines[4]] == ["sat", "X real [1,2]", "Y real [2]"]
    assert len(lines) == 7
    x = [Fraction(v) for v in lines[2:4]]
    y = [Fraction(v) for v in lines[5:7]]
    assert all(-1 <= v <= 1 for v in x)
    assert y[0] >= Fraction(3, 2)
    assert y == outputs(net, x)


def outputs(net: Path, x: list[Fraction]) -> list[Fraction]:
    """What onnxruntime makes of an input, exactly as it comes out; the input is fed unrounded."""
    fed = np.array([float(v) for v in x], dtype=np.float32)
    assert [Fraction(float(v)) for v in fed] == x
    session = ort.InferenceSession(net, providers=["CPUExecutionProvider"])
    given = session.get_inputs()[0]
    return [Fraction(float(v)) for v in
            session.run(None, {given.name: fed.reshape(given.shape)})[0].ravel()]


@pytest.mark.parametrize("version", [1, 2])
def test_an_interrupted_query_is_unknown_with_what_is_known(
    version: int, net: Path, tmp_path: Path, capsys: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C in the attack, which ends with the points that it has."""
    def interrupted(*given: Any, **named: Any) -> Any:
        os.kill(os.getpid(), signal.SIGINT)
        return attack(*given, **named)

    monkeypatch.setattr("verifex.engine.decide.attack", interrupted)
    query = (first(tmp_path, "(>= Y_0 1.5)") if version == 1 else
             second(tmp_path, "(>= Y[0] 1.5)"))
    before = signal.getsignal(signal.SIGINT)
    assert run(["verify", str(query), "--network", f"f={net}"]) == 130
    out, err = capsys.readouterr()
    assert out == "unknown\n"
    assert "interrupted after" in err
    assert "\nmargin at least -" in err
    assert err.endswith("interrupted\n")
    assert signal.getsignal(signal.SIGINT) is before


def test_sat_writes_the_assignment(net: Path, tmp_path: Path, capsys: Output) -> None:
    query, folder = second(tmp_path, "(>= Y[0] 1.5)"), tmp_path / "out" / "assignment"
    words = ["verify", str(query), "--network", f"f={net}", "--serialise-assignments", str(folder)]
    assert run(words) == 0
    assert capsys.readouterr().out == "sat\n"
    found = {}
    for name in ("X", "Y"):
        tensor = onnx.TensorProto()
        tensor.ParseFromString((folder / f"{name}.pb").read_bytes())
        found[name] = onnx.numpy_helper.to_array(tensor)
    assert found["X"].shape == (1, 2)
    assert found["Y"].dtype == np.float32
    assert found["Y"][0] >= 1.5


def test_unsat_and_version_1(net: Path, tmp_path: Path, capsys: Output) -> None:
    assert run(["verify", str(second(tmp_path, "(> Y[0] 2.25)")), "--network", f"f={net}"]) == 0
    assert capsys.readouterr().out == "unsat\n"
    old = first(tmp_path, "(> Y_0 2.25)")
    assert run(["verify", str(old), "--network", str(net)]) == 0
    said = capsys.readouterr()
    assert said.out == "unsat\n"
    assert "proved" in said.err
    assert run(["verify", str(second(tmp_path, "(> Y[0] 2.25)")), "--network", f"f={net}"]) == 0
    said = capsys.readouterr()
    assert said.out == "unsat\n"
    assert "decided and checked as one network with a query of VNN-LIB 1.0" in said.err
    assert "proved" in said.err


def test_unsat_is_proved_or_accepted_as_claimed(
    net: Path, tmp_path: Path, capsys: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A checker that cannot read the network proves nothing; one that refuses is always heeded."""
    query = first(tmp_path, "(> Y_0 2.25)")
    words = ["verify", str(query), "--network", str(net)]
    for code, plain, accepting in ((65, "unknown", "unsat"), (1, "unknown", "unknown")):
        (tmp_path / "checker.py").write_text(f"import sys\nprint('invalid: no')\nsys.exit({code})")
        monkeypatch.setattr(grant, "CHECKER", tmp_path / "checker.py")
        for more, word in (([], plain), (["--accept", "claimed"], accepting)):
            assert run([*words, *more]) == 0
            assert capsys.readouterr().out == word + "\n"
    for more, word in (([], "unknown"), (["--accept", "claimed"], "unsat")):
        results = tmp_path / "r.txt"
        assert run(["instance", *more, str(net), str(query), str(results), "20"]) == 0
        assert results.read_text() == word + "\n"
    capsys.readouterr()
    assert run([*words, "--no-check"]) == 64
    assert "expected --accept claimed" in capsys.readouterr().err
    assert run([*words, "--no-check", "--accept", "claimed"]) == 0
    assert capsys.readouterr().out == "unsat\n"


def test_several_threads_answer_alike(net: Path, tmp_path: Path, capsys: Output) -> None:
    for assertion, word in (("(>= Y_0 2.5)", "unsat"), ("(>= Y_0 1.5)", "sat")):
        query = first(tmp_path, assertion)
        for threads in ("1", "2"):
            words = ["verify", str(query), "--network", str(net), "--threads", threads]
            assert run(words) == 0
            assert capsys.readouterr().out.splitlines()[0] == word
    assert run(["verify", str(query), "--network", str(net), "--threads", "0"]) == 64
    assert "--threads 0, expected at least 1" in capsys.readouterr().err


def test_translate(net: Path, tmp_path: Path, capsys: Output) -> None:
    """A query of version 2.0 as a pair of files that any reader of version 1.0 takes."""
    files = [tmp_path / "t.onnx", tmp_path / "t.vnnlib"]
    words = ["translate", str(second(tmp_path, "(> (* 0.5 Y[0]) X[0,0])")), "--network", f"f={net}"]
    assert run([*words, "--onnx", str(files[0]), "--vnnlib", str(files[1])]) == 0
    assert "float32" in capsys.readouterr().out
    for x in ((0, 0), (1, -1), (0, -1)):
        one = load_stated(files[1], files[0]).problem
        two = load_stated(Path(words[1]), net).problem
        point = tuple(Fraction(v) for v in x)
        assert replay(one, point).refutes == replay(two, point).refutes == (x == (0, -1))
    assert run(["verify", str(files[1]), "--network", str(files[0])]) == 0
    assert capsys.readouterr().out.splitlines()[0] == "sat"


def test_exact_only(net: Path, tmp_path: Path, capsys: Output) -> None:
    """x0 = 1/10 is no float32: satisfied by a real number, and said so."""
    query = second(tmp_path, "(== X[0,0] 0.1)", "(>= Y[1] 0.5)")
    assert run(["verify", str(query), "--network", f"f={net}"]) == 0
    said = capsys.readouterr()
    assert said.out.splitlines()[:3] == ["sat", "X real [1,2]", "0.1"]
    assert "hold no float32" in said.err


def test_an_input_without_bounds(net: Path, tmp_path: Path, capsys: Output) -> None:
    head = second(tmp_path).read_text().split("(assert")[0]
    query = tmp_path / "open.vnnlib"
    for condition, word in (("(>= Y[0] 5)", "sat"), ("(<= Y[0] -1)", "unknown")):
        query.write_text(head + f"(assert {condition})")
        assert run(["verify", str(query), "--network", f"f={net}"]) == 0
        assert capsys.readouterr().out.splitlines()[0] == word


@pytest.mark.parametrize(("words", "code", "what"), [
    (["verify", "Q"], 64, "no network"),
    (["verify", "Q", "--network", "g=N"], 64, "'g' is not declared"),
    (["verify", "Q", "--network", "f=N", "--network", "f=N"], 64, "given twice"),
    (["verify", "Q", "--network", "f=N", "--timeout", "-1"], 64, "a time above 0"),
    (["verify", "Q", "--network", "f=missing.onnx"], 65, "missing.onnx"),
    (["verify", "missing.vnnlib", "--network", "f=N"], 65, "missing.vnnlib"),
    (["verify", "F", "--network", "f=N"], 65, "no sound analysis over element type float32"),
    (["verify", "Q", "--what"], 64, "unrecognized"),
    (["prove"], 64, "invalid choice"), ([], 64, "no command"),
])
def test_errors(
    net: Path, tmp_path: Path, capsys: Output, words: list[str], code: int, what: str
) -> None:
    single = second(tmp_path, element="float32").rename(tmp_path / "f32.vnnlib")
    files = {"Q": str(second(tmp_path)), "F": str(single), "g=N": f"g={net}", "f=N": f"f={net}"}
    assert run([files.get(w, w) for w in words]) == code
    said = capsys.readouterr()
    assert said.out == ""
    assert what in said.err
    assert len(said.err.splitlines()) == 1


def test_consent(net: Path, tmp_path: Path, capsys: Output) -> None:
    query = second(tmp_path, "(> Y[0] 2.25)", element="float32")
    assert run(["verify", str(query), "--network", f"f={net}", "--as-real"]) == 0
    assert capsys.readouterr().out == "unsat\n"


# --- numbers and float32 ------------------------------------------------------------------------


def test_numbers_are_written_exactly() -> None:
    rng = random.Random(0)
    for _ in range(300):
        x = np.float32(rng.uniform(-1, 1) * 10.0 ** rng.randint(-30, 30))
        assert Fraction(shown(x)) == Fraction(float(x))
        assert "e" not in shown(x).lower()
    assert shown(Fraction(3, 40)) == "0.075"
    assert shown(Fraction(-2)) == "-2.0"
    assert abs(Fraction(shown(Fraction(1, 3))) - Fraction(1, 3)) < Fraction(1, 10**15)


def test_nearest_single_stays_within_the_bounds() -> None:
    for lo, hi in ((Fraction("0.1"), Fraction(1)), (Fraction(-1), Fraction("-0.3")),
                   (Fraction("0.7"), Fraction("0.7000001"))):
        for value in (lo, hi, (lo + hi) / 2):
            x = nearest_single(value, lo, hi)
            assert x is not None
            assert lo <= Fraction(float(x)) <= hi
    assert nearest_single(Fraction("0.1"), Fraction("0.1"), Fraction("0.1")) is None


def test_a_witness_on_the_edge_moves_inward(net: Path, tmp_path: Path) -> None:
    """At the witness float32 rounds the output to the wrong side; with more margin it does not."""
    stated = load_stated(first(tmp_path, "(>= (+ Y_0 Y_1) 0.2)"), net)
    witness = (Fraction("0.1"), Fraction("-0.5"))
    assert replay(stated.problem, witness).refutes
    deployed = Deployed(stated, tmp_path / "q1.vnnlib")
    found = survivor(stated.problem, witness, deployed.breaks, Budget(10.0))
    assert found is not None
    x, point = found
    assert [Fraction(float(v)) for v in x] == list(point)
    assert replay(stated.problem, point).refutes
    assert survivor(stated.problem, witness, lambda x, point: False, Budget(1.0)) is None


@pytest.mark.parametrize(("lo", "hi"), [("0.1", "0.1"), ("0.10000000001", "0.10000000002")])
def test_bounds_without_a_float32_keep_the_point_between_them(
    net: Path, tmp_path: Path, lo: str, hi: str
) -> None:
    box = f"(assert (and (>= X_0 {lo}) (<= X_0 {hi}) (>= X_1 -1) (<= X_1 0.3)))"
    stated = load_stated(first(tmp_path, "(>= Y_1 0.2)", box=box), net)
    region = stated.problem.region
    sides = single_box(region)
    assert sides is not None
    assert sides.between == (0,)
    assert Fraction(float(sides.hi[1])) <= Fraction("0.3")
    deployed = Deployed(stated, tmp_path / "q1.vnnlib")
    found = survivor(stated.problem, (Fraction(lo), Fraction("0.3")), deployed.breaks, Budget(10.0))
    assert found is not None
    x, point = found
    assert x[0] == np.float32(0.1)
    assert Fraction(lo) <= point[0] <= Fraction(hi)
    assert Fraction(float(x[1])) == point[1]
    assert replay(stated.problem, point).refutes


def test_bounds_beyond_float32(net: Path, tmp_path: Path) -> None:
    for exponents in ((39, 40), (400, 500)):
        low, high = (f"1e{k}" for k in exponents)
        box = f"(assert (and (>= X_0 {low}) (<= X_0 {high}) (>= X_1 0) (<= X_1 1)))"
        stated = load_stated(first(tmp_path, "(>= Y_1 0)", box=box), net)
        assert single_box(stated.problem.region) is None
        assert survivor(stated.problem, (Fraction(low), Fraction(0)), lambda x, point: True,
                        Budget(1.0)) is None


# --- VNN-COMP -----------------------------------------------------------------------------------


def instance(net: object, query: Path, tmp_path: Path, seconds: float = 30) -> list[str]:
    results = tmp_path / "results.txt"
    run(["instance", str(net), str(query), str(results), str(seconds)])
    return results.read_text().splitlines()


def test_instances(net: Path, tmp_path: Path) -> None:
    lines = instance(net, first(tmp_path, "(>= Y_0 1.5)"), tmp_path)
    assert lines[0] == "sat"
    found = re.findall(r"\(([XY]_\d) (\S+?)\)", " ".join(lines[1:]))
    assert [name for name, _ in found] == ["X_0", "X_1", "Y_0", "Y_1"]
    assert lines[1].startswith("((")
    assert lines[-1].endswith("))")
    x = [Fraction(v) for _, v in found[:2]]
    assert [Fraction(v) for _, v in found[2:]] == outputs(net, x)
    assert instance(net, first(tmp_path, "(> Y_0 2.25)"), tmp_path) == ["unsat"]
    assert instance(net, first(tmp_path, "(> Z_0 2)"), tmp_path) == ["error"]


def test_an_instance_whose_bounds_hold_no_float32(net: Path, tmp_path: Path) -> None:
    """The inputs lie within the bounds exactly; the outputs are those of the float32 beside them,
    and the query holds of both."""
    box = "(assert (and (>= X_0 0.1) (<= X_0 0.1) (>= X_1 0) (<= X_1 1)))"
    lines = instance(net, first(tmp_path, "(>= Y_1 0.5)", box=box), tmp_path)
    assert lines[0] == "sat"
    found = {k: Fraction(v) for k, v in re.findall(r"\(([XY]_\d) (\S+?)\)", " ".join(lines))}
    assert found["X_0"] == Fraction("0.1")
    assert 0 <= found["X_1"] <= 1
    fed = [Fraction(float(np.float32(float(found[k])))) for k in ("X_0", "X_1")]
    assert fed[1] == found["X_1"]
    assert [found["Y_0"], found["Y_1"]] == outputs(net, fed)
    assert found["Y_1"] >= Fraction("0.5")
    assert instance(net, first(tmp_path, "(>= Y_1 1.2)", box=box), tmp_path) == ["unsat"]


def test_an_instance_is_sat_only_in_float32_too(net: Path, tmp_path: Path) -> None:
    """Only 0.1 itself will do, and what the network computes of the float32 beside it is more."""
    box = "(assert (and (>= X_0 0.1) (<= X_0 0.1) (>= X_1 0) (<= X_1 0)))"
    query = first(tmp_path, "(>= Y_1 0.1)", "(<= Y_1 0.1)", box=box)
    assert instance(net, query, tmp_path) == ["unknown"]


def test_instances_of_version_2(net: Path, tmp_path: Path) -> None:
    query = second(tmp_path, "(>= Y[0] 1.5)", element="float32")
    assert instance([("f", str(net))], query, tmp_path)[:2] == ["sat", "X float32 [1,2]"]
    with pytest.raises(UsageError, match="expected FILE or"):
        networks("[('f'")


def test_the_scripts(net: Path, tmp_path: Path) -> None:
    """Zipped files are found under the names without .gz."""
    query, results = first(tmp_path, "(> Y_0 2.25)"), tmp_path / "r.txt"
    for file in (query, net):
        file.with_name(file.name + ".gz").write_bytes(gzip.compress(file.read_bytes()))
        file.unlink()
    names = ["v1", "some", str(net), str(query)]
    subprocess.run([SCRIPTS / "prepare_instance.sh", *names], check=True)
    subprocess.run([SCRIPTS / "run_instance.sh", *names, str(results), "30"], check=True,
                   capture_output=True)
    assert results.read_text() == "unsat\n"
    for script in SCRIPTS.glob("*.sh"):
        assert subprocess.run([script, "v0"], capture_output=True).returncode == 1


def test_a_time_limit_is_kept_whatever_happens() -> None:
    """The answer comes from a process that is busy elsewhere, for longer than a test may take."""
    code = ("import time; from verifex.cli.vnnlib.main import _Deadline; "
            "started = time.monotonic()\n"
            "with _Deadline(1.0, started, lambda: print('timed-out', flush=True)):\n"
            "    time.sleep(3600)")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "timed-out\n")


def test_a_small_query_needs_no_torch(net: Path, tmp_path: Path) -> None:
    query = second(tmp_path, "(> Y[0] 2.5)")
    code = ("import sys; from verifex.cli.vnnlib.main import run; code = run(sys.argv[1:]); "
            "sys.exit(70 if 'torch' in sys.modules else code)")
    words = ["verify", str(query), "--network", f"f={net}"]
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "unsat\n"), done.stderr


# --- real files ---------------------------------------------------------------------------------


def test_published_counterexamples_survive_float32(shared_data: Path) -> None:
    """Every fifth exact witness of the benchmarks has a float32 point beside it that breaks the
    query exactly and in onnxruntime."""
    import csv

    done = 0
    for name in ("acasxu_2023", "rl_benchmarks", "reach_prob_density", "mnist_fc"):
        folder = shared_data / "vnncomp" / name
        with gzip.open(folder / "exact_witnesses.csv.gz", "rt") as file:
            rows: list[dict[str, Any]] = list(csv.DictReader(file))
        for row in rows[::5]:
            query = folder / f"{row['vnnlib']}.gz"
            stated = load_stated(query, folder / f"{row['onnx']}.gz")
            x = [Fraction(v) for v in row["x_exact_decimals"].split()]
            assert replay(stated.problem, tuple(x)).refutes, row["vnnlib"]
            found = survivor(stated.problem, x, Deployed(stated, query).breaks, Budget(20.0))
            assert found is not None, row["vnnlib"]
            done += 1
    assert done >= 35
