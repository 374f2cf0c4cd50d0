"""The command line: verdicts and exit codes, JSON on every command, one-line errors, Ctrl-C."""

from __future__ import annotations

import importlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.waiting import hear_interrupts, until
from verifex.cli.app import app
from verifex.cli.guard import Interruption, run
from verifex.engine.watch import StopRequest

ROOT = Path(__file__).resolve().parent.parent
NET = "breast_cancer.onnx"
Cli = Callable[..., tuple[int, str, str]]


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> Cli:
    """Runs a command line in this process: (exit code, stdout, stderr)."""

    def call(*words: object) -> tuple[int, str, str]:
        capsys.readouterr()
        code = run(app, [str(w) for w in words])
        out, err = capsys.readouterr()
        return code, out, err

    return call


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with the example network, its data and three specs."""
    for name in (NET, "breast_cancer_test.csv"):
        shutil.copy(ROOT / "examples" / name, tmp_path / name)
    write_spec(tmp_path / "holds.toml", "0.001")
    write_spec(tmp_path / "fails.toml", "0.9")
    write_spec(tmp_path / "hard.toml", "0.05")
    write_spec(tmp_path / "component.toml", "0.06")  # holds: it takes a tree of ten leaves
    ask_component(tmp_path / "component.toml", "mean_area", 2.137)
    write_spec(tmp_path / "easy.toml", "0.02")  # holds: no tree is needed, but more than intervals
    ask_component(tmp_path / "easy.toml", "worst_texture", 0.53)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write_spec(path: Path, radius: str, extra: str = "") -> None:
    path.write_text(
        f'verifex = 1\nnetwork = "{NET}"\n[input]\ndata = "breast_cancer_test.csv"\nrow = 4\n'
        f'target = "target"\n[region]\nlinf = {radius}\nclip = [0, 1]\n[explain]\n'
        f'attribution = "gradient"\nreduce = "abs"\n{extra}[[require]]\ntop_k = 3\n'
    )


def ask_component(path: Path, feature: str, most: float) -> None:
    demand = f'component = "{feature}"\nat_most = {most}'
    path.write_text(path.read_text().replace("top_k = 3", demand))


def command(*words: object) -> list[str]:
    return [sys.executable, "-m", "verifex", *map(str, words)]


# --- verify ---------------------------------------------------------------------------------


def test_a_claim_that_holds(cli: Cli, place: Path) -> None:
    for words in ((NET, "holds.toml"), ("holds.toml",)):
        code, out, err = cli("verify", *words)
        assert code == 0
        assert out.startswith("PROVED  holds")
        assert "rests on" in out
        assert re.search(r"certificate +\d+ bytes, 1 leaf, checker: valid \(\d", out)
        assert "interval bounds" in out
        assert re.search(r"worst margin +at least [0-9.]+ \(proven", out)
        assert err == ""


def test_a_refuted_claim_shows_its_witness(cli: Cli, place: Path) -> None:
    code, out, err = cli("verify", NET, "fails.toml")
    assert code == 1
    assert out.startswith("REFUTED  fails")
    assert re.search(r"Witness: \d+ of 30 inputs differ", out)
    assert re.search(r"worst_\w+ +0\.\d+ +[0-9.]+ +[+-]0\.\d+", out)
    assert re.search(r"attribution \w+ +[0-9.]+ +[0-9.]+ +[+-]", out)
    assert re.search(r"replays +exact: violated, float64: \w+, float32: \w+, onnxruntime:", out)
    assert "checker: valid (refutation)" in out
    assert err == ""


def test_the_witness_in_the_document_is_exact(cli: Cli, place: Path) -> None:
    """Recomputed here with fractions of the CSV's decimals: inside the region, as stated."""
    from fractions import Fraction

    code, out, _ = cli("verify", "fails.toml", "--json")
    document = json.loads(out)
    assert (code, document["outcome"], document["exit_code"]) == (1, "refuted", 1)
    row = (place / "breast_cancer_test.csv").read_text().splitlines()[5].split(",")[:-1]
    for text, cell in zip(document["witness"]["point_exact"], row, strict=True):
        assert abs(Fraction(text) - Fraction(cell)) <= Fraction("0.9")
        assert 0 <= Fraction(text) <= 1
    assert document["features"][0] == "mean_radius"


def test_quiet_prints_one_word(cli: Cli, place: Path) -> None:
    assert cli("verify", "fails.toml", "--quiet") == (1, "refuted\n", "")


def test_solvers_and_limits_are_passed_on(cli: Cli, place: Path) -> None:
    words = ("-s", "z3", "--no-attack", "-t", "0.5", "--memory", "900M", "--threads", "1")
    code, out, _ = cli("verify", "hard.toml", *words, "--json")
    document = json.loads(out)
    assert (code, document["outcome"]) == (2, "unknown")
    assert "z3" in document["reason"]
    assert [s[0] for s in document["steps"]] == ["bounds", "z3"]
    assert "time" in document["reason"]


def test_notes_of_the_verdict_are_shown(cli: Cli, place: Path) -> None:
    write_spec(place / "ball.toml", "1\nl2 = 0.3")
    code, out, _ = cli("verify", "ball.toml", "-s", "highs", "--no-attack", "-t", "5")
    assert "l2 ball is replaced by a polytope" in out
    assert code in (1, 2)


def test_engines(cli: Cli, place: Path) -> None:
    """Each engine runs its own stages and no other's; what solvers claim is proved by search."""
    stages = {}
    for engine in ("auto", "search", "milp", "smt"):
        words = ("--engine", engine, "--no-attack", "--no-check", "--json")
        code, out, _ = cli("verify", "easy.toml", *words)
        document = json.loads(out)
        assert (code, document["outcome"]) == (2, "claimed"), document
        stages[engine] = [s[0] for s in document["steps"]]
    # Whoever is first of the search and HiGHS.
    assert set(stages.pop("auto")) <= {"bounds", "search", "highs"}
    assert stages == {
        "search": ["bounds", "search"],
        "milp": ["bounds", "highs"], "smt": ["bounds", "z3"],
    }
    code, out, _ = cli("verify", "easy.toml", "--engine", "milp", "--no-attack", "--json")
    document = json.loads(out)
    assert (code, document["outcome"]) == (0, "proved")
    assert [s[0] for s in document["steps"]] == [
        "bounds", "highs", "proof: bounds", "proof: search", "certificate", "check"
    ]


def test_a_certificate_is_kept_and_checked(cli: Cli, place: Path) -> None:
    for name in ("proof.vxc", "proof.vxc.gz"):
        code, out, _ = cli("verify", "component.toml", "--certificate", name, "--jobs", "2")
        assert code == 0
        assert f"{name}: " in out
        assert cli("check", "component.toml", name) == (0, "valid\n", "")
    code, out, _ = cli("check", NET, "component.toml", "proof.vxc", "--jobs", "2", "--json")
    assert (code, json.loads(out)["answer"], json.loads(out)["exit_code"]) == (0, "valid", 0)
    code, out, _ = cli("check", "holds.toml", "proof.vxc")
    assert code == 65
    assert re.fullmatch(r"invalid: line 1: header: spec: [^\n]* another file\n", out)
    text = (place / "proof.vxc").read_text()
    (place / "short.vxc").write_text(text.rsplit("{", 1)[0])
    code, out, _ = cli("check", "component.toml", "short.vxc")
    assert code == 2
    assert out.startswith("incomplete: ")
    (place / "bad.vxc").write_text("no certificate\n")
    code, out, _ = cli("check", "component.toml", "bad.vxc")
    assert code == 65
    assert re.fullmatch(r"invalid: [^\n]+\n", out)


def test_without_a_check_nothing_is_proved(cli: Cli, place: Path) -> None:
    code, out, _ = cli("verify", "holds.toml", "--no-check")
    assert code == 2
    assert out.startswith("CLAIMED")
    assert "certificate" not in out.replace("no checked certificate", "")
    code, out, _ = cli("verify", "holds.toml", "--no-check", "--certificate", "proof.vxc")
    assert code == 2
    assert "the certificate was not checked, as was asked" in out
    assert cli("check", "holds.toml", "proof.vxc")[0] == 0


def test_a_refutation_has_a_certificate_too(cli: Cli, place: Path) -> None:
    code, _, _ = cli("verify", "fails.toml", "--certificate", "w.vxc")
    assert code == 1
    assert cli("check", "fails.toml", "w.vxc") == (0, "valid (refutation)\n", "")
    code, out, err = cli(
        "export", "fails.toml", "--smtlib", "q.smt2", "--certificate", "w.vxc", "--leaf", "0"
    )
    assert (code, out) == (65, "")
    assert "w.vxc:witness: a refutation has no leaves" in err


def test_a_log_tells_every_stage_and_is_drawn(cli: Cli, place: Path) -> None:
    code, _, _ = cli("verify", "component.toml", "--engine", "search", "--log", "run.jsonl")
    assert code == 0
    entries = [json.loads(line) for line in (place / "run.jsonl").read_text().splitlines()]
    assert [e["t"] for e in entries] == sorted(e["t"] for e in entries)
    stages = [e["stage"] for e in entries if e["event"] == "stage"]
    # Engines that share the time end in an order that depends on how fast they are.
    assert stages[0] == "bounds"
    assert "search" in stages
    assert stages[-2:] == ["certificate", "check"]
    assert "gates" in {e["engine"] for e in entries if e["event"] == "slice"}
    searched = [e for e in entries if e["event"] == "search"]
    assert searched[0]["open"] == 1
    assert searched[0]["bound"] < 0
    assert (searched[-1]["open"], searched[-1]["bound"]) == (0, 0.0)
    assert (entries[-1]["event"], entries[-1]["outcome"]) == ("verdict", "proved")
    assert [s[0] for s in entries[-1]["steps"]] == stages
    pytest.importorskip("matplotlib")
    assert cli("plot", "run.jsonl", "-o", "run.svg")[0] == 0
    drawn = (place / "run.svg").read_text()
    assert "<svg" in drawn
    cli("bound", "component.toml", "-e", "component:mean_area", "--log", "range.jsonl")
    entries = [json.loads(line) for line in (place / "range.jsonl").read_text().splitlines()]
    gaps = [e["gap"] for e in entries if e["event"] == "search"]
    assert gaps[0] > gaps[-1] == 0
    assert entries[-1]["event"] == "range"
    assert entries[-1]["closed"] is True
    assert cli("plot", "range.jsonl", "-o", "range.png")[0] == 0
    assert (place / "range.png").read_bytes().startswith(b"\x89PNG")


def test_who_had_the_time_is_drawn(cli: Cli, place: Path) -> None:
    """A row an engine, the known ones first, with a bar for every slice of time that it had."""
    matplotlib = pytest.importorskip("matplotlib")
    from verifex.cli.plot import draw, read_log

    parts = [(0.25, "z3", 0.25), (1.0, "gates", 0.75), (1.5, "inputs", 0.5), (3.5, "gates", 2.0)]
    entries: list[dict[str, Any]] = [
        {"event": "slice", "t": t, "engine": engine, "seconds": seconds, "left": None}
        for t, engine, seconds in parts]
    entries += [{"event": event, "t": t, "domains": 3, "open": 1, "bound": -1.0}
                for t, event in ((0.5, "search"), (1.25, "inputs"))]
    entries.sort(key=lambda entry: float(entry["t"]))
    (place / "run.jsonl").write_text("".join(json.dumps(entry) + "\n" for entry in entries))
    code, out, err = cli("plot", "run.jsonl", "-o", "run.png")
    assert (code, err) == (0, "")
    assert out == ("run.png: 2 points of a search, 3.50 s; of this inputs 0.50 s, gates 2.75 s, "
                   "z3 0.25 s\n")
    strip = draw(read_log(place / "run.jsonl"), "run").axes[-1]
    assert [label.get_text() for label in strip.get_yticklabels()] == ["inputs", "gates", "z3"]
    legend = strip.get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == [
        "inputs 0.50 s (14%)", "gates 2.75 s (79%)", "z3 0.25 s (7%)"]
    bars = [[(box.x0, box.x1) for box in (path.get_extents() for path in row.get_paths())]
            for row in strip.collections]
    assert bars == [[(1.0, 1.5)], [(0.25, 1.0), (1.5, 3.5)], [(0.0, 0.25)]]
    colours = {matplotlib.colors.to_hex(row.get_facecolor()[0]) for row in strip.collections}
    assert len(colours) == 3


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "run.jsonl: empty, expected a log"),
        ("{\n", "run.jsonl:line 1: not an entry"),
        ("[1]\n", "run.jsonl:line 1: not an entry"),
        ('{"event": "search", "t": 1}\n', "run.jsonl:line 1: not an entry"),
        ('{"event": "stage", "t": "x"}\n', "run.jsonl:line 1: not an entry"),
        ('{"event": "slice", "t": 1, "engine": "gates"}\n', "run.jsonl:line 1: not an entry"),
        ('{"event": "slice", "t": 1, "engine": 2, "seconds": 1}\n',
         "run.jsonl:line 1: not an entry"),
    ],
)
def test_bad_logs(cli: Cli, place: Path, content: str, says: str) -> None:
    (place / "run.jsonl").write_text(content)
    code, out, err = cli("plot", "run.jsonl", "-o", "run.svg")
    assert (code, out) == (65, "")
    assert err.startswith(says)


def test_without_matplotlib_plot_says_so(
    cli: Cli, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (place / "run.jsonl").write_text('{"event": "stage", "t": 1, "stage": "bounds"}\n')
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    code, out, err = cli("plot", "run.jsonl", "-o", "run.svg")
    assert (code, out) == (69, "")
    assert re.fullmatch(r"drawing needs matplotlib, [^\n]*\[plot\]'\n", err)


def test_a_device_that_is_not_here(
    cli: Cli, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    code, out, err = cli("verify", "holds.toml", "--device", "cuda")
    assert (code, out, err) == (69, "", "device cuda: torch finds no CUDA device here\n")
    assert cli("verify", "holds.toml", "--device", "auto", "--quiet") == (0, "proved\n", "")


# --- witnesses ------------------------------------------------------------------------------


def test_a_saved_witness_replays(cli: Cli, place: Path) -> None:
    cli("verify", "fails.toml", "--save-witness", "w.json")
    code, out, _ = cli("replay", NET, "fails.toml", "w.json")
    assert code == 1
    assert "inside the region, assumption holds, requirement violated, off every kink" in out
    document = json.loads(cli("replay", "fails.toml", "w.json", "--json")[1])
    assert document["refutes"] is True
    assert document["replays"]["float64"] == "violated"
    assert document["notes"] == []
    # The same point does not refute another claim, and the changed spec is told.
    code, out, _ = cli("replay", "holds.toml", "w.json")
    assert code == 2
    assert out.startswith("NOT REFUTED")
    assert "OUTSIDE the region" in out
    assert "the spec has changed" in out


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("{", "not JSON"),
        ("[1]", "verifex_witness"),
        ('{"verifex_witness": 2, "point": []}', "verifex_witness"),
        ('{"verifex_witness": 1}', "point: missing"),
        ('{"verifex_witness": 1, "point": ["1"]}', "1 numbers, expected 30"),
        ('{"verifex_witness": 1, "point": ["x"]}', r"point\[0\]"),
        ('{"verifex_witness": 1, "point": ["1/0"]}', r"point\[0\]"),
        ('{"verifex_witness": 1, "point": [0.5]}', r"point\[0\]"),
    ],
)
def test_bad_witness_files(cli: Cli, place: Path, content: str, says: str) -> None:
    (place / "w.json").write_text(content)
    code, out, err = cli("replay", "fails.toml", "w.json")
    assert (code, out) == (65, "")
    assert re.fullmatch(rf"w\.json:.*{says}.*\n", err)


# --- other commands -------------------------------------------------------------------------


def test_bound(cli: Cli, place: Path) -> None:
    words = ("bound", NET, "holds.toml", "-e", "component:worst_texture", "-e", "logit:0")
    code, out, err = cli(*words)
    assert (code, err) == (0, "")
    for head in ("proven", "checker", "claimed", "attained", "gap", "component worst_texture",
                 "logit:0", "minimum at", "mean_radius = "):
        assert head in out
    ranges = json.loads(cli(*words, "--json")[1])["ranges"]
    assert [r["asked"] for r in ranges] == ["component:worst_texture", "logit:0"]
    for r in ranges:
        assert r["low"]["attained"] <= r["high"]["attained"]
        assert r["low"]["proven"] <= r["low"]["attained"]
    quiet = cli(*words, "--quiet")[1].splitlines()
    assert re.fullmatch(r"logit:0 \S+ \S+ closed", quiet[1])
    code, out, _ = cli(*words, "--quiet", "--no-check")
    assert (code, out.splitlines()[0].split()[-1]) == (2, "claimed")


def test_show(cli: Cli, place: Path) -> None:
    code, out, _ = cli("show", NET, "--dot", "g.dot", "--graphml", "g.graphml")
    assert code == 0
    assert re.search(r"Affine dense \+ bias +0 +1x16 +496", out)
    assert "parameters 802" in out
    assert (place / "g.dot").read_text().startswith("digraph")
    assert "<graphml" in (place / "g.graphml").read_text()
    document = json.loads(cli("show", NET, "--spec", "hard.toml", "--json")[1])
    assert "attribution" in document["outputs"]
    gates = document["statistics"]["open_gates"]
    wide = json.loads(cli("show", NET, "--spec", "fails.toml", "--json")[1])
    assert 0 < gates < wide["statistics"]["open_gates"]


def test_solvers(cli: Cli) -> None:
    code, out, _ = cli("solvers")
    assert code == 0
    document = json.loads(cli("solvers", "--json")[1])
    names = [s["name"] for s in document["solvers"]]
    assert {"highs", "z3", "cvc5", "scip", "gurobi", "pulp", "smtlib", "regions"} <= set(names)
    for s in document["solvers"]:
        assert s["name"] in out
        assert s["ok"] or s["reason"]
    highs = next(s for s in document["solvers"] if s["name"] == "highs")
    assert highs["capabilities"]["exact"] is False


def test_doctor(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    code, out, _ = cli("doctor", "--json")
    document = json.loads(out)
    assert (code, document["ok"]) == (0, True), out
    found = {c["what"]: c for c in document["checks"]}
    assert found["a small problem"]["found"] == "radius 1/10: claimed, radius 1: refuted"
    assert "max x = 3.5" in found["solver highs"]["found"]


def test_doctor_reports_a_missing_solver(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    from verifex.cli import environment
    from verifex.ir.model.solving import Availability

    gone = (None, Availability(False, reason="not installed"))
    monkeypatch.setattr(environment, "surveyed", lambda: {"cvc5": gone, "highs": gone})
    code, out, _ = cli("doctor")
    assert code == 69
    assert re.search(r"FAILS +solver highs +not installed", out)
    assert re.search(r"no +solver cvc5 +not installed", out)


def test_export(cli: Cli, place: Path) -> None:
    words = [w for k in ("smtlib", "mps", "lp", "onnx") for w in (f"--{k}", f"out.{k}")]
    code, out, _ = cli("export", NET, "hard.toml", *words)
    assert code == 0
    assert "run with onnxruntime at" in out
    assert "unsat: the claim holds" in (place / "out.smtlib").read_text()
    document = json.loads(cli("export", "hard.toml", "--onnx", "again.onnx", "--json")[1])
    assert document["files"][0]["check"]["points"] > 0
    assert (place / "again.onnx").read_bytes() == (place / "out.onnx").read_bytes()


@pytest.mark.slow
def test_leaves_of_a_certificate_are_questions_for_others(cli: Cli, place: Path) -> None:
    z3 = pytest.importorskip("z3")
    cli("verify", "component.toml", "--certificate", "p.vxc")
    leaf = ("export", "component.toml", "--certificate", "p.vxc", "--smtlib", "leaf.smt2", "--leaf")
    code, _, err = cli(*leaf, "100000")
    assert code == 65
    told = re.match(r"p\.vxc: there is no leaf 100000, expected a number from 0 to (\d+)\n", err)
    assert told is not None
    for number in sorted({0, int(told[1]) // 2, int(told[1])}):
        code, out, _ = cli(*leaf, number)
        assert code == 0
        assert f"leaf {number} of p.vxc; sat: the leaf is not closed; unsat: it is" in out
        assert "(set-logic QF_LRA)" in (place / "leaf.smt2").read_text()
        solver = z3.Solver()
        solver.from_file("leaf.smt2")
        assert solver.check() == z3.unsat
    for words in (leaf[:-1], (*leaf[:2], "--leaf", "0", *leaf[4:-1])):
        assert cli(*words)[0] == 64


def test_exported_questions_have_the_answer_of_verify(cli: Cli, place: Path) -> None:
    """z3 reads the SMT-LIB file and HiGHS the MPS file; the component reaches 0.5248."""
    highspy = pytest.importorskip("highspy")
    z3 = pytest.importorskip("z3")
    for most, violated in ((0.52, True), (0.53, False)):
        write_spec(place / "q.toml", "0.02")
        ask_component(place / "q.toml", "worst_texture", most)
        cli("export", "q.toml", "--smtlib", "q.smt2", "--mps", "q.mps")
        solver = z3.Solver()
        solver.set("timeout", 120_000)
        solver.from_file("q.smt2")
        assert solver.check() == (z3.sat if violated else z3.unsat)
        highs = highspy.Highs()
        highs.setOptionValue("output_flag", False)
        highs.readModel("q.mps")
        highs.run()
        empty = highs.getModelStatus() == highspy.HighsModelStatus.kInfeasible
        best = -1.0 if empty else highs.getInfo().objective_function_value
        assert (best > 0) is violated


def test_the_exported_network_is_the_network_with_its_attribution(cli: Cli, place: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    import numpy as np

    cli("export", "hard.toml", "--onnx", "a.onnx")
    session = onnxruntime.InferenceSession("a.onnx", providers=["CPUExecutionProvider"])
    assert [o.name for o in session.get_outputs()] == ["logits", "attribution"]
    x = np.full((1, 30), 0.3, dtype=np.float32)

    def logit(i: int, step: float) -> float:
        moved = x.copy()
        moved[0, i] += step
        return float(session.run(["logits"], {"input": moved})[0][0, 1])

    slope = session.run(["attribution"], {"input": x})[0].reshape(-1)
    for i in (0, 7, 21):
        assert abs((logit(i, 1e-2) - logit(i, -1e-2)) / 2e-2) == pytest.approx(slope[i], abs=2e-2)


def test_an_exported_network_that_differs_is_refused(
    cli: Cli, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from verifex.frontend.onnx import export

    honest = export.to_onnx

    def swapped(graph: Any, outputs: Any, **options: Any) -> bytes:
        """Both names on the node of the attribution's neighbour: a wrong value."""
        names = dict(outputs)
        names["attribution"] = graph.nodes[names["attribution"]].args[0]
        return honest(graph, names, **options)

    monkeypatch.setattr(export, "to_onnx", swapped)
    code, _, err = cli("export", "hard.toml", "--onnx", "a.onnx")
    assert code == 70
    assert "differs from exact evaluation" in err
    assert not (place / "a.onnx").exists()


def test_version_and_help(cli: Cli) -> None:
    from importlib.metadata import version

    assert cli("--version") == (0, f"verifex {version('verifex-nn')}\n", "")
    for name in ("", "verify", "bound", "check", "plot", "show", "export", "replay", "doctor"):
        code, out, err = cli(*name.split(), "--help")
        assert (code, err) == (0, "")
        assert "Usage: verifex" in out


# --- errors ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        ((), 64, "no command is given"),
        (("verfy",), 64, "No such command 'verfy'.*verify"),
        (("verify",), 64, "Missing argument"),
        (("verify", "--frob", "holds.toml"), 64, "No such option.*--frob"),
        (("verify", NET), 64, "is a network, expected a network"),
        (("verify", "a", "b", "c"), 64, "3 files, expected"),
        (("verify", "holds.toml", "-t", "0"), 64, "--timeout 0"),
        (("verify", "holds.toml", "-t", "nan"), 64, "--timeout nan"),
        (("verify", "holds.toml", "-t", "soon"), 64, "--timeout"),
        (("verify", "holds.toml", "--memory", "lots"), 64, "--memory lots"),
        (("verify", "holds.toml", "--threads", "0"), 64, "--threads 0"),
        (("verify", "holds.toml", "--seed", "-1"), 64, "--seed -1"),
        (("verify", "holds.toml", "--engine", "magic"), 64, "--engine magic, expected auto,"),
        (("verify", "holds.toml", "--device", "tpu"), 64, "--device tpu, expected cpu, cuda, auto"),
        (("verify", "holds.toml", "--engine", "search", "-s", "z3"), 64, "asks no solver"),
        (("verify", "holds.toml", "--engine", "milp", "-s", "z3"), 64, "z3 is no MILP solver"),
        (("verify", "holds.toml", "--engine", "smt", "-s", "highs"), 64, "highs is no SMT solver"),
        (("verify", "holds.toml", "--jobs", "0"), 64, "jobs = 0, expected 1 to 64"),
        (("check", "holds.toml"), 64, "1 file, expected .* and a certificate"),
        (("check", "holds.toml", "none.vxc"), 65, "none.vxc: cannot be read"),
        (("check", "holds.toml", "none.vxc", "--jobs", "0"), 64, "--jobs 0"),
        (("check", "holds.toml", "none.vxc", "-t", "0"), 64, "--timeout 0"),
        (("plot", "none.jsonl", "-o", "x.svg"), 65, "none.jsonl: cannot be read"),
        (("plot", "none.jsonl", "-o", "x.txt"), 64, "expected a name that ends in .svg"),
        (("verify", "holds.toml", "--log", "no/l.jsonl"), 65, "l.jsonl: cannot be written"),
        (("verify", "holds.toml", "--certificate", "no/p.vxc"), 65, "p.vxc: cannot be written"),
        (("verify", "holds.toml", "-s", "highs,"), 64, "empty name"),
        (("bound", "holds.toml"), 64, "Missing option.*expression"),
        (("export", "holds.toml"), 64, "nothing to write"),
        (("replay", "holds.toml"), 64, "1 file, expected"),
        (("verify", "none.onnx", "holds.toml"), 65, "none.onnx: cannot be read"),
        (("verify", NET, "none.toml"), 65, "none.toml:file: cannot be read"),
        (("verify", "holds.toml", "holds.toml"), 65, "holds.toml"),
        (("verify", NET, NET), 64, f"{NET} after {NET} is a network"),
        (("show", "holds.toml"), 65, "holds.toml"),
        (("replay", "holds.toml", "none.json"), 65, "none.json: cannot be read"),
        (("bound", "holds.toml", "-e", "component:nose"), 65, "unknown feature 'nose'"),
        (("bound", "holds.toml", "-e", "frob"), 65, "unknown expression"),
        (("show", NET, "--dot", "no/such/folder.dot"), 65, "folder.dot: cannot be written"),
        (("verify", "fails.toml", "--save-witness", "no/w.json"), 65, "w.json: cannot be written"),
        (("verify", "holds.toml", "-s", "nope"), 69, "no solver is called 'nope', there are"),
        (("verify", "holds.toml", "-s", "pulp:NOPE"), 69, "pulp:NOPE"),
    ],
)
def test_errors_are_one_line(
    cli: Cli, place: Path, words: tuple[str, ...], code: int, says: str
) -> None:
    got, out, err = cli(*words)
    assert got == code, err
    assert out == ""
    assert re.fullmatch(rf"[^\n]*{says}[^\n]*\n", err), err


def test_errors_name_file_and_key(cli: Cli, place: Path) -> None:
    write_spec(place / "bad.toml", "0.1", extra="colour = 3\n")
    code, _, err = cli("verify", "bad.toml")
    assert code == 65
    assert re.match(r"bad\.toml:explain\.colour: unknown key 'colour', expected ", err)


def test_errors_in_json_are_a_document_too(cli: Cli, place: Path) -> None:
    code, out, err = cli("verify", "none.toml", "--json")
    document = json.loads(out)
    assert (document["kind"], document["error"]) == ("error", err.strip())
    assert code == document["exit_code"] == 65


def test_internal_errors_are_one_line(
    cli: Cli, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from verifex.cli import decide

    def broken(*_: Any, **__: Any) -> int:
        raise KeyError("some\nthing")

    monkeypatch.setattr(decide, "verify", broken)
    code, out, err = cli("verify", "holds.toml")
    assert (code, out) == (70, "")
    assert re.fullmatch(r"internal error: KeyError: .*\(VERIFEX_DEBUG=1 shows where\)\n", err)
    monkeypatch.setenv("VERIFEX_DEBUG", "1")
    assert "Traceback" in cli("verify", "holds.toml")[2]


# --- processes ------------------------------------------------------------------------------


def test_the_process_returns_the_exit_code_and_clean_streams(place: Path) -> None:
    for spec, codes in (("holds.toml", (0, 2)), ("fails.toml", (1,)), ("none.toml", (65,))):
        done = subprocess.run(
            command("verify", NET, spec, "--json"), capture_output=True, text=True, check=False
        )
        assert done.returncode in codes
        json.loads(done.stdout)
        assert len(done.stderr.splitlines()) == (1 if codes == (65,) else 0)
    done = subprocess.run(command("frob"), capture_output=True, text=True, check=False)
    assert done.returncode == 64


def test_bad_input_is_refused(place: Path) -> None:
    (place / "junk.onnx").write_bytes(b"\x08\x07junk" * 50)
    done = subprocess.run(
        command("verify", "junk.onnx", "holds.toml"), capture_output=True, text=True, check=False
    )
    assert done.returncode == 65
    assert done.stderr.count("\n") == 1


def test_a_reader_that_goes_away_is_no_accident(place: Path) -> None:
    process = subprocess.Popen(
        command("verify", "fails.toml"), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    process.stdout.close()
    _, err = process.communicate()
    assert process.returncode in (1, 141)
    assert err == b""


def workers_of(pid: int) -> list[int]:
    """Solver processes whose parent is `pid`."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
            line = (folder / "cmdline").read_bytes()
        except OSError:
            continue
        if int(fields[1]) == pid and b"worker" in line:
            found.append(int(folder.name))
    return found


def alive(pid: int) -> bool:
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return text.rpartition(")")[2].split()[0] != "Z"


def test_ctrl_c_ends_everything_at_once(place: Path) -> None:
    """While z3 works on a question that takes it minutes."""
    log = place / "run.jsonl"
    process = subprocess.Popen(
        command("verify", "hard.toml", "-s", "z3", "--no-attack", "-t", "3600", "--log", log),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=hear_interrupts,
    )
    # The first worker, before the question is read, only says what it can do.
    assert until(lambda: log.exists() and '"bounds"' in log.read_text())
    assert until(lambda: workers_of(process.pid) != [])
    workers = workers_of(process.pid)
    process.send_signal(signal.SIGINT)
    try:
        out, err = process.communicate()  # otherwise it would end with a verdict
    finally:
        process.kill()
    assert (process.returncode, err) == (130, "interrupted\n")
    assert re.search(r"reason +interrupted after [0-9.]+ s\n", out)
    assert "worst margin   at least -" in out  # what bounds have proven
    assert until(lambda: not any(alive(pid) for pid in workers))


def interrupt_at(monkeypatch: pytest.MonkeyPatch, module: str, name: str) -> None:
    """Press Ctrl-C when a function of a module is called, which then does its work."""
    here = importlib.import_module(module)
    work = getattr(here, name)

    def interrupted(*given: Any, **named: Any) -> Any:
        os.kill(os.getpid(), signal.SIGINT)
        return work(*given, **named)

    monkeypatch.setattr(here, name, interrupted)


def test_ctrl_c_tells_what_is_known_as_a_whole_document(
    cli: Cli, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before a search is begun; the document says what bounds have proven."""
    interrupt_at(monkeypatch, "verifex.engine.decide", "_by_bounds")
    code, out, err = cli("verify", "hard.toml", "--json")
    document = json.loads(out)
    assert (code, document["exit_code"], err) == (130, 130, "interrupted\n")
    assert document["outcome"] == "unknown"
    assert [reason["kind"] for reason in document["reasons"]] == ["interrupted"]
    assert document["worst_margin"]["proven_at_least"] < 0
    assert [step[0] for step in document["steps"]] == ["bounds", "attack"]
    assert cli("verify", "hard.toml", "--quiet") == (130, "unknown\n", "interrupted\n")


def test_ctrl_c_while_a_range_is_searched_tells_its_bounds(
    cli: Cli, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupt_at(monkeypatch, "verifex.engine.range_search", "node_bounds")
    words = ("bound", "hard.toml", "-e", "component:mean_area", "-e", "logit:0", "--json")
    code, out, err = cli(*words)
    document = json.loads(out)
    assert (code, document["exit_code"], err) == (130, 130, "interrupted\n")
    for found in document["ranges"]:
        assert found["reason"].startswith("interrupted after ")
        assert found["low"]["proven"] < found["high"]["proven"]


def test_ctrl_c_while_a_radius_is_searched_tells_both_ends(
    cli: Cli, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A whole document, that says which radii were asked about until then."""
    interrupt_at(monkeypatch, "verifex.engine.radius.radius_search", "nearer")
    code, out, err = cli("radius", "holds.toml", "--json")
    document = json.loads(out)
    assert (code, document["exit_code"], err) == (130, 130, "interrupted\n")
    (found,) = document["radii"]
    assert (found["interrupted"], found["closed"]) == (True, False)
    assert found["reason"].startswith("interrupted after ")
    assert found["refuted"] > (found["proved"] or found["claimed"] or 0)
    assert [trial["outcome"] for trial in found["trials"]].count("refuted") == 1
    words = ("radius", "holds.toml", "-f", "worst_area", "-f", "1", "--quiet")
    interrupt_at(monkeypatch, "verifex.engine.radius.radius_search", "decide")
    code, out, err = cli(*words)
    assert (code, err) == (130, "interrupted\n")
    assert out.count("interrupted") == len(out.splitlines()) == 1


def test_ctrl_c_during_an_explanation_is_one_document(
    cli: Cli, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupt_at(monkeypatch, "verifex.problem.first.explained", "stated_features")
    code, out, err = cli("explain", "holds.toml", "--json")
    document = json.loads(out)
    assert (code, document["error"], document["exit_code"], err) == (
        130, "interrupted", 130, "interrupted\n")


def test_ctrl_c_before_anything_is_known_is_one_line(
    cli: Cli, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("verifex.api.read", read)
    code, out, err = cli("verify", "hard.toml", "--json")
    assert (code, err) == (130, "interrupted\n")
    document = json.loads(out)
    assert (document["kind"], document["error"], document["exit_code"]) == (
        "error", "interrupted", 130)


def test_a_decided_claim_stands_when_its_check_is_interrupted(
    cli: Cli, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupt_at(monkeypatch, "verifex.certificate.grant", "run_checker")
    code, out, _ = cli("verify", "component.toml", "--json")
    document = json.loads(out)
    assert (code, document["outcome"]) == (130, "claimed")
    assert "not checked: interrupted" in document["notes"][-1]


def test_one_ctrl_c_is_heard_once_whoever_hears_it_first() -> None:
    """The thread that watches for it may ask the work to end before the handler is called."""
    stop = StopRequest()
    handler = Interruption(stop, lambda: None)
    stop.set()
    handler(signal.SIGINT, None)
    assert stop.is_set()
    with pytest.raises(KeyboardInterrupt):
        handler(signal.SIGINT, None)


def interrupted_during_a_long_call(*before: str) -> tuple[int, str, str]:
    """The code, output and errors of a command line of its own that does what `before` says, prints
    `ready`, and gets Ctrl-C in a call of minutes, between whose steps Python hears nothing."""
    code = "".join(f"{line}\n" for line in (
        "import contextlib, hashlib, typer",
        "from verifex.cli.guard import interruptible, run_process",
        "app = typer.Typer()",
        "@app.command()",
        "def work() -> None:",
        "    with contextlib.ExitStack() as stack:",
        *(f"        {line}" for line in before),
        "        print('ready', flush=True)",
        "        hashlib.pbkdf2_hmac('sha256', b'', b'', 2**31 - 1)",
        "run_process(app)",
    ))
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        preexec_fn=hear_interrupts,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    try:
        out, err = process.communicate()
    finally:
        process.kill()
    return process.returncode, out, err


def test_ctrl_c_during_a_long_call_prints_what_is_known() -> None:
    """Where the work does not hear of it, somebody else says what is known so far."""
    found = interrupted_during_a_long_call(
        "ended = stack.enter_context(interruptible(print))",
        "ended.stop.so_far = lambda: 'half of it'")
    assert found == (130, "half of it\n", "interrupted\n")


def test_ctrl_c_is_heard_during_a_long_call_of_a_library() -> None:
    assert interrupted_during_a_long_call() == (130, "", "interrupted\n")


def test_progress_is_shown_on_a_terminal_only(place: Path) -> None:
    """On a pseudo terminal stderr tells the stage; stdout stays one document."""
    pty = pytest.importorskip("pty")
    master, slave = pty.openpty()
    words = command("verify", "hard.toml", "-s", "highs", "-t", "20", "--json")
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=slave)
    os.close(slave)
    shown = b""
    while True:
        try:
            part = os.read(master, 4096)
        except OSError:
            break
        if not part:
            break
        shown += part
    out, _ = process.communicate()
    os.close(master)
    json.loads(out)
    assert b"hard" in shown
    assert b"bounds: open" in shown
