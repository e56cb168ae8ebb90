"""MLPRegressor."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import RegressorMixin, _fit_context
from sklearn.metrics import r2_score
from sklearn.utils.metaestimators import available_if

from ..network import OUTPUTS
from ..scores import r2
from ..validation import Array
from .base import BaseMLP
from .callbacks import with_callbacks
from .parameters import REGRESSOR_CONSTRAINTS


class MLPRegressor(RegressorMixin, BaseMLP):  # type: ignore[misc]
    """A multilayer perceptron for values, in place of scikit-learn's.

    Parameters
    ----------
    loss : str, default "squared_error"
        With e the output less y: squared_error (e^2 / 2), absolute_error, huber (e^2 / 2 up to 1, straight beyond),
        log_cosh, quantile; or poisson (half the deviance, of targets of at least 0, with the output exp).  A sample's
        loss is summed over the outputs.
    hidden_layer_sizes : int or sequence of int, each at least 1, default (100,)
        Hidden units, layer by layer; an empty sequence gives a linear model.
    activation : str or sequence of str, default "relu"
        Of the hidden layers, one name for all or a name each: identity, relu, sigmoid (also logistic), tanh,
        leaky_relu, elu, selu, softplus, silu, gelu.
    solver : {"adam", "sgd", "adamw", "rmsprop", "lbfgs"}, default "adam"
        lbfgs takes all samples at once and iterations for epochs; it follows no schedule and validates on X_val alone.
    alpha : float, at least 0, default 0.0001
        L2 term: alpha / (2 n) times the sum of squared weights, n being the sum of the batch's sample weights.  For
        adamw a decay of the weights instead.
    batch_size : int, at least 1, or "auto", default "auto"
        Samples per update; "auto" is 200, at most as many as there are.
    learning_rate : {"constant", "invscaling", "adaptive", "cosine", "one_cycle"}, default "constant"
        Schedule: constant; learning_rate_init / (t + 1)^power_t after t samples; a fifth of what it was whenever the
        training stalls; down along half a cosine to 0 at max_iter; up from a 25th over 30 % of the updates of max_iter
        epochs and down again to almost 0.  adam takes invscaling and adaptive for constant, as in scikit-learn.
    learning_rate_init : float, above 0, default 0.001
        The rate at the start, and of one_cycle at its peak.
    power_t : float in [0, 10], default 0.5
        Of invscaling.
    max_iter : int, at least 1, default 200
        Epochs at most, or iterations of lbfgs.
    shuffle : bool, default True
        Whether each epoch takes the samples in a new random order.
    random_state : int, RandomState or None, default None
        Of the initial parameters, the held-out part, the shuffles and the dropout.
    tol : float, at least 0, default 1e-4
        What counts as an improvement of the validation score, or of the loss, a squared error's by output.
        For lbfgs the largest entry of the gradient at which it ends.
    verbose : bool or int, default False
        Whether each epoch prints its loss.
    warm_start : bool, default False
        Whether `fit` goes on from the parameters at hand.
    momentum : float in [0, 1], default 0.9
        Of sgd.
    nesterovs_momentum : bool, default True
        Nesterov's correction of sgd's momentum.
    early_stopping : bool, default False
        Whether to hold out validation_fraction of the samples, stop when their score improves no more and restore the
        best parameters.
    validation_fraction : float in (0, 1), default 0.1
        Share that early_stopping holds out.
    beta_1 : float in [0, 1), default 0.9
        Decay of the first moment of adam and adamw.
    beta_2 : float in [0, 1), default 0.999
        Decay of the second moment of adam and adamw, and of the mean square of rmsprop.
    epsilon : float, above 0, default 1e-8
        Added to the root of the second moment; for adam and adamw outside the bias correction, as in scikit-learn.
    n_iter_no_change : int, at least 1, or inf, default 10
        The training stops when more epochs than this in a row bring no improvement.
    max_fun : int, at least 1, default 15000
        Evaluations of the loss at most, of lbfgs.
    scoring : str, callable or None, default None
        What is validated: a scorer of scikit-learn by its name, "loss" (its negative), or ``scoring(estimator, X, y)``;
        higher is better.  None is R2.
    callbacks : callable, sequence of callables, or None, default None
        Each is called with a `cmlp.EpochState` after every epoch; the training ends where one returns True.
    dropout : float or sequence of float, in [0, 1), default 0
        Chance that a hidden unit is left out of an update, for all hidden layers or one each; what stays is scaled up.
    input_dropout : float in [0, 1), default 0
        The same for the inputs.
    max_grad_norm : float, above 0, or None, default None
        An update's gradient, its L2 term left out, is shortened to this length where it is longer.
    warmup_epochs : float, at least 0, default 0
        The learning rate rises from 0 in equal steps over this many epochs.
    n_threads : int, at least 1, or None, default None
        Threads that share each batch; the result is the same, to the bit, for any number.  None is as many as are
        quickest for the sizes, and one outside the main thread or in a child process.
    checkpoint : str, bytes, path-like or None, default None
        A file that `fit` writes the state of the training to, whole or not at all, before the first epoch, after every
        `checkpoint_every` and at the end.  Where it is there already, the training goes on from it and ends with the
        same parameters, to the bit, as one that was never interrupted; one that converged, or that a callback ended,
        stays as it is, also for a larger max_iter.  Each training needs a file of its own.  Not for lbfgs, nor for
        partial_fit.
    checkpoint_every : int, at least 1, default 10
        Epochs.
    out_activation : str or None, default None
        Of the last layer, where the loss is not poisson: any name that `activation` takes.  None is identity.
    quantile : float in (0, 1), default 0.5
        Of the loss of that name: the share of y that is to lie below the prediction.

    Attributes
    ----------
    loss_ : float
        Mean training loss of the last epoch, the L2 term included, or the loss where lbfgs ended.  Batches whose sample
        weights are all 0 are not in it.
    best_loss_ : float or None
        Least of loss_curve_; None with a validation set.  Not there, like the three curves below, after lbfgs.
    loss_curve_ : list of float
        loss_ of each epoch, those of a warm start or of partial_fit joined on.
    validation_scores_ : list of float or None
        After each epoch; None without a validation set.
    validation_loss_curve_ : list of float or None
        Mean loss over the validation set after each epoch, without the L2 term.
    best_validation_score_ : float or None
        Highest of validation_scores_ in the last fit, of the parameters that are restored.
    t_ : int
        Samples trained on, each as often as it was taken; 0 after lbfgs.
    coefs_ : list of ndarray
        coefs_[l - 1], of shape (d_{l-1}, d_l), holds the weights of layer l: a view, in Fortran order, into the
        network.  Writing into it, or assigning other arrays, changes what is predicted.  float32 if X was, else
        float64.
    intercepts_ : list of ndarray
        intercepts_[l - 1], of shape (d_l,), holds the biases of layer l, a view as well.
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of X's columns, where all are strings.
    n_iter_ : int
        Epochs, or iterations of lbfgs, of the last fit; 1 after partial_fit.
    n_layers_ : int
        With the input's and the output's.
    n_outputs_ : int
        Units of the last layer.
    out_activation_ : str
        Of the last layer: exp for poisson, else `out_activation`, by default "identity".

    Notes
    -----
    The parameters that scikit-learn's MLPRegressor has mean the same here, and the same random_state gives the same
    network up to rounding.  What differs:

    - The loss is reported as it is minimised: summed over the outputs, where
      scikit-learn has a squared error's mean over them.  The mean decides when to stop, as there.
    - A diverged fit raises `DivergenceError`, a ValueError, and leaves the last finite parameters.  Where it
      validates, a ConvergenceWarning tells, and the best parameters are restored.
    - `fit` leaves a fitted estimator as it was if it refuses its arguments.
    - Negative sample weights and malformed sparse matrices are refused; a batch whose weights are all 0 is skipped.
    - `partial_fit` takes up a changed learning rate and refuses changed layer sizes.
    - float32 stays float32, in predictions too; only lbfgs computes in float64 meanwhile.

    ``docs/estimators.md`` has the reasons, ``docs/options.md`` the formulas and sources of what scikit-learn does not
    have.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.datasets import load_diabetes
    >>> from sklearn.preprocessing import scale
    >>> from cmlp import MLPRegressor
    >>> X, y = load_diabetes(return_X_y=True)
    >>> X, y = scale(X), scale(y)
    >>> def regressor(**options):
    ...     reg = MLPRegressor(hidden_layer_sizes=(8,), alpha=1, tol=3e-3, max_iter=1000, random_state=0)
    ...     return reg.set_params(learning_rate_init=0.01, **options)

    In place of scikit-learn's:

    >>> reg = regressor().fit(X, y)
    >>> reg.score(X, y) > 0.4
    True
    >>> reg.predict(X).shape, reg.n_outputs_
    ((442,), 1)

    Losses that outliers pull at less than at the squared error:

    >>> wrong = y.copy()
    >>> wrong[::20] += 20
    >>> square = regressor().fit(X, wrong).score(X, y)
    >>> scores = [regressor(loss=loss).fit(X, wrong).score(X, y) for loss in ("absolute_error", "huber", "log_cosh")]
    >>> min(scores) > square + 0.1
    True

    Outliers that weigh nothing:

    >>> regressor().fit(X, wrong, sample_weight=wrong == y).score(X, y) > square + 0.1
    True

    Nine tenths of the values are to lie below the prediction:

    >>> high = regressor(loss="quantile", quantile=0.9).fit(X, y)
    >>> share = (y < high.predict(X)).mean()
    >>> bool(0.85 < share < 0.95)
    True

    Predictions that are never negative:

    >>> free, positive = (regressor(out_activation=last).fit(X, y - y.min()) for last in (None, "softplus"))
    >>> bool(free.predict(10 * X).min() < 0 <= positive.predict(10 * X).min()), positive.out_activation_
    (True, 'softplus')

    Columns that say the same share the weight where either may be left out:

    >>> linear = regressor(hidden_layer_sizes=(), alpha=0)
    >>> weights = [linear.set_params(input_dropout=rate).fit(X[:, [2, 2]], y).coefs_[0] for rate in (0, 0.5)]
    >>> alone, shared = (abs(w[0, 0] - w[1, 0]) for w in weights)
    >>> bool(shared < alone / 2)
    True

    Along half a cosine the learning rate falls from learning_rate_init, here noted by a callback, to 0:

    >>> rates = []
    >>> reg = regressor(learning_rate="cosine", callbacks=lambda state: rates.append(state.learning_rate))
    >>> reg = reg.set_params(max_iter=4).fit(X, y)
    >>> [round(rate / 0.01, 2) for rate in rates]
    [1.0, 0.85, 0.5, 0.15]

    With adamw, alpha shrinks the weights:

    >>> light, heavy = (regressor(solver="adamw").set_params(alpha=alpha).fit(X, y) for alpha in (0, 100))
    >>> bool(np.linalg.norm(heavy.coefs_[0]) < np.linalg.norm(light.coefs_[0]))
    True

    rmsprop divides gradients by the root of their mean square, with beta_2=0 by their size, so that updates are alike:

    >>> def update(solver):
    ...     reg = regressor(solver=solver, beta_2=0, batch_size=442).partial_fit(X, y)
    ...     before = reg.coefs_[0].copy()
    ...     return np.abs(reg.partial_fit(X, y).coefs_[0] - before)
    >>> moves = {name: update(name) for name in ("sgd", "rmsprop")}
    >>> {name: bool(np.quantile(move, 0.8) < 1.1 * np.quantile(move, 0.2)) for name, move in moves.items()}
    {'sgd': False, 'rmsprop': True}
    """

    _parameter_constraints = REGRESSOR_CONSTRAINTS

    def __init__(
        self,
        loss: str = "squared_error",
        hidden_layer_sizes: Any = (100,),
        activation: Any = "relu",
        *,
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
        warm_start: bool = False,
        momentum: float = 0.9,
        nesterovs_momentum: bool = True,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        n_iter_no_change: float = 10,
        max_fun: int = 15000,
        scoring: Any = None,
        callbacks: Any = None,
        dropout: Any = 0.0,
        input_dropout: float = 0.0,
        max_grad_norm: float | None = None,
        warmup_epochs: float = 0.0,
        n_threads: int | None = None,
        checkpoint: Any = None,
        checkpoint_every: int = 10,
        out_activation: str | None = None,
        quantile: float = 0.5,
    ):
        self.loss = loss
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.solver = solver
        self.alpha = alpha
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.learning_rate_init = learning_rate_init
        self.power_t = power_t
        self.max_iter = max_iter
        self.shuffle = shuffle
        self.random_state = random_state
        self.tol = tol
        self.verbose = verbose
        self.warm_start = warm_start
        self.momentum = momentum
        self.nesterovs_momentum = nesterovs_momentum
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.n_iter_no_change = n_iter_no_change
        self.max_fun = max_fun
        self.scoring = scoring
        self.callbacks = callbacks
        self.dropout = dropout
        self.input_dropout = input_dropout
        self.max_grad_norm = max_grad_norm
        self.warmup_epochs = warmup_epochs
        self.n_threads = n_threads
        self.checkpoint = checkpoint
        self.checkpoint_every = checkpoint_every
        self.out_activation = out_activation
        self.quantile = quantile

    # ---- values ------------------------------------------------------------------------------------

    def _take_note(self, y: Array, incremental: bool) -> None:
        """Values are all alike."""

    def _refuse_unknown(self, name: str, y: Array) -> None:
        """Values are all alike."""

    def _output(self, y: Array) -> tuple[int, str]:
        out_activation = OUTPUTS.get(self.loss, self.out_activation or "identity")
        return (1 if y.ndim == 1 else y.shape[1]), out_activation

    def _loss_name(self) -> str:
        return self.loss

    def _head(self) -> dict[str, Any]:
        return {"out_activation": self.out_activation, "quantile": self.quantile}

    def _encoded(self, y: Array) -> Array:
        return y

    def _score_outputs(self, outputs: Array, encoded: Array, sample_weight: Array | None) -> float:
        return r2(outputs.astype(np.float64), encoded.astype(np.float64), sample_weight)

    def predict(self, X: Any) -> Array:
        """Values for samples.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_outputs)

        Raises
        ------
        NotFittedError
            Before `fit`.
        TypeError, ValueError
            If X has another number of features or other names than in `fit`, or holds anything but finite numbers.
        """
        outputs = self._to_predict()._outputs(X)
        return outputs[:, 0] if outputs.shape[1] == 1 else outputs

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """R2 of the predictions for samples, as of scikit-learn's regressors: the mean over the outputs.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Values as for `fit`.
        sample_weight : array-like of shape (n_samples,), optional

        Returns
        -------
        float

        Raises
        ------
        NotFittedError
            Before `fit`.
        TypeError, ValueError
            As `predict`, and for values and weights as `fit`.
        """
        return self._score(r2_score, X, y, sample_weight)

    @with_callbacks
    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Any, y: Any, sample_weight: Any = None, X_val: Any = None, y_val: Any = None) -> MLPRegressor:
        """Fit the model to X and y.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            Finite numbers; float32 stays float32, all else becomes float64.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Values.
        sample_weight : array-like of shape (n_samples,), optional
            A batch's loss is the mean of its samples' losses by these weights.
        X_val, y_val : optional
            A validation set of the same form.  With it the training stops as with early_stopping=True, and nothing is
            held out of X.

        Returns
        -------
        self

        Raises
        ------
        TypeError, ValueError
            For data or parameters out of range; the estimator stays as it was.
        DivergenceError
            If the loss or the parameters become NaN or infinite; the estimator holds the last finite parameters.
        RuntimeError
            If another thread, or a fit that called this, is fitting this estimator.
        OSError, ModelFileError
            If the checkpoint cannot be read, is damaged, or cannot be written when the training begins.

        Warns
        -----
        ConvergenceWarning
            If max_iter was reached before the training stopped improving.
        """
        return self._fit(X, y, sample_weight, False, X_val, y_val)

    @available_if(lambda estimator: estimator._has_stochastic_solver())
    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> MLPRegressor:
        """One more epoch over the given data, the solver's state carried on.

        The first call builds the network.  Parameters that were set since the last call hold from now on; another
        solver, loss, quantile, activation, out_activation, learning_rate, learning_rate_init or power_t starts the
        solver's state anew.  Not for solver="lbfgs".

        Parameters
        ----------
        X, y, sample_weight
            As for `fit`.

        Returns
        -------
        self

        Raises
        ------
        TypeError, ValueError
            For early_stopping=True, layer sizes or a number of features other than the network's, and as `fit`.
        DivergenceError
            As `fit`.
        """
        self._fit(X, y, sample_weight, incremental=True)
        return self
