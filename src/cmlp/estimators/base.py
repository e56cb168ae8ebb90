"""What MLPClassifier and MLPRegressor share: fit and partial_fit as scikit-learn defines them, over a Network."""

from __future__ import annotations

from abc import ABC, abstractmethod
from itertools import pairwise
from operator import is_
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from .. import validation as check
from ..network import ACTIVATION_ALIASES, ACTIVATIONS, Network, resolved_output
from ..training import History, Samples
from ..validation import Array
from .callbacks import CallbackSupportMixin, FitEvents
from .inputs import as_rows, check_sparse, chunks, outputs_of
from .parameters import CONSTRAINTS
from .runs import Run, begin_notes, checked_targets


class BaseMLP(CallbackSupportMixin, BaseEstimator, ABC):  # type: ignore[misc]
    """A Network with scikit-learn's manners."""

    _parameter_constraints = CONSTRAINTS
    _history: History

    # ---- what the two estimators differ in -----------------------------------------------------------

    @abstractmethod
    def _checked(self, X: Any, y: Any, reset: bool) -> tuple[Any, Array]:
        """X and y as scikit-learn checks them."""

    @abstractmethod
    def _take_note(self, y: Array, incremental: bool) -> None:
        """Of the classes; refuses labels that do not go with those known."""

    @abstractmethod
    def _refuse_unknown(self, y: Array) -> None:
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
    def _score_outputs(self, outputs: Array, encoded: Array, sample_weight: Array | None) -> float:
        """Accuracy or R2."""

    def _weights(self, y: Array, sample_weight: Array | None) -> Array | None:
        return sample_weight

    def _smoothed(self, network: Network, targets: Array) -> Array:
        return targets

    def _strata(self, targets: Array) -> Array | None:
        """What a held-out part is to have the same share of."""
        return None

    def _head(self) -> dict[str, Any]:
        """What the network is told of its output beside the loss."""
        return {}

    # ---- fit ---------------------------------------------------------------------------------------

    def _has_stochastic_solver(self) -> bool:
        if self.solver == "lbfgs":
            raise AttributeError("partial_fit is only available for stochastic solvers, which lbfgs is not")
        return True

    def _fit(
        self, X: Any, y: Any, sample_weight: Any, incremental: bool, X_val: Any = None, y_val: Any = None
    ) -> BaseMLP:
        events = FitEvents(self, X, y, None if incremental else sample_weight)
        before = self.__dict__.copy()
        try:
            run = self._prepared(X, y, sample_weight, incremental, X_val, y_val)
        except BaseException:
            self.__dict__ = before  # which takes no memory: it may be at an end
            raise
        if self.solver == "lbfgs":
            run.minimise(events)
        else:
            run.train(events)
        events.fit_ends()
        return self

    def _prepared(self, X: Any, y: Any, sample_weight: Any, incremental: bool, X_val: Any, y_val: Any) -> Run:
        """Everything but the training; what it refuses leaves no trace."""
        hidden = self._hidden()
        if incremental and self.early_stopping:
            raise ValueError("partial_fit does not support early_stopping=True")
        if (X_val is None) != (y_val is None):
            raise ValueError(f"{'X_val' if X_val is None else 'y_val'} is None: expected both, or neither")
        first = not hasattr(self, "coefs_") or not (self.warm_start or incremental)
        check_sparse("X", X)
        X_given, y_given = X, y
        X, y = self._checked(X, y, reset=first)
        self._take_note(y, incremental)
        if sample_weight is not None:
            with np.errstate(over="ignore"):  # refused below
                sample_weight = _check_sample_weight(sample_weight, X, dtype=X.dtype, ensure_non_negative=True)
        self._random_state = check_random_state(self.random_state)
        n_outputs, out_activation = self._output(y)
        sizes = (X.shape[1], *hidden, n_outputs)
        if first:
            self.n_outputs_, self.out_activation_ = n_outputs, out_activation
            network = self._new_network(sizes, X.dtype, self._random_state)
            self._history, self._optimizer = History(), None
            begin_notes(self)
        else:
            network = self._fitted_network(sizes)
            self.out_activation_ = out_activation
        self._hold(network)
        targets = checked_targets("y", network, self._encoded(y))
        weights = check.weights(
            "sample_weight", self._weights(y, sample_weight), len(y), network.dtype, network._kernels
        )
        rows = np.arange(len(y), dtype=np.intp)
        samples = Samples(as_rows("X", X, network), self._smoothed(network, targets), weights, rows, relative=True)
        run = Run(self, network, samples, incremental)
        if X_val is not None:
            run.validate_on(*self._validation_set(network, X_val, y_val), X_val, y_val)
        elif self.early_stopping and self.solver != "lbfgs":
            run.hold_out(X_given, y_given, targets)
        run.prepare()
        return run

    def _validation_set(self, network: Network, X_val: Any, y_val: Any) -> tuple[Any, Array, Array | None]:
        check_sparse("X_val", X_val)
        X, y = self._checked(X_val, y_val, reset=False)
        self._refuse_unknown(y)
        n_outputs, _ = self._output(y)
        if n_outputs != self.n_outputs_:
            raise ValueError(f"y_val has {n_outputs} outputs, y has {self.n_outputs_}: expected as many")
        rows = chunks(as_rows("X_val", X, network), network.layer_sizes[0])
        weights = check.weights("y_val's weights", self._weights(y, None), len(y), network.dtype, network._kernels)
        return rows, checked_targets("y_val", network, self._encoded(y)), weights

    def _scores_by_scorer(self) -> bool:
        return self.scoring is not None and self.scoring != "loss"

    def _hidden(self) -> list[int]:
        sizes = self.hidden_layer_sizes
        hidden = list(sizes) if hasattr(sizes, "__iter__") else [sizes]
        if np.any(np.array(hidden) <= 0):
            raise ValueError(f"hidden_layer_sizes must be > 0, got {hidden}.")
        return [check.whole(f"hidden_layer_sizes[{i}]", width, 1) for i, width in enumerate(hidden)]

    def _new_network(self, sizes: tuple[int, ...], dtype: Any, random: Any) -> Network:
        return Network(sizes, self._activations(sizes), self._loss_name(), np.dtype(dtype).name, random, **self._head())

    def _activations(self, sizes: tuple[int, ...]) -> tuple[str, ...]:
        return check.per_layer("activation", self.activation, len(sizes) - 2, ACTIVATIONS, ACTIVATION_ALIASES)

    def _fitted_network(self, sizes: tuple[int, ...]) -> Network:
        """The one at hand, for training that goes on."""
        network = self._network_at_hand()
        if network.layer_sizes != sizes:
            raise ValueError(
                f"the fitted network has layers of {network.layer_sizes}, the parameters and the data ask for {sizes}: "
                "expected the same, or a fit with warm_start=False"
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
        """The network, brought up to what has been assigned to `coefs_` and `intercepts_`."""
        state = self.__dict__
        views = state.get("_views", ())
        coefs, intercepts = state["coefs_"], state["intercepts_"]
        if len(coefs) + len(intercepts) == len(views) and all(map(is_, (*coefs, *intercepts), views)):
            return self._network  # type: ignore[no-any-return]
        sizes, dtype = _sizes_of(coefs, intercepts)
        network = state.get("_network")
        if network is None or network.layer_sizes != sizes or network.dtype != dtype:
            network = self._new_network(sizes, dtype, 0)
            self._history, self._optimizer = state.get("_history", History()), None
        copies = [np.array(given).T for given in (*coefs, *intercepts)]  # some may be views of one another's place
        for mine, given in zip((*network.weights, *network.biases), copies, strict=True):
            mine[...] = given
        self._hold(network)
        return network

    # ---- outputs -----------------------------------------------------------------------------------

    def _outputs(self, X: Any) -> Array:
        """o_L of every sample."""
        if "coefs_" not in self.__dict__:
            check_is_fitted(self)
        network = self._network_at_hand()
        if type(X) is np.ndarray and "feature_names_in_" not in self.__dict__:
            out: Array | None = network._predict(X)
            if out is not None:
                return out
        check_sparse("X", X)
        X = validate_data(self, X, accept_sparse=["csr", "csc"], reset=False)
        return outputs_of(network, as_rows("X", X, network))

    # ---- scikit-learn ------------------------------------------------------------------------------

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags

    def __sklearn_is_fitted__(self) -> bool:
        return "coefs_" in self.__dict__

    def __getstate__(self) -> dict[str, Any]:
        if "coefs_" in self.__dict__:
            self._network_at_hand()
        state: dict[str, Any] = super().__getstate__().copy()
        for name in ("coefs_", "intercepts_", "_views"):
            state.pop(name, None)
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        if "_network" in self.__dict__:
            self._hold(self._network)


def _sizes_of(coefs: Any, intercepts: Any) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """layer_sizes and dtype of parameters that were assigned."""
    arrays = [check.numeric_array("coefs_ or intercepts_", a) for a in (*coefs, *intercepts)]
    sizes = tuple(a.shape[0] for a in arrays[: len(coefs)] if a.ndim == 2) + arrays[-1].shape[:1]
    expected = [*pairwise(sizes), *((width,) for width in sizes[1:])]
    if len(coefs) != len(intercepts) or [a.shape for a in arrays] != expected:
        raise ValueError(
            f"coefs_ and intercepts_ have shapes {[a.shape for a in arrays]}: expected (d_0, d_1), (d_1, d_2), ... and "
            "(d_1,), (d_2,), ..."
        )
    for a in arrays:
        check.finite("coefs_ or intercepts_", a)
    return sizes, np.dtype("float32" if all(a.dtype == np.float32 for a in arrays) else "float64")
