"""`explain`: exact values against numpy and torch, what is drawn, what is told."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

import verifex
from tests.helpers.checker_nets import save_net
from tests.helpers.metric_nets import Net
from verifex.cli.first.drawing import figure_of
from verifex.errors import InputError, UsageError
from verifex.problem.first.explained import ExplainedPoint

NET = Net.random(np.random.default_rng(7))
X0 = [0.25, -0.5, 0.75, 0.125, -0.0625]
F = Fraction
Cli = Callable[..., tuple[int, str, str]]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    save_net(tmp_path / "net.onnx", [(NET.w1, NET.b1), (NET.w2, NET.b2)])
    monkeypatch.chdir(tmp_path)
    return tmp_path


def spec(place: Path, explain: str = 'output = "logit:2"', more: str = "") -> Path:
    path = place / "spec.toml"
    path.write_text(f'verifex = 1\nnetwork = "net.onnx"\n[input]\npoint = {X0}\n'
                    f"[region]\nlinf = 0.1\n[explain]\n{explain}\n[[require]]\ntop_k = 2\n{more}")
    return path


@pytest.mark.parametrize("reduce", ["signed", "abs"])
def test_values_are_those_of_numpy(reduce: str, place: Path) -> None:
    found = verifex.explanation(None, spec(place, f'output = "logit:2"\nreduce = "{reduce}"'))
    slope = NET.gradient(np.array(X0), np.eye(3)[2])
    slope = np.abs(slope) if reduce == "abs" else slope
    assert found.values == tuple(map(F, slope))
    assert [f.name for f in found.ranked] == [f"x[{i}]" for i in np.argsort(-slope)]
    assert found.top == 2
    assert found.ties == ()


def test_the_command_prints_marks_and_writes_json(place: Path, cli: Cli) -> None:
    path = spec(place)
    code, out, _ = cli("explain", path)
    assert code == 0
    slope = NET.gradient(np.array(X0), np.eye(3)[2])
    marked = [row for row in out.splitlines() if "●" in row]
    assert len(marked) == 2
    for k, i in enumerate(np.argsort(-slope)[:2]):
        assert f"x[{i}]" in marked[k]
    code, out, _ = cli("explain", path, "--json")
    told = json.loads(out)
    assert [F(f["attribution_exact"]) for f in told["features"]] == list(map(F, slope))


def test_ties_are_told_and_zeros_are_none(place: Path) -> None:
    """f = 3 a + 3 b - c + 0 d + 0 e: two components tie, the zeros are not told."""
    save_net(place / "net.onnx", [([[3.0, 3.0, -1.0, 0.0, 0.0]] * 2, [0.0, 1.0])])
    path = place / "spec.toml"
    path.write_text(f'verifex = 1\nnetwork = "net.onnx"\n[input]\npoint = {X0}\n'
                    f'names = ["a", "b", "c", "d", "e"]\n[region]\nlinf = 0.1\n[explain]\n'
                    '[[require]]\nclass = 1\n')
    assert verifex.explanation(None, path).ties == (("a", "b"),)


def test_a_kink_is_refused_or_told(place: Path) -> None:
    """relu(x - 1/4) at 1/4."""
    net = save_net(place / "kink.onnx", [([[1.0]], [-0.25]), ([[1.0], [0.0]], [0.0, -1.0])])
    text = ('verifex = 1\n{}[input]\npoint = [0.25]\n[region]\nlinf = 0.1\n[explain]\n'
            '[[require]]\nclass = 0\n')
    path = place / "spec.toml"
    path.write_text(text.format(""))
    with pytest.raises(InputError, match="kink"):
        verifex.explanation(net, path)
    path.write_text(text.format('kink = "zero"\n'))
    found = verifex.explanation(net, path)
    assert found.values == (0,)
    assert any("kink" in note for note in found.notes)


def test_without_an_explanation_it_says_what_is_missing(place: Path, cli: Cli) -> None:
    path = spec(place)
    path.write_text(path.read_text().replace('[explain]\noutput = "logit:2"\n', "").replace(
        "top_k = 2", 'class = "unchanged"'))
    code, _, err = cli("explain", path)
    assert code == 65
    assert "[explain]" in err


# --- drawings -------------------------------------------------------------------------------


def image(place: Path, shape: tuple[int, ...], reduce: str = "signed") -> ExplainedPoint:
    """A linear network of an image: its gradient is its weights, so that the map is known."""
    torch = pytest.importorskip("torch")
    size = math.prod(shape)
    layer = torch.nn.Linear(size, 2)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[(7 * k) % 11 - 4.0 for k in range(size)], [0.0] * size]))
        layer.bias.copy_(torch.tensor([1.0, 0.0]))
    module = torch.nn.Sequential(torch.nn.Flatten(), layer)
    graph = verifex.from_torch(module, torch.zeros((1, *shape)))
    return verifex.explanation(graph, {
        "input": {"point": np.zeros(shape)}, "region": {"linf": 1},
        "explain": {"output": "logit:0", "reduce": reduce},
        "require": [{"top_k": 3, "tie": "index"}],
    })


@pytest.mark.parametrize("shape", [(4, 6), (1, 4, 6), (3, 4, 6)])
def test_images_are_maps_with_the_values_in_place(shape: tuple[int, ...], place: Path) -> None:
    pytest.importorskip("matplotlib")
    found = image(place, shape)
    size = math.prod(shape)
    wanted = np.array([(7 * k) % 11 - 4.0 for k in range(size)]).reshape(-1, *shape[-2:])
    pictures = [axes.images[0].get_array() for axes in figure_of(found).axes if axes.images]
    assert np.array_equal(np.stack(pictures), wanted)
    at = dict(zip(found.names, found.values, strict=True))
    last = "x[2, 3, 5]" if shape[0] == 3 else "x[3, 5]"
    assert at[last] == F(int(wanted[-1, 3, 5]))


def test_bars_have_the_lengths_of_the_attributions(place: Path) -> None:
    pytest.importorskip("matplotlib")
    found = verifex.explanation(None, spec(place))
    drawn = [bar.get_width() for bar in figure_of(found).axes[0].patches]
    assert drawn == sorted(map(float, found.values), reverse=True)


@pytest.mark.parametrize("end", [".png", ".svg"])
def test_a_drawing_is_written(end: str, place: Path, cli: Cli) -> None:
    pytest.importorskip("matplotlib")
    code, out, _ = cli("explain", spec(place), "-o", place / f"bars{end}")
    assert code == 0
    begins = {".png": b"\x89PNG", ".svg": b"<?xml"}[end]
    assert (place / f"bars{end}").read_bytes().startswith(begins)
    assert f"bars{end}" in out


def test_another_kind_of_drawing_is_refused(place: Path) -> None:
    from verifex.cli.first.explain import explain

    with pytest.raises(UsageError, match=r"\.svg"):
        explain([spec(place)], Path("a.bmp"), rows=None, json=False)
