"""The ranges of the estimators' parameters, as scikit-learn checks and words them."""

from __future__ import annotations

import os
from numbers import Integral, Real
from typing import Any

import numpy as np
from sklearn.metrics import get_scorer_names
from sklearn.utils._param_validation import Interval, Options, StrOptions

from ..network import ACTIVATION_ALIASES, ACTIVATIONS, DISTANCES
from ..options import EVERY_SOLVER, SCHEDULES

DEFAULT_BATCH = "auto"
SKLEARN_SCHEDULES = ("constant", "invscaling", "adaptive")


class Range(Interval):  # type: ignore[misc]
    """An interval of numbers that NumPy computes with: scikit-learn asks it whether they are NaN."""

    def is_satisfied_by(self, val: Any) -> bool:
        return isinstance(val, int | float | np.number) and bool(super().is_satisfied_by(val))


EVERY_ACTIVATION = StrOptions({*ACTIVATIONS, *ACTIVATION_ALIASES})
AT_LEAST_ONE = Range(Integral, 1, None, closed="left")
NOT_NEGATIVE = Range(Real, 0, None, closed="left")
POSITIVE = Range(Real, 0, None, closed="neither")
BELOW_ONE = Range(Real, 0, 1, closed="left")

CONSTRAINTS: dict[str, Any] = {
    "hidden_layer_sizes": ["array-like", AT_LEAST_ONE],
    "activation": [EVERY_ACTIVATION, list, tuple],
    "solver": [StrOptions(set(EVERY_SOLVER))],
    "alpha": [NOT_NEGATIVE],
    "batch_size": [StrOptions({DEFAULT_BATCH}), AT_LEAST_ONE],
    "learning_rate": [StrOptions(set(SCHEDULES))],
    "learning_rate_init": [POSITIVE],
    "power_t": [NOT_NEGATIVE],
    "max_iter": [AT_LEAST_ONE],
    "shuffle": ["boolean"],
    "random_state": ["random_state"],
    "tol": [NOT_NEGATIVE],
    "verbose": ["verbose"],
    "warm_start": ["boolean"],
    "momentum": [Range(Real, 0, 1, closed="both")],
    "nesterovs_momentum": ["boolean"],
    "early_stopping": ["boolean"],
    "validation_fraction": [BELOW_ONE],
    "beta_1": [BELOW_ONE],
    "beta_2": [BELOW_ONE],
    "epsilon": [POSITIVE],
    "n_iter_no_change": [AT_LEAST_ONE, Options(Real, {np.inf})],
    "max_fun": [AT_LEAST_ONE],
    "scoring": [None, StrOptions({*get_scorer_names(), "loss"}), callable],
    "callbacks": [None, callable, list, tuple],
    "dropout": [BELOW_ONE, list, tuple],
    "input_dropout": [BELOW_ONE],
    "max_grad_norm": [None, POSITIVE],
    "warmup_epochs": [NOT_NEGATIVE],
    "n_threads": [None, AT_LEAST_ONE],
    "checkpoint": [None, str, bytes, os.PathLike],
    "checkpoint_every": [AT_LEAST_ONE],
}
CLASSIFIER_CONSTRAINTS: dict[str, Any] = {
    **CONSTRAINTS,
    "class_weight": [None, dict, list, StrOptions({"balanced"})],
    "label_smoothing": [BELOW_ONE],
}
REGRESSOR_CONSTRAINTS: dict[str, Any] = {
    **CONSTRAINTS,
    "loss": [StrOptions({*DISTANCES, "poisson"})],
    "out_activation": [None, EVERY_ACTIVATION],
    "quantile": [Range(Real, 0, 1, closed="neither")],
}
