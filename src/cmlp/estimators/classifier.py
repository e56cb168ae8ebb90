"""MLPClassifier."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import ClassifierMixin, _fit_context
from sklearn.preprocessing import LabelBinarizer
from sklearn.utils import column_or_1d
from sklearn.utils.class_weight import compute_sample_weight
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import _check_partial_fit_first_call, type_of_target, unique_labels
from sklearn.utils.validation import validate_data

from ..labels import smoothed
from ..network import Network
from ..scores import accuracy
from ..validation import Array
from .base import BaseMLP
from .callbacks import with_callbacks
from .parameters import CLASSIFIER_CONSTRAINTS


class MLPClassifier(ClassifierMixin, BaseMLP):  # type: ignore[misc]
    """A multilayer perceptron for classes."""

    _parameter_constraints = CLASSIFIER_CONSTRAINTS

    def __init__(
        self,
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
        class_weight: Any = None,
        label_smoothing: float = 0.0,
    ):
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
        self.class_weight = class_weight
        self.label_smoothing = label_smoothing

    # ---- labels ------------------------------------------------------------------------------------

    def _checked(self, X: Any, y: Any, reset: bool) -> tuple[Any, Array]:
        X, y = validate_data(
            self, X, y, accept_sparse=["csr", "csc"], multi_output=True, dtype=(np.float64, np.float32), reset=reset
        )
        return X, column_or_1d(y, warn=True) if y.ndim == 2 and y.shape[1] == 1 else y

    def _take_note(self, y: Array, incremental: bool) -> None:
        if not hasattr(self, "classes_") or not (self.warm_start or incremental):
            self._take_classes(y)
        elif self.warm_start:
            classes = unique_labels(y)
            if set(classes) != set(self.classes_):
                raise ValueError(
                    "warm_start can only be used where `y` has the same classes as in the previous call to fit. "
                    f"Previously got {self.classes_}, `y` has {classes}"
                )
        else:
            self._refuse_unknown(y)

    def _refuse_unknown(self, y: Array) -> None:
        classes = unique_labels(y)
        if len(np.setdiff1d(classes, self.classes_, assume_unique=True)):
            raise ValueError(
                f"`y` has classes not in `self.classes_`. `self.classes_` has {self.classes_}. 'y' has {classes}."
            )

    def _take_classes(self, y: Any) -> None:
        self._label_binarizer = LabelBinarizer().fit(y)
        self.classes_ = self._label_binarizer.classes_

    def _output(self, y: Array) -> tuple[int, str]:
        if self._label_binarizer.y_type_ == "multiclass":
            return len(self.classes_), "softmax"
        return (len(self.classes_) if self._is_multilabel() else 1), "logistic"

    def _is_multilabel(self) -> bool:
        return bool(self._label_binarizer.y_type_.startswith("multilabel"))

    def _loss_name(self) -> str:
        return "cross_entropy" if self.out_activation_ == "softmax" else "binary_cross_entropy"

    def _encoded(self, y: Array) -> Array:
        if self._is_multilabel() or len(self.classes_) < 2:
            rows = self._label_binarizer.transform(y)
            return np.asarray(rows.toarray() if hasattr(rows, "toarray") else rows)
        codes = np.searchsorted(self.classes_, y)
        return codes if self.out_activation_ == "softmax" else codes.reshape(-1, 1)

    def _weights(self, y: Array, sample_weight: Array | None) -> Array | None:
        if self.class_weight is None:
            return sample_weight
        by_class: Array = compute_sample_weight(self.class_weight, y)
        return by_class if sample_weight is None else sample_weight * by_class

    def _smoothed(self, network: Network, targets: Array) -> Array:
        return smoothed(targets, self.n_outputs_, self.label_smoothing, network.dtype)

    def _strata(self, targets: Array) -> Array | None:
        return targets.astype(bool) if self.n_outputs_ == 1 else None

    def _score_outputs(self, outputs: Array, encoded: Array, sample_weight: Array | None) -> float:
        return accuracy(outputs, encoded, sample_weight)

    # ---- predictions -------------------------------------------------------------------------------

    def predict(self, X: Any) -> Array:
        """Classes of samples.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples,), or (n_samples, n_labels) of indicators for multilabel
        """
        outputs = self._outputs(X)
        if self._is_multilabel() or len(self.classes_) < 2:
            labels = self._label_binarizer.inverse_transform(outputs[:, 0] if self.n_outputs_ == 1 else outputs)
        elif self.n_outputs_ == 1:
            labels = self.classes_[(outputs[:, 0] > 0.5).astype(np.intp)]
        else:
            labels = self.classes_[outputs.argmax(axis=1)]
        return labels  # type: ignore[no-any-return]

    def predict_proba(self, X: Any) -> Array:
        """Probabilities of the classes, in the order of `classes_`.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            Rows sum to one; for multilabel each column is the probability of its label.  Those of a sigmoid are below
            one, also where that is the nearest number.
        """
        outputs = self._outputs(X)
        if self.out_activation_ == "softmax":
            return outputs
        np.minimum(outputs, np.nextafter(outputs.dtype.type(1), outputs.dtype.type(0)), out=outputs)
        return np.concatenate([1 - outputs, outputs], axis=1) if self.n_outputs_ == 1 else outputs

    def predict_log_proba(self, X: Any) -> Array:
        """The logarithm of `predict_proba`."""
        with np.errstate(divide="ignore"):
            return np.log(self.predict_proba(X))

    @with_callbacks
    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Any, y: Any, sample_weight: Any = None, X_val: Any = None, y_val: Any = None) -> MLPClassifier:
        """Fit the model to X and y.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            Finite numbers; float32 stays float32, all else becomes float64.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Class labels, or multilabel indicators of 0 and 1.
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
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None, classes: Any = None) -> MLPClassifier:
        """One more epoch over the given data, the solver's state carried on.

        Parameters
        ----------
        X, y, sample_weight
            As for `fit`.
        classes : array-like of shape (n_classes,), optional
            All classes of all calls; needed in the first, unless `fit` came before.

        Returns
        -------
        self
        """
        before = self.__dict__.copy()
        try:
            if _check_partial_fit_first_call(self, classes):
                self._take_classes(y if type_of_target(y).startswith("multilabel") else classes)
            self._fit(X, y, sample_weight, incremental=True)
        except BaseException:
            if not hasattr(self, "coefs_"):
                self.__dict__.clear()
                self.__dict__.update(before)
            raise
        return self

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags
