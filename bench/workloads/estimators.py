"""W9: MLPClassifier and MLPRegressor in place of scikit-learn's, with the same parameters and seed, checks included."""

from __future__ import annotations

import functools
import importlib
import importlib.util
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from ..timer import Local
from .run import Run, timed

LIBRARIES = {"cmlp": "cmlp", "scikit-learn": "sklearn.neural_network"}
PIECE = 50  # rows


class Fit(NamedTuple):
    """Epochs few enough for the slower of the two; what an epoch costs does not change with their number."""

    data: str
    text: str
    parameters: dict[str, Any]
    dtype: str = "float64"
    quick: bool = False


SGD_1 = {"solver": "sgd", "batch_size": 1, "max_iter": 1}
DEFAULTS = [
    Fit(data, "defaults", {"max_iter": 20}, dtype, (data, dtype) == ("breast_cancer", "float32"))
    for data in ("digits", "breast_cancer", "iris", "diabetes") for dtype in ("float64", "float32")
]  # fmt: skip
SINGLE = [
    Fit(data, text, parameters, dtype, (data, dtype) == ("breast_cancer", "float32"))
    for data in ("digits", "breast_cancer") for dtype in ("float64", "float32")
    for text, parameters in {
        "batch_size=1": {"batch_size": 1, "max_iter": 1},
        "sgd, batch_size=1": SGD_1,
        "sgd, batch_size=1, momentum=0": {**SGD_1, "momentum": 0},
    }.items()
]  # fmt: skip
OTHERS = [
    Fit("digits", "sgd", {"solver": "sgd", "max_iter": 20}),
    Fit("digits", "lbfgs", {"solver": "lbfgs", "max_iter": 30}),
    Fit("digits", "early_stopping", {"early_stopping": True, "max_iter": 20}),
    Fit("digits", "logistic, 256-256", {"hidden_layer_sizes": (256, 256), "activation": "logistic", "max_iter": 3}),
    Fit("digits", "tanh, alpha=0.1", {"activation": "tanh", "alpha": 0.1, "max_iter": 20}),
    Fit("iris", "lbfgs", {"solver": "lbfgs", "max_iter": 30}),
    Fit("diabetes", "lbfgs", {"solver": "lbfgs", "max_iter": 30}),
    Fit("sparse", "defaults, 1000 x 2000, 1 % filled", {"max_iter": 3}),
]
FITS = [*DEFAULTS, *SINGLE, *OTHERS]


def estimators(run: Run) -> None:
    if importlib.util.find_spec("sklearn") is None:
        run.skip("W9", "scikit-learn is not installed")
        return
    found = {}
    for fit in FITS:
        if run.plan.quick and not fit.quick:
            continue
        X, y = data_of(fit.data, fit.dtype)
        runners = {name: Local(functools.partial(fitted, name, fit, X, y)) for name in LIBRARIES}
        note(run, found, f"fit, {fit.data} {fit.dtype}, {fit.text}", timed(runners, run.plan))
    for data in ("diabetes",) if run.plan.quick else ("digits", "diabetes"):
        X, y = data_of(data, "float64")
        models = {name: fitted(name, Fit(data, "", {"max_iter": 3}), X, y) for name in LIBRARIES}
        for rows in (1, len(X)):
            runners = {name: Local(functools.partial(model.predict, X[:rows])) for name, model in models.items()}
            note(run, found, f"predict, {data}, {rows} row{'s' * (rows > 1)}", timed(runners, run.plan))
    for data in ("diabetes",) if run.plan.quick else ("digits", "diabetes"):
        X, y = data_of(data, "float64")
        models = {name: fitted(name, Fit(data, "", {"max_iter": 3}), X, y) for name in LIBRARIES}
        runners = {
            name: Local(functools.partial(model.partial_fit, X[:PIECE], y[:PIECE])) for name, model in models.items()
        }
        note(run, found, f"partial_fit, {data}, {PIECE} rows", timed(runners, run.plan))
    run.results["estimators"] = found


def note(run: Run, found: dict[str, Any], name: str, entries: dict[str, Any]) -> None:
    found[name] = entries
    us = {library: entry["us"] for library, entry in entries.items()}
    print(f"W9 {name}: cmlp {us['cmlp']:.4g} us, {us['scikit-learn'] / us['cmlp']:.1f}x", flush=True)


@functools.cache
def data_of(name: str, dtype: str) -> tuple[Any, np.ndarray]:
    from sklearn import datasets
    from sklearn.preprocessing import scale

    if name == "sparse":
        from scipy.sparse import random

        X = random(1000, 2000, 0.01, "csr", dtype, np.random.default_rng(0))
        return X, (np.asarray(X[:, :100].sum(axis=1)).ravel() > 0.5).astype(int)
    X, y = getattr(datasets, f"load_{name}")(return_X_y=True)
    return scale(X).astype(dtype), scale(y) if name == "diabetes" else y


def fitted(library: str, fit: Fit, X: Any, y: np.ndarray) -> Any:
    module = importlib.import_module(LIBRARIES[library])
    kind: Callable[..., Any] = module.MLPRegressor if fit.data == "diabetes" else module.MLPClassifier
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of epochs running out
        return kind(random_state=0, **fit.parameters).fit(X, y)
