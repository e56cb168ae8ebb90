"""Several threads to a batch: the same results to the bit, whoever starts them and whatever goes wrong."""

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

import cmlp
from cmlp import threads
from reference import classes, inputs, sample_weights

N = 300
NETWORKS = {
    "narrow": ((3, 1, 2), ("tanh",)),
    "odd widths": ((33, 17, 65, 10), ("relu", "sigmoid")),
    "wide": ((40, 300, 70, 5), ("silu", "relu")),
    "deeper than a block": ((1100, 9, 3), ("relu",)),
    "packed": ((20, 600, 17, 5), ("relu", "tanh")),
}


def fitted(name, n_threads, dtype="float32", **options):
    (layer_sizes, activation), options = NETWORKS[name], {"batch_size": 100, "epochs": 2, **options}
    net = cmlp.Network(layer_sizes, activation, dtype=dtype, random_state=0)
    X, y = inputs(N, layer_sizes[0]), classes(N, layer_sizes[-1])
    return net.fit(X, y, n_threads=n_threads, shuffle=True, random_state=1, **options), net.parameters


def assert_same(first, second):
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("solver", ["sgd", "adam"])
@pytest.mark.parametrize("batch_size", [2, 33, 100, 299, 300])
def test_any_number_of_threads_gives_the_same_bits(name, dtype, solver, batch_size):
    options = {"solver": solver, "batch_size": batch_size, "alpha": 0.01, "sample_weight": sample_weights(N)}
    one = fitted(name, 1, dtype, **options)
    for n_threads in (2, 3, 7):
        assert_same(one, fitted(name, n_threads, dtype, **options))


@pytest.mark.parametrize("solver", ["sgd", "adam"])
def test_a_batch_in_chunks(solver):
    """Of 256 samples at most."""
    X, y = inputs(1000, 33), classes(1000, 4)
    nets = [cmlp.Network((33, 40, 4), random_state=0) for _ in range(3)]
    losses = [
        net.fit(X, y, solver=solver, batch_size=600, epochs=3, n_threads=i, alpha=0.1) for i, net in enumerate(nets, 1)
    ]
    for net, loss in zip(nets, losses, strict=True):
        assert_same((nets[0].parameters, losses[0]), (net.parameters, loss))


def test_a_model_takes_threads_too():
    X, y = inputs(N, 6), classes(N, 3)
    one, three = (cmlp.fit(X, y, n_threads=n, max_iter=5, early_stopping=True, random_state=0) for n in (1, 3))
    assert_same((one.network.parameters, one.loss_curve_), (three.network.parameters, three.loss_curve_))


@pytest.mark.thread_unsafe(reason="counts the threads there are")
def test_all_threads_stop_at_a_loss_that_is_not_finite():
    X, Y = inputs(N, 5), np.ones((N, 2))
    Y[170] = 1e200
    net, other = (cmlp.Network((5, 40, 2), loss="squared_error", random_state=0) for _ in range(2))
    before = threading.active_count()
    for n_threads, one in ((1, net), (3, other)):
        with pytest.raises(cmlp.DivergenceError):
            one.fit(X, Y, batch_size=50, n_threads=n_threads)
    np.testing.assert_array_equal(net.parameters, other.parameters)
    assert threading.active_count() == before


@pytest.mark.parametrize("few", [0, 2])
def test_a_thread_that_cannot_start_is_done_without(monkeypatch, few):
    start, started = threading.Thread.start, []

    def start_few(thread):
        if len(started) == few:
            raise RuntimeError("can't start new thread")
        started.append(thread)
        start(thread)

    one = fitted("packed", 1, epochs=1)
    monkeypatch.setattr(threading.Thread, "start", start_few)
    assert_same(one, fitted("packed", 5, epochs=1))
    monkeypatch.undo()
    assert len(started) == few
    assert not any(thread.is_alive() for thread in started)


def test_a_thread_that_ends_before_it_begins(monkeypatch):
    def refuse(*_):
        raise ValueError("refused")

    net = cmlp.Network((5, 40, 2), random_state=0)
    monkeypatch.setattr(threading, "excepthook", lambda _: None)
    threading.setprofile(refuse)
    try:
        with pytest.raises(RuntimeError, match="ended before it began"):
            net.fit(inputs(N, 5), classes(N, 2), batch_size=100, n_threads=2)
    finally:
        threading.setprofile(None)
    net.fit(inputs(N, 5), classes(N, 2), batch_size=100, n_threads=2)


def test_the_loss_may_be_asked_for_meanwhile():
    X, y = inputs(400, 64), classes(400, 10)
    net = cmlp.Network((64, 64, 10), random_state=0)
    expected, gradients = net.loss(X, y), net.loss_and_gradients(X, y)[1]
    options = {"batch_size": 200, "epochs": 300, "n_threads": 2, "learning_rate": 0.0}
    trains = threading.Thread(target=net.fit, args=(X, y), kwargs=options)
    trains.start()
    while trains.is_alive():
        assert net.loss(X, y) == expected
        np.testing.assert_array_equal(net.loss_and_gradients(X, y)[1][0], gradients[0])
    trains.join()


def test_callers_in_threads_of_their_own():
    one = fitted("wide", 1)
    with ThreadPoolExecutor(4) as pool:
        for result in pool.map(lambda _: fitted("wide", 2), range(8)):
            assert_same(one, result)


def train_in_a_pool(method):
    one = fitted("odd widths", 2)
    with ProcessPoolExecutor(2, multiprocessing.get_context(method)) as pool:
        for result in pool.map(fitted, ["odd widths"] * 4, [2] * 4):
            assert_same(one, result)


@pytest.mark.parametrize("method", multiprocessing.get_all_start_methods())
def test_callers_in_processes_of_their_own(method):
    """In a process that forks, no other library has started threads yet."""
    code = f"import test_threads; test_threads.train_in_a_pool({method!r})"
    subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parent, check=True, timeout=120)


MANY = """
import resource
import numpy as np, cmlp
X, y = np.random.RandomState(0).normal(size=(20_000, 20)), np.arange(20_000) % 3
nets = [cmlp.Network((20, 64, 3), random_state=0) for _ in range(3)]
nets[0].fit(X, y, batch_size=20_000)
nets[1].fit(X, y, batch_size=20_000, n_threads=2)
used = next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmSize"))
resource.setrlimit(resource.RLIMIT_AS, ((used + 800_000) * 1024,) * 2)
nets[2].fit(X, y, batch_size=20_000, n_threads=20_000)
assert all((net.parameters == nets[0].parameters).all() for net in nets)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="RLIMIT_AS and /proc")
def test_more_threads_than_there_is_work_for_take_no_memory():
    done = subprocess.run([sys.executable, "-c", MANY], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr


# ---- how many ------------------------------------------------------------------------------------------


@pytest.fixture
def eight_processors(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)


def test_large_batches_take_what_there_is(eight_processors, monkeypatch):
    assert threads.number_of_threads(None, 256, 10**7) == 8
    assert threads.number_of_threads(None, 256, 10**5) == 3
    assert threads.number_of_threads(None, 32, 10**4) == 1
    assert threads.number_of_threads(None, 1, 10**9) == 1
    assert threads.number_of_threads(5, 256, 10) == 5
    assert threads.number_of_threads(5, 3, 10) == 3
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    assert threads.number_of_threads(None, 256, 10**7) == 2
    monkeypatch.setenv("OMP_NUM_THREADS", "3,4")
    assert threads.number_of_threads(None, 256, 10**7) == 3


def default_for_a_large_batch():
    return threads.number_of_threads(None, 256, 10**7)


def test_a_worker_of_a_pool_takes_one(eight_processors):
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(default_for_a_large_batch).result() == 1
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        assert pool.submit(default_for_a_large_batch).result(timeout=120) == 1


CHILD = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it
import numpy as np, cmlp
net = cmlp.Network((784, 512, 512, 10), random_state=0)
X, y = np.random.RandomState(0).normal(size=(2000, 784)), np.random.RandomState(0).randint(0, 10, 2000)
print("training", flush=True)
try:
    net.fit(X, y, batch_size=250, epochs=10**6, n_threads=3)
except KeyboardInterrupt:
    print(np.isfinite(net.parameters).all(), flush=True)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGINT to one process")
def test_an_interrupt_ends_all_threads():
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD], stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parent
    )
    assert child.stdout.readline() == "training\n"
    threading.Event().wait(1)
    child.send_signal(signal.SIGINT)
    assert child.communicate(timeout=60)[0] == "True\n"
    assert child.returncode == 0
