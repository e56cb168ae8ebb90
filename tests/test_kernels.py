"""Every kernel of every build against NumPy in a wider precision.

A case yields results beside what they ought to be.  The tolerance of a sum is its number of terms times
the precision times the sum of the terms' magnitudes, which no order of adding up exceeds.
"""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import NamedTuple

import mpmath
import numpy as np
import pytest

import exact
from arrays import Arrays, ArraysAtPageEnds
from cmlp.kernels import available, kernels

SIZES = (0, 1, 2, 3, 7, 15, 16, 17, 31, 33, 64, 65, 127)
PRECISIONS = ("float32", "float64")


class Result(NamedTuple):
    got: np.ndarray
    want: np.ndarray
    size: np.ndarray  # of what the kernel adds up
    terms: int  # roundings that may pile up


def wide(*arrays):
    copies = [np.array(a, np.longdouble) for a in arrays]
    return copies if len(copies) > 1 else copies[0]


def errors(result, dtype):
    """Where a result is off, and by how much it may be."""
    limits = np.finfo(dtype)
    got, want, size = wide(result.got, result.want, result.size)
    with np.errstate(over="ignore", invalid="ignore"):
        same = (got == want) | (got == want.astype(dtype))
        off = np.where(same, 0, np.abs(got - want))
    return off, (result.terms + 2) * limits.eps * size + 4 * limits.smallest_subnormal


def check(result, dtype, label=""):
    off, tolerance = errors(result, dtype)
    assert np.shape(result.got) == np.shape(result.want), label
    assert (off <= tolerance).all(), f"{label} off by {off.max()}, up to {(off / tolerance).max()} of the tolerance"


@pytest.fixture
def arrays(dtype):
    arrays = Arrays(dtype)
    yield arrays
    arrays.check()


# ---- products, updates and moves: a case takes two sizes ----------------------------------------------


def third_size(m, n):
    """All pairs of three sizes occur when m and n take all values."""
    return SIZES[(SIZES.index(m) + SIZES.index(n)) % len(SIZES)]


def product(kernel, arrays, m, n):
    W, x, b = arrays.normal(m, n), arrays.normal(n), arrays.normal(m)
    z, size = wide(W) @ wide(x) + b, np.abs(wide(W)) @ np.abs(x) + np.abs(b)
    yield Result(kernel.product(W, x, b), z, size, n)


def product_t(kernel, arrays, m, n):
    W, delta = arrays.normal(m, n), arrays.normal(m)
    yield Result(kernel.product_t(W, delta), wide(delta) @ W, np.abs(wide(delta)) @ np.abs(W), m)


ETA = 0.375
KEEP = (1.0, 0.8125)


def updated_weights(W, delta, o, keep):
    """Want and size of W after W <- keep W - eta delta o^T."""
    kept, step = keep * wide(W), ETA * np.outer(*wide(delta, o))
    return kept - step, np.abs(kept) + np.abs(step)


def rank1_update(kernel, arrays, m, n):
    for keep in KEEP:
        W, delta, o = arrays.normal(m, n, changes=True), arrays.normal(m), arrays.normal(n)
        want = updated_weights(W, delta, o, keep)
        kernel.rank1_update(W, delta, o, ETA, keep)
        yield Result(W, *want, 1)


def product_t_update(kernel, arrays, m, n):
    for keep in KEEP:
        W, delta, o = arrays.normal(m, n, changes=True), arrays.normal(m), arrays.normal(n)
        want = updated_weights(W, delta, o, keep)
        y, size = wide(delta) @ W, np.abs(wide(delta)) @ np.abs(W)
        yield Result(kernel.product_t_update(W, delta, o, ETA, keep), y, size, m)
        yield Result(W, *want, 1)


def outer_product(kernel, arrays, m, n):
    delta, o = arrays.normal(m), arrays.normal(n)
    want = np.outer(delta, o)
    yield Result(kernel.outer_product(delta, o), want, 0, 0)


def matrix_product(kernel, arrays, m, n):
    k = third_size(m, n)
    A, B, bias, C = arrays.normal(m, k), arrays.normal(k, n), arrays.normal(m), arrays.normal(m, n)
    A_t = arrays.put(A.T)
    AB, size = wide(A) @ wide(B), np.abs(wide(A)) @ np.abs(B)
    for with_bias, with_C, flipped in itertools.product([False, True], repeat=3):
        b, c = wide(bias)[:, None] * with_bias, wide(C) * with_C
        got = kernel.matrix_product(
            A_t if flipped else A, B, bias if with_bias else None, C if with_C else None, transposed=flipped
        )
        yield Result(got, AB + b + c, size + np.abs(b) + np.abs(c), k + 1)


def same_entries(got, want):
    return Result(got, want, 0, 0)


def zero_padded(a, lanes):
    return np.pad(a, [(0, 0), (0, -a.shape[1] % lanes)])


def transposed(kernel, arrays, m, n):
    A, index = arrays.normal(m, n), arrays.index(third_size(m, n), m)
    for rows in (None, index):
        T = (A if rows is None else A[rows]).T
        yield same_entries(kernel.transposed(A, rows), T)
        yield same_entries(kernel.transposed(A, rows, pad=True), zero_padded(T, kernel.vector_lanes()))


def gathered(kernel, arrays, m, n):
    A, index = arrays.normal(m, n), arrays.index(third_size(m, n), m)
    yield same_entries(kernel.gathered(A, index), zero_padded(A[index], kernel.vector_lanes()))


def sums(kernel, arrays, m, n):
    A = arrays.normal(m, n)
    each, squares, finite = kernel.sums(A)
    assert finite
    yield Result(each, wide(A).sum(axis=1), np.abs(wide(A)).sum(axis=1), n)
    want = (wide(A) ** 2).sum()
    yield Result(squares, want, want, m * n)


CASES = [
    product, product_t, rank1_update, product_t_update, outer_product, matrix_product, transposed, gathered, sums,
]  # fmt: skip
each_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)


@each_case
@pytest.mark.parametrize("m", SIZES)
def test_products_and_moves(module, arrays, case, m):
    for n in SIZES:
        for result in case(module, arrays, m, n):
            check(result, arrays.dtype, f"{m} x {n}")


@pytest.mark.parametrize("n", SIZES[1:])
@pytest.mark.parametrize("intruder", [np.nan, np.inf, -np.inf])
def test_one_number_that_is_not_finite_is_found(module, arrays, dtype, n, intruder):
    largest = np.full(n, np.finfo(dtype).max)
    assert module.sums(arrays.put(largest[None]))[2]
    for position in range(n):
        a = arrays.put(np.where(np.arange(n) == position, intruder, largest))
        assert not module.sums(a[None])[2]
        assert module.first_not_finite(a) == position


# ---- activations ----------------------------------------------------------------------------------------


class Activation(NamedTuple):
    """s and s' in mpmath, and what their rounding errors are measured by, in eps."""

    s: Callable
    slope: Callable
    size: Callable
    slope_size: Callable


SELU_SCALE = mpmath.mpf("1.0507009873554804934193349852946")
SELU_ALPHA = mpmath.mpf("1.6732632423543772848170429916717")


def silu_slope(z):
    p = exact.sigmoid(z)
    return p * (1 + z * exact.sigmoid(-z))


def phi_ulps(z):
    return 5 + min(z * z, 10**6) / 2


def gelu_slope_size(z):
    """Both terms lose z^2 / 2 of their last places as z moves away from 0; above 0 the first is near 1."""
    return phi_ulps(z) * (exact.phi(-abs(z)) + abs(z) * exact.density(z)) + (z > 0)


# Sigmoid' = o (1 - o) and tanh' = 1 - o^2 come from the output: their errors are absolute where o is near 1.
ACTIVATIONS = {
    "identity": Activation(lambda z: z, lambda z: 1, lambda z: 0, lambda z: 0),
    "relu": Activation(lambda z: max(0, z), lambda z: int(z > 0), lambda z: 0, lambda z: 0),
    "sigmoid": Activation(
        exact.sigmoid, lambda z: exact.sigmoid(z) * exact.sigmoid(-z),
        lambda z: 3 * exact.sigmoid(z), lambda z: 4 * exact.sigmoid(z),
    ),
    "tanh": Activation(mpmath.tanh, lambda z: mpmath.sech(max(-2000, min(2000, z))) ** 2, lambda z: 3 * abs(mpmath.tanh(z)), lambda z: 4),
}  # fmt: skip
