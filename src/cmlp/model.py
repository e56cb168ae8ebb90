"""Model: a network with its labels and its task; fit, predict, save and load."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from . import validation as check
from .exceptions import DivergenceError
from .labels import CLASS_LOSSES, REGRESSION_LOSSES, Task, read_task
from .network import Network, precision
from .training import History, Options, hold_out, train
from .validation import Array

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


class Model:
    """A trained network that speaks in labels, as `cmlp.fit` and `cmlp.load` return it.

    Attributes
    ----------
    network : Network
    task : {"binary", "multiclass", "multilabel", "regression"}
    classes_ : ndarray of shape (C,) or None
        The labels, sorted; None for regression.
    n_features_in_ : int
    loss_curve_ : list of float
        Mean training loss of each epoch, the L2 term included.
    validation_scores_ : list of float or None
        Of each epoch, where there was a validation set: accuracy, or R2 for regression.
    best_loss_ : float
    best_validation_score_ : float or None
    n_iter_ : int
        Epochs run.
    converged_ : bool
        Whether the training stopped because it improved no more, rather than at max_iter.
    """

    def __init__(self, network: Network, task: Task, history: History | None = None):
        self.network = network
        self._task = task
        self._history = history if history is not None else History()

    task = property(lambda self: self._task.kind)
    classes_ = property(lambda self: self._task.classes)
    n_features_in_ = property(lambda self: self.network.layer_sizes[0])
    loss_curve_ = property(lambda self: self._history.loss_curve_)
    validation_scores_ = property(lambda self: self._history.validation_scores_)
    best_loss_ = property(lambda self: self._history.best_loss_)
    best_validation_score_ = property(lambda self: self._history.best_validation_score_)
    n_iter_ = property(lambda self: self._history.n_iter_)
    converged_ = property(lambda self: self._history.converged_)

    def __repr__(self) -> str:
        return f"Model({self.task}, {self.network!r})"

    def predict(self, X: ArrayLike) -> Any:
        """Labels, or values for regression.

        Parameters
        ----------
        X : array-like of shape (n, n_features_in_) or (n_features_in_,)

        Returns
        -------
        ndarray of shape (n,) or (n, outputs)
            One sample gives one label, or the values of its outputs.

        Raises
        ------
        ValueError
            If X has another shape or holds NaN or infinity.
        """
        return self._task.predictions(self.network.forward(X))

    def predict_proba(self, X: ArrayLike) -> Array:
        """Probabilities of the classes, in the order of `classes_`.

        Parameters
        ----------
        X : array-like of shape (n, n_features_in_) or (n_features_in_,)

        Returns
        -------
        ndarray of shape (n, C) or (C,)
            Rows sum to one; for multilabel each column is the probability of its label.

        Raises
        ------
        TypeError
            For a regression.
        ValueError
            If X has another shape or holds NaN or infinity.
        """
        if not self._task.is_classifier:
            raise TypeError("predict_proba needs a classifier: this model is a regression")
        return self._task.probabilities(self.network.forward(X))

    def score(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
        """Accuracy (of whole rows for multilabel), or R2 averaged over the outputs for regression.

        Parameters
        ----------
        X : array-like of shape (n, n_features_in_)
        y : array-like of shape (n,) or (n, outputs)
        sample_weight : array-like of shape (n,), optional
        """
        outputs = self.network.forward(check.numeric_array("X", X))
        if outputs.ndim != 2:
            raise ValueError(f"X has shape {np.shape(X)}: expected (n, {self.n_features_in_})")
        n = len(outputs)
        weights = check.weights("sample_weight", sample_weight, n, self.network.dtype, self.network._kernels)
        return _score(self._task, outputs, self._task.targets("y", y, n), weights)

    def save(self, path: Any) -> None:
        """Writes the model to a file, which is replaced whole or left alone.

        The file is in the safetensors format, with parameters W_1, b_1, ... as tensors; it holds no code.

        Raises
        ------
        OSError
            If the file cannot be written.
        ValueError
            If the labels are far larger than the network, so that `load` would refuse them.
        """
        from . import saved  # here and in `load`: `import cmlp` is to stay quick

        saved.write(path, self.network, self._task, self._history)


# ---- fit and predict -------------------------------------------------------------------------------


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
    n_threads: int | None = None,
    sample_weight: ArrayLike | None = None,
    X_val: ArrayLike | None = None,
    y_val: ArrayLike | None = None,
    dtype: Any = None,
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
        cross_entropy for two classes, absolute_error, huber or poisson for regression.
    solver : {"adam", "sgd", "adamw", "rmsprop"}, default "adam"
    alpha : float, default 0.0001
        L2 term: alpha / (2 batch size) times the sum of squared weights.
    batch_size : int or "auto", default "auto"
        Samples per update; "auto" is 200, at most n.
    learning_rate : {"constant", "invscaling", "adaptive", "cosine"}, default "constant"
        Schedule: constant; learning_rate_init / (t + 1)^power_t after t samples; divided by 5 whenever the training
        stalls; falling along a half cosine to 0 at max_iter.
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
    n_threads : int, optional
        Threads that share each batch; the result is the same, to the bit, for any number.  By default as many as are
        quickest for the sizes, and one outside the main thread or in a child process.
    sample_weight : array-like of shape (n,), optional
        Relative importance of the samples: factors of their losses, scaled to a mean of one.
    X_val, y_val : array-like, optional
        A validation set, which turns early stopping on and takes the place of the held-out part.
    dtype : {"float32", "float64"}, optional
        Precision of everything; by default float32 if X is, else float64.

    Returns
    -------
    Model

    Raises
    ------
    TypeError, ValueError
        For an argument that is out of its range, naming it.
    DivergenceError
        If the loss or the parameters become NaN or infinite; its `model` has the last finite parameters.

    Warns
    -----
    UserWarning
        On Ctrl-C, which ends the training; the model returned has the parameters of the last finished update or, with a
        validation set, the best so far.

    Examples
    --------
    >>> import cmlp
    >>> X = [[0, 0], [0, 1], [1, 0], [1, 1]]
    >>> model = cmlp.fit(X, ["even", "odd", "odd", "even"], hidden_layer_sizes=16, activation="tanh", solver="sgd",
    ...                  learning_rate_init=0.1, batch_size=1, max_iter=500, random_state=0)
    >>> model.predict([[0, 1], [1, 1]]).tolist()
    ['odd', 'even']
    """
    options = Options(
        solver=solver, alpha=alpha, batch_size=batch_size, learning_rate=learning_rate,
        learning_rate_init=learning_rate_init, power_t=power_t, max_iter=max_iter, shuffle=shuffle, tol=tol,
        verbose=verbose, momentum=momentum, nesterovs_momentum=nesterovs_momentum, early_stopping=early_stopping,
        validation_fraction=validation_fraction, beta_1=beta_1, beta_2=beta_2, epsilon=epsilon,
        n_iter_no_change=n_iter_no_change,
        n_threads=n_threads,
    ).checked()  # fmt: skip
    if loss is not None:
        check.choice("loss", loss, CLASS_LOSSES + REGRESSION_LOSSES)
    if (X_val is None) != (y_val is None):
        missing = "X_val" if X_val is None else "y_val"
        raise ValueError(f"{missing}=None: expected both of X_val and y_val, or neither")
    random = check.random_source("random_state", random_state)
    hidden = _hidden(hidden_layer_sizes)

    X = check.numeric_array("X", X)
    check.rows_of("X", X, None)
    task = read_task(y, loss)
    chosen = precision("dtype", dtype if dtype is not None else "float32" if X.dtype == np.float32 else "float64")
    network = Network((X.shape[1], *hidden, task.outputs), activation, task.loss, chosen, random)
    X, targets, weights = network._batch(X, task.targets("y", y, len(X)), sample_weight, one=False)
    weights = _relative(weights)
    model = Model(network, task)
    rows, validate = _validation(model, X, targets, weights, X_val, y_val, options, random)

    def keep_history(history: History) -> None:
        model._history = history

    try:
        train(network, X, targets, weights, rows, options, random, validate, keep_history)
    except DivergenceError as error:
        error.model = model
        raise
    return model


def _hidden(sizes: Any) -> tuple[int, ...]:
    if np.isscalar(sizes):
        return (check.whole("hidden_layer_sizes", sizes, 1, "a positive integer or a sequence of them"),)
    return check.sizes("hidden_layer_sizes", sizes, 0)


def _relative(weights: Array | None) -> Array | None:
    """Sample weights scaled to a mean of one, by way of a maximum of one so that no sum overflows."""
    if weights is None:
        return None
    share = weights / weights.max()
    scaled: Array = share * share.dtype.type(len(share) / share.sum(dtype=np.float64))
    return scaled


def _validation(
    model: Model, X: Array, targets: Array, weights: Array | None, X_val: Any, y_val: Any, options: Options, random: Any
) -> tuple[Array, Callable[[], float] | None]:
    """The rows to train on, and the score that decides when to stop, if any."""
    everything = np.arange(len(X), dtype=np.intp)
    task, network = model._task, model.network
    if X_val is not None:
        X_val = network._rows(X_val, "X_val")
        y_val = task.targets("y_val", y_val, len(X_val))
        return everything, lambda: _score(task, network.forward(X_val), y_val, None)
    if not options.early_stopping:
        return everything, None
    stratify = targets.reshape(len(X)) if task.kind in ("binary", "multiclass") else None
    rows, held = hold_out(len(X), options.validation_fraction, stratify, random)
    X_held, y_held = X[held], targets[held]
    w_held = None if weights is None else weights[held]
    if weights is not None and not (weights[rows].any() and weights[held].any()):
        raise ValueError(
            f"sample_weight is zero for all the {len(rows)} samples to train on, or for all the {len(held)} held out: "
            "expected a positive one in each part, or X_val and y_val"
        )
    return rows, lambda: _score(task, network.forward(X_held), y_held, w_held)


def _score(task: Task, outputs: Array, targets: Array, weights: Array | None) -> float:
    """Accuracy or R2 of a network's outputs against what `Task.targets` makes of y."""
    if task.kind == "regression":
        return _r2(outputs.astype(np.float64), np.asarray(targets, np.float64), weights)
    if task.outputs == 1 or task.kind == "multilabel":
        right = ((outputs > 0.5) == (targets > 0.5)).all(axis=1)
    else:
        right = outputs.argmax(axis=1) == targets
    return float(np.average(right, weights=weights))


def _r2(predicted: Array, actual: Array, weights: Array | None) -> float:
    """1 - sum of squared residuals / sum of squares about the mean, averaged over the outputs.

    A constant output counts 1 if it is predicted exactly and 0 if not.
    """
    residual = np.average((actual - predicted) ** 2, axis=0, weights=weights)
    spread = np.average((actual - np.average(actual, axis=0, weights=weights)) ** 2, axis=0, weights=weights)
    constant = spread == 0
    scores = np.where(constant, (residual == 0).astype(float), 1 - residual / np.where(constant, 1, spread))
    return float(scores.mean())


def predict(model: Model, X: ArrayLike) -> Any:
    """`model.predict(X)`."""
    return _model(model).predict(X)


def predict_proba(model: Model, X: ArrayLike) -> Array:
    """`model.predict_proba(X)`."""
    return _model(model).predict_proba(X)


def save(model: Model, path: Any) -> None:
    """`model.save(path)`."""
    _model(model).save(path)


def _model(model: Any) -> Model:
    if not isinstance(model, Model):
        raise TypeError(f"model={check.shown(model)}: expected a cmlp.Model, as cmlp.fit returns it")
    return model


# ---- files -----------------------------------------------------------------------------------------


def load(path: Any) -> Model:
    """The model that `save` wrote, on this machine or another.

    Nothing in the file is executed, and nothing is allocated beyond the file's own size.

    Parameters
    ----------
    path : str, bytes or path-like

    Returns
    -------
    Model

    Raises
    ------
    OSError
        If the file cannot be read.
    ModelFileError
        If it is not a saved model, or is truncated or altered.
    """
    from . import saved

    return Model(*saved.read(path))
