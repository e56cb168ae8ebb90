"""scikit-learn's MLPClassifier by partial_fit: one pass over the rows, as its own loop does it."""

from __future__ import annotations

import functools
import warnings
from typing import Any

import numpy as np

from ..networks import Network, initial, rate
from .base import Adapter, Idioms


def estimator(network: Network, X: np.ndarray, batch_size: int, solver: str) -> Any:
    """An MLPClassifier with the common initial weights: set up by a step, which is then forgotten."""
    from sklearn.neural_network import MLPClassifier

    made = MLPClassifier(
        network.sizes[1:-1], activation="relu", solver=solver, batch_size=batch_size, momentum=0,
        nesterovs_momentum=False, alpha=0, learning_rate_init=rate(solver), shuffle=False,
    )  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the batch being larger than this one row
        made.partial_fit(X[:1], np.zeros(1, np.intp), classes=np.arange(network.sizes[-1]))
    W, b = initial(network, X.dtype.name)
    for layer in range(network.depth):
        outputs = made.coefs_[layer].shape[1]  # two classes have one output
        made.coefs_[layer][:] = W[layer].T[:, -outputs:]
        made.intercepts_[layer][:] = b[layer][-outputs:]
    del made._optimizer  # its moments; the next partial_fit makes a new one
    return made


class Epoch:
    def __init__(self, network: Network, X: np.ndarray, y: np.ndarray, batch_size: int, solver: str):
        self.estimator = estimator(network, X, batch_size, solver)
        self.X, self.y = X, y

    def __call__(self) -> None:
        self.estimator.partial_fit(self.X, self.y)

    def parameters(self) -> tuple[list[np.ndarray], list[np.ndarray]]:
        return [W.T for W in self.estimator.coefs_], self.estimator.intercepts_


class ScikitLearn(Adapter):
    name = "scikit-learn"
    module = "sklearn"
    note = "ReLU in every hidden layer, as it has one activation for all; one logistic output for two classes"

    def trainers(
        self, network: Network, X: np.ndarray, y: np.ndarray, batch_size: int, solver: str, dtype: str
    ) -> Idioms:
        return {"partial_fit": lambda: Epoch(network, X, y, batch_size, solver)}

    def ones(self, network: Network, x: np.ndarray) -> Idioms:
        return {
            "predict_proba": lambda: functools.partial(estimator(network, x[None], 1, "sgd").predict_proba, x[None])
        }

    def manys(self, network: Network, X: np.ndarray) -> Idioms:
        return {"predict_proba": lambda: functools.partial(estimator(network, X, 1, "sgd").predict_proba, X)}
