"""Model: a network with its labels and its task; predict, score, save and load."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from . import validation as check
from .kernels import kernels
from .labels import Task
from .network import Network
from .scores import accuracy, r2
from .training import History
from .validation import Array

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


class Model:
    """A trained network that speaks in labels, as `cmlp.fit` and `cmlp.load` return it.

    Attributes
    ----------
    network : Network
        Its parameters may be assigned, another network may not.
    task : {"binary", "multiclass", "multilabel", "regression"}
    classes_ : ndarray of shape (C,) or None
        The labels, sorted; None for regression.
    n_features_in_ : int
    feature_names_in_ : ndarray of str, (n_features_in_,), or None
        The columns of the data frame it was trained on; a data frame with others, or in another order, is refused.
        Rows without these names, a list of Series for instance, are taken by place.
    loss_curve_ : list of float
        Mean training loss of each epoch, the L2 term included.
    validation_scores_ : list of float or None
        Of each epoch, where there was a validation set: accuracy, or R2 for regression, or what `scoring` said.
    validation_loss_curve_ : list of float or None
        Mean loss over the validation set after each epoch, without the L2 term.
    best_loss_ : float
    best_validation_score_ : float or None
    n_iter_ : int
        Epochs run.
    converged_ : bool
        Whether the training stopped because it improved no more, rather than at max_iter.
    """

    def __init__(
        self, network: Network, task: Task, history: History | None = None, feature_names_in_: Array | None = None
    ):
        for name, value, kind in (("network", network, Network), ("task", task, Task)):
            if not isinstance(value, kind):
                raise TypeError(f"{name}={check.shown(value)}: expected a {kind.__name__}; cmlp.fit makes models")
        self.network = network
        self._task = task
        self._history = history if history is not None else History()
        self.feature_names_in_ = feature_names_in_

    task = property(lambda self: self._task.kind)
    classes_ = property(lambda self: self._task.classes)
    n_features_in_ = property(lambda self: self.network.layer_sizes[0])
    loss_curve_ = property(lambda self: self._history.loss_curve_)
    validation_scores_ = property(lambda self: self._history.validation_scores_)
    validation_loss_curve_ = property(lambda self: self._history.validation_loss_curve_)
    best_loss_ = property(lambda self: self._history.best_loss_)
    best_validation_score_ = property(lambda self: self._history.best_validation_score_)
    n_iter_ = property(lambda self: self._history.n_iter_)
    converged_ = property(lambda self: self._history.converged_)

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "network" and name in self.__dict__:
            raise AttributeError(
                "network of a Model cannot be set: expected an array assigned to network.parameters, or a new Model"
            )
        if name == "feature_names_in_":
            value = check.names(name, value, self.n_features_in_)
        super().__setattr__(name, value)

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Of a pickle or a copy: refuses parts that do not go together."""
        held = {"_history": History(), "feature_names_in_": None, **check.state("Model", state, ("network", "_task"))}
        for name, kind in (("network", Network), ("_task", Task), ("_history", History)):
            if not isinstance(held[name], kind):
                raise TypeError(
                    f"the {name} of a pickled Model is {check.shown(held[name])}: expected a {kind.__name__}"
                )
        _check_parts(held["network"], held["_task"])
        check.names("feature_names_in_", held["feature_names_in_"], held["network"].layer_sizes[0])
        self.__dict__.update(held)

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
        TypeError, ValueError
            If X has another shape or other columns than in `fit`, or holds anything but finite numbers.
        """
        return self._task.predictions(self._outputs(X))

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
        TypeError, ValueError
            As for `predict`.
        """
        if not self._task.is_classifier:
            raise TypeError("predict_proba needs a classifier: this model is a regression")
        return self._task.probabilities(self._outputs(X))

    def _outputs(self, X: Any) -> Array:
        check.same_columns("X", X, self.feature_names_in_)
        return self.network._sound(self.network.forward(X), "parameters")

    def score(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
        """Accuracy (of whole rows for multilabel), or R2 averaged over the outputs for regression.

        Parameters
        ----------
        X : array-like of shape (n, n_features_in_)
        y : array-like of shape (n,) or (n, outputs)
        sample_weight : array-like of shape (n,), optional

        Returns
        -------
        float
            At most 1.

        Raises
        ------
        TypeError, ValueError
            As for `predict`, and if y is not as in `fit`, or a weight is negative or not finite.
        """
        outputs = self._outputs(X)
        if outputs.ndim != 2:
            raise ValueError(f"X has shape {np.shape(X)}: expected (n, {self.n_features_in_})")
        n = len(outputs)
        double = np.dtype(np.float64)  # whatever the network's precision
        weights = check.weights("sample_weight", sample_weight, n, double, kernels(double))
        return score_of(self._task, outputs, self._task.targets("y", y, n), weights)

    def save(self, path: Any) -> None:
        """Writes the model to a file, which is replaced whole or left alone; a symbolic link to one is followed.

        The file is in the safetensors format, with parameters W_1, b_1, ... as tensors; it holds no code.  What
        `network.step` leaves of a solver, Adam's moments for instance, is not in it; a pickle or a deep copy keeps it.

        Parameters
        ----------
        path : str, bytes or path-like

        Raises
        ------
        TypeError
            For anything else as path.
        OSError
            If the file cannot be written.
        ValueError
            If `load` would refuse the file: the parameters are not all finite, or the labels are far larger than the
            network.
        """
        from . import saved  # here and in `load`: `import cmlp` is to stay quick

        saved.write(path, self.network, self._task, self._history, self.feature_names_in_)


def _check_parts(network: Network, task: Task) -> None:
    outputs, classes = network.layer_sizes[-1], task.classes
    expected = {"binary": 2, "regression": 0}.get(task.kind, outputs)
    found = 0 if classes is None else len(classes)
    if (task.loss, task.outputs) != (network.loss_name, outputs) or found != expected:
        raise ValueError(
            f"a pickled Model holds {check.shown(task)} and a network with {outputs} outputs under "
            f"{network.loss_name}: expected parts that go together"
        )


def score_of(task: Task, outputs: Array, targets: Array, weights: Array | None) -> float:
    """Accuracy or R2 of a network's outputs against what `Task.targets` makes of y."""
    if task.kind == "regression":
        return r2(outputs.astype(np.float64), np.asarray(targets, np.float64), weights)
    return accuracy(outputs, targets, weights)


# ---- functions of a model ----------------------------------------------------------------------------


def predict(model: Model, X: ArrayLike) -> Any:
    """Labels, or values for regression: `model.predict(X)`.

    Parameters
    ----------
    model : Model
    X : array-like of shape (n, n_features_in_) or (n_features_in_,)

    Returns
    -------
    ndarray of shape (n,) or (n, outputs)
        One sample gives one label, or the values of its outputs.

    Raises
    ------
    TypeError, ValueError
        If model is no Model, and as `Model.predict`.
    """
    return _model(model).predict(X)


def predict_proba(model: Model, X: ArrayLike) -> Array:
    """Probabilities of the classes, in the order of `model.classes_`: `model.predict_proba(X)`.

    Parameters
    ----------
    model : Model
        Of a classification.
    X : array-like of shape (n, n_features_in_) or (n_features_in_,)

    Returns
    -------
    ndarray of shape (n, C) or (C,)

    Raises
    ------
    TypeError, ValueError
        If model is no Model, and as `Model.predict_proba`.
    """
    return _model(model).predict_proba(X)


def save(model: Model, path: Any) -> None:
    """Writes a model to a file, for `load`: `model.save(path)`, without the state of a solver.

    Parameters
    ----------
    model : Model
    path : str, bytes or path-like

    Raises
    ------
    TypeError, ValueError, OSError
        If model is no Model, and as `Model.save`.
    """
    _model(model).save(path)


def _model(model: Any) -> Model:
    if not isinstance(model, Model):
        raise TypeError(
            f"model={check.shown(model)}: expected a cmlp.Model, as cmlp.fit returns it; an estimator or a Network has "
            "methods of its own, and can be pickled"
        )
    return model


# ---- files -----------------------------------------------------------------------------------------


def load(path: Any) -> Model:
    """The model that `save` wrote, on this machine or another.

    Nothing in the file is executed.  The memory taken is in proportion to the file's size, but for labels of a wide
    dtype, which may take 16 MB more.

    Parameters
    ----------
    path : str, bytes or path-like

    Returns
    -------
    Model

    Raises
    ------
    TypeError
        For anything else as path.
    OSError
        If the file cannot be read.
    ModelFileError
        If it is not a saved model, or is truncated or altered.
    """
    from . import saved

    return Model(*saved.read(path))
