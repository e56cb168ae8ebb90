"""MLPClassifier."""

from __future__ import annotations

from numbers import Number
from typing import Any

import numpy as np
from sklearn.base import ClassifierMixin, _fit_context
from sklearn.metrics import accuracy_score
from sklearn.preprocessing import LabelBinarizer
from sklearn.utils.class_weight import compute_sample_weight
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import _check_partial_fit_first_call, type_of_target, unique_labels

from .. import validation as check
from ..labels import compared_as_floats, smoothed, weights_of_classes
from ..network import Network
from ..scores import accuracy
from ..validation import Array
from .base import BaseMLP
from .callbacks import with_callbacks
from .inputs import as_labels, checked_classes, naming
from .parameters import CLASSIFIER_CONSTRAINTS

LABELS = "class labels (n_samples,), or indicators of 0 and 1 (n_samples, n_labels)"


class MLPClassifier(ClassifierMixin, BaseMLP):  # type: ignore[misc]
    """A multilayer perceptron for classes, in place of scikit-learn's.

    Two classes and multilabel are learnt by a sigmoid for each output with the binary cross-entropy, more classes by a
    softmax with the cross-entropy.

    Parameters
    ----------
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
        What counts as an improvement of the validation score, or of the loss.
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
        Share that early_stopping holds out; of two classes each by its share.
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
        higher is better.  None is the accuracy.
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
    class_weight : dict, "balanced", list of dict, or None, default None
        Weights by class, beside sample_weight: label to weight, 1 where left out, or n / (C * samples of the class).
        For multilabel a dict per label, or "balanced"; a sample's weight is then the product over its labels.
    label_smoothing : float in [0, 1), default 0
        Share of each target that is spread evenly over all classes; over both values of a sigmoid's target.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The labels, sorted: integers, floats, booleans or strings, as in y.  For multilabel the numbers of the columns.
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
        Units of the last layer: one for two classes.
    out_activation_ : str
        Of the last layer: "softmax", or "logistic" for two classes and multilabel.

    Notes
    -----
    The parameters that scikit-learn's MLPClassifier has mean the same here, and the same random_state gives the same
    network up to rounding.  What differs:

    - The loss is reported as it is minimised: a cross-entropy is exact where
      scikit-learn clips the probabilities at the machine epsilon.
    - The probability that a sigmoid gives its own class is kept below 1.
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
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.model_selection import train_test_split
    >>> from sklearn.preprocessing import scale
    >>> from cmlp import MLPClassifier
    >>> X, y = load_iris(return_X_y=True)
    >>> X_train, X_test, y_train, y_test = train_test_split(scale(X), y, stratify=y, random_state=0)
    >>> def classifier(**options):
    ...     return MLPClassifier((20,), learning_rate_init=0.01, tol=1e-3, random_state=0).set_params(**options)

    In place of scikit-learn's:

    >>> clf = classifier().fit(X_train, y_train)
    >>> clf.score(X_test, y_test) > 0.9
    True
    >>> clf.predict_proba(X_test).shape, [W.shape for W in clf.coefs_]
    ((38, 3), [(4, 20), (20, 3)])

    An activation for each hidden layer:

    >>> clf = classifier(hidden_layer_sizes=(16, 8), activation=("gelu", "tanh")).fit(X_train, y_train)
    >>> clf.n_layers_, clf.out_activation_
    (4, 'softmax')

    A class that counts ten times as much is predicted more often:

    >>> narrow = X_train[:, :2]  # two columns, in which two of the classes overlap
    >>> plain = classifier().fit(narrow, y_train)
    >>> weighted = classifier(class_weight={2: 10}).fit(narrow, y_train)
    >>> bool((weighted.predict(narrow) == 2).sum() > (plain.predict(narrow) == 2).sum())
    True

    Smoothed labels keep the probabilities away from 0 and 1:

    >>> sharp, smooth = classifier(), classifier(label_smoothing=0.2)
    >>> highest = [clf.fit(X_train, y_train).predict_proba(X_train).max() for clf in (sharp, smooth)]
    >>> bool(highest[1] < highest[0])
    True

    Wrong labels do no harm where their samples weigh nothing:

    >>> wrong = np.where(X_train[:, 1] > 0, 0, y_train)
    >>> misled = classifier().fit(X_train, wrong)
    >>> right = classifier().fit(X_train, wrong, sample_weight=X_train[:, 1] <= 0)
    >>> right.score(X_train, y_train) > misled.score(X_train, y_train) + 0.05
    True

    With half of the hidden units or of the inputs left out, labels in random order are harder to learn by heart:

    >>> noise = np.random.default_rng(0).permutation(y_train)
    >>> def score(**options):
    ...     return classifier(max_iter=1000, **options).fit(X_train, noise).score(X_train, noise)
    >>> score(dropout=0.5) < score(), score(input_dropout=0.5) < score()
    (True, True)

    A validation set of one's own, a scorer, and a callback that ends the training after 30 epochs at the latest:

    >>> clf = classifier(scoring="neg_log_loss", callbacks=lambda state: state.epoch == 30)
    >>> clf = clf.fit(X_train, y_train, X_val=X_test, y_val=y_test)
    >>> clf.n_iter_ <= 30, len(clf.validation_scores_) == clf.n_iter_
    (True, True)
    >>> bool(clf.best_validation_score_ == max(clf.validation_scores_))
    True

    Along half a cosine the learning rate falls from learning_rate_init, here noted by a callback, to 0:

    >>> rates = []
    >>> clf = classifier(learning_rate="cosine", max_iter=4, callbacks=lambda state: rates.append(state.learning_rate))
    >>> clf = clf.fit(X_train, y_train)
    >>> [round(rate / 0.01, 2) for rate in rates]
    [1.0, 0.85, 0.5, 0.15]

    With adamw, alpha shrinks the weights:

    >>> light, heavy = (classifier(solver="adamw", alpha=alpha).fit(X_train, y_train) for alpha in (0, 50))
    >>> bool(np.linalg.norm(heavy.coefs_[0]) < np.linalg.norm(light.coefs_[0]))
    True

    rmsprop divides gradients by the root of their mean square, with beta_2=0 by their size, so that updates are alike:

    >>> def update(**options):
    ...     clf = classifier(**options).partial_fit(X_train, y_train, classes=[0, 1, 2])
    ...     before = clf.coefs_[0].copy()
    ...     return np.abs(clf.partial_fit(X_train, y_train).coefs_[0] - before)
    >>> moves = {name: update(solver=name, beta_2=0) for name in ("sgd", "rmsprop")}
    >>> {name: bool(np.quantile(move, 0.8) < 1.1 * np.quantile(move, 0.2)) for name, move in moves.items()}
    {'sgd': False, 'rmsprop': True}

    Shorter gradients make shorter updates:

    >>> free, short = (np.linalg.norm(update(solver="sgd", max_grad_norm=norm)) for norm in (None, 0.1))
    >>> bool(short < 0.9 * free)
    True

    One cycle of the learning rate, after two epochs of warm-up and with gradients of length 1 at most:

    >>> clf = classifier(solver="sgd", learning_rate="one_cycle", learning_rate_init=0.1, batch_size=16, max_iter=30)
    >>> clf = clf.set_params(warmup_epochs=2, max_grad_norm=1, n_iter_no_change=30)
    >>> clf = clf.fit(X_train, y_train)
    >>> clf.n_iter_, clf.score(X_test, y_test) > 0.9
    (30, True)
    """

    _parameter_constraints = CLASSIFIER_CONSTRAINTS
    _needed = (*BaseMLP._needed, "classes_", "_label_binarizer")

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
        checkpoint: Any = None,
        checkpoint_every: int = 10,
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
        self.checkpoint = checkpoint
        self.checkpoint_every = checkpoint_every
        self.class_weight = class_weight
        self.label_smoothing = label_smoothing

    def _check_fitted(self, network: Any, held: dict[str, Any]) -> None:
        super()._check_fitted(network, held)
        classes, outputs = held["classes_"], held["n_outputs_"]
        if not isinstance(classes, np.ndarray) or (outputs != len(classes) if outputs > 1 else len(classes) > 2):
            raise ValueError(f"classes_={check.shown(classes)}: expected those of {outputs} outputs")

    # ---- labels ------------------------------------------------------------------------------------

    def _take_note(self, y: Array, incremental: bool) -> None:
        with naming("y", LABELS):
            self._compare_classes(y, incremental)

    def _compare_classes(self, y: Array, incremental: bool) -> None:
        if not hasattr(self, "classes_") or not (self.warm_start or incremental):
            self._take_classes(y)
        elif self.warm_start:
            self._refuse_other_kind("y", y)
            classes = unique_labels(y)
            if set(classes) != set(self.classes_):
                raise ValueError(
                    "warm_start can only be used where `y` has the same classes as in the previous call to fit. "
                    f"Previously got {self.classes_}, `y` has {classes}"
                )
        else:
            self._refuse_unknown("y", y)

    def _begin_partial_fit(self, y: Any, classes: Any) -> None:
        labels = checked_classes(classes)
        if _check_partial_fit_first_call(self, labels):
            y = as_labels("y", y)
            with naming("y", LABELS):
                multilabel = type_of_target(y).startswith("multilabel")
            self._take_classes(y if multilabel else labels)

    def _refuse_unknown(self, name: str, y: Array) -> None:
        self._refuse_other_kind(name, y)
        with naming(name, LABELS):
            classes = unique_labels(y)
        if len(np.setdiff1d(classes, self.classes_, assume_unique=True)):
            raise ValueError(
                f"`{name}` has classes not in `self.classes_`. `self.classes_` has {self.classes_}. '{name}' has "
                f"{classes}."
            )

    def _refuse_other_kind(self, name: str, y: Array) -> None:
        """Indicators for labels and labels for indicators, whose classes may be the same, and "1" for 1."""
        multilabel, classes = self._is_multilabel(), self._classes_of()
        if (y.ndim == 2) != multilabel:
            expected = f"indicators (n, {len(classes)})" if multilabel else "class labels (n,)"
            raise ValueError(f"{name} has shape {y.shape}: expected {expected}, as this classifier was fitted with")
        if multilabel and y.shape[1] != len(classes):
            raise ValueError(f"{name} has shape {y.shape}: expected (n, {len(classes)})")
        if _kind_of(y) != _kind_of(classes):
            raise ValueError(f"{name} has dtype {y.dtype}: expected labels like {check.shown(classes.tolist())}")
        if compared_as_floats(y, classes):
            raise ValueError(
                f"{name} has dtype {y.dtype}, the classes have {classes.dtype}: expected the same beyond 2**53"
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

    def _weights(self, y_name: str, y: Array, sample_weight: Array | None) -> tuple[str, Array | None]:
        if self.class_weight is None:
            return "sample_weight", sample_weight
        weights = self._class_weights(y_name, y)
        if sample_weight is None:
            return "class_weight by sample", weights
        with np.errstate(over="ignore", under="ignore"):  # refused afterwards
            return "class_weight * sample_weight", weights * sample_weight

    def _class_weights(self, y_name: str, y: Array) -> Array:
        if isinstance(self.class_weight, dict) and not self._is_multilabel():
            each = weights_of_classes(self.class_weight, self.classes_)
            weights: Array = each[np.searchsorted(self.classes_, y)]
        else:
            with naming("class_weight", "None, 'balanced', a dict, or a dict for each label of multilabel"):
                weights = np.asarray(compute_sample_weight(self.class_weight, y), np.float64)
        if not (np.isfinite(weights).all() and weights.min() >= 0):
            raise ValueError(f"class_weight={check.shown(self.class_weight)}: expected finite weights of at least 0")
        if not weights.any():
            raise ValueError(f"class_weight is zero for every class in {y_name}: expected at least one positive weight")
        return weights

    def _smoothed(self, network: Network, targets: Array) -> Array:
        label_smoothing = check.number("label_smoothing", self.label_smoothing, 0, 1, open_high=True)
        return smoothed(targets, self.n_outputs_, label_smoothing, network.dtype)

    def _strata(self, targets: Array) -> Array | None:
        return targets.astype(bool) if self.n_outputs_ == 1 else None

    def _score_outputs(self, outputs: Array, encoded: Array, sample_weight: Array | None) -> float:
        return accuracy(outputs, encoded, sample_weight)

    # ---- predictions -------------------------------------------------------------------------------

    def _classes_of(self, outputs: int | None = None) -> Array:
        """`classes_`, if it still belongs to a network with so many outputs."""
        classes = np.asarray(getattr(self, "classes_", None))
        known = self._label_binarizer.classes_
        expected = len(known) if self._label_binarizer.y_type_ in ("multiclass", "multilabel-indicator") else 1
        if classes.shape != known.shape:
            raise ValueError(f"classes_={check.shown(classes.tolist())}: expected the {len(known)} classes of the fit")
        if outputs not in (None, expected):
            raise ValueError(f"the network has {outputs} outputs, for classes_ expected are {expected}")
        return classes

    def predict(self, X: Any) -> Array:
        """Classes of samples.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples,), or (n_samples, n_labels) of indicators for multilabel

        Raises
        ------
        NotFittedError
            Before `fit`.
        TypeError, ValueError
            If X has another number of features or other names than in `fit`, or holds anything but finite numbers.
        """
        fitted = self._to_predict()
        outputs = fitted._outputs(X)
        single, classes = outputs.shape[1] == 1, fitted._classes_of(outputs.shape[1])
        if fitted._is_multilabel() or len(classes) < 2:
            labels = fitted._label_binarizer.inverse_transform(outputs[:, 0] if single else outputs)
        elif single:
            labels = classes[(outputs[:, 0] > 0.5).astype(np.intp)]
        else:
            labels = classes[outputs.argmax(axis=1)]
        return labels  # type: ignore[no-any-return]

    def predict_proba(self, X: Any) -> Array:
        """Probabilities of the classes, in the order of `classes_`.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            Rows sum to one; for multilabel each column is the probability of its label.  That of a label, or of the
            second of two classes, stays below one, also where one is the nearest number.

        Raises
        ------
        NotFittedError
            Before `fit`.
        TypeError, ValueError
            If X has another number of features or other names than in `fit`, or holds anything but finite numbers.
        """
        fitted = self._to_predict()
        outputs = fitted._outputs(X)
        fitted._classes_of(outputs.shape[1])
        if fitted._label_binarizer.y_type_ == "multiclass":
            return outputs
        np.minimum(outputs, np.nextafter(outputs.dtype.type(1), outputs.dtype.type(0)), out=outputs)
        return np.concatenate([1 - outputs, outputs], axis=1) if outputs.shape[1] == 1 else outputs

    def predict_log_proba(self, X: Any) -> Array:
        """The logarithm of `predict_proba`.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            -inf where a probability is 0.

        Raises
        ------
        NotFittedError, TypeError, ValueError
            As `predict_proba`.
        """
        with np.errstate(divide="ignore"):
            return np.log(self.predict_proba(X))

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Accuracy on samples, as of scikit-learn's classifiers; for multilabel the share that is right in every label.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
        y : array-like of shape (n_samples,) or (n_samples, n_labels)
            Labels as for `fit`.
        sample_weight : array-like of shape (n_samples,), optional

        Returns
        -------
        float

        Raises
        ------
        NotFittedError
            Before `fit`.
        TypeError, ValueError
            As `predict`, and for labels and weights as `fit`.
        """
        return self._score(accuracy_score, X, y, sample_weight)

    @with_callbacks
    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Any, y: Any, sample_weight: Any = None, X_val: Any = None, y_val: Any = None) -> MLPClassifier:
        """Fit the model to X and y.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            Finite numbers; float32 stays float32, all else becomes float64.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Class labels of one type, or multilabel indicators of 0 and 1.
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
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None, classes: Any = None) -> MLPClassifier:
        """One more epoch over the given data, the solver's state carried on.

        The first call builds the network.  Parameters that were set since the last call hold from now on; another
        solver, activation, learning_rate, learning_rate_init or power_t starts the solver's state anew.  Not for
        solver="lbfgs".

        Parameters
        ----------
        X, y, sample_weight
            As for `fit`.
        classes : array-like of shape (n_classes,), optional
            All classes of all calls; needed in the first, unless `fit` came before.

        Returns
        -------
        self

        Raises
        ------
        TypeError, ValueError
            For early_stopping=True, layer sizes or a number of features other than the network's,
            labels that are not among the classes, and as `fit`.
        DivergenceError
            As `fit`.
        """
        if isinstance(self.class_weight, str):
            raise ValueError(
                f"class_weight={self.class_weight!r} is not for partial_fit, which sees a part of the samples: "
                "expected a dict, as compute_class_weight gives it for all"
            )
        self._fit(X, y, sample_weight, incremental=True, classes=classes)
        return self

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags


def _kind_of(labels: Array) -> str:
    """Numbers, text or what else NumPy would turn into one another."""
    if labels.dtype.kind != "O":
        return "f" if labels.dtype.kind in "biuf" else str(labels.dtype.kind)
    kinds = [
        kind for kind, base in (("U", str), ("f", Number)) if all(isinstance(label, base) for label in labels.flat)
    ]
    return kinds[0] if kinds else "O"
