"""What a training is validated on, and by which score."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from . import validation as check
from .labels import Task
from .model import Model, score_of
from .options import Options
from .validation import Array, RandomSource
from .weights import by_class, moderate

SCORES = ("accuracy", "r2", "loss")


def validation_set(
    model: Model, X: Array, targets: Array, weights: Array | None, weights_name: str, X_val: Any, y_val: Any,
    class_weight: Any, options: Options, random: Any,
) -> tuple[Array, tuple[Array, Array, Array | None] | None]:  # fmt: skip
    """The rows to train on, and the inputs, targets and weights to validate on, if there are to be some."""
    everything = np.arange(len(X), dtype=np.intp)
    task, network = model._task, model.network
    if X_val is not None:
        check.same_columns("X_val", X_val, model.feature_names_in_)
        X_val = network._rows(X_val, "X_val")
        encoded = task.targets("y_val", y_val, len(X_val))
        encoded = check.targets(
            "y_val", encoded, len(X_val), task.outputs, network.loss_name, network.dtype, network._kernels
        )  # fmt: skip
        weights = by_class(task, class_weight, "y_val", encoded, None, network.dtype)
        return everything, (X_val, encoded, None if weights is None else moderate(weights)[0])
    if not options.early_stopping:
        return everything, None
    stratify = targets.reshape(len(X)) if task.kind in ("binary", "multiclass") else None
    rows, held = hold_out(len(X), options.validation_fraction, stratify, random)
    if stratify is not None:
        _refuse_unseen(task, stratify, rows)
    refuse_weightless(weights_name, weights, rows, held)
    weights = None if weights is None else weights.take(held)
    return rows, (X.take(held, axis=0), targets.take(held, axis=0), weights)  # indexing would not name a MemoryError


def hold_out(n: int, fraction: float, classes: Array | None, random: RandomSource) -> tuple[Array, Array]:
    """Indices to train on and indices to validate on, each class in both by its share.

    The samples are put in random order within each class, and every k-th is held out.
    """
    held = max(1, round(n * fraction))
    if held >= n:
        raise ValueError(
            f"validation_fraction={fraction} of {n} samples leaves none to train on: expected more samples"
        )
    order: Array = np.arange(n, dtype=np.intp)
    random.shuffle(order)
    if classes is not None:
        order = order[np.argsort(classes[order], kind="stable")]
    taken = np.zeros(n, bool)
    taken[((np.arange(held) + 0.5) * n / held).astype(np.intp)] = True
    return np.sort(order[~taken]), np.sort(order[taken])


def _refuse_unseen(task: Task, classes: Array, rows: Array) -> None:
    """A class of which nothing is left to train on."""
    unseen = np.setdiff1d(classes, classes[rows])
    if len(unseen):
        label = task.decoded(unseen).tolist()[0]
        raise ValueError(
            f"early_stopping would hold out all samples of class {check.shown(label)}: expected more of them, or X_val "
            "and y_val"
        )


def refuse_weightless(name: str, weights: Array | None, rows: Array, held: Array) -> None:
    """A part of the samples, to train on or held out, that weighs nothing."""
    if weights is not None and not (weights[rows].any() and weights[held].any()):
        raise ValueError(
            f"{name} is zero for all the {len(rows)} samples to train on, or for all the {len(held)} held out: "
            "expected a positive one in each part, or X_val and y_val"
        )


def refuse_single(held: int) -> None:
    """As many samples to validate by R2."""
    if held < 2:
        raise ValueError(
            "the validation set has 1 sample, of which R2 says nothing: expected more samples in X_val, or to hold "
            "out of X, or scoring='loss'"
        )


def validator(
    model: Model, held: tuple[Array, Array, Array | None], scoring: Any, labels: Any
) -> Callable[[], tuple[float, float]]:
    """The score and the loss of the samples held; `labels` are y_val, if they came by it."""
    X, targets, weights = held
    task, network = model._task, model.network
    if callable(scoring) and labels is None:
        labels = task.decoded(targets)

    def validate() -> tuple[float, float]:
        loss = network._engine.loss(X, targets, weights, 0.0, True)
        if callable(scoring):
            return number_of(scoring, scoring(model, X, labels)), loss
        if scoring == "loss":
            return -loss, loss
        return score_of(task, network.forward(X), targets, weights), loss

    if scoring in ("accuracy", "r2") and (scoring == "accuracy") != task.is_classifier:
        own = "accuracy" if task.is_classifier else "r2"
        raise ValueError(f"scoring={scoring!r}: expected {own}, loss or a callable for {task.kind}")
    if scoring in (None, "r2") and not task.is_classifier:
        refuse_single(len(X))
    return validate


def check_scoring(scoring: Any) -> None:
    if callable(scoring):
        refuse_metric(scoring)
    elif scoring is not None:
        check.choice("scoring", scoring, SCORES)


def refuse_metric(scoring: Any) -> None:
    """A callable that does not take a model, X and y, as far as it says what it takes."""
    import inspect  # here: `import cmlp` is to stay quick

    try:
        takes = inspect.signature(scoring)
    except (TypeError, ValueError):
        return
    try:
        takes.bind(None, None, None)
    except TypeError as error:
        raise TypeError(f"scoring={check.shown(scoring)}: expected a callable of a model, X and y ({error})") from None


def number_of(scoring: Any, score: Any) -> float:
    """What a function for `scoring` returned."""
    said = f"scoring={check.shown(scoring)} returned {check.shown(score)}: expected a number, higher being better"
    try:
        if isinstance(score, str | bytes):
            raise TypeError
        number = float(score)
    except (TypeError, ValueError, OverflowError):
        raise TypeError(said) from None
    if math.isnan(number):
        raise ValueError(said)
    return number
