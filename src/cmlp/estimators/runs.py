"""A fit once its arguments are checked: by the epochs of a stochastic solver, or by L-BFGS."""

from __future__ import annotations

import math
import sys
import warnings
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import numpy as np
from sklearn.base import is_regressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import get_scorer
from sklearn.model_selection import train_test_split
from sklearn.utils import _safe_indexing

from .. import validation as check
from ..callbacks import call_back, checked_callbacks, refuse_spoilt
from ..checkpoints import Checkpoint
from ..exceptions import DivergenceError
from ..held_out import number_of, refuse_single, refuse_weightless
from ..lbfgs import minimise
from ..network import Network
from ..options import Options
from ..progress import say
from ..randomness import seed_of
from ..training import PLANNED, History, Samples, Solver, Watch, train
from ..validation import Array
from ..weights import moderate
from .callbacks import FitEvents
from .inputs import chunks, naming
from .parameters import DEFAULT_BATCH, SKLEARN_SCHEDULES

SOLVER_FAILED = (
    "Solver produced non-finite parameter weights. The input data may contain large values and need to be preprocessed."
)
CURVES = (
    "loss_", "loss_curve_", "best_loss_", "validation_scores_", "validation_loss_curve_", "best_validation_score_",
)  # fmt: skip
BETWEEN = ("cmlp", "sklearn", "contextlib")
Validate = Callable[[], tuple[float, float]]


class Run:
    """What is to be trained, with all that can be refused behind it.

    Parameters
    ----------
    estimator : MLPClassifier or MLPRegressor
    network : Network
    samples : Samples
    targets : ndarray
        Those of the samples before any smoothing.
    weights_name : str
        What their weights are made of.
    incremental : bool
        Whether for partial_fit.
    """

    def __init__(
        self, estimator: Any, network: Network, samples: Samples, targets: Array, weights_name: str, incremental: bool
    ):
        self.estimator, self.network, self.incremental = estimator, network, incremental
        self.targets, self.weights_name = targets, weights_name
        self.heard = checked_callbacks(estimator.callbacks)
        self.samples, self.options = _moderate(samples, weights_name, options_of(estimator))
        self.options.keep(len(network.layer_sizes) - 2)
        self.saved: Checkpoint | None = None
        self.validate: Validate | None = None
        self.held: Any = None
        self.solver: Any = None
        self.epochs = 0

    # ---- validation --------------------------------------------------------------------------------

    def hold_out(self, X: Any, y: Any) -> None:
        """Sets samples aside to validate on, as scikit-learn chooses them; X and y are for the scorer."""
        estimator, targets, weights = self.estimator, self.targets, self.samples.weights
        with naming("validation_fraction", "one that leaves enough samples to train on and to validate on"):
            rows, held = train_test_split(
                self.samples.rows,
                random_state=estimator._random_state,
                test_size=estimator.validation_fraction,
                stratify=estimator._strata(targets),
            )
        if len(held) < 2:
            raise ValueError(
                "The validation set is too small. Increase 'validation_fraction' or the size of your dataset."
            )
        refuse_weightless(self.weights_name, weights, rows, held)
        held_weights = None if weights is None else weights[held]
        scored = (_safe_indexing(X, held), y[held]) if estimator._scores_by_scorer() else (None, None)
        X_held = chunks(self.samples.X, self.network.layer_sizes[0], held)
        self._validate_on(X_held, targets[held], held_weights, *scored)
        self.samples = self.samples._replace(rows=rows)

    def validate_on(self, rows: Any, targets: Array, weights: Array | None, X: Any, y: Any) -> None:
        """Scores on these samples after each epoch; X and y are for the scorer."""
        if self.estimator.scoring is None and is_regressor(self.estimator):
            refuse_single(len(targets))
        self.held = rows, targets, weights
        self._validate_on(chunks(rows, self.network.layer_sizes[0]), targets, weights, X, y)

    def _validate_on(self, X_held: Any, targets: Array, weights: Array | None, X: Any, y: Any) -> None:
        network = self.network
        weights = None if weights is None else moderate(weights)[0]
        scoring = self.estimator.scoring
        scorer = get_scorer(scoring) if self.estimator._scores_by_scorer() else None

        def validate() -> tuple[float, float]:
            estimator = self.estimator
            loss, outputs = _loss_and_outputs(network, X_held, targets, weights)
            if not np.isfinite(outputs).all():
                return math.nan, loss
            if scorer is not None:
                with naming(f"scoring={scoring!r}", "one that suits y") if isinstance(scoring, str) else nullcontext():
                    score = scorer(estimator, X, y)
                return number_of(scoring, score), loss
            return (-loss if scoring == "loss" else estimator._score_outputs(outputs, targets, weights)), loss

        self.validate = validate

    # ---- stochastic solvers ------------------------------------------------------------------------

    def prepare(self) -> None:
        """The solver and what watches it; warns of a batch size that is too large."""
        estimator, options = self.estimator, self.options
        outputs = self.network.layer_sizes[-1] if self.network.loss_name == "squared_error" else 1
        history = History() if options.solver == "lbfgs" else estimator._history
        self.place = np.arange(len(self.samples.rows), dtype=np.intp)
        self.watch = Watch(self.network, history, options.tol, options.n_iter_no_change, self.validate, outputs)
        if options.solver == "lbfgs":
            return
        if estimator.batch_size != DEFAULT_BATCH and estimator.batch_size > len(self.samples.rows):
            warn("Got `batch_size` less than 1 or larger than sample size. It is going to be clipped")
        if not self.incremental or estimator._optimizer is None or not estimator._optimizer.serves(options):
            estimator._optimizer = Solver(options)
        self.solver = solver = estimator._optimizer
        solver.options = options
        if solver.seed == 0 and options.keep(len(self.network.layer_sizes) - 2) is not None:
            solver.seed = seed_of(estimator._random_state)
        if solver.is_over():
            raise ValueError(
                f"learning_rate={options.learning_rate!r} has come to its end after max_iter={options.max_iter} "
                "epochs: expected a larger max_iter, or another schedule"
            )
        self.network._solver_arguments(*solver.settings())

    def go_on(self, saved: Checkpoint) -> None:
        """From a checkpoint, or to one."""
        estimator, history = self.estimator, self.watch.history
        order = self.place if self.options.shuffle else None
        saved.attach(self.network, self.solver, history, self.samples, order, self.held, estimator.scoring)
        self.saved, self.epochs = saved, self.solver.epochs
        if estimator.verbose and saved.news is not None:
            say(saved.news)
        if self.epochs > 0:
            note(estimator, self.watch, self.epochs, show=False)

    def train(self, events: FitEvents) -> None:
        estimator, rows, place, shuffle = self.estimator, self.samples.rows, self.place, self.options.shuffle

        def order() -> Array:
            if shuffle:
                permutation = np.arange(len(rows), dtype=np.intp)
                estimator._random_state.shuffle(permutation)
                place[:] = place.take(permutation)  # without memory a MemoryError, which place[permutation] is not
            return rows.take(place)

        def epoch_ends() -> bool:
            self.epochs += 1
            note(estimator, self.watch, self.epochs)
            return self._call_back(events, self.solver)

        most = 1 if self.incremental else self.options.max_iter
        every_row = not shuffle and len(rows) == len(self.samples.y)
        try:
            outcome = train(
                self.network, self.samples, self.solver, self.watch, None if every_row else order, epoch_ends,
                lambda shrunk: print_stall(estimator, self.solver, self.watch, shrunk), most, events.epoch_begins,
                self.saved,
            )  # fmt: skip
        except DivergenceError as error:
            self._diverged(error)
            return
        if outcome == "interrupted":
            warn("Training interrupted by user.")
        elif outcome == "max_iter" and not self.incremental and self.options.learning_rate not in PLANNED:
            warn(
                f"Stochastic Optimizer: Maximum iterations ({most}) reached and the optimization hasn't converged yet.",
                ConvergenceWarning,
            )

    def _call_back(self, events: FitEvents, solver: Solver) -> bool:
        """Whether a callback, of ours or of scikit-learn's, wants the training to end; what it assigns is taken in."""
        stop = call_back(self.heard, self.watch, solver, self.estimator)
        if events.root is not None:
            stop = events.epoch_ends() or stop
            refuse_spoilt(self.watch, solver)
        if self.heard or events.root is not None:
            self.estimator._take_in(self)
        return stop

    def _diverged(self, error: DivergenceError) -> None:
        """A validated run falls back on its best parameters; another is at its last finite ones."""
        history, estimator = self.watch.history, self.estimator
        if self.validate is None or history.best_parameters is None:
            if not history.loss_curve_:
                history.loss_curve_.append(math.nan)
            note(estimator, self.watch, self.epochs)
            raise DivergenceError(f"{SOLVER_FAILED} ({error})") from error
        assert history.validation_scores_ is not None
        assert history.validation_loss_curve_ is not None
        for curve in (history.loss_curve_, history.validation_scores_, history.validation_loss_curve_):
            curve.append(math.nan)
        note(estimator, self.watch, self.epochs + 1)
        self.watch.restore_best()
        warn(f"{error}; the parameters of the best validation score are restored", ConvergenceWarning)

    # ---- L-BFGS ------------------------------------------------------------------------------------

    def minimise(self, events: FitEvents) -> None:
        estimator, options, watch = self.estimator, self.options, self.watch
        solver = Solver(options)

        def iteration_ends(iteration: int, loss: float) -> bool:
            watch.epoch_ends(loss, len(self.samples.rows))
            self.epochs = estimator.n_iter_ = iteration
            estimator.loss_ = loss
            if self.validate is not None:
                note_validation(estimator, watch.history)
            if estimator.verbose:
                say(f"Iteration {iteration}, loss = {loss:.8f}")
            events.epoch_begins()
            stop = self._call_back(events, solver)
            return stop or (self.validate is not None and watch.out_of_patience())

        minimum = minimise(
            self.network, self.samples, options.alpha, options.tol, options.max_iter, options.max_fun, iteration_ends
        )
        estimator.n_iter_, estimator.loss_ = minimum.n_iter, minimum.loss
        if not minimum.finite:
            raise DivergenceError(SOLVER_FAILED)
        if self.validate is not None:
            watch.restore_best()
            note_validation(estimator, watch.history)
        if minimum.problem is not None:
            warn(minimum.problem, UserWarning if minimum.interrupted else ConvergenceWarning)


def warn(message: str, category: type[Warning] = UserWarning) -> None:
    """A warning that points at the line outside cmlp and scikit-learn that called."""
    level, frame = 1, sys._getframe()
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] in BETWEEN:
        level, frame = level + 1, frame.f_back
    warnings.warn(message, category, stacklevel=level)


def options_of(estimator: Any) -> Options:
    """scikit-learn's Adam has no schedules: where it has none, neither has ours."""
    schedule = estimator.learning_rate
    if estimator.solver == "adam" and schedule in SKLEARN_SCHEDULES:
        schedule = "constant"
    return Options(
        solver=estimator.solver,
        batch_size=estimator.batch_size if isinstance(estimator.batch_size, str) else int(estimator.batch_size),
        learning_rate=schedule,
        max_iter=int(estimator.max_iter),
        shuffle=bool(estimator.shuffle),
        early_stopping=bool(estimator.early_stopping),
        validation_fraction=float(estimator.validation_fraction),
        n_iter_no_change=math.inf if estimator.n_iter_no_change == math.inf else int(estimator.n_iter_no_change),
        max_fun=int(estimator.max_fun),
        nesterovs_momentum=bool(estimator.nesterovs_momentum),
        dropout=estimator.dropout,
        input_dropout=estimator.input_dropout,
        max_grad_norm=estimator.max_grad_norm,
        warmup_epochs=estimator.warmup_epochs,
        n_threads=estimator.n_threads,
        epsilon_outside=True,
        alpha=_float("alpha", estimator.alpha),
        learning_rate_init=_float("learning_rate_init", estimator.learning_rate_init),
        power_t=_float("power_t", estimator.power_t),
        tol=_float("tol", estimator.tol),
        momentum=_float("momentum", estimator.momentum),
        beta_1=_float("beta_1", estimator.beta_1),
        beta_2=_float("beta_2", estimator.beta_2),
        epsilon=_float("epsilon", estimator.epsilon),
    ).checked_extras()


def _moderate(samples: Samples, weights_name: str, options: Options) -> tuple[Samples, Options]:
    """The same loss, alpha / sum of the weights included, where these are not too large or small to compute with."""
    if samples.weights is None:
        return samples, options
    weights, power = moderate(samples.weights)
    with np.errstate(over="ignore", under="ignore"):
        alpha = float(np.ldexp(options.alpha, -power))
    if alpha > float(np.finfo(weights.dtype).max):
        raise ValueError(
            f"{weights_name} has {samples.weights.max()} as its largest, and alpha={options.alpha} by that is too "
            f"large for {weights.dtype}: expected larger weights, or alpha=0"
        )
    return samples._replace(weights=weights), options._replace(alpha=alpha)


def _float(name: str, value: Any) -> float:
    try:
        return float(value)
    except OverflowError:
        raise ValueError(f"{name}={check.shown(value)}: expected a number that a float can hold") from None


def begin_notes(estimator: Any) -> None:
    """What a fit that has not run an epoch yet has to show; nothing of an earlier one."""
    for name in CURVES:
        estimator.__dict__.pop(name, None)
    estimator.n_iter_ = estimator.t_ = 0
    if estimator.solver != "lbfgs":
        estimator.loss_curve_ = estimator._history.loss_curve_


def note(estimator: Any, watch: Watch, epochs: int, show: bool = True) -> None:
    """The estimator takes over what an epoch leaves."""
    history, validated = watch.history, watch.validate is not None
    estimator.n_iter_ = epochs
    estimator.loss_curve_ = history.loss_curve_
    estimator.loss_ = history.loss_curve_[-1]
    estimator.t_ = history.samples_seen
    estimator._no_improvement_count = history.stalled
    note_validation(estimator, history)
    estimator.best_loss_ = None if validated else history.best_loss_
    if estimator.verbose and show:
        say(f"Iteration {epochs}, loss = {estimator.loss_:.8f}")
        if validated:
            say(f"Validation score: {estimator.validation_scores_[-1]:f}")


def note_validation(estimator: Any, history: History) -> None:
    estimator.validation_scores_ = history.validation_scores_
    estimator.validation_loss_curve_ = history.validation_loss_curve_
    estimator.best_validation_score_ = history.best_validation_score_


def print_stall(estimator: Any, solver: Solver, watch: Watch, shrunk: bool) -> None:
    if not estimator.verbose:
        return
    what = "Training loss" if watch.validate is None else "Validation score"
    since = f"for {watch.n_iter_no_change} consecutive epochs."
    if shrunk:
        then = f"Setting learning rate to {solver.learning_rate:f}"
    elif solver.options.learning_rate == "adaptive":
        then = "Learning rate too small. Stopping."
    else:
        then = "Stopping."
    say(f"{what} did not improve more than tol={watch.tol:f} {since} {then}")


def _loss_and_outputs(network: Network, pieces: Any, targets: Array, weights: Array | None) -> tuple[float, Array]:
    """The mean loss over samples that come in dense pieces, and their outputs."""
    outputs: list[Any] = []
    total, weight, start = 0.0, 0.0, 0
    for X in pieces():
        end = start + len(X)
        w = None if weights is None else weights[start:end]
        share = float(len(X)) if w is None else float(w.sum(dtype=np.float64))
        if share > 0:
            total += share * network._engine.loss(X, targets[start:end], w, 0.0, True)
        weight += share
        outputs.append(network._predict(X))
        start = end
    return total / weight, np.concatenate(outputs)


def checked_targets(name: str, network: Network, encoded: Array) -> Array:
    return check.targets(
        name, encoded, len(encoded), network.layer_sizes[-1], network.loss_name, network.dtype, network._kernels
    )
