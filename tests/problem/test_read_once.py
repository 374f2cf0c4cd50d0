"""Files are read once: the bytes that a certificate names by hash are those that were parsed."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.helpers import checker_parts as checker
from verifex import api
from verifex.engine.verdict import Outcome
from verifex.errors import InputError
from verifex.frontend.onnx import read as onnx_read
from verifex.frontend.onnx.export import to_onnx
from verifex.ir.graph import Builder
from verifex.ir.linmap import dense
from verifex.metrics.support.files import DataFolder, read_npy
from verifex.problem.spec import model
from verifex.settings import Settings

SPEC = """verifex = 1
network = "net.onnx"
[input]
data = "rows.csv"
row = 0
[region]
linf = 0.25
[explain]
attribution = "gradient"
output = "logit:0"
[[require]]
mass = {{ file = "mask.npy" }}
at_least = {least}
"""


def network(weight: float) -> bytes:
    """One output, relu(x0 + x1) * weight + x1."""
    b = Builder()
    x = b.input("x", (1, 2))
    h = b.relu(b.affine(dense(np.array([[1.0, 1.0]])), b.affine(_flat(), x)))
    y = b.affine(dense(np.array([[weight], [1.0]])), h)
    return to_onnx(b.build({"y": y}), dtype="float64")


def _flat() -> Any:
    from verifex.ir.linmap import reshape

    return reshape((1, 2), (2,))


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "net.onnx").write_bytes(network(2.0))
    (tmp_path / "rows.csv").write_text("a,b\n1,2\n")
    np.save(tmp_path / "mask.npy", np.array([1, 0]))
    (tmp_path / "spec.toml").write_text(SPEC.format(least="0.25"))
    return tmp_path


CHANGES: dict[str, Callable[[Path], object]] = {
    "net.onnx": lambda path: path.write_bytes(network(3.0)),
    "spec.toml": lambda path: path.write_text(SPEC.format(least="0.375")),
    "rows.csv": lambda path: path.write_text("a,b\n1,3\n"),
    "mask.npy": lambda path: np.save(path, np.array([0, 1])),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_file_that_changes_later_does_not_matter(place: Path, name: str) -> None:
    """The certificate has the hash of what was parsed; the checker sees that the file is another
    one, and takes the certificate once the file is as it was."""
    asked = api.read(None, place / "spec.toml")
    assert asked.files is not None
    was = {p.name: p.read_bytes() for p in place.iterdir()}
    CHANGES[name](place / name)
    kept = Settings(seconds=30.0, certificate=place / "p.vxc", engine="search")
    verdict = api.answer(asked, kept)
    assert verdict.outcome is Outcome.CLAIMED
    header = json.loads((place / "p.vxc").read_text().splitlines()[0])
    said = {"net.onnx": header["network"], "spec.toml": header["spec"], **header["data"]}
    assert said == {key: hashlib.sha256(data).hexdigest() for key, data in was.items()}
    names = [str(place / key) for key in ("net.onnx", "spec.toml", "p.vxc")]
    code, text = checker.check(names)
    assert code == 1
    assert "header" in text
    (place / name).write_bytes(was[name])
    assert checker.check(names) == (0, "valid")


def test_every_file_is_parsed_once(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    counts = {"spec": 0, "network": 0}
    honest = model.parse_spec, onnx_read.Importer

    def spec(text: str) -> model.Spec:
        counts["spec"] += 1
        return honest[0](text)

    def graph(*given: Any) -> Any:
        counts["network"] += 1
        return honest[1](*given)

    monkeypatch.setattr(model, "parse_spec", spec)
    monkeypatch.setattr(onnx_read, "Importer", graph)
    found = api.verify(None, place / "spec.toml", seconds=30.0)
    assert found.outcome is Outcome.PROVED
    assert counts == {"spec": 1, "network": 1}


def test_a_data_file_is_one_file_however_often_it_is_asked_for(place: Path) -> None:
    folder = DataFolder(place)
    first = folder.read("rows.csv")
    (place / "rows.csv").write_text("a,b\n5,5\n")
    assert folder.read("rows.csv") is first
    assert folder.hashes == {"rows.csv": hashlib.sha256(b"a,b\n1,2\n").hexdigest()}


def test_zipped_files_are_hashed_as_they_lie_there(place: Path) -> None:
    data = gzip.compress((place / "net.onnx").read_bytes(), mtime=0)
    (place / "net.onnx.gz").write_bytes(data)
    rows = gzip.compress(b"a,b\n1,2\n", mtime=0)
    (place / "rows.csv.gz").write_bytes(rows)
    text = (place / "spec.toml").read_text().replace("rows.csv", "rows.csv.gz")
    (place / "spec.toml").write_text(text)
    files = api.read(place / "net.onnx.gz", place / "spec.toml").files
    assert files is not None
    assert files.hashes()["network"] == hashlib.sha256(data).hexdigest()
    assert files.hashes()["data"]["rows.csv.gz"] == hashlib.sha256(rows).hexdigest()


@pytest.mark.parametrize("kind", ["<f4", ">f8", "<i2", "|u1", "|b1"])
@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 3), (2, 0, 1), (2, 3, 2)])
@pytest.mark.parametrize("order", ["C", "F"])
def test_arrays_are_what_numpy_reads(
    kind: str, shape: tuple[int, ...], order: Any, tmp_path: Path
) -> None:
    rng = np.random.default_rng(0)
    value = np.asarray(rng.integers(0, 2, shape) * 3, dtype=kind, order=order)
    for version in ((1, 0), (2, 0), (3, 0)):
        stream = io.BytesIO()
        np.lib.format.write_array(stream, value, version)
        (tmp_path / "a.npy").write_bytes(stream.getvalue())
        found = read_npy(DataFolder(tmp_path).read("a.npy"))
        np.testing.assert_array_equal(found, value)
        assert found.dtype == value.dtype


def header(text: str, data: bytes = b"") -> bytes:
    line = text.encode() + b" " * (-(len(text) + 11) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(line).to_bytes(2, "little") + line + data


@pytest.mark.parametrize(
    "data",
    [
        b"", b"\x93NUMPY", b"\x93NUMPY\x09\x00" + bytes(40),
        header("{'descr': '<f8', 'fortran_order': False, 'shape': (3,), }", bytes(23)),
        header("{'descr': '<f8', 'fortran_order': False, 'shape': (-1,), }", bytes(24)),
        header("{'descr': '<f8', 'fortran_order': False, 'shape': (-1, -3), }", bytes(24)),
        header("{'descr': '<f8', 'fortran_order': False, 'shape': (4611686018427387904, 4), }"),
        header("{'descr': '|O', 'fortran_order': False, 'shape': (1,), }", bytes(8)),
        header("{'descr': '<c8', 'fortran_order': False, 'shape': (1,), }", bytes(8)),
        header("{'descr': '<U1', 'fortran_order': False, 'shape': (1,), }", bytes(8)),
        header("{'descr': '<f8', 'shape': (1,), }", bytes(8)), header("[" * 500), header("1 +"),
    ],
)
def test_what_is_no_array_is_refused(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.npy").write_bytes(data)
    with pytest.raises(InputError, match=r"'a\.npy'"):
        read_npy(DataFolder(tmp_path).read("a.npy"))


def test_data_files_that_are_none(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path)
    (tmp_path / "inner").mkdir()
    for name, says in (("none.csv", "'none.csv' cannot be read"), ("inner", "no.* a regular file"),
                       ("a\0b", "cannot be read")):
        with pytest.raises(InputError, match=says):
            folder.read(name)
    assert folder.hashes == {}
