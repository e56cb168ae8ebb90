"""Sample weights: by class, relative to their mean, and of any size, so that sums of them stay finite."""

from __future__ import annotations

from typing import Any

import numpy as np

from .labels import Task
from .validation import Array

FAR = 32  # powers of two from 1


def moderate(weights: Array) -> tuple[Array, int]:
    """Weights by a power of two smaller, so that the largest is from 1/2 to 1, and that power.

    Those that are not far from 1 stay as they are, by the power 0.  What is divided by the sum of the weights comes out
    the same, to the bit but for those that are too small beside the largest to be held.
    """
    power = int(np.frexp(weights.max())[1])
    if -FAR <= power <= FAR:
        return weights, 0
    with np.errstate(under="ignore"):
        return np.ldexp(weights, -power), power


def relative(weights: Array | None) -> Array | None:
    """Sample weights scaled to a mean of one, by way of a maximum of one so that no sum overflows."""
    if weights is None:
        return None
    with np.errstate(under="ignore"):
        share = weights / weights.max()
        scaled: Array = share * share.dtype.type(len(share) / share.sum(dtype=np.float64))
    return scaled


def by_class(
    task: Task, class_weight: Any, name: str, targets: Array, weights: Array | None, dtype: np.dtype[Any]
) -> Array | None:
    """Sample weights times the weights of the samples' classes."""
    if class_weight is None:
        return weights
    with np.errstate(over="ignore", under="ignore"):  # refused afterwards
        factors = task.class_weights(class_weight, targets).astype(dtype)
        product = factors if weights is None else factors * weights
    if not factors.any():
        raise ValueError(f"class_weight is zero for every class in {name}: expected at least one positive weight")
    return product


def name_of_weights(class_weight: Any, sample_weight: Any) -> str:
    given = {"class_weight": class_weight, "sample_weight": sample_weight}
    return " * ".join(name for name, value in given.items() if value is not None)
