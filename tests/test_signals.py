"""Ctrl-C ends every training and every long prediction soon, and leaves a model that works; other signals are heard."""

import multiprocessing
import os
import signal
import statistics
import sys
import time

import numpy as np
import pytest

import cmlp
import interrupted
from reference import classes, inputs

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no signals to one process")
PROMISED = 1  # second
LIMIT = 3  # for a loaded machine
PATIENCE = 60
LATER = 0.1  # how long it goes on before it is interrupted


@pytest.fixture(scope="module")
def context():
    """Processes that have imported everything already."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["cmlp", "cmlp.estimators", "scipy.optimize"])
    return context


@pytest.fixture(scope="module")
def seconds():
    """How long each took to end; `pytest -s` shows them in short."""
    measured = []
    yield measured
    if measured:
        median, most = statistics.median(measured), max(measured)
        print(f"\n{len(measured)} interrupted: median {median:.3f} s, maximum {most:.3f} s")


def received(connection):
    assert connection.poll(PATIENCE), "no answer"
    return connection.recv()


def interrupt(context, case):
    """How long it takes to end, and whether all is well then."""
    ours, theirs = context.Pipe()
    child = context.Process(target=interrupted.run, args=(case, theirs), daemon=True)
    child.start()
    theirs.close()
    try:
        assert received(ours) == "under way"
        time.sleep(LATER)
        start = time.monotonic()
        os.kill(child.pid, signal.SIGINT)
        assert received(ours) == "interrupted"
        return time.monotonic() - start, received(ours)
    finally:
        child.kill()
        child.join()


def check(context, case, seconds):
    if case.caller in interrupted.ESTIMATORS:
        pytest.importorskip("sklearn")
    if getattr(case, "solver", None) == "lbfgs":
        pytest.importorskip("scipy.optimize")
    took, well = interrupt(context, case)
    seconds.append(took)
    assert well == (True, True, True)
    assert took < LIMIT


def name(case):
    return "-".join(map(str, case))


@pytest.mark.parametrize("case", interrupted.SOME_CASES, ids=name)
def test_training_ends(context, seconds, case):
    check(context, case, seconds)


@pytest.mark.nightly
@pytest.mark.parametrize("case", interrupted.EVERY_CASE, ids=name)
def test_every_training_ends(context, seconds, case):
    check(context, case, seconds)


@pytest.mark.parametrize("case", interrupted.PREDICTIONS, ids=name)
def test_a_prediction_ends(context, seconds, case):
    check(context, case, seconds)


def test_half_of_all_end_within_the_second_that_is_promised(seconds):
    if not seconds:
        pytest.skip("none of the tests above was run")
    assert statistics.median(seconds) < PROMISED


# ---- other signals -----------------------------------------------------------------------------------


@pytest.mark.parametrize("n_threads", [1, 2])
@pytest.mark.parametrize("batch_size", [1, 50])
@pytest.mark.parametrize("solver", ["sgd", "adam"])
def test_other_signals_are_handled_and_training_goes_on(solver, batch_size, n_threads):
    """The handler predicts, trains another network, and is refused this one."""
    X, y = inputs(2000, 30), classes(2000, 4)
    options = {"solver": solver, "batch_size": batch_size, "epochs": 4, "n_threads": n_threads}
    nets = [cmlp.Network((30, 64, 48, 4), random_state=0) for _ in range(3)]
    quiet = nets[0].fit(X, y, **options)
    heard, initial = [], nets[1].parameters.copy()

    def handle(number, frame):
        nets[2].fit(X[:5], y[:5])
        heard.append(np.isfinite(nets[1].forward(X[:4])).all())
        try:
            nets[1].step(X[0], 0)
        except RuntimeError as error:
            heard.append("by the call under way" in str(error))
        else:  # on a busy machine, before the training has begun; later this would be seen in what it gives
            nets[1].parameters = initial
        signal.setitimer(signal.ITIMER_REAL, 0.002)

    before = signal.signal(signal.SIGALRM, handle)
    signal.setitimer(signal.ITIMER_REAL, 0.002)
    try:
        curve = nets[1].fit(X, y, **options)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert heard
    assert all(heard)
    np.testing.assert_array_equal(curve, quiet)
    np.testing.assert_array_equal(nets[1].parameters, nets[0].parameters)


def test_a_handler_that_raises_ends_training():
    def handle(number, frame):
        raise TimeoutError("enough")

    X, y = inputs(2000, 30), classes(2000, 4)
    net = cmlp.Network((30, 64, 4), random_state=0)
    before = signal.signal(signal.SIGALRM, handle)
    signal.setitimer(signal.ITIMER_REAL, 0.05)
    try:
        with pytest.raises(TimeoutError, match="enough"):
            net.fit(X, y, epochs=10**6)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert np.isfinite(net.fit(X, y)).all()
