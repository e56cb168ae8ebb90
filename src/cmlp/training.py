"""The epoch loop: order of the samples, learning rate, validation, when to stop, progress."""

from __future__ import annotations

import math
import sys
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from . import validation as check
from .network import SOLVERS, Network
from .threads import checked_threads, number_of_threads
from .validation import Array, RandomSource

SCHEDULES = ("constant", "invscaling", "adaptive", "cosine")
AUTO_BATCH = 200
SMALLEST_ADAPTIVE_RATE = 1e-6
LARGEST = float(np.finfo(np.float32).max)  # of what either precision computes with
LARGEST_POWER = 10  # of the number of samples seen, which is to stay a float


class Options(NamedTuple):
    """The hyper-parameters of a training run; `checked` refuses those out of range."""

    solver: str = "adam"
    alpha: float = 1e-4
    batch_size: int | str = "auto"
    learning_rate: str = "constant"
    learning_rate_init: float = 1e-3
    power_t: float = 0.5
    max_iter: int = 200
    shuffle: bool = True
    tol: float = 1e-4
    verbose: bool | int = False
    momentum: float = 0.9
    nesterovs_momentum: bool = True
    early_stopping: bool = False
    validation_fraction: float = 0.1
    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-8
    n_iter_no_change: int = 10
    n_threads: int | None = None

    def checked(self) -> Options:
        return Options(
            solver=check.choice("solver", self.solver, SOLVERS),
            alpha=check.number("alpha", self.alpha, 0, LARGEST),
            batch_size=self._checked_batch_size(),
            learning_rate=check.choice("learning_rate", self.learning_rate, SCHEDULES),
            learning_rate_init=check.number("learning_rate_init", self.learning_rate_init, 0, LARGEST, open_low=True),
            power_t=check.number("power_t", self.power_t, 0, LARGEST_POWER),
            max_iter=check.whole("max_iter", self.max_iter, 1),
            shuffle=check.flag("shuffle", self.shuffle),
            tol=check.number("tol", self.tol, 0),
            verbose=self._checked_verbose(),
            momentum=check.number("momentum", self.momentum, 0, 1),
            nesterovs_momentum=check.flag("nesterovs_momentum", self.nesterovs_momentum),
            early_stopping=check.flag("early_stopping", self.early_stopping),
            validation_fraction=check.number(
                "validation_fraction", self.validation_fraction, 0, 1, open_low=True, open_high=True
            ),
            beta_1=check.number("beta_1", self.beta_1, 0, 1, open_high=True),
            beta_2=check.number("beta_2", self.beta_2, 0, 1, open_high=True),
            epsilon=check.number("epsilon", self.epsilon, 0, open_low=True),
            n_iter_no_change=check.whole("n_iter_no_change", self.n_iter_no_change, 1),
            n_threads=checked_threads(self.n_threads),
        )

    def _checked_batch_size(self) -> int | str:
        expected = "'auto' or a positive integer"
        if not isinstance(self.batch_size, str):
            return check.whole("batch_size", self.batch_size, 1, expected)
        if self.batch_size != "auto":
            raise ValueError(f"batch_size={check.shown(self.batch_size)}: expected {expected}")
        return self.batch_size

    def _checked_verbose(self) -> bool | int:
        if isinstance(self.verbose, bool | np.bool_):
            return bool(self.verbose)
        return check.whole("verbose", self.verbose, 0, "True, False or an integer, 0 or more")

    def batch_of(self, n: int) -> int:
        return min(AUTO_BATCH if self.batch_size == "auto" else int(self.batch_size), n)


class History:
    """What a training run leaves behind; the names are scikit-learn's."""

    def __init__(
        self,
        loss_curve_: list[float] | None = None,
        validation_scores_: list[float] | None = None,
        best_loss_: float = math.inf,
        best_validation_score_: float | None = None,
        converged_: bool = False,
    ):
        self.loss_curve_ = [] if loss_curve_ is None else loss_curve_
        self.validation_scores_ = validation_scores_
        self.best_loss_ = best_loss_
        self.best_validation_score_ = best_validation_score_
        self.converged_ = converged_

    @property
    def n_iter_(self) -> int:
        return len(self.loss_curve_)


class LearningRate:
    """eta by epoch, as scikit-learn defines the first three schedules.

    constant: eta_0.  invscaling: eta_0 / (t + 1)^power_t after t samples.  adaptive: a fifth of what it was each time
    that training stalls.  cosine: eta_0 (1 + cos(pi e / max_iter)) / 2 in epoch e = 0, 1, ...
    """

    def __init__(self, options: Options):
        self.options = options
        self.value = float(options.learning_rate_init)

    def epoch_ends(self, epoch: int, samples: int) -> None:
        """After `epoch` epochs and `samples` samples."""
        first = self.options.learning_rate_init
        if self.options.learning_rate == "invscaling":
            self.value = first / (samples + 1) ** self.options.power_t
        elif self.options.learning_rate == "cosine":
            self.value = first * (1 + math.cos(math.pi * epoch / self.options.max_iter)) / 2

    def can_shrink(self) -> bool:
        """After a stall: whether to go on at a smaller rate, which is then in force."""
        if self.options.learning_rate != "adaptive" or self.value <= SMALLEST_ADAPTIVE_RATE:
            return False
        self.value /= 5
        return True


class Watch:
    """Counts the epochs without improvement and keeps the best parameters of a validated run."""

    def __init__(self, network: Network, options: Options, validate: Callable[[], float] | None):
        self.network, self.options, self.validate = network, options, validate
        self.history = History(validation_scores_=None if validate is None else [])
        self.best: Array | None = None
        self.stalled = 0

    def epoch_ends(self, loss: float) -> None:
        history, tol = self.history, self.options.tol
        history.loss_curve_.append(loss)
        if self.validate is None:
            improved = loss <= history.best_loss_ - tol
        else:
            with np.errstate(over="ignore", invalid="ignore"):  # of a run that diverges in the next epoch
                score = self.validate()
            improved = self._improved(score, tol)
        history.best_loss_ = min(history.best_loss_, loss)
        self.stalled = 0 if improved else self.stalled + 1

    def _improved(self, score: float, tol: float) -> bool:
        assert self.history.validation_scores_ is not None
        self.history.validation_scores_.append(score)
        best = self.history.best_validation_score_
        if best is None or score > best or math.isnan(best):
            self.history.best_validation_score_ = score
            self.best = self.network.parameters.copy()
        return best is None or score >= best + tol

    def out_of_patience(self) -> bool:
        return self.stalled > self.options.n_iter_no_change

    def restore_best(self) -> None:
        if self.best is not None:
            self.network.parameters[:] = self.best


def train(
    network: Network,
    X: Array,
    y: Array,
    sample_weight: Array | None,
    rows: Array,
    options: Options,
    random: RandomSource,
    validate: Callable[[], float] | None = None,
    history_out: Callable[[History], None] = lambda history: None,
) -> History:
    """Epochs over the samples `rows` of X until the loss, or what `validate` returns, improves no more.

    X, y and sample_weight are as `Network._batch` gives them.  With `validate`, the parameters of the best score are
    restored at the end.  Ctrl-C ends the training with a warning.  `history_out` receives the history before the first
    epoch, so that it is at hand whatever ends the training.

    Raises
    ------
    DivergenceError
        As `Network.fit`.
    """
    rate = LearningRate(options)
    watch = Watch(network, options, validate)
    history_out(watch.history)
    batch_size = options.batch_of(len(rows))
    threads = number_of_threads(options.n_threads, batch_size, network.parameters.size)
    order = rows if options.shuffle or len(rows) < len(X) else None
    with network._engine, Progress(options) as progress:
        network._engine.reset_solver()
        try:
            for epoch in range(1, options.max_iter + 1):
                _set_solver(network, options, rate.value)
                if options.shuffle:
                    random.shuffle(rows)
                watch.epoch_ends(network._epoch(X, y, sample_weight, order, batch_size, threads, epoch))
                progress.epoch_ends(watch.history)
                rate.epoch_ends(epoch, epoch * len(rows))
                if watch.out_of_patience():
                    if not rate.can_shrink():
                        watch.history.converged_ = True
                        break
                    watch.stalled = 0
        except KeyboardInterrupt:
            kept = "last finished update" if watch.best is None else "best validation score"
            warnings.warn(f"training interrupted: the model has the parameters of the {kept}", stacklevel=3)
    watch.restore_best()
    return watch.history


def _set_solver(network: Network, options: Options, learning_rate: float) -> None:
    network._set_solver(
        options.solver, learning_rate,
        options.momentum if options.solver == "sgd" else 0.0,
        options.nesterovs_momentum and options.momentum > 0,
        options.alpha, options.beta_1, options.beta_2, options.epsilon,
    )  # fmt: skip


def hold_out(n: int, fraction: float, classes: Array | None, random: RandomSource) -> tuple[Array, Array]:
    """Indices to train on and indices to validate on, each class in both by its share.

    The samples are put in random order within each class, and every k-th is held out.
    """
    held = max(1, round(n * fraction))
    if held >= n:
        raise ValueError(
            f"validation_fraction={fraction} of {n} samples leaves none to train on: expected more samples"
        )
    order = np.arange(n, dtype=np.intp)
    random.shuffle(order)
    if classes is not None:
        order = order[np.argsort(classes[order], kind="stable")]
    taken = np.zeros(n, bool)
    taken[((np.arange(held) + 0.5) * n / held).astype(np.intp)] = True
    return np.sort(order[~taken]), np.sort(order[taken])


class Progress:
    """Epochs as they end: a tqdm bar on a terminal where tqdm is installed, else a line each; only if verbose."""

    def __init__(self, options: Options):
        self.verbose = bool(options.verbose)
        self.bar: Any = _bar(options.max_iter) if self.verbose else None

    def epoch_ends(self, history: History) -> None:
        if not self.verbose:
            return
        shown = {"loss": f"{history.loss_curve_[-1]:.6f}"}
        if history.validation_scores_:
            shown["validation"] = f"{history.validation_scores_[-1]:.4f}"
        if self.bar is not None:
            self.bar.set_postfix(shown, refresh=False)
            self.bar.update()
        else:
            print(f"epoch {history.n_iter_}, " + ", ".join(f"{k} = {v}" for k, v in shown.items()), flush=True)

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *exc: object) -> None:
        if self.bar is not None:
            self.bar.close()


def _bar(total: int) -> Any:
    try:
        terminal = sys.stderr.isatty()
    except (AttributeError, ValueError):  # none, a stand-in, or closed
        terminal = False
    if not terminal:
        return None
    try:
        from tqdm import tqdm
    except ImportError:
        return None
    return tqdm(total=total, unit="epoch")
