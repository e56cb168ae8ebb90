"""Network: a block of parameters and what can be computed with it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from . import validation as check
from .exceptions import DivergenceError
from .kernels import PRECISIONS, kernels
from .kernels._call import Caller
from .parameters import aligned_block, initialise, views
from .threads import number_of_threads
from .trace import Trace
from .validation import Array

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

ACTIVATIONS = (
    "identity", "relu", "sigmoid", "tanh", "leaky_relu", "elu", "selu", "softplus", "silu", "gelu",
)  # fmt: skip
ACTIVATION_ALIASES = {"logistic": "sigmoid"}
DISTANCES = ("squared_error", "absolute_error", "huber", "log_cosh", "quantile")  # of the output from y
OUTPUTS = {"cross_entropy": "softmax", "binary_cross_entropy": "sigmoid", "poisson": "exp"}
LOSSES = (*OUTPUTS, *DISTANCES)
SOLVERS = ("sgd", "adam", "adamw", "rmsprop")
LEAST = {"float32": 2.0**-149, "float64": 2.0**-1074}  # NumPy warns of its own where a thread flushes them to 0
NEEDED = ("layer_sizes", "activation", "loss_name", "dtype", "parameters")  # in a pickle of any version
MOST_UPDATES = 2**53
FIXED = ("layer_sizes", "activation", "loss_name", "dtype", "out_activation", "quantile")  # once and for all
INNER = (
    "_parameters", "_weights", "_biases", "_kernels", "_solver_codes", "_engine", "_first_not_finite", "_predict",
    "_step_one",
)  # fmt: skip


class Network(Caller):
    r"""A multilayer perceptron.

    With :math:`o_0 = x`, layer :math:`l = 1, \dots, L` computes :math:`z_l = W_l o_{l-1} + b_l` and
    :math:`o_l = s_l(z_l)`; the last layer's output function belongs to the loss.

    Called with one sample, ``net(x)``, it returns o_L: the fastest path, from any number of threads.  x of shape (d_0,)
    is taken as it is if it is contiguous and of the network's precision, and converted if not; the result has shape
    (C,).  ValueError if x has another shape or holds NaN or infinity.

    Parameters
    ----------
    layer_sizes : sequence of int
        (d_0, d_1, ..., d_L): inputs, hidden units of each layer, outputs.
    activation : str or sequence of str, default "relu"
        s_l of the hidden layers, one name for all or a name each: identity, relu, sigmoid (also logistic), tanh,
        leaky_relu (slope 0.01), elu, selu, softplus, silu, gelu (by the normal distribution function).
    loss : str, default "cross_entropy"
        With its output function: cross_entropy (softmax, of two outputs or more), binary_cross_entropy (sigmoid, summed
        over the outputs), poisson (exp, half the deviance); or a distance of the outputs from y: squared_error (half
        the squared error), absolute_error, huber (threshold 1), log_cosh, quantile.  A sample's loss is summed over
        the outputs.
    dtype : {"float32", "float64"}, default "float64"
        Precision of the parameters and of all arithmetic.
    random_state : int, RandomState, Generator or None
        Draws the initial parameters as scikit-learn does: uniform in +-sqrt(6 / (d_{l-1} + d_l)), 6 being 2 for a
        sigmoid layer.
    out_activation : str, optional
        s_L, where the loss is a distance: any of the names above, by default identity.
    quantile : float in (0, 1), default 0.5
        Of the loss of that name: the share of y that is to lie below the output.

    Attributes
    ----------
    layer_sizes : tuple of int
    activation : tuple of str
        One name per hidden layer.
    out_activation : str
        The last layer's, softmax and exp among them.
    loss_name : str
    quantile : float
    dtype : numpy.dtype
    parameters : ndarray of shape (n_parameters,)
        W_1, b_1, ..., W_L, b_L in one block.  Writing into it changes the network; assigning an array copies it in.
    weights : tuple of ndarray
        weights[l - 1] is W_l, of shape (d_l, d_{l-1}), a view into `parameters`.
    biases : tuple of ndarray
        biases[l - 1] is b_l, of shape (d_l,), a view into `parameters`.

    Raises
    ------
    TypeError, ValueError
        For an argument out of its range, naming it.
    MemoryError
        For a network that does not fit into memory.

    Examples
    --------
    >>> import cmlp
    >>> net = cmlp.Network((2, 3, 2), activation="tanh", random_state=0)
    >>> net([0.5, -1.0]).shape
    (2,)
    """

    def __init__(
        self,
        layer_sizes: Any,
        activation: Any = "relu",
        loss: str = "cross_entropy",
        dtype: Any = "float64",
        random_state: Any = None,
        out_activation: str | None = None,
        quantile: float = 0.5,
    ):
        self.layer_sizes = check.sizes("layer_sizes", layer_sizes, 2)
        hidden = len(self.layer_sizes) - 2
        self.activation = check.per_layer("activation", activation, hidden, ACTIVATIONS, ACTIVATION_ALIASES)
        self.loss_name = check.choice("loss", loss, LOSSES)
        if self.loss_name == "cross_entropy" and self.layer_sizes[-1] == 1:
            raise ValueError(
                "layer_sizes[-1]=1: a softmax of one output is always 1: expected two outputs or more for "
                "cross_entropy, or loss='squared_error' for a regression, 'binary_cross_entropy' for two classes"
            )
        self.out_activation = resolved_output(out_activation, self.loss_name)
        self.quantile = check.number("quantile", quantile, 0, 1, open_low=True, open_high=True)
        self.dtype = precision("dtype", dtype)
        self._parameters = aligned_block(self.layer_sizes, self.dtype)
        self._weights, self._biases = views(self._parameters, self.layer_sizes)
        self._build_engine()
        initialise(self.weights, self.biases, self.activation, check.random_source("random_state", random_state))

    def __setattr__(self, name: str, value: Any) -> None:
        if name in FIXED and name in self.__dict__:
            raise AttributeError(f"{name} of a Network cannot be set: expected a new Network")
        super().__setattr__(name, value)

    def __delattr__(self, name: str) -> None:
        if name in FIXED:
            raise AttributeError(f"{name} of a Network cannot be deleted")
        super().__delattr__(name)

    @property
    def parameters(self) -> Array:
        """A new view each time: its numbers are the network's; its shape, dtype and flags are the caller's."""
        return self._parameters.view()

    @parameters.setter
    def parameters(self, values: ArrayLike) -> None:
        self._parameters[:] = self._checked_parameters(values)

    @property
    def weights(self) -> tuple[Array, ...]:
        return tuple([W.view() for W in self._weights])

    @property
    def biases(self) -> tuple[Array, ...]:
        return tuple([b.view() for b in self._biases])

    def _build_engine(self) -> None:
        self._kernels = kernels(self.dtype)
        codes = self._kernels.codes()
        activations = [codes["activation"][name] for name in self.activation]
        self._solver_codes = codes["solver"]
        self._engine = self._kernels.Engine(
            self.layer_sizes, activations, codes["loss"][self.loss_name], self._parameters,
            codes["activation"].get(self.out_activation, 0), self.quantile,
        )  # fmt: skip
        self._first_not_finite = self._kernels.first_not_finite
        self._predict_one = self._engine.predict_one
        self._predict = self._engine.predict
        self._step_one = self._engine.step_one

    def __repr__(self) -> str:
        return (
            f"Network({self.layer_sizes}, activation={self.activation}, loss={self.loss_name!r}, "
            + f"out_activation={self.out_activation!r}, " * (self.loss_name in DISTANCES)
            + f"quantile={self.quantile}, " * (self.loss_name == "quantile")
            + f"dtype={self.dtype.name!r})"
        )

    # ---- inference ---------------------------------------------------------------------------------

    def _predict_converted(self, x: Any) -> Array:
        """What the kernels do not take as it is: converted, or refused by name."""
        out: Array = self._predict_one(self._sample(x))
        return out

    def forward(self, X: ArrayLike) -> Array:
        """The outputs for many samples, or for one.

        Parameters
        ----------
        X : array-like of shape (n, d_0) or (d_0,)

        Returns
        -------
        ndarray of shape (n, C) or (C,)

        Raises
        ------
        TypeError, ValueError
            If X has another shape or holds anything but finite numbers.
        """
        out = self._predict(X)
        if out is None:
            out = self._predict_one(X)
        if out is None:  # not as the kernels take it: convert, or say why not
            X = check.numeric_array("X", X)
            out = self._predict_one(self._sample(X, "X")) if X.ndim == 1 else self._predict(self._rows(X))
        return out  # type: ignore[return-value]

    # ---- loss and gradients ------------------------------------------------------------------------

    def loss(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
        """Mean over the samples of weight times loss.

        Parameters
        ----------
        X : array-like of shape (n, d_0) or (d_0,)
        y : array-like
            Under cross_entropy class indices (n,) or rows (n, C) that sum to one; under the other losses rows (n, C),
            or (n,) with one output.  For a single sample without the first axis.
        sample_weight : array-like of shape (n,), optional

        Returns
        -------
        float

        Raises
        ------
        TypeError, ValueError
            If X, y or sample_weight have other shapes, or hold what the loss is not defined for.
        """
        return self._engine.loss(*self._batch(X, y, sample_weight), 0.0)

    def loss_and_gradients(
        self, X: ArrayLike, y: ArrayLike, alpha: float = 0.0, sample_weight: ArrayLike | None = None
    ) -> tuple[float, list[Array], list[Array]]:
        """The mean loss over a batch and its gradients.

        Parameters
        ----------
        X, y, sample_weight
            As for `loss`.
        alpha : float, default 0
            L2 term: alpha / (2 n) times the sum of squared weights, part of the loss and of the gradients.

        Returns
        -------
        loss : float
        dW : list of ndarray
            dW[l - 1] = dL/dW_l, of shape (d_l, d_{l-1}).
        db : list of ndarray
            db[l - 1] = dL/db_l, of shape (d_l,).

        Raises
        ------
        TypeError, ValueError
            As for `loss`, and for an alpha below 0 or beyond the network's precision.
        """
        gradient = np.empty_like(self.parameters)
        alpha = self._number("alpha", alpha)
        loss = self._engine.loss_and_gradient(*self._batch(X, y, sample_weight), alpha, gradient)
        dW, db = views(gradient, self.layer_sizes)
        return loss, list(dW), list(db)

    def trace(self, x: ArrayLike, y: ArrayLike, learning_rate: float = 0.01) -> Trace:
        """Every quantity of the hand calculation for one sample.

        Parameters
        ----------
        x : array-like of shape (d_0,)
        y : int or array-like of shape (C,)
        learning_rate : float, default 0.01
            eta of the updated weights shown; the network itself is left as it is.

        Returns
        -------
        Trace
            z_l, o_l, delta_l, grad_W_l, grad_b_l, the loss, and W_l, b_l before and after one step of SGD; prints as a
            table.

        Raises
        ------
        TypeError, ValueError
            If x is not one sample or y not its target, or for a learning_rate below 0 or beyond the precision.
        """
        X, target, _ = self._batch(self._sample(x), y, None, name="x")
        rows = np.zeros(self.layer_sizes[-1], self.dtype)
        if target.ndim == 1:
            rows[target[0]] = 1
        else:
            rows[:] = target[0]
        loss, o, z, delta, gradient = self._engine.trace(X[0], rows)
        return Trace(
            y=rows,
            loss=loss,
            o=o,
            z=z,
            delta=delta,
            gradients=views(gradient, self.layer_sizes),
            weights=self.weights,
            biases=self.biases,
            learning_rate=self._number("learning_rate", learning_rate),
            activation=(*self.activation, self.out_activation),
            loss_name=self.loss_name,
        )

    # ---- training ----------------------------------------------------------------------------------

    def step(
        self,
        x: ArrayLike,
        y: ArrayLike,
        learning_rate: float = 0.01,
        solver: str = "sgd",
        momentum: float = 0.0,
        nesterov: bool = False,
        alpha: float = 0.0,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        sample_weight: ArrayLike | None = None,
    ) -> float:
        """One update on one sample or a batch.

        The solver's state (velocity, moments) lasts as long as the network and the solver's name stay the same.

        Parameters
        ----------
        x : array-like of shape (d_0,) or (n, d_0)
        y : int or array-like
            As for `loss`.
        learning_rate : float, default 0.01
            eta.
        solver : {"sgd", "adam", "adamw", "rmsprop"}, default "sgd"
        momentum : float in [0, 1], default 0
            Of sgd and rmsprop.
        nesterov : bool, default False
            Nesterov's correction of sgd's momentum.
        alpha : float, default 0
            L2 term, alpha / (2 n) times the sum of squared weights; for adamw, a decay of the weights by
            learning_rate * alpha / n at each step.
        beta_1, beta_2 : float in [0, 1), default 0.9 and 0.999
            Decay of Adam's moments; beta_2 also of rmsprop's mean square.
        epsilon : float, default 1e-8
            Beside the bias-corrected root.
        sample_weight : float or array-like of shape (n,), optional
            Factors of the samples' losses.

        Returns
        -------
        float
            The mean loss before the update, the L2 term included (which adamw does not have in its loss).

        Raises
        ------
        TypeError, ValueError
            As for `loss`, and for an option out of its range, naming it; nothing is updated then.
        DivergenceError
            If that loss is not finite; nothing is updated then.
        RuntimeError
            If another thread is training this network.
        """
        settings = (solver, learning_rate, momentum, nesterov, alpha, beta_1, beta_2, epsilon)
        loss = self._step_one(x, y, settings) if sample_weight is None else None
        if loss is None:  # other settings, or not as the kernels take it: convert, or say why not
            batch = self._batch(x, y, sample_weight, name="x")
            with self._engine:
                self._set_solver(*settings)
                loss = self._engine.step(*batch)
        if loss - loss != 0:
            raise DivergenceError(f"the loss is {loss} before this step: nothing was updated; {self._remedy()}")
        return loss

    def fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        solver: str = "sgd",
        learning_rate: float = 0.01,
        batch_size: int = 1,
        epochs: int = 1,
        shuffle: bool = False,
        random_state: Any = None,
        momentum: float = 0.0,
        nesterov: bool = False,
        alpha: float = 0.0,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        sample_weight: ArrayLike | None = None,
        n_threads: int | None = None,
    ) -> Array:
        """Epochs of updates, from a fresh solver state.

        Parameters
        ----------
        X : array-like of shape (n, d_0)
        y : array-like
            As for `loss`.
        solver, learning_rate, momentum, nesterov, alpha, beta_1, beta_2, epsilon
            As for `step`.
        batch_size : int, default 1
            Samples per update; the last batch of an epoch may be short.
        epochs : int, default 1
        shuffle : bool, default False
            Whether each epoch takes the samples in a new random order.
        random_state : int, RandomState, Generator or None
            Of the shuffles.
        sample_weight : array-like of shape (n,), optional
            Factors of the samples' losses.
        n_threads : int, optional
            Threads that share each batch; the result is the same, to the bit, for any number.  By default as many as
            are quickest for the sizes, and one outside the main thread or in a child process.

        Returns
        -------
        ndarray of shape (epochs,)
            The mean loss of each epoch: of each batch before its update.

        Raises
        ------
        TypeError, ValueError
            As for `loss`, and for an option out of its range, naming it; nothing is updated then.
        MemoryError
            If there is no room for the training or for a loss of each epoch, with the parameters from before.
        RuntimeError
            If another thread, or a training that called this, is training this network.
        DivergenceError
            If a loss or a parameter becomes NaN or infinite; the network keeps the last finite parameters.
        KeyboardInterrupt
            On Ctrl-C, with the parameters of the last finished update in place.
        """
        X, y, sample_weight = self._batch(check.numeric_array("X", X), y, sample_weight, one=False)
        batch_size = min(check.whole("batch_size", batch_size, 1), len(X))
        epochs = check.whole("epochs", epochs, 0)
        shuffle = check.flag("shuffle", shuffle)
        if shuffle or random_state is not None:
            random = check.random_source("random_state", random_state)
        threads = number_of_threads(n_threads, batch_size, self.parameters.size)
        order = np.arange(len(X), dtype=np.intp)
        losses = _room_for_losses(epochs)
        with self._engine:
            before = self._parameters.copy()
            self._set_solver(solver, learning_rate, momentum, nesterov, alpha, beta_1, beta_2, epsilon)
            self._engine.reset_solver()
            try:
                for epoch in range(epochs):
                    if shuffle:
                        random.shuffle(order)
                    rows = order if shuffle else None
                    losses[epoch] = self._epoch(X, y, sample_weight, rows, batch_size, threads, epoch + 1)
            except MemoryError:
                self._parameters[:] = before
                self._engine.reset_solver()
                raise
        return losses

    def _remedy(self) -> str:
        if self._kernels.first_not_finite(self.parameters) < 0:
            return "try smaller numbers in x and y, or a smaller learning_rate"
        return "an earlier step has made the parameters infinite or NaN, start again with a smaller learning_rate"

    def _epoch(
        self, X: Any, y: Array, sample_weight: Array | None, order: Array | None, batch_size: int, threads: int,
        epoch: int, relative: bool = False, rates: Array | None = None, keep: Array | None = None, seed: int = 0,
    ) -> float:  # fmt: skip
        loss: float = self._engine.epoch(X, y, sample_weight, order, batch_size, threads, relative, rates, keep, seed)
        if loss != loss:
            raise DivergenceError(
                f"training diverged in epoch {epoch}: the loss or the parameters became NaN or infinite; the last "
                "finite parameters are kept.  Try a smaller learning rate, or standardise X"
            )
        return loss

    def _set_solver(
        self, solver: str, learning_rate: float, momentum: float, nesterov: bool, alpha: float, beta_1: float,
        beta_2: float, epsilon: float, epsilon_outside: bool = False, clip_norm: float = 0.0,
    ) -> None:  # fmt: skip
        arguments = self._solver_arguments(
            solver, learning_rate, momentum, nesterov, alpha, beta_1, beta_2, epsilon, epsilon_outside, clip_norm
        )
        self._engine.set_solver(*arguments)

    def _solver_arguments(
        self, solver: str, learning_rate: float, momentum: float, nesterov: bool, alpha: float, beta_1: float,
        beta_2: float, epsilon: float, epsilon_outside: bool = False, clip_norm: float = 0.0,
    ) -> tuple[Any, ...]:  # fmt: skip
        """What the engine's `set_solver` takes; refuses what is out of range and changes nothing."""
        settings = (solver, learning_rate, momentum, nesterov, alpha, beta_1, beta_2, epsilon)
        return (
            (*settings, epsilon_outside, clip_norm) if epsilon_outside or clip_norm else settings,
            self._solver_codes[check.choice("solver", solver, SOLVERS)],
            self._number("learning_rate", learning_rate),
            check.number("momentum", momentum, 0, 1),
            check.flag("nesterov", nesterov),
            self._number("alpha", alpha),
            check.number("beta_1", beta_1, 0, 1, open_high=True),
            check.number("beta_2", beta_2, 0, 1, open_high=True),
            self._epsilon(epsilon),
            epsilon_outside,
            clip_norm,
        )

    # ---- arguments ---------------------------------------------------------------------------------

    def _sound(self, outputs: Array, where: str) -> Array:
        """Outputs as they are, unless they are NaN or made of parameters that are not finite."""
        if self._first_not_finite(outputs) < 0:
            return outputs
        bad = self._kernels.first_not_finite(self.parameters)
        if bad >= 0:
            raise ValueError(f"{where} hold {self.parameters[bad]}, the outputs mean nothing: expected finite numbers")
        if np.isnan(outputs).any():
            raise ValueError("X is too large for this network, whose outputs are NaN: expected smaller numbers")
        return outputs

    def _number(self, name: str, value: Any) -> float:
        """A number of at least 0 that the network's precision can hold."""
        return check.number(name, value, 0, float(np.finfo(self.dtype).max))

    def _checked_parameters(self, values: Any) -> Array:
        array = check.numeric_array("parameters", values)
        if array.shape != self._parameters.shape:
            raise ValueError(f"parameters has shape {array.shape}: expected {self._parameters.shape}")
        return check.in_precision("parameters", array, self.dtype, self._kernels)

    def _epsilon(self, value: Any) -> float:
        """A positive number that stays positive in the network's precision."""
        check.number("epsilon", value, 0, open_low=True)
        return check.number("epsilon", value, LEAST[self.dtype.name])

    def _sample(self, x: Any, name: str = "x") -> Array:
        array = check.numeric_array(name, x)
        if array.shape != self.layer_sizes[:1]:
            raise ValueError(f"{name} has shape {array.shape}: expected ({self.layer_sizes[0]},)")
        return check.in_precision(name, array, self.dtype, self._kernels)

    def _rows(self, X: Any, name: str = "X") -> Array:
        return check.samples(name, X, self.layer_sizes[0], self.dtype, self._kernels)

    def _target(self, y: Any) -> Array:
        """One sample's, (C,); an integer under cross_entropy, a number for one output."""
        target, C = check.numeric_array("y", y), self.layer_sizes[-1]
        alone = "a class index or " if self.loss_name == "cross_entropy" else "a number or " if C == 1 else ""
        if target.shape != (C,) and (target.ndim or not alone):
            raise ValueError(f"y has shape {target.shape}: expected {alone}({C},)")
        if target.ndim == 0:
            check.refuse_number("y", target, C, self.loss_name)
        return target

    def _batch(
        self, X: Any, y: Any, sample_weight: Any, one: bool = True, name: str = "X"
    ) -> tuple[Array, Array, Array | None]:
        """Samples, targets and weights as the engine takes them; one sample becomes a batch of one."""
        X = check.numeric_array(name, X)
        if X.ndim == 1 and one:
            X, y = self._sample(X, name)[None], self._target(y)[None]
            if sample_weight is not None:
                sample_weight = check.numeric_array("sample_weight", sample_weight).reshape(-1)
        X = self._rows(X, name)
        y = check.targets("y", y, len(X), self.layer_sizes[-1], self.loss_name, self.dtype, self._kernels)
        return X, y, check.weights("sample_weight", sample_weight, len(X), self.dtype, self._kernels)

    # ---- copies ------------------------------------------------------------------------------------

    def __reduce_ex__(self, protocol: Any) -> Any:
        """As of protocol 2, in each: the older ones do not know how to make what is compiled."""
        return super().__reduce_ex__(max(protocol, 2))

    def __getstate__(self) -> dict[str, Any]:
        own = {name: value for name, value in self.__dict__.copy().items() if name not in FIXED + INNER}
        return {
            **{name: getattr(self, name) for name in (*FIXED, "parameters")},
            "settings": self._engine.settings,
            "solver_state": self._engine.solver_state,
            **({"attributes": own} if own else {}),
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        twin = _restored(check.state("Network", state, NEEDED))
        own = state.get("attributes", {})
        if not isinstance(own, dict) or not own.keys().isdisjoint(twin.__dict__):
            raise ValueError(f"attributes={check.shown(own)}: expected a dict of what was added to a Network")
        self.__dict__.update({**own, **twin.__dict__})
        self._predict_one = twin._predict_one


def _restored(state: dict[str, Any]) -> Network:
    """A network as `__getstate__` describes it; what came with later versions may lack."""
    network = Network(
        state["layer_sizes"], state["activation"], state["loss_name"], state["dtype"], 0, state.get("out_activation"),
        state.get("quantile", 0.5),
    )  # fmt: skip
    _check_block("parameters", state["parameters"], network.parameters)
    network.parameters[:] = state["parameters"]
    settings = state.get("settings")
    if settings is not None:
        if not isinstance(settings, tuple) or len(settings) not in (8, 10):
            raise ValueError(f"settings={check.shown(settings)}: expected a solver and its numbers")
        if len(settings) == 10:
            check.flag("epsilon_outside", settings[8])
            check.number("clip_norm", settings[9], 0)
        network._set_solver(*settings)
        network._engine.solver_state = _checked_solver_state(state.get("solver_state", (0, None)), network.parameters)
    return network


def _checked_solver_state(state: Any, parameters: Array) -> tuple[int, Array | None]:
    if not isinstance(state, tuple) or len(state) != 2:
        raise ValueError(f"solver_state={check.shown(state)}: expected a number of updates and an array")
    updates, runs = state
    if check.whole("solver_state[0]", updates, 0) > MOST_UPDATES:
        raise ValueError(f"solver_state[0]={check.shown(updates)}: expected a number of updates")
    if runs is not None:
        _check_block("solver_state[1]", runs, np.broadcast_to(parameters, (2, parameters.size)))
    return updates, runs


def _check_block(name: str, value: Any, like: Array) -> None:
    found = (value.shape, value.dtype) if isinstance(value, np.ndarray) else check.shown(value)
    if found != (like.shape, like.dtype):
        raise ValueError(f"{name} is {found}: expected an array of shape {like.shape} and dtype {like.dtype}")


def resolved_output(name: Any, loss: str) -> str:
    """The last layer's activation by its one name, where None stands for what goes with the loss."""
    if loss in OUTPUTS:
        if name is not None and not (isinstance(name, str) and name == OUTPUTS[loss]):
            raise ValueError(
                f"out_activation={check.shown(name)}: {loss} goes with {OUTPUTS[loss]}: expected that or None"
            )
        return OUTPUTS[loss]
    if name is None:
        return "identity"
    chosen = check.choice("out_activation", name, (*ACTIVATIONS, *ACTIVATION_ALIASES))
    return ACTIVATION_ALIASES.get(chosen, chosen)


def _room_for_losses(epochs: int) -> Array:
    try:
        return np.empty(epochs)
    except (MemoryError, ValueError, OverflowError):
        raise MemoryError(f"epochs={epochs}: no memory for a loss of each, expected fewer") from None


def precision(name: str, dtype: Any) -> np.dtype[Any]:
    """float32 or float64 as a dtype in native byte order."""
    try:
        result: np.dtype[Any] | None = np.dtype(dtype)
    except (TypeError, ValueError):  # UnicodeEncodeError is a ValueError
        result = None
    # By type: a long double as small as a double has its name, and equals it.
    if dtype is None or result is None or result.type not in PRECISIONS or not result.isnative:
        raise ValueError(f"{name}={check.shown(dtype)}: expected one of {', '.join(of.__name__ for of in PRECISIONS)}")
    return result
