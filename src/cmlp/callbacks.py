"""What is called after each epoch of a training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from . import validation as check
from .training import Solver, Watch


class EpochState(NamedTuple):
    """What a callback is called with after each epoch; returning True ends the training.

    Attributes
    ----------
    epoch : int
        From 1 on.
    loss : float
        Mean training loss of the epoch, the L2 term included.
    validation_loss, validation_score : float or None
    learning_rate : float
        Of the epoch just ended; the last update's where it changes from update to update.
    model : Model, MLPClassifier or MLPRegressor
        As it is after this epoch: one object in all of them, which the training goes on to change.  What is to be kept
        of an epoch takes ``copy.deepcopy(state.model)``.
    """

    epoch: int
    loss: float
    validation_loss: float | None
    validation_score: float | None
    learning_rate: float
    model: Any


def checked_callbacks(callbacks: Any) -> Sequence[Any]:
    heard = [] if callbacks is None else [callbacks] if callable(callbacks) else callbacks
    if not isinstance(heard, list | tuple) or not all(map(callable, heard)):
        raise TypeError(f"callbacks={check.shown(callbacks)}: expected a callable or a sequence of callables")
    return heard


def call_back(heard: Sequence[Any], watch: Watch, solver: Solver, model: Any) -> bool:
    """Whether one of the callbacks wants the training to end."""
    if not heard:
        return False
    history = watch.history
    validated = watch.validate is not None
    scores = history.validation_scores_ if validated else None
    losses = history.validation_loss_curve_ if validated else None
    state = EpochState(
        history.n_iter_, history.loss_curve_[-1], losses[-1] if losses else None, scores[-1] if scores else None,
        solver.last_rate, model,
    )  # fmt: skip
    answers = [callback(state) for callback in heard]
    refuse_spoilt(watch, solver)
    return any(isinstance(answer, bool | np.bool_) and bool(answer) for answer in answers)


def refuse_spoilt(watch: Watch, solver: Solver) -> None:
    """Parameters that a callback has written NaN or infinity into, where training is not to blame."""
    network = watch.network
    bad = network._kernels.first_not_finite(network.parameters)
    if bad >= 0:
        best = watch.validate is not None and watch.history.best_parameters is not None
        searches = solver.options.solver == "lbfgs"
        kept = "of the best validation score" if best else "of the iteration" if searches else ""
        raise ValueError(
            f"a callback made parameters[{bad}]={network.parameters[bad]}: expected finite numbers; "
            + (f"those {kept} are kept" if kept else "those from before are not kept")
        )
