"""SGD on one sample at a time as `fit` computes it, in blocks, against the plain loop: equal to rounding."""

from functools import cache

import numpy as np
import pytest

import cmlp
from reference import (
    Reference,
    Solver,
    assert_entries_close,
    assert_network_close,
    classes,
    inputs,
    one_hot,
    round_to_float32,
    sample_weights,
)

N, EPOCHS, ETA = 2000, 5, 0.01
TOLERANCE = {"float64": 1e-10, "float32": 0.05}  # relu makes rounding errors grow, in the plain loop alike

NETWORKS = {
    "all held twice": ((4, 8, 8, 3), ("relu", "sigmoid")),
    "first deferred, last held twice": ((64, 64, 32, 10), ("relu", "sigmoid")),
    "all deferred but the last": ((65, 131, 127, 33), ("tanh", "relu")),
    "none held": ((20, 40, 50, 7), ("relu", "tanh")),
    "no hidden layer": ((70, 5), ()),
}
TERMS = {"plain": (0.0, False), "alpha and weights": (0.03, True)}


def network(name, dtype="float64", loss="cross_entropy"):
    return round_to_float32(cmlp.Network(*NETWORKS[name], loss=loss, dtype=dtype, random_state=1))


def data(name):
    d, C = NETWORKS[name][0][0], NETWORKS[name][0][-1]
    return inputs(N, d), classes(N, C)


@cache
def plain_loop(name, alpha, weighted):
    """10,000 updates in shuffled order, and the mean loss of each epoch."""
    net = network(name)
    reference, (X, y) = Reference.of(net), data(name)
    Y, weight = one_hot(y, net.layer_sizes[-1]), sample_weights(N)
    random, order, losses = np.random.RandomState(3), np.arange(N), []
    for _ in range(EPOCHS):
        random.shuffle(order)
        some_weight = weight[order] if weighted else None
        losses += list(reference.train(X[order], Y[order], Solver("sgd", ETA), 1, 1, alpha, some_weight))
    return reference, losses


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("terms", TERMS)
def test_ten_thousand_samples(name, terms, dtype):
    net, (X, y), (alpha, weighted) = network(name, dtype), data(name), TERMS[terms]
    losses = net.fit(
        X, y, learning_rate=ETA, batch_size=1, epochs=EPOCHS, shuffle=True, random_state=np.random.RandomState(3),
        alpha=alpha, sample_weight=sample_weights(N) if weighted else None,
    )  # fmt: skip
    reference, expected = plain_loop(name, alpha, weighted)
    assert_network_close(net, reference, TOLERANCE[dtype])
    assert_entries_close(losses, expected, TOLERANCE[dtype])


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("n", [1, 2, 7, 8, 9, 31, 32, 33, 39, 40, 65])
@pytest.mark.parametrize("alpha", [0.0, 0.03])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_runs_of_any_length(name, n, alpha, dtype):
    """`step` never works in blocks."""
    fitted, stepped, (X, y) = network(name, dtype), network(name, dtype), data(name)
    loss = fitted.fit(X[:n], y[:n], learning_rate=ETA, alpha=alpha)[0]
    losses = [stepped.step(X[i], y[i], learning_rate=ETA, alpha=alpha) for i in range(n)]
    assert_network_close(fitted, stepped, 1e-13 if dtype == "float64" else 2e-5)
    assert loss == pytest.approx(np.mean(losses), rel=1e-12 if dtype == "float64" else 1e-5)


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("bad", [0, 1, 20, 40, 49])
@pytest.mark.parametrize("alpha", [0.0, 0.03])
def test_what_was_learned_before_a_loss_that_is_not_finite_stays(name, bad, alpha):
    fitted, stepped = network(name, loss="squared_error"), network(name, loss="squared_error")
    X, y = data(name)
    X, Y = X[:50], one_hot(y[:50], fitted.layer_sizes[-1])
    Y[bad] = 1e200
    with pytest.raises(cmlp.DivergenceError):
        fitted.fit(X, Y, learning_rate=ETA, alpha=alpha)
    for i in range(bad):
        stepped.step(X[i], Y[i], learning_rate=ETA, alpha=alpha)
    assert_network_close(fitted, stepped, 1e-13)


def test_a_weight_decay_that_float32_rounds_away_in_one_step():
    """eta alpha = 1e-9 a step: 1 - 1e-9 is 1 in float32, but not 1 - 1e-9 to the power of 10,000 steps."""
    net = cmlp.Network((64, 64, 32, 10), activation="tanh", dtype="float32", random_state=0)
    X, y = np.zeros((N, 64), np.float32), classes(N, 10)
    before = np.linalg.norm(net.weights[0])
    net.fit(X, y, learning_rate=1e-3, alpha=1e-3, epochs=EPOCHS)
    shrunk = 1 - np.linalg.norm(net.weights[0]) / before
    assert shrunk == pytest.approx(1e-2, rel=0.2)
