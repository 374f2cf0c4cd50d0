"""Every attribution against an oracle that shares no code: PyTorch's autograd in float64."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from verifex.attribution import NetworkFunction, find, registry
from verifex.errors import UnsupportedError
from verifex.ir.graph import Builder
from verifex.ir.linmap import Conv, dense, reshape
from verifex.ir.ops import Concat
from verifex.semantics.evaluate import evaluate_float

Array = NDArray[np.float64]
RNG_SEED = 13


def _gradient(f: Callable[[Any], Any], x: Any) -> Any:
    x = x.clone().requires_grad_(True)
    f(x).backward()
    return x.grad


ORACLES: dict[str, Callable[[Callable[[Any], Any], Any], Any]] = {
    "gradient": _gradient,
    "input_x_gradient": lambda f, x: x * _gradient(f, x),
}
"""name -> oracle(f, x): the attribution of a scalar torch function f at x."""


def test_every_attribution_has_an_oracle() -> None:
    assert set(registry()) == set(ORACLES)


def test_every_attribution_says_where_it_is_from() -> None:
    for entry in registry().values():
        assert len(entry.source) > 20
        assert entry.kind in ("exact", "bounded")


def test_aliases_and_unknown_names() -> None:
    assert find("input*gradient") is find("input_x_gradient")
    with pytest.raises(UnsupportedError, match=r"saliency.*gradient.*reduce"):
        find("saliency")
    with pytest.raises(UnsupportedError, match="one of gradient, input_x_gradient"):
        find("neural tangent")
    for offered in ("gradient", "input_x_gradient"):
        with pytest.raises(UnsupportedError, match=f'"{offered}"$'):
            find(offered.upper().replace("_", "-"))


@pytest.mark.parametrize(("asked", "nearest"), [
    ("integrated_gradients", "input_x_gradient"), ("IntegratedGradients", "input_x_gradient"),
    ("Kernel SHAP", "input_x_gradient"), ("DeepLIFT", "input_x_gradient"),
    ("lrp", "input_x_gradient"), ("smooth-grad", "gradient"), ("LIME", "gradient"),
    ("Grad-CAM", "gradient"),
])
def test_a_method_that_is_not_offered_points_to_the_nearest(asked: str, nearest: str) -> None:
    with pytest.raises(UnsupportedError, match=f'is not offered, expected "{nearest}"'):
        find(asked)
    assert find(nearest).name == nearest


@pytest.mark.parametrize("smooth", [None, "sigmoid", "tanh", "square"])
@pytest.mark.parametrize("name", sorted(ORACLES))
def test_dense(name: str, smooth: str | None) -> None:
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(RNG_SEED)
    w1, b1, w2 = rng.normal(size=(7, 4)), rng.normal(size=7), rng.normal(size=(1, 7))

    def f(x: Any) -> Any:
        z = torch.tensor(w1) @ x + torch.tensor(b1)
        h = torch.relu(z) if smooth is None else getattr(torch, smooth)(z)
        return (torch.tensor(w2) @ h).sum()

    b = Builder()
    x = b.input("x", (4,))
    z = b.affine(dense(w1), x, b1)
    out = b.affine(dense(w2), b.relu(z) if smooth is None else b.univariate(smooth, z))
    compare(name, b, [x], out, f, rng.normal(size=(20, 4)))


@pytest.mark.parametrize("name", sorted(ORACLES))
def test_convolution(name: str) -> None:
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(RNG_SEED)
    w1, w2 = rng.normal(size=(3, 2, 3, 3)), rng.normal(size=(1, 3 * 9))

    def f(x: Any) -> Any:
        shaped = x.reshape(1, 2, 5, 5)
        h = torch.relu(torch.nn.functional.conv2d(shaped, torch.tensor(w1), stride=2, padding=1))
        return (torch.tensor(w2) @ h.reshape(-1)).sum()

    b = Builder()
    x = b.input("x", (1, 2, 5, 5))
    conv = Conv((1, 2, 5, 5), (1, 3, 3, 3), w1, (2, 2), ((1, 1), (1, 1)), (1, 1))
    out = b.affine(dense(w2, (1, 3, 3, 3), (1,)), b.relu(b.affine(conv, x)))
    compare(name, b, [x], out, f, rng.normal(size=(10, 50)))


@pytest.mark.parametrize("name", sorted(ORACLES))
def test_several_inputs_and_products(name: str) -> None:
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(RNG_SEED)
    w1, w2 = rng.normal(size=(6, 5)), rng.normal(size=(1, 6))

    def f(x: Any) -> Any:
        h = torch.relu(torch.tensor(w1) @ x)
        return (torch.tensor(w2) @ (h * h)).sum()

    b = Builder()
    left, right = b.input("left", (2,)), b.input("right", (1, 3))
    both = b.add(Concat(0), left, b.affine(reshape((1, 3), (3,)), right))
    h = b.relu(b.affine(dense(w1), both))
    out = b.affine(dense(w2), b.mul(h, h))
    compare(name, b, [left, right], out, f, rng.normal(size=(10, 5)))


def compare(
    name: str, b: Builder, inputs: list[int], out: int, f: Callable[[Any], Any], xs: Array
) -> None:
    """The attribution as nodes equals the oracle at every row of xs."""
    import torch

    entry = find(name)
    # At the origin lies the reference, for attributions that have one.
    origin = (Fraction(0),) * xs.shape[1]
    nodes = entry.build(NetworkFunction(b, out, tuple(inputs), origin), entry.options())
    assert [b.shape(n) for n in nodes] == [b.shape(i) for i in inputs]
    graph = b.build({"out": out})
    values = evaluate_float(graph, xs, nodes)
    ours = np.concatenate([values[n].reshape(len(xs), -1) for n in nodes], axis=1)
    for row, x in zip(ours, xs, strict=True):
        expected = ORACLES[name](f, torch.tensor(x)).numpy()
        assert np.abs(expected).max() > 0
        np.testing.assert_allclose(row, expected, rtol=1e-10, atol=1e-10)
