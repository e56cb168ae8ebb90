"""The epoch loop: order of the samples, learning rate, validation, when to stop."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import numpy as np

from . import validation as check
from .network import Network
from .options import Options
from .threads import number_of_threads
from .validation import Array

SMALLEST_ADAPTIVE_RATE = 1e-6
LONGEST_PLAN = 2**40  # epochs; many more cannot be counted in floats
PLANNED = ("cosine", "one_cycle")  # for max_iter epochs, after which the rate is 0 or almost


class History:
    """What a training run leaves behind, for those who read it and for a run that goes on; names as scikit-learn's.

    Attributes
    ----------
    loss_curve_, validation_scores_, validation_loss_curve_, best_loss_, best_validation_score_, converged_, n_iter_
        As `Model` has them.
    samples_seen : int
    stalled : int
        Epochs in a row without improvement.
    best_watched : float
        The least of what is to improve where nothing is validated, in this fit.
    best_parameters : ndarray or None
        Those of best_validation_score_.
    """

    def __init__(
        self,
        loss_curve_: list[float] | None = None,
        validation_scores_: list[float] | None = None,
        best_loss_: float = math.inf,
        best_validation_score_: float | None = None,
        converged_: bool = False,
        validation_loss_curve_: list[float] | None = None,
    ):
        self.loss_curve_ = [] if loss_curve_ is None else loss_curve_
        self.validation_scores_ = validation_scores_
        self.validation_loss_curve_ = validation_loss_curve_
        self.best_loss_ = best_loss_
        self.best_validation_score_ = best_validation_score_
        self.converged_ = converged_
        self.best_watched = best_loss_
        self.samples_seen = 0
        self.stalled = 0
        self.best_parameters: Array | None = None

    @property
    def n_iter_(self) -> int:
        return len(self.loss_curve_)

    def begin_fit(self) -> None:
        """For a fit that goes on, maybe on other data: the best of these is not known, the curves go on."""
        self.best_validation_score_ = self.best_parameters = None
        self.best_watched, self.stalled, self.converged_ = math.inf, 0, False

    def __setstate__(self, state: dict[str, Any]) -> None:
        """What another version did not keep is as it would be without a run before."""
        check.state("History", state, ("loss_curve_", "best_loss_"))
        self.__dict__.update({**vars(History(best_loss_=state["best_loss_"])), **state})


class Solver:
    """A solver with its learning rate eta by epoch, as scikit-learn defines the first three schedules.

    constant: eta_0.  invscaling: eta_0 / (t + 1)^power_t after t samples.  adaptive: a fifth of what it was each time
    that training stalls.  cosine: eta_0 (1 + cos(pi e / max_iter)) / 2 in epoch e = 0, 1, ...  one_cycle: from
    eta_0 / 25 up to eta_0 over the first 30 % of all updates, then down to eta_0 / 250,000, both along half a cosine
    (Smith and Topin, 2019).  Over the first `warmup_epochs` any of them is scaled up from 0 in equal steps.

    Parameters
    ----------
    options : Options
    seed : int
        Of the dropout.

    Attributes
    ----------
    learning_rate : float
        Of the epoch to come, before any warm-up.
    last_rate : float
        Of the last update of the epoch at hand.
    epochs : int
        Behind it.
    """

    def __init__(self, options: Options, seed: int = 0):
        self.options, self.seed = options, seed
        self.learning_rate = float(options.learning_rate_init)
        self.last_rate = self.learning_rate
        self.epochs = 0

    def __setstate__(self, state: dict[str, Any]) -> None:
        options = check.state("Solver", state, ("options",))["options"]
        if not isinstance(options, Options):
            raise TypeError(f"the options of a pickled Solver are {check.shown(options)}: expected Options")
        self.__dict__.update({**vars(Solver(options)), **state})

    def begin(self, network: Network) -> None:
        """Sets the network's engine up for an epoch, from a fresh state for the first."""
        if self.epochs == 0:
            network._engine.reset_solver()
        network._set_solver(*self.settings())

    def settings(self) -> tuple[Any, ...]:
        """As `Network._set_solver` takes them."""
        options = self.options
        return (
            options.solver, self.learning_rate,
            options.momentum if options.solver == "sgd" else 0.0,
            options.nesterovs_momentum and options.momentum > 0,
            options.alpha, options.beta_1, options.beta_2, options.epsilon, options.epsilon_outside,
            options.max_grad_norm or 0.0,
        )  # fmt: skip

    def rates(self, updates: int) -> Array | None:
        """The rate of each of the coming epoch's updates, where it is not one for all."""
        options = self.options
        self.last_rate = self.learning_rate
        if options.learning_rate != "one_cycle" and self.epochs >= options.warmup_epochs:
            return None
        update = self.epochs * updates + np.arange(updates)
        rates: Array = np.full(updates, self.learning_rate)
        if options.learning_rate == "one_cycle":
            rates = one_cycle(update, min(options.max_iter, LONGEST_PLAN) * updates, options.learning_rate_init)
        if options.warmup_epochs > 0:
            rates *= np.minimum(1, (update + 1) / (options.warmup_epochs * updates))
        self.last_rate = float(rates[-1])
        return rates

    def is_over(self) -> bool:
        """Whether the schedule was made for fewer epochs than the next."""
        return self.options.learning_rate in PLANNED and self.epochs >= self.options.max_iter

    def epoch_ends(self, samples_seen: int) -> None:
        self.epochs += 1
        first = self.options.learning_rate_init
        if self.options.learning_rate == "invscaling":
            self.learning_rate = first / (samples_seen + 1) ** self.options.power_t
        elif self.options.learning_rate == "cosine":
            self.learning_rate = (
                first * (1 + math.cos(math.pi * self.epochs / min(self.options.max_iter, LONGEST_PLAN))) / 2
            )

    def serves(self, options: Options) -> bool:
        """Whether it is what other options ask for, but for what each update takes from them anyway."""
        mine = self.options
        schedule = ("solver", "learning_rate", "learning_rate_init", "power_t")
        return all(getattr(mine, name) == getattr(options, name) for name in schedule)

    def can_shrink(self) -> bool:
        """After a stall: whether to go on at a smaller rate, which is then in force."""
        if self.options.learning_rate != "adaptive" or self.learning_rate <= SMALLEST_ADAPTIVE_RATE:
            return False
        self.learning_rate /= 5
        return True


def one_cycle(update: Array, updates: int, highest: float) -> Array:
    """Learning rates of the updates of these numbers, from 0, of so many in all."""
    first, last = highest / 25, highest / 250_000
    peak = 0.3 * updates - 1
    down = np.clip((update - peak) / (updates - 1 - peak), 0, 1)
    up = np.clip(update / peak, 0, 1) if peak > 0 else np.ones(len(update))
    rising = highest + (first - highest) * (1 + np.cos(np.pi * up)) / 2
    falling = last + (highest - last) * (1 + np.cos(np.pi * down)) / 2
    return np.where(update <= peak, rising, falling)


class Watch:
    """Counts the epochs without improvement and keeps the best parameters of a validated run.

    With `outputs`, what is to improve is the loss per output and the L2 term, as in scikit-learn's squared error.
    """

    def __init__(
        self,
        network: Network,
        history: History,
        tol: float,
        n_iter_no_change: float,
        validate: Callable[[], tuple[float, float]] | None = None,
        outputs: int = 1,
    ):
        self.network, self.history, self.validate, self.outputs = network, history, validate, outputs
        self.tol, self.n_iter_no_change = tol, n_iter_no_change
        if validate is not None and history.validation_scores_ is None:
            history.validation_scores_, history.validation_loss_curve_ = [], []

    def epoch_ends(self, loss: float, samples: int, penalty: float = 0.0) -> None:
        """`penalty` is the part of the loss that the L2 term has."""
        history = self.history
        validated = None
        if self.validate is not None:
            with np.errstate(over="ignore", invalid="ignore"):  # of a run that diverges in the next epoch
                validated = self.validate()
        watched = loss if self.outputs == 1 else (loss - penalty) / self.outputs + penalty
        history.samples_seen += samples
        history.loss_curve_.append(loss)
        improved = watched <= history.best_watched - self.tol if validated is None else self._improved(*validated)
        history.best_loss_ = min(history.best_loss_, loss)
        history.best_watched = min(history.best_watched, watched)
        history.stalled = 0 if improved else history.stalled + 1

    def _improved(self, score: float, loss: float) -> bool:
        history = self.history
        assert history.validation_scores_ is not None
        assert history.validation_loss_curve_ is not None
        history.validation_scores_.append(score)
        history.validation_loss_curve_.append(loss)
        best = self.history.best_validation_score_
        if best is None or score > best or math.isnan(best):
            self.history.best_validation_score_ = score
            self.history.best_parameters = self.network.parameters.copy()
        return best is None or score >= best + self.tol

    def out_of_patience(self) -> bool:
        return self.history.stalled > self.n_iter_no_change

    def restore_best(self) -> None:
        if self.validate is not None and self.history.best_parameters is not None:
            self.network.parameters[:] = self.history.best_parameters


class Samples(NamedTuple):
    """What to train on: the samples `rows` of what `Network._batch` gives."""

    X: Any
    y: Array
    weights: Array | None
    rows: Array
    relative: bool = False  # whether a batch's loss is divided by the sum of its weights

    def taken(self) -> Samples:
        """The rows on their own."""
        if len(self.rows) == len(self.y) or isinstance(self.X, tuple):
            return self
        weights = None if self.weights is None else self.weights.take(self.rows)
        rows = np.arange(len(self.rows), dtype=np.intp)
        X, y = (array.take(self.rows, axis=0) for array in (self.X, self.y))  # indexing would not name a MemoryError
        return Samples(X, y, weights, rows, self.relative)


class Keeper(Protocol):
    """What writes a run down while it goes on; `outcome` is how it ended, if it is one that has."""

    outcome: str | None

    def epoch_ends(self, outcome: str | None) -> None: ...


def train(
    network: Network,
    samples: Samples,
    solver: Solver,
    watch: Watch,
    order: Callable[[], Array] | None,
    epoch_ends: Callable[[], object],
    stalls: Callable[[bool], object] = lambda shrunk: None,
    epochs: int | None = None,
    epoch_begins: Callable[[], object] = lambda: None,
    checkpoint: Keeper | None = None,
) -> str:
    """Epochs until the loss, or what is validated, improves no more; says why it ended.

    "converged", "stopped" (`epoch_ends` returned True), "interrupted" (Ctrl-C) or "max_iter".  `order` gives the rows
    of the next epoch; None takes all as they stand.  Where the run validates, the best parameters are restored at the
    end, also where an exception ends it.  `stalls` hears whether training goes on, at a smaller rate, when the patience
    is at an end.  `epochs` are the most there may be, by default max_iter, those included that a `checkpoint` has
    behind it.

    Raises
    ------
    DivergenceError
        As `Network.fit`.
    """
    options, n = solver.options, len(samples.rows)
    batch_size = options.batch_of(n)
    threads = number_of_threads(options.n_threads, batch_size, network.parameters.size)
    keep = options.keep(len(network.layer_sizes) - 2)
    kept = None if keep is None else np.array(keep, network.dtype)
    most = options.max_iter if epochs is None else epochs
    done = solver.epochs if checkpoint is not None else 0
    outcome = checkpoint.outcome if checkpoint is not None else None
    X, y, weights, relative = samples.X, samples.y, samples.weights, samples.relative
    with network._engine:
        try:
            while outcome in (None, "max_iter") and done < most:
                done += 1
                epoch_begins()
                solver.begin(network)
                rows = order() if order is not None else None
                rates = solver.rates(-(-n // batch_size))
                seed = solver.seed
                loss = network._epoch(X, y, weights, rows, batch_size, threads, done, relative, rates, kept, seed)
                watch.epoch_ends(loss, n, network._engine.mean_penalty)
                stop = epoch_ends()
                solver.epoch_ends(watch.history.samples_seen)
                outcome = "stopped" if stop is True else _patience(watch, solver, stalls)
                if checkpoint is not None:
                    checkpoint.epoch_ends("max_iter" if outcome is None and done == most else outcome)
        except KeyboardInterrupt:
            outcome = "interrupted"
        finally:
            watch.restore_best()
    return outcome or "max_iter"


def _patience(watch: Watch, solver: Solver, stalls: Callable[[bool], object]) -> str | None:
    """ "converged" where nothing improves any more and the learning rate is not to shrink either."""
    if not watch.out_of_patience():
        return None
    shrunk = solver.can_shrink()
    stalls(shrunk)
    if shrunk:
        watch.history.stalled = 0
        return None
    watch.history.converged_ = True
    return "converged"
