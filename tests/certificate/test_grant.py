"""From a question to `proved`: only a certificate that the checker accepts gets there."""

from __future__ import annotations

import gzip
import json
import re
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import verifex
from tests.helpers.spec_nets import pair
from tests.helpers.waiting import Ticks, until
from verifex import Outcome
from verifex.api import read
from verifex.certificate import grant
from verifex.certificate.grant import certify, decide_and_check, run_checker
from verifex.certificate.leaf import Leaf, leaves, restrict
from verifex.engine.bounds.bounder import Effort
from verifex.engine.budget import Budget
from verifex.engine.decide import decide
from verifex.engine.findings.reasons import Evidence, EvidenceKind, Reason, ReasonKind
from verifex.engine.search.claims import decide_search
from verifex.engine.search.gates.search import SearchOptions
from verifex.engine.verdict import Verdict
from verifex.errors import InputError
from verifex.problem.spec.build import read_problem
from verifex.settings import Settings

ROOT = Path(__file__).resolve().parent.parent.parent
EXAMPLES, LIBRARY = ROOT / "examples", ROOT / "specs" / "library"
READY = sorted(f.name for f in LIBRARY.glob("*.toml"))


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The network of the format's example (section 8), and its claim, as files."""
    w = np.array([[2, 1], [1, -1]], dtype=np.float32)
    b, v = np.array([0, -0.5], dtype=np.float32), np.array([[1, -1]], dtype=np.float32)
    net = helper.make_graph(
        [
            helper.make_node("Gemm", ["x", "w", "b"], ["z"], transB=1),
            helper.make_node("Relu", ["z"], ["y"]),
            helper.make_node("Gemm", ["y", "v"], ["f"], transB=1),
        ],
        "example",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 2])],
        [helper.make_tensor_value_info("f", TensorProto.FLOAT, [1, 1])],
        [numpy_helper.from_array(a, n) for a, n in ((w, "w"), (b, "b"), (v, "v"))],
    )
    model = helper.make_model(net, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.save(model, tmp_path / "net.onnx")
    write_spec(tmp_path / "spec.toml")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write_spec(path: Path, demand: str = "at_least = -0.5") -> None:
    path.write_text(
        'verifex = 1\nnetwork = "net.onnx"\n[region]\nbox = { lo = [-1, 0], hi = [1, 2] }\n'
        f'[explain]\noutput = "logit:0"\n[[require]]\ncomponent = 0\n{demand}\n'
    )


def proof(path: Path) -> list[dict[str, Any]]:
    """The certificate printed in format.md, for the files here."""
    text = (ROOT / "verifex" / "certificate" / "format.md").read_text()
    lines = [json.loads(x) for x in text.split("```json\n")[1].split("```")[0].splitlines()]
    files = read(None, "spec.toml").files
    assert files is not None
    lines[0] |= files.hashes()
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return lines


def checked(certificate: str) -> tuple[int | None, str]:
    found = run_checker(Path("net.onnx"), Path("spec.toml"), Path(certificate), 60.0)
    return found.code, found.text


def claimed() -> tuple[Any, Any, Verdict]:
    """The example's problem, files and claim."""
    asked = read(None, "spec.toml")
    problem, files = asked.problem, asked.files
    verdict = decide(problem, Settings(seconds=30))
    assert verdict.outcome is Outcome.CLAIMED
    return problem, files, verdict


# --- proved ---------------------------------------------------------------------------------


def test_the_example_of_the_format_is_proved_and_refuted(place: Path) -> None:
    proof(place / "p.vxc")
    assert checked("p.vxc") == (0, "valid")
    found = verifex.verify(None, "spec.toml", certificate="own.vxc")
    assert found.outcome is Outcome.PROVED
    assert found.exit_code == 0
    assert found.extra["certificate"]["check"] == "valid"
    assert found.extra["certificate"]["bytes"] == (place / "own.vxc").stat().st_size
    assert found.evidence[-1].kind is EvidenceKind.CERTIFICATE_ACCEPTED
    assert checked("own.vxc") == (0, "valid")
    write_spec(place / "spec.toml", "at_least = 0.5")
    found = verifex.verify(None, "spec.toml", certificate="own.vxc.gz")
    assert found.outcome is Outcome.REFUTED
    assert found.evidence[-1].kind is EvidenceKind.WITNESS_ACCEPTED
    header = json.loads(gzip.decompress((place / "own.vxc.gz").read_bytes()))
    assert [v for v in header["witness"] if "/" not in v]  # short decimals, for people
    assert checked("own.vxc.gz") == (0, "valid (refutation)")


@pytest.mark.parametrize(
    ("spec", "outcome"),
    [("top3_stable.toml", Outcome.PROVED), ("top3_moves.toml", Outcome.REFUTED)],
)
def test_examples(spec: str, outcome: Outcome) -> None:
    found = verifex.verify(None, EXAMPLES / spec, seconds=60)
    assert found.outcome is outcome, found.notes
    assert found.extra["certificate"]["check"].startswith("valid")


@pytest.mark.parametrize("name", READY)
def test_ready_specs(name: str, tmp_path: Path) -> None:
    """Whatever is decided by search is proved or refuted with a certificate that is accepted."""
    for file in (*LIBRARY.glob("breast_cancer*"), LIBRARY / name):
        shutil.copy(file, tmp_path / file.name)
    spec = tmp_path / name
    found = verifex.verify(None, spec, engine="search", seconds=10)
    if found.outcome is Outcome.UNKNOWN:
        pytest.skip(f"not decided in 10 s: {found.reason}")
    assert found.outcome in (Outcome.PROVED, Outcome.REFUTED), found.notes
    assert found.extra["certificate"]["check"].startswith("valid"), found.notes


# --- not proved -----------------------------------------------------------------------------


def test_a_tampered_certificate_is_refused(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = proof(place / "p.vxc")
    for number, change, code in (
        (0, {"network": "0" * 64}, 1),
        (0, {"vxc": 1}, 1),
        (5, {"splits": []}, 1),
        (5, {"splits": [[0, -1, 0]]}, 1),
        (6, {"leaf": 0}, 2),
    ):
        bad = [dict(line) for line in lines]
        bad[number] |= change
        (place / "bad.vxc").write_text("".join(json.dumps(line) + "\n" for line in bad))
        assert checked("bad.vxc")[0] == code, change
    # What is written wrongly is not granted either.
    problem, files, verdict = claimed()
    honest = grant.write

    def dropping(path: Path, written: Any) -> int:
        kept = [line for line in written if "bound" not in line and "fact" not in line]
        return honest(path, iter(kept))

    monkeypatch.setattr(grant, "write", dropping)
    found = certify(problem, verdict, files, 30.0)
    assert found.outcome is Outcome.CLAIMED
    assert "the checker refused the proof (invalid: " in found.notes[-1]


def test_a_certificate_of_other_files(place: Path) -> None:
    proof(place / "p.vxc")
    write_spec(place / "spec.toml", "at_least = -0.51")
    code, text = checked("p.vxc")
    assert code == 1
    assert text.startswith("invalid: line 1: header: spec")
    write_spec(place / "spec.toml")
    data = (place / "net.onnx").read_bytes()
    (place / "net.onnx").write_bytes(data.replace(b"example", b"another"))
    code, text = checked("p.vxc")
    assert code == 1
    assert text.startswith("invalid: line 1: header: network")


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("import time; time.sleep(3600)", r"not checked: out of time after [0-9.]+ s"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "without an answer"),
        ("raise MemoryError", r"without an answer \(MemoryError\)"),
        ("print('invalid: no')", "without an answer"),
        ("import sys; print('valid'); sys.exit(1)", "without an answer"),
        ("import sys; print('valid'); sys.exit(2)", "without an answer"),
        ("import sys; print('incomplete: 2 leaves'); sys.exit(2)", "incomplete: 2 leaves"),
    ],
)
def test_a_checker_that_does_not_say_valid_leaves_a_claim(
    place: Path, monkeypatch: pytest.MonkeyPatch, source: str, says: str
) -> None:
    problem, files, verdict = claimed()
    (place / "checker.py").write_text(source + "\n")
    monkeypatch.setattr(grant, "CHECKER", place / "checker.py")
    found = certify(problem, verdict, files, 2.0 if "sleep" in source else 3600.0)
    assert found.outcome is Outcome.CLAIMED
    assert found.exit_code == 2
    assert found.notes[-1].startswith("the certificate was not accepted: ")
    assert re.search(says, found.notes[-1])


def test_a_refused_witness_withdraws_the_refutation(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Engine and checker contradict each other then: nobody is believed. A checker that cannot read
    the files says nothing about the witness."""
    write_spec(place / "spec.toml", "at_least = 0.5")
    for source, outcome in (
        ("print('invalid: line 1: witness: outside the region'); sys.exit(1)", Outcome.UNKNOWN),
        ("print('invalid: net.onnx: unsupported operator'); sys.exit(65)", Outcome.REFUTED),
        ("print('valid (refutation)')", Outcome.REFUTED),
    ):
        (place / "checker.py").write_text(f"import sys\n{source}\n")
        monkeypatch.setattr(grant, "CHECKER", place / "checker.py")
        found = verifex.verify(None, "spec.toml")
        assert found.outcome is outcome
        assert (found.witness is None) == (outcome is Outcome.UNKNOWN)
        if outcome is Outcome.UNKNOWN:
            assert found.exit_code == 2
            assert "outside the region" in found.reason
            assert "a defect, please report it" in found.reason


def test_a_refused_proof_is_a_defect(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (place / "checker.py").write_text(
        "import sys\nprint('invalid: line 3: leaf 0 does not close'); sys.exit(1)\n")
    monkeypatch.setattr(grant, "CHECKER", place / "checker.py")
    found = verifex.verify(None, "spec.toml")
    assert found.outcome is Outcome.CLAIMED
    assert "leaf 0 does not close): a defect, please report it" in found.notes[-1]


def test_a_checker_out_of_time_leaves_no_process(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor do processes that it has started."""
    problem, files, verdict = claimed()
    (place / "checker.py").write_text(
        "import subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(3600)'])\n"
        "open('child', 'w').write(str(child.pid))\ntime.sleep(3600)\n"
    )
    monkeypatch.setattr(grant, "CHECKER", place / "checker.py")
    certify(problem, verdict, files, 10.0)
    status = Path(f"/proc/{(place / 'child').read_text()}/stat")
    assert until(lambda: not running(status))


def running(status: Path) -> bool:
    try:
        return status.read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_problem_alone_stays_claimed(place: Path) -> None:
    """It knows neither a network nor a spec of which files could be written."""
    problem = verifex.build(None, "spec.toml")
    found = verifex.verify(None, problem)
    assert found.outcome is Outcome.CLAIMED
    assert "no certificate: it names files" in found.notes[-1]
    assert found.folder is None
    assert verifex.verify(None, problem, check=False).notes == problem.notes


def test_a_solvers_word_is_a_claim(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A search for the proof follows; where it fails the claim stays one."""
    found = verifex.verify(None, "spec.toml", engine="smt", attack=False)
    assert found.outcome is Outcome.PROVED
    assert found.evidence[0].source == "z3"
    asked = read(None, "spec.toml")
    problem, files = asked.problem, asked.files
    verdict = decide(problem, Settings(search=False, solvers=("z3",), attack=False))
    stuck = replace(verdict, outcome=Outcome.UNKNOWN, proof=None,
                    reasons=(Reason(ReasonKind.SEARCH_OUT_OF_TIME, "search"),))
    answers = [replace(verdict, proof=None), stuck]
    monkeypatch.setattr(grant, "decide", lambda *_: answers.pop(0))
    options = Settings(search=False, solvers=("z3",))
    found = decide_and_check(problem, files, options)
    assert found.outcome is Outcome.CLAIMED
    assert found.notes[-1] == "no certificate: the claim rests on a solver's word"


@pytest.mark.slow
def test_open_leaves_are_counted_and_the_others_checked(tmp_path: Path) -> None:
    """Where a search does not come to its end, a claim says how many leaves rest on a solver."""
    seen = 0
    for seed in range(1000, 1100, 5):
        p = pair(seed, tmp_path, "component", hard=True)
        problem, budget = p.problem(), Budget(10.0, 1 << 30, 1)
        options = SearchOptions(root_effort=Effort(0), effort=Effort(0), width=1, max_domains=3)
        result = decide_search(problem, budget, options)
        if result.unfinished is None:
            continue
        seen += 1
        leaves, left = result.unfinished.proof.leaves, result.unfinished.proof.open
        assert result.closed is None
        assert 0 < left <= leaves
        files = read_problem(p.spec, p.network).files
        claimed = replace(decide(problem, Settings()), outcome=Outcome.CLAIMED, witness=None,
                          proof=result.unfinished)
        word = f"the claim rests on a solver's word for {left} of the {leaves} leaves of the search"
        found = certify(problem, claimed, files, 30.0)
        assert found.outcome is Outcome.CLAIMED
        assert found.notes[-1] == f"no certificate: {word}"
        found = certify(problem, claimed, files, 30.0, Settings(certificate=tmp_path / "part.vxc"))
        assert found.outcome is Outcome.CLAIMED
        assert found.notes[-2] == word
        assert found.extra["certificate"]["check"] == f"incomplete: {left} leaves are open"
    assert seen > 3


def test_the_checker_obeys_a_memory_limit(place: Path) -> None:
    verifex.verify(None, "spec.toml", certificate="proof.vxc")
    names = Path("net.onnx"), Path("spec.toml")
    assert run_checker(*names, Path("proof.vxc"), 30.0).valid
    assert not run_checker(*names, Path("proof.vxc"), 30.0, memory=1 << 22).valid


def test_a_refuting_search_beats_a_claim(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_spec(place / "spec.toml", "at_least = 0.5")
    asked = read(None, "spec.toml")
    problem, files = asked.problem, asked.files
    said = Evidence(EvidenceKind.UNSATISFIABLE, "liar")
    honest, lie = decide, Verdict(Outcome.CLAIMED, evidence=(said,))
    answers = [lie]
    monkeypatch.setattr(grant, "decide", lambda *a: answers.pop() if answers else honest(*a))
    found = decide_and_check(problem, files, Settings(search=False, solvers=("z3",)))
    assert found.outcome is Outcome.REFUTED
    assert "a solver claimed the contrary (liar: unsatisfiable in exact arithmetic)" in found.notes


def test_files_that_cannot_be_written(place: Path) -> None:
    (place / "folder.vxc").mkdir()
    with pytest.raises(InputError, match=r"folder\.vxc: cannot be written"):
        verifex.verify(None, "spec.toml", certificate="folder.vxc")
    with pytest.raises(InputError, match=r"no/p\.vxc: cannot be written"):
        verifex.verify(None, "spec.toml", certificate="no/p.vxc")


def test_an_unfinished_file_is_not_left(place: Path) -> None:
    def broken() -> Any:
        yield {"vxc": 2}
        raise ValueError("a fraction above 1 in a proof")

    with pytest.raises(ValueError, match="fraction"):
        grant.write(place / "p.vxc", broken())
    assert not (place / "p.vxc").exists()


def test_no_file_where_nothing_was_decided(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grant, "decide", lambda *_: Verdict(Outcome.UNKNOWN))
    found = verifex.verify(None, "spec.toml", certificate="p.vxc")
    assert found.notes == ("no certificate is written",)
    assert not (place / "p.vxc").exists()


# --- leaves ---------------------------------------------------------------------------------


def satisfiable(leaf: Leaf) -> bool:
    from verifex.cli.export import question_text

    z3 = pytest.importorskip("z3")
    solver = z3.Solver()
    solver.from_string(question_text("smtlib", restrict(verifex.build(None, "spec.toml"), leaf))[0])
    answer = solver.check()
    assert answer != z3.unknown
    return bool(answer == z3.sat)


def test_leaves_are_closed_for_another_solver_too(place: Path) -> None:
    proof(place / "p.vxc")
    found = list(leaves(place / "p.vxc", read(None, "spec.toml").files))
    assert [(leaf.number, leaf.closed, len(leaf.splits)) for leaf in found] == [
        (0, True, 1), (1, True, 1)
    ]
    assert [satisfiable(leaf) for leaf in found] == [False, False]
    # Where the claim fails (s0 = s1 = 0) its leaf says so: z1 <= 0, the second one.
    write_spec(place / "spec.toml", "at_least = 0.5")
    assert [satisfiable(leaf) for leaf in found] == [False, True]
    # On z1 = 0 the split decides the gate: with s1 = 0 the first leaf would reach 2 too.
    write_spec(place / "spec.toml", "at_most = 1")
    assert [satisfiable(leaf) for leaf in found] == [False, True]


def test_input_splits_and_parts(place: Path) -> None:
    lines = proof(place / "p.vxc")
    tree = [{"input": [1, "1/2"]}, {"input": [0, "0"]}, {"leaf": 1}, {"leaf": 1}, {"leaf": 0}]
    trees = [{"parts": [0]}, *tree, {"parts": [0]}, {"leaf": 1}]
    with gzip.open(place / "q.vxc", "wt") as file:
        file.writelines(json.dumps(line) + "\n" for line in [lines[0], *trees])
    found = list(leaves(place / "q.vxc"))
    assert [leaf.closed for leaf in found] == [True, True, False, True]
    assert [len(leaf.splits) for leaf in found] == [2, 2, 1, 0]
    assert {leaf.parts for leaf in found} == {(0,)}
    problem = verifex.build(None, "spec.toml")
    boxes = [restrict(problem, leaf).region for leaf in found]
    assert [tuple(map(float, (*b.lo, *b.hi))) for b in boxes] == [
        (0, 0.5, 1, 2), (-1, 0.5, 0, 2), (-1, 0, 1, 0.5), (-1, 0, 1, 2)
    ]
    assert [satisfiable(leaf) for leaf in found] == [False] * 4


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "not a certificate"),
        (b"[]\n", "line 1: not a certificate"),
        (b'{"vxc": 3}\n', "line 1: not a certificate"),
        (b'{"vxc": 1}\n{"l": 1}\n', "line 1: a certificate of format 1, expected format 2"),
        (b'{"vxc": "2"}\n', "line 1: not a certificate of this format"),
        (b"\x1f\x8b junk", "cannot be unzipped"),
        (b'{"vxc": 2, "witness": []}\n', "a refutation has no leaves"),
        (b'{"vxc": 2}\nnonsense\n', "line 2: not a certificate"),
    ],
)
def test_files_without_leaves(place: Path, content: bytes, says: str) -> None:
    (place / "p.vxc").write_bytes(content)
    with pytest.raises(InputError, match=says):
        list(leaves(place / "p.vxc"))


@pytest.mark.parametrize("split", [
    {"split": [3, 0]}, {"split": [1, 0]}, {"split": [0, 2]}, {"split": [0, 0, "a"]},
    {"split": [3, 1, "1/2"]}, {"split": []}, {"input": [9, "1"]}, {"input": [-1, "1"]},
    {"input": [0, "a"]}, {"whole": [9, 0]}, {"whole": [0]},
])
def test_splits_that_name_nothing(place: Path, split: dict[str, Any]) -> None:
    head, *groups = proof(place / "p.vxc")[:4]
    lines = [head, *groups, split, {"leaf": 1}, {"leaf": 1}]
    (place / "p.vxc").write_text("".join(json.dumps(line) + "\n" for line in lines))
    problem = verifex.build(None, "spec.toml")
    with pytest.raises(InputError, match=r"no such split|malformed"):
        restrict(problem, next(leaves(place / "p.vxc")))


@pytest.mark.parametrize(("split", "boxes"), [
    ({"whole": [0, 0]}, [(1, 0, 1, 2), (-1, 0, 0, 2)]),
    ({"input": [0, "1/4"]}, [(0.25, 0, 1, 2), (-1, 0, 0.25, 2)]),
])
def test_the_two_sides_of_a_split_of_an_input(
    place: Path, split: dict[str, Any], boxes: list[tuple[float, ...]]
) -> None:
    """A whole number is at least n + 1, or at most n."""
    head = proof(place / "p.vxc")[0]
    lines = [head, split, {"leaf": 1}, {"leaf": 1}]
    (place / "p.vxc").write_text("".join(json.dumps(line) + "\n" for line in lines))
    problem = verifex.build(None, "spec.toml")
    regions = [restrict(problem, leaf).region for leaf in leaves(place / "p.vxc")]
    assert [tuple(map(float, (*r.lo, *r.hi))) for r in regions] == boxes


def test_a_unit_split_at_a_rational_says_nothing_of_its_gate(place: Path) -> None:
    lines = proof(place / "p.vxc")
    split = {"split": [0, 1, "-1/4"]}
    lines = [*lines[:4], split, {"leaf": 0}, {"leaf": 0}]
    (place / "p.vxc").write_text("".join(json.dumps(line) + "\n" for line in lines))
    # z1 >= -1/4 leaves s1 open, so that df/dx0 can be 2; on z1 <= -1/4 it is shut.
    write_spec(place / "spec.toml", "at_most = 1")
    above, below = leaves(place / "p.vxc")
    assert [satisfiable(above), satisfiable(below)] == [True, True]
    write_spec(place / "spec.toml", "at_least = -0.5")
    assert [satisfiable(above), satisfiable(below)] == [False, False]


def test_the_checker_is_isolated(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the environment nor a file beside the network changes what it runs."""
    (place / "json.py").write_text("raise SystemExit('hijacked')\n")
    monkeypatch.setenv("PYTHONPATH", str(place))
    monkeypatch.setenv("PYTHONSTARTUP", str(place / "json.py"))
    proof(place / "p.vxc")
    assert checked("p.vxc") == (0, "valid")


def test_a_punctual_check_takes_what_is_left_and_no_more(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    problem, files, verdict = claimed()
    given: list[float] = []

    def late(*given_: Any) -> grant.CheckerAnswer:
        seconds = given_[3]
        given.append(seconds)
        return grant.CheckerAnswer("not checked: out of time", None, seconds, 1, True)

    monkeypatch.setattr(grant, "decide", lambda *_: replace(verdict, seconds=29.0))
    monkeypatch.setattr(grant, "run_checker", late)
    monkeypatch.setattr(grant, "time", SimpleNamespace(monotonic=Ticks(0.0)))  # a clock at rest
    for least, most in ((10.0, 10.0), (0.0, 1.0)):
        settings = Settings(seconds=30.0, check_seconds=least)
        found = decide_and_check(problem, files, settings)
        assert found.outcome is Outcome.CLAIMED
        assert given[-1] == most
