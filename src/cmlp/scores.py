"""How good a network's outputs are."""

from __future__ import annotations

import numpy as np

from .validation import Array
from .weights import moderate

OF_ZERO = -2000  # a power of two below that of any other number


def accuracy(outputs: Array, targets: Array, weights: Array | None) -> float:
    """The share of samples whose class, or all of whose labels, the outputs (n, C) give.

    The targets are class indices (n,), or rows (n, C) of 0 and 1 where each output has a class of its own.
    """
    by_row = targets.ndim == 2
    right = ((outputs > 0.5) == (targets > 0.5)).all(axis=1) if by_row else outputs.argmax(axis=1) == targets
    return float(_mean(right, weights))


def r2(predicted: Array, actual: Array, weights: Array | None) -> float:
    """1 - sum of squared residuals / sum of squares about the mean, averaged over the outputs.

    A constant output counts 1 if it is predicted exactly and 0 if not; what has no weight is not looked at.
    """
    if weights is not None and not weights.all():
        counted = weights > 0
        predicted, actual, weights = predicted[counted], actual[counted], weights[counted]
    own = _power(actual)
    common = np.maximum(own, _power(predicted))
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):  # the quotient may be beyond any float
        smaller = np.ldexp(actual, -own)
        spread = _mean((smaller - _mean(smaller, weights)) ** 2, weights)
        residual = _mean((np.ldexp(actual, -common) - np.ldexp(predicted, -common)) ** 2, weights)
        constant = (actual.min(axis=0) == actual.max(axis=0)) | (spread == 0)
        quotient = np.ldexp(residual / np.where(constant, 1, spread), 2 * (common - own))
        scores = np.where(constant, (residual == 0).astype(float), 1 - quotient)
        return float(scores.mean())


def _power(values: Array) -> Array:
    """The power of two that makes the largest of a column 1/2 to 1, so that its squares can be held."""
    largest = np.abs(values).max(axis=0)
    return np.where(largest > 0, np.frexp(largest)[1], OF_ZERO)


def _mean(values: Array, weights: Array | None) -> Array:
    mean: Array = np.average(values, axis=0, weights=None if weights is None else moderate(weights)[0])
    return mean
