"""What MLPClassifier and MLPRegressor share: fit and partial_fit as scikit-learn defines them, over a Network."""

from __future__ import annotations

import copy
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Set
from contextlib import contextmanager
from inspect import Parameter, signature
from itertools import pairwise
from numbers import Integral
from operator import is_
from threading import get_ident
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, is_regressor
from sklearn.utils import check_consistent_length, check_random_state
from sklearn.utils.validation import check_is_fitted

from .. import validation as check
from ..checkpoints import Checkpoint
from ..exceptions import DivergenceError, memory_errors
from ..fitting import opened_checkpoint
from ..held_out import refuse_metric
from ..network import ACTIVATION_ALIASES, ACTIVATIONS, Network, resolved_output
from ..randomness import unmoved_if_refused
from ..training import History, Samples, Solver
from ..validation import Array
from .before import Before
from .callbacks import CallbackSupportMixin, FitEvents
from .inputs import as_rows, checked_labels, checked_samples, checked_weights, naming, outputs_of, sound_labels
from .parameters import CONSTRAINTS
from .runs import Run, begin_notes, checked_targets

CLAIM = "_is_fitted_by_process_"  # the name of an attribute while a fit is under way, with the number of the process


class BaseMLP(CallbackSupportMixin, BaseEstimator, ABC):  # type: ignore[misc]
    """A Network with scikit-learn's manners."""

    _parameter_constraints = CONSTRAINTS
    _needed: tuple[str, ...] = ("n_features_in_", "n_outputs_", "out_activation_")
    _history: History

    # ---- what the two estimators differ in -----------------------------------------------------------

    @abstractmethod
    def _take_note(self, y: Array, incremental: bool) -> None:
        """Of the classes; refuses labels that do not go with those known."""

    @abstractmethod
    def _refuse_unknown(self, name: str, y: Array) -> None:
        """Labels that are not among the classes."""

    @abstractmethod
    def _encoded(self, y: Array) -> Array:
        """Class indices (n,), or target rows (n, n_outputs_)."""

    @abstractmethod
    def _output(self, y: Array) -> tuple[int, str]:
        """n_outputs_ and out_activation_."""

    @abstractmethod
    def _loss_name(self) -> str:
        """The network's loss."""

    @abstractmethod
    def predict(self, X: Any) -> Array:
        """Labels or values for samples."""

    @abstractmethod
    def _score_outputs(self, outputs: Array, encoded: Array, sample_weight: Array | None) -> float:
        """Accuracy or R2."""

    def _weights(self, y_name: str, y: Array, sample_weight: Array | None) -> tuple[str, Array | None]:
        """What the samples' weights are made of, and these, still to be checked."""
        return "sample_weight", sample_weight

    def _smoothed(self, network: Network, targets: Array) -> Array:
        return targets

    def _strata(self, targets: Array) -> Array | None:
        """What a held-out part is to have the same share of."""
        return None

    def _head(self) -> dict[str, Any]:
        """What the network is told of its output beside the loss."""
        return {}

    def _begin_partial_fit(self, y: Any, classes: Any) -> None:
        """Takes note of all classes before the first part of the samples."""

    # ---- fit ---------------------------------------------------------------------------------------

    def _validate_params(self) -> None:
        """As scikit-learn, which would take a time span for an integer."""
        for name, value in self.get_params(deep=False).items():
            if isinstance(value, np.timedelta64):
                raise TypeError(f"{name}={check.shown(value)}: expected no time span")
        super()._validate_params()

    def _validate_changed(self) -> None:
        """What was set since the last call: scikit-learn leaves the parameters of a fitted estimator to partial_fit."""
        now = tuple(self.__dict__.get(name) for name in self._parameter_constraints)
        before = self.__dict__.get("_validated")
        if before is None or not all(map(is_, now, before)):
            self._validate_params()
            self._validated = now

    def _has_stochastic_solver(self) -> bool:
        if self.solver == "lbfgs":
            raise AttributeError("partial_fit is only available for stochastic solvers, which lbfgs is not")
        return True

    def _fit(
        self, X: Any, y: Any, sample_weight: Any, incremental: bool, X_val: Any = None, y_val: Any = None,
        classes: Any = None,
    ) -> BaseMLP:  # fmt: skip
        with self._one_fit_at_a_time():
            events = FitEvents(self, X, y, None if incremental else sample_weight)
            before, draft = Before(self, goes_on=self.warm_start and not incremental), self._as_it_is()
            with memory_errors(), unmoved_if_refused(self.random_state):
                run = draft._prepared(X, y, sample_weight, incremental, X_val, y_val, classes)
            epochs = run.epochs
            self._swap(draft.__dict__)
            run.estimator = self
            try:
                run.minimise(events) if run.options.solver == "lbfgs" else run.train(events)
            except BaseException as error:
                if _undone(error, run, epochs):
                    self._go_back(before)
                else:
                    run.watch.restore_best()
                    self._hold(run.network)
                raise
            self._hold(run.network)  # also after an assignment that no callback has made
            events.fit_ends()
        return self

    def _swap(self, state: dict[str, Any]) -> None:
        """All that is held, in one step, for whoever predicts meanwhile; parameters that were set meanwhile stay."""
        names, held = self._parameter_constraints, self.__dict__
        values = tuple(map(state.get, names))
        self.__dict__ = state
        for name, value in zip(names, values, strict=True):
            if name in held and held[name] is not value:
                state[name] = held[name]

    def _go_back(self, before: Before) -> None:
        before.restore()
        self._swap(before.held)

    def _take_in(self, run: Run) -> None:
        """The training goes on from what a callback has assigned to `coefs_` and `intercepts_`."""
        assigned = self._as_it_is()._network_at_hand()
        if assigned is run.network:
            return
        if run.options.solver == "lbfgs":
            raise ValueError("coefs_ or intercepts_ were assigned during a search by lbfgs: expected another solver")
        if assigned.layer_sizes != run.network.layer_sizes:
            raise ValueError(
                f"coefs_ and intercepts_ were assigned during a fit, with layers of {assigned.layer_sizes}: expected "
                f"{run.network.layer_sizes}"
            )
        run.network.parameters = assigned.parameters
        self._hold(run.network)
        self._optimizer = run.solver  # which gave way to none if the arrays had another dtype

    @contextmanager
    def _one_fit_at_a_time(self) -> Iterator[None]:
        """Refuses a fit while another one is under way in this process; one in the parent of a fork does not count."""
        name, claim = f"{CLAIM}{os.getpid()}", [get_ident()]
        holds = self.__dict__.setdefault(name, claim)
        if holds is not claim:
            by = "the call under way, which a callback may not do too"
            if holds != claim:
                by = "another thread: give each thread an estimator of its own"
            raise RuntimeError(f"this {type(self).__name__} is being fitted by {by}")
        try:
            yield
        finally:
            del self.__dict__[name]

    def _as_it_is(self, held: dict[str, Any] | None = None) -> BaseMLP:
        """A shallow copy, which no other thread changes: what a method needs of a fit it takes from one of these."""
        copied = object.__new__(type(self))
        copied.__dict__ = (self.__dict__ if held is None else held).copy()
        return copied

    def _to_predict(self) -> BaseMLP:
        """Such a copy.  Arrays that were assigned to `coefs_` and `intercepts_` become views of a network first."""
        held = self.__dict__
        copied = self._as_it_is(held)  # not of what a fit puts in its place meanwhile
        state = copied.__dict__
        coefs, network = state.get("coefs_"), state.get("_network")
        assigned = copied.__sklearn_is_fitted__() and copied._network_at_hand() is not network
        if assigned and held.get("coefs_") is coefs:
            names = ("_history", "_optimizer", "_network", "coefs_", "intercepts_", "n_layers_", "_views")
            held.update({name: state[name] for name in names if name in state})
        return copied

    def _prepared(
        self, X: Any, y: Any, sample_weight: Any, incremental: bool, X_val: Any, y_val: Any, classes: Any
    ) -> Run:
        """Everything but the training, on a copy: what is refused leaves no trace in the estimator."""
        if incremental:
            self._validate_changed()
        hidden = self._hidden()
        self._refuse_contradictions(incremental, X_val, y_val)
        if callable(self.scoring):
            refuse_metric(self.scoring)
        saved = opened_checkpoint(self.checkpoint, self.checkpoint_every, self.solver)
        if incremental:
            self._begin_partial_fit(y, classes)
        first = not hasattr(self, "coefs_") or not (self.warm_start or incremental)
        X_given = X
        X, y = self._checked("X", X, "y", y, reset=first)
        self._take_note(y, incremental)
        sample_weight = checked_weights(sample_weight, X)
        self._begin_random(saved)
        self.n_outputs_, self.out_activation_ = self._output(y)
        sizes = (X.shape[1], *hidden, self.n_outputs_)
        network = self._begun(sizes, X.dtype) if first else self._continued(sizes, incremental)
        self._hold(network)
        run = self._run_over(network, X, y, sample_weight, incremental)
        if X_val is not None:
            run.validate_on(*self._validation_set(network, X_val, y_val))
        elif self.early_stopping and self.solver != "lbfgs":
            run.hold_out(_for_scorers(X_given, X), y)
        run.prepare()
        if saved is not None:
            run.go_on(saved)
        return run

    def _refuse_contradictions(self, incremental: bool, X_val: Any, y_val: Any) -> None:
        """Between parameters and arguments that are right on their own."""
        if incremental and self.early_stopping:
            raise ValueError("partial_fit does not support early_stopping=True")
        if self.early_stopping and self.validation_fraction == 0 and X_val is None and self.solver != "lbfgs":
            raise ValueError(f"validation_fraction={self.validation_fraction}: expected above 0 with early_stopping")
        if (X_val is None) != (y_val is None):
            raise ValueError(f"{'X_val' if X_val is None else 'y_val'} is None: expected both, or neither")
        if incremental and self.checkpoint is not None:
            raise ValueError(f"checkpoint={self.checkpoint!r}: expected None for partial_fit, which is an epoch long")

    def _begin_random(self, saved: Checkpoint | None) -> None:
        """From random_state, or where a checkpoint left off."""
        self._random_state = check_random_state(self.random_state)
        if saved is not None:
            if self.random_state is None:
                self._random_state = np.random.RandomState()
            saved.begin_random(self._random_state, given=self.random_state is not None)

    def _begun(self, sizes: tuple[int, ...], dtype: Any) -> Network:
        """A new network, with nothing known of any before."""
        network = self._new_network(sizes, dtype, self._random_state)
        self._history, self._optimizer = History(), None
        begin_notes(self)
        return network

    def _continued(self, sizes: tuple[int, ...], incremental: bool) -> Network:
        """The network at hand, with copies of what is known of its training."""
        network = self._fitted_network(sizes)
        self._history, self._optimizer = copy.copy(self._history), copy.copy(self._optimizer)
        if not incremental:  # whose one epoch is noted when it is over
            _part_curves(self._history)
            self._history.begin_fit()
        if self.solver == "lbfgs":
            self._history = History()
            begin_notes(self)
        return network

    def _run_over(self, network: Network, X: Any, y: Array, sample_weight: Array | None, incremental: bool) -> Run:
        """The samples as the kernels take them, to be trained on."""
        targets = checked_targets("y", network, self._encoded(y))
        name, weights = self._weights("y", y, sample_weight)
        weights = check.weights(name, weights, len(y), network.dtype, network._kernels)
        rows = np.arange(len(y), dtype=np.intp)
        inputs, smoothed = _of_our_own(as_rows("X", X, network)), self._smoothed(network, targets)
        samples = Samples(inputs, smoothed, weights, rows, relative=True)
        return Run(self, network, samples, targets, name, incremental)

    def _checked(self, X_name: str, X: Any, y_name: str, y: Any, reset: bool) -> tuple[Any, Array]:
        X = checked_samples(self, X_name, X, reset, (np.float64, np.float32))
        return X, checked_labels(self, y_name, y, X, numeric=is_regressor(self))

    def _validation_set(self, network: Network, X_val: Any, y_val: Any) -> tuple[Any, Array, Array | None, Any, Array]:
        """Rows, targets and weights as the kernels take them; samples and labels as scorers do."""
        X, y = self._checked("X_val", X_val, "y_val", y_val, reset=False)
        self._refuse_unknown("y_val", y)
        n_outputs, _ = self._output(y)
        if n_outputs != self.n_outputs_:
            raise ValueError(f"y_val has {n_outputs} outputs, y has {self.n_outputs_}: expected as many")
        rows = _of_our_own(as_rows("X_val", X, network))
        name, weights = self._weights("y_val", y, None)
        weights = check.weights(name, weights, len(y), network.dtype, network._kernels)
        return rows, checked_targets("y_val", network, self._encoded(y)), weights, _for_scorers(X_val, X), y

    def _scores_by_scorer(self) -> bool:
        return self.scoring is not None and self.scoring != "loss"

    def _hidden(self) -> list[int]:
        sizes = self.hidden_layer_sizes
        if isinstance(sizes, Mapping | Set | bytes) or (isinstance(sizes, np.ndarray) and sizes.ndim != 1):
            raise TypeError(
                f"hidden_layer_sizes={check.shown(sizes)}: expected a positive integer or a sequence of them"
            )
        hidden = list(sizes) if hasattr(sizes, "__iter__") else [sizes]
        if any(isinstance(width, Integral) and width <= 0 for width in hidden):
            raise ValueError(f"hidden_layer_sizes must be > 0, got {hidden}.")
        return [check.whole(f"hidden_layer_sizes[{i}]", width, 1) for i, width in enumerate(hidden)]

    def _new_network(self, sizes: tuple[int, ...], dtype: Any, random: Any) -> Network:
        return Network(sizes, self._activations(sizes), self._loss_name(), np.dtype(dtype).name, random, **self._head())

    def _activations(self, sizes: tuple[int, ...]) -> tuple[str, ...]:
        return check.per_layer("activation", self.activation, len(sizes) - 2, ACTIVATIONS, ACTIVATION_ALIASES)

    def _fitted_network(self, sizes: tuple[int, ...]) -> Network:
        """The one at hand, for training that goes on."""
        network = self._network_at_hand()
        network._sound(network.parameters, "coefs_ or intercepts_")
        if network.layer_sizes != sizes:
            raise ValueError(
                f"the fitted network has, by coefs_, layers of {network.layer_sizes}, the parameters and the data ask "
                f"for {sizes}: expected the same, or a fit with warm_start=False"
            )
        head = {"out_activation": None, "quantile": 0.5} | self._head()
        loss = self._loss_name()
        asked = (self._activations(sizes), loss, resolved_output(head["out_activation"], loss), head["quantile"])
        if (network.activation, network.loss_name, network.out_activation, network.quantile) == asked:
            return network
        changed = self._new_network(sizes, network.dtype, 0)
        changed.parameters = network.parameters
        return changed

    # ---- parameters --------------------------------------------------------------------------------

    def _hold(self, network: Network) -> None:
        """`coefs_` and `intercepts_` become views into the network's parameters."""
        self.__dict__.update(self._held_by(network))

    def _held_by(self, network: Network) -> dict[str, Any]:
        coefs, intercepts = [W.T for W in network.weights], list(network.biases)
        return {
            "_network": network,
            "coefs_": coefs,
            "intercepts_": intercepts,
            "_views": (*coefs, *intercepts),
            "n_layers_": len(network.layer_sizes),
        }

    def _network_at_hand(self) -> Network:
        """The network, or another with what has been assigned to `coefs_` and `intercepts_`.  Of a copy, see above."""
        state = self.__dict__
        views = state.get("_views", ())
        coefs: Any = state.get("coefs_")
        intercepts: Any = state.get("intercepts_")
        lists = type(coefs) is type(intercepts) is list
        if lists and len(coefs) + len(intercepts) == len(views) and all(map(is_, (*coefs, *intercepts), views)):
            return self._network  # type: ignore[no-any-return]
        for name, given in (("coefs_", coefs), ("intercepts_", intercepts)):
            if not isinstance(given, list | tuple | np.ndarray) or getattr(given, "ndim", 1) == 0:
                raise ValueError(f"{name}={check.shown(given)}: expected a list of arrays, one for each layer")
        sizes, dtype = _sizes_of(coefs, intercepts)
        network = state.get("_network")
        if network is None or network.layer_sizes != sizes or network.dtype != dtype:
            network = self._new_network(sizes, dtype, 0)
            self._history, self._optimizer = state.get("_history", History()), None
        else:
            network = copy.deepcopy(network)  # others may be predicting with it
        for mine, given in zip((*network.weights, *network.biases), (*coefs, *intercepts), strict=True):
            mine[...] = np.asarray(given).T
        self._hold(network)
        return network

    # ---- outputs -----------------------------------------------------------------------------------

    def _outputs(self, X: Any) -> Array:
        """o_L of every sample; of a copy, see above."""
        if not self.__sklearn_is_fitted__():
            check_is_fitted(self)
        network = self._network_at_hand()
        out: Array | None = None
        if type(X) is np.ndarray and "feature_names_in_" not in self.__dict__:
            out = network._predict(X)
        if out is None:
            out = outputs_of(network, as_rows("X", checked_samples(self, "X", X, reset=False), network))
        return network._sound(out, "coefs_ or intercepts_")

    def _score(self, metric: Callable[..., float], X: Any, y: Any, sample_weight: Any) -> float:
        """By one of scikit-learn's metrics, which by themselves take masked entries and times for values."""
        y = sound_labels(self, "y", y, numeric=is_regressor(self))
        weights = checked_weights(sample_weight, y)
        if weights is not None and not weights.any():
            raise ValueError("sample_weight is all zero: expected at least one positive weight")
        predictions = self.predict(X)
        with naming("X and y", "as many samples"):
            check_consistent_length(predictions, y)
        return float(metric(y, predictions, sample_weight=weights))

    # ---- scikit-learn ------------------------------------------------------------------------------

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags

    def __sklearn_is_fitted__(self) -> bool:
        """Parameters that were assigned before any fit say nothing of the outputs."""
        held = self.__dict__
        return "coefs_" in held and ("_network" in held or "out_activation_" in held)

    def __getstate__(self) -> dict[str, Any]:
        copied, left_out = self._as_it_is(), {"_views", "_validated"}
        if copied.__sklearn_is_fitted__():
            copied._network_at_hand()
            left_out |= {"coefs_", "intercepts_"}
        state: dict[str, Any] = super(BaseMLP, copied).__getstate__()
        return {name: value for name, value in state.items() if name not in left_out and not name.startswith(CLAIM)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Parameters that the pickle's version did not have are at their defaults."""
        held = {**self._defaults(), **check.state(type(self).__name__, state)}
        network = held.get("_network")
        if network is not None:
            self._check_fitted(network, check.state(type(self).__name__, held, self._needed))
            held = {"_history": History(), "_optimizer": None, **held}
            if not isinstance(held["_history"], History) or not isinstance(held["_optimizer"], Solver | None):
                raise TypeError("_history or _optimizer: expected a History, and a Solver or None")
        super().__setstate__(held)
        if network is not None:
            self._hold(network)

    @classmethod
    def _defaults(cls) -> dict[str, Any]:
        parameters = signature(cls.__init__).parameters.items()
        return {name: parameter.default for name, parameter in parameters if parameter.default is not Parameter.empty}

    def _check_fitted(self, network: Any, held: dict[str, Any]) -> None:
        """The parts of a pickled fit go together."""
        if not isinstance(network, Network):
            raise TypeError(f"_network={check.shown(network)}: expected a cmlp.Network")
        sizes = held["n_features_in_"], held["n_outputs_"]
        if sizes != (network.layer_sizes[0], network.layer_sizes[-1]):
            raise ValueError(
                f"n_features_in_ and n_outputs_ are {check.shown(sizes)}: expected those of the network's layers "
                f"{network.layer_sizes}"
            )


def _of_our_own(rows: Any) -> Any:
    """Sparse rows whose columns and starts nobody else can change, a callback for instance, once they are checked."""
    return (rows[0], *(indices.copy() for indices in rows[1:])) if isinstance(rows, tuple) else rows


def _for_scorers(given: Any, checked: Any) -> Any:
    """A data frame as it is, for the names of its columns; of anything else what was checked."""
    if hasattr(given, "iloc") or hasattr(given, "columns"):
        return given
    return checked.tocsr() if hasattr(checked, "tocsr") else checked


def _part_curves(history: History) -> None:
    """From those of the history that it was copied from."""
    for name in ("loss_curve_", "validation_scores_", "validation_loss_curve_"):
        setattr(history, name, copy.copy(getattr(history, name)))


def _undone(error: BaseException, run: Run, epochs: int) -> bool:
    """Whether a fit that ends so leaves the estimator as it was: where no epoch has ended, or memory has."""
    if run.epochs == epochs:
        return not isinstance(error, DivergenceError)
    return isinstance(error, MemoryError) and not run.incremental


def _sizes_of(coefs: Any, intercepts: Any) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """layer_sizes and dtype of parameters that were assigned."""
    arrays = [check.numeric_array("coefs_ or intercepts_", a) for a in (*coefs, *intercepts)]
    sizes = tuple(a.shape[0] for a in arrays[: len(coefs)] if a.ndim == 2) + (arrays[-1].shape[:1] if arrays else ())
    expected = [*pairwise(sizes), *((width,) for width in sizes[1:])]
    if not len(coefs) == len(intercepts) > 0 or 0 in sizes or [a.shape for a in arrays] != expected:
        raise ValueError(
            f"coefs_ and intercepts_ have shapes {[a.shape for a in arrays]}: expected (d_0, d_1), (d_1, d_2), ... and "
            "(d_1,), (d_2,), ..."
        )
    for a in arrays:
        check.finite("coefs_ or intercepts_", a)
    return sizes, np.dtype("float32" if all(a.dtype == np.float32 for a in arrays) else "float64")
