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


def log_cosh(e):
    return abs(e) + mpmath.log1p(exp(-2 * abs(e))) - mpmath.log(2)


def huber(e):
    return e * e / 2 if abs(e) <= 1 else abs(e) - mpmath.mpf(1) / 2


def pinball(e, q):
    return (1 - q) * e if e > 0 else -q * e


DISTANCES = {  # of the error e and the quantile q: the loss and its derivative by e
    "squared_error": (lambda e, q: e * e / 2, lambda e, q: e),
    "absolute_error": (lambda e, q: abs(e), lambda e, q: mpmath.sign(e)),
    "huber": (lambda e, q: huber(e), lambda e, q: max(-1, min(1, e))),
    "log_cosh": (lambda e, q: log_cosh(e), lambda e, q: mpmath.tanh(max(-1000, min(1000, e)))),
    "quantile": (pinball, lambda e, q: (1 - q if e > 0 else -q) if e else 0),
}


def density(z):
    """Its derivative."""
    return exp(-z * z / 2) / mpmath.sqrt(2 * mpmath.pi)
