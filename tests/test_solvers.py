"""Solvers: K steps against the formulas and PyTorch, and how long their state lasts."""

import copy
import pickle
from functools import cache

import numpy as np
import pytest

import cmlp
from reference import (
    Reference,
    Solver,
    assert_entries_close,
    assert_network_close,
    inputs,
    round_to_float32,
    sample_weights,
    target_rows,
)

K = 20
ALPHA = 0.05
CASES = {
    "sgd": {"solver": "sgd", "learning_rate": 0.1},
    "momentum": {"solver": "sgd", "learning_rate": 0.05, "momentum": 0.9},
    "nesterov": {"solver": "sgd", "learning_rate": 0.05, "momentum": 0.8, "nesterov": True},
    "adam": {"solver": "adam", "learning_rate": 0.01},
    "adam, other constants": {
        "solver": "adam", "learning_rate": 0.02, "beta_1": 0.7, "beta_2": 0.95, "epsilon": 0.01,
    },
    "adamw": {"solver": "adamw", "learning_rate": 0.05, "beta_1": 0.8, "beta_2": 0.99},
    "rmsprop": {"solver": "rmsprop", "learning_rate": 0.01, "beta_2": 0.99},
    "rmsprop, other constants": {
        "solver": "rmsprop", "learning_rate": 0.005, "momentum": 0.7, "beta_2": 0.8, "epsilon": 0.01,
    },
}  # fmt: skip
WITH_STATE = [name for name in CASES if name != "sgd"]
TOLERANCE = {"float64": 1e-9, "float32": 1e-4}

every_case = pytest.mark.parametrize("case", CASES)
every_state = pytest.mark.parametrize("case", WITH_STATE)
widths = pytest.mark.parametrize("width", [1, 3, 7, 17, 33, 65])
batch_sizes = pytest.mark.parametrize("batch_size", [1, 8])
step_or_fit = pytest.mark.parametrize("by_steps", [True, False], ids=["step", "fit"])


def network(width=7, dtype="float64"):
    layer_sizes = (width, width, width, 3)
    return round_to_float32(cmlp.Network(layer_sizes, ("tanh", "silu"), dtype=dtype, random_state=2))


def samples(width=7, n=K):
    return inputs(n, width), target_rows(n, 3, "cross_entropy")


def train(net, X, Y, by_steps, batch_size, **options):
    """K updates; the losses before each, or their mean."""
    if not by_steps:
        return net.fit(X, Y, batch_size=batch_size, **options)
    if batch_size == 1:
        return [net.step(x, y, **options) for x, y in zip(X, Y, strict=True)]
    starts = range(0, len(X), batch_size)
    return [net.step(X[i : i + batch_size], Y[i : i + batch_size], **options) for i in starts]


def take_steps(net, case, rows=slice(0, K), **changed):
    X, Y = samples()
    options = {"alpha": ALPHA, **CASES[case], **changed}
    return [net.step(x, y, **options) for x, y in zip(X[rows], Y[rows], strict=True)]


# ---- the formulas -----------------------------------------------------------------------------------


@cache
def reference_run(case, width, batch_size):
    """The reference after K updates, and the losses before each."""
    reference, solver = Reference.of(network(width)), Solver(**CASES[case])
    X, Y = samples(width, K * batch_size)
    starts = range(0, len(X), batch_size)
    losses = [reference.step(X[i : i + batch_size], Y[i : i + batch_size], solver, ALPHA) for i in starts]
    return reference, losses


@every_case
@batch_sizes
@step_or_fit
@pytest.mark.parametrize("width", [1, 7, 33])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_the_formulas(case, batch_size, by_steps, width, dtype):
    net, (X, Y) = network(width, dtype), samples(width, K * batch_size)
    losses = train(net, X, Y, by_steps, batch_size, alpha=ALPHA, **CASES[case])
    reference, expected = reference_run(case, width, batch_size)
    assert_network_close(net, reference, TOLERANCE[dtype])
    assert_entries_close(losses, expected if by_steps else [np.mean(expected)], TOLERANCE[dtype])


@every_case
def test_epochs_with_a_short_last_batch_and_sample_weights(case):
    net, (X, Y), weight = network(), samples(n=11), sample_weights(11)
    reference = Reference.of(net)
    reference.train(X, Y, Solver(**CASES[case]), 5, 4, ALPHA, weight)
    net.fit(X, Y, batch_size=4, epochs=5, alpha=ALPHA, sample_weight=weight, **CASES[case])
    assert_network_close(net, reference, TOLERANCE["float64"])


# ---- PyTorch ----------------------------------------------------------------------------------------


def torch_network(torch, net):
    layers = []
    for W, b in zip(net.weights, net.biases, strict=True):
        layer = torch.nn.Linear(W.shape[1], W.shape[0], dtype=torch.float64)
        layer.weight.data[:] = torch.tensor(W)
        layer.bias.data[:] = torch.tensor(b)
        layers.append(layer)
    return layers


def torch_solver(torch, layers, batch_size, solver, learning_rate, momentum=0.0, nesterov=False, beta_1=0.9,
                 beta_2=0.999, epsilon=1e-8):  # fmt: skip
    # A PyTorch decay is added to the gradient of a mean, as alpha / n is.
    groups = [
        {"params": [layer.weight for layer in layers], "weight_decay": ALPHA / batch_size},
        {"params": [layer.bias for layer in layers], "weight_decay": 0.0},
    ]
    if solver == "sgd":
        return torch.optim.SGD(groups, learning_rate, momentum=momentum, nesterov=nesterov)
    if solver == "rmsprop":
        return torch.optim.RMSprop(groups, learning_rate, alpha=beta_2, eps=epsilon, momentum=momentum)
    kind = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[solver]
    return kind(groups, learning_rate, betas=(beta_1, beta_2), eps=epsilon)


def torch_train(torch, layers, optimizer, X, Y, batch_size):
    X, Y = torch.tensor(X), torch.tensor(Y)
    for start in range(0, len(X), batch_size):
        z = X[start : start + batch_size]
        for layer, s in zip(layers, (torch.tanh, torch.nn.functional.silu, None), strict=True):
            z = s(layer(z)) if s else layer(z)
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(z, Y[start : start + batch_size]).backward()
        optimizer.step()


@every_case
@widths
@batch_sizes
@step_or_fit
def test_torch(torch, case, width, batch_size, by_steps):
    net, (X, Y) = network(width), samples(width, K * batch_size)
    layers = torch_network(torch, net)
    torch_train(torch, layers, torch_solver(torch, layers, batch_size, **CASES[case]), X, Y, batch_size)
    train(net, X, Y, by_steps, batch_size, alpha=ALPHA, **CASES[case])
    weights = [layer.weight.detach().numpy() for layer in layers]
    biases = [layer.bias.detach().numpy() for layer in layers]
    expected = Reference(weights, biases, net.activation, net.loss_name)
    assert_network_close(net, expected, TOLERANCE["float64"])


# ---- the state --------------------------------------------------------------------------------------


@every_state
def test_state_lasts_when_settings_change(case):
    """Steps of one sample and of a batch, with several learning rates, share one state."""
    net, (X, Y) = network(), samples()
    reference, solver = Reference.of(net), Solver(**CASES[case])
    for i, rate in enumerate([0.01, 0.02, 0.005, 0.01, 0.03]):
        rows = slice(i, i + 1 + i % 3)
        solver.learning_rate = rate
        reference.step(X[rows], Y[rows], solver, ALPHA)
        net.step(X[rows], Y[rows], alpha=ALPHA, **{**CASES[case], "learning_rate": rate})
    assert_network_close(net, reference, TOLERANCE["float64"])


@pytest.mark.parametrize("case", ["momentum", "nesterov", "rmsprop, other constants"])
def test_velocity_lasts_when_momentum_changes(case):
    net, (X, Y) = network(), samples()
    reference, solver = Reference.of(net), Solver(**CASES[case])
    for x, y, momentum in zip(X, Y, [0.9, 0.9, 0.0, 0.0, 0.5, 0.9], strict=False):
        solver.momentum = momentum
        reference.step([x], [y], solver, ALPHA)
        net.step(x, y, alpha=ALPHA, **{**CASES[case], "momentum": momentum})
    assert_network_close(net, reference, TOLERANCE["float64"])


@every_state
def test_state_is_forgotten_on_a_change_of_solver(case):
    other = "adam" if CASES[case]["solver"] == "sgd" else "sgd"
    used, kept = network(), network()
    for net in (used, kept):
        take_steps(net, case)
    fresh = copy_of_parameters(used)
    take_steps(used, other, slice(0, 1), learning_rate=0.0, alpha=0.0)
    for net in (used, fresh, kept):
        take_steps(net, case)
    np.testing.assert_array_equal(used.parameters, fresh.parameters)
    assert np.abs(kept.parameters - fresh.parameters).max() > 1e-4


@every_state
def test_fit_starts_afresh(case):
    X, Y = samples()
    used = network()
    take_steps(used, case)
    fresh = copy_of_parameters(used)
    for net in (used, fresh):
        net.fit(X, Y, alpha=ALPHA, **CASES[case])
    np.testing.assert_array_equal(used.parameters, fresh.parameters)


@every_state
def test_step_goes_on_from_the_state_that_fit_left(case):
    X, Y = samples()
    stepped, fitted = network(), network()
    take_steps(stepped, case)
    fitted.fit(X[: K // 2], Y[: K // 2], alpha=ALPHA, **CASES[case])
    take_steps(fitted, case, slice(K // 2, K))
    assert_entries_close(fitted.parameters, stepped.parameters, 1e-14)


def copy_of_parameters(net):
    """A network with the same parameters that has never been trained."""
    fresh = cmlp.Network(net.layer_sizes, net.activation, net.loss_name, net.dtype)
    fresh.parameters[:] = net.parameters
    return fresh


COPIES = {
    "pickle": lambda net: pickle.loads(pickle.dumps(net)),
    "oldest pickle": lambda net: pickle.loads(pickle.dumps(net, protocol=2)),
    "deepcopy": copy.deepcopy,
    "copy": copy.copy,
}
every_copy = pytest.mark.parametrize("copied", COPIES.values(), ids=COPIES.keys())


@every_case
@every_copy
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_a_copy_goes_on_bit_by_bit(case, copied, dtype):
    net = network(dtype=dtype)
    take_steps(net, case)
    twin = copied(net)
    assert not np.shares_memory(twin.parameters, net.parameters)
    assert take_steps(twin, case) == take_steps(net, case)
    np.testing.assert_array_equal(twin.parameters, net.parameters)


@every_copy
def test_a_copy_of_an_untrained_network(copied):
    net = network()
    twin = copied(net)
    assert repr(twin) == repr(net)
    assert take_steps(twin, "adam") == take_steps(net, "adam")
    np.testing.assert_array_equal(twin.parameters, net.parameters)


@every_copy
@pytest.mark.parametrize("before", WITH_STATE)
def test_a_copy_after_plain_sgd_followed_another_solver(copied, before):
    net = network()
    take_steps(net, before)
    take_steps(net, "sgd")
    twin = copied(net)
    assert take_steps(twin, "momentum") == take_steps(net, "momentum")
    np.testing.assert_array_equal(twin.parameters, net.parameters)
