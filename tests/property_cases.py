"""Random networks, data and solvers for the property tests."""

from __future__ import annotations

import os
from typing import Any, NamedTuple

import numpy as np
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

import cmlp
from cmlp.kernels import kernels
from conftest import BUILDS
from reference import ACTIVATIONS, DISTANCES, LOSSES, target_rows

# CMLP_EXAMPLES=10000 takes so many of each, and others every time.
EXAMPLES = settings(
    deadline=None,
    derandomize="CMLP_EXAMPLES" not in os.environ,
    database=None,
    max_examples=int(os.environ.get("CMLP_EXAMPLES", "60")),
    suppress_health_check=[HealthCheck.too_slow],
)

VECTORS = (1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 23, 24, 31, 32, 33, 47, 48, 63, 64, 65)
widths = st.one_of(st.sampled_from(VECTORS), st.integers(1, 70))
counts = st.one_of(st.sampled_from((1, 2, 3, 8, 9, 31, 32, 33)), st.integers(1, 70))
seeds = st.integers(0, 2**32 - 1)
SCALES = ("plain", "plain", "small", "large", "spread", "extreme")


class Case(NamedTuple):
    """A network of one build, samples, targets as the engine takes them, and the weights of the samples."""

    isa: str
    net: cmlp.Network
    X: np.ndarray
    y: np.ndarray
    weight: np.ndarray | None

    @property
    def module(self):
        return kernels(self.net.dtype, self.isa)

    @property
    def rows(self):
        """The targets as rows."""
        return np.eye(self.net.layer_sizes[-1])[self.y] if self.y.ndim == 1 else self.y


def awkward(random, X, scale, dtype):
    """Columns of all scales, constant ones, zeros and equal samples; within what float32 holds."""
    exponents = {"plain": 0, "small": -30, "large": 3, "spread": random.integers(-3, 4, X.shape[1])}.get(
        scale, random.integers(-30, 31, X.shape[1])
    )
    X = X * np.power(10.0, exponents)
    for column in range(X.shape[1]):
        fate = random.integers(12)
        if fate == 0:
            X[:, column] = X[0, column]
        elif fate == 1:
            X[:, column] = 0
    X[random.random(X.shape) < 0.05] = 0
    X[random.random(len(X)) < 0.1] = X[-1]
    return np.ascontiguousarray(X, dtype)


@st.composite
def cases(draw, most=70, scales=SCALES, losses=LOSSES, deepest=4):
    """Any architecture, loss, activation and build."""
    isa, dtype = draw(st.sampled_from(BUILDS))
    hidden = draw(st.lists(widths.filter(lambda width: width <= most), max_size=deepest))
    loss = draw(st.sampled_from(losses))
    sizes = (draw(widths), *hidden, draw(st.integers(2 if loss == "cross_entropy" else 1, 20)))
    options: dict[str, Any] = {"loss": loss, "quantile": draw(st.floats(0.02, 0.98))}
    if loss in DISTANCES:
        options["out_activation"] = draw(st.sampled_from(sorted(ACTIVATIONS)))
    activation = tuple(draw(st.sampled_from(sorted(ACTIVATIONS))) for _ in hidden)
    n, seed, scale = draw(counts), draw(seeds), draw(st.sampled_from(scales))
    random = np.random.default_rng(seed)
    net = cmlp.Network(sizes, activation, dtype=dtype, random_state=seed, **options)
    for b in net.biases:
        b[:] = random.standard_normal(b.shape)
    net.parameters[random.random(net.parameters.size) < draw(st.sampled_from((0, 0.2)))] = 0
    X = awkward(random, random.standard_normal((n, sizes[0])), scale, net.dtype)
    y = target_rows(n, sizes[-1], loss, seed % 1000).astype(dtype)
    if loss == "cross_entropy" and draw(st.booleans()):
        y = random.integers(0, sizes[-1], n).astype(np.intp)
    return Case(isa, net, X, y, draw(weights_of(n, net.dtype)))


@st.composite
def weights_of(draw, n, dtype):
    """None, or some that are not all zero."""
    random = np.random.default_rng(draw(seeds))
    kind = draw(st.sampled_from(("none", "some zero", "spread")))
    if kind == "none":
        return None
    weight = random.integers(0, 3, n) / 2 if kind == "some zero" else 10 ** random.uniform(-3, 3, n)
    weight[random.integers(n)] = 0.75
    return weight.astype(dtype)


@st.composite
def solvers(draw):
    """Options of an engine's `set_solver`."""
    solver = draw(st.sampled_from(("sgd", "sgd", "adam", "adamw", "rmsprop")))
    options = {
        "solver": solver,
        "learning_rate": draw(st.sampled_from((1e-4, 0.01, 0.1, 1.0))),
        "alpha": draw(st.sampled_from((0.0, 1e-4, 0.3))),
        "beta_1": draw(st.sampled_from((0.0, 0.9))),
        "beta_2": draw(st.sampled_from((0.0, 0.9, 0.999))),
        "epsilon": draw(st.sampled_from((1e-8, 1e-3, 0.1))),
        "epsilon_outside": draw(st.booleans()),
        "clip_norm": draw(st.sampled_from((0.0, 0.0, 1e-3, 1.0))),
    }
    if solver in ("sgd", "rmsprop"):
        options["momentum"] = draw(st.sampled_from((0.0, 0.5, 0.9)))
    if solver == "sgd":
        options["nesterov"] = draw(st.booleans())
    return options
