"""exp, log and their relatives of every build, in units in the last place of the true result."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import mpmath
import numpy as np
import pytest

import exact
from cmlp.kernels import available, kernels

PRECISION = 120  # bits of a true result


# ---- what is computed, and how well -----------------------------------------------------------------


def sigmoid(z):
    e = np.exp(-np.abs(z))
    return np.where(z < 0, e, 1) / (1 + e)


def softplus(z):
    return np.maximum(z, 0) + np.log1p(np.exp(-np.abs(z)))


def phi(z):
    return 0.5 * np.array([math.erfc(a) for a in (-z / math.sqrt(2)).tolist()])


class Function(NamedTuple):
    name: str
    exact: Callable  # of an mpmath number
    in_float64: Callable  # of an array, near enough for results in float32
    bound: Callable  # ULP, as the header of kernels/elementary.pyx promises
    low: float = -math.inf  # the arguments that the kernel takes
    high: float = math.inf


FUNCTIONS = [
    Function("exp", exact.exp, np.exp, lambda z: 1),
    Function("expm1", exact.expm1, np.expm1, lambda z: 2, high=0),
    Function("log", mpmath.log, np.log, lambda z: 1, low=0),
    Function("log1p", mpmath.log1p, np.log1p, lambda z: 2, low=0, high=1),
    Function("sigmoid", exact.sigmoid, sigmoid, lambda z: 3),
    Function("tanh", mpmath.tanh, np.tanh, lambda z: 3),
    Function("softplus", exact.softplus, softplus, lambda z: 2),
    Function("phi", exact.phi, phi, lambda z: 6 + np.minimum(np.abs(z), 1e3) ** 2 / 2),
]
each_function = pytest.mark.parametrize("function", FUNCTIONS, ids=[f.name for f in FUNCTIONS])


# ---- true results in units in the last place --------------------------------------------------------


class Truth(NamedTuple):
    """True results (whole + fraction) 2^k, 2^k being the unit in the last place of each."""

    k: np.ndarray
    whole: np.ndarray
    fraction: np.ndarray | float

    def ulps_from(self, got):
        with np.errstate(over="ignore"):
            scaled = np.ldexp(got.astype(float), -self.k)
            after_largest = np.ldexp(1.0, np.finfo(got.dtype).maxexp - self.k)
        # Infinity stands for the number after the largest, which a truth beyond counts as, too.
        scaled = np.where(np.isinf(got), np.copysign(after_largest, got), scaled)
        return np.abs(scaled - self.whole - self.fraction)


def unit_exponent(exponent, limits):
    """k for results m 2^exponent, 1/2 <= m < 1."""
    return np.clip(exponent, limits.minexp + 1, limits.maxexp) - limits.nmant - 1


def split(t, limits):
    """k, whole and fraction of one mpmath number."""
    largest = mpmath.ldexp(1, limits.maxexp)
    t = max(-largest, min(largest, t))
    k = int(unit_exponent(mpmath.frexp(t)[1], limits))
    scaled = mpmath.ldexp(t, -k)
    whole = mpmath.nint(scaled)
    return k, float(whole), float(scaled - whole)


@cache
def sampled(function, name):
    """Arguments over the whole domain in one precision, and the true results."""
    dtype = np.dtype(name)
    z = arguments(function, dtype)
    with mpmath.workprec(PRECISION):
        truth = [split(function.exact(mpmath.mpf(a)), np.finfo(dtype)) for a in z.tolist()]
    k, whole, fraction = zip(*truth, strict=True)
    return z, Truth(np.array(k), np.array(whole), np.array(fraction))


@cache
def swept(function):
    """Every 8191st of all float32 arguments, every 499th of magnitude 2^-28 to 128, and the true results."""
    one, bits = 127 << 23, np.uint32
    patterns = np.concatenate(
        [np.arange(0, 255 << 23, 8191, bits), np.arange(one - (28 << 23), one + (7 << 23), 499, bits)]
    )
    z = within(function, both_signs(patterns.view(np.float32)))
    with np.errstate(over="ignore", divide="ignore"):
        t = function.in_float64(z.astype(float))
    limits = np.finfo(np.float32)
    t = np.clip(t, -(2.0**limits.maxexp), 2.0**limits.maxexp)
    k = unit_exponent(np.frexp(t)[1], limits)
    return z, Truth(k, np.ldexp(t, -k), 0.0)


# ---- arguments ----------------------------------------------------------------------------------------


def both_signs(z):
    return np.concatenate([z, -z])


def within(function, z):
    """The finite arguments of the domain, without the zeros at which the result is infinite."""
    kept = np.isfinite(z) & (z >= function.low) & (z <= function.high)
    return z[kept & (z != 0)] if function.name == "log" else z[kept]


def arguments(function, dtype, n=1000):
    """Random ones over ranges of several widths and over all magnitudes, and the neighbours of landmarks."""
    rng, limits = np.random.default_rng(8), np.finfo(dtype)
    dense = [
        rng.uniform(max(function.low, -width), min(function.high, width), n)
        for width in (0.1, 2, 50, 2 - math.log(limits.smallest_subnormal))
    ]
    spread = np.exp2(rng.uniform(limits.minexp - limits.nmant, limits.maxexp, n)).astype(dtype)
    z = np.concatenate([*dense, spread, -spread, both_signs(landmarks(dtype))]).astype(dtype)
    return np.unique(within(function, z))


def landmarks(dtype):
    """Where a range ends or a reduction changes over, with the numbers on either side."""
    limits = np.finfo(dtype)
    ends = np.array([limits.max, limits.tiny, limits.smallest_subnormal], dtype)
    thresholds = np.log(ends.astype(float))
    halves = np.arange(1, 80, 2) * (math.log(2) / 2)
    others = np.array([0, 1, 2, 17, 38, 39, 40, 89, 104, 710, 746, math.sqrt(0.5), math.sqrt(2)])
    roots = np.sqrt(2 * np.abs(thresholds))
    z = np.concatenate([np.abs(thresholds), roots, halves, others]).astype(dtype)
    return neighbours(np.concatenate([z, ends]))


def neighbours(z, steps=3):
    up, down = [z], [z]
    with np.errstate(over="ignore"):
        for _ in range(steps):
            up.append(np.nextafter(up[-1], np.inf, dtype=z.dtype))
            down.append(np.nextafter(down[-1], -np.inf, dtype=z.dtype))
    return np.concatenate(up + down)


# ---- the tests ----------------------------------------------------------------------------------------


def check_bound(function, z, ulps):
    excess = ulps - function.bound(z.astype(float))
    worst = int(np.argmax(excess))  # a NaN counts as the largest
    assert excess[worst] <= 0, f"{ulps[worst]:.3f} ULP at {z[worst]!r}"


@each_function
def test_error_over_the_whole_range(module, dtype, function):
    z, truth = sampled(function, dtype.name)
    check_bound(function, z, truth.ulps_from(module.elementary(function.name, z)))


@each_function
@pytest.mark.parametrize("isa", available())
def test_error_over_millions_of_float32_numbers(isa, function):
    z, truth = swept(function)
    check_bound(function, z, truth.ulps_from(kernels("float32", isa).elementary(function.name, z)))


@pytest.mark.parametrize(
    ("name", "z", "expected"),
    [
        ("exp", [-np.inf, -0.0, 0.0, np.inf], [0, 1, 1, np.inf]),
        ("expm1", [-np.inf, -0.0, 0.0], [-1, 0, 0]),
        ("log", [-np.inf, -1.0, -0.0, 0.0, 1.0, np.inf], [np.nan, np.nan, -np.inf, -np.inf, 0, np.inf]),
        ("log1p", [-0.0, 0.0], [0, 0]),
        ("sigmoid", [-np.inf, -0.0, 0.0, np.inf], [0, 0.5, 0.5, 1]),
        ("tanh", [-np.inf, -0.0, 0.0, np.inf], [-1, 0, 0, 1]),
        ("softplus", [-np.inf, np.inf], [0, np.inf]),
        ("phi", [-np.inf, np.inf], [0, 1]),
    ],
)
def test_zeros_and_infinities(module, dtype, name, z, expected):
    np.testing.assert_array_equal(module.elementary(name, np.array(z, dtype)), np.array(expected, dtype))


@each_function
def test_nan_stays_nan(module, dtype, function):
    z = np.array([np.nan, np.clip(0.5, function.low, function.high), -np.nan], dtype)
    assert np.isnan(module.elementary(function.name, z)).tolist() == [True, False, True]


def test_tanh_is_odd_to_the_bit(module, dtype):
    z = arguments(next(f for f in FUNCTIONS if f.name == "tanh"), dtype)
    assert (-module.elementary("tanh", z)).tobytes() == module.elementary("tanh", -z).tobytes()


@each_function
@pytest.mark.parametrize("disturber", [0.0, -np.nan, np.inf, -np.inf, "max", "smallest_subnormal"])
def test_other_lanes_do_not_matter(module, dtype, function, disturber):
    """A number alone, and at every position of arrays of every tail that are filled with something else."""
    if isinstance(disturber, str):
        disturber = getattr(np.finfo(dtype), disturber)
    z = arguments(function, dtype, n=8)[::13]
    alone = np.array([module.elementary(function.name, z[i : i + 1])[0] for i in range(z.size)])
    lanes = module.vector_lanes()
    for length in range(1, 2 * lanes + 1):
        for position in {0, length // 2, length - 1}:
            filled = np.full((z.size, length), disturber, dtype)
            filled[:, position] = z
            got = np.stack([module.elementary(function.name, row) for row in filled])[:, position]
            assert got.tobytes() == alone.tobytes(), f"position {position} of {length}"
