"""JAX: the whole epoch in one compiled call, a lax.scan over the batches with the parameters donated.

The weights are rows per unit, or their transpose: XLA's code for the two differs by up to a few times, in either
direction, so both are idioms.  For small networks the loop itself costs as much as a sample, and unrolling it helps.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from ..networks import Network, initial, rate
from .base import Adapter, Idioms

SMALL = 50_000  # flops of a sample, up to which unrolling pays for the time that it takes to compile


@functools.cache
def library() -> Any:
    import jax

    jax.config.update("jax_enable_x64", True)  # float32 stays float32: every array comes with its precision
    jax.config.update("jax_cpu_enable_async_dispatch", False)  # one thread: nothing to overlap with
    return jax


def parameters(network: Network, dtype: str, columns: bool) -> list[Any]:
    jnp = library().numpy
    W, b = initial(network, dtype)
    return [(jnp.asarray(w.T if columns else w), jnp.asarray(v)) for w, v in zip(W, b, strict=True)]


def logits(network: Network, theta: list[Any], x: Any, columns: bool) -> Any:
    """z_L of one sample (d_0,) or of a batch (n, d_0)."""
    jax = library()
    functions = {"relu": jax.nn.relu, "sigmoid": jax.nn.sigmoid}
    for l, (W, b) in enumerate(theta):
        x = (x @ W if columns else W @ x if x.ndim == 1 else x @ W.T) + b
        if l < len(theta) - 1:
            x = functions[network.activations[l]](x)
    return x


def loss(network: Network, theta: list[Any], x: Any, y: Any, columns: bool) -> Any:
    jax = library()
    z = logits(network, theta, x, columns)
    picked = z[y] if z.ndim == 1 else jax.numpy.take_along_axis(z, y[:, None], 1)[:, 0]
    return (jax.nn.logsumexp(z, -1) - picked).mean()


def adam(theta: Any, state: Any, g: Any, eta: float) -> Any:
    jax = library()
    m, v, t = state
    t = t + 1
    tree = jax.tree_util.tree_map
    m = tree(lambda m, g: 0.9 * m + 0.1 * g, m, g)
    v = tree(lambda v, g: 0.999 * v + 0.001 * g * g, v, g)
    step, unbias = eta / (1 - 0.9**t), 1 / (1 - 0.999**t)
    theta = tree(lambda p, m, v: p - step.astype(p.dtype) * m / (jax.numpy.sqrt(v * unbias) + 1e-8), theta, m, v)
    return theta, (m, v, t)


class Epoch:
    def __init__(
        self,
        network: Network,
        X: np.ndarray,
        y: np.ndarray,
        batch_size: int,
        solver: str,
        columns: bool,
        unroll: int = 1,
    ):
        jax = library()
        jnp = jax.numpy
        n = len(X) // batch_size
        shape = (n,) if batch_size == 1 else (n, batch_size)
        self.X = jnp.asarray(X[: n * batch_size].reshape(*shape, -1))
        self.y = jnp.asarray(y[: n * batch_size].reshape(shape).astype(np.int32))
        self.columns = columns
        theta = parameters(network, X.dtype.name, columns)
        zeros = jax.tree_util.tree_map(jnp.zeros_like, theta)
        state = (zeros, jax.tree_util.tree_map(jnp.zeros_like, theta), jnp.asarray(0, X.dtype))
        self.state = (theta, state) if solver == "adam" else (theta, None)
        self.epoch = compiled(network, solver, columns, unroll)

    def __call__(self) -> None:
        self.state = self.epoch(self.state, self.X, self.y)
        library().block_until_ready(self.state)

    def parameters(self) -> tuple[list[np.ndarray], list[np.ndarray]]:
        theta = [(np.asarray(W), np.asarray(b)) for W, b in self.state[0]]
        return [W.T if self.columns else W for W, _ in theta], [b for _, b in theta]


@functools.cache
def compiled(network: Network, solver: str, columns: bool, unroll: int) -> Any:
    """The epoch as one program; compiled once per shape of the samples."""
    jax = library()
    gradient = jax.grad(lambda theta, x, y: loss(network, theta, x, y, columns))

    def step(carry: Any, sample: Any) -> Any:
        theta, state = carry
        g = gradient(theta, *sample)
        if solver == "adam":
            return adam(theta, state, g, rate(solver)), None
        return (jax.tree_util.tree_map(lambda p, g: p - rate(solver) * g, theta, g), None), None

    return jax.jit(lambda carry, X, y: jax.lax.scan(step, carry, (X, y), unroll=unroll)[0], donate_argnums=0)


class Jax(Adapter):
    name = "JAX"
    module = "jax"
    compiles_per_shape = True

    def trainers(
        self, network: Network, X: np.ndarray, y: np.ndarray, batch_size: int, solver: str, dtype: str
    ) -> Idioms:
        cell = (network, X, y, batch_size, solver)
        layouts = {"a row per unit": False, "a column per unit": True}
        unroll = 4 if network.training_flops < SMALL else 1
        return {
            f"scan{f' unrolled {unroll}' if unroll > 1 else ''}, {name}": functools.partial(
                Epoch, *cell, columns, unroll
            )
            for name, columns in layouts.items()
        }

    def ones(self, network: Network, x: np.ndarray) -> Idioms:
        return self.manys(network, x)

    def manys(self, network: Network, X: np.ndarray) -> Idioms:
        """From a NumPy array to a NumPy array."""
        jax = library()

        def predictor(columns: bool) -> Any:
            theta = parameters(network, X.dtype.name, columns)
            run = jax.jit(lambda theta, x: jax.nn.softmax(logits(network, theta, x, columns)))
            return functools.partial(lambda X: np.asarray(run(theta, X)), X)

        return {
            "jit, a row per unit": lambda: predictor(False),
            "jit, a column per unit": lambda: predictor(True),
        }
