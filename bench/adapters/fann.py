"""FANN, the C library: incremental training, and its batch training over one batch after the other."""

from __future__ import annotations

import ctypes
import functools
import subprocess
import weakref
from typing import Any

import numpy as np

from .. import compiler
from ..networks import Network, rate
from .base import Adapter, Idioms
from .c_reference import pointer


@functools.cache
def functions(dtype: str) -> ctypes.CDLL:
    double = dtype == "float64"
    name = "doublefann" if double else "floatfann"
    built = compiler.library(
        "adapters/fann.c", *compiler.FAST, f"-DDOUBLE={int(double)}", libraries=(f"-l{name}", "-lm")
    )
    built.make.restype = built.rows.restype = ctypes.c_void_p
    built.make.argtypes = [ctypes.c_uint, ctypes.c_void_p, ctypes.c_double, ctypes.c_int]
    built.rows.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint, ctypes.c_uint, ctypes.c_uint]
    built.set_weights.argtypes = [ctypes.c_void_p, ctypes.c_double]
    built.error.restype = ctypes.c_double
    built.error.argtypes = [ctypes.c_void_p, ctypes.c_void_p]
    return built


class Net:
    """A network of FANN, freed when Python lets go of it."""

    def __init__(self, network: Network, dtype: str, batch: bool = False):
        self.network, self.call = network, functions(dtype)
        sizes = np.array(network.sizes, np.uintc)
        self.at = ctypes.c_void_p(self.call.make(len(sizes), sizes.ctypes.data, rate("sgd"), int(batch)))
        self.call.set_weights(self.at, float(np.sqrt(6 / (network.sizes[0] + network.sizes[1]))))
        weakref.finalize(self, self.call.destroy, self.at)

    def rows(self, X: np.ndarray, Y: np.ndarray) -> ctypes.c_void_p:
        made = self.call.rows(X.ctypes.data, Y.ctypes.data, len(X), X.shape[1], Y.shape[1])
        return ctypes.c_void_p(made)


class Epoch:
    """FANN keeps its parameters in an order of its own: the tests see that its error falls instead."""

    def __init__(self, network: Network, X: np.ndarray, y: np.ndarray, batch_size: int):
        self.net = Net(network, X.dtype.name, batch_size > 1)
        self.X = X
        self.Y = np.eye(network.sizes[-1], dtype=X.dtype)[y]
        starts = range(0, len(X), batch_size) if batch_size > 1 else ()
        batches = [self.net.rows(X[i : i + batch_size], self.Y[i : i + batch_size]) for i in starts]
        self.batches = (ctypes.c_void_p * len(batches))(*batches)
        weakref.finalize(self, drop_all, self.net.call, batches)

    def __call__(self) -> None:
        call, X = self.net.call, self.X
        if len(self.batches):
            call.train_batches(self.net.at, self.batches, ctypes.c_long(len(self.batches)))
        else:
            sizes = (ctypes.c_long(number) for number in (len(X), X.shape[1], self.Y.shape[1]))
            call.train_samples(self.net.at, pointer(X), pointer(self.Y), *sizes)

    def loss(self) -> float:
        data = self.net.rows(self.X, self.Y)
        try:
            return float(self.net.call.error(self.net.at, data))
        finally:
            self.net.call.drop(data)


def drop_all(call: ctypes.CDLL, batches: list[Any]) -> None:
    for batch in batches:
        call.drop(batch)


class Fann(Adapter):
    name = "FANN"
    note = "sigmoid in every layer and squared error, as it has no ReLU and no softmax"

    def available(self) -> str | None:
        try:
            functions("float32")
        except compiler.CompilerError as error:
            return f"libfann-dev is not installed: {error}" if compiler.compiler() else str(error)
        return None

    def version(self) -> str:
        shown = subprocess.run(["pkg-config", "--modversion", "fann"], capture_output=True, text=True)
        return shown.stdout.strip()

    def trainers(
        self, network: Network, X: np.ndarray, y: np.ndarray, batch_size: int, solver: str, dtype: str
    ) -> Idioms:
        if solver != "sgd":
            return {}
        return {"fann_train" if batch_size == 1 else "fann_train_epoch": lambda: Epoch(network, X, y, batch_size)}

    def ones(self, network: Network, x: np.ndarray) -> Idioms:
        return {"fann_run, by ctypes": lambda: functools.partial(predictor(network, x.dtype.name), x)}

    def manys(self, network: Network, X: np.ndarray) -> Idioms:
        return {"fann_run": lambda: functools.partial(predictor(network, X.dtype.name), X)}


def predictor(network: Network, dtype: str) -> Any:
    net = Net(network, dtype)
    inputs, outputs = (ctypes.c_long(network.sizes[end]) for end in (0, -1))

    def predict(X: np.ndarray) -> np.ndarray:
        n = 1 if X.ndim == 1 else len(X)
        out = np.empty((*X.shape[:-1], network.sizes[-1]), dtype)
        net.call.predict(net.at, pointer(X), ctypes.c_long(n), inputs, outputs, pointer(out))
        return out

    return predict
