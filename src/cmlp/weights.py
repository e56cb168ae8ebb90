"""Sample weights of any size: sums of them stay finite, and none is lost where small numbers are flushed."""

from __future__ import annotations

import numpy as np

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
