"""The networks that are measured, their data, and what one sample costs in operations and bytes.

Nothing here knows a library: every adapter gets the same sizes, the same initial weights and the same samples.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

SGD_RATE = 1e-3
ADAM_RATE = 1e-4  # small enough that no unit dies and no moment turns denormal in the thousands of repeated epochs


class Network(NamedTuple):
    """Layer sizes and one activation per hidden layer; softmax cross-entropy at the end."""

    name: str
    sizes: tuple[int, ...]
    activations: tuple[str, ...]

    @property
    def depth(self) -> int:
        return len(self.sizes) - 1

    @property
    def n_weights(self) -> int:
        return sum(a * b for a, b in itertools.pairwise(self.sizes))

    @property
    def n_parameters(self) -> int:
        return self.n_weights + sum(self.sizes[1:])

    @property
    def forward_flops(self) -> int:
        """Of one sample: a multiplication and an addition per weight."""
        return 2 * self.n_weights

    @property
    def training_flops(self) -> int:
        """Of one sample: forward, gradient, and the deltas of all layers but the first, which has no one to tell."""
        return 4 * self.n_weights + 2 * (self.n_weights - self.sizes[0] * self.sizes[1])

    def bytes(self, dtype: str) -> int:
        return self.n_parameters * np.dtype(dtype).itemsize


def _network(name: str, *sizes: int, activations: tuple[str, ...] = ("relu", "sigmoid")) -> Network:
    return Network(name, sizes, activations)


NETWORKS = {
    network.name: network
    for network in (
        _network("T", 4, 8, 8, 3),
        _network("D", 64, 64, 32, 10),
        _network("M", 784, 128, 64, 10),
        _network("L", 784, 1024, 1024, 10),
        _network("B", 30, 256, 256, 256, 2, activations=("relu", "relu", "relu")),
    )
}

FULL_ROWS = {"T": 16384, "D": 4096, "M": 1024, "L": 256, "B": 2048}  # of an epoch, where a competitor is quick enough


def rate(solver: str) -> float:
    return ADAM_RATE if solver == "adam" else SGD_RATE


@contextlib.contextmanager
def rates(sgd: float, adam: float) -> Iterator[None]:
    """Other learning rates for a while: large enough for a wrong gradient to show."""
    global SGD_RATE, ADAM_RATE
    before = SGD_RATE, ADAM_RATE
    SGD_RATE, ADAM_RATE = sgd, adam
    try:
        yield
    finally:
        SGD_RATE, ADAM_RATE = before


@functools.lru_cache(4)
def data(network: Network, n: int, dtype: str) -> tuple[np.ndarray, np.ndarray]:
    """n samples and labels that a linear map decides, in part: there is something to learn, and never enough."""
    random = np.random.default_rng(0)
    guide = random.normal(size=(network.sizes[0], network.sizes[-1]))
    X = random.normal(size=(n, network.sizes[0]))
    y = (X @ guide + random.normal(size=(n, network.sizes[-1])) * np.sqrt(network.sizes[0])).argmax(axis=1)
    return X.astype(dtype), y.astype(np.intp)


def initial(network: Network, dtype: str) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """W_l of shape (d_l, d_{l-1}) and b_l of shape (d_l,): the same numbers for every competitor, a copy for each."""
    W, b = _initial(network.sizes, dtype)
    return [part.copy() for part in W], [part.copy() for part in b]


@functools.lru_cache(2)
def _initial(sizes: tuple[int, ...], dtype: str) -> tuple[list[np.ndarray], list[np.ndarray]]:
    random = np.random.default_rng(1)
    W, b = [], []
    for before, after in itertools.pairwise(sizes):
        bound = np.sqrt(6 / (before + after))
        W.append(random.uniform(-bound, bound, (after, before)).astype(dtype))
        b.append(random.uniform(-bound, bound, after).astype(dtype))
    return W, b


def flat(W: list[np.ndarray], b: list[np.ndarray]) -> np.ndarray:
    """W_1, b_1, W_2, b_2, ... in one block, for the competitors that compute on one; aligned as vectors like it."""
    parts = [part.ravel() for pair in zip(W, b, strict=True) for part in pair]
    block = aligned(sum(part.size for part in parts), parts[0].dtype)
    np.concatenate(parts, out=block)
    return block


def unflat(theta: np.ndarray, sizes: tuple[int, ...]) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """The views that `flat` made one block of."""
    W, b, at = [], [], 0
    for before, after in itertools.pairwise(sizes):
        W.append(theta[at : at + before * after].reshape(after, before))
        at += before * after
        b.append(theta[at : at + after])
        at += after
    return W, b


def unflat_transposed(theta: np.ndarray, sizes: tuple[int, ...]) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """The same of a block of W_1^T, b_1, ..., each weight turned back to (d_l, d_{l-1})."""
    W, b = unflat(theta, sizes)
    return [w.reshape(w.shape[::-1]).T for w in W], b


def aligned(n: int, dtype: object, boundary: int = 64) -> np.ndarray:
    size = np.dtype(dtype).itemsize
    memory = np.zeros(n * size + boundary, np.uint8)
    start = -memory.ctypes.data % boundary
    return memory[start : start + n * size].view(dtype)
