"""Elementary functions in mpmath, for arguments as large as a float64 can be."""

from __future__ import annotations

import mpmath


def exp(z):
    # Beyond 2000 the result has left the range of either precision: its digits would only cost time.
    return mpmath.exp(max(-2000, min(2000, z)))


def expm1(z):
    return mpmath.expm1(max(-2000, z))


def sigmoid(z):
    e = exp(-abs(z))
    return (e if z < 0 else 1) / (1 + e)


def softplus(z):
    return max(z, 0) + mpmath.log1p(exp(-abs(z)))


def phi(z):
    """The normal distribution function."""
    return mpmath.erfc(-max(-1000, min(1000, z)) / mpmath.sqrt(2)) / 2


def density(z):
    """Its derivative."""
    return exp(-z * z / 2) / mpmath.sqrt(2 * mpmath.pi)
