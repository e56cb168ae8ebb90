"""Dropout: the masks and the updates of every build against NumPy, their statistics, and training with them."""

import numpy as np
import pytest

import cmlp
from dropout_reference import DroppedReference, all_factors, chances, factors
from engines import engine_of, network, rows_of, samples
from reference import ACTIVATIONS, LOSSES, Solver, assert_entries_close, assert_network_close, sample_weights

SEED = 0x9ABCDEF012345678
KEEPS = {"hidden": (1.0, 0.7, 0.4), "input": (0.6, 1.0, 1.0), "both": (0.75, 0.5, 0.9), "last": (1.0, 1.0, 0.3)}
TOLERANCE = {"float64": 1e-11, "float32": 3e-5}

every_keep = pytest.mark.parametrize("keep", KEEPS.values(), ids=KEEPS)
batches = pytest.mark.parametrize("n", [1, 3, 7, 33, 300])


def dropped_epoch(engine, net, X, y, keep, batch_size, seed=SEED, n_threads=1, weights=None, index=None):
    return engine.epoch(
        X, y, weights, index, batch_size, n_threads, keep=np.array(keep, net.dtype), seed=seed
    )  # fmt: skip


def expected_run(net, X, y, keep, batch_size, solver=None, alpha=0.0, weights=None, seed=SEED):
    """The reference after an epoch, and the mean loss."""
    reference, Y, total = DroppedReference.of(net), rows_of(net, y), 0.0
    solver = solver or Solver("sgd", 0.1)
    for t, start in enumerate(range(0, len(X), batch_size), 1):
        rows = slice(start, min(len(X), start + batch_size))
        given = all_factors(net, keep, seed, t, rows.stop - start)
        weight = None if weights is None else weights[rows]
        total += (rows.stop - start) * reference.dropped_step(X[rows], Y[rows], solver, given, alpha, weight)
    return reference, total / len(X)


def check_run(module, net, n, keep, batch_size, alpha=0.0, weighted=False, **solver):
    X, y = samples(net, n)
    weights = sample_weights(n).astype(net.dtype) if weighted else None
    reference, expected = expected_run(net, X, y, keep, batch_size, Solver(**solver or {"learning_rate": 0.1}), alpha,
                                       weights)  # fmt: skip
    loss = dropped_epoch(engine_of(module, net, alpha=alpha, **solver), net, X, y, keep, batch_size, weights=weights)
    tolerance = TOLERANCE[net.dtype.name]
    assert_network_close(net, reference, tolerance)
    assert loss == pytest.approx(expected, rel=tolerance)


# ---- updates ----------------------------------------------------------------------------------------------


@every_keep
@batches
@pytest.mark.parametrize("width", [1, 3, 7, 17, 33, 65])
def test_one_update(module, dtype, keep, n, width):
    check_run(module, network((width, width, 9, 3), ("tanh", "silu"), dtype.name), n, keep, n)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("n", [1, 33])
def test_one_update_of_every_activation(module, dtype, activation, n):
    check_run(module, network((7, 17, 9, 3), activation, dtype.name), n, KEEPS["both"], n)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("n", [1, 7])
def test_one_update_of_every_loss(module, dtype, loss, n):
    check_run(module, network((7, 17, 9, 3), "tanh", dtype.name, loss), n, KEEPS["both"], n)


@pytest.mark.parametrize("solver", ["sgd", "adam"])
@pytest.mark.parametrize("batch_size", [1, 2, 8, 40])
def test_updates_in_a_row(module, dtype, solver, batch_size):
    """Each drops other units; the last batch is short."""
    options = {"solver": solver, "learning_rate": 0.01}
    check_run(module, network((7, 17, 9, 3), "tanh", dtype.name), 41, KEEPS["both"], batch_size, 0.05, True, **options)


@pytest.mark.parametrize("batch_size", [1, 5])
def test_without_hidden_layers(module, dtype, batch_size):
    check_run(module, network((33, 3), (), dtype.name), 30, (0.5,), batch_size)


@pytest.mark.parametrize("batch_size", [1, 8, 30])
def test_rows_are_dropped_by_their_place_in_the_batch(module, dtype, batch_size):
    net, indexed = (network((7, 17, 9, 3), "tanh", dtype.name) for _ in range(2))
    X, y = samples(net, 30)
    order = np.random.RandomState(0).permutation(30).astype(np.intp)
    dropped_epoch(engine_of(module, net), net, X[order].copy(), y[order].copy(), KEEPS["both"], batch_size)
    dropped_epoch(engine_of(module, indexed), indexed, X, y, KEEPS["both"], batch_size, index=order)
    np.testing.assert_array_equal(net.parameters, indexed.parameters)


@pytest.mark.parametrize("keep", [1e-3, 0.02, 0.999])
def test_nearly_all_or_nothing_dropped(module, dtype, keep):
    check_run(module, network((17, 33, 33, 3), "tanh", dtype.name), 33, (1.0, keep, keep), 33)


@pytest.mark.parametrize("batch_size", [33, 300])
@pytest.mark.parametrize("solver", ["sgd", "adam"])
def test_any_number_of_threads_drops_the_same(module, dtype, batch_size, solver):
    layer_sizes, runs = (33, 65, 17, 3), []
    for n_threads in (1, 2, 3, 7):
        net = network(layer_sizes, ("relu", "silu"), dtype.name)
        engine = engine_of(module, net, solver=solver, learning_rate=0.01)
        loss = dropped_epoch(engine, net, *samples(net, 300), KEEPS["both"], batch_size, n_threads=n_threads)
        runs.append(np.append(net.parameters, loss))
    for run in runs[1:]:
        np.testing.assert_array_equal(run, runs[0])


# ---- chance -----------------------------------------------------------------------------------------------


DRAWS = {
    "units": lambda t: chances(SEED, t, 1, 1, 4096, np.dtype(float))[0],
    "samples": lambda t: chances(SEED, t, 1, 4096, 1, np.dtype(float))[:, 0],
    "updates": lambda t: np.array([chances(SEED, 4096 * t + i, 1, 1, 1, np.dtype(float))[0, 0] for i in range(4096)]),
    "seeds": lambda t: np.array([chances(4096 * t + i, 1, 1, 1, 1, np.dtype(float))[0, 0] for i in range(4096)]),
    "layers": lambda t: np.array([chances(SEED, t, i, 1, 1, np.dtype(float))[0, 0] for i in range(4096)]),
}
SIGMAS = 4.5


@pytest.mark.parametrize("draw", DRAWS.values(), ids=DRAWS)
@pytest.mark.parametrize("t", [1, 2, 77])
def test_chances_are_uniform_and_independent_of_their_neighbours(draw, t):
    u = draw(t)
    n = len(u)
    assert abs(u.mean() - 0.5) < SIGMAS * np.sqrt(1 / 12 / n)
    counts = np.histogram(u, 16, (0, 1))[0]
    assert ((counts - n / 16) ** 2).sum() / (n / 16) < 15 + SIGMAS * np.sqrt(30)
    for lag in (1, 2, 3, 8, 16, 64):
        assert abs(np.corrcoef(u[lag:], u[:-lag])[0, 1]) < SIGMAS / np.sqrt(n - lag)


def test_layers_samples_and_updates_drop_apart():
    """Whole masks do not resemble one another."""
    masks = [
        (chances(SEED, t, layer, 100, 50, np.dtype(float)) < 0.5).ravel() for t in (1, 2, 3) for layer in (0, 1, 2)
    ]
    correlation = np.corrcoef(np.array(masks, float)) - np.eye(len(masks))
    assert np.abs(correlation).max() < SIGMAS / np.sqrt(5000)


def dropped_by_the_kernel(module, net, keep, n, seed=SEED):
    """Which hidden units of n samples are 0: their outgoing weights see no gradient but by one sample each."""
    d, C = net.layer_sizes[0], net.layer_sizes[-1]
    net.weights[0][:], net.biases[0][:] = 0, 1
    net.weights[1][:], net.biases[1][:] = 0, 0
    X, Y = np.zeros((n, d), net.dtype), np.eye(n, C, dtype=net.dtype)
    dropped_epoch(engine_of(module, net, learning_rate=float(n)), net, X, Y, (1.0, keep), n, seed)
    return net.weights[1] * np.float64(keep)


@pytest.mark.parametrize("n", [2, 33])
@pytest.mark.parametrize("keep", [0.2, 0.5, 0.9])
def test_the_units_dropped_are_those_of_the_hash(module, dtype, n, keep):
    net = network((2, 1000, n), "identity", dtype.name, "squared_error")
    got = dropped_by_the_kernel(module, net, keep, n)
    expected = factors(keep, SEED, 1, 1, n, 1000, dtype) * keep
    np.testing.assert_allclose(got, expected, rtol=4 * np.finfo(dtype).eps)
    assert abs((got > 0.5).mean() - keep) < SIGMAS * np.sqrt(keep * (1 - keep) / got.size)


# ---- cmlp.fit ---------------------------------------------------------------------------------------------


OPTIONS = {"hidden_layer_sizes": (33, 17), "batch_size": 16, "max_iter": 4, "random_state": 3}


def problem(n=100):
    X = np.random.default_rng(0).standard_normal((n, 5))
    return X, np.arange(n) % 3


def fitted(**options):
    return cmlp.fit(*problem(), **{**OPTIONS, **options})


def parameters(**options):
    return fitted(**options).network.parameters


every_dropout = pytest.mark.parametrize(
    "dropout", [{"dropout": 0.5}, {"dropout": (0.0, 0.2)}, {"input_dropout": 0.3}], ids=str
)


@every_dropout
@pytest.mark.parametrize("batch_size", [1, 16])
@pytest.mark.parametrize("solver", ["sgd", "adam"])
def test_a_random_state_gives_the_same_model(dropout, batch_size, solver):
    options = {"batch_size": batch_size, "solver": solver, **dropout}
    first, again = parameters(**options), parameters(**options)
    np.testing.assert_array_equal(first, again)
    without = {name: value for name, value in options.items() if "dropout" not in name}
    assert np.abs(parameters(**without) - first).max() > 1e-4
    assert np.abs(parameters(**{**options, "random_state": 4}) - first).max() > 1e-4


def test_random_states_of_any_kind():
    for kind in (np.random.RandomState, np.random.default_rng):
        first, again = (parameters(dropout=0.5, random_state=kind(3)) for _ in range(2))
        np.testing.assert_array_equal(first, again)


def test_no_dropout_is_no_dropout():
    for nothing in ({"dropout": 0.0}, {"dropout": (0.0, 0.0), "input_dropout": 0.0}):
        np.testing.assert_array_equal(parameters(**nothing), parameters())


def test_a_rate_per_layer_is_for_that_layer():
    np.testing.assert_array_equal(parameters(dropout=(0.4, 0.4)), parameters(dropout=0.4))
    assert np.abs(parameters(dropout=(0.4, 0.0)) - parameters(dropout=(0.0, 0.4))).max() > 1e-4


def recorded(monkeypatch):
    """The `keep` and the seeds of the epochs to come."""
    calls, epoch = [], cmlp.Network._epoch

    def noted(self, *arguments):
        calls.append((arguments[9], arguments[10]))
        return epoch(self, *arguments)

    monkeypatch.setattr(cmlp.Network, "_epoch", noted)
    return calls


def test_the_training_of_fit_is_that_of_the_formulas(monkeypatch):
    X, y = problem()
    calls = recorded(monkeypatch)
    options = {"solver": "sgd", "learning_rate_init": 0.1, "momentum": 0.0, "shuffle": False, "alpha": 0.05}
    model = fitted(dropout=(0.5, 0.2), input_dropout=0.1, **options, max_iter=1)
    start = cmlp.Network(model.network.layer_sizes, random_state=3)
    ((keep, seed),) = calls
    np.testing.assert_allclose(keep, [0.9, 0.5, 0.8])
    reference, loss = expected_run(start, X, y, keep, 16, alpha=0.05, seed=seed)
    assert_network_close(model.network, reference, 1e-11)
    assert model.loss_curve_[0] == pytest.approx(loss)


def test_epochs_drop_other_units(monkeypatch):
    """One update per epoch: the seed stays and the updates are counted on."""
    X, y = problem()
    calls = recorded(monkeypatch)
    options = {"solver": "sgd", "learning_rate_init": 0.1, "momentum": 0.0, "shuffle": False, "alpha": 0.0}
    model = fitted(dropout=0.5, **options, batch_size=100, max_iter=3)
    assert {seed for _, seed in calls} == {calls[0][1]}
    start = cmlp.Network(model.network.layer_sizes, random_state=3)
    thrice = np.tile(X, (3, 1)), np.tile(y, 3)
    reference, _ = expected_run(start, *thrice, (1, 0.5, 0.5), 100, seed=calls[0][1])
    assert_network_close(model.network, reference, 1e-11)


def test_models_of_one_random_state_drop_other_units(monkeypatch):
    calls, random = recorded(monkeypatch), np.random.RandomState(0)
    for _ in range(2):
        fitted(dropout=0.5, max_iter=1, random_state=random)
    assert calls[0][1] != calls[1][1]


@pytest.mark.parametrize("n", [1, 5, 100])
def test_a_prediction_drops_nothing(n):
    X, _ = problem(n)
    model = fitted(dropout=0.5, input_dropout=0.2)
    plain = cmlp.Network(model.network.layer_sizes)
    plain.parameters = model.network.parameters
    np.testing.assert_array_equal(model.predict_proba(X), plain.forward(X))
    np.testing.assert_array_equal(model.predict_proba(X), model.predict_proba(X))
    np.testing.assert_array_equal(model.network(X[0]), plain(X[0]))


def test_the_validation_drops_nothing():
    X, y = problem()
    losses = []
    model = fitted(
        dropout=0.5, input_dropout=0.2, X_val=X, y_val=y,
        callbacks=lambda state: losses.append((state.validation_loss, state.model.network.loss(X, y))),
    )  # fmt: skip
    assert len(losses) == model.n_iter_ == 4
    np.testing.assert_allclose(*zip(*losses, strict=True), rtol=1e-12)


@pytest.mark.parametrize("how", ["step", "step of a batch", "fit", "gradients"])
@pytest.mark.parametrize("solver", ["sgd", "adam"])
def test_training_afterwards_drops_nothing(how, solver):
    X, y = problem()
    used = fitted(dropout=0.5, input_dropout=0.2, solver=solver, momentum=0.0, batch_size=1).network
    plain = cmlp.Network(used.layer_sizes)
    plain.parameters = used.parameters
    for net in (used, plain):
        if how == "fit":
            net.fit(X, y, batch_size=7)
        elif how == "gradients":
            net.parameters[:] = net.loss_and_gradients(X, y)[1][0][0, 0]
        else:
            x, label = (X[0], y[0]) if how == "step" else (X, y)
            net.step(x, label, solver="rmsprop")
            net.step(x, label, solver="rmsprop")
    np.testing.assert_array_equal(used.parameters, plain.parameters)


def test_an_epoch_that_diverges_leaves_no_dropout(module, dtype):
    net, plain = (network((5, 17, 2), "tanh", dtype.name, "squared_error") for _ in range(2))
    X, Y = samples(net, 20)
    engine, other = engine_of(module, net), engine_of(module, plain)
    spoilt = np.full_like(Y, np.finfo(dtype).max)
    assert np.isnan(dropped_epoch(engine, net, X, spoilt, (0.5, 0.5), 5))
    np.testing.assert_array_equal(net.parameters, plain.parameters)
    for each in (engine, other):
        each.epoch(X, Y, None, None, 5)
    np.testing.assert_array_equal(net.parameters, plain.parameters)


@every_dropout
def test_any_number_of_threads_fits_the_same(dropout):
    runs = [parameters(**dropout, batch_size=64, n_threads=n) for n in (1, 2, 3, 7)]
    for run in runs[1:]:
        np.testing.assert_array_equal(run, runs[0])


# ---- scikit-learn's estimators ----------------------------------------------------------------------------


def classifier(**options):
    pytest.importorskip("sklearn")
    return cmlp.MLPClassifier(**{**OPTIONS, "shuffle": False, **options})


@pytest.mark.filterwarnings("ignore:Stochastic Optimizer")
@every_dropout
def test_a_classifier_drops_the_units_of_the_hash(monkeypatch, dropout):
    X, y = problem()
    calls = recorded(monkeypatch)
    options = {"solver": "sgd", "learning_rate_init": 0.1, "momentum": 0.0, "alpha": 0.05, "max_iter": 1}
    model = classifier(**options, **dropout).fit(X, y)
    ((keep, seed),) = calls
    start = cmlp.Network((5, 33, 17, 3), random_state=3)
    reference, loss = expected_run(start, X, y, keep, 16, alpha=0.05, seed=seed)
    for ours, weights in zip(model.coefs_, reference.weights, strict=True):
        assert_entries_close(ours, weights.T, 1e-11)
    assert model.loss_ == pytest.approx(loss)


@pytest.mark.filterwarnings("ignore:Stochastic Optimizer")
def test_a_classifier_is_reproducible_and_predicts_without():
    X, y = problem()
    first, again = (classifier(dropout=0.5, input_dropout=0.1).fit(X, y) for _ in range(2))
    np.testing.assert_array_equal(first.predict_proba(X), again.predict_proba(X))
    np.testing.assert_array_equal(first.predict_proba(X), first.predict_proba(X))


def test_partial_fit_goes_on_dropping_other_units(monkeypatch):
    X, y = problem()
    calls, model = recorded(monkeypatch), classifier(solver="sgd", momentum=0.0, alpha=0.0, dropout=0.5, batch_size=100)
    for _ in range(3):
        model.partial_fit(X, y, classes=[0, 1, 2])
    assert len({seed for _, seed in calls}) == 1
    start = cmlp.Network((5, 33, 17, 3), random_state=3)
    thrice = np.tile(X, (3, 1)), np.tile(y, 3)
    reference, _ = expected_run(start, *thrice, (1, 0.5, 0.5), 100, Solver("sgd", 1e-3), seed=calls[0][1])
    for ours, weights in zip(model.coefs_, reference.weights, strict=True):
        assert_entries_close(ours, weights.T, 1e-11)
