"""Convolutions applied without their matrix: parts of a batch, any number of axes, gradients."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given

from tests.helpers.strategies import convolutions, wild
from verifex.ir.linmap import (
    Conv,
    LinearMap,
    absolute,
    apply_numpy,
    apply_torch,
    entries,
    transpose,
)
from verifex.ir.maps import convolution
from verifex.semantics.interval import Interval, linear_image


def matrix(m: LinearMap) -> np.ndarray:
    """(out, in), from the map's rows, which are found by indexing alone."""
    out = np.zeros((math.prod(m.out_shape), math.prod(m.in_shape)))
    for j, row in entries(m):
        for i, c in row:
            out[j, i] = float(c)
    return out


def made(axes: int, *, transposed: bool = False) -> Conv:
    """Two groups, strides that leave elements over, uneven padding."""
    rng = np.random.default_rng(axes)
    n, size, reach, stride = 2, 4, 3, 2
    out = (size + 1 - reach) // stride + 1
    m = Conv((n, 2, *(size,) * axes), (n, 4, *(out,) * axes),
             rng.normal(size=(4, 1, *(2,) * axes)), (stride,) * axes, ((1, 0),) * axes,
             (2,) * axes, 2)
    turned = transpose(m)
    assert isinstance(turned, Conv)
    return turned if transposed else m


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("axes", [1, 2, 3, 4])
def test_any_number_of_axes(axes: int, transposed: bool) -> None:
    m = made(axes, transposed=transposed)
    x = np.random.default_rng(7).normal(size=(3, *m.in_shape))
    wanted = (x.reshape(3, -1) @ matrix(m).T).reshape(3, *m.out_shape)
    assert np.allclose(apply_numpy(m, x), wanted, rtol=1e-12, atol=1e-12)
    tensors = apply_torch(m, torch.from_numpy(x), torch.as_tensor)
    assert np.allclose(tensors.numpy(), wanted, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("axes", [2, 4])
def test_gradients_are_the_adjoint(axes: int, transposed: bool) -> None:
    m = made(axes, transposed=transposed)
    rng = np.random.default_rng(3)
    x = torch.from_numpy(rng.normal(size=(3, *m.in_shape))).requires_grad_()
    weights = torch.from_numpy(rng.normal(size=(3, *m.out_shape)))
    (apply_torch(m, x, torch.as_tensor) * weights).sum().backward()
    wanted = weights.numpy().reshape(3, -1) @ matrix(m)
    assert x.grad is not None
    assert np.allclose(x.grad.numpy().reshape(3, -1), wanted, rtol=1e-12, atol=1e-12)


@given(m=convolutions())
def test_a_batch_in_parts_is_what_its_images_are_alone(m: Conv) -> None:
    x = np.random.default_rng(1).normal(size=(5, *m.in_shape))
    usual, convolution.NUMBERS = convolution.NUMBERS, 1
    try:
        parts = apply_numpy(m, x)
    finally:
        convolution.NUMBERS = usual
    alone = np.concatenate([apply_numpy(m, x[k : k + 1]) for k in range(5)])
    assert np.allclose(parts, alone, rtol=1e-13, atol=0)
    # Sums of cancelling products differ by what their sizes allow.
    size = apply_numpy(absolute(m), np.abs(x))
    assert (np.abs(parts - apply_numpy(m, x)) <= 1e-14 * size).all()


@given(m=convolutions(wild))
def test_boxes_contain_the_exact_images_of_their_corners(m: Conv) -> None:
    from verifex.ir.exact import ExactArray
    from verifex.ir.linmap import apply_exact

    rng = np.random.default_rng(5)
    lo = rng.normal(size=(1, *m.in_shape))
    hi = lo + rng.random(lo.shape)
    image = linear_image(m, Interval(lo, hi))
    corners = np.where(rng.random((4, *m.in_shape)) < 0.5, lo, hi)
    exact = apply_exact(m, ExactArray.from_float(corners))
    # The exact values, where floats cannot tell: as fractions.
    for k in range(exact.num.shape[0]):
        for v, a, b in zip(exact.num[k].ravel(), image.lo.ravel(), image.hi.ravel(), strict=True):
            assert not np.isfinite(a) or float(a).as_integer_ratio()[0] * exact.den <= (
                int(v) * float(a).as_integer_ratio()[1])
            assert not np.isfinite(b) or float(b).as_integer_ratio()[0] * exact.den >= (
                int(v) * float(b).as_integer_ratio()[1])
