"""cmlp.fit: from a table to a model."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from . import validation as check
from .callbacks import call_back, checked_callbacks
from .exceptions import DivergenceError
from .held_out import check_scoring, validation_set, validator
from .labels import CLASS_LOSSES, REGRESSION_LOSSES, read_task, smoothed
from .lbfgs import minimise
from .model import Model
from .network import Network, precision
from .options import Options
from .progress import Progress, say
from .randomness import seed_of, unmoved_if_refused
from .training import Samples, Solver, Watch, train
from .validation import Array
from .weights import by_class, name_of_weights, relative

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from .checkpoints import Checkpoint


def fit(
    X: ArrayLike,
    y: ArrayLike,
    *,
    hidden_layer_sizes: Any = (256,),
    activation: Any = "relu",
    loss: str | None = None,
    solver: str = "adam",
    alpha: float = 0.0001,
    batch_size: int | str = "auto",
    learning_rate: str = "constant",
    learning_rate_init: float = 0.001,
    power_t: float = 0.5,
    max_iter: int = 200,
    shuffle: bool = True,
    random_state: Any = None,
    tol: float = 1e-4,
    verbose: bool | int = False,
    momentum: float = 0.9,
    nesterovs_momentum: bool = True,
    early_stopping: bool = False,
    validation_fraction: float = 0.1,
    beta_1: float = 0.9,
    beta_2: float = 0.999,
    epsilon: float = 1e-8,
    n_iter_no_change: int = 10,
    max_fun: int = 15000,
    n_threads: int | None = None,
    sample_weight: ArrayLike | None = None,
    class_weight: Any = None,
    X_val: ArrayLike | None = None,
    y_val: ArrayLike | None = None,
    scoring: str | Callable[..., float] | None = None,
    callbacks: Any = None,
    out_activation: str | None = None,
    quantile: float = 0.5,
    label_smoothing: float = 0.0,
    dropout: Any = 0.0,
    input_dropout: float = 0.0,
    max_grad_norm: float | None = None,
    warmup_epochs: float = 0.0,
    dtype: Any = None,
    checkpoint: Any = None,
    checkpoint_every: int = 10,
) -> Model:
    """Trains a network on a table.

    The task follows from y as scikit-learn reads it: strings, booleans, integers and whole floats are classes, floats
    with fractions are values of a regression, a matrix of 0 and 1 is multilabel; a loss for regression makes a
    regression of any numbers.

    Parameters
    ----------
    X : array-like of shape (n, features)
        Finite numbers.  Standardised columns train best.
    y : array-like of shape (n,) or (n, outputs)
    hidden_layer_sizes : int or sequence of int, default (256,)
    activation : str or sequence of str, default "relu"
        One name for all hidden layers or a name each; see `Network`.
    loss : str, optional
        binary_cross_entropy for two classes and multilabel, cross_entropy for more, squared_error for regression; or
        cross_entropy for two classes, absolute_error, huber, log_cosh, quantile or poisson for regression.
    solver : {"adam", "sgd", "adamw", "rmsprop", "lbfgs"}, default "adam"
        lbfgs takes all samples at once, by scipy.optimize, which must be installed; an epoch is then an iteration.
    alpha : float, default 0.0001
        L2 term: alpha / (2 batch size) times the sum of squared weights.
    batch_size : int or "auto", default "auto"
        Samples per update; "auto" is 200, at most n.
    learning_rate : {"constant", "invscaling", "adaptive", "cosine", "one_cycle"}, default "constant"
        Schedule: constant; learning_rate_init / (t + 1)^power_t after t samples; divided by 5 whenever the training
        stalls; falling along a half cosine to 0 at max_iter; up from a 25th over 30 % of the updates of max_iter epochs
        and down again to almost 0.
    learning_rate_init : float, default 0.001
    power_t : float in [0, 10], default 0.5
    max_iter : int, default 200
        Epochs at most.
    shuffle : bool, default True
        Whether each epoch takes the samples in a new random order.
    random_state : int, RandomState, Generator or None
        Of the initial parameters, the held-out part and the shuffles.
    tol : float, default 1e-4
        What counts as an improvement of the loss or of the validation score.
    verbose : bool or int, default False
        Progress: a bar on a terminal where tqdm is installed, else a line per epoch.
    momentum : float in [0, 1], default 0.9
        Of sgd.
    nesterovs_momentum : bool, default True
        Of sgd.
    early_stopping : bool, default False
        Whether to hold out validation_fraction of the samples, stop when their score improves no more and restore the
        best parameters.
    validation_fraction : float in (0, 1), default 0.1
    beta_1, beta_2 : float in [0, 1), default 0.9 and 0.999
        Of adam and adamw; beta_2 also of rmsprop.
    epsilon : float, default 1e-8
        Of adam, adamw and rmsprop.
    n_iter_no_change : int, default 10
        The training stops when more epochs than this in a row bring no improvement.
    max_fun : int, default 15000
        Evaluations of the loss at most, of lbfgs.
    n_threads : int, optional
        Threads that share each batch; the result is the same, to the bit, for any number.  By default as many as are
        quickest for the sizes, and one outside the main thread or in a child process.
    sample_weight : array-like of shape (n,), optional
        Relative importance of the samples: factors of their losses, scaled to a mean of one.
    class_weight : dict or "balanced", optional
        Weights by class, beside sample_weight: label to weight, 1 where left out, or n / (C * samples of the class);
        scaled with it to a mean of one.
    X_val, y_val : array-like, optional
        A validation set, which turns early stopping on and takes the place of the held-out part.
    scoring : {"accuracy", "r2", "loss"} or callable, optional
        What decides when to stop, on the validation set: accuracy for classes, R2 for values, the loss, or what
        ``scoring(model, X_val, y_val)`` returns, higher being better.  By default accuracy or R2.
    callbacks : callable or sequence of callables, optional
        Each is called with an `EpochState` after every epoch; the training ends where one returns True.
    out_activation : str, optional
        Of the last layer, for regression: any activation, by default identity.
    quantile : float in (0, 1), default 0.5
        Of loss "quantile": the share of y that is to lie below the prediction.
    label_smoothing : float in [0, 1), default 0
        Share of each target that is spread evenly over all classes (Szegedy et al., 2016).
    dropout : float or sequence of float in [0, 1), default 0
        Chance that a hidden unit is left out of an update, for all hidden layers or one each; what stays is scaled up.
    input_dropout : float in [0, 1), default 0
        The same for the inputs.
    max_grad_norm : float, optional
        An update's gradient, its L2 term left out, is shortened to this length where it is longer.
    warmup_epochs : float, default 0
        The learning rate rises from 0 in equal steps over this many epochs.
    dtype : {"float32", "float64"}, optional
        Precision of everything; by default float32 if X is, else float64.
    checkpoint : str, bytes or path-like, optional
        A file that the state of the training is written to, whole or not at all, before the first epoch, after every
        `checkpoint_every` and at the end.  Where it is there already, the training goes on from it and ends with the
        same parameters, to the bit, as one that was never interrupted; one that converged, or that a callback ended,
        is returned as it is, also for a larger max_iter.  Each training needs a file of its own.  Not for lbfgs.
    checkpoint_every : int, default 10
        Epochs.

    Returns
    -------
    Model

    Raises
    ------
    TypeError, ValueError
        For an argument that is out of its range, naming it.
    Exception
        What a callback or a function for `scoring` raises ends the training, and there is no model: one that is to
        keep it puts ``state.model`` aside, one object in all epochs, or returns True to end the training.
    DivergenceError
        If the loss or the parameters become NaN or infinite; its `model` has the last finite parameters or, with a
        validation set, the best so far.
    OSError, ModelFileError
        If the checkpoint cannot be read, is damaged, or cannot be written when the training begins; later on that is a
        warning.  ValueError if it is that of another training, or of another instruction set.

    Warns
    -----
    UserWarning
        On Ctrl-C, which ends the training; the model returned has the parameters of the last finished update or, with a
        validation set, the best so far.  Where the checkpoint cannot be written, or another file has taken its place.

    Examples
    --------
    >>> import cmlp
    >>> X = [[0, 0], [0, 1], [1, 0], [1, 1]]
    >>> model = cmlp.fit(X, ["even", "odd", "odd", "even"], hidden_layer_sizes=16, activation="tanh", solver="sgd",
    ...                  learning_rate_init=0.1, batch_size=1, max_iter=500, random_state=0)
    >>> model.predict([[0, 1], [1, 1]]).tolist()
    ['odd', 'even']

    The other examples go on from these data:

    >>> import numpy as np
    >>> random = np.random.default_rng(0)
    >>> X = random.standard_normal((300, 4))
    >>> y = np.where(X[:, 0] * X[:, 1] > 0, "same", "other")
    >>> def trained(X, y, hidden=32, **options):
    ...     return cmlp.fit(X, y, hidden_layer_sizes=hidden, learning_rate_init=0.01, random_state=0, **options)

    A class that counts ten times as much is predicted more often:

    >>> narrow = X[:, 1:]  # does not tell the classes apart
    >>> plain, weighted = (trained(narrow, y, class_weight=weights) for weights in (None, {"same": 10}))
    >>> bool((weighted.predict(narrow) == "same").sum() > (plain.predict(narrow) == "same").sum())
    True

    Smoothed labels keep the probabilities away from 0 and 1:

    >>> sharp, smooth = (trained(X, y, label_smoothing=share) for share in (0, 0.2))
    >>> bool(smooth.predict_proba(X).max() < sharp.predict_proba(X).max())
    True

    Wrong labels do no harm where their samples weigh nothing:

    >>> wrong = np.where(X[:, 3] > 0.5, "same", y)
    >>> misled, right = (trained(X, wrong, sample_weight=weights) for weights in (None, X[:, 3] <= 0.5))
    >>> right.score(X, y) > misled.score(X, y) + 0.05
    True

    With half of the hidden units left out, labels without a pattern are harder to learn by heart:

    >>> noise = random.integers(2, size=300)
    >>> free, hindered = (trained(X, noise, 128, dropout=rate) for rate in (0, 0.5))
    >>> hindered.score(X, noise) < free.score(X, noise)
    True

    The weights of a linear regression shrink by the share of the inputs that is left out:

    >>> models = [trained(X, X[:, 0], (), loss="squared_error", input_dropout=rate) for rate in (0, 0.5)]
    >>> bool(0.3 < models[1].network.weights[0][0, 0] / models[0].network.weights[0][0, 0] < 0.7)
    True

    A validation set of one's own ends the training when the loss on it falls no more; the best parameters are restored:

    >>> model = trained(X[:200], wrong[:200], X_val=X[200:], y_val=y[200:], scoring="loss")
    >>> model.n_iter_ < 200, model.best_validation_score_ == -min(model.validation_loss_curve_)
    (True, True)
    >>> model.network.loss(X[200:], y[200:] == "same") < model.validation_loss_curve_[-1]
    True

    A callback that ends the training at a certain loss:

    >>> model = trained(X, y, callbacks=lambda state: state.loss < 0.4)
    >>> model.loss_curve_[-1] < 0.4 <= min(model.loss_curve_[:-1])
    True

    A callback that notes the learning rate shows the schedules and the warm-up:

    >>> def rates(**options):
    ...     noted = []
    ...     trained(X, y, callbacks=lambda state: noted.append(state.learning_rate), **options)
    ...     return [round(rate / 0.01, 2) for rate in noted]
    >>> rates(learning_rate="cosine", max_iter=4)
    [1.0, 0.85, 0.5, 0.15]
    >>> rates(learning_rate="one_cycle", max_iter=10)
    [0.13, 0.67, 1.0, 0.95, 0.81, 0.61, 0.39, 0.19, 0.05, 0.0]
    >>> rates(warmup_epochs=4, max_iter=6)
    [0.25, 0.5, 0.75, 1.0, 1.0, 1.0]

    Gradients of length 0.02 at most make updates of sgd that, divided by the learning rate, are no longer than that:

    >>> def updates(**options):
    ...     noted = []
    ...     trained(X, y, batch_size=300, max_iter=5, alpha=0, activation="tanh", **options,
    ...             callbacks=lambda state: noted.append(state.model.network.parameters.copy()))
    ...     return np.diff(noted, axis=0)  # a row for each
    >>> free, short = (updates(solver="sgd", momentum=0, max_grad_norm=norm) / 0.01 for norm in (None, 0.02))
    >>> [bool((np.linalg.norm(gradients, axis=1) < 0.0201).all()) for gradients in (free, short)]
    [False, True]

    rmsprop divides gradients by the root of their mean square, with beta_2=0 by their size, so that updates are alike:

    >>> moves = {name: np.abs(updates(solver=name, beta_2=0)) for name in ("sgd", "rmsprop")}
    >>> {name: bool(np.quantile(move, 0.8) < 1.1 * np.quantile(move, 0.2)) for name, move in moves.items()}
    {'sgd': False, 'rmsprop': True}

    With adamw, alpha shrinks the weights and is not in the loss:

    >>> light, heavy = (trained(X, y, solver="adamw", alpha=alpha, batch_size=300) for alpha in (0, 100))
    >>> bool(np.linalg.norm(heavy.network.weights[0]) < np.linalg.norm(light.network.weights[0]))
    True
    >>> abs(heavy.loss_curve_[0] - light.loss_curve_[0]) < 1e-9  # before the first update
    True

    Losses that outliers pull at less than at the squared error:

    >>> values = X[:, 0] ** 2
    >>> spoilt = np.where(np.arange(300) % 20 == 0, values + 20, values)
    >>> def score(loss):
    ...     return trained(X, spoilt, loss=loss).score(X, values)
    >>> square = score("squared_error")
    >>> [score(loss) > square + 0.3 for loss in ("absolute_error", "huber", "log_cosh")]
    [True, True, True]

    Nine tenths of the values are to lie below the prediction:

    >>> values = X[:, 0] + random.exponential(size=300)
    >>> high = trained(X, values, loss="quantile", quantile=0.9)
    >>> bool(0.85 < (values < high.predict(X)).mean() < 0.95)
    True

    A training that is continued where it was interrupted, here after 10 of 30 epochs, and one that was not:

    >>> import os, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "training.checkpoint")
    ...     for epochs in (10, 30):
    ...         model = trained(X, y, max_iter=epochs, checkpoint=path)
    >>> bool((model.network.parameters == trained(X, y, max_iter=30).network.parameters).all())
    True

    A regression whose predictions are never negative:

    >>> free, positive = (trained(X, np.exp(X[:, 0]), out_activation=last) for last in (None, "softplus"))
    >>> bool(free.predict(2 * X).min() < 0 <= positive.predict(2 * X).min())
    True
    """
    options = Options(
        solver=solver, alpha=alpha, batch_size=batch_size, learning_rate=learning_rate,
        learning_rate_init=learning_rate_init, power_t=power_t, max_iter=max_iter, shuffle=shuffle, tol=tol,
        verbose=verbose, momentum=momentum, nesterovs_momentum=nesterovs_momentum, early_stopping=early_stopping,
        validation_fraction=validation_fraction, beta_1=beta_1, beta_2=beta_2, epsilon=epsilon,
        n_iter_no_change=n_iter_no_change, max_fun=max_fun, dropout=dropout, input_dropout=input_dropout,
        max_grad_norm=max_grad_norm, warmup_epochs=warmup_epochs, n_threads=n_threads,
    ).checked()  # fmt: skip
    if loss is not None:
        check.choice("loss", loss, CLASS_LOSSES + REGRESSION_LOSSES)
    if loss != "quantile" and check.number("quantile", quantile, 0, 1, open_low=True, open_high=True) != 0.5:
        raise ValueError(f"quantile={quantile}: expected 0.5 with loss={loss!r}, or loss='quantile'")
    if (X_val is None) != (y_val is None):
        missing = "X_val" if X_val is None else "y_val"
        raise ValueError(f"{missing}=None: expected both of X_val and y_val, or neither")
    hidden = _hidden(hidden_layer_sizes)
    options.keep(len(hidden))
    heard = checked_callbacks(callbacks)
    check_scoring(scoring)
    label_smoothing = check.number("label_smoothing", label_smoothing, 0, 1, open_high=True)
    random = check.random_source("random_state", random_state)
    saved = opened_checkpoint(checkpoint, checkpoint_every, options.solver)
    if saved is not None:
        saved.begin_random(random, given=random_state is not None)
    with unmoved_if_refused(random_state):
        columns = check.column_names(X)
        X = check.numeric_array("X", X)
        check.rows_of("X", X, None)
        task = read_task(y, loss)
        if label_smoothing and not task.is_classifier:
            raise ValueError(f"label_smoothing={label_smoothing}: expected 0 for a regression")
        chosen = precision("dtype", dtype if dtype is not None else "float32" if X.dtype == np.float32 else "float64")
        network = Network(
            (X.shape[1], *hidden, task.outputs), activation, task.loss, chosen, random, out_activation, quantile
        )  # fmt: skip
        X, targets, weights = network._batch(X, task.targets("y", y, len(X)), sample_weight, one=False)
        name = name_of_weights(class_weight, sample_weight)
        weights = by_class(task, class_weight, "y", targets, weights, chosen)
        weights = relative(check.weights(name, weights, len(X), chosen, network._kernels))
        model = Model(network, task, feature_names_in_=columns)
        rows, held = validation_set(model, X, targets, weights, name, X_val, y_val, class_weight, options, random)
        validate = None if held is None else validator(model, held, scoring, y_val)
        samples = Samples(X, smoothed(targets, task.outputs, label_smoothing, chosen), weights, rows)
        watch = Watch(network, model._history, options.tol, options.n_iter_no_change, validate)
        solver_run = Solver(options, seed_of(random) if options.keep(len(hidden)) else 0)
        if saved is not None:
            order = rows if options.shuffle else None
            saved.attach(network, solver_run, model._history, samples, order, held, scoring)
            if options.verbose and saved.news is not None:
                say(saved.news)
    try:
        with Progress(options, solver_run.epochs) as progress:
            outcome = _run(model, samples, solver_run, watch, random, heard, progress, saved)
    except DivergenceError as error:
        error.model = model
        raise
    if outcome == "interrupted":
        kept = "last finished update" if model._history.best_parameters is None else "best validation score"
        interrupted = UserWarning(f"training interrupted: the model has the parameters of the {kept}")
        interrupted.model = model  # type: ignore[attr-defined] # of one that becomes an exception
        warnings.warn(interrupted, stacklevel=2)
    return model


def _run(
    model: Model, samples: Samples, solver: Solver, watch: Watch, random: Any, heard: Sequence[Any],
    progress: Progress, saved: Checkpoint | None,
) -> str:  # fmt: skip
    options, history, rows = solver.options, watch.history, samples.rows

    def epoch_ends() -> bool:
        progress.epoch_ends(history)
        return call_back(heard, watch, solver, model)

    def order() -> Array:
        if options.shuffle:
            random.shuffle(rows)
        return rows

    if options.solver != "lbfgs":
        every_row = not options.shuffle and len(rows) == len(samples.X)
        return train(model.network, samples, solver, watch, None if every_row else order, epoch_ends, checkpoint=saved)

    stopped = False

    def iteration_ends(_: int, loss: float) -> bool:
        nonlocal stopped
        watch.epoch_ends(loss, len(rows))
        stopped = epoch_ends()
        return stopped or (watch.validate is not None and watch.out_of_patience())

    try:
        minimum = minimise(
            model.network, samples.taken(), options.alpha, options.tol, options.max_iter, options.max_fun,
            iteration_ends,
        )  # fmt: skip
    finally:
        watch.restore_best()
    history.converged_ = minimum.problem is None and not stopped
    if not minimum.finite:
        raise DivergenceError("the loss or the parameters became NaN or infinite; standardise X")
    return "interrupted" if minimum.interrupted else "converged"


def opened_checkpoint(path: Any, every: Any, solver: str) -> Checkpoint | None:
    every = check.whole("checkpoint_every", every, 1)
    if path is None:
        return None
    if solver == "lbfgs":
        raise ValueError(f"checkpoint={check.shown(path)}: expected None with solver='lbfgs'")
    from .checkpoints import Checkpoint  # here: `import cmlp` is to stay quick

    return Checkpoint(path, every)


def _hidden(sizes: Any) -> tuple[int, ...]:
    if np.isscalar(sizes):
        return (check.whole("hidden_layer_sizes", sizes, 1, "a positive integer or a sequence of them"),)
    return check.sizes("hidden_layer_sizes", sizes, 0)
