"""What test_signals.py interrupts by Ctrl-C, each in a process of its own: trainings and predictions that take long."""

from __future__ import annotations

import contextlib
import itertools
import signal
import threading
import time
import warnings
from typing import NamedTuple

import numpy as np

import cmlp

N, FEATURES, CLASSES = 20_000, 50, 3
MANY = 1_000_000  # rows to predict
ENDLESS = {"max_iter": 10**6, "tol": 0.0, "n_iter_no_change": 10**6}
ESTIMATORS = ("MLPClassifier", "MLPRegressor")


class Case(NamedTuple):
    caller: str
    solver: str
    batch_size: int
    n_threads: int = 1
    is_sparse: bool = False


class Prediction(NamedTuple):
    caller: str
    method: str
    is_sparse: bool = False


STOCHASTIC = ("sgd", "adam", "adamw", "rmsprop")


SIZES = [(1, 1), (32, 1), (32, 2), (N, 1), (N, 2)]  # of a batch, with the number of threads
CALLERS = [("Network.fit", False), ("cmlp.fit", False), *itertools.product(ESTIMATORS, (False, True))]  # with sparse X
LBFGS = [Case(caller, "lbfgs", N, 1, is_sparse) for caller, is_sparse in CALLERS[1:]]
EVERY_CASE = [
    *(
        Case(caller, solver, *size, is_sparse)
        for caller, is_sparse in CALLERS
        for solver in STOCHASTIC
        for size in SIZES
    ),
    *LBFGS,
]
SOME_CASES = [  # each caller with each solver, the sizes in turn
    *(
        Case(caller, solver, *SIZES[(i + j) % len(SIZES)], is_sparse)
        for i, (caller, is_sparse) in enumerate(CALLERS)
        for j, solver in enumerate(STOCHASTIC)
    ),
    *LBFGS,
]
PREDICTIONS = [
    *(Prediction("Network", method) for method in ("forward", "loss", "loss_and_gradients")),
    *(Prediction("Model", method) for method in ("predict", "predict_proba", "score")),
    *(Prediction("MLPClassifier", method, s) for method in ("predict", "predict_proba") for s in (False, True)),
    *(Prediction("MLPRegressor", method) for method in ("predict", "score")),
]


def table(n, is_sparse=False, dtype="float64", features=FEATURES):
    X = np.random.default_rng(0).standard_normal((n, features), dtype=dtype)
    if not is_sparse:
        return X
    from scipy import sparse

    X[np.abs(X) < 2] = 0
    return sparse.csr_matrix(X)


def tell_when_training(tell):
    """Calls `tell` once the parameters of the network that is made next have changed."""
    from cmlp import fitting, network

    made = []

    class Noted(network.Network):
        def __init__(self, *arguments, **options):
            super().__init__(*arguments, **options)
            made.append((self, self.parameters.copy()))

    fitting.Network = Noted
    with contextlib.suppress(ImportError):
        from cmlp.estimators import base

        base.Network = Noted

    def watch():
        while not made or np.array_equal(made[0][0].parameters, made[0][1]):
            time.sleep(0.002)
        tell()

    threading.Thread(target=watch, daemon=True).start()
    return Noted


def train(case, tell):
    """Trains until it is interrupted; returns what then goes on: the network, and a task that trains it further."""
    X, y = table(N, case.is_sparse), np.arange(N) % CLASSES
    Noted = tell_when_training(tell)
    if case.caller == "Network.fit":
        net = Noted((FEATURES, 64, CLASSES), random_state=0)
        options = {"batch_size": case.batch_size, "n_threads": case.n_threads, "learning_rate": 1e-4}
        with contextlib.suppress(KeyboardInterrupt):
            net.fit(X, y, case.solver, epochs=10**6, **options)
        return net, lambda: net.fit(X[:50], y[:50], case.solver)
    options = {
        "hidden_layer_sizes": (64,), "solver": case.solver, "batch_size": case.batch_size, "n_threads": case.n_threads,
        "learning_rate_init": 1e-4, "random_state": 0, **ENDLESS,
    }  # fmt: skip
    if case.caller == "cmlp.fit":
        net = cmlp.fit(X, y, **options).network
        return net, lambda: net.fit(X[:50], y[:50])
    model = getattr(cmlp, case.caller)(**options).fit(X, y)
    model.set_params(max_iter=3, warm_start=True)
    return model._network, lambda: (model.fit(X[:50], y[:50]), model.predict(X[:3]))


def predict(case, tell):
    """Predicts until it is interrupted; returns the same as `train`."""
    X, y = table(MANY, case.is_sparse, "float32", 20), np.arange(MANY) % CLASSES
    few, labels = X[:100], y[:100]
    hidden = (300, 200)
    if case.caller == "Network":
        model = net = cmlp.Network((20, *hidden, CLASSES), dtype="float32", random_state=0)
    elif case.caller == "Model":
        model = cmlp.fit(few, labels, hidden_layer_sizes=hidden, max_iter=2, random_state=0)
        net = model.network
    else:
        model = getattr(cmlp, case.caller)(hidden_layer_sizes=hidden, max_iter=2, random_state=0).fit(few, labels)
        net = model._network
    arguments = (X, y) if case.method in ("loss", "loss_and_gradients", "score") else (X,)
    tell()
    try:
        getattr(model, case.method)(*arguments)
    except KeyboardInterrupt:
        return net, lambda: getattr(model, case.method)(*(a[:100] for a in arguments))
    raise AssertionError("was not interrupted")


def run(case, connection):
    """In the child: says when it is under way, when it has been interrupted, and whether all is well then."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it
    warnings.simplefilter("ignore")
    net, go_on = (train if isinstance(case, Case) else predict)(case, lambda: connection.send("under way"))
    connection.send("interrupted")
    finite, before = bool(np.isfinite(net.parameters).all()), net.parameters.copy()
    go_on()
    changed = not np.array_equal(net.parameters, before)
    connection.send((finite, changed == isinstance(case, Case), bool(np.isfinite(net.parameters).all())))
