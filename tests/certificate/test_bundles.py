"""Folders of certificates, the checker as one file or as a folder by itself, and old certificates.

The certificate is the worked example of format.md.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.checker_nets import CHECKER, ROOT, save_net
from tests.helpers.waiting import hear_interrupts, until
from verifex.certificate import bundle, grant
from verifex.certificate.application import write_application

FORMAT = (ROOT / "verifex" / "certificate" / "format.md").read_text(encoding="utf-8")
Cli = Callable[..., tuple[int, str, str]]
OLD = ("a certificate of format 1", "write it anew with `verifex verify --certificate`")


def block(kind: str) -> str:
    return FORMAT.split(f"```{kind}\n")[1].split("```")[0]


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def write_network(path: Path, shift: float = 0.0) -> Path:
    return save_net(path, [([[2, 1], [1, -1]], [0, -0.5]), ([[1, -1]], [shift])])


def write_proof(path: Path, network: Path, spec: Path, **header: Any) -> Path:
    """The worked example's certificate for these files."""
    lines = [json.loads(line) for line in block("json").splitlines()]
    lines[0] |= {"network": sha256(network), "spec": sha256(spec)} | header
    text = "".join(json.dumps(line) + "\n" for line in lines)
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.name.endswith(".gz"):
        path.write_bytes(gzip.compress(text.encode()))
    else:
        path.write_text(text, encoding="utf-8")
    return path


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder `all` with two networks, two specs and three valid certificates."""
    folder = tmp_path / "all"
    (folder / "nets").mkdir(parents=True)
    network = write_network(folder / "nets" / "net.onnx")
    zipped = folder / "nets" / "other.onnx.gz"
    zipped.write_bytes(gzip.compress(write_network(tmp_path / "o.onnx", 1.0).read_bytes()))
    spec = folder / "spec.toml"
    spec.write_text(block("toml"), encoding="utf-8")
    write_proof(folder / "a.vxc", network, spec)
    write_proof(folder / "b.vxc", zipped, spec)
    write_proof(folder / "deep" / "c.vxc.gz", network, spec)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_all_are_valid(cli: Cli, place: Path) -> None:
    told = "a.vxc: valid\nb.vxc: valid\ndeep/c.vxc.gz: valid\n3 certificates: 3 proved\n"
    for jobs in (1, 2, 8):
        assert cli("check", "all", "--jobs", jobs) == (0, told, "")
    code, out, err = cli("check", "all", "--json", "-j", "2")
    document = json.loads(out)
    assert (code, err, document["exit_code"]) == (0, "", 0)
    assert document["counts"] == {
        "proved": 3, "refuted": 0, "invalid": 0, "incomplete": 0, "not checked": 0,
        "unreadable": 0}
    second = document["certificates"][1]
    assert (second["name"], second["valid"], second["answer"]) == ("b.vxc", True, "valid")
    assert Path(second["network"]) == Path("all/nets/other.onnx.gz")
    assert second["bytes"] == (place / "all" / "b.vxc").stat().st_size


def test_files_may_lie_elsewhere(cli: Cli, place: Path) -> None:
    shutil.move(place / "all" / "nets", place / "nets")
    code, out, err = cli("check", "all")
    digest = sha256(place / "nets" / "net.onnx")
    assert (code, err) == (65, "")
    assert f"a.vxc: missing: no file is the network with SHA-256 {digest}\n" in out
    assert out.endswith("3 certificates: 3 unreadable\n")
    assert cli("check", "all", "--files", "nets")[0] == 0
    shutil.move(place / "all" / "spec.toml", place / "spec.toml")
    code, out, _ = cli("check", "all", "--files", "nets")
    assert code == 65
    assert f"no file is the spec with SHA-256 {sha256(place / 'spec.toml')}\n" in out
    (place / "specs").mkdir()
    shutil.move(place / "spec.toml", place / "specs" / "renamed.toml")
    assert cli("check", "all", "--files", "nets", "--files", "specs")[0] == 0


def test_the_worst_decides(cli: Cli, place: Path) -> None:
    """Incomplete, then an invalid one, then one that cannot be read."""
    whole = (place / "all" / "a.vxc").read_text()
    (place / "all" / "short.vxc").write_text(whole.rsplit("{", 1)[0])
    code, out, _ = cli("check", "all")
    assert (code, "short.vxc: incomplete: the file ends with 1 nodes to come\n" in out) == (2, True)
    (place / "all" / "wrong.vxc").write_text(whole.replace('"splits": [[0, 1, 0]]', '"splits": []'))
    code, out, _ = cli("check", "all")
    assert (code, "wrong.vxc: invalid: line 7: leaf 0 does not close\n" in out) == (1, True)
    (place / "all" / "junk.vxc").write_text("no certificate\n")
    (place / "all" / "empty.vxc").write_text("")
    (place / "all" / "cut.vxc.gz").write_bytes(gzip.compress(whole.encode())[:30])
    code, out, _ = cli("check", "all")
    assert code == 1
    for name in ("junk.vxc", "empty.vxc", "cut.vxc.gz"):
        assert f"{name}: invalid: " in out
    write_proof(place / "all" / "lost.vxc", place / "o.onnx", place / "all" / "spec.toml")
    code, out, _ = cli("check", "all")
    assert code == 65
    assert out.endswith("9 certificates: 3 proved, 4 invalid, 1 incomplete, 1 unreadable\n")


def test_a_network_that_the_checker_cannot_read(cli: Cli, place: Path) -> None:
    broken = place / "all" / "nets" / "broken.onnx"
    broken.write_bytes(b"\x08\x07junk" * 50)
    write_proof(place / "all" / "d.vxc", broken, place / "all" / "spec.toml")
    code, out, _ = cli("check", "all")
    assert code == 65
    assert "d.vxc: invalid: broken.onnx: " in out


def test_data_files_are_those_beside_the_spec(cli: Cli, place: Path) -> None:
    """Copies of one spec beside different data: the one that the certificate means is taken."""
    text = block("toml").replace(
        "[region]\nbox = { lo = [-1, 0], hi = [1, 2] }",
        '[input]\ndata = "rows.csv"\nrow = 0\n[region]\nlinf = 1')
    assert "rows.csv" in text
    for name, row in (("one", "0,1"), ("two", "0,-2")):
        (place / "all" / name).mkdir()
        (place / "all" / name / "spec.toml").write_text(text)
        (place / "all" / name / "rows.csv").write_text(f"a,b\n{row}\n")
    network = place / "all" / "nets" / "net.onnx"
    for name in ("one", "two"):
        folder = place / "all" / name
        write_proof(
            place / "all" / f"{name}.vxc", network, folder / "spec.toml",
            data={"rows.csv": sha256(folder / "rows.csv")})
    code, out, _ = cli("check", "all", "--json")
    told = {one["name"]: one for one in json.loads(out)["certificates"]}
    assert code == 1  # around 0, -2 the claim is false
    assert told["one.vxc"]["answer"] == "valid"
    assert Path(told["two.vxc"]["spec"]).parent.name == "two"
    assert "data" not in told["two.vxc"]["answer"]
    for name in ("one", "two"):
        (place / "all" / name / "rows.csv").unlink()
    code, out, _ = cli("check", "all")
    assert code == 65
    assert "one.vxc: missing: rows.csv, which spec.toml names\n" in out


def test_a_folder_without_certificates(cli: Cli, place: Path) -> None:
    (place / "none").mkdir()
    code, out, err = cli("check", "none")
    assert (code, out) == (65, "")
    assert err == "none: holds no certificate, expected files *.vxc or *.vxc.gz\n"
    assert cli("check", "all", "--files", "nowhere")[0] == 65
    assert cli("check", "all", "--jobs", "0")[0] == 64
    assert cli("check", "all/spec.toml", "all/a.vxc", "--files", "all")[0] == 64
    assert cli("check")[0] == 64


def test_out_of_time_is_not_checked(
    cli: Cli, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (place / "slow.py").write_text("import time\ntime.sleep(3600)\n")
    monkeypatch.setattr(grant, "CHECKER", place / "slow.py")
    code, out, _ = cli("check", "all", "-t", "0.3", "-j", "3")
    assert code == 2
    assert out.count(": not checked: out of time after 0.3 s\n") == 3
    assert out.endswith("3 certificates: 3 not checked\n")
    (place / "slow.py").write_text("import os\nos.abort()\n")
    code, out, _ = cli("check", "all")
    assert (code, out.count("not checked: the checker ended without an answer")) == (2, 3)


def children(pid: int) -> list[int]:
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == pid and fields[0] != "Z":
            found.append(int(folder.name))
    return found


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")
def test_ctrl_c_says_how_many_were_checked(place: Path) -> None:
    """The first answers at once, the others never: one was checked, and nothing is left running."""
    (place / "fake.py").write_text(
        "import sys, time\nif sys.argv[3].endswith('a.vxc'):\n    print('valid'); sys.exit(0)\n"
        "time.sleep(3600)\n")
    (place / "start.py").write_text(
        "from pathlib import Path\nfrom verifex.certificate import grant\n"
        "from verifex.cli.app import app\nfrom verifex.cli.guard import run_process\n"
        f"grant.CHECKER = Path({str(place / 'fake.py')!r})\nrun_process(app)\n")
    process = subprocess.Popen(
        [sys.executable, "start.py", "check", "all", "--jobs", "2"], stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True, preexec_fn=hear_interrupts,
        env={**os.environ, "PYTHONPATH": str(ROOT)})
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "a.vxc: valid\n"
        assert until(lambda: len(children(process.pid)) == 2)
        checkers = children(process.pid)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=120)
    finally:
        process.kill()
    assert (process.returncode, out) == (130, "")
    assert err == "1 of 3 certificates were checked\ninterrupted\n"
    assert until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in checkers))


def test_stopping_ends_what_runs(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Closing the iterator is enough, with any number of certificates still to come."""
    (place / "slow.py").write_text(
        "import sys, time\nif sys.argv[3].endswith('a.vxc'):\n    print('valid'); sys.exit(0)\n"
        "time.sleep(3600)\n")
    monkeypatch.setattr(grant, "CHECKER", place / "slow.py")
    answers: Iterator[bundle.BundleAnswer] = bundle.check_entries(
        bundle.entries(place / "all"), 2, None)
    assert next(answers).code == 0
    answers.close()  # type: ignore[attr-defined]
    assert bundle.exit_code([]) == 0


# --- elsewhere ------------------------------------------------------------------------------


def isolated(checker: Path, folder: Path, *words: str) -> tuple[int, str, str]:
    """The checker run as another machine would: no site packages, another directory."""
    done = subprocess.run(
        [sys.executable, "-I", "-S", str(checker), *words], cwd=folder, capture_output=True,
        text=True, timeout=120, check=False)
    return done.returncode, done.stdout, done.stderr


def test_the_checker_as_one_file_or_a_folder_by_itself_says_the_same(place: Path) -> None:
    """Both lie where there is nothing of verifex, and are run from yet another directory."""
    away, spare = place / "away", place / "spare"
    away.mkdir()
    application = spare / "checker.pyz"
    shutil.copytree(CHECKER, spare / "checks", ignore=shutil.ignore_patterns("__pycache__"))
    write_application(application)
    for name in ("nets/net.onnx", "spec.toml", "a.vxc"):
        shutil.copy(place / "all" / name, away)
    whole = (away / "a.vxc").read_text()
    (away / "short.vxc").write_text(whole.rsplit("{", 1)[0])
    (away / "wrong.vxc").write_text(whole.replace('"splits": [[0, 1, 0]]', '"splits": []'))
    (away / "old.vxc").write_text(whole.replace('"vxc": 2', '"vxc": 1'))
    (away / "other.vxc").write_text(whole.replace(sha256(away / "spec.toml"), "0" * 64))
    asked = [("a.vxc",), ("a.vxc", "--jobs", "2"), ("short.vxc",), ("wrong.vxc",), ("old.vxc",),
             ("other.vxc",), ("none.vxc",)]
    codes = []
    for words in asked:
        shipped = isolated(CHECKER, away, "net.onnx", "spec.toml", *words)
        assert isolated(application, away, "net.onnx", "spec.toml", *words) == shipped
        assert isolated(spare / "checks", away, "net.onnx", "spec.toml", *words) == shipped
        codes.append(shipped[0])
    assert codes == [0, 0, 2, 1, 1, 1, 65]
    assert isolated(application, away)[0] == 64


def test_the_application_holds_the_checkers_files_and_no_more(place: Path) -> None:
    write_application(place / "checker.pyz")
    with zipfile.ZipFile(place / "checker.pyz") as packed:
        names = {name for name in packed.namelist() if not name.endswith("/")}
        for path in CHECKER.rglob("*.py"):
            name = f"checker/{path.relative_to(CHECKER).as_posix()}"
            assert packed.read(name) == path.read_bytes()
            names.remove(name)
    assert names == {"__main__.py"}


def test_the_command_that_writes_the_application(cli: Cli, place: Path) -> None:
    code, out, err = cli("check", "--export", "checker.pyz")
    size = (place / "checker.pyz").stat().st_size
    told = f"checker.pyz: {size} bytes; python -I -S checker.pyz NETWORK SPEC CERTIFICATE\n"
    assert (code, out, err) == (0, told, "")
    code, out, _ = cli("check", "--export", "checker.pyz", "--json")
    assert json.loads(out)["file"] == "checker.pyz"
    code, out, err = cli("check", "--export", "no/checker.pyz")
    assert (code, out) == (65, "")
    assert err.startswith("no/checker.pyz: cannot be written: ")
    assert cli("check", "all", "--export", "checker.pyz")[0] == 64


# --- certificates of format 1 ---------------------------------------------------------------


def test_an_old_certificate_gets_one_clear_line(cli: Cli, place: Path) -> None:
    spec = place / "all" / "spec.toml"
    old = write_proof(place / "old.vxc", place / "all" / "nets" / "net.onnx", spec, vxc=1)
    one = cli("check", "all/nets/net.onnx", spec, old)
    leaf = cli(
        "export", "all/nets/net.onnx", spec, "--smtlib", "q.smt2", "--certificate", old,
        "--leaf", "0")
    alone = isolated(CHECKER, place, "all/nets/net.onnx", str(spec), str(old))
    shutil.move(old, place / "all" / "old.vxc")
    many = cli("check", "all")
    for (code, out, err), expected in ((one, 65), (leaf, 65), (alone, 1), (many, 1)):
        assert code == expected
        (line,) = [line for line in (out + err).splitlines() if "format 1" in line]
        assert all(part in line for part in OLD)
    assert not (place / "q.smt2").exists()
