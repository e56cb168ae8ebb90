"""What cmlp.fit trains with beside its solvers: schedules, L-BFGS, weights of classes, scores, callbacks, outputs."""

import contextlib
import pickle
import signal
import subprocess
import sys
import threading
import time
import warnings

import numpy as np
import pytest

import cmlp
from cmlp.lbfgs import minimise
from cmlp.options import Options
from cmlp.training import Samples, Solver, one_cycle
from reference import ACTIVATIONS, DISTANCES, Reference, assert_network_close, assert_vector_close, flat
from reference import Solver as FormulaSolver
from test_solvers import clipped_run

both_precisions = pytest.mark.parametrize("dtype", ["float32", "float64"])
ETA = 0.02


def table(n=60, classes=3, seed=0):
    """Standard normal columns and labels that follow from them, with some noise."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, 4))
    return X, np.digitize(X[:, 0] + 0.5 * rng.standard_normal(n), np.linspace(-0.7, 0.7, classes - 1))


def values(n=60, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, 4))
    return X, np.sin(X[:, 0]) + 0.3 * X[:, 1] + 0.2 * rng.standard_normal(n)


SMALL = {"hidden_layer_sizes": (7, 5), "activation": "tanh", "random_state": 3, "learning_rate_init": ETA}


def fitted(X, y, **options):
    return cmlp.fit(X, y, **{**SMALL, "max_iter": 5, **options})


def same(one, other):
    np.testing.assert_array_equal(one.network.parameters, other.network.parameters)
    assert one.loss_curve_ == other.loss_curve_


def start_of(model, random_state=3):
    """The network as it was before its training."""
    net = model.network
    return cmlp.Network(
        net.layer_sizes, net.activation, net.loss_name, net.dtype, random_state, net.out_activation
        if net.loss_name in DISTANCES else None, net.quantile,
    )  # fmt: skip


# ---- a rate per update --------------------------------------------------------------------------------------


def rates_of(options, epochs, updates):
    """The rate of every update of a run."""
    solver, all_rates = Solver(Options(**options, max_iter=epochs)), []
    for epoch in range(epochs):
        rates = solver.rates(updates)
        all_rates.append(np.full(updates, solver.learning_rate) if rates is None else rates)
        solver.epoch_ends((epoch + 1) * 100)
    return np.concatenate(all_rates)


def torch_rates(torch, updates):
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=ETA)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, ETA, total_steps=updates, cycle_momentum=False)
    rates = []
    for _ in range(updates):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if len(rates) < updates:
            schedule.step()
    return rates


@pytest.mark.parametrize(("epochs", "updates"), [(1, 4), (1, 50), (7, 13), (10, 1), (100, 3), (5, 10), (3, 7)])
def test_one_cycle_is_torchs(torch, epochs, updates):
    ours = rates_of({"learning_rate": "one_cycle", "learning_rate_init": ETA}, epochs, updates)
    np.testing.assert_allclose(ours, torch_rates(torch, epochs * updates), rtol=1e-12)


@pytest.mark.parametrize("updates", [1, 2, 3, 4])
def test_one_cycle_of_hardly_any_updates(updates):
    rates = one_cycle(np.arange(updates), updates, ETA)
    assert (rates > 0).all()
    assert (rates <= ETA * (1 + 1e-12)).all()
    assert rates[-1] == pytest.approx(ETA / 250_000) or updates == 1


SCHEDULES = {
    "constant": lambda k, updates, epochs: np.full(len(k), ETA),
    "cosine": lambda k, updates, epochs: ETA * (1 + np.cos(np.pi * (k // updates) / epochs)) / 2,
    "invscaling": lambda k, updates, epochs: ETA / np.where(k < updates, 1, k // updates * 100 + 1.0) ** 0.5,
    "one_cycle": lambda k, updates, epochs: one_cycle(k, updates * epochs, ETA),
}


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("warmup", [0, 0.25, 1, 2.5, 20])
@pytest.mark.parametrize("updates", [1, 8])
def test_a_warm_up_rises_in_equal_steps(schedule, warmup, updates):
    options = {"learning_rate": schedule, "learning_rate_init": ETA, "warmup_epochs": warmup}
    k = np.arange(6 * updates)
    expected = SCHEDULES[schedule](k, updates, 6)
    if warmup:
        expected = expected * np.minimum(1, (k + 1) / (warmup * updates))
    np.testing.assert_allclose(rates_of(options, 6, updates), expected, rtol=1e-12)


EPOCHS = 4


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("warmup", [0, 1.5])
@pytest.mark.parametrize("batch_size", [1, 16, 100])
@pytest.mark.parametrize("solver", ["sgd", "adam"])
@pytest.mark.parametrize("alpha", [0.0, 0.3])
def test_fit_takes_the_rate_of_each_update(schedule, warmup, batch_size, solver, alpha):
    X, y = table(100)
    updates = -(-100 // batch_size)
    options = {"learning_rate": schedule, "warmup_epochs": warmup, "learning_rate_init": ETA}
    model = fitted(
        X, y, solver=solver, momentum=0.0, shuffle=False, alpha=alpha, batch_size=batch_size, max_iter=EPOCHS, **options
    )
    net, rates, losses = start_of(model), rates_of(options, EPOCHS, updates), []
    for epoch in range(EPOCHS):
        for i in range(updates):
            rows = slice(i * batch_size, (i + 1) * batch_size)
            rate = rates[epoch * updates + i]
            losses.append(net.step(X[rows], y[rows], rate, solver, alpha=alpha) * len(X[rows]))
    np.testing.assert_allclose(model.network.parameters, net.parameters, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(model.loss_curve_, np.reshape(losses, (EPOCHS, -1)).sum(axis=1) / 100, rtol=1e-9)


@pytest.mark.parametrize("options", [{"learning_rate": "one_cycle"}, {"warmup_epochs": 3}])
@pytest.mark.parametrize("batch_size", [16, 100])
def test_any_number_of_threads_takes_the_same_rates(options, batch_size):
    one, *others = (fitted(*table(100), n_threads=n, batch_size=batch_size, **options) for n in (1, 2, 3, 7))
    for other in others:
        same(other, one)


@pytest.mark.parametrize("options", [{"warmup_epochs": 10}, {"learning_rate": "one_cycle"}, {"warmup_epochs": 2.5}])
@pytest.mark.parametrize("solver", ["sgd", "adam"])
@pytest.mark.parametrize("batch_size", [1, 16])
def test_a_step_afterwards_takes_the_rate_it_is_given(options, solver, batch_size):
    """Not the one that the last update of the training had."""
    X, y = table(100)
    settings = {"alpha": 0.0, "momentum": 0.0}
    states = []
    model = fitted(
        X, y, solver=solver, batch_size=batch_size, nesterovs_momentum=False, callbacks=states.append, max_iter=2,
        **settings, **options,
    )  # fmt: skip
    for rate in (ETA, states[-1].learning_rate):
        used = pickle.loads(pickle.dumps(model.network))
        model.network.step(X[0], y[0], rate, solver, **settings)
        used.step(X[:1], y[:1], rate, solver, **settings)  # a batch sets its solver up anew
        np.testing.assert_allclose(model.network.parameters, used.parameters, rtol=1e-9, atol=1e-12)


# ---- gradients that are shortened ---------------------------------------------------------------------------


@pytest.mark.parametrize("solver", ["sgd", "adam"])
@pytest.mark.parametrize("batch_size", [1, 16, 100])
@pytest.mark.parametrize("norm", [0.01, 0.05])
def test_fit_shortens_gradients(solver, batch_size, norm):
    X, y = table(100)
    options = {"solver": solver, "momentum": 0.0, "alpha": 0.3, "shuffle": False, "batch_size": batch_size}
    model = fitted(X, y, max_grad_norm=norm, max_iter=2, **options)
    reference, formulas = Reference.of(start_of(model)), FormulaSolver(solver, ETA)
    for _ in range(2):
        clipped_run(reference, X, np.eye(3)[y], formulas, norm, batch_size, 0.3)
    assert_network_close(model.network, reference, 1e-8)
    assert np.abs(model.network.parameters - fitted(X, y, max_iter=2, **options).network.parameters).max() > 1e-5


def test_a_gradient_whose_squares_overflow_is_shortened():
    X, y = np.array([[3e90], [4e90]]), np.array([1e90, 2.5e90])
    options = {"hidden_layer_sizes": (), "loss": "squared_error", "solver": "sgd", "momentum": 0.0, "alpha": 0.0,
               "batch_size": 2, "shuffle": False, "max_iter": 1, "max_grad_norm": 0.5}  # fmt: skip
    model = cmlp.fit(X, y, learning_rate_init=1e-3, random_state=0, **options)
    start = start_of(model, 0).parameters
    np.testing.assert_allclose(np.linalg.norm(model.network.parameters - start), 0.5e-3, rtol=1e-6)


# ---- L-BFGS -------------------------------------------------------------------------------------------------


@pytest.fixture
def scipy_optimize():
    return pytest.importorskip("scipy.optimize")


def reference_minimum(optimize, net, X, Y, alpha, weights, max_iter=200, tol=1e-4):
    """The same search over the formulas."""
    reference = Reference.of(net)

    def loss_and_gradient(theta):
        net.parameters[:] = theta
        for mine, other in zip((*reference.weights, *reference.biases), (*net.weights, *net.biases), strict=True):
            mine[:] = other
        loss, dW, db = reference.loss_and_gradients(X, Y, alpha, weights)
        return loss, flat(dW, db)

    start = net.parameters.copy()
    options = {"maxfun": 15000, "maxiter": max_iter, "gtol": tol}
    return optimize.minimize(loss_and_gradient, start, method="L-BFGS-B", jac=True, options=options)


PROBLEMS = {
    "cross_entropy": {},
    "squared_error": {},
    "huber": {},
    "log_cosh": {},
    "poisson": {},
    "squared_error of a tanh": {"out_activation": "tanh"},
    "log_cosh of a softplus": {"out_activation": "softplus"},
    "quantile": {"quantile": 0.9},
}


def lbfgs_problem(name):
    X, y = table(40) if name == "cross_entropy" else values(40)
    return X, (np.abs(y) if name == "poisson" else y)


@pytest.mark.parametrize("name", PROBLEMS)
@pytest.mark.parametrize("weighted", [False, True])
def test_lbfgs_is_scipys_over_the_formulas(scipy_optimize, name, weighted):
    """A few iterations, while rounding has not led them apart."""
    X, y = lbfgs_problem(name)
    weights = np.random.RandomState(0).randint(1, 9, 40) / 4 if weighted else None
    options = {"solver": "lbfgs", "alpha": 0.1, "loss": name.split()[0], "max_iter": 5}
    model = fitted(X, y, sample_weight=weights, **options, **PROBLEMS[name])
    rows = np.eye(3)[y] if name == "cross_entropy" else y[:, None]
    mean_one = None if weights is None else weights / weights.mean()
    expected = reference_minimum(scipy_optimize, start_of(model), X, rows, 0.1, mean_one, 5)
    assert model.n_iter_ == expected.nit
    assert_vector_close(model.network.parameters, expected.x, 1e-6)


@pytest.mark.parametrize("task", ["classes", "two classes", "values"])
@pytest.mark.parametrize("alpha", [1e-4, 1.0])
def test_lbfgs_is_scikit_learns(task, alpha):
    neural_network = pytest.importorskip("sklearn.neural_network")
    X, y = values() if task == "values" else table(classes=3 if task == "classes" else 2)
    options = {"hidden_layer_sizes": (7, 5), "activation": "tanh", "solver": "lbfgs", "alpha": alpha, "random_state": 3}
    estimator = neural_network.MLPRegressor if task == "values" else neural_network.MLPClassifier
    theirs = estimator(**options, max_iter=5)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # not converged
        theirs.fit(X, y)
    ours = cmlp.fit(X, y, **options, max_iter=5)
    assert ours.n_iter_ == theirs.n_iter_
    assert ours.loss_curve_[-1] == pytest.approx(theirs.loss_, rel=1e-7)
    for W, coefs in zip(ours.network.weights, theirs.coefs_, strict=True):
        np.testing.assert_allclose(W, coefs.T, rtol=1e-5, atol=1e-7)


@both_precisions
def test_lbfgs_ends_at_a_minimum(scipy_optimize, dtype):
    X, y = table()
    model = fitted(X, y, solver="lbfgs", alpha=1.0, max_iter=1000, dtype=dtype)
    assert model.converged_
    assert model.n_iter_ == len(model.loss_curve_) < 1000
    _, dW, db = model.network.loss_and_gradients(X.astype(dtype), y, 1.0)
    assert np.abs(flat(dW, db)).max() < 2e-4
    assert (np.diff(model.loss_curve_) <= 0).all()
    assert model.network.dtype == dtype


def test_a_float32_network_takes_the_steps_of_float64(scipy_optimize):
    X, y = table()
    X = X.astype(np.float32)
    single, double = (fitted(X, y, solver="lbfgs", max_iter=5, alpha=0.1, dtype=d) for d in ("float32", "float64"))
    assert_vector_close(single.network.parameters, double.network.parameters, 1e-4)
    np.testing.assert_allclose(single.loss_curve_, double.loss_curve_, rtol=1e-5)


def test_lbfgs_at_max_iter_has_not_converged(scipy_optimize):
    model = fitted(*table(), solver="lbfgs", max_iter=3)
    assert model.n_iter_ == 3
    assert not model.converged_


def test_lbfgs_calls_the_function_max_fun_times_at_most(scipy_optimize):
    model = fitted(*table(), solver="lbfgs", max_iter=1000, max_fun=4)
    assert model.n_iter_ <= 4
    assert not model.converged_


def test_lbfgs_stops_early_and_restores_the_best(scipy_optimize):
    X, y = table(40)
    X_val, y_val = table(40, seed=1)
    states = []
    model = fitted(
        X, y, solver="lbfgs", alpha=0.0, max_iter=500, X_val=X_val, y_val=y_val, n_iter_no_change=5, tol=1e-9,
        callbacks=lambda state: states.append((state, model_loss(state, X_val, y_val))),
    )  # fmt: skip
    assert model.n_iter_ < 500
    assert model.score(X_val, y_val) == model.best_validation_score_ == max(model.validation_scores_)
    assert model.converged_
    np.testing.assert_allclose(model.validation_loss_curve_, [loss for _, loss in states], rtol=1e-12)


def model_loss(state, X, y):
    return state.model.network.loss(X, y)


def test_a_callback_stops_lbfgs(scipy_optimize):
    seen = []

    def stop(state):
        seen.append(state.model.network.parameters.copy())
        return state.epoch == 3

    model = fitted(*table(), solver="lbfgs", max_iter=500, callbacks=stop)
    assert model.n_iter_ == len(seen) == 3
    np.testing.assert_array_equal(model.network.parameters, seen[-1])
    assert not model.converged_


@pytest.mark.parametrize("error", [RuntimeError, StopIteration])
def test_an_exception_of_a_callback_leaves_lbfgs_at_its_iteration(scipy_optimize, error):
    """Also the one that SciPy takes for a wish to stop."""
    models = []

    def fails(state):
        models.append(state.model)
        if state.epoch == 3:
            raise error("enough")

    with pytest.raises(error, match="enough"):
        fitted(*table(), solver="lbfgs", max_iter=500, callbacks=fails)
    expected = fitted(*table(), solver="lbfgs", max_iter=3)
    np.testing.assert_allclose(models[0].network.parameters, expected.network.parameters, rtol=1e-12)
    models[0].network.step(*(each[0] for each in table()))  # it is not taken any more


def assert_divergence_leaves_the_start(X, y, **options):
    with pytest.raises(cmlp.DivergenceError) as error:
        fitted(X, y, solver="lbfgs", **options)
    model = error.value.model
    np.testing.assert_array_equal(model.network.parameters, start_of(model).parameters)


def test_an_lbfgs_whose_loss_overflows_leaves_the_start(scipy_optimize):
    X, y = values()
    assert_divergence_leaves_the_start(np.where(X > 1, 1e200, X), y, activation="identity")


@pytest.mark.parametrize("callbacks", [None, lambda state: False])
@pytest.mark.parametrize("reached", [1e39, np.nan])
def test_an_lbfgs_that_leaves_the_range_of_float32_leaves_the_start(scipy_optimize, monkeypatch, reached, callbacks):
    """And blames no callback for it."""

    def minimum(function, start, callback, **_):
        result = scipy_optimize.OptimizeResult(x=start + reached, fun=1.0, nit=1, status=0, message="")
        with contextlib.suppress(StopIteration):
            callback(intermediate_result=result)
        return result

    monkeypatch.setattr(scipy_optimize, "minimize", minimum)
    assert_divergence_leaves_the_start(*values(), dtype="float32", callbacks=callbacks)


INTERRUPTED = """
import signal, sys, warnings
import numpy as np
import cmlp
import scipy.optimize

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may have it ignored
X, y = np.random.default_rng(0).standard_normal((20000, 100)), np.arange(20000) % 3
seen = []
def note(state):
    seen[:] = [state.epoch, state.model.network.parameters.copy()]
    if state.epoch == 2:
        print("begins", flush=True)
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    options = {"hidden_layer_sizes": 100, "solver": "lbfgs", "max_iter": 10**6, "tol": 0, "random_state": 0}
    model = cmlp.fit(X, y, callbacks=note, **options)
print("ends", flush=True)
print((model.network.parameters == seen[1]).all(), model.n_iter_ == seen[0], model.converged_)
print(*(f"{w.category.__name__}: {w.message}" for w in caught), sep="; ")
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals")
def test_ctrl_c_leaves_lbfgs_at_its_last_iteration(scipy_optimize):
    with subprocess.Popen([sys.executable, "-c", INTERRUPTED], stdout=subprocess.PIPE, text=True) as process:
        guard = threading.Timer(60, process.kill)
        guard.start()
        assert process.stdout.readline() == "begins\n"
        time.sleep(0.3)
        process.send_signal(signal.SIGINT)
        assert process.stdout.readline() == "ends\n"
        state, warned = process.stdout.read().splitlines()
        guard.cancel()
    assert state == "True True False"
    assert warned == "UserWarning: training interrupted: the model has the parameters of the last finished update"


def test_minimise_on_some_rows_is_on_them_alone(scipy_optimize):
    X, y = table()
    rows = np.arange(1, 60, 2, dtype=np.intp)
    nets = [cmlp.Network((4, 5, 3), random_state=0) for _ in range(2)]
    y = y.astype(np.intp)
    minimise(nets[0], Samples(X, y, None, rows).taken(), 0.1, 1e-4, 5, 100)
    minimise(nets[1], Samples(X[rows], y[rows], None, np.arange(30)), 0.1, 1e-4, 5, 100)
    np.testing.assert_array_equal(nets[0].parameters, nets[1].parameters)


# ---- weights of classes, smooth labels ----------------------------------------------------------------------


def unequal(classes):
    X, _ = table(90)
    return X, np.repeat(np.arange(classes), [60, 20, 10] if classes == 3 else [70, 20])


NAMES = np.array(["oak", "ash", "yew"])


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("strings", [False, True])
@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
@pytest.mark.parametrize("weighted", [False, True])
def test_weights_of_classes_are_sample_weights(classes, strings, solver, weighted):
    if solver == "lbfgs":
        pytest.importorskip("scipy")
    X, y = unequal(classes)
    labels = NAMES[y] if strings else y + 5
    each = np.array([1.0, 2.5, 0.5])[:classes]
    by_label = {label.item(): weight for label, weight in zip(np.unique(labels), each, strict=True) if weight != 1}
    factors = each[np.searchsorted(np.unique(labels), labels)]
    weight = np.random.RandomState(0).randint(1, 5, 90) / 2 if weighted else None
    by_class = fitted(X, labels, solver=solver, class_weight=by_label, sample_weight=weight)
    same(by_class, fitted(X, labels, solver=solver, sample_weight=factors if weight is None else factors * weight))
    assert np.abs(by_class.network.parameters - fitted(X, labels, solver=solver).network.parameters).max() > 1e-3


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("strings", [False, True])
def test_balanced_weights(classes, strings):
    X, y = unequal(classes)
    labels = NAMES[y] if strings else y
    counts = np.bincount(y)
    model = fitted(X, labels, class_weight="balanced")
    expected = fitted(X, labels, sample_weight=90 / (classes * counts[y]))
    np.testing.assert_allclose(model.network.parameters, expected.network.parameters, rtol=1e-10)
    utils = pytest.importorskip("sklearn.utils.class_weight")
    theirs = fitted(X, labels, sample_weight=utils.compute_sample_weight("balanced", labels))
    np.testing.assert_allclose(model.network.parameters, theirs.network.parameters, rtol=1e-10)


def test_a_class_of_weight_0_is_not_learnt():
    X, y = unequal(3)
    model = fitted(X, y, class_weight={2: 0})
    spoilt = X.copy()
    spoilt[y == 2] = 1e3
    same(fitted(spoilt, y, class_weight={2: 0}), model)


@pytest.mark.parametrize("smoothing", [0.1, 0.5])
@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("batch_size", [1, 16])
def test_smooth_labels_are_smooth_rows(smoothing, classes, batch_size):
    """Training a network on them is the same."""
    X, y = unequal(classes)
    options = {"solver": "sgd", "momentum": 0.0, "alpha": 0.1, "shuffle": False, "batch_size": batch_size}
    model = fitted(X, y, label_smoothing=smoothing, **options)
    rows = np.eye(classes)[y] if classes > 2 else y[:, None].astype(float)
    smooth = rows * (1 - smoothing) + smoothing / classes
    net = start_of(model)
    losses = net.fit(X, smooth, learning_rate=ETA, alpha=0.1, batch_size=batch_size, epochs=5)
    np.testing.assert_allclose(model.network.parameters, net.parameters, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(model.loss_curve_, losses, rtol=1e-9)


def test_smooth_labels_of_many_at_once_and_of_two_classes_apart():
    X, y = unequal(2)
    both = np.stack([y, 1 - y], axis=1)
    options = {"solver": "sgd", "momentum": 0.0, "shuffle": False, "batch_size": 16, "alpha": 0.0}
    model = fitted(X, both, label_smoothing=0.2, **options)
    net = start_of(model)
    net.fit(X, both * 0.8 + 0.1, learning_rate=ETA, batch_size=16, epochs=5)
    np.testing.assert_allclose(model.network.parameters, net.parameters, rtol=1e-9, atol=1e-12)
    apart = fitted(X, y, loss="cross_entropy", label_smoothing=0.2, **options)
    net = start_of(apart)
    net.fit(X, np.eye(2)[y] * 0.8 + 0.1, learning_rate=ETA, batch_size=16, epochs=5)
    np.testing.assert_allclose(apart.network.parameters, net.parameters, rtol=1e-9, atol=1e-12)


def test_smooth_labels_leave_the_score_and_the_validation_as_they_are():
    X, y = unequal(3)
    model = fitted(X, y, label_smoothing=0.3, X_val=X, y_val=y, max_iter=1)
    assert model.validation_loss_curve_[-1] == pytest.approx(model.network.loss(X, y))
    assert set(model.classes_) == {0, 1, 2}


# ---- scores and the validation loss -------------------------------------------------------------------------


def task(kind):
    return values() if kind == "values" else table(classes=3 if kind == "classes" else 2)


def encoded(model, y):
    return y if model.network.loss_name in ("cross_entropy", "squared_error") else y[:, None]


@pytest.mark.parametrize("kind", ["classes", "two classes", "values"])
@pytest.mark.parametrize("solver", ["adam", "sgd"])
@both_precisions
def test_the_validation_loss_is_the_networks(kind, solver, dtype):
    (X, y), parameters = task(kind), []
    X_val, y_val = X[40:], y[40:]
    model = fitted(
        X[:40], y[:40], X_val=X_val, y_val=y_val, solver=solver, dtype=dtype, alpha=1.0,
        callbacks=lambda state: parameters.append(state.model.network.parameters.copy()),
    )  # fmt: skip
    losses = []
    net = start_of(model)
    for each in parameters:
        net.parameters = each
        losses.append(net.loss(X_val.astype(dtype), encoded(model, y_val)))
    np.testing.assert_allclose(model.validation_loss_curve_, losses, rtol=1e-12 if dtype == "float64" else 1e-6)
    assert len(losses) == model.n_iter_


def test_the_loss_of_held_out_samples_is_their_weighted_mean():
    """A weight of 0 makes a sample count for nothing there too."""
    X, y = table()
    weights = np.random.RandomState(0).randint(0, 4, 60).astype(float)
    spoilt = np.where(weights[:, None] == 0, 50.0, X)
    curves = [
        fitted(each, y, sample_weight=weights, early_stopping=True).validation_loss_curve_ for each in (X, spoilt)
    ]
    assert curves[0] == curves[1]


@pytest.mark.parametrize(
    ("scoring", "kind"), [("accuracy", "classes"), ("accuracy", "two classes"), ("r2", "values"), ("loss", "classes"),
                          ("loss", "values"), (None, "classes"), (None, "values")],
)  # fmt: skip
@pytest.mark.parametrize("validation", ["passed", "held out"])
def test_scores_and_the_best_parameters(scoring, kind, validation):
    X, y = task(kind)
    seen = []
    options = {"X_val": X[40:], "y_val": y[40:]} if validation == "passed" else {"early_stopping": True}
    model = fitted(
        X[:40], y[:40], scoring=scoring, max_iter=60, learning_rate_init=0.1, n_iter_no_change=1000, **options,
        callbacks=lambda state: seen.append((state.model.network.parameters.copy(), *state[2:4])),
    )  # fmt: skip
    best = int(np.argmax(model.validation_scores_))
    assert best < 59
    np.testing.assert_array_equal(model.network.parameters, seen[best][0])
    assert model.best_validation_score_ == model.validation_scores_[best]
    assert [loss for _, loss, _ in seen] == model.validation_loss_curve_
    assert [score for _, _, score in seen] == model.validation_scores_
    if scoring == "loss":
        assert model.validation_scores_ == [-loss for loss in model.validation_loss_curve_]
    elif validation == "passed":
        assert model.score(X[40:], y[40:]) == pytest.approx(max(model.validation_scores_))


@pytest.mark.parametrize("kind", ["classes", "two classes", "values"])
@pytest.mark.parametrize("strings", [False, True])
@pytest.mark.parametrize("validation", ["passed", "held out"])
def test_a_callable_scores_with_the_samples_as_they_came(kind, strings, validation):
    X, y = task(kind)
    if strings and kind == "values":
        return
    labels = NAMES[y] if strings else y
    calls = []

    def score(model, X_val, y_val):
        calls.append((X_val, y_val))
        return np.float32(len(calls) if len(calls) < 3 else 0)

    options = {"X_val": X[40:], "y_val": labels[40:]} if validation == "passed" else {"early_stopping": True}
    model = fitted(X[:40], labels[:40], scoring=score, **options)
    assert model.validation_scores_ == [1, 2, 0, 0, 0]
    assert model.best_validation_score_ == 2
    for X_val, y_val in calls:
        assert X_val.shape == (len(y_val), 4)
        positions = [np.flatnonzero((row == X).all(axis=1))[0] for row in X_val]
        np.testing.assert_array_equal(labels[positions], y_val)
        assert y_val.dtype.kind == labels.dtype.kind
        assert min(positions) >= 40 if validation == "passed" else max(positions) < 40


def test_an_exception_of_a_scorer_passes_through():
    def score(model, X, y):
        raise RuntimeError("no score")

    with pytest.raises(RuntimeError, match="no score"):
        fitted(*table(), scoring=score, early_stopping=True)


@pytest.mark.parametrize("score", [None, "1", np.ones(3), 10**400], ids=["None", "text", "an array", "too large"])
def test_what_is_no_score_is_refused_by_name(score):
    with pytest.raises(TypeError, match=r"^scoring=<function .* returned .*: expected a number, higher being better"):
        fitted(*table(), scoring=lambda *_: score, early_stopping=True)


def test_a_score_of_nan_is_refused():
    with pytest.raises(ValueError, match=r"^scoring=<function .* returned nan: expected a number, higher being better"):
        fitted(*table(), scoring=lambda *_: np.nan, early_stopping=True)


@pytest.mark.parametrize("scoring", [None, "r2"])
@pytest.mark.parametrize("validation", ["passed", "held out"])
def test_one_sample_is_too_few_for_r2(validation, scoring):
    X, y = task("values")
    rows = slice(12) if validation == "held out" else slice(None)
    options = {"X_val": X[:1], "y_val": y[:1]} if validation == "passed" else {"early_stopping": True}
    with pytest.raises(ValueError, match=r"^the validation set has 1 sample, of which R2 says nothing: expected more"):
        fitted(X[rows], y[rows], scoring=scoring, **options)
    assert fitted(X[rows], y[rows], scoring="loss", **options).n_iter_ > 0


def test_a_class_that_would_be_held_out_is_refused():
    X, y = np.eye(30), np.repeat(["a", "b", "c"], [20, 9, 1])
    with pytest.raises(ValueError, match=r"^early_stopping would hold out all samples of class 'c': expected more"):
        fitted(X, y, early_stopping=True, validation_fraction=0.5)
    assert fitted(X, y, X_val=X, y_val=y).n_iter_ > 0


@pytest.mark.parametrize(("loss", "kind"), [(None, "classes"), (None, "values"), ("squared_error", "values")])
def test_a_quantile_without_its_loss_is_refused(loss, kind):
    with pytest.raises(ValueError, match=rf"^quantile=0\.9: expected 0\.5 with loss={loss!r}, or loss='quantile'$"):
        fitted(*task(kind), loss=loss, quantile=0.9)


def test_a_metric_is_no_scorer():
    with pytest.raises(TypeError, match=r"^scoring=<function .*: expected a callable of a model, X and y \(too many"):
        fitted(*table(), scoring=lambda y, predicted: 1.0, early_stopping=True)


@pytest.mark.parametrize(("scoring", "kind", "expected"), [("r2", "classes", "accuracy"), ("accuracy", "values", "r2")])
def test_a_score_of_another_task_is_refused(scoring, kind, expected):
    with pytest.raises(ValueError, match=f"^scoring='{scoring}': expected {expected}, loss or a callable for"):
        fitted(*task(kind), scoring=scoring, early_stopping=True)


# ---- callbacks ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs"])
@pytest.mark.parametrize("validated", [False, True])
def test_what_a_callback_is_told(solver, validated):
    if solver == "lbfgs":
        pytest.importorskip("scipy")
    (X, y), states = table(), []
    options = {"X_val": X, "y_val": y} if validated else {}
    model = fitted(X, y, solver=solver, callbacks=states.append, **options)
    assert [state.epoch for state in states] == list(range(1, 6))
    assert [state.loss for state in states] == model.loss_curve_
    assert all(state.model is model for state in states)
    assert [s.validation_loss for s in states] == (model.validation_loss_curve_ if validated else [None] * 5)
    assert [s.validation_score for s in states] == (model.validation_scores_ if validated else [None] * 5)
    assert all(state.learning_rate == ETA for state in states)


@pytest.mark.parametrize("schedule", ["cosine", "invscaling", "one_cycle"])
@pytest.mark.parametrize("warmup", [0, 2.5])
def test_a_callback_is_told_the_rate_of_the_last_update(schedule, warmup):
    (X, y), states = table(100), []
    options = {"learning_rate": schedule, "warmup_epochs": warmup, "learning_rate_init": ETA}
    fitted(X, y, batch_size=10, callbacks=states.append, **options)
    np.testing.assert_allclose([s.learning_rate for s in states], rates_of(options, 5, 10)[9::10], rtol=1e-12)


@pytest.mark.parametrize("answer", [1, "yes", None, False, np.bool_(False)])
def test_other_answers_do_not_stop(answer):
    assert fitted(*table(), callbacks=lambda state: answer).n_iter_ == 5


@pytest.mark.parametrize("kind", [list, tuple])
def test_all_callbacks_are_called_and_each_may_stop(kind):
    calls = []

    def named(name, last):
        return lambda state: calls.append((name, state.epoch)) or state.epoch == last

    model = fitted(*table(), callbacks=kind([named("a", 99), named("b", 2), named("c", 99)]))
    assert calls == [(name, epoch) for epoch in (1, 2) for name in "abc"]
    assert model.n_iter_ == 2
    assert not model.converged_


def test_a_callback_that_stops_leaves_that_epochs_model():
    X, y = table()
    same(fitted(X, y, callbacks=lambda state: state.epoch == 3), fitted(X, y, max_iter=3))


def test_a_callback_that_stops_a_validated_run_leaves_the_best():
    X, y = table()
    scores = iter([1, 5, 2, 2])
    model = fitted(X, y, X_val=X, y_val=y, scoring=lambda *_: next(scores), callbacks=lambda state: state.epoch == 3)
    np.testing.assert_array_equal(model.network.parameters, fitted(X, y, max_iter=2).network.parameters)
    assert not model.converged_


@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs"])
@pytest.mark.parametrize("error", [RuntimeError, SystemExit])
def test_an_exception_of_a_callback_leaves_a_model_put_aside_at_its_best(solver, error):
    if solver == "lbfgs":
        pytest.importorskip("scipy.optimize")
    X, y = table()
    scores, kept = iter([0.1, 0.9, 0.3]), []

    def fails(state):
        kept.append((state.model, state.model.network.parameters.copy()))
        if state.epoch == 3:
            raise error

    with pytest.raises(error):
        fitted(X, y, solver=solver, X_val=X, y_val=y, scoring=lambda *_: next(scores), callbacks=fails)
    np.testing.assert_array_equal(kept[0][0].network.parameters, kept[1][1])


@pytest.mark.parametrize("solver", ["adam", "sgd"])
@pytest.mark.parametrize("error", [RuntimeError, SystemExit])
def test_an_exception_of_a_callback_passes_through(solver, error):
    (X, y), models = table(), []

    def fails(state):
        models.append(state.model)
        if state.epoch == 3:
            raise error("enough")

    with pytest.raises(error, match="enough"):
        fitted(X, y, solver=solver, callbacks=fails)
    expected = fitted(X, y, solver=solver, max_iter=3)
    same(models[0], expected)
    models[0].network.step(X[0], y[0])  # it is not taken any more


# ---- outputs and quantiles that last ------------------------------------------------------------------------


def networks():
    yield from ({"loss": loss, "out_activation": output} for loss in DISTANCES for output in ACTIVATIONS)
    yield from ({"loss": "quantile", "quantile": q} for q in (0.05, 0.9))


def attributes(net):
    return net.out_activation, net.quantile, net.loss_name, net.dtype, repr(net)


@both_precisions
def test_outputs_and_quantiles_survive_a_pickle(dtype):
    X, y = values(20)
    for options in networks():
        net = cmlp.Network((4, 5, 1), dtype=dtype, random_state=0, **options)
        net.fit(X, y)
        twin = pickle.loads(pickle.dumps(net))
        assert attributes(twin) == attributes(net)
        np.testing.assert_array_equal(twin.forward(X), net.forward(X))
        assert twin.loss(X, y) == net.loss(X, y)
        assert (options["loss"] == "quantile") == (f"quantile={net.quantile}" in repr(net))
        assert f"out_activation={net.out_activation!r}" in repr(net)


@both_precisions
def test_outputs_and_quantiles_survive_a_file(tmp_path, dtype):
    X, y = values(20)
    for options in networks():
        model = fitted(X, y, dtype=dtype, max_iter=2, **options)
        model.save(tmp_path / "model")
        twin = cmlp.load(tmp_path / "model")
        assert repr(twin) == repr(model)
        assert attributes(twin.network) == attributes(model.network)
        np.testing.assert_array_equal(twin.predict(X), model.predict(X))
        assert twin.network.loss(X, y) == model.network.loss(X, y)
        assert twin.validation_loss_curve_ == model.validation_loss_curve_


def test_outputs_of_their_own_are_told():
    for loss, output in (("cross_entropy", "softmax"), ("binary_cross_entropy", "sigmoid"), ("poisson", "exp")):
        net = cmlp.Network((4, 5, 3), loss=loss)
        assert net.out_activation == output
        assert pickle.loads(pickle.dumps(net)).out_activation == output
    assert cmlp.Network((4, 1), loss="huber", out_activation="logistic").out_activation == "sigmoid"


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
@pytest.mark.parametrize("quantile", [0.1, 0.5, 0.9])
def test_quantile_regression_reaches_the_quantile(solver, quantile):
    if solver == "lbfgs":
        pytest.importorskip("scipy")
    rng = np.random.default_rng(0)
    X = rng.uniform(-1, 1, (2000, 1))
    y = 2 * X[:, 0] + (1 + X[:, 0] ** 2) * rng.standard_exponential(2000)
    model = cmlp.fit(
        X, y, loss="quantile", quantile=quantile, solver=solver, hidden_layer_sizes=16, activation="tanh",
        learning_rate_init=0.01, learning_rate="constant" if solver == "lbfgs" else "one_cycle", max_iter=60,
        random_state=0,
    )  # fmt: skip
    below = y < model.predict(X)
    assert below.mean() == pytest.approx(quantile, abs=0.025)
    for part in (X[:, 0] < 0, X[:, 0] > 0):
        assert below[part].mean() == pytest.approx(quantile, abs=0.05)


@pytest.mark.parametrize(("output", "low", "high"), [("sigmoid", 0, 1), ("tanh", -1, 1), ("softplus", 0, np.inf)])
@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_outputs_stay_in_their_range(output, low, high, solver):
    if solver == "lbfgs":
        pytest.importorskip("scipy")
    X, y = values()
    model = fitted(X, 10 * y, loss="squared_error", out_activation=output, solver=solver, max_iter=50)
    predicted = model.predict(np.vstack([X, 100 * X]))
    assert (predicted >= low).all()
    assert (predicted <= high).all()
    assert model.loss_curve_[-1] == min(model.loss_curve_)


def test_weights_that_cancel_each_other_are_refused():
    X, y = np.random.default_rng(0).standard_normal((20, 3)), np.arange(20) % 2
    with pytest.raises(ValueError, match="sample_weight is all zero"):
        cmlp.fit(X, y, sample_weight=np.where(y == 0, 1.0, 0.0), class_weight={0: 0, 1: 1}, max_iter=1)


# ---- weights of a validation set, and what a callback answers ---------------------------------------------


@pytest.mark.parametrize("options", [{}, {"early_stopping": True}], ids=["passed", "held out"])
def test_class_weights_count_in_validation(options):
    X, y = table(80)
    passed = {} if options else {"X_val": X[40:], "y_val": y[40:]}
    rows = slice(40 if passed else None)
    model, plain = (
        fitted(X[rows], y[rows], class_weight=weights, max_iter=1, **passed, **options) for weights in ({2: 0.0}, None)
    )
    assert model.validation_loss_curve_ != plain.validation_loss_curve_
    if passed:
        counts = y[40:] != 2
        assert model.validation_loss_curve_[0] == pytest.approx(model.network.loss(X[40:][counts], y[40:][counts]))
        assert model.validation_scores_[0] == np.mean(model.predict(X[40:])[counts] == y[40:][counts])
        with pytest.raises(ValueError, match="class_weight is zero for every class in y_val"):
            fitted(X[:40], y[:40], class_weight={2: 0.0}, X_val=X[y == 2], y_val=y[y == 2])


@pytest.mark.parametrize(
    ("answer", "epochs"), [(True, 1), (np.True_, 1), (False, 3), (np.False_, 3), (None, 3), (1, 3)]
)
def test_a_callback_stops_with_true_alone(answer, epochs):
    assert fitted(*table(), callbacks=lambda state: answer, max_iter=3).n_iter_ == epochs
