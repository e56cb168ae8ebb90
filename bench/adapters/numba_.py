"""numba: the loops of numba_loops.py."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from ..networks import Network, flat, initial, rate, unflat, unflat_transposed
from .base import Adapter, Idioms

CODES = {"relu": 0, "sigmoid": 1}
CHUNK = 64


@functools.cache
def loops() -> Any:
    from . import numba_loops

    return numba_loops


class Memory:
    """A network's arrays as the loops take them; weights transposed for batches."""

    def __init__(self, network: Network, dtype: str, rows: int, transposed: bool):
        self.network, self.transposed = network, transposed
        W, b = initial(network, dtype)
        self.theta = flat([w.T if transposed else w for w in W], b)
        self.d = np.array(network.sizes, np.int64)
        self.s = np.array([CODES[name] for name in network.activations], np.int64)
        self.o = np.zeros((network.depth + 1, rows * max(network.sizes)), dtype)
        self.delta = np.zeros_like(self.o)
        self.head = (self.d, self.s, self.theta)

    def parameters(self) -> tuple[list[np.ndarray], list[np.ndarray]]:
        if not self.transposed:
            return unflat(self.theta, self.network.sizes)
        return unflat_transposed(self.theta, self.network.sizes)


class Epoch:
    def __init__(self, network: Network, X: np.ndarray, y: np.ndarray, batch_size: int, solver: str):
        self.memory = Memory(network, X.dtype.name, batch_size, batch_size > 1 or solver == "adam")
        self.parameters = self.memory.parameters
        self.X, self.y, self.batch_size, self.eta, self.t = X, y, batch_size, rate(solver), 0
        self.G = np.zeros_like(self.memory.theta)
        self.state = np.zeros((2, self.G.size if solver == "adam" else 0), X.dtype)

    def __call__(self) -> None:
        memory = self.memory
        if not memory.transposed:
            eta = self.X.dtype.type(self.eta)
            loops().train_samples(*memory.head, self.X, self.y, eta, memory.o, memory.delta)
            return
        self.t = loops().train_batches(
            *memory.head, self.X, self.y, self.batch_size, self.eta, self.G, self.state, self.t, memory.o, memory.delta
        )


class Numba(Adapter):
    name = "numba"
    module = "numba"
    note = "plain loops with fastmath"

    def trainers(
        self, network: Network, X: np.ndarray, y: np.ndarray, batch_size: int, solver: str, dtype: str
    ) -> Idioms:
        return {"loops": lambda: Epoch(network, X, y, batch_size, solver)}

    def ones(self, network: Network, x: np.ndarray) -> Idioms:
        memory = Memory(network, x.dtype.name, 1, False)
        run = loops().predict_one
        return {"loops": lambda: functools.partial(lambda x: run(*memory.head, x, memory.o), x)}

    def manys(self, network: Network, X: np.ndarray) -> Idioms:
        rows, batches = Memory(network, X.dtype.name, 1, False), Memory(network, X.dtype.name, CHUNK, True)

        def by_rows(X: np.ndarray) -> Any:
            return loops().predict_rows(*rows.head, X, rows.o)

        def by_batches(X: np.ndarray) -> Any:
            return loops().predict_batches(*batches.head, X, CHUNK, batches.o)

        return {
            "row by row": lambda: functools.partial(by_rows, X),
            "ikj loops": lambda: functools.partial(by_batches, X),
        }
