"""MLPRegressor."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import RegressorMixin, _fit_context
from sklearn.utils import column_or_1d
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import validate_data

from ..network import OUTPUTS
from ..scores import r2
from ..validation import Array
from .base import BaseMLP
from .callbacks import with_callbacks
from .parameters import REGRESSOR_CONSTRAINTS


class MLPRegressor(RegressorMixin, BaseMLP):  # type: ignore[misc]
    """A multilayer perceptron for values."""

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
        self.out_activation = out_activation
        self.quantile = quantile

    # ---- values ------------------------------------------------------------------------------------

    def _checked(self, X: Any, y: Any, reset: bool) -> tuple[Any, Array]:
        X, y = validate_data(
            self, X, y, accept_sparse=["csr", "csc"], multi_output=True, y_numeric=True,
            dtype=(np.float64, np.float32), reset=reset,
        )  # fmt: skip
        return X, column_or_1d(y, warn=True) if y.ndim == 2 and y.shape[1] == 1 else y

    def _take_note(self, y: Array, incremental: bool) -> None:
        """Values are all alike."""

    def _refuse_unknown(self, y: Array) -> None:
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
        """
        outputs = self._outputs(X)
        return outputs[:, 0] if outputs.shape[1] == 1 else outputs

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
        ValueError
            For data or parameters out of range; the estimator stays as it was.
        DivergenceError
            If the loss or the parameters become NaN or infinite; the estimator holds the last finite parameters.

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

        Parameters
        ----------
        X, y, sample_weight
            As for `fit`.

        Returns
        -------
        self
        """
        self._fit(X, y, sample_weight, incremental=True)
        return self
