"""`init`: what is guessed of data files, and that what is written is decided as it stands."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from tests.helpers.checker_nets import save_net
from tests.helpers.metric_nets import Net
from verifex.errors import InputError
from verifex.problem.first.columns import DataFile, read_columns
from verifex.problem.first.write import draft_spec

NET = Net.random(np.random.default_rng(11))
NAMES = ["age", "pay", "debt", "years", "sex"]
Cli = Callable[..., tuple[int, str, str]]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    save_net(tmp_path / "net.onnx", [(NET.w1, NET.b1), (NET.w2, NET.b2)])
    monkeypatch.chdir(tmp_path)
    return tmp_path


def rows(count: int = 12) -> np.ndarray:
    return np.random.default_rng(2).integers(-16, 17, (count, 5)) / 16


def table(place: Path, header: str, lines: list[str]) -> Path:
    path = place / "data.csv"
    path.write_text("\n".join([*([header] if header else []), *lines]) + "\n")
    return path


def labelled(place: Path) -> Path:
    """Rows with the class of the net as their label; those of the first two rows are wrong."""
    lines = []
    for k, x in enumerate(rows()):
        c = int(np.argmax(NET.outputs(x)))
        lines.append(",".join([*(repr(float(v)) for v in x), str((c + (k < 2)) % 3)]))
    return table(place, ",".join([*NAMES, "label"]), lines)


# --- what is written runs -------------------------------------------------------------------


def test_what_is_written_is_proved_as_it_stands(place: Path, cli: Cli) -> None:
    labelled(place)
    code, out, err = cli("init", "net.onnx", "data.csv")
    assert code == 0, err
    assert "verifex verify net.toml" in out
    spec = tomllib.loads((place / "net.toml").read_text())
    assert spec["input"] == {"data": "data.csv", "row": 2, "target": "label"}
    values = rows()
    for k, name in enumerate(NAMES):
        low, high = values[:, k].min(), values[:, k].max()
        assert spec["region"]["clip"]["lo"][name] == low
        assert spec["region"]["clip"]["hi"][name] == high
        assert spec["region"]["linf"][name] == pytest.approx((high - low) / 100, rel=0.05)
    code, out, err = cli("verify", "net.toml", "-t", "20")
    assert code in (0, 1), out + err
    assert "the prediction is right" in out


def test_every_comment_is_a_key_of_the_language(place: Path, cli: Cli) -> None:
    """Each property that stands there as a comment is taken when it is uncommented."""
    labelled(place)
    assert cli("init", "net.onnx", "data.csv")[0] == 0
    text = (place / "net.toml").read_text()
    head, *blocks = text.split("\n\n# [[require]]")
    assert len(blocks) == 5
    for block in blocks:
        body = block.split("\n\n")[0].splitlines()[1:]
        keys = "\n".join(line.removeprefix("# ") for line in body)
        (place / "one.toml").write_text(f"{head}\n\n[[require]]\n{keys}\n")
        code, _, err = cli("verify", "one.toml", "-t", "0.2", "-q")
        assert code in (0, 1, 2), err


def test_a_network_without_data_runs_on_zeros(place: Path, cli: Cli) -> None:
    assert cli("init", "net.onnx", "-o", "zeros.toml")[0] == 0
    spec = tomllib.loads((place / "zeros.toml").read_text())
    assert spec["input"]["point"] == [0] * 5
    assert cli("verify", "zeros.toml", "-t", "20", "-q")[0] in (0, 1)


def test_images_and_arrays(place: Path, cli: Cli) -> None:
    torch = pytest.importorskip("torch")
    import verifex

    torch.manual_seed(3)
    module = torch.nn.Sequential(
        torch.nn.Conv2d(1, 2, 3), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(32, 3))
    graph = verifex.from_torch(module, torch.zeros(1, 1, 6, 6))
    (place / "image.onnx").write_bytes(verifex.to_onnx(graph))
    pixels = np.random.default_rng(1).integers(0, 256, (4, 1, 6, 6)).astype(np.uint8)
    np.save(place / "pixels.npy", pixels)
    code, _, err = cli("init", "image.onnx", "pixels.npy")
    assert code == 0, err
    spec = tomllib.loads((place / "image.toml").read_text())
    assert spec["region"]["clip"] == [pixels.min(), pixels.max()]
    assert cli("verify", "image.toml", "-t", "20", "-q")[0] in (0, 1, 2)
    assert cli("init", "image.onnx", "-o", "none.toml")[0] == 0
    assert np.shape(tomllib.loads((place / "none.toml").read_text())["input"]["point"]) == (6, 6)


def test_a_regressor_is_asked_to_stay_near_its_value(place: Path, cli: Cli) -> None:
    net = Net(NET.w1, NET.b1, NET.w2[:1], NET.b2[:1] + 3)
    save_net(place / "one.onnx", [(net.w1, net.b1), (net.w2, net.b2)])
    lines = [",".join(map(repr, [*map(float, x), float(net.outputs(x)[0])])) for x in rows()]
    table(place, ",".join([*NAMES, "price"]), lines)
    code, _, err = cli("init", "one.onnx", "data.csv")
    assert code == 0, err
    spec = tomllib.loads((place / "one.toml").read_text())
    (claim,) = spec["require"]
    value = net.outputs(rows()[0])[0]
    assert claim["at_least"] < value < claim["at_most"]
    assert cli("verify", "one.toml", "-t", "20", "-q")[0] in (0, 1)


def test_a_reference_on_a_kink_is_closed(place: Path, cli: Cli) -> None:
    save_net(place / "kink.onnx", [([[1.0]], [0.0]), ([[1.0], [0.0]], [0.0, -1.0])])
    assert cli("init", "kink.onnx")[0] == 0
    assert tomllib.loads((place / "kink.toml").read_text())["kink"] == "zero"
    assert cli("verify", "kink.toml", "-q")[0] == 0


def test_nothing_is_replaced_unasked(place: Path, cli: Cli) -> None:
    (place / "net.toml").write_text("mine")
    code, _, err = cli("init", "net.onnx")
    assert code == 64
    assert "--force" in err
    assert (place / "net.toml").read_text() == "mine"
    assert cli("init", "net.onnx", "--force")[0] == 0


def test_a_spec_in_another_folder_finds_its_files(place: Path, cli: Cli) -> None:
    labelled(place)
    (place / "specs").mkdir()
    assert cli("init", "net.onnx", "data.csv", "-o", "specs/a.toml")[0] == 0
    spec = tomllib.loads((place / "specs" / "a.toml").read_text())
    assert (spec["network"], spec["input"]["data"]) == ("../net.onnx", "../data.csv")
    assert cli("verify", "specs/a.toml", "-q", "-t", "20")[0] in (0, 1)


def test_json_says_what_is_in_it(place: Path, cli: Cli) -> None:
    code, out, _ = cli("init", "net.onnx", "--json")
    assert code == 0
    assert json.loads(out)["spec"] == "net.toml"


# --- what is guessed ------------------------------------------------------------------------


def guessed(place: Path, header: str, lines: list[str], features: int) -> DataFile:
    return read_columns(table(place, header, lines), "data.csv", features, None)


@pytest.mark.parametrize(("header", "lines", "target", "drop", "told"), [
    ("a,b,target", ["1,2,0", "3,4,1"], "target", (), None),
    ("species,a,b", ["x,1,2", "y,3,4"], "species", (), None),
    ("a,b,kind", ["1,2,x", "3,4,y"], "kind", (), None),
    ("a,b,last", ["1,2,0", "3,4,1"], "last", (), None),
    ("id,a,b,label", ["7,1,2,0", "8,3,4,1"], "label", ("id",), None),
    (",a,b,label", ["0,1,2,0", "1,3,4,1"], "label", ("",), None),
    ("name,a,b,label", ["ann,1,2,0", "bob,3,4,1"], "label", ("name",), None),
    ("", ["1,2,0", "3,4,1"], None, (2,), None),
    ("2019,a,label", ["1,2,0", "3,4,1"], "label", (), True),
    ("a,b", ["1,2", "3,4"], None, (), None),
])
def test_columns(
    header: str, lines: list[str], target: str | None, drop: tuple[str | int, ...],
    told: bool | None, place: Path,
) -> None:
    found = guessed(place, header, lines, 2)
    assert (found.target, found.drop, found.header) == (target, drop, told)
    assert [float(c.least) for c in found.columns] == [1, 2]
    assert [float(c.greatest) for c in found.columns] == [3, 4]
    assert found.rows == 2


def test_whole_columns_and_groups(place: Path) -> None:
    found = guessed(place, "n,job_a,job_b,x,label", ["3,0,1,0.5,0", "5,1,0,1,1"], 4)
    assert [c.whole for c in found.columns] == [True, True, True, False]
    assert [c.binary for c in found.columns] == [False, True, True, False]
    assert found.groups == (("job_a", "job_b"),)


def test_ranges_are_exact(place: Path) -> None:
    found = guessed(place, "a,b", ["0.1,1e-3", "0.30000000000000000001,2"], 2)
    assert Fraction(found.columns[0].greatest) == Fraction("0.30000000000000000001")


@pytest.mark.parametrize(("header", "lines", "what"), [
    ("a,b,c,d", ["1,2,3,4", "1,2,3,4"], "3 columns that may be features, of 4, expected 2"),
    ("a,label", ["1,2", "1,2"], "2 columns that may be features"),
    ("a,b,label", ["1,x,0", "1,y,1"], "may both be the label, expected --target b"),
    ("a,b", [], "rows"),
])
def test_what_does_not_fit_is_refused(
    header: str, lines: list[str], what: str, place: Path
) -> None:
    features = 3 if header == "a,label" else 2
    with pytest.raises(InputError) as told:
        guessed(place, header, lines, features)
    assert what in str(told.value)


@pytest.mark.parametrize(("name", "says"), [
    ("m.keras", "m.keras: a Keras model, expected an ONNX network, which model.export"),
    ("m.joblib", "m.joblib: a pickled object, expected an ONNX network, which skl2onnx"),
    ("m.csv", "m.csv: not an ONNX network"),
])
def test_files_of_other_kinds_are_named(tmp_path: Path, name: str, says: str) -> None:
    (tmp_path / name).write_bytes(b"a,b\n1,2\n")
    with pytest.raises(InputError, match=says):
        draft_spec(tmp_path / name, None, tmp_path / "s.toml")
