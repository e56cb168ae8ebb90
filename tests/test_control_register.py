"""Whatever cmlp does, the caller's thread rounds and keeps subnormal numbers as before; results do not depend on it."""

import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

import cmlp
from control_register import MODES, library, mode, set_to
from engines import network
from reference import classes, inputs, target_rows

N, SIZES = 70, (5, 33, 17, 3)
X, Y = inputs(N, 5), classes(N, 3)
each_mode = pytest.mark.parametrize("name", [None, *MODES], ids=str)
posix = pytest.mark.skipif(os.name != "posix", reason="needs an alarm")


@pytest.fixture(autouse=True)
def can_be_set(request):
    given = getattr(request.node, "callspec", None)
    if given is not None and given.params.get("name") and library() is None:
        pytest.skip("needs a C compiler")


def net(dtype="float32", loss="cross_entropy"):
    return network(SIZES, ("relu", "tanh"), dtype, loss)


def fit(**options):
    options = {"hidden_layer_sizes": 9, "max_iter": 3, "random_state": 0, "tol": 0, **options}
    return cmlp.fit(X, Y, **options)


class Refusal(Exception):
    """Of a callback."""


def refuse(state):
    raise Refusal


def diverge(how, **options):
    linear = network((5, 3), (), "float32", "squared_error")
    refused(lambda: getattr(linear, how)(1e30 * X, target_rows(N, 3, "huber"), **options), cmlp.DivergenceError)


def refused(function, error=ValueError):
    with pytest.raises(error):
        function()


def lbfgs():
    pytest.importorskip("scipy")
    fit(solver="lbfgs")


ACTIONS = {
    "step on a sample": lambda: net().step(X[0], 1),
    "step on a batch": lambda: net().step(X, Y, solver="adam"),
    "step, weights": lambda: net().step(X, Y, sample_weight=np.arange(N)),
    "sgd by samples": lambda: net().fit(X, Y),
    "adam by samples": lambda: net().fit(X, Y, solver="adam"),
    "batches": lambda: net().fit(X, Y, batch_size=8),
    "two threads": lambda: net().fit(X, Y, batch_size=70, n_threads=2, epochs=2),
    "a model": fit,
    "early stopping": lambda: fit(early_stopping=True),
    "dropout": lambda: fit(dropout=0.2, max_grad_norm=0.1),
    "lbfgs": lbfgs,
    "one output": lambda: net()(X[0]),
    "few outputs": lambda: net().forward(X[:2]),
    "outputs": lambda: net().forward(X),
    "loss": lambda: net().loss(X, Y),
    "gradients": lambda: net().loss_and_gradients(X, Y, 0.1),
    "trace": lambda: net().trace(X[0], 1),
    "predictions": lambda: fit().predict_proba(X),
    "a step refused": lambda: refused(lambda: net().step(np.full(5, np.nan), 1)),
    "a fit refused": lambda: refused(lambda: net().fit(X, Y + 1)),
    "a prediction refused": lambda: refused(lambda: net().forward(np.full((9, 5), np.nan))),
    "a step that diverges": lambda: diverge("step"),
    "a fit that diverges": lambda: diverge("fit"),
    "two threads that diverge": lambda: diverge("fit", batch_size=70, n_threads=2),
    "a callback that fails": lambda: refused(lambda: fit(callbacks=refuse), Refusal),
    "a callback that ends it": lambda: fit(callbacks=lambda state: True),
}


@each_mode
@pytest.mark.parametrize("action", ACTIONS)
def test_nothing_stays_changed(action, name):
    with set_to(name):
        before = mode()
        ACTIONS[action]()
        after = mode()
    assert after == before


@each_mode
def test_in_another_thread(name):
    modes = []

    def work():
        with set_to(name):
            for act in (mode, *ACTIONS.values()):
                act()
                modes.append(mode())

    before = mode()
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert mode() == before
    assert len(modes) == len(ACTIONS) + 1
    assert len(set(modes)) == 1
    assert (modes[0] == before) == (name is None)


@each_mode
@pytest.mark.parametrize("options", [{}, {"early_stopping": True}, {"batch_size": 70, "n_threads": 2}], ids=str)
def test_a_callback_runs_as_its_caller_does(name, options):
    modes = []
    with set_to(name):
        before = mode()
        fit(callbacks=lambda state: modes.append(mode()), **options)
    assert modes == [before] * 3


class Alarm(KeyboardInterrupt):
    """As Ctrl-C raises it, amid an epoch."""


INTERRUPTED = {
    "samples": lambda net, X, Y: net.fit(X, Y, epochs=10**6),
    "batches": lambda net, X, Y: net.fit(X, Y, batch_size=100, epochs=10**6),
    "two threads": lambda net, X, Y: net.fit(X, Y, batch_size=500, n_threads=2, epochs=10**6),
    "gradients": lambda net, X, Y: [net.loss_and_gradients(X, Y) for _ in range(10**6)],
    "outputs": lambda net, X, Y: [net.forward(X) for _ in range(10**6)],
    "a model": lambda net, X, Y: cmlp.fit(X, Y, solver="sgd", max_iter=10**6, tol=0, n_iter_no_change=10**6),
}


@posix
@each_mode
@pytest.mark.parametrize("how", INTERRUPTED)
@pytest.mark.filterwarnings("ignore:training interrupted")
def test_ctrl_c(name, how):
    """The handler runs as the caller does, and so does what follows."""
    modes, large = [], cmlp.Network((5, 300, 300, 3), dtype="float32", random_state=0)
    many, labels = np.tile(inputs(500, 5), (20, 1)).astype(np.float32), np.tile(classes(500, 3), 20)

    def handler(number, frame):
        modes.append(mode())
        raise Alarm

    kept = signal.signal(signal.SIGALRM, handler)
    try:
        with set_to(name):
            modes.append(mode())
            signal.setitimer(signal.ITIMER_REAL, 0.05)
            with suppress(Alarm):
                INTERRUPTED[how](large, many, labels)
            modes.append(mode())
    finally:
        signal.signal(signal.SIGALRM, kept)
    assert len(modes) == 3
    assert len(set(modes)) == 1


CHILD = """
from control_register import mode
before = mode()
import cmlp
assert mode() == before
cmlp.fit([[0.0], [1.0]], [0, 1], max_iter=2).predict([[0.0]])
assert mode() == before
print("the same")
"""


def test_importing_changes_nothing():
    run = subprocess.run(
        [sys.executable, "-c", CHILD], capture_output=True, text=True, cwd=Path(__file__).parent, check=True
    )
    assert run.stdout == "the same\n"


# ---- results ------------------------------------------------------------------------------------------------


def problem(dtype, loss):
    """A network, samples, target rows and samples further out: subnormal numbers on the way and in the outputs."""
    trained = net(dtype, loss)
    trained.biases[0][:3] = np.array([1 << 4], {"float32": np.int32, "float64": np.int64}[dtype]).view(dtype)
    return trained, X.astype(dtype), target_rows(N, 3, loss).astype(dtype), (X * [1, 1, 300, 1, 1]).astype(dtype)


def results(trained, X, Y, far):
    """Of every way to compute."""
    for batch_size, solver, threads in ((1, "sgd", 1), (1, "adam", 1), (9, "rmsprop", 1), (70, "sgd", 2)):
        yield trained.fit(X, Y, solver, 0.01, batch_size, 2, n_threads=threads, alpha=0.1)
        yield trained.parameters.copy()
    yield trained.step(X[0], Y[0])
    yield trained(far[0])
    yield trained.forward(far[:2])
    yield trained.forward(far)
    loss, dW, db = trained.loss_and_gradients(far, Y, 0.1, np.arange(N))
    yield from (loss, *dW, *db)
    trace = trained.trace(far[0], Y[0])
    yield from (trace.loss, *trace.z, *trace.o, *trace.delta, *trace.grad_W)


def as_bits(results):
    return [np.asarray(each).tobytes() for each in results]


@pytest.mark.parametrize("name", MODES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("loss", ["cross_entropy", "binary_cross_entropy", "poisson", "log_cosh"])
def test_results_are_the_same_to_the_bit(name, dtype, loss):
    want, given = as_bits(results(*problem(dtype, loss))), problem(dtype, loss)
    with set_to(name):
        got = as_bits(results(*given))
    assert got == want


@pytest.mark.parametrize("name", MODES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_predictions_keep_subnormal_numbers(name, dtype):
    """Of one sample, of few and of many."""
    linear = network((5, 3), (), dtype, "squared_error")
    linear.biases[0][:] = 0
    rows = (X * 16).astype(int).astype({"float32": np.int32, "float64": np.int64}[dtype]) * 3
    rows = np.abs(rows).view(dtype)  # so many times the least number
    want = linear.forward(rows)
    assert (want != 0).mean() > 0.8
    with set_to(name):
        got = [linear(rows[0]), linear.forward(rows[:2]), linear.forward(rows)]
    assert as_bits(got) == as_bits([linear(rows[0]), linear.forward(rows[:2]), want])


@pytest.mark.parametrize("name", MODES)
def test_a_model_is_as_good(name):
    """Its initial parameters are NumPy's, which round as the thread does."""
    with set_to(name):
        got = fit().predict_proba(X)
    np.testing.assert_allclose(got, fit().predict_proba(X), rtol=1e-9)
