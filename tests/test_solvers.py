"""Solvers: K steps against the formulas and PyTorch, and how long their state lasts."""

import copy
import pickle
from functools import cache

import numpy as np
import pytest

import cmlp
from engines import engine_of
from reference import (
    Reference,
    Solver,
    assert_entries_close,
    assert_network_close,
    assert_vector_close,
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


# ---- gradients that are shortened ------------------------------------------------------------------


CLIPPED = {
    "sgd": {"solver": "sgd", "learning_rate": 0.3},
    "nesterov": {"solver": "sgd", "learning_rate": 0.1, "momentum": 0.9, "nesterov": True},
    "adam": {"solver": "adam", "learning_rate": 0.01},
    "adamw": {"solver": "adamw", "learning_rate": 0.01},
    "rmsprop": {"solver": "rmsprop", "learning_rate": 0.01},
}
every_clipped = pytest.mark.parametrize("case", CLIPPED)


def shortened(gradients, norm):
    length = np.linalg.norm([np.linalg.norm(g) for g in gradients])
    return [g * min(1, norm / length) for g in gradients]


def clipped_run(reference, X, Y, solver, norm, batch_size, alpha, weight=None):
    """The penalty's share is added to what the gradient is shortened to."""
    weight = np.ones(len(X)) if weight is None else weight
    for start in range(0, len(X), batch_size):
        rows = slice(start, start + batch_size)
        n = len(X[rows])
        _, dW, db = reference.loss_and_gradients(X[rows], Y[rows], 0.0, weight[rows])
        decays = [alpha / n] * len(dW) + [0.0] * len(db)
        solver.update(reference.weights + reference.biases, shortened(dW + db, norm), decays)


def clipped_epoch(module, net, X, Y, norm, batch_size, n_threads=1, weight=None, **options):
    engine = engine_of(module, net, clip_norm=norm, **options)
    weight = None if weight is None else weight.astype(net.dtype)
    return engine.epoch(X.astype(net.dtype), Y.astype(net.dtype), weight, None, batch_size, n_threads)


@every_clipped
@pytest.mark.parametrize(("n", "batch_size"), [(1, 1), (9, 1), (7, 7), (20, 8), (300, 300), (700, 600)])
@pytest.mark.parametrize("norm", [1e-3, 0.3])
def test_one_update_and_more_from_shortened_gradients(module, dtype, case, n, batch_size, norm):
    net, (X, Y), weight = network(17, dtype.name), samples(17, n), sample_weights(n) + 0.25
    reference = Reference.of(net)
    clipped_run(reference, X, Y, Solver(**CLIPPED[case]), norm, batch_size, ALPHA, weight)
    clipped_epoch(module, net, X, Y, norm, batch_size, weight=weight, alpha=ALPHA, **CLIPPED[case])
    assert_network_close(net, reference, {"float64": 1e-9, "float32": 1e-3}[dtype.name])


@every_clipped
@pytest.mark.parametrize("batch_size", [1, 8, 300])
def test_a_norm_that_is_not_exceeded_changes_nothing(case, batch_size):
    X, Y = samples(7, 300)
    start = network()
    models = []
    for norm in (None, 1e6):
        net = cmlp.Network(start.layer_sizes, start.activation, random_state=0)
        net.parameters[:] = start.parameters
        with net._engine:
            settings = {"momentum": 0.0, "nesterov": False, "beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-8}
            net._set_solver(**{**settings, **CLIPPED[case]}, alpha=ALPHA, clip_norm=norm or 0.0)
            net._engine.epoch(X, Y, None, None, batch_size)
        models.append(net.parameters)
    np.testing.assert_allclose(models[1], models[0], rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("case", ["sgd", "adam"])
@pytest.mark.parametrize("batch_size", [33, 300, 600])
def test_any_number_of_threads_shortens_the_same(module, dtype, case, batch_size):
    runs = []
    for n_threads in (1, 2, 3, 7):
        net, (X, Y) = network(33, dtype.name), samples(33, 700)
        loss = clipped_epoch(module, net, X, Y, 0.05, batch_size, n_threads, alpha=ALPHA, **CLIPPED[case])
        runs.append(np.append(net.parameters, loss))
    for run in runs[1:]:
        np.testing.assert_array_equal(run, runs[0])


@pytest.mark.parametrize("case", ["sgd", "nesterov", "adam", "adamw", "rmsprop"])
@pytest.mark.parametrize("batch_size", [1, 8, 300])
@pytest.mark.parametrize("norm", [0.01, 0.2, 1e3])
def test_torch_shortens_the_same(torch, module, dtype, case, batch_size, norm):
    if dtype == np.float32:
        return
    net, (X, Y) = network(7), samples(7, min(2 * batch_size, 300))
    layers = torch_network(torch, net)
    each = [p for layer in layers for p in layer.parameters()]
    optimizer = torch_solver(torch, layers, batch_size, **CLIPPED[case])
    for group in optimizer.param_groups:
        group["weight_decay"] = 0.0  # torch would shorten the gradient without it as well, but hides it in the step
    step = optimizer.step
    optimizer.step = lambda: (torch.nn.utils.clip_grad_norm_(each, norm), step())
    torch_train(torch, layers, optimizer, X, Y, batch_size)
    clipped_epoch(module, net, X, Y, norm, batch_size, **CLIPPED[case])
    weights, biases = ([getattr(layer, name).detach().numpy() for layer in layers] for name in ("weight", "bias"))
    # torch divides by the norm plus 1e-6
    assert_network_close(net, Reference(weights, biases, net.activation, net.loss_name), 1e-4 if norm < 1 else 1e-9)


@pytest.mark.parametrize("batch_size", [1, 300])
def test_a_step_afterwards_is_not_shortened(batch_size):
    X, y = inputs(300, 7), np.arange(300) % 3
    options = {"hidden_layer_sizes": 5, "solver": "sgd", "momentum": 0.0, "batch_size": batch_size, "max_iter": 1}
    net = cmlp.fit(X, y, max_grad_norm=1e-9, learning_rate_init=0.1, alpha=0.0, **options).network
    plain = copy_of_parameters(net)
    for each in (net, plain):
        each.step(X[0], y[0], learning_rate=0.1)
        each.step(X, y, learning_rate=0.1)
        each.fit(X, y, batch_size=batch_size)
    np.testing.assert_array_equal(net.parameters, plain.parameters)


def test_a_gradient_of_nothing_is_not_divided_by(module, dtype):
    """Samples of weight 0."""
    net, (X, Y) = network(7, dtype.name), samples(7, 20)
    before = net.parameters.copy()
    for batch_size in (1, 20):
        clipped_epoch(module, net, X, Y, 1.0, batch_size, weight=np.zeros(20))
    np.testing.assert_array_equal(net.parameters, before)


def test_the_norm_of_gradients_whose_squares_overflow(module, dtype):
    """They are what a shortening is for."""
    size = 1e12 if dtype == np.float32 else 1e60
    net = cmlp.Network((3, 2), loss="squared_error", dtype=dtype, random_state=0)
    net.parameters[:] = 0
    X, Y = np.full((2, 3), size), np.full((2, 2), -size)
    reference = Reference.of(net)
    with np.errstate(over="ignore"):
        clipped_run(reference, X, Y, Solver(learning_rate=1.0), 1.0, 2, 0.0)
    engine_of(module, net, learning_rate=1.0, clip_norm=1.0).epoch(X.astype(dtype), Y.astype(dtype), None, None, 2)
    assert_vector_close(net.parameters, reference.parameters, 1e-5 if dtype == np.float32 else 1e-12)


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
