"""The block of parameters: W_1, b_1, ..., W_L, b_L one after another, and views into it."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np

from .validation import Array, RandomSource, shown

CACHE_LINE = 64
MAX_PARAMETERS = 2**40  # far beyond any memory; keeps sizes in bytes within 64 bits


def aligned_block(layer_sizes: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    """Room for every parameter, from the start of a cache line."""
    size = sum(d_out * (d_in + 1) for d_in, d_out in pairwise(layer_sizes))
    try:
        if size > MAX_PARAMETERS:
            raise MemoryError
        memory = np.zeros(size * dtype.itemsize + CACHE_LINE, np.uint8)
    except MemoryError:
        raise MemoryError(
            f"layer_sizes={shown(layer_sizes)}: {shown(size)} parameters do not fit into memory"
        ) from None
    start = -memory.__array_interface__["data"][0] % CACHE_LINE
    return memory[start : start + size * dtype.itemsize].view(dtype)


def views(block: Array, layer_sizes: tuple[int, ...]) -> tuple[tuple[Array, ...], tuple[Array, ...]]:
    """W_1, ..., W_L and b_1, ..., b_L inside a block of parameters."""
    weights, biases, start = [], [], 0
    for d_in, d_out in pairwise(layer_sizes):
        end = start + d_out * d_in
        weights.append(block[start:end].reshape(d_out, d_in))
        biases.append(block[end : end + d_out])
        start = end + d_out
    return tuple(weights), tuple(biases)


def initialise(
    weights: tuple[Array, ...], biases: tuple[Array, ...], activation: tuple[str, ...], random: RandomSource
) -> None:
    """Draws W_l and b_l from +-sqrt(6 / (d_{l-1} + d_l)), where 6 is 2 for a sigmoid (Glorot and Bengio, 2010).

    Numbers are drawn in scikit-learn's order, so that a seed gives its initial weights; the last layer goes by the
    activation below it.
    """
    names = (*activation, activation[-1] if activation else "relu")
    for W, b, name in zip(weights, biases, names, strict=True):
        d_out, d_in = W.shape
        bound = np.sqrt((2.0 if name == "sigmoid" else 6.0) / (d_in + d_out))
        W[...] = random.uniform(-bound, bound, (d_in, d_out)).T
        b[...] = random.uniform(-bound, bound, d_out)
