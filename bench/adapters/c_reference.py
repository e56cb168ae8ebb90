"""The C reference: reference.c compiled on the spot, called by ctypes.

Its idioms are what a C programmer would try: three passes over each W or two (the pull of the deltas and the update in
one), and vectors as wide as the compiler likes or as wide as the machine has.
"""

from __future__ import annotations

import ctypes
import functools
import platform
from collections.abc import Callable
from typing import Any

import numpy as np

from .. import compiler
from ..networks import Network, aligned, flat, initial, rate, unflat, unflat_transposed
from .base import Adapter, Idioms

WIDTHS = {"": ()}
if platform.machine() in ("x86_64", "AMD64"):
    WIDTHS["-mprefer-vector-width=512"] = ("-mprefer-vector-width=512",)  # GCC prefers 256 on most CPUs that have 512
CODES = {"relu": 0, "sigmoid": 1}
CHUNK = 64  # rows of a batch in inference


def functions(dtype: str, width: str) -> ctypes.CDLL:
    real = {"float32": "float", "float64": "double"}[dtype]
    return compiler.library("adapters/reference.c", *compiler.FAST, *WIDTHS[width], f"-DREAL={real}")


class Memory:
    """A network's arrays as C takes them; weights transposed for batches."""

    def __init__(self, network: Network, dtype: str, rows: int, transposed: bool):
        self.network, self.transposed = network, transposed
        W, b = initial(network, dtype)
        self.theta = flat([w.T if transposed else w for w in W], b)
        self.d = np.array(network.sizes, np.int_)
        self.s = np.array([CODES[name] for name in network.activations] or [0], np.intc)
        self.o = aligned(rows * sum(network.sizes), dtype)
        self.delta = aligned(2 * rows * sum(network.sizes), dtype)

    def head(self) -> tuple[Any, ...]:
        return (ctypes.c_long(self.network.depth), pointer(self.d), pointer(self.s), pointer(self.theta))

    def parameters(self) -> tuple[list[np.ndarray], list[np.ndarray]]:
        if not self.transposed:
            return unflat(self.theta, self.network.sizes)
        return unflat_transposed(self.theta, self.network.sizes)


class Samples:
    """SGD with batch size 1."""

    def __init__(self, network: Network, X: np.ndarray, y: np.ndarray, width: str, fused: bool):
        self.memory, self.kept = Memory(network, X.dtype.name, 2, False), (X, y)
        self.parameters = self.memory.parameters
        self.call = functools.partial(
            functions(X.dtype.name, width).train_samples,
            *self.memory.head(), pointer(X), pointer(y), ctypes.c_long(len(X)), ctypes.c_double(rate("sgd")),
            ctypes.c_int(fused), pointer(self.memory.delta),
        )  # fmt: skip

    def __call__(self) -> None:
        self.call()


class Batches:
    """Batches, with SGD or Adam."""

    def __init__(self, network: Network, X: np.ndarray, y: np.ndarray, batch_size: int, solver: str, width: str):
        self.memory, self.kept = Memory(network, X.dtype.name, batch_size, True), (X, y)
        self.parameters = self.memory.parameters
        size, dtype = network.n_parameters, X.dtype
        self.gradient, self.state = aligned(size, dtype), aligned(2 * size, dtype)
        self.t = 0
        self.run = functions(dtype.name, width).train_batches
        self.run.restype = ctypes.c_long
        self.before = (
            *self.memory.head(), pointer(X), pointer(y), ctypes.c_long(len(X)), ctypes.c_long(batch_size),
            ctypes.c_double(rate(solver)), pointer(self.gradient), pointer(self.state) if solver == "adam" else None,
        )  # fmt: skip
        self.after = (pointer(self.memory.o), pointer(self.memory.delta))

    def __call__(self) -> None:
        self.t = self.run(*self.before, ctypes.c_long(self.t), *self.after)


class CReference(Adapter):
    name = "C reference"
    note = "plain loops, -O3 -march=native -ffast-math; a call on one sample pays for ctypes"

    def available(self) -> str | None:
        try:
            functions("float32", "")
        except compiler.CompilerError as error:
            return str(error)
        return None

    def version(self) -> str:
        return compiler.version()

    def trainers(
        self, network: Network, X: np.ndarray, y: np.ndarray, batch_size: int, solver: str, dtype: str
    ) -> Idioms:
        y = y.astype(np.int_)
        if batch_size == 1 and solver == "sgd":
            ways = {"three passes": False, "fused": True}
            return {
                label(way, width): functools.partial(Samples, network, X, y, width, fused)
                for way, fused in ways.items()
                for width in widths()
            }
        return {
            label("ikj loops", width): functools.partial(Batches, network, X, y, batch_size, solver, width)
            for width in widths()
        }

    def ones(self, network: Network, x: np.ndarray) -> Idioms:
        """By ctypes, which costs about a microsecond of its own."""
        return {label("ctypes", width): lambda width=width: one(network, x, width) for width in widths()}

    def manys(self, network: Network, X: np.ndarray) -> Idioms:
        found: Idioms = {}
        for width in widths():
            found[label("row by row", width)] = lambda width=width: many(network, X, width, 1)
            found[label("ikj loops", width)] = lambda width=width: many(network, X, width, CHUNK)
        return found


def one(network: Network, x: np.ndarray, width: str) -> Callable[[], np.ndarray]:
    memory = Memory(network, x.dtype.name, 1, False)
    run = functions(x.dtype.name, width).predict_samples
    head, n, work = memory.head(), ctypes.c_long(1), pointer(memory.o)
    outputs, dtype = network.sizes[-1], x.dtype

    def predict(x: np.ndarray) -> np.ndarray:
        out = np.empty(outputs, dtype)
        run(*head, ctypes.c_void_p(x.ctypes.data), n, ctypes.c_void_p(out.ctypes.data), work)
        return out

    predict.memory = memory
    return functools.partial(predict, x)


def many(network: Network, X: np.ndarray, width: str, chunk: int) -> Callable[[], np.ndarray]:
    memory = Memory(network, X.dtype.name, chunk, chunk > 1)
    built = functions(X.dtype.name, width)
    run = built.predict_batches if chunk > 1 else built.predict_samples
    rows = (ctypes.c_long(len(X)), *((ctypes.c_long(chunk),) if chunk > 1 else ()))
    head, work = memory.head(), pointer(memory.o)

    def predict(X: np.ndarray) -> np.ndarray:
        out = np.empty((len(X), network.sizes[-1]), X.dtype)
        run(*head, pointer(X), *rows, pointer(out), work)
        return out

    predict.memory = memory
    return functools.partial(predict, X)


def pointer(array: np.ndarray) -> ctypes.c_void_p:
    return ctypes.c_void_p(array.ctypes.data)


def label(way: str, width: str) -> str:
    return f"{way} {width}".strip()


def widths() -> list[str]:
    """Those that the compiler takes: Clang for a CPU without such vectors does, others may not."""
    found = []
    for width in WIDTHS:
        try:
            functions("float32", width)
            found.append(width)
        except compiler.CompilerError:
            continue
    return found
