"""Linear maps: rows, application in three arithmetics, transpose and absolute value agree."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.helpers.strategies import arrays, convolutions, fractions, grid, maps, wild
from verifex.ir.exact import ExactArray, FloatArray
from verifex.ir.linmap import (
    Conv,
    Diag,
    Gather,
    LinearMap,
    Scaled,
    absolute,
    apply_exact,
    apply_numpy,
    apply_torch,
    dense,
    entries,
    fan_in,
    gather,
    identity,
    is_identity,
    reshape,
    scale,
    total,
    transpose,
)

Matrix = list[list[Fraction]]


def matrix(m: LinearMap) -> Matrix:
    """The matrix from its rows."""
    columns = math.prod(m.in_shape)
    out: Matrix = []
    for j, row in entries(m):
        assert j == len(out)
        out.append([Fraction(0)] * columns)
        for i, c in row:
            assert c != 0
            assert out[j][i] == 0, "a position twice in one row"
            out[j][i] = Fraction(c)
    assert len(out) == math.prod(m.out_shape)
    return out


def units(m: LinearMap) -> FloatArray:
    """All unit vectors of the input, as one batch."""
    n = math.prod(m.in_shape)
    return np.eye(n).reshape(n, *m.in_shape)


def columns(m: LinearMap) -> Matrix:
    """The matrix from exact images of the unit vectors."""
    n = math.prod(m.in_shape)
    image = apply_exact(m, ExactArray.from_float(units(m)))
    flat = [Fraction(int(v), image.den) for v in image.num.reshape(-1)]
    size = math.prod(m.out_shape)
    return [[flat[i * size + j] for i in range(n)] for j in range(size)]


@given(m=maps())
def test_rows_are_the_images_of_unit_vectors(m: LinearMap) -> None:
    assert columns(m) == matrix(m)


@given(m=maps())
def test_numpy_and_torch_apply_the_same_matrix(m: LinearMap) -> None:
    import torch

    wanted = np.array([[float(v) for v in row] for row in matrix(m)]).reshape(
        math.prod(m.out_shape), math.prod(m.in_shape)
    )
    images = apply_numpy(m, units(m)).reshape(len(wanted.T), -1).T
    assert np.allclose(images, wanted, rtol=1e-15, atol=0)

    def const(values: object) -> torch.Tensor:
        if isinstance(values, ExactArray):
            return torch.tensor(values.to_float())
        return torch.tensor(np.asarray(values))

    tensors = apply_torch(m, torch.tensor(units(m)), const).numpy()
    assert np.array_equal(tensors, apply_numpy(m, units(m)))


@given(m=maps())
def test_transpose_is_the_transposed_matrix(m: LinearMap) -> None:
    t = transpose(m)
    assert (t.in_shape, t.out_shape) == (m.out_shape, m.in_shape)
    rows, turned = matrix(m), matrix(t)
    assert all(
        turned[i][j] == rows[j][i] for j in range(len(rows)) for i in range(len(turned))
    )
    assert columns(t) == turned
    assert matrix(transpose(t)) == rows


@given(m=maps())
def test_absolute_is_the_matrix_of_absolute_values(m: LinearMap) -> None:
    assert matrix(absolute(m)) == [[abs(v) for v in row] for row in matrix(m)]


@given(m=maps())
def test_fan_in_bounds_the_terms_of_a_row(m: LinearMap) -> None:
    """No row has more terms than `fan_in` says: the rounding analysis of intervals rests on it."""
    assert max((sum(v != 0 for v in row) for row in matrix(m)), default=0) <= max(1, fan_in(m))


@given(m=maps(), data=st.data())
def test_application_is_linear_and_batched(m: LinearMap, data: st.DataObject) -> None:
    """A batch of exact points goes through row by row: A x = sum of columns."""
    n = math.prod(m.in_shape)
    points = [data.draw(st.lists(fractions, min_size=n, max_size=n)) for _ in range(2)]
    x = ExactArray.from_numbers([v for p in points for v in p], (2, *m.in_shape))
    image = apply_exact(m, x)
    assert image.shape == (2, *m.out_shape)
    rows = matrix(m)
    wanted = [sum((a * b for a, b in zip(row, p, strict=True)), Fraction(0))
              for p in points for row in rows]
    assert image.fractions() == wanted


@given(m=convolutions(), data=st.data())
def test_convolution_against_torch(m: Conv, data: st.DataObject) -> None:
    """The same numbers as torch's own convolution, padding done by hand."""
    import torch

    x = data.draw(arrays(m.in_shape, grid))
    flat_pads = [p for before, after in reversed(m.pads) for p in (before, after)]
    padded = torch.nn.functional.pad(torch.tensor(x), flat_pads)
    conv = {1: torch.nn.functional.conv1d, 2: torch.nn.functional.conv2d}[len(m.strides)]
    wanted = conv(padded, torch.tensor(m.weight), stride=m.strides, dilation=m.dilations,
                  groups=m.groups).numpy()
    assert np.array_equal(apply_numpy(m, x[None])[0], wanted)
    back = data.draw(arrays(m.out_shape, grid))
    turned = transpose(m)
    inner = float((back * wanted).sum())
    assert float((apply_numpy(turned, back[None])[0] * x).sum()) == inner


@given(data=st.data())
def test_equal_content_is_one_map(data: st.DataObject) -> None:
    """Maps are equal by content, and other weights, factors or shapes make other maps."""
    w = data.draw(arrays((2, 3), wild))
    assert dense(w) == dense(w.copy())
    assert hash(dense(w)) == hash(dense(w.copy()))
    other = w.copy()
    other[1, 2] = np.nextafter(other[1, 2], np.inf)
    assert dense(other) != dense(w)
    assert Diag((2, 3), (2, 3), w) != dense(w)
    assert scale((3,), 2) != scale((3,), 3)
    assert reshape((4,), (2, 2)) != identity((4,))


def test_minus_zero_is_zero() -> None:
    assert dense([[0.0, 1.0]]) == dense([[-0.0, 1.0]])


def test_makers() -> None:
    assert is_identity(identity((2, 3)))
    assert is_identity(reshape((6,), (2, 3)))
    assert is_identity(scale((2,), 1))
    assert not is_identity(scale((2,), 2))
    assert not is_identity(gather((2,), [1, 0]))
    assert not is_identity(gather((3,), [0, 1]))
    assert matrix(total((2, 2))) == [[1, 1, 1, 1]]
    assert isinstance(transpose(gather((2,), [1, 0])), Gather)
    assert dense([[1.0], [2.0]], (), (2,)).in_shape == ()


@given(inner=maps(), factor=fractions)
def test_scaled_multiplies_every_entry(inner: LinearMap, factor: Fraction) -> None:
    m = Scaled(inner.in_shape, inner.out_shape, inner, factor)
    assert matrix(m) == [[factor * v for v in row] for row in matrix(inner)]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_weights_that_are_no_numbers_have_no_exact_value(value: float) -> None:
    with pytest.raises(ValueError, match="NaN or an infinity"):
        apply_exact(dense([[value]]), ExactArray.from_float([[1.0]]))
