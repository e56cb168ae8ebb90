"""SGD on one sample at a time as `fit` computes it, in blocks, against the plain loop: equal to rounding."""

import os
import signal
import subprocess
import sys
from functools import cache
from pathlib import Path

import numpy as np
import pytest

import cmlp
from cmlp.kernels import available
from reference import (
    LOSSES,
    Reference,
    Solver,
    assert_entries_close,
    assert_network_close,
    classes,
    inputs,
    one_hot,
    round_to_float32,
    sample_weights,
    target_rows,
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
    """1 - eta alpha is 1 in float32, but not its power over a block; the first layer's weights see no other update."""
    decay = 2e-8
    net = cmlp.Network((64, 64, 32, 10), activation="tanh", dtype="float32", random_state=0)
    X, y = np.zeros((N, 64), np.float32), classes(N, 10)
    assert np.float32(1 - decay) == 1
    before = net.weights[0].astype(float)
    net.fit(X, y, learning_rate=1e-3, alpha=decay / 1e-3, epochs=EPOCHS)
    shrunk = 1 - np.linalg.norm(net.weights[0].astype(float)) / np.linalg.norm(before)
    assert shrunk == pytest.approx(1 - np.exp(-decay * N * EPOCHS), rel=0.3)


@pytest.mark.parametrize("name", NETWORKS)
def test_the_penalty_without_learning(name):
    net, (X, y) = network(name), data(name)
    assert net.fit(X[:40], y[:40], learning_rate=0.0, alpha=0.5)[0] == pytest.approx(
        Reference.of(net).loss(X[:40], one_hot(y[:40], net.layer_sizes[-1]))
        + 0.25 * sum((W**2).sum() for W in net.weights)
    )


@pytest.mark.parametrize("name", NETWORKS)
def test_one_network_through_fits_of_many_kinds(name):
    """Workspaces grow and change hands: short runs, long ones, batches, a solver with a state."""
    net, stepped, (X, y) = network(name), network(name), data(name)
    for n in (10, 200, 9, 33):
        net.fit(X[:n], y[:n], learning_rate=ETA)
        net.fit(X[:n], y[:n], learning_rate=ETA, momentum=0.5)
        net.fit(X[:n], y[:n], learning_rate=ETA, batch_size=7)
        for momentum, batch_size in ((0.0, 1), (0.5, 1), (0.0, 7)):
            stepped._engine.reset_solver()
            for i in range(0, n, batch_size):
                rows = slice(i, min(n, i + batch_size))
                stepped.step(X[rows], y[rows], learning_rate=ETA, momentum=momentum)
    assert_network_close(net, stepped, 1e-12)


@pytest.mark.parametrize("loss", [loss for loss in LOSSES if loss != "cross_entropy"])
@pytest.mark.parametrize("C", [1, 3, 9])
@pytest.mark.parametrize("activation", ["softplus", "gelu", "identity"])
def test_losses_above_layers_held_twice(loss, C, activation):
    nets = [round_to_float32(cmlp.Network((6, 9, 7, C), activation, loss=loss, random_state=1)) for _ in range(2)]
    X, Y, weight = inputs(60, 6), target_rows(60, C, loss), sample_weights(60) + 0.25
    nets[0].fit(X, Y, learning_rate=ETA, sample_weight=weight)
    for i in range(60):
        nets[1].step(X[i], Y[i], learning_rate=ETA, sample_weight=weight[i])
    assert_network_close(nets[0], nets[1], 1e-12)


# ---- a rate per update, weights that divide, sparse rows ---------------------------------------------------


RATES = {
    "rising": lambda n: np.linspace(0.001, 0.02, n),
    "falling": lambda n: np.linspace(0.02, 0.001, n),
    "some 0": lambda n: np.where(np.arange(n) % 40 < 20, 0, ETA),
}


def epoch_by_engine(net, X, y, weights=None, index=None, relative=False, rates=None, rate=ETA, alpha=0.0):
    """One epoch of SGD on single samples by the network's own engine."""
    with net._engine:
        net._set_solver("sgd", rate, 0.0, False, alpha, 0.9, 0.999, 1e-8)
        return net._engine.epoch(X, y, weights, index, 1, 1, relative, rates)


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("n", [1, 8, 33, 65])
@pytest.mark.parametrize("alpha", [0.0, 0.03])
@pytest.mark.parametrize(("rate", "before"), [*((rate, ETA) for rate in RATES), ("rising", 0.0)])
def test_a_rate_for_each_update(name, n, alpha, rate, before):
    """Whatever the rate was `before`, the updates take theirs."""
    blocks, stepped, (X, y) = network(name), network(name), data(name)
    rates = RATES[rate](n).astype(float)
    loss = epoch_by_engine(blocks, X[:n], y[:n].astype(np.intp), rates=rates, rate=before, alpha=alpha)
    losses = [stepped.step(X[i], y[i], learning_rate=rates[i], alpha=alpha) for i in range(n)]
    assert_network_close(blocks, stepped, 1e-12)
    assert loss == pytest.approx(np.mean(losses), rel=1e-12)


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("n", [7, 33, 65])
@pytest.mark.parametrize("alpha", [0.0, 0.03])
@pytest.mark.parametrize("weighting", ["positive", "some 0", "first 0", "all 0"])
@pytest.mark.parametrize("ordered", [True, False])
def test_weights_that_divide_the_batch(name, n, alpha, weighting, ordered):
    """A batch of one is divided by its own weight: it counts once, its penalty by alpha / weight, or not at all."""
    blocks, stepped, (X, y) = network(name), network(name), data(name)
    weights = sample_weights(n) + 0.25
    zero = {"positive": [], "some 0": slice(2, None, 3), "first 0": slice(0, 1), "all 0": slice(None)}[weighting]
    weights[zero] = 0
    order = None if ordered else np.random.RandomState(1).permutation(n).astype(np.intp)
    X, y = X[:n].copy(), y[:n].astype(np.intp)
    loss = epoch_by_engine(blocks, X, y, weights, order, relative=True, alpha=alpha)
    total = 0.0
    for i in range(n) if ordered else order:
        if weights[i] > 0:
            total += stepped.step(X[i], y[i], learning_rate=ETA, alpha=alpha / weights[i])
    assert_network_close(blocks, stepped, 1e-12)
    assert loss == pytest.approx(total / max(1, np.count_nonzero(weights)), rel=1e-12)


def test_wide_layers_in_blocks():
    """Wide enough for their transposes to be packed."""
    nets = [round_to_float32(cmlp.Network((520, 600, 530, 3), "relu", random_state=1)) for _ in range(2)]
    X, y = inputs(40, 520), classes(40, 3)
    nets[0].fit(X, y, learning_rate=ETA)
    for i in range(40):
        nets[1].step(X[i], y[i], learning_rate=ETA)
    assert_network_close(nets[0], nets[1], 1e-12)


CHILD = """
import signal, numpy as np, cmlp
net = cmlp.Network((200, 150, 5), random_state=0)
x = np.random.RandomState(0).normal(size=200)
X, y = np.tile(x, (20000, 1)), np.zeros(20000, int)
W, b = net.weights[0].copy(), net.biases[0].copy()

def interrupt(*_):
    raise KeyboardInterrupt

signal.signal(signal.SIGPROF, interrupt)
signal.setitimer(signal.ITIMER_PROF, 0.3)  # of the process: a busy machine may give it none for as long
try:
    net.fit(X, y, learning_rate=1e-4, epochs=1000)
except KeyboardInterrupt:
    print(np.abs((net.weights[0] - W) - np.outer(net.biases[0] - b, x)).max() / np.abs(net.biases[0] - b).max())
"""


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs setitimer")
def test_an_interrupt_amid_a_block_leaves_whole_updates():
    """All samples are alike: the weights' updates are those of the biases times x."""
    for _ in range(3):
        child = subprocess.run([sys.executable, "-c", CHILD], capture_output=True, text=True, check=True, timeout=60)
        assert float(child.stdout) < 1e-9


@pytest.mark.parametrize("isa", available())
def test_every_instruction_set_works_in_blocks(isa):
    code = "import test_blocks; test_blocks.compare_with_steps()"
    subprocess.run(
        [sys.executable, "-c", code],
        cwd=Path(__file__).parent,
        env={**os.environ, "CMLP_ISA": isa},
        check=True,
        timeout=120,
    )


def compare_with_steps():
    for name in NETWORKS:
        for dtype in TOLERANCE:
            test_runs_of_any_length(name, 65, 0.03, dtype)
        test_a_rate_for_each_update(name, 65, 0.0, "rising", ETA)
        test_weights_that_divide_the_batch(name, 65, 0.0, "some 0", False)
        test_what_was_learned_before_a_loss_that_is_not_finite_stays(name, 20, 0.03)
