"""L-BFGS over the flat block of parameters, by scipy.optimize."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from .exceptions import memory_errors
from .network import Network
from .training import Samples
from .validation import Array


class Minimum(NamedTuple):
    """What `minimise` has found; `problem` says why it is none, if so."""

    n_iter: int
    loss: float
    problem: str | None
    finite: bool = True
    interrupted: bool = False


def minimise(
    network: Network,
    samples: Samples,
    alpha: float,
    tol: float,
    max_iter: int,
    max_fun: int,
    iteration_ends: Callable[[int, float], object] = lambda iteration, loss: None,
) -> Minimum:
    """Fits the network's parameters to all samples at once.

    The arithmetic is float64 also for a float32 network: the line search asks for it.  `iteration_ends` hears of each
    iteration and its loss, with the network at its parameters, and stops the search by returning True.  Ctrl-C leaves
    the network at the last iteration's parameters; parameters that are not finite leave it as it was.
    """
    try:
        from scipy.optimize import minimize
    except ImportError as error:
        raise ImportError("solver='lbfgs' needs SciPy: pip install scipy") from error

    precise, X, weights = _in_float64(network, samples)
    y = samples.y if samples.y.dtype == np.intp else samples.y.astype(np.float64, copy=False)
    gradient = np.empty_like(precise.parameters)
    start = network.parameters.copy()
    reached, losses = start.astype(np.float64), [np.inf]
    iterations = 0
    raised: StopIteration | None = None

    def loss_and_gradient(theta: Array) -> tuple[float, Array]:
        precise.parameters[:] = theta
        loss = precise._engine.loss_and_gradient(X, y, weights, alpha, gradient, samples.relative)
        return loss, gradient.copy()

    def note(intermediate_result: Any) -> None:
        nonlocal iterations, raised
        iterations += 1
        reached[:] = intermediate_result.x
        with np.errstate(over="ignore", under="ignore"):
            network.parameters[:] = reached
        if not np.isfinite(network.parameters).all():  # in float32: callbacks are not to be blamed
            raise StopIteration
        losses.append(float(intermediate_result.fun))
        try:
            stopped = iteration_ends(iterations, losses[-1]) is True
        except StopIteration as error:  # which SciPy would take for an end that is meant
            raised, stopped = error, True
        if stopped:
            raise StopIteration

    with network._engine:
        try:
            with memory_errors():
                result = minimize(
                    loss_and_gradient, reached.copy(), method="L-BFGS-B", jac=True, callback=note,
                    options={"maxfun": max_fun, "maxiter": max_iter, "gtol": tol},
                )  # fmt: skip
            if raised is not None:
                raise raised
        except BaseException as error:
            with np.errstate(over="ignore", under="ignore"):
                network.parameters[:] = reached
            if not isinstance(error, KeyboardInterrupt):
                raise
            return Minimum(iterations, losses[-1], "Training interrupted by user.", interrupted=True)
        return _taken_over(network, result, max_iter, start)


def _in_float64(network: Network, samples: Samples) -> tuple[Network, Any, Array | None]:
    """A network to compute with, the same or a twin of it, and the samples for it."""
    X, weights = samples.X, samples.weights
    if network.dtype == np.float64:
        return network, X, weights
    twin = Network(
        network.layer_sizes, network.activation, network.loss_name, "float64", 0, network.out_activation,
        network.quantile,
    )  # fmt: skip
    X = (X[0].astype(np.float64), *X[1:]) if isinstance(X, tuple) else X.astype(np.float64)
    return twin, X, None if weights is None else weights.astype(np.float64)


def _taken_over(network: Network, result: Any, max_iter: int, start: Array) -> Minimum:
    n_iter = min(int(result.nit), max_iter)
    with np.errstate(over="ignore", under="ignore"):
        parameters = result.x.astype(network.dtype)
    if not (np.isfinite(parameters).all() and np.isfinite(result.fun)):
        network.parameters[:] = start
        return Minimum(n_iter, float(result.fun), None, finite=False)
    network.parameters[:] = parameters
    stopped = result.status == 99  # by the callback
    problem = None
    if result.status != 0 and not stopped:
        problem = (
            f"lbfgs failed to converge after {n_iter} iteration(s) (status={result.status}): {result.message}. "
            "Increase the number of iterations (max_iter), or standardise X"
        )
    return Minimum(n_iter, float(result.fun), problem)
