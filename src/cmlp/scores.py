"""How good a network's outputs are."""

from __future__ import annotations

import numpy as np

from .validation import Array


def accuracy(outputs: Array, targets: Array, weights: Array | None) -> float:
    """The share of samples whose class, or all of whose labels, the outputs (n, C) give.

    The targets are class indices (n,), or rows (n, C) of 0 and 1 where each output has a class of its own.
    """
    by_row = targets.ndim == 2
    right = ((outputs > 0.5) == (targets > 0.5)).all(axis=1) if by_row else outputs.argmax(axis=1) == targets
    return float(np.average(right, weights=weights))


def r2(predicted: Array, actual: Array, weights: Array | None) -> float:
    """1 - sum of squared residuals / sum of squares about the mean, averaged over the outputs.

    A constant output counts 1 if it is predicted exactly and 0 if not.
    """
    residual = np.average((actual - predicted) ** 2, axis=0, weights=weights)
    spread = np.average((actual - np.average(actual, axis=0, weights=weights)) ** 2, axis=0, weights=weights)
    constant = spread == 0
    scores = np.where(constant, (residual == 0).astype(float), 1 - residual / np.where(constant, 1, spread))
    return float(scores.mean())
